//! A real mail server (aiosmtpd) with TLS and AUTH.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::Supervised;

/// A mail server that keeps each mail as a file.
pub(crate) struct Smtp {
    server: Supervised,
    /// Where it listens, on 127.0.0.1 (its certificate also names `localhost`).
    pub(crate) port: u16,
    /// The PEM file of the authority that signed its certificate.
    pub(crate) ca: PathBuf,
}

impl Smtp {
    /// Starts a server with the options of `tests/rig/smtp_server.py`, such as
    /// `{"user": "u", "password": "p", "refuse": [451]}`; `None` where there is no Python for it.
    pub(crate) fn start(options: &Value) -> Option<Smtp> {
        let python = super::python::interpreter()?;
        let folder = super::server_folder("smtp");
        let script = super::rig_folder().join("smtp_server.py");
        let arguments =
            [script.into_os_string(), folder.clone().into_os_string(), options.to_string().into()];
        let server = Supervised::start(&folder, &python, &arguments);
        let (port, hello) = super::listening(&server);
        let ca = hello["ca"].as_str().expect("the first line names the authority").into();
        Some(Smtp { server, port, ca })
    }

    /// Waits for `count` attempts, taken or refused: `{"mail", "code", "from", "to", "tls", "user"}` each.
    pub(crate) fn attempts(&self, count: usize, within: Duration) -> Vec<Value> {
        self.server.wait_for(within, "further mail", |lines| {
            let attempts = super::json_lines(lines).split_off(1);
            (attempts.len() >= count).then_some(attempts)
        })
    }

    /// Waits for `count` kept mails and reads them, oldest first.
    pub(crate) fn mails(&self, count: usize, within: Duration) -> Vec<String> {
        let paths = self.server.wait_for(within, "further kept mail", |lines| {
            let lines = super::json_lines(lines);
            let kept: Vec<_> = lines.iter().filter_map(|line| line["mail"].as_str()).collect();
            (kept.len() >= count).then(|| kept.into_iter().map(PathBuf::from).collect::<Vec<_>>())
        });
        paths
            .iter()
            .map(|path| std::fs::read_to_string(path).expect("a kept mail can be read"))
            .collect()
    }
}
