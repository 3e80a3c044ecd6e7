//! `GET /models/{m}/candidates/{c}`: a candidate beside its champion, window by window.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use driftline_analytics::report::Level;
use driftline_config::links;
use driftline_shadow::CandidateReport;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

use super::model::{WINDOWS, status_of};
use super::shell::{Root, Section, View, document, refused};
use super::words;
use crate::http::board::{Board, ReadError};
use crate::http::live::{CandidateStatus, CheckState};
use crate::http::refusal::Refusal;
use crate::plots::{self, Timeline, TimelinePoint};
use crate::translate;

/// The parts of a shadow record that the view needs.
#[derive(Debug, Deserialize)]
struct Record {
    window: OfWindow,
    shadow: Vec<CandidateReport>,
}

#[derive(Debug, Deserialize)]
struct OfWindow {
    id: String,
}

/// One window of the candidate.
struct Point {
    window: String,
    start_us: i64,
    report: CandidateReport,
}

/// `GET /models/{m}/candidates/{c}`
pub(in crate::http) async fn show(
    State(board): State<Arc<Board>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    match view(&board, path).await {
        Ok(response) => response,
        Err(refusal) => refused(&board, Root::OF_MODEL, refusal),
    }
}

async fn view(
    board: &Arc<Board>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((name, candidate)) = path.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let live = board.live();
    let status = status_of(&live, &name)?;
    let configured = status.candidates.iter().find(|known| known.name == candidate);
    let of = name.clone();
    let records = board.read(move |store| {
        Ok::<Vec<Record>, ReadError>(store.shadow_records(&of, i64::MAX, WINDOWS)?)
    });
    let mut points = Vec::new();
    for record in records.await? {
        let id = record.window.id;
        let start_us = translate::parse_window_id(&id).map_or(0, |(_, start_us)| start_us);
        let mut of_candidate = record.shadow.into_iter();
        if let Some(report) = of_candidate.find(|report| report.candidate == candidate) {
            points.push(Point { window: id, start_us, report });
        }
    }
    if configured.is_none() && points.is_empty() {
        return Err(Refusal::not_found(format!("{name} has no candidate {candidate}.")));
    }
    let view = View {
        title: format!("{candidate}, candidate of {name}"),
        root: Root::OF_MODEL,
        section: Section::Models,
        model: Some(&name),
        alerts: false,
        body: body(&name, &candidate, configured, &points),
    };
    Ok(document(board, &live, view))
}

fn body(
    model: &str,
    candidate: &str,
    configured: Option<&CandidateStatus>,
    points: &[Point],
) -> Markup {
    let root = Root::OF_MODEL;
    let last = points.iter().rev().find(|point| point.report.paired > 0).or_else(|| points.last());
    html! {
        p.crumbs { a href=(root.to(links::MODELS)) { "Models" } " / " a href=(root.to(&links::model(model))) { (model) } }
        h1 { (candidate) " " small { "candidate" } }
        div #candidate data-live {
            @match configured {
                None => { p.said { "This candidate is no longer configured." } }
                Some(status) => {
                    p { "It is to be " b { (status.purpose) } @if status.purpose == "same" { " as" } @else { " than" } " the champion: "
                        span.badge.(if status.state == CheckState::Ok { "ok" } else { "warn" }) { (status.says) } }
                }
            }
            @match last {
                None => { p { "No window has been compared yet: rows from before its training ended are not scored." } }
                Some(last) => { (compared(model, last)) (over_time(candidate, points)) (windows(model, points)) }
            }
        }
    }
}

/// The last window with paired rows.
fn compared(model: &str, point: &Point) -> Markup {
    let root = Root::OF_MODEL;
    let report = &point.report;
    let fact = |name: &str, value: String, more: String| {
        html! { div { dt { (name) } dd { (value) @if !more.is_empty() { small { (more) } } } } }
    };
    let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), words::percent);
    html! {
        h2 { "The window of " a href=(root.to(&links::window(model, &point.window))) { (words::day(point.start_us)) } }
        @if let Some(problem) = &report.problem { p.said.alarm { (problem) } }
        dl.facts {
            (fact("Same label", percent(report.agreement), words::many(report.paired, "paired row")))
            @if let Some(kappa) = report.kappa { (fact("Kappa", words::number(kappa), "1 is the same, 0 is chance".to_owned())) }
            @if let Some(score) = &report.score {
                (fact("Mean difference of scores", words::number(score.mean_difference), "candidate minus champion".to_owned()))
                (fact("PSI of the scores", words::number(score.psi), String::new()))
                (fact("Largest difference", words::number(score.largest_difference), format!("at {}", score.largest_at)))
            }
            (fact("Sampled", words::count(report.sampled), format!("{} paired, {} shed, {} failed", words::count(report.paired), words::count(report.shed), words::count(report.failed))))
        }
        @if !report.table.is_empty() {
            h3 { "Which labels flip" }
            div.scroll tabindex="0" role="region" aria-label="Labels of champion and candidate" { (PreEscaped(plots::flip_table(&report.classes, &report.table))) }
        }
        h3 { "Its own latency" }
        p.soft { "The model alone, without any request around it; not to be held against request latencies." }
        dl.facts {
            @if let Some(single) = &report.single_us {
                (fact("p50, one row at a time", words::latency(single.p50 as u64), words::many(single.n, "row")))
                (fact("p99, one row at a time", words::latency(single.p99 as u64), String::new()))
            }
            @if let Some(batch) = report.batch_us_per_row { (fact("Per row in batches", format!("{} µs", words::number(batch)), String::new())) }
        }
    }
}

fn over_time(candidate: &str, points: &[Point]) -> Markup {
    let series = |value: &dyn Fn(&CandidateReport) -> Option<f64>| -> Vec<TimelinePoint> {
        let point = |point: &Point| TimelinePoint {
            time_us: point.start_us,
            value: value(&point.report),
            bound: None,
            tolerance: None,
            level: Level::Ok,
        };
        points.iter().filter(|point| point.report.paired > 0).map(point).collect()
    };
    let all = [
        ("labels that differ", series(&|report| report.agreement.map(|same| 1.0 - same))),
        ("PSI of scores", series(&|report| report.score.as_ref().map(|score| score.psi))),
        (
            "largest difference",
            series(&|report| report.score.as_ref().map(|score| score.largest_difference.abs())),
        ),
        ("p99 alone in µs", series(&|report| report.single_us.as_ref().map(|single| single.p99))),
    ];
    html! {
        h2 { "Over time" }
        div.plots {
            @for (statistic, points) in &all {
                @if points.iter().any(|point| point.value.is_some()) {
                    figure { (PreEscaped(plots::timeline(&Timeline { name: candidate, statistic, points }))) }
                }
            }
        }
    }
}

fn windows(model: &str, points: &[Point]) -> Markup {
    html! {
        details #windows {
            summary { "All " (words::many(points.len() as u64, "window")) }
            div.scroll tabindex="0" role="region" aria-label="Windows" { table {
                thead { tr { th scope="col" { "Window" } th.n scope="col" { "Paired" } th.n scope="col" { "Shed" } th.n scope="col" { "Failed" } th.n scope="col" { "Same label" } th.n scope="col" { "Kappa" } } }
                tbody { @for point in points.iter().rev() { tr {
                    th scope="row" { a href=(Root::OF_MODEL.to(&links::window(model, &point.window))) { (words::day(point.start_us)) } }
                    td.n { (words::count(point.report.paired)) } td.n { (words::count(point.report.shed)) } td.n { (words::count(point.report.failed)) }
                    td.n { (point.report.agreement.map_or_else(|| "–".to_owned(), words::percent)) } td.n { (words::number_or_dash(point.report.kappa)) }
                } } }
            } }
        }
    }
}
