//! Each endpoint as a client sees it: answers, refusals, tokens, escaping; and the listener itself.

mod listener;
mod mutated;
mod page;
mod tls;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use axum::http::request::Builder;
use axum::response::Response;
use driftline_alerting::outbox::Silence;
use driftline_alerting::{Acceptance, Class};
use driftline_analytics::report::Ledger;
use driftline_config::time::{DAY_US, parse_instant_us};
use driftline_config::{Config, Level, Partition, WindowId};
use driftline_pipeline::snapshot::{Snapshot, StoredReport};
use driftline_pipeline::{Position, TopicFacts, TopicLedger};
use driftline_store::Store;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::api::status::readiness;
use crate::metrics::Metrics;
use crate::server::connections::{self, Bounds};
use crate::server::router::{BODY_BYTES, router};

const TOKEN: &str = "planted-token";
const MODEL: &str = "flight-delay";

/// A board with a store of its own, and the driver's end of its commands.
struct Rig {
    board: Arc<Board>,
    commands: Receiver<Command>,
    store: Arc<Store>,
    _folder: tempfile::TempDir,
}

fn rig(http: &str, queue: usize) -> Rig {
    let text = format!(
        "kafka: {{bootstrap: localhost:9092}}\nhttp: {http}\nmodels:\n  - {{name: {MODEL}, captures: {{topic: flights}}, baseline: b.json}}\n"
    );
    let config = Config::parse(&text, Path::new("/etc/driftline.yaml"), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), Duration::ZERO, false).unwrap());
    let (sender, commands) = sync_channel(queue);
    let metrics = Arc::new(Metrics::new(&config, &[]));
    let board = Arc::new(Board::new(&config, Arc::clone(&store), metrics, sender));
    board.publish(live());
    Rig { board, commands, store, _folder: folder }
}

/// A rig on loopback with a token.
fn local() -> Rig {
    rig(&format!("{{token: {TOKEN}}}"), 4)
}

fn live() -> Live {
    let model = ModelStatus {
        name: MODEL.to_owned(),
        owner: Some("ops-models".to_owned()),
        topic: "flights".to_owned(),
        watermark_us: Some(DAY_US),
        counted: 812,
        ..ModelStatus::default()
    };
    let incident = IncidentStatus {
        id: "abc".to_owned(),
        model: MODEL.to_owned(),
        class: Class::InputShift,
        state: "firing",
        opened_us: Some(3 * DAY_US),
        since_us: Some(2 * DAY_US),
        subjects: Vec::new(),
        subjects_total: 0,
        windows: vec![WindowId::of_comparison(&window_id(1))],
        accepted: None,
    };
    let letter = DeadLetter {
        topic: "flights".to_owned(),
        partition: Partition(0),
        offset: 7,
        reason: "future".to_owned(),
        detail: "ts lies 2 h ahead".to_owned(),
    };
    let mut facts = TopicFacts::default();
    let ledger = Ledger { read: 3, counted: 2, rejected: 1, ..Ledger::default() };
    facts.ledger =
        TopicLedger { partitions: [(Partition(0), ledger)].into(), ..TopicLedger::default() };
    let position = Position { position: 8, fingerprint: None, gap: false, began: None };
    facts.partitions.insert(Partition(0), position);
    Live {
        models: vec![Arc::new(model)],
        incidents: vec![Arc::new(incident)],
        topics: [("flights".to_owned(), TopicStatus::new(&facts))].into(),
        checks: vec![well("store")],
        dead_letters: [letter].into(),
        ..Live::default()
    }
}

fn well(name: &str) -> ReadyCheck {
    ReadyCheck { name: name.to_owned(), state: CheckState::Ok, says: "well".to_owned() }
}

fn window_id(day: i64) -> String {
    format!("{MODEL}@202611{day:02}T000000Z.1d")
}

/// A whole report of a day in November 2026, with a space that only its own bytes have.
fn report(day: i64) -> String {
    let ks = format!("{}.0", day);
    format!(
        r#"{{"driftline":1, "model":"{MODEL}","versions":{{"3":9}},"window":{{"id":"{id}","start":"2026-11-{day:02}T00:00:00Z","end":"2026-11-{next:02}T00:00:00Z","rows":9,"parts":1,"complete":true,"previous":null,"ledger":{{"read":9,"counted":9,"late":0,"rejected":0,"skipped":0,"control":0}},"cuts":{{}}}},"level":"warn","release":null,"changed":[],"latency":null,"status":{{"2xx":9}},"baseline_sha256":"00","config_sha256":"00","rules":1,"findings":[
{{"subject":"feature:dep_delay","check":"missing","n":9,"m":9,"level":"ok","because":"","first_over":null,"share":{{"value":0.5,"bound":0.375,"confidence":0.99,"tolerance":0.01,"tolerance_from":"floor","reference":0.25,"detectable":null,"p_tolerance":null,"p_adjusted":null,"count":1}}}},
{{"subject":"feature:dep_delay","check":"distribution","n":9,"m":9,"level":"warn","because":"","first_over":null,"ks":{{"value":{ks},"certified":[0,0],"bound":0.5,"confidence":0.99,"tolerance":0.25,"tolerance_from":"floor","baseline_error":0,"detectable":1,"at":null,"share_reference":null,"share_window":null,"p":1,"p_method":"x","p_tolerance":1,"p_adjusted":1}},"psi":{{"value":2,"debiased":1.5,"bound":1.25}}}}]}}"#,
        id = window_id(day),
        next = day + 1,
    )
}

fn store(rig: &Rig, days: std::ops::RangeInclusive<i64>) {
    let reports = days.map(|day| {
        let start_us = parse_instant_us(&format!("2026-11-{day:02}T00:00:00Z")).unwrap();
        StoredReport {
            model: MODEL.to_owned(),
            start_us,
            end_us: start_us + DAY_US,
            report: report(day),
            history: "{}".to_owned(),
            config_sha256: "00".to_owned(),
            coarse: String::new(),
        }
    });
    let snapshot = Snapshot { reports: reports.collect(), ..Snapshot::default() };
    rig.store.commit(&snapshot).unwrap();
}

/// An answer: status, headers, body.
type Answer = (u16, axum::http::HeaderMap, String);

async fn ask(rig: &Rig, beyond_loopback: bool, request: Request) -> Answer {
    let response = router(Arc::clone(&rig.board), beyond_loopback).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path)
}

async fn get_text(rig: &Rig, path: &str) -> (u16, String) {
    let (status, _, body) =
        ask(rig, false, request(Method::GET, path).body(Body::empty()).unwrap()).await;
    (status, body)
}

async fn get_json(rig: &Rig, path: &str) -> (u16, Value) {
    let (status, body) = get_text(rig, path).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

async fn post_json(rig: &Rig, path: &str, body: &str) -> (u16, Value) {
    let request = request(Method::POST, path)
        .header("Authorization", format!("Bearer {TOKEN}"))
        .header("Content-Type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let (status, _, body) = ask(rig, false, request).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn status_endpoints_show_what_was_published() {
    let rig = local();
    let (_, models) = get_json(&rig, "/api/v1/models").await;
    assert_eq!(models[0]["name"], MODEL);
    assert_eq!(models[0]["watermark"], "1970-01-02T00:00:00Z");
    assert_eq!(models[0]["last_event"], Value::Null);
    let (_, alerts) = get_json(&rig, "/api/v1/alerts").await;
    assert_eq!(alerts["incidents"][0]["class"], "input shift");
    assert_eq!(alerts["incidents"][0]["since"], "1970-01-03T00:00:00Z");
    assert_eq!((&alerts["history"], &alerts["silences"]), (&json!([]), &json!([])));
    let (_, ledger) = get_json(&rig, "/api/v1/ledger").await;
    let flights = &ledger["topics"]["flights"];
    assert_eq!((&flights["total"]["read"], &flights["imbalance"]), (&json!(3), &json!(0)));
    assert_eq!(flights["partitions"]["0"]["position"], 8);
    assert_eq!(flights["partitions"]["0"]["rejected"], 1);
    let (_, letters) = get_json(&rig, "/api/v1/dead-letters").await;
    assert_eq!(letters[0]["offset"], 7);
    let (status, metrics) = get_text(&rig, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("\ndriftline_build_info{"), "{metrics}");
    assert_eq!(get_text(&rig, "/livez").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn readiness_names_what_is_degraded_and_what_failed() {
    let rig = local();
    let bad =
        |state| ReadyCheck { name: "spring".to_owned(), state, says: "no runtime".to_owned() };
    let table = [
        (vec![well("store")], 200, json!([]), json!([])),
        (vec![well("store"), bad(CheckState::Degraded)], 200, json!(["spring"]), json!([])),
        (vec![bad(CheckState::Failed), well("store")], 503, json!([]), json!(["spring"])),
        (Vec::new(), 503, json!([]), json!(["start"])),
    ];
    for (checks, expected, degraded, failed) in table {
        rig.board.publish(Live { checks, ..live() });
        let (status, body) = get_json(&rig, "/readyz").await;
        assert_eq!(status, expected, "{body}");
        assert_eq!((&body["degraded"], &body["failed"]), (&degraded, &failed));
        assert_eq!(body["ready"], status == 200);
    }
    let silent = readiness(&live(), Duration::from_secs(61));
    assert_eq!((silent.0, &silent.1["failed"]), (CheckState::Failed, &json!(["pipeline"])));
}

#[tokio::test]
async fn reports_come_byte_for_byte() {
    let rig = local();
    store(&rig, 1..=28);
    let reports = format!("/api/v1/models/{MODEL}/reports");
    let (status, newest) = get_text(&rig, &format!("{reports}?limit=2")).await;
    assert_eq!((status, newest), (200, format!("[{},{}]", report(27), report(28))));
    let (_, some) = get_json(&rig, &reports).await;
    assert_eq!(some.as_array().unwrap().len(), 20);
    let (_, all) = get_json(&rig, &format!("{reports}?limit=500")).await;
    let ids: Vec<Value> =
        all.as_array().unwrap().iter().map(|one| one["window"]["id"].clone()).collect();
    assert_eq!(ids, (1..=28).map(|day| json!(window_id(day))).collect::<Vec<_>>());
    let (status, one) = get_text(&rig, &format!("/api/v1/reports/{}", window_id(5))).await;
    assert_eq!((status, one), (200, report(5)));
}

/// Who comes from SageMaker's Model Monitor reads a window as the file that it wrote.
#[tokio::test]
async fn a_report_is_told_as_constraint_violations() {
    let rig = local();
    store(&rig, 1..=28);
    let path = |id: &str| format!("/api/v1/reports/{id}/constraint_violations");
    let (status, told) = get_json(&rig, &path(&window_id(5))).await;
    assert_eq!(status, 200, "{told}");
    let found: Vec<_> = told["violations"].as_array().unwrap().iter().collect();
    let of = |key: &str| found.iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("feature_name"), ["dep_delay"], "{told}");
    assert_eq!(of("constraint_check_type"), ["baseline_drift_check"], "{told}");
    let (status, _) = get_json(&rig, &path("x")).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_series_follows_one_subject() {
    let rig = local();
    store(&rig, 1..=28);
    let series = format!("/api/v1/models/{MODEL}/series?subject=feature:dep_delay");
    let point = |day: i64, numbers: Value, level: &str| {
        json!([{
            "time": format!("2026-11-{day:02}T00:00:00Z"), "value": numbers[0], "bound": numbers[1],
            "tolerance": numbers[2], "level": level,
        }])
    };
    let range = "&from=2026-11-03T00:00:00Z&to=2026-11-04T00:00:00Z";
    let table = [
        ("", point(3, json!([3.0, 0.5, 0.25]), "warn")),
        ("&statistic=value", point(3, json!([3.0, 0.5, 0.25]), "warn")),
        ("&statistic=ks", point(3, json!([3.0, 0.5, 0.25]), "warn")),
        ("&statistic=psi", point(3, json!([1.5, 1.25, null]), "warn")),
        // As everywhere, shares count from the baseline's.
        ("&statistic=missing", point(3, json!([0.25, 0.125, 0.01]), "ok")),
        ("&statistic=new_category", json!([])),
    ];
    for (statistic, expected) in table {
        let (status, points) = get_json(&rig, &format!("{series}{range}{statistic}")).await;
        assert_eq!((status, points), (200, expected), "{statistic}");
    }
    let (_, all) = get_json(&rig, &series).await;
    let values: Vec<f64> =
        all.as_array().unwrap().iter().map(|point| point["value"].as_f64().unwrap()).collect();
    assert_eq!(values, (1..=28).map(|day| day as f64).collect::<Vec<_>>());
}

#[tokio::test]
async fn wrong_questions_get_a_sentence() {
    let rig = local();
    store(&rig, 1..=1);
    let model = format!("/api/v1/models/{MODEL}");
    let other_length = window_id(1).replace(".1d", ".7d");
    let table = [
        (404, "/nowhere".to_owned(), "nothing at /nowhere"),
        (404, "/api/v1/models/nobody/reports".to_owned(), "no model is called nobody"),
        (404, "/api/v1/models/nobody/series?subject=x".to_owned(), "no model is called nobody"),
        (404, format!("{model}/verdict"), "not built yet"),
        (404, format!("{model}/weather"), "reports and series"),
        (404, format!("/api/v1/reports/{}", window_id(2)), "no report has the id"),
        (404, format!("/api/v1/reports/{other_length}"), "no report has the id"),
        (404, "/api/v1/reports/x".to_owned(), "no report has the id"),
        (400, format!("{model}/reports?limit=0"), "between 1 and 500"),
        (400, format!("{model}/reports?limit=501"), "between 1 and 500"),
        (400, format!("{model}/reports?limit=many"), "limit"),
        (400, format!("{model}/reports?limt=5"), "unknown field"),
        (400, format!("{model}/series"), "subject"),
        (400, format!("{model}/series?subject=x&statistic=mean"), "statistic must be"),
        (400, format!("{model}/series?subject=x&from=yesterday"), "from: \"yesterday\""),
        (
            400,
            format!("{model}/series?subject=x&from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z"),
            "before",
        ),
        (400, "/api/v1/models/%ff/reports".to_owned(), "UTF-8"),
        (405, "/api/v1/silences".to_owned(), "does not take GET"),
    ];
    for (expected, path, sentence) in table {
        let (status, body) = get_json(&rig, &path).await;
        assert_eq!(status, expected, "{path}: {body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(sentence), "{path}: {error}");
    }
}

#[tokio::test]
async fn too_long_a_series_is_refused_rather_than_cut() {
    let rig = local();
    let reports = (0..1001).map(|hour: i64| StoredReport {
        model: MODEL.to_owned(),
        start_us: hour,
        end_us: hour + 1,
        report: report(1),
        history: String::new(),
        config_sha256: String::new(),
        coarse: String::new(),
    });
    rig.store.commit(&Snapshot { reports: reports.collect(), ..Snapshot::default() }).unwrap();
    let series = format!("/api/v1/models/{MODEL}/series?subject=feature:dep_delay");
    let (status, last) = get_json(&rig, &series).await;
    assert_eq!((status, last.as_array().unwrap().len()), (200, 1000));
    let (status, body) = get_json(&rig, &format!("{series}&from=1970-01-01T00:00:00Z")).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().contains("more than 1000 windows"), "{body}");
}

#[tokio::test]
async fn an_acceptance_goes_to_the_driver() {
    let rig = rig(&format!("{{token: {TOKEN}}}"), 1);
    let path = "/api/v1/alerts/abc/accept";
    let body = r#"{"by": " Ada ", "reason": "a known sale"}"#;
    let (status, answer) = post_json(&rig, path, body).await;
    assert_eq!((status, answer), (202, json!({"incident": "abc"})));
    let (status, answer) = post_json(&rig, path, body).await;
    assert_eq!(status, 503, "the queue holds one: {answer}");
    let Command::Accept { incident, acceptance } = rig.commands.recv().unwrap() else { panic!() };
    let Acceptance { by, reason, at_us } = acceptance;
    assert_eq!((&*incident, &*by, &*reason), ("abc", "Ada", "a known sale"));
    assert!(at_us > parse_instant_us("2025-01-01T00:00:00Z").unwrap());
    let long = format!(r#"{{"by": "{}", "reason": "r"}}"#, "x".repeat(201));
    let table = [
        (404, "/api/v1/alerts/other/accept", body, "no open incident"),
        (400, path, r#"{"by": "Ada"}"#, "reason"),
        (400, path, r#"{"by": "Ada", "reason": "  "}"#, "must say something"),
        (400, path, r#"{"by": "Ada", "reason": "r", "until": "x"}"#, "unknown field"),
        (400, path, &long, "200 bytes"),
        (400, path, "by=Ada", "the body must be"),
        (413, path, &"x".repeat(BODY_BYTES + 1), "length limit"),
    ];
    for (expected, path, body, sentence) in table {
        let (status, answer) = post_json(&rig, path, body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(sentence), "{answer}");
    }
    assert!(rig.commands.try_recv().is_err(), "a refused request is no command");
}

/// Silenced by mistake, a model stayed silent for its thirty days.
#[tokio::test]
async fn a_silence_is_ended_and_an_acceptance_taken_back_by_the_api() {
    let rig = rig(&format!("{{token: {TOKEN}}}"), 2);
    let mut live = (*rig.board.live()).clone();
    let by = Acceptance { by: "Bob".to_owned(), reason: "known".to_owned(), at_us: 1 };
    Arc::make_mut(&mut live.incidents[0]).accepted = Some(crate::live::AcceptanceStatus::new(&by));
    let silence = Silence {
        id: "s".to_owned(),
        model: None,
        class: None,
        until_us: i64::MAX,
        by: "Bob".to_owned(),
        reason: "known".to_owned(),
    };
    live.silences.push(silence);
    rig.board.publish(live);
    let body = r#"{"by": "Ada", "reason": "a mistake"}"#;
    let table = [
        (202, "/api/v1/silences/s", body),
        (202, "/api/v1/alerts/abc/accept", body),
        (404, "/api/v1/silences/other", body),
        (404, "/api/v1/alerts/other/accept", body),
        (400, "/api/v1/silences/s", r#"{"by": "Ada"}"#),
        (400, "/api/v1/alerts/abc/accept", r#"{"by": "Ada", "reason": " "}"#),
    ];
    for (expected, path, body) in table {
        let request = request(Method::DELETE, path)
            .header("Authorization", format!("Bearer {TOKEN}"))
            .header("Content-Type", "application/json")
            .body(Body::from(body))
            .unwrap();
        let (status, _, answer) = ask(&rig, false, request).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    let Command::EndSilence { id, by } = rig.commands.recv().unwrap() else { panic!() };
    assert_eq!((&*id, &*by.by, &*by.reason), ("s", "Ada", "a mistake"));
    let Command::TakeBack { incident, by } = rig.commands.recv().unwrap() else { panic!() };
    assert_eq!((&*incident, &*by.by), ("abc", "Ada"));
    assert!(rig.commands.try_recv().is_err(), "a refused request is no command");
}

#[tokio::test]
async fn a_silence_goes_to_the_driver_and_twice_is_one() {
    let rig = local();
    let path = "/api/v1/silences";
    let body = r#"{"model": "flight-delay", "class": "input shift", "until": "2126-01-01T00:00:00Z", "by": "Ada", "reason": "a sale"}"#;
    let (status, first) = post_json(&rig, path, body).await;
    assert_eq!(status, 202, "{first}");
    let (_, second) = post_json(&rig, path, body).await;
    assert_eq!(first, second);
    let expected = Silence {
        id: first["id"].as_str().unwrap().to_owned(),
        model: Some(MODEL.to_owned()),
        class: Some(Class::InputShift),
        until_us: parse_instant_us("2126-01-01T00:00:00Z").unwrap(),
        by: "Ada".to_owned(),
        reason: "a sale".to_owned(),
    };
    assert_eq!(rig.commands.recv().unwrap(), Command::Silence(expected));
    let table = [
        (400, body.replace("2126", "2016"), "in the future"),
        (400, body.replace("\"until\"", "\"for\""), "for: "),
        (400, body.replace("\"until\"", "\"for\": \"1h\", \"until\""), "either until or for"),
        (400, body.replace("2126-01-01T00:00:00Z", "tomorrow"), "until: \"tomorrow\""),
        (400, body.replace("input shift", "weather"), "unknown variant"),
        (404, body.replace(MODEL, "nobody"), "no model is called nobody"),
    ];
    for (expected, body, sentence) in table {
        let (status, answer) = post_json(&rig, path, &body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(sentence), "{answer}");
    }
}
