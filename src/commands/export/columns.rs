//! The columns of an exported file, from those of a capture batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use driftline_capture::columns::{ID, LATENCY_US, SAMPLE_RATE, STATUS, VERSION, WRONG_TYPE_PREFIX};
use driftline_capture::{CaptureBatch, Kind};
use driftline_config::{Partition, Subject};

use super::shape::Shape;

/// Columns that stand before the values.
const FIXED: [&str; 9] =
    ["topic", "partition", "offset", "ts", ID, VERSION, LATENCY_US, STATUS, SAMPLE_RATE];

#[derive(Debug)]
pub(super) struct Columns {
    topic: String,
    schema: SchemaRef,
    /// Columns of which some values are of the wrong type.
    misfits: Vec<Subject>,
}

impl Columns {
    /// Features under their plain name, unless another column has it; predictions as
    /// `prediction:NAME`; values of the wrong type as text beside, as `wrong_type:feature:NAME`.
    pub(super) fn new(topic: &str, Shape { schema, misfits }: &Shape) -> Columns {
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
        let misfits: Vec<Subject> = misfits.iter().cloned().collect();
        let beside = misfits.iter().map(|subject| format!("{WRONG_TYPE_PREFIX}{subject}"));
        fields.extend(beside.map(|name| Field::new(name, DataType::Utf8, true)));
        Columns { topic: topic.to_owned(), schema: Arc::new(Schema::new(fields)), misfits }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The chosen rows of a capture batch of this partition.
    pub(super) fn batch(
        &self,
        partition: Partition,
        rows: &CaptureBatch,
        chosen: Vec<u32>,
    ) -> Result<RecordBatch, ArrowError> {
        let chosen = UInt32Array::from(chosen);
        let count = chosen.len();
        let taken = |column: &dyn Array| take(column, &chosen, None);
        let numbers = |values: &[i64]| taken(&Int64Array::from_iter_values(values.iter().copied()));
        let times = taken(
            &TimestampMicrosecondArray::from_iter_values(rows.times_us().iter().copied())
                .with_timezone("UTC"),
        )?;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![self.topic.as_str(); count])),
            Arc::new(Int32Array::from(vec![i32::from(partition); count])),
            numbers(rows.offsets())?,
            times,
            taken(rows.ids())?,
            taken(rows.versions())?,
            taken(rows.latencies_us())?,
            taken(rows.statuses())?,
            taken(&Float64Array::from_iter_values(rows.sample_rates().iter().copied()))?,
        ];
        for values in rows.values() {
            columns.push(taken(values)?);
        }
        for subject in &self.misfits {
            columns.push(match rows.wrong_type(subject) {
                Some(texts) => taken(texts)?,
                None => new_null_array(&DataType::Utf8, count),
            });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}
