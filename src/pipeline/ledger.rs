//! What became of every record that was read: RULES §2.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Distinct names of unconfigured models that are kept; the rest is counted as `other`.
const SKIPPED_NAMES: usize = 100;
/// Where names beyond `SKIPPED_NAMES` are counted.
pub const OTHER: &str = "other";

/// The outcomes of the records of one stretch of a log. They always add up to `read`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All records.
    pub read: u64,
    /// Rows that a window took.
    pub counted: u64,
    /// Rows beyond their window's cut.
    pub late: u64,
    /// Records whose envelope could not be read.
    pub rejected: u64,
    /// Records of models that the topic is not configured for.
    pub skipped: u64,
    /// Heartbeats.
    pub control: u64,
}

impl Counts {
    /// Zero, if and only if nothing was lost and nothing was counted twice.
    pub fn imbalance(&self) -> i64 {
        let known = self.counted + self.late + self.rejected + self.skipped + self.control;
        self.read as i64 - known as i64
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.read += other.read;
        self.counted += other.counted;
        self.late += other.late;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
        self.control += other.control;
    }
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, earlier: Counts) -> Counts {
        Counts {
            read: self.read.saturating_sub(earlier.read),
            counted: self.counted.saturating_sub(earlier.counted),
            late: self.late.saturating_sub(earlier.late),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            skipped: self.skipped.saturating_sub(earlier.skipped),
            control: self.control.saturating_sub(earlier.control),
        }
    }
}

/// The ledger of one topic since its first record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicLedger {
    /// Per partition.
    pub partitions: BTreeMap<i32, Counts>,
    /// Rejected records by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Skipped records by the model they name.
    pub skipped_names: BTreeMap<String, u64>,
}

impl TopicLedger {
    /// The sum over all partitions.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.partitions.values() {
            total += *counts;
        }
        total
    }

    /// Counts a record of an unconfigured model under its name.
    pub fn skip(&mut self, name: &str, records: u64) {
        let known = self.skipped_names.contains_key(name);
        let room = self.skipped_names.len() < SKIPPED_NAMES;
        let name = if known || room { name } else { OTHER };
        *self.skipped_names.entry(name.to_owned()).or_default() += records;
    }
}

/// The outcomes of one chunk, each kind as ascending offsets, so that any prefix can be counted.
#[derive(Debug, Default)]
pub struct ChunkOutcomes {
    /// Accepted rows of all models.
    pub accepted: Vec<i64>,
    /// Those of them that were late.
    pub late: Vec<i64>,
    /// Rejected records.
    pub rejected: Vec<i64>,
    /// Skipped records.
    pub skipped: Vec<i64>,
    /// Heartbeats.
    pub control: Vec<i64>,
}

impl ChunkOutcomes {
    /// Puts each kind into offset order: several models' rows come one model after the other.
    pub fn sort(&mut self) {
        self.accepted.sort_unstable();
        self.late.sort_unstable();
    }

    /// The outcomes of the records before `offset`.
    pub fn before(&self, offset: i64) -> Counts {
        let until = |offsets: &[i64]| offsets.partition_point(|&other| other < offset) as u64;
        let accepted = until(&self.accepted);
        let late = until(&self.late);
        let rejected = until(&self.rejected);
        let skipped = until(&self.skipped);
        let control = until(&self.control);
        Counts {
            read: accepted + rejected + skipped + control,
            counted: accepted - late,
            late,
            rejected,
            skipped,
            control,
        }
    }

    /// The outcomes of all its records.
    pub fn total(&self) -> Counts {
        self.before(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_tile_and_balance() {
        let outcomes = ChunkOutcomes {
            accepted: vec![10, 11, 14, 17],
            late: vec![14],
            rejected: vec![12],
            skipped: vec![13, 15],
            control: vec![16],
        };
        let head = outcomes.before(15);
        let whole = outcomes.total();
        assert_eq!(
            head,
            Counts { read: 5, counted: 2, late: 1, rejected: 1, skipped: 1, control: 0 }
        );
        assert_eq!((head.imbalance(), whole.imbalance(), (whole - head).imbalance()), (0, 0, 0));
        assert_eq!((whole - head).read, 3);
    }

    #[test]
    fn unconfigured_names_are_bounded() {
        let mut ledger = TopicLedger::default();
        for index in 0..500 {
            ledger.skip(&format!("model-{index}"), 1);
        }
        assert_eq!(ledger.skipped_names.len(), SKIPPED_NAMES + 1);
        assert_eq!(ledger.skipped_names[OTHER], 400);
        assert_eq!(ledger.skipped_names.values().sum::<u64>(), 500);
    }
}
