//! One finding: what was looked at, by how much it moved, and the sentence that says so.

use driftline_capture::columns;
use driftline_config::{Level, Subject};
use serde::{Deserialize, Serialize};

use super::number::Ordered;
use super::ranks::Rank;
use crate::statistics::Comparison;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Whether the values are spread as in the baseline.
    Distribution,
    Missing,
    /// Share of values of the wrong type.
    WrongType,
    /// Share of values outside the baseline's categories.
    NewCategory,
    /// A monitored column that no row had.
    Absent,
    /// A column that the baseline does not know.
    NewColumn,
    Volume,
    /// Share of requests slower than the objective allows.
    Latency,
    Errors,
}

/// One finding. Keys that do not apply to its check are left out, but for `first_over`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `feature:X`, `prediction:X@VERSION`, `latency`, `status` or `model`.
    pub subject: Subject,
    pub check: Check,
    /// `numeric` or `categorical`, for columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Values of the window that the check is about: non-missing ones for distributions and new
    /// categories, all rows for missing and wrong types, requests otherwise.
    pub n: u64,
    /// The same of the baseline; 0 where it has none.
    pub m: u64,
    pub level: Level,
    /// Decides for numeric columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ks: Option<Ks>,
    /// Decides for categorical columns, shown for numeric ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Number of requests, for `volume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// How extreme it is among own windows; decides where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<Rank>,
    /// Rows from which on it could be judged, where these are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// One sentence in shares of requests, without the full stop.
    pub because: String,
    /// Start of the first window of the present run over tolerance, RFC 3339.
    pub first_over: Option<String>,
    /// Further statistics of a distribution, shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// By what all values were multiplied, where that is what moved them: another unit, or `-1` for another
    /// sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescaled: Option<f64>,
    /// Whether it may alarm.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub judged: bool,
    /// Whether its numbers are whole with few distinct values.
    #[serde(default, skip_serializing_if = "is_false")]
    pub discrete: bool,
    /// Whether values and categories are left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub private: bool,
    /// Whether it may be what a release looks like: a prediction in a window with a release.
    #[serde(default, skip_serializing_if = "is_false")]
    pub release: bool,
    /// What else one must know about it, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Numeric,
    Categorical,
}

/// Kolmogorov-Smirnov, the deciding statistic of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ks {
    /// The distance, or its certified lower end.
    pub value: f64,
    /// The bracket of the distance; both ends equal where it is exact.
    pub certified: [f64; 2],
    /// Lower confidence bound of the distance; may be negative.
    pub bound: f64,
    pub confidence: f64,
    pub tolerance: f64,
    pub tolerance_from: String,
    /// What the baseline's own sampling may contribute.
    pub baseline_error: f64,
    /// The smallest distance that would have alarmed alone.
    pub detectable: f64,
    /// Where the distance is: a cut point; `None` for equal distributions and private columns.
    pub at: Option<Ordered>,
    pub share_reference: Option<f64>,
    pub share_window: Option<f64>,
    /// The ordinary two-sample p-value.
    pub p: f64,
    pub p_method: String,
    /// Probability of such a window under a distance within the tolerance: it decides.
    pub p_tolerance: f64,
    /// `p_tolerance` adjusted over the window's columns; `None` where it was not among them.
    pub p_adjusted: Option<f64>,
    /// Whether the shares count the values at `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// Population stability index. The keys from `confidence` on are there where it decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Psi {
    /// With ½ added to each count.
    pub value: f64,
    /// Less what chance alone gives; this is what the tolerance is compared with.
    pub debiased: f64,
    /// Lower confidence bound of `debiased`; may be negative.
    pub bound: f64,
    /// Bins of numbers, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bins: Vec<BinShare>,
    /// Categories, the baseline's largest first, and last all others together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryShare>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_from: Option<String>,
    /// The smallest debiased PSI that would have alarmed alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_method: Option<String>,
    /// Probability of such a window under a PSI within the tolerance: it decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_tolerance: Option<f64>,
    /// `p_tolerance` adjusted over the window's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_adjusted: Option<f64>,
}

/// One bin of a numeric column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BinShare {
    /// Its upper edge, which belongs to it; `None` for the last bin and for private columns.
    pub to: Option<Ordered>,
    pub reference: f64,
    pub window: f64,
    pub contribution: f64,
}

/// One category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryShare {
    /// Its text; `None` for all others together, and for private columns.
    pub category: Option<String>,
    pub reference: f64,
    pub window: f64,
    pub contribution: f64,
}

/// A share of rows against the baseline's, by the exact binomial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub value: f64,
    pub bound: f64,
    pub confidence: f64,
    /// How far above `reference` is tolerated.
    pub tolerance: f64,
    pub tolerance_from: String,
    /// The share in the baseline, or what the objective allows.
    pub reference: f64,
    /// The smallest share that would have alarmed alone; `None` where none would.
    pub detectable: Option<f64>,
    /// Probability of so many under a share of `reference` and `tolerance` together.
    pub p_tolerance: Option<f64>,
    /// `p_tolerance` adjusted over the window's columns.
    pub p_adjusted: Option<f64>,
    pub count: u64,
    /// Names of new categories, or examples of values of the wrong type, with their counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameCount>,
    /// Whether there were more names than are kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub names_truncated: bool,
}

/// How far a finding is from its baseline, in the unit of its tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    pub value: f64,
    /// What it is at least, with 99 % confidence.
    pub bound: f64,
    pub tolerance: f64,
}

/// A name and how often it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCount {
    pub name: String,
    pub count: u64,
}

/// The number of requests against the baseline's own windows of the same length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Requests of the window, each weighted by what it stands for.
    pub value: f64,
    /// Fewest requests of an own window; `None` where there are no own windows of this length.
    pub smallest: Option<u64>,
    /// Most requests of an own window.
    pub largest: Option<u64>,
    /// Own windows of this length.
    pub windows: u64,
}

/// Further statistics of a distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// Kuiper's V, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kuiper: Option<f64>,
    /// Mann-Whitney: probability that a value of the window exceeds one of the baseline, ties
    /// counting half; 0.5 is no shift. For numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mann_whitney: Option<f64>,
    /// Jensen-Shannon divergence in bits, over bins or categories.
    pub jensen_shannon: f64,
    pub hellinger: f64,
    pub total_variation: f64,
    /// Of the baseline, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<MeanAndSd>,
    /// Of the window, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<MeanAndSd>,
}

/// Mean and standard deviation of the finite values; `None` where there are too few.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanAndSd {
    pub mean: Option<f64>,
    /// The standard deviation, with n - 1.
    pub sd: Option<f64>,
}

impl Check {
    /// Its name as in the report: `wrong_type`.
    pub fn name(self) -> &'static str {
        match self {
            Check::Distribution => "distribution",
            Check::Missing => "missing",
            Check::WrongType => "wrong_type",
            Check::NewCategory => "new_category",
            Check::Absent => "absent",
            Check::NewColumn => "new_column",
            Check::Volume => "volume",
            Check::Latency => "latency",
            Check::Errors => "errors",
        }
    }
}

impl From<columns::Kind> for Kind {
    fn from(kind: columns::Kind) -> Kind {
        match kind {
            columns::Kind::Numeric => Kind::Numeric,
            columns::Kind::Categorical => Kind::Categorical,
        }
    }
}

impl Finding {
    /// A finding that says nothing yet.
    pub fn new(subject: impl Into<Subject>, check: Check) -> Finding {
        Finding {
            subject: subject.into(),
            check,
            kind: None,
            n: 0,
            m: 0,
            level: Level::Ok,
            ks: None,
            psi: None,
            share: None,
            volume: None,
            rank: None,
            needed: None,
            because: String::new(),
            first_over: None,
            shift: None,
            rescaled: None,
            judged: true,
            discrete: false,
            private: false,
            release: false,
            notes: Vec::new(),
        }
    }

    /// The effect in the unit of its tolerance, its lower bound, and the tolerance: of the share of
    /// requests that moved, of the deciding statistic, or of a share above the baseline's. `None` where nothing was measured.
    pub fn effect(&self) -> Option<Effect> {
        if let Some(rank) = &self.rank {
            let (value, bound, tolerance) = (rank.effect, rank.bound, rank.tolerance());
            return Some(Effect { value, bound, tolerance });
        }
        if let Some(ks) = &self.ks {
            let Ks { value, bound, tolerance, .. } = *ks;
            return Some(Effect { value, bound, tolerance });
        }
        if let Some(psi) = &self.psi {
            let tolerance = psi.tolerance?;
            return Some(Effect { value: psi.debiased, bound: psi.bound, tolerance });
        }
        let share = self.share.as_ref()?;
        Some(Effect {
            value: share.value - share.reference,
            bound: share.bound - share.reference,
            tolerance: share.tolerance,
        })
    }

    /// Whether it is over its tolerance: by its effect, or by its level where it has none. Findings
    /// that are not judged never are.
    pub fn is_over(&self) -> bool {
        self.judged
            && match self.effect() {
                Some(effect) => effect.value > effect.tolerance,
                None => matches!(self.level, Level::Warn | Level::Alarm),
            }
    }

    /// The adjusted p-value of its deciding statistic.
    pub fn p_adjusted(&self) -> Option<f64> {
        let ks = self.ks.as_ref().map(|ks| ks.p_adjusted);
        let psi = || self.psi.as_ref().map(|psi| psi.p_adjusted);
        let share = || self.share.as_ref().map(|share| share.p_adjusted);
        ks.or_else(psi).or_else(share).flatten()
    }

    /// Where it stands among findings of its level: those without evidence of their own, such as an
    /// absent column, before all others.
    pub(super) fn p_order(&self) -> f64 {
        if let Some(rank) = &self.rank {
            return 1.0 / (1.0 + rank.value / rank.threshold.max(f64::MIN_POSITIVE));
        }
        self.p_adjusted().unwrap_or(if self.level == Level::Alarm { 0.0 } else { 2.0 })
    }
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !*value
}
