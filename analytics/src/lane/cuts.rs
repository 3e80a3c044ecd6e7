//! The cuts of one partition: which offset ends each window here.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Crossing, Cut, CutBy, Incomplete};

/// Crossings that are remembered. More pile up only where a partition is silent and heartbeats go on in
/// others: a row of the silent one may still open any window since.
const CROSSINGS: usize = 10_000;

/// Crossings that are remembered although no known partition can have rows for their windows any more: one
/// that is added to the topic may have.
const CROSSINGS_SPARED: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartitionCuts {
    /// The end of the last window that this partition has passed.
    pub(super) passed_through_us: i64,
    /// Crossings that later cuts may still need, in order.
    crossings: VecDeque<Crossing>,
    last_cut: i64,
    /// Windows that start before this instant may lack rows of this partition.
    pub(super) incomplete_before: Option<(i64, Incomplete)>,
    /// Rows may be missing before the next one: why.
    #[serde(default)]
    pub(super) unread: Option<Incomplete>,
    /// What it had passed when the topic had it no longer; `None` where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_after_us: Option<i64>,
}

impl PartitionCuts {
    pub(super) fn new(from: i64) -> PartitionCuts {
        PartitionCuts {
            passed_through_us: i64::MIN,
            crossings: VecDeque::new(),
            last_cut: from,
            incomplete_before: None,
            unread: None,
            gone_after_us: None,
        }
    }

    /// Forgets offsets of an earlier log; the next cut counts from `from`. A partition that was gone is
    /// there again, and has passed nothing.
    pub(super) fn begin(&mut self, from: i64) {
        self.crossings.clear();
        self.last_cut = from;
        self.gone_after_us = None;
        if self.passed_through_us == i64::MAX {
            self.passed_through_us = i64::MIN;
        }
    }

    /// The topic has the partition no longer: everything is passed at `position`.
    pub(super) fn end(&mut self, position: i64) {
        if self.passed_through_us < i64::MAX {
            self.gone_after_us = Some(self.passed_through_us);
            self.cross(Crossing { through_us: i64::MAX, offset: position });
        }
    }

    /// The topic has the partition again, for all that is known with the same log: it is where it was.
    pub(super) fn resume(&mut self) {
        if let Some(passed_through_us) = self.gone_after_us.take() {
            self.passed_through_us = passed_through_us;
            self.crossings.pop_back_if(|crossing| crossing.through_us == i64::MAX);
        }
    }

    /// Notes a crossing.
    pub(super) fn cross(&mut self, crossing: Crossing) {
        self.passed_through_us = self.passed_through_us.max(crossing.through_us);
        self.crossings.push_back(crossing);
        if self.crossings.len() > CROSSINGS {
            self.crossings.pop_front();
        }
    }

    /// The cut of the window that ends at `end_us`; by the log where a record passed it, else at
    /// `position`.
    pub(super) fn cut(&mut self, end_us: i64, position: i64) -> Cut {
        while self.crossings.pop_front_if(|crossing| crossing.through_us < end_us).is_some() {}
        let (to, by) = match self.crossings.front() {
            Some(crossing) => (crossing.offset, CutBy::Log),
            None => (position, CutBy::Idle),
        };
        // An idle cut of an earlier window may lie behind the record that passed this one.
        let to = to.max(self.last_cut);
        let cut = Cut { from: self.last_cut, to, by, rows_from: None };
        self.last_cut = to;
        cut
    }

    /// Forgets crossings that no window with an end from `end_us` on is cut by, all but the last few;
    /// whether there were any.
    pub(super) fn forget_before(&mut self, end_us: i64) -> bool {
        let before = self.crossings.len();
        while self.crossings.len() > CROSSINGS_SPARED
            && self.crossings.pop_front_if(|crossing| crossing.through_us < end_us).is_some()
        {
        }
        self.crossings.len() < before
    }

    /// The last cut, and the first record after it that may become one.
    pub(super) fn next_cut(&self) -> (i64, i64) {
        let first = self.crossings.front().map_or(i64::MAX, |crossing| crossing.offset);
        (self.last_cut, first)
    }
}
