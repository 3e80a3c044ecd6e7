//! What a baseline will be able to say: tolerances, the smallest drift that windows of some sizes
//! could alarm on, and what its own windows would have said.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use driftline_analytics::baseline::build::Built;
use driftline_analytics::baseline::{Baseline, BaselineColumn};
use driftline_analytics::judgement::{History, JudgeInput, judge};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::{Check, Finding, Ledger, Level, Report, WindowMeta};
use driftline_analytics::window::WindowState;
use driftline_config::time::{format_duration, format_instant};
use driftline_config::{Limits, Model};

use super::super::text_table::TextTable;

/// Sizes of windows for which the smallest detectable drift is shown.
const SIZES: [u64; 3] = [100, 1000, 10_000];
/// Rows that are kept to show it: the largest of these sizes.
const SAMPLE: u64 = 10_000;

/// Rows spread evenly over a table of a known length.
#[derive(Debug)]
pub(super) struct Sample {
    rows: u64,
    seen: u64,
    batches: Vec<RecordBatch>,
}

impl Sample {
    /// Of a table of so many rows.
    pub(super) fn new(rows: u64) -> Sample {
        Sample { rows, seen: 0, batches: Vec::new() }
    }

    /// Takes its share of a batch.
    pub(super) fn see(&mut self, batch: &RecordBatch) {
        let rows = self.rows.max(1);
        let place = |row: u64| u128::from(row) * u128::from(SAMPLE.min(rows)) / u128::from(rows);
        let taken: UInt64Array = (0..batch.num_rows() as u64)
            .filter(|row| place(self.seen + row) < place(self.seen + row + 1))
            .collect();
        self.seen += batch.num_rows() as u64;
        // Rows of a batch can always be taken from it.
        if let Ok(rows) = take_record_batch(batch, &taken) {
            self.batches.push(rows);
        }
    }

    /// A window of so many of these rows, spread evenly; again from the start where there are
    /// fewer.
    fn window(&self, layout: &Layout, size: u64) -> WindowState {
        let mut state = WindowState::new(layout);
        let kept: u64 = self.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let mut wanted = size;
        while wanted > 0 && kept > 0 {
            let round = wanted.min(kept);
            let place = |row: u64| row * round / kept;
            let mut seen = 0;
            for batch in &self.batches {
                let rows: Vec<u32> = (0..batch.num_rows() as u32)
                    .filter(|&row| place(seen + u64::from(row)) < place(seen + u64::from(row) + 1))
                    .collect();
                state.absorb(layout, batch, &rows);
                seen += batch.num_rows() as u64;
            }
            wanted -= round;
        }
        state
    }
}

/// The table that is printed about a new baseline.
///
/// # Errors
/// Where the model's settings do not fit the baseline.
pub(super) fn describe(
    model: &Model,
    limits: &Limits,
    built: &Built,
    sample: &Sample,
) -> anyhow::Result<String> {
    let baseline = &built.baseline;
    let baselines = Baselines { default: Arc::new(baseline.clone()), by_version: BTreeMap::new() };
    let layout = Layout::new(model, &baselines, limits)?;
    let judged = |state: &WindowState, start_us: i64, history: &History| {
        judge(&JudgeInput {
            model,
            config_sha256: "",
            layout: &layout,
            baselines: &baselines,
            state,
            window: window_of(model, start_us),
            history,
        })
    };
    let prospects: Vec<Report> = SIZES
        .iter()
        .map(|&size| judged(&sample.window(&layout, size), 0, &History::default()).0)
        .collect();
    let mut text = columns(baseline, &prospects);
    text.push('\n');
    let mut history = History::default();
    let mut alarmed = Vec::new();
    for (start_us, state) in &built.own_windows {
        let (report, next) = judged(state, *start_us, &history);
        history = next;
        if report.level == Level::Alarm {
            alarmed.push((*start_us, report));
        }
    }
    text.push_str(&own_windows(model, built.own_windows.len(), &alarmed));
    Ok(text)
}

fn window_of(model: &Model, start_us: i64) -> WindowMeta {
    WindowMeta {
        id: String::new(),
        start_us,
        end_us: start_us.saturating_add(model.window.every_us),
        parts: 1,
        incomplete: Vec::new(),
        previous: None,
        ledger: Ledger::default(),
        cuts: BTreeMap::new(),
    }
}

fn columns(baseline: &Baseline, prospects: &[Report]) -> String {
    let mut table = TextTable::new(&[
        "column",
        "kind",
        ">distinct",
        ">missing",
        ">tolerance",
        ">100 rows",
        ">1000 rows",
        ">10000 rows",
        "tolerance from",
    ]);
    for column in &baseline.columns {
        let found: Vec<Option<&Finding>> =
            prospects.iter().map(|report| distribution(report, column.subject())).collect();
        let known = found.iter().flatten().next();
        let mut row = vec![
            column.subject().to_owned(),
            kind(column),
            distinct(column),
            share(column.missing(), column.n() + column.missing() + column.wrong_type()),
            known
                .and_then(|finding| finding.effect())
                .map_or_else(String::new, |effect| format!("{:.3}", effect.tolerance)),
        ];
        row.extend(found.iter().map(|finding| detectable(*finding)));
        row.push(known.map_or_else(|| "not judged".to_owned(), |finding| tolerance_from(finding)));
        table.row(row);
    }
    let heading = "smallest KS (numeric) or PSI (categorical) on which windows of so many rows could alarm:\n";
    format!("{heading}{}", table.render())
}

/// Findings about predictions name the version too.
fn distribution<'a>(report: &'a Report, subject: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|finding| {
        let behind = finding.subject.strip_prefix(subject);
        finding.check == Check::Distribution
            && behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('@'))
    })
}

fn kind(column: &BaselineColumn) -> String {
    match column {
        BaselineColumn::Numeric(numeric) if numeric.discrete => "numeric, discrete".to_owned(),
        BaselineColumn::Numeric(_) => "numeric".to_owned(),
        BaselineColumn::Categorical(_) => "categorical".to_owned(),
    }
}

fn distinct(column: &BaselineColumn) -> String {
    match column {
        BaselineColumn::Numeric(numeric) => numeric.distinct.to_string(),
        BaselineColumn::Categorical(categorical) if categorical.too_many_values => {
            "too many".to_owned()
        }
        BaselineColumn::Categorical(categorical) => {
            (categorical.categories.len() + categorical.other_hashes.len()).to_string()
        }
    }
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn detectable(finding: Option<&Finding>) -> String {
    let value = finding.and_then(|finding| {
        let ks = finding.ks.as_ref().map(|ks| ks.detectable);
        ks.or_else(|| finding.psi.as_ref().and_then(|psi| psi.detectable))
    });
    match value {
        Some(value) if value < 1.0 => format!("{value:.3}"),
        _ => "none".to_owned(),
    }
}

fn tolerance_from(finding: &Finding) -> String {
    let ks = finding.ks.as_ref().map(|ks| ks.tolerance_from.clone());
    let psi = || finding.psi.as_ref().and_then(|psi| psi.tolerance_from.clone());
    let mut text = ks.or_else(psi).unwrap_or_default();
    if !finding.judged {
        text = format!("not judged; {text}");
    }
    for note in &finding.notes {
        text = format!("{text}; {note}");
    }
    text
}

fn own_windows(model: &Model, windows: usize, alarmed: &[(i64, Report)]) -> String {
    let every = format_duration(model.window.every_us);
    if windows == 0 {
        return format!(
            "no windows of its own (of {every}): tolerances are the floors; --time COLUMN lets the baseline say how far its columns move by themselves\n"
        );
    }
    let mut text = format!(
        "with these settings {} of {windows} own windows of {every} would have alarmed\n",
        alarmed.len()
    );
    for (start_us, report) in alarmed {
        let because: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Alarm)
            .take(3)
            .map(|finding| finding.because.as_str())
            .collect();
        text.push_str(&format!("  {}: {}\n", format_instant(*start_us), because.join("; ")));
    }
    text
}
