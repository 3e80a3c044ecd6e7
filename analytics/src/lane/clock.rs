//! The watermark of one partition, the guard against a clock that runs ahead, and the cuts it made.

use std::collections::VecDeque;

use driftline_config::time::HOUR_US;
use serde::{Deserialize, Serialize};

use super::{Cut, CutBy, Incomplete};

/// A jump of the watermark is at least this long before it is doubted.
pub const JUMP_FLOOR_US: i64 = HOUR_US;
/// Consecutive rows beyond a jump that make it believed.
const JUMP_ROWS: u32 = 20;
/// The first rows of a partition are believed at once: a log may well begin with a gap.
const TRUSTED_ROWS: u32 = 100;

/// Crossings that are remembered. More pile up only where a partition is silent and heartbeats go on in
/// others: a row of the silent one may still open any window since.
const CROSSINGS: usize = 10_000;

/// Crossings that are remembered although no known partition can have rows for their windows any more: one
/// that is added to the topic may have.
const CROSSINGS_SPARED: usize = 16;

/// All windows that end at or before `through_us` are cut at `offset` in this partition, unless an
/// earlier crossing cut them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// The last window end that was passed.
    pub through_us: i64,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartitionClock {
    watermark_us: Option<i64>,
    /// Rows seen, counted up to [`TRUSTED_ROWS`].
    rows: u32,
    /// Consecutive rows beyond the guard: how many, and the smallest of their times. A row that is
    /// not beyond ends the run, so that one wrong clock among right ones is never believed.
    run: Option<(u32, i64)>,
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
}

impl PartitionClock {
    pub(super) fn new(from: i64) -> PartitionClock {
        PartitionClock {
            watermark_us: None,
            rows: 0,
            run: None,
            passed_through_us: i64::MIN,
            crossings: VecDeque::new(),
            last_cut: from,
            incomplete_before: None,
            unread: None,
        }
    }

    /// Forgets offsets of an earlier log; the next cut counts from `from`.
    pub(super) fn begin(&mut self, from: i64) {
        self.crossings.clear();
        self.last_cut = from;
    }

    pub(super) fn watermark_us(&self) -> Option<i64> {
        self.watermark_us
    }

    /// Takes an accepted row; `guard_us` is the longest jump that is believed at once. Returns the
    /// new watermark where it moved.
    pub(super) fn row(&mut self, candidate_us: i64, guard_us: Option<i64>) -> Option<i64> {
        let trusted = self.rows < TRUSTED_ROWS;
        self.rows = (self.rows + 1).min(TRUSTED_ROWS);
        let doubtful = match (guard_us, self.watermark_us) {
            (Some(guard_us), Some(watermark_us)) if !trusted => {
                candidate_us > watermark_us.saturating_add(guard_us)
            }
            _ => false,
        };
        if !doubtful {
            self.run = None;
            return self.raise(candidate_us);
        }
        let (count, least_us) = self.run.unwrap_or((0, i64::MAX));
        let (count, least_us) = (count + 1, least_us.min(candidate_us));
        if count < JUMP_ROWS {
            self.run = Some((count, least_us));
            return None;
        }
        self.run = None;
        self.raise(least_us)
    }

    /// Takes a heartbeat, which is believed at once.
    pub(super) fn heartbeat(&mut self, candidate_us: i64) -> Option<i64> {
        self.run = None;
        self.raise(candidate_us)
    }

    /// Notes that the windows up to `through_us` end at `offset`, where that is news.
    pub(super) fn cross(&mut self, through_us: i64, offset: i64) -> Option<Crossing> {
        if through_us <= self.passed_through_us {
            return None;
        }
        self.passed_through_us = through_us;
        let crossing = Crossing { through_us, offset };
        self.crossings.push_back(crossing);
        if self.crossings.len() > CROSSINGS {
            self.crossings.pop_front();
        }
        Some(crossing)
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

    fn raise(&mut self, candidate_us: i64) -> Option<i64> {
        if self.watermark_us.is_some_and(|watermark_us| candidate_us <= watermark_us) {
            return None;
        }
        self.watermark_us = Some(candidate_us);
        self.watermark_us
    }
}
