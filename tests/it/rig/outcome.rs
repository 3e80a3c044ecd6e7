//! What a service came to, byte for byte, to be compared with what another one came to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kafka::Kafka;
use super::scene::Scene;
use super::service::Service;
use super::traffic::MODELS;

/// The ledger and all reports of one run.
pub(crate) struct Outcome {
    pub(crate) ledger: Value,
    /// By window id, byte for byte.
    pub(crate) reports: BTreeMap<String, String>,
}

impl Outcome {
    /// Waits until a service has read so many records and reported so many days of each model.
    pub(crate) fn of(service: &Service, topic: &str, records: u64, days: i64) -> Outcome {
        let ledger = service.wait_for_ledger(topic, records);
        let mut reports = BTreeMap::new();
        for model in MODELS {
            for report in service.wait_for_reports(model, days as usize) {
                let id = report["window"]["id"].as_str().unwrap().to_owned();
                let text = service.get(&format!("/api/v1/reports/{id}"));
                reports.insert(id, text);
            }
        }
        service.wait_for_an_empty_outbox();
        Outcome { ledger, reports }
    }

    /// What a service that nobody disturbs makes of the same topic.
    pub(crate) fn undisturbed(kafka: &Kafka, topic: &str, records: u64, days: i64) -> Outcome {
        let calm = Scene::on(kafka, topic, "calm", "");
        Outcome::of(&calm.start(), topic, records, days)
    }

    /// Nothing lost, nothing twice, and the same bytes in every report.
    pub(crate) fn equals(&self, wanted: &Outcome) {
        assert_eq!(self.ledger, wanted.ledger);
        assert_eq!(self.ledger["imbalance"], 0);
        let ids = |outcome: &Outcome| outcome.reports.keys().cloned().collect::<Vec<_>>();
        assert_eq!(ids(self), ids(wanted));
        for (id, report) in &wanted.reports {
            assert_eq!(self.reports.get(id), Some(report), "{id}");
        }
    }

    /// The topic of reports holds each of them, once or more, with these bytes.
    pub(crate) fn was_published(&self, kafka: &Kafka, topic: &str) {
        let mut published = BTreeMap::new();
        for record in kafka.records(topic) {
            let text = record["value"].as_str().unwrap().to_owned();
            let report: Value = serde_json::from_str(&text).unwrap();
            let id = report["window"]["id"].as_str().unwrap().to_owned();
            let known = published.entry(id).or_insert(text.clone());
            assert_eq!(*known, text, "the same id, other bytes");
        }
        assert_eq!(published, self.reports);
    }
}
