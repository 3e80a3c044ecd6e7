//! Names without end: features, categories, models and versions that no two records share.

use super::*;

/// Rows; each names a model, a version, a category and so many features that no other row names.
const ROWS: i64 = 100_000;
const NEW_FEATURES: i64 = 2;
/// Rows of a chunk, as the readers hand them over.
const CHUNK: usize = 8192;

fn hostile(index: i64, time_us: i64) -> String {
    let ms = time_us / 1000;
    // One in ten names a model that nobody configured.
    let model = if index % 10 == 0 { format!("stranger-{index}") } else { "one".to_owned() };
    let features: String = (0..NEW_FEATURES).map(|n| format!(r#""new-{index}-{n}":1,"#)).collect();
    format!(
        r#"{{"model":"{model}","version":"v{index}","id":"{index}","ts":{ms},"latency_us":{index},"status":200,"features":{{{features}"x":"text-{index}","kind":"kind-{index}"}},"prediction":{{"score":0.5,"debug-{index}":1}}}}"#
    )
}

/// Bytes of everything that a restart would read.
fn stored_bytes(snapshot: &Snapshot) -> usize {
    let windows = snapshot.increments.iter().map(|increment| {
        let mut bytes = Vec::new();
        (increment.encode)(&mut bytes);
        bytes.len()
    });
    windows.sum::<usize>() + snapshot.documents.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
}

#[test]
fn names_without_end_take_bounded_room_and_are_counted() {
    let bench = Bench::new();
    let mut log = Log::new(PARTITIONS);
    // All rows lie in the first half hour.
    for index in 0..ROWS {
        let time_us = T0 + index * (HOUR_US / 2 / ROWS);
        log.push(0, hostile(index, time_us), time_us);
    }
    log.close(T0 + 3 * HOUR_US);

    let mut inline = Inline::new(bench.pipeline());
    let mut stored = Vec::new();
    for from in (0..ROWS as usize).step_by(CHUNK) {
        let to = (from + CHUNK).min(ROWS as usize);
        inline.feed(Event::Read(Read::Chunk(bench.chunk(&log, 0, from, to))), LATER);
        let open = looks::model(&inline.pipeline, 0).bytes().open;
        let held: usize = open.values().map(Vec::len).sum();
        assert!(held < 1 << 20, "an open window holds {held} bytes");
        inline.commit(LATER, &mut |snapshot| stored.push(stored_bytes(snapshot)));
    }
    let (first, last) = (stored[0], stored[stored.len() - 1]);
    assert!(last < 2 * first && last < 1 << 20, "what is stored grows: {stored:?}");

    for partition in 0..PARTITIONS {
        let end = log.len(partition);
        let chunk = bench.chunk(&log, partition, end - 96, end);
        inline.feed(Event::Read(Read::Chunk(chunk)), LATER);
    }
    let ledger = &looks::topic(&inline.pipeline).ledger;
    let total = ledger.total();
    assert_eq!(total.imbalance(), 0);
    assert_eq!((total.counted, total.skipped), (90_000, 10_000));
    assert_eq!(ledger.skipped_names.len(), 101);
    assert_eq!(ledger.skipped_names["other"], 9_900);
    let (report, json) = &inline.reports[0];
    assert!(json.len() < 100_000, "a report of {} bytes", json.len());
    let versions: u64 = report.versions.values().sum();
    assert_eq!((report.window.rows, versions, report.versions.len()), (90_000, 90_000, 5));
    // What bounds held back is named, and counted by the metrics as limits that were reached.
    for kind in ["version", "new_column"] {
        assert!(report.names_truncated.iter().any(|name| name == kind), "{kind}: {json}");
    }
    let mut shares = report.findings.iter().filter_map(|finding| finding.share.as_ref());
    assert!(shares.any(|share| share.names_truncated), "new categories: {json}");
}
