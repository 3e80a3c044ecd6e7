//! The outbox: what was decided to be said, numbered in the order of decisions and bounded.

use driftline_alerting::outbox::OutboxRow;

use crate::Effect;
use crate::outlet::Outlet;
use crate::snapshot::{OutboxBody, OutboxItem};

/// Numbers entries and counts those that are not done.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Entries that may wait; further ones are dropped and counted.
    limit: u64,
    pub(crate) next_sequence: u64,
    /// Entries that are decided on and not done.
    pub(crate) open: u64,
    /// Entries that were dropped, since it was last asked for.
    dropped: u64,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Outbox {
        Outbox { limit: limit as u64, next_sequence: 1, open: 0, dropped: 0 }
    }

    pub(crate) fn put_rows(
        &mut self,
        rows: impl IntoIterator<Item = OutboxRow>,
        outlet: &mut Outlet,
    ) {
        for row in rows {
            self.put(OutboxBody::Message(Box::new(row)), outlet);
        }
    }

    /// Takes an entry: it goes out once its cause is in the store.
    pub(crate) fn put(&mut self, body: OutboxBody, outlet: &mut Outlet) {
        // An end takes the place of a row that stands: without it, that one would stand for ever.
        let ends = matches!(&body, OutboxBody::Message(row) if row.kind.ends_an_alert());
        if self.open >= self.limit && !ends {
            let sequence = self.next_sequence;
            tracing::error!(
                sequence,
                "the outbox is full, a message is dropped: mend its receiver"
            );
            self.dropped += 1;
            return;
        }
        let item = OutboxItem { sequence: self.next_sequence, body };
        self.next_sequence += 1;
        self.open += 1;
        outlet.pending.outbox.push(item.clone());
        outlet.after_commit.push(Effect::Deliver(item));
        outlet.urgent = true;
    }

    /// An entry is delivered, given up, or of no use to anybody.
    pub(crate) fn done(&mut self, sequence: u64, outlet: &mut Outlet) {
        outlet.pending.outbox_done.push(sequence);
        self.open = self.open.saturating_sub(1);
    }

    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
