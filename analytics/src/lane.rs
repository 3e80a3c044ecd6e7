//! Event time: watermarks, cuts, and which window closes when (RULES §1).
//!
//! A [`Lane`] is the clockwork of one model's drift windows, or of its operations panes. It sees
//! nothing of a row but its partition, its offset and its two timestamps, and answers two questions:
//! to which window does this row belong ([`Lane::assign`]), and which windows close now
//! ([`Lane::advance`]). What is counted inside a window is none of its business.

mod clock;
mod open;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use driftline_capture::CaptureBatch;
use driftline_config::Partition;
use driftline_config::time::ALIGNMENT_US;
use serde::{Deserialize, Serialize};

use clock::PartitionClock;
pub use clock::{Crossing, JUMP_FLOOR_US};
use open::OpenWindow;

/// The fixed figures of a lane, in microseconds and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSettings {
    pub every_us: i64,
    /// How long after its end a window waits for rows.
    pub lateness_us: i64,
    /// Rows below which a due window is carried into the next; 1 or less never carries.
    pub at_least: u64,
    /// How long a window may grow by being carried.
    pub at_most_us: i64,
    /// A longer jump of the watermark is doubted, where producers stamp the records. The lanes of a
    /// model share it: they have one watermark, and decisions follow its order.
    #[serde(default)]
    pub jump_us: i64,
}

/// The rows of one partition in offset order, as three columns of one length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows<'a> {
    pub offsets: &'a [i64],
    pub times_us: &'a [i64],
    pub record_times_us: &'a [i64],
}

impl<'a> From<&'a CaptureBatch> for Rows<'a> {
    fn from(batch: &'a CaptureBatch) -> Rows<'a> {
        let (offsets, times_us) = (batch.offsets(), batch.times_us());
        Rows { offsets, times_us, record_times_us: batch.record_times_us() }
    }
}

/// A record that only moves the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    pub offset: i64,
    pub time_us: i64,
    pub record_time_us: i64,
}

/// Where the rows of one call went.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Window start and the indices of its rows, in order of first appearance.
    pub windows: Vec<(i64, Vec<u32>)>,
    pub late: Vec<i64>,
    /// Boundaries that were crossed, with the offset that crossed them.
    pub crossed: Vec<Crossing>,
}

impl Assignment {
    fn add(&mut self, start_us: i64, index: u32) {
        match self.windows.iter_mut().rev().find(|(start, _)| *start == start_us) {
            Some((_, indices)) => indices.push(index),
            None => self.windows.push((start_us, vec![index])),
        }
    }
}

/// Why rows of a window may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incomplete {
    Started,
    /// Retention removed records before they were read.
    RetentionGap,
    /// The model was added to a topic that was already being read.
    ModelAdded,
}

/// How a cut came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutBy {
    /// A record passed the end of the window.
    Log,
    /// The partition was silent and the wall clock decided.
    Idle,
}

/// The stretch of one partition between the previous window's cut and this window's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The previous cut, or the first offset read.
    pub from: i64,
    /// The first offset that no longer belongs to the window.
    pub to: i64,
    pub by: CutBy,
    /// Offset of the first row that the window counted here, where it counted one. It may lie
    /// before `from`, since rows may arrive before the previous window was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_from: Option<i64>,
}

/// A window that has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub start_us: i64,
    pub end_us: i64,
    pub rows: u64,
    /// How many windows of the declared length it holds.
    pub parts: u32,
    /// Why rows may be missing; empty where none can be.
    pub incomplete: Vec<Incomplete>,
    /// The cut of each partition of the topic.
    pub cuts: BTreeMap<Partition, Cut>,
}

/// What [`Lane::advance`] decided, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The window that starts at `from_us` was too small and becomes part of the one that starts at
    /// `into_us`.
    Carry {
        /// Start of the window that ends here.
        from_us: i64,
        /// Start of the window that goes on.
        into_us: i64,
    },
    Close(Closed),
}

/// The clockwork of one model's windows. Serialises whole into the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    settings: LaneSettings,
    partitions: BTreeMap<Partition, PartitionClock>,
    open: BTreeMap<i64, OpenWindow>,
    carried: Option<OpenWindow>,
    /// No window that ends here or before takes a row any more.
    closed_through_us: i64,
    /// The furthest watermark, and the Kafka timestamp of the record that set it.
    furthest: Option<(i64, i64)>,
    /// Counts the settings under which windows have opened.
    #[serde(default)]
    era: u32,
    /// Idle cuts that were made and not taken yet.
    #[serde(skip)]
    idle_cuts: Vec<(Partition, i64)>,
    /// Windows were cut or crossings forgotten, and nobody asked.
    #[serde(skip)]
    forgot: bool,
}

/// The start of the window of length `every_us` that holds `time_us`.
pub fn window_start_us(time_us: i64, every_us: i64) -> i64 {
    let since = time_us.saturating_sub(ALIGNMENT_US);
    time_us.saturating_sub(since.rem_euclid(every_us))
}

impl Lane {
    /// A lane that has seen nothing.
    pub fn new(settings: LaneSettings) -> Lane {
        Lane {
            settings,
            partitions: BTreeMap::new(),
            open: BTreeMap::new(),
            carried: None,
            closed_through_us: i64::MIN,
            furthest: None,
            era: 0,
            idle_cuts: Vec::new(),
            forgot: false,
        }
    }

    /// Its figures.
    pub fn settings(&self) -> &LaneSettings {
        &self.settings
    }

    /// Takes over new figures after a restart. Length and lateness must not change while windows are
    /// open: their rows were sent to a grid of windows already.
    pub fn settle(&mut self, settings: LaneSettings) {
        debug_assert!(
            self.open_windows() == 0
                || (self.settings.every_us, self.settings.lateness_us)
                    == (settings.every_us, settings.lateness_us)
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
        self.partitions.entry(partition).or_insert_with(|| PartitionClock::new(from));
    }

    /// Reading of a known partition begins, or begins anew in another log, at `from`: offsets before
    /// it mean nothing any more. The watermark stays where it was.
    pub fn begin(&mut self, partition: Partition, from: i64) {
        self.add_partition(partition, from);
        if let Some(clock) = self.partitions.get_mut(&partition) {
            clock.begin(from);
        }
        for window in self.open.values_mut().chain(self.carried.as_mut()) {
            window.rows_from.remove(&partition);
        }
    }

    /// The partitions that take part.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.partitions.keys().copied()
    }

    /// Declares that records of this partition with event times before `before_us` may never have
    /// been read.
    pub fn mark_incomplete(&mut self, partition: Partition, before_us: i64, why: Incomplete) {
        let reach_us = before_us.saturating_add(self.settings.lateness_us);
        if let Some(clock) = self.partitions.get_mut(&partition) {
            clock.incomplete_before = Some((reach_us, why));
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
        if let Some(clock) = self.partitions.get_mut(&partition) {
            clock.unread = Some(why);
        }
    }

    /// The end of the partition was reached at `wall_us`. What may be missing before a row that has not
    /// come lies before that. Says whether this was news.
    pub fn reach_end(&mut self, partition: Partition, wall_us: i64) -> bool {
        self.first_seen(partition, wall_us)
    }

    /// Sends each row to its window, and moves the watermark by rows and heartbeats in offset order.
    /// `producer_timestamps` says that producers, and not the broker, stamp the records.
    pub fn assign(
        &mut self,
        partition: Partition,
        rows: Rows<'_>,
        heartbeats: &[Heartbeat],
        producer_timestamps: bool,
    ) -> Assignment {
        let first_offset = rows.offsets.first().or(heartbeats.first().map(|beat| &beat.offset));
        self.add_partition(partition, first_offset.copied().unwrap_or(0));
        let mut assignment = Assignment::default();
        let mut beats = heartbeats.iter().peekable();
        let columns = rows.offsets.iter().zip(rows.times_us).zip(rows.record_times_us);
        for (index, ((&offset, &time_us), &record_time_us)) in (0u32..).zip(columns) {
            while let Some(beat) = beats.next_if(|beat| beat.offset < offset) {
                self.beat(partition, *beat, &mut assignment);
            }
            self.first_seen(partition, time_us);
            match self.place(partition, offset, time_us) {
                Some(start_us) => assignment.add(start_us, index),
                None => assignment.late.push(offset),
            }
            let moved = self.partitions.get_mut(&partition).and_then(|clock| {
                let candidate_us = time_us.min(record_time_us);
                clock.row(candidate_us, producer_timestamps.then_some(self.settings.jump_us))
            });
            if let Some(watermark_us) = moved {
                let crossed = self.moved(partition, watermark_us, offset, record_time_us);
                assignment.crossed.extend(crossed);
            }
        }
        for beat in beats {
            self.beat(partition, *beat, &mut assignment);
        }
        if !assignment.crossed.is_empty() {
            self.forget_crossings();
        }
        assignment
    }

    /// The last cut of a partition, where the next window begins, and the first offset after it that may be
    /// one: nothing between them will be a cut. Of an unknown partition, any offset may be.
    pub fn next_cut(&self, partition: Partition) -> (i64, i64) {
        self.partitions.get(&partition).map_or((i64::MIN, i64::MIN), PartitionClock::next_cut)
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

    /// Forgets the crossings of windows that are not open and that no row can open any more. There are
    /// some where heartbeats go on without rows, which may be for days.
    fn forget_crossings(&mut self) {
        let passed_us = self.partitions.values().map(|clock| clock.passed_through_us).min();
        let over_us = passed_us.unwrap_or(i64::MIN).max(self.closed_through_us);
        let open_us = self.open.values().next().map_or(i64::MAX, |window| window.end_us);
        let needed_us = open_us.min(over_us.saturating_add(1));
        for clock in self.partitions.values_mut() {
            self.forgot |= clock.forget_before(needed_us);
        }
    }

    /// Closes every window that is due, in order of start. `idle` says which partitions are idle;
    /// `positions` is the next offset to be read of each, which becomes the cut of an idle one.
    pub fn advance(
        &mut self,
        now_us: i64,
        idle: &dyn Fn(Partition) -> bool,
        positions: &dyn Fn(Partition) -> i64,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let next = self.open.first_key_value().map(|(_, window)| window.end_us);
            let deadline = self.carried.as_ref().map(|window| self.deadline_us(window));
            let carried_first = match (next, deadline) {
                (Some(end_us), Some(deadline_us)) => deadline_us < end_us,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let Some(end_us) = (if carried_first { deadline } else { next }) else { break };
            if !self.is_due(end_us, now_us, idle) {
                break;
            }
            if carried_first {
                steps.extend(self.carried.take().map(|window| Step::Close(window.close())));
            } else if let Some((_, window)) = self.open.pop_first() {
                self.finish(window, positions, &mut steps);
            }
        }
        steps
    }

    /// When a window that has closed was due: at its end, or at the end of the time for which it waited
    /// for more rows, and the lateness after it.
    pub fn due_us(&self, closed: &Closed) -> i64 {
        let deadline_us = self.longest_us(closed.start_us);
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
    pub fn follow(&mut self, lost: &Lane) {
        let open_us = lost.open_starts_us().min().unwrap_or(i64::MAX);
        self.closed_through_us = lost.closed_through_us.min(open_us);
        if self.settings.every_us != lost.settings.every_us {
            for partition in self.partitions().collect::<Vec<_>>() {
                self.mark_incomplete(partition, self.closed_through_us, Incomplete::Started);
            }
        }
    }

    /// The watermark of a partition; `None` before its first row.
    pub fn watermark_us(&self, partition: Partition) -> Option<i64> {
        self.partitions.get(&partition).and_then(PartitionClock::watermark_us)
    }

    /// The furthest watermark over all partitions.
    pub fn furthest_us(&self) -> Option<i64> {
        self.furthest.map(|(watermark_us, _)| watermark_us)
    }

    fn deadline_us(&self, window: &OpenWindow) -> i64 {
        self.longest_us(window.start_us)
    }

    fn longest_us(&self, start_us: i64) -> i64 {
        let whole = self.settings.at_most_us / self.settings.every_us * self.settings.every_us;
        start_us.saturating_add(whole.max(self.settings.every_us))
    }

    /// A row or heartbeat came, or the end: from now on it is known what may be missing before it.
    fn first_seen(&mut self, partition: Partition, time_us: i64) -> bool {
        let clock = self.partitions.get_mut(&partition);
        let why = clock.and_then(|clock| clock.unread.take());
        if let Some(why) = why {
            self.mark_incomplete(partition, time_us, why);
        }
        why.is_some()
    }

    /// Counts a row into its window, and says where that starts; `None` where the row is late.
    fn place(&mut self, partition: Partition, offset: i64, time_us: i64) -> Option<i64> {
        let start_us = window_start_us(time_us, self.settings.every_us);
        let end_us = start_us.saturating_add(self.settings.every_us);
        let clock = self.partitions.get(&partition);
        let passed_us = clock.map_or(i64::MIN, |clock| clock.passed_through_us);
        if end_us <= self.closed_through_us.max(passed_us) {
            return None;
        }
        let partitions = &self.partitions;
        let era = self.era;
        let window = self.open.entry(start_us).or_insert_with(|| {
            let mut window = OpenWindow::new(start_us, end_us, era);
            for clock in partitions.values() {
                if let Some((reach_us, why)) = clock.incomplete_before
                    && start_us < reach_us
                {
                    window.add_reason(why);
                }
            }
            window
        });
        window.rows += 1;
        let rows_from = window.rows_from.entry(partition).or_insert(offset);
        *rows_from = offset.min(*rows_from);
        Some(start_us)
    }

    fn beat(&mut self, partition: Partition, beat: Heartbeat, assignment: &mut Assignment) {
        let candidate_us = beat.time_us.min(beat.record_time_us);
        self.first_seen(partition, candidate_us);
        let clock = self.partitions.get_mut(&partition);
        let moved = clock.and_then(|clock| clock.heartbeat(candidate_us));
        if let Some(watermark_us) = moved {
            let crossed = self.moved(partition, watermark_us, beat.offset, beat.record_time_us);
            assignment.crossed.extend(crossed);
        }
    }

    fn moved(
        &mut self,
        partition: Partition,
        watermark_us: i64,
        offset: i64,
        record_time_us: i64,
    ) -> Option<Crossing> {
        if self.furthest.is_none_or(|(furthest_us, _)| watermark_us > furthest_us) {
            self.furthest = Some((watermark_us, record_time_us));
        }
        let LaneSettings { every_us, lateness_us, .. } = self.settings;
        let through_us = window_start_us(watermark_us.saturating_sub(lateness_us), every_us);
        self.partitions.get_mut(&partition)?.cross(through_us, offset)
    }

    fn is_due(&self, end_us: i64, now_us: i64, idle: &dyn Fn(Partition) -> bool) -> bool {
        let mut any_passed = false;
        for (&partition, clock) in &self.partitions {
            if clock.passed_through_us >= end_us {
                any_passed = true;
            } else if !idle(partition) {
                return false;
            }
        }
        let due_us = end_us.saturating_add(self.settings.lateness_us);
        let carried_by_wall = self.furthest.is_some_and(|(watermark_us, record_time_us)| {
            watermark_us.saturating_add(now_us.saturating_sub(record_time_us)) >= due_us
        });
        any_passed || carried_by_wall
    }

    fn finish(
        &mut self,
        mut window: OpenWindow,
        positions: &dyn Fn(Partition) -> i64,
        steps: &mut Vec<Step>,
    ) {
        self.closed_through_us = self.closed_through_us.max(window.end_us);
        for (&partition, clock) in &mut self.partitions {
            let cut = clock.cut(window.end_us, positions(partition));
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
            self.carried = Some(window);
        } else {
            steps.push(Step::Close(window.close()));
        }
    }
}
