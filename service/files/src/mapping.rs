//! Which column of a file is which column of the model.

use driftline_capture::CaptureSchema;
use driftline_capture::columns::{
    ID, LATENCY_US, OFFSET, RECORD_TIME_US, SAMPLE_RATE, STATUS, TIME_US, VERSION,
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

/// What was said about the columns of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The column that holds the event time; all times are 0 without one.
    pub time: Option<String>,
    /// Columns of the file with the subject each of them is.
    pub renames: Vec<(String, Subject)>,
    /// Whether columns named `id`, `version`, `latency_us`, `status` and `sample_rate` are the
    /// envelope of a request. Where not, they are features like any other, unless the file has
    /// columns named `feature:…` and so is one of captures.
    pub envelope: bool,
}

impl Mapping {
    /// Reads `--rename` values: `FILE_COLUMN=feature:NAME` or `FILE_COLUMN=prediction:NAME`.
    ///
    /// # Errors
    /// A value of another form.
    pub fn parse_renames(values: &[String]) -> Result<Vec<(String, Subject)>, FileError> {
        let wrong = |value: &String| FileError::Option {
            option: "--rename",
            detail: format!(
                "{value:?}: write FILE_COLUMN=feature:NAME or FILE_COLUMN=prediction:NAME"
            ),
        };
        values
            .iter()
            .map(|value| {
                let (column, subject) = value.rsplit_once('=').ok_or_else(|| wrong(value))?;
                let subject = Subject::from(subject);
                if column.is_empty() || subject.column().is_none_or(str::is_empty) {
                    return Err(wrong(value));
                }
                Ok((column.to_owned(), subject))
            })
            .collect()
    }

    /// What each of `columns` is, in their order. Where `monitored` is given, a name that is
    /// monitored as a prediction alone is that prediction, and one monitored as a feature is never
    /// the envelope.
    ///
    /// # Errors
    /// An option that names a column that is not there, or two columns that are one.
    pub fn targets(
        &self,
        name: &str,
        columns: &[String],
        monitored: Option<&CaptureSchema>,
    ) -> Result<Vec<Target>, FileError> {
        let named = self.renames.iter().map(|(column, _)| ("--rename", column));
        for (option, column) in named.chain(self.time.iter().map(|column| ("--time", column))) {
            if !columns.contains(column) {
                return Err(no_such_column(name, columns, option, column));
            }
        }
        let captures = columns.iter().any(|column| is_subject(column));
        let targets: Vec<Target> =
            columns.iter().map(|column| self.target(column, captures, monitored)).collect();
        for (index, target) in targets.iter().enumerate() {
            let earlier = targets.iter().take(index).position(|other| other == target);
            if let (Some(first), Target::Subject(subject)) = (earlier, target) {
                let column = |at: usize| columns.get(at).cloned().unwrap_or_default();
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

    fn target(&self, column: &str, captures: bool, monitored: Option<&CaptureSchema>) -> Target {
        if let Some((_, subject)) = self.renames.iter().find(|(from, _)| from == column) {
            return Target::Subject(subject.clone());
        }
        if self.time.as_deref() == Some(column) {
            return Target::Time;
        }
        if is_subject(column) {
            return Target::Subject(Subject::from(column));
        }
        let has = |subject: &Subject| {
            monitored.is_some_and(|schema| {
                schema.columns.iter().any(|column| column.subject == *subject)
            })
        };
        let (feature, prediction) = (Subject::feature(column), Subject::prediction(column));
        if (self.envelope || captures) && !has(&feature) {
            match column {
                ID => return Target::Id,
                VERSION => return Target::Version,
                LATENCY_US => return Target::LatencyUs,
                STATUS => return Target::Status,
                SAMPLE_RATE => return Target::SampleRate,
                TIME_US if captures && self.time.is_none() => return Target::Time,
                TIME_US | OFFSET | RECORD_TIME_US if captures => return Target::Dropped,
                _ => {}
            }
        }
        let known_feature =
            has(&feature) || monitored.is_some_and(|schema| schema.ignored.contains(&feature));
        Target::Subject(if has(&prediction) && !known_feature { prediction } else { feature })
    }
}

/// Whether a column is named as those of captures are: `feature:…` or `prediction:…`.
fn is_subject(column: &str) -> bool {
    Subject::from(column).column().is_some()
}

pub(crate) fn no_such_column(
    name: &str,
    columns: &[String],
    option: &'static str,
    column: &str,
) -> FileError {
    // Enough to find the typing mistake in a file with thousands of columns.
    const SHOWN: usize = 20;
    let mut shown = columns.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if columns.len() > SHOWN {
        shown.push_str(&format!(" and {} more", columns.len() - SHOWN));
    }
    FileError::NoSuchColumn {
        name: name.to_owned(),
        column: column.to_owned(),
        option,
        columns: shown,
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
            let targets = mapping.targets("file", &columns, Some(&monitored)).unwrap();
            assert_eq!(&targets, expected, "{columns:?}");
        }
    }

    #[test]
    fn impossible_mappings_are_refused() {
        let columns = vec!["x".to_owned(), "feature:x".to_owned()];
        let error = Mapping::default().targets("a.csv", &columns, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.csv: columns x and feature:x both are feature:x: rename or drop one of them"
        );
        let mapping = Mapping { time: Some("when".to_owned()), ..Mapping::default() };
        let error = mapping.targets("a.csv", &columns, None).unwrap_err().to_string();
        assert_eq!(error, "a.csv: no column when (--time); it has x, feature:x");
        for value in ["a", "a=b", "=feature:x", "a=feature:"] {
            assert!(Mapping::parse_renames(&[value.to_owned()]).is_err(), "{value}");
        }
        let renames = Mapping::parse_renames(&["a=b=prediction:p".to_owned()]).unwrap();
        assert_eq!(renames, [("a=b".to_owned(), Subject::prediction("p"))]);
    }
}
