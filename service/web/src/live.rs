//! What the pipeline's driver shows to readers: plain figures, replaced as a whole.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use driftline_alerting::instant::optional as instant;
use driftline_alerting::outbox::Silence;
use driftline_alerting::{Acceptance, Class, Evidence, Incident, Transition, TransitionState};
use driftline_analytics::report::{Ledger, rounded};
use driftline_config::{Level, Partition, WindowId};
use driftline_pipeline::TopicFacts;
use driftline_pipeline::digest::{LastWindow, PaneFigures, ReceiptDigest, Spark};
use serde::Serialize;

/// Dead letters that are shown, the last.
pub const DEAD_LETTERS: usize = 100;
/// Subjects of an incident that are listed, the strongest.
const SUBJECTS: usize = 100;
/// How long the driver may be silent before we say so: it writes every second.
pub(crate) const SILENT: Duration = Duration::from_secs(60);
const FIRING: &str = "firing";

/// The present state. [`Live::default`] is that of a process that has not begun to read.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Live {
    pub models: Vec<Arc<ModelStatus>>,
    /// Those that are open.
    pub incidents: Vec<Arc<IncidentStatus>>,
    /// The last transitions, newest first.
    pub history: Arc<[Step]>,
    pub silences: Vec<Silence>,
    pub topics: BTreeMap<String, TopicStatus>,
    /// What `/readyz` says. Not ready while there are none.
    pub checks: Vec<ReadyCheck>,
    pub dead_letters: VecDeque<DeadLetter>,
    /// The last attempts to deliver a message, newest first.
    pub receipts: Arc<VecDeque<ReceiptDigest>>,
}

/// One model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelStatus {
    pub name: String,
    pub owner: Option<String>,
    pub topic: String,
    pub last_window: Option<LastWindow>,
    /// Event time that its slowest partition has reached.
    #[serde(rename = "watermark", serialize_with = "instant::serialize")]
    pub watermark_us: Option<i64>,
    /// Largest event time of an accepted row.
    #[serde(rename = "last_event", serialize_with = "instant::serialize")]
    pub last_event_us: Option<i64>,
    pub open_incidents: usize,
    /// Drift windows that are open. Beyond `limits.open_windows` its topic's partitions wait for their
    /// slowest.
    pub open_windows: usize,
    pub counted: u64,
    /// Rows beyond their window's cut.
    pub late: u64,
    pub last_pane: Option<PaneStatus>,
    /// Records of its topic that wait to be read; `None` before the broker has said so.
    pub lag: Option<u64>,
    /// The largest effect of each of its last windows, oldest first.
    pub recent: Vec<RecentWindow>,
    pub candidates: Vec<CandidateStatus>,
    /// Length of its panes.
    #[serde(skip)]
    pub pane_us: i64,
    /// What its latency objective allows, where it has one.
    #[serde(skip)]
    pub latency_under_us: Option<i64>,
    /// Shadow records of it that this process has seen.
    #[serde(skip)]
    pub shadow_records: u64,
}

/// The last pane of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaneStatus {
    #[serde(rename = "start", serialize_with = "instant::serialize")]
    pub start_us: Option<i64>,
    /// Captured requests per second of event time.
    pub requests_per_second: f64,
    /// Share of them that failed; `None` without any.
    pub error_ratio: Option<f64>,
    /// `None` where no request had a latency.
    pub p99_us: Option<u64>,
}

/// A window as a point of a sparkline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RecentWindow {
    #[serde(rename = "start", serialize_with = "instant::serialize")]
    pub start_us: Option<i64>,
    pub level: Level,
    /// How many times its tolerance the largest effect was.
    pub strength: Option<f64>,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateStatus {
    pub name: String,
    /// `better` or `same`.
    pub purpose: &'static str,
    pub state: CheckState,
    pub says: String,
}

/// An open incident.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentStatus {
    /// What `accept` names.
    pub id: String,
    pub model: String,
    pub class: Class,
    /// `firing` or `accepted`.
    pub state: &'static str,
    #[serde(rename = "opened", serialize_with = "instant::serialize")]
    pub opened_us: Option<i64>,
    /// Start of the first window over tolerance.
    #[serde(rename = "since", serialize_with = "instant::serialize")]
    pub since_us: Option<i64>,
    pub subjects: Vec<Evidence>,
    pub subjects_total: usize,
    /// Ids of its windows at alarm, the last.
    pub windows: Vec<WindowId>,
    pub accepted: Option<AcceptanceStatus>,
}

/// Who accepted an incident.
#[derive(Debug, Clone, Serialize)]
pub struct AcceptanceStatus {
    pub by: String,
    pub reason: String,
    #[serde(rename = "at", serialize_with = "instant::serialize")]
    pub at_us: Option<i64>,
}

/// A step of an incident.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Id of the transition.
    pub id: String,
    pub incident: String,
    pub model: String,
    pub class: Class,
    pub state: TransitionState,
    /// Event time of its cause.
    #[serde(rename = "at", serialize_with = "instant::serialize")]
    pub at_us: Option<i64>,
    #[serde(rename = "decided", serialize_with = "instant::serialize")]
    pub decided_us: Option<i64>,
    pub subjects: Vec<Evidence>,
    pub subjects_total: usize,
}

/// The ledger of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStatus {
    pub total: Ledger,
    /// Zero, if and only if nothing was lost and nothing was counted twice.
    pub imbalance: i64,
    pub partitions: BTreeMap<Partition, PartitionStatus>,
    pub rejected: BTreeMap<String, u64>,
    pub skipped: BTreeMap<String, u64>,
    pub unknown_keys: u64,
    /// Envelope fields that could not be used.
    pub unusable_fields: u64,
    pub cut_strings: u64,
}

/// The ledger of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The next offset that is read.
    pub position: i64,
    #[serde(flatten)]
    pub counts: Ledger,
}

/// One thing that must be well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyCheck {
    pub name: String,
    pub state: CheckState,
    /// One sentence; where it is not well, what to do.
    pub says: String,
}

/// Where a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Ok,
    /// Something is missing, the main way goes on.
    Degraded,
    /// The main way does not go on.
    Failed,
}

/// A rejected record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    pub topic: String,
    pub partition: Partition,
    pub offset: i64,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence that shows no feature's value.
    pub detail: String,
}

impl Live {
    /// The worst state of all checks; failed while there are none, and where the driver has shown
    /// nothing for too long.
    pub(crate) fn state(&self, silent_for: Duration) -> CheckState {
        if silent_for > SILENT {
            return CheckState::Failed;
        }
        self.checks.iter().map(|check| check.state).max().unwrap_or(CheckState::Failed)
    }

    pub(crate) fn model(&self, name: &str) -> Option<&ModelStatus> {
        self.models.iter().map(AsRef::as_ref).find(|model| model.name == name)
    }

    pub(crate) fn incident(&self, id: &str) -> Option<&IncidentStatus> {
        self.incidents.iter().map(AsRef::as_ref).find(|incident| incident.id == id)
    }

    /// How many incidents are open and not accepted.
    pub(crate) fn firing(&self) -> u64 {
        self.incidents.iter().filter(|incident| incident.is_firing()).count() as u64
    }
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
    /// Whether nobody has accepted it.
    pub(crate) fn is_firing(&self) -> bool {
        self.state == FIRING
    }

    /// An open incident of a model.
    pub fn new(model: &str, incident: &Incident) -> IncidentStatus {
        let mut subjects: Vec<Evidence> =
            incident.subjects.values().map(|tracked| tracked.peak.clone()).collect();
        subjects.sort_by(Evidence::by_strength);
        subjects.truncate(SUBJECTS);
        IncidentStatus {
            id: incident.id.clone(),
            model: model.to_owned(),
            class: incident.class,
            state: if incident.accepted.is_some() { "accepted" } else { FIRING },
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
    pub(crate) fn new(acceptance: &Acceptance) -> AcceptanceStatus {
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
            let counts = facts.ledger_of(partition);
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
