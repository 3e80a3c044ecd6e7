//! What the service shows while it runs, when it comes back, and while its broker is away.

use serde_json::{Value, json};

use crate::rig::kafka::{self, Kafka};
use crate::rig::prometheus::{self, Prometheus};
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, MODELS, Plan};
use crate::rig::{PATIENCE, free_port};

const DAYS: i64 = 6;

#[test]
fn prometheus_sees_what_the_ledger_says() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { days: DAYS, older: Some((3, 15)), ..Plan::default() };
    let log = traffic::log(&plan);
    // Nobody listens there, so that messages wait.
    let receiver = format!("http://127.0.0.1:{}/", free_port());
    let receivers = format!("receivers:\n  - {{name: nobody, webhook: {{url: \"{receiver}\"}}}}\n");
    let scene = Scene::new(kafka, "serving", plan.partitions, &receivers);
    let Some(prometheus) = Prometheus::scraping(scene.port) else { return };
    traffic::produce(kafka, &scene.topic, &log);

    let service = scene.start();
    let ledger = service.wait_for_ledger(&scene.topic, log.len() as u64);
    for model in MODELS {
        service.wait_for_reports(model, DAYS as usize);
    }
    let counters = |ledger: &Value, name: &str, label: &str| {
        for (value, count) in ledger.as_object().unwrap().iter().filter(|(name, _)| *name != "read")
        {
            let topic = &scene.topic;
            let series = format!("{name}{{topic=\"{topic}\",{label}=\"{value}\"}} == {count}");
            prometheus.wait_for(&series, PATIENCE);
        }
    };
    counters(&ledger["total"], "driftline_records_total", "outcome");
    counters(&ledger["rejected"], "driftline_rejected_total", "reason");
    for expression in [
        "up == 1",
        "sum(driftline_windows_total{model=\"credit\"}) == 6",
        "driftline_windows_total{model=\"credit\",level=\"alarm\"} == 3",
        "driftline_drift_statistic{model=\"fraud\",subject=\"feature:age\",statistic=\"value\"} > 0.2",
        "driftline_drift_statistic{model=\"fraud\",subject=\"feature:age\",statistic=\"bound\"} > 0.15",
        "driftline_drift_level{model=\"fraud\",subject=\"feature:age\"} == 2",
        "driftline_alert_state{model=\"fraud\",class=\"input shift\"} == 2",
        "driftline_alert_state{model=\"fraud\",class=\"broken input\"} == 0",
        "sum(driftline_consumer_lag) == 0",
        "driftline_checkpoint_age_seconds < 60",
        "driftline_outbox_pending{receiver=\"nobody\"} >= 2",
        "driftline_request_latency_seconds_count{model=\"credit\",version=\"7\"} > 4000",
    ] {
        prometheus.wait_for(expression, PATIENCE);
    }
    assert_eq!(prometheus::complaints(&service.get("/metrics")).as_deref(), Some(""));
    service.wait_for_calm();

    let shown = everything(&service);
    let pending = pending(&service);
    service.stop();
    let service = scene.start();
    service.wait_for_calm();
    service.wait_for_ledger(&scene.topic, log.len() as u64);
    assert_eq!(everything(&service), shown);
    // What was not delivered is sent again; what was counted once is not counted again.
    service.wait_until("to send again", |again| (self::pending(again) == pending).then_some(()));
    prometheus.wait_for("sum(driftline_records_total) == 0", PATIENCE);
}

#[test]
fn a_broker_may_go_away_and_come_back() {
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let ports = (free_port(), free_port());
    let Some(kafka) = Kafka::start_on(data.path(), ports) else { return };
    let plan = Plan { days: DAYS, ..Plan::default() };
    let log = traffic::log(&plan);
    let outcomes = traffic::outcomes(&log);
    let (before, after) = log.split_at(log.len() / 2);
    let scene = Scene::new(&kafka, "away", plan.partitions, "");
    traffic::produce(&kafka, &scene.topic, before);
    let service = scene.start();
    service.wait_for_ledger(&scene.topic, before.len() as u64);
    service.wait_for_calm();

    drop(kafka);
    let degraded = service.wait_until("to miss its broker", |service| {
        let (ready, degraded) = readiness(service);
        (ready && degraded.iter().any(|part| part == "broker")).then_some(degraded)
    });
    // A report that was on its way when the broker went is missed as well.
    let known = ["broker", "reports topic"];
    assert!(degraded.iter().all(|part| known.contains(&part.as_str())), "{degraded:?}");
    let reports = service.json("/api/v1/models/credit/reports");
    assert!(!reports.as_array().unwrap().is_empty(), "what was decided is still shown");

    let kafka = Kafka::start_on(data.path(), ports).expect("it was there before");
    traffic::produce(&kafka, &scene.topic, after);
    let ledger = service.wait_for_ledger(&scene.topic, log.len() as u64);
    assert_eq!(traffic::sorted(&ledger["total"]), traffic::sums(&outcomes));
    assert_eq!(ledger["imbalance"], 0);
    service.wait_for_calm();
    for model in MODELS {
        service.wait_for_reports(model, DAYS as usize);
    }
    let published = kafka.wait_for_records(&scene.reports, MODELS.len() * DAYS as usize, PATIENCE);
    assert_eq!(published.len(), MODELS.len() * DAYS as usize);
}

/// Whether it is ready, and what is degraded.
fn readiness(service: &Service) -> (bool, Vec<String>) {
    let answer = service.try_get("/readyz").unwrap_or_default();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    let degraded = serde_json::from_value(answer["degraded"].clone()).unwrap_or_default();
    (answer["ready"] == json!(true), degraded)
}

/// Everything the API shows of the past, as text.
fn everything(service: &Service) -> Vec<String> {
    let paths = ["/api/v1/models/credit/reports", "/api/v1/models/fraud/reports", "/api/v1/ledger"];
    let mut shown: Vec<String> = paths.iter().map(|path| service.get(path)).collect();
    shown.push(service.json("/api/v1/alerts")["history"].to_string());
    shown
}

/// Messages that wait for the receiver that is not there.
fn pending(service: &Service) -> Option<String> {
    let metrics = service.get("/metrics");
    let line = metrics.lines().find(|line| line.starts_with("driftline_outbox_pending{"));
    line.map(str::to_owned)
}
