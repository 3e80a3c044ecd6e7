//! A secret in every place that takes one, everything going wrong that can, at the loudest log level:
//! none of them is in anything that anybody can read.

use std::fs;
use std::path::Path;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::service::{self, Service};
use crate::rig::smtp::Smtp;
use crate::rig::traffic::{self, MODELS, Plan};
use crate::rig::webhook::Webhook;
use crate::rig::{PATIENCE, http};

const DAYS: i64 = 6;

/// Where a secret is planted: the name of its variable, or of its file.
const BY_VARIABLE: [&str; 4] = ["SMTP_PASSWORD", "HOOK_SECRET", "ALERTS_HEADER", "SASL_PASSWORD"];
const BY_FILE: [&str; 4] = ["token", "hook-url", "hook-header", "key-password"];

/// Different in each of its encodings.
fn secret(place: &str) -> String {
    format!("pl4nted/{}+{}=", place.to_lowercase(), std::process::id())
}

/// Everything that was seen, by where.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.push((place.into(), content.into()));
    }

    fn add_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.add_folder(&path),
                false => self.add(path.display().to_string(), fs::read(&path).unwrap()),
            }
        }
    }

    fn holds_nothing_planted(&self) {
        for place in BY_VARIABLE.iter().chain(&BY_FILE) {
            for spelling in spellings(&secret(place)) {
                for (seen, content) in &self.0 {
                    let found = content.windows(spelling.len()).position(|piece| piece == spelling);
                    let around = found.map(|at| {
                        String::from_utf8_lossy(
                            &content[at.saturating_sub(200)..(at + 100).min(content.len())],
                        )
                    });
                    assert!(found.is_none(), "{place} stands in {seen}: {around:?}");
                }
            }
        }
    }
}

/// As it is, as part of an address, in hexadecimal, and in base64 at each of its three alignments.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let escaped = secret.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut spellings = vec![secret.to_owned(), escaped, hex];
    for before in 0..3 {
        let text = format!("{}{secret}", "x".repeat(before));
        let encoded = STANDARD.encode(&text[..text.len() / 3 * 3]);
        // The first letters depend on what stands before it.
        spellings.push(encoded[if before == 0 { 0 } else { 4 }..].to_owned());
    }
    spellings.into_iter().map(String::into_bytes).collect()
}

#[test]
fn no_secret_is_in_anything_that_can_be_read() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(smtp) = Smtp::start(&json!({"user": "driftline", "password": "another"})) else {
        return;
    };
    let failures = vec![500; 200];
    let Some(hook) = Webhook::start(&json!({"secret": "other", "statuses": failures})) else {
        return;
    };
    let plan = Plan { days: DAYS, older: Some((3, 15)), text_from: Some(4), ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(kafka, "secrets", plan.partitions, &receivers(&smtp));
    traffic::produce(kafka, &scene.topic, &log);
    plant(&scene, hook.port);
    let mut seen = Seen::default();

    // All goes well but for the receivers.
    let service = start(&scene);
    let token = secret("token");
    service.wait_until("to read everything", |service| {
        let ledger = ask(service, "/api/v1/ledger", &token);
        let ledger: serde_json::Value = serde_json::from_str(&ledger).ok()?;
        let read = ledger["topics"][&scene.topic]["total"]["read"].as_u64();
        (read >= Some(log.len() as u64)).then_some(())
    });
    service.wait_until("to tell of the shift", |service| {
        let folder = scene.folder.path().join("mails");
        let mails = fs::read_dir(folder).map_or(0, Iterator::count);
        let metrics = ask(service, "/metrics", &token);
        // The counters are there from the beginning, at 0.
        let tried = ["mail", "hook", "alerts"].iter().all(|name| {
            let series =
                format!("driftline_notifications_total{{receiver=\"{name}\",outcome=\"retry\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(series.as_str()));
            count.is_some_and(|count| count.parse().is_ok_and(|count: f64| count > 0.0))
        });
        (mails > 0 && tried).then_some(())
    });
    visit(&service, &mut seen);
    seen.add("the log", stop(service));
    let deliveries = hook.deliveries(1, PATIENCE);
    seen.add("webhooks", deliveries.iter().map(|d| d["body"].to_string()).collect::<String>());
    seen.add_folder(&scene.folder.path().join("state"));
    seen.add_folder(&scene.folder.path().join("mails"));
    commands(&scene, "with a broker", &mut seen);

    // The broker wants no password, and gets one.
    change(&scene, "security.protocol: plaintext", "security.protocol: sasl_plaintext");
    let service = start(&scene);
    service.wait_until("to miss the broker", |service| {
        let ready = http::get(&service.url("/readyz")).ok()?;
        ready.body.contains("no answer from kafka").then_some(())
    });
    visit(&service, &mut seen);
    seen.add("the log without a broker", stop(service));
    commands(&scene, "without a broker", &mut seen);
    misplace(&scene, &mut seen);

    assert!(seen.0.len() > 40, "too little was looked at: {}", seen.0.len());
    seen.holds_nothing_planted();
}

fn receivers(smtp: &Smtp) -> String {
    format!(
        "receivers:\n  \
         - {{name: mail, email: {{server: \"smtp://localhost:{}\", ca: \"{}\", user: driftline, \
         password: \"${{SMTP_PASSWORD}}\", from: d@example.org, to: [a@example.org]}}}}\n  \
         - {{name: folder, email: {{folder: mails, from: d@example.org, to: [a@example.org]}}}}\n  \
         - {{name: hook, webhook: {{url: \"file:hook-url\", secret: \"${{HOOK_SECRET}}\", \
         headers: {{Authorization: \"file:hook-header\"}}}}}}\n  \
         - {{name: alerts, alertmanager: {{url: \"http://127.0.0.1:1\", \
         headers: {{Authorization: \"${{ALERTS_HEADER}}\"}}}}}}\n",
        smtp.port,
        smtp.ca.display()
    )
}

/// Writes the files, and names every secret in the configuration.
fn plant(scene: &Scene, hook: u16) {
    for place in BY_FILE {
        let text = match place {
            "hook-url" => format!("http://127.0.0.1:{hook}/hook?key={}", secret(place)),
            _ => secret(place),
        };
        fs::write(scene.folder.path().join(place), text + "\n").expect("the folder is writable");
    }
    let properties = "properties: {security.protocol: plaintext, sasl.mechanism: PLAIN, \
                      sasl.username: driftline, sasl.password: \"${SASL_PASSWORD}\", \
                      ssl.key.password: \"file:key-password\"}, reports:";
    change(scene, "reports:", properties);
    change(scene, "http: {", "http: {token: \"file:token\", ");
}

fn change(scene: &Scene, from: &str, to: &str) {
    let text = fs::read_to_string(&scene.config).expect("it was written");
    assert!(text.contains(from), "{text}");
    fs::write(&scene.config, text.replacen(from, to, 1)).expect("the folder is writable");
}

fn start(scene: &Scene) -> Service {
    let mut commands = "export DRIFTLINE_LOG=trace;".to_owned();
    for place in BY_VARIABLE {
        commands += &format!(" export {place}='{}';", secret(place));
    }
    let service = Service::spawn_after(&scene.config, scene.port, &commands);
    service.wait_until("to answer", |service| service.try_get("/livez"));
    service
}

fn stop(service: Service) -> String {
    service.signal("-TERM");
    service.wait_for_last_words()
}

fn ask(service: &Service, path: &str, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    let answer = http::request("GET", &service.url(path), &[("authorization", &bearer)], "");
    answer.map(|answer| answer.body).unwrap_or_default()
}

/// Every page and every part of the API, with the token, with another one, and without.
fn visit(service: &Service, seen: &mut Seen) {
    let model = MODELS[0];
    let reports = format!("/api/v1/models/{model}/reports?limit=500");
    let mut paths: Vec<String> = [
        "/",
        "/alerts",
        "/service",
        "/icon.svg",
        "/livez",
        "/readyz",
        "/metrics",
        "/nowhere",
        "/api/v1/models",
        "/api/v1/alerts",
        "/api/v1/ledger",
        "/api/v1/dead-letters",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.push(format!("/models/{model}"));
    paths.push(format!("/models/{model}/findings/feature:age"));
    paths.push(format!("/api/v1/models/{model}/series?subject=feature:age"));
    let token = secret("token");
    let list: serde_json::Value =
        serde_json::from_str(&ask(service, &reports, &token)).unwrap_or_default();
    for report in list.as_array().into_iter().flatten() {
        let id = report["window"]["id"].as_str().expect("a window has an id");
        paths.push(format!("/api/v1/reports/{id}"));
        paths.push(format!("/models/{model}/windows/{id}"));
    }
    let alerts: serde_json::Value =
        serde_json::from_str(&ask(service, "/api/v1/alerts", &token)).unwrap_or_default();
    for incident in alerts["incidents"].as_array().into_iter().flatten() {
        paths.push(format!("/alerts/{}", incident["id"].as_str().expect("an id")));
    }
    paths.push(reports);
    for path in &paths {
        for shown in [token.as_str(), "another", ""] {
            seen.add(path, ask(service, path, shown));
        }
    }
    let bearer = format!("Bearer {token}");
    let silence = r#"{"model":"nobody","until":"2126-01-01T00:00:00Z","by":"a","reason":"b"}"#;
    for body in [silence, "{", "\"a\""] {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let url = service.url("/api/v1/silences");
        seen.add("silences", http::request("POST", &url, &headers, body).unwrap().body);
    }
}

/// What the commands print, at the loudest level.
fn commands(scene: &Scene, when: &str, seen: &mut Seen) {
    let window = format!("{}@20260105T000000Z.1d", MODELS[0]);
    let table: [&[&str]; 5] = [
        &["validate"],
        &["doctor"],
        &["replay", "--window", &window],
        &["export", "--window", &window, "--out", "rows.parquet"],
        &["produce", "--model", MODELS[0], "--data", "baseline.json"],
    ];
    let printed = at_once(&table, |words| {
        (format!("{} {when}", words[0]), printed(scene, &scene.config, words))
    });
    seen.0.extend(printed);
}

/// Several commands at once: without a broker each waits for it.
fn at_once<T: Sync>(
    table: &[T],
    run: impl Fn(&T) -> (String, String) + Sync,
) -> Vec<(String, Vec<u8>)> {
    let run = &run;
    thread::scope(|scope| {
        let running: Vec<_> = table.iter().map(|entry| scope.spawn(move || run(entry))).collect();
        let ended = running.into_iter().map(|thread| thread.join().expect("a command runs"));
        ended.map(|(place, text)| (place, text.into_bytes())).collect()
    })
}

fn printed(scene: &Scene, config: &Path, words: &[&str]) -> String {
    let mut binary = service::driftline();
    binary.arg(words[0]).arg("--config").arg(config).args(&words[1..]);
    binary.current_dir(scene.folder.path()).env("DRIFTLINE_LOG", "trace");
    for place in BY_VARIABLE {
        binary.env(place, secret(place));
    }
    let (_, stdout, stderr) = service::run(&mut binary);
    stdout + &stderr
}

/// Secrets where none belong are complained of without being quoted.
fn misplace(scene: &Scene, seen: &mut Seen) {
    let sound = fs::read_to_string(&scene.config).expect("it was written");
    let table = [
        ("listen: \"", "listen: \"${SMTP_PASSWORD}"),
        ("token: \"file:token\"", "token: [\"${SMTP_PASSWORD}\"]"),
        ("smtp://localhost", "smtp://driftline:${SMTP_PASSWORD}@localhost"),
        ("\"file:hook-url\"", "\"ftp://${HOOK_SECRET}/\""),
        ("idle: off", "idle: \"${HOOK_SECRET}\""),
        ("sasl.mechanism: PLAIN", "sasl.mechanisms: \"${SASL_PASSWORD}\""),
        ("\"file:key-password\"", "\"file:${SASL_PASSWORD}\""),
        ("state: state", "state: state\n\"${SASL_PASSWORD}\": 1"),
    ];
    let mut misplaced = Vec::new();
    for (number, (from, to)) in table.into_iter().enumerate() {
        assert!(sound.contains(from), "{sound}");
        let config = scene.folder.path().join(format!("misplaced-{number}.yaml"));
        fs::write(&config, sound.replacen(from, to, 1)).expect("the folder is writable");
        // A configuration that is taken all the same would run for ever.
        let runs = !to.contains("sasl");
        let commands = ["validate", "doctor", "run"].into_iter().take(if runs { 3 } else { 2 });
        misplaced.extend(commands.map(|command| (config.clone(), to, command)));
    }
    let printed = at_once(&misplaced, |(config, to, command)| {
        let text = printed(scene, config, &[command]);
        assert!(!text.is_empty(), "{to}: {command} says nothing");
        (format!("{command} with {to}"), text)
    });
    seen.0.extend(printed);
}
