//! When retraining is asked for, held back, and asked for again; and the request word for word.

use std::collections::BTreeMap;

use driftline_config::time::{DAY_US, HOUR_US, parse_instant_us};
use driftline_config::{Partition, Subject, WindowId};

use super::story::{Watch, observation, observation_of, run, signal};
use crate::retrain::{
    History, OffsetRange, RetrainData, RetrainDecision, RetrainLimits, RetrainReason,
    RetrainRequest, RetrainState, Select, TrainOn, decide, retry,
};
use crate::{Class, ModelAlerts, Rules, Transition, decide as decide_alerts};

const LIMITS: RetrainLimits = RetrainLimits { cooldown_us: DAY_US, max_per_day: 2 };

/// One letter per decision: `Q` requested, `H` held back, `.` none.
fn letter(decision: &RetrainDecision) -> char {
    match decision {
        RetrainDecision::Request { .. } => 'Q',
        RetrainDecision::HeldBack { .. } => 'H',
        RetrainDecision::None => '.',
    }
}

fn decisions(transitions: &[Transition], broken: Option<&str>, limits: &RetrainLimits) -> String {
    let mut state = RetrainState::default();
    let mut letters = String::new();
    for transition in transitions {
        let (after, decision) = decide(&state, transition, broken, limits);
        state = after;
        letters.push(letter(&decision));
    }
    letters
}

#[track_caller]
fn check(class: Class, marks: &str, expected: &str) {
    let transitions: Vec<Transition> =
        run(Watch::Windows, class, marks).1.into_iter().flatten().collect();
    assert_eq!(decisions(&transitions, None, &LIMITS), expected, "{class}: {marks}");
}

#[test]
fn one_request_per_incident() {
    check(Class::InputShift, "aa", "Q");
    check(Class::PredictionShift, "aa", "Q");
    // Growth alone asks for nothing: the request stands.
    check(Class::InputShift, "aaG", "Q.");
    for class in [Class::BrokenInput, Class::Release, Class::Serving, Class::Candidate] {
        check(class, "aa", ".");
    }
}

#[test]
fn a_further_request_needs_a_resolved_incident_or_a_new_column() {
    check(Class::InputShift, "aaA", "QQ");
    check(Class::InputShift, "aaoobb", "Q.Q");
}

#[test]
fn the_prediction_shift_of_a_shifted_input_asks_for_nothing_of_its_own() {
    let classes = [Class::InputShift, Class::PredictionShift].map(|class| (class, signal('b')));
    let both = observation_of(Watch::Windows, 0, classes.into(), true);
    let (_, transitions) = decide_alerts(&ModelAlerts::default(), &both, &Rules::default());
    assert_eq!(decisions(&transitions, None, &LIMITS), "Q.");
}

#[test]
fn cooldown_and_daily_most_hold_back() {
    let cooldown = RetrainLimits { cooldown_us: 30 * DAY_US, max_per_day: 9 };
    let transitions: Vec<Transition> =
        run(Watch::Windows, Class::InputShift, "aaA").1.into_iter().flatten().collect();
    assert_eq!(decisions(&transitions, None, &cooldown), "QH");
    let none_a_day = RetrainLimits { cooldown_us: 0, max_per_day: 0 };
    assert_eq!(decisions(&transitions, None, &none_a_day), "HH");
}

#[test]
fn no_request_while_the_input_is_broken_and_one_when_it_is_repaired() {
    let (mut alerts, steps) = run(Watch::Windows, Class::InputShift, "aa");
    let (state, decision) =
        decide(&RetrainState::default(), &steps[1][0], Some("carrier is broken"), &LIMITS);
    let why = String::from("carrier is broken");
    assert_eq!(decision, RetrainDecision::HeldBack { why });

    // A growth while it waits does not make the request forgotten.
    let grown = observation(Watch::Windows, 2, Class::InputShift, 'G');
    let (after, transitions) = decide_alerts(&alerts, &grown, &Rules::default());
    alerts = after;
    let (state, decision) = decide(&state, &transitions[0], Some("carrier"), &LIMITS);
    assert_eq!(letter(&decision), 'H');

    let at_us = grown.at_us + DAY_US;
    let (state, still) = retry(&state, &alerts, at_us, &|_| Some("carrier".to_owned()), &LIMITS);
    assert_eq!(still.iter().map(|(_, decision)| letter(decision)).collect::<String>(), "H");
    let (state, repaired) = retry(&state, &alerts, at_us, &|_| None, &LIMITS);
    assert_eq!(repaired.iter().map(|(_, decision)| letter(decision)).collect::<String>(), "Q");
    assert_eq!(repaired[0].0.class, Class::InputShift);
    let (_, settled) = retry(&state, &alerts, at_us + HOUR_US, &|_| None, &LIMITS);
    assert!(settled.is_empty(), "asked once");
}

#[test]
fn what_could_not_be_named_is_asked_for_again() {
    let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aaA");
    let before = RetrainState::default();
    let (mut state, decision) = decide(&before, &steps[1][0], None, &LIMITS);
    assert_eq!(letter(&decision), 'Q');
    state.take_back(&before, Class::InputShift, steps[1][0].at_us);
    let (state, again) = retry(&state, &alerts, steps[1][0].at_us + HOUR_US, &|_| None, &LIMITS);
    assert_eq!(again.iter().map(|(_, decision)| letter(decision)).collect::<String>(), "Q");
    // A later request that cannot be named leaves the first one as it is.
    let (mut further, _) = decide(&state, &steps[2][0], None, &LIMITS);
    further.take_back(&state, Class::InputShift, steps[2][0].at_us);
    let (_, joined) = retry(&further, &alerts, steps[2][0].at_us + 2 * DAY_US, &|_| None, &LIMITS);
    assert_eq!(joined.iter().map(|(_, decision)| letter(decision)).collect::<String>(), "Q");
}

#[test]
fn what_waits_is_forgotten_with_its_incident() {
    let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aaoo");
    let (state, _) = decide(&RetrainState::default(), &steps[1][0], Some("carrier"), &LIMITS);
    let (state, _) = decide(&state, &steps[3][0], None, &LIMITS);
    let (after, decisions) = retry(&state, &alerts, 0, &|_| None, &LIMITS);
    assert!(decisions.is_empty());
    assert_eq!(after, RetrainState::default());
}

#[test]
fn the_state_survives_a_restart_and_ids_depend_on_causes_alone() {
    let (_, steps) = run(Watch::Windows, Class::InputShift, "aaA");
    let (state, first) = decide(&RetrainState::default(), &steps[1][0], None, &LIMITS);
    let stored = serde_json::to_string(&state).unwrap();
    let restarted: RetrainState = serde_json::from_str(&stored).unwrap();
    assert_eq!(restarted, state);
    let (_, again) = decide(&RetrainState::default(), &steps[1][0], None, &LIMITS);
    assert_eq!(first, again);
    let (_, second) = decide(&restarted, &steps[2][0], None, &LIMITS);
    assert_ne!(first, second);
}

/// The example of CONTRACTS §8 with its dots filled in.
const REQUEST: &str = r#"{"type":"retrain.requested","timestamp":"2026-11-10T01:00:00Z","data":{"retrain_id":"0f","model":"flight-delay","incident":"1e","windows":["flight-delay@20261109T000000Z.1d"],"reason":[{"subject":"feature:dep_delay","value":0.16,"bound":0.076,"tolerance":0.05,"because":"57 % of requests have dep_delay > 3.25"}],"reasons_total":3,"train_on":{"topic":"flights.captures","format":"driftline-json","since":"2026-11-02T00:00:00Z","ranges":[{"partition":0,"from":10240,"to":11052}],"select":{"model":"flight-delay","versions":["3"],"ts_from":"2026-11-09T00:00:00Z","ts_before":"2026-11-10T00:00:00Z"},"rows":812,"history":{"from":"2026-08-11T00:00:00Z","ranges":[{"partition":0,"from":2,"to":10240}],"select":{"model":"flight-delay","versions":[],"ts_from":"2026-08-11T00:00:00Z","ts_before":"2026-11-09T00:00:00Z"}},"labels":null,"complete":true,"expires":"2026-11-23T04:00:00Z","export":"driftline export --config driftline.yaml --retrain 0f --out train.parquet"},"baseline_sha256":"aa","config_sha256":"bb","replay":"driftline replay --config driftline.yaml --window flight-delay@20261109T000000Z.1d"}}"#;

#[test]
fn a_request_is_written_as_the_contract_says() {
    let instant = |text: &str| parse_instant_us(text).unwrap();
    let data = RetrainData {
        retrain_id: String::from("0f"),
        model: String::from("flight-delay"),
        incident: String::from("1e"),
        windows: vec![WindowId::from("flight-delay@20261109T000000Z.1d")],
        reason: vec![RetrainReason {
            subject: Subject::from("feature:dep_delay"),
            value: Some(0.16),
            bound: Some(0.076),
            tolerance: Some(0.05),
            because: String::from("57 % of requests have dep_delay > 3.25"),
        }],
        reasons_total: 3,
        train_on: TrainOn {
            topic: String::from("flights.captures"),
            format: String::from("driftline-json"),
            since: instant("2026-11-02T00:00:00Z"),
            ranges: vec![OffsetRange { partition: Partition(0), from: 10240, to: 11052 }],
            select: Select {
                model: String::from("flight-delay"),
                versions: vec![String::from("3")],
                ts_from: instant("2026-11-09T00:00:00Z"),
                ts_before: instant("2026-11-10T00:00:00Z"),
            },
            rows: 812,
            history: History {
                from: instant("2026-08-11T00:00:00Z"),
                ranges: vec![OffsetRange { partition: Partition(0), from: 2, to: 10240 }],
                select: Some(Select {
                    model: String::from("flight-delay"),
                    versions: Vec::new(),
                    ts_from: instant("2026-08-11T00:00:00Z"),
                    ts_before: instant("2026-11-09T00:00:00Z"),
                }),
            },
            labels: None,
            complete: true,
            expires: Some(instant("2026-11-23T04:00:00Z")),
            export: String::from(
                "driftline export --config driftline.yaml --retrain 0f --out train.parquet",
            ),
        },
        baseline_sha256: String::from("aa"),
        config_sha256: String::from("bb"),
        replay: String::from(
            "driftline replay --config driftline.yaml --window flight-delay@20261109T000000Z.1d",
        ),
    };
    let request = RetrainRequest::new(instant("2026-11-10T01:00:00Z"), data);
    assert_eq!(serde_json::to_string(&request).unwrap(), REQUEST);
    assert_eq!(serde_json::from_str::<RetrainRequest>(REQUEST).unwrap(), request);
}

/// A job was told that all rows were there, a day after retention had taken them.
#[test]
fn a_request_that_is_sent_after_its_rows_are_gone_says_so() {
    let request: RetrainRequest = serde_json::from_str(REQUEST).unwrap();
    let begins_at = |offset: i64| BTreeMap::from([(Partition(0), offset)]);
    assert_eq!(request.looked_at_again(&begins_at(10240)), None);
    let late = request.looked_at_again(&begins_at(10241)).unwrap();
    assert!(!late.data.train_on.complete);
    assert_eq!(late.data.retrain_id, request.data.retrain_id);
    assert_eq!(late.looked_at_again(&begins_at(11052)), None, "it says so already");
    // Where nobody knows where the log begins, it says what it said.
    assert_eq!(request.looked_at_again(&BTreeMap::new()), None);
}
