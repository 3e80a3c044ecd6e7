//! Holds a snapshot back until every dead letter before its positions has arrived (RULES §3).

use std::collections::BTreeMap;

use driftline_config::TopicPartition;

use crate::snapshot::Snapshot;

/// The next offset of each partition.
pub type Positions = BTreeMap<TopicPartition, i64>;

/// At most one snapshot that waits, and the positions of the last that was let through.
#[derive(Debug, Default)]
pub struct Gate {
    held: Option<(Snapshot, Positions)>,
    released: Positions,
}

impl Gate {
    /// Whether no snapshot waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// Takes a snapshot and the positions that it holds.
    pub fn hold(&mut self, snapshot: Snapshot, positions: Positions) {
        debug_assert!(self.is_empty(), "one snapshot at a time");
        self.held = Some((snapshot, positions));
    }

    /// Gives the snapshot out once nothing before its positions is on its way. `unacknowledged` is the
    /// lowest offset of a partition whose dead letter has not arrived.
    pub fn release(
        &mut self,
        unacknowledged: &dyn Fn(TopicPartition) -> Option<i64>,
    ) -> Option<Snapshot> {
        let (_, positions) = self.held.as_ref()?;
        let arrived = positions
            .iter()
            .all(|(at, position)| unacknowledged(*at).is_none_or(|offset| offset >= *position));
        let (snapshot, positions) = if arrived { self.held.take() } else { None }?;
        self.released = positions;
        Some(snapshot)
    }

    /// The positions of the last snapshot that was given out: once it is committed, those that may be
    /// told to others.
    pub fn released(&self) -> &Positions {
        &self.released
    }
}
