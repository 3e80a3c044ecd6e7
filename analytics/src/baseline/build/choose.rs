//! Which values become cut points and which texts become categories.

use driftline_config::Subject;

use super::{BuildOptions, Collected, CutPoints};
use crate::baseline::{BaselineColumn, CategoricalBaseline, Moments, NumericBaseline, PsiBin};
use crate::names::keyed_hash;

/// Whole-number columns with at most so many distinct values are marked `discrete`.
pub(in crate::baseline) const DISCRETE: usize = 20;

/// The column without counts, and how many values were seen where all were kept.
pub(super) fn column(
    subject: &Subject,
    values: Collected,
    options: &BuildOptions,
) -> (BaselineColumn, Option<u64>) {
    let empty = CategoricalBaseline {
        subject: subject.clone(),
        categories: Vec::new(),
        judged: 0,
        other_hashes: Vec::new(),
        other: 0,
        too_many_values: false,
        n: 0,
        missing: 0,
        wrong_type: 0,
        own_windows: None,
    };
    match values {
        Collected::Numbers(values) => {
            let n = values.len() as u64;
            (BaselineColumn::Numeric(numeric(subject, values, options.cut_points)), Some(n))
        }
        Collected::Texts(counts) => {
            let n = counts.values().sum();
            let mut categories: Vec<(String, u64)> =
                counts.into_iter().map(|(text, count)| (text.into(), count)).collect();
            categories.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let further = categories.split_off(categories.len().min(options.limits.categories));
            let mut other_hashes: Vec<u64> =
                further.iter().map(|(text, _)| keyed_hash(text)).collect();
            other_hashes.sort_unstable();
            other_hashes.dedup();
            let column = CategoricalBaseline { categories, other_hashes, ..empty };
            (BaselineColumn::Categorical(column), Some(n))
        }
        Collected::TooMany => {
            let column = CategoricalBaseline { too_many_values: true, ..empty };
            (BaselineColumn::Categorical(column), None)
        }
    }
}

fn numeric(subject: &Subject, values: Vec<f64>, limit: CutPoints) -> NumericBaseline {
    let values = sorted(values);
    let distinct = values.chunk_by(|a, b| a == b).count();
    let whole = values.iter().all(|value| value.is_finite() && value.fract() == 0.0);
    let (cut_points, exact) = match limit {
        CutPoints::AtMost(most) if distinct > most => (thinned(&values, most), false),
        _ => (distinct_values(&values), true),
    };
    NumericBaseline {
        subject: subject.clone(),
        counts: Vec::new().into(),
        cut_points: cut_points.into(),
        n: 0,
        missing: 0,
        nan: 0,
        wrong_type: 0,
        distinct: distinct as u64,
        discrete: whole && !values.is_empty() && distinct <= DISCRETE,
        exact,
        moments: Moments::default(),
        psi_bins: vec![PsiBin { to: None, count: 0 }],
        own_windows: None,
    }
}

/// Values in their order, in the memory that they came in: whole numbers sort in half the time.
fn sorted(values: Vec<f64>) -> Vec<f64> {
    // The bits behind the sign of negative numbers count downwards; turning them twice changes nothing.
    let turned = |bits: i64| bits ^ ((bits >> 63) as u64 >> 1) as i64;
    let mut keys: Vec<i64> =
        values.into_iter().map(|value| turned(value.to_bits() as i64)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| f64::from_bits(turned(key) as u64)).collect()
}

fn distinct_values(sorted: &[f64]) -> Vec<f64> {
    sorted.chunk_by(|a, b| a == b).filter_map(|run| run.first().copied()).collect()
}

/// At most `most` cut points of sorted values: every value that makes up 1/`most` of the rows, and
/// of the others each that would bring the rows since the last cut point above an equal share of
/// what is left. So no gap holds more than 1/`most` of the rows, which is the width of the bracket
/// around KS.
pub(super) fn thinned(sorted: &[f64], most: usize) -> Vec<f64> {
    let heavy = |run: &[f64]| run.len() * most >= sorted.len();
    let runs = || sorted.chunk_by(|a: &f64, b: &f64| a == b);
    let heavies = runs().filter(|run| heavy(run)).count();
    let light: usize = runs().filter(|run| !heavy(run)).map(<[f64]>::len).sum();
    // Where light rows are left, so are cut points: heavies · n / most ≤ n - light < n.
    let left = most.saturating_sub(heavies);
    let mut cut_points = Vec::with_capacity(most);
    let mut since = 0;
    for run in runs() {
        since += run.len();
        // since > light / left, in whole numbers.
        if heavy(run) || since * left > light {
            cut_points.extend(run.first());
            since = 0;
        }
    }
    cut_points
}
