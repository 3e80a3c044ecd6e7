//! One model as the pipeline holds it: two lanes, the open windows, and what was decided so far.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{Array, Int64Array};
use arrow::record_batch::RecordBatch;
use driftline_alerting::mail::Unmoved;
use driftline_alerting::repeat::Sent;
use driftline_alerting::retrain::RetrainState;
use driftline_alerting::{ModelAlerts, Transition};
use driftline_analytics::burn::BurnWindow;
use driftline_analytics::judgement::History;
use driftline_analytics::lane::{Assignment, Closed, Crossing, Heartbeat, Incomplete, Lane, Rows};
use driftline_analytics::pane::PaneState;
use driftline_analytics::report::Report;
use driftline_analytics::window::WindowState;
use serde::{Deserialize, Serialize};

use super::ledger::Counts;
use super::quiet::Quiet;
use crate::digest::{LastWindow, PaneFigures, SPARKS, Spark};
use crate::setup::Setup;

/// Closed windows that are remembered for retraining requests: a request names at most 100 windows,
/// and its history reaches back as far as these do.
const PAST_WINDOWS: usize = 1000;
/// Late rows whose offsets are remembered, so that a retraining request can leave them out. Beyond
/// it the oldest are forgotten and requests over their windows say that they are not complete.
const LATE_OFFSETS: usize = 100_000;

/// Cuts of panes whose ledger is remembered per partition: what a week of catching up needs. More pile up
/// only where heartbeats go on and no row opens a pane.
const PANE_STRIPS: usize = 10_080;

/// Transitions that the history of alerts holds per model.
const TRANSITIONS: usize = 500;

/// One model with everything that is in the checkpoint about it.
#[derive(Debug)]
pub struct Unit {
    /// What new windows are opened under.
    pub setup: Arc<Setup>,
    /// Index of its topic.
    pub topic: usize,
    pub(super) drift: Lane,
    pub(super) operations: Lane,
    pub(super) windows: BTreeMap<i64, OpenWindow>,
    pub(super) panes: BTreeMap<i64, OpenPane>,
    /// Windows and panes that closed and have not been decided on, in order of closing.
    pub(super) closing: VecDeque<Closing>,
    pub(super) quiet: Quiet,
    /// Everything small that the checkpoint keeps as it is.
    pub facts: Facts,
    pub(super) dirty: bool,
    /// Counts changes of everything that is shown or kept of it.
    revision: u64,
    /// Wall time of the start.
    pub(super) started_us: i64,
    /// Wall time of the last accepted row since.
    pub(super) last_row_wall_us: Option<i64>,
    /// Candidates that were loaded, by name; with since when and why, where they are not scored.
    pub(super) candidates: BTreeMap<String, Option<(i64, String)>>,
}

/// What is known about a model beside its open windows. Serialises into the checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Rows that windows took, since the first record.
    pub counted: u64,
    /// Rows beyond their window's cut.
    pub late: u64,
    /// Largest event time of an accepted row.
    pub last_event_us: Option<i64>,
    /// Incidents.
    pub alerts: ModelAlerts,
    /// What was last sent about each incident.
    pub sent: Sent,
    /// Retraining requests so far.
    pub retrain: RetrainState,
    /// What the next judgement knows of the earlier ones.
    pub history: History,
    /// Burn rates of the last hours.
    pub burn: BurnWindow,
    /// Windows that were decided on, oldest first.
    pub past: VecDeque<PastWindow>,
    /// Offsets of late rows per partition, with their event time, oldest first.
    pub late_rows: VecDeque<LateRow>,
    /// Whether offsets of late rows had to be forgotten, and up to which event time.
    pub late_forgotten_us: Option<i64>,
    /// The topic's ledger at each cut that a report may still need.
    pub strips: Vec<Strip>,
    /// The topic's records at each cut that a pane may still need: read and rejected, by partition and
    /// offset.
    #[serde(default)]
    pub pane_strips: BTreeMap<i32, BTreeMap<i64, (u64, u64)>>,
    /// Id of the last window that closed.
    pub previous: Option<String>,
    /// What changed in the settings and has not been told in a report.
    pub changed: Vec<String>,
    /// What the last report said of the quantities that mails list as not moved.
    pub unmoved: Vec<Unmoved>,
    /// The last transitions, oldest first.
    pub transitions: VecDeque<Logged>,
    /// The last window, for those who look at all models.
    #[serde(default)]
    pub last_window: Option<LastWindow>,
    /// How strong the strongest finding of each of the last windows was, oldest first.
    #[serde(default)]
    pub sparks: VecDeque<Spark>,
    /// The last pane.
    #[serde(default)]
    pub last_pane: Option<PaneFigures>,
}

/// A transition and when it was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// What happened.
    pub transition: Transition,
    /// Wall time of the decision.
    pub wall_us: i64,
}

/// A window that has been decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastWindow {
    /// As in its report.
    pub id: String,
    /// Where and when it was.
    pub closed: Closed,
    /// Versions that answered in it; `None` where there were too many to name.
    pub versions: Option<Vec<String>>,
    /// Whether its input was broken: nobody should train on it.
    #[serde(default)]
    pub broken: bool,
}

/// A row beyond its window's cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRow {
    /// Kafka partition.
    pub partition: i32,
    /// Kafka offset.
    pub offset: i64,
    /// Event time.
    pub time_us: i64,
}

/// The ledger of a partition at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    /// Kafka partition.
    pub partition: i32,
    /// The first offset that is not in `counts`.
    pub offset: i64,
    /// Outcomes of all records before it.
    pub counts: Counts,
}

/// A drift window that takes rows.
#[derive(Debug)]
pub struct OpenWindow {
    pub(super) setup: Arc<Setup>,
    /// What the last snapshot knows.
    pub(super) counted: WindowState,
    /// What came since.
    pub(super) fresh: WindowState,
    pub(super) dirty: bool,
    /// Bytes in the store: of the base value, and of the increments behind it.
    pub(super) stored: (usize, usize),
}

/// An operations pane that takes rows.
#[derive(Debug)]
pub struct OpenPane {
    pub(super) setup: Arc<Setup>,
    pub(super) counted: PaneState,
    pub(super) dirty: bool,
}

/// Something that closed and waits for its turn. Decisions are made in the order of closing.
#[derive(Debug)]
pub enum Closing {
    /// A drift window; its verdict comes from the judge.
    Window {
        /// Where and when it was.
        closed: Closed,
        /// What it was opened under.
        setup: Arc<Setup>,
        /// What it counted.
        state: Arc<WindowState>,
        /// Whether the judge has it.
        judging: bool,
    },
    /// An operations pane; it is judged on the spot.
    Pane {
        /// Its start.
        start_us: i64,
        /// What it was opened under.
        setup: Arc<Setup>,
        /// What it counted.
        state: Arc<PaneState>,
        /// Whether the store has it as it is.
        saved: bool,
    },
}

impl Closing {
    /// Whether it needs to know what the log holds before this offset.
    fn is_cut_at(&self, partition: i32, offset: i64) -> bool {
        // What a pane needs is added to its counts where it closes.
        let Closing::Window { closed, .. } = self else { return false };
        closed.cuts.get(&partition).is_some_and(|cut| cut.from == offset || cut.to == offset)
    }
}

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Absorbed {
    /// Offsets of the accepted rows.
    pub accepted: Vec<i64>,
    /// Offsets of those that were late.
    pub late: Vec<i64>,
    /// Boundaries of drift windows that were crossed.
    pub crossed: Vec<Crossing>,
    /// Boundaries of panes that were crossed.
    pub panes_crossed: Vec<Crossing>,
    /// Drift windows and their rows, for candidates.
    pub windows: Vec<(i64, Vec<u32>)>,
}

impl Unit {
    /// A model that has seen nothing.
    pub fn new(setup: Arc<Setup>, topic: usize, now_us: i64) -> Unit {
        Unit {
            drift: Lane::new(setup.drift_lane()),
            operations: Lane::new(setup.operations_lane()),
            setup,
            topic,
            windows: BTreeMap::new(),
            panes: BTreeMap::new(),
            closing: VecDeque::new(),
            quiet: Quiet::default(),
            facts: Facts::default(),
            dirty: true,
            revision: 0,
            started_us: now_us,
            last_row_wall_us: None,
            candidates: BTreeMap::new(),
        }
    }

    /// Name of the model.
    pub fn name(&self) -> &str {
        &self.setup.model.name
    }

    /// The clockwork of its drift windows.
    pub fn drift(&self) -> &Lane {
        &self.drift
    }

    /// Grows with every change: who has seen it at this number has nothing new to see.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Something changed: it is kept with the next snapshot, and shown.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
        self.revision += 1;
    }

    /// Since when, on the wall clock, no row was accepted. Before the first, since the start: what came
    /// while nobody read is not silence.
    pub(super) fn silent_since_us(&self) -> i64 {
        self.last_row_wall_us.unwrap_or(self.started_us)
    }

    /// Drift windows and panes that are open or not yet decided on.
    pub fn open_windows(&self) -> usize {
        self.windows.len() + self.panes.len() + self.closing.len()
    }

    pub(super) fn add_partition(&mut self, partition: i32, from: i64) {
        self.drift.add_partition(partition, from);
        self.operations.add_partition(partition, from);
    }

    /// Rows may be missing before the next one of this partition.
    pub(super) fn mark_until_a_row(&mut self, partition: i32, why: Incomplete) {
        self.drift.mark_until_a_row(partition, why);
        self.operations.mark_until_a_row(partition, why);
        self.touch();
    }

    /// The end of the partition was reached.
    pub(super) fn reach_end(&mut self, partition: i32, wall_us: i64) {
        self.quiet.reached_end(partition, wall_us);
        let drift = self.drift.reach_end(partition, wall_us);
        let operations = self.operations.reach_end(partition, wall_us);
        if drift || operations {
            self.touch();
        }
    }

    /// Sends the rows of one batch into their windows and panes.
    pub(super) fn absorb(
        &mut self,
        partition: i32,
        rows: Option<&RecordBatch>,
        heartbeats: &[Heartbeat],
        producer_timestamps: bool,
    ) -> Absorbed {
        let column = |index: usize| -> &[i64] {
            let array = rows.and_then(|rows| rows.columns().get(index));
            array
                .and_then(|array| array.as_any().downcast_ref::<Int64Array>())
                .map_or(&[], |a| a.values())
        };
        let (offsets, times_us, record_times_us) = (column(0), column(1), column(2));
        let columns = Rows { offsets, times_us, record_times_us };
        let drift = self.drift.assign(partition, columns, heartbeats, producer_timestamps);
        let panes = self.operations.assign(partition, columns, heartbeats, producer_timestamps);
        if let Some(rows) = rows {
            self.count(rows, &drift, &panes);
        }
        self.note_late(partition, columns, &drift.late);
        self.facts.counted += (offsets.len() - drift.late.len()) as u64;
        self.facts.late += drift.late.len() as u64;
        self.facts.last_event_us = self.facts.last_event_us.max(times_us.iter().copied().max());
        self.touch();
        Absorbed {
            accepted: offsets.to_vec(),
            late: drift.late,
            crossed: drift.crossed,
            panes_crossed: panes.crossed,
            windows: drift.windows,
        }
    }

    fn count(&mut self, rows: &RecordBatch, drift: &Assignment, panes: &Assignment) {
        for (start_us, indices) in &drift.windows {
            let setup = &self.setup;
            let window =
                self.windows.entry(*start_us).or_insert_with(|| OpenWindow::new(Arc::clone(setup)));
            window.fresh.absorb(&window.setup.layout, rows, indices);
            window.dirty = true;
        }
        for (start_us, indices) in &panes.windows {
            let setup = &self.setup;
            let pane =
                self.panes.entry(*start_us).or_insert_with(|| OpenPane::new(Arc::clone(setup)));
            pane.counted.absorb(&pane.setup.layout, rows, indices);
            pane.dirty = true;
        }
    }

    fn note_late(&mut self, partition: i32, rows: Rows<'_>, late: &[i64]) {
        for &offset in late {
            let time_us =
                rows.offsets.binary_search(&offset).ok().and_then(|at| rows.times_us.get(at));
            if let Some(&time_us) = time_us {
                self.facts.late_rows.push_back(LateRow { partition, offset, time_us });
            }
            if self.facts.late_rows.len() > LATE_OFFSETS
                && let Some(forgotten) = self.facts.late_rows.pop_front()
            {
                self.facts.late_forgotten_us =
                    self.facts.late_forgotten_us.max(Some(forgotten.time_us));
            }
        }
    }

    /// Notes what became of all records of a partition before `offset`, where a pane is cut or begins.
    pub(super) fn note_pane_strip(&mut self, partition: i32, offset: i64, counts: Counts) {
        let of_partition = self.facts.pane_strips.entry(partition).or_default();
        of_partition.insert(offset, (counts.read, counts.rejected));
        if of_partition.len() > PANE_STRIPS {
            of_partition.pop_first();
        }
    }

    /// Forgets what is known of offsets at which nothing is cut, where that may be news.
    pub(super) fn forget_uncut(&mut self) {
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

    /// Keeps the strips at which a window that is open or waits for its report is cut, or may be.
    pub(super) fn forget_strips(&mut self) {
        let (drift, closing) = (&self.drift, &self.closing);
        self.facts.strips.retain(|&Strip { partition, offset, .. }| {
            drift.may_cut_at(partition, offset)
                || closing.iter().any(|closing| closing.is_cut_at(partition, offset))
        });
    }

    /// Records between the previous pane's cuts and those of this one, read and rejected. What lies
    /// before this pane's cuts is forgotten.
    pub(super) fn take_pane_records(&mut self, closed: &Closed) -> (u64, u64) {
        let mut records = (0, 0);
        for (partition, cut) in &closed.cuts {
            let Some(strips) = self.facts.pane_strips.get_mut(partition) else { continue };
            let at = |offset: i64| strips.get(&offset).copied().unwrap_or_default();
            let ((from_read, from_rejected), (read, rejected)) = (at(cut.from), at(cut.to));
            records.0 += read.saturating_sub(from_read);
            records.1 += rejected.saturating_sub(from_rejected);
            *strips = strips.split_off(&cut.to);
        }
        records
    }

    /// Remembers a window that was decided on.
    pub(super) fn remember(&mut self, past: PastWindow) {
        let oldest_us = past.closed.start_us.min(
            self.facts.past.front().map_or(past.closed.start_us, |first| first.closed.start_us),
        );
        self.facts.previous = Some(past.id.clone());
        self.facts.past.push_back(past);
        if self.facts.past.len() > PAST_WINDOWS {
            self.facts.past.pop_front();
        }
        self.facts.late_rows.retain(|row| row.time_us >= oldest_us);
    }
}

impl Facts {
    /// Remembers a window as overviews show it.
    pub(super) fn show(&mut self, report: &Report, start_us: i64) {
        self.last_window = Some(LastWindow::new(report));
        self.sparks.push_back(Spark::new(report, start_us));
        if self.sparks.len() > SPARKS {
            self.sparks.pop_front();
        }
    }

    /// Adds a transition to the history of alerts.
    pub(super) fn log(&mut self, transition: &Transition, wall_us: i64) {
        self.transitions.push_back(Logged { transition: transition.clone(), wall_us });
        if self.transitions.len() > TRANSITIONS {
            self.transitions.pop_front();
        }
    }
}

impl OpenWindow {
    pub(super) fn new(setup: Arc<Setup>) -> OpenWindow {
        OpenWindow {
            counted: WindowState::new(&setup.layout),
            fresh: WindowState::new(&setup.layout),
            setup,
            dirty: false,
            stored: (0, 0),
        }
    }

    /// All that was counted.
    pub(super) fn into_state(mut self) -> WindowState {
        self.counted.merge(&self.setup.layout, &self.fresh);
        self.counted
    }
}

impl OpenPane {
    pub(super) fn new(setup: Arc<Setup>) -> OpenPane {
        OpenPane { counted: PaneState::new(&setup.layout), setup, dirty: false }
    }
}
