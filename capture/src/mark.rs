//! Records that are no rows, and why an envelope is rejected.

use std::fmt;

/// A record that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub offset: i64,
    /// Kafka timestamp in microseconds, where the record has one.
    pub record_time_us: Option<i64>,
    pub kind: MarkKind,
}

/// What a record is that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// Its envelope cannot be read: a dead letter.
    Rejected(Reason),
    /// It names a model that this topic is not configured for.
    Skipped {
        /// Index in [`Chunk::skipped_names`](crate::Chunk::skipped_names).
        name: u32,
    },
    /// It moves the watermark of its partition.
    Heartbeat {
        /// Index in the topic's models; `None` means all of them.
        model: Option<u32>,
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
    InvalidUtf8,
    /// Invalid or truncated JSON, or nested deeper than 127 levels.
    InvalidJson,
    /// Valid JSON, but not exactly one object.
    NotAnObject,
    /// `v` is a number and not 1.
    UnknownVersion,
    /// `model` is missing where several models share the topic, or is not a string.
    MissingModel,
    MissingTs,
    /// `ts` cannot be read, or lies before 2000 or after 9999.
    BadTimestamp,
    /// `ts` lies beyond the record timestamp by more than `max_ahead`.
    Future,
    /// The value has more bytes than the limit, or more values than are kept of one record.
    TooLarge,
    /// A body inside the event cannot be read: Base64, CSV, JSON in a string.
    InvalidBody,
    /// Lists of rows, names or shapes disagree in their lengths, or there are no rows.
    WrongShape,
    /// The frame of a schema registry is cut or begins with an unknown byte.
    InvalidFrame,
    /// The registry does not know the schema that the frame names, or it is no schema of this format.
    UnknownSchema,
    /// Avro or Protobuf that is cut, has bytes left over, or does not follow its schema.
    InvalidRecord,
}

impl Reason {
    /// Every reason, in the order in which a record is examined.
    pub const ALL: [Reason; 15] = [
        Reason::TooLarge,
        Reason::Empty,
        Reason::InvalidUtf8,
        Reason::InvalidJson,
        Reason::NotAnObject,
        Reason::UnknownVersion,
        Reason::MissingModel,
        Reason::MissingTs,
        Reason::BadTimestamp,
        Reason::Future,
        Reason::InvalidFrame,
        Reason::UnknownSchema,
        Reason::InvalidRecord,
        Reason::InvalidBody,
        Reason::WrongShape,
    ];

    /// The name in dead letters, metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::InvalidJson => "invalid_json",
            Reason::NotAnObject => "not_an_object",
            Reason::UnknownVersion => "unknown_version",
            Reason::MissingModel => "missing_model",
            Reason::MissingTs => "missing_ts",
            Reason::BadTimestamp => "bad_timestamp",
            Reason::Future => "future",
            Reason::TooLarge => "too_large",
            Reason::InvalidBody => "invalid_body",
            Reason::WrongShape => "wrong_shape",
            Reason::InvalidFrame => "invalid_frame",
            Reason::UnknownSchema => "unknown_schema",
            Reason::InvalidRecord => "invalid_record",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
