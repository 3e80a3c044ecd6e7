//! Since when a column has been away from its baseline: the start of the run of windows in which the
//! sum of what exceeds half of the difference is largest.

use super::coarse::{CellRule, CoarseColumn, ColumnGrid};
use super::effect::{Tally, kolmogorov_smirnov};
use super::measure::Measured;

/// How many times its older half the newer half of a run must exceed to be called a ramp.
const RAMP: f64 = 1.5;
/// Windows from which on a run has halves.
const HALVES: usize = 4;
/// Of what several windows differ by together, this part is the least that their newest still does.
const RETURNED: f64 = 3.0;
/// Windows before a run that show a ramp where they are away by a third of it.
const BEFORE: usize = 3;

/// Since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DriftRun {
    /// Windows back, the newest included.
    pub(crate) windows: usize,
    /// Whether it may have begun before: it grew all the time, or reaches as far back as is known.
    pub(crate) at_the_latest: bool,
}

/// Where a run of windows is looked for: which share of the requests is followed.
pub(crate) struct Followed<'a> {
    pub(crate) grid: &'a ColumnGrid,
    pub(crate) what: Measured,
    pub(crate) expected: Tally,
}

impl Followed<'_> {
    /// The run in which `windows`, newest first, are away from the reference where `merged`, the
    /// newest of them together, is. `None` where that does not differ.
    pub(crate) fn run(&self, merged: &CoarseColumn, windows: &[CoarseColumn]) -> Option<DriftRun> {
        let part = self.part(merged)?;
        let share = |column: &CoarseColumn| self.share(&part, column);
        let reference = self.reference(&part)?;
        let now = share(merged)? - reference;
        let (half, sign) = (now.abs() / 2.0, now.signum());
        let away: Vec<Option<f64>> =
            windows.iter().map(|window| Some(sign * (share(window)? - reference))).collect();
        let (mut sum, mut most, mut run) = (0.0, f64::NEG_INFINITY, 0);
        for (index, away) in away.iter().enumerate() {
            // A window without values says nothing.
            sum += away.map_or(0.0, |away| away - half);
            if sum > most {
                (most, run) = (sum, index + 1);
            }
        }
        let in_run: Vec<f64> = away.iter().take(run).flatten().copied().collect();
        let before: Vec<f64> = away.iter().skip(run).take(BEFORE).flatten().copied().collect();
        let led_up_to = !before.is_empty() && mean(&before) > now.abs() / 3.0;
        let at_the_latest = run == windows.len() || led_up_to || grew(&in_run);
        Some(DriftRun { windows: run, at_the_latest })
    }

    /// Whether the newest window alone is back, while it is away together with those before it: where
    /// they differ, it does by less than a third of that.
    pub(crate) fn returned(&self, merged: &CoarseColumn, newest: &CoarseColumn) -> Option<bool> {
        let part = self.part(merged)?;
        let reference = self.reference(&part)?;
        let away = self.share(&part, merged)? - reference;
        let now = self.share(&part, newest)? - reference;
        Some(now * away.signum() < away.abs() / RETURNED)
    }

    fn reference(&self, part: &[bool]) -> Option<f64> {
        match self.what {
            Measured::NewValues => share_of(self.expected),
            _ => self.share(part, &self.grid.reference),
        }
    }

    /// Which cells have more than the reference, of distributions.
    fn part(&self, merged: &CoarseColumn) -> Option<Vec<bool>> {
        if self.what.is_share() {
            return Some(Vec::new());
        }
        let window = self.grid.cells(self.what, merged);
        let reference = self.grid.cells(self.what, &self.grid.reference);
        match &self.grid.shape {
            CellRule::Numeric { .. } => {
                let (_, cut) = kolmogorov_smirnov(window, reference)?;
                Some((0..window.len()).map(|cell| cell >= cut.cells).collect())
            }
            _ => {
                let (of_window, of_reference) = (window.iter().sum(), reference.iter().sum());
                let more = |(&count, &known): (&u64, &u64)| {
                    times(count, of_reference) > times(known, of_window)
                };
                Some(window.iter().zip(reference).map(more).collect())
            }
        }
    }

    fn share(&self, part: &[bool], column: &CoarseColumn) -> Option<f64> {
        if self.what.is_share() {
            return share_of(self.grid.counted(self.what, column));
        }
        let cells = self.grid.cells(self.what, column);
        let counted = cells.iter().zip(part).filter(|(_, part)| **part).map(|(count, _)| count);
        share_of(Tally { count: counted.sum(), of: cells.iter().sum() })
    }
}

fn times(one: u64, other: u64) -> u128 {
    u128::from(one) * u128::from(other)
}

fn share_of(counted: Tally) -> Option<f64> {
    (counted.of > 0).then(|| counted.count as f64 / counted.of as f64)
}

fn mean(away: &[f64]) -> f64 {
    away.iter().sum::<f64>() / away.len() as f64
}

/// Whether the newer half of a run, which comes first, lies far beyond the older.
fn grew(run: &[f64]) -> bool {
    let (newer, older) = run.split_at(run.len() / 2);
    run.len() >= HALVES && mean(newer) > RAMP * mean(older)
}
