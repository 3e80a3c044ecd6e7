//! The running service: every part built from the configuration, and the one loop that drives them.
//!
//! The loop carries events to the [`Pipeline`] and its effects to the parts. All of it stops in
//! order: readers first, then what was read is decided on and committed, then deliveries.

mod board;
mod candidates;
mod clocks;
mod intake;
mod limits;
mod newest;
mod outgoing;
pub(crate) mod prune;
mod publisher;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use driftline_alerting::Rules;
use driftline_alerting::repeat::RepeatRules;
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::Report;
use driftline_config::Config;
use driftline_ingest::Reason;

use crate::checkpoint::{Committed, LOCK_WAIT, Store, Writer};
use crate::clock::now_us;
use crate::delivery::{Attempt, Delivery};
use crate::faults::{Faults, Place};
use crate::http::{self, Board, Command, Tls};
use crate::illustration;
use crate::judge::Judge;
use crate::messages::Messages;
use crate::metrics::{Gauge, Metrics};
use crate::pipeline::gate::Gate;
use crate::pipeline::unit::Unit;
use crate::pipeline::{Effect, Event, Pipeline, Settings};
use crate::setup::{BaselineFiles, Setup};
use board::{Readiness, Surroundings};
use candidates::Candidates;
use clocks::{Clocks, TURN};
use intake::Intake;
use limits::Counted;
use newest::Newest;
use outgoing::Outgoing;
use prune::Pruner;
use publisher::Publisher;

pub use candidates::ShadowRecord;

/// Read events that are handled before the loop looks at everything else.
const READS_PER_TURN: usize = 32;
/// How often the pipeline is told that time went on.
const TICK: Duration = Duration::from_millis(500);
/// How often readers of the board see something new.
const BOARD_EVERY: Duration = Duration::from_millis(500);
/// How often old reports are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Commands of people that wait for the loop.
const COMMANDS: usize = 64;
/// How long the end waits for windows that are being judged and committed.
const SETTLE: Duration = Duration::from_secs(30);

/// What is decided once per process.
#[derive(Debug, Default)]
pub struct Options {
    /// Start from an empty store: the old one is moved aside, reading begins at the first rows of the
    /// windows that were open in it.
    pub rebuild: bool,
    /// Where ONNX Runtime may be, in the order of trying.
    pub onnxruntime: Vec<PathBuf>,
    /// A listener that is bound already; else the configuration's address is bound.
    pub listener: Option<TcpListener>,
    /// Where the process dies, in tests.
    pub faults: Faults,
}

/// Something that may be shown: it is in the store.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A window was judged.
    Report(&'a Report),
    /// Retraining was requested.
    Request(&'a RetrainRequest),
    /// A message was attempted.
    Attempt(&'a Attempt),
    /// Candidates were compared over a window.
    Shadow(&'a ShadowRecord),
}

/// The service.
pub struct Monitor {
    pipeline: Pipeline,
    intake: Intake,
    judge: Judge,
    writer: Writer,
    /// A snapshot that waits for dead letters to arrive.
    gate: Gate,
    faults: Faults,
    candidates: Candidates,
    outgoing: Outgoing,
    receivers: Vec<String>,
    commands: Receiver<Command>,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    readiness: Readiness,
    newest: Newest,
    pruner: Pruner,
    clocks: Clocks,
    limits: Counted,
    /// Somebody cannot wait for the next regular snapshot.
    hurried: bool,
    /// Too many closed windows wait for judge and store.
    held_back: bool,
    runtime: tokio::runtime::Runtime,
    address: std::net::SocketAddr,
    http_stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Monitor {
    /// Builds every part. Nothing is read yet.
    ///
    /// # Errors
    /// One sentence: what cannot be used, and what to do.
    pub fn build(config: &Config, options: Options) -> anyhow::Result<Monitor> {
        let units_of_topics = Intake::topics(config);
        let mut units = Vec::new();
        let mut files = BaselineFiles::default();
        files.read_ahead(&config.models);
        for model in &config.models {
            let setup = Arc::new(Setup::load_from(&mut files, model, &config.limits)?);
            let topic = units_of_topics.iter().position(|topic| *topic == model.captures.topic);
            units.push(Unit::new(setup, topic.unwrap_or(0), now_us()));
        }
        let listener = match options.listener {
            Some(listener) => listener,
            None => bind(&config.http.listen)?,
        };
        let address = listener.local_addr().context("the HTTP listener has no address")?;
        let tls = config.http.tls.as_ref().map(Tls::load).transpose()?;
        let store = Arc::new(Store::open(&config.state, LOCK_WAIT, options.rebuild)?);
        let saved = store.load(&|sha256| files.know(sha256))?;
        options.faults.pass(Place::Restart);
        let settings = Settings {
            rules: Rules::new(&config.alerts),
            repeats: RepeatRules::new(&config.alerts),
            messages: Messages::new(config, Intake::retention(config, &units_of_topics)),
            open_windows_limit: config.limits.open_windows,
            outbox_limit: config.limits.outbox,
        };
        let mut pipeline = Pipeline::new(settings, units_of_topics, units);
        let effects = pipeline.restore(&saved, &config.limits)?;
        drop((saved, files));
        pipeline.let_go_of_files();
        if options.rebuild {
            begin_again(&mut pipeline, &store)?;
        }

        let rejections: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let metrics = Arc::new(Metrics::new(config, &rejections));
        for (topic, facts) in pipeline.topics() {
            metrics.begin(topic, &facts.ledger);
        }
        let limits = Counted::begin(&pipeline);
        metrics.limit_reached("categories", limits::columns_of_too_many_values(pipeline.units()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("edge")
            .enable_all()
            .build()
            .context("the operating system refuses threads")?;
        let delivery = {
            let _inside = runtime.enter();
            let illustrate = illustration::from_store(Arc::clone(&store));
            Delivery::start(runtime.handle(), &config.receivers, illustrate)?
        };
        delivery.silence(pipeline.silences());
        let intake = Intake::prepare(config, &pipeline)?;
        let publisher = intake.report_producer(config)?.map(Publisher::start).transpose()?;
        let candidates = Candidates::start(pipeline.units(), options.onnxruntime, &config.limits);
        let (requests, commands) = sync_channel(COMMANDS);
        let board =
            Arc::new(Board::new(config, Arc::clone(&store), Arc::clone(&metrics), requests));
        let (http_stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = http::serve((listener, tls), Arc::clone(&board), async move {
            let _ = stopped.await;
        });
        let (keep_us, most_bytes) = (config.reports.keep_us, config.limits.report_bytes);
        let pruner = Pruner::new(Arc::clone(&store), keep_us, most_bytes);
        let names = config.models.iter().map(|model| model.name.clone());
        let newest = Newest::read(Arc::clone(&store), names.collect())?;
        let mut readiness = Readiness::default();
        readiness.restore(&store)?;
        let mut monitor = Monitor {
            pipeline,
            intake,
            judge: Judge::start()?,
            writer: Writer::start(Arc::clone(&store), options.faults.clone())?,
            faults: options.faults,
            gate: Gate::default(),
            candidates,
            outgoing: Outgoing::new(delivery, publisher),
            receivers: config.receivers.iter().map(|receiver| receiver.name.clone()).collect(),
            commands,
            metrics,
            board,
            readiness,
            newest,
            pruner,
            clocks: Clocks::begin(Instant::now()),
            limits,
            hurried: false,
            held_back: false,
            runtime,
            address,
            http_stop: Some(http_stop),
        };
        monitor.carry_out(effects, &mut |_| {});
        // Whoever asks meanwhile waits: nobody is told that a configured model is unknown.
        monitor.publish();
        monitor.runtime.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
        Ok(monitor)
    }

    /// Where HTTP is served.
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// The pipeline's state, for those who show it.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Rows that candidates and champion both answered.
    pub fn shadow_rows(&self) -> u64 {
        self.candidates.paired()
    }

    /// The largest number of rows that wait for a candidate.
    pub fn shadow_queued(&self) -> u64 {
        self.candidates.queued()
    }

    /// Messages that are decided on and not delivered.
    pub fn outbox_open(&self) -> u64 {
        self.pipeline.outbox_open()
    }

    /// Whether nothing that was read waits for a decision, a commit or a candidate.
    pub fn is_settled(&self) -> bool {
        self.gate.is_empty() && self.pipeline.is_settled() && self.candidates.is_settled()
    }

    /// Takes the next snapshot at once instead of in its time.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Starts reading and runs until `stop` is set. Everything that may be shown is shown to `watch`.
    ///
    /// # Errors
    /// The checkpoint cannot be written, or reading cannot start.
    pub fn run(
        mut self,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Notice<'_>),
    ) -> anyhow::Result<()> {
        self.start()?;
        while !stop.load(Ordering::Relaxed) {
            self.turn(watch)?;
        }
        self.finish(watch)
    }

    /// Starts reading where the checkpoint ends.
    ///
    /// # Errors
    /// librdkafka refuses a property, or the operating system a thread.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.intake.start(&self.pipeline)?;
        Ok(())
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// The checkpoint cannot be written.
    pub fn turn(&mut self, watch: &mut dyn FnMut(&Notice<'_>)) -> anyhow::Result<()> {
        if self.is_held_back() {
            self.hear(TURN, watch);
            return self.attend(watch);
        }
        let mut wait = self.clocks.turn(Instant::now());
        for _ in 0..READS_PER_TURN {
            let Some(read) = self.intake.next(wait)? else { break };
            wait = Duration::ZERO;
            if matches!(read, driftline_ingest::Event::Chunk(_)) {
                self.faults.pass(Place::AfterPoll);
            }
            self.readiness.note(&read, self.pipeline.topics());
            if let driftline_ingest::Event::Trouble { message, fatal: true, .. } = &read {
                anyhow::bail!("{message}");
            }
            self.intake.measure(&read, &self.pipeline, &self.metrics);
            self.feed(Event::Read(read), watch);
            self.hear(Duration::ZERO, watch);
        }
        self.attend(watch)
    }

    /// Stops reading, decides on and commits what was read, and ends every part.
    ///
    /// # Errors
    /// The checkpoint cannot be written.
    pub fn finish(mut self, watch: &mut dyn FnMut(&Notice<'_>)) -> anyhow::Result<()> {
        self.intake.stop();
        self.judge.hurry(true);
        let deadline = Instant::now() + SETTLE;
        while !(self.gate.is_empty() && self.pipeline.is_settled()) && Instant::now() < deadline {
            self.hurried = true;
            self.attend(watch)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(stop) = self.http_stop.take() {
            let _ = stop.send(());
        }
        self.outgoing.delivery.stop(self.runtime.handle());
        self.attend(watch)?;
        if let Some(outcome) = self.writer.wait() {
            outcome?;
        }
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        Ok(())
    }

    /// Takes the verdicts that are ready, and waits for one of them; the judge gets what it has room for.
    fn hear(&mut self, wait: Duration, watch: &mut dyn FnMut(&Notice<'_>)) {
        let mut next = self.judge.next(wait);
        while let Some(verdict) = next {
            self.feed(Event::Judged(Box::new(verdict)), watch);
            next = self.judge.next(Duration::ZERO);
        }
        self.judge.hand_over(Instant::now());
    }

    /// Everything but reading.
    fn attend(&mut self, watch: &mut dyn FnMut(&Notice<'_>)) -> anyhow::Result<()> {
        self.hear(Duration::ZERO, watch);
        if let Some(outcome) = self.writer.poll() {
            self.clocks.committed = Instant::now();
            let committed = outcome?;
            self.intake.commit(self.gate.released());
            self.feed(Event::Committed(committed), watch);
            self.pipeline.let_go_of_files();
        }
        for sequence in self.outgoing.take_done() {
            self.faults.pass(Place::AfterSend);
            self.feed(Event::Done { sequence }, watch);
        }
        for attempt in self.outgoing.delivery.take_attempts() {
            self.metrics.notification(&attempt.receipt.receiver, attempt.outcome());
            watch(&Notice::Attempt(&attempt));
            // What an Alertmanager is told again and again would push everything else out.
            if !attempt.again {
                let (number, receipt) = self.readiness.attempted(&attempt);
                self.feed(Event::Attempted { number, receipt }, watch);
            }
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command, watch);
        }
        for (start_us, record) in self.candidates.take_records(&self.metrics) {
            watch(&Notice::Shadow(&record));
            if let Some(json) = record.to_json() {
                self.feed(Event::Scored { model: record.model, start_us, record: json }, watch);
            }
        }
        for report in self.newest.take() {
            self.show_again(&report);
        }
        self.outgoing.hand_over();
        if self.clocks.tick.elapsed() >= TICK {
            self.clocks.tick = Instant::now();
            self.check_threads()?;
            for (unit, candidate, problem) in self.candidates.take_changes() {
                self.feed(Event::Candidate { unit, candidate, problem }, watch);
            }
            let trouble = self.intake.dead_letter_trouble();
            self.feed(Event::DeadLetters { trouble }, watch);
            self.feed(Event::Tick, watch);
        }
        self.snapshot();
        self.show()?;
        Ok(())
    }

    /// Without its threads the service would look alive and do nothing.
    fn check_threads(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.judge.has_ended(), thread_ended("judge"));
        anyhow::ensure!(!self.writer.has_ended(), thread_ended("checkpoint"));
        Ok(())
    }

    fn feed(&mut self, event: Event, watch: &mut dyn FnMut(&Notice<'_>)) {
        let regular = matches!(event, Event::Tick | Event::DeadLetters { .. });
        let effects = self.pipeline.handle(event, now_us());
        if !regular || !effects.is_empty() {
            self.clocks.stirred = Instant::now();
        }
        self.carry_out(effects, watch);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, watch: &mut dyn FnMut(&Notice<'_>)) {
        for effect in effects {
            match effect {
                Effect::Judge(job) => self.judge.submit(job, Instant::now()),
                Effect::Offer { unit, start_us, rows, indices } => {
                    self.candidates.offer(unit, start_us, &rows, &indices);
                }
                Effect::CarryShadow { unit, from_us, into_us } => {
                    self.candidates.carry(unit, from_us, into_us);
                }
                Effect::CloseShadow { unit, start_us, id } => {
                    self.candidates.close(unit, start_us, &id);
                }
                Effect::Align(change) => self.intake.align(change),
                Effect::Horizon { topic, horizon_us } => {
                    self.intake.set_horizon(topic, horizon_us);
                }
                Effect::Published(report) => {
                    self.metrics.report(&report);
                    let unit = self.pipeline.unit(&report.model);
                    let lateness_us = unit.map_or(0, |unit| unit.setup.model.window.lateness_us);
                    self.readiness.reported(&report, lateness_us, now_us());
                    watch(&Notice::Report(&report));
                }
                Effect::Requested(request) => watch(&Notice::Request(&request)),
                Effect::Deliver(item) => {
                    self.faults.pass(Place::BeforeSend);
                    self.outgoing.push(item);
                }
            }
        }
    }

    fn obey(&mut self, command: Command, watch: &mut dyn FnMut(&Notice<'_>)) {
        let event = match command {
            Command::Accept { incident, acceptance } => Event::Accept { incident, acceptance },
            Command::Silence(silence) => Event::Silence(silence),
        };
        self.feed(event, watch);
        self.outgoing.delivery.silence(self.pipeline.silences());
    }

    /// Takes a snapshot when one is due, and writes it once every dead letter in it has arrived.
    fn snapshot(&mut self) {
        let (now, wanted) = (Instant::now(), self.pipeline.wants_snapshot());
        let due = self.clocks.snapshot_is_due(now, wanted, self.judge.is_crowded());
        if self.gate.is_empty() && (self.hurried || due) && !self.writer.is_busy() {
            self.hurried = false;
            self.clocks.snapshot = now;
            match self.pipeline.snapshot() {
                Some(snapshot) => self.gate.hold(snapshot, self.pipeline.positions()),
                // What is in the store is all there is.
                None => self.clocks.committed = Instant::now(),
            }
        }
        if !self.writer.is_busy() {
            let intake = &self.intake;
            let arriving = |topic, partition| intake.unacknowledged(topic, partition);
            if let Some(snapshot) = self.gate.release(&arriving) {
                self.writer.write(snapshot);
            }
        }
    }

    fn show(&mut self) -> anyhow::Result<()> {
        if self.clocks.board.elapsed() >= BOARD_EVERY {
            self.clocks.board = Instant::now();
            let age_us = i64::try_from(self.clocks.committed.elapsed().as_micros()).unwrap_or(0);
            self.metrics.set(Gauge::CheckpointAge { age_us });
            self.show_queues();
            self.show_pending();
            self.show_limits();
            self.publish();
        }
        if self.clocks.prune.elapsed() >= PRUNE_EVERY {
            self.clocks.prune = Instant::now();
            self.pruner.begin(now_us(), self.pipeline.unused_names())?;
        }
        if let Some(pruned) = self.pruner.take()? {
            if pruned.reports > 0 {
                self.metrics.limit_reached("report_bytes", pruned.reports);
            }
            self.pipeline.forget_names(&pruned.names);
        }
        Ok(())
    }

    /// Shows readers of the board what stands now.
    fn publish(&mut self) {
        let lag = self.intake.lag(&self.pipeline, &self.metrics);
        let (dead_letters, trouble) = self.intake.dead_letters();
        let candidates = self.candidates.statuses();
        let outgoing = self.outgoing.check();
        let surroundings = Surroundings { candidates, dead_letters, trouble, lag, outgoing };
        self.board.publish(self.readiness.live(&self.pipeline, &self.metrics, surroundings));
    }

    /// Shows a report of before the start, unless its model has had another one since.
    fn show_again(&mut self, report: &Report) {
        if !self.readiness.has_reported(&report.model) {
            self.metrics.show(report);
        }
    }

    /// Every bounded queue that somebody may want to see filling up.
    fn show_queues(&self) {
        let writing = usize::from(self.writer.is_busy()) + usize::from(!self.gate.is_empty());
        let candidates = usize::try_from(self.candidates.queued()).unwrap_or(usize::MAX);
        let around = [
            ("read", self.intake.waiting()),
            ("judge", self.judge.waiting()),
            ("candidates", candidates),
            ("writer", writing),
        ];
        for (queue, entries) in around.into_iter().chain(self.outgoing.queues()) {
            self.metrics.set(Gauge::QueueDepth { queue, entries });
        }
    }

    /// Messages that are decided and not delivered, by receiver.
    fn show_pending(&self) {
        let mut pending: BTreeMap<&str, usize> =
            self.receivers.iter().map(|name| (name.as_str(), 0)).collect();
        for receiver in self.outgoing.receivers() {
            // One that is no longer configured has no series.
            if let Some(rows) = pending.get_mut(receiver) {
                *rows += 1;
            }
        }
        for (receiver, rows) in pending {
            self.metrics.set(Gauge::OutboxPending { receiver, rows });
        }
    }
}

/// Begins where the windows of the checkpoint that was moved aside began, and writes that down before
/// anything is read: a crash right after a rebuild must not go back to the beginning of the topic.
fn begin_again(pipeline: &mut Pipeline, store: &Store) -> anyhow::Result<()> {
    let begun = match store.load_aside() {
        Ok(Some(lost)) => pipeline.begin_again(&lost).map_err(anyhow::Error::from),
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = begun {
        tracing::warn!(
            %error,
            "the checkpoint that was moved aside does not say where windows began: reading begins \
             at captures.start"
        );
    }
    if let Some(snapshot) = pipeline.snapshot() {
        let sizes = store.commit(&snapshot)?;
        pipeline.handle(Event::Committed(Committed { epoch: snapshot.epoch, sizes }), now_us());
    }
    Ok(())
}

/// What is said of a thread that only a panic can end.
fn thread_ended(name: &str) -> String {
    format!(
        "the thread of the {name} ended by a panic, which is a defect: what it said stands above; what was \
         committed is safe, a restart goes on from there"
    )
}

fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).with_context(|| {
        format!(
            "http.listen {listen}: the address cannot be bound; stop what uses it or choose another"
        )
    })
}
