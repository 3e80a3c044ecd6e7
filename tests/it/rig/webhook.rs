//! A real HTTP receiver that verifies Standard Webhooks signatures with code of its own.

use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, Supervised};

/// A receiver that remembers every delivery.
pub(crate) struct Webhook {
    server: Supervised,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Webhook {
    /// Starts a receiver with the options of `tests/rig/webhook_server.py`, such as
    /// `{"secret": "whsec_…", "statuses": [500, 204]}`; `None` where there is no Python for it.
    pub(crate) fn start(options: &Value) -> Option<Webhook> {
        let python = super::python::interpreter()?;
        let script = super::rig_folder().join("webhook_server.py");
        let arguments = [script.into_os_string(), options.to_string().into()];
        let server = Supervised::start(&super::server_folder("webhook"), &python, &arguments);
        let (port, _) = super::listening(&server);
        Some(Webhook { server, port })
    }

    /// The address to configure.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Waits for `count` deliveries: `{"path", "headers", "body", "status", "fault"}` each, in order.
    pub(crate) fn deliveries(&self, count: usize, within: Duration) -> Vec<Value> {
        self.server.wait_for(within, "further delivery", |lines| {
            let deliveries = super::json_lines(lines).split_off(1);
            (deliveries.len() >= count).then_some(deliveries)
        })
    }

    /// Waits until `found` makes something of the deliveries so far.
    pub(crate) fn wait_for<T>(&self, what: &str, found: impl Fn(&[Value]) -> Option<T>) -> T {
        let after_hello = |lines: &[String]| found(&super::json_lines(lines).split_off(1));
        self.server.wait_for(PATIENCE, what, after_hello)
    }
}
