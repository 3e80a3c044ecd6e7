//! The rule before the stretches, as small as it can be: the largest time of a partition, a guard against
//! jumps of it, and silence that counts from the last row.

use driftline_analytics::lane::{LaneSettings, PerLane};

use crate::account::Account;
use crate::drive::{Moment, Rule};
use crate::producers::Record;

/// Rows of a partition that are believed at once.
const TRUSTED_ROWS: u32 = 100;
/// Rows in a row that make a jump believed.
const JUMP_ROWS: u32 = 20;
/// A shorter jump is believed at once.
const JUMP_US: i64 = driftline_config::time::HOUR_US;

/// Both lanes of a model.
#[derive(Debug)]
pub(crate) struct Former(PerLane<FormerLane>);

#[derive(Debug)]
struct FormerLane {
    settings: LaneSettings,
    /// A longer jump is doubted; `None` where the broker stamps.
    jump_us: Option<i64>,
    partitions: Vec<Watermark>,
    /// The largest time, and the timestamp of its record.
    furthest: Option<Record>,
    closed_through_us: i64,
    account: Account,
}

#[derive(Debug, Clone)]
struct Watermark {
    watermark_us: i64,
    rows: u32,
    /// Rows in a row beyond the guard, and the least of their times.
    run: u32,
    run_least_us: i64,
    passed_us: i64,
    silent_since_us: Option<i64>,
}

impl Former {
    /// One that has seen nothing.
    pub(crate) fn new(lanes: PerLane<LaneSettings>, partitions: usize, stamps: bool) -> Former {
        let jump_us = (!stamps).then(|| lanes.drift.grid.every_us().max(JUMP_US));
        let fresh = Watermark {
            watermark_us: i64::MIN,
            rows: 0,
            run: 0,
            run_least_us: i64::MAX,
            passed_us: i64::MIN,
            silent_since_us: None,
        };
        Former(lanes.map(|settings| FormerLane {
            settings,
            jump_us,
            partitions: vec![fresh.clone(); partitions],
            furthest: None,
            closed_through_us: i64::MIN,
            account: Account::default(),
        }))
    }

    fn lanes(&mut self) -> [&mut FormerLane; 2] {
        [&mut self.0.drift, &mut self.0.operations]
    }
}

impl Rule for Former {
    fn read(&mut self, partition: usize, records: &[Record], _: Moment) {
        for lane in self.lanes() {
            records.iter().for_each(|record| lane.read(partition, record));
        }
    }

    fn reach_end(&mut self, partition: usize, now: Moment) {
        for lane in self.lanes() {
            if let Some(watermark) = lane.partitions.get_mut(partition) {
                watermark.silent_since_us.get_or_insert(now.machine_us);
            }
        }
    }

    fn advance(&mut self, now: Moment) {
        self.lanes().into_iter().for_each(|lane| lane.advance(now));
    }

    fn accounts(&self) -> PerLane<&Account> {
        self.0.as_ref().map(|lane| &lane.account)
    }
}

impl FormerLane {
    fn read(&mut self, partition: usize, record: &Record) {
        let Some(watermark) = self.partitions.get_mut(partition) else { return };
        watermark.silent_since_us = None;
        if !record.heartbeat {
            let start_us = self.settings.grid.start_us(record.time_us);
            let is_late = self.settings.grid.end_us(start_us)
                <= self.closed_through_us.max(watermark.passed_us);
            self.account.good += u64::from(record.good);
            self.account.late += u64::from(record.good && is_late);
            if !is_late {
                self.account.place(start_us, record.good);
            }
        }
        let Some(moved_us) = watermark.take(record, self.jump_us) else { return };
        watermark.watermark_us = moved_us;
        let over_us = self.settings.grid.start_us(moved_us - self.settings.lateness_us);
        watermark.passed_us = watermark.passed_us.max(over_us);
        if self.furthest.is_none_or(|furthest| moved_us > furthest.time_us) {
            self.furthest = Some(Record { time_us: moved_us, ..*record });
        }
    }

    fn advance(&mut self, now: Moment) {
        while let Some((&start_us, _)) = self.account.open.first_key_value() {
            let end_us = self.settings.grid.end_us(start_us);
            if !self.is_due(end_us, now) {
                return;
            }
            self.closed_through_us = self.closed_through_us.max(end_us);
            self.account.close(start_us, now.steady_us);
        }
    }

    fn is_due(&self, end_us: i64, now: Moment) -> bool {
        let idle = |since_us: i64| {
            self.settings.idle_us.is_some_and(|idle_us| now.machine_us - since_us >= idle_us)
        };
        let mut any_passed = false;
        for watermark in &self.partitions {
            if watermark.passed_us >= end_us {
                any_passed = true;
            } else if !watermark.silent_since_us.is_some_and(idle) {
                return false;
            }
        }
        let carried = self.furthest.is_some_and(|furthest| {
            let carried_us = furthest.time_us + now.machine_us - furthest.record_time_us;
            carried_us >= end_us + self.settings.lateness_us
        });
        any_passed || carried
    }
}

impl Watermark {
    /// Where the watermark moves to.
    fn take(&mut self, record: &Record, jump_us: Option<i64>) -> Option<i64> {
        let said_us = record.time_us.min(record.record_time_us);
        let trusted = record.heartbeat || self.rows < TRUSTED_ROWS;
        self.rows += u32::from(!record.heartbeat && self.rows < TRUSTED_ROWS);
        let doubted = jump_us
            .is_some_and(|jump_us| !trusted && said_us > self.watermark_us.saturating_add(jump_us));
        let mut candidate_us = said_us;
        if doubted {
            self.run += 1;
            self.run_least_us = self.run_least_us.min(said_us);
            if self.run < JUMP_ROWS {
                return None;
            }
            candidate_us = self.run_least_us;
        }
        (self.run, self.run_least_us) = (0, i64::MAX);
        (candidate_us > self.watermark_us).then_some(candidate_us)
    }
}
