//! What only the wall clock shows: models that fell silent, trouble of our own, messages that are due
//! again.
//!
//! None of it is in a report: windows are judged by the log. Trouble is not in the checkpoint either,
//! only the incidents that follow from it: after a restart it is met again, or it is over.

use std::collections::BTreeMap;

use driftline_alerting::repeat::{Due, Moment};
use driftline_alerting::{Class, State, Subject, Transition};
use driftline_config::time::{MINUTE_US, SECOND_US, format_duration};

use super::Pipeline;
use crate::messages::Occasion;
use crate::translate;

/// How long reading or dead letters must be in trouble before somebody is told: a broker that restarts
/// or a partition that changes its leader is back by then.
const TROUBLE_FOR_US: i64 = 5 * MINUTE_US;

/// What keeps us from watching well, and since when.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// By topic; `None` is the broker.
    reading: BTreeMap<Option<usize>, Trouble>,
    /// When the last trouble of each was over.
    over_us: BTreeMap<Option<usize>, i64>,
    dead_letters: Option<Trouble>,
}

#[derive(Debug, Clone)]
struct Trouble {
    since_us: i64,
    says: String,
}

impl Troubles {
    /// Reading of a topic, or of the broker, is in trouble, or goes on.
    pub(super) fn reading(&mut self, topic: Option<usize>, says: Option<String>, now_us: i64) {
        let mut known = self.reading.remove(&topic);
        if known.is_some() && says.is_none() {
            self.over_us.insert(topic, now_us);
        }
        update(&mut known, says, now_us);
        self.reading.extend(known.map(|trouble| (topic, trouble)));
    }

    /// Dead letters do not arrive, or do again.
    pub(super) fn dead_letters(&mut self, says: Option<String>, now_us: i64) {
        update(&mut self.dead_letters, says, now_us);
    }

    /// Since when a topic has been read without trouble, as far as is known; `None` while it is not.
    fn read_since_us(&self, topic: usize) -> Option<i64> {
        let keys = [None, Some(topic)];
        let in_trouble = keys.iter().any(|key| self.reading.contains_key(key));
        let over_us = keys.iter().filter_map(|key| self.over_us.get(key)).max();
        (!in_trouble).then(|| over_us.copied().unwrap_or(i64::MIN))
    }

    /// What has lasted long enough to tell of a topic.
    fn lasting(&self, topic: usize, name: &str, now_us: i64) -> Vec<Subject> {
        let reading = [None, Some(topic)].into_iter().filter_map(|key| self.reading.get(&key));
        let reading = reading.map(|trouble| ("reading", "has not been read", trouble));
        let letters = self.dead_letters.iter();
        let letters =
            letters.map(|trouble| ("dead letters", "could not hand on a reject", trouble));
        let lasting = |trouble: &Trouble| now_us.saturating_sub(trouble.since_us) >= TROUBLE_FOR_US;
        let told = reading.chain(letters).filter(|(_, _, trouble)| lasting(trouble));
        told.map(|(subject, what, trouble)| {
            let minutes_us = (now_us - trouble.since_us) / MINUTE_US * MINUTE_US;
            let because =
                format!("{name} {what} for {}: {}", format_duration(minutes_us), trouble.says);
            translate::wall_subject(subject, "driftline", because, trouble.since_us)
        })
        .collect()
    }
}

fn update(known: &mut Option<Trouble>, says: Option<String>, now_us: i64) {
    let since_us = known.as_ref().map_or(now_us, |trouble| trouble.since_us);
    *known = says.map(|says| Trouble { since_us, says });
}

impl Pipeline {
    /// Looks at one model as the clock ticks.
    pub(super) fn look_at_the_clock(&mut self, index: usize, now_us: i64) {
        self.look_for_silence(index, now_us);
        self.look_at_ourselves(index, now_us);
        self.look_at_candidates(index, now_us);
        let Some(unit) = self.units.get(index) else { return };
        let at = Moment {
            now_us,
            caught_up: unit.is_caught_up(),
            model: unit.name(),
            silences: &self.silences,
        };
        let due: Vec<(Transition, u32)> = unit
            .facts
            .sent
            .due(&unit.facts.alerts, &at, &self.repeats)
            .into_iter()
            .map(|Due { incident, ordinal }| (incident.last.clone(), ordinal))
            .collect();
        for (transition, ordinal) in due {
            self.remind(index, &transition, ordinal, now_us);
        }
    }

    /// Nothing is known of a model whose partitions are being read: what fired goes on until a row is
    /// accepted, across a restart as well.
    fn look_for_silence(&mut self, index: usize, now_us: i64) {
        let Some(unit) = self.units.get(index) else { return };
        let silent_us = now_us.saturating_sub(unit.silent_since_us());
        // What comes while nobody can read is no silence.
        let read_since_us = self.troubles.read_since_us(unit.topic);
        let watched_us =
            read_since_us.map(|since_us| silent_us.min(now_us.saturating_sub(since_us)));
        let after_us = unit.setup.model.no_data.after_us;
        let incidents = unit.facts.alerts.incidents();
        let opened_us =
            incidents.filter(|open| open.class == Class::NoData).map(|open| open.opened_us).next();
        let subjects = match opened_us {
            Some(opened_us) if unit.last_row_wall_us.is_none_or(|at_us| at_us < opened_us) => {
                return;
            }
            Some(_) => Vec::new(),
            None if !unit.is_caught_up() || watched_us.is_none_or(|us| us < after_us) => return,
            None => {
                let minutes_us = (silent_us / MINUTE_US * MINUTE_US).max(SECOND_US);
                let because = format!(
                    "no capture was accepted for {}: {}",
                    format_duration(minutes_us),
                    self.who_is_silent(index)
                );
                vec![translate::wall_subject("model", "no_data", because, unit.silent_since_us())]
            }
        };
        self.look(index, Class::NoData, subjects, now_us);
    }

    /// The first model of a topic speaks for all of them: a broker that is gone is one trouble and not
    /// one for each of a thousand models.
    fn look_at_ourselves(&mut self, index: usize, now_us: i64) {
        let Some(unit) = self.units.get(index) else { return };
        let Some(topic) = self.topics.get(unit.topic) else { return };
        if topic.units.first() != Some(&index) {
            return;
        }
        let subjects = self.troubles.lasting(unit.topic, &topic.name, now_us);
        // Until the broker has told of the topic, the trouble before a restart may not be over.
        if subjects.is_empty() && topic.count == 0 {
            return;
        }
        self.look(index, Class::Driftline, subjects, now_us);
    }

    fn look_at_candidates(&mut self, index: usize, now_us: i64) {
        let Some(unit) = self.units.get(index) else { return };
        let mut subjects = Vec::new();
        for candidate in &unit.setup.model.shadow {
            match unit.candidates.get(&candidate.name) {
                // Not loaded yet: nothing is known that would open or resolve anything.
                None => return,
                Some(None) => {}
                Some(Some((since_us, says))) => {
                    let because = format!("candidate {} is not scored: {says}", candidate.name);
                    let subject = format!("candidate:{}", candidate.name);
                    subjects.push(translate::wall_subject(
                        &subject,
                        "candidate",
                        because,
                        *since_us,
                    ));
                }
            }
        }
        self.look(index, Class::Candidate, subjects, now_us);
    }

    /// Decides where a class is not as it was: a class that stays as it is costs nothing.
    fn look(&mut self, index: usize, class: Class, subjects: Vec<Subject>, now_us: i64) {
        let Some(unit) = self.units.get(index) else { return };
        let is_open = unit.facts.alerts.state(class) != State::Ok;
        if is_open != subjects.is_empty() {
            return;
        }
        let observation = translate::wall(unit.name(), class, subjects, now_us);
        self.decide(index, &observation, None, now_us);
    }

    /// What became of loading a candidate: `problem` says why it is not scored.
    pub(super) fn on_candidate(
        &mut self,
        index: usize,
        candidate: String,
        problem: Option<String>,
        now_us: i64,
    ) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.candidates.insert(candidate, problem.map(|says| (now_us, says)));
        }
    }

    /// Sends a transition's messages again, or for the first time where they were too old before; then
    /// what it would have asked for is asked for as well.
    fn remind(&mut self, index: usize, transition: &Transition, ordinal: u32, now_us: i64) {
        let note = match ordinal {
            0 => self.retry_retraining(index, transition.at_us).remove(&transition.incident),
            _ => None,
        };
        let Some(unit) = self.units.get_mut(index) else { return };
        let occasion = Occasion::new(unit, transition, ordinal).with_note(note);
        let rows = self.messages.rows(unit, &occasion);
        unit.facts.sent.note(&transition.incident, &transition.id, ordinal, now_us);
        unit.touch();
        self.enqueue_rows(rows);
    }

    /// Whether the whole topic, the partitions of this model, or only the model itself is silent.
    fn who_is_silent(&self, index: usize) -> String {
        let Some(unit) = self.units.get(index) else { return String::new() };
        let Some(topic) = self.topics.get(unit.topic) else { return String::new() };
        let since_us = unit.silent_since_us();
        let is_silent = |partition: i32| {
            topic.last_record_wall_us.get(&partition).is_none_or(|at_us| *at_us <= since_us)
        };
        if topic.last_record_wall_us.keys().all(|partition| is_silent(*partition)) {
            return format!("the whole topic {} is silent", topic.name);
        }
        let of_model = unit.drift.partitions().filter(|p| unit.drift.watermark_us(*p).is_some());
        let of_model: Vec<i32> = of_model.collect();
        if !of_model.is_empty() && of_model.iter().all(|partition| is_silent(*partition)) {
            let names: Vec<String> = of_model.iter().take(10).map(i32::to_string).collect();
            return format!(
                "partition {} of topic {}, where it was served, is silent, others are not",
                names.join(", "),
                topic.name
            );
        }
        format!("only this model is silent, other records of topic {} come", topic.name)
    }
}
