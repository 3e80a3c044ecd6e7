//! Requests and responses that are records of their own, on a real broker: killed in the middle, every half is
//! accounted for, and the reports replay to the byte.

use std::collections::BTreeMap;
use std::fs;

use driftline_config::time::{HOUR_US, SECOND_US, parse_instant_us};
use serde_json::Value;

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::traffic::{self, Meaning, Record};

const PARTITIONS: u64 = 3;
const REQUESTS: i64 = 12_000;
const EVERY_US: i64 = SECOND_US;

fn first_us() -> i64 {
    parse_instant_us("2026-03-02T00:00:00Z").unwrap()
}

/// How many requests of each window have a response, or none, by hour.
type Expected = BTreeMap<i64, (u64, u64)>;

/// One in fifty requests has no response; halves lie on any partition, and up to half a minute apart.
fn log() -> (Vec<Record>, Expected) {
    let mut records: Vec<(i64, u64, String)> = Vec::new();
    let mut expected = Expected::new();
    for index in 0..REQUESTS {
        let asked_us = first_us() + index * EVERY_US;
        let hour = expected.entry((asked_us - first_us()) / HOUR_US).or_default();
        let (x, kind) = (index * 7919 % 1000, index % 3);
        let text = format!(
            r#"{{"id":"r{index}","side":"request","time":{asked_us},"in":{{"x":{x},"kind":"k{kind}"}}}}"#
        );
        records.push((asked_us, (index * 31 % 7) as u64 % PARTITIONS, text));
        if index % 50 == 0 {
            hour.1 += 1;
            continue;
        }
        hour.0 += 1;
        let answered_us = asked_us + index * 104_729 % (30 * SECOND_US);
        let score = index * 611 % 997;
        let text = format!(
            r#"{{"id":"r{index}","side":"response","time":{answered_us},"status":200,"out":{{"score":{score}}}}}"#
        );
        records.push((answered_us, (index * 17 % 11) as u64 % PARTITIONS, text));
    }
    records.sort();
    let record = |(timestamp_us, partition, value): (i64, u64, String)| Record {
        partition: partition as i32,
        offset: 0,
        key: "m".to_owned(),
        value: value.into_bytes(),
        timestamp_us,
        meaning: Meaning::Skipped,
    };
    (records.into_iter().map(record).collect(), expected)
}

const MODEL: &str = "  - name: m
    baseline: pairs.json
    tolerance: {ks: 0.2, psi: 0.3}
    window: {every: 1h, lateness: 5m, idle: off, at_least: 1}
    operations: {every: 1m, lateness: 1m}
    captures:
      topic: TOPIC
      format: json
      map:
        id: /id
        ts: {at: /time, unit: us}
        status: /status
        features: /in
        predictions: /out
        pair: {key: /id, side: /side, within: 60s}
";

#[test]
fn pairs_survive_a_kill_and_replay_to_the_byte() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("pairs", PARTITIONS as u32, &[]);
    let other = kafka.create_topic("others", 1, &[]);
    let model = MODEL.replace("TOPIC", &topic);
    let scene =
        Scene::on(kafka, &other, "pairs", "").with("models:\n", &format!("models:\n{model}"));
    let rows: String = (0..3000)
        .map(|row| {
            let (x, kind, score) = (row * 7919 % 1000, row % 3, row * 611 % 997);
            format!("{{\"x\":{x},\"kind\":\"k{kind}\",\"score\":{score}}}\n")
        })
        .collect();
    fs::write(scene.folder.path().join("pairs.jsonl"), rows).unwrap();
    let arguments = "--model m --data pairs.jsonl --rename score=prediction:score \
                     --predictions held-out --out pairs.json";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let (code, stdout, stderr) = scene.run("baseline", &arguments);
    assert_eq!(code, Some(0), "{stdout}{stderr}");

    let (records, expected) = log();
    let (first, rest) = records.split_at(records.len() / 2 + 777);
    traffic::produce(kafka, &topic, first);
    let service = scene.start();
    service.wait_for_ledger(&topic, first.len() as u64 / 3);
    service.kill();
    traffic::produce(kafka, &topic, rest);
    let service = scene.start();
    let ledger = service.wait_for_ledger(&topic, records.len() as u64);
    assert_eq!(ledger["total"]["counted"], records.len() as u64, "{ledger}");
    // The last hour is not over.
    let hours = expected.len() - 1;
    let mut ids = Vec::new();
    for report in service.wait_for_reports("m", hours) {
        let window = &report["window"];
        let start_us = parse_instant_us(window["start"].as_str().unwrap()).unwrap();
        let (paired, response_missing) = expected[&((start_us - first_us()) / HOUR_US)];
        let pairs = &window["pairs"];
        assert_eq!(pairs["paired"], paired, "{window}");
        assert_eq!(pairs["response_missing"], response_missing, "{window}");
        assert_eq!(pairs["request_missing"], 0, "{window}");
        assert_eq!(window["rows"], paired + response_missing);
        assert_eq!(report["status"]["5xx"], response_missing);
        let slowest_us = report["latency"]["p99_us"]["value"].clone();
        assert!(slowest_us != Value::Null, "latencies lie between the halves: {report}");
        ids.push(window["id"].as_str().unwrap().to_owned());
    }
    let metric = "driftline_pairs_total{model=\"m\",outcome=\"paired\"}";
    let paired = service.wait_until("to count pairs", |service| service.metric(metric));
    assert!(paired >= expected.values().take(hours).map(|(paired, _)| *paired as f64).sum());
    for id in &ids {
        let (code, stdout, stderr) = scene.run("replay", &["--window", id]);
        assert_eq!(code, Some(0), "{id}: {stdout}{stderr}");
    }
    let out = scene.folder.path().join("rows.parquet");
    let arguments = ["--window", &ids[0], "--out", out.to_str().unwrap()];
    let (code, stdout, stderr) = scene.run("export", &arguments);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    // A baseline of the topic itself has the columns of both halves.
    let arguments = ["--model", "m", "--captures", "--out", "again.json"];
    let (code, stdout, stderr) = scene.run("baseline", &arguments);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let again = fs::read_to_string(scene.folder.path().join("again.json")).unwrap();
    assert!(again.contains("feature:x") && again.contains("prediction:score"));
}
