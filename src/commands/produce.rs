//! `driftline produce`: the rows of a file as capture events on a model's topic.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use driftline_alerting::clock::now_us;
use driftline_batch::setups::load_setup;
use driftline_batch::{Audience, FileRows, RowSource, Surveyed};
use driftline_capture::CaptureSchema;
use driftline_config::{Config, Model};
use driftline_files::{Choices, FileError, Mapping, Target};
use driftline_ingest::{Capture, CaptureProducer, Connection, topic_offsets};

use super::configured;
use super::progress::Bar;

mod event;
#[cfg(test)]
mod tests;

use event::Events;

/// How long the broker may take for what is still queued at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a file as captures.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Send the rows of a file as capture events to a model's topic",
    after_help = "Examples:\n  driftline produce --data rows.parquet --rate 100"
)]
pub(crate) struct ProduceArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, short, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The rows: a .parquet, .csv or .jsonl file, or "SELECT … FROM 'file'"
    #[arg(long, short, value_name = "FILE|SELECT")]
    pub(crate) data: String,
    /// Rows per second; as fast as the broker takes them where it is left out
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The column that holds the event time; without one, and where the file has none of its own,
    /// rows happen now
    #[arg(long, short, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub(crate) rename: Vec<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("write rows per second, more than 0".to_owned()),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Produced {
    /// Captures that the broker acknowledged.
    pub(crate) captures: u64,
    pub(crate) topic: String,
    pub(crate) partitions: usize,
}

/// Runs the command.
pub(crate) fn run(args: &ProduceArgs) -> anyhow::Result<ExitCode> {
    let config = configured::load(&args.config)?;
    let model = &*configured::model(&config, args.model.as_deref())?;
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
pub(crate) fn produce(
    args: &ProduceArgs,
    config: &Config,
    model: &Model,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<Produced> {
    let bar = Bar::default();
    let mut audience = Audience { note, progress: &|progress| bar.show(progress) };
    let renames = Mapping::parse_renames(&args.rename)?;
    let mapping = Mapping { time: args.time.clone(), renames, envelope: true };
    let table = FileRows::open_table(&args.data, "looking at the file", &mut audience)?;
    let mut rows = FileRows { table, mapping, limits: config.limits.clone() };
    let schema = schema(&mut rows, model, &mut audience)?;
    let timed = rows.has_time()?;
    let topic = &model.captures.topic;
    let connection = Connection::from(&config.kafka);
    let partitions = topic_offsets(&connection, topic)?.len();
    let producer = CaptureProducer::start(&connection)?;
    let mut sending =
        Sending { topic, partitions, producer, sent: 0, rate: args.rate, start: Instant::now() };
    let FileRows { table, mapping, limits } = &rows;
    let what = format!("sending {}", table.name());
    audience.watch(&what, table.rows(), |passed| -> anyhow::Result<()> {
        for batch in table.captures(&schema, mapping, limits)? {
            sending.send(&Events::new(&model.name, &schema, &batch?, timed), passed)?;
        }
        Ok(())
    })?;
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
    fn send(&mut self, events: &Events<'_>, passed: &dyn Fn(u64)) -> anyhow::Result<()> {
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
            passed(1);
        }
        Ok(())
    }
}

/// The columns as the file has them: what does not fit the model arrives as it is. Where the model's
/// baseline can be read, its columns are sent whatever they look like, and plain names of its
/// predictions are predictions.
fn schema(
    rows: &mut FileRows,
    model: &Model,
    audience: &mut Audience<'_>,
) -> anyhow::Result<CaptureSchema> {
    let setup = load_setup(model, &rows.limits);
    let monitored = match &setup {
        Ok(setup) => setup.layout.schema().clone(),
        Err(error) => {
            audience.note(&format!(
                "{error}: which columns are predictions is taken from their names alone"
            ));
            CaptureSchema::default()
        }
    };
    let targets = rows.table.targets(&rows.mapping, setup.is_ok().then_some(&monitored))?;
    let columns = rows.table.columns().iter();
    for (column, target) in columns.zip(&targets) {
        let renamed = rows.mapping.renames.iter().any(|(from, _)| from == column);
        if let Target::Subject(subject) = target
            && !renamed
            && subject != column.as_str()
        {
            rows.mapping.renames.push((column.clone(), subject.clone()));
        }
    }
    let Surveyed { profile, targets, .. } = rows.survey(audience)?;
    if profile.rows == 0 {
        return Err(FileError::Empty { name: rows.name(), what: "rows" }.into());
    }
    let mut choices = Choices::default();
    let mut inferred = profile.infer(&rows.name(), &targets, &choices)?;
    for (column, target) in rows.table.columns().iter().zip(&targets) {
        let Target::Subject(subject) = target else { continue };
        let wanted = monitored.columns.iter().any(|known| known.subject == *subject);
        if wanted && inferred.schema.ignored.contains(subject) {
            choices.categorical.push(column.clone());
        }
    }
    if !choices.categorical.is_empty() {
        inferred = profile.infer(&rows.name(), &targets, &choices)?;
    }
    inferred.notes.iter().for_each(|line| audience.note(line));
    Ok(inferred.schema)
}
