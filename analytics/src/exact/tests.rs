//! Tests of exact sums.

use proptest::prelude::*;

use super::*;

fn sum(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    values.iter().for_each(|&value| sum.add(value));
    sum
}

fn squares(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    values.iter().for_each(|&value| sum.add_square(value));
    sum
}

fn bytes(sum: &ExactSum) -> Vec<u8> {
    let mut out = Vec::new();
    sum.encode(&mut out);
    out
}

#[test]
fn nothing_is_lost_and_one_rounding_happens() {
    let tiny = f64::from_bits(1);
    let table: [(&[f64], f64); 12] = [
        (&[], 0.0),
        (&[-0.0], 0.0),
        (&[1e100, 1.0, -1e100], 1.0),
        (&[0.1; 10], 1.0),
        (&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX, tiny], tiny),
        (&[f64::MAX, f64::MAX], f64::INFINITY),
        (&[-f64::MAX, -f64::MAX], f64::NEG_INFINITY),
        (&[-1.0, -2.5], -3.5),
        (&[tiny, -tiny], 0.0),
        // Ties go to even; a bit far below the tie decides it.
        (&[9007199254740992.0, 1.0], 9007199254740992.0),
        (&[9007199254740992.0, 1.0, tiny], 9007199254740994.0),
        (&[f64::NAN, f64::INFINITY, 2.0], 2.0),
    ];
    for (values, expected) in table {
        assert_eq!(sum(values).value(), expected, "{values:?}");
    }
}

#[test]
fn a_mean_lies_between_its_values_also_where_their_sum_is_none() {
    for (values, expected) in [
        (&[f64::MAX, f64::MAX][..], f64::MAX),
        (&[-f64::MAX, -f64::MAX, -f64::MAX], -f64::MAX),
        (&[f64::MAX, -f64::MAX], 0.0),
        (&[1.0, 2.0, 4.0, 5.0], 3.0),
    ] {
        assert_eq!(sum(values).mean(values.len() as u64), Some(expected), "{values:?}");
    }
    assert_eq!(sum(&[]).mean(0), None);
}

#[test]
fn squares_reach_beyond_the_range_of_floats() {
    assert_eq!(squares(&[3.0, -4.0]).value(), 25.0);
    assert_eq!(squares(&[f64::MAX]).value(), f64::INFINITY);
    let tiny = f64::from_bits(1);
    let square = squares(&[tiny]);
    assert!(!square.is_zero());
    assert_eq!(square.value(), 0.0);
    // Exact even so: four times the square of a tiny value is the square of its double.
    assert_eq!(squares(&[tiny; 4]), squares(&[2.0 * tiny]));
}

#[test]
fn variance_does_not_cancel() {
    let variance = |values: &[f64]| sum(values).variance(&squares(values), values.len() as u64);
    assert_eq!(variance(&[]), None);
    assert_eq!(variance(&[5.0]), None);
    assert_eq!(variance(&[5.0, 5.0, 5.0]), Some(0.0));
    assert_eq!(variance(&[4.0, 7.0, 13.0, 16.0]), Some(30.0));
    // Sums of squares in floats give 0 or worse here.
    assert_eq!(variance(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]), Some(30.0));
    assert_eq!(variance(&[-1e200, 1e200]), Some(f64::INFINITY));
    assert_eq!(variance(&[1e-200, -1e-200]), Some(0.0));
}

#[test]
fn carries_that_wait_are_settled_in_time() {
    let mut waiting = sum(&[u32::MAX as f64, -0.5, 1e-9]);
    waiting.pending = MOST_PENDING - 1;
    let plain = sum(&[u32::MAX as f64, -0.5, 1e-9, 3.0]);
    waiting.add(3.0);
    assert_eq!(waiting.pending, 1);
    assert_eq!(bytes(&waiting), bytes(&plain));
    waiting.pending = MOST_PENDING - 1;
    let mut both = sum(&[-7.0]);
    both.pending = MOST_PENDING - 1;
    waiting.merge(&both);
    assert!(waiting.pending <= 2);
    assert_eq!(waiting.value(), plain.value() - 7.0);
}

#[test]
fn other_bytes_are_refused() {
    // Digits with zeros at an end, a negative zero, a first digit out of reach.
    for bad in [
        vec![2, 5, 0, 0, 0, 0],
        vec![1],
        vec![2, 200, 1, 1, 0, 0, 0],
        vec![4, 5, 1, 0, 0, 0],
        vec![0xff, 0xff, 3],
    ] {
        assert!(ExactSum::decode(&mut Reader::new(&bad)).is_err(), "{bad:?}");
    }
}

fn any_finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |value| value.is_finite()),
        (-1_000_000_i64..1_000_000).prop_map(|value| value as f64 / 64.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_and_order_gives_the_same_bytes(
        values in prop::collection::vec(any_finite(), 0..60),
        parts in prop::collection::vec(0_usize..4, 60),
        order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        for of in [sum, squares] {
            let whole = of(&values);
            let mut merged = ExactSum::default();
            for part in order {
                let mine: Vec<f64> = values.iter().zip(&parts)
                    .filter(|(_, p)| **p == part).map(|(value, _)| *value).rev().collect();
                merged.merge(&of(&mine));
            }
            prop_assert_eq!(bytes(&whole), bytes(&merged));
            let decoded = ExactSum::decode(&mut Reader::new(&bytes(&whole))).unwrap();
            prop_assert_eq!(bytes(&decoded), bytes(&whole));
            prop_assert_eq!(decoded.value(), whole.value());
        }
    }

    #[test]
    fn what_is_taken_away_leaves_zero(values in prop::collection::vec(any_finite(), 0..40)) {
        let mut both = sum(&values);
        values.iter().for_each(|value| both.add(-value));
        prop_assert!(both.is_zero());
        prop_assert_eq!(bytes(&both), vec![0]);
    }

    #[test]
    fn sums_and_variances_equal_those_of_whole_numbers(
        values in prop::collection::vec(-(1_i64 << 40)..(1 << 40), 2..50),
    ) {
        let floats: Vec<f64> = values.iter().map(|&value| value as f64 / 1024.0).collect();
        let n = values.len() as i128;
        let total: i128 = values.iter().map(|&value| i128::from(value)).sum();
        let squared: i128 = values.iter().map(|&v| i128::from(v) * i128::from(v)).sum();
        prop_assert_eq!(sum(&floats).value(), total as f64 / 1024.0);
        prop_assert_eq!(squares(&floats).value(), squared as f64 / 1048576.0);
        let expected = (n * squared - total * total) as f64 / (n * (n - 1)) as f64 / 1048576.0;
        let variance = sum(&floats).variance(&squares(&floats), n as u64).unwrap();
        prop_assert!((variance - expected).abs() <= 1e-15 * expected, "{variance} {expected}");
    }
}

/// Values of every size, and many of like sizes: what batches take the short way for, and what not.
fn batch() -> impl Strategy<Value = Vec<f64>> {
    let like = (-30_i32..30, -1.0..1.0_f64).prop_map(|(power, value)| value * 2_f64.powi(power));
    let value = prop_oneof![
        8 => like,
        2 => Just(0.0),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        1 => prop::sample::select(vec![f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX, -f64::MAX]),
    ];
    prop::collection::vec(value, 0..300)
}

proptest! {
    #[test]
    fn a_batch_adds_up_to_what_its_values_do(values in batch(), start in -1e9..1e9_f64) {
        let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let (mut together, mut together_squares) = (sum(&[start]), squares(&[start]));
        add_batch(&mut together, &mut together_squares, &values, largest);
        let all: Vec<f64> = values.iter().copied().chain([start]).collect();
        prop_assert_eq!(bytes(&together), bytes(&sum(&all)));
        prop_assert_eq!(bytes(&together_squares), bytes(&squares(&all)));
    }
}
