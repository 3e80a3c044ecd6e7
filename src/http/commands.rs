//! What people may change: accept an incident, silence messages.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use driftline_alerting::outbox::Silence;
use driftline_alerting::{Acceptance, Class};
use driftline_config::time::parse_instant_us;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::board::{Board, Command};
use super::known_model;
use super::live::Live;
use super::refusal::Refusal;
use crate::clock::now_us;
use crate::setup::sha256;

/// Longest name of a person, in bytes.
pub(super) const BY_BYTES: usize = 200;
/// Longest reason, in bytes.
pub(super) const REASON_BYTES: usize = 2000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    by: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceBody {
    model: Option<String>,
    class: Option<Class>,
    until: String,
    by: String,
    reason: String,
}

/// `POST /api/v1/alerts/{id}/accept`: 202, the driver carries it out within a second.
pub(super) async fn accept(
    State(board): State<Arc<Board>>,
    incident: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Path(incident) = incident.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let AcceptBody { by, reason } = parse(body, "{\"by\": \"…\", \"reason\": \"…\"}")?;
    let (by, reason) = signed(&by, &reason)?;
    let live = board.live();
    if !live.incidents.iter().any(|open| open.id == incident) {
        return Err(Refusal::not_found(format!(
            "no open incident has the id {incident}: it may have resolved; see /api/v1/alerts"
        )));
    }
    let answer = json!({ "incident": incident });
    let acceptance = Acceptance { by, reason, at_us: now_us() };
    board.command(Command::Accept { incident, acceptance })?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// `POST /api/v1/silences`: 202 with the silence's id. The same silence posted twice is one.
pub(super) async fn silence(
    State(board): State<Arc<Board>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let expected = "{\"model\": …, \"class\": …, \"until\": \"2026-11-02T00:00:00Z\", \"by\": \"…\", \"reason\": \"…\"}";
    let SilenceBody { model, class, until, by, reason } = parse(body, expected)?;
    let (by, reason) = signed(&by, &reason)?;
    let until_us = parse_instant_us(&until).map_err(|why| Refusal::bad(format!("until: {why}")))?;
    if until_us <= now_us() {
        return Err(Refusal::bad(format!("until must lie in the future, {until} does not")));
    }
    let silence = new_silence(&board.live(), (model, class), until_us, (by, reason))?;
    let answer = json!({ "id": silence.id });
    board.command(Command::Silence(silence))?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// A silence about a model, a class, both or all, whose id follows from what it says.
pub(super) fn new_silence(
    live: &Live,
    (model, class): (Option<String>, Option<Class>),
    until_us: i64,
    (by, reason): (String, String),
) -> Result<Silence, Refusal> {
    if let Some(model) = &model {
        known_model(live, model)?;
    }
    let parts = json!([model, class, until_us, by, reason]).to_string();
    let id = sha256(parts.as_bytes()).chars().take(32).collect();
    Ok(Silence { id, model, class, until_us, by, reason })
}

fn parse<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    expected: &str,
) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("the body must be {expected}: {error}")))
}

pub(super) fn signed(by: &str, reason: &str) -> Result<(String, String), Refusal> {
    let (by, reason) = (by.trim(), reason.trim());
    if by.is_empty() || reason.is_empty() {
        return Err(Refusal::bad("both by and reason must say something"));
    }
    if by.len() > BY_BYTES || reason.len() > REASON_BYTES {
        return Err(Refusal::bad(format!(
            "by may have {BY_BYTES} bytes and reason {REASON_BYTES}"
        )));
    }
    Ok((by.to_owned(), reason.to_owned()))
}
