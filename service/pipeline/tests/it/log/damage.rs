//! A damaged checkpoint: a restart goes on from it or says what is damaged, and never dies of it.

use proptest::sample::Index;

use driftline_pipeline::snapshot::{Encode, Increment};

use super::*;

/// What a store holds in the middle of a log: windows, panes, incidents, messages.
fn saved(bench: &Bench) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    fill(bench, folder.path()).load(&|_| false).unwrap()
}

/// The store itself.
pub(super) fn fill(bench: &Bench, folder: &Path) -> Store {
    let store = open(folder);
    let mut inline = Inline::new(bench.pipeline());
    let rows = 600;
    let mut log = log(rows, 3);
    // Everything has closed and been told of when these open the next windows.
    let open_us = T0 + rows * MINUTE_US + 25 * HOUR_US;
    for index in 0..80 {
        let time_us = open_us + index * MINUTE_US / 10;
        let model = ["one", "two"][index as usize % 2];
        log.push_everywhere(&capture(model, time_us, index, 0), time_us);
    }
    let mut keep = |snapshot: &Snapshot| {
        let increments = snapshot.increments.iter().map(|increment| {
            let mut bytes = Vec::new();
            (increment.encode)(&mut bytes);
            let encode: Encode = Box::new(move |buffer| buffer.extend_from_slice(&bytes));
            Increment { window: increment.window.clone(), replaces: increment.replaces, encode }
        });
        // Nothing is ever delivered: every message stays.
        let kept = Snapshot {
            documents: snapshot.documents.clone(),
            increments: increments.collect(),
            carried: snapshot.carried.clone(),
            dropped: snapshot.dropped.clone(),
            named: snapshot.named.clone(),
            reports: snapshot.reports.clone(),
            outbox: snapshot.outbox.clone(),
            ..Snapshot::default()
        };
        store.commit(&kept).unwrap();
    };
    for partition in 0..PARTITIONS {
        let chunk = bench.chunk(&log, partition, 0, log.len(partition));
        inline.feed_keeping(Event::Read(Read::Chunk(chunk)), LATER, &mut keep);
        inline.commit(LATER, &mut keep);
    }
    store
}

/// How bytes are changed.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Flip(Vec<(Index, u8)>),
    Splice(Index, usize, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let flips = prop::collection::vec((any::<Index>(), 1_u8..=255), 1..6);
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    let number = prop::sample::select(vec![
        "0",
        "-1",
        "null",
        "[]",
        "{}",
        "9223372036854775807",
        "-9223372036854775808",
        "1e300",
        "\"\"",
        "true",
    ]);
    let text = prop_oneof![noise, number.prop_map(|text| text.as_bytes().to_vec())];
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        flips.prop_map(Damage::Flip),
        (any::<Index>(), 0_usize..20, text)
            .prop_map(|(at, cut, text)| Damage::Splice(at, cut, text)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Flip(flips) => {
                for (at, mask) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] ^= mask;
                }
            }
            Damage::Splice(at, cut, text) => {
                let from = at.index(bytes.len());
                let to = (from + cut).min(bytes.len());
                bytes.splice(from..to, text.iter().copied());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_checkpoint_is_continued_from_or_refused_with_a_sentence(
        part in any::<Index>(),
        damage in damage(),
    ) {
        static SOUND: OnceLock<(Bench, Saved)> = OnceLock::new();
        let (bench, sound) = SOUND.get_or_init(|| {
            let bench = Bench::new();
            let saved = saved(&bench);
            assert!(saved.windows.len() > 2 && !saved.outbox.is_empty(), "too little is open: {} windows, {} messages", saved.windows.len(), saved.outbox.len());
            (bench, saved)
        });
        let mut saved = sound.clone();
        let parts = saved.documents.len() + saved.windows.len() + saved.named.len() + 1;
        let part = part.index(parts);
        let windows = saved.windows.values_mut().flatten();
        let mut bytes = saved.documents.values_mut().chain(windows).chain(saved.named.values_mut());
        match bytes.nth(part) {
            Some(bytes) => damage.apply(bytes),
            // The store leaves out a message that it cannot read, and says which.
            None => {
                let damaged = saved.outbox.remove(0);
                saved.unreadable.push(damaged.sequence);
            }
        }
        let mut pipeline = bench.pipeline();
        match pipeline.restore(&saved, &bench.world.config.limits) {
            Ok(_) => drop(pipeline.snapshot()),
            Err(error) => prop_assert!(error.to_string().contains("--rebuild"), "{}", error),
        }
    }
}
