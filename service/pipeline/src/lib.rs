//! One window's journey, from a stretch of the log to a decision. Read this file first.
//!
//! ```text
//! readers ─► Event::Read ─► counting: which window? ─► counts, strips, positions
//!                              │ what is due closes: state, ledger, late rows
//!                              ▼
//!                           deciding ─► Effect::Judge ─► another thread ─► Event::Judged ─► report
//!                              │                                                             │
//!                              │◄── incidents, retraining, messages ◄── signals ◄────────────┘
//!                              ▼
//!                           outlet: snapshot ─► the store ─► Event::Committed ─► seen outside
//! ```
//!
//! The pipeline is a function of its events: it reads no clock, no socket and no file, and the compiler and
//! a test keep it so (docs/decisions/002). Whoever drives it (the service, [`inline`], a test) carries out
//! the [`Effect`]s. Its two halves know little of one another: what a chunk brought and what closed pass
//! from [`counting`] to [`deciding`]; the settings in force are shared. On many machines they will be two
//! processes, and what passes between them a topic.
//!
//! A window's way through the files: `counting.rs` (a chunk is counted), `counting/model.rs` (a boundary is
//! crossed, the window closes), `deciding/model.rs` (judged, decided, told), `outlet.rs` (committed, seen).

mod counting;
mod deciding;
pub mod digest;
pub mod gate;
pub mod inline;
pub mod judge;
pub mod messages;
mod outlet;
mod persist;
mod rebuild;
mod retraining;
pub mod setup;
mod signals;
pub mod snapshot;
mod unmoved;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_alerting::outbox::Silence;
use driftline_alerting::repeat::RepeatRules;
use driftline_alerting::retrain::RetrainRequest;
use driftline_alerting::{Acceptance, Rules};
use driftline_analytics::report::Report;
use driftline_capture::{CaptureBatch, Chunk};
use driftline_config::{ModelId, TopicId, TopicPartition, WindowId};

use counting::model::{Due, ModelCounter};
use counting::topic::Topic;
use counting::{Counted, CountedRows, Counting};
use deciding::clock::Reach;
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
pub use counting::model::{CountingFacts, LateRow, Strip};
pub use counting::topic::{Position, TopicFacts};
pub use deciding::model::{DecidingFacts, Logged, PastWindow};
pub use persist::RestoreError;
pub use view::{ModelBytes, ModelView};

/// Closed windows per model that may wait for judge and store before reading waits for them, and so many
/// more: the windows of all models close together, and a model alone may be some ahead of its judge.
const CLOSED_WINDOWS: (usize, usize) = (2, 64);

/// Everything the pipeline reacts to. Closed on purpose: to learn what can happen, read this list.
#[derive(Debug)]
pub enum Event {
    Read(Read),
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
    Silence(Silence),
    Tick,
}

/// What the readers tell, in order per partition.
#[derive(Debug)]
pub enum Read {
    Chunk(Chunk),
    /// Everything up to `offset` was told and the log held no more at `wall_us`.
    EndOfPartition {
        at: TopicPartition,
        offset: i64,
        /// When the end was reached, in wall-clock microseconds.
        wall_us: i64,
    },
    /// Records after the position wait for the end of a transaction: the partition is not at its end.
    HeldBack {
        at: TopicPartition,
    },
    Partitions {
        topic: TopicId,
        count: i32,
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
        }
    }
}

impl Pipeline {
    /// A pipeline over these models, that has seen nothing. Models have their indices in this order;
    /// topics in the order in which models first name them.
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

    /// Takes one event at wall time `now_us` and says what is to be done about it.
    pub fn handle(&mut self, event: Event, now_us: i64) -> Vec<Effect> {
        match event {
            Event::Read(read) => self.on_read(read, now_us),
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
            Event::Silence(silence) => self.deciding.silence(silence, &mut self.outlet),
            Event::Tick => self.on_tick(now_us),
        }
        std::mem::take(&mut self.outlet.effects)
    }

    fn on_read(&mut self, read: Read, now_us: i64) {
        match read {
            Read::Chunk(chunk) => self.on_chunk(chunk, now_us),
            Read::EndOfPartition { at, offset, wall_us } => {
                self.counting.reach_end(at, offset, wall_us);
            }
            Read::HeldBack { at } => self.counting.hold_back(at),
            Read::Partitions { topic, count } => self.counting.expect(topic, count, now_us),
            Read::Gap { at, to } => self.counting.skip(at, to),
            Read::Recreated { at, offset } => self.counting.begin_anew(at, offset),
            Read::Trouble { topic, message } => {
                self.deciding.troubles.reading(topic, Some(message), now_us);
            }
            Read::Recovered { topic } => self.deciding.troubles.reading(topic, None, now_us),
        }
    }

    /// A chunk is counted; deciding learns of its rows, and of what is due since.
    fn on_chunk(&mut self, chunk: Chunk, now_us: i64) {
        let at = chunk.log();
        let Some(Counted { rows, crossed }) = self.counting.count(chunk) else { return };
        self.deciding.note_record(at, now_us);
        for mut of_model in rows {
            self.outlet.rows += of_model.batch.rows() as u64;
            if let Some(model) = self.deciding.models.get_mut(of_model.model) {
                model.note_rows(std::mem::take(&mut of_model.late), now_us);
            }
            let CountedRows { model, batch: rows, windows, .. } = of_model;
            self.outlet.effects.push(Effect::Counted { model, rows, windows });
        }
        for model in crossed {
            self.close_due(model, now_us);
        }
        self.align(at.topic, now_us);
    }

    /// What is due of a model closes, and is decided on as far as it can be: what closed before a restart
    /// waits for its decision, whether anything closes now or not.
    fn close_due(&mut self, id: ModelId, now_us: i64) {
        let Due { carried, increments, closed } = self.counting.close_due(id, now_us);
        let Some((model, mut desk)) = self.deciding.desk(id, &mut self.outlet, now_us) else {
            return;
        };
        for (from_us, into_us) in carried {
            desk.outlet.carry(model.name(), from_us, into_us);
            desk.outlet.effects.push(Effect::CarryShadow { model: id, from_us, into_us });
            desk.outlet.urgent = true;
        }
        desk.outlet.pending.increments.extend(increments);
        let waiting = model.unjudged_windows();
        model.closing.extend(closed);
        let windows = model.unjudged_windows() - waiting;
        desk.outlet.urgent |= windows > 0;
        model.proceed(&mut desk);
        self.deciding.unreported += windows;
    }

    /// A window is decided on, and counting need not know its strip any longer.
    fn on_verdict(&mut self, verdict: Verdict, now_us: i64) {
        let id = verdict.model;
        let desk = self.deciding.desk(id, &mut self.outlet, now_us);
        let decided = desk.is_some_and(|(model, mut desk)| model.take_verdict(verdict, &mut desk));
        if decided && let Some(model) = self.counting.models.get_mut(id) {
            model.decided();
        }
    }

    fn on_tick(&mut self, now_us: i64) {
        for id in (0..self.counting.models.len()).map(ModelId) {
            self.close_due(id, now_us);
            let Some(counter) = self.counting.models.get(id) else { continue };
            let topic = self.counting.topics.get(counter.topic);
            let is_told = topic.is_some_and(|topic| topic.count > 0);
            self.deciding.look(id, Reach { counter, is_told }, &mut self.outlet, now_us);
        }
        self.deciding.silences.retain(|silence| now_us < silence.until_us);
        for topic in (0..self.counting.topics.len()).map(TopicId) {
            self.align(topic, now_us);
        }
    }

    fn align(&mut self, topic: TopicId, now_us: i64) {
        let aligned = self.counting.align(topic, now_us);
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
