//! Incidents in a real Alertmanager: while it is there, while it is not, after a restart, accepted, over.

use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::alertmanager::Alertmanager;
use crate::rig::http;
use crate::rig::kafka::{self, Kafka};
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, FIRST_DAY_US, MODELS, Plan, Record};
use crate::rig::webhook::Webhook;
use driftline_config::time::DAY_US;

/// Days of the first part, from the fourth of which everybody is older, and of both parts.
const SHIFTED: i64 = 7;
const DAYS: i64 = 11;
const TOKEN: &str = "a-token-for-writes";

#[test]
fn an_incident_is_seen_firing_and_resolved() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let Some(alertmanager) = Alertmanager::start(&hook.url()) else { return };
    let (scene, service) = serve(kafka, "alerted", &alertmanager.url(), &shifted());
    let alerts = alertmanager.wait_for_alerts("both models to fire", both_fire);
    for model in MODELS {
        let alert = alerts.iter().find(|alert| alert["labels"]["model"] == model).unwrap();
        let labels = json!({
            "alertname": "DriftlineInputShift", "class": "input shift", "model": model,
            "severity": "warning", "incident": incident(&service, model),
        });
        assert_eq!(traffic::sorted(&alert["labels"]), traffic::sorted(&labels));
        let annotation = |name: &str| alert["annotations"][name].as_str().unwrap().to_owned();
        let summary = annotation("summary");
        assert!(summary.starts_with(&format!("{model}: input shift in age since ")), "{summary}");
        assert!(annotation("description").contains("% of requests have age >"), "{alert}");
        let runbook = "https://runbook.example.org/#driftlineinputshift";
        assert_eq!(annotation("runbook_url"), runbook);
        assert_eq!(alert["startsAt"], "2026-01-08T00:00:00.000Z");
        assert_eq!(alert["generatorURL"], format!("{PAGE}/models/{model}"));
    }
    let (_, stdout, stderr) = scene.run("doctor", &[]);
    let found = stdout.lines().find(|line| line.contains("receiver am")).unwrap_or(&stderr);
    assert!(found.contains("Alertmanager 0.") && found.contains(" answers"), "{found}");
    wait_for(&service, "resent", 4);
    // What is delivered and stands does not wait, and is no new message.
    service.wait_for_an_empty_outbox();
    assert_eq!(attempts(&service, "delivered"), 2);

    traffic::produce(kafka, &scene.topic, &over());
    alertmanager.wait_for_alerts("nothing to fire", <[Value]>::is_empty);
    let told = hook.deliveries(4, PATIENCE);
    for model in MODELS {
        assert_eq!(statuses(&told, model), ["firing", "resolved"], "{told:#?}");
    }
    service.wait_for_an_empty_outbox();
    assert_eq!(attempts(&service, "failed") + attempts(&service, "retry"), 0);
}

#[test]
fn nothing_is_lost_while_alertmanager_is_away() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let Some(alertmanager) = Alertmanager::start(&hook.url()) else { return };
    let port = alertmanager.port;
    let url = alertmanager.url();
    drop(alertmanager);

    // It opens while nobody listens.
    let (scene, service) = serve(kafka, "away", &url, &shifted());
    wait_for(&service, "retry", 1);
    let alertmanager = Alertmanager::start_again(&hook.url(), port);
    alertmanager.wait_for_alerts("both models to fire", both_fire);

    // Both start anew: one knows nothing, the other finds its rows in the store.
    service.kill();
    drop(alertmanager);
    let service = scene.start();
    wait_for(&service, "retry", 1);
    let alertmanager = Alertmanager::start_again(&hook.url(), port);
    alertmanager.wait_for_alerts("both models to fire again", both_fire);

    // It is over while nobody listens.
    drop(alertmanager);
    traffic::produce(kafka, &scene.topic, &over());
    // What stands does not wait, so these are the ends.
    let pending = "driftline_outbox_pending{receiver=\"am\"} 2";
    service.wait_until("to have two ends to tell", |service| {
        service.get("/metrics").lines().any(|line| line == pending).then_some(())
    });
    // Two attempts may still be about what stood.
    wait_for(&service, "retry", attempts(&service, "retry") + 3);
    let alertmanager = Alertmanager::start_again(&hook.url(), port);
    service.wait_for_an_empty_outbox();
    assert_eq!(alertmanager.alerts(), Vec::<Value>::new());
    assert_eq!((alertmanager.received("firing"), alertmanager.received("resolved")), (0, 2));
    assert_eq!(attempts(&service, "failed"), 0);
}

#[test]
fn what_is_accepted_or_silenced_ends_and_says_why() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let Some(alertmanager) = Alertmanager::start(&hook.url()) else { return };
    let (_scene, service) = serve(kafka, "accepted", &alertmanager.url(), &shifted());
    alertmanager.wait_for_alerts("both models to fire", both_fire);
    hook.deliveries(2, PATIENCE);

    let [accepted, silenced] = MODELS;
    let body = json!({"by": "on-call", "reason": "a campaign"});
    write(&service, &format!("alerts/{}/accept", incident(&service, accepted)), &body);
    let left = |model: &'static str| {
        move |alerts: &[Value]| alerts.len() == 1 && alerts[0]["labels"]["model"] == model
    };
    alertmanager.wait_for_alerts("the accepted one to end", left(silenced));
    let body = json!({"model": silenced, "class": "input shift", "until": "2100-01-01T00:00:00Z",
                      "by": "on-call", "reason": "a migration"});
    write(&service, "silences", &body);
    alertmanager.wait_for_alerts("the silenced one to end", <[Value]>::is_empty);

    let told = hook.deliveries(4, PATIENCE);
    for (model, why) in [
        (accepted, "Accepted by on-call, silent until it grows: a campaign\n"),
        (silenced, "Silenced by on-call until 2100-01-01T00:00:00Z: a migration\n"),
    ] {
        assert_eq!(statuses(&told, model), ["firing", "resolved"]);
        let last = alerts_of(&told, model).pop().unwrap();
        let description = last["annotations"]["description"].as_str().unwrap();
        assert!(description.starts_with(why), "{description}");
    }
}

const PAGE: &str = "https://driftline.example.org";

/// A service with one Alertmanager as its receiver, and this traffic before it.
fn serve(kafka: &Kafka, stem: &str, url: &str, log: &[Record]) -> (Scene, Service) {
    let receivers = format!(
        "receivers:\n  - {{name: am, alertmanager: {{url: \"{url}\", resend: 1s, \
         runbook: \"https://runbook.example.org/\"}}}}\n"
    );
    let scene = Scene::new(kafka, stem, Plan::default().partitions, &receivers);
    let text = std::fs::read_to_string(&scene.config).unwrap();
    let http = format!("http: {{external_url: \"{PAGE}\", token: {TOKEN}, ");
    std::fs::write(&scene.config, text.replace("http: {", &http)).unwrap();
    traffic::produce(kafka, &scene.topic, log);
    let service = scene.start();
    for model in MODELS {
        service.wait_for_reports(model, SHIFTED as usize);
    }
    (scene, service)
}

/// A week from whose fourth day on everybody is older: input shift of both models.
fn shifted() -> Vec<Record> {
    traffic::log(&Plan { days: SHIFTED, older: Some((3, 8)), ..Plan::default() })
}

/// Four days after it, as before the shift.
fn over() -> Vec<Record> {
    let plan = Plan { days: DAYS, records: 20_000, ..Plan::default() };
    let from_us = FIRST_DAY_US + SHIFTED * DAY_US;
    traffic::log(&plan).into_iter().filter(|record| record.timestamp_us >= from_us).collect()
}

/// Whether there is one alert of each model, in their order.
fn both_fire(alerts: &[Value]) -> bool {
    let mut models: Vec<&str> =
        alerts.iter().filter_map(|alert| alert["labels"]["model"].as_str()).collect();
    models.sort_unstable();
    models == MODELS
}

/// The id of the open incident of a model. The API may show it a moment later than Alertmanager.
fn incident(service: &Service, model: &str) -> String {
    service.wait_until("to show the incident", |service| {
        let alerts = service.json("/api/v1/alerts");
        let incidents = alerts["incidents"].as_array()?.iter();
        let mut of_model = incidents.filter(|incident| incident["model"] == model);
        Some(of_model.next()?["id"].as_str()?.to_owned())
    })
}

/// Attempts to deliver with this outcome, since the process started.
fn attempts(service: &Service, outcome: &str) -> u64 {
    let series = format!("driftline_notifications_total{{receiver=\"am\",outcome=\"{outcome}\"}} ");
    let metrics = service.get("/metrics");
    let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(&series));
    lines.next().expect("there is such a counter").parse().expect("whole attempts")
}

fn wait_for(service: &Service, outcome: &str, least: u64) {
    service.wait_until(&format!("to count {least} times {outcome}"), |service| {
        (attempts(service, outcome) >= least).then_some(())
    });
}

fn write(service: &Service, path: &str, body: &Value) {
    let url = service.url(&format!("/api/v1/{path}"));
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let answer = http::request("POST", &url, &headers, &body.to_string()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
}

/// What Alertmanager told the webhook about a model, in order.
fn alerts_of(told: &[Value], model: &str) -> Vec<Value> {
    let bodies = told.iter().map(|delivery| {
        serde_json::from_str::<Value>(delivery["body"].as_str().unwrap()).expect("JSON")
    });
    let alerts = bodies.flat_map(|body| body["alerts"].as_array().cloned().unwrap_or_default());
    alerts.filter(|alert| alert["labels"]["model"] == model).collect()
}

fn statuses(told: &[Value], model: &str) -> Vec<String> {
    let alerts = alerts_of(told, model);
    alerts.iter().map(|alert| alert["status"].as_str().unwrap().to_owned()).collect()
}
