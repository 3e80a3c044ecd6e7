//! Encryption of the listener: a certificate and its key, read once at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftline_config::{HttpTls, read_file};
use rustls::ServerConfig;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Chains of certificates have a few KiB.
const PEM_BYTES: u64 = 1 << 20;

/// What the listener encrypts with.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

impl std::fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

/// Why the listener cannot encrypt. Nothing of the key is ever quoted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("http.tls.certificate {}: {why}; name a PEM file with the certificate and those that vouch for it", path.display())]
    Certificate { path: PathBuf, why: String },
    #[error("http.tls.key {}: {why}; name a PEM file with the private key, without a passphrase", path.display())]
    Key { path: PathBuf, why: String },
    /// Both can be read and do not belong together.
    #[error("http.tls: {} and {} cannot be used together: {why}", certificate.display(), key.display())]
    Pair { certificate: PathBuf, key: PathBuf, why: String },
}

impl Tls {
    /// Reads the files; a renewed certificate is read at the next start.
    ///
    /// # Errors
    /// [`TlsError`] with the file and what is wrong with it.
    pub fn load(declared: &HttpTls) -> Result<Tls, TlsError> {
        let certificates = certificates(&declared.certificate)?;
        let key = read_file(&declared.key, PEM_BYTES).map_err(Error::Io);
        let key = key
            .and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes))
            .map_err(|error| TlsError::Key { path: declared.key.clone(), why: said(&error) })?;
        let pair = |error: rustls::Error| TlsError::Pair {
            certificate: declared.certificate.clone(),
            key: declared.key.clone(),
            why: error.to_string(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
            .map_err(pair)?;
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(settings))))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |why| TlsError::Certificate { path: path.to_owned(), why };
    let bytes = read_file(path, PEM_BYTES).map_err(|error| unusable(error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(said(&error)))?;
    match certificates.is_empty() {
        true => Err(unusable("it holds no PEM certificate".to_owned())),
        false => Ok(certificates),
    }
}

/// What the reader of PEM says, without what it read.
fn said(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "it holds no such PEM section".to_owned(),
        _ => "it is not valid PEM".to_owned(),
    }
}
