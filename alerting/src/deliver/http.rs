//! One POST, signed for webhooks, its status line, and nothing else believed.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftline_config::time::SECOND_US;
use driftline_config::{Secret, Webhook};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use super::address::{GuardedResolver, is_link_local};
use super::{DeliverySettings, Outcome, ReceiverProblem, with_advice};
use crate::webhook::{key, sign};

const USER_AGENT: &str = concat!("driftline/", env!("CARGO_PKG_VERSION"));

/// A server that takes POST requests, and what is said to it each time.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    /// What it is called where something is wrong with it.
    what: &'static str,
    url: Secret,
    headers: HeaderMap,
    limit: Duration,
    /// Statuses that are final.
    refused: &'static [u16],
}

#[derive(Debug)]
pub(super) struct WebhookSender {
    endpoint: Endpoint,
    secret: Option<Secret>,
}

impl WebhookSender {
    /// Checks address, headers and secret, and reads the certificate file.
    pub(super) fn new(
        webhook: &Webhook,
        settings: &DeliverySettings,
    ) -> Result<WebhookSender, ReceiverProblem> {
        if let Some(secret) = &webhook.secret {
            key(secret.expose())?;
        }
        let ca = webhook.ca.as_deref();
        let endpoint = Endpoint::new("webhook", &webhook.url, &webhook.headers, ca, settings)?;
        Ok(WebhookSender { endpoint, secret: webhook.secret.clone() })
    }

    /// Connects, encrypts and asks for the head of the server's root; whatever it answers will do.
    pub(super) async fn reach(&self) -> Result<String, String> {
        self.endpoint.head().await
    }

    /// Posts the body as these bytes, signed at this moment under the row's id.
    pub(super) async fn send(&self, id: &str, body: &str) -> Outcome {
        let (now, now_us) = now();
        let timestamp_s = now_us / SECOND_US;
        let mut headers =
            vec![("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp_s.to_string())];
        if let Some(secret) = &self.secret {
            match sign(id, timestamp_s, body.as_bytes(), secret.expose()) {
                Ok(signature) => headers.push(("webhook-signature", signature)),
                Err(error) => return Outcome::Failed { why: error.to_string() },
            }
        }
        self.endpoint.post("", &headers, body.to_owned(), now).await
    }
}

impl Endpoint {
    /// Checks address and headers, and reads the certificate file beside them.
    pub(super) fn new(
        what: &'static str,
        url: &Secret,
        headers: &BTreeMap<String, Secret>,
        ca: Option<&Path>,
        settings: &DeliverySettings,
    ) -> Result<Endpoint, ReceiverProblem> {
        let parsed = Url::parse(url.expose()).map_err(|_| ReceiverProblem::Url { what })?;
        let host = parsed.host_str().ok_or(ReceiverProblem::Url { what })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(ReceiverProblem::Url { what });
        }
        // Written addresses never pass the resolver.
        let written: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if !settings.allow_link_local && written.is_some_and(is_link_local) {
            return Err(ReceiverProblem::LinkLocal { what });
        }
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls(ca)?)
            .redirect(redirect::Policy::none())
            .connect_timeout(settings.webhook_timeout)
            .timeout(settings.webhook_timeout)
            .user_agent(USER_AGENT)
            // Nothing but the configuration says where we connect to.
            .no_proxy()
            // A connection kept alive may be dead by the next incident.
            .pool_max_idle_per_host(0);
        if !settings.allow_link_local {
            builder = builder.dns_resolver(Arc::new(GuardedResolver));
        }
        let client = builder.build().map_err(|error| ReceiverProblem::Client(said(error)))?;
        let (url, headers, limit) = (url.clone(), header_map(headers)?, settings.webhook_timeout);
        Ok(Endpoint { client, what, url, headers, limit, refused: &[] })
    }

    /// Takes these statuses for final: the same body will never be taken.
    pub(super) fn refusing(self, refused: &'static [u16]) -> Endpoint {
        Endpoint { refused, ..self }
    }

    /// Asks for the head of the server's root; whatever it answers will do.
    pub(super) async fn head(&self) -> Result<String, String> {
        let root = Url::parse(self.url.expose()).and_then(|url| url.join("/"));
        let root = root.map_err(|_| self.no_url().to_string())?;
        match self.client.head(root).send().await {
            Ok(_) => Ok(format!("the server of the {} answers", self.what)),
            Err(error) => Err(self.unreached(error)),
        }
    }

    /// Posts JSON to the address and `path`; `now` is what a date in the answer is compared with.
    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: String,
        now: SystemTime,
    ) -> Outcome {
        let mut request = self.client.post(self.at(path)).headers(self.headers.clone()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match request.send().await {
            Ok(response) => self.outcome(&response, now),
            Err(error) => Outcome::retry(self.unreached(error)),
        }
    }

    /// The body at the address and `path`, its first `most` bytes.
    pub(super) async fn get(&self, path: &str, most: usize) -> Result<Vec<u8>, String> {
        let request = self.client.get(self.at(path)).headers(self.headers.clone());
        let mut response = request.send().await.map_err(|error| self.unreached(error))?;
        if !response.status().is_success() {
            return Err(format!("the {} answered {}", self.what, response.status()));
        }
        let mut body = Vec::new();
        while body.len() < most
            && let Some(bytes) = response.chunk().await.map_err(|error| self.unreached(error))?
        {
            body.extend_from_slice(&bytes);
        }
        body.truncate(most);
        Ok(body)
    }

    fn at(&self, path: &str) -> String {
        match path {
            "" => self.url.expose().to_owned(),
            path => format!("{}{path}", self.url.expose().trim_end_matches('/')),
        }
    }

    /// The status line decides; the body is not read, so it may hang.
    fn outcome(&self, response: &Response, now: SystemTime) -> Outcome {
        let (what, status) = (self.what, response.status());
        if status.is_success() {
            return Outcome::Delivered;
        }
        if status == StatusCode::GONE {
            return Outcome::Disabled { why: format!("the {what} answered 410 Gone") };
        }
        let why = if status.is_redirection() {
            format!(
                "the {what} answered {status}: redirects are not followed, configure the final url"
            )
        } else {
            format!("the {what} answered {status}")
        };
        if self.refused.contains(&status.as_u16()) {
            return Outcome::Failed { why };
        }
        let wish = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Outcome::Retry { after: wish.and_then(|wish| retry_after(wish, now)), why }
    }

    fn unreached(&self, error: reqwest::Error) -> String {
        let what = self.what;
        match error.is_timeout() {
            true => format!("the {what} did not answer within {:?}", self.limit),
            false => format!("the {what} cannot be reached: {}", said(error)),
        }
    }

    fn no_url(&self) -> ReceiverProblem {
        ReceiverProblem::Url { what: self.what }
    }
}

/// Wall time, also in microseconds.
pub(super) fn now() -> (SystemTime, i64) {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    (now, i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Seconds, or an HTTP date.
fn retry_after(wish: &str, now: SystemTime) -> Option<Duration> {
    let wish = wish.trim();
    if let Ok(seconds) = wish.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(wish).ok()?;
    let until = SystemTime::from(until);
    Some(until.duration_since(now).unwrap_or_default())
}

fn header_map(declared: &BTreeMap<String, Secret>) -> Result<HeaderMap, ReceiverProblem> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in declared {
        let refused = || ReceiverProblem::Header { name: name.clone() };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// The roots that browsers trust, and the operator's own.
fn tls(ca: Option<&Path>) -> Result<ClientConfig, ReceiverProblem> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| ReceiverProblem::Certificate {
                path: path.to_owned(),
                why: error.to_string(),
            })?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ReceiverProblem::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ReceiverProblem> {
    let unusable = |why: String| ReceiverProblem::Certificate { path: path.to_owned(), why };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(error.to_string()))?;
    match found.is_empty() {
        true => Err(unusable(String::from("it holds no PEM certificate"))),
        false => Ok(found),
    }
}

/// The error with its causes, without the address, which may hold a token.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    with_advice(text)
}
