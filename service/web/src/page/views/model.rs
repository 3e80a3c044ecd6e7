//! `GET /models/{m}`: levels per column over windows, what the last window found, how it serves.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use driftline_alerting::links;
use driftline_analytics::report::Report;
use driftline_config::time::format_duration;
use driftline_config::{Level, Subject, WindowId};
use driftline_pipeline::digest::WindowDigest;
use driftline_pipeline::snapshot::Pane;
use driftline_plots::{self as plots, HeatRow, PercentilePoint, Timeline, TimelinePoint};
use maud::{Markup, PreEscaped, html};

use crate::board::ReadError;
use crate::live::ModelStatus;
use crate::page::parts::blocks::{fact, figure_per, scrolled};
use crate::page::parts::incident::card;
use crate::page::parts::window::{Findings, account, extremeness, findings, headline};
use crate::page::root::Root;
use crate::page::stored::{digests, model_of, report_of_last};
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

/// Rows of the heat map: columns that never left their tolerance need none.
const HEAT_ROWS: usize = 60;
/// Points of a plot over panes: further ones are joined, the worst of each kept.
const PANE_POINTS: usize = 240;

struct StoredModel {
    windows: Vec<WindowDigest>,
    panes: Vec<Pane>,
    /// Of the last window.
    report: Option<Report>,
}

pub(crate) async fn view(visit: Visit, name: String) -> Result<View, Refusal> {
    let status = model_of(&visit.live, &name)?;
    let (of, pane_us) = (name.clone(), status.pane_us);
    let read = visit.board.read(move |store| {
        let windows = digests(store, &of)?;
        let panes = store.panes(&of, pane_us)?;
        let report = report_of_last(store, &of, &windows)?;
        Ok::<StoredModel, ReadError>(StoredModel { windows, panes, report })
    });
    let stored = read.await?;
    Ok(View {
        title: name.clone(),
        section: Section::Models,
        body: body(&visit, status, &stored),
        follows: Follows { model: Some(name), alerts: true },
    })
}

fn body(visit: &Visit, status: &ModelStatus, stored: &StoredModel) -> Markup {
    let Visit { board, live, root, .. } = visit;
    let name = status.name.as_str();
    let incidents: Vec<_> =
        live.incidents.iter().filter(|incident| incident.model == name).collect();
    html! {
        p.crumbs { a href=(root.to(links::MODELS)) { "Models" } }
        h1 { (name) }
        div #head data-live { (head(status, stored)) }
        div #incidents data-live {
            @if !incidents.is_empty() {
                h2 { "Open incidents" }
                @for incident in incidents { (card(incident, root)) }
            }
        }
        section #levels data-live aria-labelledby="levels-title" {
            h2 #levels-title { "Levels per column" }
            (heat(name, &stored.windows, root))
        }
        section #findings data-live aria-labelledby="findings-title" {
            h2 #findings-title { "What the last window found" }
            @match &stored.report {
                None => { p { "No window has closed yet." } }
                Some(report) => {
                    (headline(report, root))
                    (findings(&Findings { report, root, named: false }))
                    (extremeness(report))
                }
            }
        }
        section #serving data-live aria-labelledby="serving-title" {
            h2 #serving-title { "Serving" }
            (serving(status, stored))
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
            @if let Some(report) = &stored.report { (account(report, &board.config_path)) }
            (volume(name, &stored.windows))
            (list(name, &stored.windows, root))
        }
    }
}

fn head(status: &ModelStatus, stored: &StoredModel) -> Markup {
    let lag = status.lag.map_or_else(|| "–".to_owned(), words::count);
    html! {
        dl.facts {
            @if let Some(last) = stored.windows.last() {
                div { dt { "Last window" } dd { (words::badge(last.level)) small { (words::span(last.start_us, last.end_us, WindowId::timezone(&last.id).as_ref())) } } }
                (fact("Rows in it", &words::count(last.rows), ""))
            }
            @if let Some(pane) = status.last_pane {
                div { dt { "Requests, last pane" } dd { (words::rate(pane.requests_per_second)) small { @if let Some(start_us) = pane.start_us { (words::instant(start_us)) } } } }
                @if let Some(errors) = pane.error_ratio { (fact("Errors, last pane", &words::percent(errors), "")) }
                @if let Some(p99_us) = pane.p99_us { (fact("p99, last pane", &words::latency(p99_us), "")) }
            }
            (fact(&format!("Lag of {}", status.topic), &lag, "records"))
            @if let Some(owner) = &status.owner { (fact("Owner", owner, "")) }
        }
    }
}

fn heat(name: &str, windows: &[WindowDigest], root: &Root) -> Markup {
    let starts: Vec<i64> = windows.iter().map(|window| window.start_us).collect();
    let (rows, quiet) = moved(windows);
    let (shown, beyond) = rows.split_at(rows.len().min(HEAT_ROWS));
    let last = windows.last().map(|window| window.id.as_str());
    let drawn: Vec<HeatRow> = shown
        .iter()
        .map(|(subject, levels)| HeatRow {
            name: words::subject(subject),
            href: root.to(&links::finding(name, subject.as_str(), last)),
            levels: levels.clone(),
        })
        .collect();
    let all = words::many((rows.len() + quiet) as u64, "column");
    html! {
        @if windows.is_empty() { p { "No window has closed yet." } }
        @else if rows.is_empty() {
            p { "All " (all) " stayed within tolerance in " (words::many(windows.len() as u64, "window")) "." }
        } @else {
            div.panel { (PreEscaped(plots::heat_map(name, &starts, &drawn))) }
            p.soft {
                @if quiet > 0 { (words::count(quiet as u64)) " of " (all) " stayed within tolerance in all of these windows and have no row. " }
                @if !beyond.is_empty() { (words::count(beyond.len() as u64)) " further columns moved less often." }
            }
        }
    }
}

/// The level of a column in each window that says something of it.
type Levels = Vec<Option<Level>>;

/// The columns that ever left their tolerance, those with most alarms first, and how many never did.
fn moved(windows: &[WindowDigest]) -> (Vec<(Subject, Levels)>, usize) {
    let mut rows: BTreeMap<&str, Levels> = BTreeMap::new();
    for (place, window) in windows.iter().enumerate() {
        for cell in window.cells.iter() {
            let levels = rows.entry(cell.subject).or_insert_with(|| vec![None; windows.len()]);
            if let Some(level) = levels.get_mut(place) {
                *level = Some(level.map_or(cell.level, |known| known.higher(cell.level)));
            }
        }
    }
    let all = rows.len();
    let has_moved = |levels: &Levels| levels.iter().flatten().any(|level| *level != Level::Ok);
    let mut rows: Vec<(Subject, Levels)> = rows
        .into_iter()
        .filter(|(_, levels)| has_moved(levels))
        .map(|(subject, levels)| (Subject::from(subject), levels))
        .collect();
    let count =
        |levels: &Levels, level| levels.iter().filter(|known| **known == Some(level)).count();
    rows.sort_by_cached_key(|(subject, levels)| {
        let (alarm, warn) = (count(levels, Level::Alarm), count(levels, Level::Warn));
        (Reverse(alarm), Reverse(warn), subject.clone())
    });
    let quiet = all - rows.len();
    (rows, quiet)
}

fn serving(status: &ModelStatus, stored: &StoredModel) -> Markup {
    let panes = joined(&stored.panes);
    let name = status.name.as_str();
    let latencies: Vec<PercentilePoint> = stored
        .windows
        .iter()
        .filter_map(|window| {
            let [p50_us, p90_us, p99_us] = window.latency_us?;
            Some(PercentilePoint { time_us: window.start_us, p50_us, p90_us, p99_us })
        })
        .collect();
    let series = |value: fn(&Pane) -> Option<f64>| -> Vec<TimelinePoint> {
        panes.iter().map(|pane| TimelinePoint::plain(pane.start_us, value(pane))).collect()
    };
    let errors = series(|pane| Some(pane.errors as f64 / pane.requests.max(1) as f64));
    let p99 = series(|pane| pane.latency_us.map(|(_, p99_us)| p99_us as f64 / 1000.0));
    let p50 = series(|pane| pane.latency_us.map(|(p50_us, _)| p50_us as f64 / 1000.0));
    let requests = series(|pane| Some(pane.requests as f64));
    let plot = |statistic: &str, points: &[TimelinePoint]| {
        figure_per(&plots::timeline(&Timeline { name, statistic, points }), "pane")
    };
    let under_us = status.latency_under_us.and_then(|under_us| u64::try_from(under_us).ok());
    html! {
        @if panes.is_empty() && latencies.is_empty() { p { "No pane has closed yet." } }
        @else {
            div.plots {
                (figure_per(&plots::percentiles(name, &latencies, under_us), "window"))
                @if p99.iter().any(|point| point.value.is_some()) {
                    (plot("p99 in ms", &p99))
                    (plot("p50 in ms", &p50))
                }
                @if !panes.is_empty() {
                    (plot("error rate", &errors))
                    (plot("requests", &requests))
                }
            }
            p.soft { "The last " (words::many(stored.panes.len() as u64, "pane")) " of " (format_duration(status.pane_us)) " are kept." }
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
    let point =
        |window: &WindowDigest| TimelinePoint::plain(window.start_us, Some(window.rows as f64));
    let points: Vec<TimelinePoint> = windows.iter().map(point).collect();
    let series = Timeline { name, statistic: "rows", points: &points };
    html! {
        @if points.len() > 1 { div.plots { (figure_per(&plots::timeline(&series), "window")) } }
    }
}

/// Every window with its link, for those who look for one, or cannot see the map.
fn list(name: &str, windows: &[WindowDigest], root: &Root) -> Markup {
    let rows = html! {
        thead { tr { th scope="col" { "Window" } th scope="col" { "Level" } th.n scope="col" { "Rows" } th scope="col" { "Versions" } } }
        tbody {
            @for window in windows.iter().rev() {
                tr {
                    th scope="row" { a href=(root.to(&links::window(name, window.id.as_str()))) { (words::day_of(&window.id, window.start_us)) } }
                    td { (words::badge(window.level)) @if !window.complete { " " small { "incomplete" } } }
                    td.n { (words::count(window.rows)) }
                    td { (versions(window)) }
                }
            }
        }
    };
    html! {
        @if !windows.is_empty() {
            details #windows {
                summary { "All " (words::many(windows.len() as u64, "window")) }
                (scrolled("Windows", &rows))
            }
        }
    }
}

fn versions(window: &WindowDigest) -> String {
    let named: Vec<&str> = window.versions.keys().map(String::as_str).collect();
    named.join(", ")
}
