//! Batches of a file to capture batches: the layout of `driftline_capture::columns`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, ListBuilder, RecordBatchOptions, StringBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use driftline_capture::columns::{UNKNOWN_COLUMNS, WRONG_TYPE_PREFIX, batch_schema};
use driftline_capture::{CaptureBatch, CaptureSchema, Kind};
use driftline_config::Subject;
use driftline_formats::cut_text;

use super::envelope::EnvelopeRows;
use super::error::FileError;
use super::mapping::Target;
use super::profile::marked_note;
use super::values::{Converted, Reading};

/// Turns the batches of one file into capture batches.
#[derive(Debug)]
pub(crate) struct Converter {
    name: String,
    schema: CaptureSchema,
    arrow: Schema,
    /// Name and target of each column of the file.
    columns: Vec<(String, Target)>,
    /// Per column of the schema: the column of the file that holds it.
    places: Vec<Option<usize>>,
    /// Subjects of the file that are neither monitored nor known, with their places.
    unknown: Vec<(usize, String)>,
    reading: Reading,
    next: i64,
    /// Per column of the schema: texts that say that there is no number.
    marked: Vec<u64>,
    /// The column of event times that say nothing about their zone.
    local: Option<String>,
}

impl Converter {
    /// For files whose columns are `columns`.
    pub(crate) fn new(
        name: &str,
        columns: Vec<(String, Target)>,
        schema: &CaptureSchema,
        reading: Reading,
    ) -> Converter {
        let subjects: HashMap<&Subject, usize> = columns
            .iter()
            .enumerate()
            .filter_map(|(index, (_, target))| match target {
                Target::Subject(subject) => Some((subject, index)),
                _ => None,
            })
            .collect();
        let places: Vec<Option<usize>> =
            schema.columns.iter().map(|column| subjects.get(&column.subject).copied()).collect();
        let unknown = columns
            .iter()
            .enumerate()
            .filter(|(index, _)| !places.contains(&Some(*index)))
            .filter_map(|(index, (_, target))| match target {
                Target::Subject(subject) if !schema.ignored.contains(subject) => {
                    Some((index, unknown_name(subject, reading.string_bytes)))
                }
                _ => None,
            })
            .collect();
        Converter {
            name: name.to_owned(),
            arrow: batch_schema(schema),
            schema: schema.clone(),
            columns,
            places,
            unknown,
            reading,
            next: 0,
            marked: vec![0; schema.columns.len()],
            local: None,
        }
    }

    /// The next rows of the file as captures.
    pub(crate) fn convert(&mut self, batch: &RecordBatch) -> Result<CaptureBatch, FileError> {
        let envelope = EnvelopeRows {
            name: &self.name,
            first: self.next,
            rows: batch.num_rows(),
            columns: self
                .columns
                .iter()
                .zip(batch.columns())
                .map(|((name, target), array)| (name.as_str(), target, array))
                .collect(),
        };
        let envelope = envelope.read()?;
        self.local = self.local.take().or(envelope.local);
        let envelope = envelope.columns;
        let values = self.values(batch).map_err(|error| self.refused(error))?;
        for (marked, values) in self.marked.iter_mut().zip(&values) {
            *marked += values.marked;
        }
        let unknown = self.unknown_columns(batch).map_err(|error| self.refused(error))?;
        let parts = Parts { envelope, values, unknown };
        let captures =
            parts.assemble(&self.schema, &self.arrow).map_err(|error| self.refused(error))?;
        self.next += i64::try_from(batch.num_rows()).unwrap_or(0);
        Ok(captures)
    }

    /// What turned out while reading.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (marked, place) in self.marked.iter().zip(&self.places) {
            let column = place.and_then(|place| self.columns.get(place));
            if let Some((column, _)) = column.filter(|_| *marked > 0) {
                notes.push(marked_note(&self.name, column, *marked));
            }
        }
        notes.extend(self.local.as_ref().map(|column| local_note(&self.name, column)));
        notes
    }

    fn values(&self, batch: &RecordBatch) -> Result<Vec<Converted>, ArrowError> {
        let columns = self.schema.columns.iter().zip(&self.places);
        columns
            .map(|(column, place)| match place.and_then(|place| batch.columns().get(place)) {
                Some(array) => self.reading.convert(column, array),
                None => Ok(absent(column.kind, batch.num_rows())),
            })
            .collect()
    }

    /// A file's column is in every row of it, but as in the stream, one that is null is not there.
    fn unknown_columns(&self, batch: &RecordBatch) -> Result<Option<ArrayRef>, ArrowError> {
        let mut present: Vec<(&str, BooleanArray)> = Vec::with_capacity(self.unknown.len());
        for (place, name) in &self.unknown {
            let Some(array) = batch.columns().get(*place) else { continue };
            let there = self.reading.present(array)?;
            if there.true_count() > 0 {
                present.push((name, there));
            }
        }
        if present.is_empty() {
            return Ok(None);
        }
        let mut names = ListBuilder::new(StringBuilder::new());
        for row in 0..batch.num_rows() {
            let mut any = false;
            for (name, _) in present.iter().filter(|(_, there)| there.value(row)) {
                names.values().append_value(name);
                any = true;
            }
            names.append(any);
        }
        Ok(Some(Arc::new(names.finish())))
    }

    fn refused(&self, source: ArrowError) -> FileError {
        FileError::Arrow { name: self.name.clone(), source }
    }
}

/// Says that event times were taken for UTC.
pub(crate) fn local_note(name: &str, column: &str) -> String {
    format!("{name}: column {column}: its times say nothing about their zone and are read as UTC")
}

/// The name under which an unknown subject is counted: cut as the stream cuts it.
pub(crate) fn unknown_name(subject: &Subject, string_bytes: usize) -> String {
    match subject.as_str().split_once(':') {
        Some((part, name)) => format!("{part}:{}", cut_text(name, string_bytes)),
        None => cut_text(subject.as_str(), string_bytes).to_owned(),
    }
}

/// A column that a file does not have: missing in every row.
pub(crate) fn absent(kind: Kind, rows: usize) -> Converted {
    let data_type = match kind {
        Kind::Numeric => DataType::Float64,
        Kind::Categorical => DataType::Utf8,
    };
    Converted::new(new_null_array(&data_type, rows), None)
}

pub(crate) struct Parts {
    pub(crate) envelope: Vec<ArrayRef>,
    pub(crate) values: Vec<Converted>,
    /// Names of unknown columns, where a row has any.
    pub(crate) unknown: Option<ArrayRef>,
}

impl Parts {
    /// Puts them together; `arrow` is what `batch_schema` makes of the schema.
    pub(crate) fn assemble(
        self,
        schema: &CaptureSchema,
        arrow: &Schema,
    ) -> Result<CaptureBatch, ArrowError> {
        let rows = self.envelope.first().map_or(0, |column| column.len());
        let mut fields: Vec<Arc<Field>> = arrow.fields().to_vec();
        let mut columns = self.envelope;
        let mut wrong = Vec::new();
        for (column, converted) in schema.columns.iter().zip(self.values) {
            columns.push(converted.values);
            wrong.extend(converted.wrong.map(|wrong| (&column.subject, wrong)));
        }
        for (subject, values) in wrong {
            let name = format!("{WRONG_TYPE_PREFIX}{subject}");
            fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
            columns.push(Arc::new(values));
        }
        if let Some(unknown) = self.unknown {
            fields.push(Arc::new(Field::new(UNKNOWN_COLUMNS, unknown.data_type().clone(), true)));
            columns.push(unknown);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::new(fields));
        Ok(CaptureBatch::new(RecordBatch::try_new_with_options(schema, columns, &options)?)?)
    }
}
