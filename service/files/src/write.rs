//! Writes files: whole ones or none.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::FileError;

/// A file that is being written beside the place where it will stand.
struct Draft {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

/// Writes `bytes` to `path`: the file is there whole, or it is what it was.
///
/// # Errors
/// [`FileError::Write`] with what the operating system said.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut draft = Draft::create(path)?;
    let written = draft.file.write_all(bytes);
    draft.publish(written.map_err(|error| error.to_string()))
}

/// Writes `batches`, all of `schema`, to `path`: the file is there whole, or it is what it was.
/// Returns how many rows it has.
///
/// # Errors
/// [`FileError::Write`]: a batch of another schema, or what the operating system said.
pub fn write_parquet(
    path: &Path,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<u64, FileError> {
    let draft = Draft::create(path)?;
    let mut rows = 0;
    let written = write_batches(&draft.file, schema, batches, &mut rows);
    draft.publish(written.map_err(|error| error.to_string()))?;
    Ok(rows)
}

fn write_batches(
    file: &File,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
    rows: &mut u64,
) -> Result<(), parquet::errors::ParquetError> {
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(BufWriter::new(file), schema.clone(), Some(properties))?;
    for batch in batches {
        writer.write(&batch)?;
        *rows += batch.num_rows() as u64;
    }
    writer.into_inner()?.flush()?;
    Ok(())
}

impl Draft {
    fn create(path: &Path) -> Result<Draft, FileError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let draft = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft);
        let file = file.map_err(|error| FileError::Write {
            path: path.to_owned(),
            detail: error.to_string(),
        })?;
        Ok(Draft { path: path.to_owned(), draft, file })
    }

    /// Puts the file into its place, or takes it away where writing failed.
    fn publish(self, written: Result<(), String>) -> Result<(), FileError> {
        let placed = written.and_then(|()| {
            let place = || {
                self.file.sync_all()?;
                std::fs::rename(&self.draft, &self.path)
            };
            place().map_err(|error: std::io::Error| error.to_string())
        });
        placed.map_err(|detail| {
            let _ = std::fs::remove_file(&self.draft);
            FileError::Write { path: self.path, detail }
        })
    }
}
