//! Event times: RFC 3339 text and epoch milliseconds to microseconds.

/// 2000-01-01T00:00:00Z in microseconds: event times before it are mistakes, most often seconds
/// where milliseconds were meant.
pub(crate) const EARLIEST_US: i64 = 946_684_800_000_000;
/// 10000-01-01T00:00:00Z in microseconds: event times from here on are mistakes, most often
/// microseconds or nanoseconds where milliseconds were meant.
pub(crate) const BEYOND_US: i64 = 253_402_300_800_000_000;

/// Reads exactly RFC 3339 (`2026-01-02T03:04:05.678Z`, `…+01:00`; `T` may be a space or lower
/// case) as microseconds since 1970-01-01 UTC. Digits beyond microseconds are dropped; the leap
/// second 60 is read as 59, as calendars without leap seconds do.
pub(crate) fn parse_rfc3339_us(text: &[u8]) -> Option<i64> {
    parse(text, offset_seconds)
}

/// The same, where the zone may be left out and is UTC then.
pub(crate) fn parse_utc_us(text: &[u8]) -> Option<i64> {
    parse(text, |zone| if zone.is_empty() { Some(0) } else { offset_seconds(zone) })
}

fn parse(text: &[u8], zone_seconds: impl Fn(&[u8]) -> Option<i64>) -> Option<i64> {
    let (date_time, rest) = text.split_first_chunk::<19>()?;
    let &[y1, y2, y3, y4, s1, m1, m2, s2, d1, d2, t, h1, h2, s3, n1, n2, s4, z1, z2] = date_time;
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let month = two(m1, m2)?;
    let day = two(d1, d2)?;
    let hour = two(h1, h2)?;
    let minute = two(n1, n2)?;
    let second = two(z1, z2)?;
    let separators = [s1, s2, s3, s4];
    let valid = separators == *b"--::"
        && matches!(t, b'T' | b't' | b' ')
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !valid {
        return None;
    }
    let (fraction_us, zone) = fraction(rest)?;
    let seconds =
        days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59)
            - zone_seconds(zone)?;
    Some(seconds * 1_000_000 + fraction_us)
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(i64::from(tens) * 10 + i64::from(ones))
}

/// Microseconds of `.678` and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else {
        return Some((0, text));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = rest.split_at_checked(length)?;
    if fraction.is_empty() {
        return None;
    }
    let micros = (0..6).fold(0, |number, place| {
        number * 10 + fraction.get(place).map_or(0, |byte| i64::from(byte - b'0'))
    });
    Some((micros, zone))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = two(*h1, *h2)?;
            let minutes = two(*m1, *m2)?;
            let seconds = hours * 3600 + minutes * 60;
            let valid = hours <= 23 && minutes <= 59;
            valid.then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Source: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`, for years from 0 on.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc_3339_is_read_and_nothing_else() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-02T03:04:05.678Z", Some(1_767_323_045_678_000)),
            ("2026-01-02T03:04:05.6789999Z", Some(1_767_323_045_678_999)),
            ("2026-01-02t03:04:05z", Some(1_767_323_045_000_000)),
            ("2026-01-02 04:04:05+01:00", Some(1_767_323_045_000_000)),
            ("2026-01-01T22:34:05-04:30", Some(1_767_323_045_000_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_799_000_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-01-02T03:04:05", None),
            ("2026-01-02", None),
            ("2026-01-02T24:00:00Z", None),
            ("2026-13-02T00:00:00Z", None),
            ("2026-01-02T03:04:05.Z", None),
            ("2026-01-02T03:04:05+0100", None),
            ("2026-01-02T03:04:05Z ", None),
            ("+026-01-02T03:04:05Z", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_rfc3339_us(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_zone_may_be_left_out_where_the_map_says_so() {
        let table = [
            ("2026-01-02T03:04:05.678", Some(1_767_323_045_678_000)),
            ("2026-01-02 03:04:05", Some(1_767_323_045_000_000)),
            ("2026-01-02T04:04:05+01:00", Some(1_767_323_045_000_000)),
            ("2026-01-02T03:04:05.", None),
            ("2026-01-02", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_utc_us(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_reads_back_as_jiff_wrote_it(time_us in 0..BEYOND_US, offset in -23_i8..=23) {
            let instant = jiff::Timestamp::from_microsecond(time_us).unwrap();
            prop_assert_eq!(parse_rfc3339_us(instant.to_string().as_bytes()), Some(time_us));
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(offset));
            let local = instant.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
            let in_years = local.len() >= 25 && !local.starts_with('-');
            prop_assert!(!in_years || parse_rfc3339_us(local.as_bytes()) == Some(time_us), "{}", local);
        }
    }
}
