//! One line of the table for each stream and way of reading it, under both rules.

use driftline_analytics::lane::PerLane;
use driftline_config::time::SECOND_US;

use crate::account::Account;
use crate::drive::{Course, Reading, Rule as _, drive};
use crate::former::Former;
use crate::lanes::Lanes;
use crate::producers::Logs;
use crate::scenarios::Scenario;

/// What became of a stream under one rule, over all its models.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    pub(crate) good: u64,
    pub(crate) late: u64,
    pub(crate) ahead: u64,
    /// Windows with good rows.
    pub(crate) windows: usize,
    /// Those of them that never closed.
    pub(crate) never_closed: usize,
}

/// Both rules, beside each other.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    pub(crate) former: Outcome,
    pub(crate) new: Outcome,
    /// How much later than formerly each window closed, sorted.
    pub(crate) later_us: Vec<i64>,
}

impl Scenario {
    /// What becomes of it under both rules.
    pub(crate) fn lines(&self, reading: Reading) -> PerLane<Line> {
        let mut lines = PerLane::<Line>::default();
        for logs in self.models.iter().map(|logs| logs()) {
            let mut former = Former::new(self.lanes.clone(), logs.len(), self.stamps);
            drive(&mut former, &logs, &self.course(reading));
            let new = self.new_rule(&logs, reading);
            lines.drift.add(former.accounts().drift, new.accounts().drift, self);
            lines.operations.add(former.accounts().operations, new.accounts().operations, self);
        }
        lines.drift.later_us.sort_unstable();
        lines.operations.later_us.sort_unstable();
        lines
    }

    /// What becomes of the log of one model under the rule as it is.
    pub(crate) fn new_rule(&self, logs: &Logs, reading: Reading) -> Lanes {
        let mut new = Lanes::new(self.lanes.clone(), logs.len());
        drive(&mut new, logs, &self.course(reading));
        new
    }

    fn course(&self, reading: Reading) -> Course {
        Course {
            reading,
            tick_us: self.tick_us,
            patience_us: self.patience_us,
            counted_until_us: self.counted_until_us,
            mishaps: self.mishaps.clone(),
        }
    }
}

impl Line {
    fn add(&mut self, former: &Account, new: &Account, scenario: &Scenario) {
        self.former.add(former, scenario);
        self.new.add(new, scenario);
        self.later_us.extend(new.later_than_us(former));
    }

    /// As the table has it.
    pub(crate) fn markdown(&self, name: &str, reading: Reading) -> String {
        let read = match reading {
            Reading::Live => "live",
            Reading::Backlog => "backlog",
            Reading::OldBacklog => "backlog, old",
        };
        let Line { former, new, later_us } = self;
        let (median, most) = (later_us.get(later_us.len() / 2), later_us.last());
        format!(
            "| {name} | {read} | {} | {} | {} | {} | {} | {} / {} | {} | {} |\n",
            new.good,
            former.late,
            new.late,
            new.ahead,
            new.windows,
            former.never_closed,
            new.never_closed,
            median.map_or("–".to_owned(), |us| seconds(*us)),
            most.map_or("–".to_owned(), |us| seconds(*us)),
        )
    }
}

impl Outcome {
    /// Adds what became of one model's rows.
    pub(crate) fn add(&mut self, account: &Account, scenario: &Scenario) {
        let waiting = account.waiting(scenario.counted_until_us);
        self.good += account.good;
        self.late += account.late;
        self.ahead += account.ahead;
        self.windows += account.closed_us.len() + waiting;
        self.never_closed += waiting;
    }
}

/// A duration in seconds, as few figures as it takes.
fn seconds(us: i64) -> String {
    let tenths = (us as f64 / (SECOND_US / 10) as f64).round();
    if tenths % 10.0 == 0.0 || tenths.abs() >= 1000.0 {
        format!("{:.0} s", tenths / 10.0)
    } else {
        format!("{:.1} s", tenths / 10.0)
    }
}
