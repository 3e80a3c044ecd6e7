//! Baselines of a topic's captures, what is printed about them, and what is refused.

use std::fmt::Write;
use std::time::Duration;

use driftline_analytics::baseline::Baseline;
use driftline_config::time::format_instant;
use driftline_ingest::{Capture, CaptureProducer, Connection, EmbeddedBroker};
use driftline_world::{TABLE_CONFIG, TABLE_ROWS, TableRow, table_row};

use super::super::rig::arguments;
use super::*;

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("driftline.yaml"), TABLE_CONFIG).unwrap();
        let mut text = String::from("when,id,x,hour,colour,p\n");
        for row in 0..TABLE_ROWS {
            let TableRow { time_us, x, hour, colour, p } = table_row(row);
            writeln!(text, "{},{row},{x},{hour},{colour},{p}", format_instant(time_us)).unwrap();
        }
        std::fs::write(folder.path().join("rows.csv"), text).unwrap();
        Case { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn args(&self) -> BaselineArgs {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        arguments(&[
            "--config",
            &path("driftline.yaml"),
            "--data",
            &path("rows.csv"),
            "--time",
            "when",
            "--rename",
            "p=prediction:score",
            "--predictions",
            "held-out",
            "--out",
            &path("baseline.json"),
        ])
    }

    fn baseline(&self, args: &BaselineArgs) -> Baseline {
        let config = configured::load(&args.config).unwrap();
        let model = &*configured::model(&config, None).unwrap();
        built(args, &config, model, &mut |_| ()).unwrap().built.baseline
    }
}

#[test]
fn what_it_will_be_able_to_say_is_printed() {
    let case = Case::new();
    let text = make(&case.args(), Screen::PLAIN, &mut |_| ()).unwrap();
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
    assert!(text.contains("baseline.json: 4000 rows, 4 columns, sha256 "), "{text}");
    let written = Baseline::parse(&std::fs::read(case.path("baseline.json")).unwrap()).unwrap();
    assert!(text.contains(&written.sha256), "{text}");
    let text =
        make(&BaselineArgs { time: None, ..case.args() }, Screen::PLAIN, &mut |_| ()).unwrap();
    assert!(text.contains("no windows of its own (of 1d)"), "{text}");
}

/// The topic is read four times, and the result is that of a file with the same captures.
#[test]
fn captures_become_the_baseline_that_their_file_becomes() {
    let case = Case::new();
    let broker = EmbeddedBroker::start().unwrap();
    broker.create_topic("m.captures", 2).unwrap();
    let config = TABLE_CONFIG.replace("localhost:9092", broker.bootstrap());
    std::fs::write(case.path("driftline.yaml"), config).unwrap();
    let connection =
        Connection { bootstrap: broker.bootstrap().to_owned(), ..Connection::default() };
    let producer = CaptureProducer::start(&connection).unwrap();
    let mut lines = String::new();
    for row in 0..2000 {
        let TableRow { time_us, x, colour, .. } = table_row(row);
        let number = if row % 50 == 0 { "\"n/a\"".to_owned() } else { x.to_string() };
        let line = format!(
            "{{\"model\":\"m\",\"ts\":{},\"features\":{{\"x\":{number},\"colour\":\"{colour}\",\"late\":{},\"who\":\"u{row}\"}}}}\n",
            time_us / 1000,
            row % 2 == 0
        );
        producer
            .send(&Capture {
                topic: "m.captures",
                partition: Some((row % 2) as i32),
                key: None,
                value: line.as_bytes(),
                timestamp_us: Some(time_us),
            })
            .unwrap();
        lines.push_str(&line);
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    std::fs::write(case.path("captures.jsonl"), lines).unwrap();
    let plain = BaselineArgs { time: None, rename: Vec::new(), predictions: None, ..case.args() };
    let file = case.path("captures.jsonl").to_str().unwrap().to_owned();
    let topic = BaselineArgs { data: None, captures: true, ..plain.clone() };
    let of_topic = case.baseline(&topic);
    let of_file = case.baseline(&BaselineArgs { data: Some(file), ..plain });
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
    let half = BaselineArgs { to: Some(table_row(1000).time_us), ..topic };
    assert_eq!(case.baseline(&half).rows, 1000);
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
        let error = format!("{:#}", make(&args, Screen::PLAIN, &mut |_| ()).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    let texts = ["0", "1", "few", "-3", ""];
    assert!(texts.iter().all(|text| cut_points(text).is_err()));
    assert_eq!(cut_points("all"), Ok(CutPoints::All));
    assert_eq!(cut_points("2"), Ok(CutPoints::AtMost(2)));
}

/// "For want of a time column" was said of rows that had one, but lay within one window.
#[test]
fn rows_of_a_single_window_are_told_that_they_are_too_few() {
    let case = Case::new();
    let rows = std::fs::read_to_string(case.path("rows.csv")).unwrap();
    let first: Vec<&str> = rows.lines().take(300).collect();
    std::fs::write(case.path("rows.csv"), first.join("\n")).unwrap();
    let text = make(&case.args(), Screen::PLAIN, &mut |_| ()).unwrap();
    assert!(text.contains("fewer than two windows of its own (of 1d, at least 50 rows)"), "{text}");
    assert!(!text.contains("--time"), "{text}");
    assert!(!text.contains("for want of a time column"), "{text}");
}

/// `score` became a feature that no request has, since nobody said that it is the prediction; and
/// captures were asked whether they were held out.
#[test]
fn predictions_are_asked_about_where_it_matters() {
    let case = Case::new();
    let rows = std::fs::read_to_string(case.path("rows.csv")).unwrap();
    std::fs::write(case.path("rows.csv"), rows.replacen(",p\n", ",score\n", 1)).unwrap();
    let mut notes = Vec::new();
    let args = BaselineArgs { rename: Vec::new(), predictions: None, ..case.args() };
    make(&args, Screen::PLAIN, &mut |note| notes.push(note.to_owned())).unwrap();
    let hint = "column score becomes a feature; if it is what the model answered, write --rename score=prediction:score";
    assert!(notes.iter().any(|note| note.contains(hint)), "{notes:?}");
    let mut lines = String::new();
    for row in 0..200 {
        let TableRow { time_us, x, .. } = table_row(row);
        let ts = time_us / 1000;
        writeln!(
            lines,
            "{{\"ts\":{ts},\"features\":{{\"x\":{x}}},\"prediction\":{{\"score\":0.5}}}}"
        )
        .unwrap();
    }
    std::fs::write(case.path("captures.jsonl"), lines).unwrap();
    let captures = case.path("captures.jsonl").to_str().unwrap().to_owned();
    let args = BaselineArgs { data: Some(captures), time: None, ..args };
    let mut notes = Vec::new();
    let text = make(&args, Screen::PLAIN, &mut |note| notes.push(note.to_owned())).unwrap();
    assert!(text.contains("prediction:score"), "{text}");
    assert!(notes.iter().any(|note| note.contains("taken for held-out")), "{notes:?}");
}

/// A column without a name became `feature:`, which no command could read again.
#[test]
fn a_baseline_that_cannot_be_read_is_not_written() {
    let case = Case::new();
    let rows = std::fs::read_to_string(case.path("rows.csv")).unwrap();
    let plain = BaselineArgs { time: None, rename: Vec::new(), predictions: None, ..case.args() };
    let written = |header: &str| {
        let text = rows.replacen("when,id,x", header, 1);
        std::fs::write(case.path("rows.csv"), text).unwrap();
        let _ = std::fs::remove_file(case.path("baseline.json"));
        make(&plain, Screen::PLAIN, &mut |_| ())
    };
    written("when,,x").unwrap();
    Baseline::parse(&std::fs::read(case.path("baseline.json")).unwrap()).unwrap();
    let error = format!("{:#}", written("when,feature:,x").unwrap_err());
    assert!(error.contains("baseline.json: nothing is written: "), "{error}");
    assert!(!case.path("baseline.json").exists());
}
