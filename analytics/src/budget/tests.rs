//! Tests of the budget over windows of given rows: what counts, what pages, since when.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_capture::CaptureBatch;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{Limits, Model, WindowGrid, WindowId};

use super::*;
use crate::baseline::build::{BuildOptions, Builder, Built, CutPoints, OwnWindowRule};
use crate::judgement::{History, JudgeInput, fixture, judge_by_ranks};
use crate::layout::{Baselines, Layout};
use crate::report::{Incomplete, Report, WindowMeta};
use crate::window::WindowState;
use crate::window::fixtures::{Row, batch, schema};

mod found;
mod judged;
mod oracle;
mod trend;

/// Numbers that look random and are the same everywhere: Lehmer's generator of 1951 with the
/// multiplier of Park and Miller.
pub(super) struct Lehmer(u64);

impl Lehmer {
    pub(super) fn new(seed: u64) -> Lehmer {
        Lehmer(seed * 7919 % 2_147_483_646 + 1)
    }

    /// The next of `0..below`.
    pub(super) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        self.0 % below
    }
}

/// The rows of one day.
pub(super) type Day = Vec<Row>;

/// A baseline of days, its budget, and the live days that followed.
pub(super) struct Monitored {
    pub(super) built: Built,
    pub(super) budget: Budget,
    model: Model,
    baselines: Baselines,
    layout: Layout,
    newest: ScaleHistory,
    history: History,
    day: i64,
}

pub(super) fn start_us(day: i64) -> i64 {
    ALIGNMENT_US + day * DAY_US
}

fn at_day(day: i64, rows: Day) -> Vec<Row> {
    // Spread over the day, so that the last of them is covered whole.
    let step_us = DAY_US / rows.len().max(1) as i64;
    (0..).zip(rows).map(|(i, row)| Row { time_us: start_us(day) + i * step_us, ..row }).collect()
}

impl Monitored {
    pub(super) fn new(days: &[Day], set: impl Fn(&mut Model)) -> Monitored {
        let rows: Vec<Row> =
            (0..).zip(days).flat_map(|(day, rows)| at_day(day, rows.clone())).collect();
        let built = build(&rows);
        let mut model = fixture::model();
        model.tolerance = driftline_config::Tolerance::Auto;
        set(&mut model);
        let baseline = Arc::new(built.baseline.clone());
        let budget = Budget::new(&model, &baseline);
        let layout = Layout::of_baseline(&baseline, &Limits::default());
        let newest = ScaleHistory::new(&baseline.sha256);
        let baselines = Baselines { default: baseline, by_version: BTreeMap::new() };
        let (history, day) = (History::default(), days.len() as i64);
        Monitored { built, budget, model, baselines, layout, newest, history, day }
    }

    /// The report on the next day; an incomplete one is not kept.
    pub(super) fn judge(&mut self, rows: Day, incomplete: &[Incomplete]) -> Report {
        let rows = at_day(self.day, rows);
        let mut state = WindowState::default();
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        state.absorb(&self.layout, &batch(&rows), &all);
        let times_us = start_us(self.day)..start_us(self.day + 1);
        let input = JudgeInput {
            model: &self.model,
            config_sha256: "c0ffee",
            layout: &self.layout,
            baselines: &self.baselines,
            state: &state,
            window: WindowMeta {
                incomplete: incomplete.to_vec(),
                ..WindowMeta::new(WindowId::of_comparison("m"), times_us)
            },
            history: &self.history,
        };
        let judged = judge_by_ranks(&input, &self.budget, &self.newest);
        self.history = judged.history;
        self.newest = judged.newest;
        self.day += 1;
        judged.report
    }

    pub(super) fn coarse(&self, rows: Day) -> CoarseWindow {
        let rows = at_day(self.day, rows);
        let mut state = WindowState::default();
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        state.absorb(&self.layout, &batch(&rows), &all);
        self.budget.grid().coarse(&self.layout, &state)
    }

    /// Where the next day stands.
    pub(super) fn next(&mut self, rows: Day) -> Standing {
        let window = self.coarse(rows);
        self.newest.push(start_us(self.day), &window);
        self.day += 1;
        self.budget.standing(&window, &self.newest, true, &|_| false)
    }

    /// The day since which the leading column of a maximum is away, and whether at the latest.
    pub(super) fn since(&self, standing: &Standing, maximum: Maximum) -> Option<(i64, bool)> {
        let extreme = standing.extremes.iter().find(|extreme| extreme.maximum == maximum)?;
        let number = standing.numbers.get(extreme.leading?)?;
        let found = self.budget.since(standing, &[number], &self.newest);
        let (since_us, at_the_latest) = found.into_iter().next()??;
        Some(((since_us - ALIGNMENT_US) / DAY_US, at_the_latest))
    }

    /// How many windows the run of the leading column of a maximum has.
    pub(super) fn windows_back(&self, standing: &Standing, maximum: Maximum) -> Option<u64> {
        let (since, _) = self.since(standing, maximum)?;
        Some((self.day - since) as u64)
    }

    pub(super) fn newest(&self) -> &ScaleHistory {
        &self.newest
    }
}

pub(super) fn build(rows: &[Row]) -> Built {
    let options = BuildOptions {
        cut_points: CutPoints::default(),
        own_windows: Some(OwnWindowRule { grid: WindowGrid::every(DAY_US), at_least: 1 }),
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let rows: CaptureBatch = batch(rows);
    let mut builder = Builder::new(schema(), options).expect("a valid schema");
    builder.observe(&rows);
    let mut counting = builder.choose();
    counting.count(&rows);
    counting.finish("rows of a test").expect("rows")
}

/// Whether any maximum pages, and of which column and respect the farthest leads.
pub(super) fn paged(standing: &Standing) -> Option<(Maximum, usize, Measured)> {
    let pages = standing.extremes.iter().filter(|extreme| extreme.pages());
    let farthest = pages.reduce(|most, next| {
        let over = |extreme: &Peak| extreme.value / extreme.threshold.max(1e-9);
        if over(next) > over(most) { next } else { most }
    })?;
    let number = standing.numbers.get(farthest.leading?)?;
    Some((farthest.maximum, number.column, number.measured))
}
