//! Rows of a capture batch as the JSON of CONTRACTS §3.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use driftline_capture::{CaptureBatch, CaptureSchema};
use driftline_config::time::format_instant;
use driftline_formats::category_of_f64;

pub(super) struct Events<'a> {
    model: &'a str,
    batch: &'a CaptureBatch,
    /// Whether the rows have event times.
    timed: bool,
    features: Vec<Values<'a>>,
    predictions: Vec<Values<'a>>,
}

struct Values<'a> {
    /// The key, as JSON.
    key: String,
    numbers: Option<&'a Float64Array>,
    texts: Option<&'a StringArray>,
    /// Texts that stood where numbers should.
    others: Option<&'a StringArray>,
}

impl<'a> Events<'a> {
    /// The rows of a batch of this schema; `timed` says whether they have event times.
    pub(super) fn new(
        model: &'a str,
        schema: &CaptureSchema,
        batch: &'a CaptureBatch,
        timed: bool,
    ) -> Events<'a> {
        let (mut features, mut predictions) = (Vec::new(), Vec::new());
        for (column, values) in schema.columns.iter().zip(batch.values()) {
            let values = Values::new(column.name(), values, batch.wrong_type(&column.subject));
            let of_its_kind = if column.is_prediction() { &mut predictions } else { &mut features };
            of_its_kind.push(values);
        }
        Events { model, batch, timed, features, predictions }
    }

    pub(super) fn rows(&self) -> usize {
        self.batch.rows()
    }

    pub(super) fn id(&self, row: usize) -> Option<&str> {
        self.batch.id(row)
    }

    /// Writes one row; `now_us` is the event time of rows without one.
    pub(super) fn write(&self, row: usize, now_us: i64, out: &mut Vec<u8>) {
        let time_us = self.batch.times_us().get(row).filter(|_| self.timed).copied();
        let mut object = Object::begin(out);
        object.put("v", "1");
        object.put("model", &json(self.model));
        object.put("ts", &json(&format_instant(time_us.unwrap_or(now_us))));
        if let Some(id) = self.batch.id(row) {
            object.put("id", &json(id));
        }
        if let Some(version) = self.batch.version(row) {
            object.put("version", &json(version));
        }
        if let Some(latency_us) = self.batch.latency_us(row) {
            object.put("latency_us", &latency_us.to_string());
        }
        if let Some(status) = self.batch.status(row) {
            object.put("status", &status.to_string());
        }
        let rate = self.batch.sample_rates().get(row).copied().unwrap_or(1.0);
        if rate != 1.0 {
            object.put("sample_rate", &number(rate));
        }
        for (name, values) in [("features", &self.features), ("prediction", &self.predictions)] {
            if !values.is_empty() {
                object.key(&json(name));
                let mut inner = Object::begin(object.out);
                for column in values {
                    inner.key(&column.key);
                    column.write(row, inner.out);
                }
                inner.end();
            }
        }
        object.end();
    }
}

impl<'a> Values<'a> {
    fn new(name: &str, values: &'a ArrayRef, others: Option<&'a StringArray>) -> Values<'a> {
        let (numbers, texts) = (values.as_primitive_opt(), values.as_string_opt());
        Values { key: json(name), numbers, texts, others }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let of_number = self.numbers.filter(|all| all.is_valid(row));
        let written = match of_number {
            Some(numbers) => number(numbers.value(row)),
            None => {
                let found = text(self.texts, row).or(text(self.others, row));
                found.map_or_else(|| "null".to_owned(), json)
            }
        };
        out.extend_from_slice(written.as_bytes());
    }
}

struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, empty: true }
    }

    fn key(&mut self, key: &str) {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        // Writing to memory does not fail.
        let _ = write!(self.out, "{key}:");
    }

    /// Writes a key and a value that is JSON already.
    fn put(&mut self, key: &str, value: &str) {
        self.key(&json(key));
        self.out.extend_from_slice(value.as_bytes());
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

fn json(text: &str) -> String {
    // Every text can be written as JSON.
    serde_json::to_string(text).unwrap_or_default()
}

/// A number as Python writes it: the bare tokens of CONTRACTS §3 where JSON has none, whole numbers
/// without a fraction.
fn number(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ if number == 0.0 && number.is_sign_negative() => "-0.0".to_owned(),
        _ => category_of_f64(number).unwrap_or_else(|| number.to_string()),
    }
}
