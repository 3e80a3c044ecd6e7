//! Parquet: the batches of one file or of several parts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::error::FileError;
use super::parts::{merge, with_columns};
use super::raw::Raw;

/// Rows of a batch: large enough that the work per batch does not count.
const BATCH_ROWS: usize = 8192;

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
            merge(path, builder.schema(), &mut files.names, &mut files.index)?;
        }
        Ok(files)
    }

    /// Reads the parts one after the other and sends their rows with the columns of all.
    pub(crate) fn read(&self, outbox: &SyncSender<Raw>) -> Result<(), FileError> {
        for path in &self.paths {
            let reader = builder(path)?.with_batch_size(BATCH_ROWS).build();
            for batch in reader.map_err(|error| unreadable(path, &error))? {
                let batch = batch.map_err(|error| unreadable(path, &error))?;
                let batch = with_columns(&batch, &self.names)
                    .map_err(|source| FileError::Arrow { name: self.name.clone(), source })?;
                // A reader that has gone away has seen enough.
                if outbox.send(Raw::Batch(batch)).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
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
