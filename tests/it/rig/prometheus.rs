//! A real Prometheus that scrapes servers on this machine every second, and its promtool.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PATIENCE, Supervised, http};

/// How often a query is repeated while its answer is awaited: a fifth of the scrape interval.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// A Prometheus server.
pub(crate) struct Prometheus {
    _server: Supervised,
    /// Where its API listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Prometheus {
    /// Starts a server that scrapes `/metrics` of 127.0.0.1:`target`; `None` where there is none.
    pub(crate) fn scraping(target: u16) -> Option<Prometheus> {
        Prometheus::with_rules(target, &[])
    }

    /// The same with these rule files, evaluated every second.
    pub(crate) fn with_rules(target: u16, rules: &[String]) -> Option<Prometheus> {
        let program = super::part("DRIFTLINE_TEST_PROMETHEUS")?;
        let folder = super::server_folder("prometheus");
        let configuration = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [{
                "job_name": "driftline",
                "static_configs": [{"targets": [format!("127.0.0.1:{target}")]}],
            }],
        });
        std::fs::write(folder.join("prometheus.yml"), configuration.to_string())
            .expect("the folder is writable");
        let port = super::free_port();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
        let server = Supervised::start(&folder, &program, &arguments);
        server.wait_for(PATIENCE, "readiness", |lines| {
            lines
                .iter()
                .any(|line| line.contains("Server is ready to receive web requests"))
                .then_some(())
        });
        Some(Prometheus { _server: server, port })
    }

    /// Evaluates `expression` now: the `result` of the instant query.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let query = http::escape(expression);
        let url = format!("http://127.0.0.1:{}/api/v1/query?query={query}", self.port);
        let answer = http::get(&url).expect("prometheus answers");
        let mut document: Value =
            serde_json::from_str(&answer.body).expect("prometheus answers JSON");
        assert_eq!(document["status"], "success", "{expression}: {document}");
        match document["data"]["result"].take() {
            Value::Array(result) => result,
            other => panic!("{expression} is no vector: {other}"),
        }
    }

    /// Every rule that it evaluates, as `/api/v1/rules` shows it.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let answer = http::get(&format!("http://127.0.0.1:{}/api/v1/rules", self.port));
        let answer = answer.expect("prometheus answers");
        let document: Value = serde_json::from_str(&answer.body).expect("prometheus answers JSON");
        let groups = document["data"]["groups"].as_array().expect("groups").iter();
        let rules = groups.map(|group| group["rules"].as_array().expect("rules").clone());
        rules.flatten().collect()
    }

    /// Repeats the query until it selects something.
    pub(crate) fn wait_for(&self, expression: &str, within: Duration) -> Vec<Value> {
        let deadline = Instant::now() + within;
        loop {
            let result = self.query(expression);
            if !result.is_empty() {
                return result;
            }
            assert!(Instant::now() < deadline, "{expression} selected nothing within {within:?}");
            thread::sleep(ASK_EVERY);
        }
    }
}

/// Whether promtool is content with these arguments, and what it prints; `None` where there is none.
pub(crate) fn promtool(folder: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let promtool = super::part("DRIFTLINE_TEST_PROMETHEUS")?.with_file_name("promtool");
    let output = Command::new(promtool).args(arguments).current_dir(folder).output();
    let output = output.expect("promtool runs");
    let printed = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&printed).into_owned()))
}

/// What `promtool check metrics` has to say about an exposition: nothing when it is in order.
/// `None` where there is no promtool.
pub(crate) fn complaints(exposition: &str) -> Option<String> {
    let promtool = super::part("DRIFTLINE_TEST_PROMETHEUS")?.with_file_name("promtool");
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut stdin = child.stdin.take().expect("standard input was piped");
    stdin.write_all(exposition.as_bytes()).expect("promtool reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool can be waited for");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}
