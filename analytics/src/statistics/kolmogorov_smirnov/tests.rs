//! Vectors T1 to T3, and the two properties that make the counters trustworthy.

use super::*;
use proptest::prelude::*;

/// Counts `values` at and between `cuts`.
fn count(values: &[f64], cuts: &[f64]) -> Vec<u64> {
    let mut slots = vec![0; 2 * cuts.len() + 1];
    for &value in values {
        let value = value + 0.0;
        let slot =
            cuts.partition_point(|&cut| cut < value) + cuts.partition_point(|&cut| cut <= value);
        slots[slot] += 1;
    }
    slots
}

fn distinct(values: &[f64]) -> Vec<f64> {
    let mut cuts: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    cuts
}

/// The textbook distance: both samples sorted and merged, every point tried.
fn sort_merge(reference: &[f64], window: &[f64]) -> (i128, i128, i128) {
    let mut points = distinct(reference);
    points.extend(distinct(window));
    let (total_reference, total_window) = (reference.len() as i128, window.len() as i128);
    let (mut plus, mut minus) = (0, 0);
    for point in points {
        let at_most =
            |values: &[f64]| values.iter().filter(|&&value| value <= point).count() as i128;
        let difference = total_window * at_most(reference) - total_reference * at_most(window);
        plus = plus.max(difference);
        minus = minus.max(-difference);
    }
    (plus, minus, total_reference * total_window)
}

#[test]
fn vector_t1() {
    let reference = [-1.2, -0.5, -0.0, 0.0, 0.3, 0.7, 1.1, 1.1, 2.0, 3.5];
    let window = [-2.0, -0.5, 0.1, 0.3, 0.3, 0.9, 1.1, 2.5, 2.6, 4.0, f64::INFINITY];
    let cuts = distinct(&reference);
    assert_eq!(cuts, [-1.2, -0.5, 0.0, 0.3, 0.7, 1.1, 2.0, 3.5]);
    let counters = count(&window, &cuts);
    assert_eq!(counters, [1, 0, 0, 1, 0, 0, 1, 2, 0, 0, 1, 1, 0, 0, 2, 0, 2]);
    let found = KolmogorovSmirnov::of(&count(&reference, &cuts), &counters).unwrap();
    assert_eq!(found.distance, 29.0 / 110.0);
    assert_eq!(found.distance_upper, found.distance);
    assert_eq!(found.plus, 29.0 / 110.0);
    assert_eq!(found.minus, 10.0 / 110.0);
    assert_eq!(found.kuiper, 39.0 / 110.0);
    // U1 counts the pairs in which the window is below: 44.5 of 110.
    assert_eq!(found.exceedance, (110.0 - 44.5) / 110.0);
    let at = found.at.unwrap();
    assert_eq!((cuts[at.cut], at.comparison), (2.0, Comparison::Above));
    assert_eq!((at.share_reference, at.share_window), (1.0 / 10.0, 4.0 / 11.0));
}

#[test]
fn vector_t2_in_the_kolmogorov_limit() {
    let table = [
        (20.0, 20.0, 9.0 / 20.0, 0.034844565006970606),
        (50.0, 50.0, 14.0 / 50.0, 0.039681879538114355),
        (100.0, 37.0, 962.0 / 3700.0, 0.05190930768722532),
        (1000.0, 100.0, 143.0 / 1000.0, 0.048564273214896744),
        (1000.0, 999.0, 60739.0 / 999000.0, 0.04970575318745041),
        (10.0, 7.0, 35.0 / 70.0, 0.2546777679306573),
        (500.0, 300.0, 150.0 / 1500.0, 0.04703487990738155),
    ];
    for (reference, window, distance, expected) in table {
        let effective: f64 = reference * window / (reference + window);
        let p = kolmogorov_sf(libm::sqrt(effective) * distance);
        assert!((p / expected - 1.0).abs() < 1e-12, "{reference} {window}: {p}");
    }
}

#[test]
fn vector_t3() {
    let table = [
        (0.2, 0.999999999999495),
        (0.3, 0.9999906941986655),
        (0.5, 0.9639452436648751),
        (0.8, 0.5441424115741981),
        (1.0, 0.26999967167735456),
        (1.2238478702170823, 0.1),
        (1.3580986393225507, 0.05),
        (1.6276236115189504, 0.01),
        (1.9494746035043753, 0.001),
        (2.0, 6.709252557796953e-4),
        (3.0, 3.045995948942526e-8),
        (5.0, 3.8574996959278356e-22),
        (10.0, 2.767793053473475e-87),
        (18.0, 7.554499944724249e-282),
    ];
    for (x, expected) in table {
        let tail = kolmogorov_sf(x);
        assert!((tail / expected - 1.0).abs() < 1e-12, "{x}: {tail}");
    }
    assert_eq!(kolmogorov_sf(0.0), 1.0);
    assert_eq!(kolmogorov_sf(0.01), 1.0);
    assert_eq!(kolmogorov_sf(40.0), 0.0);
}

#[test]
fn a_sample_without_values_has_no_distance() {
    assert_eq!(KolmogorovSmirnov::of(&[0_u64, 5, 0], &[0, 0, 0]), None);
    assert_eq!(KolmogorovSmirnov::of(&[0_u64, 0, 0], &[0, 5, 0]), None);
    assert_eq!(KolmogorovSmirnov::of(&[0_u64, 5, 0], &[0, 5]), None);
    assert_eq!(KolmogorovSmirnov::of::<u64>(&[], &[]), None);
}

#[test]
fn a_constant_reference_measures_the_share_off_the_constant() {
    let found = KolmogorovSmirnov::of(&[0_u64, 10, 0], &[1, 2, 1]).unwrap();
    assert_eq!(found.distance, 0.25);
    let equal = KolmogorovSmirnov::of(&[0_u64, 10, 0], &[0, 3, 0]).unwrap();
    assert_eq!((equal.distance, equal.at), (0.0, None));
}

#[test]
fn counts_of_ten_billion_stay_exact() {
    let huge = 10_000_000_000_u64;
    let found = KolmogorovSmirnov::of(&[0, huge, huge, 0, 0], &[0, huge, 0, huge + 1, 0]).unwrap();
    // Only the last slot border but one tells them apart: one row of 2e10 at the first cut point.
    assert!(found.minus < 1e-10);
    assert_eq!(found.at.map(|at| at.cut), Some(1));
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3_i32..4).prop_map(f64::from),
        -3.0_f64..3.0,
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn counters_equal_sort_and_merge(
        reference in prop::collection::vec(value(), 1..60),
        window in prop::collection::vec(value(), 1..60),
    ) {
        let cuts = distinct(&reference);
        let found =
            KolmogorovSmirnov::of(&count(&reference, &cuts), &count(&window, &cuts)).unwrap();
        let (plus, minus, scale) = sort_merge(&reference, &window);
        prop_assert_eq!(found.plus, plus as f64 / scale as f64);
        prop_assert_eq!(found.minus, minus as f64 / scale as f64);
        prop_assert_eq!(found.distance, plus.max(minus) as f64 / scale as f64);
        prop_assert_eq!(found.distance_upper, found.distance);
        let pairs: f64 = window.iter().flat_map(|w| reference.iter().map(move |r| (w, r)))
            .map(|(w, r)| if w > r { 1.0 } else if w == r { 0.5 } else { 0.0 }).sum();
        prop_assert!((found.exceedance - pairs / scale as f64).abs() < 1e-12);
        if let Some(at) = found.at {
            let cut = cuts[at.cut];
            let above = |values: &[f64]| {
                let inside = values.iter().filter(|&&value| match at.comparison {
                    Comparison::Above => value > cut,
                    Comparison::AtOrAbove => value >= cut,
                });
                inside.count() as f64 / values.len() as f64
            };
            prop_assert_eq!(at.share_reference, above(&reference));
            prop_assert_eq!(at.share_window, above(&window));
            prop_assert!(((at.share_window - at.share_reference).abs() - found.distance).abs() < 1e-12);
        }
    }

    #[test]
    fn the_bracket_holds_the_truth_under_any_thinning(
        reference in prop::collection::vec(value(), 1..80),
        window in prop::collection::vec(value(), 1..80),
        kept in prop::collection::vec(any::<bool>(), 80),
    ) {
        let all = distinct(&reference);
        let thinned: Vec<f64> =
            all.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(&cut, _)| cut).collect();
        let found =
            KolmogorovSmirnov::of(&count(&reference, &thinned), &count(&window, &thinned)).unwrap();
        let (plus, minus, scale) = sort_merge(&reference, &window);
        let truth = plus.max(minus) as f64 / scale as f64;
        prop_assert!(found.distance <= truth && truth <= found.distance_upper, "{:?} {}", found, truth);
    }
}
