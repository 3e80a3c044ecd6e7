//! AUC, PR-AUC and the distance of the classes from counts at and between cut points, each with the band in
//! which the figure of the very same rows lies (statistics.md §4).

use super::figure::Figure;
use super::intervals::{Interval, logit_interval};

/// Rows between two cut points, or at one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreBin {
    pub low: f64,
    /// Equal to `low` where the bin is one score.
    pub high: f64,
    pub positives: f64,
    pub negatives: f64,
}

/// Bins in ascending order of score, with how much their rows tell.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreBins {
    bins: Vec<ScoreBin>,
    positives: f64,
    negatives: f64,
    /// (Σw)²/Σw² of the positives and of the negatives.
    effective: [f64; 2],
}

/// A point of the ROC curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Rows with at least this score are called positive.
    pub score: f64,
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
    /// Whether the curve from the point before to this one is a straight line, as ties give; else it lies
    /// anywhere in the rectangle between the two.
    pub is_tie: bool,
}

impl ScoreBin {
    /// Whether its rows are ties, so that nothing is open about their order.
    pub fn is_tie(&self) -> bool {
        self.low == self.high
    }

    fn open_pairs(&self) -> f64 {
        if self.is_tie() { 0.0 } else { self.positives * self.negatives }
    }
}

impl ScoreBins {
    /// Bins of ascending scores; `None` unless there are rows of both classes.
    pub fn new(bins: Vec<ScoreBin>, effective: [f64; 2]) -> Option<ScoreBins> {
        let positives = bins.iter().map(|bin| bin.positives).sum();
        let negatives = bins.iter().map(|bin| bin.negatives).sum();
        (positives > 0.0 && negatives > 0.0).then_some(ScoreBins {
            bins,
            positives,
            negatives,
            effective,
        })
    }

    /// Bins of rows that each count once.
    pub fn of_rows(bins: Vec<ScoreBin>) -> Option<ScoreBins> {
        let positives = bins.iter().map(|bin| bin.positives).sum();
        let negatives = bins.iter().map(|bin| bin.negatives).sum();
        ScoreBins::new(bins, [positives, negatives])
    }

    /// The area under the ROC curve, ties half: with the certified band ½ ΣP_b N_b/(PN) over the bins
    /// between cut points, and DeLong's interval in log-odds for `z` standard errors, widened by it.
    pub fn auc(&self, z: f64) -> Figure {
        let pairs = self.positives * self.negatives;
        let (mut below, mut won, mut open) = (0.0, 0.0, 0.0);
        for bin in &self.bins {
            won += bin.positives * (below + 0.5 * bin.negatives);
            open += bin.open_pairs();
            below += bin.negatives;
        }
        let (value, slack) = (won / pairs, 0.5 * open / pairs);
        let interval = self
            .auc_standard_error(value)
            .and_then(|error| logit_interval(value, error, z))
            .map(|interval| interval.widened_share(slack, slack));
        Figure { value, interval, certified: Some(Interval::around(value, slack)) }
    }

    /// DeLong's standard error (1988) on the bins; `None` below two rows of a class.
    pub fn auc_standard_error(&self, auc: f64) -> Option<f64> {
        let [of_positives, of_negatives] = self.effective;
        if !(of_positives > 1.0 && of_negatives > 1.0) {
            return None;
        }
        let (mut below, mut above) = (0.0, self.positives);
        let (mut spread_positives, mut spread_negatives) = (0.0, 0.0);
        for bin in &self.bins {
            above -= bin.positives;
            let won = (below + 0.5 * bin.negatives) / self.negatives - auc;
            let lost = (above + 0.5 * bin.positives) / self.positives - auc;
            spread_positives += bin.positives * won * won;
            spread_negatives += bin.negatives * lost * lost;
            below += bin.negatives;
        }
        // Σw(x - mean)²/Σw · n/(n - 1) / n, with n effective.
        let of = |spread: f64, total: f64, effective: f64| spread / total / (effective - 1.0);
        let variance = of(spread_positives, self.positives, of_positives)
            + of(spread_negatives, self.negatives, of_negatives);
        Some(libm::sqrt(variance))
    }

    /// Average precision: Σ(R_k - R_{k-1}) P_k over descending scores, ties one step. Certified: in a bin
    /// between cut points its positives may come before all of its negatives, or after them, one by one.
    /// The interval is that of Boyd, Eng and Page (2013) in log-odds, widened likewise.
    pub fn average_precision(&self, z: f64) -> Figure {
        let (mut hits, mut misses) = (0.0, 0.0);
        let (mut value, mut low, mut high) = (0.0, 0.0, 0.0);
        for bin in self.bins.iter().rev().filter(|bin| bin.positives + bin.negatives > 0.0) {
            let (more, wrong) = (bin.positives, bin.negatives);
            let precision = (hits + more) / (hits + more + misses + wrong);
            value += more * precision;
            if bin.is_tie() {
                low += more * precision;
                high += more * precision;
            } else {
                high +=
                    more * if more > 0.0 { (hits + more) / (hits + more + misses) } else { 0.0 };
                low += one_by_one(hits, more, misses + wrong);
            }
            hits += more;
            misses += wrong;
        }
        let [value, low, high] = [value, low, high].map(|sum| (sum / self.positives).min(1.0));
        let error = libm::sqrt(value * (1.0 - value) / self.effective[0]);
        let interval = logit_interval(value, error, z)
            .map(|interval| interval.widened_share(value - low, high - value));
        let certified = Interval { low: low.min(value), high: high.max(value) };
        Figure { value, interval, certified: Some(certified) }
    }

    /// The largest distance between the distributions of the scores of both classes, with its band.
    pub fn kolmogorov_smirnov(&self) -> Figure {
        let (mut positives, mut negatives) = (0.0, 0.0);
        let (mut value, mut high) = (0.0_f64, 0.0_f64);
        for bin in &self.bins {
            let before = [positives / self.positives, negatives / self.negatives];
            positives += bin.positives;
            negatives += bin.negatives;
            let after = [positives / self.positives, negatives / self.negatives];
            value = value.max((after[0] - after[1]).abs());
            if !bin.is_tie() {
                high = high.max(after[0] - before[1]).max(after[1] - before[0]);
            }
        }
        let certified = Interval { low: value, high: high.max(value).min(1.0) };
        Figure { value, interval: None, certified: Some(certified) }
    }

    /// The ROC curve from the highest score down, without its start at (0, 0).
    pub fn roc(&self) -> Vec<RocPoint> {
        let (mut hits, mut wrong) = (0.0, 0.0);
        let used = self.bins.iter().rev().filter(|bin| bin.positives + bin.negatives > 0.0);
        used.map(|bin| {
            hits += bin.positives;
            wrong += bin.negatives;
            RocPoint {
                score: bin.low,
                false_positive_rate: wrong / self.negatives,
                true_positive_rate: hits / self.positives,
                is_tie: bin.is_tie(),
            }
        })
        .collect()
    }

    /// All bins, ascending.
    pub fn bins(&self) -> &[ScoreBin] {
        &self.bins
    }
}

/// Σ (hits + i)/(hits + i + misses) for `more` positives that come one after the other: term by term
/// where they are few whole ones, else the integral below that sum.
fn one_by_one(hits: f64, more: f64, misses: f64) -> f64 {
    const FEW: f64 = 256.0;
    if more <= FEW && more == libm::trunc(more) {
        return (1..=more as u32).map(|i| hits + f64::from(i)).map(|tp| tp / (tp + misses)).sum();
    }
    if misses <= 0.0 { more } else { more - misses * libm::log1p(more / (hits + misses)) }
}
