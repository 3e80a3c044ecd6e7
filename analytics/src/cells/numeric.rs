//! Counts of one numeric column at and between the cut points of its baseline, and exact moments.

use arrow::array::{Array, Float64Array};

use super::absent::Absent;
use super::cut_list::CutList;
use super::cuts::Cuts;
use super::{Examples, Scratch, Slots, Values, wide};
use crate::baseline::Moments;
use crate::encoding::{DecodeError, Reader, put_float, put_varint};
use crate::exact::{ExactSum, add_batch};

/// The cut points of a numeric column.
#[derive(Debug, Clone, PartialEq)]
pub struct NumericReference {
    cuts: Cuts,
}

/// What is counted of a numeric column. Empty, it owns no memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NumericCell {
    slots: Slots,
    n: u64,
    absent: Absent,
    nan: u64,
    sum: ExactSum,
    squares: ExactSum,
    finite: Option<(f64, f64)>,
    positive_infinities: u64,
    negative_infinities: u64,
}

impl NumericReference {
    /// Cut points must be ascending and distinct, without NaN and -0.0, as a checked baseline has
    /// them.
    pub fn new(cut_points: CutList) -> NumericReference {
        NumericReference { cuts: Cuts::new(cut_points) }
    }

    /// The cut points, ascending.
    pub fn cut_points(&self) -> &[f64] {
        self.cuts.points()
    }

    /// 2k+1 for k cut points.
    pub fn slots(&self) -> usize {
        2 * self.cut_points().len() + 1
    }

    /// lower_bound + upper_bound: odd at a cut point, even between two (statistics.md §1.1).
    pub fn slot(&self, value: f64) -> u32 {
        let mut slots = Vec::with_capacity(1);
        self.cuts.slots(&[value], &mut slots);
        slots.first().copied().unwrap_or(0)
    }
}

impl NumericCell {
    /// Counts the given rows of a batch.
    pub fn absorb(
        &mut self,
        reference: &NumericReference,
        column: Values<'_, Float64Array>,
        scratch: &mut Scratch,
    ) {
        wide::absorb(self, reference, column, scratch);
    }

    /// As [`NumericCell::absorb`], with the instructions of the function that it becomes a part of: so
    /// it and what it does for each value must become part of it.
    #[inline(always)]
    pub(super) fn absorb_plainly(
        &mut self,
        reference: &NumericReference,
        column: Values<'_, Float64Array>,
        scratch: &mut Scratch,
    ) {
        self.gather(column, &mut scratch.values);
        self.count_moments(&scratch.values);
        reference.cuts.slots(&scratch.values, &mut scratch.slots);
        self.n += scratch.slots.len() as u64;
        self.slots.count(reference.slots(), &mut scratch.slots);
    }

    /// Collects the values that are there, and counts the others.
    #[inline(always)]
    fn gather(&mut self, column: Values<'_, Float64Array>, present: &mut Vec<f64>) {
        present.clear();
        let values = column.values.values();
        let nulls = column.values.nulls().filter(|nulls| nulls.null_count() > 0);
        // Adding zero makes -0.0 the 0.0 it equals.
        match (column.rows.run(values.len()), nulls) {
            (Some(run), None) => present.extend(values[run].iter().map(|value| value + 0.0)),
            (Some(run), Some(nulls)) if column.wrong_type.is_none() => {
                let (from, length) = (run.start, run.len());
                for (start, end) in nulls.slice(from, length).valid_slices() {
                    let values = &values[from + start..from + end];
                    present.extend(values.iter().map(|value| value + 0.0));
                }
                self.absent.missing += (length - present.len()) as u64;
            }
            _ => {
                for &row in column.rows.indices() {
                    let row = row as usize;
                    match nulls.is_some_and(|nulls| nulls.is_null(row)) {
                        true => self.absent.count(column.wrong_type, row),
                        false => present.push(values[row] + 0.0),
                    }
                }
            }
        }
        let nan = present.iter().fold(0_u64, |nan, value| nan + u64::from(value.is_nan()));
        if nan > 0 {
            present.retain(|value| !value.is_nan());
            self.absent.missing += nan;
            self.nan += nan;
        }
    }

    #[inline(always)]
    fn count_moments(&mut self, values: &[f64]) {
        let Some((min, max)) = range(values) else { return };
        if min.is_finite() && max.is_finite() {
            self.count_finite(values, min, max);
            return;
        }
        let count = |infinity: f64| values.iter().filter(|&&value| value == infinity).count();
        self.positive_infinities += count(f64::INFINITY) as u64;
        self.negative_infinities += count(f64::NEG_INFINITY) as u64;
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if let Some((min, max)) = range(&finite) {
            self.count_finite(&finite, min, max);
        }
    }

    #[inline(always)]
    fn count_finite(&mut self, values: &[f64], min: f64, max: f64) {
        let largest = max.max(-min);
        add_batch(&mut self.sum, &mut self.squares, values, largest);
        let (low, high) = self.finite.unwrap_or((min, max));
        self.finite = Some((low.min(min), high.max(max)));
    }

    /// Adds everything `other` counted at the same cut points.
    pub fn merge(&mut self, reference: &NumericReference, other: &NumericCell) {
        self.slots.merge(reference.slots(), &other.slots);
        self.n += other.n;
        self.absent.merge(&other.absent);
        self.nan += other.nan;
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
        self.absent.missing
    }

    /// NaN alone.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    /// Values that are no numbers.
    pub fn wrong_type(&self) -> u64 {
        self.absent.wrong_type
    }

    /// Examples of values that are no numbers.
    pub fn examples(&self) -> &Examples {
        &self.absent.examples
    }

    /// All 2k+1 counts.
    pub fn counts(&self, reference: &NumericReference) -> Vec<u64> {
        self.counts_of(reference.cut_points().len())
    }

    /// All 2k+1 counts, by k alone.
    pub(crate) fn counts_of(&self, cut_points: usize) -> Vec<u64> {
        self.slots.to_vec(2 * cut_points + 1)
    }

    /// The slots in use with their counts, ascending.
    pub(crate) fn used(&self) -> impl Iterator<Item = (u32, u64)> + Clone + '_ {
        self.slots.used()
    }

    /// Moments of the finite values, rounded once.
    pub fn moments(&self) -> Moments {
        let n = self.n - self.positive_infinities - self.negative_infinities;
        Moments {
            n,
            mean: self.sum.mean(n),
            variance: self.sum.variance(&self.squares, n),
            min: self.finite.map(|(min, _)| min),
            max: self.finite.map(|(_, max)| max),
            positive_infinities: self.positive_infinities,
            negative_infinities: self.negative_infinities,
        }
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        self.slots.bytes() + self.sum.bytes() + self.squares.bytes() + self.absent.examples.bytes()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.n);
        put_varint(out, self.absent.missing);
        put_varint(out, self.absent.wrong_type);
        if self.absent.missing > 0 {
            put_varint(out, self.nan);
        }
        if self.absent.wrong_type > 0 {
            self.absent.examples.encode(out);
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
            absent: Absent {
                missing: reader.count(WHAT)?,
                wrong_type: reader.count(WHAT)?,
                ..Absent::default()
            },
            ..NumericCell::default()
        };
        if cell.absent.missing > 0 {
            cell.nan = reader.count(WHAT)?;
        }
        if cell.absent.wrong_type > 0 {
            cell.absent.examples = Examples::decode(reader)?;
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
        if cell.nan > cell.absent.missing || cell.slots.checked_total() != Some(cell.n) {
            return Err(invalid());
        }
        Ok(cell)
    }
}

#[inline(always)]
fn range(values: &[f64]) -> Option<(f64, f64)> {
    // As many as let nobody wait for the comparison before.
    const LANES: usize = 16;
    let first = *values.first()?;
    let (mut min, mut max) = ([first; LANES], [first; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        min = std::array::from_fn(
            |lane| if chunk[lane] < min[lane] { chunk[lane] } else { min[lane] },
        );
        max = std::array::from_fn(
            |lane| if chunk[lane] > max[lane] { chunk[lane] } else { max[lane] },
        );
    }
    let (mut least, mut most) = (first, first);
    for &value in rest.iter().chain(&min).chain(&max) {
        least = if value < least { value } else { least };
        most = if value > most { value } else { most };
    }
    Some((least, most))
}
