//! Where a window stands among the baseline's own windows: numbers per column, maxima, page or not.

use super::coarse::{CoarseColumn, CoarseWindow};
use super::effect::Tally;
use super::since::{DriftRun, Followed};
use super::{Budget, Maximum, Measured, Respect, ScaleHistory, share};

/// A window among the own windows of its baseline.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The maxima that a rank was dealt for.
    pub extremes: Vec<Peak>,
    /// In every respect that is measured, and for both maxima of distributions: how far the window is.
    pub numbers: Vec<Number>,
    /// Per scale the newest windows together, this one included.
    pub(crate) merged: Vec<Option<CoarseWindow>>,
}

/// One maximum of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    pub maximum: Maximum,
    /// M: the largest number of a judged column.
    pub value: f64,
    /// The k-th largest own value: above it is a page.
    pub threshold: f64,
    /// Own windows that differed less.
    pub beyond: usize,
    /// Place of the leading number; `None` where nothing moved.
    pub leading: Option<usize>,
}

/// How far a window is from its baseline in one respect, at the scale where that is farthest.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    pub maximum: Maximum,
    /// Place of the column in the baseline.
    pub column: usize,
    pub measured: Measured,
    pub judged: bool,
    /// The effect over its yardstick.
    pub value: f64,
    /// Windows that are merged, and the place of their scale.
    pub scale: u32,
    pub(crate) place: usize,
    /// The share of requests that moved.
    pub effect: f64,
    pub yardstick: f64,
    /// Rows that it was measured from.
    pub rows: u64,
    /// The largest number of an own window.
    pub own_largest: f64,
}

impl Peak {
    /// Whether it is a page.
    pub fn pages(&self) -> bool {
        self.value > self.threshold
    }
}

impl Budget {
    /// Where a window stands. `newest` ends with it where it is complete; else the window stands alone.
    /// What is `accepted` leads no maximum; its numbers, and all own values, stay as they are.
    pub fn standing(
        &self,
        window: &CoarseWindow,
        newest: &ScaleHistory,
        complete: bool,
        accepted: &dyn Fn(&Number) -> bool,
    ) -> Standing {
        let merged = if complete {
            newest.merged(&self.grid, &self.scales)
        } else {
            vec![Some(window.clone())]
        };
        let mut numbers = Vec::new();
        for judged in &self.measures {
            for maximum in Maximum::ALL {
                let broken = judged.measure.what.is_broken_input();
                if broken == maximum.is_broken_input() {
                    numbers.extend(self.number(judged, maximum, &merged));
                }
            }
        }
        let extremes = Maximum::ALL.into_iter().filter_map(|maximum| {
            let threshold = self.threshold(maximum)?;
            let of_maximum = numbers.iter().enumerate();
            let leading = of_maximum
                .filter(|(_, number)| number.maximum == maximum && number.judged)
                .filter(|(_, number)| number.value > 0.0 && !accepted(number))
                .reduce(|most, next| if next.1.value > most.1.value { next } else { most });
            let value = leading.map_or(0.0, |(_, number)| number.value);
            let own = self.maxima.get(maximum.place())?;
            let beyond = own.own.iter().filter(|&&own| value > own).count();
            let leading = leading.map(|(place, _)| place);
            Some(Peak { maximum, value, threshold, beyond, leading })
        });
        Standing { extremes: extremes.collect(), numbers, merged }
    }

    fn number(
        &self,
        judged: &Respect,
        maximum: Maximum,
        merged: &[Option<CoarseWindow>],
    ) -> Option<Number> {
        let at_scales = maximum.scales().filter_map(|place| {
            self.number_at(judged, maximum, place, merged.get(place)?.as_ref()?)
        });
        at_scales.reduce(|before, next| if next.value > before.value { next } else { before })
    }

    /// The number of a measure at one scale of a maximum.
    fn number_at(
        &self,
        judged: &Respect,
        maximum: Maximum,
        place: usize,
        window: &CoarseWindow,
    ) -> Option<Number> {
        let column = judged.measure.column;
        let grid = self.grid.columns().get(column)?;
        let counted = window.columns.get(column)?;
        let what = judged.measure.what;
        let effect = grid.effect(what, counted, &grid.reference, judged.expected).unwrap_or(0);
        let rows = grid.rows(what, counted);
        Some(Number {
            maximum,
            column,
            measured: what,
            judged: judged.judged,
            value: judged.ratio(place, effect, rows),
            scale: self.scales.get(place).copied().unwrap_or(1),
            place,
            effect: share(effect),
            yardstick: if rows > 0 { judged.yardstick(place).of(rows as f64) } else { 0.0 },
            rows,
            own_largest: judged.own_largest.get(maximum.place()).copied().unwrap_or(0.0),
        })
    }

    /// The same measure over the fewest windows that are over their threshold, where a number is: what
    /// the last day shows alone is told of that day, not diluted by calmer ones before.
    pub(crate) fn shortest(&self, standing: &Standing, number: &Number) -> Option<Number> {
        let of_number = |judged: &&Respect| {
            judged.measure.column == number.column && judged.measure.what == number.measured
        };
        let judged = self.measures.iter().find(of_number)?;
        let of_place = |place: usize| {
            let drift = |maximum: &Maximum| {
                maximum.is_broken_input() == number.maximum.is_broken_input()
                    && maximum.scales().contains(&place)
            };
            let maximum = Maximum::ALL.into_iter().find(drift)?;
            let window = standing.merged.get(place)?.as_ref()?;
            let shorter = self.number_at(judged, maximum, place, window)?;
            (shorter.value > self.threshold(maximum)?).then_some(shorter)
        };
        (0..number.place).find_map(of_place)
    }

    /// Since when each of some numbers has been so, as the start of a window and whether it may be
    /// longer; in their order.
    pub fn since(
        &self,
        standing: &Standing,
        numbers: &[&Number],
        newest: &ScaleHistory,
    ) -> Vec<Option<(i64, bool)>> {
        let mut wanted: Vec<usize> = numbers.iter().map(|number| number.column).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let windows = newest.columns(&self.grid, &wanted);
        let one = |number: &&Number| {
            let place = wanted.binary_search(&number.column).ok()?;
            let columns: Vec<CoarseColumn> =
                windows.iter().filter_map(|(_, columns)| columns.get(place).cloned()).collect();
            let run = self.run(standing, number, &columns)?;
            let start_us = windows.get(run.windows.checked_sub(1)?)?.0;
            Some((start_us, run.at_the_latest))
        };
        numbers.iter().map(one).collect()
    }

    /// Whether a number is over by earlier windows alone: the newest is back.
    pub(crate) fn returned(&self, standing: &Standing, number: &Number) -> bool {
        let of_scale =
            |place: usize| standing.merged.get(place)?.as_ref()?.columns.get(number.column);
        let found = || {
            let (merged, newest) = (of_scale(number.place)?, of_scale(0)?);
            let grid = self.grid.columns().get(number.column)?;
            let expected = self.expected_new(number);
            Followed { grid, what: number.measured, expected }.returned(merged, newest)
        };
        // Where one of them has no value of the column, nothing says that it is back.
        number.scale > 1 && found().unwrap_or(false)
    }

    fn run(
        &self,
        standing: &Standing,
        number: &Number,
        columns: &[CoarseColumn],
    ) -> Option<DriftRun> {
        let merged = standing.merged.get(number.place)?.as_ref()?.columns.get(number.column)?;
        let expected = self.expected_new(number);
        let grid = self.grid.columns().get(number.column)?;
        Followed { grid, what: number.measured, expected }.run(merged, columns)
    }

    pub(crate) fn expected_new(&self, number: &Number) -> Tally {
        let of_number = |judged: &&Respect| {
            judged.measure.column == number.column && judged.measure.what == number.measured
        };
        self.measures.iter().find(of_number).map(|judged| judged.expected).unwrap_or_default()
    }
}
