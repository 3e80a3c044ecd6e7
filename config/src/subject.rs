//! What a finding is about: a feature, a prediction, or the model's latency, status or volume.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

const FEATURE: &str = "feature:";
const PREDICTION: &str = "prediction:";

/// A subject as reports write it: `feature:X`, `prediction:X`, `prediction:X@VERSION`, `latency`,
/// `status` or `model`. Its order is that of its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(String);

impl Subject {
    /// `feature:NAME`
    pub fn feature(name: &str) -> Subject {
        Subject(format!("{FEATURE}{name}"))
    }

    /// `prediction:NAME`, of all versions.
    pub fn prediction(name: &str) -> Subject {
        Subject(format!("{PREDICTION}{name}"))
    }

    /// The subject of a column that the operator wrote: a bare name means a feature.
    pub fn of_column(text: &str) -> Subject {
        match column_name(text) {
            Some(_) => Subject(text.to_owned()),
            None => Subject::feature(text),
        }
    }

    /// The predictions of one version: `prediction:X@VERSION`.
    pub fn of_version(&self, version: &str) -> Subject {
        Subject(format!("{}@{version}", self.0))
    }

    /// As reports write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a column of the requests.
    pub fn is_feature(&self) -> bool {
        self.0.starts_with(FEATURE)
    }

    /// Whether it is a column of the answers, of all versions or of one.
    pub fn is_prediction(&self) -> bool {
        self.0.starts_with(PREDICTION)
    }

    /// The name without its kind: `dep_delay`, `score@3`, `latency`.
    pub fn name(&self) -> &str {
        column_name(&self.0).unwrap_or(&self.0)
    }

    /// The column's name, where the subject is a feature or a prediction.
    pub fn column(&self) -> Option<&str> {
        column_name(&self.0)
    }

    /// The column's name as people read it: `dep_delay`, `score of version 3`; `None` where the
    /// subject is no column.
    pub fn column_words(&self) -> Option<String> {
        let name = self.column()?;
        // Only predictions are judged by version: an `@` in a feature's name is part of the name.
        let version = name.rsplit_once('@').filter(|_| self.is_prediction());
        Some(version.map_or_else(
            || name.to_owned(),
            |(column, version)| format!("{column} of version {version}"),
        ))
    }

    /// Whether this is `column`, or the predictions of one version of it.
    pub fn is_of(&self, column: &Subject) -> bool {
        let behind = self.0.strip_prefix(column.as_str());
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('@'))
    }
}

fn column_name(text: &str) -> Option<&str> {
    text.strip_prefix(FEATURE).or_else(|| text.strip_prefix(PREDICTION))
}

impl From<String> for Subject {
    fn from(text: String) -> Subject {
        Subject(text)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.0
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Subject {
        Subject(text.to_owned())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As text, so that a width or a fill of the caller holds.
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Deref for Subject {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Subject {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Subject {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_by_kind() {
        let table = [
            (Subject::feature("dep_delay"), "dep_delay", Some("dep_delay")),
            (Subject::feature("a@b"), "a@b", Some("a@b")),
            (Subject::prediction("score"), "score", Some("score")),
            (Subject::prediction("score").of_version("3"), "score@3", Some("score of version 3")),
            (Subject::from("latency"), "latency", None),
        ];
        for (subject, name, words) in table {
            assert_eq!((subject.name(), subject.column_words().as_deref()), (name, words));
        }
        let score = Subject::prediction("score");
        assert!(score.of_version("3").is_of(&score) && score.is_of(&score));
        assert!(!Subject::prediction("score2").is_of(&score));
        assert_eq!(Subject::of_column("x"), "feature:x");
        assert_eq!(Subject::of_column("prediction:x"), "prediction:x");
    }
}
