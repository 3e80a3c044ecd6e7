//! The distributions behind the findings of a window, for those who draw them.

use std::collections::BTreeMap;

use super::JudgeInput;
use super::column::{Column, columns};
use crate::baseline::BaselineColumn;
use crate::cells::{Cell, Reference};
use crate::shape::Shape;

/// The shapes of all columns of a window that have values on both sides, by subject as in the
/// report. Private columns of numbers have none: each point is a value.
pub fn shapes(input: &JudgeInput<'_>) -> BTreeMap<String, Shape> {
    let shaped = columns(input).into_iter().filter_map(|column| {
        let shape = shape(&column)?;
        Some((column.subject, shape))
    });
    shaped.collect()
}

fn shape(column: &Column<'_>) -> Option<Shape> {
    match (column.baseline, column.reference, &*column.cell) {
        (BaselineColumn::Numeric(baseline), Reference::Numeric(reference), Cell::Numeric(cell)) => {
            let counts = (!column.private).then(|| cell.counts(reference))?;
            Shape::of_numbers(baseline, &counts, cell.moments())
        }
        (BaselineColumn::Categorical(baseline), _, Cell::Categorical(cell)) => {
            let counts =
                (!baseline.too_many_values).then(|| cell.judged_counts(baseline.judged))?;
            Shape::of_categories(baseline, &counts, column.private)
        }
        // A layout is made of its baselines, so that their kinds agree.
        _ => None,
    }
}
