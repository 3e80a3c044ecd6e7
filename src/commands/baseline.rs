//! `driftline baseline`: what a model is compared with, built from a file or from its captures.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use arrow::record_batch::RecordBatch;
use clap::{Args, ValueEnum};
use driftline_analytics::baseline::build::{
    BuildError, BuildOptions, Builder, Built, CutPoints, OwnWindowRule,
};
use driftline_config::capture::CaptureSchema;
use driftline_config::time::parse_instant_us;
use driftline_config::{Config, Model};

use super::configured;
use super::progress::Progress;
use super::reading::{read_all, say_passed_over};
use crate::files::{
    Choices, ColumnProfile, FileError, Inferred, Mapping, Table, Target, subject_of, write_file,
};

mod captures;
mod prospect;

use captures::CapturedRows;
use prospect::{Sample, describe};

/// Builds a baseline.
#[derive(Debug, Clone, Args)]
#[command(about = "Build the baseline of a model from a file, a query or its captures")]
pub struct BaselineArgs {
    /// The configuration; the baseline file it names need not exist yet
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The rows: a .parquet, .csv or .jsonl file, or "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE", required_unless_present = "captures")]
    pub data: Option<String>,
    /// Take the captures that the model's topic holds instead of a file
    #[arg(long, conflicts_with_all = ["data", "time", "rename"])]
    pub captures: bool,
    /// Captures from this instant on, RFC 3339
    #[arg(long, value_name = "T", requires = "captures", value_parser = parse_instant_us)]
    pub from: Option<i64>,
    /// Captures before this instant, RFC 3339
    #[arg(long, value_name = "T", requires = "captures", value_parser = parse_instant_us)]
    pub to: Option<i64>,
    /// The column that holds the event time: the rows are then cut into own windows, which say how
    /// far the columns move by themselves
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub rename: Vec<String>,
    /// Cut points per numeric column: a number, or "all" for an exact KS
    #[arg(long, value_name = "N|all", default_value = "1024", value_parser = cut_points)]
    pub cut_points: CutPoints,
    /// Say how the predictions of these rows were made; required where the file has predictions
    #[arg(long, value_name = "HOW")]
    pub predictions: Option<Predictions>,
    /// Columns whose values are categories whatever they look like
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub categorical: Vec<String>,
    /// Columns to leave out
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// Where the baseline is written
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// How predictions were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Predictions {
    /// By a model that was not trained on these rows: held-out or out-of-fold.
    HeldOut,
}

fn cut_points(text: &str) -> Result<CutPoints, String> {
    match text.parse() {
        _ if text == "all" => Ok(CutPoints::All),
        Ok(most) if most >= 2 => Ok(CutPoints::AtMost(most)),
        _ => Err("write a number of at least 2, or all".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// What cannot be read, built or written, in one sentence.
pub fn run(args: &BaselineArgs) -> anyhow::Result<ExitCode> {
    let text = make(args, &mut |note| eprintln!("{note}"))?;
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds and writes the baseline; returns what is to be said about it.
fn make(args: &BaselineArgs, note: &mut dyn FnMut(&str)) -> anyhow::Result<String> {
    let config = configured::load(&args.config)?;
    let model = configured::model(&config, args.model.as_deref())?;
    let (built, sample) = build(args, &config, model, note)?;
    let baseline = &built.baseline;
    write_file(&args.out, &baseline.to_json())?;
    let about = describe(model, &config.limits, &built, &sample)?;
    Ok(format!(
        "{about}{}: {} rows, {} columns, sha256 {}\n",
        args.out.display(),
        baseline.rows,
        baseline.columns.len(),
        baseline.sha256
    ))
}

/// Where the rows come from; they can be read again and again.
enum Rows {
    File { table: Table, mapping: Mapping },
    Captures(CapturedRows),
}

impl Rows {
    fn open(
        args: &BaselineArgs,
        config: &Config,
        model: &Model,
        note: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Rows> {
        let Some(data) = &args.data else {
            let rows = CapturedRows::open(config, model, args.from, args.to)?;
            return Ok(Rows::Captures(rows));
        };
        let progress = Progress::new("looking at the lines");
        let table = Table::open(data, &|rows| progress.add(rows))?;
        say_passed_over(&table, note);
        let renames = Mapping::parse_renames(&args.rename)?;
        let mapping = Mapping { time: args.time.clone(), renames, envelope: true };
        Ok(Rows::File { table, mapping })
    }

    fn name(&self) -> String {
        match self {
            Rows::File { table, .. } => table.name().to_owned(),
            Rows::Captures(captures) => captures.name(),
        }
    }

    fn has_time(&self) -> anyhow::Result<bool> {
        match self {
            Rows::File { table, mapping } => Ok(table.has_time(mapping)?),
            Rows::Captures(_) => Ok(true),
        }
    }

    fn each(
        &self,
        schema: &CaptureSchema,
        config: &Config,
        see: &mut dyn FnMut(&RecordBatch),
    ) -> anyhow::Result<()> {
        match self {
            Rows::File { table, mapping } => {
                read_all(table, schema, mapping, &config.limits, see)?;
            }
            Rows::Captures(captures) => {
                captures.each(schema, see)?;
            }
        }
        Ok(())
    }

    /// How many rows there are, and which columns to monitor.
    fn infer(
        &self,
        args: &BaselineArgs,
        model: &Model,
        note: &mut dyn FnMut(&str),
    ) -> anyhow::Result<(u64, Inferred)> {
        let (profile, targets) = match self {
            Rows::File { table, mapping } => {
                let targets = table.targets(mapping, None)?;
                let progress = Progress::of("looking at the columns", table.rows());
                (table.profile(&|rows| progress.add(rows))?, targets)
            }
            Rows::Captures(captures) => {
                let profile = captures.profile(note)?;
                let subject = |column: &ColumnProfile| Target::Subject(column.name.clone());
                let targets = profile.columns.iter().map(subject).collect();
                (profile, targets)
            }
        };
        if profile.rows == 0 {
            return Err(FileError::Empty { name: self.name(), what: "rows" }.into());
        }
        let choices = Choices {
            categorical: args.categorical.clone(),
            ignore: args.ignore.clone(),
            coerced: configured::coerced(model),
        };
        let mut inferred = profile.infer(&self.name(), &targets, &choices)?;
        if let Some(time) = &args.time {
            // Captures may hold the event time as a feature too, and it is none that drifts.
            inferred.schema.ignored.push(subject_of(time));
            inferred.schema.ignored.sort_unstable();
            inferred.schema.ignored.dedup();
        }
        for line in &inferred.notes {
            note(line);
        }
        Ok((profile.rows, inferred))
    }
}

/// Builds the baseline, with rows spread evenly over its source.
fn build(
    args: &BaselineArgs,
    config: &Config,
    model: &Model,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<(Built, Sample)> {
    let rows = Rows::open(args, config, model, note)?;
    let (count, inferred) = rows.infer(args, model, note)?;
    let options = BuildOptions {
        cut_points: args.cut_points,
        own_windows: rows.has_time()?.then_some(OwnWindowRule {
            every_us: model.window.every_us,
            at_least: model.window.at_least,
        }),
        held_out_predictions: args.predictions == Some(Predictions::HeldOut),
        limits: config.limits.clone(),
    };
    let mut builder = begin(inferred.schema.clone(), options)?;
    rows.each(&inferred.schema, config, &mut |batch| builder.observe(batch))?;
    let mut counting = builder.choose();
    let mut sample = Sample::new(count);
    rows.each(&inferred.schema, config, &mut |batch| {
        counting.count(batch);
        sample.see(batch);
    })?;
    Ok((counting.finish(&rows.name())?, sample))
}

fn begin(schema: CaptureSchema, options: BuildOptions) -> anyhow::Result<Builder> {
    match Builder::new(schema, options) {
        Err(BuildError::TrainingPredictions { subject }) => bail!(
            "{subject}: predictions of training rows are sharper than those of other rows: write --predictions held-out if these are held-out or out-of-fold, or leave the column out with --ignore"
        ),
        built => Ok(built?),
    }
}

#[cfg(test)]
mod tests;
