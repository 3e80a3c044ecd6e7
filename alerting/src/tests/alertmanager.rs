//! Alerts: what they say, that they stand until they end, and that many go with one POST.

use std::collections::BTreeMap;
use std::time::Duration;

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};
use driftline_config::{Alertmanager, Receiver, ReceiverKind, Secret, Wants};
use serde_json::{Value, json};

use super::deliver_http::{PATIENCE, row, settings};
use super::servers::{Answer, HttpServer};
use super::story::{START_US, Watch, run, transitions};
use crate::alertmanager::{Alert, alert_name, body, lease_us};
use crate::deliver::{Deliverer, Outcome};
use crate::dispatch::{Dispatcher, Receipt};
use crate::mail::{MailContext, RetrainNote};
use crate::outbox::{OutboxRow, RowKind, Silence, accepted_rows, rows_for, silenced_by};
use crate::schedule::next_alert_attempt;
use crate::{Acceptance, Class, Transition};

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

fn receiver(name: &str, url: &str) -> Receiver {
    let alertmanager = Alertmanager {
        url: Secret::new(url),
        headers: BTreeMap::from([(String::from("Authorization"), Secret::new("Bearer am"))]),
        ca: None,
        resend_us: MINUTE_US,
        runbook: Some(String::from("https://runbook.example.org/driftline")),
    };
    let kind = ReceiverKind::Alertmanager(alertmanager);
    Receiver { name: name.to_owned(), on: vec![Wants::Alerts], kind }
}

/// Firing and resolved of one incident.
fn incident() -> Vec<Transition> {
    let all = transitions(Watch::Windows, Class::InputShift, "aaoo");
    assert_eq!(all.len(), 2);
    all
}

fn alert_row(id: &str, alert: Alert) -> OutboxRow {
    OutboxRow { kind: RowKind::Alert(alert), ..row(id, "am") }
}

#[test]
fn an_alert_keeps_its_labels_from_firing_to_resolved() {
    let all = incident();
    let [firing, resolved] =
        [&all[0], &all[1]].map(|step| Alert::new(&context(step, 0), Some("https://r/b.md")));
    let expected = json!({
        "alertname": "DriftlineInputShift", "class": "input shift", "incident": all[0].id,
        "model": "flight-delay", "severity": "warning",
    });
    assert_eq!(json!(firing.labels), expected);
    assert_eq!(firing.labels, resolved.labels);
    assert_eq!(firing.incident(), all[0].id);
    assert_eq!((firing.starts_us, firing.ends_us), (START_US, None));
    assert_eq!((resolved.starts_us, resolved.ends_us), (START_US, Some(all[1].at_us)));
    assert_eq!(
        json!(firing.annotations),
        json!({
            "summary": "flight-delay: input shift in dep_delay since 24 June",
            "description": "The requests of flight-delay differ from its baseline.\n\
                - dep_delay moved by 0.16\n\
                Since: 24 June 2013 00:00 UTC; 2 of the last 2 windows at alarm",
            "runbook_url": "https://r/b.md#driftlineinputshift",
        })
    );
    assert!(resolved.annotations["summary"].contains("resolved"), "{resolved:?}");
    let page = "https://driftline.example.org/models/flight-delay";
    assert_eq!(firing.generator_url.as_deref(), Some(page));
    let names: std::collections::BTreeSet<&str> = Class::ALL.map(alert_name).into();
    assert_eq!(names.len(), Class::ALL.len());
}

#[test]
fn what_stands_ends_later_and_nothing_lies_in_the_future() {
    let all = incident();
    let firing = Alert::new(&context(&all[0], 0), None);
    let resolved = Alert::new(&context(&all[1], 0), None);
    let times = |alert: &Alert, now_us: i64| -> (String, String) {
        let written: Value = serde_json::from_str(&body(&[alert], now_us, HOUR_US)).unwrap();
        let text = |name: &str| written[0][name].as_str().unwrap().to_owned();
        (text("startsAt"), text("endsAt"))
    };
    let instants = |start: &str, end: &str| (start.to_owned(), end.to_owned());
    let later_us = all[1].at_us + HOUR_US;
    for (alert, now_us, expected) in [
        (&firing, later_us, instants("2013-06-24T00:00:00Z", "2013-06-28T03:00:00Z")),
        (&resolved, later_us, instants("2013-06-24T00:00:00Z", "2013-06-28T01:00:00Z")),
        // The clocks of those who send captures were ahead.
        (
            &firing,
            START_US - 1,
            instants("2013-06-23T23:59:59.999999Z", "2013-06-24T00:59:59.999999Z"),
        ),
        (&resolved, START_US + HOUR_US, instants("2013-06-24T00:00:00Z", "2013-06-24T01:00:00Z")),
        (&resolved, START_US - HOUR_US, instants("2013-06-23T23:00:00Z", "2013-06-23T23:00:00Z")),
    ] {
        assert_eq!(times(alert, now_us), expected);
    }
    let written: Value = serde_json::from_str(&body(&[&firing, &resolved], 0, 1)).unwrap();
    assert_eq!(written.as_array().map(Vec::len), Some(2));
    assert_eq!(written[0]["annotations"].get("runbook_url"), None);
    assert_eq!(lease_us(MINUTE_US), 4 * MINUTE_US);
    assert_eq!(lease_us(SECOND_US), 4 * MINUTE_US, "a moment of bad luck ends nothing");
    assert_eq!(lease_us(10 * MINUTE_US), 40 * MINUTE_US);
}

#[test]
fn an_alertmanager_repeats_by_itself_and_is_told_of_acceptance() {
    let all = incident();
    let receivers = [receiver("am", "http://localhost:1/")];
    let notify = [String::from("am")];
    let rows = |ordinal| rows_for(&context(&all[0], ordinal), &receivers, &notify).unwrap();
    assert!(rows(1).is_empty());
    let firing = rows(0).remove(0);
    assert_eq!((firing.id.as_str(), firing.kind.ends_an_alert()), (&*all[0].id, false));
    let stored = serde_json::to_string(&firing).unwrap();
    assert_eq!(serde_json::from_str::<OutboxRow>(&stored).unwrap(), firing);
    let resolved = rows_for(&context(&all[1], 0), &receivers, &notify).unwrap().remove(0);
    assert!(resolved.kind.ends_an_alert());

    let acceptance = Acceptance { by: "me".into(), reason: "known".into(), at_us: 7 };
    let accepted =
        |notify: &[String]| accepted_rows(&context(&all[0], 0), &acceptance, &receivers, notify);
    assert!(accepted(&[]).is_empty());
    let row = accepted(&notify).remove(0);
    assert_eq!(row.id, format!("{}.accepted", all[0].id));
    let alert = row.kind.alert().unwrap();
    assert_eq!((alert.ends_us, &alert.labels), (Some(7), &firing.kind.alert().unwrap().labels));
    let says = &alert.annotations["description"];
    assert!(says.starts_with("Accepted by me, silent until it grows: known\n"), "{says}");
}

#[test]
fn a_silence_keeps_alerts_back_and_says_why_it_ends_them() {
    let all = incident();
    let silence = Silence {
        id: String::from("s"),
        model: None,
        class: Some(Class::InputShift),
        until_us: HOUR_US,
        by: String::from("on-call"),
        reason: String::from("migration"),
    };
    let alert = Alert::new(&context(&all[0], 0), None);
    let row = alert_row("1", alert.clone());
    assert!(silenced_by(&row, std::slice::from_ref(&silence), 0).is_some());
    let ended = alert.silenced(&silence, 5);
    assert_eq!(ended.ends_us, Some(5));
    let says = &ended.annotations["description"];
    assert!(
        says.starts_with("Silenced by on-call until 1970-01-01T01:00:00Z: migration\n"),
        "{says}"
    );
}

#[test]
fn a_failed_alert_is_tried_again_soon_and_one_that_stands_for_ever() {
    let wait_us = |attempt, stands| next_alert_attempt(attempt, 0, None, MINUTE_US, stands);
    for (attempt, seconds) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (4000, 60)] {
        let waited_us = wait_us(attempt, false).unwrap();
        let least_us = seconds * SECOND_US;
        assert!((least_us..=least_us + least_us / 10).contains(&waited_us), "attempt {attempt}");
    }
    assert_eq!(wait_us(75 * 60 + 1, false), None, "after 75 hours");
    assert!(wait_us(u32::MAX, true).is_some());
    let often = next_alert_attempt(1, 0, None, SECOND_US, true).unwrap();
    assert!(often <= SECOND_US + SECOND_US / 10, "{often}");
    let asked = Some(Duration::from_secs(120));
    assert!(next_alert_attempt(1, 0, asked, MINUTE_US, true).unwrap() >= 120 * SECOND_US);
}

fn answer(line: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Send(format!("HTTP/1.1 {line}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

async fn next(receipts: &mut tokio::sync::mpsc::Receiver<Receipt>) -> Receipt {
    tokio::time::timeout(PATIENCE, receipts.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn rows_that_wait_go_together_and_what_stands_comes_again() {
    let server = HttpServer::start(vec![answer("503 Busy", ""), answer("200 OK", "")]).await;
    let base = server.url.replace("/hook", "/prefix/");
    let deliverer = Deliverer::new(&[receiver("am", &base)], &settings()).unwrap();
    assert_eq!(deliverer.resend("am"), Some(Duration::from_secs(60)));
    let all = incident();
    let firing = alert_row("firing", Alert::new(&context(&all[0], 0), None));
    let resolved = alert_row("resolved", Alert::new(&context(&all[1], 0), None));
    let webhook = row("webhook", "am");

    let outcomes = deliverer.send_all("am", &[&firing, &webhook]).await;
    assert!(matches!(&outcomes[0], Outcome::Retry { why, .. } if why.contains("Alertmanager")));
    assert!(matches!(&outcomes[1], Outcome::Failed { why } if why.contains("another way")));
    let (dispatcher, mut receipts) = Dispatcher::start(deliverer);
    // Both are queued before the lane first runs: this runtime has one thread.
    dispatcher.submit(firing, 0).unwrap();
    dispatcher.submit(resolved, 0).unwrap();
    let first = next(&mut receipts).await;
    let wait_us = first.next_at_us.unwrap() - first.at_us;
    assert_eq!((first.outcome, wait_us), (Outcome::Delivered, MINUTE_US));
    let second = next(&mut receipts).await;
    assert_eq!((second.outcome, second.next_at_us), (Outcome::Delivered, None));
    dispatcher.stop(Duration::ZERO).await;

    let requests = server.requests();
    assert_eq!(requests.len(), 2, "one refused, one for both");
    assert_eq!(requests[1].line, "POST /prefix/api/v2/alerts HTTP/1.1");
    assert_eq!(requests[1].header("authorization"), Some("Bearer am"));
    assert_eq!(requests[1].header("webhook-id"), None);
    let posted: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!(posted.as_array().map(Vec::len), Some(2), "{posted}");
}

#[tokio::test]
async fn gone_is_no_farewell_of_an_alertmanager() {
    let server = HttpServer::start(vec![answer("410 Gone", "")]).await;
    let deliverer = Deliverer::new(&[receiver("am", &server.url)], &settings()).unwrap();
    let (_, steps) = run(Watch::Windows, Class::InputShift, "aa");
    let alert = alert_row("1", Alert::new(&context(&steps[1][0], 0), None));
    assert!(matches!(deliverer.send(&alert).await, Outcome::Retry { .. }));
}

#[tokio::test]
async fn an_alertmanager_is_known_by_its_status() {
    let status = r#"{"versionInfo":{"version":"0.25.0"},"uptime":"…"}"#;
    for (answer, expected) in [
        (answer("200 OK", status), Ok("Alertmanager 0.25.0 answers")),
        (answer("200 OK", "<html>"), Err("what answers is no Alertmanager with API v2")),
        (answer("404 Not Found", ""), Err("the Alertmanager answered 404 Not Found")),
    ] {
        let server = HttpServer::start(vec![answer]).await;
        let deliverer = Deliverer::new(&[receiver("am", &server.url)], &settings()).unwrap();
        let reached = deliverer.reach("am").await;
        assert_eq!(reached, expected.map(str::to_owned).map_err(str::to_owned));
        assert_eq!(server.requests()[0].line, "GET /hook/api/v2/status HTTP/1.1");
    }
    let nowhere = Deliverer::new(&[receiver("am", "http://127.0.0.1:1/x")], &settings()).unwrap();
    let why = nowhere.reach("am").await.unwrap_err();
    assert!(why.starts_with("the Alertmanager cannot be reached") && !why.contains("/x"), "{why}");
}
