//! What operations panes say: how fast the objectives are spent, and whether the input is broken.

mod off_time;
mod onset;
mod runs;

use std::collections::BTreeMap;

use driftline_config::time::{HOUR_US, MINUTE_US, format_duration};
use driftline_config::{Level, Model, Subject};
use serde::{Deserialize, Serialize};

use crate::judgement::{ALPHA, sentence, test_share};
use crate::layout::Layout;
use crate::pane::{ColumnHealth, PaneState};
use crate::report::{Check, rounded};
use crate::statistics::benjamini_hochberg;
pub use off_time::off_time_of_window;
use off_time::{OFF_TIME, OFF_TIME_OF, off_time};
pub use runs::BrokenRuns;

/// How far back burn rates reach.
const REACH_US: i64 = 6 * HOUR_US;
/// Panes shorter than this are kept together: six hours are then at most 361 sums.
const GRAIN_US: i64 = MINUTE_US;
/// Requests in the short stretch below which a burn rate says nothing.
const SHORT_REQUESTS: u64 = 50;
/// Share of rejected records in a pane above which the input is broken: RULES §3.
const REJECTED: f64 = 0.05;
/// Records of a pane below which that share says nothing: one bad record of ten is no alarm.
const REJECTED_OF: u64 = 50;

/// The pairs of stretches of RULES §4, each with the speed that both must reach. An allowance meant
/// for 30 days is spent to 2 % in an hour at 14.4 times its speed, to 5 % in six hours at 6 times.
const PAIRS: [(i64, i64, f64); 2] =
    [(5 * MINUTE_US, HOUR_US, 14.4), (30 * MINUTE_US, REACH_US, 6.0)];

/// The requests of the last six hours of event time, pane by pane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BurnWindow {
    /// By start of the pane, or of the minute that shorter panes share.
    sums: BTreeMap<i64, Sums>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    requests: u64,
    /// Requests, each weighted by what it stands for.
    weighted: f64,
    failures: f64,
    /// Requests with a latency.
    timed: u64,
    /// Those above the objective's threshold.
    over: u64,
}

/// How fast one objective is spent over a pair of stretches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BurnFinding {
    /// [`Check::Latency`] or [`Check::Errors`].
    pub check: Check,
    /// `alarm` where both stretches spend it too fast; `not_computable` where the short one has too
    /// few requests, or where even a stretch of failures alone would not be fast enough.
    pub level: Level,
    /// How many times too fast is too fast.
    pub speed: f64,
    /// Share of requests that the objective allows to fail.
    pub allowed: f64,
    pub short: Spent,
    pub long: Spent,
    /// Where it is at alarm, when it began: event time in microseconds.
    pub since_us: Option<i64>,
    /// One sentence, without the full stop.
    pub because: String,
}

/// One stretch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    pub over_us: i64,
    /// Requests in it that the objective is about.
    pub requests: u64,
    /// Share of them that failed or took too long.
    pub share: f64,
    /// How many times too fast the allowance is spent: 1 is just as fast as allowed.
    pub rate: f64,
}

/// What a pane can say of broken input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaneCheck {
    /// Share of missing values of a column.
    Missing,
    /// Share of values of the wrong type of a column.
    WrongType,
    /// Share of records whose envelope could not be read.
    Rejected,
    /// Share of rows that are late or beyond our clock.
    OffTime,
}

/// Rows of the last panes, and those of them whose time was not what it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayShare {
    pub rows: u64,
    pub strays: u64,
}

/// A share of a pane that is at alarm, or of which a pane says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokenInput {
    /// `feature:X`, `prediction:X` (all versions together), or `model` for rejected records.
    pub subject: Subject,
    pub check: PaneCheck,
    /// `not_computable` where so few rows could not have shown it.
    pub level: Level,
    /// The share above the baseline's.
    pub value: f64,
    /// What it is at least, with 99 % confidence.
    pub bound: f64,
    /// What is tolerated above the baseline's share.
    pub tolerance: f64,
    /// One sentence, without the full stop; empty below `alarm`.
    pub because: String,
    /// The rows that it is a share of; none of rows whose time is wrong, which the last panes share.
    pub of: Option<PaneShare>,
    /// Start of the first pane of this run at alarm, event time in microseconds.
    pub since_us: i64,
}

/// What a share is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PaneShare {
    pub count: u64,
    pub rows: u64,
    /// The baseline's share.
    pub reference: f64,
}

/// What a pane says of broken input: RULES §3 and §4.
#[derive(Debug, Clone, PartialEq)]
pub struct PaneHealth {
    /// `alarm` where a share is; `not_computable` where none could have been.
    pub level: Level,
    /// The shares that are at alarm, those of which the pane says nothing, and those in order that were at
    /// alarm in the panes before.
    pub shares: Vec<BrokenInput>,
}

impl BurnWindow {
    /// Adds a closed pane, and forgets what no stretch reaches any more.
    pub fn push(&mut self, pane_start_us: i64, pane: &PaneState) {
        let minute_us = pane_start_us - pane_start_us.rem_euclid(GRAIN_US);
        let shared = self.sums.range(minute_us..=pane_start_us).next_back();
        let key_us = shared.map_or(pane_start_us, |(&start_us, _)| start_us);
        let sums = self.sums.entry(key_us).or_default();
        let requests = pane.requests();
        sums.requests += requests.requests();
        sums.weighted += requests.weighted_requests();
        sums.failures += requests.weighted_failures();
        sums.timed += pane.latency().n();
        sums.over += pane.latency().over();
        if let Some((&latest_us, _)) = self.sums.last_key_value() {
            self.sums = self.sums.split_off(&latest_us.saturating_sub(REACH_US));
        }
    }

    /// How fast the objectives of `model` are spent at `now_us`, the end of the last pane: one
    /// finding per objective and pair of stretches, latency first.
    pub fn judge(&self, model: &Model, now_us: i64) -> Vec<BurnFinding> {
        let latency = model.latency.as_ref().map(|latency| Objective {
            check: Check::Latency,
            allowed: 1.0 - latency.objective,
            what: format!("took longer than {}", format_duration(latency.under_us)),
        });
        let errors = model.errors.as_ref().map(|errors| Objective {
            check: Check::Errors,
            allowed: 1.0 - errors.objective,
            what: "failed".to_owned(),
        });
        let mut findings = Vec::new();
        for objective in latency.into_iter().chain(errors) {
            for (short_us, long_us, speed) in PAIRS {
                // A stretch shorter than a pane could never hold one.
                let spent = |over_us: i64| {
                    self.spent(&objective, now_us, over_us.max(model.operations.every_us))
                };
                let mut finding = objective.finding(speed, spent(short_us), spent(long_us));
                if finding.level == Level::Alarm {
                    finding.since_us = self.onset_us(&objective, now_us, finding.short.share);
                }
                findings.push(finding);
            }
        }
        findings
    }

    fn spent(&self, objective: &Objective, now_us: i64, over_us: i64) -> Spent {
        let mut all = Sums::default();
        for sums in self.sums.range(now_us.saturating_sub(over_us)..now_us).map(|(_, sums)| sums) {
            all.requests += sums.requests;
            all.weighted += sums.weighted;
            all.failures += sums.failures;
            all.timed += sums.timed;
            all.over += sums.over;
        }
        let requests = if objective.check == Check::Latency { all.timed } else { all.requests };
        let BadOf { bad, of } = all.bad_of(objective.check);
        let share = if of > 0.0 { bad / of } else { 0.0 };
        let rate = match share {
            share if share <= 0.0 => 0.0,
            share => share / objective.allowed.max(0.0),
        };
        Spent { over_us, requests, share: rounded(share), rate: rounded(rate) }
    }
}

/// What of a stretch is bad.
struct BadOf {
    bad: f64,
    of: f64,
}

impl Sums {
    fn bad_of(&self, check: Check) -> BadOf {
        match check {
            Check::Latency => BadOf { bad: self.over as f64, of: self.timed as f64 },
            _ => BadOf { bad: self.failures, of: self.weighted },
        }
    }
}

/// One objective as a share that may be spent.
struct Objective {
    check: Check,
    allowed: f64,
    what: String,
}

impl Objective {
    fn finding(&self, speed: f64, short: Spent, long: Spent) -> BurnFinding {
        let reachable = speed * self.allowed < 1.0;
        let level = if short.requests < SHORT_REQUESTS || !reachable {
            Level::NotComputable
        } else if short.rate >= speed && long.rate >= speed {
            Level::Alarm
        } else {
            Level::Ok
        };
        let because = format!(
            "{} % of requests {} in the last {}, and {} % in the last {}; the objective allows {} %",
            sentence::percent(short.share),
            self.what,
            format_duration(short.over_us),
            sentence::percent(long.share),
            format_duration(long.over_us),
            sentence::percent(rounded(self.allowed))
        );
        let allowed = rounded(self.allowed);
        let (check, since_us) = (self.check, None);
        BurnFinding { check, level, speed, allowed, short, long, since_us, because }
    }
}

/// What a pane says of broken input: missing values and values of the wrong type by the exact binomial
/// against the baseline's share and the tolerance, adjusted over the pane's judged columns; more than 5 %
/// rejected records, and more than 1 % rows whose time is wrong, of at least 500 that the last ten panes
/// had (`recent`). What is in order is named where one of `runs` is of it.
pub fn broken_input(
    model: &Model,
    layout: &Layout,
    pane: &PaneState,
    recent: StrayShare,
    runs: &BrokenRuns,
) -> PaneHealth {
    let floor = model.tolerance.floor();
    let mut health = PaneHealth { level: Level::NotComputable, shares: Vec::new() };
    for (check, tolerance) in
        [(PaneCheck::Missing, floor.missing), (PaneCheck::WrongType, floor.wrong_type)]
    {
        let shares = PaneColumns { model, layout, pane, check, tolerance };
        shares.judge(runs, &mut health);
    }
    health.add(rejected(pane.records().rejected, pane.records().read), runs);
    match off_time(pane.records(), recent) {
        Some(strays) => health.push(strays),
        None if recent.rows < OFF_TIME_OF => health.push(BrokenInput {
            tolerance: OFF_TIME,
            ..BrokenInput::unknown("model".into(), PaneCheck::OffTime)
        }),
        None => health.level = health.level.higher(Level::Ok),
    }
    health
}

impl PaneHealth {
    fn push(&mut self, share: BrokenInput) {
        self.level = self.level.higher(share.level);
        self.shares.push(share);
    }

    /// Takes rejected records in, of which a few say nothing.
    fn add(&mut self, rejected: BrokenInput, runs: &BrokenRuns) {
        let (rows, share) = (rejected.of.map_or(0, |of| of.rows), rejected.value);
        let level = match (rows < REJECTED_OF, share > REJECTED) {
            (true, _) => Level::NotComputable,
            (false, true) => Level::Alarm,
            (false, false) => Level::Ok,
        };
        if level != Level::Ok || runs.know(&rejected) {
            self.push(BrokenInput { level, ..rejected });
        } else {
            self.level = self.level.higher(level);
        }
    }
}

impl BrokenInput {
    fn unknown(subject: Subject, check: PaneCheck) -> BrokenInput {
        BrokenInput {
            subject,
            check,
            level: Level::NotComputable,
            value: 0.0,
            bound: 0.0,
            tolerance: 0.0,
            because: String::new(),
            of: None,
            since_us: i64::MAX,
        }
    }

    /// The same of other rows.
    fn over(&self, of: PaneShare) -> BrokenInput {
        if self.check == PaneCheck::Rejected {
            return rejected(of.count, of.rows);
        }
        let PaneShare { count, rows, reference } = of;
        let test = test_share(count, rows, reference + self.tolerance);
        let name = self.subject.column_words().unwrap_or_else(|| self.subject.to_string());
        let what = match self.check {
            PaneCheck::WrongType => format!("have a value of {name} of the wrong type"),
            _ => format!("lack {name}"),
        };
        let (value, bound) = (test.value - reference, test.bound - reference);
        BrokenInput {
            value: rounded(value),
            bound: rounded(bound),
            because: sentence::of_requests(&what, reference, test.value, bound, self.tolerance),
            of: Some(of),
            ..self.clone()
        }
    }
}

/// So many of so many records that could not be read, as a share at alarm.
fn rejected(count: u64, records: u64) -> BrokenInput {
    let test = test_share(count, records, REJECTED);
    BrokenInput {
        level: Level::Alarm,
        value: rounded(test.value),
        bound: rounded(test.bound),
        tolerance: REJECTED,
        because: format!(
            "{} % of records could not be read; tolerance {}",
            sentence::percent(test.value),
            sentence::percent(REJECTED)
        ),
        of: Some(PaneShare { count, rows: records, reference: 0.0 }),
        ..BrokenInput::unknown("model".into(), PaneCheck::Rejected)
    }
}

/// The shares of one kind over the judged columns of a pane.
struct PaneColumns<'a> {
    model: &'a Model,
    layout: &'a Layout,
    pane: &'a PaneState,
    check: PaneCheck,
    tolerance: f64,
}

impl PaneColumns<'_> {
    fn judge(&self, runs: &BrokenRuns, health: &mut PaneHealth) {
        let tests = self.tests();
        let allowed = |of: &PaneShare| of.reference + self.tolerance;
        let tested = |of: &PaneShare| test_share(of.count, of.rows, allowed(of)).p_tolerance;
        let p_values: Vec<f64> = tests.iter().map(|(_, of)| tested(of)).collect();
        let adjusted = benjamini_hochberg(&p_values);
        let columns = tests.len() as f64;
        for ((subject, of), p_adjusted) in tests.into_iter().zip(adjusted) {
            let tolerance = self.tolerance;
            let unknown = BrokenInput { tolerance, ..BrokenInput::unknown(subject, self.check) };
            // What so few rows could not have shown if all of them were bad, they do not refute.
            let least = test_share(of.rows, of.rows, allowed(&of)).p_tolerance * columns;
            if p_adjusted <= ALPHA {
                health.push(BrokenInput { level: Level::Alarm, ..unknown.over(of) });
            } else if of.rows == 0 || least > ALPHA {
                health.push(BrokenInput { of: Some(of), ..unknown });
            } else if runs.know(&unknown) {
                health.push(BrokenInput { level: Level::Ok, of: Some(of), ..unknown });
            } else {
                health.level = health.level.higher(Level::Ok);
            }
        }
    }

    /// The judged columns with what was counted of them: nothing where every row failed.
    fn tests(&self) -> Vec<(Subject, PaneShare)> {
        let default = &self.layout.baselines().default;
        let baselines: BTreeMap<&Subject, &crate::baseline::BaselineColumn> =
            default.columns.iter().map(|column| (column.subject(), column)).collect();
        let mut tests = Vec::new();
        for (index, column) in self.layout.schema().columns.iter().enumerate() {
            let judged = column.is_prediction()
                || self.model.features.get(column.name()).is_none_or(|feature| feature.judge);
            // What the baseline does not know has nothing to be compared with.
            let Some(baseline) = baselines.get(&column.subject).filter(|_| judged) else {
                continue;
            };
            let all = baseline.n() + baseline.missing() + baseline.wrong_type();
            if all == 0 {
                continue;
            }
            // Every row failed: none has values.
            let health = self.pane.columns().get(index).copied().unwrap_or_default();
            let (count, reference) = match self.check {
                PaneCheck::WrongType => (health.wrong_type, baseline.wrong_type()),
                _ => (health.missing, baseline.missing()),
            };
            let reference = reference as f64 / all as f64;
            tests.push((
                column.subject.clone(),
                PaneShare { count, rows: rows(&health), reference },
            ));
        }
        tests
    }
}

impl PaneCheck {
    /// Its name: `wrong_type`.
    pub fn name(self) -> &'static str {
        match self {
            PaneCheck::Missing => "missing",
            PaneCheck::WrongType => "wrong_type",
            PaneCheck::Rejected => "rejected",
            PaneCheck::OffTime => "off_time",
        }
    }
}

fn rows(health: &ColumnHealth) -> u64 {
    health.n + health.missing + health.wrong_type
}

#[cfg(test)]
mod tests;
