//! A file as the log of one partition: in order of time, numbered, cut into chunks.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, new_null_array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use driftline_config::capture::{CaptureSchema, OFFSET, TIME_US};
use driftline_config::{Limits, Model};
use driftline_ingest::{Chunk, Mark, MarkKind, ModelRows};

use crate::commands::progress::Progress;
use crate::files::{Captures, FileError, Mapping, Table};

/// Rows of a chunk of rows that had to be sorted.
const CHUNK_ROWS: usize = 8192;

/// The rows of a table in order of time.
pub(super) enum Stream {
    /// They stand in order.
    Sorted(Captures),
    /// They had to be read and sorted.
    Held(Held),
}

/// Rows in memory.
pub(super) struct Held {
    batches: Vec<RecordBatch>,
    /// Batch and row, in order of time; rows of one instant as they stood in the file.
    order: Vec<(usize, usize)>,
}

impl Stream {
    /// Looks whether the rows stand in order of time, and sorts them where not.
    pub(super) fn open(
        table: &Table,
        schema: &CaptureSchema,
        mapping: &Mapping,
        limits: &Limits,
        note: &mut dyn FnMut(&str),
    ) -> Result<Stream, FileError> {
        let open = || table.captures(schema, mapping, &limits.into());
        let progress = Progress::of(&format!("looking at {}", table.name()), table.rows());
        if is_sorted(open()?, &progress)? {
            return Ok(Stream::Sorted(open()?));
        }
        progress.end();
        note(&format!("{}: not in order of time: sorting it in memory", table.name()));
        let mut batches = Vec::new();
        for batch in open()? {
            batches.push(batch?);
        }
        let held = Held::new(&batches);
        let held =
            held.map_err(|source| FileError::Arrow { name: table.name().to_owned(), source });
        Ok(Stream::Held(held?))
    }

    /// The chunks of the log.
    pub(super) fn chunks(self) -> Chunks {
        Chunks { stream: self, next: 0, sorted_to: 0 }
    }
}

fn is_sorted(captures: Captures, progress: &Progress) -> Result<bool, FileError> {
    let mut last_us = i64::MIN;
    for batch in captures {
        let batch = batch?;
        progress.add(batch.num_rows() as u64);
        for &time_us in times_us(&batch) {
            if time_us < last_us {
                return Ok(false);
            }
            last_us = time_us;
        }
    }
    Ok(true)
}

fn times_us(batch: &RecordBatch) -> &[i64] {
    let column = batch.column_by_name(TIME_US);
    column.and_then(|column| column.as_primitive_opt::<Int64Type>()).map_or(&[], |a| a.values())
}

impl Held {
    fn new(batches: &[RecordBatch]) -> Result<Held, ArrowError> {
        let batches = alike(batches)?;
        let mut keyed = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            let rows = times_us(batch).iter().enumerate();
            keyed.extend(rows.map(|(row, &time_us)| (time_us, index, row)));
        }
        keyed.sort_unstable();
        let order = keyed.into_iter().map(|(_, batch, row)| (batch, row)).collect();
        Ok(Held { batches, order })
    }

    fn rows(&self, from: usize) -> Option<Result<RecordBatch, ArrowError>> {
        let to = self.order.len().min(from + CHUNK_ROWS);
        let places = self.order.get(from..to).filter(|places| !places.is_empty())?;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, places))
    }
}

/// The batches with the columns that any of them has: some are there only where a row needs them.
fn alike(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for field in batches.iter().flat_map(|batch| batch.schema_ref().fields()) {
        if !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::clone(field));
        }
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let with_all = |batch: &RecordBatch| {
        let column = |field: &Arc<Field>| -> ArrayRef {
            let missing = || new_null_array(field.data_type(), batch.num_rows());
            batch.column_by_name(field.name()).cloned().unwrap_or_else(missing)
        };
        RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect())
    };
    batches.iter().map(with_all).collect()
}

/// The log: chunk after chunk, each beginning where the one before ended.
pub(super) struct Chunks {
    stream: Stream,
    /// The next offset.
    next: i64,
    /// Rows of a sorted table that were given out.
    sorted_to: usize,
}

impl Iterator for Chunks {
    type Item = anyhow::Result<Chunk>;

    fn next(&mut self) -> Option<anyhow::Result<Chunk>> {
        let rows: anyhow::Result<RecordBatch> = match &mut self.stream {
            Stream::Sorted(captures) => captures.next()?.map_err(Into::into),
            Stream::Held(held) => held.rows(self.sorted_to)?.map_err(Into::into),
        };
        Some(rows.and_then(|rows| {
            self.sorted_to += rows.num_rows();
            Ok(self.chunk(rows)?)
        }))
    }
}

impl Chunks {
    /// The end of the log: a heartbeat that is late enough to close every window, also one that
    /// waits for more rows.
    pub(super) fn end(&self, last_us: i64, model: &Model) -> Chunk {
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

    fn chunk(&mut self, rows: RecordBatch) -> Result<Chunk, ArrowError> {
        let from = self.next;
        self.next += i64::try_from(rows.num_rows()).unwrap_or(0);
        let rows = numbered(&rows, from..self.next)?;
        Ok(Chunk {
            from,
            to: self.next,
            records: rows.num_rows() as u64,
            last_record_us: times_us(&rows).last().copied(),
            rows: vec![ModelRows { model: 0, rows }],
            ..Chunk::default()
        })
    }
}

/// The batch with these offsets.
fn numbered(batch: &RecordBatch, offsets: std::ops::Range<i64>) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let place = schema.index_of(OFFSET)?;
    debug_assert_eq!(schema.field(place).data_type(), &DataType::Int64);
    let mut columns = batch.columns().to_vec();
    if let Some(column) = columns.get_mut(place) {
        *column = Arc::new(Int64Array::from_iter_values(offsets));
    }
    RecordBatch::try_new(schema, columns)
}
