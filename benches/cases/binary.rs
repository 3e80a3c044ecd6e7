//! The captures of `decode.rs` in Avro, Protobuf and tensors, each as its own writers lay it out.

use std::path::Path;
use std::sync::Arc;

use driftline_config::Config;
use driftline_formats::{
    Carried, Decoder, Header, KnownSchema, ModelPlan, Record, RecordLimits, SchemaId, SchemaKind,
    SchemaText, TopicLayout,
};

use super::FEATURES;
use super::decode::{NAMES, schema};

/// The frame of a registry's schema 7.
const FRAME: &[u8] = b"\0\0\0\0\x07";
/// 2026-01-02T00:00:00Z
const MIDNIGHT_US: i64 = 1_767_312_000_000_000;

/// What a capture says, out of its JSON.
struct Said {
    id: String,
    latency_us: i64,
    features: Vec<f64>,
    score: f64,
}

fn said(capture: &str) -> Said {
    let between = |before: &str, behind: &str| {
        let rest = capture.split_once(before).map_or("", |(_, rest)| rest);
        rest.split_once(behind).map_or("", |(found, _)| found)
    };
    let features = between("\"features\":{", "}").split(',');
    let features = features.filter_map(|member| member.split_once(':')?.1.parse().ok());
    Said {
        id: between("\"id\":\"", "\"").to_owned(),
        latency_us: between("\"latency_us\":", ",").parse().unwrap_or(0),
        features: features.collect(),
        score: between("\"score\":", "}").parse().unwrap_or(0.0),
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn sized(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Captures in Avro behind the frame of their schema.
pub(crate) fn avro(captures: &[String]) -> Vec<Vec<u8>> {
    let zigzag = |value: i64, out: &mut Vec<u8>| varint((value << 1 ^ value >> 63) as u64, out);
    let text = |text: &str, out: &mut Vec<u8>| {
        zigzag(text.len() as i64, out);
        out.extend_from_slice(text.as_bytes());
    };
    let record = |(row, capture): (usize, &String)| {
        let said = said(capture);
        let mut out = FRAME.to_vec();
        text("flight-delay", &mut out);
        text("3", &mut out);
        text(&said.id, &mut out);
        zigzag(MIDNIGHT_US + 1000 * row as i64, &mut out);
        zigzag(said.latency_us, &mut out);
        zigzag(200, &mut out);
        said.features.iter().for_each(|value| out.extend(value.to_le_bytes()));
        out.extend(said.score.to_le_bytes());
        out
    };
    captures.iter().enumerate().map(record).collect()
}

/// Captures in Protobuf behind the frame of their schema, of whose messages they are the first.
pub(crate) fn protobuf(captures: &[String]) -> Vec<Vec<u8>> {
    let record = |(row, capture): (usize, &String)| {
        let said = said(capture);
        let mut out = [FRAME, &[0]].concat();
        sized(1, b"flight-delay", &mut out);
        sized(2, b"3", &mut out);
        sized(3, said.id.as_bytes(), &mut out);
        for (number, value) in
            [(4, MIDNIGHT_US as u64 / 1000 + row as u64), (5, said.latency_us as u64), (6, 200)]
        {
            varint(number << 3, &mut out);
            varint(value, &mut out);
        }
        let mut features = Vec::new();
        for (number, value) in (1_u64..).zip(&said.features) {
            varint(number << 3 | 1, &mut features);
            features.extend(value.to_le_bytes());
        }
        sized(7, &features, &mut out);
        let prediction = [&[1 << 3 | 1][..], &said.score.to_le_bytes()].concat();
        sized(8, &prediction, &mut out);
        out
    };
    captures.iter().enumerate().map(record).collect()
}

/// How the features of a request are cut into tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// One tensor for all columns, a row a record.
    Together,
    /// A tensor for each column, a row a record.
    Apart,
    /// A tensor for each column, so many rows a record.
    Rows(usize),
}

/// The features as inference requests with raw contents of single precision.
pub(crate) fn requests(captures: &[String], cut: Cut) -> Vec<Vec<u8>> {
    let rows_a_record = if let Cut::Rows(rows) = cut { rows } else { 1 };
    let tensor = |name: &str, shape: &[u64]| {
        let mut out = Vec::new();
        sized(1, name.as_bytes(), &mut out);
        sized(2, b"FP32", &mut out);
        let mut sizes = Vec::new();
        shape.iter().for_each(|size| varint(*size, &mut sizes));
        sized(3, &sizes, &mut out);
        out
    };
    let record = |captures: &[String]| {
        let rows: Vec<Said> = captures.iter().map(|capture| said(capture)).collect();
        let value = |row: &Said, column: usize| (row.features[column] as f32).to_le_bytes();
        let mut out = Vec::new();
        sized(1, b"flight-delay", &mut out);
        sized(3, rows[0].id.as_bytes(), &mut out);
        let count = rows.len() as u64;
        match cut {
            Cut::Together => {
                sized(5, &tensor("x", &[count, FEATURES as u64]), &mut out);
                let raw: Vec<u8> = (0..FEATURES).flat_map(|it| value(&rows[0], it)).collect();
                sized(7, &raw, &mut out);
            }
            Cut::Apart | Cut::Rows(_) => {
                NAMES.iter().for_each(|name| sized(5, &tensor(name, &[count, 1]), &mut out));
                for column in 0..FEATURES {
                    let raw: Vec<u8> = rows.iter().flat_map(|row| value(row, column)).collect();
                    sized(7, &raw, &mut out);
                }
            }
        }
        out
    };
    captures.chunks(rows_a_record).map(record).collect()
}

/// What a binary format is read by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Avro,
    Protobuf,
    /// Inference requests; the features by their position where they stand together.
    Requests(Cut),
}

/// A decoder of such records.
pub(crate) fn decoder(format: Format) -> Decoder {
    let names = NAMES.join(", ");
    let captures = match format {
        Format::Avro => "format: avro, map: {model: /model}".to_owned(),
        Format::Protobuf => "format: protobuf, map: {model: /model}".to_owned(),
        Format::Requests(Cut::Together) => {
            format!("format: seldon2, map: {{features: {{names: [{names}]}}}}")
        }
        Format::Requests(_) => "format: seldon2".to_owned(),
    };
    let yaml = format!(
        "kafka: {{bootstrap: b, schema_registry: {{url: 'http://r'}}}}\nmodels:\n  - {{name: flight-delay, baseline: b, captures: {{topic: t, {captures}}}}}\n"
    );
    let config = Config::parse(&yaml, Path::new("bench.yaml"), &|_| None);
    let config = config.unwrap_or_else(|problems| unreachable!("a plain map: {problems}"));
    let models = config.models.iter().map(|model| ModelPlan::new(model, schema()));
    let layout = TopicLayout::new(&models.collect::<Vec<_>>());
    let (kind, text) = match format {
        Format::Protobuf => (SchemaKind::Protobuf, proto()),
        _ => (SchemaKind::Avro, avro_schema()),
    };
    let known = KnownSchema::new(&SchemaText { kind, text, references: Vec::new() });
    layout.schemas().put(SchemaId::Number(7), Arc::new(known));
    Decoder::with_layout(Arc::new(layout), &RecordLimits::default())
}

fn avro_schema() -> String {
    let field = |name: &str, kind: &str| format!(r#"{{"name":"{name}","type":{kind}}}"#);
    let doubles: Vec<String> = NAMES.iter().map(|name| field(name, "\"double\"")).collect();
    let record = |name: &str, fields: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
    };
    let fields = [
        field("model", "\"string\""),
        field("version", "\"string\""),
        field("id", "\"string\""),
        field("ts", r#"{"type":"long","logicalType":"timestamp-micros"}"#),
        field("latency_us", "\"long\""),
        field("status", "\"int\""),
        field("features", &record("features", &doubles.join(","))),
        field("prediction", &record("prediction", &field("score", "\"double\""))),
    ];
    record("capture", &fields.join(","))
}

fn proto() -> String {
    let doubles: Vec<String> =
        (1..).zip(NAMES).map(|(number, name)| format!("double {name} = {number};")).collect();
    format!(
        "syntax = \"proto3\"; message Capture {{ string model = 1; string version = 2; string id = 3; int64 ts = 4; \
         int64 latency_us = 5; int32 status = 6; Features features = 7; Prediction prediction = 8; }} \
         message Features {{ {} }} message Prediction {{ double score = 1; }}",
        doubles.join(" ")
    )
}

/// Decodes one batch; how many rows it has.
pub(crate) fn rows(decoder: &mut Decoder, records: &[Vec<u8>]) -> usize {
    let header = [Header { name: "seldon-infer-type", value: b"proto/inferModelRequest" }];
    for (offset, value) in (0..).zip(records) {
        let record = Record { value: Some(value), offset, time_us: Some(MIDNIGHT_US) };
        let carried = Carried { key: Some(b"0123456789abcdef"), headers: &header };
        decoder.decode_carried(&record, &carried);
    }
    let decoded = decoder.take().unwrap_or_default();
    let whole: usize = decoded.rows.iter().map(|rows| rows.rows.rows()).sum();
    whole + decoded.halves.iter().map(|half| half.rows.rows()).sum::<usize>()
}
