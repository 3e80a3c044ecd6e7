//! Who gets a row, what keeps a row back, when rows are repeated and tried again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use driftline_config::{
    Email, MailTransport, MaxAge, Receiver, ReceiverKind, Secret, Wants, Webhook,
};

use super::story::{START_US, Watch, run, transitions};
use crate::mail::{MailContext, RetrainNote};
use crate::outbox::{OutboxRow, RowKind, Silence, is_too_old, rows_for, silenced_by};
use crate::repeat::{Moment, RepeatRules, Sent};
use crate::schedule::next_attempt;
use crate::{Acceptance, Class, Transition, accept};

fn receiver(name: &str, on: &[Wants], kind: ReceiverKind) -> Receiver {
    Receiver { name: name.to_owned(), on: on.to_vec(), kind }
}

fn receivers() -> Vec<Receiver> {
    let mail = || {
        ReceiverKind::Email(Email {
            transport: MailTransport::Folder(PathBuf::from("mails")),
            from: String::from("driftline@example.org"),
            to: vec![String::from("ops@example.org")],
        })
    };
    let webhook = || {
        ReceiverKind::Webhook(Webhook {
            url: Secret::new("http://localhost:1/"),
            secret: None,
            headers: BTreeMap::new(),
            ca: None,
        })
    };
    vec![
        receiver("mail", &[Wants::Alerts], mail()),
        receiver("others", &[Wants::Alerts], mail()),
        receiver("chat", &[Wants::Alerts, Wants::Retrain], webhook()),
        receiver("trainer", &[Wants::Retrain], webhook()),
    ]
}

fn rows(transition: &Transition, ordinal: u32, notify: &[&str]) -> Vec<OutboxRow> {
    let context = MailContext {
        transition,
        ordinal,
        unmoved: &[],
        retrain: &RetrainNote::None,
        replay: None,
        external_url: None,
        api: "https://driftline.example.org",
        may_write: true,
    };
    let notify: Vec<String> = notify.iter().map(|&name| name.to_owned()).collect();
    rows_for(&context, &receivers(), &notify).unwrap()
}

#[test]
fn a_row_per_receiver_that_is_named_and_wants_alerts() {
    let all = transitions(Watch::Windows, Class::InputShift, "aa");
    let rows = rows(&all[0], 0, &["mail", "chat", "trainer"]);
    let told: Vec<&str> = rows.iter().map(|row| row.receiver.as_str()).collect();
    assert_eq!(told, ["mail", "chat"]);
    assert!(matches!(rows[0].kind, RowKind::Mail(_)));
    assert!(matches!(&rows[1].kind, RowKind::Webhook { event, .. } if event == "alert.firing"));
    for row in &rows {
        assert_eq!((row.id.as_str(), row.created_by.as_str()), (&*all[0].id, &*all[0].id));
        let stored = serde_json::to_string(row).unwrap();
        assert_eq!(serde_json::from_str::<OutboxRow>(&stored).unwrap(), *row);
    }
}

#[test]
fn a_repeat_is_the_transition_with_an_ordinal() {
    let all = transitions(Watch::Windows, Class::InputShift, "aa");
    assert_eq!(rows(&all[0], 3, &["mail"])[0].id, format!("{}.3", all[0].id));
}

#[test]
fn quiet_transitions_are_recorded_and_not_sent() {
    let mut all = transitions(Watch::Windows, Class::InputShift, "aa");
    all[0].quiet = true;
    assert!(rows(&all[0], 0, &["mail", "chat"]).is_empty());
}

#[test]
fn silences_match_model_and_class_until_they_end() {
    let all = transitions(Watch::Windows, Class::InputShift, "aa");
    let mut row = rows(&all[0], 0, &["chat"]).remove(0);
    let silence = |model: Option<&str>, class| Silence {
        id: String::from("s"),
        model: model.map(str::to_owned),
        class,
        until_us: HOUR_US,
        by: String::from("on-call"),
        reason: String::from("known"),
    };
    for (silence, now_us, expected) in [
        (silence(None, None), 0, true),
        (silence(None, None), HOUR_US, false),
        (silence(Some("flight-delay"), None), 0, true),
        (silence(Some("other"), None), 0, false),
        (silence(None, Some(Class::InputShift)), 0, true),
        (silence(Some("flight-delay"), Some(Class::Serving)), 0, false),
    ] {
        let silences = [silence];
        let silenced = silenced_by(&row, &silences, now_us).is_some();
        assert_eq!(silenced, expected, "{:?} at {now_us}", silences[0]);
    }
    row.kind =
        RowKind::Webhook { event: String::from("retrain.requested"), body: String::from("{}") };
    assert_eq!(silenced_by(&row, &[silence(None, None)], 0), None, "programs are not silenced");

    let written = serde_json::to_string(&silence(Some("m"), Some(Class::NoData))).unwrap();
    let expected = r#"{"id":"s","model":"m","class":"no data","until":"1970-01-01T01:00:00Z","by":"on-call","reason":"known"}"#;
    assert_eq!(written, expected);
}

#[test]
fn transitions_older_than_max_age_are_not_sent() {
    assert_eq!(MaxAge::Default.limit_us(MINUTE_US), Some(HOUR_US));
    assert_eq!(MaxAge::Default.limit_us(7 * DAY_US), Some(7 * DAY_US));
    assert_eq!(MaxAge::After(5).limit_us(DAY_US), Some(5));
    assert_eq!(MaxAge::Off.limit_us(DAY_US), None);
    assert!(!is_too_old(0, HOUR_US, Some(HOUR_US)));
    assert!(is_too_old(0, HOUR_US + 1, Some(HOUR_US)));
    assert!(!is_too_old(0, i64::MAX, None));
}

const REPEAT: RepeatRules = RepeatRules { drift_us: 7 * DAY_US, operations_us: 4 * HOUR_US };

fn at(now_us: i64, caught_up: bool, silences: &[Silence]) -> Moment<'_> {
    Moment { now_us, caught_up, model: "flight-delay", silences }
}

#[test]
fn drift_repeats_after_7_days_and_operations_after_4_hours() {
    for (lane, class, every_us) in [
        (Watch::Windows, Class::InputShift, 7 * DAY_US),
        (Watch::Windows, Class::Release, 7 * DAY_US),
        (Watch::Wall, Class::NoData, 4 * HOUR_US),
        (Watch::Windows, Class::BrokenInput, 4 * HOUR_US),
    ] {
        let (alerts, steps) = run(lane, class, "aa");
        let firing = steps.iter().flatten().next().unwrap();
        let mut sent = Sent::default();
        sent.note(&firing.incident, &firing.id, 0, START_US);
        let ordinals = |sent: &Sent, now_us: i64| -> Vec<u32> {
            sent.due(&alerts, &at(now_us, true, &[]), &REPEAT)
                .iter()
                .map(|due| due.ordinal)
                .collect()
        };
        assert!(ordinals(&sent, START_US + every_us - 1).is_empty(), "{class}");
        assert_eq!(ordinals(&sent, START_US + every_us), [1], "{class}");
        sent.note(&firing.incident, &firing.id, 1, START_US + every_us);
        assert_eq!(ordinals(&sent, START_US + 2 * every_us), [2], "{class}");
    }
}

#[test]
fn what_was_too_old_and_still_fires_is_sent_once_caught_up() {
    let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aa");
    let mut sent = Sent::default();
    assert!(sent.due(&alerts, &at(0, false, &[]), &REPEAT).is_empty(), "not while catching up");
    let due = sent.due(&alerts, &at(0, true, &[]), &REPEAT);
    assert_eq!((due[0].ordinal, &due[0].incident.last.id), (0, &steps[1][0].id));
    sent.note(&steps[1][0].incident, &steps[1][0].id, 0, 0);
    assert!(sent.due(&alerts, &at(1, true, &[]), &REPEAT).is_empty(), "once");

    let (resolved, _) = run(Watch::Windows, Class::InputShift, "aaoo");
    assert!(sent.due(&resolved, &at(i64::MAX, true, &[]), &REPEAT).is_empty());
    sent.prune(&resolved);
    assert_eq!(sent, Sent::default());
}

#[test]
fn accepted_incidents_are_not_repeated() {
    let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aa");
    let acceptance = Acceptance { by: "me".into(), reason: "known".into(), at_us: 0 };
    let accepted = accept(&alerts, &steps[1][0].id, acceptance).unwrap();
    assert!(Sent::default().due(&accepted, &at(i64::MAX, true, &[]), &REPEAT).is_empty());
}

/// Messages of a silence piled up and came out together at its end; repeats did not look at silences.
#[test]
fn a_silenced_incident_is_told_once_after_the_silence_if_it_still_fires() {
    let (alerts, steps) = run(Watch::Windows, Class::InputShift, "aa");
    let firing = steps.iter().flatten().next().unwrap();
    let silence = |class, until_us| Silence {
        id: String::from("s"),
        model: None,
        class: Some(class),
        until_us,
        by: String::from("on-call"),
        reason: String::from("known"),
    };
    let of_others = [silence(Class::Serving, 30 * DAY_US)];
    let silences = [silence(Class::InputShift, 20 * DAY_US), silence(Class::InputShift, HOUR_US)];
    let mut sent = Sent::default();
    let ordinals = |sent: &Sent, now_us: i64, silences: &[Silence]| -> Vec<u32> {
        let due = sent.due(&alerts, &at(now_us, true, silences), &REPEAT);
        due.iter().map(|due| due.ordinal).collect()
    };
    assert!(ordinals(&sent, 0, &silences).is_empty(), "not while silenced");
    sent.note(&firing.incident, &firing.id, 0, DAY_US);
    assert!(ordinals(&sent, 9 * DAY_US, &silences).is_empty(), "no repeats while silenced");
    assert_eq!(ordinals(&sent, 9 * DAY_US, &of_others), [1], "others' silences change nothing");
    assert_eq!(ordinals(&sent, 20 * DAY_US, &silences), [1], "it still fires at the end");
    sent.note(&firing.incident, &firing.id, 1, 20 * DAY_US);
    assert!(ordinals(&sent, 20 * DAY_US + 1, &silences).is_empty(), "once");

    let (resolved, _) = run(Watch::Windows, Class::InputShift, "aaoo");
    assert!(sent.due(&resolved, &at(20 * DAY_US, true, &silences), &REPEAT).is_empty());
}

#[test]
fn attempts_follow_the_schedule_of_standard_webhooks() {
    let waits_us = [
        0,
        5 * SECOND_US,
        5 * MINUTE_US,
        30 * MINUTE_US,
        2 * HOUR_US,
        5 * HOUR_US,
        10 * HOUR_US,
        14 * HOUR_US,
        20 * HOUR_US,
        24 * HOUR_US,
    ];
    for (attempt, wait_us) in (0_u32..).zip(waits_us) {
        for seed in 0..50 {
            let next_us = next_attempt(attempt, START_US, None, seed).unwrap();
            let waited_us = next_us - START_US;
            assert!((wait_us..=wait_us + wait_us / 10).contains(&waited_us), "attempt {attempt}");
            assert_eq!(next_attempt(attempt, START_US, None, seed), Some(next_us));
        }
    }
    assert_eq!(next_attempt(10, 0, None, 0), None);
    let spread: std::collections::BTreeSet<Option<i64>> =
        (0..50).map(|seed| next_attempt(2, 0, None, seed)).collect();
    assert!(spread.len() > 40, "rows that failed together come back apart");
}

#[test]
fn retry_after_is_honoured_up_to_a_day_and_never_shortens() {
    let waited_us = |after_s| next_attempt(1, 0, Some(Duration::from_secs(after_s)), 1).unwrap();
    assert!((3600 * SECOND_US..=3960 * SECOND_US).contains(&waited_us(3600)));
    assert!(waited_us(1) >= 5 * SECOND_US);
    assert!(waited_us(u64::MAX) <= 27 * HOUR_US);
}
