//! One cause, one opening message: what follows from an incident is folded into it.

use std::collections::{BTreeMap, BTreeSet};

use driftline_config::Level;

use crate::incident::{Consequence, Incident, ModelAlerts, Transition, TransitionState};
use crate::signal::{Class, Evidence, Observation};

/// Folds what opens now into the open incident that it follows from, which may open by the same
/// observation.
pub(crate) fn fold(alerts: &mut ModelAlerts, transitions: &mut [Transition]) {
    let open: BTreeMap<String, Option<String>> = alerts
        .incidents()
        .map(|incident| (incident.id.clone(), incident.folded_into.clone()))
        .collect();
    let opened = |id: &str| {
        let is_it = |step: &&Transition| step.incident == id;
        transitions.iter().filter(is_it).any(|step| step.state == TransitionState::Firing)
    };
    let mut folded: Vec<(Class, String)> = Vec::new();
    for effect in alerts.incidents().filter(|incident| opened(&incident.id)) {
        let mut causes = alerts.incidents().filter(|cause| cause.id != effect.id);
        // Most incidents follow from nothing.
        let Some(cause) = causes.find(|cause| causes_it(cause, effect)) else { continue };
        folded.push((effect.class, cause.folded_into.clone().unwrap_or_else(|| cause.id.clone())));
    }
    for (class, cause) in folded {
        // The cause of a cause speaks for both.
        let cause = open.get(&cause).cloned().flatten().unwrap_or(cause);
        fold_one(alerts, transitions, class, &cause);
    }
}

/// What is at alarm though its cause is over stands for itself again, and is told as if it opened now,
/// under what `id` gives its class. By the observation and not by the clock, so that the same log says
/// the same.
pub(crate) fn unfold(
    alerts: &mut ModelAlerts,
    transitions: &mut Vec<Transition>,
    observation: &Observation,
    id: impl Fn(Class) -> String,
) {
    let open: BTreeSet<String> = alerts.incidents().map(|incident| incident.id.clone()).collect();
    for (class, signal) in &observation.classes {
        let incident = alerts.slots.get_mut(class).and_then(|slot| slot.incident.as_mut());
        let outlasts = |incident: &&mut Incident| {
            incident.folded_into.as_ref().is_some_and(|cause| !open.contains(cause))
        };
        // Most classes have no incident, and most incidents stand for themselves.
        let Some(incident) = incident.filter(outlasts) else { continue };
        if signal.level != Level::Alarm {
            continue;
        }
        incident.folded_into = None;
        // Where it grew at the same time, that is the first that is told of it.
        let grown = transitions.iter().position(|step| step.incident == incident.id);
        let grown = grown.map(|place| transitions.remove(place));
        let step = Transition {
            id: id(*class),
            state: TransitionState::Firing,
            at_us: observation.at_us,
            folded_into: None,
            ..grown.unwrap_or_else(|| incident.last.clone())
        };
        incident.last = step.clone();
        transitions.push(step);
    }
}

fn fold_one(alerts: &mut ModelAlerts, transitions: &mut [Transition], class: Class, cause: &str) {
    let slot = alerts.slots.get_mut(&class);
    let Some(effect) = slot.and_then(|slot| slot.incident.as_mut()) else { return };
    effect.folded_into = Some(cause.to_owned());
    effect.last.folded_into.clone_from(&effect.folded_into);
    let consequence = Consequence {
        class,
        incident: effect.id.clone(),
        subjects: effect.last.subjects.iter().map(|evidence| evidence.subject.clone()).collect(),
        because: effect.last.subjects.first().map(|it| it.because.clone()).unwrap_or_default(),
    };
    for step in transitions.iter_mut() {
        if step.incident == consequence.incident {
            step.folded_into = Some(cause.to_owned());
        } else if step.incident == cause && step.state != TransitionState::Resolved {
            add(&mut step.consequences, &consequence);
        }
    }
    let mut open = alerts.slots.values_mut().filter_map(|slot| slot.incident.as_mut());
    if let Some(cause) = open.find(|open| open.id == cause) {
        add(&mut cause.last.consequences, &consequence);
    }
}

fn add(known: &mut Vec<Consequence>, consequence: &Consequence) {
    known.retain(|other| other.class != consequence.class);
    known.push(consequence.clone());
}

/// Whether one incident is what another follows from: a broken column shifts itself and the predictions,
/// shifted inputs shift the predictions, and records that cannot be read are no silence.
fn causes_it(cause: &Incident, effect: &Incident) -> bool {
    let subjects = || cause.subjects.values().map(|tracked| &tracked.peak);
    match (cause.class, effect.class) {
        (Class::BrokenInput, Class::InputShift) => {
            let is_broken = |moved: &Evidence| subjects().any(|it| it.subject == moved.subject);
            effect.subjects.values().all(|tracked| is_broken(&tracked.peak))
        }
        (Class::BrokenInput, Class::PredictionShift) => {
            subjects().any(|it| it.subject.column().is_some())
        }
        (Class::BrokenInput, Class::NoData) => subjects().any(|it| it.check == "rejected"),
        (Class::InputShift | Class::Release, Class::PredictionShift) => true,
        _ => false,
    }
}
