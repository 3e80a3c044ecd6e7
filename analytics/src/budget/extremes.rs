//! Which own windows of a baseline are the most extreme, and by what: an operator may know why, and
//! leave them out.

use driftline_config::Subject;

use super::own::median;
use super::{Budget, Maximum, Measured};
use crate::baseline::Baseline;

/// How many are named.
const NAMED: usize = 5;

/// One own window that is far from the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtremeWindow {
    pub start_us: i64,
    /// The column that leads, and what of it.
    pub subject: Subject,
    pub measured: Measured,
    /// How many times the usual largest number of a window it has.
    pub times: f64,
}

impl Budget {
    /// The five most extreme own windows, each by itself, the farthest first.
    pub fn extreme_windows(&self, baseline: &Baseline) -> Vec<ExtremeWindow> {
        let (Some(own), Some(windows)) = (&baseline.own_effects, &baseline.windows) else {
            return Vec::new();
        };
        let mut found: Vec<ExtremeWindow> = Vec::new();
        for maximum in [Maximum::ShortDrift, Maximum::BrokenInput] {
            // Per own window the largest number, and of which measure.
            let mut largest: Vec<(f64, usize)> = vec![(0.0, 0); own.rows.len()];
            for (place, judged) in self.measures.iter().enumerate() {
                let what = judged.measure.what;
                let column = baseline.columns.get(judged.measure.column);
                let of_maximum = what.is_broken_input() == maximum.is_broken_input();
                let measured = column
                    .filter(|_| of_maximum && judged.judged)
                    .and_then(|column| own.of(column.subject(), what));
                let Some(measured) = measured else { continue };
                let rows = measured.rows.as_ref().unwrap_or(&own.rows);
                let effects = measured.effects.first().map_or(&[][..], Vec::as_slice);
                for ((&effect, &rows), largest) in effects.iter().zip(rows).zip(&mut largest) {
                    let number = judged.own_ratio(0, effect, rows);
                    if number > largest.0 {
                        *largest = (number, place);
                    }
                }
            }
            let usual = median(&mut largest.iter().map(|(number, _)| *number).collect::<Vec<_>>());
            let usual = usual.unwrap_or(0.0).max(1.0);
            for ((number, place), &(start_us, _)) in largest.into_iter().zip(&windows.windows) {
                let Some(judged) = self.measures.get(place).filter(|_| number > 0.0) else {
                    continue;
                };
                let Some(column) = baseline.columns.get(judged.measure.column) else { continue };
                let (subject, measured) = (column.subject().clone(), judged.measure.what);
                found.push(ExtremeWindow { start_us, subject, measured, times: number / usual });
            }
        }
        found.sort_by(|one, other| {
            let farther = other.times.total_cmp(&one.times);
            farther.then_with(|| one.start_us.cmp(&other.start_us))
        });
        let mut named = std::collections::BTreeSet::new();
        found.retain(|window| named.insert(window.start_us));
        found.truncate(NAMED);
        found
    }
}
