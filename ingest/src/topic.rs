//! Questions about topics: how many partitions, how long they keep, where a moment stands; and the
//! creation of the topics that Driftline writes.

use std::collections::BTreeMap;

use driftline_config::Partition;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::client::{
    ANSWER_TIMEOUT, Consumer, Context, consumer, create, partitions_of, settings, unreachable,
    wait_for,
};
use crate::error::IngestError;
use crate::plan::Connection;

/// What the broker says about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// First offset that the log holds and the one after the last, per partition.
    pub partitions: Vec<(i64, i64)>,
    /// `retention.ms`; `None` where it is unlimited or unknown.
    pub retention_ms: Option<i64>,
    /// `retention.bytes` per partition; `None` where it is unlimited or unknown.
    pub retention_bytes: Option<i64>,
    /// Whether the broker stamps the records (`LogAppendTime`); `None` where it is unknown.
    pub broker_timestamps: Option<bool>,
    /// `message.timestamp.after.max.ms`: how far ahead of the broker's clock a producer may stamp a record;
    /// `None` where it is unknown, be it to the broker.
    pub timestamp_after_max_ms: Option<i64>,
    /// `max.message.bytes`; `None` where it is unknown.
    pub max_message_bytes: Option<i64>,
    /// Whether records go once a later one of their key is there (`cleanup.policy` with `compact`); `None` where it
    /// is unknown.
    pub compacted: Option<bool>,
    /// Why the settings are unknown, where they are.
    pub settings_unknown: Option<String>,
}

/// Asks the broker about a topic.
///
/// # Errors
/// [`IngestError::Unreachable`] and [`IngestError::NoTopic`]. That the settings may not be read is
/// no error: [`TopicDescription::settings_unknown`] says why.
pub fn describe_topic(
    connection: &Connection,
    topic: &str,
) -> Result<TopicDescription, IngestError> {
    let partitions = topic_offsets(connection, topic)?;
    let settings = topic_settings(connection, topic);
    let number = |name: &str| {
        let entry = settings.as_ref().ok()?.get(name)?;
        entry.value.as_ref()?.parse::<i64>().ok().filter(|value| *value >= 0)
    };
    let stamps = settings.as_ref().ok().and_then(|found| found.get("message.timestamp.type"));
    let policy = settings.as_ref().ok().and_then(|found| found.get("cleanup.policy"));
    let policy = policy.and_then(|entry| entry.value.as_ref());
    Ok(TopicDescription {
        partitions,
        retention_ms: number("retention.ms"),
        retention_bytes: number("retention.bytes"),
        broker_timestamps: stamps
            .and_then(|entry| entry.value.as_ref())
            .map(|value| value == "LogAppendTime"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
        max_message_bytes: number("max.message.bytes"),
        compacted: policy.map(|policy| policy.contains("compact")),
        settings_unknown: settings.as_ref().err().cloned(),
    })
}

/// The first offset that the log holds and the one after the last, per partition: what is quick to
/// learn of a topic, and what every broker tells.
///
/// # Errors
/// As [`describe_topic`].
pub fn topic_offsets(connection: &Connection, topic: &str) -> Result<Vec<(i64, i64)>, IngestError> {
    let probe = consumer(connection, &[])?;
    let count = partitions_of(&probe, connection, topic)?
        .ok_or_else(|| IngestError::NoTopic { topic: topic.to_owned() })?;
    (0..count)
        .map(|partition| watermarks(&probe, connection, topic, Partition(partition)))
        .collect()
}

/// The first offset per partition whose record timestamp is at or after `time_us`; the end of the
/// log where there is none.
///
/// # Errors
/// As [`describe_topic`].
pub fn offsets_for_time(
    connection: &Connection,
    topic: &str,
    time_us: i64,
) -> Result<BTreeMap<Partition, i64>, IngestError> {
    let probe = consumer(connection, &[])?;
    let count = partitions_of(&probe, connection, topic)?
        .ok_or_else(|| IngestError::NoTopic { topic: topic.to_owned() })?;
    let partitions: Vec<Partition> = (0..count).map(Partition).collect();
    offsets_at(&probe, connection, topic, &partitions, time_us)
}

pub(crate) fn offsets_at(
    probe: &Consumer,
    connection: &Connection,
    topic: &str,
    partitions: &[Partition],
    time_us: i64,
) -> Result<BTreeMap<Partition, i64>, IngestError> {
    let mut times = TopicPartitionList::new();
    for partition in partitions {
        // Kafka stamps in milliseconds: the first one that is not before the microsecond.
        let time_ms = time_us.div_euclid(1000) + i64::from(time_us.rem_euclid(1000) > 0);
        times
            .add_partition_offset(topic, partition.0, Offset::Offset(time_ms.max(0)))
            .map_err(|error| unreachable(connection, &error))?;
    }
    let found = probe
        .offsets_for_times(times, ANSWER_TIMEOUT)
        .map_err(|error| unreachable(connection, &error))?;
    let mut offsets = BTreeMap::new();
    for element in found.elements() {
        let partition = Partition(element.partition());
        let offset = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => watermarks(probe, connection, topic, partition)?.1,
        };
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

/// First offset that the log holds, and the one after the last.
pub(crate) fn watermarks(
    probe: &Consumer,
    connection: &Connection,
    topic: &str,
    partition: Partition,
) -> Result<(i64, i64), IngestError> {
    probe
        .fetch_watermarks(topic, partition.0, ANSWER_TIMEOUT)
        .map_err(|error| unreachable(connection, &error))
}

fn topic_settings(connection: &Connection, topic: &str) -> Result<ConfigResource, String> {
    let admin = admin(connection).map_err(|error| error.to_string())?;
    let resources = [ResourceSpecifier::Topic(topic)];
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT));
    let answers = wait_for(admin.describe_configs(&resources, &options))
        .map_err(|error| error.to_string())?;
    let answer = answers.into_iter().next().ok_or_else(|| "no answer".to_owned())?;
    answer.map_err(|code| code.to_string())
}

fn admin(connection: &Connection) -> Result<AdminClient<Context>, IngestError> {
    if connection.login.is_some() {
        // rdkafka's administrative client is never polled, so that it would wait for a token for ever.
        let bootstrap = connection.bootstrap.clone();
        let why = "not to be asked for by a login of kafka.auth".to_owned();
        return Err(IngestError::Client { bootstrap, why });
    }
    create(&settings(connection, &[]), connection, Context::of(connection))
}

/// Makes sure that a topic that Driftline writes exists, and says how many partitions it has.
/// `instead` is the setting that does without it.
pub(crate) fn ensure_topic(
    connection: &Connection,
    topic: &str,
    partitions: i32,
    instead: &'static str,
) -> Result<i32, IngestError> {
    let probe = consumer(connection, &[])?;
    let refused = |why: String| IngestError::CannotCreate {
        topic: topic.to_owned(),
        why,
        bootstrap: connection.bootstrap.clone(),
        partitions,
        instead,
    };
    match partitions_of(&probe, connection, topic) {
        Ok(Some(count)) => return Ok(count),
        Ok(None) => {}
        // What may not be seen may not be made either.
        Err(IngestError::Topic { why, .. }) => return Err(refused(why)),
        Err(error) => return Err(error),
    }
    let admin = match admin(connection) {
        Err(_) if connection.login.is_some() => {
            return Err(refused("a login of kafka.auth creates no topics".to_owned()));
        }
        admin => admin?,
    };
    // Replication factor -1 is the broker's default.
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
    let options = AdminOptions::new()
        .request_timeout(Some(ANSWER_TIMEOUT))
        .operation_timeout(Some(ANSWER_TIMEOUT));
    let answers = wait_for(admin.create_topics([&wanted], &options))
        .map_err(|error| refused(error.to_string()))?;
    match answers.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
            tracing::info!(topic, partitions, "created a topic");
            Ok(partitions)
        }
        Some(Err((_, code))) => Err(refused(code.to_string())),
        None => Err(refused("no answer".to_owned())),
    }
}
