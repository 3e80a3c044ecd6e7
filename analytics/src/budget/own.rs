//! How far the baseline's own windows are from the rest of it, without their neighbours: what the
//! baseline file carries for the budget.

use driftline_config::Subject;
use driftline_config::time::DAY_US;
use serde::{Deserialize, Serialize};

use super::coarse::{CoarseColumn, CoarseGrid};
use super::effect::{MILLION, Tally};
use super::measure::{Measure, Measured};
use crate::baseline::Baseline;

/// Autocorrelation below which windows are taken for strangers.
const ALIKE: f64 = 0.2;
/// One part in so many of the own windows is at most left out on either side of a window.
const LEFT_OUT: usize = 10;

/// The effects of a baseline's own windows, at each scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnEffects {
    /// How many windows are merged at each of the four scales.
    pub scales: [u32; 4],
    /// g: windows that were left out before and after each, since neighbours are alike.
    pub lag: u32,
    /// Rows without failure of each own window, in order of start.
    pub rows: Vec<u64>,
    /// Own windows before which a stretch was left out: no run of windows reaches over one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<u32>,
    pub measures: Vec<OwnMeasure>,
}

/// The effects of the own windows in one respect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnMeasure {
    /// `feature:NAME` or `prediction:NAME`.
    pub subject: Subject,
    pub measured: Measured,
    /// Rows that it was measured from in each own window; left out where they are all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<u64>>,
    /// Per scale, and there per run of own windows in order of start: the share that moved, in
    /// millionths. Shares have the first scale alone. Left out where nothing ever moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Vec<u32>>,
    /// New values to expect: so many in own windows left out, of so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<[u64; 2]>,
}

/// One column over the own windows.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnColumn {
    pub(crate) windows: Vec<CoarseColumn>,
    /// Where values of categories and of discrete numbers came.
    pub(crate) values: Vec<Occurrences>,
}

/// In which own windows one value came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occurrences {
    /// How often in the whole baseline.
    pub(crate) total: u64,
    /// Own window and how often there, ascending.
    pub(crate) windows: Vec<(usize, u64)>,
}

/// The scales for windows of this length: a week of days rather than eight.
pub fn scales(every_us: i64) -> [u32; 4] {
    if every_us == DAY_US { [1, 2, 4, 7] } else { [1, 2, 4, 8] }
}

impl OwnEffects {
    /// Measures the own windows of a baseline. `rows` are those without failure per own window.
    pub(crate) fn new(
        baseline: &Baseline,
        grid: &CoarseGrid,
        columns: &[OwnColumn],
        rows: Vec<u64>,
        every_us: i64,
    ) -> OwnEffects {
        let scales = scales(every_us);
        let measures = grid.measures(baseline);
        let runs: Vec<Runs> = columns
            .iter()
            .zip(grid.columns())
            .map(|(column, grid)| Runs::new(&column.windows, &grid.reference))
            .collect();
        let lag = lag(grid, &measures, &runs, rows.len());
        let own = measures.iter().filter_map(|measure| {
            let (runs, column) = (runs.get(measure.column)?, columns.get(measure.column)?);
            let found = Measuring { grid, measure: *measure, runs, lag };
            let mut own = match measure.what {
                Measured::NewValues => found.new_values(&column.values),
                what if what.is_broken_input() => found.effects(&scales[..1]),
                _ => found.effects(&scales),
            };
            own.subject = baseline.columns.get(measure.column)?.subject().clone();
            own.rows = own.rows.filter(|of_measure| *of_measure != rows);
            Some(own)
        });
        let measures = own.collect();
        OwnEffects { scales, lag: lag as u32, rows, breaks: Vec::new(), measures }
    }

    /// Whether a run of so many own windows that begins at `first` has none left out inside.
    pub(crate) fn is_whole(&self, first: usize, windows: u32) -> bool {
        let inside = first + 1..first + windows as usize;
        !self.breaks.iter().any(|&place| inside.contains(&(place as usize)))
    }

    /// The effects in one respect.
    pub(crate) fn of(&self, subject: &Subject, what: Measured) -> Option<&OwnMeasure> {
        self.measures.iter().find(|own| own.measured == what && own.subject == *subject)
    }

    /// What is wrong with a record that was read.
    pub(crate) fn problem(&self) -> Option<String> {
        let own = self.rows.len();
        if self.scales.first() != Some(&1) || !self.scales.is_sorted_by(|a, b| a < b) {
            return Some("own_effects.scales must begin with 1 and ascend".to_owned());
        }
        let of_own = |place: &u32| (1..own as u32).contains(place);
        if !self.breaks.iter().all(of_own) {
            return Some(format!("own_effects.breaks must lie between 1 and {own}"));
        }
        let place = |measure: &OwnMeasure, problem: &str| {
            format!(
                "own_effects of {} {}: {problem}",
                measure.subject,
                String::from(measure.measured)
            )
        };
        for measure in &self.measures {
            if measure.rows.as_ref().is_some_and(|rows| rows.len() != own) {
                return Some(place(measure, &format!("rows must be {own}, one per own window")));
            }
            for (effects, &scale) in measure.effects.iter().zip(&self.scales) {
                if effects.len() != (own + 1).saturating_sub(scale as usize) {
                    return Some(place(measure, "there must be one effect per run of own windows"));
                }
                if effects.iter().any(|&effect| effect > MILLION) {
                    return Some(place(measure, "an effect is at most 1000000"));
                }
            }
        }
        None
    }
}

/// One column over the own windows, as sums: any run of them takes one subtraction.
struct Runs {
    /// The first windows together: none, one, two and so on.
    up_to: Vec<CoarseColumn>,
    reference: CoarseColumn,
}

impl Runs {
    fn new(windows: &[CoarseColumn], reference: &CoarseColumn) -> Runs {
        let nothing = reference.less(reference);
        let mut up_to = Vec::with_capacity(windows.len() + 1);
        up_to.push(nothing.clone());
        let mut sum = nothing;
        for window in windows {
            sum.add(window);
            up_to.push(sum.clone());
        }
        Runs { up_to, reference: reference.clone() }
    }

    fn windows(&self) -> usize {
        self.up_to.len() - 1
    }

    fn run(&self, windows: std::ops::Range<usize>) -> CoarseColumn {
        let (from, to) = (self.up_to.get(windows.start), self.up_to.get(windows.end));
        from.zip(to).map(|(from, to)| to.less(from)).unwrap_or_default()
    }

    /// The baseline without these windows and `lag` more on either side.
    fn without(&self, windows: std::ops::Range<usize>, lag: usize) -> CoarseColumn {
        let from = windows.start.saturating_sub(lag);
        let to = (windows.end + lag).min(self.windows());
        self.reference.less(&self.run(from..to))
    }
}

struct Measuring<'a> {
    grid: &'a CoarseGrid,
    measure: Measure,
    runs: &'a Runs,
    lag: usize,
}

impl Measuring<'_> {
    fn effects(&self, scales: &[u32]) -> OwnMeasure {
        let effects = scales.iter().map(|&scale| {
            let runs = (self.runs.windows() + 1).saturating_sub(scale as usize);
            (0..runs).map(|start| self.effect(start..start + scale as usize)).collect()
        });
        self.measured(effects.collect(), None)
    }

    /// The effect of a run of windows; none where they or the rest have nothing.
    fn effect(&self, windows: std::ops::Range<usize>) -> u32 {
        let Some(grid) = self.grid.columns().get(self.measure.column) else { return 0 };
        let rest = self.runs.without(windows.clone(), self.lag);
        let run = self.runs.run(windows);
        grid.effect(self.measure.what, &run, &rest, Tally::default()).unwrap_or(0)
    }

    /// New values of each own window left out with its neighbours, beyond those that the others had.
    fn new_values(&self, values: &[Occurrences]) -> OwnMeasure {
        let windows = self.runs.windows();
        let near =
            |window: usize| window.saturating_sub(self.lag)..(window + self.lag + 1).min(windows);
        let mut new = vec![0_u64; windows];
        for value in values {
            for &(window, count) in &value.windows {
                let near = near(window);
                let nearby = value.windows.iter().filter(|(other, _)| near.contains(other));
                if nearby.map(|&(_, count)| count).sum::<u64>() == value.total {
                    new.get_mut(window).into_iter().for_each(|new| *new += count);
                }
            }
        }
        let rows: Vec<u64> = (0..windows).map(|window| self.rows(window)).collect();
        let counted = |windows: std::ops::Range<usize>| Tally {
            count: new.get(windows.clone()).unwrap_or_default().iter().sum(),
            of: rows.get(windows).unwrap_or_default().iter().sum(),
        };
        let all = counted(0..windows);
        let effects = (0..windows).map(|window| {
            let near = counted(near(window));
            let others = Tally { count: all.count - near.count, of: all.of - near.of };
            super::effect::excess(counted(window..window + 1), others).unwrap_or(0)
        });
        self.measured(vec![effects.collect()], Some([all.count, all.of]))
    }

    fn rows(&self, window: usize) -> u64 {
        let run = self.runs.run(window..window + 1);
        let grid = self.grid.columns().get(self.measure.column);
        grid.map_or(0, |grid| grid.rows(self.measure.what, &run))
    }

    fn measured(&self, effects: Vec<Vec<u32>>, expected: Option<[u64; 2]>) -> OwnMeasure {
        let moved = effects.iter().flatten().any(|&effect| effect > 0);
        OwnMeasure {
            subject: Subject::from(""),
            measured: self.measure.what,
            rows: Some((0..self.runs.windows()).map(|window| self.rows(window)).collect()),
            effects: if moved { effects } else { Vec::new() },
            expected,
        }
    }
}

/// g: the first lag at which the effects of single windows are no longer alike, by the median of
/// their autocorrelation over the columns; at most a tenth of the windows.
fn lag(grid: &CoarseGrid, measures: &[Measure], runs: &[Runs], windows: usize) -> usize {
    let most = (windows / LEFT_OUT).max(1);
    let distributions = measures.iter().filter(|measure| measure.what == Measured::Distribution);
    let series: Vec<Vec<f64>> = distributions
        .filter_map(|measure| {
            let found =
                Measuring { grid, measure: *measure, runs: runs.get(measure.column)?, lag: 0 };
            let effects = (0..windows).map(|start| f64::from(found.effect(start..start + 1)));
            Some(effects.collect())
        })
        .collect();
    (1..most)
        .find(|&lag| {
            let mut correlations: Vec<f64> =
                series.iter().map(|effects| autocorrelation(effects, lag)).collect();
            median(&mut correlations).unwrap_or(0.0) < ALIKE
        })
        .unwrap_or(most)
}

/// The mean product of deviations `lag` apart, over the mean square; 0 where nothing varies.
pub(super) fn autocorrelation(series: &[f64], lag: usize) -> f64 {
    let mean = |sum: f64, of: usize| if of == 0 { 0.0 } else { sum / of as f64 };
    let centre = mean(series.iter().sum(), series.len());
    let square = mean(series.iter().map(|x| (x - centre) * (x - centre)).sum(), series.len());
    let later = series.get(lag..).unwrap_or_default();
    let products = series.iter().zip(later).map(|(x, y)| (x - centre) * (y - centre));
    if square > 0.0 { mean(products.sum(), later.len()) / square } else { 0.0 }
}

/// The middle of some numbers, or the mean of the two.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}
