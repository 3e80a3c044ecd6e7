//! Counts of the rows of a column that have no value of its kind.

use arrow::array::{Array, StringArray};

use super::Examples;

/// What is counted where a value is missing or of the wrong type. Empty, it owns no memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Absent {
    pub(super) missing: u64,
    pub(super) wrong_type: u64,
    /// Of values of the wrong type.
    pub(super) examples: Examples,
}

impl Absent {
    /// Counts a null: a value of the wrong type where there is a text of it.
    pub(super) fn count(&mut self, wrong_type: Option<&StringArray>, row: usize) {
        match wrong_type.filter(|texts| texts.is_valid(row)) {
            Some(texts) => {
                self.wrong_type += 1;
                self.examples.add(texts.value(row));
            }
            None => self.missing += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Absent) {
        self.missing += other.missing;
        self.wrong_type += other.wrong_type;
        self.examples.merge(&other.examples);
    }
}
