//! One POST to Slack, Microsoft Teams, PagerDuty or ntfy.

use std::collections::BTreeMap;

use driftline_config::{Channel, ChannelKind, Secret};
use serde_json::Value;

use super::http::{Endpoint, now};
use super::{DeliverySettings, Outcome, ReceiverProblem};

/// Answers after which the same body will never be taken: it is malformed, forbidden, for nobody, or too large.
const REFUSED: [u16; 5] = [400, 403, 404, 413, 422];

#[derive(Debug)]
pub(super) struct ChannelSender {
    endpoint: Endpoint,
    /// PagerDuty's integration key, which is a part of the body.
    routing_key: Option<Secret>,
}

impl ChannelSender {
    /// Checks the address, and reads the certificate file.
    pub(super) fn new(
        to: &Channel,
        settings: &DeliverySettings,
    ) -> Result<ChannelSender, ReceiverProblem> {
        let bearer = |key: &Secret| Secret::new(format!("Bearer {}", key.expose()));
        let in_body = to.kind == ChannelKind::PagerDuty;
        let token = to.key.as_ref().filter(|_| !in_body).map(bearer);
        let headers: BTreeMap<String, Secret> =
            token.into_iter().map(|token| ("Authorization".to_owned(), token)).collect();
        let ca = to.ca.as_deref();
        let endpoint = Endpoint::new(to.kind.title(), &to.url, &headers, ca, settings)?;
        let routing_key = to.key.clone().filter(|_| in_body);
        Ok(ChannelSender { endpoint: endpoint.refusing(&REFUSED), routing_key })
    }

    /// Connects, encrypts and asks for the head of the server's root.
    pub(super) async fn reach(&self) -> Result<String, String> {
        self.endpoint.head().await
    }

    pub(super) async fn send(&self, id: &str, body: &str) -> Outcome {
        let body = match &self.routing_key {
            None => body.to_owned(),
            Some(key) => match with_key(body, key) {
                Ok(body) => body,
                Err(error) => {
                    return Outcome::Failed {
                        why: format!("the message {id} is no JSON: {error}"),
                    };
                }
            },
        };
        self.endpoint.post("", &[], body, now().0).await
    }
}

fn with_key(body: &str, key: &Secret) -> Result<String, serde_json::Error> {
    let mut event: serde_json::Map<String, Value> = serde_json::from_str(body)?;
    event.insert("routing_key".to_owned(), Value::from(key.expose()));
    serde_json::to_string(&event)
}
