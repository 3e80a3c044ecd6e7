//! One cause, one opening message; and what people took back is told again.

use std::collections::BTreeMap;

use driftline_config::Level;
use driftline_config::time::{DAY_US, MINUTE_US};

use super::story::{START_US, Watch, observation_of, subject};
use crate::outbox::{Silence, rows_for};
use crate::repeat::{Moment, RepeatRules, Sent};
use crate::{
    AcceptError, Acceptance, Class, ClassSignal, Evidence, ModelAlerts, Observation, Rules, Source,
    Transition, TransitionState, accept, decide, take_back,
};

/// What is seen of each class.
type Day = [(Class, ClassSignal)];
/// A class of which somebody is told, and what follows from it.
type Told = (Class, Vec<Class>);

fn alarm(subjects: &[(&str, &str, f64)]) -> ClassSignal {
    let evidence = |(name, check, bound): &(&str, &str, f64)| Evidence {
        subject: (*name).into(),
        check: (*check).to_owned(),
        because: format!("{name} is not as it was"),
        ..subject("", Level::Alarm, bound + 0.1, *bound)
    };
    ClassSignal::new(Level::Alarm, subjects.iter().map(evidence).collect())
}

/// Days, each with these classes; what was said on each.
fn live(days: &[&Day]) -> (ModelAlerts, Vec<Vec<Transition>>) {
    let mut alerts = ModelAlerts::default();
    let mut said = Vec::new();
    for (index, classes) in days.iter().enumerate() {
        let seen = observation_of(Watch::Windows, index, classes.iter().cloned().collect(), true);
        let (after, transitions) = decide(&alerts, &seen, &Rules::default());
        alerts = after;
        said.push(transitions);
    }
    (alerts, said)
}

/// The classes of which somebody is told that they fire, and what each says follows from it.
fn told(steps: &[Transition]) -> Vec<Told> {
    let firing = steps.iter().filter(|step| step.state == TransitionState::Firing);
    let alone = firing.filter(|step| step.folded_into.is_none());
    alone.map(|step| (step.class, step.consequences.iter().map(|it| it.class).collect())).collect()
}

/// For one renamed category came three mails, and the prediction's with the largest number came to be read
/// first.
#[test]
fn one_cause_has_one_opening_mail_and_heads_it() {
    use Class::{BrokenInput, InputShift, PredictionShift, Release, Serving};
    let renamed = (BrokenInput, alarm(&[("feature:channel", "new_category", 0.3)]));
    let moved = (InputShift, alarm(&[("feature:channel", "distribution", 0.2)]));
    let other = (InputShift, alarm(&[("feature:age", "distribution", 0.2)]));
    let both = (
        InputShift,
        alarm(&[("feature:channel", "distribution", 0.2), ("feature:age", "distribution", 0.2)]),
    );
    let weak = (InputShift, alarm(&[("feature:age", "distribution", 0.07)]));
    let predicted = (PredictionShift, alarm(&[("prediction:score@3", "distribution", 0.9)]));
    let release = (Release, alarm(&[("prediction:score@4", "distribution", 0.9)]));
    let slow = (Serving, alarm(&[("latency", "latency", 20.0)]));
    let volume = (BrokenInput, alarm(&[("model", "volume", 0.3)]));
    let table: [(&Day, Vec<Told>); 8] = [
        (
            &[renamed.clone(), moved.clone(), predicted.clone()],
            vec![(BrokenInput, vec![InputShift, PredictionShift])],
        ),
        (&[other.clone(), predicted.clone()], vec![(InputShift, vec![PredictionShift])]),
        // Alone it would wait for one more window.
        (&[weak, predicted.clone()], vec![(InputShift, vec![PredictionShift])]),
        (&[release, predicted.clone()], vec![(Release, vec![PredictionShift])]),
        // Another column's shift is another accident.
        (
            &[renamed.clone(), other, predicted.clone()],
            vec![(BrokenInput, vec![PredictionShift]), (InputShift, vec![])],
        ),
        (&[renamed, both], vec![(BrokenInput, vec![]), (InputShift, vec![])]),
        (&[volume, moved], vec![(BrokenInput, vec![]), (InputShift, vec![])]),
        (&[slow, predicted], vec![(Serving, vec![]), (PredictionShift, vec![])]),
    ];
    for (classes, expected) in table {
        let (alerts, said) = live(&[classes]);
        assert_eq!(told(&said[0]), expected, "{classes:?}");
        let due = Sent::default();
        let at = Moment { now_us: 0, caught_up: true, model: "m", silences: &[] };
        let rules = RepeatRules { drift_us: DAY_US, operations_us: DAY_US };
        let due = due.due(&alerts, &at, &rules);
        let due: Vec<Class> = due.iter().map(|due| due.incident.class).collect();
        let alone: Vec<Class> = expected.iter().map(|(class, _)| *class).collect();
        assert_eq!(due, alone, "what is folded is not repeated either");
    }
}

/// What follows from an incident that is open already is folded as well, and stands for itself again when it
/// outlasts its cause.
#[test]
fn a_consequence_that_outlasts_its_cause_is_told_then() {
    let moved = (Class::InputShift, alarm(&[("feature:age", "distribution", 0.2)]));
    let predicted = (Class::PredictionShift, alarm(&[("prediction:score@3", "distribution", 0.2)]));
    let calm = |class| (class, ClassSignal::ok());
    let (inputs, predictions) = (Class::InputShift, Class::PredictionShift);
    let both = [moved.clone(), predicted.clone()];
    let only_predicted = [calm(inputs), predicted.clone()];
    let days: [&Day; 5] = [
        &[moved, calm(predictions)],
        &both,
        &only_predicted,
        &only_predicted,
        &[calm(inputs), predicted.clone()],
    ];
    let (early, said) = live(&days[..2]);
    assert!(said[1].iter().all(|step| step.folded_into.is_some()), "{said:#?}");
    let cause = early.incidents().next().unwrap();
    assert_eq!(cause.last.consequences[0].class, predictions);
    let (late, said) = live(&days);
    assert_eq!(said[3][0].state, TransitionState::Resolved);
    // The cause cleared by the third and fourth day; what outlasts it is told by the window that shows so.
    let own: Vec<(TransitionState, bool)> =
        said[3][1..].iter().map(|step| (step.state, step.folded_into.is_none())).collect();
    assert_eq!(own, [(TransitionState::Firing, true)]);
    let left: Vec<bool> = late.incidents().map(|it| it.folded_into.is_some()).collect();
    assert_eq!(left, [false]);
    let (none, all) = (said.iter().flatten(), &crate::mail::RetrainNote::None);
    for step in none.filter(|step| step.folded_into.is_some()) {
        let context = crate::mail::MailContext {
            transition: step,
            ordinal: 0,
            unmoved: &[],
            retrain: all,
            replay: None,
            external_url: None,
            api: "",
            may_write: false,
        };
        assert!(rows_for(&context, &[], &[]).unwrap().is_empty());
    }
}

/// Broken for ten minutes and mended, it was told again at midnight, when its window closed.
#[test]
fn what_panes_told_and_saw_end_is_not_told_again_by_the_window_over_it() {
    let broken = || alarm(&[("feature:age", "missing", 0.3)]);
    let mut alerts = ModelAlerts::default();
    let mut opened = 0;
    let mut see = |observation: &Observation| {
        let (after, said) = decide(&alerts, observation, &Rules::default());
        alerts = after;
        opened += said.iter().filter(|step| step.state == TransitionState::Firing).count();
        opened
    };
    for minute in 0..30 {
        let signal = if minute < 10 { broken() } else { ClassSignal::ok() };
        see(&observation_of(Watch::Panes, minute, [(Class::BrokenInput, signal)].into(), true));
    }
    let window = |day, signal| {
        observation_of(Watch::Windows, day, [(Class::BrokenInput, signal)].into(), true)
    };
    assert_eq!(see(&window(0, broken())), 1);
    let mut another = broken();
    another.subjects.extend(alarm(&[("feature:height", "missing", 0.3)]).subjects);
    assert_eq!(see(&window(1, another.clone())), 2, "the next day is another matter");
    assert_eq!(see(&window(2, another)), 2);
}

/// Where traffic stays thin no pane says that it is over: good windows do.
#[test]
fn good_windows_end_what_panes_raised_that_say_nothing_any_more() {
    let broken = || alarm(&[("feature:age", "missing", 0.3)]);
    let mut alerts = ModelAlerts::default();
    for minute in 0..40 {
        let level = if minute < 10 { Level::Alarm } else { Level::NotComputable };
        let signal = ClassSignal { level, ..broken() };
        let seen =
            observation_of(Watch::Panes, minute, [(Class::BrokenInput, signal)].into(), true);
        alerts = decide(&alerts, &seen, &Rules::default()).0;
    }
    let mut states = Vec::new();
    for day in 0..4 {
        let classes = BTreeMap::from([(Class::BrokenInput, ClassSignal::ok())]);
        let seen = observation_of(Watch::Windows, day, classes, true);
        alerts = decide(&alerts, &seen, &Rules::default()).0;
        states.push(alerts.incidents().count());
    }
    assert_eq!(states, [1, 0, 0, 0]);
    let Source::Window { start_us, .. } =
        observation_of(Watch::Windows, 0, BTreeMap::new(), true).source
    else {
        panic!()
    };
    assert_eq!(start_us, START_US);
}

/// Accepted by mistake, it stayed silent for good.
#[test]
fn an_acceptance_can_be_taken_back_and_a_silence_ended() {
    let (alerts, said) =
        live(&[&[(Class::InputShift, alarm(&[("feature:age", "distribution", 0.9)]))]]);
    let id = said[0][0].incident.as_str();
    let by = |reason: &str| Acceptance { by: "Ada".into(), reason: reason.into(), at_us: 7 };
    let mut sent = Sent::default();
    sent.note(id, id, 0, 10 * MINUTE_US);
    let rules = RepeatRules { drift_us: 7 * DAY_US, operations_us: DAY_US };
    let due = |sent: &Sent, alerts: &ModelAlerts, silences: &[Silence]| {
        let at =
            Moment { now_us: 11 * MINUTE_US, caught_up: true, model: "flight-delay", silences };
        sent.due(alerts, &at, &rules).iter().map(|due| due.ordinal).collect::<Vec<u32>>()
    };
    assert_eq!(take_back(&alerts, id, &by("why")), Err(AcceptError::NotAccepted(id.to_owned())));
    let accepted = accept(&alerts, id, by("a sale")).unwrap();
    assert_eq!(take_back(&accepted, id, &by(" ")), Err(AcceptError::Unsigned));
    assert!(due(&sent, &accepted, &[]).is_empty());
    let back = take_back(&accepted, id, &by("no sale after all")).unwrap();
    sent.renew(id);
    assert_eq!(due(&sent, &back, &[]), [1], "told again at once, as a repeat");

    let mut silence = Silence {
        id: "s".into(),
        model: None,
        class: None,
        until_us: 30 * DAY_US,
        by: "Ada".into(),
        reason: "by mistake".into(),
    };
    let mut sent = Sent::default();
    sent.note(id, id, 0, 10 * MINUTE_US);
    assert!(due(&sent, &alerts, std::slice::from_ref(&silence)).is_empty());
    silence.until_us = 10 * MINUTE_US + 1;
    assert_eq!(due(&sent, &alerts, &[silence]), [1], "what it kept back is told");
}
