//! `GET /service`: whether Driftline itself is well, and what became of every record.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::shell::{Root, Section, View, document};
use super::words;
use crate::http::board::Board;
use crate::http::live::{CheckState, Live, TopicStatus};

/// `GET /service`
pub(in crate::http) async fn show(State(board): State<Arc<Board>>) -> Response {
    let live = board.live();
    let view = View {
        title: "Service".to_owned(),
        root: Root::TOP,
        section: Section::Service,
        model: Some("*"),
        alerts: false,
        body: body(&live),
    };
    document(&board, &live, view)
}

fn body(live: &Live) -> Markup {
    html! {
        h1 { "Service" }
        section #checks data-live aria-labelledby="checks-title" {
            h2 #checks-title { "Checks" }
            @if live.checks.is_empty() { p { "The first positions are being read." } }
            ul { @for check in &live.checks {
                li {
                    @match check.state {
                        CheckState::Ok => span.badge.ok { "● ok" },
                        CheckState::Degraded => span.badge.warn { "◆ degraded" },
                        CheckState::Failed => span.badge.alarm { "▲ failed" },
                    }
                    " " b { (check.name) } ": " (check.says)
                }
            } }
        }
        section #ledger data-live aria-labelledby="ledger-title" {
            h2 #ledger-title { "What became of every record" }
            @for (name, topic) in &live.topics { (ledger(name, topic)) }
        }
        section #letters data-live aria-labelledby="letters-title" {
            h2 #letters-title { "The last dead letters" }
            (letters(live))
        }
    }
}

fn ledger(name: &str, topic: &TopicStatus) -> Markup {
    let total = &topic.total;
    html! {
        h3 { (name) }
        dl.facts {
            @for (name, count) in [("read", total.read), ("counted", total.counted), ("late", total.late), ("rejected", total.rejected), ("skipped", total.skipped), ("heartbeats", total.control)] {
                div { dt { (name) } dd { (words::count(count)) } }
            }
            div { dt { "unaccounted for" } dd { (topic.imbalance) @if topic.imbalance == 0 { small { "the ledger balances" } } } }
        }
        @for (title, counts) in [("Rejected, by reason", &topic.rejected), ("Skipped, by the model they name", &topic.skipped)] {
            @if counts.values().any(|count| *count > 0) {
                p { (title) ": " @for (place, (what, count)) in counts.iter().filter(|(_, count)| **count > 0).enumerate() {
                    @if place > 0 { ", " } (what) " " b { (words::count(*count)) }
                } }
            }
        }
        details id={ "partitions-" (name) } {
            summary { (words::many(topic.partitions.len() as u64, "partition")) }
            div.scroll tabindex="0" role="region" aria-label={ "Partitions of " (name) } { table {
                thead { tr { th.n scope="col" { "Partition" } th.n scope="col" { "Next offset" } th.n scope="col" { "Read" } th.n scope="col" { "Counted" } th.n scope="col" { "Late" } th.n scope="col" { "Rejected" } } }
                tbody { @for (partition, status) in &topic.partitions { tr {
                    td.n { (partition) } td.n { (status.position) } td.n { (words::count(status.counts.read)) }
                    td.n { (words::count(status.counts.counted)) } td.n { (words::count(status.counts.late)) } td.n { (words::count(status.counts.rejected)) }
                } } }
            } }
        }
    }
}

fn letters(live: &Live) -> Markup {
    html! {
        @if live.dead_letters.is_empty() { p { "None since this process started." } }
        @else {
            table.stack role="table" {
                caption.hidden { "Rejected records, newest first" }
                thead role="rowgroup" { tr role="row" { th role="columnheader" scope="col" { "Where" } th role="columnheader" scope="col" { "Reason" } th role="columnheader" scope="col" { "Detail" } } }
                tbody role="rowgroup" { @for letter in &live.dead_letters { tr role="row" {
                    td role="cell" { (letter.topic) " " (letter.partition) ":" (letter.offset) }
                    td role="cell" { (letter.reason) }
                    td.wide.why role="cell" { (letter.detail) }
                } } }
            }
        }
    }
}
