//! Producers: reports, one acknowledged record at a time, and captures, as fast as the broker takes
//! them.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode;

use crate::client::{Context, LARGEST_MESSAGE, create, settings};
use crate::error::IngestError;
use crate::plan::Connection;
use crate::topic::ensure_topic;

#[cfg(test)]
mod tests;

/// Sends reports; each is acknowledged by all replicas before the call returns.
pub struct ReportProducer {
    connection: Connection,
    topic: String,
    producer: ThreadedProducer<Acknowledging>,
}

#[derive(Default)]
struct Acknowledging {
    logs: Context,
}

impl ClientContext for Acknowledging {
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

impl ProducerContext for Acknowledging {
    type DeliveryOpaque = Box<SyncSender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, done: Self::DeliveryOpaque) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        // The sender may have given up waiting.
        let _ = done.try_send(result);
    }
}

impl ReportProducer {
    /// A producer for `topic`. The broker is not asked yet.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn start(connection: &Connection, topic: &str) -> Result<ReportProducer, IngestError> {
        let ours = [
            ("enable.idempotence", "true"),
            ("compression.type", "zstd"),
            ("linger.ms", "0"),
            LARGEST_MESSAGE,
        ];
        let config = settings(connection, &ours);
        let producer =
            create(&config, connection, Acknowledging { logs: Context::of(connection) })?;
        Ok(ReportProducer { connection: connection.clone(), topic: topic.to_owned(), producer })
    }

    /// Makes sure that the topic exists: creates it with one partition where it does not.
    ///
    /// # Errors
    /// [`IngestError::Unreachable`], and [`IngestError::CannotCreate`] with the command to run.
    pub fn prepare(&self) -> Result<(), IngestError> {
        ensure_topic(&self.connection, &self.topic, 1, "kafka.reports: off").map(|_| ())
    }

    /// Sends one record and waits for its acknowledgement.
    ///
    /// # Errors
    /// [`IngestError::Delivery`] when the broker refuses it or `timeout` passes: it may or may not
    /// stand in the log, send it again. [`IngestError::TooLarge`] is for good.
    pub fn send(&self, key: &str, value: &[u8], timeout: Duration) -> Result<(), IngestError> {
        let refused = |error: KafkaError| self.refused(&error, key.len() + value.len());
        let (done, acknowledged) = sync_channel(1);
        let record =
            BaseRecord::with_opaque_to(&self.topic, Box::new(done)).key(key).payload(value);
        self.producer.send(record).map_err(|(error, _)| refused(error))?;
        let late = |_| IngestError::Delivery {
            topic: self.topic.clone(),
            why: format!("no acknowledgement within {} s", timeout.as_secs()),
        };
        acknowledged.recv_timeout(timeout).map_err(late)?.map_err(refused)
    }

    fn refused(&self, error: &KafkaError, bytes: usize) -> IngestError {
        let (topic, why) = (self.topic.clone(), error.to_string());
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge,
            ) => IngestError::TooLarge { topic, bytes, why },
            _ => IngestError::Delivery { topic, why },
        }
    }
}

/// One record to produce.
#[derive(Debug, Clone, Copy)]
pub struct Capture<'a> {
    pub topic: &'a str,
    /// Kafka partition; `None` leaves it to the hash of the key.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// Kafka timestamp in microseconds (kept to the millisecond); `None` is now.
    pub timestamp_us: Option<i64>,
}

/// Sends captures in batches, waiting where the broker is slower than the caller.
pub struct CaptureProducer {
    producer: BaseProducer<Counting>,
}

#[derive(Default)]
struct Counting {
    logs: Context,
    delivered: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl ClientContext for Counting {
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

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl CaptureProducer {
    /// A producer. The broker is not asked yet.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub fn start(connection: &Connection) -> Result<CaptureProducer, IngestError> {
        let ours = [
            ("enable.idempotence", "true"),
            ("compression.type", "zstd"),
            ("linger.ms", "20"),
            LARGEST_MESSAGE,
        ];
        let config = settings(connection, &ours);
        let counting = Counting { logs: Context::of(connection), ..Counting::default() };
        Ok(CaptureProducer { producer: create(&config, connection, counting)? })
    }

    /// Queues one record; waits while the queue is full.
    ///
    /// # Errors
    /// [`IngestError::Delivery`] when the record can never be sent (too large, no such partition).
    pub fn send(&self, capture: &Capture<'_>) -> Result<(), IngestError> {
        let mut record = BaseRecord::to(capture.topic).payload(capture.value);
        record.key = capture.key;
        record.partition = capture.partition;
        record.timestamp = capture.timestamp_us.map(|time_us| time_us.div_euclid(1000));
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((error, refused))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
                {
                    self.producer.poll(Duration::from_millis(10));
                    record = refused;
                }
                Err((error, _)) => {
                    let topic = capture.topic.to_owned();
                    return Err(IngestError::Delivery { topic, why: error.to_string() });
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Records that the broker acknowledged.
    pub fn delivered(&self) -> u64 {
        self.producer.context().delivered.load(Ordering::Relaxed)
    }

    /// Waits until every queued record was acknowledged.
    ///
    /// # Errors
    /// [`IngestError::Delivery`] when `timeout` passes first or a record was refused since the start.
    pub fn flush(&self, timeout: Duration) -> Result<(), IngestError> {
        let deadline = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(10));
        }
        let context = self.producer.context();
        let why = if self.producer.in_flight_count() > 0 {
            format!("records are not acknowledged after {} s", timeout.as_secs())
        } else {
            let failed = context.failed.load(Ordering::Relaxed);
            let first = context.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
            match &*first {
                Some(error) => format!("{failed} records were refused, the first with: {error}"),
                None => return Ok(()),
            }
        };
        Err(IngestError::Delivery { topic: "of the captures".to_owned(), why })
    }
}
