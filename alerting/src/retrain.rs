//! Whether a transition asks for retraining, and what such a request says (CONTRACTS §8).

use std::collections::{BTreeMap, BTreeSet};

use driftline_config::time::DAY_US;
use driftline_config::{Partition, Subject, WindowId};
use serde::{Deserialize, Serialize};

use crate::incident::{
    Incident, ModelAlerts, SUBJECTS_TRACKED, Transition, TransitionState, hashed_id,
};
use crate::signal::Class;

/// The body of a retraining request, exactly as CONTRACTS §8 writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrainRequest {
    /// Always `retrain.requested`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was decided, as [`Transition::at_us`].
    #[serde(with = "crate::instant")]
    pub timestamp: i64,
    pub data: RetrainData,
}

impl TrainOn {
    /// Whether a log whose partitions begin at these offsets holds the first of every range; `None` where that
    /// is not known of one of them.
    pub fn is_held_by(&self, starts: &BTreeMap<Partition, i64>) -> Option<bool> {
        let mut held = true;
        for range in &self.ranges {
            // Where a log begins is not known before the broker told.
            held &= *starts.get(&range.partition)? <= range.from;
        }
        Some(held)
    }
}

impl RetrainRequest {
    /// What a request says once the log is known to begin at these offsets: it is complete no longer where some
    /// of its rows are gone. `None` where nothing is known, or nothing changed.
    pub fn looked_at_again(&self, starts: &BTreeMap<Partition, i64>) -> Option<RetrainRequest> {
        let is_gone = self.data.train_on.is_held_by(starts) == Some(false);
        if !self.data.train_on.complete || !is_gone {
            return None;
        }
        let mut request = self.clone();
        request.data.train_on.complete = false;
        Some(request)
    }

    /// Wraps the data of a request decided at `at_us`.
    pub fn new(at_us: i64, data: RetrainData) -> RetrainRequest {
        RetrainRequest { kind: String::from("retrain.requested"), timestamp: at_us, data }
    }
}

/// What is asked for, why, and on which rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrainData {
    /// Of [`RetrainDecision::Request`]; stable over retries and restarts.
    pub retrain_id: String,
    pub model: String,
    pub incident: String,
    /// Windows whose rows are to be trained on.
    pub windows: Vec<WindowId>,
    pub reason: Vec<RetrainReason>,
    pub reasons_total: usize,
    pub train_on: TrainOn,
    /// Hash of the baseline file the windows were judged against.
    pub baseline_sha256: String,
    /// Hash of the settings they were judged by.
    pub config_sha256: String,
    /// Command that reproduces the report of the last window.
    pub replay: String,
}

/// One finding of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrainReason {
    pub subject: Subject,
    pub value: Option<f64>,
    pub bound: Option<f64>,
    pub tolerance: Option<f64>,
    pub because: String,
}

/// The rows to train on: the accepted rows inside `ranges` that match `select`, exactly `rows`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainOn {
    pub topic: String,
    pub format: String,
    #[serde(with = "crate::instant")]
    pub since: i64,
    pub ranges: Vec<OffsetRange>,
    /// What picks them among other rows of these offsets.
    pub select: Select,
    pub rows: u64,
    pub history: History,
    pub labels: Option<serde_json::Value>,
    /// Whether the log held all of it when this was said, by where the log began then.
    pub complete: bool,
    /// When retention takes the first of it at the earliest, where it will: by the timestamps of its records.
    #[serde(with = "crate::instant::optional")]
    pub expires: Option<i64>,
    /// Command that writes exactly these rows to a file.
    pub export: String,
}

/// Offsets of one partition, half-open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    pub partition: Partition,
    pub from: i64,
    pub to: i64,
}

/// What picks the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// `model` of the capture.
    pub model: String,
    /// `version` of the capture is one of these.
    pub versions: Vec<String>,
    /// `ts` at or after this.
    #[serde(with = "crate::instant")]
    pub ts_from: i64,
    #[serde(with = "crate::instant")]
    pub ts_before: i64,
}

/// What lies before the rows to train on, as far as the log and `retrain.history` go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    #[serde(with = "crate::instant")]
    pub from: i64,
    pub ranges: Vec<OffsetRange>,
    /// What picks the rows of it; absent in requests of releases before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
}

/// What one model has asked for so far, in the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrainState {
    /// The last incident of each class that wanted retraining.
    asked: BTreeMap<Class, Asked>,
    /// When requests of the last day were made, as [`Transition::at_us`].
    requests_us: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    incident: String,
    /// Keys of the subjects that a request has covered.
    covered: BTreeSet<String>,
    /// Keys of the subjects whose request waits for broken input, the cooldown or the next day.
    wanted: BTreeSet<String>,
}

/// The operator's limits, in event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrainLimits {
    pub cooldown_us: i64,
    pub max_per_day: u32,
}

impl Asked {
    fn by(incident: &str) -> Asked {
        let incident = incident.to_owned();
        Asked { incident, covered: BTreeSet::new(), wanted: BTreeSet::new() }
    }
}

/// Whether retraining is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetrainDecision {
    /// Yes, under this id.
    Request {
        /// Hash of the incident and the transition or instant that asks.
        id: String,
    },
    /// It would be, if not for this. [`retry`] asks again.
    HeldBack {
        /// One sentence without the full stop.
        why: String,
    },
    /// No: not a class that retraining helps, or this incident has its request already.
    None,
}

impl RetrainState {
    /// Takes back that a class asked for what `before` does not know: no rows could be named. It is
    /// wanted still, and [`retry`] asks again.
    pub fn take_back(&mut self, before: &RetrainState, class: Class, at_us: i64) {
        if let Some(place) = self.requests_us.iter().rposition(|made_us| *made_us == at_us) {
            self.requests_us.remove(place);
        }
        let Some(asked) = self.asked.get_mut(&class) else { return };
        let earlier = before.asked.get(&class).filter(|earlier| earlier.incident == asked.incident);
        let earlier = earlier.map(|earlier| earlier.covered.clone()).unwrap_or_default();
        asked.wanted.extend(asked.covered.difference(&earlier).cloned());
        asked.covered = earlier;
    }
}

/// Decides about a transition. `obstacle` says why nobody should train on these windows, such as
/// broken input, where that is so.
pub fn decide(
    state: &RetrainState,
    transition: &Transition,
    obstacle: Option<&str>,
    limits: &RetrainLimits,
) -> (RetrainState, RetrainDecision) {
    if !transition.class.is_drift() {
        return (state.clone(), RetrainDecision::None);
    }
    if transition.state == TransitionState::Resolved {
        let mut after = state.clone();
        after.asked.remove(&transition.class);
        return (after, RetrainDecision::None);
    }
    let subjects = match transition.state {
        TransitionState::Changed => transition.joined.iter().cloned().collect(),
        _ => transition.subjects.iter().map(|subject| subject.key()).collect(),
    };
    let occasion = Occasion {
        class: transition.class,
        inputs_moved: transition.looks_like == Class::InputShift,
        incident: &transition.incident,
        cause: &transition.id,
        at_us: transition.at_us,
        subjects,
    };
    occasion.decide(state, obstacle, limits)
}

/// Asks again for what was held back, once per window: the answers for the open incidents that wait,
/// in order of precedence. Nothing is returned for incidents that wait for nothing.
pub fn retry(
    state: &RetrainState,
    alerts: &ModelAlerts,
    at_us: i64,
    obstacle: &dyn Fn(&Incident) -> Option<String>,
    limits: &RetrainLimits,
) -> (RetrainState, Vec<(Incident, RetrainDecision)>) {
    let mut after = state.clone();
    let mut decisions = Vec::new();
    let inputs_moved = alerts.incidents().any(|incident| incident.class == Class::InputShift);
    for incident in alerts
        .incidents()
        .filter(|incident| incident.accepted.is_none() && incident.folded_into.is_none())
    {
        let waits = after
            .asked
            .get(&incident.class)
            .is_some_and(|asked| !asked.wanted.is_empty() && asked.incident == incident.id);
        if !waits {
            continue;
        }
        let occasion = Occasion {
            class: incident.class,
            inputs_moved,
            incident: &incident.id,
            cause: &at_us.to_string(),
            at_us,
            subjects: BTreeSet::new(),
        };
        let (next, decision) = occasion.decide(&after, obstacle(incident).as_deref(), limits);
        after = next;
        decisions.push((incident.clone(), decision));
    }
    (after, decisions)
}

/// One moment at which retraining might be asked for.
struct Occasion<'a> {
    class: Class,
    /// Whether an incident of input shift is open: its request names the same rows.
    inputs_moved: bool,
    incident: &'a str,
    cause: &'a str,
    at_us: i64,
    subjects: BTreeSet<String>,
}

impl Occasion<'_> {
    fn decide(
        self,
        state: &RetrainState,
        obstacle: Option<&str>,
        limits: &RetrainLimits,
    ) -> (RetrainState, RetrainDecision) {
        let mut after = state.clone();
        let remembered_us = DAY_US.max(limits.cooldown_us);
        after.requests_us.retain(|made_us| self.at_us.saturating_sub(*made_us) < remembered_us);
        let mut asked = after
            .asked
            .remove(&self.class)
            .filter(|asked| asked.incident == self.incident)
            .unwrap_or_else(|| Asked::by(self.incident));
        let new = self.subjects.difference(&asked.covered).take(SUBJECTS_TRACKED).cloned();
        asked.wanted.extend(new);
        let decision = if asked.wanted.is_empty() {
            RetrainDecision::None
        } else if self.class == Class::PredictionShift && self.inputs_moved {
            asked.wanted.clear();
            RetrainDecision::None
        } else if let Some(why) = self.held_back_by(&after.requests_us, obstacle, limits) {
            RetrainDecision::HeldBack { why }
        } else {
            asked.covered.append(&mut asked.wanted);
            after.requests_us.push(self.at_us);
            RetrainDecision::Request { id: hashed_id(&["retrain", self.incident, self.cause]) }
        };
        after.asked.insert(self.class, asked);
        (after, decision)
    }

    fn held_back_by(
        &self,
        requests_us: &[i64],
        obstacle: Option<&str>,
        limits: &RetrainLimits,
    ) -> Option<String> {
        if let Some(obstacle) = obstacle {
            return Some(obstacle.to_owned());
        }
        let since_us = |made_us: &i64| self.at_us.saturating_sub(*made_us);
        if requests_us.iter().any(|made_us| since_us(made_us) < limits.cooldown_us) {
            let cooldown = driftline_config::time::format_duration(limits.cooldown_us);
            return Some(format!("the last request is less than {cooldown} old"));
        }
        let today = requests_us.iter().filter(|made_us| since_us(made_us) < DAY_US).count();
        if today >= limits.max_per_day as usize {
            return Some(format!("{today} requests were made within a day, the most allowed"));
        }
        None
    }
}
