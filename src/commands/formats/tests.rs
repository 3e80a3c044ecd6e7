//! The command: what it lists, and what it says of records, with a baseline and without.

use std::path::{Path, PathBuf};

use driftline_config::presets::PRESETS;

use super::{TryArgs, attempt, given_header, list, show};
use crate::commands::screen::Screen;

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn tried(captures: &str, lines: &str, headers: &[&str]) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let is_base64 = captures.contains("oip");
    let config = format!(
        "kafka: {{bootstrap: b}}\nmodels:\n  - {{name: m, baseline: none.json, captures: {{topic: t, {captures}}}}}\n"
    );
    let args = TryArgs {
        config: file(folder.path(), "driftline.yaml", &config),
        model: None,
        file: Some(file(folder.path(), "records.jsonl", lines)),
        topic: None,
        whole: false,
        base64: is_base64,
        headers: headers.iter().map(|header| given_header(header).unwrap()).collect(),
        key: None,
        time: None,
        most: 100,
    };
    attempt(&args).unwrap()
}

#[test]
fn every_format_is_listed_and_shown() {
    let listed = list(Screen::PLAIN);
    for preset in &PRESETS {
        assert!(listed.contains(preset.name) && show(preset.name).unwrap() == preset.text);
    }
    assert!(show("driftline-json").is_ok());
    assert!(show("thrift").unwrap_err().to_string().contains("sagemaker"));
}

#[test]
fn each_record_is_told_with_its_rows_or_its_reason() {
    let lines = concat!(
        r#"{"t":1767323045,"in":[{"a":1,"b":"x"},{"a":2}],"out":[0.5,0.25],"request":"r"}"#,
        "\n\n",
        r#"{"t":1767323045,"in":[{"a":1}],"out":[]}"#,
        "\n{\"t\":\n",
    );
    let map = "map: {rows: '/in/*', id: /request, ts: {at: /t, unit: s}, features: ./, predictions: {score: '/out/*'}}";
    let expected = concat!(
        "record 1: 2 rows\n",
        "  ts=2026-01-02T03:04:05Z  id=r#0  feature:a=\"1\"  feature:b=\"x\"  prediction:score=\"0.5\"\n",
        "  ts=2026-01-02T03:04:05Z  id=r#1  feature:a=\"2\"  feature:b=missing  prediction:score=\"0.25\"\n",
        "record 2: rejected, wrong_shape: 1 rows at /in/*, and 0 at /out/*\n",
        "record 3: rejected, invalid_json: byte 5: the text ends too early\n",
        "3 records: 2 rows, 0 halves of requests, 0 skipped, 2 rejected (1 invalid_json, 1 wrong_shape); ",
        "there is no baseline yet, so columns are those of the records, as texts\n",
    );
    assert_eq!(tried(map, lines, &[]), (expected.to_owned(), true));
}

#[test]
fn formats_that_no_topic_is_read_by_yet_can_be_tried() {
    let headers = [
        "ce_id=i",
        "ce_type=org.kubeflow.serving.inference.request",
        "ce_time=2026-01-02T03:04:05Z",
    ];
    let (text, rejected) = tried("format: kserve", r#"{"instances":[[1,2]]}"#, &headers);
    let expected = "record 1: 1 request, paired by i\n  ts=2026-01-02T03:04:05Z  id=i  feature:[0]=\"1\"  feature:[1]=\"2\"\n";
    assert!(text.starts_with(expected) && !rejected, "{text}");
}

#[test]
fn records_of_bytes_come_in_base64() {
    // A request with the tensor `a` of one row, 0.5 in raw contents.
    let line = "KgwKAWESBEZQMzIaAQE6BAAAAD8=\n";
    let (text, rejected) = tried("format: oip", line, &[]);
    assert!(rejected, "{text}");
    let (text, _) = tried("format: oip, map: {ts: {constant: '2026-01-02T03:04:05Z'}}", line, &[]);
    assert!(text.contains("feature:a=\"0.5\""), "{text}");
}
