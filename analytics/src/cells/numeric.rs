//! Counts of one numeric column at and between the cut points of its baseline, and exact moments.

use std::sync::Arc;

use arrow::array::{Array, Float64Array};

use super::{Examples, Slots, Values};
use crate::baseline::Moments;
use crate::encoding::{DecodeError, Reader, put_float, put_varint};
use crate::exact::ExactSum;

/// The cut points of a numeric column.
#[derive(Debug, Clone, PartialEq)]
pub struct NumericReference {
    cut_points: Arc<[f64]>,
}

/// What is counted of a numeric column. Empty, it owns no memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NumericCell {
    slots: Slots,
    n: u64,
    missing: u64,
    nan: u64,
    wrong_type: u64,
    examples: Examples,
    sum: ExactSum,
    squares: ExactSum,
    finite: Option<(f64, f64)>,
    positive_infinities: u64,
    negative_infinities: u64,
}

impl NumericReference {
    /// Cut points must be ascending and distinct, without NaN and -0.0, as a checked baseline has
    /// them.
    pub fn new(cut_points: &[f64]) -> NumericReference {
        NumericReference { cut_points: cut_points.into() }
    }

    /// The cut points, ascending.
    pub fn cut_points(&self) -> &[f64] {
        &self.cut_points
    }

    /// 2k+1 for k cut points.
    pub fn slots(&self) -> usize {
        2 * self.cut_points.len() + 1
    }

    /// lower_bound + upper_bound: odd at a cut point, even between two (statistics.md §1.1).
    #[inline]
    pub fn slot(&self, value: f64) -> u32 {
        let below = self.cut_points.partition_point(|&cut| cut < value);
        let at = self.cut_points.get(below).is_some_and(|&cut| cut == value);
        (2 * below + usize::from(at)) as u32
    }
}

impl NumericCell {
    /// Counts the given rows of a batch. `indices` is working memory that keeps its capacity.
    pub fn absorb(
        &mut self,
        reference: &NumericReference,
        column: Values<'_, Float64Array>,
        indices: &mut Vec<u32>,
    ) {
        indices.clear();
        let values = column.values.values();
        let nulls = column.values.nulls();
        for &row in column.rows {
            let row = row as usize;
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                self.count_null(column.wrong_type, row);
                continue;
            }
            let value = values[row];
            if value.is_nan() {
                self.missing += 1;
                self.nan += 1;
                continue;
            }
            // Adding zero makes -0.0 the 0.0 it equals.
            self.count_moments(value + 0.0);
            indices.push(reference.slot(value));
        }
        self.n += indices.len() as u64;
        self.slots.count(reference.slots(), indices);
    }

    fn count_null(&mut self, wrong_type: Option<&arrow::array::StringArray>, row: usize) {
        match wrong_type.filter(|texts| texts.is_valid(row)) {
            Some(texts) => {
                self.wrong_type += 1;
                self.examples.add(texts.value(row));
            }
            None => self.missing += 1,
        }
    }

    #[inline]
    fn count_moments(&mut self, value: f64) {
        if value.is_finite() {
            self.sum.add(value);
            self.squares.add_square(value);
            let (min, max) = self.finite.unwrap_or((value, value));
            self.finite = Some((min.min(value), max.max(value)));
        } else if value > 0.0 {
            self.positive_infinities += 1;
        } else {
            self.negative_infinities += 1;
        }
    }

    /// Adds everything `other` counted at the same cut points.
    pub fn merge(&mut self, reference: &NumericReference, other: &NumericCell) {
        self.slots.merge(reference.slots(), &other.slots);
        self.n += other.n;
        self.missing += other.missing;
        self.nan += other.nan;
        self.wrong_type += other.wrong_type;
        self.examples.merge(&other.examples);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.finite = match (self.finite, other.finite) {
            (Some((min, max)), Some((low, high))) => Some((min.min(low), max.max(high))),
            (one, two) => one.or(two),
        };
        self.positive_infinities += other.positive_infinities;
        self.negative_infinities += other.negative_infinities;
    }

    /// Values that are neither missing nor of the wrong type; the sum of all slots.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Null or NaN.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// NaN alone.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    /// Values that are no numbers.
    pub fn wrong_type(&self) -> u64 {
        self.wrong_type
    }

    /// Examples of values that are no numbers.
    pub fn examples(&self) -> &Examples {
        &self.examples
    }

    /// All 2k+1 counts.
    pub fn counts(&self, reference: &NumericReference) -> Vec<u64> {
        self.slots.to_vec(reference.slots())
    }

    /// Moments of the finite values, rounded once.
    pub fn moments(&self) -> Moments {
        let n = self.n - self.positive_infinities - self.negative_infinities;
        Moments {
            n,
            mean: (n > 0).then(|| self.sum.value() / n as f64),
            variance: self.sum.variance(&self.squares, n),
            min: self.finite.map(|(min, _)| min),
            max: self.finite.map(|(_, max)| max),
            positive_infinities: self.positive_infinities,
            negative_infinities: self.negative_infinities,
        }
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        self.slots.bytes() + self.sum.bytes() + self.squares.bytes() + self.examples.bytes()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.n);
        put_varint(out, self.missing);
        put_varint(out, self.wrong_type);
        if self.missing > 0 {
            put_varint(out, self.nan);
        }
        if self.wrong_type > 0 {
            self.examples.encode(out);
        }
        if self.n == 0 {
            return;
        }
        put_varint(out, self.positive_infinities);
        put_varint(out, self.negative_infinities);
        if let Some((min, max)) = self.finite {
            put_float(out, min);
            put_float(out, max);
            self.sum.encode(out);
            self.squares.encode(out);
        }
        self.slots.encode(out);
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        reference: &NumericReference,
    ) -> Result<NumericCell, DecodeError> {
        const WHAT: &str = "a numeric column";
        let invalid = || DecodeError::Invalid { what: WHAT };
        let mut cell = NumericCell {
            n: reader.count(WHAT)?,
            missing: reader.count(WHAT)?,
            wrong_type: reader.count(WHAT)?,
            ..NumericCell::default()
        };
        if cell.missing > 0 {
            cell.nan = reader.count(WHAT)?;
        }
        if cell.wrong_type > 0 {
            cell.examples = Examples::decode(reader)?;
        }
        if cell.n > 0 {
            cell.positive_infinities = reader.count(WHAT)?;
            cell.negative_infinities = reader.count(WHAT)?;
            let infinities = cell.positive_infinities + cell.negative_infinities;
            if infinities > cell.n {
                return Err(invalid());
            }
            if infinities < cell.n {
                let (min, max) = (reader.float(WHAT)?, reader.float(WHAT)?);
                if !(min.is_finite() && max.is_finite() && min <= max) {
                    return Err(invalid());
                }
                cell.finite = Some((min, max));
                cell.sum = ExactSum::decode(reader)?;
                cell.squares = ExactSum::decode(reader)?;
            }
            cell.slots = Slots::decode(reader, reference.slots())?;
        }
        if cell.nan > cell.missing || cell.slots.checked_total() != Some(cell.n) {
            return Err(invalid());
        }
        Ok(cell)
    }
}
