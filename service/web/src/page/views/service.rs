//! `GET /service`: whether Driftline itself is well, and what became of every record.

use maud::{Markup, html};

use crate::live::{CheckState, Live, TopicStatus};
use crate::page::parts::blocks::{fact, outcomes, scrolled, stack_head};
use crate::page::visit::{Follows, Section, View, Visit};
use crate::page::words;
use crate::refusal::Refusal;

pub(crate) async fn view(visit: Visit, (): ()) -> Result<View, Refusal> {
    Ok(View {
        title: "Service".to_owned(),
        section: Section::Service,
        follows: Follows { model: Some("*".to_owned()), alerts: false },
        body: body(&visit.live),
    })
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
    let balance = if topic.imbalance == 0 { "the ledger balances" } else { "" };
    html! {
        h3 { (name) }
        dl.facts {
            (outcomes(&topic.total))
            (fact("unaccounted for", &topic.imbalance.to_string(), balance))
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
            (scrolled(&format!("Partitions of {name}"), &partitions(topic)))
        }
    }
}

fn partitions(topic: &TopicStatus) -> Markup {
    html! {
        thead { tr { th.n scope="col" { "Partition" } th.n scope="col" { "Next offset" } th.n scope="col" { "Read" } th.n scope="col" { "Counted" } th.n scope="col" { "Late" } th.n scope="col" { "Rejected" } } }
        tbody { @for (partition, status) in &topic.partitions { tr {
            td.n { (partition) } td.n { (status.position) } td.n { (words::count(status.counts.read)) }
            td.n { (words::count(status.counts.counted)) } td.n { (words::count(status.counts.late)) } td.n { (words::count(status.counts.rejected)) }
        } } }
    }
}

fn letters(live: &Live) -> Markup {
    html! {
        @if live.dead_letters.is_empty() { p { "None since this process started." } }
        @else {
            table.stack role="table" {
                caption.hidden { "Rejected records, newest first" }
                (stack_head(&["Where", "Reason", "Detail"]))
                tbody role="rowgroup" { @for letter in &live.dead_letters { tr role="row" {
                    td role="cell" { (letter.topic) " " (letter.partition) ":" (letter.offset) }
                    td role="cell" { (letter.reason) }
                    td.wide.why role="cell" { (letter.detail) }
                } } }
            }
        }
    }
}
