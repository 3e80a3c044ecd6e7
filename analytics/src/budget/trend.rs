//! Whether something moves all through a baseline: by the order of its own windows.

use driftline_config::{Model, Subject};

use super::own::autocorrelation;
use super::{Budget, Measured, Respect, median, share};
use crate::baseline::Baseline;
use crate::statistics::normal_sf;

/// So many columns are named.
const NAMED: usize = 3;
/// With fewer own windows an order shows nothing.
const LEAST_WINDOWS: usize = 12;
/// The chance that any column of a baseline without a trend is named.
const ALPHA: f64 = 0.01;
/// Beyond it neighbours say nothing of a trend at all.
const MOST_ALIKE: f64 = 0.95;

/// A column that moves through the baseline: the first and the last own windows are farther from the rest
/// than those between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    pub subject: Subject,
    /// By how much of the requests its first and its last sixth differ from one another, beyond what the
    /// windows in the middle differ by.
    pub moved: f64,
}

impl Budget {
    /// The judged columns that move through the baseline by at least the smallest effect that counts, the
    /// one that moves most first.
    ///
    /// The rest of a baseline lies around its middle, so that with a trend the effects of own windows grow
    /// towards both ends. Kendall's rank correlation of the effect with the distance from the middle finds
    /// that; its spread is widened for neighbours that are alike once the slope of Sen (1968) is taken out
    /// (Yue and Wang, 2004). A year's wave that a baseline holds a part of is a trend as well.
    pub fn trends(&self, baseline: &Baseline) -> Vec<Trend> {
        let judged =
            |respect: &&Respect| respect.judged && respect.measure.what == Measured::Distribution;
        let judged: Vec<&Respect> = self.measures.iter().filter(judged).collect();
        let alpha = ALPHA / judged.len().max(1) as f64;
        let mut trends: Vec<Trend> =
            judged.iter().filter_map(|respect| respect.trend(baseline, alpha)).collect();
        trends.sort_by(|one, other| other.moved.total_cmp(&one.moved));
        trends
    }

    /// The same in a sentence; `None` where nothing moves.
    pub fn trend_told(&self, model: &Model, baseline: &Baseline) -> Option<String> {
        let trends = self.trends(baseline);
        let named: Vec<String> = trends
            .iter()
            .take(NAMED)
            .map(|trend| format!("{} by {:.1} % of requests", trend.subject, 100.0 * trend.moved))
            .collect();
        let more = match trends.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!named.is_empty()).then(|| {
            format!(
                "model {}: the baseline itself moves from its first windows to its last, in {}{more}: \
                 what comes next may differ from it for that alone, and smaller drift is not found; \
                 build it from a shorter and newer stretch",
                model.name,
                named.join(", ")
            )
        })
    }
}

impl Respect {
    fn trend(&self, baseline: &Baseline, alpha: f64) -> Option<Trend> {
        let subject = baseline.columns.get(self.measure.column)?.subject();
        // Neither is there without own windows, and nothing where nothing ever moved.
        let own = baseline.own_effects.as_ref()?.of(subject, self.measure.what)?;
        let effects: Vec<f64> = own.effects.first()?.iter().map(|&effect| share(effect)).collect();
        let moved = moved_between_ends(&effects)?;
        let found = moved >= share(self.least) && order(&effects) < alpha;
        found.then(|| Trend { subject: subject.clone(), moved })
    }
}

/// By how much both outer sixths are over the third in the middle, together; `None` where there are too
/// few windows, or an end is not farther than the middle.
fn moved_between_ends(effects: &[f64]) -> Option<f64> {
    let windows = effects.len();
    if windows < LEAST_WINDOWS {
        return None;
    }
    let sixth = windows / 6;
    let middle = median(&mut effects.get(2 * sixth..windows - 2 * sixth)?.to_vec())?;
    let first = median(&mut effects.get(..sixth)?.to_vec())?;
    let last = median(&mut effects.get(windows - sixth..)?.to_vec())?;
    (first > middle && last > middle).then_some(first + last - 2.0 * middle)
}

/// The probability of such an order, or a clearer one, where there is no trend.
fn order(effects: &[f64]) -> f64 {
    let centre = (effects.len() as f64 - 1.0) / 2.0;
    let distances = (0..effects.len()).map(|place| (place as f64 - centre).abs());
    let points: Vec<(f64, f64)> = distances.zip(effects.iter().copied()).collect();
    let (mut agree, mut slopes) = (0.0, Vec::new());
    for (index, &(near, effect)) in points.iter().enumerate() {
        for &(far, other) in points.iter().skip(index + 1) {
            let (along, up) = (far - near, other - effect);
            if along != 0.0 {
                agree += sign(along) * sign(up);
                slopes.push(up / along);
            }
        }
    }
    let slope = median(&mut slopes).unwrap_or(0.0);
    let left: Vec<f64> =
        points.iter().map(|(distance, effect)| effect - slope * distance).collect();
    let alike = autocorrelation(&left, 1).clamp(0.0, MOST_ALIKE);
    let n = effects.len() as f64;
    // Each distance occurs twice, which takes n/2 pairs, and their part of the variance, away.
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - libm::floor(n / 2.0) * 18.0) / 18.0;
    normal_sf(agree / libm::sqrt(variance * (1.0 + alike) / (1.0 - alike)))
}

fn sign(number: f64) -> f64 {
    if number > 0.0 {
        1.0
    } else if number < 0.0 {
        -1.0
    } else {
        0.0
    }
}
