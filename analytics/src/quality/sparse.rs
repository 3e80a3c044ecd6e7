//! Counters of which few are in use, each with what weights add to it; none is kept at zero.

use std::collections::BTreeMap;

use super::fixed::{Change, FixedSum};
use super::weight::{SampleWeight, signed_count};
use crate::encoding::{DecodeError, Reader, put_signed, put_varint};

/// Counts by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SparseCounts(BTreeMap<u32, WeightedCount>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct WeightedCount {
    rows: i64,
    /// Σ(w - 1).
    excess: FixedSum,
}

impl WeightedCount {
    fn is_zero(&self) -> bool {
        self.rows == 0 && self.excess.is_zero()
    }
}

impl SparseCounts {
    pub(super) fn apply(&mut self, slot: u32, weight: SampleWeight, change: Change) {
        let mut excess = FixedSum::default();
        excess.add(change.of(weight.excess()));
        self.add(slot, WeightedCount { rows: change.one(), excess });
    }

    pub(super) fn merge(&mut self, other: &SparseCounts) {
        other.0.iter().for_each(|(&slot, &count)| self.add(slot, count));
    }

    fn add(&mut self, slot: u32, added: WeightedCount) {
        let count = self.0.entry(slot).or_default();
        count.rows += added.rows;
        count.excess.merge(added.excess);
        if count.is_zero() {
            self.0.remove(&slot);
        }
    }

    /// The slots in use with their weights, ascending; with rows each once unless `sampled`.
    pub(super) fn used(&self, sampled: bool) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.0.iter().map(move |(&slot, count)| {
            let excess = if sampled { count.excess.value() } else { 0.0 };
            (slot, count.rows as f64 + excess)
        })
    }

    /// The rows of the slots in use, ascending.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.0.iter().map(|(&slot, count)| (slot, count.rows))
    }

    /// Whether some counter lies below zero: then this is an increment, of which nothing can be read.
    pub(super) fn is_part(&self) -> bool {
        self.0.values().any(|count| count.rows < 0)
    }

    /// Heap bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * 48
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        let mut next = 0;
        for (&slot, count) in &self.0 {
            put_varint(out, u64::from(slot - next));
            put_signed(out, count.rows);
            count.excess.encode(out);
            next = slot + 1;
        }
    }

    /// Counters of slots below `slots`.
    pub(super) fn decode(reader: &mut Reader<'_>, slots: u32) -> Result<SparseCounts, DecodeError> {
        const WHAT: &str = "counters of quality";
        let length = reader.length(slots as usize, WHAT)?;
        let mut counts = BTreeMap::new();
        let mut next = 0_u32;
        for _ in 0..length {
            let slot = next + reader.length((slots - next) as usize, WHAT)? as u32;
            let count =
                WeightedCount { rows: signed_count(reader)?, excess: FixedSum::decode(reader)? };
            if slot >= slots || count.is_zero() {
                return Err(DecodeError::Invalid { what: WHAT });
            }
            counts.insert(slot, count);
            next = slot + 1;
        }
        Ok(SparseCounts(counts))
    }
}
