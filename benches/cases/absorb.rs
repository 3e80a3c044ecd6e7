//! Batches of 20 numeric features with 2048 cut points each, counted into a window.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::Float64Type;
use driftline_analytics::baseline::Baseline;
use driftline_analytics::baseline::build::CutPoints;
use driftline_analytics::layout::Layout;
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_config::Limits;
use driftline_world::{Answers, baseline_of, numeric_batch};

use super::BATCH_ROWS;

/// Cut points of a column.
pub(crate) const CUT_POINTS: usize = 2048;
/// Rows of the baseline.
const BASELINE_ROWS: usize = 100_000;

/// A baseline of `features` numeric columns, and batches to compare with it.
pub(crate) struct Case {
    pub(crate) layout: Layout,
    pub(crate) batches: Vec<CaptureBatch>,
    pub(crate) rows: Vec<u32>,
}

impl Case {
    /// Columns take turns among five shapes; every fourth has one value in a hundred missing.
    pub(crate) fn new(features: usize, batches: usize) -> Case {
        let layout = Layout::of_baseline(&Arc::new(baseline(features)), &Limits::default());
        let mut random = fastrand::Rng::with_seed(11);
        let batches = (0..batches).map(|_| batch(features, BATCH_ROWS, &mut random)).collect();
        Case { layout, batches, rows: (0..BATCH_ROWS as u32).collect() }
    }

    /// Counts one batch.
    pub(crate) fn absorb(&self, window: &mut WindowState, batch: usize) {
        if let Some(batch) = self.batches.get(batch % self.batches.len()) {
            window.absorb(&self.layout, batch, &self.rows);
        }
    }

    /// Counts the first `rows` of the first batch.
    pub(crate) fn absorb_first(&self, window: &mut WindowState, rows: usize) {
        if let (Some(batch), Some(rows)) = (self.batches.first(), self.rows.get(..rows)) {
            window.absorb(&self.layout, batch, rows);
        }
    }

    /// What one counter per cut point costs at least with the standard library: a binary search per
    /// value.
    pub(crate) fn partition_points(&self, batch: usize) -> usize {
        let Some(batch) = self.batches.get(batch % self.batches.len()) else { return 0 };
        let references = self.layout.baselines().default.columns.iter();
        let mut sum = 0;
        for (reference, column) in references.zip(batch.values()) {
            let driftline_analytics::baseline::BaselineColumn::Numeric(reference) = reference
            else {
                continue;
            };
            for value in column.as_primitive::<Float64Type>().values() {
                sum += reference.cut_points.partition_point(|cut| cut < value);
            }
        }
        sum
    }
}

/// A baseline of numeric columns.
pub(crate) fn baseline(features: usize) -> Baseline {
    let column =
        |index| Column { subject: subject(index).into(), kind: Kind::Numeric, coerce: false };
    let columns = (0..features).map(column).collect();
    let schema = CaptureSchema { columns, ignored: Vec::new() };
    let rows = batch(features, BASELINE_ROWS, &mut fastrand::Rng::with_seed(3));
    baseline_of(schema, &[rows], CutPoints::AtMost(CUT_POINTS))
}

fn subject(index: usize) -> String {
    format!("feature:f{index:03}")
}

fn batch(features: usize, rows: usize, random: &mut fastrand::Rng) -> CaptureBatch {
    let latencies_us = Int64Array::from_iter_values((0..rows).map(|_| random.i64(500..20_000)));
    let answers = Answers { version: Some("3"), status: Some(200), latencies_us };
    let columns = (0..features).map(|index| {
        let column: ArrayRef = Arc::new(values(index, rows, random));
        (subject(index), column)
    });
    numeric_batch(answers, columns.collect())
}

fn values(index: usize, rows: usize, random: &mut fastrand::Rng) -> Float64Array {
    let mut value = || {
        let normal = normal(random);
        match index % 5 {
            0 => random.f64() * 1000.0,
            1 => normal,
            2 => (2.0 * normal).exp(),
            3 => (normal * 5000.0).round() / 100.0,
            _ => normal.abs().powi(5) * 1e6,
        }
    };
    if index.is_multiple_of(4) {
        let values: Vec<f64> = (0..rows).map(|_| value()).collect();
        (0..rows).zip(values).map(|(row, value)| (row % 100 != 7).then_some(value)).collect()
    } else {
        Float64Array::from_iter_values((0..rows).map(|_| value()))
    }
}

/// Box and Muller's way.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}
