//! A file as the log of one partition: in order of time, numbered, cut into chunks.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use driftline_config::Model;
use driftline_files::{Captures, FileError};
use driftline_pipeline::capture::columns::OFFSET;
use driftline_pipeline::capture::{CaptureBatch, CaptureSchema, Chunk, Mark, MarkKind, ModelRows};

use crate::{Audience, BatchError, FileRows};

/// Rows of a chunk of rows that had to be sorted.
const CHUNK_ROWS: usize = 8192;

/// The rows of a table in order of time.
pub(crate) enum Stream {
    Sorted(Captures),
    /// They had to be read and sorted.
    Held(Held),
}

pub(crate) struct Held {
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
        if sorted {
            return Ok(Stream::Sorted(open()?));
        }
        audience.note(&format!("{}: not in order of time: sorting it in memory", table.name()));
        let batches = open()?.collect::<Result<Vec<CaptureBatch>, FileError>>()?;
        Ok(Stream::Held(Held::new(&batches)?))
    }

    pub(crate) fn chunks(self) -> Chunks {
        Chunks { stream: self, next: 0, given: 0 }
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
        let rows: Result<RecordBatch, BatchError> = match &mut self.stream {
            Stream::Sorted(captures) => {
                let batch = captures.next()?.map_err(BatchError::from);
                batch.map(|batch| batch.record_batch().clone())
            }
            Stream::Held(held) => held.rows(self.given)?.map_err(BatchError::from),
        };
        Some(rows.and_then(|rows| {
            self.given += rows.num_rows();
            Ok(self.chunk(&rows)?)
        }))
    }
}

impl Chunks {
    /// The end of the log: a heartbeat that is late enough to close every window, also one that
    /// waits for more rows.
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
        let time_us = reach_us.into_iter().fold(last_us, i64::saturating_add);
        let kind = MarkKind::Heartbeat { model: None, time_us, record_time_us: time_us };
        let mark = Mark { offset: self.next, record_time_us: Some(time_us), kind };
        Chunk {
            from: self.next,
            to: self.next + 1,
            records: 1,
            marks: vec![mark],
            last_record_us: Some(time_us),
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
