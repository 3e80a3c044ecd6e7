//! One finding: why it is told, its pictures, its numbers, and the names that came with it.

use driftline_analytics::report::{Check, Finding, MeanAndSd};
use driftline_analytics::shape::Shape;
use driftline_config::TimeZone;
use driftline_plots::{self as plots, Bars, Timeline, TimelinePoint};
use maud::{Markup, html};

use super::blocks::{fact, figure};
use crate::page::words;

/// Names that are listed; the report has them all.
const NAMES: usize = 20;

/// What pictures are drawn of, beside the finding itself.
#[derive(Debug, Clone, Copy)]
pub(in crate::page) struct Drawn<'a> {
    /// What its column is called.
    pub(in crate::page) name: &'a str,
    pub(in crate::page) shape: Option<&'a Shape>,
    /// The finding's number over windows, where there are several.
    pub(in crate::page) points: &'a [TimelinePoint],
}

/// A name and its number.
type NumberRow = (&'static str, String);

/// The sentence of a finding, and what else one must know to read it.
pub(in crate::page) fn told(finding: &Finding) -> Markup {
    html! {
        p.lead { (finding.because) }
        @if !finding.judged { p.soft { "Shown, not judged: it never alarms." } }
        @if finding.private { p.soft { "Private: its values never leave as text." } }
        @for note in &finding.notes { p.soft { (note) "." } }
    }
}

pub(in crate::page) fn heading(check: Check) -> &'static str {
    match check {
        Check::Distribution => "Distribution",
        Check::Missing => "Missing values",
        Check::WrongType => "Values of the wrong type",
        Check::NewCategory => "New categories",
        Check::Absent => "Absent",
        Check::NewColumn => "New column",
        Check::Volume => "Volume",
        Check::Latency => "Latency",
        Check::Errors => "Errors",
    }
}

pub(in crate::page) fn pictures(finding: &Finding, of: Drawn<'_>) -> Markup {
    let Drawn { name, shape, points } = of;
    let statistic = match (&finding.ks, &finding.psi, finding.check) {
        (Some(_), _, _) => "KS",
        (None, Some(_), _) => "PSI",
        (None, None, Check::Volume) => "requests",
        (None, None, _) => "share",
    };
    let bars = Bars::of(finding);
    let curve = match shape.filter(|_| finding.check == Check::Distribution) {
        Some(Shape::Numeric { points }) => Some(plots::ecdf(name, points, finding.ks.as_ref())),
        Some(Shape::Categorical { .. }) | None => None,
    };
    html! {
        div.plots {
            @if let Some(bars) = bars { (figure(&plots::histogram(name, bars))) }
            @if let Some(curve) = curve { (figure(&curve)) }
            @if let Some(bars) = bars { (figure(&plots::contributions(name, bars))) }
            @if points.iter().any(|point| point.value.is_some()) {
                (figure(&plots::timeline(&Timeline { name, statistic, points })))
            }
        }
    }
}

pub(in crate::page) fn numbers(finding: &Finding, zone: Option<&TimeZone>) -> Markup {
    html! {
        dl.facts {
            (fact("Values in the window", &words::count(finding.n), ""))
            @if finding.m > 0 { (fact("In the baseline", &words::count(finding.m), "")) }
            (of_distribution(finding))
            @if let Some(share) = &finding.share {
                (fact("Share", &words::percent(share.value), &words::many(share.count, "value")))
                (fact("At least", &words::percent(share.bound), "with 99 % confidence"))
                (fact("Baseline", &words::percent(share.reference), ""))
                (fact("Tolerance above it", &words::percent(share.tolerance), &share.tolerance_from))
            }
            @if let Some(volume) = &finding.volume {
                (fact("Requests", &words::count(volume.value as u64), ""))
                @if let (Some(smallest), Some(largest)) = (volume.smallest, volume.largest) {
                    (fact("The baseline's own windows", &format!("{} to {}", words::count(smallest), words::count(largest)), &words::many(volume.windows, "window")))
                }
            }
            @if let Some(since) = words::first_over(finding, zone) { (fact("Over tolerance since", &since, "")) }
        }
    }
}

/// How extreme it is among the baseline's own windows, where that decides.
fn of_rank(finding: &Finding) -> Markup {
    html! {
        @if let Some(rank) = &finding.rank {
            @let over = match rank.scale { 1 => "of this window".to_owned(), scale => format!("of the last {scale} windows together") };
            (fact("Requests that moved", &words::percent(rank.effect), &over))
            (fact("Usual where nothing changed", &words::percent(rank.yardstick), &words::many(rank.rows, "value")))
            (fact("Times what is usual", &words::number(rank.value), &format!("alarm above {}", words::number(rank.threshold))))
            (fact("The baseline's own windows", &words::number(rank.own_largest), "at most, of this column"))
            @if let Some(since) = &rank.since {
                (fact(if rank.since_at_the_latest { "Moved at the latest since" } else { "Moved since" }, since, ""))
            }
        }
    }
}

/// The statistic that decides: KS of numbers, PSI of texts.
fn of_distribution(finding: &Finding) -> Markup {
    html! {
        (of_rank(finding))
        @if let Some(ks) = &finding.ks {
            @let [low, high] = ks.certified;
            (fact("KS", &words::number(ks.value), &if low == high { "exact".to_owned() } else { format!("between {} and {}", words::number(low), words::number(high)) }))
            (fact("At least", &words::number(ks.bound), "with 99 % confidence"))
            (fact("Tolerance", &words::number(ks.tolerance), &ks.tolerance_from))
            (fact("Would have alarmed from", &words::number(ks.detectable), "with so many values"))
            @if let (Some(at), Some(reference), Some(window)) = (&ks.at, ks.share_reference, ks.share_window) {
                (fact("Largest gap at", &words::number(at.0), &format!("baseline {}, window {} above", words::percent(reference), words::percent(window))))
            }
        } @else if let Some(psi) = &finding.psi {
            (fact("PSI", &words::number(psi.debiased), &format!("{} before removing what chance gives", words::number(psi.value))))
            (fact("At least", &words::number(psi.bound), "with 99 % confidence"))
            (fact("Tolerance", &words::number_or_dash(psi.tolerance), psi.tolerance_from.as_deref().unwrap_or_default()))
            (fact("Would have alarmed from", &words::number_or_dash(psi.detectable), "with so many values"))
        }
    }
}

/// Numbers of which at most one decides anything, folded away.
pub(in crate::page) fn further(rows: &[NumberRow], id: Option<String>) -> Markup {
    html! {
        @if !rows.is_empty() {
            details id=[id] {
                summary { "Further numbers, which decide nothing but for the one that says so" }
                table { tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td.n { (value) } } } } }
            }
        }
    }
}

/// The numbers of a distribution that the facts leave out.
pub(in crate::page) fn further_numbers(finding: &Finding) -> Vec<NumberRow> {
    let mut rows: Vec<NumberRow> = Vec::new();
    if let Some(ks) = &finding.ks {
        rows.push(("baseline's own sampling error", words::number(ks.baseline_error)));
        rows.push(("p under the tolerance, which decides", words::number(ks.p_tolerance)));
        rows.push(("adjusted over all columns", words::number_or_dash(ks.p_adjusted)));
        rows.push(("ordinary two-sample p", words::number(ks.p)));
    }
    if let (Some(psi), Some(_)) = (&finding.psi, &finding.ks) {
        rows.push(("PSI without what chance gives", words::number(psi.debiased)));
    }
    if let Some(shift) = &finding.shift {
        let mut add =
            |name, value: Option<f64>| rows.extend(value.map(|value| (name, words::number(value))));
        add("Kuiper", shift.kuiper);
        add("Mann-Whitney, 0.5 is no shift", shift.mann_whitney);
        add("Jensen-Shannon in bits", Some(shift.jensen_shannon));
        add("Hellinger", Some(shift.hellinger));
        add("total variation", Some(shift.total_variation));
        let mean = |moments: Option<MeanAndSd>| moments.and_then(|moments| moments.mean);
        let deviation = |moments: Option<MeanAndSd>| moments.and_then(|moments| moments.sd);
        add("mean of the baseline", mean(shift.reference));
        add("mean of the window", mean(shift.window));
        add("standard deviation of the baseline", deviation(shift.reference));
        add("standard deviation of the window", deviation(shift.window));
    }
    rows
}

/// New categories, or examples of the wrong type.
pub(in crate::page) fn names(finding: &Finding) -> Markup {
    let Some(share) = finding.share.as_ref().filter(|share| !share.names.is_empty()) else {
        return html! {};
    };
    html! {
        table.names {
            caption { @if finding.check == Check::NewCategory { "Categories that the baseline does not know" } @else { "Examples" } @if share.names_truncated { ", not all of them" } }
            thead { tr { th scope="col" { "Text" } th.n scope="col" { "Rows" } } }
            tbody { @for name in share.names.iter().take(NAMES) { tr { td { code { (name.name) } } td.n { (words::count(name.count)) } } } }
        }
    }
}
