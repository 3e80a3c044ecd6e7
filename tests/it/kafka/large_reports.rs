//! Reports of many columns on a real broker: the topic decides which of them is too large.

use driftline_ingest::{Connection, IngestError, ReportProducer};

use crate::rig::PATIENCE;
use crate::rig::kafka;

/// As many letters that hardly compress.
fn noise(letters: usize) -> String {
    let mut state = 7u64;
    let letter = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"
                [(state >> 58) as usize],
        )
    };
    (0..letters).map(letter).collect()
}

#[test]
fn the_topic_decides_which_report_is_too_large() {
    let Some(kafka) = kafka::broker() else { return };
    let connection = Connection { bootstrap: kafka.bootstrap.clone(), ..Connection::default() };
    let report = noise(2_000_000);

    let wide = kafka.create_topic("reports", 1, &[("max.message.bytes", "4000000")]);
    let producer = ReportProducer::start(&connection, &wide).unwrap();
    producer.send("credit", report.as_bytes(), PATIENCE).unwrap();
    assert_eq!(kafka.records(&wide)[0]["value"], report.as_str());

    let narrow = kafka.create_topic("reports", 1, &[("max.message.bytes", "100000")]);
    let producer = ReportProducer::start(&connection, &narrow).unwrap();
    let error = producer.send("credit", report.as_bytes(), PATIENCE).unwrap_err();
    assert!(matches!(error, IngestError::TooLarge { .. }), "{error}");
    // What comes after it is sent as if nothing had been.
    producer.send("credit", b"small", PATIENCE).unwrap();
    let records = kafka.records(&narrow);
    assert_eq!((records.len(), &records[0]["value"]), (1, &serde_json::json!("small")));
}
