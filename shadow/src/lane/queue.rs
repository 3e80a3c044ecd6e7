//! What the main way and the lane's thread share: waiting rows, open windows, finished reports.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use driftline_config::Candidate;

use super::{Health, LaneCounters};
use crate::comparison::Comparison;
use crate::model::LARGEST_BATCH;
use crate::report::{CandidateReport, purpose_text};

/// The shared state behind its lock. The lock is never held while a model runs.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit_rows: u64,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Waiting>,
    windows: BTreeMap<i64, Open>,
    finished: VecDeque<(i64, CandidateReport)>,
    counters: LaneCounters,
    health: Health,
    /// The model could not be loaded: rows fail at once.
    gave_up: bool,
    stopping: bool,
    stopped: bool,
    switch: Option<RunSwitch>,
    /// Ticket of the window whose rows are being scored.
    running: Option<u64>,
    next_ticket: u64,
}

/// Ends a run from another thread, and allows the next.
pub(super) struct RunSwitch {
    pub(super) stop: Box<dyn Fn() + Send + Sync>,
    pub(super) allow: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for RunSwitch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RunSwitch")
    }
}

#[derive(Debug)]
struct Waiting {
    window_start_us: i64,
    ticket: u64,
    batch: RecordBatch,
    rows: Vec<u32>,
    taken: usize,
}

#[derive(Debug)]
struct Open {
    /// Tells a window from a later one with the same start: rows after a close.
    ticket: u64,
    sampled: u64,
    shed: u64,
    /// Rows queued or being scored.
    pending: u64,
    comparison: Comparison,
    deadline: Option<Instant>,
}

/// Rows that the lane's thread is to score next.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) window_start_us: i64,
    ticket: u64,
    pub(super) batch: RecordBatch,
    pub(super) rows: Vec<u32>,
}

impl Queue {
    pub(super) fn new(limit_rows: usize) -> Queue {
        Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                windows: BTreeMap::new(),
                finished: VecDeque::new(),
                counters: LaneCounters::default(),
                health: Health::Loading,
                gave_up: false,
                stopping: false,
                stopped: false,
                switch: None,
                running: None,
                next_ticket: 0,
            }),
            changed: Condvar::new(),
            limit_rows: limit_rows as u64,
        }
    }

    /// Every change under the lock is one assignment or sum, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(
        &self,
        window_start_us: i64,
        batch: RecordBatch,
        mut rows: Vec<u32>,
        classes: &[String],
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let window = state.windows.entry(window_start_us).or_insert_with(|| {
            state.next_ticket += 1;
            Open::new(state.next_ticket, classes)
        });
        let sampled = rows.len() as u64;
        window.sampled += sampled;
        if state.gave_up {
            window.comparison.failed += sampled;
            state.counters.failed += sampled;
            return;
        }
        let space = self.limit_rows.saturating_sub(state.counters.queued);
        rows.truncate(usize::try_from(space).unwrap_or(usize::MAX));
        let accepted = rows.len() as u64;
        window.shed += sampled - accepted;
        window.pending += accepted;
        state.counters.shed += sampled - accepted;
        state.counters.queued += accepted;
        if accepted > 0 {
            let ticket = window.ticket;
            let (batch, rows) = compacted(batch, rows);
            state.waiting.push_back(Waiting { window_start_us, ticket, batch, rows, taken: 0 });
            self.changed.notify_all();
        }
    }

    /// Rows of all batches that are kept alive by those that wait.
    #[cfg(test)]
    pub(super) fn kept_rows(&self) -> usize {
        self.lock().waiting.iter().map(|waiting| waiting.batch.num_rows()).sum()
    }

    pub(super) fn close(&self, window_start_us: i64, deadline: Instant, candidate: &Candidate) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let window = state.windows.entry(window_start_us).or_insert_with(|| {
            state.next_ticket += 1;
            Open::new(state.next_ticket, &candidate.output.classes)
        });
        window.deadline = Some(deadline);
        if window.pending == 0 {
            state.finish(window_start_us, candidate);
        }
        self.changed.notify_all();
    }

    pub(super) fn take_finished(
        &self,
        now: Instant,
        candidate: &Candidate,
    ) -> Vec<(i64, CandidateReport)> {
        let mut state = self.lock();
        state.finish_overdue(now, candidate);
        state.finished.drain(..).collect()
    }

    pub(super) fn wait_finished(
        &self,
        patience: Duration,
        candidate: &Candidate,
    ) -> Vec<(i64, CandidateReport)> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.finish_overdue(now, candidate);
            if !state.finished.is_empty() || now >= until {
                return state.finished.drain(..).collect();
            }
            let deadlines = state.windows.values().filter_map(|window| window.deadline);
            let wake = deadlines.min().map_or(until, |deadline| deadline.min(until));
            let pause = wake.saturating_duration_since(now);
            state = match self.changed.wait_timeout(state, pause) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    pub(super) fn counters(&self) -> LaneCounters {
        self.lock().counters
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// The next rows, at most a batch of them; `None` when the lane stops.
    pub(super) fn next(&self) -> Option<Slice> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(slice) = state.take_slice() {
                return Some(slice);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for so long, or until the lane stops.
    pub(super) fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        while !state.stopping {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Adds what became of a slice. A window that was finished meanwhile has shed these rows.
    pub(super) fn done(
        &self,
        slice: &Slice,
        scored: &Comparison,
        health: Health,
        candidate: &Candidate,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.running = None;
        let rows = slice.rows.len() as u64;
        let window = state.windows.get_mut(&slice.window_start_us);
        let Some(window) = window.filter(|window| window.ticket == slice.ticket) else {
            // The error of a run that was ended with its window says no more than that it was ended.
            if health == Health::Ready {
                state.health = health;
            }
            return;
        };
        state.health = health;
        window.comparison.merge(scored);
        window.pending -= rows;
        state.counters.queued -= rows;
        state.counters.paired += scored.paired;
        state.counters.failed += scored.failed;
        if window.pending == 0 && window.deadline.is_some() {
            state.finish(slice.window_start_us, candidate);
        }
        self.changed.notify_all();
    }

    pub(super) fn ready(&self, switch: RunSwitch) {
        let mut state = self.lock();
        state.health = Health::Ready;
        state.switch = Some(switch);
    }

    /// The model will never score: what waits and what comes fails.
    pub(super) fn give_up(&self, reason: String) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.health = Health::Degraded(reason);
        state.gave_up = true;
        state.running = None;
        state.waiting.clear();
        for window in state.windows.values_mut() {
            window.comparison.failed += window.pending;
            state.counters.failed += window.pending;
            state.counters.queued -= window.pending;
            window.pending = 0;
        }
        self.changed.notify_all();
    }

    /// Marks the lane's thread as ended.
    pub(super) fn stopped(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Stops the lane's thread; whether it has ended within `patience`.
    pub(super) fn stop(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        state.stopping = true;
        if let Some(switch) = &state.switch {
            (switch.stop)();
        }
        self.changed.notify_all();
        while !state.stopped {
            let pause = until.saturating_duration_since(Instant::now());
            if pause.is_zero() {
                return false;
            }
            state = match self.changed.wait_timeout(state, pause) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }
}

impl State {
    fn take_slice(&mut self) -> Option<Slice> {
        let front = self.waiting.front_mut()?;
        let rest = front.rows.get(front.taken..).unwrap_or_default();
        let rows = rest.get(..LARGEST_BATCH.min(rest.len())).unwrap_or_default().to_vec();
        front.taken += rows.len();
        let slice = Slice {
            window_start_us: front.window_start_us,
            ticket: front.ticket,
            batch: front.batch.clone(),
            rows,
        };
        if front.taken == front.rows.len() {
            self.waiting.pop_front();
        }
        self.running = Some(slice.ticket);
        if let Some(switch) = &self.switch {
            (switch.allow)();
        }
        Some(slice)
    }

    fn finish_overdue(&mut self, now: Instant, candidate: &Candidate) {
        let overdue: Vec<i64> = self
            .windows
            .iter()
            .filter(|(_, window)| {
                window.deadline.is_some_and(|deadline| window.pending == 0 || deadline <= now)
            })
            .map(|(start_us, _)| *start_us)
            .collect();
        for start_us in overdue {
            self.finish(start_us, candidate);
        }
    }

    /// Turns a window into its report; rows that still wait are shed, and a run that is still busy
    /// with them is ended, so that an endless one does not take the later windows with it.
    fn finish(&mut self, start_us: i64, candidate: &Candidate) {
        let Some(mut window) = self.windows.remove(&start_us) else { return };
        if window.pending > 0 {
            self.waiting.retain(|waiting| waiting.ticket != window.ticket);
            window.shed += window.pending;
            self.counters.shed += window.pending;
            self.counters.queued -= window.pending;
        }
        if let (Some(switch), true) = (&self.switch, self.running == Some(window.ticket)) {
            (switch.stop)();
            let reason = "its run did not end before the window's deadline";
            self.health = Health::Degraded(reason.to_owned());
        }
        let problem = match &self.health {
            Health::Degraded(reason) => Some(reason.clone()),
            Health::Loading | Health::Ready => None,
        };
        self.finished.push_back((start_us, window.report(candidate, problem)));
    }
}

impl Open {
    fn new(ticket: u64, classes: &[String]) -> Open {
        let comparison = Comparison::new(classes);
        Open { ticket, sampled: 0, shed: 0, pending: 0, comparison, deadline: None }
    }

    fn report(&self, candidate: &Candidate, problem: Option<String>) -> CandidateReport {
        let comparison = &self.comparison;
        let (classes, table) = comparison.table().report();
        CandidateReport {
            candidate: candidate.name.clone(),
            purpose: purpose_text(candidate.purpose).to_owned(),
            sampled: self.sampled,
            paired: comparison.paired,
            shed: self.shed,
            failed: comparison.failed,
            agreement: comparison.table().agreement(),
            kappa: comparison.table().kappa(),
            classes,
            table,
            score: comparison.score(),
            batch_us_per_row: comparison.batch_us_per_row(),
            single_us: comparison.single_us(),
            problem,
        }
    }
}

/// A copy of the rows where they are less than half of the batch: what waits keeps no more than twice its
/// rows alive, also where the sample is small or the queue had room for few of them.
pub(super) fn compacted(batch: RecordBatch, rows: Vec<u32>) -> (RecordBatch, Vec<u32>) {
    if rows.len() * 2 > batch.num_rows() {
        return (batch, rows);
    }
    match take_record_batch(&batch, &UInt32Array::from(rows.clone())) {
        Ok(taken) => (taken, (0..rows.len() as u32).collect()),
        Err(_) => (batch, rows),
    }
}
