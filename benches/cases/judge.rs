//! A window of 200 numeric features with 2048 cut points each, to be judged.

use std::collections::BTreeMap;

use driftline_analytics::judgement::{History, JudgeInput, judge};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Ledger, Report, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{
    Captures, Format, Model, NoData, Operations, Retrain, Start, Tolerance, Window,
};

use super::absorb::Case;

/// Features of the window.
pub(crate) const FEATURES: usize = 200;

/// A window that is full and not judged yet.
pub(crate) struct Full {
    case: Case,
    model: Model,
    baselines: Baselines,
    state: WindowState,
}

impl Full {
    pub(crate) fn new() -> Full {
        let case = Case::new(FEATURES, 4);
        let mut state = WindowState::new(&case.layout);
        (0..4).for_each(|batch| case.absorb(&mut state, batch));
        let baselines = case.layout.baselines().clone();
        Full { case, model: model(), baselines, state }
    }

    /// Judges it.
    pub(crate) fn judge(&self) -> Report {
        judge_once(&self.model, &self.case.layout, &self.baselines, &self.state)
    }
}

/// Judges a window as if it were the first.
pub(crate) fn judge_once(
    model: &Model,
    layout: &Layout,
    baselines: &Baselines,
    state: &WindowState,
) -> Report {
    let input = JudgeInput {
        model,
        config_sha256: "",
        layout,
        baselines,
        state,
        window: WindowMeta {
            id: "bench".to_owned(),
            start_us: ALIGNMENT_US,
            end_us: ALIGNMENT_US + DAY_US,
            parts: 1,
            incomplete: Vec::new(),
            previous: None,
            ledger: Ledger::default(),
            cuts: BTreeMap::new(),
        },
        history: &History::default(),
    };
    judge(&input).0
}

/// A model that knows nothing but defaults.
pub(crate) fn model() -> Model {
    Model {
        name: "bench".to_owned(),
        owner: None,
        notify: Vec::new(),
        captures: Captures {
            topic: "captures".to_owned(),
            format: Format::DriftlineJson,
            start: Start::Earliest,
            max_ahead_us: 0,
        },
        baseline: BTreeMap::new(),
        features: BTreeMap::new(),
        window: Window {
            every_us: DAY_US,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: DAY_US,
        },
        operations: Operations { every_us: 60_000_000, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        latency: None,
        errors: None,
        no_data: NoData { after_us: DAY_US },
        shadow: Vec::new(),
        retrain: Retrain { history_us: 0, cooldown_us: 0, max_per_day: 1 },
    }
}
