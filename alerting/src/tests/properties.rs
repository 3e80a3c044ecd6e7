//! What holds for every story, drawn at random.

use std::collections::{BTreeMap, BTreeSet};

use driftline_config::time::DAY_US;
use proptest::prelude::*;

use super::story::{Watch, observation_of, signal};
use crate::{Class, ModelAlerts, Observation, Rules, State, Transition, TransitionState, decide};

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let mark = prop::sample::select(vec!['o', 'o', 'w', 'a', 'b', 'A', 'G', 'n', '-', '?']);
    let classes =
        prop::collection::btree_map(prop::sample::select(Class::ALL.to_vec()), mark, 0..5);
    let lane = prop::sample::select(vec![0_u8, 0, 1, 2]);
    prop::collection::vec((lane, classes, prop::bool::weighted(0.9)), 1..40).prop_map(|steps| {
        let build =
            |(index, (lane, marks, complete)): (usize, (u8, BTreeMap<Class, char>, bool))| {
                let lane = match lane {
                    0 => Watch::Windows,
                    1 => Watch::Panes,
                    _ => Watch::Wall,
                };
                let classes =
                    marks.into_iter().map(|(class, mark)| (class, signal(mark))).collect();
                observation_of(lane, index, classes, complete)
            };
        steps.into_iter().enumerate().map(build).collect()
    })
}

/// The transitions of a run; with `restarts`, the state goes through its stored form at every step.
fn transitions(observations: &[Observation], restarts: bool) -> Vec<Transition> {
    let mut alerts = ModelAlerts::default();
    let mut all = Vec::new();
    for observation in observations {
        let (after, transitions) = decide(&alerts, observation, &Rules::default());
        all.extend(transitions);
        alerts = after;
        if restarts {
            let stored = serde_json::to_string(&alerts).unwrap();
            alerts = serde_json::from_str(&stored).unwrap();
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_resolves_or_changes_that_did_not_fire(observations in observations()) {
        let mut open: BTreeMap<Class, String> = BTreeMap::new();
        let mut told: BTreeSet<String> = BTreeSet::new();
        for transition in transitions(&observations, false) {
            // What follows from another incident is told as firing once it stands for itself, and only then.
            if transition.folded_into.is_none() {
                let opens = transition.state == TransitionState::Firing;
                prop_assert_eq!(told.insert(transition.incident.clone()), opens);
            } else {
                prop_assert!(!told.contains(&transition.incident));
            }
            match transition.state {
                TransitionState::Firing if transition.incident != transition.id => {
                    prop_assert_eq!(open.get(&transition.class), Some(&transition.incident));
                }
                TransitionState::Firing => {
                    prop_assert!(open.insert(transition.class, transition.id).is_none());
                }
                TransitionState::Changed => {
                    prop_assert_eq!(open.get(&transition.class), Some(&transition.incident));
                }
                TransitionState::Resolved => {
                    prop_assert_eq!(open.remove(&transition.class), Some(transition.incident));
                }
            }
        }
    }

    #[test]
    fn no_id_comes_twice(observations in observations()) {
        let all = transitions(&observations, false);
        let ids: BTreeSet<&String> = all.iter().map(|transition| &transition.id).collect();
        prop_assert_eq!(ids.len(), all.len());
    }

    #[test]
    fn replayed_and_restarted_runs_give_the_same_transitions(observations in observations()) {
        let once = transitions(&observations, false);
        prop_assert_eq!(&once, &transitions(&observations, false));
        prop_assert_eq!(&once, &transitions(&observations, true));
    }

    #[test]
    fn observations_told_twice_change_nothing(observations in observations()) {
        let twice: Vec<Observation> =
            observations.iter().flat_map(|one| [one.clone(), one.clone()]).collect();
        prop_assert_eq!(transitions(&observations, false), transitions(&twice, false));
    }

    #[test]
    fn an_incident_changes_at_most_daily(observations in observations()) {
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        let all = transitions(&observations, false);
        for change in all.iter().filter(|one| one.state == TransitionState::Changed) {
            if let Some(before_us) = last.insert(change.incident.clone(), change.at_us) {
                prop_assert!(change.at_us - before_us >= DAY_US);
            }
        }
    }

    #[test]
    fn the_state_says_what_the_transitions_said(observations in observations()) {
        let mut alerts = ModelAlerts::default();
        let mut open: BTreeSet<Class> = BTreeSet::new();
        for observation in &observations {
            let (after, transitions) = decide(&alerts, observation, &Rules::default());
            alerts = after;
            for transition in transitions {
                match transition.state {
                    TransitionState::Resolved => open.remove(&transition.class),
                    _ => open.insert(transition.class),
                };
            }
            for class in Class::ALL {
                prop_assert_eq!(alerts.state(class) == State::Firing, open.contains(&class));
            }
        }
    }
}
