//! Receivers behind TLS: trusted, signed by somebody unknown, under another name, and not encrypted.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use driftline_config::{MailTransport, Receiver, ReceiverKind};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::deliver_http::{hook, row, settings};
use super::deliver_mail::{mail_row, receiver, smtp};
use super::servers::{Answer, HttpServer, MailRules, MailServer};
use crate::deliver::{Deliverer, Outcome};

/// A certificate for some names, and the authority that signed it.
struct Signed {
    acceptor: TlsAcceptor,
    ca: PathBuf,
    _folder: tempfile::TempDir,
}

fn signed_for(names: &[&str]) -> Signed {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    // Two authorities of one name would look like one with two keys.
    authority.distinguished_name.push(DnType::CommonName, names.concat());
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, pem).unwrap();
    Signed { acceptor: TlsAcceptor::from(Arc::new(config)), ca, _folder: folder }
}

/// A port at which TLS ends before what is behind it.
async fn encrypted(acceptor: &TlsAcceptor, behind: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                // Either side may end it as it likes.
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
            });
        }
    });
    port
}

async fn web_server() -> u16 {
    let answer = Answer::Send("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n".to_owned());
    let server = HttpServer::start(vec![answer]).await;
    let port = server.url.rsplit(':').next().and_then(|rest| rest.split('/').next());
    port.and_then(|port| port.parse().ok()).unwrap()
}

/// A webhook and a mail receiver at these ports of 127.0.0.1, that trust `ca`.
fn receivers(web: u16, mail: u16, ca: Option<PathBuf>) -> [Receiver; 2] {
    let mut webhook = hook("hook", &format!("https://127.0.0.1:{web}/hook"));
    let mut email = receiver(smtp(&format!("smtps://127.0.0.1:{mail}"), None));
    if let ReceiverKind::Webhook(webhook) = &mut webhook.kind {
        webhook.ca.clone_from(&ca);
    }
    if let ReceiverKind::Email(email) = &mut email.kind
        && let MailTransport::Smtp { ca: trusted, .. } = &mut email.transport
    {
        trusted.clone_from(&ca);
    }
    [webhook, email]
}

async fn send(receivers: &[Receiver; 2]) -> [Outcome; 2] {
    let deliverer = Deliverer::new(receivers, &settings()).unwrap();
    [deliverer.send(&row("4f1c", "hook")).await, deliverer.send(&mail_row()).await]
}

#[tokio::test]
async fn a_certificate_must_be_vouched_for_and_name_the_server() {
    let [here, elsewhere] = [signed_for(&["127.0.0.1"]), signed_for(&["mail.example.org"])];
    let (web, mail) = (web_server().await, MailServer::start(MailRules::default()).await.port);
    let table = [
        (&here, Some(&here.ca), None),
        (
            &here,
            None,
            Some(
                "UnknownIssuer: nobody whom we trust vouches for its certificate; name its authority in `ca`",
            ),
        ),
        (&here, Some(&elsewhere.ca), Some("name its authority in `ca`")),
        (&elsewhere, Some(&elsewhere.ca), Some("certificate not valid for name \"127.0.0.1\"")),
    ];
    for (server, trusted, problem) in table {
        let web = encrypted(&server.acceptor, web).await;
        let mail = encrypted(&server.acceptor, mail).await;
        for outcome in send(&receivers(web, mail, trusted.cloned())).await {
            match (outcome, problem) {
                (Outcome::Delivered, None) => {}
                (Outcome::Retry { after: None, why }, Some(problem)) => {
                    assert!(why.contains(problem), "{why}");
                }
                (outcome, problem) => panic!("{outcome:?}, not {problem:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_gets_nothing() {
    let mail = MailServer::start(MailRules::default()).await;
    for outcome in send(&receivers(mail.port, mail.port, None)).await {
        assert!(matches!(outcome, Outcome::Retry { after: None, .. }), "{outcome:?}");
    }
    assert!(mail.received().is_empty());
}
