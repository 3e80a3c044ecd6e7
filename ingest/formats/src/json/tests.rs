//! Tests of the decoder: tables for each rule of the contract, and serde_json as the oracle.

mod beside_arrow;
pub(crate) mod oracle;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{CaptureSchema, Column, Kind};

use driftline_capture::{Ignored, Mark};
use std::sync::Arc;

use super::*;
use crate::plan::{ModelPlan, RecordLimits};

/// 2026-01-02T03:04:05.678Z
pub(crate) const TS_US: i64 = 1_767_323_045_678_000;
const TS: &str = r#""ts":"2026-01-02T03:04:05.678Z""#;

fn column(subject: &str, kind: Kind, coerce: bool) -> Column {
    Column { subject: subject.into(), kind, coerce }
}

fn flights() -> ModelPlan {
    let columns = vec![
        column("feature:delay", Kind::Numeric, false),
        column("feature:carrier", Kind::Categorical, false),
        column("feature:fare", Kind::Numeric, true),
        column("prediction:value", Kind::Numeric, false),
        column("prediction:label", Kind::Categorical, false),
    ];
    let ignored = vec!["feature:gate".into(), "prediction:debug".into()];
    let schema = CaptureSchema { columns, ignored };
    ModelPlan { name: "flights".to_owned(), schema, max_ahead_us: 3_600_000_000, mapping: None }
}

fn trains() -> ModelPlan {
    let columns = vec![column("feature:carrier", Kind::Categorical, false)];
    let schema = CaptureSchema { columns, ignored: Vec::new() };
    ModelPlan { name: "trains".to_owned(), schema, max_ahead_us: 0, mapping: None }
}

pub(crate) fn decode(decoder: &mut Decoder, value: &[u8]) -> Outcome {
    decoder.decode(&Record { value: Some(value), offset: 7, time_us: Some(TS_US) })
}

pub(crate) fn reason(outcome: Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Rejected(rejection) => {
            assert!(rejection.detail.len() <= 256, "{}", rejection.detail);
            Some(rejection.reason)
        }
        _ => None,
    }
}

/// The one row of a record on a topic of `flights` alone, as `subject=value` texts.
fn row_of(fields: &str) -> Vec<String> {
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let record = format!("{{{TS},{fields}}}");
    assert_eq!(decode(&mut decoder, record.as_bytes()), Outcome::Row(0), "{record}");
    let decoded = decoder.take().unwrap();
    let [rows] = decoded.rows.as_slice() else { panic!("{record} gave no batch") };
    cells(&rows.rows, 0)
}

/// Every non-null cell behind the envelope columns of time, as `name=value`.
pub(crate) fn cells(batch: &CaptureBatch, row: usize) -> Vec<String> {
    let batch = batch.record_batch();
    let mut cells = Vec::new();
    for (field, values) in batch.schema().fields().iter().zip(batch.columns()).skip(3) {
        if values.is_null(row) {
            continue;
        }
        let text = match values.data_type() {
            arrow::datatypes::DataType::Utf8 => values.as_string::<i32>().value(row).to_owned(),
            arrow::datatypes::DataType::Float64 => {
                format!("{:?}", values.as_primitive::<Float64Type>().value(row))
            }
            arrow::datatypes::DataType::Int64 => {
                values.as_primitive::<Int64Type>().value(row).to_string()
            }
            arrow::datatypes::DataType::Int32 => {
                values.as_primitive::<Int32Type>().value(row).to_string()
            }
            _ => {
                let names = values.as_list::<i32>().value(row);
                let names: Vec<_> = names.as_string::<i32>().iter().flatten().collect();
                names.join(" ")
            }
        };
        cells.push(format!("{}={text}", field.name()));
    }
    cells
}

#[test]
fn only_the_envelope_rejects_a_record() {
    let mut alone = Decoder::new(&[flights()], &RecordLimits::default());
    let mut shared = Decoder::new(&[flights(), trains()], &RecordLimits::default());
    let deep = format!("{{{TS},\"features\":{}}}", "[".repeat(10_000));
    let large = format!("{{{TS},\"id\":\"{}\"}}", "x".repeat(1 << 20));
    let table: &[(&str, Option<Reason>)] = &[
        ("", Some(Reason::Empty)),
        (" ", Some(Reason::InvalidJson)),
        ("{", Some(Reason::InvalidJson)),
        (&deep, Some(Reason::InvalidJson)),
        (&large, Some(Reason::TooLarge)),
        ("[]", Some(Reason::NotAnObject)),
        ("NaN", Some(Reason::NotAnObject)),
        ("12", Some(Reason::NotAnObject)),
        ("12 }", Some(Reason::InvalidJson)),
        ("nothing", Some(Reason::InvalidJson)),
        (r#"{"ts":1767323045678}{}"#, Some(Reason::NotAnObject)),
        (r#"{"ts":1767323045678}}"#, Some(Reason::InvalidJson)),
        (r#"{"ts":1767323045678,}"#, Some(Reason::InvalidJson)),
        (r#"{"ts":1767323045678,"x":01}"#, Some(Reason::InvalidJson)),
        (r#"{"ts":1767323045678,"x":"\ud80"}"#, Some(Reason::InvalidJson)),
        (r#"{"v":2,"ts":1767323045678}"#, Some(Reason::UnknownVersion)),
        (r#"{"ts":"never","v":1.5}"#, Some(Reason::UnknownVersion)),
        (r#"{"v":1.0,"ts":1767323045678}"#, None),
        (r#"{"v":null,"ts":1767323045678}"#, None),
        ("{\"ts\":1767323045678,\"x\":\"\n\"}", Some(Reason::InvalidJson)),
        ("{}", Some(Reason::MissingTs)),
        (r#"{"ts":null}"#, Some(Reason::MissingTs)),
        (r#"{"ts":"2026-01-02"}"#, Some(Reason::BadTimestamp)),
        (r#"{"ts":true}"#, Some(Reason::BadTimestamp)),
        (r#"{"ts":NaN}"#, Some(Reason::BadTimestamp)),
        (r#"{"ts":1767323045}"#, Some(Reason::BadTimestamp)),
        (r#"{"ts":1767323045678000000}"#, Some(Reason::BadTimestamp)),
        (r#"{"ts":1e300}"#, Some(Reason::BadTimestamp)),
        (r#"{"ts":"2026-01-02T05:00:00Z"}"#, Some(Reason::Future)),
        (r#"{"ts":"2026-01-02T04:00:00Z"}"#, None),
        (r#"{"ts":"2000-01-01T00:00:00Z"}"#, None),
        (r#"{"ts":1767323045678,"model":7}"#, Some(Reason::MissingModel)),
        (r#"{"ts":1767323045678,"model":null}"#, None),
        (r#"{"ts":1767323045678,"features":12,"id":{},"status":"ok","latency_us":-1}"#, None),
        (r#"{"ts":1767323045678.25,"features":{"delay":1e999}}"#, None),
        (" {\t\"ts\" :\n1767323045678 }\r\n", None),
    ];
    for (text, expected) in table {
        let shown = text.get(..60).unwrap_or(text);
        assert_eq!(reason(decode(&mut alone, text.as_bytes())), *expected, "{shown}");
        let invalid = matches!(expected, Some(Reason::InvalidJson | Reason::TooLarge));
        let outcome = reason(decode(&mut shared, text.as_bytes()));
        assert!(!invalid || outcome == *expected, "{shown} on a shared topic");
    }
    let outcome = alone.decode(&Record { value: None, offset: 1, time_us: None });
    assert_eq!(reason(outcome), Some(Reason::Empty));
    assert_eq!(reason(decode(&mut alone, b"{\"ts\":\xff}")), Some(Reason::InvalidUtf8));
    let without = format!("{{{TS}}}");
    assert_eq!(reason(decode(&mut shared, without.as_bytes())), Some(Reason::MissingModel));
}

#[test]
fn a_bad_timestamp_says_that_seconds_were_sent() {
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let Outcome::Rejected(rejection) = decode(&mut decoder, br#"{"ts":1767323045}"#) else {
        panic!("seconds were read as milliseconds")
    };
    assert!(rejection.detail.contains("seconds"), "{}", rejection.detail);
}

#[test]
fn values_stand_in_their_columns() {
    let table: &[(&str, &[&str])] = &[
        (
            r#""features":{"delay":12,"carrier":"UA"}"#,
            &["feature:delay=12.0", "feature:carrier=UA"],
        ),
        (r#""features":{"delay":null}"#, &[]),
        (r#""features":{"delay":NaN}"#, &["feature:delay=NaN"]),
        (r#""features":{"delay":-Infinity}"#, &["feature:delay=-inf"]),
        (r#""features":{"delay":1e400}"#, &["feature:delay=inf"]),
        (r#""features":{"delay":1,"delay":2}"#, &["feature:delay=2.0"]),
        (r#""features":{"delay":1},"features":{}"#, &[]),
        (r#""features":{"delay":1},"features":null"#, &[]),
        (r#""features":{"delay":"12"}"#, &["wrong_type:feature:delay=12"]),
        (r#""features":{"delay":true}"#, &["wrong_type:feature:delay=true"]),
        (r#""features":{"delay":[1, 2]}"#, &["wrong_type:feature:delay=[1, 2]"]),
        (r#""features":{"delay":"1","delay":2}"#, &["feature:delay=2.0"]),
        (r#""features":{"fare":" 1.5 "}"#, &["feature:fare=1.5"]),
        (r#""features":{"fare":"1.5 €"}"#, &["wrong_type:feature:fare=1.5 €"]),
        (r#""features":{"carrier":true}"#, &["feature:carrier=true"]),
        (r#""features":{"carrier":7}"#, &["feature:carrier=7"]),
        (r#""features":{"carrier":-0}"#, &["feature:carrier=0"]),
        (r#""features":{"carrier":1.0}"#, &["feature:carrier=1"]),
        (r#""features":{"carrier":1e-7}"#, &["feature:carrier=0.0000001"]),
        (r#""features":{"carrier":9007199254740993}"#, &["feature:carrier=9007199254740993"]),
        (r#""features":{"carrier":NaN}"#, &[]),
        (r#""features":{"carrier":""}"#, &["feature:carrier="]),
        (r#""features":{"carrier":{"a":1}}"#, &["wrong_type:feature:carrier={\"a\":1}"]),
        (
            r#""features":{"carrier":"\u00e4\ud83d\ude00\\u0041\/\n"}"#,
            &["feature:carrier=ä😀\\u0041/\n"],
        ),
        // Half a pair, as Python writes it, costs its value: the whole row was rejected.
        (
            r#""id":"\ud83d","features":{"carrier":"a\ud83d\u0041","delay":3}"#,
            &["feature:delay=3.0", "wrong_type:feature:carrier=a\u{fffd}A"],
        ),
        (
            r#""features":{"carrier":"\udc00\ud800\ud83d\ude00\ud800\\"}"#,
            &["wrong_type:feature:carrier=\u{fffd}\u{fffd}😀\u{fffd}\\"],
        ),
        (r#""features":{"del\u0061y":3}"#, &["feature:delay=3.0"]),
        (r#""fe\u0061tures":{"delay":3}"#, &["feature:delay=3.0"]),
        (r#""features":{"gate":"B7"}"#, &[]),
        (
            r#""features":{"new":1,"new":2,"other":{}}"#,
            &["unknown_columns=feature:new feature:other"],
        ),
        (
            r#""features":{"b":1,"a":1,"b":null,"c":null,"c":2},"prediction":{"a":1}"#,
            &["unknown_columns=feature:a feature:c prediction:a"],
        ),
        (r#""features":{"new": null ,"delay":null}"#, &[]),
        (r#""features":{"new":1,"new":null}"#, &[]),
        (r#""prediction":0.5"#, &["prediction:value=0.5"]),
        (r#""prediction":[0.5]"#, &["wrong_type:prediction:value=[0.5]"]),
        (r#""prediction":null"#, &[]),
        (
            r#""prediction":{"value":1,"label":"late","debug":1}"#,
            &["prediction:value=1.0", "prediction:label=late"],
        ),
        (r#""features":{"delay":{"a":1}}"#, &["wrong_type:feature:delay={\"a\":1}"]),
        (
            r#""prediction":{"label":1},"features":{"delay":1}"#,
            &["feature:delay=1.0", "prediction:label=1"],
        ),
    ];
    for (fields, expected) in table {
        let mut wanted = vec!["sample_rate=1.0".to_owned()];
        wanted.extend(expected.iter().map(|cell| (*cell).to_owned()));
        assert_eq!(row_of(fields), wanted, "{fields}");
    }
}

#[test]
fn what_is_nested_has_columns_of_its_own() {
    let subjects = [
        "feature:geo.lat",
        "feature:geo.box[1]",
        "feature:x[0]",
        "feature:x[1].y",
        "feature:plain",
    ];
    let columns = subjects.iter().map(|subject| column(subject, Kind::Numeric, false)).collect();
    let schema = CaptureSchema { columns, ignored: vec!["feature:geo.unused".into()] };
    let plan = ModelPlan { schema, ..trains() };
    let table: &[(&str, &[&str])] = &[
        (
            r#"{"geo":{"lat":1.5,"box":[1,2],"unused":{}},"x":[3,{"y":4}]}"#,
            &[
                "feature:geo.lat=1.5",
                "feature:geo.box[1]=2.0",
                "feature:x[0]=3.0",
                "feature:x[1].y=4.0",
                "unknown_columns=feature:geo.box[0]",
            ],
        ),
        (r#"{"geo.lat":1,"x[0]":2}"#, &["feature:geo.lat=1.0", "feature:x[0]=2.0"]),
        (r#"{"geo":{"lat":"1"},"x":[]}"#, &["wrong_type:feature:geo.lat=1"]),
        (r#"{"geo":7,"x":null}"#, &["unknown_columns=feature:geo"]),
        (
            r#"{"geo":{"la\u0074":1,"lat":2},"geo":{"new":{"a":1}}}"#,
            &["unknown_columns=feature:geo.new"],
        ),
        (r#"{"plain":{"a":1}}"#, &["wrong_type:feature:plain={\"a\":1}"]),
    ];
    for (features, expected) in table {
        let mut decoder = Decoder::new(std::slice::from_ref(&plan), &RecordLimits::default());
        let record = format!("{{\"ts\":1767323045678,\"features\":{features}}}");
        let record = Record { value: Some(record.as_bytes()), offset: 0, time_us: None };
        assert_eq!(decoder.decode(&record), Outcome::Row(0), "{features}");
        let rows = decoder.take().unwrap().rows;
        let mut wanted = vec!["sample_rate=1.0".to_owned()];
        wanted.extend(expected.iter().map(|cell| (*cell).to_owned()));
        assert_eq!(cells(&rows[0].rows, 0), wanted, "{features}");
    }
    let mut decoder = Decoder::new(&[plan], &RecordLimits::default());
    let deep = format!("{{{TS},\"features\":{{\"geo\":{}}}}}", "{\"lat\":".repeat(10_000));
    assert_eq!(reason(decode(&mut decoder, deep.as_bytes())), Some(Reason::InvalidJson));
}

#[test]
fn the_envelope_is_read() {
    let long = format!(r#""id":"{}""#, "x".repeat(257));
    let table: &[(&str, &[&str])] = &[
        (r#""id":"7f","version":"3""#, &["id=7f", "version=3", "sample_rate=1.0"]),
        (r#""id":7,"version":3.10"#, &["id=7", "version=3.10", "sample_rate=1.0"]),
        (r#""id":null,"version":[]"#, &["sample_rate=1.0"]),
        (&long, &["sample_rate=1.0"]),
        (
            r#""latency_us":1234,"status":200"#,
            &["latency_us=1234", "status=200", "sample_rate=1.0"],
        ),
        (r#""latency_us":1.5,"status":2e2"#, &["latency_us=2", "status=200", "sample_rate=1.0"]),
        (r#""latency_us":NaN,"status":200.5"#, &["sample_rate=1.0"]),
        (r#""sample_rate":0.25"#, &["sample_rate=0.25"]),
        (r#""sample_rate":25"#, &["sample_rate=1.0"]),
        (
            r#""features":{"delay":"x","new":1},"status":400,"prediction":1"#,
            &["status=400", "sample_rate=1.0"],
        ),
    ];
    for (fields, expected) in table {
        assert_eq!(row_of(fields), *expected, "{fields}");
    }
}

/// A whole number of any size was taken where a float of that size was not.
#[test]
fn whole_numbers_and_floats_of_a_size_are_read_alike() {
    for (text, read) in [
        ("1500", true),
        ("1500.0", true),
        ("1.5e3", true),
        ("9000000000000000", true),
        ("9.0e15", true),
        ("9000000000000002", false),
        ("9000000000000002.0", false),
        ("18446744073709551616", false),
        ("-1", false),
        ("-1.0", false),
    ] {
        let cells = row_of(&format!(r#""latency_us":{text}"#));
        assert_eq!(
            cells.iter().any(|cell| cell.starts_with("latency_us=")),
            read,
            "{text}: {cells:?}"
        );
    }
}

#[test]
fn what_is_ignored_is_counted_in_accepted_rows_only() {
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let long = "ä".repeat(200);
    for fields in [
        r#""v":1,"segment":"a","attributions":{},"rows":[],"label":1"#.to_owned(),
        r#""id":false,"latency_us":-1,"status":"ok","sample_rate":2,"heartbeat":1"#.to_owned(),
        format!(r#""features":{{"carrier":"{long}"}}"#),
    ] {
        let record = format!("{{{TS},{fields}}}");
        assert_eq!(decode(&mut decoder, record.as_bytes()), Outcome::Row(0));
    }
    assert_eq!(reason(decode(&mut decoder, br#"{"label":1}"#)), Some(Reason::MissingTs));
    let decoded = decoder.take().unwrap();
    let expected = Ignored { unknown_keys: 1, unusable_fields: 5, cut_strings: 1 };
    assert_eq!(decoded.ignored, expected);
    let texts = cells(&decoded.rows[0].rows, 2);
    assert_eq!(texts[1], format!("feature:carrier={}", "ä".repeat(128)));
}

#[test]
fn a_row_goes_to_the_model_it_names_wherever_the_name_stands() {
    let mut decoder = Decoder::new(&[flights(), trains()], &RecordLimits::default());
    let records = [
        (r#""model":"trains","features":{"carrier":"SBB"}"#, Outcome::Row(1)),
        (r#""features":{"carrier":"UA","delay":1},"model":"flights""#, Outcome::Row(0)),
        (r#""features":{"carrier":"DB"},"model":"flights","model":"trains""#, Outcome::Row(1)),
        (r#""model":"ships","features":{"#, Outcome::Skipped),
        (r#""model":"\u0073hips""#, Outcome::Skipped),
    ];
    for (fields, expected) in records {
        let record = format!("{{{TS},{fields}}}");
        assert_eq!(decode(&mut decoder, record.as_bytes()), expected, "{fields}");
    }
    let decoded = decoder.take().unwrap();
    let rows: Vec<_> = decoded.rows.iter().map(|rows| (rows.model, rows.rows.rows())).collect();
    assert_eq!(rows, [(0, 1), (1, 2)]);
    assert_eq!(cells(&decoded.rows[1].rows, 1), ["sample_rate=1.0", "feature:carrier=DB"]);
    assert_eq!(decoded.skipped_names, [Arc::from("ships")]);
    assert_eq!(decoded.marks.len(), 2);
    assert!(decoder.take().unwrap().rows.is_empty());
}

/// Each was compared with all before it: one such record held its reader up for sixteen seconds.
#[test]
fn a_record_may_be_full_of_keys_that_nobody_knows() {
    const KEYS: usize = 100_000;
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let keys: Vec<String> = (0..KEYS).map(|key| format!("\"{key:05}\":1")).collect();
    let record = format!("{{{TS},\"features\":{{{}}}}}", keys.join(","));
    let plain = format!(r#"{{{TS},"features":{{"delay":1}}}}"#);
    for record in [&plain, &record, &plain, &record, &record, &record] {
        assert_eq!(decode(&mut decoder, record.as_bytes()), Outcome::Row(0));
    }
    let rows = decoder.take().unwrap().rows.remove(0).rows;
    let unknown = rows.unknown_columns().unwrap();
    let numbers: Vec<_> = (0..6).map(|row| unknown.value_length(row)).collect();
    assert_eq!(numbers, [0, KEYS as i32, 0, KEYS as i32, KEYS as i32, KEYS as i32]);
    assert!(unknown.is_null(0) && unknown.is_null(2));
    let names = unknown.value(5);
    let expected = (0..KEYS).map(|key| format!("feature:{key:05}"));
    assert!(names.as_string::<i32>().iter().flatten().eq(expected));
}

#[test]
fn no_partition_keeps_the_memory_that_one_record_needed() {
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let key = format!("\"\\n{}\":1", "x".repeat(14));
    let record = format!("{{{TS},\"features\":{{{}}}}}", vec![key; 40_000].join(","));
    assert_eq!(decode(&mut decoder, record.as_bytes()), Outcome::Row(0));
    assert!(decoder.row.room() > 1 << 19, "the record is poisoned: {}", decoder.row.room());
    decoder.take().unwrap();
    assert!(decoder.row.room() <= 64 * 1024, "{} bytes are kept", decoder.row.room());
}

#[test]
fn keys_that_are_the_same_once_cut_are_one_column() {
    let long = "x".repeat(256);
    let fields = format!(r#""features":{{"{long}a":1,"{long}b":1,"{long}":1,"y":1}}"#);
    let wanted = format!("unknown_columns=feature:{long} feature:y");
    assert_eq!(row_of(&fields), ["sample_rate=1.0".to_owned(), wanted]);
}

#[test]
fn heartbeats_are_marks() {
    let mut decoder = Decoder::new(&[flights(), trains()], &RecordLimits::default());
    let table = [
        (r#""heartbeat":true"#, Some(None)),
        (r#""heartbeat":true,"model":"trains""#, Some(Some(1))),
        (r#""heartbeat":false,"model":"trains""#, None),
    ];
    for (fields, expected) in table {
        let record = format!("{{{TS},{fields}}}");
        let outcome = decode(&mut decoder, record.as_bytes());
        let marks = decoder.take().unwrap().marks;
        match expected {
            Some(model) => {
                let kind = MarkKind::Heartbeat { model, time_us: TS_US, record_time_us: TS_US };
                assert_eq!(outcome, Outcome::Heartbeat, "{fields}");
                assert_eq!(marks, [Mark { offset: 7, record_time_us: Some(TS_US), kind }]);
            }
            None => assert_eq!((outcome, marks), (Outcome::Row(1), vec![]), "{fields}"),
        }
    }
}

#[test]
fn a_rejected_record_leaves_no_trace_in_the_rows() {
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let good = format!(r#"{{{TS},"features":{{"delay":1}}}}"#);
    let broken = format!(r#"{{{TS},"features":{{"delay":2,"new":1,"carrier":"UA""#);
    for (record, rejected) in [(&broken, true), (&good, false), (&broken, true)] {
        let outcome = decode(&mut decoder, record.as_bytes());
        assert_eq!(reason(outcome).is_some(), rejected, "{record}");
    }
    let decoded = decoder.take().unwrap();
    assert_eq!(cells(&decoded.rows[0].rows, 0), ["sample_rate=1.0", "feature:delay=1.0"]);
    assert!(decoded.rows[0].rows.unknown_columns().is_none());
    assert_eq!((decoded.rows[0].rows.rows(), decoded.marks.len()), (1, 2));
}

#[test]
fn a_record_without_a_timestamp_takes_its_own() {
    let mut decoder = Decoder::new(&[trains()], &RecordLimits::default());
    let record = format!("{{{TS}}}");
    let outcome =
        decoder.decode(&Record { value: Some(record.as_bytes()), offset: 3, time_us: None });
    assert_eq!(outcome, Outcome::Row(0));
    let rows = decoder.take().unwrap().rows;
    let row = &rows[0].rows;
    let times = [row.offsets(), row.times_us(), row.record_times_us()];
    assert_eq!(times, [[3], [TS_US], [TS_US]]);
}
