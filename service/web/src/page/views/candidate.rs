//! `GET /models/{m}/candidates/{c}`: a candidate beside its champion, window by window.

use driftline_alerting::links;
use driftline_analytics::comparison::CandidateReport;
use driftline_config::WindowId;
use driftline_plots::{self as plots, Timeline, TimelinePoint};
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

use crate::board::ReadError;
use crate::live::{CandidateStatus, CheckState};
use crate::page::parts::blocks::{crumbs_of_model, fact, figure, scrolled};
use crate::page::root::Root;
use crate::page::stored::{WINDOWS, model_of};
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

/// The parts of a shadow record that the view needs.
#[derive(Debug, Deserialize)]
struct ShadowRecord {
    window: ShadowWindow,
    shadow: Vec<CandidateReport>,
}

#[derive(Debug, Deserialize)]
struct ShadowWindow {
    id: String,
}

struct CandidateWindow {
    id: String,
    start_us: i64,
    report: CandidateReport,
}

struct OverWindows<'a> {
    model: &'a str,
    name: &'a str,
    /// Oldest first.
    windows: Vec<CandidateWindow>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CandidatePath {
    model: String,
    candidate: String,
}

pub(crate) async fn view(visit: Visit, path: CandidatePath) -> Result<View, Refusal> {
    let CandidatePath { model: name, candidate } = path;
    let status = model_of(&visit.live, &name)?;
    let configured = status.candidates.iter().find(|known| known.name == candidate);
    let of = name.clone();
    let records = visit.board.read(move |store| {
        Ok::<Vec<ShadowRecord>, ReadError>(store.shadow_records(&of, i64::MAX, WINDOWS)?)
    });
    let mut windows = Vec::new();
    for record in records.await? {
        let id = record.window.id;
        let start_us = WindowId::parse(&id).map_or(0, |(_, start_us)| start_us);
        let mut of_candidate = record.shadow.into_iter();
        if let Some(report) = of_candidate.find(|report| report.candidate == candidate) {
            windows.push(CandidateWindow { id, start_us, report });
        }
    }
    if configured.is_none() && windows.is_empty() {
        return Err(Refusal::not_found(format!("{name} has no candidate {candidate}.")));
    }
    let shown = OverWindows { model: &name, name: &candidate, windows };
    Ok(View {
        title: format!("{candidate}, candidate of {name}"),
        section: Section::Models,
        body: body(&shown, configured, &visit.root),
        follows: Follows { model: Some(name), alerts: false },
    })
}

fn body(shown: &OverWindows<'_>, configured: Option<&CandidateStatus>, root: &Root) -> Markup {
    let windows = &shown.windows;
    let last = windows.iter().rev().find(|window| window.report.paired > 0);
    html! {
        p.crumbs { (crumbs_of_model(root, shown.model)) }
        h1 { (shown.name) " " small { "candidate" } }
        div #candidate data-live {
            @match configured {
                None => { p.said { "This candidate is no longer configured." } }
                Some(status) => {
                    p { "It is to be " b { (status.purpose) } @if status.purpose == "same" { " as" } @else { " than" } " the champion: "
                        span.badge.(if status.state == CheckState::Ok { "ok" } else { "warn" }) { (status.says) } }
                }
            }
            @match last.or_else(|| windows.last()) {
                None => { p { "No window has been compared yet: rows from before its training ended are not scored." } }
                Some(last) => { (in_window(shown.model, last, root)) (over_time(shown)) (list(shown, root)) }
            }
        }
    }
}

fn in_window(model: &str, window: &CandidateWindow, root: &Root) -> Markup {
    let report = &window.report;
    let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), words::percent);
    let [paired, shed, failed] = [report.paired, report.shed, report.failed].map(words::count);
    html! {
        h2 { "The window of " a href=(root.to(&links::window(model, &window.id))) { (words::day_of(&window.id, window.start_us)) } }
        @if let Some(problem) = &report.problem { p.said.alarm { (problem) } }
        dl.facts {
            (fact("Same label", &percent(report.agreement), &words::many(report.paired, "paired row")))
            @if let Some(kappa) = report.kappa { (fact("Kappa", &words::number(kappa), "1 is the same, 0 is chance")) }
            @if let Some(score) = &report.score {
                (fact("Mean difference of scores", &words::number(score.mean_difference), "candidate minus champion"))
                (fact("PSI of the scores", &words::number(score.psi), ""))
                (fact("Largest difference", &words::number(score.largest_difference), &format!("at {}", score.largest_at)))
            }
            (fact("Sampled", &words::count(report.sampled), &format!("{paired} paired, {shed} shed, {failed} failed")))
        }
        @if !report.table.is_empty() {
            h3 { "Which labels flip" }
            div.scroll tabindex="0" role="region" aria-label="Labels of champion and candidate" { (PreEscaped(plots::flip_table(&report.classes, &report.table))) }
        }
        h3 { "Its own latency" }
        p.soft { "The model alone, without any request around it; not to be held against request latencies." }
        dl.facts {
            @if let Some(single) = &report.single_us {
                (fact("p50, one row at a time", &words::latency(single.p50 as u64), &words::many(single.n, "row")))
                (fact("p99, one row at a time", &words::latency(single.p99 as u64), ""))
            }
            @if let Some(batch) = report.batch_us_per_row { (fact("Per row in batches", &format!("{} µs", words::number(batch)), "")) }
        }
    }
}

fn over_time(shown: &OverWindows<'_>) -> Markup {
    let series = |value: fn(&CandidateReport) -> Option<f64>| -> Vec<TimelinePoint> {
        let paired = shown.windows.iter().filter(|window| window.report.paired > 0);
        paired.map(|window| TimelinePoint::plain(window.start_us, value(&window.report))).collect()
    };
    let all = [
        ("labels that differ", series(|report| report.agreement.map(|same| 1.0 - same))),
        ("PSI of scores", series(|report| report.score.as_ref().map(|score| score.psi))),
        (
            "largest difference",
            series(|report| report.score.as_ref().map(|score| score.largest_difference.abs())),
        ),
        ("p99 alone in µs", series(|report| report.single_us.as_ref().map(|single| single.p99))),
    ];
    html! {
        h2 { "Over time" }
        div.plots {
            @for (statistic, points) in &all {
                @if points.iter().any(|point| point.value.is_some()) {
                    (figure(&plots::timeline(&Timeline { name: shown.name, statistic, points })))
                }
            }
        }
    }
}

fn list(shown: &OverWindows<'_>, root: &Root) -> Markup {
    let rows = html! {
        thead { tr { th scope="col" { "Window" } th.n scope="col" { "Paired" } th.n scope="col" { "Shed" } th.n scope="col" { "Failed" } th.n scope="col" { "Same label" } th.n scope="col" { "Kappa" } } }
        tbody { @for CandidateWindow { id, start_us, report } in shown.windows.iter().rev() { tr {
            th scope="row" { a href=(root.to(&links::window(shown.model, id))) { (words::day_of(id, *start_us)) } }
            td.n { (words::count(report.paired)) } td.n { (words::count(report.shed)) } td.n { (words::count(report.failed)) }
            td.n { (report.agreement.map_or_else(|| "–".to_owned(), words::percent)) } td.n { (words::number_or_dash(report.kappa)) }
        } } }
    };
    html! {
        details #windows {
            summary { "All " (words::many(shown.windows.len() as u64, "window")) }
            (scrolled("Windows", &rows))
        }
    }
}
