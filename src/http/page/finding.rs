//! `GET /models/{m}/findings/{subject}`: what moved, from what, by how much, and how surely.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use driftline_analytics::report::{Check, Finding, Level, Moments, Report};
use driftline_analytics::shape::Shape;
use driftline_config::links;
use driftline_config::time::parse_instant_us;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

use super::incident::card;
use super::model::{WINDOWS, status_of};
use super::shell::{Root, Section, View, document, refused};
use super::window::{by_id, gone, newest, span};
use super::words;
use crate::digest::{Cell, WindowDigest};
use crate::http::board::{Board, ReadError};
use crate::http::live::{IncidentStatus, Live};
use crate::http::refusal::Refusal;
use crate::plots::{self, Bars, Timeline, TimelinePoint};

/// `?window=`
#[derive(Debug, Default, Deserialize)]
pub(in crate::http) struct FindingQuery {
    window: Option<String>,
}

/// What the store knows of a subject.
struct Known {
    report: Report,
    windows: Vec<WindowDigest>,
    shape: Option<Shape>,
}

/// `GET /models/{m}/findings/{subject}`
pub(in crate::http) async fn show(
    State(board): State<Arc<Board>>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<FindingQuery>, QueryRejection>,
) -> Response {
    match view(&board, path, query).await {
        Ok(response) => response,
        Err(refusal) => refused(&board, Root::OF_MODEL, refusal),
    }
}

async fn view(
    board: &Arc<Board>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<FindingQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Path((name, subject)) = path.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let Query(query) = query.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let live = board.live();
    status_of(&live, &name)?;
    let (of, about, wanted) = (name.clone(), subject.clone(), query.window.clone());
    let read = board.read(move |store| {
        let report = match &wanted {
            Some(id) => by_id(store, &of, id)?,
            None => newest(store, &of)?,
        };
        let Some(report) = report else { return Ok::<Option<Known>, ReadError>(None) };
        let start_us = parse_instant_us(&report.window.start).unwrap_or(0);
        let windows = store.digests(&of, i64::MAX, WINDOWS)?;
        let shape = store.shape(&of, start_us, &about)?;
        Ok(Some(Known { report, windows, shape }))
    });
    let known = read.await?.ok_or_else(|| match &query.window {
        Some(id) => gone(id),
        None => Refusal::not_found("No window of this model has closed yet."),
    })?;
    let findings: Vec<&Finding> =
        known.report.findings.iter().filter(|finding| finding.subject == subject).collect();
    if findings.is_empty() {
        let sentence = format!("The window of {} says nothing of {subject}.", span(&known.report));
        return Err(Refusal::not_found(sentence));
    }
    let title = format!("{} of {name}", words::subject(&subject));
    let follows = query.window.is_none();
    let body = body(board, &live, &known, (&subject, &findings));
    let view = View {
        title,
        root: Root::OF_MODEL,
        section: Section::Models,
        model: follows.then_some(name.as_str()),
        alerts: false,
        body,
    };
    Ok(document(board, &live, view))
}

fn body(
    board: &Board,
    live: &Live,
    known: &Known,
    (subject, findings): (&str, &[&Finding]),
) -> Markup {
    let root = Root::OF_MODEL;
    let report = &known.report;
    let model = report.model.as_str();
    let (name, window) = (words::subject(subject), report.window.id.as_str());
    let incidents = live.incidents.iter().filter(|incident| incident.model == model);
    let is_told = |finding: &&&Finding| {
        finding.check == Check::Distribution
            || matches!(finding.level, Level::Alarm | Level::Warn)
            || findings.len() == 1
    };
    let told = findings.iter().filter(is_told);
    let quiet: Vec<&Finding> =
        findings.iter().filter(|finding| !is_told(finding)).copied().collect();
    let about = |incident: &&Arc<IncidentStatus>| {
        incident.subjects.iter().any(|known| known.subject == subject)
    };
    html! {
        p.crumbs {
            a href=(root.to(links::MODELS)) { "Models" } " / "
            a href=(root.to(&links::model(model))) { (model) } " / "
            a href=(root.to(&links::window(model, window))) { (span(report)) }
        }
        h1 { (name) " " small { (words::kind(subject)) } }
        div #finding data-live {
            @for finding in told { (one(known, finding, &name)) }
            (beside(&quiet))
            h2 { "Reproduce" }
            p { "From the log, by the window's own cuts, byte for byte:" }
            pre { "driftline replay --config " (board.config_path) " --window " (window) }
            p { a href=(root.to(&series(model, subject))) { "The series as JSON" } }
        }
        div #incidents data-live {
            @for incident in incidents.filter(about) { h2 { "Open incident" } (card(incident, root)) }
        }
    }
}

fn series(model: &str, subject: &str) -> String {
    let (model, subject) = (links::segment(model), links::segment(subject));
    format!("/api/v1/models/{model}/series?subject={subject}")
}

/// One check of the subject.
fn one(known: &Known, finding: &Finding, name: &str) -> Markup {
    let shape = known.shape.as_ref().filter(|_| finding.check == Check::Distribution);
    html! {
        section {
            h2 { (heading(finding.check)) " " (words::badge(finding.level)) }
            p.lead { (finding.because) }
            @if !finding.judged { p.soft { "Shown, not judged: it never alarms." } }
            @if finding.private { p.soft { "Private: its values never leave as text." } }
            @for note in &finding.notes { p.soft { (note) "." } }
            (pictures(known, finding, name, shape))
            (numbers(finding))
            (names(finding))
        }
    }
}

/// What was looked at as well, and found within tolerance.
fn beside(quiet: &[&Finding]) -> Markup {
    html! {
        @if !quiet.is_empty() {
            h2 { "Also looked at" }
            table.stack role="table" {
                caption.hidden { "Checks within tolerance" }
                thead role="rowgroup" { tr role="row" { th role="columnheader" scope="col" { "Check" } th role="columnheader" scope="col" { "Level" } th role="columnheader" scope="col" { "What it says" } } }
                tbody role="rowgroup" { @for finding in quiet {
                    tr role="row" {
                        th role="rowheader" scope="row" { (heading(finding.check)) }
                        td role="cell" { (words::badge(finding.level)) }
                        td.wide.why role="cell" { (finding.because) (names(finding)) }
                    }
                } }
            }
        }
    }
}

fn heading(check: Check) -> &'static str {
    match check {
        Check::Distribution => "Distribution",
        Check::Missing => "Missing values",
        Check::WrongType => "Values of the wrong type",
        Check::NewCategory => "New categories",
        Check::Absent => "Absent",
        Check::NewColumn => "New column",
        Check::Volume => "Volume",
        Check::Latency => "Latency",
        Check::Errors => "Errors",
    }
}

fn pictures(known: &Known, finding: &Finding, name: &str, shape: Option<&Shape>) -> Markup {
    let points = over_time(&known.windows, finding);
    let statistic = match (&finding.ks, &finding.psi, finding.check) {
        (Some(_), _, _) => "KS",
        (None, Some(_), _) => "PSI",
        (None, None, Check::Volume) => "requests",
        (None, None, _) => "share",
    };
    let bars = Bars::of(finding);
    let curve = match shape {
        Some(Shape::Numeric { points }) => Some(plots::ecdf(name, points, finding.ks.as_ref())),
        Some(Shape::Categorical { .. }) | None => None,
    };
    html! {
        div.plots {
            @if let Some(bars) = bars { figure { (PreEscaped(plots::histogram(name, bars))) } }
            @if let Some(curve) = curve { figure { (PreEscaped(curve)) } }
            @if let Some(bars) = bars { figure { (PreEscaped(plots::contributions(name, bars))) } }
            @if points.iter().any(|point| point.value.is_some()) {
                figure { (PreEscaped(plots::timeline(&Timeline { name, statistic, points: &points }))) }
            }
        }
    }
}

/// The finding's numbers in each of the last windows.
fn over_time(windows: &[WindowDigest], finding: &Finding) -> Vec<TimelinePoint> {
    let of = |window: &WindowDigest| {
        let same = |cell: &Cell<'_>| cell.subject == finding.subject && cell.check == finding.check;
        let cell = window.cells.iter().find(same);
        // Shares at zero are not kept: they were ok.
        let quiet = finding.share.is_some().then_some(0.0);
        TimelinePoint {
            time_us: window.start_us,
            value: cell.map_or(quiet, |cell| cell.value),
            bound: cell.and_then(|cell| cell.bound),
            tolerance: cell
                .map_or(finding.share.as_ref().map(|share| share.tolerance), |cell| cell.tolerance),
            level: cell.map_or(Level::Ok, |cell| cell.level),
        }
    };
    windows.iter().map(of).collect()
}

fn numbers(finding: &Finding) -> Markup {
    let fact = |name: &str, value: String, more: &str| {
        html! { div { dt { (name) } dd { (value) @if !more.is_empty() { small { (more) } } } } }
    };
    html! {
        dl.facts {
            (fact("Values in the window", words::count(finding.n), ""))
            @if finding.m > 0 { (fact("In the baseline", words::count(finding.m), "")) }
            @if let Some(ks) = &finding.ks {
                @let [low, high] = ks.certified;
                (fact("KS", words::number(ks.value), &if low == high { "exact".to_owned() } else { format!("between {} and {}", words::number(low), words::number(high)) }))
                (fact("At least", words::number(ks.bound), "with 99 % confidence"))
                (fact("Tolerance", words::number(ks.tolerance), &ks.tolerance_from))
                (fact("Would have alarmed from", words::number(ks.detectable), "with so many values"))
                @if let (Some(at), Some(reference), Some(window)) = (&ks.at, ks.share_reference, ks.share_window) {
                    (fact("Largest gap at", words::number(at.0), &format!("baseline {}, window {} above", words::percent(reference), words::percent(window))))
                }
            }
            @if let (Some(psi), None) = (&finding.psi, &finding.ks) {
                (fact("PSI", words::number(psi.debiased), &format!("{} before removing what chance gives", words::number(psi.value))))
                (fact("At least", words::number(psi.bound), "with 99 % confidence"))
                (fact("Tolerance", words::number_or_dash(psi.tolerance), psi.tolerance_from.as_deref().unwrap_or_default()))
                (fact("Would have alarmed from", words::number_or_dash(psi.detectable), "with so many values"))
            }
            @if let Some(share) = &finding.share {
                (fact("Share", words::percent(share.value), &words::many(share.count, "value")))
                (fact("At least", words::percent(share.bound), "with 99 % confidence"))
                (fact("Baseline", words::percent(share.reference), ""))
                (fact("Tolerance above it", words::percent(share.tolerance), &share.tolerance_from))
            }
            @if let Some(volume) = &finding.volume {
                (fact("Requests", words::count(volume.value as u64), ""))
                @if let (Some(smallest), Some(largest)) = (volume.smallest, volume.largest) {
                    (fact("The baseline's own windows", format!("{} to {}", words::count(smallest), words::count(largest)), &words::many(volume.windows, "window")))
                }
            }
            @if let Some(since) = finding.first_over.as_deref().and_then(|text| parse_instant_us(text).ok()) {
                (fact("Over tolerance since", words::day(since), ""))
            }
        }
        (curious(finding))
    }
}

/// What decides nothing.
fn curious(finding: &Finding) -> Markup {
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(ks) = &finding.ks {
        rows.push(("baseline's own sampling error", words::number(ks.baseline_error)));
        rows.push(("p under the tolerance, which decides", words::number(ks.p_tolerance)));
        rows.push(("adjusted over all columns", words::number_or_dash(ks.p_adjusted)));
        rows.push(("ordinary two-sample p", words::number(ks.p)));
    }
    if let (Some(psi), Some(_)) = (&finding.psi, &finding.ks) {
        rows.push(("PSI without what chance gives", words::number(psi.debiased)));
    }
    if let Some(shift) = &finding.shift {
        let mut add =
            |name, value: Option<f64>| rows.extend(value.map(|value| (name, words::number(value))));
        add("Kuiper", shift.kuiper);
        add("Mann-Whitney, 0.5 is no shift", shift.mann_whitney);
        add("Jensen-Shannon in bits", Some(shift.jensen_shannon));
        add("Hellinger", Some(shift.hellinger));
        add("total variation", Some(shift.total_variation));
        let moments = |moments: Option<Moments>, sd: bool| {
            moments.and_then(|moments| if sd { moments.sd } else { moments.mean })
        };
        add("mean of the baseline", moments(shift.reference, false));
        add("mean of the window", moments(shift.window, false));
        add("standard deviation of the baseline", moments(shift.reference, true));
        add("standard deviation of the window", moments(shift.window, true));
    }
    html! {
        @if !rows.is_empty() {
            details id={ "more-" (finding.check.name()) } {
                summary { "Further numbers, which decide nothing but for the one that says so" }
                table { tbody { @for (name, value) in &rows { tr { th scope="row" { (name) } td.n { (value) } } } } }
            }
        }
    }
}

/// New categories, or examples of the wrong type.
fn names(finding: &Finding) -> Markup {
    let Some(share) = finding.share.as_ref().filter(|share| !share.names.is_empty()) else {
        return html! {};
    };
    html! {
        table.names {
            caption { @if finding.check == Check::NewCategory { "Categories that the baseline does not know" } @else { "Examples" } @if share.names_truncated { ", not all of them" } }
            thead { tr { th scope="col" { "Text" } th.n scope="col" { "Rows" } } }
            tbody { @for name in share.names.iter().take(20) { tr { td { code { (name.name) } } td.n { (words::count(name.count)) } } } }
        }
    }
}
