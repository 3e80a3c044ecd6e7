//! `GET /models/{m}/windows/{id}`: one report, ranked, with its account of the log.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use driftline_analytics::report::{Check, Finding, Level, Report};
use driftline_config::links;
use driftline_config::time::parse_instant_us;
use maud::{Markup, html};

use super::model::{parsed, status_of};
use super::shell::{Root, Section, View, document, refused};
use super::words;
use crate::checkpoint::Store;
use crate::digest::WindowDigest;
use crate::http::board::{Board, ReadError};
use crate::http::refusal::Refusal;
use crate::translate;

/// Findings that are shown with their sentence; further ones are counted.
const EXPLAINED: usize = 100;
/// Columns within tolerance that are named.
const NAMED: usize = 400;

/// The findings of a report, for a view.
pub(super) struct Findings<'a> {
    pub(super) report: &'a Report,
    pub(super) model: &'a str,
    pub(super) root: Root,
    /// Whether links name the window, or mean the last one.
    pub(super) named: bool,
}

/// `GET /models/{m}/windows/{id}`
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
    let Path((name, id)) = path.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let live = board.live();
    status_of(&live, &name)?;
    let of = name.clone();
    let wanted = id.clone();
    let read = board.read(move |store| by_id(store, &of, &wanted));
    let report = read.await?.ok_or_else(|| gone(&id))?;
    let root = Root::OF_MODEL;
    let body = html! {
        p.crumbs { a href=(root.to(links::MODELS)) { "Models" } " / " a href=(root.to(&links::model(&name))) { (name) } }
        h1 { "Window of " (span(&report)) }
        (headline(&report, root))
        section aria-labelledby="findings-title" {
            h2 #findings-title { "Findings" }
            (findings(&Findings { report: &report, model: &name, root, named: true }))
        }
        section aria-labelledby="log-title" {
            h2 #log-title { "Rows and versions" }
            (account(&report, &board.config_path))
            @if let Some(previous) = &report.window.previous {
                p { "The window before: " a href=(root.to(&links::window(&name, previous))) { (previous) } }
            }
            p { a href=(root.to(&format!("/api/v1/reports/{}", links::segment(&id)))) { "The report as JSON" } }
        }
    };
    let title = format!("{name}, {}", span(&report));
    let view = View { title, root, section: Section::Models, model: None, alerts: false, body };
    Ok(document(board, &live, view))
}

/// A window that is no longer there.
pub(super) fn gone(id: &str) -> Refusal {
    Refusal::not_found(format!("No window has the id {id}, or its report is no longer kept."))
}

/// The report of the window with this id.
pub(super) fn by_id(store: &Store, model: &str, id: &str) -> Result<Option<Report>, ReadError> {
    let Some((of, start_us)) = translate::parse_window_id(id) else { return Ok(None) };
    if of != model {
        return Ok(None);
    }
    Ok(read(store, model, start_us)?.filter(|report| report.window.id == id))
}

/// The report of the window that begins there.
pub(super) fn read(store: &Store, model: &str, start_us: i64) -> Result<Option<Report>, ReadError> {
    store.report(model, start_us)?.map(|stored| parsed(&stored.report)).transpose()
}

/// The newest report of a model.
pub(super) fn newest(store: &Store, model: &str) -> Result<Option<Report>, ReadError> {
    let last = store.digests::<WindowDigest>(model, i64::MAX, 1)?.pop();
    match last {
        Some(last) => read(store, model, last.start_us),
        None => Ok(None),
    }
}

/// From when to when a report is.
pub(super) fn span(report: &Report) -> String {
    let instant = |text: &str| parse_instant_us(text).unwrap_or(0);
    words::span(instant(&report.window.start), instant(&report.window.end))
}

/// The level, the strongest sentence, and what else one must know of a window.
pub(super) fn headline(report: &Report, root: Root) -> Markup {
    let strongest = crate::digest::strongest(report);
    let link =
        |subject: &str| root.to(&links::finding(&report.model, subject, Some(&report.window.id)));
    html! {
        p.lead {
            (words::badge(report.level)) " "
            @match strongest {
                Some(finding) => { a href=(link(&finding.subject)) { (words::subject(&finding.subject)) } ": " (finding.because) }
                None if report.level == Level::NotComputable => { "This window has too few rows for anything to alarm." }
                None => { "Everything that is judged is within its tolerance." }
            }
        }
        p.soft {
            (span(report)) ", " (words::many(report.window.rows, "row"))
            @if report.window.parts > 1 { ", " (report.window.parts) " windows in one, since one had too few rows" }
            @if !report.window.complete { ", incomplete: rows may lie before what was read" }
        }
        @if let Some(release) = &report.release { p.said { b { "Release. " } (release.because) } }
        @if !report.changed.is_empty() { p.said { b { "Settings changed. " } (report.changed.join(", ")) } }
    }
}

/// Ranked as in the report: alarms and warnings with their sentences, the rest by name.
pub(super) fn findings(of: &Findings<'_>) -> Markup {
    let told = |finding: &&Finding| matches!(finding.level, Level::Alarm | Level::Warn);
    let (told, rest): (Vec<&Finding>, Vec<&Finding>) = of.report.findings.iter().partition(told);
    let distributions: Vec<&Finding> =
        rest.iter().copied().filter(|finding| finding.check == Check::Distribution).collect();
    let shares: Vec<&Finding> = rest
        .iter()
        .copied()
        .filter(|finding| finding.share.as_ref().is_some_and(|share| share.count > 0))
        .collect();
    let beyond = told.len().saturating_sub(EXPLAINED);
    html! {
        @if !told.is_empty() {
            table.stack role="table" {
                caption.hidden { "Findings at alarm and at warning" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Column" }
                    th role="columnheader" scope="col" { "Level" }
                    th.n role="columnheader" scope="col" { "Effect" }
                    th.n role="columnheader" scope="col" { "At least" }
                    th.n role="columnheader" scope="col" { "Tolerance" }
                    th role="columnheader" scope="col" { "Because" }
                } }
                tbody role="rowgroup" { @for finding in told.iter().take(EXPLAINED) { (row(of, finding)) } }
            }
            @if beyond > 0 { p { "And " (words::many(beyond as u64, "further finding")) ", in the report." } }
        }
        @if !distributions.is_empty() {
            details id={ "within-" (if of.named { "window" } else { "last" }) } open[told.is_empty() && distributions.len() <= 40] {
                summary { (words::many(distributions.len() as u64, "column")) " within tolerance, too small to judge, or shown without being judged" }
                ul.cols {
                    @for finding in distributions.iter().take(NAMED) { (brief(of, finding)) }
                }
                @if distributions.len() > NAMED { p { "And " (words::many((distributions.len() - NAMED) as u64, "more")) "." } }
            }
        }
        @if !shares.is_empty() {
            details id={ "shares-" (if of.named { "window" } else { "last" }) } {
                summary { (words::many(shares.len() as u64, "share")) " of missing, mistyped or new values within tolerance" }
                ul.cols {
                    @for finding in shares.iter().take(NAMED) {
                        li { a href=(link(of, finding)) { (words::subject(&finding.subject)) } " "
                            @if let Some(share) = &finding.share { (words::percent(share.value)) " " small { (words::check(finding.check)) } } }
                    }
                }
            }
        }
    }
}

fn link(of: &Findings<'_>, finding: &Finding) -> String {
    let window = of.named.then_some(of.report.window.id.as_str());
    of.root.to(&links::finding(of.model, &finding.subject, window))
}

fn row(of: &Findings<'_>, finding: &Finding) -> Markup {
    let effect = finding.effect();
    let is_share = finding.share.is_some();
    let shown = |value: f64| if is_share { words::percent(value) } else { words::number(value) };
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                a href=(link(of, finding)) { (words::subject(&finding.subject)) } " "
                small { @if finding.check == Check::Distribution { (words::kind(&finding.subject)) } @else { (words::check(finding.check)) } }
            }
            td role="cell" { (words::badge(finding.level)) @if finding.release { " " small { "release" } } }
            td.n role="cell" data-l="effect" { @if let Some(effect) = effect { (shown(effect.value)) } }
            td.n role="cell" data-l="at least" { @if let Some(effect) = effect { (shown(effect.bound)) } }
            td.n role="cell" data-l="tolerance" { @if let Some(effect) = effect { (shown(effect.tolerance)) } }
            td.why.wide role="cell" {
                (finding.because)
                @if let Some(since) = finding.first_over.as_deref().and_then(|text| parse_instant_us(text).ok()) {
                    " " small { "Over tolerance since " (words::day(since)) "." }
                }
            }
        }
    }
}

fn brief(of: &Findings<'_>, finding: &Finding) -> Markup {
    html! {
        li {
            a href=(link(of, finding)) { (words::subject(&finding.subject)) }
            @if let Some(effect) = finding.effect() {
                " " small { (words::number(effect.value)) " of " (words::number(effect.tolerance)) }
            }
            @if finding.level == Level::NotComputable { " " small { "too small" } }
            @else if !finding.judged { " " small { "not judged" } }
        }
    }
}

/// Versions, latency, the ledger of its stretch of the log, and how to compute it again.
pub(super) fn account(report: &Report, config_path: &str) -> Markup {
    let ledger = &report.window.ledger;
    let requests: u64 = report.status.values().sum();
    html! {
        dl.facts {
            @for (version, rows) in &report.versions {
                div { dt { "Version " (version) } dd { (words::percent(*rows as f64 / report.window.rows.max(1) as f64)) small { (words::many(*rows, "request")) } } }
            }
            @if let Some(latency) = &report.latency {
                @for (name, percentile) in [("p50", latency.p50_us), ("p90", latency.p90_us), ("p99", latency.p99_us)] {
                    div { dt { (name) } dd {
                        (words::latency(percentile.value))
                        small { (words::latency(percentile.low)) " to " (percentile.high.map_or_else(|| "unknown".to_owned(), words::latency)) }
                    } }
                }
            }
            @for (class, count) in report.status.iter().filter(|(class, _)| class.as_str() != "none") {
                div { dt { "Status " (class) } dd { (words::percent(*count as f64 / requests.max(1) as f64)) small { (words::count(*count)) } } }
            }
        }
        h3 { "What became of the records read" }
        dl.facts {
            @for (name, count) in [("read", ledger.read), ("counted", ledger.counted), ("late", ledger.late), ("rejected", ledger.rejected), ("skipped", ledger.skipped), ("heartbeats", ledger.control)] {
                div { dt { (name) } dd { (words::count(count)) } }
            }
        }
        details id="cuts" {
            summary { "The stretch of the log: offsets by partition" }
            div.scroll tabindex="0" role="region" aria-label="Offsets by partition" { table {
                thead { tr { th scope="col" { "Topic" } th.n scope="col" { "Partition" } th.n scope="col" { "From" } th.n scope="col" { "To" } th scope="col" { "Closed by" } } }
                tbody { @for (topic, cuts) in &report.window.cuts { @for (partition, cut) in cuts {
                    tr {
                        td { (topic) } td.n { (partition) } td.n { (cut.from) } td.n { (cut.to) }
                        td { @match cut.by { driftline_analytics::report::CutBy::Log => "the log", driftline_analytics::report::CutBy::Idle => "silence" } }
                    }
                } } }
            } }
        }
        p { "Computed again from the log, byte for byte:" }
        pre { "driftline replay --config " (config_path) " --window " (report.window.id) }
    }
}
