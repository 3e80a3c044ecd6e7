//! Each wrong clock is named, by how much and whose it is; a right one never is.

use std::collections::BTreeMap;

use driftline_config::Partition;
use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

use super::super::clocks::{Now, Sample, Times, compare};
use super::*;

/// A moment of 2026.
const NOW_US: i64 = 1_767_323_045_000_000;
const HALF_HOUR_US: i64 = 30 * MINUTE_US;

/// A row of so long before now, by `ts` and by its record.
fn row(time_ago_us: i64, record_ago_us: i64) -> Times {
    Times { time_us: NOW_US - time_ago_us, record_us: NOW_US - record_ago_us }
}

/// Ten rows of the last ten seconds, by a clock that is so far ahead, whose records another one stamps.
fn rows(ahead_us: i64, records_ahead_us: i64) -> Vec<Times> {
    let ago = |number: i64| (10 - number) * SECOND_US;
    (0..10).map(|number| row(ago(number) - ahead_us, ago(number) - records_ahead_us)).collect()
}

fn sample(rows: Vec<Times>) -> Sample {
    Sample { rows, ..Sample::default() }
}

/// Rows of two producers of one partition, in turns.
fn mixed(one: &[Times], other: &[Times]) -> Vec<Times> {
    one.iter().zip(other).flat_map(|(one, other)| [*one, *other]).collect()
}

fn said(samples: Vec<Sample>) -> Vec<Finding> {
    let samples: BTreeMap<Partition, Sample> = (0..).map(Partition).zip(samples).collect();
    compare("clocks", &samples, Now { now_us: NOW_US, lateness_us: HOUR_US })
}

#[test]
fn right_clocks_are_right() {
    let late = [row(HOUR_US, HOUR_US), row(2 * HOUR_US, HOUR_US - SECOND_US)];
    let table = [
        ("no rows", vec![sample(Vec::new())]),
        ("rows of now", vec![sample(rows(0, 0)), sample(Vec::new())]),
        ("half a minute", vec![sample(rows(MINUTE_US / 2, MINUTE_US / 2)), sample(rows(0, 0))]),
        ("sent long after", vec![sample(rows(-DAY_US, 0))]),
        ("a partition that is silent", vec![sample(rows(-DAY_US, -DAY_US)), sample(rows(0, 0))]),
        ("late within the lateness", vec![sample(late.to_vec())]),
        ("a record of the future, not its row", vec![sample(rows(0, DAY_US))]),
    ];
    for (story, samples) in table {
        let found = said(samples);
        assert!(found.iter().all(|finding| finding.state == State::Ok), "{story}: {found:?}");
    }
}

#[test]
fn a_wrong_clock_is_named_and_whose_it_is() {
    let fast = rows(HALF_HOUR_US, HALF_HOUR_US);
    let stamped = |rows| Sample { broker_stamps: true, ..sample(rows) };
    let grown = |sample| Sample { grew: true, ..sample };
    let far = Times { time_us: 32_472_144_000_000_000, record_us: 32_472_144_000_000_000 };
    let with_far = Sample { first_ahead: Some(far), ..sample(rows(0, 0)) };
    let table: Vec<(&str, Vec<Sample>, &[&str])> = vec![
        (
            "one of four producers, alone on its partition",
            vec![sample(rows(0, 0)), sample(fast.clone()), sample(rows(0, 0)), sample(rows(0, 0))],
            &["partition 1 (10 of 10 rows by up to 29m)", "clock of a producer is fast"],
        ),
        (
            "beside another on its partition",
            vec![sample(mixed(&rows(0, 0), &fast)), sample(rows(0, 0))],
            &["partition 0 (10 of 20 rows by up to 29m)", "clock of a producer is fast"],
        ),
        (
            "everybody's, or ours",
            vec![sample(fast.clone()), sample(fast.clone())],
            &["this machine's clock is slow, or all of theirs are fast"],
        ),
        (
            "a row of the year 2999 long ago",
            vec![with_far],
            &["partition 0 (1 of 11 rows", "clock of a producer is fast"],
        ),
        (
            "a slow one beside a right one",
            vec![sample(mixed(&rows(0, 0), &rows(-HALF_HOUR_US, -HALF_HOUR_US)))],
            &["partition 0 (10 of 20 rows by up to 30m)", "clocks of their producers disagree"],
        ),
        (
            "a slow one alone, whose rows come now",
            vec![grown(sample(rows(-HALF_HOUR_US, -HALF_HOUR_US)))],
            &["clock of a producer is slow, or an older log is being copied"],
        ),
        (
            "a fast one where the broker stamps",
            vec![stamped(rows(HALF_HOUR_US, 0))],
            &["beyond the broker's timestamp", "clock of a producer is fast"],
        ),
        (
            "the broker's is fast",
            vec![stamped(fast.clone())],
            &["timestamps of the broker: its clock is fast or this machine's is slow"],
        ),
        (
            "the broker's is slow",
            vec![grown(stamped(rows(-HALF_HOUR_US, -HALF_HOUR_US)))],
            &["stamped earlier by the broker", "its clock is slow or this machine's is fast"],
        ),
        (
            "another zone writes ts",
            vec![sample(rows(2 * HOUR_US, 0))],
            &["10 of 10 rows by up to 2h", "goes by another clock or zone"],
        ),
    ];
    for (story, samples, parts) in table {
        let found = said(samples);
        assert!(found.iter().all(|finding| finding.state == State::Warn), "{story}: {found:?}");
        for part in parts {
            assert!(found.iter().any(|finding| finding.says.contains(part)), "{story}: {found:?}");
        }
        let misled = |finding: &Finding| finding.says.contains("lateness");
        assert!(!found.iter().any(misled), "{story}: lateness mends no clock: {found:?}");
    }
}

#[test]
fn rows_that_are_late_by_right_clocks_are_the_lateness_business() {
    let ago = [(0, 0), (5 * HOUR_US, 0), (SECOND_US, 0)].map(|(time, record)| row(time, record));
    let found = said(vec![sample(ago.to_vec())]);
    assert_eq!(found.len(), 1);
    assert!(found[0].says.contains("1 of 3 rows by up to 5h"), "{found:?}");
    assert!(found[0].says.contains("raise window.lateness"), "{found:?}");
}
