//! Tests of windows: any split and order gives the same bytes, and no bytes do harm.

use proptest::prelude::*;

use super::fixtures::{Row, batch, layout, ordinary_rows};
use super::*;

fn absorb(layout: &Layout, rows: &[Row]) -> WindowState {
    let mut window = WindowState::default();
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    window.absorb(layout, &batch(rows), &all);
    window
}

fn bytes(window: &WindowState) -> Vec<u8> {
    let mut out = Vec::new();
    window.encode(&mut out);
    out
}

fn row(version: &str) -> Row {
    Row { version: Some(version.to_owned()), score: Some(0.5), ..Row::default() }
}

#[test]
fn rows_are_counted_where_they_belong() {
    let layout = layout();
    let window = absorb(
        &layout,
        &[
            Row {
                time_us: 5,
                latency_us: Some(700),
                status: Some(200),
                delay: Some(3.0),
                carrier: Some("UA".into()),
                score: Some(0.5),
                unknown: vec!["feature:new".into()],
                ..row("3")
            },
            Row { time_us: 2, delay_text: Some("late".into()), carrier: None, ..row("3") },
            // A failure counts for requests, errors and latency only.
            Row {
                time_us: 9,
                latency_us: Some(9000),
                status: Some(500),
                delay: Some(1e9),
                unknown: vec!["feature:other".into()],
                ..row("4")
            },
        ],
    );
    assert_eq!((window.rows(), window.span_us()), (3, Some((2, 9))));
    assert_eq!((window.requests().requests(), window.requests().failures()), (3, 1));
    assert_eq!(window.latency().n(), 2);
    let counts: Vec<_> =
        window.features().iter().map(|c| (c.n(), c.missing(), c.wrong_type())).collect();
    assert_eq!(counts, [(1, 0, 1), (1, 1, 0)]);
    assert_eq!(window.features()[0].examples().names(), [("late", 1)]);
    assert_eq!(window.unknown_columns().names(), [("feature:new", 1)]);
    let versions: Vec<_> = window
        .versions()
        .into_iter()
        .map(|(name, version)| {
            (name, version.rows(), version.predictions().first().map_or(0, Cell::n))
        })
        .collect();
    assert_eq!(versions, [("3", 2, 2), ("4", 1, 0)]);
}

#[test]
fn rows_that_are_not_named_are_not_counted() {
    let layout = layout();
    let rows = ordinary_rows();
    let mut window = WindowState::default();
    window.absorb(&layout, &batch(&rows), &[1, 4]);
    assert_eq!(bytes(&window), bytes(&absorb(&layout, &[rows[1].clone(), rows[4].clone()])));
}

#[test]
fn versions_beyond_the_limit_are_one_whatever_came_first() {
    let layout = layout();
    let rows: Vec<Row> = (0..60).map(|i| row(&format!("v{}", i % 6))).collect();
    let reversed: Vec<Row> = rows.iter().rev().cloned().collect();
    let window = absorb(&layout, &rows);
    assert_eq!(bytes(&window), bytes(&absorb(&layout, &reversed)));
    assert!(window.versions().iter().all(|(_, version)| version.rows() == 10));
    assert_eq!(window.versions().len(), 4);
    let other = window.other_versions().unwrap();
    assert_eq!((other.rows(), other.predictions()[0].n()), (20, 20));
}

/// With a lower limit than its windows were opened under, the service did not start again.
#[test]
fn a_window_is_read_back_under_any_limits() {
    let name = "x".repeat(5000);
    let rows: Vec<Row> = (0..60)
        .map(|i| Row { unknown: vec![format!("feature:{name}{i}")], ..row(&format!("v{}", i % 6)) })
        .collect();
    let built = fixtures::build(&rows, crate::baseline::build::CutPoints::default(), None);
    let baseline = std::sync::Arc::new(built.baseline);
    let limited = |versions| {
        let limits = driftline_config::Limits { versions, ..Default::default() };
        Layout::of_baseline(&baseline, &limits)
    };
    let (before, after) = (limited(6), limited(4));
    let stored = bytes(&absorb(&before, &rows));
    assert_eq!(WindowState::decode(&before, &stored).unwrap().versions().len(), 6);
    let read = WindowState::decode(&after, &stored).unwrap();
    assert_eq!(bytes(&read), bytes(&absorb(&after, &rows)));
}

#[test]
fn a_thousand_models_fit_into_a_gigabyte() {
    // 1000 models of 20 features with two open windows of 500 rows each: 20 times two thirds of
    // this window's columns are features, and the cut points are as many as by default.
    let rows: Vec<Row> = (0..4096_i64)
        .map(|i| Row { delay: Some(i as f64), score: Some(i as f64), ..Row::default() })
        .collect();
    let built = fixtures::build(&rows, crate::baseline::build::CutPoints::AtMost(1024), None);
    let limits = driftline_config::Limits::default();
    let layout = Layout::of_baseline(&std::sync::Arc::new(built.baseline), &limits);
    let few: Vec<Row> = rows.iter().step_by(8).take(500).cloned().collect();
    let window = absorb(&layout, &few);
    let numeric = &window.features()[0];
    assert_eq!(numeric.n(), 500);
    let column = numeric.bytes() + size_of::<Cell>();
    assert!(column * 1000 * 20 * 2 < 500 << 20, "{column} bytes a column");
    assert!(WindowState::default().bytes() < 1024);
}

#[test]
fn a_newer_encoding_is_refused_by_its_number() {
    let layout = layout();
    let mut stored = bytes(&absorb(&layout, &ordinary_rows()));
    stored[0] = 3;
    let refused = WindowState::decode(&layout, &stored);
    assert_eq!(refused, Err(crate::DecodeError::Version { found: 3, known: 2 }));
}

fn any_row() -> impl Strategy<Value = Row> {
    let delay = prop_oneof![
        4 => (-30_i32..100).prop_map(f64::from),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 0.1]),
    ];
    let carrier = prop::sample::select(vec!["UA", "AA", "B6", "new 1", "new 2", ""]);
    let version = prop::sample::select(vec!["1", "2", "3", "4", "5", "6"]);
    (
        (0_i64..1_000_000, prop::option::of(version), prop::option::of(-1_i64..10_000_000)),
        (prop::option::of(prop::sample::select(vec![100, 200, 302, 404, 500])), 1_u32..5),
        (prop::option::of(delay), prop::bool::weighted(0.1), prop::option::of(carrier)),
        (prop::option::of(0.0..1.0), prop::bool::weighted(0.1)),
    )
        .prop_map(|(head, (status, rate), (delay, text, carrier), (score, unknown))| Row {
            time_us: head.0,
            version: head.1.map(str::to_owned),
            latency_us: head.2,
            status,
            sample_rate: Some(1.0 / f64::from(rate)),
            delay_text: text.then(|| format!("text {}", head.0 % 5)),
            delay,
            carrier: carrier.map(str::to_owned),
            score,
            unknown: if unknown { vec![format!("feature:u{}", head.0 % 3)] } else { Vec::new() },
        })
}

/// Rows that are a run, of one version or one status, need no look at each; backwards they do.
#[test]
fn a_run_is_counted_as_its_rows_backwards() {
    let layout = layout();
    let check = |rows: &[Row]| {
        let expected = {
            let mut window = WindowState::default();
            let backwards: Vec<u32> = (0..rows.len() as u32).rev().collect();
            window.absorb(&layout, &batch(rows), &backwards);
            bytes(&window)
        };
        assert_eq!(bytes(&absorb(&layout, rows)), expected, "{rows:?}");
        for at in 0..=rows.len() {
            let mut window = WindowState::default();
            let (first, second) = rows.split_at(at);
            window.absorb_all(&layout, &[batch(first), batch(second)]);
            assert_eq!(bytes(&window), expected, "{rows:?} cut at {at}");
        }
    };
    let versions: [&[Option<&str>]; 8] = [
        &[Some("3"), Some("3"), Some("3")],
        &[Some("3"), Some("4"), Some("3")],
        &[Some("a"), Some("aa"), Some("aaa")],
        &[Some("ab"), Some("ab"), Some("ac")],
        &[Some(""), Some(""), None],
        &[Some(""), Some(""), Some("")],
        &[None, None, None],
        &[Some("3"), None, Some("3")],
    ];
    let statuses = [
        [None; 3],
        [Some(200); 3],
        [Some(503); 3],
        [Some(200), Some(404), Some(200)],
        [Some(200), None, None],
    ];
    let rates = [[1.0; 3], [1.0, 0.25, 1.0], [f64::NAN; 3], [0.0, 2.0, 1.0]];
    for version in versions {
        for status in statuses {
            for rate in rates {
                let row = |at: usize| Row {
                    time_us: 7 - at as i64,
                    version: version[at].map(str::to_owned),
                    status: status[at],
                    sample_rate: Some(rate[at]),
                    delay: Some(at as f64),
                    score: Some(0.5),
                    ..Row::default()
                };
                check(&[row(0), row(1), row(2)]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_split_and_order_gives_the_same_bytes(
        rows in prop::collection::vec(any_row(), 1..150),
        parts in prop::collection::vec(0_usize..4, 150),
        order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
        size in 1_usize..40,
    ) {
        let layout = layout();
        let whole = absorb(&layout, &rows);
        let mut merged = WindowState::default();
        for part in order {
            let mine: Vec<Row> = rows.iter().zip(&parts)
                .filter(|(_, p)| **p == part).map(|(row, _)| row.clone()).rev().collect();
            let mut window = WindowState::default();
            for batch_rows in mine.chunks(size) {
                window.merge(&layout, &absorb(&layout, batch_rows));
            }
            // Through the checkpoint, too.
            let stored = WindowState::decode(&layout, &bytes(&window)).unwrap();
            prop_assert_eq!(&stored, &window);
            let mut joined = stored;
            joined.merge(&layout, &merged);
            merged = joined;
        }
        prop_assert_eq!(bytes(&whole), bytes(&merged));
    }

    #[test]
    fn no_bytes_do_harm(
        rows in prop::collection::vec(any_row(), 1..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let layout = layout();
        let window = absorb(&layout, &rows);
        let good = bytes(&window);
        prop_assert!(WindowState::decode(&layout, &good[..cut.index(good.len())]).is_err());
        let mut changed = good.clone();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        let mut prefixed = vec![1];
        prefixed.extend(noise);
        for bytes in [changed, prefixed] {
            // What is accepted can be used.
            if let Ok(mut accepted) = WindowState::decode(&layout, &bytes) {
                accepted.merge(&layout, &window);
                let moments = accepted.features().iter().map(|cell| match cell {
                    Cell::Numeric(cell) => cell.moments().mean,
                    Cell::Categorical(_) => None,
                });
                moments.for_each(drop);
                accepted.encode(&mut Vec::new());
            }
        }
        let mut long = good;
        long.push(0);
        prop_assert_eq!(
            WindowState::decode(&layout, &long),
            Err(crate::DecodeError::TooLong { left: 1 })
        );
    }
}
