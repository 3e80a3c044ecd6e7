//! A table of rows: a file or the result of a query, its columns, and its rows as captures.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use driftline_capture::{CaptureBatch, CaptureSchema};
use driftline_config::{Limits, Model};
use driftline_formats::RecordLimits;

use super::convert::Converter;
use super::csv::{self, CsvFile};
use super::error::FileError;
use super::flat::FlatDecoder;
use super::lines::{self, Lines, PassedOver, Shape, Survey, by_map, captures_decoder, survey};
use super::mapping::{FileColumns, Mapping, Target};
use super::parquet::ParquetFiles;
use super::paths::FileFormat;
use super::profile::{ColumnProfile, Profile};
use super::query;
use super::raw::{self, Raw};
use super::source::Source;
use super::values::Reading;

/// Rows of a batch of decoded lines.
const BATCH_ROWS: usize = 8192;
/// Batches that wait between the reading thread and its reader.
const QUEUE: usize = 4;

/// Files or a query that can be read, as often as wanted.
#[derive(Debug)]
pub struct Table {
    name: String,
    columns: Vec<String>,
    content: Content,
    /// What is unusual about the files.
    remarks: Vec<String>,
    /// What stands in the columns, once somebody asked.
    profile: OnceLock<Profile>,
    /// Sentences that were told.
    told: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
enum Content {
    Parquet(ParquetFiles),
    Csv(Vec<CsvFile>),
    Lines(Vec<PathBuf>, Survey),
    Query(String),
}

/// The rows of a table as capture batches, in their order; ends after the first error.
#[derive(Debug)]
pub struct Captures {
    /// Nothing after the end, or after an error.
    inbox: Option<Inbox>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Inbox {
    /// Columns of a file, to be converted.
    Columns(Receiver<Raw>, Box<Converter>),
    Lines(Receiver<Decoded>),
}

/// What the thread that decodes lines sends.
#[derive(Debug)]
enum Decoded {
    Batch(Box<CaptureBatch>),
    Note(String),
    Failed(FileError),
}

impl Table {
    /// Opens what a data argument names. A file of JSON Lines is read through, since nothing else
    /// says which columns it has; `progress` is told of rows as they pass.
    ///
    /// # Errors
    /// [`FileError`]: missing, empty, not of its format, without columns, or a query that fails.
    pub fn open(argument: &str, progress: &dyn Fn(u64)) -> Result<Table, FileError> {
        Table::open_of(argument, None, progress)
    }

    /// The same for files that may hold records as they stand on the topic of this model: where their first
    /// line is one, all lines are read as the model reads its topic.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn open_of(
        argument: &str,
        model: Option<&Model>,
        progress: &dyn Fn(u64),
    ) -> Result<Table, FileError> {
        let source = Source::parse(argument)?;
        let name = source.to_string();
        let mut remarks = Vec::new();
        let (columns, content) = match source {
            Source::Query(query) => {
                let schema = query::schema(&query)?;
                let names = schema.fields().iter().map(|field| field.name().clone()).collect();
                (names, Content::Query(query))
            }
            Source::Files { files, .. } => {
                if !files.partitions.is_empty() {
                    let keys = files.partitions.join(", ");
                    remarks.push(format!("the folders' {keys} are not read as columns"));
                }
                match files.format {
                    FileFormat::Parquet => {
                        let parquet = ParquetFiles::open(&name, &files.paths)?;
                        (parquet.names.clone(), Content::Parquet(parquet))
                    }
                    FileFormat::Csv => {
                        let open = files.paths.iter().map(|path| CsvFile::open(path));
                        let csv = open.collect::<Result<Vec<_>, _>>()?;
                        for remark in csv.iter().flat_map(CsvFile::remarks) {
                            if !remarks.contains(&remark) {
                                remarks.push(remark);
                            }
                        }
                        (csv::union(&csv), Content::Csv(csv))
                    }
                    FileFormat::JsonLines => {
                        let mapped =
                            model.map(lines::plan_of).filter(|plan| plan.mapping.is_some());
                        let by_map = match mapped {
                            Some(plan) => by_map::survey(&name, &files.paths, &plan, progress)?,
                            None => None,
                        };
                        if by_map.is_some() {
                            remarks.push(
                                "its lines are read as records of the model's topic".to_owned(),
                            );
                        }
                        let survey = match by_map {
                            Some(survey) => survey,
                            None => survey(&name, &files.paths, progress)?,
                        };
                        let columns = survey.profile.columns.iter();
                        let names = columns.map(|column| column.name.clone()).collect();
                        (names, Content::Lines(files.paths, survey))
                    }
                }
            }
        };
        Table::of(name, columns, content, remarks)
    }

    fn of(
        name: String,
        columns: Vec<String>,
        content: Content,
        remarks: Vec<String>,
    ) -> Result<Table, FileError> {
        if columns.is_empty() {
            return Err(FileError::Empty { name, what: "columns" });
        }
        let twice = |(at, name): &(usize, &String)| {
            !name.is_empty() && columns.iter().take(*at).any(|other| other == *name)
        };
        if let Some((_, column)) = columns.iter().enumerate().find(twice) {
            return Err(FileError::Duplicate { name, column: column.clone() });
        }
        let remarks = remarks.into_iter().map(|remark| format!("{name}: {remark}")).collect();
        let profile = match &content {
            Content::Lines(_, survey) => OnceLock::from(survey.profile.clone()),
            _ => OnceLock::new(),
        };
        Ok(Table { name, columns, content, remarks, profile, told: Mutex::default() })
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
        match &self.content {
            Content::Parquet(parquet) => Some(parquet.rows),
            _ => self.profile.get().map(|profile| profile.rows),
        }
    }

    /// Whether the lines are captures as they stand on a topic.
    pub fn is_captures(&self) -> bool {
        match &self.content {
            Content::Lines(_, survey) => matches!(survey.shape, Shape::Captures { .. }),
            _ => false,
        }
    }

    /// Lines of a file of captures that are no rows.
    pub fn passed_over(&self) -> PassedOver {
        match &self.content {
            Content::Lines(_, survey) => survey.passed_over.clone(),
            _ => PassedOver::default(),
        }
    }

    /// Sentences about how the files are written, where it is not the usual way.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Those of the sentences that were not told before.
    pub fn untold(&self, sentences: &[String]) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        sentences.iter().filter(|sentence| told.insert((*sentence).clone())).cloned().collect()
    }

    /// What stands in the columns: reads all rows, the first time.
    ///
    /// # Errors
    /// [`FileError`]: what cannot be read.
    pub fn profile(&self, progress: &dyn Fn(u64)) -> Result<&Profile, FileError> {
        if let Some(profile) = self.profile.get() {
            return Ok(profile);
        }
        let columns = self.columns.iter().map(|name| ColumnProfile::new(name)).collect();
        let mut profile = Profile { rows: 0, columns };
        for raw in self.raw()? {
            match raw {
                Raw::Batch(batch) => {
                    profile.look(&self.name, &batch, self.is_untyped())?;
                    progress(batch.num_rows() as u64);
                }
                // Whoever reads the rows is told.
                Raw::Note(_) => {}
                Raw::Failed(error) => return Err(error),
            }
        }
        Ok(self.profile.get_or_init(|| profile))
    }

    /// What each column is: by what was said about it and, for the envelope, by what it holds.
    ///
    /// # Errors
    /// An option that does not fit the columns.
    pub fn targets(
        &self,
        mapping: &Mapping,
        monitored: Option<&CaptureSchema>,
    ) -> Result<Vec<Target>, FileError> {
        self.with_columns(|columns| mapping.targets(columns, monitored))
    }

    /// Sentences about columns that are no features, though nobody asked for that.
    pub fn left_out(&self, targets: &[Target]) -> Vec<String> {
        self.with_columns(|columns| columns.notes(targets))
    }

    /// Whether the rows have event times.
    ///
    /// # Errors
    /// An option that does not fit the columns.
    pub fn has_time(&self, mapping: &Mapping) -> Result<bool, FileError> {
        Ok(self.is_captures() || self.targets(mapping, None)?.contains(&Target::Time))
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
        let notes = self.left_out(&targets);
        let columns: Vec<(String, Target)> = self.columns.iter().cloned().zip(targets).collect();
        if let Content::Lines(paths, survey) = &self.content {
            let decoder = LineDecoder::new(&self.name, survey, columns, schema, &limits.into());
            let inbox = decoded_lines(&self.name, Lines::open(paths), decoder)?;
            return Ok(Captures { inbox: Some(Inbox::Lines(inbox)), notes });
        }
        let reading = Reading { untyped: self.is_untyped(), string_bytes: limits.string_bytes };
        let converter = Converter::new(&self.name, columns, schema, reading);
        let inbox = Inbox::Columns(self.raw()?, Box::new(converter));
        Ok(Captures { inbox: Some(inbox), notes })
    }

    /// Whether the values of all columns are text without a type.
    fn is_untyped(&self) -> bool {
        matches!(self.content, Content::Csv(_))
    }

    fn with_columns<T>(&self, then: impl FnOnce(&FileColumns<'_>) -> T) -> T {
        let index: &[String] = match &self.content {
            Content::Parquet(parquet) => &parquet.index,
            _ => &[],
        };
        let fits = |place: usize| {
            let profile = self.profile(&|_| ())?;
            Ok(profile.columns.get(place).is_some_and(ColumnProfile::fits_envelope))
        };
        let columns =
            FileColumns { name: &self.name, names: &self.columns, index, fits_envelope: &fits };
        then(&columns)
    }

    fn raw(&self) -> Result<Receiver<Raw>, FileError> {
        match &self.content {
            Content::Parquet(parquet) => {
                let parquet = parquet.clone();
                raw::read(&self.name, move |outbox| parquet.read(outbox))
            }
            Content::Csv(files) => {
                let (files, names) = (files.clone(), self.columns.clone());
                raw::read(&self.name, move |outbox| csv::read(&files, &names, outbox))
            }
            Content::Query(query) => {
                let query = query.clone();
                raw::read(&self.name, move |outbox| query::read(&query, outbox))
            }
            // They are decoded, not converted.
            Content::Lines(..) => raw::read(&self.name, |_| Ok(())),
        }
    }
}

fn decoded_lines(
    name: &str,
    mut lines: Lines,
    mut decoder: LineDecoder,
) -> Result<Receiver<Decoded>, FileError> {
    let (outbox, inbox) = sync_channel(QUEUE);
    let work = move || {
        let mut read = || -> Result<(), FileError> {
            while let Some(line) = lines.next()? {
                decoder.decode(line)?;
                if decoder.count() == BATCH_ROWS
                    && let Some(batch) = decoder.take()?
                    && outbox.send(Decoded::Batch(Box::new(batch))).is_err()
                {
                    return Ok(());
                }
            }
            if let Some(batch) = decoder.take()? {
                let _ = outbox.send(Decoded::Batch(Box::new(batch)));
            }
            for note in decoder.notes() {
                let _ = outbox.send(Decoded::Note(note));
            }
            Ok(())
        };
        if let Err(error) = read() {
            let _ = outbox.send(Decoded::Failed(error));
        }
    };
    let thread = std::thread::Builder::new().name("files".to_owned()).spawn(work);
    thread.map_err(|source| FileError::Io { path: name.into(), source })?;
    Ok(inbox)
}

impl Captures {
    /// Sentences about what was read, and what was not; all of them once the rows are at their end.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The next batch, where there is one.
    fn received(&mut self) -> Option<Result<CaptureBatch, FileError>> {
        loop {
            match self.inbox.as_mut()? {
                Inbox::Lines(inbox) => match inbox.recv().ok()? {
                    Decoded::Batch(batch) => return Some(Ok(*batch)),
                    Decoded::Note(note) => self.notes.push(note),
                    Decoded::Failed(error) => return Some(Err(error)),
                },
                Inbox::Columns(inbox, converter) => match inbox.recv() {
                    Ok(Raw::Batch(batch)) => return Some(converter.convert(&batch)),
                    Ok(Raw::Note(note)) => self.notes.push(note),
                    Ok(Raw::Failed(error)) => return Some(Err(error)),
                    Err(_) => {
                        self.notes.extend(converter.notes());
                        return None;
                    }
                },
            }
        }
    }
}

impl Iterator for Captures {
    type Item = Result<CaptureBatch, FileError>;

    fn next(&mut self) -> Option<Result<CaptureBatch, FileError>> {
        let batch = loop {
            match self.received() {
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
    fn new(
        name: &str,
        survey: &Survey,
        columns: Vec<(String, Target)>,
        schema: &CaptureSchema,
        limits: &RecordLimits,
    ) -> LineDecoder {
        match &survey.shape {
            Shape::Flat => {
                LineDecoder::Flat(Box::new(FlatDecoder::new(name, columns, schema, limits)))
            }
            Shape::Captures { model, mapping } => LineDecoder::Captures {
                decoder: Box::new(captures_decoder(model, mapping.as_deref(), schema, limits)),
                name: name.to_owned(),
                next: 0,
            },
        }
    }

    fn notes(&self) -> Vec<String> {
        match self {
            LineDecoder::Flat(decoder) => decoder.notes(),
            LineDecoder::Captures { .. } => Vec::new(),
        }
    }

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
