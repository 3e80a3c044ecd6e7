//! One model as it is counted: its two lanes, and the windows and panes that take rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::lane::{
    Closed, Heartbeat, LanePassage, Passage, PerLane, PlacingClock, Rows, Step,
};
use driftline_analytics::pane::{ClockCounts, PaneState};
use driftline_analytics::report::PairCounts;
use driftline_analytics::window::WindowState;
use driftline_capture::{CaptureBatch, CaptureRow, ModelHalves};
use driftline_config::{Partition, TopicId};
use serde::{Deserialize, Serialize};

use super::open::{OpenPane, OpenWindow};
use super::pairs::{Arrived, PairedRow, Pairs, Settled};
use crate::setup::Setup;
use crate::snapshot::{Increment, LaneKind, WindowKey};

/// One model's clock with what its windows and panes count.
#[derive(Debug)]
pub(crate) struct ModelCounter {
    pub(crate) setup: Arc<Setup>,
    pub(crate) topic: TopicId,
    /// Whether it was made of a template, when its name came.
    pub(crate) is_of_template: bool,
    pub(crate) clock: PlacingClock,
    pub(crate) windows: BTreeMap<i64, OpenWindow>,
    pub(crate) panes: BTreeMap<i64, OpenPane>,
    /// Where its requests and responses are records of their own.
    pub(crate) pairs: Option<Pairs>,
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
    /// Of a model whose requests, which are `rows` then, are records of their own.
    pub(crate) requests: Option<&'a ModelHalves>,
    pub(crate) responses: Option<&'a ModelHalves>,
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
    /// How requests found their responses in windows that close, by start.
    pub(crate) pairs: BTreeMap<i64, PairCounts>,
    /// Requests without a response that the windows counted when they closed.
    pub(crate) counted: Option<CountedRows>,
}

/// Rows that were counted, and in which drift windows: by start, with their indices.
#[derive(Debug, Clone)]
pub(crate) struct CountedRows {
    pub(crate) batch: CaptureBatch,
    pub(crate) windows: Vec<(i64, Vec<u32>)>,
}

/// What became of a share.
#[derive(Debug, Default)]
pub(crate) struct Absorbed {
    pub(crate) passage: Passage,
    /// What went into windows, where requests and responses are records of their own.
    pub(crate) paired: Option<CountedRows>,
    /// Offsets of responses, and those of them that are late or ahead.
    pub(crate) responses: Vec<i64>,
    pub(crate) late: Vec<i64>,
    pub(crate) ahead: Vec<i64>,
}

impl ModelCounter {
    pub(crate) fn new(setup: Arc<Setup>, topic: TopicId) -> ModelCounter {
        ModelCounter {
            clock: PlacingClock::new(&setup.lanes(), setup.model.captures.max_ahead_us),
            pairs: Pairs::new(&setup),
            setup,
            topic,
            is_of_template: false,
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

    /// Whether a record of its own came of a partition.
    pub(crate) fn has_met(&self, partition: Partition) -> bool {
        self.facts.by_partition.contains_key(&partition)
    }

    /// Sends its share of a chunk into windows and panes.
    pub(crate) fn absorb(&mut self, share: Share<'_>) -> Absorbed {
        let Share { partition, rows, heartbeats, now_us, .. } = share;
        let columns = rows.map_or_else(Rows::default, Rows::from);
        let passed = self.clock.passed_through_us(partition);
        let mut passage = self.clock.read(partition, columns, heartbeats, now_us);
        if let Some(pairs) = &self.pairs {
            passage.lanes.drift.needed = pairs.needed_by(share.responses);
        }
        let mut absorbed = Absorbed::default();
        if self.pairs.is_some() {
            self.pair(&share, &passage, passed, &mut absorbed);
        } else if let Some(rows) = rows {
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
        absorbed.passage = passage;
        absorbed
    }

    /// Sends requests and responses to each other, and those that found each other into windows and panes.
    fn pair(
        &mut self,
        share: &Share<'_>,
        passage: &Passage,
        passed: PerLane<i64>,
        absorbed: &mut Absorbed,
    ) {
        let Share { partition, requests, responses, now_us, .. } = *share;
        let setup = Arc::clone(&self.setup);
        let Some(pairs) = &mut self.pairs else { return };
        let ahead_from_us = now_us.saturating_add(setup.model.captures.max_ahead_us);
        let arrived = Arrived { partition, requests, responses, passage, passed, ahead_from_us };
        let settled = pairs.take(arrived, setup.layout.schema());
        absorbed.paired = self.count_settled(&settled.rows);
        absorbed.responses =
            responses.map(|halves| halves.rows.offsets().to_vec()).unwrap_or_default();
        (absorbed.late, absorbed.ahead) = (settled.late, settled.ahead);
    }

    /// Counts what was settled; `None` where that is nothing.
    fn count_settled(&mut self, rows: &[PairedRow]) -> Option<CountedRows> {
        if rows.is_empty() {
            return None;
        }
        let captures: Vec<CaptureRow> = rows.iter().map(|paired| paired.row.clone()).collect();
        let batch = match CaptureBatch::of_rows(self.setup.layout.schema(), &captures) {
            Ok(batch) => batch,
            Err(error) => {
                self.missed += captures.len() as u64;
                let (model, rows) = (self.name(), captures.len());
                tracing::error!(model, rows, %error, "paired rows are lost, a defect");
                return None;
            }
        };
        let mut lanes = PerLane::<LanePassage>::default();
        for (index, paired) in (0..).zip(rows) {
            lanes.drift.place(paired.starts.drift, index);
            lanes.operations.place(paired.starts.operations, index);
        }
        self.count(&batch, &lanes);
        Some(CountedRows { batch, windows: lanes.drift.windows })
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
        self.close_pairs(&steps, &mut taken);
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

    /// Counts requests whose windows close, or go on in the next, before a response came.
    fn close_pairs(&mut self, steps: &PerLane<Vec<Step>>, taken: &mut Taken) {
        let Some(pairs) = &mut self.pairs else { return };
        let mut settled = Settled::default();
        for step in &steps.operations {
            if let Step::Close(closed) = step {
                pairs.close_pane(closed.start_us, &mut settled);
            }
        }
        for step in &steps.drift {
            match step {
                Step::Carry { from_us, into_us } => {
                    pairs.close_window(*from_us, &mut settled);
                    let counts = pairs.take_counts(*from_us);
                    pairs.add_counts(*into_us, counts);
                }
                Step::Close(closed) => {
                    pairs.close_window(closed.start_us, &mut settled);
                    taken.pairs.insert(closed.start_us, pairs.take_counts(closed.start_us));
                }
            }
        }
        taken.counted = self.count_settled(&settled.rows);
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
