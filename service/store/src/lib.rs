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

mod backup;
mod lock;
mod packing;
mod past;
pub mod seal;
mod store;
#[cfg(test)]
mod tests;
mod unnamed;

use std::time::Duration;

pub use backup::{BackedUp, Contents, ModelContents, read_backup, write_backup};
pub use past::{PANES, RECEIPTS};
pub use store::{Restored, Store, StoreError};

/// How long a second process waits for the first to leave the state folder.
pub const LOCK_WAIT: Duration = Duration::from_secs(60);
