//! A comparison of files as one document that needs nothing else: the page's parts without the page.

use std::collections::BTreeMap;

use driftline_analytics::report::{Check, Finding, Report};
use driftline_analytics::shape::Shape;
use driftline_config::{Level, Subject};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::parts::blocks::{fact, outcomes};
use super::parts::finding::{Drawn, further, further_numbers, names, numbers, pictures, told};
use super::shell::{source_of, style_sheet};
use super::words;

/// Findings that are drawn; a picture takes some kilobytes, and nobody looks at more.
const DRAWN: usize = 200;

/// What was compared, and what was found.
#[derive(Debug, Clone, Copy)]
pub struct ComparedFiles<'a> {
    pub report: &'a Report,
    /// The distributions behind the report, by subject.
    pub shapes: &'a BTreeMap<Subject, Shape>,
    /// One line for everything left out.
    pub notes: &'a [String],
    /// Where the rows to compare with come from.
    pub reference: &'a str,
    /// Where the rows that are compared come from.
    pub current: &'a str,
    /// What was found, in few words.
    pub found: &'a str,
    /// The command that gives the same report.
    pub command: &'a str,
}

/// The whole document: summary, findings over their tolerance, the rest. Its policy lets nothing run
/// and nothing be fetched.
pub fn findings_page(compared: &ComparedFiles<'_>) -> String {
    let ComparedFiles { report, notes, command, .. } = *compared;
    let sheet = style_sheet();
    let policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'",
        source_of(sheet)
    );
    let title = format!("{}: {}", report.model, compared.found);
    let (loud, quiet): (Vec<&Finding>, Vec<&Finding>) =
        report.findings.iter().partition(|finding| is_loud(finding));
    // A quiet share says nothing that its column's distribution does not.
    let rest: Vec<&Finding> = quiet
        .into_iter()
        .filter(|finding| finding.level != Level::Ok || finding.check == Check::Distribution)
        .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(sheet)) }
            }
            body { main {
                h1 { (title) }
                (summary(compared))
                h2 { "Findings" }
                @if loud.is_empty() { p { "Nothing is over its tolerance." } }
                @for (place, finding) in loud.iter().enumerate() {
                    section {
                        h3 { (place + 1) ". " (heading(finding)) }
                        (body(compared, finding, place < DRAWN))
                    }
                }
                h2 { "The rest" }
                @for (place, finding) in rest.iter().enumerate() {
                    details {
                        summary { (heading(finding)) }
                        (body(compared, finding, loud.len() + place < DRAWN))
                    }
                }
                h2 { "Left out" }
                @if notes.is_empty() { p { "Every column was compared." } }
                @else { ul { @for note in notes { li { (note) } } } }
                h2 { "Again" }
                pre { (command) }
                p.soft { "baseline " (report.baseline_sha256) " · settings " (report.config_sha256) " · rules " (report.rules) }
            } }
        }
    };
    page.into_string()
}

fn is_loud(finding: &Finding) -> bool {
    finding.judged && matches!(finding.level, Level::Alarm | Level::Warn)
}

fn summary(compared: &ComparedFiles<'_>) -> Markup {
    let report = compared.report;
    let ledger = &report.window.ledger;
    let distributions = report.findings.iter().filter(|f| f.check == Check::Distribution);
    let (judged, shown): (Vec<&Finding>, Vec<&Finding>) =
        distributions.partition(|finding| finding.judged);
    let columns = words::many((judged.len() + shown.len()) as u64, "column");
    html! {
        p.lead { (words::badge(report.level)) " " (compared.current) " against " (compared.reference) }
        dl.facts {
            (fact("Rows", &words::count(report.window.rows), ""))
            (fact("Compared", &columns, &format!("{} of them judged", judged.len())))
            @if let Some(latency) = &report.latency {
                @for (name, percentile) in [("p50", latency.p50_us), ("p90", latency.p90_us), ("p99", latency.p99_us)] {
                    (fact(name, &words::latency(percentile.value), &words::many(latency.n, "request")))
                }
            }
        }
        @if ledger.read != ledger.counted {
            h3 { "What became of the records read" }
            dl.facts { (outcomes(ledger)) }
        }
    }
}

/// Which column, what was looked at, and how bad it is.
fn heading(finding: &Finding) -> Markup {
    html! {
        (finding.subject) ": " (words::check(finding.check)) " " (words::badge(finding.level))
        @if !finding.judged { " " small { "shown, not judged" } }
    }
}

fn body(compared: &ComparedFiles<'_>, finding: &Finding, drawn: bool) -> Markup {
    let shape = compared.shapes.get(&finding.subject);
    let name = finding.subject.name();
    html! {
        (told(finding))
        @if drawn { (pictures(finding, Drawn { name, shape, points: &[] })) }
        (numbers(finding, compared.report.window.timezone.as_ref()))
        (further(&rows_of(finding), None))
        (names(finding))
    }
}

/// Of shares and texts, too: here nobody has the report at hand.
fn rows_of(finding: &Finding) -> Vec<(&'static str, String)> {
    let mut rows = further_numbers(finding);
    if finding.ks.is_none() {
        let adjusted = finding.p_adjusted().map(|p| ("adjusted over all columns", p));
        let plain =
            finding.psi.as_ref().and_then(|psi| psi.p).map(|p| ("ordinary two-sample p", p));
        rows.extend(adjusted.into_iter().chain(plain).map(|(name, p)| (name, words::number(p))));
    }
    rows
}
