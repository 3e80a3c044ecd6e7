//! How long each partition of a model is used to be silent, and which is silent for longer than that while
//! the others flow (RULES §5).

use std::collections::{BTreeMap, VecDeque};

use driftline_config::time::{ClockReading, DAY_US, MINUTE_US};
use driftline_config::{Partition, PartitionAfter};
use serde::{Deserialize, Serialize};

/// Days over which the longest silence is remembered.
const DAYS: usize = 7;
/// A shorter silence of a partition is told of nobody who has not asked for it.
const LEAST_US: i64 = 10 * MINUTE_US;

/// What each partition of one model was like on the last days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Silences {
    days: BTreeMap<Partition, VecDeque<Day>>,
}

/// One day of a partition, by our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// Days since 1970.
    day: i64,
    longest_us: i64,
    rows: u64,
}

/// When rows came last since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    begun: Option<ClockReading>,
    last: BTreeMap<Partition, ClockReading>,
}

/// A partition that is silent for longer than it is used to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SilentPartition {
    pub(crate) partition: Partition,
    pub(crate) since_us: i64,
    /// Its share of the model's rows of the last days.
    pub(crate) share: f64,
}

impl Heard {
    /// Listening began at the first of these.
    pub(crate) fn begin(&mut self, now: ClockReading) -> ClockReading {
        *self.begun.get_or_insert(now)
    }

    /// Whether any row came since the start.
    pub(crate) fn has_rows(&self) -> bool {
        !self.last.is_empty()
    }

    /// When the last row of any partition came; the start where none has.
    pub(crate) fn last(&mut self, now: ClockReading) -> ClockReading {
        let begun = self.begin(now);
        self.last.values().copied().max().unwrap_or(begun)
    }
}

impl Silences {
    /// Rows of a partition came.
    pub(crate) fn note(
        &mut self,
        heard: &mut Heard,
        partition: Partition,
        rows: u64,
        now: ClockReading,
    ) {
        let begun = heard.begin(now);
        let before = heard.last.insert(partition, now).unwrap_or(begun);
        let silent_us = now.steady_us.saturating_sub(before.steady_us);
        let day = now.wall_us.div_euclid(DAY_US);
        let days = self.days.entry(partition).or_default();
        match days.back_mut() {
            Some(today) if today.day == day => {
                today.longest_us = today.longest_us.max(silent_us);
                today.rows += rows;
            }
            _ => days.push_back(Day { day, longest_us: silent_us, rows }),
        }
        if days.len() > DAYS {
            days.pop_front();
        }
    }

    /// Partitions that are silent for longer than `after` allows, while another is not: a row of it came
    /// since half of that.
    pub(crate) fn silent(
        &self,
        heard: &Heard,
        after: PartitionAfter,
        now: ClockReading,
    ) -> Vec<SilentPartition> {
        let Some(begun) = heard.begun else { return Vec::new() };
        let all: u64 = self.days.values().flatten().map(|day| day.rows).sum();
        let last_us = heard.last.values().map(|last| last.steady_us).max();
        let mut silent = Vec::new();
        for (&partition, days) in &self.days {
            let longest_us = days.iter().map(|day| day.longest_us).max().unwrap_or(0);
            let after_us = match after {
                PartitionAfter::Off => return Vec::new(),
                PartitionAfter::Us(after_us) => after_us,
                PartitionAfter::Auto => LEAST_US.max(longest_us.saturating_add(longest_us / 2)),
            };
            // Not heard since the start: silent since then, as far as anybody knows.
            let last = heard.last.get(&partition).copied().unwrap_or(begun);
            let is_silent = now.steady_us.saturating_sub(last.steady_us) >= after_us;
            let others_flow = last_us.is_some_and(|us| now.steady_us - us <= after_us / 2);
            if is_silent && others_flow {
                let rows: u64 = days.iter().map(|day| day.rows).sum();
                let share = rows as f64 / all.max(1) as f64;
                silent.push(SilentPartition { partition, since_us: last.wall_us, share });
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six partitions, and a producer of one of them that died: the model lost a sixth of its rows, and nobody
    /// heard of it.
    #[test]
    fn a_partition_that_falls_silent_while_the_others_flow_is_found() {
        let (mut silences, mut heard) = (Silences::default(), Heard::default());
        let at = |minutes: i64| ClockReading::from(minutes * MINUTE_US);
        for minute in 0..100 {
            for partition in 0..3 {
                // Partition 2 comes every twenty minutes and is no news.
                if partition < 2 || minute % 20 == 0 {
                    silences.note(&mut heard, Partition(partition), 10, at(minute));
                }
            }
        }
        let silent = |silences: &Silences, heard: &Heard, after, minute| {
            let found = silences.silent(heard, after, at(minute));
            found.iter().map(|silent| silent.partition.0).collect::<Vec<i32>>()
        };
        let auto = PartitionAfter::Auto;
        for minute in 100..120 {
            silences.note(&mut heard, Partition(0), 10, at(minute));
            // The last row of 1 came at minute 99; of 2 at 80, and half an hour is longer than it is used to.
            let wanted = match minute {
                ..109 => vec![],
                109 => vec![1],
                _ => vec![1, 2],
            };
            assert_eq!(silent(&silences, &heard, auto, minute), wanted, "minute {minute}");
        }
        let found = silences.silent(&heard, auto, at(119));
        assert!((found[0].share - 0.44).abs() < 0.03 && found[0].since_us == 99 * MINUTE_US);
        assert_eq!(silent(&silences, &heard, PartitionAfter::Off, 119), Vec::<i32>::new());
        assert_eq!(silent(&silences, &heard, auto, 300), Vec::<i32>::new(), "all are silent");
        silences.note(&mut heard, Partition(1), 10, at(120));
        silences.note(&mut heard, Partition(2), 10, at(120));
        silences.note(&mut heard, Partition(0), 10, at(120));
        assert_eq!(silent(&silences, &heard, auto, 121), Vec::<i32>::new(), "they flow again");
    }
}
