//! A service that is killed again and again says what one that nobody disturbed says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::kafka::{self, Kafka};
use crate::rig::outcome::Outcome;
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, Meaning, Plan, Record};
use crate::rig::webhook::Webhook;

const RECORDS: u64 = 200_000;
const PARTITIONS: u64 = 6;
const DAYS: i64 = 8;
/// Parts in which the log is written while the service reads it; each ends in a kill.
const PARTS: usize = 12;

#[test]
fn a_killed_service_reports_what_an_undisturbed_one_reports() {
    let Some(kafka) = kafka::broker() else { return };
    let options = json!({});
    let (Some(disturbed_hook), Some(calm_hook)) =
        (Webhook::start(&options), Webhook::start(&options))
    else {
        return;
    };
    let plan = Plan {
        records: RECORDS,
        partitions: PARTITIONS,
        days: DAYS,
        late: 9,
        older: Some((4, 8)),
        ..Plan::default()
    };
    let log = traffic::log(&plan);
    let disturbed = Scene::new(kafka, "crash", PARTITIONS, &receiver(&disturbed_hook));
    let calm = Scene::on(kafka, &disturbed.topic, "calm", &receiver(&calm_hook));

    let dead_letters = format!("{}.driftline.dead-letter", disturbed.topic);
    let mut parts = log.chunks(log.len().div_ceil(PARTS));
    let first = parts.next().unwrap();
    traffic::produce(kafka, &disturbed.topic, first);
    killed_before_its_first_checkpoint(kafka, &disturbed, &dead_letters);
    let mut service = disturbed.start();
    let mut sent = first.len() as u64;
    for (number, part) in (1..).zip(parts) {
        let before = Before { sent, written: newest(&state(&disturbed)) };
        traffic::produce(kafka, &disturbed.topic, part);
        service = killed_within(service, &disturbed, number, &before, part);
        sent += part.len() as u64;
    }
    let found = Outcome::of(&service, &disturbed.topic, sent, DAYS);
    dead_letters_repeat_themselves(&kafka.records(&dead_letters), &log);
    let wanted = Outcome::of(&calm.start(), &calm.topic, sent, DAYS);
    found.equals(&wanted);
    found.was_published(kafka, &disturbed.reports);

    let wanted = messages(&calm_hook, 1);
    let found = messages(&disturbed_hook, wanted.len());
    assert!(wanted.values().any(|body| body["type"] == "retrain.requested"), "{wanted:?}");
    let ids = |messages: &BTreeMap<String, Value>| messages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&found), ids(&wanted));
    for (id, body) in &wanted {
        assert_eq!(found[id]["data"]["train_on"]["ranges"], body["data"]["train_on"]["ranges"]);
    }
}

/// What was read after the last checkpoint was read again: its dead letters are there twice and say the
/// same. That some are shows that the kills hit where it hurts; the first one does for certain.
fn dead_letters_repeat_themselves(letters: &[Value], log: &[Record]) {
    let broken = log.iter().filter(|record| matches!(record.meaning, Meaning::Broken(_))).count();
    let mut distinct = BTreeMap::new();
    for letter in letters {
        let headers = &letter["headers"];
        let place =
            headers.as_array().unwrap().iter().filter(|header| {
                header[0] == "driftline.partition" || header[0] == "driftline.offset"
            });
        let place = place.map(|header| header[1].to_string()).collect::<Vec<_>>();
        let content = (headers, &letter["value"], &letter["key"]);
        assert_eq!(*distinct.entry(place).or_insert(content), content, "another letter");
    }
    assert_eq!(distinct.len(), broken, "each broken record");
    assert!(letters.len() > broken, "no kill came between a dead letter and its checkpoint");
}

fn receiver(hook: &Webhook) -> String {
    format!("receivers:\n  - {{name: hook, webhook: {{url: \"{}\"}}}}\n", hook.url())
}

/// Kills a service that has no checkpoint when it is about to write its first one, once its dead letters
/// have arrived: the next one sends them again. Where it began to write before it had read a broken
/// record, which a slow machine may do, it is killed there again.
fn killed_before_its_first_checkpoint(kafka: &Kafka, scene: &Scene, dead_letters: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let fault = "export DRIFTLINE_FAULT=before-commit:1;";
        let service = Service::spawn_after(&scene.config, scene.port, fault);
        assert!(service.ends_by_itself(PATIENCE), "it never wrote a checkpoint");
        if !kafka.records(dead_letters).is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no dead letter came before a checkpoint");
    }
}

/// How it was before a part of the log was written. Afterwards is too late to ask: the service may have read
/// the part and written its checkpoint meanwhile, and then nothing more is written.
struct Before {
    /// Records.
    sent: u64,
    /// When the service last wrote anything.
    written: Option<SystemTime>,
}

/// Lets the service read into `part`, kills it at a moment that is another one each time, and starts it
/// again.
fn killed_within(
    service: Service,
    scene: &Scene,
    number: usize,
    before: &Before,
    part: &[Record],
) -> Service {
    match number % 4 {
        // Right after it began to read the part.
        0 => drop(service.wait_for_ledger(&scene.topic, before.sent + 1)),
        // Right after it wrote a checkpoint.
        1 => {
            let state = state(scene);
            service.wait_until("to write", |_| (newest(&state) > before.written).then_some(()));
        }
        // When it has read half of the part or more, and a little later.
        2 => {
            service.wait_for_ledger(&scene.topic, before.sent + part.len() as u64 / 2);
            thread::sleep(Duration::from_millis(137 * number as u64 % 400));
        }
        // While it recovers from being killed.
        _ => {
            service.kill();
            let again = Service::spawn(&scene.config, scene.port);
            thread::sleep(Duration::from_millis(61 * number as u64 % 300));
            again.kill();
            return scene.start();
        }
    }
    service.kill();
    scene.start()
}

fn state(scene: &Scene) -> PathBuf {
    scene.folder.path().join("state")
}

/// When a file of a folder was last written.
fn newest(folder: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(folder).ok()?.flatten();
    files.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

/// Messages by their id, as soon as there are so many; a repeated one says the same again.
fn messages(hook: &Webhook, at_least: usize) -> BTreeMap<String, Value> {
    let mut deliveries = hook.deliveries(at_least, PATIENCE);
    loop {
        let mut messages = BTreeMap::new();
        for delivery in &deliveries {
            let id = delivery["headers"]["webhook-id"].as_str().unwrap().to_owned();
            let body: Value = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
            let known = messages.entry(id).or_insert(body.clone());
            assert_eq!(*known, body, "the same id, another body");
        }
        if messages.len() >= at_least {
            return messages;
        }
        deliveries = hook.deliveries(deliveries.len() + 1, PATIENCE);
    }
}
