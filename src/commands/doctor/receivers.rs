//! Trying a receiver with a message.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use driftline_alerting::clock::now_us;
use driftline_alerting::deliver::{Deliverer, DeliverySettings, Outcome};
use driftline_alerting::outbox::test_row;

use super::Finding;
use crate::commands::configured;

/// Sends one message, once.
pub(super) fn send_test(config: &Path, name: &str) -> anyhow::Result<Finding> {
    let config = configured::load(config)?;
    let names =
        || config.receivers.iter().map(|to| to.name.as_str()).collect::<Vec<_>>().join(", ");
    let receiver = config.receivers.iter().find(|receiver| receiver.name == name);
    let receiver = receiver.ok_or_else(|| anyhow!("no receiver {name}; there are: {}", names()))?;
    let settings = DeliverySettings::default();
    let deliverer = Deliverer::new(std::slice::from_ref(receiver), &settings)?;
    let row = test_row(receiver, config.http.external_url.as_deref(), now_us())?;
    let row = row.ok_or_else(|| anyhow!("receiver {name} takes no alerts"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no runtime for the network")?;
    let check = format!("receiver {name}");
    Ok(match runtime.block_on(deliverer.send(&row)) {
        Outcome::Delivered => Finding::ok(check, "the test message was taken"),
        Outcome::Retry { why, .. } | Outcome::Failed { why } | Outcome::Disabled { why } => {
            Finding::fail(check, why)
        }
        Outcome::Silenced => Finding::fail(check, "the test message was silenced"),
    })
}
