//! Alerts that stand: what takes their place, what is never revived; and what a silence does to them
//! and to messages.

use std::collections::BTreeMap;

use driftline_alerting::Class;
use driftline_alerting::alertmanager::Alert;
use driftline_config::time::MINUTE_US;

use super::*;

const PATIENCE: Duration = Duration::from_secs(120);

struct Rig {
    worker: Deliveries,
    settled: Inbox<Settled>,
    attempts: Inbox<Attempt>,
}

impl Rig {
    fn new() -> Rig {
        let (settled, settled_inbox) = sync_channel(100);
        let (attempts, attempts_inbox) = sync_channel(100);
        let worker = Deliveries {
            waiting: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            latest: BTreeMap::new(),
            settled,
            attempts,
            silences: Arc::default(),
            log_starts: Arc::default(),
        };
        Rig { worker, settled: settled_inbox, attempts: attempts_inbox }
    }

    fn item(&mut self, sequence: u64, incident: &str, ends_us: Option<i64>) {
        self.worker.on_item(sequence, row(sequence, incident, ends_us));
    }

    /// Lets a waiting message be on its way; what is sent of it.
    fn send(&mut self, sequence: u64) -> Option<OutboxRow> {
        let mut waiting = self.worker.waiting.keys();
        let key = *waiting.find(|key| key.1 == sequence).expect("it waits");
        let mut message = self.worker.waiting.remove(&key).unwrap();
        let Some(sent) = self.worker.as_sent(&mut message, 0) else {
            self.worker.waiting.insert(key, message);
            return None;
        };
        self.worker
            .on_their_way
            .insert((sent.id.clone(), sent.receiver.clone()), (sequence, message));
        Some(sent)
    }

    fn receipt(&mut self, sequence: u64, outcome: Outcome, next_at_us: Option<i64>) {
        self.worker.on_receipt(Receipt {
            row_id: sequence.to_string(),
            receiver: "am".to_owned(),
            outcome,
            attempt: 1,
            next_at_us,
            at_us: 0,
        });
    }

    /// Sequence numbers, with a mark where the row stays.
    fn settled(&self) -> Vec<String> {
        let settled = self.settled.try_iter();
        settled
            .map(|it| format!("{}{}", it.sequence, if it.stands { " stands" } else { "" }))
            .collect()
    }

    fn waiting(&self) -> Vec<u64> {
        self.worker.waiting.keys().map(|key| key.1).collect()
    }

    fn outcomes(&self) -> Vec<&'static str> {
        self.attempts.try_iter().map(|attempt| attempt.outcome()).collect()
    }
}

fn row(sequence: u64, incident: &str, ends_us: Option<i64>) -> OutboxRow {
    let alert = Alert {
        labels: BTreeMap::from([("incident".to_owned(), incident.to_owned())]),
        annotations: BTreeMap::new(),
        starts_us: 0,
        ends_us,
        generator_url: None,
    };
    OutboxRow {
        id: sequence.to_string(),
        receiver: "am".to_owned(),
        kind: RowKind::Alert(alert),
        model: "m".to_owned(),
        class: Class::InputShift,
        at_us: 0,
        created_by: sequence.to_string(),
    }
}

fn retry() -> Outcome {
    Outcome::Retry { after: None, why: "away".to_owned() }
}

#[test]
fn an_alert_stands_until_a_later_one_takes_its_place() {
    let mut rig = Rig::new();
    rig.item(1, "a", None);
    rig.item(2, "b", None);
    rig.send(1);
    rig.receipt(1, Outcome::Delivered, Some(MINUTE_US));
    assert_eq!((rig.settled(), rig.waiting()), (vec!["1 stands".to_owned()], vec![2, 1]));
    rig.send(1);
    rig.receipt(1, Outcome::Delivered, Some(2 * MINUTE_US));
    assert_eq!(rig.settled(), Vec::<String>::new(), "it stood before");
    assert_eq!(rig.outcomes(), ["delivered", "resent"]);

    rig.item(3, "a", Some(7));
    assert_eq!((rig.settled(), rig.waiting()), (vec!["1".to_owned()], vec![2, 3]));
    rig.send(3);
    rig.receipt(3, Outcome::Delivered, None);
    assert_eq!((rig.settled(), rig.waiting()), (vec!["3".to_owned()], vec![2]));
    assert_eq!(rig.worker.latest.len(), 1, "nothing is kept of what is over");
}

#[test]
fn what_is_over_is_not_revived_by_a_late_retry() {
    let mut rig = Rig::new();
    rig.item(1, "a", None);
    rig.send(1);
    rig.item(2, "a", Some(7));
    rig.receipt(1, retry(), Some(5));
    assert_eq!((rig.settled(), rig.waiting()), (vec!["1".to_owned()], vec![2]));

    // The store gives rows back in any order.
    let mut rig = Rig::new();
    rig.item(2, "a", Some(7));
    rig.item(1, "a", None);
    assert_eq!((rig.settled(), rig.waiting()), (vec!["1".to_owned()], vec![2]));
    rig.send(2);
    rig.receipt(2, retry(), Some(5));
    assert_eq!((rig.settled(), rig.waiting()), (vec![], vec![2]), "an end is tried again");
}

#[test]
fn a_silence_ends_what_stands_and_lets_it_fire_again() {
    let mut rig = Rig::new();
    let silence = Silence {
        id: "s".to_owned(),
        model: None,
        class: None,
        until_us: MINUTE_US,
        by: "on-call".to_owned(),
        reason: "known".to_owned(),
    };
    let silences = Arc::clone(&rig.worker.silences);
    rig.item(1, "a", None);
    silences.write().unwrap().push(silence.clone());
    assert_eq!(rig.send(1), None, "what nobody was told is kept back");
    silences.write().unwrap().clear();
    rig.send(1);
    rig.receipt(1, Outcome::Delivered, Some(MINUTE_US));

    silences.write().unwrap().push(silence);
    let end = rig.send(1).unwrap();
    assert!(end.kind.ends_an_alert(), "{end:?}");
    rig.receipt(1, retry(), Some(5));
    assert!(rig.send(1).unwrap().kind.ends_an_alert(), "until it is delivered");
    rig.receipt(1, Outcome::Delivered, None);
    assert_eq!((rig.send(1), rig.waiting()), (None, vec![1]), "its row stays");

    silences.write().unwrap().clear();
    assert!(rig.send(1).unwrap().kind.alert().unwrap().is_standing());
    assert_eq!(rig.outcomes(), ["delivered", "retry", "delivered"]);
}

/// It stayed in the outbox, was looked at every second, and went out when the silence ended.
#[test]
fn a_silenced_message_is_settled_as_not_sent() {
    let webhook = |class| OutboxRow {
        id: "transition".to_owned(),
        kind: RowKind::Webhook { event: "alert.firing".to_owned(), body: "{}".to_owned() },
        class,
        ..row(1, "a", None)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let delivery = Delivery::start(runtime.handle(), &[], Illustrate::by(|_| Vec::new())).unwrap();
    delivery.silence(&[Silence {
        id: "s".to_owned(),
        model: Some("m".to_owned()),
        class: Some(Class::InputShift),
        until_us: i64::MAX,
        by: "on-call".to_owned(),
        reason: "known".to_owned(),
    }]);
    delivery.submit(7, Box::new(webhook(Class::InputShift))).unwrap();
    assert_eq!(delivery.settled.recv_timeout(PATIENCE).unwrap().sequence, 7);
    let attempt = delivery.attempts.recv_timeout(PATIENCE).unwrap();
    assert_eq!((attempt.receipt.outcome.name(), attempt.receipt.attempt), ("silenced", 0));

    // Another class goes its way: here to a receiver that is no longer there, without an attempt.
    delivery.submit(8, Box::new(webhook(Class::Serving))).unwrap();
    assert_eq!(delivery.settled.recv_timeout(PATIENCE).unwrap().sequence, 8);
    assert!(delivery.attempts.try_recv().is_err());
}

/// A training job was told that all rows were there by a request that had waited for it longer than the log
/// kept them.
#[test]
fn a_request_for_retraining_is_sent_as_the_log_is_by_then() {
    let body = serde_json::json!({
        "type": "retrain.requested", "timestamp": "2026-11-10T01:00:00Z",
        "data": {
            "retrain_id": "0f", "model": "m", "incident": "1e", "windows": [], "reason": [],
            "reasons_total": 0, "baseline_sha256": "aa", "config_sha256": "bb", "replay": "",
            "train_on": {
                "topic": "t", "format": "driftline-json", "since": "2026-11-09T00:00:00Z",
                "ranges": [{"partition": 0, "from": 100, "to": 200}],
                "select": {
                    "model": "m", "versions": [], "ts_from": "2026-11-09T00:00:00Z",
                    "ts_before": "2026-11-10T00:00:00Z",
                },
                "rows": 100, "history": {"from": "2026-11-09T00:00:00Z", "ranges": []},
                "labels": null, "complete": true, "expires": null, "export": "",
            },
        },
    });
    let mut rig = Rig::new();
    let event = "retrain.requested".to_owned();
    let kind = RowKind::Webhook { event, body: body.to_string() };
    rig.worker.on_item(1, OutboxRow { kind, ..row(1, "a", None) });
    let starts = Arc::clone(&rig.worker.log_starts);
    let mut complete = || {
        let sent = rig.send(1).unwrap();
        let RowKind::Webhook { body, .. } = sent.kind else { panic!("a webhook") };
        rig.receipt(1, retry(), Some(5));
        serde_json::from_str::<RetrainRequest>(&body).unwrap().data.train_on.complete
    };
    assert!(complete(), "nobody has told where the log begins");
    let begin_at = |offset: i64| {
        starts.write().unwrap().insert("t".to_owned(), [(Partition(0), offset)].into());
    };
    begin_at(100);
    assert!(complete());
    begin_at(101);
    assert!(!complete());
}
