//! Captures of 20 numeric features, and two ways to make Arrow of them: ours and arrow-json's.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use arrow_json::ReaderBuilder;
use driftline_analytics::baseline::Baseline;
use driftline_analytics::baseline::build::CutPoints;
use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_config::{Config, Start};
use driftline_formats::{Decoder, ModelPlan, Record, RecordLimits};
use driftline_ingest::TopicPlan;
use driftline_world::{baseline_of, decode_all};

use super::{BATCH_ROWS, FEATURES};

/// How the numbers of a capture are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbers {
    /// Up to six digits: what is measured, counted or rounded. About 450 bytes a capture.
    Short,
    /// Seventeen digits: what Python writes of a computed double. About 610 bytes a capture.
    Full,
}

pub(crate) const NAMES: [&str; FEATURES] = [
    "age", "fare", "hour", "temp", "wind", "rain", "dist", "load", "gate", "seats", "delay",
    "speed", "stops", "carry", "humid", "press", "visib", "month", "prior", "loyal",
];

/// As many captures as a batch has rows, all different, the same on every machine.
pub(crate) fn captures(numbers: Numbers) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..BATCH_ROWS).map(|row| capture(row, numbers, &mut random)).collect()
}

/// The capture of row `row` of an endless stream, a millisecond after the one before.
pub(crate) fn capture_at(row: usize) -> String {
    capture(row, Numbers::Short, &mut fastrand::Rng::with_seed(row as u64))
}

fn capture(row: usize, numbers: Numbers, random: &mut fastrand::Rng) -> String {
    let features: Vec<String> = NAMES
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let value = (random.f64() - 0.25) * 10_f64.powi((column % 4) as i32);
            match numbers {
                Numbers::Full => format!("\"{name}\":{value:?}"),
                Numbers::Short if column % 4 == 3 => format!("\"{name}\":{}", value as i64),
                Numbers::Short => format!("\"{name}\":{value:.4}"),
            }
        })
        .collect();
    format!(
        "{{\"v\":1,\"model\":\"flight-delay\",\"version\":\"3\",\"id\":\"{:016x}\",\
         \"ts\":\"2026-01-02T{:02}:{:02}:{:02}.{:03}Z\",\"latency_us\":{},\"status\":200,\
         \"features\":{{{}}},\"prediction\":{{\"score\":{:.4}}}}}",
        random.u64(..),
        row / 1000 / 3600 % 24,
        row / 1000 / 60 % 60,
        row / 1000 % 60,
        row % 1000,
        random.u32(500..20_000),
        features.join(","),
        random.f64(),
    )
}

/// Kinds of [`poisoned`].
pub(crate) const POISONS: usize = 20;

/// The same captures with one in a hundred of every kind of bad data, each spoilt from the capture that
/// stood there.
pub(crate) fn poisoned(captures: &[String]) -> Vec<Vec<u8>> {
    let spoil = |(row, capture): (usize, &String)| match row % 100 {
        kind if kind < POISONS => spoilt(kind, capture),
        _ => capture.clone().into_bytes(),
    };
    captures.iter().enumerate().map(spoil).collect()
}

fn spoilt(kind: usize, capture: &str) -> Vec<u8> {
    let amount = |value: &str| {
        let (before, after) = capture.split_once("\"age\":").unwrap_or((capture, ""));
        let after = after.split_once(',').map_or("", |(_, after)| after);
        format!("{before}\"age\":{value},{after}")
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let text = match kind {
        0 => String::new(),
        1 => {
            let mut bytes = capture.to_owned().into_bytes();
            bytes.insert(capture.len() / 2, 0xff);
            return bytes;
        }
        2 => capture[..capture.len() * 2 / 3].to_owned(),
        3 => amount(&nested(10_000)),
        4 => "[".repeat(10_000),
        5 => "[1,2,3]".to_owned(),
        6 => format!("{capture} {{}}"),
        7 => capture.replace("\"ts\":", "\"tt\":"),
        8 => capture.replace("2026-01-02T", "1999-01-02T"),
        9 => capture.replace("2026-01-02T", "yesterday"),
        10 => format!("\0\0\0\0\u{7}{capture}"),
        11 => amount("NaN"),
        12 => amount("-Infinity"),
        13 => amount("1e400"),
        14 => amount(&"9".repeat(60)),
        15 => amount("1,\"age\":2"),
        16 => amount("\"31\""),
        17 => amount("[31]"),
        18 => amount(&nested(100)),
        _ => capture.replace("\"status\":200", "\"status\":\"ok\""),
    };
    text.into_bytes()
}

/// Bytes of all captures.
pub(crate) fn bytes_of(captures: &[String]) -> usize {
    captures.iter().map(String::len).sum()
}

/// These features and a score.
pub(crate) fn schema() -> CaptureSchema {
    let column =
        |subject: String| Column { subject: subject.into(), kind: Kind::Numeric, coerce: false };
    let features = NAMES.iter().map(|name| column(format!("feature:{name}")));
    let columns = features.chain([column("prediction:score".to_owned())]).collect();
    CaptureSchema { columns, ignored: Vec::new() }
}

fn model() -> ModelPlan {
    ModelPlan { name: "flight-delay".to_owned(), schema: schema(), max_ahead_us: 0, mapping: None }
}

/// What is read: one model.
pub(crate) fn plan(topic: &str) -> TopicPlan {
    TopicPlan { topic: topic.to_owned(), models: vec![model()], start: Start::Earliest }
}

/// Our decoder for these captures.
pub(crate) fn decoder() -> Decoder {
    Decoder::new(&[model()], &RecordLimits::default())
}

/// A decoder that reads the same captures by a map, as if somebody else had designed them.
pub(crate) fn mapped() -> Decoder {
    let yaml = "kafka: {bootstrap: b}\nmodels:\n  - {name: flight-delay, baseline: b, captures: {topic: t, map: {\
        model: /model, version: /version, id: /id, ts: /ts, latency: /latency_us, status: /status, \
        features: /features, predictions: /prediction}}}\n";
    let config = Config::parse(yaml, Path::new("bench.yaml"), &|_| None);
    let config = config.unwrap_or_else(|problems| unreachable!("a plain map: {problems}"));
    let models = config.models.iter().map(|model| ModelPlan::new(model, schema()));
    Decoder::new(&models.collect::<Vec<_>>(), &RecordLimits::default())
}

/// A baseline of one batch of these captures.
pub(crate) fn baseline() -> Baseline {
    let rows = decode_all(&schema(), &captures(Numbers::Short));
    baseline_of(schema(), &[rows], CutPoints::default())
}

/// Decodes one batch with our decoder; how many rows it has.
pub(crate) fn ours<T: AsRef<[u8]>>(decoder: &mut Decoder, captures: &[T]) -> usize {
    for (offset, capture) in (0..).zip(captures) {
        decoder.decode(&Record { value: Some(capture.as_ref()), offset, time_us: None });
    }
    let decoded = decoder.take().unwrap_or_default();
    decoded.rows.iter().map(|rows| rows.rows.rows()).sum()
}

/// arrow-json for these captures, into the same columns.
pub(crate) fn arrow_json() -> arrow_json::reader::Decoder {
    let field = |name: &str, kind| Field::new(name, kind, true);
    let numbers = |names: &[&str]| -> Fields {
        names.iter().map(|name| field(name, DataType::Float64)).collect()
    };
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let schema = Schema::new(vec![
        field("model", DataType::Utf8),
        field("version", DataType::Utf8),
        field("id", DataType::Utf8),
        field("ts", time),
        field("latency_us", DataType::Int64),
        field("status", DataType::Int32),
        field("features", DataType::Struct(numbers(&NAMES))),
        field("prediction", DataType::Struct(numbers(&["score"]))),
    ]);
    let builder = ReaderBuilder::new(Arc::new(schema)).with_batch_size(BATCH_ROWS);
    builder.build_decoder().unwrap_or_else(|error| unreachable!("a plain schema: {error}"))
}

/// Decodes one batch with arrow-json, payload by payload as a consumer has them; how many rows it
/// has.
pub(crate) fn theirs(decoder: &mut arrow_json::reader::Decoder, captures: &[String]) -> usize {
    for capture in captures {
        if decoder.decode(capture.as_bytes()).is_err() {
            return 0;
        }
    }
    let batch = decoder.flush().ok().flatten();
    batch.map_or(0, |batch| batch.num_rows())
}
