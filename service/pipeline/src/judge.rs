//! The judge's decision on one closed window: what its report depends on, and the report.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::budget::ScaleHistory;
use driftline_analytics::judgement::{History, JudgeInput, JudgedByRanks, judge_by_ranks, shapes};
use driftline_analytics::report::{Report, WindowMeta};
use driftline_analytics::shape::Shape;
use driftline_analytics::window::WindowState;
use driftline_config::{ModelId, Subject};
use serde::{Deserialize, Serialize};

use crate::setup::Setup;

/// A closed window and everything that its report depends on.
#[derive(Debug)]
pub struct Job {
    pub model: ModelId,
    pub setup: Arc<Setup>,
    pub state: Arc<WindowState>,
    /// The report's `window` section.
    pub window: WindowMeta,
    pub history: History,
    /// The complete windows before it, in coarse cells.
    pub newest: ScaleHistory,
}

/// A judged window.
#[derive(Debug)]
pub struct Verdict {
    pub model: ModelId,
    pub setup: Arc<Setup>,
    pub report: Report,
    /// The report as it is published, byte for byte.
    pub json: String,
    /// The distributions behind its findings, by subject.
    pub shapes: BTreeMap<Subject, Shape>,
    /// What the judgement knew beside the rows: a [`Told`] as JSON.
    pub told: String,
    /// What the next judgement of the model will know.
    pub history: History,
    /// The newest windows, this one included where it is complete.
    pub newest: ScaleHistory,
}

/// What a judgement knew beside the rows of its window, as it is kept with the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    #[serde(flatten)]
    pub history: History,
    #[serde(default)]
    pub newest: ToldWindows,
}

/// The windows that a judgement merged with its own. Their cells are kept with their own reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldWindows {
    /// By whose cells they were counted.
    pub baseline_sha256: String,
    /// Their starts in microseconds, oldest first.
    pub starts_us: Vec<i64>,
}

impl ToldWindows {
    fn new(newest: &ScaleHistory) -> ToldWindows {
        ToldWindows {
            baseline_sha256: newest.baseline_sha256().to_owned(),
            starts_us: newest.windows().map(|window| window.start_us).collect(),
        }
    }
}

/// Judges one window. Pure: the same job gives the same bytes.
pub fn decide(job: &Job) -> Verdict {
    let input = JudgeInput {
        model: &job.setup.model,
        config_sha256: &job.setup.config_sha256,
        layout: &job.setup.layout,
        baselines: &job.setup.baselines,
        state: &job.state,
        window: job.window.clone(),
        history: &job.history,
    };
    let JudgedByRanks { report, history, newest } =
        judge_by_ranks(&input, &job.setup.budget, &job.newest);
    let shapes = shapes(&input, &report);
    let json = report.to_json();
    let told = Told { history: job.history.clone(), newest: ToldWindows::new(&job.newest) };
    let told = serde_json::to_string(&told).unwrap_or_default();
    let setup = Arc::clone(&job.setup);
    Verdict { model: job.model, setup, report, json, shapes, told, history, newest }
}
