//! Adding a whole batch to a sum and a sum of squares: values of one exponent are added up as whole
//! numbers first, so that the long sums are touched once per exponent and not once per value.

use super::{BIAS, ExactSum};

/// Exponents below the batch's largest that are added up; other values go the long way.
const SPREAD: usize = 96;
/// Accumulators by turns: a value need not wait for the one before it, which often has its exponent.
const LANES: usize = 4;
/// Values below which the detour does not pay.
const FEW: usize = 48;
/// So many values a lane: mantissas have 53 bits and their sums fit 64, squares have 106 and fit 128.
const BLOCK: usize = LANES << 11;
/// As many as a byte can name, so that no place lies outside.
const PLACES: usize = 1 << u8::BITS;
/// The place of zeros, and of what goes the long way.
const ELSEWHERE: u8 = u8::MAX;

/// Adds finite values to `sum` and their squares to `squares`; NaN and infinities are ignored.
/// `largest` is about their largest magnitude: what is far from it costs more.
#[inline(always)]
pub(crate) fn add_batch(sum: &mut ExactSum, squares: &mut ExactSum, values: &[f64], largest: f64) {
    if values.len() < FEW {
        values.iter().for_each(|&value| add_one(sum, squares, value));
        return;
    }
    let places = Places::below(largest);
    for block in values.chunks(BLOCK) {
        add_block(sum, squares, block, &places);
    }
}

fn add_one(sum: &mut ExactSum, squares: &mut ExactSum, value: f64) {
    sum.add(value);
    squares.add_square(value);
}

/// Where values are added up, by their sign and exponent as they stand in the leading bits.
struct Places {
    first: usize,
    of: [u8; 1 << 12],
}

impl Places {
    /// Two for each of the exponents up to that of `largest`: the numbers next to zero have none.
    fn below(largest: f64) -> Places {
        let top = (largest.to_bits() >> 52) as usize & 0x7ff;
        let first = (top + 1).saturating_sub(SPREAD).max(1);
        let mut of = [ELSEWHERE; 1 << 12];
        for sign in 0..2 {
            let exponents =
                of.iter_mut().skip((sign << 11) + first).take((0x7ff - first).min(SPREAD));
            (0_u8..).step_by(2).zip(exponents).for_each(|(place, at)| *at = place + sign as u8);
        }
        Places { first, of }
    }

    #[inline(always)]
    fn of(&self, value: f64) -> u8 {
        self.of[(value.to_bits() >> 52) as usize]
    }
}

/// What one lane adds up at each place.
struct Stride {
    sums: [u64; PLACES],
    products: [u128; PLACES],
}

impl Stride {
    #[inline(always)]
    fn add(&mut self, value: f64, places: &Places) {
        let place = usize::from(places.of(value));
        let mantissa = value.to_bits() & ((1 << 52) - 1) | 1 << 52;
        self.sums[place] += mantissa;
        self.products[place] += u128::from(mantissa) * u128::from(mantissa);
    }
}

#[inline(always)]
fn add_block(sum: &mut ExactSum, squares: &mut ExactSum, block: &[f64], places: &Places) {
    let mut lanes = [const { Stride { sums: [0; PLACES], products: [0; PLACES] } }; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| lane.add(value, places));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &value)| lane.add(value, places));

    if lanes.iter().any(|lane| lane.sums[usize::from(ELSEWHERE)] != 0) {
        let far = block.iter().filter(|&&value| places.of(value) == ELSEWHERE && value != 0.0);
        far.for_each(|&value| add_one(sum, squares, value));
    }
    for (position, place) in (places.first as u32 - 1..).zip((0..2 * SPREAD).step_by(2)) {
        let total = |sign: usize| {
            lanes.iter().map(|lane| u128::from(lane.sums[place + sign])).sum::<u128>()
        };
        let product =
            |sign: usize| lanes.iter().map(|lane| lane.products[place + sign]).sum::<u128>();
        let at = position + BIAS - 1074;
        for (sign, negative) in [(0, false), (1, true)] {
            let total = total(sign);
            if total != 0 {
                sum.add_shifted(total, at, negative);
            }
        }
        let products = product(0) + product(1);
        if products != 0 {
            squares.add_shifted(products, 2 * position + BIAS - 2148, false);
        }
    }
}
