//! A real Toxiproxy between a client and a server, and what it does to their connections.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PATIENCE, Supervised, http};

/// A proxy of one server, killed when dropped.
pub(crate) struct Toxiproxy {
    _server: Supervised,
    api: String,
}

impl Toxiproxy {
    /// Starts a proxy that listens on 127.0.0.1:`port` for the server at `upstream`; `None` where there
    /// is no Toxiproxy.
    pub(crate) fn start(port: u16, upstream: &str) -> Option<Toxiproxy> {
        let program = super::part("DRIFTLINE_TEST_TOXIPROXY")?;
        let api_port = super::free_port();
        let arguments = ["-host", "127.0.0.1", "-port", &api_port.to_string()];
        let server = Supervised::start(&super::server_folder("toxiproxy"), &program, &arguments);
        let proxy = Toxiproxy { _server: server, api: format!("http://127.0.0.1:{api_port}") };
        let deadline = Instant::now() + PATIENCE;
        while http::get(&format!("{}/version", proxy.api)).is_err() {
            assert!(Instant::now() < deadline, "toxiproxy does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        let listen = format!("127.0.0.1:{port}");
        proxy.post("/proxies", &json!({"name": "server", "listen": listen, "upstream": upstream}));
        Some(proxy)
    }

    /// Puts a toxic on what the server sends (`downstream`) or what clients send (`upstream`).
    pub(crate) fn add(&self, kind: &str, stream: &str, attributes: &Value) {
        let name = format!("{kind}_{stream}");
        let toxic = json!({"name": name, "type": kind, "stream": stream, "attributes": attributes});
        self.post("/proxies/server/toxics", &toxic);
    }

    /// Takes all toxics away.
    pub(crate) fn heal(&self) {
        let answer = http::exchange("GET", &format!("{}/proxies/server/toxics", self.api), "");
        let toxics: Value = serde_json::from_str(&answer.expect("toxiproxy answers").body).unwrap();
        for toxic in toxics.as_array().expect("toxics are a list") {
            let name = toxic["name"].as_str().expect("a toxic has a name");
            let url = format!("{}/proxies/server/toxics/{name}", self.api);
            let answer = http::request("DELETE", &url, &[], "").expect("toxiproxy answers");
            assert_eq!(answer.status, 204, "{url}: {}", answer.body);
        }
    }

    /// Refuses connections and breaks those that are there, or lets them be made again.
    pub(crate) fn let_through(&self, enabled: bool) {
        self.post("/proxies/server", &json!({"enabled": enabled}));
    }

    fn post(&self, path: &str, body: &Value) {
        let answer = http::exchange("POST", &format!("{}{path}", self.api), &body.to_string());
        let answer = answer.expect("toxiproxy answers");
        assert!(matches!(answer.status, 200 | 201), "{path}: {} {}", answer.status, answer.body);
    }
}
