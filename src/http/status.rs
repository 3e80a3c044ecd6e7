//! What stands now: probes, metrics, models, alerts, ledger, dead letters.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::board::Board;
use super::live::{CheckState, Live, ReadyCheck};
use super::refusal::Refusal;

/// How long the driver may be silent before we say so: it writes every second.
const SILENT: Duration = Duration::from_secs(60);

/// `GET /livez`: the process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: every check; 503 where one failed.
pub(super) async fn ready(State(board): State<Arc<Board>>) -> Response {
    let (state, body) = readiness(&board.live(), board.age());
    let status = match state {
        CheckState::Failed => StatusCode::SERVICE_UNAVAILABLE,
        CheckState::Ok | CheckState::Degraded => StatusCode::OK,
    };
    (status, Json(body)).into_response()
}

/// `GET /metrics`
pub(super) async fn metrics(State(board): State<Arc<Board>>) -> Result<Response, Refusal> {
    let text = board.metrics.render().map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written")
    })?;
    Ok(([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response())
}

/// `GET /api/v1/models`
pub(super) async fn models(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!(board.live().models))
}

/// `GET /api/v1/alerts`
pub(super) async fn alerts(State(board): State<Arc<Board>>) -> Json<Value> {
    let live = board.live();
    Json(json!({
        "incidents": live.incidents,
        "history": live.history,
        "silences": live.silences,
    }))
}

/// `GET /api/v1/ledger`
pub(super) async fn ledger(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!({ "topics": board.live().topics }))
}

/// `GET /api/v1/dead-letters`
pub(super) async fn dead_letters(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!(board.live().dead_letters))
}

/// The worst state of all checks, and what `/readyz` answers.
pub(super) fn readiness(live: &Live, age: Duration) -> (CheckState, Value) {
    let mut checks = live.checks.clone();
    if checks.is_empty() {
        checks.push(failed("start", "the first positions are being read".to_owned()));
    }
    if age > SILENT {
        let seconds = age.as_secs();
        let says =
            format!("the pipeline has not moved for {seconds} s; the log says what it waits for");
        checks.push(failed("pipeline", says));
    }
    let state = checks.iter().map(|check| check.state).max().unwrap_or(CheckState::Failed);
    let named = |state: CheckState| -> Vec<&str> {
        checks
            .iter()
            .filter(|check| check.state == state)
            .map(|check| check.name.as_str())
            .collect()
    };
    let body = json!({
        "ready": state != CheckState::Failed,
        "failed": named(CheckState::Failed),
        "degraded": named(CheckState::Degraded),
        "checks": checks,
    });
    (state, body)
}

fn failed(name: &str, says: String) -> ReadyCheck {
    ReadyCheck { name: name.to_owned(), state: CheckState::Failed, says }
}
