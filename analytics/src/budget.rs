//! Alarms with a stated number of false ones: how far a window is from its baseline, measured by how
//! far the baseline's own windows are from the rest of it (RULES §4).
//!
//! ```text
//! baseline's own windows ─► own effects ─► yardsticks ─► own maxima ─► ranks dealt within the budget
//! window ─► coarse ─► newest 1, 2, 4, 8 merged ─► effects ÷ yardsticks ─► maxima ─► over the k-th own?
//! ```

mod coarse;
mod effect;
mod extremes;
mod measure;
mod own;
mod part;
mod ranks;
mod scales;
mod sensitivity;
mod since;
mod standing;
#[cfg(test)]
mod tests;
mod trend;

use driftline_config::{Model, Tolerance};

pub use coarse::{CELLS, CoarseColumn, CoarseGrid, CoarseWindow};
pub(crate) use effect::{MILLION, Tally};
pub use extremes::ExtremeWindow;
pub(crate) use measure::Measure;
pub use measure::Measured;
use measure::share_noise;
pub(crate) use own::{Occurrences, OwnColumn};
pub use own::{OwnEffects, OwnMeasure, scales};
pub use part::{MovedPart, PartOf};
pub use ranks::Maximum;
pub use scales::{KEPT, KeptWindow, ScaleHistory};
pub use sensitivity::{Sensitivity, Smallest, UnlikeThird};
pub use standing::{Number, Peak, Standing};
pub use trend::Trend;

use crate::baseline::{Baseline, BaselineColumn, BaselineWindows};
use own::median;
use ranks::Offer;

/// By what the windows of one model are judged: made of its baseline and its settings.
#[derive(Debug, Clone)]
pub struct Budget {
    grid: CoarseGrid,
    scales: [u32; 4],
    measures: Vec<Respect>,
    /// By place.
    maxima: Vec<Dealt>,
    /// Windows of a period.
    windows: f64,
    at_most: f64,
    /// Own windows of the baseline, and how many neighbours on either side were left out.
    own: usize,
    lag: u32,
    expected: f64,
    bound: f64,
}

/// One respect in which a column is judged.
#[derive(Debug, Clone)]
struct Respect {
    measure: Measure,
    /// Whether it counts in the maxima.
    judged: bool,
    /// ν.
    noise: f64,
    /// What a share is in the baseline.
    share: Tally,
    /// Effects below it are none.
    least: u32,
    expected: Tally,
    yardsticks: Vec<Yardstick>,
    /// The largest number of an own window, by place of the maximum.
    own_largest: [f64; 3],
}

/// What one rank is dealt from.
#[derive(Debug, Clone)]
struct Dealt {
    /// The largest numbers of the own windows, largest first.
    own: Vec<f64>,
    /// k: how many own windows may differ as much; 0 where it cannot be afforded.
    rank: usize,
}

/// How large an effect of so many rows is where nothing changed.
#[derive(Debug, Clone, Copy)]
struct Yardstick {
    /// The square of what windows of any size differ by.
    wander: f64,
    noise: f64,
    /// ñ: the median rows of the own windows.
    rows: f64,
}

impl Yardstick {
    /// y(n)² = max(0, m² − ν²/ñ) + ν²/n of the median own effect m and its median rows ñ.
    fn new(effects: &[u32], rows: &[u64], noise: f64) -> Yardstick {
        let with_rows = || effects.iter().zip(rows).filter(|&(_, &rows)| rows > 0);
        let mut effects: Vec<f64> = with_rows().map(|(&effect, _)| share(effect)).collect();
        let mut rows: Vec<f64> = with_rows().map(|(_, &rows)| rows as f64).collect();
        let (middle, rows) = (median(&mut effects), median(&mut rows));
        let wander = middle
            .zip(rows)
            .map_or(0.0, |(middle, rows)| (middle * middle - noise * noise / rows).max(0.0));
        Yardstick { wander, noise, rows: rows.unwrap_or(f64::INFINITY) }
    }

    fn of(self, rows: f64) -> f64 {
        libm::sqrt(self.wander + self.noise * self.noise / rows)
    }
}

/// An effect in millionths as a share.
fn share(effect: u32) -> f64 {
    f64::from(effect) / f64::from(MILLION)
}

impl Budget {
    /// The ranks of a model that is compared with this baseline. Without own windows in it, or of
    /// windows of another length, no rank is dealt.
    pub fn new(model: &Model, baseline: &Baseline) -> Budget {
        let grid = CoarseGrid::new(baseline);
        let every_us = model.window.every_us;
        let own = baseline.own_effects.as_ref().filter(|_| {
            let of_model = |windows: &BaselineWindows| windows.grid() == model.window.grid();
            baseline.windows.as_ref().is_some_and(of_model)
        });
        let measures: Vec<Measure> = grid.measures(baseline);
        let judged: Vec<Respect> = measures
            .iter()
            .filter_map(|measure| {
                let column = baseline.columns.get(measure.column)?;
                Some(Respect::new(model, column, &grid, *measure, own))
            })
            .collect();
        let mut budget = Budget {
            grid,
            scales: scales(every_us),
            measures: judged,
            maxima: Vec::new(),
            windows: model.false_alarms.per_us as f64 / every_us as f64,
            at_most: model.false_alarms.at_most,
            own: own.map_or(0, |own| own.rows.len()),
            lag: own.map_or(0, |own| own.lag),
            expected: 0.0,
            bound: 0.0,
        };
        let maxima = Maximum::ALL.map(|maximum| budget.own_maxima(maximum, baseline, own));
        budget.maxima = maxima.map(|own| Dealt { own, rank: 0 }).into();
        // Tolerances that the operator set are what decides.
        if model.tolerance == Tolerance::Auto {
            budget.deal();
        }
        budget
    }

    /// The largest numbers of the own windows for which all scales of the maximum exist, largest
    /// first; sets what each measure's largest is.
    fn own_maxima(
        &mut self,
        maximum: Maximum,
        baseline: &Baseline,
        own: Option<&OwnEffects>,
    ) -> Vec<f64> {
        let Some(own) = own else { return Vec::new() };
        let scales = own.scales.get(maximum.scales()).unwrap_or_default();
        let longest = scales.last().map_or(1, |&scale| scale as usize);
        let count = (own.rows.len() + 1).saturating_sub(longest);
        let mut largest = vec![0.0_f64; count];
        let mut any = false;
        for judged in &mut self.measures {
            let what = judged.measure.what;
            let column = baseline.columns.get(judged.measure.column);
            if what.is_broken_input() != maximum.is_broken_input() {
                continue;
            }
            let Some(found) = column.and_then(|column| own.of(column.subject(), what)) else {
                continue;
            };
            any |= judged.judged;
            let rows = found.rows.as_ref().unwrap_or(&own.rows);
            let mut own_largest = 0.0_f64;
            for (place, &scale) in maximum.scales().zip(scales) {
                let Some(effects) = found.effects.get(place) else { continue };
                let runs = rows.windows(scale as usize).map(|run| run.iter().sum::<u64>());
                // A run that ends in the window; those of before have no longer one beside them.
                let skipped = longest - scale as usize;
                let runs = runs.zip(effects).skip(skipped);
                for ((rows, &effect), largest) in runs.zip(&mut largest) {
                    let ratio = judged.own_ratio(place, effect, rows);
                    own_largest = own_largest.max(ratio);
                    if judged.judged {
                        *largest = largest.max(ratio);
                    }
                }
            }
            if let Some(of_measure) = judged.own_largest.get_mut(maximum.place()) {
                *of_measure = own_largest;
            }
        }
        if !any {
            return Vec::new();
        }
        let whole =
            |(first, value): (usize, f64)| own.is_whole(first, longest as u32).then_some(value);
        let mut largest: Vec<f64> = largest.into_iter().enumerate().filter_map(whole).collect();
        largest.sort_unstable_by(|one, other| other.total_cmp(one));
        largest
    }

    fn deal(&mut self) {
        let offers: Vec<Offer> =
            self.maxima.iter().map(|ranked| Offer { own: ranked.own.len() }).collect();
        let ranks = ranks::deal(&offers, self.windows, self.at_most);
        self.expected = ranks::expected(&offers, &ranks, self.windows);
        self.bound = ranks::bound(&offers, &ranks, self.windows);
        for (ranked, rank) in self.maxima.iter_mut().zip(ranks) {
            ranked.rank = rank;
        }
    }

    /// The cells by which windows are kept.
    pub fn grid(&self) -> &CoarseGrid {
        &self.grid
    }

    /// How many windows are merged at each scale.
    pub fn scales(&self) -> [u32; 4] {
        self.scales
    }

    /// Own windows of the baseline, of the length of the model's windows.
    pub fn own_windows(&self) -> usize {
        self.own
    }

    /// Windows left out before and after each own window; over 1 where neighbours are alike.
    pub fn lag(&self) -> u32 {
        self.lag
    }

    /// Windows of a period.
    pub fn windows(&self) -> f64 {
        self.windows
    }

    /// False openings in a period that the operator accepts.
    pub fn at_most(&self) -> f64 {
        self.at_most
    }

    /// False openings to expect in a period, whatever depends on what.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// What their expectation stays under for nine baselines in ten, where own windows are
    /// independent.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// k of a maximum: it pages above its k-th largest own value. 0 where no rank was dealt.
    pub fn rank(&self, maximum: Maximum) -> usize {
        self.maxima.get(maximum.place()).map_or(0, |ranked| ranked.rank)
    }

    /// L of a maximum: own windows for which all its scales exist.
    pub fn own_of(&self, maximum: Maximum) -> usize {
        self.maxima.get(maximum.place()).map_or(0, |ranked| ranked.own.len())
    }

    /// What a maximum pages above.
    pub fn threshold(&self, maximum: Maximum) -> Option<f64> {
        let ranked = self.maxima.get(maximum.place())?;
        ranked.own.get(ranked.rank.checked_sub(1)?).copied()
    }

    /// Whether distributions are judged by ranks rather than by tolerances.
    pub fn ranks_drift(&self) -> bool {
        self.rank(Maximum::LongDrift) > 0 || self.rank(Maximum::ShortDrift) > 0
    }

    /// Whether missing, wrong and new values are.
    pub fn ranks_broken_input(&self) -> bool {
        self.rank(Maximum::BrokenInput) > 0
    }

    /// Whether anything is judged by ranks.
    pub fn ranks_anything(&self) -> bool {
        self.ranks_drift() || self.ranks_broken_input()
    }

    /// Own windows from which on one false opening could be promised, by broken input alone.
    pub fn own_windows_needed(&self) -> usize {
        ranks::windows_needed(self.windows, self.at_most)
    }
}

impl Respect {
    fn new(
        model: &Model,
        column: &BaselineColumn,
        grid: &CoarseGrid,
        measure: Measure,
        own: Option<&OwnEffects>,
    ) -> Respect {
        let what = measure.what;
        let found = own.and_then(|own| own.of(column.subject(), what));
        let [count, of] = found.and_then(|found| found.expected).unwrap_or([0, column.n()]);
        let expected = Tally { count, of };
        let feature = model.features.get(column.subject().name());
        let feature = feature.filter(|_| !column.subject().is_prediction());
        let grid = grid.columns().get(measure.column);
        let noise = grid.map_or(0.0, |grid| grid.noise(what, expected));
        let yardsticks = found.zip(own).map(|(found, own)| {
            let rows = found.rows.as_ref().unwrap_or(&own.rows);
            let at_scale = |(place, &scale): (usize, &u32)| {
                let whole = |first: usize| own.is_whole(first, scale);
                // A yardstick leaves out what has no rows.
                let runs: Vec<u64> = (0..)
                    .zip(rows.windows(scale as usize))
                    .map(|(first, run)| if whole(first) { run.iter().sum() } else { 0 })
                    .collect();
                let nothing = vec![0; runs.len()];
                Yardstick::new(found.effects.get(place).unwrap_or(&nothing), &runs, noise)
            };
            own.scales.iter().enumerate().map(at_scale).collect()
        });
        let least = match (what, feature.and_then(|feature| feature.tolerance)) {
            (Measured::Distribution, Some(tolerance)) => tolerance,
            (what, _) if what.is_broken_input() => model.min_effect.share,
            // Of a class under that share, as much again.
            (Measured::Class(_), _) => grid.map_or(0.0, |grid| {
                let Tally { count, of } = grid.counted(what, &grid.reference);
                model.min_effect.share.min((count as f64 + 1.0) / (of as f64 + 2.0))
            }),
            _ => model.min_effect.distribution,
        };
        Respect {
            measure,
            judged: feature.is_none_or(|feature| feature.judge),
            noise,
            share: grid.map_or(expected, |grid| grid.share(what, expected)),
            least: (least * f64::from(MILLION)).round() as u32,
            expected,
            yardsticks: yardsticks.unwrap_or_default(),
            own_largest: [0.0; 3],
        }
    }

    /// That at a scale, by place.
    fn yardstick(&self, scale: usize) -> Yardstick {
        let without = Yardstick { wander: 0.0, noise: self.noise, rows: f64::INFINITY };
        self.yardsticks.get(scale).copied().unwrap_or(without)
    }

    /// The number of an own window. Of distributions the least that counts is left aside: with it long
    /// scales would have own values of zero, and half of the traffic, which differs by more, would page.
    /// Of broken input what the window itself has too much is no part of what is expected of it, as it
    /// is no part of what is expected of a live one.
    fn own_ratio(&self, scale: usize, effect: u32, rows: u64) -> f64 {
        let what = self.measure.what;
        if rows == 0 || what.is_share() && !self.counts(scale, effect, rows) {
            return 0.0;
        }
        let mut yardstick = self.yardstick(scale);
        if what.is_broken_input() {
            let Tally { count, of } = self.share;
            let others = (count as f64 - share(effect) * rows as f64).max(0.0);
            yardstick.noise = share_noise(others, of as f64);
        }
        share(effect) / yardstick.of(rows as f64)
    }

    /// An effect over its yardstick; 0 where it is under the least that counts.
    fn ratio(&self, scale: usize, effect: u32, rows: u64) -> f64 {
        let counts = self.counts(scale, effect, rows);
        if counts { share(effect) / self.yardstick(scale).of(rows as f64) } else { 0.0 }
    }

    /// Whether an effect is one. A share of fewer rows than own windows have must be larger by as much
    /// as its yardstick is: else chance would pass with few rows what it does not pass with many.
    fn counts(&self, scale: usize, effect: u32, rows: u64) -> bool {
        if effect == 0 || effect < self.least || rows == 0 {
            return false;
        }
        let yardstick = self.yardstick(scale);
        let usual = yardstick.of(yardstick.rows);
        let few = self.measure.what.is_share() && usual > 0.0;
        !few || share(effect) * usual >= share(self.least) * yardstick.of(rows as f64)
    }
}
