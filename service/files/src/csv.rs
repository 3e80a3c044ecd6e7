//! CSV: every value as text, whatever separates it, encodes it or marks its decimals.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use arrow::array::{ArrayRef, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use encoding_rs::WINDOWS_1252;

use super::error::FileError;
use super::raw::Raw;
use super::text::Text;

mod dialect;
mod marks;

use marks::Mark;

/// Rows and bytes of a batch.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 1 << 24;
/// Bytes from which the dialect is read.
const SAMPLE_BYTES: u64 = 1 << 20;
/// Bytes that one row may have: more are a quote that is not closed.
const ROW_BYTES: u64 = 1 << 25;

/// A CSV and how it is written.
#[derive(Debug, Clone)]
pub(crate) struct CsvFile {
    path: PathBuf,
    delimiter: u8,
    /// Records before the first row.
    head: usize,
    pub(crate) names: Vec<String>,
    /// How the numbers of each column are written.
    marks: Vec<Mark>,
}

impl CsvFile {
    /// Looks at the beginning of a file.
    pub(crate) fn open(path: &Path) -> Result<CsvFile, FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let mut sample = Vec::new();
        let text = Text::open(path).map_err(io)?;
        text.reader.take(SAMPLE_BYTES).read_to_end(&mut sample).map_err(io)?;
        let whole = (sample.len() as u64) < SAMPLE_BYTES;
        let file = dialect::dialect(path, &sample, whole)?;
        let twice = |(at, name): (usize, &String)| {
            !name.is_empty() && file.names.iter().take(at).any(|other| other == name)
        };
        if let Some(column) = file.names.iter().enumerate().find(|it| twice(*it)) {
            let name = path.display().to_string();
            return Err(FileError::Duplicate { name, column: column.1.clone() });
        }
        Ok(file)
    }

    /// What is unusual about how it is written.
    pub(crate) fn remarks(&self) -> Vec<String> {
        dialect::remarks(self)
    }
}

/// The text of a value in whatever encoding, where it is only looked at.
fn decoded(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => text.into(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(value).0,
    }
}

/// The columns of several files: every name that one of them has.
pub(crate) fn union(files: &[CsvFile]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in files.iter().flat_map(|file| &file.names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Reads files one after the other and sends their rows with these columns, all of them text.
pub(crate) fn read(
    files: &[CsvFile],
    names: &[String],
    outbox: &SyncSender<Raw>,
) -> Result<(), FileError> {
    let fields: Vec<Field> =
        names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    for file in files {
        let mut rows = Rows::open(file)?;
        while let Some(columns) = rows.batch()? {
            let length = columns.first().map_or(0, |column| column.len());
            let place = |name: &String| file.names.iter().position(|other| other == name);
            let column = |name: &String| {
                let found = place(name).and_then(|at| columns.get(at)).cloned();
                found.unwrap_or_else(|| new_null_array(&DataType::Utf8, length))
            };
            let columns: Vec<ArrayRef> = names.iter().map(column).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|source| {
                FileError::Arrow { name: file.path.display().to_string(), source }
            })?;
            // A reader that has gone away has seen enough.
            if outbox.send(Raw::Batch(batch)).is_err() {
                return Ok(());
            }
        }
        for remark in rows.remarks() {
            let _ = outbox.send(Raw::Note(format!("{}: {remark}", file.path.display())));
        }
    }
    Ok(())
}

/// Which encoding the bytes turned out to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    /// So far they were ASCII, which is the same in all.
    Ascii,
    Utf8,
    Latin1,
}

/// The rows of one file.
struct Rows<'a> {
    file: &'a CsvFile,
    reader: csv::Reader<Bounded>,
    /// Bytes read since the last whole row.
    pending: Arc<AtomicU64>,
    record: StringRecord,
    bytes: Bytes,
    encoding: Option<&'static str>,
    /// Rows so far, and the lines among them that are comments.
    rows: u64,
    comments: u64,
}

/// A reader that fails where a row does not end.
struct Bounded {
    inner: Box<dyn BufRead + Send>,
    pending: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let pending = self.pending.fetch_add(read as u64, Ordering::Relaxed);
        if pending > ROW_BYTES {
            return Err(std::io::Error::other("unclosed"));
        }
        Ok(read)
    }
}

impl<'a> Rows<'a> {
    fn open(file: &'a CsvFile) -> Result<Rows<'a>, FileError> {
        let text = Text::open(&file.path)
            .map_err(|source| FileError::Io { path: file.path.clone(), source })?;
        let pending = Arc::new(AtomicU64::new(0));
        let inner = Bounded { inner: text.reader, pending: Arc::clone(&pending) };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(file.delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(inner);
        let mut rows = Rows {
            file,
            reader,
            pending,
            record: StringRecord::new(),
            bytes: Bytes::Ascii,
            encoding: text.encoding,
            rows: 0,
            comments: 0,
        };
        for _ in 0..file.head {
            rows.next()?;
        }
        Ok(rows)
    }

    /// What turned out while reading.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(encoding) = self.encoding {
            remarks.push(format!("read as {encoding}"));
        }
        if self.bytes == Bytes::Latin1 {
            remarks.push("not UTF-8: read as Latin-1 (Windows-1252)".to_owned());
        }
        if self.comments > 0 {
            remarks.push(format!("{} lines that begin with # left out", self.comments));
        }
        remarks
    }

    /// The next rows, column by column.
    fn batch(&mut self) -> Result<Option<Vec<ArrayRef>>, FileError> {
        let file = self.file;
        let mut columns: Vec<StringBuilder> =
            file.names.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES && self.next()? {
            if self.is_comment() {
                self.comments += 1;
                continue;
            }
            self.rows += 1;
            self.check_length()?;
            bytes += self.record.as_slice().len();
            for ((column, mark), value) in columns.iter_mut().zip(&file.marks).zip(&self.record) {
                if value.is_empty() {
                    column.append_null();
                } else if *mark == Mark::Point {
                    column.append_value(value);
                } else {
                    column.append_value(mark.plain(value).as_deref().unwrap_or(value));
                }
            }
            for column in columns.iter_mut().skip(self.record.len()) {
                column.append_null();
            }
            rows += 1;
        }
        let arrays = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        Ok((rows > 0).then(|| arrays.collect()))
    }

    fn next(&mut self) -> Result<bool, FileError> {
        let mut record = std::mem::take(&mut self.record).into_byte_record();
        let more = self.reader.read_byte_record(&mut record).map_err(|error| {
            let unclosed = matches!(error.kind(), csv::ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::Other);
            match error.into_kind() {
                csv::ErrorKind::Io(_) if unclosed => self.wrong(
                    self.rows + 1,
                    self.reader.position().line(),
                    format!("no end within {} MiB: a quote that opens here is never closed", ROW_BYTES >> 20),
                ),
                csv::ErrorKind::Io(source) => FileError::Io { path: self.file.path.clone(), source },
                kind => self.wrong(self.rows + 1, 0, format!("{kind:?}")),
            }
        })?;
        self.pending.store(0, Ordering::Relaxed);
        self.record = self.decoded(record)?;
        Ok(more)
    }

    fn decoded(&mut self, record: ByteRecord) -> Result<StringRecord, FileError> {
        let record = match self.bytes {
            Bytes::Latin1 => return Ok(latin1(&record)),
            Bytes::Ascii if record.as_slice().is_ascii() => record,
            Bytes::Ascii | Bytes::Utf8 => {
                let seen = self.bytes;
                match StringRecord::from_byte_record(record) {
                    Ok(record) => {
                        self.bytes = Bytes::Utf8;
                        return Ok(record);
                    }
                    Err(error) if seen == Bytes::Ascii => {
                        self.bytes = Bytes::Latin1;
                        return Ok(latin1(&error.into_byte_record()));
                    }
                    Err(error) => {
                        let place = error.utf8_error().field();
                        let record = error.into_byte_record();
                        let line = record.position().map_or(0, csv::Position::line);
                        let column = self.file.names.get(place).map_or("?", String::as_str);
                        return Err(self.wrong(
                            self.rows + 1,
                            line,
                            format!("column {column}: bytes that are no UTF-8, in a file that is UTF-8 until here"),
                        ));
                    }
                }
            }
        };
        Ok(StringRecord::from_byte_record_lossy(record))
    }

    /// A line that begins with `#` is a comment where it is no row, or a blank follows.
    fn is_comment(&self) -> bool {
        let first = self.record.get(0).unwrap_or_default();
        first.starts_with('#')
            && (first.starts_with("# ") || self.record.len() != self.file.names.len())
    }

    fn check_length(&self) -> Result<(), FileError> {
        let (found, expected) = (self.record.len(), self.file.names.len());
        let surplus = self.record.iter().skip(expected).find(|value| !value.is_empty());
        let detail = match surplus {
            Some(value) => format!(
                "{found} values, where the header names {expected} columns: the first without a name is {value:?}"
            ),
            None if found < expected => format!(
                "{found} values, where the header names {expected} columns: none for column {}",
                self.file.names.get(found).map_or("?", String::as_str)
            ),
            None => return Ok(()),
        };
        Err(self.wrong(self.rows, self.line(), detail))
    }

    /// Where the row begins: behind the blank lines before it, which its position does not count.
    fn line(&self) -> u64 {
        let begins = self.record.position().map_or(0, csv::Position::line);
        let inside = self.record.as_slice().bytes().filter(|&byte| byte == b'\n').count() as u64;
        begins.max(self.reader.position().line().saturating_sub(1 + inside))
    }

    fn wrong(&self, row: u64, line: u64, detail: String) -> FileError {
        FileError::Row { name: self.file.path.display().to_string(), row, line, detail }
    }
}

fn latin1(record: &ByteRecord) -> StringRecord {
    let decoded = record.iter().map(|value| WINDOWS_1252.decode_without_bom_handling(value).0);
    let mut latin1: StringRecord = decoded.collect();
    latin1.set_position(record.position().cloned());
    latin1
}
