//! The two distributions behind a finding, small enough to keep and to draw.

use serde::{Deserialize, Serialize};

use crate::baseline::{CategoricalBaseline, Moments, NumericBaseline};
use crate::report::Ordered;
use crate::statistics::{Comparison, KolmogorovSmirnov};

/// Points of numbers at most: more than a plot can show.
pub const POINTS: usize = 64;
/// Categories by name at most; the rest is one.
pub const CATEGORIES: usize = 20;
/// Points that are kept for the two ends, and for the place of the KS distance from either side.
const RESERVED: usize = 4;

/// How the values of one subject are spread in the baseline and in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// Of numbers.
    Numeric {
        /// At most [`POINTS`], ascending in all three numbers. The first has the share 0 on both
        /// sides, the last 1.
        points: Vec<NumericPoint>,
    },
    /// Of texts.
    Categorical {
        /// The baseline's largest [`CATEGORIES`] in their order, and last all others together.
        categories: Vec<CategoryPoint>,
    },
}

/// A value, and how much lies at or below it. Two points of one value are how much lies below it,
/// then how much at or below it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumericPoint {
    /// The value: a cut point of the baseline, or an end.
    pub x: Ordered,
    /// Share of the baseline's values.
    pub reference: f64,
    /// Share of the window's values.
    pub window: f64,
}

/// A category, and how much of both sides it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryPoint {
    /// Its text; `None` for all others together, and for private columns.
    pub category: Option<String>,
    /// Share of the baseline's values.
    pub reference: f64,
    /// Share of the window's values.
    pub window: f64,
}

impl Shape {
    /// Of numbers, from the counts of the window at and between the baseline's cut points. The
    /// points lie where both together have equally much between them, at the ends, and where the KS
    /// distance is. `None` where one side is empty.
    pub fn of_numbers(
        baseline: &NumericBaseline,
        window: &[u64],
        moments: Moments,
    ) -> Option<Shape> {
        let found = KolmogorovSmirnov::of(&baseline.counts, window)?;
        let (reference, window) = (up_to(&baseline.counts), up_to(window));
        // Slot 2i + 1 ends at cut point i, slot 2i just below it.
        let at_slot = |cut: usize, slot: usize| {
            Some(NumericPoint {
                x: Ordered(*baseline.cut_points.get(cut)?),
                reference: *reference.get(slot)?,
                window: *window.get(slot)?,
            })
        };
        let mut chosen = Vec::new();
        let step = 2.0 / (POINTS - RESERVED) as f64;
        let few = baseline.cut_points.len() <= POINTS - RESERVED;
        let mut next = step;
        for cut in 0..baseline.cut_points.len() {
            let Some(point) = at_slot(cut, 2 * cut + 1) else { continue };
            let both = point.reference + point.window;
            if few || both >= next {
                chosen.push(point);
                next = step * (libm::floor(both / step) + 1.0);
            }
        }
        if let Some(at) = found.at {
            let before = matches!(at.comparison, Comparison::AtOrAbove);
            chosen.extend(at_slot(at.cut, 2 * at.cut).filter(|_| before));
            chosen.extend(at_slot(at.cut, 2 * at.cut + 1));
        }
        let (low, high) = ends(baseline.moments, moments);
        chosen.extend(low.map(|x| NumericPoint { x: Ordered(x), reference: 0.0, window: 0.0 }));
        chosen.extend(high.map(|x| NumericPoint { x: Ordered(x), reference: 1.0, window: 1.0 }));
        chosen.sort_by(|one, other| {
            let by_x = one.x.0.total_cmp(&other.x.0);
            by_x.then_with(|| {
                (one.reference + one.window).total_cmp(&(other.reference + other.window))
            })
        });
        chosen.dedup();
        Some(Shape::Numeric { points: chosen })
    }

    /// Of texts, from the counts of the judged categories and of all others last. `None` where one
    /// side is empty.
    pub fn of_categories(
        baseline: &CategoricalBaseline,
        window: &[u64],
        private: bool,
    ) -> Option<Shape> {
        let reference = baseline.judged_counts();
        let (of_reference, of_window) = (reference.iter().sum::<u64>(), window.iter().sum::<u64>());
        if of_reference == 0 || of_window == 0 || reference.len() != window.len() {
            return None;
        }
        let named = baseline.judged.min(CATEGORIES);
        let (mut left_reference, mut left_window) = (of_reference, of_window);
        let mut categories = Vec::with_capacity(named + 1);
        for ((name, _), (in_reference, in_window)) in
            baseline.categories.iter().zip(reference.iter().zip(window)).take(named)
        {
            left_reference -= in_reference;
            left_window -= in_window;
            categories.push(CategoryPoint {
                category: (!private).then(|| name.clone()),
                reference: share(*in_reference, of_reference),
                window: share(*in_window, of_window),
            });
        }
        categories.push(CategoryPoint {
            category: None,
            reference: share(left_reference, of_reference),
            window: share(left_window, of_window),
        });
        Some(Shape::Categorical { categories })
    }
}

/// The share of all counts up to and with each slot.
fn up_to(counts: &[u64]) -> Vec<f64> {
    let total = counts.iter().sum();
    let mut below = 0;
    let through = counts.iter().map(|count| {
        below += count;
        share(below, total)
    });
    through.collect()
}

/// Seven digits: more than a plot can show.
fn share(count: u64, total: u64) -> f64 {
    libm::round(1e7 * count as f64 / total as f64) / 1e7
}

/// The smallest and the largest value of both sides.
fn ends(reference: Moments, window: Moments) -> (Option<f64>, Option<f64>) {
    let lowest = |of: Moments| match of.negative_infinities {
        0 => of.min.or((of.positive_infinities > 0).then_some(f64::INFINITY)),
        _ => Some(f64::NEG_INFINITY),
    };
    let highest = |of: Moments| match of.positive_infinities {
        0 => of.max.or((of.negative_infinities > 0).then_some(f64::NEG_INFINITY)),
        _ => Some(f64::INFINITY),
    };
    let either =
        |one: Option<f64>, other: Option<f64>, choose: fn(f64, f64) -> f64| match (one, other) {
            (Some(one), Some(other)) => Some(choose(one, other)),
            (one, other) => one.or(other),
        };
    (
        either(lowest(reference), lowest(window), f64::min),
        either(highest(reference), highest(window), f64::max),
    )
}

#[cfg(test)]
mod tests;
