//! Shapes: small, ascending, and as far apart as the KS distance says.

use proptest::prelude::*;

use super::*;
use crate::baseline::OwnWindows;

fn baseline(cut_points: usize, counts: Vec<u64>) -> NumericBaseline {
    NumericBaseline {
        subject: "feature:delay".into(),
        cut_points: (0..cut_points).map(|cut| cut as f64).collect(),
        n: counts.iter().sum(),
        counts: counts.into(),
        missing: 0,
        nan: 0,
        wrong_type: 0,
        distinct: cut_points as u64,
        discrete: false,
        exact: false,
        moments: moments(0.0, cut_points as f64 - 1.0),
        psi_bins: Vec::new(),
        own_windows: None::<OwnWindows>,
    }
}

fn moments(min: f64, max: f64) -> Moments {
    Moments { min: Some(min), max: Some(max), ..Moments::default() }
}

fn of_numbers(baseline: &NumericBaseline, window: &[u64], moments: Moments) -> Option<Shape> {
    let at = baseline.counts.compare(window).and_then(|found| found.at);
    let furthest = at.map(|at| Furthest { cut: at.cut, comparison: at.comparison });
    Shape::of_numbers(baseline, window, furthest, moments)
}

fn points(shape: Option<Shape>) -> Vec<NumericPoint> {
    match shape {
        Some(Shape::Numeric { points }) => points,
        other => panic!("{other:?} has no points"),
    }
}

proptest! {
    #[test]
    fn points_are_few_and_ascending_and_hold_the_ends_and_the_distance(
        (reference, window) in (1_usize..300).prop_flat_map(|cuts| {
            let counts = || prop::collection::vec(prop_oneof![3 => Just(0_u64), 2 => 1_u64..50], 2 * cuts + 1);
            (counts(), counts())
        }),
    ) {
        let cuts = reference.len() / 2;
        let baseline = baseline(cuts, reference);
        let found = baseline.counts.compare(&window);
        let shape = of_numbers(&baseline, &window, moments(-1.0, cuts as f64));
        prop_assert_eq!(shape.is_some(), found.is_some());
        if let Some(found) = found {
            let points = points(shape);
            prop_assert!(points.len() <= POINTS, "{} points", points.len());
            for (one, next) in points.iter().zip(points.iter().skip(1)) {
                prop_assert!(one.x.0 <= next.x.0 && one.reference <= next.reference && one.window <= next.window);
            }
            let ends = [points.first(), points.last()];
            let ends = ends.map(|end| end.map(|point| (point.x.0, point.reference, point.window)));
            prop_assert_eq!(ends, [Some((-1.0, 0.0, 0.0)), Some((cuts as f64, 1.0, 1.0))]);
            let furthest =
                points.iter().map(|point| (point.reference - point.window).abs()).fold(0.0, f64::max);
            prop_assert!((furthest - found.distance).abs() < 1e-6, "{furthest} is not {}", found.distance);
        }
    }
}

#[test]
fn many_cut_points_are_thinned_evenly_in_mass() {
    // 1000 values of equal weight, and a window in which the upper half is twice as frequent.
    let counts = |upper: u64| -> Vec<u64> {
        let at = |slot: usize| {
            if slot.is_multiple_of(2) {
                0
            } else if slot < 1000 {
                1
            } else {
                upper
            }
        };
        (0..2001).map(at).collect()
    };
    let points = points(of_numbers(&baseline(1000, counts(1)), &counts(2), moments(0.0, 999.0)));
    assert!(points.len() > 55, "{} points", points.len());
    for (one, next) in points.iter().zip(points.iter().skip(1)) {
        let step = (next.reference + next.window - one.reference - one.window) / 2.0;
        assert!(step < 0.02, "{step} of the mass lies between {} and {}", one.x.0, next.x.0);
    }
}

#[test]
fn infinite_values_are_ends() {
    let baseline = baseline(2, vec![0, 1, 0, 1, 0]);
    let moments = Moments { positive_infinities: 1, ..moments(0.0, 0.0) };
    let points = points(of_numbers(&baseline, &[0, 1, 0, 0, 1], moments));
    assert_eq!(points.last().map(|point| point.x.0), Some(f64::INFINITY));
    let text = serde_json::to_string(&points).expect("points are written");
    assert!(text.contains("\"inf\""), "{text}");
    let read: Vec<NumericPoint> = serde_json::from_str(&text).expect("points are read");
    assert_eq!(read, points);
}
