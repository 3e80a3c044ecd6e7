//! The way out of the readers: events in order, waiting for the other end but never for ever, and
//! what the readers' threads share.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use driftline_capture::Chunk;
use driftline_config::{Table, TopicId, TopicPartition};

use super::ends::Ends;
use super::orders::{Commits, Inbox, Orders};
use crate::budget::Budget;
use crate::event::Event;
use crate::plan::Position;

/// How long a reader sleeps while the other end is busy.
const PAUSE: Duration = Duration::from_millis(1);
/// How long one wait for memory lasts before the reader looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// The readers were stopped, or the other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// What is in trouble. A topic (or, without one, everything) has recovered when nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The broker does not answer, or refuses the connection.
    Broker,
    /// The topic is not there or may not be read.
    Topic,
    DeadLetters,
    /// A schema does not come.
    Schemas,
    Transaction,
}

/// What is known of one partition while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) position: i64,
    /// The end of the log, as far as known; the position where nothing but markers lie before it.
    pub(crate) end: Option<i64>,
    /// Whether the caller or the dead letters hold it up.
    pub(crate) paused: bool,
    /// When a record of it, or its end, came last.
    pub(crate) heard: Instant,
    /// Since when a transaction that is open holds back everything after an offset, and which offset.
    pub(crate) held_back: Option<(Instant, i64)>,
}

impl Status {
    /// Records before the end of the log, as far as known.
    pub(crate) fn lag(&self) -> Option<i64> {
        Some((self.end? - self.position).max(0))
    }
}

/// What the readers' threads and their owner share.
#[derive(Debug)]
pub(crate) struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    budget: Budget,
    partitions: Mutex<BTreeMap<TopicPartition, Status>>,
    /// By topic: the event time beyond which a partition waits for a word, in microseconds.
    horizons_us: Table<TopicId, AtomicI64>,
    troubles: Mutex<BTreeSet<(Option<TopicId>, Cause)>>,
    owners: Mutex<BTreeMap<TopicPartition, Inbox>>,
    /// Where partitions stood that their topics had no longer.
    left: Mutex<BTreeMap<TopicPartition, Position>>,
    pub(crate) commits: Commits,
    /// What had to be there and was not, since it was last asked for.
    defects: AtomicU64,
    pub(crate) ends: Ends,
}

/// What is shared, and the way out. The owner has none: once no thread is left, the other end hears it.
#[derive(Clone)]
pub(crate) struct Outlet {
    events: SyncSender<Event>,
    shared: Arc<Shared>,
}

impl Deref for Outlet {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    pub(crate) fn new(budget: Budget, topics: usize) -> Shared {
        let horizons_us = (0..topics).map(|_| AtomicI64::new(i64::MAX));
        Shared {
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            budget,
            partitions: Mutex::default(),
            horizons_us: Table::new(horizons_us.collect()),
            troubles: Mutex::default(),
            owners: Mutex::default(),
            left: Mutex::default(),
            commits: Commits::default(),
            defects: AtomicU64::new(0),
            ends: Ends::default(),
        }
    }

    /// Remembers who reads a partition.
    pub(crate) fn set_owner(&self, log: TopicPartition, owner: Inbox) {
        self.owners().insert(log, owner);
    }

    /// Gives an order to whoever reads a partition, if somebody does; it is not waited for.
    pub(crate) fn order(&self, log: TopicPartition, order: impl FnOnce(&mut Orders)) {
        // The topic may have told of a partition that no worker was given yet.
        if let Some(owner) = self.owners().get(&log) {
            order(&mut owner.orders());
        }
    }

    /// Nobody reads a partition any more that was read up to here.
    pub(crate) fn leave(&self, log: TopicPartition, position: Position) {
        self.owners().remove(&log);
        self.partitions().remove(&log);
        self.left().insert(log, position);
    }

    /// Up to where a partition was read that nobody reads any more.
    pub(crate) fn take_left(&self, log: TopicPartition) -> Option<Position> {
        self.left().remove(&log)
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Position>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owners(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Inbox>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_horizon(&self, topic: TopicId, horizon_us: i64) {
        if let Some(horizon) = self.horizons_us.get(topic) {
            horizon.store(horizon_us, Ordering::Relaxed);
        }
    }

    pub(crate) fn horizon_us(&self, topic: TopicId) -> i64 {
        let horizon = self.horizons_us.get(topic);
        horizon.map_or(i64::MAX, |horizon| horizon.load(Ordering::Relaxed))
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn memory_waits(&self) -> u64 {
        self.budget.waits()
    }

    pub(crate) fn partitions(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Status>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of a partition that is read; `None` where that is nothing, a defect.
    pub(crate) fn update<T>(
        &self,
        log: TopicPartition,
        change: impl FnOnce(&mut Status) -> T,
    ) -> Option<T> {
        let mut partitions = self.partitions();
        let Some(status) = partitions.get_mut(&log) else {
            self.count_defects(1);
            tracing::error!(?log, "nothing is known of a partition that is read, a defect");
            return None;
        };
        Some(change(status))
    }

    /// What had to be there was not, so often: it is in the log.
    pub(crate) fn count_defects(&self, times: u64) {
        self.defects.fetch_add(times, Ordering::Relaxed);
    }

    pub(crate) fn take_defects(&self) -> u64 {
        self.defects.swap(0, Ordering::Relaxed) + self.horizons_us.take_missed()
    }

    pub(crate) fn in_trouble(&self) -> bool {
        !self.troubles().is_empty()
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeSet<(Option<TopicId>, Cause)>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    pub(crate) fn new(events: SyncSender<Event>, shared: Arc<Shared>) -> Outlet {
        Outlet { events, shared }
    }

    /// Sends an event as soon as the other end takes it.
    pub(crate) fn send(&self, mut event: Event) -> Result<(), Stopped> {
        loop {
            match self.events.try_send(event) {
                Ok(()) => {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.stop();
                    return Err(Stopped);
                }
                Err(TrySendError::Full(refused)) => event = refused,
            }
            if self.stopped() {
                return Err(Stopped);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Sends a chunk once there is memory for it.
    pub(crate) fn send_chunk(&self, chunk: Chunk) -> Result<(), Stopped> {
        let rows: usize =
            chunk.rows.iter().map(|rows| rows.rows.record_batch().get_array_memory_size()).sum();
        let bytes = rows + std::mem::size_of_val(chunk.marks.as_slice());
        loop {
            if let Some(lease) = self.budget.take(bytes, PATIENCE) {
                return self.send(Event::Chunk { chunk, lease });
            }
            if self.stopped() {
                return Err(Stopped);
            }
        }
    }

    /// Tells of a trouble, once until it is over.
    pub(crate) fn trouble(
        &self,
        topic: Option<TopicId>,
        cause: Cause,
        message: String,
    ) -> Result<(), Stopped> {
        let new = self.troubles().insert((topic, cause));
        if !new {
            return Ok(());
        }
        self.send(Event::Trouble { topic, message, fatal: false })
    }

    /// Tells that a trouble is over, if there was one and no other is left.
    pub(crate) fn recovered(&self, topic: Option<TopicId>, cause: Cause) -> Result<(), Stopped> {
        let over = {
            let mut troubles = self.troubles();
            troubles.remove(&(topic, cause)) && !troubles.iter().any(|(other, _)| *other == topic)
        };
        if !over {
            return Ok(());
        }
        self.send(Event::Recovered { topic })
    }
}
