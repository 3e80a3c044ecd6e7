//! Records that are large, and records that are too large, against the embedded broker.

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;

const PATIENCE: Duration = Duration::from_secs(120);

fn connection(bootstrap: String) -> Connection {
    Connection { bootstrap, ..Connection::default() }
}

/// Two megabytes: a report of 800 columns.
fn large() -> Vec<u8> {
    vec![b'x'; 2_000_000]
}

/// A report of many columns was refused by librdkafka's own limit of a million bytes, for ever.
#[test]
fn a_record_of_two_megabytes_is_sent() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("reports", 1, 1).unwrap();
    let connection = connection(cluster.bootstrap_servers());

    let reports = ReportProducer::start(&connection, "reports").unwrap();
    reports.send("flights", &large(), PATIENCE).unwrap();

    let captures = CaptureProducer::start(&connection).unwrap();
    let value = large();
    let capture = Capture {
        topic: "reports",
        partition: Some(0),
        key: None,
        value: &value,
        timestamp_us: None,
    };
    captures.send(&capture).unwrap();
    captures.flush(PATIENCE).unwrap();
}

#[test]
fn what_the_broker_finds_too_large_is_told_from_what_may_be_sent_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("reports", 1, 1).unwrap();
    let producer = ReportProducer::start(&connection(cluster.bootstrap_servers()), "reports");
    let producer = producer.unwrap();

    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    let error = producer.send("flights", b"a report", PATIENCE).unwrap_err();
    assert!(matches!(error, IngestError::TooLarge { bytes: 15, .. }), "{error}");
    assert!(error.to_string().contains("max.message.bytes"), "{error}");

    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION],
    );
    let error = producer.send("flights", b"a report", PATIENCE).unwrap_err();
    assert!(matches!(error, IngestError::Delivery { .. }), "{error}");

    producer.send("flights", b"a report", PATIENCE).unwrap();
}
