//! What a model is compared with, built from rows that are read twice.

use driftline_analytics::baseline::build::{
    BuildOptions, Builder, Built, CutPoints, OwnWindowRule,
};
use driftline_config::{Limits, Model};
use driftline_files::Choices;
use driftline_pipeline::capture::{CaptureBatch, CaptureSchema};

use crate::prospect::Sample;
use crate::reading::infer;
use crate::{Audience, BatchError, RowSource, coerced};

/// For which model, and how.
#[derive(Debug, Clone)]
pub struct BaselineOptions<'a> {
    pub model: &'a Model,
    pub limits: &'a Limits,
    pub cut_points: CutPoints,
    /// The operator says that the predictions are those of rows that the model was not trained on.
    pub held_out_predictions: bool,
    /// Columns whose values are categories whatever they look like.
    pub categorical: Vec<String>,
    pub ignore: Vec<String>,
}

/// A baseline, with what is needed to say what it will be able to find.
#[derive(Debug)]
pub struct NewBaseline {
    pub built: Built,
    pub(crate) sample: Sample,
}

/// Builds the baseline of a model. Its sample is spread evenly over the rows.
///
/// # Errors
/// What cannot be read or built, in one sentence.
pub fn build(
    rows: &dyn RowSource,
    options: &BaselineOptions<'_>,
    audience: &mut Audience<'_>,
) -> Result<NewBaseline, BatchError> {
    let BaselineOptions { model, limits, .. } = options;
    let choices = Choices {
        categorical: options.categorical.clone(),
        ignore: options.ignore.clone(),
        coerced: coerced(model),
    };
    let (count, inferred) = infer(rows, &choices, audience)?;
    let own_windows = OwnWindowRule { grid: model.window.grid(), at_least: model.window.at_least };
    let build = BuildOptions {
        cut_points: options.cut_points,
        own_windows: rows.has_time()?.then_some(own_windows),
        held_out_predictions: options.held_out_predictions,
        limits: (*limits).clone(),
    };
    let mut sample = Sample::new(count);
    let built =
        count_twice(rows, inferred.schema, build, audience, &mut |batch| sample.see(batch))?;
    Ok(NewBaseline { built, sample })
}

/// The two passes over the rows; the second is shown to `beside` too.
pub(crate) fn count_twice(
    rows: &dyn RowSource,
    schema: CaptureSchema,
    options: BuildOptions,
    audience: &mut Audience<'_>,
    beside: &mut dyn FnMut(&CaptureBatch),
) -> Result<Built, BatchError> {
    let mut builder = Builder::new(schema.clone(), options)?;
    rows.each(&schema, audience, &mut |batch| builder.observe(batch))?;
    let mut counting = builder.choose();
    rows.each(&schema, audience, &mut |batch| {
        counting.count(batch);
        beside(batch);
    })?;
    Ok(counting.finish(&rows.name())?)
}

#[cfg(test)]
mod tests;
