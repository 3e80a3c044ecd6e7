//! Records in Avro and Protobuf: whatever their bytes are, and whatever their schema is, there is one outcome, it
//! is the same twice, and a sound neighbour is read as before.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_config::Config;
use driftline_formats::{
    Carried, Decoder, Header, KnownSchema, ModelPlan, Outcome, Record, RecordLimits, SchemaId,
    SchemaKind, SchemaText, TopicLayout,
};

const RECORD_TIME_US: i64 = 1_767_323_045_678_000;

const AVRO: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"ts","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
    {"name":"id","type":["null","string","long"]},
    {"name":"rows","type":{"type":"array","items":{"type":"record","name":"R","fields":[
        {"name":"a","type":["null","double"]},{"name":"b","type":"float"},
        {"name":"c","type":{"type":"enum","name":"K","symbols":["x","y"]}},
        {"name":"more","type":{"type":"map","values":["null","double","R"]}}]}}},
    {"name":"out","type":{"type":"array","items":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}}]}"#;

const PROTOBUF: &str = r#"syntax = "proto3";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/struct.proto";
    message E {
      google.protobuf.Timestamp ts = 1; string id = 2; repeated R rows = 3; repeated double out = 4;
      google.protobuf.Struct more = 5;
      message R {
        optional double a = 1; sint64 b = 2; K c = 3; map<string, double> more = 4; R inside = 5;
        oneof choice { string d = 6; bool e = 7; }
      }
      enum K { X = 0; Y = 1; }
    }"#;

const MAP: &str = "{rows: '/rows/*', id: /id, ts: [/ts, {record: time}], features: [./, {d: /more/d}], predictions: {score: '/out/*'}}";

/// Bytes as a record in Avro.
pub fn avro(data: &[u8]) {
    static LAYOUT: OnceLock<Arc<TopicLayout>> = OnceLock::new();
    let layout = LAYOUT.get_or_init(|| layout("avro", MAP, SchemaKind::Avro, AVRO));
    check(layout, &[b"\0\0\0\0\x07", data].concat(), &[]);
}

/// Bytes as a message in Protobuf.
pub fn protobuf(data: &[u8]) {
    static LAYOUT: OnceLock<Arc<TopicLayout>> = OnceLock::new();
    let layout = LAYOUT.get_or_init(|| layout("protobuf", MAP, SchemaKind::Protobuf, PROTOBUF));
    check(layout, &[b"\0\0\0\0\x07\0", data].concat(), &[]);
    check(layout, data, &[]);
}

/// Bytes as an inference of either side.
pub fn inference(data: &[u8]) {
    static LAYOUT: OnceLock<Arc<TopicLayout>> = OnceLock::new();
    let layout = LAYOUT.get_or_init(|| layout("seldon2", "{}", SchemaKind::Avro, "\"int\""));
    for side in ["proto/inferModelRequest", "proto/inferModelResponse"] {
        let header = Header { name: "seldon-infer-type", value: side.as_bytes() };
        check(layout, data, &[header]);
    }
}

/// Bytes as a schema of either kind, and what is left of them as a record.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, record) = text.split_once('\0').unwrap_or((text, ""));
    for (format, kind) in [("avro", SchemaKind::Avro), ("protobuf", SchemaKind::Protobuf)] {
        let layout = layout(format, MAP, kind, text);
        check(&layout, &[b"\0\0\0\0\x07\0", record.as_bytes()].concat(), &[]);
    }
}

fn layout(format: &str, map: &str, kind: SchemaKind, text: &str) -> Arc<TopicLayout> {
    let yaml = format!(
        "kafka: {{bootstrap: b, schema_registry: {{url: 'http://r'}}}}\nmodels:\n  - {{name: m, baseline: b, captures: {{topic: t, format: {format}, map: {map}}}}}\n"
    );
    let config = Config::parse(&yaml, Path::new("c.yaml"), &|_| None).expect("a sound map");
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    let columns = vec![
        column("feature:a", Kind::Numeric),
        column("feature:c", Kind::Categorical),
        column("feature:more.k", Kind::Numeric),
        column("prediction:score", Kind::Numeric),
    ];
    let schema = CaptureSchema { columns, ignored: vec!["feature:b".into()] };
    let layout = TopicLayout::new(&[ModelPlan::new(&config.models[0], schema)]);
    let text = SchemaText { kind, text: text.to_owned(), references: Vec::new() };
    layout.schemas().put(SchemaId::Number(7), Arc::new(KnownSchema::new(&text)));
    Arc::new(layout)
}

fn check(layout: &Arc<TopicLayout>, value: &[u8], headers: &[Header<'_>]) {
    let mut decoder = Decoder::with_layout(Arc::clone(layout), &RecordLimits::default());
    let mut told = Vec::new();
    for _ in 0..2 {
        let record = Record { value: Some(value), offset: 7, time_us: Some(RECORD_TIME_US) };
        let outcome = decoder.decode_carried(&record, &Carried { key: Some(b"k"), headers });
        if let Outcome::Rejected(rejection) = &outcome {
            assert!((1..=256).contains(&rejection.detail.len()), "{rejection:?}");
        }
        let decoded = decoder.take().expect("Arrow takes the columns");
        let batches = decoded.rows.len() + decoded.halves.len();
        let counted = !matches!(outcome, Outcome::NeedsSchema(_) | Outcome::NeedsModel(_));
        assert_eq!(batches + decoded.marks.len(), usize::from(counted), "one outcome a record");
        told.push(format!("{outcome:?} {:?} {:?}", decoded.rows, decoded.halves));
    }
    assert_eq!(told[0], told[1]);
}
