//! `GET /models/{m}`: levels per column over windows, what the last window found, how it serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use driftline_analytics::report::{Level, Report};
use driftline_config::links;
use maud::{Markup, PreEscaped, html};

use super::incident::card;
use super::shell::{Root, Section, View, document, refused};
use super::window::{self, Findings};
use super::words;
use crate::checkpoint::Pane;
use crate::digest::WindowDigest;
use crate::http::board::{Board, ReadError};
use crate::http::live::{Live, ModelStatus};
use crate::http::refusal::Refusal;
use crate::http::reports::unreadable;
use crate::plots::{self, HeatRow, PercentilePoint, Timeline, TimelinePoint};

/// Windows that the view looks back on: a quarter of days.
pub(super) const WINDOWS: usize = 90;
/// Rows of the heat map: columns that never left their tolerance need none.
const HEAT_ROWS: usize = 60;
/// Points of a plot over panes: further ones are joined, the worst of each kept.
const PANE_POINTS: usize = 240;

/// What the store knows of a model.
struct Known {
    windows: Vec<WindowDigest>,
    panes: Vec<Pane>,
    report: Option<Report>,
}

/// `GET /models/{m}`
pub(in crate::http) async fn show(
    State(board): State<Arc<Board>>,
    model: Result<Path<String>, PathRejection>,
) -> Response {
    match view(&board, model).await {
        Ok(response) => response,
        Err(refusal) => refused(&board, Root::SECOND, refusal),
    }
}

async fn view(
    board: &Arc<Board>,
    model: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(name) = model.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let live = board.live();
    let status = status_of(&live, &name)?;
    let (of, pane_us) = (name.clone(), status.pane_us);
    let known = board.read(move |store| {
        let windows = store.digests::<WindowDigest>(&of, i64::MAX, WINDOWS)?;
        let panes = store.panes(&of, pane_us)?;
        let report = match windows.last() {
            Some(last) => window::read(store, &of, last.start_us)?,
            None => None,
        };
        Ok::<Known, ReadError>(Known { windows, panes, report })
    });
    let known = known.await?;
    let view = View {
        title: name.clone(),
        root: Root::SECOND,
        section: Section::Models,
        model: Some(&name),
        alerts: true,
        body: body(board, &live, status, &known),
    };
    Ok(document(board, &live, view))
}

/// The model of this name.
pub(super) fn status_of<'a>(live: &'a Live, name: &str) -> Result<&'a ModelStatus, Refusal> {
    let found = live.models.iter().map(AsRef::as_ref).find(|model| model.name == name);
    found.ok_or_else(|| {
        Refusal::not_found(format!(
            "No model is called {name}. The list of all has it, if it was renamed."
        ))
    })
}

fn body(board: &Board, live: &Live, status: &ModelStatus, known: &Known) -> Markup {
    let root = Root::SECOND;
    let name = status.name.as_str();
    let incidents: Vec<_> =
        live.incidents.iter().filter(|incident| incident.model == name).collect();
    html! {
        p.crumbs { a href=(root.to(links::MODELS)) { "Models" } }
        h1 { (name) }
        div #head data-live { (head(status, known)) }
        div #incidents data-live {
            @if !incidents.is_empty() {
                h2 { "Open incidents" }
                @for incident in incidents { (card(incident, root)) }
            }
        }
        section #levels data-live aria-labelledby="levels-title" {
            h2 #levels-title { "Levels per column" }
            (heat(name, &known.windows))
        }
        section #findings data-live aria-labelledby="findings-title" {
            h2 #findings-title { "What the last window found" }
            @match &known.report {
                None => { p { "No window has closed yet." } }
                Some(report) => {
                    (window::headline(report, root))
                    (window::findings(&Findings { report, model: name, root, named: false }))
                }
            }
        }
        section #serving data-live aria-labelledby="serving-title" {
            h2 #serving-title { "Serving" }
            (serving(status, known))
        }
        @if !status.candidates.is_empty() {
            section #candidates data-live aria-labelledby="candidates-title" {
                h2 #candidates-title { "Candidates" }
                ul {
                    @for candidate in &status.candidates {
                        li {
                            a href=(root.to(&links::candidate(name, &candidate.name))) { (candidate.name) }
                            " is to be " (candidate.purpose) ": " (candidate.says)
                        }
                    }
                }
            }
        }
        section #log data-live aria-labelledby="log-title" {
            h2 #log-title { "Rows and versions" }
            @if let Some(report) = &known.report { (window::account(report, &board.config_path)) }
            (volume(name, &known.windows))
            (list(name, &known.windows))
        }
    }
}

fn head(status: &ModelStatus, known: &Known) -> Markup {
    let pane = status.last_pane;
    let last = known.windows.last();
    html! {
        dl.facts {
            @if let Some(last) = last {
                div { dt { "Last window" } dd { (words::badge(last.level)) small { (words::span(last.start_us, last.end_us)) } } }
                div { dt { "Rows in it" } dd { (words::count(last.rows)) } }
            }
            @if let Some(pane) = pane {
                div { dt { "Requests, last pane" } dd { (words::rate(pane.requests_per_second)) small { @if let Some(start_us) = pane.start_us { (words::instant(start_us)) } } } }
                @if let Some(errors) = pane.error_ratio { div { dt { "Errors, last pane" } dd { (words::percent(errors)) } } }
                @if let Some(p99_us) = pane.p99_us { div { dt { "p99, last pane" } dd { (words::latency(p99_us)) } } }
            }
            div { dt { "Lag of " (status.topic) } dd { (status.lag.map_or_else(|| "–".to_owned(), words::count)) small { "records" } } }
            @if let Some(owner) = &status.owner { div { dt { "Owner" } dd { (owner) } } }
        }
    }
}

fn heat(name: &str, windows: &[WindowDigest]) -> Markup {
    let starts: Vec<i64> = windows.iter().map(|window| window.start_us).collect();
    let mut rows: BTreeMap<&str, Vec<Option<Level>>> = BTreeMap::new();
    for (place, window) in windows.iter().enumerate() {
        for cell in window.cells.iter() {
            let levels = rows.entry(cell.subject).or_insert_with(|| vec![None; windows.len()]);
            if let Some(level) = levels.get_mut(place) {
                *level = Some(level.map_or(cell.level, |known| known.higher(cell.level)));
            }
        }
    }
    let all = rows.len();
    let moved = |levels: &[Option<Level>]| levels.iter().flatten().any(|level| *level != Level::Ok);
    let mut rows: Vec<(&str, Vec<Option<Level>>)> =
        rows.into_iter().filter(|(_, levels)| moved(levels)).collect();
    let alarms = |levels: &[Option<Level>], level: Level| {
        levels.iter().filter(|known| **known == Some(level)).count()
    };
    rows.sort_by_key(|(subject, levels)| {
        let (alarm, warn) = (alarms(levels, Level::Alarm), alarms(levels, Level::Warn));
        (std::cmp::Reverse(alarm), std::cmp::Reverse(warn), *subject)
    });
    let shown = rows.len().min(HEAT_ROWS);
    let quiet = all - rows.len();
    let beyond = rows.len() - shown;
    rows.truncate(HEAT_ROWS);
    let last = windows.last().map(|window| window.id.as_str());
    let rows: Vec<HeatRow> = rows
        .into_iter()
        .map(|(subject, levels)| HeatRow {
            name: words::subject(subject),
            href: Root::SECOND.to(&links::finding(name, subject, last)),
            levels,
        })
        .collect();
    html! {
        @if windows.is_empty() { p { "No window has closed yet." } }
        @else if rows.is_empty() {
            p { "All " (words::many(all as u64, "column")) " stayed within tolerance in " (words::many(windows.len() as u64, "window")) "." }
        } @else {
            div.panel { (PreEscaped(plots::heat_map(name, &starts, &rows))) }
            p.soft {
                @if quiet > 0 { (words::count(quiet as u64)) " of " (words::many(all as u64, "column")) " stayed within tolerance in all of these windows and have no row. " }
                @if beyond > 0 { (words::count(beyond as u64)) " further columns moved less often." }
            }
        }
    }
}

fn serving(status: &ModelStatus, known: &Known) -> Markup {
    let panes = joined(&known.panes);
    let name = status.name.as_str();
    let latencies: Vec<PercentilePoint> = known
        .windows
        .iter()
        .filter_map(|window| {
            let [p50_us, p90_us, p99_us] = window.latency_us?;
            Some(PercentilePoint { time_us: window.start_us, p50_us, p90_us, p99_us })
        })
        .collect();
    let point = |time_us: i64, value: Option<f64>| TimelinePoint {
        time_us,
        value,
        bound: None,
        tolerance: None,
        level: Level::Ok,
    };
    let series = |value: fn(&Pane) -> Option<f64>| -> Vec<TimelinePoint> {
        panes.iter().map(|pane| point(pane.start_us, value(pane))).collect()
    };
    let errors = series(|pane| Some(pane.errors as f64 / pane.requests.max(1) as f64));
    let p99 = series(|pane| pane.latency_us.map(|(_, p99_us)| p99_us as f64 / 1000.0));
    let p50 = series(|pane| pane.latency_us.map(|(p50_us, _)| p50_us as f64 / 1000.0));
    let requests = series(|pane| Some(pane.requests as f64));
    let plot = |statistic: &str, points: &[TimelinePoint]| {
        PreEscaped(plots::timeline(&Timeline { name, statistic, points }))
    };
    let under_us = status.latency_under_us.and_then(|under_us| u64::try_from(under_us).ok());
    html! {
        @if panes.is_empty() && latencies.is_empty() { p { "No pane has closed yet." } }
        @else {
            div.plots {
                figure { (PreEscaped(plots::percentiles(name, &latencies, under_us))) figcaption { small { "per window" } } }
                @if p99.iter().any(|point| point.value.is_some()) {
                    figure { (plot("p99 in ms", &p99)) figcaption { small { "per pane" } } }
                    figure { (plot("p50 in ms", &p50)) figcaption { small { "per pane" } } }
                }
                @if !panes.is_empty() {
                    figure { (plot("error rate", &errors)) figcaption { small { "per pane" } } }
                    figure { (plot("requests", &requests)) figcaption { small { "per pane" } } }
                }
            }
            p.soft { "The last " (words::many(known.panes.len() as u64, "pane")) " of " (driftline_config::time::format_duration(status.pane_us)) " are kept." }
        }
    }
}

/// Panes in groups, each as its busiest or worst: so a plot of any length has the same size.
fn joined(panes: &[Pane]) -> Vec<Pane> {
    let group = panes.len().div_ceil(PANE_POINTS).max(1);
    let join = |group: &[Pane]| {
        group.iter().cloned().reduce(|all, pane| Pane {
            requests: all.requests.max(pane.requests),
            errors: all.errors.max(pane.errors),
            latency_us: all.latency_us.max(pane.latency_us),
            ..all
        })
    };
    panes.chunks(group).filter_map(join).collect()
}

fn volume(name: &str, windows: &[WindowDigest]) -> Markup {
    let points: Vec<TimelinePoint> = windows
        .iter()
        .map(|window| TimelinePoint {
            time_us: window.start_us,
            value: Some(window.rows as f64),
            bound: None,
            tolerance: None,
            level: Level::Ok,
        })
        .collect();
    html! {
        @if points.len() > 1 {
            div.plots { figure { (PreEscaped(plots::timeline(&Timeline { name, statistic: "rows", points: &points }))) figcaption { small { "per window" } } } }
        }
    }
}

/// Every window with its link, for those who look for one, or cannot see the map.
fn list(name: &str, windows: &[WindowDigest]) -> Markup {
    html! {
        @if !windows.is_empty() {
            details #windows {
                summary { "All " (words::many(windows.len() as u64, "window")) }
                div.scroll tabindex="0" role="region" aria-label="Windows" { table {
                    thead { tr { th scope="col" { "Window" } th scope="col" { "Level" } th.n scope="col" { "Rows" } th scope="col" { "Versions" } } }
                    tbody {
                        @for window in windows.iter().rev() {
                            tr {
                                th scope="row" { a href=(Root::SECOND.to(&links::window(name, &window.id))) { (words::day(window.start_us)) } }
                                td { (words::badge(window.level)) @if !window.complete { " " small { "incomplete" } } }
                                td.n { (words::count(window.rows)) }
                                td { (versions(window)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn versions(window: &WindowDigest) -> String {
    let named: Vec<&str> = window.versions.keys().map(String::as_str).collect();
    named.join(", ")
}

/// A stored report that cannot be read is told as such.
pub(super) fn parsed(report: &str) -> Result<Report, ReadError> {
    Ok(Report::from_json(report).map_err(|_| unreadable())?)
}
