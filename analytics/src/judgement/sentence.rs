//! The words of a finding: shares of requests, points, and never a p-value.

/// A share as a percentage without its sign: whole numbers from 10 on, fewer zeros below.
pub(crate) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let size = percent.abs();
    if size == 0.0 || !size.is_finite() {
        return "0".to_owned();
    }
    // Almost all is not all, and almost none is not none.
    if (99.5..100.0).contains(&size) {
        let below = (size * 10.0).floor() / 10.0;
        return trimmed(below.min(99.9), 1);
    }
    if size >= 10.0 {
        return format!("{size:.0}");
    }
    if size >= 1.0 {
        return trimmed(size, 1);
    }
    // Just under it is binary arithmetic's way to write it.
    if size < 0.000_099_9 {
        return "under 0.0001".to_owned();
    }
    format!("{size:.1e}")
        .parse::<f64>()
        .map_or_else(|_| trimmed(size, 4), |value| value.to_string())
}

/// A difference of shares in points, with its word: `16 points`, `1 point`.
pub(crate) fn points(difference: f64) -> String {
    let text = percent(difference);
    let word = if text == "1" { "point" } else { "points" };
    format!("{text} {word}")
}

/// A lower bound in points, rounded down so that it is never overstated; `None` where nothing is
/// left of it.
pub(crate) fn at_least_points(bound: f64) -> Option<String> {
    let percent = 100.0 * bound;
    if percent >= 2.0 {
        return Some(format!("{}", percent.floor()));
    }
    let tenths = (percent * 10.0).floor() / 10.0;
    (tenths > 0.0).then(|| trimmed(tenths, 1))
}

/// `57 % of requests have X, in the baseline 41 %: 16 points more, at least 7 with 99 % confidence;
/// tolerance 5`. `what` reads on from "of requests"; `bound` and `tolerance` are differences of
/// shares.
pub(crate) fn of_requests(
    what: &str,
    reference: f64,
    window: f64,
    bound: f64,
    tolerance: f64,
) -> String {
    format!(
        "{} % of requests {what}, in the baseline {} %: {}{}; tolerance {}",
        percent(window),
        percent(reference),
        more_or_fewer(window - reference),
        at_least_points(bound).map_or_else(String::new, |at_least| format!(
            ", at least {at_least} with 99 % confidence"
        )),
        percent(tolerance)
    )
}

/// `16 points more`, `3 points fewer`, `the same`.
pub(crate) fn more_or_fewer(difference: f64) -> String {
    match difference {
        d if d > 0.0 => format!("{} more", points(d)),
        d if d < 0.0 => format!("{} fewer", points(d)),
        _ => "the same".to_owned(),
    }
}

/// A statistic to two significant digits: `0.31`.
pub(crate) fn statistic(value: f64) -> String {
    format!("{value:.1e}")
        .parse::<f64>()
        .map_or_else(|_| value.to_string(), |v| (v + 0.0).to_string())
}

/// A lower bound of a statistic, rounded down to two significant digits.
pub(crate) fn statistic_floor(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse::<f64>().unwrap_or(value);
    if rounded <= value {
        return statistic(value);
    }
    let step = libm::pow(10.0, libm::floor(libm::log10(value)) - 1.0);
    statistic(rounded - step)
}

/// A text as a sentence can hold it without quotes: quoted where it is empty or has blanks.
pub(crate) fn plain(text: &str) -> String {
    let simple = !text.is_empty() && text.chars().count() <= 64;
    if simple && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"') {
        return text.to_owned();
    }
    quoted(text)
}

/// A text as a sentence can hold it: no control characters, at most 64 characters.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 64;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(MOST).map(clean).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// What is said of a window that is too small.
pub(crate) fn too_few(n: u64, what: &str, needed: Option<u64>) -> String {
    let rows = if n == 1 { "1 row is" } else { "rows are" };
    let start = if n == 1 { rows.to_owned() } else { format!("{n} {rows}") };
    match needed {
        Some(needed) => {
            format!("{start} too few to judge {what}: at least {needed} would be needed")
        }
        None => format!(
            "{start} too few to judge {what}, and no number would be enough: its baseline is too small"
        ),
    }
}

/// A value of a column as a sentence can hold it: at most four significant digits after whole
/// numbers. The report's `at` has them all.
pub(crate) fn value(value: f64) -> String {
    if value.fract() == 0.0 || !value.is_finite() {
        return crate::report::Ordered(value).to_string();
    }
    let whole_digits = libm::log10(value.abs()).floor() as i32 + 1;
    let decimals = usize::try_from(4 - whole_digits).unwrap_or(0).clamp(1, 12);
    trimmed(value, decimals)
}

/// With at most `digits` decimals and no zeros at the end.
fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_short_and_never_lie_about_the_ends() {
        let table = [
            (0.0, "0"),
            (0.57, "57"),
            (0.054, "5.4"),
            (0.05, "5"),
            (0.00123, "0.12"),
            (0.000001, "0.0001"),
            (0.0000001, "under 0.0001"),
            (0.9999, "99.9"),
            (0.996, "99.6"),
            (1.0, "100"),
        ];
        for (share, expected) in table {
            assert_eq!(percent(share), expected, "{share}");
        }
    }

    #[test]
    fn the_sentence_of_the_contract() {
        let sentence = of_requests("have dep_delay > 3.25", 0.41, 0.57, 0.0756, 0.05);
        assert_eq!(
            sentence,
            "57 % of requests have dep_delay > 3.25, in the baseline 41 %: 16 points more, at least 7 with 99 % confidence; tolerance 5"
        );
        let fewer = of_requests("have x > 1", 0.02, 0.01, -0.1, 0.05);
        assert_eq!(
            fewer,
            "1 % of requests have x > 1, in the baseline 2 %: 1 point fewer; tolerance 5"
        );
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        assert_eq!(quoted("a\nb"), "\"a b\"");
        assert_eq!(quoted(&"x".repeat(65)).chars().count(), 67);
    }

    #[test]
    fn a_bound_is_never_rounded_up() {
        assert_eq!(at_least_points(0.0799), Some("7".to_owned()));
        assert_eq!(at_least_points(0.0199), Some("1.9".to_owned()));
        assert_eq!(at_least_points(0.0004), None);
        assert_eq!(at_least_points(-0.3), None);
    }
}
