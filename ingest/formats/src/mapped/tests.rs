//! Tests of maps: tables for each thing that a map can say, SageMaker's documented captures, and
//! serde_json with jsonpath-rust as the oracle.

mod bodies;
mod goldens;
mod halves;
mod oracle;

use std::path::Path;

use driftline_capture::Reason;
use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_config::Config;

use crate::json::tests::{TS_US, cells, reason};
use crate::{Carried, Decoder, Header, ModelPlan, Outcome, Record, RecordLimits};

/// The rows of one record, each as its cells, or why there are none.
pub(crate) type Expected<'a> = Result<&'a [&'a [&'a str]], Reason>;

/// A model whose captures hold `captures` beside their topic, with these columns: numbers, and those
/// whose name ends with `!` texts.
pub(crate) fn plan(name: &str, captures: &str, columns: &[&str]) -> ModelPlan {
    let yaml = format!(
        "kafka: {{bootstrap: b, schema_registry: {{url: 'http://r'}}}}\nmodels:\n  - {{name: {name}, baseline: b, captures: {{topic: t, max_ahead: 1h, {captures}}}}}\n"
    );
    let config = Config::parse(&yaml, Path::new("c.yaml"), &|_| None);
    let config = config.unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
    let columns = columns.iter().map(|subject| Column {
        subject: subject.trim_end_matches('!').into(),
        kind: if subject.ends_with('!') { Kind::Categorical } else { Kind::Numeric },
        coerce: false,
    });
    let schema = CaptureSchema { columns: columns.collect(), ignored: Vec::new() };
    ModelPlan::new(&config.models[0], schema)
}

pub(crate) fn decoder(captures: &str, columns: &[&str]) -> Decoder {
    Decoder::new(&[plan("m", captures, columns)], &RecordLimits::default())
}

/// Decodes one record: its rows, each as `name=value` cells without the sample rate, or why there are
/// none.
pub(crate) fn rows(decoder: &mut Decoder, text: &str) -> Result<Vec<Vec<String>>, Reason> {
    rows_carried(decoder, text.as_bytes(), &Carried::default())
}

pub(crate) fn rows_carried(
    decoder: &mut Decoder,
    value: &[u8],
    carried: &Carried<'_>,
) -> Result<Vec<Vec<String>>, Reason> {
    let record = Record { value: Some(value), offset: 7, time_us: Some(TS_US) };
    let outcome = decoder.decode_carried(&record, carried);
    let decoded = decoder.take().unwrap();
    if let Some(reason) = reason(outcome.clone()) {
        assert!(
            decoded.rows.is_empty() && decoded.halves.is_empty(),
            "a rejected record left rows"
        );
        assert_eq!(decoded.marks.len(), 1);
        return Err(reason);
    }
    let batches = decoded.rows.iter().map(|rows| &rows.rows);
    let batches = batches.chain(decoded.halves.iter().map(|half| &half.rows));
    let mut all = Vec::new();
    for batch in batches {
        assert_eq!(batch.offsets(), vec![7; batch.rows()], "one record, one offset");
        for row in 0..batch.rows() {
            let mut cells = cells(batch, row);
            cells.retain(|cell| cell != "sample_rate=1.0");
            all.push(cells);
        }
    }
    Ok(all)
}

pub(crate) fn check(captures: &str, columns: &[&str], table: &[(&str, Expected<'_>)]) {
    let mut decoder = decoder(captures, columns);
    // Twice: the second time the order of keys is known.
    for (text, expected) in table.iter().chain(table) {
        let got = rows(&mut decoder, text);
        let expected = expected.map(|rows| {
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
        });
        assert_eq!(got, expected, "{text}\n{captures}");
    }
}

const COLUMNS: [&str; 4] = ["feature:a", "feature:b", "feature:c!", "prediction:score"];

#[test]
fn columns_stand_where_the_map_says() {
    check(
        "map: {ts: /meta/time, id: $.meta.id, version: /v, latency: {at: /took, unit: s}, status: /meta/code, sample_rate: /rate, features: /in, predictions: {score: '/out/0/p'}}",
        &COLUMNS,
        &[
            (
                r#"{"meta":{"time":1767323045678,"id":"x","code":200},"v":3,"took":0.25,"rate":0.5,"in":{"a":1,"c":"k"},"out":[{"p":0.5},{"p":9}]}"#,
                Ok(&[&[
                    "id=x",
                    "version=3",
                    "latency_us=250000",
                    "status=200",
                    "sample_rate=0.5",
                    "feature:a=1.0",
                    "feature:c=k",
                    "prediction:score=0.5",
                ]]),
            ),
            (
                r#"{"out":{"0":{"p":0.5}},"in":{"new":1,"b":"x"},"meta":{"id":7,"time":"2026-01-02T03:04:05Z"}}"#,
                Ok(&[&[
                    "id=7",
                    "prediction:score=0.5",
                    "wrong_type:feature:b=x",
                    "unknown_columns=feature:new",
                ]]),
            ),
            (
                r#"{"meta":{"time":1767323045678,"code":503},"in":{"a":1,"new":2}}"#,
                Ok(&[&["status=503"]]),
            ),
            (r#"{"meta":{"time":1767323045678},"in":7,"out":[]}"#, Ok(&[&[]])),
            (r#"{"meta":{"id":"x"},"in":{"a":1}}"#, Err(Reason::MissingTs)),
            (r#"{"meta":{"time":1767323045},"in":{"a":1}}"#, Err(Reason::BadTimestamp)),
            (r#"{"meta":{"time":"2026-01-02T05:04:05Z"}}"#, Err(Reason::Future)),
            (r#"{"meta":{"time":1767323045678}}{}"#, Err(Reason::NotAnObject)),
            (r#"{"meta":{"time":1767323045678},"in":{"a":01}}"#, Err(Reason::InvalidJson)),
            ("[]", Err(Reason::NotAnObject)),
            ("", Err(Reason::Empty)),
        ],
    );
}

#[test]
fn the_last_of_two_values_counts_wherever_it_stands() {
    let map = "map: {ts: /ts, id: /m/id, features: /m/in, predictions: {score: /m/p}}";
    check(
        map,
        &COLUMNS,
        &[
            (
                r#"{"ts":1767323045678,"m":{"id":"x","in":{"a":1,"new":1},"p":1},"m":{"in":{"b":2}}}"#,
                Ok(&[&["feature:b=2.0"]]),
            ),
            (
                r#"{"ts":1,"m":{"in":{"a":1}},"ts":1767323045678,"m":{"in":{"a":1},"in":{"b":2},"id":1,"id":2}}"#,
                Ok(&[&["id=2", "feature:b=2.0"]]),
            ),
            (r#"{"ts":1767323045678,"ts":null}"#, Err(Reason::MissingTs)),
            (r#"{"ts":1767323045678,"m":{"p":1,"p":null}}"#, Ok(&[&[]])),
        ],
    );
}

#[test]
fn every_element_of_a_list_is_a_row() {
    let map = "map: {rows: '/in/*', id: /id, ts: /ts, features: [./, {c: /kind}], predictions: {score: '/out/*/p'}}";
    check(
        map,
        &COLUMNS,
        &[
            (
                r#"{"id":"x","ts":1767323045678,"kind":"k","in":[{"a":1},{"b":2,"new":1},{"a":"w"}],"out":[{"p":1},{"p":2},{}]}"#,
                Ok(&[
                    &["id=x#0", "feature:a=1.0", "feature:c=k", "prediction:score=1.0"],
                    &[
                        "id=x#1",
                        "feature:b=2.0",
                        "feature:c=k",
                        "prediction:score=2.0",
                        "unknown_columns=feature:new",
                    ],
                    &["id=x#2", "feature:c=k", "wrong_type:feature:a=w"],
                ]),
            ),
            (
                r#"{"out":[{"p":1}],"ts":1767323045678,"id":"x","in":[{"a":1}]}"#,
                Ok(&[&["id=x", "feature:a=1.0", "prediction:score=1.0"]]),
            ),
            // A side that is not there leaves its columns missing.
            (
                r#"{"ts":1767323045678,"in":[{"a":1},null],"out":null}"#,
                Ok(&[&["feature:a=1.0"], &[]]),
            ),
            (r#"{"ts":1767323045678,"in":[{}],"out":[]}"#, Err(Reason::WrongShape)),
            (r#"{"ts":1767323045678,"in":[{},{}],"out":[{}]}"#, Err(Reason::WrongShape)),
            (r#"{"ts":1767323045678,"in":[]}"#, Err(Reason::WrongShape)),
            (r#"{"ts":1767323045678,"in":{"a":1}}"#, Err(Reason::WrongShape)),
            (r#"{"ts":1767323045678}"#, Err(Reason::WrongShape)),
            (
                r#"{"ts":1767323045678,"in":[{"a":1},{"a":2}],"in":[{"b":1}]}"#,
                Ok(&[&["feature:b=1.0"]]),
            ),
        ],
    );
}

#[test]
fn lists_have_names_by_position_and_rows_identifiers_of_their_own() {
    let map = "map: {rows: '$.in[*]', ts: /ts, id: ['@[0]', /id], features: {at: '@[1]', names: [a, _, c]}, predictions: {score: '$.out[*]'}}";
    check(
        map,
        &COLUMNS,
        &[
            (
                r#"{"id":"e","ts":1767323045678,"in":[["x",[1,2,"k"]],[null,[3,4,5]],[9,[6,7,null]]],"out":[1,2,3]}"#,
                Ok(&[
                    &["id=x", "feature:a=1.0", "feature:c=k", "prediction:score=1.0"],
                    &["id=e#1", "feature:a=3.0", "feature:c=5", "prediction:score=2.0"],
                    &["id=9", "feature:a=6.0", "prediction:score=3.0"],
                ]),
            ),
            (r#"{"ts":1767323045678,"in":[["x",[1,2]]],"out":[1]}"#, Err(Reason::WrongShape)),
            (r#"{"ts":1767323045678,"in":[["x",{"a":1}]],"out":[1]}"#, Err(Reason::WrongShape)),
        ],
    );
}

#[test]
fn times_and_latencies_have_units() {
    let time_of = |unit: &str, text: &str| {
        let mut decoder =
            decoder(&format!("map: {{ts: {{at: /t, unit: {unit}}}, features: /f}}"), &COLUMNS);
        let value = format!("{{\"t\":{text}}}");
        let record = Record { value: Some(value.as_bytes()), offset: 0, time_us: None };
        let outcome = decoder.decode(&record);
        let rows = decoder.take().unwrap().rows;
        match reason(outcome) {
            Some(reason) => Err(reason),
            None => Ok(rows[0].rows.times_us()[0]),
        }
    };
    let us = 1_767_323_045_678_123;
    let bad = Err(Reason::BadTimestamp);
    for (unit, text, expected) in [
        ("s", "1767323045.678123", Ok(us)),
        ("s", "\"1767323045\"", Ok(1_767_323_045_000_000)),
        ("ms", "1767323045678.123", Ok(us)),
        ("us", "1767323045678123", Ok(us)),
        ("ns", "1767323045678123456", Ok(us)),
        ("ns", "1767323045678122500", Ok(us)),
        ("utc", "\"2026-01-02T03:04:05.678123\"", Ok(us)),
        ("utc", "\"2026-01-02T03:04:05.678123Z\"", Ok(us)),
        ("rfc3339", "\"2026-01-02T03:04:05.678123\"", bad),
        ("rfc3339", "1767323045678", bad),
        ("s", "1767323045678", bad),
        ("ms", "1767323045", bad),
        ("s", "\"soon\"", bad),
        ("s", "1e300", bad),
        ("s", "9223372036854775807", bad),
        ("s", "true", bad),
    ] {
        assert_eq!(time_of(unit, text), expected, "{text} {unit}");
    }
    for (unit, text, expected) in [
        ("s", "1.5", "latency_us=1500000"),
        ("ms", "2", "latency_us=2000"),
        ("us", "3", "latency_us=3"),
        ("ns", "1499", "latency_us=1"),
        ("ns", "\"1500\"", "latency_us=2"),
    ] {
        let map = format!("map: {{ts: /ts, latency: {{at: /l, unit: {unit}}}, features: /f}}");
        let text = format!("{{\"ts\":1767323045678,\"l\":{text}}}");
        check(
            &map,
            &COLUMNS,
            &[(&text, Ok(&[&[expected]])), (r#"{"ts":1767323045678,"l":-1}"#, Ok(&[&[]]))],
        );
    }
}

#[test]
fn headers_the_key_and_constants_are_sources() {
    let map = "map: {ts: {record: time}, id: [{header: X-Id}, {key: text}], version: {constant: v3}, features: [/f, {c: {header: zone}}]}";
    let mut decoder = decoder(map, &COLUMNS);
    let headers = [Header { name: "x_id", value: b"i" }, Header { name: "Zone", value: b"eu" }];
    type Case<'a> = (&'a [Header<'a>], Option<&'a [u8]>, &'a [&'a str]);
    let cases: [Case<'_>; 4] = [
        (&headers, Some(b"k"), &["id=i", "version=v3", "feature:a=1.0", "feature:c=eu"]),
        (&[], Some(b"k"), &["id=k", "version=v3", "feature:a=1.0"]),
        (&[], Some(b"\xff"), &["version=v3", "feature:a=1.0"]),
        (&[], None, &["version=v3", "feature:a=1.0"]),
    ];
    for (headers, key, expected) in cases {
        let got = rows_carried(&mut decoder, br#"{"f":{"a":1}}"#, &Carried { key, headers });
        assert_eq!(got, Ok(vec![expected.iter().map(|cell| (*cell).to_owned()).collect()]));
    }
    assert!(decoder.wants_carried());
}

#[test]
fn models_of_one_topic_have_maps_of_their_own() {
    let plans = [
        plan("one", "map: {ts: /t, model: /name, features: /x}", &["feature:a"]),
        plan("two", "map: {ts: /u, model: /name, features: /y}", &["feature:a"]),
    ];
    let mut decoder = Decoder::new(&plans, &RecordLimits::default());
    let mut outcome = |text: &str| {
        decoder.decode(&Record { value: Some(text.as_bytes()), offset: 0, time_us: None })
    };
    let one = r#"{"t":1767323045678,"name":"one","x":{"a":1}}"#;
    let two = r#"{"name":"two","u":1767323045678,"y":{"a":2}}"#;
    let expected = [(one, 0), (two, 1), (two, 1), (one, 0)];
    for (text, model) in expected {
        assert_eq!(outcome(text), Outcome::Row(model), "{text}");
    }
    assert_eq!(outcome(r#"{"name":"three","u":"#), Outcome::Skipped);
    assert_eq!(reason(outcome(r#"{"t":1767323045678}"#)), Some(Reason::MissingModel));
    assert_eq!(reason(outcome(r#"{"t":1767323045678,"name":{}}"#)), Some(Reason::MissingModel));
    let decoded = decoder.take().unwrap();
    let counts: Vec<_> = decoded.rows.iter().map(|rows| rows.rows.rows()).collect();
    assert_eq!((counts, decoded.marks.len()), (vec![2, 2], 3));
}

/// A baseline of captures finds out in this way which columns there are.
#[test]
fn columns_that_only_the_map_knows_are_told_of() {
    check(
        "map: {ts: /ts, features: [{x: /x}, {at: /l, names: [y, z]}, {zone: {constant: eu}}, {at: /b, as: csv, names: [u, v]}]}",
        &[],
        &[
            (
                r#"{"ts":1767323045678,"x":1,"l":[2,null],"b":"1,"}"#,
                Ok(&[&["unknown_columns=feature:x feature:y feature:zone feature:u"]]),
            ),
            (
                r#"{"ts":1767323045678,"x":null,"l":[null,null],"b":",2"}"#,
                Ok(&[&["unknown_columns=feature:zone feature:v"]]),
            ),
        ],
    );
}

#[test]
fn a_frame_stands_before_the_value_or_in_a_header() {
    let mut decoder = decoder("format: json-schema", &COLUMNS);
    let json = r#"{"id":"x","ts":1767323045678,"features":{"a":1},"prediction":{"score":2}}"#;
    let framed: Vec<u8> = b"\0\0\0\0\x07".iter().chain(json.as_bytes()).copied().collect();
    let header = [Header { name: "__value_schema_id", value: b"\0\0\0\0\x07" }];
    let carried = Carried { key: None, headers: &header };
    let row = ["id=x", "feature:a=1.0", "prediction:score=2.0"].map(str::to_owned).to_vec();
    let mut read = |value: &[u8], carried: &Carried<'_>| rows_carried(&mut decoder, value, carried);
    assert_eq!(read(&framed, &Carried::default()), Ok(vec![row.clone()]));
    assert_eq!(read(json.as_bytes(), &carried), Ok(vec![row]));
    assert_eq!(read(json.as_bytes(), &Carried::default()), Err(Reason::InvalidFrame));
    assert_eq!(read(b"\0\0\0\0\x07", &Carried::default()), Err(Reason::Empty));
    assert_eq!(read(b"", &Carried::default()), Err(Reason::Empty));
}

/// Without columns all rows looked like one, and a null in the last of them hid the column of the others:
/// `formats try` did not show it.
#[test]
fn a_column_is_told_of_by_the_row_that_has_it() {
    check(
        "map: {rows: '/r/*', ts: /ts, features: ./}",
        &[],
        &[(
            r#"{"ts":1767323045678,"r":[{"a":1,"b":2},{"a":null,"b":3}]}"#,
            Ok(&[&["unknown_columns=feature:a feature:b"], &["unknown_columns=feature:b"]]),
        )],
    );
}

/// Two bytes name a row, and a row takes all columns: one record must not take gigabytes.
#[test]
fn a_record_has_so_many_values_and_no_more() {
    let columns: Vec<String> = (0..300).map(|index| format!("feature:x{index}")).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut decoder = decoder("map: {rows: '/r/*', ts: /ts, features: ./}", &columns);
    let record =
        |rows: usize| format!("{{\"ts\":1767323045678,\"r\":[{}]}}", vec!["1"; rows].join(","));
    assert_eq!(rows(&mut decoder, &record(3000)).map(|rows| rows.len()), Ok(3000));
    assert_eq!(rows(&mut decoder, &record(4000)), Err(Reason::TooLarge));
}

#[test]
fn flat_rows_hold_their_envelope_beside_their_columns() {
    check(
        "format: bentoml, map: {predictions: {score: /score}}",
        &COLUMNS,
        &[(
            r#"{"timestamp":"2026-01-02T03:04:05.678123","request_id":"r","a":5.1,"c":"k","score":1,"more":0}"#,
            Ok(&[&[
                "id=r",
                "feature:a=5.1",
                "feature:c=k",
                "prediction:score=1.0",
                "unknown_columns=feature:more",
            ]]),
        )],
    );
}
