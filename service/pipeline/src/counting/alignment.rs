//! Keeps partitions together in event time while catching up: who must wait for whom (RULES §1).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};
use driftline_config::{Partition, TopicId, TopicPartition};

/// Windows by which a partition may be ahead of the slowest before it stops by itself: half of those that
/// may be open, since the slowest keeps open all that wait for its late rows.
const HORIZON_WINDOWS: i64 = 32;
/// Long windows hold much each, so that few may be open.
const HORIZON_LONGEST_US: i64 = 6 * HOUR_US;
/// How long a partition is awaited that has shown neither a row nor its end.
const AWAITED_US: i64 = 5 * SECOND_US;

/// A partition that is told to wait or to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub at: TopicPartition,
    pub paused: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Alignment {
    progress: BTreeMap<TopicPartition, Progress>,
    /// The earliest event time at which a partition of a topic began.
    beginnings_us: BTreeMap<TopicId, i64>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    /// `i64::MIN` before its first row.
    time_us: i64,
    caught_up: bool,
    paused: bool,
    /// Until when, by the clock, it holds others back that has shown nothing yet.
    awaited_until_us: i64,
    /// It waits by itself, beyond the horizon, and was not told to go on since.
    stopped: bool,
    changed_us: i64,
}

impl Alignment {
    /// The topic has so many partitions. Those that have shown nothing yet are taken to begin where the
    /// earliest did, for a moment: a partition without a leader must not hold others back for ever.
    pub(crate) fn expect(&mut self, topic: TopicId, partitions: i32, now_us: i64) {
        // Partitions that are added later begin where the others are now.
        let is_beginning = !self.beginnings_us.contains_key(&topic);
        let until_us = if is_beginning { now_us.saturating_add(AWAITED_US) } else { i64::MIN };
        for partition in (0..partitions).map(Partition) {
            self.progress
                .entry(TopicPartition { topic, partition })
                .or_insert(Progress::awaited_until(until_us));
        }
    }

    /// Something was read of the partition: up to this event time, where it says any that is not beyond our
    /// clock.
    pub(crate) fn read(&mut self, at: TopicPartition, time_us: Option<i64>) {
        self.entry(at).caught_up = false;
        if let Some(time_us) = time_us {
            self.advance(at, time_us);
        }
    }

    fn advance(&mut self, at: TopicPartition, time_us: i64) {
        let entry = self.entry(at);
        if entry.time_us == i64::MIN {
            let beginning = self.beginnings_us.entry(at.topic).or_insert(time_us);
            *beginning = time_us.min(*beginning);
        }
        let entry = self.entry(at);
        entry.time_us = entry.time_us.max(time_us);
    }

    /// The partition has nothing left to read.
    pub(crate) fn catch_up(&mut self, at: TopicPartition) {
        self.entry(at).caught_up = true;
    }

    /// The partition's reader met a row beyond the horizon and waits for a word.
    pub(crate) fn stop(&mut self, at: TopicPartition) {
        let entry = self.entry(at);
        (entry.paused, entry.stopped) = (true, true);
    }

    /// The event time beyond which no partition reads on by itself: before anybody began, that of any row.
    pub(crate) fn horizon_us(&self, topic: TopicId, every_us: i64, now_us: i64) -> i64 {
        let mut of_topic = self.progress.range(all_of(topic)).peekable();
        let is_known = of_topic.peek().is_some();
        let awaited = of_topic.any(|(_, progress)| progress.is_awaited(now_us));
        if !is_known || awaited && !self.beginnings_us.contains_key(&topic) {
            return i64::MIN;
        }
        let slowest_us = self.slowest_us(topic, now_us);
        let distance_us = horizon_distance_us(every_us);
        slowest_us.map_or(i64::MAX, |slowest_us| slowest_us.saturating_add(distance_us))
    }

    /// How far the slowest partition has come of those that have something left to read.
    fn slowest_us(&self, topic: TopicId, now_us: i64) -> Option<i64> {
        let of_topic = self.progress.range(all_of(topic));
        let behind = of_topic.map(|(_, progress)| progress).filter(|progress| !progress.caught_up);
        let times_us = behind.filter_map(|progress| {
            if progress.time_us > i64::MIN {
                return Some(progress.time_us);
            }
            // Nobody has begun yet.
            let beginning = self.beginnings_us.get(&topic).copied();
            beginning.filter(|_| progress.is_awaited(now_us))
        });
        times_us.min()
    }

    /// Who waits and who goes on, given the length of the topic's longest window. `crowded` topics
    /// hold as many open windows as they may, so that only their slowest partition goes on, and at
    /// once: in a second a partition can open hundreds. Else a partition changes at most once a second.
    /// The slowest is never paused.
    pub(crate) fn changes(
        &mut self,
        topic: TopicId,
        every_us: i64,
        crowded: bool,
        now_us: i64,
    ) -> Vec<Change> {
        let reach_us = reach_us(every_us);
        let Some(slowest_us) = self.slowest_us(topic, now_us) else {
            return self.release(topic, now_us);
        };
        let mut changes = Vec::new();
        for (&at, progress) in self.progress.range_mut(all_of(topic)) {
            let ahead_us = progress.time_us.saturating_sub(slowest_us);
            let wanted = if progress.stopped {
                ahead_us > horizon_distance_us(every_us) / 2
            } else if progress.paused {
                ahead_us > if crowded { 0 } else { reach_us / 2 }
            } else {
                ahead_us > if crowded { 0 } else { reach_us }
            };
            let may = wanted && crowded || progress.may_change(now_us);
            if wanted != progress.paused && may {
                progress.change(wanted, now_us);
                changes.push(Change { at, paused: wanted });
            }
        }
        changes
    }

    fn release(&mut self, topic: TopicId, now_us: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (&at, progress) in self.progress.range_mut(all_of(topic)) {
            if progress.paused && progress.may_change(now_us) {
                progress.change(false, now_us);
                changes.push(Change { at, paused: false });
            }
        }
        changes
    }

    fn entry(&mut self, at: TopicPartition) -> &mut Progress {
        self.progress.entry(at).or_insert(Progress::awaited_until(i64::MIN))
    }
}

impl Progress {
    /// A partition that has shown nothing yet.
    fn awaited_until(awaited_until_us: i64) -> Progress {
        Progress {
            time_us: i64::MIN,
            caught_up: false,
            paused: false,
            awaited_until_us,
            stopped: false,
            changed_us: i64::MIN,
        }
    }

    fn is_awaited(&self, now_us: i64) -> bool {
        self.time_us == i64::MIN && !self.caught_up && now_us < self.awaited_until_us
    }

    /// A reader that stopped by itself is answered at once; else once a second is enough.
    fn may_change(&self, now_us: i64) -> bool {
        self.stopped || now_us.saturating_sub(self.changed_us) >= SECOND_US
    }

    fn change(&mut self, paused: bool, now_us: i64) {
        (self.paused, self.stopped, self.changed_us) = (paused, false, now_us);
    }
}

fn all_of(topic: TopicId) -> RangeInclusive<TopicPartition> {
    let end = |partition| TopicPartition { topic, partition: Partition(partition) };
    end(i32::MIN)..=end(i32::MAX)
}

/// How far a partition may be ahead of the slowest before it stops by itself. Going on costs a fetch:
/// windows of minutes would crawl if each stretch were but two of them.
fn horizon_distance_us(every_us: i64) -> i64 {
    let windows_us = every_us.saturating_mul(HORIZON_WINDOWS).min(HORIZON_LONGEST_US);
    windows_us.max(2 * reach_us(every_us))
}

/// How far a partition may be ahead of the slowest before it is told to wait.
fn reach_us(every_us: i64) -> i64 {
    (2 * every_us).max(10 * MINUTE_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId(0);

    fn at(topic: usize, partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicId(topic), partition: Partition(partition) }
    }

    #[test]
    fn a_partition_that_runs_ahead_waits_until_half_the_distance() {
        let mut alignment = Alignment::default();
        alignment.read(at(0, 0), Some(0));
        alignment.read(at(0, 1), Some(2 * HOUR_US + 1));
        let second = SECOND_US;
        let paused = alignment.changes(T, HOUR_US, false, second);
        assert_eq!(paused, [Change { at: at(0, 1), paused: true }]);
        alignment.read(at(0, 0), Some(HOUR_US));
        assert_eq!(alignment.changes(T, HOUR_US, false, 3 * second), [], "half is not reached");
        alignment.read(at(0, 0), Some(HOUR_US + 1));
        assert_eq!(alignment.changes(T, HOUR_US, false, second + 1), [], "once a second at most");
        let resumed = alignment.changes(T, HOUR_US, false, 3 * second);
        assert_eq!(resumed, [Change { at: at(0, 1), paused: false }]);
    }

    #[test]
    fn nobody_waits_for_a_partition_that_is_caught_up() {
        let mut alignment = Alignment::default();
        alignment.read(at(0, 0), Some(0));
        alignment.read(at(0, 1), Some(30 * HOUR_US));
        alignment.changes(T, HOUR_US, false, SECOND_US);
        alignment.catch_up(at(0, 0));
        let resumed = alignment.changes(T, HOUR_US, false, 5 * SECOND_US);
        assert_eq!(resumed, [Change { at: at(0, 1), paused: false }]);
    }

    #[test]
    fn a_reader_that_stopped_by_itself_is_answered_at_once() {
        let mut alignment = Alignment::default();
        alignment.read(at(0, 0), Some(0));
        for (every_us, horizon_us) in [
            (SECOND_US, 20 * MINUTE_US),
            (5 * MINUTE_US, 160 * MINUTE_US),
            (HOUR_US, 6 * HOUR_US),
            (24 * HOUR_US, 96 * HOUR_US),
        ] {
            assert_eq!(alignment.horizon_us(T, every_us, SECOND_US), horizon_us);
        }
        alignment.catch_up(at(1, 0));
        assert_eq!(
            alignment.horizon_us(TopicId(1), HOUR_US, SECOND_US),
            i64::MAX,
            "nobody is behind"
        );
        // One row from the future is no reason to wait.
        alignment.read(at(0, 1), Some(HOUR_US));
        alignment.stop(at(0, 1));
        let resumed = alignment.changes(T, HOUR_US, false, SECOND_US);
        assert_eq!(resumed, [Change { at: at(0, 1), paused: false }]);
        // Being ahead is, until half of it has gone.
        alignment.read(at(0, 1), Some(6 * HOUR_US + 1));
        alignment.stop(at(0, 1));
        assert_eq!(alignment.changes(T, HOUR_US, false, SECOND_US + 1), []);
        alignment.read(at(0, 0), Some(3 * HOUR_US + 1));
        let resumed = alignment.changes(T, HOUR_US, false, SECOND_US + 2);
        assert_eq!(resumed, [Change { at: at(0, 1), paused: false }]);
    }

    #[test]
    fn a_partition_that_has_shown_nothing_is_awaited_for_a_moment() {
        let mut alignment = Alignment::default();
        let horizon_us = |alignment: &Alignment, now_us| alignment.horizon_us(T, HOUR_US, now_us);
        assert_eq!(horizon_us(&alignment, 0), i64::MIN, "nothing is known");
        alignment.expect(T, 3, 0);
        assert_eq!(horizon_us(&alignment, 0), i64::MIN, "nobody has begun");
        alignment.read(at(0, 0), Some(HOUR_US));
        alignment.read(at(0, 1), Some(2 * HOUR_US));
        alignment.read(at(0, 0), Some(40 * HOUR_US));
        assert_eq!(horizon_us(&alignment, AWAITED_US - 1), 7 * HOUR_US, "from the earliest on");
        assert_eq!(horizon_us(&alignment, AWAITED_US), 8 * HOUR_US, "from the slowest on");
        alignment.catch_up(at(0, 2));
        assert_eq!(horizon_us(&alignment, 0), 8 * HOUR_US, "it has nothing");
    }

    #[test]
    fn a_crowded_topic_lets_only_its_slowest_partition_go_on() {
        let mut alignment = Alignment::default();
        alignment.read(at(0, 0), Some(0));
        alignment.read(at(0, 1), Some(1));
        alignment.read(at(1, 0), Some(5 * HOUR_US));
        let paused = alignment.changes(T, HOUR_US, true, SECOND_US);
        assert_eq!(paused, [Change { at: at(0, 1), paused: true }]);
        assert_eq!(alignment.changes(T, HOUR_US, false, SECOND_US + 1), [], "going on is no hurry");
        let resumed = alignment.changes(T, HOUR_US, false, 2 * SECOND_US);
        assert_eq!(resumed, [Change { at: at(0, 1), paused: false }]);
        let paused = alignment.changes(T, HOUR_US, true, 2 * SECOND_US + 1);
        assert_eq!(paused, [Change { at: at(0, 1), paused: true }], "waiting is");
    }
}
