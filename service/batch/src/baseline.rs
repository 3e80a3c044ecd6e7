//! What a model is compared with, built from rows that are read twice.

use driftline_analytics::baseline::build::{
    BuildOptions, Builder, Built, CutPoints, OwnWindowRule,
};
use driftline_config::{Limits, Model};
use driftline_files::Choices;
use driftline_pipeline::capture::columns::Column;
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
    /// Columns of the rows that are not in it.
    pub skipped: u64,
    /// Whether the rows had event times.
    pub timed: bool,
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
    let timed = rows.has_time()?;
    let predicted = inferred.schema.columns.iter().any(Column::is_prediction);
    if predicted && rows.is_production() && !options.held_out_predictions {
        audience.note(&format!(
            "{}: predictions of captures are of rows that were answered in production: taken for held-out",
            rows.name()
        ));
    }
    if !predicted {
        audience.notes(&likely_predictions(&rows.name(), &inferred.schema));
    }
    let build = BuildOptions {
        cut_points: options.cut_points,
        own_windows: timed.then_some(own_windows),
        held_out_predictions: options.held_out_predictions || rows.is_production(),
        limits: (*limits).clone(),
    };
    let mut sample = Sample::new(count);
    let skipped = inferred.skipped;
    let built =
        count_twice(rows, inferred.schema, build, audience, &mut |batch| sample.see(batch))?;
    Ok(NewBaseline { built, skipped, timed, sample })
}

/// Says which features have the names of what a model answers, where no column is a prediction.
fn likely_predictions(name: &str, schema: &CaptureSchema) -> Vec<String> {
    const NAMES: [&str; 12] = [
        "prediction",
        "predicted",
        "pred",
        "y_pred",
        "y_hat",
        "yhat",
        "score",
        "proba",
        "probability",
        "y_score",
        "label",
        "output",
    ];
    let likely = schema
        .columns
        .iter()
        .filter(|column| NAMES.iter().any(|likely| column.name().eq_ignore_ascii_case(likely)));
    let sentence = |column: &Column| {
        let column = column.name();
        format!(
            "{name}: column {column} becomes a feature; if it is what the model answered, write --rename {column}=prediction:{column}"
        )
    };
    likely.map(sentence).collect()
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
