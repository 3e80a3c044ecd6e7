//! Columns in one byte: the bins that wait with each prediction until its label comes, and which columns are
//! worth a byte.

use serde::{Deserialize, Serialize};

use crate::judgement::sentence::plain;
use crate::report::Ordered;

/// Columns that wait with each prediction: one byte each, 20 million times.
pub const MOST_COLUMNS: usize = 8;
/// What a byte can tell apart, less missing values.
const MOST_BINS: usize = 254;
/// The bin of missing values.
pub const MISSING: u8 = 0;

/// Into which bin a value falls. Bin 0 is for missing ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Binning {
    /// Bin i + 1 holds values up to edge i and above the one before it; one more holds those above all.
    Numeric { edges: Vec<f64> },
    /// Bin i + 1 holds name i; one more holds all others.
    Categorical { names: Vec<String> },
}

impl Binning {
    /// About `bins` bins of equal share of these values; edges are values of theirs. NaN is missing.
    pub fn of_numbers(values: &[f64], bins: usize) -> Binning {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let bins = bins.clamp(1, MOST_BINS);
        let last = sorted.last().copied();
        let edge =
            |part: usize| sorted.get((part * sorted.len() / bins).saturating_sub(1)).copied();
        let mut edges: Vec<f64> = (1..bins).filter_map(edge).collect();
        edges.dedup();
        // Nothing would lie above the largest.
        edges.retain(|&edge| Some(edge) != last);
        Binning::Numeric { edges }
    }

    /// The names that are given, the most frequent first; as many as a byte can tell apart.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Binning {
        let names = names.into_iter().take(MOST_BINS - 1).map(str::to_owned);
        Binning::Categorical { names: names.collect() }
    }

    /// The bin of a number; NaN and numbers in a column of names are missing.
    pub fn of_number(&self, value: Option<f64>) -> u8 {
        match (self, value) {
            (Binning::Numeric { edges }, Some(value)) if !value.is_nan() => {
                1 + edges.partition_point(|&edge| edge < value) as u8
            }
            _ => MISSING,
        }
    }

    /// The bin of a name; names in a column of numbers are missing.
    pub fn of_name(&self, value: Option<&str>) -> u8 {
        match (self, value) {
            (Binning::Categorical { names }, Some(value)) => {
                let at = names.iter().position(|name| name == value).unwrap_or(names.len());
                1 + at as u8
            }
            _ => MISSING,
        }
    }

    /// Bins there are, that of missing values included.
    pub fn bins(&self) -> usize {
        match self {
            Binning::Numeric { edges } => edges.len() + 2,
            Binning::Categorical { names } => names.len() + 2,
        }
    }

    /// `dep_delay > 45`, `carrier = UA`, `carrier missing`.
    pub fn words(&self, column: &str, bin: u8) -> String {
        let column = plain(column);
        // Bin 0 has no edge or name.
        let Some(index) = usize::from(bin).checked_sub(1) else {
            return format!("{column} missing");
        };
        match self {
            Binning::Numeric { edges } => {
                let below = index.checked_sub(1).and_then(|before| edges.get(before));
                match (below, edges.get(index)) {
                    (None, None) => format!("any {column}"),
                    (None, Some(&high)) => format!("{column} ≤ {}", Ordered(high)),
                    (Some(&low), None) => format!("{column} > {}", Ordered(low)),
                    (Some(&low), Some(&high)) => {
                        format!("{} < {column} ≤ {}", Ordered(low), Ordered(high))
                    }
                }
            }
            Binning::Categorical { names } => match names.get(index) {
                Some(name) => format!("{column} = {}", plain(name)),
                None => format!("any other {column}"),
            },
        }
    }

    /// Whether edges are ascending numbers or names distinct, and a byte can tell them apart.
    pub fn is_sound(&self) -> bool {
        match self {
            Binning::Numeric { edges } => {
                let ascending = edges.array_windows::<2>().all(|[one, two]| one < two);
                ascending && edges.len() < MOST_BINS && edges.iter().all(|edge| edge.is_finite())
            }
            Binning::Categorical { names } => {
                let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
                names.len() < MOST_BINS && distinct.len() == names.len()
            }
        }
    }
}

/// Mutual information of two binned quantities in nats, from counts by the first, then the second.
pub fn mutual_information(table: &[Vec<u64>]) -> f64 {
    let total: f64 = table.iter().flatten().map(|&count| count as f64).sum();
    let width = table.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns = vec![0.0; width];
    for row in table {
        for (sum, &count) in columns.iter_mut().zip(row) {
            *sum += count as f64;
        }
    }
    let mut information = 0.0;
    for row in table {
        let of_row: f64 = row.iter().map(|&count| count as f64).sum();
        for (&count, of_column) in row.iter().zip(&columns).filter(|(count, _)| **count > 0) {
            let count = count as f64;
            information += count / total * libm::log(count * total / (of_row * of_column));
        }
    }
    information.max(0.0)
}

/// As [`mutual_information`] less what chance alone shows, (R - 1)(C - 1)/2n (Miller and Madow), so that
/// columns of many bins are not preferred; 0 where nothing is left.
pub fn debiased_information(table: &[Vec<u64>]) -> f64 {
    let total: u64 = table.iter().flatten().sum();
    let rows = table.iter().filter(|row| row.iter().any(|&count| count > 0)).count();
    let width = table.iter().map(Vec::len).max().unwrap_or(0);
    let is_used = |at: &usize| table.iter().any(|row| row.get(*at).is_some_and(|&count| count > 0));
    let columns = (0..width).filter(is_used).count();
    if total == 0 || rows == 0 || columns == 0 {
        return 0.0;
    }
    let chance = (rows - 1) as f64 * (columns - 1) as f64 / (2.0 * total as f64);
    (mutual_information(table) - chance).max(0.0)
}

/// The columns that tell most of the loss, at most [`MOST_COLUMNS`]: indices by falling information, none
/// without any; equal ones in their order.
pub fn choose_columns(information: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..information.len()).collect();
    let of = |index: &usize| information.get(*index).copied().unwrap_or(0.0);
    order.retain(|index| of(index) > 0.0);
    order.sort_by(|one, two| of(two).total_cmp(&of(one)).then(one.cmp(two)));
    order.truncate(MOST_COLUMNS);
    order
}
