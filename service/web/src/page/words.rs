//! Numbers, instants, levels and names as people read them.

use driftline_analytics::report::{Check, Finding};
use driftline_config::time::{DAY_US, format_instant, parse_instant_us};
use driftline_config::{Level, Subject, TimeZone, WindowId};
use maud::{Markup, html};

const INSTANT: &str = "%-d %b %Y %H:%M";

/// An instant to the minute: `24 Jun 2013 00:00`.
pub(super) fn instant(time_us: i64) -> Markup {
    let text = formatted(time_us, INSTANT);
    html! { time datetime=(format_instant(time_us)) { (text) } }
}

/// An instant as the clocks of a window's zone show it, with the zone's name; without one as [`instant`].
pub(super) fn instant_by(time_us: i64, window: Option<&str>) -> Markup {
    let zone = window.and_then(WindowId::timezone);
    let shown = zone.and_then(|zone| Some(format!("{} {zone}", zone.format(time_us, INSTANT)?)));
    match shown {
        Some(text) => html! { time datetime=(format_instant(time_us)) { (text) } },
        None => instant(time_us),
    }
}

/// An instant to the second, of the wall clock.
pub(super) fn moment(time_us: i64) -> Markup {
    let text = formatted(time_us, "%-d %b %Y %H:%M:%S");
    html! { time datetime=(format_instant(time_us)) { (text) } }
}

/// `24 Jun 2013` by the clocks of a zone, else UTC, with the hour where it is not midnight.
pub(super) fn day(time_us: i64, zone: Option<&TimeZone>) -> String {
    let midnight =
        zone.map_or_else(|| time_us.rem_euclid(DAY_US) == 0, |zone| zone.is_day_start(time_us));
    let pattern = if midnight { "%-d %b %Y" } else { "%-d %b %Y %H:%M" };
    match zone.and_then(|zone| zone.format(time_us, pattern)) {
        Some(text) => text,
        None => formatted(time_us, pattern),
    }
}

/// The day on which the window of an id begins.
pub(super) fn day_of(id: &str, start_us: i64) -> String {
    day(start_us, WindowId::timezone(id).as_ref())
}

/// A window in words, its end exclusive: `24 Jun 2013 to 1 Jul 2013`, with the zone whose days these are.
pub(super) fn span(start_us: i64, end_us: i64, zone: Option<&TimeZone>) -> String {
    let days = format!("{} to {}", day(start_us, zone), day(end_us, zone));
    match zone {
        Some(zone) => format!("{days} in {zone}"),
        None => days,
    }
}

fn formatted(time_us: i64, format: &str) -> String {
    jiff::Timestamp::from_microsecond(time_us).map_or_else(
        |_| format!("{time_us} us"),
        |instant| instant.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string(),
    )
}

/// Thousands apart: `336 776`, with spaces that do not break.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `2.4 %`; small shares keep a second digit.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        0.0 => "0 %".to_owned(),
        size if size < 0.01 => "< 0.01 %".to_owned(),
        size if size < 1.0 => format!("{percent:.2} %"),
        size if size < 10.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// Three significant digits where there are decimals.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !value.is_finite() {
        value.to_string()
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else {
        let places = if size >= 10.0 {
            1
        } else if size >= 1.0 {
            2
        } else {
            3
        };
        format!("{value:.places$}")
    }
}

/// The same for numbers that may be missing.
pub(super) fn number_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// A latency with its unit: `820 µs`, `12.3 ms`, `1.2 s`.
pub(super) fn latency(us: u64) -> String {
    let us = us as f64;
    if us < 1000.0 {
        format!("{us:.0} µs")
    } else if us < 1e6 {
        format!("{} ms", number(us / 1e3))
    } else {
        format!("{} s", number(us / 1e6))
    }
}

/// Requests per second, or per minute, hour or day where they are few.
pub(super) fn rate(per_second: f64) -> String {
    let units = [(1.0, "/s"), (60.0, "/min"), (3600.0, "/h"), (86_400.0, "/d")];
    let unit = units.into_iter().find(|(seconds, _)| per_second * seconds >= 1.0);
    match unit {
        _ if per_second == 0.0 => "0 /s".to_owned(),
        Some((seconds, unit)) => format!("{} {unit}", number(per_second * seconds)),
        None => "< 1 /d".to_owned(),
    }
}

/// A level with a sign that does not need its colour.
pub(super) fn badge(level: Level) -> Markup {
    let (class, text) = match level {
        Level::Ok => ("badge ok", "● ok"),
        Level::Warn => ("badge warn", "◆ warn"),
        Level::Alarm => ("badge alarm", "▲ alarm"),
        Level::NotComputable => ("badge", "○ too small"),
    };
    html! { span class=(class) { (text) } }
}

/// Since when a finding is over its tolerance.
pub(super) fn first_over(finding: &Finding, zone: Option<&TimeZone>) -> Option<String> {
    let first_us = finding.first_over.as_deref().and_then(|text| parse_instant_us(text).ok());
    first_us.map(|first_us| day(first_us, zone))
}

/// The name of a subject without its kind: `dep_delay`, `score of version 3`.
pub(super) fn subject(subject: &Subject) -> String {
    subject.column_words().unwrap_or_else(|| match subject.as_str() {
        "status" => "errors".to_owned(),
        "model" => "volume".to_owned(),
        other => other.to_owned(),
    })
}

pub(super) fn kind(subject: &Subject) -> &'static str {
    if subject.is_feature() {
        "feature"
    } else if subject.is_prediction() {
        "prediction"
    } else {
        "operations"
    }
}

pub(super) fn check(check: Check) -> &'static str {
    match check {
        Check::Distribution => "distribution",
        Check::Missing => "missing values",
        Check::WrongType => "wrong type",
        Check::NewCategory => "new categories",
        Check::Absent => "absent",
        Check::NewColumn => "new column",
        Check::Volume => "volume",
        Check::Latency => "latency",
        Check::Errors => "errors",
    }
}

/// `1 window`, `2 windows`.
pub(super) fn many(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_incidents_are_those_of_their_windows_zone() {
        let table = [
            (Some("m@20261025T230000Z.1d.Europe~Paris"), "26 Oct 2026 00:00 Europe/Paris"),
            (Some("m@20261025T230000Z.1d"), "25 Oct 2026 23:00"),
            (None, "25 Oct 2026 23:00"),
        ];
        for (window, text) in table {
            let shown = instant_by(1_792_969_200_000_000, window).into_string();
            assert_eq!(shown, format!("<time datetime=\"2026-10-25T23:00:00Z\">{text}</time>"));
        }
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        let paris = TimeZone::named("Europe/Paris");
        let table = [
            (count(0), "0"),
            (count(999), "999"),
            (count(1_234_567), "1\u{202f}234\u{202f}567"),
            (percent(0.0), "0 %"),
            (percent(0.000_01), "< 0.01 %"),
            (percent(0.001_234), "0.12 %"),
            (percent(0.0312), "3.1 %"),
            (percent(0.57), "57 %"),
            (number(0.123_45), "0.123"),
            (number(-12.34), "-12.3"),
            (number(1234.5), "1234"),
            (number(1.5e-7), "1.50e-7"),
            (latency(820), "820 µs"),
            (latency(12_345), "12.3 ms"),
            (latency(1_200_000), "1.20 s"),
            (rate(0.0), "0 /s"),
            (rate(12.5), "12.5 /s"),
            (rate(0.5), "30.0 /min"),
            (subject(&Subject::feature("dep_delay")), "dep_delay"),
            (subject(&Subject::prediction("score@3")), "score of version 3"),
            (many(1, "window"), "1 window"),
            (span(0, 86_400_000_000, None), "1 Jan 1970 to 2 Jan 1970"),
            // The day on which summer time ends.
            (
                span(1_792_879_200_000_000, 1_792_969_200_000_000, paris.as_ref()),
                "25 Oct 2026 to 26 Oct 2026 in Europe/Paris",
            ),
            (day(1_792_969_200_000_000, None), "25 Oct 2026 23:00"),
            (day_of("m@20261025T230000Z.1d.Europe~Paris", 1_792_969_200_000_000), "26 Oct 2026"),
            (day_of("m@20261026T000000Z.1d", 1_792_972_800_000_000), "26 Oct 2026"),
        ];
        for (text, expected) in table {
            assert_eq!(text, expected);
        }
    }
}
