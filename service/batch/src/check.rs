//! Rows compared with other rows or with a baseline, like a window with its model's baseline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftline_analytics::baseline::build::{BuildOptions, CutPoints};
use driftline_analytics::baseline::{Baseline, BaselineColumn};
use driftline_analytics::judgement::{History, JudgeInput, judge, shapes};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Check, Finding, Ledger, Report, WindowMeta};
use driftline_analytics::shape::Shape;
use driftline_analytics::window::WindowState;
use driftline_config::time::{DAY_US, format_instant};
use driftline_config::{
    Captures, FalseAlarms, Format, Level, Limits, MinEffect, Model, NoData, Operations,
    PartitionAfter, Retrain, Start, Subject, Tolerance, Window, WindowId, read_file,
};
use driftline_files::{Choices, ColumnKind, FileError, Inferred, Mapping, Target};

use crate::baseline::count_twice;
use crate::reading::{infer, ledger_of};
use crate::setups::BASELINE_BYTES;
use crate::{Audience, BatchError, FileRows, RowSource, coerced};

/// Name of the model, and of the window, where there is no configuration.
const UNNAMED: &str = "check";

/// Values of batches that are counted together: 32 MiB of numbers.
const VALUES_AT_ONCE: usize = 1 << 22;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    pub against: Against,
    /// A data argument: a file or a query.
    pub current: String,
    /// The model of a configuration; what is not declared anywhere is as by default.
    pub model: Option<Model>,
    pub limits: Limits,
    /// Instead of the model's.
    pub tolerance: Option<Tolerance>,
    pub ignore: Vec<String>,
    /// The column that holds the event time, where one is named.
    pub time: Option<String>,
    /// As [`Mapping::parse_renames`] reads them.
    pub rename: Vec<String>,
}

/// What the current rows are compared with.
#[derive(Debug, Clone)]
pub enum Against {
    /// Other rows, by a data argument.
    Reference {
        rows: String,
        /// Columns whose values are categories whatever they look like.
        categorical: Vec<String>,
        /// Columns whose values are numbers whatever they look like.
        numeric: Vec<String>,
    },
    Baseline(PathBuf),
}

/// What a comparison gives.
#[derive(Debug, Clone)]
pub struct Compared {
    pub report: Report,
    pub shapes: BTreeMap<Subject, Shape>,
    /// Columns of the files that were left out.
    pub skipped: u64,
    /// What the columns of the reference were taken for; a baseline says of each what it is.
    pub kinds: Vec<ColumnKind>,
}

impl Compared {
    /// Why nothing was compared, where nothing was: no distribution could be judged, and nothing else
    /// was found.
    pub fn nothing(&self) -> Option<String> {
        let of_columns = self.report.findings.iter().filter(|it| it.subject.column().is_some());
        let judged: Vec<&Finding> = of_columns.filter(|finding| finding.judged).collect();
        let Some(first) = judged.iter().find(|it| it.level == Level::NotComputable) else {
            let skipped = self.skipped;
            return judged
                .is_empty()
                .then(|| format!("nothing to compare: no column is judged, {skipped} skipped"));
        };
        let compared = |finding: &&Finding| match finding.level {
            Level::Alarm | Level::Warn => true,
            Level::Ok => finding.check == Check::Distribution,
            Level::NotComputable => false,
        };
        let nothing = !judged.iter().any(compared);
        nothing.then(|| format!("nothing could be compared: {}", first.because))
    }
}

/// Compares as the options say.
///
/// # Errors
/// What cannot be read or compared, in one sentence.
pub fn check(options: &CheckOptions, audience: &mut Audience<'_>) -> Result<Compared, BatchError> {
    let mut model = options.model.clone().unwrap_or_else(unnamed_model);
    if let Some(tolerance) = &options.tolerance {
        model.tolerance = tolerance.clone();
    }
    let ignored = ignored(options)?;
    let (mut skipped, mut kinds) = (0, Vec::new());
    let baseline = match &options.against {
        Against::Baseline(path) => read_baseline(path, &ignored)?,
        Against::Reference { rows, categorical, numeric } => {
            let choices = Choices {
                categorical: categorical.clone(),
                numeric: numeric.clone(),
                ignore: options.ignore.clone(),
                coerced: coerced(&model),
            };
            let built = build_baseline(options, rows, &choices, audience)?;
            (skipped, kinds) = (built.skipped, built.kinds);
            built.baseline
        }
    };
    if options.model.is_none()
        && let Some(windows) = &baseline.windows
    {
        model.window.every_us = windows.every_us;
        model.window.timezone.clone_from(&windows.timezone);
    }
    for ignored in &ignored {
        model.features.remove(ignored.name());
    }
    let mut baselines = Baselines { default: Arc::new(baseline), by_version: BTreeMap::new() };
    let layout = Layout::new(&model, &baselines, &options.limits)?;
    let rows = open(options, &options.current, "reading the current rows", audience)?;
    if matches!(options.against, Against::Baseline(_)) {
        skipped = not_monitored(&rows, &layout, audience)?;
    }
    let (state, ledger) = count(&rows, &layout, audience)?;
    if matches!(options.against, Against::Baseline(_)) && model.tolerance == Tolerance::Auto {
        own_windows_decide(&mut baselines, &model, &state, &rows.name(), audience);
    }
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
    Ok(Compared { report, shapes, skipped, kinds })
}

/// Own windows say how far one window moves by itself: they decide where the rows are one. Without times
/// nothing says so, and floors decide; rows of longer or shorter are told of.
fn own_windows_decide(
    baselines: &mut Baselines,
    model: &Model,
    state: &WindowState,
    name: &str,
    audience: &mut Audience<'_>,
) {
    if baselines.default.windows.is_none() {
        return;
    }
    let grid = model.window.grid();
    let length = grid.told_from(&grid);
    let Some((first_us, last_us)) = state.span_us().filter(|&(first_us, _)| first_us != 0) else {
        audience.note(&format!(
            "{name}: nothing says of which time its rows are, so floors decide and not the baseline's own windows; \
             --time COLUMN compares them as one window of {length}"
        ));
        let baseline = Arc::make_mut(&mut baselines.default);
        for column in &mut baseline.columns {
            match column {
                BaselineColumn::Numeric(column) => column.own_windows = None,
                BaselineColumn::Categorical(column) => column.own_windows = None,
            }
        }
        return;
    };
    if last_us >= grid.end_us(grid.start_us(first_us)) {
        audience.note(&format!(
            "{name}: its rows are of {} to {}, not of one window of {length}, whose tolerances these are: \
             backtest judges them window by window",
            format_instant(first_us),
            format_instant(last_us),
        ));
    }
}

/// What is left out, by the names of the model: a column may be named as its file names it.
fn ignored(options: &CheckOptions) -> Result<Vec<Subject>, BatchError> {
    let renames = Mapping::parse_renames(&options.rename)?;
    let subject = |name: &String| {
        let renamed = renames.iter().find(|(column, _)| column == name);
        renamed.map_or_else(|| Subject::of_column(name), |(_, subject)| subject.clone())
    };
    Ok(options.ignore.iter().map(subject).collect())
}

/// Counts and names the columns of the rows that the baseline knows and does not monitor.
fn not_monitored(
    rows: &FileRows,
    layout: &Layout,
    audience: &mut Audience<'_>,
) -> Result<u64, BatchError> {
    let targets = rows.table.targets(&rows.mapping, Some(layout.schema()))?;
    let known = |target: &Target| match target {
        Target::Subject(subject) => layout.schema().ignored.contains(subject),
        _ => false,
    };
    let columns = rows.table.columns().iter().zip(&targets);
    let names: Vec<&str> =
        columns.filter(|(_, target)| known(target)).map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        let (name, names) = (rows.name(), names.join(", "));
        audience.note(&format!("{name}: in the baseline and not monitored: {names}"));
    }
    Ok(names.len() as u64)
}

/// A baseline of a reference.
struct Reference {
    baseline: Baseline,
    /// Columns that are not in it.
    skipped: u64,
    kinds: Vec<ColumnKind>,
}

fn read_baseline(path: &Path, ignore: &[Subject]) -> Result<Baseline, BatchError> {
    let place = || path.to_owned();
    let bytes = read_file(path, BASELINE_BYTES)
        .map_err(|source| BatchError::Unreadable { path: place(), source })?;
    let mut baseline = Baseline::parse(&bytes)
        .map_err(|source| BatchError::NotABaseline { path: place(), source })?;
    for subject in ignore {
        baseline.columns.retain(|column| column.subject() != subject);
        // Seen and not monitored: no finding, be it in the baseline or in the current rows alone.
        baseline.columns_seen.push(subject.clone());
    }
    baseline.columns_seen.sort_unstable();
    baseline.columns_seen.dedup();
    Ok(baseline)
}

/// A baseline of every distinct value, so that KS is exact, without own windows.
fn build_baseline(
    options: &CheckOptions,
    reference: &str,
    choices: &Choices,
    audience: &mut Audience<'_>,
) -> Result<Reference, BatchError> {
    let rows = open(options, reference, "reading the reference", audience)?;
    let (_, inferred) = infer(&rows, choices, audience)?;
    let build = BuildOptions {
        cut_points: CutPoints::All,
        own_windows: None,
        // A comparison of two files says nothing about how either was predicted.
        held_out_predictions: true,
        limits: options.limits.clone(),
    };
    let Inferred { schema, skipped, kinds, .. } = inferred;
    let built = count_twice(&rows, schema, build, audience, &mut |_| ())?;
    Ok(Reference { baseline: built.baseline, skipped, kinds })
}

/// Columns of the model's envelope are taken as such only where a baseline says which columns are
/// features; of two plain files, every column is one.
fn open(
    options: &CheckOptions,
    argument: &str,
    what: &str,
    audience: &mut Audience<'_>,
) -> Result<FileRows, FileError> {
    let table = FileRows::open_table(argument, what, audience)?;
    let envelope = matches!(options.against, Against::Baseline(_));
    let renames = Mapping::parse_renames(&options.rename)?;
    let mapping = Mapping { time: options.time.clone(), renames, envelope };
    Ok(FileRows { table, mapping, limits: options.limits.clone() })
}

/// Counts the current rows, and what became of the lines that are none.
fn count(
    rows: &FileRows,
    layout: &Layout,
    audience: &mut Audience<'_>,
) -> Result<(WindowState, Ledger), BatchError> {
    let mut state = WindowState::default();
    let (mut waiting, mut values) = (Vec::new(), 0);
    rows.each(layout.schema(), audience, &mut |batch| {
        values += batch.rows() * batch.record_batch().num_columns();
        waiting.push(batch.clone());
        if values >= VALUES_AT_ONCE {
            state.absorb_all(layout, &waiting);
            waiting.clear();
            values = 0;
        }
    })?;
    state.absorb_all(layout, &waiting);
    if state.is_empty() {
        return Err(FileError::Empty { name: rows.name(), what: "rows" }.into());
    }
    let mut ledger = ledger_of(&rows.table.passed_over());
    ledger.read += state.rows();
    ledger.counted = state.rows();
    Ok((state, ledger))
}

/// Rows that lie in one window of the model are that window, else what they span is one of its own.
fn window(model: &Model, state: &WindowState, ledger: Ledger) -> WindowMeta {
    let (first_us, last_us) = state.span_us().unwrap_or((0, 0));
    let grid = model.window.grid();
    let start_us = grid.start_us(first_us);
    let end_us = grid.end_us(start_us);
    let timed = first_us != 0;
    let times_us = if timed && last_us < end_us {
        start_us..end_us
    } else {
        first_us..last_us.saturating_add(i64::from(timed))
    };
    let timezone = grid.timezone().cloned();
    WindowMeta { ledger, timezone, ..WindowMeta::new(WindowId::of_comparison(UNNAMED), times_us) }
}

/// A model of which nothing is declared.
fn unnamed_model() -> Model {
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
            timezone: None,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: DAY_US,
        },
        operations: Operations { every_us: DAY_US, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        false_alarms: FalseAlarms::default(),
        min_effect: MinEffect::default(),
        latency: None,
        errors: None,
        no_data: NoData { after_us: DAY_US, partition_after: PartitionAfter::Off },
        shadow: Vec::new(),
        retrain: Retrain {
            history_us: 0,
            cooldown_us: 0,
            max_per_day: 0,
            rows: None,
            wait_windows: Retrain::usual_wait(),
        },
    }
}

#[cfg(test)]
mod tests;
