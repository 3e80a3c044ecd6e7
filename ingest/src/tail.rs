//! The last records of a topic as they are, for whoever wants to see them.

use std::time::{Duration, Instant};

use driftline_config::Partition;
use rdkafka::Message;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{consumer, partitions_of, timestamp_us, unreachable};
use crate::error::IngestError;
use crate::plan::Connection;
use crate::reader::consumer_settings;
use crate::topic::watermarks;

/// How long the log may give nothing before what came is all.
const SILENCE: Duration = Duration::from_secs(10);

/// A record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRecord {
    pub partition: Partition,
    pub offset: i64,
    pub timestamp_us: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<LoggedHeader>,
}

/// A header with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedHeader {
    pub name: String,
    pub value: Vec<u8>,
}

/// The last records of all partitions together, at most so many, in the order of their timestamps.
///
/// # Errors
/// When the topic or the broker is not there.
pub fn last_records(
    connection: &Connection,
    topic: &str,
    most: usize,
) -> Result<Vec<LoggedRecord>, IngestError> {
    let consumer = consumer(connection, &consumer_settings("8192"))?;
    let partitions = partitions_of(&consumer, connection, topic)?
        .ok_or_else(|| IngestError::NoTopic { topic: topic.to_owned() })?;
    let mut list = TopicPartitionList::new();
    let mut unread = 0;
    for partition in 0..partitions {
        let (low, high) = watermarks(&consumer, connection, topic, Partition(partition))?;
        let from = high.saturating_sub(i64::try_from(most).unwrap_or(i64::MAX)).max(low);
        if from < high {
            list.add_partition_offset(topic, partition, Offset::Offset(from))
                .map_err(|error| unreachable(connection, &error))?;
            unread += 1;
        }
    }
    consumer.assign(&list).map_err(|error| unreachable(connection, &error))?;
    let mut records = Vec::new();
    let mut heard = Instant::now();
    while unread > 0 && heard.elapsed() < SILENCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                records.push(LoggedRecord::of(&message));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
            Some(Err(error)) => tracing::debug!(%error, "reading the end of a topic"),
            None => {}
        }
    }
    records.sort_by_key(|record| (record.timestamp_us, record.partition, record.offset));
    Ok(records.split_off(records.len().saturating_sub(most)))
}

impl LoggedRecord {
    fn of(message: &BorrowedMessage<'_>) -> LoggedRecord {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let headers = headers.filter_map(|header| {
            // A header without a value is none.
            let value = header.value?.to_vec();
            Some(LoggedHeader { name: header.key.to_owned(), value })
        });
        LoggedRecord {
            partition: Partition(message.partition()),
            offset: message.offset(),
            timestamp_us: timestamp_us(message.timestamp()).0,
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }
}
