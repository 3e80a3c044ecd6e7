//! Numbers as reports write them: 12 significant digits, and infinities as text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Rounds a derived number to 12 significant digits: the differences that two machines could still
/// have are far behind them. NaN becomes 0 and infinities the largest number, which JSON can hold;
/// where those can occur use [`rounded_or_none`].
pub fn rounded(value: f64) -> f64 {
    const LARGEST: f64 = 1.79769313486e308;
    rounded_or_none(value).unwrap_or(if value.is_nan() { 0.0 } else { LARGEST.copysign(value) })
}

/// Like [`rounded`]; `None`, which is written as null, for NaN and infinities.
pub fn rounded_or_none(value: f64) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    rounded_by_powers(value).or_else(|| rounded_by_text(value))
}

fn rounded_by_text(value: f64) -> Option<f64> {
    let text = format!("{value:.11e}");
    // Adding zero turns -0 into 0.
    text.parse::<f64>().ok().map(|rounded| rounded + 0.0).filter(|rounded| rounded.is_finite())
}

/// The powers of ten that floats hold exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// As [`rounded_by_text`], a hundred times faster, for nearly all numbers from 1e-11 to 1e12: made a
/// number of twelve digits before the point, rounded, and divided. The product is off by less than
/// 0.0002, so where it is not that close to a half the digits are right; digits and power are exact,
/// so the quotient is rounded as the text would be.
fn rounded_by_powers(value: f64) -> Option<f64> {
    const TOO_CLOSE: f64 = 0.001;
    let size = value.abs();
    if size == 0.0 {
        return Some(0.0);
    }
    // 1233 / 4096 is log10(2): digits before the point, or one fewer.
    let exponent = (size.to_bits() >> 52) as i32 - 1023;
    let places = usize::try_from(11 - ((exponent * 1233) >> 12)).ok()?;
    let (power, tenth) = (*POWERS.get(places)?, *POWERS.get(places.checked_sub(1)?)?);
    let power = if size * power < 1e12 { power } else { tenth };
    let scaled = size * power;
    let whole = (scaled + 0.5) as u64 as f64;
    let is_close = (0.5 - (scaled - whole).abs()) < TOO_CLOSE;
    (!is_close).then(|| (whole / power).copysign(value))
}

/// A value of a column, as it was: written in full, infinities as `"inf"` and `"-inf"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ordered(pub f64);

impl fmt::Display for Ordered {
    /// Shortest digits; scientific where there would be many zeros.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size.is_finite() && size != 0.0 && !(1e-5..1e16).contains(&size) {
            return write!(formatter, "{:e}", self.0);
        }
        write!(formatter, "{}", self.0)
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(f64),
            Text(String),
        }
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(value) => Ok(Ordered(value)),
            NumberOrText::Text(text) if text == "inf" => Ok(Ordered(f64::INFINITY)),
            NumberOrText::Text(text) if text == "-inf" => Ok(Ordered(f64::NEG_INFINITY)),
            NumberOrText::Text(text) => {
                Err(de::Error::custom(format!("{text:?} is neither a number nor \"inf\"")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: f64) {
        if let Some(rounded) = rounded_by_powers(value) {
            let expected = rounded_by_text(value).map(f64::to_bits);
            assert_eq!(Some(rounded.to_bits()), expected, "{value:e}");
        }
    }

    #[test]
    fn powers_of_ten_round_as_text_does() {
        for power in -12..=13 {
            let value: f64 = format!("1e{power}").parse().unwrap();
            let near = [value.next_down(), value, value.next_up(), value * 0.999_999_999_999_5];
            near.into_iter().for_each(check);
        }
        [0.0, -0.0, f64::MIN_POSITIVE, f64::MAX, 5e-324].into_iter().for_each(check);
        assert_eq!(rounded_by_powers(-1.0 / 3.0), Some(-0.333333333333));
        assert_eq!(rounded_by_powers(2.0 / 3.0 * 1e11), Some(66666666666.7));
        assert_eq!(rounded_by_powers(0.123456789012500), None, "too close to a half");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn numbers_round_as_text_does(
            (digits, power) in (0_u64..10_000_000_000_000_000, -28..14_i32),
            bits in 0_u64..1 << 52,
            exponent in 980_u64..1068,
        ) {
            check(digits as f64 * 10_f64.powi(power));
            check(-f64::from_bits(exponent << 52 | bits));
        }
    }
}
