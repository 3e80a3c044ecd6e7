//! `GET /alerts`: what is open, what happened, who is silent until when, and what was delivered.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use driftline_alerting::TransitionState;
use driftline_config::links;
use maud::{Markup, html};

use super::forms::{self, Asked};
use super::incident::{card, receipts};
use super::shell::{Root, Section, View, document};
use super::words;
use crate::http::access::Access;
use crate::http::board::Board;
use crate::http::live::{Live, Step};

/// Receipts that the view lists; an incident's own page has all of its own.
const RECEIPTS: usize = 50;
/// Steps that the view lists.
const STEPS: usize = 100;

/// `GET /alerts`
pub(in crate::http) async fn show(
    State(board): State<Arc<Board>>,
    Extension(access): Extension<Access>,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::new(&access, &headers);
    answer(&board, Root::TOP, &asked)
}

/// The view as the answer to a form that was refused, under the form's own path.
pub(super) fn answer_form(board: &Board, asked: &Asked) -> Response {
    answer(board, Root::SECOND, asked)
}

fn answer(board: &Board, root: Root, asked: &Asked) -> Response {
    let live = board.live();
    let body = body(&live, root, asked);
    let title = "Alerts".to_owned();
    let view = View { title, root, section: Section::Alerts, model: None, alerts: true, body };
    document(board, &live, view)
}

fn body(live: &Live, root: Root, asked: &Asked) -> Markup {
    html! {
        h1 { "Alerts" }
        (asked.said())
        section #open data-live aria-labelledby="open-title" {
            h2 #open-title { "Open incidents" }
            @if live.incidents.is_empty() { p { "None. Warnings never open one; the models' own views have them." } }
            @for incident in &live.incidents { (card(incident, root)) }
        }
        section #history data-live aria-labelledby="history-title" {
            h2 #history-title { "History" }
            (history(&live.history, root))
        }
        section #silences data-live aria-labelledby="silences-title" {
            h2 #silences-title { "Silences" }
            @if live.silences.is_empty() { p { "None is in force." } }
            @else {
                table.stack role="table" {
                    caption.hidden { "Silences in force" }
                    thead role="rowgroup" { tr role="row" { th role="columnheader" scope="col" { "Model" } th role="columnheader" scope="col" { "Class" } th role="columnheader" scope="col" { "Until" } th role="columnheader" scope="col" { "By" } th role="columnheader" scope="col" { "Reason" } } }
                    tbody role="rowgroup" { @for silence in &live.silences { tr role="row" {
                        td role="cell" { (silence.model.as_deref().unwrap_or("every model")) }
                        td role="cell" { (silence.class.map_or("every class", |class| class.name())) }
                        td role="cell" { (words::instant(silence.until_us)) }
                        td role="cell" { (silence.by) }
                        td.wide role="cell" { (silence.reason) }
                    } } }
                }
            }
        }
        section aria-labelledby="silence-title" {
            h3 #silence-title { "A new silence" }
            (forms::silence_form(live, root, asked))
        }
        section #receipts data-live aria-labelledby="receipts-title" {
            h2 #receipts-title { "Deliveries" }
            (receipts(live.receipts.iter().take(RECEIPTS), "Attempts to deliver, the last"))
        }
    }
}

fn history(steps: &[Step], root: Root) -> Markup {
    html! {
        @if steps.is_empty() { p { "Nothing has happened yet." } }
        @else {
            table.stack role="table" {
                caption.hidden { "Steps of incidents, newest first" }
                thead role="rowgroup" { tr role="row" { th role="columnheader" scope="col" { "Event time" } th role="columnheader" scope="col" { "What" } th role="columnheader" scope="col" { "Incident" } th role="columnheader" scope="col" { "Strongest" } } }
                tbody role="rowgroup" { @for step in steps.iter().take(STEPS) { tr role="row" {
                    td role="cell" { @if let Some(at_us) = step.at_us { (words::instant(at_us)) } }
                    td role="cell" { (state(step.state)) }
                    td.wide role="cell" { a href=(root.to(&links::incident(&step.incident))) { (step.model) ": " (step.class) } }
                    td.why.wide role="cell" {
                        @if let Some(first) = step.subjects.first() { (first.because) @if step.subjects_total > 1 { " " small { "and " (step.subjects_total - 1) " more" } } }
                    }
                } } }
            }
        }
    }
}

/// A step with a sign that does not need its colour.
pub(super) fn state(state: TransitionState) -> Markup {
    let (class, text) = match state {
        TransitionState::Firing => ("badge alarm", "▲ opened"),
        TransitionState::Changed => ("badge warn", "◆ grew"),
        TransitionState::Resolved => ("badge ok", "● resolved"),
    };
    html! { span class=(class) { (text) } }
}
