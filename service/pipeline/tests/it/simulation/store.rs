//! A store in memory that keeps exactly what [`driftline_store::Store::commit`] keeps.

use std::collections::BTreeMap;

use driftline_pipeline::snapshot::{
    Committed, OutboxItem, Saved, Snapshot, StoredReport, WindowKey,
};

/// What is durable. A process that dies leaves it as the last commit made it.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryStore {
    documents: BTreeMap<String, Vec<u8>>,
    named: BTreeMap<String, Vec<u8>>,
    windows: BTreeMap<WindowKey, BTreeMap<u64, Vec<u8>>>,
    reports: BTreeMap<(String, i64), StoredReport>,
    outbox: BTreeMap<u64, OutboxItem>,
}

impl MemoryStore {
    /// One transaction, in the order of the real one.
    pub(super) fn commit(&mut self, snapshot: &Snapshot) -> Committed {
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
    pub(super) fn load(&self) -> Saved {
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
