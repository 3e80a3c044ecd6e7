//! Which open incidents are due another message at wall time.

use std::collections::BTreeMap;

use driftline_config::AlertRules;
use serde::{Deserialize, Serialize};

use crate::incident::{Incident, ModelAlerts};
use crate::outbox::{Silence, silenced_until_us};

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
    pub incident: &'a Incident,
    /// 0 when its last transition was recorded and never sent; 1, 2, … for repeats.
    pub ordinal: u32,
}

/// When somebody asks what is due.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Wall time.
    pub now_us: i64,
    /// Whether nothing of the model waits to be read.
    pub caught_up: bool,
    pub model: &'a str,
    /// The silences in force, and those that ended since this was last asked.
    pub silences: &'a [Silence],
}

impl Sent {
    /// Notes that a transition's rows were written to the outbox at wall time `now_us`.
    pub fn note(&mut self, incident: &str, transition: &str, ordinal: u32, now_us: i64) {
        let last = LastSent { transition: transition.to_owned(), ordinal, at_us: now_us };
        self.by_incident.insert(incident.to_owned(), last);
    }

    /// Has an incident be due at once, since messages about it were kept back.
    pub fn renew(&mut self, incident: &str) {
        // What was never sent is due as it is.
        if let Some(last) = self.by_incident.get_mut(incident) {
            last.at_us = i64::MIN;
        }
    }

    /// Forgets incidents that are no longer open.
    pub fn prune(&mut self, alerts: &ModelAlerts) {
        self.by_incident.retain(|id, _| alerts.incidents().any(|incident| incident.id == *id));
    }

    /// The messages that are due. Accepted and silenced incidents have none, nor have those that follow from
    /// another. A transition that was too
    /// old to be sent is due once caught up, if its incident still fires; and what still fires at the
    /// end of a silence is due once, since what was written meanwhile was not sent.
    pub fn due<'a>(
        &self,
        alerts: &'a ModelAlerts,
        at: &Moment<'_>,
        rules: &RepeatRules,
    ) -> Vec<Due<'a>> {
        let ordinal_due = |incident: &Incident| {
            let until_us = silenced_until_us(at.model, incident.class, at.silences);
            if until_us.is_some_and(|until_us| at.now_us < until_us) {
                return None;
            }
            let every_us = match incident.class.is_operations() {
                true => rules.operations_us,
                false => rules.drift_us,
            };
            match self.by_incident.get(&incident.id) {
                Some(last) if last.transition == incident.last.id => {
                    let waited_us = at.now_us.saturating_sub(last.at_us);
                    let unheard = until_us.is_some_and(|until_us| last.at_us < until_us);
                    (unheard || waited_us >= every_us).then(|| last.ordinal.saturating_add(1))
                }
                _ => at.caught_up.then_some(0),
            }
        };
        alerts
            .incidents()
            .filter(|incident| incident.accepted.is_none() && incident.folded_into.is_none())
            .filter_map(|incident| ordinal_due(incident).map(|ordinal| Due { incident, ordinal }))
            .collect()
    }
}
