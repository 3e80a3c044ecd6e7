//! Where windows begin and end: every so often from one Monday on, in UTC or by the clocks of a zone.

use jiff::ToSpan as _;
use serde::{Deserialize, Serialize};

use crate::time::{ALIGNMENT_US, DAY_US, format_duration};
use crate::time_zone::TimeZone;

/// The days for which a zone's clocks are asked: the years -9998 to 9998. Beyond them days are those of UTC.
const ZONED_DAYS: std::ops::Range<i64> = -4_371_226..2_932_528;
/// 1970-01-05, the Monday of [`ALIGNMENT_US`].
const ALIGNMENT_DAY: jiff::civil::Date = jiff::civil::date(1970, 1, 5);

/// Half-open windows that follow one another without a gap: of one length, or, with a zone, of one number
/// of days from midnight to midnight, of which some are an hour shorter or longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "KeptGrid")]
pub struct WindowGrid {
    every_us: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<TimeZone>,
}

/// A grid as it is kept.
#[derive(Deserialize)]
struct KeptGrid {
    every_us: i64,
    #[serde(default)]
    timezone: Option<TimeZone>,
}

impl From<KeptGrid> for WindowGrid {
    fn from(kept: KeptGrid) -> WindowGrid {
        WindowGrid::new(kept.every_us, kept.timezone)
    }
}

impl WindowGrid {
    /// Windows of a fixed length.
    pub fn every(every_us: i64) -> WindowGrid {
        WindowGrid { every_us: every_us.max(1), timezone: None }
    }

    /// Windows of so much, at the midnights of a zone where there is one and they are of whole days.
    pub fn new(every_us: i64, timezone: Option<TimeZone>) -> WindowGrid {
        let timezone = timezone.filter(|_| is_whole_days(every_us));
        WindowGrid { timezone, ..WindowGrid::every(every_us) }
    }

    /// The length of a window, in microseconds; of most of them, where there is a zone.
    pub fn every_us(&self) -> i64 {
        self.every_us
    }

    /// By whose midnights windows begin; `None` in UTC.
    pub fn timezone(&self) -> Option<&TimeZone> {
        self.timezone.as_ref()
    }

    /// The start of the window that holds `time_us`.
    pub fn start_us(&self, time_us: i64) -> i64 {
        match &self.timezone {
            None => {
                let since = time_us.saturating_sub(ALIGNMENT_US);
                time_us.saturating_sub(since.rem_euclid(self.every_us))
            }
            Some(zone) => self.boundary_us(zone, self.number(zone, time_us)),
        }
    }

    /// The end of the window that starts at `start_us`.
    pub fn end_us(&self, start_us: i64) -> i64 {
        self.after_us(start_us, 1)
    }

    /// The end of the longest that a window from `start_us` may be, where it may grow to `at_most_us`.
    pub fn longest_us(&self, start_us: i64, at_most_us: i64) -> i64 {
        self.after_us(start_us, (at_most_us / self.every_us).max(1))
    }

    /// Whether it has so many windows, one after the other, from `start_us` to `end_us`.
    pub fn has_windows(&self, start_us: i64, end_us: i64, windows: u32) -> bool {
        self.start_us(start_us) == start_us && self.after_us(start_us, i64::from(windows)) == end_us
    }

    /// Its length in words, with the zone where that tells it from another: `1d`, `1d in Europe/Paris`.
    pub fn told_from(&self, other: &WindowGrid) -> String {
        let every = format_duration(self.every_us);
        if self.timezone == other.timezone {
            return every;
        }
        format!("{every} in {}", self.timezone.as_ref().map_or("UTC", TimeZone::name))
    }

    /// The end of the last of so many windows, of which the first starts at `start_us`.
    fn after_us(&self, start_us: i64, windows: i64) -> i64 {
        match &self.timezone {
            None => start_us.saturating_add(windows.saturating_mul(self.every_us)),
            Some(zone) => {
                self.boundary_us(zone, self.number(zone, start_us).saturating_add(windows))
            }
        }
    }

    /// The number of the window that holds `time_us`, counted from the one that begins on 1970-01-05.
    fn number(&self, zone: &TimeZone, time_us: i64) -> i64 {
        // The last instant of all is where boundaries end that lie beyond it.
        let time_us = time_us.min(i64::MAX - 1);
        // Clocks differ from UTC by less than a day, so it is the window of UTC or a neighbour. Going down
        // leaves out windows without an instant, whose days the zone skipped.
        let mut number = time_us.saturating_sub(ALIGNMENT_US).div_euclid(self.every_us) + 1;
        while self.boundary_us(zone, number) > time_us {
            number -= 1;
        }
        number
    }

    /// Where the window of a number begins. Never earlier than that of a smaller one.
    fn boundary_us(&self, zone: &TimeZone, number: i64) -> i64 {
        let days = number.saturating_mul(self.every_us / DAY_US);
        let zoned = || {
            let day = ZONED_DAYS.contains(&days).then(|| ALIGNMENT_DAY.checked_add(days.days()))?;
            zone.day_start_us(day.ok()?)
        };
        zoned().unwrap_or_else(|| days.saturating_add(ALIGNMENT_US / DAY_US).saturating_mul(DAY_US))
    }
}

/// Whether windows of this length can begin at midnights.
pub(crate) fn is_whole_days(every_us: i64) -> bool {
    every_us >= DAY_US && every_us % DAY_US == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{HOUR_US, format_instant, parse_instant_us};

    fn grid(days: i64, zone: &str) -> WindowGrid {
        WindowGrid::new(days * DAY_US, Some(TimeZone::named(zone).unwrap()))
    }

    #[test]
    fn days_and_weeks_begin_at_local_midnight() {
        let table = [
            (1, "Europe/Paris", "2026-11-10T12:00:00Z", "2026-11-09T23:00:00Z", 24),
            (1, "Europe/Paris", "2026-11-09T22:59:59.999999Z", "2026-11-08T23:00:00Z", 24),
            (1, "Europe/Paris", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23),
            (1, "Europe/Paris", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25),
            (1, "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", 23),
            (1, "America/New_York", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", 25),
            (7, "Europe/Paris", "2026-10-25T12:00:00Z", "2026-10-18T22:00:00Z", 169),
            (7, "Europe/Paris", "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", 167),
            (7, "UTC", "2026-11-12T12:00:00Z", "2026-11-09T00:00:00Z", 168),
            // Clocks go from 00:00 to 01:00, and from 00:00 back to 23:00.
            (1, "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", 23),
            (1, "America/Sao_Paulo", "2018-02-17T12:00:00Z", "2018-02-17T02:00:00Z", 25),
            (1, "Africa/Cairo", "2024-04-26T12:00:00Z", "2024-04-25T22:00:00Z", 23),
            (1, "Africa/Cairo", "2024-10-31T12:00:00Z", "2024-10-30T21:00:00Z", 25),
            // 30 December 2011 was left out.
            (1, "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", 24),
            (1, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", 24),
        ];
        for (days, zone, time, start, hours) in table {
            let (grid, time_us) = (grid(days, zone), parse_instant_us(time).unwrap());
            let start_us = grid.start_us(time_us);
            let case = format!("{days} {zone} {time}");
            assert_eq!(format_instant(start_us), start, "{case}");
            assert_eq!((grid.end_us(start_us) - start_us) / HOUR_US, hours, "{case}");
        }
    }

    #[test]
    fn a_window_grows_by_whole_days_of_its_zone() {
        let grid = grid(1, "Europe/Paris");
        let start_us = parse_instant_us("2026-10-23T22:00:00Z").unwrap();
        for (at_most_us, end) in [
            (0, "2026-10-24T22:00:00Z"),
            (47 * HOUR_US, "2026-10-24T22:00:00Z"),
            (2 * DAY_US, "2026-10-25T23:00:00Z"),
            (14 * DAY_US, "2026-11-06T23:00:00Z"),
        ] {
            assert_eq!(format_instant(grid.longest_us(start_us, at_most_us)), end, "{at_most_us}");
        }
    }

    #[test]
    fn without_a_zone_it_is_written_as_its_length_alone() {
        let plain = WindowGrid::every(DAY_US);
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"every_us":86400000000}"#);
        let zoned = grid(1, "Europe/Paris");
        let text = serde_json::to_string(&zoned).unwrap();
        assert_eq!(text, r#"{"every_us":86400000000,"timezone":"Europe/Paris"}"#);
        for (grid, text) in [(plain, r#"{"every_us":86400000000}"#), (zoned, text.as_str())] {
            assert_eq!(serde_json::from_str::<WindowGrid>(text).unwrap(), grid);
        }
        let unknown = r#"{"every_us":1,"timezone":"Mars/Olympus"}"#;
        let error = serde_json::from_str::<WindowGrid>(unknown).unwrap_err().to_string();
        assert!(error.starts_with("this program knows no time zone \"Mars/Olympus\""), "{error}");
    }

    const ZONES: [&str; 12] = [
        "Europe/Paris",
        "America/New_York",
        "America/Sao_Paulo",
        "Africa/Cairo",
        "Pacific/Apia",
        "America/St_Johns",
        "America/Toronto",
        "Asia/Manila",
        "America/Juneau",
        "Asia/Kathmandu",
        "Etc/GMT+12",
        "Pacific/Kiritimati",
    ];

    fn times_us() -> impl Strategy<Value = i64> {
        prop_oneof![
            // From 1800 to 2100, in which zones do what they do.
            4 => -5_364_662_400_000_000_i64..4_102_444_800_000_000,
            // About the last years of which a zone knows.
            1 => 253_111_219_200_000_000_i64..253_629_619_200_000_000,
            1 => -377_933_126_400_000_000_i64..-377_414_726_400_000_000,
            1 => any::<i64>(),
            1 => Just(i64::MIN),
            1 => Just(i64::MAX),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Windows hold their instants and follow one another without a gap or an overlap.
        #[test]
        fn windows_tile_time(
            time_us in times_us(),
            days in prop_oneof![Just(1_i64), Just(2), Just(7), Just(14), Just(36_500)],
            zone in proptest::sample::select(ZONES.to_vec()),
        ) {
            let grid = grid(days, zone);
            let start_us = grid.start_us(time_us);
            let end_us = grid.end_us(start_us);
            prop_assert!(start_us <= time_us);
            prop_assert!(time_us < end_us || end_us == i64::MAX);
            prop_assert_eq!(grid.start_us(start_us), start_us);
            if start_us > i64::MIN && end_us < i64::MAX {
                prop_assert_eq!(grid.start_us(end_us - 1), start_us);
                prop_assert_eq!(grid.start_us(end_us), end_us);
                let length_us = end_us - start_us;
                // Manila, Juneau, Apia and Kiritimati crossed the date line.
                prop_assert!(length_us.abs_diff(days * DAY_US) <= 26 * HOUR_US.unsigned_abs());
                prop_assert!(grid.longest_us(start_us, 0) == end_us);
            }
            prop_assert!(grid.longest_us(start_us, 3 * days * DAY_US) >= end_us);
        }

        /// Where clocks show UTC, a zone changes nothing.
        #[test]
        fn a_zone_that_is_utc_changes_nothing(time_us in times_us(), days in 1_i64..40) {
            let (plain, zoned) = (WindowGrid::every(days * DAY_US), grid(days, "UTC"));
            prop_assert_eq!(plain.start_us(time_us), zoned.start_us(time_us));
            let start_us = plain.start_us(time_us);
            if start_us > i64::MIN {
                prop_assert_eq!(plain.end_us(start_us), zoned.end_us(start_us));
            }
        }
    }
}
