//! Horvitz and Thompson's weights: what a row stands for where only a share of the rows was sent, and the
//! sums that such weights add to the plain ones.

use super::QualityError;
use super::fixed::{Change, FixedSum};
use crate::cells;
use crate::encoding::{DecodeError, Reader, put_signed};
use crate::exact::ExactSum;

/// One such row outweighs all that a window can hold; the rows of RULES §1 have no smaller rate.
const MOST_WEIGHT: f64 = 1e9;
/// Counts and sums further from zero than this cannot have been counted.
const MOST_COUNT: i64 = 1 << 53;

/// 1/sample_rate of a capture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleWeight(f64);

impl SampleWeight {
    /// Of a row that was not sampled.
    pub const ONE: SampleWeight = SampleWeight(1.0);

    /// What a row with this `sample_rate` stands for; 1 where that is no rate from 1e-9 to 1.
    pub fn of_rate(sample_rate: f64) -> SampleWeight {
        SampleWeight(cells::weight(sample_rate))
    }

    /// 1/sample_rate, from 1 to 10^9.
    ///
    /// # Errors
    /// [`QualityError::Weight`] for any other number.
    pub fn new(weight: f64) -> Result<SampleWeight, QualityError> {
        if (1.0..=MOST_WEIGHT).contains(&weight) {
            Ok(SampleWeight(weight))
        } else {
            Err(QualityError::Weight { weight, most: MOST_WEIGHT })
        }
    }

    /// The weight: 1 over the rate at which rows were kept.
    pub fn value(self) -> f64 {
        self.0
    }

    /// What it adds to counting the row once.
    pub(super) fn excess(self) -> f64 {
        self.0 - 1.0
    }
}

/// How rows are weighed when figures are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weighing {
    /// By 1/sample_rate instead of each row once.
    pub sampled: bool,
    /// By class (0 negative, 1 positive; or the index of a class): 1/P(a label of it has come by this
    /// age). Empty, or short of a class: 1.
    pub by_class: Vec<f64>,
}

impl Weighing {
    /// Each row once.
    pub const PLAIN: Weighing = Weighing { sampled: false, by_class: Vec::new() };

    /// By 1/sample_rate.
    pub fn sampled() -> Weighing {
        Weighing { sampled: true, by_class: Vec::new() }
    }

    /// The weight of a class.
    pub fn of_class(&self, class: usize) -> f64 {
        self.by_class.get(class).copied().unwrap_or(1.0)
    }
}

/// Rows, and what weights make of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RowCount {
    rows: i64,
    /// Σ(w - 1).
    excess: FixedSum,
    /// Σ(w² - 1), which fixed point could not hold many of.
    excess_squares: ExactSum,
}

/// Σx of the rows as they are, and what weights add to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WeightedSum {
    plain: FixedSum,
    excess: FixedSum,
}

/// Σw and Σw² of some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Mass {
    pub(super) total: f64,
    pub(super) squares: f64,
}

impl Mass {
    /// Rows that each count once.
    pub(super) fn of_rows(rows: f64) -> Mass {
        Mass { total: rows, squares: rows }
    }

    pub(super) fn scaled(self, by: f64) -> Mass {
        Mass { total: by * self.total, squares: by * by * self.squares }
    }

    pub(super) fn plus(self, other: Mass) -> Mass {
        Mass { total: self.total + other.total, squares: self.squares + other.squares }
    }

    /// (Σw)²/Σw², Kish's number of rows of weight 1 that would tell as much.
    pub(super) fn effective(self) -> f64 {
        if self.squares > 0.0 { self.total * self.total / self.squares } else { 0.0 }
    }
}

impl RowCount {
    pub(super) fn apply(&mut self, weight: SampleWeight, change: Change) {
        self.rows += change.one();
        self.excess.add(change.of(weight.excess()));
        self.excess_squares.add(change.of(weight.value() * weight.value() - 1.0));
    }

    pub(super) fn merge(&mut self, other: &RowCount) {
        self.rows += other.rows;
        self.excess.merge(other.excess);
        self.excess_squares.merge(&other.excess_squares);
    }

    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    pub(super) fn mass(&self, sampled: bool) -> Mass {
        let plain = Mass::of_rows(self.rows as f64);
        if !sampled {
            return plain;
        }
        plain.plus(Mass { total: self.excess.value(), squares: self.excess_squares.value() })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_signed(out, self.rows);
        self.excess.encode(out);
        self.excess_squares.encode(out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<RowCount, DecodeError> {
        Ok(RowCount {
            rows: signed_count(reader)?,
            excess: FixedSum::decode(reader)?,
            excess_squares: ExactSum::decode(reader)?,
        })
    }
}

impl WeightedSum {
    pub(super) fn apply(&mut self, value: f64, weight: SampleWeight, change: Change) {
        self.plain.add(change.of(value));
        self.excess.add(change.of(weight.excess() * value));
    }

    pub(super) fn merge(&mut self, other: &WeightedSum) {
        self.plain.merge(other.plain);
        self.excess.merge(other.excess);
    }

    pub(super) fn value(&self, sampled: bool) -> f64 {
        self.plain.value() + if sampled { self.excess.value() } else { 0.0 }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.plain.encode(out);
        self.excess.encode(out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<WeightedSum, DecodeError> {
        Ok(WeightedSum { plain: FixedSum::decode(reader)?, excess: FixedSum::decode(reader)? })
    }
}

/// A count that may lie below zero in an increment, whose rows an earlier one brought.
pub(super) fn signed_count(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    const WHAT: &str = "a count of quality";
    let count = reader.signed(WHAT)?;
    if count.abs() > MOST_COUNT {
        return Err(DecodeError::Invalid { what: WHAT });
    }
    Ok(count)
}
