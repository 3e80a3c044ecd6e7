//! The thread that knows which partitions there are: it finds them, decides where they start, gives
//! them to workers, and watches that the workers get on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftline_capture::Fingerprint;
use driftline_config::{Partition, Start, Table, TopicId, TopicPartition};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::ends::Sampling;
use super::orders::Inbox;
use super::outlet::{Cause, Outlet, Stopped};
use super::worker::{Assignment, Worker};
use super::{Plan, consumer_settings};
use crate::client::{ANSWER_TIMEOUT, Consumer, no_answer, partition_count, reading_consumer};
use crate::dead_letter::DeadLetters;
use crate::error::IngestError;
use crate::event::Event;
use crate::plan::Position;
use crate::topic::{offsets_at, watermarks};

/// How often the broker is asked for new partitions, well inside any window's lateness.
const REFRESH: Duration = Duration::from_secs(5);
/// How often it is asked while something is in trouble.
const REFRESH_IN_TROUBLE: Duration = Duration::from_millis(500);
/// How often it is made sure that all workers are there; a bell is heard at once.
const LOOK: Duration = Duration::from_millis(250);
/// Silence of a partition that lags, after which its consumer is built anew.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// How long a transaction may hold back what follows it before somebody is told.
const HELD_BACK_FOR: Duration = Duration::from_secs(10);

/// How long a topic must have fewer partitions than before until that is believed: a broker that has just
/// come back may know less than the others.
const FEWER_FOR: Duration = Duration::from_secs(10);

/// Silent partitions whose end is asked for in one round.
const WATCHED: usize = 64;

struct Hand {
    inbox: Inbox,
    thread: JoinHandle<()>,
    /// What it reads.
    logs: BTreeSet<TopicPartition>,
}

#[derive(Default)]
struct Known {
    /// Partitions that were told to the other end; before the first, those that it has positions in.
    told: i32,
    /// Whether any count was told.
    counted: bool,
    /// Since when the broker says that there are fewer.
    fewer_since: Option<Instant>,
    read: BTreeSet<Partition>,
    /// Whether the topic was there once.
    seen: bool,
    /// Whether it was not there when the broker was asked last.
    away: bool,
    /// Partitions at the first sight, when there was no position: these start where the plan says.
    initial: i32,
    /// Since when there is nowhere to put its dead letters.
    refused: Option<Instant>,
}

pub(crate) struct Coordinator {
    plan: Arc<Plan>,
    probe: Consumer,
    positions: BTreeMap<TopicPartition, Position>,
    outlet: Outlet,
    dead_letters: DeadLetters,
    /// Rung where there is something to commit; hung up where nobody wants to read any more.
    bell: Receiver<()>,
    sampling: Sampling,
    hands: Vec<Hand>,
    known: Table<TopicId, Known>,
}

/// What connects a coordinator with the broker and with those who wait for it.
pub(crate) struct Ways {
    /// Asks for partitions and offsets.
    pub(crate) probe: Consumer,
    pub(crate) outlet: Outlet,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) sampling: Sampling,
    /// Rung when somebody has an order.
    pub(crate) bell: Receiver<()>,
}

impl Coordinator {
    pub(crate) fn new(
        plan: Arc<Plan>,
        positions: BTreeMap<TopicPartition, Position>,
        ways: Ways,
    ) -> Coordinator {
        // A topic that was made again with fewer partitions while nobody read, or a broker that has not
        // heard of the last ones yet: as while we read, it has to be so for a while.
        let known = plan.topics.indices().map(|topic| {
            let positioned = positions.keys().filter(|log| log.topic == topic);
            let told = positioned.map(|log| log.partition.0 + 1).max().unwrap_or(0);
            Known { told, ..Known::default() }
        });
        let known = Table::new(known.collect());
        let Ways { probe, outlet, dead_letters, sampling, bell } = ways;
        let hands = Vec::new();
        Coordinator { plan, probe, positions, outlet, dead_letters, bell, sampling, hands, known }
    }

    /// Coordinates until the readers are stopped, then waits for the workers.
    pub(crate) fn run(mut self) {
        while self.round().is_ok() {}
        self.outlet.stop();
        for hand in std::mem::take(&mut self.hands) {
            if hand.thread.join().is_err() {
                tracing::error!("a reading thread panicked");
            }
        }
    }

    fn round(&mut self) -> Result<(), Stopped> {
        self.refresh()?;
        let pause = if self.outlet.in_trouble() { REFRESH_IN_TROUBLE } else { REFRESH };
        let next = Instant::now() + pause;
        while Instant::now() < next {
            self.listen()?;
            // Answers to commits are events of this consumer.
            let _ = self.probe.poll(Duration::ZERO);
        }
        // A worker without records settles no letters.
        match self.dead_letters.settle() {
            Ok(()) => self.outlet.recovered(None, Cause::DeadLetters)?,
            Err(error) => self.outlet.trouble(None, Cause::DeadLetters, error.to_string())?,
        }
        self.look_for_open_transactions()?;
        self.watch()?;
        self.outlet.count_defects(self.known.take_missed());
        Ok(())
    }

    /// Waits for something to commit, or for a moment.
    fn listen(&self) -> Result<(), Stopped> {
        let heard = self.bell.recv_timeout(LOOK);
        let some_ended = || self.hands.iter().any(|hand| hand.thread.is_finished());
        if self.outlet.stopped() || some_ended() || self.sampling.has_ended() {
            return Err(Stopped);
        }
        match heard {
            Ok(()) => self.commit(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
        }
        Ok(())
    }

    /// Commits what was asked for since the last time.
    fn commit(&self) {
        let mut list = TopicPartitionList::new();
        for (log, offset) in self.outlet.commits.take() {
            let name = self.plan.topic_name(log.topic);
            let _ = list.add_partition_offset(name, log.partition.0, Offset::Offset(offset));
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.probe.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "offsets were not committed to the group");
        }
    }

    /// Asks which partitions there are and has every new one read.
    fn refresh(&mut self) -> Result<(), Stopped> {
        // One topic is asked for by name: a broker may hold thousands of others.
        let is_only = self.plan.topics.len() == 1;
        let first = self.plan.topics.iter().next().filter(|_| is_only);
        let only = first.map(|(_, plan)| plan.topic.clone());
        let metadata = match self.probe.fetch_metadata(only.as_deref(), ANSWER_TIMEOUT) {
            Ok(metadata) => metadata,
            Err(error) => {
                let error = no_answer(&self.probe, &self.plan.connection, &error);
                return self.outlet.trouble(None, Cause::Broker, error.to_string());
            }
        };
        self.outlet.recovered(None, Cause::Broker)?;
        self.outlet.ends.set_leaders(self.leaders(&metadata));
        for topic in self.plan.topics.indices() {
            let count = partition_count(&metadata, self.plan.topic_name(topic));
            self.topic(topic, count)?;
            if self.outlet.stopped() {
                return Err(Stopped);
            }
        }
        Ok(())
    }

    /// Who leads the partitions of our topics.
    fn leaders(&self, metadata: &Metadata) -> BTreeMap<TopicPartition, i32> {
        let mut leaders = BTreeMap::new();
        for topic in self.plan.topics.indices() {
            let name = self.plan.topic_name(topic);
            let found = metadata.topics().iter().find(|found| found.name() == name);
            let partitions = found.into_iter().flat_map(|found| found.partitions());
            let led = partitions.filter(|it| it.error().is_none() && it.leader() >= 0);
            leaders.extend(
                led.map(|it| {
                    (TopicPartition { topic, partition: Partition(it.id()) }, it.leader())
                }),
            );
        }
        leaders
    }

    fn topic(
        &mut self,
        topic: TopicId,
        count: Result<Option<i32>, IngestError>,
    ) -> Result<(), Stopped> {
        let name = self.plan.topic_name(topic).to_owned();
        let positioned = self.positions.keys().any(|log| log.topic == topic);
        let Some(known) = self.known.get_mut(topic) else { return Ok(()) };
        if known.refused.is_some_and(|at| at.elapsed() < REFRESH) {
            return Ok(());
        }
        let count = match count {
            Ok(Some(count)) => count,
            Ok(None) => {
                known.away = true;
                let message = IngestError::NoTopic { topic: name }.to_string();
                return self.outlet.trouble(Some(topic), Cause::Topic, message);
            }
            Err(error) => {
                return self.outlet.trouble(Some(topic), Cause::Topic, error.to_string());
            }
        };
        if !known.seen {
            match self.dead_letters.prepare(&name, count) {
                Ok(()) => {}
                Err(error @ IngestError::Unreachable { .. }) => {
                    return self.outlet.trouble(None, Cause::Broker, error.to_string());
                }
                // Somebody may make it, or let us: until then its letters could go nowhere.
                Err(error) => {
                    known.refused = Some(Instant::now());
                    return self.outlet.trouble(Some(topic), Cause::Topic, error.to_string());
                }
            }
            // A topic that was created later was empty when reading began.
            known.initial = if positioned || known.away { 0 } else { count };
        }
        // It was away and is back: perhaps another topic of the same name. Only its last record can tell.
        let again = std::mem::take(&mut known.away) && known.seen;
        known.seen = true;
        if again {
            for hand in &self.hands {
                hand.inbox.orders().verify.insert(topic);
            }
        }
        if count < known.told {
            if known.fewer_since.get_or_insert_with(Instant::now).elapsed() < FEWER_FOR {
                return self.outlet.recovered(Some(topic), Cause::Topic);
            }
            self.leave(topic, count);
        }
        let Some(known) = self.known.get_mut(topic) else { return Ok(()) };
        known.fewer_since = None;
        let is_first = !std::mem::replace(&mut known.counted, true);
        if std::mem::replace(&mut known.told, count) != count || is_first {
            self.outlet.send(Event::Partitions { topic, count })?;
        }
        self.new_partitions(topic, count)
    }

    /// Has partitions read no more that the topic does not have: it was made again with fewer.
    fn leave(&mut self, topic: TopicId, count: i32) {
        tracing::warn!(
            topic = self.plan.topic_name(topic),
            count,
            "the topic has fewer partitions than before"
        );
        let Some(known) = self.known.get_mut(topic) else { return };
        known.initial = known.initial.min(count);
        for partition in known.read.split_off(&Partition(count)) {
            let log = TopicPartition { topic, partition };
            for hand in self.hands.iter_mut().filter(|hand| hand.logs.contains(&log)) {
                hand.logs.remove(&log);
                hand.inbox.orders().leave.insert(log);
            }
        }
    }

    fn new_partitions(&mut self, topic: TopicId, count: i32) -> Result<(), Stopped> {
        for partition in (0..count).map(Partition) {
            let Some(known) = self.known.get(topic) else { return Ok(()) };
            if known.read.contains(&partition) {
                continue;
            }
            let initial = partition.0 < known.initial;
            let log = TopicPartition { topic, partition };
            if let Some(position) = self.outlet.take_left(log) {
                self.positions.insert(log, position);
            }
            let assignment = match self.start_of(log, initial) {
                Ok(found) => found?,
                Err(error) => {
                    let message = error.to_string();
                    return self.outlet.trouble(Some(topic), Cause::Topic, message);
                }
            };
            self.give(assignment)?;
            if let Some(known) = self.known.get_mut(topic) {
                known.read.insert(partition);
            }
        }
        self.outlet.recovered(Some(topic), Cause::Topic)
    }

    /// Where reading of a partition begins, compared with what the log still holds.
    fn start_of(
        &self,
        log: TopicPartition,
        initial: bool,
    ) -> Result<Result<Assignment, Stopped>, IngestError> {
        let TopicPartition { topic, partition } = log;
        let (connection, name) = (&self.plan.connection, self.plan.topic_name(topic));
        let (low, high) = watermarks(&self.probe, connection, name, partition)?;
        let at = |offset| Assignment { log, offset, check: None };
        // It has never been read.
        let Some(position) = self.positions.get(&log) else {
            let start = self.plan.topics.get(topic).map(|plan| plan.start);
            let offset = match start {
                // Only for what was there at the first sight: records in a partition that was added
                // later came while we were reading, so none may be left out.
                Some(Start::Latest) if initial => high,
                Some(Start::At(time_us)) if initial => {
                    let found = offsets_at(&self.probe, connection, name, &[partition], time_us)?;
                    // No record is as young.
                    found.get(&partition).copied().unwrap_or(high)
                }
                _ => low,
            };
            return Ok(Ok(at(offset)));
        };
        let offset = position.offset;
        // Beyond the end lies no log: this is another one, whatever its name says.
        if offset > high {
            let why = format!("the log ends at {high}, before the next offset {offset}");
            let event = Event::Recreated { topic, partition, position: offset, offset: low, why };
            return Ok(self.outlet.send(event).map(|()| at(low)));
        }
        if offset < low {
            let why = format!("retention removed the records before offset {low}");
            let event = Event::Gap { topic, partition, from: offset, to: low, why };
            return Ok(self.outlet.send(event).map(|()| at(low)));
        }
        // Retention may have taken the record by which the log is known: then it is believed.
        let held = |check: &Fingerprint| (low..high).contains(&check.offset);
        let check = position.fingerprint.filter(held);
        Ok(Ok(Assignment { log, offset, check }))
    }

    /// Gives a partition to the worker with the fewest, or to a new one.
    fn give(&mut self, assignment: Assignment) -> Result<(), Stopped> {
        // Threads are made as partitions come: a topic of one partition needs one consumer, whose
        // fetched records are bounded memory of their own.
        let idle = self.hands.iter().any(|hand| hand.logs.is_empty());
        if !idle && self.hands.len() < self.plan.threads {
            match self.hire() {
                Ok(hand) => self.hands.push(hand),
                Err(error) if self.hands.is_empty() => {
                    let message = error.to_string();
                    self.outlet.send(Event::Trouble { topic: None, message, fatal: true })?;
                    return Err(Stopped);
                }
                Err(error) => tracing::warn!(%error, "reading goes on with fewer threads"),
            }
        }
        let least = self.hands.iter_mut().min_by_key(|hand| hand.logs.len());
        let Some(hand) = least else { return Err(Stopped) };
        hand.logs.insert(assignment.log);
        hand.inbox.orders().read.push(assignment);
        self.outlet.set_owner(assignment.log, hand.inbox.clone());
        Ok(())
    }

    fn hire(&self) -> Result<Hand, IngestError> {
        let settings = consumer_settings(&self.plan.memory);
        let consumer = reading_consumer(&self.plan.connection, &settings)?;
        let inbox = Inbox::default();
        let worker = Worker::new(
            Arc::clone(&self.plan),
            self.outlet.clone(),
            self.dead_letters.clone(),
            inbox.clone(),
        );
        let name = format!("ingest-{}", self.hands.len());
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || worker.run(consumer))
            .map_err(|source| IngestError::Thread { name, source })?;
        Ok(Hand { inbox, thread, logs: BTreeSet::new() })
    }

    /// Tells of a transaction that nobody ends: what follows it in its partition is not read until it is
    /// over.
    fn look_for_open_transactions(&self) -> Result<(), Stopped> {
        let mut open: BTreeMap<TopicId, String> = BTreeMap::new();
        for (log, status) in self.outlet.partitions().iter() {
            let Some((since, offset)) = status.held_back else { continue };
            if since.elapsed() >= HELD_BACK_FOR {
                let says = || held_back(self.plan.topic_name(log.topic), log.partition, offset);
                open.entry(log.topic).or_insert_with(says);
            }
        }
        for topic in self.plan.topics.indices() {
            match open.remove(&topic) {
                Some(says) => self.outlet.trouble(Some(topic), Cause::Transaction, says)?,
                None => self.outlet.recovered(Some(topic), Cause::Transaction)?,
            }
        }
        Ok(())
    }

    /// Has a consumer built anew that is silent although there is something to read: librdkafka is
    /// known to stop consuming without a word.
    fn watch(&self) -> Result<(), Stopped> {
        let silent: Vec<_> = {
            let partitions = self.outlet.partitions();
            let silent = partitions
                .iter()
                .filter(|(_, status)| !status.paused && status.heard.elapsed() > STALLED_AFTER);
            let silent = silent.map(|(log, status)| (*log, status.position));
            silent.take(WATCHED).collect()
        };
        for (log, position) in silent {
            let name = self.plan.topic_name(log.topic);
            // No answer is the broker's trouble, not the consumer's.
            let Ok((_, high)) = watermarks(&self.probe, &self.plan.connection, name, log.partition)
            else {
                return Ok(());
            };
            let stalled = self.outlet.update(log, |status| {
                // Silence counts anew from here, so that one partition is not asked about every round.
                status.heard = Instant::now();
                status.position == position && high > position
            });
            if stalled == Some(false) {
                continue;
            }
            self.outlet.order(log, |orders| orders.rebuild = true);
            return self.listen();
        }
        Ok(())
    }
}

impl Drop for Coordinator {
    /// Also where it panicked: the workers end, and it is heard that nobody reads any more.
    fn drop(&mut self) {
        self.outlet.stop();
    }
}

fn held_back(topic: &str, partition: Partition, offset: i64) -> String {
    format!(
        "a transaction that is still open at offset {offset} of partition {partition} of topic {topic} \
         holds back every record after it: end or restart its producer, or abort it \
         (kafka-transactions find-hanging)"
    )
}
