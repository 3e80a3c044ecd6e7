//! The whole way of 200 000 captures: every record is counted, late, rejected, skipped or control, and
//! a second reading of the rules says which.

use std::collections::{BTreeMap, BTreeSet};

use driftline_config::time::DAY_US;
use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::kafka::{self, Kafka};
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, MODELS, Meaning, Outcome, Plan, Record, STRANGER};

const RECORDS: u64 = 200_000;
const PARTITIONS: u64 = 6;
const DAYS: i64 = 8;

#[test]
fn every_record_of_a_large_log_is_counted_once_or_named() {
    let Some(kafka) = kafka::broker() else { return };
    let plan =
        Plan { records: RECORDS, partitions: PARTITIONS, days: DAYS, late: 9, ..Plan::default() };
    let log = traffic::log(&plan);
    let outcomes = traffic::outcomes(&log);
    let scene = Scene::new(kafka, "way", PARTITIONS, "");
    traffic::produce(kafka, &scene.topic, &log);

    let service = scene.start();
    let ledger = service.wait_for_ledger(&scene.topic, log.len() as u64);
    the_ledger_is_exact(&ledger, &log, &outcomes);
    every_broken_record_is_a_dead_letter(kafka, &scene, &log);
    let reports = every_window_is_reported(kafka, &scene, &service);
    for (model, name) in MODELS.iter().enumerate() {
        let of_model = reports.iter().filter(|report| report["model"] == *name);
        windows_tile_the_log(of_model, model, &scene.topic, &log, &outcomes);
    }
}

fn share(outcomes: &[Outcome], wanted: fn(&Outcome) -> bool) -> f64 {
    outcomes.iter().filter(|outcome| wanted(outcome)).count() as f64 / outcomes.len() as f64
}

fn the_ledger_is_exact(ledger: &Value, log: &[Record], outcomes: &[Outcome]) {
    let shares =
        [share(outcomes, |o| *o == Outcome::Late), share(outcomes, |o| *o == Outcome::Rejected)];
    assert!(
        shares[0] > 0.004 && shares[1] > 0.009,
        "the traffic is not what it should be: {shares:?}"
    );
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    assert_eq!(traffic::sorted(&ledger["total"]), traffic::sums(outcomes));
    for partition in 0..PARTITIONS {
        let of_partition = log.iter().zip(outcomes);
        let of_partition = of_partition.filter(|(record, _)| record.partition == partition as i32);
        let mut wanted = traffic::sums(of_partition.map(|(_, outcome)| outcome));
        wanted["position"] = wanted["read"].clone();
        assert_eq!(
            traffic::sorted(&ledger["partitions"][partition.to_string()]),
            traffic::sorted(&wanted)
        );
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for record in log {
        if let Meaning::Broken(reason) = record.meaning {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    assert_eq!(reasons.len(), 9, "every reason there is");
    assert_eq!(traffic::sorted(&ledger["rejected"]), json!(reasons));
    let skipped = outcomes.iter().filter(|outcome| **outcome == Outcome::Skipped).count();
    assert_eq!(ledger["skipped"], json!({STRANGER: skipped}));
}

fn every_broken_record_is_a_dead_letter(kafka: &Kafka, scene: &Scene, log: &[Record]) {
    let broken: BTreeMap<(String, String), (&Record, &str)> = log
        .iter()
        .filter_map(|record| match record.meaning {
            Meaning::Broken(reason) => {
                let place = (record.partition.to_string(), record.offset.to_string());
                Some((place, (record, reason)))
            }
            _ => None,
        })
        .collect();
    let topic = format!("{}.driftline.dead-letter", scene.topic);
    let letters = kafka.wait_for_records(&topic, broken.len(), PATIENCE);
    assert_eq!(letters.len(), broken.len(), "nothing was interrupted, so nothing is repeated");
    let mut met = BTreeSet::new();
    for letter in &letters {
        let header = |name: &str| {
            let headers = letter["headers"].as_array().unwrap().iter();
            let mut values = headers.filter(|header| header[0] == format!("driftline.{name}"));
            values.next().unwrap_or_else(|| panic!("no {name}: {letter}"))[1].as_str().unwrap()
        };
        let place = (header("partition").to_owned(), header("offset").to_owned());
        let (record, reason) = broken
            .get(&place)
            .unwrap_or_else(|| panic!("nothing is wrong with {place:?}: {letter}"));
        assert_eq!(header("reason"), *reason, "{place:?}: {letter}");
        assert_eq!(header("topic"), scene.topic);
        assert!(!header("detail").is_empty() && header("detail").len() <= 256, "{letter}");
        assert_eq!(bytes(&letter["value"]), record.value, "{place:?}: {reason}");
        assert_eq!(bytes(&letter["key"]), record.key.as_bytes());
        assert_eq!(letter["timestamp_ms"], record.timestamp_us / 1000);
        met.insert(place);
    }
    assert_eq!(met.len(), broken.len(), "each of them once");
}

fn bytes(value: &Value) -> Vec<u8> {
    match value["hex"].as_str() {
        Some(hex) => (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect(),
        None => value.as_str().expect("text or hex").as_bytes().to_vec(),
    }
}

/// Each window once or more with the same bytes, in the topic as in the API. Returns them by window.
fn every_window_is_reported(kafka: &Kafka, scene: &Scene, service: &Service) -> Vec<Value> {
    let windows = MODELS.len() * DAYS as usize;
    let records = kafka.wait_for_records(&scene.reports, windows, PATIENCE);
    let mut reports: BTreeMap<String, &str> = BTreeMap::new();
    for record in &records {
        let text = record["value"].as_str().unwrap();
        let report: Value = serde_json::from_str(text).unwrap();
        assert_eq!(report["model"], record["key"]);
        let id = report["window"]["id"].as_str().unwrap().to_owned();
        assert_eq!(*reports.entry(id).or_insert(text), text, "the same window, other bytes");
    }
    assert_eq!(reports.len(), windows, "{:?}", reports.keys());
    for (id, text) in &reports {
        assert_eq!(service.get(&format!("/api/v1/reports/{id}")), **text, "{id}");
    }
    reports.into_values().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// The strips of a model's windows follow one another without a hole, and say what lies in them.
fn windows_tile_the_log<'a>(
    reports: impl Iterator<Item = &'a Value>,
    model: usize,
    topic: &str,
    log: &[Record],
    outcomes: &[Outcome],
) {
    let mut next = vec![0; PARTITIONS as usize];
    let mut start_us = traffic::FIRST_DAY_US;
    let mut previous = Value::Null;
    for report in reports {
        let window = &report["window"];
        let counted = Outcome::Counted { model, start_us };
        let rows = outcomes.iter().filter(|outcome| **outcome == counted).count();
        assert_eq!(window["rows"], rows, "{}", window["id"]);
        assert_eq!(window["complete"], true, "{}", window["id"]);
        assert_eq!(window["parts"], 1);
        assert_eq!(window["previous"], previous);
        let mut strips = vec![0..0; PARTITIONS as usize];
        for (partition, next) in next.iter_mut().enumerate() {
            let cut = &window["cuts"][topic][partition.to_string()];
            assert_eq!(
                (cut["from"].as_i64(), &cut["by"]),
                (Some(*next), &json!("log")),
                "{window}"
            );
            let to = cut["to"].as_i64().unwrap();
            strips[partition] = *next..to;
            *next = to;
        }
        let inside = log
            .iter()
            .zip(outcomes)
            .filter(|(record, _)| strips[record.partition as usize].contains(&record.offset));
        assert_eq!(
            traffic::sorted(&window["ledger"]),
            traffic::sums(inside.map(|(_, outcome)| outcome))
        );
        previous = window["id"].clone();
        start_us += DAY_US;
    }
    assert_eq!(start_us, traffic::FIRST_DAY_US + DAYS * DAY_US);
}
