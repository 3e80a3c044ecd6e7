//! The columns of an exported file, from those of a capture batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use driftline_config::capture::{
    CaptureSchema, ID, Kind, LATENCY_US, OFFSET, SAMPLE_RATE, STATUS, TIME_US, VERSION,
};

/// Columns that stand before the values.
const FIXED: [&str; 9] =
    ["topic", "partition", "offset", "ts", ID, VERSION, LATENCY_US, STATUS, SAMPLE_RATE];

/// How captures become rows of the file.
#[derive(Debug)]
pub(super) struct Columns {
    topic: String,
    /// Value columns by their name in the batch.
    subjects: Vec<String>,
    schema: SchemaRef,
}

impl Columns {
    /// Features under their plain name, unless another column has it; predictions as
    /// `prediction:NAME`.
    pub(super) fn new(topic: &str, schema: &CaptureSchema) -> Columns {
        let utc: Option<Arc<str>> = Some("UTC".into());
        let types = [
            (DataType::Utf8, false),
            (DataType::Int32, false),
            (DataType::Int64, false),
            (DataType::Timestamp(TimeUnit::Microsecond, utc), false),
            (DataType::Utf8, true),
            (DataType::Utf8, true),
            (DataType::Int64, true),
            (DataType::Int32, true),
            (DataType::Float64, false),
        ];
        let fixed = FIXED.into_iter().zip(types);
        let mut fields: Vec<Field> =
            fixed.map(|(name, (kind, nullable))| Field::new(name, kind, nullable)).collect();
        let mut taken: BTreeSet<String> = FIXED.into_iter().map(str::to_owned).collect();
        for column in &schema.columns {
            let plain = !column.is_prediction() && !taken.contains(column.name());
            let name = if plain { column.name() } else { column.subject.as_str() };
            taken.insert(name.to_owned());
            let kind = match column.kind {
                Kind::Numeric => DataType::Float64,
                Kind::Categorical => DataType::Utf8,
            };
            fields.push(Field::new(name, kind, true));
        }
        let subjects = schema.columns.iter().map(|column| column.subject.clone()).collect();
        Columns { topic: topic.to_owned(), subjects, schema: Arc::new(Schema::new(fields)) }
    }

    /// The schema of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The chosen rows of a capture batch of this partition.
    pub(super) fn batch(
        &self,
        partition: i32,
        rows: &RecordBatch,
        chosen: Vec<u32>,
    ) -> Result<RecordBatch, ArrowError> {
        let chosen = UInt32Array::from(chosen);
        let count = chosen.len();
        let column = |name: &str| -> Result<ArrayRef, ArrowError> {
            let missing = || ArrowError::SchemaError(format!("captures have no column {name}"));
            take(rows.column_by_name(name).ok_or_else(missing)?, &chosen, None)
        };
        let times = column(TIME_US)?;
        let times = times.as_primitive_opt::<Int64Type>().map(|times| times.values().clone());
        let times = TimestampMicrosecondArray::new(times.unwrap_or_default(), None);
        let times = times.with_timezone("UTC");
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![self.topic.as_str(); count])),
            Arc::new(Int32Array::from(vec![partition; count])),
            column(OFFSET)?,
            Arc::new(times),
        ];
        for name in [ID, VERSION, LATENCY_US, STATUS, SAMPLE_RATE] {
            columns.push(column(name)?);
        }
        for subject in &self.subjects {
            columns.push(column(subject)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}
