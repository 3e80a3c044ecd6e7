//! What the page remembers of a window, a pane, a message: small enough to show a hundred at once.
//!
//! A report has every bin of every column; a heat map over ninety windows needs their levels. So
//! each closed window leaves a [`WindowDigest`] beside its report, in the same transaction.

use std::collections::BTreeMap;
use std::ops::Range;

use driftline_alerting::deliver::Outcome;
use driftline_alerting::dispatch::Receipt;
use driftline_alerting::outbox::{OutboxRow, RowKind};
use driftline_alerting::{Acceptance, Class, Transition};
use driftline_analytics::pane::PaneState;
use driftline_analytics::report::{Check, Finding, Report};
use driftline_config::{Level, Subject, WindowId};
use serde::{Deserialize, Serialize};

use crate::snapshot::{IncidentDocument, Pane};

/// Windows of which a model's overview shows the strongest finding, the last.
pub const SPARKS: usize = 30;

/// The last window of a model, for those who look at all models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastWindow {
    pub id: WindowId,
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    pub rows: u64,
    pub level: Level,
    pub versions: Vec<String>,
    /// The sentence of its strongest finding, where something was found.
    pub because: Option<String>,
    #[serde(default)]
    pub subject: Option<Subject>,
}

/// One window as a point of a sparkline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spark {
    pub start_us: i64,
    pub level: Level,
    /// How many times its tolerance the largest effect is; `None` where nothing was measured.
    pub strength: Option<f64>,
}

/// One operations pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaneFigures {
    pub start_us: i64,
    pub requests: u64,
    /// Those of them that failed: status 400 and above.
    pub errors: u64,
    /// Median and 99 % quantile of their latencies, microseconds; `None` where none had one.
    pub latency_us: Option<(u64, u64)>,
}

/// One window of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowDigest {
    pub id: WindowId,
    /// Inclusive, microseconds.
    pub start_us: i64,
    /// Exclusive, microseconds.
    pub end_us: i64,
    pub rows: u64,
    pub level: Level,
    /// Windows of the declared length that it holds.
    pub parts: u32,
    /// Whether all rows of it can have been read.
    pub complete: bool,
    pub versions: BTreeMap<String, u64>,
    /// What changed about the versions, in a sentence.
    pub release: Option<String>,
    /// Median, 90 % and 99 % quantile of the latencies, microseconds.
    pub latency_us: Option<[u64; 3]>,
    /// Share of requests that failed; `None` without any.
    pub errors: Option<f64>,
    pub cells: Cells,
}

/// The findings of a window, column by column: entry `i` of each list belongs to the same finding.
/// Shares at zero that are ok are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    /// `feature:X`, …
    pub subjects: Vec<Subject>,
    /// One letter per finding: see [`check_letter`].
    pub checks: String,
    /// One letter per finding: `o`, `w`, `a` or `n`.
    pub levels: String,
    /// Effects in the unit of their tolerance.
    pub values: Vec<Option<f64>>,
    pub bounds: Vec<Option<f64>>,
    pub tolerances: Vec<Option<f64>>,
}

/// One finding of [`Cells`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell<'a> {
    pub subject: &'a Subject,
    pub check: Check,
    pub level: Level,
    /// The effect in the unit of its tolerance.
    pub value: Option<f64>,
    pub bound: Option<f64>,
    pub tolerance: Option<f64>,
}

/// Something that happened to an incident, for its page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEntry {
    Step(Box<Transition>),
    Accepted(Acceptance),
    /// The acceptance was taken back, by whom and why.
    TakenBack(Acceptance),
    /// A silence about it was ended before its time, by whom and why.
    SilenceEnded(Acceptance),
}

/// One attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptDigest {
    /// When it ended, wall time in microseconds.
    pub at_us: i64,
    pub receiver: String,
    /// `mail`, the event of a webhook, `alert` or `end of an alert`.
    pub what: String,
    /// The subject of a mail.
    pub title: Option<String>,
    pub model: String,
    pub class: Class,
    pub id: String,
    /// Id of the transition that caused it.
    pub caused_by: String,
    /// `delivered`, `retry`, …
    pub outcome: String,
    pub why: Option<String>,
    pub attempt: u32,
    /// When it is tried again, wall time in microseconds.
    pub next_at_us: Option<i64>,
}

impl LastWindow {
    /// The window of a report.
    pub fn new(report: &Report) -> LastWindow {
        let strongest = strongest(report);
        LastWindow {
            id: report.window.id.clone(),
            start: report.window.start.clone(),
            end: report.window.end.clone(),
            rows: report.window.rows,
            level: report.level,
            versions: report.versions.keys().cloned().collect(),
            because: strongest.map(|finding| finding.because.clone()),
            subject: strongest.map(|finding| finding.subject.clone()),
        }
    }
}

impl Spark {
    /// The window of a report that begins at `start_us`.
    pub fn new(report: &Report, start_us: i64) -> Spark {
        let judged = report.findings.iter().filter(|finding| finding.judged);
        let strengths = judged.filter_map(|finding| {
            let effect = finding.effect()?;
            (effect.tolerance > 0.0).then(|| effect.value / effect.tolerance)
        });
        let strength = strengths.filter(|strength| strength.is_finite()).reduce(f64::max);
        Spark { start_us, level: report.level, strength: strength.map(short) }
    }
}

impl PaneFigures {
    /// What a pane counted.
    pub fn new(start_us: i64, state: &PaneState) -> PaneFigures {
        use driftline_analytics::cells::StatusClass;
        let failures = StatusClass::ALL.into_iter().filter(|class| class.is_failure());
        let latency_us = state
            .latency()
            .histogram()
            .map(|latencies| (latencies.value_at_quantile(0.5), latencies.value_at_quantile(0.99)));
        PaneFigures {
            start_us,
            requests: state.requests().requests(),
            errors: failures.map(|class| state.requests().count(class)).sum(),
            latency_us,
        }
    }
}

impl PaneFigures {
    /// The same as the store keeps it.
    pub fn of(self, model: &str, every_us: i64) -> Pane {
        let PaneFigures { start_us, requests, errors, latency_us } = self;
        Pane { model: model.to_owned(), every_us, start_us, requests, errors, latency_us }
    }
}

impl IncidentEntry {
    /// The same as the store keeps it; `id` tells entries of a moment apart.
    pub fn of(&self, incident: &str, id: &str, wall_us: i64) -> Option<IncidentDocument> {
        let document = serde_json::to_vec(self).ok()?;
        Some(IncidentDocument {
            incident: incident.to_owned(),
            wall_us,
            id: id.to_owned(),
            document,
        })
    }
}

impl WindowDigest {
    /// What is kept of a report on a window of this span.
    pub fn new(report: &Report, span_us: Range<i64>) -> WindowDigest {
        let latency = report.latency.as_ref();
        let requests: u64 = report.status.values().sum();
        let failures = report.status.iter().filter(|(class, _)| class.starts_with(['4', '5']));
        let failures: u64 = failures.map(|(_, count)| count).sum();
        WindowDigest {
            id: report.window.id.clone(),
            start_us: span_us.start,
            end_us: span_us.end,
            rows: report.window.rows,
            level: report.level,
            parts: report.window.parts,
            complete: report.window.complete,
            versions: report.versions.clone(),
            release: report.release.as_ref().map(|release| release.because.clone()),
            latency_us: latency
                .map(|latency| [latency.p50_us, latency.p90_us, latency.p99_us].map(|p| p.value)),
            errors: (requests > 0).then(|| short(failures as f64 / requests as f64)),
            cells: Cells::new(&report.findings),
        }
    }
}

impl Cells {
    fn new(findings: &[Finding]) -> Cells {
        let mut cells = Cells::default();
        for finding in findings {
            let effect = finding.effect();
            let quiet = finding.check != Check::Distribution
                && finding.level == Level::Ok
                && finding.volume.is_none()
                && finding.share.as_ref().is_none_or(|share| share.count == 0);
            if quiet {
                continue;
            }
            cells.subjects.push(finding.subject.clone());
            cells.checks.push(check_letter(finding.check));
            cells.levels.push(level_letter(finding.level));
            let volume = finding.volume.as_ref().map(|volume| volume.value);
            cells.values.push(effect.map(|effect| effect.value).or(volume).map(short));
            cells.bounds.push(effect.map(|effect| short(effect.bound)));
            cells.tolerances.push(effect.map(|effect| short(effect.tolerance)));
        }
        cells
    }

    /// The findings in the order of the report.
    pub fn iter(&self) -> impl Iterator<Item = Cell<'_>> {
        let checks = self.checks.chars().filter_map(check_of);
        let levels = self.levels.chars().map(level_of);
        // A digest that was kept may be damaged: where a list is too short it shows no number.
        let number = |list: &[Option<f64>], index: usize| list.get(index).copied().flatten();
        self.subjects.iter().zip(checks).zip(levels).enumerate().map(
            move |(index, ((subject, check), level))| Cell {
                subject,
                check,
                level,
                value: number(&self.values, index),
                bound: number(&self.bounds, index),
                tolerance: number(&self.tolerances, index),
            },
        )
    }
}

impl ReceiptDigest {
    /// What is kept of an attempt to deliver `row`.
    pub fn new(row: &OutboxRow, receipt: &Receipt) -> ReceiptDigest {
        let (what, title) = match &row.kind {
            RowKind::Mail(mail) => ("mail".to_owned(), Some(mail.subject.clone())),
            RowKind::Webhook { event, .. } => (event.clone(), None),
            RowKind::Alert(alert) if alert.is_standing() => ("alert".to_owned(), None),
            RowKind::Alert(_) => ("end of an alert".to_owned(), None),
            RowKind::Channel { .. } => ("message".to_owned(), None),
        };
        let why = match &receipt.outcome {
            Outcome::Retry { why, .. } | Outcome::Failed { why } | Outcome::Disabled { why } => {
                Some(why.clone())
            }
            Outcome::Delivered | Outcome::Silenced => None,
        };
        ReceiptDigest {
            at_us: receipt.at_us,
            receiver: row.receiver.clone(),
            what,
            title,
            model: row.model.clone(),
            class: row.class,
            id: row.id.clone(),
            caused_by: row.created_by.clone(),
            outcome: receipt.outcome.name().to_owned(),
            why,
            attempt: receipt.attempt,
            next_at_us: receipt.next_at_us,
        }
    }
}

/// The finding that a person should read first: of those at the highest level the one with the
/// largest effect for its tolerance.
pub fn strongest(report: &Report) -> Option<&Finding> {
    let told = |finding: &&Finding| matches!(finding.level, Level::Warn | Level::Alarm);
    report.findings.iter().filter(told).min_by(|left, right| {
        let by_level = left.level.place().cmp(&right.level.place());
        by_level.then_with(|| strength(right).total_cmp(&strength(left)))
    })
}

/// How many times its tolerance a finding surely is; findings without numbers come first.
pub fn strength(finding: &Finding) -> f64 {
    match finding.effect() {
        Some(effect) if effect.tolerance > 0.0 => effect.bound / effect.tolerance,
        _ => f64::MAX,
    }
}

/// The letter of a check in [`Cells`].
pub fn check_letter(check: Check) -> char {
    match check {
        Check::Distribution => 'd',
        Check::Missing => 'm',
        Check::WrongType => 't',
        Check::NewCategory => 'c',
        Check::Absent => 'a',
        Check::NewColumn => 'n',
        Check::Volume => 'v',
        Check::Latency => 'l',
        Check::Errors => 'e',
    }
}

fn check_of(letter: char) -> Option<Check> {
    let all = [
        Check::Distribution,
        Check::Missing,
        Check::WrongType,
        Check::NewCategory,
        Check::Absent,
        Check::NewColumn,
        Check::Volume,
        Check::Latency,
        Check::Errors,
    ];
    all.into_iter().find(|check| check_letter(*check) == letter)
}

fn level_letter(level: Level) -> char {
    match level {
        Level::Ok => 'o',
        Level::Warn => 'w',
        Level::Alarm => 'a',
        Level::NotComputable => 'n',
    }
}

fn level_of(letter: char) -> Level {
    match letter {
        'w' => Level::Warn,
        'a' => Level::Alarm,
        'n' => Level::NotComputable,
        _ => Level::Ok,
    }
}

/// Five significant digits: what a plot can show.
fn short(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use driftline_analytics::report::{Share, Volume};

    use super::*;

    fn share(check: Check, count: u64, level: Level) -> Finding {
        let mut finding = Finding::new("feature:x", check);
        finding.level = level;
        finding.share = Some(Share {
            value: 0.123_456_789,
            bound: 0.1,
            confidence: 0.99,
            tolerance: 0.01,
            tolerance_from: "floor".to_owned(),
            reference: 0.0,
            detectable: None,
            p_tolerance: None,
            p_adjusted: None,
            count,
            names: Vec::new(),
            names_truncated: false,
        });
        finding
    }

    #[test]
    fn cells_keep_what_is_worth_a_place_and_leave_out_zeros() {
        let mut volume = Finding::new("model", Check::Volume);
        volume.volume = Some(Volume { value: 812.0, smallest: None, largest: None, windows: 0 });
        let findings = [
            Finding::new("feature:x", Check::Distribution),
            share(Check::Missing, 0, Level::Ok),
            share(Check::WrongType, 9, Level::Ok),
            share(Check::NewCategory, 9, Level::Alarm),
            Finding::new("feature:gone", Check::Absent),
            volume,
        ];
        let cells = Cells::new(&findings);
        let text = serde_json::to_string(&cells).unwrap();
        let cells: Cells = serde_json::from_str(&text).unwrap();
        let found: Vec<(&str, Check, Level, Option<f64>)> = cells
            .iter()
            .map(|cell| (cell.subject.as_str(), cell.check, cell.level, cell.value))
            .collect();
        let expected = [
            ("feature:x", Check::Distribution, Level::Ok, None),
            ("feature:x", Check::WrongType, Level::Ok, Some(0.12346)),
            ("feature:x", Check::NewCategory, Level::Alarm, Some(0.12346)),
            ("model", Check::Volume, Level::Ok, Some(812.0)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn letters_of_checks_are_read_back() {
        for check in [Check::Distribution, Check::Missing, Check::WrongType, Check::NewCategory]
            .into_iter()
            .chain([Check::Absent, Check::NewColumn, Check::Volume, Check::Latency, Check::Errors])
        {
            assert_eq!(check_of(check_letter(check)), Some(check));
        }
    }
}
