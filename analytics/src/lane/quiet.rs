//! Which partitions have nothing more to say about a window: they were read to an end that was looked up
//! long enough after everything that could still bring rows (RULES §1, rule 3).
//!
//! A pause proves nothing by itself: a partition between two bursts is as silent as one that is dead.
//! So the wait begins only when time has passed elsewhere, and where rows of the window came last.

use std::collections::BTreeMap;

use driftline_config::Partition;
use driftline_config::time::ClockReading;

/// Stretches of event time per partition of which is known when a row came last. More are touched within
/// `idle` only by reading a backlog, where no end is near.
const STRETCHES: usize = 4096;

/// What was heard of each partition, on the steady clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet {
    partitions: BTreeMap<Partition, Heard>,
    /// When listening began: what came before that is not known.
    begun_us: Option<i64>,
}

#[derive(Debug, Clone)]
struct Heard {
    /// When the newest end was looked up that has been reached.
    sampled_us: i64,
    /// Until then rows of any time may have come.
    disturbed_us: i64,
    /// When the last row came of each stretch of event time, by its start.
    rows_us: BTreeMap<i64, i64>,
}

impl Quiet {
    /// Listening begins where it has not.
    pub(super) fn begin(&mut self, now: ClockReading) {
        self.begun_us.get_or_insert(now.steady_us);
    }

    /// Rows of these stretches of event time came just now.
    pub(super) fn rows(&mut self, partition: Partition, starts_us: &[i64], now: ClockReading) {
        let heard = self.heard(partition, now);
        for start_us in starts_us {
            heard.rows_us.insert(*start_us, now.steady_us);
        }
        if heard.rows_us.len() > STRETCHES {
            heard.rows_us.clear();
            heard.disturbed_us = now.steady_us;
        }
    }

    /// Rows may follow in this partition that nobody may read yet.
    pub(super) fn disturb(&mut self, partition: Partition, now: ClockReading) {
        let heard = self.heard(partition, now);
        heard.disturbed_us = now.steady_us;
    }

    /// The end that was looked up at `sampled` has been reached. Nobody asks any more about rows that came
    /// `idle_us` before it.
    pub(super) fn reach_end(
        &mut self,
        partition: Partition,
        sampled: ClockReading,
        idle_us: Option<i64>,
    ) {
        let heard = self.heard(partition, sampled);
        heard.sampled_us = heard.sampled_us.max(sampled.steady_us);
        let needed_us = heard.sampled_us.saturating_sub(idle_us.unwrap_or(0));
        heard.rows_us.retain(|_, came_us| *came_us > needed_us);
    }

    /// Whether the partition has been silent for `idle_us` since `seen_us`, when time was first seen to
    /// have passed, and since the last row of the stretches from `from_us` to before `to_us`.
    pub(super) fn is_quiet(
        &self,
        partition: Partition,
        seen_us: i64,
        stretches_us: std::ops::Range<i64>,
        idle_us: i64,
    ) -> bool {
        let (Some(heard), Some(begun_us)) = (self.partitions.get(&partition), self.begun_us) else {
            return false;
        };
        let rows = heard.rows_us.range(stretches_us).map(|(_, came_us)| *came_us);
        let last_us = rows.chain([begun_us, seen_us, heard.disturbed_us]).max();
        last_us.is_some_and(|last_us| heard.sampled_us >= last_us.saturating_add(idle_us))
    }

    fn heard(&mut self, partition: Partition, now: ClockReading) -> &mut Heard {
        let begun_us = *self.begun_us.get_or_insert(now.steady_us);
        self.partitions.entry(partition).or_insert_with(|| Heard {
            sampled_us: i64::MIN,
            disturbed_us: begun_us,
            rows_us: BTreeMap::new(),
        })
    }
}
