//! Reading as the loop sees it: topics, positions, dead letters and lag.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::bail;
use driftline_capture::Fingerprint;
use driftline_config::{Config, Model, Start, Table, TopicId, TopicPartition};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Clock, Connection, DeadLetters, Event, Position, ReadLimits, ReadPlan, Readers,
    RecentDeadLetter, ReportProducer, TopicPlan, describe_topic,
};
use driftline_pipeline::gate::Positions;
use driftline_pipeline::setup::Setup;
use driftline_pipeline::{Change, Pipeline};
use driftline_web::metrics::Metrics;

use super::thread_ended;
use crate::retention::warnings;

/// Read events that wait for the loop. Few, since a partition that is told to wait still opens the
/// windows of all its chunks that are on their way; enough for reading and counting to overlap.
const WAITING: usize = 8;
/// How often it is looked whether the readers have stopped.
const LOOK: Duration = Duration::from_millis(5);

pub(super) struct Intake {
    connection: Connection,
    topics: Table<TopicId, TopicPlan>,
    limits: ReadLimits,
    /// The readers' end, until they have it: without them there is nobody to wait for.
    events: Option<SyncSender<Event>>,
    inbox: Receiver<Event>,
    readers: Option<Readers>,
    /// Events that the loop took from the readers.
    taken: u64,
    dead_letters: DeadLetters,
    clock: Clock,
}

impl Intake {
    /// How long each topic keeps records, in microseconds, where the broker says so now.
    pub(super) fn retention_us(config: &Config) -> BTreeMap<String, i64> {
        let connection = Connection::from(&config.kafka);
        let mut by_topic: BTreeMap<&str, Vec<&Model>> = BTreeMap::new();
        for model in config.declared() {
            by_topic.entry(&model.captures.topic).or_default().push(model);
        }
        let mut retention_us = BTreeMap::new();
        for (topic, models) in by_topic {
            match describe_topic(&connection, topic) {
                Ok(facts) => {
                    if let Some(retention_ms) = facts.retention_ms {
                        retention_us.insert(topic.to_owned(), retention_ms.saturating_mul(1000));
                    }
                    // What the log no longer holds could be neither replayed nor trained on.
                    for says in warnings(&facts, models.into_iter()) {
                        tracing::warn!(topic, "{says}");
                    }
                }
                Err(error) => {
                    tracing::info!(topic, %error, "the retention of a topic is not known yet");
                    break;
                }
            }
        }
        retention_us
    }

    pub(super) fn prepare(
        config: &Config,
        pipeline: &Pipeline,
        clock: Clock,
    ) -> anyhow::Result<Intake> {
        let connection = Connection::from(&config.kafka);
        let limits = ReadLimits::from(&config.limits);
        let dead_letters =
            DeadLetters::start(&connection, &config.kafka.dead_letters, limits.dead_letter_bytes)?;
        let mut topics = Vec::new();
        for (topic, name, _) in pipeline.topics() {
            let of_topic = pipeline.models().filter(|model| model.topic() == topic);
            let models: Vec<ModelPlan> =
                of_topic.clone().map(|model| plan(model.setup())).collect();
            let declared = config.declared().map(|model| &model.captures);
            let of_templates = declared.filter(|captures| captures.topic == name);
            let starts = of_topic.map(|model| model.setup().model.captures.start);
            let starts = starts.chain(of_templates.map(|captures| captures.start));
            let start = starts.reduce(earlier).unwrap_or(Start::Earliest);
            topics.push(TopicPlan { topic: name.to_owned(), models, start });
        }
        let (events, inbox) = sync_channel(WAITING);
        Ok(Intake {
            connection,
            topics: Table::new(topics),
            limits,
            events: Some(events),
            inbox,
            readers: None,
            taken: 0,
            dead_letters,
            clock,
        })
    }

    /// The producer of the reports topic, where reports are published.
    pub(super) fn report_producer(
        &self,
        config: &Config,
    ) -> anyhow::Result<Option<ReportProducer>> {
        let topic = config.kafka.reports.as_ref();
        Ok(topic.map(|topic| ReportProducer::start(&self.connection, topic)).transpose()?)
    }

    pub(super) fn start(
        &mut self,
        pipeline: &Pipeline,
        newcomers: driftline_ingest::Newcomers,
    ) -> anyhow::Result<()> {
        let plan = ReadPlan {
            connection: self.connection.clone(),
            topics: self.topics.iter().map(|(_, plan)| plan.clone()).collect(),
            positions: positions(pipeline),
            threads: None,
            limits: self.limits.clone(),
            newcomers,
            clock: self.clock.clone(),
        };
        let Some(events) = self.events.take() else { bail!("reading was started before") };
        let readers = Readers::start(plan, self.dead_letters.clone(), events)?;
        // Every partition waits at its first row until it is known who is behind whom.
        let topics = self.topics.indices();
        topics.for_each(|topic| readers.set_horizon(topic, i64::MIN));
        self.readers = Some(readers);
        Ok(())
    }

    pub(super) fn next(&mut self, wait: Duration) -> anyhow::Result<Option<Event>> {
        match self.inbox.recv_timeout(wait) {
            Ok(event) => {
                self.taken += 1;
                Ok(Some(event))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("{}", thread_ended("reader")),
        }
    }

    /// Events that wait for the loop, out of the few that may.
    pub(super) fn waiting(&self) -> usize {
        let sent = self.readers.as_ref().map_or(0, Readers::sent);
        usize::try_from(sent.saturating_sub(self.taken)).unwrap_or(WAITING)
    }

    /// Name of a topic; empty for what is the whole broker's.
    pub(super) fn topic_name(&self, topic: Option<TopicId>) -> String {
        let plan = topic.and_then(|topic| self.topics.get(topic));
        plan.map_or_else(String::new, |plan| plan.topic.clone())
    }

    pub(super) fn align(&self, change: Change) {
        match (&self.readers, change.paused) {
            (Some(readers), true) => readers.pause(change.at),
            (Some(readers), false) => readers.resume(change.at),
            (None, _) => {}
        }
    }

    /// Lets no partition of a topic read on by itself beyond this event time.
    pub(super) fn set_horizon(&self, topic: TopicId, horizon_us: i64) {
        if let Some(readers) = &self.readers {
            readers.set_horizon(topic, horizon_us);
        }
    }

    /// The lowest offset of a partition whose dead letter has not arrived.
    pub(super) fn unacknowledged(&self, at: TopicPartition) -> Option<i64> {
        match self.topics.get(at.topic) {
            Some(plan) => self.dead_letters.unacknowledged_below(&plan.topic, at.partition),
            // Nobody knows its letters: the checkpoint must not go beyond them.
            None => Some(i64::MIN),
        }
    }

    /// How often something named what is not there, since the last call: each is a defect and in the log.
    pub(super) fn take_defects(&self) -> u64 {
        self.topics.take_missed() + self.readers.as_ref().map_or(0, Readers::take_defects)
    }

    /// Commits positions to the group, for lag tools.
    pub(super) fn commit(&self, positions: &Positions) {
        if let Some(readers) = &self.readers {
            readers.commit(positions);
        }
    }

    /// Moves the gauges of lag, and the counters of the ledgers. Returns the lag of each topic that
    /// is known.
    pub(super) fn lag(&self, pipeline: &Pipeline, metrics: &Metrics) -> BTreeMap<TopicId, u64> {
        let mut lag = BTreeMap::new();
        for (_, topic, facts) in pipeline.topics() {
            metrics.ledger(topic, &facts.ledger);
        }
        let Some(readers) = &self.readers else { return lag };
        for (at, records) in readers.lag() {
            if let Some(plan) = self.topics.get(at.topic) {
                let records = u64::try_from(records).unwrap_or(0);
                metrics.lag(&plan.topic, at.partition, records);
                *lag.entry(at.topic).or_default() += records;
            }
        }
        lag
    }

    /// The last dead letters, newest first, and whether any of them has trouble arriving.
    pub(super) fn dead_letters(&self) -> (Vec<RecentDeadLetter>, Option<String>) {
        (self.dead_letters.recent(), self.dead_letters.trouble())
    }

    /// Why the last dead letter did not arrive, while one waits to be sent again.
    pub(super) fn dead_letter_trouble(&self) -> Option<String> {
        self.dead_letters.trouble()
    }

    /// How often a bound of reading held something up, so far.
    pub(super) fn held_up(&self) -> [(&'static str, u64); 2] {
        let waits = self.readers.as_ref().map_or(0, Readers::memory_waits);
        [("batch_bytes", waits), ("dead_letter_bytes", self.dead_letters.held_up())]
    }

    /// Stops reading; what was read and not handled is read again next time.
    pub(super) fn stop(&mut self) {
        if let Some(readers) = self.readers.take() {
            // The readers may wait for room in the channel.
            let drain = &self.inbox;
            std::thread::scope(|scope| {
                let stopping = scope.spawn(move || readers.stop());
                while !stopping.is_finished()
                    && !matches!(drain.recv_timeout(LOOK), Err(RecvTimeoutError::Disconnected))
                {
                }
            });
        }
        while self.inbox.try_recv().is_ok() {}
    }
}

fn positions(pipeline: &Pipeline) -> BTreeMap<TopicPartition, Position> {
    let mut positions = BTreeMap::new();
    for (topic, _, facts) in pipeline.topics() {
        for (&partition, reached) in &facts.partitions {
            let fingerprint =
                reached.fingerprint.map(|(offset, hash)| Fingerprint { offset, hash });
            let position = Position { offset: reached.position, fingerprint };
            positions.insert(TopicPartition { topic, partition }, position);
        }
    }
    positions
}

/// How the captures of a model are decoded.
pub(crate) fn plan(setup: &Setup) -> ModelPlan {
    ModelPlan::new(&setup.model, setup.layout.schema().clone())
}

fn earlier(one: Start, other: Start) -> Start {
    match (one, other) {
        (Start::Earliest, _) | (_, Start::Earliest) => Start::Earliest,
        (Start::At(one), Start::At(other)) => Start::At(one.min(other)),
        (Start::At(at), Start::Latest) | (Start::Latest, Start::At(at)) => Start::At(at),
        (Start::Latest, Start::Latest) => Start::Latest,
    }
}

#[cfg(test)]
mod tests {
    use driftline_pipeline::gate::Gate;
    use driftline_pipeline::snapshot::Snapshot;

    use super::*;

    /// Letters of a topic that is not there were taken for arrived, so that a checkpoint could go beyond them.
    #[test]
    fn an_unknown_topic_holds_the_gate_and_is_counted() {
        let connection = Connection::default();
        let off = driftline_config::DeadLetters::Off;
        let dead_letters = DeadLetters::start(&connection, &off, 1).unwrap();
        let (events, inbox) = sync_channel(WAITING);
        let intake = Intake {
            connection,
            topics: Table::new(Vec::new()),
            limits: ReadLimits::default(),
            events: Some(events),
            inbox,
            readers: None,
            taken: 0,
            dead_letters,
            clock: Clock::new(),
        };
        let mut gate = Gate::default();
        gate.hold(Snapshot::default(), [(TopicPartition::default(), 5)].into());
        assert!(gate.release(&|at| intake.unacknowledged(at)).is_none());
        assert_eq!((intake.take_defects(), intake.take_defects()), (1, 0));
    }
}
