//! Which dead letters have not arrived yet, and what the last ones were.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driftline_config::Partition;

use super::{DeadLetter, RecentDeadLetter};

const RECENT: usize = 100;

#[derive(Debug)]
pub(crate) struct Pending {
    limit_bytes: usize,
    state: Mutex<Letters>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Letters {
    topics: BTreeMap<String, LettersOfTopic>,
    bytes: usize,
    recent: VecDeque<RecentDeadLetter>,
    trouble: Option<String>,
    /// How often a topic was held up for want of room.
    held_up: u64,
}

#[derive(Debug, Default)]
struct LettersOfTopic {
    offsets: BTreeMap<Partition, BTreeSet<i64>>,
    bytes: usize,
}

impl Pending {
    pub(crate) fn new(limit_bytes: usize) -> Pending {
        Pending { limit_bytes, state: Mutex::default(), arrived: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, Letters> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember(&self, letter: &DeadLetter) {
        let mut state = self.state();
        state.recent.truncate(RECENT - 1);
        state.recent.push_front(RecentDeadLetter {
            topic: letter.topic.clone(),
            partition: letter.partition,
            offset: letter.offset,
            timestamp_us: letter.timestamp_us,
            reason: letter.reason,
            detail: letter.detail.clone(),
        });
    }

    pub(crate) fn add(&self, letter: &DeadLetter) {
        let mut state = self.state();
        if !state.topics.contains_key(&letter.topic) {
            state.topics.insert(letter.topic.clone(), LettersOfTopic::default());
        }
        let Some(topic) = state.topics.get_mut(&letter.topic) else { return };
        if topic.offsets.entry(letter.partition).or_default().insert(letter.offset) {
            topic.bytes += letter.bytes();
            state.bytes += letter.bytes();
        }
    }

    pub(crate) fn arrived(&self, letter: &DeadLetter) {
        let mut state = self.state();
        let Some(topic) = state.topics.get_mut(&letter.topic) else { return };
        let Some(offsets) = topic.offsets.get_mut(&letter.partition) else { return };
        if offsets.remove(&letter.offset) {
            topic.bytes = topic.bytes.saturating_sub(letter.bytes());
            state.bytes = state.bytes.saturating_sub(letter.bytes());
        }
        if state.bytes == 0 {
            state.trouble = None;
            drop(state);
            self.arrived.notify_all();
        }
    }

    pub(crate) fn refused(&self, why: String) {
        self.state().trouble = Some(why);
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    pub(crate) fn smallest(&self, topic: &str, partition: Partition) -> Option<i64> {
        let state = self.state();
        state.topics.get(topic)?.offsets.get(&partition)?.first().copied()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Only topics that have letters under way are held up: the others did nothing.
    pub(crate) fn is_full_for(&self, topic: &str) -> bool {
        let mut state = self.state();
        let full =
            state.bytes > self.limit_bytes && state.topics.get(topic).is_some_and(|t| t.bytes > 0);
        state.held_up += u64::from(full);
        full
    }

    pub(crate) fn held_up(&self) -> u64 {
        self.state().held_up
    }

    /// Half of the limit, so that reading does not stop and start with every letter.
    pub(crate) fn has_room(&self) -> bool {
        self.state().bytes <= self.limit_bytes / 2
    }

    pub(crate) fn recent(&self) -> Vec<RecentDeadLetter> {
        self.state().recent.iter().cloned().collect()
    }

    pub(crate) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let (state, _) = self
            .arrived
            .wait_timeout_while(self.state(), timeout, |state| state.bytes > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.bytes == 0
    }
}
