//! What leaves the pipeline: at once, with the next snapshot, or only after its commit.
//!
//! Whatever may be seen outside (reports, messages, requests) waits in `after_commit` until the store
//! holds its cause: docs/decisions/002.

use std::collections::BTreeSet;

use crate::Effect;
use crate::snapshot::{Committed, DocumentKey, LaneKind, Snapshot, WindowKey};

/// Rows after which a snapshot is due, whatever the clock says.
const ROWS_PER_SNAPSHOT: u64 = 2_000_000;

/// Everything on its way out.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    pub(crate) effects: Vec<Effect>,
    pub(crate) pending: Snapshot,
    /// What may be seen outside once `pending` is committed.
    pub(crate) after_commit: Vec<Effect>,
    pub(crate) urgent: bool,
    /// Rows that were counted since the last snapshot.
    pub(crate) rows: u64,
    /// sha256 of the set-ups and baselines that the store has.
    pub(crate) kept: BTreeSet<String>,
    /// The snapshot that is being written, and what may be seen once it is.
    in_flight: Option<(u64, Vec<Effect>)>,
    epoch: u64,
}

impl Outlet {
    /// Whether a snapshot is due: now where somebody waits for it, else when the driver's clock says so.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.in_flight.is_none() && (self.urgent || self.rows >= ROWS_PER_SNAPSHOT)
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(crate) fn has_news(&self) -> bool {
        self.urgent || !self.pending.is_empty()
    }

    /// What the next snapshot takes along, to be completed and given to [`Outlet::sent`].
    pub(crate) fn begin_snapshot(&mut self) -> Snapshot {
        self.epoch += 1;
        let mut snapshot = std::mem::take(&mut self.pending);
        snapshot.epoch = self.epoch;
        (self.urgent, self.rows) = (false, 0);
        self.in_flight = Some((self.epoch, std::mem::take(&mut self.after_commit)));
        snapshot
    }

    /// A snapshot is in the store: lets out what waited for it, and says how many reports were among it.
    pub(crate) fn committed(&mut self, committed: &Committed) -> usize {
        let Some((epoch, effects)) = self.in_flight.take() else { return 0 };
        debug_assert_eq!(epoch, committed.epoch, "one commit in flight");
        let reports = published(&effects);
        self.effects.extend(effects);
        reports
    }

    pub(crate) fn uncommitted_reports(&self) -> usize {
        let written = self.in_flight.as_ref().map_or(0, |(_, effects)| published(effects));
        self.pending.reports.len() + written
    }

    /// A drift window of a model became part of another one: starts of both.
    pub(crate) fn carry(&mut self, model: &str, from_us: i64, into_us: i64) {
        let key = |start_us| WindowKey::new(model, LaneKind::Drift, start_us);
        self.pending.carried.push((key(from_us), key(into_us)));
    }

    /// Keeps a small document with the next snapshot.
    pub(crate) fn keep<T: serde::Serialize>(&mut self, key: DocumentKey, document: &T) {
        self.pending.push(key, document);
    }
}

fn published(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Published(_))).count()
}
