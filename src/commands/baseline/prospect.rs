//! What a new baseline will be able to say, as a table and some lines below it.

use driftline_analytics::baseline::{Baseline, BaselineColumn};
use driftline_analytics::budget::ExtremeWindow;
use driftline_analytics::report::{Check, Finding, Report};
use driftline_batch::baseline::NewBaseline;
use driftline_batch::prospect::Prospects;
use driftline_config::time::{format_duration, format_instant};
use driftline_config::{Level, Model, Subject};

use super::super::screen::Screen;
use super::super::text_table::TextTable;

pub(super) fn describe(
    model: &Model,
    new: &NewBaseline,
    prospects: &Prospects,
    screen: Screen,
) -> String {
    let columns = columns(&new.built.baseline, &prospects.by_size, new.timed, screen);
    let own_windows = own_windows(model, prospects, new.timed);
    let Prospects { promise, extremes, trend, .. } = prospects;
    let trend = trend.as_ref().map(|says| format!("{says}\n")).unwrap_or_default();
    let said = format!("{own_windows}{promise}\n{trend}{}", most_extreme(extremes));
    let said: Vec<String> = said.lines().map(|line| screen.wrapped(line, 2)).collect();
    format!("{columns}\n{}\n", said.join("\n"))
}

/// The own windows that differ most: where somebody knows why, `--except` leaves them out.
fn most_extreme(windows: &[ExtremeWindow]) -> String {
    let lines = windows.iter().map(|window| {
        format!(
            "  {}: {} ({}), {:.1} times what is usual\n",
            format_instant(window.start_us),
            window.subject,
            String::from(window.measured).replace('_', " "),
            window.times
        )
    });
    let lines: String = lines.collect();
    if lines.is_empty() {
        return lines;
    }
    format!("most extreme own windows (--except FROM..TO leaves days out):\n{lines}")
}

fn columns(baseline: &Baseline, prospects: &[Report], timed: bool, screen: Screen) -> String {
    let mut table = TextTable::new(&[
        "column",
        "kind",
        ">distinct",
        ">missing",
        ">tolerance",
        ">100 rows",
        ">1000 rows",
        ">10000 rows",
        "tolerance from",
    ]);
    for column in &baseline.columns {
        let found: Vec<Option<&Finding>> =
            prospects.iter().map(|report| distribution(report, column.subject())).collect();
        let known = found.iter().flatten().next();
        let mut row = vec![
            column.subject().to_string(),
            kind(column),
            distinct(column),
            share(column.missing(), column.n() + column.missing() + column.wrong_type()),
            known
                .and_then(|finding| finding.effect())
                .map_or_else(String::new, |effect| format!("{:.3}", effect.tolerance)),
        ];
        row.extend(found.iter().map(|finding| detectable(*finding)));
        row.push(
            known.map_or_else(|| "not judged".to_owned(), |finding| tolerance_from(finding, timed)),
        );
        table.row(row);
    }
    let heading = screen.wrapped(
        "smallest KS (numeric) or PSI (categorical) on which windows of so many rows could alarm:",
        0,
    );
    format!("{heading}\n{}", table.render(screen))
}

/// Findings about predictions name the version too.
fn distribution<'a>(report: &'a Report, subject: &Subject) -> Option<&'a Finding> {
    let mut findings = report.findings.iter();
    findings.find(|finding| finding.check == Check::Distribution && finding.subject.is_of(subject))
}

fn kind(column: &BaselineColumn) -> String {
    match column {
        BaselineColumn::Numeric(numeric) if numeric.discrete => "numeric, discrete".to_owned(),
        BaselineColumn::Numeric(_) => "numeric".to_owned(),
        BaselineColumn::Categorical(_) => "categorical".to_owned(),
    }
}

fn distinct(column: &BaselineColumn) -> String {
    match column {
        BaselineColumn::Numeric(numeric) => numeric.distinct.to_string(),
        BaselineColumn::Categorical(categorical) if categorical.too_many_values => {
            "too many".to_owned()
        }
        BaselineColumn::Categorical(categorical) => {
            (categorical.categories.len() + categorical.other_hashes.len()).to_string()
        }
    }
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn detectable(finding: Option<&Finding>) -> String {
    let value = finding.and_then(|finding| {
        let ks = finding.ks.as_ref().map(|ks| ks.detectable);
        ks.or_else(|| finding.psi.as_ref().and_then(|psi| psi.detectable))
    });
    match value {
        Some(value) if value < 1.0 => format!("{value:.3}"),
        _ => "none".to_owned(),
    }
}

fn tolerance_from(finding: &Finding, timed: bool) -> String {
    let ks = finding.ks.as_ref().map(|ks| ks.tolerance_from.clone());
    let psi = || finding.psi.as_ref().and_then(|psi| psi.tolerance_from.clone());
    let mut text = ks.or_else(psi).unwrap_or_default();
    if timed && text.starts_with("floor: the baseline has no windows") {
        text = "floor: fewer than two windows of its own".to_owned();
    }
    if !finding.judged {
        text = format!("not judged; {text}");
    }
    for note in &finding.notes {
        text = format!("{text}; {note}");
    }
    text
}

fn own_windows(model: &Model, prospects: &Prospects, timed: bool) -> String {
    let Prospects { own_windows: windows, alarmed, .. } = prospects;
    let every = format_duration(model.window.every_us);
    if timed && *windows < 2 {
        return format!(
            "fewer than two windows of its own (of {every}, at least {} rows): tolerances are the floors; rows over a longer time, or shorter windows, let the baseline say how far its columns move by themselves\n",
            model.window.at_least
        );
    }
    if *windows == 0 {
        return format!(
            "no windows of its own (of {every}): tolerances are the floors; --time COLUMN lets the baseline say how far its columns move by themselves\n"
        );
    }
    let mut text = format!(
        "with these settings {} of {windows} own windows of {every} would have alarmed\n",
        alarmed.len()
    );
    for (start_us, report) in alarmed {
        let because: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Alarm)
            .take(3)
            .map(|finding| finding.because.as_str())
            .collect();
        text.push_str(&format!("  {}: {}\n", format_instant(*start_us), because.join("; ")));
    }
    text
}
