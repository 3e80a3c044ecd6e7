//! From observations to transitions: pure, in event time, the same every time.

use std::collections::VecDeque;

use driftline_config::{Level, WindowId};

use crate::fold::{fold, unfold};

use crate::incident::{
    Incident, ModelAlerts, Past, Recent, SUBJECTS_NAMED, SUBJECTS_TOLD, SUBJECTS_TRACKED, Slot,
    Told, Tracked, Transition, TransitionState, WINDOWS_NAMED, hashed_id,
};
use crate::rules::Rules;
use crate::signal::{Class, ClassSignal, Evidence, Observation, Opening, Source};

/// Applies one observation to the state of its model.
///
/// Incomplete windows and classes that are not computable change nothing, nor does a window or pane
/// that was the last one already. The transitions come in order of precedence of their classes.
pub fn decide(
    alerts: &ModelAlerts,
    observation: &Observation,
    rules: &Rules,
) -> (ModelAlerts, Vec<Transition>) {
    let mut after = alerts.clone();
    if matches!(observation.source, Source::Window { complete: false, .. }) {
        return (after, Vec::new());
    }
    let mut transitions = Vec::new();
    for (&class, signal) in &observation.classes {
        // Too few rows to say anything: neither a step towards an incident nor one out of it.
        if signal.level == Level::NotComputable {
            note_unsaid(&mut after, class, observation);
            continue;
        }
        let with_effect =
            class == Class::InputShift && predictions_open(&after, observation, rules);
        let slot = after.slots.entry(class).or_default();
        let look = Look { class, observation, signal, rules, with_effect };
        transitions.extend(look.apply(slot));
    }
    fold(&mut after, &mut transitions);
    unfold(&mut after, &mut transitions, observation, |class| {
        step_id(observation, class, TransitionState::Firing)
    });
    transitions.sort_by_key(|step| step.class);
    name_what_it_looks_like(&mut after, &mut transitions);
    (after, transitions)
}

/// A pane that says nothing is remembered where an incident waits for panes to say that it is over.
fn note_unsaid(alerts: &mut ModelAlerts, class: Class, observation: &Observation) {
    let slot = alerts.slots.get_mut(&class).filter(|slot| slot.incident.is_some());
    if let (Some(slot), Source::Pane { .. }) = (slot, &observation.source) {
        slot.panes.unsaid = slot.panes.unsaid.saturating_add(1);
    }
}

/// Whether an incident of prediction shift opens by this observation: inputs at alarm in the same window
/// then open as its cause, without waiting for one more.
fn predictions_open(alerts: &ModelAlerts, observation: &Observation, rules: &Rules) -> bool {
    let class = Class::PredictionShift;
    let signal = observation.classes.get(&class).filter(|signal| signal.level == Level::Alarm);
    signal.is_some_and(|signal| {
        // The first observation of its kind has no slot yet.
        let mut slot = alerts.slots.get(&class).cloned().unwrap_or_default();
        let look = Look { class, observation, signal, rules, with_effect: false };
        look.apply(&mut slot).is_some_and(|step| step.state == TransitionState::Firing)
    })
}

/// Fills `looks_like` once all classes have been seen, in what is told and in what may be repeated.
fn name_what_it_looks_like(after: &mut ModelAlerts, transitions: &mut [Transition]) {
    let first = after.looks_like();
    for transition in transitions {
        let explained = transition.state != TransitionState::Resolved
            && transition.class.explains()
            && first.is_some_and(|first| first < transition.class);
        if explained {
            transition.looks_like = first.unwrap_or(transition.class);
            let slot = after.slots.get_mut(&transition.class);
            if let Some(incident) = slot.and_then(|slot| slot.incident.as_mut()) {
                incident.last.looks_like = transition.looks_like;
            }
        }
    }
}

/// One class of one observation.
struct Look<'a> {
    class: Class,
    observation: &'a Observation,
    signal: &'a ClassSignal,
    rules: &'a Rules,
    /// Whether what follows from it opens now.
    with_effect: bool,
}

impl Look<'_> {
    fn apply(&self, slot: &mut Slot) -> Option<Transition> {
        let (_, of) = self.needed();
        let lane = self.lane(slot);
        let key = self.key();
        // After a restart the last window may be judged once more. It counted already, and the ids of
        // its transitions would be those that were sent.
        if lane.recent.back().is_some_and(|last| last.key == key) {
            return None;
        }
        let alarming = self.alarming(&slot.told);
        let alarm = !alarming.is_empty()
            || (self.signal.level == Level::Alarm && self.signal.subjects.is_empty());
        let lane = self.lane(slot);
        lane.recent.push_back(Recent { key, start_us: self.start_us(), alarm, subjects: alarming });
        // No longer than the rule looks back: this stands in the checkpoint, per class and model.
        while lane.recent.len() > of as usize {
            lane.recent.pop_front();
        }
        match slot.incident.take() {
            None => self.open(slot),
            Some(incident) if alarm && !self.returned() => self.grow(slot, incident),
            Some(incident) => self.clear(slot, incident),
        }
    }

    fn open(&self, slot: &mut Slot) -> Option<Transition> {
        let (needed, _) = self.needed();
        let lane = self.lane(slot);
        // Two of the last three may be at alarm while the latest is well: nobody is told of trouble that
        // is over.
        let latest_alarms = lane.recent.back().is_some_and(|recent| recent.alarm);
        let opens = match self.signal.opening {
            Opening::AtOnce => true,
            Opening::ByCount => over(lane) >= needed || self.opens_at_once(),
            Opening::ByAnother => false,
        };
        if !latest_alarms || !opens {
            return None;
        }
        let id = self.id(TransitionState::Firing);
        // A run over tolerance may have begun long before the windows that the rule counts: it was
        // over, but not yet with the evidence.
        let since_us = lane
            .recent
            .iter()
            .filter(|recent| recent.alarm)
            .flat_map(|recent| {
                let named = recent.subjects.iter().filter_map(|subject| subject.first_over_us);
                named.chain([recent.start_us])
            })
            .min()
            .unwrap_or(self.observation.at_us);
        let transition = Transition {
            incident: id.clone(),
            since_us,
            over: over(lane),
            of: lane.recent.len() as u32,
            ..self.transition(TransitionState::Firing)
        };
        let mut incident = Incident {
            id,
            class: self.class,
            opened_us: self.observation.at_us,
            since_us,
            accepted: None,
            subjects: Default::default(),
            windows: Default::default(),
            last_change_us: None,
            last: transition,
            folded_into: None,
        };
        for recent in lane.recent.iter_mut().filter(|recent| recent.alarm) {
            if matches!(self.observation.source, Source::Window { .. }) {
                incident.windows.push_back(WindowId::from(recent.key.clone()));
            }
            // Moved, not copied: of thousands of columns the checkpoint holds each once.
            absorb(&mut incident, std::mem::take(&mut recent.subjects));
        }
        lane.raised = true;
        (lane.under, lane.unsaid) = (0, 0);
        incident.mark_reported();
        let subjects = incident.subjects.values().map(|tracked| tracked.peak.clone()).collect();
        incident.last.subjects = strongest(subjects);
        incident.last.subjects_total = incident.subjects.len();
        incident.last.windows = incident.windows.iter().cloned().collect();
        let transition = incident.last.clone();
        slot.incident = Some(incident);
        Some(transition)
    }

    fn grow(&self, slot: &mut Slot, mut incident: Incident) -> Option<Transition> {
        let lane = self.lane(slot);
        lane.raised = true;
        (lane.under, lane.unsaid) = (0, 0);
        let now = lane.recent.back_mut().map(|last| std::mem::take(&mut last.subjects));
        let now = now.unwrap_or_default();
        absorb(&mut incident, now.clone());
        if let Source::Window { id, .. } = &self.observation.source {
            incident.windows.push_back(id.clone());
            while incident.windows.len() > WINDOWS_NAMED {
                incident.windows.pop_front();
            }
        }
        let joined = keys_where(&incident, |tracked| !tracked.known);
        let grown = keys_where(&incident, |tracked| self.has_grown(tracked));
        let is_due = incident.last_change_us.is_none_or(|last_us| {
            self.observation.at_us.saturating_sub(last_us) >= self.rules.change_every_us
        });
        // What is not due is not marked as reported either, so the next transition still names it.
        if (joined.is_empty() && grown.is_empty()) || !is_due {
            slot.incident = Some(incident);
            return None;
        }
        let transition = Transition {
            incident: incident.id.clone(),
            since_us: incident.since_us,
            over: over(lane),
            of: lane.recent.len() as u32,
            subjects: strongest(now),
            subjects_total: incident.subjects.len(),
            joined,
            grown,
            windows: incident.windows.iter().cloned().collect(),
            folded_into: incident.folded_into.clone(),
            consequences: incident.last.consequences.clone(),
            ..self.transition(TransitionState::Changed)
        };
        // Growth is measured against what was told last, else every half more would be told twice.
        incident.mark_reported();
        // An accepted incident that grows is no longer what was accepted.
        incident.accepted = None;
        incident.last_change_us = Some(self.observation.at_us);
        incident.last = transition.clone();
        slot.incident = Some(incident);
        Some(transition)
    }

    fn clear(&self, slot: &mut Slot, incident: Incident) -> Option<Transition> {
        let held = |subject: &&Evidence| incident.subjects.contains_key(&subject.key());
        let mut subjects = self.signal.subjects.iter().filter(held);
        let lane = self.lane(slot);
        // Only what the incident holds decides whether it is over: another column that merely warns
        // would keep it open for ever. Clear is clear of tolerance, not merely of alarm; a column that
        // cannot be computed leaves the count where it is.
        if subjects.clone().any(Evidence::is_over) {
            (lane.under, lane.unsaid) = (0, 0);
        } else if subjects.any(|subject| subject.level == Level::NotComputable) {
            lane.unsaid = lane.unsaid.saturating_add(1);
        } else {
            (lane.under, lane.unsaid) = (lane.under.saturating_add(1), 0);
        }
        let (over, of) = (over(lane), lane.recent.len() as u32);
        // Who raised it must clear it: ten calm minutes say nothing about a day's shares, nor a good
        // day about the last minutes. Who never did has no say.
        let is_clear = |lane: &Past, needed: u32| !lane.raised || lane.under >= needed;
        let panes_clear = is_clear(&slot.panes, self.rules.clear_panes) || self.outlasts(slot);
        let cleared = is_clear(&slot.windows, self.rules.clear_windows)
            && panes_clear
            && is_clear(&slot.wall, 1);
        if !cleared {
            slot.incident = Some(incident);
            return None;
        }
        let told = self.told(slot, &incident);
        *slot = Slot { told, ..Slot::default() };
        slot.resume(self.key(), self.start_us(), &self.observation.source);
        let peaks = incident.subjects.values().map(|tracked| tracked.peak.clone()).collect();
        Some(Transition {
            incident: incident.id,
            since_us: incident.since_us,
            over,
            of,
            subjects: strongest(peaks),
            subjects_total: incident.subjects.len(),
            windows: incident.windows.into_iter().collect(),
            quiet: incident.accepted.is_some(),
            folded_into: incident.folded_into,
            ..self.transition(TransitionState::Resolved)
        })
    }

    /// Whether whole windows are good where panes have said nothing since they were bad: where traffic
    /// stays thin, no pane ever would.
    fn outlasts(&self, slot: &Slot) -> bool {
        let Source::Window { start_us, .. } = self.observation.source else { return false };
        let bad = slot.panes.recent.iter().filter(|pane| pane.alarm).map(|pane| pane.start_us);
        slot.panes.unsaid >= self.rules.clear_panes
            && slot.windows.under >= self.rules.clear_windows
            && bad.max().is_none_or(|bad_us| bad_us < start_us)
    }

    /// How many of how many must be at alarm.
    fn needed(&self) -> (u32, u32) {
        let rules = self.rules;
        match (&self.observation.source, self.class) {
            (Source::Window { .. }, class) if class.is_drift() => {
                (rules.drift_windows, rules.drift_of.max(1))
            }
            // One pane holds few rows, and a burst of bad ones is nobody's business; a broken window is.
            (Source::Pane { .. }, Class::BrokenInput) => {
                (rules.broken_panes, rules.broken_of.max(1))
            }
            _ => (1, 1),
        }
    }

    fn opens_at_once(&self) -> bool {
        let far_over = |subject: &Evidence| {
            let both = subject.bound.zip(subject.tolerance);
            subject.level == Level::Alarm
                && both.is_some_and(|(bound, tolerance)| {
                    tolerance > 0.0 && bound > self.rules.at_once * tolerance
                })
        };
        self.class.is_drift() && (self.with_effect || self.signal.subjects.iter().any(far_over))
    }

    /// Whether everything at alarm is so by earlier windows alone.
    fn returned(&self) -> bool {
        let at_alarm = |subject: &&Evidence| subject.level == Level::Alarm;
        let mut alarming = self.signal.subjects.iter().filter(at_alarm).peekable();
        alarming.peek().is_some() && alarming.all(|subject| subject.returned)
    }

    fn has_grown(&self, tracked: &Tracked) -> bool {
        let both = tracked.peak.value.zip(tracked.reported);
        both.is_some_and(|(peak, reported)| reported > 0.0 && peak >= self.rules.grown * reported)
    }

    /// What is at alarm, without what panes have told of this window's time.
    fn alarming(&self, told: &VecDeque<Told>) -> Vec<Evidence> {
        let is_told = |subject: &&Evidence| match self.observation.source {
            Source::Window { start_us, end_us, .. } => told.iter().any(|told| {
                told.key == subject.key() && told.from_us < end_us && start_us < told.to_us
            }),
            Source::Pane { .. } | Source::Wall => false,
        };
        let at_alarm = self.signal.subjects.iter().filter(|it| it.level == Level::Alarm);
        let mut subjects: Vec<Evidence> =
            at_alarm.filter(|subject| !is_told(subject)).map(finite).collect();
        subjects.sort_by(Evidence::by_strength);
        subjects.truncate(SUBJECTS_TRACKED);
        subjects
    }

    /// What panes have told by the end of an incident.
    fn told(&self, slot: &mut Slot, incident: &Incident) -> VecDeque<Told> {
        let mut told = std::mem::take(&mut slot.told);
        if let Source::Pane { end_us, .. } = self.observation.source {
            told.extend(incident.subjects.keys().map(|key| Told {
                key: key.clone(),
                from_us: incident.since_us,
                to_us: end_us,
            }));
        }
        told.drain(..told.len().saturating_sub(SUBJECTS_TOLD));
        told
    }

    fn lane<'s>(&self, slot: &'s mut Slot) -> &'s mut Past {
        match self.observation.source {
            Source::Window { .. } => &mut slot.windows,
            Source::Pane { .. } => &mut slot.panes,
            Source::Wall => &mut slot.wall,
        }
    }

    fn key(&self) -> String {
        key(self.observation)
    }

    fn start_us(&self) -> i64 {
        match self.observation.source {
            Source::Window { start_us, .. } | Source::Pane { start_us, .. } => start_us,
            Source::Wall => self.observation.at_us,
        }
    }

    fn id(&self, state: TransitionState) -> String {
        step_id(self.observation, self.class, state)
    }

    /// A transition with what every one has; the rest is filled in by its maker.
    fn transition(&self, state: TransitionState) -> Transition {
        Transition {
            id: self.id(state),
            model: self.observation.model.clone(),
            class: self.class,
            looks_like: self.class,
            incident: String::new(),
            state,
            at_us: self.observation.at_us,
            since_us: self.observation.at_us,
            subjects: Vec::new(),
            subjects_total: 0,
            joined: Vec::new(),
            grown: Vec::new(),
            over: 0,
            of: 0,
            panes: matches!(self.observation.source, Source::Pane { .. }),
            windows: Vec::new(),
            promise: if state == TransitionState::Resolved {
                Vec::new()
            } else {
                self.signal.promise.clone()
            },
            quiet: false,
            folded_into: None,
            consequences: Vec::new(),
        }
    }
}

impl Slot {
    /// Has a fresh slot know the last window or pane, so that seeing it again is nothing new. What came
    /// before the end of an incident does not count towards the next.
    fn resume(&mut self, key: String, start_us: i64, source: &Source) {
        let last = Recent { key, start_us, alarm: false, subjects: Vec::new() };
        match source {
            Source::Window { .. } => self.windows.recent.push_back(last),
            Source::Pane { .. } => self.panes.recent.push_back(last),
            Source::Wall => self.wall.recent.push_back(last),
        }
    }
}

/// What tells an observation from every other of its model.
fn key(observation: &Observation) -> String {
    match &observation.source {
        Source::Window { id, .. } => id.to_string(),
        Source::Pane { start_us, end_us } => format!("pane {start_us} {end_us}"),
        Source::Wall => format!("wall {}", observation.at_us),
    }
}

fn step_id(observation: &Observation, class: Class, state: TransitionState) -> String {
    hashed_id(&[&observation.model, class.name(), &key(observation), state.name()])
}

fn over(lane: &Past) -> u32 {
    lane.recent.iter().filter(|recent| recent.alarm).count() as u32
}

/// Takes subjects at alarm into an incident, keeping each at its peak.
fn absorb(incident: &mut Incident, subjects: Vec<Evidence>) {
    for subject in subjects {
        let key = subject.key();
        if let Some(tracked) = incident.subjects.get_mut(&key) {
            // Also where both are equal, or neither has a number: the newest sentence is the true one. Of
            // panes the share of more rows is the truer one, however small.
            let is_truer =
                subject.rows.zip(tracked.peak.rows).is_some_and(|(now, peak)| now > peak);
            if is_truer || subject.value >= tracked.peak.value {
                tracked.peak = subject;
            }
        // A bound on the checkpoint; versions come and go for as long as an incident is open.
        } else if incident.subjects.len() < SUBJECTS_TRACKED {
            let tracked = Tracked { peak: subject, reported: None, known: false };
            incident.subjects.insert(key, tracked);
        }
    }
}

fn strongest(mut subjects: Vec<Evidence>) -> Vec<Evidence> {
    subjects.sort_by(Evidence::by_strength);
    subjects.truncate(SUBJECTS_NAMED);
    subjects
}

fn keys_where(incident: &Incident, wanted: impl Fn(&Tracked) -> bool) -> Vec<String> {
    let chosen = incident.subjects.iter().filter(|(_, tracked)| wanted(tracked));
    chosen.map(|(key, _)| key.clone()).take(SUBJECTS_NAMED).collect()
}

/// JSON has no NaN: a number that is not finite is no number, before and after a restart alike.
fn finite(subject: &Evidence) -> Evidence {
    let keep = |number: Option<f64>| number.filter(|number| number.is_finite());
    Evidence {
        value: keep(subject.value),
        bound: keep(subject.bound),
        tolerance: keep(subject.tolerance),
        ..subject.clone()
    }
}
