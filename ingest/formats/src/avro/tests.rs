//! Avro by tables, and beside apache-avro: generated and mutated records of generated schemas are accepted
//! alike, and give the rows that the same values give in JSON.

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Schema as Theirs, from_avro_datum, to_avro_datum};
use driftline_capture::Reason;
use proptest::prelude::*;
use serde_json::json;

use crate::mapped::tests::{decoder, rows_carried};
use crate::{
    Carried, Decoder, Header, KnownSchema, Outcome, Record, SchemaId, SchemaKind, SchemaReference,
    SchemaText,
};

const COLUMNS: [&str; 4] = ["feature:a", "feature:b", "feature:c!", "prediction:score"];
const ID: SchemaId = SchemaId::Number(7);

/// Rows of one record, each as its cells, or why there are none.
type Rows = Result<Vec<Vec<String>>, Reason>;

fn text(schema: &serde_json::Value) -> SchemaText {
    SchemaText { kind: SchemaKind::Avro, text: schema.to_string(), references: Vec::new() }
}

fn reader(map: &str, schema: &SchemaText) -> Decoder {
    let decoder = decoder(&format!("format: avro, map: {map}"), &COLUMNS);
    decoder.layout.schemas().put(ID, Arc::new(KnownSchema::new(schema)));
    decoder
}

fn framed(payload: &[u8]) -> Vec<u8> {
    [0, 0, 0, 0, 7].iter().chain(payload).copied().collect()
}

fn read(decoder: &mut Decoder, payload: &[u8]) -> Rows {
    rows_carried(decoder, &framed(payload), &Carried::default())
}

/// A record whose fields have these types, all values at hand.
fn one_record(fields: serde_json::Value, values: Vec<(&str, Value)>) -> (SchemaText, Vec<u8>) {
    let schema = json!({"type": "record", "name": "capture", "fields": fields});
    // They write a UUID as a text whatever its type.
    let plain = schema.to_string().replace(r#","logicalType":"uuid""#, "");
    let theirs = Theirs::parse_str(&plain).unwrap();
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let bytes = to_avro_datum(&theirs, Value::Record(values)).unwrap();
    (text(&schema), bytes)
}

#[test]
fn types_that_say_what_they_mean_are_read_as_that() {
    let (schema, bytes) = one_record(
        json!([
            {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "id", "type": {"type": "fixed", "name": "key", "size": 16, "logicalType": "uuid"}},
            {"name": "took", "type": ["null", "double"]},
            {"name": "in", "type": {"type": "record", "name": "in", "fields": [
                {"name": "a", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]},
                {"name": "b", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                {"name": "c", "type": {"type": "enum", "name": "kind", "symbols": ["x", "y"]}},
                {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            ]}},
            {"name": "out", "type": "float"},
        ]),
        vec![
            ("ts", Value::TimestampMicros(1_767_323_045_678_901)),
            ("id", Value::Fixed(16, (0..16).rev().collect())),
            ("took", Value::Union(1, Box::new(Value::Double(0.25)))),
            (
                "in",
                Value::Record(vec![
                    (
                        "a".to_owned(),
                        Value::Union(1, Box::new(Value::Decimal(vec![0xff, 0x85].into()))),
                    ),
                    ("b".to_owned(), Value::TimestampMillis(1500)),
                    ("c".to_owned(), Value::Enum(1, "y".to_owned())),
                    ("day".to_owned(), Value::Date(1)),
                ]),
            ),
            ("out", Value::Float(0.5)),
        ],
    );
    let map = "{ts: /ts, id: /id, latency: {at: /took, unit: s}, features: /in, predictions: {score: /out}}";
    let mut decoder = reader(map, &schema);
    let cells = [
        "id=0f0e0d0c-0b0a-0908-0706-050403020100",
        "latency_us=250000",
        "feature:a=-1.23",
        "feature:b=1500.0",
        "feature:c=y",
        "prediction:score=0.5",
        "unknown_columns=feature:day",
    ];
    let expected = vec![cells.map(str::to_owned).to_vec()];
    for _ in 0..2 {
        assert_eq!(read(&mut decoder, &bytes), Ok(expected.clone()));
    }
    let record = Record { value: Some(&framed(&bytes)), offset: 1, time_us: None };
    decoder.decode(&record);
    assert_eq!(decoder.last_us(), 1_767_323_045_678_901, "microseconds are kept");
}

#[test]
fn what_does_not_follow_its_schema_is_rejected_and_its_neighbours_are_not() {
    let (schema, bytes) = one_record(
        json!([{"name": "ts", "type": "long"}, {"name": "in", "type": {"type": "map", "values": "double"}}]),
        vec![
            ("ts", Value::Long(1_767_323_045_678)),
            ("in", Value::Map([("a".to_owned(), Value::Double(1.0))].into())),
        ],
    );
    let mut decoder = reader("{ts: /ts, features: /in}", &schema);
    let whole = Ok(vec![vec!["feature:a=1.0".to_owned()]]);
    for cut in 0..bytes.len() {
        assert_eq!(read(&mut decoder, &bytes[..cut]), Err(Reason::InvalidRecord), "cut at {cut}");
        assert_eq!(read(&mut decoder, &bytes), whole);
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert_eq!(read(&mut decoder, &longer), Err(Reason::InvalidRecord));
    let rows =
        |value: &[u8], decoder: &mut Decoder| rows_carried(decoder, value, &Carried::default());
    assert_eq!(rows(b"\x05\0\0\0\x07", &mut decoder), Err(Reason::InvalidFrame));
    assert_eq!(rows(b"\0\0\0", &mut decoder), Err(Reason::InvalidFrame));
    assert_eq!(rows(b"", &mut decoder), Err(Reason::Empty));
    assert_eq!(read(&mut decoder, &bytes), whole);
}

#[test]
fn a_schema_that_is_not_there_is_asked_for_and_changes_nothing() {
    let (schema, bytes) = one_record(
        json!([{"name": "ts", "type": "long"}]),
        vec![("ts", Value::Long(1_767_323_045_678))],
    );
    let mut decoder = decoder("format: avro", &COLUMNS);
    let guid: Vec<u8> = std::iter::once(1).chain([9; 16]).collect();
    let header = [Header { name: "__value_schema_id", value: &guid }];
    let carried = Carried { key: None, headers: &header };
    let record = Record { value: Some(&bytes), offset: 3, time_us: None };
    let id = SchemaId::Guid([9; 16]);
    assert_eq!(id.to_string(), "09090909-0909-0909-0909-090909090909");
    for _ in 0..2 {
        assert_eq!(decoder.decode_carried(&record, &carried), Outcome::NeedsSchema(id));
        assert_eq!((decoder.count(), decoder.bytes()), (0, 0));
    }
    let shelf = Arc::clone(decoder.layout.schemas());
    shelf.put(id, Arc::new(KnownSchema::absent()));
    let outcome = decoder.decode_carried(&record, &carried);
    let Outcome::Rejected(rejection) = outcome else { panic!("{outcome:?}") };
    assert_eq!(rejection.reason, Reason::UnknownSchema);
    // The registry may have it later.
    shelf.forget(id);
    assert_eq!(decoder.decode_carried(&record, &carried), Outcome::NeedsSchema(id));
    shelf.put(id, Arc::new(KnownSchema::new(&schema)));
    assert_eq!(decoder.decode_carried(&record, &carried), Outcome::Row(0));
    // What is known is not forgotten by who reads.
    shelf.forget(id);
    assert_eq!(decoder.decode_carried(&record, &carried), Outcome::Row(0));
}

#[test]
fn schemas_refer_to_others_and_to_themselves() {
    let inner = r#"{"type":"record","name":"Inner","namespace":"n","fields":[{"name":"a","type":"int"},{"name":"next","type":["null","Inner"]}]}"#;
    let outer = r#"{"type":"record","name":"Outer","namespace":"n","fields":[{"name":"ts","type":"long"},{"name":"in","type":"n.Inner"}]}"#;
    let reference = SchemaReference { name: "n.Inner".to_owned(), text: inner.to_owned() };
    let schema =
        SchemaText { kind: SchemaKind::Avro, text: outer.to_owned(), references: vec![reference] };
    let theirs = Theirs::parse_list([inner, outer]).unwrap();
    let inner =
        |a, next| Value::Record(vec![("a".to_owned(), Value::Int(a)), ("next".to_owned(), next)]);
    let none = Value::Union(0, Box::new(Value::Null));
    let value = Value::Record(vec![
        ("ts".to_owned(), Value::Long(1_767_323_045_678)),
        ("in".to_owned(), inner(1, Value::Union(1, Box::new(inner(2, none))))),
    ]);
    let bytes =
        apache_avro::to_avro_datum_schemata(&theirs[1], theirs.iter().collect(), value).unwrap();
    let mut decoder = reader("{ts: /ts, features: [{a: /in/a}, {b: /in/next/a}]}", &schema);
    let cells = ["feature:a=1.0", "feature:b=2.0"].map(str::to_owned).to_vec();
    assert_eq!(read(&mut decoder, &bytes), Ok(vec![cells]));
}

#[test]
fn what_is_no_schema_of_avro_says_why() {
    let table = [
        ("{", "the type { is not declared"),
        (
            r#"{"type":"record","name":"r","fields":[{"name":"a","type":"what"}]}"#,
            "the type what is not declared",
        ),
        (r#"{"type":"array"}"#, "array without `items`"),
        (r#"{"type":"record","fields":[]}"#, "a record, an enum or a fixed without a name"),
        ("7", "a type that is neither a name, an object nor a list"),
    ];
    for (schema, why) in table {
        let schema =
            SchemaText { kind: SchemaKind::Avro, text: schema.to_owned(), references: Vec::new() };
        let mut decoder = reader("{ts: /ts, features: /in}", &schema);
        let value = framed(b"");
        let record = Record { value: Some(&value), offset: 1, time_us: None };
        let outcome = decoder.decode(&record);
        let Outcome::Rejected(rejection) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rejection.detail, format!("schema 7: {why}"));
        assert_eq!(rejection.reason, Reason::UnknownSchema);
    }
}

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "string", "double"];

/// A type, and how many were named before it.
fn some_type(random: &mut Random, depth: u32, named: &mut u32) -> serde_json::Value {
    let complex = if depth == 0 { 0 } else { 6 };
    match random.below(6 + complex) {
        0..=5 => json!(PRIMITIVES[random.below(8) as usize]),
        6 | 7 => some_record(random, &["a", "b", "c", "d", "p"], depth, named),
        8 => json!({"type": "map", "values": some_type(random, depth - 1, named)}),
        9 | 10 => json!({"type": "array", "items": some_type(random, depth - 1, named)}),
        _ => {
            *named += 1;
            let record = some_record(random, &["a", "c", "id"], depth, named);
            json!(["null", "long", "string", record])
        }
    }
}

fn some_record(
    random: &mut Random,
    names: &[&str],
    depth: u32,
    named: &mut u32,
) -> serde_json::Value {
    *named += 1;
    let name = format!("r{named}");
    let fields: Vec<serde_json::Value> = names
        .iter()
        .map(|name| json!({"name": name, "type": some_type(random, depth - 1, named)}))
        .collect();
    json!({"type": "record", "name": name, "fields": fields})
}

fn some_event(random: &mut Random) -> serde_json::Value {
    let named = &mut 0;
    let ts = [json!("long"), json!(["null", "long"]), json!("string")];
    let fields = json!([
        {"name": "ts", "type": ts[random.below(3) as usize]},
        {"name": "id", "type": some_type(random, 1, named)},
        {"name": "meta", "type": some_record(random, &["id"], 2, named)},
        {"name": "in", "type": some_type(random, 4, named)},
        {"name": "out", "type": some_type(random, 3, named)},
    ]);
    json!({"type": "record", "name": "event", "fields": fields})
}

fn some_value(random: &mut Random, schema: &Theirs) -> Value {
    match schema {
        Theirs::Boolean => Value::Boolean(random.below(2) == 0),
        Theirs::Int => Value::Int(random.below(1 << 33) as i32),
        Theirs::Long => match random.below(4) {
            0 => Value::Long(random.below(u64::MAX) as i64),
            1 => Value::Long(random.below(100) as i64 - 50),
            _ => Value::Long(1_767_323_045_678 + random.below(100) as i64),
        },
        Theirs::Float => Value::Float([0.5, -0.0, 0.1, f32::NAN, 1e6][random.below(5) as usize]),
        Theirs::Double => {
            let numbers = [0.5, -0.0, 0.1, f64::NAN, f64::INFINITY, 12.0, 1e-3];
            Value::Double(numbers[random.below(7) as usize])
        }
        Theirs::String => {
            let texts = ["", "x", "7", "NaN", "ä\"\\\n", "2026-01-02T03:04:05Z", "a"];
            Value::String(texts[random.below(7) as usize].to_owned())
        }
        Theirs::Array(inner) => {
            Value::Array((0..random.below(4)).map(|_| some_value(random, &inner.items)).collect())
        }
        Theirs::Map(inner) => {
            let keys = ["a", "b", "c", "id", "new", "score"];
            let entries = (0..random.below(4)).map(|_| {
                let key = keys[random.below(6) as usize].to_owned();
                (key, some_value(random, &inner.types))
            });
            Value::Map(entries.collect())
        }
        Theirs::Union(union) => {
            let branch = random.below(union.variants().len() as u64);
            let value = some_value(random, &union.variants()[branch as usize]);
            Value::Union(branch as u32, Box::new(value))
        }
        Theirs::Record(record) => {
            let fields = record.fields.iter();
            let values =
                fields.map(|field| (field.name.clone(), some_value(random, &field.schema)));
            Value::Record(values.collect())
        }
        _ => Value::Null,
    }
}

/// The same value as JSON, in which the words of Python stand for what JSON has none for.
fn as_json(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(",");
    let member = |(key, value): (&String, &Value)| {
        format!("{}:{}", serde_json::to_string(key).unwrap(), as_json(value))
    };
    let number = |number: f64| match number {
        number if number.is_nan() => "NaN".to_owned(),
        number if number.is_infinite() => "Infinity".to_owned(),
        number => number.to_string(),
    };
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int(whole) => whole.to_string(),
        Value::Long(whole) => whole.to_string(),
        Value::Float(float) => number(f64::from(*float)),
        Value::Double(double) => number(*double),
        Value::String(text) => serde_json::to_string(text).unwrap(),
        Value::Array(items) => format!("[{}]", list(items.iter().map(as_json).collect())),
        Value::Map(entries) => format!("{{{}}}", list(entries.iter().map(member).collect())),
        Value::Record(fields) => {
            let members = fields.iter().map(|(key, value)| member((key, value)));
            format!("{{{}}}", list(members.collect()))
        }
        Value::Union(_, value) => as_json(value),
        _ => "null".to_owned(),
    }
}

const MAPS: [&str; 4] = [
    "{ts: /ts, id: [/meta/id, /id], features: /in, predictions: {score: '/out/0'}}",
    "{rows: '/in/*', id: /id, ts: $.ts, features: [./, {c: /meta/id}], predictions: {score: '/out/*/p'}}",
    "{rows: '$.in[*]', ts: /ts, id: '@[0]', features: {at: '@[1]', names: [a, b, c]}, predictions: {score: \"$['out'][*]\"}}",
    "{ts: /ts, id: /id, features: '', predictions: {score: /out}}",
];

/// What a value of the wrong type was is told in the words of its format.
pub(crate) fn without_texts(rows: Rows) -> Rows {
    let plain = |cell: String| match cell.split_once('=') {
        Some((name, _)) if name.starts_with("wrong_type:") => name.to_owned(),
        _ => cell,
    };
    rows.map(|rows| rows.into_iter().map(|row| row.into_iter().map(plain).collect()).collect())
}

fn is_beyond_64_bits(map: &str, schema: &serde_json::Value, bytes: &[u8]) -> bool {
    let value = framed(bytes);
    let record = Record { value: Some(&value), offset: 7, time_us: None };
    match reader(map, &text(schema)).decode(&record) {
        Outcome::Rejected(rejection) => rejection.detail.ends_with("beyond 64 bits"),
        _ => false,
    }
}

/// They take a text that is no UTF-8 for bytes, and one that is cut for nothing.
fn is_sound(value: &Value, schema: &Theirs) -> bool {
    let shown = format!("{value:?}");
    // The third branch of the unions here is the text.
    value.validate(schema) && !shown.contains("Bytes(") && !shown.contains("Union(2, Null)")
}

fn agrees(random: &mut Random, mutations: u64) {
    // Else they take gigabytes for what a mutated length says.
    apache_avro::util::max_allocation_bytes(1 << 16);
    let schema = some_event(random);
    let theirs = Theirs::parse(&schema).unwrap_or_else(|error| panic!("{error}\n{schema}"));
    let value = some_value(random, &theirs);
    let mut bytes = to_avro_datum(&theirs, value).unwrap();
    for _ in 0..mutations {
        let at = random.below(bytes.len().max(1) as u64) as usize;
        match random.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    let mut rest = bytes.as_slice();
    let read_by_them = from_avro_datum(&theirs, &mut rest, None);
    for map in MAPS {
        let ours = read(&mut reader(map, &text(&schema)), &bytes);
        let is_refused = mutations > 0 && ours == Err(Reason::InvalidRecord);
        if is_refused || is_beyond_64_bits(map, &schema, &bytes) {
            // They drop bits that are too many, and take a text that is cut for nothing.
            continue;
        }
        match &read_by_them {
            Ok(value) if rest.is_empty() && is_sound(value, &theirs) => {
                let json = as_json(value);
                let mut decoder = decoder(&format!("map: {map}"), &COLUMNS);
                let expected = rows_carried(&mut decoder, json.as_bytes(), &Carried::default());
                assert_eq!(without_texts(ours), without_texts(expected), "{map}\n{schema}\n{json}");
            }
            // Others look at every byte, and we end where the record is rejected for something else.
            _ => assert!(ours.is_err(), "{map}\n{schema}\n{bytes:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn records_give_the_rows_that_they_give_in_json(seed in any::<u64>()) {
        agrees(&mut Random(seed), 0);
    }

    #[test]
    fn mutated_records_are_accepted_alike(seed in any::<u64>(), mutations in 1_u64..4) {
        agrees(&mut Random(seed), mutations);
    }
}
