//! What reports say where ranks decide.

use driftline_config::{Level, Tolerance, Tolerances};

use super::*;
use crate::report::{Check, Finding, Incomplete};

const ROWS: usize = 400;

fn day(random: &mut Lehmer, delay: f64, other: &str) -> Day {
    (0..ROWS)
        .map(|_| Row {
            delay: Some(random.next(100) as f64 - 20.0 + delay),
            carrier: Some(if random.next(4) == 0 { other.to_owned() } else { "UA".to_owned() }),
            score: Some(random.next(1000) as f64 / 1000.0),
            version: Some("3".to_owned()),
            ..Row::default()
        })
        .collect()
}

fn ninety(random: &mut Lehmer) -> Monitored {
    let days: Vec<Day> = (0..90).map(|_| day(random, 0.0, "AA")).collect();
    Monitored::new(&days, |_| ())
}

#[track_caller]
fn finding<'a>(report: &'a Report, subject: &str, check: Check) -> &'a Finding {
    report.finding(subject, check).unwrap_or_else(|| panic!("{subject}: {}", report.to_json()))
}

#[test]
fn a_day_like_the_others_is_well_and_says_what_is_promised() {
    let mut random = Lehmer::new(11);
    let mut monitored = ninety(&mut random);
    let report = monitored.judge(day(&mut random, 0.0, "AA"), &[]);
    let budget = report.budget.as_ref().unwrap();
    assert!(!budget.pages);
    assert_eq!((budget.own, budget.per.as_str(), budget.maxima.len()), (90, "28d", 3));
    assert!(
        budget.says.starts_with("0.95 false alarms in 28d are to be expected"),
        "{}",
        budget.says
    );
    let delay = finding(&report, "feature:delay", Check::Distribution);
    let rank = delay.rank.as_ref().unwrap();
    assert!(matches!(delay.level, Level::Ok | Level::Warn));
    assert!(rank.value <= rank.threshold);
    assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
}

#[test]
fn an_alarm_names_the_part_that_moved_how_extreme_it_is_and_since_when() {
    let mut random = Lehmer::new(12);
    let mut monitored = ninety(&mut random);
    for _ in 0..8 {
        monitored.judge(day(&mut random, 0.0, "AA"), &[]);
    }
    monitored.judge(day(&mut random, 30.0, "AA"), &[]);
    let report = monitored.judge(day(&mut random, 30.0, "AA"), &[]);
    assert_eq!(report.level, Level::Alarm);
    let delay = finding(&report, "feature:delay", Check::Distribution);
    let rank = delay.rank.as_ref().unwrap();
    assert_eq!(delay.level, Level::Alarm);
    assert!(rank.value > rank.threshold && rank.bound > rank.tolerance(), "{rank:?}");
    assert!(delay.because.contains("of requests have delay > "), "{}", delay.because);
    assert!(
        delay.because.contains("differs more than 89 of the baseline's 89 days did"),
        "{}",
        delay.because
    );
    assert_eq!(rank.since.as_deref(), Some("1970-04-13T00:00:00Z"), "the ninety-eighth day");
    assert!(delay.is_over());
    let budget = report.budget.as_ref().unwrap();
    assert!(budget.pages);
    assert_eq!(budget.moved[0].subject, "feature:delay");
    assert!(report.findings[0].subject == "feature:delay", "the farthest comes first");
    assert!(budget.says.starts_with("differs more than"), "{}", budget.says);
}

#[test]
fn a_category_and_new_values_are_named() {
    let mut random = Lehmer::new(13);
    let mut monitored = ninety(&mut random);
    let report = monitored.judge(day(&mut random, 0.0, "XX"), &[]);
    let carrier = finding(&report, "feature:carrier", Check::Distribution);
    assert_eq!(carrier.level, Level::Alarm);
    assert!(
        carrier.because.contains("have another carrier than the baseline's 2 largest"),
        "{}",
        carrier.because
    );
    let new = finding(&report, "feature:carrier", Check::NewCategory);
    assert_eq!(new.level, Level::Alarm);
    assert!(new.because.contains("such as \"XX\""), "{}", new.because);
    assert!(!new.because.contains("tolerance"), "{}", new.because);
}

#[test]
fn an_incomplete_window_is_shown_and_neither_pages_nor_stays() {
    let mut random = Lehmer::new(14);
    let mut monitored = ninety(&mut random);
    let kept = monitored.newest().len();
    let report = monitored.judge(day(&mut random, 30.0, "AA"), &[Incomplete::Started]);
    assert!(!report.budget.as_ref().unwrap().pages);
    assert_eq!(finding(&report, "feature:delay", Check::Distribution).level, Level::Alarm);
    assert_eq!(monitored.newest().len(), kept);
}

#[test]
fn tolerances_that_are_set_decide_and_too_few_windows_are_said() {
    let mut random = Lehmer::new(15);
    let days: Vec<Day> = (0..90).map(|_| day(&mut random, 0.0, "AA")).collect();
    let says = |days: &[Day], set: &dyn Fn(&mut Model)| {
        let mut random = Lehmer::new(16);
        let mut monitored = Monitored::new(days, set);
        let report = monitored.judge(day(&mut random, 0.0, "AA"), &[]);
        let rank = &finding(&report, "feature:delay", Check::Distribution).rank;
        assert!(rank.is_none(), "{rank:?}");
        report.budget.unwrap().says
    };
    assert_eq!(
        says(&days, &|model| model.tolerance = Tolerance::Fixed(Tolerances::default())),
        "no stated number of false alarms: tolerances are set for this model"
    );
    assert_eq!(
        says(&days[..20], &|_| ()),
        "1 false alarms in 28d cannot be promised: the baseline has 20 days, 27 are needed; reachable are 1 in 21d"
    );
    assert_eq!(
        says(&days[..1], &|_| ()),
        "no stated number of false alarms: the baseline has no windows of its own of 1d"
    );
}
