//! Records that others' own writers wrote: `make interop` writes them anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{decoder, rows_carried};
use crate::{Carried, Header};

const COLUMNS: [&str; 3] = ["feature:a", "feature:b", "prediction:value"];

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn expected(name: &str) -> (&'static str, Vec<&'static [&'static str]>) {
    const KSERVE: &str = "format: kserve, map: {features: {names: [a, b]}}";
    let version = name.rsplit(' ').next().unwrap();
    match (name.split(' ').next().unwrap(), version) {
        ("kserve", "response") => {
            (KSERVE, vec![&["id=i#0", "prediction:value=1.0"], &["id=i#1", "prediction:value=2.0"]])
        }
        ("kserve", _) => (
            KSERVE,
            vec![
                &["id=i#0", "feature:a=6.8", "feature:b=2.8"],
                &["id=i#1", "feature:a=6.0", "feature:b=3.4"],
            ],
        ),
        _ => (
            "format: json-schema",
            vec![&[
                "id=7f",
                "latency_us=1234",
                "feature:a=0.1",
                "feature:b=12345.678901234567",
                "prediction:value=2.0",
            ]],
        ),
    }
}

#[test]
fn what_their_writers_wrote_is_read() {
    let lines: Vec<&str> = include_str!("goldens.jsonl").lines().collect();
    assert_eq!(lines.len(), 8);
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
        let carried = Carried { key: None, headers: &headers };
        let got =
            rows_carried(&mut decoder(captures, &COLUMNS), &bytes(&golden["value"]), &carried);
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(got, Ok(rows), "{name}");
    }
}
