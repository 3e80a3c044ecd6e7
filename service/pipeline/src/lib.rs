//! One window's journey, from a stretch of the log to a decision. Read this file first.
//!
//! ```text
//! readers ─► Event::Read ─► counting: which window? ─► counts, positions
//!                              │ passages: rows by window, boundaries, strips
//!                              ▼
//!                           deciding: what is due closes ─► Effect::Judge ─► another thread ─► Event::Judged ─► report
//!                              │                                                             │
//!                              │◄── incidents, retraining, messages ◄── signals ◄────────────┘
//!                              ▼
//!                           outlet: snapshot ─► the store ─► Event::Committed ─► seen outside
//! ```
//!
//! The pipeline is a function of its events: it reads no clock, no socket and no file, and the compiler and
//! a test keep it so (docs/decisions/002). Whoever drives it (the service, [`inline`], a test) carries out
//! the [`Effect`]s. Its two halves know little of one another: what a chunk brought passes from `counting`
//! to `deciding`, through where windows have closed the other way; the settings in force are shared.
//!
//! A window's way through the files: `counting.rs` (a chunk is counted), `deciding/lanes.rs` (a boundary is
//! crossed, the window closes), `deciding/model.rs` (judged, decided, told), `outlet.rs` (committed, seen).

mod appearing;
mod counting;
mod deciding;
pub mod digest;
pub mod gate;
pub mod inline;
pub mod judge;
pub mod messages;
mod outlet;
pub mod pairing;
mod persist;
mod rebuild;
mod retraining;
pub mod setup;
mod signals;
pub mod snapshot;
mod unmoved;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline_alerting::outbox::Silence;
use driftline_alerting::repeat::RepeatRules;
use driftline_alerting::retrain::RetrainRequest;
use driftline_alerting::{Acceptance, Rules};
use driftline_analytics::lane::{ClosingLane, Incomplete};
use driftline_analytics::report::Report;
use driftline_capture::{CaptureBatch, Chunk};
use driftline_config::time::ClockReading;
use driftline_config::{ModelId, Partition, TopicId, TopicPartition, WindowId};

use counting::model::{CountedRows, ModelCounter, Taken};
use counting::topic::Topic;
use counting::{Counting, OfModel, OpenLoad};
use deciding::clock::Reach;
use deciding::lanes::Counts;
use deciding::model::ModelDecider;
use deciding::{Deciding, WatchedTopic};
use judge::{Job, Verdict};
use messages::Messages;
use outlet::Outlet;
use setup::Setup;
use snapshot::{Committed, OutboxItem};

/// What of captures stands in [`Event`] and [`Effect`], for those who drive a pipeline and have no other
/// business with captures.
pub mod capture {
    pub use driftline_capture::{
        CaptureBatch, CaptureSchema, Chunk, Mark, MarkKind, ModelRows, columns,
    };
}

pub use counting::alignment::Change;
pub use counting::ledger::{OTHER, TopicLedger};
pub use counting::model::{CountingFacts, LateRow, RowCounts};
pub use counting::topic::{Position, TopicFacts};
pub use deciding::ahead::AheadRows;
pub use deciding::lanes::{PaneCounts, PaneStrips, Strip};
pub use deciding::model::{DecidingFacts, Logged, PastWindow};
pub use deciding::silence::Silences;
pub use persist::{KeptModel, RestoreError};
pub use view::{ModelBytes, ModelView};

/// Closed windows per model that may wait for judge and store before reading waits for them, and so many
/// more: the windows of all models close together, and a model alone may be some ahead of its judge.
const CLOSED_WINDOWS: (usize, usize) = (2, 64);

/// Everything the pipeline reacts to. Closed on purpose: to learn what can happen, read this list.
#[derive(Debug)]
pub enum Event {
    Read(Read),
    /// A template made a model of a name that came on a topic: told before any of its records, and behind the
    /// models that the topic has. What its set-up is follows from the name.
    Appeared {
        topic: TopicId,
        setup: Arc<Setup>,
    },
    /// The judge has looked at a window.
    Judged(Box<Verdict>),
    Committed(Committed),
    /// A message is done: delivered, given up or refused for good.
    Done {
        sequence: u64,
    },
    /// A message was attempted: its receipt is kept, under a number that counts receipts, as JSON.
    Attempted {
        number: u64,
        receipt: Vec<u8>,
    },
    /// A candidate's record of a window is final: as it is published.
    Scored {
        model: ModelId,
        start_us: i64,
        record: String,
    },
    /// A candidate was loaded, or cannot be scored and why.
    Candidate {
        model: ModelId,
        candidate: String,
        problem: Option<String>,
    },
    /// Dead letters do not arrive and why, or do again.
    DeadLetters {
        trouble: Option<String>,
    },
    Accept {
        incident: String,
        acceptance: Acceptance,
    },
    /// An acceptance is taken back.
    TakeBack {
        incident: String,
        by: Acceptance,
    },
    Silence(Silence),
    /// A silence ends before its time.
    EndSilence {
        id: String,
        by: Acceptance,
    },
    Tick,
}

/// What the readers tell, in order per partition.
#[derive(Debug)]
pub enum Read {
    Chunk(Chunk),
    /// Everything up to `offset` was told and the log held no more.
    EndOfPartition {
        at: TopicPartition,
        offset: i64,
        /// When the end was looked up, or before: never later. Told again and again while it is the end;
        /// `None` where nobody knows.
        sampled: Option<ClockReading>,
    },
    /// Records after the position wait for the end of a transaction: the partition is not at its end.
    HeldBack {
        at: TopicPartition,
    },
    Partitions {
        topic: TopicId,
        count: i32,
    },
    /// Where the log begins: what is before is gone.
    LogStart {
        at: TopicPartition,
        offset: i64,
    },
    /// Records were gone before they could be read; reading goes on at `to`.
    Gap {
        at: TopicPartition,
        /// First offset that the log still holds.
        to: i64,
    },
    /// The log is another one than that of the position; reading goes on at its beginning.
    Recreated {
        at: TopicPartition,
        /// Where reading goes on in the new log.
        offset: i64,
    },
    Trouble {
        /// The topic, where it is one topic's trouble.
        topic: Option<TopicId>,
        /// What, where and what to do, in a sentence.
        message: String,
    },
    /// An earlier trouble of the same topic (or of the broker) is over.
    Recovered {
        /// As in the trouble.
        topic: Option<TopicId>,
    },
}

/// What whoever drives the pipeline must do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "they live for a moment, and most are rows")]
pub enum Effect {
    /// Judge a window and answer with [`Event::Judged`].
    Judge(Box<Job>),
    /// Rows of a model were counted, each once: measure them, and show its candidates those of each drift
    /// window, which are named by its start and their indices.
    Counted { model: ModelId, rows: CaptureBatch, windows: Vec<(i64, Vec<u32>)> },
    /// A window of a model has no more rows: ask its candidates for their record.
    CloseShadow { model: ModelId, start_us: i64, id: WindowId },
    /// A small window became part of an earlier one, for candidates too: starts of both.
    CarryShadow { model: ModelId, from_us: i64, into_us: i64 },
    /// Let a partition wait, or go on.
    Align(Change),
    /// Let no partition of a topic read on by itself beyond this event time; `i64::MAX` where there is
    /// none.
    Horizon { topic: TopicId, horizon_us: i64 },
    /// A retraining request is in the store: show it.
    Requested(Arc<RetrainRequest>),
    /// A report is in the store: show it.
    Published(Arc<Report>),
    /// A message is in the store: deliver it.
    Deliver(OutboxItem),
}

/// The whole state between two events.
#[derive(Debug)]
pub struct Pipeline {
    counting: Counting,
    deciding: Deciding,
    outlet: Outlet,
}

/// What the pipeline is told once.
#[derive(Debug)]
pub struct Settings {
    pub rules: Rules,
    pub repeats: RepeatRules,
    /// How messages are written, and for whom.
    pub messages: Messages,
    /// Open windows of one lane at which a topic's other partitions wait for the slowest.
    pub open_windows_limit: usize,
    /// Messages that may wait to be delivered; further ones are dropped and counted.
    pub outbox_limit: usize,
    /// Wall time of the start, from which silence counts.
    pub started_us: i64,
    /// Topics on which templates make models of names: they are read though none may be there yet.
    pub topics_of_templates: Vec<String>,
}

impl Settings {
    /// What a configuration says, with how long each topic keeps its records, where that is known.
    pub fn new(
        config: &driftline_config::Config,
        retention_us: BTreeMap<String, i64>,
        started_us: i64,
    ) -> Settings {
        Settings {
            rules: Rules::new(&config.alerts),
            repeats: RepeatRules::new(&config.alerts),
            messages: Messages::new(config, retention_us),
            open_windows_limit: config.limits.open_windows,
            outbox_limit: config.limits.outbox,
            started_us,
            topics_of_templates: config
                .templates
                .iter()
                .map(|template| template.common().captures.topic.clone())
                .collect(),
        }
    }
}

impl Pipeline {
    /// A pipeline over these models, that has seen nothing. Models have their indices in this order;
    /// topics in the order in which models first name them, and behind them those of templates.
    pub fn new(settings: Settings, setups: Vec<Arc<Setup>>) -> Pipeline {
        let mut topics: Vec<Topic> = Vec::new();
        let (mut counters, mut deciders) = (Vec::new(), Vec::new());
        for (id, setup) in (0..).map(ModelId).zip(setups) {
            let name = &setup.model.captures.topic;
            let known = topics.iter_mut().enumerate().find(|(_, topic)| topic.name == *name);
            let topic = if let Some((index, topic)) = known {
                topic.members.push(id);
                index
            } else {
                topics.push(Topic::new(name.clone(), vec![id]));
                topics.len() - 1
            };
            let named = Arc::from(name.as_str());
            deciders.push(ModelDecider::new(id, Arc::clone(&setup), named, settings.started_us));
            counters.push(ModelCounter::new(setup, TopicId(topic)));
        }
        for name in &settings.topics_of_templates {
            if !topics.iter().any(|topic| topic.name == *name) {
                topics.push(Topic::new(name.clone(), Vec::new()));
            }
        }
        let watched = topics.iter().map(|topic| WatchedTopic {
            name: Arc::from(topic.name.as_str()),
            speaker: topic.members.first().copied(),
        });
        let watched = watched.collect();
        Pipeline {
            counting: Counting::new(topics, counters, settings.open_windows_limit),
            deciding: Deciding::new(settings, watched, deciders),
            outlet: Outlet::default(),
        }
    }

    /// Takes one event, at the time that the clock says, and says what is to be done about it.
    pub fn handle(&mut self, event: Event, now: impl Into<ClockReading>) -> Vec<Effect> {
        let now = now.into();
        let now_us = now.wall_us;
        match event {
            Event::Read(read) => self.on_read(read, now),
            Event::Appeared { topic, setup } => self.take_in(topic, setup, now_us),
            Event::Judged(verdict) => self.on_verdict(*verdict, now_us),
            Event::Committed(committed) => self.on_committed(&committed),
            Event::Done { sequence } => self.deciding.outbox.done(sequence, &mut self.outlet),
            Event::Attempted { number, receipt } => {
                self.outlet.pending.shown.receipts.push((number, receipt));
            }
            Event::Scored { model, start_us, record } => {
                if let Some((model, mut desk)) = self.deciding.desk(model, &mut self.outlet, now_us)
                {
                    model.take_shadow_record(start_us, record, &mut desk);
                }
            }
            Event::Candidate { model, candidate, problem } => {
                if let Some(model) = self.deciding.models.get_mut(model) {
                    model.candidates.insert(candidate, problem.map(|says| (now_us, says)));
                }
            }
            Event::DeadLetters { trouble } => self.deciding.troubles.dead_letters(trouble, now_us),
            Event::Accept { incident, acceptance } => {
                self.deciding.accept(&incident, &acceptance, &mut self.outlet);
            }
            Event::TakeBack { incident, by } => {
                self.deciding.take_back(&incident, &by, &mut self.outlet);
            }
            Event::EndSilence { id, by } => {
                self.deciding.end_silence(&id, &by, &mut self.outlet);
            }
            Event::Silence(silence) => self.deciding.silence(silence, &mut self.outlet),
            Event::Tick => self.on_tick(now),
        }
        std::mem::take(&mut self.outlet.effects)
    }

    fn on_read(&mut self, read: Read, now: ClockReading) {
        let now_us = now.wall_us;
        match read {
            Read::Chunk(chunk) => self.on_chunk(chunk, now),
            Read::EndOfPartition { at, offset, sampled } => self.on_end(at, offset, sampled, now),
            Read::HeldBack { at } => {
                self.each_decider(at.topic, |model| model.disturb(at.partition, now));
            }
            Read::Partitions { topic, count } => self.on_partitions(topic, count, now_us),
            Read::LogStart { at, offset } => self.note_log_start(at, offset),
            Read::Gap { at, to } => self.counting.skip(at, to),
            Read::Recreated { at, offset } => {
                self.note_log_start(at, offset);
                self.counting.begin_anew(at, offset);
                self.each_with_counts(at, |model, counts| {
                    model.begin(at.partition, offset, counts)
                });
            }
            Read::Trouble { topic, message } => {
                self.deciding.troubles.reading(topic, Some(message), now_us);
            }
            Read::Recovered { topic } => self.deciding.troubles.reading(topic, None, now_us),
        }
    }

    fn note_log_start(&mut self, at: TopicPartition, offset: i64) {
        self.each_decider(at.topic, |model| {
            model.log_starts.insert(at.partition, offset);
        });
    }

    /// A chunk is counted; deciding learns of its rows and what they say of time, and closes what is due
    /// since.
    fn on_chunk(&mut self, chunk: Chunk, now: ClockReading) {
        let at = chunk.log();
        self.meet(at, chunk.from);
        let Some(of_models) = self.counting.count(chunk, now.wall_us) else { return };
        self.deciding.note_record(at, now.wall_us);
        for OfModel { model: id, batch, passage, paired } in of_models {
            let Some(model) = self.deciding.models.get_mut(id) else { continue };
            let may_close = model.take_passage(&passage, now);
            if let Some(rows) = &batch {
                self.outlet.rows += rows.rows() as u64;
                model.note_rows(passage.untaken(rows), now.wall_us);
            }
            let windows = passage.passage.lanes.drift.windows;
            let whole = batch.map(|batch| CountedRows { batch, windows });
            if let Some(counted) = paired.unwrap_or(whole) {
                model.note_first_stamps(passage.partition, &counted);
                let CountedRows { batch: rows, windows } = counted;
                self.outlet.effects.push(Effect::Counted { model: id, rows, windows });
            }
            if may_close {
                self.close_due(id, now);
            }
        }
        self.align(at.topic, now.wall_us);
    }

    /// Deciding prepares for what begins at `from`, where that is a beginning or the end of a gap.
    fn meet(&mut self, at: TopicPartition, from: i64) {
        if let Some(beginning) = self.counting.meet(at, from) {
            self.each_with_counts(at, |model, counts| {
                model.meet(beginning, at.partition, from, counts);
            });
        }
    }

    /// Everything before `offset` was told, and the log held no more when its end was looked up.
    fn on_end(
        &mut self,
        at: TopicPartition,
        offset: i64,
        sampled: Option<ClockReading>,
        now: ClockReading,
    ) {
        self.counting.reach_end(at);
        self.meet(at, offset);
        self.each_decider(at.topic, |model| model.reach_end(at.partition, sampled, now));
    }

    /// A topic has so many partitions. Those that a model does not know take part from now on; all others
    /// that anybody knows, also from before the start, are gone and passed.
    fn on_partitions(&mut self, topic: TopicId, count: i32, now_us: i64) {
        self.counting.expect(topic, count, now_us);
        let Some(facts) = self.counting.topics.get(topic).map(|topic| topic.facts.clone()) else {
            return;
        };
        for partition in (0..count).map(Partition) {
            let at = TopicPartition { topic, partition };
            // One that has not been read has no position.
            let reached = facts.partitions.get(&partition);
            self.each_with_counts(at, |model, counts| {
                if model.lanes.drift.partitions().any(|known| known == partition) {
                    return model.resume(partition);
                }
                match reached {
                    // The topic has been read without this model.
                    Some(reached) => {
                        model.begin(partition, reached.position, counts);
                        model.mark_until_a_row(partition, Incomplete::ModelAdded);
                    }
                    None => model.add_partition(partition, 0),
                }
            });
        }
        let mut gone = BTreeSet::new();
        self.each_decider(topic, |model| {
            gone.extend(model.lanes.drift.partitions().filter(|known| known.0 >= count));
        });
        for partition in gone {
            let (at, position) = (TopicPartition { topic, partition }, facts.position(partition));
            self.counting.reach_end(at);
            self.each_with_counts(at, |model, counts| model.end(partition, position, counts));
        }
    }

    fn each_decider(&mut self, topic: TopicId, mut each: impl FnMut(&mut ModelDecider)) {
        for id in self.counting.models_of(topic) {
            if let Some(model) = self.deciding.models.get_mut(id) {
                each(model);
            }
        }
    }

    /// Each model of a topic, with what counting knows of one of its partitions.
    fn each_with_counts(
        &mut self,
        at: TopicPartition,
        mut each: impl FnMut(&mut ModelDecider, Counts),
    ) {
        for id in self.counting.models_of(at.topic) {
            let counts = self.counting.counts(id, at.partition);
            if let Some((model, counts)) = self.deciding.models.get_mut(id).zip(counts) {
                each(model, counts);
            }
        }
    }

    /// What is due of a model closes, and is decided on as far as it can be: what closed before a restart
    /// waits for its decision, whether anything closes now or not.
    fn close_due(&mut self, id: ModelId, now: ClockReading) {
        let Some(counter) = self.counting.models.get_mut(id) else { return };
        let Some(topic) = self.counting.topics.get(counter.topic) else { return };
        let steps = self.deciding.due(id, &topic.facts, &counter.facts.by_partition, now);
        let closes = !steps.drift.is_empty() || !steps.operations.is_empty();
        let taken = if closes { counter.close(steps) } else { Taken::default() };
        let Some((model, mut desk)) = self.deciding.desk(id, &mut self.outlet, now.wall_us) else {
            return;
        };
        let closed_us = model.lanes.as_ref().map(ClosingLane::closed_through_us);
        counter.clock.close_through(closed_us);
        if let Some(pairs) = &mut counter.pairs {
            pairs.close_through(closed_us.drift);
        }
        if let Some(CountedRows { batch: rows, windows }) = taken.counted.clone() {
            desk.outlet.effects.push(Effect::Counted { model: id, rows, windows });
        }
        for &(from_us, into_us) in &taken.carried {
            desk.outlet.carry(model.name(), from_us, into_us);
            model.carry_first_stamps(from_us, into_us);
            desk.outlet.effects.push(Effect::CarryShadow { model: id, from_us, into_us });
            desk.outlet.urgent = true;
        }
        let waiting = model.unjudged_windows();
        desk.outlet.pending.increments.extend(model.queue(taken));
        let windows = model.unjudged_windows() - waiting;
        desk.outlet.urgent |= windows > 0;
        model.proceed(&mut desk);
        self.deciding.unreported += windows;
    }

    fn on_verdict(&mut self, verdict: Verdict, now_us: i64) {
        let id = verdict.model;
        if let Some((model, mut desk)) = self.deciding.desk(id, &mut self.outlet, now_us) {
            model.take_verdict(verdict, &mut desk);
        }
    }

    fn on_tick(&mut self, now: ClockReading) {
        let now_us = now.wall_us;
        let outcomes = self.counting.outcomes();
        for id in (0..self.counting.models.len()).map(ModelId) {
            self.close_due(id, now);
            let Some(counter) = self.counting.models.get(id) else { continue };
            let topic = self.counting.topics.get(counter.topic);
            let is_told = topic.is_some_and(|topic| topic.count > 0);
            let served = counter.facts.by_partition.iter().filter(|(_, rows)| rows.rows > 0);
            let served = served.map(|(partition, _)| *partition).collect();
            // Every model has a topic.
            let Some(outcomes) = outcomes.get(counter.topic.0).map(Arc::clone) else { continue };
            let reach = Reach { topic: counter.topic, served, is_told, outcomes };
            self.deciding.look(id, reach, &mut self.outlet, now);
        }
        self.deciding.silences.retain(|silence| now_us < silence.until_us);
        for topic in (0..self.counting.topics.len()).map(TopicId) {
            self.align(topic, now_us);
        }
    }

    fn align(&mut self, topic: TopicId, now_us: i64) {
        let mut load = OpenLoad::default();
        for id in self.counting.models_of(topic) {
            if let Some(model) = self.deciding.models.get(id) {
                let of_model = model.load();
                load.every_us = load.every_us.max(of_model.every_us);
                load.windows = load.windows.max(of_model.windows);
            }
        }
        let aligned = self.counting.align(topic, load, now_us);
        let horizon = aligned.horizon_us.map(|horizon_us| Effect::Horizon { topic, horizon_us });
        self.outlet.effects.extend(horizon);
        self.outlet.effects.extend(aligned.changes.into_iter().map(Effect::Align));
    }

    fn on_committed(&mut self, committed: &Committed) {
        for (window, bytes) in &committed.sizes {
            self.counting.note_stored(window, *bytes);
        }
        let reports = self.outlet.committed(committed);
        self.deciding.unreported = self.deciding.unreported.saturating_sub(reports);
    }

    /// Whether something changed since the last snapshot.
    pub fn is_dirty(&self) -> bool {
        self.outlet.has_news()
            || self.counting.topics.iter().any(|(_, topic)| topic.dirty)
            || self.counting.models.iter().any(|(_, model)| model.dirty)
            || self.deciding.models.iter().any(|(_, model)| model.dirty)
    }

    /// Whether a snapshot is due: now where somebody waits for it, else when the driver's clock says so.
    pub fn wants_snapshot(&self) -> bool {
        self.outlet.wants_snapshot()
    }

    /// Whether everything that was read has been decided on and committed.
    pub fn is_settled(&self) -> bool {
        let mut models = self.deciding.models.iter();
        !self.outlet.is_writing()
            && !self.is_dirty()
            && models.all(|(_, model)| model.closing.is_empty())
    }

    /// Whether so many closed windows wait for judge and store that reading must wait for them: a log of
    /// small windows is read faster than they are judged, and each of them is kept until it is. Reading
    /// that `waits` goes on when half of them are in the store, so that one commit serves many
    /// (docs/decisions/052).
    pub fn is_behind(&self, waits: bool) -> bool {
        let (of_a_model, more) = CLOSED_WINDOWS;
        let most = of_a_model * self.deciding.models.len() + more;
        self.deciding.unreported > if waits { most / 2 } else { most }
    }
}
