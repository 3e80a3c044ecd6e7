//! The models of a topic: those that were declared, and those that templates make of names as they come.

use std::sync::{Arc, Mutex, PoisonError};

use driftline_config::{TopicId, TopicPartition};
use driftline_formats::TopicLayout;
use rdkafka::message::BorrowedMessage;

use super::stretch::Added;
use super::worker::Worker;
use crate::plan::Newcomers;

/// How the records of a topic are decoded by now. Models are added behind those that are there.
#[derive(Debug)]
pub(crate) struct Roster {
    topic: TopicId,
    layout: Mutex<Arc<TopicLayout>>,
}

impl Roster {
    pub(crate) fn new(topic: TopicId, layout: TopicLayout) -> Roster {
        Roster { topic, layout: Mutex::new(Arc::new(layout)) }
    }

    pub(crate) fn layout(&self) -> Arc<TopicLayout> {
        Arc::clone(&self.layout.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The layout with the model of this name; `None` where none is made of it. Partitions that meet a name at
    /// the same time wait here for the first of them.
    fn meet(&self, name: &str, newcomers: &Newcomers) -> Option<Arc<TopicLayout>> {
        let mut layout = self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        if !layout.knows(name) {
            let plan = newcomers.make(self.topic, name)?;
            *layout = Arc::new(layout.with_model(&plan));
        }
        Some(Arc::clone(&layout))
    }
}

impl Worker {
    /// Adds a record to what is read of its partition, and finds out about models that it is the first to name.
    pub(super) fn add(&mut self, index: usize, message: &BorrowedMessage<'_>) -> Option<Added> {
        let reading = self.readings.get_mut(index)?;
        let TopicPartition { topic, .. } = reading.log;
        loop {
            let name = match reading.stretch.add(message) {
                Added::NeedsModel(name) => name,
                added => return Some(added),
            };
            let roster = self.plan.rosters.get(topic)?;
            // A name of which no model is made is skipped, and counted there.
            match roster.meet(&name, &self.plan.newcomers) {
                Some(layout) => reading.stretch.take_up(layout),
                None => reading.stretch.refuse(&name),
            }
        }
    }
}
