//! What the pipeline's driver shows to readers: plain figures, replaced as a whole.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use driftline_alerting::outbox::Silence;
use driftline_alerting::{Acceptance, Class, Incident, Subject, Transition, TransitionState};
use driftline_analytics::report::{Level, rounded};
use driftline_config::time::format_instant;
use serde::{Serialize, Serializer};

use crate::digest::{LastWindow, PaneFigures, ReceiptDigest, Spark};
use crate::pipeline::TopicFacts;
use crate::pipeline::ledger::Counts;

/// Dead letters that are shown, the last.
pub const DEAD_LETTERS: usize = 100;
/// Subjects of an incident that are listed, the strongest.
const SUBJECTS: usize = 100;

/// The present state. [`Live::default`] is that of a process that has not begun to read.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Live {
    /// In the order of the configuration.
    pub models: Vec<Arc<ModelStatus>>,
    /// Open incidents.
    pub incidents: Vec<Arc<IncidentStatus>>,
    /// The last transitions, newest first.
    pub history: Arc<[Step]>,
    /// Silences in force.
    pub silences: Vec<Silence>,
    /// By name.
    pub topics: BTreeMap<String, TopicStatus>,
    /// What `/readyz` says. Not ready while there are none.
    pub checks: Vec<ReadyCheck>,
    /// The last [`DEAD_LETTERS`], newest first.
    pub dead_letters: VecDeque<DeadLetter>,
    /// The last attempts to deliver a message, newest first.
    pub receipts: Arc<VecDeque<ReceiptDigest>>,
}

/// One model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Its Kafka topic.
    pub topic: String,
    /// The last window that was judged.
    pub last_window: Option<LastWindow>,
    /// Event time in microseconds that its slowest partition has reached.
    #[serde(rename = "watermark", serialize_with = "instant")]
    pub watermark_us: Option<i64>,
    /// Largest event time of an accepted row, in microseconds.
    #[serde(rename = "last_event", serialize_with = "instant")]
    pub last_event_us: Option<i64>,
    /// Incidents that are open.
    pub open_incidents: usize,
    /// Drift windows that are open. Beyond `limits.open_windows` its topic's partitions wait for their
    /// slowest.
    pub open_windows: usize,
    /// Rows that windows took.
    pub counted: u64,
    /// Rows beyond their window's cut.
    pub late: u64,
    /// The last pane.
    pub last_pane: Option<PaneStatus>,
    /// Records of its topic that wait to be read; `None` before the broker has said so.
    pub lag: Option<u64>,
    /// The largest effect of each of its last windows, oldest first.
    pub recent: Vec<RecentWindow>,
    /// In the order of the configuration.
    pub candidates: Vec<CandidateStatus>,
    /// Length of its panes in microseconds.
    #[serde(skip)]
    pub pane_us: i64,
    /// The latency that its objective allows, in microseconds, where it has one.
    #[serde(skip)]
    pub latency_under_us: Option<i64>,
    /// Shadow records of it that this process has seen.
    #[serde(skip)]
    pub shadow_records: u64,
}

/// The last pane of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaneStatus {
    /// Its start, microseconds.
    #[serde(rename = "start", serialize_with = "instant")]
    pub start_us: Option<i64>,
    /// Captured requests per second of event time.
    pub requests_per_second: f64,
    /// Share of them that failed; `None` without any.
    pub error_ratio: Option<f64>,
    /// 99 % quantile of the latencies in microseconds; `None` where none had one.
    pub p99_us: Option<u64>,
}

/// A window as a point of a sparkline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RecentWindow {
    /// Its start, microseconds.
    #[serde(rename = "start", serialize_with = "instant")]
    pub start_us: Option<i64>,
    /// Its level.
    pub level: Level,
    /// How many times its tolerance the largest effect was.
    pub strength: Option<f64>,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateStatus {
    /// Its name.
    pub name: String,
    /// `better` or `same`.
    pub purpose: &'static str,
    /// Whether it can score.
    pub state: CheckState,
    /// One sentence.
    pub says: String,
}

/// An open incident.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentStatus {
    /// What `accept` names.
    pub id: String,
    /// Name of the model.
    pub model: String,
    /// What it is about.
    pub class: Class,
    /// `firing` or `accepted`.
    pub state: &'static str,
    /// When it opened, microseconds.
    #[serde(rename = "opened", serialize_with = "instant")]
    pub opened_us: Option<i64>,
    /// Start of the first window over tolerance, microseconds.
    #[serde(rename = "since", serialize_with = "instant")]
    pub since_us: Option<i64>,
    /// The strongest subjects at their peak.
    pub subjects: Vec<Subject>,
    /// How many there are.
    pub subjects_total: usize,
    /// Ids of its windows at alarm, the last.
    pub windows: Vec<String>,
    /// Who accepted it.
    pub accepted: Option<AcceptanceStatus>,
}

/// Who accepted an incident.
#[derive(Debug, Clone, Serialize)]
pub struct AcceptanceStatus {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, microseconds.
    #[serde(rename = "at", serialize_with = "instant")]
    pub at_us: Option<i64>,
}

/// A step of an incident.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Id of the transition.
    pub id: String,
    /// Id of the incident.
    pub incident: String,
    /// Name of the model.
    pub model: String,
    /// What the incident is about.
    pub class: Class,
    /// What happened.
    pub state: TransitionState,
    /// Event time of its cause, microseconds.
    #[serde(rename = "at", serialize_with = "instant")]
    pub at_us: Option<i64>,
    /// When it was decided, microseconds.
    #[serde(rename = "decided", serialize_with = "instant")]
    pub decided_us: Option<i64>,
    /// The strongest subjects.
    pub subjects: Vec<Subject>,
    /// How many there were.
    pub subjects_total: usize,
}

/// The ledger of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStatus {
    /// All partitions together.
    pub total: Counts,
    /// Zero, if and only if nothing was lost and nothing was counted twice.
    pub imbalance: i64,
    /// By number.
    pub partitions: BTreeMap<i32, PartitionStatus>,
    /// Rejected records by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Skipped records by the model they name.
    pub skipped: BTreeMap<String, u64>,
    /// Unknown top-level keys that were ignored.
    pub unknown_keys: u64,
    /// Envelope fields that could not be used.
    pub unusable_fields: u64,
    /// String values that were cut.
    pub cut_strings: u64,
}

/// The ledger of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The next offset.
    pub position: i64,
    /// What became of the records.
    #[serde(flatten)]
    pub counts: Counts,
}

/// One thing that must be well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyCheck {
    /// Short: `broker`, `store`, `candidate spring`.
    pub name: String,
    /// Where it stands.
    pub state: CheckState,
    /// One sentence; where it is not well, what to do.
    pub says: String,
}

/// Where a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Well.
    Ok,
    /// Something is missing, the main way goes on.
    Degraded,
    /// The main way does not go on.
    Failed,
}

/// A rejected record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Kafka topic.
    pub topic: String,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka offset.
    pub offset: i64,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence that shows no feature's value.
    pub detail: String,
}

impl PaneStatus {
    /// A pane of this length.
    pub fn new(pane: &PaneFigures, every_us: i64) -> PaneStatus {
        let requests = pane.requests as f64;
        PaneStatus {
            start_us: Some(pane.start_us),
            requests_per_second: rounded(requests * 1e6 / every_us.max(1) as f64),
            error_ratio: (pane.requests > 0).then(|| rounded(pane.errors as f64 / requests)),
            p99_us: pane.latency_us.map(|(_, p99_us)| p99_us),
        }
    }
}

impl RecentWindow {
    /// A point of a sparkline.
    pub fn new(spark: &Spark) -> RecentWindow {
        let Spark { start_us, level, strength } = *spark;
        RecentWindow { start_us: Some(start_us), level, strength }
    }
}

impl IncidentStatus {
    /// An open incident of a model.
    pub fn new(model: &str, incident: &Incident) -> IncidentStatus {
        let mut subjects: Vec<Subject> =
            incident.subjects.values().map(|tracked| tracked.peak.clone()).collect();
        subjects.sort_by(Subject::by_strength);
        subjects.truncate(SUBJECTS);
        IncidentStatus {
            id: incident.id.clone(),
            model: model.to_owned(),
            class: incident.class,
            state: if incident.accepted.is_some() { "accepted" } else { "firing" },
            opened_us: Some(incident.opened_us),
            since_us: Some(incident.since_us),
            subjects,
            subjects_total: incident.subjects.len(),
            windows: incident.windows.iter().cloned().collect(),
            accepted: incident.accepted.as_ref().map(AcceptanceStatus::new),
        }
    }
}

impl AcceptanceStatus {
    fn new(acceptance: &Acceptance) -> AcceptanceStatus {
        AcceptanceStatus {
            by: acceptance.by.clone(),
            reason: acceptance.reason.clone(),
            at_us: Some(acceptance.at_us),
        }
    }
}

impl Step {
    /// A transition that was decided at wall time `decided_us`.
    pub fn new(transition: &Transition, decided_us: i64) -> Step {
        Step {
            id: transition.id.clone(),
            incident: transition.incident.clone(),
            model: transition.model.clone(),
            class: transition.class,
            state: transition.state,
            at_us: Some(transition.at_us),
            decided_us: Some(decided_us),
            subjects: transition.subjects.clone(),
            subjects_total: transition.subjects_total,
        }
    }
}

impl TopicStatus {
    /// What the pipeline knows of a topic.
    pub fn new(facts: &TopicFacts) -> TopicStatus {
        let partitions = facts.partitions.iter().map(|(&partition, reading)| {
            let counts = facts.counts(partition);
            (partition, PartitionStatus { position: reading.position, counts })
        });
        let total = facts.ledger.total();
        TopicStatus {
            total,
            imbalance: total.imbalance(),
            partitions: partitions.collect(),
            rejected: facts.ledger.reasons.clone(),
            skipped: facts.ledger.skipped_names.clone(),
            unknown_keys: facts.unknown_keys,
            unusable_fields: facts.unusable_fields,
            cut_strings: facts.cut_strings,
        }
    }
}

/// Writes microseconds as RFC 3339.
fn instant<S: Serializer>(time_us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match time_us {
        Some(time_us) => serializer.serialize_str(&format_instant(*time_us)),
        None => serializer.serialize_none(),
    }
}
