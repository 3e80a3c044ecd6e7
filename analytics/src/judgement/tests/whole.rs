//! The whole report: families of tests, versions, releases, order, and inputs that are nearly
//! nothing.

use std::sync::Arc;

use driftline_config::Level;
use proptest::prelude::*;

use super::fixture::finding;
use super::{Case, CaseRow};
use crate::report::{Check, Report};
use crate::statistics::benjamini_hochberg;

fn scored(version: &'static str, by: f64) -> impl Fn(usize) -> CaseRow {
    move |index| CaseRow {
        version: Some(version),
        // In whole hundredths, so that it stays on the cut points.
        score: CaseRow::usual(index).score.map(|score| ((score + by) * 100.0).round() / 100.0),
        ..CaseRow::usual(index)
    }
}

#[test]
fn benjamini_hochberg_goes_over_features_and_predictions_together() {
    let report = Case::new().judge(1100, |index| CaseRow {
        delay: CaseRow::usual(index).delay.map(|delay| delay + 13.0),
        ..scored("3", 0.12)(index)
    });
    let judged: Vec<(f64, f64)> = report
        .findings
        .iter()
        .filter(|finding| finding.check == Check::Distribution)
        .map(|finding| {
            let ks = finding.ks.as_ref().map(|ks| ks.p_tolerance);
            let psi = finding.psi.as_ref().and_then(|psi| psi.p_tolerance);
            (ks.or(psi).unwrap(), finding.p_adjusted().unwrap())
        })
        .collect();
    assert_eq!(judged.len(), 3);
    let p_values: Vec<f64> = judged.iter().map(|(p, _)| *p).collect();
    for ((_, found), expected) in judged.iter().zip(benjamini_hochberg(&p_values)) {
        assert!((found - expected).abs() <= 1e-11 * expected, "{found} {expected}");
    }
    // The score alone would not have: its own p times three is over 1 %.
    let score = finding(&report, "prediction:score@3", Check::Distribution);
    let ks = score.ks.as_ref().unwrap();
    assert!(ks.value < ks.detectable && score.level == Level::Alarm);
}

#[test]
fn predictions_are_judged_per_version_and_say_whose_baseline_it_was() {
    let mut case = Case::new();
    case.by_version.insert("4".to_owned(), Arc::new(case.baseline.clone()));
    let report = case.judge(1000, |index| CaseRow {
        version: [Some("3"), Some("4"), None][index % 3],
        ..CaseRow::usual(index)
    });
    let notes = |subject: &str| finding(&report, subject, Check::Distribution).notes.clone();
    assert_eq!(
        notes("prediction:score@3"),
        ["version 3 has no baseline of its own: compared with default"]
    );
    assert!(notes("prediction:score@4").is_empty());
    assert_eq!(
        notes("prediction:score@none"),
        ["a capture without a version has no baseline of its own: compared with default"]
    );
    assert_eq!(report.versions.values().sum::<u64>(), 1000);
    assert_eq!(report.baselines.len(), 1);
}

#[test]
fn a_new_version_or_a_moved_share_is_a_release() {
    let mut case = Case::new();
    let first = case.judge(1000, scored("3", 0.0));
    assert_eq!(first.release, None, "the first window releases nothing");
    let second = case.judge(1000, |index| {
        if index < 50 { scored("4", 0.5)(index) } else { scored("3", 0.3)(index) }
    });
    let release = second.release.clone().unwrap();
    assert_eq!((release.new, release.moved.len()), (vec!["4".to_owned()], 0));
    assert_eq!(release.because, "version 4 is new with 5 % of requests");
    for finding in &second.findings {
        assert_eq!(finding.release, finding.subject.starts_with("prediction:"));
    }
    let third = case.judge(1000, |index| scored(["3", "4"][index % 2], 0.0)(index));
    let release = third.release.unwrap();
    assert_eq!(release.new, Vec::<String>::new());
    let moved: Vec<(&str, f64, f64)> =
        release.moved.iter().map(|moved| (moved.version.as_str(), moved.from, moved.to)).collect();
    assert_eq!(moved, [("3", 0.95, 0.5), ("4", 0.05, 0.5)]);
    assert_eq!(case.judge(1000, |index| scored(["3", "4"][index % 2], 0.0)(index)).release, None);
}

#[test]
fn what_changed_in_the_settings_is_told_once() {
    let mut case = Case::new();
    case.history.changed = vec!["tolerance of delay".to_owned()];
    assert_eq!(case.judge(100, CaseRow::usual).changed, ["tolerance of delay"]);
    assert!(case.judge(100, CaseRow::usual).changed.is_empty());
}

#[test]
fn findings_are_ordered_by_level_then_evidence_then_subject() {
    let report = Case::new().judge(1000, |index| CaseRow {
        delay: None,
        unknown: (index == 0).then_some("feature:zebra"),
        ..scored("3", 0.3)(index)
    });
    let order: Vec<(u8, f64, &str, Check)> = report
        .findings
        .iter()
        .map(|finding| {
            let p = finding.p_adjusted().unwrap_or(match finding.level {
                Level::Alarm => 0.0,
                _ => 2.0,
            });
            (finding.level.place(), p, finding.subject.as_str(), finding.check)
        })
        .collect();
    let mut sorted = order.clone();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(order, sorted);
    assert_eq!(report.findings[0].level, Level::Alarm);
}

#[test]
fn an_empty_window_is_not_computable() {
    let report = Case::new().judge(0, CaseRow::usual);
    assert_eq!(report.level, Level::NotComputable);
    assert_eq!(report.latency, None);
    assert_eq!(
        finding(&report, "feature:delay", Check::Distribution).because,
        "no request of this window has delay"
    );
    assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
}

#[test]
fn a_baseline_without_values_is_no_reference() {
    let mut case = Case::new();
    let delay = case.numeric("feature:delay");
    delay.counts = vec![0; 201].into();
    delay.n = 0;
    delay.psi_bins.iter_mut().for_each(|bin| bin.count = 0);
    let report = case.judge(1000, CaseRow::usual);
    let found = finding(&report, "feature:delay", Check::Distribution);
    assert_eq!(found.level, Level::NotComputable);
    assert_eq!(found.because, "the baseline has no value of delay to compare with");
    assert_eq!(report.level, Level::NotComputable, "the others are well, and it is not");
    let not = report.not_computable.unwrap();
    assert_eq!((not.columns, not.rows_missing), (1, None), "no number of rows would be enough");
    let few = Case::new().judge(3, CaseRow::usual).not_computable.unwrap();
    assert!(few.columns > 1 && few.rows_missing.is_some_and(|rows| rows > 0), "{few:?}");
}

#[test]
fn windows_of_the_baselines_own_distribution_are_ok() {
    for rows in [100, 1000, 10_000] {
        let report = Case::new().judge(rows, CaseRow::usual);
        assert_eq!(report.level, Level::Ok, "{rows}: {}", report.findings[0].because);
        assert!(report.findings.iter().all(|finding| finding.first_over.is_none()));
    }
}

fn any_row() -> impl Strategy<Value = CaseRow> {
    let number = || {
        prop_oneof![
            Just(None),
            Just(Some(f64::NAN)),
            Just(Some(f64::INFINITY)),
            Just(Some(f64::NEG_INFINITY)),
            Just(Some(f64::MAX)),
            (-5.0_f64..105.0).prop_map(Some),
        ]
    };
    let text =
        prop_oneof![Just(None), Just(Some("AA")), Just(Some("")), Just(Some("new\n\"one\""))];
    let version = prop_oneof![Just(None), Just(Some("3")), Just(Some("5")), Just(Some("other"))];
    (
        number(),
        text,
        number(),
        version,
        prop::option::of(100_i32..600),
        prop::option::of(0_i64..1 << 40),
    )
        .prop_map(|(delay, carrier, score, version, status, latency_us)| CaseRow {
            delay,
            carrier,
            score,
            version,
            status,
            latency_us,
            ..CaseRow::usual(0)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_rows_give_a_report_that_reads_back_and_repeats(
        rows in prop::collection::vec(any_row(), 0..60),
        again in prop::collection::vec(any_row(), 0..60),
    ) {
        let mut case = Case::new();
        let mut twin = case.clone();
        for rows in [&rows, &again] {
            let report = case.judge(rows.len(), |index| rows[index].clone());
            let json = report.to_json();
            prop_assert!(!json.is_empty());
            prop_assert_eq!(&Report::from_json(&json).unwrap(), &report);
            prop_assert_eq!(Report::from_json(&json).unwrap().to_json(), json.clone());
            prop_assert_eq!(twin.judge(rows.len(), |index| rows[index].clone()).to_json(), json);
            let history = serde_json::to_string(&case.history).unwrap();
            prop_assert_eq!(&serde_json::from_str::<crate::judgement::History>(&history).unwrap(), &case.history);
        }
    }
}
