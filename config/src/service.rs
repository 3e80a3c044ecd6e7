//! Everything the operator declares once for the whole service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::login::{KafkaAuth, KafkaTls};
use crate::model::Model;
use crate::secret::Secret;
use crate::template::Template;
use crate::time::{HOUR_US, MINUTE_US};

/// A whole, valid configuration. Relative paths have been resolved against the file they stand in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub path: PathBuf,
    /// The broker and our topics on it.
    pub kafka: Kafka,
    pub state: PathBuf,
    pub http: Http,
    /// Models with a section each; names are unique. Those of the file itself first, then those of the
    /// included files in order of their paths. None only where there are templates.
    pub models: Vec<Model>,
    /// What other names that are seen become, in the same order: the first that matches counts.
    pub templates: Vec<Template>,
    /// When incidents open and how often they are repeated.
    pub alerts: AlertRules,
    pub receivers: Vec<Receiver>,
    pub reports: ReportStore,
    pub limits: Limits,
    /// What the process of a candidate may do.
    pub shadow: Sandbox,
    /// Path of the ONNX Runtime library, where the operator named one.
    pub onnxruntime: Option<PathBuf>,
}

/// The broker and our topics on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// Names the offsets that are committed for lag tools.
    pub group: String,
    /// Further librdkafka properties; values may be secrets.
    pub properties: BTreeMap<String, Secret>,
    /// A login by tokens; others are properties.
    pub auth: Option<KafkaAuth>,
    /// Encryption; `None` leaves it to the properties.
    pub tls: Option<KafkaTls>,
    /// Topic of the reports; `None` is off.
    pub reports: Option<String>,
    pub dead_letters: DeadLetters,
    /// Where the schemas of records are asked for.
    pub schema_registry: Option<SchemaRegistry>,
}

/// A Confluent-compatible schema registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRegistry {
    pub url: String,
    /// Folder in which schemas are kept for ever.
    pub cache: PathBuf,
    pub login: RegistryLogin,
    /// PEM file of further certificates that are trusted.
    pub ca: Option<PathBuf>,
}

/// How a registry knows us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryLogin {
    None,
    Password { user: Secret, password: Secret },
    Token(Secret),
}

/// Where rejected records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetters {
    /// `<topic>.driftline.dead-letter`.
    Topic,
    Off,
    /// One JSON Lines file per topic in this folder.
    Folder(PathBuf),
}

/// The HTTP listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// `address:port`.
    pub listen: String,
    /// The address under which people reach it; links in mails start with it.
    pub external_url: Option<String>,
    /// Required beyond loopback for all but probes and metrics, and always for writes.
    pub token: Option<Secret>,
    /// Further tokens, each with a name and with what it is for.
    pub tokens: Vec<HttpToken>,
    /// Who may say who a user is.
    pub user: Option<TrustedProxy>,
    /// Encryption; without it the listener speaks in the clear.
    pub tls: Option<HttpTls>,
}

/// A token of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpToken {
    /// What audit lines call it.
    pub name: String,
    pub token: Secret,
    pub scopes: BTreeSet<TokenScope>,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenScope {
    Read,
    Write,
    Ingest,
    Hooks,
}

impl TokenScope {
    pub const ALL: [TokenScope; 4] =
        [TokenScope::Read, TokenScope::Write, TokenScope::Ingest, TokenScope::Hooks];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            TokenScope::Read => "read",
            TokenScope::Write => "write",
            TokenScope::Ingest => "ingest",
            TokenScope::Hooks => "hooks",
        }
    }
}

/// A proxy that has asked users who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxy {
    /// The header in which it names the user, in lower case.
    pub header: String,
    /// Where it comes from. From elsewhere the header says nothing.
    pub from: Vec<IpAddr>,
}

/// What the listener encrypts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTls {
    /// PEM file of the certificate and those that vouch for it.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// When incidents open and how often they are repeated: RULES §5.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRules {
    /// `for.drift`: k of n windows.
    pub drift: DriftRule,
    /// `repeat.drift`, in microseconds.
    pub repeat_drift_us: i64,
    /// `repeat.operations`, in microseconds.
    pub repeat_operations_us: i64,
    /// Transitions that are older are recorded and not sent.
    pub max_age: MaxAge,
}

/// How old a transition may be and still be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxAge {
    /// The larger of an hour and one window of the model.
    #[default]
    Default,
    /// So many microseconds, whatever the model.
    After(i64),
    Off,
}

impl MaxAge {
    /// The limit for a model with windows of this length; `None` where there is none.
    pub fn limit_us(self, window_every_us: i64) -> Option<i64> {
        match self {
            MaxAge::Default => Some(window_every_us.max(HOUR_US)),
            MaxAge::After(age_us) => Some(age_us),
            MaxAge::Off => None,
        }
    }
}

/// An incident of drift opens after `windows` of the last `of` windows at alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftRule {
    pub windows: u32,
    pub of: u32,
}

/// Somebody or something that is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    pub name: String,
    /// What it wants, as the operator ordered it: both where none was named for a webhook, alerts
    /// for a mail and an Alertmanager.
    pub on: Vec<Wants>,
    pub kind: ReceiverKind,
}

impl Receiver {
    /// Whether it is told about this.
    pub fn wants(&self, what: Wants) -> bool {
        self.on.contains(&what)
    }
}

/// A class of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// Incidents that open, change and resolve.
    Alerts,
    /// Requests to train a model anew.
    Retrain,
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum ReceiverKind {
    Email(Email),
    /// By a signed HTTP POST.
    Webhook(Webhook),
    /// By API v2 of an Alertmanager, which tells people itself.
    Alertmanager(Alertmanager),
    /// Where people of a team meet: Slack, Microsoft Teams, PagerDuty, ntfy.
    Channel(Channel),
}

/// A mail receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Email {
    /// SMTP or a folder of `.eml` files.
    pub transport: MailTransport,
    pub from: String,
    /// Recipient addresses; at least one.
    pub to: Vec<String>,
}

/// How mail leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum MailTransport {
    /// An SMTP server: `smtp://host:port` (STARTTLS required), `smtps://host:port` (TLS from the
    /// start) or `smtp+insecure://host:port` (no TLS).
    Smtp {
        /// The address as written.
        server: String,
        /// User name for AUTH.
        user: Option<String>,
        password: Option<Secret>,
        /// PEM file of a certificate authority to trust beside the built-in roots.
        ca: Option<PathBuf>,
    },
    /// One `.eml` file per mail in this folder.
    Folder(PathBuf),
}

/// Where people of a team are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    pub kind: ChannelKind,
    /// `http://` or `https://`; of Slack and Teams it is the secret itself.
    pub url: Secret,
    /// PagerDuty's integration key, or ntfy's access token.
    pub key: Option<Secret>,
    /// PEM file of a certificate authority to trust beside the built-in roots.
    pub ca: Option<PathBuf>,
}

/// Whose form a message has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// An incoming webhook.
    Slack,
    /// A workflow that waits for a webhook request.
    Teams,
    /// Events API v2.
    PagerDuty,
    Ntfy {
        topic: String,
    },
}

impl ChannelKind {
    /// Its key in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            ChannelKind::Slack => "slack",
            ChannelKind::Teams => "teams",
            ChannelKind::PagerDuty => "pagerduty",
            ChannelKind::Ntfy { .. } => "ntfy",
        }
    }

    /// As people call it.
    pub fn title(&self) -> &'static str {
        match self {
            ChannelKind::Slack => "Slack webhook",
            ChannelKind::Teams => "Teams workflow",
            ChannelKind::PagerDuty => "PagerDuty API",
            ChannelKind::Ntfy { .. } => "ntfy server",
        }
    }
}

/// A webhook receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// `http://` or `https://`.
    pub url: Secret,
    /// Standard Webhooks secret (`whsec_…` or any text).
    pub secret: Option<Secret>,
    /// Further headers; values may be secrets.
    pub headers: BTreeMap<String, Secret>,
    /// PEM file of a certificate authority to trust beside the built-in roots.
    pub ca: Option<PathBuf>,
}

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq)]
pub struct Alertmanager {
    /// `http://` or `https://`, with the path under which it is served, without `/api/v2`.
    pub url: Secret,
    /// Further headers; values may be secrets.
    pub headers: BTreeMap<String, Secret>,
    /// PEM file of a certificate authority to trust beside the built-in roots.
    pub ca: Option<PathBuf>,
    /// How often an alert that fires is sent again, in microseconds.
    pub resend_us: i64,
    /// Where people find the runbook; the annotation `runbook_url` adds the anchor of the class.
    pub runbook: Option<String>,
}

/// How long reports are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportStore {
    /// In microseconds of window end.
    pub keep_us: i64,
}

/// What the process of a candidate may do: the section `shadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Most bytes of address space, the library's among them.
    pub memory_bytes: u64,
    /// Most processor time of loading library and model.
    pub load_us: i64,
    /// Most processor time of one slice of rows.
    pub run_us: i64,
    /// Whether candidates are scored where the kernel cannot lock their processes up.
    pub unsandboxed: bool,
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        let (load_us, run_us) = (MINUTE_US, MINUTE_US / 2);
        Sandbox { memory_bytes: 2 << 30, load_us, run_us, unsandboxed: false }
    }
}

/// Every bound of RULES §7; each has a counter in `driftline_limit_reached_total`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub models: usize,
    pub columns: usize,
    /// Categories of a column whose exact counts are kept by name.
    pub categories: usize,
    /// Further known categories that are counted by hash; above it the column is not judged.
    pub category_hashes: usize,
    /// Model versions told apart; the rest is `other`.
    pub versions: usize,
    pub open_windows: usize,
    pub record_bytes: usize,
    pub string_bytes: usize,
    /// Bytes of decoded rows that wait to be absorbed, over all models.
    pub batch_bytes: usize,
    /// Bytes of dead letters that wait for their acknowledgement.
    pub dead_letter_bytes: usize,
    pub outbox: usize,
    pub series: usize,
    pub report_bytes: u64,
    pub onnx_bytes: u64,
    pub shadow_rows: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            models: 2000,
            columns: 2000,
            categories: 1000,
            category_hashes: 100_000,
            versions: 4,
            open_windows: 64,
            record_bytes: 1 << 20,
            string_bytes: 256,
            batch_bytes: 64 << 20,
            dead_letter_bytes: 64 << 20,
            outbox: 100_000,
            series: 50_000,
            report_bytes: 5 << 30,
            onnx_bytes: 256 << 20,
            shadow_rows: 65_536,
        }
    }
}
