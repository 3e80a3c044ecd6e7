//! What is written to people and programs about a decision: mail, webhooks, retraining requests.

use std::collections::BTreeMap;

use driftline_alerting::mail::{MailContext, RetrainNote, Unmoved};
use driftline_alerting::outbox::{self, OutboxRow, accepted_rows, retrain_rows, rows_for};
use driftline_alerting::retrain::{RetrainDecision, RetrainRequest};
use driftline_alerting::{
    Acceptance, Class, Incident, State, Subject, Transition, TransitionState,
};
use driftline_config::{Config, Receiver};
use serde::{Deserialize, Serialize};

use crate::pipeline::unit::Unit;
use crate::retraining;
use crate::translate;

/// One entry of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxBody {
    /// A mail, a webhook or an alert.
    Message(Box<OutboxRow>),
    /// A record for the reports topic.
    Report {
        /// Name of the model.
        key: String,
        /// The report or the shadow record, byte for byte.
        value: String,
    },
}

/// Everything that messages need beside the decision.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    receivers: Vec<Receiver>,
    reports_topic: bool,
    external_url: Option<String>,
    max_age_us: Option<Option<i64>>,
    /// The configuration file as commands in messages name it.
    config_path: String,
    /// How long each topic keeps records, in microseconds; absent where it keeps them for ever or
    /// nobody knows.
    retention_us: BTreeMap<String, i64>,
}

/// A transition and what is said about it.
#[derive(Debug)]
pub struct Occasion {
    transition: Transition,
    ordinal: u32,
    unmoved: Vec<Unmoved>,
    note: RetrainNote,
    decision: RetrainDecision,
}

impl Messages {
    /// The receivers and links of a configuration.
    pub fn new(config: &Config, retention_us: BTreeMap<String, i64>) -> Messages {
        let url = config.http.external_url.as_deref();
        Messages {
            receivers: config.receivers.clone(),
            reports_topic: config.kafka.reports.is_some(),
            external_url: url.map(|url| url.trim_end_matches('/').to_owned()),
            max_age_us: config.alerts.max_age_us,
            config_path: config.path.display().to_string(),
            retention_us,
        }
    }

    /// Whether reports go to a topic.
    pub fn reports_are_published(&self) -> bool {
        self.reports_topic
    }

    /// Whether a transition of this event time is recorded rather than sent.
    pub fn is_too_old(&self, unit: &Unit, at_us: i64, now_us: i64) -> bool {
        let every_us = unit.setup.model.window.every_us;
        let max_age_us = outbox::max_age_us(self.max_age_us, every_us);
        outbox::is_too_old(at_us, now_us, max_age_us)
    }

    /// The retraining request that a decision asks for, and what mails say about it.
    pub fn request(
        &self,
        unit: &Unit,
        topic: &str,
        occasion: &mut Occasion,
    ) -> Option<RetrainRequest> {
        match &occasion.decision {
            RetrainDecision::None => None,
            RetrainDecision::HeldBack { why } => {
                occasion.note = RetrainNote::HeldBack { why: why.clone() };
                None
            }
            RetrainDecision::Request { id } => {
                let source = retraining::Source {
                    topic,
                    retention_us: self.retention_us.get(topic).copied(),
                    config_path: &self.config_path,
                };
                let request = retraining::request(unit, &occasion.transition, id, &source);
                occasion.note = match &request {
                    Ok(request) => {
                        RetrainNote::Requested { id: id.clone(), rows: request.data.train_on.rows }
                    }
                    Err(why) => RetrainNote::HeldBack { why: why.to_string() },
                };
                request.ok()
            }
        }
    }

    /// The mails, alert webhooks and alerts about a transition.
    pub fn rows(&self, unit: &Unit, occasion: &Occasion) -> Vec<OutboxRow> {
        let replay = self.replay(&occasion.transition);
        let context = self.context(occasion, replay.as_deref());
        rows_for(&context, &self.receivers, &unit.setup.model.notify).unwrap_or_else(|error| {
            tracing::error!(%error, "a message could not be written");
            Vec::new()
        })
    }

    /// What ends the alerts of an incident that was accepted.
    pub fn accepted(
        &self,
        unit: &Unit,
        incident: &Incident,
        acceptance: &Acceptance,
    ) -> Vec<OutboxRow> {
        let occasion = Occasion::new(unit, &incident.last, 0);
        let notify = &unit.setup.model.notify;
        accepted_rows(&self.context(&occasion, None), acceptance, &self.receivers, notify)
    }

    fn context<'a>(&'a self, occasion: &'a Occasion, replay: Option<&'a str>) -> MailContext<'a> {
        MailContext {
            transition: &occasion.transition,
            ordinal: occasion.ordinal,
            unmoved: &occasion.unmoved,
            retrain: &occasion.note,
            replay,
            external_url: self.external_url.as_deref(),
        }
    }

    /// The webhooks of a retraining request.
    pub fn retrain_rows(
        &self,
        unit: &Unit,
        transition: &Transition,
        request: &RetrainRequest,
    ) -> Vec<OutboxRow> {
        let notify = &unit.setup.model.notify;
        retrain_rows(request, transition.class, &transition.id, &self.receivers, notify)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a retraining request could not be written");
                Vec::new()
            })
    }

    fn replay(&self, transition: &Transition) -> Option<String> {
        let window = transition.windows.last()?;
        Some(format!("driftline replay --config {} --window {window}", self.config_path))
    }
}

impl Occasion {
    /// A transition, with what the last report says did not move: nothing that an open incident is
    /// about, and neither errors nor latencies while serving is not as it should be.
    pub fn new(unit: &Unit, transition: &Transition, ordinal: u32) -> Occasion {
        let alerts = &unit.facts.alerts;
        let serving = alerts.state(Class::Serving) != State::Ok;
        let open = alerts.incidents().flat_map(|incident| &incident.last.subjects);
        let moved: Vec<&Subject> = transition.subjects.iter().chain(open).collect();
        let unmoved = match transition.state {
            TransitionState::Resolved => Vec::new(),
            _ => still(&unit.facts.unmoved, serving, &moved),
        };
        Occasion {
            transition: transition.clone(),
            ordinal,
            unmoved,
            note: RetrainNote::None,
            decision: RetrainDecision::None,
        }
    }

    /// The same, with what is said about retraining.
    pub fn with_note(mut self, note: Option<RetrainNote>) -> Occasion {
        self.note = note.unwrap_or(self.note);
        self
    }

    /// Whether retraining is asked for.
    pub fn asks(&self) -> bool {
        matches!(self.decision, RetrainDecision::Request { .. })
    }

    /// What is said about retraining.
    pub fn note(&self) -> &RetrainNote {
        &self.note
    }

    /// The same, with a decision about retraining.
    pub fn with_decision(mut self, decision: RetrainDecision) -> Occasion {
        self.decision = decision;
        self
    }
}

/// What of a window's findings in order still is.
fn still(unmoved: &[Unmoved], serving: bool, moved: &[&Subject]) -> Vec<Unmoved> {
    let of_serving = |unmoved: &Unmoved| matches!(unmoved.name.as_str(), "errors" | "p99");
    let unmoved = unmoved.iter().filter(|unmoved| !(serving && of_serving(unmoved)));
    let is_moved =
        |unmoved: &Unmoved| moved.iter().any(|subject| translate::is_about(subject, unmoved));
    unmoved.filter(|unmoved| !is_moved(unmoved)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `p99` was compared with the check `latency` by name, and errors were listed beside an incident
    /// of serving.
    #[test]
    fn what_an_incident_is_about_is_not_listed_as_not_moved() {
        let names = ["errors", "volume", "p99", "missing", "versions", "prediction:score@3"];
        let unmoved = names.map(|name| Unmoved {
            name: name.to_owned(),
            value: String::new(),
            reference: String::new(),
        });
        let subject =
            |subject: &str, check: &str| translate::wall_subject(subject, check, String::new(), 0);
        let table = [
            (false, subject("feature:x", "distribution"), &names[..]),
            (
                false,
                subject("latency", "latency"),
                &["errors", "volume", "missing", "versions", "prediction:score@3"][..],
            ),
            (
                true,
                subject("feature:x", "distribution"),
                &["volume", "missing", "versions", "prediction:score@3"],
            ),
            (
                false,
                subject("feature:x", "missing"),
                &["errors", "volume", "p99", "versions", "prediction:score@3"],
            ),
            (
                false,
                subject("prediction:score@3", "distribution"),
                &["errors", "volume", "p99", "missing", "versions"],
            ),
        ];
        for (serving, moved, expected) in table {
            let still = still(&unmoved, serving, &[&moved]);
            let names: Vec<&str> = still.iter().map(|unmoved| unmoved.name.as_str()).collect();
            assert_eq!(names, expected, "{} {serving}", moved.check);
        }
    }
}
