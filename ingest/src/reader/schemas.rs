//! A partition whose next record was written by a schema that is not known yet: it waits, and no other does.

use std::sync::Arc;

use driftline_formats::{KnownSchema, SchemaId};

use super::outlet::{Cause, Stopped};
use super::worker::Worker;
use crate::client::Consumer;

impl Worker {
    /// Fetches no more of a partition until the schema of its next record is there.
    pub(super) fn await_schema(&mut self, consumer: &Consumer, index: usize, id: SchemaId) {
        let Some(reading) = self.readings.get_mut(index) else { return };
        let stood_still = reading.stands_still();
        reading.schema = Some(id);
        self.schemaless = true;
        match (&self.plan.librarian, self.plan.rosters.get(reading.log.topic)) {
            (Some(librarian), _) => librarian.want(id),
            // Configurations without a registry are refused where one is needed.
            (None, Some(roster)) => {
                roster.layout().schemas().put(id, Arc::new(KnownSchema::absent()))
            }
            (None, None) => {}
        }
        if !stood_still {
            self.stand_still(consumer, index);
        }
    }

    /// Lets partitions go on whose schema came, and tells of those whose does not.
    pub(super) fn look_for_schemas(&mut self, consumer: &Consumer) -> Result<(), Stopped> {
        if !self.schemaless {
            return Ok(());
        }
        self.schemaless = false;
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get_mut(index) else { continue };
            let Some(id) = reading.schema else { continue };
            let topic = reading.log.topic;
            let Some(roster) = self.plan.rosters.get(topic) else { continue };
            if roster.layout().schemas().holds(id) {
                reading.schema = None;
                if !reading.stands_still() {
                    self.go_on(consumer, index);
                }
                let waits = |topic_of: driftline_config::TopicId| {
                    let mut others = self.readings.iter().map(|(_, reading)| reading);
                    others.any(|other| other.log.topic == topic_of && other.schema.is_some())
                };
                if !waits(topic) {
                    self.outlet.recovered(Some(topic), Cause::Schemas)?;
                }
                continue;
            }
            self.schemaless = true;
            let why = self.plan.librarian.as_ref().and_then(|librarian| librarian.trouble(id));
            if let Some(why) = why {
                let partition = reading.log.partition;
                let message = format!(
                    "partition {partition} waits for schema {id}, which the registry does not give: {why}"
                );
                self.outlet.trouble(Some(topic), Cause::Schemas, message)?;
            }
        }
        Ok(())
    }
}
