//! Stored reports come out of the log again, byte for byte, and differences are named.

use std::time::Duration;

use driftline_analytics::report::Report;
use driftline_ingest::topic_offsets;

use super::*;
use crate::commands::rig::{Rig, TOPIC, day_us, filled};
use driftline_pipeline::snapshot::{Snapshot, StoredReport};
use driftline_store::Store;

fn replayed(rig: &Rig, reports: &[Arc<Report>]) {
    let config = rig.config();
    for report in reports {
        for threads in [1, 4] {
            match replay(&config, &report.window.id, count(threads)).unwrap() {
                Replay::Same(text) => assert_eq!(text, report.to_json()),
                other => panic!("{} in {threads} threads: {other:?}", report.window.id),
            }
        }
    }
}

fn count(threads: usize) -> NonZeroUsize {
    NonZeroUsize::new(threads).unwrap()
}

fn served(rig: &Rig) -> Vec<Arc<Report>> {
    rig.serve().reports.into_iter().map(|(report, _)| report).collect()
}

#[test]
fn every_report_is_the_same_again_also_beside_a_running_service() {
    let rig = filled(50);
    let reports = served(&rig);
    let of = |model: &str| reports.iter().filter(|report| report.model == model).count();
    assert_eq!((of("m"), of("other")), (5, 1));
    let late: u64 = reports.iter().map(|report| report.window.ledger.late).sum();
    assert!(late > 0, "late rows lie in some strip");
    replayed(&rig, &reports);
    let held = Store::open(&rig.config().state, Duration::ZERO, false).unwrap();
    replayed(&rig, &reports);
    drop(held);
}

/// A carried window has a cut per part and its report only the last: rows that came after the cut
/// of their part, and before the last one, were late and must not be counted now.
#[test]
fn a_carried_window_leaves_out_the_late_rows_of_its_parts() {
    let rig = filled(600);
    let reports = served(&rig);
    let carried = reports.iter().find(|report| report.window.parts > 1).unwrap();
    assert!(carried.window.ledger.late > 0);
    replayed(&rig, &reports);
}

#[test]
fn what_differs_or_is_gone_is_named() {
    let rig = filled(50);
    let reports = served(&rig);
    let report = reports.iter().find(|report| report.model == "m").unwrap();
    let config = rig.config();
    let change = |change: &dyn Fn(&mut StoredReport)| {
        let store = Store::open(&config.state, Duration::ZERO, false).unwrap();
        let mut stored = store.report("m", day_us(0)).unwrap().unwrap();
        let before = stored.clone();
        change(&mut stored);
        store.commit(&Snapshot { reports: vec![stored], ..Snapshot::default() }).unwrap();
        drop(store);
        let ended = replay(&config, &report.window.id, count(4));
        let store = Store::open(&config.state, Duration::ZERO, false).unwrap();
        store.commit(&Snapshot { reports: vec![before], ..Snapshot::default() }).unwrap();
        ended
    };
    let rows = format!("\"rows\":{}", report.window.rows);
    let changed = change(&|stored| stored.report = stored.report.replace(&rows, "\"rows\":1"));
    let Ok(Replay::Differs(difference)) = changed else { panic!("{changed:?}") };
    assert_eq!((difference.path.as_str(), difference.stored.as_str()), ("window.rows", "1"));
    assert_eq!(difference.computed, report.window.rows.to_string());

    let cut = report.window.cuts.values().next().unwrap()[&Partition(1)];
    let to = format!("\"to\":{}", cut.to);
    let changed = change(&|stored| stored.report = stored.report.replace(&to, "\"to\":100000"));
    // Nothing was compared: that is no difference, and the exit code is 2.
    let sentence = changed.unwrap_err().to_string();
    assert!(sentence.starts_with(report.window.id.as_str()), "{sentence}");
    let end = topic_offsets(&rig.connection, TOPIC).unwrap()[1].1;
    // However many threads met the end of the log.
    let missing = format!("not hold offsets {end} to 99999 of partition 1 (any more)");
    assert!(sentence.contains(&missing), "{sentence}");

    for id in ["nonsense", "m@20200101T000000Z.1d", "m@20261102T000000Z.2d"] {
        assert!(replay(&config, id, count(1)).is_err(), "{id}");
    }
}

#[test]
fn threads_share_every_offset_once() {
    let range = |partition: i32, from: i64, to: i64| OffsetRange {
        partition: Partition(partition),
        from,
        to,
    };
    let ranges = [range(0, 10, 21), range(1, 0, 2), range(2, 5, 6)];
    for threads in 1..8 {
        let shares = shares(&ranges, threads);
        assert!(shares.len() <= threads);
        let pieces: Vec<OffsetRange> = shares.into_iter().flatten().collect();
        assert!(pieces.iter().all(|piece| piece.from < piece.to), "{pieces:?}");
        assert_eq!(joined(pieces), ranges, "in {threads} threads");
    }
    let apart = [range(0, 0, 2), range(0, 3, 4), range(1, 4, 5)];
    assert_eq!(joined(apart.to_vec()), apart);
}

#[test]
fn the_first_difference_is_found_by_key() {
    let table = [
        (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#, None),
        (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#, Some("b: stored 2, computed 3")),
        (r#"{"a":{"b":[1,2]}}"#, r#"{"a":{"b":[1,5]}}"#, Some("a.b[1]: stored 2, computed 5")),
        (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, Some("a[1]: stored nothing, computed 2")),
        (r#"{"a":1}"#, r#"{"a":1,"c":null}"#, Some("c: stored nothing, computed null")),
        (r#"{"a":1,"c":null}"#, r#"{"a":1}"#, Some("c: stored null, computed nothing")),
        (
            r#"{"findings":[{"subject":"feature:x","check":"missing","n":1}]}"#,
            r#"{"findings":[{"subject":"feature:x","check":"missing","n":2}]}"#,
            Some("findings[0](feature:x missing).n: stored 1, computed 2"),
        ),
        (r#"{"a": 1}"#, r#"{"a":1}"#, Some(r#"byte 5: stored {"a": 1}, computed {"a":1}"#)),
    ];
    for (stored, computed, expected) in table {
        let found = first_difference(stored, computed).map(|difference| difference.to_string());
        assert_eq!(found.as_deref(), expected);
    }
}
