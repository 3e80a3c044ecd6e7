//! The outbox: what is to be sent, to whom, under which id; and what keeps a row from being sent.

use driftline_config::{Receiver, ReceiverKind, Wants};
use serde::{Deserialize, Serialize};

use crate::alertmanager::Alert;
use crate::channel;
use crate::incident::{Acceptance, Transition};
use crate::mail::{Mail, MailContext, RetrainNote, compose, message_key};
use crate::retrain::RetrainRequest;
use crate::signal::Class;
use crate::webhook::AlertEvent;

/// One message to one receiver, written in the transaction that commits its cause. `(id, receiver)`
/// is its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Id of the transition or of the retraining request; repeats add `.` and an ordinal. It is the
    /// `webhook-id` and makes the `Message-ID`.
    pub id: String,
    pub receiver: String,
    pub kind: RowKind,
    /// Name of the model, for silences and metrics.
    pub model: String,
    /// Class of the incident, for silences and metrics.
    pub class: Class,
    /// Event time of the cause, in microseconds.
    pub at_us: i64,
    /// Id of the transition that caused it.
    pub created_by: String,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    Mail(Mail),
    /// A webhook; the body is signed and sent as these bytes.
    Webhook {
        /// `alert.firing`, `alert.changed`, `alert.resolved` or `retrain.requested`.
        event: String,
        body: String,
    },
    /// An alert of an Alertmanager. While it fires its row stays: it is sent again and again until a
    /// later row of the incident takes its place.
    Alert(Alert),
    /// A message of Slack, Teams, PagerDuty or ntfy, without its secrets.
    Channel {
        body: String,
    },
}

impl RowKind {
    /// Whether a program acts on it rather than a person.
    pub fn is_retrain(&self) -> bool {
        matches!(self, RowKind::Webhook { event, .. } if event == "retrain.requested")
    }

    /// The alert, where it is one.
    pub fn alert(&self) -> Option<&Alert> {
        match self {
            RowKind::Alert(alert) => Some(alert),
            RowKind::Mail(_) | RowKind::Webhook { .. } | RowKind::Channel { .. } => None,
        }
    }

    /// Whether it ends an alert. Such a row is sent however old its cause is: what Alertmanager was
    /// told must end.
    pub fn ends_an_alert(&self) -> bool {
        self.alert().is_some_and(|alert| !alert.is_standing())
    }
}

/// Why a message could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("the webhook body of {id} cannot be written as JSON: {source}")]
    Json { id: String, source: serde_json::Error },
}

/// The rows of a transition, one per receiver that is named in `notify` and wants alerts. Quiet
/// transitions have none, nor have those that follow from another incident. Repeats are not for an Alertmanager, which repeats by its own rules.
///
/// # Errors
/// When a body cannot be written as JSON.
pub fn rows_for(
    context: &MailContext<'_>,
    receivers: &[Receiver],
    notify: &[String],
) -> Result<Vec<OutboxRow>, OutboxError> {
    let transition = context.transition;
    if transition.quiet || transition.folded_into.is_some() {
        return Ok(Vec::new());
    }
    let id = message_key(&transition.id, context.ordinal);
    let mut rows = Vec::new();
    for receiver in told(receivers, notify, Wants::Alerts) {
        let kind = match &receiver.kind {
            ReceiverKind::Email(_) => RowKind::Mail(compose(context)),
            ReceiverKind::Webhook(_) => webhook(&id, &AlertEvent::new(context))?,
            ReceiverKind::Channel(to) => match channel::body(to, context) {
                Some(body) => RowKind::Channel { body },
                None => continue,
            },
            ReceiverKind::Alertmanager(_) if context.ordinal > 0 => continue,
            ReceiverKind::Alertmanager(to) => {
                RowKind::Alert(Alert::new(context, to.runbook.as_deref()))
            }
        };
        rows.push(row(context, id.clone(), receiver, kind));
    }
    Ok(rows)
}

/// The row that tries a receiver at wall time `now_us`: an incident that never was, and ends where it begins for
/// those who keep what they are told. `None` where the receiver takes no alerts.
///
/// # Errors
/// When a body cannot be written as JSON.
pub fn test_row(
    receiver: &Receiver,
    external_url: Option<&str>,
    now_us: i64,
) -> Result<Option<OutboxRow>, OutboxError> {
    let keeps = matches!(&receiver.kind, ReceiverKind::Alertmanager(_) | ReceiverKind::Channel(_));
    let transition = Transition::of_a_test(keeps, now_us);
    let context = MailContext {
        transition: &transition,
        ordinal: 0,
        unmoved: &[],
        retrain: &RetrainNote::None,
        replay: None,
        external_url,
        api: external_url.unwrap_or_default(),
        may_write: false,
    };
    let wanting = Receiver { on: vec![Wants::Alerts], ..receiver.clone() };
    let rows = rows_for(&context, &[wanting], std::slice::from_ref(&receiver.name))?;
    Ok(rows.into_iter().next())
}

/// The rows that end the alerts of an incident that was accepted: one per Alertmanager that is named
/// in `notify`. The transition is the incident's last.
pub fn accepted_rows(
    context: &MailContext<'_>,
    acceptance: &Acceptance,
    receivers: &[Receiver],
    notify: &[String],
) -> Vec<OutboxRow> {
    let id = format!("{}.accepted", context.transition.id);
    let alert = |receiver: &Receiver| match &receiver.kind {
        ReceiverKind::Alertmanager(to) => {
            let alert = Alert::new(context, to.runbook.as_deref()).accepted(acceptance);
            Some(row(context, id.clone(), receiver, RowKind::Alert(alert)))
        }
        ReceiverKind::Channel(to) => {
            let body = channel::accepted(to, context, acceptance)?;
            Some(row(context, id.clone(), receiver, RowKind::Channel { body }))
        }
        ReceiverKind::Email(_) | ReceiverKind::Webhook(_) => None,
    };
    told(receivers, notify, Wants::Alerts).filter_map(alert).collect()
}

/// The rows that raise the alerts of an incident again whose acceptance was taken back at wall time
/// `at_us`. People are told by the repeat, which is due at once.
pub fn taken_back_rows(
    context: &MailContext<'_>,
    at_us: i64,
    receivers: &[Receiver],
    notify: &[String],
) -> Vec<OutboxRow> {
    let id = format!("{}.taken-back.{at_us}", context.transition.id);
    let alert = |receiver: &Receiver| match &receiver.kind {
        ReceiverKind::Alertmanager(to) => {
            let alert = Alert::new(context, to.runbook.as_deref());
            Some(row(context, id.clone(), receiver, RowKind::Alert(alert)))
        }
        ReceiverKind::Email(_) | ReceiverKind::Webhook(_) | ReceiverKind::Channel(_) => None,
    };
    told(receivers, notify, Wants::Alerts).filter_map(alert).collect()
}

fn row(context: &MailContext<'_>, id: String, receiver: &Receiver, kind: RowKind) -> OutboxRow {
    let transition = context.transition;
    OutboxRow {
        id,
        receiver: receiver.name.clone(),
        kind,
        model: transition.model.clone(),
        class: transition.class,
        at_us: transition.at_us,
        created_by: transition.id.clone(),
    }
}

/// The rows of a retraining request, one per webhook that is named in `notify` and wants them.
/// `class` is that of the incident, `created_by` the transition that asked.
///
/// # Errors
/// When the body cannot be written as JSON.
pub fn retrain_rows(
    request: &RetrainRequest,
    class: Class,
    created_by: &str,
    receivers: &[Receiver],
    notify: &[String],
) -> Result<Vec<OutboxRow>, OutboxError> {
    let id = &request.data.retrain_id;
    let kind = RowKind::Webhook { event: request.kind.clone(), body: json(id, request)? };
    let webhooks = told(receivers, notify, Wants::Retrain)
        .filter(|receiver| matches!(receiver.kind, ReceiverKind::Webhook(_)));
    Ok(webhooks
        .map(|receiver| OutboxRow {
            id: id.clone(),
            receiver: receiver.name.clone(),
            kind: kind.clone(),
            model: request.data.model.clone(),
            class,
            at_us: request.timestamp,
            created_by: created_by.to_owned(),
        })
        .collect())
}

fn told<'a>(
    receivers: &'a [Receiver],
    notify: &'a [String],
    about: Wants,
) -> impl Iterator<Item = &'a Receiver> {
    receivers
        .iter()
        .filter(move |receiver| notify.contains(&receiver.name) && receiver.wants(about))
}

fn webhook(id: &str, event: &AlertEvent) -> Result<RowKind, OutboxError> {
    Ok(RowKind::Webhook { event: event.kind.clone(), body: json(id, event)? })
}

fn json<T: Serialize>(id: &str, value: &T) -> Result<String, OutboxError> {
    serde_json::to_string(value).map_err(|source| OutboxError::Json { id: id.to_owned(), source })
}

/// Whether something of event time `at_us` is recorded rather than sent at wall time `now_us`;
/// `max_age_us` is what [`driftline_config::MaxAge::limit_us`] says of its model.
pub fn is_too_old(at_us: i64, now_us: i64, max_age_us: Option<i64>) -> bool {
    max_age_us.is_some_and(|max_age_us| now_us.saturating_sub(at_us) > max_age_us)
}

/// Keeps messages about a model, a class, or both from people until an instant of wall time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub id: String,
    /// Only this model; all where absent.
    #[serde(default)]
    pub model: Option<String>,
    /// Only this class; all where absent.
    #[serde(default)]
    pub class: Option<Class>,
    /// When it ends, wall time in microseconds.
    #[serde(rename = "until", with = "crate::instant")]
    pub until_us: i64,
    pub by: String,
    pub reason: String,
}

impl Silence {
    /// Whether it keeps messages about a class of a model back.
    pub fn is_about(&self, model: &str, class: Class) -> bool {
        self.model.as_ref().is_none_or(|silenced| silenced == model)
            && self.class.is_none_or(|silenced| silenced == class)
    }
}

/// The silence that keeps a row from being sent now, if any. Retraining requests are for programs
/// and are not silenced.
pub fn silenced_by<'a>(
    row: &OutboxRow,
    silences: &'a [Silence],
    now_us: i64,
) -> Option<&'a Silence> {
    let matches =
        |silence: &&Silence| now_us < silence.until_us && silence.is_about(&row.model, row.class);
    if row.kind.is_retrain() { None } else { silences.iter().find(matches) }
}

/// When the last silence about a class of a model ends or has ended, if there is any.
pub fn silenced_until_us(model: &str, class: Class, silences: &[Silence]) -> Option<i64> {
    let about = silences.iter().filter(|silence| silence.is_about(model, class));
    about.map(|silence| silence.until_us).max()
}
