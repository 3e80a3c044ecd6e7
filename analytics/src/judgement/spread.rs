//! The distributions behind the findings of a window, for those who draw them.

use std::collections::BTreeMap;

use driftline_config::Subject;

use super::JudgeInput;
use super::column::{Column, columns};
use crate::baseline::{BaselineColumn, NumericBaseline};
use crate::cells::{Cell, Reference};
use crate::report::{Ks, Report};
use crate::shape::{Furthest, Shape};

/// The shapes of all columns of a window that have values on both sides, by subject as in its
/// report. Private columns of numbers have none: each point is a value.
pub fn shapes(input: &JudgeInput<'_>, report: &Report) -> BTreeMap<Subject, Shape> {
    let distances: BTreeMap<&str, &Ks> = report
        .findings
        .iter()
        .filter_map(|finding| Some((finding.subject.as_str(), finding.ks.as_ref()?)))
        .collect();
    let shaped = columns(input).into_iter().filter_map(|column| {
        let shape = shape(&column, distances.get(column.subject.as_str()).copied())?;
        Some((column.subject, shape))
    });
    shaped.collect()
}

fn shape(column: &Column<'_>, distance: Option<&Ks>) -> Option<Shape> {
    match (column.baseline, column.reference, &*column.cell) {
        (BaselineColumn::Numeric(baseline), Reference::Numeric(reference), Cell::Numeric(cell)) => {
            let counts = (!column.private).then(|| cell.counts(reference))?;
            let furthest = distance.and_then(|distance| furthest(baseline, distance));
            Shape::of_numbers(baseline, &counts, furthest, cell.moments())
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

/// Where the report says that the distance is.
fn furthest(baseline: &NumericBaseline, distance: &Ks) -> Option<Furthest> {
    let (at, comparison) = (distance.at?, distance.comparison?);
    let cut = baseline.cut_points.binary_search_by(|cut| cut.total_cmp(&at.0)).ok()?;
    Some(Furthest { cut, comparison })
}
