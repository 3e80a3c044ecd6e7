//! `driftline backtest`: a file through windows, judgement and alert states, without Kafka.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use driftline_alerting::outbox::{OutboxRow, RowKind};
use driftline_alerting::repeat::RepeatRules;
use driftline_alerting::retrain::RetrainRequest;
use driftline_alerting::{Rules, Transition};
use driftline_analytics::report::{Level, Report};
use driftline_config::time::format_instant;
use driftline_config::{Config, Model};
use serde::Serialize;

use super::configured;
use super::progress::Progress;
use super::reading::say_passed_over;
use super::text_table::{Paint, TextTable};
use crate::files::{FileError, Mapping, PassedOver, Table};
use crate::inline::Inline;
use crate::messages::Messages;
use crate::pipeline::ledger::Counts;
use crate::pipeline::unit::Unit;
use crate::pipeline::{Event, Pipeline, Settings};
use crate::setup::Setup;

mod stream;
#[cfg(test)]
mod tests;

use stream::Stream;

/// Runs a file through a model's windows.
#[derive(Debug, Clone, Args)]
#[command(about = "Run a file through windows, judgement and alert states, without Kafka")]
pub struct BacktestArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The rows: a .parquet, .csv or .jsonl file, or "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE|SELECT")]
    pub data: String,
    /// The column that holds the event time; files of captures have their own
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub rename: Vec<String>,
    /// Print everything as one JSON document on stdout, and nothing else there
    #[arg(long)]
    pub json: bool,
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
    pub ledger: Counts,
}

/// Runs the command: 0 where no window is at alarm, 1 where one is.
///
/// # Errors
/// What cannot be read, in one sentence.
pub fn run(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let found = backtest(args, &mut |note| eprintln!("{note}"))?;
    let mut stdout = std::io::stdout().lock();
    let text = if args.json {
        format!("{}\n", serde_json::to_string(&found)?)
    } else {
        describe(&found, Paint::of(&stdout))
    };
    super::write(&mut stdout, &text)?;
    let alarm = found.windows.iter().any(|report| report.level == Level::Alarm);
    Ok(if alarm { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Runs the file through the pipeline that the service runs: one partition, in order of time, ended
/// by a heartbeat that closes what is open. Idle partitions and the wall clock play no part, and
/// every message is told however old its cause.
///
/// # Errors
/// What cannot be read, in one sentence.
pub fn backtest(args: &BacktestArgs, note: &mut dyn FnMut(&str)) -> anyhow::Result<Backtest> {
    let config = configured::load(&args.config)?;
    let model = configured::model(&config, args.model.as_deref())?;
    if !model.shadow.is_empty() {
        note(&format!("{}: candidates are not scored in a backtest", model.name));
    }
    let setup = Arc::new(Setup::load(model, &config.limits)?);
    let mapping = Mapping {
        time: args.time.clone(),
        renames: Mapping::parse_renames(&args.rename)?,
        envelope: true,
    };
    let progress = Progress::new("looking at the file");
    let table = Table::open(&args.data, &|rows| progress.add(rows))?;
    progress.end();
    say_passed_over(&table, note);
    if !table.has_time(&mapping)? {
        bail!("{}: write --time COLUMN: windows need the event time of every row", table.name());
    }
    let stream = Stream::open(&table, setup.layout.schema(), &mapping, &config.limits, note)?;
    let mut inline = Inline::new(pipeline(&config, model, &setup));
    let transitions = feed(&mut inline, stream, &table, model)?;
    let Inline { pipeline, reports, messages, requests } = inline;
    let mut ledger = Counts::default();
    for (_, facts) in pipeline.topics() {
        ledger += facts.ledger.total();
    }
    ledger += passed_over(&table.passed_over());
    // The heartbeat at the end is ours.
    ledger.read = ledger.read.saturating_sub(1);
    ledger.control = ledger.control.saturating_sub(1);
    let windows = reports.into_iter().map(|(report, _)| report).collect();
    Ok(Backtest { windows, transitions, messages, requests, ledger })
}

fn pipeline(config: &Config, model: &Model, setup: &Arc<Setup>) -> Pipeline {
    let mut config = config.clone();
    config.alerts.max_age_us = Some(None);
    let settings = Settings {
        rules: Rules::new(&config.alerts),
        repeats: RepeatRules::new(&config.alerts),
        messages: Messages::new(&config, std::collections::BTreeMap::new()),
        open_windows_limit: config.limits.open_windows,
        outbox_limit: config.limits.outbox,
    };
    let unit = Unit::new(Arc::clone(setup), 0, 0);
    Pipeline::new(settings, vec![model.captures.topic.clone()], vec![unit])
}

/// Feeds everything and returns the transitions; the model remembers only the last ones.
fn feed(
    inline: &mut Inline,
    stream: Stream,
    table: &Table,
    model: &Model,
) -> anyhow::Result<Vec<Transition>> {
    let progress = Progress::of(&format!("replaying {}", table.name()), table.rows());
    let mut transitions = Vec::new();
    let mut known = BTreeSet::new();
    let mut take = |inline: &Inline| {
        let logged = inline.pipeline.units().iter().flat_map(|unit| &unit.facts.transitions);
        for logged in logged {
            if known.insert(logged.transition.id.clone()) {
                transitions.push(logged.transition.clone());
            }
        }
    };
    let partitions = driftline_ingest::Event::Partitions { topic: 0, count: 1 };
    inline.feed(Event::Read(partitions), 0);
    let mut chunks = stream.chunks();
    let mut last_us = None;
    for chunk in chunks.by_ref() {
        let chunk = chunk?;
        let time_us = chunk.last_record_us.unwrap_or(0);
        last_us = Some(time_us);
        let records = chunk.records;
        inline.feed(Event::Read(driftline_ingest::Event::Chunk(chunk)), time_us);
        take(inline);
        progress.add(records);
    }
    let Some(last_us) = last_us else {
        return Err(FileError::Empty { name: table.name().to_owned(), what: "rows" }.into());
    };
    let end = chunks.end(last_us, model);
    let time_us = end.last_record_us.unwrap_or(last_us);
    inline.feed(Event::Read(driftline_ingest::Event::Chunk(end)), time_us);
    take(inline);
    Ok(transitions)
}

/// Lines of a file of captures that are no rows are records all the same.
fn passed_over(lines: &PassedOver) -> Counts {
    Counts {
        read: lines.rejected + lines.skipped + lines.control,
        rejected: lines.rejected,
        skipped: lines.skipped,
        control: lines.control,
        ..Counts::default()
    }
}

fn describe(found: &Backtest, paint: Paint) -> String {
    let mut table = TextTable::new(&["window", ">rows", "level", "because"]);
    for report in &found.windows {
        let strongest = report.findings.iter().find(|f| f.judged && f.level != Level::Ok);
        let mut because = strongest.map(|f| f.because.clone()).unwrap_or_default();
        if !report.window.complete {
            because = format!("(incomplete) {because}");
        }
        table.row(vec![
            report.window.start.clone(),
            report.window.rows.to_string(),
            paint.level(report.level),
            because,
        ]);
    }
    let mut text = table.render();
    let mut section = |heading: &str, lines: Vec<String>| {
        text.push_str(&format!("\n{heading}: {}\n", lines.len()));
        for line in lines {
            text.push_str(&format!("  {line}\n"));
        }
    };
    section("incidents", found.transitions.iter().map(transition).collect());
    section("messages that would have been sent", found.messages.iter().map(message).collect());
    section("retraining requests", found.requests.iter().map(|r| request(r)).collect());
    let Counts { read, counted, late, rejected, skipped, control } = found.ledger;
    text.push_str(&format!(
        "\n{read} records read: {counted} counted, {late} late, {rejected} rejected, {skipped} skipped, {control} control\n"
    ));
    text
}

fn transition(transition: &Transition) -> String {
    let strongest = transition.subjects.first();
    format!(
        "{} {} {} ({} of {} {}){}",
        format_instant(transition.at_us),
        transition.class.name(),
        transition.state.name(),
        transition.over,
        transition.of,
        if transition.panes { "panes" } else { "windows" },
        strongest.map(|subject| format!(": {}", subject.because)).unwrap_or_default(),
    )
}

fn message(row: &OutboxRow) -> String {
    let what = match &row.kind {
        RowKind::Mail(mail) => mail.subject.clone(),
        RowKind::Webhook { event, .. } => event.clone(),
        RowKind::Alert(alert) => alert.annotations.get("summary").cloned().unwrap_or_default(),
    };
    format!("{} to {}: {what}", format_instant(row.at_us), row.receiver)
}

fn request(request: &RetrainRequest) -> String {
    let data = &request.data;
    let reasons: Vec<&str> = data.reason.iter().map(|reason| reason.subject.as_str()).collect();
    format!(
        "{} {} rows of {} windows since {}: {}",
        data.retrain_id,
        data.train_on.rows,
        data.windows.len(),
        format_instant(data.train_on.since),
        reasons.join(", ")
    )
}
