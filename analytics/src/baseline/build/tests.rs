//! Tests of building baselines.

use driftline_capture::columns::Column;
use driftline_config::TimeZone;
use driftline_config::time::{DAY_US, parse_instant_us};
use proptest::prelude::*;

use super::choose::thinned;
use super::*;
use crate::baseline::{BaselineColumn, NumericBaseline};
use crate::cells::NumericReference;
use crate::statistics::KolmogorovSmirnov;
use crate::window::fixtures::{Row, batch, build, ordinary_rows, schema};

fn numeric<'a>(baseline: &'a Baseline, subject: &str) -> &'a NumericBaseline {
    match baseline.column(subject) {
        Some(BaselineColumn::Numeric(column)) => column,
        other => panic!("{subject}: {other:?}"),
    }
}

fn options(held_out_predictions: bool) -> BuildOptions {
    BuildOptions {
        cut_points: CutPoints::default(),
        own_windows: None,
        held_out_predictions,
        limits: Limits::default(),
    }
}

#[test]
fn every_row_is_counted_once() {
    let mut rows = ordinary_rows();
    rows[0].status = Some(500);
    rows[1].status = Some(200);
    rows[2].delay = None;
    rows[3].delay = Some(f64::NAN);
    rows[4].delay_text = Some("late".into());
    let built = build(&rows, CutPoints::default(), None);
    let column = numeric(&built.baseline, "feature:delay");
    assert_eq!(built.baseline.rows, 999);
    assert_eq!((column.n, column.missing, column.nan, column.wrong_type), (996, 2, 1, 1));
    assert_eq!(column.counts.to_vec().iter().sum::<u64>(), 996);
    assert!(column.exact && !column.discrete);
    assert_eq!(column.distinct, 100);
    assert_eq!(column.own_windows, None);
    assert!(built.own_windows.is_empty());
    assert_eq!(built.baseline.columns_seen.len(), 4);
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let rows = ordinary_rows();
    let reversed: Vec<Row> = rows.iter().rev().cloned().collect();
    let rule = Some(OwnWindowRule { grid: WindowGrid::every(3_600_000_000), at_least: 100 });
    for limit in [CutPoints::All, CutPoints::AtMost(16)] {
        let one = build(&rows, limit, rule.clone()).baseline;
        let two = build(&reversed, limit, rule.clone()).baseline;
        assert_eq!(one.to_json(), two.to_json());
        assert_eq!(one.sha256, two.sha256);
    }
}

#[test]
fn own_windows_are_carried_like_running_ones() {
    // 60 rows an hour; a window under 100 rows takes in the next; 40 rows at the end stay open.
    let rule = OwnWindowRule { grid: WindowGrid::every(3_600_000_000), at_least: 100 };
    let built = build(&ordinary_rows(), CutPoints::All, Some(rule.clone()));
    let windows = built.baseline.windows.as_ref().unwrap();
    assert_eq!(windows.windows.len(), 8);
    assert!(windows.windows.iter().all(|&(_, rows)| rows == 120));
    assert_eq!(windows.rows_range(), Some((120, 120)));
    assert_eq!(windows.windows[1].0 - windows.windows[0].0, 2 * rule.grid.every_us());
    assert_eq!(built.own_windows.len(), 8);
    // Each own window against the rest, by definition.
    let column = numeric(&built.baseline, "feature:delay");
    let reference = NumericReference::new(column.cut_points.clone());
    let own = column.own_windows.as_ref().unwrap();
    for ((_, window), statistic) in built.own_windows.iter().zip(&own.statistics) {
        let crate::cells::Cell::Numeric(cell) = &window.features()[0] else { panic!("numeric") };
        let counts = cell.counts(&reference);
        let rest: Vec<u64> =
            column.counts.to_vec().iter().zip(&counts).map(|(all, own)| all - own).collect();
        assert_eq!(rest.iter().sum::<u64>(), 880);
        let ks = KolmogorovSmirnov::of(&rest, &counts).unwrap();
        assert_eq!(ks.distance, *statistic);
    }
    assert_eq!(built.baseline.provenance.first_us, Some(0));
    assert_eq!(built.baseline.provenance.last_us, Some(999 * 60_000_000));
}

/// From Saturday to Tuesday in Paris, where Sunday has 25 hours: ten rows an hour, and three hours more
/// that are no day.
#[test]
fn own_windows_are_days_of_their_zone() {
    let start_us = parse_instant_us("2026-10-23T22:00:00Z").unwrap();
    let rows: Vec<Row> = ordinary_rows()
        .into_iter()
        .map(|row| Row { time_us: start_us + row.time_us * 6, ..row })
        .collect();
    let days = |zone| {
        let grid = WindowGrid::new(DAY_US, TimeZone::named(zone));
        let rule = OwnWindowRule { grid: grid.clone(), at_least: 100 };
        let baseline = build(&rows, CutPoints::All, Some(rule)).baseline;
        let read = Baseline::parse(&baseline.to_json()).unwrap();
        assert_eq!(read, baseline, "{zone}");
        let windows = read.windows.unwrap();
        assert_eq!(windows.grid(), grid, "{zone}");
        for column in read.columns.iter().filter_map(|column| column.own_windows()) {
            assert_eq!(column.grid(), grid, "{zone}");
        }
        windows.windows.into_iter().map(|(_, rows)| rows).collect::<Vec<u64>>()
    };
    assert_eq!(days("Europe/Paris"), [240, 250, 240, 240]);
    // The first, carried from two hours of a day, begins inside and is none.
    assert_eq!(days("UTC"), [240, 240, 240]);
}

#[test]
fn a_single_own_window_has_nothing_to_be_compared_with() {
    let rule = OwnWindowRule { grid: WindowGrid::every(86_400_000_000 * 7), at_least: 1 };
    let rows: Vec<Row> = ordinary_rows()
        .into_iter()
        .map(|row| Row { time_us: row.time_us + driftline_config::time::ALIGNMENT_US, ..row })
        .collect();
    let built = build(&rows, CutPoints::All, Some(rule));
    assert_eq!(built.own_windows.len(), 1);
    assert!(built.baseline.columns.iter().all(|column| column.own_windows().is_none()));
}

#[test]
fn categories_beyond_the_names_are_known_by_hash() {
    let rows: Vec<Row> = (0..300)
        .map(|i| Row { carrier: Some(format!("c{}", i % 120)), ..Row::default() })
        .collect();
    let check = |categories: usize, category_hashes: usize, expected: (usize, usize, u64, bool)| {
        let limits = Limits { categories, category_hashes, ..Limits::default() };
        let options = BuildOptions { limits, ..options(true) };
        let mut builder = Builder::new(schema(), options).unwrap();
        builder.observe(&batch(&rows));
        let mut counting = builder.choose();
        counting.count(&batch(&rows));
        let baseline = counting.finish("test").unwrap().baseline;
        let Some(BaselineColumn::Categorical(column)) = baseline.column("feature:carrier") else {
            panic!("categorical")
        };
        assert_eq!(
            (
                column.categories.len(),
                column.other_hashes.len(),
                column.other,
                column.too_many_values
            ),
            expected
        );
        assert_eq!(column.n, 300);
        assert_eq!(Baseline::parse(&baseline.to_json()), Ok(baseline));
    };
    check(1000, 100_000, (120, 0, 0, false));
    check(50, 100_000, (50, 70, 150, false));
    check(50, 119, (0, 0, 300, true));
}

#[test]
fn categories_of_one_day_are_expected_also_where_they_are_known_by_hash_alone() {
    // Two rows of each day have a category that no other day has; one category is kept by name.
    let day_us = driftline_config::time::DAY_US;
    let row = |day: i64, i: i64| Row {
        time_us: driftline_config::time::ALIGNMENT_US + day * day_us + i * day_us / 10,
        carrier: Some(if i < 2 { format!("of day {day}") } else { "UA".to_owned() }),
        ..Row::default()
    };
    let rows: Vec<Row> = (0..20)
        .flat_map(|day| (0..10).map(move |i| (day, i)))
        .map(|(day, i)| row(day, i))
        .collect();
    for categories in [1, 1000] {
        let limits = Limits { categories, ..Limits::default() };
        let own_windows = Some(OwnWindowRule { grid: WindowGrid::every(day_us), at_least: 1 });
        let options = BuildOptions { limits, own_windows, ..options(true) };
        let mut builder = Builder::new(schema(), options).unwrap();
        builder.observe(&batch(&rows));
        let mut counting = builder.choose();
        counting.count(&batch(&rows));
        let baseline = counting.finish("test").unwrap().baseline;
        let own = baseline.own_effects.as_ref().unwrap();
        let new = own.of(&"feature:carrier".into(), crate::budget::Measured::NewValues).unwrap();
        assert_eq!(new.expected, Some([40, 200]), "{categories} by name");
        assert_eq!(Baseline::parse(&baseline.to_json()), Ok(baseline));
    }
}

#[test]
fn judged_categories_are_the_largest_until_99_percent_and_at_most_50() {
    let judged = |texts: Vec<String>| {
        let rows: Vec<Row> =
            texts.into_iter().map(|t| Row { carrier: Some(t), ..Row::default() }).collect();
        match build(&rows, CutPoints::All, None).baseline.column("feature:carrier") {
            Some(BaselineColumn::Categorical(column)) => column.judged,
            _ => panic!("categorical"),
        }
    };
    assert_eq!(
        judged((0..1000).map(|i| if i < 990 { "a".into() } else { format!("r{i}") }).collect()),
        1
    );
    assert_eq!(
        judged((0..1000).map(|i| if i < 989 { "a".into() } else { format!("r{i}") }).collect()),
        2
    );
    assert_eq!(judged((0..1000).map(|i| format!("c{}", i % 100)).collect()), 50);
    assert_eq!(judged(vec!["a".into(), "b".into()]), 2);
}

#[test]
fn few_values_have_a_bin_each() {
    let rows: Vec<Row> = [1.0, 1.0, 1.0, 2.0, 5.0, 5.0]
        .map(|delay| Row { delay: Some(delay), ..Row::default() })
        .to_vec();
    let baseline = build(&rows, CutPoints::default(), None).baseline;
    let column = numeric(&baseline, "feature:delay");
    assert!(column.discrete);
    let bins: Vec<_> = column.psi_bins.iter().map(|bin| (bin.to, bin.count)).collect();
    assert_eq!(bins, [(Some(1.0), 3), (Some(2.0), 1), (None, 2)]);
}

#[test]
fn what_cannot_be_a_baseline_is_refused_in_a_sentence() {
    let refused = Builder::new(schema(), options(false)).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("prediction:score would become a baseline"), "{refused}");
    let mut without = schema();
    without.columns.retain(|column: &Column| !column.is_prediction());
    assert!(Builder::new(without, options(false)).is_ok());
    let few = Limits { columns: 2, ..Limits::default() };
    let refused = Builder::new(schema(), BuildOptions { limits: few, ..options(true) });
    assert_eq!(
        refused.map(|_| ()).unwrap_err(),
        BuildError::TooManyColumns { columns: 3, limit: 2 }
    );
    let counting = Builder::new(schema(), options(true)).unwrap().choose();
    assert_eq!(counting.finish("test").map(|_| ()).unwrap_err(), BuildError::NoRows);
}

#[test]
fn a_source_that_changed_between_the_passes_is_refused() {
    let rows = ordinary_rows();
    let mut another = rows.clone();
    another[0].delay = Some(0.25);
    let mut renamed = rows.clone();
    renamed[0].carrier = Some("ZZ".into());
    for (second, subject) in [
        (another, "feature:delay"),
        (renamed, "feature:carrier"),
        (rows[1..].to_vec(), "feature:delay"),
    ] {
        let mut builder = Builder::new(schema(), options(true)).unwrap();
        builder.observe(&batch(&rows));
        let mut counting = builder.choose();
        counting.count(&batch(&second));
        let refused = counting.finish("test").map(|_| ()).unwrap_err();
        assert_eq!(refused, BuildError::SourceChanged { subject: subject.into() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn thinned_cut_points_leave_no_wide_gap(
        values in prop::collection::vec(prop_oneof![3 => 0_i32..1000, 1 => 500_i32..503], 30..800),
        most in 1_usize..40,
    ) {
        let mut sorted: Vec<f64> = values.into_iter().map(f64::from).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let cuts = thinned(&sorted, most);
        prop_assert!(cuts.len() <= most);
        let reference = NumericReference::new(cuts.as_slice().into());
        let mut counts = vec![0_usize; reference.slots()];
        sorted.iter().for_each(|&value| counts[reference.slot(value) as usize] += 1);
        for gap in counts.iter().step_by(2) {
            prop_assert!(gap * most <= sorted.len(), "{gap} of {} in a gap", sorted.len());
        }
    }

    #[test]
    fn thinning_brackets_the_distance(
        reference in prop::collection::vec(0_i32..300, 50..300),
        window in prop::collection::vec(-20_i32..320, 10..100),
        most in 2_usize..30,
    ) {
        let rows = |values: &[i32]| -> Vec<Row> {
            let row = |&value| Row { delay: Some(f64::from(value)), ..Row::default() };
            values.iter().map(row).collect()
        };
        let distance = |limit| {
            let baseline = build(&rows(&reference), limit, None).baseline;
            let column = numeric(&baseline, "feature:delay");
            let cuts = NumericReference::new(column.cut_points.clone());
            let mut counts = vec![0_u64; cuts.slots()];
            window.iter().for_each(|&v| counts[cuts.slot(f64::from(v)) as usize] += 1);
            column.counts.compare(&counts).unwrap().distance
        };
        let (exact, grid) = (distance(CutPoints::All), distance(CutPoints::AtMost(most)));
        prop_assert!(grid <= exact + 1e-12 && exact <= grid + 1.0 / most as f64 + 1e-12);
    }
}
