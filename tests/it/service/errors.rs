//! What can go wrong around the service: one clear sentence and exit code 2, or a degraded `/readyz` while
//! the main way goes on.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use driftline_config::sha256_hex as sha256;
use driftline_ingest::{Capture, CaptureProducer, Connection, EmbeddedBroker};
use driftline_store::{Store, StoreError};
use driftline_world::closing_times_us;
use serde_json::{Value, json};

use crate::rig::{self, PATIENCE, http, service};

/// What every case of [`CONFIGURATIONS`] is made of; the markers stand for a case's own lines.
const MODEL: &str = "{name: m, captures: {topic: t}, baseline: b.json}";
/// Where the problem stands in a case.
const HERE: char = '‸';

/// Configurations with one problem each, and what is said of it.
const CONFIGURATIONS: &[(&str, &str)] = &[
    (
        "models:\n  - M\n‸kafkaa: 1\n",
        "unknown key `kafkaa` in the configuration: did you mean `kafka`?",
    ),
    ("models:\n  - M\n‸budget: 1\n", "unknown key `budget` in the configuration (not built yet)"),
    ("models:\n  - M\nalerts: {for: {‸ops: 1 of 1}}\n", "unknown key `ops` in alerts.for"),
    ("models:\n  - ‸{name: m, captures: {topic: t}}\n", "missing key `baseline` in model"),
    ("models:\n  - M\nhttp: ‸off\n", "http must be a map, found a single value"),
    ("models:\n  - M\n‸models: []\n", "key `models` stands twice, first in line 2"),
    (
        "models:\n  - M\nhttp: {token: ‸'${DRIFTLINE_TEST_NOT_SET}'}\n",
        "`DRIFTLINE_TEST_NOT_SET` is not set",
    ),
    ("models:\n  - M\nhttp: {token: ‸'file:nowhere'}\n", "cannot read \"file:nowhere\""),
    (
        "models:\n  - {name: m, captures: {topic: ‸a/b}, baseline: b.json}\n",
        "\"a/b\" is not a topic name",
    ),
    (
        "models:\n  - M\n  - {name: ‸m, captures: {topic: t}, baseline: b.json}\n",
        "a model named `m` is already at",
    ),
    ("models:\n  - M\ndefaults: {window: {every: ‸0s}}\n", "\"0s\" is too short: at least 1s"),
    ("models:\n  - M\ndefaults: {tolerance: {ks: ‸2}}\n", "\"2\" is not above 0 and at most 1"),
    ("models:\n  - M\nalerts: {for: {drift: ‸3 of 2}}\n", "\"3 of 2\" is not a number of windows"),
    ("models:\n  - M\nlimits: {columns: ‸0}\n", "\"0\" is not a positive whole number"),
    (
        "models:\n  - M\nhttp: {listen: ‸'0.0.0.0:9464'}\n",
        "listening beyond this machine needs a token",
    ),
    (
        "models:\n  - M\nstate: ''\nreceivers: [{name: a, webhook: {url: ‸'mailto:x'}}]\n",
        "must start with http:// or https://",
    ),
    (
        "models:\n  - M\nreceivers: [‸{name: a}]\n",
        "a receiver needs one of `email`, `webhook`, `alertmanager`, `slack`, `teams`, `pagerduty` and `ntfy`",
    ),
    ("include: [‸'*.yml']\nmodels:\n  - M\n", "matches no file"),
    (
        "models:\n  - name: m\n    captures: {topic: t}\n    baseline: b.json\n    shadow:\n      - {name: c, \
         onnx: c.onnx, sha256: ‸ABC, inputs: [x]}\n",
        "\"ABC\" is not a sha256",
    ),
    ("models:\n  - {name: m, captures: ‸*planted, baseline: b.json}\n", "not valid YAML"),
];

#[test]
fn every_kind_of_configuration_error_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("driftline.yaml");
    for (case, message) in CONFIGURATIONS {
        let text =
            format!("kafka: {{bootstrap: b}}\n{}", case.replace("- M\n", &format!("- {MODEL}\n")));
        let at = text.find(HERE).expect("a case marks its place");
        let line = text[..at].matches('\n').count() + 1;
        let column = text[..at].chars().rev().take_while(|c| *c != '\n').count() + 1;
        fs::write(&path, text.replace(HERE, "")).unwrap();
        for command in ["validate", "run"] {
            let mut binary = service::driftline();
            let (code, stdout, stderr) =
                service::run(binary.args([command, "--config"]).arg(&path));
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{text}\n{stderr}");
            let place = format!("{}:{line}:{column}: ", path.display());
            let found = stderr.lines().any(|line| line.contains(&place) && line.contains(message));
            assert!(found, "{command}\n{text}\n{place}{message}\n{stderr}");
        }
    }
}

#[test]
fn all_problems_are_reported_at_once_and_a_valid_configuration_is_valid() {
    let bench = Bench::new("");
    let (code, stdout, stderr) = bench.run(&["validate"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("{}: valid, 1 model\n", bench.config.display()));

    let path = bench.folder.path().join("driftline.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}alertz: 1\nlimits: {{columns: 0, rows: 1}}\n")).unwrap();
    let (code, stdout, stderr) = bench.run(&["validate"]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 3), "{stderr}");
}

#[test]
fn usage_and_missing_files_are_exit_code_2_and_one_sentence() {
    let bench = Bench::new("");
    let config = bench.config.to_str().unwrap();
    let without_model = "no model x; it has m";
    let folder = bench.folder.path().to_str().unwrap();
    let rows = bench.folder.path().join("rows.csv");
    let rows = rows.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--nonsense"], "unexpected argument '--nonsense'"),
        (&["run", "--confg", config], "unexpected argument '--confg'"),
        (&["chek"], "unrecognized subcommand 'chek'"),
        (&[], "Usage: driftline [OPTIONS] <COMMAND>"),
        (&["check", "--current", rows], "--reference FILE"),
        (
            &["check", "--reference", rows, "--current", rows, "--tolerance", "ks"],
            "--tolerance: \"ks\"",
        ),
        (&["check", "--reference", "gone.csv", "--current", rows], "gone.csv: no such file"),
        (
            &["check", "--reference", rows, "--current", "gone.parquet"],
            "gone.parquet: no such file",
        ),
        (&["check", "--reference", rows, "--current", folder], folder),
        (&["check", "--baseline", rows, "--current", rows], "not a baseline file"),
        (&["check", "--reference", "SELECT FROM", "--current", rows], "SELECT FROM"),
        (&["validate", "--config", "gone.yaml"], "gone.yaml"),
        (&["run", "--config", "gone.yaml"], "gone.yaml"),
        (
            &["baseline", "--config", config, "--model", "x", "--data", rows, "--out", "o"],
            without_model,
        ),
        (
            &["baseline", "--config", config, "--data", "gone.csv", "--out", "o"],
            "gone.csv: no such file",
        ),
        (
            &["baseline", "--config", config, "--data", rows, "--out", "/proc/no/baseline.json"],
            "/proc/no/baseline.json",
        ),
        (
            &["baseline", "--config", config, "--data", rows, "--time", "day", "--out", "o"],
            "no column day",
        ),
        (
            &["baseline", "--config", config, "--data", rows, "--cut-points", "1", "--out", "o"],
            "--cut-points",
        ),
        (&["demo", "--speed", "fast"], "--speed"),
        (&["demo", "--onnxruntime", "gone.so"], "gone.so"),
        (&["backtest", "--config", config, "--data", rows], "--time COLUMN"),
        (
            &["backtest", "--config", config, "--data", "gone.csv", "--time", "t"],
            "gone.csv: no such file",
        ),
        (&["replay", "--config", config, "--window", "m@x"], "no checkpoint"),
        (&["export", "--config", config, "--window", "m@x", "--out", "o.parquet"], "no checkpoint"),
        (&["produce", "--config", config, "--data", "gone.csv"], "gone.csv: no such file"),
    ];
    for (arguments, expected) in cases {
        refused(arguments, expected, folder);
    }
}

/// A command ends with exit code 2 and says why in a sentence.
fn refused(arguments: &[&str], expected: &str, folder: &str) {
    let mut binary = service::driftline();
    let (code, stdout, stderr) = service::run(binary.args(arguments).current_dir(folder));
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}\n{stderr}");
    assert!(stderr.contains(expected), "{arguments:?}\n{stderr}");
    // Usage errors are clap's and point to the help; ours are one sentence, after what is skipped.
    if stderr.contains("--help") {
        return;
    }
    let last = stderr.lines().next_back().unwrap_or_default();
    assert!(last.contains(expected) && !last.contains("Error") && !last.ends_with('.'), "{stderr}");
}

#[test]
fn a_baseline_that_is_missing_or_none_is_named() {
    for (content, expected) in
        [(None, "No such file"), (Some("{}"), "not a baseline"), (Some("x"), "not a baseline")]
    {
        let bench = Bench::new("");
        let baseline = bench.folder.path().join("baseline.json");
        fs::remove_file(&baseline).unwrap();
        if let Some(content) = content {
            fs::write(&baseline, content).unwrap();
        }
        for command in ["validate", "run"] {
            let (code, stdout, stderr) = bench.run(&[command]);
            assert_eq!(
                (code, stdout.as_str(), stderr.lines().count()),
                (Some(2), "", 1),
                "{stderr}"
            );
            assert!(stderr.contains("model m: baseline "), "{stderr}");
            assert!(stderr.contains(expected), "{command}: {stderr}");
        }
    }
}

#[test]
fn a_taken_port_is_said_before_anything_is_read() {
    let bench = Bench::new("");
    let _taken = TcpListener::bind(("127.0.0.1", bench.port)).unwrap();
    let (code, stdout, stderr) = bench.run(&["run"]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
    let expected =
        format!("driftline: http.listen 127.0.0.1:{}: the address cannot be bound", bench.port);
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert!(!bench.folder.path().join("state").exists());
}

/// Permission bits do not bind root, so a file and a file system without room stand in for a folder
/// that cannot be written.
#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let bench = Bench::new("");
    let state = bench.folder.path().join("state");
    File::create(&state).unwrap();
    let elsewhere = "/proc/driftline-state";
    for (state, folder) in [("state", state.to_str().unwrap()), (elsewhere, elsewhere)] {
        let text = fs::read_to_string(&bench.config).unwrap();
        fs::write(&bench.config, text.replace("state: state\n", &format!("state: {state}\n")))
            .unwrap();
        let (code, stdout, stderr) = bench.run(&["run"]);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
        let expected = format!("driftline: state folder {folder}: ");
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert!(stderr.contains("make it writable or set `state` to another folder"), "{stderr}");
    }
}

#[test]
fn without_a_broker_the_service_waits_says_so_and_holds_its_folder() {
    let bench = Bench::new("");
    let running = Running::start(&bench);
    let names_it = |check: &Value| {
        // It once said "captures are read" until the first attempt had failed.
        assert_eq!(check["state"], "degraded", "{check}");
        check["says"].as_str().unwrap().contains(&bench.bootstrap)
    };
    let ready = running.wait_for_ready("broker", names_it);
    assert_eq!(ready["ready"], json!(true), "{ready}");

    let state = bench.folder.path().join("state");
    let wait = Duration::from_millis(300);
    let refused = Store::open(&state, wait, false).unwrap_err();
    assert!(matches!(&refused, StoreError::Locked { folder, .. } if *folder == state), "{refused}");
    assert!(refused.to_string().contains("is in use by another driftline process"), "{refused}");

    assert_eq!(running.terminate(), Some(0));
    Store::open(&state, wait, false).unwrap();
}

#[test]
fn a_topic_that_nobody_made_is_named() {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("driftline.reports", 1).unwrap();
    let bench = Bench::on(broker.bootstrap(), "");
    let running = Running::start(&bench);
    let ready = running.wait_for_ready("topic captures", |check| check["state"] == "degraded");
    assert_eq!(ready["ready"], json!(true), "{ready}");
    let check = check_of(&ready, "topic captures").unwrap();
    assert!(check["says"].as_str().unwrap().contains("captures"), "{check}");
    // Made at last, it is read without a restart.
    broker.create_topic("captures", 1).unwrap();
    send(&broker, 20);
    running.wait_for_counted(20);
    running.wait_for_ready("broker", |check| check["state"] == "ok");
    assert_eq!(running.terminate(), Some(0));
}

/// Each candidate, and what is said of it.
fn candidates(folder: &Path) -> Vec<(&'static str, String, &'static str)> {
    let spring = fs::read(rig::repository("examples/flights/spring.onnx")).unwrap();
    let garbage = b"no model at all".to_vec();
    fs::write(folder.join("spring.onnx"), &spring).unwrap();
    fs::write(folder.join("garbage.onnx"), &garbage).unwrap();
    let other = sha256(b"another file");
    let candidate = |name: &str, file: &str, sha256: &str| {
        format!("      - {{name: {name}, onnx: {file}, sha256: \"{sha256}\", inputs: [x]}}\n")
    };
    vec![
        ("forged", candidate("forged", "spring.onnx", &other), "sha256"),
        ("garbage", candidate("garbage", "garbage.onnx", &sha256(&garbage)), "not an ONNX model"),
        ("gone", candidate("gone", "gone.onnx", &other), "gone.onnx"),
        // The champion's seven inputs are not the one that is declared.
        ("narrow", candidate("narrow", "spring.onnx", &sha256(&spring)), "input"),
    ]
}

#[test]
fn a_bad_candidate_is_degraded_with_its_reason_and_the_main_way_goes_on() {
    if rig::onnx_runtime().is_none() {
        return;
    }
    candidates_are_degraded("", |name, expected| {
        let _ = name;
        expected.to_owned()
    });
}

#[test]
fn without_onnx_runtime_candidates_are_degraded_and_the_main_way_goes_on() {
    candidates_are_degraded("onnxruntime: /nowhere/libonnxruntime.so\n", |_, _| {
        "/nowhere/libonnxruntime.so".to_owned()
    });
}

fn candidates_are_degraded(rest: &str, says: impl Fn(&str, &str) -> String) {
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("captures", 1).unwrap();
    broker.create_topic("driftline.reports", 1).unwrap();
    let bench = Bench::on(broker.bootstrap(), rest);
    let candidates = candidates(bench.folder.path());
    let lines: String = candidates.iter().map(|(_, line, _)| line.as_str()).collect();
    let text = fs::read_to_string(&bench.config).unwrap();
    fs::write(&bench.config, text.replace(SHADOW, &format!("    shadow:\n{lines}"))).unwrap();
    let running = Running::start(&bench);
    for (name, _, expected) in &candidates {
        let check = format!("candidate {name} of m");
        let ready = running.wait_for_ready(&check, |check| check["state"] == "degraded");
        assert_eq!(ready["ready"], json!(true), "{ready}");
        let said = check_of(&ready, &check).unwrap()["says"].as_str().unwrap().to_owned();
        let expected = says(name, expected);
        assert!(said.contains(&expected) && said.lines().count() == 1, "{name}: {said}");
    }
    send(&broker, 400);
    running.wait_for_counted(400);
    let report = running.wait_for("the window's report", |running| {
        let reports = running.json("/api/v1/models/m/reports?limit=1")?;
        reports.get(0).cloned()
    });
    assert_eq!(report["window"]["rows"], json!(400), "{report}");
    assert_eq!(running.terminate(), Some(0));
}

/// Where a case puts its candidates.
const SHADOW: &str = "    # candidates\n";

/// A folder with a configuration of one model, `m`, and its baseline.
struct Bench {
    folder: tempfile::TempDir,
    config: PathBuf,
    bootstrap: String,
    port: u16,
}

impl Bench {
    /// With a broker that is not there.
    fn new(rest: &str) -> Bench {
        Bench::on(&format!("127.0.0.1:{}", rig::free_port()), rest)
    }

    fn on(bootstrap: &str, rest: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let port = rig::free_port();
        let config = folder.path().join("driftline.yaml");
        let text = format!(
            "kafka: {{bootstrap: \"{bootstrap}\", dead_letters: off}}\nstate: state\n\
             http: {{listen: \"127.0.0.1:{port}\"}}\nmodels:\n  - name: m\n    captures: {{topic: captures}}\n    \
             baseline: baseline.json\n    window: {{every: 1d, idle: off, at_least: 1}}\n{SHADOW}{rest}"
        );
        fs::write(&config, text).unwrap();
        let rows: String = (0..2000).map(|row| format!("{}\n", row % 97)).collect();
        fs::write(folder.path().join("rows.csv"), format!("x\n{rows}")).unwrap();
        let bench = Bench { folder, config, bootstrap: bootstrap.to_owned(), port };
        let (code, _, stderr) =
            bench.run(&["baseline", "--data", "rows.csv", "--out", "baseline.json"]);
        assert_eq!(code, Some(0), "{stderr}");
        bench
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut binary = service::driftline();
        binary.args(arguments).arg("--config").arg(&self.config).current_dir(self.folder.path());
        binary
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        service::run(&mut self.command(arguments))
    }
}

/// `count` captures of 5 January 2026, and heartbeats that close the day.
fn send(broker: &EmbeddedBroker, count: i64) {
    let connection =
        Connection { bootstrap: broker.bootstrap().to_owned(), ..Connection::default() };
    let producer = CaptureProducer::start(&connection).unwrap();
    let send = |value: String, time_us: i64| {
        let capture = Capture {
            topic: "captures",
            partition: Some(0),
            key: None,
            value: value.as_bytes(),
            timestamp_us: Some(time_us),
        };
        producer.send(&capture).unwrap();
    };
    let day_us = 1_767_571_200_000_000;
    for row in 0..count {
        let time_us = day_us + row * 1_000_000;
        let value = format!(
            r#"{{"v":1,"model":"m","ts":{},"features":{{"x":{}}}}}"#,
            time_us / 1000,
            row % 97
        );
        send(value, time_us);
    }
    for beat_us in closing_times_us(day_us + 2 * 86_400_000_000) {
        send(format!(r#"{{"v":1,"ts":{},"heartbeat":true}}"#, beat_us / 1000), beat_us);
    }
    producer.flush(PATIENCE).unwrap();
}

/// A running service whose exit code is wanted.
struct Running {
    child: Child,
    base: String,
    log: PathBuf,
}

impl Running {
    fn start(bench: &Bench) -> Running {
        let log = bench.folder.path().join("log");
        let child = bench
            .command(&["run"])
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("the built binary runs");
        Running { child, base: format!("http://127.0.0.1:{}", bench.port), log }
    }

    fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&http::get(&format!("{}{path}", self.base)).ok()?.body).ok()
    }

    /// Repeats a question until it has an answer.
    fn wait_for<T>(&self, what: &str, ask: impl Fn(&Running) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                panic!("no {what}; ready: {:?}; it said:\n{log}", self.json("/readyz"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `/readyz` has a check of this name of which `holds` is true.
    fn wait_for_ready(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(&format!("such check {name}"), |running| {
            running.json("/readyz").filter(|ready| check_of(ready, name).is_some_and(&holds))
        })
    }

    fn wait_for_counted(&self, rows: u64) {
        self.wait_for("rows counted", |running| {
            let ledger = running.json("/api/v1/ledger")?;
            (ledger["topics"]["captures"]["total"]["counted"] == json!(rows)).then_some(())
        });
    }

    /// Asks it to stop, and returns its exit code.
    fn terminate(mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
        self.child.wait().expect("it was started here").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check_of<'a>(ready: &'a Value, name: &str) -> Option<&'a Value> {
    ready["checks"].as_array()?.iter().find(|check| check["name"] == name)
}
