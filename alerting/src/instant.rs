//! Writes an instant in microseconds as RFC 3339 in JSON, and reads it back.

use driftline_config::time::{format_instant, parse_instant_us};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// For `#[serde(with = "crate::instant")]`.
pub fn serialize<S: Serializer>(time_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_instant(*time_us))
}

/// For `#[serde(with = "crate::instant")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_instant_us(&text).map_err(D::Error::custom)
}

/// The same for an instant that may be `null`.
pub mod optional {
    use super::{Deserialize, Deserializer, Error, Serializer, format_instant, parse_instant_us};

    /// For `#[serde(with = "crate::instant::optional")]`.
    pub fn serialize<S: Serializer>(
        time_us: &Option<i64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time_us {
            Some(time_us) => serializer.serialize_str(&format_instant(*time_us)),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with = "crate::instant::optional")]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<i64>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| parse_instant_us(&text).map_err(D::Error::custom))
            .transpose()
    }
}
