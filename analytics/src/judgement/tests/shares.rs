//! Shares of rows, columns that come and go, volume.

use driftline_config::time::parse_instant_us;
use driftline_config::{Feature, Level, TimeZone};

use super::fixture::finding;
use super::{Case, CaseRow};
use crate::report::{Check, NameCount};

const DELAY: &str = "feature:delay";
const CARRIER: &str = "feature:carrier";

#[test]
fn missing_is_tested_by_the_exact_binomial() {
    // 30 of 1000 against at most 1 %: scipy.stats.binom.sf(29, 1000, .01), beta.ppf(.01, 30, 971).
    let report = Case::new().judge(1000, |index| CaseRow {
        delay: CaseRow::usual(index).delay.filter(|_| index >= 30),
        ..CaseRow::usual(index)
    });
    let found = finding(&report, DELAY, Check::Missing);
    let share = found.share.as_ref().unwrap();
    assert_eq!((share.value, share.reference, share.tolerance), (0.03, 0.0, 0.01));
    assert!((share.p_tolerance.unwrap() / 2.059988850971949e-7 - 1.0).abs() < 1e-9, "{share:?}");
    assert!((share.bound / 0.018839639713535864 - 1.0).abs() < 1e-9, "{share:?}");
    assert_eq!(found.level, Level::Alarm);
    assert_eq!(
        found.because,
        "3 % of requests lack delay, in the baseline 0 %: 3 points more, at least 1.8 with 99 % confidence; tolerance 1"
    );
    assert_eq!(finding(&report, CARRIER, Check::Missing).level, Level::Ok);
}

#[test]
fn wrong_type_is_shown_with_examples_and_leaves_the_rest_measured() {
    let report = Case::new().judge(1000, |index| CaseRow {
        wrong_delay: (index % 4 == 0).then_some("12 min"),
        ..CaseRow::usual(index)
    });
    let found = finding(&report, DELAY, Check::WrongType);
    assert_eq!(found.level, Level::Alarm);
    let names = &found.share.as_ref().unwrap().names;
    assert_eq!(names, &[NameCount { name: "12 min".to_owned(), count: 250 }]);
    assert!(
        found.because.starts_with("25 % of requests have a value of delay that is no number, such as \"12 min\", in the baseline 0 %:"),
        "{}",
        found.because
    );
    assert_eq!(finding(&report, DELAY, Check::Missing).level, Level::Ok);
    assert_eq!(finding(&report, DELAY, Check::Distribution).n, 750);
    assert_eq!(report.latency.as_ref().unwrap().n, 1000);
}

#[test]
fn new_categories_are_named_with_their_counts() {
    let report = Case::new().judge(1000, |index| CaseRow {
        carrier: match index % 20 {
            0 => Some("ZZ"),
            1 if index < 100 => Some("Y"),
            _ => CaseRow::usual(index).carrier,
        },
        ..CaseRow::usual(index)
    });
    let found = finding(&report, CARRIER, Check::NewCategory);
    assert_eq!(found.level, Level::Alarm);
    let names = &found.share.as_ref().unwrap().names;
    assert_eq!(names[0], NameCount { name: "ZZ".to_owned(), count: 50 });
    assert_eq!(names[1], NameCount { name: "Y".to_owned(), count: 5 });
    assert!(report.finding(DELAY, Check::NewCategory).is_none());
}

#[test]
fn a_share_within_the_baselines_and_its_tolerance_is_ok() {
    let mut case = Case::new();
    let delay = case.numeric(DELAY);
    // 30 % of the baseline's rows lack it.
    delay.missing = delay.n * 3 / 7;
    let report = case.judge(1000, |index| CaseRow {
        delay: CaseRow::usual(index).delay.filter(|_| index % 10 >= 3),
        ..CaseRow::usual(index)
    });
    assert_eq!(finding(&report, DELAY, Check::Missing).level, Level::Ok);
}

#[test]
fn a_column_that_no_row_has_is_absent() {
    let gone = |index: usize| CaseRow { delay: None, ..CaseRow::usual(index) };
    let report = Case::new().judge(1000, gone);
    let found = finding(&report, DELAY, Check::Absent);
    assert_eq!(found.level, Level::Alarm);
    assert_eq!(found.because, "no request of this window has delay, in the baseline 100 % have it");
    assert_eq!(finding(&report, DELAY, Check::Distribution).level, Level::NotComputable);
    assert!(report.finding(DELAY, Check::Missing).is_none());
    assert_eq!(report.findings[0].check, Check::Absent, "without a p-value, and yet first");

    let unjudged = Feature { judge: false, ..Feature::default() };
    let shown = Case::new().feature("delay", unjudged).judge(1000, gone);
    assert_eq!(finding(&shown, DELAY, Check::Absent).level, Level::Ok);

    // Three rows in four lack it in the baseline: a window of two without it is nothing unusual.
    let mut rare = Case::new();
    rare.numeric(DELAY).missing = 30_000;
    assert!(rare.judge(2, gone).finding(DELAY, Check::Absent).is_none());
    assert!(rare.judge(200, gone).finding(DELAY, Check::Absent).is_some());
}

#[test]
fn an_unknown_column_is_a_warning_by_name() {
    let report = Case::new().judge(1000, |index| CaseRow {
        unknown: (index % 2 == 0).then_some("feature:gust"),
        ..CaseRow::usual(index)
    });
    let found = finding(&report, "feature:gust", Check::NewColumn);
    assert_eq!((found.level, found.n), (Level::Warn, 500));
    assert_eq!(found.because, "50 % of requests have \"gust\", which the baseline does not know");
    assert_eq!(report.level, Level::Warn);
}

#[test]
fn rows_that_failed_count_for_requests_errors_and_latency_only() {
    let report = Case::new().judge(1000, |index| CaseRow {
        status: Some(if index < 100 { 500 } else { 200 }),
        delay: if index < 100 { Some(1e9) } else { CaseRow::usual(index).delay },
        ..CaseRow::usual(index)
    });
    assert_eq!(finding(&report, DELAY, Check::Distribution).n, 900);
    let errors = finding(&report, "status", Check::Errors);
    assert_eq!((errors.level, errors.judged), (Level::Ok, false));
    assert_eq!(errors.because, "10 % of requests failed, the objective allows 0.1 %");
    assert_eq!(report.status.get("5xx"), Some(&100));
    assert_eq!(report.latency.as_ref().unwrap().n, 1000);

    // All of them failed: nothing to judge, and no panic.
    let broken =
        Case::new().judge(50, |index| CaseRow { status: Some(503), ..CaseRow::usual(index) });
    assert_eq!(finding(&broken, DELAY, Check::Distribution).level, Level::NotComputable);
    assert_eq!(broken.level, Level::NotComputable);
}

/// The upper bound was an hour where one request in five took two.
#[test]
fn bounds_of_latencies_above_an_hour_hold_the_truth() {
    let hour_us = 3_600_000_000_i64;
    let report = Case::new().judge(1000, |index| CaseRow {
        latency_us: Some(if index % 5 == 0 { 2 * hour_us } else { 1000 }),
        ..CaseRow::usual(index)
    });
    let latency = report.latency.unwrap();
    let truth = 2 * hour_us as u64;
    for (what, found) in [("p90", latency.p90_us), ("p99", latency.p99_us)] {
        assert!(
            found.low <= truth && found.high.is_none_or(|high| truth <= high),
            "{what}: {found:?}"
        );
    }
    assert_eq!(latency.p50_us.high, Some(1003));
}

#[test]
fn latency_is_shown_with_its_bound_and_percentiles_with_theirs() {
    let report = Case::new().judge(1000, CaseRow::usual);
    let found = finding(&report, "latency", Check::Latency);
    // 90 to 99 of 0 to 99 take 1.9 ms or more, and 9 of them longer.
    assert_eq!(found.share.as_ref().unwrap().value, 0.09);
    assert!(found.share.as_ref().unwrap().bound < 0.09);
    assert_eq!((found.level, found.judged), (Level::Ok, false));
    assert_eq!(found.because, "9 % of requests took longer than 1900us, the objective allows 1 %");
    let latency = report.latency.unwrap();
    assert_eq!((latency.n, latency.max_us, latency.over_objective), (1000, 1990, Some(0.09)));
    assert!(latency.p50_us.low < latency.p50_us.value);
    assert!(latency.p50_us.value < latency.p50_us.high.unwrap());
    assert!(latency.p99_us.high.is_some(), "1000 requests bound the 99 % quantile");
    let few = Case::new().judge(100, CaseRow::usual).latency.unwrap();
    assert_eq!(few.p99_us.high, None, "100 do not");
}

#[test]
fn volume_alarms_when_it_breaks_with_the_baseline_and_with_the_last_windows() {
    let days = [900, 1000, 1100, 950, 1050, 1000, 1000, 1000];
    let mut case = Case::new().volumes(&days);
    let level = |case: &mut Case, rows| {
        finding(&case.judge(rows, CaseRow::usual), "model", Check::Volume).level
    };
    assert_eq!(level(&mut case, 1000), Level::Ok);
    assert_eq!(level(&mut case, 400), Level::Alarm, "under half of the smallest");
    assert_eq!(level(&mut case, 400), Level::Alarm, "and it stays one");
    assert_eq!(level(&mut case, 2300), Level::Warn, "over twice the largest is shown");
    assert_eq!(level(&mut case, 451), Level::Ok);

    // A baseline that is a sample of the traffic: the first window warns, the next are as before.
    let mut sampled = Case::new().volumes(&[9, 10, 11, 10, 10, 10, 10, 10]);
    assert_eq!(level(&mut sampled, 1000), Level::Warn);
    assert_eq!(level(&mut sampled, 1000), Level::Warn);
    assert_eq!(level(&mut sampled, 100), Level::Warn);

    // A day of 25 hours is one of the baseline's, where they are of the same zone.
    for (zone, expected) in [(TimeZone::named("Europe/Paris"), Level::Warn), (None, Level::Ok)] {
        let mut long = Case::new().volumes(&days);
        long.start_us = parse_instant_us("2026-10-24T22:00:00Z").unwrap();
        long.model.window.timezone = TimeZone::named("Europe/Paris");
        if let Some(windows) = &mut long.baseline.windows {
            windows.timezone = zone;
        }
        assert_eq!(level(&mut long, 400), expected);
    }

    // Too few own windows, or too few runs of two for a carried one: shown, not judged.
    let mut few = Case::new().volumes(&days[..7]);
    assert_eq!(level(&mut few, 10), Level::Ok);
    let mut carried = Case::new().volumes(&days);
    carried.parts = 2;
    assert_eq!(level(&mut carried, 10), Level::Ok);
    let mut carried = Case::new().volumes(&[1000; 9]);
    carried.parts = 2;
    assert_eq!(level(&mut carried, 1500), Level::Ok, "not as a single day");
    assert_eq!(level(&mut carried, 700), Level::Alarm, "under half of two days");
}
