//! Mails word for word (golden files, rewritten with UPDATE_GOLDEN=1), webhook bodies and signatures.

use std::collections::BTreeMap;
use std::path::Path;

use driftline_config::time::{DAY_US, MINUTE_US};
use driftline_config::{Level, WindowId};

use super::story::{START_US, Watch, observation_of};
use crate::mail::{Image, Letter, Mail, MailContext, RetrainNote, Unmoved, compose, with_images};
use crate::webhook::{AlertEvent, SecretError, sign};
use crate::{
    Class, ClassSignal, Evidence, Measure, ModelAlerts, Rules, Transition, TransitionState, decide,
};

const REPLAY: &str =
    "driftline replay --config driftline.yaml --window flight-delay@20130625T000000Z.1d";
const URL: &str = "https://driftline.example.org";

fn finding(subject: &str, check: &str, numbers: [f64; 3], because: &str) -> Evidence {
    let [value, bound, tolerance] = numbers;
    Evidence {
        subject: subject.into(),
        check: check.to_owned(),
        level: Level::Alarm,
        value: Some(value),
        bound: Some(bound),
        tolerance: Some(tolerance),
        unit: Measure::Statistic,
        because: because.to_owned(),
        first_over_us: Some(START_US),
    }
}

fn moved() -> Vec<Evidence> {
    vec![
        finding(
            "feature:distance",
            "distribution",
            [0.12, 0.06, 0.05],
            "38 % of requests have distance > 1089, in the baseline 26 %: 12 points more, at least 6 \
             with 99 % confidence; tolerance 5",
        ),
        finding(
            "feature:dep_delay",
            "distribution",
            [0.16, 0.1, 0.05],
            "57 % of requests have dep_delay > 3.25, in the baseline 41 %: 16 points more, at least \
             10 with 99 % confidence; tolerance 5",
        ),
        finding(
            "feature:precip",
            "distribution",
            [0.14, 0.07, 0.05],
            "44 % of requests have precip > 0.31, in the baseline 30 %: 14 points more, at least 7 \
             with 99 % confidence; tolerance 5",
        ),
    ]
}

fn unmoved() -> Vec<Unmoved> {
    let row = |name: &str, value: &str, reference: &str| Unmoved {
        name: name.to_owned(),
        value: value.to_owned(),
        reference: reference.to_owned(),
    };
    vec![
        row("errors", "0.0 %", "at most 0.1 %"),
        row("p99 latency", "12 ms", "under 50 ms"),
        row("volume", "905 requests", "893 a window"),
        row("missing", "0.4 %", "0.5 %"),
        row("versions", "3", "3"),
    ]
}

/// Windows (or panes) of one class, each with these subjects at alarm (none: ok).
fn story(lane: Watch, class: Class, steps: Vec<Vec<Evidence>>) -> Vec<Transition> {
    let mut alerts = ModelAlerts::default();
    let mut all = Vec::new();
    for (index, subjects) in steps.into_iter().enumerate() {
        let level = if subjects.is_empty() { Level::Ok } else { Level::Alarm };
        let signal = ClassSignal { level, subjects };
        let seen = observation_of(lane, index, BTreeMap::from([(class, signal)]), true);
        let (after, transitions) = decide(&alerts, &seen, &Rules::default());
        alerts = after;
        all.extend(transitions);
    }
    all
}

fn input_shift() -> Vec<Transition> {
    let mut grown = moved();
    grown[1] = finding(
        "feature:dep_delay",
        "distribution",
        [0.27, 0.21, 0.05],
        "68 % of requests have dep_delay > 3.25, in the baseline 41 %: 27 points more, at least 21 \
         with 99 % confidence; tolerance 5",
    );
    grown.push(finding(
        "feature:dest",
        "distribution",
        [0.19, 0.13, 0.1],
        "9 % of requests have dest = ORD, in the baseline 5 %",
    ));
    let steps = vec![moved(), moved(), grown, vec![], vec![]];
    story(Watch::Windows, Class::InputShift, steps)
}

fn broken_input() -> Transition {
    let mut broken = finding(
        "feature:dep_delay",
        "wrong_type",
        [0.98, 0.97, 0.01],
        "98 % of requests carry dep_delay as text (\"12\", \"-3\", \"0\"), in the baseline 0 %",
    );
    broken.first_over_us = Some(START_US + 14 * MINUTE_US);
    story(Watch::Panes, Class::BrokenInput, vec![vec![broken]; 5]).remove(0)
}

fn no_data() -> Transition {
    let mut silent = finding(
        "model",
        "no_data",
        [0.0, 0.0, 0.0],
        "nothing was read for 2 days and 3 hours: the whole topic flights.captures is silent, and \
         Driftline is caught up",
    );
    (silent.value, silent.bound, silent.tolerance) = (None, None, None);
    silent.first_over_us = Some(START_US - DAY_US);
    story(Watch::Wall, Class::NoData, vec![vec![silent]]).remove(0)
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
    }
}

#[track_caller]
fn check_file(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

fn check_golden(name: &str, mail: &Mail) {
    let reply = mail.in_reply_to.as_deref().unwrap_or("none");
    let headers =
        format!("Subject: {}\nMessage-ID: {}\nIn-Reply-To: {reply}", mail.subject, mail.message_id);
    let written = format!("{headers}\n\n{}", mail.text);
    check_file(&format!("{name}.txt"), &written);
    check_file(&format!("{name}.html"), &mail.html);
    assert!(mail.text.lines().count() < 40, "{name} is too long a text");
    assert!(!mail.text.contains("p-value") && !mail.text.contains("p ="));
}

#[test]
fn mails_read_as_the_golden_files() {
    let all = input_shift();
    let states: Vec<TransitionState> = all.iter().map(|transition| transition.state).collect();
    use TransitionState::{Changed, Firing, Resolved};
    assert_eq!(states, [Firing, Changed, Resolved]);
    let (unmoved, none) = (unmoved(), RetrainNote::None);
    let requested =
        RetrainNote::Requested { id: String::from("5be2f7a1c3d94e60a8b1f2c3d4e5f607"), rows: 1812 };
    let held_back = RetrainNote::HeldBack {
        why: String::from("the input of these windows is broken (dep_delay wrong_type)"),
    };
    check_golden("firing", &compose(&context(&all[0], &unmoved, &requested)));
    check_golden("changed", &compose(&context(&all[1], &unmoved, &none)));
    check_golden("resolved", &compose(&context(&all[2], &unmoved, &none)));
    check_golden("broken_input", &compose(&context(&broken_input(), &unmoved, &held_back)));
    let silent = no_data();
    let silent = MailContext { replay: None, ..context(&silent, &[], &none) };
    check_golden("no_data", &compose(&silent));
    let again = MailContext { ordinal: 2, external_url: None, ..context(&all[0], &[], &none) };
    check_golden("repeat", &compose(&again));
}

#[test]
fn images_stand_behind_the_findings() {
    let mail = compose(&context(&input_shift()[0], &unmoved(), &RetrainNote::None));
    let window = input_shift()[0].windows.last().cloned().unwrap();
    let pictured: Vec<&str> = mail.pictured.iter().map(|of| of.subject.as_str()).collect();
    assert_eq!(pictured, ["feature:dep_delay", "feature:precip", "feature:distance"]);
    assert!(mail.pictured.iter().all(|of| of.window == window));
    let image = |alt: &str| Image { alt: alt.to_owned(), width: 360, png: vec![1] };
    let images =
        vec![image("dep_delay: the two distributions"), image("dep_delay: \"KS\" over time")];
    check_file("firing_with_images.html", &with_images(&Letter { mail, images }));
    // A mail about no window, and a row of an earlier release, picture nothing.
    assert!(compose(&context(&no_data(), &[], &RetrainNote::None)).pictured.is_empty());
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
fn subjects_are_named_as_people_name_them() {
    for (subject, check, expected) in [
        ("feature:dep_delay", "distribution", " in dep_delay"),
        ("prediction:score@3", "distribution", " in score of version 3"),
        ("latency", "latency", " in latency"),
        ("status", "errors", " in errors"),
        ("model", "volume", " in volume"),
        ("model", "no_data", ""),
    ] {
        let found = finding(subject, check, [0.2, 0.1, 0.05], "because");
        let transition = story(Watch::Wall, Class::Driftline, vec![vec![found]]).remove(0);
        let mail = compose(&context(&transition, &[], &RetrainNote::None));
        let title = format!("[driftline] flight-delay: driftline{expected} since 24 June");
        assert!(mail.subject.starts_with(&title), "{}", mail.subject);
    }
}

#[test]
fn message_ids_never_change_and_thread_by_incident() {
    let all = input_shift();
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
    let many = vec![unmoved().remove(0); 50];
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
