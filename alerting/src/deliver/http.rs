//! One signed POST, its status line, and nothing else believed.

use std::error::Error as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftline_config::{Secret, Webhook};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use super::address::{GuardedResolver, is_link_local};
use super::{DeliverySettings, Outcome, ReceiverProblem};
use crate::webhook::{key, sign};

const USER_AGENT: &str = concat!("driftline/", env!("CARGO_PKG_VERSION"));

/// A webhook receiver.
#[derive(Debug)]
pub(super) struct WebhookSender {
    client: Client,
    url: Secret,
    secret: Option<Secret>,
    headers: HeaderMap,
    limit: Duration,
}

impl WebhookSender {
    /// Checks address, headers and secret, and reads the certificate file.
    pub(super) fn new(
        webhook: &Webhook,
        settings: &DeliverySettings,
    ) -> Result<WebhookSender, ReceiverProblem> {
        let url = Url::parse(webhook.url.expose()).map_err(|_| ReceiverProblem::Url)?;
        let host = url.host_str().ok_or(ReceiverProblem::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ReceiverProblem::Url);
        }
        // Written addresses never pass the resolver.
        let written: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if !settings.allow_link_local && written.is_some_and(is_link_local) {
            return Err(ReceiverProblem::LinkLocal);
        }
        if let Some(secret) = &webhook.secret {
            key(secret.expose())?;
        }
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls(webhook.ca.as_deref())?)
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
        Ok(WebhookSender {
            client,
            url: webhook.url.clone(),
            secret: webhook.secret.clone(),
            headers: headers(webhook)?,
            limit: settings.webhook_timeout,
        })
    }

    /// Connects, encrypts and asks for the head of the server's root; whatever it answers will do.
    pub(super) async fn reach(&self) -> Result<String, String> {
        let root = Url::parse(self.url.expose()).and_then(|url| url.join("/"));
        let root = root.map_err(|_| ReceiverProblem::Url.to_string())?;
        match self.client.head(root).send().await {
            Ok(_) => Ok(String::from("the server of the webhook answers")),
            Err(error) if error.is_timeout() => {
                Err(format!("the webhook did not answer within {:?}", self.limit))
            }
            Err(error) => Err(format!("the webhook cannot be reached: {}", said(error))),
        }
    }

    /// Posts the body as these bytes, signed at this moment under the row's id.
    pub(super) async fn send(&self, id: &str, body: &str) -> Outcome {
        let now = SystemTime::now();
        let timestamp_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64;
        let mut request = self
            .client
            .post(self.url.expose())
            .headers(self.headers.clone())
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .body(body.to_owned());
        if let Some(secret) = &self.secret {
            match sign(id, timestamp_s, body.as_bytes(), secret.expose()) {
                Ok(signature) => request = request.header("webhook-signature", signature),
                Err(error) => return Outcome::Failed { why: error.to_string() },
            }
        }
        match request.send().await {
            Ok(response) => outcome(&response, now),
            Err(error) if error.is_timeout() => {
                Outcome::retry(format!("the webhook did not answer within {:?}", self.limit))
            }
            Err(error) => Outcome::retry(format!("the webhook cannot be reached: {}", said(error))),
        }
    }
}

/// The status line decides; the body is not read, so it may hang.
fn outcome(response: &Response, now: SystemTime) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Delivered;
    }
    if status == StatusCode::GONE {
        return Outcome::Disabled { why: String::from("the webhook answered 410 Gone") };
    }
    let why = if status.is_redirection() {
        format!(
            "the webhook answered {status}: redirects are not followed, configure the final url"
        )
    } else {
        format!("the webhook answered {status}")
    };
    let wish = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Outcome::Retry { after: wish.and_then(|wish| retry_after(wish, now)), why }
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

fn headers(webhook: &Webhook) -> Result<HeaderMap, ReceiverProblem> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &webhook.headers {
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
        let unusable = |why: String| ReceiverProblem::Certificate { path: path.to_owned(), why };
        let mut found = 0;
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(unusable(String::from("it holds no PEM certificate")));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ReceiverProblem::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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
    text
}
