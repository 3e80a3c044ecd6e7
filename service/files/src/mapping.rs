//! Which column of a file is which column of the model.

use std::collections::BTreeMap;

use driftline_capture::CaptureSchema;
use driftline_capture::columns::{
    ID, LATENCY_US, OFFSET, RECORD_TIME_US, SAMPLE_RATE, STATUS, TIME_US, VERSION,
    WRONG_TYPE_PREFIX,
};
use driftline_config::Subject;

use super::error::FileError;

/// What a column of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Subject(Subject),
    Time,
    Id,
    Version,
    LatencyUs,
    Status,
    SampleRate,
    /// Nothing: a file's rows have offsets of their own.
    Dropped,
}

/// A field of a request's envelope that a column of a file may be, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnvelopeField {
    Id,
    Version,
    LatencyUs,
    Status,
    SampleRate,
}

impl EnvelopeField {
    pub(crate) fn of_name(name: &str) -> Option<EnvelopeField> {
        Some(match name {
            ID => EnvelopeField::Id,
            VERSION => EnvelopeField::Version,
            LATENCY_US => EnvelopeField::LatencyUs,
            STATUS => EnvelopeField::Status,
            SAMPLE_RATE => EnvelopeField::SampleRate,
            _ => return None,
        })
    }

    /// Whether a number can be this field: a status is one of HTTP, a rate is a share.
    pub(crate) fn holds(self, number: f64) -> bool {
        match self {
            EnvelopeField::Id | EnvelopeField::Version => true,
            EnvelopeField::LatencyUs => number >= 0.0,
            EnvelopeField::Status => number.fract() == 0.0 && (100.0..600.0).contains(&number),
            EnvelopeField::SampleRate => (0.0..=1.0).contains(&number),
        }
    }

    /// Whether a text that is no number can be this field.
    pub(crate) fn holds_text(self, text: &str) -> bool {
        /// Longer ones count as absent.
        const LONGEST: usize = 256;
        matches!(self, EnvelopeField::Id | EnvelopeField::Version) && text.len() <= LONGEST
    }

    fn target(self) -> Target {
        match self {
            EnvelopeField::Id => Target::Id,
            EnvelopeField::Version => Target::Version,
            EnvelopeField::LatencyUs => Target::LatencyUs,
            EnvelopeField::Status => Target::Status,
            EnvelopeField::SampleRate => Target::SampleRate,
        }
    }
}

/// The columns of a file, as far as what each of them is depends on them.
pub(crate) struct FileColumns<'a> {
    /// File name or query, for errors.
    pub(crate) name: &'a str,
    pub(crate) names: &'a [String],
    /// Those that the file says are an index.
    pub(crate) index: &'a [String],
    /// Whether the values of a column, by its place, can be the field whose name it has.
    pub(crate) fits_envelope: &'a dyn Fn(usize) -> Result<bool, FileError>,
}

impl FileColumns<'_> {
    /// Whether pandas wrote the column for the index of its frame.
    pub(crate) fn is_index(&self, column: &str) -> bool {
        let numbered = |rest: &str| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        column.is_empty()
            || self.index.iter().any(|index| index == column)
            || column.strip_prefix("Unnamed: ").is_some_and(numbered)
            || column
                .strip_prefix("__index_level_")
                .and_then(|rest| rest.strip_suffix("__"))
                .is_some_and(numbered)
    }

    /// What is to be said of columns that are no features, though nobody asked for that.
    pub(crate) fn notes(&self, targets: &[Target]) -> Vec<String> {
        let named = |wanted: &dyn Fn(&str, &Target) -> bool| -> Vec<&String> {
            let columns = self.names.iter().zip(targets);
            columns.filter(|(name, target)| wanted(name, target)).map(|(name, _)| name).collect()
        };
        let captures = is_exported(self.names) || self.names.iter().any(|name| is_subject(name));
        let envelope = named(&|name, target| {
            EnvelopeField::of_name(name).is_some_and(|field| field.target() == *target)
        });
        let index = named(&|name, target| *target == Target::Dropped && self.is_index(name));
        let mut notes = Vec::new();
        if !envelope.is_empty() && !captures {
            let renames: Vec<String> =
                envelope.iter().map(|name| format!("--rename {name}=feature:{name}")).collect();
            notes.push(format!(
                "{}: taken for the envelope of a request, not for features: {}; {} keeps a column as a feature",
                self.name,
                listed(&envelope),
                renames.join(" ")
            ));
        }
        if !index.is_empty() {
            let quoted: Vec<String> = index.iter().map(|name| format!("{name:?}")).collect();
            notes.push(format!(
                "{}: left out as an index: {}; --rename COLUMN=feature:NAME keeps one as a feature",
                self.name,
                quoted.join(", ")
            ));
        }
        notes
    }
}

/// Names with commas between them; of many, the first.
fn listed(names: &[&String]) -> String {
    // Enough to find the typing mistake in a file with thousands of columns.
    const SHOWN: usize = 20;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(|name| name.as_str()).collect();
    let mut text = shown.join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// What was said about the columns of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The column that holds the event time; all times are 0 without one.
    pub time: Option<String>,
    /// Columns of the file with the subject each of them is.
    pub renames: Vec<(String, Subject)>,
    /// Whether columns named `id`, `version`, `latency_us`, `status` and `sample_rate` are the
    /// envelope of a request, where their values can be. Where not, they are features like any other,
    /// unless the file has columns named `feature:…` and so is one of captures.
    pub envelope: bool,
}

impl Mapping {
    /// Reads `--rename` values: `FILE_COLUMN=feature:NAME` or `FILE_COLUMN=prediction:NAME`, or
    /// `@FILE` with such lines or a YAML mapping of the one to the other.
    ///
    /// # Errors
    /// A value of another form, or a file of renames that cannot be read.
    pub fn parse_renames(values: &[String]) -> Result<Vec<(String, Subject)>, FileError> {
        let mut renames = Vec::new();
        for value in values {
            match value.strip_prefix('@') {
                Some(path) => renames.extend(renames_of(path)?),
                None => renames.push(rename_of(value, &format!("{value:?}"))?),
            }
        }
        Ok(renames)
    }

    /// What each of `columns` is, in their order. Where `monitored` is given, a name that is
    /// monitored as a prediction alone is that prediction, and one monitored as a feature is never
    /// the envelope.
    ///
    /// # Errors
    /// An option that names a column that is not there, or two columns that are one.
    pub(crate) fn targets(
        &self,
        columns: &FileColumns<'_>,
        monitored: Option<&CaptureSchema>,
    ) -> Result<Vec<Target>, FileError> {
        let FileColumns { name, names, .. } = *columns;
        let named = self.renames.iter().map(|(column, _)| ("--rename", column));
        for (option, column) in named.chain(self.time.iter().map(|column| ("--time", column))) {
            if !names.contains(column) {
                return Err(no_such_column(name, names, option, column));
            }
        }
        let exported = is_exported(names);
        let captures = exported || names.iter().any(|name| is_subject(name));
        let place = Place { columns, captures, exported, monitored };
        let targets = (0..).zip(names).map(|(at, column)| self.target(at, column, &place));
        let targets: Vec<Target> = targets.collect::<Result<_, _>>()?;
        for (index, target) in targets.iter().enumerate() {
            let earlier = targets.iter().take(index).position(|other| other == target);
            if let (Some(first), Target::Subject(subject)) = (earlier, target) {
                let column = |at: usize| names.get(at).cloned().unwrap_or_default();
                return Err(FileError::Twice {
                    name: name.to_owned(),
                    first: column(first),
                    second: column(index),
                    subject: subject.clone(),
                });
            }
        }
        Ok(targets)
    }

    fn target(&self, at: usize, column: &str, place: &Place<'_>) -> Result<Target, FileError> {
        if let Some((_, subject)) = self.renames.iter().find(|(from, _)| from == column) {
            return Ok(Target::Subject(subject.clone()));
        }
        if self.time.as_deref() == Some(column) {
            return Ok(Target::Time);
        }
        if is_subject(column) {
            return Ok(Target::Subject(Subject::from(column)));
        }
        let captures = place.captures;
        let (feature, prediction) = (Subject::feature(column), Subject::prediction(column));
        if (self.envelope || captures) && !place.has(&feature) {
            match EnvelopeField::of_name(column) {
                Some(field) if captures || (place.columns.fits_envelope)(at)? => {
                    return Ok(field.target());
                }
                _ => {}
            }
            match column {
                "topic" | "partition" if place.exported => return Ok(Target::Dropped),
                "ts" if place.exported && self.time.is_none() => return Ok(Target::Time),
                _ if captures && is_misfit(column) => return Ok(Target::Dropped),
                TIME_US if captures && self.time.is_none() => return Ok(Target::Time),
                TIME_US | OFFSET | RECORD_TIME_US if captures => return Ok(Target::Dropped),
                _ => {}
            }
        }
        let known_feature = place.has(&feature) || place.ignores(&feature);
        Ok(if place.has(&prediction) && !known_feature {
            Target::Subject(prediction)
        } else if !known_feature && place.columns.is_index(column) {
            Target::Dropped
        } else {
            Target::Subject(feature)
        })
    }
}

/// Where a column stands.
struct Place<'a> {
    columns: &'a FileColumns<'a>,
    /// Whether the file is one of captures.
    captures: bool,
    /// Whether `driftline export` wrote it.
    exported: bool,
    monitored: Option<&'a CaptureSchema>,
}

impl Place<'_> {
    fn has(&self, subject: &Subject) -> bool {
        let columns = self.monitored.map(|schema| &schema.columns);
        columns.is_some_and(|columns| columns.iter().any(|column| column.subject == *subject))
    }

    fn ignores(&self, subject: &Subject) -> bool {
        self.monitored.is_some_and(|schema| schema.ignored.contains(subject))
    }
}

fn rename_of(value: &str, place: &str) -> Result<(String, Subject), FileError> {
    let wrong = || FileError::Option {
        option: "--rename",
        detail: format!(
            "{place}: write FILE_COLUMN=feature:NAME or FILE_COLUMN=prediction:NAME, or @FILE with such lines"
        ),
    };
    let (column, subject) = value.rsplit_once('=').ok_or_else(wrong)?;
    renamed(column, subject).ok_or_else(wrong)
}

fn renamed(column: &str, subject: &str) -> Option<(String, Subject)> {
    let subject = Subject::from(subject);
    let named = !column.is_empty() && !subject.column().is_none_or(str::is_empty);
    named.then(|| (column.to_owned(), subject))
}

/// The renames of a file: lines, or a YAML mapping.
fn renames_of(path: &str) -> Result<Vec<(String, Subject)>, FileError> {
    let wrong = |detail: String| FileError::Option { option: "--rename", detail };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("@{path}: {error}")))?;
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    let lines: Vec<(usize, &str)> =
        lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    if lines.iter().all(|(_, line)| line.contains('=')) {
        let rename = |(number, line): &(usize, &str)| {
            let sides: Vec<&str> = line.rsplitn(2, '=').map(str::trim).collect();
            let line: Vec<&str> = sides.into_iter().rev().collect();
            rename_of(&line.join("="), &format!("@{path}:{number}"))
        };
        return lines.iter().map(rename).collect();
    }
    let mapping: BTreeMap<String, String> = serde_saphyr::from_str(&text).map_err(|_| {
        wrong(format!(
            "@{path}: write lines FILE_COLUMN=feature:NAME, or YAML such as \"FILE_COLUMN\": feature:NAME"
        ))
    })?;
    let rename = |(column, subject): (&String, &String)| {
        renamed(column, subject).ok_or_else(|| {
            wrong(format!("@{path}: {column}: {subject:?}: write feature:NAME or prediction:NAME"))
        })
    };
    mapping.iter().map(rename).collect()
}

/// Whether a column is named as those of captures are: `feature:…` or `prediction:…`.
fn is_subject(column: &str) -> bool {
    Subject::from(column).column().is_some()
}

/// Whether the columns begin as those do that `driftline export` writes.
fn is_exported(names: &[String]) -> bool {
    const FIRST: [&str; 4] = ["topic", "partition", "offset", "ts"];
    names.len() > FIRST.len() && names.iter().zip(FIRST).all(|(name, first)| name == first)
}

/// Whether a column holds the values of another one that are of the wrong type.
fn is_misfit(column: &str) -> bool {
    column.strip_prefix(WRONG_TYPE_PREFIX).is_some_and(is_subject)
}

pub(crate) fn no_such_column(
    name: &str,
    columns: &[String],
    option: &'static str,
    column: &str,
) -> FileError {
    FileError::NoSuchColumn {
        name: name.to_owned(),
        column: column.to_owned(),
        option,
        columns: listed(&columns.iter().collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_capture::{Column, Kind};

    fn schema(subjects: &[&str], ignored: &[&str]) -> CaptureSchema {
        let column = |subject: &&str| Column {
            subject: Subject::from(*subject),
            kind: Kind::Numeric,
            coerce: false,
        };
        CaptureSchema {
            columns: subjects.iter().map(column).collect(),
            ignored: ignored.iter().map(|subject| Subject::from(*subject)).collect(),
        }
    }

    fn targets(
        mapping: &Mapping,
        names: &[String],
        monitored: Option<&CaptureSchema>,
    ) -> Result<Vec<Target>, FileError> {
        let columns =
            FileColumns { name: "a.csv", names, index: &[], fits_envelope: &|_| Ok(true) };
        mapping.targets(&columns, monitored)
    }

    #[test]
    fn names_become_targets() {
        let model = Mapping { envelope: true, ..Mapping::default() };
        let timed = Mapping { time: Some("departed".to_owned()), ..model.clone() };
        let renamed = Mapping {
            renames: vec![("p".to_owned(), Subject::prediction("score"))],
            ..model.clone()
        };
        let monitored =
            schema(&["feature:x", "feature:status", "prediction:score"], &["feature:label"]);
        let subject = |text: &str| Target::Subject(Subject::from(text));
        let table: &[(&Mapping, &[&str], &[Target])] = &[
            (&model, &["x", "id", "version"], &[subject("feature:x"), Target::Id, Target::Version]),
            (&model, &["score", "label"], &[subject("prediction:score"), subject("feature:label")]),
            (&model, &["status", "latency_us"], &[subject("feature:status"), Target::LatencyUs]),
            (&timed, &["departed", "time_us"], &[Target::Time, subject("feature:time_us")]),
            (
                &renamed,
                &["p", "prediction:other"],
                &[subject("prediction:score"), subject("prediction:other")],
            ),
            (
                &Mapping::default(),
                &["id", "version"],
                &[subject("feature:id"), subject("feature:version")],
            ),
            (
                &Mapping::default(),
                &["offset", "time_us", "sample_rate", "feature:x"],
                &[Target::Dropped, Target::Time, Target::SampleRate, subject("feature:x")],
            ),
        ];
        for (mapping, columns, expected) in table {
            let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
            let targets = targets(mapping, &columns, Some(&monitored)).unwrap();
            assert_eq!(&targets, expected, "{columns:?}");
        }
    }

    #[test]
    fn impossible_mappings_are_refused() {
        let columns = vec!["x".to_owned(), "feature:x".to_owned()];
        let error = targets(&Mapping::default(), &columns, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.csv: columns x and feature:x both are feature:x: rename or drop one of them"
        );
        let mapping = Mapping { time: Some("when".to_owned()), ..Mapping::default() };
        let error = targets(&mapping, &columns, None).unwrap_err().to_string();
        assert_eq!(error, "a.csv: no column when (--time); it has x, feature:x");
        for value in ["a", "a=b", "=feature:x", "a=feature:"] {
            assert!(Mapping::parse_renames(&[value.to_owned()]).is_err(), "{value}");
        }
        let renames = Mapping::parse_renames(&["a=b=prediction:p".to_owned()]).unwrap();
        assert_eq!(renames, [("a=b".to_owned(), Subject::prediction("p"))]);
    }
}
