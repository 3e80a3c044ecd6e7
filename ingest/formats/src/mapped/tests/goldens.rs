//! Records that others' own writers wrote: `make interop` writes them anew.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{TS_US, decoder, rows_carried};
use crate::{Carried, Header, KnownSchema, Outcome, Record, SchemaKind, SchemaText};

const COLUMNS: [&str; 4] = ["feature:a", "feature:b", "feature:w!", "prediction:value"];

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

type Rows = Vec<&'static [&'static str]>;

const ONE_CAPTURE: &[&str] = &[
    "id=7f",
    "latency_us=1234",
    "feature:a=0.1",
    "feature:b=12345.678901234567",
    "prediction:value=2.0",
];

/// What reads a golden, and its rows.
fn expected(name: &str) -> (&'static str, Rows) {
    const KSERVE: &str = "format: kserve, map: {features: {names: [a, b]}}";
    const SELDON: &str = "format: seldon2, map: {features: {names: [a, b]}}";
    const AZUREML: &str = "map: {rows: '/*', id: {header: ce-x-request-id}, ts: [{record: time}], version: {header: ce-model-version}, features: ./}";
    let answers: Rows =
        vec![&["id=i#0", "prediction:value=1.0"], &["id=i#1", "prediction:value=2.0"]];
    let version = name.rsplit(' ').next().unwrap();
    match (name.split(' ').next().unwrap(), version) {
        ("kserve", "response") => (KSERVE, answers),
        ("kserve-proto", "response") => (SELDON, answers),
        ("kserve", _) => (
            KSERVE,
            vec![
                &["id=i#0", "feature:a=6.8", "feature:b=2.8"],
                &["id=i#1", "feature:a=6.0", "feature:b=3.4"],
            ],
        ),
        ("kserve-proto", _) => (
            SELDON,
            vec![
                &["id=i#0", "feature:a=6.75", "feature:b=2.75"],
                &["id=i#1", "feature:a=6.0", "feature:b=3.5"],
            ],
        ),
        ("triton", _) => (
            "format: oip, map: {features: {names: [a, b, w]}}",
            vec![
                &["id=i#0", "version=1", "feature:a=6.75", "feature:b=2.75", "feature:w=no"],
                &["id=i#1", "version=1", "feature:a=6.0", "feature:b=3.5", "feature:w=yes"],
            ],
        ),
        ("bentoml", _) => (
            "format: bentoml, map: {id: /none, ts: [{record: time}], features: [{a: /a}, {b: /b}], predictions: {value: /value, prediction: /none}}",
            vec![&["feature:a=6.75", "feature:b=2.5", "prediction:value=1.0"]],
        ),
        ("azureml", _) => (
            AZUREML,
            vec![
                &["id=i#0", "version=3", "feature:a=6.75", "feature:b=2.5"],
                &["id=i#1", "version=3", "feature:a=6.0", "feature:b=3.5"],
            ],
        ),
        ("mlserver", "response") => ("format: oip", answers),
        ("mlserver", _) => (
            "format: oip, map: {features: {names: [a, b]}}",
            vec![
                &["id=i#0", "feature:a=6.75", "feature:b=2.75"],
                &["id=i#1", "feature:a=6.0", "feature:b=3.5"],
            ],
        ),
        ("avro", _) => ("format: avro", vec![ONE_CAPTURE]),
        ("protobuf", _) => ("format: protobuf", vec![ONE_CAPTURE]),
        _ => ("format: json-schema", vec![ONE_CAPTURE]),
    }
}

fn schema_of(golden: &Value) -> Arc<KnownSchema> {
    let text = |key: &str| golden["schema"][key].as_str().unwrap().to_owned();
    let kind = SchemaKind::of_name(&text("type")).unwrap();
    Arc::new(KnownSchema::new(&SchemaText { kind, text: text("text"), references: Vec::new() }))
}

#[test]
fn what_their_writers_wrote_is_read() {
    let lines: Vec<&str> = include_str!("goldens.jsonl").lines().collect();
    assert!(lines.len() >= 20, "all writers wrote something");
    for line in lines {
        let golden: Value = serde_json::from_str(line).unwrap();
        let name = golden["name"].as_str().unwrap();
        let headers: Vec<(&str, Vec<u8>)> = golden["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| (header[0].as_str().unwrap(), bytes(&header[1])))
            .collect();
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(name, value)| Header { name, value }).collect();
        let (captures, rows) = expected(name);
        let key = golden["key"].as_str().map(|key| STANDARD.decode(key).unwrap());
        let carried = Carried { key: key.as_deref(), headers: &headers };
        let mut decoder = decoder(captures, &COLUMNS);
        let value = bytes(&golden["value"]);
        let record = Record { value: Some(&value), offset: 7, time_us: Some(TS_US) };
        let mut outcome = decoder.decode_carried(&record, &carried);
        if let Outcome::NeedsSchema(id) = outcome {
            decoder.layout.schemas().put(id, schema_of(&golden));
            outcome = decoder.decode_carried(&record, &carried);
        }
        assert_eq!(decoder.last_us(), TS_US, "{name}: {outcome:?}");
        decoder.take().unwrap();
        let got = rows_carried(&mut decoder, &value, &carried);
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(got, Ok(rows), "{name}");
    }
}
