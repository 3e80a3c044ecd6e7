//! `driftline check`: two files compared like a window with its baseline, without Kafka.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use driftline_batch::Audience;
use driftline_batch::check::{Against, CheckOptions, Compared, check};
use driftline_config::{Config, Level, Limits, Tolerance, Tolerances};
use driftline_web::standalone::{ComparedFiles, findings_page};

use super::configured;
use super::progress::Bar;
use super::text_table::{Paint, TextTable, printable};

/// Compares two files.
#[derive(Debug, Clone, Args)]
#[command(about = "Compare two files, or a file with a baseline")]
pub(crate) struct CheckArgs {
    /// Rows to compare with: a .parquet, .csv or .jsonl file, a folder or pattern of such files, or
    /// "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE", required_unless_present = "baseline")]
    pub(crate) reference: Option<String>,
    /// A baseline that `driftline baseline` wrote, to compare with
    #[arg(long, value_name = "FILE", conflicts_with = "reference")]
    pub(crate) baseline: Option<PathBuf>,
    /// Rows to compare: a .parquet, .csv or .jsonl file, a folder or pattern of such files, or
    /// "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE")]
    pub(crate) current: String,
    /// Take tolerances and features of a model from this configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) model: Option<String>,
    /// Print the report as JSON, and nothing else, on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write the findings with their plots into one HTML file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Columns of the reference whose values are categories whatever they look like, by their name in the
    /// file or in the model
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) categorical: Vec<String>,
    /// Columns to leave out
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

/// Runs the command: 0 where nothing is at alarm, 1 where something is, 2 where nothing was compared.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut notes = Vec::new();
    let compared = compare(args, &mut |note| {
        eprintln!("{note}");
        notes.push(note.to_owned());
    })?;
    let report = &compared.report;
    if let Some(path) = &args.html {
        let html = findings_page(&ComparedFiles {
            report,
            shapes: &compared.shapes,
            notes: &notes,
            reference: &reference_name(args),
            current: &args.current,
            found: &counts(&compared),
            command: &command(args),
        });
        std::fs::write(path, html).with_context(|| format!("--html {}", path.display()))?;
    }
    let mut stdout = std::io::stdout().lock();
    let text = if args.json {
        format!("{}\n", report.to_json())
    } else {
        table(&compared, Paint::of(&stdout))
    };
    super::write(&mut stdout, &text)?;
    if let Some(why) = compared.nothing() {
        bail!("{why}");
    }
    Ok(if report.level == Level::Alarm { ExitCode::from(1) } else { ExitCode::SUCCESS })
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
            let model = configured::model(&config, args.model.as_deref())?.clone();
            (Some(model), config.limits)
        }
        None => (None, Limits::default()),
    };
    let declared = model.as_ref().map_or(Tolerance::Auto, |model| model.tolerance.clone());
    let tolerance = match args.tolerance.as_slice() {
        [] => None,
        written => Some(Tolerance::Fixed(tolerances(declared.floor(), written)?)),
    };
    let categorical = args.categorical.clone();
    let against = match (&args.baseline, &args.reference) {
        (Some(_), _) if !categorical.is_empty() => bail!(
            "--categorical: the baseline says of each column what it is; it goes with --reference"
        ),
        (Some(path), _) => Against::Baseline(path.clone()),
        (None, Some(rows)) => Against::Reference { rows: rows.clone(), categorical },
        (None, None) => bail!("write --reference FILE or --baseline FILE"),
    };
    Ok(CheckOptions {
        against,
        current: args.current.clone(),
        model,
        limits,
        tolerance,
        ignore: args.ignore.clone(),
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

/// The findings that matter, aligned, with a summary above them.
fn table(compared: &Compared, paint: Paint) -> String {
    let report = &compared.report;
    let mut table = TextTable::new(&[
        "level",
        "subject",
        "statistic",
        ">value",
        ">bound",
        ">tolerance",
        "because",
    ]);
    // A quiet share says nothing that its column's distribution does not.
    let shown = report.findings.iter().filter(|finding| {
        finding.level != Level::Ok || finding.ks.is_some() || finding.psi.is_some()
    });
    for finding in shown {
        let statistic = match (&finding.ks, &finding.psi) {
            (Some(_), _) => "KS",
            (None, Some(_)) => "PSI",
            (None, None) => finding.check.name(),
        };
        let effect = finding.effect();
        let number = |value: Option<f64>| value.map(|v| format!("{v:.4}")).unwrap_or_default();
        table.row(vec![
            paint.level(finding.level),
            printable(&finding.subject),
            statistic.to_owned(),
            number(effect.map(|effect| effect.value)),
            number(effect.map(|effect| effect.bound)),
            number(effect.map(|effect| effect.tolerance)),
            printable(&finding.because),
        ]);
    }
    let found = paint.of_level(report.level, &counts(compared));
    format!("{} rows: {found}\n\n{}", report.window.rows, table.render())
}

/// `2 at alarm, 1 at warning; 3 columns skipped`
fn counts(compared: &Compared) -> String {
    let findings = &compared.report.findings;
    let at = |level: Level| findings.iter().filter(|f| f.judged && f.level == level).count();
    let count = |count: usize, name: &str| (count > 0).then(|| format!("{count} {name}"));
    let counts: Vec<String> = [
        count(at(Level::Alarm), "at alarm"),
        count(at(Level::Warn), "at warning"),
        count(at(Level::NotComputable), "not computable"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let found = if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") };
    match compared.skipped {
        0 => found,
        1 => format!("{found}; 1 column skipped"),
        skipped => format!("{found}; {skipped} columns skipped"),
    }
}

fn reference_name(args: &CheckArgs) -> String {
    let baseline = args.baseline.as_ref().map(|path| path.display().to_string());
    baseline.or_else(|| args.reference.clone()).unwrap_or_default()
}

/// The command that gives the same report, as a shell takes it.
fn command(args: &CheckArgs) -> String {
    let path = |path: &PathBuf| path.display().to_string();
    let list = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
    let options = [
        ("reference", args.reference.clone()),
        ("baseline", args.baseline.as_ref().map(path)),
        ("current", Some(args.current.clone())),
        ("config", args.config.as_ref().map(path)),
        ("model", args.model.clone()),
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

#[cfg(test)]
mod tests;
