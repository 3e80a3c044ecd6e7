//! Which queue waits for which way out.

use driftline_alerting::Class;
use driftline_alerting::mail::Illustrate;
use driftline_alerting::outbox::RowKind;
use driftline_ingest::{Connection, ReportProducer};
use tokio::runtime::Runtime;

use super::super::publisher::HANDED_OVER;
use super::*;

fn report(sequence: u64) -> OutboxItem {
    let body = OutboxBody::Report { key: "flights".to_owned(), value: "{}".to_owned() };
    OutboxItem { sequence, body }
}

fn message(sequence: u64) -> OutboxItem {
    let row = OutboxRow {
        id: format!("transition-{sequence}"),
        receiver: "ops".to_owned(),
        kind: RowKind::Webhook { event: "alert.firing".to_owned(), body: "{}".to_owned() },
        model: "flights".to_owned(),
        class: Class::InputShift,
        at_us: 0,
        created_by: String::new(),
    };
    OutboxItem { sequence, body: OutboxBody::Message(Box::new(row)) }
}

/// A broker that never answers: port 9 of the loopback interface discards.
fn publisher() -> Publisher {
    let connection = Connection { bootstrap: "127.0.0.1:9".to_owned(), ..Connection::default() };
    Publisher::start(ReportProducer::start(&connection, "reports").unwrap()).unwrap()
}

fn outgoing(runtime: &Runtime, publisher: Option<Publisher>) -> Outgoing {
    Outgoing::new(
        Delivery::start(runtime.handle(), &[], Illustrate::by(|_| Vec::new())).unwrap(),
        publisher,
    )
}

/// Mail waited behind the reports of a topic that took none.
#[test]
fn messages_do_not_wait_for_the_reports_topic() {
    let runtime = Runtime::new().unwrap();
    let mut outgoing = outgoing(&runtime, Some(publisher()));
    let reports = HANDED_OVER as u64 + 10;
    for sequence in 0..reports {
        outgoing.push(report(sequence));
    }
    outgoing.push(message(reports));
    outgoing.hand_over();
    assert!(!outgoing.reports.is_empty());
    assert_eq!(outgoing.messages.len(), 0);
}

#[test]
fn reports_do_not_wait_for_messages() {
    let runtime = Runtime::new().unwrap();
    let mut outgoing = outgoing(&runtime, Some(publisher()));
    outgoing.delivery.stop(runtime.handle());
    outgoing.push(message(1));
    outgoing.push(report(2));
    outgoing.hand_over();
    assert_eq!((outgoing.messages.len(), outgoing.reports.len()), (1, 0));
    assert_eq!(outgoing.receivers().collect::<Vec<_>>(), ["ops"]);
}

/// They stayed in the store for ever and counted against `limits.outbox`.
#[test]
fn reports_that_nobody_publishes_any_more_are_done() {
    let runtime = Runtime::new().unwrap();
    let mut outgoing = outgoing(&runtime, None);
    outgoing.push(report(1));
    outgoing.push(report(2));
    outgoing.push(message(3));
    assert_eq!(outgoing.take_done(), [1, 2]);
    assert_eq!(outgoing.queues(), [("outbox", 1), ("reports", 0), ("delivery", 0)]);
    outgoing.hand_over();
    assert_eq!(outgoing.queues(), [("outbox", 0), ("reports", 0), ("delivery", 1)]);
}
