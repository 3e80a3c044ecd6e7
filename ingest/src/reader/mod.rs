//! Reading Kafka: threads with a consumer each, told by one coordinator what to read, all sending
//! into one bounded channel.
//!
//! ```text
//! coordinator: metadata, starts, watchdog ──► worker (consumer ► decoder ► chunk) ──► Event
//!                                        └──► worker …                            ──► Event
//! ends: where logs at rest end, once a second ──► worker
//! ```
//!
//! Partitions are assigned explicitly with offsets: the checkpoint knows the positions, and Kafka's
//! group only names the offsets that are committed for lag tools.

mod assignments;
mod coordinator;
mod ends;
mod orders;
mod outlet;
mod roster;
mod schemas;
pub(crate) mod stretch;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftline_config::{Table, TopicId, TopicPartition};
use driftline_formats::{SchemaShelf, TopicLayout};

use crate::budget::Budget;
use crate::client::consumer;
use crate::clock::Clock;
use crate::dead_letter::DeadLetters;
use crate::error::IngestError;
use crate::event::Event;
use crate::plan::{Connection, Newcomers, ReadLimits, ReadPlan, TopicPlan};
use crate::registry::{Librarian, Source};
use coordinator::{Coordinator, Ways};
use ends::Sampling;
use outlet::{Outlet, Shared};
use roster::Roster;

/// How long the threads may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Least and most memory of one consumer's fetched records, in KiB.
const FETCHED_KIB: std::ops::RangeInclusive<usize> = 8 * 1024..=64 * 1024;

/// What all threads know.
pub(crate) struct Plan {
    pub(crate) connection: Connection,
    pub(crate) topics: Table<TopicId, TopicPlan>,
    pub(crate) rosters: Table<TopicId, Roster>,
    pub(crate) newcomers: Newcomers,
    pub(crate) limits: ReadLimits,
    pub(crate) threads: usize,
    pub(crate) clock: Clock,
    /// Decoded bytes that one worker gathers before it hands all of them over.
    pub(crate) share_bytes: usize,
    /// Bound of one consumer's fetched records, in KiB.
    pub(crate) memory: String,
    /// Who gets schemas, where some topic is read by them and a registry is named.
    pub(crate) librarian: Option<Librarian>,
}

impl Plan {
    pub(crate) fn topic_name(&self, topic: TopicId) -> &str {
        self.topics.get(topic).map_or("", |plan| plan.topic.as_str())
    }

    /// How often somebody named a topic that is not there, since the last call.
    fn take_missed(&self) -> u64 {
        self.topics.take_missed() + self.rosters.take_missed()
    }
}

/// Driftline's settings of a reading consumer.
pub(crate) fn consumer_settings(memory_kib: &str) -> [(&str, &str); 7] {
    [
        // Figures for brokers that collect those of their clients cost a lock for each record.
        ("enable.metrics.push", "false"),
        // The default of a second makes throughput a saw-tooth whenever the queue is full.
        ("fetch.queue.backoff.ms", "20"),
        ("fetch.wait.max.ms", "100"),
        ("queued.max.messages.kbytes", memory_kib),
        ("queued.min.messages", "100000"),
        ("statistics.interval.ms", "1000"),
        ("topic.metadata.refresh.interval.ms", "30000"),
    ]
}

/// The running readers. Dropping them stops them without waiting.
pub struct Readers {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    /// Wakes the coordinator: one ring waits at most, and says all that another would.
    bell: SyncSender<()>,
    coordinator: Option<JoinHandle<()>>,
}

impl Readers {
    /// Starts reading; everything else, also that no broker answers, comes as an [`Event`].
    ///
    /// Events of one partition come in order. `Partitions` of a topic comes before its first chunk.
    /// `dead_letters` takes the rejected records.
    ///
    /// # Errors
    /// When librdkafka refuses a property or a thread cannot be started.
    pub fn start(
        plan: ReadPlan,
        dead_letters: DeadLetters,
        events: SyncSender<Event>,
    ) -> Result<Readers, IngestError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = plan.threads.unwrap_or(cores / 2).max(1);
        let memory = (FETCHED_KIB.end() / threads).max(*FETCHED_KIB.start()).to_string();
        let positions = plan.positions;
        let shelf: Arc<SchemaShelf> = Arc::default();
        let librarian = match &plan.connection.registry {
            Some(settings) if plan.topics.iter().any(TopicPlan::needs_schemas) => {
                Some(Librarian::start(Source::new(settings)?, Arc::clone(&shelf))?)
            }
            _ => None,
        };
        let newcomers = plan.newcomers;
        let roster = |(index, plan): (usize, &TopicPlan)| {
            let layout = TopicLayout::with_schemas(&plan.models, Arc::clone(&shelf));
            let topic = TopicId(index);
            Roster::new(
                topic,
                match newcomers.template(topic) {
                    Some(template) => layout.with_template(template),
                    None => layout,
                },
            )
        };
        let rosters = plan.topics.iter().enumerate().map(roster).collect();
        let plan = Arc::new(Plan {
            connection: plan.connection,
            rosters: Table::new(rosters),
            newcomers,
            topics: Table::new(plan.topics),
            share_bytes: (plan.limits.batch_bytes / (4 * threads)).max(1),
            limits: plan.limits,
            threads,
            clock: plan.clock,
            memory,
            librarian,
        });
        let budget = Budget::new(plan.limits.batch_bytes);
        let shared = Arc::new(Shared::new(budget, plan.topics.len()));
        let outlet = Outlet::new(events, Arc::clone(&shared));
        // The coordinator asks questions; it reads nothing.
        let probe = consumer(&plan.connection, &consumer_settings(&plan.memory))?;
        let (bell, rung) = sync_channel(1);
        let sampling = Sampling::start(Arc::clone(&plan), Arc::clone(&shared), plan.clock.clone())?;
        let ways = Ways { probe, outlet, dead_letters, sampling, bell: rung };
        let coordinator = Coordinator::new(Arc::clone(&plan), positions, ways);
        let name = "ingest-coordinator".to_owned();
        let coordinator = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || coordinator.run())
            .map_err(|source| IngestError::Thread { name, source })?;
        Ok(Readers { shared, plan, bell, coordinator: Some(coordinator) })
    }

    /// Hands out no more of a partition; up to a chunk that is on its way may still come.
    pub fn pause(&self, log: TopicPartition) {
        self.pause_or_not(log, true);
    }

    /// Goes on with a paused partition.
    pub fn resume(&self, log: TopicPartition) {
        self.pause_or_not(log, false);
    }

    fn pause_or_not(&self, log: TopicPartition, pause: bool) {
        self.shared.order(log, |orders| {
            orders.pauses.insert(log, pause);
        });
    }

    /// A partition of this topic waits as soon as it meets a row with a later event time, in
    /// microseconds, that does not lie beyond the clock: its chunk says so, and it goes on by
    /// [`Readers::resume`]. `i64::MAX`, as at the start: never.
    pub fn set_horizon(&self, topic: TopicId, horizon_us: i64) {
        self.shared.set_horizon(topic, horizon_us);
    }

    /// Events that were handed over so far: what the other end has not taken of them waits.
    pub fn sent(&self) -> u64 {
        self.shared.sent()
    }

    /// How often readers waited for memory: `limits.batch_bytes` were taken by rows not yet absorbed.
    pub fn memory_waits(&self) -> u64 {
        self.shared.memory_waits()
    }

    /// How often something named what is not there, since the last call: each is a defect and in the log.
    pub fn take_defects(&self) -> u64 {
        self.plan.take_missed() + self.shared.take_defects()
    }

    /// Commits the next offsets to the group, for lag tools: best effort, and not waited for.
    pub fn commit(&self, positions: &BTreeMap<TopicPartition, i64>) {
        self.shared.commits.add(positions);
        let _ = self.bell.try_send(());
    }

    /// The next offset to read; what is in the channel counts as read.
    pub fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        let partitions = self.shared.partitions();
        partitions.iter().map(|(partition, status)| (*partition, status.position)).collect()
    }

    /// Records between the position and the end of the log; at most a second old. Markers of transactions
    /// at the end are none.
    pub fn lag(&self) -> BTreeMap<TopicPartition, i64> {
        let partitions = self.shared.partitions();
        partitions
            .iter()
            .filter_map(|(partition, status)| Some((*partition, status.lag()?)))
            .collect()
    }

    /// Stops reading and waits for the threads, at most ten seconds. What was read and not sent is
    /// dropped; it is read again from the checkpoint's positions.
    pub fn stop(mut self) {
        self.shared.stop();
        // Without anybody who could ring the coordinator ends at once.
        self.bell = sync_channel(0).0;
        let Some(coordinator) = self.coordinator.take() else { return };
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !coordinator.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if coordinator.is_finished() {
            let _ = coordinator.join();
        } else {
            tracing::warn!("a kafka consumer does not close: it is left behind");
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
