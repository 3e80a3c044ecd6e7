//! The wall clock, as deliveries and whoever drives a service read it. No decision does.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in microseconds since 1970-01-01 UTC.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
