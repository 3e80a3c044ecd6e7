//! What the main way and the lane's thread share: waiting rows, open windows, finished ones.

use std::collections::{BTreeMap, VecDeque, btree_map::Entry};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use super::pairing::Scored;
use super::rest::Halt;
use super::{FinishedWindow, Health, LaneCounters};
use crate::model::LARGEST_BATCH;
use crate::process::Stop;
use crate::sums::Sums;

/// The shared state behind its lock. All others may push the lane's thread aside at any time, also while
/// it holds the lock, and the main way then waits for it: so it never scores or merges sums under the
/// lock, and what is asked at each turn of the main way needs none. None of this is kept across a restart
/// (decision 009).
#[derive(Debug)]
pub(super) struct Queue<S> {
    state: Mutex<State<S>>,
    /// Rows came, a window may be finished, or the lane's thread is to end or has ended.
    changed: Condvar,
    tally: Tally,
    /// Windows that were closed and whose report has not been taken.
    due: AtomicUsize,
    halt: Halt,
    limit_rows: u64,
    /// The sums of no rows.
    nothing: S,
}

/// [`LaneCounters`] that are changed under the lock and read without it.
#[derive(Debug, Default)]
struct Tally {
    paired: AtomicU64,
    shed: AtomicU64,
    failed: AtomicU64,
    queued: AtomicU64,
}

#[derive(Debug)]
struct State<S> {
    waiting: VecDeque<Waiting>,
    windows: BTreeMap<i64, Open<S>>,
    finished: Vec<FinishedWindow<S>>,
    health: Health,
    /// The model could not be loaded: rows fail at once.
    gave_up: bool,
    stopped: bool,
    switch: Option<Switch>,
    /// The window whose rows are being scored.
    running: Option<Key>,
    next_ticket: u64,
}

/// Ends what scores, from another thread.
struct Switch(Stop);

impl std::fmt::Debug for Switch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Switch")
    }
}

/// A window, and not a later one with the same start. Rows may come for a window that was closed at its
/// deadline, while a slice of it is still being scored: by the start alone that slice would be counted for
/// the window that they open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    start_us: i64,
    ticket: u64,
}

#[derive(Debug)]
struct Waiting {
    window: Key,
    batch: RecordBatch,
    rows: Vec<u32>,
    /// How many of the rows were taken to be scored.
    taken: usize,
}

#[derive(Debug)]
struct Open<S> {
    ticket: u64,
    sampled: u64,
    paired: u64,
    shed: u64,
    failed: u64,
    /// Rows queued or being scored.
    pending: u64,
    /// Shared with the lane's thread while that adds to it.
    sums: Arc<S>,
    deadline: Option<Instant>,
}

/// A window's sums as they were, and with a slice more.
#[derive(Debug)]
pub(super) struct Merged<S> {
    before: Arc<S>,
    after: Arc<S>,
}

#[derive(Debug)]
pub(super) struct Slice {
    pub(super) batch: RecordBatch,
    pub(super) rows: Vec<u32>,
}

impl<S: Sums> Queue<S> {
    pub(super) fn new(limit_rows: usize, nothing: S) -> Queue<S> {
        Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                windows: BTreeMap::new(),
                finished: Vec::new(),
                health: Health::Loading,
                gave_up: false,
                stopped: false,
                switch: None,
                running: None,
                next_ticket: 0,
            }),
            changed: Condvar::new(),
            tally: Tally::default(),
            due: AtomicUsize::new(0),
            halt: Halt::default(),
            limit_rows: limit_rows as u64,
            nothing,
        }
    }

    /// Every change under the lock is one assignment or sum, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn nothing(&self) -> S {
        self.nothing.clone()
    }

    /// Takes in sampled rows of a window; the last of those for which there is no room are shed. What
    /// waits already stays: its window closes first, so it is the nearest to a report.
    pub(super) fn push(&self, window_start_us: i64, batch: RecordBatch, mut rows: Vec<u32>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let gave_up = state.gave_up;
        let window = state.window(window_start_us, &self.nothing);
        let sampled = rows.len() as u64;
        window.sampled += sampled;
        if gave_up {
            window.failed += sampled;
            add(&self.tally.failed, sampled);
            return;
        }
        let space = self.limit_rows.saturating_sub(self.tally.queued.load(Ordering::Relaxed));
        rows.truncate(usize::try_from(space).unwrap_or(usize::MAX));
        let accepted = rows.len() as u64;
        window.shed += sampled - accepted;
        window.pending += accepted;
        add(&self.tally.shed, sampled - accepted);
        add(&self.tally.queued, accepted);
        if accepted > 0 {
            let window = Key { start_us: window_start_us, ticket: window.ticket };
            let (batch, rows) = compacted(batch, rows);
            state.waiting.push_back(Waiting { window, batch, rows, taken: 0 });
            self.changed.notify_all();
        }
    }

    /// Rows of all batches that are kept alive by those that wait.
    #[cfg(test)]
    pub(super) fn kept_rows(&self) -> usize {
        self.lock().waiting.iter().map(|waiting| waiting.batch.num_rows()).sum()
    }

    /// Holds the lock for as long as the answer lives.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized {
        self.lock()
    }

    /// What came and comes of one window counts for an earlier one, which was not closed either.
    pub(super) fn carry(&self, from_us: i64, into_us: i64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(from) = state.windows.remove(&from_us) else { return };
        // Rows of it may wait or be under the model: they must find the window that it became part of.
        let old = Key { start_us: from_us, ticket: from.ticket };
        let ticket = match state.windows.entry(into_us) {
            Entry::Vacant(place) => place.insert(from).ticket,
            Entry::Occupied(mut into) => into.get_mut().take_in(from),
        };
        let new = Key { start_us: into_us, ticket };
        let waiting = state.waiting.iter_mut().map(|waiting| &mut waiting.window);
        for key in waiting.chain(&mut state.running).filter(|key| **key == old) {
            *key = new;
        }
    }

    /// No more rows of a window come; one without any is opened, so that it is finished too.
    pub(super) fn close(&self, window_start_us: i64, deadline: Instant) {
        let mut state = self.lock();
        let window = state.window(window_start_us, &self.nothing);
        let is_closed_anew = window.deadline.replace(deadline).is_none();
        self.due.fetch_add(usize::from(is_closed_anew), Ordering::Relaxed);
        if window.pending == 0 {
            self.finish(&mut state, window_start_us);
        }
        self.changed.notify_all();
    }

    pub(super) fn take_finished(&self, now: Instant) -> Vec<FinishedWindow<S>> {
        if self.due.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut state = self.lock();
        self.finish_overdue(&mut state, now);
        self.taken(&mut state)
    }

    #[cfg(test)]
    pub(super) fn wait_finished(&self, patience: Duration) -> Vec<FinishedWindow<S>> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            self.finish_overdue(&mut state, now);
            if !state.finished.is_empty() || now >= until {
                return self.taken(&mut state);
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

    fn taken(&self, state: &mut State<S>) -> Vec<FinishedWindow<S>> {
        let finished = std::mem::take(&mut state.finished);
        self.due.fetch_sub(finished.len(), Ordering::Relaxed);
        finished
    }

    /// Each is the latest by itself; a row that moves from one to another meanwhile may be in both or in
    /// neither.
    pub(super) fn counters(&self) -> LaneCounters {
        let Tally { paired, shed, failed, queued } = &self.tally;
        LaneCounters {
            paired: paired.load(Ordering::Relaxed),
            shed: shed.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            queued: queued.load(Ordering::Relaxed),
        }
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// The next rows, at most a batch of them; `None` when the lane stops.
    pub(super) fn next(&self) -> Option<Slice> {
        let mut state = self.lock();
        loop {
            if self.halt.is_called() {
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
        self.halt.rest(pause);
    }

    /// Adds what was scored of a slice to its window's sums, beside them and without the lock; `None`
    /// where the window has been finished.
    pub(super) fn merged(&self, scored: &Scored<S>) -> Option<Merged<S>> {
        let before = self.lock().running().map(|(_, window)| Arc::clone(&window.sums))?;
        let mut after = (*before).clone();
        after.merge(&scored.sums);
        Some(Merged { before, after: Arc::new(after) })
    }

    /// Counts what became of a slice. A window that was finished meanwhile has shed these rows.
    pub(super) fn done(
        &self,
        slice: &Slice,
        scored: &Scored<S>,
        mut merged: Option<Merged<S>>,
        health: Health,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some((start_us, window)) = state.running() else {
            // Its rows were taken off `pending` and the tally when it was finished.
            state.running = None;
            // Whatever was wrong with a run that outlasted its window: that is what is said of it.
            if health == Health::Ready {
                state.health = health;
            }
            return;
        };
        match &mut merged {
            // What it takes the place of is freed with `merged`, after the lock.
            Some(merged) if Arc::ptr_eq(&merged.before, &window.sums) => {
                std::mem::swap(&mut window.sums, &mut merged.after);
            }
            // It took in another window meanwhile, or became part of one, which is rare enough to merge
            // under the lock.
            _ => Arc::make_mut(&mut window.sums).merge(&scored.sums),
        }
        let rows = slice.rows.len() as u64;
        window.paired += scored.paired;
        window.failed += scored.failed;
        window.shed += scored.shed;
        window.pending -= rows;
        self.tally.queued.fetch_sub(rows, Ordering::Relaxed);
        add(&self.tally.paired, scored.paired);
        add(&self.tally.failed, scored.failed);
        add(&self.tally.shed, scored.shed);
        let is_finished = window.pending == 0 && window.deadline.is_some();
        state.running = None;
        state.health = health;
        if is_finished {
            self.finish(state, start_us);
        }
        self.changed.notify_all();
    }

    /// There is something that can be ended; where the lane has stopped already, it is ended at once.
    pub(super) fn interruptible(&self, stop: Stop) {
        let mut state = self.lock();
        if self.halt.is_called() {
            stop();
        }
        state.switch = Some(Switch(stop));
    }

    pub(super) fn ready(&self) {
        self.lock().health = Health::Ready;
    }

    /// What scored has died, and why; rows wait for the next.
    pub(super) fn restarting(&self, reason: String) {
        let mut state = self.lock();
        state.health = Health::Restarting(reason);
        state.switch = None;
    }

    /// Whether the lane stops.
    pub(super) fn is_halted(&self) -> bool {
        self.halt.is_called()
    }

    /// The model will never score: what waits and what comes fails.
    pub(super) fn give_up(&self, reason: String) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.health = Health::Degraded(reason);
        state.gave_up = true;
        state.running = None;
        let waiting = std::mem::take(&mut state.waiting);
        for window in state.windows.values_mut() {
            let pending = std::mem::take(&mut window.pending);
            window.failed += pending;
            add(&self.tally.failed, pending);
            self.tally.queued.fetch_sub(pending, Ordering::Relaxed);
        }
        self.changed.notify_all();
        // So that the rows are freed without the lock.
        drop(guard);
        drop(waiting);
    }

    pub(super) fn stopped(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Stops the lane's thread; whether it has ended within `patience`.
    pub(super) fn stop(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        self.halt.call();
        if let Some(Switch(stop)) = &state.switch {
            stop();
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

    fn finish_overdue(&self, state: &mut State<S>, now: Instant) {
        let is_over = |window: &Open<S>| {
            window.deadline.is_some_and(|deadline| window.pending == 0 || deadline <= now)
        };
        let windows = state.windows.iter().filter(|(_, window)| is_over(window));
        let overdue: Vec<i64> = windows.map(|(start_us, _)| *start_us).collect();
        for start_us in overdue {
            self.finish(state, start_us);
        }
    }

    /// Ends a window; rows that still wait or are being scored are shed. An endless run is ended by its own
    /// limit of time.
    fn finish(&self, state: &mut State<S>, start_us: i64) {
        let Some(mut window) = state.windows.remove(&start_us) else { return };
        let key = Key { start_us, ticket: window.ticket };
        let pending = std::mem::take(&mut window.pending);
        if pending > 0 {
            state.waiting.retain(|waiting| waiting.window != key);
            window.shed += pending;
            add(&self.tally.shed, pending);
            self.tally.queued.fetch_sub(pending, Ordering::Relaxed);
        }
        if state.running == Some(key) {
            let reason = "its run did not end before the window's deadline";
            state.health = Health::Degraded(reason.to_owned());
        }
        let problem = match &state.health {
            Health::Degraded(reason) | Health::Restarting(reason) => Some(reason.clone()),
            Health::Loading | Health::Ready => None,
        };
        let Open { sampled, paired, shed, failed, sums, .. } = window;
        state.finished.push(FinishedWindow {
            start_us,
            sampled,
            paired,
            shed,
            failed,
            sums,
            problem,
        });
    }
}

impl<S: Sums> State<S> {
    /// The open window that starts there; it opens where there is none.
    fn window(&mut self, start_us: i64, nothing: &S) -> &mut Open<S> {
        let ticket = &mut self.next_ticket;
        self.windows.entry(start_us).or_insert_with(|| {
            *ticket += 1;
            Open::new(*ticket, nothing)
        })
    }

    /// The window whose rows are being scored, and its start; `None` where it has been finished.
    fn running(&mut self) -> Option<(i64, &mut Open<S>)> {
        let Key { start_us, ticket } = self.running?;
        let window = self.windows.get_mut(&start_us).filter(|window| window.ticket == ticket)?;
        Some((start_us, window))
    }

    fn take_slice(&mut self) -> Option<Slice> {
        let front = self.waiting.front_mut()?;
        let rest = front.rows.get(front.taken..).unwrap_or_default();
        let rows = rest.get(..LARGEST_BATCH.min(rest.len())).unwrap_or_default().to_vec();
        front.taken += rows.len();
        self.running = Some(front.window);
        let slice = Slice { batch: front.batch.clone(), rows };
        if front.taken == front.rows.len() {
            self.waiting.pop_front();
        }
        Some(slice)
    }
}

impl<S: Sums> Open<S> {
    fn new(ticket: u64, nothing: &S) -> Open<S> {
        let (sums, deadline) = (Arc::new(nothing.clone()), None);
        Open { ticket, sampled: 0, paired: 0, shed: 0, failed: 0, pending: 0, sums, deadline }
    }

    /// Adds a window to this one, which is small; the ticket of the two.
    fn take_in(&mut self, mut other: Open<S>) -> u64 {
        self.sampled += other.sampled;
        self.paired += other.paired;
        self.shed += other.shed;
        self.failed += other.failed;
        self.pending += other.pending;
        // The main way waits for this: the smaller of the two is added to the larger.
        Arc::make_mut(&mut other.sums).merge(&self.sums);
        self.sums = other.sums;
        self.ticket
    }
}

fn add(counter: &AtomicU64, rows: u64) {
    counter.fetch_add(rows, Ordering::Relaxed);
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
