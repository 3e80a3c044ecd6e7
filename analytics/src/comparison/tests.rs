//! Comparisons: figures computed by hand, and that order and splits change nothing.

use proptest::prelude::*;

use super::*;

fn labels<'a>(champion: &'a str, candidate: &'a str) -> Pair<'a> {
    Pair { labels: Some((champion, candidate)), scores: None, id: None, offset: 0 }
}

fn scores(champion: f64, candidate: f64, id: &str) -> Pair<'_> {
    Pair { labels: None, scores: Some((champion, candidate)), id: Some(id), offset: 0 }
}

fn classes() -> Vec<String> {
    vec!["on-time".to_owned(), "late".to_owned()]
}

#[test]
fn the_table_of_the_contract() {
    let mut comparison = ModelComparison::new(&classes());
    for (champion, candidate, count) in [
        ("on-time", "on-time", 690),
        ("on-time", "late", 31),
        ("late", "on-time", 12),
        ("late", "late", 79),
    ] {
        (0..count).for_each(|_| comparison.add(&labels(champion, candidate)));
    }
    let (names, table) = comparison.table.report();
    assert_eq!(names, classes());
    assert_eq!(table, vec![vec![690, 31], vec![12, 79]]);
    assert_eq!(comparison.table.agreement(), Some(rounded(769.0 / 812.0)));
    // Chance: (721·702 + 91·110) / 812².
    let chance = (721.0 * 702.0 + 91.0 * 110.0) / (812.0 * 812.0);
    let kappa = (769.0 / 812.0 - chance) / (1.0 - chance);
    assert!((comparison.table.kappa().expect("rows") - kappa).abs() < 1e-11);
}

#[test]
fn one_label_alone_has_no_kappa() {
    let mut comparison = ModelComparison::new(&[]);
    comparison.add(&labels("late", "late"));
    assert_eq!(comparison.table.agreement(), Some(1.0));
    assert_eq!(comparison.table.kappa(), None);
    assert_eq!(ModelComparison::new(&[]).table.agreement(), None);
}

#[test]
fn differences_are_candidate_minus_champion() {
    let mut comparison = ModelComparison::new(&[]);
    for pair in
        [scores(0.5, 0.4, "a"), scores(0.2, 0.5, "c"), scores(0.5, 0.2, "d"), scores(0.2, 0.5, "b")]
    {
        comparison.add(&pair);
    }
    let score = comparison.score().expect("scores");
    assert!((score.mean_difference - 0.05).abs() < 1e-12);
    assert!((score.largest_difference - 0.3).abs() < 1e-11);
    // -0.3 at d is as large: the positive one wins, and of those the smaller id.
    assert_eq!(score.largest_at, "b");
}

#[test]
fn latencies_are_told_apart() {
    let mut comparison = ModelComparison::new(&[]);
    comparison.add_batch_time(512, 1_024_000);
    (1..=100).for_each(|time_us| comparison.add_single_time(time_us * 1000));
    assert_eq!(comparison.batch_us_per_row(), Some(2.0));
    let single = comparison.single_us().expect("measured");
    assert_eq!(single.n, 100);
    assert!((single.p50 - 50.0).abs() < 0.5 && (single.p99 - 99.0).abs() < 1.0, "{single:?}");
}

/// Which classes a record counts together as `other` follows it: no two records may differ in that.
#[test]
fn the_hash_of_a_class_never_changes() {
    // Computed by an independent implementation in Python.
    assert_eq!(table::hash_of("on-time"), 6_622_389_324_548_002_329);
}

fn built(rows: &[(u8, u8, f64)]) -> ModelComparison {
    let mut comparison = ModelComparison::new(&["c0".to_owned()]);
    for (champion, candidate, score) in rows {
        let (champion, candidate) = (format!("c{champion}"), format!("c{candidate}"));
        comparison.add(&Pair {
            labels: Some((&champion, &candidate)),
            scores: Some((0.5, *score)),
            id: Some(&champion),
            offset: 0,
        });
    }
    comparison
}

proptest! {
    // Sixty classes overflow the table, so the bottom-k rule is at work.
    #[test]
    fn any_order_and_split_gives_the_same_state(
        rows in proptest::collection::vec((0_u8..60, 0_u8..60, 0.0..1.0_f64), 0..150),
        split in 0_usize..150,
    ) {
        let whole = built(&rows);
        let split = split.min(rows.len());
        let mut backwards = rows[split..].to_vec();
        backwards.reverse();
        let mut merged = built(&backwards);
        merged.merge(&built(&rows[..split]));
        prop_assert_eq!(&merged, &whole);
        let (names, table) = whole.table.report();
        prop_assert!(names.len() <= 33);
        prop_assert_eq!(table.iter().flatten().sum::<u64>(), rows.len() as u64);
    }
}
