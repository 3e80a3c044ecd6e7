//! The alert state of one model, kept in the checkpoint, and the transitions it went through.

use std::collections::{BTreeMap, VecDeque};

use driftline_config::{Level, Subject, WindowId, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::signal::{Class, Evidence, Measure};

/// Subjects that a transition names; messages show three, programs may want more. The rest is a
/// number, so that a webhook stays under 20 KB.
pub const SUBJECTS_NAMED: usize = 20;
/// Subjects of one incident that are told apart: the bound on columns and their versions. Further
/// ones do not join.
pub(crate) const SUBJECTS_TRACKED: usize = 4096;
/// Subjects that panes told and saw end, the latest, of one class.
pub(crate) const SUBJECTS_TOLD: usize = 256;
/// Window ids that an incident names, the latest; the rest is a number.
pub(crate) const WINDOWS_NAMED: usize = 100;

/// The alert state of one model: one slot per class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelAlerts {
    pub(crate) slots: BTreeMap<Class, Slot>,
}

/// Where a class stands: the values of `driftline_alert_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// At alarm, not yet for long enough.
    Pending,
    Firing,
    /// An incident is open and somebody has accepted it.
    Accepted,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Id of the transition that opened it.
    pub id: String,
    pub class: Class,
    /// When it opened, as [`crate::Observation::at_us`].
    pub opened_us: i64,
    /// Start of the first window over tolerance, event time in microseconds.
    pub since_us: i64,
    /// Who accepted it, where somebody did and it has not grown since.
    pub accepted: Option<Acceptance>,
    /// What is in it, by [`Evidence::key`].
    pub subjects: BTreeMap<String, Tracked>,
    /// Ids of its windows at alarm, the latest hundred.
    pub windows: VecDeque<WindowId>,
    /// When it last changed, as [`crate::Observation::at_us`].
    pub last_change_us: Option<i64>,
    /// Its last `firing` or `changed`: what a repeat repeats.
    pub last: Transition,
    /// The open incident that it follows from, which speaks for it.
    #[serde(default)]
    pub folded_into: Option<String>,
}

/// One subject of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    pub peak: Evidence,
    /// Its effect as last reported; `None` until a transition has named it.
    pub reported: Option<f64>,
    /// Whether a transition has counted it.
    pub known: bool,
}

/// Who said that an incident needs no more messages, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    pub by: String,
    pub reason: String,
    /// When, wall time in microseconds.
    pub at_us: i64,
}

/// A step of an incident that people and programs may be told about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Hex of a hash over model, class, window or pane, and new state: the same for the same cause.
    pub id: String,
    pub model: String,
    pub class: Class,
    /// The first of the classes that fire together, in the order of RULES §5.
    pub looks_like: Class,
    /// Id of the transition that opened the incident.
    pub incident: String,
    pub state: TransitionState,
    /// As [`crate::Observation::at_us`] of its cause.
    pub at_us: i64,
    /// Start of the first window over tolerance, event time in microseconds.
    pub since_us: i64,
    /// The strongest subjects: at alarm now for `firing` and `changed`, at their peak for `resolved`.
    pub subjects: Vec<Evidence>,
    pub subjects_total: usize,
    /// Keys of subjects that joined since the last message, for `changed`.
    pub joined: Vec<String>,
    /// Keys of subjects whose effect grew by half since the last message, for `changed`.
    pub grown: Vec<String>,
    /// Windows (or panes) at alarm …
    pub over: u32,
    /// … of the last this many.
    pub of: u32,
    /// Whether these are panes rather than windows.
    pub panes: bool,
    /// Ids of the incident's windows at alarm, the latest hundred.
    pub windows: Vec<WindowId>,
    /// How extreme the last window was and what number of false alarms was promised, in sentences;
    /// where ranks decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promise: Vec<String>,
    /// Recorded but told to nobody: an accepted incident that resolved.
    pub quiet: bool,
    /// The open incident that this one follows from: recorded, and told there.
    #[serde(default)]
    pub folded_into: Option<String>,
    /// What follows from this one, each class once.
    #[serde(default)]
    pub consequences: Vec<Consequence>,
}

/// An incident that follows from another, as that one tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consequence {
    pub class: Class,
    pub incident: String,
    /// Its subjects by name, the strongest first.
    pub subjects: Vec<Subject>,
    pub because: String,
}

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionState {
    Firing,
    /// A subject joined, or an effect grew by half.
    Changed,
    Resolved,
}

impl TransitionState {
    /// The name in ids, metrics and webhooks.
    pub fn name(self) -> &'static str {
        match self {
            TransitionState::Firing => "firing",
            TransitionState::Changed => "changed",
            TransitionState::Resolved => "resolved",
        }
    }
}

/// What decides about one class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) windows: Past,
    pub(crate) panes: Past,
    pub(crate) wall: Past,
    pub(crate) incident: Option<Incident>,
    /// What panes told and saw end, oldest first: windows over the same time tell nobody again.
    #[serde(default)]
    pub(crate) told: VecDeque<Told>,
}

/// A subject of an incident that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) key: String,
    /// Event time of the incident, half-open, in microseconds.
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

/// The recent past of a class as windows, panes or the wall clock saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The last windows that counted, oldest first; as many as the rule looks at.
    pub(crate) recent: VecDeque<Recent>,
    /// How many in a row were under tolerance.
    pub(crate) under: u32,
    /// How many since have said nothing of what the incident holds.
    #[serde(default)]
    pub(crate) unsaid: u32,
    /// Whether it was at alarm during the incident, so that it must clear too.
    pub(crate) raised: bool,
}

/// One window or pane that counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    /// Window id, or a text made of the pane's start.
    pub(crate) key: String,
    pub(crate) start_us: i64,
    pub(crate) alarm: bool,
    /// Its subjects at alarm; emptied once an incident has taken them over.
    pub(crate) subjects: Vec<Evidence>,
}

impl ModelAlerts {
    /// Where a class stands.
    pub fn state(&self, class: Class) -> State {
        let Some(slot) = self.slots.get(&class) else { return State::Ok };
        match &slot.incident {
            Some(incident) if incident.accepted.is_some() => State::Accepted,
            Some(_) => State::Firing,
            None if slot.has_alarm() => State::Pending,
            None => State::Ok,
        }
    }

    /// The open incidents, in order of precedence.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.slots.values().filter_map(|slot| slot.incident.as_ref())
    }

    /// What is accepted of the open incidents: each subject as it was last told of, and when that was, as
    /// [`crate::Observation::at_us`].
    pub fn accepted(&self) -> impl Iterator<Item = (&Evidence, f64, i64)> {
        let accepted = self.incidents().filter(|incident| incident.accepted.is_some());
        accepted.flat_map(|incident| {
            incident.subjects.values().filter_map(|tracked| {
                // What no message has named was not what somebody accepted.
                Some((&tracked.peak, tracked.reported?, incident.last.at_us))
            })
        })
    }

    /// When the wall clock last saw an alarm of an open incident that it raised, wall time in microseconds.
    pub fn seen_by_the_clock_us(&self, class: Class) -> Option<i64> {
        let wall = self.slots.get(&class).map(|slot| &slot.wall).filter(|wall| wall.raised)?;
        wall.recent.iter().rev().find(|recent| recent.alarm).map(|recent| recent.start_us)
    }

    /// The first open incident's class in the order of RULES §5: what it looks like.
    pub fn looks_like(&self) -> Option<Class> {
        self.incidents().next().map(|incident| incident.class)
    }
}

impl Slot {
    fn has_alarm(&self) -> bool {
        [&self.windows, &self.panes, &self.wall]
            .into_iter()
            .any(|lane| lane.recent.iter().any(|recent| recent.alarm))
    }
}

/// Why an incident could not be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// No incident with this id is open.
    #[error("no open incident has the id {0}: it may have resolved; see /api/v1/alerts")]
    Unknown(String),
    /// Nobody would know whom to ask.
    #[error("accepting an incident needs both by and reason")]
    Unsigned,
    /// There is nothing to take back.
    #[error("the incident {0} is not accepted: it is told of as it is")]
    NotAccepted(String),
}

/// Silences an open incident until it grows.
///
/// # Errors
/// When the incident is not open, or `by` or `reason` is empty.
pub fn accept(
    alerts: &ModelAlerts,
    incident: &str,
    acceptance: Acceptance,
) -> Result<ModelAlerts, AcceptError> {
    if acceptance.by.trim().is_empty() || acceptance.reason.trim().is_empty() {
        return Err(AcceptError::Unsigned);
    }
    let mut after = alerts.clone();
    let open = after.open_mut(incident)?;
    // What was accepted is everything the incident holds by now, reported or not.
    open.mark_reported();
    open.accepted = Some(acceptance);
    Ok(after)
}

/// Tells of an accepted incident again.
///
/// # Errors
/// When the incident is not open or not accepted, or `by` or `reason` is empty.
pub fn take_back(
    alerts: &ModelAlerts,
    incident: &str,
    taken_back: &Acceptance,
) -> Result<ModelAlerts, AcceptError> {
    if taken_back.by.trim().is_empty() || taken_back.reason.trim().is_empty() {
        return Err(AcceptError::Unsigned);
    }
    let mut after = alerts.clone();
    let open = after.open_mut(incident)?;
    open.accepted.take().ok_or_else(|| AcceptError::NotAccepted(incident.to_owned()))?;
    Ok(after)
}

impl ModelAlerts {
    fn open_mut(&mut self, incident: &str) -> Result<&mut Incident, AcceptError> {
        let mut open = self.slots.values_mut().filter_map(|slot| slot.incident.as_mut());
        let found = open.find(|open| open.id == incident);
        found.ok_or_else(|| AcceptError::Unknown(incident.to_owned()))
    }
}

impl Transition {
    /// A message that tries a receiver; `resolved` where nobody is to be woken by it.
    pub(crate) fn of_a_test(resolved: bool, at_us: i64) -> Transition {
        let id = hashed_id(&["test", &at_us.to_string()]);
        let because = "this message tries the way to its receiver: nothing happened".to_owned();
        let subject = Evidence {
            subject: "model".into(),
            check: "test".to_owned(),
            level: Level::Ok,
            value: None,
            bound: None,
            tolerance: None,
            unit: Measure::Statistic,
            because,
            first_over_us: None,
            rows: None,
            returned: false,
        };
        Transition {
            incident: id.clone(),
            id,
            model: "test".to_owned(),
            class: Class::Driftline,
            looks_like: Class::Driftline,
            state: if resolved { TransitionState::Resolved } else { TransitionState::Firing },
            at_us,
            since_us: at_us,
            subjects: vec![subject],
            subjects_total: 1,
            joined: Vec::new(),
            grown: Vec::new(),
            over: 0,
            of: 0,
            panes: false,
            windows: Vec::new(),
            promise: Vec::new(),
            quiet: false,
            folded_into: None,
            consequences: Vec::new(),
        }
    }
}

impl Incident {
    /// Makes the present peaks the ones that growth is measured against.
    pub(crate) fn mark_reported(&mut self) {
        for tracked in self.subjects.values_mut() {
            tracked.reported = tracked.peak.value;
            tracked.known = true;
        }
    }
}

/// 128 bits of a hash over the parts, as 32 hexadecimal digits. Parts are told apart by their
/// lengths.
pub(crate) fn hashed_id(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    hex(digest.get(..16).unwrap_or(&digest))
}
