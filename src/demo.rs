//! `driftline demo`: nine months of real flights through the whole service, on an embedded broker.
//!
//! The champion scores every departure as a serving system would, the captures go through the
//! broker into the same [`Monitor`] that `driftline run` drives, and the terminal tells what it
//! found. Data and models are embedded, so it runs from any folder.

mod flights;
mod job;
mod quality;
mod story;
mod traffic;

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use driftline_analytics::report::Ledger;
use driftline_config::time::parse_instant_us;
use driftline_config::{Config, hex, sha256_hex};
use driftline_ingest::EmbeddedBroker;
use driftline_shadow::Runtime;
use serde_json::json;

use crate::libraries;
use crate::monitor::{Monitor, Options};
use crate::signals::stop_on_signal;
use job::TrainingJob;
use story::Story;
use traffic::{Pace, Speed, Traffic};

const TOPIC: &str = "flights.captures";
/// Its partitions: the embedded broker keeps 5 MiB of each.
const PARTITIONS: i32 = 6;
/// Event time (RFC 3339) up to which `recent` was trained: the end of the rows that the first
/// retraining request of the replay names. A test holds the two together.
const RECENT_UNTIL: &str = "2013-07-15T00:00:00Z";
/// How long the end waits for messages that are on their way.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = include_str!("../examples/flights/driftline.yaml");
const BASELINE: &[u8] = include_bytes!("../examples/flights/baseline.json");
const CHAMPION: &[u8] = include_bytes!("../examples/flights/champion.onnx");
const SPRING: &[u8] = include_bytes!("../examples/flights/spring.onnx");
const RECENT: &[u8] = include_bytes!("../examples/flights/recent.onnx");

/// Runs the demo.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Replay nine months of real flights through the whole service",
    after_help = "Examples:\n  driftline demo\n  driftline demo --speed 7d --port 9464"
)]
pub(crate) struct DemoArgs {
    /// How many times faster than it happened, such as 1x or 100000x, or "max"
    #[arg(long, value_name = "N|max", default_value = "max", value_parser = traffic::parse_speed)]
    pub(crate) speed: Speed,
    /// Leave off at this instant of 2013 (RFC 3339), as it looked then; the page stays up
    #[arg(long, value_name = "T", value_parser = parse_instant_us)]
    pub(crate) until: Option<i64>,
    /// End after the replay, with its sums as the last line on stdout
    #[arg(long)]
    pub(crate) exit_after_replay: bool,
    /// Port of the page and the API; any free one by default when ending after the replay
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// The ONNX Runtime library, where it is not found by itself
    #[arg(long, value_name = "FILE")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Keep state, mails and configuration in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// How far reading has come, for the producer: it never outruns what the broker keeps.
#[derive(Debug, Default)]
struct ReadSoFar {
    records: AtomicU64,
    waiting_for_candidates: AtomicU64,
}

/// The running service, what feeds it, and what is told of it.
struct Replaying {
    monitor: Monitor,
    traffic: Traffic,
    job: TrainingJob,
    story: Story,
    read: Arc<ReadSoFar>,
    /// Since when everything that was produced has been read.
    all_read: Option<Instant>,
}

/// Runs the command: 0 where the replay was told to its end.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let libraries = libraries::paths(args.onnxruntime.as_deref());
    let runtime = Runtime::load(&libraries).context(
        "the demo scores real models and needs ONNX Runtime: run `make setup`, or name the library \
         with --onnxruntime",
    )?;
    let temporary = tempfile::tempdir().context("no temporary folder")?;
    let folder = args.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let job = TrainingJob::start()?;
    let broker = EmbeddedBroker::start()?;
    broker.create_topic(TOPIC, PARTITIONS)?;
    broker.create_topic("driftline.reports", 1)?;
    let port = args.port.unwrap_or(if args.exit_after_replay { 0 } else { 9464 });
    let listener = TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("port {port} cannot be bound; choose another with --port"))?;
    let filled = Filled {
        bootstrap: broker.bootstrap(),
        port: listener.local_addr().context("the listener has no address")?.port(),
        token: &token()?,
        job: &job,
    };
    let config = lay_out(&folder, &filled)?;

    let listener = Some(listener);
    let options = Options { onnxruntime: libraries, listener, ..Options::default() };
    let mut monitor = Monitor::build(&config, options)?;
    let story = Story::new(args.exit_after_replay);
    story.begin(monitor.address(), filled.token, &folder);
    monitor.start()?;

    let read = Arc::new(ReadSoFar::default());
    let pace = Pace { speed: args.speed, until_us: args.until.unwrap_or(i64::MAX) };
    let traffic = Traffic::start(broker.bootstrap(), &runtime, pace, Arc::clone(&read))?;
    let mut replay = Replaying { monitor, traffic, job, story, read, all_read: None };
    let stop = stop_on_signal()?;
    while !stop.load(Ordering::Relaxed) {
        let told = replay.turn()?;
        if told && args.exit_after_replay {
            break;
        }
    }
    let sums = replay.sums();
    replay.traffic.stop()?;
    replay.monitor.finish(&mut |_| {})?;
    if args.exit_after_replay {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{sums}").context("stdout")?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Replaying {
    /// One turn of the service; says whether the replay was told to its end.
    fn turn(&mut self) -> anyhow::Result<bool> {
        self.monitor.turn()?;
        self.monitor.take_notices().iter().for_each(|notice| self.story.tell(notice));
        let topics = self.monitor.pipeline().topics();
        let read = topics.map(|(_, _, facts)| facts.ledger.total().read).sum();
        self.read.records.store(read, Ordering::Relaxed);
        self.read.waiting_for_candidates.store(self.monitor.shadow_queued(), Ordering::Relaxed);
        self.tell_requests();
        if self.all_read.is_none() && self.traffic.is_finished() && read >= self.traffic.produced()
        {
            self.all_read = Some(Instant::now());
        }
        let Some(since) = self.all_read else { return Ok(false) };
        if !self.story.is_over() {
            self.monitor.hurry();
        }
        let settled = self.monitor.is_settled() && self.monitor.pipeline().outbox_open() == 0;
        if !settled && since.elapsed() <= PATIENCE {
            return Ok(false);
        }
        if !self.story.is_over() {
            self.tell_requests();
            self.story.end(self.traffic.quality(), self.monitor.shadow_rows());
        }
        Ok(true)
    }

    fn tell_requests(&mut self) {
        for request in self.job.take_requests() {
            self.story.requested(&request);
        }
    }

    fn sums(&self) -> serde_json::Value {
        let mut ledger = Ledger::default();
        for (_, _, facts) in self.monitor.pipeline().topics() {
            ledger += facts.ledger.total();
        }
        json!({
            "windows": self.story.windows(),
            "alarms": self.story.alarms(),
            "mails": self.story.mails(),
            "webhooks": self.story.webhooks(),
            "shadow_rows": self.monitor.shadow_rows(),
            "ledger": ledger,
        })
    }
}

/// What the demo fills into its configuration.
struct Filled<'a> {
    bootstrap: &'a str,
    port: u16,
    token: &'a str,
    job: &'a TrainingJob,
}

/// A token of this run: whoever can read the terminal may write.
fn token() -> anyhow::Result<String> {
    let mut bytes = [0; 12];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| anyhow!("no random numbers"))?;
    Ok(hex(&bytes))
}

/// Writes the configuration and everything it names into the folder, and reads it as an operator's.
fn lay_out(folder: &Path, filled: &Filled<'_>) -> anyhow::Result<Config> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let values: [(&str, String); 8] = [
        ("DEMO_BOOTSTRAP", filled.bootstrap.to_owned()),
        ("DEMO_LISTEN", format!("127.0.0.1:{}", filled.port)),
        ("DEMO_TOKEN", filled.token.to_owned()),
        ("DEMO_SPRING_SHA256", sha256_hex(SPRING)),
        ("DEMO_RECENT_SHA256", sha256_hex(RECENT)),
        ("DEMO_RECENT_UNTIL", RECENT_UNTIL.to_owned()),
        ("DEMO_WEBHOOK", filled.job.url().to_owned()),
        ("DEMO_SECRET", filled.job.secret().to_owned()),
    ];
    // Filled in and not left to the environment: the commands that mails print read it as it stands.
    let mut config = CONFIG.to_owned();
    for (name, value) in values {
        config = config.replace(&format!("${{{name}}}"), &value);
    }
    let files: [(&str, &[u8]); 4] = [
        ("driftline.yaml", config.as_bytes()),
        ("baseline.json", BASELINE),
        ("spring.onnx", SPRING),
        ("recent.onnx", RECENT),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    let path = folder.join("driftline.yaml");
    let path = std::path::absolute(&path).unwrap_or(path);
    match Config::load(&path, &|_| None) {
        Ok(config) => Ok(config),
        Err(problems) => bail!("the demo's configuration: {problems}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mails of the demo print a command that reads its configuration, and that held variables which nobody
    /// else could know.
    #[test]
    fn the_commands_that_the_demo_prints_can_read_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let job = TrainingJob::start().unwrap();
        let filled = Filled { bootstrap: "127.0.0.1:9092", port: 9464, token: "token", job: &job };
        let config = lay_out(folder.path(), &filled).unwrap();
        assert!(config.path.is_absolute());
        let read = Config::load(&config.path, &|_| None).unwrap();
        assert_eq!(read.kafka.bootstrap, "127.0.0.1:9092");
    }
}
