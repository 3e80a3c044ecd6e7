//! The judge: one thread that compares closed windows with their baselines, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use driftline_analytics::judgement::{History, JudgeInput, judge, shapes};
use driftline_analytics::lane::Closed;
use driftline_analytics::report::{Report, WindowMeta};
use driftline_analytics::shape::Shape;
use driftline_analytics::window::WindowState;

use crate::setup::Setup;

/// Windows that wait for the judge. Each model has at most one under judgement, so the bound is
/// only reached when very many close together; the pipeline then waits, and so does reading.
const QUEUE: usize = 4096;

/// A closed window and everything that its report depends on.
#[derive(Debug)]
pub struct Job {
    /// Index of the unit.
    pub unit: usize,
    /// Where and when it was.
    pub closed: Closed,
    /// What it was opened under.
    pub setup: Arc<Setup>,
    /// What it counted.
    pub state: Arc<WindowState>,
    /// The report's `window` section.
    pub window: WindowMeta,
    /// What is known of earlier windows.
    pub history: History,
}

/// A judged window.
#[derive(Debug)]
pub struct Verdict {
    /// Index of the unit.
    pub unit: usize,
    /// What it was opened under.
    pub setup: Arc<Setup>,
    /// The finding.
    pub report: Report,
    /// The report as it is published, byte for byte.
    pub json: String,
    /// The distributions behind its findings, by subject.
    pub shapes: BTreeMap<String, Shape>,
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
    let shapes = shapes(&input);
    let json = report.to_json();
    let told = serde_json::to_string(&job.history).unwrap_or_default();
    Verdict { unit: job.unit, setup: Arc::clone(&job.setup), report, json, shapes, told, history }
}

/// The handle of the judge's thread; dropping it waits for the window under judgement.
#[derive(Debug)]
pub struct Judge {
    jobs: Option<SyncSender<Box<Job>>>,
    verdicts: Receiver<Verdict>,
    /// Windows that were handed over and whose verdict was not taken.
    waiting: usize,
    thread: Option<JoinHandle<()>>,
}

impl Judge {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start() -> std::io::Result<Judge> {
        let (jobs, inbox) = sync_channel::<Box<Job>>(QUEUE);
        let (outbox, verdicts) = sync_channel(QUEUE);
        let work = move || {
            while let Ok(job) = inbox.recv() {
                if outbox.send(decide(&job)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("judge".to_owned()).spawn(work)?;
        Ok(Judge { jobs: Some(jobs), verdicts, waiting: 0, thread: Some(thread) })
    }

    /// Hands a window over.
    pub fn submit(&mut self, job: Box<Job>) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only when this handle is dropped.
            self.waiting += usize::from(jobs.send(job).is_ok());
        }
    }

    /// A verdict, where one is ready.
    pub fn poll(&mut self) -> Option<Verdict> {
        let verdict = self.verdicts.try_recv().ok()?;
        self.waiting = self.waiting.saturating_sub(1);
        Some(verdict)
    }

    /// Windows that were handed over and whose verdict was not taken.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
