//! A numeric column that becomes text: the rest stays measured, and nobody trains on it.

use serde_json::{Value, json};

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::smtp::Smtp;
use crate::rig::traffic::{self, MODELS, Plan};
use crate::rig::webhook::Webhook;
use crate::rig::{PATIENCE, python};

const DAYS: i64 = 6;
/// The day on which `amount` becomes text, and on which everybody is older by so many years.
const CHANGE: i64 = 3;
const OLDER: u64 = 15;

#[test]
fn a_column_that_becomes_text_holds_retraining_back() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(smtp) = Smtp::start(&json!({})) else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let plan = Plan {
        days: DAYS,
        older: Some((CHANGE, OLDER)),
        text_from: Some(CHANGE),
        ..Plan::default()
    };
    let log = traffic::log(&plan);
    let receivers = format!(
        "receivers:\n  \
         - {{name: mail, email: {{server: \"smtp://localhost:{}\", ca: \"{}\", \
         from: driftline@example.org, to: [on-call@example.org]}}}}\n  \
         - {{name: hook, webhook: {{url: \"{}\"}}}}\n",
        smtp.port,
        smtp.ca.display(),
        hook.url()
    );
    let scene = Scene::new(kafka, "broken", plan.partitions, &receivers);
    traffic::produce(kafka, &scene.topic, &log);

    let service = scene.start();
    for model in MODELS {
        for (day, report) in service.wait_for_reports(model, DAYS as usize).iter().enumerate() {
            the_rest_stays_measured(report);
            match day as i64 >= CHANGE {
                true => the_text_is_named(report),
                false => assert_ne!(report["level"], "alarm", "{report:#}"),
            }
        }
    }
    service.wait_for_an_empty_outbox();
    let deliveries = hook.deliveries(2 * MODELS.len(), PATIENCE);
    let bodies: Vec<&str> =
        deliveries.iter().map(|delivery| delivery["body"].as_str().unwrap()).collect();
    assert!(!bodies.iter().any(|body| body.contains("retrain.requested")), "{bodies:#?}");
    let ledger = service.ledger(&scene.topic);
    assert_eq!(ledger["imbalance"], 0);
    the_mail_says_why(&smtp);
}

fn findings(report: &Value) -> impl Iterator<Item = &Value> {
    report["findings"].as_array().unwrap().iter()
}

fn finding<'a>(report: &'a Value, subject: &str, check: &str) -> &'a Value {
    let wanted = |finding: &&Value| finding["subject"] == subject && finding["check"] == check;
    findings(report).find(wanted).unwrap_or_else(|| panic!("no {check} of {subject}: {report:#}"))
}

fn the_rest_stays_measured(report: &Value) {
    let rows = report["window"]["rows"].as_u64().unwrap();
    assert!(rows > 300);
    assert_eq!(report["latency"]["n"], rows, "{report:#}");
    assert_eq!(report["status"]["2xx"], rows, "{report:#}");
    let columns = [
        "feature:age",
        "feature:country",
        "feature:premium",
        "prediction:label@7",
        "prediction:score@7",
    ];
    for column in columns {
        assert_eq!(finding(report, column, "distribution")["n"], rows, "{column}: {report:#}");
    }
}

fn the_text_is_named(report: &Value) {
    let text = finding(report, "feature:amount", "wrong_type");
    assert_eq!(text["level"], "alarm", "{text:#}");
    let names =
        text["share"]["names"].as_array().unwrap_or_else(|| panic!("no examples: {text:#}"));
    assert_eq!(names.len(), 3);
    let is_sent = |name: &Value| name["name"].as_str().unwrap().ends_with(" EUR");
    assert!(names.iter().all(is_sent), "{text:#}");
    assert_eq!(
        finding(report, "feature:age", "distribution")["level"],
        "alarm",
        "at the same time"
    );
}

fn the_mail_says_why(smtp: &Smtp) {
    let mails = smtp.mails(2 * MODELS.len(), PATIENCE);
    let parts =
        mails.iter().map(|mail| python::run("mail_parts.py", &json!({"mail": mail})).unwrap());
    let parts: Vec<Value> = parts.collect();
    for model in MODELS {
        let mail = |class: &str| {
            let subject = format!("[driftline] {model}: {class} in ");
            let about = |mail: &&Value| mail["subject"].as_str().unwrap().starts_with(&subject);
            let mail =
                parts.iter().find(about).unwrap_or_else(|| panic!("no {subject}: {parts:#?}"));
            mail["text"].as_str().unwrap().to_owned()
        };
        let broken = mail("broken input");
        assert!(broken.contains("amount"), "{broken}");
        let shift = mail("input shift");
        let held = shift.split_once("held back: ").unwrap_or_else(|| panic!("{shift}")).1;
        assert!(held.lines().next().unwrap().contains("amount"), "{shift}");
    }
}
