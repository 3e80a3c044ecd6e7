//! What one window said, in the shape of CONTRACTS §5.
//!
//! A [`Report`] is written by the judgement, published, stored, and read again by the API, by
//! `replay` and by the translation into alerts. The same report always gives the same bytes.

mod finding;
mod number;
mod ranks;
#[cfg(test)]
mod tests;
mod violations;

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range, Sub};

use driftline_config::{Level, Partition, TimeZone, WindowId};
use serde::{Deserialize, Serialize};

pub use crate::lane::{Cut, CutBy, Incomplete};
pub use crate::statistics::Comparison;
pub use finding::{
    BinShare, CategoryShare, Check, Effect, Finding, Kind, Ks, MeanAndSd, NameCount, Psi, Share,
    Shift, Volume,
};
pub use number::{Ordered, rounded, rounded_or_none};
pub use ranks::{BudgetSection, MaximumSection, Moved, NotComputable, Rank};
pub use violations::{Violation, Violations};

/// Version of the report's shape: its key `driftline`.
pub const FORMAT: u32 = 1;
/// Version of the rules by which reports are made (RULES §4).
pub const RULES: u32 = 2;

/// The report on one window of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub driftline: u32,
    pub model: String,
    /// Requests by version of the model that answered.
    pub versions: BTreeMap<String, u64>,
    /// Which window, and how much of the log it holds.
    pub window: Window,
    /// The highest level of the judged findings; `not_computable` rather than `ok` where one of them
    /// is not computable.
    pub level: Level,
    /// What changed about the versions, where something did.
    pub release: Option<Release>,
    /// What changed in the settings since the window before.
    pub changed: Vec<String>,
    /// Alarms first, then warnings, then the rest; by adjusted p and subject within.
    pub findings: Vec<Finding>,
    /// Latency of all requests that had one; `None` where none had.
    pub latency: Option<Latency>,
    /// Requests by class of status: `2xx`, …, `none`.
    pub status: BTreeMap<String, u64>,
    pub baseline_sha256: String,
    pub config_sha256: String,
    pub rules: u32,
    /// sha256 of the baselines of versions that have their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<String, String>,
    /// Requests, each weighted by what it stands for; left out where every row stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_weighted: Option<f64>,
    /// Kinds of names of which there were more than are kept: `new_column`, `version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names_truncated: Vec<String>,
    /// By ranks of the baseline's own windows, where it was judged so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSection>,
    /// What could not be judged, where something could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_computable: Option<NotComputable>,
}

/// Which window it was. Instants are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub id: WindowId,
    /// Inclusive.
    pub start: String,
    /// Exclusive.
    pub end: String,
    /// By whose midnights it begins and ends, where that is not UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    pub rows: u64,
    /// Windows of the declared length that it holds.
    pub parts: u32,
    /// Whether all rows of it can have been read.
    pub complete: bool,
    pub previous: Option<WindowId>,
    /// What became of the records of its stretch of the log.
    pub ledger: Ledger,
    pub cuts: BTreeMap<String, BTreeMap<Partition, Cut>>,
    /// Why rows may be missing, where some may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Incomplete>,
    /// Offsets before the cuts of rows of its time that were not counted, since they lay too far beyond our
    /// clock when they were read: whoever reads the log again leaves them out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ahead: BTreeMap<Partition, Vec<i64>>,
    /// Whether there were more of them than are remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead_forgotten: bool,
    /// How requests found their responses, where these are records of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairCounts>,
}

/// What the judgement is told about a window, beside what was counted in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowMeta {
    pub id: WindowId,
    /// Inclusive, event time.
    pub start_us: i64,
    /// Exclusive, event time.
    pub end_us: i64,
    /// As [`Window::timezone`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    /// Windows of the declared length that it holds.
    pub parts: u32,
    /// Why rows may be missing; empty where none can be.
    pub incomplete: Vec<Incomplete>,
    pub previous: Option<WindowId>,
    /// What became of the records of its stretch of the log.
    pub ledger: Ledger,
    pub cuts: BTreeMap<String, BTreeMap<Partition, Cut>>,
    /// As [`Window::ahead`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ahead: BTreeMap<Partition, Vec<i64>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead_forgotten: bool,
    /// As [`Window::pairs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairCounts>,
}

/// Of a model whose requests and responses are records of their own: how they found each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounts {
    /// Rows of a request and its response.
    pub paired: u64,
    /// Rows of a request without a response: errors.
    pub response_missing: u64,
    /// Responses of the window's time that no request was found for; they are no rows.
    pub request_missing: u64,
    /// Those of both kinds that were given up before the window closed, since too many waited.
    #[serde(default)]
    pub given_up: u64,
}

impl AddAssign for PairCounts {
    fn add_assign(&mut self, other: PairCounts) {
        self.paired += other.paired;
        self.response_missing += other.response_missing;
        self.request_missing += other.request_missing;
        self.given_up += other.given_up;
    }
}

/// Records by what became of them, of one stretch of a log: `read` is the sum of the others (RULES §2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub read: u64,
    /// Rows that a window took.
    pub counted: u64,
    /// Rows that came after their window was cut.
    pub late: u64,
    /// Rows that lay too far beyond our clock when they were read.
    #[serde(default)]
    pub ahead: u64,
    /// Records whose envelope could not be read.
    pub rejected: u64,
    /// Records of models that the topic is not configured for.
    #[serde(default)]
    pub skipped: u64,
    #[serde(default)]
    pub control: u64,
}

impl Ledger {
    /// Zero, if and only if nothing was lost and nothing was counted twice.
    pub fn imbalance(&self) -> i64 {
        // Wide: what is read back from a file may be any numbers.
        let parts =
            [self.counted, self.late, self.ahead, self.rejected, self.skipped, self.control];
        let known: i128 = parts.into_iter().map(i128::from).sum();
        let missing = i128::from(self.read) - known;
        i64::try_from(missing).unwrap_or(if missing < 0 { i64::MIN } else { i64::MAX })
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.read += other.read;
        self.counted += other.counted;
        self.late += other.late;
        self.ahead += other.ahead;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
        self.control += other.control;
    }
}

impl Sub for Ledger {
    type Output = Ledger;

    /// What came since `earlier`. Never below zero: after a log was made again, what is left of the
    /// earlier counts means nothing.
    fn sub(self, earlier: Ledger) -> Ledger {
        Ledger {
            read: self.read.saturating_sub(earlier.read),
            counted: self.counted.saturating_sub(earlier.counted),
            late: self.late.saturating_sub(earlier.late),
            ahead: self.ahead.saturating_sub(earlier.ahead),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            skipped: self.skipped.saturating_sub(earlier.skipped),
            control: self.control.saturating_sub(earlier.control),
        }
    }
}

impl WindowMeta {
    /// A complete window of the declared length of which nothing more is known: rows that no log
    /// gave.
    pub fn new(id: WindowId, times_us: Range<i64>) -> WindowMeta {
        WindowMeta {
            timezone: WindowId::timezone(&id),
            id,
            start_us: times_us.start,
            end_us: times_us.end,
            parts: 1,
            incomplete: Vec::new(),
            previous: None,
            ledger: Ledger::default(),
            cuts: BTreeMap::new(),
            ahead: BTreeMap::new(),
            ahead_forgotten: false,
            pairs: None,
        }
    }
}

/// What changed about the versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Versions that no earlier window had.
    pub new: Vec<String>,
    /// Versions whose share of the requests moved by more than 10 points.
    pub moved: Vec<MovedVersion>,
    pub because: String,
}

/// A version whose share moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovedVersion {
    pub version: String,
    /// Its share of the requests of the window before.
    pub from: f64,
    pub to: f64,
}

/// Latency of the requests, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub n: u64,
    pub p50_us: Percentile,
    pub p90_us: Percentile,
    pub p99_us: Percentile,
    pub max_us: u64,
    /// Share of the requests that took longer than the objective allows; `None` without one.
    pub over_objective: Option<f64>,
}

/// A percentile with the bounds of its order statistics, 99 % together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentile {
    /// Its value to two digits.
    pub value: u64,
    /// What it is at least.
    pub low: u64,
    /// What it is at most; `None` where there are too few requests to say.
    pub high: Option<u64>,
}

impl Report {
    /// The report's JSON, on one line: the same report gives the same bytes.
    pub fn to_json(&self) -> String {
        // Nothing in a report can fail to be written: its keys are text, its numbers finite.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Report::to_json`] wrote.
    ///
    /// # Errors
    /// Text that is no report.
    pub fn from_json(text: &str) -> Result<Report, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The finding of a subject and a check.
    pub fn finding(&self, subject: &str, check: Check) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.subject == subject && finding.check == check)
    }

    /// Puts the findings into the order of the contract.
    pub fn sort(&mut self) {
        self.findings.sort_by(|left, right| {
            let by_level = left.level.place().cmp(&right.level.place());
            by_level
                .then_with(|| left.p_order().total_cmp(&right.p_order()))
                .then_with(|| (&left.subject, left.check).cmp(&(&right.subject, right.check)))
        });
    }
}
