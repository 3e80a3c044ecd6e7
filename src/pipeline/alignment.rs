//! Keeps partitions together in event time while catching up: who must wait for whom (RULES §1).

use std::collections::BTreeMap;

use driftline_config::time::{MINUTE_US, SECOND_US};

/// A partition of a topic, by the topic's index.
pub type TopicPartition = (usize, i32);

/// A partition that is told to wait or to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub partition: TopicPartition,
    /// Whether it waits from now on.
    pub paused: bool,
}

/// How far each partition of one topic has come.
#[derive(Debug, Default)]
pub struct Alignment {
    progress: BTreeMap<TopicPartition, Progress>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    time_us: i64,
    caught_up: bool,
    paused: bool,
    changed_us: i64,
}

impl Alignment {
    /// The partition has been read up to this event time.
    pub fn advance(&mut self, partition: TopicPartition, time_us: i64) {
        let entry = self.entry(partition);
        entry.time_us = entry.time_us.max(time_us);
        entry.caught_up = false;
    }

    /// The partition has nothing left to read.
    pub fn catch_up(&mut self, partition: TopicPartition) {
        self.entry(partition).caught_up = true;
    }

    /// Who waits and who goes on, given the length of the topic's longest window. `crowded` topics
    /// hold as many open windows as they may, so that only their slowest partition goes on. A
    /// partition changes at most once a second, and the slowest is never paused.
    pub fn changes(
        &mut self,
        topic: usize,
        every_us: i64,
        crowded: bool,
        now_us: i64,
    ) -> Vec<Change> {
        let reach_us = (2 * every_us).max(10 * MINUTE_US);
        let behind = |progress: &&Progress| !progress.caught_up;
        let of_topic = || self.progress.range((topic, i32::MIN)..=(topic, i32::MAX));
        let slowest =
            of_topic().map(|(_, progress)| progress).filter(behind).map(|p| p.time_us).min();
        let Some(slowest_us) = slowest else {
            return self.release(topic, now_us);
        };
        let mut changes = Vec::new();
        for (&partition, progress) in self.progress.range_mut((topic, i32::MIN)..=(topic, i32::MAX))
        {
            let ahead_us = progress.time_us.saturating_sub(slowest_us);
            let wanted = if progress.paused {
                ahead_us > if crowded { 0 } else { reach_us / 2 }
            } else {
                ahead_us > if crowded { 0 } else { reach_us }
            };
            if wanted != progress.paused && now_us.saturating_sub(progress.changed_us) >= SECOND_US
            {
                progress.paused = wanted;
                progress.changed_us = now_us;
                changes.push(Change { partition, paused: wanted });
            }
        }
        changes
    }

    fn release(&mut self, topic: usize, now_us: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (&partition, progress) in self.progress.range_mut((topic, i32::MIN)..=(topic, i32::MAX))
        {
            if progress.paused && now_us.saturating_sub(progress.changed_us) >= SECOND_US {
                progress.paused = false;
                progress.changed_us = now_us;
                changes.push(Change { partition, paused: false });
            }
        }
        changes
    }

    fn entry(&mut self, partition: TopicPartition) -> &mut Progress {
        self.progress.entry(partition).or_insert(Progress {
            time_us: i64::MIN,
            caught_up: false,
            paused: false,
            changed_us: i64::MIN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_config::time::HOUR_US;

    #[test]
    fn a_partition_that_runs_ahead_waits_until_half_the_distance() {
        let mut alignment = Alignment::default();
        alignment.advance((0, 0), 0);
        alignment.advance((0, 1), 2 * HOUR_US + 1);
        let second = SECOND_US;
        let paused = alignment.changes(0, HOUR_US, false, second);
        assert_eq!(paused, [Change { partition: (0, 1), paused: true }]);
        alignment.advance((0, 0), HOUR_US);
        assert_eq!(alignment.changes(0, HOUR_US, false, 3 * second), [], "half is not reached");
        alignment.advance((0, 0), HOUR_US + 1);
        assert_eq!(alignment.changes(0, HOUR_US, false, second + 1), [], "once a second at most");
        let resumed = alignment.changes(0, HOUR_US, false, 3 * second);
        assert_eq!(resumed, [Change { partition: (0, 1), paused: false }]);
    }

    #[test]
    fn nobody_waits_for_a_partition_that_is_caught_up() {
        let mut alignment = Alignment::default();
        alignment.advance((0, 0), 0);
        alignment.advance((0, 1), 30 * HOUR_US);
        alignment.changes(0, HOUR_US, false, SECOND_US);
        alignment.catch_up((0, 0));
        let resumed = alignment.changes(0, HOUR_US, false, 5 * SECOND_US);
        assert_eq!(resumed, [Change { partition: (0, 1), paused: false }]);
    }

    #[test]
    fn a_crowded_topic_lets_only_its_slowest_partition_go_on() {
        let mut alignment = Alignment::default();
        alignment.advance((0, 0), 0);
        alignment.advance((0, 1), 1);
        alignment.advance((1, 0), 5 * HOUR_US);
        let paused = alignment.changes(0, HOUR_US, true, SECOND_US);
        assert_eq!(paused, [Change { partition: (0, 1), paused: true }]);
    }
}
