//! Where the log falls silent the wall clock closes a window, once: the decision is kept and replayed.

use std::time::{Duration, UNIX_EPOCH};

use driftline_config::time::{DAY_US, SECOND_US};
use serde_json::Value;

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::traffic::{self, FIRST_DAY_US, LATENESS_US, MODELS, Meaning, Plan, Record};

const DAYS: i64 = 2;
/// What is left of the last window and its lateness when the log falls silent.
const LEFT_US: i64 = 3 * SECOND_US;

#[test]
fn a_silent_topic_closes_its_window_by_the_clock_and_replays() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { records: 4000, days: DAYS, broken: 0, late: 0, ..Plan::default() };
    let mut log = traffic::log(&plan);
    log.retain(|record| !matches!(record.meaning, Meaning::Heartbeat { .. }));
    let end_us = FIRST_DAY_US + DAYS * DAY_US;
    for model in 0..MODELS.len() {
        let last = traffic::further_row(&log, model, end_us + LATENESS_US - LEFT_US);
        log.push(last);
    }
    let scene = Scene::new(kafka, "idle", plan.partitions, "").with_idle_partitions();
    traffic::produce(kafka, &scene.topic, &sent_now(&log));

    let service = scene.start();
    let mut ids = Vec::new();
    for model in MODELS {
        let reports = service.wait_for_reports(model, DAYS as usize);
        let window = &reports[1]["window"];
        for partition in 0..plan.partitions {
            let by =
                |window: &Value| window["cuts"][&scene.topic][partition.to_string()]["by"].clone();
            assert_eq!((by(&reports[0]["window"]), by(window)), ("log".into(), "idle".into()));
        }
        assert_eq!(window["complete"], true);
        ids.push(window["id"].as_str().unwrap().to_owned());
    }
    let shown = |service: &crate::rig::service::Service| -> Vec<String> {
        ids.iter().map(|id| service.get(&format!("/api/v1/reports/{id}"))).collect()
    };
    let before = shown(&service);
    service.kill();

    // Its window is closed, whatever the log says now: after a crash, and for the replay.
    let late = traffic::further_row(&log, 0, end_us - DAY_US / 2);
    traffic::produce(kafka, &scene.topic, &sent_now(&[late]));
    let service = scene.start();
    let ledger = service.wait_for_ledger(&scene.topic, log.len() as u64 + 1);
    assert_eq!(
        (&ledger["total"]["late"], &ledger["imbalance"]),
        (&1.into(), &0.into()),
        "{ledger}"
    );
    assert_eq!(shown(&service), before);
    for id in &ids {
        let (code, stdout, stderr) = scene.run("replay", &["--window", id]);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
    }
}

/// The same records as a service sends them that sends them now: the clock goes on from there.
fn sent_now(log: &[Record]) -> Vec<Record> {
    let now = UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    let timestamp_us = now.as_micros() as i64;
    log.iter().map(|record| Record { timestamp_us, ..record.clone() }).collect()
}
