//! Event times as files hold them.

use driftline_formats::{BEYOND_US, EARLIEST_US, InstantText, read_instant};

/// An event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventTime {
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) us: i64,
    /// Whether the file says nothing about its zone, so that it was taken for UTC.
    pub(crate) local: bool,
}

/// Epoch milliseconds in microseconds.
pub(crate) fn milliseconds(value: f64) -> Result<EventTime, &'static str> {
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
    Ok(EventTime { us: time_us as i64, local: false })
}

/// An event time that is text: ISO 8601, or epoch milliseconds.
pub(crate) fn text_time(text: &str) -> Result<EventTime, &'static str> {
    let text = text.trim();
    match read_instant(text.as_bytes()) {
        Some(InstantText::At(us)) => Ok(EventTime { us, local: false }),
        Some(InstantText::Local(us)) => Ok(EventTime { us, local: true }),
        Some(InstantText::Zoned) => Err(
            "a zone that is only named does not say which instant it is: write its offset, such as +01:00",
        ),
        None => {
            let number = text.parse().map_err(|_| "neither ISO 8601 nor epoch milliseconds")?;
            milliseconds(number)
        }
    }
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
            (" 2013-01-01 05:15:00 UTC", Some("2013-01-01T05:15:00Z")),
            ("1357017300000", Some("2013-01-01T05:15:00Z")),
            ("1357017300000.5", Some("2013-01-01T05:15:00.0005Z")),
            ("2013-01-01T05:15:00[Europe/Berlin]", None),
            ("1357017300", None),
            ("1357017300000000", None),
            ("2013-13-01", None),
            ("yesterday", None),
            ("", None),
            ("NaN", None),
        ];
        for (text, expected) in table {
            let read = text_time(text).ok().map(|time| format_instant(time.us));
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        for text in ["1234-5678", "2013", "2013-", "ab13-01-01"] {
            assert_eq!(read_instant(text.as_bytes()), None, "{text}");
        }
    }
}
