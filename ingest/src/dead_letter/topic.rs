//! Dead letters to a Kafka topic beside the one they came from.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use driftline_capture::Reason;
use driftline_config::sha256_hex;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use super::pending::Pending;
use super::{DeadLetter, KEPT_BYTES, SUFFIX};
use crate::client::{Context, LARGEST_MESSAGE, create, settings};
use crate::error::IngestError;
use crate::plan::Connection;
use crate::topic::ensure_topic;

/// What a letter says of itself; a producer that sends a header of such a name does not speak for us.
const OUR_HEADERS: [&str; 7] = [REASON, DETAIL, TOPIC, PARTITION, OFFSET, BYTES, SHA256];
const REASON: &str = "driftline.reason";
const DETAIL: &str = "driftline.detail";
const TOPIC: &str = "driftline.topic";
const PARTITION: &str = "driftline.partition";
const OFFSET: &str = "driftline.offset";
const BYTES: &str = "driftline.bytes";
const SHA256: &str = "driftline.sha256";
/// How long a refused letter waits before it is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Topic {
    connection: Connection,
    producer: ThreadedProducer<Receipts>,
    refused: Arc<Mutex<Vec<Refused>>>,
    /// Partitions of each dead-letter topic.
    partitions: Mutex<BTreeMap<String, i32>>,
}

struct Sending {
    letter: DeadLetter,
    /// Whether only the beginning of its value is sent.
    cut: bool,
}

struct Refused {
    sending: Box<Sending>,
    after: Instant,
}

struct Receipts {
    pending: Arc<Pending>,
    refused: Arc<Mutex<Vec<Refused>>>,
    logs: Context,
}

impl ClientContext for Receipts {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logs.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logs.error(error, reason);
    }

    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.logs.generate_oauth_token(config)
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = Box<Sending>;

    fn delivery(&self, result: &DeliveryResult<'_>, sending: Box<Sending>) {
        match result {
            Ok(_) => self.pending.arrived(&sending.letter),
            Err((error, _)) => put_back(&self.refused, sending, &self.pending, error),
        }
    }
}

fn put_back(
    refused: &Mutex<Vec<Refused>>,
    mut sending: Box<Sending>,
    pending: &Pending,
    error: &KafkaError,
) {
    let too_large = error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
    sending.cut |= too_large;
    pending.refused(error.to_string());
    let after = Instant::now() + if too_large { Duration::ZERO } else { RETRY_AFTER };
    let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
    refused.push(Refused { sending, after });
}

impl Topic {
    pub(crate) fn start(
        connection: &Connection,
        pending: Arc<Pending>,
    ) -> Result<Topic, IngestError> {
        let ours = [
            ("acks", "all"),
            ("compression.type", "zstd"),
            ("linger.ms", "20"),
            // A letter waits for its broker as long as it takes: its offset holds the checkpoint.
            ("message.timeout.ms", "0"),
            LARGEST_MESSAGE,
        ];
        let refused = Arc::new(Mutex::new(Vec::new()));
        let receipts =
            Receipts { pending, refused: Arc::clone(&refused), logs: Context::of(connection) };
        let producer = create(&settings(connection, &ours), connection, receipts)?;
        let connection = connection.clone();
        Ok(Topic { connection, producer, refused, partitions: Mutex::default() })
    }

    pub(crate) fn prepare(&self, topic: &str, partitions: i32) -> Result<(), IngestError> {
        let name = format!("{topic}{SUFFIX}");
        let instead = "kafka.dead_letters to off or folder:PATH";
        let count = ensure_topic(&self.connection, &name, partitions, instead)?;
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(name, count);
        Ok(())
    }

    pub(crate) fn send(&self, letter: DeadLetter, pending: &Pending) {
        let cut = letter.reason == Reason::TooLarge;
        self.put(Box::new(Sending { letter, cut }), pending);
    }

    fn put(&self, sending: Box<Sending>, pending: &Pending) {
        let letter = &sending.letter;
        let name = format!("{}{SUFFIX}", letter.topic);
        let count = {
            let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
            partitions.get(&name).copied()
        };
        let partition = letter.partition.0;
        let timestamp_ms = letter.timestamp_us.map(|time_us| time_us.div_euclid(1000));
        let (key, value, headers) = (letter.key.clone(), kept(&sending), headers(&sending));
        let mut record =
            BaseRecord::<[u8], [u8], _>::with_opaque_to(&name, sending).headers(headers);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        record.timestamp = timestamp_ms;
        record.partition = (count > Some(partition)).then_some(partition);
        if let Err((error, record)) = self.producer.send(record) {
            put_back(&self.refused, record.delivery_opaque, pending, &error);
        }
    }

    /// Sends the letters again that were refused a while ago.
    pub(crate) fn retry(&self, pending: &Pending) {
        let due = {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let (due, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut *refused).into_iter().partition(|refused| refused.after <= now);
            *refused = later;
            due
        };
        for refused in due {
            self.put(refused.sending, pending);
        }
    }
}

/// The value as it was; the beginning of one that is too large.
fn kept(sending: &Sending) -> Option<Vec<u8>> {
    let value = sending.letter.value.as_deref()?;
    let length = if sending.cut { KEPT_BYTES } else { value.len() };
    Some(value.get(..length).unwrap_or(value).to_vec())
}

fn headers(sending: &Sending) -> OwnedHeaders {
    let letter = &sending.letter;
    let mut headers = OwnedHeaders::new();
    let is_ours = |name: &String| OUR_HEADERS.contains(&name.as_str());
    for (name, value) in letter.headers.iter().filter(|(name, _)| !is_ours(name)) {
        headers = headers.insert(Header { key: name, value: value.as_deref() });
    }
    let mut ours = vec![
        (REASON, letter.reason.as_str().to_owned()),
        (DETAIL, letter.detail.clone()),
        (TOPIC, letter.topic.clone()),
        (PARTITION, letter.partition.to_string()),
        (OFFSET, letter.offset.to_string()),
    ];
    if let Some(value) = &letter.value
        && sending.cut
        && value.len() > KEPT_BYTES
    {
        ours.push((BYTES, value.len().to_string()));
        ours.push((SHA256, sha256_hex(value)));
    }
    for (name, value) in &ours {
        headers = headers.insert(Header { key: name, value: Some(value.as_str()) });
    }
    headers
}

#[cfg(test)]
mod tests {
    use driftline_config::Partition;
    use rdkafka::message::Headers;

    use super::*;

    /// A producer that sent `driftline.reason` had the last word of its own in tools that read the first one.
    #[test]
    fn nobody_speaks_for_us() {
        let of_producer = ["trace", REASON, SHA256, "driftline.else"];
        let header = |name: &&str| ((*name).to_owned(), Some(b"theirs".to_vec()));
        let letter = DeadLetter {
            topic: "captures".to_owned(),
            partition: Partition(1),
            offset: 7,
            timestamp_us: None,
            key: None,
            value: Some(b"{".to_vec()),
            headers: of_producer.iter().map(header).collect(),
            reason: Reason::InvalidJson,
            detail: "byte 1".to_owned(),
        };
        let headers = headers(&Sending { letter, cut: false });
        let found: Vec<(&str, &[u8])> =
            headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        let expected: [(&str, &[u8]); 7] = [
            ("trace", b"theirs"),
            ("driftline.else", b"theirs"),
            (REASON, b"invalid_json"),
            (DETAIL, b"byte 1"),
            (TOPIC, b"captures"),
            (PARTITION, b"1"),
            (OFFSET, b"7"),
        ];
        assert_eq!(found, expected);
    }
}
