//! What comes out of reading: stretches of the log, and what happened to it.

use driftline_capture::Chunk;
use driftline_config::time::ClockReading;
use driftline_config::{Partition, TopicId};

use crate::budget::Lease;

/// What the readers tell, in order per partition.
#[derive(Debug)]
pub enum Event {
    Chunk {
        chunk: Chunk,
        /// Gives its share of the batch memory back when dropped: to be kept for as long as the chunk.
        lease: Lease,
    },
    /// Everything up to `offset` was sent and the log held no more. Sent at once, and again about every
    /// second with a newer sample for as long as that is so.
    EndOfPartition {
        topic: TopicId,
        partition: Partition,
        offset: i64,
        /// The newest moment of which it is known that the log held nothing at or beyond `offset`; `None`
        /// where it is known of none yet. However late the event comes, nothing of the time after that
        /// moment is claimed.
        sampled: Option<ClockReading>,
    },
    /// Records after the position wait for the end of a transaction. Sent again, every second or so,
    /// for as long as they do: the partition is not at its end.
    HeldBack { topic: TopicId, partition: Partition },
    /// The topic has this many partitions: sent first, and again whenever it has others. Of those that it
    /// has no longer, what was read before may still come, and nothing else does.
    Partitions { topic: TopicId, count: i32 },
    /// Records were gone before they could be read; reading goes on at `to`.
    Gap {
        topic: TopicId,
        partition: Partition,
        /// First offset that was not read.
        from: i64,
        /// First offset that the log still holds.
        to: i64,
        why: String,
    },
    /// The log is another one than that of the position; reading goes on at its beginning.
    Recreated {
        topic: TopicId,
        partition: Partition,
        position: i64,
        /// Where it goes on in the new log.
        offset: i64,
        /// What gave it away, in a sentence.
        why: String,
    },
    /// Something is wrong; reading is tried again unless `fatal`.
    Trouble {
        /// `None` where it is everybody's trouble.
        topic: Option<TopicId>,
        /// What, where and what to do, in a sentence.
        message: String,
        /// Whether this reader gave up.
        fatal: bool,
    },
    /// An earlier trouble of the same topic (or of the broker) is over.
    Recovered { topic: Option<TopicId> },
}
