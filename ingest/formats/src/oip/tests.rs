//! Tensors in Protobuf: typed and raw contents give the rows that the same tensors give in JSON, and shapes that
//! disagree are rejected.

use driftline_capture::Reason;
use proptest::prelude::*;

use crate::mapped::tests::{decoder, rows_carried};
use crate::{Carried, Header};

const COLUMNS: [&str; 6] =
    ["feature:a", "feature:b!", "feature:m[0]", "feature:m[1]", "feature:flag!", "prediction:p"];
const REQUEST: [Header<'_>; 1] =
    [Header { name: "seldon-infer-type", value: b"proto/inferModelRequest" }];
const RESPONSE: [Header<'_>; 1] =
    [Header { name: "seldon-infer-type", value: b"proto/inferModelResponse" }];

type Rows = Result<Vec<Vec<String>>, Reason>;

/// The values of one tensor.
#[derive(Debug, Clone)]
enum Values {
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Int64(Vec<i64>),
    Int16(Vec<i16>),
    Uint8(Vec<u8>),
    Bool(Vec<bool>),
    Bytes(Vec<String>),
}

#[derive(Debug, Clone)]
struct Tensor {
    name: &'static str,
    shape: Vec<i64>,
    values: Values,
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn sized(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn packed(values: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut out = Vec::new();
    values.for_each(|value| varint(value, &mut out));
    out
}

impl Values {
    fn datatype(&self) -> &'static str {
        match self {
            Values::Fp32(_) => "FP32",
            Values::Fp64(_) => "FP64",
            Values::Int64(_) => "INT64",
            Values::Int16(_) => "INT16",
            Values::Uint8(_) => "UINT8",
            Values::Bool(_) => "BOOL",
            Values::Bytes(_) => "BYTES",
        }
    }

    fn json(&self) -> String {
        match self {
            // As Python writes it: the double that it is.
            Values::Fp32(values) => {
                let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
                format!("{values:?}")
            }
            Values::Fp64(values) => format!("{values:?}"),
            Values::Int64(values) => format!("{values:?}"),
            Values::Int16(values) => format!("{values:?}"),
            Values::Uint8(values) => format!("{values:?}"),
            Values::Bool(values) => format!("{values:?}"),
            Values::Bytes(values) => serde_json::to_string(values).unwrap(),
        }
    }

    fn raw(&self) -> Vec<u8> {
        match self {
            Values::Fp32(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Values::Fp64(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Values::Int64(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Values::Int16(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Values::Uint8(values) => values.clone(),
            Values::Bool(values) => values.iter().map(|it| u8::from(*it)).collect(),
            Values::Bytes(values) => {
                let sized = |text: &String| {
                    let length = (text.len() as u32).to_le_bytes();
                    length.into_iter().chain(text.bytes()).collect::<Vec<u8>>()
                };
                values.iter().flat_map(sized).collect()
            }
        }
    }

    fn contents(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Values::Fp32(_) => sized(6, &self.raw(), &mut out),
            Values::Fp64(_) => sized(7, &self.raw(), &mut out),
            Values::Int64(values) => {
                sized(3, &packed(values.iter().map(|it| *it as u64)), &mut out);
            }
            Values::Int16(values) => {
                sized(2, &packed(values.iter().map(|it| i64::from(*it) as u64)), &mut out);
            }
            // One by one, which is as good.
            Values::Uint8(values) => values.iter().for_each(|it| {
                varint(4 << 3, &mut out);
                varint(u64::from(*it), &mut out);
            }),
            Values::Bool(values) => {
                sized(1, &packed(values.iter().map(|it| u64::from(*it))), &mut out);
            }
            Values::Bytes(values) => {
                values.iter().for_each(|it| sized(8, it.as_bytes(), &mut out));
            }
        }
        out
    }
}

fn json_of(tensors: &[Tensor], key: &str) -> String {
    let tensor = |it: &Tensor| {
        let (datatype, data) = (it.values.datatype(), it.values.json());
        let Tensor { name, shape, .. } = it;
        format!(r#"{{"name":"{name}","shape":{shape:?},"datatype":"{datatype}","data":{data}}}"#)
    };
    let tensors: Vec<String> = tensors.iter().map(tensor).collect();
    format!(r#"{{"id":"i","{key}":[{}]}}"#, tensors.join(","))
}

/// The message; `raw` is the field of its raw contents.
fn message_of(tensors: &[Tensor], raw: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    sized(1, b"model", &mut out);
    sized(3, b"i", &mut out);
    for tensor in tensors {
        let mut inside = Vec::new();
        sized(1, tensor.name.as_bytes(), &mut inside);
        sized(2, tensor.values.datatype().as_bytes(), &mut inside);
        sized(3, &packed(tensor.shape.iter().map(|size| *size as u64)), &mut inside);
        if raw.is_none() {
            sized(5, &tensor.values.contents(), &mut inside);
        }
        sized(5, &inside, &mut out);
    }
    if let Some(number) = raw {
        tensors.iter().for_each(|tensor| sized(number, &tensor.values.raw(), &mut out));
    }
    out
}

fn read(map: &str, value: &[u8], headers: &[Header<'_>]) -> Rows {
    let mut decoder = decoder(map, &COLUMNS);
    let carried = Carried { key: Some(b"i"), headers };
    let first = rows_carried(&mut decoder, value, &carried);
    // The columns of its tensors are known now.
    assert_eq!(rows_carried(&mut decoder, value, &carried), first);
    first
}

fn values(rows: usize, columns: usize) -> impl Strategy<Value = Values> {
    let count = rows * columns;
    prop_oneof![
        prop::collection::vec(any::<f32>().prop_filter("finite", |it| it.is_finite()), count)
            .prop_map(Values::Fp32),
        prop::collection::vec(-1e9..1e9_f64, count).prop_map(Values::Fp64),
        prop::collection::vec(any::<i64>(), count).prop_map(Values::Int64),
        prop::collection::vec(any::<i16>(), count).prop_map(Values::Int16),
        prop::collection::vec(any::<u8>(), count).prop_map(Values::Uint8),
        prop::collection::vec(any::<bool>(), count).prop_map(Values::Bool),
        prop::collection::vec("[a-zä]{0,3}", count).prop_map(Values::Bytes),
    ]
}

fn tensor(rows: usize) -> impl Strategy<Value = Tensor> {
    let names = prop::sample::select(vec!["a", "b", "m", "flag", "new", "p"]);
    (names, 1_usize..3, any::<bool>()).prop_flat_map(move |(name, columns, flat)| {
        let shape = match (columns, flat) {
            (1, true) => vec![rows as i64],
            _ => vec![rows as i64, columns as i64],
        };
        values(rows, columns).prop_map(move |values| Tensor { name, shape: shape.clone(), values })
    })
}

fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
    (1_usize..4).prop_flat_map(|rows| prop::collection::vec(tensor(rows), 1..4))
}

/// What a value of the wrong type was is told in the words of its format.
fn without_texts(rows: Rows) -> Rows {
    crate::avro::tests::without_texts(rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn tensors_give_the_rows_that_they_give_in_json(tensors in tensors(), response in any::<bool>()) {
        let (key, raw, headers) = match response {
            false => ("inputs", 7, &REQUEST),
            true => ("outputs", 6, &RESPONSE),
        };
        let json = json_of(&tensors, key);
        let expected = without_texts(read("format: seldon2", json.as_bytes(), headers));
        for raw in [None, Some(raw)] {
            let message = message_of(&tensors, raw);
            let got = without_texts(read("format: seldon2", &message, headers));
            prop_assert_eq!(&got, &expected, "{:?} {}", raw, json);
            // Behind the frame of a registry, which Seldon writes where it has one.
            let framed: Vec<u8> = [0, 0, 0, 0, 7, 0].into_iter().chain(message).collect();
            prop_assert_eq!(without_texts(read("format: seldon2", &framed, headers)), got);
        }
    }

    #[test]
    fn a_mutated_message_harms_nobody_else(
        tensors in tensors(),
        place in any::<prop::sample::Index>(),
        bits in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let sound = message_of(&tensors, Some(7));
        let mut spoilt = sound.clone();
        let at = place.index(spoilt.len());
        if cut { spoilt.truncate(at) } else { spoilt[at] ^= bits }
        let mut decoder = decoder("format: seldon2", &COLUMNS);
        let carried = Carried { key: Some(b"i"), headers: &REQUEST };
        let expected = rows_carried(&mut decoder, &sound, &carried);
        let _ = rows_carried(&mut decoder, &spoilt, &carried);
        prop_assert_eq!(rows_carried(&mut decoder, &sound, &carried), expected);
    }
}

fn fp32(name: &'static str, shape: &[i64], values: &[f32]) -> Tensor {
    Tensor { name, shape: shape.to_vec(), values: Values::Fp32(values.to_vec()) }
}

#[test]
fn sides_are_told_by_their_contents_where_nothing_else_tells() {
    let tensors = [fp32("p", &[1], &[0.5])];
    let map = "format: oip";
    let request = read(map, &message_of(&tensors, Some(7)), &[]);
    let response = read(map, &message_of(&tensors, Some(6)), &[]);
    let row = |cells: &[&str]| Ok(vec![cells.iter().map(|cell| (*cell).to_owned()).collect()]);
    assert_eq!(request, row(&["id=i", "unknown_columns=feature:p"]));
    assert_eq!(response, row(&["id=i", "prediction:p=0.5"]));
    // Typed contents are the same in both.
    assert_eq!(read(map, &message_of(&tensors, None), &[]), Err(Reason::InvalidBody));
}

#[test]
fn shapes_names_and_lengths_that_disagree_are_told() {
    let whole = [fp32("a", &[2], &[1.0, 2.0]), fp32("m", &[2, 2], &[3.0, 4.0, 5.0, 6.0])];
    let rows = read("format: seldon2", &message_of(&whole, Some(7)), &REQUEST);
    let expected = [
        ["id=i#0", "feature:a=1.0", "feature:m[0]=3.0", "feature:m[1]=4.0"],
        ["id=i#1", "feature:a=2.0", "feature:m[0]=5.0", "feature:m[1]=6.0"],
    ];
    let expected = expected.map(|row| row.map(str::to_owned).to_vec()).to_vec();
    assert_eq!(rows, Ok(expected));
    let table: [(&[Tensor], Reason); 6] = [
        (&[fp32("a", &[3], &[1.0, 2.0])], Reason::WrongShape),
        (&[fp32("a", &[2, 0], &[1.0])], Reason::WrongShape),
        (&[fp32("a", &[-1], &[1.0])], Reason::WrongShape),
        (&[fp32("a", &[i64::MAX, i64::MAX], &[1.0])], Reason::WrongShape),
        (&[fp32("a", &[2], &[1.0, 2.0]), fp32("m", &[1], &[1.0])], Reason::WrongShape),
        (&[fp32("", &[1], &[1.0])], Reason::WrongShape),
    ];
    for (tensors, reason) in table {
        for raw in [None, Some(7)] {
            let got = read("format: seldon2", &message_of(tensors, raw), &REQUEST);
            assert_eq!(got, Err(reason), "{tensors:?} {raw:?}");
        }
    }
    // One raw contents too few.
    let mut message = message_of(&whole, Some(7));
    message.truncate(message.len() - 18);
    assert_eq!(read("format: seldon2", &message, &REQUEST), Err(Reason::WrongShape));
    let names = "format: seldon2, map: {features: {names: [a, b]}}";
    let got = read(names, &message_of(&whole, Some(7)), &REQUEST);
    assert_eq!(got, Err(Reason::WrongShape), "three columns, and two names");
}

#[test]
fn half_precision_has_raw_contents_alone() {
    let mut inside = Vec::new();
    sized(1, b"a", &mut inside);
    sized(2, b"FP16", &mut inside);
    sized(3, &packed([3].into_iter()), &mut inside);
    let mut message = Vec::new();
    sized(5, &inside, &mut message);
    sized(7, &[0x00, 0x3c, 0x01, 0x00, 0x66, 0xae], &mut message);
    let rows = read("format: seldon2", &message, &REQUEST).unwrap();
    let cells: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let expected =
        ["feature:a=1.0", "feature:a=5.960464477539063e-8", "feature:a=-0.0999755859375"];
    assert_eq!(cells, expected);
}
