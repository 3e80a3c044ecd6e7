//! What stands in the columns of a file, and the kinds that follow from it (CONTRACTS §1).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use driftline_capture::columns::WRONG_TYPE_CHARACTERS;
use driftline_capture::{CaptureBatch, CaptureSchema, Column, Kind};
use driftline_config::Subject;
use driftline_formats::{category_of_f64, coerce_number};

use super::error::FileError;
use super::instant::is_instant_text;
use super::mapping::{Target, no_such_column};
use super::values::{is_instant, is_text, numbers, plain, texts};

/// Distinct texts above which a column is an identifier.
const DISTINCT_TEXTS: usize = 1000;
/// A column of which at least this share are numbers is numeric; the rest are values of the wrong
/// type.
const NUMERIC_SHARE: f64 = 0.9;

/// What stands in the columns of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    pub rows: u64,
    /// The columns, in the order of the file.
    pub columns: Vec<ColumnProfile>,
}

/// What stands in one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnProfile {
    /// As the file names it.
    pub name: String,
    pub numbers: u64,
    pub booleans: u64,
    /// Texts that are no dates.
    pub texts: u64,
    /// Dates and timestamps, typed or as ISO 8601 text.
    pub instants: u64,
    pub nested: u64,
    /// Hashes of the distinct values, until they are more than matter.
    distinct: HashSet<u64>,
}

/// What the operator says about the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Columns of the file whose values are categories whatever they look like.
    pub categorical: Vec<String>,
    /// Columns of the file that are left out.
    pub ignore: Vec<String>,
    /// Subjects in which a string that holds a number is that number (`coerce: true`).
    pub coerced: Vec<Subject>,
}

/// The columns to monitor, and why the others are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inferred {
    /// Monitored columns, and those that are known and not monitored.
    pub schema: CaptureSchema,
    /// One line per column that is skipped, or read other than it looks.
    pub notes: Vec<String>,
}

enum Verdict {
    Kind(Kind),
    Skip(String),
}

impl Profile {
    /// Kinds by what stands in the columns: numbers are numeric; texts and booleans categorical;
    /// dates, identifiers (more than half of the texts distinct, or over 1000) and columns without
    /// values are skipped. Features stand before predictions, both in the order of the file.
    /// `targets` says what each column is.
    ///
    /// # Errors
    /// A choice about a column that is not there, or no column that is left to monitor.
    pub fn infer(
        &self,
        name: &str,
        targets: &[Target],
        choices: &Choices,
    ) -> Result<Inferred, FileError> {
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        if let Some(column) = choices.categorical.iter().find(|column| !names.contains(column)) {
            return Err(no_such_column(name, &names, "--categorical", column));
        }
        let mut inferred = Inferred::default();
        for column in choices.ignore.iter().filter(|column| !names.contains(column)) {
            inferred.notes.push(format!("{name}: no column {column} to ignore"));
            inferred.schema.ignored.push(Subject::of_column(column));
        }
        for (column, target) in self.columns.iter().zip(targets) {
            let Target::Subject(subject) = target else { continue };
            let coerce = choices.coerced.contains(subject);
            match column.verdict(choices, coerce) {
                Verdict::Kind(kind) => {
                    if kind == Kind::Numeric && !coerce && column.numbers < column.values() {
                        inferred.notes.push(format!(
                            "{name}: column {}: numeric; {} of {} values are no numbers",
                            column.name,
                            column.values() - column.numbers,
                            column.values()
                        ));
                    }
                    inferred.schema.columns.push(Column {
                        subject: subject.clone(),
                        kind,
                        coerce: coerce && kind == Kind::Numeric,
                    });
                }
                Verdict::Skip(why) => {
                    inferred.notes.push(format!("{name}: column {} skipped: {why}", column.name));
                    inferred.schema.ignored.push(subject.clone());
                }
            }
        }
        inferred.schema.columns.sort_by_key(Column::is_prediction);
        inferred.schema.ignored.sort_unstable();
        if inferred.schema.columns.is_empty() {
            return Err(FileError::Empty {
                name: name.to_owned(),
                what: "columns to compare: all were skipped; --categorical takes one in",
            });
        }
        Ok(inferred)
    }
}

impl Profile {
    /// Of captures in which nothing has been looked at yet. The schema takes every column as numeric:
    /// what is no number then stands beside them as it is.
    pub fn of_captures(schema: &CaptureSchema) -> Profile {
        let columns = schema.columns.iter();
        let columns = columns.map(|column| ColumnProfile::new(column.subject.as_str())).collect();
        Profile { rows: 0, columns }
    }

    /// Looks at captures of the schema of [`Profile::of_captures`].
    pub fn look_at_captures(&mut self, batch: &CaptureBatch) {
        self.rows += batch.rows() as u64;
        for (column, values) in self.columns.iter_mut().zip(batch.values()) {
            let numbers = values.as_primitive_opt::<Float64Type>();
            for number in numbers.into_iter().flatten().flatten() {
                column.number(number);
            }
            let others = batch.wrong_type(&column.name);
            for text in others.into_iter().flatten().flatten() {
                match text {
                    "true" | "false" => column.booleans += 1,
                    text if is_nested(text) => column.nested += 1,
                    text => column.text(text, false),
                }
            }
        }
    }
}

/// Whether the text is the JSON of a list or an object, or the beginning of one that was cut.
fn is_nested(text: &str) -> bool {
    text.starts_with(['{', '['])
        && (text.chars().count() == WRONG_TYPE_CHARACTERS
            || serde_json::from_str::<serde_json::Value>(text).is_ok())
}

impl ColumnProfile {
    pub(crate) fn new(name: &str) -> ColumnProfile {
        ColumnProfile { name: name.to_owned(), ..ColumnProfile::default() }
    }

    /// Values that are not missing.
    pub fn values(&self) -> u64 {
        self.numbers + self.booleans + self.texts + self.instants + self.nested
    }

    fn verdict(&self, choices: &Choices, coerce: bool) -> Verdict {
        if choices.ignore.contains(&self.name) {
            return Verdict::Skip("--ignore".to_owned());
        }
        if choices.categorical.contains(&self.name) {
            return Verdict::Kind(Kind::Categorical);
        }
        if coerce {
            return Verdict::Kind(Kind::Numeric);
        }
        let values = self.values();
        let most = |count: u64| 2 * count > values;
        if values == 0 {
            return Verdict::Skip("no values".to_owned());
        }
        if self.numbers as f64 >= NUMERIC_SHARE * values as f64 {
            return Verdict::Kind(Kind::Numeric);
        }
        if most(self.nested) {
            return Verdict::Skip("lists or objects".to_owned());
        }
        if most(self.instants) {
            return Verdict::Skip("dates".to_owned());
        }
        let distinct = self.distinct.len();
        if self.booleans == values {
            return Verdict::Kind(Kind::Categorical);
        }
        if distinct > DISTINCT_TEXTS {
            let why = format!("an identifier: over {DISTINCT_TEXTS} distinct texts");
            return Verdict::Skip(format!("{why}; --categorical {} takes it in", self.name));
        }
        if 2 * distinct as u64 > values {
            let why = format!("an identifier: {distinct} distinct texts in {values} values");
            return Verdict::Skip(format!("{why}; --categorical {} takes it in", self.name));
        }
        Verdict::Kind(Kind::Categorical)
    }

    /// Looks at the values of a batch. `untyped` says that they are CSV's text.
    pub(crate) fn look(&mut self, array: &ArrayRef, untyped: bool) -> Result<(), ArrowError> {
        let array = plain(array)?;
        let values = (array.len() - array.logical_null_count()) as u64;
        if is_text(&array) {
            for text in array.as_string::<i32>().iter().flatten() {
                self.text(text, untyped);
            }
        } else if is_instant(&array) {
            self.instants += values;
        } else if array.data_type() == &DataType::Boolean {
            self.booleans += values;
        } else if let Some(numbers) = numbers(&array)? {
            for number in numbers.iter().flatten() {
                self.number(number);
            }
        } else if array.data_type().is_nested() {
            self.nested += values;
        } else {
            for text in texts(&array)?.iter().flatten() {
                self.distinct_text(text);
                self.texts += 1;
            }
        }
        Ok(())
    }

    /// Looks at a number; NaN is missing.
    pub(crate) fn number(&mut self, number: f64) {
        if number.is_nan() {
            return;
        }
        self.numbers += 1;
        // Matters only where texts stand among the numbers.
        if self.texts > 0
            && let Some(text) = category_of_f64(number)
        {
            self.distinct_text(&text);
        }
    }

    /// Looks at a text; one of CSV may be anything.
    pub(crate) fn text(&mut self, text: &str, untyped: bool) {
        if untyped {
            if text.is_empty() {
                return;
            }
            // Leading zeros are those of codes, and a code is no number.
            let code =
                text.starts_with('0') && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
            if let Some(number) = coerce_number(text).filter(|_| !code) {
                self.number(number);
                return;
            }
            if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
                self.booleans += 1;
                return;
            }
        }
        if is_instant_text(text) {
            self.instants += 1;
        } else {
            self.texts += 1;
        }
        self.distinct_text(text);
    }

    fn distinct_text(&mut self, text: &str) {
        if self.distinct.len() <= DISTINCT_TEXTS {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            self.distinct.insert(hasher.finish());
        }
    }
}
