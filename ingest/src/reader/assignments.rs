//! What a worker does with its partitions beside reading them: begin, pause, verify, start over.

use std::collections::BTreeSet;
use std::time::Duration;

use driftline_config::{TopicId, TopicPartition};
use driftline_formats::Decoder;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::outlet::{Cause, Stopped};
use super::stretch::Stretch;
use super::worker::{Assignment, Reading, Worker};
use crate::client::{Consumer, reading_consumer};
use crate::event::Event;
use crate::plan::Position;
use crate::topic::watermarks;

impl Worker {
    /// Some partition's position is not in its log, and librdkafka does not say which.
    pub(super) fn out_of_range(&mut self, consumer: &Consumer) -> Result<(), Stopped> {
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get(index) else { continue };
            let TopicPartition { topic, partition } = reading.log;
            let position = reading.stretch.position();
            let name = self.plan.topic_name(topic);
            let (low, high) = match watermarks(consumer, &self.plan.connection, name, partition) {
                Ok(found) => found,
                Err(error) => {
                    self.outlet.trouble(None, Cause::Broker, error.to_string())?;
                    continue;
                }
            };
            if position > high {
                let why = format!("the log ends at {high}, before the next offset {position}");
                self.recreated(consumer, index, why)?;
            } else if position < low {
                self.hand_over(index)?;
                let why = format!("retention removed the records before offset {low}");
                self.restart(consumer, index, low)?;
                let (from, to) = (position, low);
                self.outlet.send(Event::Gap { topic, partition, from, to, why })?;
            }
        }
        Ok(())
    }

    /// These topics were made again under the same name: each goes on at its beginning.
    pub(super) fn made_again(
        &mut self,
        consumer: &Consumer,
        topics: &BTreeSet<String>,
    ) -> Result<(), Stopped> {
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get(index) else { continue };
            if topics.contains(self.plan.topic_name(reading.log.topic)) {
                self.recreated(consumer, index, "the topic was made again".to_owned())?;
            }
        }
        Ok(())
    }

    /// The log is another one: goes on at its beginning.
    pub(super) fn recreated(
        &mut self,
        consumer: &Consumer,
        index: usize,
        why: String,
    ) -> Result<(), Stopped> {
        self.hand_over(index)?;
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        let TopicPartition { topic, partition } = reading.log;
        let position = reading.stretch.position();
        reading.last = None;
        let name = self.plan.topic_name(topic);
        // Without an answer, 0: the next fetch tells whether the log begins later.
        let offset =
            watermarks(consumer, &self.plan.connection, name, partition).map_or(0, |(low, _)| low);
        self.restart(consumer, index, offset)?;
        self.outlet.send(Event::Recreated { topic, partition, position, offset, why })
    }

    /// Goes on elsewhere: what was known of the end was of the old place.
    fn restart(&mut self, consumer: &Consumer, index: usize, offset: i64) -> Result<(), Stopped> {
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        reading.check = None;
        reading.at_end = false;
        // The next record there may be of another.
        reading.schema = None;
        reading.stretch.restart(offset);
        (reading.end_heard, reading.end_beyond) = (false, None);
        (reading.begun_us, reading.sampled) = (self.plan.clock.now().steady_us, None);
        self.note(index);
        self.assign(consumer, index, offset)
    }

    /// Tells the consumer to fetch a partition from `offset` on, unless it is to wait.
    fn assign(&mut self, consumer: &Consumer, index: usize, offset: i64) -> Result<(), Stopped> {
        // Unassigning may free librdkafka's topic, whose address may then be another's.
        self.by_address.clear();
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        let mut list = TopicPartitionList::new();
        let name = self.plan.topic_name(reading.log.topic);
        let was_assigned = std::mem::replace(&mut reading.assigned, true);
        let assigned = list
            .add_partition_offset(name, reading.log.partition.0, Offset::Offset(offset))
            .and_then(|()| {
                // librdkafka warns of what was not assigned, and assigns nothing twice.
                if was_assigned {
                    let _ = consumer.incremental_unassign(&list);
                }
                consumer.incremental_assign(&list)
            });
        if let Err(error) = assigned {
            let partition = reading.log.partition;
            let message = format!("partition {partition} of {name} cannot be read: {error}");
            return self.outlet.trouble(Some(reading.log.topic), Cause::Topic, message);
        }
        if reading.stands_still() {
            self.stand_still(consumer, index);
        }
        Ok(())
    }

    /// Tells the consumer to fetch no more of a partition, and to drop what it has fetched.
    pub(super) fn stand_still(&self, consumer: &Consumer, index: usize) {
        let Some(reading) = self.readings.get(index) else { return };
        let mut list = TopicPartitionList::new();
        list.add_partition(self.plan.topic_name(reading.log.topic), reading.log.partition.0);
        if let Err(error) = consumer.pause(&list) {
            tracing::warn!(%error, partition = reading.log.partition.0, "pausing failed");
        }
        self.note(index);
    }

    /// Tells the consumer to go on with a partition. It seeks as well: librdkafka does not wake the thread
    /// that fetches for a partition that is resumed, and the thread may sleep for a second.
    pub(super) fn go_on(&self, consumer: &Consumer, index: usize) {
        let Some(reading) = self.readings.get(index) else { return };
        let (name, partition) = (self.plan.topic_name(reading.log.topic), reading.log.partition.0);
        let offset = reading.check.map_or(reading.stretch.position(), |check| check.offset);
        let mut list = TopicPartitionList::new();
        list.add_partition(name, partition);
        let resumed = consumer
            .resume(&list)
            .and_then(|()| consumer.seek(name, partition, Offset::Offset(offset), Duration::ZERO));
        if let Err(error) = resumed {
            tracing::warn!(%error, partition, "resuming failed");
        }
        self.note(index);
    }

    /// Holds up the topic of a partition whose dead letters do not arrive.
    pub(super) fn hold_up(&mut self, consumer: &Consumer, index: usize) {
        let Some(topic) = self.readings.get(index).map(|reading| reading.log.topic) else { return };
        if !self.dead_letters.is_full_for(self.plan.topic_name(topic)) {
            return;
        }
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get_mut(index) else { continue };
            if reading.log.topic == topic && !reading.held {
                reading.held = true;
                self.held = true;
                self.stand_still(consumer, index);
            }
        }
    }

    /// Lets the held topics go on once the dead letters have room.
    pub(super) fn let_go(&mut self, consumer: &Consumer) -> Result<(), Stopped> {
        if !self.held {
            return Ok(());
        }
        self.settle()?;
        let room = self.dead_letters.has_room();
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get_mut(index).filter(|reading| reading.held) else {
                continue;
            };
            let topic = Some(reading.log.topic);
            if room {
                reading.held = false;
                let resume = !reading.stands_still();
                reading.at_end = false;
                if resume {
                    self.go_on(consumer, index);
                }
                self.outlet.recovered(topic, Cause::DeadLetters)?;
            } else {
                let why = self.dead_letters.trouble();
                let why = why.unwrap_or_else(|| "they are not acknowledged".to_owned());
                let message = format!("the topic is paused until its dead letters arrive: {why}");
                self.outlet.trouble(topic, Cause::DeadLetters, message)?;
            }
        }
        self.held = !room;
        Ok(())
    }

    pub(super) fn obey(&mut self, consumer: &mut Consumer) -> Result<(), Stopped> {
        let orders = self.inbox.take();
        for log in orders.leave {
            self.leave(consumer, log)?;
        }
        for assignment in orders.read {
            self.read(consumer, assignment)?;
        }
        for (log, pause) in orders.pauses {
            self.pause(consumer, log, pause);
        }
        for topic in orders.verify {
            self.verify(consumer, topic)?;
        }
        if orders.rebuild {
            self.rebuild(consumer)?;
        }
        Ok(())
    }

    fn read(&mut self, consumer: &Consumer, assignment: Assignment) -> Result<(), Stopped> {
        let Assignment { log, offset, check } = assignment;
        let Some(roster) = self.plan.rosters.get(log.topic) else { return Ok(()) };
        let decoder = Decoder::with_layout(roster.layout(), &self.plan.limits.record);
        let stretch = Stretch::new(log, offset, decoder);
        let index = self.readings.push(Reading {
            log,
            stretch,
            last: check,
            check,
            at_end: false,
            assigned: false,
            paused: false,
            held: false,
            schema: None,
            end_heard: false,
            end_beyond: None,
            begun_us: self.plan.clock.now().steady_us,
            sampled: None,
        });
        self.note(index);
        self.assign(consumer, index, check.map_or(offset, |check| check.offset))
    }

    /// The topic does not have a partition any more: what was read of it is handed over, and nothing of it
    /// stays behind.
    fn leave(&mut self, consumer: &Consumer, log: TopicPartition) -> Result<(), Stopped> {
        let found = self.readings.iter().position(|(_, reading)| reading.log == log);
        let Some(index) = found else { return Ok(()) };
        self.hand_over(index)?;
        let Some(reading) = self.readings.swap_remove(index) else { return Ok(()) };
        // Another reading has its place now.
        self.by_address.clear();
        self.waiting = self.readings.iter().any(|(_, reading)| reading.paused);
        self.held = self.readings.iter().any(|(_, reading)| reading.held);
        self.schemaless = self.readings.iter().any(|(_, reading)| reading.schema.is_some());
        let mut list = TopicPartitionList::new();
        list.add_partition(self.plan.topic_name(log.topic), log.partition.0);
        if reading.assigned
            && let Err(error) = consumer.incremental_unassign(&list)
        {
            tracing::debug!(%error, partition = log.partition.0, "it was not read any more");
        }
        let position = Position { offset: reading.stretch.position(), fingerprint: reading.last };
        self.outlet.leave(log, position);
        Ok(())
    }

    /// A row lies beyond the topic's horizon: hands it over and waits for a word.
    pub(super) fn stop_ahead(&mut self, consumer: &Consumer, index: usize) -> Result<(), Stopped> {
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        let held = reading.stands_still();
        // Paused before the chunk is sent, whose answer may come at once (decision 051).
        reading.paused = true;
        self.waiting = true;
        if !held {
            self.stand_still(consumer, index);
        }
        self.hand_over_as(index, true)
    }

    fn pause(&mut self, consumer: &Consumer, log: TopicPartition, pause: bool) {
        let found = self.readings.iter_mut().find(|(_, reading)| reading.log == log);
        let Some((index, reading)) = found else {
            self.outlet.count_defects(1);
            tracing::error!(
                ?log,
                pause,
                "an order came for a partition that is not read, a defect"
            );
            return;
        };
        // The end is signalled again after a resume, be it of a pause that was never heard of.
        reading.at_end = reading.at_end && pause;
        if reading.paused == pause {
            return;
        }
        reading.paused = pause;
        (reading.end_heard, reading.end_beyond) = (false, None);
        let held = reading.held || reading.schema.is_some();
        self.waiting = self.readings.iter().any(|(_, reading)| reading.paused);
        match (held, pause) {
            (true, _) => {}
            (false, true) => self.stand_still(consumer, index),
            (false, false) => self.go_on(consumer, index),
        }
    }

    /// Reads the last record of each of a topic's partitions again.
    fn verify(&mut self, consumer: &Consumer, topic: TopicId) -> Result<(), Stopped> {
        for index in 0..self.readings.len() {
            self.hand_over(index)?;
            let Some(reading) = self.readings.get_mut(index) else { continue };
            if reading.log.topic == topic {
                reading.check = reading.last;
                reading.at_end = false;
                let next = reading.stretch.position();
                let offset = reading.check.map_or(next, |check| check.offset);
                self.assign(consumer, index, offset)?;
            }
        }
        Ok(())
    }

    fn rebuild(&mut self, old: &mut Consumer) -> Result<(), Stopped> {
        tracing::warn!("the consumer was silent although it lags: it is built anew");
        let settings = super::consumer_settings(&self.plan.memory);
        match reading_consumer(&self.plan.connection, &settings) {
            Ok(new) => *old = new,
            Err(error) => return self.outlet.trouble(None, Cause::Broker, error.to_string()),
        }
        self.by_address.clear();
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get_mut(index) else { continue };
            (reading.at_end, reading.assigned) = (false, false);
            let offset = reading.check.map_or(reading.stretch.position(), |check| check.offset);
            self.assign(old, index, offset)?;
            self.note(index);
        }
        Ok(())
    }
}
