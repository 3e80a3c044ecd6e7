//! Files of records as they stand on a model's topic, read by the model's map.

use std::fs;
use std::path::Path;

use driftline_capture::{CaptureSchema, Column, Kind};
use driftline_config::{Config, Limits, Model};

use crate::{Mapping, Table};

fn model(captures: &str) -> Model {
    let yaml = format!(
        "state: s\nkafka: {{bootstrap: b}}\nmodels:\n  - {{name: m, baseline: b.json, captures: {{topic: t, {captures}}}}}\n"
    );
    let config = Config::parse(&yaml, Path::new("driftline.yaml"), &|_| None);
    config.unwrap_or_else(|problems| panic!("{problems}")).models.remove(0)
}

const BATCHED: &str = "format: json, map: {rows: '/rows/*', id: /id, ts: {at: /when, unit: s}, features: ./in, predictions: {score: ./p}}";

/// A bucket of captures of another system was a table of one column to `baseline` and `backtest`.
#[test]
fn records_of_a_models_format_are_rows_in_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("captures.jsonl");
    let lines = [
        r#"{"id":"a","when":1767225600,"rows":[{"in":{"x":1.5,"kind":"k"},"p":0.25},{"in":{"x":2,"kind":"l"},"p":0.5}]}"#,
        r#"{"id":"b","when":1767225601,"rows":[{"in":{"x":null,"kind":"k"},"p":0.75}]}"#,
        r#"{"id":"c","when":"yesterday","rows":[{"in":{"x":1},"p":0.75}]}"#,
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let argument = path.to_str().unwrap();
    let mapped = model(BATCHED);
    let table = Table::open_of(argument, Some(&mapped), &|_| ()).unwrap();
    assert!(table.is_captures());
    assert_eq!(table.columns(), ["feature:kind", "feature:x", "prediction:score"]);
    assert_eq!(table.rows(), Some(3));
    let rejected = table.passed_over();
    assert_eq!(rejected.rejected, 1);
    assert!(rejected.first_rejection.unwrap().contains("captures.jsonl:3: bad_timestamp"));
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    let columns =
        vec![column("feature:kind", Kind::Categorical), column("feature:x", Kind::Numeric)];
    let schema = CaptureSchema { columns, ignored: Vec::new() };
    let mut captures = table.captures(&schema, &Mapping::default(), &Limits::default()).unwrap();
    let batch = captures.next().unwrap().unwrap();
    assert!(captures.next().is_none());
    assert_eq!(batch.rows(), 3);
    assert_eq!([0, 1, 2].map(|row| batch.id(row)), [Some("a#0"), Some("a#1"), Some("b")]);
    assert_eq!(batch.times_us()[2], 1_767_225_601_000_000);
}

#[test]
fn a_table_stays_a_table_whatever_the_topic_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.jsonl");
    fs::write(&path, "{\"x\":1,\"y\":\"a\"}\n{\"x\":2,\"y\":\"b\"}\n").unwrap();
    let table = Table::open_of(path.to_str().unwrap(), Some(&model(BATCHED)), &|_| ()).unwrap();
    assert!(!table.is_captures());
    assert_eq!(table.columns(), ["x", "y"]);
}
