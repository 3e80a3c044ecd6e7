//! A retraining request names exactly the rows that were counted: for people, for programs, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use driftline_config::time::parse_instant_us;
use serde_json::{Value, json};

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::service::{self, Service};
use crate::rig::smtp::Smtp;
use crate::rig::traffic::{self, MODELS, Outcome, Plan, Record};
use crate::rig::webhook::Webhook;
use crate::rig::{PATIENCE, python};

const DAYS: i64 = 7;
/// From here on everybody is older: alarms, but none that opens an incident in one window.
const SHIFT: (i64, u64) = (3, 8);
/// Drifted rows that a request waits for: as many as two windows have.
const ROWS: u64 = 1000;
const TOKEN: &str = "on-call";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn a_retraining_request_names_exactly_the_counted_rows() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(smtp) = Smtp::start(&json!({"user": "driftline", "password": "right"})) else {
        return;
    };
    let Some(hook) = Webhook::start(&json!({"secret": SECRET})) else { return };
    let plan = Plan { days: DAYS, older: Some(SHIFT), late: 8, ..Plan::default() };
    let log = traffic::log(&plan);
    let outcomes = traffic::outcomes(&log);
    let scene = Scene::new(kafka, "retraining", plan.partitions, &receivers(&smtp, &hook))
        .with("defaults:\n", &format!("defaults:\n  retrain: {{rows: {ROWS}}}\n"))
        .with("http: {", &format!("http: {{token: {TOKEN}, "));
    let password = scene.folder.path().join("password");
    std::fs::write(&password, "right\n").unwrap();
    traffic::produce(kafka, &scene.topic, &log);

    let service = scene.start();
    for model in MODELS {
        let reports = service.wait_for_reports(model, DAYS as usize);
        let alarms: Vec<bool> = reports.iter().map(|report| report["level"] == "alarm").collect();
        assert_eq!(alarms, [false, false, false, true, true, true, true], "{:#}", reports[3]);
    }
    let requests = requests(&hook);
    let records = kafka.records(&scene.topic);
    for model in 0..MODELS.len() {
        let request = &requests[MODELS[model]];
        let counted = counted(&log, &outcomes, model, request);
        let train_on = &request["data"]["train_on"];
        assert_eq!(train_on["topic"], scene.topic);
        assert_eq!(
            (&train_on["rows"], &train_on["complete"]),
            (&json!(counted.len()), &json!(true))
        );
        assert_eq!(
            request["data"]["windows"].as_array().map(Vec::len),
            Some(2),
            "as many as have the rows that it waits for: {request}"
        );
        assert!(train_on["rows"].as_u64().unwrap() >= ROWS, "{request}");
        let history = &train_on["history"];
        assert_eq!(history["select"]["ts_from"], history["from"], "{request}");
        assert_eq!(history["select"]["ts_before"], train_on["select"]["ts_from"], "{request}");
        assert_eq!(request["data"]["reason"][0]["subject"], "feature:age", "{request}");
        assert_eq!(consumed(&records, train_on), counted, "consumed by anybody");
        assert!(is_crossed_by_late_rows(&log, &outcomes, train_on), "{train_on}");
    }
    let mails = the_mail_names_the_request(&smtp, &requests);
    the_printed_commands_work(&mails);
    for request in requests.values() {
        the_commands_agree(&scene, &service, request, &ids(&log, &outcomes, request));
    }
    service.stop();
    // With nobody else at the folder, too, and without the secrets of the receivers.
    std::fs::remove_file(&password).unwrap();
    let request = &requests[MODELS[0]];
    exported(&scene, request, &ids(&log, &outcomes, request));
    for id in request["data"]["windows"].as_array().unwrap() {
        let (code, stdout, stderr) = scene.run("replay", &["--window", id.as_str().unwrap()]);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(stderr.contains("same bytes"), "{stderr}");
    }
    let (code, stdout, stderr) = scene.run("validate", &["--no-secrets"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(scene.run("validate", &[]).0, Some(2), "the password is gone");
}

/// Every line to copy out of a mail does what it says: from another folder, with the token alone.
fn the_printed_commands_work(mails: &[String]) {
    let elsewhere = tempfile::tempdir().unwrap();
    let binary = service::driftline();
    let folder = Path::new(binary.get_program()).parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let run = |line: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).current_dir(elsewhere.path());
        shell.env("PATH", format!("{}:{path}", folder.display())).env("DRIFTLINE_TOKEN", TOKEN);
        service::run(&mut shell)
    };
    for text in mails {
        let printed = |what: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("- {what}: ")));
            line.unwrap_or_else(|| panic!("no {what:?} in\n{text}"))
        };
        let (code, stdout, stderr) = run(printed("Reproduce"));
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(stderr.contains("same bytes"), "{stderr}");
        for what in ["Accept, silent until it grows", "Silence for a day"] {
            let line = printed(what).replacen("curl ", "curl -sS --fail-with-body ", 1);
            let (code, stdout, stderr) = run(&line);
            assert_eq!(code, Some(0), "{line}\n{stdout}{stderr}");
        }
    }
}

fn receivers(smtp: &Smtp, hook: &Webhook) -> String {
    let (port, ca, url) = (smtp.port, smtp.ca.display(), hook.url());
    format!(
        "receivers:\n  \
         - {{name: mail, email: {{server: \"smtp://localhost:{port}\", ca: \"{ca}\", user: driftline, \
         password: \"file:password\", from: driftline@example.org, to: [on-call@example.org]}}}}\n  \
         - {{name: job, on: [retrain], webhook: {{url: \"{url}\", secret: \"{SECRET}\"}}}}\n"
    )
}

/// The one request of each model, all well signed.
fn requests(hook: &Webhook) -> BTreeMap<String, Value> {
    let mut requests = BTreeMap::new();
    for delivery in hook.deliveries(MODELS.len(), PATIENCE) {
        assert_eq!((&delivery["fault"], &delivery["status"]), (&Value::Null, &json!(204)));
        let body: Value = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["type"], "retrain.requested");
        let model = body["data"]["model"].as_str().unwrap().to_owned();
        assert!(requests.insert(model, body).is_none(), "one request for one incident");
    }
    requests
}

fn id_of(record: &Record) -> String {
    let capture: Value = serde_json::from_slice(&record.value).expect("a row");
    capture["id"].as_str().expect("every row has an id").to_owned()
}

/// Ids of the rows that the request's windows counted, by the second reading of the rules.
fn counted(
    log: &[Record],
    outcomes: &[Outcome],
    model: usize,
    request: &Value,
) -> BTreeSet<String> {
    let starts = request["data"]["windows"].as_array().unwrap().iter().map(|id| {
        let (name, start) = id.as_str().unwrap().split_once('@').unwrap();
        assert_eq!(name, MODELS[model]);
        let (y, m, d) = (&start[..4], &start[4..6], &start[6..8]);
        parse_instant_us(&format!("{y}-{m}-{d}T00:00:00Z")).unwrap()
    });
    let windows: BTreeSet<Outcome> =
        starts.map(|start_us| Outcome::Counted { model, start_us }).collect();
    let inside = log.iter().zip(outcomes).filter(|(_, outcome)| windows.contains(outcome));
    inside.map(|(record, _)| id_of(record)).collect()
}

fn ids(log: &[Record], outcomes: &[Outcome], request: &Value) -> BTreeSet<String> {
    let model = MODELS.iter().position(|model| request["data"]["model"] == *model).unwrap();
    counted(log, outcomes, model, request)
}

/// What a training job does that knows nothing but the request: read the ranges, select, keep the ids.
fn consumed(records: &[Value], train_on: &Value) -> BTreeSet<String> {
    let select = &train_on["select"];
    let us = |text: &Value| parse_instant_us(text.as_str().unwrap()).unwrap();
    let times = us(&select["ts_from"])..us(&select["ts_before"]);
    let mut ids = Vec::new();
    for record in
        records.iter().filter(|record| in_ranges(train_on, &record["partition"], &record["offset"]))
    {
        let text = record["value"].as_str().unwrap_or_default();
        let Ok(capture) = serde_json::from_str::<Value>(text) else { continue };
        let ts = &capture["ts"];
        let time_us = match ts.as_i64() {
            Some(ms) => ms * 1000,
            None => parse_instant_us(ts.as_str().unwrap_or_default()).unwrap_or(i64::MIN),
        };
        let versions = select["versions"].as_array().unwrap();
        if capture["model"] == select["model"]
            && versions.contains(&capture["version"])
            && times.contains(&time_us)
        {
            ids.push(capture["id"].as_str().unwrap().to_owned());
        }
    }
    let distinct: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(distinct.len(), ids.len(), "no row twice");
    distinct
}

fn in_ranges(train_on: &Value, partition: &Value, offset: &Value) -> bool {
    train_on["ranges"].as_array().unwrap().iter().any(|range| {
        range["partition"] == *partition
            && range["from"].as_i64() <= offset.as_i64()
            && offset.as_i64() < range["to"].as_i64()
    })
}

/// Whether the ranges had to step over late rows of their own windows: else this test shows too little.
fn is_crossed_by_late_rows(log: &[Record], outcomes: &[Outcome], train_on: &Value) -> bool {
    let ends = |of: &str| {
        let ranges = train_on["ranges"].as_array().unwrap().iter();
        ranges.map(|range| range[of].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let (from, to) = (ends("from").into_iter().min(), ends("to").into_iter().max());
    log.iter().zip(outcomes).any(|(record, outcome)| {
        let inside = from <= Some(record.offset) && Some(record.offset) < to;
        let named = in_ranges(train_on, &json!(record.partition), &json!(record.offset));
        *outcome == Outcome::Late && inside && !named
    })
}

/// Returns the texts of the mails.
fn the_mail_names_the_request(smtp: &Smtp, requests: &BTreeMap<String, Value>) -> Vec<String> {
    let mails = smtp.mails(requests.len(), PATIENCE);
    let parts =
        mails.iter().map(|mail| python::run("mail_parts.py", &json!({"mail": mail})).unwrap());
    let parts: Vec<Value> = parts.collect();
    let mut texts = Vec::new();
    for (model, request) in requests {
        let subject = format!("[driftline] {model}: input shift in age");
        let about = |mail: &&Value| mail["subject"].as_str().unwrap().starts_with(&subject);
        let mail = parts.iter().find(about).unwrap_or_else(|| panic!("no {subject}: {parts:#?}"));
        let text = mail["text"].as_str().unwrap();
        let id = request["data"]["retrain_id"].as_str().unwrap();
        // The first moves so far that one window opens its incident, and has to wait for another one's rows.
        let says = match model == MODELS[0] {
            true => format!(" of {ROWS} drifted rows have come"),
            false => format!("requested as {id}"),
        };
        assert!(text.contains(&says), "{text}");
        texts.push(text.to_owned());
        assert!(text.contains("% of requests have age >"), "{text}");
        assert!(text.lines().count() < 40, "{text}");
        assert_eq!(mail["defects"], json!([]));
        the_mail_shows_it(mail);
    }
    let attempts = smtp.attempts(requests.len(), PATIENCE);
    assert!(
        attempts.iter().all(|attempt| attempt["tls"] == true && attempt["user"] == "driftline")
    );
    texts
}

/// The column's two distributions and its statistic over time, as parts of the mail itself.
fn the_mail_shows_it(mail: &Value) {
    let parts =
        "multipart/alternative[text/plain, multipart/related[text/html, image/png, image/png]]";
    assert_eq!(mail["parts"], parts);
    for image in mail["images"].as_array().unwrap() {
        assert_eq!(
            (&image["type"], &image["disposition"]),
            (&json!("image/png"), &json!("inline"))
        );
        assert!(image["bytes"].as_u64().unwrap() <= 60 << 10, "{image}");
        assert_eq!(image["size"][0], 720, "{image}");
    }
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("alt=\"age: ") && html.contains("age: KS in the last "), "{html}");
}

/// `export` writes these rows, and `replay` finds the same bytes, beside a running service.
fn the_commands_agree(scene: &Scene, service: &Service, request: &Value, ids: &BTreeSet<String>) {
    exported(scene, request, ids);
    for id in request["data"]["windows"].as_array().unwrap() {
        let id = id.as_str().unwrap();
        let (code, stdout, stderr) = scene.run("replay", &["--window", id]);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(stdout.contains(&service.get(&format!("/api/v1/reports/{id}"))), "{stdout}");
    }
}

fn exported(scene: &Scene, request: &Value, ids: &BTreeSet<String>) {
    let id = request["data"]["retrain_id"].as_str().unwrap();
    let file = scene.folder.path().join(format!("{id}.parquet"));
    let (code, stdout, stderr) =
        scene.run("export", &["--retrain", id, "--out", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let read =
        python::run("parquet_columns.py", &json!({"file": file, "columns": ["id"]})).unwrap();
    let rows = read["id"].as_array().unwrap();
    assert_eq!(rows.len(), ids.len());
    let found: BTreeSet<String> = rows.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(found, *ids);
    std::fs::remove_file(file).unwrap();
}
