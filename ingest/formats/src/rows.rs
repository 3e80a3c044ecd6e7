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

use crate::layout::{ModelLayout, Part};

/// Rows for which builders have room at first: most models are quiet.
const FIRST_ROWS: usize = 16;
/// Bytes of text, and unknown keys, for which a row keeps room: plenty for a sound record, while a
/// poisoned one needs megabytes, which every partition would then keep.
const KEPT_TEXT: usize = 16 * 1024;
const KEPT_KEYS: usize = 1024;
const KEPT_SLOTS: usize = 4096;
/// Values of all rows of one record: a megabyte of text can name half a million rows, and each takes all
/// columns.
pub(crate) const MOST_VALUES: usize = 1 << 20;

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
    /// Which of the record's rows it is of; 0 where the record is one row.
    pub(crate) row: u32,
    pub(crate) part: Part,
    /// As it is listed: cut where it is too long.
    pub(crate) name: Span,
    pub(crate) is_null: bool,
}

/// The rows of the record that is being read: mostly one. Nothing of them is in the columns yet.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Of a record of several rows: what belongs to all of them, then row after row.
    pub(crate) slots: Vec<Slot>,
    /// Slots of one row.
    width: usize,
    /// Where the slots of the row begin that is being read.
    base: usize,
    /// Its number; rows without columns have one, too.
    number: u32,
    /// Keys that nobody knows, in the order in which they stand, repetitions too.
    pub(crate) unknown: Vec<UnknownKey>,
    /// Text that does not stand in the record as it is needed.
    pub(crate) scratch: String,
    pub(crate) ignored: Ignored,
}

impl Row {
    /// Forgets the row and makes room for one of `columns` values.
    pub(crate) fn clear(&mut self, columns: usize) {
        self.width = columns;
        self.clear_values(columns);
        self.scratch.clear();
        self.ignored = Ignored::default();
    }

    /// Keeps a text that does not stand in the record as it is needed.
    pub(crate) fn keep(&mut self, text: &str) -> Span {
        let start = u32::try_from(self.scratch.len()).unwrap_or(u32::MAX);
        self.scratch.push_str(text);
        Span { start, end: u32::try_from(self.scratch.len()).unwrap_or(u32::MAX), scratch: true }
    }

    /// The slot of a column in the row that is being read.
    #[inline]
    pub(crate) fn slot(&mut self, column: u32) -> Option<&mut Slot> {
        self.slots.get_mut(self.base + column as usize)
    }

    /// The number of the row that is being read.
    pub(crate) fn current(&self) -> u32 {
        self.number
    }

    /// Goes to a row, 0 for what belongs to all of them, and makes it where it is not there; `false` where
    /// the record would hold more values than [`MOST_VALUES`].
    pub(crate) fn go_to(&mut self, row: usize) -> bool {
        let base = row.saturating_mul(self.width);
        let end = base.saturating_add(self.width);
        if end > MOST_VALUES || row > MOST_VALUES {
            return false;
        }
        if end > self.slots.len() {
            self.slots.resize(end, Slot::Missing);
        }
        self.base = base;
        self.number = u32::try_from(row).unwrap_or(u32::MAX);
        true
    }

    /// Forgets the values and the keys of a request that failed.
    pub(crate) fn forget_values(&mut self) {
        let width = self.width;
        self.clear_values(width);
        self.ignored = Ignored::default();
    }

    fn clear_values(&mut self, width: usize) {
        self.slots.clear();
        self.slots.resize(width, Slot::Missing);
        (self.base, self.number) = (0, 0);
        self.unknown.clear();
    }

    /// Forgets what is not of one part.
    pub(crate) fn keep_part(&mut self, part: Part, is_of: impl Fn(usize) -> bool) {
        self.unknown.retain(|key| key.part == part);
        if self.width > 0 {
            for row in self.slots.chunks_mut(self.width) {
                for (column, slot) in row.iter_mut().enumerate() {
                    if !is_of(column) {
                        *slot = Slot::Missing;
                    }
                }
            }
        }
    }

    /// Gives every row what belongs to all of them.
    pub(crate) fn share(&mut self, columns: &[u32]) {
        let Some((shared, rows)) = self.slots.split_at_mut_checked(self.width) else { return };
        if self.width == 0 {
            return;
        }
        for row in rows.chunks_exact_mut(self.width) {
            for column in columns {
                let (from, to) = (shared.get(*column as usize), row.get_mut(*column as usize));
                if let (Some(from), Some(to)) = (from, to) {
                    *to = *from;
                }
            }
        }
    }

    /// Puts the keys that nobody knows in the order of rows and names; those of one name stay in theirs.
    pub(crate) fn sort_unknown(&mut self, text: &str) {
        let Row { unknown, scratch, .. } = self;
        let subject = |key: &UnknownKey| (key.row, key.part, key.name.of(text, scratch));
        unknown.sort_by(|left, right| subject(left).cmp(&subject(right)));
    }

    /// The keys that nobody knows of a row, once they are sorted. What belongs to all rows is named with
    /// the first.
    fn unknown_of(&self, number: u32) -> &[UnknownKey] {
        let from =
            if number <= 1 { 0 } else { self.unknown.partition_point(|key| key.row < number) };
        let to = self.unknown.partition_point(|key| key.row <= number);
        self.unknown.get(from..to).unwrap_or_default()
    }

    /// The slots of a row.
    pub(crate) fn slots_of(&self, row: usize) -> &[Slot] {
        let base = row * self.width;
        self.slots.get(base..base + self.width).unwrap_or_default()
    }

    /// Gives back what one record needed and others do not. Spans of the row have no meaning any more.
    pub(crate) fn shrink(&mut self) {
        self.unknown.clear();
        self.unknown.shrink_to(KEPT_KEYS);
        self.scratch.clear();
        self.scratch.shrink_to(KEPT_TEXT);
        self.slots.truncate(KEPT_SLOTS.max(self.width));
        self.slots.shrink_to(KEPT_SLOTS);
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

/// Which of a record's rows is meant, and the text that its spans lie in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowText<'a> {
    pub(crate) number: u32,
    pub(crate) text: &'a str,
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
        if !row.unknown.is_empty() {
            row.sort_unknown(text);
        }
        self.push_one_of(envelope, row, RowText { number: 0, text });
    }

    /// Adds one of a record's rows, the unknown keys of which are sorted.
    pub(crate) fn push_one_of(&mut self, envelope: &RowEnvelope<'_>, row: &Row, of: RowText<'_>) {
        self.push_values(envelope, row, of);
        if !row.unknown.is_empty() {
            self.bytes += self.push_unknown(row, of);
        }
        self.count += 1;
    }

    fn push_values(&mut self, envelope: &RowEnvelope<'_>, row: &Row, of: RowText<'_>) {
        let text = of.text;
        let slots = row.slots_of(of.number as usize);
        self.offset.push(envelope.offset);
        self.time_us.push(envelope.time_us);
        self.record_time_us.push(envelope.record_time_us);
        self.id.append_option(envelope.id);
        self.version.append_option(envelope.version);
        self.latency_us.push_option(envelope.latency_us);
        self.status.push_option(envelope.status);
        self.sample_rate.push(envelope.sample_rate);
        let mut bytes = 64
            + 9 * slots.len()
            + envelope.id.map_or(0, str::len)
            + envelope.version.map_or(0, str::len);
        for ((slot, values), wrong) in slots.iter().zip(&mut self.values).zip(&mut self.wrong) {
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
        self.bytes += bytes;
    }

    /// Lists each column of the row that nobody knows once, and says what that takes. Null is missing,
    /// and a column that is missing is not there, also where it was there before: the last of two
    /// values counts.
    fn push_unknown(&mut self, row: &Row, of: RowText<'_>) -> usize {
        let text = of.text;
        let scratch = &row.scratch;
        let subject = |key: &UnknownKey| (key.part, key.name.of(text, scratch));
        let named =
            row.unknown_of(of.number).chunk_by(|left, right| subject(left) == subject(right));
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
