//! The rows of one model under construction: a row is gathered in slots first, so that a rejected
//! record leaves no trace in the columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use driftline_config::capture::{Kind, WRONG_TYPE_CHARACTERS};

use super::layout::ModelLayout;
use crate::event::Ignored;

/// Rows for which builders have room at first: most models are quiet.
const FIRST_ROWS: usize = 64;

/// A piece of the record's text, or of the scratch text beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) scratch: bool,
}

impl Span {
    pub(crate) fn of<'a>(self, text: &'a str, scratch: &'a str) -> &'a str {
        let whole = if self.scratch { scratch } else { text };
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One value of the row that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Slot {
    Missing,
    Number(f64),
    Text(Span),
    Wrong(Span),
}

/// The row that is being read. Nothing of it is in the columns yet.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) slots: Vec<Slot>,
    /// Subjects that nobody knows, without repetition.
    pub(crate) unknown: Vec<String>,
    /// Text that does not stand in the record as it is needed.
    pub(crate) scratch: String,
    /// What was ignored inside its values.
    pub(crate) ignored: Ignored,
}

impl Row {
    /// Forgets the row and makes room for one of `columns` values.
    pub(crate) fn clear(&mut self, columns: usize) {
        self.slots.clear();
        self.slots.resize(columns, Slot::Missing);
        self.unknown.clear();
        self.scratch.clear();
        self.ignored = Ignored::default();
    }
}

/// The envelope of an accepted row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowEnvelope<'a> {
    pub(crate) offset: i64,
    pub(crate) time_us: i64,
    pub(crate) record_time_us: i64,
    pub(crate) id: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) latency_us: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) sample_rate: f64,
}

/// The columns of one model's batch under construction.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) count: usize,
    /// What the columns take, about.
    pub(crate) bytes: usize,
    offset: Int64Builder,
    time_us: Int64Builder,
    record_time_us: Int64Builder,
    id: StringBuilder,
    version: StringBuilder,
    latency_us: Int64Builder,
    status: Int32Builder,
    sample_rate: Float64Builder,
    values: Vec<Values>,
    wrong: Vec<Vec<(usize, String)>>,
    unknown: Vec<(usize, Vec<String>)>,
}

#[derive(Debug)]
enum Values {
    Numbers(Float64Builder),
    Texts(StringBuilder),
}

impl Rows {
    pub(crate) fn new(layout: &ModelLayout) -> Rows {
        let values = layout
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Numeric => Values::Numbers(Float64Builder::with_capacity(FIRST_ROWS)),
                Kind::Categorical => Values::Texts(texts()),
            })
            .collect();
        Rows {
            count: 0,
            bytes: 0,
            offset: Int64Builder::with_capacity(FIRST_ROWS),
            time_us: Int64Builder::with_capacity(FIRST_ROWS),
            record_time_us: Int64Builder::with_capacity(FIRST_ROWS),
            id: texts(),
            version: texts(),
            latency_us: Int64Builder::with_capacity(FIRST_ROWS),
            status: Int32Builder::with_capacity(FIRST_ROWS),
            sample_rate: Float64Builder::with_capacity(FIRST_ROWS),
            values,
            wrong: vec![Vec::new(); layout.columns.len()],
            unknown: Vec::new(),
        }
    }

    /// Adds a row whose values stand in `row`, spans of which lie in `text`.
    pub(crate) fn push(&mut self, envelope: &RowEnvelope<'_>, row: &mut Row, text: &str) {
        self.offset.append_value(envelope.offset);
        self.time_us.append_value(envelope.time_us);
        self.record_time_us.append_value(envelope.record_time_us);
        self.id.append_option(envelope.id);
        self.version.append_option(envelope.version);
        self.latency_us.append_option(envelope.latency_us);
        self.status.append_option(envelope.status);
        self.sample_rate.append_value(envelope.sample_rate);
        let mut bytes = 64
            + 9 * row.slots.len()
            + envelope.id.map_or(0, str::len)
            + envelope.version.map_or(0, str::len);
        for ((slot, values), wrong) in row.slots.iter().zip(&mut self.values).zip(&mut self.wrong) {
            match (slot, values) {
                (Slot::Number(number), Values::Numbers(numbers)) => numbers.append_value(*number),
                (Slot::Text(span), Values::Texts(texts)) => {
                    let value = span.of(text, &row.scratch);
                    bytes += value.len();
                    texts.append_value(value);
                }
                (slot, values) => {
                    values.append_null();
                    if let Slot::Wrong(span) = slot {
                        let value: String = span
                            .of(text, &row.scratch)
                            .chars()
                            .take(WRONG_TYPE_CHARACTERS)
                            .collect();
                        bytes += 32 + value.len();
                        wrong.push((self.count, value));
                    }
                }
            }
        }
        if !row.unknown.is_empty() {
            bytes += row.unknown.iter().map(|name| 48 + name.len()).sum::<usize>();
            self.unknown.push((self.count, std::mem::take(&mut row.unknown)));
        }
        self.bytes += bytes;
        self.count += 1;
    }

    /// Hands the rows over.
    pub(crate) fn finish(
        mut self,
        layout: &ModelLayout,
        unknown_columns: &Arc<Field>,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.offset.finish()),
            Arc::new(self.time_us.finish()),
            Arc::new(self.record_time_us.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.latency_us.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.sample_rate.finish()),
        ];
        columns.extend(self.values.iter_mut().map(Values::finish));
        let count = self.count;
        let mut schema = Arc::clone(&layout.schema);
        let extra = self.sparse_columns(layout, unknown_columns, count);
        if !extra.is_empty() {
            let mut fields = schema.fields().to_vec();
            for (field, column) in extra {
                fields.push(field);
                columns.push(column);
            }
            schema = Arc::new(Schema::new(fields));
        }
        RecordBatch::try_new(schema, columns)
    }

    /// The columns that only some batches have.
    fn sparse_columns(
        &mut self,
        layout: &ModelLayout,
        unknown_columns: &Arc<Field>,
        count: usize,
    ) -> Vec<(Arc<Field>, ArrayRef)> {
        let mut extra: Vec<(Arc<Field>, ArrayRef)> = Vec::new();
        for (column, wrong) in layout.columns.iter().zip(&mut self.wrong) {
            if wrong.is_empty() {
                continue;
            }
            let mut builder = StringBuilder::new();
            let mut next = wrong.drain(..).peekable();
            for row in 0..count {
                builder.append_option(next.next_if(|(at, _)| *at == row).map(|(_, value)| value));
            }
            extra.push((Arc::clone(&column.wrong_type), Arc::new(builder.finish())));
        }
        if !self.unknown.is_empty() {
            let mut builder = ListBuilder::new(StringBuilder::new());
            let mut next = self.unknown.drain(..).peekable();
            for row in 0..count {
                builder.append_option(
                    next.next_if(|(at, _)| *at == row)
                        .map(|(_, names)| names.into_iter().map(Some)),
                );
            }
            extra.push((Arc::clone(unknown_columns), Arc::new(builder.finish())));
        }
        extra
    }
}

fn texts() -> StringBuilder {
    StringBuilder::with_capacity(FIRST_ROWS, FIRST_ROWS * 8)
}

impl Values {
    fn append_null(&mut self) {
        match self {
            Values::Numbers(numbers) => numbers.append_null(),
            Values::Texts(texts) => texts.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Numbers(numbers) => Arc::new(numbers.finish()),
            Values::Texts(texts) => Arc::new(texts.finish()),
        }
    }
}
