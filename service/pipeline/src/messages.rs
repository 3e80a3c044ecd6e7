//! What is written to people and programs about a decision: mail, webhooks, retraining requests.

use std::collections::BTreeMap;

use driftline_alerting::mail::{MailContext, RetrainNote, Unmoved};
use driftline_alerting::outbox::{
    OutboxRow, accepted_rows, retrain_rows, rows_for, taken_back_rows,
};
use driftline_alerting::retrain::RetrainRequest;
use driftline_alerting::{
    Acceptance, Class, Evidence, Incident, State, Transition, TransitionState,
};
use driftline_config::{Config, Http, MaxAge, Receiver, ReceiverKind, Wants};

use crate::deciding::model::ModelDecider;
use crate::retraining::Source;
use crate::unmoved::{SLOW, is_about};

/// Everything that messages need beside the decision.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    receivers: Vec<Receiver>,
    reports_topic: bool,
    external_url: Option<String>,
    /// Where commands in messages find the service.
    api: String,
    /// Whether the API takes writes at all.
    may_write: bool,
    max_age: MaxAge,
    /// The configuration file as commands in messages name it.
    config_path: String,
    /// How long each topic keeps records, in microseconds; absent where it keeps them for ever or
    /// nobody knows.
    retention_us: BTreeMap<String, i64>,
}

/// A transition and what is said about it.
#[derive(Debug)]
pub(crate) struct Occasion<'a> {
    transition: &'a Transition,
    /// 0 for the first messages about it, then 1, 2, … for repeats.
    ordinal: u32,
    unmoved: Vec<Unmoved>,
    note: RetrainNote,
}

impl Messages {
    /// The receivers and links of a configuration.
    pub fn new(config: &Config, retention_us: BTreeMap<String, i64>) -> Messages {
        let url = config.http.external_url.as_deref();
        Messages {
            receivers: config.receivers.clone(),
            reports_topic: config.kafka.reports.is_some(),
            api: url
                .map_or_else(|| local(&config.http), |url| url.trim_end_matches('/').to_owned()),
            may_write: config.http.token.is_some(),
            external_url: url.map(|url| url.trim_end_matches('/').to_owned()),
            max_age: config.alerts.max_age,
            config_path: as_a_word(&config.path.display().to_string()),
            retention_us,
        }
    }

    /// Whether reports go to a topic.
    pub(crate) fn reports_are_published(&self) -> bool {
        self.reports_topic
    }

    /// How old a transition may be to be sent, for a model with windows of this length; `None` sends all.
    pub(crate) fn max_age_us(&self, window_every_us: i64) -> Option<i64> {
        self.max_age.limit_us(window_every_us)
    }

    /// Where the rows of a topic are, as a retraining request says it.
    pub(crate) fn source<'a>(&'a self, topic: &'a str) -> Source<'a> {
        // Where the broker did not say, nobody knows.
        let retention_us = self.retention_us.get(topic).copied();
        Source { topic, retention_us, config_path: &self.config_path }
    }

    /// Whether somebody takes the retraining requests of a model.
    pub(crate) fn takes_requests(&self, model: &ModelDecider) -> bool {
        let notify = &model.setup.model.notify;
        self.receivers.iter().any(|receiver| {
            let is_program = matches!(receiver.kind, ReceiverKind::Webhook(_));
            is_program && receiver.wants(Wants::Retrain) && notify.contains(&receiver.name)
        })
    }

    /// The mails, alert webhooks and alerts about a transition.
    pub(crate) fn rows(&self, model: &ModelDecider, occasion: &Occasion<'_>) -> Vec<OutboxRow> {
        let replay = self.replay(occasion.transition);
        let context = self.context(occasion, replay.as_deref());
        rows_for(&context, &self.receivers, &model.setup.model.notify).unwrap_or_else(|error| {
            tracing::error!(%error, "a message cannot be written, and is lost");
            Vec::new()
        })
    }

    /// What ends the alerts of an incident that was accepted.
    pub(crate) fn accepted(
        &self,
        model: &ModelDecider,
        incident: &Incident,
        acceptance: &Acceptance,
    ) -> Vec<OutboxRow> {
        let occasion = Occasion::new(model, &incident.last, 0, RetrainNote::None);
        let notify = &model.setup.model.notify;
        accepted_rows(&self.context(&occasion, None), acceptance, &self.receivers, notify)
    }

    /// What raises the alerts of an incident again whose acceptance was taken back at wall time `at_us`.
    pub(crate) fn taken_back(
        &self,
        model: &ModelDecider,
        incident: &Incident,
        at_us: i64,
    ) -> Vec<OutboxRow> {
        let occasion = Occasion::new(model, &incident.last, 0, RetrainNote::None);
        let notify = &model.setup.model.notify;
        taken_back_rows(&self.context(&occasion, None), at_us, &self.receivers, notify)
    }

    fn context<'a>(
        &'a self,
        occasion: &'a Occasion<'a>,
        replay: Option<&'a str>,
    ) -> MailContext<'a> {
        MailContext {
            transition: occasion.transition,
            ordinal: occasion.ordinal,
            unmoved: &occasion.unmoved,
            retrain: &occasion.note,
            replay,
            external_url: self.external_url.as_deref(),
            api: &self.api,
            may_write: self.may_write,
        }
    }

    /// The webhooks of a retraining request.
    pub(crate) fn retrain_rows(
        &self,
        model: &ModelDecider,
        transition: &Transition,
        request: &RetrainRequest,
    ) -> Vec<OutboxRow> {
        let notify = &model.setup.model.notify;
        retrain_rows(request, transition.class, &transition.id, &self.receivers, notify)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a retraining request cannot be written, and is lost");
                Vec::new()
            })
    }

    fn replay(&self, transition: &Transition) -> Option<String> {
        let window = transition.windows.last()?;
        Some(format!("driftline replay --config {} --window {window}", self.config_path))
    }
}

impl<'a> Occasion<'a> {
    /// A transition, with what is said about retraining, and with what the last report says did not move:
    /// nothing that an open incident is about, and neither errors nor latencies while serving is not as it
    /// should be.
    pub(crate) fn new(
        model: &ModelDecider,
        transition: &'a Transition,
        ordinal: u32,
        note: RetrainNote,
    ) -> Occasion<'a> {
        let alerts = &model.facts.alerts;
        let serving = alerts.state(Class::Serving) != State::Ok;
        let open = alerts.incidents().flat_map(|incident| &incident.last.subjects);
        let moved: Vec<&Evidence> = transition.subjects.iter().chain(open).collect();
        let unmoved = match transition.state {
            TransitionState::Resolved => Vec::new(),
            _ => still(&model.facts.unmoved, serving, &moved),
        };
        Occasion { transition, ordinal, unmoved, note }
    }
}

/// A text as one word of a shell.
fn as_a_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':');
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The service as its own machine reaches it.
fn local(http: &Http) -> String {
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let port = http.listen.rsplit(':').next().unwrap_or_default();
    format!("{scheme}://localhost:{port}")
}

/// What of a window's findings in order still is.
fn still(unmoved: &[Unmoved], serving: bool, moved: &[&Evidence]) -> Vec<Unmoved> {
    let of_serving = |unmoved: &Unmoved| matches!(unmoved.name.as_str(), "errors" | SLOW);
    let unmoved = unmoved.iter().filter(|unmoved| !(serving && of_serving(unmoved)));
    let is_moved = |unmoved: &Unmoved| moved.iter().any(|subject| is_about(subject, unmoved));
    unmoved.filter(|unmoved| !is_moved(unmoved)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slow answers were compared with the check `latency` by name, and errors were listed beside an incident
    /// of serving.
    #[test]
    fn what_an_incident_is_about_is_not_listed_as_not_moved() {
        let names = ["errors", "volume", SLOW, "missing", "versions", "prediction:score@3"];
        let unmoved = names.map(|name| Unmoved {
            name: name.to_owned(),
            value: String::new(),
            reference: String::new(),
        });
        let subject = |subject: &str, check: &str| {
            crate::signals::of_the_clock(subject, check, String::new(), 0)
        };
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
                &["errors", "volume", SLOW, "versions", "prediction:score@3"],
            ),
            (
                false,
                subject("prediction:score@3", "distribution"),
                &["errors", "volume", SLOW, "missing", "versions"],
            ),
        ];
        for (serving, moved, expected) in table {
            let still = still(&unmoved, serving, &[&moved]);
            let names: Vec<&str> = still.iter().map(|unmoved| unmoved.name.as_str()).collect();
            assert_eq!(names, expected, "{} {serving}", moved.check);
        }
    }
}
