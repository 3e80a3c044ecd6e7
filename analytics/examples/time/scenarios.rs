//! The streams that a rule of time has to bear.

use driftline_analytics::lane::{LaneSettings, PerLane};
use driftline_config::WindowGrid;
use driftline_config::time::{ALIGNMENT_US, DAY_US, HOUR_US, MINUTE_US, SECOND_US};

use crate::drive::{Mishaps, Reading};
use crate::producers::{Logs, Producers};

mod clocks;
mod ours;
mod shapes;
mod silence;
mod sparse;

/// A Monday at midnight, when everything begins.
pub(crate) const T0: i64 = ALIGNMENT_US + 2810 * 7 * DAY_US;

/// How much of a stream is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// As the table has it.
    Full,
    /// As a test can bear it in each build.
    Short,
}

/// One stream, the windows that are made of it, and how it may be read.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) lanes: PerLane<LaneSettings>,
    /// Whether the table has a line for the panes.
    pub(crate) panes: bool,
    pub(crate) readings: Vec<Reading>,
    pub(crate) tick_us: i64,
    pub(crate) patience_us: i64,
    pub(crate) counted_until_us: i64,
    /// Whether the broker stamps the records.
    pub(crate) stamps: bool,
    pub(crate) mishaps: Mishaps,
    /// What is in the topic, once for each model that reads it alone.
    pub(crate) models: Vec<Box<dyn Fn() -> Logs>>,
}

impl Scenario {
    /// Windows of `every_us` that wait `lateness_us`, and panes of at most a minute that wait as long.
    fn new(name: &str, every_us: i64, lateness_us: i64) -> Scenario {
        let lane = |every_us| LaneSettings {
            grid: WindowGrid::every(every_us),
            lateness_us,
            at_least: 1,
            at_most_us: 14 * DAY_US,
            idle_us: Some(30 * SECOND_US),
        };
        Scenario {
            name: name.to_owned(),
            lanes: PerLane { drift: lane(every_us), operations: lane(every_us.min(MINUTE_US)) },
            panes: false,
            readings: vec![Reading::Live, Reading::OldBacklog],
            tick_us: SECOND_US,
            patience_us: every_us + lateness_us + 3 * HOUR_US,
            counted_until_us: i64::MAX,
            stamps: false,
            mishaps: Mishaps::default(),
            models: Vec::new(),
        }
    }

    /// Windows of ten minutes that wait for one.
    fn usual(name: &str) -> Scenario {
        Scenario::new(name, 10 * MINUTE_US, MINUTE_US)
    }

    fn idle(mut self, idle_us: Option<i64>) -> Scenario {
        self.lanes.drift.idle_us = idle_us;
        self.lanes.operations.idle_us = idle_us;
        self
    }

    fn tick(self, tick_us: i64) -> Scenario {
        Scenario { tick_us, ..self }
    }

    fn live_only(self) -> Scenario {
        Scenario { readings: vec![Reading::Live], ..self }
    }

    fn of(mut self, logs: impl Fn() -> Logs + 'static) -> Scenario {
        self.models.push(Box::new(logs));
        self
    }

    fn of_producers(self, producers: Producers) -> Scenario {
        self.of(move || producers.write())
    }
}

/// All of them.
pub(crate) fn scenarios(size: Size) -> Vec<Scenario> {
    let mut all = shapes::scenarios(size);
    all.extend(clocks::scenarios(size));
    all.extend(sparse::scenarios(size));
    all.extend(silence::scenarios(size));
    all.extend(ours::scenarios(size));
    all
}

/// Five rows a second in each partition for two hours; less in short.
fn steady(size: Size) -> Producers {
    match size {
        Size::Full => Producers::new(5.0, T0, T0 + 2 * HOUR_US),
        Size::Short => Producers { partitions: 3, ..Producers::new(1.0, T0, T0 + 100 * MINUTE_US) },
    }
}

/// The larger number in the table.
fn of_size<T>(size: Size, full: T, short: T) -> T {
    match size {
        Size::Full => full,
        Size::Short => short,
    }
}
