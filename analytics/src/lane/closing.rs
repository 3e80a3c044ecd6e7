//! Closing: which windows of one lane are due, where each partition is cut, and what is carried on.

use std::collections::BTreeMap;

use driftline_config::Partition;
use driftline_config::time::{ClockReading, HOUR_US};
use serde::{Deserialize, Serialize};

use super::carrying::CarryingClock;
use super::cuts::PartitionCuts;
use super::open::OpenWindow;
use super::quiet::Quiet;
use super::{Closed, CutBy, Incomplete, LanePassage, LaneSettings, Newest, Passage, Step};

/// A pause of a partition is believed only where the last row this long before a window's end is over.
const REACH_US: i64 = HOUR_US;

/// Rows after which a window has most of the cells that it will have.
const FULL_ROWS: u64 = 1000;
/// Rows that hold as much as what every window has, however few rows it has.
const LEAST_ROWS: u64 = 10;

/// A stretch of a partition's log as a model's clock has read it.
#[derive(Debug, Clone, Copy)]
pub struct ReadStretch<'a> {
    pub partition: Partition,
    pub passage: &'a Passage,
    /// Of its rows.
    pub offsets: &'a [i64],
}

/// The windows of one lane from their first row to their end. It belongs to deciding, and serialises whole
/// into the checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClosingLane {
    settings: LaneSettings,
    partitions: BTreeMap<Partition, PartitionCuts>,
    open: BTreeMap<i64, OpenWindow>,
    carried: Option<OpenWindow>,
    /// No window that ends here or before takes a row any more.
    closed_through_us: i64,
    /// The newest row that did not lie beyond our clock.
    #[serde(rename = "furthest", with = "pair")]
    newest: Option<Newest>,
    /// First offsets of records that windows may need which have no row yet, by start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    needed: BTreeMap<i64, BTreeMap<Partition, i64>>,
    /// Counts the settings under which windows have opened.
    #[serde(default)]
    era: u32,
    #[serde(skip)]
    quiet: Quiet,
    #[serde(skip)]
    carrying: CarryingClock,
    /// Idle cuts that were made and not taken yet.
    #[serde(skip)]
    idle_cuts: Vec<(Partition, i64)>,
    /// Windows were cut or crossings forgotten, and nobody asked.
    #[serde(skip)]
    forgot: bool,
}

impl ClosingLane {
    /// A lane that has seen nothing.
    pub fn new(settings: LaneSettings) -> ClosingLane {
        ClosingLane {
            settings,
            partitions: BTreeMap::new(),
            open: BTreeMap::new(),
            carried: None,
            closed_through_us: i64::MIN,
            newest: None,
            needed: BTreeMap::new(),
            carrying: CarryingClock::default(),
            era: 0,
            quiet: Quiet::default(),
            idle_cuts: Vec::new(),
            forgot: false,
        }
    }

    /// Its figures.
    pub fn settings(&self) -> &LaneSettings {
        &self.settings
    }

    /// Takes over new figures after a restart. Grid and lateness must not change while windows are
    /// open: their rows were sent to a grid of windows already.
    pub fn settle(&mut self, settings: LaneSettings) {
        debug_assert!(
            self.open_windows() == 0
                || (&self.settings.grid, self.settings.lateness_us)
                    == (&settings.grid, settings.lateness_us)
        );
        self.settings = settings;
    }

    /// Windows that open from now on count under other settings than those that are open: a carried
    /// window is not joined with them.
    pub fn begin_era(&mut self) {
        self.era += 1;
    }

    /// The idle cuts that were made since the last call, as partition and offset: cuts that no record
    /// made, so that what the ledger says at them has to be noted now.
    pub fn take_idle_cuts(&mut self) -> Vec<(Partition, i64)> {
        std::mem::take(&mut self.idle_cuts)
    }

    /// Makes a partition known whose first record to be read is at `from`; a second call is ignored.
    pub fn add_partition(&mut self, partition: Partition, from: i64) {
        self.partitions.entry(partition).or_insert_with(|| PartitionCuts::new(from));
    }

    /// Reading of a known partition begins, or begins anew in another log, at `from`: offsets before
    /// it mean nothing any more.
    pub fn begin(&mut self, partition: Partition, from: i64) {
        self.add_partition(partition, from);
        if let Some(cuts) = self.partitions.get_mut(&partition) {
            cuts.begin(from);
        }
        for window in self.open.values_mut().chain(self.carried.as_mut()) {
            window.rows_from.remove(&partition);
        }
    }

    /// A partition is there no more: it counts as passed at its last position.
    pub fn end(&mut self, partition: Partition, position: i64) {
        if let Some(cuts) = self.partitions.get_mut(&partition) {
            cuts.end(position);
        }
    }

    /// A known partition that was gone is there again, where it was; one that never was stays as it is.
    pub fn resume(&mut self, partition: Partition) {
        if let Some(cuts) = self.partitions.get_mut(&partition) {
            cuts.resume();
        }
    }

    /// The partitions that take part.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.partitions.keys().copied()
    }

    /// The end of the last window that a partition has passed.
    pub fn passed_through_us(&self, partition: Partition) -> i64 {
        self.partitions.get(&partition).map_or(i64::MIN, |cuts| cuts.passed_through_us)
    }

    /// The end of the last window that takes no row any more.
    pub fn closed_through_us(&self) -> i64 {
        self.closed_through_us
    }

    /// Declares that records of this partition with event times before `before_us` may never have
    /// been read.
    pub fn mark_incomplete(&mut self, partition: Partition, before_us: i64, why: Incomplete) {
        let reach_us = before_us.saturating_add(self.settings.lateness_us);
        if let Some(cuts) = self.partitions.get_mut(&partition) {
            cuts.incomplete_before = Some((reach_us, why));
        }
        for window in self.open.values_mut().chain(self.carried.as_mut()) {
            if window.start_us < reach_us {
                window.add_reason(why);
            }
        }
    }

    /// Declares that records of this partition may never have been read before its next row or heartbeat,
    /// whenever that comes.
    pub fn mark_until_a_row(&mut self, partition: Partition, why: Incomplete) {
        if let Some(cuts) = self.partitions.get_mut(&partition) {
            cuts.unread = Some(why);
        }
    }

    /// The end of the partition was reached, as it was looked up at `sampled`, where that is known. What may
    /// be missing before a row that has not come lies before `now`. Says whether this was news.
    pub fn reach_end(
        &mut self,
        partition: Partition,
        sampled: Option<ClockReading>,
        now: ClockReading,
    ) -> bool {
        if let Some(sampled) = sampled {
            self.quiet.reach_end(partition, sampled, self.settings.idle_us);
        }
        self.first_seen(partition, now.wall_us)
    }

    /// Rows may follow in this partition that nobody may read yet.
    pub fn disturb(&mut self, partition: Partition, now: ClockReading) {
        self.quiet.disturb(partition, now);
    }

    /// Learns what a stretch of a partition's log brought, and of it to this lane.
    pub fn take(&mut self, of: ReadStretch<'_>, lane: &LanePassage, now: ClockReading) {
        let ReadStretch { partition, passage, offsets } = of;
        let first_offset = offsets.first().copied();
        self.add_partition(partition, first_offset.unwrap_or(0));
        if let Some(first_us) = passage.first_us {
            self.first_seen(partition, first_us);
        }
        for (start_us, indices) in &lane.windows {
            let first = indices.iter().filter_map(|index| offsets.get(*index as usize)).min();
            if let Some(first) = first {
                self.count(partition, *start_us, indices.len() as u64, *first);
            }
        }
        for &(start_us, offset) in &lane.needed {
            self.need(partition, start_us, offset);
        }
        if let Some(cuts) = self.partitions.get_mut(&partition) {
            lane.crossed.iter().for_each(|crossing| cuts.cross(*crossing));
        }
        if !lane.crossed.is_empty() {
            self.forget_crossings();
        }
        self.newest = self.newest.max(passage.newest);
        self.quiet.rows(partition, &lane.touched_us, now);
        self.see(now);
    }

    /// The last cut of a partition, where the next window begins, and the first offset after it that may be
    /// one: nothing between them will be a cut. Of an unknown partition, any offset may be.
    pub fn next_cut(&self, partition: Partition) -> (i64, i64) {
        self.partitions.get(&partition).map_or((i64::MIN, i64::MIN), PartitionCuts::next_cut)
    }

    /// Whether a window that is not closed is cut at this offset, or may be.
    pub fn may_cut_at(&self, partition: Partition, offset: i64) -> bool {
        let (last, next) = self.next_cut(partition);
        let carried = self.carried.as_ref().and_then(|window| window.cuts.get(&partition));
        offset == last || offset >= next || carried.is_some_and(|cut| cut.from == offset)
    }

    /// Whether other offsets may be cuts than when this was asked last.
    pub fn take_forgot(&mut self) -> bool {
        std::mem::take(&mut self.forgot)
    }

    /// Closes every window that is due, and all that begin before one, in order of start. `positions` is
    /// the next offset to be read of each partition, which becomes the cut of a quiet one.
    pub fn advance(
        &mut self,
        now: ClockReading,
        positions: &dyn Fn(Partition) -> i64,
    ) -> Vec<Step> {
        self.quiet.begin(now);
        self.see(now);
        let mut steps = Vec::new();
        // A window that is carried on waits for another end, which may be due as well.
        while let Some(due_us) = self.due_boundary_us(now) {
            self.close_through(due_us, positions, &mut steps);
            self.see(now);
        }
        steps
    }

    /// Closes every window that waits for an end up to `due_us`.
    fn close_through(
        &mut self,
        due_us: i64,
        positions: &dyn Fn(Partition) -> i64,
        steps: &mut Vec<Step>,
    ) {
        loop {
            let next = self.open.first_key_value().map(|(_, window)| window.end_us);
            let deadline = self.carried.as_ref().map(|window| self.deadline_us(window));
            let carried_first = match (next, deadline) {
                (Some(end_us), Some(deadline_us)) => deadline_us < end_us,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let Some(end_us) = (if carried_first { deadline } else { next }) else { return };
            if end_us > due_us {
                return;
            }
            if carried_first {
                steps.extend(self.carried.take().map(|window| Step::Close(window.close())));
            } else if let Some((_, window)) = self.open.pop_first() {
                self.finish(window, positions, steps);
            }
        }
    }

    /// When a window that has closed was due: at its end, or at the end of the time for which it waited
    /// for more rows, and the lateness after it.
    pub fn due_us(&self, closed: &Closed) -> i64 {
        let deadline_us = self.settings.grid.longest_us(closed.start_us, self.settings.at_most_us);
        let waited = closed.rows < self.settings.at_least && closed.end_us < deadline_us;
        let end_us = if waited { deadline_us } else { closed.end_us };
        end_us.saturating_add(self.settings.lateness_us)
    }

    /// Starts of the windows that hold rows and are not closed; a carried one included.
    pub fn open_starts_us(&self) -> impl Iterator<Item = i64> + '_ {
        self.carried.iter().map(|window| window.start_us).chain(self.open.keys().copied())
    }

    /// How many windows are open.
    pub fn open_windows(&self) -> usize {
        self.open.len() + usize::from(self.carried.is_some())
    }

    /// How many windows the open ones weigh: those with few rows hold few cells.
    pub fn open_weight(&self) -> f64 {
        let rows = self.open.values().map(|window| window.rows.clamp(LEAST_ROWS, FULL_ROWS));
        rows.sum::<u64>() as f64 / FULL_ROWS as f64
    }

    /// The first offset in each partition at which an open window has a row: who reads from there
    /// finds all rows of the open windows. Partitions in which they have none are left out.
    pub fn open_rows_from(&self) -> BTreeMap<Partition, i64> {
        let mut first = BTreeMap::new();
        for window in self.carried.iter().chain(self.open.values()) {
            for (&partition, &offset) in &window.rows_from {
                let known = first.entry(partition).or_insert(offset);
                *known = offset.min(*known);
            }
        }
        first
    }

    /// Takes over from a lane whose counts are lost that its closed windows stay closed: rows of them
    /// are late, and are not reported a second time. Where the grid is another one now, the window over
    /// the last boundary can hold a part of its rows only and is incomplete.
    pub fn follow(&mut self, lost: &ClosingLane) {
        let open_us = lost.open_starts_us().min().unwrap_or(i64::MAX);
        self.closed_through_us = lost.closed_through_us.min(open_us);
        if self.settings.grid != lost.settings.grid {
            for partition in self.partitions().collect::<Vec<_>>() {
                self.mark_incomplete(partition, self.closed_through_us, Incomplete::Started);
            }
        }
    }

    /// Time of the newest row that did not lie beyond our clock.
    pub fn newest_us(&self) -> Option<i64> {
        self.newest.map(|newest| newest.time_us)
    }

    fn deadline_us(&self, window: &OpenWindow) -> i64 {
        self.settings.grid.longest_us(window.start_us, self.settings.at_most_us)
    }

    /// A row or heartbeat came, or the end: from now on it is known what may be missing before it.
    fn first_seen(&mut self, partition: Partition, time_us: i64) -> bool {
        let cuts = self.partitions.get_mut(&partition);
        let why = cuts.and_then(|cuts| cuts.unread.take());
        if let Some(why) = why {
            self.mark_incomplete(partition, time_us, why);
        }
        why.is_some()
    }

    /// Rows of a partition were counted into a window, the first of them at `first`.
    fn count(&mut self, partition: Partition, start_us: i64, rows: u64, first: i64) {
        let (partitions, era) = (&self.partitions, self.era);
        let end_us = self.settings.grid.end_us(start_us);
        let window = self.open.entry(start_us).or_insert_with(|| {
            let mut window = OpenWindow::new(start_us, end_us, era);
            for cuts in partitions.values() {
                if let Some((reach_us, why)) = cuts.incomplete_before
                    && start_us < reach_us
                {
                    window.add_reason(why);
                }
            }
            window
        });
        window.rows += rows;
        window.read_from(partition, first);
        // Nothing was needed of most windows before their first row.
        for (partition, offset) in self.needed.remove(&start_us).unwrap_or_default() {
            window.read_from(partition, offset);
        }
    }

    /// A window may need the record at `offset`, whether it has a row already or not.
    fn need(&mut self, partition: Partition, start_us: i64, offset: i64) {
        if let Some(window) = self.open.get_mut(&start_us) {
            window.read_from(partition, offset);
        } else if self.settings.grid.end_us(start_us) > self.closed_through_us {
            let first = self.needed.entry(start_us).or_default().entry(partition).or_insert(offset);
            *first = offset.min(*first);
        }
        let (grid, through_us) = (&self.settings.grid, self.closed_through_us);
        while let Some(oldest) = self.needed.first_entry()
            && grid.end_us(*oldest.key()) <= through_us
        {
            oldest.remove();
        }
    }

    /// Forgets the crossings of windows that are not open and that no row can open any more. There are
    /// some where heartbeats go on without rows, which may be for days.
    fn forget_crossings(&mut self) {
        let passed_us = self.partitions.values().map(|cuts| cuts.passed_through_us).min();
        let over_us = passed_us.unwrap_or(i64::MIN).max(self.closed_through_us);
        let open_us = self.open.values().next().map_or(i64::MAX, |window| window.end_us);
        let needed_us = open_us.min(over_us.saturating_add(1));
        for cuts in self.partitions.values_mut() {
            self.forgot |= cuts.forget_before(needed_us);
        }
    }

    /// Notes of each window that waits when time was first seen to have passed it: a row at or beyond its
    /// end came, or wall time has carried the newest row there.
    fn see(&mut self, now: ClockReading) {
        let Some(Newest { time_us, record_time_us }) = self.newest else { return };
        let wall_us = self.carrying.wall_us(now, record_time_us);
        let carried_us = time_us.saturating_add(wall_us.saturating_sub(record_time_us));
        let reached_us = time_us.max(carried_us).saturating_sub(self.settings.lateness_us);
        for window in self.open.values_mut() {
            // In order of their ends.
            if window.end_us > reached_us {
                break;
            }
            window.seen_us.get_or_insert(now.steady_us);
        }
        let deadline_us = self.carried.as_ref().map(|window| self.deadline_us(window));
        if let Some(carried) = &mut self.carried
            && deadline_us.is_some_and(|deadline_us| deadline_us <= reached_us)
        {
            carried.seen_us.get_or_insert(now.steady_us);
        }
    }

    /// The latest end of a window that waits and is due.
    fn due_boundary_us(&self, now: ClockReading) -> Option<i64> {
        let carried = self.carried.iter().map(|window| (self.deadline_us(window), window.seen_us));
        let open = self.open.values().map(|window| (window.end_us, window.seen_us));
        let mut waiting: Vec<(i64, Option<i64>)> = carried.chain(open).collect();
        waiting.sort_unstable();
        let over = |(end_us, _): &&(i64, Option<i64>)| {
            end_us.saturating_add(self.settings.lateness_us) <= now.wall_us
        };
        let mut over = waiting.iter().rev().skip_while(|window| !over(window));
        over.find(|(end_us, seen_us)| self.is_due(*end_us, *seen_us)).map(|(end_us, _)| *end_us)
    }

    /// Whether every partition has passed this end, or has nothing more to say about what is before it.
    fn is_due(&self, end_us: i64, seen_us: Option<i64>) -> bool {
        let grid = &self.settings.grid;
        let reach_us = (2 * grid.every_us()).max(REACH_US);
        // Shifted by the lateness, as the stretches are from which rows came.
        let from_us = grid.start_us(end_us.saturating_sub(reach_us));
        self.partitions.iter().all(|(&partition, cuts)| {
            let quiet = || {
                let (seen_us, idle_us) = seen_us.zip(self.settings.idle_us)?;
                Some(self.quiet.is_quiet(partition, seen_us, from_us..end_us, idle_us))
            };
            cuts.passed_through_us >= end_us || quiet().unwrap_or(false)
        })
    }

    fn finish(
        &mut self,
        mut window: OpenWindow,
        positions: &dyn Fn(Partition) -> i64,
        steps: &mut Vec<Step>,
    ) {
        self.closed_through_us = self.closed_through_us.max(window.end_us);
        for (&partition, cuts) in &mut self.partitions {
            let cut = cuts.cut(window.end_us, positions(partition));
            if cut.by == CutBy::Idle {
                self.idle_cuts.push((partition, cut.to));
            }
            window.cuts.insert(partition, cut);
        }
        self.forgot = true;
        self.forget_crossings();
        let window = match self.carried.take() {
            // Counts of other settings cannot be added up.
            Some(carried) if carried.era != window.era => {
                steps.push(Step::Close(carried.close()));
                window
            }
            Some(carried) => {
                let into_us = carried.start_us;
                steps.push(Step::Carry { from_us: window.start_us, into_us });
                carried.join(window)
            }
            None => window,
        };
        if window.rows < self.settings.at_least && window.end_us < self.deadline_us(&window) {
            self.carried = Some(OpenWindow { seen_us: None, ..window });
        } else {
            steps.push(Step::Close(window.close()));
        }
    }
}

/// The newest row as a pair, which is how checkpoints of before have it.
mod pair {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Newest;

    pub(super) fn serialize<S: Serializer>(
        newest: &Option<Newest>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        newest.map(|newest| (newest.time_us, newest.record_time_us)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Newest>, D::Error> {
        let pair = Option::<(i64, i64)>::deserialize(deserializer)?;
        Ok(pair.map(|(time_us, record_time_us)| Newest { time_us, record_time_us }))
    }
}
