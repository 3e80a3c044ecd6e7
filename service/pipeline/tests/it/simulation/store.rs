//! A store in memory that keeps exactly what [`driftline_store::Store::commit`] keeps, and that may be damaged.

use std::collections::BTreeMap;

use driftline_pipeline::snapshot::{
    Committed, OutboxItem, Saved, Snapshot, StoredReport, WindowKey,
};
use driftline_store::seal::{seal, unseal};
use fastrand::Rng;

/// What is durable. A process that dies leaves it as the last commit made it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStore {
    documents: BTreeMap<String, Vec<u8>>,
    named: BTreeMap<String, Vec<u8>>,
    windows: BTreeMap<WindowKey, BTreeMap<u64, Vec<u8>>>,
    reports: BTreeMap<(String, i64), StoredReport>,
    outbox: BTreeMap<u64, OutboxItem>,
}

impl MemoryStore {
    /// One transaction, in the order of the real one.
    pub(crate) fn commit(&mut self, snapshot: &Snapshot) -> Committed {
        let mut sizes: BTreeMap<WindowKey, usize> = BTreeMap::new();
        for (key, document) in &snapshot.documents {
            match document.is_empty() {
                true => self.documents.remove(&key.to_string()),
                false => self.documents.insert(key.to_string(), document.clone()),
            };
        }
        self.named.extend(snapshot.named.iter().cloned());
        for (from, into) in &snapshot.carried {
            for bytes in self.windows.remove(from).unwrap_or_default().into_values() {
                self.append(into, bytes);
            }
        }
        for increment in &snapshot.increments {
            let mut bytes = Vec::new();
            (increment.encode)(&mut bytes);
            *sizes.entry(increment.window.clone()).or_default() += bytes.len();
            if increment.replaces {
                self.windows.remove(&increment.window);
            }
            if !bytes.is_empty() {
                self.append(&increment.window, bytes);
            }
        }
        for window in &snapshot.dropped {
            self.windows.remove(window);
        }
        for report in &snapshot.reports {
            self.reports.insert((report.model.clone(), report.start_us), report.clone());
        }
        self.outbox.extend(snapshot.outbox.iter().map(|item| (item.sequence, item.clone())));
        for sequence in &snapshot.outbox_done {
            self.outbox.remove(sequence);
        }
        Committed { epoch: snapshot.epoch, sizes }
    }

    /// What a restart reads.
    pub(crate) fn load(&self) -> Saved {
        let windows = self.windows.iter();
        Saved {
            documents: self.documents.clone(),
            windows: windows
                .map(|(key, increments)| (key.clone(), increments.values().cloned().collect()))
                .collect(),
            named: self.named.clone(),
            outbox: self.outbox.values().cloned().collect(),
            unreadable: Vec::new(),
        }
    }

    /// What a restart reads from the disk where something in it changed: every value is written with its
    /// checksum, one of them is damaged, and all are read back. `None` where that is noticed.
    pub(super) fn load_damaged(&self, rng: &mut Rng) -> Option<Saved> {
        let mut saved = self.load();
        let mut sealed: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut write = |place: String, value: &[u8]| {
            let bytes = seal(place.as_bytes(), value);
            sealed.push((place.into_bytes(), bytes));
        };
        saved.documents.iter().for_each(|(key, value)| write(format!("documents/{key}"), value));
        saved.named.iter().for_each(|(key, value)| write(format!("named/{key}"), value));
        for (key, increments) in &saved.windows {
            let numbered = increments.iter().enumerate();
            numbered.for_each(|(number, value)| write(format!("windows/{key:?}/{number}"), value));
        }
        damage(&mut sealed, rng);
        let mut read = sealed.iter().map(|(place, bytes)| unseal(place, bytes).map(<[u8]>::to_vec));
        for value in saved.documents.values_mut().chain(saved.named.values_mut()) {
            *value = read.next()??;
        }
        for value in saved.windows.values_mut().flatten() {
            *value = read.next()??;
        }
        Some(saved)
    }

    /// The reports, by model and start.
    pub(super) fn reports(&self) -> &BTreeMap<(String, i64), StoredReport> {
        &self.reports
    }

    /// A message that is not done.
    pub(super) fn message(&self, sequence: u64) -> Option<&OutboxItem> {
        self.outbox.get(&sequence)
    }

    /// The documents whose keys begin with `prefix`.
    pub(super) fn documents(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let found = self.documents.iter().filter(|(key, _)| key.starts_with(prefix));
        found.map(|(key, document)| (key.clone(), document.clone())).collect()
    }

    fn append(&mut self, window: &WindowKey, bytes: Vec<u8>) {
        let increments = self.windows.entry(window.clone()).or_default();
        let next = increments.last_key_value().map_or(0, |(number, _)| number + 1);
        increments.insert(next, bytes);
    }
}

/// One value is cut, has a bit turned, or changes places with another.
fn damage(sealed: &mut [(Vec<u8>, Vec<u8>)], rng: &mut Rng) {
    if sealed.is_empty() {
        return;
    }
    let (one, other) = (rng.usize(..sealed.len()), rng.usize(..sealed.len()));
    let bytes = &mut sealed[one].1;
    match rng.u8(..3) {
        0 => bytes.truncate(rng.usize(..bytes.len())),
        1 => {
            let bit = rng.usize(..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        _ => {
            let taken = bytes.clone();
            sealed[one].1 = std::mem::replace(&mut sealed[other].1, taken);
        }
    }
}
