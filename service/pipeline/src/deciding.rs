//! Deciding: what closed is judged, incidents follow, and what is to be said goes into the outbox.
//!
//! ```text
//! what closed ─► judge (another thread) ─► report ─► incidents ─► retraining? ─► messages ─► outbox
//! the clock  ─► silence, trouble, reminders ───────────┘
//! ```
//!
//! Each model's decisions are in [`model`], one after the other; what they share is a [`Desk`].

pub(crate) mod ahead;
pub(crate) mod clock;
pub(crate) mod lanes;
pub(crate) mod model;
pub(crate) mod outbox;
pub(crate) mod rejects;
pub(crate) mod silence;
pub(crate) mod troubles;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_alerting::outbox::{OutboxRow, Silence};
use driftline_alerting::repeat::RepeatRules;
use driftline_alerting::{Acceptance, Rules, accept, take_back};
use driftline_analytics::lane::{PerLane, Step};
use driftline_config::time::ClockReading;
use driftline_config::{ModelId, Partition, Table, TopicId, TopicPartition};

use crate::Settings;
use crate::counting::model::RowsByPartition;
use crate::counting::topic::TopicFacts;
use crate::digest::IncidentEntry;
use crate::messages::Messages;
use crate::outlet::Outlet;
use clock::{Look, Reach};
use model::ModelDecider;
use outbox::Outbox;
use troubles::Troubles;

/// Rules, incidents, outbox, silences, troubles.
#[derive(Debug)]
pub(crate) struct Deciding {
    pub(crate) models: Table<ModelId, ModelDecider>,
    topics: Table<TopicId, WatchedTopic>,
    rules: Rules,
    pub(crate) messages: Messages,
    pub(crate) silences: Vec<Silence>,
    repeats: RepeatRules,
    pub(crate) troubles: Troubles,
    pub(crate) outbox: Outbox,
    /// Wall time of the last record of each partition since the start, whatever it was.
    last_record_us: BTreeMap<TopicPartition, i64>,
    /// Windows that closed and are not in the store as reports.
    pub(crate) unreported: usize,
}

#[derive(Debug)]
pub(crate) struct WatchedTopic {
    pub(crate) name: Arc<str>,
    /// The model that speaks of trouble for all of the topic's.
    pub(crate) speaker: Option<ModelId>,
}

/// What the decisions of all models share.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) messages: &'a Messages,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) outlet: &'a mut Outlet,
    pub(crate) now_us: i64,
}

impl Desk<'_> {
    pub(crate) fn say(&mut self, rows: impl IntoIterator<Item = OutboxRow>) {
        self.outbox.put_rows(rows, self.outlet);
    }
}

impl Deciding {
    pub(crate) fn new(
        settings: Settings,
        topics: Vec<WatchedTopic>,
        models: Vec<ModelDecider>,
    ) -> Deciding {
        Deciding {
            models: Table::new(models),
            topics: Table::new(topics),
            rules: settings.rules,
            messages: settings.messages,
            silences: Vec::new(),
            repeats: settings.repeats,
            troubles: Troubles::default(),
            outbox: Outbox::new(settings.outbox_limit),
            last_record_us: BTreeMap::new(),
            unreported: 0,
        }
    }

    /// A further model of a topic that is read already.
    pub(crate) fn add(&mut self, topic: TopicId, model: ModelDecider) {
        let id = self.models.push(model);
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.speaker.get_or_insert(id);
        }
    }

    /// Which windows of a model close now, of what counting knows of its topic and its rows.
    pub(crate) fn due(
        &mut self,
        model: ModelId,
        topic: &TopicFacts,
        rows: &RowsByPartition,
        now: ClockReading,
    ) -> PerLane<Vec<Step>> {
        match self.models.get_mut(model) {
            Some(model) => model.advance(topic, rows, now),
            None => PerLane::default(),
        }
    }

    /// One model and what its decisions need.
    pub(crate) fn desk<'a>(
        &'a mut self,
        model: ModelId,
        outlet: &'a mut Outlet,
        now_us: i64,
    ) -> Option<(&'a mut ModelDecider, Desk<'a>)> {
        let (rules, messages) = (&self.rules, &self.messages);
        let desk = Desk { rules, messages, outbox: &mut self.outbox, outlet, now_us };
        Some((self.models.get_mut(model)?, desk))
    }

    /// A record of a partition came, whatever it is.
    pub(crate) fn note_record(&mut self, at: TopicPartition, now_us: i64) {
        self.last_record_us.insert(at, now_us);
    }

    /// Looks at one model as the clock ticks: silence, trouble of our own, candidates, reminders.
    pub(crate) fn look(
        &mut self,
        model: ModelId,
        reach: Reach,
        outlet: &mut Outlet,
        now: ClockReading,
    ) {
        let now_us = now.wall_us;
        let Some(topic) = self.topics.get(reach.topic) else { return };
        let Some(decider) = self.models.get_mut(model) else { return };
        let end = |partition| TopicPartition { topic: reach.topic, partition };
        let records = end(Partition(i32::MIN))..=end(Partition(i32::MAX));
        let records = self.last_record_us.range(records);
        let look = Look {
            now,
            reach,
            topic,
            is_speaker: topic.speaker == Some(model),
            troubles: &self.troubles,
            last_record_us: records.map(|(at, us)| (at.partition, *us)).collect(),
            silences: &self.silences,
            repeats: &self.repeats,
        };
        let (rules, messages) = (&self.rules, &self.messages);
        let mut desk = Desk { rules, messages, outbox: &mut self.outbox, outlet, now_us };
        decider.look_at_the_clock(&look, &mut desk);
    }

    /// Somebody accepted an incident, of whichever model.
    pub(crate) fn accept(&mut self, incident: &str, acceptance: &Acceptance, outlet: &mut Outlet) {
        let mut rows = Vec::new();
        for (_, model) in self.models.iter_mut() {
            let Ok(alerts) = accept(&model.facts.alerts, incident, acceptance.clone()) else {
                continue;
            };
            model.facts.alerts = alerts;
            model.touch();
            outlet.urgent = true;
            let mut open = model.facts.alerts.incidents();
            if let Some(accepted) = open.find(|open| open.id == incident) {
                rows.extend(self.messages.accepted(model, accepted, acceptance));
            }
            let entry = IncidentEntry::Accepted(acceptance.clone());
            let entry = entry.of(incident, "accepted", acceptance.at_us);
            outlet.pending.shown.entries.extend(entry);
        }
        self.outbox.put_rows(rows, outlet);
    }

    /// Somebody took an acceptance back: what still fires is told at the next look.
    pub(crate) fn take_back(&mut self, incident: &str, by: &Acceptance, outlet: &mut Outlet) {
        let mut rows = Vec::new();
        for (_, model) in self.models.iter_mut() {
            let Ok(alerts) = take_back(&model.facts.alerts, incident, by) else { continue };
            model.facts.alerts = alerts;
            model.facts.sent.renew(incident);
            model.touch();
            outlet.urgent = true;
            let mut open = model.facts.alerts.incidents();
            if let Some(open) = open.find(|open| open.id == incident) {
                rows.extend(self.messages.taken_back(model, open, by.at_us));
            }
            let entry = IncidentEntry::TakenBack(by.clone());
            outlet.pending.shown.entries.extend(entry.of(incident, "taken-back", by.at_us));
        }
        self.outbox.put_rows(rows, outlet);
    }

    /// Somebody ended a silence before its time: what it kept back and still fires is told at the next look.
    pub(crate) fn end_silence(&mut self, id: &str, by: &Acceptance, outlet: &mut Outlet) {
        let Some(silence) = self.silences.iter_mut().find(|known| known.id == id) else {
            tracing::warn!(id, "a silence was to be ended that is over");
            return;
        };
        silence.until_us = silence.until_us.min(by.at_us);
        let (who, reason) = (&by.by, &by.reason);
        tracing::info!(id, by = who.as_str(), reason = reason.as_str(), "a silence was ended");
        for (_, model) in self.models.iter() {
            let about = model
                .facts
                .alerts
                .incidents()
                .filter(|incident| silence.is_about(model.name(), incident.class));
            for incident in about {
                let entry = IncidentEntry::SilenceEnded(by.clone());
                let id = format!("silence-ended-{id}");
                outlet.pending.shown.entries.extend(entry.of(&incident.id, &id, by.at_us));
            }
        }
        outlet.urgent = true;
    }

    /// Those that ended are forgotten by the tick that tells what they kept back.
    pub(crate) fn silence(&mut self, silence: Silence, outlet: &mut Outlet) {
        self.silences.retain(|known| known.id != silence.id);
        self.silences.push(silence);
        outlet.urgent = true;
    }

    /// How often an index named none of its models or topics, since the last call.
    pub(crate) fn take_missed(&self) -> u64 {
        self.models.take_missed() + self.topics.take_missed()
    }

    /// Windows that closed and are not in the store as reports, counted anew.
    pub(crate) fn count_unreported(&self, outlet: &Outlet) -> usize {
        let unjudged = self.models.iter().map(|(_, model)| model.unjudged_windows());
        unjudged.sum::<usize>() + outlet.uncommitted_reports()
    }
}
