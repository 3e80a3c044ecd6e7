//! What windows are compared with: baselines over calm captures, and over columns of numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use driftline_analytics::baseline::Baseline;
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints, OwnWindowRule};
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{self, CaptureSchema, Column, ENVELOPE_COLUMNS, Kind};
use driftline_config::{Limits, WindowGrid};
use driftline_formats::{Decoder, ModelPlan, Record, RecordLimits};

use crate::{T0, capture};

/// Rows of a baseline that is large enough for every judgement.
pub const BASELINE_ROWS: i64 = 2000;

/// What is monitored of [`capture`]s: a number, a category and a prediction.
pub fn schema() -> CaptureSchema {
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    CaptureSchema {
        columns: vec![
            column("feature:x", Kind::Numeric),
            column("feature:kind", Kind::Categorical),
            column("prediction:score", Kind::Numeric),
        ],
        ignored: Vec::new(),
    }
}

/// The baseline file over this many calm captures, with so many cut points at most.
pub fn baseline(rows: i64, cut_points: usize) -> Vec<u8> {
    let captures: Vec<String> = (0..rows).map(|index| capture("any", T0, index, 0)).collect();
    let batch = decode_all(&schema(), &captures);
    baseline_of(schema(), &[batch], CutPoints::AtMost(cut_points)).to_json()
}

/// The same over windows of `every_us` before [`T0`], as many rows in each: it has own windows to judge
/// by.
pub fn timed_baseline(windows: i64, rows_each: i64, every_us: i64, cut_points: usize) -> Vec<u8> {
    let time_us = |index: i64| {
        let start_us = T0 - (windows - index / rows_each) * every_us;
        start_us + index % rows_each * (every_us / rows_each)
    };
    let captures: Vec<String> =
        (0..windows * rows_each).map(|index| capture("any", time_us(index), index, 0)).collect();
    let batch = decode_all(&schema(), &captures);
    let rule = OwnWindowRule { grid: WindowGrid::every(every_us), at_least: 1 };
    baseline_with(schema(), &[batch], CutPoints::AtMost(cut_points), Some(rule)).to_json()
}

/// Captures of one model, decoded into one batch.
pub fn decode_all<T: AsRef<[u8]>>(schema: &CaptureSchema, captures: &[T]) -> CaptureBatch {
    let (name, schema) = ("any".to_owned(), schema.clone());
    let plan = ModelPlan { name, schema, max_ahead_us: i64::MAX, mapping: None };
    let mut decoder = Decoder::new(&[plan], &RecordLimits::default());
    for (offset, capture) in (0..).zip(captures) {
        decoder.decode(&Record { value: Some(capture.as_ref()), offset, time_us: None });
    }
    let mut decoded = decoder.take().expect("Arrow takes the columns");
    assert_eq!(decoded.marks, [], "every capture is a row");
    decoded.rows.remove(0).rows
}

/// A baseline over batches of captures.
pub fn baseline_of(
    schema: CaptureSchema,
    batches: &[CaptureBatch],
    cut_points: CutPoints,
) -> Baseline {
    baseline_with(schema, batches, cut_points, None)
}

/// The same, which knows by its own windows how days differ.
pub fn baseline_with(
    schema: CaptureSchema,
    batches: &[CaptureBatch],
    cut_points: CutPoints,
    own_windows: Option<OwnWindowRule>,
) -> Baseline {
    let (held_out_predictions, limits) = (true, Limits::default());
    let options = BuildOptions { cut_points, own_windows, held_out_predictions, limits };
    let mut builder = Builder::new(schema, options).expect("the schema is sound");
    batches.iter().for_each(|batch| builder.observe(batch));
    let mut counting = builder.choose();
    batches.iter().for_each(|batch| counting.count(batch));
    counting.finish("the world").expect("there are rows").baseline
}

/// What a batch says beside its values: the same of every row, but for latencies.
#[derive(Debug, Clone)]
pub struct Answers {
    pub version: Option<&'static str>,
    pub status: Option<i32>,
    /// As many as there are rows.
    pub latencies_us: Int64Array,
}

/// A batch of numeric columns, by subject and of as many rows as there are latencies.
pub fn numeric_batch(answers: Answers, values: Vec<(String, ArrayRef)>) -> CaptureBatch {
    let rows = Array::len(&answers.latencies_us);
    let wholes = |value: i64| -> ArrayRef { Arc::new(Int64Array::from_value(value, rows)) };
    let texts = |text: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let statuses = Int32Array::from(vec![answers.status; rows]);
    let envelope: [(&str, ArrayRef); ENVELOPE_COLUMNS] = [
        (columns::OFFSET, wholes(0)),
        (columns::TIME_US, wholes(T0)),
        (columns::RECORD_TIME_US, wholes(T0)),
        (columns::ID, texts(None)),
        (columns::VERSION, texts(answers.version)),
        (columns::LATENCY_US, Arc::new(answers.latencies_us)),
        (columns::STATUS, Arc::new(statuses)),
        (columns::SAMPLE_RATE, Arc::new(Float64Array::from_value(1.0, rows))),
    ];
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (name, column) in envelope {
        fields.push(Field::new(name, column.data_type().clone(), true));
        arrays.push(column);
    }
    for (subject, column) in values {
        fields.push(Field::new(subject, DataType::Float64, true));
        arrays.push(column);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
    CaptureBatch::new(batch.expect("columns of one length")).expect("the envelope stands first")
}
