//! The built binary as a service: started, asked, killed and started again on the same folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;

use super::{PATIENCE, Supervised, http};

/// How often a question is repeated while its answer is awaited.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A running `driftline run`, killed when dropped.
pub(crate) struct Service {
    process: Supervised,
    id: String,
    base: String,
}

/// The binary under test: the one that Cargo built, or the optimised one that `DRIFTLINE_TEST_BINARY`
/// names.
fn binary() -> PathBuf {
    let chosen = env::var_os("DRIFTLINE_TEST_BINARY");
    chosen.map_or_else(|| env!("CARGO_BIN_EXE_driftline").into(), PathBuf::from)
}

/// The binary under test, to be run as a command.
pub(crate) fn driftline() -> Command {
    Command::new(binary())
}

/// Starts the binary with these arguments after these commands of a shell: its process, and the id of it.
fn begin(commands: &str, arguments: &[&Path]) -> (Supervised, String) {
    // The shell becomes the service, so that its own id is the one to kill.
    let line = format!("echo \"id $$\"; {commands} exec \"$0\" \"$@\"");
    let binary = binary();
    let shell = [Path::new("-c"), Path::new(&line), &binary];
    let arguments = [&shell[..], arguments].concat();
    let folder = super::server_folder("service");
    let process = Supervised::start(&folder, Path::new("/bin/sh"), &arguments);
    let id = process.wait_for(PATIENCE, "process id", |lines| {
        Some(lines.first()?.strip_prefix("id ")?.to_owned())
    });
    (process, id)
}

/// Runs a command to its end: exit code, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the built binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("commands print UTF-8");
    (status.code(), text(stdout), text(stderr))
}

impl Service {
    /// Starts the service, which listens on 127.0.0.1:`port` by its configuration, and waits until it
    /// answers.
    pub(crate) fn start(config: &Path, port: u16) -> Service {
        let service = Service::spawn(config, port);
        service.wait_until("to answer", |service| service.try_get("/livez"));
        service
    }

    /// Starts the service and waits for nothing but its process.
    pub(crate) fn spawn(config: &Path, port: u16) -> Service {
        Service::spawn_after(config, port, "")
    }

    /// The same, after these commands of a shell, which end with a semicolon.
    pub(crate) fn spawn_after(config: &Path, port: u16, commands: &str) -> Service {
        let (process, id) = begin(commands, &["run".as_ref(), "--config".as_ref(), config]);
        Service { process, id, base: format!("http://127.0.0.1:{port}") }
    }

    /// Starts the demo at its highest speed, at an address of its choice; it stays after the replay.
    pub(crate) fn demo(onnx_runtime: &Path) -> Service {
        let arguments = ["demo", "--speed", "max", "--port", "0", "--onnxruntime"].map(Path::new);
        let (process, id) = begin("", &[&arguments[..], &[onnx_runtime]].concat());
        let base = process.wait_for(PATIENCE, "address", |lines| {
            let address = lines.iter().find_map(|line| line.strip_prefix("Page and API: "))?;
            Some(address.split_once("/ ")?.0.to_owned())
        });
        Service { process, id, base }
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        let port = self.base.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.expect("the address ends with a port")
    }

    /// Ends the process as a power failure would.
    pub(crate) fn kill(self) {
        self.signal("-KILL");
        self.process.wait_for_end(PATIENCE);
    }

    /// Asks the process to stop and waits until it has.
    pub(crate) fn stop(self) {
        self.signal("-TERM");
        self.process.wait_for_end(PATIENCE);
    }

    /// Whether the process ends by itself within `patience`; where it does not, it is killed.
    pub(crate) fn ends_by_itself(self, patience: Duration) -> bool {
        let _ = self.process.try_wait_for(patience, |_| None::<()>);
        // Output that ends is the end of the process; lines alone are not.
        if self.process.has_ended() {
            return true;
        }
        // It may end just now, and then nobody has the id: `kill` said "No such process" here, and the
        // test failed.
        let _ = Command::new("kill").args(["-KILL", &self.id]).status();
        self.process.wait_for_end(PATIENCE);
        false
    }

    /// Waits until the process has ended by itself, and returns what it printed.
    pub(crate) fn wait_for_last_words(self) -> String {
        self.process.try_wait_for(PATIENCE, |_| None::<()>).unwrap_err().join("\n")
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        1024 * kilobytes.expect("the kernel tells it")
    }

    /// The ids of the processes that score its candidates.
    pub(crate) fn scoring(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id)).expect("it runs");
        let children = |task: std::io::Result<fs::DirEntry>| {
            fs::read_to_string(task.ok()?.path().join("children")).ok()
        };
        let all: String = tasks.filter_map(children).collect();
        all.split_whitespace().map(str::to_owned).collect()
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.id]).status().expect("kill runs");
        assert!(status.success(), "kill {signal} {}: {status}", self.id);
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The body of a GET, where the service answers with 200.
    pub(crate) fn try_get(&self, path: &str) -> Option<String> {
        let answer = http::get(&self.url(path)).ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// The body of a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        match http::get(&self.url(path)) {
            Ok(answer) if answer.status == 200 => answer.body,
            other => self.fail(&format!("no 200 for {path}: {other:?}")),
        }
    }

    /// The body of a GET as JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).expect("the API answers JSON")
    }

    /// What the ledger says of a topic; null while it says nothing.
    pub(crate) fn ledger(&self, topic: &str) -> Value {
        let ledger = self.try_get("/api/v1/ledger").unwrap_or_default();
        let ledger: Value = serde_json::from_str(&ledger).unwrap_or_default();
        ledger["topics"][topic].clone()
    }

    /// Waits until the ledger of a topic has read `records`, and returns it.
    pub(crate) fn wait_for_ledger(&self, topic: &str, records: u64) -> Value {
        self.wait_until(&format!("to read {records} records"), |service| {
            let ledger = service.ledger(topic);
            (ledger["total"]["read"].as_u64() >= Some(records)).then_some(ledger)
        })
    }

    /// What `/readyz` says of one check; `None` while it is well or not there.
    pub(crate) fn trouble(&self, check: &str) -> Option<String> {
        let answer = http::get(&self.url("/readyz")).ok()?.body;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        let named = |found: &&Value| found["name"] == check && found["state"] != "ok";
        let found = answer["checks"].as_array()?.iter().find(named)?;
        found["says"].as_str().map(str::to_owned)
    }

    /// Waits until `/readyz` says something of a check that is not well.
    pub(crate) fn wait_for_trouble(&self, check: &str) -> String {
        self.wait_until(&format!("to say that {check} is in trouble"), |service| {
            service.trouble(check)
        })
    }

    /// Waits until every check of `/readyz` is well.
    pub(crate) fn wait_for_calm(&self) {
        self.wait_until("to be well", |service| {
            let answer: Value = serde_json::from_str(&service.try_get("/readyz")?).ok()?;
            let none = |key: &str| answer[key].as_array().is_some_and(Vec::is_empty);
            (none("failed") && none("degraded")).then_some(())
        });
    }

    /// The value of one series of `/metrics`, written as there: `name{label="value"}`.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.try_get("/metrics")?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line?.parse().ok()
    }

    /// Waits until the API has reports of `windows` windows of a model; oldest first.
    pub(crate) fn wait_for_reports(&self, model: &str, windows: usize) -> Vec<Value> {
        self.wait_until(&format!("to report {windows} windows of {model}"), |service| {
            let reports = service.try_get(&format!("/api/v1/models/{model}/reports?limit=500"))?;
            let reports: Vec<Value> = serde_json::from_str(&reports).expect("an array");
            (reports.len() >= windows).then_some(reports)
        })
    }

    /// Waits until nothing that was decided on waits for a receiver.
    pub(crate) fn wait_for_an_empty_outbox(&self) {
        // Those of a moment ago may not know of it yet.
        self.wait_for_gauges(2);
        self.wait_until("to deliver every message", |service| {
            let metrics = service.try_get("/metrics")?;
            // Reports that were handed over wait for their topic in a queue of their own: while nobody
            // awaited that one, a test read the topic before the last report was in it.
            let mut pending = metrics.lines().filter(|line| {
                line.starts_with("driftline_outbox_pending{")
                    || line.starts_with("driftline_queue_depth{queue=\"outbox\"}")
                    || line.starts_with("driftline_queue_depth{queue=\"reports\"}")
            });
            pending.all(|line| line.ends_with(" 0")).then_some(())
        });
    }

    /// Waits until the gauges were set so many times: together, twice a second, and later where the
    /// machine is busy.
    pub(crate) fn wait_for_gauges(&self, times: usize) {
        let age = |service: &Service| {
            let metrics = service.try_get("/metrics")?;
            let mut lines = metrics.lines();
            lines.find(|line| line.starts_with("driftline_checkpoint_age")).map(str::to_owned)
        };
        for _ in 0..times {
            let before = age(self);
            self.wait_until("to set its gauges", |service| (age(service) != before).then_some(()));
        }
    }

    /// Repeats a question until it has an answer.
    pub(crate) fn wait_until<T>(&self, what: &str, ask: impl Fn(&Service) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if Instant::now() > deadline || self.process.has_ended() {
                self.fail(&format!("we waited for it {what}"));
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// What the service has printed so far.
    pub(crate) fn said(&self) -> String {
        self.process.try_wait_for(Duration::ZERO, |_| None::<()>).unwrap_err().join("\n")
    }

    /// Panics with what the service said.
    fn fail(&self, what: &str) -> ! {
        let now = Duration::ZERO;
        let lines = self.process.try_wait_for(now, |_| None::<()>).unwrap_err();
        let tail = lines[lines.len().saturating_sub(30)..].join("\n");
        let state = self.try_get("/readyz").unwrap_or_else(|| "no answer".to_owned());
        let ledger = self.try_get("/api/v1/ledger").unwrap_or_default();
        panic!("{what}; ready: {state}; ledger: {ledger}; the service printed:\n{tail}")
    }
}
