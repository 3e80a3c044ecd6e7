//! Reports that their topic does not take.

use std::time::Duration;

use driftline_config::Secret;
use driftline_ingest::{Connection, EmbeddedBroker, ReportProducer};

use super::*;

const PATIENCE: Duration = Duration::from_secs(120);

fn record(sequence: u64, columns: usize) -> Record {
    let findings = "x".repeat(columns);
    let value = format!("{{\"window\":{{\"id\":\"flights@1\"}},\"findings\":\"{findings}\"}}");
    Record { sequence, key: "flights".to_owned(), value }
}

/// It was tried again for ever, and every later report waited behind it.
#[test]
fn a_report_that_is_too_large_is_given_up_and_the_next_one_goes_on() {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("reports", 1).unwrap();
    let properties = [("message.max.bytes".to_owned(), Secret::new("2000".to_owned()))];
    let connection = Connection {
        bootstrap: broker.bootstrap().to_owned(),
        properties: properties.into(),
        ..Connection::default()
    };
    let producer = ReportProducer::start(&connection, "reports").unwrap();
    let publisher = Publisher::start(producer).unwrap();

    publisher.submit(record(1, 3000)).unwrap();
    let fate = publisher.fates.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fate, Fate { sequence: 1, too_large: true });
    let trouble = publisher.trouble().unwrap();
    assert!(trouble.contains("max.message.bytes"), "{trouble}");

    publisher.submit(record(2, 10)).unwrap();
    let fate = publisher.fates.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fate, Fate { sequence: 2, too_large: false });
    assert_eq!(publisher.trouble(), None);
}

#[test]
fn the_window_of_a_report_is_named_in_the_log() {
    assert_eq!(window_of(&record(1, 1).value), "flights@1");
    assert_eq!(window_of("no report"), "");
}
