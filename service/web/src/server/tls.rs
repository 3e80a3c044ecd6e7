//! Encryption of the listener: a certificate and its key, read at the start and where their files change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use driftline_config::{HttpTls, read_file};
use rustls::ServerConfig;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// Chains of certificates have a few KiB.
const PEM_BYTES: u64 = 1 << 20;

/// How often it is looked whether the files changed.
const LOOK: Duration = Duration::from_secs(10);

/// What the listener encrypts with.
#[derive(Clone)]
pub struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    renewable: Arc<Renewable>,
    declared: HttpTls,
}

/// The certificate that handshakes are answered with.
#[derive(Debug)]
struct Renewable(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Renewable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What tells a file that was written anew from the one before it.
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

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
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] with the file and what is wrong with it.
    pub fn load(declared: &HttpTls) -> Result<Tls, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let renewable = Arc::new(Renewable(RwLock::new(Arc::new(read(declared)?))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&renewable) as _;
        let mut settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| pair(declared, &error))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(settings));
        Ok(Tls { acceptor, renewable, declared: declared.clone() })
    }

    /// Takes up what the files say when they change, as long as it is polled. What will not do is logged, and the
    /// certificate before it stays: it may be half of a pair that is being written.
    pub(crate) async fn keep_fresh(&self) {
        self.keep_fresh_every(LOOK).await;
    }

    pub(crate) async fn keep_fresh_every(&self, look: Duration) {
        let mut known = stamp(&self.declared);
        loop {
            tokio::time::sleep(look).await;
            let found = stamp(&self.declared);
            if found == known {
                continue;
            }
            known = found;
            match read(&self.declared) {
                Ok(renewed) => {
                    let mut held = self.renewable.0.write().unwrap_or_else(PoisonError::into_inner);
                    *held = Arc::new(renewed);
                    tracing::info!("the listener's certificate was read again");
                }
                Err(error) => {
                    tracing::warn!(%error, "the listener keeps the certificate that it had");
                }
            }
        }
    }
}

fn stamp(declared: &HttpTls) -> Stamp {
    [&declared.certificate, &declared.key].map(|path| {
        let found = path.metadata().ok()?;
        Some((found.modified().ok()?, found.len(), found.ino()))
    })
}

fn read(declared: &HttpTls) -> Result<CertifiedKey, TlsError> {
    let certificates = certificates(&declared.certificate)?;
    let key = read_file(&declared.key, PEM_BYTES).map_err(Error::Io);
    let key = key
        .and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes))
        .map_err(|error| TlsError::Key { path: declared.key.clone(), why: said(&error) })?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(certificates, key, &provider).map_err(|error| pair(declared, &error))
}

fn pair(declared: &HttpTls, error: &rustls::Error) -> TlsError {
    TlsError::Pair {
        certificate: declared.certificate.clone(),
        key: declared.key.clone(),
        why: error.to_string(),
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
