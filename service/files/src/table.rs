//! A table of rows: a file or the result of a query, its columns, and its rows as captures.

use std::fs::File;
use std::sync::mpsc::{Receiver, sync_channel};

use driftline_capture::{CaptureBatch, CaptureSchema};
use driftline_config::Limits;
use driftline_formats::RecordLimits;

use super::convert::Converter;
use super::error::FileError;
use super::flat::FlatDecoder;
use super::lines::{Lines, PassedOver, Shape, Survey, captures_decoder, survey};
use super::mapping::{Mapping, Target};
use super::profile::{ColumnProfile, Profile};
use super::query::{RawBatches, batches, schema};
use super::source::Source;
use super::values::Reading;

/// Rows of a batch of decoded lines.
const BATCH_ROWS: usize = 8192;
/// Batches that wait between the reading thread and its reader.
const QUEUE: usize = 4;

/// A file or a query that can be read, as often as wanted.
#[derive(Debug)]
pub struct Table {
    source: Source,
    name: String,
    columns: Vec<String>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Columns,
    Lines(Survey),
}

/// The rows of a table as capture batches, in their order; ends after the first error.
#[derive(Debug)]
pub struct Captures {
    /// Nothing after the end, or after an error.
    inbox: Option<Inbox>,
}

#[derive(Debug)]
enum Inbox {
    /// Columns of a file, to be converted.
    Columns(RawBatches, Box<Converter>),
    Lines(Receiver<Result<CaptureBatch, FileError>>),
}

impl Table {
    /// Opens what a data argument names. A file of JSON Lines is read through, since nothing else
    /// says which columns it has; `progress` is told of rows as they pass.
    ///
    /// # Errors
    /// [`FileError`]: missing, empty, not of its format, without columns, or a query that fails.
    pub fn open(argument: &str, progress: &dyn Fn(u64)) -> Result<Table, FileError> {
        let source = Source::parse(argument)?;
        let name = source.to_string();
        let (columns, content) = match &source {
            Source::JsonLines(path) => {
                let survey = survey(path, progress)?;
                let columns = &survey.profile.columns;
                let names = columns.iter().map(|column| column.name.clone()).collect();
                (names, Content::Lines(survey))
            }
            _ => {
                let schema = schema(&source)?;
                (
                    schema.fields().iter().map(|field| column_name(field.name())).collect(),
                    Content::Columns,
                )
            }
        };
        let table = Table { source, name, columns, content };
        if table.columns.is_empty() {
            return Err(FileError::Empty { name: table.name, what: "columns" });
        }
        Ok(table)
    }

    /// The file or query, as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the columns, in the order of the file; `feature:…` and `prediction:…` for files of
    /// captures.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are, where that is known before reading.
    pub fn rows(&self) -> Option<u64> {
        match (&self.content, &self.source) {
            (Content::Lines(survey), _) => Some(survey.profile.rows),
            (Content::Columns, Source::Parquet(path)) => parquet_rows(path),
            _ => None,
        }
    }

    /// Lines of a file of captures that are no rows.
    pub fn passed_over(&self) -> PassedOver {
        match &self.content {
            Content::Lines(survey) => survey.passed_over.clone(),
            Content::Columns => PassedOver::default(),
        }
    }

    /// What stands in the columns: reads all rows, once.
    ///
    /// # Errors
    /// [`FileError`]: what cannot be read.
    pub fn profile(&self, progress: &dyn Fn(u64)) -> Result<Profile, FileError> {
        if let Content::Lines(survey) = &self.content {
            return Ok(survey.profile.clone());
        }
        let columns = self.columns.iter().map(|name| ColumnProfile::new(name)).collect();
        let mut profile = Profile { rows: 0, columns };
        for batch in batches(&self.source)? {
            let batch = batch?;
            for (column, array) in profile.columns.iter_mut().zip(batch.columns()) {
                column
                    .look(array, self.source.is_untyped())
                    .map_err(|source| FileError::Arrow { name: self.name.clone(), source })?;
            }
            profile.rows += batch.num_rows() as u64;
            progress(batch.num_rows() as u64);
        }
        Ok(profile)
    }

    /// What each column is: [`Mapping::targets`].
    ///
    /// # Errors
    /// An option that does not fit the columns.
    pub fn targets(
        &self,
        mapping: &Mapping,
        monitored: Option<&CaptureSchema>,
    ) -> Result<Vec<Target>, FileError> {
        mapping.targets(&self.name, &self.columns, monitored)
    }

    /// Whether the rows have event times.
    ///
    /// # Errors
    /// An option that does not fit the columns.
    pub fn has_time(&self, mapping: &Mapping) -> Result<bool, FileError> {
        let captures = match &self.content {
            Content::Lines(survey) => matches!(survey.shape, Shape::Captures { .. }),
            Content::Columns => false,
        };
        Ok(captures || self.targets(mapping, None)?.contains(&Target::Time))
    }

    /// The rows as captures of `schema`, from the beginning. Rows have their number, from 0, as
    /// offset. Strings are cut at `limits.string_bytes`.
    ///
    /// # Errors
    /// An option that does not fit the columns, or a file that cannot be opened.
    pub fn captures(
        &self,
        schema: &CaptureSchema,
        mapping: &Mapping,
        limits: &Limits,
    ) -> Result<Captures, FileError> {
        let targets = self.targets(mapping, Some(schema))?;
        let columns: Vec<(String, Target)> = self.columns.iter().cloned().zip(targets).collect();
        if let Content::Lines(survey) = &self.content {
            let inbox = self.decoded_lines(survey, columns, schema, &limits.into())?;
            return Ok(Captures { inbox: Some(Inbox::Lines(inbox)) });
        }
        let reading =
            Reading { untyped: self.source.is_untyped(), string_bytes: limits.string_bytes };
        let converter = Converter::new(&self.name, columns, schema, reading);
        let inbox = Inbox::Columns(batches(&self.source)?, Box::new(converter));
        Ok(Captures { inbox: Some(inbox) })
    }

    fn decoded_lines(
        &self,
        survey: &Survey,
        columns: Vec<(String, Target)>,
        schema: &CaptureSchema,
        limits: &RecordLimits,
    ) -> Result<Receiver<Result<CaptureBatch, FileError>>, FileError> {
        let path = self.source.path().unwrap_or(std::path::Path::new("")).to_owned();
        let mut lines = Lines::open(&path)?;
        let mut decoder = match &survey.shape {
            Shape::Flat => {
                LineDecoder::Flat(Box::new(FlatDecoder::new(&self.name, columns, schema, limits)))
            }
            Shape::Captures { model } => LineDecoder::Captures {
                decoder: Box::new(captures_decoder(model, schema, limits)),
                name: self.name.clone(),
                next: 0,
            },
        };
        let (outbox, inbox) = sync_channel(QUEUE);
        let work = move || {
            let mut read = || -> Result<(), FileError> {
                while let Some(line) = lines.next()? {
                    decoder.decode(line)?;
                    if decoder.count() == BATCH_ROWS
                        && let Some(batch) = decoder.take()?
                        && outbox.send(Ok(batch)).is_err()
                    {
                        return Ok(());
                    }
                }
                if let Some(batch) = decoder.take()? {
                    let _ = outbox.send(Ok(batch));
                }
                Ok(())
            };
            if let Err(error) = read() {
                let _ = outbox.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("files".to_owned()).spawn(work);
        thread.map_err(|source| FileError::Io { path, source })?;
        Ok(inbox)
    }
}

impl Iterator for Captures {
    type Item = Result<CaptureBatch, FileError>;

    fn next(&mut self) -> Option<Result<CaptureBatch, FileError>> {
        let batch = loop {
            let received = match self.inbox.as_mut()? {
                Inbox::Lines(inbox) => inbox.recv().ok(),
                Inbox::Columns(inbox, converter) => {
                    inbox.recv().ok().map(|batch| batch.and_then(|batch| converter.convert(&batch)))
                }
            };
            match received {
                Some(Ok(batch)) if batch.rows() == 0 => {}
                received => break received,
            }
        };
        if !matches!(batch, Some(Ok(_))) {
            self.inbox = None;
        }
        batch
    }
}

enum LineDecoder {
    Flat(Box<FlatDecoder>),
    Captures { decoder: Box<driftline_formats::Decoder>, name: String, next: i64 },
}

impl LineDecoder {
    fn decode(&mut self, line: &[u8]) -> Result<(), FileError> {
        match self {
            LineDecoder::Flat(decoder) => decoder.decode(line),
            LineDecoder::Captures { decoder, next, .. } => {
                let record =
                    driftline_formats::Record { value: Some(line), offset: *next, time_us: None };
                // What it rejects or skips was counted when the file was opened.
                let _ = decoder.decode(&record);
                *next += 1;
                Ok(())
            }
        }
    }

    fn count(&self) -> usize {
        match self {
            LineDecoder::Flat(decoder) => decoder.count(),
            LineDecoder::Captures { decoder, .. } => decoder.count(),
        }
    }

    fn take(&mut self) -> Result<Option<CaptureBatch>, FileError> {
        match self {
            LineDecoder::Flat(decoder) => decoder.take(),
            LineDecoder::Captures { decoder, name, .. } => {
                let decoded = decoder
                    .take()
                    .map_err(|source| FileError::Arrow { name: name.clone(), source })?;
                Ok(decoded.rows.into_iter().next().map(|rows| rows.rows))
            }
        }
    }
}

/// Excel and others put a mark before the first name of a CSV.
fn column_name(name: &str) -> String {
    name.trim_start_matches('\u{feff}').to_owned()
}

fn parquet_rows(path: &std::path::Path) -> Option<u64> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
    u64::try_from(reader.metadata().file_metadata().num_rows()).ok()
}
