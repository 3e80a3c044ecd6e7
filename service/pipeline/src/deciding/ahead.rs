//! Rows that lay too far beyond our clock when they were read: remembered until windows of their time have
//! closed, since whoever reads the log again must leave them out as well (RULES §1).

use std::collections::BTreeSet;

use driftline_analytics::lane::Closed;
use driftline_config::Partition;
use serde::{Deserialize, Serialize};

/// Rows that are remembered per model; beyond it those furthest ahead are forgotten. A clock that is
/// wrong by years is wrong for every row, and their windows never come.
const ROWS: usize = 4096;

/// The rows by their time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AheadRows {
    /// Time, partition and offset of each.
    rows: BTreeSet<(i64, Partition, i64)>,
    /// From this event time on some were forgotten.
    forgotten_from_us: Option<i64>,
}

impl AheadRows {
    /// Remembers a row.
    pub(crate) fn add(&mut self, time_us: i64, partition: Partition, offset: i64) {
        self.rows.insert((time_us, partition, offset));
        if self.rows.len() > ROWS
            && let Some((time_us, _, _)) = self.rows.pop_last()
        {
            let known_us = self.forgotten_from_us.unwrap_or(i64::MAX);
            self.forgotten_from_us = Some(known_us.min(time_us));
        }
    }

    /// Notes in a window that closes which rows of its time were not counted although they lie before
    /// its cuts.
    pub(crate) fn note_in(&self, closed: &mut Closed) {
        let first = (closed.start_us, Partition(i32::MIN), i64::MIN);
        let end = (closed.end_us, Partition(i32::MIN), i64::MIN);
        for &(_, partition, offset) in self.rows.range(first..end) {
            // A partition that came later has no cut in it.
            if closed.cuts.get(&partition).is_some_and(|cut| offset < cut.to) {
                closed.ahead.entry(partition).or_default().push(offset);
            }
        }
        closed.ahead.values_mut().for_each(|offsets| offsets.sort_unstable());
        closed.ahead_forgotten = self.forgotten_from_us.is_some_and(|us| us < closed.end_us);
    }

    /// Nothing before this event time is asked for any more.
    pub(crate) fn forget_before(&mut self, time_us: i64) {
        self.rows = self.rows.split_off(&(time_us, Partition(i32::MIN), i64::MIN));
    }
}
