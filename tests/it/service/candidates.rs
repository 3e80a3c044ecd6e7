//! Candidates that are killed and that mean harm, beside a busy topic: no row, window or report of the models
//! differs from a run without them, and nobody is left behind.

#[path = "../../../shadow/tests/hostile/mod.rs"]
mod hostile;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use driftline_config::sha256_hex;
use serde_json::Value;

use crate::rig::kafka::{self, Kafka};
use crate::rig::outcome::Outcome;
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, MODELS, Plan, Record};
use crate::rig::{self, PATIENCE};
use hostile::{Harm, model};

/// Deaths of the short form; `make chaos` asks for more.
const KILLS: usize = 12;
/// Candidates that are killed, three times each.
const VICTIMS: [&str; 4] = ["north", "east", "south", "west"];
const DEATHS: usize = 3;
const DAYS: i64 = 6;
/// Those that mean harm, and what is said of each; one does so for a row alone that never comes.
const HARMFUL: [(&str, Harm, Option<&str>); 7] = [
    ("divides", Harm::DividesWhileLoading, Some("SIGFPE")),
    ("divides-rows", Harm::DividesRows, None),
    ("expands", Harm::ExpandsWhileLoading, Some("alloc")),
    ("expands-rows", Harm::ExpandsRows, Some("alloc")),
    ("many-rows", Harm::TakesTooManyRows, Some("insists on 2000000000 rows")),
    ("for-ever", Harm::LoadsForEver, Some("raise shadow.load")),
    ("two-values", Harm::HasTwoValuesInOneDimension, Some("is Tensor<f32>(")),
];

#[test]
fn whatever_becomes_of_candidates_no_row_window_or_report_differs() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(library) = rig::onnx_runtime() else { return };
    let kills = env::var("DRIFTLINE_CANDIDATE_KILLS").ok().and_then(|text| text.parse().ok());
    let kills: usize = kills.unwrap_or(KILLS);
    let plan = Plan { records: 12_000, partitions: 3, days: DAYS, ..Plan::default() };
    let log = traffic::log(&plan);
    let wanted = without_candidates(kafka, &log);
    for _ in 0..kills.div_ceil(VICTIMS.len() * DEATHS) {
        let scene = Scene::new(kafka, "victims", plan.partitions, &rest(&library));
        let scene = with_candidates(scene);
        let service = scene.start();
        die(kafka, &scene, &service, &log);
        let outcome = Outcome::of(&service, &scene.topic, log.len() as u64, DAYS);
        assert_eq!(comparable(&outcome, &scene.topic), wanted);
        all_is_said(&service);
        let processes = service.scoring();
        service.kill();
        // They hear of it by a signal, and by the end of what they read.
        let until = Instant::now() + PATIENCE;
        while processes.iter().any(|id| Path::new(&format!("/proc/{id}")).exists()) {
            assert!(Instant::now() < until, "{processes:?} outlive their service");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Every part of the log comes with a death, so that it comes while a candidate is scored; three deaths of each
/// are the end. A process that died with nothing to score is missed when the next rows come, so there are
/// more parts than deaths.
fn die(kafka: &Kafka, scene: &Scene, service: &Service, log: &[Record]) {
    let parts = 3 * VICTIMS.len() * DEATHS;
    let mut parts = log.chunks(log.len().div_ceil(parts));
    while !VICTIMS.iter().all(|victim| is_disabled(service, victim)) {
        if let Some(part) = parts.next() {
            traffic::produce(kafka, &scene.topic, part);
        }
        kill_one(service);
    }
    parts.for_each(|part| traffic::produce(kafka, &scene.topic, part));
}

/// Kills the process of a victim as soon as there is one, unless all of them have been disabled.
fn kill_one(service: &Service) {
    let process = service.wait_until("to have candidates", |service| {
        let processes = service.scoring();
        let process = processes.into_iter().find(|process| is_victim(process));
        let given_up = || VICTIMS.iter().all(|victim| is_disabled(service, victim));
        process.map(Some).or_else(|| given_up().then_some(None))
    });
    if let Some(process) = process {
        // It may have ended by now.
        let _ = Command::new("kill").args(["-KILL", &process]).output().expect("kill runs");
    }
}

/// Whether a process scores one of those that are killed: its name is the argument after the command.
fn is_victim(process: &str) -> bool {
    let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split('\0').nth(2).is_some_and(|name| VICTIMS.contains(&name))
}

fn is_disabled(service: &Service, candidate: &str) -> bool {
    let says = service.trouble(&format!("candidate {candidate} of {}", MODELS[0]));
    says.is_some_and(|says| says.contains("disabled after 3 deaths"))
}

/// What each of those that mean harm died of is said in `/readyz`, and that it did in an incident.
fn all_is_said(service: &Service) {
    for (candidate, _, expected) in HARMFUL {
        let Some(expected) = expected else { continue };
        let check = format!("candidate {candidate} of {}", MODELS[1]);
        service.wait_until(&format!("to say {expected} of {candidate}"), |service| {
            service.trouble(&check).filter(|says| says.contains(expected))
        });
    }
    service.wait_until("to have an incident of candidates", |service| {
        let alerts: Value = serde_json::from_str(&service.try_get("/api/v1/alerts")?).ok()?;
        let is_of_candidates = |incident: &&Value| incident["class"] == "candidate";
        alerts["incidents"].as_array()?.iter().find(is_of_candidates).map(|_| ())
    });
}

fn rest(library: &Path) -> String {
    format!("onnxruntime: {}\nshadow: {{memory: 1GiB, load: 2s, run: 1s}}\n", library.display())
}

/// The first model has those that are killed, the other those that mean harm.
fn with_candidates(scene: Scene) -> Scene {
    let folder = scene.folder.path().to_owned();
    let candidate = |name: &str, harm: Harm| {
        let (bytes, file) = (model(harm), format!("{harm:?}.onnx"));
        fs::write(folder.join(&file), &bytes).expect("the folder is writable");
        format!(
            "      - {{name: {name}, onnx: {file}, sha256: {}, inputs: [amount, age]}}\n",
            sha256_hex(&bytes)
        )
    };
    let mut victims = "    shadow:\n".to_owned();
    let mut harmful = victims.clone();
    for name in VICTIMS {
        let _ = write!(victims, "{}", candidate(name, Harm::Harmless));
    }
    for (name, harm, _) in HARMFUL {
        let _ = write!(harmful, "{}", candidate(name, harm));
    }
    let mut scene = scene;
    for (name, shadow) in MODELS.iter().zip([victims, harmful]) {
        let first = format!("  - name: {name}\n");
        scene = scene.with(&first, &format!("{first}{shadow}"));
    }
    scene
}

fn without_candidates(kafka: &Kafka, log: &[Record]) -> (Value, BTreeMap<String, String>) {
    let scene = Scene::new(kafka, "alone", 3, "");
    traffic::produce(kafka, &scene.topic, log);
    let outcome = Outcome::of(&scene.start(), &scene.topic, log.len() as u64, DAYS);
    comparable(&outcome, &scene.topic)
}

/// Ledger and reports without the name of the topic, and without the hash of the configuration, in which
/// candidates count.
fn comparable(outcome: &Outcome, topic: &str) -> (Value, BTreeMap<String, String>) {
    assert_eq!(outcome.ledger["imbalance"], 0);
    let same = |text: &String| {
        let mut report: Value = serde_json::from_str(text).expect("a report is JSON");
        let config = report.as_object_mut().and_then(|report| report.remove("config_sha256"));
        assert!(config.is_some(), "{text}");
        report.to_string().replace(topic, "TOPIC")
    };
    let reports = outcome.reports.iter().map(|(id, text)| (id.clone(), same(text)));
    (outcome.ledger.clone(), reports.collect())
}
