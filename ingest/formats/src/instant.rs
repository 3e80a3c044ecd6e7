//! Instants as text, one rule for streams and files, and the bounds of event times.

/// 2000-01-01T00:00:00Z in microseconds: event times before it are mistakes, most often seconds
/// where milliseconds were meant.
pub const EARLIEST_US: i64 = 946_684_800_000_000;
/// 10000-01-01T00:00:00Z in microseconds: event times from here on are mistakes, most often
/// microseconds or nanoseconds where milliseconds were meant.
pub const BEYOND_US: i64 = 253_402_300_800_000_000;

/// What a text says about when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstantText {
    /// An instant, in microseconds since 1970-01-01 UTC.
    At(i64),
    /// A date, or a date and a time, that says nothing about its zone: in microseconds as if it were UTC.
    Local(i64),
    /// A date and a time in a zone that is only named: which instant it is depends on a calendar of zones
    /// that nobody here has.
    Zoned,
}

/// Reads a date (`2026-01-02`), or a date and a time (`2026-01-02T03:04:05.678`; `T` may be a blank or
/// lower case, the fraction may begin with a comma, seconds may be left out), and the zone behind it:
/// `Z`, `UTC`, `GMT` or an offset as `+01:00`, `+0100` or `+01`, with or without a blank before it.
/// A name in brackets behind an offset (RFC 9557, Java) adds nothing to it. One rule for streams and
/// files. Digits beyond microseconds are dropped; the leap second 60 is read as 59, as calendars
/// without leap seconds do.
pub fn read_instant(text: &[u8]) -> Option<InstantText> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let days_us = date_us(date)?;
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first() else {
        return rest.is_empty().then_some(InstantText::Local(days_us));
    };
    let (time_us, rest) = time_of_day(rest)?;
    let local_us = days_us + time_us;
    Some(match zone(rest)? {
        Zone::Offset(seconds) => InstantText::At(local_us - seconds * 1_000_000),
        Zone::None => InstantText::Local(local_us),
        Zone::Named => InstantText::Zoned,
    })
}

/// Midnight of a date.
fn date_us(&[y1, y2, y3, y4, s1, m1, m2, s2, d1, d2]: &[u8; 10]) -> Option<i64> {
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let valid = [s1, s2] == *b"--"
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    valid.then(|| days_from_epoch(year, month, day) * 86_400_000_000)
}

/// Microseconds since midnight, and what follows the time.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[h1, h2, s1, m1, m2], rest) = text.split_first_chunk::<5>()?;
    let (hour, minute) = (two(h1, h2)?, two(m1, m2)?);
    if s1 != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let minutes_us = (hour * 60 + minute) * 60_000_000;
    let Some((&[b':', s1, s2], rest)) = rest.split_first_chunk::<3>() else {
        return Some((minutes_us, rest));
    };
    let second = two(s1, s2)?;
    if second > 60 {
        return None;
    }
    let (fraction_us, rest) = fraction(rest)?;
    Some((minutes_us + second.min(59) * 1_000_000 + fraction_us, rest))
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(i64::from(tens) * 10 + i64::from(ones))
}

/// Microseconds of `.678` and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', rest)) = text.split_first() else {
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

/// What a text says of its zone.
enum Zone {
    /// Seconds east of UTC.
    Offset(i64),
    None,
    Named,
}

fn zone(text: &[u8]) -> Option<Zone> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    match text {
        [] => return Some(Zone::None),
        [b'Z' | b'z'] => return Some(Zone::Offset(0)),
        _ => {}
    }
    let (offset, name) = match text.iter().position(|&byte| byte == b'[') {
        Some(at) => {
            let (offset, name) = text.split_at_checked(at)?;
            (offset.strip_suffix(b" ").unwrap_or(offset), name)
        }
        None => (text, &[][..]),
    };
    let named = match name {
        [] => None,
        [b'[', name @ .., b']'] if is_zone_name(name) => Some(name),
        _ => return None,
    };
    match (offset_seconds(offset), named) {
        (Some(seconds), _) => Some(Zone::Offset(seconds)),
        (None, Some(name)) if offset.is_empty() => {
            Some(if is_utc(name) { Zone::Offset(0) } else { Zone::Named })
        }
        (None, None) if is_zone_name(offset) && !is_half_of_day(offset) => Some(Zone::Named),
        _ => None,
    }
}

fn offset_seconds(offset: &[u8]) -> Option<i64> {
    if is_utc(offset) {
        return Some(0);
    }
    let (&sign, digits) = offset.split_first()?;
    let (hours, minutes) = match digits {
        [h1, h2] => (two(*h1, *h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn is_utc(zone: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"Z", b"UTC", b"GMT", b"Etc/UTC"];
    NAMES.iter().any(|name| zone.eq_ignore_ascii_case(name))
}

/// Whether it could be the name of a zone: `Europe/Berlin`, `CET`, `UTC+1`.
fn is_zone_name(text: &[u8]) -> bool {
    let of_names = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_+-:".contains(byte);
    let path = text.contains(&b'/');
    let abbreviation = text.iter().take(3).filter(|byte| byte.is_ascii_uppercase()).count() == 3
        || text.len() <= 5;
    text.len() <= 40
        && text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(of_names)
        && (path || abbreviation)
}

fn is_half_of_day(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"am") || text.eq_ignore_ascii_case(b"pm")
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

    fn at(text: &str) -> Option<i64> {
        match read_instant(text.as_bytes()) {
            Some(InstantText::At(time_us)) => Some(time_us),
            _ => None,
        }
    }

    #[test]
    fn an_instant_is_a_date_a_time_and_an_offset() {
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
            ("2026-01-02T03:04:05Z ", None),
            ("2026-01-02T03:04:05+24:00", None),
            ("2026-01-02T03:04:05+01:00x", None),
            ("2026-01-02T03:04:05*01:00", None),
            ("+026-01-02T03:04:05Z", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(at(text), expected, "{text}");
        }
    }

    /// `2026-07-02 03:04:05[Europe/Berlin]` was two hours off in a file and rejected on a topic, and
    /// ` UTC` of one program and `+0000` of another were no instants at all.
    #[test]
    fn zones_are_read_however_they_are_written_and_never_guessed() {
        use InstantText::{At, Local, Zoned};
        let noon = 1_767_355_200_000_000;
        let table = [
            ("2026-01-02T12:00:00Z", Some(At(noon))),
            ("2026-01-02 12:00:00 UTC", Some(At(noon))),
            ("2026-01-02 12:00:00GMT", Some(At(noon))),
            ("2026-01-02T12:00:00+0000", Some(At(noon))),
            ("2026-01-02 12:00:00 +0000", Some(At(noon))),
            ("2026-01-02 13:00:00+01", Some(At(noon))),
            ("2026-01-02 13:00:00,000 +0100", Some(At(noon))),
            ("2026-01-02T13:00+01:00[Europe/Berlin]", Some(At(noon))),
            ("2026-01-02T12:00:00Z[Europe/Berlin]", Some(At(noon))),
            ("2026-01-02T12:00:00[UTC]", Some(At(noon))),
            ("2026-01-02T12:00:00Z[UTC]", Some(At(noon))),
            ("2026-01-02T12:00:00", Some(Local(noon))),
            ("2026-01-02 12:00", Some(Local(noon))),
            ("2026-01-02", Some(Local(noon - 43_200_000_000))),
            ("2026-01-02T12:00:00[Europe/Berlin]", Some(Zoned)),
            ("2026-01-02 12:00:00 Europe/Berlin", Some(Zoned)),
            ("2026-01-02 12:00:00 CET", Some(Zoned)),
            ("2026-01-02 12:00:00 UTC+1", Some(Zoned)),
            ("2026-01-02 12:00:00 PM", None),
            ("2026-01-02 12:00:00 started", None),
            ("2026-01-02T12:00:00[", None),
            ("2026-01-02T12:00:00+01:00[Europe/Berlin", None),
            ("2026-01-02x", None),
            ("2026-01-02T", None),
        ];
        for (text, expected) in table {
            assert_eq!(read_instant(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_reads_back_as_jiff_wrote_it(time_us in 0..BEYOND_US, offset in -23_i8..=23) {
            let instant = jiff::Timestamp::from_microsecond(time_us).unwrap();
            prop_assert_eq!(at(&instant.to_string()), Some(time_us));
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(offset));
            let local = instant.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
            let in_years = local.len() >= 25 && !local.starts_with('-');
            prop_assert!(!in_years || at(&local) == Some(time_us), "{}", local);
        }
    }
}
