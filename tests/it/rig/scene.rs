//! One scenario's surroundings: a folder, a topic, a configuration and a baseline built by the binary.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::kafka::Kafka;
use super::service::{self, Service};
use super::traffic::{self, MODELS, RECORD_BYTES};
use crate::rig;

/// A configured service that can be started and started again.
pub(crate) struct Scene {
    pub(crate) topic: String,
    pub(crate) reports: String,
    pub(crate) config: PathBuf,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Scene {
    /// A fresh topic, and a configuration of [`MODELS`] with these lines of YAML at its end.
    pub(crate) fn new(kafka: &Kafka, stem: &str, partitions: u64, rest: &str) -> Scene {
        let topic = kafka.create_topic(stem, partitions as u32, &[]);
        Scene::on(kafka, &topic, stem, rest)
    }

    /// The same over a topic that is there.
    pub(crate) fn on(kafka: &Kafka, topic: &str, stem: &str, rest: &str) -> Scene {
        let folder = tempfile::Builder::new().prefix("driftline-scene-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        let reports = kafka.fresh_name(&format!("{stem}.reports"));
        let port = rig::free_port();
        let config = folder.path().join("driftline.yaml");
        let text = yaml(&kafka.bootstrap, topic, &reports, port) + rest;
        fs::write(&config, text).expect("the folder is writable");
        fs::write(folder.path().join("baseline.json"), baseline()).expect("the folder is writable");
        Scene { topic: topic.to_owned(), reports, config, port, folder }
    }

    /// Lets partitions be idle after a second without a row.
    pub(crate) fn with_idle_partitions(self) -> Scene {
        self.with("idle: off", "idle: 1s")
    }

    /// Has other text where this one stands in the configuration.
    pub(crate) fn with(self, this: &str, other: &str) -> Scene {
        let text = fs::read_to_string(&self.config).expect("it was written");
        assert!(text.contains(this), "{this}: not in {text}");
        fs::write(&self.config, text.replace(this, other)).expect("the folder is writable");
        self
    }

    /// Reaches the broker at another address, with these librdkafka properties as YAML.
    pub(crate) fn reaching(self, kafka: &Kafka, address: &str, properties: &str) -> Scene {
        let other = format!("bootstrap: \"{address}\", properties: {{{properties}}}");
        self.with(&format!("bootstrap: \"{}\"", kafka.bootstrap), &other)
    }

    /// Starts the service and waits until it answers.
    pub(crate) fn start(&self) -> Service {
        Service::start(&self.config, self.port)
    }

    /// Runs a command of the binary with this configuration.
    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut binary = service::driftline();
        binary.arg(command).arg("--config").arg(&self.config).args(arguments);
        service::run(binary.current_dir(self.folder.path()))
    }
}

/// The log alone decides here: no partition is ever idle, and messages of last year's traffic are sent.
fn yaml(bootstrap: &str, topic: &str, reports: &str, port: u16) -> String {
    let models = MODELS.map(|model| {
        format!(
            "  - name: {model}\n    captures: {{topic: {topic}}}\n    baseline: baseline.json\n    \
             latency: {{under: 50ms, objective: 0.99}}\n    errors: {{objective: 0.99}}\n"
        )
    });
    let models = models.concat();
    format!(
        "kafka: {{bootstrap: \"{bootstrap}\", group: {reports}, reports: {reports}}}\n\
         state: state\n\
         http: {{listen: \"127.0.0.1:{port}\"}}\n\
         limits: {{record_bytes: {RECORD_BYTES}}}\n\
         alerts: {{max_age: off}}\n\
         defaults:\n  window: {{every: 1d, lateness: 1h, idle: off}}\n  \
         operations: {{every: 3h, lateness: 1h}}\n\
         models:\n{models}"
    )
}

/// The baseline of both models, built once.
fn baseline() -> &'static str {
    static BASELINE: OnceLock<String> = OnceLock::new();
    BASELINE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = |name: &str| folder.path().join(name);
        let config = yaml("127.0.0.1:9", "captures", "reports", 9464);
        fs::write(path("driftline.yaml"), config).expect("the folder is writable");
        traffic::write_baseline_rows(&path("rows.jsonl"));
        let mut binary = service::driftline();
        let arguments = "baseline --config driftline.yaml --model credit --data rows.jsonl --time ts \
                         --rename label=prediction:label --rename score=prediction:score \
                         --predictions held-out --out baseline.json";
        binary.args(arguments.split_whitespace()).current_dir(folder.path());
        let (code, stdout, stderr) = service::run(&mut binary);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        fs::read_to_string(path("baseline.json")).expect("the baseline was written")
    })
}
