//! The rows of one model under construction: a row is gathered in slots first, so that a rejected
//! record leaves no trace in the columns.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder as _, ArrayRef, ListBuilder, NullBufferBuilder, PrimitiveArray, StringBuilder,
};
use arrow::datatypes::{ArrowPrimitiveType, Field, Float64Type, Int32Type, Int64Type, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use driftline_capture::columns::{Kind, WRONG_TYPE_CHARACTERS};
use driftline_capture::{CaptureBatch, Ignored};

use super::layout::ModelLayout;
use super::values::Part;

/// Rows for which builders have room at first: most models are quiet.
const FIRST_ROWS: usize = 16;
/// Bytes of text, and unknown keys, for which a row keeps room: plenty for a sound record, while a
/// poisoned one needs megabytes, which every partition would then keep.
const KEPT_TEXT: usize = 16 * 1024;
const KEPT_KEYS: usize = 1024;

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

/// A key of the row that is being read which nobody knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnknownKey {
    pub(crate) part: Part,
    /// As it is listed: cut where it is too long.
    pub(crate) name: Span,
    pub(crate) is_null: bool,
}

/// The row that is being read. Nothing of it is in the columns yet.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) slots: Vec<Slot>,
    /// Keys that nobody knows, in the order in which they stand, repetitions too.
    pub(crate) unknown: Vec<UnknownKey>,
    /// Text that does not stand in the record as it is needed.
    pub(crate) scratch: String,
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

    /// Gives back what one record needed and others do not. Spans of the row have no meaning any more.
    pub(crate) fn shrink(&mut self) {
        self.unknown.clear();
        self.unknown.shrink_to(KEPT_KEYS);
        self.scratch.clear();
        self.scratch.shrink_to(KEPT_TEXT);
    }

    /// Bytes for which it has room beside its values.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.unknown.capacity() * size_of::<UnknownKey>() + self.scratch.capacity()
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
    offset: Numbers<Int64Type>,
    time_us: Numbers<Int64Type>,
    record_time_us: Numbers<Int64Type>,
    id: StringBuilder,
    version: StringBuilder,
    latency_us: Numbers<Int64Type>,
    status: Numbers<Int32Type>,
    sample_rate: Numbers<Float64Type>,
    values: Vec<Values>,
    wrong: Vec<Vec<(usize, String)>>,
    /// Subjects that nobody knows; reaches as far as the last row that has any.
    unknown: Option<ListBuilder<StringBuilder>>,
}

/// A column of numbers. Which are there is written down only once one is missing: in most columns
/// none ever is.
#[derive(Debug)]
struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    /// Reaches as far as the last missing value.
    present: NullBufferBuilder,
}

#[derive(Debug)]
enum Values {
    Numbers(Numbers<Float64Type>),
    Texts(StringBuilder),
}

impl Rows {
    /// Columns with room for about as many rows as the last batch had.
    pub(crate) fn new(layout: &ModelLayout, last_count: usize) -> Rows {
        let room = last_count.max(FIRST_ROWS);
        let values = layout
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Numeric => Values::Numbers(Numbers::new(room)),
                Kind::Categorical => Values::Texts(texts(room)),
            })
            .collect();
        Rows {
            count: 0,
            bytes: 0,
            offset: Numbers::new(room),
            time_us: Numbers::new(room),
            record_time_us: Numbers::new(room),
            id: texts(room),
            version: texts(room),
            latency_us: Numbers::new(room),
            status: Numbers::new(room),
            sample_rate: Numbers::new(room),
            values,
            wrong: vec![Vec::new(); layout.columns.len()],
            unknown: None,
        }
    }

    /// Adds a row whose values stand in `row`, spans of which lie in `text`.
    pub(crate) fn push(&mut self, envelope: &RowEnvelope<'_>, row: &mut Row, text: &str) {
        self.offset.push(envelope.offset);
        self.time_us.push(envelope.time_us);
        self.record_time_us.push(envelope.record_time_us);
        self.id.append_option(envelope.id);
        self.version.append_option(envelope.version);
        self.latency_us.push_option(envelope.latency_us);
        self.status.push_option(envelope.status);
        self.sample_rate.push(envelope.sample_rate);
        let mut bytes = 64
            + 9 * row.slots.len()
            + envelope.id.map_or(0, str::len)
            + envelope.version.map_or(0, str::len);
        for ((slot, values), wrong) in row.slots.iter().zip(&mut self.values).zip(&mut self.wrong) {
            match (slot, values) {
                (Slot::Number(number), Values::Numbers(numbers)) => numbers.push(*number),
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
            bytes += self.push_unknown(row, text);
        }
        self.bytes += bytes;
        self.count += 1;
    }

    /// Lists each column of the row that nobody knows once, and says what that takes. Null is missing,
    /// and a column that is missing is not there, also where it was there before: the last of two
    /// values counts.
    fn push_unknown(&mut self, row: &mut Row, text: &str) -> usize {
        let Row { unknown, scratch, .. } = row;
        let subject = |key: &UnknownKey| (key.part, key.name.of(text, scratch));
        // Keys of one name stay in their order.
        unknown.sort_by(|left, right| subject(left).cmp(&subject(right)));
        let named = unknown.chunk_by(|left, right| subject(left) == subject(right));
        let present = named.filter_map(<[_]>::last).filter(|last| !last.is_null);
        let mut bytes = 0;
        for key in present {
            let lists = self.unknown.get_or_insert_with(|| ListBuilder::new(StringBuilder::new()));
            pad(lists, self.count);
            let (part, name) = subject(key);
            let names = lists.values();
            // Writing into memory does not fail.
            let _ = names.write_str(part.prefix());
            names.append_value(name);
            bytes += 8 + part.prefix().len() + name.len();
        }
        if let Some(lists) = &mut self.unknown
            && bytes > 0
        {
            lists.append(true);
        }
        bytes
    }

    pub(crate) fn finish(
        mut self,
        layout: &ModelLayout,
        unknown_columns: &Arc<Field>,
    ) -> Result<CaptureBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            self.offset.finish(),
            self.time_us.finish(),
            self.record_time_us.finish(),
            Arc::new(self.id.finish()),
            Arc::new(self.version.finish()),
            self.latency_us.finish(),
            self.status.finish(),
            self.sample_rate.finish(),
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
        Ok(CaptureBatch::new(RecordBatch::try_new(schema, columns)?)?)
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
        if let Some(mut lists) = self.unknown.take() {
            pad(&mut lists, count);
            extra.push((Arc::clone(unknown_columns), Arc::new(lists.finish())));
        }
        extra
    }
}

/// Lists nothing for the rows before `row` that have no list yet.
fn pad(lists: &mut ListBuilder<StringBuilder>, row: usize) {
    for _ in lists.len()..row {
        lists.append(false);
    }
}

fn texts(rows: usize) -> StringBuilder {
    StringBuilder::with_capacity(rows, rows * 8)
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    fn new(room: usize) -> Numbers<T> {
        Numbers { values: Vec::with_capacity(room), present: NullBufferBuilder::new(room) }
    }

    #[inline]
    fn push(&mut self, value: T::Native) {
        self.values.push(value);
    }

    fn push_missing(&mut self) {
        self.present.append_n_non_nulls(self.values.len() - self.present.len());
        self.present.append_null();
        self.values.push(T::Native::default());
    }

    #[inline]
    fn push_option(&mut self, value: Option<T::Native>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_missing(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        self.present.append_n_non_nulls(self.values.len() - self.present.len());
        let values = std::mem::take(&mut self.values);
        Arc::new(PrimitiveArray::<T>::new(values.into(), self.present.finish()))
    }
}

impl Values {
    fn append_null(&mut self) {
        match self {
            Values::Numbers(numbers) => numbers.push_missing(),
            Values::Texts(texts) => texts.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Numbers(numbers) => numbers.finish(),
            Values::Texts(texts) => Arc::new(texts.finish()),
        }
    }
}
