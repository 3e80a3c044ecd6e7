//! Protobuf by tables, and beside prost-reflect: generated and mutated messages are accepted alike, and give
//! the rows that the same messages give in JSON.

use std::sync::Arc;

use driftline_capture::Reason;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

use crate::mapped::tests::{decoder, rows_carried};
use crate::{
    Carried, Decoder, Header, KnownSchema, Outcome, Record, SchemaId, SchemaKind, SchemaReference,
    SchemaText,
};

const COLUMNS: [&str; 4] = ["feature:a", "feature:b", "feature:c!", "prediction:score"];
const ID: SchemaId = SchemaId::Number(7);

type Rows = Result<Vec<Vec<String>>, Reason>;

fn text(proto: &str) -> SchemaText {
    let kind = SchemaKind::Protobuf;
    SchemaText { kind, text: proto.to_owned(), references: Vec::new() }
}

fn reader(map: &str, schema: &SchemaText) -> Decoder {
    let decoder = decoder(&format!("format: protobuf, map: {map}"), &COLUMNS);
    decoder.layout.schemas().put(ID, Arc::new(KnownSchema::new(schema)));
    decoder
}

/// The frame, the way to the message, and the message.
fn framed(way: &[u8], message: &[u8]) -> Vec<u8> {
    [0, 0, 0, 0, 7].iter().chain(way).chain(message).copied().collect()
}

fn read(decoder: &mut Decoder, value: &[u8]) -> Rows {
    rows_carried(decoder, value, &Carried::default())
}

/// Compiles a file by their own compiler, which is ours too, and finds a message of it.
fn described(proto: &str, message: &str) -> MessageDescriptor {
    let file = protox::file::File::from_source("t.proto", proto).unwrap();
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_proto(file.file_descriptor_proto().clone()).unwrap();
    pool.get_message_by_name(message).unwrap()
}

const EVENT: &str = r#"
syntax = "proto3";
enum Kind { NONE = 0; SMALL = 1; LARGE = 2; }
message Inner { double a = 1; optional int64 b = 2; Kind c = 3; Inner next = 4; string id = 5; double p = 6; }
message Event {
  int64 ts = 1;
  string id = 2;
  Inner in = 3;
  repeated Inner rows = 4;
  map<string, double> features = 5;
  repeated double scores = 6;
  oneof out { double score = 7; string label = 8; Inner inner = 9; }
  sint32 s = 10;
  fixed64 f = 11;
  float g = 12;
  repeated sint64 packed = 13;
  bool flag = 14;
  uint64 big = 16;
  repeated string words = 17;
}
"#;

const MAPS: [&str; 5] = [
    "{ts: /ts, id: [/in/next/id, /id], features: /in, predictions: {score: '/scores/0'}}",
    "{rows: '/rows/*', id: /id, ts: $.ts, features: [./, {c: /in/id}], predictions: {score: '/scores/*'}}",
    "{ts: /ts, id: /s, features: /features, predictions: {score: /score}}",
    "{ts: /ts, id: /big, features: '', predictions: {score: /inner/a}}",
    "{ts: /ts, id: /label, features: [{a: /s}, {b: /f}, {c: /flag}], predictions: {score: /packed/1}}",
];

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

    fn varint(&mut self, mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn tag(&mut self, number: u64, wire: u64, out: &mut Vec<u8>) {
        self.varint(number << 3 | wire, out);
    }

    fn double(&mut self) -> [u8; 8] {
        [0.5, -0.0, 0.1, f64::NAN, f64::INFINITY, 12.0][self.below(6) as usize].to_le_bytes()
    }

    fn word(&mut self) -> &'static str {
        ["", "a", "b", "c", "score", "ä\"", "7"][self.below(7) as usize]
    }

    fn sized(&mut self, number: u64, bytes: &[u8], out: &mut Vec<u8>) {
        self.tag(number, 2, out);
        self.varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }

    fn inner(&mut self, depth: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.below(5) {
            match self.below(6) {
                0 => {
                    self.tag(1, 1, &mut out);
                    out.extend(self.double());
                }
                1 => {
                    self.tag(2, 0, &mut out);
                    let value = self.below(u64::MAX);
                    self.varint(value, &mut out);
                }
                2 => {
                    self.tag(3, 0, &mut out);
                    let value = self.below(5);
                    self.varint(value, &mut out);
                }
                3 if depth > 0 => {
                    let inner = self.inner(depth - 1);
                    self.sized(4, &inner, &mut out);
                }
                4 => {
                    let word = self.word();
                    self.sized(5, word.as_bytes(), &mut out);
                }
                _ => {
                    self.tag(6, 1, &mut out);
                    out.extend(self.double());
                }
            }
        }
        out
    }

    /// A message as any writer might lay it out: fields in any order and more than once, packed or not.
    fn event(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.tag(1, 0, &mut out);
        let ts = 1_767_323_045_678 + self.below(100);
        self.varint(ts, &mut out);
        for _ in 0..self.below(14) {
            match self.below(18) {
                0 | 1 => {
                    let (inner, number) = (self.inner(2), [3, 4, 9][self.below(3) as usize]);
                    self.sized(number, &inner, &mut out);
                }
                2 | 3 => {
                    let mut entry = Vec::new();
                    if self.below(4) > 0 {
                        let word = self.word();
                        self.sized(1, word.as_bytes(), &mut entry);
                    }
                    if self.below(4) > 0 {
                        self.tag(2, 1, &mut entry);
                        entry.extend(self.double());
                    }
                    self.sized(5, &entry, &mut out);
                }
                4 => {
                    self.tag(6, 1, &mut out);
                    out.extend(self.double());
                }
                5 => {
                    let packed: Vec<u8> = (0..self.below(4)).flat_map(|_| self.double()).collect();
                    self.sized(6, &packed, &mut out);
                }
                6 => {
                    self.tag(7, 1, &mut out);
                    out.extend(self.double());
                }
                7 | 8 => {
                    let (word, number) = (self.word(), [2, 8, 17][self.below(3) as usize]);
                    self.sized(number, word.as_bytes(), &mut out);
                }
                9 => {
                    self.tag(11, 1, &mut out);
                    let value = self.below(u64::MAX);
                    out.extend(value.to_le_bytes());
                }
                10 => {
                    self.tag(12, 5, &mut out);
                    out.extend([0.5_f32, 0.125, f32::NAN][self.below(3) as usize].to_le_bytes());
                }
                11 => {
                    let mut packed = Vec::new();
                    for _ in 0..self.below(4) {
                        let value = self.below(1 << 40);
                        self.varint(value, &mut packed);
                    }
                    self.sized(13, &packed, &mut out);
                }
                12 => self.newer(&mut out),
                _ => self.whole(&mut out),
            }
        }
        out
    }

    /// A field of a newer schema.
    fn newer(&mut self, out: &mut Vec<u8>) {
        self.tag(99, 3, out);
        self.sized(1, b"x", out);
        self.tag(99, 4, out);
    }

    fn whole(&mut self, out: &mut Vec<u8>) {
        let number = [10, 13, 14, 16][self.below(4) as usize];
        self.tag(number, 0, out);
        let limit = [2, 300, 1 << 33, u64::MAX][self.below(4) as usize];
        let value = self.below(limit);
        self.varint(value, out);
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len().max(1) as u64) as usize;
        match self.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), self.below(256) as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }
}

/// The message as JSON, with the words of Python for what JSON has no number for.
fn as_json(message: &DynamicMessage) -> String {
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true)
        .skip_default_fields(false);
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    message.serialize_with_options(&mut serializer, &options).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    ["NaN", "Infinity", "-Infinity"]
        .iter()
        .fold(text, |text, word| text.replace(&format!("\"{word}\""), word))
}

/// What a value of the wrong type was is told in the words of its format.
fn without_texts(rows: Rows) -> Rows {
    crate::avro::tests::without_texts(rows)
}

/// Whether members of the choice stand there more than once.
fn has_choices(bytes: &[u8]) -> bool {
    let mut varints = super::wire::Varints { bytes, at: 0 };
    let pieces = std::iter::from_fn(|| varints.piece().ok().flatten());
    pieces.filter(|piece| (7..=9).contains(&piece.number)).count() > 1
}

fn agrees(random: &mut Random, mutations: u64) {
    let descriptor = described(EVENT, "Event");
    let schema = text(&format!("{EVENT}\nmessage Last {{}}"));
    let mut bytes = random.event();
    for _ in 0..mutations {
        random.mutate(&mut bytes);
    }
    let theirs = DynamicMessage::decode(descriptor, bytes.as_slice());
    for map in MAPS {
        // `Inner` is the first message of the file, and `Event` the second.
        let ours = read(&mut reader(map, &schema), &framed(&[2, 2], &bytes));
        if mutations > 0 && ours == Err(Reason::InvalidRecord) {
            // They take an entry of a map whatever its tag says.
            continue;
        }
        match &theirs {
            Ok(message) => {
                let json = as_json(message);
                let mut decoder = decoder(&format!("map: {map}"), &COLUMNS);
                let expected = rows_carried(&mut decoder, json.as_bytes(), &Carried::default());
                assert_eq!(
                    without_texts(ours),
                    without_texts(expected),
                    "{map}\n{json}\n{bytes:?}"
                );
            }
            // What stood in a choice before its last member is not looked at.
            Err(_) => assert!(ours.is_err() || has_choices(&bytes), "{map}\n{bytes:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn messages_give_the_rows_that_they_give_in_json(seed in any::<u64>()) {
        agrees(&mut Random(seed), 0);
    }

    #[test]
    fn mutated_messages_are_accepted_alike(seed in any::<u64>(), mutations in 1_u64..4) {
        agrees(&mut Random(seed), mutations);
    }
}

#[test]
fn the_way_to_a_message_stands_in_the_frame() {
    let proto = r#"syntax = "proto3";
        message First { int64 ts = 1; message Inside { int64 ts = 1; double a = 2; } }
        message Second { int64 ts = 2; double a = 3; }"#;
    let inside = [0x08, 0xae, 0x9e, 0xa6, 0xe5, 0xb7, 0x33, 0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let second = [0x10, 0xae, 0x9e, 0xa6, 0xe5, 0xb7, 0x33, 0x19, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let mut decoder = reader("{ts: /ts, features: ''}", &text(proto));
    let row = |cells: &[&str]| Ok(vec![cells.iter().map(|cell| (*cell).to_owned()).collect()]);
    let with_a = ["feature:a=1.0"];
    let table: [(&[u8], &[u8], Rows); 8] = [
        (&[4, 0, 0], &inside, row(&with_a)),
        (&[2, 2], &second, row(&with_a)),
        (&[0], &inside[..7], row(&[])),
        (&[2, 0], &inside[..7], row(&[])),
        (&[2, 4], &second, Err(Reason::InvalidFrame)),
        (&[1], &second, Err(Reason::InvalidFrame)),
        (&[4, 0], b"", Err(Reason::InvalidFrame)),
        (&[], b"", Err(Reason::InvalidFrame)),
    ];
    for (way, message, expected) in table {
        assert_eq!(read(&mut decoder, &framed(way, message)), expected, "{way:?}");
    }
    let header = [0, 0, 0, 0, 7, 2, 2];
    let headers = [Header { name: "__value_schema_id", value: &header }];
    let carried = Carried { key: None, headers: &headers };
    assert_eq!(rows_carried(&mut decoder, &second, &carried), row(&with_a));
}

#[test]
fn messages_that_everybody_knows_are_what_they_stand_for() {
    let proto = r#"syntax = "proto3";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/duration.proto";
        import "google/protobuf/wrappers.proto";
        import "google/protobuf/struct.proto";
        message Event {
          google.protobuf.Timestamp ts = 1;
          google.protobuf.Duration took = 2;
          google.protobuf.DoubleValue a = 3;
          google.protobuf.Struct more = 4;
        }"#;
    let message = [
        &[0x0a, 12][..],
        &[0x8, 0xa5, 0xeb, 0xdc, 0xca, 0x6, 0x10, 0x80, 0xeb, 0xa5, 0xc3, 0x2],
        &[0x12, 5, 0x10, 0x80, 0xe5, 0x9a, 0x77],
        &[0x1a, 0],
        &[0x22, 16, 0x0a, 14, 0x0a, 1, b'b', 0x12, 9, 0x11, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
    ]
    .concat();
    let map = "{ts: /ts, latency: /took, features: [{a: /a}, /more]}";
    let mut decoder = reader(map, &text(proto));
    let cells = ["latency_us=250000", "feature:a=0.0", "feature:b=0.5"].map(str::to_owned);
    let value = framed(&[0], &message);
    assert_eq!(read(&mut decoder, &value), Ok(vec![cells.to_vec()]));
    decoder.decode(&Record { value: Some(&value), offset: 1, time_us: None });
    assert_eq!(decoder.last_us() % 1_000_000, 678_000);
}

#[test]
fn files_import_others_and_what_is_none_says_why() {
    let reference = SchemaReference {
        name: "shared/inner.proto".to_owned(),
        text: "syntax = \"proto3\"; package s; message Inner { double a = 1; }".to_owned(),
    };
    let schema = |text: &str, references| SchemaText {
        kind: SchemaKind::Protobuf,
        text: text.to_owned(),
        references,
    };
    let outer = "syntax = \"proto3\"; import \"shared/inner.proto\"; message E { int64 ts = 1; s.Inner in = 2; }";
    let message =
        [0x08, 0xae, 0x9e, 0xa6, 0xe5, 0xb7, 0x33, 0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let map = "{ts: /ts, features: /in}";
    let mut whole = reader(map, &schema(outer, vec![reference]));
    let row = Ok(vec![vec!["feature:a=1.0".to_owned()]]);
    assert_eq!(read(&mut whole, &framed(&[0], &message)), row);
    for cut in 1..message.len() {
        let got = read(&mut whole, &framed(&[0], &message[..cut]));
        assert!(cut == 7 || got == Err(Reason::InvalidRecord), "cut at {cut}: {got:?}");
        assert_eq!(read(&mut whole, &framed(&[0], &message)), row);
    }
    for broken in [outer, "message {", "syntax = \"proto9\";"] {
        let mut decoder = reader(map, &schema(broken, Vec::new()));
        let value = framed(&[0], &message);
        let outcome = decoder.decode(&Record { value: Some(&value), offset: 1, time_us: None });
        let Outcome::Rejected(rejection) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rejection.reason, Reason::UnknownSchema, "{}", rejection.detail);
    }
}
