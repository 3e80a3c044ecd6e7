//! What people may change: accept an incident, silence messages, and take either back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use driftline_alerting::clock::now_us;
use driftline_alerting::outbox::Silence;
use driftline_alerting::{Acceptance, Class};
use driftline_config::sha256_hex;
use driftline_config::time::{parse_duration_us, parse_instant_us};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::known_model;
use crate::access::Caller;
use crate::audit::AuditLine;
use crate::board::{Board, Command};
use crate::live::Live;
use crate::refusal::Refusal;

/// Longest name of a person, in bytes.
pub(crate) const BY_BYTES: usize = 200;
/// Longest reason, in bytes.
pub(crate) const REASON_BYTES: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    by: String,
    reason: String,
}

/// What a silence is about: a model, a class, both or everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) model: Option<String>,
    pub(crate) class: Option<Class>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    by: Option<String>,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceBody {
    model: Option<String>,
    class: Option<Class>,
    until: Option<String>,
    /// Instead: how long from now.
    r#for: Option<String>,
    by: Option<String>,
    reason: String,
}

/// `POST /api/v1/alerts/{id}/accept`: 202, the driver carries it out within a second.
pub(crate) async fn accept(
    State(board): State<Arc<Board>>,
    Extension(caller): Extension<Caller>,
    incident: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Path(incident) = incident?;
    let AcceptBody { by, reason } = parse(body, "{\"by\": \"…\", \"reason\": \"…\"}")?;
    let by = caller.who(by);
    let signature = Signature::new(&by, &reason)?;
    if board.live().incident(&incident).is_none() {
        return Err(Refusal::not_found(format!(
            "no open incident has the id {incident}: it may have resolved; see /api/v1/alerts"
        )));
    }
    let answer = json!({ "incident": incident });
    let line = caller.audit("accept", &incident, signature.by());
    let acceptance = signature.acceptance();
    noted_command(&board, Command::Accept { incident, acceptance }, line)?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// `GET /api/v1/audit`: the last writes, oldest first.
pub(crate) async fn audit(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!({ "audit": board.audit.lines() }))
}

/// `POST /api/v1/silences`: 202 with the silence's id. The same silence posted twice is one.
pub(crate) async fn silence(
    State(board): State<Arc<Board>>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let expected = "{\"model\": …, \"class\": …, \"until\": \"2026-11-02T00:00:00Z\" or \"for\": \"24h\", \"by\": \"…\", \"reason\": \"…\"}";
    let SilenceBody { model, class, until, r#for, by, reason } = parse(body, expected)?;
    let by = caller.who(by);
    let signature = Signature::new(&by, &reason)?;
    let until_us = match (&until, &r#for) {
        (Some(until), None) => {
            parse_instant_us(until).map_err(|why| Refusal::bad(format!("until: {why}")))?
        }
        (None, Some(length)) => {
            let length_us = parse_duration_us(length);
            let length_us = length_us.map_err(|why| Refusal::bad(format!("for: {why}")))?;
            now_us().saturating_add(length_us)
        }
        _ => return Err(Refusal::bad("a silence needs either until or for")),
    };
    if until_us <= now_us() {
        let until = until.or(r#for).unwrap_or_default();
        return Err(Refusal::bad(format!("until must lie in the future, {until} does not")));
    }
    let silence = new_silence(&board.live(), Scope { model, class }, until_us, signature)?;
    let answer = json!({ "id": silence.id });
    let line = caller.audit("silence", &silence.id, &silence.by);
    noted_command(&board, Command::Silence(silence), line)?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// `DELETE /api/v1/alerts/{id}/accept`: 202, it is told of again within a second.
pub(crate) async fn take_back(
    State(board): State<Arc<Board>>,
    Extension(caller): Extension<Caller>,
    incident: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Path(incident) = incident?;
    let AcceptBody { by, reason } = parse(body, "{\"by\": \"…\", \"reason\": \"…\"}")?;
    let signature = Signature::new(&caller.who(by), &reason)?;
    ask_to_take_back(&board, &caller, &incident, signature)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "incident": incident }))))
}

/// Commands that an acceptance be taken back, where there is one.
pub(crate) fn ask_to_take_back(
    board: &Board,
    caller: &Caller,
    incident: &str,
    signature: Signature,
) -> Result<(), Refusal> {
    let live = board.live();
    if live.incident(incident).is_none_or(|open| open.accepted.is_none()) {
        return Err(Refusal::not_found(format!(
            "no accepted incident has the id {incident}: it may have grown or resolved; see /api/v1/alerts"
        )));
    }
    let line = caller.audit("take back", incident, signature.by());
    let command = Command::TakeBack { incident: incident.to_owned(), by: signature.acceptance() };
    noted_command(board, command, line)
}

/// `DELETE /api/v1/silences/{id}`: 202, what it kept back and still fires is told within a second.
pub(crate) async fn end_silence(
    State(board): State<Arc<Board>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Path(id) = id?;
    let AcceptBody { by, reason } = parse(body, "{\"by\": \"…\", \"reason\": \"…\"}")?;
    let signature = Signature::new(&caller.who(by), &reason)?;
    ask_to_end_silence(&board, &caller, &id, signature)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))))
}

/// Commands that a silence end, where it is in force.
pub(crate) fn ask_to_end_silence(
    board: &Board,
    caller: &Caller,
    id: &str,
    signature: Signature,
) -> Result<(), Refusal> {
    if !has_silence(&board.live(), id) {
        let text = format!("no silence in force has the id {id}; see /api/v1/alerts");
        return Err(Refusal::not_found(text));
    }
    let line = caller.audit("end silence", id, signature.by());
    let command = Command::EndSilence { id: id.to_owned(), by: signature.acceptance() };
    noted_command(board, command, line)
}

/// Whether a silence is in force.
pub(crate) fn has_silence(live: &Live, id: &str) -> bool {
    live.silences.iter().any(|silence| silence.id == id)
}

/// Hands a command to the driver, and writes down who gave it.
pub(crate) fn noted_command(
    board: &Board,
    command: Command,
    line: AuditLine,
) -> Result<(), Refusal> {
    board.command(command)?;
    board.audit.note(line);
    Ok(())
}

/// A silence whose id follows from what it says: sent twice, it is one.
pub(crate) fn new_silence(
    live: &Live,
    Scope { model, class }: Scope,
    until_us: i64,
    Signature { by, reason }: Signature,
) -> Result<Silence, Refusal> {
    if let Some(model) = &model {
        known_model(live, model)?;
    }
    let parts = json!([model, class, until_us, by, reason]).to_string();
    let id = sha256_hex(parts).chars().take(32).collect();
    Ok(Silence { id, model, class, until_us, by, reason })
}

impl Signature {
    pub(crate) fn new(by: &str, reason: &str) -> Result<Signature, Refusal> {
        let (by, reason) = (by.trim(), reason.trim());
        if by.is_empty() || reason.is_empty() {
            return Err(Refusal::bad("both by and reason must say something"));
        }
        if by.len() > BY_BYTES || reason.len() > REASON_BYTES {
            return Err(Refusal::bad(format!(
                "by may have {BY_BYTES} bytes and reason {REASON_BYTES}"
            )));
        }
        Ok(Signature { by: by.to_owned(), reason: reason.to_owned() })
    }

    pub(crate) fn by(&self) -> &str {
        &self.by
    }

    pub(crate) fn acceptance(self) -> Acceptance {
        Acceptance { by: self.by, reason: self.reason, at_us: now_us() }
    }
}

fn parse<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    expected: &str,
) -> Result<T, Refusal> {
    serde_json::from_slice(&body?)
        .map_err(|error| Refusal::bad(format!("the body must be {expected}: {error}")))
}
