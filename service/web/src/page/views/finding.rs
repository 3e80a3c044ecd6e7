//! `GET /models/{m}/findings/{subject}`: what moved, from what, by how much, and how surely.

use driftline_alerting::links;
use driftline_analytics::report::{Check, Finding, Report};
use driftline_analytics::shape::Shape;
use driftline_config::time::parse_instant_us;
use driftline_config::{Level, Subject};
use driftline_pipeline::digest::{Cell, WindowDigest};
use driftline_plots::TimelinePoint;
use maud::{Markup, html};
use serde::Deserialize;

use crate::board::ReadError;
use crate::live::IncidentStatus;
use crate::page::parts::blocks::{crumbs_of_model, stack_head};
use crate::page::parts::finding::{
    Drawn, further, further_numbers, heading, names, numbers, pictures, told,
};
use crate::page::parts::incident::card;
use crate::page::parts::window::span;
use crate::page::stored::{digests, gone, model_of, report_of, report_of_last};
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

#[derive(Debug, Deserialize)]
pub(crate) struct FindingPath {
    model: String,
    subject: Subject,
}

#[derive(Debug, Default, Deserialize)]
struct FindingQuery {
    window: Option<String>,
}

struct StoredSubject {
    report: Report,
    windows: Vec<WindowDigest>,
    shape: Option<Shape>,
}

pub(crate) async fn view(visit: Visit, path: FindingPath) -> Result<View, Refusal> {
    let FindingPath { model: name, subject } = path;
    let FindingQuery { window } = visit.query()?;
    model_of(&visit.live, &name)?;
    let (of, about, wanted) = (name.clone(), subject.clone(), window.clone());
    let read = visit.board.read(move |store| {
        let windows = digests(store, &of)?;
        let report = match &wanted {
            Some(id) => report_of(store, &of, id)?,
            None => report_of_last(store, &of, &windows)?,
        };
        let Some(report) = report else { return Ok::<Option<StoredSubject>, ReadError>(None) };
        let start_us = parse_instant_us(&report.window.start).unwrap_or(0);
        let shape = store.shape(&of, start_us, about.as_str())?;
        Ok(Some(StoredSubject { report, windows, shape }))
    });
    let stored = read.await?.ok_or_else(|| match &window {
        Some(id) => gone(id),
        None => Refusal::not_found("No window of this model has closed yet."),
    })?;
    if stored.report.findings.iter().all(|finding| finding.subject != subject) {
        let sentence = format!("The window of {} says nothing of {subject}.", span(&stored.report));
        return Err(Refusal::not_found(sentence));
    }
    Ok(View {
        title: format!("{} of {name}", words::subject(&subject)),
        section: Section::Models,
        // A window that is named stays what it was.
        follows: Follows { model: window.is_none().then_some(name), alerts: false },
        body: body(&visit, &stored, &subject),
    })
}

fn body(visit: &Visit, stored: &StoredSubject, subject: &Subject) -> Markup {
    let Visit { board, live, root, .. } = visit;
    let report = &stored.report;
    let model = report.model.as_str();
    let (name, window) = (words::subject(subject), report.window.id.as_str());
    let findings: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.subject == *subject).collect();
    let is_told = |finding: &&Finding| {
        finding.check == Check::Distribution
            || matches!(finding.level, Level::Alarm | Level::Warn)
            || findings.len() == 1
    };
    let (told, quiet): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| is_told(finding));
    let about = |incident: &&IncidentStatus| {
        incident.model == model && incident.subjects.iter().any(|known| known.subject == *subject)
    };
    let incidents = live.incidents.iter().map(AsRef::as_ref).filter(about);
    html! {
        p.crumbs {
            (crumbs_of_model(root, model)) " / "
            a href=(root.to(&links::window(model, window))) { (span(report)) }
        }
        h1 { (name) " " small { (words::kind(subject)) } }
        div #finding data-live {
            @for finding in told { (one(stored, finding, &name)) }
            (beside(&quiet))
            h2 { "Reproduce" }
            p { "From the log, by the window's own cuts, byte for byte:" }
            pre { "driftline replay --config " (board.config_path) " --window " (window) }
            p { a href=(root.to(&series(model, subject))) { "The series as JSON" } }
        }
        div #incidents data-live {
            @for incident in incidents { h2 { "Open incident" } (card(incident, root)) }
        }
    }
}

fn series(model: &str, subject: &Subject) -> String {
    let (model, subject) = (links::segment(model), links::segment(subject.as_str()));
    format!("/api/v1/models/{model}/series?subject={subject}")
}

fn one(stored: &StoredSubject, finding: &Finding, name: &str) -> Markup {
    let points = over_time(&stored.windows, finding);
    let drawn = Drawn { name, shape: stored.shape.as_ref(), points: &points };
    let id = format!("more-{}", finding.check.name());
    html! {
        section {
            h2 { (heading(finding.check)) " " (words::badge(finding.level)) }
            (told(finding))
            (pictures(finding, drawn))
            (numbers(finding, stored.report.window.timezone.as_ref()))
            (further(&further_numbers(finding), Some(id)))
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
                (stack_head(&["Check", "Level", "What it says"]))
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

/// The finding's numbers in each of the last windows.
fn over_time(windows: &[WindowDigest], finding: &Finding) -> Vec<TimelinePoint> {
    let of = |window: &WindowDigest| {
        let same =
            |cell: &Cell<'_>| finding.subject == *cell.subject && cell.check == finding.check;
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
