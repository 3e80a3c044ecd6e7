//! Reports, panes and looks at the clock as signals: what each says about the classes of a model.

use std::collections::BTreeMap;

use driftline_alerting::mail::{Mover, moved_together};
use driftline_alerting::{Class, ClassSignal, Evidence, Measure, Observation, Opening, Source};
use driftline_analytics::budget::Maximum;
use driftline_analytics::burn::{
    BrokenInput, BurnFinding, BurnWindow, PaneHealth, off_time_of_window,
};
use driftline_analytics::lane::Closed;
use driftline_analytics::pane::PaneRecords;
use driftline_analytics::report::{BudgetSection, Check, Finding, Report};
use driftline_analytics::window::Repeated;
use driftline_config::time::parse_instant_us;
use driftline_config::{Level, Subject};

use crate::counting::closed::ClosedPane;

/// The classes that a drift window judges; latency and errors are judged by panes.
const OF_WINDOWS: [Class; 4] =
    [Class::BrokenInput, Class::Release, Class::InputShift, Class::PredictionShift];

/// What a window's report says about the model's classes, and the times of its rows. `at_us` is when it was
/// due.
pub(crate) fn of_window(
    report: &Report,
    closed: &Closed,
    records: &PaneRecords,
    at_us: i64,
) -> Observation {
    let mut findings: BTreeMap<Class, Vec<&Finding>> =
        OF_WINDOWS.into_iter().map(|class| (class, Vec::new())).collect();
    for finding in report.findings.iter().filter(|finding| finding.judged) {
        // Latency, errors and volume are not among them.
        if let Some(of_class) = class_of(finding).and_then(|class| findings.get_mut(&class)) {
            of_class.push(finding);
        }
    }
    let signals =
        findings.into_iter().map(|(class, findings)| (class, signal(report, class, &findings)));
    let mut classes: BTreeMap<Class, ClassSignal> = signals.collect();
    if let Some(off_time) = off_time_of_window(records) {
        let broken = classes.entry(Class::BrokenInput).or_insert_with(ClassSignal::ok);
        if off_time.level == Level::Alarm {
            broken.level = broken.level.higher(Level::Alarm);
        }
        let off_time = BrokenInput { since_us: closed.start_us, ..off_time };
        broken.subjects.push(of_broken_input(off_time));
    }
    Observation {
        model: report.model.clone(),
        source: Source::Window {
            id: report.window.id.clone(),
            start_us: closed.start_us,
            end_us: closed.end_us,
            complete: report.window.complete,
        },
        at_us,
        classes,
    }
}

/// What a pane says about serving and broken input; `at_us` is when it was due.
pub(crate) fn of_pane(
    burn: &BurnWindow,
    pane: &ClosedPane,
    health: PaneHealth,
    at_us: i64,
) -> Observation {
    let model = &pane.setup.model;
    let span_us = pane.start_us..pane.start_us + model.operations.every_us;
    let rates = burn.judge(model, span_us.end);
    let serving = rates.iter().map(|finding| finding.level).reduce(Level::higher);
    let fast = rates.iter().filter(|finding| finding.level == Level::Alarm);
    let serving = ClassSignal::new(serving.unwrap_or(Level::Ok), fast.map(of_rate).collect());
    let shares = health.shares.into_iter().map(of_broken_input);
    let broken = ClassSignal::new(health.level, shares.collect());
    Observation {
        model: model.name.clone(),
        source: Source::Pane { start_us: span_us.start, end_us: span_us.end },
        at_us,
        classes: [(Class::Serving, serving), (Class::BrokenInput, broken)].into(),
    }
}

/// What a look at the wall clock says about one class of a model; where nothing was found all is well.
pub(crate) fn of_a_look(
    model: &str,
    class: Class,
    found: Vec<Evidence>,
    now_us: i64,
) -> Observation {
    Observation {
        model: model.to_owned(),
        source: Source::Wall,
        at_us: now_us,
        classes: [(class, all_at_alarm(found))].into(),
    }
}

/// Something that only the wall clock shows, with no number that could be over a tolerance.
pub(crate) fn of_the_clock(subject: &str, check: &str, because: String, since_us: i64) -> Evidence {
    Evidence {
        subject: Subject::from(subject),
        check: check.to_owned(),
        level: Level::Alarm,
        value: None,
        bound: None,
        tolerance: None,
        unit: Measure::Microseconds,
        because,
        first_over_us: Some(since_us),
        rows: None,
        returned: false,
    }
}

fn all_at_alarm(subjects: Vec<Evidence>) -> ClassSignal {
    let level = if subjects.is_empty() { Level::Ok } else { Level::Alarm };
    ClassSignal::new(level, subjects)
}

fn of_rate(finding: &BurnFinding) -> Evidence {
    let subject = if finding.check == Check::Latency { "latency" } else { "status" };
    Evidence {
        subject: Subject::from(subject),
        check: finding.check.name().to_owned(),
        level: Level::Alarm,
        value: Some(finding.short.rate),
        bound: Some(finding.short.rate.min(finding.long.rate)),
        tolerance: Some(finding.speed),
        unit: Measure::BurnRate,
        because: finding.because.clone(),
        first_over_us: finding.since_us,
        rows: None,
        returned: false,
    }
}

fn of_broken_input(broken: BrokenInput) -> Evidence {
    let is_alarm = broken.level == Level::Alarm;
    Evidence {
        subject: broken.subject,
        check: broken.check.name().to_owned(),
        level: broken.level,
        value: is_alarm.then_some(broken.value),
        bound: is_alarm.then_some(broken.bound),
        tolerance: Some(broken.tolerance),
        unit: Measure::Share,
        because: broken.because,
        first_over_us: is_alarm.then_some(broken.since_us),
        rows: broken.of.map(|of| of.rows),
        returned: false,
    }
}

fn class_of(finding: &Finding) -> Option<Class> {
    match finding.check {
        // Another unit or sign is nothing to learn.
        Check::Distribution if finding.rescaled.is_some() && !finding.subject.is_prediction() => {
            Some(Class::BrokenInput)
        }
        Check::Distribution if finding.release => Some(Class::Release),
        Check::Distribution if finding.subject.is_prediction() => Some(Class::PredictionShift),
        Check::Distribution => Some(Class::InputShift),
        Check::Missing
        | Check::WrongType
        | Check::NewCategory
        | Check::Absent
        | Check::NewColumn => Some(Class::BrokenInput),
        // How many requests there are says nothing about what is in them.
        Check::Volume | Check::Latency | Check::Errors => None,
    }
}

fn signal(report: &Report, class: Class, findings: &[&Finding]) -> ClassSignal {
    let Some(level) = findings.iter().map(|finding| finding.level).reduce(Level::higher) else {
        return ClassSignal::ok();
    };
    let told = findings.iter().filter(|finding| finding.level != Level::Ok);
    let mut signal = ClassSignal::new(level, told.map(|finding| of_finding(finding)).collect());
    let shifts = !matches!(class, Class::BrokenInput);
    if let Some(Repeated { distinct, share }) = report.repeated.filter(|_| shifts) {
        let percent = (share * 100.0).round();
        signal.promise.push(format!(
            "Repeated rows: {distinct} distinct rows are {percent} % of requests, as where one client sends the same again and again"
        ));
    }
    if let Some(budget) = &report.budget {
        signal.opening = opening(budget, class, findings);
        if findings.iter().any(|finding| finding.rank.is_some()) {
            signal.promise.splice(0..0, promise(report, budget));
        }
    }
    signal
}

/// How a class opens where ranks decide: at once where a maximum pages and its leading column is one of
/// the class. Columns that no rank judges, such as those of a version with its own baseline, are counted.
fn opening(budget: &BudgetSection, class: Class, findings: &[&Finding]) -> Opening {
    // What is broken beyond doubt waits for nothing where the window pages.
    let is_rescaled =
        |finding: &&&Finding| finding.rescaled.is_some() && finding.level == Level::Alarm;
    if class == Class::BrokenInput && budget.pages && findings.iter().any(|it| is_rescaled(&it)) {
        return Opening::AtOnce;
    }
    let broken = class == Class::BrokenInput;
    let mut pages = budget.maxima.iter().filter(|maximum| budget.pages && maximum.pages);
    let leads = pages.any(|maximum| {
        (maximum.of == Maximum::BrokenInput.name()) == broken
            && findings.iter().any(|finding| {
                finding.level == Level::Alarm
                    && maximum.leading.as_ref().is_some_and(|of| finding.subject.is_of(of))
            })
    });
    let mut alarms = findings.iter().filter(|finding| finding.level == Level::Alarm);
    if leads {
        Opening::AtOnce
    } else if alarms.clone().next().is_some() && alarms.all(|finding| finding.rank.is_some()) {
        Opening::ByAnother
    } else {
        Opening::ByCount
    }
}

/// What mail says of the ranks: the promise, and what moved together, first mover first.
fn promise(report: &Report, budget: &BudgetSection) -> Vec<String> {
    let mut said = vec![format!("How extreme: {}", budget.says)];
    let movers: Vec<Mover> = budget
        .moved
        .iter()
        .map(|moved| Mover {
            subject: moved.subject.clone(),
            since_us: moved.since.as_deref().and_then(|text| parse_instant_us(text).ok()),
            at_the_latest: moved.at_the_latest,
        })
        .collect();
    let window = &report.window;
    let end_us = parse_instant_us(&window.end).unwrap_or(i64::MAX);
    said.extend(moved_together(&movers, &window.id, end_us));
    said
}

fn of_finding(finding: &Finding) -> Evidence {
    let effect = finding.effect();
    let of_rank = finding.rank.as_ref().and_then(|rank| rank.since.as_deref());
    let since = of_rank.or(finding.first_over.as_deref());
    Evidence {
        subject: finding.subject.clone(),
        check: finding.check.name().to_owned(),
        level: finding.level,
        value: effect.map(|effect| effect.value),
        bound: effect.map(|effect| effect.bound),
        tolerance: effect.map(|effect| effect.tolerance),
        unit: if finding.share.is_some() || finding.rank.is_some() {
            Measure::Share
        } else {
            Measure::Statistic
        },
        because: finding.because.clone(),
        first_over_us: since.and_then(|text| parse_instant_us(text).ok()),
        rows: None,
        returned: finding.rank.as_ref().is_some_and(|rank| rank.returned),
    }
}
