//! `driftline check`: two files compared like a window with its baseline, without Kafka.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use driftline_analytics::report::Violations;
use driftline_batch::Audience;
use driftline_batch::check::{Against, CheckOptions, Compared, check};
use driftline_config::{Config, Limits, Tolerance, Tolerances};
use driftline_web::standalone::{ComparedFiles, findings_page};

use super::configured;
use super::progress::Bar;
use super::screen::{Color, Screen};

mod formats;
mod kinds;
mod table;
#[cfg(test)]
mod tests;

use formats::{FailOn, Outcome, OutputFormat};
use kinds::Kinds;
use table::{counts, table};

const EXAMPLES: &str = "Examples:
  driftline check reference.csv current.csv
  driftline check --baseline baseline.json --current 'day=2026-11-*/*.parquet' --html report.html
  driftline check -r s3://bucket/train.parquet -u s3://bucket/today/ --fail-on warn --format junit
  zcat today.csv.gz | driftline check reference.csv - --kind zip_code=category,customer_id=ignore";

/// Compares two files.
#[derive(Debug, Clone, Args)]
#[command(about = "Compare two files, or a file with a baseline", after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    /// The reference and the current rows, or with --baseline the current rows alone
    #[arg(value_name = "FILE", num_args = 0..=2)]
    pub(crate) files: Vec<String>,
    /// Rows to compare with: a .parquet, .arrow, .csv or .jsonl file, text also as .gz, a folder or pattern
    /// of such files, the same below s3://, gs:// or az://, "-" for the standard input, or "SELECT … FROM
    /// 'file'"
    #[arg(long, short, value_name = "FILE")]
    pub(crate) reference: Option<String>,
    /// A baseline that `driftline baseline` wrote, to compare with
    #[arg(long, short, value_name = "FILE", conflicts_with = "reference")]
    pub(crate) baseline: Option<PathBuf>,
    /// Rows to compare, named like the reference
    #[arg(long, short = 'u', value_name = "FILE")]
    pub(crate) current: Option<String>,
    /// Take tolerances and features of a model from this configuration
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, short, value_name = "NAME", requires = "config")]
    pub(crate) model: Option<String>,
    /// The level at which the exit code is 1
    #[arg(long, value_name = "LEVEL", default_value = "alarm")]
    pub(crate) fail_on: FailOn,
    /// What is printed on stdout
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: OutputFormat,
    /// Print the report as JSON, and nothing else, on stdout: the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Show what is ok too, and what every column is taken for
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Also write the findings with their plots into one HTML file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The column that holds the event time
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// What columns are, whatever they look like: number, category, ignore or time, by their name in the file
    /// or in the model
    #[arg(long, short, value_name = "COLUMN=KIND", value_delimiter = ',')]
    pub(crate) kind: Vec<String>,
    /// Columns of the reference whose values are categories whatever they look like: as --kind COLUMN=category
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) categorical: Vec<String>,
    /// Columns to leave out: as --kind COLUMN=ignore
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Tolerances instead of the model's: ks=0.1,psi=0.2,missing=0.01,wrong_type=0.01,new_category=0.01
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) tolerance: Vec<String>,
    /// A column of the files that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME; or @FILE with such lines, or with them as YAML
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub(crate) rename: Vec<String>,
}

/// Runs the command: 0 where nothing fails, 1 where something does, 2 where nothing was compared.
pub(crate) fn run(args: &CheckArgs, color: Color) -> anyhow::Result<ExitCode> {
    let named = Named::of(args)?;
    let told = Screen::of(&std::io::stderr(), color);
    let mut notes = Vec::new();
    let compared = compare(args, &mut |note| {
        eprintln!("{}", told.wrapped(note, 2));
        notes.push(note.to_owned());
    })?;
    let report = &compared.report;
    if let Some(path) = &args.html {
        let html = findings_page(&ComparedFiles {
            report,
            shapes: &compared.shapes,
            notes: &notes,
            reference: &named.reference,
            current: &named.current,
            found: &counts(&compared),
            command: &command(args, &named),
        });
        std::fs::write(path, html).with_context(|| format!("--html {}", path.display()))?;
    }
    let mut stdout = std::io::stdout().lock();
    let text = printed(args, &named, &compared, Screen::of(&stdout, color));
    super::write(&mut stdout, &text)?;
    if let Some(why) = compared.nothing() {
        bail!("{why}");
    }
    Ok(if args.fail_on.fails(report.level) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The rows by their names.
#[derive(Debug)]
struct Named {
    /// Rows or a baseline.
    reference: String,
    current: String,
}

impl Named {
    fn of(args: &CheckArgs) -> anyhow::Result<Named> {
        let baseline = args.baseline.as_ref().map(|path| path.display().to_string());
        let mut files = args.files.iter().cloned();
        let reference = baseline.or_else(|| args.reference.clone()).or_else(|| files.next());
        let current = args.current.clone().or_else(|| files.next());
        let (Some(reference), Some(current), None) = (reference, current, files.next()) else {
            bail!(
                "write two files, --reference FILE and --current FILE, or --baseline FILE and one file"
            );
        };
        if reference == "-" && current == "-" {
            bail!("only one of the two can come from the standard input");
        }
        Ok(Named { reference, current })
    }
}

fn printed(args: &CheckArgs, named: &Named, compared: &Compared, screen: Screen) -> String {
    let outcome = Outcome {
        compared,
        current: &named.current,
        reference: &named.reference,
        fail_on: args.fail_on,
    };
    match if args.json { OutputFormat::Json } else { args.format } {
        OutputFormat::Table => table(compared, screen, args.all),
        OutputFormat::Json => format!("{}\n", compared.report.to_json()),
        OutputFormat::Markdown => outcome.markdown(),
        OutputFormat::Junit => outcome.junit(),
        OutputFormat::Sarif => format!("{:#}\n", outcome.sarif()),
        OutputFormat::Github => outcome.github(),
        OutputFormat::Sagemaker => Violations::of(&compared.report).to_json(),
    }
}

/// Compares as the arguments say; `note` is told of every skipped column.
fn compare(args: &CheckArgs, note: &mut dyn FnMut(&str)) -> anyhow::Result<Compared> {
    let options = options(args)?;
    let bar = Bar::default();
    Ok(check(&options, &mut Audience { note, progress: &|progress| bar.show(progress) })?)
}

fn options(args: &CheckArgs) -> anyhow::Result<CheckOptions> {
    let (model, limits) = match &args.config {
        Some(path) => {
            let config: Config = configured::load(path)?;
            let model = configured::model(&config, args.model.as_deref())?.into_owned();
            (Some(model), config.limits)
        }
        None => (None, Limits::default()),
    };
    let declared = model.as_ref().map_or(Tolerance::Auto, |model| model.tolerance.clone());
    let tolerance = match args.tolerance.as_slice() {
        [] => None,
        written => Some(Tolerance::Fixed(tolerances(declared.floor(), written)?)),
    };
    let named = Named::of(args)?;
    let Kinds { numeric, mut categorical, mut ignore, time } = Kinds::parse(&args.kind)?;
    let time = args.time.clone().or(time);
    categorical.extend(args.categorical.iter().cloned());
    ignore.extend(args.ignore.iter().cloned());
    let against = match &args.baseline {
        Some(_) if !(categorical.is_empty() && numeric.is_empty()) => bail!(
            "--categorical: the baseline says of each column what it is; it goes with --reference"
        ),
        Some(path) => Against::Baseline(path.clone()),
        None => Against::Reference { rows: named.reference, categorical, numeric },
    };
    Ok(CheckOptions {
        against,
        current: named.current,
        model,
        limits,
        tolerance,
        ignore,
        time,
        rename: args.rename.clone(),
    })
}

fn tolerances(mut tolerances: Tolerances, values: &[String]) -> anyhow::Result<Tolerances> {
    for written in values {
        let Some((name, value)) = written.split_once('=') else {
            bail!("--tolerance: {written:?}: write NAME=VALUE");
        };
        tolerances.set(name, value).map_err(|says| anyhow!("--tolerance: {says}"))?;
    }
    Ok(tolerances)
}

/// The command that gives the same report, as a shell takes it.
fn command(args: &CheckArgs, named: &Named) -> String {
    let path = |path: &PathBuf| path.display().to_string();
    let list = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
    let options = [
        ("reference", args.baseline.is_none().then(|| named.reference.clone())),
        ("baseline", args.baseline.as_ref().map(path)),
        ("current", Some(named.current.clone())),
        ("config", args.config.as_ref().map(path)),
        ("model", args.model.clone()),
        ("kind", list(&args.kind)),
        ("categorical", list(&args.categorical)),
        ("ignore", list(&args.ignore)),
        ("tolerance", list(&args.tolerance)),
    ];
    let mut command = String::from("driftline check");
    for (name, value) in options {
        if let Some(value) = value {
            command.push_str(&format!(" --{name} {}", quoted(&value)));
        }
    }
    for rename in &args.rename {
        command.push_str(&format!(" --rename {}", quoted(rename)));
    }
    command
}

fn quoted(argument: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./,=:@+%".contains(letter);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}
