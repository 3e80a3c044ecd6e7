//! The layout of a capture batch: the columns, by name, that ingest writes and that windows,
//! candidates and files read and write alike.
//!
//! A capture batch is an Arrow `RecordBatch` of the accepted rows of one model from one partition,
//! in offset order. It always has the envelope columns below, then one value column per monitored
//! column in the order of the [`CaptureSchema`]. Two kinds of column are there only when a row of
//! the batch needs them: `wrong_type:SUBJECT` and [`UNKNOWN_COLUMNS`].

use arrow::datatypes::{DataType, Field, Schema};
use driftline_config::Subject;

/// Kafka offset, Int64, not null. Row number for files.
pub const OFFSET: &str = "offset";
/// Event time in microseconds since 1970-01-01 UTC, Int64, not null.
pub const TIME_US: &str = "time_us";
/// Kafka record timestamp in microseconds, Int64, not null; equals `time_us` where Kafka had none.
pub const RECORD_TIME_US: &str = "record_time_us";
/// The request's identifier, Utf8, nullable, at most 256 bytes.
pub const ID: &str = "id";
/// The version of the model that answered, Utf8, nullable.
pub const VERSION: &str = "version";
/// Latency in microseconds, Int64, nullable.
pub const LATENCY_US: &str = "latency_us";
/// HTTP-like status, Int32, nullable. Rows of 400 and above count for requests, errors and latency
/// only: their feature and prediction values are ignored.
pub const STATUS: &str = "status";
/// Share of the traffic that this row stands for (0 to 1, 1 by default), Float64, not null. Weights
/// request counts and volume, never n.
pub const SAMPLE_RATE: &str = "sample_rate";
/// How many envelope columns stand before the value columns.
pub const ENVELOPE_COLUMNS: usize = 8;

/// `List<Utf8>`, nullable: the names of this row's columns (`feature:x`, `prediction:y`) that are
/// neither monitored nor known to the baseline.
pub const UNKNOWN_COLUMNS: &str = "unknown_columns";
/// Prefix of the nullable Utf8 column that holds, for `wrong_type:feature:x`, the first 64
/// characters of each value that did not fit the kind of `feature:x`. The value itself is null in
/// the value column, yet it is not counted as missing.
pub const WRONG_TYPE_PREFIX: &str = "wrong_type:";
/// How many characters of a value of the wrong type are kept.
pub const WRONG_TYPE_CHARACTERS: usize = 64;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Float64 in a batch. NaN stands as a non-null NaN and is counted as `nan` and as missing;
    /// infinities are ordered values.
    Numeric,
    /// Utf8 in a batch, in the category text of CONTRACTS §3.
    Categorical,
}

/// One monitored column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// `feature:NAME` or `prediction:NAME`: the name of the value column, and (with `@VERSION` for
    /// predictions) the subject of its findings.
    pub subject: Subject,
    pub kind: Kind,
    /// Whether a string that holds a number is read as that number.
    pub coerce: bool,
}

impl Column {
    /// The key inside `features` or `prediction`: the subject without its prefix.
    pub fn name(&self) -> &str {
        self.subject.name()
    }

    /// Whether this is an output of the model rather than an input.
    pub fn is_prediction(&self) -> bool {
        self.subject.is_prediction()
    }
}

/// The value columns of one model's batches, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaptureSchema {
    /// Monitored columns; features first.
    pub columns: Vec<Column>,
    /// Subjects that stand in the baseline's `columns_seen` and are not monitored: ignored without
    /// a finding. Sorted.
    pub ignored: Vec<Subject>,
}

/// The Arrow schema of a model's batches without the columns that only some of them have: the envelope,
/// then the value columns.
pub fn batch_schema(schema: &CaptureSchema) -> Schema {
    let mut fields = vec![
        Field::new(OFFSET, DataType::Int64, false),
        Field::new(TIME_US, DataType::Int64, false),
        Field::new(RECORD_TIME_US, DataType::Int64, false),
        Field::new(ID, DataType::Utf8, true),
        Field::new(VERSION, DataType::Utf8, true),
        Field::new(LATENCY_US, DataType::Int64, true),
        Field::new(STATUS, DataType::Int32, true),
        Field::new(SAMPLE_RATE, DataType::Float64, false),
    ];
    fields.extend(schema.columns.iter().map(|column| {
        let kind = match column.kind {
            Kind::Numeric => DataType::Float64,
            Kind::Categorical => DataType::Utf8,
        };
        Field::new(column.subject.as_str(), kind, true)
    }));
    Schema::new(fields)
}
