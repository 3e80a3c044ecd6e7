//! One window's journey, from a stretch of the log to a decision. Read this file first.
//!
//! ```text
//! Chunk ─► absorb ─► lanes: which window? ─► counted ─┐
//!                      │ a boundary was crossed       │
//!                      ▼                              ▼
//!                    close ─► judge (another thread) ─► decide ─► messages
//!                                                       │
//!            snapshot: positions, windows, alerts, reports, outbox ─► commit ─► seen outside
//! ```
//!
//! The pipeline is a function of its events: it reads no clock, no socket and no file. Whoever drives
//! it ([`crate::monitor`], the demo, a backtest, a test) carries out the [`Effect`]s.

pub mod alignment;
mod close;
pub mod gate;
pub mod ledger;
mod persist;
mod quiet;
mod rebuild;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod topic;
pub mod unit;
mod wall;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use driftline_alerting::Rules;
use driftline_alerting::outbox::Silence;
use driftline_alerting::repeat::RepeatRules;
use driftline_analytics::lane::{Crossing, Heartbeat, Incomplete};
use driftline_ingest::Chunk;

use crate::checkpoint::{Committed, LaneKind, OutboxItem, Snapshot};
use crate::judge::{Job, Verdict};
use crate::messages::Messages;
use alignment::{Alignment, Change};
use ledger::ChunkOutcomes;
use topic::{Beat, Topic, heartbeats_of};
use unit::{Absorbed, Strip, Unit};
use wall::Troubles;

pub use persist::RestoreError;
pub use topic::{Reading, TopicFacts};

/// Rows after which a snapshot is due, whatever the clock says.
const ROWS_PER_SNAPSHOT: u64 = 2_000_000;

/// Everything the pipeline reacts to. Closed on purpose: to learn what can happen, read this list.
#[derive(Debug)]
pub enum Event {
    /// What the readers tell.
    Read(driftline_ingest::Event),
    /// The judge has looked at a window.
    Judged(Box<Verdict>),
    /// A snapshot is in the store.
    Committed(Committed),
    /// A message is done: delivered, given up or refused for good.
    Done {
        /// Its sequence number.
        sequence: u64,
    },
    /// A message was attempted: its receipt is kept.
    Attempted {
        /// Counts receipts.
        number: u64,
        /// As JSON.
        receipt: Vec<u8>,
    },
    /// A candidate's record of a window is final.
    Scored {
        /// Name of the model.
        model: String,
        /// Start of the window.
        start_us: i64,
        /// The shadow record as it is published.
        record: String,
    },
    /// A candidate was loaded, or cannot be scored.
    Candidate {
        /// Index of its unit.
        unit: usize,
        /// Its name.
        candidate: String,
        /// Why it is not scored; `None` where it is.
        problem: Option<String>,
    },
    /// Dead letters do not arrive, or do again.
    DeadLetters {
        /// Why not; `None` where they do.
        trouble: Option<String>,
    },
    /// Somebody accepted an incident.
    Accept {
        /// Id of the incident.
        incident: String,
        /// Who and why.
        acceptance: driftline_alerting::Acceptance,
    },
    /// Somebody silenced messages.
    Silence(Silence),
    /// The wall clock went on.
    Tick,
}

/// What whoever drives the pipeline must do.
#[derive(Debug)]
pub enum Effect {
    /// Judge a window and answer with [`Event::Judged`].
    Judge(Box<Job>),
    /// Show these rows to the candidates of a model.
    Offer {
        /// Index of the unit.
        unit: usize,
        /// Start of the window they belong to.
        start_us: i64,
        /// The batch.
        rows: RecordBatch,
        /// The rows of it that belong to the window.
        indices: Vec<u32>,
    },
    /// A window of a model has no more rows: ask its candidates for their record.
    CloseShadow {
        /// Index of the unit.
        unit: usize,
        /// Start of the window.
        start_us: i64,
        /// As in the report.
        id: String,
    },
    /// A small window became part of an earlier one, for candidates too.
    CarryShadow {
        /// Index of the unit.
        unit: usize,
        /// Start of the window that ends here.
        from_us: i64,
        /// Start of the window that goes on.
        into_us: i64,
    },
    /// Let a partition wait, or go on.
    Align(Change),
    /// Let no partition of a topic read on by itself beyond this event time.
    Horizon {
        /// Index of the topic.
        topic: usize,
        /// Microseconds; `i64::MAX` where there is none.
        horizon_us: i64,
    },
    /// A retraining request is in the store: show it.
    Requested(Arc<driftline_alerting::retrain::RetrainRequest>),
    /// A report is in the store: show it.
    Published(Arc<driftline_analytics::report::Report>),
    /// A message is in the store: deliver it.
    Deliver(OutboxItem),
}

/// The whole state between two events.
#[derive(Debug)]
pub struct Pipeline {
    topics: Vec<Topic>,
    units: Vec<Unit>,
    by_name: BTreeMap<String, usize>,
    alignment: Alignment,
    rules: Rules,
    repeats: RepeatRules,
    messages: Messages,
    silences: Vec<Silence>,
    troubles: Troubles,
    open_windows_limit: usize,
    outbox_limit: u64,
    /// How often each bound was reached since it was last asked for.
    reached: BTreeMap<&'static str, u64>,
    /// sha256 of the set-ups and baselines that the store has.
    kept: BTreeSet<String>,
    /// What the next snapshot takes along.
    pending: Snapshot,
    /// What may be seen outside once `pending` is committed.
    after_commit: Vec<Effect>,
    /// The snapshot that is being written, and what may be seen once it is.
    in_flight: Option<(u64, Vec<Effect>)>,
    epoch: u64,
    next_sequence: u64,
    /// Messages that are not done.
    outbox_open: u64,
    /// Windows that closed and are not in the store as reports.
    unreported: usize,
    /// Somebody waits for the next commit.
    urgent: bool,
    rows_since_snapshot: u64,
    effects: Vec<Effect>,
}

/// What the pipeline is told once.
#[derive(Debug)]
pub struct Settings {
    /// When incidents open, change and clear.
    pub rules: Rules,
    /// How often messages are repeated.
    pub repeats: RepeatRules,
    /// How messages are written, and for whom.
    pub messages: Messages,
    /// Open windows of one lane at which a topic's other partitions wait for the slowest.
    pub open_windows_limit: usize,
    /// Messages that may wait to be delivered; further ones are dropped and counted.
    pub outbox_limit: usize,
}

impl Pipeline {
    /// A pipeline over these topics and units, that has seen nothing. Each unit names its topic by
    /// index.
    pub fn new(settings: Settings, topics: Vec<String>, units: Vec<Unit>) -> Pipeline {
        let topics = topics.into_iter().enumerate().map(|(index, name)| {
            let of_topic = units.iter().enumerate().filter(|(_, unit)| unit.topic == index);
            Topic::new(name, of_topic.map(|(unit, _)| unit).collect())
        });
        let names = units.iter().map(|unit| unit.name().to_owned()).zip(0..);
        Pipeline {
            topics: topics.collect(),
            by_name: names.collect(),
            units,
            alignment: Alignment::default(),
            rules: settings.rules,
            repeats: settings.repeats,
            messages: settings.messages,
            silences: Vec::new(),
            troubles: Troubles::default(),
            open_windows_limit: settings.open_windows_limit,
            outbox_limit: settings.outbox_limit as u64,
            reached: BTreeMap::new(),
            kept: BTreeSet::new(),
            pending: Snapshot::default(),
            after_commit: Vec::new(),
            in_flight: None,
            epoch: 0,
            next_sequence: 1,
            outbox_open: 0,
            unreported: 0,
            urgent: false,
            rows_since_snapshot: 0,
            effects: Vec::new(),
        }
    }

    /// Takes one event at wall time `now_us` and says what is to be done about it.
    pub fn handle(&mut self, event: Event, now_us: i64) -> Vec<Effect> {
        match event {
            Event::Read(driftline_ingest::Event::Chunk(chunk)) => self.on_chunk(chunk, now_us),
            Event::Read(driftline_ingest::Event::EndOfPartition {
                topic,
                partition,
                offset,
                wall_us,
            }) => self.on_end(topic, partition, offset, wall_us),
            Event::Read(driftline_ingest::Event::HeldBack { topic, partition }) => {
                self.on_held_back(topic, partition);
            }
            Event::Read(driftline_ingest::Event::Partitions { topic, count }) => {
                self.alignment.expect(topic, count, now_us);
                self.on_partitions(topic, count);
            }
            Event::Read(driftline_ingest::Event::Gap { topic, partition, to, .. }) => {
                self.on_gap(topic, partition, to, false);
            }
            Event::Read(driftline_ingest::Event::Recreated {
                topic, partition, offset, ..
            }) => {
                self.on_gap(topic, partition, offset, true);
            }
            Event::Read(driftline_ingest::Event::Trouble { topic, message, .. }) => {
                self.troubles.reading(topic, Some(message), now_us);
            }
            Event::Read(driftline_ingest::Event::Recovered { topic }) => {
                self.troubles.reading(topic, None, now_us);
            }
            Event::Judged(verdict) => self.on_verdict(*verdict, now_us),
            Event::Committed(committed) => self.on_committed(&committed),
            Event::Done { sequence } => {
                self.pending.outbox_done.push(sequence);
                self.outbox_open = self.outbox_open.saturating_sub(1);
            }
            Event::Scored { model, start_us, record } => self.on_scored(model, start_us, record),
            Event::Attempted { number, receipt } => {
                self.pending.shown.receipts.push((number, receipt));
            }
            Event::Candidate { unit, candidate, problem } => {
                self.on_candidate(unit, candidate, problem, now_us);
            }
            Event::DeadLetters { trouble } => self.troubles.dead_letters(trouble, now_us),
            Event::Accept { incident, acceptance } => self.on_accept(&incident, &acceptance),
            Event::Silence(silence) => self.on_silence(silence),
            Event::Tick => self.on_tick(now_us),
        }
        std::mem::take(&mut self.effects)
    }

    /// The models in the order of their indices.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// A model by its name.
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.by_name.get(name).and_then(|unit| self.units.get(*unit))
    }

    /// What is known of a topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &TopicFacts)> {
        self.topics.iter().map(|topic| (topic.name.as_str(), &topic.facts))
    }

    /// How far each partition was read: what the next snapshot holds.
    pub fn positions(&self) -> gate::Positions {
        let mut positions = gate::Positions::new();
        for (index, topic) in self.topics.iter().enumerate() {
            let of_topic = topic.facts.partitions.iter();
            positions.extend(of_topic.map(|(partition, at)| ((index, *partition), at.position)));
        }
        positions
    }

    /// The silences in force.
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// How often each bound of `limits` was reached since the last call.
    pub fn take_limits_reached(&mut self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.reached)
    }

    /// Messages that are decided on and not done.
    pub fn outbox_open(&self) -> u64 {
        self.outbox_open
    }

    /// Whether everything that was read has been decided on and committed.
    pub fn is_settled(&self) -> bool {
        self.in_flight.is_none()
            && !self.is_dirty()
            && self.units.iter().all(|unit| unit.closing.is_empty())
    }

    /// Counts a chunk: each record goes into its window, or into the ledger as what it is instead.
    fn on_chunk(&mut self, chunk: Chunk, now_us: i64) {
        let index = chunk.topic;
        if chunk.stopped {
            self.alignment.stop((chunk.topic, chunk.partition));
        }
        let Some(chunk) = self.first_contact(chunk) else { return };
        let Some(topic) = self.topics.get(index) else { return };
        let mut outcomes = topic.outcomes_of_marks(&chunk);
        let before = topic.facts.counts(chunk.partition);
        let members = topic.units.clone();
        let beats = heartbeats_of(&chunk);
        let mut rows = chunk.rows.iter().peekable();
        let mut crossed = Vec::new();
        for (member, &unit) in members.iter().enumerate() {
            let rows = rows.next_if(|rows| rows.model == member).map(|rows| &rows.rows);
            let concerns = |beat: &&Beat| beat.member.is_none_or(|of| of as usize == member);
            let beats: Vec<Heartbeat> = beats.iter().filter(concerns).map(|beat| beat.at).collect();
            if rows.is_none() && beats.is_empty() {
                continue;
            }
            let absorbed = self.absorb(unit, &chunk, (rows, &beats), now_us);
            outcomes.accepted.extend_from_slice(&absorbed.accepted);
            outcomes.late.extend_from_slice(&absorbed.late);
            if !absorbed.crossed.is_empty() || !absorbed.panes_crossed.is_empty() {
                crossed.push((unit, absorbed));
            }
        }
        outcomes.sort();
        let touched: Vec<usize> = crossed.iter().map(|(unit, _)| *unit).collect();
        let counts_at = |offset: i64| {
            let mut counts = before;
            counts += outcomes.before(offset);
            counts
        };
        for (unit, Absorbed { crossed, panes_crossed, .. }) in crossed {
            let Some(unit) = self.units.get_mut(unit) else { continue };
            for Crossing { offset, .. } in crossed {
                let strip = Strip { partition: chunk.partition, offset, counts: counts_at(offset) };
                unit.facts.strips.push(strip);
            }
            for Crossing { offset, .. } in panes_crossed {
                unit.note_pane_strip(chunk.partition, offset, counts_at(offset));
            }
            unit.forget_uncut();
        }
        self.enter(&chunk, &outcomes, now_us);
        for unit in touched {
            self.close_due(unit, now_us);
        }
        self.align(index, now_us);
    }

    fn absorb(
        &mut self,
        unit: usize,
        chunk: &Chunk,
        (rows, heartbeats): (Option<&RecordBatch>, &[Heartbeat]),
        now_us: i64,
    ) -> Absorbed {
        let Some(target) = self.units.get_mut(unit) else { return Absorbed::default() };
        let absorbed = target.absorb(chunk.partition, rows, heartbeats, chunk.producer_timestamps);
        target.quiet.disturb(chunk.partition);
        if let Some(rows) = rows {
            target.last_row_wall_us = Some(now_us);
            self.rows_since_snapshot += rows.num_rows() as u64;
            if !target.setup.model.shadow.is_empty() {
                for (start_us, indices) in &absorbed.windows {
                    self.effects.push(Effect::Offer {
                        unit,
                        start_us: *start_us,
                        rows: rows.clone(),
                        indices: indices.clone(),
                    });
                }
            }
        }
        absorbed
    }

    /// Adds a chunk's outcomes to the ledger and moves the position behind it.
    fn enter(&mut self, chunk: &Chunk, outcomes: &ChunkOutcomes, now_us: i64) {
        let Some(topic) = self.topics.get_mut(chunk.topic) else { return };
        topic.enter(chunk, outcomes);
        topic.last_record_wall_us.insert(chunk.partition, now_us);
        // Partitions are kept together in event time: a year that was sent within minutes has Kafka
        // timestamps of minutes. Those of the records are for stretches in which no model has a row.
        let of_rows = chunk.rows.iter().filter_map(|rows| topic.units.get(rows.model));
        let watermarks =
            of_rows.filter_map(|unit| self.units.get(*unit)?.drift.watermark_us(chunk.partition));
        if let Some(time_us) = watermarks.max().or(chunk.last_record_us) {
            self.alignment.advance((chunk.topic, chunk.partition), time_us);
        }
    }

    fn on_end(&mut self, topic: usize, partition: i32, offset: i64, wall_us: i64) {
        self.alignment.catch_up((topic, partition));
        let Some(topic) = self.topics.get_mut(topic) else { return };
        let gap = topic.begin(partition, offset);
        for &unit in &topic.units {
            let Some(unit) = self.units.get_mut(unit) else { continue };
            if let Some(gap) = gap {
                // After a gap the strip of an open window goes on: what was read before it counts.
                if gap.is_beginning {
                    begin_unit(unit, partition, offset, topic.facts.counts(partition));
                }
                mark(unit, partition, gap);
            }
            unit.reach_end(partition, wall_us);
        }
    }

    /// Rows may follow that nobody may read yet: whoever waits is not idle.
    fn on_held_back(&mut self, topic: usize, partition: i32) {
        let Some(topic) = self.topics.get(topic) else { return };
        for &unit in &topic.units {
            if let Some(unit) = self.units.get_mut(unit) {
                unit.quiet.disturb(partition);
            }
        }
    }

    fn on_partitions(&mut self, topic: usize, count: i32) {
        let Some(topic) = self.topics.get_mut(topic) else { return };
        topic.count = topic.count.max(count);
        for &unit in &topic.units {
            let Some(unit) = self.units.get_mut(unit) else { continue };
            let known: Vec<i32> = unit.drift.partitions().collect();
            for partition in (0..count).filter(|partition| !known.contains(partition)) {
                match topic.facts.partitions.get(&partition) {
                    // The topic has been read without this model.
                    Some(reading) => {
                        let counts = topic.facts.counts(partition);
                        begin_unit(unit, partition, reading.position, counts);
                        unit.mark_until_a_row(partition, Incomplete::ModelAdded);
                    }
                    None => unit.add_partition(partition, 0),
                }
                unit.touch();
            }
        }
    }

    /// Reading goes on at `to`: records before it were lost, or belong to a log that is no more.
    fn on_gap(&mut self, topic: usize, partition: i32, to: i64, recreated: bool) {
        let Some(topic) = self.topics.get_mut(topic) else { return };
        topic.skip(partition, to);
        if recreated {
            for &unit in &topic.units {
                let Some(unit) = self.units.get_mut(unit) else { continue };
                begin_unit(unit, partition, to, topic.facts.counts(partition));
            }
        }
    }

    /// Prepares the first chunk of a partition, and drops what was counted already.
    fn first_contact(&mut self, chunk: Chunk) -> Option<Chunk> {
        let topic = self.topics.get_mut(chunk.topic)?;
        let gap = topic.begin(chunk.partition, chunk.from);
        let counts = topic.facts.counts(chunk.partition);
        for &unit in &topic.units {
            let (Some(unit), Some(gap)) = (self.units.get_mut(unit), gap) else { continue };
            if gap.is_beginning {
                begin_unit(unit, chunk.partition, chunk.from, counts);
            }
            mark(unit, chunk.partition, gap);
        }
        topic.without_counted(chunk)
    }

    fn align(&mut self, topic: usize, now_us: i64) {
        let Some(of) = self.topics.get(topic) else { return };
        let members = of.units.iter().filter_map(|unit| self.units.get(*unit));
        let (mut every_us, mut crowded) = (0, false);
        for unit in members {
            every_us = every_us.max(unit.drift.settings().every_us);
            crowded |= unit.drift.open_windows() > self.open_windows_limit
                || unit.operations.open_windows() > self.open_windows_limit.max(unit_panes(unit));
        }
        let changes = self.alignment.changes(topic, every_us, crowded, now_us);
        let horizon_us = self.alignment.horizon_us(topic, every_us, now_us);
        if let Some(of) = self.topics.get_mut(topic)
            && of.horizon_us != horizon_us
        {
            of.horizon_us = horizon_us;
            self.effects.push(Effect::Horizon { topic, horizon_us });
        }
        if crowded && !changes.is_empty() {
            *self.reached.entry("open_windows").or_default() += 1;
        }
        self.effects.extend(changes.into_iter().map(Effect::Align));
    }

    fn on_tick(&mut self, now_us: i64) {
        for unit in 0..self.units.len() {
            self.close_due(unit, now_us);
            self.look_at_the_clock(unit, now_us);
        }
        self.silences.retain(|silence| now_us < silence.until_us);
        for topic in 0..self.topics.len() {
            self.align(topic, now_us);
        }
    }

    /// Whether a snapshot is due: now where somebody waits for it, else when the driver's clock says so.
    pub fn wants_snapshot(&self) -> bool {
        self.in_flight.is_none() && (self.urgent || self.rows_since_snapshot >= ROWS_PER_SNAPSHOT)
    }

    fn on_committed(&mut self, committed: &Committed) {
        for (window, bytes) in &committed.sizes {
            if window.lane == LaneKind::Drift {
                self.stored(window, *bytes);
            }
        }
        if let Some((epoch, effects)) = self.in_flight.take() {
            debug_assert_eq!(epoch, committed.epoch, "one commit in flight");
            self.unreported = self.unreported.saturating_sub(close::published(&effects));
            self.effects.extend(effects);
        }
    }
}

/// How many panes may be open before a topic is crowded: those of two drift windows are kept at hand
/// while catching up, since partitions are held together at that distance.
fn unit_panes(unit: &Unit) -> usize {
    let panes = 3 * unit.drift.settings().every_us / unit.operations.settings().every_us.max(1);
    usize::try_from(panes).unwrap_or(usize::MAX)
}

fn begin_unit(unit: &mut Unit, partition: i32, from: i64, counts: ledger::Counts) {
    unit.drift.begin(partition, from);
    unit.operations.begin(partition, from);
    unit.facts.strips.retain(|strip| strip.partition != partition);
    unit.facts.strips.push(Strip { partition, offset: from, counts });
    unit.facts.pane_strips.remove(&partition);
    unit.note_pane_strip(partition, from, counts);
    unit.touch();
}

fn mark(unit: &mut Unit, partition: i32, gap: topic::Beginning) {
    if let Some(why) = gap.why {
        unit.mark_until_a_row(partition, why);
    }
}
