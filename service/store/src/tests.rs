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

/// Its rows have no checksums: the next start writes them anew, and a command leaves them as they are.
#[test]
fn a_file_of_format_1_is_read_and_brought_to_format_2() {
    let folder = tempfile::tempdir().unwrap();
    let packed = include_bytes!("../../pipeline/tests/it/restore/checkpoint.redb.zst");
    let file = Store::file_in(folder.path());
    std::fs::write(&file, zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let older = Store::open_as_it_is(folder.path()).unwrap_err();
    assert!(older.to_string().contains("has format 1"), "{older}");
    let before = open(folder.path()).load(&|_| false).unwrap();
    assert!(before.documents.len() >= 3 && !before.windows.is_empty());
    let document = &before.documents["topic/shared"];
    assert_eq!(document.first().zip(document.last()), Some((&b'{', &b'}')));
    let again = Store::open_as_it_is(folder.path()).unwrap();
    let found = again.load(&|_| false).unwrap();
    assert_eq!((found.documents, found.windows), (before.documents, before.windows));
    assert_eq!(found.outbox, before.outbox);
    let reports = again.reports("one", i64::MIN..i64::MAX, 99).unwrap();
    assert!(!reports.is_empty(), "reports are sealed as well");
}

/// An older release reads what this one wrote for it, and this one goes on from that again.
#[test]
fn what_is_written_in_format_1_is_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let packed = include_bytes!("../../pipeline/tests/it/restore/checkpoint.redb.zst");
    let file = Store::file_in(folder.path());
    std::fs::write(&file, zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let store = open(folder.path());
    let (saved, contents) = (store.load(&|_| false).unwrap(), store.contents().unwrap());
    let older = tempfile::tempdir().unwrap();
    store.write_format_1(&Store::file_in(older.path())).unwrap();
    let refused = Store::open_as_it_is(older.path()).unwrap_err();
    assert!(refused.to_string().contains("has format 1"), "{refused}");
    let again = open(older.path());
    let found = again.load(&|_| false).unwrap();
    assert_eq!((found.documents, found.windows), (saved.documents, saved.windows));
    assert_eq!((found.named, found.outbox), (saved.named, saved.outbox));
    assert_eq!(again.contents().unwrap(), contents);
    let of_one = &contents.models["one"];
    assert!(
        of_one.windows > 0 && of_one.reports > 0 && !contents.topics.is_empty(),
        "{contents:?}"
    );
}

#[test]
fn a_backup_is_restored_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reports = vec![report(0), report(DAY_US)];
    let increments = vec![increment(5, b"one", false)];
    store.commit(&Snapshot { reports, increments, ..Snapshot::default() }).unwrap();
    let wanted = store.contents().unwrap();
    drop(store);
    let mut backup = Vec::new();
    let written = write_backup(&Store::file_in(folder.path()), &mut backup).unwrap();
    let base = tempfile::tempdir().unwrap();
    let other = base.path().join("state");
    let mut changed = backup.clone();
    changed[backup.len() / 2] ^= 1;
    let refused = Store::restore(&other, changed.as_slice(), false).unwrap_err();
    assert!(refused.to_string().contains("cannot be restored"), "{refused}");
    assert!(!Store::file_in(&other).exists());
    let restored = Store::restore(&other, backup.as_slice(), false).unwrap();
    assert_eq!((restored.backup, restored.contents), (written, Some(wanted.clone())));
    let held = open(&other);
    assert_eq!(held.contents().unwrap(), wanted);
    let refused = Store::restore(&other, backup.as_slice(), true).unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
    drop(held);
    let refused = Store::restore(&other, backup.as_slice(), false).unwrap_err();
    assert!(refused.to_string().contains("--replace"), "{refused}");
    let replaced = Store::restore(&other, backup.as_slice(), true).unwrap();
    assert!(replaced.aside.unwrap().is_file());
    assert_eq!(open(&other).contents().unwrap(), wanted);
}

/// The second one replaced what the first had kept.
#[test]
fn every_rebuild_keeps_the_file_that_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let store = Store::open(folder.path(), Duration::ZERO, true).unwrap();
        let documents = vec![(DocumentKey::Pipeline, number.to_string().into_bytes())];
        store.commit(&Snapshot { documents, ..Snapshot::default() }).unwrap();
    }
    let store = Store::open(folder.path(), Duration::ZERO, true).unwrap();
    assert_eq!(store.load_aside().unwrap().unwrap().documents["pipeline"], b"3");
    for name in ["", ".2", ".3"] {
        let kept = folder.path().join(format!("checkpoint.redb.before-rebuild{name}"));
        assert!(kept.is_file(), "{name}");
    }
}

/// One was written on into a file that nobody would ever find, for hours.
#[test]
fn a_folder_that_is_gone_is_noticed_at_the_next_commit() {
    let moved = |folder: &std::path::Path| std::fs::rename(folder, folder.with_extension("moved"));
    let removed = |folder: &std::path::Path| std::fs::remove_dir_all(folder);
    let replaced = |folder: &std::path::Path| {
        let file = Store::file_in(folder);
        std::fs::copy(&file, folder.join("copy"))?;
        std::fs::rename(folder.join("copy"), file)
    };
    let renamed = |folder: &std::path::Path| {
        let file = Store::file_in(folder);
        std::fs::rename(&file, file.with_extension("old"))
    };
    type Change<'c> = &'c dyn Fn(&std::path::Path) -> std::io::Result<()>;
    let changes: [Change<'_>; 4] = [&moved, &removed, &replaced, &renamed];
    for change in changes {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("state");
        let store = open(&folder);
        store.commit(&Snapshot::default()).unwrap();
        change(&folder).unwrap();
        let refused = store.commit(&Snapshot::default()).unwrap_err();
        assert!(refused.to_string().contains("removed, renamed or replaced"), "{refused}");
    }
}

#[test]
fn what_is_kept_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("state");
    drop(open(&folder));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&Store::file_in(&folder))), (0o700, 0o600));
    // What somebody set up otherwise stays so.
    let shared = base.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o750)).unwrap();
    drop(open(&shared));
    assert_eq!(mode(&shared), 0o750);
}

/// A start that is killed left a file that no later one would read.
#[test]
fn what_a_killed_start_leaves_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    for left in [b"".as_slice(), b"redb", &[0; 8192]] {
        std::fs::write(folder.path().join("checkpoint.redb.new"), left).unwrap();
        let _ = std::fs::remove_file(Store::file_in(folder.path()));
        drop(open(folder.path()));
        assert!(!folder.path().join("checkpoint.redb.new").exists());
    }
    // An empty file under the right name is no checkpoint that was lost in silence.
    std::fs::write(Store::file_in(folder.path()), b"").unwrap();
    let refused = Store::open(folder.path(), Duration::ZERO, false).unwrap_err();
    assert!(refused.to_string().contains("--rebuild"), "{refused}");
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
