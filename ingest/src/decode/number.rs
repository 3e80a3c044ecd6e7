//! Decimal digits to the nearest double.

/// The first nineteen significant digits of a number.
#[derive(Default)]
pub(super) struct Mantissa {
    value: u64,
    digits: u32,
}

impl Mantissa {
    #[inline]
    pub(super) fn push(&mut self, digit: u8) {
        self.value = self.value.wrapping_mul(10).wrapping_add(u64::from(digit));
        // Leading zeros ("0.00012") take no room.
        self.digits += u32::from(self.digits > 0 || digit > 0);
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

/// The slow way, for numbers of many digits or large exponents: Rust's own correctly rounded reading.
pub(super) fn parse_f64(raw: &[u8]) -> f64 {
    // The grammar of JSON numbers is part of what Rust reads, so this never fails.
    std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
