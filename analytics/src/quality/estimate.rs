//! What quality would be without labels: confidence-based estimates from a histogram of scores (CBPE,
//! statistics.md §4). They hold while scores mean what they meant, and cannot see when they no longer do.

use super::binary::CLIP;
use super::calibrator::Calibrator;
use super::confusion::BinaryTable;
use super::curves::{ScoreBin, ScoreBins};
use super::figure::{Figure, Figures, Metric};
use super::intervals::Interval;

/// What is said beside every estimate.
pub const ASSUMPTIONS: &str =
    "scores mean what they meant in the baseline, and lie where the baseline has rows";

/// Rows whose score lies between two neighbouring cut points, or at one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreCount {
    pub low: f64,
    /// Equal to `low` where the rows have that very score.
    pub high: f64,
    pub rows: f64,
}

/// Quality as it would be on average over the labels that scores stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimated {
    pub rows: f64,
    /// AUC with its certified band, log-loss with its own, share of the positives.
    pub figures: Figures,
    /// Per threshold, in the order in which they were given.
    pub at_thresholds: Vec<EstimatedTable>,
}

/// What is to be expected where rows with at least this score are called positive.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatedTable {
    pub threshold: f64,
    pub table: BinaryTable,
    pub figures: Figures,
}

/// Counts at and between cut points as a window keeps them, 2k+1 of k cut points; empty slots are left out.
pub fn score_counts(cut_points: &[f64], counts: &[u64]) -> Vec<ScoreCount> {
    let cut = |index: usize| cut_points.get(index).copied();
    let used = counts.iter().enumerate().filter(|&(_, &rows)| rows > 0);
    used.map(|(slot, &rows)| {
        let low =
            if slot % 2 == 1 { cut(slot / 2) } else { (slot / 2).checked_sub(1).and_then(cut) };
        let (low, high) = (low.unwrap_or(0.0), cut(slot / 2).unwrap_or(1.0));
        ScoreCount { low, high, rows: rows as f64 }
    })
    .collect()
}

/// Estimates from ascending counts of scores, with intervals of `z` standard errors of the labels' chance
/// alone; `None` without rows. Exact where thresholds and the calibrator's break points are cut points.
pub fn estimate(
    counts: &[ScoreCount],
    calibrator: &Calibrator,
    thresholds: &[f64],
    z: f64,
) -> Option<Estimated> {
    let rows: f64 = counts.iter().map(|count| count.rows).sum();
    if rows.is_nan() || rows <= 0.0 {
        return None;
    }
    let expected: Vec<ScoreBin> =
        counts.iter().map(|count| expected_bin(count, calibrator)).collect();
    let positives: f64 = expected.iter().map(|bin| bin.positives).sum();
    // c(1 - c) of each row: the variance of its label.
    let chance: f64 = expected
        .iter()
        .filter(|bin| bin.positives > 0.0)
        .map(|bin| bin.positives * bin.negatives / (bin.positives + bin.negatives))
        .sum();
    let error = libm::sqrt(chance) / rows;
    let mut figures = Figures::new();
    let share = positives / rows;
    let around = |value: f64| Some(Interval::around(value, z * error).widened_share(0.0, 0.0));
    figures.insert(Metric::PositiveShare, Figure::within(share, around(share)));
    figures.insert(Metric::LogLoss, log_loss(&expected, rows, z));
    if let Some(bins) = ScoreBins::of_rows(expected.clone()) {
        figures.insert(Metric::Auc, Figure { interval: None, ..bins.auc(z) });
    }
    let at = |&threshold: &f64| {
        let table = BinaryTable::of_bins(&expected, threshold, rows);
        let mut figures = table.figures(z);
        for (metric, figure) in &mut figures {
            let is_accuracy = *metric == Metric::Accuracy;
            figure.interval = if is_accuracy { around(figure.value) } else { None };
        }
        EstimatedTable { threshold, table, figures }
    };
    let at_thresholds = thresholds.iter().map(at).collect();
    Some(Estimated { rows, figures, at_thresholds })
}

fn expected_bin(count: &ScoreCount, calibrator: &Calibrator) -> ScoreBin {
    let share = calibrator.value_between(count.low, count.high);
    ScoreBin {
        low: count.low,
        high: count.high,
        positives: count.rows * share,
        negatives: count.rows * (1.0 - share),
    }
}

/// Of the scores themselves if labels come as the calibrator says; certified, since where in its bin a
/// score lies is not known.
fn log_loss(bins: &[ScoreBin], rows: f64, z: f64) -> Figure {
    let (mut sum, mut low, mut high, mut variance) = (0.0, 0.0, 0.0, 0.0);
    for bin in bins {
        let of = |score: f64| {
            let score = score.clamp(CLIP, 1.0 - CLIP);
            -bin.positives * libm::log(score) - bin.negatives * libm::log1p(-score)
        };
        let (n, middle) = (bin.positives + bin.negatives, 0.5 * (bin.low + bin.high));
        let share = bin.positives / n;
        sum += of(middle);
        // Convex in the score, least where the score is the share.
        low += of(share.clamp(bin.low, bin.high));
        high += of(bin.low).max(of(bin.high));
        let odds = middle.clamp(CLIP, 1.0 - CLIP);
        let logit = libm::log(odds) - libm::log1p(-odds);
        variance += n * share * (1.0 - share) * logit * logit;
    }
    let (value, certified) = (sum / rows, Interval { low: low / rows, high: high / rows });
    let error = libm::sqrt(variance) / rows;
    let interval = Interval { low: certified.low - z * error, high: certified.high + z * error };
    Figure { value, interval: Some(interval), certified: Some(certified) }
}
