//! A batch of captures whose columns have names and types instead of numbers.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Int32Array, Int64Array, ListArray,
    PrimitiveArray, RecordBatch, StringArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

use crate::columns::{
    ENVELOPE_COLUMNS, ID, LATENCY_US, OFFSET, RECORD_TIME_US, SAMPLE_RATE, STATUS, TIME_US,
    UNKNOWN_COLUMNS, VERSION, WRONG_TYPE_PREFIX,
};

/// Accepted rows of one model from one partition, in offset order, in the layout of
/// [`columns`](crate::columns). That is looked at once, when the batch is made, and trusted from then
/// on. Copies and slices share the memory of the rows.
#[derive(Debug, Clone)]
pub struct CaptureBatch {
    batch: RecordBatch,
    offsets: ScalarBuffer<i64>,
    times_us: ScalarBuffer<i64>,
    record_times_us: ScalarBuffer<i64>,
    ids: StringArray,
    versions: StringArray,
    latencies_us: Int64Array,
    statuses: Int32Array,
    sample_rates: ScalarBuffer<f64>,
    /// How many columns at the end are there only because a row needs them.
    sparse: usize,
}

/// Why a batch is no batch of captures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACapture {
    /// The column is not there, or not in its place.
    #[error("a batch of captures has the column {column} at place {place}, and this one has not")]
    Missing { column: &'static str, place: usize },
    /// The column holds values of another type.
    #[error("the column {column} of a batch of captures holds {expected}, and this one {found}")]
    Type { column: &'static str, expected: DataType, found: DataType },
    /// A value is null where none may be.
    #[error(
        "the column {column} of a batch of captures has a value in every row, this one has not"
    )]
    Null { column: &'static str },
}

impl From<NotACapture> for ArrowError {
    /// For those who put a batch together and pass on what Arrow says of its columns.
    fn from(error: NotACapture) -> ArrowError {
        ArrowError::from_external_error(Box::new(error))
    }
}

impl CaptureBatch {
    /// Takes a batch whose envelope columns stand first, in their order.
    ///
    /// # Errors
    /// An envelope column is missing, out of its place, of another type, or null where it may not be.
    pub fn new(batch: RecordBatch) -> Result<CaptureBatch, NotACapture> {
        let envelope = Envelope { batch: &batch };
        let (offsets, times_us) = (envelope.full(OFFSET, 0)?, envelope.full(TIME_US, 1)?);
        let record_times_us = envelope.full(RECORD_TIME_US, 2)?;
        let (ids, versions) = (envelope.texts(ID, 3)?, envelope.texts(VERSION, 4)?);
        let latencies_us = envelope.numbers::<Int64Type>(LATENCY_US, 5)?.clone();
        let statuses = envelope.numbers::<Int32Type>(STATUS, 6)?.clone();
        let sample_rates = envelope.full_of::<Float64Type>(SAMPLE_RATE, 7)?;
        let is_sparse = |name: &str| name == UNKNOWN_COLUMNS || name.starts_with(WRONG_TYPE_PREFIX);
        let fields = batch.schema_ref().fields().iter().skip(ENVELOPE_COLUMNS);
        let sparse = fields.rev().take_while(|field| is_sparse(field.name())).count();
        Ok(CaptureBatch {
            offsets,
            times_us,
            record_times_us,
            ids,
            versions,
            latencies_us,
            statuses,
            sample_rates,
            sparse,
            batch,
        })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// How many records the rows are of: a record of several rows has one offset.
    pub fn records(&self) -> usize {
        self.offsets.chunk_by(|left, right| left == right).count()
    }

    /// Kafka offsets, ascending; row numbers for files. Rows of one record have the same.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// Event times in microseconds.
    pub fn times_us(&self) -> &[i64] {
        &self.times_us
    }

    /// Kafka record timestamps in microseconds.
    pub fn record_times_us(&self) -> &[i64] {
        &self.record_times_us
    }

    /// Identifiers of the requests; null where a capture has none.
    pub fn ids(&self) -> &StringArray {
        &self.ids
    }

    /// Versions of the model that answered; null where a capture names none.
    pub fn versions(&self) -> &StringArray {
        &self.versions
    }

    /// Latencies in microseconds; null where none was measured.
    pub fn latencies_us(&self) -> &Int64Array {
        &self.latencies_us
    }

    /// Statuses like those of HTTP; null where a capture has none.
    pub fn statuses(&self) -> &Int32Array {
        &self.statuses
    }

    /// The share of the traffic that each row stands for.
    pub fn sample_rates(&self) -> &[f64] {
        &self.sample_rates
    }

    /// The identifier of a row.
    pub fn id(&self, row: usize) -> Option<&str> {
        text_at(&self.ids, row)
    }

    /// The version that answered a row.
    pub fn version(&self, row: usize) -> Option<&str> {
        text_at(&self.versions, row)
    }

    /// The latency of a row in microseconds.
    pub fn latency_us(&self, row: usize) -> Option<i64> {
        self.latencies_us.is_valid(row).then(|| self.latencies_us.value(row))
    }

    /// The status of a row.
    pub fn status(&self, row: usize) -> Option<i32> {
        self.statuses.is_valid(row).then(|| self.statuses.value(row))
    }

    /// The value column at `index` of the [`CaptureSchema`](crate::CaptureSchema).
    pub fn value(&self, index: usize) -> Option<&ArrayRef> {
        self.values().get(index)
    }

    /// All value columns, in the order of the schema.
    pub fn values(&self) -> &[ArrayRef] {
        self.batch.columns().get(ENVELOPE_COLUMNS..self.sparse_from()).unwrap_or_default()
    }

    /// The texts of a subject's values of the wrong type, where the batch has any.
    pub fn wrong_type(&self, subject: &str) -> Option<&StringArray> {
        let is_wanted = |name: &str| name.strip_prefix(WRONG_TYPE_PREFIX) == Some(subject);
        self.sparse_column(is_wanted)?.as_string_opt()
    }

    /// Names of the columns that are neither monitored nor known, where a row has any.
    pub fn unknown_columns(&self) -> Option<&ListArray> {
        self.sparse_column(|name| name == UNKNOWN_COLUMNS)?.as_list_opt()
    }

    /// Some of the rows, as far as they are there.
    #[must_use]
    pub fn slice(&self, from: usize, rows: usize) -> CaptureBatch {
        let from = from.min(self.rows());
        let rows = rows.min(self.rows() - from);
        CaptureBatch {
            batch: self.batch.slice(from, rows),
            offsets: self.offsets.slice(from, rows),
            times_us: self.times_us.slice(from, rows),
            record_times_us: self.record_times_us.slice(from, rows),
            ids: self.ids.slice(from, rows),
            versions: self.versions.slice(from, rows),
            latencies_us: self.latencies_us.slice(from, rows),
            statuses: self.statuses.slice(from, rows),
            sample_rates: self.sample_rates.slice(from, rows),
            sparse: self.sparse,
        }
    }

    /// The rows at or beyond an offset.
    #[must_use]
    pub fn from_offset(&self, position: i64) -> CaptureBatch {
        let known = self.offsets.partition_point(|offset| *offset < position);
        self.slice(known, self.rows() - known)
    }

    /// The columns as Arrow holds them, for whoever reads them by name.
    pub fn record_batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Whether a row needs a column that most batches do not have.
    pub fn has_sparse_columns(&self) -> bool {
        self.sparse > 0
    }

    fn sparse_from(&self) -> usize {
        self.batch.num_columns() - self.sparse
    }

    fn sparse_column(&self, is_wanted: impl Fn(&str) -> bool) -> Option<&ArrayRef> {
        if self.sparse == 0 {
            return None;
        }
        let fields = self.batch.schema_ref().fields().iter();
        let mut sparse = fields.zip(self.batch.columns()).skip(self.sparse_from());
        sparse.find(|(field, _)| is_wanted(field.name())).map(|(_, column)| column)
    }
}

impl TryFrom<RecordBatch> for CaptureBatch {
    type Error = NotACapture;

    fn try_from(batch: RecordBatch) -> Result<CaptureBatch, NotACapture> {
        CaptureBatch::new(batch)
    }
}

/// The first columns of a batch, which are to be an envelope.
struct Envelope<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Envelope<'a> {
    fn column(&self, name: &'static str, place: usize) -> Result<&'a ArrayRef, NotACapture> {
        let field = self.batch.schema_ref().fields().get(place);
        let column =
            field.filter(|field| field.name() == name).zip(self.batch.columns().get(place));
        column.map(|(_, column)| column).ok_or(NotACapture::Missing { column: name, place })
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        name: &'static str,
        place: usize,
    ) -> Result<&'a PrimitiveArray<T>, NotACapture> {
        let column = self.column(name, place)?;
        column.as_primitive_opt().ok_or_else(|| wrong(name, T::DATA_TYPE, column))
    }

    fn texts(&self, name: &'static str, place: usize) -> Result<StringArray, NotACapture> {
        let column = self.column(name, place)?;
        column.as_string_opt().cloned().ok_or_else(|| wrong(name, DataType::Utf8, column))
    }

    fn full_of<T: ArrowPrimitiveType>(
        &self,
        name: &'static str,
        place: usize,
    ) -> Result<ScalarBuffer<T::Native>, NotACapture> {
        let numbers = self.numbers::<T>(name, place)?;
        let is_full = numbers.null_count() == 0;
        is_full.then(|| numbers.values().clone()).ok_or(NotACapture::Null { column: name })
    }

    fn full(&self, name: &'static str, place: usize) -> Result<ScalarBuffer<i64>, NotACapture> {
        self.full_of::<Int64Type>(name, place)
    }
}

fn wrong(column: &'static str, expected: DataType, found: &ArrayRef) -> NotACapture {
    NotACapture::Type { column, expected, found: found.data_type().clone() }
}

fn text_at(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, ListBuilder, StringBuilder};
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::columns::{CaptureSchema, Column, Kind, batch_schema};

    fn schema() -> CaptureSchema {
        let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
        let columns =
            vec![column("feature:x", Kind::Numeric), column("feature:y", Kind::Categorical)];
        CaptureSchema { columns, ignored: Vec::new() }
    }

    /// Fields and columns of three rows, at the offsets 5, 7 and 8.
    fn columns() -> (Vec<Arc<Field>>, Vec<ArrayRef>) {
        let fields = batch_schema(&schema()).fields().to_vec();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![5, 7, 8])),
            Arc::new(Int64Array::from(vec![50, 70, 80])),
            Arc::new(Int64Array::from(vec![51, 71, 81])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
            Arc::new(StringArray::from(vec![None, Some("3"), Some("4")])),
            Arc::new(Int64Array::from(vec![Some(9), None, Some(11)])),
            Arc::new(Int32Array::from(vec![None, Some(200), Some(503)])),
            Arc::new(Float64Array::from(vec![1.0, 0.5, 0.25])),
            Arc::new(Float64Array::from(vec![Some(1.5), None, None])),
            Arc::new(StringArray::from(vec!["k", "l", "m"])),
        ];
        (fields, columns)
    }

    fn capture(
        (fields, columns): (Vec<Arc<Field>>, Vec<ArrayRef>),
    ) -> Result<CaptureBatch, NotACapture> {
        CaptureBatch::new(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
    }

    fn with_sparse_columns() -> CaptureBatch {
        let (mut fields, mut columns) = columns();
        let texts = StringArray::from(vec![None, Some("late"), None]);
        fields.push(Arc::new(Field::new("wrong_type:feature:x", DataType::Utf8, true)));
        columns.push(Arc::new(texts));
        let mut names = ListBuilder::new(StringBuilder::new());
        names.append(false);
        names.append(false);
        names.values().append_value("feature:new");
        names.append(true);
        let names = names.finish();
        fields.push(Arc::new(Field::new(UNKNOWN_COLUMNS, names.data_type().clone(), true)));
        columns.push(Arc::new(names));
        capture((fields, columns)).unwrap()
    }

    #[test]
    fn every_column_is_found_by_what_it_is() {
        let (sparse, plain) = (with_sparse_columns(), capture(columns()).unwrap());
        for batch in [&sparse, &plain] {
            assert_eq!((batch.rows(), batch.values().len()), (3, 2));
            assert_eq!(batch.offsets(), [5, 7, 8]);
            assert_eq!(batch.times_us(), [50, 70, 80]);
            assert_eq!(batch.record_times_us(), [51, 71, 81]);
            assert_eq!(batch.sample_rates(), [1.0, 0.5, 0.25]);
            assert_eq!([0, 1, 2].map(|row| batch.id(row)), [Some("a"), None, Some("c")]);
            assert_eq!([0, 1, 2].map(|row| batch.version(row)), [None, Some("3"), Some("4")]);
            assert_eq!([0, 1, 2].map(|row| batch.latency_us(row)), [Some(9), None, Some(11)]);
            assert_eq!([0, 1, 2].map(|row| batch.status(row)), [None, Some(200), Some(503)]);
            assert_eq!(batch.value(1).unwrap().as_string::<i32>().value(2), "m");
            assert!(batch.value(2).is_none() && batch.wrong_type("feature:y").is_none());
        }
        assert_eq!(text_at(sparse.wrong_type("feature:x").unwrap(), 1), Some("late"));
        assert!(sparse.unknown_columns().is_some() && plain.unknown_columns().is_none());
    }

    #[test]
    fn a_slice_is_a_slice_of_every_column() {
        let batch = with_sparse_columns();
        for (position, offsets) in
            [(0, &[5, 7, 8][..]), (5, &[5, 7, 8]), (6, &[7, 8]), (8, &[8]), (9, &[])]
        {
            let rest = batch.from_offset(position);
            assert_eq!(rest.offsets(), offsets, "from {position}");
            let anew = CaptureBatch::new(rest.record_batch().clone()).unwrap();
            for row in 0..rest.rows() {
                assert_eq!(rest.id(row), anew.id(row));
                assert_eq!(rest.version(row), anew.version(row));
                assert_eq!(rest.latency_us(row), anew.latency_us(row));
                assert_eq!(rest.status(row), anew.status(row));
            }
            assert_eq!(rest.times_us(), anew.times_us());
            assert_eq!(rest.record_times_us(), anew.record_times_us());
            assert_eq!(rest.sample_rates(), anew.sample_rates());
            assert_eq!(rest.wrong_type("feature:x"), anew.wrong_type("feature:x"));
        }
        assert_eq!(batch.slice(2, 9).offsets(), [8]);
        assert_eq!(batch.slice(9, 9).rows(), 0);
    }

    #[test]
    fn what_is_no_capture_is_refused_by_its_column() {
        for (place, name) in [
            (0, OFFSET),
            (1, TIME_US),
            (2, RECORD_TIME_US),
            (3, ID),
            (4, VERSION),
            (5, LATENCY_US),
            (6, STATUS),
            (7, SAMPLE_RATE),
        ] {
            let (mut fields, mut arrays) = columns();
            fields.remove(place);
            arrays.remove(place);
            let missing = capture((fields, arrays)).unwrap_err();
            assert_eq!(missing, NotACapture::Missing { column: name, place });
            let (mut fields, mut arrays) = columns();
            let booleans = BooleanArray::from(vec![true, true, true]);
            fields[place] = Arc::new(Field::new(name, DataType::Boolean, false));
            arrays[place] = Arc::new(booleans);
            let words = capture((fields, arrays)).unwrap_err().to_string();
            assert!(words.contains(name) && words.contains("Boolean"), "{words}");
        }
        let (mut fields, mut arrays) = columns();
        fields[1] = Arc::new(Field::new(TIME_US, DataType::Int64, true));
        arrays[1] = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        assert_eq!(capture((fields, arrays)).unwrap_err(), NotACapture::Null { column: TIME_US });
    }
}
