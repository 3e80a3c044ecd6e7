//! A report on one window: its headline, its findings ranked, its account of the log.

use driftline_alerting::links;
use driftline_analytics::report::{
    Check, CutBy, Finding, MaximumSection, Percentile, Report, Window,
};
use driftline_config::time::parse_instant_us;
use driftline_config::{Level, Subject};
use driftline_pipeline::digest::strongest;
use maud::{Markup, html};

use super::blocks::{fact, outcomes, scrolled};
use crate::page::root::Root;
use crate::page::words;

/// Findings that are shown with their sentence; further ones are counted.
const EXPLAINED: usize = 100;
/// Columns that are named as having moved together.
const MOVED: usize = 8;
/// Columns within tolerance that are named.
const NAMED: usize = 400;

/// The findings of a report, for a view.
pub(in crate::page) struct Findings<'a> {
    pub(in crate::page) report: &'a Report,
    pub(in crate::page) root: &'a Root,
    /// Whether links name the window, or mean the last one.
    pub(in crate::page) named: bool,
}

/// From when to when a report is.
pub(in crate::page) fn span(report: &Report) -> String {
    let instant = |text: &str| parse_instant_us(text).unwrap_or(0);
    let Window { start, end, timezone, .. } = &report.window;
    words::span(instant(start), instant(end), timezone.as_ref())
}

/// The level, the strongest sentence, and what else one must know of a window.
pub(in crate::page) fn headline(report: &Report, root: &Root) -> Markup {
    let window = Some(report.window.id.as_str());
    let link = |of: &Subject| root.to(&links::finding(&report.model, of.as_str(), window));
    html! {
        p.lead {
            (words::badge(report.level)) " "
            @match strongest(report) {
                Some(finding) => { a href=(link(&finding.subject)) { (words::subject(&finding.subject)) } ": " (finding.because) }
                None if report.level == Level::NotComputable => { "This window has too few rows for anything to alarm." }
                None => { "Everything that is judged is within its tolerance." }
            }
        }
        p.soft {
            (span(report)) ", " (words::many(report.window.rows, "row"))
            @if report.window.parts > 1 { ", " (report.window.parts) " windows in one, since one had too few rows" }
            @if !report.window.complete { ", incomplete: rows may lie before what was read" }
        }
        @if let Some(release) = &report.release { p.said { b { "Release. " } (release.because) } }
        @if !report.changed.is_empty() { p.said { b { "Settings changed. " } (report.changed.join(", ")) } }
    }
}

/// What number of false alarms is promised, how extreme the window is, and what moved together.
pub(in crate::page) fn extremeness(report: &Report) -> Markup {
    html! {
        @if let Some(budget) = &report.budget {
            p { (budget.says) "." }
            @if !budget.maxima.is_empty() {
                table.stack role="table" {
                    caption.hidden { "The window among the baseline's own windows" }
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { "Of" }
                        th.n role="columnheader" scope="col" { "Times what is usual" }
                        th.n role="columnheader" scope="col" { "Alarm above" }
                        th.n role="columnheader" scope="col" { "Own windows" }
                        th role="columnheader" scope="col" { "Leading column" }
                    } }
                    tbody role="rowgroup" { @for maximum in &budget.maxima { (maximum_row(maximum)) } }
                }
            }
            @if budget.moved.len() > 1 {
                p.soft { "Moved together, the first mover first: "
                    @for (place, moved) in budget.moved.iter().take(MOVED).enumerate() {
                        @if place > 0 { ", " }
                        (words::subject(&moved.subject))
                        @if let Some(since) = &moved.since { " " @if moved.at_the_latest { "at the latest " } "since " (since) }
                    }
                    @if budget.moved.len() > MOVED { " and " (budget.moved.len() - MOVED) " more" }
                }
            }
        }
        @if let Some(without) = &report.not_computable {
            p.soft { (words::many(without.columns, "column")) " could not be judged"
                @if let Some(rows) = without.rows_missing { ", for want of " (words::many(rows, "row")) } }
        }
    }
}

fn maximum_row(maximum: &MaximumSection) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { (maximum.of.replace('_', " ")) }
            td.n role="cell" data-l="times what is usual" { (words::number(maximum.value)) }
            td.n role="cell" data-l="alarm above" { (words::number(maximum.threshold)) " (rank " (maximum.rank) ")" }
            td.n role="cell" data-l="own windows" { (maximum.beyond) " of " (maximum.own) " differed less" }
            td role="cell" { @if let Some(leading) = &maximum.leading {
                (words::subject(leading))
                @if let Some(scale) = maximum.scale.filter(|scale| *scale > 1) { " over " (scale) " windows" }
            } @else { "none" } }
        }
    }
}

/// Ranked as in the report: alarms and warnings with their sentences, the rest by name.
pub(in crate::page) fn findings(of: &Findings<'_>) -> Markup {
    let told = |finding: &&Finding| matches!(finding.level, Level::Alarm | Level::Warn);
    let (told, rest): (Vec<&Finding>, Vec<&Finding>) = of.report.findings.iter().partition(told);
    let distributions: Vec<&Finding> =
        rest.iter().copied().filter(|finding| finding.check == Check::Distribution).collect();
    let shares: Vec<&Finding> = rest
        .iter()
        .copied()
        .filter(|finding| finding.share.as_ref().is_some_and(|share| share.count > 0))
        .collect();
    let beyond = told.len().saturating_sub(EXPLAINED);
    let place = if of.named { "window" } else { "last" };
    html! {
        @if !told.is_empty() {
            table.stack role="table" {
                caption.hidden { "Findings at alarm and at warning" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Column" }
                    th role="columnheader" scope="col" { "Level" }
                    th.n role="columnheader" scope="col" { "Effect" }
                    th.n role="columnheader" scope="col" { "At least" }
                    th.n role="columnheader" scope="col" { "Tolerance" }
                    th role="columnheader" scope="col" { "Because" }
                } }
                tbody role="rowgroup" { @for finding in told.iter().take(EXPLAINED) { (row(of, finding)) } }
            }
            @if beyond > 0 { p { "And " (words::many(beyond as u64, "further finding")) ", in the report." } }
        }
        @if !distributions.is_empty() {
            details id={ "within-" (place) } open[told.is_empty() && distributions.len() <= 40] {
                summary { (words::many(distributions.len() as u64, "column")) " within tolerance, too small to judge, or shown without being judged" }
                ul.cols {
                    @for finding in distributions.iter().take(NAMED) { (brief(of, finding)) }
                }
                @if distributions.len() > NAMED { p { "And " (words::many((distributions.len() - NAMED) as u64, "more")) "." } }
            }
        }
        @if !shares.is_empty() {
            details id={ "shares-" (place) } {
                summary { (words::many(shares.len() as u64, "share")) " of missing, mistyped or new values within tolerance" }
                ul.cols {
                    @for finding in shares.iter().take(NAMED) {
                        li { a href=(link(of, finding)) { (words::subject(&finding.subject)) } " "
                            @if let Some(share) = &finding.share { (words::percent(share.value)) " " small { (words::check(finding.check)) } } }
                    }
                }
            }
        }
    }
}

fn link(of: &Findings<'_>, finding: &Finding) -> String {
    let window = of.named.then_some(of.report.window.id.as_str());
    of.root.to(&links::finding(&of.report.model, finding.subject.as_str(), window))
}

fn row(of: &Findings<'_>, finding: &Finding) -> Markup {
    let (subject, effect) = (&finding.subject, finding.effect());
    let is_share = finding.share.is_some();
    let shown = |value: f64| if is_share { words::percent(value) } else { words::number(value) };
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                a href=(link(of, finding)) { (words::subject(subject)) } " "
                small { @if finding.check == Check::Distribution { (words::kind(subject)) } @else { (words::check(finding.check)) } }
            }
            td role="cell" { (words::badge(finding.level)) @if finding.release { " " small { "release" } } }
            td.n role="cell" data-l="effect" { @if let Some(effect) = effect { (shown(effect.value)) } }
            td.n role="cell" data-l="at least" { @if let Some(effect) = effect { (shown(effect.bound)) } }
            td.n role="cell" data-l="tolerance" { @if let Some(effect) = effect { (shown(effect.tolerance)) } }
            td.why.wide role="cell" {
                (finding.because)
                @if let Some(since) = words::first_over(finding, of.report.window.timezone.as_ref()) { " " small { "Over tolerance since " (since) "." } }
            }
        }
    }
}

fn brief(of: &Findings<'_>, finding: &Finding) -> Markup {
    html! {
        li {
            a href=(link(of, finding)) { (words::subject(&finding.subject)) }
            @if let Some(effect) = finding.effect() {
                " " small { (words::number(effect.value)) " of " (words::number(effect.tolerance)) }
            }
            @if finding.level == Level::NotComputable { " " small { "too small" } }
            @else if !finding.judged { " " small { "not judged" } }
        }
    }
}

/// Versions, latency, the ledger of its stretch of the log, and how to compute it again.
pub(in crate::page) fn account(report: &Report, config_path: &str) -> Markup {
    let requests: u64 = report.status.values().sum();
    let share = |part: u64, of: u64| words::percent(part as f64 / of.max(1) as f64);
    html! {
        dl.facts {
            @for (version, rows) in &report.versions {
                (fact(&format!("Version {version}"), &share(*rows, report.window.rows), &words::many(*rows, "request")))
            }
            @if let Some(latency) = &report.latency {
                @for (name, percentile) in [("p50", latency.p50_us), ("p90", latency.p90_us), ("p99", latency.p99_us)] {
                    (fact(name, &words::latency(percentile.value), &range(percentile)))
                }
            }
            @for (class, count) in report.status.iter().filter(|(class, _)| class.as_str() != "none") {
                (fact(&format!("Status {class}"), &share(*count, requests), &words::count(*count)))
            }
        }
        h3 { "What became of the records read" }
        dl.facts { (outcomes(&report.window.ledger)) }
        details id="cuts" {
            summary { "The stretch of the log: offsets by partition" }
            (scrolled("Offsets by partition", &cuts(report)))
        }
        p { "Computed again from the log, byte for byte:" }
        pre { "driftline replay --config " (config_path) " --window " (report.window.id) }
    }
}

fn range(percentile: Percentile) -> String {
    let high = percentile.high.map_or_else(|| "unknown".to_owned(), words::latency);
    format!("{} to {high}", words::latency(percentile.low))
}

fn cuts(report: &Report) -> Markup {
    html! {
        thead { tr { th scope="col" { "Topic" } th.n scope="col" { "Partition" } th.n scope="col" { "From" } th.n scope="col" { "To" } th scope="col" { "Closed by" } } }
        tbody { @for (topic, cuts) in &report.window.cuts { @for (partition, cut) in cuts {
            tr {
                td { (topic) } td.n { (partition) } td.n { (cut.from) } td.n { (cut.to) }
                td { @match cut.by { CutBy::Log => "the log", CutBy::Idle => "silence" } }
            }
        } } }
    }
}
