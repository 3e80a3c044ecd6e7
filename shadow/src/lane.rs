//! The lane of one candidate: rows go in without waiting, one report per window comes out in time.

mod pairing;
mod queue;
mod rest;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use driftline_config::{Candidate, capture};

use crate::error::{ShadowError, one_line};
use crate::model::Model;
use crate::report::CandidateReport;
use crate::sample::{Decision, chosen};
use pairing::needed_columns;
use queue::Queue;
use worker::Scorer;

/// How long the end of the process waits for a run that was told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// One candidate on its own thread, with a queue that sheds what it cannot hold. Nothing here waits
/// for the model.
#[derive(Debug)]
pub struct CandidateLane {
    candidate: Arc<Candidate>,
    queue: Arc<Queue>,
}

/// Whether a candidate scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The model is being loaded; rows wait in the queue.
    Loading,
    /// The last run succeeded.
    Ready,
    /// Rows fail, and why. A model that could not be loaded stays so; one whose runs failed is
    /// ready again after a run that succeeds.
    Degraded(String),
}

/// What happened since the lane was started. Each sampled row ends in exactly one of the first
/// three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// Rows with both predictions.
    pub paired: u64,
    /// Rows dropped because the queue was full or the window's deadline had passed.
    pub shed: u64,
    /// Rows without a usable prediction of candidate or champion.
    pub failed: u64,
    /// Rows that wait or are being scored.
    pub queued: u64,
}

impl CandidateLane {
    /// Starts the lane. `load` runs on the lane's thread, whose priority it may set; when it fails, the
    /// candidate is degraded and its rows are counted as failed. `queue_rows` is `limits.shadow_rows`.
    pub fn spawn(
        candidate: Candidate,
        queue_rows: usize,
        load: impl FnOnce(&Candidate) -> Result<Model, ShadowError> + Send + 'static,
    ) -> CandidateLane {
        CandidateLane::spawn_scorer(candidate, queue_rows, |candidate| {
            load(candidate).map(Scorer::of)
        })
    }

    fn spawn_scorer(
        candidate: Candidate,
        queue_rows: usize,
        load: impl FnOnce(&Candidate) -> Result<Scorer, ShadowError> + Send + 'static,
    ) -> CandidateLane {
        let lane = CandidateLane {
            candidate: Arc::new(candidate),
            queue: Arc::new(Queue::new(queue_rows)),
        };
        let (candidate, queue) = (Arc::clone(&lane.candidate), Arc::clone(&lane.queue));
        let started =
            thread::Builder::new().name(format!("shadow-{}", candidate.name)).spawn(move || {
                worker::run(&candidate, &queue, load);
            });
        if let Err(error) = started {
            lane.queue.give_up(format!("no thread for it: {}", one_line(error)));
        }
        lane
    }

    /// Name of the candidate.
    pub fn name(&self) -> &str {
        &self.candidate.name
    }

    /// Offers the counted rows of a batch that lie in the window starting at `window_start_us`.
    /// Requests that failed (status from 400) and rows from before `trained_until` are passed over;
    /// of the others the hash of the id chooses the sample. What the queue cannot hold is shed.
    pub fn offer(&self, window_start_us: i64, batch: &RecordBatch, rows: &[u32]) {
        let sample = self.sample(batch, rows);
        if sample.is_empty() {
            return;
        }
        let (batch, rows) = slim(batch, sample, &needed_columns(&self.candidate));
        self.queue.push(window_start_us, batch, rows, &self.candidate.output.classes);
    }

    /// Says that a window is too small for a report and became part of an earlier one, whose report covers
    /// both. Neither of them may have been closed.
    pub fn carry(&self, from_us: i64, into_us: i64) {
        self.queue.carry(from_us, into_us);
    }

    /// Says that no more rows of the window come. Its report is finished when its rows are scored,
    /// at `deadline` at the latest; rows that still wait then are shed.
    pub fn close(&self, window_start_us: i64, deadline: Instant) {
        self.queue.close(window_start_us, deadline, &self.candidate.output.classes);
    }

    /// Reports that are finished at `now`, with the start of their window, in order of finishing.
    pub fn take_finished(&self, now: Instant) -> Vec<(i64, CandidateReport)> {
        self.queue.take_finished(now, &self.candidate)
    }

    /// Waits for the next finished report: until one is there or `patience` has passed.
    #[cfg(test)]
    fn wait_finished(&self, patience: Duration) -> Vec<(i64, CandidateReport)> {
        self.queue.wait_finished(patience, &self.candidate)
    }

    /// Counts since the start.
    pub fn counters(&self) -> LaneCounters {
        self.queue.counters()
    }

    /// Whether the candidate scores.
    pub fn health(&self) -> Health {
        self.queue.health()
    }

    fn sample(&self, batch: &RecordBatch, rows: &[u32]) -> Vec<u32> {
        let time_us = batch
            .column_by_name(capture::TIME_US)
            .and_then(|column| column.as_primitive_opt::<Int64Type>());
        let status = batch
            .column_by_name(capture::STATUS)
            .and_then(|column| column.as_primitive_opt::<Int32Type>());
        let ids = Ids::of(batch);
        let eligible = |row: usize| {
            let trained = self.candidate.trained_until_us.is_some_and(|until_us| {
                time_us.is_some_and(|times| times.is_valid(row) && times.value(row) < until_us)
            });
            let answered = status.is_none_or(|codes| codes.is_null(row) || codes.value(row) < 400);
            !trained && answered
        };
        let (mut sample, rows_of_batch) = (Vec::with_capacity(rows.len()), batch.num_rows());
        for row in rows.iter().copied().filter(|row| (*row as usize) < rows_of_batch) {
            let (id, offset) = ids.get(row as usize);
            if eligible(row as usize)
                && chosen(Decision::Sampled, id, offset, self.candidate.sample)
            {
                sample.push(row);
            }
        }
        sample
    }
}

impl Drop for CandidateLane {
    fn drop(&mut self) {
        if !self.queue.stop(STOP_PATIENCE) {
            tracing::warn!(candidate = self.name(), "a model's run did not stop in time");
        }
    }
}

/// How the rows of a batch are told apart.
pub(crate) struct Ids<'a> {
    ids: Option<&'a arrow::array::StringArray>,
    offsets: Option<&'a arrow::array::Int64Array>,
}

impl<'a> Ids<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Ids<'a> {
        Ids {
            ids: batch.column_by_name(capture::ID).and_then(|column| column.as_string_opt()),
            offsets: batch
                .column_by_name(capture::OFFSET)
                .and_then(|column| column.as_primitive_opt::<Int64Type>()),
        }
    }

    /// Id, where there is one, and offset.
    pub(crate) fn get(&self, row: usize) -> (Option<&'a str>, i64) {
        let id = self.ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
        (id, self.offsets.map_or(row as i64, |offsets| offsets.value(row)))
    }
}

/// The needed columns alone.
fn slim(batch: &RecordBatch, rows: Vec<u32>, needed: &[String]) -> (RecordBatch, Vec<u32>) {
    let schema = batch.schema_ref();
    let columns: Vec<usize> = needed.iter().filter_map(|name| schema.index_of(name).ok()).collect();
    let narrow = batch.project(&columns).unwrap_or_else(|_| batch.clone());
    (narrow, rows)
}
