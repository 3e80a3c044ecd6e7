//! Which partitions are idle for a model: caught up, and silent for long enough.

use std::collections::BTreeMap;

use driftline_config::Partition;

/// When each partition of one model's topic fell silent, on the wall clock.
///
/// A partition is quiet from the first time that its end was reached with no row of the model since.
/// Rows of other models do not disturb it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quiet {
    since_us: BTreeMap<Partition, i64>,
}

impl Quiet {
    /// A row or a heartbeat of the model came from this partition, or may come when a transaction ends.
    pub(crate) fn disturb(&mut self, partition: Partition) {
        self.since_us.remove(&partition);
    }

    /// The end of the partition, sampled at `wall_us`, has been reached.
    pub(crate) fn reached_end(&mut self, partition: Partition, wall_us: i64) {
        self.since_us.entry(partition).or_insert(wall_us);
    }

    /// Whether the partition has been quiet for `idle_us`; never where `idle_us` is `None`.
    pub(crate) fn is_idle(&self, partition: Partition, now_us: i64, idle_us: Option<i64>) -> bool {
        match (idle_us, self.since_us.get(&partition)) {
            (Some(idle_us), Some(since_us)) => now_us.saturating_sub(*since_us) >= idle_us,
            _ => false,
        }
    }

    /// Whether the end of the partition was reached and no row of the model came since.
    pub(crate) fn is_quiet(&self, partition: Partition) -> bool {
        self.since_us.contains_key(&partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reached_end_begins_the_silence_and_only_a_row_breaks_it() {
        let mut quiet = Quiet::default();
        assert!(!quiet.is_idle(Partition(0), 1_000, Some(10)), "its end was never reached");
        quiet.reached_end(Partition(0), 100);
        assert!(!quiet.is_idle(Partition(0), 109, Some(10)));
        quiet.reached_end(Partition(0), 108);
        assert!(quiet.is_idle(Partition(0), 110, Some(10)), "a later end does not begin it anew");
        assert!(!quiet.is_idle(Partition(0), 110, None), "idle: off");
        quiet.disturb(Partition(0));
        assert!(!quiet.is_idle(Partition(0), 1_000, Some(10)));
    }
}
