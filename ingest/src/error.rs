//! What can go wrong between Driftline and Kafka.

use std::path::PathBuf;

/// An error of ingest. Broker trouble while reading is no error but an [`crate::Event::Trouble`].
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// librdkafka refuses a property; its value is not shown, it may be a secret.
    #[error("kafka.properties: {property} is refused: {why}")]
    Property {
        /// Name of the property.
        property: String,
        /// What librdkafka says.
        why: String,
    },
    /// A Kafka client cannot be made.
    #[error("cannot make a kafka client for {bootstrap}: {why}")]
    Client {
        /// The bootstrap list.
        bootstrap: String,
        /// What librdkafka says.
        why: String,
    },
    /// No broker answers.
    #[error("no answer from kafka at {bootstrap}: {why}")]
    Unreachable {
        /// The bootstrap list.
        bootstrap: String,
        /// What librdkafka says.
        why: String,
    },
    /// The topic is not there.
    #[error("topic {topic} does not exist: create it, or correct the name under captures.topic")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The broker does not tell about the topic.
    #[error("topic {topic} cannot be described: {why}")]
    Topic {
        /// Its name.
        topic: String,
        /// What the broker says.
        why: String,
    },
    /// A topic that Driftline writes does not exist and may not be created.
    #[error(
        "topic {topic} does not exist and could not be created ({why}): run \
         kafka-topics --create --bootstrap-server {bootstrap} --topic {topic} --partitions \
         {partitions}, or set {instead}"
    )]
    CannotCreate {
        /// Its name.
        topic: String,
        /// What the broker says.
        why: String,
        /// The bootstrap list.
        bootstrap: String,
        /// How many partitions it should have.
        partitions: i32,
        /// The setting to do without it.
        instead: &'static str,
    },
    /// A record was not acknowledged.
    #[error("topic {topic} did not take a record: {why}")]
    Delivery {
        /// The topic.
        topic: String,
        /// What librdkafka says.
        why: String,
    },
    /// A record is larger than its topic takes, whenever it is sent.
    #[error(
        "topic {topic} does not take a record of {bytes} bytes ({why}): raise max.message.bytes of \
         the topic, or message.max.bytes where kafka.properties sets it"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// Bytes of key and value, not compressed.
        bytes: usize,
        /// What librdkafka or the broker says.
        why: String,
    },
    /// The folder of dead letters cannot be written.
    #[error("dead letters cannot be written to {path}: {source}")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Reading made no progress.
    #[error(
        "topic {topic} partition {partition}: nothing came after offset {offset} for {seconds} s"
    )]
    Stalled {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The next offset.
        offset: i64,
        /// How long.
        seconds: u64,
    },
    /// A thread cannot be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Arrow refuses a batch.
    #[error("a batch of captures is inconsistent: {0}")]
    Batch(#[from] arrow::error::ArrowError),
    /// The embedded broker fails.
    #[error("the embedded broker failed: {0}")]
    Embedded(String),
}
