//! Small capture batches and layouts for tests.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder,
};
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{self, CaptureSchema, Column, Kind};
use driftline_config::Limits;

use crate::baseline::Baseline;
use crate::baseline::build::{BuildOptions, Builder, Built, CutPoints, OwnWindowRule};
use crate::layout::Layout;

/// One capture of a model with the columns of [`schema`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) time_us: i64,
    pub(crate) version: Option<String>,
    pub(crate) latency_us: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) sample_rate: Option<f64>,
    pub(crate) delay: Option<f64>,
    pub(crate) delay_text: Option<String>,
    pub(crate) carrier: Option<String>,
    pub(crate) score: Option<f64>,
    pub(crate) unknown: Vec<String>,
}

/// feature:delay, feature:carrier, prediction:score.
pub(crate) fn schema() -> CaptureSchema {
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    CaptureSchema {
        columns: vec![
            column("feature:delay", Kind::Numeric),
            column("feature:carrier", Kind::Categorical),
            column("prediction:score", Kind::Numeric),
        ],
        ignored: vec!["feature:tailnum".into()],
    }
}

pub(crate) fn batch(rows: &[Row]) -> CaptureBatch {
    let times: Int64Array = rows.iter().map(|row| Some(row.time_us)).collect();
    let offsets: Int64Array = (0..rows.len() as i64).map(Some).collect();
    let texts = |text: fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let floats = |value: fn(&Row) -> Option<f64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<Float64Array>())
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        (columns::OFFSET.into(), Arc::new(offsets)),
        (columns::TIME_US.into(), Arc::new(times.clone())),
        (columns::RECORD_TIME_US.into(), Arc::new(times)),
        (columns::ID.into(), texts(|_| None)),
        (columns::VERSION.into(), texts(|row| row.version.as_deref())),
        (
            columns::LATENCY_US.into(),
            Arc::new(rows.iter().map(|row| row.latency_us).collect::<Int64Array>()),
        ),
        (
            columns::STATUS.into(),
            Arc::new(rows.iter().map(|row| row.status).collect::<Int32Array>()),
        ),
        (columns::SAMPLE_RATE.into(), floats(|row| Some(row.sample_rate.unwrap_or(1.0)))),
        ("feature:delay".into(), floats(|row| row.delay.filter(|_| row.delay_text.is_none()))),
        ("feature:carrier".into(), texts(|row| row.carrier.as_deref())),
        ("prediction:score".into(), floats(|row| row.score)),
    ];
    if rows.iter().any(|row| row.delay_text.is_some()) {
        columns.push((
            format!("{}feature:delay", columns::WRONG_TYPE_PREFIX),
            texts(|row| row.delay_text.as_deref()),
        ));
    }
    if rows.iter().any(|row| !row.unknown.is_empty()) {
        let mut names = ListBuilder::new(StringBuilder::new());
        for row in rows {
            row.unknown.iter().for_each(|name| names.values().append_value(name));
            names.append(!row.unknown.is_empty());
        }
        columns.push((columns::UNKNOWN_COLUMNS.into(), Arc::new(names.finish())));
    }
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    CaptureBatch::new(batch).expect("an envelope")
}

pub(crate) fn build(
    rows: &[Row],
    cut_points: CutPoints,
    own_windows: Option<OwnWindowRule>,
) -> Built {
    let options = BuildOptions {
        cut_points,
        own_windows,
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let batch = batch(rows);
    let mut builder = Builder::new(schema(), options).expect("a valid schema");
    builder.observe(&batch);
    let mut counting = builder.choose();
    counting.count(&batch);
    counting.finish("rows of a test").expect("rows")
}

/// A thousand ordinary rows: delays from -20 to 79, three carriers, scores from 0 to 0.99.
pub(crate) fn ordinary_rows() -> Vec<Row> {
    (0..1000_i64)
        .map(|i| Row {
            time_us: i * 60_000_000,
            delay: Some(((i * 37) % 100 - 20) as f64),
            carrier: Some(["UA", "AA", "B6"][(i % 7 % 3) as usize].to_owned()),
            score: Some(((i * 61) % 100) as f64 / 100.0),
            ..Row::default()
        })
        .collect()
}

pub(crate) fn baseline() -> Arc<Baseline> {
    Arc::new(build(&ordinary_rows(), CutPoints::default(), None).baseline)
}

pub(crate) fn layout() -> Layout {
    Layout::of_baseline(&baseline(), &Limits::default())
}
