//! What others may see of the pipeline: figures of topics and models, and the bytes that must not depend on
//! how the log was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_alerting::outbox::Silence;
use driftline_analytics::lane::{ClosingLane, PerLane};
use driftline_analytics::report::PairCounts;
use driftline_config::{ModelId, TopicId, TopicPartition};

use crate::Pipeline;
use crate::counting::model::{CountingFacts, ModelCounter};
use crate::counting::topic::TopicFacts;
use crate::deciding::model::{DecidingFacts, ModelDecider};
use crate::gate::Positions;
use crate::setup::Setup;
use crate::snapshot::LaneKind;

/// One model as both halves know it.
#[derive(Debug, Clone, Copy)]
pub struct ModelView<'a> {
    id: ModelId,
    counter: &'a ModelCounter,
    decider: &'a ModelDecider,
}

/// What of a model must be the same whatever the batches, the order of reading and the restarts.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelBytes {
    /// Its clock and its lanes, as the checkpoint has them.
    pub clock: String,
    pub lanes: PerLane<String>,
    pub counted: CountingFacts,
    pub decided: DecidingFacts,
    /// The newest windows in coarse cells, as they are encoded.
    pub newest: Vec<u8>,
    /// Open windows and panes by start, as they are encoded.
    pub open: BTreeMap<(LaneKind, i64), Vec<u8>>,
}

impl<'a> ModelView<'a> {
    /// Its index.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.counter.name()
    }

    /// The topic of its captures.
    pub fn topic(&self) -> TopicId {
        self.counter.topic
    }

    /// What new windows are opened under.
    pub fn setup(&self) -> &'a Arc<Setup> {
        &self.counter.setup
    }

    /// Its windows and panes from their first row to their end.
    pub fn lanes(&self) -> &'a PerLane<ClosingLane> {
        &self.decider.lanes
    }

    /// How far the model has come in event time: the largest time of each partition that did not lie
    /// beyond our clock, and of those the least. `None` before the first row.
    pub fn newest_us(&self) -> Option<i64> {
        let partitions = self.decider.lanes.drift.partitions();
        partitions.filter_map(|partition| self.counter.clock.newest_us(partition)).min()
    }

    /// Rows and strips.
    pub fn counted(&self) -> &'a CountingFacts {
        &self.counter.facts
    }

    /// How its requests found their responses, and how many halves wait; `None` where its records are whole
    /// captures.
    pub fn pairs(&self) -> Option<(PairCounts, usize)> {
        self.counter.pairs.as_ref().map(|pairs| (pairs.total(), pairs.waiting()))
    }

    /// Incidents, transitions, what was judged last.
    pub fn decided(&self) -> &'a DecidingFacts {
        &self.decider.facts
    }

    /// Grows with every change: who has seen it at this number has nothing new to see.
    pub fn revision(&self) -> u64 {
        self.counter.revision() + self.decider.revision()
    }

    /// What must not depend on how the log was read.
    pub fn bytes(&self) -> ModelBytes {
        let windows = self.counter.windows.iter();
        let windows =
            windows.map(|(start_us, open)| ((LaneKind::Drift, *start_us), open.encoded()));
        let panes = self.counter.panes.iter();
        let panes =
            panes.map(|(start_us, open)| ((LaneKind::Operations, *start_us), open.encoded()));
        ModelBytes {
            clock: as_kept(self.counter.clock.partitions()),
            lanes: self.decider.lanes.as_ref().map(as_kept),
            counted: self.counter.facts.clone(),
            decided: self.decider.facts.clone(),
            newest: self.decider.newest.encode(),
            open: windows.chain(panes).collect(),
        }
    }
}

fn as_kept<T: serde::Serialize>(state: &T) -> String {
    serde_json::to_string(state).unwrap_or_default()
}

impl Pipeline {
    /// The models in the order of their indices.
    pub fn models(&self) -> impl DoubleEndedIterator<Item = ModelView<'_>> + Clone {
        let halves = self.counting.models.iter().zip(self.deciding.models.iter());
        halves.map(|((id, counter), (_, decider))| ModelView { id, counter, decider })
    }

    /// The name of a model.
    pub fn name_of(&self, id: ModelId) -> Option<&str> {
        self.counting.models.get(id).map(ModelCounter::name)
    }

    /// A model by its name.
    pub fn model(&self, name: &str) -> Option<ModelView<'_>> {
        let id = self.counting.id_of(name)?;
        let (counter, decider) = (self.counting.models.get(id)?, self.deciding.models.get(id)?);
        Some(ModelView { id, counter, decider })
    }

    /// What is known of each topic, with its name, in the order of their indices.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, &str, &TopicFacts)> {
        let topics = self.counting.topics.iter();
        topics.map(|(id, topic)| (id, topic.name.as_str(), &topic.facts))
    }

    /// What is known of a topic.
    pub fn topic(&self, id: TopicId) -> Option<&TopicFacts> {
        self.counting.topics.get(id).map(|topic| &topic.facts)
    }

    /// How far each partition was read: what the next snapshot holds.
    pub fn positions(&self) -> Positions {
        let mut positions = Positions::new();
        for (topic, _, facts) in self.topics() {
            let of_topic = facts.partitions.iter();
            positions.extend(of_topic.map(|(partition, reached)| {
                (TopicPartition { topic, partition: *partition }, reached.position)
            }));
        }
        positions
    }

    /// The silences in force.
    pub fn silences(&self) -> &[Silence] {
        &self.deciding.silences
    }

    /// Messages that are decided on and not done.
    pub fn outbox_open(&self) -> u64 {
        self.deciding.outbox.open
    }

    /// Windows that closed and are not in the store as reports: as they are counted one by one, and counted
    /// anew.
    pub fn unreported(&self) -> (usize, usize) {
        (self.deciding.unreported, self.deciding.count_unreported(&self.outlet))
    }

    /// How often each bound of `limits` was reached since the last call.
    pub fn take_limits_reached(&mut self) -> BTreeMap<&'static str, u64> {
        let reached = [
            ("open_windows", self.counting.take_crowded()),
            ("outbox", self.deciding.outbox.take_dropped()),
        ];
        reached.into_iter().filter(|(_, times)| *times > 0).collect()
    }

    /// How often something named a model or a topic that is not there, since the last call: each is a defect
    /// and in the log.
    pub fn take_defects(&mut self) -> u64 {
        self.counting.take_defects() + self.deciding.take_missed()
    }
}
