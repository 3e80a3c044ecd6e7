//! What people are told: of each accident once, and enough to act on without looking anywhere else.

use std::fs;

use serde_json::{Value, json};

use super::hour::{self, Accident};
use crate::rig::kafka::{self, Kafka};
use crate::rig::service::{self, Service};
use crate::rig::smtp::Smtp;
use crate::rig::{self, PATIENCE, python, traffic};

/// An accident with what the subject of its one opening mail begins with after the model, and what its text
/// says.
type Told = (Accident, &'static str, &'static [&'static str]);

const TOLD: [Told; 6] = [
    (
        Accident::Text,
        "broken input in amount (wrong type)",
        &["of requests", "of the wrong type", "something upstream is broken, which is not drift"],
    ),
    (
        Accident::Cents,
        "broken input in amount",
        &["× 100", "something upstream is broken, which is not drift"],
    ),
    (
        Accident::Nulls,
        "broken input in amount (missing)",
        &["% of requests lack amount", "something upstream is broken, which is not drift"],
    ),
    (
        Accident::Renamed,
        "broken input in country",
        &["\"DE\" is gone and \"Germany\" new", "something upstream is broken, which is not drift"],
    ),
    (Accident::Failing, "serving in errors", &["fails more often than its objective allows"]),
    (
        Accident::Repeating,
        "input shift in ",
        &["differ from its baseline", "distinct rows are ", "as where one client sends"],
    ),
];

/// Five mails were sent for one accident, with the largest number at the head and the time of detection in
/// place of the onset; and a pause and a busy hour were told of as well.
#[test]
fn each_accident_of_an_hour_is_told_once_and_in_full() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(smtp) = Smtp::start(&json!({})) else { return };
    let topic = kafka.create_topic("accidents", hour::PARTITIONS as u32, &[]);
    let folder = tempfile::tempdir().unwrap();
    let port = rig::free_port();
    let config = folder.path().join("driftline.yaml");
    fs::write(&config, yaml(kafka, &topic, port, &smtp)).unwrap();
    baseline(folder.path());
    traffic::produce(kafka, &topic, &hour::log());

    let service = Service::start(&config, port);
    for accident in Accident::ALL {
        let windows = if accident == Accident::Paused { 4 } else { 6 };
        service.wait_for_reports(accident.model(), windows);
    }
    service.wait_for_an_empty_outbox();
    let mails = opening_mails(&smtp);
    for (accident, subject, says) in TOLD {
        let model = accident.model();
        let about = format!("[driftline] {model}: ");
        let told: Vec<&Value> =
            mails.iter().filter(|mail| of(mail, "subject").starts_with(&about)).collect();
        assert_eq!(told.len(), 1, "{model}: {told:#?}");
        let (title, text) = (of(told[0], "subject"), of(told[0], "text"));
        let rest = title.strip_prefix(&about).unwrap();
        let (what, _) = subject.split_once(" (").unwrap_or((subject, ""));
        assert!(rest.starts_with(what), "{model}: {title}");
        assert!(title.ends_with("since 5 January 10:30 UTC"), "{model}: {title}\n{text}");
        assert!(text.contains("Since: 5 January 2026 10:30 UTC"), "{model}: {text}");
        for part in says.iter().chain(&["What to do:", "curl "]) {
            assert!(text.contains(part), "{model}: no {part:?} in\n{text}");
        }
    }
    let quiet = [Accident::Busy, Accident::Paused].map(Accident::model);
    let is_quiet = |mail: &&Value| {
        quiet.iter().any(|model| of(mail, "subject").starts_with(&format!("[driftline] {model}: ")))
    };
    assert_eq!(mails.iter().filter(is_quiet).count(), 0, "{mails:#?}");
    service.stop();
}

fn of<'a>(mail: &'a Value, part: &str) -> &'a str {
    mail[part].as_str().unwrap_or_default()
}

/// The mails that answer no other, read as a mail program does.
fn opening_mails(smtp: &Smtp) -> Vec<Value> {
    let mails = smtp.mails(TOLD.len(), PATIENCE);
    let opening = mails.iter().filter(|mail| !mail.contains("\nIn-Reply-To:"));
    opening.map(|mail| python::run("mail_parts.py", &json!({"mail": mail})).unwrap()).collect()
}

fn yaml(kafka: &Kafka, topic: &str, port: u16, smtp: &Smtp) -> String {
    let models = Accident::ALL.map(|accident| format!("  - {{name: {}}}\n", accident.model()));
    format!(
        "kafka: {{bootstrap: \"{}\", group: {topic}, reports: off}}\n\
         state: state\n\
         http: {{listen: \"127.0.0.1:{port}\", token: secret}}\n\
         alerts: {{max_age: off}}\n\
         defaults:\n  \
         captures: {{topic: {topic}}}\n  \
         baseline: baseline.json\n  \
         window: {{every: 10m, lateness: 1m, idle: off, at_least: 100, at_most: 30m}}\n  \
         operations: {{every: 1m, lateness: 1m}}\n  \
         false_alarms: {{at_most: 1, per: 1d}}\n  \
         errors: {{objective: 0.999}}\n\
         models:\n{}\
         receivers:\n  \
         - {{name: mail, email: {{server: \"smtp://localhost:{}\", ca: \"{}\", \
         from: driftline@example.org, to: [on-call@example.org]}}}}\n",
        kafka.bootstrap,
        models.concat(),
        smtp.port,
        smtp.ca.display(),
    )
}

fn baseline(folder: &std::path::Path) {
    hour::write_baseline_rows(&folder.join("rows.jsonl"));
    let mut binary = service::driftline();
    let arguments = "baseline --config driftline.yaml --model text --data rows.jsonl --time ts \
                     --rename score=prediction:score --predictions held-out --out baseline.json";
    binary.args(arguments.split_whitespace()).current_dir(folder);
    let (code, stdout, stderr) = service::run(&mut binary);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
}
