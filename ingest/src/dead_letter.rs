//! Dead letters: rejected records leave with their raw bytes and their reason (RULES §3), and the
//! checkpoint learns which of them have not arrived yet.

mod folder;
mod pending;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use driftline_capture::Reason;
use driftline_config::{DeadLetters as Mode, Partition};

use crate::error::IngestError;
use crate::plan::Connection;
use folder::Folder;
use pending::Pending;
use topic::Topic;

/// Suffix of the topic that takes the dead letters of another.
const SUFFIX: &str = ".driftline.dead-letter";
/// Bytes of a too large record that are sent; its sha256 is of the whole.
const KEPT_BYTES: usize = 64 * 1024;
/// Bytes that a letter takes beside key, value and headers, about.
const LETTER_BYTES: usize = 256;

/// A rejected record as it was, and why it was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub topic: String,
    pub partition: Partition,
    pub offset: i64,
    /// Its timestamp in microseconds, where it had one.
    pub timestamp_us: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub reason: Reason,
    /// What and where, at most 256 bytes, never a feature's value.
    pub detail: String,
}

/// One of the last dead letters, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentDeadLetter {
    pub topic: String,
    pub partition: Partition,
    pub offset: i64,
    /// Its timestamp in microseconds, where it had one.
    pub timestamp_us: Option<i64>,
    pub reason: Reason,
    pub detail: String,
}

/// Takes rejected records to where the operator wants them. Clones share one state.
#[derive(Clone)]
pub struct DeadLetters {
    pending: Arc<Pending>,
    way: Arc<Way>,
}

enum Way {
    Off,
    Topic(Box<Topic>),
    Folder(Folder),
}

impl DeadLetters {
    /// Starts by the operator's setting. The broker is not asked yet; a folder is created.
    ///
    /// # Errors
    /// When librdkafka refuses a property or the folder cannot be written.
    pub fn start(
        connection: &Connection,
        mode: &Mode,
        limit_bytes: usize,
    ) -> Result<DeadLetters, IngestError> {
        let pending = Arc::new(Pending::new(limit_bytes));
        let way = match mode {
            Mode::Off => Way::Off,
            Mode::Topic => Way::Topic(Box::new(Topic::start(connection, Arc::clone(&pending))?)),
            Mode::Folder(path) => Way::Folder(Folder::open(path)?),
        };
        Ok(DeadLetters { pending, way: Arc::new(way) })
    }

    /// Makes sure that the letters of `topic`, which has `partitions` partitions, have a place: the
    /// readers ask before they read the first record of a topic.
    ///
    /// # Errors
    /// [`IngestError::Unreachable`], and [`IngestError::CannotCreate`] with the command to run and
    /// the setting to do without.
    pub fn prepare(&self, topic: &str, partitions: i32) -> Result<(), IngestError> {
        match &*self.way {
            Way::Topic(way) => way.prepare(topic, partitions),
            Way::Off | Way::Folder(_) => Ok(()),
        }
    }

    /// Takes a rejected record. It does not wait; [`DeadLetters::unacknowledged_below`] knows the
    /// record's offset until it has arrived.
    pub fn send(&self, letter: DeadLetter) {
        self.pending.remember(&letter);
        match &*self.way {
            Way::Off => {}
            Way::Topic(way) => {
                self.pending.add(&letter);
                way.send(letter, &self.pending);
            }
            Way::Folder(way) => {
                self.pending.add(&letter);
                way.queue(letter);
            }
        }
    }

    /// Moves on what does not move by itself: writes queued letters to their files and syncs them,
    /// sends refused ones again. The readers call it before each chunk and when idle.
    ///
    /// # Errors
    /// When a file cannot be written; its letters stay unacknowledged and are tried again.
    pub fn settle(&self) -> Result<(), IngestError> {
        match &*self.way {
            Way::Off => Ok(()),
            Way::Topic(way) => {
                way.retry(&self.pending);
                Ok(())
            }
            Way::Folder(way) => way.settle(&self.pending),
        }
    }

    /// The smallest offset of the partition whose letter has not arrived: a checkpoint of the
    /// partition may not pass it. `None` when all have.
    pub fn unacknowledged_below(&self, topic: &str, partition: Partition) -> Option<i64> {
        self.pending.smallest(topic, partition)
    }

    /// Bytes of letters that have not arrived.
    pub fn bytes_in_flight(&self) -> usize {
        self.pending.bytes()
    }

    /// How often a topic was held up because too many bytes of letters had not arrived.
    pub fn held_up(&self) -> u64 {
        self.pending.held_up()
    }

    /// Whether no more letters of this topic should come for now.
    pub(crate) fn is_full_for(&self, topic: &str) -> bool {
        self.pending.is_full_for(topic)
    }

    /// Whether there is room again.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.has_room()
    }

    /// Why the last refused letter was refused, as long as one waits to be sent again.
    pub fn trouble(&self) -> Option<String> {
        self.pending.trouble()
    }

    /// The last hundred, newest first.
    pub fn recent(&self) -> Vec<RecentDeadLetter> {
        self.pending.recent()
    }

    /// Waits until every letter has arrived.
    ///
    /// # Errors
    /// [`IngestError::Delivery`] when `timeout` passes first, and as [`DeadLetters::settle`].
    pub fn flush(&self, timeout: Duration) -> Result<(), IngestError> {
        self.settle()?;
        if self.pending.wait_until_empty(timeout) {
            return Ok(());
        }
        let why = self.trouble().unwrap_or_else(|| "no acknowledgement".to_owned());
        Err(IngestError::Delivery { topic: format!("*{SUFFIX}"), why })
    }
}

impl DeadLetter {
    fn bytes(&self) -> usize {
        let of = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
        LETTER_BYTES + of(&self.key) + of(&self.value) + headers
    }
}

#[cfg(test)]
mod tests;
