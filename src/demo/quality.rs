//! How good each model was, known afterwards from the arrivals.

use std::collections::BTreeMap;

/// Score and outcome of the flights of one month, per model.
#[derive(Debug, Default, Clone)]
pub(super) struct Quality {
    /// By month (1 to 12): scores by model, in the order of the outcomes.
    months: BTreeMap<u8, Month>,
}

#[derive(Debug, Default, Clone)]
struct Month {
    late: Vec<bool>,
    scores: BTreeMap<&'static str, Vec<f64>>,
}

impl Quality {
    /// Adds a flight whose arrival is known, with the score that each model gave it.
    pub(super) fn add(&mut self, month: u8, late: bool, scores: &[(&'static str, f64)]) {
        let of_month = self.months.entry(month).or_default();
        of_month.late.push(late);
        for (model, score) in scores {
            of_month.scores.entry(model).or_default().push(*score);
        }
    }

    /// The area under the ROC curve of a model over some months; `None` where it was not scored on
    /// all their flights.
    pub(super) fn auc(&self, model: &str, months: std::ops::RangeInclusive<u8>) -> Option<f64> {
        let mut scored: Vec<(f64, bool)> = Vec::new();
        for month in self.months.range(months).map(|(_, month)| month) {
            let scores =
                month.scores.get(model).filter(|scores| scores.len() == month.late.len())?;
            scored.extend(scores.iter().copied().zip(month.late.iter().copied()));
        }
        auc(&mut scored)
    }
}

/// The probability that a late flight has a higher score than one on time, ties counting half.
fn auc(scored: &mut [(f64, bool)]) -> Option<f64> {
    scored.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut on_time_below, mut twice_won, mut late) = (0u64, 0u64, 0u64);
    for tied in scored.chunk_by(|one, other| one.0 == other.0) {
        let late_here = tied.iter().filter(|(_, late)| *late).count() as u64;
        let on_time_here = tied.len() as u64 - late_here;
        twice_won += late_here * (2 * on_time_below + on_time_here);
        on_time_below += on_time_here;
        late += late_here;
    }
    let pairs = late * on_time_below;
    (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_pairs_and_halves_ties() {
        let check = |scored: &[(f64, bool)], expected: Option<f64>| {
            assert_eq!(auc(&mut scored.to_vec()), expected, "{scored:?}");
        };
        check(&[(0.1, false), (0.9, true)], Some(1.0));
        check(&[(0.9, false), (0.1, true)], Some(0.0));
        check(&[(0.5, false), (0.5, true)], Some(0.5));
        check(&[(0.2, false), (0.4, true), (0.4, false), (0.6, true)], Some(0.875));
        check(&[(0.2, true)], None);
    }
}
