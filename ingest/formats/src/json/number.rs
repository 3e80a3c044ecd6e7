//! Decimal digits to the nearest double, which is what a number is everywhere (decision 010).

/// The digits of a number, as far as 64 bits hold them.
#[derive(Default)]
pub(super) struct Mantissa {
    value: u64,
    /// Digits seen, leading zeros included.
    digits: u32,
}

impl Mantissa {
    /// Appends `count` digits, at most eight, which make the number `value`.
    #[inline]
    pub(super) fn push(&mut self, value: u64, count: u32) {
        const POWERS: [u64; 9] =
            [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
        let power = POWERS.get(count as usize).copied().unwrap_or(0);
        self.value = self.value.wrapping_mul(power).wrapping_add(value);
        self.digits += count;
    }

    /// The number where double arithmetic gives it exactly rounded: both the digits and the power of
    /// ten are exact doubles, so that the one operation rounds once. Source: W. D. Clinger, "How to
    /// Read Floating Point Numbers Accurately", 1990.
    #[inline]
    pub(super) fn exact(&self, scale: i32) -> Option<f64> {
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        if self.digits > 19 || self.value > (1 << 53) {
            return None;
        }
        let power = POWERS.get(scale.unsigned_abs() as usize)?;
        let digits = self.value as f64;
        Some(if scale < 0 { digits / power } else { digits * power })
    }
}

/// How many digits eight bytes of text begin with, and the number that these make. The first byte
/// stands in the lowest bits. Source: D. Lemire, "Number Parsing at a Gigabyte per Second", 2021, §7.
#[inline]
pub(super) fn leading_digits(eight: u64) -> (u64, u32) {
    let digits = digits_of(eight);
    let count = stops(digits).trailing_zeros() / 8;
    if count == 0 { (0, 0) } else { (number_of(digits, count), count) }
}

/// Each byte of text as a number: digits become 0 to 9.
#[inline]
fn digits_of(eight: u64) -> u64 {
    eight ^ 0x3030_3030_3030_3030
}

/// The high bit of each byte that is no digit; only the lowest set bit is exact.
#[inline]
fn stops(digits: u64) -> u64 {
    // Adding 0x76 carries beyond 0x7f from 10 on; carries into the next byte come only from bytes
    // that are no digits themselves.
    (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080
}

/// The number that the first `count` digits make, 1 to 8.
#[inline]
fn number_of(digits: u64, count: u32) -> u64 {
    // Zeros in front, so that eight digits are read whatever their number.
    eight_digits(digits << (64 - 8 * count))
}

/// The number that eight digits make, the first in the lowest byte.
#[inline]
pub(super) fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// The slow way, for numbers of many digits or large exponents: Rust's own correctly rounded reading.
#[cold]
pub(super) fn parse_f64(raw: &[u8]) -> f64 {
    // The grammar of JSON numbers is part of what Rust reads, so this never fails.
    std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_bytes_give_the_digits_they_begin_with(bytes in prop::array::uniform8(prop_oneof![
            8 => b'0'..=b'9',
            1 => any::<u8>(),
        ])) {
            let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = bytes[..length].iter().fold(0, |n, byte| n * 10 + u64::from(byte - b'0'));
            prop_assert_eq!(leading_digits(u64::from_le_bytes(bytes)), (number, length as u32));
        }
    }
}
