//! What a budget can find: the smallest shift of each column, and what the parts of the baseline say of
//! one another.

use driftline_config::Subject;

use super::{Budget, Maximum, Measured, Respect, Yardstick, median};
use crate::baseline::Baseline;
use crate::statistics::normal_quantile;

/// Of a hundred shifts that are the smallest, so many are found.
const FOUND: f64 = 0.9;
/// The spread of a share that is followed at one cut is at most this over the root of its rows.
const HALF: f64 = 0.5;
const THIRDS: usize = 3;
/// So many of the largest values in a row lie in one third by chance once in 2187 columns: 3 × 3⁻⁸.
const LARGEST: usize = 8;

/// What windows of as many rows as the baseline's own ones can show.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// Rows of the median own window.
    pub rows: u64,
    pub columns: Vec<Smallest>,
    /// What the thirds of the baseline say of one another.
    pub unlike: Vec<UnlikeThird>,
}

/// The smallest shift of one column that is found nine times in ten, as the share of requests that
/// moved; `None` where no rank was dealt for it, or no shift is large enough.
#[derive(Debug, Clone, PartialEq)]
pub struct Smallest {
    pub subject: Subject,
    pub measured: Measured,
    /// In one window.
    pub in_one: Option<f64>,
    /// In so many as the longest scale merges: eight, seven of days.
    pub in_eight: Option<f64>,
}

/// A third of the baseline in which a column is unlike the other two: all of the largest own values lie
/// in it.
#[derive(Debug, Clone, PartialEq)]
pub struct UnlikeThird {
    pub subject: Subject,
    pub measured: Measured,
    /// Start of its first and of its last window, in microseconds.
    pub first_us: i64,
    pub last_us: i64,
    /// How many of the largest own values in a row.
    pub largest: usize,
}

/// At which scale, by its place, of which maximum something is to be found, and how often.
#[derive(Debug, Clone, Copy)]
struct Look {
    maximum: Maximum,
    place: usize,
    probability: f64,
}

impl Budget {
    /// What can be found by this budget, whose baseline this is.
    pub fn sensitivity(&self, baseline: &Baseline) -> Sensitivity {
        let own = baseline.own_effects.as_ref().map_or(&[][..], |own| &own.rows);
        let mut rows: Vec<f64> = own.iter().map(|&rows| rows as f64).collect();
        let rows = median(&mut rows).unwrap_or(0.0) as u64;
        let judged = self.measures.iter().filter(|respect| respect.judged && rows > 0);
        let smallest = |respect: &Respect| {
            let column = baseline.columns.get(respect.measure.column)?;
            let (in_one, in_eight) = self.smallest(respect, rows);
            let measured = respect.measure.what;
            Some(Smallest { subject: column.subject().clone(), measured, in_one, in_eight })
        };
        let columns = judged.filter_map(smallest).collect();
        Sensitivity { rows, columns, unlike: self.thirds(baseline) }
    }

    fn smallest(&self, respect: &Respect, rows: u64) -> (Option<f64>, Option<f64>) {
        if respect.measure.what.is_broken_input() {
            let at = |probability| Look { maximum: Maximum::BrokenInput, place: 0, probability };
            let once = self.least_over(respect, at(FOUND), rows);
            // Each of eight windows has its own chance.
            let each = 1.0 - (1.0 - FOUND).powf(1.0 / 8.0);
            return (once, self.least_over(respect, at(each), rows));
        }
        let of = |maximum: Maximum, place: usize| {
            self.least_over(respect, Look { maximum, place, probability: FOUND }, rows)
        };
        let at = |maximum: Maximum| maximum.scales().map(move |place| of(maximum, place));
        let in_one = of(Maximum::ShortDrift, 0);
        let all = at(Maximum::ShortDrift).chain(at(Maximum::LongDrift)).flatten();
        (in_one, all.min_by(f64::total_cmp))
    }

    /// The least share of moved requests that is over the threshold with this probability, where all
    /// windows of the scale have it: the yardstick times the threshold, and the spread of what is
    /// observed by a normal approximation.
    fn least_over(&self, respect: &Respect, look: Look, rows: u64) -> Option<f64> {
        let Look { maximum, place, probability } = look;
        let threshold = self.threshold(maximum)?;
        let rows = rows * u64::from(*self.scales.get(place)?);
        let yardstick = respect.yardstick(place);
        let needed = threshold * yardstick.of(rows as f64);
        let noise = if respect.measure.what.is_share() { respect.noise } else { HALF };
        let spread = Yardstick { noise, ..yardstick }.of(rows as f64);
        let least = f64::from(respect.least) / f64::from(super::MILLION);
        let least = needed.max(least) + normal_quantile(1.0 - probability) * spread;
        (least < 1.0).then_some(least.max(0.0))
    }

    /// Each third of the own windows by the other two, column by column.
    fn thirds(&self, baseline: &Baseline) -> Vec<UnlikeThird> {
        let (Some(windows), Some(own)) = (&baseline.windows, &baseline.own_effects) else {
            return Vec::new();
        };
        let starts_us: Vec<i64> = windows.windows.iter().map(|(start_us, _)| *start_us).collect();
        let length = starts_us.len().div_ceil(THIRDS).max(1);
        let unlike = |respect: &Respect| {
            let what = respect.measure.what;
            let subject = baseline.columns.get(respect.measure.column)?.subject();
            let found = own.of(subject, what)?;
            let rows = found.rows.as_ref().unwrap_or(&own.rows);
            let values = found.effects.first()?.iter().zip(rows).enumerate();
            let mut values: Vec<(f64, usize)> = values
                .map(|(place, (&effect, &rows))| {
                    (respect.own_ratio(0, effect, rows), place / length)
                })
                .collect();
            values.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            let third = values.first()?.1;
            let of_third = |(value, place): &&(f64, usize)| *value > 0.0 && *place == third;
            let largest = values.iter().take_while(of_third).count();
            let starts_us = starts_us.chunks(length).nth(third)?;
            (largest >= LARGEST).then_some(UnlikeThird {
                subject: subject.clone(),
                measured: what,
                first_us: *starts_us.first()?,
                last_us: *starts_us.last()?,
                largest,
            })
        };
        self.measures.iter().filter(|respect| respect.judged).filter_map(unlike).collect()
    }
}
