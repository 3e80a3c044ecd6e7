//! Stored reports: the newest, and one by its id, each byte for byte as it was published.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use driftline_analytics::report::{Report, Violations};
use driftline_config::WindowId;
use driftline_pipeline::snapshot::StoredReport;
use driftline_store::Store;
use serde::Deserialize;

use super::known_model;
use crate::board::{Board, ReadError};
use crate::refusal::Refusal;

/// Reports of one answer where `limit` does not say.
const REPORTS: usize = 20;
/// The largest `limit`.
const MOST_REPORTS: usize = 500;
/// Bytes of one answer: a report of two thousand columns has some ten megabytes.
const MOST_BYTES: usize = 64 << 20;
const UNPACKED: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportsQuery {
    limit: Option<usize>,
}

/// The part of a report that says which it is.
#[derive(Debug, Deserialize)]
struct Identified {
    window: IdentifiedWindow,
}

#[derive(Debug, Deserialize)]
struct IdentifiedWindow {
    id: String,
}

/// `GET /api/v1/models/{m}/reports`: an array of the newest reports, oldest first.
pub(crate) async fn list(
    State(board): State<Arc<Board>>,
    model: Result<Path<String>, PathRejection>,
    query: Result<Query<ReportsQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (Path(model), Query(query)) = (model?, query?);
    known_model(&board.live(), &model)?;
    let limit = query.limit.unwrap_or(REPORTS);
    if !(1..=MOST_REPORTS).contains(&limit) {
        return Err(Refusal::bad(format!("limit must lie between 1 and {MOST_REPORTS}")));
    }
    let body = board.read(move |store| array(store, &model, limit)).await?;
    Ok(json(body))
}

pub(crate) async fn one(
    State(board): State<Arc<Board>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id?;
    Ok(json(stored(&board, id).await?))
}

/// `GET /api/v1/reports/{id}/constraint_violations`: its findings as SageMaker's Model Monitor writes them.
pub(crate) async fn violations(
    State(board): State<Arc<Board>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id?;
    let report = stored(&board, id).await?;
    let report = Report::from_json(&report).map_err(|_| Refusal::damaged_report())?;
    Ok(json(Violations::of(&report).to_json()))
}

/// The report of this id, byte for byte.
async fn stored(board: &Board, id: String) -> Result<String, Refusal> {
    let unknown =
        || Refusal::not_found(format!("no report has the id {id}, or it is no longer kept"));
    let (model, start_us) = WindowId::parse(&id).ok_or_else(unknown)?;
    let report = board.read(move |store| Ok(store.report(&model, start_us)?)).await?;
    let report = report.ok_or_else(unknown)?.report;
    // Windows of another length may start there too.
    let identified: Identified =
        serde_json::from_str(&report).map_err(|_| Refusal::damaged_report())?;
    if identified.window.id != id {
        return Err(unknown());
    }
    Ok(report)
}

fn array(store: &Store, model: &str, limit: usize) -> Result<String, ReadError> {
    let mut reports: Vec<String> = Vec::new();
    let mut bytes = 0;
    newest_first(store, model, i64::MIN..i64::MAX, limit, |stored| {
        bytes += stored.report.len() + 1;
        if bytes > MOST_BYTES && !reports.is_empty() {
            let fit = reports.len();
            let sentence = format!(
                "so many reports of this model are too large for one answer: ask for limit={fit}"
            );
            return Err(Refusal::bad(sentence).into());
        }
        reports.push(stored.report);
        Ok(())
    })?;
    reports.reverse();
    Ok(format!("[{}]", reports.join(",")))
}

/// Visits at most `limit` reports with a start in `starts_us`, the newest first, a few in memory at a
/// time. Tells whether there were more.
pub(super) fn newest_first(
    store: &Store,
    model: &str,
    starts_us: Range<i64>,
    limit: usize,
    mut visit: impl FnMut(StoredReport) -> Result<(), ReadError>,
) -> Result<bool, ReadError> {
    let Range { start: from_us, end: mut before_us } = starts_us;
    let mut left = limit;
    while from_us < before_us {
        let some = store.reports(model, from_us..before_us, UNPACKED)?;
        let Some(oldest) = some.first() else { break };
        before_us = oldest.start_us;
        for stored in some.into_iter().rev() {
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            visit(stored)?;
        }
    }
    Ok(false)
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
