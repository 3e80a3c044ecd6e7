//! What can go wrong between Driftline and Kafka.

use std::path::PathBuf;

use driftline_config::Partition;
use driftline_formats::SchemaId;

/// What is refused between us and a broker, in the order in which it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A certificate, the broker's by us or ours by the broker.
    Tls,
    /// The token that we would show, by whoever gives it.
    Token,
    /// What we show: a password, a token.
    Authentication,
    /// What we want to do, of whoever the broker takes us for.
    Authorization,
}

/// An error of ingest. Broker trouble while reading is no error but an [`crate::Event::Trouble`].
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// librdkafka refuses a property; its value is not shown, it may be a secret.
    #[error("kafka.properties: {property} is refused: {why}")]
    Property { property: String, why: String },
    #[error("cannot make a kafka client for {bootstrap}: {why}")]
    Client { bootstrap: String, why: String },
    #[error("no answer from kafka at {bootstrap}: {why}")]
    Unreachable {
        bootstrap: String,
        why: String,
        /// What it is that is refused, where the broker is there and refuses.
        refusal: Option<Refusal>,
    },
    #[error("topic {topic} does not exist: create it, or correct the name under captures.topic")]
    NoTopic { topic: String },
    /// The broker does not tell about the topic.
    #[error("topic {topic} cannot be described: {why}")]
    Topic {
        topic: String,
        why: String,
        /// Whether it is that the broker knows us and lets us not.
        denied: bool,
    },
    /// A topic that Driftline writes does not exist and may not be created.
    #[error(
        "topic {topic} does not exist and could not be created ({why}): run \
         kafka-topics --create --bootstrap-server {bootstrap} --topic {topic} --partitions \
         {partitions} and let this user write to it, or set {instead}"
    )]
    CannotCreate {
        topic: String,
        why: String,
        bootstrap: String,
        partitions: i32,
        instead: &'static str,
    },
    #[error("topic {topic} did not take a record: {why}")]
    Delivery { topic: String, why: String },
    /// A record is larger than its topic takes, whenever it is sent.
    #[error(
        "topic {topic} does not take a record of {bytes} bytes ({why}): raise max.message.bytes of \
         the topic, or message.max.bytes where kafka.properties sets it"
    )]
    TooLarge {
        topic: String,
        /// Bytes of key and value, not compressed.
        bytes: usize,
        why: String,
    },
    /// The folder of dead letters cannot be written.
    #[error("dead letters cannot be written to {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    /// Reading made no progress.
    #[error(
        "topic {topic} partition {partition}: nothing came after offset {offset} for {seconds} s"
    )]
    Stalled { topic: String, partition: Partition, offset: i64, seconds: u64 },
    #[error("cannot start the thread {name}: {source}")]
    Thread { name: String, source: std::io::Error },
    /// Arrow refuses a batch.
    #[error("a batch of captures is inconsistent: {0}")]
    Batch(#[from] arrow::error::ArrowError),
    #[error("kafka.schema_registry: {url}: {why}")]
    RegistrySettings { url: String, why: String },
    /// A schema did not come in time.
    #[error("the schema registry at {url} gives no schema {id}: {why}")]
    Registry { url: String, id: SchemaId, why: String },
    #[error("the embedded broker failed: {0}")]
    Embedded(String),
}
