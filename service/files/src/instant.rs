//! Event times as files hold them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// 2000-01-01T00:00:00Z in microseconds: a number that names an earlier instant was meant to be in
/// another unit.
const EARLIEST_US: i64 = 946_684_800_000_000;
/// 10000-01-01T00:00:00Z in microseconds: likewise from here on.
const BEYOND_US: i64 = 253_402_300_800_000_000;

/// Whether a text is an ISO 8601 date, or a date and time.
pub(crate) fn is_instant_text(text: &str) -> bool {
    parse_instant_us(text).is_some()
}

/// An ISO 8601 date, date and time, or instant in microseconds; without a zone it is UTC.
pub(crate) fn parse_instant_us(text: &str) -> Option<i64> {
    // Most texts are no dates, and that is seen cheaply.
    let (year, rest) = text.split_at_checked(4)?;
    if !year.bytes().all(|byte| byte.is_ascii_digit()) || !rest.starts_with('-') {
        return None;
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_microsecond());
    }
    let local = text.parse::<DateTime>().ok()?;
    // A text with a zone that the first reading refused is not a local time.
    let instant = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(instant.as_microsecond())
}

/// Epoch milliseconds in microseconds.
pub(crate) fn milliseconds(value: f64) -> Result<i64, &'static str> {
    let time_us = (value * 1000.0).round();
    if time_us.is_nan() {
        return Err("not a number");
    }
    if time_us < EARLIEST_US as f64 {
        return Err("before 2000: are these seconds, where milliseconds are expected?");
    }
    if time_us >= BEYOND_US as f64 {
        return Err("after 9999: are these microseconds, where milliseconds are expected?");
    }
    Ok(time_us as i64)
}

/// An event time that is text: ISO 8601, or epoch milliseconds.
pub(crate) fn text_us(text: &str) -> Result<i64, &'static str> {
    if let Some(time_us) = parse_instant_us(text.trim()) {
        return Ok(time_us);
    }
    let number = text.trim().parse().map_err(|_| "neither ISO 8601 nor epoch milliseconds")?;
    milliseconds(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_config::time::format_instant;

    #[test]
    fn instants_are_read() {
        let table = [
            ("2013-01-01", Some("2013-01-01T00:00:00Z")),
            ("2013-01-01T05:15:00Z", Some("2013-01-01T05:15:00Z")),
            ("2013-01-01 05:15:00", Some("2013-01-01T05:15:00Z")),
            ("2013-01-01T05:15:00.25+01:00", Some("2013-01-01T04:15:00.25Z")),
            ("2013-01-01 05:15:00+00:00", Some("2013-01-01T05:15:00Z")),
            ("1357017300000", Some("2013-01-01T05:15:00Z")),
            ("1357017300000.5", Some("2013-01-01T05:15:00.0005Z")),
            ("1357017300", None),
            ("1357017300000000", None),
            ("2013-13-01", None),
            ("yesterday", None),
            ("", None),
            ("NaN", None),
        ];
        for (text, expected) in table {
            let read = text_us(text).ok().map(format_instant);
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        for text in ["1234-5678", "2013", "2013-", "ab13-01-01"] {
            assert!(!is_instant_text(text), "{text}");
        }
    }
}
