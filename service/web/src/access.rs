//! Who may ask: the token, and requests that a web page elsewhere would make in a user's name.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driftline_config::{Http, Secret};
use subtle::ConstantTimeEq;

use crate::refusal::Refusal;

#[derive(Debug, Clone)]
pub(crate) struct Access {
    token: Option<Secret>,
    /// `scheme://host[:port]` and the host under which people reach us.
    external: Option<(String, String)>,
    /// Whether others than this machine can connect.
    beyond_loopback: bool,
}

/// Lets reads through: on loopback from this machine's users, beyond it with the token.
pub(crate) async fn read(State(access): State<Access>, request: Request, next: Next) -> Response {
    through(access.may_read(request.headers()), request, next).await
}

/// Lets writes through: JSON with the token, and not from a page of another origin.
pub(crate) async fn write(State(access): State<Access>, request: Request, next: Next) -> Response {
    through(access.may_write(request.headers()), request, next).await
}

/// Lets forms of our own pages through; their handlers check the token, which may be a field.
pub(crate) async fn form(State(access): State<Access>, request: Request, next: Next) -> Response {
    through(access.may_send_form(request.headers()), request, next).await
}

async fn through(allowed: Result<(), Refusal>, request: Request, next: Next) -> Response {
    match allowed {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Access {
    pub(crate) fn new(http: &Http, beyond_loopback: bool) -> Access {
        let external = http.external_url.as_deref().and_then(|url| {
            let uri: Uri = url.parse().ok()?;
            let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
            Some((origin.to_ascii_lowercase(), uri.host()?.to_ascii_lowercase()))
        });
        Access { token: http.token.clone(), external, beyond_loopback }
    }

    fn may_read(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.beyond_loopback {
            return self.check_token(headers);
        }
        // A name that an attacker's page resolves to 127.0.0.1 must not open our answers to it.
        if self.is_own_host(headers) || self.check_token(headers).is_ok() {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "this host name is not ours: use localhost, or set http.external_url to the address that people use",
        ))
    }

    fn may_write(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_token(headers)?;
        if !self.is_same_origin(headers) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this request comes from a page of another origin: only our own pages and programs may write",
            ));
        }
        let media = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the body as JSON with the header Content-Type: application/json",
            ));
        }
        Ok(())
    }

    /// A form needs no preflight, so a page of any origin could send it: only a browser that says
    /// itself that the page is ours is believed.
    fn may_send_form(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let says = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        let own_host = self.beyond_loopback || self.is_own_host(headers);
        if !says || !self.is_same_origin(headers) || !own_host {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this form does not come from our own page: programs use /api/v1",
            ));
        }
        if self.beyond_loopback { self.check_token(headers) } else { Ok(()) }
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the request shows the token in its header, so that a form need not ask for it.
    pub(crate) fn shows_token(&self, headers: &HeaderMap) -> bool {
        self.check_token(headers).is_ok()
    }

    /// The token of a form: in the header, or in its field.
    pub(crate) fn check_form(&self, headers: &HeaderMap, field: &str) -> Result<(), Refusal> {
        match self.check_token(headers) {
            Err(_) if self.is_token(field.trim().as_bytes()) => Ok(()),
            checked => checked,
        }
    }

    fn is_token(&self, shown: &[u8]) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|token| bool::from(shown.ct_eq(token.expose().as_bytes())))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.token.is_none() {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this needs a token and none is configured: set http.token and start again",
            ));
        }
        let shown = text(headers, header::AUTHORIZATION.as_str()).and_then(shown_token);
        if shown.is_some_and(|shown| self.is_token(&shown)) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "this needs the token of http.token, as Authorization: Bearer TOKEN or as the password of HTTP Basic",
        ))
    }

    /// Whether the request was made under an address that only this machine, or the operator, names.
    fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let Some(host) = text(headers, header::HOST.as_str()) else {
            // No browser leaves it out.
            return !headers.contains_key(header::HOST);
        };
        let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
        let name = authority.host().to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || address.parse::<IpAddr>().is_ok()
            || self.external.as_ref().is_some_and(|(_, external)| *external == name)
    }

    fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key("sec-fetch-site") {
            let site = text(headers, "sec-fetch-site");
            if !matches!(site, Some("same-origin" | "none")) {
                return false;
            }
        }
        if !headers.contains_key(header::ORIGIN) {
            return true;
        }
        let Some(origin) = text(headers, header::ORIGIN.as_str()) else { return false };
        let origin = origin.to_ascii_lowercase();
        let host = text(headers, header::HOST.as_str()).map(str::to_ascii_lowercase);
        let of_host = host.is_some_and(|host| {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        });
        of_host || self.external.as_ref().is_some_and(|(external, _)| *external == origin)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The token in an `Authorization` header: a bearer's, or the password of Basic under any user name.
fn shown_token(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = authorization.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}
