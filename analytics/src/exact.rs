//! Sums of floats that no order of rows and no merge can change: every bit is kept, and one
//! rounding happens when the sum is read.

use crate::encoding::{DecodeError, Reader, put_varint};

mod batch;
mod magnitude;

pub(crate) use batch::add_batch;
use magnitude::Magnitude;

/// Bit 0 of the first possible limb is worth 2^-BIAS: below the square of the smallest float.
const BIAS: u32 = 2176;
/// Limbs from there to above 2^64 times the square of the largest float.
const MOST_LIMBS: usize = 140;
/// Additions after which carries are propagated: each adds less than 2^32 to a 63-bit limb.
const MOST_PENDING: u32 = 1 << 30;

/// An exact sum of finite floats or of their squares, as a fixed-point number that is as long as it
/// needs to be. An empty one owns no memory.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    /// Index of the first limb.
    first: u32,
    /// 32 bits each, signed, with room for carries that wait.
    limbs: Vec<i64>,
    /// Additions since carries were propagated.
    pending: u32,
}

impl ExactSum {
    /// Adds a finite value. NaN and infinities are ignored: the caller counts them apart.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let (mantissa, position) = parts(value);
        if mantissa != 0 {
            self.add_shifted(u128::from(mantissa), position + BIAS - 1074, value < 0.0);
        }
    }

    /// Adds the exact square of a finite value. NaN and infinities are ignored.
    #[inline]
    pub fn add_square(&mut self, value: f64) {
        let (mantissa, position) = parts(value);
        if mantissa != 0 {
            let square = u128::from(mantissa) * u128::from(mantissa);
            self.add_shifted(square, 2 * position + BIAS - 2148, false);
        }
    }

    /// Takes the exact square of a finite value away. NaN and infinities are ignored.
    pub fn subtract_square(&mut self, value: f64) {
        let (mantissa, position) = parts(value);
        if mantissa != 0 {
            let square = u128::from(mantissa) * u128::from(mantissa);
            self.add_shifted(square, 2 * position + BIAS - 2148, true);
        }
    }

    /// Adds everything `other` holds.
    pub fn merge(&mut self, other: &ExactSum) {
        if other.limbs.is_empty() {
            return;
        }
        if self.pending + other.pending >= MOST_PENDING {
            self.compact();
            let compact = ExactSum::from_magnitude(&other.magnitude());
            self.merge_limbs(&compact);
        } else {
            self.merge_limbs(other);
        }
    }

    fn merge_limbs(&mut self, other: &ExactSum) {
        self.reach(other.first, other.limbs.len());
        let at = (other.first - self.first) as usize;
        for (limb, added) in self.limbs[at..].iter_mut().zip(&other.limbs) {
            *limb += added;
        }
        self.pending += other.pending;
    }

    /// The sum, rounded once to the nearest float; infinite where it is beyond the largest.
    pub fn value(&self) -> f64 {
        self.magnitude().to_f64(BIAS)
    }

    /// The mean of `n` values with this sum, which is a number also where the sum is none.
    pub fn mean(&self, n: u64) -> Option<f64> {
        (n > 0).then(|| self.magnitude().divided(BIAS, n as f64))
    }

    /// Whether the sum is exactly zero.
    pub fn is_zero(&self) -> bool {
        self.magnitude().is_zero()
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.limbs.capacity() * 8
    }

    /// The variance, with n - 1, of `n` values with this sum and `squares` as the sum of their
    /// squares: n Σx² - (Σx)² is exact, so nothing cancels. `None` below two values.
    pub fn variance(&self, squares: &ExactSum, n: u64) -> Option<f64> {
        if n < 2 {
            return None;
        }
        let scaled = squares.magnitude().times_count(n).raised(BIAS / 32);
        let deviation = scaled.minus(&self.magnitude().squared());
        Some(deviation.divided(2 * BIAS, n as f64 * (n - 1) as f64))
    }

    #[inline]
    fn add_shifted(&mut self, magnitude: u128, position: u32, negative: bool) {
        let (index, shift) = (position / 32, position % 32);
        // 128 bits shifted by up to 31 reach into a fifth limb.
        self.reach(index, 5);
        let at = (index - self.first) as usize;
        let mut part = i64::from(((magnitude as u64) << shift) as u32);
        let mut rest = magnitude >> (32 - shift);
        for limb in &mut self.limbs[at..at + 5] {
            *limb += if negative { -part } else { part };
            if rest == 0 {
                break;
            }
            part = i64::from(rest as u32);
            rest >>= 32;
        }
        self.pending += 1;
        if self.pending >= MOST_PENDING {
            self.compact();
        }
    }

    /// Makes room for the limbs `index..index + length`.
    #[inline]
    fn reach(&mut self, index: u32, length: usize) {
        let covered =
            index >= self.first && (index - self.first) as usize + length <= self.limbs.len();
        if !covered {
            self.grow(index, length);
        }
    }

    fn grow(&mut self, index: u32, length: usize) {
        if self.limbs.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let more = (self.first - index) as usize;
            self.limbs.splice(0..0, std::iter::repeat_n(0, more));
            self.first = index;
        }
        let end = (index - self.first) as usize + length;
        if end > self.limbs.len() {
            self.limbs.reserve_exact(end - self.limbs.len());
            self.limbs.resize(end, 0);
        }
    }

    fn magnitude(&self) -> Magnitude {
        Magnitude::of_limbs(self.first, &self.limbs)
    }

    fn compact(&mut self) {
        *self = ExactSum::from_magnitude(&self.magnitude());
    }

    fn from_magnitude(magnitude: &Magnitude) -> ExactSum {
        let sign = if magnitude.negative { -1 } else { 1 };
        ExactSum {
            first: magnitude.first,
            limbs: magnitude.digits.iter().map(|&digit| sign * i64::from(digit)).collect(),
            pending: 1,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let magnitude = self.magnitude();
        put_varint(out, (magnitude.digits.len() as u64) << 1 | u64::from(magnitude.negative));
        if !magnitude.digits.is_empty() {
            put_varint(out, u64::from(magnitude.first));
        }
        for digit in &magnitude.digits {
            out.extend_from_slice(&digit.to_le_bytes());
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<ExactSum, DecodeError> {
        const WHAT: &str = "an exact sum";
        let head = reader.length(2 * MOST_LIMBS + 1, WHAT)?;
        let (length, negative) = (head >> 1, head & 1 == 1);
        if length == 0 {
            return if negative {
                Err(DecodeError::Invalid { what: WHAT })
            } else {
                Ok(ExactSum::default())
            };
        }
        let first = reader.length(MOST_LIMBS - length, WHAT)? as u32;
        let mut digits = Vec::with_capacity(length);
        for _ in 0..length {
            digits.push(reader.word(WHAT)?);
        }
        if digits.first() == Some(&0) || digits.last() == Some(&0) {
            return Err(DecodeError::Invalid { what: WHAT });
        }
        Ok(ExactSum::from_magnitude(&Magnitude { negative, first, digits }))
    }
}

/// Equal sums, however they came about.
impl PartialEq for ExactSum {
    fn eq(&self, other: &ExactSum) -> bool {
        self.magnitude() == other.magnitude()
    }
}

/// |value| as mantissa · 2^(position - 1074); (0, 0) for zero, NaN and infinities.
#[inline]
fn parts(value: f64) -> (u64, u32) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as u32;
    let fraction = bits & ((1 << 52) - 1);
    match exponent {
        0 => (fraction, 0),
        0x7ff => (0, 0),
        _ => (fraction | 1 << 52, exponent - 1),
    }
}

#[cfg(test)]
mod tests;
