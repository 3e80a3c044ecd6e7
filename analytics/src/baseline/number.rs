//! Numbers as the baseline file writes them: infinities and whole numbers beyond 2^53 as strings,
//! so that no JSON reader can lose a digit.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Counts;

/// The largest whole number up to which all are exact in a JSON reader that knows only floats.
const EXACT: u64 = 1 << 53;

enum Written {
    Whole(u64),
    Number(f64),
    Text(String),
}

/// Written out: an untagged enum would try one variant after the other and make an error for each that does
/// not fit, which was most of the time that reading a baseline took.
impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_any(AnyNumber)
    }
}

struct AnyNumber;

impl Visitor<'_> for AnyNumber {
    type Value = Written;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, or a text that stands for one")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Written, E> {
        Ok(Written::Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Written, E> {
        Ok(u64::try_from(value).map_or(Written::Number(value as f64), Written::Whole))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Written, E> {
        Ok(Written::Number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }
}

struct Count(u64);
struct Real(f64);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= EXACT {
            serializer.serialize_u64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        let refuse = |what: Unexpected<'_>| Error::invalid_value(what, &"a count");
        match Written::deserialize(deserializer)? {
            Written::Whole(count) => Ok(Count(count)),
            Written::Number(value) => Err(refuse(Unexpected::Float(value))),
            Written::Text(text) => {
                text.parse().map(Count).map_err(|_| refuse(Unexpected::Str(&text)))
            }
        }
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (value, size) = (self.0, self.0.abs());
        if size <= EXACT as f64 {
            serializer.serialize_f64(value)
        } else if size < 1e21 {
            serializer.collect_str(&value)
        } else if size.is_finite() {
            serializer.collect_str(&format_args!("{value:e}"))
        } else {
            serializer.serialize_str(if value > 0.0 { "inf" } else { "-inf" })
        }
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Real, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Whole(value) => Ok(Real(value as f64)),
            Written::Number(value) => Ok(Real(value)),
            Written::Text(text) => text.parse().map(Real).map_err(|_| {
                Error::invalid_value(Unexpected::Str(&text), &"a number, \"inf\" or \"-inf\"")
            }),
        }
    }
}

/// A count.
pub(super) mod count {
    use super::*;

    pub(in crate::baseline) fn serialize<S: Serializer>(
        count: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Count(*count).serialize(serializer)
    }

    pub(in crate::baseline) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u64, D::Error> {
        Count::deserialize(deserializer).map(|count| count.0)
    }
}

/// A list of counts.
pub(super) mod counts {
    use super::*;

    pub(in crate::baseline) fn serialize<S: Serializer>(
        counts: &Counts,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(counts.to_vec().into_iter().map(Count))
    }

    pub(in crate::baseline) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Counts, D::Error> {
        let counts = Vec::<Count>::deserialize(deserializer)?;
        Ok(counts.into_iter().map(|count| count.0).collect())
    }
}

/// A list of values.
pub(super) mod values {
    use super::*;

    pub(in crate::baseline) fn serialize<S: Serializer>(
        values: &[f64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&value| Real(value)))
    }

    pub(in crate::baseline) fn deserialize<'de, D: Deserializer<'de>, T: FromIterator<f64>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let values = Vec::<Real>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|value| value.0).collect())
    }
}

/// A value or null.
pub(super) mod maybe_value {
    use super::*;

    pub(in crate::baseline) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Real).serialize(serializer)
    }

    pub(in crate::baseline) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Real>::deserialize(deserializer)?.map(|value| value.0))
    }
}

/// Names with counts, as pairs.
pub(super) mod categories {
    use super::*;

    pub(in crate::baseline) fn serialize<S: Serializer>(
        categories: &[(String, u64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(categories.iter().map(|(name, count)| (name, Count(*count))))
    }

    pub(in crate::baseline) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, u64)>, D::Error> {
        let categories = Vec::<(String, Count)>::deserialize(deserializer)?;
        Ok(categories.into_iter().map(|(name, count)| (name, count.0)).collect())
    }
}

/// Hashes, as 16 hexadecimal digits.
pub(super) mod hashes {
    use super::*;

    pub(in crate::baseline) fn serialize<S: Serializer>(
        hashes: &[u64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| format!("{hash:016x}")))
    }

    pub(in crate::baseline) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u64>, D::Error> {
        let read = |text: String| {
            u64::from_str_radix(&text, 16).map_err(|_| {
                Error::invalid_value(Unexpected::Str(&text), &"a hash of 16 hexadecimal digits")
            })
        };
        Vec::<String>::deserialize(deserializer)?.into_iter().map(read).collect()
    }
}
