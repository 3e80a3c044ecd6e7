//! The rules of others on the same windows, by their documented defaults.
//!
//! - Evidently 0.7, `DataDriftPreset` with more than 1000 reference rows (its documentation, "Data drift
//!   algorithm"; stattests/registry.py): Wasserstein distance over the reference's standard deviation ≥ 0.1
//!   for numbers, Jensen-Shannon distance ≥ 0.1 for categories; the data set drifts where half of the
//!   columns do.
//! - NannyML 0.13, univariate drift (its documentation, "Univariate drift detection", "Thresholds"):
//!   Jensen-Shannon distance to base 2, numbers in Doane's bins of the reference; the upper threshold is the
//!   mean and three deviations of the reference's chunks. Its missing values calculator: likewise, both ways.
//! - whylogs 1.6, drift algorithms (its viz/drift/configs.py): drift where the p-value of Kolmogorov-Smirnov,
//!   or chi-square for categories, is under 0.05. Exact ranks here, where its profiles keep sketches.
//! - SageMaker Model Monitor, `baseline_drift_check` (its developer guide, "constraints.json"): the largest
//!   difference of distribution functions (`Simple`), or L∞ of categories, over 0.1. Its completeness check
//!   would alarm at any share over the baseline's and is left out.
//! - Scouter, `PsiChiSquareThreshold` (scouter_types/src/psi/alert.rs): PSI over ten quantile bins, or
//!   the categories, over the 95 % quantile of chi-square with one degree fewer than bins, over the window's
//!   rows; shares of zero count 1e-10; from ten rows a bin on.

use std::collections::{BTreeMap, BTreeSet};

use crate::stream::{Drawn, Values};

/// The rules, in the order of [`Peers::alarms`].
pub(crate) const NAMES: [&str; 6] = [
    "Evidently, any column",
    "Evidently, half of the columns",
    "NannyML, any column",
    "whylogs, any column",
    "SageMaker, any column",
    "Scouter, any column",
];

/// To so many points a reference's numbers are thinned: ranks are exact to half of one in so many.
const QUANTILES: usize = 2000;
const PSI_BINS: usize = 10;
/// Φ⁻¹(0.95).
const Z_95: f64 = 1.644_853_627;

/// What they keep of the baseline.
#[derive(Debug)]
pub(crate) struct Peers {
    columns: Vec<Reference>,
}

/// By which rules a window is at alarm: any of its columns, and each.
#[derive(Debug)]
pub(crate) struct Alarms {
    pub(crate) any: [bool; NAMES.len()],
    pub(crate) by_column: Vec<[bool; NAMES.len()]>,
}

#[derive(Debug)]
struct Reference {
    rows: f64,
    kind: Of,
    /// NannyML's, of the baseline's windows.
    distance: Band,
    missing: Band,
}

#[derive(Debug)]
enum Of {
    Numbers {
        quantiles: Vec<f64>,
        deviation: f64,
        deciles: Vec<f64>,
        edges: Vec<f64>,
        /// Shares of Doane's bins.
        shares: Vec<f64>,
    },
    Categories {
        shares: BTreeMap<u32, f64>,
    },
}

/// Mean and three deviations on either side.
#[derive(Debug, Clone, Copy, Default)]
struct Band {
    low: f64,
    high: f64,
}

impl Band {
    fn of(values: &[f64]) -> Band {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let square = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let three = 3.0 * libm::sqrt(square);
        Band { low: mean - three, high: mean + three }
    }
}

/// One column of a window: sorted numbers, or counts of categories.
struct Column {
    rows: f64,
    missing: f64,
    numbers: Vec<f64>,
    categories: BTreeMap<u32, f64>,
}

impl Column {
    fn of(values: &Values) -> Column {
        let mut column =
            Column { rows: 0.0, missing: 0.0, numbers: Vec::new(), categories: BTreeMap::new() };
        match values {
            Values::Numbers(values) => {
                column.numbers = values.iter().flatten().copied().collect();
                column.numbers.sort_unstable_by(f64::total_cmp);
                let all = values.len().max(1) as f64;
                column.rows = column.numbers.len() as f64;
                column.missing = 1.0 - column.rows / all;
            }
            Values::Categories(values) => {
                values
                    .iter()
                    .for_each(|&value| *column.categories.entry(value).or_default() += 1.0);
                column.rows = values.len() as f64;
            }
        }
        column
    }
}

impl Peers {
    /// From the windows of the baseline.
    pub(crate) fn new(baseline: &[Drawn]) -> Peers {
        let count = baseline.first().map_or(0, |day| day.columns.len());
        let columns = (0..count).map(|column| {
            let days: Vec<&Values> =
                baseline.iter().filter_map(|day| day.columns.get(column)).collect();
            Reference::new(&days)
        });
        Peers { columns: columns.collect() }
    }

    /// Which of the rules alarm, by [`NAMES`].
    pub(crate) fn alarms(&self, window: &Drawn) -> Alarms {
        let mut alarms = Alarms { any: [false; NAMES.len()], by_column: Vec::new() };
        let mut drifted = 0;
        for (reference, values) in self.columns.iter().zip(&window.columns) {
            let [evidently, nannyml, whylogs, sagemaker, scouter] =
                reference.drifts(&Column::of(values));
            drifted += usize::from(evidently);
            let of_column = [evidently, false, nannyml, whylogs, sagemaker, scouter];
            alarms.any.iter_mut().zip(of_column).for_each(|(any, one)| *any |= one);
            alarms.by_column.push(of_column);
        }
        let half = 2 * drifted >= self.columns.len();
        alarms.any[1] = half;
        alarms.by_column.iter_mut().for_each(|column| column[1] = half && column[0]);
        alarms
    }
}

impl Reference {
    fn new(days: &[&Values]) -> Reference {
        let columns: Vec<Column> = days.iter().map(|day| Column::of(day)).collect();
        let rows = columns.iter().map(|column| column.rows).sum();
        let mut numbers: Vec<f64> =
            columns.iter().flat_map(|column| column.numbers.iter().copied()).collect();
        let kind = if numbers.is_empty() {
            let mut shares = BTreeMap::new();
            for (&category, count) in columns.iter().flat_map(|column| &column.categories) {
                *shares.entry(category).or_default() += count / rows;
            }
            Of::Categories { shares }
        } else {
            numbers.sort_unstable_by(f64::total_cmp);
            numeric(&numbers)
        };
        let mut reference =
            Reference { rows, kind, distance: Band::default(), missing: Band::default() };
        let distances: Vec<f64> =
            columns.iter().map(|column| reference.jensen_shannon(column)).collect();
        reference.distance = Band::of(&distances);
        let missing: Vec<f64> = columns.iter().map(|column| column.missing).collect();
        reference.missing = Band::of(&missing);
        reference
    }

    /// Evidently, NannyML, whylogs, SageMaker, Scouter.
    fn drifts(&self, column: &Column) -> [bool; 5] {
        let Band { low, high } = self.missing;
        let missing = column.missing < low || column.missing > high;
        let jensen_shannon = self.jensen_shannon(column);
        let nannyml = jensen_shannon > self.distance.high || missing;
        let [psi, bins] = self.psi(column);
        let many = column.rows >= 10.0 * bins;
        let scouter = many && psi > chi_square_95(bins - 1.0) / column.rows;
        let both = self.rows * column.rows / (self.rows + column.rows);
        match &self.kind {
            Of::Numbers { quantiles, deviation, .. } => {
                let wasserstein = wasserstein(&column.numbers, quantiles);
                let largest = kolmogorov_smirnov(&column.numbers, quantiles);
                let p = kolmogorov(libm::sqrt(both) * largest);
                [wasserstein / deviation >= 0.1, nannyml, p < 0.05, largest > 0.1, scouter]
            }
            Of::Categories { shares } => {
                let (mut chi_square, mut largest) = (0.0, 0.0_f64);
                let all: BTreeSet<u32> =
                    shares.keys().chain(column.categories.keys()).copied().collect();
                for category in &all {
                    let known = shares.get(category).copied().unwrap_or(0.0);
                    let count = column.categories.get(category).copied().unwrap_or(0.0);
                    let pooled = (known * self.rows + count) / (self.rows + column.rows);
                    let apart = count / column.rows - known;
                    chi_square += both * apart * apart / pooled;
                    largest = largest.max(apart.abs());
                }
                let drifts = chi_square > chi_square_95(all.len() as f64 - 1.0);
                // Evidently's distance is to base e.
                let natural = jensen_shannon * libm::sqrt(std::f64::consts::LN_2);
                [natural >= 0.1, nannyml, drifts, largest > 0.1, scouter]
            }
        }
    }

    /// Shares of both sides: the reference's, the window's.
    fn pairs(&self, column: &Column) -> Vec<[f64; 2]> {
        match &self.kind {
            Of::Numbers { edges, shares, .. } => {
                let found = binned(&column.numbers, edges);
                shares.iter().zip(found).map(|(&known, found)| [known, found]).collect()
            }
            Of::Categories { shares } => by_category(shares, column),
        }
    }

    /// To base 2.
    fn jensen_shannon(&self, column: &Column) -> f64 {
        let part = |share: f64, middle: f64| {
            if share > 0.0 { 0.5 * share * libm::log2(share / middle) } else { 0.0 }
        };
        let one = |[known, found]: [f64; 2]| {
            let middle = 0.5 * (known + found);
            part(known, middle) + part(found, middle)
        };
        libm::sqrt(self.pairs(column).into_iter().map(one).sum::<f64>().max(0.0))
    }

    /// Scouter's PSI, and of how many bins.
    fn psi(&self, column: &Column) -> [f64; 2] {
        let pairs = match &self.kind {
            Of::Numbers { deciles, .. } => {
                let found = binned(&column.numbers, deciles);
                found.into_iter().map(|found| [1.0 / PSI_BINS as f64, found]).collect()
            }
            // A category that has no bin is not counted.
            Of::Categories { shares } => {
                let known = |category: &u32| shares.contains_key(category);
                let mut column = Column {
                    categories: column.categories.clone(),
                    numbers: Vec::new(),
                    ..*column
                };
                column.categories.retain(|category, _| known(category));
                by_category(shares, &column)
            }
        };
        let one = |[known, found]: &[f64; 2]| {
            let (known, found) = (known.max(1e-10), found.max(1e-10));
            (found - known) * libm::log(found / known)
        };
        [pairs.iter().map(one).sum(), pairs.len() as f64]
    }
}

fn by_category(shares: &BTreeMap<u32, f64>, column: &Column) -> Vec<[f64; 2]> {
    let all: BTreeSet<u32> = shares.keys().chain(column.categories.keys()).copied().collect();
    let share = |category: &u32| {
        let found = column.categories.get(category).copied().unwrap_or(0.0) / column.rows;
        [shares.get(category).copied().unwrap_or(0.0), found]
    };
    all.iter().map(share).collect()
}

fn numeric(sorted: &[f64]) -> Of {
    let rows = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / rows;
    let moment = |power: i32| {
        sorted.iter().map(|x| libm::pow(x - mean, f64::from(power))).sum::<f64>() / rows
    };
    let deviation = libm::sqrt(moment(2));
    let at = |share: f64| {
        let place = ((rows * share) as usize).min(sorted.len() - 1);
        sorted.get(place).copied().unwrap_or(mean)
    };
    let quantiles = (0..QUANTILES).map(|i| at((i as f64 + 0.5) / QUANTILES as f64)).collect();
    let deciles = (1..PSI_BINS).map(|i| at(i as f64 / PSI_BINS as f64)).collect();
    let skew = moment(3) / (deviation * deviation * deviation);
    let skew_deviation = libm::sqrt(6.0 * (rows - 2.0) / ((rows + 1.0) * (rows + 3.0)));
    let bins = 1.0 + libm::log2(rows) + libm::log2(1.0 + skew.abs() / skew_deviation);
    let bins = libm::ceil(bins) as usize;
    let (first, width) = (at(0.0), (at(1.0) - at(0.0)) / bins as f64);
    let edges: Vec<f64> = (0..=bins).map(|i| first + i as f64 * width).collect();
    let shares = binned(sorted, &edges);
    Of::Numbers { quantiles, deviation, deciles, edges, shares }
}

/// Shares of sorted numbers up to each edge, and beyond the last.
fn binned(sorted: &[f64], edges: &[f64]) -> Vec<f64> {
    let rows = sorted.len().max(1) as f64;
    let mut before = 0;
    let mut shares = Vec::with_capacity(edges.len() + 1);
    for &edge in edges {
        let up_to = sorted.partition_point(|&value| value <= edge);
        shares.push((up_to - before) as f64 / rows);
        before = up_to;
    }
    shares.push((sorted.len() - before) as f64 / rows);
    shares
}

/// The area between two distribution functions.
fn wasserstein(one: &[f64], other: &[f64]) -> f64 {
    walk(one, other).map(|step| step.apart.abs() * step.width).sum()
}

/// The largest distance of two distribution functions.
fn kolmogorov_smirnov(one: &[f64], other: &[f64]) -> f64 {
    walk(one, other).map(|step| step.apart.abs()).fold(0.0, f64::max)
}

/// Between two neighbouring values of either side.
struct Step {
    apart: f64,
    width: f64,
}

fn walk<'a>(one: &'a [f64], other: &'a [f64]) -> impl Iterator<Item = Step> + 'a {
    let (n, m) = (one.len().max(1) as f64, other.len().max(1) as f64);
    let (mut i, mut j) = (0, 0);
    std::iter::from_fn(move || {
        let value = match (one.get(i), other.get(j)) {
            (Some(&x), Some(&y)) => x.min(y),
            (Some(&x), None) => x,
            (None, Some(&y)) => y,
            (None, None) => return None,
        };
        i += one.iter().skip(i).take_while(|&&x| x <= value).count();
        j += other.iter().skip(j).take_while(|&&y| y <= value).count();
        let next = match (one.get(i), other.get(j)) {
            (Some(&x), Some(&y)) => x.min(y),
            (Some(&x), None) => x,
            (None, Some(&y)) => y,
            (None, None) => value,
        };
        Some(Step { apart: i as f64 / n - j as f64 / m, width: next - value })
    })
}

/// Kolmogorov's tail: that √n times a distance is larger than this.
fn kolmogorov(x: f64) -> f64 {
    if x < 0.3 {
        return 1.0;
    }
    let terms = (1..=20).map(|k| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * libm::exp(-2.0 * f64::from(k * k) * x * x)
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// The 95 % quantile of chi-square, by Wilson and Hilferty: right to 0.3 % from three degrees on.
fn chi_square_95(degrees: f64) -> f64 {
    let spread = 2.0 / (9.0 * degrees.max(1.0));
    degrees * libm::pow(1.0 - spread + Z_95 * libm::sqrt(spread), 3.0)
}
