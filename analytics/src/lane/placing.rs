//! Placing: to which window and pane each row belongs, and which boundaries the log has passed.

use std::collections::BTreeMap;

use driftline_config::time::{MINUTE_US, SECOND_US};
use driftline_config::{Partition, WindowGrid};
use serde::{Deserialize, Serialize};

use super::stretches::{StretchRule, Stretches, Voice};
use super::{Crossing, Heartbeat, LaneSettings, PerLane, Rows};

/// Between neighbours a way of so much is no jump, however short the lateness is.
const JUMP_FLOOR_US: i64 = SECOND_US;
/// Neighbours of one half minute may be one stretch, or of a whole one.
const RUN_US: i64 = 30 * SECOND_US;

/// Clocks that differ by less are well kept: a row so much beyond ours was stamped by one that is not.
const FAST_US: i64 = MINUTE_US;
/// Producers whose clocks differ, and whose rows come in turns, as far as it is worth noticing.
const TURNS: usize = 8;

/// The clock of one model: what its rows and heartbeats say of time, for both lanes. It belongs to
/// counting, and learns from deciding what has closed.
#[derive(Debug, Clone)]
pub struct PlacingClock {
    lanes: PerLane<Placing>,
    rule: StretchRule,
    /// How far a row may lie beyond our clock.
    max_ahead_us: i64,
    partitions: BTreeMap<Partition, PartitionClock>,
}

/// What a row must know of one lane.
#[derive(Debug, Clone)]
struct Placing {
    grid: WindowGrid,
    lateness_us: i64,
    /// No window that ends here or before takes a row any more.
    closed_through_us: i64,
}

/// What the rows of one partition say of time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartitionClock {
    stretches: Stretches,
    /// The latest instant that the log has passed, whatever our clock said then.
    passed_us: Option<i64>,
    /// The largest time that did not lie beyond our clock.
    newest_us: Option<i64>,
    /// The end of the last window of each lane that is passed.
    #[serde(skip, default = "never")]
    through_us: PerLane<i64>,
    /// The next boundary of either lane, lateness included, that can be passed.
    #[serde(skip)]
    next_us: Option<i64>,
}

fn never() -> PerLane<i64> {
    PerLane { drift: i64::MIN, operations: i64::MIN }
}

/// The time of a row, and the timestamp of its record, by which the wall clock carries it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Newest {
    pub time_us: i64,
    pub record_time_us: i64,
}

/// What a stretch of the log brought: counting has its rows, deciding learns the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    pub lanes: PerLane<LanePassage>,
    /// Rows whose time is not what it should be, in their order.
    pub strays: Vec<Stray>,
    /// Time of the first row or heartbeat that is not ahead.
    pub first_us: Option<i64>,
    /// The latest time of a row that is not ahead.
    pub latest_us: Option<i64>,
    /// Of the rows and heartbeats that do not lie beyond our clock.
    pub newest: Option<Newest>,
}

/// A row whose time lies far from where the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// Its index in the rows.
    pub index: u32,
    pub kind: StrayKind,
    /// How far it lies from the newest row of its partition that did not lie beyond our clock.
    pub off_us: i64,
    /// Whether its time and the timestamp of its record are apart: then they are of two clocks.
    pub apart: bool,
}

/// Why a row is a stray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayKind {
    /// Beyond the cut of its drift window: no window took it.
    Late,
    /// Too far beyond our clock: no window took it, and it says nothing of time.
    Ahead,
    /// Beyond our clock, but not too far: its window took it.
    Fast,
}

/// The same of one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LanePassage {
    /// Window start and the indices of its rows, in order of first appearance.
    pub windows: Vec<(i64, Vec<u32>)>,
    /// Boundaries that were passed, with the cut.
    pub crossed: Vec<Crossing>,
    /// Windows that may need a record of the stretch which is no row of theirs, by start, and the first such
    /// offset: who reads their rows again reads from there.
    pub needed: Vec<(i64, i64)>,
    /// Starts of the stretches of event time, shifted by the lateness, from which rows came.
    pub touched_us: Vec<i64>,
}

impl PlacingClock {
    /// A clock that has seen nothing.
    pub fn new(lanes: &PerLane<LaneSettings>, max_ahead_us: i64) -> PlacingClock {
        let placing = |settings: &LaneSettings| Placing {
            grid: settings.grid.clone(),
            lateness_us: settings.lateness_us,
            closed_through_us: i64::MIN,
        };
        let lateness_us = lanes.drift.lateness_us.min(lanes.operations.lateness_us);
        let every_us = lanes.drift.grid.every_us().min(lanes.operations.grid.every_us());
        let rule =
            StretchRule { jump_us: lateness_us.max(JUMP_FLOOR_US), run_us: every_us.min(RUN_US) };
        let lanes = lanes.as_ref().map(placing);
        PlacingClock { lanes, rule, max_ahead_us, partitions: BTreeMap::new() }
    }

    /// What the checkpoint keeps of it: once for both lanes.
    pub fn partitions(&self) -> &BTreeMap<Partition, PartitionClock> {
        &self.partitions
    }

    /// Goes on from a checkpoint: its partitions, and through which window ends each lane has passed them
    /// and closed.
    pub fn restore(&mut self, partitions: BTreeMap<Partition, PartitionClock>) {
        self.partitions = partitions;
        for clock in self.partitions.values_mut() {
            clock.look_ahead(&self.lanes);
        }
    }

    /// The partition has passed this window end of a lane, as a checkpoint or deciding says.
    pub fn pass(&mut self, partition: Partition, through_us: PerLane<i64>) {
        // One that was gone has passed everything, and nothing once it is there again.
        let through_us = through_us.map(|us| if us == i64::MAX { i64::MIN } else { us });
        if through_us == never() {
            return;
        }
        let clock = self.partitions.entry(partition).or_insert_with(PartitionClock::new);
        clock.through_us = through_us;
        clock.look_ahead(&self.lanes);
    }

    /// No window of a lane that ends here or before takes a row any more.
    pub fn close_through(&mut self, through_us: PerLane<i64>) {
        self.lanes.drift.closed_through_us = through_us.drift;
        self.lanes.operations.closed_through_us = through_us.operations;
    }

    /// Through which window end of each lane a partition has been passed, or the lane has closed.
    pub fn passed_through_us(&self, partition: Partition) -> PerLane<i64> {
        // One that nothing was read of has passed nothing.
        let through_us = self.partitions.get(&partition).map_or(never(), |clock| clock.through_us);
        let lanes = &self.lanes;
        PerLane {
            drift: through_us.drift.max(lanes.drift.closed_through_us),
            operations: through_us.operations.max(lanes.operations.closed_through_us),
        }
    }

    /// The largest time of a partition that did not lie beyond our clock; `None` before its first row.
    pub fn newest_us(&self, partition: Partition) -> Option<i64> {
        self.partitions.get(&partition).and_then(|clock| clock.newest_us)
    }

    /// Sends each row to its window and pane, and takes rows and heartbeats in offset order for what they
    /// say of time. `now_us` is our wall clock: nothing is passed before it.
    pub fn read(
        &mut self,
        partition: Partition,
        rows: Rows<'_>,
        heartbeats: &[Heartbeat],
        now_us: i64,
    ) -> Passage {
        let clock = self.partitions.entry(partition).or_insert_with(PartitionClock::new);
        let mut reading = Reading {
            clock,
            lanes: &self.lanes,
            rule: self.rule,
            now_us,
            ahead_from_us: now_us.saturating_add(self.max_ahead_us),
            passage: Passage::default(),
            places: PerLane { drift: Place::default(), operations: Place::default() },
        };
        let mut beats = heartbeats.iter().peekable();
        let columns = rows.offsets.iter().zip(rows.times_us).zip(rows.record_times_us);
        for (index, ((&offset, &time_us), &record_time_us)) in (0u32..).zip(columns) {
            while let Some(beat) = beats.next_if(|beat| beat.offset < offset) {
                reading.beat(*beat);
            }
            let row = Heartbeat { offset, time_us, record_time_us };
            let is_placed = reading.row(index, row);
            // Rows of one record have one fate and one voice: what it says is heard behind its last row.
            let next = rows.offsets.get(index as usize + 1);
            if is_placed && next != Some(&offset) {
                reading.hear(row, Voice::Row);
            }
        }
        for beat in beats {
            reading.beat(*beat);
        }
        reading.passage
    }
}

/// One call of [`PlacingClock::read`].
struct Reading<'a> {
    clock: &'a mut PartitionClock,
    lanes: &'a PerLane<Placing>,
    rule: StretchRule,
    now_us: i64,
    ahead_from_us: i64,
    passage: Passage,
    places: PerLane<Place>,
}

/// Where the last row of a lane went: most neighbours share a window.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start_us: i64,
    end_us: i64,
    /// Index into the windows of the passage; `None` where its rows are late.
    window: Option<usize>,
    touched_from_us: i64,
    touched_to_us: i64,
}

/// A row on its way into a window.
#[derive(Debug, Clone, Copy)]
struct PlacedRow {
    index: u32,
    time_us: i64,
    /// What it says that time is.
    said_us: i64,
    /// The end of the last window of the lane that its partition has passed.
    through_us: i64,
}

impl Reading<'_> {
    /// Puts a row where it belongs; false where it is too far ahead to say anything of time.
    fn row(&mut self, index: u32, row: Heartbeat) -> bool {
        if row.time_us > self.ahead_from_us {
            self.stray(index, StrayKind::Ahead, row);
            return false;
        }
        let said_us = row.time_us.min(row.record_time_us);
        let (through_us, lanes) = (self.clock.through_us, self.lanes);
        let row_of = |through_us| PlacedRow { index, time_us: row.time_us, said_us, through_us };
        let passage = &mut self.passage.lanes;
        let (drift, panes) = (row_of(through_us.drift), row_of(through_us.operations));
        let is_late = !self.places.drift.put(&lanes.drift, drift, &mut passage.drift);
        self.places.operations.put(&lanes.operations, panes, &mut passage.operations);
        if is_late {
            self.stray(index, StrayKind::Late, row);
        } else if row.time_us > self.now_us.saturating_add(FAST_US) {
            self.stray(index, StrayKind::Fast, row);
        }
        self.passage.latest_us = self.passage.latest_us.max(Some(row.time_us));
        true
    }

    fn stray(&mut self, index: u32, kind: StrayKind, row: Heartbeat) {
        let newest_us = self.clock.newest_us.unwrap_or(self.now_us);
        let off_us = row.time_us.saturating_sub(newest_us);
        let apart = row.time_us.abs_diff(row.record_time_us) > FAST_US.unsigned_abs();
        self.passage.strays.push(Stray { index, kind, off_us, apart });
    }

    fn beat(&mut self, beat: Heartbeat) {
        if beat.time_us <= self.ahead_from_us {
            self.hear(beat, Voice::Heartbeat);
        }
    }

    /// What a row or heartbeat says of time; where it passes boundaries, they are cut behind it.
    fn hear(&mut self, at: Heartbeat, voice: Voice) {
        let time_us = at.time_us.min(at.record_time_us);
        self.passage.first_us.get_or_insert(at.time_us);
        if time_us <= self.now_us {
            let newest = Newest { time_us, record_time_us: at.record_time_us };
            self.passage.newest = self.passage.newest.max(Some(newest));
            self.clock.newest_us = self.clock.newest_us.max(Some(time_us));
        }
        if self.clock.stretches.add(time_us, voice, self.rule) {
            self.clock.passed_us = self.clock.passed_us.max(self.clock.stretches.passed_us());
            self.clock.watch(self.lanes);
        }
        let Some(passed_us) = self.clock.passed_us else { return };
        let reached_us = passed_us.min(self.now_us);
        if self.clock.next_us.is_none_or(|next_us| reached_us >= next_us) {
            self.cross(reached_us, at.offset.saturating_add(1));
        }
    }

    fn cross(&mut self, reached_us: i64, offset: i64) {
        let through_us = self.lanes.as_ref().map(|lane| lane.through_us(reached_us));
        let known = &mut self.clock.through_us;
        let crossed = &mut self.passage.lanes;
        for (through_us, known, passage) in [
            (through_us.drift, &mut known.drift, &mut crossed.drift),
            (through_us.operations, &mut known.operations, &mut crossed.operations),
        ] {
            if through_us > *known {
                *known = through_us;
                passage.crossed.push(Crossing { through_us, offset });
            }
        }
        self.clock.look_ahead(self.lanes);
        // What was found of the last row's window may not hold for the next.
        self.places = PerLane { drift: Place::default(), operations: Place::default() };
    }
}

impl Placing {
    /// The end of the last window that is over, lateness included, at `reached_us`.
    fn through_us(&self, reached_us: i64) -> i64 {
        self.grid.start_us(reached_us.saturating_sub(self.lateness_us))
    }

    /// The instant at which the window after `through_us` is over.
    fn next_us(&self, through_us: i64) -> i64 {
        self.grid.end_us(through_us).saturating_add(self.lateness_us)
    }
}

impl Place {
    /// Puts a row into its window; false where that takes no row any more.
    fn put(&mut self, lane: &Placing, row: PlacedRow, passage: &mut LanePassage) -> bool {
        let PlacedRow { index, time_us, said_us, through_us } = row;
        if !(self.start_us..self.end_us).contains(&time_us) {
            self.start_us = lane.grid.start_us(time_us);
            self.end_us = lane.grid.end_us(self.start_us);
            let is_late = self.end_us <= lane.closed_through_us.max(through_us);
            self.window = (!is_late).then(|| passage.window(self.start_us));
        }
        let window = self.window.and_then(|window| passage.windows.get_mut(window));
        let is_placed = window.is_some();
        if let Some((_, indices)) = window {
            indices.push(index);
        }
        let shifted_us = said_us.saturating_sub(lane.lateness_us);
        if !(self.touched_from_us..self.touched_to_us).contains(&shifted_us) {
            self.touched_from_us = lane.grid.start_us(shifted_us);
            self.touched_to_us = lane.grid.end_us(self.touched_from_us);
            // Producers in turns touch a few; that some come twice does no harm.
            let mut last = passage.touched_us.iter().rev().take(TURNS);
            if !last.any(|start_us| *start_us == self.touched_from_us) {
                passage.touched_us.push(self.touched_from_us);
            }
        }
        is_placed
    }
}

impl LanePassage {
    /// Sends a row into the window that starts here, if any does.
    pub fn place(&mut self, start_us: Option<i64>, index: u32) {
        if let Some(start_us) = start_us {
            let window = self.window(start_us);
            self.windows.get_mut(window).into_iter().for_each(|(_, indices)| indices.push(index));
        }
    }

    /// The index of the window that starts here.
    fn window(&mut self, start_us: i64) -> usize {
        let known = self.windows.iter().rposition(|(start, _)| *start == start_us);
        known.unwrap_or_else(|| {
            self.windows.push((start_us, Vec::new()));
            self.windows.len() - 1
        })
    }
}

impl PartitionClock {
    fn new() -> PartitionClock {
        PartitionClock {
            stretches: Stretches::default(),
            passed_us: None,
            newest_us: None,
            through_us: never(),
            next_us: None,
        }
    }

    /// What may be passed next of both lanes.
    fn look_ahead(&mut self, lanes: &PerLane<Placing>) {
        let next_us = |lane: &Placing, through_us: i64| {
            (through_us > i64::MIN).then(|| lane.next_us(through_us))
        };
        // A lane that has passed nothing can pass anything.
        self.next_us = next_us(&lanes.drift, self.through_us.drift)
            .zip(next_us(&lanes.operations, self.through_us.operations))
            .map(|(drift_us, operations_us)| drift_us.min(operations_us));
        self.watch(lanes);
    }

    /// The stretches are asked about the next boundary that they have not passed.
    fn watch(&mut self, lanes: &PerLane<Placing>) {
        let next_us = |lane: &Placing| {
            self.passed_us.map(|passed_us| lane.next_us(lane.through_us(passed_us)))
        };
        let next_us = next_us(&lanes.drift).min(next_us(&lanes.operations));
        self.stretches.watch(next_us.unwrap_or(i64::MIN));
    }
}
