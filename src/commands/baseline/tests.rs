//! Baselines built from files, and what is compared with them.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use driftline_analytics::baseline::Baseline;
use driftline_analytics::report::{Level, Report};
use driftline_config::time::DAY_US;
use driftline_ingest::{Capture, CaptureProducer, Connection, EmbeddedBroker};

use super::*;
use crate::commands::check::{CheckArgs, compare};
use crate::files::write_parquet;

/// 2026-01-05, a Monday, in microseconds.
const START_US: i64 = 1_767_571_200_000_000;
const ROWS: usize = 4000;

const CONFIG: &str = "kafka: {bootstrap: \"localhost:9092\"}
models:
  - name: m
    captures: {topic: m.captures}
    baseline: baseline.json
    window: {every: 1d, at_least: 50}
";

fn x(row: usize) -> f64 {
    ((row * 7919) % 1000) as f64 / 10.0
}

fn colour(row: usize) -> &'static str {
    ["red", "green", "blue"][(row * 31) % 3]
}

fn time_us(row: usize) -> i64 {
    START_US + row as i64 * (10 * DAY_US / ROWS as i64)
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("driftline.yaml"), CONFIG).unwrap();
        let rows = || 0..ROWS;
        let batch = RecordBatch::try_from_iter([
            (
                "when",
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows().map(time_us))) as _,
            ),
            ("id", Arc::new(StringArray::from_iter_values(rows().map(|row| row.to_string()))) as _),
            ("x", Arc::new(Float64Array::from_iter_values(rows().map(x))) as _),
            (
                "hour",
                Arc::new(Int64Array::from_iter_values(rows().map(|row| (row % 12) as i64))) as _,
            ),
            ("colour", Arc::new(StringArray::from_iter_values(rows().map(colour))) as _),
            ("p", Arc::new(Float64Array::from_iter_values(rows().map(|row| x(row) / 100.0))) as _),
        ])
        .unwrap();
        write_parquet(&folder.path().join("rows.parquet"), &batch.schema(), [batch]).unwrap();
        Case { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn args(&self) -> BaselineArgs {
        BaselineArgs {
            config: self.path("driftline.yaml"),
            model: None,
            data: Some(self.path("rows.parquet").to_str().unwrap().to_owned()),
            captures: false,
            from: None,
            to: None,
            time: Some("when".to_owned()),
            rename: vec!["p=prediction:score".to_owned()],
            cut_points: CutPoints::default(),
            predictions: Some(Predictions::HeldOut),
            categorical: Vec::new(),
            ignore: Vec::new(),
            out: self.path("baseline.json"),
        }
    }

    fn built(&self, args: &BaselineArgs) -> anyhow::Result<(Built, Sample)> {
        let config = configured::load(&args.config)?;
        build(args, &config, configured::model(&config, None)?, &mut |_| ())
    }

    fn check(&self, current: &str) -> Report {
        let args = CheckArgs {
            reference: None,
            baseline: Some(self.path("baseline.json")),
            current: self.path(current).to_str().unwrap().to_owned(),
            config: Some(self.path("driftline.yaml")),
            model: None,
            json: false,
            html: None,
            categorical: Vec::new(),
            ignore: Vec::new(),
            tolerance: Vec::new(),
            rename: Vec::new(),
        };
        compare(&args, &mut |_| ()).unwrap().report
    }
}

#[test]
fn a_file_becomes_a_baseline() {
    let case = Case::new();
    let args = case.args();
    assert!(make(&args, &mut |_| ()).unwrap().contains("4000 rows, 4 columns, sha256 "));
    let baseline = Baseline::parse(&std::fs::read(&args.out).unwrap()).unwrap();
    assert_eq!(baseline.rows, ROWS as u64);
    let subjects: Vec<&str> = baseline.columns.iter().map(|column| column.subject()).collect();
    assert_eq!(subjects, ["feature:x", "feature:hour", "feature:colour", "prediction:score"]);
    assert!(baseline.columns_seen.contains(&"feature:when".to_owned()));
    assert!(baseline.provenance.held_out_predictions);
    assert_eq!(baseline.provenance.first_us, Some(START_US));
    let windows = baseline.windows.unwrap();
    assert_eq!((windows.every_us, windows.windows.len()), (DAY_US, 10));
    assert!(baseline.columns.iter().all(|column| column.own_windows().is_some()));
}

#[test]
fn what_it_will_be_able_to_say_is_printed() {
    let case = Case::new();
    let config = configured::load(&case.path("driftline.yaml")).unwrap();
    let (built, sample) = case.built(&case.args()).unwrap();
    let text = describe(&config.models[0], &config.limits, &built, &sample).unwrap();
    let line = |subject: &str| {
        let line = text.lines().find(|line| line.starts_with(subject)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(&line("feature:x")[1..5], ["numeric", "1000", "0.0", "%"], "{text}");
    assert_eq!(&line("feature:hour")[1..4], ["numeric,", "discrete", "12"], "{text}");
    assert_eq!(&line("feature:colour")[1..3], ["categorical", "3"], "{text}");
    let detectable: Vec<f64> =
        line("prediction:score")[6..8].iter().map(|text| text.parse().unwrap()).collect();
    assert!(detectable[0] > detectable[1] && detectable[1] > 0.05, "{text}");
    assert!(text.contains("with these settings 0 of 10 own windows of 1d would have alarmed"));
    let untimed = BaselineArgs { time: None, ..case.args() };
    let (built, sample) = case.built(&untimed).unwrap();
    let text = describe(&config.models[0], &config.limits, &built, &sample).unwrap();
    assert!(text.contains("no windows of its own (of 1d)"), "{text}");
}

#[test]
fn captures_from_a_topic_and_from_a_file_give_the_same_findings() {
    let case = Case::new();
    make(&case.args(), &mut |_| ()).unwrap();
    // One day of rows with drift, missing values, values of the wrong type and a new category.
    let rows = || 0..600_usize;
    let value = |row: usize| x(row) + 20.0;
    let shade = |row: usize| if row.is_multiple_of(5) { "violet" } else { colour(row) };
    let at = |row: usize| START_US + 20 * DAY_US + row as i64 * 1_000_000;
    let mut lines = String::new();
    let mut csv = "time_us,version,latency_us,status,feature:x,feature:hour,feature:colour,prediction:score\n".to_owned();
    for row in rows() {
        let number = match row % 40 {
            0 => "null".to_owned(),
            1 => "\"n/a\"".to_owned(),
            _ => value(row).to_string(),
        };
        let (hour, score) = (row % 12, x(row) / 100.0);
        lines.push_str(&format!(
            "{{\"v\":1,\"model\":\"m\",\"ts\":{},\"version\":\"3\",\"latency_us\":900,\"status\":200,\"features\":{{\"x\":{number},\"hour\":{hour},\"colour\":\"{}\"}},\"prediction\":{{\"score\":{score}}}}}\n",
            at(row) / 1000,
            shade(row)
        ));
        let number = number.trim_matches('"').replace("null", "");
        csv.push_str(&format!("{},3,900,200,{number},{hour},{},{score}\n", at(row), shade(row)));
    }
    std::fs::write(case.path("captures.jsonl"), lines).unwrap();
    std::fs::write(case.path("captures.csv"), csv).unwrap();
    let stream = case.check("captures.jsonl");
    let file = case.check("captures.csv");
    assert_eq!(stream.level, Level::Alarm);
    assert_eq!(stream.window.start, "2026-01-25T00:00:00Z");
    assert_eq!(stream.to_json(), file.to_json());
}

/// The topic is read four times, and the result is that of a file with the same captures.
#[test]
fn captures_become_the_baseline_that_their_file_becomes() {
    let case = Case::new();
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("m.captures", 2).unwrap();
    let config = CONFIG.replace("localhost:9092", broker.bootstrap());
    std::fs::write(case.path("driftline.yaml"), config).unwrap();
    let connection =
        Connection { bootstrap: broker.bootstrap().to_owned(), ..Connection::default() };
    let producer = CaptureProducer::start(&connection).unwrap();
    let mut lines = String::new();
    for row in 0..2000 {
        let number = if row % 50 == 0 { "\"n/a\"".to_owned() } else { x(row).to_string() };
        let line = format!(
            "{{\"model\":\"m\",\"ts\":{},\"features\":{{\"x\":{number},\"colour\":\"{}\",\"late\":{},\"who\":\"u{row}\"}}}}\n",
            time_us(row) / 1000,
            colour(row),
            row % 2 == 0
        );
        producer
            .send(&Capture {
                topic: "m.captures",
                partition: Some((row % 2) as i32),
                key: None,
                value: line.as_bytes(),
                timestamp_us: Some(time_us(row)),
            })
            .unwrap();
        lines.push_str(&line);
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    std::fs::write(case.path("captures.jsonl"), lines).unwrap();
    let plain = BaselineArgs { time: None, rename: Vec::new(), predictions: None, ..case.args() };
    let file = case.path("captures.jsonl").to_str().unwrap().to_owned();
    let topic = BaselineArgs { data: None, captures: true, ..plain.clone() };
    let of_topic = case.built(&topic).unwrap().0.baseline;
    let of_file = case.built(&BaselineArgs { data: Some(file), ..plain }).unwrap().0.baseline;
    let sorted = |baseline: &Baseline| {
        let mut columns = baseline.columns.clone();
        columns.sort_by(|left, right| left.subject().cmp(right.subject()));
        columns
    };
    assert_eq!(of_topic.columns.len(), 3);
    assert_eq!(sorted(&of_topic), sorted(&of_file));
    assert_eq!(of_topic.columns_seen, of_file.columns_seen);
    assert_eq!(of_topic.windows, of_file.windows);
    assert_eq!(of_topic.provenance.source, "topic m.captures 0:0-1000,1:0-1000");
    let half = BaselineArgs { to: Some(time_us(1000)), ..topic };
    assert_eq!(case.built(&half).unwrap().0.baseline.rows, 1000);
}

#[test]
fn what_cannot_be_built_is_said_in_one_sentence() {
    let case = Case::new();
    let base = case.args();
    let table = [
        (
            BaselineArgs { predictions: None, ..base.clone() },
            "prediction:score: predictions of training rows are sharper",
        ),
        (BaselineArgs { time: Some("then".to_owned()), ..base.clone() }, "no column then (--time)"),
        (
            BaselineArgs { time: Some("colour".to_owned()), ..base.clone() },
            "holds \"red\": neither ISO 8601",
        ),
        (
            BaselineArgs { rename: vec!["q=feature:q".to_owned()], ..base.clone() },
            "no column q (--rename)",
        ),
        (
            BaselineArgs { data: Some("gone.csv".to_owned()), ..base.clone() },
            "gone.csv: no such file",
        ),
        (BaselineArgs { config: case.path("gone.yaml"), ..base.clone() }, "gone.yaml"),
        (BaselineArgs { model: Some("n".to_owned()), ..base.clone() }, "no model n; it has m"),
        (
            BaselineArgs { out: case.path("gone/b.json"), ..base.clone() },
            "b.json: cannot be written",
        ),
    ];
    for (args, expected) in table {
        let error = format!("{:#}", make(&args, &mut |_| ()).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    let texts = ["0", "1", "few", "-3", ""];
    assert!(texts.iter().all(|text| cut_points(text).is_err()));
    assert_eq!(cut_points("all"), Ok(CutPoints::All));
    assert_eq!(cut_points("2"), Ok(CutPoints::AtMost(2)));
}
