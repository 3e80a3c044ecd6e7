//! The decoder against arrow-json: what is read here is read there, with the same values to the bit.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Schema};
use arrow_json::ReaderBuilder;
use proptest::prelude::*;

use super::oracle::plain_record;
use super::*;

/// The value columns of [`flights`] that both sides fill, as arrow-json nests them.
const NUMBERS: [(&str, &str); 3] =
    [("features", "delay"), ("features", "fare"), ("prediction", "value")];
const TEXT: (&str, &str) = ("features", "carrier");

fn field(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

/// What arrow-json makes of a text, where it takes it for one record.
fn theirs(text: &str) -> Option<RecordBatch> {
    let number = |name| field(name, DataType::Float64);
    let features =
        Fields::from(vec![number("delay"), number("fare"), field("carrier", DataType::Utf8)]);
    let prediction = Fields::from(vec![number("value")]);
    let schema = Schema::new(vec![
        field("features", DataType::Struct(features)),
        field("prediction", DataType::Struct(prediction)),
    ]);
    let mut decoder = ReaderBuilder::new(Arc::new(schema)).build_decoder().unwrap();
    decoder.decode(text.as_bytes()).ok()?;
    decoder.flush().ok()?.filter(|batch| batch.num_rows() == 1)
}

fn nested<'a>(batch: &'a RecordBatch, part: &str, name: &str) -> (&'a StructArray, &'a dyn Array) {
    let part = batch.column_by_name(part).unwrap().as_struct();
    (part, part.column_by_name(name).unwrap().as_ref())
}

/// The values of both sides, each as its bits or its text; `None` is missing.
fn same_values(ours: &CaptureBatch, theirs: &RecordBatch) -> Result<(), TestCaseError> {
    for (part, name) in NUMBERS {
        let subject = format!("{}:{name}", part.trim_end_matches('s'));
        let column =
            ours.record_batch().column_by_name(&subject).unwrap().as_primitive::<Float64Type>();
        let own = column.is_valid(0).then(|| column.value(0).to_bits());
        let (parent, column) = nested(theirs, part, name);
        let column = column.as_primitive::<Float64Type>();
        let valid = parent.is_valid(0) && column.is_valid(0);
        prop_assert_eq!(own, valid.then(|| column.value(0).to_bits()), "{}", subject);
    }
    let column = ours.record_batch().column_by_name("feature:carrier").unwrap().as_string::<i32>();
    let own = column.is_valid(0).then(|| column.value(0));
    let (parent, column) = nested(theirs, TEXT.0, TEXT.1);
    let column = column.as_string::<i32>();
    let valid = parent.is_valid(0) && column.is_valid(0);
    prop_assert_eq!(own, valid.then(|| column.value(0)));
    Ok(())
}

/// Our row of a text; `None` where there is none, or where a value does not fit its column, of which
/// arrow-json would make an error.
fn ours(text: &str) -> Option<CaptureBatch> {
    let mut decoder = Decoder::new(&[flights()], &RecordLimits::default());
    let outcome = decode(&mut decoder, text.as_bytes());
    let rows = decoder.take().unwrap().rows;
    let batch = matches!(outcome, Outcome::Row(_)).then(|| rows[0].rows.clone())?;
    let schema = batch.record_batch().schema();
    let fits = !schema.fields().iter().any(|field| field.name().starts_with("wrong_type:"));
    fits.then_some(batch)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn plain_records_give_what_arrow_json_gives(text in plain_record()) {
        same_values(&ours(&text).unwrap(), &theirs(&text).unwrap())?;
    }

    /// arrow-json takes more than JSON: numbers that begin with zeros, several values in one text.
    /// Nothing that is read here may be anything else there.
    #[test]
    fn mutated_records_that_are_read_are_read_alike(
        text in plain_record(),
        at in any::<prop::sample::Index>(),
        change in prop::sample::select(vec!["", "0", "-", ".", "e", " ", ",", "}", "\"", "9", "\\u00e4", "\\", "{", ":", "n", "é"]),
        insert in any::<bool>(),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        characters.splice(at..at + usize::from(!insert), change.chars());
        let text: String = characters.into_iter().collect();
        let Some(own) = ours(&text) else { return Ok(()) };
        let other = theirs(&text);
        prop_assert!(other.is_some(), "arrow-json does not read {}", text);
        same_values(&own, &other.unwrap())?;
    }
}
