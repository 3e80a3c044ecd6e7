//! Rows of a capture batch as the JSON of CONTRACTS §3.

use std::io::Write;

use arrow::array::{Array, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use driftline_config::capture::{
    CaptureSchema, ID, LATENCY_US, SAMPLE_RATE, STATUS, TIME_US, VERSION, WRONG_TYPE_PREFIX,
};
use driftline_config::time::format_instant;
use driftline_ingest::category_of_f64;

use super::column;

/// The rows of one batch, ready to be written.
pub(super) struct Events<'a> {
    rows: usize,
    model: &'a str,
    times_us: Option<Int64Array>,
    ids: Option<StringArray>,
    versions: Option<StringArray>,
    latencies_us: Option<Int64Array>,
    statuses: Option<Int32Array>,
    sample_rates: Option<Float64Array>,
    features: Vec<Values>,
    predictions: Vec<Values>,
}

/// One value column.
struct Values {
    /// The key, as JSON.
    key: String,
    numbers: Option<Float64Array>,
    texts: Option<StringArray>,
    /// Texts that stood where numbers should.
    others: Option<StringArray>,
}

impl<'a> Events<'a> {
    /// The rows of a batch of this schema; `timed` says whether they have event times.
    pub(super) fn new(
        model: &'a str,
        schema: &CaptureSchema,
        batch: &RecordBatch,
        timed: bool,
    ) -> Events<'a> {
        let mut events = Events {
            rows: batch.num_rows(),
            model,
            times_us: column(batch, TIME_US).filter(|_| timed).cloned(),
            ids: column(batch, ID).cloned(),
            versions: column(batch, VERSION).cloned(),
            latencies_us: column(batch, LATENCY_US).cloned(),
            statuses: column(batch, STATUS).cloned(),
            sample_rates: column(batch, SAMPLE_RATE).cloned(),
            features: Vec::new(),
            predictions: Vec::new(),
        };
        for of in &schema.columns {
            let values = Values {
                key: json(of.name()),
                numbers: column(batch, &of.subject).cloned(),
                texts: column(batch, &of.subject).cloned(),
                others: column(batch, &format!("{WRONG_TYPE_PREFIX}{}", of.subject)).cloned(),
            };
            if of.is_prediction() {
                events.predictions.push(values);
            } else {
                events.features.push(values);
            }
        }
        events
    }

    /// How many there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The identifier of a row.
    pub(super) fn id(&self, row: usize) -> Option<&str> {
        text(self.ids.as_ref(), row)
    }

    /// Writes one row; `now_us` is the event time of rows without one.
    pub(super) fn write(&self, row: usize, now_us: i64, out: &mut Vec<u8>) {
        let time_us = self.times_us.as_ref().map_or(now_us, |times_us| times_us.value(row));
        let mut object = Object::begin(out);
        object.put("v", "1");
        object.put("model", &json(self.model));
        object.put("ts", &json(&format_instant(time_us)));
        if let Some(id) = self.id(row) {
            object.put("id", &json(id));
        }
        if let Some(version) = text(self.versions.as_ref(), row) {
            object.put("version", &json(version));
        }
        if let Some(latencies) = self.latencies_us.as_ref().filter(|all| all.is_valid(row)) {
            object.put("latency_us", &latencies.value(row).to_string());
        }
        if let Some(statuses) = self.statuses.as_ref().filter(|all| all.is_valid(row)) {
            object.put("status", &statuses.value(row).to_string());
        }
        let rate = self.sample_rates.as_ref().map_or(1.0, |rates| rates.value(row));
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

impl Values {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let of_number = self.numbers.as_ref().filter(|all| all.is_valid(row));
        let written = match of_number {
            Some(numbers) => number(numbers.value(row)),
            None => {
                let found = text(self.texts.as_ref(), row).or(text(self.others.as_ref(), row));
                found.map_or_else(|| "null".to_owned(), json)
            }
        };
        out.extend_from_slice(written.as_bytes());
    }
}

/// A JSON object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, empty: true }
    }

    /// Writes a key that is JSON already.
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

/// A text as JSON.
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
