//! Distributions: the deciding statistic, tolerances, bounds, levels.

use driftline_config::time::DAY_US;
use driftline_config::{Feature, Level, TimeZone, Tolerance, Tolerances};

use super::fixture::finding;
use super::{Case, CaseRow};
use crate::report::Check;

const DELAY: &str = "feature:delay";
const CARRIER: &str = "feature:carrier";

/// CaseRow `index` with every delay `by` later.
fn later(by: f64) -> impl Fn(usize) -> CaseRow {
    move |index| CaseRow {
        delay: CaseRow::usual(index).delay.map(|delay| delay + by),
        ..CaseRow::usual(index)
    }
}

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-11, "{found} is not {expected}");
}

#[test]
fn ks_decides_numbers_by_tolerance_baseline_error_and_bound() {
    let report = Case::new().judge(1000, later(20.0));
    let found = finding(&report, DELAY, Check::Distribution);
    let ks = found.ks.as_ref().unwrap();
    assert_eq!((ks.value, ks.certified, ks.tolerance), (0.2, [0.2, 0.2], 0.05));
    // F = 3: sqrt(ln(600) / 20000), 0.2 - that - sqrt(ln(200) / 2000), and so on (by scipy).
    close(ks.baseline_error, 0.01788425236795789);
    close(ks.bound, 0.1306457691662023);
    close(ks.p_tolerance, 1.3809643103067571e-15);
    close(ks.p_adjusted.unwrap(), 3.0 * 1.3809643103067571e-15);
    close(ks.detectable, 0.12443922409996455);
    assert_eq!(ks.p_method, "kolmogorov-limit");
    assert_eq!(found.level, Level::Alarm);
    // Shown beside it, never deciding.
    assert!(found.psi.as_ref().unwrap().p_tolerance.is_none());
    assert_eq!(found.psi.as_ref().unwrap().bins.len(), 10);
    assert!(found.shift.as_ref().unwrap().mann_whitney.unwrap() > 0.5);
}

#[test]
fn because_speaks_in_shares_of_requests() {
    let report = Case::new().judge(1000, later(20.0));
    assert_eq!(
        finding(&report, DELAY, Check::Distribution).because,
        "100 % of requests have delay > 19, in the baseline 80 %: 20 points more, at least 13 with 99 % confidence; tolerance 5"
    );
    let ks = finding(&report, DELAY, Check::Distribution).ks.clone().unwrap();
    assert_eq!((ks.share_reference, ks.share_window), (Some(0.8), Some(1.0)));
}

#[test]
fn psi_decides_categories_debiased_and_names_the_category_that_moved_most() {
    // A quarter of the rows has CC whatever it had before.
    let report = Case::new().judge(1000, |index| CaseRow {
        carrier: if index % 4 == 0 { Some("CC") } else { CaseRow::usual(index).carrier },
        ..CaseRow::usual(index)
    });
    let found = finding(&report, CARRIER, Check::Distribution);
    let psi = found.psi.as_ref().unwrap();
    assert!(found.ks.is_none());
    assert_eq!(found.level, Level::Alarm);
    assert_eq!(psi.categories.len(), 4);
    assert_eq!(psi.categories[3].category, None);
    assert_eq!(psi.tolerance, Some(0.1));
    // 0.001 + 0.0001 for each of three degrees of freedom.
    close(psi.value - psi.debiased, 0.0033);
    let contributions: f64 = psi.categories.iter().map(|category| category.contribution).sum();
    close(contributions, psi.value);
    // By the formulas of RULES §4 with ne = 1000 · 10000 / 11000.
    let effective: f64 = 1e7 / 11000.0;
    let spread = |at: f64| (6.0 / effective.powi(2) + 4.0 * at / effective).sqrt();
    close(psi.bound, psi.debiased - 2.326 * spread(psi.debiased));
    let p = 0.5 * libm::erfc((psi.debiased - 0.1) / spread(0.1) / 2_f64.sqrt());
    assert!((psi.p_tolerance.unwrap() / p - 1.0).abs() < 1e-9, "{psi:?}");
    assert!(
        found.because.starts_with("39 % of requests have carrier CC, in the baseline 19 %: 20 points more; over all categories PSI 0."),
        "{}",
        found.because
    );
}

#[test]
fn tolerance_is_the_columns_own_then_the_models_then_auto() {
    let own = [0.01, 0.12, 0.03, 0.02, 0.01, 0.01, 0.02, 0.02, 0.03, 0.04];
    let small = own.map(|statistic| statistic / 10.0);
    let set = Feature { tolerance: Some(0.08), ..Feature::default() };
    let fixed = Tolerance::Fixed(Tolerances { ks: 0.07, ..Tolerances::default() });
    let mut of_model = Case::new().own_windows(DELAY, &own);
    of_model.model.tolerance = fixed;
    let mut table = [
        (Case::new(), 0.05, "floor: no own windows tell how far it moves by itself"),
        (Case::new().own_windows(DELAY, &own), 0.12, "own windows (10)"),
        (Case::new().own_windows(DELAY, &small), 0.012, "own windows (10)"),
        (
            Case::new().own_windows(DELAY, &own[..9]),
            0.15,
            "unknown: own windows (9) are fewer than 10; three floors",
        ),
        (of_model.clone(), 0.07, "set for this model"),
        (of_model.feature("delay", set), 0.08, "set for this column"),
    ];
    for (case, expected, from) in &mut table {
        let report = case.judge(500, CaseRow::usual);
        let ks = finding(&report, DELAY, Check::Distribution).ks.clone().unwrap();
        assert_eq!((ks.tolerance, ks.tolerance_from.as_str()), (*expected, *from));
    }
}

#[test]
fn a_tolerance_over_three_tenths_is_reported() {
    let report = Case::new().own_windows(DELAY, &[0.4; 10]).judge(500, CaseRow::usual);
    let found = finding(&report, DELAY, Check::Distribution);
    assert_eq!(found.notes, [crate::judgement::VARIES_TOO_MUCH]);
    assert_eq!(found.ks.as_ref().unwrap().tolerance, 0.4);
}

#[test]
fn a_tolerance_of_other_days_is_reported() {
    let paris = || TimeZone::named("Europe/Paris");
    for (every_days, timezone, note) in [
        (1, None, None),
        (7, None, Some("own windows of 1d, not of 7d")),
        (1, paris(), Some("own windows of 1d in UTC, not of 1d in Europe/Paris")),
    ] {
        let mut case = Case::new().own_windows(DELAY, &[0.1]);
        case.model.window.every_us = every_days * DAY_US;
        case.model.window.timezone = timezone;
        let report = case.judge(500, CaseRow::usual);
        let expected = note.map(|note| format!("its tolerance comes from {note}"));
        let found = finding(&report, DELAY, Check::Distribution);
        assert_eq!(found.notes, expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn warn_is_an_effect_without_evidence_or_evidence_of_half_the_tolerance() {
    let table = [
        // 6 points in 300 rows: over tolerance, no evidence.
        (300, 6.0, Level::Warn),
        // 4 points in 300 rows: neither.
        (300, 4.0, Level::Ok),
        // 5 points in 200 000 rows: not over, but at least 2.5 points for sure.
        (200_000, 5.0, Level::Warn),
        (1000, 20.0, Level::Alarm),
    ];
    for (rows, by, expected) in table {
        let report = Case::new().judge(rows, later(by));
        let found = finding(&report, DELAY, Check::Distribution);
        assert_eq!(found.level, expected, "{rows} rows, {by} later: {}", found.because);
    }
}

#[test]
fn not_computable_names_how_many_rows_are_needed() {
    // detectable = 0.05 + 0.0179 + sqrt(ln(600) / 2n) falls under 1 from n = 4 on.
    let mut case = Case::new();
    let report = case.judge(3, later(1000.0));
    let found = finding(&report, DELAY, Check::Distribution);
    assert_eq!(found.level, Level::NotComputable);
    assert!(found.ks.as_ref().unwrap().detectable >= 1.0);
    assert_eq!(found.ks.as_ref().unwrap().p_adjusted, None);
    assert_eq!(found.because, "3 rows are too few to judge delay: at least 4 would be needed");
    let enough = case.judge(4, later(1000.0));
    let found = finding(&enough, DELAY, Check::Distribution);
    assert!(found.ks.as_ref().unwrap().detectable < 1.0);
    assert_eq!(found.level, Level::Alarm, "the whole distance of 4 rows is the smallest alarm");
}

/// A categorical column whose own windows gave it a tolerance near 1 was never computable, and its
/// sentence said that the baseline was too small: PSI was taken to end at 1.
#[test]
fn the_rows_that_psi_needs_are_where_it_becomes_computable() {
    for statistics in [[0.02; 10], [0.98; 10], [1.7; 10]] {
        let mut case = Case::new().own_windows(CARRIER, &statistics);
        let mut found = |rows| {
            let report = case.judge(rows, CaseRow::usual);
            let found = finding(&report, CARRIER, Check::Distribution);
            (found.level == Level::NotComputable, found.because.clone())
        };
        let needed = (1..200).find(|&rows| !found(rows).0).unwrap();
        if needed > 1 {
            let (_, because) = found(needed - 1);
            assert!(because.contains(&format!("at least {needed} would be needed")), "{because}");
        }
        assert!(needed > 1 || statistics[0] < 1.0, "{needed}");
    }
}

#[test]
fn the_smallest_detectable_distance_is_where_a_column_alarms_alone() {
    let mut case = Case::new();
    let detectable = |report: &crate::report::Report| {
        finding(report, DELAY, Check::Distribution).ks.as_ref().unwrap().detectable
    };
    let least = detectable(&case.judge(1000, CaseRow::usual));
    let steps = (least * 100.0).floor();
    let under = case.judge(1000, later(steps));
    let over = case.judge(1000, later(steps + 1.0));
    assert_ne!(finding(&under, DELAY, Check::Distribution).level, Level::Alarm);
    assert_eq!(finding(&over, DELAY, Check::Distribution).level, Level::Alarm);
}

#[test]
fn a_thinned_baseline_is_judged_by_the_lower_end_of_its_bracket() {
    let mut case = Case::new();
    let delay = case.numeric(DELAY);
    // Every tenth cut point: the nine others lie between two of them.
    delay.cut_points = (0..10).map(|cut| f64::from(10 * cut)).collect();
    let counts = (0..21).map(|slot| if slot == 0 { 0 } else { [900, 100][slot % 2] });
    delay.counts = counts.collect();
    delay.psi_bins.truncate(1);
    delay.psi_bins[0].to = None;
    delay.psi_bins[0].count = 10_000;
    delay.exact = false;
    let report = case.judge(1000, later(15.0));
    let ks = finding(&report, DELAY, Check::Distribution).ks.clone().unwrap();
    let [low, high] = ks.certified;
    assert_eq!(ks.value, low);
    assert!(low < high && low <= 0.15 && 0.15 <= high, "{low} {high}");
}

#[test]
fn columns_without_judge_are_shown_and_never_alarm() {
    let mut case = Case::new().feature("delay", Feature { judge: false, ..Feature::default() });
    let report = case.judge(1000, |index| CaseRow { unknown: None, ..later(50.0)(index) });
    let found = finding(&report, DELAY, Check::Distribution);
    assert_eq!((found.level, found.judged), (Level::Ok, false));
    let ks = found.ks.as_ref().unwrap();
    assert!(ks.p_tolerance < 1e-10 && ks.p_adjusted.is_none());
    // It is not among the F columns of the others either: F = 2.
    let score = finding(&report, "prediction:score@3", Check::Distribution);
    close(score.ks.as_ref().unwrap().baseline_error, (400_f64.ln() / 20_000.0).sqrt());
    assert_eq!(report.level, Level::Ok);
}

#[test]
fn private_columns_show_no_value() {
    let hidden = Feature { private: true, ..Feature::default() };
    let mut case = Case::new().feature("delay", hidden.clone()).feature("carrier", hidden);
    let report = case.judge(1000, |index| CaseRow {
        carrier: [Some("SECRET"), Some("AA")][index % 2],
        wrong_delay: (index % 5 == 0).then_some("SECRET TOO"),
        ..later(20.0)(index)
    });
    let json = report.to_json();
    assert!(!json.contains("SECRET"), "{json}");
    for subject in [DELAY, CARRIER] {
        let findings = report.findings.iter().filter(|finding| finding.subject == subject);
        for finding in findings {
            assert!(finding.private);
            if let Some(psi) = &finding.psi {
                assert!(psi.bins.iter().all(|bin| bin.to.is_none()));
                assert!(psi.categories.iter().all(|category| category.category.is_none()));
            }
            if let Some(ks) = &finding.ks {
                assert_eq!((ks.at, ks.comparison), (None, None));
                assert!(ks.share_window.is_some());
            }
            assert!(!finding.because.contains("AA") && !finding.because.contains('>'));
        }
    }
}

#[test]
fn too_many_values_are_not_judged() {
    let mut case = Case::new();
    let carrier = case.categorical(CARRIER);
    carrier.too_many_values = true;
    carrier.categories.clear();
    carrier.judged = 0;
    carrier.other = 10_000;
    let report = case.judge(1000, CaseRow::usual);
    let found = finding(&report, CARRIER, Check::Distribution);
    assert_eq!((found.level, found.judged), (Level::Ok, false));
    assert_eq!(found.because, "carrier is not judged: too many values");
    assert!(report.finding(CARRIER, Check::NewCategory).is_none());
}

#[test]
fn first_over_is_the_start_of_the_present_run() {
    let mut case = Case::new();
    let first = |report: &crate::report::Report| {
        finding(report, DELAY, Check::Distribution).first_over.clone()
    };
    assert_eq!(first(&case.judge(1000, CaseRow::usual)), None);
    let second = case.judge(1000, later(20.0));
    assert_eq!(first(&second), Some("1970-01-06T00:00:00Z".to_owned()));
    // A window without a value says nothing: the run goes on.
    assert_eq!(first(&case.judge(0, CaseRow::usual)), first(&second));
    assert_eq!(first(&case.judge(1000, later(20.0))), first(&second));
    assert_eq!(first(&case.judge(1000, CaseRow::usual)), None);
}
