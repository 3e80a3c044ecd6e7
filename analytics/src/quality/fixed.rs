//! Sums of bounded terms in fixed point: integers, so that nothing depends on order and what is taken away
//! leaves nothing behind.

use crate::encoding::{DecodeError, Reader};

/// Bits behind the point: below the last bit of a weight, and a thousandth of the last bit of a loss near 1.
const FRACTION_BITS: i32 = 64;

/// Whether something is counted or taken away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Subtract,
}

impl Change {
    pub(super) fn of(self, value: f64) -> f64 {
        match self {
            Change::Add => value,
            Change::Subtract => -value,
        }
    }

    pub(super) fn one(self) -> i64 {
        match self {
            Change::Add => 1,
            Change::Subtract => -1,
        }
    }
}

/// A sum in units of 2^-64. Terms up to 2^20 can be added 2^43 times before it wraps, and what wraps
/// comes back when it is taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FixedSum(i128);

impl FixedSum {
    /// Adds a finite value, rounded to a unit.
    pub(super) fn add(&mut self, value: f64) {
        let units = libm::rint(libm::scalbn(value, FRACTION_BITS)) as i128;
        self.0 = self.0.wrapping_add(units);
    }

    pub(super) fn merge(&mut self, other: FixedSum) {
        self.0 = self.0.wrapping_add(other.0);
    }

    pub(super) fn value(self) -> f64 {
        libm::scalbn(self.0 as f64, -FRACTION_BITS)
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// In 7-bit groups, small magnitudes short.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let mut value = ((self.0 << 1) ^ (self.0 >> 127)) as u128;
        while value >= 0x80 {
            out.push((value as u8) | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<FixedSum, DecodeError> {
        const WHAT: &str = "a sum in fixed point";
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = reader.byte(WHAT)?;
            let group = u128::from(byte & 0x7f);
            let is_padded = byte == 0 && shift > 0;
            if is_padded || (shift == 126 && group > 3) {
                return Err(DecodeError::Invalid { what: WHAT });
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(FixedSum(((value >> 1) as i128) ^ -((value & 1) as i128)));
            }
        }
        Err(DecodeError::Invalid { what: WHAT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::ExactSum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_come_back_from_bytes_and_to_zero(values in prop::collection::vec(-1e6_f64..1e6, 1..20)) {
            let mut sum = FixedSum::default();
            values.iter().for_each(|&value| sum.add(value));
            let mut bytes = Vec::new();
            sum.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(FixedSum::decode(&mut reader), Ok(sum));
            prop_assert_eq!(reader.finish(), Ok(()));
            let mut exact = ExactSum::default();
            values.iter().for_each(|&value| exact.add(value));
            let (found, exact) = (sum.value(), exact.value());
            prop_assert!((found - exact).abs() <= f64::EPSILON * exact.abs() + 1e-17, "{found} {exact}");
            values.iter().rev().for_each(|&value| sum.add(-value));
            prop_assert!(sum.is_zero());
        }
    }

    #[test]
    fn the_ends_of_128_bits_come_back() {
        for units in [i128::MIN, i128::MAX, -1, 0, 1] {
            let mut bytes = Vec::new();
            FixedSum(units).encode(&mut bytes);
            assert_eq!(FixedSum::decode(&mut Reader::new(&bytes)), Ok(FixedSum(units)));
        }
        assert!(FixedSum::decode(&mut Reader::new(&[0x80, 0])).is_err(), "two ways to write zero");
        assert!(FixedSum::decode(&mut Reader::new(&[0xff; 20])).is_err());
    }
}
