//! The client by which registries and token endpoints are asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

/// How long connecting may take, and one answer with it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that trusts the roots of browsers and the PEM certificates in `ca`, and follows nobody elsewhere.
pub(crate) fn client(ca: Option<&Path>) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls(ca)?)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .user_agent(concat!("driftline/", env!("CARGO_PKG_VERSION")))
        // Nothing but the configuration says where we connect to.
        .no_proxy()
        .pool_max_idle_per_host(1)
        .build()
        .map_err(|error| error.without_url().to_string())
}

/// The roots that browsers trust, and the operator's own.
fn tls(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca {
        let unusable = |why: String| format!("the certificates in {}: {why}", path.display());
        let found: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(error.to_string()))?;
        if found.is_empty() {
            return Err(unusable("it holds no PEM certificate".to_owned()));
        }
        for certificate in found {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error with its causes.
pub(crate) fn said(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs());
    }
    with_causes(&error.without_url())
}

/// What an error says, and what stands behind it, as far as that says something else.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
