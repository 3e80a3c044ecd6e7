//! Models without a section each, on a real broker: met in the middle of a log, killed in the middle, listed, and
//! replayed to the byte.

use std::fs;

use driftline_config::time::{HOUR_US, SECOND_US, parse_instant_us};
use serde_json::Value;

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::traffic::{self, Meaning, Record};

const PARTITIONS: i64 = 3;
const CAPTURES: i64 = 12_000;
/// Of `fraud-c` there is no baseline; `churn` matches nothing.
const NAMES: [&str; 4] = ["fraud-a", "fraud-b", "fraud-c", "churn"];

const TEMPLATE: &str = "  - match: \"fraud-.*\"
    captures: {topic: TOPIC}
    baseline: \"baselines/{model}.json\"
    tolerance: {ks: 0.2, psi: 0.3}
    window: {every: 1h, lateness: 5m, idle: off, at_least: 1}
    operations: {every: 1m, lateness: 1m}
";

/// A capture every three seconds; `fraud-b` comes for the first time in the second hour.
fn log() -> Vec<Record> {
    let first_us = parse_instant_us("2026-03-02T00:00:00Z").unwrap();
    let capture = |index: i64| {
        let time_us = first_us + index * 3 * SECOND_US;
        let mut name = NAMES[(index * 31 % 4) as usize];
        if name == "fraud-b" && time_us < first_us + HOUR_US {
            name = "fraud-a";
        }
        let (x, kind, ms) = (index * 7919 % 1000, index % 3, time_us / 1000);
        let value = format!(
            r#"{{"v":1,"model":"{name}","ts":{ms},"features":{{"x":{x},"kind":"k{kind}"}}}}"#
        );
        Record {
            partition: (index * 17 % 11 % PARTITIONS) as i32,
            offset: 0,
            key: name.to_owned(),
            value: value.into_bytes(),
            timestamp_us: time_us,
            meaning: Meaning::Skipped,
        }
    };
    (0..CAPTURES).map(capture).collect()
}

#[test]
fn models_of_a_template_are_met_killed_listed_and_replayed() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("template", PARTITIONS as u32, &[]);
    let other = kafka.create_topic("others", 1, &[]);
    let template = TEMPLATE.replace("TOPIC", &topic);
    let scene =
        Scene::on(kafka, &other, "template", "").with("models:\n", &format!("models:\n{template}"));
    let folder = scene.folder.path();
    fs::create_dir(folder.join("baselines")).unwrap();
    let row = |row: i64| format!("{{\"x\":{},\"kind\":\"k{}\"}}\n", row * 7919 % 1000, row % 3);
    fs::write(folder.join("rows.jsonl"), (0..3000).map(row).collect::<String>()).unwrap();
    for name in ["fraud-a", "fraud-b"] {
        let out = format!("baselines/{name}.json");
        let arguments = ["--model", name, "--data", "rows.jsonl", "--out", &out];
        let (code, stdout, stderr) = scene.run("baseline", &arguments);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
    }
    let (_, stdout, _) = scene.run("validate", &[]);
    assert!(stdout.contains("1 template"), "{stdout}");

    let records = log();
    let (first, rest) = records.split_at(records.len() / 2 + 777);
    traffic::produce(kafka, &topic, first);
    let service = scene.start();
    service.wait_for_ledger(&topic, first.len() as u64 / 3);
    service.kill();
    traffic::produce(kafka, &topic, rest);
    let service = scene.start();
    let ledger = service.wait_for_ledger(&topic, records.len() as u64);
    let counted = ledger["total"]["counted"].as_u64().unwrap();
    assert_eq!(counted, records.len() as u64 / 2, "two of four names are monitored: {ledger}");
    let says = service.wait_for_trouble("model fraud-c");
    assert!(says.contains("baselines/fraud-c.json"), "{says}");
    let models: Value = service.json("/api/v1/models");
    let listed = models.to_string();
    for (name, is_listed) in NAMES.iter().zip([true, true, false, false]) {
        assert_eq!(listed.contains(&format!("\"{name}\"")), is_listed, "{name}: {listed}");
    }
    assert!(service.get("/").contains("fraud-b"), "the page lists it");
    for (name, windows) in [("fraud-a", 9), ("fraud-b", 8)] {
        for report in service.wait_for_reports(name, windows) {
            let id = report["window"]["id"].as_str().unwrap();
            assert_eq!(report["window"]["complete"], true, "{report}");
            let (code, stdout, stderr) = scene.run("replay", &["--window", id]);
            assert_eq!(code, Some(0), "{id}: {stdout}{stderr}");
        }
        let series = format!("driftline_windows_total{{model=\"{name}\",level=\"ok\"}}");
        assert!(service.metric(&series).is_some(), "{series}");
    }
    service.stop();
    // A start from the checkpoint lists them before anything is read.
    let service = scene.start();
    assert!(service.json("/api/v1/models").to_string().contains("fraud-b"));
}
