//! Counting: each record of the log goes into its window, or into the ledger as what it is instead. It
//! decides nothing.
//!
//! ```text
//! Chunk ─► beginning or gap? ─► without what was counted ─► lanes of each model ─► windows and panes
//!                                                             │ crossed a boundary: strip of the ledger
//!                                                             ▼
//!                                       ledger, position ─► what is due closes ─► deciding
//! ```
//!
//! To deciding pass late rows and what closed; back comes that a window is decided on, so that its strips
//! may be forgotten. Of the wall clock counting knows `now_us` alone, for idle partitions and for who must
//! wait.

pub(crate) mod alignment;
pub(crate) mod closed;
pub(crate) mod ledger;
pub(crate) mod model;
pub(crate) mod open;
mod quiet;
pub(crate) mod topic;

use std::collections::BTreeMap;

use driftline_analytics::lane::{Crossing, Heartbeat, Incomplete};
use driftline_capture::{CaptureBatch, Chunk};
use driftline_config::{ModelId, Partition, Table, TopicId, TopicPartition};

use crate::snapshot::{LaneKind, WindowKey};
use alignment::{Alignment, Change};
use ledger::ChunkOutcomes;
use model::{Absorbed, Due, LateRow, ModelCounter, Share};
use topic::{Beat, Topic, heartbeats_of, outcomes_of_marks};

/// Topics, lanes, alignment and ledger.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) topics: Table<TopicId, Topic>,
    pub(crate) models: Table<ModelId, ModelCounter>,
    by_name: BTreeMap<String, ModelId>,
    alignment: Alignment,
    /// Open windows of one lane at which a topic's other partitions wait for the slowest.
    open_windows_limit: usize,
    /// How often that was so, since it was last asked for.
    crowded: u64,
    /// What came that nothing here has a place for, since it was last asked for.
    defects: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// By model, those without rows left out.
    pub(crate) rows: Vec<CountedRows>,
    /// Models of which a boundary was crossed.
    pub(crate) crossed: Vec<ModelId>,
}

/// The rows of one model in a chunk.
#[derive(Debug)]
pub(crate) struct CountedRows {
    pub(crate) model: ModelId,
    pub(crate) batch: CaptureBatch,
    pub(crate) late: Vec<LateRow>,
    /// Drift windows and the indices of their rows.
    pub(crate) windows: Vec<(i64, Vec<u32>)>,
}

/// Who waits from now on, and up to where readers go by themselves.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    pub(crate) changes: Vec<Change>,
    /// In event time, where it moved.
    pub(crate) horizon_us: Option<i64>,
}

impl Counting {
    /// The topics with their models, none of which has seen anything.
    pub(crate) fn new(
        topics: Vec<Topic>,
        models: Vec<ModelCounter>,
        open_windows_limit: usize,
    ) -> Counting {
        let models = Table::new(models);
        let by_name = models.iter().map(|(id, model)| (model.name().to_owned(), id)).collect();
        Counting {
            topics: Table::new(topics),
            models,
            by_name,
            alignment: Alignment::default(),
            open_windows_limit,
            crowded: 0,
            defects: 0,
        }
    }

    /// The model of this name; `None` where it is not configured.
    pub(crate) fn id_of(&self, name: &str) -> Option<ModelId> {
        self.by_name.get(name).copied()
    }

    /// Counts a chunk; `None` where all of it was counted before.
    pub(crate) fn count(&mut self, chunk: Chunk) -> Option<Counted> {
        let at = chunk.log();
        if chunk.stopped {
            self.alignment.stop(at);
        }
        self.meet(at, chunk.from);
        let topic = self.topics.get(at.topic)?;
        let chunk = chunk.without_counted(topic.facts.position(at.partition))?;
        let mut outcomes = outcomes_of_marks(&chunk);
        let mut counted = Counted::default();
        let mut crossings = Vec::new();
        let beats = heartbeats_of(&chunk);
        let mut rows = chunk.rows.iter().peekable();
        for (member, &id) in topic.members.iter().enumerate() {
            let batch = rows.next_if(|rows| rows.model == member).map(|rows| &rows.rows);
            let concerns = |beat: &&Beat| beat.member.is_none_or(|of| of as usize == member);
            let heartbeats: Vec<Heartbeat> =
                beats.iter().filter(concerns).map(|beat| beat.at).collect();
            if batch.is_none() && heartbeats.is_empty() {
                continue;
            }
            let Some(model) = self.models.get_mut(id) else { continue };
            let absorbed = model.absorb(Share {
                partition: at.partition,
                rows: batch,
                heartbeats: &heartbeats,
                producer_timestamps: chunk.producer_timestamps,
            });
            let Absorbed { accepted, late, crossed, panes_crossed, windows } = absorbed;
            outcomes.accepted.extend(accepted);
            outcomes.late.extend(late.iter().map(|row| row.offset));
            if let Some(batch) = batch {
                let batch = batch.clone();
                counted.rows.push(CountedRows { model: id, batch, late, windows });
            }
            if !crossed.is_empty() || !panes_crossed.is_empty() {
                counted.crossed.push(id);
                crossings.push((id, crossed, panes_crossed));
            }
        }
        for rows in rows {
            let (member, rows) = (rows.model, rows.rows.rows());
            self.defects += 1;
            tracing::error!(member, rows, "rows of no model of the topic, a defect: they are lost");
        }
        outcomes.sort();
        for (id, crossed, panes_crossed) in crossings {
            self.note_strips(id, at, [&crossed, &panes_crossed], &outcomes);
        }
        self.enter(&chunk, &outcomes);
        Some(counted)
    }

    /// Notes the ledger of a partition at each boundary that a model's windows, and its panes, crossed.
    fn note_strips(
        &mut self,
        model: ModelId,
        at: TopicPartition,
        [crossed, panes_crossed]: [&[Crossing]; 2],
        outcomes: &ChunkOutcomes,
    ) {
        let Some(topic) = self.topics.get(at.topic) else { return };
        let Some(model) = self.models.get_mut(model) else { return };
        let before = topic.facts.ledger_of(at.partition);
        let counts_at = |offset: i64| {
            let mut counts = before;
            counts += outcomes.before(offset);
            counts
        };
        for &Crossing { offset, .. } in crossed {
            model.note_strip(at.partition, offset, counts_at(offset));
        }
        for &Crossing { offset, .. } in panes_crossed {
            model.note_pane_strip(at.partition, offset, counts_at(offset));
        }
        model.forget_uncut();
    }

    /// Adds a chunk's outcomes to the ledger and moves the position behind it.
    fn enter(&mut self, chunk: &Chunk, outcomes: &ChunkOutcomes) {
        let at = chunk.log();
        let Some(topic) = self.topics.get_mut(at.topic) else { return };
        topic.enter(chunk, outcomes);
        // Partitions are kept together in event time: a year that was sent within minutes has Kafka
        // timestamps of minutes. Those of the records are for stretches in which no model has a row.
        // Rows of no member were counted as a defect above.
        let of_rows = chunk.rows.iter().filter_map(|rows| topic.members.get(rows.model));
        let watermarks =
            of_rows.filter_map(|id| self.models.get(*id)?.drift.watermark_us(at.partition));
        if let Some(time_us) = watermarks.max().or(chunk.last_record_us) {
            self.alignment.advance(at, time_us);
        }
    }

    /// Prepares the models of a topic for what begins at `from`, where that is a beginning or the end of a
    /// gap.
    fn meet(&mut self, at: TopicPartition, from: i64) {
        let Some(topic) = self.topics.get_mut(at.topic) else { return };
        let Some(beginning) = topic.begin(at.partition, from) else { return };
        let counts = topic.facts.ledger_of(at.partition);
        self.each_model(at.topic, |model| model.meet(beginning, at.partition, from, counts));
    }

    /// Everything before `offset` was told, and the log held no more at `wall_us`.
    pub(crate) fn reach_end(&mut self, at: TopicPartition, offset: i64, wall_us: i64) {
        self.alignment.catch_up(at);
        self.meet(at, offset);
        self.each_model(at.topic, |model| model.reach_end(at.partition, wall_us));
    }

    /// Rows may follow that nobody may read yet: whoever waits is not idle.
    pub(crate) fn hold_back(&mut self, at: TopicPartition) {
        self.each_model(at.topic, |model| model.disturb(at.partition));
    }

    /// The topic has so many partitions.
    pub(crate) fn expect(&mut self, topic: TopicId, count: i32, now_us: i64) {
        self.alignment.expect(topic, count, now_us);
        let Some(known) = self.topics.get_mut(topic) else { return };
        known.count = known.count.max(count);
        let facts = known.facts.clone();
        self.each_model(topic, |model| {
            let of_model: Vec<Partition> = model.drift.partitions().collect();
            let added = (0..count).map(Partition);
            for partition in added.filter(|partition| !of_model.contains(partition)) {
                match facts.partitions.get(&partition) {
                    // The topic has been read without this model.
                    Some(reached) => {
                        model.begin(partition, reached.position, facts.ledger_of(partition));
                        model.mark_until_a_row(partition, Incomplete::ModelAdded);
                    }
                    None => model.add_partition(partition, 0),
                }
                model.touch();
            }
        });
    }

    /// Reading goes on at `to`: records before it were lost.
    pub(crate) fn skip(&mut self, at: TopicPartition, to: i64) {
        if let Some(topic) = self.topics.get_mut(at.topic) {
            topic.skip(at.partition, to);
        }
    }

    /// Reading goes on at `to` of a log that is another one.
    pub(crate) fn begin_anew(&mut self, at: TopicPartition, to: i64) {
        self.skip(at, to);
        let Some(topic) = self.topics.get(at.topic) else { return };
        let counts = topic.facts.ledger_of(at.partition);
        self.each_model(at.topic, |model| model.begin(at.partition, to, counts));
    }

    /// Closes what is due of a model.
    pub(crate) fn close_due(&mut self, model: ModelId, now_us: i64) -> Due {
        let Some(model) = self.models.get_mut(model) else { return Due::default() };
        match self.topics.get(model.topic) {
            Some(topic) => model.close_due(&topic.facts, now_us),
            None => Due::default(),
        }
    }

    /// Notes how many bytes of an open window a commit brought into the store. One that has closed meanwhile
    /// needs no note.
    pub(crate) fn note_stored(&mut self, window: &WindowKey, bytes: usize) {
        if window.lane == LaneKind::Drift
            && let Some(id) = self.id_of(&window.model)
            && let Some(model) = self.models.get_mut(id)
            // It may have closed meanwhile.
            && let Some(open) = model.windows.get_mut(&window.start_us)
        {
            open.note_stored(bytes);
        }
    }

    /// Keeps the partitions of a topic together in event time (RULES §1).
    pub(crate) fn align(&mut self, topic: TopicId, now_us: i64) -> Aligned {
        let Some(of) = self.topics.get_mut(topic) else { return Aligned::default() };
        let (mut every_us, mut crowded) = (0, false);
        for model in of.members.iter().filter_map(|id| self.models.get(*id)) {
            every_us = every_us.max(model.drift.settings().every_us);
            crowded |= model.drift.open_windows() > self.open_windows_limit
                || model.operations.open_windows()
                    > self.open_windows_limit.max(panes_at_hand(model));
        }
        let changes = self.alignment.changes(topic, every_us, crowded, now_us);
        let horizon_us = self.alignment.horizon_us(topic, every_us, now_us);
        let moved = std::mem::replace(&mut of.horizon_us, horizon_us) != horizon_us;
        self.crowded += u64::from(crowded && !changes.is_empty());
        Aligned { changes, horizon_us: moved.then_some(horizon_us) }
    }

    /// How often a topic's partitions had to wait for the slowest because too many windows were open, since
    /// the last call.
    pub(crate) fn take_crowded(&mut self) -> u64 {
        std::mem::take(&mut self.crowded)
    }

    /// What had to be there was not, so often: it is in the log.
    pub(crate) fn count_defects(&mut self, times: u64) {
        self.defects += times;
    }

    /// How often something named what is not there, or came that has no place, since the last call.
    pub(crate) fn take_defects(&mut self) -> u64 {
        let of_models = self.models.iter_mut().map(|(_, model)| model.take_missed());
        let of_topics = self.topics.iter_mut().map(|(_, topic)| topic.take_missed());
        let of_things = of_models.sum::<u64>() + of_topics.sum::<u64>();
        let of_tables = self.models.take_missed() + self.topics.take_missed();
        std::mem::take(&mut self.defects) + of_things + of_tables
    }

    fn each_model(&mut self, topic: TopicId, mut each: impl FnMut(&mut ModelCounter)) {
        let Some(topic) = self.topics.get(topic) else { return };
        for &id in &topic.members {
            if let Some(model) = self.models.get_mut(id) {
                each(model);
            }
        }
    }
}

/// How many panes may be open before a topic is crowded: those of two drift windows are kept at hand
/// while catching up, since partitions are held together at that distance.
fn panes_at_hand(model: &ModelCounter) -> usize {
    let panes = 3 * model.drift.settings().every_us / model.operations.settings().every_us.max(1);
    usize::try_from(panes).unwrap_or(usize::MAX)
}
