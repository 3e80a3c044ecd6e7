//! Building a baseline in two passes over the same rows: the first chooses cut points and
//! categories, the second counts every row at them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use driftline_capture::{CaptureBatch, CaptureSchema, Kind};
use driftline_config::{Limits, Subject, WindowGrid};

use super::{Baseline, BaselineColumn, Index, Provenance};
use crate::cells::Reference;
use crate::layout::Layout;
use crate::window::{Part, WindowState};

mod choose;
mod finish;
mod rare;

use rare::RareCategories;

pub(super) use choose::DISCRETE;
pub(super) use finish::{psi_bins, set_judged};

/// How a baseline is built.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// How many cut points a numeric column may have.
    pub cut_points: CutPoints,
    /// How the rows are cut into own windows, where they have a time.
    pub own_windows: Option<OwnWindowRule>,
    /// The operator says that the predictions are held-out or out-of-fold. Predictions of training
    /// rows are sharper than those of other rows and are refused.
    pub held_out_predictions: bool,
    /// How many categories are kept by name and by hash.
    pub limits: Limits,
}

/// How many cut points a numeric column may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutPoints {
    /// All distinct values where there are at most so many, else quantiles and heavy values.
    AtMost(usize),
    /// All distinct values, so that KS is exact.
    All,
}

impl Default for CutPoints {
    /// 1024: they bracket KS within 0.001.
    fn default() -> CutPoints {
        CutPoints::AtMost(1024)
    }
}

/// How rows are cut into own windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWindowRule {
    /// Where they begin and end.
    pub grid: WindowGrid,
    /// Rows below which a window is carried into the next. Too few rows at the end stand in the
    /// baseline and in no own window.
    pub at_least: u64,
}

/// The first pass: collects the values of every column.
///
/// It holds 8 bytes per numeric value and each distinct text once, up to `limits.category_hashes`
/// per column: a hundred million numbers take 800 MB.
#[derive(Debug)]
pub struct Builder {
    schema: CaptureSchema,
    options: BuildOptions,
    values: Vec<Collected>,
}

#[derive(Debug)]
enum Collected {
    Numbers(Vec<f64>),
    Texts(HashMap<Box<str>, u64>),
    /// More distinct texts than are kept by hash.
    TooMany,
}

/// The second pass: counts every row at the chosen cut points and categories.
#[derive(Debug)]
pub struct Counting {
    options: BuildOptions,
    /// The chosen columns without counts, and how many values the first pass saw in each.
    skeleton: Arc<Baseline>,
    observed: Vec<Option<u64>>,
    layout: Layout,
    /// By start; a single one at 0 without own windows.
    windows: BTreeMap<i64, WindowState>,
    /// By place of the column: those with categories that are known by hash alone, where rows are cut
    /// into own windows.
    rare: BTreeMap<usize, RareCategories>,
    /// Stretches whose rows were kept from it, in microseconds.
    left_out: Vec<Range<i64>>,
}

/// A finished baseline.
#[derive(Debug)]
pub struct Built {
    /// The baseline; its `sha256` is that of [`Baseline::to_json`].
    pub baseline: Baseline,
    /// The own windows after carrying, by start in microseconds, as they would be judged.
    pub own_windows: Vec<(i64, WindowState)>,
}

/// Why a baseline cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error(
        "{subject} would become a baseline from predictions of rows that may be training rows, which are sharper than others: leave it out, or say that they are held-out or out-of-fold"
    )]
    TrainingPredictions { subject: Subject },
    #[error("there are {columns} columns, limits.columns is {limit}")]
    TooManyColumns { columns: usize, limit: usize },
    /// No row without failure.
    #[error(
        "there are no rows to build a baseline from (rows with a status of 400 or above do not count)"
    )]
    NoRows,
    /// The two passes did not see the same rows.
    #[error(
        "the values of {subject} differ between the two passes: the source changed meanwhile, build again"
    )]
    SourceChanged { subject: Subject },
}

impl Builder {
    /// Begins a baseline of the columns of `schema`; its `ignored` ones are recorded as seen.
    ///
    /// # Errors
    /// Predictions that are not declared held-out, or too many columns.
    pub fn new(schema: CaptureSchema, options: BuildOptions) -> Result<Builder, BuildError> {
        let prediction = schema.columns.iter().find(|column| column.is_prediction());
        if let Some(column) = prediction.filter(|_| !options.held_out_predictions) {
            return Err(BuildError::TrainingPredictions { subject: column.subject.clone() });
        }
        let (columns, limit) = (schema.columns.len(), options.limits.columns);
        if columns > limit {
            return Err(BuildError::TooManyColumns { columns, limit });
        }
        let values = schema.columns.iter().map(|column| Collected::new(column.kind)).collect();
        Ok(Builder { schema, options, values })
    }

    /// Sees one batch whose value columns are those of the schema.
    pub fn observe(&mut self, batch: &CaptureBatch) {
        let all: Vec<u32> = (0..batch.rows() as u32).collect();
        let rows = Part { batch, rows: &all }.without_failure();
        for (values, column) in self.values.iter_mut().zip(batch.values()) {
            values.observe(column, &rows, self.options.limits.category_hashes);
        }
    }

    /// Ends the first pass.
    pub fn choose(self) -> Counting {
        let Builder { schema, options, values } = self;
        let mut observed = Vec::with_capacity(values.len());
        let mut columns = Vec::with_capacity(values.len());
        for (column, values) in schema.columns.iter().zip(values) {
            let (chosen, n) = choose::column(&column.subject, values, &options);
            columns.push(chosen);
            observed.push(n);
        }
        let mut columns_seen = schema.ignored;
        columns_seen.extend(schema.columns.into_iter().map(|column| column.subject));
        columns_seen.sort_unstable();
        columns_seen.dedup();
        let skeleton = Arc::new(Baseline {
            provenance: Provenance::default(),
            rows: 0,
            columns,
            columns_seen,
            windows: None,
            own_effects: None,
            sha256: String::new(),
            index: Index::default(),
        });
        let layout = Layout::of_baseline(&skeleton, &options.limits);
        let hashed = skeleton.columns.iter().enumerate().filter(|(_, column)| {
            matches!(column, BaselineColumn::Categorical(column) if !column.other_hashes.is_empty())
        });
        let rare = hashed.filter(|_| options.own_windows.is_some());
        let rare = rare.map(|(index, _)| (index, RareCategories::default())).collect();
        Counting {
            options,
            skeleton,
            observed,
            layout,
            windows: BTreeMap::new(),
            rare,
            left_out: Vec::new(),
        }
    }
}

impl Collected {
    fn new(kind: Kind) -> Collected {
        match kind {
            Kind::Numeric => Collected::Numbers(Vec::new()),
            Kind::Categorical => Collected::Texts(HashMap::new()),
        }
    }

    fn observe(&mut self, column: &dyn Array, rows: &[u32], most: usize) {
        let present = rows.iter().map(|&row| row as usize).filter(|&row| column.is_valid(row));
        match self {
            Collected::Numbers(values) => {
                if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
                    // Adding zero makes -0.0 the 0.0 it equals.
                    let present = present.map(|row| numbers.value(row) + 0.0);
                    values.extend(present.filter(|value| !value.is_nan()));
                }
            }
            Collected::Texts(counts) => {
                let Some(texts) = column.as_string_opt::<i32>() else { return };
                for row in present {
                    let text = texts.value(row);
                    match counts.get_mut(text) {
                        Some(count) => *count += 1,
                        None => {
                            counts.insert(text.into(), 1);
                        }
                    }
                }
                if counts.len() > most {
                    *self = Collected::TooMany;
                }
            }
            Collected::TooMany => {}
        }
    }
}

impl Counting {
    /// Counts one batch; the batches of this pass hold the rows of the first.
    pub fn count(&mut self, batch: &CaptureBatch) {
        let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (row, &time_us) in (0_u32..).zip(batch.times_us()) {
            let rule = self.options.own_windows.as_ref();
            let start_us = rule.map_or(0, |rule| rule.grid.start_us(time_us));
            rows.entry(start_us).or_default().push(row);
        }
        for (start_us, rows) in rows {
            self.windows.entry(start_us).or_default().absorb(&self.layout, batch, &rows);
            self.count_rare(batch, &rows, start_us);
        }
    }

    fn count_rare(&mut self, batch: &CaptureBatch, rows: &[u32], start_us: i64) {
        if self.rare.is_empty() {
            return;
        }
        let rows = Part { batch, rows }.without_failure();
        let predictions = self.layout.prediction_references(None);
        let references = self.layout.feature_references().iter().chain(predictions);
        for (index, (reference, column)) in references.zip(batch.values()).enumerate() {
            if let (Some(rare), Reference::Categorical(reference)) =
                (self.rare.get_mut(&index), reference)
            {
                rare.count(reference, column, &rows, start_us);
            }
        }
    }

    /// Says that rows of these stretches were kept from it, so that no run of own windows reaches over one.
    pub fn leave_out(&mut self, stretches_us: &[Range<i64>]) {
        self.left_out = stretches_us.to_vec();
    }

    /// Ends the second pass. `source` says in the baseline where the rows came from.
    ///
    /// # Errors
    /// No rows, or a source that changed between the passes.
    pub fn finish(self, source: &str) -> Result<Built, BuildError> {
        finish::finish(self, source)
    }
}

#[cfg(test)]
mod tests;
