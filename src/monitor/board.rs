//! What readers of the API and of `/readyz` are shown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use driftline_analytics::report::Report;
use driftline_config::time::parse_instant_us;
use driftline_ingest::{Event, RecentDeadLetter};

use super::candidates::UnitCandidates;
use super::shown::Shown;
use crate::checkpoint::{Store, StoreError};
use crate::delivery::Attempt;
use crate::digest::ReceiptDigest;
use crate::http::{CheckState, DeadLetter, Live, ReadyCheck, TopicStatus};
use crate::metrics::{Gauge, Metrics};
use crate::pipeline::{Pipeline, TopicFacts};

/// Receipts that are shown; the store keeps more for the pages of incidents.
const RECEIPTS_SHOWN: usize = 200;

/// What the loop remembers for those who ask.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// Trouble of readers, by topic; the empty name is the broker's.
    troubles: BTreeMap<String, (String, bool)>,
    /// The broker has told something of a topic.
    answered: bool,
    report_delay_us: Option<i64>,
    /// Models of which a window was judged since the start.
    reported: BTreeSet<String>,
    /// The last attempts, newest first, and how many there were since the first.
    receipts: Arc<VecDeque<ReceiptDigest>>,
    attempts: u64,
    shown: Shown,
}

/// What the loop's other parts say as of now.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Candidates by the index of their unit.
    pub(super) candidates: BTreeMap<usize, UnitCandidates>,
    /// The last dead letters.
    pub(super) dead_letters: Vec<RecentDeadLetter>,
    /// Why dead letters do not arrive.
    pub(super) trouble: Option<String>,
    /// Records that wait to be read, by topic.
    pub(super) lag: BTreeMap<usize, u64>,
    /// What the ways out say of themselves.
    pub(super) outgoing: Option<ReadyCheck>,
}

impl Readiness {
    /// Remembers trouble, and forgets it when it is over.
    pub(super) fn note<'a>(
        &mut self,
        event: &Event,
        topics: impl Iterator<Item = (&'a str, &'a TopicFacts)>,
    ) {
        let name = |topic: Option<usize>, mut topics: Vec<&str>| match topic {
            Some(index) if index < topics.len() => topics.swap_remove(index).to_owned(),
            _ => String::new(),
        };
        match event {
            Event::Trouble { topic, message, fatal } => {
                let name = name(*topic, topics.map(|(name, _)| name).collect());
                let known = self.troubles.insert(name.clone(), (message.clone(), *fatal));
                if known.is_none_or(|(before, _)| before != *message) {
                    tracing::warn!(topic = name, message, "reading is in trouble");
                }
            }
            Event::Recovered { topic } => {
                let name = name(*topic, topics.map(|(name, _)| name).collect());
                if self.troubles.remove(&name).is_some() {
                    tracing::info!(topic = name, "reading goes on");
                }
            }
            Event::Gap { partition, from, to, why, .. } => {
                tracing::error!(
                    partition,
                    from,
                    to,
                    why,
                    "records were lost before they were read"
                );
            }
            Event::Recreated { partition, why, .. } => {
                tracing::error!(partition, why, "the log is another one than before");
            }
            Event::Chunk(_)
            | Event::EndOfPartition { .. }
            | Event::HeldBack { .. }
            | Event::Partitions { .. } => {
                self.answered = true;
            }
        }
    }

    /// Remembers the last window of a model, whose rows may come `lateness_us` after it.
    pub(super) fn reported(&mut self, report: &Report, lateness_us: i64, now_us: i64) {
        if let Ok(end_us) = parse_instant_us(&report.window.end) {
            let due_us = end_us.saturating_add(lateness_us);
            self.report_delay_us = Some(now_us.saturating_sub(due_us));
        }
        if !self.has_reported(&report.model) {
            self.reported.insert(report.model.clone());
        }
    }

    /// Finds the receipts that an earlier process left.
    pub(super) fn restore(&mut self, store: &Store) -> Result<(), StoreError> {
        let receipts = store.receipts::<ReceiptDigest>()?;
        self.attempts = receipts.last().map_or(0, |(number, _)| number + 1);
        let newest_first = receipts.into_iter().rev().take(RECEIPTS_SHOWN);
        self.receipts = Arc::new(newest_first.map(|(_, receipt)| receipt).collect());
        Ok(())
    }

    /// Remembers an attempt to deliver; returns its number and the receipt as it is kept.
    pub(super) fn attempted(&mut self, attempt: &Attempt) -> (u64, Vec<u8>) {
        let receipt = ReceiptDigest::new(attempt);
        let document = serde_json::to_vec(&receipt).unwrap_or_default();
        let number = self.attempts;
        self.attempts += 1;
        let receipts = Arc::make_mut(&mut self.receipts);
        receipts.push_front(receipt);
        receipts.truncate(RECEIPTS_SHOWN);
        (number, document)
    }

    /// Time from when the last window was due to its report.
    pub(super) fn report_delay_us(&self) -> Option<i64> {
        self.report_delay_us
    }

    /// Whether a window of the model was judged since the start.
    pub(super) fn has_reported(&self, model: &str) -> bool {
        self.reported.contains(model)
    }

    /// Everything that is shown, as of now.
    pub(super) fn live(
        &mut self,
        pipeline: &Pipeline,
        metrics: &Metrics,
        surroundings: Surroundings,
    ) -> Live {
        if let Some(delay_us) = self.report_delay_us() {
            metrics.set(Gauge::ReportDelay { delay_us });
        }
        let topics: Vec<&str> = pipeline.topics().map(|(name, _)| name).collect();
        let mut live = Live {
            silences: pipeline.silences().to_vec(),
            topics: pipeline
                .topics()
                .map(|(name, facts)| (name.to_owned(), TopicStatus::new(facts)))
                .collect(),
            checks: self.checks(surroundings.trouble),
            dead_letters: surroundings.dead_letters.into_iter().map(dead_letter).collect(),
            receipts: Arc::clone(&self.receipts),
            ..Live::default()
        };
        live.checks.extend(surroundings.outgoing);
        let mut candidates = surroundings.candidates;
        for (index, unit) in pipeline.units().iter().enumerate() {
            let of_unit = candidates.remove(&index).unwrap_or_default();
            let checks = of_unit.statuses.iter().map(|candidate| candidate.check(unit.name()));
            live.checks.extend(checks);
            let topic = topics.get(unit.topic).copied().unwrap_or_default();
            let lag = surroundings.lag.get(&unit.topic).copied();
            self.shown.update((index, unit), topic, of_unit, lag, metrics);
        }
        live.models = self.shown.models();
        live.incidents = self.shown.incidents();
        live.history = self.shown.history(pipeline);
        live
    }

    fn checks(&self, dead_letter_trouble: Option<String>) -> Vec<ReadyCheck> {
        let mut checks = Vec::new();
        let ok = |name: &str, says: &str| ReadyCheck {
            name: name.to_owned(),
            state: CheckState::Ok,
            says: says.to_owned(),
        };
        checks.push(ok("store", "the checkpoint is written"));
        if self.troubles.is_empty() && self.answered {
            checks.push(ok("broker", "captures are read"));
        } else if self.troubles.is_empty() {
            let says = "no broker has answered yet".to_owned();
            let name = "broker".to_owned();
            checks.push(ReadyCheck { name, state: CheckState::Degraded, says });
        }
        for (topic, (message, fatal)) in &self.troubles {
            let name =
                if topic.is_empty() { "broker".to_owned() } else { format!("topic {topic}") };
            let state = if *fatal { CheckState::Failed } else { CheckState::Degraded };
            checks.push(ReadyCheck { name, state, says: message.clone() });
        }
        if let Some(says) = dead_letter_trouble {
            let name = "dead letters".to_owned();
            checks.push(ReadyCheck { name, state: CheckState::Degraded, says });
        }
        checks
    }
}

fn dead_letter(letter: RecentDeadLetter) -> DeadLetter {
    DeadLetter {
        topic: letter.topic,
        partition: letter.partition,
        offset: letter.offset,
        reason: letter.reason.as_str().to_owned(),
        detail: letter.detail,
    }
}
