//! The envelope columns of a capture batch, found once per batch.

use arrow::array::{
    Array, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use driftline_config::capture;

use crate::cells::{Chosen, LatencyCell, RequestCell, StatusClass};

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
        match self.same_class(rows) {
            Some(class) => requests.record_whole(class, rows.len() as u64),
            None => {
                for &row in rows {
                    requests.record(self.class(row), self.sample_rate(row));
                }
            }
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

    /// The class of all rows, where they are a run of one status, each standing for itself; most often
    /// they are. `None` where it takes a look at each to tell.
    fn same_class(&self, rows: &[u32]) -> Option<StatusClass> {
        let rows = Chosen::new(rows);
        if let Some(rates) = self.sample_rate {
            let rates = rates.values().get(rows.run(rates.len())?)?;
            // Where a rate is null, whatever stands there leads to a look at each.
            if rates.iter().fold(false, |any, &rate| any | (rate < 1.0)) {
                return None;
            }
        }
        let Some(status) = self.status else { return Some(StatusClass::None) };
        let run = rows.run(status.len())?;
        if status.null_count() > 0 {
            let all = status.null_count() == status.len();
            return all.then_some(StatusClass::None);
        }
        let (first, others) = status.values().get(run)?.split_first()?;
        let same = others.iter().fold(true, |same, status| same & (status == first));
        same.then(|| StatusClass::of(Some(*first)))
    }

    /// The version of all rows, where they are a run of one; `None` where it takes a look at each.
    pub(crate) fn same_version(&self, rows: &[u32]) -> Option<&'a str> {
        let Some(versions) = self.version else { return Some("") };
        let run = Chosen::new(rows).run(versions.len())?;
        if versions.null_count() > 0 {
            return (versions.null_count() == versions.len()).then_some("");
        }
        let offsets = versions.value_offsets().get(run.start..=run.end)?;
        let (&from, &to) = (offsets.first()?, offsets.last()?);
        let length = offsets.get(1)? - from;
        let even = offsets.iter().zip(0..).fold(true, |even, (&offset, index)| {
            even & (offset.wrapping_sub(from) == length.wrapping_mul(index))
        });
        let bytes = versions.value_data().get(from as usize..to as usize)?;
        // Equal to themselves moved by one text, all are the first.
        let moved = bytes.get(length as usize..)?;
        let same = even && bytes.get(..moved.len()).is_some_and(|bytes| bytes == moved);
        same.then(|| versions.value(run.start))
    }

    /// The rows that did not fail.
    pub(crate) fn without_failure(&self, rows: &[u32]) -> Vec<u32> {
        match self.same_class(rows) {
            Some(class) if class.is_failure() => Vec::new(),
            Some(_) => rows.to_vec(),
            None => rows.iter().copied().filter(|&row| !self.class(row).is_failure()).collect(),
        }
    }

    /// First and last event time of rows.
    pub(crate) fn span_us(&self, rows: &[u32]) -> Option<(i64, i64)> {
        let times = rows.iter().filter_map(|&row| self.time_us(row));
        times.fold(None, |span, time_us| {
            let (first, last) = span.unwrap_or((time_us, time_us));
            Some((first.min(time_us), last.max(time_us)))
        })
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
