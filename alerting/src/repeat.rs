//! Which open incidents are due another message at wall time.

use std::collections::BTreeMap;

use driftline_config::AlertRules;
use serde::{Deserialize, Serialize};

use crate::incident::{Incident, ModelAlerts};

/// How often what still fires is repeated, wall time in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatRules {
    /// Drift, releases and candidates.
    pub drift_us: i64,
    /// Broken input, serving, no data and Driftline itself.
    pub operations_us: i64,
}

impl RepeatRules {
    /// The operator's `alerts.repeat`.
    pub fn new(declared: &AlertRules) -> RepeatRules {
        RepeatRules {
            drift_us: declared.repeat_drift_us,
            operations_us: declared.repeat_operations_us,
        }
    }
}

/// What was last sent about the open incidents of one model, in the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    by_incident: BTreeMap<String, LastSent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LastSent {
    transition: String,
    ordinal: u32,
    at_us: i64,
}

/// A message that is due: [`Incident::last`] again, under this ordinal.
#[derive(Debug, Clone, PartialEq)]
pub struct Due<'a> {
    /// What still fires.
    pub incident: &'a Incident,
    /// 0 when its last transition was recorded and never sent; 1, 2, … for repeats.
    pub ordinal: u32,
}

impl Sent {
    /// Notes that a transition's rows were written to the outbox at wall time `now_us`.
    pub fn note(&mut self, incident: &str, transition: &str, ordinal: u32, now_us: i64) {
        let last = LastSent { transition: transition.to_owned(), ordinal, at_us: now_us };
        self.by_incident.insert(incident.to_owned(), last);
    }

    /// Forgets incidents that are no longer open.
    pub fn prune(&mut self, alerts: &ModelAlerts) {
        self.by_incident.retain(|id, _| alerts.incidents().any(|incident| incident.id == *id));
    }

    /// The messages that are due at wall time `now_us`. Accepted incidents have none. A transition
    /// that was too old to be sent is due once `caught_up`, if its incident still fires.
    pub fn due<'a>(
        &self,
        alerts: &'a ModelAlerts,
        now_us: i64,
        caught_up: bool,
        rules: &RepeatRules,
    ) -> Vec<Due<'a>> {
        let ordinal_due = |incident: &Incident| {
            let every_us = match incident.class.is_operations() {
                true => rules.operations_us,
                false => rules.drift_us,
            };
            match self.by_incident.get(&incident.id) {
                Some(last) if last.transition == incident.last.id => {
                    let waited_us = now_us.saturating_sub(last.at_us);
                    (waited_us >= every_us).then(|| last.ordinal.saturating_add(1))
                }
                _ => caught_up.then_some(0),
            }
        };
        alerts
            .incidents()
            .filter(|incident| incident.accepted.is_none())
            .filter_map(|incident| ordinal_due(incident).map(|ordinal| Due { incident, ordinal }))
            .collect()
    }
}
