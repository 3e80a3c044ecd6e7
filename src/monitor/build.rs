//! The service put together: every part built from the configuration, and the checkpoint taken up.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::Context;
use driftline_batch::setups::BaselineReader;
use driftline_capture::Reason;
use driftline_config::Config;
use driftline_ingest::Clock;
use driftline_pipeline::gate::Gate;
use driftline_pipeline::setup::Setup;
use driftline_pipeline::snapshot::Committed;
use driftline_pipeline::{Event, Pipeline, Settings};
use driftline_store::{LOCK_WAIT, Store};
use driftline_web::metrics::Metrics;
use driftline_web::{self as web, Board, Tls};
use tokio::runtime::Runtime;

use super::candidates::Candidates;
use super::clocks::Clocks;
use super::intake::Intake;
use super::limits::{Counted, columns_of_too_many_values};
use super::newcomers::Newcomers;
use super::newest::Newest;
use super::outgoing::Outgoing;
use super::prune::Pruner;
use super::publisher::Publisher;
use super::readiness::Readiness;
use super::writer::Writer;
use super::{Monitor, Options};
use crate::delivery::Delivery;
use crate::faults::Place;
use crate::illustration;
use crate::judge::Judge;
use crate::scoring;

/// Commands of people that wait for the loop.
const COMMANDS: usize = 64;

impl Monitor {
    /// Builds every part. Nothing is read yet.
    pub(crate) fn build(config: &Config, options: Options) -> anyhow::Result<Monitor> {
        let Options { rebuild, onnxruntime, listener, faults } = options;
        let clock = Clock::new();
        let mut reader = BaselineReader::default();
        let setups = setups(config, &mut reader)?;
        // What this machine refuses is said at once, and not after a wait for a broker.
        let listener = listener.map_or_else(|| bind(&config.http.listen), Ok)?;
        let address = listener.local_addr().context("the HTTP listener has no address")?;
        let tls = config.http.tls.as_ref().map(Tls::load).transpose()?;
        let store = Arc::new(Store::open(&config.state, LOCK_WAIT, rebuild)?);
        let saved = store.load(&|sha256| reader.know(sha256))?;
        faults.pass(Place::Restart);
        let retention_us = Intake::retention_us(config);
        let settings = Settings::new(config, retention_us, clock.now().wall_us);
        let mut pipeline = Pipeline::new(settings, setups);
        // What a rebuild counts again are the models of before.
        let aside = if rebuild { store.load_aside().unwrap_or_default() } else { None };
        let newcomers = Newcomers::begin(config, &mut pipeline, aside.as_ref().unwrap_or(&saved));
        drop(aside);
        let effects = pipeline.restore(&saved, &config.limits)?;
        // Files that the configuration names and the store has are kept once.
        drop((saved, reader));
        pipeline.let_go_of_files();
        if rebuild {
            begin_again(&mut pipeline, &store, &clock)?;
        }
        let metrics = metrics(config, &pipeline);
        let launch = scoring::launch(&config.shadow, &config.limits, onnxruntime);
        let runtime = runtime()?;
        let delivery = delivery(&runtime, config, &store)?;
        delivery.silence(pipeline.silences());
        let intake = Intake::prepare(config, &pipeline, clock.clone())?;
        let publisher = intake.report_producer(config)?.map(Publisher::start).transpose()?;
        let (requests, commands) = sync_channel(COMMANDS);
        let board =
            Arc::new(Board::new(config, Arc::clone(&store), Arc::clone(&metrics), requests));
        let (http_stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async move { stopped.await.unwrap_or(()) };
        let served = web::serve(listener, tls, Arc::clone(&board), stopped);
        let (keep_us, most_bytes) = (config.reports.keep_us, config.limits.report_bytes);
        let names = pipeline.models().map(|model| model.name().to_owned()).collect();
        let mut readiness = Readiness::default();
        readiness.restore(&store)?;
        let mut monitor = Monitor {
            intake,
            newcomers,
            judge: Judge::start()?,
            writer: Writer::start(Arc::clone(&store), faults.clone())?,
            faults,
            gate: Gate::default(),
            candidates: Candidates::start(&pipeline, &launch, config.limits.shadow_rows),
            outgoing: Outgoing::new(delivery, publisher),
            receivers: config.receivers.iter().map(|receiver| receiver.name.clone()).collect(),
            commands,
            metrics,
            board,
            readiness,
            newest: Newest::read(Arc::clone(&store), names)?,
            pruner: Pruner::new(store, keep_us, most_bytes),
            clock,
            clocks: Clocks::begin(Instant::now()),
            limits: Counted::begin(&pipeline),
            pipeline,
            notices: Vec::new(),
            hurried: false,
            held_back: false,
            runtime,
            address,
            http_stop: Some(http_stop),
        };
        monitor.carry_out(effects);
        // Whoever asks meanwhile waits: nobody is told that a configured model is unknown.
        monitor.publish();
        monitor.runtime.spawn(says_how_it_ends(served));
        Ok(monitor)
    }
}

async fn says_how_it_ends(served: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

fn setups(config: &Config, reader: &mut BaselineReader) -> anyhow::Result<Vec<Arc<Setup>>> {
    reader.read_ahead(&config.models);
    let mut setups = Vec::new();
    for model in &config.models {
        let setup = reader.load(model, &config.limits)?;
        for says in setup.other_days().into_iter().chain(setup.trend()) {
            tracing::warn!("{says}");
        }
        setups.push(Arc::new(setup));
    }
    Ok(setups)
}

/// Begins where the windows of the checkpoint that was moved aside began, and writes that down before
/// anything is read: a crash right after a rebuild must not go back to the beginning of the topic.
fn begin_again(pipeline: &mut Pipeline, store: &Store, clock: &Clock) -> anyhow::Result<()> {
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
        let committed = Event::Committed(Committed { epoch: snapshot.epoch, sizes });
        pipeline.handle(committed, clock.now());
    }
    Ok(())
}

fn metrics(config: &Config, pipeline: &Pipeline) -> Arc<Metrics> {
    let rejections: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let metrics = Metrics::new(config, &rejections);
    let of_templates = pipeline
        .models()
        .filter(|view| !config.models.iter().any(|model| model.name == view.name()));
    of_templates.for_each(|model| metrics.add(&model.setup().model));
    for (_, topic, facts) in pipeline.topics() {
        metrics.begin(topic, &facts.ledger);
    }
    metrics.limit_reached("categories", columns_of_too_many_values(pipeline));
    Arc::new(metrics)
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("edge")
        .enable_all()
        .build()
        .context("the operating system refuses threads")
}

fn delivery(runtime: &Runtime, config: &Config, store: &Arc<Store>) -> anyhow::Result<Delivery> {
    let _inside = runtime.enter();
    let illustrate = illustration::from_store(Arc::clone(store));
    Ok(Delivery::start(runtime.handle(), &config.receivers, illustrate)?)
}

fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).with_context(|| {
        format!(
            "http.listen {listen}: the address cannot be bound; stop what uses it or choose another"
        )
    })
}
