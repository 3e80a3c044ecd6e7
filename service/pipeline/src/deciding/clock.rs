//! What only the wall clock shows: a model that fell silent, trouble of our own, messages that are due
//! again. None of it is in a report: windows are judged by the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_alerting::mail::RetrainNote;
use driftline_alerting::outbox::Silence;
use driftline_alerting::repeat::{Due, Moment, RepeatRules};
use driftline_alerting::{Class, Evidence, State, Transition};
use driftline_config::time::{ClockReading, duration_words, format_instant};
use driftline_config::{Partition, TopicId};

use super::model::ModelDecider;
use super::rejects::Outcomes;
use super::troubles::Troubles;
use super::{Desk, WatchedTopic};
use crate::messages::Occasion;
use crate::signals;

/// Partitions that a message names.
const NAMED: usize = 10;

/// What counting knows of a model's topic.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) topic: TopicId,
    /// Partitions from which a row of the model came.
    pub(crate) served: Vec<Partition>,
    /// Whether the broker has told of its topic since the start.
    pub(crate) is_told: bool,
    /// What became of all of its topic's records.
    pub(crate) outcomes: Arc<Outcomes>,
}

/// What a look at the clock takes into account beside the model's own decisions.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) now: ClockReading,
    pub(crate) reach: Reach,
    pub(crate) topic: &'a WatchedTopic,
    /// Whether the model speaks for all of its topic.
    pub(crate) is_speaker: bool,
    pub(crate) troubles: &'a Troubles,
    /// Wall time of the last record of each partition of the topic.
    pub(crate) last_record_us: BTreeMap<Partition, i64>,
    pub(crate) silences: &'a [Silence],
    pub(crate) repeats: &'a RepeatRules,
}

impl ModelDecider {
    pub(crate) fn look_at_the_clock(&mut self, look: &Look<'_>, desk: &mut Desk<'_>) {
        self.look_for_rejects(look, desk);
        self.look_for_silence(look, desk);
        self.look_at_ourselves(look, desk);
        self.look_at_candidates(desk);
        let at = Moment {
            now_us: desk.now_us,
            caught_up: self.is_caught_up(),
            model: self.name(),
            silences: look.silences,
        };
        let due = self.facts.sent.due(&self.facts.alerts, &at, look.repeats);
        let due = due.into_iter().map(|Due { incident, ordinal }| (incident.last.clone(), ordinal));
        for (transition, ordinal) in due.collect::<Vec<(Transition, u32)>>() {
            self.remind(&transition, ordinal, desk);
        }
    }

    /// Nothing is known of a model whose partitions are being read: what fired goes on until a row is
    /// accepted, across a restart as well.
    fn look_for_silence(&mut self, look: &Look<'_>, desk: &mut Desk<'_>) {
        let partitions = self.silent_partitions(look);
        if !partitions.is_empty() {
            return self.look(Class::NoData, partitions, desk);
        }
        let last = self.heard.last(look.now);
        // On the steady clock: a step of the machine's is no silence.
        let silent_us = look.now.steady_us.saturating_sub(last.steady_us);
        // What comes while nobody can read is no silence.
        let read_since_us = look.troubles.read_since_us(look.reach.topic);
        let watched_us =
            read_since_us.map(|since_us| silent_us.min(desk.now_us.saturating_sub(since_us)));
        let after_us = self.setup.model.no_data.after_us;
        let incidents = self.facts.alerts.incidents();
        let opened_us =
            incidents.filter(|open| open.class == Class::NoData).map(|open| open.opened_us).next();
        // Where the machine's clock was set back meanwhile, a row seems older than the silence that it ends.
        let flows = self.heard.has_rows() && silent_us < after_us;
        let is_older = |opened_us| self.last_row_wall_us.is_none_or(|at_us| at_us < opened_us);
        let found = match opened_us {
            Some(opened_us) if !flows && is_older(opened_us) => return,
            Some(_) => Vec::new(),
            None if !self.is_caught_up() || watched_us.is_none_or(|us| us < after_us) => {
                return;
            }
            None => {
                let because = format!(
                    "no capture was accepted for {}: {}",
                    duration_words(silent_us),
                    self.who_is_silent(look)
                );
                vec![signals::of_the_clock("model", "no_data", because, self.silent_since_us())]
            }
        };
        self.look(Class::NoData, found, desk);
    }

    /// Partitions that fell silent while the others flow: a part of the model's rows is lost.
    fn silent_partitions(&self, look: &Look<'_>) -> Vec<Evidence> {
        // What cannot be read may well be there.
        if look.troubles.read_since_us(look.reach.topic).is_none() || !self.is_caught_up() {
            return Vec::new();
        }
        let after = self.setup.model.no_data.partition_after;
        let silent = self.facts.silences.silent(&self.heard, after, look.now);
        let evidence = silent.into_iter().take(NAMED).map(|silent| {
            let (partition, since_us) = (silent.partition, silent.since_us);
            let because = format!(
                "partition {partition} of topic {} is silent since {}: the model lost {} % of its rows",
                look.topic.name,
                format_instant(since_us),
                (silent.share * 100.0).round(),
            );
            let subject = format!("partition:{partition}");
            signals::of_the_clock(&subject, "no_data", because, since_us)
        });
        evidence.collect()
    }

    /// The first model of a topic speaks for all of them: a broker that is gone is one trouble and not
    /// one for each of a thousand models.
    fn look_at_ourselves(&mut self, look: &Look<'_>, desk: &mut Desk<'_>) {
        if !look.is_speaker {
            return;
        }
        let found = look.troubles.lasting(look.reach.topic, &look.topic.name, desk.now_us);
        // Until the broker has told of the topic, the trouble before a restart may not be over.
        if found.is_empty() && !look.reach.is_told {
            return;
        }
        self.look(Class::Driftline, found, desk);
    }

    fn look_at_candidates(&mut self, desk: &mut Desk<'_>) {
        let mut found = Vec::new();
        for candidate in &self.setup.model.shadow {
            match self.candidates.get(&candidate.name) {
                // Not loaded yet: nothing is known that would open or resolve anything.
                None => return,
                Some(None) => {}
                Some(Some((since_us, says))) => {
                    let because = format!("candidate {} is not scored: {says}", candidate.name);
                    let subject = format!("candidate:{}", candidate.name);
                    found.push(signals::of_the_clock(&subject, "candidate", because, *since_us));
                }
            }
        }
        self.look(Class::Candidate, found, desk);
    }

    /// Decides where a class is not as it was: a class that stays as it is costs nothing.
    fn look(&mut self, class: Class, found: Vec<Evidence>, desk: &mut Desk<'_>) {
        let is_open = self.facts.alerts.state(class) != State::Ok;
        if is_open != found.is_empty() {
            return;
        }
        let observation = signals::of_a_look(self.name(), class, found, desk.now_us);
        self.decide(&observation, None, desk);
    }

    /// Sends a transition's messages again, or for the first time where they were too old before; then
    /// what it would have asked for is asked for as well.
    fn remind(&mut self, transition: &Transition, ordinal: u32, desk: &mut Desk<'_>) {
        let mut notes = match ordinal {
            0 => self.retry_retraining(transition.at_us, desk),
            _ => BTreeMap::new(),
        };
        let note = notes.remove(&transition.incident).unwrap_or(RetrainNote::None);
        let rows = desk.messages.rows(self, &Occasion::new(self, transition, ordinal, note));
        self.facts.sent.note(&transition.incident, &transition.id, ordinal, desk.now_us);
        self.touch();
        desk.say(rows);
    }

    /// Whether the whole topic, the partitions of this model, or only the model itself is silent.
    fn who_is_silent(&self, look: &Look<'_>) -> String {
        let (topic, since_us) = (&look.topic.name, self.silent_since_us());
        let is_silent = |partition: &Partition| {
            // No record came since the start.
            look.last_record_us.get(partition).is_none_or(|at_us| *at_us <= since_us)
        };
        if look.last_record_us.keys().all(is_silent) {
            return format!("the whole topic {topic} is silent");
        }
        let of_model = &look.reach.served;
        if !of_model.is_empty() && of_model.iter().all(is_silent) {
            let names: Vec<String> =
                of_model.iter().take(NAMED).map(Partition::to_string).collect();
            return format!(
                "partition {} of topic {topic}, where it was served, is silent, others are not",
                names.join(", "),
            );
        }
        format!("only this model is silent, other records of topic {topic} come")
    }
}
