//! A window that takes rows, and its end: joined with the next, or closed.

use std::collections::BTreeMap;

use driftline_config::Partition;
use serde::{Deserialize, Serialize};

use super::{Closed, Cut, Incomplete};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenWindow {
    pub(super) start_us: i64,
    pub(super) end_us: i64,
    pub(super) rows: u64,
    pub(super) parts: u32,
    pub(super) rows_from: BTreeMap<Partition, i64>,
    pub(super) incomplete: Vec<Incomplete>,
    pub(super) cuts: BTreeMap<Partition, Cut>,
    #[serde(default)]
    pub(super) era: u32,
    /// When time was first seen to have passed it, on the steady clock.
    #[serde(skip)]
    pub(super) seen_us: Option<i64>,
}

impl OpenWindow {
    pub(super) fn new(start_us: i64, end_us: i64, era: u32) -> OpenWindow {
        OpenWindow {
            start_us,
            end_us,
            rows: 0,
            parts: 1,
            rows_from: BTreeMap::new(),
            incomplete: Vec::new(),
            cuts: BTreeMap::new(),
            era,
            seen_us: None,
        }
    }

    /// Who reads its rows again reads the partition from this offset, or an earlier one.
    pub(super) fn read_from(&mut self, partition: Partition, offset: i64) {
        let rows_from = self.rows_from.entry(partition).or_insert(offset);
        *rows_from = offset.min(*rows_from);
    }

    pub(super) fn add_reason(&mut self, why: Incomplete) {
        if let Err(place) = self.incomplete.binary_search(&why) {
            self.incomplete.insert(place, why);
        }
    }

    /// The carried window `self` and the window after it, as one.
    pub(super) fn join(mut self, next: OpenWindow) -> OpenWindow {
        self.end_us = next.end_us;
        self.rows += next.rows;
        self.parts += next.parts;
        for (partition, offset) in next.rows_from {
            self.read_from(partition, offset);
        }
        for why in next.incomplete {
            self.add_reason(why);
        }
        for (partition, cut) in next.cuts {
            let from = self.cuts.get(&partition).map_or(cut.from, |earlier| earlier.from);
            self.cuts.insert(partition, Cut { from, ..cut });
        }
        self
    }

    pub(super) fn close(mut self) -> Closed {
        for (partition, cut) in &mut self.cuts {
            cut.rows_from = self.rows_from.get(partition).copied();
        }
        Closed {
            start_us: self.start_us,
            end_us: self.end_us,
            rows: self.rows,
            parts: self.parts,
            incomplete: self.incomplete,
            cuts: self.cuts,
            ahead: BTreeMap::new(),
            ahead_forgotten: false,
        }
    }
}
