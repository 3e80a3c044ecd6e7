//! Mails word for word, as somebody gets them: traffic goes through the pipeline, and what it says in mails
//! stands beside golden files (UPDATE_GOLDEN=1 rewrites them).

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use driftline_alerting::mail::Mail;
use driftline_alerting::outbox::RowKind;
use driftline_analytics::baseline::build::{CutPoints, OwnWindowRule};
use driftline_capture::{CaptureSchema, Column, Kind};
use driftline_config::WindowGrid;
use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use driftline_pipeline::inline::Inline;
use driftline_pipeline::{Event, Read};
use driftline_world::{Log, T0, World, at, baseline_with, decode_all};
use serde_json::{Value, json};

const CONFIG: &str = r#"
state: state
kafka: {bootstrap: "localhost:9092"}
http: {external_url: "https://driftline.example.org", token: secret}
models:
  - name: flight-delay
    captures: {topic: flights.captures}
    baseline: baseline.json
    latency: {under: 50ms, objective: 0.99}
    errors: {objective: 0.999}
receivers:
  - {name: ops-mail, email: {folder: mails, from: driftline@example.org, to: [ops@example.org]}}
  - {name: retrain, on: [retrain], webhook: {url: "http://localhost:9", secret: whsec_c2VjcmV0}}
"#;

/// Days of the baseline: enough of them that ranks of its own days decide.
const BASELINE_DAYS: i64 = 90;

/// Traffic of one kind.
#[derive(Clone, Copy)]
struct Spell {
    hours: i64,
    every_us: i64,
    /// What is unlike the baseline in a capture.
    change: fn(&mut Value),
}

/// What comes, from [`T0`] on, and the mails that it makes.
struct Story<'a> {
    config: &'a str,
    spells: &'a [Spell],
    /// How long nothing comes behind it.
    silent_hours: i64,
    /// Names of the golden files, in the order of the mails.
    mails: &'a [&'a str],
}

fn steady(hours: i64) -> Spell {
    moved(hours, |_| {})
}

fn moved(hours: i64, change: fn(&mut Value)) -> Spell {
    Spell { hours, every_us: MINUTE_US, change }
}

fn busy(hours: i64, change: fn(&mut Value)) -> Spell {
    Spell { hours, every_us: 10 * SECOND_US, change }
}

/// A request for one flight; the same `index` is the same flight.
fn capture(index: u64, time_us: i64) -> Value {
    let mut chance = fastrand::Rng::with_seed(index);
    let (delay, score) = (chance.f64(), chance.f64());
    let is_known = chance.u32(0..200) > 0;
    let distance = is_known.then(|| (100.0 + 2400.0 * chance.f64().powi(2)).round());
    let status = if chance.u32(0..5000) > 0 { 200 } else { 503 };
    let dest = ["ATL", "ORD", "LAX", "BOS"][chance.usize(..4).min(chance.usize(..4))];
    json!({
        "v": 1, "version": "3", "id": format!("flight-{index}"), "ts": time_us / 1000,
        "latency_us": 4000 + chance.i64(0..9000), "status": status,
        "features": {
            // Most leave within minutes of their time, a few hours late.
            "dep_delay": (20.0 * delay - 10.0 + 100.0 * delay.powi(8)).round(),
            "distance": distance,
            "dest": dest,
        },
        "prediction": {"score": (score * score * 1000.0).round() / 1000.0},
    })
}

/// Moves a number of a capture, where it has it.
fn move_number(capture: &mut Value, name: &str, to: impl Fn(f64) -> f64) {
    let number = &mut capture["features"][name];
    *number = json!(number.as_f64().map(|known| to(known).round()));
}

/// Captures of a stretch of time with their times. Now and then nobody asks.
fn captures(start_us: i64, spell: Spell) -> impl Iterator<Item = (i64, String)> {
    let times = (start_us..start_us + spell.hours * HOUR_US).step_by(spell.every_us as usize);
    times.filter_map(move |time_us| {
        let index = (time_us / SECOND_US) as u64;
        let mut capture = capture(index, time_us);
        (spell.change)(&mut capture);
        let is_asked = fastrand::Rng::with_seed(!index).u8(..10) > 0;
        is_asked.then(|| (time_us, capture.to_string()))
    })
}

fn baseline() -> &'static [u8] {
    static BASELINE: OnceLock<Vec<u8>> = OnceLock::new();
    BASELINE.get_or_init(|| {
        let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
        let schema = CaptureSchema {
            columns: vec![
                column("feature:dep_delay", Kind::Numeric),
                column("feature:dest", Kind::Categorical),
                column("feature:distance", Kind::Numeric),
                column("prediction:score", Kind::Numeric),
            ],
            ignored: Vec::new(),
        };
        let days = captures(T0 - BASELINE_DAYS * DAY_US, steady(24 * BASELINE_DAYS));
        let rows = decode_all(&schema, &days.map(|(_, capture)| capture).collect::<Vec<String>>());
        let own_windows = Some(OwnWindowRule { grid: WindowGrid::every(DAY_US), at_least: 300 });
        baseline_with(schema, &[rows], CutPoints::default(), own_windows).to_json()
    })
}

/// Lives through a story hour by hour, as the service does that is caught up all the time.
fn live(story: &Story<'_>) -> Inline {
    let world = World::new(story.config, baseline());
    let mut inline = Inline::new(world.pipeline_over(1));
    let mut log = Log::new(1);
    let mut now_us = T0;
    let silence = std::iter::repeat_n(None, story.silent_hours as usize);
    let hours = story.spells.iter().flat_map(|spell| (0..spell.hours).map(move |_| Some(spell)));
    for spell in hours.chain(silence) {
        let from = log.len(0);
        if let Some(&spell) = spell {
            for (time_us, capture) in captures(now_us, Spell { hours: 1, ..spell }) {
                log.push(0, capture, time_us);
            }
            let chunk = world.chunk(&log, 0, from, log.len(0));
            inline.feed(Event::Read(Read::Chunk(chunk)), now_us + HOUR_US);
        }
        now_us += HOUR_US;
        let (at, offset) = (at(0, 0), log.len(0) as i64);
        inline.feed(
            Event::Read(Read::EndOfPartition { at, offset, sampled: Some(now_us.into()) }),
            now_us,
        );
        inline.feed(Event::Tick, now_us);
    }
    inline
}

#[allow(
    clippy::disallowed_methods,
    reason = "golden files are files, and rewritten when asked for"
)]
#[track_caller]
fn check_file(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mails/golden");
    let path = folder.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

#[track_caller]
fn check_mail(name: &str, mail: &Mail) {
    let reply = mail.in_reply_to.as_deref().unwrap_or("none");
    let headers =
        format!("Subject: {}\nMessage-ID: {}\nIn-Reply-To: {reply}", mail.subject, mail.message_id);
    check_file(&format!("{name}.txt"), &format!("{headers}\n\n{}", mail.text));
    check_file(&format!("{name}.html"), &mail.html);
    assert!(mail.text.lines().count() < 40, "{name} is too long a text");
    assert!(!mail.text.contains("p-value") && !mail.text.contains("p ="));
}

/// The story makes these mails and no other, and what they say was asked for was asked for.
#[track_caller]
fn check(story: &Story<'_>) {
    let inline = live(story);
    let mails = inline.messages.iter().filter_map(|row| match &row.kind {
        RowKind::Mail(mail) => Some(mail),
        RowKind::Webhook { .. } | RowKind::Alert(_) | RowKind::Channel { .. } => None,
    });
    let mails: Vec<&Mail> = mails.collect();
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(mails.len(), story.mails.len(), "{subjects:#?}");
    for (name, mail) in story.mails.iter().zip(&mails) {
        check_mail(name, mail);
    }
    let texts: String = mails.iter().map(|mail| mail.text.as_str()).collect();
    for request in &inline.requests {
        let id = &request.data.retrain_id;
        assert!(texts.contains(&format!("requested as {id} on ")), "{request:?}");
    }
    let asked = texts.matches("Retraining: requested as ").count();
    assert_eq!(asked, inline.requests.len(), "{texts}");
}

#[test]
fn a_shift_is_told_when_it_opens_grows_lasts_and_is_over() {
    let storm = |capture: &mut Value| {
        move_number(capture, "dep_delay", |minutes| minutes + 3.0);
        move_number(capture, "distance", |miles| miles * 1.4);
    };
    let worse = |capture: &mut Value| {
        move_number(capture, "dep_delay", |minutes| minutes + 6.0);
        move_number(capture, "distance", |miles| miles * 1.4);
        if capture["features"]["dest"] == "BOS" {
            capture["features"]["dest"] = json!("ORD");
        }
    };
    check(&Story {
        config: CONFIG,
        spells: &[steady(48), moved(48, storm), moved(8 * 24, worse), steady(50)],
        silent_hours: 0,
        mails: &["firing", "changed", "grown", "repeat", "resolved"],
    });
}

/// Panes see it within the hour; no window and no retraining is in it.
#[test]
fn values_of_the_wrong_type_are_told_at_once() {
    let as_text = |capture: &mut Value| {
        let minutes = capture["features"]["dep_delay"].to_string();
        capture["features"]["dep_delay"] = json!(minutes);
    };
    check(&Story {
        config: CONFIG,
        spells: &[steady(33), busy(1, as_text)],
        silent_hours: 0,
        mails: &["broken_input"],
    });
}

/// The shift is so strong that one window is enough.
#[test]
fn a_shift_of_broken_input_asks_for_no_retraining() {
    let broken_storm = |capture: &mut Value| {
        move_number(capture, "dep_delay", |minutes| minutes + 10.0);
        if capture["ts"].as_i64().unwrap() % 600_000 == 0 {
            capture["features"]["distance"] = Value::Null;
        }
    };
    check(&Story {
        config: CONFIG,
        spells: &[steady(24), moved(26, broken_storm)],
        silent_hours: 0,
        mails: &["broken_window", "held_back"],
    });
}

#[test]
fn slow_answers_are_told_at_once() {
    let slow = |capture: &mut Value| {
        let latency_us = capture["latency_us"].as_i64().unwrap();
        capture["latency_us"] = json!(latency_us * 6);
    };
    check(&Story {
        config: CONFIG,
        spells: &[steady(33), busy(2, slow)],
        silent_hours: 0,
        mails: &["serving", "serving_grown"],
    });
}

/// Nobody wrote under which address the page is found.
#[test]
fn silence_is_told_after_a_day() {
    check(&Story {
        config: &CONFIG.replace("external_url: \"https://driftline.example.org\", ", ""),
        spells: &[steady(28)],
        silent_hours: 25,
        mails: &["no_data"],
    });
}

/// `BOS` is written `Boston` since an upgrade: one mail with what follows from it, not three.
#[test]
fn a_renamed_category_is_told_once_with_what_follows_from_it() {
    let renamed = |capture: &mut Value| {
        if capture["features"]["dest"] == "ORD" {
            capture["features"]["dest"] = json!("Chicago");
            let score = capture["prediction"]["score"].as_f64().unwrap();
            capture["prediction"]["score"] = json!((0.5 + 0.5 * score).min(1.0));
        }
    };
    check(&Story {
        config: CONFIG,
        spells: &[steady(24), moved(26, renamed)],
        silent_hours: 0,
        mails: &["renamed"],
    });
}

/// Every record was rejected: for five minutes nothing was said, then "only this model is silent".
#[test]
fn nothing_but_rejected_records_is_told_within_minutes_with_reason_and_count() {
    let world = World::new(CONFIG, baseline());
    let mut inline = Inline::new(world.pipeline_over(1));
    let mut log = Log::new(1);
    let mut now_us = T0;
    let mut first_us = None;
    for minute in 0..40 {
        let from = log.len(0);
        for (time_us, capture) in captures(now_us, Spell { hours: 1, ..busy(1, |_| {}) }).take(6) {
            let capture = match minute {
                0..5 => capture,
                35.. => capture,
                _ => capture.replace("\"ts\"", "\"when\""),
            };
            log.push(0, capture, time_us);
        }
        now_us += MINUTE_US;
        let chunk = world.chunk(&log, 0, from, log.len(0));
        inline.feed(Event::Read(Read::Chunk(chunk)), now_us);
        let (at, offset) = (at(0, 0), log.len(0) as i64);
        let end = Read::EndOfPartition { at, offset, sampled: Some(now_us.into()) };
        inline.feed(Event::Read(end), now_us);
        inline.feed(Event::Tick, now_us);
        if first_us.is_none() && !inline.messages.is_empty() {
            first_us = Some((now_us - T0) / MINUTE_US - 5);
        }
    }
    assert_eq!(first_us, Some(2), "minutes after the first rejected record");
    let mails = inline.messages.iter().filter_map(|row| match &row.kind {
        RowKind::Mail(mail) => Some(mail),
        RowKind::Webhook { .. } | RowKind::Alert(_) | RowKind::Channel { .. } => None,
    });
    let mails: Vec<&Mail> = mails.collect();
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(mails.len(), 2, "{subjects:#?}");
    for (name, mail) in ["rejected", "rejected_over"].iter().zip(mails) {
        check_mail(name, mail);
    }
}
