//! The judgement of one window: what was counted against the baseline, by RULES §4.
//!
//! ```text
//! columns ─► scope (how many are judged together?) ─► drafts: effect, bound, p_tolerance, sentence
//!         ─► adjust (Benjamini-Hochberg per check) ─► levels ─► report and next history
//! ```
//!
//! Pure: the same input gives the same report and the same history, byte for byte.

mod adjust;
mod column;
mod distribution;
mod hints;
mod history;
mod operations;
mod ranked;
mod release;
pub(crate) mod sentence;
mod share;
mod spread;
mod tolerance;

use std::collections::BTreeSet;

use driftline_config::time::format_instant;
use driftline_config::{Level, Model, Subject};

use crate::budget::{Budget, Number, ScaleHistory};
use crate::cells::StatusClass;
use crate::layout::{Baselines, Layout};
use crate::report::{FORMAT, Finding, NotComputable, RULES, Report, Window, WindowMeta, rounded};
use crate::window::WindowState;

use ranked::Ranked;

pub use history::{AcceptedEffect, History};
pub use share::{ShareTest, test_share};
pub use spread::shapes;
pub use tolerance::VARIES_TOO_MUCH;

/// α of RULES §4: the share of windows with a false alarm that is accepted.
pub const ALPHA: f64 = 0.01;
/// Confidence of all lower bounds.
pub const CONFIDENCE: f64 = 0.99;

/// Everything that a report depends on.
#[derive(Debug, Clone)]
pub struct JudgeInput<'a> {
    /// The settings in force when the window opened.
    pub model: &'a Model,
    pub config_sha256: &'a str,
    pub layout: &'a Layout,
    pub baselines: &'a Baselines,
    pub state: &'a WindowState,
    pub window: WindowMeta,
    pub history: &'a History,
}

/// A window judged by ranks of its baseline's own windows.
#[derive(Debug, Clone)]
pub struct JudgedByRanks {
    pub report: Report,
    pub history: History,
    /// The newest windows, this one included where it is complete.
    pub newest: ScaleHistory,
}

/// Judges one window by tolerances. Returns its report, and what the next judgement of the model has
/// to know.
pub fn judge(input: &JudgeInput<'_>) -> (Report, History) {
    report(input, None)
}

/// Judges one window by the ranks that `budget` deals, and by tolerances what it deals none for.
/// `newest` are the complete windows before it; those of another baseline do not count.
pub fn judge_by_ranks(
    input: &JudgeInput<'_>,
    budget: &Budget,
    newest: &ScaleHistory,
) -> JudgedByRanks {
    let window = budget.grid().coarse(input.layout, input.state);
    let mut newest = newest.under(&input.baselines.default.sha256);
    let complete = input.window.incomplete.is_empty();
    if complete {
        newest.push(input.window.start_us, &window);
    }
    let accepted = |number: &Number| ranked::is_accepted(input, number);
    let standing = budget.standing(&window, &newest, complete, &accepted);
    let ranked = Ranked { budget, standing: &standing, newest: &newest };
    let (report, history) = report(input, Some(&ranked));
    JudgedByRanks { report, history, newest }
}

fn report(input: &JudgeInput<'_>, ranked: Option<&Ranked<'_>>) -> (Report, History) {
    let versions = release::versions(input.state);
    let release = release::detect(&versions, input.history);
    let columns = column::columns(input);
    let scope = column::Scope::of(input, &columns);
    let mut drafts: Vec<adjust::Draft> =
        columns.iter().flat_map(|column| column::drafts(input, &scope, column)).collect();
    drafts.extend(operations::new_columns(input));
    drafts.push(operations::volume(input));
    drafts.extend(operations::latency(input));
    drafts.extend(operations::errors(input));

    let mut findings = adjust::levels(drafts);
    let budget = ranked.map(|ranked| ranked.apply(input, &columns, &mut findings));
    hints::add(&mut findings);
    for finding in &mut findings {
        finding.release = release.is_some() && finding.subject.is_prediction();
    }
    let history = input.history.after(input, &versions, &mut findings);
    let mut report = Report {
        driftline: FORMAT,
        model: input.model.name.clone(),
        versions,
        window: window(input),
        level: level(&findings),
        release,
        changed: input.history.changed.clone(),
        latency: operations::percentiles(input),
        status: status(input),
        baseline_sha256: input.baselines.default.sha256.clone(),
        config_sha256: input.config_sha256.to_owned(),
        rules: RULES,
        baselines: input
            .baselines
            .by_version
            .iter()
            .map(|(version, baseline)| (version.clone(), baseline.sha256.clone()))
            .collect(),
        requests_weighted: weighted(input),
        names_truncated: names_truncated(input),
        budget,
        repeated: input.state.repeated(),
        not_computable: not_computable(&findings),
        findings,
    };
    report.sort();
    (report, history)
}

/// How many judged columns could not be judged, and how many rows more would have been enough.
fn not_computable(findings: &[Finding]) -> Option<NotComputable> {
    let judged = findings.iter().filter(|finding| finding.judged);
    let without: Vec<&Finding> =
        judged.filter(|finding| finding.level == Level::NotComputable).collect();
    let columns: BTreeSet<&Subject> = without.iter().map(|finding| &finding.subject).collect();
    let missing = |finding: &&Finding| Some(finding.needed?.saturating_sub(finding.n));
    let rows_missing: Option<Vec<u64>> = without.iter().map(missing).collect();
    (!columns.is_empty()).then(|| NotComputable {
        columns: columns.len() as u64,
        rows_missing: rows_missing.and_then(|rows| rows.into_iter().max()),
    })
}

/// The highest level of what is judged; what could not be judged is not well.
fn level(findings: &[Finding]) -> Level {
    let judged = findings.iter().filter(|finding| finding.judged).map(|finding| finding.level);
    let highest = judged.clone().reduce(Level::higher).unwrap_or(Level::Ok);
    let mut levels = judged.into_iter();
    match highest {
        Level::Ok if levels.any(|level| level == Level::NotComputable) => Level::NotComputable,
        highest => highest,
    }
}

fn window(input: &JudgeInput<'_>) -> Window {
    let meta = &input.window;
    Window {
        id: meta.id.clone(),
        start: format_instant(meta.start_us),
        end: format_instant(meta.end_us),
        timezone: meta.timezone.clone(),
        rows: input.state.rows(),
        parts: meta.parts,
        complete: meta.incomplete.is_empty(),
        previous: meta.previous.clone(),
        ledger: meta.ledger,
        cuts: meta.cuts.clone(),
        ahead: meta.ahead.clone(),
        ahead_forgotten: meta.ahead_forgotten,
        pairs: meta.pairs,
        incomplete: meta.incomplete.clone(),
    }
}

fn status(input: &JudgeInput<'_>) -> std::collections::BTreeMap<String, u64> {
    let requests = input.state.requests();
    let counts = StatusClass::ALL.into_iter().map(|class| (class, requests.count(class)));
    counts
        .filter(|&(_, count)| count > 0)
        .map(|(class, count)| (class.name().to_owned(), count))
        .collect()
}

fn weighted(input: &JudgeInput<'_>) -> Option<f64> {
    let weighted = input.state.requests().weighted_requests();
    (weighted != input.state.rows() as f64).then(|| rounded(weighted))
}

fn names_truncated(input: &JudgeInput<'_>) -> Vec<String> {
    let kinds = [
        ("new_column", input.state.unknown_columns().truncated()),
        ("version", input.state.other_versions().is_some()),
    ];
    kinds.into_iter().filter(|&(_, more)| more).map(|(kind, _)| kind.to_owned()).collect()
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
