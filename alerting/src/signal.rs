//! What alerting is told: per window, pane or look at the wall clock, the level of each class.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use driftline_config::{Level, Subject, WindowId};
use serde::{Deserialize, Serialize};

/// What an incident is about, in the order of precedence of RULES §5: where several fire together,
/// the first names what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// missing, wrong_type, absent, new_category, volume, rejected.
    #[serde(rename = "broken input")]
    BrokenInput,
    #[serde(rename = "serving")]
    Serving,
    /// Predictions moved in a window in which the versions changed.
    #[serde(rename = "release")]
    Release,
    /// Features are distributed differently from the baseline.
    #[serde(rename = "input shift")]
    InputShift,
    /// Predictions are distributed differently from the baseline.
    #[serde(rename = "prediction shift")]
    PredictionShift,
    /// No accepted row for longer than the model's `no_data.after`.
    #[serde(rename = "no data")]
    NoData,
    /// A shadow candidate cannot be scored, or differs from the champion.
    #[serde(rename = "candidate")]
    Candidate,
    /// Driftline itself is in trouble.
    #[serde(rename = "driftline")]
    Driftline,
}

impl Class {
    /// Every class, in order of precedence.
    pub const ALL: [Class; 8] = [
        Class::BrokenInput,
        Class::Serving,
        Class::Release,
        Class::InputShift,
        Class::PredictionShift,
        Class::NoData,
        Class::Candidate,
        Class::Driftline,
    ];

    /// The name people, metrics and webhooks see.
    pub fn name(self) -> &'static str {
        match self {
            Class::BrokenInput => "broken input",
            Class::Serving => "serving",
            Class::Release => "release",
            Class::InputShift => "input shift",
            Class::PredictionShift => "prediction shift",
            Class::NoData => "no data",
            Class::Candidate => "candidate",
            Class::Driftline => "driftline",
        }
    }

    /// Whether the class follows `for.drift` and may ask for retraining.
    pub fn is_drift(self) -> bool {
        matches!(self, Class::InputShift | Class::PredictionShift)
    }

    /// Whether repeats follow `repeat.operations` rather than `repeat.drift`.
    pub fn is_operations(self) -> bool {
        matches!(self, Class::BrokenInput | Class::Serving | Class::NoData | Class::Driftline)
    }

    /// Whether the class is one of the five that explain one another.
    pub(crate) fn explains(self) -> bool {
        self <= Class::PredictionShift
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What the numbers of [`Evidence`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A distance between distributions, without unit.
    Statistic,
    /// A share of rows or requests, 0 to 1.
    Share,
    Microseconds,
    /// How many times too fast an objective's allowance is spent.
    BurnRate,
    Count,
}

/// One finding of a class: a column, a latency, a silent topic. Numbers that are not finite are
/// stored as absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// As in reports: `feature:X`, `prediction:X@VERSION`, `latency`, `status`, `model`.
    pub subject: Subject,
    /// As in reports: `distribution`, `missing`, `wrong_type`, …
    pub check: String,
    /// Level of this finding alone. Subjects at `Alarm` make incidents; those at `Warn` or
    /// `NotComputable` only say whether an incident that holds them is over.
    pub level: Level,
    pub value: Option<f64>,
    pub bound: Option<f64>,
    pub tolerance: Option<f64>,
    pub unit: Measure,
    /// One sentence in shares of requests, without p-values and without the full stop.
    pub because: String,
    /// Start of the first window of the present run over tolerance, event time in microseconds.
    pub first_over_us: Option<i64>,
    /// The rows that a pane's share is of; none where windows measure it.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Whether it is over by earlier windows alone, that were looked at together with the newest one,
    /// which is back: it holds no incident open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
}

impl Evidence {
    /// What makes two findings of different windows the same: subject and check.
    pub fn key(&self) -> String {
        format!("{} {}", self.subject, self.check)
    }

    /// Whether the effect is over its tolerance; `false` where there is nothing to compare.
    pub fn is_over(&self) -> bool {
        !self.returned
            && self.value.zip(self.tolerance).is_some_and(|(value, tolerance)| value > tolerance)
    }

    /// How many times its tolerance the effect surely is: what "strongest" means in messages.
    /// Findings without numbers (an absent column) come first.
    fn strength(&self) -> f64 {
        let effect = self.bound.or(self.value);
        match (effect, self.tolerance) {
            (Some(effect), Some(tolerance)) if tolerance > 0.0 && effect.is_finite() => {
                effect / tolerance
            }
            _ => f64::MAX,
        }
    }

    /// Strongest first; ties by name, so that the order never depends on the input's.
    pub fn by_strength(&self, other: &Evidence) -> Ordering {
        other
            .strength()
            .total_cmp(&self.strength())
            .then_with(|| (&self.subject, &self.check).cmp(&(&other.subject, &other.check)))
    }
}

/// How a class at alarm opens an incident.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// By so many windows of the last ones, as `alerts.for` says.
    #[default]
    ByCount,
    /// By this window alone: it is more extreme than the stated number of false alarms allows.
    AtOnce,
    /// Not by itself: what pages leads with a column of another class.
    ByAnother,
}

/// What one class looks like in one observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassSignal {
    pub level: Level,
    /// Its findings at warn, alarm or not_computable; those that are ok may be left out.
    pub subjects: Vec<Evidence>,
    #[serde(default)]
    pub opening: Opening,
    /// How extreme the window is and what number of false alarms was promised, in sentences; where
    /// ranks decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promise: Vec<String>,
}

impl ClassSignal {
    /// A class that was judged and found within tolerance.
    pub fn ok() -> ClassSignal {
        ClassSignal::new(Level::Ok, Vec::new())
    }

    /// A class that opens by count.
    pub fn new(level: Level, subjects: Vec<Evidence>) -> ClassSignal {
        ClassSignal { level, subjects, opening: Opening::ByCount, promise: Vec::new() }
    }
}

/// What was looked at. Half-open, event time in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Window {
        id: WindowId,
        /// Inclusive.
        start_us: i64,
        /// Exclusive.
        end_us: i64,
        /// Incomplete windows decide nothing.
        complete: bool,
    },
    Pane {
        /// Inclusive.
        start_us: i64,
        /// Exclusive.
        end_us: i64,
    },
    /// The clock on the wall: no data, candidates, Driftline itself.
    Wall,
}

/// Everything one window, pane or look at the clock says about one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub model: String,
    pub source: Source,
    /// When it could be known: end plus lateness of a window or pane in event time, the wall time
    /// of `Source::Wall`. Microseconds.
    pub at_us: i64,
    /// Every class that this source judges, also those that are ok. A class that is left out was
    /// not judged: it neither opens, clears nor counts.
    pub classes: BTreeMap<Class, ClassSignal>,
}
