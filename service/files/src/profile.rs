//! What stands in the columns of a file, and the kinds that follow from it (CONTRACTS §1).

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use driftline_capture::columns::WRONG_TYPE_CHARACTERS;
use driftline_capture::{CaptureBatch, CaptureSchema, Column, Kind};
use driftline_config::Subject;
use driftline_formats::{InstantText, category_of_f64, coerce_number, read_instant};

use super::error::FileError;
use super::mapping::{EnvelopeField, Target, no_such_column};
use super::values::{is_instant, is_text, numbers, plain, says_missing, texts};

mod sample;

use sample::Sample;

/// A column of which at least this share are numbers is numeric; the rest are values of the wrong
/// type.
const NUMERIC_SHARE: f64 = 0.9;
/// A column of which more than this share are digits behind a leading zero holds codes, such as postal
/// codes; below it, numbers of which some were written oddly.
const CODE_SHARE: f64 = 0.01;
/// A column of which at least this share could be a field of the envelope may be that field.
const ENVELOPE_SHARE: f64 = 0.9;

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
    /// Of the numbers, those of CSV without a point or an exponent.
    whole: u64,
    /// Of the instants, those that are days.
    days: u64,
    /// Of the instants, those in a zone that is only named.
    zoned: u64,
    /// Of the texts, those of CSV that are digits behind a leading zero.
    codes: u64,
    /// Of the texts, those of CSV that say among numbers that there is none.
    marked: u64,
    /// Dates and timestamps, typed or as ISO 8601 text.
    pub instants: u64,
    pub nested: u64,
    sample: Sample,
    /// The field of the envelope that has this name, and how many values it could hold.
    envelope: Option<EnvelopeField>,
    envelope_values: u64,
}

/// What the operator says about the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Columns whose values are categories whatever they look like, by their name in the file or in the
    /// model.
    pub categorical: Vec<String>,
    /// Columns that are left out, likewise.
    pub ignore: Vec<String>,
    /// Columns that are numbers whatever they look like, likewise: a text that holds a number is that number.
    pub numeric: Vec<String>,
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
    /// How many columns are skipped.
    pub skipped: u64,
    /// Every column that may be monitored, in the order of the file.
    pub kinds: Vec<ColumnKind>,
}

/// What a column is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnKind {
    /// As the file names it.
    pub column: String,
    /// `None` where it is skipped.
    pub kind: Option<Kind>,
    /// What it is taken for it by, in a few words.
    pub why: String,
}

enum Verdict {
    Kind(Kind),
    Skip(String),
}

impl Profile {
    /// Kinds by what stands in the columns: numbers are numeric; texts and booleans categorical;
    /// dates, identifiers (two rows hardly ever have the same text) and columns without values are
    /// skipped. Features stand before predictions, both in the order of the file. `targets` says what
    /// each column is.
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
        let place = |chosen: &String| place_of(chosen, &names, targets);
        let chosen = |columns: &[String], option: &'static str| {
            let missing = |chosen| no_such_column(name, &names, option, chosen);
            let places = columns.iter().map(|it| place(it).ok_or_else(|| missing(it)));
            places.collect::<Result<Vec<usize>, FileError>>()
        };
        let categorical = chosen(&choices.categorical, "--categorical")?;
        let numeric = chosen(&choices.numeric, "--kind")?;
        let mut inferred = Inferred::default();
        let mut ignored = Vec::new();
        for chosen in &choices.ignore {
            if let Some(place) = place(chosen) {
                ignored.push(place);
                continue;
            }
            inferred.notes.push(format!("{name}: no column {chosen} to ignore"));
            inferred.schema.ignored.push(Subject::of_column(chosen));
        }
        for (place, (column, target)) in self.columns.iter().zip(targets).enumerate() {
            let Target::Subject(subject) = target else { continue };
            let coerce = numeric.contains(&place) || choices.coerced.contains(subject);
            let verdict = if ignored.contains(&place) {
                Verdict::Skip("--ignore".to_owned())
            } else if categorical.contains(&place) {
                Verdict::Kind(Kind::Categorical)
            } else if coerce {
                Verdict::Kind(Kind::Numeric)
            } else {
                column.verdict()
            };
            let said = coerce || categorical.contains(&place);
            inferred.kinds.push(column.taken_for(&verdict, said));
            match verdict {
                Verdict::Kind(kind) => {
                    inferred.notes.extend(column.misfits(name, kind).filter(|_| !coerce));
                    inferred.schema.columns.push(Column {
                        subject: subject.clone(),
                        kind,
                        coerce: coerce && kind == Kind::Numeric,
                    });
                }
                Verdict::Skip(why) => {
                    inferred.skipped += 1;
                    inferred.notes.push(format!("{name}: column {} skipped: {why}", column.name));
                    inferred.schema.ignored.push(subject.clone());
                }
            }
        }
        inferred.schema.columns.sort_by_key(Column::is_prediction);
        inferred.schema.ignored.sort_unstable();
        if inferred.schema.columns.is_empty() {
            return Err(FileError::NothingLeft {
                name: name.to_owned(),
                skipped: inferred.notes.join("; "),
            });
        }
        Ok(inferred)
    }
}

/// The column that is meant: by its name in the file, else by that in the model, with or without
/// `feature:` and `prediction:`.
fn place_of(chosen: &str, names: &[String], targets: &[Target]) -> Option<usize> {
    let of_model = |target: &Target| match target {
        Target::Subject(subject) => subject.as_str() == chosen || subject.name() == chosen,
        _ => false,
    };
    let by_name = names.iter().position(|name| name == chosen);
    by_name.or_else(|| targets.iter().position(of_model))
}

impl Profile {
    /// Of captures in which nothing has been looked at yet. The schema takes every column as numeric:
    /// what is no number then stands beside them as it is.
    pub fn of_captures(schema: &CaptureSchema) -> Profile {
        let columns = schema.columns.iter();
        let columns = columns.map(|column| ColumnProfile::new(column.subject.as_str())).collect();
        Profile { rows: 0, columns }
    }

    /// Looks at rows of the file of this name; `untyped` says that their values are CSV's text.
    pub(crate) fn look(
        &mut self,
        name: &str,
        batch: &RecordBatch,
        untyped: bool,
    ) -> Result<(), FileError> {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            let refused = |source| FileError::Arrow { name: name.to_owned(), source };
            column.look(array, untyped).map_err(refused)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
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
                    "true" | "false" => column.boolean(text == "true"),
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

/// Says that texts of CSV were read as missing numbers.
pub(crate) fn marked_note(name: &str, column: &str, marked: u64) -> String {
    format!(
        "{name}: column {column}: {marked} texts such as NA read as missing, where numbers are expected"
    )
}

impl ColumnProfile {
    pub(crate) fn new(name: &str) -> ColumnProfile {
        let envelope = EnvelopeField::of_name(name);
        ColumnProfile { name: name.to_owned(), envelope, ..ColumnProfile::default() }
    }

    /// Values that are not missing.
    pub fn values(&self) -> u64 {
        self.numbers + self.booleans + self.texts + self.instants + self.nested
    }

    /// Whether the column may be the field of the envelope whose name it has.
    pub(crate) fn fits_envelope(&self) -> bool {
        self.envelope.is_some()
            && self.envelope_values as f64 >= ENVELOPE_SHARE * (self.values() - self.marked) as f64
    }

    /// What is to be said of texts that say that there is no number.
    pub(crate) fn marked_note(&self, name: &str) -> Option<String> {
        (self.marked > 0).then(|| marked_note(name, &self.name, self.marked))
    }

    /// The type that holds every value of a column of CSV.
    pub(crate) fn sql_type(&self) -> DataType {
        let values = self.values() - self.marked;
        match values {
            0 => DataType::Utf8,
            _ if self.whole == values => DataType::Int64,
            _ if self.numbers == values => DataType::Float64,
            _ if self.booleans == self.values() => DataType::Boolean,
            _ if self.days == self.values() => DataType::Date32,
            _ if self.instants - self.zoned == self.values() => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            _ => DataType::Utf8,
        }
    }

    /// The kind of its values, where they are of any.
    pub fn kind(&self) -> Option<Kind> {
        match self.verdict() {
            Verdict::Kind(kind) => Some(kind),
            Verdict::Skip(_) => None,
        }
    }

    fn is_numeric(&self) -> bool {
        // What says that there is no number is no text where the rest are numbers.
        let values = (self.values() - self.marked) as f64;
        self.numbers > 0
            && self.numbers as f64 >= NUMERIC_SHARE * (values - self.codes as f64)
            && self.codes as f64 <= CODE_SHARE * values
    }

    fn verdict(&self) -> Verdict {
        let values = self.values();
        let most = |count: u64| 2 * count > values;
        if values == self.marked {
            return Verdict::Skip("no values".to_owned());
        }
        if self.is_numeric() {
            return Verdict::Kind(Kind::Numeric);
        }
        if most(self.nested) {
            return Verdict::Skip("lists or objects".to_owned());
        }
        if most(self.instants) {
            return Verdict::Skip("dates".to_owned());
        }
        if self.booleans == values {
            return Verdict::Kind(Kind::Categorical);
        }
        match self.sample.identifier() {
            Some(of) => Verdict::Skip(format!(
                "an identifier: {of}; --categorical {} takes it in",
                self.name
            )),
            None => Verdict::Kind(Kind::Categorical),
        }
    }

    /// What the column is taken for; `said` says that its kind was declared.
    fn taken_for(&self, verdict: &Verdict, said: bool) -> ColumnKind {
        let values = self.values() - self.marked;
        let (kind, why) = match verdict {
            Verdict::Skip(why) => (None, why.clone()),
            Verdict::Kind(kind) if said => (Some(*kind), "as you say".to_owned()),
            Verdict::Kind(Kind::Numeric) if self.numbers == values => {
                (Some(Kind::Numeric), "numbers".to_owned())
            }
            Verdict::Kind(Kind::Numeric) => {
                (Some(Kind::Numeric), format!("{} of {values} values are numbers", self.numbers))
            }
            Verdict::Kind(kind) if self.booleans == values => (Some(*kind), "booleans".to_owned()),
            Verdict::Kind(kind) if self.codes > 0 => {
                (Some(*kind), format!("{} of {values} values begin with a zero: codes", self.codes))
            }
            Verdict::Kind(kind) => (Some(*kind), "texts".to_owned()),
        };
        ColumnKind { column: self.name.clone(), kind, why }
    }

    /// What is to be said of values that are not of the kind of their column.
    fn misfits(&self, name: &str, kind: Kind) -> Option<String> {
        let values = self.values() - self.marked;
        if kind == Kind::Categorical || self.numbers == values {
            return None;
        }
        Some(format!(
            "{name}: column {}: numeric; {} of {values} values are no numbers",
            self.name,
            values - self.numbers,
        ))
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
            for value in array.as_boolean().iter().flatten() {
                self.boolean(value);
            }
        } else if let Some(numbers) = numbers(&array)? {
            for number in numbers.iter().flatten() {
                self.number(number);
            }
        } else if array.data_type().is_nested() {
            self.nested += values;
        } else {
            for text in texts(&array)?.iter().flatten() {
                self.text(text, false);
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
        self.envelope_values += u64::from(self.envelope.is_some_and(|field| field.holds(number)));
        // Matters only where texts stand among the numbers.
        self.sample.offer(|| category_of_f64(number).unwrap_or_default());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.booleans += 1;
        self.sample.offer(|| value.to_string());
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
                let whole = number.fract() == 0.0 && !text.contains(['.', 'e', 'E']);
                self.whole += u64::from(whole);
                self.number(number);
                return;
            }
            if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
                self.boolean(text.eq_ignore_ascii_case("true"));
                return;
            }
            self.codes += u64::from(code && text.bytes().all(|byte| byte.is_ascii_digit()));
            self.marked += u64::from(says_missing(text));
        }
        let holds = self.envelope.is_some_and(|field| match coerce_number(text) {
            Some(number) => field.holds(number),
            None => field.holds_text(text),
        });
        self.envelope_values += u64::from(holds);
        match read_instant(text.as_bytes()) {
            Some(instant) => {
                self.instants += 1;
                /// Bytes of a date without a time.
                const DAY: usize = 10;
                self.days += u64::from(text.len() == DAY);
                self.zoned += u64::from(instant == InstantText::Zoned);
            }
            None => self.texts += 1,
        }
        self.sample.offer(|| text.to_owned());
    }
}
