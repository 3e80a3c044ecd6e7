//! Stored reports: whole, by id, and as a series of one subject.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use driftline_analytics::report::{Finding, Level};
use driftline_config::time::parse_instant_us;
use serde::{Deserialize, Serialize};

use super::board::{Board, ReadError};
use super::known_model;
use super::refusal::Refusal;
use crate::checkpoint::{Store, StoreError, StoredReport};
use crate::translate;

/// Reports of one answer where `limit` does not say.
const REPORTS: usize = 20;
/// The largest `limit`.
const MOST_REPORTS: usize = 500;
/// Bytes of one answer: a report of two thousand columns has some ten megabytes.
const MOST_BYTES: usize = 64 << 20;
/// Points of one series.
const MOST_POINTS: usize = 1000;
/// Reports that are unpacked at once.
const PAGE: usize = 16;

/// `?limit=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportsQuery {
    limit: Option<usize>,
}

/// `?subject=&statistic=&from=&to=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesQuery {
    subject: String,
    statistic: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// One window of a series.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Point {
    /// Start of the window, RFC 3339.
    time: String,
    value: Option<f64>,
    bound: Option<f64>,
    tolerance: Option<f64>,
    level: Level,
}

/// The part of a report that a series needs.
#[derive(Debug, Deserialize)]
struct Judged {
    window: Started,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Started {
    start: String,
}

/// The part of a report that says which it is.
#[derive(Debug, Deserialize)]
struct Named {
    window: Id,
}

#[derive(Debug, Deserialize)]
struct Id {
    id: String,
}

/// Which numbers of a subject a series shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Statistic {
    /// Those that decide about its distribution, or the only ones it has.
    Deciding,
    Ks,
    /// The debiased one.
    Psi,
    /// Those of another check, by its name.
    Check(String),
}

/// `GET /api/v1/models/{m}/reports`: an array of the newest reports, oldest first, each byte for byte
/// as it was published.
pub(super) async fn list(
    State(board): State<Arc<Board>>,
    model: Result<Path<String>, PathRejection>,
    query: Result<Query<ReportsQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Path(model) = model.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let Query(query) = query.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    known_model(&board.live(), &model)?;
    let limit = query.limit.unwrap_or(REPORTS);
    if !(1..=MOST_REPORTS).contains(&limit) {
        return Err(Refusal::bad(format!("limit must lie between 1 and {MOST_REPORTS}")));
    }
    let body = board.read(move |store| array(store, &model, limit)).await?;
    Ok(json(body))
}

/// `GET /api/v1/reports/{id}`: one report, byte for byte as it was published.
pub(super) async fn one(
    State(board): State<Arc<Board>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let unknown =
        || Refusal::not_found(format!("no report has the id {id}, or it is no longer kept"));
    let (model, start_us) = translate::parse_window_id(&id).ok_or_else(unknown)?;
    let report = board.read(move |store| Ok(store.report(&model, start_us)?)).await?;
    let report = report.ok_or_else(unknown)?.report;
    let named: Named = serde_json::from_str(&report).map_err(|_| unreadable())?;
    if named.window.id != id {
        return Err(unknown());
    }
    Ok(json(report))
}

/// `GET /api/v1/models/{m}/series`: one subject over the windows that start in `[from, to)`. Without
/// `from` the last thousand.
pub(super) async fn series(
    State(board): State<Arc<Board>>,
    model: Result<Path<String>, PathRejection>,
    query: Result<Query<SeriesQuery>, QueryRejection>,
) -> Result<Json<Vec<Point>>, Refusal> {
    let Path(model) = model.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let Query(query) = query.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    known_model(&board.live(), &model)?;
    let statistic = Statistic::parse(query.statistic.as_deref())?;
    let instant = |text: &Option<String>, name: &str, otherwise: i64| match text {
        None => Ok(otherwise),
        Some(text) => parse_instant_us(text).map_err(|why| Refusal::bad(format!("{name}: {why}"))),
    };
    let from_us = instant(&query.from, "from", i64::MIN)?;
    let to_us = instant(&query.to, "to", i64::MAX)?;
    if from_us >= to_us {
        return Err(Refusal::bad("from must lie before to"));
    }
    let subject = query.subject;
    let bounded = query.from.is_some();
    let points = board.read(move |store| {
        let mut points = Vec::new();
        let more = newest_first(store, &model, (from_us, to_us), MOST_POINTS, |stored| {
            let judged: Judged = serde_json::from_str(&stored.report).map_err(|_| unreadable())?;
            points.extend(statistic.point(&subject, judged));
            Ok(())
        })?;
        if more && bounded {
            let sentence = format!(
                "more than {MOST_POINTS} windows start there: choose a later from or an earlier to"
            );
            return Err(Refusal::bad(sentence).into());
        }
        points.reverse();
        Ok(points)
    });
    points.await.map(Json)
}

impl Statistic {
    /// The name that a query gives. `value`, `bound` and `tolerance` are what the metrics call the
    /// numbers of the deciding statistic; a point has all three.
    fn parse(name: Option<&str>) -> Result<Statistic, Refusal> {
        match name {
            None | Some("" | "value" | "bound" | "tolerance") => Ok(Statistic::Deciding),
            Some("ks") => Ok(Statistic::Ks),
            Some("psi") => Ok(Statistic::Psi),
            Some(
                check @ ("missing" | "wrong_type" | "new_category" | "absent" | "new_column"
                | "volume" | "latency" | "errors"),
            ) => Ok(Statistic::Check(check.to_owned())),
            Some(_) => Err(Refusal::bad(
                "statistic must be value, ks, psi, missing, wrong_type, new_category, absent, new_column, volume, latency or errors",
            )),
        }
    }

    /// What a report says of a subject; `None` where it says nothing.
    fn point(&self, subject: &str, judged: Judged) -> Option<Point> {
        let of_subject: Vec<&Finding> =
            judged.findings.iter().filter(|finding| finding.subject == subject).collect();
        let of_check = |name: &str| {
            let mut findings = of_subject.iter();
            findings.find(|finding| finding.check.name() == name).copied()
        };
        let distribution = of_check("distribution");
        let (finding, numbers) = match self {
            Statistic::Deciding => {
                let finding = distribution.or(of_subject.first().copied())?;
                (finding, numbers(finding))
            }
            Statistic::Ks => {
                let ks = distribution?.ks.as_ref()?;
                (distribution?, (Some(ks.value), Some(ks.bound), Some(ks.tolerance)))
            }
            Statistic::Psi => {
                let psi = distribution?.psi.as_ref()?;
                (distribution?, (Some(psi.debiased), Some(psi.bound), psi.tolerance))
            }
            Statistic::Check(name) => {
                let finding = of_check(name)?;
                (finding, numbers(finding))
            }
        };
        let (value, bound, tolerance) = numbers;
        let level = finding.level;
        Some(Point { time: judged.window.start, value, bound, tolerance, level })
    }
}

fn numbers(finding: &Finding) -> (Option<f64>, Option<f64>, Option<f64>) {
    match (translate::numbers(finding), &finding.volume) {
        (Some((value, bound, tolerance)), _) => (Some(value), Some(bound), Some(tolerance)),
        (None, Some(volume)) => (Some(volume.value), None, None),
        (None, None) => (None, None, None),
    }
}

fn array(store: &Store, model: &str, limit: usize) -> Result<String, ReadError> {
    let mut reports: Vec<String> = Vec::new();
    let mut bytes = 0;
    newest_first(store, model, (i64::MIN, i64::MAX), limit, |stored| {
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

/// Visits at most `limit` reports with a start in `[from_us, to_us)`, the newest first, a few in
/// memory at a time. Tells whether there were more.
fn newest_first(
    store: &Store,
    model: &str,
    (from_us, to_us): (i64, i64),
    limit: usize,
    mut visit: impl FnMut(StoredReport) -> Result<(), ReadError>,
) -> Result<bool, ReadError> {
    let mut before_us = to_us;
    let mut left = limit;
    loop {
        let page = page(store, model, (from_us, before_us))?;
        let Some(oldest) = page.first() else { return Ok(false) };
        before_us = oldest.start_us;
        for stored in page.into_iter().rev() {
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            visit(stored)?;
        }
    }
}

fn page(store: &Store, model: &str, range: (i64, i64)) -> Result<Vec<StoredReport>, StoreError> {
    if range.0 >= range.1 { Ok(Vec::new()) } else { store.reports(model, range, PAGE) }
}

pub(super) fn unreadable() -> Refusal {
    let sentence = "a stored report is damaged; it goes when it is older than reports.keep";
    Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, sentence)
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
