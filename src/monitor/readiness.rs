//! What the loop remembers for those who ask: whether it reads, what it reported, what was delivered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use driftline_alerting::Class;
use driftline_analytics::report::Report;
use driftline_config::time::parse_instant_us;
use driftline_config::{ModelId, TopicId};
use driftline_ingest::RecentDeadLetter;
use driftline_pipeline::digest::ReceiptDigest;
use driftline_pipeline::{ModelView, Pipeline};
use driftline_store::{Store, StoreError};
use driftline_web::metrics::Metrics;
use driftline_web::{CheckState, DeadLetter, Live, ReadyCheck, TopicStatus};

use super::candidates::{ModelCandidates, check};
use super::overviews::{Around, Overviews};
use crate::delivery::Attempt;

/// Receipts that are shown; the store keeps more for the pages of incidents.
const RECEIPTS_SHOWN: usize = 200;

/// What a pane checks of the times of rows.
const OFF_TIME: &str = "off_time";

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
    overviews: Overviews,
}

/// What the loop's other parts say as of now.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) candidates: BTreeMap<ModelId, ModelCandidates>,
    pub(super) dead_letters: Vec<RecentDeadLetter>,
    /// Why dead letters do not arrive.
    pub(super) trouble: Option<String>,
    /// Records that wait to be read, by topic.
    pub(super) lag: BTreeMap<TopicId, u64>,
    /// What the ways out say of themselves.
    pub(super) outgoing: Option<ReadyCheck>,
    /// Names that match a template and are not monitored.
    pub(super) refused: Vec<ReadyCheck>,
}

impl Readiness {
    /// The broker has told something of a topic.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// Remembers that reading of a topic, or of the broker under the empty name, is in trouble.
    pub(super) fn in_trouble(&mut self, topic: &str, message: &str, fatal: bool) {
        // A broker that is away is every topic's trouble, in words that change.
        let said = self.troubles.contains_key("") || self.troubles.contains_key(topic);
        let known = self.troubles.insert(topic.to_owned(), (message.to_owned(), fatal));
        if !said || (fatal && known.is_none_or(|(_, before)| !before)) {
            tracing::warn!(topic, message, "reading is in trouble");
        } else {
            tracing::debug!(topic, message, "reading is in trouble still");
        }
    }

    pub(super) fn recovered(&mut self, topic: &str) {
        if self.troubles.remove(topic).is_some() {
            tracing::info!(topic, "reading goes on");
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
        let receipt = ReceiptDigest::new(&attempt.row, &attempt.receipt);
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

    pub(super) fn live(
        &mut self,
        pipeline: &Pipeline,
        metrics: &Metrics,
        surroundings: Surroundings,
    ) -> Live {
        if let Some(delay_us) = self.report_delay_us() {
            metrics.report_delay(delay_us);
        }
        let Surroundings { mut candidates, dead_letters, trouble, lag, outgoing, refused } =
            surroundings;
        let mut live = Live {
            silences: pipeline.silences().to_vec(),
            topics: pipeline
                .topics()
                .map(|(_, name, facts)| (name.to_owned(), TopicStatus::new(facts)))
                .collect(),
            checks: self.checks(trouble),
            dead_letters: dead_letters.into_iter().map(dead_letter).collect(),
            receipts: Arc::clone(&self.receipts),
            ..Live::default()
        };
        live.checks.extend(outgoing);
        live.checks.extend(refused);
        for model in pipeline.models() {
            let candidates = candidates.remove(&model.id()).unwrap_or_default();
            let checks = candidates.statuses.iter().map(|status| check(status, model.name()));
            live.checks.extend(checks);
            live.checks.extend(clocks(model));
            // Until the readers know the end of a log, nobody does.
            let (topic, lag) =
                (&model.setup().model.captures.topic, lag.get(&model.topic()).copied());
            self.overviews.update(model, Around { topic, candidates, lag }, metrics);
        }
        live.models = self.overviews.models();
        live.incidents = self.overviews.incidents();
        live.history = self.overviews.history(pipeline);
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

/// Whether rows of a model are in no window for their time: windows go on, and lack them.
fn clocks(model: ModelView<'_>) -> Option<ReadyCheck> {
    let mut open = model.decided().alerts.incidents();
    let broken = open.find(|incident| incident.class == Class::BrokenInput)?;
    let off_time = broken.last.subjects.iter().find(|found| found.check == OFF_TIME)?;
    Some(ReadyCheck {
        name: format!("clocks of {}", model.name()),
        state: CheckState::Degraded,
        says: off_time.because.clone(),
    })
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
