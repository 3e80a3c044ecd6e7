//! What is counted per column, per version and per window: sums that merge in any order.

mod absent;
mod categorical;
mod cut_list;
mod cuts;
mod latency;
mod numeric;
mod requests;
mod slots;
mod wide;

pub use categorical::{CategoricalCell, CategoricalReference};
pub use cut_list::CutList;
pub use latency::LatencyCell;
pub use numeric::{NumericCell, NumericReference};
pub use requests::{RequestCell, StatusClass, weight};
pub use slots::Slots;

use crate::encoding::{DecodeError, Reader};
use crate::names::BottomK;

/// How many examples of values of the wrong type a column keeps: those with the smallest keyed
/// hashes, so that no order of rows decides which.
pub const EXAMPLES_KEPT: usize = 3;

/// Examples of values of the wrong type, each with its exact count.
pub type Examples = BottomK<EXAMPLES_KEPT>;

/// What is counted of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Numeric(NumericCell),
    Categorical(CategoricalCell),
}

/// What a column's values are counted by: its baseline.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    Numeric(NumericReference),
    Categorical(CategoricalReference),
}

impl Reference {
    /// An empty cell of this column; it owns no memory.
    pub fn empty_cell(&self) -> Cell {
        match self {
            Reference::Numeric(_) => Cell::Numeric(NumericCell::default()),
            Reference::Categorical(_) => Cell::Categorical(CategoricalCell::default()),
        }
    }
}

impl Cell {
    /// Values that are neither missing nor of the wrong type.
    pub fn n(&self) -> u64 {
        match self {
            Cell::Numeric(cell) => cell.n(),
            Cell::Categorical(cell) => cell.n(),
        }
    }

    /// Missing values.
    pub fn missing(&self) -> u64 {
        match self {
            Cell::Numeric(cell) => cell.missing(),
            Cell::Categorical(cell) => cell.missing(),
        }
    }

    /// Values of the wrong type.
    pub fn wrong_type(&self) -> u64 {
        match self {
            Cell::Numeric(cell) => cell.wrong_type(),
            Cell::Categorical(cell) => cell.wrong_type(),
        }
    }

    /// Examples of values of the wrong type.
    pub fn examples(&self) -> &Examples {
        match self {
            Cell::Numeric(cell) => cell.examples(),
            Cell::Categorical(cell) => cell.examples(),
        }
    }

    /// Rows counted: present, missing and of the wrong type.
    pub fn rows(&self) -> u64 {
        self.n() + self.missing() + self.wrong_type()
    }

    /// Adds everything `other` counted by the same reference.
    pub fn merge(&mut self, reference: &Reference, other: &Cell) {
        match (self, reference, other) {
            (Cell::Numeric(cell), Reference::Numeric(reference), Cell::Numeric(other)) => {
                cell.merge(reference, other);
            }
            (
                Cell::Categorical(cell),
                Reference::Categorical(reference),
                Cell::Categorical(other),
            ) => cell.merge(reference, other),
            _ => debug_assert!(false, "cells of one layout have one kind"),
        }
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        match self {
            Cell::Numeric(cell) => cell.bytes(),
            Cell::Categorical(cell) => cell.bytes(),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Cell::Numeric(cell) => cell.encode(out),
            Cell::Categorical(cell) => cell.encode(out),
        }
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        reference: &Reference,
    ) -> Result<Cell, DecodeError> {
        match reference {
            Reference::Numeric(reference) => {
                NumericCell::decode(reader, reference).map(Cell::Numeric)
            }
            Reference::Categorical(reference) => {
                CategoricalCell::decode(reader, reference).map(Cell::Categorical)
            }
        }
    }
}

/// The values of one column in one batch, and which rows of it count.
#[derive(Debug)]
pub struct Values<'a, A> {
    pub values: &'a A,
    /// The texts of values of the wrong type, where a row of the batch has one.
    pub wrong_type: Option<&'a arrow::array::StringArray>,
    /// The rows that count.
    pub rows: Chosen<'a>,
}

/// Rows of a batch, by index. Most often they are a run, which is counted without looking at each.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    rows: &'a [u32],
    /// The first of them, where each further one is the next.
    run_from: Option<usize>,
}

impl<'a> Chosen<'a> {
    /// These rows.
    pub fn new(rows: &'a [u32]) -> Chosen<'a> {
        let first = rows.first().copied().unwrap_or(0);
        let is_run = (first..).zip(rows).fold(true, |run, (next, &row)| run & (row == next));
        Chosen { rows, run_from: is_run.then_some(first as usize) }
    }

    /// Their indices.
    pub fn indices(&self) -> &'a [u32] {
        self.rows
    }

    /// The run that they are, within a column of `length` values.
    pub fn run(&self, length: usize) -> Option<std::ops::Range<usize>> {
        let from = self.run_from?;
        let to = from + self.rows.len();
        (to <= length).then_some(from..to)
    }
}

/// Working memory for counting the columns of a batch, one after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) values: Vec<f64>,
    pub(crate) slots: Vec<u32>,
}

#[cfg(test)]
mod tests;
