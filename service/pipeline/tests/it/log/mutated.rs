//! A changed checkpoint file: a start refuses it with a sentence, or finds what was written.

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use driftline_pipeline::snapshot::StoredReport;
use driftline_store::StoreError;
use fastrand::Rng;

use super::*;

const MUTATIONS: u64 = 2000;
const PAGE: usize = 4096;

/// Everything that a start and its readers find in a store.
#[derive(Debug, PartialEq)]
struct Found {
    documents: BTreeMap<String, Vec<u8>>,
    windows: BTreeMap<String, Vec<Vec<u8>>>,
    named: BTreeMap<String, Vec<u8>>,
    outbox: Vec<String>,
    reports: Vec<StoredReport>,
}

fn find(folder: &Path) -> Result<(Saved, Found), StoreError> {
    let store = Store::open(folder, Duration::ZERO, false)?;
    let saved = store.load(&|_| false)?;
    let mut reports = Vec::new();
    for model in ["one", "two"] {
        reports.extend(store.reports(model, i64::MIN..i64::MAX, usize::MAX)?);
    }
    let windows = saved.windows.iter();
    let found = Found {
        documents: saved.documents.clone(),
        windows: windows.map(|(key, bytes)| (format!("{key:?}"), bytes.clone())).collect(),
        named: saved.named.clone(),
        outbox: saved.outbox.iter().map(|item| format!("{item:?}")).collect(),
        reports,
    };
    Ok((saved, found))
}

/// Bits, pages, truncations, swaps.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) -> &'static str {
    let page = |rng: &mut Rng, bytes: &[u8]| -> Range<usize> {
        let from = rng.usize(..bytes.len() / PAGE) * PAGE;
        from..from + PAGE
    };
    match rng.u8(..6) {
        0 | 1 => {
            for _ in 0..rng.usize(1..4) {
                let bit = rng.usize(..bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            "bits"
        }
        2 => {
            let page = page(rng, bytes);
            match rng.bool() {
                true => rng.fill(&mut bytes[page]),
                false => bytes[page].fill(0),
            }
            "page"
        }
        3 => {
            let (from, to) = (page(rng, bytes), page(rng, bytes));
            let taken = bytes[from.clone()].to_vec();
            let given = bytes[to.clone()].to_vec();
            bytes[to].copy_from_slice(&taken);
            bytes[from].copy_from_slice(&given);
            "swap"
        }
        4 => {
            bytes.truncate(rng.usize(..bytes.len()));
            "truncation"
        }
        // A digit in a text, as an editor or an adversary would.
        _ => {
            let digits: Vec<usize> =
                (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            let at = digits[rng.usize(..digits.len())];
            bytes[at] = b'0' + (bytes[at] - b'0' + rng.u8(1..10)) % 10;
            "digit"
        }
    }
}

/// One flipped digit changed what a report had first seen, one bit put a ledger off balance by 4000 with
/// `/readyz` ok, and some ended in a panic.
#[test]
fn whatever_changes_in_the_file_is_refused_or_has_changed_nothing() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    drop(damage::fill(&bench, folder.path()));
    let sound = fs::read(Store::file_in(folder.path())).unwrap();
    let (_, wanted) = find(folder.path()).unwrap();
    assert!(wanted.reports.len() > 5 && !wanted.outbox.is_empty() && !wanted.windows.is_empty());
    let (next, refused, same) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let folder = tempfile::tempdir().unwrap();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= MUTATIONS {
                return;
            }
            let mut bytes = sound.clone();
            let what = mutate(&mut bytes, &mut Rng::with_seed(seed));
            fs::write(Store::file_in(folder.path()), &bytes).unwrap();
            match find(folder.path()) {
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.contains("--rebuild") && !said.contains("panic"),
                        "{seed} {what}: {said}"
                    );
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                Ok((_, found)) => {
                    assert!(
                        found == wanted,
                        "mutation {seed}, {what}, changed something and nobody said so"
                    );
                    same.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let (refused, same) = (refused.into_inner(), same.into_inner());
    println!(
        "{MUTATIONS} mutations of {} bytes: {refused} refused, {same} without effect",
        sound.len()
    );
    assert!(refused > MUTATIONS / 4 && same > 0, "{refused} refused, {same} without effect");
}

/// A ledger that had lost records was gone on from, and `/readyz` said that all was well.
#[test]
fn a_ledger_that_does_not_balance_is_refused() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let mut saved = damage::fill(&bench, folder.path()).load(&|_| false).unwrap();
    let document = saved.documents.get_mut("topic/shared").unwrap();
    let mut facts: serde_json::Value = serde_json::from_slice(document).unwrap();
    let ledger = &mut facts["ledger"]["partitions"]["1"];
    let counted = ledger["counted"].as_u64().unwrap();
    ledger["counted"] = (counted + 4000).into();
    *document = serde_json::to_vec(&facts).unwrap();
    let refused = bench.pipeline().restore(&saved, &bench.world.config.limits).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.contains("partition 1 is -4000 off balance") && said.contains("--rebuild"),
        "{said}"
    );
    // Its positions are believed all the same.
    bench.pipeline().begin_again(&saved).unwrap();
}
