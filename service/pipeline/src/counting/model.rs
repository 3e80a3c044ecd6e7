//! One model as it is counted: its two lanes, and the windows and panes that take rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::lane::{
    Closed, Heartbeat, LanePassage, Passage, PerLane, PlacingClock, Rows, Step,
};
use driftline_analytics::pane::{ClockCounts, PaneState};
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;
use driftline_config::{Partition, TopicId};
use serde::{Deserialize, Serialize};

use super::open::{OpenPane, OpenWindow};
use crate::setup::Setup;
use crate::snapshot::{Increment, LaneKind, WindowKey};

/// One model's clock with what its windows and panes count.
#[derive(Debug)]
pub(crate) struct ModelCounter {
    pub(crate) setup: Arc<Setup>,
    pub(crate) topic: TopicId,
    pub(crate) clock: PlacingClock,
    pub(crate) windows: BTreeMap<i64, OpenWindow>,
    pub(crate) panes: BTreeMap<i64, OpenPane>,
    pub(crate) facts: CountingFacts,
    pub(crate) dirty: bool,
    revision: u64,
    missed: u64,
}

/// What the checkpoint keeps of a model's counting beside its open windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CountingFacts {
    /// Rows that windows took, since the first record.
    pub counted: u64,
    pub late: u64,
    /// Rows that lay too far beyond our clock when they were read.
    #[serde(default)]
    pub ahead: u64,
    /// Largest event time of a row that was not ahead.
    pub last_event_us: Option<i64>,
    #[serde(default)]
    pub by_partition: RowsByPartition,
}

/// Rows of one model and partition since the first record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Whatever became of them.
    pub rows: u64,
    pub clock: ClockCounts,
}

/// The same of each partition.
pub(crate) type RowsByPartition = BTreeMap<Partition, RowCounts>;

impl RowCounts {
    /// What it is behind the rows of a passage that lie before `index`.
    pub(crate) fn after(mut self, passage: &Passage, index: usize) -> RowCounts {
        self.rows += index as u64;
        let before = passage.strays.iter().take_while(|stray| (stray.index as usize) < index);
        before.for_each(|stray| self.clock.note(stray));
        self
    }
}

/// A row that no window took, with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRow {
    pub partition: Partition,
    pub offset: i64,
    pub time_us: i64,
}

/// What a model is given of one chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share<'a> {
    pub(crate) partition: Partition,
    pub(crate) rows: Option<&'a CaptureBatch>,
    pub(crate) heartbeats: &'a [Heartbeat],
    /// Our wall clock.
    pub(crate) now_us: i64,
}

/// What closed, with what was counted in it.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Windows that became part of another one, by start: from, into.
    pub(crate) carried: Vec<(i64, i64)>,
    /// What windows that close counted since the last snapshot.
    pub(crate) increments: Vec<Increment>,
    pub(crate) windows: Vec<(Closed, Arc<Setup>, WindowState)>,
    pub(crate) panes: Vec<(Closed, Arc<Setup>, PaneState)>,
}

impl ModelCounter {
    pub(crate) fn new(setup: Arc<Setup>, topic: TopicId) -> ModelCounter {
        ModelCounter {
            clock: PlacingClock::new(&setup.lanes(), setup.model.captures.max_ahead_us),
            setup,
            topic,
            windows: BTreeMap::new(),
            panes: BTreeMap::new(),
            facts: CountingFacts::default(),
            dirty: true,
            revision: 0,
            missed: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.setup.model.name
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Something changed: it is kept with the next snapshot, and shown.
    pub(crate) fn touch(&mut self) {
        self.dirty = true;
        self.revision += 1;
    }

    /// Its rows of a partition so far.
    pub(crate) fn rows_of(&self, partition: Partition) -> RowCounts {
        // None before its first row.
        self.facts.by_partition.get(&partition).copied().unwrap_or_default()
    }

    /// Sends its share of a chunk into windows and panes.
    pub(crate) fn absorb(&mut self, share: Share<'_>) -> Passage {
        let Share { partition, rows, heartbeats, now_us } = share;
        let columns = rows.map_or_else(Rows::default, Rows::from);
        let passage = self.clock.read(partition, columns, heartbeats, now_us);
        if let Some(rows) = rows {
            self.count(rows, &passage.lanes);
        }
        let rows = columns.offsets.len();
        let mut strays = ClockCounts::default();
        passage.strays.iter().for_each(|stray| strays.note(stray));
        self.facts.counted += rows as u64 - strays.late - strays.ahead;
        self.facts.late += strays.late;
        self.facts.ahead += strays.ahead;
        let known = self.facts.by_partition.entry(partition).or_default();
        known.rows += rows as u64;
        known.clock += strays;
        self.facts.last_event_us = self.facts.last_event_us.max(passage.latest_us);
        self.touch();
        passage
    }

    fn count(&mut self, rows: &CaptureBatch, lanes: &PerLane<LanePassage>) {
        let setup = &self.setup;
        for (start_us, indices) in &lanes.drift.windows {
            let window =
                self.windows.entry(*start_us).or_insert_with(|| OpenWindow::new(Arc::clone(setup)));
            window.absorb(rows, indices);
        }
        for (start_us, indices) in &lanes.operations.windows {
            let pane =
                self.panes.entry(*start_us).or_insert_with(|| OpenPane::new(Arc::clone(setup)));
            pane.absorb(rows, indices);
        }
    }

    /// Hands over what closes: nothing of it takes a row any more.
    pub(crate) fn close(&mut self, steps: PerLane<Vec<Step>>) -> Taken {
        let mut taken = Taken::default();
        self.touch();
        for step in steps.drift {
            match step {
                Step::Carry { from_us, into_us } => {
                    self.carry(from_us, into_us);
                    taken.carried.push((from_us, into_us));
                }
                Step::Close(closed) => {
                    taken.increments.extend(self.last_increment(closed.start_us));
                    match self.windows.remove(&closed.start_us) {
                        Some(open) => {
                            let setup = Arc::clone(&open.setup);
                            taken.windows.push((closed, setup, open.into_state()));
                        }
                        None => self.miss(LaneKind::Drift, closed.start_us),
                    }
                }
            }
        }
        for step in steps.operations {
            // A pane is as long as a lane of panes may carry it, so that each closes.
            let Step::Close(closed) = step else { continue };
            match self.panes.remove(&closed.start_us) {
                Some(OpenPane { setup, counted, .. }) => taken.panes.push((closed, setup, counted)),
                None => self.miss(LaneKind::Operations, closed.start_us),
            }
        }
        taken
    }

    /// A window that is too small goes on in the next. What the store knows of it moves with
    /// `Snapshot::carried`.
    fn carry(&mut self, from_us: i64, into_us: i64) {
        let Some(from) = self.windows.remove(&from_us) else {
            return self.miss(LaneKind::Drift, from_us);
        };
        match self.windows.get_mut(&into_us) {
            Some(into) => into.take_in(&from),
            None => {
                let mut into = OpenWindow::new(Arc::clone(&from.setup));
                into.take_in(&from);
                self.windows.insert(into_us, into);
            }
        }
    }

    /// Deciding closes a window that counting does not know.
    fn miss(&mut self, lane: LaneKind, start_us: i64) {
        self.missed += 1;
        let model = self.name();
        tracing::error!(model, ?lane, start_us, "a window closes that was not open, a defect");
    }

    /// How often that was so, since the last call.
    pub(crate) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    fn last_increment(&mut self, start_us: i64) -> Option<Increment> {
        let key = self.key(LaneKind::Drift, start_us);
        // One that is not there is missed where it is taken.
        self.windows.get_mut(&start_us).and_then(|window| window.increment(key))
    }

    pub(crate) fn key(&self, lane: LaneKind, start_us: i64) -> WindowKey {
        WindowKey::new(self.name(), lane, start_us)
    }
}
