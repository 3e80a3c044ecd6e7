//! What Slack, Teams, PagerDuty and ntfy are sent, by golden requests, and what their answers mean.

use std::time::Duration;

use driftline_config::{Channel, ChannelKind, Receiver, ReceiverKind, Secret, Wants};
use serde_json::Value;

use super::deliver_http::settings;
use super::servers::{Answer, HttpServer};
use super::story::{Watch, transitions};
use crate::deliver::{Deliverer, Outcome};
use crate::mail::{MailContext, RetrainNote};
use crate::outbox::{OutboxRow, accepted_rows, rows_for};
use crate::{Acceptance, Class, Transition};

fn kinds() -> Vec<ChannelKind> {
    let ntfy = ChannelKind::Ntfy { topic: "models".to_owned() };
    vec![ChannelKind::Slack, ChannelKind::Teams, ChannelKind::PagerDuty, ntfy]
}

fn receiver(kind: ChannelKind, url: &str) -> Receiver {
    let key = match kind {
        ChannelKind::PagerDuty | ChannelKind::Ntfy { .. } => Some(Secret::new("planted-key")),
        ChannelKind::Slack | ChannelKind::Teams => None,
    };
    let name = kind.name().to_owned();
    let channel = Channel { kind, url: Secret::new(url), key, ca: None };
    Receiver { name, on: vec![Wants::Alerts], kind: ReceiverKind::Channel(channel) }
}

fn context(transition: &Transition, ordinal: u32) -> MailContext<'_> {
    MailContext {
        transition,
        ordinal,
        unmoved: &[],
        retrain: &RetrainNote::None,
        replay: None,
        external_url: Some("https://driftline.example.org"),
        api: "https://driftline.example.org",
        may_write: true,
    }
}

fn rows(transition: &Transition, ordinal: u32, to: &Receiver) -> Vec<OutboxRow> {
    let notify = [to.name.clone()];
    rows_for(&context(transition, ordinal), std::slice::from_ref(to), &notify).unwrap()
}

/// The body of a request is the golden one of the name; `UPDATE_GOLDEN=1` writes it.
#[track_caller]
fn check(name: &str, body: &[u8]) {
    let found: Value = serde_json::from_slice(body).unwrap();
    let mut found = serde_json::to_string_pretty(&found).unwrap();
    found.push('\n');
    let path = format!("{}/src/tests/channel/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), found, "{path}");
}

fn status(line: &str, header: &str) -> Answer {
    Answer::Send(format!("HTTP/1.1 {line}\r\n{header}content-length: 0\r\n\r\n"))
}

#[tokio::test]
async fn each_is_sent_its_own_form_and_what_is_stored_holds_no_secret() {
    let all = transitions(Watch::Windows, Class::InputShift, "aaoo");
    for kind in kinds() {
        let answers = vec![status("202 Accepted", ""), status("200 OK", "")];
        let server = HttpServer::start(answers).await;
        let to = receiver(kind, &server.url);
        let deliverer = Deliverer::new(std::slice::from_ref(&to), &settings()).unwrap();
        for (transition, state) in all.iter().zip(["firing", "resolved"]) {
            let row = rows(transition, 0, &to).remove(0);
            let stored = serde_json::to_string(&row).unwrap();
            assert!(!stored.contains("planted"), "{stored}");
            assert_eq!(serde_json::from_str::<OutboxRow>(&stored).unwrap(), row);
            assert_eq!(deliverer.send(&row).await, Outcome::Delivered, "{}", to.name);
            let request = server.requests().pop().unwrap();
            check(&format!("{}.{state}", to.name), &request.body);
            let token = (to.name == "ntfy").then_some("Bearer planted-key");
            assert_eq!(request.header("authorization"), token);
            assert_eq!(request.header("webhook-id"), None);
        }
    }
}

#[tokio::test]
async fn what_can_never_be_taken_fails_and_everything_else_is_tried_again() {
    let transition = transitions(Watch::Windows, Class::Serving, "aa").remove(0);
    let again = |after_s: Option<u64>| (true, after_s.map(Duration::from_secs));
    let table = [
        ("400 Bad Request", "", (false, None)),
        ("403 Forbidden", "", (false, None)),
        ("404 Not Found", "", (false, None)),
        ("413 Payload Too Large", "", (false, None)),
        ("429 Too Many Requests", "retry-after: 30\r\n", again(Some(30))),
        ("500 Oops", "", again(None)),
        ("503 Unavailable", "", again(None)),
    ];
    for kind in kinds() {
        for (line, header, (tried_again, after)) in table {
            let server = HttpServer::start(vec![status(line, header)]).await;
            let to = receiver(kind.clone(), &server.url);
            let deliverer = Deliverer::new(std::slice::from_ref(&to), &settings()).unwrap();
            let outcome = deliverer.send(&rows(&transition, 0, &to)[0]).await;
            let (why, waits) = match &outcome {
                Outcome::Retry { after: waits, why } => (why, (true, *waits)),
                Outcome::Failed { why } => (why, (false, None)),
                other => panic!("{line}: {other:?}"),
            };
            assert_eq!(waits, (tried_again, after), "{}: {line}", to.name);
            assert!(why.contains(to_title(&to)) && !why.contains("127.0.0.1"), "{why}");
        }
    }
}

fn to_title(receiver: &Receiver) -> &'static str {
    match &receiver.kind {
        ReceiverKind::Channel(channel) => channel.kind.title(),
        other => panic!("{other:?}"),
    }
}

/// PagerDuty keeps one alert of an incident by its key: it is acknowledged, not told again, and resolved.
#[test]
fn pagerduty_is_told_once_acknowledged_and_resolved_under_one_key() {
    let all = transitions(Watch::Windows, Class::InputShift, "aaoo");
    let to = receiver(ChannelKind::PagerDuty, "http://localhost:1/");
    let told = |transition: &Transition, ordinal: u32| -> Vec<Value> {
        let rows = rows(transition, ordinal, &to);
        rows.iter().map(|row| serde_json::to_value(&row.kind).unwrap()).collect()
    };
    assert_eq!(told(&all[0], 1), Vec::<Value>::new(), "repeats are its own affair");
    let acceptance = Acceptance { by: "on-call".into(), reason: "known".into(), at_us: 0 };
    let notify = [to.name.clone()];
    let accepted =
        accepted_rows(&context(&all[0], 0), &acceptance, std::slice::from_ref(&to), &notify);
    let mut bodies: Vec<Value> = told(&all[0], 0);
    bodies.push(serde_json::to_value(&accepted[0].kind).unwrap());
    bodies.extend(told(&all[1], 0));
    let seen: Vec<(String, String)> = bodies
        .iter()
        .map(|kind| {
            let body: Value =
                serde_json::from_str(kind["channel"]["body"].as_str().unwrap()).unwrap();
            let text = |key: &str| body[key].as_str().unwrap().to_owned();
            (text("event_action"), text("dedup_key"))
        })
        .collect();
    let key = all[0].incident.clone();
    let expected =
        ["trigger", "acknowledge", "resolve"].map(|action| (action.to_owned(), key.clone()));
    assert_eq!(seen, expected);
    let slack = receiver(ChannelKind::Slack, "http://localhost:1/");
    assert_eq!(accepted_rows(&context(&all[0], 0), &acceptance, &[slack], &["slack".into()]), []);
}

/// A text of a producer is data: Slack reads `<!channel>` as a call to everybody.
#[test]
fn nothing_in_a_finding_calls_a_channel() {
    let mut transition = transitions(Watch::Windows, Class::InputShift, "aa").remove(0);
    transition.subjects[0].because = "<!channel> & <https://example.org|here>".to_owned();
    let to = receiver(ChannelKind::Slack, "http://localhost:1/");
    let kind = serde_json::to_value(&rows(&transition, 0, &to)[0].kind).unwrap();
    let body = kind["channel"]["body"].as_str().unwrap();
    assert!(!body.contains('<') && body.contains("&lt;!channel&gt; &amp;"), "{body}");
}

/// A receiver was found to be mistyped by the first incident, which nobody read.
#[tokio::test]
async fn every_receiver_can_be_tried_with_a_message_that_says_so() {
    use crate::outbox::test_row;

    for kind in kinds() {
        let server = HttpServer::start(vec![status("202 Accepted", "")]).await;
        let to = receiver(kind, &server.url);
        let deliverer = Deliverer::new(std::slice::from_ref(&to), &settings()).unwrap();
        let row = test_row(&to, Some("https://driftline.example.org"), 1).unwrap().unwrap();
        assert_eq!(deliverer.send(&row).await, Outcome::Delivered);
        let body = String::from_utf8(server.requests().remove(0).body).unwrap();
        assert!(body.contains("tries the way to its receiver: nothing happened"), "{body}");
        assert!(!body.contains("trigger"), "nobody is woken: {body}");
    }
}
