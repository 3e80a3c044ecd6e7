//! The judge's decision on one closed window: what its report depends on, and the report.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::judgement::{History, JudgeInput, judge, shapes};
use driftline_analytics::report::{Report, WindowMeta};
use driftline_analytics::shape::Shape;
use driftline_analytics::window::WindowState;
use driftline_config::{ModelId, Subject};

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
    /// What the judgement knew beside the rows, as JSON.
    pub told: String,
    /// What the next judgement of the model will know.
    pub history: History,
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
    let (report, history) = judge(&input);
    let shapes = shapes(&input, &report);
    let json = report.to_json();
    let told = serde_json::to_string(&job.history).unwrap_or_default();
    Verdict { model: job.model, setup: Arc::clone(&job.setup), report, json, shapes, told, history }
}
