//! What a restart finds is what was committed.

use std::time::Duration;

use driftline_analytics::shape::{CategoryPoint, Shape};
use driftline_config::time::DAY_US;

use driftline_pipeline::snapshot::{
    DocumentKey, Encode, IncidentDocument, Increment, LaneKind, OutboxBody, OutboxItem,
    PageDocuments, Pane, Snapshot, StoredReport, StoredShapes, WindowDocument, WindowKey,
};

use super::*;

fn window(start_us: i64) -> WindowKey {
    WindowKey::new("flight-delay", LaneKind::Drift, start_us)
}

fn increment(start_us: i64, bytes: &'static [u8], replaces: bool) -> Increment {
    let encode: Encode = Box::new(move |buffer| buffer.extend_from_slice(bytes));
    Increment { window: window(start_us), replaces, encode }
}

fn report(start_us: i64) -> StoredReport {
    StoredReport {
        model: "flight-delay".to_owned(),
        start_us,
        end_us: start_us + DAY_US,
        report: format!("{{\"start\":{start_us}}}"),
        history: "{}".to_owned(),
        coarse: String::new(),
        config_sha256: "00".to_owned(),
    }
}

fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, Duration::ZERO, false).unwrap()
}

#[test]
fn a_restart_finds_documents_increments_and_outbox_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let item = |sequence| {
        let (key, value) = ("flight-delay".to_owned(), format!("message {sequence}"));
        OutboxItem { sequence, body: OutboxBody::Report { key, value } }
    };
    let key = |name: &str| DocumentKey::Model(name.to_owned());
    store
        .commit(&Snapshot {
            documents: vec![(key("a"), b"1".to_vec()), (key("b"), b"2".to_vec())],
            increments: vec![increment(0, b"one", false), increment(5, b"other", false)],
            outbox: vec![item(1), item(2)],
            ..Snapshot::default()
        })
        .unwrap();
    store
        .commit(&Snapshot {
            documents: vec![(key("a"), b"3".to_vec()), (key("b"), Vec::new())],
            increments: vec![increment(0, b"two", false)],
            outbox_done: vec![1],
            ..Snapshot::default()
        })
        .unwrap();
    drop(store);
    let saved = open(folder.path()).load(&|_| false).unwrap();
    assert_eq!(saved.documents, [("model/a".to_owned(), b"3".to_vec())].into());
    assert_eq!(saved.windows[&window(0)], [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(saved.windows[&window(5)], [b"other".to_vec()]);
    assert_eq!(saved.outbox, [item(2)]);
}

/// Such a row stayed in the store for ever and counted against `limits.outbox`.
#[test]
fn a_damaged_outbox_row_is_told_by_its_number_and_no_other_suffers() {
    let message = |sequence| {
        let (key, value) = ("flight-delay".to_owned(), r#"{"level":"ok"}"#.to_owned());
        OutboxItem { sequence, body: OutboxBody::Report { key, value } }
    };
    let whole = serde_json::to_vec(&message(7).body).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
    damaged.extend((0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] = 0;
        bytes
    }));
    damaged.push(b"from another time".to_vec());
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let outbox = vec![message(1), message(9)];
    store.commit(&Snapshot { outbox, ..Snapshot::default() }).unwrap();
    for bytes in damaged {
        store.write_outbox_row(7, &bytes).unwrap();
        let saved = store.load(&|_| false).unwrap();
        let what = String::from_utf8_lossy(&bytes);
        assert_eq!(
            (saved.outbox, saved.unreadable),
            (vec![message(1), message(9)], vec![7]),
            "{what}"
        );
    }
    // The pipeline says that it is done with it, and it is gone.
    store.commit(&Snapshot { outbox_done: vec![7], ..Snapshot::default() }).unwrap();
    assert_eq!(store.load(&|_| false).unwrap().unreadable, Vec::<u64>::new());
}

/// What could not be written was left out, and what came with it was stored: rows would have counted twice.
#[test]
fn nothing_is_stored_of_a_snapshot_that_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let error = store
        .commit(&Snapshot {
            increments: vec![increment(0, b"one", false)],
            lacks: Some("baseline 12ab is gone".to_owned()),
            ..Snapshot::default()
        })
        .unwrap_err();
    assert!(
        error.to_string().contains("whole: baseline 12ab is gone; what was committed"),
        "{error}"
    );
    assert!(store.load(&|_| false).unwrap().windows.is_empty());
}

#[test]
fn a_replacing_increment_stands_for_all_before_it_and_a_carried_window_moves() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let commit = |increments, carried, dropped| {
        let snapshot = Snapshot { increments, carried, dropped, ..Snapshot::default() };
        store.commit(&snapshot).unwrap();
        store.load(&|_| false).unwrap().windows
    };
    commit(vec![increment(0, b"a", false), increment(0, b"b", false)], vec![], vec![]);
    let folded = commit(vec![increment(0, b"ab", true)], vec![], vec![]);
    assert_eq!(folded[&window(0)], [b"ab".to_vec()]);
    commit(vec![increment(9, b"c", false)], vec![], vec![]);
    let moved = commit(vec![increment(0, b"d", false)], vec![(window(9), window(0))], vec![]);
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[&window(0)], [b"ab".to_vec(), b"c".to_vec(), b"d".to_vec()]);
    // What replaces holds what moved: it was once moved behind it, and counted twice after a restart.
    commit(vec![increment(9, b"e", false)], vec![], vec![]);
    let whole = commit(vec![increment(0, b"abcde", true)], vec![(window(9), window(0))], vec![]);
    assert_eq!(whole[&window(0)], [b"abcde".to_vec()]);
    assert!(commit(vec![], vec![], vec![window(0)]).is_empty());
}

#[test]
fn values_longer_than_a_piece_come_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let encode: Encode = Box::new(|buffer| buffer.resize(600 << 10, 7));
    let increments = vec![Increment { window: window(0), replaces: false, encode }];
    store.commit(&Snapshot { increments, ..Snapshot::default() }).unwrap();
    let saved = store.load(&|_| false).unwrap();
    assert_eq!(saved.windows[&window(0)], [vec![7u8; 600 << 10]]);
}

#[test]
fn reports_are_kept_by_age_and_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reports: Vec<_> = (0..10).map(|day| report(day * DAY_US)).collect();
    store.commit(&Snapshot { reports: reports.clone(), ..Snapshot::default() }).unwrap();
    let all = || i64::MIN..i64::MAX;
    assert_eq!(store.report("flight-delay", DAY_US).unwrap().as_ref(), Some(&reports[1]));
    assert_eq!(store.reports("flight-delay", all(), 3).unwrap(), reports[7..]);
    let keep_us = 5 * DAY_US;
    assert_eq!(store.prune_reports(7 * DAY_US, keep_us, u64::MAX).unwrap(), 0);
    assert_eq!(store.reports("flight-delay", all(), 99).unwrap(), reports[2..]);
    // The events of a replay may be years old: their reports once went within minutes.
    assert_eq!(store.prune_reports(4000 * DAY_US, keep_us, u64::MAX).unwrap(), 0);
    assert_eq!(store.reports("flight-delay", all(), 99).unwrap(), reports[4..]);
    assert_eq!(store.prune_reports(0, keep_us, 0).unwrap(), 6, "what the bound removes is counted");
}

#[test]
fn shapes_are_found_by_subject_and_go_with_their_reports() {
    let shape = |share| Shape::Categorical {
        categories: vec![CategoryPoint { category: None, reference: share, window: 1.0 - share }],
    };
    // Names as captures may bring them.
    let names = ["feature:a", "feature:ab", "feature:\t\"\n", "prediction:score@3"];
    let of = |day: i64| StoredShapes {
        model: "flight-delay".to_owned(),
        start_us: day * DAY_US,
        shapes: (1..).zip(names).map(|(at, name)| (name.into(), shape(f64::from(at)))).collect(),
    };
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .commit(&Snapshot {
            reports: (0..5).map(|day| report(day * DAY_US)).collect(),
            shapes: (1..5).map(of).collect(),
            ..Snapshot::default()
        })
        .unwrap();
    let found = |day: i64, name: &str| store.shape("flight-delay", day * DAY_US, name).unwrap();
    for (at, name) in (1..).zip(names) {
        assert_eq!(found(1, name), Some(shape(f64::from(at))), "{name}");
    }
    assert_eq!(found(1, "feature:unknown"), None);
    assert_eq!(found(0, "feature:a"), None, "a report of an earlier release has none");
    assert_eq!(store.prune_reports(2 * DAY_US, 0, u64::MAX).unwrap(), 0);
    assert_eq!((found(1, "feature:a"), found(2, "feature:a")), (None, Some(shape(1.0))));
    assert_eq!(store.prune_reports(0, 0, 0).unwrap(), 3);
    assert_eq!(found(4, "feature:a"), None);
}

#[test]
fn a_second_process_is_refused_and_a_newer_format_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let refused = Store::open(folder.path(), Duration::ZERO, false).unwrap_err();
    assert!(refused.to_string().contains("in use by another driftline process"), "{refused}");
    store.write_format(99).unwrap();
    drop(store);
    let refused = Store::open(folder.path(), Duration::ZERO, false).unwrap_err();
    assert!(refused.to_string().contains("format 99"), "{refused}");
    let rebuilt = Store::open(folder.path(), Duration::ZERO, true).unwrap();
    assert!(rebuilt.load(&|_| false).unwrap().documents.is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let refused = Store::open(&file.join("state"), Duration::ZERO, false).unwrap_err();
    assert!(refused.to_string().starts_with("state folder "), "{refused}");
}

fn of_window(start_us: i64) -> WindowDocument {
    let document = format!("{{\"start\":{start_us}}}").into_bytes();
    WindowDocument { model: "flight-delay".to_owned(), start_us, document }
}

fn starts(found: Vec<serde_json::Value>) -> Vec<i64> {
    found.iter().filter_map(|document| document["start"].as_i64()).collect()
}

#[test]
fn digests_and_records_go_with_their_reports_and_entries_with_their_age() {
    let folder = tempfile::tempdir().unwrap();
    let days: Vec<i64> = (0..4).map(|day| day * DAY_US).collect();
    let entry = |day: i64| IncidentDocument {
        incident: "abc".to_owned(),
        wall_us: day * DAY_US,
        id: "step".to_owned(),
        document: format!("{{\"start\":{}}}", day * DAY_US).into_bytes(),
    };
    let other = IncidentDocument { incident: "abcd".to_owned(), ..entry(3) };
    let shown = PageDocuments {
        digests: days.iter().map(|day| of_window(*day)).collect(),
        shadow: days.iter().map(|day| of_window(*day)).collect(),
        entries: (0..4).map(entry).chain([other]).collect(),
        ..PageDocuments::default()
    };
    let reports = days.iter().map(|day| report(*day)).collect();
    open(folder.path()).commit(&Snapshot { reports, shown, ..Snapshot::default() }).unwrap();
    // What a restart finds.
    let store = open(folder.path());
    let digests =
        |before_us, limit| starts(store.digests("flight-delay", before_us, limit).unwrap());
    assert_eq!(digests(i64::MAX, 90), days);
    assert_eq!(digests(3 * DAY_US, 2), days[1..3], "the newest of those before, oldest first");
    assert_eq!(digests(0, 90).len(), 0);
    let entries = store.entries::<serde_json::Value>("abc").unwrap();
    assert_eq!(entries.iter().map(|(wall_us, _)| *wall_us).collect::<Vec<_>>(), days);
    store.prune_reports(2 * DAY_US, 0, u64::MAX).unwrap();
    assert_eq!(digests(i64::MAX, 90), days[2..]);
    assert_eq!(starts(store.shadow_records("flight-delay", i64::MAX, 90).unwrap()), days[2..]);
    assert_eq!(store.entries::<serde_json::Value>("abc").unwrap().len(), 2);
    store.prune_reports(0, 0, 0).unwrap();
    assert_eq!(digests(i64::MAX, 90).len(), 0, "the bound on bytes takes them along");
}

#[test]
fn panes_and_receipts_are_rings() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let minute_us = 60_000_000;
    let pane = |number: i64| Pane {
        model: "flight-delay".to_owned(),
        every_us: minute_us,
        start_us: number * minute_us,
        requests: number as u64,
        errors: 1,
        latency_us: (number % 2 == 0).then_some((2, 9)),
    };
    let receipt = |number: u64| (number, number.to_string().into_bytes());
    let (panes, receipts) = (i64::from(PANES), RECEIPTS);
    for numbers in [0..panes, panes..panes + 5] {
        let many = numbers.end as u64 * 3;
        let shown = PageDocuments {
            panes: numbers.map(pane).collect(),
            receipts: (many - 10..many).map(receipt).collect(),
            ..PageDocuments::default()
        };
        store.commit(&Snapshot { shown, ..Snapshot::default() }).unwrap();
    }
    let kept = store.panes("flight-delay", minute_us).unwrap();
    assert_eq!(kept, (5..panes + 5).map(pane).collect::<Vec<_>>());
    assert_eq!(store.panes("another", minute_us).unwrap(), []);
    // After a silence of half the ring the older half is another time's.
    let later =
        PageDocuments { panes: vec![pane(panes + 5 + panes / 2)], ..PageDocuments::default() };
    store.commit(&Snapshot { shown: later, ..Snapshot::default() }).unwrap();
    let kept = store.panes("flight-delay", minute_us).unwrap();
    assert_eq!(kept.first().unwrap().start_us, (panes / 2 + 6) * minute_us);
    let shown = PageDocuments {
        receipts: (5 * receipts..6 * receipts + 3).map(receipt).collect(),
        ..PageDocuments::default()
    };
    store.commit(&Snapshot { shown, ..Snapshot::default() }).unwrap();
    let numbers: Vec<u64> =
        store.receipts::<u64>().unwrap().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (5 * receipts + 3..6 * receipts + 3).collect::<Vec<_>>());
}

#[test]
fn what_is_known_comes_by_its_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let bytes = |text: &str| text.as_bytes().to_vec();
    let named = vec![("known".to_owned(), bytes("one")), ("other".to_owned(), bytes("two"))];
    store.commit(&Snapshot { epoch: 1, named, ..Snapshot::default() }).unwrap();
    let saved = store.load(&|name| name == "known").unwrap();
    let expected = [("known".to_owned(), bytes("")), ("other".to_owned(), bytes("two"))];
    assert_eq!(saved.named, expected.into());
}
