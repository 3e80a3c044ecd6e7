//! The statistics against scipy: `tests/data/statistics.json`, written by `tests/oracle.py`.

use serde_json::Value;

use super::*;

fn cases(name: &str) -> Vec<Value> {
    let all: Value =
        serde_json::from_str(include_str!("../../tests/data/statistics.json")).unwrap();
    let cases = all[name].as_array().unwrap().clone();
    assert!(cases.len() >= 50, "{name} has too few cases");
    cases
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
}

#[track_caller]
fn check(case: &Value, name: &str, found: f64, tolerance: f64) {
    let expected = float(&case[name]);
    let difference = (found - expected).abs();
    assert!(difference <= tolerance, "{name}: {found} is not {expected} in {case}");
}

#[track_caller]
fn check_relative(case: &Value, name: &str, found: f64, tolerance: f64) {
    check(case, name, found, tolerance * float(&case[name]).abs().max(1e-290));
}

/// Counters of `values` at every distinct value of `reference`.
fn counters(reference: &[f64], values: &[f64]) -> Vec<u64> {
    let mut cuts: Vec<f64> = reference.iter().map(|value| value + 0.0).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    let mut slots = vec![0; 2 * cuts.len() + 1];
    for value in values.iter().map(|value| value + 0.0) {
        slots[cuts.partition_point(|&cut| cut < value)
            + cuts.partition_point(|&cut| cut <= value)] += 1;
    }
    slots
}

#[test]
fn kolmogorov_smirnov_is_that_of_scipy() {
    for case in cases("kolmogorov_smirnov") {
        let values =
            |name: &str| -> Vec<f64> { case[name].as_array().unwrap().iter().map(float).collect() };
        let (reference, window) = (values("reference"), values("window"));
        let found = KolmogorovSmirnov::of(
            &counters(&reference, &reference),
            &counters(&reference, &window),
        )
        .unwrap();
        check(&case, "distance", found.distance, 1e-12);
        check(&case, "plus", found.plus, 1e-12);
        check(&case, "minus", found.minus, 1e-12);
        check(&case, "exceedance", found.exceedance, 1e-12);
        check_relative(&case, "p_kolmogorov_limit", found.p_kolmogorov_limit(), 1e-11);
        assert_eq!(found.distance, found.distance_upper);
    }
}

#[test]
fn divergences_are_those_of_scipy() {
    for case in cases("divergences") {
        let (reference, window) = (counts(&case["reference"]), counts(&case["window"]));
        let found = divergences(&reference, &window).unwrap();
        check(&case, "psi", found.psi, 1e-12);
        check(&case, "psi_debiased", found.psi_debiased, 1e-12);
        check(&case, "jensen_shannon", found.jensen_shannon, 1e-12);
        check(&case, "hellinger", found.hellinger, 1e-12);
        check(&case, "total_variation", found.total_variation, 1e-12);
        check_relative(&case, "psi_p", found.psi_p_chi_square(), 1e-9);
    }
}

#[test]
fn binomial_tails_and_bounds_are_those_of_scipy() {
    for case in cases("binomial") {
        let whole = |name: &str| case[name].as_u64().unwrap();
        let tail = at_least(whole("successes"), whole("trials"), float(&case["share"]));
        check_relative(&case, "at_least", tail, 1e-9);
        let bound = lower_bound(whole("successes"), whole("trials"), 0.99);
        check_relative(&case, "lower_bound", bound, 1e-9);
    }
}

#[test]
fn quantile_ranks_are_those_of_scipy() {
    for case in cases("ranks") {
        let (lower, upper) = quantile_ranks(
            case["count"].as_u64().unwrap(),
            float(&case["quantile"]),
            float(&case["confidence"]),
        );
        assert_eq!(Some(lower), case["lower"].as_u64(), "{case}");
        assert_eq!(Some(upper), case["upper"].as_u64(), "{case}");
    }
}

#[test]
fn tails_are_those_of_scipy() {
    for case in cases("normal") {
        check_relative(&case, "sf", normal_sf(float(&case["z"])), 1e-11);
    }
    for case in cases("chi_square") {
        let degrees = case["degrees"].as_u64().unwrap() as u32;
        check_relative(&case, "sf", chi_square_sf(float(&case["x"]), degrees), 1e-10);
    }
}

#[test]
fn adjusted_p_values_are_those_of_scipy() {
    for case in cases("benjamini_hochberg") {
        let values =
            |name: &str| -> Vec<f64> { case[name].as_array().unwrap().iter().map(float).collect() };
        for (found, expected) in benjamini_hochberg(&values("p")).iter().zip(values("adjusted")) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        }
    }
}
