//! Parquet: the batches of one file or of several parts, and what pandas says of their columns.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use arrow::array::{ArrayRef, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::error::FileError;
use super::raw::Raw;

/// Rows of a batch: large enough that the work per batch does not count.
const BATCH_ROWS: usize = 8192;
/// Where pandas keeps what it knows of a frame.
const PANDAS: &str = "pandas";

/// The parts of a table.
#[derive(Debug, Clone)]
pub(crate) struct ParquetFiles {
    /// File, folder or pattern, for errors.
    name: String,
    paths: Vec<PathBuf>,
    /// Every name that one of the parts has.
    pub(crate) names: Vec<String>,
    /// Columns that the file says are the index of a pandas frame.
    pub(crate) index: Vec<String>,
    pub(crate) rows: u64,
}

impl ParquetFiles {
    pub(crate) fn open(name: &str, paths: &[PathBuf]) -> Result<ParquetFiles, FileError> {
        let mut files = ParquetFiles {
            name: name.to_owned(),
            paths: paths.to_vec(),
            names: Vec::new(),
            index: Vec::new(),
            rows: 0,
        };
        for path in paths {
            let builder = builder(path)?;
            let rows = builder.metadata().file_metadata().num_rows();
            files.rows += u64::try_from(rows).unwrap_or(0);
            let schema = builder.schema();
            for (at, field) in schema.fields().iter().enumerate() {
                let twice = |other: &Arc<Field>| other.name() == field.name();
                if schema.fields().iter().take(at).any(twice) {
                    let name = path.display().to_string();
                    return Err(FileError::Duplicate { name, column: field.name().clone() });
                }
                if !files.names.contains(field.name()) {
                    files.names.push(field.name().clone());
                }
            }
            for column in schema.metadata().get(PANDAS).map(|text| index(text)).unwrap_or_default()
            {
                if !files.index.contains(&column) {
                    files.index.push(column);
                }
            }
        }
        Ok(files)
    }

    /// Reads the parts one after the other and sends their rows with the columns of all.
    pub(crate) fn read(&self, outbox: &SyncSender<Raw>) -> Result<(), FileError> {
        for path in &self.paths {
            let reader = builder(path)?.with_batch_size(BATCH_ROWS).build();
            for batch in reader.map_err(|error| unreadable(path, &error))? {
                let batch = batch.map_err(|error| unreadable(path, &error))?;
                let batch = self
                    .with_all(&batch)
                    .map_err(|source| FileError::Arrow { name: self.name.clone(), source })?;
                // A reader that has gone away has seen enough.
                if outbox.send(Raw::Batch(batch)).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn with_all(&self, batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let column = |name: &String| -> ArrayRef {
            let found = batch.column_by_name(name).cloned();
            found.unwrap_or_else(|| new_null_array(&DataType::Null, batch.num_rows()))
        };
        let columns: Vec<ArrayRef> = self.names.iter().map(column).collect();
        let fields = self.names.iter().zip(&columns);
        let fields: Vec<Field> =
            fields.map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
    }
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, FileError> {
    let file =
        File::open(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> FileError {
    let detail = error.to_string();
    FileError::Format {
        name: path.display().to_string(),
        format: "Parquet",
        detail: detail.lines().next().unwrap_or_default().to_owned(),
    }
}

/// The columns that hold the index of a frame: a range stands in none.
fn index(metadata: &str) -> Vec<String> {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let columns = metadata.get("index_columns").and_then(Value::as_array);
    columns.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
