//! A file through the pipeline that the service runs: windows, judgement, incidents and messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline_alerting::Transition;
use driftline_alerting::outbox::OutboxRow;
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::{Ledger, Report};
use driftline_config::{Config, MaxAge, Model, TopicId};
use driftline_files::{FileError, Mapping, PassedOver};
use driftline_pipeline::capture::Chunk;
use driftline_pipeline::inline::Inline;
use driftline_pipeline::setup::Setup;
use driftline_pipeline::{Event, Pipeline, Read, Settings};
use serde::Serialize;

use crate::reading::ledger_of;
use crate::setups::load_setup;
use crate::stream::{CLOSING_BEATS, Stream};
use crate::{Audience, BatchError, FileRows, RowSource};

/// Which rows run through which model's windows.
#[derive(Debug, Clone)]
pub struct BacktestOptions<'a> {
    pub config: &'a Config,
    pub model: &'a Model,
    /// A data argument: a file or a query.
    pub data: String,
    /// The column that holds the event time; files of captures have their own.
    pub time: Option<String>,
    /// As [`Mapping::parse_renames`] reads them.
    pub rename: Vec<String>,
}

/// Everything that the service would have found and said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backtest {
    /// The report of each window, in the order of closing.
    pub windows: Vec<Arc<Report>>,
    /// What happened to incidents, in the order of decision.
    pub transitions: Vec<Transition>,
    /// Mails and webhooks that would have been sent.
    pub messages: Vec<OutboxRow>,
    /// Retraining that would have been requested; the ranges count the rows of the file, in order
    /// of time, as offsets of one partition.
    pub requests: Vec<Arc<RetrainRequest>>,
    /// What became of every record of the file.
    pub ledger: Ledger,
}

/// Runs the file through the pipeline that the service runs: one partition, in order of time, ended
/// by a heartbeat that closes what is open. Idle partitions and the wall clock play no part, and
/// every message is told however old its cause.
///
/// # Errors
/// What cannot be read, in one sentence.
pub fn backtest(
    options: &BacktestOptions<'_>,
    audience: &mut Audience<'_>,
) -> Result<Backtest, BatchError> {
    let BacktestOptions { config, model, .. } = *options;
    if !model.shadow.is_empty() {
        audience.note(&format!("{}: candidates are not scored in a backtest", model.name));
    }
    let setup = Arc::new(load_setup(model, &config.limits)?);
    let mapping = Mapping {
        time: options.time.clone(),
        renames: Mapping::parse_renames(&options.rename)?,
        envelope: true,
    };
    let table = FileRows::open_table_of(&options.data, model, "looking at the file", audience)?;
    let rows = FileRows { table, mapping, limits: config.limits.clone() };
    if !rows.has_time()? {
        return Err(BatchError::NoTime { name: rows.name() });
    }
    let stream = Stream::open(&rows, setup.layout.schema(), audience)?;
    let mut replayed = Replayed::new(Inline::new(pipeline(config, &setup)));
    let what = format!("replaying {}", rows.name());
    let last_us = audience
        .watch(&what, rows.table.rows(), |passed| replayed.read_all(stream, model, passed))?;
    if last_us.is_none() {
        return Err(FileError::Empty { name: rows.name(), what: "rows" }.into());
    }
    Ok(replayed.told(&rows.table.passed_over()))
}

fn pipeline(config: &Config, setup: &Arc<Setup>) -> Pipeline {
    let mut config = config.clone();
    config.alerts.max_age = MaxAge::Off;
    Pipeline::new(Settings::new(&config, BTreeMap::new(), 0), vec![Arc::clone(setup)])
}

/// A pipeline that is fed a file, and the transitions that it decided on: a model remembers only its
/// last ones.
struct Replayed {
    inline: Inline,
    transitions: Vec<Transition>,
    known: BTreeSet<String>,
}

impl Replayed {
    fn new(inline: Inline) -> Replayed {
        Replayed { inline, transitions: Vec::new(), known: BTreeSet::new() }
    }

    /// Feeds everything, then what closes every window. Returns the time of the last row, where there
    /// is any.
    fn read_all(
        &mut self,
        stream: Stream,
        model: &Model,
        passed: &dyn Fn(u64),
    ) -> Result<Option<i64>, BatchError> {
        let partitions = Read::Partitions { topic: TopicId(0), count: 1 };
        self.inline.feed(Event::Read(partitions), 0);
        let mut chunks = stream.chunks();
        let mut last_us = None;
        for chunk in chunks.by_ref() {
            let chunk = chunk?;
            let records = chunk.records;
            last_us = Some(chunk.last_record_us.unwrap_or(0));
            self.read(chunk);
            passed(records);
        }
        if let Some(last_us) = last_us {
            self.read(chunks.end(last_us, model));
        }
        Ok(last_us)
    }

    fn read(&mut self, chunk: Chunk) {
        let time_us = chunk.last_record_us.unwrap_or(0);
        self.inline.feed(Event::Read(Read::Chunk(chunk)), time_us);
        for model in self.inline.pipeline.models() {
            for logged in &model.decided().transitions {
                if self.known.insert(logged.transition.id.clone()) {
                    self.transitions.push(logged.transition.clone());
                }
            }
        }
    }

    fn told(self, passed_over: &PassedOver) -> Backtest {
        let Inline { pipeline, reports, messages, requests } = self.inline;
        let mut ledger = Ledger::default();
        for (_, _, facts) in pipeline.topics() {
            ledger += facts.ledger.total();
        }
        ledger += ledger_of(passed_over);
        // The heartbeats at the end are ours.
        ledger.read = ledger.read.saturating_sub(CLOSING_BEATS.unsigned_abs());
        ledger.control = ledger.control.saturating_sub(CLOSING_BEATS.unsigned_abs());
        let windows = reports.into_iter().map(|(report, _)| report).collect();
        Backtest { windows, transitions: self.transitions, messages, requests, ledger }
    }
}
