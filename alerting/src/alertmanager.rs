//! Transitions as alerts of Alertmanager's API v2: state that is sent again and again, not messages.

use std::collections::BTreeMap;

use driftline_config::time::{MINUTE_US, format_instant};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::incident::{Acceptance, TransitionState};
use crate::mail::{MailContext, brief};
use crate::outbox::Silence;
use crate::signal::Class;

/// An alert that is not sent again ends by itself after so many intervals, as with Prometheus.
const INTERVALS: i64 = 4;
/// And not before this, so that a moment of bad luck ends nothing.
const LEASE_LEAST_US: i64 = 4 * MINUTE_US;

/// One alert. Alertmanager tells alerts apart by their labels: those of an incident never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// `alertname`, `model`, `class`, `severity`, `incident`.
    pub labels: BTreeMap<String, String>,
    /// `summary`, `description` and, where there is one, `runbook_url`.
    pub annotations: BTreeMap<String, String>,
    /// Start of the first window over tolerance, in microseconds.
    pub starts_us: i64,
    /// When it ended, in microseconds; `None` while it fires.
    pub ends_us: Option<i64>,
    pub generator_url: Option<String>,
}

/// The label `alertname` of a class; in lower case it is the anchor in the runbook.
pub fn alert_name(class: Class) -> &'static str {
    match class {
        Class::BrokenInput => "DriftlineBrokenInput",
        Class::Serving => "DriftlineServing",
        Class::Release => "DriftlineRelease",
        Class::InputShift => "DriftlineInputShift",
        Class::PredictionShift => "DriftlinePredictionShift",
        Class::NoData => "DriftlineNoData",
        Class::Candidate => "DriftlineCandidate",
        Class::Driftline => "DriftlineItself",
    }
}

/// How long Alertmanager believes in an alert that is sent every `resend_us`, in microseconds.
pub fn lease_us(resend_us: i64) -> i64 {
    resend_us.saturating_mul(INTERVALS).max(LEASE_LEAST_US)
}

impl Alert {
    /// The alert about a transition; `runbook` is the address of the runbook.
    pub fn new(context: &MailContext<'_>, runbook: Option<&str>) -> Alert {
        let transition = context.transition;
        let class = transition.class;
        let severity = if class.is_operations() { "critical" } else { "warning" };
        let labels = [
            ("alertname", alert_name(class)),
            ("model", &transition.model),
            ("class", class.name()),
            ("severity", severity),
            ("incident", &transition.incident),
        ];
        let (summary, description) = brief(context);
        let mut annotations = BTreeMap::from([
            (String::from("summary"), summary),
            (String::from("description"), description),
        ]);
        if let Some(runbook) = runbook {
            let anchor = alert_name(class).to_lowercase();
            annotations.insert(String::from("runbook_url"), format!("{runbook}#{anchor}"));
        }
        Alert {
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations,
            starts_us: transition.since_us,
            ends_us: (transition.state == TransitionState::Resolved).then_some(transition.at_us),
            generator_url: context
                .external_url
                .map(|url| format!("{url}/models/{}", transition.model)),
        }
    }

    /// The incident it is about.
    pub fn incident(&self) -> &str {
        self.labels.get("incident").map_or("", String::as_str)
    }

    /// Whether it fires until something else is said.
    pub fn is_standing(&self) -> bool {
        self.ends_us.is_none()
    }

    /// The end of an alert whose incident somebody accepted.
    pub fn accepted(self, acceptance: &Acceptance) -> Alert {
        let Acceptance { by, reason, at_us } = acceptance;
        self.kept_from_people(*at_us, &format!("Accepted by {by}, silent until it grows: {reason}"))
    }

    /// The end, for now, of an alert that somebody silenced; `now_us` is wall time.
    pub fn silenced(self, silence: &Silence, now_us: i64) -> Alert {
        let Silence { by, reason, until_us, .. } = silence;
        let until = format_instant(*until_us);
        self.kept_from_people(now_us, &format!("Silenced by {by} until {until}: {reason}"))
    }

    fn kept_from_people(mut self, at_us: i64, why: &str) -> Alert {
        self.ends_us = Some(at_us);
        let description = self.annotations.entry(String::from("description")).or_default();
        *description = format!("{why}\n{description}");
        self
    }
}

/// The body of a POST to `/api/v2/alerts` at wall time `now_us`: what stands is to end after `lease_us`
/// unless it is sent again. Nothing starts or ends in the future, whatever clocks captures bore.
pub fn body(alerts: &[&Alert], now_us: i64, lease_us: i64) -> String {
    let alerts = alerts.iter().map(|alert| {
        let starts_us = alert.starts_us.min(now_us);
        let ends_us = match alert.ends_us {
            Some(ends_us) => ends_us.min(now_us).max(starts_us),
            None => now_us.saturating_add(lease_us),
        };
        let mut written = json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": format_instant(starts_us),
            "endsAt": format_instant(ends_us),
        });
        if let Some(url) = &alert.generator_url {
            written["generatorURL"] = json!(url);
        }
        written
    });
    Value::Array(alerts.collect()).to_string()
}
