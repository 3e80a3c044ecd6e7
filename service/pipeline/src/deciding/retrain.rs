//! When a model asks for retraining, what holds it back, and what is remembered for it of each window.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_alerting::mail::RetrainNote;
use driftline_alerting::retrain::{RetrainDecision, RetrainLimits, RetrainState, retry};
use driftline_alerting::{Incident, Transition};
use driftline_config::{Model, Partition};

use super::Desk;
use super::model::ModelDecider;
use crate::Effect;
use crate::counting::model::CountedRows;
use crate::retraining;
use crate::snapshot::DocumentKey;

/// Why nothing is asked for where no receiver takes requests; mails say it in their own words.
pub(super) const NOBODY_ASKED: &str = "no receiver takes retraining requests";

impl ModelDecider {
    /// Asks again for the retraining that was held back, with the windows as they are by now: once a
    /// window, and when what was too old to be told is told. Returns what is to be said, by incident.
    pub(crate) fn retry_retraining(
        &mut self,
        at_us: i64,
        desk: &mut Desk<'_>,
    ) -> BTreeMap<String, RetrainNote> {
        let broken = retraining::broken_input(&self.facts.alerts);
        let limits = self.retrain_limits();
        let takes_requests = desk.messages.takes_requests(self);
        let obstacle = |incident: &Incident| {
            let transition = retraining::of_incident(incident);
            let waits = || self.waits_for_rows(&transition, at_us);
            let nobody = || (!takes_requests).then(|| NOBODY_ASKED.to_owned());
            broken.clone().or_else(nobody).or_else(waits)
        };
        let alerts = &self.facts.alerts;
        let (state, decisions) = retry(&self.facts.retrain, alerts, at_us, &obstacle, &limits);
        let before = std::mem::replace(&mut self.facts.retrain, state);
        let mut notes = BTreeMap::new();
        for (incident, decision) in decisions {
            let transition = Transition { at_us, ..retraining::of_incident(&incident) };
            let note = self.request_retraining(&transition, decision, &before, desk);
            notes.insert(transition.incident, note);
        }
        notes
    }

    /// Puts the retraining request that a decision asks for into the store and the outbox; says what came
    /// of it. Where no rows can be named, nothing was asked for: the state of `before` holds again.
    pub(super) fn request_retraining(
        &mut self,
        transition: &Transition,
        decision: RetrainDecision,
        before: &RetrainState,
        desk: &mut Desk<'_>,
    ) -> RetrainNote {
        let id = match decision {
            RetrainDecision::None => return RetrainNote::None,
            RetrainDecision::HeldBack { .. } if !desk.messages.takes_requests(self) => {
                return RetrainNote::NoReceiver;
            }
            RetrainDecision::HeldBack { why } => return RetrainNote::HeldBack { why },
            RetrainDecision::Request { id } => id,
        };
        match retraining::request(self, transition, &id, &desk.messages.source(&self.topic)) {
            Ok(request) => {
                let rows = desk.messages.retrain_rows(self, transition, &request);
                desk.outlet.keep(DocumentKey::Retrain(id.clone()), &request);
                let note = RetrainNote::Requested { id, rows: request.data.train_on.rows };
                desk.outlet.after_commit.push(Effect::Requested(Arc::new(request)));
                desk.say(rows);
                note
            }
            Err(why) => {
                self.facts.retrain.take_back(before, transition.class, transition.at_us);
                RetrainNote::HeldBack { why: why.to_string() }
            }
        }
    }

    /// That a request waits for more drifted rows, as a sentence, where it does.
    pub(super) fn waits_for_rows(&self, transition: &Transition, at_us: i64) -> Option<String> {
        let Model { retrain, window, .. } = &self.setup.model;
        let wanted = retrain.rows_wanted(window.at_least);
        let rows = retraining::rows_of(self, transition)?;
        let opened_us = self.facts.alerts.incidents().find(|open| open.id == transition.incident);
        let opened_us = opened_us.map_or(at_us, |open| open.opened_us);
        let wait = retrain.wait_windows;
        // The window that opened it is the first of them.
        let waited_us = at_us.saturating_sub(opened_us).saturating_add(window.every_us);
        let waits = rows < wanted && waited_us < window.every_us.saturating_mul(i64::from(wait));
        waits.then(|| {
            format!(
                "{rows} of {wanted} drifted rows have come; it is requested once they have, or {wait} windows after the first"
            )
        })
    }

    pub(super) fn retrain_limits(&self) -> RetrainLimits {
        let retrain = &self.setup.model.retrain;
        RetrainLimits { cooldown_us: retrain.cooldown_us, max_per_day: retrain.max_per_day }
    }

    /// Rows of a partition were counted in these windows: the log stamped the first of each.
    pub(crate) fn note_first_stamps(&mut self, partition: Partition, counted: &CountedRows) {
        let stamps_us = counted.batch.record_times_us();
        for (start_us, rows) in &counted.windows {
            // A window that took no row of the chunk.
            let Some(first_us) = rows.first().and_then(|row| stamps_us.get(*row as usize)) else {
                continue;
            };
            let of_window = self.facts.first_stamps.entry(*start_us).or_default();
            of_window.entry(partition).or_insert(*first_us);
        }
    }

    /// A window became part of a later one.
    pub(crate) fn carry_first_stamps(&mut self, from_us: i64, into_us: i64) {
        // A window without a row of its own has none.
        let Some(earlier) = self.facts.first_stamps.remove(&from_us) else { return };
        self.facts.first_stamps.entry(into_us).or_default().extend(earlier);
    }
}
