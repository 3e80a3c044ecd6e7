//! Files compared with files.

use std::sync::Arc;

use arrow::array::{Float64Array, StringArray};
use arrow::record_batch::RecordBatch;
use driftline_analytics::report::{Check, Finding};
use driftline_config::{Level, Tolerances};
use driftline_files::write_parquet;

use super::*;

mod formats;

/// Numbers that look random and are the same in every run (Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[derive(Clone)]
struct Rows {
    x: Vec<Option<f64>>,
    colour: Vec<&'static str>,
}

impl Rows {
    fn new(seed: u64, count: usize, shift: f64) -> Rows {
        let mut numbers = Numbers(seed);
        let x = (0..count)
            .map(|_| {
                // Rounded, so that there are ties within and between files.
                let value = ((numbers.next() + numbers.next()) * 50.0 + shift).round() / 4.0;
                (numbers.next() > 0.02).then_some(value)
            })
            .collect();
        let colour = (0..count)
            .map(|_| ["red", "green", "blue, dark"][(numbers.next() * 3.0) as usize])
            .collect();
        Rows { x, colour }
    }

    fn write(&self, folder: &tempfile::TempDir, name: &str) -> String {
        let path = folder.path().join(name);
        let cells = self.x.iter().zip(&self.colour);
        if name.ends_with("csv") {
            let number = |x: &Option<f64>| x.map(|x| format!("{x:?}")).unwrap_or_default();
            let lines: String =
                cells.map(|(x, colour)| format!("{},\"{colour}\"\n", number(x))).collect();
            std::fs::write(&path, format!("x,colour\n{lines}")).unwrap();
        } else if name.ends_with("jsonl") {
            let number = |x: &Option<f64>| x.map_or("null".to_owned(), |x| x.to_string());
            let lines: String = cells
                .map(|(x, colour)| format!("{{\"x\":{},\"colour\":\"{colour}\"}}\n", number(x)))
                .collect();
            std::fs::write(&path, lines).unwrap();
        } else {
            let batch = RecordBatch::try_from_iter_with_nullable([
                ("x", Arc::new(Float64Array::from(self.x.clone())) as _, true),
                ("colour", Arc::new(StringArray::from(self.colour.clone())) as _, true),
            ])
            .unwrap();
            write_parquet(&path, &batch.schema(), [batch]).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }
}

fn options(reference: &str, current: &str) -> CheckOptions {
    let rows = reference.to_owned();
    CheckOptions {
        against: Against::Reference { rows, categorical: Vec::new(), numeric: Vec::new() },
        current: current.to_owned(),
        model: None,
        limits: Limits::default(),
        tolerance: None,
        ignore: Vec::new(),
        time: None,
        rename: Vec::new(),
    }
}

fn compared(options: &CheckOptions) -> Result<Report, BatchError> {
    let mut audience = Audience { note: &mut |_| (), progress: &|_| () };
    check(options, &mut audience).map(|compared| compared.report)
}

fn report(options: &CheckOptions) -> Report {
    compared(options).unwrap()
}

fn finding<'a>(report: &'a Report, subject: &str, check: Check) -> &'a Finding {
    report.finding(subject, check).unwrap()
}

/// Two-sample Kolmogorov-Smirnov by its definition, over every value of both samples.
fn largest_distance(left: &[Option<f64>], right: &[Option<f64>]) -> f64 {
    let values = |sample: &[Option<f64>]| sample.iter().copied().flatten().collect::<Vec<f64>>();
    let (left, right) = (values(left), values(right));
    let below = |sample: &[f64], at: f64| {
        sample.iter().filter(|&&value| value <= at).count() as f64 / sample.len() as f64
    };
    let at = left.iter().chain(&right);
    at.map(|&at| (below(&left, at) - below(&right, at)).abs()).fold(0.0, f64::max)
}

#[test]
fn the_distance_of_two_files_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, shift) in [(1, 0.0), (2, 3.0), (3, -8.0), (4, 25.0), (5, 200.0)] {
        let (left, right) = (Rows::new(seed, 700, 0.0), Rows::new(seed + 90, 450, shift));
        let found = report(&options(
            &left.write(&folder, "left.parquet"),
            &right.write(&folder, "right.parquet"),
        ));
        let ks = finding(&found, "feature:x", Check::Distribution).ks.clone().unwrap();
        let expected = largest_distance(&left.x, &right.x);
        assert!((ks.value - expected).abs() < 1e-12, "{} is not {expected}", ks.value);
        assert_eq!(ks.certified, [ks.value, ks.value]);
        assert!(ks.tolerance_from.starts_with("floor: no own windows"));
    }
}

#[test]
fn every_format_gives_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (Rows::new(7, 600, 0.0), Rows::new(8, 500, 12.0));
    let reports: Vec<String> = ["parquet", "csv", "jsonl"]
        .iter()
        .map(|format| {
            let mut found = report(&options(
                &left.write(&folder, &format!("left.{format}")),
                &right.write(&folder, &format!("right.{format}")),
            ));
            assert_eq!(found.level, Level::Alarm, "{format}");
            // The baseline's hash covers the name of the file.
            found.baseline_sha256.clear();
            found.to_json()
        })
        .collect();
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
}

#[test]
fn a_file_does_not_differ_from_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = Rows::new(11, 1000, 0.0).write(&folder, "a.csv");
    let found = report(&options(&file, &file));
    assert_eq!(found.level, Level::Ok);
    assert_eq!(finding(&found, "feature:x", Check::Distribution).ks.as_ref().unwrap().value, 0.0);
    assert!(found.findings.iter().all(|finding| finding.level == Level::Ok), "{}", found.to_json());
}

#[test]
fn columns_of_one_file_alone_are_findings() {
    let folder = tempfile::tempdir().unwrap();
    let file = Rows::new(12, 1000, 0.0).write(&folder, "a.csv");
    let query = format!("SELECT x, 1 AS fresh FROM '{file}'");
    let found = report(&options(&file, &query));
    assert_eq!(found.level, Level::Alarm);
    assert_eq!(finding(&found, "feature:colour", Check::Absent).level, Level::Alarm);
    assert_eq!(finding(&found, "feature:fresh", Check::NewColumn).level, Level::Warn);
    let ignoring = CheckOptions {
        ignore: vec!["colour".to_owned(), "fresh".to_owned()],
        ..options(&file, &query)
    };
    let found = report(&ignoring);
    assert_eq!(found.level, Level::Ok, "{}", found.to_json());
    assert!(found.findings.iter().all(|finding| !finding.subject.contains("colour")));
}

#[test]
fn a_column_of_numbers_that_became_text_is_of_the_wrong_type() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::new(13, 1000, 0.0);
    let file = rows.write(&folder, "a.parquet");
    let query = format!("SELECT CAST(x AS VARCHAR) AS x, colour FROM '{file}'");
    let found = report(&options(&file, &query));
    let wrong = finding(&found, "feature:x", Check::WrongType);
    assert_eq!(wrong.level, Level::Alarm);
    assert!(wrong.share.as_ref().unwrap().value > 0.9);
    assert_ne!(finding(&found, "feature:colour", Check::Distribution).level, Level::Alarm);
}

#[test]
fn options_change_what_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let left = Rows::new(14, 900, 0.0).write(&folder, "l.csv");
    let right = Rows::new(15, 900, 10.0).write(&folder, "r.csv");
    assert_eq!(report(&options(&left, &right)).level, Level::Alarm);
    let tolerant = CheckOptions {
        tolerance: Some(Tolerance::Fixed(Tolerances { ks: 0.5, ..Tolerances::default() })),
        ..options(&left, &right)
    };
    let found = report(&tolerant);
    assert_ne!(found.level, Level::Alarm);
    let ks = finding(&found, "feature:x", Check::Distribution).ks.clone().unwrap();
    assert_eq!((ks.tolerance, ks.tolerance_from.as_str()), (0.5, "set for this model"));
    let against = Against::Reference {
        rows: left.clone(),
        categorical: vec!["x".to_owned()],
        numeric: Vec::new(),
    };
    let categorical = CheckOptions { against, ..options(&left, &right) };
    let found = report(&categorical);
    assert!(finding(&found, "feature:x", Check::Distribution).ks.is_none());
}

#[test]
fn what_cannot_be_compared_is_said_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = Rows::new(16, 50, 0.0).write(&folder, "a.csv");
    let text = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (header, dates) =
        (text("header.csv", "x,colour\n"), text("dates.csv", "day\n2013-01-01\n"));
    let categorical = Against::Reference {
        rows: file.clone(),
        categorical: vec!["y".to_owned()],
        numeric: Vec::new(),
    };
    let base = options(&file, &file);
    let table = [
        (options(&file, &header), "header.csv: no rows"),
        (options(&header, &file), "header.csv: no rows"),
        (options(&file, "gone.csv"), "gone.csv: no such file"),
        (options(&dates, &file), "no columns to compare"),
        (CheckOptions { against: categorical, ..base.clone() }, "no column y (--categorical)"),
        (CheckOptions { rename: vec!["x".to_owned()], ..base.clone() }, "--rename: \"x\""),
    ];
    for (options, expected) in table {
        let error = compared(&options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let against = Against::Baseline(file.clone().into());
    let error = compared(&CheckOptions { against, ..base }).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("not a baseline file"), "{error}: {cause}");
}

/// A check of which no column was left exited with 0, and skips were nowhere counted.
#[test]
fn a_check_of_nothing_says_so_and_skips_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = Rows::new(17, 400, 0.0).write(&folder, "a.csv");
    let mut audience = Audience { note: &mut |_| (), progress: &|_| () };
    let ignoring = |names: &[&str]| CheckOptions {
        ignore: names.iter().map(|&name| name.to_owned()).collect(),
        ..options(&file, &file)
    };
    let found = check(&ignoring(&["x"]), &mut audience).unwrap();
    assert_eq!((found.skipped, found.nothing()), (1, None));
    let error = compared(&ignoring(&["x", "colour"])).unwrap_err().to_string();
    assert!(error.contains("no columns to compare: all were skipped"), "{error}");
    assert!(error.contains("column x skipped: --ignore"), "{error}");
    let small = Rows::new(18, 2, 0.0).write(&folder, "b.csv");
    let few = check(&options(&file, &small), &mut audience).unwrap();
    let why = few.nothing().unwrap();
    assert!(why.starts_with("nothing could be compared: 2 rows are too few to judge"), "{why}");
    let mut unjudged = found;
    unjudged.report.findings.iter_mut().for_each(|finding| finding.judged = false);
    assert_eq!(unjudged.nothing().unwrap(), "nothing to compare: no column is judged, 1 skipped");
}
