//! `GET /alerts/{id}`: one incident from its first window to its last message.

use driftline_alerting::{Acceptance, Transition, TransitionState, links};
use driftline_config::WindowId;
use driftline_pipeline::digest::{IncidentEntry, ReceiptDigest};
use maud::{Markup, html};

use crate::board::ReadError;
use crate::live::IncidentStatus;
use crate::page::parts::blocks::stack_head;
use crate::page::parts::incident::{NAMED, receipts, step_badge};
use crate::page::root::Root;
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

const WINDOWS: usize = 30;
/// Findings that are listed at their peak.
const PEAKS: usize = 20;

struct StoredIncident {
    entries: Vec<(i64, IncidentEntry)>,
    receipts: Vec<ReceiptDigest>,
}

pub(crate) async fn view(visit: Visit, id: String) -> Result<View, Refusal> {
    let wanted = id.clone();
    let read = visit.board.read(move |store| {
        let entries: Vec<(i64, IncidentEntry)> = store.entries(&wanted)?;
        let steps: Vec<&str> = entries.iter().filter_map(|(_, entry)| step_id(entry)).collect();
        let mut receipts: Vec<ReceiptDigest> =
            store.receipts()?.into_iter().map(|(_, receipt)| receipt).collect();
        receipts.retain(|receipt: &ReceiptDigest| steps.contains(&receipt.caused_by.as_str()));
        receipts.reverse();
        Ok::<StoredIncident, ReadError>(StoredIncident { entries, receipts })
    });
    let stored = read.await?;
    let open = visit.live.incident(&id);
    let last = stored.entries.iter().rev().find_map(|(_, entry)| match entry {
        IncidentEntry::Step(step) => Some(step.as_ref()),
        IncidentEntry::Accepted(_)
        | IncidentEntry::TakenBack(_)
        | IncidentEntry::SilenceEnded(_) => None,
    });
    let (model, class) = match (open, last) {
        (Some(open), _) => (open.model.clone(), open.class),
        (None, Some(last)) => (last.model.clone(), last.class),
        (None, None) => {
            return Err(Refusal::not_found(format!(
                "No incident has the id {id}, or it is no longer kept."
            )));
        }
    };
    let Visit { root, forms, .. } = &visit;
    let body = html! {
        p.crumbs { a href=(root.to(links::ALERTS)) { "Alerts" } " / " a href=(root.to(&links::model(&model))) { (model) } }
        h1 { (model) ": " (class) }
        (forms.said())
        div #state data-live {
            @match (open, last) {
                (Some(open), _) => { (standing(open, root)) }
                (None, Some(last)) => { (over(last)) }
                (None, None) => {}
            }
        }
        div #act data-live {
            @if let Some(open) = open.filter(|open| open.is_firing()) {
                h2 { "Accept" }
                p.soft { "It stays open and is silent until it grows: a column joins, or an effect grows by half." }
                (forms.accept(&open.id, root))
            }
            @if let Some(open) = open.filter(|open| open.accepted.is_some()) {
                h2 { "Take the acceptance back" }
                p.soft { "It is told of again, at once and as often as any." }
                (forms.take_back(&open.id, root))
            }
        }
        section #history data-live aria-labelledby="history-title" {
            h2 #history-title { "What happened" }
            (history(&stored.entries, root))
        }
        section #receipts data-live aria-labelledby="receipts-title" {
            h2 #receipts-title { "Deliveries" }
            (receipts(stored.receipts.iter(), "Attempts to deliver its messages, newest first"))
        }
    };
    let title = format!("{model}: {class}");
    let follows = Follows { model: Some(model), alerts: true };
    Ok(View { title, section: Section::Alerts, follows, body })
}

fn step_id(entry: &IncidentEntry) -> Option<&str> {
    match entry {
        IncidentEntry::Step(step) => Some(&step.id),
        IncidentEntry::Accepted(_)
        | IncidentEntry::TakenBack(_)
        | IncidentEntry::SilenceEnded(_) => None,
    }
}

fn standing(open: &IncidentStatus, root: &Root) -> Markup {
    let window = open.windows.last().map(|id| id.as_str());
    html! {
        p.lead {
            @if open.accepted.is_some() { span.badge { "accepted" } } @else { span.badge.alarm { "▲ firing" } }
            " since " @if let Some(since_us) = open.since_us { (words::instant_by(since_us, window)) }
            @if let Some(opened_us) = open.opened_us { ", opened " (words::instant_by(opened_us, window)) }
        }
        @if let Some(accepted) = &open.accepted {
            p.said { "Accepted by " b { (accepted.by) } ": " (accepted.reason) @if let Some(at_us) = accepted.at_us { " " small { (words::moment(at_us)) } } }
        }
        h2 { (words::many(open.subjects_total as u64, "finding")) " at their peak" }
        ul.because {
            @for subject in open.subjects.iter().take(PEAKS) {
                li { a href=(root.to(&links::finding(&open.model, subject.subject.as_str(), window))) { (words::subject(&subject.subject)) } ": " (subject.because) }
            }
        }
        @if !open.windows.is_empty() {
            p { "Windows at alarm: " @for (place, window) in open.windows.iter().rev().take(WINDOWS).enumerate() {
                @if place > 0 { ", " } a href=(root.to(&links::window(&open.model, window.as_str()))) { (day_of(window.as_str())) }
            } }
        }
    }
}

fn over(last: &Transition) -> Markup {
    let window = last.windows.last().map(|id| id.as_str());
    html! {
        p.lead {
            @if last.state == TransitionState::Resolved { span.badge.ok { "● resolved" } " " (words::instant_by(last.at_us, window)) }
            @else { span.badge { "no longer open" } }
            ", began " (words::instant_by(last.since_us, window))
        }
        ul.because { @for subject in &last.subjects { li { (words::subject(&subject.subject)) ": " (subject.because) } } }
    }
}

fn day_of(window: &str) -> String {
    WindowId::parse(window)
        .map_or_else(|| window.to_owned(), |(_, start_us)| words::day_of(window, start_us))
}

fn history(entries: &[(i64, IncidentEntry)], root: &Root) -> Markup {
    html! {
        table.stack role="table" {
            caption.hidden { "Steps, newest first" }
            (stack_head(&["Event time", "What", "Decided", "About"]))
            tbody role="rowgroup" { @for (wall_us, entry) in entries.iter().rev() {
                @match entry {
                    IncidentEntry::Step(step) => { (step_row(step, *wall_us, root)) }
                    IncidentEntry::Accepted(by) => { (signed("accepted", by, *wall_us)) }
                    IncidentEntry::TakenBack(by) => { (signed("taken back", by, *wall_us)) }
                    IncidentEntry::SilenceEnded(by) => { (signed("silence ended", by, *wall_us)) }
                }
            } }
        }
    }
}

/// What somebody did, who and why.
fn signed(what: &str, Acceptance { by, reason, .. }: &Acceptance, wall_us: i64) -> Markup {
    html! {
        tr role="row" {
            td role="cell" {} td role="cell" { span.badge { (what) } }
            td role="cell" { (words::moment(wall_us)) } td.wide.why role="cell" { "by " (by) ": " (reason) }
        }
    }
}

fn step_row(step: &Transition, wall_us: i64, root: &Root) -> Markup {
    let window = step.windows.last().map(|id| id.as_str());
    html! {
        tr role="row" {
            td role="cell" { (words::instant_by(step.at_us, window)) }
            td role="cell" { (step_badge(step.state)) }
            td role="cell" { (words::moment(wall_us)) }
            td.wide.why role="cell" {
                @for (place, subject) in step.subjects.iter().take(NAMED).enumerate() {
                    @if place > 0 { "; " }
                    a href=(root.to(&links::finding(&step.model, subject.subject.as_str(), window))) { (words::subject(&subject.subject)) }
                    @if subject.check != "distribution" { " (" (subject.check.replace('_', " ")) ")" }
                }
                @if step.subjects_total > NAMED { " and " (step.subjects_total - NAMED) " more" }
            }
        }
    }
}
