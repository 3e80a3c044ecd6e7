//! A window of 200 numeric features with 2048 cut points each, to be judged.

use std::path::Path;

use driftline_analytics::judgement::{History, JudgeInput, judge};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Report, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_config::time::{ALIGNMENT_US, DAY_US};
use driftline_config::{Config, Model, WindowId};

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
        let mut state = WindowState::default();
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
        window: WindowMeta::new(WindowId::from("bench"), ALIGNMENT_US..ALIGNMENT_US + DAY_US),
        history: &History::default(),
    };
    judge(&input).0
}

/// A model that knows nothing but defaults.
pub(crate) fn model() -> Model {
    const YAML: &str = "kafka: {bootstrap: \"localhost:1\"}\nmodels:\n  - {name: bench, captures: {topic: captures}, baseline: b.json}\n";
    let config = Config::parse(YAML, Path::new("bench.yaml"), &|_| None);
    config.unwrap_or_else(|problems| unreachable!("{problems}")).models.remove(0)
}
