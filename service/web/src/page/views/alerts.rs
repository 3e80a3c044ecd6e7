//! `GET /alerts`: what is open, what happened, who is silent until when, and what was delivered.

use driftline_alerting::links;
use maud::{Markup, html};

use crate::live::Step;
use crate::page::parts::blocks::stack_head;
use crate::page::parts::incident::{card, receipts, step_badge};
use crate::page::root::Root;
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

/// Receipts that the view lists; an incident's own page has all of its own.
const RECEIPTS: usize = 50;
/// Steps that the view lists.
const STEPS: usize = 100;

pub(crate) async fn view(visit: Visit, (): ()) -> Result<View, Refusal> {
    Ok(View {
        title: "Alerts".to_owned(),
        section: Section::Alerts,
        follows: Follows { model: None, alerts: true },
        body: body(&visit),
    })
}

fn body(visit: &Visit) -> Markup {
    let Visit { live, root, forms, .. } = visit;
    html! {
        h1 { "Alerts" }
        (forms.said())
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
            (silences(visit))
        }
        section aria-labelledby="silence-title" {
            h3 #silence-title { "A new silence" }
            (forms.silence(live, root))
        }
        section #receipts data-live aria-labelledby="receipts-title" {
            h2 #receipts-title { "Deliveries" }
            (receipts(live.receipts.iter().take(RECEIPTS), "Attempts to deliver, the last"))
        }
    }
}

fn silences(visit: &Visit) -> Markup {
    let Visit { live, root, forms, .. } = visit;
    html! {
        @if live.silences.is_empty() { p { "None is in force." } }
        @else {
            table.stack role="table" {
                caption.hidden { "Silences in force" }
                (stack_head(&["Model", "Class", "Until", "By", "Reason"]))
                tbody role="rowgroup" { @for silence in &live.silences { tr role="row" {
                    td role="cell" { (silence.model.as_deref().unwrap_or("every model")) }
                    td role="cell" { (silence.class.map_or("every class", |class| class.name())) }
                    td role="cell" { (words::instant(silence.until_us)) }
                    td role="cell" { (silence.by) }
                    td.wide role="cell" { (silence.reason) (forms.end_silence(&silence.id, root)) }
                } } }
            }
        }
    }
}

fn history(steps: &[Step], root: &Root) -> Markup {
    html! {
        @if steps.is_empty() { p { "Nothing has happened yet." } }
        @else {
            table.stack role="table" {
                caption.hidden { "Steps of incidents, newest first" }
                (stack_head(&["Event time", "What", "Incident", "Strongest"]))
                tbody role="rowgroup" { @for step in steps.iter().take(STEPS) { tr role="row" {
                    td role="cell" { @if let Some(at_us) = step.at_us { (words::instant(at_us)) } }
                    td role="cell" { (step_badge(step.state)) }
                    td.wide role="cell" { a href=(root.to(&links::incident(&step.incident))) { (step.model) ": " (step.class) } }
                    td.why.wide role="cell" {
                        @if let Some(first) = step.subjects.first() { (first.because) @if step.subjects_total > 1 { " " small { "and " (step.subjects_total - 1) " more" } } }
                    }
                } } }
            }
        }
    }
}
