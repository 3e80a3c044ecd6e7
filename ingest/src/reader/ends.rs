//! The thread that asks where logs end, so that it is known of a partition at rest since when it held no more;
//! and, less often, where they begin.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use driftline_config::time::ClockReading;
use driftline_config::{Partition, Secret, TopicPartition};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Plan;
use super::outlet::Shared;
use crate::client::{Consumer, consumer};
use crate::clock::Clock;
use crate::error::IngestError;
use crate::plan::Connection;

/// How often the ends are asked for.
const EVERY: Duration = Duration::from_secs(1);
/// In every which round the beginnings are asked for: brokers look every few minutes what retention takes.
const STARTS_EVERY: u64 = 10;
/// How long one broker may take to answer: the others wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a log ended, and a moment at which it did not end later.
///
/// The moment is the one before the question was sent: logs only grow, so whatever held the question or its
/// answer up (a broker that stands still, a process that was stopped), the log was no longer then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) end: i64,
    pub(crate) at: ClockReading,
}

/// What is known of the ends of logs, between who asks and who reads.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The broker that leads each partition; those without one are not asked for.
    leaders: Mutex<BTreeMap<TopicPartition, i32>>,
    /// The answers of the last round.
    samples: Mutex<Arc<BTreeMap<TopicPartition, Sample>>>,
    round: AtomicU64,
    /// The first offset that each log holds, as its leader said last.
    starts: Mutex<BTreeMap<TopicPartition, i64>>,
}

impl Ends {
    /// Remembers who leads which partitions, as the broker said last.
    pub(crate) fn set_leaders(&self, leaders: BTreeMap<TopicPartition, i32>) {
        *self.leaders.lock().unwrap_or_else(PoisonError::into_inner) = leaders;
    }

    /// The samples of the last round, if there was one after `round`, which is moved on.
    pub(crate) fn newer_than(
        &self,
        round: &mut u64,
    ) -> Option<Arc<BTreeMap<TopicPartition, Sample>>> {
        let last = self.round.load(Ordering::Acquire);
        if std::mem::replace(round, last) == last {
            return None;
        }
        Some(Arc::clone(&self.samples()))
    }

    /// The first offset that each log holds, as far as anybody said.
    pub(crate) fn starts(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, i64>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, samples: BTreeMap<TopicPartition, Sample>) {
        *self.samples() = Arc::new(samples);
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    fn samples(&self) -> MutexGuard<'_, Arc<BTreeMap<TopicPartition, Sample>>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that asks. Dropping it ends the thread; a question that waits for its answer is waited for.
pub(crate) struct Sampling {
    /// Hung up to end the thread.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampling {
    pub(crate) fn start(
        plan: Arc<Plan>,
        shared: Arc<Shared>,
        clock: Clock,
    ) -> Result<Sampling, IngestError> {
        let client = client(&plan.connection)?;
        let sampler = Sampler { plan, shared, clock, client };
        let (stop, stopped) = sync_channel(0);
        let name = "ingest-ends".to_owned();
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || sampler.run(&stopped))
            .map_err(|source| IngestError::Thread { name, source })?;
        Ok(Sampling { stop: Some(stop), thread: Some(thread) })
    }

    /// Whether nobody asks any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.stop = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that asks where logs end panicked");
        }
    }
}

struct Sampler {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    clock: Clock,
    client: Consumer,
}

impl Sampler {
    fn run(self, stopped: &Receiver<()>) {
        let mut round = 0_u64;
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            self.round();
            if round.is_multiple_of(STARTS_EVERY) {
                self.ask_for_starts();
            }
            round += 1;
            // What the broker says beside answers is an event of this client.
            let _ = self.client.poll(Duration::ZERO);
        }
    }

    /// Asks each broker once for all of its partitions that are at rest.
    fn round(&self) {
        let mut samples = BTreeMap::new();
        for logs in self.at_rest().into_values() {
            if self.shared.stopped() {
                return;
            }
            let at = self.clock.now();
            // As a time, the end is what comes after every one.
            match self.offsets_of(&logs, Offset::End) {
                Ok(ends) => {
                    samples.extend(ends.into_iter().map(|(log, end)| (log, Sample { end, at })));
                }
                Err(error) => tracing::debug!(%error, "the ends of logs are not known"),
            }
        }
        self.shared.ends.publish(samples);
    }

    /// Asks each broker once where the logs of its partitions begin.
    fn ask_for_starts(&self) {
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (&log, &leader) in
            self.shared.ends.leaders.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            by_leader.entry(leader).or_default().push(log);
        }
        for logs in by_leader.into_values() {
            if self.shared.stopped() {
                return;
            }
            match self.offsets_of(&logs, Offset::Beginning) {
                Ok(starts) => self.shared.ends.starts().extend(starts),
                Err(error) => tracing::debug!(%error, "the beginnings of logs are not known"),
            }
        }
    }

    /// Partitions whose end was reached as far as known, by the broker that leads them: whoever has more to
    /// read need not ask where it ends.
    fn at_rest(&self) -> BTreeMap<i32, Vec<TopicPartition>> {
        let leaders = self.shared.ends.leaders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (&log, status) in self.shared.partitions().iter() {
            // A partition may have no leader just now.
            if let (Some(&leader), Some(0)) = (leaders.get(&log), status.lag()) {
                by_leader.entry(leader).or_default().push(log);
            }
        }
        by_leader
    }

    fn offsets_of(
        &self,
        logs: &[TopicPartition],
        of: Offset,
    ) -> Result<Vec<(TopicPartition, i64)>, KafkaError> {
        let mut asked = TopicPartitionList::with_capacity(logs.len());
        for log in logs {
            asked.add_partition_offset(self.plan.topic_name(log.topic), log.partition.0, of)?;
        }
        let found = self.client.offsets_for_times(asked, PATIENCE)?;
        // By name: the answer keeps no order.
        let mut ends = Vec::new();
        for element in found.elements() {
            let (Ok(()), Offset::Offset(end)) = (element.error(), element.offset()) else {
                continue;
            };
            let topic = self
                .plan
                .topics
                .indices()
                .find(|topic| self.plan.topic_name(*topic) == element.topic());
            if let Some(topic) = topic {
                let partition = Partition(element.partition());
                ends.push((TopicPartition { topic, partition }, end));
            }
        }
        Ok(ends)
    }
}

/// A client that is told the end with all records of transactions that are open, whatever the readers are to
/// read: those may count when they end.
fn client(connection: &Connection) -> Result<Consumer, IngestError> {
    let mut connection = connection.clone();
    let everything = Secret::new("read_uncommitted");
    connection.properties.insert("isolation.level".to_owned(), everything);
    consumer(&connection, &[("enable.metrics.push", "false")])
}
