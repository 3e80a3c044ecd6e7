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
mod history;
mod operations;
mod release;
pub(crate) mod sentence;
mod share;
mod spread;
mod tolerance;

use driftline_config::time::format_instant;
use driftline_config::{Level, Model};

use crate::cells::StatusClass;
use crate::layout::{Baselines, Layout};
use crate::report::{FORMAT, Finding, RULES, Report, Window, WindowMeta, rounded};
use crate::window::WindowState;

pub use history::History;
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

/// Judges one window. Returns its report, and what the next judgement of the model has to know.
pub fn judge(input: &JudgeInput<'_>) -> (Report, History) {
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
        findings,
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
    };
    report.sort();
    (report, history)
}

fn level(findings: &[Finding]) -> Level {
    let judged = findings.iter().filter(|finding| finding.judged).map(|finding| finding.level);
    judged.reduce(Level::higher).unwrap_or(Level::Ok)
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
