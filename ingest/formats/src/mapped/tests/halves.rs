//! Requests and responses that are events of their own: CloudEvents in both bindings, and the keys by which
//! halves find each other.

use arrow::array::Array as _;
use driftline_capture::Reason;

use super::{TS_US, cells, decoder, reason};
use crate::{Carried, Header, Outcome, Record};
use driftline_capture::Side;

/// What an event came to: its side, its key, and the cells of its rows.
type Half = (Side, Option<String>, Vec<Vec<String>>);

fn half(
    captures: &str,
    columns: &[&str],
    value: &str,
    carried: &Carried<'_>,
) -> Result<Half, Reason> {
    let mut decoder = decoder(captures, columns);
    let record = Record { value: Some(value.as_bytes()), offset: 7, time_us: Some(TS_US) };
    let outcome = decoder.decode_carried(&record, carried);
    if let Some(reason) = reason(outcome.clone()) {
        return Err(reason);
    }
    let Outcome::Half(0, side) = outcome else { panic!("{outcome:?} of {value}") };
    let decoded = decoder.take().unwrap();
    assert!(decoded.rows.is_empty() && decoded.halves.len() == 1);
    let half = &decoded.halves[0];
    assert_eq!((half.model, half.side), (0, side));
    let key = half.keys.is_valid(0).then(|| half.keys.value(0).to_owned());
    let rows = (0..half.rows.rows()).map(|row| {
        let mut cells = cells(&half.rows, row);
        cells.retain(|cell| cell != "sample_rate=1.0");
        cells
    });
    Ok((side, key, rows.collect()))
}

const COLUMNS: [&str; 3] = ["feature:a", "feature:b", "prediction:value"];
const MAP: &str = "format: kserve, map: {features: {names: [a, b]}}";

fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header { name, value: value.as_bytes() }
}

fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}

#[test]
fn kserves_events_are_read_in_both_bindings() {
    let attributes = |side| {
        [
            header("ce_specversion", "1.0"),
            header("ce_id", "i"),
            header("ce_type", side),
            header("ce_time", "2026-01-02T03:04:05.678Z"),
            header("content-type", "application/json"),
        ]
    };
    let request = attributes("org.kubeflow.serving.inference.request");
    let response = attributes("org.kubeflow.serving.inference.response");
    let asked: Result<Half, Reason> = Ok((
        Side::Request,
        Some("i".into()),
        rows(&[
            &["id=i#0", "feature:a=6.8", "feature:b=2.8"],
            &["id=i#1", "feature:a=6.0", "feature:b=3.4"],
        ]),
    ));
    let answered: Result<Half, Reason> = Ok((
        Side::Response,
        Some("i".into()),
        rows(&[&["id=i#0", "prediction:value=1.0"], &["id=i#1", "prediction:value=2.0"]]),
    ));
    let question = r#"{"instances":[[6.8,2.8],[6.0,3.4]]}"#;
    let answer = r#"{"predictions":[1,2]}"#;
    let carried = |headers| Carried { key: None, headers };
    assert_eq!(half(MAP, &COLUMNS, question, &carried(&request)), asked);
    assert_eq!(half(MAP, &COLUMNS, answer, &carried(&response)), answered);
    let tensors =
        r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[6.8,2.8,6.0,3.4]}]}"#;
    assert_eq!(half(MAP, &COLUMNS, tensors, &carried(&request)), asked);
    let structured = |data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"i","type":"org.kubeflow.serving.inference.request","time":"2026-01-02T03:04:05.678Z",{data},"datacontenttype":"application/json"}}"#
        )
    };
    let media = [header("Content-Type", "Application/CloudEvents+json; charset=utf-8")];
    let data = structured(&format!("\"data\":{question}"));
    let base64 = structured(r#""data_base64":"eyJpbnN0YW5jZXMiOltbNi44LDIuOF0sWzYuMCwzLjRdXX0=""#);
    for text in [&data, &base64] {
        assert_eq!(half(MAP, &COLUMNS, text, &carried(&media)), asked, "{text}");
        // A line of a file has no headers at all.
        assert_eq!(half(MAP, &COLUMNS, text, &Carried::default()), asked, "{text}");
    }
    let refused = [
        (structured("\"more\":1"), Reason::Empty),
        (structured(r#""data_base64":"%""#), Reason::InvalidBody),
        (structured(&format!("\"data\":{question}}} {{")), Reason::InvalidJson),
        (data.replace(".request", ".feedback"), Reason::InvalidBody),
        (data.replace("2026-01-02T03:04:05.678Z", "now"), Reason::BadTimestamp),
    ];
    for (text, expected) in refused {
        assert_eq!(half(MAP, &COLUMNS, &text, &carried(&media)), Err(expected), "{text}");
    }
    let batch = [header("content-type", "application/cloudevents-batch+json")];
    assert_eq!(half(MAP, &COLUMNS, "[]", &carried(&batch)), Err(Reason::InvalidBody));
}

#[test]
fn seldons_headers_have_no_prefix() {
    let headers = [header("type", "io.seldon.serving.inference.request"), header("requestid", "r")];
    let got = half(
        "format: seldon",
        &COLUMNS,
        r#"{"data":{"names":["a","b"],"ndarray":[[1,2]]}}"#,
        &Carried { key: None, headers: &headers },
    );
    let expected =
        (Side::Request, Some("r".into()), rows(&[&["id=r", "feature:a=1.0", "feature:b=2.0"]]));
    assert_eq!(got, Ok(expected));
}

#[test]
fn the_protocols_own_bodies_say_which_side_they_are() {
    let key = Carried { key: Some(b"k"), headers: &[] };
    let request = r#"{"id":"42","inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":[1]}],"outputs":[{"name":"value"}]}"#;
    let response = r#"{"model_name":"m","model_version":"3","outputs":[{"name":"value","shape":[1],"datatype":"FP32","data":[0.5]}]}"#;
    let got = half("format: oip", &COLUMNS, request, &key);
    assert_eq!(got, Ok((Side::Request, Some("42".into()), rows(&[&["id=42", "feature:a=1.0"]]))));
    let got = half("format: oip", &COLUMNS, response, &key);
    let expected = rows(&[&["version=3", "prediction:value=0.5"]]);
    assert_eq!(got, Ok((Side::Response, Some("k".into()), expected)));
    assert_eq!(half("format: oip", &COLUMNS, "{}", &key), Err(Reason::InvalidBody));
}

#[test]
fn azures_collector_writes_several_rows_a_line() {
    let line = |kind: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"e","source":"s","type":"azureml.inference.model_{kind}","datacontenttype":"application/json","time":"2026-01-02T03:04:05.678Z","data":{data},"correlationid":"c","xrequestid":"x","modelversion":"default","collectdatatype":"pandas.core.frame.DataFrame","agent":"azureml-ai-monitoring/0.1.0b4"}}"#
        )
    };
    let got = half(
        "format: azureml",
        &COLUMNS,
        &line("inputs", r#"[{"a":1},{"b":2}]"#),
        &Carried::default(),
    );
    let expected = rows(&[
        &["id=c#0", "version=default", "feature:a=1.0"],
        &["id=c#1", "version=default", "feature:b=2.0"],
    ]);
    assert_eq!(got, Ok((Side::Request, Some("c".into()), expected)));
    let got = half(
        "format: azureml",
        &COLUMNS,
        &line("outputs", r#"[{"value":1}]"#),
        &Carried::default(),
    );
    let expected = rows(&[&["id=c", "version=default", "prediction:value=1.0"]]);
    assert_eq!(got, Ok((Side::Response, Some("c".into()), expected)));
}
