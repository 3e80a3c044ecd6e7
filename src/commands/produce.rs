//! `driftline produce`: the rows of a file as capture events on a model's topic.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use arrow::record_batch::RecordBatch;
use clap::Args;
use driftline_config::capture::CaptureSchema;
use driftline_config::{Config, Limits, Model};
use driftline_ingest::{Capture, CaptureProducer, Connection, topic_offsets};

use super::configured;
use super::progress::Progress;
use super::reading::say_passed_over;
use crate::clock::now_us;
use crate::files::{Choices, FileError, Mapping, Table, Target};
use crate::setup::Setup;

mod event;
#[cfg(test)]
mod tests;

use event::Events;

/// How long the broker may take for what is still queued at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a file as captures.
#[derive(Debug, Clone, Args)]
#[command(about = "Send the rows of a file as capture events to a model's topic")]
pub struct ProduceArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The rows: a .parquet, .csv or .jsonl file, or "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE|SELECT")]
    pub data: String,
    /// Rows per second; as fast as the broker takes them where it is left out
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// The column that holds the event time; without one, and where the file has none of its own,
    /// rows happen now
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub rename: Vec<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("write rows per second, more than 0".to_owned()),
    }
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Captures that the broker acknowledged.
    pub captures: u64,
    /// Topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: usize,
}

/// Runs the command.
///
/// # Errors
/// What cannot be read or sent, in one sentence.
pub fn run(args: &ProduceArgs) -> anyhow::Result<ExitCode> {
    let config = configured::load(&args.config)?;
    let model = configured::model(&config, args.model.as_deref())?;
    let produced = produce(args, &config, model, &mut |note| eprintln!("{note}"))?;
    let Produced { captures, topic, partitions } = produced;
    let text = format!(
        "{}: {captures} captures sent to topic {topic} ({partitions} partitions)\n",
        model.name
    );
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Sends every row and waits until the broker has them all. Rows with an `id` are keyed by it, the
/// others go to the partitions in turn.
///
/// # Errors
/// What cannot be read or sent, in one sentence.
pub fn produce(
    args: &ProduceArgs,
    config: &Config,
    model: &Model,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<Produced> {
    let mapping = Mapping {
        time: args.time.clone(),
        renames: Mapping::parse_renames(&args.rename)?,
        envelope: true,
    };
    let progress = Progress::new("looking at the file");
    let table = Table::open(&args.data, &|rows| progress.add(rows))?;
    say_passed_over(&table, note);
    let (schema, mapping) = schema(&table, mapping, (model, &config.limits), &progress, note)?;
    progress.end();
    let timed = table.has_time(&mapping)?;
    let topic = &model.captures.topic;
    let connection = Connection::from(&config.kafka);
    let partitions = topic_offsets(&connection, topic)?.len();
    let producer = CaptureProducer::start(&connection)?;
    let mut sending =
        Sending { topic, partitions, producer, sent: 0, rate: args.rate, start: Instant::now() };
    let progress = Progress::of(&format!("sending {}", table.name()), table.rows());
    for batch in table.captures(&schema, &mapping, &(&config.limits).into())? {
        sending.send(&Events::new(&model.name, &schema, &batch?, timed), &progress)?;
    }
    if sending.sent == 0 {
        bail!("{}: no rows", table.name());
    }
    sending.producer.flush(PATIENCE)?;
    let captures = sending.producer.delivered();
    Ok(Produced { captures, topic: topic.clone(), partitions })
}

struct Sending<'a> {
    topic: &'a str,
    partitions: usize,
    producer: CaptureProducer,
    sent: u64,
    rate: Option<f64>,
    start: Instant,
}

impl Sending<'_> {
    fn send(&mut self, events: &Events<'_>, progress: &Progress) -> anyhow::Result<()> {
        let mut value = Vec::new();
        for row in 0..events.rows() {
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(self.sent as f64 / rate);
                std::thread::sleep(due.saturating_sub(self.start.elapsed()));
            }
            value.clear();
            events.write(row, now_us(), &mut value);
            let key = events.id(row).map(str::as_bytes);
            let turn = self.sent % self.partitions.max(1) as u64;
            let partition = if key.is_none() { i32::try_from(turn).ok() } else { None };
            let capture =
                Capture { topic: self.topic, partition, key, value: &value, timestamp_us: None };
            self.producer.send(&capture)?;
            self.sent += 1;
            progress.add(1);
        }
        Ok(())
    }
}

/// The columns as the file has them: what does not fit the model arrives as it is. Where the model's
/// baseline can be read, its columns are sent whatever they look like, and plain names of its
/// predictions are predictions.
fn schema(
    table: &Table,
    mut mapping: Mapping,
    (model, limits): (&Model, &Limits),
    progress: &Progress,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<(CaptureSchema, Mapping)> {
    let setup = Setup::load(model, limits);
    let monitored = match &setup {
        Ok(setup) => setup.layout.schema().clone(),
        Err(error) => {
            note(&format!(
                "{error}: which columns are predictions is taken from their names alone"
            ));
            CaptureSchema::default()
        }
    };
    let known = setup.is_ok().then_some(&monitored);
    let targets = table.targets(&mapping, known)?;
    for (column, target) in table.columns().iter().zip(&targets) {
        let renamed = mapping.renames.iter().any(|(from, _)| from == column);
        if let Target::Subject(subject) = target
            && !renamed
            && subject != column
        {
            mapping.renames.push((column.clone(), subject.clone()));
        }
    }
    let profile = table.profile(&|rows| progress.add(rows))?;
    if profile.rows == 0 {
        return Err(FileError::Empty { name: table.name().to_owned(), what: "rows" }.into());
    }
    let mut choices = Choices::default();
    let mut inferred = profile.infer(table.name(), &targets, &choices)?;
    for (column, target) in table.columns().iter().zip(&targets) {
        let Target::Subject(subject) = target else { continue };
        let wanted = monitored.columns.iter().any(|known| known.subject == *subject);
        if wanted && inferred.schema.ignored.contains(subject) {
            choices.categorical.push(column.clone());
        }
    }
    if !choices.categorical.is_empty() {
        inferred = profile.infer(table.name(), &targets, &choices)?;
    }
    for line in &inferred.notes {
        note(line);
    }
    Ok((inferred.schema, mapping))
}

/// Columns of a capture batch by name, as texts and numbers.
fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a T> {
    batch.column_by_name(name)?.as_any().downcast_ref::<T>()
}
