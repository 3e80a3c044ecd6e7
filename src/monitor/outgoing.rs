//! Reports and messages on their way out. Each kind has its own queue: a reports topic that takes
//! nothing must not keep mail from going out, nor the other way round.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use driftline_alerting::outbox::OutboxRow;

use driftline_pipeline::snapshot::{OutboxBody, OutboxItem};
use driftline_web::{CheckState, ReadyCheck};

use super::publisher::{Fate, Publisher, Record};
use crate::delivery::Delivery;

/// The outbox of the store in memory, and its two ways out. `limits.outbox` bounds it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) delivery: Delivery,
    /// `None` where reports are not published.
    publisher: Option<Publisher>,
    /// Reports that the publisher had no room for.
    reports: VecDeque<Record>,
    /// Messages that delivery had no room for.
    messages: VecDeque<(u64, Box<OutboxRow>)>,
    /// The receiver of each message that was handed over and is not done, by sequence number.
    handed_over: BTreeMap<u64, String>,
    /// Entries that nobody is going to take.
    unwanted: Vec<u64>,
    too_large: u64,
    /// Reports that the publisher has and has not settled.
    publishing: usize,
}

impl Outgoing {
    pub(super) fn new(delivery: Delivery, publisher: Option<Publisher>) -> Outgoing {
        Outgoing {
            delivery,
            publisher,
            reports: VecDeque::new(),
            messages: VecDeque::new(),
            handed_over: BTreeMap::new(),
            unwanted: Vec::new(),
            too_large: 0,
            publishing: 0,
        }
    }

    pub(super) fn push(&mut self, item: OutboxItem) {
        let OutboxItem { sequence, body } = item;
        match body {
            OutboxBody::Message(row) => self.messages.push_back((sequence, row)),
            OutboxBody::Report { key, value } if self.publisher.is_some() => {
                self.reports.push_back(Record { sequence, key, value });
            }
            // Reports were published before the last restart: these were not sent in time.
            OutboxBody::Report { .. } => self.unwanted.push(sequence),
        }
    }

    pub(super) fn hand_over(&mut self) {
        if let Some(publisher) = &self.publisher {
            while let Some(record) = self.reports.pop_front() {
                if let Err(record) = publisher.submit(record) {
                    self.reports.push_front(record);
                    break;
                }
                self.publishing += 1;
            }
        }
        while let Some((sequence, row)) = self.messages.pop_front() {
            let receiver = row.receiver.clone();
            match self.delivery.submit(sequence, row) {
                Ok(()) => {
                    self.handed_over.insert(sequence, receiver);
                }
                Err(row) => {
                    self.messages.push_front((sequence, row));
                    break;
                }
            }
        }
    }

    /// Sequence numbers of the entries that are done since the last call: sent, given up, or of no use
    /// to anybody.
    pub(super) fn take_done(&mut self) -> Vec<u64> {
        let mut done = std::mem::take(&mut self.unwanted);
        for settled in self.delivery.take_settled() {
            self.handed_over.remove(&settled.sequence);
            // An alert that stands is delivered, and its row stays.
            if !settled.stands {
                done.push(settled.sequence);
            }
        }
        for Fate { sequence, too_large } in
            self.publisher.as_ref().map(Publisher::take_fates).unwrap_or_default()
        {
            self.publishing = self.publishing.saturating_sub(1);
            self.too_large += u64::from(too_large);
            done.push(sequence);
        }
        for sequence in &done {
            self.handed_over.remove(sequence);
        }
        done
    }

    /// How many entries wait where: for room, for the reports topic, for their receivers.
    pub(super) fn queues(&self) -> [(&'static str, usize); 3] {
        [
            ("outbox", self.reports.len() + self.messages.len()),
            ("reports", self.publishing),
            ("delivery", self.handed_over.len()),
        ]
    }

    /// The receivers of messages that are not done, once for each message.
    pub(super) fn receivers(&self) -> impl Iterator<Item = &str> {
        let waiting = self.messages.iter().map(|(_, row)| row.receiver.as_str());
        self.handed_over.values().map(String::as_str).chain(waiting)
    }

    /// Reports that were too large for their topic, so far.
    pub(super) fn too_large(&self) -> u64 {
        self.too_large
    }

    /// What `/readyz` says of the reports topic while it does not take what it is given.
    pub(super) fn check(&self) -> Option<ReadyCheck> {
        let says = self.publisher.as_ref().and_then(Publisher::trouble)?;
        Some(ReadyCheck { name: "reports topic".to_owned(), state: CheckState::Degraded, says })
    }
}
