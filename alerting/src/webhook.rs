//! Webhook bodies and their signatures by Standard Webhooks 1.0.

use base64::{Engine, engine::general_purpose::STANDARD};
use driftline_config::{Subject, WindowId};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::incident::{Consequence, Transition, TransitionState};
use crate::links;
use crate::mail::{RetrainNote, message_key};
use crate::signal::{Class, Evidence};

/// Why a secret cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// What follows `whsec_` is not base64.
    #[error("the secret starts with whsec_ but what follows is not base64")]
    NotBase64,
    #[error("the secret is empty")]
    Empty,
}

/// The value of `webhook-signature`: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`.
///
/// A secret that starts with `whsec_` is base64 after it; any other text signs as its bytes.
/// `timestamp_s` is the time of sending in Unix seconds, the value of `webhook-timestamp`.
///
/// # Errors
/// When the secret is empty, or starts with `whsec_` and is not base64.
pub fn sign(id: &str, timestamp_s: i64, body: &[u8], secret: &str) -> Result<String, SecretError> {
    let key = key(secret)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| SecretError::Empty)?;
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The bytes a secret signs with.
pub(crate) fn key(secret: &str) -> Result<Vec<u8>, SecretError> {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?,
        None => secret.as_bytes().to_vec(),
    };
    if key.is_empty() { Err(SecretError::Empty) } else { Ok(key) }
}

/// The body of a webhook about a transition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// `alert.firing`, `alert.changed` or `alert.resolved`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was decided, as [`Transition::at_us`].
    #[serde(with = "crate::instant")]
    pub timestamp: i64,
    pub data: AlertData,
}

/// A transition as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertData {
    /// Id of the transition, with its ordinal for repeats.
    pub id: String,
    pub incident: String,
    pub model: String,
    pub class: Class,
    /// The class to look at first.
    pub looks_like: Class,
    /// Start of the first window over tolerance.
    #[serde(with = "crate::instant")]
    pub since: i64,
    /// Windows or panes at alarm …
    pub over: u32,
    /// … of the last this many.
    pub of: u32,
    pub subjects: Vec<AlertSubject>,
    pub subjects_total: usize,
    /// What follows from it and is told nowhere else.
    pub consequences: Vec<Consequence>,
    pub windows: Vec<WindowId>,
    /// How extreme the window is and what number of false alarms was promised, in sentences; where
    /// ranks decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promise: Vec<String>,
    pub retrain: RetrainNote,
    pub replay: Option<String>,
    pub link: Option<String>,
}

/// One finding as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertSubject {
    pub subject: Subject,
    pub check: String,
    pub value: Option<f64>,
    pub bound: Option<f64>,
    pub tolerance: Option<f64>,
    pub because: String,
}

/// Findings of one webhook and characters of one explanation: a body stays under 20 KB.
const SUBJECTS_SENT: usize = 10;
const EXPLANATION_CHARS: usize = 500;
/// Window ids of one webhook, the latest.
const WINDOWS_SENT: usize = 20;

impl AlertEvent {
    /// What a webhook says about what a mail would say.
    pub fn new(context: &crate::mail::MailContext<'_>) -> AlertEvent {
        let transition: &Transition = context.transition;
        let kind = match transition.state {
            TransitionState::Firing => "alert.firing",
            TransitionState::Changed => "alert.changed",
            TransitionState::Resolved => "alert.resolved",
        };
        let skipped = transition.windows.len().saturating_sub(WINDOWS_SENT);
        AlertEvent {
            kind: kind.to_owned(),
            timestamp: transition.at_us,
            data: AlertData {
                id: message_key(&transition.id, context.ordinal),
                incident: transition.incident.clone(),
                model: transition.model.clone(),
                class: transition.class,
                looks_like: transition.looks_like,
                since: transition.since_us,
                over: transition.over,
                of: transition.of,
                subjects: transition.subjects.iter().take(SUBJECTS_SENT).map(told).collect(),
                subjects_total: transition.subjects_total,
                consequences: transition.consequences.clone(),
                windows: transition.windows.iter().skip(skipped).cloned().collect(),
                promise: transition.promise.clone(),
                retrain: context.retrain.clone(),
                replay: context.replay.map(str::to_owned),
                link: context
                    .external_url
                    .map(|url| format!("{url}{}", links::incident(&transition.incident))),
            },
        }
    }
}

fn told(subject: &Evidence) -> AlertSubject {
    AlertSubject {
        subject: subject.subject.clone(),
        check: subject.check.clone(),
        value: subject.value,
        bound: subject.bound,
        tolerance: subject.tolerance,
        because: subject.because.chars().take(EXPLANATION_CHARS).collect(),
    }
}
