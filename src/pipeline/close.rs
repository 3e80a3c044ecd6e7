//! From a boundary that was crossed to a decision: close, judge, decide, tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_alerting::mail::RetrainNote;
use driftline_alerting::outbox::{OutboxRow, Silence};
use driftline_alerting::retrain::{RetrainLimits, RetrainState};
use driftline_alerting::{Acceptance, Observation, Transition, accept, decide};
use driftline_analytics::lane::{Closed, Step};
use driftline_analytics::window::WindowState;

use super::ledger::Counts;
use super::unit::{Closing, OpenPane, OpenWindow, PastWindow, Strip, Unit};
use super::{Effect, Pipeline, Topic, persist};
use crate::checkpoint::{LaneKind, OfWindow, OutboxItem, StoredReport, StoredShapes, WindowKey};
use crate::digest::{IncidentEntry, PaneFigures, WindowDigest};
use crate::judge::{Job, Verdict};
use crate::messages::{Occasion, OutboxBody};
use crate::translate;

/// Closed windows per model that may wait for judge and store before reading waits for them, and so many
/// more: the windows of all models close together, and a model alone may be some ahead of its judge.
const CLOSED_WINDOWS: (usize, usize) = (2, 64);

impl Pipeline {
    /// Whether so many closed windows wait for judge and store that reading must wait for them: a log of
    /// small windows is read faster than they are judged, and each of them is kept until it is. Reading
    /// that `waits` goes on when half of them are in the store, so that one commit serves many.
    pub fn is_behind(&self, waits: bool) -> bool {
        let (of_a_model, more) = CLOSED_WINDOWS;
        let most = of_a_model * self.units.len() + more;
        self.unreported > if waits { most / 2 } else { most }
    }

    /// Windows that closed and are not in the store as reports, counted anew.
    pub(super) fn count_unreported(&self) -> usize {
        let waiting = self.units.iter().flat_map(|unit| &unit.closing);
        let unjudged = waiting.filter(|closing| matches!(closing, Closing::Window { .. })).count();
        let written = self.in_flight.as_ref().map_or(0, |(_, effects)| published(effects));
        unjudged + self.pending.reports.len() + written
    }

    /// Closes what is due in both lanes of a unit, and decides on what can be decided.
    pub(super) fn close_due(&mut self, index: usize, now_us: i64) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let Some(topic) = self.topics.get(unit.topic) else { return };
        let idle_us = unit.setup.model.window.idle_us;
        let quiet = &unit.quiet;
        let idle = |partition: i32| quiet.is_idle(partition, now_us, idle_us);
        let position = |partition: i32| topic.facts.position(partition);
        let drift = unit.drift.advance(now_us, &idle, &position);
        let panes = unit.operations.advance(now_us, &idle, &position);
        unit.note_idle_cuts(topic);
        if drift.is_empty() && panes.is_empty() {
            unit.forget_uncut();
            // What closed before a restart waits for its decision, whether anything closes now or not.
            return self.proceed(index, now_us);
        }
        unit.touch();
        self.urgent |= !drift.is_empty();
        // Decisions follow the order in which windows and panes are due, whatever the batches were.
        let mut closing: Vec<(i64, Closing)> = Vec::new();
        for step in drift {
            match step {
                Step::Carry { from_us, into_us } => {
                    let key = |start_us| WindowKey {
                        model: unit.name().to_owned(),
                        lane: LaneKind::Drift,
                        start_us,
                    };
                    self.pending.carried.push((key(from_us), key(into_us)));
                    self.effects.push(Effect::CarryShadow { unit: index, from_us, into_us });
                    unit.carry(from_us, into_us);
                }
                Step::Close(closed) => {
                    let due_us = unit.drift.due_us(&closed);
                    let increment = unit.last_increment(closed.start_us);
                    self.pending.increments.extend(increment);
                    let window = unit.take_window(closed);
                    self.unreported += usize::from(window.is_some());
                    closing.extend(window.map(|window| (due_us, window)));
                }
            }
        }
        for step in panes {
            if let Step::Close(closed) = step {
                let due_us = closed.end_us + unit.operations.settings().lateness_us;
                closing.extend(unit.take_pane(&closed).map(|pane| (due_us, pane)));
            }
        }
        closing.sort_by_key(|(due_us, _)| *due_us);
        unit.closing.extend(closing.into_iter().map(|(_, closing)| closing));
        unit.forget_uncut();
        self.proceed(index, now_us);
    }

    /// Decides on everything that closed, in order, up to the first window that is being judged.
    pub(super) fn proceed(&mut self, index: usize, now_us: i64) {
        loop {
            let Some(unit) = self.units.get_mut(index) else { return };
            match unit.closing.front_mut() {
                Some(Closing::Window { closed, setup, state, judging }) => {
                    if *judging {
                        return;
                    }
                    *judging = true;
                    let (closed, setup, state) =
                        (closed.clone(), Arc::clone(setup), Arc::clone(state));
                    let job = self.job(index, closed, setup, state);
                    self.effects.extend(job.map(|job| Effect::Judge(Box::new(job))));
                    return;
                }
                Some(Closing::Pane { .. }) => {
                    let Some(Closing::Pane { start_us, setup, state, .. }) =
                        unit.closing.pop_front()
                    else {
                        return;
                    };
                    let model = &setup.model;
                    unit.facts.burn.push(start_us, &state);
                    let figures = PaneFigures::new(start_us, &state);
                    unit.facts.last_pane = Some(figures);
                    let every_us = unit.operations.settings().every_us;
                    self.pending.shown.panes.push(figures.of(&model.name, every_us));
                    let end_us = start_us + unit.operations.settings().every_us;
                    let at_us = end_us + unit.operations.settings().lateness_us;
                    let observation = translate::pane(
                        &unit.facts.burn,
                        &setup,
                        &state,
                        (start_us, end_us),
                        at_us,
                    );
                    let key = WindowKey {
                        model: model.name.clone(),
                        lane: LaneKind::Operations,
                        start_us,
                    };
                    self.pending.dropped.push(key);
                    self.decide(index, &observation, None, now_us);
                }
                None => return,
            }
        }
    }

    /// What the judge needs for a window: also the strip of the log that it stands for.
    fn job(
        &self,
        index: usize,
        closed: Closed,
        setup: Arc<crate::setup::Setup>,
        state: Arc<WindowState>,
    ) -> Option<Job> {
        let unit = self.units.get(index)?;
        let topic = self.topics.get(unit.topic)?;
        let window = translate::window_meta(
            &closed,
            &setup,
            &topic.name,
            &unit.ledger(&closed),
            unit.facts.previous.clone(),
        );
        let mut history = unit.facts.history.clone();
        // What changed concerns the windows that opened under it.
        if Arc::ptr_eq(&setup, &unit.setup) {
            history.changed.clone_from(&unit.facts.changed);
        }
        Some(Job { unit: index, closed, setup, state, window, history })
    }

    /// A window was judged: its report is kept, its model's incidents are decided on.
    pub(super) fn on_verdict(&mut self, verdict: Verdict, now_us: i64) {
        let index = verdict.unit;
        let Some(unit) = self.units.get_mut(index) else { return };
        let Some(Closing::Window { closed, .. }) = unit.closing.pop_front() else { return };
        let report = Arc::new(verdict.report);
        let id = report.window.id.clone();
        unit.facts.history = verdict.history;
        if Arc::ptr_eq(&verdict.setup, &unit.setup) {
            unit.facts.changed.clear();
        }
        unit.forget_strips();
        unit.remember(PastWindow {
            id: id.clone(),
            closed: closed.clone(),
            versions: translate::versions(&report),
            broken: translate::is_broken(&report),
        });
        unit.touch();
        let model = unit.name().to_owned();
        unit.facts.show(&report, closed.start_us);
        let digest = WindowDigest::new(&report, (closed.start_us, closed.end_us));
        let digest = of_window(&model, closed.start_us, &digest);
        self.pending.shown.digests.extend(digest);
        let at_us = closed.end_us + unit.drift.settings().lateness_us;
        let observation = translate::window(&report, &closed, at_us);
        self.pending.dropped.push(WindowKey {
            model: model.clone(),
            lane: LaneKind::Drift,
            start_us: closed.start_us,
        });
        self.pending.reports.push(StoredReport {
            model: model.clone(),
            start_us: closed.start_us,
            end_us: closed.end_us,
            report: verdict.json.clone(),
            history: verdict.told,
            config_sha256: verdict.setup.sha256().to_owned(),
        });
        self.pending.shapes.push(StoredShapes {
            model: model.clone(),
            start_us: closed.start_us,
            shapes: verdict.shapes,
        });
        self.effects.push(Effect::CloseShadow { unit: index, start_us: closed.start_us, id });
        self.publish(model, verdict.json);
        self.after_commit.push(Effect::Published(Arc::clone(&report)));
        self.decide(index, &observation, Some(&report), now_us);
        self.urgent = true;
        self.proceed(index, now_us);
    }

    /// A candidate's record of a window is final: it is kept beside the report, and published.
    pub(super) fn on_scored(&mut self, model: String, start_us: i64, record: String) {
        let document = record.clone().into_bytes();
        let kept = OfWindow { model: model.clone(), start_us, document };
        self.pending.shown.shadow.push(kept);
        self.publish(model, record);
    }

    /// Puts a report or a shadow record into the outbox of the reports topic.
    pub(super) fn publish(&mut self, model: String, record: String) {
        if self.messages.reports_are_published() {
            self.enqueue(OutboxBody::Report { key: model, value: record });
        }
    }

    /// Applies an observation to the incidents of a model and tells what came of it.
    pub(super) fn decide(
        &mut self,
        index: usize,
        observation: &Observation,
        report: Option<&driftline_analytics::report::Report>,
        now_us: i64,
    ) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let (alerts, transitions) = decide(&unit.facts.alerts, observation, &self.rules);
        if unit.facts.alerts != alerts {
            unit.facts.alerts = alerts;
            unit.touch();
        }
        if let Some(report) = report {
            unit.facts.unmoved = translate::unmoved(report);
        }
        let window = matches!(observation.source, driftline_alerting::Source::Window { .. });
        for transition in &transitions {
            self.tell(index, transition, now_us);
        }
        let Some(unit) = self.units.get(index) else { return };
        if window && !self.messages.is_too_old(unit, observation.at_us, now_us) {
            self.retry_retraining(index, observation.at_us);
        }
        if let Some(unit) = self.units.get_mut(index) {
            unit.facts.sent.prune(&unit.facts.alerts);
        }
    }

    /// Writes the messages about a transition into the outbox, and asks for retraining where it helps.
    fn tell(&mut self, index: usize, transition: &Transition, now_us: i64) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let is_too_old = self.messages.is_too_old(unit, transition.at_us, now_us);
        let obstacle = translate::broken_input(&unit.facts.alerts).or_else(|| {
            is_too_old.then(|| "these windows lie in the past, the present comes first".to_owned())
        });
        let before = unit.facts.retrain.clone();
        let (state, decision) = driftline_alerting::retrain::decide(
            &before,
            transition,
            obstacle.as_deref(),
            &retrain_limits(unit),
        );
        unit.facts.retrain = state;
        unit.facts.log(transition, now_us);
        unit.touch();
        let entry = IncidentEntry::Step(Box::new(transition.clone()));
        self.pending.shown.entries.extend(entry.of(&transition.incident, &transition.id, now_us));
        let mut occasion = Occasion::new(unit, transition, 0).with_decision(decision);
        self.request_retraining(index, transition, &mut occasion, &before);
        let Some(unit) = self.units.get_mut(index) else { return };
        let mut rows = self.messages.rows(unit, &occasion);
        if is_too_old {
            rows.retain(|row| row.kind.ends_an_alert());
        } else {
            unit.facts.sent.note(&transition.incident, &transition.id, 0, now_us);
        }
        self.enqueue_rows(rows);
    }

    /// Asks again for the retraining that was held back, with the windows as they are by now: once a
    /// window, and when what was too old to be told is told. Returns what is to be said, by incident.
    pub(super) fn retry_retraining(
        &mut self,
        index: usize,
        at_us: i64,
    ) -> BTreeMap<String, RetrainNote> {
        let mut notes = BTreeMap::new();
        let Some(unit) = self.units.get_mut(index) else { return notes };
        let obstacle = translate::broken_input(&unit.facts.alerts);
        let before = unit.facts.retrain.clone();
        let (state, decisions) = driftline_alerting::retrain::retry(
            &before,
            &unit.facts.alerts,
            at_us,
            obstacle.as_deref(),
            &retrain_limits(unit),
        );
        unit.facts.retrain = state;
        for (incident, decision) in decisions {
            let Some(unit) = self.units.get(index) else { break };
            let windows = incident.windows.into_iter().collect();
            let transition = Transition { at_us, windows, ..incident.last };
            let mut occasion = Occasion::new(unit, &transition, 0).with_decision(decision);
            self.request_retraining(index, &transition, &mut occasion, &before);
            notes.insert(transition.incident, occasion.note().clone());
        }
        notes
    }

    /// Puts the retraining request of an occasion into the store and the outbox.
    fn request_retraining(
        &mut self,
        index: usize,
        transition: &Transition,
        occasion: &mut Occasion,
        before: &RetrainState,
    ) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let topic = self.topics.get(unit.topic).map_or("", |topic| topic.name.as_str());
        let Some(request) = self.messages.request(unit, topic, occasion) else {
            if occasion.asks() {
                unit.facts.retrain.take_back(before, transition.class, transition.at_us);
            }
            return;
        };
        let rows = self.messages.retrain_rows(unit, transition, &request);
        let key = format!("retrain/{}", request.data.retrain_id);
        persist::push(&mut self.pending, key, &request);
        self.after_commit.push(Effect::Requested(Arc::new(request)));
        self.enqueue_rows(rows);
    }

    pub(super) fn enqueue_rows(&mut self, rows: impl IntoIterator<Item = OutboxRow>) {
        for row in rows {
            self.enqueue(OutboxBody::Message(Box::new(row)));
        }
    }

    fn enqueue(&mut self, body: OutboxBody) {
        // An end takes the place of a row that stands: without it, that one would stand for ever.
        let ends = matches!(&body, OutboxBody::Message(row) if row.kind.ends_an_alert());
        let body = match serde_json::to_string(&body) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "a message cannot be written, and is lost");
                return;
            }
        };
        if self.outbox_open >= self.outbox_limit && !ends {
            let sequence = self.next_sequence;
            tracing::error!(
                sequence,
                "the outbox is full, a message is dropped: mend its receiver"
            );
            *self.reached.entry("outbox").or_default() += 1;
            return;
        }
        let item = OutboxItem { sequence: self.next_sequence, body };
        self.next_sequence += 1;
        self.outbox_open += 1;
        self.pending.outbox.push(item.clone());
        self.after_commit.push(Effect::Deliver(item));
        self.urgent = true;
    }

    pub(super) fn on_accept(&mut self, incident: &str, acceptance: &Acceptance) {
        let mut rows = Vec::new();
        for unit in &mut self.units {
            if let Ok(alerts) = accept(&unit.facts.alerts, incident, acceptance.clone()) {
                unit.facts.alerts = alerts;
                unit.touch();
                self.urgent = true;
                let mut open = unit.facts.alerts.incidents();
                if let Some(accepted) = open.find(|open| open.id == incident) {
                    rows.extend(self.messages.accepted(unit, accepted, acceptance));
                }
                let entry = IncidentEntry::Accepted(acceptance.clone());
                self.pending.shown.entries.extend(entry.of(incident, "accepted", acceptance.at_us));
            }
        }
        self.enqueue_rows(rows);
    }

    /// Those that ended are forgotten by the tick that tells what they kept back.
    pub(super) fn on_silence(&mut self, silence: Silence) {
        self.silences.retain(|known| known.id != silence.id);
        self.silences.push(silence);
        self.urgent = true;
    }
}

fn of_window(model: &str, start_us: i64, digest: &WindowDigest) -> Option<OfWindow> {
    let document = serde_json::to_vec(digest).ok()?;
    Some(OfWindow { model: model.to_owned(), start_us, document })
}

fn retrain_limits(unit: &Unit) -> RetrainLimits {
    let retrain = &unit.setup.model.retrain;
    RetrainLimits { cooldown_us: retrain.cooldown_us, max_per_day: retrain.max_per_day }
}

/// How many reports are among these.
pub(super) fn published(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Published(_))).count()
}

impl Unit {
    /// Whether every partition was read to its end and no row of the model came since.
    pub(super) fn is_caught_up(&self) -> bool {
        let mut partitions = self.drift.partitions().peekable();
        partitions.peek().is_some() && partitions.all(|partition| self.quiet.is_quiet(partition))
    }

    fn carry(&mut self, from_us: i64, into_us: i64) {
        let Some(from) = self.windows.remove(&from_us) else { return };
        let OpenWindow { counted, fresh, setup, .. } = from;
        let into = self.windows.entry(into_us).or_insert_with(|| OpenWindow::new(setup));
        // What the store knows of the window that ends here moves with `Snapshot::carried`.
        into.counted.merge(&into.setup.layout, &counted);
        into.fresh.merge(&into.setup.layout, &fresh);
        into.dirty = true;
    }

    fn take_window(&mut self, closed: Closed) -> Option<Closing> {
        let open = self.windows.remove(&closed.start_us)?;
        let setup = Arc::clone(&open.setup);
        let state = Arc::new(open.into_state());
        Some(Closing::Window { closed, setup, state, judging: false })
    }

    fn take_pane(&mut self, closed: &Closed) -> Option<Closing> {
        let open = self.panes.remove(&closed.start_us)?;
        let OpenPane { setup, mut counted, .. } = open;
        let (read, rejected) = self.take_pane_records(closed);
        counted.add_records(read, rejected);
        let state = Arc::new(counted);
        Some(Closing::Pane { start_us: closed.start_us, setup, state, saved: false })
    }

    /// An idle cut lies where the reader stands, so the ledger there is the ledger now: also where the
    /// window is carried and closes later.
    fn note_idle_cuts(&mut self, topic: &Topic) {
        for (partition, offset) in self.drift.take_idle_cuts() {
            self.touch();
            let counts = topic.facts.counts(partition);
            self.facts.strips.push(Strip { partition, offset, counts });
        }
        for (partition, offset) in self.operations.take_idle_cuts() {
            self.note_pane_strip(partition, offset, topic.facts.counts(partition));
        }
    }

    /// What became of the records between the previous window's cuts and this window's.
    fn ledger(&self, closed: &Closed) -> BTreeMap<i32, Counts> {
        let at = |partition: i32, offset: i64| {
            let strips = self.facts.strips.iter().rev();
            let mut of = strips.filter(|strip| strip.partition == partition);
            of.find(|strip| strip.offset == offset).map(|strip| strip.counts).unwrap_or_default()
        };
        let strip = |(&partition, cut): (&i32, &driftline_analytics::lane::Cut)| {
            (partition, at(partition, cut.to) - at(partition, cut.from))
        };
        closed.cuts.iter().map(strip).collect()
    }
}
