//! A baseline from what somebody else kept of the rows: values with weights, as a sketch of quantiles holds them,
//! or counts of ranges, and counts of categories.

use std::collections::BTreeSet;

use driftline_config::Subject;

use super::build::{DISCRETE, psi_bins, set_judged};
use super::{
    Baseline, BaselineColumn, BaselineError, CategoricalBaseline, Index, Moments, NumericBaseline,
    Provenance, check, file,
};

/// Cut points of a column: as many as a baseline of rows has by default.
const CUT_POINTS: usize = 1024;

/// What is known of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct SketchedColumn {
    pub subject: Subject,
    /// Values that are there.
    pub present: u64,
    pub missing: u64,
    pub values: SketchedValues,
}

/// What is known of the values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum SketchedValues {
    /// Finite values, each standing for as many as its weight says.
    Weighted { items: Vec<(f64, u64)>, summary: Summary },
    /// Ranges by their upper ends, ascending, with how many values each holds, and where the first begins.
    Ranges { from: f64, ranges: Vec<(f64, u64)>, summary: Summary },
    Categories {
        counts: Vec<(String, u64)>,
        /// More values than these were there, under names that nobody kept.
        more: bool,
    },
}

/// Moments as they were told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    pub mean: Option<f64>,
    /// With n in the denominator.
    pub sd: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Whether all values are whole.
    pub whole: bool,
}

impl Baseline {
    /// A baseline over `rows` rows of which only this was kept. Its counts are estimates where values were
    /// sketched, scaled to the values that were there; where in a range values lie is not known, and KS is a
    /// bracket accordingly.
    ///
    /// # Errors
    /// [`BaselineError::Invalid`]: figures that contradict one another.
    pub fn from_sketches(
        rows: u64,
        columns: Vec<SketchedColumn>,
        provenance: Provenance,
    ) -> Result<Baseline, BaselineError> {
        let mut columns_seen: Vec<Subject> =
            columns.iter().map(|column| column.subject.clone()).collect();
        columns_seen.sort_unstable();
        columns_seen.dedup();
        let mut columns: Vec<BaselineColumn> = columns.into_iter().map(column).collect();
        columns.sort_by_key(|column| !column.subject().starts_with("feature:"));
        let mut baseline = Baseline {
            provenance,
            rows,
            columns,
            columns_seen,
            windows: None,
            own_effects: None,
            sha256: String::new(),
            index: Index::default(),
        };
        check::check(&baseline)?;
        baseline.sha256 = file::sha256_of(&baseline);
        Ok(baseline)
    }
}

fn column(of: SketchedColumn) -> BaselineColumn {
    let SketchedColumn { subject, present, missing, values } = of;
    let (cut_points, counts, distinct, summary) = match values {
        SketchedValues::Categories { counts, more } => {
            let empty = no_categories(subject, present, missing);
            return BaselineColumn::Categorical(categorical(empty, counts, more));
        }
        SketchedValues::Weighted { items, summary } => {
            let (cut_points, counts, distinct) = at_items(items, present);
            (cut_points, counts, distinct, summary)
        }
        SketchedValues::Ranges { from, ranges, summary } => {
            let cut_points: Vec<f64> =
                [from].into_iter().chain(ranges.iter().map(|(to, _)| *to)).collect();
            let mut counts = vec![0; 2 * cut_points.len() + 1];
            for (place, (_, count)) in ranges.iter().enumerate() {
                if let Some(between) = counts.get_mut(2 * place + 2) {
                    *between = *count;
                }
            }
            let distinct = present;
            (cut_points, counts, distinct, summary)
        }
    };
    let n = present as f64;
    let moments = Moments {
        n: present,
        mean: summary.mean.filter(|_| present > 0),
        variance: summary.sd.filter(|_| present > 1).map(|sd| sd * sd * n / (n - 1.0)),
        min: summary.min.filter(|_| present > 0),
        max: summary.max.filter(|_| present > 0),
        positive_infinities: 0,
        negative_infinities: 0,
    };
    let mut column = NumericBaseline {
        subject,
        cut_points: cut_points.into(),
        counts: Vec::new().into(),
        n: present,
        missing,
        nan: 0,
        wrong_type: 0,
        distinct,
        discrete: summary.whole && distinct <= DISCRETE as u64 && present > 0,
        exact: false,
        moments,
        psi_bins: Vec::new(),
        own_windows: None,
    };
    column.psi_bins = psi_bins(&column, &counts);
    column.counts = counts.into();
    BaselineColumn::Numeric(column)
}

/// Cut points at weighted values, and counts there that add up to `present`; how many values were distinct.
fn at_items(mut items: Vec<(f64, u64)>, present: u64) -> (Vec<f64>, Vec<u64>, u64) {
    // Adding zero makes -0.0 the 0.0 it equals.
    items.iter_mut().for_each(|(value, _)| *value += 0.0);
    items.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut merged: Vec<(f64, u64)> = Vec::with_capacity(items.len());
    for (value, weight) in items {
        match merged.last_mut() {
            Some((last, total)) if *last == value => *total += weight,
            _ => merged.push((value, weight)),
        }
    }
    let total: u64 = merged.iter().map(|(_, weight)| *weight).sum();
    let distinct = merged.len() as u64;
    // What is kept between two cut points is at most a share of this.
    let share = total.div_ceil(CUT_POINTS as u64).max(1);
    let keeps_all = merged.len() <= CUT_POINTS;
    let (mut cut_points, mut counts) = (Vec::new(), Vec::new());
    let (mut below, mut since, mut done) = (0_u64, 0_u64, 0_u64);
    let scaled = |weight: u64| {
        let wide = u128::from(weight) * u128::from(present) / u128::from(total.max(1));
        u64::try_from(wide).unwrap_or(u64::MAX)
    };
    for (value, weight) in merged {
        since += weight;
        below += weight;
        if keeps_all || since >= share {
            let before = scaled(below - weight);
            counts.push(before - done);
            done = scaled(below);
            counts.push(done - before);
            cut_points.push(value);
            since = 0;
        }
    }
    counts.push(present.saturating_sub(done));
    (cut_points, counts, distinct)
}

/// A column of texts whose counts are to be filled in.
fn no_categories(subject: Subject, n: u64, missing: u64) -> CategoricalBaseline {
    CategoricalBaseline {
        subject,
        categories: Vec::new(),
        judged: 0,
        other_hashes: Vec::new(),
        other: n,
        too_many_values: false,
        n,
        missing,
        wrong_type: 0,
        own_windows: None,
    }
}

fn categorical(
    mut column: CategoricalBaseline,
    mut counts: Vec<(String, u64)>,
    more: bool,
) -> CategoricalBaseline {
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut seen = BTreeSet::new();
    counts.retain(|(name, _)| seen.insert(name.clone()));
    if more {
        counts.clear();
    }
    let named: u64 = counts.iter().map(|(_, count)| *count).sum();
    column.other = column.n.saturating_sub(named);
    (column.categories, column.too_many_values) = (counts, more);
    set_judged(&mut column);
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketched(values: SketchedValues, present: u64) -> SketchedColumn {
        SketchedColumn { subject: "feature:x".into(), present, missing: 0, values }
    }

    fn numeric(column: &BaselineColumn) -> &NumericBaseline {
        match column {
            BaselineColumn::Numeric(column) => column,
            BaselineColumn::Categorical(_) => panic!("numbers were sketched"),
        }
    }

    /// Whatever the weights are, the counts are as many as there were values, and the file can be read back.
    #[test]
    fn weights_become_counts_that_add_up() {
        for (items, distinct) in [(3, 3), (1024, 1024), (5000, 5000)] {
            let weighted: Vec<(f64, u64)> =
                (0..items).map(|item| (f64::from(item * 7919 % items), 1 << (item % 5))).collect();
            for present in [1, 7, 100_003] {
                let summary = Summary { whole: true, ..Summary::default() };
                let values = SketchedValues::Weighted { items: weighted.clone(), summary };
                let columns = vec![sketched(values, present)];
                let baseline =
                    Baseline::from_sketches(present, columns, Provenance::default()).unwrap();
                let column = numeric(&baseline.columns[0]);
                assert!(column.cut_points.len() <= 1025 && column.distinct == distinct);
                assert_eq!(column.discrete, items == 3);
                assert_eq!(Baseline::parse(&baseline.to_json()).unwrap(), baseline);
            }
        }
    }

    /// Of ranges it is not known where in them values lie.
    #[test]
    fn ranges_hold_their_values_between_cut_points() {
        let ranges = vec![(1.0, 30), (2.0, 50), (3.0, 20)];
        let summary = Summary { mean: Some(1.5), sd: Some(0.5), ..Summary::default() };
        let values = SketchedValues::Ranges { from: 0.0, ranges, summary };
        let columns = vec![sketched(values, 100)];
        let baseline = Baseline::from_sketches(100, columns, Provenance::default()).unwrap();
        let column = numeric(&baseline.columns[0]);
        assert_eq!(column.counts.to_vec(), [0, 0, 30, 0, 50, 0, 20, 0, 0]);
        assert_eq!(column.moments.variance, Some(0.25 * 100.0 / 99.0));
        assert!(!column.exact);
    }

    #[test]
    fn figures_that_contradict_one_another_are_refused() {
        let summary = Summary::default();
        let values = SketchedValues::Weighted { items: vec![(1.0, 1)], summary };
        let refused = Baseline::from_sketches(5, vec![sketched(values, 3)], Provenance::default());
        assert!(refused.unwrap_err().to_string().contains("must add up to the 5 rows"));
    }
}
