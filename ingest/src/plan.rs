//! What is read: topics, the models on them, positions and bounds.

use std::collections::BTreeMap;

use driftline_config::capture::CaptureSchema;
use driftline_config::{Secret, Start};

/// How a broker is reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Connection {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Names the offsets that are committed for lag tools.
    pub group: String,
    /// Further librdkafka properties; they win over Driftline's own, except where Driftline's
    /// correctness hangs on a setting (offset storage, offset reset, partition end events).
    pub properties: BTreeMap<String, Secret>,
}

impl From<&driftline_config::Kafka> for Connection {
    fn from(kafka: &driftline_config::Kafka) -> Connection {
        Connection {
            bootstrap: kafka.bootstrap.clone(),
            group: kafka.group.clone(),
            properties: kafka.properties.clone(),
        }
    }
}

/// One model whose captures stand on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPlan {
    /// The name that captures carry.
    pub name: String,
    /// Its value columns.
    pub schema: CaptureSchema,
    /// How far `ts` may lie beyond the record timestamp, in microseconds.
    pub max_ahead_us: i64,
}

/// One topic and every model on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Kafka topic.
    pub topic: String,
    /// At least one. With exactly one, captures may leave `model` out.
    pub models: Vec<ModelPlan>,
    /// Where partitions without a position start: the earliest start of the topic's models.
    pub start: Start,
}

/// The bounds that ingest keeps: RULES §7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one record's value; larger ones are rejected as `too_large`.
    pub record_bytes: usize,
    /// Bytes of one string value; longer ones are cut.
    pub string_bytes: usize,
    /// Bytes of decoded rows, in builders and in the channel, that wait to be absorbed.
    pub batch_bytes: usize,
    /// Bytes of dead letters that wait for their acknowledgement.
    pub dead_letter_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::from(&driftline_config::Limits::default())
    }
}

impl From<&driftline_config::Limits> for Limits {
    fn from(limits: &driftline_config::Limits) -> Limits {
        Limits {
            record_bytes: limits.record_bytes,
            string_bytes: limits.string_bytes,
            batch_bytes: limits.batch_bytes,
            dead_letter_bytes: limits.dead_letter_bytes,
        }
    }
}

/// Where reading of one partition goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The next offset to read.
    pub offset: i64,
    /// [`crate::Chunk::fingerprint`] of the last record before it; `None` where no record was read
    /// yet. On start the record is read again and compared, so that a recreated topic is noticed.
    pub fingerprint: Option<Fingerprint>,
}

/// Which record stood where: tells a log from another log of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Offset of the record.
    pub offset: i64,
    /// First eight bytes of the sha256 over its timestamp, key and value.
    pub hash: u64,
}

/// Everything that [`crate::Readers`] read.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// The broker.
    pub connection: Connection,
    /// Topics; events name them by their index in this list.
    pub topics: Vec<TopicPlan>,
    /// Where reading goes on, by (topic, partition). Partitions without an entry start at the
    /// topic's `start`, or at their beginning when the topic has other positions already.
    pub positions: BTreeMap<(usize, i32), Position>,
    /// OS threads; `None` takes min(partitions, half of the cores, at least 1).
    pub threads: Option<usize>,
    /// Bounds.
    pub limits: Limits,
}
