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
    let text = format!("{value:.11e}");
    // Adding zero turns -0 into 0.
    text.parse::<f64>().ok().map(|rounded| rounded + 0.0).filter(|rounded| rounded.is_finite())
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
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Ordered(value)),
            Written::Text(text) if text == "inf" => Ok(Ordered(f64::INFINITY)),
            Written::Text(text) if text == "-inf" => Ok(Ordered(f64::NEG_INFINITY)),
            Written::Text(text) => {
                Err(de::Error::custom(format!("{text:?} is neither a number nor \"inf\"")))
            }
        }
    }
}
