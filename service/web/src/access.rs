//! Who may ask: the token, and requests that a web page elsewhere would make in a user's name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use driftline_alerting::clock::now_us;
use driftline_config::time::format_instant;
use driftline_config::{Http, HttpToken, TokenScope, TrustedProxy};
use subtle::ConstantTimeEq;

use crate::audit::AuditLine;
use crate::refusal::Refusal;

/// The name of `http.token` in audit lines.
const FIRST_TOKEN: &str = "http.token";
/// Longest name of a user that is believed, in bytes.
const USER_BYTES: usize = 200;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Who makes a request that may be made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// Name of the token.
    pub(crate) token: String,
    /// By a trusted proxy.
    pub(crate) user: Option<String>,
    pub(crate) peer: Option<IpAddr>,
}

impl Caller {
    /// Who did it: the user where a proxy names one, and else who the request says.
    pub(crate) fn who(&self, says: Option<String>) -> String {
        self.user.clone().or(says).unwrap_or_default()
    }

    pub(crate) fn audit(&self, action: &'static str, subject: &str, by: &str) -> AuditLine {
        AuditLine {
            at: format_instant(now_us()),
            action,
            subject: subject.to_owned(),
            by: by.to_owned(),
            token: self.token.clone(),
            user: self.user.clone(),
            peer: self.peer,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Access {
    tokens: Arc<[HttpToken]>,
    proxy: Option<TrustedProxy>,
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
pub(crate) async fn write(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Response {
    match access.may_write(request.headers()) {
        Ok(token) => {
            let peer = request.extensions().get::<Peer>().copied();
            let caller = access.caller(token, peer, request.headers());
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
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
        let first = http.token.clone().map(|token| HttpToken {
            name: FIRST_TOKEN.to_owned(),
            token,
            scopes: TokenScope::ALL.into(),
        });
        let tokens = first.into_iter().chain(http.tokens.iter().cloned()).collect();
        Access { tokens, proxy: http.user.clone(), external, beyond_loopback }
    }

    /// Who shows a token, from where, and for whom.
    pub(crate) fn caller(&self, token: String, peer: Option<Peer>, headers: &HeaderMap) -> Caller {
        let peer = peer.map(|Peer(address)| address);
        let proxy = self.proxy.as_ref().filter(|proxy| {
            peer.is_some_and(|peer| proxy.from.iter().any(|from| from.to_canonical() == peer))
        });
        let user = proxy.and_then(|proxy| text(headers, &proxy.header)).map(str::trim);
        let user = user.filter(|user| !user.is_empty() && user.len() <= USER_BYTES);
        Caller { token, user: user.map(str::to_owned), peer }
    }

    fn may_read(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.beyond_loopback {
            return self.check_token(headers, TokenScope::Read).map(drop);
        }
        // A name that an attacker's page resolves to 127.0.0.1 must not open our answers to it.
        if self.is_own_host(headers) || self.check_token(headers, TokenScope::Read).is_ok() {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "this host name is not ours: use localhost, or set http.external_url to the address that people use",
        ))
    }

    /// The name of the token.
    fn may_write(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let token = self.check_token(headers, TokenScope::Write)?;
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
        Ok(token)
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
        match self.beyond_loopback {
            true => self.check_token(headers, TokenScope::Read).map(drop),
            false => Ok(()),
        }
    }

    pub(crate) fn has_token(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whether the request shows the token in its header, so that a form need not ask for it.
    pub(crate) fn shows_token(&self, headers: &HeaderMap) -> bool {
        self.check_token(headers, TokenScope::Write).is_ok()
    }

    /// The token of a form, by its name: in the header, or in its field.
    pub(crate) fn check_form(&self, headers: &HeaderMap, field: &str) -> Result<String, Refusal> {
        let checked = self.check_token(headers, TokenScope::Write);
        checked.or_else(|refusal| match self.named(field.trim().as_bytes()) {
            Some(token) => allowed(token, TokenScope::Write),
            None => Err(refusal),
        })
    }

    /// Compared with each of them: how long that takes says nothing.
    fn named(&self, shown: &[u8]) -> Option<&HttpToken> {
        let is_shown = |token: &HttpToken| bool::from(shown.ct_eq(token.token.expose().as_bytes()));
        self.tokens.iter().fold(None, |found, token| match is_shown(token) {
            true => Some(token),
            false => found,
        })
    }

    /// The name of the token that is shown, where it is for this.
    fn check_token(&self, headers: &HeaderMap, scope: TokenScope) -> Result<String, Refusal> {
        if self.tokens.is_empty() {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this needs a token and none is configured: set http.token and start again",
            ));
        }
        let shown = text(headers, header::AUTHORIZATION.as_str()).and_then(shown_token);
        match shown.and_then(|shown| self.named(&shown)) {
            Some(token) => allowed(token, scope),
            None => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "this needs the token of http.token, as Authorization: Bearer TOKEN or as the password of HTTP Basic",
            )),
        }
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

fn allowed(token: &HttpToken, scope: TokenScope) -> Result<String, Refusal> {
    match token.scopes.contains(&scope) {
        true => Ok(token.name.clone()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!("the token {} is not for this: it has no scope {}", token.name, scope.name()),
        )),
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
