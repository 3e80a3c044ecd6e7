//! One real Apache Kafka broker for the whole test run, with fresh topics for each test; and brokers of
//! their own for tests that take them down.

use std::fs;
use std::path::Path;
use std::process::{Command, id};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{PATIENCE, Supervised, python};

/// A port found free may be taken before the broker binds it; then others are tried.
const STARTS: usize = 3;

/// A running broker, or all brokers of a [`Cluster`](super::cluster::Cluster).
pub(crate) struct Kafka {
    /// None where the servers are the cluster's.
    server: Option<Supervised>,
    /// `host:port` for clients, several separated by commas.
    pub(crate) bootstrap: String,
    replicas: u32,
}

/// The broker that all tests of this run share, started at the first call; `None` where there is none.
pub(crate) fn broker() -> Option<&'static Kafka> {
    static BROKER: OnceLock<Option<Kafka>> = OnceLock::new();
    BROKER.get_or_init(Kafka::start).as_ref()
}

impl Kafka {
    /// Starts a broker of one's own, for a test that takes it down.
    pub(crate) fn start() -> Option<Kafka> {
        let (jars, _) = (super::part("DRIFTLINE_TEST_KAFKA")?, python::interpreter()?);
        let mut output = Vec::new();
        for _ in 0..STARTS {
            match try_start(&jars) {
                Ok(kafka) => return Some(kafka),
                Err(lines) => output = lines,
            }
        }
        panic!("kafka did not start; the last attempt printed:\n{}", output.join("\n"))
    }

    /// Starts a broker of one's own on `data`, a folder that outlives it, and on these ports of broker
    /// and controller: started again on the same, it has everything it had.
    pub(crate) fn start_on(data: &Path, ports: (u16, u16)) -> Option<Kafka> {
        let (jars, _) = (super::part("DRIFTLINE_TEST_KAFKA")?, python::interpreter()?);
        match try_start_on(&jars, data, ports) {
            Ok(kafka) => Some(kafka),
            Err(lines) => panic!("kafka did not start; it printed:\n{}", lines.join("\n")),
        }
    }

    /// The same with these further lines in its `server.properties`, which win over those of every test.
    pub(crate) fn start_with(data: &Path, ports: (u16, u16), properties: &str) -> Option<Kafka> {
        fs::write(data.join("more.properties"), properties).expect("the folder is writable");
        Kafka::start_on(data, ports)
    }

    /// Clients of servers that are somebody else's; their topics have so many replicas.
    pub(crate) fn of(bootstrap: String, replicas: u32) -> Kafka {
        Kafka { server: None, bootstrap, replicas }
    }

    /// Sends the broker a signal, such as `-TERM`, and waits until it has ended.
    pub(crate) fn end(self, signal: &str) {
        self.signal(signal);
        if let Some(server) = self.server {
            server.wait_for_end(PATIENCE);
        }
    }

    /// Sends a broker of one's own a signal, such as `-STOP` or `-CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let Some(server) = &self.server else { return };
        let id = server.wait_for(PATIENCE, "process id", |lines| {
            Some(lines.first()?.strip_prefix("id ")?.to_owned())
        });
        let status = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(status.success(), "kill {signal} {id}: {status}");
    }

    /// A name that no other test and no earlier run uses.
    pub(crate) fn fresh_name(&self, stem: &str) -> String {
        static USED: AtomicU32 = AtomicU32::new(0);
        format!("{stem}.{}.{}", id(), USED.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates a topic with a fresh name, as many partitions, and such settings as
    /// `("retention.ms", "1000")`, and returns its name.
    pub(crate) fn create_topic(
        &self,
        stem: &str,
        partitions: u32,
        settings: &[(&str, &str)],
    ) -> String {
        let topic = self.fresh_name(stem);
        self.create_named_topic(&topic, partitions, settings);
        topic
    }

    /// Creates a topic of this very name.
    pub(crate) fn create_named_topic(
        &self,
        topic: &str,
        partitions: u32,
        settings: &[(&str, &str)],
    ) {
        let settings: Map<_, _> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let replicas = self.replicas;
        let wanted = json!({"partitions": partitions, "settings": settings, "replicas": replicas});
        self.ask(topic, "create", wanted);
    }

    /// Gives a topic more partitions: so many in all.
    pub(crate) fn grow_topic(&self, topic: &str, partitions: u32) {
        self.ask(topic, "grow", json!({"partitions": partitions}));
    }

    /// Deletes a topic, so that one of the same name can be created anew.
    pub(crate) fn delete_topic(&self, topic: &str) {
        self.ask(topic, "delete", json!({}));
    }

    /// Removes the records of a partition below `offset`, as retention would.
    pub(crate) fn delete_records(&self, topic: &str, partition: u32, offset: u64) {
        self.ask(topic, "delete_records", json!({"partition": partition, "offset": offset}));
    }

    /// The first and the end offset of each partition, in order of partition.
    pub(crate) fn offsets(&self, topic: &str) -> Vec<(u64, u64)> {
        let answer = self.ask(topic, "offsets", json!({}));
        serde_json::from_value(answer).expect("pairs of offsets")
    }

    /// The leader of each partition and its replicas in sync, in order of partition.
    pub(crate) fn leaders(&self, topic: &str) -> Vec<(i32, Vec<i32>)> {
        let answer = self.ask(topic, "leaders", json!({}));
        serde_json::from_value(answer).expect("a leader and replicas for each partition")
    }

    /// Lets somebody sign in by SCRAM-SHA-512.
    pub(crate) fn create_user(&self, name: &str, password: &str) {
        self.ask("", "user", json!({"name": name, "password": password}));
    }

    /// Sends records as [`produce`](Self::produce) does, in a transaction that is committed, or aborted.
    pub(crate) fn transact(&self, topic: &str, records: Vec<Value>, committed: bool) {
        let end = if committed { "commit" } else { "abort" };
        self.ask(topic, "commit", json!({"records": records, "end": end}));
    }

    /// Sends records as [`produce`](Self::produce) does, in a transaction that nobody ends; after
    /// `timeout` the broker aborts it.
    pub(crate) fn hang(&self, topic: &str, records: Vec<Value>, timeout: Duration) {
        let timeout_ms = timeout.as_millis() as u64;
        self.ask(topic, "hang", json!({"records": records, "timeout_ms": timeout_ms}));
    }

    /// Sends records in this order: `{"value", "partition", "timestamp_ms", "key", "headers"}`, all but
    /// the value optional; bytes that are no UTF-8 as `{"hex": "ff00"}`.
    pub(crate) fn produce(&self, topic: &str, records: Vec<Value>) {
        self.ask(topic, "produce", json!({"records": records}));
    }

    /// All records up to the present end of the topic, in the form of [`produce`](Self::produce) with
    /// `offset`; ordered within each partition only.
    pub(crate) fn records(&self, topic: &str) -> Vec<Value> {
        self.consume(topic, None, PATIENCE)
    }

    /// Waits until the topic holds at least `count` records and returns what it read by then.
    pub(crate) fn wait_for_records(
        &self,
        topic: &str,
        count: usize,
        within: Duration,
    ) -> Vec<Value> {
        self.consume(topic, Some(count), within)
    }

    fn consume(&self, topic: &str, count: Option<usize>, within: Duration) -> Vec<Value> {
        let wanted = json!({"count": count, "within_s": within.as_secs_f64()});
        match self.ask(topic, "consume", wanted) {
            Value::Array(records) => records,
            other => panic!("no list of records: {other}"),
        }
    }

    /// Has `tests/rig/kafka_client.py` do one thing: a client of its own, so that reading and writing
    /// are tested against another implementation's idea of the same records.
    fn ask(&self, topic: &str, what: &str, mut request: Value) -> Value {
        request["bootstrap"] = json!(self.bootstrap);
        request["topic"] = json!(topic);
        request["do"] = json!(what);
        python::run("kafka_client.py", &request)
            .expect("a broker comes with the Python environment")
    }
}

fn try_start(jars: &Path) -> Result<Kafka, Vec<String>> {
    try_start_on(jars, Path::new("."), (super::free_port(), super::free_port()))
}

/// Without an absolute path the data belongs to the server and goes with it.
fn try_start_on(jars: &Path, data: &Path, ports: (u16, u16)) -> Result<Kafka, Vec<String>> {
    let (port, controller_port) = ports;
    let arguments = [
        jars.as_os_str().to_owned(),
        port.to_string().into(),
        controller_port.to_string().into(),
        data.as_os_str().to_owned(),
    ];
    let script = super::rig_folder().join("kafka.sh");
    let server = Supervised::start(&super::server_folder("kafka"), &script, &arguments);
    server.try_wait_for(PATIENCE, |lines| {
        lines.iter().any(|line| line.contains("Kafka Server started")).then_some(())
    })?;
    let bootstrap = format!("127.0.0.1:{port}");
    std::net::TcpStream::connect(&bootstrap).map_err(|error| vec![error.to_string()])?;
    Ok(Kafka { server: Some(server), bootstrap, replicas: 1 })
}
