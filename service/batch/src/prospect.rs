//! What a new baseline will be able to say: the smallest drift that windows of some sizes could alarm
//! on, and what its own windows would have said.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use driftline_analytics::budget::{Budget, ExtremeWindow};
use driftline_analytics::judgement::{History, JudgeInput, judge};
use driftline_analytics::layout::{Baselines, Layout, LayoutError};
use driftline_analytics::report::{Report, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_config::{Level, Limits, Model, WindowId};
use driftline_pipeline::capture::CaptureBatch;

use crate::baseline::NewBaseline;

/// Sizes of windows for which the smallest detectable drift is found, in rows.
pub const SIZES: [u64; 3] = [100, 1000, 10_000];
/// Rows that are kept to find it: the largest of these sizes.
const SAMPLE: u64 = 10_000;

/// What windows of a baseline's own rows would have said.
#[derive(Debug, Clone)]
pub struct Prospects {
    /// The reports on windows of [`SIZES`] rows.
    pub by_size: Vec<Report>,
    pub own_windows: usize,
    /// Those own windows that would have alarmed, by start in microseconds.
    pub alarmed: Vec<(i64, Report)>,
    /// How many false alarms are to be expected, in a sentence, or why none can be promised.
    pub promise: String,
    /// The most extreme own windows: what is known to be unlike the rest may be left out.
    pub extremes: Vec<ExtremeWindow>,
    /// Which columns move all through the baseline, in a sentence.
    pub trend: Option<String>,
}

impl NewBaseline {
    /// Judges windows of the baseline's own rows under the model's settings.
    ///
    /// # Errors
    /// The settings do not fit the baseline.
    pub fn prospects(&self, model: &Model, limits: &Limits) -> Result<Prospects, LayoutError> {
        let default = Arc::new(self.built.baseline.clone());
        let baselines = Baselines { default, by_version: BTreeMap::new() };
        let layout = Layout::new(model, &baselines, limits)?;
        let judged = |state: &WindowState, start_us: i64, history: &History| {
            let end_us = model.window.grid().end_us(start_us);
            judge(&JudgeInput {
                model,
                config_sha256: "",
                layout: &layout,
                baselines: &baselines,
                state,
                window: WindowMeta::new(WindowId::of_comparison(""), start_us..end_us),
                history,
            })
        };
        let of_size = |&size| judged(&self.sample.window(&layout, size), 0, &History::default()).0;
        let by_size = SIZES.iter().map(of_size).collect();
        let mut history = History::default();
        let mut alarmed = Vec::new();
        for (start_us, state) in &self.built.own_windows {
            let (report, next) = judged(state, *start_us, &history);
            history = next;
            if report.level == Level::Alarm {
                alarmed.push((*start_us, report));
            }
        }
        let budget = Budget::new(model, &baselines.default);
        Ok(Prospects {
            by_size,
            own_windows: self.built.own_windows.len(),
            alarmed,
            promise: budget.promise(model),
            extremes: budget.extreme_windows(&baselines.default),
            trend: budget.trend_told(model, &baselines.default),
        })
    }
}

/// Rows spread evenly over a table of a known length.
#[derive(Debug)]
pub(crate) struct Sample {
    rows: u64,
    seen: u64,
    batches: Vec<CaptureBatch>,
}

impl Sample {
    /// Of a table of so many rows.
    pub(crate) fn new(rows: u64) -> Sample {
        Sample { rows, seen: 0, batches: Vec::new() }
    }

    pub(crate) fn see(&mut self, batch: &CaptureBatch) {
        let rows = self.rows.max(1);
        let place = |row: u64| u128::from(row) * u128::from(SAMPLE.min(rows)) / u128::from(rows);
        let taken: UInt64Array = (0..batch.rows() as u64)
            .filter(|row| place(self.seen + row) < place(self.seen + row + 1))
            .collect();
        self.seen += batch.rows() as u64;
        let rows = take_record_batch(batch.record_batch(), &taken).map(CaptureBatch::new);
        // Rows of a batch can always be taken from it, and are captures as they were before.
        if let Ok(Ok(rows)) = rows {
            self.batches.push(rows);
        }
    }

    /// A window of so many of these rows, spread evenly; again from the start where there are
    /// fewer.
    fn window(&self, layout: &Layout, size: u64) -> WindowState {
        let mut state = WindowState::default();
        let kept: u64 = self.batches.iter().map(|batch| batch.rows() as u64).sum();
        let mut wanted = size;
        while wanted > 0 && kept > 0 {
            let round = wanted.min(kept);
            let place = |row: u64| row * round / kept;
            let mut seen = 0;
            for batch in &self.batches {
                let rows: Vec<u32> = (0..batch.rows() as u32)
                    .filter(|&row| place(seen + u64::from(row)) < place(seen + u64::from(row) + 1))
                    .collect();
                state.absorb(layout, batch, &rows);
                seen += batch.rows() as u64;
            }
            wanted -= round;
        }
        state
    }
}
