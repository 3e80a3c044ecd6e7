//! A virtual service: it reads logs tick by tick, live or as a backlog, and tells a rule.

use std::ops::Range;

use driftline_analytics::lane::PerLane;
use driftline_config::time::{DAY_US, MINUTE_US, SECOND_US};

use crate::account::Account;
use crate::draw::Draw;
use crate::producers::{Logs, Record};

/// A rule of time for both lanes of a model.
pub(crate) trait Rule {
    /// These records of a partition were read.
    fn read(&mut self, partition: usize, records: &[Record], now: Moment);
    /// The end of a partition was looked up now and has been reached.
    fn reach_end(&mut self, partition: usize, now: Moment);
    /// Closes what is due.
    fn advance(&mut self, now: Moment);
    /// What became of the rows.
    fn accounts(&self) -> PerLane<&Account>;
}

/// A moment: in true time, which is what a steady clock measures, and as the machine's clock has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) steady_us: i64,
    pub(crate) machine_us: i64,
}

/// When the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As it is written.
    Live,
    /// From a minute after its last record on: rows of fast clocks still lie beyond ours.
    Backlog,
    /// From 400 days after its last record on: nothing lies beyond our clock any more.
    OldBacklog,
}

/// What befalls the service meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mishaps {
    pub(crate) clock: Option<WrongClock>,
    /// From when to when the process is stopped.
    pub(crate) stop: Option<Range<i64>>,
}

/// The machine's clock is set, and set back again.
#[derive(Debug, Clone)]
pub(crate) struct WrongClock {
    pub(crate) during_us: Range<i64>,
    pub(crate) ahead_us: i64,
}

/// How a log is read.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    pub(crate) reading: Reading,
    pub(crate) tick_us: i64,
    /// How long after the last record windows may still close.
    pub(crate) patience_us: i64,
    /// Windows that start later are not waited for.
    pub(crate) counted_until_us: i64,
    pub(crate) mishaps: Mishaps,
}

/// Records of a backlog that are read in a tick, and how long that is: 20 000 a second.
const BACKLOG_RECORDS: usize = 1000;
const BACKLOG_TICK_US: i64 = SECOND_US / 20;

/// Reads logs to their end, and on until every window with good rows is closed.
pub(crate) fn drive(rule: &mut impl Rule, logs: &Logs, course: &Course) {
    let appended_us = || logs.iter().flatten().map(|record| record.appended_us);
    let (first_us, last_us) = (appended_us().min().unwrap_or(0), appended_us().max().unwrap_or(0));
    let (mut now_us, tick_us, at_most) = match course.reading {
        Reading::Live => (first_us, course.tick_us, usize::MAX),
        Reading::Backlog => (last_us + MINUTE_US, BACKLOG_TICK_US, BACKLOG_RECORDS),
        Reading::OldBacklog => (last_us + 400 * DAY_US, BACKLOG_TICK_US, BACKLOG_RECORDS),
    };
    let unread = logs.iter().enumerate().map(|(partition, log)| Unread { partition, log });
    let mut unread: Vec<Unread<'_>> = unread.collect();
    let mut draw = Draw::new(1);
    let mut until_us = i64::MAX;
    while now_us <= until_us {
        let is_stopped = course.mishaps.stop.as_ref().is_some_and(|stop| stop.contains(&now_us));
        if !is_stopped {
            let now = course.mishaps.moment(now_us);
            // Who goes on after a stop asks what is due before it reads.
            rule.advance(now);
            draw.shuffle(&mut unread);
            let behind = unread.iter().filter(|unread| !unread.is_at_end(now_us)).count();
            let share = at_most.div_ceil(behind.max(1));
            for unread in &mut unread {
                unread.read(rule, now, share);
            }
            rule.advance(now);
        }
        if unread.iter().all(|unread| unread.log.is_empty()) {
            until_us = until_us.min(now_us + course.patience_us);
            let waits = |account: &Account| account.waiting(course.counted_until_us) > 0;
            let PerLane { drift, operations } = rule.accounts();
            if !waits(drift) && !waits(operations) {
                return;
            }
        }
        now_us += tick_us;
    }
}

/// What is left of a partition's log.
#[derive(Debug)]
struct Unread<'a> {
    partition: usize,
    log: &'a [Record],
}

impl Unread<'_> {
    fn is_at_end(&self, now_us: i64) -> bool {
        self.log.first().is_none_or(|record| record.appended_us > now_us)
    }

    /// Reads what is there, at most so many records.
    fn read(&mut self, rule: &mut impl Rule, now: Moment, at_most: usize) {
        let there = self.log.partition_point(|record| record.appended_us <= now.steady_us);
        if let Some((read, left)) = self.log.split_at_checked(there.min(at_most))
            && !read.is_empty()
        {
            self.log = left;
            rule.read(self.partition, read, now);
            rule.advance(now);
        }
        if self.is_at_end(now.steady_us) {
            rule.reach_end(self.partition, now);
        }
    }
}

impl Mishaps {
    fn moment(&self, steady_us: i64) -> Moment {
        let off_us = match &self.clock {
            Some(wrong) if wrong.during_us.contains(&steady_us) => wrong.ahead_us,
            _ => 0,
        };
        Moment { steady_us, machine_us: steady_us + off_us }
    }
}
