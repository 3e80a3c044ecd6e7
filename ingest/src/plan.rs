//! What is read: topics, the models on them, positions and bounds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use driftline_capture::Fingerprint;
use driftline_config::{SchemaRegistry, Secret, Start, TopicId, TopicPartition};
use driftline_formats::{ModelPlan, RecordLimits};

use crate::clock::Clock;
use crate::login::Login;

/// How a broker, and the registry beside it, is reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Connection {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Names the offsets that are committed for lag tools.
    pub group: String,
    /// Further librdkafka properties; they win over Driftline's own, except where Driftline's
    /// correctness hangs on a setting (offset storage, offset reset, partition end events).
    pub properties: BTreeMap<String, Secret>,
    /// Gives the tokens by which the broker knows us; `None` leaves the login to the properties.
    pub login: Option<Login>,
    /// Where the schemas of its records are asked for.
    pub registry: Option<SchemaRegistry>,
}

impl TopicPlan {
    /// Whether its records are read by schemas of a registry.
    pub(crate) fn needs_schemas(&self) -> bool {
        let mappings = self.models.iter().filter_map(|model| model.mapping.as_ref());
        mappings.into_iter().any(|mapping| mapping.encoding.needs_schemas())
    }
}

impl From<&driftline_config::Kafka> for Connection {
    fn from(kafka: &driftline_config::Kafka) -> Connection {
        Connection {
            bootstrap: kafka.bootstrap.clone(),
            group: kafka.group.clone(),
            properties: properties(kafka),
            login: kafka.auth.clone().map(Login::new),
            registry: kafka.schema_registry.clone(),
        }
    }
}

/// The operator's own with those that `kafka.auth` and `kafka.tls` stand for.
fn properties(kafka: &driftline_config::Kafka) -> BTreeMap<String, Secret> {
    let mut properties = kafka.properties.clone();
    let mut set = |name: &str, value: &str| {
        properties.insert(name.to_owned(), Secret::new(value));
    };
    let by_password = kafka.properties.keys().any(|name| name.starts_with("sasl.mechanism"));
    if kafka.auth.is_some() {
        set("sasl.mechanisms", "OAUTHBEARER");
        set("security.protocol", "sasl_ssl");
    } else if kafka.tls.is_some() {
        set("security.protocol", if by_password { "sasl_ssl" } else { "ssl" });
    }
    let Some(tls) = &kafka.tls else { return properties };
    let mut set_path = |name: &str, path: &Path| set(name, &path.to_string_lossy());
    if let Some(ca) = &tls.ca {
        set_path("ssl.ca.location", ca);
    }
    if let Some(identity) = &tls.identity {
        set_path("ssl.certificate.location", &identity.certificate);
        set_path("ssl.key.location", &identity.key);
        if let Some(password) = &identity.key_password {
            properties.insert("ssl.key.password".to_owned(), password.clone());
        }
    }
    properties
}

/// One topic and every model on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    pub topic: String,
    /// At least one. With exactly one, captures may leave `model` out.
    pub models: Vec<ModelPlan>,
    /// Where partitions without a position start: the earliest start of the topic's models.
    pub start: Start,
}

/// The bounds that reading keeps: RULES §7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    pub record: RecordLimits,
    /// Bytes of decoded rows, in builders and in the channel, that wait to be absorbed.
    pub batch_bytes: usize,
    /// Bytes of dead letters that wait for their acknowledgement.
    pub dead_letter_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> ReadLimits {
        ReadLimits::from(&driftline_config::Limits::default())
    }
}

impl From<&driftline_config::Limits> for ReadLimits {
    fn from(limits: &driftline_config::Limits) -> ReadLimits {
        ReadLimits {
            record: RecordLimits::from(limits),
            batch_bytes: limits.batch_bytes,
            dead_letter_bytes: limits.dead_letter_bytes,
        }
    }
}

/// Where reading of one partition goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub offset: i64,
    /// [`driftline_capture::Chunk::fingerprint`] of the last record before it; `None` where no record was read
    /// yet. On start the record is read again and compared, so that a recreated topic is noticed.
    pub fingerprint: Option<Fingerprint>,
}

/// What becomes of names that no model of a topic has: by default nothing, their records are skipped.
#[derive(Clone, Default)]
pub struct Newcomers {
    /// How far a record is read before its name is known, of each topic whose names are asked about.
    templates: BTreeMap<TopicId, ModelPlan>,
    make: Option<Arc<MakeModel>>,
}

/// Makes the model of a name on a topic, or none.
type MakeModel = dyn Fn(TopicId, &str) -> Option<ModelPlan> + Send + Sync;

impl Newcomers {
    /// Asks `make` about each name that is met on one of these topics and has no model there: at most once a
    /// name and partition while few are refused, by one thread for a topic at a time, and before any record of
    /// the model is handed over. What it makes must follow from the name.
    pub fn new(
        templates: BTreeMap<TopicId, ModelPlan>,
        make: impl Fn(TopicId, &str) -> Option<ModelPlan> + Send + Sync + 'static,
    ) -> Newcomers {
        Newcomers { templates, make: Some(Arc::new(make)) }
    }

    pub(crate) fn template(&self, topic: TopicId) -> Option<&ModelPlan> {
        self.templates.get(&topic)
    }

    pub(crate) fn make(&self, topic: TopicId, name: &str) -> Option<ModelPlan> {
        self.make.as_ref().and_then(|make| make(topic, name))
    }
}

impl fmt::Debug for Newcomers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Newcomers").field(&self.templates).finish()
    }
}

/// Everything that [`crate::Readers`] read.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    pub connection: Connection,
    /// Events name them by their place in this list.
    pub topics: Vec<TopicPlan>,
    /// Where reading goes on. Partitions without an entry start at the
    /// topic's `start`, or at their beginning when the topic has other positions already.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// OS threads; `None` takes min(partitions, half of the cores, at least 1).
    pub threads: Option<usize>,
    pub limits: ReadLimits,
    /// What becomes of names that no model of a topic has.
    pub newcomers: Newcomers,
    /// The clock of the whole service: ends are sampled by it, and no row beyond it counts as progress.
    pub clock: Clock,
}
