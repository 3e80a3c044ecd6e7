//! What a commit brings into the store and what a restart finds there: the pipeline's half of the
//! checkpoint (RULES §6). The store writes and reads these types and does not look inside their documents.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use driftline_alerting::outbox::OutboxRow;
pub use driftline_analytics::shape::Shape;
use driftline_config::Subject;
use serde::{Deserialize, Serialize};

/// Names a window in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    pub model: String,
    pub lane: LaneKind,
    pub start_us: i64,
}

impl WindowKey {
    /// The key of a window of a model, by its start.
    pub fn new(model: &str, lane: LaneKind, start_us: i64) -> WindowKey {
        WindowKey { model: model.to_owned(), lane, start_us }
    }
}

/// The two lanes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKind {
    Drift,
    Operations,
}

/// Under which key a document is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKey {
    /// What is no model's and no topic's.
    Pipeline,
    /// Positions and ledger of a topic, by its name.
    Topic(String),
    /// Lanes, open windows and decisions of a model, by its name.
    Model(String),
    /// Requests and responses of a model that wait for each other, by their minute.
    Pairs(String, i64),
    /// The newest windows of a model in coarse cells, by its name; bytes of their own.
    Scales(String),
    /// A retraining request, by its id.
    Retrain(String),
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentKey::Pipeline => formatter.write_str("pipeline"),
            DocumentKey::Topic(name) => write!(formatter, "topic/{name}"),
            DocumentKey::Model(name) => write!(formatter, "model/{name}"),
            DocumentKey::Pairs(name, minute) => write!(formatter, "pairs/{name}/{minute}"),
            DocumentKey::Scales(name) => write!(formatter, "scales/{name}"),
            DocumentKey::Retrain(id) => write!(formatter, "retrain/{id}"),
        }
    }
}

/// Writes the encoded state of a window behind what the buffer holds. Runs on the writer thread.
pub type Encode = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// What has been counted in a window since the last snapshot.
pub struct Increment {
    pub window: WindowKey,
    /// Whether it is the whole state and replaces what is stored, rather than adding to it.
    pub replaces: bool,
    pub encode: Encode,
}

impl std::fmt::Debug for Increment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Increment")
            .field("window", &self.window)
            .field("replaces", &self.replaces)
            .finish_non_exhaustive()
    }
}

/// Everything that changed since the last snapshot; committed as one.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub epoch: u64,
    /// Small state; an empty document removes its key.
    pub documents: Vec<(DocumentKey, Vec<u8>)>,
    pub increments: Vec<Increment>,
    /// Windows that became part of another one: from, into.
    pub carried: Vec<(WindowKey, WindowKey)>,
    pub dropped: Vec<WindowKey>,
    /// Baselines and settings by sha256, that open windows or kept reports name.
    pub named: Vec<(String, Vec<u8>)>,
    pub reports: Vec<StoredReport>,
    pub shapes: Vec<StoredShapes>,
    pub outbox: Vec<OutboxItem>,
    /// Sequence numbers of messages that are done.
    pub outbox_done: Vec<u64>,
    pub shown: PageDocuments,
    /// What it should hold and does not: half of it would count rows twice, so none of it is stored.
    pub lacks: Option<String>,
}

impl Snapshot {
    /// Adds a document. One that cannot be written makes the snapshot one that is not stored.
    pub fn push<T: Serialize>(&mut self, key: DocumentKey, document: &T) {
        match serde_json::to_vec(document) {
            Ok(bytes) => self.documents.push((key, bytes)),
            Err(error) => self.lacks = Some(format!("{key}: {error}")),
        }
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
            && self.increments.is_empty()
            && self.carried.is_empty()
            && self.dropped.is_empty()
            && self.named.is_empty()
            && self.reports.is_empty()
            && self.shapes.is_empty()
            && self.outbox.is_empty()
            && self.outbox_done.is_empty()
            && self.shown.is_empty()
    }
}

/// A snapshot that is in the store.
#[derive(Debug)]
pub struct Committed {
    pub epoch: u64,
    pub sizes: BTreeMap<WindowKey, usize>,
}

/// What a snapshot adds.
#[derive(Debug, Default)]
pub struct PageDocuments {
    /// Digests of the windows whose reports are in the same snapshot.
    pub digests: Vec<WindowDocument>,
    pub shadow: Vec<WindowDocument>,
    pub panes: Vec<Pane>,
    pub entries: Vec<IncidentDocument>,
    /// Attempts to deliver, numbered.
    pub receipts: Vec<(u64, Vec<u8>)>,
}

/// A document about a window.
#[derive(Debug)]
pub struct WindowDocument {
    pub model: String,
    pub start_us: i64,
    /// JSON.
    pub document: Vec<u8>,
}

impl WindowDocument {
    /// As it is kept; `None` where it cannot be written, which is logged.
    pub fn new<T: Serialize>(model: &str, start_us: i64, document: &T) -> Option<WindowDocument> {
        let lost = |error: &_| tracing::error!(model, start_us, %error, "a document is lost");
        let document = serde_json::to_vec(document).inspect_err(lost).ok()?;
        Some(WindowDocument { model: model.to_owned(), start_us, document })
    }
}

/// A pane of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    pub model: String,
    /// Length of its panes.
    pub every_us: i64,
    pub start_us: i64,
    pub requests: u64,
    pub errors: u64,
    /// Median and 99 % quantile of their latencies, microseconds.
    pub latency_us: Option<(u64, u64)>,
}

/// A document about an incident.
#[derive(Debug)]
pub struct IncidentDocument {
    pub incident: String,
    /// When it was decided, wall time.
    pub wall_us: i64,
    /// Tells two entries of a moment apart.
    pub id: String,
    /// JSON.
    pub document: Vec<u8>,
}

impl PageDocuments {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
            && self.shadow.is_empty()
            && self.panes.is_empty()
            && self.entries.is_empty()
            && self.receipts.is_empty()
    }
}

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredReport {
    pub model: String,
    /// Window start, the key together with the model.
    pub start_us: i64,
    /// Window end, for retention.
    pub end_us: i64,
    /// The report's JSON, byte for byte as it was published.
    pub report: String,
    /// What the judgement knew beside the rows, for `replay`.
    pub history: String,
    /// sha256 of the settings under which it was judged.
    pub config_sha256: String,
    /// Its window in coarse cells, hexadecimal: later judgements merge it with theirs. Empty where it is
    /// incomplete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub coarse: String,
}

impl StoredReport {
    /// The bytes of its window in coarse cells; `None` where there are none.
    pub fn coarse_bytes(&self) -> Option<Vec<u8>> {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = self.coarse.as_bytes().chunks(2).map(digits).collect();
        bytes.filter(|bytes| !bytes.is_empty())
    }
}

/// Something to be delivered at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxItem {
    /// Its place in the order of decisions; the key.
    pub sequence: u64,
    pub body: OutboxBody,
}

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxBody {
    /// A mail, a webhook or an alert.
    Message(Box<OutboxRow>),
    /// A record for the reports topic.
    Report {
        key: String,
        /// The report or the shadow record, byte for byte.
        value: String,
    },
}

/// The stored increments of one window, oldest first.
pub type Increments = Vec<Vec<u8>>;

/// What a restart finds.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Small state by key.
    pub documents: BTreeMap<String, Vec<u8>>,
    pub windows: BTreeMap<WindowKey, Increments>,
    /// Baselines and settings by sha256; no bytes where these are known.
    pub named: BTreeMap<String, Vec<u8>>,
    pub outbox: Vec<OutboxItem>,
    /// Sequence numbers of entries that cannot be read.
    pub unreadable: Vec<u64>,
}

impl Saved {
    /// The document under a key; `None` where none was written yet.
    pub fn document(&self, key: &DocumentKey) -> Option<&Vec<u8>> {
        self.documents.get(&key.to_string())
    }
}

/// The distributions of one window as they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredShapes {
    pub model: String,
    /// Window start, the key together with the model.
    pub start_us: i64,
    /// By subject, as in the report.
    pub shapes: BTreeMap<Subject, Shape>,
}
