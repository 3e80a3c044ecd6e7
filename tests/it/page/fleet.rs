//! The page over a fleet of two hundred models, and over one of two hundred columns and ninety windows.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use driftline_alerting::links;
use driftline_config::time::{DAY_US, HOUR_US, format_instant, parse_instant_us};
use tempfile::TempDir;

use crate::rig::browser::Browser;
use crate::rig::kafka::{self, Kafka};
use crate::rig::service::{self, Service};
use crate::rig::traffic::{self, Meaning, Record};
use crate::rig::{free_port, http};

const MODELS: usize = 200;
const COLUMNS: usize = 200;
const WINDOWS: i64 = 90;
/// Rows of a window: enough for a column that moved altogether to alarm.
const ROWS: i64 = 60;
/// Rows of the baseline.
const BASELINE_ROWS: i64 = 1500;
/// The largest answer, of any view.
const MOST_BYTES: usize = 200_000;
const WIDE: &str = "wide";

/// A Monday.
fn first_day_us() -> i64 {
    parse_instant_us("2026-01-05T00:00:00Z").unwrap()
}

fn fleet_model(number: usize) -> String {
    format!("fleet-{number:03}")
}

/// A number in [0, 1000) that looks random.
fn value(row: i64, column: usize) -> i64 {
    let mixed = (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (column as u64 + 7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) as i64 % 1000
}

/// Columns that moved altogether in a window: some for good, some every other day, so that the map
/// of levels has as many edges as it can have.
fn moved(day: i64, column: usize) -> bool {
    match column % 4 {
        0 => day >= WINDOWS / 2,
        1 => (day + column as i64) % 2 == 0,
        _ => false,
    }
}

fn features(row: i64, columns: usize, moved: impl Fn(usize) -> bool) -> String {
    let mut text = String::new();
    for column in 0..columns {
        let comma = if column == 0 { "" } else { "," };
        let shift = if moved(column) { 1000 } else { 0 };
        let value = value(row, column) + shift;
        write!(text, "{comma}\"feature_with_a_long_name_{column:03}\":{value}").unwrap();
    }
    text
}

fn record(model: &str, time_us: i64, row: i64, features: &str) -> Record {
    let value = format!(
        "{{\"v\":1,\"model\":\"{model}\",\"version\":\"1\",\"id\":\"{model}-{row}\",\"ts\":{},\"latency_us\":{},\"status\":{},\"features\":{{{features}}}}}",
        time_us / 1000,
        900 + row % 300,
        if row % 50 == 0 { 500 } else { 200 },
    );
    Record {
        partition: 0,
        offset: 0,
        key: model.to_owned(),
        value: value.into_bytes(),
        timestamp_us: time_us,
        meaning: Meaning::Skipped,
    }
}

/// Two windows of every model of the fleet; in the second one in three has moved.
fn fleet() -> Vec<Record> {
    let mut records = Vec::new();
    for day in 0..3 {
        for row in 0..if day < 2 { ROWS } else { 1 } {
            for number in 0..MODELS {
                let time_us =
                    first_day_us() + day * DAY_US + row * HOUR_US / 3 + HOUR_US * 2 * (day / 2);
                let shifted = |_: usize| day == 1 && number % 3 == 0;
                records.push(record(
                    &fleet_model(number),
                    time_us,
                    day * ROWS + row,
                    &features(row, 3, shifted),
                ));
            }
        }
    }
    records
}

/// Ninety windows of the wide model, and a row that closes the last.
fn wide() -> Vec<Record> {
    let mut records = Vec::new();
    for day in 0..=WINDOWS {
        for row in 0..if day < WINDOWS { ROWS } else { 1 } {
            let time_us =
                first_day_us() + day * DAY_US + row * HOUR_US / 3 + 2 * HOUR_US * (day / WINDOWS);
            let number = day * ROWS + row;
            records.push(record(
                WIDE,
                time_us,
                number,
                &features(number, COLUMNS, |column| moved(day, column)),
            ));
        }
    }
    records
}

/// Builds a baseline of this many columns with the binary.
fn baseline(folder: &TempDir, model: &str, columns: usize, file: &str) {
    let mut rows = String::new();
    for row in 0..BASELINE_ROWS {
        let values = features(1_000_000 + row, columns, |_| false);
        let ts = format_instant(first_day_us() - 10 * DAY_US + row * HOUR_US / 10);
        writeln!(rows, "{{\"ts\":\"{ts}\",{values}}}").unwrap();
    }
    fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
    let mut binary = service::driftline();
    binary.args([
        "baseline",
        "--config",
        "driftline.yaml",
        "--model",
        model,
        "--data",
        "rows.jsonl",
    ]);
    binary.args(["--cut-points", "64", "--out", file]).current_dir(folder.path());
    let (code, stdout, stderr) = service::run(&mut binary);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
}

/// A configuration over two topics, with its baselines.
fn scene(kafka: &Kafka) -> (TempDir, u16, [String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let topics = ["fleet", "wide"].map(|stem| kafka.create_topic(stem, 1, &[]));
    let port = free_port();
    let model = |name: &str, topic: &str, file: &str| {
        format!(
            "  - {{name: {name}, owner: team-{name}, captures: {{topic: {topic}}}, baseline: {file}}}\n"
        )
    };
    let models: String = (0..MODELS)
        .map(|number| model(&fleet_model(number), &topics[0], "fleet.json"))
        .chain([model(WIDE, &topics[1], "wide.json")])
        .collect();
    let yaml = format!(
        "kafka: {{bootstrap: \"{}\", group: {}, reports: off}}\nstate: state\n\
         http: {{listen: \"127.0.0.1:{port}\"}}\nalerts: {{max_age: off}}\n\
         defaults:\n  window: {{every: 1d, lateness: 1h, idle: 2s, at_least: 20}}\n  \
         operations: {{every: 10m, lateness: 10m}}\n  errors: {{objective: 0.9}}\nmodels:\n{models}",
        kafka.bootstrap, topics[0]
    );
    fs::write(folder.path().join("driftline.yaml"), yaml).unwrap();
    baseline(&folder, &fleet_model(0), 3, "fleet.json");
    baseline(&folder, WIDE, COLUMNS, "wide.json");
    (folder, port, topics)
}

/// How long and how large a view is; the best of some answers, since the machine does other things.
fn measure(service_port: u16, path: &str) -> (f64, usize) {
    let url = format!("http://127.0.0.1:{service_port}{path}");
    let mut best_ms = f64::INFINITY;
    let mut bytes = 0;
    for _ in 0..5 {
        let began = Instant::now();
        let answer = http::get(&url).unwrap();
        best_ms = best_ms.min(began.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        bytes = answer.body.len();
    }
    (best_ms, bytes)
}

fn column_names(page: &str) -> usize {
    page.matches("feature_with_a_long_name_").count()
}

#[test]
fn a_fleet_and_a_wide_model_fit_the_page() {
    let Some(kafka) = kafka::broker() else { return };
    let (folder, port, [fleet_topic, wide_topic]) = scene(kafka);
    traffic::produce(kafka, &fleet_topic, &fleet());
    traffic::produce(kafka, &wide_topic, &wide());
    let service = Service::start(&folder.path().join("driftline.yaml"), port);
    service.wait_for_reports(WIDE, WINDOWS as usize);
    service.wait_for_reports(&fleet_model(MODELS - 1), 2);
    let models = service.wait_until("to show every model's second window", |service| {
        let models = service.json("/api/v1/models");
        let models = models.as_array()?.clone();
        models
            .iter()
            .all(|model| model["recent"].as_array().is_some_and(|recent| recent.len() >= 2))
            .then_some(models)
    });
    assert_eq!(models.len(), MODELS + 1);

    let last = service.json(&format!("/api/v1/models/{WIDE}/reports?limit=1"))[0].clone();
    let window = last["window"]["id"].as_str().unwrap();
    let subject = "feature:feature_with_a_long_name_000";
    let views = [
        links::MODELS.to_owned(),
        links::model(WIDE),
        "/?page=1".to_owned(),
        links::window(WIDE, window),
        links::finding(WIDE, subject, None),
        links::model(&fleet_model(0)),
        links::ALERTS.to_owned(),
        "/service".to_owned(),
    ];
    let mut measured = String::new();
    let mut faults = Vec::new();
    for path in &views {
        let (ms, bytes) = measure(port, path);
        writeln!(measured, "{ms:7.1} ms  {bytes:7} bytes  {path}").unwrap();
        if bytes > MOST_BYTES {
            faults.push(format!("{path} has {bytes} bytes"));
        }
    }
    // Shown by `cargo test -- --nocapture`.
    println!("{measured}");
    assert!(faults.is_empty(), "{}\n{measured}", faults.join("\n"));

    let names = column_names(&service.get(&links::model(WIDE)));
    assert!(names >= COLUMNS, "{names} names of {COLUMNS} columns");
    let Some(browser) = Browser::start() else { return };
    for path in [&views[0], &views[1]] {
        for width in [1400, 320] {
            browser.look(width, width == 320);
            browser.open(&format!("http://127.0.0.1:{port}{path}"));
            browser.wait_for("the page to listen", "document.documentElement.dataset.listening");
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{path}");
            let needed =
                browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(needed <= u64::from(width), "{path}: {needed} pixels wide at {width}");
        }
    }
    // Incidents that opened while the browser looked have names of columns too: what is shown last counts.
    let before = column_names(&service.get(&links::model(WIDE)));
    service.stop();
    let service = Service::start(&folder.path().join("driftline.yaml"), port);
    service
        .wait_until(&format!("to show the {before} names of columns that it showed"), |service| {
            (column_names(&service.try_get(&links::model(WIDE))?) == before).then_some(())
        });
}
