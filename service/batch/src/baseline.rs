//! What a model is compared with, built from rows that are read twice.

use std::ops::Range;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use driftline_analytics::baseline::build::{
    BuildOptions, Builder, Built, CutPoints, OwnWindowRule,
};
use driftline_config::time::{DAY_US, format_instant, parse_instant_us};
use driftline_config::{Limits, Model};
use driftline_files::Choices;
use driftline_pipeline::capture::columns::Column;
use driftline_pipeline::capture::{CaptureBatch, CaptureSchema};

use crate::prospect::Sample;
use crate::reading::{Surveyed, infer};
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
    /// Columns whose values are numbers whatever they look like.
    pub numeric: Vec<String>,
    pub ignore: Vec<String>,
    /// Stretches of time (microseconds, the end excluded) that are known to be unlike the rest: their
    /// rows are left out.
    pub except: Vec<Range<i64>>,
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
        numeric: options.numeric.clone(),
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
    let rows = Without { rows, except: &options.except };
    let built =
        count_twice(&rows, inferred.schema, build, audience, &mut |batch| sample.see(batch))?;
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

/// Reads `2013-02-08`, `2013-02-08..10` or `2013-02-08..2013-03-01`: whole days in UTC, the last one
/// included, as microseconds.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_except(text: &str) -> Result<Range<i64>, String> {
    let expected = || format!("\"{text}\" is not a stretch of days: write 2013-02-08..10");
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let last = match (last.len(), first.get(..8)) {
        (2, Some(month)) => format!("{month}{last}"),
        _ => last.to_owned(),
    };
    let midnight_us = |date: &str| {
        let instant = (date.len() == 10).then(|| parse_instant_us(&format!("{date}T00:00:00Z")));
        instant.and_then(Result::ok).ok_or_else(expected)
    };
    let (from_us, last_us) = (midnight_us(first)?, midnight_us(&last)?);
    if last_us < from_us {
        return Err(format!("\"{text}\" ends before it begins"));
    }
    Ok(from_us..last_us.saturating_add(DAY_US))
}

/// Rows without those of some stretches of time.
struct Without<'a> {
    rows: &'a dyn RowSource,
    except: &'a [Range<i64>],
}

impl RowSource for Without<'_> {
    fn name(&self) -> String {
        let except = self.except.iter().map(|stretch| {
            format!(" without {} to {}", format_instant(stretch.start), format_instant(stretch.end))
        });
        format!("{}{}", self.rows.name(), except.collect::<String>())
    }

    fn left_out(&self) -> &[Range<i64>] {
        self.except
    }

    fn has_time(&self) -> Result<bool, BatchError> {
        self.rows.has_time()
    }

    fn is_production(&self) -> bool {
        self.rows.is_production()
    }

    fn survey(&self, audience: &mut Audience<'_>) -> Result<Surveyed, BatchError> {
        self.rows.survey(audience)
    }

    fn each(
        &self,
        schema: &CaptureSchema,
        audience: &mut Audience<'_>,
        see: &mut dyn FnMut(&CaptureBatch),
    ) -> Result<(), BatchError> {
        self.rows.each(schema, audience, &mut |batch| {
            let out = |time_us: &i64| self.except.iter().any(|stretch| stretch.contains(time_us));
            if !batch.times_us().iter().any(out) {
                see(batch);
                return;
            }
            let kept: BooleanArray =
                batch.times_us().iter().map(|time_us| Some(!out(time_us))).collect();
            let rows = filter_record_batch(batch.record_batch(), &kept).map(CaptureBatch::new);
            // Rows of a batch can always be taken from it, and are captures as they were before.
            if let Ok(Ok(rows)) = rows {
                see(&rows);
            }
        })
    }
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
    counting.leave_out(rows.left_out());
    rows.each(&schema, audience, &mut |batch| {
        counting.count(batch);
        beside(batch);
    })?;
    Ok(counting.finish(&rows.name())?)
}

#[cfg(test)]
mod tests;
