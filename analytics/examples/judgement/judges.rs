//! One baseline of a stream, and everything that judges the windows after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::baseline::Baseline;
use driftline_analytics::baseline::build::{
    BuildOptions, Builder, Built, CutPoints, OwnWindowRule,
};
use driftline_analytics::budget::{Budget, CoarseWindow, ScaleHistory};
use driftline_analytics::judgement::{History, JudgeInput, judge, judge_by_ranks};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Finding, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;
use driftline_capture::columns::CaptureSchema;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{Level, Limits, MinEffect, Model, WindowGrid, WindowId};

use crate::Outcome;
use crate::incidents::Incidents;
use crate::peers::{self, Peers};
use crate::settings::model;
use crate::stream::{Drawn, NOTHING, Source, Stream, subject};

/// All rules: ours by ranks, ours by tolerances, and those of others.
pub(crate) const RULES: usize = 2 + peers::NAMES.len();

/// What they are called.
pub(crate) fn names() -> Vec<&'static str> {
    let ours = ["**Driftline**", "Driftline without ranks (2 of 3)"];
    ours.into_iter().chain(peers::NAMES).collect()
}

/// One baseline with what each rule needs to know of it.
#[derive(Debug)]
pub(crate) struct Judges {
    model: Model,
    baselines: Baselines,
    layout: Layout,
    pub(crate) budget: Budget,
    peers: Peers,
}

/// Where the rules are in a stream.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    newest: ScaleHistory,
    by_ranks: History,
    by_tolerances: History,
    window: usize,
    pub(crate) incidents: [Incidents; RULES],
}

impl Judges {
    /// Draws the baseline from the source.
    pub(crate) fn new(stream: &Stream, source: &mut Source) -> Outcome<Judges> {
        let days = (0..stream.own).map(|_| source.next(&NOTHING));
        let days: Vec<Drawn> = days.collect::<Outcome<_>>()?;
        let batches: Vec<&CaptureBatch> = days.iter().map(|day| &day.batch).collect();
        let baseline = Arc::new(build(stream.schema(), &batches, true)?.baseline);
        Judges::of(baseline, Peers::new(&days), stream.least)
    }

    /// Those of a baseline.
    pub(crate) fn of(baseline: Arc<Baseline>, peers: Peers, least: MinEffect) -> Outcome<Judges> {
        let mut model = model();
        model.min_effect = least;
        let budget = Budget::new(&model, &baseline);
        let baselines = Baselines { default: baseline, by_version: BTreeMap::new() };
        let layout = Layout::new(&model, &baselines, &Limits::default())?;
        Ok(Judges { model, baselines, layout, budget, peers })
    }

    /// Nothing judged yet.
    pub(crate) fn begin(&self) -> Progress {
        Progress {
            newest: ScaleHistory::new(&self.baselines.default.sha256),
            by_ranks: History::default(),
            by_tolerances: History::default(),
            window: 0,
            incidents: Default::default(),
        }
    }

    /// Counts a window.
    pub(crate) fn counted(&self, batch: &CaptureBatch) -> WindowState {
        let mut state = WindowState::default();
        state.absorb_all(&self.layout, std::slice::from_ref(batch));
        state
    }

    /// Adds what another window counted.
    pub(crate) fn merge(&self, state: &mut WindowState, other: &WindowState) {
        state.merge(&self.layout, other);
    }

    /// The coarse cells of a window.
    pub(crate) fn coarse(&self, state: &WindowState) -> CoarseWindow {
        self.budget.grid().coarse(&self.layout, state)
    }

    /// Of the baseline.
    pub(crate) fn sha256(&self) -> &str {
        &self.baselines.default.sha256
    }

    /// What a window of these counts is judged by.
    pub(crate) fn input<'a>(
        &'a self,
        state: &'a WindowState,
        window: usize,
        history: &'a History,
    ) -> JudgeInput<'a> {
        let start_us = ALIGNMENT_US + window as i64 * DAY_US;
        JudgeInput {
            model: &self.model,
            config_sha256: "",
            layout: &self.layout,
            baselines: &self.baselines,
            state,
            window: WindowMeta::new(WindowId::of_comparison(""), start_us..start_us + DAY_US),
            history,
        }
    }

    /// Judges the next window by all rules; by which of them an incident is open or opens in which this
    /// column is at alarm.
    pub(crate) fn see(
        &self,
        progress: &mut Progress,
        day: &Drawn,
        watched: usize,
    ) -> [bool; RULES] {
        let state = self.counted(&day.batch);
        let input = self.input(&state, progress.window, &progress.by_ranks);
        let ranked = judge_by_ranks(&input, &self.budget, &progress.newest);
        let input = self.input(&state, progress.window, &progress.by_tolerances);
        let (report, by_tolerances) = judge(&input);
        let peers = self.peers.alarms(day);
        let pages = ranked.report.budget.as_ref().is_some_and(|budget| budget.pages);
        let ours = [pages, report.level == Level::Alarm];
        let of_column = [&ranked.report, &report].map(|report| {
            let subject = subject(watched);
            let at_alarm = |finding: &Finding| finding.level == Level::Alarm;
            report
                .findings
                .iter()
                .any(|finding| at_alarm(finding) && finding.subject.to_string() == subject)
        });
        // A window is of the columns of its stream, so that none is watched that it does not have.
        let of_peers = peers.by_column.get(watched).copied().unwrap_or_default();
        progress.newest = ranked.newest;
        progress.by_ranks = ranked.history;
        progress.by_tolerances = by_tolerances;
        progress.window += 1;
        let mut found = [false; RULES];
        let alarms = ours.into_iter().chain(peers.any);
        let named = of_column.into_iter().chain(of_peers);
        let all = progress.incidents.iter_mut().zip(&mut found).zip(alarms.zip(named)).enumerate();
        for (rule, ((incidents, found), (alarm, named))) in all {
            *found = incidents.see(alarm, if rule == 1 { 2 } else { 1 }) && named;
        }
        found
    }
}

/// The baseline of some windows, with its own windows or without.
pub(crate) fn build(
    schema: CaptureSchema,
    days: &[&CaptureBatch],
    own_windows: bool,
) -> Outcome<Built> {
    let rule = OwnWindowRule { grid: WindowGrid::every(DAY_US), at_least: 1 };
    let options = BuildOptions {
        cut_points: CutPoints::default(),
        own_windows: own_windows.then_some(rule),
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let mut builder = Builder::new(schema, options)?;
    days.iter().for_each(|day| builder.observe(day));
    let mut counting = builder.choose();
    days.iter().for_each(|day| counting.count(day));
    Ok(counting.finish("drawn")?)
}
