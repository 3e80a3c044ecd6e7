//! One model's windows and panes from their first row to their end: what counting tells of them, which
//! close, and what became of the records between their cuts.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use driftline_analytics::lane::{Closed, Incomplete, Passage, PerLane, ReadStretch, Step};
use driftline_analytics::pane::{ClockCounts, PaneRecords};
use driftline_analytics::report::Ledger;
use driftline_config::Partition;
use driftline_config::time::ClockReading;
use serde::{Deserialize, Serialize};

use super::model::ModelDecider;
use crate::counting::OpenLoad;
use crate::counting::closed::{ClosedPane, ClosedWindow, Closing};
use crate::counting::model::{RowCounts, RowsByPartition, Taken};
use crate::counting::topic::{Beginning, TopicFacts};
use crate::snapshot::Increment;

/// Cuts of panes whose ledger is remembered per partition: what a week of catching up needs. More pile up
/// only where heartbeats go on and no row opens a pane.
const PANE_STRIPS: usize = 10_080;

/// The ledger of a partition at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    pub partition: Partition,
    /// The first offset that is not in `counts`.
    pub offset: i64,
    pub counts: Ledger,
    /// Of the model.
    #[serde(default)]
    pub rows: RowCounts,
}

/// What of the records before an offset a pane is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PaneCountsForm")]
pub struct PaneCounts {
    /// Of the topic, as `rejected`.
    pub read: u64,
    pub rejected: u64,
    /// Of the model.
    pub rows: u64,
    pub clock: ClockCounts,
}

/// As checkpoints have them: once only the first two.
#[derive(Deserialize)]
#[serde(untagged)]
enum PaneCountsForm {
    Pair(u64, u64),
    Counts { read: u64, rejected: u64, rows: u64, clock: ClockCounts },
}

impl From<PaneCountsForm> for PaneCounts {
    fn from(form: PaneCountsForm) -> PaneCounts {
        match form {
            PaneCountsForm::Pair(read, rejected) => {
                PaneCounts { read, rejected, ..PaneCounts::default() }
            }
            PaneCountsForm::Counts { read, rejected, rows, clock } => {
                PaneCounts { read, rejected, rows, clock }
            }
        }
    }
}

/// What a chunk brought to one model, as deciding learns of it.
#[derive(Debug)]
pub(crate) struct ModelPassage {
    pub(crate) partition: Partition,
    pub(crate) passage: Passage,
    /// Of its rows.
    pub(crate) offsets: Vec<i64>,
    /// At each boundary of a drift window that was crossed: its offset and the topic's ledger there.
    pub(crate) strips: Vec<(i64, Counts)>,
    /// At each boundary of a pane.
    pub(crate) pane_strips: Vec<(i64, PaneCounts)>,
}

impl ModelDecider {
    /// Learns what counting counted. Whether something was passed, so that windows may be due.
    pub(crate) fn take_passage(&mut self, of: &ModelPassage, now: ClockReading) -> bool {
        let ModelPassage { partition, passage, offsets, strips, pane_strips } = of;
        let (partition, of_lanes) = (*partition, &passage.lanes);
        self.at_end.remove(&partition);
        if !offsets.is_empty() {
            self.facts.silences.note(&mut self.heard, partition, offsets.len() as u64, now);
        }
        let lanes = &mut self.lanes;
        let of = ReadStretch { partition, passage, offsets };
        lanes.drift.take(of, &of_lanes.drift, now);
        lanes.operations.take(of, &of_lanes.operations, now);
        for (offset, counts) in strips {
            self.note_strip(partition, *offset, *counts);
        }
        for (offset, counts) in pane_strips {
            self.note_pane_strip(partition, *offset, *counts);
        }
        self.forget_uncut();
        self.touch();
        !strips.is_empty() || !pane_strips.is_empty()
    }

    /// What is due of both lanes closes; `rows` is what counting knows of each partition.
    pub(crate) fn advance(
        &mut self,
        topic: &TopicFacts,
        rows: &RowsByPartition,
        now: ClockReading,
    ) -> PerLane<Vec<Step>> {
        let position = |partition: Partition| topic.position(partition);
        let drift = self.lanes.drift.advance(now, &position);
        let operations = self.lanes.operations.advance(now, &position);
        // Also where nothing closes: the first window that is carried on is cut without a word.
        self.note_idle_cuts(topic, rows);
        if !drift.is_empty() || !operations.is_empty() {
            self.touch();
        }
        PerLane { drift, operations }
    }

    /// What closed waits for its decision, in the order in which it was due, whatever the chunks were.
    /// Returns what has to be stored of it first.
    pub(crate) fn queue(&mut self, taken: Taken) -> Vec<Increment> {
        let mut closed: Vec<(i64, Closing)> = Vec::new();
        for (mut window, setup, state) in taken.windows {
            let due_us = self.lanes.drift.due_us(&window);
            self.facts.ahead_rows.note_in(&mut window);
            let (ledger, records) = (self.ledger(&window), self.records(&window));
            let state = Arc::new(state);
            // None where records are whole captures.
            let pairs = taken.pairs.get(&window.start_us).copied();
            let waits = ClosedWindow {
                closed: window,
                setup,
                state,
                ledger,
                records,
                pairs,
                judging: false,
            };
            closed.push((due_us, Closing::Window(waits)));
        }
        for (pane, setup, mut state) in taken.panes {
            let due_us = self.lanes.operations.due_us(&pane);
            state.add_records(&self.take_pane_records(&pane));
            let state = Arc::new(state);
            let waits = ClosedPane { start_us: pane.start_us, setup, state, saved: false };
            closed.push((due_us, Closing::Pane(waits)));
        }
        closed.sort_by_key(|(due_us, _)| *due_us);
        self.closing.extend(closed.into_iter().map(|(_, closing)| closing));
        self.facts.ahead_rows.forget_before(self.lanes.drift.closed_through_us());
        self.forget_uncut();
        taken.increments
    }

    /// How much it has open.
    pub(crate) fn load(&self) -> OpenLoad {
        let lanes = &self.lanes;
        let every_us = lanes.drift.settings().grid.every_us();
        // Panes of two drift windows are kept at hand while catching up, since partitions are held together
        // at that distance; those of a model with few rows weigh next to nothing (RULES §1, rule 6).
        let panes_at_hand = 3 * every_us / lanes.operations.settings().grid.every_us().max(1);
        let panes = lanes.operations.open_weight() - panes_at_hand as f64;
        OpenLoad { every_us, windows: lanes.drift.open_weight().max(panes) }
    }

    /// A partition has been read to an end that was looked up at `sampled`, where that is known.
    pub(crate) fn reach_end(
        &mut self,
        partition: Partition,
        sampled: Option<ClockReading>,
        now: ClockReading,
    ) {
        self.at_end.insert(partition);
        let drift = self.lanes.drift.reach_end(partition, sampled, now);
        let operations = self.lanes.operations.reach_end(partition, sampled, now);
        if drift || operations {
            self.touch();
        }
    }

    /// Rows may follow in this partition that nobody may read yet: it has not ended.
    pub(crate) fn disturb(&mut self, partition: Partition, now: ClockReading) {
        self.at_end.remove(&partition);
        self.lanes.drift.disturb(partition, now);
        self.lanes.operations.disturb(partition, now);
    }

    /// Whether every partition was read to its end and no row of the model came since.
    pub(crate) fn is_caught_up(&self) -> bool {
        let mut partitions = self.lanes.drift.partitions().peekable();
        partitions.peek().is_some() && partitions.all(|partition| self.at_end.contains(&partition))
    }

    /// A partition takes part whose first record to be read is at `from`.
    pub(crate) fn add_partition(&mut self, partition: Partition, from: i64) {
        self.lanes.drift.add_partition(partition, from);
        self.lanes.operations.add_partition(partition, from);
        self.touch();
    }

    /// Reading of a partition begins, or begins anew in another log, at `from`, where its ledger is
    /// `counts`.
    pub(crate) fn begin(&mut self, partition: Partition, from: i64, counts: Counts) {
        self.lanes.drift.begin(partition, from);
        self.lanes.operations.begin(partition, from);
        self.facts.strips.retain(|strip| strip.partition != partition);
        self.note_strip(partition, from, counts);
        self.facts.pane_strips.remove(&partition);
        self.note_pane_strip(partition, from, counts.rows.with(counts.ledger));
        self.touch();
    }

    /// A partition is gone: it counts as passed at its last position, where its ledger is `counts`. Told
    /// again after each start.
    pub(crate) fn end(&mut self, partition: Partition, position: i64, counts: Counts) {
        if self.at_end.insert(partition) {
            self.touch();
        }
        if self.lanes.drift.passed_through_us(partition) == i64::MAX {
            return;
        }
        self.lanes.drift.end(partition, position);
        self.lanes.operations.end(partition, position);
        self.note_strip(partition, position, counts);
        self.note_pane_strip(partition, position, counts.rows.with(counts.ledger));
        self.touch();
    }

    /// A known partition is there; where it was gone, it is waited for again.
    pub(crate) fn resume(&mut self, partition: Partition) {
        if self.lanes.drift.passed_through_us(partition) < i64::MAX {
            return;
        }
        self.lanes.drift.resume(partition);
        self.lanes.operations.resume(partition);
        self.at_end.remove(&partition);
        self.touch();
    }

    /// The first record after a start or a gap is at hand. After a gap the strip of an open window goes
    /// on: what was read before it counts.
    pub(crate) fn meet(
        &mut self,
        beginning: Beginning,
        partition: Partition,
        from: i64,
        counts: Counts,
    ) {
        if beginning.is_beginning {
            self.begin(partition, from, counts);
        }
        if let Some(why) = beginning.why {
            self.mark_until_a_row(partition, why);
        }
    }

    /// Rows may be missing before the next one of this partition.
    pub(crate) fn mark_until_a_row(&mut self, partition: Partition, why: Incomplete) {
        self.lanes.drift.mark_until_a_row(partition, why);
        self.lanes.operations.mark_until_a_row(partition, why);
        self.touch();
    }

    /// What became of the records between the previous window's cuts and this window's.
    pub(crate) fn ledger(&self, closed: &Closed) -> Ledger {
        let mut ledger = Ledger::default();
        for (&partition, cut) in &closed.cuts {
            let (from, to) = (self.strip_at(partition, cut.from), self.strip_at(partition, cut.to));
            ledger += to.ledger - from.ledger;
        }
        ledger
    }

    /// The model's rows between the previous window's cuts and this window's, and the strays among them.
    pub(crate) fn records(&self, closed: &Closed) -> PaneRecords {
        let mut records = PaneRecords::default();
        for (&partition, cut) in &closed.cuts {
            let (from, to) = (self.strip_at(partition, cut.from), self.strip_at(partition, cut.to));
            records.rows += to.rows.rows.saturating_sub(from.rows.rows);
            records.add_clock(partition, to.rows.clock.since(&from.rows.clock));
        }
        records
    }

    /// What is known at a cut of a window.
    fn strip_at(&self, partition: Partition, offset: i64) -> Counts {
        let mut strips = self.facts.strips.iter().rev();
        let found = strips.find(|strip| strip.partition == partition && strip.offset == offset);
        // A partition that nothing was read of, or that went on in another log, has none there.
        found.map(|strip| Counts { ledger: strip.counts, rows: strip.rows }).unwrap_or_default()
    }

    /// What the strips still say of each window that waits for its decision; `None` of a pane.
    pub(crate) fn ledgers_of_strips(&self) -> Vec<Option<Ledger>> {
        let ledger_of = |closing: &Closing| match closing {
            Closing::Window(window) => Some(self.ledger(&window.closed)),
            Closing::Pane(_) => None,
        };
        self.closing.iter().map(ledger_of).collect()
    }

    /// An idle cut lies where the reader stands, so the ledger there is the ledger now: also where the
    /// window is carried and closes later.
    fn note_idle_cuts(&mut self, topic: &TopicFacts, rows: &RowsByPartition) {
        for (partition, offset) in self.lanes.drift.take_idle_cuts() {
            self.touch();
            // A partition from which no row of the model came has none.
            let rows = rows.get(&partition).copied().unwrap_or_default();
            let ledger = topic.ledger_of(partition);
            self.note_strip(partition, offset, Counts { ledger, rows });
        }
        for (partition, offset) in self.lanes.operations.take_idle_cuts() {
            // A partition from which no row of the model came has none.
            let rows = rows.get(&partition).copied().unwrap_or_default();
            self.note_pane_strip(partition, offset, rows.with(topic.ledger_of(partition)));
        }
    }

    /// Notes what became of all records of a partition before `offset`, where a window is cut or begins.
    fn note_strip(&mut self, partition: Partition, offset: i64, counts: Counts) {
        let Counts { ledger, rows } = counts;
        self.facts.strips.push(Strip { partition, offset, counts: ledger, rows });
    }

    /// The same where a pane is.
    fn note_pane_strip(&mut self, partition: Partition, offset: i64, counts: PaneCounts) {
        let of_partition = self.facts.pane_strips.entry(partition).or_default();
        of_partition.insert(offset, counts);
        if of_partition.len() > PANE_STRIPS {
            of_partition.pop_first();
        }
    }

    /// Forgets what is known of offsets at which nothing is cut, where that may be news.
    fn forget_uncut(&mut self) {
        if self.lanes.drift.take_forgot() {
            self.forget_strips();
        }
        if self.lanes.operations.take_forgot() {
            for (&partition, strips) in &mut self.facts.pane_strips {
                let (last, next) = self.lanes.operations.next_cut(partition);
                let between = (Bound::Excluded(last), Bound::Excluded(next));
                if last < next && strips.range(between).next().is_some() {
                    strips.retain(|&offset, _| offset <= last || offset >= next);
                }
            }
        }
    }

    /// Keeps the strips at which a window that is open or waits for its report is cut, or may be.
    pub(crate) fn forget_strips(&mut self) {
        let (drift, closing) = (&self.lanes.drift, &self.closing);
        self.facts.strips.retain(|&Strip { partition, offset, .. }| {
            drift.may_cut_at(partition, offset)
                || closing.iter().any(|closing| {
                    let Closing::Window(window) = closing else { return false };
                    // A partition that was added since has none.
                    let cut = window.closed.cuts.get(&partition);
                    cut.is_some_and(|cut| cut.from == offset || cut.to == offset)
                })
        });
    }

    /// Records between the previous pane's cuts and those of this one. What lies before this pane's cuts
    /// is forgotten.
    fn take_pane_records(&mut self, closed: &Closed) -> PaneRecords {
        let mut records = PaneRecords::default();
        for (&partition, cut) in &closed.cuts {
            // A partition that no record was read of has none.
            let Some(strips) = self.facts.pane_strips.get_mut(&partition) else { continue };
            // Nothing was read before the first, and the oldest are dropped where there are too many.
            let at = |offset: i64| strips.get(&offset).copied().unwrap_or_default();
            let (from, to) = (at(cut.from), at(cut.to));
            records.read += to.read.saturating_sub(from.read);
            records.rejected += to.rejected.saturating_sub(from.rejected);
            records.rows += to.rows.saturating_sub(from.rows);
            records.add_clock(partition, to.clock.since(&from.clock));
            *strips = strips.split_off(&cut.to);
        }
        records
    }
}

/// What is known of a partition where it begins or ends for a model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) ledger: Ledger,
    pub(crate) rows: RowCounts,
}

impl RowCounts {
    /// What a pane that is cut here is judged by.
    pub(crate) fn with(self, ledger: Ledger) -> PaneCounts {
        let RowCounts { rows, clock } = self;
        PaneCounts { read: ledger.read, rejected: ledger.rejected, rows, clock }
    }
}

/// What is known at each cut that a pane may still need.
pub type PaneStrips = BTreeMap<Partition, BTreeMap<i64, PaneCounts>>;
