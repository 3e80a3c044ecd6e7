//! The two distributions behind a finding, small enough to keep and to draw.

use serde::{Deserialize, Serialize};

use crate::baseline::{CategoricalBaseline, Moments, NumericBaseline};
use crate::report::{Comparison, Ordered};

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
    Numeric {
        /// At most [`POINTS`], ascending in all three numbers. The first has the share 0 on both
        /// sides, the last 1.
        points: Vec<NumericPoint>,
    },
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
    pub reference: f64,
    pub window: f64,
}

/// A category, and how much of both sides it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryPoint {
    /// Its text; `None` for all others together, and for private columns.
    pub category: Option<String>,
    pub reference: f64,
    pub window: f64,
}

/// Where the KS distance of a column of numbers is.
#[derive(Debug, Clone, Copy)]
pub struct Furthest {
    /// Index into the baseline's cut points.
    pub cut: usize,
    /// Whether just below the cut point or at it.
    pub comparison: Comparison,
}

#[derive(Clone, Copy)]
struct Totals {
    reference: u64,
    window: u64,
}

impl Shape {
    /// Of numbers, from the counts of the window at and between the baseline's cut points, and where
    /// the KS distance is. The points lie where both together have equally much between them, at the
    /// ends, and where the distance is. `None` where one side is empty.
    pub fn of_numbers(
        baseline: &NumericBaseline,
        window: &[u64],
        furthest: Option<Furthest>,
        moments: Moments,
    ) -> Option<Shape> {
        let counts = baseline.counts.to_vec();
        let reference = counts.as_slice();
        let totals = Totals { reference: reference.iter().sum(), window: window.iter().sum() };
        if totals.reference == 0 || totals.window == 0 || reference.len() != window.len() {
            return None;
        }
        let mut chosen = thinned(&baseline.cut_points, reference, window, totals);
        if let Some(Furthest { cut, comparison }) = furthest {
            // Slot 2i + 1 ends at cut point i, slot 2i just below it.
            let up_to = |counts: &[u64], slot: usize| counts.iter().take(slot + 1).sum();
            let at_slot = |slot: usize| {
                let x = *baseline.cut_points.get(cut)?;
                Some(totals.point(x, up_to(reference, slot), up_to(window, slot)))
            };
            let before = matches!(comparison, Comparison::AtOrAbove);
            chosen.extend(at_slot(2 * cut).filter(|_| before));
            chosen.extend(at_slot(2 * cut + 1));
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

/// The cut points between which both sides together have equally much; all of them where they are few.
fn thinned(
    cut_points: &[f64],
    reference: &[u64],
    window: &[u64],
    totals: Totals,
) -> Vec<NumericPoint> {
    /// More than two shares change when they are written with seven digits.
    const ROUNDING: f64 = 2e-7;
    let step = 2.0 / (POINTS - RESERVED) as f64;
    let few = cut_points.len() <= POINTS - RESERVED;
    let (of_one, of_other) = (1.0 / totals.reference as f64, 1.0 / totals.window as f64);
    let (mut below, mut below_window) = (0, 0);
    let mut next = step;
    let mut chosen = Vec::with_capacity(POINTS);
    let counts = reference.as_chunks::<2>().0.iter().zip(window.as_chunks::<2>().0);
    for (x, (counted, counted_in_window)) in cut_points.iter().zip(counts) {
        below += counted.iter().sum::<u64>();
        below_window += counted_in_window.iter().sum::<u64>();
        // Most cut points are not chosen, which is seen before anything is divided.
        let about = below as f64 * of_one + below_window as f64 * of_other;
        if !few && about + ROUNDING < next {
            continue;
        }
        let point = totals.point(*x, below, below_window);
        let both = point.reference + point.window;
        if few || both >= next {
            chosen.push(point);
            next = step * (libm::floor(both / step) + 1.0);
        }
    }
    chosen
}

impl Totals {
    /// A point at `x`, from how much lies at or below it.
    fn point(self, x: f64, reference: u64, window: u64) -> NumericPoint {
        NumericPoint {
            x: Ordered(x),
            reference: share(reference, self.reference),
            window: share(window, self.window),
        }
    }
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
