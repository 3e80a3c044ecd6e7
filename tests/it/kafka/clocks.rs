//! `doctor` over topics of a real broker on which a clock is wrong.

use std::time::UNIX_EPOCH;

use driftline_config::time::{MINUTE_US, SECOND_US, format_instant, parse_instant_us};
use serde_json::{Value, json};

use crate::rig::kafka::{self, Kafka};
use crate::rig::scene::Scene;
use crate::rig::traffic::MODELS;

const HALF_HOUR_US: i64 = 30 * MINUTE_US;

/// A row whose producer's clock is so far ahead of the one that these tests go by.
fn row(partition: i32, time_us: i64, ahead_us: i64) -> Value {
    let time_us = time_us + ahead_us;
    let value = json!({"model": MODELS[0], "ts": format_instant(time_us)}).to_string();
    json!({"partition": partition, "timestamp_ms": time_us / 1000, "value": value})
}

fn now_us() -> i64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64)
}

/// Four producers in turns, each row a second after the one before, the last one now.
fn in_turns(ahead_us: [i64; 4]) -> Vec<Value> {
    let (now_us, rows) = (now_us(), 200);
    let one = |number: usize| {
        let ago_us = (rows - number) as i64 * SECOND_US;
        row((number % 4 / 2) as i32, now_us - ago_us, ahead_us[number % 4])
    };
    (0..rows).map(one).collect()
}

/// What `doctor` says of the clocks of a topic, and of its timestamps.
fn doctor(kafka: &Kafka, topic: &str) -> (String, String) {
    let scene = Scene::on(kafka, topic, "clocks", "");
    let (code, stdout, stderr) = scene.run("doctor", &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let of = |check: &str| {
        let lines = stdout.lines().filter(|line| line.contains(&format!("topic {topic}: {check}")));
        lines.collect::<Vec<_>>().join("\n")
    };
    (of("clocks"), of("timestamps"))
}

/// Of four producers with one clock 30 minutes fast nothing was said, and 1773 of 2400 rows were late.
#[test]
fn doctor_names_the_partition_of_a_fast_producer() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("fast", 2, &[("message.timestamp.after.max.ms", "3600000")]);
    kafka.produce(&topic, in_turns([0; 4]));
    let (clocks, timestamps) = doctor(kafka, &topic);
    assert!(clocks.starts_with("ok") && clocks.contains("agree in the last 200 rows"), "{clocks}");
    assert!(timestamps.contains("refuses what lies more than 1h ahead"), "{timestamps}");

    kafka.produce(&topic, in_turns([0, 0, 0, HALF_HOUR_US]));
    let (clocks, _) = doctor(kafka, &topic);
    assert!(clocks.starts_with("warn"), "{clocks}");
    assert!(clocks.contains("partition 1 (50 of 100 rows by up to 29m)"), "{clocks}");
    assert!(clocks.contains("the clock of a producer is fast"), "{clocks}");
    assert!(!clocks.contains("partition 0") && !clocks.contains("lateness"), "{clocks}");
}

/// It lies long before the last rows of its partition.
#[test]
fn doctor_finds_one_row_of_the_year_2999() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("far", 2, &[]);
    let far_us = parse_instant_us("2999-01-01T00:00:00Z").unwrap();
    kafka.produce(&topic, vec![row(0, now_us() - MINUTE_US, 0), row(0, far_us, 0)]);
    kafka.produce(&topic, in_turns([0; 4]).into_iter().chain(in_turns([0; 4])).collect());
    let (clocks, timestamps) = doctor(kafka, &topic);
    assert!(
        clocks.starts_with("warn") && clocks.contains("partition 0 (1 of 101 rows"),
        "{clocks}"
    );
    assert!(clocks.contains("the clock of a producer is fast"), "{clocks}");
    assert!(
        timestamps.contains("message.timestamp.after.max.ms=3600000 on the topic"),
        "{timestamps}"
    );
}

/// The broker's stamp tells a fast producer even where nobody asks what the time is here.
#[test]
fn doctor_compares_ts_with_the_brokers_timestamps() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("stamped", 2, &[("message.timestamp.type", "LogAppendTime")]);
    kafka.produce(&topic, in_turns([0, 0, 0, HALF_HOUR_US]));
    let (clocks, timestamps) = doctor(kafka, &topic);
    assert!(timestamps.contains("LogAppendTime: stamped by the broker"), "{timestamps}");
    assert!(clocks.contains("partition 1 (50 of 100 rows by up to 29m)"), "{clocks}");
    assert!(clocks.contains("beyond the broker's timestamp"), "{clocks}");
    assert!(!clocks.contains("partition 0") && !clocks.contains("lateness"), "{clocks}");
}
