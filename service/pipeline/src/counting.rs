//! Counting: each record of the log goes into its window, or into the ledger as what it is instead. It
//! decides nothing.
//!
//! ```text
//! Chunk ─► without what was counted ─► clock of each model: which window? ─► windows and panes
//!                                          │ boundaries that were crossed, with strips of the ledger
//!                                          ▼
//!              ledger, position ─► what the rows say of time, in a passage ─► deciding
//! ```
//!
//! To deciding go passages and, where it closes windows, what they counted; back comes through where it has
//! closed. Of the wall clock counting knows `now_us` alone: nothing is passed before it, and no row beyond
//! it makes anybody wait.

pub(crate) mod alignment;
pub(crate) mod closed;
pub(crate) mod ledger;
pub(crate) mod model;
pub(crate) mod open;
pub(crate) mod pairs;
pub(crate) mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::lane::{Crossing, Heartbeat, Passage, Stray, StrayKind};
use driftline_analytics::report::Ledger;
use driftline_capture::{CaptureBatch, Chunk, ModelHalves, Side};
use driftline_config::{ModelId, Partition, Table, TopicId, TopicPartition};

use crate::deciding::lanes::{Counts, ModelPassage};
use crate::deciding::rejects::Outcomes;
use crate::snapshot::{LaneKind, WindowKey};
use alignment::{Alignment, Change};
use ledger::ChunkOutcomes;
use model::{CountedRows, LateRow, ModelCounter, RowCounts, Share};
use topic::{Beat, Beginning, Topic, heartbeats_of, outcomes_of_marks};

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

/// The share of one model in a chunk.
#[derive(Debug)]
pub(crate) struct OfModel {
    pub(crate) model: ModelId,
    /// Its rows, where it has any.
    pub(crate) batch: Option<CaptureBatch>,
    pub(crate) passage: ModelPassage,
    /// Of a model whose requests and responses are records of their own: the rows that windows took, where
    /// there are any. Of others it is the batch.
    pub(crate) paired: Option<Option<CountedRows>>,
}

/// Who waits from now on, and up to where readers go by themselves.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    pub(crate) changes: Vec<Change>,
    /// In event time, where it moved.
    pub(crate) horizon_us: Option<i64>,
}

impl Counting {
    /// What became of all records of each topic.
    pub(crate) fn outcomes(&self) -> Vec<Arc<Outcomes>> {
        let of_topic = |topic: &Topic| {
            let (total, reasons) = (topic.facts.ledger.total(), topic.facts.ledger.reasons.clone());
            Arc::new(Outcomes { read: total.read, rejected: total.rejected, reasons })
        };
        self.topics.iter().map(|(_, topic)| of_topic(topic)).collect()
    }

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

    /// Counts a chunk, read when our wall clock said `now_us`: what it brought by model, those without rows and
    /// heartbeats left out; `None` where all of it was counted before.
    pub(crate) fn count(&mut self, chunk: Chunk, now_us: i64) -> Option<Vec<OfModel>> {
        let at = chunk.log();
        if chunk.stopped {
            self.alignment.stop(at);
        }
        let topic = self.topics.get(at.topic)?;
        let chunk = chunk.without_counted(topic.facts.position(at.partition))?;
        let mut outcomes = outcomes_of_marks(&chunk);
        let beats = heartbeats_of(&chunk);
        let mut rows = chunk.rows.iter().peekable();
        let mut shares = Vec::new();
        for (member, &id) in topic.members.iter().enumerate() {
            let batch = rows.next_if(|rows| rows.model == member).map(|rows| &rows.rows);
            let half = |side| {
                let mut halves = chunk.halves.iter();
                halves.find(|half| half.model == member && half.side == side)
            };
            let (requests, responses) = (half(Side::Request), half(Side::Response));
            // A model's records are whole captures, or none of them is.
            let batch = batch.or(requests.map(|half| &half.rows));
            let own = |beat: &&Beat| beat.member.is_some_and(|of| of as usize == member);
            let mut heartbeats: Vec<Heartbeat> =
                beats.iter().filter(own).map(|beat| beat.at).collect();
            // A response is no row, and says what time it is.
            heartbeats.extend(responses.into_iter().flat_map(beats_of));
            let first_own = batch.and_then(|rows| rows.offsets().first().copied());
            let first_own = first_own.into_iter().chain(heartbeats.iter().map(|beat| beat.offset));
            let heard_from = self.heard_from(id, at.partition, first_own.min());
            let for_all = beats.iter().filter(|beat| beat.member.is_none());
            let heard = for_all.map(|beat| beat.at).filter(|beat| beat.offset >= heard_from);
            let own_only = heartbeats.len();
            heartbeats.extend(heard);
            if responses.is_some() || (own_only > 0 && heartbeats.len() > own_only) {
                heartbeats.sort_by_key(|beat| beat.offset);
            }
            if batch.is_none() && heartbeats.is_empty() {
                continue;
            }
            let Some(model) = self.models.get_mut(id) else { continue };
            let before = model.rows_of(at.partition);
            let share = Share {
                partition: at.partition,
                rows: batch,
                requests,
                responses,
                heartbeats: &heartbeats,
                now_us,
            };
            let absorbed = model.absorb(share);
            let offsets = batch.map(|batch| batch.offsets().to_vec()).unwrap_or_default();
            outcomes.add(&absorbed.passage, &offsets);
            outcomes.add_responses(&absorbed);
            let pairs = model.pairs.is_some();
            let mut of = OfModel::new(id, at.partition, batch.cloned(), absorbed.passage, offsets);
            of.paired = pairs.then_some(absorbed.paired);
            shares.push((of, before));
        }
        for rows in rows {
            let (member, rows) = (rows.model, rows.rows.rows());
            self.defects += 1;
            tracing::error!(member, rows, "rows of no model of the topic, a defect: they are lost");
        }
        outcomes.sort();
        let counts = topic.facts.ledger_of(at.partition);
        let note = |(mut of, before): (OfModel, RowCounts)| {
            of.passage.note_strips(counts, before, &outcomes);
            of
        };
        let of_models: Vec<OfModel> = shares.into_iter().map(note).collect();
        let newest = of_models.iter().filter_map(|of| of.passage.passage.newest);
        let newest_us = newest.map(|newest| newest.time_us).max();
        self.enter(&chunk, &outcomes, newest_us, now_us);
        Some(of_models)
    }

    /// The offset from which heartbeats for all models say the time to this one. To one of a template only
    /// those behind a record of its own, in each partition: when it was met must not matter.
    fn heard_from(&self, id: ModelId, partition: Partition, first_own: Option<i64>) -> i64 {
        match self.models.get(id) {
            Some(model) if model.is_of_template && !model.has_met(partition) => {
                first_own.unwrap_or(i64::MAX)
            }
            _ => i64::MIN,
        }
    }

    /// Adds a chunk's outcomes to the ledger and moves the position behind it.
    fn enter(
        &mut self,
        chunk: &Chunk,
        outcomes: &ChunkOutcomes,
        newest_us: Option<i64>,
        now_us: i64,
    ) {
        let Some(topic) = self.topics.get_mut(chunk.topic) else { return };
        topic.enter(chunk, outcomes);
        // Partitions are kept together in event time: a year that was sent within minutes has Kafka
        // timestamps of minutes. Those of the records are for stretches in which no model has a row. None
        // counts that lies beyond our clock, since everybody would wait for it (RULES §1, rule 6).
        let of_records = || chunk.last_record_us.filter(|record_us| *record_us <= now_us);
        let has_rows = !chunk.rows.is_empty();
        let time_us = newest_us.or_else(|| of_records().filter(|_| !has_rows));
        self.alignment.read(chunk.log(), time_us);
    }

    /// Says where reading stands at `from`, where that is a beginning or the end of a gap.
    pub(crate) fn meet(&mut self, at: TopicPartition, from: i64) -> Option<Beginning> {
        self.topics.get_mut(at.topic)?.begin(at.partition, from)
    }

    /// Everything before the position was told, and the log held no more.
    pub(crate) fn reach_end(&mut self, at: TopicPartition) {
        self.alignment.catch_up(at);
    }

    /// The topic has so many partitions.
    pub(crate) fn expect(&mut self, topic: TopicId, count: i32, now_us: i64) {
        self.alignment.expect(topic, count, now_us);
        if let Some(known) = self.topics.get_mut(topic) {
            known.count = count;
        }
    }

    /// Reading goes on at `to`: records before it were lost.
    pub(crate) fn skip(&mut self, at: TopicPartition, to: i64) {
        if let Some(topic) = self.topics.get_mut(at.topic) {
            topic.skip(at.partition, to);
        }
    }

    /// Another log is read from `offset` on.
    pub(crate) fn begin_anew(&mut self, at: TopicPartition, offset: i64) {
        if let Some(topic) = self.topics.get_mut(at.topic) {
            topic.begin_anew(at.partition, offset);
        }
    }

    /// A further model of a topic that is read already.
    pub(crate) fn add(&mut self, model: ModelCounter) -> ModelId {
        let (name, topic) = (model.name().to_owned(), model.topic);
        let id = self.models.push(model);
        self.by_name.insert(name, id);
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.members.push(id);
        }
        id
    }

    /// What is known of a partition for a model.
    pub(crate) fn counts(&self, model: ModelId, partition: Partition) -> Option<Counts> {
        let model = self.models.get(model)?;
        let ledger = self.topics.get(model.topic)?.facts.ledger_of(partition);
        Some(Counts { ledger, rows: model.rows_of(partition) })
    }

    /// The models of a topic.
    pub(crate) fn models_of(&self, topic: TopicId) -> Vec<ModelId> {
        self.topics.get(topic).map(|topic| topic.members.clone()).unwrap_or_default()
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

    /// Keeps the partitions of a topic together in event time (RULES §1); `load` says how much its models
    /// have open.
    pub(crate) fn align(&mut self, topic: TopicId, load: OpenLoad, now_us: i64) -> Aligned {
        let Some(of) = self.topics.get_mut(topic) else { return Aligned::default() };
        let every_us = load.every_us;
        let crowded = load.windows > self.open_windows_limit as f64;
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

    /// How often something named what is not there, or came that has no place, since the last call.
    pub(crate) fn take_defects(&mut self) -> u64 {
        let of_models = self.models.iter_mut().map(|(_, model)| model.take_missed());
        let of_topics = self.topics.iter_mut().map(|(_, topic)| topic.take_missed());
        let of_things = of_models.sum::<u64>() + of_topics.sum::<u64>();
        let of_tables = self.models.take_missed() + self.topics.take_missed();
        std::mem::take(&mut self.defects) + of_things + of_tables
    }
}

fn beats_of(halves: &ModelHalves) -> impl Iterator<Item = Heartbeat> + '_ {
    let rows = &halves.rows;
    let times = rows.times_us().iter().zip(rows.record_times_us());
    let beats = rows.offsets().iter().zip(times);
    beats.map(|(&offset, (&time_us, &record_time_us))| Heartbeat {
        offset,
        time_us,
        record_time_us,
    })
}

/// How much the models of a topic have open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OpenLoad {
    /// The length of their longest windows.
    pub(crate) every_us: i64,
    /// Of the model with most: open windows, where small ones weigh little.
    pub(crate) windows: f64,
}

impl OfModel {
    fn new(
        model: ModelId,
        partition: Partition,
        batch: Option<CaptureBatch>,
        passage: Passage,
        offsets: Vec<i64>,
    ) -> OfModel {
        let (strips, pane_strips) = (Vec::new(), Vec::new());
        let passage = ModelPassage { partition, passage, offsets, strips, pane_strips };
        OfModel { model, batch, passage, paired: None }
    }
}

impl ModelPassage {
    /// Notes what became of the records before each boundary that was crossed, where the partition's
    /// ledger was `ledger` before the chunk, and its rows `rows`.
    fn note_strips(&mut self, ledger: Ledger, rows: RowCounts, outcomes: &ChunkOutcomes) {
        let ledger_at = |offset: i64| {
            let mut counts = ledger;
            counts += outcomes.before(offset);
            counts
        };
        let lanes = &self.passage.lanes;
        let strip = |at: &Crossing| {
            let index = self.offsets.partition_point(|offset| *offset < at.offset);
            let rows = rows.after(&self.passage, index);
            (at.offset, Counts { ledger: ledger_at(at.offset), rows })
        };
        let strips = lanes.drift.crossed.iter().map(strip).collect();
        let pane_strip = |at: &Crossing| {
            let (offset, Counts { ledger, rows }) = strip(at);
            (offset, rows.with(ledger))
        };
        let pane_strips = lanes.operations.crossed.iter().map(pane_strip).collect();
        (self.strips, self.pane_strips) = (strips, pane_strips);
    }

    /// Its rows that no window took: late, or ahead.
    pub(crate) fn untaken(&self, batch: &CaptureBatch) -> Vec<(StrayKind, LateRow)> {
        let untaken = self.passage.strays.iter().filter(|stray| stray.kind != StrayKind::Fast);
        let row_of = |stray: &Stray| {
            let index = stray.index as usize;
            // A stray's index is that of a row of the same batch, which was counted with it.
            let offset = *self.offsets.get(index)?;
            // As above.
            let time_us = *batch.times_us().get(index)?;
            Some((stray.kind, LateRow { partition: self.partition, offset, time_us }))
        };
        untaken.filter_map(row_of).collect()
    }
}
