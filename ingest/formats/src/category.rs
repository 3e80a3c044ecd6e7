//! Category text and coerced numbers: one set of rules for stream, files and baselines
//! (CONTRACTS §3).

use driftline_config::time::format_instant;

/// The text of a number as a category: whole numbers without a point, others in the shortest
/// decimal form that reads back as the same number; both zeros are `0`, infinities are `inf` and
/// `-inf`. An exponent is written below 1e-7 and from 1e21 on (`1e21`, `2.5e-8`),
/// so that no category is longer than 25 characters. `None` for NaN, which is a missing value.
pub fn category_of_f64(value: f64) -> Option<String> {
    if value.is_nan() {
        None
    } else if value == 0.0 {
        Some("0".to_owned())
    } else if value.is_finite() && !(1e-7..1e21).contains(&value.abs()) {
        Some(format!("{value:e}"))
    } else {
        Some(value.to_string())
    }
}

/// The text of a whole number as a category: decimal.
pub fn category_of_i64(value: i64) -> String {
    value.to_string()
}

/// The text of a boolean as a category.
pub fn category_of_bool(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The text of a date, given as days since 1970-01-01, as a category: ISO 8601. Days beyond the
/// years that a calendar holds are written as their number.
pub fn category_of_date(days: i32) -> String {
    jiff::Span::new()
        .try_days(days)
        .and_then(|span| jiff::civil::date(1970, 1, 1).checked_add(span))
        .map_or_else(|_| days.to_string(), |date| date.to_string())
}

/// The text of an instant, given in microseconds since 1970-01-01 UTC, as a category: RFC 3339.
pub fn category_of_instant(time_us: i64) -> String {
    format_instant(time_us)
}

/// The longest beginning of `text` that has at most `limit` bytes and cuts no character.
pub fn cut_text(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    text.get(..text.floor_char_boundary(limit)).unwrap_or("")
}

/// The number that a string holds, for columns with `coerce: true`: surrounding blanks are
/// dropped, and the rest must be what Rust reads as an `f64` (decimal, with or without an exponent;
/// `inf`, `infinity` and `nan` in any case).
pub fn coerce_number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_same_text_wherever_they_come_from() {
        let table = [
            (1.0, Some("1")),
            (-0.0, Some("0")),
            (0.1, Some("0.1")),
            (1e-7, Some("0.0000001")),
            (-2.5, Some("-2.5")),
            (1e20, Some("100000000000000000000")),
            (-1e21, Some("-1e21")),
            (2.5e-8, Some("2.5e-8")),
            (f64::INFINITY, Some("inf")),
            (f64::NEG_INFINITY, Some("-inf")),
            (f64::NAN, None),
        ];
        for (value, expected) in table {
            assert_eq!(category_of_f64(value).as_deref(), expected, "{value}");
        }
        assert_eq!(category_of_i64(-7), "-7");
        assert_eq!(category_of_bool(true), "true");
        assert_eq!(category_of_date(0), "1970-01-01");
        assert_eq!(category_of_date(-1), "1969-12-31");
        assert_eq!(category_of_date(i32::MAX), i32::MAX.to_string());
        assert_eq!(category_of_instant(1_000_000), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn text_is_cut_between_characters() {
        let table =
            [("abc", 3, "abc"), ("abc", 2, "ab"), ("aä", 2, "a"), ("ä", 1, ""), ("", 0, "")];
        for (text, limit, expected) in table {
            assert_eq!(cut_text(text, limit), expected, "{text} at {limit}");
        }
    }

    #[test]
    fn strings_that_hold_numbers_are_coerced() {
        let table = [
            ("12", Some(12.0)),
            (" 1.5e3\n", Some(1500.0)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("", None),
            ("12 minutes", None),
            ("0x10", None),
        ];
        for (text, expected) in table {
            assert_eq!(coerce_number(text), expected, "{text:?}");
        }
        assert!(coerce_number("NaN").is_some_and(f64::is_nan));
    }
}
