//! Arrow IPC: the batches of files (Feather) and of streams, as other programs hand frames over.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::record_batch::RecordBatch;

use super::error::FileError;
use super::parts::{merge, with_columns};
use super::raw::Raw;

/// Rows that are handed on at once: writers put whole frames into one batch.
const BATCH_ROWS: usize = 8192;
/// What a file begins with, and a stream does not.
const FILE_MAGIC: &[u8] = b"ARROW1";

/// The parts of a table.
#[derive(Debug, Clone)]
pub(crate) struct ArrowFiles {
    /// File, folder or pattern, for errors.
    name: String,
    paths: Vec<PathBuf>,
    /// Every name that one of the parts has.
    pub(crate) names: Vec<String>,
    /// Columns that the file says are the index of a pandas frame.
    pub(crate) index: Vec<String>,
}

impl ArrowFiles {
    pub(crate) fn open(name: &str, paths: &[PathBuf]) -> Result<ArrowFiles, FileError> {
        let (mut names, mut index) = (Vec::new(), Vec::new());
        for path in paths {
            merge(path, &Batches::open(path)?.schema(), &mut names, &mut index)?;
        }
        Ok(ArrowFiles { name: name.to_owned(), paths: paths.to_vec(), names, index })
    }

    /// Reads the parts one after the other and sends their rows with the columns of all.
    pub(crate) fn read(&self, outbox: &SyncSender<Raw>) -> Result<(), FileError> {
        for path in &self.paths {
            for batch in Batches::open(path)? {
                let batch = batch.map_err(|error| unreadable(path, &error))?;
                let batch = with_columns(&batch, &self.names)
                    .map_err(|source| FileError::Arrow { name: self.name.clone(), source })?;
                for from in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                    let rows = batch.slice(from, BATCH_ROWS.min(batch.num_rows() - from));
                    // A reader that has gone away has seen enough.
                    if outbox.send(Raw::Batch(rows)).is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The batches of one file, which may hold either form.
enum Batches {
    File(FileReader<BufReader<File>>),
    Stream(StreamReader<BufReader<File>>),
}

impl Batches {
    fn open(path: &Path) -> Result<Batches, FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let mut beginning = Vec::new();
        file.by_ref().take(FILE_MAGIC.len() as u64).read_to_end(&mut beginning).map_err(io)?;
        file.rewind().map_err(io)?;
        let file = BufReader::new(file);
        let opened = match beginning.as_slice() {
            FILE_MAGIC => FileReader::try_new(file, None).map(Batches::File),
            _ => StreamReader::try_new(file, None).map(Batches::Stream),
        };
        opened.map_err(|error| unreadable(path, &error))
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Batches::File(reader) => reader.schema(),
            Batches::Stream(reader) => reader.schema(),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Result<RecordBatch, ArrowError>> {
        match self {
            Batches::File(reader) => reader.next(),
            Batches::Stream(reader) => reader.next(),
        }
    }
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> FileError {
    let detail = error.to_string();
    FileError::Format {
        name: path.display().to_string(),
        format: "Arrow",
        detail: detail.lines().next().unwrap_or_default().to_owned(),
    }
}
