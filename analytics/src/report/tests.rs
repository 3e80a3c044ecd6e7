//! The bytes of reports: rounding, infinities, and the golden file of the contract's example.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// The finding of CONTRACTS §5's example.
fn delay() -> Finding {
    let mut delay = Finding::new("feature:dep_delay", Check::Distribution);
    delay.kind = Some(Kind::Numeric);
    (delay.n, delay.m, delay.level) = (812, 5455, Level::Alarm);
    delay.ks = Some(Ks {
        value: 0.16,
        certified: [0.16, 0.16],
        bound: 0.076,
        confidence: 0.99,
        tolerance: 0.05,
        tolerance_from: "own windows (13)".to_owned(),
        baseline_error: 0.027,
        detectable: 0.148,
        at: Some(Ordered(3.25)),
        share_reference: Some(0.41),
        share_window: Some(0.57),
        p: 3.8e-16,
        p_method: "kolmogorov-limit".to_owned(),
        p_tolerance: 3.0e-5,
        p_adjusted: Some(5.1e-4),
        comparison: Some(Comparison::Above),
    });
    delay.psi = Some(Psi {
        value: 0.21,
        debiased: 0.19,
        bound: 0.12,
        bins: vec![
            BinShare { to: Some(Ordered(0.0)), reference: 0.31, window: 0.22, contribution: 0.03 },
            BinShare { to: None, reference: 0.69, window: 0.78, contribution: 0.01 },
        ],
        categories: Vec::new(),
        confidence: None,
        tolerance: None,
        tolerance_from: None,
        detectable: None,
        p: None,
        p_method: None,
        p_tolerance: None,
        p_adjusted: None,
    });
    delay.because = "57 % of requests have dep_delay > 3.25, in the baseline 41 %: 16 points more, at least 7 with 99 % confidence; tolerance 5".to_owned();
    delay.first_over = Some("2026-11-02T00:00:00Z".to_owned());
    delay
}

/// The example of CONTRACTS §5, with a few findings more.
fn example() -> Report {
    let percentile = |value| Percentile { value, low: value - 10, high: Some(value + 10) };
    let mut report = Report {
        driftline: FORMAT,
        model: "flight-delay".to_owned(),
        versions: [("3".to_owned(), 790), ("4".to_owned(), 22)].into(),
        window: Window {
            id: "flight-delay@20261109T000000Z.1d".into(),
            start: "2026-11-09T00:00:00Z".to_owned(),
            end: "2026-11-10T00:00:00Z".to_owned(),
            timezone: None,
            rows: 812,
            parts: 1,
            complete: true,
            previous: Some("flight-delay@20261108T000000Z.1d".into()),
            ledger: Ledger { read: 830, counted: 812, late: 1, rejected: 17, ..Ledger::default() },
            cuts: [(
                "flights.captures".to_owned(),
                [(Partition(0), Cut { from: 10240, to: 11052, by: CutBy::Log, rows_from: None })]
                    .into(),
            )]
            .into(),
            incomplete: Vec::new(),
            ahead: BTreeMap::new(),
            ahead_forgotten: false,
            pairs: None,
        },
        level: Level::Alarm,
        release: None,
        changed: Vec::new(),
        findings: vec![delay()],
        latency: Some(Latency {
            n: 812,
            p50_us: percentile(1100),
            p90_us: percentile(2100),
            p99_us: Percentile { value: 3100, low: 2900, high: None },
            max_us: 3200,
            over_objective: Some(0.004),
        }),
        status: [("2xx".to_owned(), 812)].into(),
        baseline_sha256: "0b5e".to_owned(),
        config_sha256: "c0ffee".to_owned(),
        rules: RULES,
        baselines: BTreeMap::new(),
        requests_weighted: None,
        names_truncated: Vec::new(),
        budget: None,
        repeated: None,
        not_computable: None,
    };
    report.findings.extend([
        finding("feature:a", Check::NewColumn, Level::Warn),
        finding("feature:a", Check::Missing, Level::Ok),
        finding("feature:b", Check::Distribution, Level::NotComputable),
        finding("feature:c", Check::Absent, Level::Alarm),
    ]);
    report.sort();
    report
}

fn finding(subject: &str, check: Check, level: Level) -> Finding {
    Finding { level, ..Finding::new(subject, check) }
}

/// `UPDATE_GOLDEN=1` rewrites the file: then read its difference, and raise [`RULES`] where a rule
/// changed.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "golden files are files, and rewritten when asked for"
)]
fn the_golden_report() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/report.json");
    let written = serde_json::to_string_pretty(&example()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(written, golden);
    assert_eq!(Report::from_json(&golden).unwrap(), example());
    assert!(golden.contains("\"rules\": 2"));
}

#[test]
fn keys_stand_in_the_order_of_the_contract() {
    let json: Value = serde_json::from_str(&example().to_json()).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&json).join(" "),
        "driftline model versions window level release changed findings latency status baseline_sha256 config_sha256 rules"
    );
    assert_eq!(
        keys(&json["window"]).join(" "),
        "id start end rows parts complete previous ledger cuts"
    );
    let delay = json["findings"].as_array().unwrap().iter().find(|f| f["n"] == 812).unwrap();
    assert_eq!(keys(delay).join(" "), "subject check kind n m level ks psi because first_over");
    let contract = "value certified bound confidence tolerance tolerance_from baseline_error detectable at share_reference share_window p p_method p_tolerance p_adjusted";
    assert!(keys(&delay["ks"]).join(" ").starts_with(contract));
    assert_eq!(keys(&delay["psi"]).join(" "), "value debiased bound bins");
    assert_eq!(keys(&delay["psi"]["bins"][0]).join(" "), "to reference window contribution");
    assert_eq!(keys(&json["latency"]).join(" "), "n p50_us p90_us p99_us max_us over_objective");
}

#[test]
fn alarms_come_first_and_absent_columns_before_those_with_a_p_value() {
    let order: Vec<Check> = example().findings.iter().map(|finding| finding.check).collect();
    assert_eq!(
        order,
        [Check::Absent, Check::Distribution, Check::NewColumn, Check::Missing, Check::Distribution]
    );
}

#[test]
fn the_lowest_level_is_not_computable() {
    let table = [
        (Level::Ok, Level::NotComputable, Level::Ok),
        (Level::Warn, Level::Ok, Level::Warn),
        (Level::Warn, Level::Alarm, Level::Alarm),
        (Level::NotComputable, Level::NotComputable, Level::NotComputable),
    ];
    for (one, two, expected) in table {
        assert_eq!(one.higher(two), expected);
        assert_eq!(two.higher(one), expected);
    }
}

#[test]
fn derived_numbers_have_twelve_digits_and_are_never_nan() {
    assert_eq!(rounded(1.0 / 3.0), 0.333333333333);
    assert_eq!(rounded(123_456_789.123_456_78), 123_456_789.123);
    assert_eq!(rounded(-0.0).to_string(), "0");
    assert_eq!(rounded(1e-300 / 3.0), 3.33333333333e-301);
    assert_eq!(rounded_or_none(f64::NAN), None);
    assert_eq!(rounded_or_none(f64::INFINITY), None);
    assert!(rounded(f64::NAN).is_finite() && rounded(f64::NEG_INFINITY).is_finite());
}

#[test]
fn infinite_values_of_a_column_are_text() {
    for (value, written) in
        [(f64::INFINITY, "\"inf\""), (f64::NEG_INFINITY, "\"-inf\""), (0.1, "0.1"), (3.0, "3.0")]
    {
        let text = serde_json::to_string(&Ordered(value)).unwrap();
        assert_eq!(text, written);
        assert_eq!(serde_json::from_str::<Ordered>(&text).unwrap(), Ordered(value));
    }
    assert!(serde_json::from_str::<Ordered>("\"much\"").is_err());
    assert_eq!(Ordered(1e300).to_string(), "1e300");
    assert_eq!(Ordered(0.000001).to_string(), "1e-6");
    assert_eq!(Ordered(3.25).to_string(), "3.25");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn rounding_twice_is_rounding_once(value in prop::num::f64::ANY) {
        let once = rounded(value);
        prop_assert_eq!(rounded(once), once);
        if value.is_normal() && value.abs() < 1e300 {
            prop_assert!((once - value).abs() <= value.abs() * 5.1e-12);
        }
    }
}
