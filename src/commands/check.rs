//! `driftline check`: two files compared like a window with its baseline, without Kafka.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use driftline_analytics::baseline::Baseline;
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints};
use driftline_analytics::judgement::{History, JudgeInput, judge, shapes};
use driftline_analytics::lane::window_start_us;
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Ledger, Level, Report, WindowMeta};
use driftline_analytics::shape::Shape;
use driftline_analytics::window::WindowState;
use driftline_config::capture::CaptureSchema;
use driftline_config::time::DAY_US;
use driftline_config::{
    Captures, Config, Format, Limits, Model, NoData, Operations, Retrain, Start, Tolerance,
    ToleranceFloor, Window,
};

use super::configured;
use super::progress::Progress;
use super::reading::{read_all, say_passed_over};
use super::text_table::{Paint, TextTable, printable};
use crate::files::{Choices, FileError, Mapping, Table, subject_of};
use page::{Shown, page};

/// Name of the model, and of the window, where there is no configuration.
const UNNAMED: &str = "check";

/// Values of batches that are counted together: 32 MiB of numbers.
const VALUES_AT_ONCE: usize = 1 << 22;

/// Compares two files.
#[derive(Debug, Clone, Args)]
#[command(about = "Compare two files, or a file with a baseline")]
pub struct CheckArgs {
    /// Rows to compare with: a .parquet, .csv or .jsonl file, or "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE", required_unless_present = "baseline")]
    pub reference: Option<String>,
    /// A baseline that `driftline baseline` wrote, to compare with
    #[arg(long, value_name = "FILE", conflicts_with = "reference")]
    pub baseline: Option<PathBuf>,
    /// Rows to compare: a .parquet, .csv or .jsonl file, or "SELECT … FROM 'file'"
    #[arg(long, value_name = "FILE")]
    pub current: String,
    /// Take tolerances and features of a model from this configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which model of the configuration; not needed where it has one
    #[arg(long, value_name = "NAME", requires = "config")]
    pub model: Option<String>,
    /// Print the report as JSON, and nothing else, on stdout
    #[arg(long)]
    pub json: bool,
    /// Also write the findings with their plots into one HTML file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Columns of the reference whose values are categories whatever they look like
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub categorical: Vec<String>,
    /// Columns to leave out
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// Tolerances instead of the model's: ks=0.1,psi=0.2,missing=0.01,wrong_type=0.01,new_category=0.01
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub tolerance: Vec<String>,
    /// A column of the files that has another name in the model, as FILE_COLUMN=feature:NAME or
    /// FILE_COLUMN=prediction:NAME
    #[arg(long, value_name = "FILE_COLUMN=SUBJECT")]
    pub rename: Vec<String>,
}

/// What a comparison gives.
#[derive(Debug, Clone)]
pub struct Compared {
    /// What was found.
    pub report: Report,
    /// The distributions behind it, by subject.
    pub shapes: BTreeMap<String, Shape>,
}

/// Runs the command: 0 where nothing is at alarm, 1 where something is.
///
/// # Errors
/// What cannot be read or compared, in one sentence.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut notes = Vec::new();
    let compared = compare(args, &mut |note| {
        eprintln!("{note}");
        notes.push(note.to_owned());
    })?;
    let report = &compared.report;
    if let Some(path) = &args.html {
        let html = page(Shown {
            report,
            shapes: &compared.shapes,
            notes: &notes,
            reference: &reference_name(args),
            current: &args.current,
            command: &command(args),
        });
        std::fs::write(path, html).with_context(|| format!("--html {}", path.display()))?;
    }
    let mut stdout = std::io::stdout().lock();
    let text = if args.json {
        format!("{}\n", report.to_json())
    } else {
        table(report, Paint::of(&stdout))
    };
    super::write(&mut stdout, &text)?;
    Ok(if report.level == Level::Alarm { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Compares as the arguments say; `note` is told of every skipped column.
///
/// # Errors
/// What cannot be read or compared, in one sentence.
pub fn compare(args: &CheckArgs, note: &mut dyn FnMut(&str)) -> anyhow::Result<Compared> {
    let (mut model, limits) = model(args)?;
    let baseline = match (&args.baseline, &args.reference) {
        (Some(path), _) => read_baseline(args, path)?,
        (None, Some(reference)) => build_baseline(args, &model, reference, &limits, note)?,
        (None, None) => bail!("write --reference FILE or --baseline FILE"),
    };
    if args.config.is_none()
        && let Some(windows) = &baseline.windows
    {
        model.window.every_us = windows.every_us;
    }
    for ignored in &args.ignore {
        model.features.remove(ignored);
    }
    let baselines = Baselines { default: Arc::new(baseline), by_version: BTreeMap::new() };
    let layout = Layout::new(&model, &baselines, &limits)?;
    let (state, ledger) = count(args, &layout, &limits, note)?;
    let input = JudgeInput {
        model: &model,
        config_sha256: &model.fingerprint_sha256(),
        layout: &layout,
        baselines: &baselines,
        window: window(&model, &state, ledger),
        state: &state,
        history: &History::default(),
    };
    let (report, _) = judge(&input);
    let shapes = shapes(&input, &report);
    Ok(Compared { report, shapes })
}

/// The model of the configuration, or one that knows nothing but defaults.
fn model(args: &CheckArgs) -> anyhow::Result<(Model, Limits)> {
    let (mut model, limits) = match &args.config {
        Some(path) => {
            let config: Config = configured::load(path)?;
            let model = configured::model(&config, args.model.as_deref())?.clone();
            (model, config.limits)
        }
        None => (plain_model(), Limits::default()),
    };
    if !args.tolerance.is_empty() {
        model.tolerance = Tolerance::Fixed(tolerances(model.tolerance.floor(), &args.tolerance)?);
    }
    Ok((model, limits))
}

fn tolerances(mut floor: ToleranceFloor, values: &[String]) -> anyhow::Result<ToleranceFloor> {
    for written in values {
        let wrong = || {
            anyhow!(
                "--tolerance: {written:?}: write ks, psi, missing, wrong_type or new_category, then = and a number of at least 0"
            )
        };
        let (name, value) = written.split_once('=').ok_or_else(wrong)?;
        let value: f64 = value.parse().map_err(|_| wrong())?;
        if !(value >= 0.0 && value.is_finite()) {
            return Err(wrong());
        }
        match name {
            "ks" => floor.ks = value,
            "psi" => floor.psi = value,
            "missing" => floor.missing = value,
            "wrong_type" => floor.wrong_type = value,
            "new_category" => floor.new_category = value,
            _ => return Err(wrong()),
        }
    }
    Ok(floor)
}

fn read_baseline(args: &CheckArgs, path: &PathBuf) -> anyhow::Result<Baseline> {
    if !args.categorical.is_empty() {
        bail!(
            "--categorical: the baseline says of each column what it is; it goes with --reference"
        );
    }
    let place = || format!("{}", path.display());
    let bytes = std::fs::read(path).with_context(place)?;
    let mut baseline = Baseline::parse(&bytes).with_context(place)?;
    for ignored in &args.ignore {
        let subject = subject_of(ignored);
        baseline.columns.retain(|column| column.subject() != subject);
        // Seen and not monitored: no finding, be it in the baseline or in the current rows alone.
        baseline.columns_seen.push(subject);
    }
    baseline.columns_seen.sort_unstable();
    baseline.columns_seen.dedup();
    Ok(baseline)
}

/// A baseline of every distinct value, so that KS is exact, without own windows.
fn build_baseline(
    args: &CheckArgs,
    model: &Model,
    reference: &str,
    limits: &Limits,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<Baseline> {
    let progress = Progress::new("reading the reference");
    let table = Table::open(reference, &|rows| progress.add(rows))?;
    say_passed_over(&table, note);
    let mapping = mapping(args)?;
    let profile = table.profile(&|rows| progress.add(rows))?;
    progress.end();
    if profile.rows == 0 {
        return Err(FileError::Empty { name: table.name().to_owned(), what: "rows" }.into());
    }
    let choices = Choices {
        categorical: args.categorical.clone(),
        ignore: args.ignore.clone(),
        coerced: configured::coerced(model),
    };
    let inferred = profile.infer(table.name(), &table.targets(&mapping, None)?, &choices)?;
    for line in &inferred.notes {
        note(line);
    }
    let options = BuildOptions {
        cut_points: CutPoints::All,
        own_windows: None,
        // A comparison of two files says nothing about how either was predicted.
        held_out_predictions: true,
        limits: limits.clone(),
    };
    let schema: CaptureSchema = inferred.schema;
    let mut builder = Builder::new(schema.clone(), options)?;
    read_all(&table, &schema, &mapping, limits, |batch| builder.observe(batch))?;
    let mut counting = builder.choose();
    read_all(&table, &schema, &mapping, limits, |batch| counting.count(batch))?;
    Ok(counting.finish(table.name())?.baseline)
}

/// Counts the current rows, and what became of the lines that are none.
fn count(
    args: &CheckArgs,
    layout: &Layout,
    limits: &Limits,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<(WindowState, Ledger)> {
    let progress = Progress::new("reading the current rows");
    let table = Table::open(&args.current, &|rows| progress.add(rows))?;
    progress.end();
    say_passed_over(&table, note);
    let mut state = WindowState::new(layout);
    let (mut waiting, mut values) = (Vec::new(), 0);
    read_all(&table, layout.schema(), &mapping(args)?, limits, |batch| {
        values += batch.num_rows() * batch.num_columns();
        waiting.push(batch.clone());
        if values >= VALUES_AT_ONCE {
            state.absorb_all(layout, &waiting);
            waiting.clear();
            values = 0;
        }
    })?;
    state.absorb_all(layout, &waiting);
    if state.is_empty() {
        return Err(FileError::Empty { name: table.name().to_owned(), what: "rows" }.into());
    }
    let passed_over = table.passed_over();
    let counted = state.rows();
    let ledger = Ledger {
        read: counted + passed_over.rejected + passed_over.skipped + passed_over.control,
        counted,
        late: 0,
        rejected: passed_over.rejected,
        skipped: passed_over.skipped,
        control: passed_over.control,
    };
    Ok((state, ledger))
}

/// Columns of the model's envelope are taken as such only where a baseline says which columns are
/// features; of two plain files, every column is one.
fn mapping(args: &CheckArgs) -> anyhow::Result<Mapping> {
    let renames = Mapping::parse_renames(&args.rename)?;
    Ok(Mapping { time: None, renames, envelope: args.baseline.is_some() })
}

/// Rows that lie in one window of the model are that window, else what they span is one of its own.
fn window(model: &Model, state: &WindowState, ledger: Ledger) -> WindowMeta {
    let (first_us, last_us) = state.span_us().unwrap_or((0, 0));
    let every_us = model.window.every_us;
    let start_us = window_start_us(first_us, every_us);
    let timed = first_us != 0;
    let (start_us, end_us) = if timed && last_us < start_us.saturating_add(every_us) {
        (start_us, start_us.saturating_add(every_us))
    } else {
        (first_us, last_us.saturating_add(i64::from(timed)))
    };
    WindowMeta {
        id: UNNAMED.to_owned(),
        start_us,
        end_us,
        parts: 1,
        incomplete: Vec::new(),
        previous: None,
        ledger,
        cuts: BTreeMap::new(),
    }
}

fn plain_model() -> Model {
    Model {
        name: UNNAMED.to_owned(),
        owner: None,
        notify: Vec::new(),
        captures: Captures {
            topic: String::new(),
            format: Format::DriftlineJson,
            start: Start::Earliest,
            max_ahead_us: i64::MAX,
        },
        baseline: BTreeMap::new(),
        features: BTreeMap::new(),
        window: Window {
            every_us: DAY_US,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: DAY_US,
        },
        operations: Operations { every_us: DAY_US, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        latency: None,
        errors: None,
        no_data: NoData { after_us: DAY_US },
        shadow: Vec::new(),
        retrain: Retrain { history_us: 0, cooldown_us: 0, max_per_day: 0 },
    }
}

/// The findings that matter, aligned, with a summary above them.
fn table(report: &Report, paint: Paint) -> String {
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
    let found = paint.of_level(report.level, &counts(report));
    format!("{} rows: {found}\n\n{}", report.window.rows, table.render())
}

/// `2 at alarm, 1 at warning`
fn counts(report: &Report) -> String {
    let at = |level: Level| report.findings.iter().filter(|f| f.judged && f.level == level).count();
    let count = |count: usize, name: &str| (count > 0).then(|| format!("{count} {name}"));
    let counts: Vec<String> = [
        count(at(Level::Alarm), "at alarm"),
        count(at(Level::Warn), "at warning"),
        count(at(Level::NotComputable), "not computable"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") }
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
