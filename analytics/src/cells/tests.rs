//! Tests of the counters of single columns.

use std::collections::BTreeMap;

use arrow::array::{Float64Array, StringArray};
use proptest::prelude::*;

use super::*;

const INF: f64 = f64::INFINITY;

fn counted_by(cut_points: &[f64]) -> NumericReference {
    NumericReference::new(cut_points.into())
}

fn count(reference: &NumericReference, values: &[f64]) -> NumericCell {
    let array = Float64Array::from(values.to_vec());
    let rows: Vec<u32> = (0..values.len() as u32).collect();
    let mut cell = NumericCell::default();
    let column = Values { values: &array, wrong_type: None, rows: Chosen::new(&rows) };
    cell.absorb(reference, column, &mut Scratch::default());
    cell
}

#[test]
fn t1_counters_of_the_reference() {
    let reference = counted_by(&[-1.2, -0.5, 0.0, 0.3, 0.7, 1.1, 2.0, 3.5]);
    let window = [-2.0, -0.5, 0.1, 0.3, 0.3, 0.9, 1.1, 2.5, 2.6, 4.0, INF, f64::NAN];
    let cell = count(&reference, &window);
    assert_eq!(cell.counts(&reference), [1, 0, 0, 1, 0, 0, 1, 2, 0, 0, 1, 1, 0, 0, 2, 0, 2]);
    assert_eq!((cell.n(), cell.nan(), cell.missing()), (11, 1, 1));
    let moments = cell.moments();
    assert_eq!((moments.n, moments.positive_infinities), (10, 1));
    assert_eq!((moments.min, moments.max), (Some(-2.0), Some(4.0)));
    let own = count(&reference, &[-1.2, -0.5, -0.0, 0.0, 0.3, 0.7, 1.1, 1.1, 2.0, 3.5]);
    assert_eq!(own.counts(&reference)[5], 2, "-0.0 equals 0.0");
    let ks =
        crate::statistics::KolmogorovSmirnov::of(&own.counts(&reference), &cell.counts(&reference));
    assert!((ks.unwrap().distance - 29.0 / 110.0).abs() < 1e-15);
}

#[test]
fn values_outside_all_cut_points_and_without_any() {
    let reference = counted_by(&[-INF, 1.0, INF]);
    let counts = count(&reference, &[-INF, f64::MIN, 1.0, f64::MAX, INF]).counts(&reference);
    assert_eq!(counts, [0, 1, 1, 1, 1, 1, 0]);
    let none = counted_by(&[]);
    assert_eq!(count(&none, &[1.0, -INF]).counts(&none), [2]);
}

#[test]
fn a_value_of_the_wrong_type_is_not_missing() {
    let values = Float64Array::from(vec![Some(1.0), None, None, None]);
    let texts = StringArray::from(vec![None, Some("twelve"), None, Some("twelve")]);
    let reference = counted_by(&[1.0]);
    let mut cell = NumericCell::default();
    let rows = [0, 1, 2, 3];
    let column = Values { values: &values, wrong_type: Some(&texts), rows: Chosen::new(&rows) };
    cell.absorb(&reference, column, &mut Scratch::default());
    assert_eq!((cell.n(), cell.missing(), cell.wrong_type()), (1, 1, 2));
    assert_eq!(cell.examples().names(), [("twelve", 2)]);
}

#[test]
fn categories_are_named_known_or_new() {
    let hashes = [crate::names::keyed_hash("HA")];
    let reference = CategoricalReference::new(["UA", "AA", ""], &hashes, false);
    let values =
        StringArray::from(vec![Some("UA"), Some(""), None, Some("HA"), Some("ZZ"), Some("UA")]);
    let mut cell = CategoricalCell::default();
    let rows = [0, 1, 2, 3, 4, 5];
    let column = Values { values: &values, wrong_type: None, rows: Chosen::new(&rows) };
    cell.absorb(&reference, column, &mut Scratch::default());
    assert_eq!(cell.counts(&reference), [2, 0, 1]);
    assert_eq!((cell.n(), cell.missing(), cell.other(), cell.new_values()), (5, 1, 1, 1));
    assert_eq!(cell.new_names().names(), [("ZZ", 1)]);
    assert_eq!(cell.judged_counts(1), [2, 3]);
    let unbounded = CategoricalReference::new([], &[], true);
    let mut cell = CategoricalCell::default();
    let column = Values { values: &values, wrong_type: None, rows: Chosen::new(&rows) };
    cell.absorb(&unbounded, column, &mut Scratch::default());
    assert_eq!((cell.n(), cell.other(), cell.new_values()), (5, 5, 0));
}

#[test]
fn latencies_beyond_an_hour_are_kept_in_their_exact_counts() {
    let mut cell = LatencyCell::default();
    for latency_us in [-5, 0, 50_000, 50_001, i64::MAX] {
        cell.record(latency_us, Some(50_000));
    }
    assert_eq!((cell.n(), cell.over(), cell.beyond()), (4, 2, 1));
    assert_eq!(cell.range_us(), Some((0, i64::MAX as u64)));
    assert_eq!(cell.histogram().unwrap().len(), 4);
    let mut out = Vec::new();
    cell.encode(&mut out);
    assert_eq!(LatencyCell::decode(&mut Reader::new(&out)), Ok(cell));
}

#[test]
fn requests_are_weighted_by_what_they_stand_for() {
    let mut sampled = RequestCell::default();
    sampled.record(StatusClass::of(Some(200)), 1.0);
    sampled.record(StatusClass::of(Some(503)), 0.25);
    sampled.record(StatusClass::of(None), 0.0);
    assert_eq!((sampled.requests(), sampled.failures()), (3, 1));
    assert_eq!((sampled.weighted_requests(), sampled.weighted_failures()), (6.0, 4.0));
    let mut plain = RequestCell::default();
    plain.record(StatusClass::of(Some(404)), 1.0);
    let mut left = plain.clone();
    left.merge(&sampled);
    sampled.merge(&plain);
    assert_eq!(left, sampled);
    assert_eq!(left.weighted_failures(), 5.0);
    for (status, name) in [(99, "none"), (100, "1xx"), (399, "3xx"), (400, "4xx"), (700, "5xx")] {
        assert_eq!(StatusClass::of(Some(status)).name(), name);
    }
}

/// Two rows that each stood for 1e308 requests had a sum that is no number: the checkpoint said null, and
/// the next start refused it.
#[test]
fn no_row_stands_for_so_many_that_a_sum_is_no_number() {
    for (rate, expected) in [
        (1.0, 1.0),
        (0.5, 2.0),
        (1e-9, 1.0 / 1e-9),
        (0.99e-9, 1.0),
        (1e-308, 1.0),
        (f64::from_bits(1), 1.0),
        (0.0, 1.0),
        (-0.5, 1.0),
        (1.5, 1.0),
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
    ] {
        assert_eq!(weight(rate), expected, "{rate}");
        let mut cell = RequestCell::default();
        cell.record(StatusClass::Success, rate);
        cell.record(StatusClass::Success, rate);
        assert_eq!(cell.weighted_requests(), 2.0 * expected, "{rate}");
    }
}

#[test]
fn counters_leave_32_bits_unharmed() {
    let runs = |count: u64| {
        let mut bytes = vec![1, 3];
        crate::encoding::put_varint(&mut bytes, count);
        bytes
    };
    for slots in [8, 2049] {
        let nearly = runs(u64::from(u32::MAX) - 1);
        let mut counters = Slots::decode(&mut Reader::new(&nearly), slots).unwrap();
        counters.count(slots, &mut [3, 3, 3, 5]);
        counters.merge(slots, &counters.clone());
        let expected = 2 * (u64::from(u32::MAX) + 2);
        assert_eq!(counters.used().collect::<Vec<_>>(), [(3, expected), (5, 2)]);
        let mut many = vec![3; 100];
        counters.count(slots, &mut many);
        assert_eq!(counters.total(), expected + 102);
        // A list that may become an array, and must not become one of 32 bits.
        let mut counters = Slots::decode(&mut Reader::new(&nearly), slots).unwrap();
        let mut all: Vec<u32> = (0..slots as u32).cycle().take(2 * slots.max(12)).collect();
        let of_slot_3 = all.iter().filter(|&&slot| slot == 3).count() as u64;
        counters.count(slots, &mut all);
        assert_eq!(counters.total(), u64::from(u32::MAX) - 1 + all.len() as u64);
        let counts = counters.to_vec(slots);
        assert_eq!(counts[3], u64::from(u32::MAX) - 1 + of_slot_3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn counters_equal_a_plain_map(
        slots in 1_u32..400,
        batches in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..60), 0..20),
        split in 0_usize..20,
    ) {
        let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
        let (mut left, mut right) = (Slots::default(), Slots::default());
        for (i, batch) in batches.iter().enumerate() {
            let mut indices: Vec<u32> = batch.iter().map(|index| index % slots).collect();
            indices.iter().for_each(|&index| *expected.entry(index).or_default() += 1);
            let part = if i < split { &mut left } else { &mut right };
            part.count(slots as usize, &mut indices);
        }
        let mut other_way = right.clone();
        other_way.merge(slots as usize, &left);
        left.merge(slots as usize, &right);
        prop_assert_eq!(&left, &other_way);
        prop_assert!(left.used().eq(expected));
        let mut bytes = Vec::new();
        left.encode(&mut bytes);
        let decoded = Slots::decode(&mut Reader::new(&bytes), slots as usize).unwrap();
        prop_assert_eq!(decoded, left);
    }

    #[test]
    fn a_slot_is_what_sorting_says(
        mut cuts in prop::collection::vec(-20_i32..20, 0..30),
        value in -25_i32..25,
    ) {
        cuts.sort_unstable();
        cuts.dedup();
        let below = cuts.iter().filter(|&&cut| cut < value).count();
        let up_to = cuts.iter().filter(|&&cut| cut <= value).count();
        let cuts: Vec<f64> = cuts.into_iter().map(f64::from).collect();
        prop_assert_eq!(
            counted_by(&cuts).slot(f64::from(value)) as usize,
            below + up_to
        );
    }
}

/// Cut points as baselines have them: ascending, distinct, without NaN and -0.0.
fn cut_points() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        4 => -100.0..100.0_f64,
        2 => (-20_i32..20).prop_map(f64::from),
        2 => (-300_i32..300).prop_map(|power| 10_f64.powi(power)),
        1 => any::<f64>().prop_filter("ordered", |value| !value.is_nan()),
        1 => prop::sample::select(vec![0.0, INF, -INF, f64::MAX, f64::MIN, f64::from_bits(1)]),
    ];
    prop::collection::vec(value, 0..80).prop_map(|mut cuts| {
        cuts.iter_mut().for_each(|cut| *cut += 0.0);
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        cuts
    })
}

proptest! {
    #[test]
    fn a_value_is_found_where_a_binary_search_finds_it(
        cuts in cut_points(),
        mut values in prop::collection::vec(any::<f64>(), 0..40),
    ) {
        let reference = counted_by(&cuts);
        // Cut points and their neighbours, and what lies between and beyond them.
        values.extend(cuts.iter().flat_map(|cut| [*cut, cut.next_up(), cut.next_down()]));
        values.extend(cuts.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0));
        values.extend([0.0, -0.0, INF, -INF]);
        for value in values.into_iter().filter(|value| !value.is_nan()) {
            let below = cuts.partition_point(|cut| *cut < value);
            let through = cuts.partition_point(|cut| *cut <= value);
            prop_assert_eq!(reference.slot(value) as usize, below + through, "{} in {:?}", value, cuts);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn wide_and_plain_instructions_count_the_same(
        cuts in cut_points(),
        values in prop::collection::vec(prop_oneof![
            any::<f64>(), any::<f64>(), -1e3..1e3, Just(0.0), Just(-0.0), Just(f64::NAN), Just(INF), Just(-INF),
        ], 0..500),
    ) {
        let reference = counted_by(&cuts);
        let values = Float64Array::from(values);
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        let column = || Values { values: &values, wrong_type: None, rows: Chosen::new(&rows) };
        let (mut wide, mut plain) = (NumericCell::default(), NumericCell::default());
        wide.absorb(&reference, column(), &mut Scratch::default());
        plain.absorb_plainly(&reference, column(), &mut Scratch::default());
        prop_assert_eq!(wide, plain);
    }
}
