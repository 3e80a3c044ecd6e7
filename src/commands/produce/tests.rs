//! Rows become the captures that a service would have written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_capture::{CaptureBatch, Column, Kind};
use driftline_formats::{Decoder, ModelPlan, Outcome, Record, RecordLimits};
use serde_json::Value;

use super::*;
use crate::commands::rig::{PARTITIONS, ROWS_A_DAY, Rig, TOPIC, arguments};

fn schema() -> CaptureSchema {
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    CaptureSchema {
        columns: vec![
            column("feature:x", Kind::Numeric),
            column("feature:carrier", Kind::Categorical),
            column("prediction:score", Kind::Numeric),
        ],
        ignored: Vec::new(),
    }
}

fn batch() -> CaptureBatch {
    let numbers =
        [Some(1.0), Some(f64::NAN), None, Some(f64::NEG_INFINITY), Some(-0.0), Some(0.25)];
    let others = [None, None, Some("n/a \"quoted\""), None, None, None];
    let rows = numbers.len();
    let ids: Vec<Option<&str>> = vec![Some("a"), None, Some("ä\n"), None, None, None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("offset", Arc::new(Int64Array::from(vec![0; rows]))),
        ("time_us", Arc::new(Int64Array::from(vec![1_767_323_045_678_901; rows]))),
        ("record_time_us", Arc::new(Int64Array::from(vec![0; rows]))),
        ("id", Arc::new(StringArray::from(ids))),
        ("version", Arc::new(StringArray::from(vec![Some("3"); rows]))),
        ("latency_us", Arc::new(Int64Array::from(vec![Some(12); rows]))),
        ("status", Arc::new(Int32Array::from(vec![None; rows]))),
        ("sample_rate", Arc::new(Float64Array::from(vec![0.5; rows]))),
        ("feature:x", Arc::new(Float64Array::from(numbers.to_vec()))),
        ("feature:carrier", Arc::new(StringArray::from(vec![Some("UA"); rows]))),
        ("prediction:score", Arc::new(Float64Array::from(vec![0.5; rows]))),
        ("wrong_type:feature:x", Arc::new(StringArray::from(others.to_vec()))),
    ];
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    CaptureBatch::new(RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap()
}

fn written(row: usize, timed: bool) -> String {
    let (schema, batch) = (schema(), batch());
    let events = Events::new("m", &schema, &batch, timed);
    let mut out = Vec::new();
    events.write(row, 1_800_000_000_000_000, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_row_is_written_as_the_contract_says() {
    let value: Value = serde_json::from_str(&written(0, true)).unwrap();
    let expected = serde_json::json!({
        "v": 1, "model": "m", "ts": "2026-01-02T03:04:05.678901Z", "id": "a", "version": "3",
        "latency_us": 12, "sample_rate": 0.5, "features": {"x": 1, "carrier": "UA"},
        "prediction": {"score": 0.5},
    });
    assert_eq!(value, expected);
    assert!(written(0, false).contains(r#""ts":"2027-01-15T08:00:00Z""#), "rows happen now");
    let table = [
        (1, r#""x":NaN,"#),
        (2, r#""x":"n/a \"quoted\"","#),
        (2, r#""id":"ä\n","#),
        (3, r#""x":-Infinity,"#),
        (4, r#""x":-0.0,"#),
        (5, r#""x":0.25,"#),
    ];
    for (row, part) in table {
        assert!(written(row, true).contains(part), "{part} is not in {}", written(row, true));
    }
}

/// What is written is read back as the same row.
#[test]
fn every_row_is_accepted_by_the_decoder() {
    let plan =
        ModelPlan { name: "m".into(), schema: schema(), max_ahead_us: i64::MAX, mapping: None };
    let mut decoder = Decoder::new(&[plan], &RecordLimits::default());
    for row in 0..batch().rows() {
        let value = written(row, true);
        let record = Record { value: Some(value.as_bytes()), offset: 0, time_us: None };
        assert_eq!(decoder.decode(&record), Outcome::Row(0), "{value}");
    }
}

#[test]
fn a_file_reaches_every_partition_and_columns_arrive_as_they_are() {
    let rig = Rig::new(50);
    let data = rig.days("days.csv", 0..1);
    let rows = u64::try_from(ROWS_A_DAY).unwrap();
    let expected = Produced { captures: rows, topic: TOPIC.to_owned(), partitions: 3 };
    assert_eq!(rig.produce("m", &data), expected);
    let before = topic_offsets(&rig.connection, TOPIC).unwrap();
    assert!(before.iter().all(|(from, to)| from < to), "keys spread");
    // A numeric column that turned into text arrives as text; rows without id go round.
    let broken = rig.path("broken.csv");
    std::fs::write(&broken, "at,x,carrier\n2026-11-03T00:00:00Z,one,UA\n2026-11-03T00:00:01Z,two,UA\n2026-11-03T00:00:02Z,one,UA\n").unwrap();
    rig.produce("m", broken.to_str().unwrap());
    let after = topic_offsets(&rig.connection, TOPIC).unwrap();
    for partition in 0..PARTITIONS {
        let index = usize::try_from(partition).unwrap();
        assert_eq!(after[index].1, before[index].1 + 1);
    }
    rig.close(12);
    let served = rig.serve();
    let second = &served.reports[1].0;
    let ledger = second.window.ledger;
    assert_eq!((second.window.rows, ledger.rejected), (3, 0));
    let wrong = second
        .findings
        .iter()
        .find(|finding| finding.subject == "feature:x" && finding.check.name() == "wrong_type");
    assert_eq!(wrong.and_then(|found| found.share.as_ref()).map(|share| share.value), Some(1.0));
}

#[test]
fn a_rate_is_kept_and_an_impossible_one_refused() {
    let rig = Rig::new(50);
    let path = rig.path("few.csv");
    std::fs::write(&path, "x,carrier\n1,UA\n2,UA\n3,UA\n").unwrap();
    let (config, data) = (rig.config.to_str().unwrap(), path.to_str().unwrap());
    let args = arguments(&["--config", config, "--data", data, "--rate", "20"]);
    let start = Instant::now();
    let loaded = rig.config();
    produce(&args, &loaded, &loaded.models[0], &mut |_| {}).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100), "the third row is due after 100 ms");
    for text in ["0", "-1", "fast", "inf"] {
        assert!(rate(text).is_err(), "{text}");
    }
}
