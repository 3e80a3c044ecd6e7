//! Incidents in a few lines, their steps, and what was delivered about them.

use driftline_alerting::{TransitionState, links};
use driftline_pipeline::digest::ReceiptDigest;
use maud::{Markup, html};

use super::blocks::stack_head;
use crate::live::IncidentStatus;
use crate::page::root::Root;
use crate::page::words;

/// Findings that a card lists, and a step.
pub(in crate::page) const NAMED: usize = 3;

/// An open incident in a few lines.
pub(in crate::page) fn card(incident: &IncidentStatus, root: &Root) -> Markup {
    let window = incident.windows.last().map(|id| id.as_str());
    let more = incident.subjects_total.saturating_sub(NAMED);
    html! {
        div.incident.accepted[incident.accepted.is_some()] {
            h3 { a href=(root.to(&links::incident(&incident.id))) { (incident.model) ": " (incident.class) } }
            p.soft {
                (incident.state) @if let Some(since_us) = incident.since_us { " since " (words::instant_by(since_us, window)) }
                @if let Some(accepted) = &incident.accepted { ", accepted by " (accepted.by) ": " (accepted.reason) }
            }
            ul { @for subject in incident.subjects.iter().take(NAMED) {
                li { a href=(root.to(&links::finding(&incident.model, subject.subject.as_str(), window))) { (words::subject(&subject.subject)) } ": " (subject.because) }
            } }
            @if more > 0 { p.soft { "and " (more) " more" } }
        }
    }
}

/// A step with a sign that does not need its colour.
pub(in crate::page) fn step_badge(state: TransitionState) -> Markup {
    let (class, text) = match state {
        TransitionState::Firing => ("badge alarm", "▲ opened"),
        TransitionState::Changed => ("badge warn", "◆ grew"),
        TransitionState::Resolved => ("badge ok", "● resolved"),
    };
    html! { span class=(class) { (text) } }
}

pub(in crate::page) fn receipts<'a>(
    receipts: impl Iterator<Item = &'a ReceiptDigest>,
    caption: &str,
) -> Markup {
    let mut receipts = receipts.peekable();
    html! {
        @if receipts.peek().is_none() { p { "No message has been attempted." } }
        @else {
            table.stack role="table" {
                caption.hidden { (caption) }
                (stack_head(&["When", "Receiver", "Message", "Outcome"]))
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
