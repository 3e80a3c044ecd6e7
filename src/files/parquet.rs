//! Writes Parquet files.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::FileError;

/// Writes `batches`, all of `schema`, to a new file beside `path` and puts it there when it is
/// whole. Returns how many rows it has.
///
/// # Errors
/// [`FileError::Write`]: a batch of another schema, or what the operating system said.
pub fn write_parquet(
    path: &Path,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<u64, FileError> {
    let failed = |detail: String| FileError::Write { path: path.to_owned(), detail };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| failed(error.to_string()))?;
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let target: &File = file.as_file();
    let mut writer = ArrowWriter::try_new(target, schema.clone(), Some(properties.build()))
        .map_err(|error| failed(error.to_string()))?;
    let mut rows = 0;
    for batch in batches {
        writer.write(&batch).map_err(|error| failed(error.to_string()))?;
        rows += batch.num_rows() as u64;
    }
    writer.close().map_err(|error| failed(error.to_string()))?;
    file.as_file().sync_all().map_err(|error| failed(error.to_string()))?;
    file.persist(path).map_err(|error| failed(error.to_string()))?;
    Ok(rows)
}
