//! The running service: the one loop that carries events to the pipeline and its effects to the parts.
//!
//! All of it stops in order: readers first, then what was read is decided on and committed, then
//! deliveries.

mod build;
mod candidates;
mod clocks;
pub(crate) mod intake;
mod limits;
mod newcomers;
mod newest;
mod outgoing;
mod overviews;
pub(crate) mod prune;
mod publisher;
mod readiness;
mod show;
#[cfg(test)]
mod tests;
mod writer;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::Report;
use driftline_config::TopicPartition;
use driftline_ingest::Clock;
use driftline_pipeline::gate::Gate;
use driftline_pipeline::{Effect, Event, Pipeline, Read};
use driftline_web::metrics::Metrics;
use driftline_web::{Board, Command};

use crate::delivery::Attempt;
use crate::faults::{Faults, Place};
use crate::judge::Judge;
use candidates::{Candidates, Changed};
use clocks::{Clocks, TURN};
use intake::Intake;
use limits::Counted;
use newcomers::{Newcomer, Newcomers};
use newest::Newest;
use outgoing::Outgoing;
use prune::Pruner;
use readiness::Readiness;
use writer::Writer;

pub(crate) use candidates::ShadowRecord;

/// Read events that are handled before the loop looks at everything else.
const READS_PER_TURN: usize = 32;
/// How often the pipeline is told that time went on.
const TICK: Duration = Duration::from_millis(500);
/// How long the end waits for windows that are being judged and committed.
const SETTLE: Duration = Duration::from_secs(30);

/// What is decided once per process.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Start from an empty store: the old one is moved aside, reading begins at the first rows of the
    /// windows that were open in it.
    pub(crate) rebuild: bool,
    /// Where ONNX Runtime may be, in the order of trying.
    pub(crate) onnxruntime: Vec<PathBuf>,
    /// A listener that is bound already; else the configuration's address is bound.
    pub(crate) listener: Option<TcpListener>,
    pub(crate) faults: Faults,
}

/// Something that may be shown: it is in the store.
#[derive(Debug)]
pub(crate) enum Notice {
    Report(Arc<Report>),
    Request(Arc<RetrainRequest>),
    Attempt(Box<Attempt>),
    Shadow(Box<ShadowRecord>),
}

pub(crate) struct Monitor {
    pipeline: Pipeline,
    intake: Intake,
    newcomers: Newcomers,
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
    /// What the time is: the readers ask the same one.
    clock: Clock,
    /// When each duty was done last.
    clocks: Clocks,
    limits: Counted,
    /// What happened since it was last asked for: taken after each turn.
    notices: Vec<Notice>,
    /// Somebody cannot wait for the next regular snapshot.
    hurried: bool,
    /// Too many closed windows wait for judge and store.
    held_back: bool,
    runtime: tokio::runtime::Runtime,
    address: std::net::SocketAddr,
    http_stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Monitor {
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// The pipeline's state, for those who show it.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Rows that candidates and champion both answered.
    pub(crate) fn shadow_rows(&self) -> u64 {
        self.candidates.paired()
    }

    /// The largest number of rows that wait for a candidate.
    pub(crate) fn shadow_queued(&self) -> u64 {
        self.candidates.queued()
    }

    /// Whether nothing that was read waits for a decision, a commit or a candidate.
    pub(crate) fn is_settled(&self) -> bool {
        self.gate.is_empty() && self.pipeline.is_settled() && self.candidates.is_settled()
    }

    /// Takes the next snapshot at once instead of in its time.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Everything that may be shown since the last call.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Starts reading and runs until `stop` is set. Everything that may be shown is shown to `watch`.
    pub(crate) fn run(
        mut self,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Notice),
    ) -> anyhow::Result<()> {
        self.start()?;
        while !stop.load(Ordering::Relaxed) {
            let turned = self.turn();
            // What was committed before something failed is true, and shown.
            self.take_notices().iter().for_each(&mut *watch);
            turned?;
        }
        self.finish(watch)
    }

    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.intake.start(&self.pipeline, self.newcomers.asked())
    }

    pub(crate) fn turn(&mut self) -> anyhow::Result<()> {
        if self.is_held_back() {
            self.hear(TURN);
            return self.attend();
        }
        let mut wait = self.clocks.turn(Instant::now());
        for _ in 0..READS_PER_TURN {
            let Some(event) = self.intake.next(wait)? else { break };
            wait = Duration::ZERO;
            self.read(event)?;
            self.hear(Duration::ZERO);
        }
        self.attend()
    }

    /// Stops reading, decides on and commits what was read, and ends every part. What may still be shown is
    /// shown to `watch`.
    pub(crate) fn finish(mut self, watch: &mut dyn FnMut(&Notice)) -> anyhow::Result<()> {
        self.intake.stop();
        self.judge.hurry(true);
        let deadline = Instant::now() + SETTLE;
        while !(self.gate.is_empty() && self.pipeline.is_settled()) && Instant::now() < deadline {
            self.hurried = true;
            let attended = self.attend();
            self.take_notices().iter().for_each(&mut *watch);
            attended?;
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(stop) = self.http_stop.take() {
            let _ = stop.send(());
        }
        self.outgoing.delivery.stop(self.runtime.handle());
        let attended = self.attend();
        self.take_notices().iter().for_each(watch);
        attended?;
        if let Some(outcome) = self.writer.wait() {
            outcome?;
        }
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        Ok(())
    }

    /// One thing that the readers tell: the pipeline learns of it, and so does `/readyz`.
    fn read(&mut self, event: driftline_ingest::Event) -> anyhow::Result<()> {
        use driftline_ingest::Event as Told;
        let at = |topic, partition| TopicPartition { topic, partition };
        match event {
            Told::Chunk { chunk, lease } => {
                self.faults.pass(Place::AfterPoll);
                self.readiness.answered();
                self.take_in_newcomers();
                self.feed(Event::Read(Read::Chunk(chunk)));
                drop(lease);
            }
            Told::EndOfPartition { topic, partition, offset, sampled } => {
                self.readiness.answered();
                let at = at(topic, partition);
                self.feed(Event::Read(Read::EndOfPartition { at, offset, sampled }));
            }
            Told::HeldBack { topic, partition } => {
                self.readiness.answered();
                self.feed(Event::Read(Read::HeldBack { at: at(topic, partition) }));
            }
            Told::Partitions { topic, count } => {
                self.readiness.answered();
                self.feed(Event::Read(Read::Partitions { topic, count }));
            }
            Told::Gap { topic, partition, from, to, why } => {
                tracing::error!(%partition, from, to, why, "records were lost before they were read");
                self.feed(Event::Read(Read::Gap { at: at(topic, partition), to }));
            }
            Told::Recreated { topic, partition, offset, why, .. } => {
                tracing::error!(%partition, why, "the log is another one than before");
                self.feed(Event::Read(Read::Recreated { at: at(topic, partition), offset }));
            }
            Told::Trouble { topic, message, fatal } => {
                self.readiness.in_trouble(&self.intake.topic_name(topic), &message, fatal);
                anyhow::ensure!(!fatal, message);
                self.feed(Event::Read(Read::Trouble { topic, message }));
            }
            Told::Recovered { topic } => {
                self.readiness.recovered(&self.intake.topic_name(topic));
                self.feed(Event::Read(Read::Recovered { topic }));
            }
        }
        Ok(())
    }

    /// Models that a reader met are taken in before what it read of them.
    fn take_in_newcomers(&mut self) {
        for Newcomer { topic, setup } in self.newcomers.take() {
            self.metrics.add(&setup.model);
            self.feed(Event::Appeared { topic, setup });
        }
    }

    /// Takes the verdicts that are ready, and waits for one of them; the judge gets what it has room for.
    fn hear(&mut self, wait: Duration) {
        let mut next = self.judge.next(wait);
        while let Some(verdict) = next {
            self.feed(Event::Judged(Box::new(verdict)));
            next = self.judge.next(Duration::ZERO);
        }
        self.judge.hand_over(Instant::now());
    }

    fn attend(&mut self) -> anyhow::Result<()> {
        self.hear(Duration::ZERO);
        if let Some(outcome) = self.writer.poll() {
            self.clocks.committed = Instant::now();
            let committed = outcome?;
            self.intake.commit(self.gate.released());
            self.feed(Event::Committed(committed));
            self.pipeline.let_go_of_files();
        }
        self.attend_to_deliveries();
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        for record in self.candidates.take_records(&self.metrics) {
            let (model, start_us) = record.of;
            let json = record.to_json();
            self.notices.push(Notice::Shadow(Box::new(record)));
            if let Some(record) = json {
                self.feed(Event::Scored { model, start_us, record });
            }
        }
        for report in self.newest.take() {
            self.show_again(&report);
        }
        self.outgoing.hand_over();
        if self.clocks.tick.elapsed() >= TICK {
            self.clocks.tick = Instant::now();
            self.tick()?;
        }
        self.snapshot();
        self.show()
    }

    fn attend_to_deliveries(&mut self) {
        for sequence in self.outgoing.take_done() {
            self.faults.pass(Place::AfterSend);
            self.feed(Event::Done { sequence });
        }
        for attempt in self.outgoing.delivery.take_attempts() {
            self.metrics.notification(&attempt.receipt.receiver, attempt.outcome());
            // What an Alertmanager is told again and again would push everything else out.
            if !attempt.again {
                let (number, receipt) = self.readiness.attempted(&attempt);
                self.feed(Event::Attempted { number, receipt });
            }
            self.notices.push(Notice::Attempt(Box::new(attempt)));
        }
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        // Without its threads the service would look alive and do nothing.
        anyhow::ensure!(!self.judge.has_ended(), thread_ended("judge"));
        anyhow::ensure!(!self.writer.has_ended(), thread_ended("checkpoint"));
        for Changed { model, candidate, problem } in self.candidates.take_changes() {
            self.feed(Event::Candidate { model, candidate, problem });
        }
        let trouble = self.intake.dead_letter_trouble();
        self.feed(Event::DeadLetters { trouble });
        self.feed(Event::Tick);
        Ok(())
    }

    fn feed(&mut self, event: Event) {
        let regular = matches!(
            event,
            Event::Tick | Event::DeadLetters { .. } | Event::Read(Read::EndOfPartition { .. })
        );
        let effects = self.pipeline.handle(event, self.clock.now());
        if !regular || !effects.is_empty() {
            self.clocks.stirred = Instant::now();
        }
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Judge(job) => self.judge.submit(job, Instant::now()),
                Effect::Counted { model, rows, windows } => {
                    if let Some(name) = self.pipeline.name_of(model) {
                        self.metrics.rows(name, &rows);
                    }
                    self.candidates.offer(model, &rows, &windows);
                }
                Effect::CarryShadow { model, from_us, into_us } => {
                    self.candidates.carry(model, from_us, into_us);
                }
                Effect::CloseShadow { model, start_us, id } => {
                    self.candidates.close(model, start_us, id);
                }
                Effect::Align(change) => self.intake.align(change),
                Effect::Horizon { topic, horizon_us } => {
                    self.intake.set_horizon(topic, horizon_us);
                }
                Effect::Published(report) => {
                    self.metrics.report(&report);
                    let model = self.pipeline.model(&report.model);
                    let lateness_us =
                        model.map_or(0, |model| model.setup().model.window.lateness_us);
                    self.readiness.reported(&report, lateness_us, self.clock.now().wall_us);
                    self.notices.push(Notice::Report(report));
                }
                Effect::Requested(request) => self.notices.push(Notice::Request(request)),
                Effect::Deliver(item) => {
                    self.faults.pass(Place::BeforeSend);
                    self.outgoing.push(item);
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let event = match command {
            Command::Accept { incident, acceptance } => Event::Accept { incident, acceptance },
            Command::TakeBack { incident, by } => Event::TakeBack { incident, by },
            Command::EndSilence { id, by } => Event::EndSilence { id, by },
            Command::Silence(silence) => Event::Silence(silence),
        };
        self.feed(event);
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
            if let Some(snapshot) = self.gate.release(&|at| intake.unacknowledged(at)) {
                self.writer.write(snapshot);
            }
        }
    }
}

/// What is said of a thread that only a panic can end.
fn thread_ended(name: &str) -> String {
    format!(
        "the thread of the {name} ended by a panic, which is a defect: what it said stands above; what was \
         committed is safe, a restart goes on from there"
    )
}
