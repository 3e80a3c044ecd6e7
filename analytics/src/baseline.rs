//! What a model is compared with: the file of CONTRACTS §4, read, checked and written.

use std::sync::{Arc, OnceLock};

use driftline_capture::columns::Kind;
use driftline_config::{Subject, TimeZone, WindowGrid};
use serde::{Deserialize, Serialize};

use crate::budget::OwnEffects;
use crate::cells::{CategoricalReference, CutList, NumericReference, Reference};

pub mod build;
mod check;
mod column;
mod counts;
mod file;
mod number;
mod sketched;

pub use counts::Counts;
pub use sketched::{SketchedColumn, SketchedValues, Summary};

/// A baseline, valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    pub provenance: Provenance,
    /// Rows counted: those with a status under 400 or none.
    pub rows: u64,
    /// Monitored columns; features first, each group in the order of the builder's schema.
    pub columns: Vec<BaselineColumn>,
    /// Every subject that stood in the source, monitored or not; sorted.
    pub columns_seen: Vec<Subject>,
    /// The source cut into windows, where it had a time column.
    pub windows: Option<BaselineWindows>,
    /// How far those windows are from the rest of the baseline, at each scale. Files of format 1 do
    /// not have it.
    pub own_effects: Option<OwnEffects>,
    /// Lower-case hex sha256 of the file's bytes.
    pub sha256: String,
    /// By what values are found in `columns`.
    pub(crate) index: Index,
}

/// Per column what its values are counted by. Made once, when it is first asked for, and then shared:
/// a thousand models that name one file have one. It follows from the columns, so it makes no
/// difference between baselines, and a clone, which may be changed, begins without.
#[derive(Debug, Default)]
pub(crate) struct Index(OnceLock<Arc<[Reference]>>);

/// Where a baseline came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What was read: a file name, or a topic with its offsets.
    pub source: String,
    /// First event time, in microseconds, where the source had a time column.
    pub first_us: Option<i64>,
    /// Last event time, in microseconds, where the source had a time column.
    pub last_us: Option<i64>,
    /// Whether the operator declared the predictions held-out or out-of-fold.
    pub held_out_predictions: bool,
}

/// The windows into which the source of a baseline was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineWindows {
    pub every_us: i64,
    /// By whose midnights they begin; `None` in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    /// Rows below which a window was carried into the next.
    #[serde(with = "number::count")]
    pub at_least: u64,
    /// Start (microseconds) and rows of each window after carrying, in order of start.
    pub windows: Vec<(i64, u64)>,
}

/// One monitored column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum BaselineColumn {
    Numeric(NumericBaseline),
    Categorical(CategoricalBaseline),
}

/// A column of numbers: exact counts at and between cut points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumericBaseline {
    /// `feature:NAME` or `prediction:NAME`.
    pub subject: Subject,
    /// Ascending, distinct, no NaN, no -0.0; ±inf allowed.
    #[serde(with = "number::values")]
    pub cut_points: CutList,
    /// 2k+1 counts for k cut points: below the first, at it, between it and the second, and so on.
    /// They add up to `n`.
    #[serde(with = "number::counts")]
    pub counts: Counts,
    /// N: values that are neither missing nor of the wrong type.
    #[serde(with = "number::count")]
    pub n: u64,
    #[serde(with = "number::count")]
    pub missing: u64,
    /// NaN alone; part of `missing`.
    #[serde(with = "number::count")]
    pub nan: u64,
    /// Values that are no numbers.
    #[serde(with = "number::count")]
    pub wrong_type: u64,
    #[serde(with = "number::count")]
    pub distinct: u64,
    /// Whole numbers with at most 20 distinct values.
    pub discrete: bool,
    /// Whether every distinct value is a cut point, so that KS is exact and not a bracket.
    pub exact: bool,
    /// Moments of the finite values, each rounded once from exact sums.
    pub moments: Moments,
    /// The bins of PSI, ascending; their edges are cut points.
    pub psi_bins: Vec<PsiBin>,
    /// KS of each own window against the rest.
    pub own_windows: Option<OwnWindows>,
}

/// A column of texts: exact counts per category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoricalBaseline {
    /// `feature:NAME` or `prediction:NAME`.
    pub subject: Subject,
    /// Categories kept by name with their counts: largest first, then by name.
    #[serde(with = "number::categories")]
    pub categories: Vec<(String, u64)>,
    /// How many of `categories`, from the front, are judged on their own: the largest until 99 % of
    /// the mass, at most 50. The rest is pooled with whatever is not in the baseline.
    pub judged: usize,
    /// Keyed hashes of the further known categories; sorted.
    #[serde(with = "number::hashes")]
    pub other_hashes: Vec<u64>,
    /// Rows in those further categories.
    #[serde(with = "number::count")]
    pub other: u64,
    /// More distinct values than are kept by hash: the column is shown and not judged. Then
    /// `categories` and `other_hashes` are empty and `other` equals `n`.
    pub too_many_values: bool,
    /// N: values that are neither missing nor of the wrong type.
    #[serde(with = "number::count")]
    pub n: u64,
    #[serde(with = "number::count")]
    pub missing: u64,
    /// Values that are no category (objects, lists).
    #[serde(with = "number::count")]
    pub wrong_type: u64,
    /// Debiased PSI of each own window against the rest.
    pub own_windows: Option<OwnWindows>,
}

/// Moments of the finite values of a column; `None` where there are too few of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    #[serde(with = "number::count")]
    pub n: u64,
    /// Mean; at least one value.
    #[serde(with = "number::maybe_value")]
    pub mean: Option<f64>,
    /// Variance with n - 1; at least two values.
    #[serde(with = "number::maybe_value")]
    pub variance: Option<f64>,
    #[serde(with = "number::maybe_value")]
    pub min: Option<f64>,
    #[serde(with = "number::maybe_value")]
    pub max: Option<f64>,
    #[serde(with = "number::count")]
    pub positive_infinities: u64,
    #[serde(with = "number::count")]
    pub negative_infinities: u64,
}

/// One bin of PSI: the values above the previous bin's edge, up to and with its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PsiBin {
    /// Upper edge, a cut point; `None` for the last bin, which is open.
    #[serde(with = "number::maybe_value")]
    pub to: Option<f64>,
    /// Reference values in it.
    #[serde(with = "number::count")]
    pub count: u64,
}

/// The deciding statistic of each own window against the rest of the baseline (RULES §4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnWindows {
    pub every_us: i64,
    /// By whose midnights they begin; `None` in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    /// One value per own window that had values and left a rest, in order of start.
    #[serde(with = "number::values")]
    pub statistics: Vec<f64>,
}

/// What is wrong with the bytes of a baseline file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    #[error("not a baseline file: {detail}")]
    Json { detail: String },
    /// Written by a newer Driftline.
    #[error(
        "baseline format {found} is newer than this program reads ({known}): use the newer program"
    )]
    Format {
        /// The format in the file.
        found: u64,
        /// The newest format this program reads.
        known: u64,
    },
    #[error("baseline {place}: {problem}")]
    Invalid {
        /// The column's subject, or the part of the file.
        place: String,
        problem: String,
    },
}

impl Baseline {
    /// Reads and checks a baseline file.
    ///
    /// # Errors
    /// Bytes that are not such a file, or a file that contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Baseline, BaselineError> {
        let baseline = file::read(bytes)?;
        check::check(&baseline)?;
        Ok(baseline)
    }

    /// The bytes of the file: the same baseline gives the same bytes. `sha256` is not in them.
    pub fn to_json(&self) -> Vec<u8> {
        file::write(self)
    }

    /// Makes what its values are counted by, which is else made when a layout first asks for it.
    pub fn prepare(&self) {
        self.references();
    }

    /// Per column of `columns`: what its values are counted by.
    pub(crate) fn references(&self) -> &[Reference] {
        self.index.0.get_or_init(|| self.columns.iter().map(BaselineColumn::reference).collect())
    }

    /// The column of a subject.
    pub fn column(&self, subject: &str) -> Option<&BaselineColumn> {
        self.columns.iter().find(|column| column.subject() == subject)
    }
}

impl Clone for Index {
    fn clone(&self) -> Index {
        Index::default()
    }
}

impl PartialEq for Index {
    fn eq(&self, _other: &Index) -> bool {
        true
    }
}

impl BaselineColumn {
    /// What its values are counted by, made anew.
    pub(crate) fn reference(&self) -> Reference {
        match self {
            BaselineColumn::Numeric(column) => {
                Reference::Numeric(NumericReference::new(column.cut_points.clone()))
            }
            BaselineColumn::Categorical(column) => {
                let names = column.categories.iter().map(|(name, _)| name.as_str());
                let (others, too_many) = (&column.other_hashes, column.too_many_values);
                Reference::Categorical(CategoricalReference::new(names, others, too_many))
            }
        }
    }

    /// `feature:NAME` or `prediction:NAME`.
    pub fn subject(&self) -> &Subject {
        match self {
            BaselineColumn::Numeric(column) => &column.subject,
            BaselineColumn::Categorical(column) => &column.subject,
        }
    }

    /// What its values are.
    pub fn kind(&self) -> Kind {
        match self {
            BaselineColumn::Numeric(_) => Kind::Numeric,
            BaselineColumn::Categorical(_) => Kind::Categorical,
        }
    }

    /// N: values that are neither missing nor of the wrong type.
    pub fn n(&self) -> u64 {
        match self {
            BaselineColumn::Numeric(column) => column.n,
            BaselineColumn::Categorical(column) => column.n,
        }
    }

    /// Missing values.
    pub fn missing(&self) -> u64 {
        match self {
            BaselineColumn::Numeric(column) => column.missing,
            BaselineColumn::Categorical(column) => column.missing,
        }
    }

    /// Values of the wrong type.
    pub fn wrong_type(&self) -> u64 {
        match self {
            BaselineColumn::Numeric(column) => column.wrong_type,
            BaselineColumn::Categorical(column) => column.wrong_type,
        }
    }

    /// The own windows, where the source had a time column and at least two of them.
    pub fn own_windows(&self) -> Option<&OwnWindows> {
        match self {
            BaselineColumn::Numeric(column) => column.own_windows.as_ref(),
            BaselineColumn::Categorical(column) => column.own_windows.as_ref(),
        }
    }
}

impl NumericBaseline {
    /// The slots `from..to` of each PSI bin, in the order of `psi_bins`.
    pub fn psi_slots(&self) -> Vec<std::ops::Range<usize>> {
        let mut from = 0;
        self.psi_bins
            .iter()
            .map(|bin| {
                let to = match bin.to {
                    Some(edge) => 2 * self.cut_points.partition_point(|&cut| cut <= edge),
                    None => self.counts.len(),
                };
                let range = from..to;
                from = to;
                range
            })
            .collect()
    }
}

impl CategoricalBaseline {
    /// Reference counts of the judged categories, and last of the pool of all others.
    pub fn judged_counts(&self) -> Vec<u64> {
        let mut counts: Vec<u64> =
            self.categories.iter().take(self.judged).map(|(_, count)| *count).collect();
        counts.push(self.n - counts.iter().sum::<u64>());
        counts
    }
}

impl OwnWindows {
    /// Where they begin and end.
    pub fn grid(&self) -> WindowGrid {
        WindowGrid::new(self.every_us, self.timezone.clone())
    }

    /// What the own windows justify: the largest statistic. `None` without windows.
    pub fn tolerance(&self) -> Option<f64> {
        self.statistics.iter().copied().max_by(f64::total_cmp)
    }
}

impl BaselineWindows {
    /// Where they begin and end.
    pub fn grid(&self) -> WindowGrid {
        WindowGrid::new(self.every_us, self.timezone.clone())
    }

    /// Fewest and most rows of a window.
    pub fn rows_range(&self) -> Option<(u64, u64)> {
        let rows = || self.windows.iter().map(|&(_, rows)| rows);
        Some((rows().min()?, rows().max()?))
    }

    /// Rows of each run of so many windows that follow one another; at least one.
    pub fn rows_of(&self, windows: usize) -> Vec<u64> {
        let rows: Vec<u64> = self.windows.iter().map(|&(_, rows)| rows).collect();
        rows.windows(windows.max(1)).map(|run| run.iter().sum()).collect()
    }
}

#[cfg(test)]
mod tests;
