//! Several typed files as one table: the columns of all, and what pandas says of them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::error::FileError;

/// Where pandas keeps what it knows of a frame.
const PANDAS: &str = "pandas";

/// Adds the columns of one file to `names`, and those that hold the index of a pandas frame to `index`.
///
/// # Errors
/// Two columns of one name.
pub(crate) fn merge(
    path: &Path,
    schema: &Schema,
    names: &mut Vec<String>,
    index: &mut Vec<String>,
) -> Result<(), FileError> {
    for (at, field) in schema.fields().iter().enumerate() {
        let twice = |other: &Arc<Field>| other.name() == field.name();
        if schema.fields().iter().take(at).any(twice) {
            let name = path.display().to_string();
            return Err(FileError::Duplicate { name, column: field.name().clone() });
        }
        if !names.contains(field.name()) {
            names.push(field.name().clone());
        }
    }
    for column in schema.metadata().get(PANDAS).map(|text| of_index(text)).unwrap_or_default() {
        if !index.contains(&column) {
            index.push(column);
        }
    }
    Ok(())
}

/// A batch of one file with the columns of all, those that it has not as nulls.
pub(crate) fn with_columns(
    batch: &RecordBatch,
    names: &[String],
) -> Result<RecordBatch, ArrowError> {
    let column = |name: &String| -> ArrayRef {
        let found = batch.column_by_name(name).cloned();
        found.unwrap_or_else(|| new_null_array(&DataType::Null, batch.num_rows()))
    };
    let columns: Vec<ArrayRef> = names.iter().map(column).collect();
    let fields = names.iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The columns that hold the index of a frame: a range stands in none.
fn of_index(metadata: &str) -> Vec<String> {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let columns = metadata.get("index_columns").and_then(Value::as_array);
    columns.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
