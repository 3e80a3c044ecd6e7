//! What a report says of the false alarms that are accepted, and of how extreme its window is.

use driftline_config::Subject;
use serde::{Deserialize, Serialize};

use crate::budget::Measured;

/// The budget of false alarms, and where the window stands by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetSection {
    /// False openings that the operator accepts in `per`.
    pub at_most: f64,
    pub per: String,
    /// Windows of that period.
    pub windows: f64,
    /// Own windows of the baseline.
    pub own: u64,
    /// Windows left out on either side of each; over 1 where neighbours are alike, and then the bound
    /// promises too much.
    pub lag: u32,
    /// False openings to expect in `per`, whatever depends on what.
    pub expected: f64,
    /// What that is at most for nine baselines in ten, where own windows are independent.
    pub bound: f64,
    /// Whether one of the maxima pages.
    pub pages: bool,
    pub maxima: Vec<MaximumSection>,
    /// Columns that are farther than in any own window, first mover first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
    /// Columns that lead no maximum because somebody accepted what they do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Subject>,
    /// All of it in one sentence.
    pub says: String,
}

/// One maximum over columns and scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaximumSection {
    /// `long_drift`, `broken_input` or `short_drift`.
    pub of: String,
    /// How many windows are merged.
    pub scales: Vec<u32>,
    /// Own windows for which all these scales exist.
    pub own: u64,
    /// k: it pages above its k-th largest own value.
    pub rank: u64,
    pub threshold: f64,
    /// M: the largest effect of a column over its yardstick.
    pub value: f64,
    /// Own windows that differed less.
    pub beyond: u64,
    pub pages: bool,
    /// The column with that effect; `None` where nothing moved.
    pub leading: Option<Subject>,
    pub scale: Option<u32>,
}

/// A column that moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub subject: Subject,
    pub measured: Measured,
    /// Start of the first window of the run, RFC 3339.
    pub since: Option<String>,
    /// Whether it may have begun before.
    pub at_the_latest: bool,
}

/// How extreme one column is, at the scale where that is most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rank {
    pub measured: Measured,
    /// Windows that are merged.
    pub scale: u32,
    /// Rows of them that it was measured from.
    pub rows: u64,
    /// The share of requests that moved.
    pub effect: f64,
    /// What it is at least, with 99 % confidence.
    pub bound: f64,
    /// What it is where nothing changed.
    pub yardstick: f64,
    /// The effect over its yardstick; 0 where it is too small to count.
    pub value: f64,
    /// What pages.
    pub threshold: f64,
    /// The largest value of an own window of this column.
    pub own_largest: f64,
    /// Start of the first window of the run, RFC 3339; where the column is farther than ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether it may have begun before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub since_at_the_latest: bool,
    /// Whether it is so by earlier windows alone: the newest one is back. Then it holds no incident open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
}

impl Rank {
    /// The effect that would page, in the unit of the effect.
    pub fn tolerance(&self) -> f64 {
        self.threshold * self.yardstick
    }
}

/// How much of a window could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotComputable {
    /// Judged columns with a check that could not be computed.
    pub columns: u64,
    /// Rows that were missing for all of them; `None` where no number would be enough.
    pub rows_missing: Option<u64>,
}
