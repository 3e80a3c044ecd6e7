//! The encrypted listener: who is answered, who is not, who holds up nobody, and files that will not do.

use std::fs;
use std::path::Path;

use driftline_config::HttpTls;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Writes a certificate for `localhost` and its key into the folder.
fn certify(folder: &Path) -> (HttpTls, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["server.pem", "server.key"].map(|name| folder.join(name));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    (HttpTls { certificate, key }, cert.der().clone())
}

fn connector(trusted: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// An encrypted listener that nobody stops, and the certificate to trust.
async fn listen(bounds: Bounds) -> (Rig, std::net::SocketAddr, CertificateDer<'static>) {
    let rig = local();
    let folder = tempfile::tempdir().unwrap();
    let (declared, trusted) = certify(folder.path());
    let tls = Tls::load(&declared).unwrap().acceptor;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Arc::clone(&rig.board), false);
    let never = std::future::pending();
    tokio::spawn(connections::serve(listener, Some(tls), router, bounds, never));
    (rig, address, trusted)
}

async fn ask(address: std::net::SocketAddr, trusted: CertificateDer<'static>) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector(trusted).connect(name, stream).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_encrypted_listener_answers_in_no_other_way() {
    let (_rig, address, trusted) = listen(Bounds::default()).await;
    let answer = ask(address, trusted).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(ASK).await.unwrap();
    let mut told = Vec::new();
    // It may end the connection as it likes.
    let _ = plain.read_to_end(&mut told).await;
    assert!(!String::from_utf8_lossy(&told).contains("HTTP/1.1"), "{told:?}");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_handshake_holds_up_nobody() {
    // The honest client's handshake is bound as well: 50 ms were too few on a busy core.
    let bounds = Bounds { connections: 2, handshake: Duration::from_secs(2), ..Bounds::default() };
    let (_rig, address, trusted) = listen(bounds).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let answer = ask(address, trusted).await;
    assert!(answer.ends_with("ok\n"), "{answer}");
    for stream in &mut silent {
        let mut told = Vec::new();
        // Ended by us, one way or another.
        let _ = stream.read_to_end(&mut told).await;
    }
}

/// A renewed certificate was read at the next start, which was after the old one had run out.
#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_half_a_pair_is_not() {
    let rig = local();
    let folder = tempfile::tempdir().unwrap();
    let (declared, first) = certify(folder.path());
    let tls = Tls::load(&declared).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Arc::clone(&rig.board), false);
    let (acceptor, never) = (tls.acceptor.clone(), std::future::pending());
    tokio::spawn(connections::serve(listener, Some(acceptor), router, Bounds::default(), never));
    tokio::spawn(async move { tls.keep_fresh_every(Duration::from_millis(5)).await });
    let is_trusted = async |trusted: &CertificateDer<'static>| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        connector(trusted.clone()).connect(name, stream).await.is_ok()
    };
    assert!(is_trusted(&first).await);
    let other = tempfile::tempdir().unwrap();
    let (renewed, second) = certify(other.path());
    fs::copy(&renewed.certificate, &declared.certificate).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(is_trusted(&first).await, "its key is not there yet");
    fs::copy(&renewed.key, &declared.key).unwrap();
    // Looked for until it is taken up.
    while !is_trusted(&second).await {
        tokio::task::yield_now().await;
    }
    assert!(!is_trusted(&first).await);
}

#[test]
fn files_that_will_not_do_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (good, _) = certify(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (others, _) = certify(other.path());
    let [empty, broken, missing] =
        ["empty.pem", "broken.pem", "missing.pem"].map(|name| folder.path().join(name));
    fs::write(&empty, "planted-key\n").unwrap();
    fs::write(&broken, "-----BEGIN PRIVATE KEY-----\nplanted-key\n").unwrap();
    let with_certificate =
        |certificate: &Path| HttpTls { certificate: certificate.to_owned(), key: good.key.clone() };
    let with_key =
        |key: &Path| HttpTls { certificate: good.certificate.clone(), key: key.to_owned() };
    let table = [
        (with_certificate(&missing), "http.tls.certificate", "missing.pem: No such file"),
        (
            with_certificate(&empty),
            "http.tls.certificate",
            "empty.pem: it holds no PEM certificate",
        ),
        (with_certificate(&good.key), "http.tls.certificate", "it holds no PEM certificate"),
        (with_key(&missing), "http.tls.key", "missing.pem: No such file"),
        (with_key(&empty), "http.tls.key", "it holds no such PEM section"),
        (with_key(&broken), "http.tls.key", "broken.pem: it is not valid PEM"),
        (with_key(&others.key), "http.tls", "cannot be used together"),
    ];
    for (declared, place, problem) in table {
        let sentence = Tls::load(&declared).unwrap_err().to_string();
        assert!(sentence.starts_with(place) && sentence.contains(problem), "{sentence}");
        assert!(!sentence.contains("planted-key"), "{sentence}");
    }
}
