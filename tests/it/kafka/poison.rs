//! A stream with one record in a hundred of every kind of bad data: those that cannot be read are dead
//! letters with their reason, every other one is a row, and no neighbour is lost.

use std::collections::BTreeMap;

use driftline_config::time::{DAY_US, HOUR_US, format_instant};
use driftline_world::closing_times_us;
use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::kafka::{self, Kafka};
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, FIRST_DAY_US, LATENESS_US, MODELS, RECORD_BYTES};

const RECORDS: usize = 8_000;
const PARTITIONS: usize = 2;
/// One record in so many is of any one kind.
const ONE_IN: usize = 100;
/// Two of them do: each takes the broker and the wire a while.
const HUGE_BYTES: usize = 10 << 20;
const HUGE: usize = 2;
/// Stands in features of broken records, and must stand in no dead letter's detail.
const PLANTED: &str = "planted-in-a-feature";

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Rejected(&'static str),
    Late,
    /// A row whose `amount` is measured, missing or of the wrong type.
    Row(Amount),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Measured,
    Missing,
    WrongType,
}

use Amount::{Measured, Missing, WrongType};
use Fate::{Late, Rejected, Row};

/// A kind of bad data: its name, its value for a number and an instant, and its fate.
type Kind = (&'static str, fn(usize, i64) -> Value, Fate);

/// Every kind of docs/failures.md, "Data".
const KINDS: &[Kind] = &[
    ("a tombstone", |_, _| Value::Null, Rejected("empty")),
    ("no bytes", |_, _| json!(""), Rejected("empty")),
    (
        "no UTF-8",
        |_, us| hex(&row_with(us, "\"x\"").replace('x', "\u{1}"), 0xff),
        Rejected("invalid_utf8"),
    ),
    (
        "cut off",
        |_, us| json!(cut(&row_with(us, &format!("\"{PLANTED}\"")))),
        Rejected("invalid_json"),
    ),
    ("no JSON", |number, _| json!(format!("<capture number={number}/>")), Rejected("invalid_json")),
    (
        "magic byte and schema id",
        |_, us| json!(format!("\0\0\0\0\u{7}{}", row_with(us, "1"))),
        Rejected("invalid_json"),
    ),
    (
        "10 000 lists in one another",
        |_, us| json!(row_with(us, &nested(10_000))),
        Rejected("invalid_json"),
    ),
    ("10 000 lists and no end", |_, _| json!("[".repeat(10_000)), Rejected("invalid_json")),
    ("a list", |number, _| json!(format!("[{number}]")), Rejected("not_an_object")),
    ("a number", |number, _| json!(number.to_string()), Rejected("not_an_object")),
    (
        "two objects",
        |_, us| json!(format!("{} {{}}", row_with(us, "1"))),
        Rejected("not_an_object"),
    ),
    (
        "no ts",
        |_, us| json!(row_with(us, "1").replace("\"ts\":", "\"tt\":")),
        Rejected("missing_ts"),
    ),
    (
        "no model",
        |_, us| json!(row_with(us, "1").replace("\"model\":", "\"mod\":")),
        Rejected("missing_model"),
    ),
    (
        "seconds",
        |_, us| json!(with_ts(us, &(us / 1_000_000).to_string())),
        Rejected("bad_timestamp"),
    ),
    ("a ts in words", |_, us| json!(with_ts(us, "\"yesterday\"")), Rejected("bad_timestamp")),
    ("the far future", |_, us| json!(with_ts(us, "\"2999-01-01T00:00:00Z\"")), Rejected("future")),
    (
        "too large",
        |_, us| json!(row_with(us, &format!("\"{}\"", "x".repeat(RECORD_BYTES)))),
        Rejected("too_large"),
    ),
    (
        "days late",
        |_, us| json!(with_ts(us, &format!("\"{}\"", format_instant(us - 5 * DAY_US)))),
        Late,
    ),
    ("NaN", |_, us| json!(row_with(us, "NaN")), Row(Missing)),
    ("null", |_, us| json!(row_with(us, "null")), Row(Missing)),
    (
        "no features",
        |_, us| json!(row_with(us, "1").replace("\"features\":", "\"features\":{},\"f\":")),
        Row(Missing),
    ),
    ("infinity", |_, us| json!(row_with(us, "-Infinity")), Row(Measured)),
    ("1e400", |_, us| json!(row_with(us, "1e400")), Row(Measured)),
    ("a huge integer", |_, us| json!(row_with(us, &"9".repeat(60))), Row(Measured)),
    ("a key twice", |_, us| json!(row_with(us, "\"x\",\"amount\":7")), Row(Measured)),
    ("a number as text", |_, us| json!(row_with(us, "\"7.5\"")), Row(WrongType)),
    ("a truth", |_, us| json!(row_with(us, "true")), Row(WrongType)),
    ("an object", |_, us| json!(row_with(us, "{\"value\":7}")), Row(WrongType)),
    ("120 lists in one another", |_, us| json!(row_with(us, &nested(120))), Row(WrongType)),
    (
        "an envelope of wrong types",
        |_, us| {
            json!(
                row_with(us, "1")
                    .replace("\"status\":200", "\"status\":\"ok\"")
                    .replace("\"latency_us\":2000", "\"latency_us\":{}")
            )
        },
        Row(Measured),
    ),
    ("the same record again", |_, _| json!(row_with(FIRST_DAY_US + HOUR_US, "1")), Row(Measured)),
];

#[test]
fn every_kind_of_bad_data_costs_itself_and_no_neighbour() {
    let Some(kafka) = kafka::broker() else { return };
    let settings = [("max.message.bytes", "33554432")];
    let topic = kafka.create_topic("poison", PARTITIONS as u32, &settings);
    let scene = Scene::on(kafka, &topic, "poison", "");
    let (records, fates) = stream();
    let heartbeats = 96 * PARTITIONS as u64;
    kafka.produce(&topic, records.clone());

    let service = scene.start();
    let ledger = service.wait_for_ledger(&topic, records.len() as u64);
    let count = |wanted: &dyn Fn(Fate) -> bool| fates.iter().filter(|fate| wanted(**fate)).count();
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    let total = json!({
        "read": records.len(),
        "counted": count(&|fate| matches!(fate, Row(_))),
        "late": count(&|fate| fate == Late),
        "rejected": count(&|fate| matches!(fate, Rejected(_))),
        "ahead": 0,
        "skipped": 0,
        "control": heartbeats,
    });
    assert_eq!(traffic::sorted(&ledger["total"]), traffic::sorted(&total));
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for fate in &fates {
        if let Rejected(reason) = fate {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    assert_eq!(traffic::sorted(&ledger["rejected"]), json!(reasons));
    letters_are_exact(kafka, &topic, &records, &fates);
    the_report_counts_every_row(&service, &fates);
}

/// Each with its place, its reason and its bytes; where it is larger than we read, what stands for them.
fn letters_are_exact(kafka: &Kafka, topic: &str, records: &[Value], fates: &[Fate]) {
    let mut wanted: BTreeMap<(String, String), (&Value, &str)> = BTreeMap::new();
    let mut offsets = [0; PARTITIONS];
    for (record, fate) in records.iter().zip(fates) {
        let partition = record["partition"].as_u64().unwrap();
        let offset = &mut offsets[partition as usize];
        if let Rejected(reason) = fate {
            wanted.insert((partition.to_string(), offset.to_string()), (&record["value"], reason));
        }
        *offset += 1;
    }
    let letters = format!("{topic}.driftline.dead-letter");
    let letters = kafka.wait_for_records(&letters, wanted.len(), PATIENCE);
    for letter in &letters {
        let header = |name: &str| {
            let name = format!("driftline.{name}");
            let mut headers = letter["headers"].as_array().unwrap().iter();
            let found = headers.find(|header| header[0] == name);
            found.unwrap_or_else(|| panic!("no {name}"))[1].as_str().unwrap().to_owned()
        };
        let place = (header("partition"), header("offset"));
        let (value, reason) = wanted.remove(&place).unwrap_or_else(|| panic!("{place:?} is well"));
        assert_eq!(header("reason"), reason, "{place:?}: {}", header("detail"));
        assert!(!header("detail").contains(PLANTED), "{}", header("detail"));
        if value.as_str().is_none_or(|text| text.len() < HUGE_BYTES) {
            assert_eq!(&letter["value"], value, "{place:?}: {reason}");
        }
    }
    assert!(wanted.is_empty(), "{} have no letter", wanted.len());
}

fn the_report_counts_every_row(service: &Service, fates: &[Fate]) {
    let report = service.wait_for_reports(MODELS[0], 1).remove(0);
    let rows = fates.iter().filter(|fate| matches!(fate, Row(_))).count();
    let of = |amount| fates.iter().filter(|fate| **fate == Row(amount)).count();
    assert_eq!(report["window"]["rows"], rows, "{report:#}");
    let finding = |check: &str| {
        let mut findings = report["findings"].as_array().unwrap().iter();
        let found = findings
            .find(|finding| finding["subject"] == "feature:amount" && finding["check"] == check);
        found.unwrap_or_else(|| panic!("no {check}: {report:#}"))
    };
    assert_eq!(finding("distribution")["n"], of(Measured));
    assert_eq!(finding("missing")["share"]["count"], of(Missing));
    assert_eq!(finding("wrong_type")["share"]["count"], of(WrongType));
}

/// The records in the order in which they are sent, and the fate of each; heartbeats end the window.
fn stream() -> (Vec<Value>, Vec<Fate>) {
    let (mut records, mut fates) = (Vec::new(), Vec::new());
    let span_us = 20 * HOUR_US;
    for number in 0..RECORDS {
        let us = FIRST_DAY_US + HOUR_US + span_us / RECORDS as i64 * number as i64;
        let (value, fate) = match KINDS.get(number % ONE_IN) {
            // While hardly a row has said that the day has begun, nothing is late.
            Some((_, _, Late)) if number < 2 * ONE_IN => (json!(row_with(us, "1")), Row(Measured)),
            Some((_, value, fate)) => (value(number, us), *fate),
            None => (json!(row_with(us, &format!("{}.25", number % 90))), Row(Measured)),
        };
        records.push(record(number % PARTITIONS, us, value));
        fates.push(fate);
        if number == RECORDS / 2 {
            for _ in 0..HUGE {
                let text = row_with(us, &format!("\"{}\"", "x".repeat(HUGE_BYTES)));
                records.push(record(0, us, json!(text)));
                fates.push(Rejected("too_large"));
            }
        }
    }
    let end_us = FIRST_DAY_US + DAY_US + LATENESS_US;
    for beat_us in closing_times_us(end_us) {
        for partition in 0..PARTITIONS {
            let beat = format!(r#"{{"ts":"{}","heartbeat":true}}"#, format_instant(beat_us));
            records.push(record(partition, beat_us, json!(beat)));
        }
    }
    (records, fates)
}

fn record(partition: usize, us: i64, value: Value) -> Value {
    json!({"partition": partition, "timestamp_ms": us / 1000, "key": "k", "value": value})
}

/// A row with this text as the value of `amount`.
fn row_with(us: i64, amount: &str) -> String {
    row(us, &format!("\"{}\"", format_instant(us)), amount)
}

/// A row with this text as its `ts`.
fn with_ts(us: i64, ts: &str) -> String {
    row(us, ts, "1")
}

fn row(us: i64, ts: &str, amount: &str) -> String {
    let age = 18 + us / 7_000_000 % 50;
    format!(
        r#"{{"v":1,"model":"{}","version":"7","id":"r{us}","ts":{ts},"latency_us":2000,"status":200,"features":{{"amount":{amount},"age":{age},"country":"DE","premium":false}},"prediction":{{"label":"no","score":0.25}}}}"#,
        MODELS[0]
    )
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn cut(text: &str) -> &str {
    &text[..text.len() - 40]
}

/// The bytes of a text with `byte` in the place of its control character.
fn hex(text: &str, byte: u8) -> Value {
    let bytes = text.bytes().map(|own| if own == 1 { byte } else { own });
    json!({"hex": bytes.map(|byte| format!("{byte:02x}")).collect::<String>()})
}
