//! Reading exact stretches of a log again: replay, export, and baselines from captures.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftline_capture::Chunk;
use driftline_config::{Partition, TopicId, TopicPartition};
use driftline_formats::{Decoder, KnownSchema, SchemaShelf, TopicLayout};
use rdkafka::Message;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Consumer, consumer, partitions_of, unreachable};
use crate::error::IngestError;
use crate::plan::{Connection, ReadLimits, TopicPlan};
use crate::reader::consumer_settings;
use crate::reader::stretch::{Added, Stretch};
use crate::registry::fetch_schema;
use crate::topic::watermarks;

/// How long a log may give nothing before reading fails.
const SILENCE: Duration = Duration::from_secs(60);

/// Offsets of one partition, `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetRange {
    pub partition: Partition,
    pub from: i64,
    pub to: i64,
}

/// What [`read_ranges`] finds.
#[derive(Debug)]
pub enum RangeEvent {
    /// A stretch of a range; `topic` is 0. Those of one range come in order and tile it, gaps
    /// included.
    Chunk(Chunk),
    /// The log does not hold this part of a range: retention took it, or it was never written.
    Gap(OffsetRange),
}

/// Reads exactly the given ranges of one topic, each once and the partitions side by side, until all
/// are read or `on_event` breaks. Rejected records are marks, as they were the first time; nothing is
/// sent to the dead letters. Ranges of one partition must not overlap.
///
/// # Errors
/// When the topic or the broker is not there, or a log that should give records is silent for a
/// minute.
pub fn read_ranges(
    connection: &Connection,
    plan: &TopicPlan,
    limits: &ReadLimits,
    ranges: &[OffsetRange],
    mut on_event: impl FnMut(RangeEvent) -> ControlFlow<()>,
) -> Result<(), IngestError> {
    let consumer = consumer(connection, &consumer_settings("32768"))?;
    partitions_of(&consumer, connection, &plan.topic)?
        .ok_or_else(|| IngestError::NoTopic { topic: plan.topic.clone() })?;
    let mut queues: BTreeMap<Partition, Vec<OffsetRange>> = BTreeMap::new();
    for range in ranges {
        queues.entry(range.partition).or_default().push(*range);
    }
    for queue in queues.values_mut() {
        queue.sort_unstable();
        queue.reverse();
    }
    let layout = Arc::new(TopicLayout::new(&plan.models));
    let mut reading =
        Ranges { connection, plan, limits, layout, consumer, active: BTreeMap::new() };
    loop {
        for queue in queues.values_mut() {
            while let Some(range) = queue.last().copied() {
                if reading.active.contains_key(&range.partition) {
                    break;
                }
                queue.pop();
                if reading.begin(range, &mut on_event)?.is_break() {
                    return Ok(());
                }
            }
        }
        if reading.active.is_empty() {
            return Ok(());
        }
        if reading.read_some(&mut on_event)?.is_break() {
            return Ok(());
        }
    }
}

struct Ranges<'a> {
    connection: &'a Connection,
    plan: &'a TopicPlan,
    limits: &'a ReadLimits,
    layout: Arc<TopicLayout>,
    consumer: Consumer,
    active: BTreeMap<Partition, Active>,
}

struct Active {
    stretch: Stretch,
    to: i64,
}

type Told = Result<ControlFlow<()>, IngestError>;

impl Ranges<'_> {
    /// Begins a range: names what the log does not hold, assigns what it does.
    fn begin(
        &mut self,
        range: OffsetRange,
        on_event: &mut impl FnMut(RangeEvent) -> ControlFlow<()>,
    ) -> Told {
        let OffsetRange { partition, from, to } = range;
        let topic = &self.plan.topic;
        let (low, high) = watermarks(&self.consumer, self.connection, topic, partition)?;
        let (first, end) = (from.max(low).min(to), to.min(high).max(from));
        if first > from
            && on_event(RangeEvent::Gap(OffsetRange { partition, from, to: first })).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        if first < end {
            let log = TopicPartition { topic: TopicId(0), partition };
            let decoder = Decoder::with_layout(Arc::clone(&self.layout), &self.limits.record);
            let stretch = Stretch::new(log, first, decoder);
            self.active.insert(partition, Active { stretch, to: end });
            self.assign(partition, Some(first))?;
        }
        // The part that was never written; told at once, nothing of the range comes after it.
        let missing = OffsetRange { partition, from: end.max(first), to };
        if missing.from < missing.to && on_event(RangeEvent::Gap(missing)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn assign(&self, partition: Partition, offset: Option<i64>) -> Result<(), IngestError> {
        let mut list = TopicPartitionList::new();
        let offset_or_end = Offset::Offset(offset.unwrap_or(0));
        list.add_partition_offset(&self.plan.topic, partition.0, offset_or_end)
            .and_then(|()| match offset {
                Some(_) => self.consumer.incremental_assign(&list),
                None => self.consumer.incremental_unassign(&list),
            })
            .map_err(|error| unreachable(self.connection, &error))
    }

    /// Reads until some range ends.
    fn read_some(&mut self, on_event: &mut impl FnMut(RangeEvent) -> ControlFlow<()>) -> Told {
        let mut heard = Instant::now();
        loop {
            let mut ended = None;
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let partition = Partition(message.partition());
                    if let Some(active) = self.active.get_mut(&partition) {
                        let over = active.add(&message, self.connection, self.layout.schemas())?;
                        if over {
                            ended = Some(partition);
                        } else if active.stretch.is_full() && tell(active, on_event)?.is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended = Some(Partition(partition))
                }
                Some(Err(error)) => tracing::debug!(%error, "reading a range"),
                None => {}
            }
            if let Some(partition) = ended {
                return self.end(partition, on_event);
            }
            if heard.elapsed() > SILENCE {
                return Err(self.stalled());
            }
        }
    }

    fn end(
        &mut self,
        partition: Partition,
        on_event: &mut impl FnMut(RangeEvent) -> ControlFlow<()>,
    ) -> Told {
        let Some(mut active) = self.active.remove(&partition) else {
            return Ok(ControlFlow::Continue(()));
        };
        self.assign(partition, None)?;
        active.stretch.advance(active.to);
        tell(&mut active, on_event)
    }

    fn stalled(&self) -> IngestError {
        let first = self.active.iter().next();
        IngestError::Stalled {
            topic: self.plan.topic.clone(),
            partition: first.map_or(Partition::default(), |(partition, _)| *partition),
            offset: first.map_or(0, |(_, active)| active.stretch.position()),
            seconds: SILENCE.as_secs(),
        }
    }
}

impl Active {
    /// Takes a record where it lies in the range, once its schema is there; `true` when the range is over.
    fn add(
        &mut self,
        message: &BorrowedMessage<'_>,
        connection: &Connection,
        shelf: &SchemaShelf,
    ) -> Result<bool, IngestError> {
        if message.offset() < self.to {
            while let Added::NeedsSchema(id) = self.stretch.add(message) {
                match &connection.registry {
                    Some(settings) => fetch_schema(settings, id, shelf, SILENCE)?,
                    None => shelf.put(id, Arc::new(KnownSchema::absent())),
                }
            }
        }
        Ok(message.offset() + 1 >= self.to)
    }
}

fn tell(active: &mut Active, on_event: &mut impl FnMut(RangeEvent) -> ControlFlow<()>) -> Told {
    Ok(match active.stretch.take()? {
        Some(chunk) => on_event(RangeEvent::Chunk(chunk)),
        None => ControlFlow::Continue(()),
    })
}
