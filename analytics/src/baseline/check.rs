//! Whether a baseline agrees with itself: what was read may have been edited by hand.

use std::collections::HashSet;

use super::{
    Baseline, BaselineColumn, BaselineError, CategoricalBaseline, NumericBaseline, OwnWindows,
};

/// More rows than this cannot have been counted; sums of counts below it stay inside 64 bits.
const MOST_ROWS: u64 = 1 << 53;
/// RULES §4: at most so many categories are judged on their own.
const MOST_JUDGED: usize = 50;

pub(super) fn check(baseline: &Baseline) -> Result<(), BaselineError> {
    let whole = |problem: &str| Err(invalid("file", problem.to_owned()));
    if baseline.rows == 0 || baseline.rows > MOST_ROWS {
        return whole("rows must lie between 1 and 2^53");
    }
    if let Some(windows) = &baseline.windows {
        if windows.every_us <= 0 {
            return whole("windows.every_us must be a positive number of microseconds");
        }
        if !windows.windows.is_sorted_by(|left, right| left.0 < right.0) {
            return whole("windows.windows must be sorted by their starts, each once");
        }
    }
    if let Some(effects) = &baseline.own_effects {
        let windows = baseline.windows.as_ref().map_or(0, |windows| windows.windows.len());
        if effects.rows.len() != windows {
            return whole("own_effects.rows must be one number per window of windows.windows");
        }
        if let Some(problem) = effects.problem() {
            return whole(&problem);
        }
    }
    let mut subjects = HashSet::new();
    let mut predictions = false;
    for column in &baseline.columns {
        let subject = column.subject();
        let name = match subject.split_once(':') {
            Some(("feature", name)) if !predictions => name,
            Some(("feature", _)) => {
                return Err(invalid(subject, "features must stand before predictions".to_owned()));
            }
            Some(("prediction", name)) => {
                predictions = true;
                name
            }
            _ => "",
        };
        if name.is_empty() {
            let problem = "a subject is feature:NAME or prediction:NAME".to_owned();
            return Err(invalid(subject, problem));
        }
        if !subjects.insert(subject) {
            return Err(invalid(subject, "the subject stands there twice".to_owned()));
        }
        check_column(baseline, column).map_err(|problem| invalid(subject, problem))?;
    }
    Ok(())
}

fn invalid(place: &str, problem: String) -> BaselineError {
    BaselineError::Invalid { place: place.to_owned(), problem }
}

fn check_column(baseline: &Baseline, column: &BaselineColumn) -> Result<(), String> {
    let parts = [column.n(), column.missing(), column.wrong_type()];
    if sum(parts) != Some(baseline.rows) {
        return Err(format!(
            "n {}, missing {} and wrong_type {} must add up to the {} rows of the baseline",
            column.n(),
            column.missing(),
            column.wrong_type(),
            baseline.rows
        ));
    }
    column.own_windows().map_or(Ok(()), check_own_windows)?;
    match column {
        BaselineColumn::Numeric(column) => check_numeric(column),
        BaselineColumn::Categorical(column) => check_categorical(column),
    }
}

fn check_own_windows(own: &OwnWindows) -> Result<(), String> {
    if own.every_us <= 0 {
        return Err("own_windows.every_us must be a positive number of microseconds".to_owned());
    }
    if !own.statistics.iter().all(|statistic| statistic.is_finite()) {
        return Err("own_windows.statistics must be finite numbers".to_owned());
    }
    Ok(())
}

fn check_numeric(column: &NumericBaseline) -> Result<(), String> {
    let cuts = &column.cut_points;
    if cuts.iter().any(|cut| cut.is_nan() || (*cut == 0.0 && cut.is_sign_negative())) {
        return Err("cut_points must not hold NaN or -0".to_owned());
    }
    if !cuts.is_sorted_by(|left, right| left < right) {
        return Err("cut_points must be ascending and distinct".to_owned());
    }
    if column.counts.len() != 2 * cuts.len() + 1 {
        return Err(format!(
            "{} cut_points need {} counts, there are {}",
            cuts.len(),
            2 * cuts.len() + 1,
            column.counts.len()
        ));
    }
    let counts = column.counts.to_vec();
    if sum(counts.iter().copied()) != Some(column.n) {
        return Err(format!("counts must add up to n, which is {}", column.n));
    }
    if column.exact && counts.iter().step_by(2).any(|&between| between != 0) {
        return Err("exact is true, yet values lie between cut_points".to_owned());
    }
    if column.nan > column.missing {
        return Err("nan is part of missing and cannot be larger".to_owned());
    }
    let moments = &column.moments;
    let kinds = [moments.n, moments.positive_infinities, moments.negative_infinities];
    if sum(kinds) != Some(column.n) {
        return Err("moments.n and the infinities must add up to n".to_owned());
    }
    check_psi_bins(column, &counts)
}

fn check_psi_bins(column: &NumericBaseline, counts: &[u64]) -> Result<(), String> {
    let Some((last, edges)) = column.psi_bins.split_last() else {
        return Err("psi_bins must not be empty".to_owned());
    };
    if last.to.is_some() || edges.iter().any(|bin| bin.to.is_none()) {
        return Err("the last of psi_bins, and no other, must have \"to\": null".to_owned());
    }
    let cut = |edge: f64| column.cut_points.contains(&edge);
    if !edges.iter().filter_map(|bin| bin.to).all(cut) {
        return Err("the edges of psi_bins must be cut_points".to_owned());
    }
    if !edges.is_sorted_by(|left, right| left.to < right.to) {
        return Err("the edges of psi_bins must be ascending".to_owned());
    }
    for (bin, slots) in column.psi_bins.iter().zip(column.psi_slots()) {
        let counted: u64 = counts.get(slots).into_iter().flatten().sum();
        if counted != bin.count {
            let edge = bin.to.map_or("the open end".to_owned(), |edge| edge.to_string());
            return Err(format!(
                "the bin of psi_bins up to {edge} holds {}, by counts it is {counted}",
                bin.count
            ));
        }
    }
    Ok(())
}

fn check_categorical(column: &CategoricalBaseline) -> Result<(), String> {
    let categories = &column.categories;
    let order = |left: &(String, u64), right: &(String, u64)| {
        left.1 > right.1 || (left.1 == right.1 && left.0 < right.0)
    };
    if !categories.is_sorted_by(order) {
        return Err("categories must be sorted by count, largest first, then by name".to_owned());
    }
    let names: HashSet<&str> = categories.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() != categories.len() {
        return Err("categories must be distinct".to_owned());
    }
    let counts = categories.iter().map(|(_, count)| *count).chain([column.other]);
    if sum(counts) != Some(column.n) {
        return Err(format!("categories and other must add up to n, which is {}", column.n));
    }
    if column.judged > categories.len().min(MOST_JUDGED) {
        return Err(format!("judged must be at most {}", categories.len().min(MOST_JUDGED)));
    }
    if !column.other_hashes.is_sorted_by(|left, right| left < right) {
        return Err("other_hashes must be ascending and distinct".to_owned());
    }
    if column.too_many_values && !(categories.is_empty() && column.other_hashes.is_empty()) {
        return Err("too_many_values is true, yet categories are there".to_owned());
    }
    Ok(())
}

fn sum(counts: impl IntoIterator<Item = u64>) -> Option<u64> {
    counts.into_iter().try_fold(0_u64, u64::checked_add)
}
