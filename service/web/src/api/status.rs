//! What stands now: probes, metrics, models, alerts, ledger, dead letters.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::board::Board;
use crate::live::{CheckState, Live, ReadyCheck, SILENT};
use crate::refusal::Refusal;

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: every check; 503 where one failed.
pub(crate) async fn ready(State(board): State<Arc<Board>>) -> Response {
    let (state, body) = readiness(&board.live(), board.age());
    let status = match state {
        CheckState::Failed => StatusCode::SERVICE_UNAVAILABLE,
        CheckState::Ok | CheckState::Degraded => StatusCode::OK,
    };
    (status, Json(body)).into_response()
}

/// `GET /metrics`
pub(crate) async fn metrics(State(board): State<Arc<Board>>) -> Result<Response, Refusal> {
    let text = board.metrics.render().map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written")
    })?;
    let text = text + &crate::metrics::process::render();
    Ok(([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response())
}

/// `GET /api/v1/models`
pub(crate) async fn models(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!(board.live().models))
}

/// `GET /api/v1/alerts`
pub(crate) async fn alerts(State(board): State<Arc<Board>>) -> Json<Value> {
    let live = board.live();
    Json(json!({
        "incidents": live.incidents,
        "history": live.history,
        "silences": live.silences,
    }))
}

/// `GET /api/v1/ledger`
pub(crate) async fn ledger(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!({ "topics": board.live().topics }))
}

/// `GET /api/v1/dead-letters`
pub(crate) async fn dead_letters(State(board): State<Arc<Board>>) -> Json<Value> {
    Json(json!(board.live().dead_letters))
}

/// What `/readyz` answers. Before the first check, and where the driver is silent, that is a check
/// of its own.
pub(crate) fn readiness(live: &Live, silent_for: Duration) -> (CheckState, Value) {
    let mut checks = live.checks.clone();
    if checks.is_empty() {
        checks.push(failed("start", "the first positions are being read".to_owned()));
    }
    if silent_for > SILENT {
        let seconds = silent_for.as_secs();
        let says =
            format!("the pipeline has not moved for {seconds} s; the log says what it waits for");
        checks.push(failed("pipeline", says));
    }
    let state = live.state(silent_for);
    let named = |state: CheckState| -> Vec<&str> {
        let of_state = checks.iter().filter(|check| check.state == state);
        of_state.map(|check| check.name.as_str()).collect()
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
