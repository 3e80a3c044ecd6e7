//! What became of each record of a label topic.

use std::ops::{Index, IndexMut};

/// Where a record of a label topic stands. Each record stands in one column; which one may change while its
/// prediction waits, as when a label is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// It holds for a prediction, or takes back what another one said.
    Joined,
    /// Another one of its id that says something else has the greater order key.
    Corrected,
    /// Another one of its id that says the same has the greater order key.
    Repeated,
    /// Its prediction may still come.
    Waiting,
    /// No prediction of its id came, or it takes back what nobody said.
    Unmatched,
    /// It came when its prediction no longer waited.
    Expired,
    /// Its prediction came too late for a window.
    LateCapture,
    /// Its id is not in the sample.
    SampledOut,
    /// It could not be read, or could be no label of this model.
    Rejected,
    /// It is of another kind, as a capture in the same topic.
    Skipped,
    /// A heartbeat.
    Control,
}

impl Column {
    /// All columns, in the order in which they are published.
    pub const ALL: [Column; 11] = [
        Column::Joined,
        Column::Corrected,
        Column::Repeated,
        Column::Waiting,
        Column::Unmatched,
        Column::Expired,
        Column::LateCapture,
        Column::SampledOut,
        Column::Rejected,
        Column::Skipped,
        Column::Control,
    ];

    /// The column's name in what is published.
    pub fn name(self) -> &'static str {
        match self {
            Column::Joined => "joined",
            Column::Corrected => "corrected",
            Column::Repeated => "repeated",
            Column::Waiting => "waiting",
            Column::Unmatched => "unmatched",
            Column::Expired => "expired",
            Column::LateCapture => "late_capture",
            Column::SampledOut => "sampled_out",
            Column::Rejected => "rejected",
            Column::Skipped => "skipped",
            Column::Control => "control",
        }
    }
}

/// How many records of a label topic were read, and where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    pub read: u64,
    columns: [i64; Column::ALL.len()],
}

impl Ledger {
    /// How many records stand in a column.
    pub fn count(&self, column: Column) -> u64 {
        self.columns[column as usize].max(0) as u64
    }

    /// Whether each record that was read stands in one column. Anything else is a defect.
    pub fn is_balanced(&self) -> bool {
        self.columns.iter().all(|count| *count >= 0)
            && self.columns.iter().sum::<i64>() == self.read as i64
    }

    pub(crate) fn columns(&self) -> [i64; Column::ALL.len()] {
        self.columns
    }

    pub(crate) fn restored(read: u64, columns: [i64; Column::ALL.len()]) -> Ledger {
        Ledger { read, columns }
    }

    pub(crate) fn move_record(&mut self, from: Column, into: Column) {
        self[from] -= 1;
        self[into] += 1;
    }
}

impl Index<Column> for Ledger {
    type Output = i64;

    fn index(&self, column: Column) -> &i64 {
        &self.columns[column as usize]
    }
}

impl IndexMut<Column> for Ledger {
    fn index_mut(&mut self, column: Column) -> &mut i64 {
        &mut self.columns[column as usize]
    }
}
