//! Alerts to an Alertmanager, several with one POST.

use std::time::Duration;

use driftline_config::Alertmanager;
use serde_json::Value;

use super::http::{Endpoint, now};
use super::{DeliverySettings, Outcome, ReceiverProblem};
use crate::alertmanager::{Alert, body, lease_us};

/// Bytes of an answer that are read to learn who answers.
const STATUS_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct AlertmanagerSender {
    endpoint: Endpoint,
    resend: Duration,
}

impl AlertmanagerSender {
    /// Checks address and headers, and reads the certificate file.
    pub(super) fn new(
        to: &Alertmanager,
        settings: &DeliverySettings,
    ) -> Result<AlertmanagerSender, ReceiverProblem> {
        let (headers, ca) = (&to.headers, to.ca.as_deref());
        let endpoint = Endpoint::new("Alertmanager", &to.url, headers, ca, settings)?;
        let resend = Duration::from_micros(u64::try_from(to.resend_us).unwrap_or_default());
        Ok(AlertmanagerSender { endpoint, resend })
    }

    /// How often what stands is sent again.
    pub(super) fn resend(&self) -> Duration {
        self.resend
    }

    /// Asks for its status, which only an Alertmanager with API v2 has.
    pub(super) async fn reach(&self) -> Result<String, String> {
        let text = self.endpoint.get("/api/v2/status", STATUS_BYTES).await?;
        let status: Value = serde_json::from_slice(&text).unwrap_or_default();
        match status["versionInfo"]["version"].as_str() {
            Some(version) => {
                let version: String =
                    version.chars().filter(|c| !c.is_control()).take(40).collect();
                Ok(format!("Alertmanager {version} answers"))
            }
            None => Err(String::from("what answers is no Alertmanager with API v2")),
        }
    }

    pub(super) async fn send(&self, alerts: &[&Alert]) -> Outcome {
        let (now, now_us) = now();
        let resend_us = i64::try_from(self.resend.as_micros()).unwrap_or(i64::MAX);
        let body = body(alerts, now_us, lease_us(resend_us));
        match self.endpoint.post("/api/v2/alerts", &[], body, now).await {
            // Nobody says this on purpose: alerts are state, and stay true.
            Outcome::Disabled { why } => Outcome::retry(why),
            outcome => outcome,
        }
    }
}
