//! `driftline baseline`: what a model is compared with, built from a file or from its captures.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use driftline_analytics::baseline::Baseline;
use driftline_analytics::baseline::build::{BuildError, CutPoints};
use driftline_batch::baseline::{BaselineOptions, NewBaseline, build, parse_except};
use driftline_batch::{Audience, BatchError, FileRows, RowSource};
use driftline_config::time::parse_instant_us;
use driftline_config::{Config, Model};
use driftline_files::{Mapping, write_file};

use super::configured;
use super::progress::Bar;
use super::screen::{Color, Screen};

mod captures;
mod prospect;
mod sagemaker;

use captures::CapturedRows;
use prospect::describe;

/// Builds a baseline.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Build the baseline of a model from a file, a query or its captures",
    after_help = "Examples:\n  driftline baseline --data reference.parquet --time ts --out baseline.json\n  driftline baseline --captures --from 2026-11-01T00:00:00Z --out baseline.json\n  driftline baseline --sagemaker statistics.json --constraints constraints.json --out baseline.json"
)]
pub(crate) struct BaselineArgs {
    /// The configuration; the baseline file it names need not exist yet
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, short, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The rows: a .parquet, .csv or .jsonl file, a folder or pattern of such files, or "SELECT … FROM
    /// 'file'"
    #[arg(long, short, value_name = "FILE", required_unless_present_any = ["captures", "sagemaker"])]
    pub(crate) data: Option<String>,
    /// Take the captures that the model's topic holds instead of a file
    #[arg(long, conflicts_with_all = ["data", "time", "rename"])]
    pub(crate) captures: bool,
    /// Take the statistics.json of SageMaker Model Monitor instead of rows; no configuration is needed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "captures", "time", "categorical"])]
    pub(crate) sagemaker: Option<PathBuf>,
    /// The constraints.json that goes with it
    #[arg(long, value_name = "FILE", requires = "sagemaker")]
    pub(crate) constraints: Option<PathBuf>,
    /// Captures from this instant on, RFC 3339
    #[arg(long, value_name = "T", requires = "captures", value_parser = parse_instant_us)]
    pub(crate) from: Option<i64>,
    /// Captures before this instant, RFC 3339
    #[arg(long, value_name = "T", requires = "captures", value_parser = parse_instant_us)]
    pub(crate) to: Option<i64>,
    /// The column that holds the event time: the rows are then cut into own windows, which say how
    /// far the columns move by themselves
    #[arg(long, short, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// A column of the file that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME; or @FILE with such lines, or with them as YAML
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub(crate) rename: Vec<String>,
    /// Cut points per numeric column: a number, or "all" for an exact KS
    #[arg(long, value_name = "N|all", default_value = "1024", value_parser = cut_points)]
    pub(crate) cut_points: CutPoints,
    /// Say how the predictions of these rows were made; required where the file has predictions, but for
    /// captures, which were answered in production
    #[arg(long, value_name = "HOW")]
    pub(crate) predictions: Option<Predictions>,
    /// Columns whose values are categories whatever they look like, by their name in the file or in the
    /// model
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) categorical: Vec<String>,
    /// Columns to leave out
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Days that are known to be unlike the rest and are left out, as 2013-02-08..10; may be repeated
    #[arg(long, value_name = "FROM..TO", value_parser = parse_except)]
    pub(crate) except: Vec<Range<i64>>,
    /// Where the baseline is written
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Predictions {
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
pub(crate) fn run(args: &BaselineArgs, color: Color) -> anyhow::Result<ExitCode> {
    let told = Screen::of(&std::io::stderr(), color);
    let screen = Screen::of(&std::io::stdout(), color);
    let text = make(args, screen, &mut |note| eprintln!("{}", told.wrapped(note, 2)))?;
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds and writes the baseline; returns what is to be said about it.
pub(super) fn make(
    args: &BaselineArgs,
    screen: Screen,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<String> {
    if let Some(statistics) = &args.sagemaker {
        return sagemaker::make(args, statistics, note);
    }
    let config = configured::load(&args.config)?;
    let model = &*configured::model(&config, args.model.as_deref())?;
    let new = built(args, &config, model, note)?;
    let baseline = &new.built.baseline;
    let about = describe(model, &new, &new.prospects(model, &config.limits)?, screen);
    // What cannot be read back would be found out when the service starts.
    let written = baseline.to_json();
    Baseline::parse(&written)
        .with_context(|| format!("{}: nothing is written", args.out.display()))?;
    write_file(&args.out, &written)?;
    let skipped = match new.skipped {
        0 => String::new(),
        count => format!(" ({count} skipped)"),
    };
    Ok(format!(
        "{about}{}: {} rows, {} columns{skipped}, sha256 {}\n",
        args.out.display(),
        baseline.rows,
        baseline.columns.len(),
        baseline.sha256
    ))
}

fn built(
    args: &BaselineArgs,
    config: &Config,
    model: &Model,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<NewBaseline> {
    let bar = Bar::default();
    let mut audience = Audience { note, progress: &|progress| bar.show(progress) };
    let rows: Box<dyn RowSource> = match &args.data {
        Some(data) => {
            let table =
                FileRows::open_table_of(data, model, "looking at the lines", &mut audience)?;
            let renames = Mapping::parse_renames(&args.rename)?;
            let mapping = Mapping { time: args.time.clone(), renames, envelope: true };
            Box::new(FileRows { table, mapping, limits: config.limits.clone() })
        }
        None => Box::new(CapturedRows::open(config, model, args.from, args.to)?),
    };
    let options = BaselineOptions {
        model,
        limits: &config.limits,
        cut_points: args.cut_points,
        held_out_predictions: args.predictions == Some(Predictions::HeldOut),
        categorical: args.categorical.clone(),
        numeric: Vec::new(),
        ignore: args.ignore.clone(),
        except: args.except.clone(),
    };
    match build(&*rows, &options, &mut audience) {
        Err(BatchError::Build(BuildError::TrainingPredictions { subject })) => bail!(
            "{subject}: predictions of training rows are sharper than those of other rows: write --predictions held-out if these are held-out or out-of-fold, or leave the column out with --ignore"
        ),
        built => Ok(built?),
    }
}

#[cfg(test)]
mod tests;
