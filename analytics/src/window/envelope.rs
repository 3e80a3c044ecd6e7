//! The envelope columns of a capture batch, found once per batch.

use arrow::array::{
    Array, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use driftline_config::capture;

use crate::cells::{LatencyCell, RequestCell, StatusClass};

/// The envelope columns that windows and panes read. A column that is not there, or of another
/// type, reads as null.
pub(crate) struct Envelope<'a> {
    time_us: Option<&'a Int64Array>,
    version: Option<&'a StringArray>,
    latency_us: Option<&'a Int64Array>,
    status: Option<&'a Int32Array>,
    sample_rate: Option<&'a Float64Array>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Envelope<'a> {
        let column = |name| batch.column_by_name(name);
        Envelope {
            time_us: column(capture::TIME_US).and_then(|c| c.as_primitive_opt::<Int64Type>()),
            version: column(capture::VERSION).and_then(|c| c.as_string_opt()),
            latency_us: column(capture::LATENCY_US).and_then(|c| c.as_primitive_opt::<Int64Type>()),
            status: column(capture::STATUS).and_then(|c| c.as_primitive_opt::<Int32Type>()),
            sample_rate: column(capture::SAMPLE_RATE)
                .and_then(|c| c.as_primitive_opt::<Float64Type>()),
        }
    }

    /// Counts the rows as requests, and their latencies.
    pub(crate) fn count(
        &self,
        rows: &[u32],
        under_us: Option<i64>,
        requests: &mut RequestCell,
        latency: &mut LatencyCell,
    ) {
        for &row in rows {
            requests.record(self.class(row), self.sample_rate(row));
        }
        if self.latency_us.is_none() {
            return;
        }
        for &row in rows {
            if let Some(latency_us) = self.latency_us(row) {
                latency.record(latency_us, under_us);
            }
        }
    }

    pub(crate) fn time_us(&self, row: u32) -> Option<i64> {
        self.time_us.filter(|times| times.is_valid(row as usize)).map(|t| t.value(row as usize))
    }

    /// Empty where the capture names none.
    pub(crate) fn version(&self, row: u32) -> &'a str {
        self.version
            .filter(|versions| versions.is_valid(row as usize))
            .map_or("", |versions| versions.value(row as usize))
    }

    pub(crate) fn latency_us(&self, row: u32) -> Option<i64> {
        self.latency_us.filter(|l| l.is_valid(row as usize)).map(|l| l.value(row as usize))
    }

    pub(crate) fn class(&self, row: u32) -> StatusClass {
        let status = self.status.filter(|status| status.is_valid(row as usize));
        StatusClass::of(status.map(|status| status.value(row as usize)))
    }

    pub(crate) fn sample_rate(&self, row: u32) -> f64 {
        self.sample_rate
            .filter(|rates| rates.is_valid(row as usize))
            .map_or(1.0, |rates| rates.value(row as usize))
    }
}

/// The value column at `index` of the schema.
pub(crate) fn value_column(batch: &RecordBatch, index: usize) -> Option<&dyn Array> {
    batch.columns().get(capture::ENVELOPE_COLUMNS + index).map(AsRef::as_ref)
}

/// The texts of a subject's values of the wrong type, where the batch has any: among what follows
/// the envelope and the value columns, `columns` of them.
pub(crate) fn text_column<'a>(
    batch: &'a RecordBatch,
    columns: usize,
    subject: &str,
) -> Option<&'a StringArray> {
    let fields = batch.schema_ref().fields().iter();
    let mut extra = fields.zip(batch.columns()).skip(capture::ENVELOPE_COLUMNS + columns);
    let (_, texts) = extra.find(|(field, _)| {
        field.name().strip_prefix(capture::WRONG_TYPE_PREFIX) == Some(subject)
    })?;
    texts.as_string_opt()
}
