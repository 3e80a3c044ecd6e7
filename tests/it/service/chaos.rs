//! A service that dies at every named place, is frozen, stopped and killed, beside idle partitions: every
//! record is in the ledger once, every report replays to the byte, every message arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::{Duration, UNIX_EPOCH};

use driftline_config::time::DAY_US;
use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, MODELS, Meaning, Plan, Record};
use crate::rig::webhook::Webhook;

/// Deaths of the short form; `make chaos` asks for more.
const DEATHS: usize = 50;
/// How long a process may live that is meant to die at a place which it may never pass.
const LONGEST_LIFE: Duration = Duration::from_secs(4);
/// So many deaths visit every end.
const ENDS: usize = 9;
const RESTART: &str = "restart";
/// Places that every life passes which finds something to read.
const WHILE_READING: [&str; 3] = ["after-poll", "before-commit", "after-commit"];
/// Places that a life passes which has something to send; that which dies at the first leaves it to the
/// other.
const WHILE_SENDING: [&str; 2] = ["before-send", "after-send"];
const DAYS: i64 = 6;

/// How a life ends.
#[derive(Debug, Clone)]
enum End {
    /// At a place of `src/faults.rs`, the n-th time.
    At(&'static str, u32),
    /// `kill -9` after so many records of the part.
    Killed(u64),
    /// SIGTERM.
    Asked,
    /// SIGSTOP, then SIGCONT, then `kill -9`.
    Frozen,
}

#[test]
fn whatever_kills_the_service_nothing_is_lost_and_everything_replays() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let deaths = env::var("DRIFTLINE_CHAOS_KILLS").ok().and_then(|text| text.parse().ok());
    let deaths = deaths.unwrap_or(DEATHS).max(ENDS);
    let plan = Plan {
        records: (deaths as u64 * 700).max(12_000),
        partitions: 4,
        days: DAYS,
        late: 9,
        older: Some((3, 8)),
        ..Plan::default()
    };
    let mut log = traffic::log(&plan);
    fall_silent(&mut log);
    let receiver =
        format!("receivers:\n  - {{name: hook, webhook: {{url: \"{}\"}}}}\n", hook.url());
    let scene = Scene::new(kafka, "chaos", plan.partitions, &receiver).with_idle_partitions();

    // What closes the last windows is held back.
    let is_end = |record: &Record| matches!(record.meaning, Meaning::Heartbeat { .. });
    let (days, ends) = log.split_at(log.iter().position(is_end).unwrap());
    let (mut sent, mut died_at) = (0, BTreeSet::new());
    let parts = days.len().div_ceil(deaths);
    for (number, part) in days.chunks(parts).enumerate() {
        traffic::produce(kafka, &scene.topic, part);
        let end = end_of(number);
        died_at.extend(live_until(&scene, &end, sent, part.len() as u64));
        sent += part.len() as u64;
    }
    traffic::produce(kafka, &scene.topic, ends);
    sent += ends.len() as u64;
    for place in WHILE_SENDING {
        // The reports of the last windows are still to be sent, if not of others as well.
        died_at.extend(die_at(&scene, place, 1, PATIENCE));
    }
    // Deaths that nobody has to die would let this test pass where `DRIFTLINE_FAULT` is not heard.
    let places = [RESTART].iter().chain(&WHILE_READING).chain(&WHILE_SENDING);
    assert_eq!(died_at, places.copied().collect(), "the places at which a process ended by itself");

    let service = scene.start();
    let ledger = service.wait_for_ledger(&scene.topic, sent);
    balances(&ledger, &log);
    let mut ids = Vec::new();
    for model in MODELS {
        for report in service.wait_for_reports(model, DAYS as usize) {
            ids.push(report["window"]["id"].as_str().unwrap().to_owned());
        }
    }
    service.wait_for_an_empty_outbox();
    messages_arrived(&service, &hook);
    for id in &ids {
        let (code, stdout, stderr) = scene.run("replay", &["--window", id]);
        assert_eq!(code, Some(0), "{id}: {stdout}{stderr}");
    }
    letters_are_exact(&kafka.records(&format!("{}.driftline.dead-letter", scene.topic)), &log);
}

/// Each death is another one, in an order that visits all of them.
fn end_of(number: usize) -> End {
    let nth = 1 + (number / ENDS) as u32 % 3;
    match number % ENDS {
        0 => End::At("after-poll", nth),
        1 => End::At("before-commit", nth),
        2 => End::At("after-commit", nth),
        3 => End::At("before-send", nth),
        4 => End::At("after-send", nth),
        5 => End::At(RESTART, 1),
        6 => End::Frozen,
        7 => End::Asked,
        _ => End::Killed(37 * number as u64 % 500),
    }
}

/// The last partition holds rows of the first half only: windows close without it. Everything is sent
/// now, so that the clock goes on from there, and nothing is too far ahead of that.
fn fall_silent(log: &mut Vec<Record>) {
    let half_us = traffic::FIRST_DAY_US + DAYS * DAY_US / 2;
    let last = log.iter().map(|record| record.partition).max().unwrap_or(0);
    log.retain(|record| record.partition != last || record.timestamp_us < half_us);
    log.retain(|record| record.meaning != Meaning::Broken("future"));
    let now_us = UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_micros() as i64;
    let mut offsets: BTreeMap<i32, i64> = BTreeMap::new();
    for record in log.iter_mut() {
        let next = offsets.entry(record.partition).or_default();
        (record.offset, record.timestamp_us) = (*next, now_us);
        *next += 1;
    }
}

/// Lets the service live over a part, the records behind the first `sent`; tells the place at which it
/// died by itself.
fn live_until(scene: &Scene, end: &End, sent: u64, part: u64) -> Option<&'static str> {
    match *end {
        End::At(place, nth) => {
            let comes = place == RESTART || (nth == 1 && WHILE_READING.contains(&place));
            return die_at(scene, place, nth, if comes { PATIENCE } else { LONGEST_LIFE });
        }
        End::Killed(records) => {
            let service = scene.start();
            service.wait_for_ledger(&scene.topic, sent + records.min(part));
            service.kill();
        }
        End::Asked => {
            let service = scene.start();
            service.wait_for_ledger(&scene.topic, sent + part / 2);
            service.stop();
        }
        End::Frozen => {
            let service = scene.start();
            service.signal("-STOP");
            std::thread::sleep(Duration::from_millis(1500));
            service.signal("-CONT");
            service.wait_for_ledger(&scene.topic, sent + part / 2);
            service.kill();
        }
    }
    None
}

/// Starts a service that is to die at a place; names the place where it did within `patience`.
fn die_at(
    scene: &Scene,
    place: &'static str,
    nth: u32,
    patience: Duration,
) -> Option<&'static str> {
    let fault = format!("export DRIFTLINE_FAULT={place}:{nth};");
    let service = Service::spawn_after(&scene.config, scene.port, &fault);
    service.ends_by_itself(patience).then_some(place)
}

/// Nothing lost, nothing twice: rejected, skipped and heartbeats exactly, rows as counted or late.
fn balances(ledger: &Value, log: &[Record]) {
    let wanted = traffic::sums(&traffic::outcomes(log));
    let total = &ledger["total"];
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    for column in ["read", "rejected", "skipped", "control"] {
        assert_eq!(total[column], wanted[column], "{column}: {ledger}");
    }
    let rows = |sums: &Value| sums["counted"].as_u64().unwrap() + sums["late"].as_u64().unwrap();
    assert_eq!(rows(total), rows(&wanted), "{ledger}");
}

/// Every transition in the history of alerts arrived at least once, and a repeated one said the same.
fn messages_arrived(service: &Service, hook: &Webhook) {
    let mut transitions = BTreeSet::new();
    let alerts = service.json("/api/v1/alerts");
    let logged = alerts["history"].as_array().or(alerts["transitions"].as_array());
    for transition in logged.unwrap_or(&Vec::new()) {
        transitions.insert(transition["id"].as_str().unwrap_or_default().to_owned());
    }
    assert!(!transitions.is_empty(), "no transition to be told: {alerts}");
    let id_of = |delivery: &Value| {
        delivery["headers"]["webhook-id"].as_str().unwrap_or_default().to_owned()
    };
    // A number of deliveries would not do: some are repeated.
    let deliveries = hook.wait_for("delivery of each transition", |deliveries| {
        let ids: Vec<String> = deliveries.iter().map(id_of).collect();
        let arrived = |wanted: &String| ids.iter().any(|id| id.contains(wanted.as_str()));
        transitions.iter().all(arrived).then(|| deliveries.to_vec())
    });
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    for delivery in &deliveries {
        let body: Value = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
        let known = bodies.entry(id_of(delivery)).or_insert(body.clone());
        assert_eq!(*known, body, "the same id, another body");
    }
}

/// Every broken record is a dead letter, no other is, and repeats say the same.
fn letters_are_exact(letters: &[Value], log: &[Record]) {
    let mut found: BTreeMap<(String, String), (&Value, &Value)> = BTreeMap::new();
    for letter in letters {
        let headers = letter["headers"].as_array().unwrap();
        let header = |name: &str| {
            let header = headers.iter().find(|header| header[0] == name);
            header.map(|header| header[1].as_str().unwrap_or_default().to_owned()).unwrap()
        };
        let place = (header("driftline.partition"), header("driftline.offset"));
        let content = (&letter["headers"], &letter["value"]);
        assert_eq!(*found.entry(place).or_insert(content), content, "another letter");
    }
    let mut wanted = BTreeMap::new();
    for record in log {
        if let Meaning::Broken(reason) = record.meaning {
            wanted.insert((record.partition.to_string(), record.offset.to_string()), reason);
        }
    }
    let places =
        |letters: Vec<&(String, String)>| letters.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(places(found.keys().collect()), places(wanted.keys().collect()));
}
