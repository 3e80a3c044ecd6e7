//! `GET /alerts/{id}`: one incident from its first window to its last message.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use driftline_alerting::{Acceptance, Transition, TransitionState};
use driftline_config::links;
use maud::{Markup, html};

use super::alerts::state;
use super::forms::{self, Asked};
use super::shell::{Root, Section, View, document, refused};
use super::words;
use crate::digest::{IncidentEntry, ReceiptDigest};
use crate::http::access::Access;
use crate::http::board::{Board, ReadError};
use crate::http::live::IncidentStatus;
use crate::http::refusal::Refusal;

/// Findings that a card lists.
const CARD: usize = 3;
/// Windows that are linked, the last.
const WINDOWS: usize = 30;

/// What the store knows of an incident.
struct Known {
    entries: Vec<(i64, IncidentEntry)>,
    receipts: Vec<ReceiptDigest>,
}

/// `GET /alerts/{id}`
pub(in crate::http) async fn show(
    State(board): State<Arc<Board>>,
    Extension(access): Extension<Access>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::new(&access, &headers);
    match id {
        Ok(Path(id)) => answer(&board, Root::SECOND, &id, &asked).await,
        Err(error) => refused(&board, Root::SECOND, Refusal::bad(error.body_text())),
    }
}

/// The view as the answer to a form that was refused, under the form's own path.
pub(super) async fn answer_form(board: &Arc<Board>, id: &str, asked: &Asked) -> Response {
    answer(board, Root::THIRD, id, asked).await
}

async fn answer(board: &Arc<Board>, root: Root, id: &str, asked: &Asked) -> Response {
    match view(board, root, id, asked).await {
        Ok(response) => response,
        Err(refusal) => refused(board, root, refusal),
    }
}

async fn view(
    board: &Arc<Board>,
    root: Root,
    id: &str,
    asked: &Asked,
) -> Result<Response, Refusal> {
    let wanted = id.to_owned();
    let read = board.read(move |store| {
        let entries: Vec<(i64, IncidentEntry)> = store.entries(&wanted)?;
        let steps: Vec<&str> = entries.iter().filter_map(|(_, entry)| step_id(entry)).collect();
        let mut receipts: Vec<ReceiptDigest> =
            store.receipts()?.into_iter().map(|(_, receipt)| receipt).collect();
        receipts.retain(|receipt: &ReceiptDigest| steps.contains(&receipt.caused_by.as_str()));
        receipts.reverse();
        Ok::<Known, ReadError>(Known { entries, receipts })
    });
    let known = read.await?;
    let live = board.live();
    let open = live.incidents.iter().find(|incident| incident.id == id);
    let last = known.entries.iter().rev().find_map(|(_, entry)| match entry {
        IncidentEntry::Step(step) => Some(step.as_ref()),
        IncidentEntry::Accepted(_) => None,
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
    let body = html! {
        p.crumbs { a href=(root.to(links::ALERTS)) { "Alerts" } " / " a href=(root.to(&links::model(&model))) { (model) } }
        h1 { (model) ": " (class) }
        (asked.said())
        div #state data-live {
            @match (open, last) {
                (Some(open), _) => { (standing(open, root)) }
                (None, Some(last)) => { (over(last)) }
                (None, None) => {}
            }
        }
        div #act data-live {
            @if let Some(open) = open.filter(|open| open.state == "firing") {
                h2 { "Accept" }
                p.soft { "It stays open and is silent until it grows: a column joins, or an effect grows by half." }
                (forms::accept_form(&open.id, root, asked))
            }
        }
        section #history data-live aria-labelledby="history-title" {
            h2 #history-title { "What happened" }
            (history(&known.entries, root))
        }
        section #receipts data-live aria-labelledby="receipts-title" {
            h2 #receipts-title { "Deliveries" }
            (receipts(known.receipts.iter(), "Attempts to deliver its messages, newest first"))
        }
    };
    let title = format!("{model}: {class}");
    let view =
        View { title, root, section: Section::Alerts, model: Some(&model), alerts: true, body };
    Ok(document(board, &live, view))
}

fn step_id(entry: &IncidentEntry) -> Option<&str> {
    match entry {
        IncidentEntry::Step(step) => Some(&step.id),
        IncidentEntry::Accepted(_) => None,
    }
}

fn standing(open: &IncidentStatus, root: Root) -> Markup {
    let window = open.windows.last().map(String::as_str);
    html! {
        p.lead {
            @if open.accepted.is_some() { span.badge { "accepted" } } @else { span.badge.alarm { "▲ firing" } }
            " since " @if let Some(since_us) = open.since_us { (words::instant(since_us)) }
            @if let Some(opened_us) = open.opened_us { ", opened " (words::instant(opened_us)) }
        }
        @if let Some(accepted) = &open.accepted {
            p.said { "Accepted by " b { (accepted.by) } ": " (accepted.reason) @if let Some(at_us) = accepted.at_us { " " small { (words::moment(at_us)) } } }
        }
        h2 { (words::many(open.subjects_total as u64, "finding")) " at their peak" }
        ul.because {
            @for subject in open.subjects.iter().take(20) {
                li { a href=(root.to(&links::finding(&open.model, &subject.subject, window))) { (words::subject(&subject.subject)) } ": " (subject.because) }
            }
        }
        @if !open.windows.is_empty() {
            p { "Windows at alarm: " @for (place, window) in open.windows.iter().rev().take(WINDOWS).enumerate() {
                @if place > 0 { ", " } a href=(root.to(&links::window(&open.model, window))) { (day_of(window)) }
            } }
        }
    }
}

fn over(last: &Transition) -> Markup {
    html! {
        p.lead {
            @if last.state == TransitionState::Resolved { span.badge.ok { "● resolved" } " " (words::instant(last.at_us)) }
            @else { span.badge { "no longer open" } }
            ", began " (words::instant(last.since_us))
        }
        ul.because { @for subject in &last.subjects { li { (words::subject(&subject.subject)) ": " (subject.because) } } }
    }
}

fn day_of(window: &str) -> String {
    let parsed = crate::translate::parse_window_id(window);
    parsed.map_or_else(|| window.to_owned(), |(_, start_us)| words::day(start_us))
}

fn history(entries: &[(i64, IncidentEntry)], root: Root) -> Markup {
    html! {
        table.stack role="table" {
            caption.hidden { "Steps, newest first" }
            thead role="rowgroup" { tr role="row" { th role="columnheader" scope="col" { "Event time" } th role="columnheader" scope="col" { "What" } th role="columnheader" scope="col" { "Decided" } th role="columnheader" scope="col" { "About" } } }
            tbody role="rowgroup" { @for (wall_us, entry) in entries.iter().rev() {
                @match entry {
                    IncidentEntry::Step(step) => { (step_row(step, *wall_us, root)) }
                    IncidentEntry::Accepted(Acceptance { by, reason, .. }) => {
                        tr role="row" {
                            td role="cell" {} td role="cell" { span.badge { "accepted" } }
                            td role="cell" { (words::moment(*wall_us)) } td.wide.why role="cell" { "by " (by) ": " (reason) }
                        }
                    }
                }
            } }
        }
    }
}

fn step_row(step: &Transition, wall_us: i64, root: Root) -> Markup {
    let window = step.windows.last().map(String::as_str);
    html! {
        tr role="row" {
            td role="cell" { (words::instant(step.at_us)) }
            td role="cell" { (state(step.state)) }
            td role="cell" { (words::moment(wall_us)) }
            td.wide.why role="cell" {
                @for (place, subject) in step.subjects.iter().take(CARD).enumerate() {
                    @if place > 0 { "; " }
                    a href=(root.to(&links::finding(&step.model, &subject.subject, window))) { (words::subject(&subject.subject)) }
                    @if subject.check != "distribution" { " (" (subject.check.replace('_', " ")) ")" }
                }
                @if step.subjects_total > CARD { " and " (step.subjects_total - CARD) " more" }
            }
        }
    }
}

/// An open incident in a few lines.
pub(super) fn card(incident: &IncidentStatus, root: Root) -> Markup {
    let window = incident.windows.last().map(String::as_str);
    let more = incident.subjects_total.saturating_sub(CARD);
    html! {
        div.incident.accepted[incident.accepted.is_some()] {
            h3 { a href=(root.to(&links::incident(&incident.id))) { (incident.model) ": " (incident.class) } }
            p.soft {
                (incident.state) @if let Some(since_us) = incident.since_us { " since " (words::instant(since_us)) }
                @if let Some(accepted) = &incident.accepted { ", accepted by " (accepted.by) ": " (accepted.reason) }
            }
            ul { @for subject in incident.subjects.iter().take(CARD) {
                li { a href=(root.to(&links::finding(&incident.model, &subject.subject, window))) { (words::subject(&subject.subject)) } ": " (subject.because) }
            } }
            @if more > 0 { p.soft { "and " (more) " more" } }
        }
    }
}

/// Attempts to deliver.
pub(super) fn receipts<'a>(
    receipts: impl Iterator<Item = &'a ReceiptDigest>,
    caption: &str,
) -> Markup {
    let mut receipts = receipts.peekable();
    html! {
        @if receipts.peek().is_none() { p { "No message has been attempted." } }
        @else {
            table.stack role="table" {
                caption.hidden { (caption) }
                thead role="rowgroup" { tr role="row" { th role="columnheader" scope="col" { "When" } th role="columnheader" scope="col" { "Receiver" } th role="columnheader" scope="col" { "Message" } th role="columnheader" scope="col" { "Outcome" } } }
                tbody role="rowgroup" { @for receipt in receipts { tr role="row" {
                    td role="cell" { (words::moment(receipt.at_us)) }
                    td role="cell" { (receipt.receiver) }
                    td.wide role="cell" { (receipt.title.as_deref().unwrap_or(&receipt.what)) @if receipt.title.is_none() { " " small { (receipt.model) } } }
                    td.wide role="cell" {
                        span.badge.ok[receipt.outcome == "delivered"].warn[receipt.outcome == "retry"].alarm[matches!(receipt.outcome.as_str(), "failed" | "disabled")] { (receipt.outcome) }
                        @if receipt.attempt > 1 { " " small { "attempt " (receipt.attempt) } }
                        @if let Some(why) = &receipt.why { " " small { (why) } }
                        @if let Some(next_us) = receipt.next_at_us { " " small { "again " (words::moment(next_us)) } }
                    }
                } } }
            }
        }
    }
}
