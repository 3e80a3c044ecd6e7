//! One model's decisions, in the order in which its windows and panes closed: judge, decide, tell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use driftline_alerting::mail::Unmoved;
use driftline_alerting::outbox;
use driftline_alerting::repeat::Sent;
use driftline_alerting::retrain::{RetrainState, decide as ask};
use driftline_alerting::{
    Evidence, ModelAlerts, Observation, Source, Transition, TransitionState, decide,
};
use driftline_analytics::budget::ScaleHistory;
use driftline_analytics::burn::{BrokenRuns, BurnWindow, StrayShare, broken_input};
use driftline_analytics::judgement::{AcceptedEffect, History};
use driftline_analytics::lane::{Closed, ClosingLane, PerLane, StrayKind};
use driftline_analytics::pane::PaneRecords;
use driftline_analytics::report::{Report, WindowMeta};
use driftline_config::{ModelId, Partition, WindowId, hex};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::ahead::AheadRows;
use super::lanes::{PaneStrips, Strip};
use super::rejects::RejectMark;
use super::retrain;
use super::silence::{Heard, Silences};
use crate::Effect;
use crate::counting::closed::{ClosedPane, ClosedWindow, Closing};
use crate::counting::model::LateRow;
use crate::digest::{IncidentEntry, LastWindow, PaneFigures, SPARKS, Spark, WindowDigest};
use crate::judge::{Job, Verdict};
use crate::messages::Occasion;
use crate::retraining;
use crate::setup::Setup;
use crate::signals;
use crate::snapshot::{
    LaneKind, OutboxBody, StoredReport, StoredShapes, WindowDocument, WindowKey,
};
use crate::unmoved::unmoved;

/// Closed windows that are remembered for retraining requests: a request names at most 100 windows,
/// and its history reaches back as far as these do.
const PAST_WINDOWS: usize = 1000;
/// Late rows whose offsets are remembered, so that a retraining request can leave them out. Beyond
/// it the oldest are forgotten and requests over their windows say that they are not complete.
const LATE_OFFSETS: usize = 100_000;
/// Panes that together say whether there are rows enough to judge their times.
const RECENT_PANES: usize = 10;
/// Transitions that the history of alerts holds per model.
const TRANSITIONS: usize = 500;

/// One model with everything that was decided about it.
#[derive(Debug)]
pub(crate) struct ModelDecider {
    pub(crate) id: ModelId,
    pub(crate) setup: Arc<Setup>,
    pub(crate) topic: Arc<str>,
    /// Its windows and panes, from their first row to their end.
    pub(crate) lanes: PerLane<ClosingLane>,
    /// Partitions that were read to their end, and no row of the model came since.
    pub(crate) at_end: BTreeSet<Partition>,
    /// Windows and panes that closed and have not been decided on, in order of closing.
    pub(crate) closing: VecDeque<Closing>,
    pub(crate) facts: DecidingFacts,
    pub(crate) dirty: bool,
    /// The newest windows in coarse cells. They are large, so they are kept apart from the rest and
    /// written only when they changed.
    pub(crate) newest: ScaleHistory,
    pub(crate) newest_dirty: bool,
    revision: u64,
    /// Wall time of the start.
    started_us: i64,
    /// Wall time of the last accepted row since.
    pub(crate) last_row_wall_us: Option<i64>,
    /// When rows of each partition came since the start.
    pub(crate) heard: Heard,
    /// Where the topic stood when the last row came.
    pub(crate) reject_mark: Option<RejectMark>,
    /// Where each partition's log begins, as the broker said last.
    pub(crate) log_starts: BTreeMap<Partition, i64>,
    /// Candidates that were loaded, by name; with since when and why, where they are not scored.
    pub(crate) candidates: BTreeMap<String, Option<(i64, String)>>,
}

/// What the checkpoint keeps of a model's decisions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecidingFacts {
    pub alerts: ModelAlerts,
    /// What was last sent about each incident.
    pub sent: Sent,
    pub retrain: RetrainState,
    /// What the next judgement knows of the earlier ones.
    pub history: History,
    pub burn: BurnWindow,
    /// Shares that were at alarm in the last panes.
    #[serde(default)]
    pub broken_runs: BrokenRuns,
    /// Windows that were decided on, oldest first.
    pub past: VecDeque<PastWindow>,
    /// The topic's ledger at each cut that a window may still need.
    pub strips: Vec<Strip>,
    /// The records at each cut that a pane may still need.
    #[serde(default)]
    pub pane_strips: PaneStrips,
    #[serde(default)]
    pub silences: Silences,
    /// Rows that were ahead, until windows of their time have closed.
    #[serde(default)]
    pub ahead_rows: AheadRows,
    /// Rows of the model in each of the last panes, oldest first.
    #[serde(default)]
    pub recent_panes: VecDeque<StrayShare>,
    /// Offsets of late rows, oldest first.
    pub late_rows: VecDeque<LateRow>,
    /// Of each open window and partition, when its first row was stamped by the log.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub first_stamps: BTreeMap<i64, BTreeMap<Partition, i64>>,
    /// Whether offsets of late rows had to be forgotten, and up to which event time.
    pub late_forgotten_us: Option<i64>,
    pub previous: Option<WindowId>,
    /// What changed in the settings and has not been told in a report.
    pub changed: Vec<String>,
    /// What the last report said of the quantities that mails list as not moved.
    pub unmoved: Vec<Unmoved>,
    pub transitions: VecDeque<Logged>,
    /// The last window, for those who look at all models.
    #[serde(default)]
    pub last_window: Option<LastWindow>,
    /// How strong the strongest finding of each of the last windows was, oldest first.
    #[serde(default)]
    pub sparks: VecDeque<Spark>,
    #[serde(default)]
    pub last_pane: Option<PaneFigures>,
}

/// A transition and when it was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    pub transition: Transition,
    /// Wall time of the decision.
    pub wall_us: i64,
}

/// A window that has been decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastWindow {
    pub id: WindowId,
    pub closed: Closed,
    /// Versions that answered in it; `None` where there were too many to name.
    pub versions: Option<Vec<String>>,
    /// Whether its input was broken: nobody should train on it.
    #[serde(default)]
    pub broken: bool,
    /// When the first row of each partition was stamped by the log.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub first_stamps: BTreeMap<Partition, i64>,
}

impl ModelDecider {
    pub(crate) fn new(
        id: ModelId,
        setup: Arc<Setup>,
        topic: Arc<str>,
        started_us: i64,
    ) -> ModelDecider {
        ModelDecider {
            id,
            lanes: setup.lanes().map(ClosingLane::new),
            at_end: BTreeSet::new(),
            setup,
            topic,
            closing: VecDeque::new(),
            facts: DecidingFacts::default(),
            dirty: true,
            newest: ScaleHistory::default(),
            newest_dirty: false,
            revision: 0,
            started_us,
            last_row_wall_us: None,
            heard: Heard::default(),
            reject_mark: None,
            log_starts: BTreeMap::new(),
            candidates: BTreeMap::new(),
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

    /// Since when, on the wall clock, no row was accepted. Before the first, since the start: what came
    /// while nobody read is not silence.
    pub(crate) fn silent_since_us(&self) -> i64 {
        self.last_row_wall_us.unwrap_or(self.started_us)
    }

    pub(crate) fn unjudged_windows(&self) -> usize {
        self.closing.iter().filter(|closing| matches!(closing, Closing::Window(_))).count()
    }

    /// Rows came; those that no window took are remembered.
    pub(crate) fn note_rows(&mut self, untaken: Vec<(StrayKind, LateRow)>, now_us: i64) {
        self.last_row_wall_us = Some(now_us);
        for (kind, row) in untaken {
            if kind == StrayKind::Ahead {
                self.facts.ahead_rows.add(row.time_us, row.partition, row.offset);
                continue;
            }
            self.facts.late_rows.push_back(row);
            if self.facts.late_rows.len() > LATE_OFFSETS
                && let Some(forgotten) = self.facts.late_rows.pop_front()
            {
                self.facts.late_forgotten_us =
                    self.facts.late_forgotten_us.max(Some(forgotten.time_us));
            }
        }
    }

    /// Decides on everything that closed, in order, up to the first window that is being judged: one at a
    /// time, since each judgement knows the one before.
    pub(crate) fn proceed(&mut self, desk: &mut Desk<'_>) {
        loop {
            match self.closing.pop_front() {
                Some(Closing::Pane(pane)) => self.decide_pane(&pane, desk),
                Some(Closing::Window(mut window)) => {
                    if !std::mem::replace(&mut window.judging, true) {
                        let job = self.job(&window);
                        desk.outlet.effects.push(Effect::Judge(Box::new(job)));
                    }
                    self.closing.push_front(Closing::Window(window));
                    return;
                }
                None => return,
            }
        }
    }

    fn decide_pane(&mut self, pane: &ClosedPane, desk: &mut Desk<'_>) {
        let ClosedPane { start_us, setup, state, .. } = pane;
        let (start_us, operations) = (*start_us, &self.setup.model.operations);
        let (every_us, lateness_us) = (operations.every_us, operations.lateness_us);
        self.facts.burn.push(start_us, state);
        let figures = PaneFigures::new(start_us, state);
        self.facts.last_pane = Some(figures);
        desk.outlet.pending.shown.panes.push(figures.of(&setup.model.name, every_us));
        let at_us = start_us + every_us + lateness_us;
        let recent = self.recent_strays(state.records());
        let runs = &mut self.facts.broken_runs;
        let health = broken_input(&setup.model, &setup.layout, state, recent, runs);
        let health = runs.take(start_us, health);
        let observation = signals::of_pane(&self.facts.burn, pane, health, at_us);
        desk.outlet.pending.dropped.push(self.key(LaneKind::Operations, start_us));
        self.decide(&observation, None, desk);
    }

    /// Takes a pane in, and sums up the last ones.
    fn recent_strays(&mut self, records: &PaneRecords) -> StrayShare {
        let strays = records.clocks.iter().map(|(_, counts)| counts.strays()).sum();
        let panes = &mut self.facts.recent_panes;
        panes.push_back(StrayShare { rows: records.rows, strays });
        if panes.len() > RECENT_PANES {
            panes.pop_front();
        }
        let rows = panes.iter().map(|pane| pane.rows).sum();
        StrayShare { rows, strays: panes.iter().map(|pane| pane.strays).sum() }
    }

    /// What the judge needs for a window: also what it knows of the windows before.
    fn job(&self, window: &ClosedWindow) -> Job {
        let ClosedWindow { closed, setup, state, ledger, pairs, .. } = window;
        let meta = WindowMeta {
            id: WindowId::new(&setup.model.name, closed.start_us, &setup.model.window.grid()),
            start_us: closed.start_us,
            end_us: closed.end_us,
            timezone: setup.model.window.timezone.clone(),
            parts: closed.parts,
            incomplete: closed.incomplete.clone(),
            previous: self.facts.previous.clone(),
            ledger: *ledger,
            cuts: [(self.topic.to_string(), closed.cuts.clone())].into(),
            ahead: closed.ahead.clone(),
            ahead_forgotten: closed.ahead_forgotten,
            pairs: *pairs,
        };
        let mut history = self.facts.history.clone();
        // What changed concerns the windows that opened under it.
        if Arc::ptr_eq(setup, &self.setup) {
            history.changed.clone_from(&self.facts.changed);
        }
        history.accepted = self.accepted();
        let (setup, state) = (Arc::clone(setup), Arc::clone(state));
        Job { model: self.id, setup, state, window: meta, history, newest: self.newest.clone() }
    }

    /// What somebody accepted, and was over in every window since: a column that returned counts again.
    fn accepted(&self) -> Vec<AcceptedEffect> {
        let over = &self.facts.history.first_over;
        let accepted = self.facts.alerts.accepted();
        let still = accepted.filter(|(evidence, _, told_us)| {
            // What is not over has returned.
            over.get(&evidence.key()).is_some_and(|first_us| first_us < told_us)
        });
        let effect = |(evidence, effect, _): (&Evidence, f64, i64)| AcceptedEffect {
            subject: evidence.subject.clone(),
            check: evidence.check.clone(),
            effect,
        };
        still.map(effect).collect()
    }

    /// A window was judged: its report is kept, the incidents are decided on. False where none waits.
    pub(crate) fn take_verdict(&mut self, verdict: Verdict, desk: &mut Desk<'_>) -> bool {
        let window = match self.closing.pop_front() {
            Some(Closing::Window(window)) => window,
            other => {
                tracing::error!(
                    model = self.name(),
                    "a verdict came for which no window waits, which is a defect: it is dropped"
                );
                if let Some(other) = other {
                    self.closing.push_front(other);
                }
                return false;
            }
        };
        let closed = window.closed;
        self.forget_strips();
        let report = Arc::new(verdict.report);
        let id = report.window.id.clone();
        self.facts.history = verdict.history;
        self.newest_dirty |= self.newest != verdict.newest;
        self.newest = verdict.newest;
        if Arc::ptr_eq(&verdict.setup, &self.setup) {
            self.facts.changed.clear();
        }
        let past = PastWindow {
            id: id.clone(),
            closed: closed.clone(),
            versions: retraining::versions(&report),
            broken: retraining::is_broken(&report),
            first_stamps: self.facts.first_stamps.remove(&closed.start_us).unwrap_or_default(),
        };
        self.remember(past);
        self.show(&report, closed.start_us);
        self.touch();
        let (model, start_us) = (self.name().to_owned(), closed.start_us);
        let pending = &mut desk.outlet.pending;
        let digest = WindowDigest::new(&report, start_us..closed.end_us);
        pending.shown.digests.extend(WindowDocument::new(&model, start_us, &digest));
        pending.dropped.push(self.key(LaneKind::Drift, start_us));
        pending.reports.push(StoredReport {
            model: model.clone(),
            start_us,
            end_us: closed.end_us,
            report: verdict.json.clone(),
            history: verdict.told,
            config_sha256: verdict.setup.sha256().to_owned(),
            coarse: self.coarse(start_us),
        });
        let shapes = verdict.shapes;
        pending.shapes.push(StoredShapes { model: model.clone(), start_us, shapes });
        desk.outlet.effects.push(Effect::CloseShadow { model: self.id, start_us, id });
        self.publish(verdict.json, desk);
        desk.outlet.after_commit.push(Effect::Published(Arc::clone(&report)));
        let at_us = closed.end_us + self.setup.model.window.lateness_us;
        let observation = signals::of_window(&report, &closed, &window.records, at_us);
        self.decide(&observation, Some(&report), desk);
        desk.outlet.urgent = true;
        self.proceed(desk);
        true
    }

    /// A candidate's record of a window is final: it is kept beside the report, and published.
    pub(crate) fn take_shadow_record(&self, start_us: i64, record: String, desk: &mut Desk<'_>) {
        let document = record.clone().into_bytes();
        let kept = WindowDocument { model: self.name().to_owned(), start_us, document };
        desk.outlet.pending.shown.shadow.push(kept);
        self.publish(record, desk);
    }

    /// Puts a report or a shadow record into the outbox of the reports topic.
    fn publish(&self, value: String, desk: &mut Desk<'_>) {
        if desk.messages.reports_are_published() {
            let key = self.name().to_owned();
            desk.outbox.put(OutboxBody::Report { key, value }, desk.outlet);
        }
    }

    /// Applies an observation to the incidents and tells what came of it.
    pub(crate) fn decide(
        &mut self,
        observation: &Observation,
        report: Option<&Report>,
        desk: &mut Desk<'_>,
    ) {
        let (alerts, transitions) = decide(&self.facts.alerts, observation, desk.rules);
        if self.facts.alerts != alerts {
            self.facts.alerts = alerts;
            self.touch();
        }
        if let Some(report) = report {
            self.facts.unmoved = unmoved(report);
        }
        // What an incident held would stand in the longer scales for windows to come.
        if transitions.iter().any(ends_of_windows) && !self.newest.is_empty() {
            self.newest.restart();
            self.newest_dirty = true;
        }
        for transition in &transitions {
            self.tell(transition, desk);
        }
        let is_window = matches!(observation.source, Source::Window { .. });
        if is_window && !self.is_too_old(observation.at_us, desk) {
            self.retry_retraining(observation.at_us, desk);
        }
        self.facts.sent.prune(&self.facts.alerts);
    }

    /// Whether a transition of this event time is recorded rather than sent.
    fn is_too_old(&self, at_us: i64, desk: &Desk<'_>) -> bool {
        let limit_us = desk.messages.max_age_us(self.setup.model.window.every_us);
        outbox::is_too_old(at_us, desk.now_us, limit_us)
    }

    /// Writes the messages about a transition into the outbox, and asks for retraining where it helps.
    fn tell(&mut self, transition: &Transition, desk: &mut Desk<'_>) {
        let is_too_old = self.is_too_old(transition.at_us, desk);
        let obstacle = retraining::broken_input(&self.facts.alerts).or_else(|| {
            is_too_old.then(|| "these windows lie in the past, the present comes first".to_owned())
        });
        let limits = self.retrain_limits();
        // Where nobody is told, nothing is asked for: no cooldown begins.
        let obstacle = obstacle.or_else(|| {
            (!desk.messages.takes_requests(self)).then(|| retrain::NOBODY_ASKED.to_owned())
        });
        // What follows from another incident is that one's business; it is asked again once it is not.
        let obstacle = obstacle.or_else(|| {
            let follows = transition.folded_into.is_some();
            follows.then(|| "this follows from another incident of the model".to_owned())
        });
        let obstacle = obstacle.or_else(|| self.waits_for_rows(transition, transition.at_us));
        let (state, decision) = ask(&self.facts.retrain, transition, obstacle.as_deref(), &limits);
        let before = std::mem::replace(&mut self.facts.retrain, state);
        self.log(transition, desk.now_us);
        self.touch();
        let entry = IncidentEntry::Step(Box::new(transition.clone()));
        let entry = entry.of(&transition.incident, &transition.id, desk.now_us);
        desk.outlet.pending.shown.entries.extend(entry);
        let note = self.request_retraining(transition, decision, &before, desk);
        let mut rows = desk.messages.rows(self, &Occasion::new(self, transition, 0, note));
        if transition.folded_into.is_some() {
            // Told by its cause.
        } else if is_too_old {
            rows.retain(|row| row.kind.ends_an_alert());
        } else {
            self.facts.sent.note(&transition.incident, &transition.id, 0, desk.now_us);
        }
        desk.say(rows);
    }

    fn remember(&mut self, past: PastWindow) {
        let first = self.facts.past.front().map_or(i64::MAX, |first| first.closed.start_us);
        let oldest_us = past.closed.start_us.min(first);
        self.facts.previous = Some(past.id.clone());
        self.facts.past.push_back(past);
        if self.facts.past.len() > PAST_WINDOWS {
            self.facts.past.pop_front();
        }
        self.facts.late_rows.retain(|row| row.time_us >= oldest_us);
    }

    fn show(&mut self, report: &Report, start_us: i64) {
        self.facts.last_window = Some(LastWindow::new(report));
        self.facts.sparks.push_back(Spark::new(report, start_us));
        if self.facts.sparks.len() > SPARKS {
            self.facts.sparks.pop_front();
        }
    }

    fn log(&mut self, transition: &Transition, wall_us: i64) {
        self.facts.transitions.push_back(Logged { transition: transition.clone(), wall_us });
        if self.facts.transitions.len() > TRANSITIONS {
            self.facts.transitions.pop_front();
        }
    }

    /// A window in coarse cells, where it is the newest that is kept.
    fn coarse(&self, start_us: i64) -> String {
        let newest = self.newest.windows().last().filter(|window| window.start_us == start_us);
        newest.map_or_else(String::new, |window| hex(&window.bytes))
    }

    fn key(&self, lane: LaneKind, start_us: i64) -> WindowKey {
        WindowKey::new(self.name(), lane, start_us)
    }
}

/// Whether an incident that windows raised is over.
fn ends_of_windows(transition: &Transition) -> bool {
    transition.state == TransitionState::Resolved && !transition.windows.is_empty()
}
