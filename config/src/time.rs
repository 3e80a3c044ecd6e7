//! Durations and instants as the configuration and the reports write them.

/// One second in microseconds.
pub const SECOND_US: i64 = 1_000_000;
/// One minute in microseconds.
pub const MINUTE_US: i64 = 60 * SECOND_US;
/// One hour in microseconds.
pub const HOUR_US: i64 = 60 * MINUTE_US;
/// One day in microseconds.
pub const DAY_US: i64 = 24 * HOUR_US;
/// 1970-01-05T00:00:00Z, a Monday: the instant to which all windows are aligned.
pub const ALIGNMENT_US: i64 = 4 * DAY_US;

/// A moment as the service's clock tells it. The clock is read at the edges; everything else is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockReading {
    /// Durations are measured on this one: it never goes back and never jumps. Microseconds since an
    /// instant that means nothing.
    pub steady_us: i64,
    /// Wall time in UTC microseconds. It never jumps forward: where the machine's clock does, it follows
    /// at twice real time (docs/decisions/061).
    pub wall_us: i64,
}

impl From<i64> for ClockReading {
    /// Of a clock that nobody ever set.
    fn from(wall_us: i64) -> ClockReading {
        ClockReading { steady_us: wall_us, wall_us }
    }
}

/// Reads `30s`, `1m`, `4h`, `1d`, `2w`, `250ms`, `100us` or a sum of them (`1h30m`) as microseconds.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_duration_us(text: &str) -> Result<i64, String> {
    let expected = || {
        format!(
            "\"{text}\" is not a duration: write a number and a unit, such as 30s, 5m, 4h, 1d or 50ms"
        )
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(expected());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let number: i64 = rest[..digits].parse().map_err(|_| expected())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_us = match &rest[..unit_end] {
            "us" => 1,
            "ms" => 1_000,
            "s" => SECOND_US,
            "m" => MINUTE_US,
            "h" => HOUR_US,
            "d" => DAY_US,
            "w" => 7 * DAY_US,
            _ => return Err(expected()),
        };
        rest = &rest[unit_end..];
        total = number
            .checked_mul(unit_us)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("\"{text}\" is too long a duration"))?;
    }
    Ok(total)
}

/// Writes a duration with the largest unit that divides it: `7d`, `90s`, `1500us`. Weeks are written
/// as days.
pub fn format_duration(duration_us: i64) -> String {
    for (unit, unit_us) in
        [("d", DAY_US), ("h", HOUR_US), ("m", MINUTE_US), ("s", SECOND_US), ("ms", 1_000)]
    {
        if duration_us != 0 && duration_us % unit_us == 0 {
            return format!("{}{unit}", duration_us / unit_us);
        }
    }
    format!("{duration_us}us")
}

/// Writes a duration as people say it, rounded to the unit that fits: `2 weeks`, `50 minutes`, `1 day`.
pub fn duration_words(duration_us: i64) -> String {
    const WEEK_US: i64 = 7 * DAY_US;
    let units = [
        (2 * WEEK_US, WEEK_US, "week"),
        (2 * DAY_US, DAY_US, "day"),
        (2 * HOUR_US, HOUR_US, "hour"),
        (2 * MINUTE_US, MINUTE_US, "minute"),
    ];
    let fits = units.iter().find(|(least_us, ..)| duration_us >= *least_us);
    let (unit_us, unit) = fits.map_or((SECOND_US, "second"), |(_, unit_us, unit)| (*unit_us, unit));
    let count = duration_us.saturating_add(unit_us / 2) / unit_us;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Writes an instant as RFC 3339 in UTC, with fractions only where there are any:
/// `2026-11-02T00:00:00Z`. Instants beyond the years 1 to 9999 are written as their microseconds.
pub fn format_instant(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us)
        .map_or_else(|_| format!("{time_us}us"), |instant| instant.to_string())
}

/// Reads RFC 3339 as microseconds since 1970-01-01 UTC.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_instant_us(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>().map(|instant| instant.as_microsecond()).map_err(|_| {
        format!("\"{text}\" is not an instant: write RFC 3339, such as 2026-11-02T00:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mail said that nothing had come for 20161m.
    #[test]
    fn durations_are_said_as_people_say_them() {
        let table = [
            (20_161 * MINUTE_US, "2 weeks"),
            (36 * HOUR_US, "36 hours"),
            (3 * DAY_US, "3 days"),
            (90 * MINUTE_US, "90 minutes"),
            (SECOND_US, "1 second"),
            (0, "0 seconds"),
        ];
        for (duration_us, words) in table {
            assert_eq!(duration_words(duration_us), words);
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        let table = [
            ("30s", 30 * SECOND_US, "30s"),
            ("1h30m", 90 * MINUTE_US, "90m"),
            ("7d", 7 * DAY_US, "7d"),
            ("1w", 7 * DAY_US, "7d"),
            ("50ms", 50_000, "50ms"),
            ("0s", 0, "0us"),
        ];
        for (text, expected_us, written) in table {
            assert_eq!(parse_duration_us(text), Ok(expected_us), "{text}");
            assert_eq!(format_duration(expected_us), written);
        }
        for text in ["", "5", "d", "5 parsecs", "-5s", "99999999999999999d"] {
            assert!(parse_duration_us(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_are_read_and_written() {
        let monday = "1970-01-05T00:00:00Z";
        assert_eq!(parse_instant_us(monday), Ok(ALIGNMENT_US));
        assert_eq!(format_instant(ALIGNMENT_US), monday);
        assert!(parse_instant_us("yesterday").is_err());
    }
}
