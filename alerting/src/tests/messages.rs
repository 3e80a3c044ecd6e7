//! Mails and webhooks: identifiers, bounds, escaping, images, bodies and signatures. What mails say word for
//! word is tested where they are made from reports: `service/pipeline/tests/it/mails.rs`.

use std::collections::BTreeMap;

use driftline_config::time::parse_instant_us;
use driftline_config::{Level, WindowId};

use super::story::{Watch, observation_of, subject};
use crate::mail::{Image, Letter, Mail, MailContext, RetrainNote, Unmoved, compose, with_images};
use crate::webhook::{AlertEvent, SecretError, sign};
use crate::{
    Class, ClassSignal, Evidence, ModelAlerts, Rules, Transition, TransitionState, decide,
};

const REPLAY: &str =
    "driftline replay --config driftline.yaml --window flight-delay@20130625T000000Z.1d";
const URL: &str = "https://driftline.example.org";

fn moved() -> Vec<Evidence> {
    let alarm = |name, value, bound| subject(name, Level::Alarm, value, bound);
    vec![alarm("distance", 0.12, 0.06), alarm("dep_delay", 0.16, 0.1), alarm("precip", 0.14, 0.07)]
}

fn unmoved() -> Unmoved {
    let (value, reference) = ("0.00 %".to_owned(), "0.10 %".to_owned());
    Unmoved { name: "errors".to_owned(), value, reference }
}

/// Windows (or looks at the clock) of one class, each with these subjects at alarm (none: ok).
fn story(lane: Watch, class: Class, steps: Vec<Vec<Evidence>>) -> Vec<Transition> {
    let mut alerts = ModelAlerts::default();
    let mut all = Vec::new();
    for (index, subjects) in steps.into_iter().enumerate() {
        let level = if subjects.is_empty() { Level::Ok } else { Level::Alarm };
        let signal = ClassSignal::new(level, subjects);
        let seen = observation_of(lane, index, BTreeMap::from([(class, signal)]), true);
        let (after, transitions) = decide(&alerts, &seen, &Rules::default());
        alerts = after;
        all.extend(transitions);
    }
    all
}

/// It opens, grows and resolves.
fn input_shift() -> Vec<Transition> {
    let mut grown = moved();
    grown[1] = subject("dep_delay", Level::Alarm, 0.27, 0.21);
    grown.push(subject("dest", Level::Alarm, 0.19, 0.13));
    let steps = vec![moved(), moved(), grown, vec![], vec![]];
    story(Watch::Windows, Class::InputShift, steps)
}

/// What the clock shows, about this and at once.
fn by_the_clock(class: Class, about: &str, check: &str) -> Transition {
    let found = subject("dep_delay", Level::Alarm, 0.2, 0.1);
    let found = Evidence { subject: about.into(), check: check.to_owned(), ..found };
    story(Watch::Wall, class, vec![vec![found]]).remove(0)
}

fn context<'a>(
    transition: &'a Transition,
    unmoved: &'a [Unmoved],
    retrain: &'a RetrainNote,
) -> MailContext<'a> {
    MailContext {
        transition,
        ordinal: 0,
        unmoved,
        retrain,
        replay: Some(REPLAY),
        external_url: Some(URL),
        api: "https://driftline.example.org",
        may_write: true,
    }
}

#[test]
fn images_stand_behind_the_findings() {
    let shift = input_shift().remove(0);
    let mail = compose(&context(&shift, &[unmoved()], &RetrainNote::None));
    let window = shift.windows.last().cloned().unwrap();
    let pictured: Vec<&str> = mail.pictured.iter().map(|of| of.subject.as_str()).collect();
    assert_eq!(pictured, ["feature:dep_delay", "feature:precip", "feature:distance"]);
    assert!(mail.pictured.iter().all(|of| of.window == window));
    let image = |alt: &str| Image { alt: alt.to_owned(), width: 360, png: vec![1] };
    let images =
        vec![image("dep_delay: the two distributions"), image("dep_delay: \"KS\" over time")];
    let parts = [(1, "the two distributions"), (2, "&quot;KS&quot; over time")];
    let written = parts.map(|(number, what)| {
        let (id, style) = (&shift.id, "max-width: 100%; height: auto");
        let source = format!("cid:figure-{number}.{id}@driftline");
        format!(
            "<p><img src=\"{source}\" width=\"360\" style=\"{style}\" alt=\"dep_delay: {what}\"></p>\n"
        )
    });
    let (plain, written) = (mail.html.clone(), written.concat());
    let html = with_images(&Letter { mail, images });
    assert!(html.contains(&format!("</li>\n</ol>\n{written}<p>Since: ")), "{html}");
    assert_eq!(html.replace(&written, ""), plain, "nothing else differs");
    // A mail about no window, and a row of an earlier release, picture nothing.
    let silent = by_the_clock(Class::NoData, "model", "no_data");
    assert!(compose(&context(&silent, &[], &RetrainNote::None)).pictured.is_empty());
    let earlier = r#"{"subject":"s","text":"t","html":"h","message_id":"<m>","in_reply_to":null}"#;
    assert!(serde_json::from_str::<Mail>(earlier).unwrap().pictured.is_empty());
}

#[test]
fn the_subject_is_the_one_of_the_rules() {
    let mail = compose(&context(&input_shift()[0], &[], &RetrainNote::None));
    assert_eq!(
        mail.subject,
        "[driftline] flight-delay: input shift in dep_delay and 2 more since 24 June"
    );
}

#[test]
fn windows_of_a_zone_are_told_by_its_clocks() {
    let mut transition = input_shift().remove(0);
    transition.since_us = parse_instant_us("2013-06-23T22:00:00Z").unwrap();
    for (window, day, since) in [
        ("m@20130623T220000Z.1d.Europe~Paris", "24 June", "24 June 2013 00:00 Europe/Paris"),
        ("m@20130623T220000Z.1h", "23 June 22:00 UTC", "23 June 2013 22:00 UTC"),
    ] {
        transition.windows = vec![window.into()];
        let mail = compose(&context(&transition, &[], &RetrainNote::None));
        assert!(mail.subject.ends_with(&format!(" and 2 more since {day}")), "{}", mail.subject);
        assert!(mail.text.contains(&format!("\nSince: {since}; ")), "{}", mail.text);
    }
}

#[test]
fn subjects_are_named_as_people_name_them() {
    for (subject, check, expected) in [
        ("feature:dep_delay", "distribution", " in dep_delay"),
        ("prediction:score@3", "distribution", " in score of version 3"),
        ("latency", "latency", " in latency"),
        ("status", "errors", " in errors"),
        ("model", "volume", " in volume"),
        ("model", "no_data", ""),
    ] {
        let transition = by_the_clock(Class::Driftline, subject, check);
        let mail = compose(&context(&transition, &[], &RetrainNote::None));
        let title = format!("[driftline] flight-delay: driftline{expected} since 24 June");
        assert!(mail.subject.starts_with(&title), "{}", mail.subject);
    }
}

#[test]
fn message_ids_never_change_and_thread_by_incident() {
    let all = input_shift();
    let states: Vec<TransitionState> = all.iter().map(|transition| transition.state).collect();
    use TransitionState::{Changed, Firing, Resolved};
    assert_eq!(states, [Firing, Changed, Resolved]);
    let note = RetrainNote::None;
    let mail =
        |transition, ordinal| compose(&MailContext { ordinal, ..context(transition, &[], &note) });
    let opening = format!("<{}@driftline>", all[0].id);
    assert_eq!(
        (mail(&all[0], 0).message_id, mail(&all[0], 0).in_reply_to),
        (opening.clone(), None)
    );
    assert_eq!(mail(&all[1], 0).in_reply_to, Some(opening.clone()));
    let repeat = mail(&all[0], 1);
    assert_eq!(repeat.message_id, format!("<{}.1@driftline>", all[0].id));
    assert_eq!(repeat.in_reply_to, Some(opening));
    assert_eq!(mail(&all[0], 1), repeat);
}

#[test]
fn the_longest_mail_stays_under_40_lines() {
    let mut transition = input_shift().remove(1);
    transition.looks_like = Class::BrokenInput;
    for subject in &mut transition.subjects {
        subject.because = format!("{}\n", "very ".repeat(300));
    }
    let many = vec![unmoved(); 50];
    let note = RetrainNote::HeldBack { why: "why\n".repeat(100) };
    let mail = compose(&context(&transition, &many, &note));
    assert!(mail.text.lines().count() < 40);
    assert!(mail.text.contains("Look at the broken input of this model first"));
}

/// Column names and values come from traffic: they must not become headers, lines or markup.
#[test]
fn what_traffic_names_cannot_write_headers_or_markup() {
    let mut transition = input_shift().remove(0);
    let hostile = "feature:x\r\nBcc: thief@example.org\u{202e}<script>alert('1')</script>\"&";
    transition.subjects[0].subject = hostile.into();
    transition.subjects[0].because = hostile.to_owned();
    transition.model = String::from("<b>m</b>");
    let rows = vec![Unmoved {
        name: String::from("<i>"),
        value: String::from("\""),
        reference: String::from("&"),
    }];
    let mail = compose(&context(&transition, &rows, &RetrainNote::None));
    assert!(!mail.subject.contains(['\r', '\n', '\u{202e}']));
    assert!(!mail.text.contains("\nBcc:") && !mail.text.contains('\r'));
    for markup in ["<script", "<b>", "<i>", "'1'"] {
        assert!(!mail.html.contains(markup), "{markup}");
    }
    assert!(mail.html.contains("&lt;script&gt;"));
}

#[test]
fn alert_webhooks_carry_type_timestamp_and_data() {
    let all = input_shift();
    let note = RetrainNote::None;
    let kinds: Vec<String> = all
        .iter()
        .map(|transition| AlertEvent::new(&context(transition, &[], &note)).kind)
        .collect();
    assert_eq!(kinds, ["alert.firing", "alert.changed", "alert.resolved"]);
    let event = AlertEvent::new(&context(&all[0], &[], &note));
    let body: serde_json::Value =
        serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
    assert_eq!(body["type"], "alert.firing");
    assert_eq!(body["timestamp"], "2013-06-26T01:00:00Z");
    assert_eq!(body["data"]["class"], "input shift");
    assert_eq!(body["data"]["since"], "2013-06-24T00:00:00Z");
    assert_eq!(body["data"]["incident"], all[0].id.as_str());
    assert_eq!(body["data"]["subjects"][0]["subject"], "feature:dep_delay");
    assert_eq!(body["data"]["subjects"][0]["bound"], 0.1);
    assert_eq!(body["data"]["windows"].as_array().map(Vec::len), Some(2));
    assert_eq!(serde_json::from_value::<AlertEvent>(body).unwrap(), event);
}

#[test]
fn an_alert_webhook_stays_under_20_kilobytes() {
    let mut transition = input_shift().remove(1);
    let mut long = moved().remove(0);
    long.because = "ä".repeat(5000);
    transition.subjects = vec![long; 20];
    transition.windows = vec![WindowId::from("w".repeat(100)); 100];
    let event = AlertEvent::new(&context(&transition, &[], &RetrainNote::None));
    assert!(serde_json::to_string(&event).unwrap().len() < 20_000);
}

#[test]
fn signatures_are_those_of_standard_webhooks() {
    // The first vector is published with the specification's libraries, the second was computed
    // with another HMAC implementation.
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = br#"{"test": 2432232314}"#;
    assert_eq!(
        sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body, secret).unwrap(),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
    assert_eq!(
        sign("4f1c", 1_700_000_000, b"{}", "a plain secret").unwrap(),
        "v1,XACae76EEhFPEtcub4B5X6l6vNhP51mzhcZE6+3ZYUg="
    );
    assert_eq!(sign("m", 0, b"", "whsec_not base64"), Err(SecretError::NotBase64));
    assert_eq!(sign("m", 0, b"", "whsec_"), Err(SecretError::Empty));
    assert_eq!(sign("m", 0, b"", ""), Err(SecretError::Empty));
}
