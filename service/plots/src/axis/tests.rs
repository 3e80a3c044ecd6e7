//! Ticks are few, round, ascending and inside; numbers and dates read as people write them.

use driftline_config::time::parse_instant_us;
use proptest::prelude::*;

use super::*;

#[test]
fn numbers_read_as_people_write_them() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "0"),
        (3.25, "3.25"),
        (0.123_456, "0.1235"),
        (1234.5, "1234"),
        (9999.0, "9999"),
        (20_000.0, "20k"),
        (1_234_567.0, "1235k"),
        (25_000_000.0, "25M"),
        (3e11, "300G"),
        (1.5e20, "1.5e20"),
        (-0.000_02, "-2e-5"),
        (f64::INFINITY, "∞"),
        (f64::NEG_INFINITY, "-∞"),
    ] {
        assert_eq!(number(value), expected, "{value}");
    }
    for (us, expected) in
        [(850.0, "850 µs"), (12_340.0, "12.3 ms"), (1.5e6, "1.5 s"), (3.6e9, "60 min")]
    {
        assert_eq!(duration(us), expected);
    }
    for (share, expected) in [(0.41, "41 %"), (0.003_21, "0.32 %"), (1.0, "100 %"), (0.0, "0 %")] {
        assert_eq!(percent(share), expected);
    }
}

#[test]
fn instants_get_ticks_of_hours_days_mondays_months_and_years() {
    for (from, to, expected) in [
        ("2013-06-24T10:00:00Z", "2013-06-24T12:30:00Z", "24 Jun 10:00 11:00 12:00"),
        ("2013-06-24T20:10:00Z", "2013-06-25T04:00:00Z", "24 Jun 21:00 25 Jun 03:00"),
        ("2013-06-24T00:00:00Z", "2013-06-28T00:00:00Z", "24 Jun 25 Jun 26 Jun 27 Jun 28 Jun"),
        ("2013-06-24T00:00:00Z", "2013-07-20T00:00:00Z", "24 Jun 1 Jul 8 Jul 15 Jul"),
        ("2013-04-01T00:00:00Z", "2013-08-20T00:00:00Z", "Apr 2013 May Jun Jul Aug"),
        ("2013-11-01T00:00:00Z", "2014-10-01T00:00:00Z", "Jan 2014 Apr Jul Oct"),
        ("2011-11-01T00:00:00Z", "2015-02-01T00:00:00Z", "2012 2013 2014 2015"),
    ] {
        let us = |text: &str| parse_instant_us(text).expect("an instant");
        let ticks = time_ticks(us(from), us(to), 5);
        let texts: Vec<&str> = ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts.join(" "), expected, "{from} to {to}");
    }
}

proptest! {
    #[test]
    fn ticks_are_few_ascending_and_inside(low in -1e12_f64..1e12, span in 1e-9_f64..1e12, about in 2_usize..8) {
        let high = low + span;
        let values = nice_values(low, high, about);
        prop_assert!(values.len() <= 2 * about + 2, "{values:?}");
        prop_assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
        let spare = 1e-6 * span + 1e-9 * low.abs();
        prop_assert!(values.iter().all(|value| (low - spare..=high + spare).contains(value)), "{values:?}");
    }

    #[test]
    fn instants_are_few_ascending_and_inside(from in -1e16_f64..1e16, span in 0_f64..1e16, about in 2_usize..8) {
        let (from, to) = (from as i64, (from + span) as i64);
        let ticks = time_ticks(from, to, about);
        prop_assert!(ticks.len() <= 2 * about + 2, "{ticks:?}");
        prop_assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0), "{ticks:?}");
        prop_assert!(ticks.iter().all(|(at, _)| (from as f64..=to as f64).contains(at)), "{ticks:?}");
    }
}
