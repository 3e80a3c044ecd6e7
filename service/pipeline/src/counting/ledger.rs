//! What became of every record that was read: RULES §2.

use std::collections::BTreeMap;

use driftline_analytics::lane::{Passage, StrayKind};
use driftline_analytics::report::Ledger;
use driftline_config::Partition;
use serde::{Deserialize, Serialize};

use super::model::Absorbed;

/// Distinct names of unconfigured models that are kept; the rest is counted as `other`.
const SKIPPED_NAMES: usize = 100;
/// Where names beyond `SKIPPED_NAMES` are counted.
pub const OTHER: &str = "other";

/// The ledger of one topic since its first record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicLedger {
    pub partitions: BTreeMap<Partition, Ledger>,
    pub reasons: BTreeMap<String, u64>,
    /// Skipped records by the model they name.
    pub skipped_names: BTreeMap<String, u64>,
}

impl TopicLedger {
    /// The sum over all partitions.
    pub fn total(&self) -> Ledger {
        let mut total = Ledger::default();
        for ledger in self.partitions.values() {
            total += *ledger;
        }
        total
    }

    /// Counts records of an unconfigured model under its name.
    pub fn skip(&mut self, name: &str, records: u64) {
        let known = self.skipped_names.contains_key(name);
        let room = self.skipped_names.len() < SKIPPED_NAMES;
        let name = if known || room { name } else { OTHER };
        *self.skipped_names.entry(name.to_owned()).or_default() += records;
    }
}

/// The outcomes of one chunk, each kind as ascending offsets, so that any prefix can be counted.
#[derive(Debug, Default)]
pub(crate) struct ChunkOutcomes {
    /// Rows of all models, those that are late or ahead included.
    pub(crate) accepted: Vec<i64>,
    pub(crate) late: Vec<i64>,
    pub(crate) ahead: Vec<i64>,
    pub(crate) rejected: Vec<i64>,
    pub(crate) skipped: Vec<i64>,
    pub(crate) control: Vec<i64>,
}

impl ChunkOutcomes {
    /// Adds the rows of one model, which have these offsets.
    pub(crate) fn add(&mut self, passage: &Passage, offsets: &[i64]) {
        self.accepted.extend(offsets);
        for stray in &passage.strays {
            // A stray's index is that of a row.
            let Some(offset) = offsets.get(stray.index as usize) else { continue };
            match stray.kind {
                StrayKind::Late => self.late.push(*offset),
                StrayKind::Ahead => self.ahead.push(*offset),
                StrayKind::Fast => {}
            }
        }
    }

    /// Adds the responses of a model whose requests are records of their own.
    pub(crate) fn add_responses(&mut self, absorbed: &Absorbed) {
        self.accepted.extend(&absorbed.responses);
        self.late.extend(&absorbed.late);
        self.ahead.extend(&absorbed.ahead);
    }

    /// Puts each kind into offset order, each record once: several models' rows come one model after the
    /// other, and a record may have several rows.
    pub(crate) fn sort(&mut self) {
        for offsets in [&mut self.accepted, &mut self.late, &mut self.ahead] {
            offsets.sort_unstable();
            offsets.dedup();
        }
    }

    /// The outcomes of the records before `offset`.
    pub(crate) fn before(&self, offset: i64) -> Ledger {
        let until = |offsets: &[i64]| offsets.partition_point(|&other| other < offset) as u64;
        let accepted = until(&self.accepted);
        let late = until(&self.late);
        let ahead = until(&self.ahead);
        let rejected = until(&self.rejected);
        let skipped = until(&self.skipped);
        let control = until(&self.control);
        Ledger {
            read: accepted + rejected + skipped + control,
            counted: accepted - late - ahead,
            late,
            ahead,
            rejected,
            skipped,
            control,
        }
    }

    pub(crate) fn total(&self) -> Ledger {
        self.before(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use driftline_analytics::lane::Stray;

    use super::*;

    #[test]
    fn prefixes_tile_and_balance() {
        let outcomes = ChunkOutcomes {
            accepted: vec![10, 11, 14, 17],
            late: vec![14],
            ahead: vec![17],
            rejected: vec![12],
            skipped: vec![13, 15],
            control: vec![16],
        };
        let head = outcomes.before(15);
        let whole = outcomes.total();
        assert_eq!(
            head,
            Ledger { read: 5, counted: 2, late: 1, rejected: 1, skipped: 1, ..Ledger::default() }
        );
        assert_eq!((head.imbalance(), whole.imbalance(), (whole - head).imbalance()), (0, 0, 0));
        assert_eq!(((whole - head).read, (whole - head).ahead), (3, 1));
    }

    /// Records are counted, however many rows they have.
    #[test]
    fn a_record_of_several_rows_is_one_record() {
        let mut outcomes = ChunkOutcomes::default();
        let stray = |index| Stray { index, kind: StrayKind::Late, off_us: 0, apart: false };
        let passage = Passage { strays: vec![stray(2), stray(3)], ..Passage::default() };
        outcomes.add(&passage, &[12, 15, 16, 16, 17]);
        outcomes.add(&Passage::default(), &[13, 13, 13]);
        outcomes.sort();
        let expected = Ledger { read: 5, counted: 4, late: 1, ..Ledger::default() };
        assert_eq!(outcomes.total(), expected);
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
