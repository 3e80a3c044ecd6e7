//! One model as it is counted: its two lanes, and the windows and panes that take rows.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use driftline_analytics::lane::{
    Assignment, Closed, Crossing, Heartbeat, Incomplete, Lane, Rows, Step,
};
use driftline_analytics::report::Ledger;
use driftline_capture::CaptureBatch;
use driftline_config::{Partition, TopicId};
use serde::{Deserialize, Serialize};

use super::closed::{ClosedPane, ClosedWindow, Closing};
use super::open::{OpenPane, OpenWindow};
use super::quiet::Quiet;
use super::topic::{Beginning, TopicFacts};
use crate::setup::Setup;
use crate::snapshot::{Increment, LaneKind, WindowKey};

/// Cuts of panes whose ledger is remembered per partition: what a week of catching up needs. More pile up
/// only where heartbeats go on and no row opens a pane.
const PANE_STRIPS: usize = 10_080;

/// One model's lanes with what they count.
#[derive(Debug)]
pub(crate) struct ModelCounter {
    pub(crate) setup: Arc<Setup>,
    pub(crate) topic: TopicId,
    pub(crate) drift: Lane,
    pub(crate) operations: Lane,
    pub(crate) windows: BTreeMap<i64, OpenWindow>,
    pub(crate) panes: BTreeMap<i64, OpenPane>,
    /// Windows that closed and are not decided on: their strips are kept, for a restart.
    pub(crate) undecided: VecDeque<Closed>,
    quiet: Quiet,
    pub(crate) facts: CountingFacts,
    pub(crate) dirty: bool,
    revision: u64,
    /// What the lanes named and the model does not have, since it was last asked for.
    missed: u64,
}

/// What the checkpoint keeps of a model's counting beside its open windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CountingFacts {
    /// Rows that windows took, since the first record.
    pub counted: u64,
    pub late: u64,
    /// Largest event time of an accepted row.
    pub last_event_us: Option<i64>,
    /// The topic's ledger at each cut that a window may still need.
    pub strips: Vec<Strip>,
    /// The topic's records at each cut that a pane may still need: read and rejected, by partition and
    /// offset.
    #[serde(default)]
    pub pane_strips: BTreeMap<Partition, BTreeMap<i64, (u64, u64)>>,
}

/// The ledger of a partition at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    pub partition: Partition,
    /// The first offset that is not in `counts`.
    pub offset: i64,
    pub counts: Ledger,
}

/// A row beyond its window's cut.
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
    /// Whether producers, and not the broker, stamp the records.
    pub(crate) producer_timestamps: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Absorbed {
    /// Offsets of the accepted rows, late ones included.
    pub(crate) accepted: Vec<i64>,
    pub(crate) late: Vec<LateRow>,
    /// Boundaries of drift windows that were crossed.
    pub(crate) crossed: Vec<Crossing>,
    pub(crate) panes_crossed: Vec<Crossing>,
    /// Drift windows and their rows, for candidates.
    pub(crate) windows: Vec<(i64, Vec<u32>)>,
}

/// What a look at the lanes brought.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Windows that became part of another one, by start: from, into.
    pub(crate) carried: Vec<(i64, i64)>,
    /// What windows that close counted since the last snapshot.
    pub(crate) increments: Vec<Increment>,
    /// What closed, in the order in which it was due.
    pub(crate) closed: Vec<Closing>,
}

impl ModelCounter {
    pub(crate) fn new(setup: Arc<Setup>, topic: TopicId) -> ModelCounter {
        ModelCounter {
            drift: Lane::new(setup.drift_lane()),
            operations: Lane::new(setup.operations_lane()),
            setup,
            topic,
            windows: BTreeMap::new(),
            panes: BTreeMap::new(),
            undecided: VecDeque::new(),
            quiet: Quiet::default(),
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

    /// The lanes named what the model does not have.
    fn miss(&mut self, what: &str, at: i64) {
        self.missed += 1;
        tracing::error!(
            model = self.name(),
            what,
            at,
            "the lanes name what is not there, a defect: it is passed over"
        );
    }

    /// How often that was so, since the last call.
    pub(crate) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    /// Whether every partition was read to its end and no row of the model came since.
    pub(crate) fn is_caught_up(&self) -> bool {
        let mut partitions = self.drift.partitions().peekable();
        partitions.peek().is_some() && partitions.all(|partition| self.quiet.is_quiet(partition))
    }

    /// Partitions from which a row of the model came.
    pub(crate) fn served_partitions(&self) -> Vec<Partition> {
        let partitions = self.drift.partitions();
        partitions.filter(|partition| self.drift.watermark_us(*partition).is_some()).collect()
    }

    pub(crate) fn add_partition(&mut self, partition: Partition, from: i64) {
        self.drift.add_partition(partition, from);
        self.operations.add_partition(partition, from);
    }

    /// Reading of a partition begins, or begins anew in another log, at `from`, where its ledger is
    /// `counts`.
    pub(crate) fn begin(&mut self, partition: Partition, from: i64, counts: Ledger) {
        self.drift.begin(partition, from);
        self.operations.begin(partition, from);
        self.facts.strips.retain(|strip| strip.partition != partition);
        self.note_strip(partition, from, counts);
        self.facts.pane_strips.remove(&partition);
        self.note_pane_strip(partition, from, counts);
        self.touch();
    }

    /// The first record after a start or a gap is at hand. After a gap the strip of an open window goes
    /// on: what was read before it counts.
    pub(crate) fn meet(
        &mut self,
        beginning: Beginning,
        partition: Partition,
        from: i64,
        counts: Ledger,
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
        self.drift.mark_until_a_row(partition, why);
        self.operations.mark_until_a_row(partition, why);
        self.touch();
    }

    /// Rows may follow in this partition that nobody may read yet: it is not idle.
    pub(crate) fn disturb(&mut self, partition: Partition) {
        self.quiet.disturb(partition);
    }

    pub(crate) fn reach_end(&mut self, partition: Partition, wall_us: i64) {
        self.quiet.reached_end(partition, wall_us);
        let drift = self.drift.reach_end(partition, wall_us);
        let operations = self.operations.reach_end(partition, wall_us);
        if drift || operations {
            self.touch();
        }
    }

    /// Sends its share of a chunk into windows and panes.
    pub(crate) fn absorb(&mut self, share: Share<'_>) -> Absorbed {
        let Share { partition, rows, heartbeats, producer_timestamps } = share;
        let columns = rows.map_or_else(Rows::default, Rows::from);
        let drift = self.drift.assign(partition, columns, heartbeats, producer_timestamps);
        let panes = self.operations.assign(partition, columns, heartbeats, producer_timestamps);
        if let Some(rows) = rows {
            self.count(rows, &drift, &panes);
        }
        self.quiet.disturb(partition);
        self.facts.counted += (columns.offsets.len() - drift.late.len()) as u64;
        self.facts.late += drift.late.len() as u64;
        self.facts.last_event_us =
            self.facts.last_event_us.max(columns.times_us.iter().copied().max());
        self.touch();
        let mut late = Vec::with_capacity(drift.late.len());
        for offset in drift.late {
            let at = columns.offsets.binary_search(&offset).ok();
            match at.and_then(|at| columns.times_us.get(at)) {
                Some(&time_us) => late.push(LateRow { partition, offset, time_us }),
                None => self.miss("late row", offset),
            }
        }
        Absorbed {
            accepted: columns.offsets.to_vec(),
            late,
            crossed: drift.crossed,
            panes_crossed: panes.crossed,
            windows: drift.windows,
        }
    }

    fn count(&mut self, rows: &CaptureBatch, drift: &Assignment, panes: &Assignment) {
        let setup = &self.setup;
        for (start_us, indices) in &drift.windows {
            let window =
                self.windows.entry(*start_us).or_insert_with(|| OpenWindow::new(Arc::clone(setup)));
            window.absorb(rows, indices);
        }
        for (start_us, indices) in &panes.windows {
            let pane =
                self.panes.entry(*start_us).or_insert_with(|| OpenPane::new(Arc::clone(setup)));
            pane.absorb(rows, indices);
        }
    }

    /// Closes what is due in both lanes.
    pub(crate) fn close_due(&mut self, topic: &TopicFacts, now_us: i64) -> Due {
        let (quiet, idle_us) = (&self.quiet, self.setup.model.window.idle_us);
        let idle = |partition: Partition| quiet.is_idle(partition, now_us, idle_us);
        let position = |partition: Partition| topic.position(partition);
        let drift = self.drift.advance(now_us, &idle, &position);
        let panes = self.operations.advance(now_us, &idle, &position);
        self.note_idle_cuts(topic);
        let mut due = Due::default();
        if !drift.is_empty() || !panes.is_empty() {
            self.touch();
        }
        // Decisions follow the order in which windows and panes are due, whatever the batches were.
        let mut closed: Vec<(i64, Closing)> = Vec::new();
        for step in drift {
            match step {
                Step::Carry { from_us, into_us } => {
                    self.carry(from_us, into_us);
                    due.carried.push((from_us, into_us));
                }
                Step::Close(window) => {
                    due.increments.extend(self.last_increment(window.start_us));
                    let due_us = self.drift.due_us(&window);
                    closed.extend(self.take_window(window).map(|window| (due_us, window)));
                }
            }
        }
        for step in panes {
            if let Step::Close(pane) = step {
                let due_us = pane.end_us + self.operations.settings().lateness_us;
                closed.extend(self.take_pane(&pane).map(|pane| (due_us, pane)));
            }
        }
        closed.sort_by_key(|(due_us, _)| *due_us);
        due.closed = closed.into_iter().map(|(_, closing)| closing).collect();
        self.forget_uncut();
        due
    }

    /// A window that is too small goes on in the next. What the store knows of it moves with
    /// `Snapshot::carried`.
    fn carry(&mut self, from_us: i64, into_us: i64) {
        let Some(from) = self.windows.remove(&from_us) else {
            return self.miss("carried window", from_us);
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

    fn take_window(&mut self, closed: Closed) -> Option<Closing> {
        let Some(open) = self.windows.remove(&closed.start_us) else {
            self.miss("closed window", closed.start_us);
            return None;
        };
        let (ledger, setup) = (self.ledger(&closed), Arc::clone(&open.setup));
        let state = Arc::new(open.into_state());
        self.undecided.push_back(closed.clone());
        Some(Closing::Window(ClosedWindow { closed, setup, state, ledger, judging: false }))
    }

    fn take_pane(&mut self, closed: &Closed) -> Option<Closing> {
        let Some(open) = self.panes.remove(&closed.start_us) else {
            self.miss("closed pane", closed.start_us);
            return None;
        };
        let OpenPane { setup, mut counted, .. } = open;
        let (read, rejected) = self.take_pane_records(closed);
        counted.add_records(read, rejected);
        let state = Arc::new(counted);
        Some(Closing::Pane(ClosedPane { start_us: closed.start_us, setup, state, saved: false }))
    }

    fn last_increment(&mut self, start_us: i64) -> Option<Increment> {
        let key = self.key(LaneKind::Drift, start_us);
        // One that is not there is missed where it is taken.
        self.windows.get_mut(&start_us).and_then(|window| window.increment(key))
    }

    pub(crate) fn key(&self, lane: LaneKind, start_us: i64) -> WindowKey {
        WindowKey::new(self.name(), lane, start_us)
    }

    /// What became of the records between the previous window's cuts and this window's.
    pub(crate) fn ledger(&self, closed: &Closed) -> Ledger {
        let at = |partition: Partition, offset: i64| {
            let strips = self.facts.strips.iter().rev();
            // A partition that nothing was read of, or that went on in another log, has none there.
            let mut of = strips.filter(|strip| strip.partition == partition);
            of.find(|strip| strip.offset == offset).map(|strip| strip.counts).unwrap_or_default()
        };
        let mut ledger = Ledger::default();
        for (&partition, cut) in &closed.cuts {
            ledger += at(partition, cut.to) - at(partition, cut.from);
        }
        ledger
    }

    /// An idle cut lies where the reader stands, so the ledger there is the ledger now: also where the
    /// window is carried and closes later.
    fn note_idle_cuts(&mut self, topic: &TopicFacts) {
        for (partition, offset) in self.drift.take_idle_cuts() {
            self.touch();
            self.note_strip(partition, offset, topic.ledger_of(partition));
        }
        for (partition, offset) in self.operations.take_idle_cuts() {
            self.note_pane_strip(partition, offset, topic.ledger_of(partition));
        }
    }

    /// Notes what became of all records of a partition before `offset`, where a window is cut or begins.
    pub(crate) fn note_strip(&mut self, partition: Partition, offset: i64, counts: Ledger) {
        self.facts.strips.push(Strip { partition, offset, counts });
    }

    /// The same where a pane is.
    pub(crate) fn note_pane_strip(&mut self, partition: Partition, offset: i64, counts: Ledger) {
        let of_partition = self.facts.pane_strips.entry(partition).or_default();
        of_partition.insert(offset, (counts.read, counts.rejected));
        if of_partition.len() > PANE_STRIPS {
            of_partition.pop_first();
        }
    }

    /// Forgets what is known of offsets at which nothing is cut, where that may be news.
    pub(crate) fn forget_uncut(&mut self) {
        if self.drift.take_forgot() {
            self.forget_strips();
        }
        if self.operations.take_forgot() {
            for (&partition, strips) in &mut self.facts.pane_strips {
                let (last, next) = self.operations.next_cut(partition);
                let between = (Bound::Excluded(last), Bound::Excluded(next));
                if last < next && strips.range(between).next().is_some() {
                    strips.retain(|&offset, _| offset <= last || offset >= next);
                }
            }
        }
    }

    /// The window that closed first is decided on.
    pub(crate) fn decided(&mut self) {
        self.undecided.pop_front();
        self.forget_strips();
    }

    /// Keeps the strips at which a window that is open or waits for its report is cut, or may be.
    fn forget_strips(&mut self) {
        let (drift, undecided) = (&self.drift, &self.undecided);
        self.facts.strips.retain(|&Strip { partition, offset, .. }| {
            drift.may_cut_at(partition, offset)
                || undecided.iter().any(|closed| {
                    // A partition that was added since has none.
                    let cut = closed.cuts.get(&partition);
                    cut.is_some_and(|cut| cut.from == offset || cut.to == offset)
                })
        });
    }

    /// Records between the previous pane's cuts and those of this one, read and rejected. What lies
    /// before this pane's cuts is forgotten.
    fn take_pane_records(&mut self, closed: &Closed) -> (u64, u64) {
        let mut records = (0, 0);
        for (partition, cut) in &closed.cuts {
            // A partition that no record was read of has none.
            let Some(strips) = self.facts.pane_strips.get_mut(partition) else { continue };
            // Nothing was read before the first, and the oldest are dropped where there are too many.
            let at = |offset: i64| strips.get(&offset).copied().unwrap_or_default();
            let ((from_read, from_rejected), (read, rejected)) = (at(cut.from), at(cut.to));
            records.0 += read.saturating_sub(from_read);
            records.1 += rejected.saturating_sub(from_rejected);
            *strips = strips.split_off(&cut.to);
        }
        records
    }
}
