//! A real Alertmanager, started, killed and started again at the same address.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PATIENCE, Supervised, http};

/// How often a question is repeated while its answer is awaited.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// An Alertmanager server, killed when dropped.
pub(crate) struct Alertmanager {
    _server: Supervised,
    /// Where its API listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Alertmanager {
    /// Starts a server that tells `webhook` at once of what fires and what is resolved; `None` where
    /// there is no Alertmanager.
    pub(crate) fn start(webhook: &str) -> Option<Alertmanager> {
        let started = Alertmanager::run(&program()?, webhook, 0);
        Some(started.unwrap_or_else(|lines| panic!("no Alertmanager: {lines:#?}")))
    }

    /// The same at an address where one listened before; it knows nothing of what that one knew.
    pub(crate) fn start_again(webhook: &str, port: u16) -> Alertmanager {
        let program = program().expect("it was there before");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Alertmanager::run(&program, webhook, port) {
                Ok(alertmanager) => return alertmanager,
                // A connection of somebody else holds the port for a moment.
                Err(lines) => assert!(
                    Instant::now() < deadline && lines.concat().contains("address already in use"),
                    "no Alertmanager: {lines:#?}"
                ),
            }
        }
    }

    /// Or what it said before it ended.
    fn run(program: &Path, webhook: &str, port: u16) -> Result<Alertmanager, Vec<String>> {
        let folder = super::server_folder("alertmanager");
        let templates = program.with_file_name("templates");
        if templates.exists() {
            std::os::unix::fs::symlink(templates, folder.join("templates"))
                .expect("the folder is writable");
        }
        let configuration = json!({
            "route": {
                "receiver": "hook", "group_by": ["..."],
                "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h",
            },
            "receivers": [{"name": "hook", "webhook_configs": [{"url": webhook}]}],
        });
        std::fs::write(folder.join("alertmanager.yml"), configuration.to_string())
            .expect("the folder is writable");
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments = [
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            "--cluster.listen-address=",
            &listen,
        ];
        let server = Supervised::start(&folder, program, &arguments);
        let port = server.try_wait_for(PATIENCE, |lines| {
            let line = lines.iter().find(|line| line.contains("msg=\"Listening on\""))?;
            line.rsplit_once(':')?.1.trim().parse().ok()
        });
        port.map(|port| Alertmanager { _server: server, port })
    }

    /// The address to configure.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that fires now, by API v2.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let answer = http::get(&format!("{}/api/v2/alerts", self.url()));
        let answer = answer.expect("Alertmanager answers").body;
        serde_json::from_str(&answer).expect("Alertmanager answers an array")
    }

    /// Waits until what fires is as `wanted`.
    pub(crate) fn wait_for_alerts(
        &self,
        what: &str,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let alerts = self.alerts();
            if wanted(&alerts) {
                return alerts;
            }
            assert!(Instant::now() < deadline, "we waited for {what}: {alerts:#?}");
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// How many alerts with this status it has received, by its own metrics.
    pub(crate) fn received(&self, status: &str) -> u64 {
        let answer = http::get(&format!("{}/metrics", self.url())).expect("Alertmanager answers");
        let of_status = |line: &&str| {
            line.starts_with("alertmanager_alerts_received_total{")
                && line.contains(&format!("status=\"{status}\""))
                && line.contains("version=\"v2\"")
        };
        let mut lines = answer.body.lines().filter(of_status);
        lines.next().and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0)
    }
}

fn program() -> Option<PathBuf> {
    super::part("DRIFTLINE_TEST_ALERTMANAGER")
}
