//! Every sentence of RULES §5 about deciding, as tables of windows and what follows from them.

use std::collections::BTreeMap;

use driftline_config::Level;
use driftline_config::time::{DAY_US, MINUTE_US};

use super::story::{START_US, Watch, observation, observation_of, run, signal, subject, written};
use crate::{
    AcceptError, Acceptance, Class, ClassSignal, ModelAlerts, Opening, Rules, State, Transition,
    TransitionState, accept, decide,
};

#[track_caller]
fn check(lane: Watch, class: Class, marks: &str, expected: &str) {
    let (_, steps) = run(lane, class, marks);
    assert_eq!(written(&steps), expected, "{class}: {marks}");
}

#[test]
fn drift_opens_after_2_of_3_windows() {
    for class in [Class::InputShift, Class::PredictionShift] {
        check(Watch::Windows, class, "a", ".");
        check(Watch::Windows, class, "aa", ".F");
        check(Watch::Windows, class, "aoa", "..F");
        check(Watch::Windows, class, "aooa", "....");
        check(Watch::Windows, class, "oaoaa", "...F.");
    }
}

#[test]
fn broken_input_opens_after_1_window_or_5_of_10_panes() {
    check(Watch::Windows, Class::BrokenInput, "oa", ".F");
    check(Watch::Panes, Class::BrokenInput, "aaaa", "....");
    check(Watch::Panes, Class::BrokenInput, "aaaaa", "....F");
    check(Watch::Panes, Class::BrokenInput, "aoaoaoaoa", "........F");
    check(Watch::Panes, Class::BrokenInput, "aaaaoooooooa", "............");
}

#[test]
fn serving_release_and_candidate_open_at_their_first_alarm() {
    // Burn rates look back for themselves, and a release is one window long.
    check(Watch::Panes, Class::Serving, "oa", ".F");
    check(Watch::Windows, Class::Release, "oa", ".F");
    check(Watch::Windows, Class::Candidate, "oa", ".F");
}

#[test]
fn a_drift_whose_bound_is_over_three_times_its_tolerance_opens_at_once() {
    check(Watch::Windows, Class::InputShift, "b", "F");
    check(Watch::Windows, Class::InputShift, "t", ".");
    // Panes of broken input are no drift.
    check(Watch::Panes, Class::BrokenInput, "b", ".");
}

#[test]
fn not_computable_and_incomplete_windows_are_skipped() {
    check(Watch::Windows, Class::InputShift, "a-a", "..F");
    check(Watch::Windows, Class::InputShift, "a----a", ".....F");
    check(Watch::Windows, Class::InputShift, "aia", "..F");
    check(Watch::Windows, Class::InputShift, "iiii", "....");
    check(Watch::Windows, Class::BrokenInput, "i", ".");
    // They clear nothing either.
    check(Watch::Windows, Class::InputShift, "aao-i-o", ".F....R");
    check(Watch::Windows, Class::InputShift, "aa??o?o", ".F....R");
}

#[test]
fn a_class_that_was_not_judged_neither_opens_clears_nor_counts() {
    let mut alerts = ModelAlerts::default();
    let mut seen = Vec::new();
    for (index, mark) in "a.a.o.o".chars().enumerate() {
        let seen_now = if mark == '.' {
            observation_of(Watch::Windows, index, BTreeMap::new(), true)
        } else {
            observation(Watch::Windows, index, Class::InputShift, mark)
        };
        let (after, transitions) = decide(&alerts, &seen_now, &Rules::default());
        alerts = after;
        seen.push(transitions);
    }
    assert_eq!(written(&seen), "..F...R");
}

#[test]
fn a_column_joining_or_an_effect_grown_by_half_is_changed() {
    check(Watch::Windows, Class::InputShift, "aaaa", ".F..");
    check(Watch::Windows, Class::InputShift, "aaA", ".FC");
    check(Watch::Windows, Class::InputShift, "aaAA", ".FC.");
    check(Watch::Windows, Class::InputShift, "aag", ".F.");
    check(Watch::Windows, Class::InputShift, "aaG", ".FC");
    check(Watch::Windows, Class::InputShift, "aaGG", ".FC.");
    // Growth is measured from what was last reported, not from window to window.
    check(Watch::Windows, Class::InputShift, "aagG", ".F.C");

    let (_, steps) = run(Watch::Windows, Class::InputShift, "aaA");
    let changed = steps.last().and_then(|step| step.last()).unwrap();
    assert_eq!(changed.joined, ["feature:distance distribution"]);
    assert!(changed.grown.is_empty());
    assert_eq!(changed.subjects_total, 2);
    // 0.12 over 0.05 is further than 0.08 over 0.05.
    assert_eq!(changed.subjects[0].subject, "feature:distance");
}

#[test]
fn changed_comes_at_most_daily_in_event_time() {
    let mut alerts = ModelAlerts::default();
    let mut changes = Vec::new();
    // Every ten minutes another column breaks.
    for minute in (0..3 * 24 * 60).step_by(10) {
        let name = format!("column_{minute}");
        let subjects = vec![subject(&name, Level::Alarm, 0.5, 0.4)];
        let signal = ClassSignal::new(Level::Alarm, subjects);
        let classes = BTreeMap::from([(Class::Serving, signal)]);
        let observation = observation_of(Watch::Panes, minute, classes, true);
        let (after, transitions) = decide(&alerts, &observation, &Rules::default());
        alerts = after;
        changes.extend(transitions.into_iter().filter(|t| t.state == TransitionState::Changed));
    }
    let times_us: Vec<i64> = changes.iter().map(|change| change.at_us).collect();
    let first_us = START_US + 12 * MINUTE_US;
    assert_eq!(times_us, [first_us, first_us + DAY_US, first_us + 2 * DAY_US]);
    assert_eq!(changes[1].subjects_total, 2 + 24 * 6, "what joined meanwhile is not forgotten");
    assert_eq!(changes[1].joined.len(), crate::SUBJECTS_NAMED, "bounded");
}

#[test]
fn cleared_after_2_windows_under_tolerance() {
    check(Watch::Windows, Class::InputShift, "aaoo", ".F.R");
    check(Watch::Windows, Class::InputShift, "aaoaoo", ".F...R");
    // Over tolerance without the evidence for an alarm is not under tolerance.
    check(Watch::Windows, Class::InputShift, "aaowoo", ".F...R");
    check(Watch::Windows, Class::InputShift, "aauu", ".F.R");
    check(Watch::Windows, Class::BrokenInput, "aoo", "F.R");
    // What came before does not count towards the next incident.
    check(Watch::Windows, Class::InputShift, "aaooaoa", ".F.R..F");
}

#[test]
fn what_panes_raised_clears_after_as_many_panes_as_raise_it() {
    check(Watch::Panes, Class::BrokenInput, "aaaaaoooooooooo", "....F.........R");
    check(Watch::Panes, Class::Serving, "aooooooooaoooooooooo", "F..................R");
}

#[test]
fn an_incident_of_both_lanes_clears_in_both() {
    let mut alerts = ModelAlerts::default();
    let mut seen = String::new();
    let steps = [(Watch::Windows, "a"), (Watch::Panes, "aaaaa"), (Watch::Windows, "oo")];
    let mut index = 0;
    for (lane, marks) in steps.into_iter().chain([(Watch::Panes, "oooooooooo")]) {
        for mark in marks.chars() {
            let next = observation(lane, index, Class::BrokenInput, mark);
            let (after, transitions) = decide(&alerts, &next, &Rules::default());
            alerts = after;
            seen.push_str(&written(&[transitions]));
            index += 1;
        }
    }
    assert_eq!(seen, "F................R");
}

#[test]
fn warn_never_notifies() {
    for class in Class::ALL {
        check(Watch::Windows, class, "wuwuw", ".....");
    }
    let (alerts, _) = run(Watch::Windows, Class::InputShift, "wwww");
    assert_eq!(alerts.state(Class::InputShift), State::Ok);
}

#[test]
fn no_data_opens_and_clears_by_the_clock() {
    check(Watch::Wall, Class::NoData, "oaaaooa", ".F..R.F");
}

#[test]
fn states_go_from_ok_to_pending_to_firing_to_resolved() {
    for (marks, expected) in [
        ("", State::Ok),
        ("o", State::Ok),
        ("a", State::Pending),
        ("aoo", State::Pending),
        ("aooo", State::Ok),
        ("aa", State::Firing),
        ("aao", State::Firing),
        ("aaoo", State::Ok),
    ] {
        let (alerts, _) = run(Watch::Windows, Class::InputShift, marks);
        assert_eq!(alerts.state(Class::InputShift), expected, "{marks}");
    }
}

#[test]
fn accepted_incidents_are_silent_until_they_grow() {
    let acceptance =
        Acceptance { by: String::from("on-call"), reason: String::from("known"), at_us: START_US };
    let after_acceptance = |marks: &str| -> (ModelAlerts, String, Vec<Transition>) {
        let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aa");
        let incident = steps[1][0].id.clone();
        let mut alerts = accept(&alerts, &incident, acceptance.clone()).unwrap();
        assert_eq!(alerts.state(Class::InputShift), State::Accepted);
        let mut seen = Vec::new();
        for (index, mark) in marks.chars().enumerate() {
            let next = observation(Watch::Windows, index + 2, Class::InputShift, mark);
            let (after, transitions) = decide(&alerts, &next, &Rules::default());
            alerts = after;
            seen.push(transitions);
        }
        let letters = written(&seen);
        (alerts, letters, seen.into_iter().flatten().collect())
    };

    let (alerts, seen, _) = after_acceptance("aagaa");
    assert_eq!((alerts.state(Class::InputShift), seen.as_str()), (State::Accepted, "....."));
    let (alerts, seen, _) = after_acceptance("aaG");
    assert_eq!((alerts.state(Class::InputShift), seen.as_str()), (State::Firing, "..C"));
    let (alerts, seen, transitions) = after_acceptance("oo");
    assert_eq!((alerts.state(Class::InputShift), seen.as_str()), (State::Ok, ".R"));
    assert!(transitions[0].quiet, "that an accepted incident is over is recorded, not sent");
}

#[test]
fn accepting_needs_an_open_incident_and_a_name() {
    let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aaoo");
    let closed = &steps[1][0].id;
    let by = |by: &str| Acceptance { by: by.to_owned(), reason: String::from("r"), at_us: 0 };
    assert_eq!(accept(&alerts, closed, by("me")), Err(AcceptError::Unknown(closed.clone())));
    assert_eq!(accept(&alerts, closed, by(" ")), Err(AcceptError::Unsigned));
}

#[test]
fn what_it_looks_like_is_decided_by_the_order_of_the_classes() {
    let order = [
        Class::BrokenInput,
        Class::Serving,
        Class::Release,
        Class::InputShift,
        Class::PredictionShift,
    ];
    for (position, &first) in order.iter().enumerate() {
        let classes = order[position..].iter().map(|&class| (class, signal('b'))).collect();
        let all = observation_of(Watch::Windows, 0, classes, true);
        let (alerts, transitions) = decide(&ModelAlerts::default(), &all, &Rules::default());
        assert_eq!(alerts.looks_like(), Some(first));
        for transition in transitions {
            assert_eq!(transition.looks_like, first, "{}", transition.class);
        }
    }
    // Silence and a sick candidate explain nothing and are explained by nothing.
    let both = [(Class::BrokenInput, signal('a')), (Class::Candidate, signal('a'))];
    let both = observation_of(Watch::Windows, 0, both.into(), true);
    let (_, transitions) = decide(&ModelAlerts::default(), &both, &Rules::default());
    assert_eq!(transitions[1].looks_like, Class::Candidate);
}

#[test]
fn a_transition_says_since_when_and_k_of_n() {
    let (_, steps) = run(Watch::Windows, Class::InputShift, "oaoa");
    let firing = &steps[3][0];
    assert_eq!((firing.over, firing.of), (2, 3));
    assert_eq!(firing.since_us, START_US + DAY_US);
    assert_eq!(
        firing.windows,
        ["flight-delay@20130625T000000Z.1d", "flight-delay@20130627T000000Z.1d"]
    );
    // A run over tolerance that began before its first alarm is named from its beginning.
    let mut classes = BTreeMap::from([(Class::BrokenInput, signal('a'))]);
    if let Some(signal) = classes.get_mut(&Class::BrokenInput) {
        signal.subjects[0].first_over_us = Some(START_US - 5 * DAY_US);
    }
    let seen = observation_of(Watch::Windows, 0, classes, true);
    let (_, transitions) = decide(&ModelAlerts::default(), &seen, &Rules::default());
    assert_eq!(transitions[0].since_us, START_US - 5 * DAY_US);
}

#[test]
fn the_id_is_a_hash_over_model_class_window_and_new_state() {
    let (_, steps) = run(Watch::Windows, Class::InputShift, "oaaoo");
    let all: Vec<&Transition> = steps.iter().flatten().collect();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|transition| transition.id.len() == 32));
    assert_ne!(all[0].id, all[1].id);
    assert_eq!(all[0].incident, all[0].id);
    assert_eq!(all[1].incident, all[0].id);
    // The past of the incident is no part of it: only its cause is.
    let (_, others) = run(Watch::Windows, Class::InputShift, "aoa");
    assert_eq!(others[2][0].id, all[0].id, "both opened by the third window");
    let (_, others) = run(Watch::Windows, Class::PredictionShift, "aoa");
    assert_ne!(others[2][0].id, all[0].id);
}

#[test]
fn the_same_window_again_is_nothing_new() {
    let (alerts, _) = run(Watch::Windows, Class::InputShift, "a");
    let again = observation(Watch::Windows, 0, Class::InputShift, 'a');
    let (after, transitions) = decide(&alerts, &again, &Rules::default());
    assert_eq!((after, transitions), (alerts, vec![]));
    let (alerts, _) = run(Watch::Windows, Class::InputShift, "aaoo");
    let again = observation(Watch::Windows, 3, Class::InputShift, 'o');
    let (after, transitions) = decide(&alerts, &again, &Rules::default());
    assert_eq!((after, transitions), (alerts, vec![]));
}

#[test]
fn numbers_that_are_not_finite_survive_a_restart() {
    let mut classes = BTreeMap::from([(Class::BrokenInput, signal('a'))]);
    if let Some(signal) = classes.get_mut(&Class::BrokenInput) {
        signal.subjects[0].value = Some(f64::NAN);
        signal.subjects[0].bound = Some(f64::INFINITY);
    }
    let seen = observation_of(Watch::Windows, 0, classes, true);
    let (alerts, transitions) = decide(&ModelAlerts::default(), &seen, &Rules::default());
    let stored = serde_json::to_string(&alerts).unwrap();
    assert_eq!(serde_json::from_str::<ModelAlerts>(&stored).unwrap(), alerts);
    assert_eq!(transitions[0].subjects[0].value, None);
}

/// Where ranks decide, one window is enough; a class that does not lead opens nothing of itself, and what is
/// over by earlier windows alone holds no incident open.
#[test]
fn a_window_that_ranks_page_opens_at_once_and_clears_by_the_newest() {
    let observe = |alerts: &ModelAlerts, step: usize, opening: Opening, returned: bool| {
        let mut moved = subject("dep_delay", Level::Alarm, 0.16, 0.08);
        moved.returned = returned;
        let mut signal = ClassSignal::new(Level::Alarm, vec![moved]);
        signal.opening = opening;
        let classes = BTreeMap::from([(Class::InputShift, signal)]);
        let observation = observation_of(Watch::Windows, step, classes, true);
        decide(alerts, &observation, &Rules::default())
    };
    let mut alerts = ModelAlerts::default();
    let steps = [
        (Opening::ByAnother, false, None),
        (Opening::ByAnother, false, None),
        (Opening::AtOnce, false, Some(TransitionState::Firing)),
        (Opening::AtOnce, true, None),
        (Opening::AtOnce, true, Some(TransitionState::Resolved)),
    ];
    for (step, (opening, returned, expected)) in (0..).zip(steps) {
        let (after, transitions) = observe(&alerts, step, opening, returned);
        alerts = after;
        assert_eq!(transitions.first().map(|told| told.state), expected, "step {step}");
    }
}
