//! Kafka clients: their settings, their logs and their errors, in one place.

use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use driftline_config::{Partition, Secret};
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Timestamp};

use crate::error::{IngestError, Refusal};
use crate::login::Login;
use crate::plan::Connection;

/// How long one question to a broker may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How librdkafka begins when no token came.
const NO_TOKEN: &str = "Failed to acquire SASL OAUTHBEARER token";

/// More than a client tells while it waits for one answer.
const EVENTS_OF_A_FAILURE: usize = 64;
/// How long one of the events at a client's start is waited for.
const EVENT_OF_A_START: Duration = Duration::from_millis(50);

/// `message.max.bytes` of producers, the most that librdkafka knows: how large a record may be is for
/// the broker to say, whose limit is a topic's and is met by the compressed bytes.
pub(crate) const LARGEST_MESSAGE: (&str, &str) = ("message.max.bytes", "1000000000");

/// What a client's statistics say about one partition.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) topic: String,
    pub(crate) partition: Partition,
    /// The end of the log, by the last fetch.
    pub(crate) end: i64,
    /// Where the first transaction begins that is still open; the end where none is.
    pub(crate) stable_end: i64,
    /// The last offset for which the end of the partition was signalled.
    pub(crate) end_signalled: i64,
}

/// An error that an operator should know.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) why: String,
    pub(crate) refusal: Option<Refusal>,
}

/// Receives what librdkafka says beside messages.
#[derive(Debug, Default)]
pub(crate) struct Context {
    login: Option<Login>,
    /// Whether librdkafka asked for a token.
    token_asked: AtomicBool,
    figures: Mutex<Option<Vec<Figures>>>,
    error: Mutex<Option<Heard>>,
    recreated: Mutex<BTreeSet<String>>,
    /// Whether there are any: this is looked at for every record.
    any_recreated: AtomicBool,
}

impl Context {
    /// For a client of this connection.
    pub(crate) fn of(connection: &Connection) -> Context {
        Context { login: connection.login.clone(), ..Context::default() }
    }

    /// The statistics since the last call, if any came.
    pub(crate) fn take_figures(&self) -> Option<Vec<Figures>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Topics that were made again under the same name since the last call. Records of the new log come
    /// after this is known, and may come at the old offset.
    pub(crate) fn take_recreated(&self) -> Option<BTreeSet<String>> {
        if !self.any_recreated.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *self.recreated.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The last error that an operator should know, if any came since the last call.
    pub(crate) fn take_error(&self) -> Option<Heard> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(topic) = recreated_topic(facility, message) {
            let mut recreated = self.recreated.lock().unwrap_or_else(PoisonError::into_inner);
            recreated.insert(topic.to_owned());
            self.any_recreated.store(true, Ordering::Release);
        }
        // Each broker of each client says that it is gone; the trouble of a topic says it once.
        if matches!(facility, "FAIL" | "ERROR") {
            tracing::debug!(facility, message, "librdkafka");
            return;
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(facility, message, "librdkafka");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "librdkafka"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let figures = statistics
            .topics
            .into_iter()
            .flat_map(|(topic, figures)| {
                figures.partitions.into_iter().map(move |(partition, figures)| Figures {
                    topic: topic.clone(),
                    partition: Partition(partition),
                    end: figures.hi_offset,
                    stable_end: figures.ls_offset,
                    end_signalled: figures.eof_offset,
                })
            })
            .collect();
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = Some(figures);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let refusal = code.and_then(|code| refusal(code, reason));
        // A single lost connection is repaired by librdkafka and nobody's business.
        let down =
            matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Resolve));
        tracing::debug!(%error, reason, ?refusal, "librdkafka error");
        if down || refusal.is_some() {
            let mut known = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            // That all brokers are down follows from a certificate or a password, and says less.
            if refusal.is_some() || known.is_none() {
                *known = Some(Heard { why: reason.to_owned(), refusal });
            }
        }
    }

    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.token_asked.store(true, Ordering::Release);
        let login = self.login.as_ref();
        let login = login.ok_or("OAUTHBEARER is set up under kafka.auth, and nothing is there")?;
        Ok(login.token()?)
    }
}

/// What a code says of who refuses what.
fn refusal(code: RDKafkaErrorCode, reason: &str) -> Option<Refusal> {
    match code {
        RDKafkaErrorCode::SSL => Some(Refusal::Tls),
        RDKafkaErrorCode::Authentication if reason.contains(NO_TOKEN) => Some(Refusal::Token),
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            Some(Refusal::Authentication)
        }
        code if is_denied(code) => Some(Refusal::Authorization),
        _ => None,
    }
}

/// Whether the broker knows us and lets us not.
pub(crate) fn is_denied(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

impl ConsumerContext for Context {}

pub(crate) type Consumer = BaseConsumer<Context>;

pub(crate) fn settings(connection: &Connection, ours: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "driftline");
    config.set("log.connection.close", "false");
    config.set("reconnect.backoff.max.ms", "2000");
    config.set("socket.keepalive.enable", "true");
    for (key, value) in ours {
        config.set(*key, *value);
    }
    for (key, value) in &connection.properties {
        config.set(key, value.expose());
    }
    config.set("bootstrap.servers", &connection.bootstrap);
    config
}

/// A consumer that is told its partitions and offsets, and decides nothing by itself.
pub(crate) fn consumer(
    connection: &Connection,
    ours: &[(&str, &str)],
) -> Result<Consumer, IngestError> {
    let mut config = settings(connection, ours);
    let group = if connection.group.is_empty() { "driftline" } else { &connection.group };
    // These are not the operator's: the checkpoint holds the positions, and a position that the log
    // does not hold must be noticed.
    config.set("group.id", group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error");
    config.set("enable.partition.eof", "true");
    config.set("allow.auto.create.topics", "false");
    if connection.properties.contains_key("debug") {
        // Our context sorts the lines.
        config.set_log_level(RDKafkaLogLevel::Debug);
    }
    let consumer: Consumer = create(&config, connection, Context::of(connection))?;
    if connection.login.is_some() {
        // librdkafka asks for its token while it is polled, and many of these clients are asked first.
        for _ in 0..EVENTS_OF_A_FAILURE {
            if consumer.context().token_asked.load(Ordering::Acquire) {
                break;
            }
            let _ = consumer.poll(EVENT_OF_A_START);
        }
    }
    Ok(consumer)
}

/// The same for one that reads: it also knows when a topic was made again ([`Context::take_recreated`]).
pub(crate) fn reading_consumer(
    connection: &Connection,
    ours: &[(&str, &str)],
) -> Result<Consumer, IngestError> {
    let mut connection = connection.clone();
    let wanted = connection.properties.get("debug").map(|debug| format!("{},", debug.expose()));
    let debug = wanted.unwrap_or_default() + "metadata";
    connection.properties.insert("debug".to_owned(), Secret::new(&debug));
    consumer(&connection, ours)
}

/// librdkafka goes on at the old offset in the log of a topic that was made again, where that is long
/// enough, and says so in a line for debugging alone. `None` where this is another line, or the first time
/// that the topic is seen.
fn recreated_topic<'a>(facility: &str, message: &'a str) -> Option<&'a str> {
    const NOT_SEEN: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    if facility != "METADATA" {
        return None;
    }
    let (topic, ids) = message.split_once(" changed id from ")?;
    let (before, _) = ids.split_once(" to ")?;
    (before != NOT_SEEN).then_some(topic.rsplit(' ').next()?)
}

pub(crate) fn create<X, T: FromClientConfigAndContext<X>>(
    config: &ClientConfig,
    connection: &Connection,
    context: X,
) -> Result<T, IngestError>
where
    X: ClientContext,
{
    config.create_with_context(context).map_err(|error| match error {
        KafkaError::ClientConfig(_, why, property, value) => {
            let why = if value.is_empty() { why } else { why.replace(&value, "<value>") };
            IngestError::Property { property, why }
        }
        other => IngestError::Client {
            bootstrap: connection.bootstrap.clone(),
            why: without_values(connection, other.to_string()),
        },
    })
}

/// What librdkafka says without the values of properties, which it quotes: each may be a secret, be it
/// one that stands where none belongs.
fn without_values(connection: &Connection, said: String) -> String {
    let values = connection.properties.iter().filter(|(name, _)| *name != "security.protocol");
    values.fold(said, |said, (_, value)| match value.expose() {
        // Short words stand in every sentence.
        short if short.len() < 4 => said,
        value => said.replace(value, "<value>"),
    })
}

/// Tells an unreachable broker from an answer.
pub(crate) fn unreachable(connection: &Connection, error: &KafkaError) -> IngestError {
    IngestError::Unreachable {
        bootstrap: connection.bootstrap.clone(),
        why: error.to_string(),
        refusal: None,
    }
}

/// The same with what the client heard of the broker, which says more than that no answer came: a
/// password that is refused, or a certificate that nobody knows.
pub(crate) fn no_answer(
    client: &Consumer,
    connection: &Connection,
    error: &KafkaError,
) -> IngestError {
    // librdkafka tells such things while it is polled; these clients read nothing.
    for _ in 0..EVENTS_OF_A_FAILURE {
        let _ = client.poll(Duration::ZERO);
    }
    match client.context().take_error() {
        Some(Heard { why, refusal }) => {
            IngestError::Unreachable { bootstrap: connection.bootstrap.clone(), why, refusal }
        }
        None => unreachable(connection, error),
    }
}

/// The number of partitions of a topic; `None` where it does not exist.
pub(crate) fn partition_count(
    metadata: &Metadata,
    topic: &str,
) -> Result<Option<i32>, IngestError> {
    let unknown = |why: String, denied| IngestError::Topic { topic: topic.to_owned(), why, denied };
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(code) => Err(unknown(code.to_string(), is_denied(code))),
        None if found.partitions().is_empty() => {
            Err(unknown("it has no partitions yet".to_owned(), false))
        }
        None => Ok(i32::try_from(found.partitions().len()).ok()),
    }
}

pub(crate) fn partitions_of(
    client: &Consumer,
    connection: &Connection,
    topic: &str,
) -> Result<Option<i32>, IngestError> {
    let metadata = client
        .fetch_metadata(Some(topic), ANSWER_TIMEOUT)
        .map_err(|error| no_answer(client, connection, &error))?;
    partition_count(&metadata, topic)
}

/// A Kafka timestamp in microseconds and whether the producer set it.
pub(crate) fn timestamp_us(timestamp: Timestamp) -> (Option<i64>, bool) {
    match timestamp {
        Timestamp::CreateTime(ms) if ms >= 0 => (Some(ms.saturating_mul(1000)), true),
        Timestamp::LogAppendTime(ms) if ms >= 0 => (Some(ms.saturating_mul(1000)), false),
        _ => (None, true),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread: the administrative calls of rdkafka are futures, and ingest
/// has no runtime.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use driftline_config::Secret;

    use super::*;

    #[test]
    fn what_librdkafka_quotes_of_a_property_is_left_out() {
        for (name, value) in
            [("sasl.mechanisms", "planted-secret"), ("socket.timeout.ms", "planted-secret")]
        {
            let properties = [("security.protocol", "sasl_plaintext"), (name, value)];
            let properties =
                properties.map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
            let bootstrap = "localhost:1".to_owned();
            let connection = Connection { bootstrap, properties, ..Connection::default() };
            let Err(error) = consumer(&connection, &[]) else { panic!("{name} was taken") };
            assert!(!error.to_string().contains(value), "{error}");
        }
    }
}
