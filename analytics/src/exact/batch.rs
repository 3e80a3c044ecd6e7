//! Adding a whole batch to a sum and a sum of squares: values of one exponent are added up as whole
//! numbers first, so that the long sums are touched once per exponent and not once per value.

use super::{BIAS, ExactSum};

/// Exponents below the batch's largest that are added up; smaller values go the long way.
const SPREAD: usize = 64;
/// Accumulators by turns: a value need not wait for the one before it, which often has its exponent.
const LANES: usize = 2;
/// Values below which the detour does not pay.
const FEW: usize = 48;
/// Squares have 106 bits, so that so many of them fit 128.
const MOST: usize = 1 << 20;

/// Adds finite values to `sum` and their squares to `squares`; NaN and infinities are ignored.
/// `largest` is about their largest magnitude: what is far from it costs more.
pub(crate) fn add_batch(sum: &mut ExactSum, squares: &mut ExactSum, values: &[f64], largest: f64) {
    for values in values.chunks(MOST) {
        if values.len() < FEW {
            values.iter().for_each(|&value| add_one(sum, squares, value));
        } else {
            add_by_exponent(sum, squares, values, largest);
        }
    }
}

fn add_one(sum: &mut ExactSum, squares: &mut ExactSum, value: f64) {
    sum.add(value);
    squares.add_square(value);
}

fn add_by_exponent(sum: &mut ExactSum, squares: &mut ExactSum, values: &[f64], largest: f64) {
    // Exponents as they stand in the bits; that of zero and of the numbers next to it is 0.
    let exponent = |value: f64| (value.to_bits() >> 52) as usize & 0x7ff;
    let first = (exponent(largest) + 1).saturating_sub(SPREAD).max(1);
    let mut sums = [0_i128; LANES * SPREAD];
    let mut products = [0_u128; LANES * SPREAD];
    for (index, &value) in values.iter().enumerate() {
        let place = exponent(value).wrapping_sub(first);
        if place >= SPREAD && value != 0.0 {
            add_one(sum, squares, value);
        }
        let bits = value.to_bits();
        let mantissa = if place < SPREAD { bits & ((1 << 52) - 1) | 1 << 52 } else { 0 };
        let place = place % SPREAD + index % LANES * SPREAD;
        let sign = bits as i64 >> 63;
        sums[place] += i128::from((mantissa as i64 ^ sign) - sign);
        products[place] += u128::from(mantissa) * u128::from(mantissa);
    }
    for (position, place) in (first as u32 - 1..).zip(0..SPREAD) {
        let total: i128 = sums.iter().skip(place).step_by(SPREAD).sum();
        if total != 0 {
            let at = position + BIAS - 1074;
            sum.add_shifted(total.unsigned_abs(), at, total < 0);
        }
        let product: u128 = products.iter().skip(place).step_by(SPREAD).sum();
        if product != 0 {
            squares.add_shifted(product, 2 * position + BIAS - 2148, false);
        }
    }
}
