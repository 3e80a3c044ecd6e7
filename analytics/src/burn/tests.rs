//! Burn rates and broken input, pane by pane, as RULES §4 and §3 have them.

use super::*;
use crate::judgement::fixture::{Case, CaseRow};
use crate::pane::PaneRecords;

const OBJECTIVE_MET: usize = 100;

/// One pane of `rows` requests, of which `bad` are too slow and fail.
fn pane(case: &Case, rows: usize, bad: usize) -> PaneState {
    case.pane(rows, |index| CaseRow {
        latency_us: Some(if index < bad { 5000 } else { 1000 }),
        status: Some(if index < bad { 503 } else { 200 }),
        ..CaseRow::usual(index)
    })
}

/// Six hours of panes of a minute, the last of them ending at 0; `bad(minutes before the end)`.
fn hours(rows: usize, bad: impl Fn(i64) -> usize) -> BurnWindow {
    let case = Case::new();
    let mut window = BurnWindow::default();
    for minute in (1..=360).rev() {
        window.push(-minute * MINUTE_US, &pane(&case, rows, bad(minute)));
    }
    window
}

fn level(window: &BurnWindow, check: Check, speed: f64) -> Level {
    let findings = window.judge(&Case::new().model, 0);
    let found = findings.iter().find(|found| found.check == check && found.speed == speed);
    found.unwrap().level
}

/// The model allows 1 % slow and 0.1 % failed requests.
#[test]
fn both_stretches_must_spend_the_objective_too_fast() {
    let calm = hours(OBJECTIVE_MET, |_| 0);
    // Every request fails for the last six minutes: 10 % of the last hour, 100 times too fast.
    let sudden = hours(OBJECTIVE_MET, |minute| if minute <= 6 { OBJECTIVE_MET } else { 0 });
    // All of it was over half an hour ago.
    let over = hours(OBJECTIVE_MET, |minute| if (31..=60).contains(&minute) { 50 } else { 0 });
    // 8 slow of 100 for six hours: 8 times too fast, which is over 6 and under 14.4.
    let slow = hours(OBJECTIVE_MET, |_| 8);
    let table = [
        ("calm", &calm, Check::Errors, 14.4, Level::Ok),
        ("calm", &calm, Check::Errors, 6.0, Level::Ok),
        ("sudden", &sudden, Check::Errors, 14.4, Level::Alarm),
        ("sudden, latency of an hour only 10 times", &sudden, Check::Latency, 14.4, Level::Ok),
        ("over", &over, Check::Errors, 14.4, Level::Ok),
        ("over", &over, Check::Errors, 6.0, Level::Ok),
        ("slow", &slow, Check::Latency, 14.4, Level::Ok),
        ("slow", &slow, Check::Latency, 6.0, Level::Alarm),
    ];
    for (name, window, check, speed, expected) in table {
        assert_eq!(level(window, check, speed), expected, "{name} {check:?} {speed}");
    }
}

#[test]
fn fewer_than_fifty_requests_in_the_short_stretch_say_nothing() {
    // Five panes of 9 are 45, of 10 are 50.
    assert_eq!(level(&hours(9, |_| 9), Check::Errors, 14.4), Level::NotComputable);
    assert_eq!(level(&hours(9, |_| 9), Check::Errors, 6.0), Level::Alarm);
    assert_eq!(level(&hours(10, |_| 10), Check::Errors, 14.4), Level::Alarm);
    assert_eq!(level(&BurnWindow::default(), Check::Errors, 6.0), Level::NotComputable);
}

#[test]
fn a_burn_says_how_fast_and_in_shares() {
    let window = hours(100, |minute| if minute <= 5 { 20 } else { 2 });
    let findings = window.judge(&Case::new().model, 0);
    let errors = findings.iter().find(|found| found.check == Check::Errors).unwrap();
    assert_eq!((errors.short.requests, errors.long.requests), (500, 6000));
    assert_eq!((errors.short.share, errors.short.rate, errors.allowed), (0.2, 200.0, 0.001));
    assert_eq!((errors.long.share, errors.long.rate), (0.035, 35.0));
    assert_eq!(
        errors.because,
        "20 % of requests failed in the last 5m, and 3.5 % in the last 1h; the objective allows 0.1 %"
    );
}

#[test]
fn an_objective_that_cannot_be_overspent_that_fast_is_not_computable() {
    let mut model = Case::new().model;
    model.errors = Some(driftline_config::Errors { objective: 0.9 });
    let findings = hours(100, |_| 100).judge(&model, 0);
    let levels: Vec<Level> = findings
        .iter()
        .filter(|found| found.check == Check::Errors)
        .map(|found| found.level)
        .collect();
    assert_eq!(levels, [Level::NotComputable, Level::Alarm]);
}

#[test]
fn six_hours_are_kept_however_short_the_panes() {
    let case = Case::new();
    let one = pane(&case, 1, 0);
    let mut window = BurnWindow::default();
    for second in 0..10 * 3600 {
        window.push(second * 1_000_000, &one);
    }
    assert!(window.sums.len() <= 361, "{}", window.sums.len());
    let end_us = 10 * HOUR_US;
    let findings = window.judge(&case.model, end_us);
    assert_eq!(findings.last().unwrap().long.requests, 6 * 3600);
    let json = serde_json::to_string(&window).unwrap();
    assert_eq!(serde_json::from_str::<BurnWindow>(&json).unwrap(), window);
}

#[test]
fn panes_longer_than_the_short_stretch_are_its_stretch() {
    let mut case = Case::new();
    case.model.operations.every_us = 10 * MINUTE_US;
    let mut window = BurnWindow::default();
    for start in (1..=36).rev() {
        window.push(-10 * start * MINUTE_US, &pane(&case, 100, 100));
    }
    let findings = window.judge(&case.model, 0);
    assert_eq!(findings[0].short.requests, 100);
    assert!(
        findings
            .iter()
            .filter(|found| found.check == Check::Errors)
            .all(|found| found.level == Level::Alarm)
    );
}

fn said(case: &Case, pane: &PaneState) -> PaneHealth {
    broken_input(&case.model, &case.layout(), pane, StrayShare::default(), &BrokenRuns::default())
}

#[test]
fn a_pane_alarms_for_missing_wrong_type_and_rejected() {
    let case = Case::new();
    let broken = |pane: &PaneState| -> Vec<(Subject, PaneCheck)> {
        let found = said(&case, pane).shares.into_iter().filter(|it| it.level == Level::Alarm);
        found.map(|found| (found.subject, found.check)).collect()
    };
    let delay = || Subject::feature("delay");
    assert_eq!(broken(&case.pane(200, CaseRow::usual)), []);
    assert_eq!(broken(&PaneState::default()), []);
    let lacking = case.pane(200, |index| CaseRow {
        delay: CaseRow::usual(index).delay.filter(|_| index % 10 > 0),
        ..CaseRow::usual(index)
    });
    assert_eq!(broken(&lacking), [(delay(), PaneCheck::Missing)]);
    let texts = case.pane(200, |index| CaseRow {
        wrong_delay: (index % 10 == 0).then_some("12 min"),
        ..CaseRow::usual(index)
    });
    assert_eq!(broken(&texts), [(delay(), PaneCheck::WrongType)]);
    // Just 5 % are not more than 5 %.
    for (rejected, expected) in [(10, 0), (11, 1)] {
        let mut pane = case.pane(190, CaseRow::usual);
        pane.add_records(&PaneRecords { read: 190 + rejected, rejected, ..PaneRecords::default() });
        assert_eq!(broken(&pane).len(), expected, "{rejected}");
    }
    assert_eq!(
        said(&case, &lacking).shares[0].because,
        "10 % of requests lack delay, in the baseline 0 %: 10 points more, at least 5 with 99 % confidence; tolerance 1"
    );
}

#[test]
fn columns_that_are_not_judged_break_no_pane() {
    let unjudged = driftline_config::Feature { judge: false, ..Default::default() };
    let case = Case::new().feature("delay", unjudged);
    let gone = case.pane(200, |index| CaseRow { delay: None, ..CaseRow::usual(index) });
    assert!(said(&case, &gone).shares.iter().all(|share| share.level != Level::Alarm));
}

/// Of 40 % that lacked a column the mail said 56 %: what the worst of its small panes had.
#[test]
fn the_share_is_that_of_all_panes_and_not_of_the_worst() {
    let case = Case::new();
    let mut runs = BrokenRuns::default();
    let mut last = Vec::new();
    for (minute, lacking) in (0..5).zip([14, 9, 8, 10, 9]) {
        let pane = case.pane(25, |index| CaseRow {
            delay: CaseRow::usual(index).delay.filter(|_| index >= lacking),
            ..CaseRow::usual(index)
        });
        let (layout, recent) = (case.layout(), StrayShare::default());
        let health = broken_input(&case.model, &layout, &pane, recent, &runs);
        last = runs.take(minute * MINUTE_US, health).shares;
    }
    let missing = last.iter().find(|share| share.check == PaneCheck::Missing).unwrap();
    assert!(missing.because.starts_with("40 % of requests lack delay"), "{}", missing.because);
    assert_eq!((missing.value, missing.since_us), (0.4, 0));
}

/// While every label was missing, ten panes of one request each resolved it.
#[test]
fn panes_too_small_to_show_it_do_not_say_that_it_is_over() {
    let case = Case::new();
    let mut runs = BrokenRuns::default();
    let mut said = |minute: i64, rows: usize, lacking: usize| {
        let pane = case.pane(rows, |index| CaseRow {
            delay: CaseRow::usual(index).delay.filter(|_| index >= lacking),
            ..CaseRow::usual(index)
        });
        let (layout, recent) = (case.layout(), StrayShare::default());
        let health = broken_input(&case.model, &layout, &pane, recent, &runs);
        let health = runs.take(minute * MINUTE_US, health);
        let mut of_delay =
            health.shares.into_iter().filter(|share| share.check == PaneCheck::Missing);
        of_delay.find(|share| share.subject == "feature:delay").map(|share| share.level)
    };
    // A tenth lacks it; then come panes of eight, each of which might be clean by chance.
    assert_eq!(said(0, 200, 20), Some(Level::Alarm));
    assert_eq!(said(1, 1, 1), Some(Level::NotComputable));
    assert_eq!(said(2, 0, 0), Some(Level::NotComputable));
    let calm: Vec<bool> = (3..20).map(|minute| said(minute, 8, 0).is_none()).collect();
    let since = calm.iter().position(|calm| *calm).unwrap();
    assert!((8..12).contains(&since), "{since}");
    assert!(calm[since..].iter().all(|calm| *calm));
}

/// A mail at five past nine said "since 09:04": the errors had begun at half past eight.
#[test]
fn serving_is_bad_since_the_errors_began_and_not_since_they_were_certain() {
    let window = hours(100, |minute| if minute <= 35 { 5 } else { usize::from(minute % 20 == 0) });
    let findings = window.judge(&Case::new().model, 0);
    let errors = findings.iter().filter(|found| found.check == Check::Errors);
    let since: Vec<Option<i64>> = errors.map(|found| found.since_us).collect();
    assert_eq!(since, [Some(-35 * MINUTE_US), None], "six hours together are not yet certain");
    assert!(hours(100, |_| 0).judge(&Case::new().model, 0).iter().all(|it| it.since_us.is_none()));
}
