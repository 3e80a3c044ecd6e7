//! The lane of one candidate: rows go in without waiting, each window is finished in time.

mod mourning;
mod pairing;
mod queue;
mod rest;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use driftline_capture::{CaptureBatch, columns};
use driftline_config::Candidate;

use crate::error::{ShadowError, one_line};
use crate::process::Launch;
use crate::sample::{Decision, chosen};
use crate::sums::Sums;
use pairing::needed_columns;
use queue::Queue;
use worker::Start;

/// How long the end of the service waits for a process that was told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// One candidate in a process of its own, with a thread that talks to it and a queue that sheds what it
/// cannot hold. Nothing here waits for the model. What is kept of paired rows is up to `S`.
#[derive(Debug)]
pub struct CandidateLane<S: Sums> {
    candidate: Arc<Candidate>,
    queue: Arc<Queue<S>>,
}

/// What a lane did in one window that is over, counted as in [`LaneCounters`]: `sampled = paired + shed +
/// failed`, always.
#[derive(Debug, Clone)]
pub struct FinishedWindow<S> {
    pub start_us: i64,
    pub sampled: u64,
    pub paired: u64,
    pub shed: u64,
    pub failed: u64,
    /// Of the paired rows; shared, since the lane's thread may still hold them.
    pub sums: Arc<S>,
    /// Why the candidate could not score, at the close of the window.
    pub problem: Option<String>,
}

/// Whether a candidate scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The model is being loaded; rows wait in the queue.
    Loading,
    Ready,
    /// Its process died, and why; rows wait for the next one.
    Restarting(String),
    /// Rows fail, and why. A model that could not be loaded stays so, as does one that died
    /// too often; one whose runs failed is ready again after a run that succeeds.
    Degraded(String),
}

/// What happened since the lane was started. Each sampled row ends in exactly one of the first
/// three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// Rows with both predictions.
    pub paired: u64,
    /// Rows dropped because the queue was full, the window's deadline had passed or the process died.
    pub shed: u64,
    /// Rows without a usable prediction of candidate or champion.
    pub failed: u64,
    /// Rows that wait or are being scored.
    pub queued: u64,
}

impl<S: Sums> CandidateLane<S> {
    /// Starts the lane. `prepare` runs on the lane's thread, whose priority it may set for all that comes of
    /// it; when it or the model fails, the candidate is degraded and its rows are counted as failed.
    /// `queue_rows` is `limits.shadow_rows`, `nothing` the sums with which each window begins.
    pub fn spawn(
        candidate: Candidate,
        queue_rows: usize,
        nothing: S,
        prepare: impl FnOnce(&Candidate) -> Result<Launch, ShadowError> + Send + 'static,
    ) -> CandidateLane<S> {
        CandidateLane::spawn_with(candidate, queue_rows, nothing, |candidate| {
            Ok(worker::processes(candidate, prepare(candidate)?))
        })
    }

    fn spawn_with(
        candidate: Candidate,
        queue_rows: usize,
        nothing: S,
        prepare: impl FnOnce(&Candidate) -> Result<Box<Start>, ShadowError> + Send + 'static,
    ) -> CandidateLane<S> {
        let lane = CandidateLane {
            candidate: Arc::new(candidate),
            queue: Arc::new(Queue::new(queue_rows, nothing)),
        };
        let (candidate, queue) = (Arc::clone(&lane.candidate), Arc::clone(&lane.queue));
        let started =
            thread::Builder::new().name(format!("shadow-{}", candidate.name)).spawn(move || {
                worker::run(&candidate, &queue, prepare);
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

    /// What was configured of the candidate.
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Offers the counted rows of a batch that lie in the window starting at `window_start_us`.
    /// Requests that failed (status from 400) and rows from before `trained_until` are passed over;
    /// of the others the hash of the id chooses the sample. What the queue cannot hold is shed.
    pub fn offer(&self, window_start_us: i64, batch: &CaptureBatch, rows: &[u32]) {
        let sample = self.sample(batch, rows);
        if sample.is_empty() {
            return;
        }
        let batch = slim(batch, &needed_columns(&self.candidate));
        self.queue.push(window_start_us, batch, sample);
    }

    /// Says that a window is too small for a report and became part of an earlier one, which covers
    /// both. Neither of them may have been closed.
    pub fn carry(&self, from_us: i64, into_us: i64) {
        self.queue.carry(from_us, into_us);
    }

    /// Says that no more rows of the window come. It is finished when its rows are scored,
    /// at `deadline` at the latest; rows that still wait then are shed.
    pub fn close(&self, window_start_us: i64, deadline: Instant) {
        self.queue.close(window_start_us, deadline);
    }

    /// The windows that are finished at `now`, in order of finishing.
    pub fn take_finished(&self, now: Instant) -> Vec<FinishedWindow<S>> {
        self.queue.take_finished(now)
    }

    /// Waits for the next finished window: until one is there or `patience` has passed.
    #[cfg(test)]
    fn wait_finished(&self, patience: Duration) -> Vec<FinishedWindow<S>> {
        self.queue.wait_finished(patience)
    }

    /// Counts since the start.
    pub fn counters(&self) -> LaneCounters {
        self.queue.counters()
    }

    /// Whether the candidate scores.
    pub fn health(&self) -> Health {
        self.queue.health()
    }

    fn sample(&self, batch: &CaptureBatch, rows: &[u32]) -> Vec<u32> {
        let (times_us, offsets) = (batch.times_us(), batch.offsets());
        let until_us = self.candidate.trained_until_us;
        let mut sample = Vec::with_capacity(rows.len());
        for &row in rows {
            let at = row as usize;
            let (Some(time_us), Some(offset)) = (times_us.get(at), offsets.get(at)) else {
                continue;
            };
            let trained = until_us.is_some_and(|until_us| *time_us < until_us);
            let failed = batch.status(at).is_some_and(|status| status >= 400);
            if !trained
                && !failed
                && chosen(Decision::Sampled, batch.id(at), *offset, self.candidate.sample)
            {
                sample.push(row);
            }
        }
        sample
    }
}

impl<S: Sums> Drop for CandidateLane<S> {
    fn drop(&mut self) {
        if !self.queue.stop(STOP_PATIENCE) {
            tracing::warn!(candidate = self.name(), "a candidate's process did not stop in time");
        }
    }
}

/// How the rows of a batch of needed columns are told apart.
pub(crate) struct Ids<'a> {
    ids: Option<&'a StringArray>,
    offsets: Option<&'a Int64Array>,
}

impl<'a> Ids<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Ids<'a> {
        Ids {
            ids: batch.column_by_name(columns::ID).and_then(|column| column.as_string_opt()),
            offsets: batch
                .column_by_name(columns::OFFSET)
                .and_then(|column| column.as_primitive_opt::<Int64Type>()),
        }
    }

    /// Id, where there is one, and offset.
    pub(crate) fn get(&self, row: usize) -> (Option<&'a str>, i64) {
        let id = self.ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
        (id, self.offsets.map_or(row as i64, |offsets| offsets.value(row)))
    }
}

/// The needed columns alone, by name: what waits is no capture any more, and keeps nothing else alive.
fn slim(batch: &CaptureBatch, needed: &[String]) -> RecordBatch {
    let batch = batch.record_batch();
    let schema = batch.schema_ref();
    let columns: Vec<usize> = needed.iter().filter_map(|name| schema.index_of(name).ok()).collect();
    batch.project(&columns).unwrap_or_else(|_| batch.clone())
}
