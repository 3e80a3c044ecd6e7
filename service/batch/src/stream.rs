//! A file as the log of one partition: in order of time, numbered, cut into chunks.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use driftline_config::Model;
use driftline_config::time::SECOND_US;
use driftline_files::{Captures, FileError};
use driftline_pipeline::capture::columns::OFFSET;
use driftline_pipeline::capture::{CaptureBatch, CaptureSchema, Chunk, Mark, MarkKind, ModelRows};

use crate::{Audience, BatchError, FileRows};

/// Rows of a chunk of rows that had to be sorted.
const CHUNK_ROWS: usize = 8192;
/// Heartbeats that pass a window wherever clocks disagree, and the time between two: more would be a gap.
pub(crate) const CLOSING_BEATS: i64 = 96;
const CLOSING_STEP_US: i64 = 30 * SECOND_US;

/// The rows of a table in order of time.
pub(crate) struct Stream {
    /// What errors call it.
    name: String,
    rows: InOrder,
}

enum InOrder {
    Sorted(Captures),
    /// They had to be read and sorted.
    Held(Held),
}

struct Held {
    batches: Vec<RecordBatch>,
    /// Batch and row, in order of time; rows of one instant as they stood in the file.
    order: Vec<(usize, usize)>,
}

impl Stream {
    /// Looks whether the rows stand in order of time, and sorts them where not.
    pub(crate) fn open(
        rows: &FileRows,
        schema: &CaptureSchema,
        audience: &mut Audience<'_>,
    ) -> Result<Stream, BatchError> {
        let table = &rows.table;
        let open = || table.captures(schema, &rows.mapping, &rows.limits);
        let what = format!("looking at {}", table.name());
        let mut captures = open()?;
        let sorted =
            audience.watch(&what, table.rows(), |passed| is_sorted(&mut captures, passed))?;
        rows.tell(captures.notes(), audience);
        let name = table.name().to_owned();
        if sorted {
            return Ok(Stream { name, rows: InOrder::Sorted(open()?) });
        }
        audience.note(&format!("{name}: not in order of time: sorting it in memory"));
        let batches = open()?.collect::<Result<Vec<CaptureBatch>, FileError>>()?;
        Stream::sort(name, &batches)
    }

    fn sort(name: String, batches: &[CaptureBatch]) -> Result<Stream, BatchError> {
        match Held::new(batches) {
            Ok(held) => Ok(Stream { name, rows: InOrder::Held(held) }),
            Err(source) => Err(BatchError::Order { name, source }),
        }
    }

    pub(crate) fn chunks(self) -> Chunks {
        Chunks { stream: self, next: 0, given: 0 }
    }

    /// The next rows, where `given` were given out.
    fn next(&mut self, given: usize) -> Option<Result<RecordBatch, BatchError>> {
        match &mut self.rows {
            InOrder::Sorted(captures) => {
                let batch = captures.next()?.map_err(BatchError::from);
                Some(batch.map(|batch| batch.record_batch().clone()))
            }
            InOrder::Held(held) => {
                let rows = held.rows(given)?;
                Some(rows.map_err(|source| self.refused(source)))
            }
        }
    }

    fn refused(&self, source: ArrowError) -> BatchError {
        BatchError::Order { name: self.name.clone(), source }
    }
}

fn is_sorted(captures: &mut Captures, passed: &dyn Fn(u64)) -> Result<bool, FileError> {
    let mut last_us = i64::MIN;
    for batch in captures {
        let batch = batch?;
        passed(batch.rows() as u64);
        for &time_us in batch.times_us() {
            if time_us < last_us {
                return Ok(false);
            }
            last_us = time_us;
        }
    }
    Ok(true)
}

impl Held {
    fn new(batches: &[CaptureBatch]) -> Result<Held, ArrowError> {
        let mut keyed = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            let rows = batch.times_us().iter().enumerate();
            keyed.extend(rows.map(|(row, &time_us)| (time_us, index, row)));
        }
        keyed.sort_unstable();
        let order = keyed.into_iter().map(|(_, batch, row)| (batch, row)).collect();
        Ok(Held { batches: alike(batches)?, order })
    }

    fn rows(&self, from: usize) -> Option<Result<RecordBatch, ArrowError>> {
        let to = self.order.len().min(from + CHUNK_ROWS);
        let places = self.order.get(from..to).filter(|places| !places.is_empty())?;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, places))
    }
}

/// The batches with the columns that any of them has: some are there only where a row needs them, and
/// rows of several batches are to stand in one.
fn alike(batches: &[CaptureBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for field in batches.iter().flat_map(|batch| batch.record_batch().schema_ref().fields()) {
        if !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::clone(field));
        }
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let with_all = |batch: &CaptureBatch| {
        let column = |field: &Arc<Field>| -> ArrayRef {
            let missing = || new_null_array(field.data_type(), batch.rows());
            let column = batch.record_batch().column_by_name(field.name());
            column.cloned().unwrap_or_else(missing)
        };
        RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect())
    };
    batches.iter().map(with_all).collect()
}

/// The log: chunk after chunk, each beginning where the one before ended.
pub(crate) struct Chunks {
    stream: Stream,
    next: i64,
    given: usize,
}

impl Iterator for Chunks {
    type Item = Result<Chunk, BatchError>;

    fn next(&mut self) -> Option<Result<Chunk, BatchError>> {
        let rows = self.stream.next(self.given)?;
        Some(rows.and_then(|rows| {
            self.given += rows.num_rows();
            self.chunk(&rows).map_err(|source| self.stream.refused(source))
        }))
    }
}

impl Chunks {
    /// The end of the log: heartbeats that are late enough to close every window, also one that
    /// waits for more rows, and as many as must agree where clocks do not (RULES §1).
    pub(crate) fn end(&self, last_us: i64, model: &Model) -> Chunk {
        let window = &model.window;
        let panes = &model.operations;
        let reach_us = [
            window.every_us.max(window.at_most_us),
            window.every_us,
            window.lateness_us,
            panes.every_us,
            panes.lateness_us,
        ];
        let from_us = reach_us.into_iter().fold(last_us, i64::saturating_add);
        let mark = |nth: i64| {
            let time_us = from_us.saturating_add(nth * CLOSING_STEP_US);
            let kind = MarkKind::Heartbeat { model: None, time_us, record_time_us: time_us };
            Mark { offset: self.next + nth, record_time_us: Some(time_us), kind }
        };
        let marks: Vec<Mark> = (0..CLOSING_BEATS).map(mark).collect();
        Chunk {
            from: self.next,
            to: self.next + CLOSING_BEATS,
            records: CLOSING_BEATS.unsigned_abs(),
            last_record_us: marks.last().and_then(|mark| mark.record_time_us),
            marks,
            ..Chunk::default()
        }
    }

    fn chunk(&mut self, rows: &RecordBatch) -> Result<Chunk, ArrowError> {
        let from = self.next;
        self.next += i64::try_from(rows.num_rows()).unwrap_or(0);
        let rows = numbered(rows, from..self.next)?;
        Ok(Chunk {
            from,
            to: self.next,
            records: rows.rows() as u64,
            last_record_us: rows.times_us().last().copied(),
            rows: vec![ModelRows { model: 0, rows }],
            ..Chunk::default()
        })
    }
}

fn numbered(batch: &RecordBatch, offsets: Range<i64>) -> Result<CaptureBatch, ArrowError> {
    let place = batch.schema_ref().index_of(OFFSET)?;
    let mut columns = batch.columns().to_vec();
    if let Some(column) = columns.get_mut(place) {
        *column = Arc::new(Int64Array::from_iter_values(offsets));
    }
    Ok(CaptureBatch::new(RecordBatch::try_new(batch.schema(), columns)?)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, StringArray};
    use driftline_pipeline::capture::columns::{
        ID, LATENCY_US, RECORD_TIME_US, SAMPLE_RATE, STATUS, TIME_US, VERSION,
    };

    use super::*;

    /// A row with a column of these values.
    fn capture(x: ArrayRef) -> CaptureBatch {
        let number = || Arc::new(Int64Array::from(vec![0])) as ArrayRef;
        let text = || Arc::new(StringArray::new_null(1)) as ArrayRef;
        let columns = [
            (OFFSET, number()),
            (TIME_US, number()),
            (RECORD_TIME_US, number()),
            (ID, text()),
            (VERSION, text()),
            (LATENCY_US, number()),
            (STATUS, Arc::new(Int32Array::from(vec![200]))),
            (SAMPLE_RATE, Arc::new(Float64Array::from(vec![1.0]))),
            ("feature:x", x),
        ];
        CaptureBatch::new(RecordBatch::try_from_iter(columns).unwrap()).unwrap()
    }

    /// What Arrow said of columns stood alone: of which of many files, nobody knew.
    #[test]
    fn an_error_of_sorting_names_the_file() {
        let numbers = capture(Arc::new(Float64Array::from(vec![0.5])));
        let texts = capture(Arc::new(StringArray::from(vec!["a"])));
        let two = |batches: &[CaptureBatch]| Stream::sort("rows.parquet".to_owned(), batches);
        let error = two(&[numbers.clone(), texts]).err().unwrap().to_string();
        let expected = "rows.parquet: its rows cannot be put in order of time: ";
        assert!(error.starts_with(expected) && error.contains("found Utf8"), "{error}");
        let mut chunks = two(&[numbers.clone(), numbers]).unwrap().chunks();
        assert_eq!(chunks.next().unwrap().unwrap().records, 2);
        assert!(chunks.next().is_none());
    }
}
