//! Between the crates that do not know one another: reports become signals, closes become reports.

use std::collections::BTreeMap;

use driftline_alerting::mail::Unmoved;
use driftline_alerting::{
    Class, ClassSignal, Level, ModelAlerts, Observation, Source, State, Subject, Unit,
};
use driftline_analytics::burn::{
    BrokenInput, BurnFinding, BurnWindow, PaneCheck, broken_input as broken_input_of,
};
use driftline_analytics::lane::Closed;
use driftline_analytics::pane::PaneState;
use driftline_analytics::report::{self, Check, Finding, Report};
use driftline_config::time::{format_duration, format_instant, parse_instant_us};

use crate::pipeline::ledger::Counts;
use crate::setup::Setup;

/// The classes that a drift window judges; latency and errors are judged by panes.
const OF_WINDOWS: [Class; 4] =
    [Class::BrokenInput, Class::Release, Class::InputShift, Class::PredictionShift];

/// What the judge is told about a window, beside what it counted.
pub fn window_meta(
    closed: &Closed,
    setup: &Setup,
    topic: &str,
    ledger: &BTreeMap<i32, Counts>,
    previous: Option<String>,
) -> report::WindowMeta {
    let mut total = Counts::default();
    for counts in ledger.values() {
        total += *counts;
    }
    report::WindowMeta {
        id: window_id(&setup.model.name, closed.start_us, setup.model.window.every_us),
        start_us: closed.start_us,
        end_us: closed.end_us,
        parts: closed.parts,
        incomplete: closed.incomplete.clone(),
        previous,
        ledger: report::Ledger {
            read: total.read,
            counted: total.counted,
            late: total.late,
            rejected: total.rejected,
            skipped: total.skipped,
            control: total.control,
        },
        cuts: [(topic.to_owned(), closed.cuts.clone())].into(),
    }
}

/// `flight-delay@20261109T000000Z.1d`
pub fn window_id(model: &str, start_us: i64, every_us: i64) -> String {
    let start: String =
        format_instant(start_us).chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
    format!("{model}@{start}.{}", format_duration(every_us))
}

/// The model and the start that a window id names.
pub fn parse_window_id(id: &str) -> Option<(String, i64)> {
    let (model, rest) = id.rsplit_once('@')?;
    let start = rest.split_once('Z').map(|(start, _)| start)?;
    let digits = |range: std::ops::Range<usize>| start.get(range);
    let instant = format!(
        "{}-{}-{}T{}:{}:{}Z",
        digits(0..4)?,
        digits(4..6)?,
        digits(6..8)?,
        digits(9..11)?,
        digits(11..13)?,
        start.get(13..)?,
    );
    parse_instant_us(&instant).ok().map(|start_us| (model.to_owned(), start_us))
}

/// What a window's report says about the model's classes. `at_us` is when it was due.
pub fn window(report: &Report, closed: &Closed, at_us: i64) -> Observation {
    let mut findings: BTreeMap<Class, Vec<&Finding>> =
        OF_WINDOWS.into_iter().map(|class| (class, Vec::new())).collect();
    for finding in report.findings.iter().filter(|finding| finding.judged) {
        if let Some(of_class) = class_of(finding).and_then(|class| findings.get_mut(&class)) {
            of_class.push(finding);
        }
    }
    let signals = findings.into_iter().map(|(class, findings)| (class, signal(&findings)));
    Observation {
        model: report.model.clone(),
        source: Source::Window {
            id: report.window.id.clone(),
            start_us: closed.start_us,
            end_us: closed.end_us,
            complete: report.window.complete,
        },
        at_us,
        classes: signals.collect(),
    }
}

/// What a pane says about serving and broken input. `at_us` is when it was due.
pub fn pane(
    burn: &BurnWindow,
    setup: &Setup,
    state: &PaneState,
    (start_us, end_us): (i64, i64),
    at_us: i64,
) -> Observation {
    let rates = burn.judge(&setup.model, end_us);
    let serving = rates.iter().map(|finding| finding.level).reduce(report::Level::higher);
    let fast = rates.iter().filter(|finding| finding.level == report::Level::Alarm);
    let serving = ClassSignal {
        level: serving.map_or(Level::Ok, level_of),
        subjects: fast.map(rate_subject).collect(),
    };
    let broken: Vec<Subject> = broken_input_of(&setup.model, &setup.layout, state)
        .into_iter()
        .map(|broken| broken_subject(broken, start_us))
        .collect();
    let level = if broken.is_empty() { Level::Ok } else { Level::Alarm };
    let broken = ClassSignal { level, subjects: broken };
    Observation {
        model: setup.model.name.clone(),
        source: Source::Pane { start_us, end_us },
        at_us,
        classes: [(Class::Serving, serving), (Class::BrokenInput, broken)].into(),
    }
}

fn rate_subject(finding: &BurnFinding) -> Subject {
    let subject = if finding.check == Check::Latency { "latency" } else { "status" };
    Subject {
        subject: subject.to_owned(),
        check: finding.check.name().to_owned(),
        level: Level::Alarm,
        value: Some(finding.short.rate),
        bound: Some(finding.short.rate.min(finding.long.rate)),
        tolerance: Some(finding.speed),
        unit: Unit::BurnRate,
        because: finding.because.clone(),
        first_over_us: None,
    }
}

fn broken_subject(broken: BrokenInput, start_us: i64) -> Subject {
    let check = match broken.check {
        PaneCheck::Missing => "missing",
        PaneCheck::WrongType => "wrong_type",
        PaneCheck::Rejected => "rejected",
    };
    Subject {
        subject: broken.subject,
        check: check.to_owned(),
        level: Level::Alarm,
        value: Some(broken.value),
        bound: Some(broken.bound),
        tolerance: Some(broken.tolerance),
        unit: Unit::Share,
        because: broken.because,
        first_over_us: Some(start_us),
    }
}

/// What a look at the wall clock says about one class of a model; without a subject all is well.
pub fn wall(model: &str, class: Class, subjects: Vec<Subject>, now_us: i64) -> Observation {
    let level = if subjects.is_empty() { Level::Ok } else { Level::Alarm };
    Observation {
        model: model.to_owned(),
        source: Source::Wall,
        at_us: now_us,
        classes: [(class, ClassSignal { level, subjects })].into(),
    }
}

/// Something that only the wall clock shows, with no number that could be over a tolerance.
pub fn wall_subject(subject: &str, check: &str, because: String, since_us: i64) -> Subject {
    Subject {
        subject: subject.to_owned(),
        check: check.to_owned(),
        level: Level::Alarm,
        value: None,
        bound: None,
        tolerance: None,
        unit: Unit::Microseconds,
        because,
        first_over_us: Some(since_us),
    }
}

/// Whether a window's rows are nothing to train on: broken input or failing requests at alarm.
pub fn is_broken(report: &Report) -> bool {
    let broken = |finding: &&Finding| {
        finding.judged
            && finding.level == report::Level::Alarm
            && matches!(
                finding.check,
                Check::Missing
                    | Check::WrongType
                    | Check::Absent
                    | Check::NewCategory
                    | Check::Volume
                    | Check::Errors
            )
    };
    report.findings.iter().any(|finding| broken(&finding))
}

/// The broken input that holds retraining back, as a sentence, where it is at alarm.
pub fn broken_input(alerts: &ModelAlerts) -> Option<String> {
    if alerts.state(Class::BrokenInput) == State::Ok {
        return None;
    }
    let incident = alerts.incidents().find(|incident| incident.class == Class::BrokenInput);
    let first = incident.and_then(|incident| incident.last.subjects.first());
    let what = first.map_or_else(
        || "under observation".to_owned(),
        |subject| format!("{} of {}", subject.check.replace('_', " "), subject.subject),
    );
    Some(format!("the input of these windows is broken ({what})"))
}

/// The versions that answered in a window; `None` where some row had none or too many had to be named.
pub fn versions(report: &Report) -> Option<Vec<String>> {
    let named: u64 = report.versions.values().sum();
    let whole =
        named == report.window.rows && !report.names_truncated.iter().any(|kind| kind == "version");
    let special = ["other", "none"].iter().any(|name| report.versions.contains_key(*name));
    (whole && !special).then(|| report.versions.keys().cloned().collect())
}

/// The quantities that a mail lists as not moved, with what they are compared with: only what was
/// compared and found in order. What is shown without a level must keep its objective.
pub fn unmoved(report: &Report) -> Vec<Unmoved> {
    let mut unmoved = Vec::new();
    let mut add = |name: &str, value: String, reference: String| {
        unmoved.push(Unmoved { name: name.to_owned(), value, reference });
    };
    for finding in report.findings.iter().filter(|finding| finding.level == report::Level::Ok) {
        let kept = finding.share.as_ref().filter(|share| share.value <= share.reference);
        match (finding.check, kept, &finding.volume, &report.latency) {
            (Check::Errors, Some(share), _, _) => {
                add("errors", percent(share.value), percent(share.reference));
            }
            (Check::Latency, Some(share), _, Some(latency)) => {
                let over = format!("{} over the objective", percent(share.value));
                add("p99", milliseconds(latency.p99_us.value), over);
            }
            (Check::Volume, _, Some(volume), _) if finding.judged => {
                if let (Some(smallest), Some(largest)) = (volume.smallest, volume.largest) {
                    let range = format!("{smallest} to {largest} requests");
                    add("volume", format!("{:.0} requests", volume.value), range);
                }
            }
            _ => {}
        }
    }
    if let Some((value, reference)) = calm_share(report, Check::Missing) {
        add("missing", format!("at most {}", percent(value)), percent(reference));
    }
    if report.release.is_none() {
        let versions: Vec<&str> = report.versions.keys().map(String::as_str).collect();
        add("versions", versions.join(", "), "as before".to_owned());
    }
    let prediction = |finding: &&Finding| {
        finding.subject.starts_with("prediction:")
            && finding.check == Check::Distribution
            && finding.judged
            && finding.level == report::Level::Ok
    };
    for finding in report.findings.iter().filter(prediction).take(2) {
        if let Some((value, _, tolerance)) = numbers(finding) {
            add(&finding.subject, format!("{value:.3}"), format!("tolerance {tolerance:.3}"));
        }
    }
    unmoved
}

/// Whether something that a window found in order is what this subject of an incident is about.
pub fn is_about(subject: &Subject, unmoved: &Unmoved) -> bool {
    match unmoved.name.as_str() {
        "p99" => subject.check == Check::Latency.name(),
        name if name.starts_with("prediction:") => subject.subject == name,
        name => subject.check == name,
    }
}

/// The largest share of a check and what it is compared with, where all of its findings are in order.
fn calm_share(report: &Report, check: Check) -> Option<(f64, f64)> {
    let judged = report.findings.iter().filter(|finding| finding.judged && finding.check == check);
    let calm = judged.clone().all(|finding| finding.level == report::Level::Ok);
    let shares = judged.filter(|_| calm).filter_map(|finding| finding.share.as_ref());
    shares.map(|share| (share.value, share.reference)).max_by(|a, b| a.0.total_cmp(&b.0))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn milliseconds(latency_us: u64) -> String {
    format!("{:.1} ms", latency_us as f64 / 1000.0)
}

fn class_of(finding: &Finding) -> Option<Class> {
    match finding.check {
        Check::Distribution if finding.release => Some(Class::Release),
        Check::Distribution if finding.subject.starts_with("prediction:") => {
            Some(Class::PredictionShift)
        }
        Check::Distribution => Some(Class::InputShift),
        Check::Missing
        | Check::WrongType
        | Check::NewCategory
        | Check::Absent
        | Check::NewColumn
        | Check::Volume => Some(Class::BrokenInput),
        Check::Latency | Check::Errors => None,
    }
}

fn signal(findings: &[&Finding]) -> ClassSignal {
    let Some(level) = findings.iter().map(|finding| finding.level).reduce(report::Level::higher)
    else {
        return ClassSignal::ok();
    };
    let told = findings.iter().filter(|finding| finding.level != report::Level::Ok);
    ClassSignal { level: level_of(level), subjects: told.map(|finding| subject(finding)).collect() }
}

fn level_of(level: report::Level) -> Level {
    match level {
        report::Level::Ok => Level::Ok,
        report::Level::Warn => Level::Warn,
        report::Level::Alarm => Level::Alarm,
        report::Level::NotComputable => Level::NotComputable,
    }
}

fn subject(finding: &Finding) -> Subject {
    let numbers = numbers(finding);
    Subject {
        subject: finding.subject.clone(),
        check: finding.check.name().to_owned(),
        level: level_of(finding.level),
        value: numbers.map(|(value, _, _)| value),
        bound: numbers.map(|(_, bound, _)| bound),
        tolerance: numbers.map(|(_, _, tolerance)| tolerance),
        unit: if finding.share.is_some() { Unit::Share } else { Unit::Statistic },
        because: finding.because.clone(),
        first_over_us: finding.first_over.as_deref().and_then(|text| parse_instant_us(text).ok()),
    }
}

/// Value, bound and tolerance of the statistic that decides. Shares count from the baseline's.
pub fn numbers(finding: &Finding) -> Option<(f64, f64, f64)> {
    let ks = finding.ks.as_ref().map(|ks| (ks.value, ks.bound, ks.tolerance));
    let psi = || {
        let psi = finding.psi.as_ref()?;
        Some((psi.debiased, psi.bound, psi.tolerance?))
    };
    let share = || {
        let share = finding.share.as_ref()?;
        Some((share.value - share.reference, share.bound - share.reference, share.tolerance))
    };
    ks.or_else(psi).or_else(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_config::time::{DAY_US, SECOND_US};
    use serde_json::json;

    #[test]
    fn window_ids_name_their_model_and_start() {
        let table = [
            ("flight-delay", "2026-11-09T00:00:00Z", DAY_US, "flight-delay@20261109T000000Z.1d"),
            ("a@b.c", "2026-11-09T01:02:03Z", SECOND_US, "a@b.c@20261109T010203Z.1s"),
        ];
        for (model, start, every_us, id) in table {
            let start_us = parse_instant_us(start).unwrap();
            assert_eq!(window_id(model, start_us, every_us), id);
            assert_eq!(parse_window_id(id), Some((model.to_owned(), start_us)), "{id}");
        }
        for id in ["", "flight-delay", "flight-delay@2026Z", "x@yesterdayZ.1d", "x@äöüäöüäöüZ.1d"]
        {
            assert_eq!(parse_window_id(id), None, "{id}");
        }
    }

    /// A report with one finding of each kind that mails may list: errors, over the objective, missing,
    /// volume and a prediction.
    fn report(errors: f64, over: f64, levels: [&str; 3]) -> Report {
        let share = |value: f64, reference: f64| {
            json!({
                "value": value, "bound": 0.0, "confidence": 0.99, "tolerance": 0.01,
                "tolerance_from": "floor", "reference": reference, "detectable": null,
                "p_tolerance": null, "p_adjusted": null, "count": 2,
            })
        };
        let finding = |subject: &str, check: &str, level: &str| {
            json!({
                "subject": subject, "check": check, "n": 100, "m": 1000, "level": level,
                "because": "so it is", "first_over": null,
            })
        };
        let mut status = finding("status", "errors", "ok");
        status["share"] = share(errors, 0.01);
        let mut latency = finding("latency", "latency", "ok");
        latency["share"] = share(over, 0.01);
        let mut missing = finding("feature:x", "missing", levels[0]);
        missing["share"] = share(0.02, 0.01);
        let mut volume = finding("model", "volume", levels[1]);
        volume["volume"] = json!({"value": 100.0, "smallest": 90, "largest": 110, "windows": 9});
        let mut score = finding("prediction:score@3", "distribution", levels[2]);
        score["share"] = share(0.02, 0.01);
        let percentile = json!({"value": 900, "low": 800, "high": 1000});
        let report = json!({
            "driftline": 1, "model": "m", "versions": {"3": 100},
            "window": {
                "id": "m@20261109T000000Z.1d", "start": "2026-11-09T00:00:00Z",
                "end": "2026-11-10T00:00:00Z", "rows": 100, "parts": 1, "complete": true,
                "previous": null, "cuts": {},
                "ledger": {"read": 100, "counted": 100, "late": 0, "rejected": 0},
            },
            "level": "ok", "release": null, "changed": [],
            "findings": [status, latency, missing, volume, score],
            "latency": {
                "n": 100, "p50_us": percentile, "p90_us": percentile, "p99_us": percentile,
                "max_us": 1000, "over_objective": over,
            },
            "status": {"2xx": 100}, "baseline_sha256": "b", "config_sha256": "c", "rules": 1,
        });
        Report::from_json(&report.to_string()).unwrap()
    }

    /// Errors, volume and p99 were always listed, and predictions and missing values at `warn`.
    #[test]
    fn only_what_is_in_order_is_listed_as_not_moved() {
        let all = ["errors", "p99", "volume", "missing", "versions", "prediction:score@3"];
        let table = [
            ((0.0, 0.0, ["ok"; 3]), &all[..]),
            ((0.2, 0.0, ["ok"; 3]), &all[1..]),
            (
                (0.0, 0.2, ["ok"; 3]),
                &["errors", "volume", "missing", "versions", "prediction:score@3"],
            ),
            ((0.0, 0.0, ["warn"; 3]), &["errors", "p99", "versions"]),
            ((0.0, 0.0, ["not_computable"; 3]), &["errors", "p99", "versions"]),
        ];
        for ((errors, over, levels), expected) in table {
            let unmoved = unmoved(&report(errors, over, levels));
            let names: Vec<&str> = unmoved.iter().map(|unmoved| unmoved.name.as_str()).collect();
            assert_eq!(names, expected, "{errors} {over} {levels:?}");
        }
    }
}
