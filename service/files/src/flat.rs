//! Lines whose keys are columns, through the decoder of the stream.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, ListBuilder, StringBuilder};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use driftline_capture::columns::batch_schema;
use driftline_capture::{CaptureBatch, CaptureSchema, Column, Kind};
use driftline_config::Subject;
use driftline_formats::{Decoder, Outcome, Record, RecordLimits};

use super::convert::{Parts, absent, local_note, unknown_name};
use super::envelope::EnvelopeRows;
use super::error::FileError;
use super::lines::captures_decoder;
use super::mapping::Target;
use super::values::Converted;

/// Decodes lines by putting each into the `features` of a capture, and names the columns of the
/// result by what they are.
#[derive(Debug)]
pub(crate) struct FlatDecoder {
    name: String,
    columns: Vec<(String, Target)>,
    schema: CaptureSchema,
    arrow: Schema,
    /// Unknown columns whose subject is not `feature:` and the key: by that name.
    renamed: HashMap<String, String>,
    decoder: Decoder,
    record: Vec<u8>,
    next: i64,
    lines: u64,
    /// The column of event times that say nothing about their zone.
    local: Option<String>,
}

impl FlatDecoder {
    pub(crate) fn new(
        name: &str,
        columns: Vec<(String, Target)>,
        schema: &CaptureSchema,
        limits: &RecordLimits,
    ) -> FlatDecoder {
        let mut keys = CaptureSchema::default();
        let mut renamed = HashMap::new();
        for (key, target) in &columns {
            let subject = Subject::feature(key);
            let text = Column { subject: subject.clone(), kind: Kind::Categorical, coerce: false };
            match target {
                Target::Subject(wanted) => {
                    let monitored = schema.columns.iter().find(|column| column.subject == *wanted);
                    if let Some(column) = monitored {
                        keys.columns.push(Column { subject, ..column.clone() });
                    } else if schema.ignored.contains(wanted) {
                        keys.ignored.push(subject);
                    } else {
                        let unknown =
                            |subject: &Subject| unknown_name(subject, limits.string_bytes);
                        renamed.insert(unknown(&subject), unknown(wanted));
                    }
                }
                Target::Dropped => keys.ignored.push(subject),
                _ => keys.columns.push(text),
            }
        }
        renamed.retain(|from, to| from != to);
        // A file's lines were checked when it was opened: only their values matter here.
        let limits = RecordLimits { record_bytes: usize::MAX, ..*limits };
        FlatDecoder {
            name: name.to_owned(),
            columns,
            schema: schema.clone(),
            arrow: batch_schema(schema),
            renamed,
            decoder: captures_decoder("", None, &keys, &limits),
            record: Vec::new(),
            next: 0,
            lines: 0,
            local: None,
        }
    }

    /// Lines decoded since the last [`FlatDecoder::take`].
    pub(crate) fn count(&self) -> usize {
        self.decoder.count()
    }

    pub(crate) fn decode(&mut self, line: &[u8]) -> Result<(), FileError> {
        self.lines += 1;
        self.record.clear();
        // 2000-01-01, the first instant that is read; the rows get their times from their columns.
        self.record.extend_from_slice(br#"{"ts":946684800000,"features":"#);
        self.record.extend_from_slice(line);
        self.record.push(b'}');
        let record = Record { value: Some(&self.record), offset: 0, time_us: None };
        match self.decoder.decode(&record) {
            Outcome::Row(_) => Ok(()),
            outcome => {
                let detail = match outcome {
                    Outcome::Rejected(rejection) => rejection.detail,
                    _ => "not a row".to_owned(),
                };
                Err(FileError::Line { name: self.name.clone(), line: self.lines, detail })
            }
        }
    }

    /// Hands over the rows decoded since the last time.
    pub(crate) fn take(&mut self) -> Result<Option<CaptureBatch>, FileError> {
        let decoded = self.decoder.take().map_err(|error| self.refused(error))?;
        let Some(keys) = decoded.rows.into_iter().next().map(|rows| rows.rows) else {
            return Ok(None);
        };
        let rows = keys.rows();
        let arrays: Vec<(&str, &Target, &ArrayRef)> = self
            .columns
            .iter()
            .filter_map(|(key, target)| {
                let array = keys.record_batch().column_by_name(&format!("feature:{key}"))?;
                Some((key.as_str(), target, array))
            })
            .collect();
        let mut values = Vec::with_capacity(self.schema.columns.len());
        for column in &self.schema.columns {
            let target = Target::Subject(column.subject.clone());
            let found = arrays.iter().find(|(_, other, _)| **other == target);
            values.push(match found {
                Some((key, _, array)) => {
                    let wrong = keys.wrong_type(&format!("feature:{key}")).cloned();
                    Converted::new(Arc::clone(array), wrong)
                }
                None => absent(column.kind, rows),
            });
        }
        let unknown = keys.unknown_columns().map(|names| self.subjects(names));
        let envelope =
            EnvelopeRows { name: &self.name, first: self.next, rows, columns: arrays }.read()?;
        self.local = self.local.take().or(envelope.local);
        let parts = Parts { envelope: envelope.columns, values, unknown };
        let captures =
            parts.assemble(&self.schema, &self.arrow).map_err(|error| self.refused(error))?;
        self.next += i64::try_from(rows).unwrap_or(0);
        Ok(Some(captures))
    }

    /// What turned out while reading.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.local.iter().map(|column| local_note(&self.name, column)).collect()
    }

    fn subjects(&self, names: &ListArray) -> ArrayRef {
        if self.renamed.is_empty() {
            return Arc::new(names.clone());
        }
        let mut subjects = ListBuilder::new(StringBuilder::new());
        for row in names.iter() {
            subjects.append_option(row.map(|names| {
                let rename =
                    |name: &str| self.renamed.get(name).cloned().unwrap_or_else(|| name.to_owned());
                let names: Vec<Option<String>> =
                    names.as_string::<i32>().iter().map(|name| name.map(rename)).collect();
                names
            }));
        }
        Arc::new(subjects.finish())
    }

    fn refused(&self, source: ArrowError) -> FileError {
        FileError::Arrow { name: self.name.clone(), source }
    }
}
