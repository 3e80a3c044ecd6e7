//! Which part of the requests moved most, so that a sentence can name it.

use super::coarse::{CellRule, ColumnGrid};
use super::effect::{Tally, kolmogorov_smirnov};
use super::{Budget, Maximum, Measured, Number, Standing};
use crate::baseline::BaselineColumn;
use crate::cells::Cell;

/// A part of the requests, and its share on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct MovedPart {
    pub of: PartOf,
    pub window: f64,
    pub reference: f64,
    /// Whether the shares are of the values beside the one that most rows have.
    pub of_others: bool,
}

/// Which part it is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartOf {
    Above(f64),
    AtOrAbove(f64),
    Value(f64),
    Category(String),
    /// Whatever is not one of so many largest categories.
    Pool(usize),
    Missing,
    WrongType,
    NewValues,
    /// Both sides are the same.
    Nothing,
}

impl Budget {
    /// Own windows that differed less than this.
    pub(crate) fn beyond(&self, maximum: Maximum, value: f64) -> usize {
        let own = self.maxima.get(maximum.place()).map_or(&[][..], |ranked| &ranked.own);
        own.iter().filter(|&&own| value > own).count()
    }

    /// Values that a constant or discrete number of the baseline does not have.
    pub(crate) fn new_numbers(&self, baseline: &BaselineColumn, cell: &Cell) -> u64 {
        let (BaselineColumn::Numeric(column), Cell::Numeric(cell)) = (baseline, cell) else {
            return 0;
        };
        let few = column.exact && (column.discrete || column.distinct <= 1);
        let gaps = cell.used().filter(|(slot, _)| slot % 2 == 0).map(|(_, count)| count);
        if few { gaps.sum() } else { 0 }
    }

    /// A share: so many of so many, and what is expected.
    pub(crate) fn shares(&self, standing: &Standing, number: &Number) -> Option<((u64, u64), f64)> {
        let (grid, counted) = self.counted(standing, number)?;
        let found = grid.counted(number.measured, counted);
        let reference = match number.measured {
            Measured::NewValues => self.expected_new(number),
            what => grid.counted(what, &grid.reference),
        };
        Some(((found.count, found.of), share_of(reference)))
    }

    /// The part of the requests that moved most.
    pub(crate) fn part(
        &self,
        standing: &Standing,
        number: &Number,
        baseline: &BaselineColumn,
    ) -> MovedPart {
        let nothing =
            MovedPart { of: PartOf::Nothing, window: 0.0, reference: 0.0, of_others: false };
        let Some((grid, counted)) = self.counted(standing, number) else { return nothing };
        let what = number.measured;
        if let Some(((count, of), reference)) =
            self.shares(standing, number).filter(|_| what.is_share())
        {
            let of_part = match what {
                Measured::Missing => PartOf::Missing,
                Measured::WrongType => PartOf::WrongType,
                Measured::Class(cell) => value_of(cell as usize, baseline),
                _ => PartOf::NewValues,
            };
            let window = share_of(Tally { count, of });
            return MovedPart { of: of_part, window, reference, of_others: false };
        }
        let (window, reference) = (grid.cells(what, counted), grid.cells(what, &grid.reference));
        let (part, cells) = match &grid.shape {
            CellRule::Numeric { ends, apart, .. } => {
                let Some((_, cut)) = kolmogorov_smirnov(window, reference) else { return nothing };
                let ends = match (what, apart) {
                    (Measured::OtherPart, Some(apart)) => &apart.ends,
                    _ => ends,
                };
                let Some(&slot) = cut.cells.checked_sub(1).and_then(|cell| ends.get(cell)) else {
                    return nothing;
                };
                (above(slot as usize, baseline), cut.cells..window.len())
            }
            _ => {
                let cell = most_moved(window, reference);
                let skipped = usize::from(what == Measured::OtherPart);
                (value_of(cell + skipped, baseline), cell..cell + 1)
            }
        };
        let share = |counts: &[u64]| {
            let part = counts.get(cells.clone()).unwrap_or_default();
            share_of(Tally { count: part.iter().sum(), of: counts.iter().sum() })
        };
        MovedPart {
            of: part,
            window: share(window),
            reference: share(reference),
            of_others: what == Measured::OtherPart,
        }
    }

    fn counted<'a>(
        &'a self,
        standing: &'a Standing,
        number: &Number,
    ) -> Option<(&'a ColumnGrid, &'a super::CoarseColumn)> {
        let window = standing.merged.get(number.place)?.as_ref()?;
        Some((self.grid.columns().get(number.column)?, window.columns.get(number.column)?))
    }
}

fn share_of(counted: Tally) -> f64 {
    if counted.of == 0 { 0.0 } else { counted.count as f64 / counted.of as f64 }
}

/// The cell whose share differs most; the first of several.
fn most_moved(window: &[u64], reference: &[u64]) -> usize {
    let (of_window, of_reference) = (window.iter().sum::<u64>(), reference.iter().sum::<u64>());
    let moved = window.iter().zip(reference).map(|(&count, &known)| {
        let window = u128::from(count) * u128::from(of_reference);
        window.abs_diff(u128::from(known) * u128::from(of_window))
    });
    let most = moved.enumerate().reduce(|most, next| if next.1 > most.1 { next } else { most });
    most.map_or(0, |(cell, _)| cell)
}

/// The values from a slot on: odd slots are cut points, even ones lie above one.
fn above(slot: usize, baseline: &BaselineColumn) -> PartOf {
    let BaselineColumn::Numeric(column) = baseline else { return PartOf::Nothing };
    let cut = if slot % 2 == 1 { slot / 2 } else { (slot / 2).saturating_sub(1) };
    match column.cut_points.get(cut) {
        Some(&value) if slot % 2 == 1 => PartOf::AtOrAbove(value),
        Some(&value) => PartOf::Above(value),
        None => PartOf::Nothing,
    }
}

/// The category, or the value of a discrete number, of a cell.
fn value_of(cell: usize, baseline: &BaselineColumn) -> PartOf {
    match baseline {
        BaselineColumn::Numeric(column) => {
            let value = column.cut_points.get(cell / 2);
            value.map_or(PartOf::Nothing, |&value| PartOf::Value(value))
        }
        BaselineColumn::Categorical(column) if cell < column.judged => {
            let category = column.categories.get(cell);
            category.map_or(PartOf::Nothing, |(name, _)| PartOf::Category(name.clone()))
        }
        BaselineColumn::Categorical(column) => PartOf::Pool(column.judged),
    }
}
