//! What comes out of reading: stretches of the log, and what happened to it.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::budget::Lease;
use crate::plan::Fingerprint;

/// What the readers tell, in order per partition.
#[derive(Debug)]
pub enum Event {
    /// A stretch of one partition's log.
    Chunk(Chunk),
    /// Everything up to `offset` was sent and the log held no more.
    EndOfPartition {
        /// Index of the topic in the plan.
        topic: usize,
        /// Kafka partition.
        partition: i32,
        /// The next offset.
        offset: i64,
        /// When the end was reached, in wall-clock microseconds.
        wall_us: i64,
    },
    /// Records after the position wait for the end of a transaction. Sent again, every second or so,
    /// for as long as they do: the partition is not at its end.
    HeldBack {
        /// Index of the topic in the plan.
        topic: usize,
        /// Kafka partition.
        partition: i32,
    },
    /// The topic has this many partitions: sent first, and again whenever it grows.
    Partitions {
        /// Index of the topic in the plan.
        topic: usize,
        /// Number of partitions.
        count: i32,
    },
    /// Records were gone before they could be read; reading goes on at `to`.
    Gap {
        /// Index of the topic in the plan.
        topic: usize,
        /// Kafka partition.
        partition: i32,
        /// First offset that was not read.
        from: i64,
        /// First offset that the log still holds.
        to: i64,
        /// What happened, in a sentence.
        why: String,
    },
    /// The log is another one than that of the position; reading goes on at its beginning.
    Recreated {
        /// Index of the topic in the plan.
        topic: usize,
        /// Kafka partition.
        partition: i32,
        /// Where reading would have gone on.
        position: i64,
        /// Where it goes on in the new log.
        offset: i64,
        /// What gave it away, in a sentence.
        why: String,
    },
    /// Something is wrong; reading is tried again unless `fatal`.
    Trouble {
        /// Index of the topic in the plan, where it is one topic's trouble.
        topic: Option<usize>,
        /// What, where and what to do, in a sentence.
        message: String,
        /// Whether this reader gave up.
        fatal: bool,
    },
    /// An earlier trouble of the same topic (or of the broker) is over.
    Recovered {
        /// As in the trouble.
        topic: Option<usize>,
    },
}

/// One stretch of one partition's log, `[from, to)`: every record in it is a row or a mark.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Index of the topic in the plan.
    pub topic: usize,
    /// Kafka partition.
    pub partition: i32,
    /// First offset of the stretch.
    pub from: i64,
    /// First offset after it.
    pub to: i64,
    /// Records read, marks included. Offsets may have holes (compaction, transaction markers), so
    /// this is never `to - from` by right.
    pub records: u64,
    /// Rows per model, each in offset order; by ascending model, those without rows are absent.
    pub rows: Vec<ModelRows>,
    /// Records that are no rows, in offset order.
    pub marks: Vec<Mark>,
    /// Names of the models in `marks` that this topic is not configured for.
    pub skipped_names: Vec<Arc<str>>,
    /// What was ignored inside accepted rows.
    pub ignored: Ignored,
    /// Size of the records' values in bytes.
    pub bytes: usize,
    /// The last record; `None` where `records` is 0.
    pub fingerprint: Option<Fingerprint>,
    /// Kafka timestamp of the last record that had one, in microseconds.
    pub last_record_us: Option<i64>,
    /// Whether the timestamps are the producers' (`CreateTime`) rather than the broker's.
    pub producer_timestamps: bool,
    /// Whether its partition waits now for [`Readers::resume`](crate::Readers::resume): a row lies
    /// beyond the topic's horizon.
    pub stopped: bool,
    /// Gives the chunk's share of the batch memory back when dropped.
    pub lease: Lease,
}

/// Counts of what was ignored inside accepted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored {
    /// Top-level keys that CONTRACTS §3 does not name.
    pub unknown_keys: u64,
    /// Optional envelope fields whose value has the wrong type or range; they count as absent. An
    /// `id` of more than 256 bytes is one.
    pub unusable_fields: u64,
    /// String values longer than the limit; they were cut.
    pub cut_strings: u64,
}

impl Ignored {
    /// Adds the counts of another stretch.
    pub fn add(&mut self, other: Ignored) {
        self.unknown_keys += other.unknown_keys;
        self.unusable_fields += other.unusable_fields;
        self.cut_strings += other.cut_strings;
    }
}

/// The accepted rows of one model in one stretch.
#[derive(Debug, Clone)]
pub struct ModelRows {
    /// Index in the topic's models.
    pub model: usize,
    /// In the layout of `driftline_config::capture`.
    pub rows: RecordBatch,
}

/// A record that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Kafka offset.
    pub offset: i64,
    /// Kafka timestamp in microseconds, where the record has one.
    pub record_time_us: Option<i64>,
    /// What it is instead.
    pub kind: MarkKind,
}

/// What a record is that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// Its envelope cannot be read: a dead letter.
    Rejected(Reason),
    /// It names a model that this topic is not configured for.
    Skipped {
        /// Index in [`Chunk::skipped_names`].
        name: u32,
    },
    /// It moves the watermark of its partition.
    Heartbeat {
        /// Index in the topic's models; `None` means all of them.
        model: Option<u32>,
        /// Event time in microseconds.
        time_us: i64,
        /// Kafka timestamp in microseconds; `time_us` where the record has none.
        record_time_us: i64,
    },
}

/// Why an envelope was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No value, or one of no bytes.
    Empty,
    /// The value is not UTF-8.
    InvalidUtf8,
    /// Invalid or truncated JSON, or nested deeper than 127 levels.
    InvalidJson,
    /// Valid JSON, but not exactly one object.
    NotAnObject,
    /// `model` is missing where several models share the topic, or is not a string.
    MissingModel,
    /// `ts` is missing.
    MissingTs,
    /// `ts` cannot be read, or lies before 2000 or after 9999.
    BadTimestamp,
    /// `ts` lies beyond the record timestamp by more than `max_ahead`.
    Future,
    /// The value has more bytes than the limit.
    TooLarge,
}

impl Reason {
    /// Every reason, in the order in which a record is examined.
    pub const ALL: [Reason; 9] = [
        Reason::TooLarge,
        Reason::Empty,
        Reason::InvalidUtf8,
        Reason::InvalidJson,
        Reason::NotAnObject,
        Reason::MissingModel,
        Reason::MissingTs,
        Reason::BadTimestamp,
        Reason::Future,
    ];

    /// The name in dead letters, metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::InvalidJson => "invalid_json",
            Reason::NotAnObject => "not_an_object",
            Reason::MissingModel => "missing_model",
            Reason::MissingTs => "missing_ts",
            Reason::BadTimestamp => "bad_timestamp",
            Reason::Future => "future",
            Reason::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
