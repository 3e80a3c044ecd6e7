//! JSON Lines: each line goes through the decoder of the stream, so that a value means the same in
//! a file as on a topic.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use driftline_capture::CaptureSchema;
use driftline_config::Model;
use driftline_config::mapping::Mapping;
use driftline_formats::{Decoder, ModelPlan, Outcome, Record, RecordLimits};
use serde_json::{Map, Value};

use super::error::FileError;
use super::profile::{ColumnProfile, Profile};
use super::text::Text;

pub(crate) mod by_map;
mod other;

use other::Other;

/// Bytes that one line may have.
const LINE_BYTES: u64 = 1 << 26;

/// What was found in a file of lines.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// What stands in its columns; `feature:…` and `prediction:…` for captures.
    pub(crate) profile: Profile,
    pub(crate) shape: Shape,
    /// Lines that the stream would not have counted either.
    pub(crate) passed_over: PassedOver,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An object whose keys are columns.
    Flat,
    /// A capture of this model.
    Captures {
        /// The model of the first line, or an empty name where it names none.
        model: String,
        /// How it is read where it is no event of CONTRACTS §3.
        mapping: Option<Box<Mapping>>,
    },
}

/// Lines of a file of captures that are no rows of its model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    pub rejected: u64,
    pub skipped: u64,
    pub control: u64,
    /// Place of the first rejected line, and what is wrong with it.
    pub first_rejection: Option<String>,
}

/// The lines of files that are not blank.
pub(crate) struct Lines {
    paths: Vec<PathBuf>,
    /// How many of them were opened.
    opened: usize,
    reader: Option<Box<dyn BufRead + Send>>,
    buffer: Vec<u8>,
    /// Number of the last line in its file, counted from 1.
    pub(crate) number: u64,
}

impl Lines {
    pub(crate) fn open(paths: &[PathBuf]) -> Lines {
        Lines { paths: paths.to_vec(), opened: 0, reader: None, buffer: Vec::new(), number: 0 }
    }

    /// The file of the last line.
    pub(crate) fn path(&self) -> &Path {
        let last = self.paths.get(self.opened.saturating_sub(1));
        last.map_or(Path::new(""), PathBuf::as_path)
    }

    /// The next line without its end, `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, FileError> {
        loop {
            if self.reader.is_none() {
                let Some(path) = self.paths.get(self.opened) else { return Ok(None) };
                let text = Text::open(path)
                    .map_err(|source| FileError::Io { path: path.clone(), source })?;
                self.reader = Some(text.reader);
                self.opened += 1;
                self.number = 0;
            }
            self.buffer.clear();
            let Some(reader) = &mut self.reader else { return Ok(None) };
            let read = reader.take(LINE_BYTES + 1).read_until(b'\n', &mut self.buffer);
            let path =
                || self.paths.get(self.opened.saturating_sub(1)).cloned().unwrap_or_default();
            let bytes = read.map_err(|source| FileError::Io { path: path(), source })?;
            if bytes == 0 {
                self.reader = None;
                continue;
            }
            self.number += 1;
            if bytes as u64 > LINE_BYTES {
                return Err(FileError::Line {
                    name: path().display().to_string(),
                    line: self.number,
                    detail: format!("longer than {} MiB", LINE_BYTES >> 20),
                });
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(self.buffer.trim_ascii()));
            }
        }
    }
}

/// Reads whole files: their columns, their kinds, and whether their lines are objects. `name` is what
/// the files were named by.
pub(crate) fn survey(
    name: &str,
    paths: &[PathBuf],
    progress: &dyn Fn(u64),
) -> Result<Survey, FileError> {
    let mut lines = Lines::open(paths);
    let mut columns = Columns::default();
    let mut first: Option<First> = None;
    let mut passed_over = PassedOver::default();
    let (mut rows, mut read) = (0, 0_u64);
    while let Some(line) = lines.next()? {
        read += 1;
        let parsed = object(line);
        if first.is_none() {
            first = Some(First::of(name, line, parsed.as_ref().ok())?);
        }
        let captures = first.as_mut().and_then(|first| first.decoder.as_mut());
        let is_captures = captures.is_some();
        if let Some(decoder) = captures {
            let outcome = decoder.decode(&Record { value: Some(line), offset: 0, time_us: None });
            if decoder.count() >= 1024 {
                let _ = decoder.take();
            }
            if !passed_over.is_row(&outcome, lines.path(), lines.number) {
                continue;
            }
        }
        rows += 1;
        match parsed {
            Ok(object) if is_captures => columns.look_at_capture(&object),
            Ok(object) => columns.look_at(None, &object),
            // The decoder reads what serde_json does not, such as numbers beyond all bounds.
            Err(_) if is_captures => {}
            Err(detail) => {
                let name = lines.path().display().to_string();
                return Err(FileError::Line { name, line: lines.number, detail });
            }
        }
        if rows % 8192 == 0 {
            progress(8192);
        }
    }
    progress(rows % 8192);
    let shape = match first {
        Some(First { only: Some(what), .. }) if read == 1 => return Err(what.refused(name)),
        Some(first) => first.shape,
        None => Shape::Flat,
    };
    if rows == 0 && read > 0 {
        return Err(FileError::NoRows { name: name.to_owned(), why: passed_over.why_no_rows() });
    }
    let profile = Profile { rows, columns: columns.columns };
    Ok(Survey { profile, shape, passed_over })
}

/// What the first line says of the others.
struct First {
    shape: Shape,
    decoder: Option<Decoder>,
    /// What the file is, where this is its only line.
    only: Option<Other>,
}

impl First {
    fn of(
        name: &str,
        line: &[u8],
        object: Option<&Map<String, Value>>,
    ) -> Result<First, FileError> {
        let Some(object) = object else {
            if let Some(other) = Other::of_text(line) {
                return Err(other.refused(name));
            }
            return Ok(First { shape: Shape::Flat, decoder: None, only: None });
        };
        let shape = shape_of(object);
        let decoder = match &shape {
            Shape::Flat => None,
            Shape::Captures { model, .. } => {
                let limits = RecordLimits::default();
                Some(captures_decoder(model, None, &CaptureSchema::default(), &limits))
            }
        };
        let only = if decoder.is_none() { Other::of_object(object) } else { None };
        Ok(First { shape, decoder, only })
    }
}

impl PassedOver {
    fn is_row(&mut self, outcome: &Outcome, path: &Path, line: u64) -> bool {
        match outcome {
            Outcome::Row(_) => return true,
            // Only a topic has both halves side by side.
            Outcome::Half(..) => {
                self.rejected += 1;
                self.first_rejection.get_or_insert_with(|| {
                    let path = path.display();
                    format!(
                        "{path}:{line}: half of a request: build from its topic, with --captures"
                    )
                });
            }
            // Lines are texts, and what needs a schema is none.
            Outcome::NeedsSchema(id) => {
                self.rejected += 1;
                self.first_rejection.get_or_insert_with(|| {
                    let path = path.display();
                    format!("{path}:{line}: a record of schema {id}: build from its topic, with --captures")
                });
            }
            Outcome::Heartbeat => self.control += 1,
            // Nobody is asked about names here.
            Outcome::Skipped | Outcome::NeedsModel(_) => self.skipped += 1,
            Outcome::Rejected(rejection) => {
                self.rejected += 1;
                self.first_rejection.get_or_insert_with(|| {
                    format!("{}:{line}: {}: {}", path.display(), rejection.reason, rejection.detail)
                });
            }
        }
        false
    }

    /// What the lines are, where none is a row.
    fn why_no_rows(&self) -> String {
        let mut why = Vec::new();
        if let Some(first) = &self.first_rejection {
            why.push(format!("{} lines rejected; the first: {first}", self.rejected));
        }
        if self.skipped > 0 {
            why.push(format!("{} lines of other models than the first line's", self.skipped));
        }
        if self.control > 0 {
            why.push(format!("{} heartbeats", self.control));
        }
        why.join("; ")
    }
}

/// How a model reads its topic. No line is in the future: nothing says when it was written.
pub(crate) fn plan_of(model: &Model) -> ModelPlan {
    let plan = ModelPlan::new(model, CaptureSchema::default());
    ModelPlan { max_ahead_us: i64::MAX, ..plan }
}

/// A decoder for the captures of one model.
pub(crate) fn captures_decoder(
    model: &str,
    mapping: Option<&Mapping>,
    schema: &CaptureSchema,
    limits: &RecordLimits,
) -> Decoder {
    let model = ModelPlan {
        name: model.to_owned(),
        schema: schema.clone(),
        max_ahead_us: i64::MAX,
        mapping: mapping.cloned(),
    };
    Decoder::new(&[model], limits)
}

/// What the first line says of all lines. Nobody is asked: whoever saves what stands on a topic has a
/// file of captures, whoever saves a table has a file of rows, and both are given to the same option.
/// A table is taken for captures only where it has a column `features` that holds objects beside another
/// field of the envelope, or where a line is a heartbeat and nothing else.
fn shape_of(first: &Map<String, Value>) -> Shape {
    const BESIDE: [&str; 5] = ["ts", "v", "model", "prediction", "id"];
    const OF_HEARTBEAT: [&str; 4] = ["v", "model", "ts", "heartbeat"];
    let features = first.get("features").is_some_and(Value::is_object)
        && BESIDE.iter().any(|key| first.contains_key(*key));
    let heartbeat = first.get("heartbeat") == Some(&Value::Bool(true))
        && first.contains_key("ts")
        && first.keys().all(|key| OF_HEARTBEAT.contains(&key.as_str()));
    if !features && !heartbeat {
        return Shape::Flat;
    }
    let model = first.get("model").and_then(Value::as_str).unwrap_or_default();
    Shape::Captures { model: model.to_owned(), mapping: None }
}

#[derive(Default)]
struct Columns {
    columns: Vec<ColumnProfile>,
    places: HashMap<String, usize>,
}

impl Columns {
    fn look_at_capture(&mut self, capture: &Map<String, Value>) {
        let failed = capture.get("status").and_then(Value::as_f64).is_some_and(|s| s >= 400.0);
        if failed {
            return;
        }
        if let Some(Value::Object(features)) = capture.get("features") {
            self.look_at(Some("feature:"), features);
        }
        match capture.get("prediction") {
            Some(Value::Object(prediction)) => self.look_at(Some("prediction:"), prediction),
            Some(value) if !value.is_null() => self.value("prediction:value", value),
            _ => {}
        }
    }

    fn look_at(&mut self, prefix: Option<&str>, object: &Map<String, Value>) {
        for (key, value) in object {
            match prefix {
                Some(prefix) => self.value(&format!("{prefix}{key}"), value),
                None => self.value(key, value),
            }
        }
    }

    fn value(&mut self, name: &str, value: &Value) {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                self.places.insert(name.to_owned(), self.columns.len());
                self.columns.push(ColumnProfile::new(name));
                self.columns.len() - 1
            }
        };
        let Some(column) = self.columns.get_mut(place) else { return };
        match value {
            Value::Null => {}
            Value::Bool(value) => column.boolean(*value),
            Value::Number(number) => column.number(number.as_f64().unwrap_or(f64::MAX)),
            Value::String(text) => column.text(text, false),
            Value::Array(_) | Value::Object(_) => column.nested += 1,
        }
    }
}

fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    let read = |line: &[u8]| serde_json::from_slice::<Map<String, Value>>(line);
    read(line).or_else(|error| match without_python_numbers(line) {
        Cow::Borrowed(_) => Err(error.to_string()),
        Cow::Owned(line) => read(&line).map_err(|error| error.to_string()),
    })
}

/// The line with `null` for NaN and the largest numbers for the infinities that Python writes: good
/// enough to see what kind of value it is.
fn without_python_numbers(line: &[u8]) -> Cow<'_, [u8]> {
    const TOKENS: [(&[u8], &[u8]); 2] = [(b"NaN", b"null"), (b"Infinity", b"1.7e308")];
    let mut out = Vec::new();
    let mut changed = false;
    let mut in_string = false;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        let rest = line.get(at..).unwrap_or_default();
        let token = TOKENS.iter().find(|(token, _)| !in_string && rest.starts_with(token));
        if let Some((token, plain)) = token {
            out.extend_from_slice(plain);
            at += token.len();
            changed = true;
            continue;
        }
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                out.push(byte);
                at += 1;
                out.extend(line.get(at));
                at += 1;
                continue;
            }
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
    if changed { Cow::Owned(out) } else { Cow::Borrowed(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let table = [
            (r#"{"a":NaN,"b":-Infinity,"c":Infinity}"#, r#"{"a":null,"b":-1.7e308,"c":1.7e308}"#),
            (r#"{"NaN":"Infinity \" NaN","x":NaN}"#, r#"{"NaN":"Infinity \" NaN","x":null}"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
        ];
        for (line, expected) in table {
            let plain = without_python_numbers(line.as_bytes());
            assert_eq!(std::str::from_utf8(&plain).unwrap(), expected);
            assert!(object(line.as_bytes()).is_ok(), "{line}");
        }
        for line in ["", "[1]", "1", r#"{"a":nan}"#, r#"{"a":1}}"#, r#"{"a":1},"b":{}"#] {
            assert!(object(line.as_bytes()).is_err(), "{line}");
        }
    }
}
