//! Webhooks against a real HTTP server that behaves, asks for patience, redirects, hangs or is gone.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use driftline_config::{Receiver, ReceiverKind, Secret, Wants, Webhook};

use super::servers::{Answer, HttpServer};
use crate::Class;
use crate::deliver::{DeliverError, Deliverer, DeliverySettings, Outcome, ReceiverProblem};
use crate::outbox::{OutboxRow, RowKind};
use crate::webhook::sign;

pub(super) const BODY: &str = r#"{"type":"alert.firing","data":{"because":"57 % – ä"}}"#;

/// How long a test waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// With timeouts that no busy machine reaches.
pub(super) fn settings() -> DeliverySettings {
    DeliverySettings::default()
}

/// For servers that never answer.
pub(super) fn hasty() -> DeliverySettings {
    DeliverySettings {
        webhook_timeout: Duration::from_millis(300),
        mail_timeout: Duration::from_millis(500),
        ..settings()
    }
}

pub(super) fn hook(name: &str, url: &str) -> Receiver {
    let webhook = Webhook {
        url: Secret::new(url),
        secret: Some(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        headers: BTreeMap::from([(String::from("Authorization"), Secret::new("Bearer job"))]),
        ca: None,
    };
    Receiver {
        name: name.to_owned(),
        on: vec![Wants::Alerts],
        kind: ReceiverKind::Webhook(webhook),
    }
}

pub(super) fn row(id: &str, receiver: &str) -> OutboxRow {
    OutboxRow {
        id: id.to_owned(),
        receiver: receiver.to_owned(),
        kind: RowKind::Webhook { event: String::from("alert.firing"), body: BODY.to_owned() },
        model: String::from("flight-delay"),
        class: Class::InputShift,
        at_us: 0,
        created_by: id.to_owned(),
    }
}

async fn send(url: &str) -> Outcome {
    let deliverer = Deliverer::new(&[hook("hook", url)], &settings()).unwrap();
    deliverer.send(&row("4f1c", "hook")).await
}

fn status(line: &str) -> Answer {
    Answer::Send(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))
}

#[tokio::test]
async fn a_2xx_is_delivered_and_the_body_is_signed_as_it_is() {
    let server = HttpServer::start(vec![status("204 No Content")]).await;
    let now_s = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs() as i64
    };
    let before_s = now_s();
    assert_eq!(send(&server.url).await, Outcome::Delivered);
    let request = server.requests().remove(0);
    assert_eq!(request.body, BODY.as_bytes());
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer job"));
    assert_eq!(request.header("webhook-id"), Some("4f1c"));
    let timestamp_s: i64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
    assert!((before_s..=now_s()).contains(&timestamp_s), "{timestamp_s}");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let expected = sign("4f1c", timestamp_s, &request.body, secret).unwrap();
    assert_eq!(request.header("webhook-signature"), Some(expected.as_str()));
}

#[tokio::test]
async fn answers_other_than_2xx_and_410_are_tried_again() {
    let with = |line: &str, header: &str| {
        Answer::Send(format!("HTTP/1.1 {line}\r\n{header}\r\ncontent-length: 0\r\n\r\n"))
    };
    let patience = "retry-after: 120";
    let past = "retry-after: Sun, 06 Nov 1994 08:49:37 GMT";
    for (answer, after_s, says) in [
        (status("500 Oops"), None, "500"),
        (status("404 Not Found"), None, "404"),
        (with("429 Too Many Requests", patience), Some(120), "429"),
        (with("502 Bad Gateway", patience), Some(120), "502"),
        (with("503 Service Unavailable", patience), Some(120), "503"),
        (with("504 Gateway Timeout", past), Some(0), "504"),
        (with("503 Service Unavailable", "retry-after: soon"), None, "503"),
    ] {
        let server = HttpServer::start(vec![answer]).await;
        let Outcome::Retry { after, why } = send(&server.url).await else {
            panic!("{says} is not tried again");
        };
        assert_eq!(after, after_s.map(Duration::from_secs), "{says}");
        assert!(why.contains(says), "{why}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = HttpServer::start(vec![status("200 OK")]).await;
    for code in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let answer = format!("HTTP/1.1 {code}\r\nlocation: {}\r\n\r\n", target.url);
        let server = HttpServer::start(vec![Answer::Send(answer)]).await;
        let Outcome::Retry { why, .. } = send(&server.url).await else {
            panic!("{code} is not tried again");
        };
        assert!(why.contains("redirects are not followed"), "{why}");
    }
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn a_410_disables_the_receiver() {
    let server = HttpServer::start(vec![status("410 Gone")]).await;
    assert!(matches!(send(&server.url).await, Outcome::Disabled { .. }));
}

#[tokio::test]
async fn a_server_that_hangs_takes_no_longer_than_the_timeout() {
    let in_its_headers = Answer::SendAndHang(String::from("HTTP/1.1 200 OK\r\ncontent-le"));
    for answer in [Answer::Hang, in_its_headers] {
        let server = HttpServer::start(vec![answer]).await;
        let deliverer = Deliverer::new(&[hook("hook", &server.url)], &hasty()).unwrap();
        let row = row("4f1c", "hook");
        let outcome = tokio::time::timeout(PATIENCE, deliverer.send(&row)).await;
        let outcome = outcome.expect("the timeout ends it");
        let why = String::from("the webhook did not answer within 300ms");
        assert_eq!(outcome, Outcome::Retry { after: None, why });
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_tried_again() {
    let server = HttpServer::start(vec![Answer::HangUp]).await;
    let Outcome::Retry { after: None, why } = send(&server.url).await else {
        panic!("a connection that ends is not tried again");
    };
    assert!(why.starts_with("the webhook cannot be reached"), "{why}");
}

#[tokio::test]
async fn a_server_that_hangs_after_its_headers_has_answered() {
    let headers = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let server = HttpServer::start(vec![Answer::SendAndHang(headers.to_owned())]).await;
    assert_eq!(send(&server.url).await, Outcome::Delivered);
}

#[tokio::test]
async fn what_went_wrong_never_names_the_address() {
    // A port that was free a moment ago: nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/hook?token=s3cret");
    let Outcome::Retry { why, .. } = send(&url).await else {
        panic!("a refused connection is not tried again");
    };
    assert!(!why.contains("s3cret") && !why.contains("hook?"), "{why}");
}

#[tokio::test]
async fn link_local_addresses_are_refused_and_private_ones_are_not() {
    let open = DeliverySettings { allow_link_local: true, ..settings() };
    for (url, is_refused) in [
        ("http://169.254.169.254/latest/meta-data", true),
        ("http://[fe80::1]/", true),
        ("http://[::ffff:169.254.169.254]/", true),
        ("http://[fd00:ec2::254]/", true),
        // The same address in the clothes that URL parsers know.
        ("http://2852039166/", true),
        ("http://10.0.0.1/", false),
        ("http://192.168.1.1/", false),
        ("http://127.0.0.1/", false),
        ("http://[fd12::1]/", false),
    ] {
        let refused = Deliverer::new(&[hook("hook", url)], &settings()).is_err();
        assert_eq!(refused, is_refused, "{url}");
        assert!(Deliverer::new(&[hook("hook", url)], &open).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_before_it_is_judged() {
    let server = HttpServer::start(vec![status("200 OK")]).await;
    let by_name = server.url.replace("127.0.0.1", "localhost");
    assert_eq!(send(&by_name).await, Outcome::Delivered);
}

#[tokio::test]
async fn receivers_that_cannot_work_are_refused_at_the_start() {
    let changed = |change: &dyn Fn(&mut Webhook)| -> ReceiverProblem {
        let mut receiver = hook("hook", "http://localhost/");
        if let ReceiverKind::Webhook(webhook) = &mut receiver.kind {
            change(webhook);
        }
        let DeliverError { receiver, problem } =
            Deliverer::new(&[receiver], &settings()).unwrap_err();
        assert_eq!(receiver, "hook");
        problem
    };
    let problem = changed(&|hook| hook.url = Secret::new("ftp://x/"));
    assert!(matches!(problem, ReceiverProblem::Url { what: "webhook" }));
    let problem = changed(&|hook| hook.url = Secret::new("not an address"));
    assert!(matches!(problem, ReceiverProblem::Url { what: "webhook" }));
    let problem = changed(&|hook| hook.secret = Some(Secret::new("whsec_###")));
    assert!(matches!(problem, ReceiverProblem::Secret(_)));
    let problem = changed(&|hook| {
        hook.headers.insert(String::from("X"), Secret::new("a\nb"));
    });
    assert!(!problem.to_string().contains("a\nb"));
    let problem = changed(&|hook| hook.ca = Some(PathBuf::from("/nowhere/ca.pem")));
    assert!(problem.to_string().contains("/nowhere/ca.pem"));
    let empty = tempfile::NamedTempFile::new().unwrap();
    let problem = changed(&|hook| hook.ca = Some(empty.path().to_owned()));
    assert!(problem.to_string().contains("no PEM certificate"), "{problem}");
}

#[tokio::test]
async fn a_row_for_nobody_fails() {
    let deliverer = Deliverer::new(&[hook("hook", "http://localhost/")], &settings()).unwrap();
    assert!(matches!(deliverer.send(&row("1", "other")).await, Outcome::Failed { .. }));
    assert_eq!(format!("{deliverer:?}"), r#"{"hook"}"#);
}

#[tokio::test]
async fn a_server_is_reached_without_a_body_or_a_signature() {
    let server = HttpServer::start(vec![status("405 Method Not Allowed")]).await;
    let deliverer = Deliverer::new(&[hook("train", &server.url)], &settings()).unwrap();
    assert_eq!(deliverer.reach("train").await, Ok("the server of the webhook answers".to_owned()));
    let requests = server.requests();
    assert_eq!((requests.len(), requests[0].body.len()), (1, 0));
    assert_eq!(requests[0].header("webhook-signature"), None);
    assert_eq!(requests[0].header("authorization"), None);

    let nowhere =
        Deliverer::new(&[hook("train", "http://127.0.0.1:1/hidden")], &settings()).unwrap();
    let why = nowhere.reach("train").await.unwrap_err();
    assert!(why.starts_with("the webhook cannot be reached") && !why.contains("hidden"), "{why}");
    assert!(nowhere.reach("nobody").await.is_err());
}
