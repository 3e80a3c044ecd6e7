//! One reading thread: a consumer, the partitions it was told to read, and the loop between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftline_capture::{Chunk, Fingerprint};
use driftline_config::time::ClockReading;
use driftline_config::{Partition, Table, TopicPartition};
use driftline_formats::SchemaId;
use rdkafka::Message;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;

use super::Plan;
use super::orders::Inbox;
use super::outlet::{Cause, Outlet, Status, Stopped};
use super::stretch::{Added, Stretch, dead_letter, fingerprint_of};
use crate::client::{Consumer, Figures};
use crate::dead_letter::DeadLetters;
use crate::event::Event;

/// Age after which a partition's chunk is handed over, whatever is in it.
const CHUNK_AGE: Duration = Duration::from_millis(200);
/// Size above which it is.
const CHUNK_BYTES: usize = 8 << 20;
/// Records between two looks at the clock and at the orders.
const RECORDS_PER_LOOK: u32 = 64;
/// Least time between two looks at the ages of all chunks: there may be many partitions.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Assignment {
    pub(crate) log: TopicPartition,
    pub(crate) offset: i64,
    /// The record before it, read again to make sure that the log is the same.
    pub(crate) check: Option<Fingerprint>,
}

pub(super) struct Reading {
    pub(super) log: TopicPartition,
    pub(super) stretch: Stretch,
    /// The last record that was handed over.
    pub(super) last: Option<Fingerprint>,
    /// The record that must come first.
    pub(super) check: Option<Fingerprint>,
    /// Whether the end was reached and nothing came since.
    pub(super) at_end: bool,
    /// Whether the consumer was told to fetch it.
    pub(super) assigned: bool,
    pub(super) paused: bool,
    /// Held up because its dead letters do not arrive.
    pub(super) held: bool,
    /// The schema that its next record waits for.
    pub(super) schema: Option<SchemaId>,
    /// librdkafka signalled an end that may be this partition's, and no record came since.
    pub(super) end_heard: bool,
    /// An end beyond the position that the last statistics told of, and the position then.
    pub(super) end_beyond: Option<(i64, i64)>,
    /// When reading of this log began, on the steady clock: samples of before may be another log's.
    pub(super) begun_us: i64,
    /// The newest sample by which the log ended at or before the position.
    pub(super) sampled: Option<ClockReading>,
}

pub(crate) struct Worker {
    pub(super) plan: Arc<Plan>,
    pub(super) outlet: Outlet,
    pub(super) dead_letters: DeadLetters,
    pub(super) inbox: Inbox,
    pub(super) readings: Table<usize, Reading>,
    /// Index of the reading by the address of librdkafka's topic and the partition: comparing names
    /// would cost more than decoding a small record.
    pub(super) by_address: HashMap<(usize, i32), usize>,
    /// Whether records wait to be handed over.
    gathering: bool,
    records_since_look: u32,
    /// When the ages of all chunks were looked at.
    looked: Instant,
    /// The last round of samples of ends that was looked at.
    round: u64,
    /// Whether some partition is held up by its dead letters.
    pub(super) held: bool,
    /// Whether some partition waits for a word to go on.
    pub(super) waiting: bool,
    /// Whether some partition waits for a schema.
    pub(super) schemaless: bool,
}

impl Worker {
    pub(crate) fn new(
        plan: Arc<Plan>,
        outlet: Outlet,
        dead_letters: DeadLetters,
        inbox: Inbox,
    ) -> Worker {
        Worker {
            plan,
            outlet,
            dead_letters,
            inbox,
            readings: Table::new(Vec::new()),
            by_address: HashMap::new(),
            gathering: false,
            records_since_look: 0,
            looked: Instant::now(),
            round: 0,
            held: false,
            waiting: false,
            schemaless: false,
        }
    }

    /// Reads until the readers are stopped.
    pub(crate) fn run(mut self, mut consumer: Consumer) {
        while self.step(&mut consumer).is_ok() {}
    }

    fn step(&mut self, consumer: &mut Consumer) -> Result<(), Stopped> {
        // A partition that waits for a word, or is the first, shall not wait for the poll before it.
        let hurried = self.gathering || self.waiting || self.schemaless || self.readings.is_empty();
        let patience = Duration::from_millis(if hurried { 5 } else { 100 });
        // What waits is taken without asking the clock until when to wait.
        let mut polled = consumer.poll(Duration::ZERO).or_else(|| consumer.poll(patience));
        // Before the record is taken: it may be of the new log at an offset that the old one had too.
        if let Some(topics) = consumer.context().take_recreated() {
            let is_of_them = |message: &BorrowedMessage<'_>| topics.contains(message.topic());
            polled = polled.filter(|polled| !polled.as_ref().is_ok_and(is_of_them));
            self.made_again(consumer, &topics)?;
        }
        match polled {
            Some(Ok(message)) => {
                self.message(consumer, &message)?;
                self.records_since_look += 1;
                if self.records_since_look < RECORDS_PER_LOOK {
                    return Ok(());
                }
                self.hand_over_old()?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => self.end_of(Partition(partition))?,
            Some(Err(error)) => self.failure(consumer, &error)?,
            None => {
                self.hand_over_all()?;
                self.read_figures(consumer, true)?;
            }
        }
        self.records_since_look = 0;
        self.outlet.count_defects(self.readings.take_missed());
        if self.outlet.stopped() {
            return Err(Stopped);
        }
        self.read_figures(consumer, false)?;
        self.read_samples()?;
        self.let_go(consumer)?;
        self.look_for_schemas(consumer)?;
        self.obey(consumer)
    }

    fn message(
        &mut self,
        consumer: &Consumer,
        message: &BorrowedMessage<'_>,
    ) -> Result<(), Stopped> {
        let Some(index) = self.index_of(message) else {
            let (topic, partition) = (message.topic(), message.partition());
            self.outlet.count_defects(1);
            tracing::error!(
                topic,
                partition,
                "a record came of a partition that is not read, a defect: it is dropped"
            );
            return Ok(());
        };
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        if let Some(check) = reading.check.take()
            && message.offset() == check.offset
            && fingerprint_of(message) != check.hash
        {
            let why = format!("offset {} holds another record than it did", check.offset);
            return self.recreated(consumer, index, why);
        }
        reading.at_end = false;
        reading.end_heard = false;
        if reading.schema.is_some() {
            // It comes again, behind the one that waits.
            return Ok(());
        }
        let rejection = match self.add(index, message) {
            Some(Added::Rejected(rejection)) => Some(rejection),
            Some(Added::NeedsSchema(id)) => {
                self.await_schema(consumer, index, id);
                return Ok(());
            }
            Some(Added::Taken | Added::NeedsModel(_)) | None => None,
        };
        self.gathering = true;
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        let full = reading.stretch.is_full()
            || reading.stretch.bytes() >= CHUNK_BYTES.min(self.plan.share_bytes);
        // By the reader itself, since an order from the other end comes after thousands of rows
        // (decision 051). A row of a wrong clock tells nothing of how far others have come; what the time
        // is costs more than the look at the horizon, which few rows lie beyond.
        let last_us = reading.stretch.last_us();
        let ahead = last_us > self.outlet.horizon_us(reading.log.topic)
            && last_us <= self.plan.clock.now().wall_us;
        if let Some(rejection) = rejection {
            let topic = self.plan.topic_name(reading.log.topic);
            let letter = dead_letter(topic, message, rejection);
            self.dead_letters.send(letter);
            self.hold_up(consumer, index);
        }
        if ahead {
            self.stop_ahead(consumer, index)
        } else if full {
            self.hand_over(index)
        } else {
            Ok(())
        }
    }

    fn index_of(&mut self, message: &BorrowedMessage<'_>) -> Option<usize> {
        let address = (message.topic_ptr() as usize, message.partition());
        // Else the address is new.
        if let Some(index) = self.by_address.get(&address) {
            return Some(*index);
        }
        let name = message.topic();
        let (index, _) = self.readings.iter().find(|(_, reading)| {
            reading.log.partition.0 == message.partition()
                && self.plan.topic_name(reading.log.topic) == name
        })?;
        self.by_address.insert(address, index);
        Some(index)
    }

    fn hand_over_all(&mut self) -> Result<(), Stopped> {
        self.gathering = false;
        (0..self.readings.len()).try_for_each(|index| self.hand_over(index))
    }

    fn hand_over_old(&mut self) -> Result<(), Stopped> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        // Many slow partitions together may hold more than any one of them may.
        let total: usize = self.readings.iter().map(|(_, reading)| reading.stretch.bytes()).sum();
        if total >= self.plan.share_bytes {
            return self.hand_over_all();
        }
        for index in 0..self.readings.len() {
            let since = self.readings.get(index).and_then(|reading| reading.stretch.since());
            if since.is_some_and(|since| since.elapsed() >= CHUNK_AGE) {
                self.hand_over(index)?;
            }
        }
        Ok(())
    }

    pub(super) fn hand_over(&mut self, index: usize) -> Result<(), Stopped> {
        self.hand_over_as(index, false)
    }

    /// Hands over what was read; `stopped` says that the partition waits from now on.
    pub(super) fn hand_over_as(&mut self, index: usize, stopped: bool) -> Result<(), Stopped> {
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        let chunk = match reading.stretch.take() {
            Ok(Some(chunk)) => Chunk { stopped, ..chunk },
            Ok(None) => return Ok(()),
            Err(error) => {
                let topic = Some(reading.log.topic);
                let message = crate::error::IngestError::from(error).to_string();
                self.outlet.send(Event::Trouble { topic, message, fatal: true })?;
                return Err(Stopped);
            }
        };
        reading.last = chunk.fingerprint.or(reading.last);
        self.note(index);
        // Before the chunk: whoever absorbs it may write a checkpoint beyond letters that have not arrived.
        self.settle()?;
        self.outlet.send_chunk(chunk)
    }

    pub(super) fn settle(&self) -> Result<(), Stopped> {
        match self.dead_letters.settle() {
            Ok(()) => self.outlet.recovered(None, Cause::DeadLetters),
            Err(error) => self.outlet.trouble(None, Cause::DeadLetters, error.to_string()),
        }
    }

    /// Publishes what is known of a partition.
    pub(super) fn note(&self, index: usize) {
        let Some(reading) = self.readings.get(index) else { return };
        let position = reading.stretch.position();
        let mut partitions = self.outlet.partitions();
        // Nothing where reading begins.
        let known = partitions.get(&reading.log);
        let end = known.and_then(|known| known.end).max(Some(position));
        let held_back = known.and_then(|known| known.held_back);
        let paused = reading.stands_still();
        let status = Status { position, end, paused, heard: Instant::now(), held_back };
        partitions.insert(reading.log, status);
    }

    /// librdkafka says which partition ended but not of which topic. With one topic that is clear;
    /// else the statistics, a second later, say it.
    fn end_of(&mut self, partition: Partition) -> Result<(), Stopped> {
        let mut found = None;
        let mut ambiguous = false;
        for (index, reading) in self.readings.iter_mut() {
            if reading.log.partition == partition {
                reading.end_heard = true;
                ambiguous |= found.replace(index).is_some();
            }
        }
        let Some(index) = found else {
            self.outlet.count_defects(1);
            tracing::error!(%partition, "an end came of a partition that is not read, a defect");
            return Ok(());
        };
        match self.readings.get(index).map(|reading| reading.stretch.position()) {
            Some(position) if !ambiguous => self.reached_end(index, position),
            _ => Ok(()),
        }
    }

    fn reached_end(&mut self, index: usize, offset: i64) -> Result<(), Stopped> {
        let Some(reading) = self.readings.get_mut(index) else { return Ok(()) };
        reading.at_end = true;
        // A record that should have come again did not: retention took it, or a new log is short.
        reading.check = None;
        reading.stretch.advance(offset);
        self.hand_over(index)?;
        self.note(index);
        self.tell_end(index)
    }

    /// Tells that everything before the position was sent, and of when it is known that this was all.
    fn tell_end(&self, index: usize) -> Result<(), Stopped> {
        let Some(reading) = self.readings.get(index) else { return Ok(()) };
        let TopicPartition { topic, partition } = reading.log;
        let (offset, sampled) = (reading.stretch.position(), reading.sampled);
        self.outlet.send(Event::EndOfPartition { topic, partition, offset, sampled })
    }

    /// Reads what was sampled of the ends of logs: whoever has come as far is at its end.
    fn read_samples(&mut self) -> Result<(), Stopped> {
        let ends = &self.outlet.ends;
        let Some(samples) = ends.newer_than(&mut self.round) else { return Ok(()) };
        for index in 0..self.readings.len() {
            let Some(reading) = self.readings.get_mut(index) else { continue };
            // Partitions that are not at rest were not asked about.
            let Some(sample) = samples.get(&reading.log) else { continue };
            // A log that may be another one, or ends before the position, tells nothing of this one.
            let is_at_end = reading.check.is_none() && sample.end == reading.stretch.position();
            if is_at_end && sample.at.steady_us > reading.begun_us {
                reading.sampled = Some(sample.at);
                self.hand_over(index)?;
                self.tell_end(index)?;
            }
        }
        Ok(())
    }

    /// Reads the statistics: ends of logs for the lag, and ends that were signalled. `drained` says
    /// that nothing was left to take just now.
    fn read_figures(&mut self, consumer: &Consumer, drained: bool) -> Result<(), Stopped> {
        let Some(figures) = consumer.context().take_figures() else { return Ok(()) };
        for figures in figures {
            let of_figures = self.readings.iter().find(|(_, reading)| {
                reading.log.partition == figures.partition
                    && self.plan.topic_name(reading.log.topic) == figures.topic
            });
            // The statistics tell of partitions that other workers read as well.
            let Some((index, _)) = of_figures else { continue };
            let Some(reading) = self.readings.get_mut(index) else { continue };
            let log = reading.log;
            let is_drained = reading.end_heard && figures.end_signalled >= figures.end;
            let held_back = self.outlet.update(log, |status| {
                let known = figures.end >= 0;
                if known {
                    // What lies between the last record and an end that was signalled are markers.
                    status.end = Some(if is_drained { status.position } else { figures.end });
                }
                known && status.hold_back(&figures)
            });
            if held_back == Some(true) {
                let TopicPartition { topic, partition } = log;
                self.outlet.send(Event::HeldBack { topic, partition })?;
            }
            let Some(reading) = self.readings.get_mut(index) else { continue };
            if reading.has_ended(figures.end_signalled, drained) {
                self.reached_end(index, figures.end_signalled)?;
            }
        }
        Ok(())
    }

    fn failure(&mut self, consumer: &Consumer, error: &KafkaError) -> Result<(), Stopped> {
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        ) {
            return self.out_of_range(consumer);
        }
        match consumer.context().take_error().map(|heard| heard.why) {
            Some(message) => self.outlet.trouble(None, Cause::Broker, format!("kafka: {message}")),
            None => Ok(()),
        }
    }
}

impl Status {
    /// Notes whether everything after the position waits for the end of a transaction.
    fn hold_back(&mut self, figures: &Figures) -> bool {
        let stable_end = figures.stable_end;
        // Nothing holds back who reads uncommitted records: the position is the end.
        let held_back = stable_end >= 0 && (stable_end..figures.end).contains(&self.position);
        self.held_back = match self.held_back {
            _ if !held_back => None,
            Some((since, at)) if at == stable_end => Some((since, at)),
            // Another transaction than before: those that end in time are nobody's business.
            _ => Some((Instant::now(), stable_end)),
        };
        held_back
    }
}

impl Reading {
    /// Whether nothing of it is fetched.
    pub(super) fn stands_still(&self) -> bool {
        self.paused || self.held || self.schema.is_some()
    }

    /// Whether the end that the statistics tell of has been reached, and was not before. An end at the
    /// position has. One beyond it has only where nothing but transaction markers or compacted records lie
    /// between: the signal came through the queue, behind all records, and a second later there still is
    /// none. Statistics alone run ahead of records that are fetched and not yet taken.
    fn has_ended(&mut self, end: i64, drained: bool) -> bool {
        let position = self.stretch.position();
        let calm = drained && self.end_heard && !self.stands_still();
        let beyond = (calm && end > position).then_some((end, position));
        let lasting = beyond.is_some() && self.end_beyond == beyond;
        self.end_beyond = beyond;
        let unheard = !self.at_end && end == position;
        self.check.is_none() && end >= 0 && (unheard || lasting)
    }
}
