//! Models: padding, and what real ones answer. Tests that need an ONNX Runtime library run when
//! DRIFTLINE_TEST_ONNXRUNTIME names one, and say so when they are skipped.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use driftline_config::{CandidateOutput, Purpose, sha256_hex};

use super::*;

const CHAMPION: &[u8] = include_bytes!("../../../examples/flights/champion.onnx");
const STRINGS: &[u8] = include_bytes!("fixtures/strings.onnx");
const FLIGHT_INPUTS: [&str; 7] =
    ["dep_delay", "distance", "hour", "day_of_week", "wind_speed", "precip", "visib"];

pub(crate) fn runtime() -> Option<Runtime> {
    let Ok(path) = std::env::var("DRIFTLINE_TEST_ONNXRUNTIME") else {
        println!("skipped: DRIFTLINE_TEST_ONNXRUNTIME names no library");
        return None;
    };
    Some(Runtime::load(&[PathBuf::from(path)]).expect("the named library loads"))
}

pub(crate) fn candidate(bytes: &[u8], inputs: &[&str]) -> Candidate {
    Candidate {
        name: "spring".to_owned(),
        onnx: PathBuf::from("spring.onnx"),
        sha256: sha256_hex(bytes),
        inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: CandidateOutput::default(),
        purpose: Purpose::Better,
        trained_until_us: None,
        sample: 1.0,
    }
}

fn load(bytes: &[u8], candidate: &Candidate) -> Option<Result<Model, ShadowError>> {
    Some(Model::load(bytes, candidate, 1 << 20, &runtime()?))
}

fn numbers(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length")
}

/// The rows of flights.csv, and Python's label and score of each.
fn flights() -> (RecordBatch, Vec<(String, f64)>) {
    let mut columns = vec![Vec::new(); FLIGHT_INPUTS.len()];
    let mut expected = Vec::new();
    for line in include_str!("fixtures/flights.csv").lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        for (column, cell) in columns.iter_mut().zip(&cells) {
            column.push(cell.parse::<f64>().ok());
        }
        expected.push((cells[7].to_owned(), cells[8].parse().expect("a score")));
    }
    let names: Vec<String> = FLIGHT_INPUTS.iter().map(|name| format!("feature:{name}")).collect();
    let columns =
        names.iter().map(String::as_str).zip(columns.iter().map(|column| numbers(column)));
    (batch(columns.collect()), expected)
}

#[test]
fn runs_are_padded_to_few_sizes_and_half_full() {
    let table =
        [(1, 1), (2, 1), (4, 8), (8, 8), (20, 8), (32, 64), (65, 64), (256, 512), (9999, 512)];
    for (rows, expected) in table {
        assert_eq!(padded_rows(rows), expected, "{rows}");
    }
}

#[test]
fn scores_equal_those_of_python() {
    let mut candidate = candidate(CHAMPION, &FLIGHT_INPUTS);
    candidate.output.classes = vec!["on-time".to_owned(), "late".to_owned()];
    let Some(model) = load(CHAMPION, &candidate) else { return };
    let mut model = model.expect("the champion loads");
    let (batch, expected) = flights();
    let all: Vec<u32> = (0..batch.num_rows() as u32).collect();
    let together = model.score(&batch, &all).expect("scored");
    assert_eq!(together.rows, all);
    let labels = together.labels.as_ref().expect("labels");
    let scores = together.scores.as_ref().expect("scores");
    assert!(labels.iter().any(|label| label == "late"));
    for (row, (label, score)) in expected.iter().enumerate() {
        let name = if label == "1" { "late" } else { "on-time" };
        assert_eq!(labels[row], name, "row {row}");
        assert!((scores[row] - score).abs() < 1e-6, "row {row}: {} {score}", scores[row]);
    }
    for row in (0..all.len()).step_by(97) {
        let alone = model.score(&batch, &[row as u32]).expect("scored");
        assert_eq!(alone.scores.expect("scores"), [scores[row]], "row {row}");
    }
}

#[test]
fn text_inputs_are_bound_by_name() {
    let Some(model) = load(STRINGS, &candidate(STRINGS, &["dep_delay", "carrier"])) else { return };
    let batch = batch(vec![
        (
            "feature:carrier",
            texts(&[Some("UA"), Some("AA"), None, Some("B6"), Some("UA"), Some("UA")]),
        ),
        ("feature:dep_delay", numbers(&[Some(10.0), Some(0.0), Some(0.0), Some(-5.0), None, None])),
        ("wrong_type:feature:dep_delay", texts(&[None, None, None, None, None, Some("ten")])),
    ]);
    let found = model.expect("it loads").score(&batch, &[0, 1, 2, 3, 4, 5]).expect("scored");
    // The last row's delay was no number: nobody knows what the champion made of it.
    assert_eq!(found.rows, [0, 1, 2, 3, 4]);
    assert_eq!(found.labels, None);
    let scores = found.scores.expect("scores");
    for (row, expected) in [0.35, 0.5, 0.0, -0.05].into_iter().enumerate() {
        assert!((scores[row] - expected).abs() < 1e-6, "row {row}: {}", scores[row]);
    }
    assert!(scores[4].is_nan());
}

#[test]
fn a_feature_that_is_not_monitored_is_named() {
    let Some(model) = load(STRINGS, &candidate(STRINGS, &["carrier", "dep_delay"])) else { return };
    let batch = batch(vec![("feature:carrier", texts(&[Some("UA")]))]);
    let error = model.expect("it loads").score(&batch, &[0]).expect_err("refused");
    assert_eq!(error, ShadowError::Feature { feature: "dep_delay".to_owned() });
}

#[test]
fn bad_models_are_refused_with_the_reason() {
    let champion: &[&str] = &FLIGHT_INPUTS;
    let (pair, one): (&[&str], &[&str]) = (&["a", "b"], &["a"]);
    let custom = include_bytes!("fixtures/custom.onnx").as_slice();
    let external = include_bytes!("fixtures/external.onnx").as_slice();
    let zipmap = include_bytes!("fixtures/zipmap.onnx").as_slice();
    let table: [(&[u8], &[&str], &str); 11] = [
        (custom, pair, "custom operators are refused"),
        (external, pair, "refers to external data"),
        (zipmap, pair, "convert the model with options={\"zipmap\": False}"),
        (&CHAMPION[..CHAMPION.len() / 2], champion, "truncated"),
        (b"not a model at all", pair, "not an ONNX model"),
        (b"", pair, "it holds no graph"),
        (b"\x3a\x00", pair, "ONNX Runtime refuses the model"),
        (CHAMPION, pair, "has the shape [-1, 7], configured are 2 features"),
        (STRINGS, one, "the model's inputs do not fit"),
        (STRINGS, &["carrier", "dep_delay", "x"], "give one feature per input"),
        (STRINGS, &["dep_delay", "other"], "share names in different places"),
    ];
    for (position, (bytes, inputs, expected)) in table.into_iter().enumerate() {
        let Some(result) = load(bytes, &candidate(bytes, inputs)) else { return };
        let error = result.expect_err("refused").to_string();
        assert!(error.contains(expected), "row {position}: {error}");
    }
}

#[test]
fn checksum_and_size_come_before_everything() {
    let declared = sha256_hex(b"something else");
    let error = file::check(CHAMPION, &declared, 1 << 20).expect_err("refused");
    assert!(matches!(error, ShadowError::Sha256 { .. }), "{error}");
    let error = file::check(CHAMPION, &declared, 1000).expect_err("refused");
    assert_eq!(error, ShadowError::TooLarge { bytes: CHAMPION.len() as u64, limit: 1000 });
    let mut other = candidate(CHAMPION, &FLIGHT_INPUTS);
    let error = file::read(&other, 1000).expect_err("no such file");
    assert!(matches!(error, ShadowError::Read { .. }), "{error}");
    // Who opened a device would read for ever.
    other.onnx = PathBuf::from("/dev/zero");
    let error = file::read(&other, 1000).expect_err("a device").to_string();
    assert!(error.contains("/dev/zero: it is not a file"), "{error}");
}

#[test]
fn outputs_are_the_configured_ones() {
    let output =
        |label: Option<&str>, score: Option<&str>, column: Option<usize>| CandidateOutput {
            label: label.map(str::to_owned),
            score: score.map(str::to_owned),
            score_column: column,
            ..CandidateOutput::default()
        };
    let (batch, _) = flights();
    let mut first = candidate(CHAMPION, &FLIGHT_INPUTS);
    first.output = output(None, None, Some(0));
    let Some(model) = load(CHAMPION, &first) else { return };
    let last = load(CHAMPION, &candidate(CHAMPION, &FLIGHT_INPUTS)).expect("a runtime");
    let scores = |model: Result<Model, ShadowError>| {
        model.expect("it loads").score(&batch, &[3]).expect("scored").scores.expect("scores")
    };
    assert!((scores(model)[0] + scores(last)[0] - 1.0).abs() < 1e-6);
    let table = [
        (output(Some("nobody"), None, None), "there is no output nobody"),
        (output(Some("probabilities"), None, None), "the output probabilities is"),
    ];
    for (output, expected) in table {
        first.output = output;
        let error = load(CHAMPION, &first).expect("a runtime").expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}
