//! The checkpoint: positions, open windows, alerts, reports and outbox, in one transaction (RULES §6).
//!
//! ```text
//! pipeline ─► Snapshot (what changed since the last one) ─► writer thread ─► redb, one commit in flight
//!                                                                              │
//! pipeline ◄───────────────── Committed: now it may be seen outside ◄──────────┘
//! ```
//!
//! Small state is kept as JSON documents under a key; windows as the sum of their increments, in
//! the encoding of `analytics`; reports compressed. The store knows nothing of what the documents say.

mod lock;
mod packing;
mod shown;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::time::Duration;

pub use shown::{Entry, OfWindow, PANES, Pane, RECEIPTS, Shown};
pub use store::{Increments, OutboxItem, Saved, Store, StoreError, StoredReport, StoredShapes};
pub use writer::{Committed, Writer};

/// How long a second process waits for the first to leave the state folder.
pub const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Names a window in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    /// Name of the model.
    pub model: String,
    /// Which lane it belongs to.
    pub lane: LaneKind,
    /// Its start in microseconds.
    pub start_us: i64,
}

/// The two lanes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKind {
    /// The drift windows.
    Drift,
    /// The operations panes.
    Operations,
}

/// Writes the encoded state of a window behind what the buffer holds. Runs on the writer thread.
pub type Encode = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// What has been counted in a window since the last snapshot.
pub struct Increment {
    /// Whose.
    pub window: WindowKey,
    /// Whether it is the whole state and replaces what is stored, rather than adding to it.
    pub replaces: bool,
    /// The state.
    pub encode: Encode,
}

impl std::fmt::Debug for Increment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Increment")
            .field("window", &self.window)
            .field("replaces", &self.replaces)
            .finish_non_exhaustive()
    }
}

/// Everything that changed since the last snapshot; committed as one.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Counts snapshots of this process.
    pub epoch: u64,
    /// Small state by key; an empty document removes its key.
    pub documents: Vec<(String, Vec<u8>)>,
    /// Rows counted since.
    pub increments: Vec<Increment>,
    /// Windows that became part of another one: from, into.
    pub carried: Vec<(WindowKey, WindowKey)>,
    /// Windows that are no longer needed.
    pub dropped: Vec<WindowKey>,
    /// Baselines and settings by sha256, that open windows or kept reports name.
    pub named: Vec<(String, Vec<u8>)>,
    /// Reports of windows that were judged.
    pub reports: Vec<StoredReport>,
    /// The distributions behind those reports.
    pub shapes: Vec<StoredShapes>,
    /// Messages to be delivered.
    pub outbox: Vec<OutboxItem>,
    /// Sequence numbers of messages that are done.
    pub outbox_done: Vec<u64>,
    /// What the page shows later.
    pub shown: Shown,
    /// What it should hold and does not: half of it would count rows twice, so none of it is stored.
    pub lacks: Option<String>,
}

impl Snapshot {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
            && self.increments.is_empty()
            && self.carried.is_empty()
            && self.dropped.is_empty()
            && self.named.is_empty()
            && self.reports.is_empty()
            && self.shapes.is_empty()
            && self.outbox.is_empty()
            && self.outbox_done.is_empty()
            && self.shown.is_empty()
    }
}
