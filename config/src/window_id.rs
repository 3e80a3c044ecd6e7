//! The id of a window: what a report, a mail, an incident and an address on the page call it by.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::grid::WindowGrid;
use crate::time::{format_duration, format_instant, parse_instant_us};
use crate::time_zone::TimeZone;

/// Names one window of one model: `flight-delay@20261109T000000Z.1d`; where windows begin by the clocks of
/// a zone, `flight-delay@20261108T230000Z.1d.Europe~Paris`. Addresses and file names take it as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WindowId(String);

impl WindowId {
    /// The id of the window of `model` that starts at `start_us`, where windows are cut so.
    pub fn new(model: &str, start_us: i64, grid: &WindowGrid) -> WindowId {
        let start: String = format_instant(start_us)
            .chars()
            .filter(|letter| !matches!(letter, '-' | ':'))
            .collect();
        let mut id = format!("{model}@{start}.{}", format_duration(grid.every_us()));
        if let Some(zone) = grid.timezone() {
            id.push('.');
            // A slash would part an address, and a path.
            id.push_str(&zone.name().replace('/', "~"));
        }
        WindowId(id)
    }

    /// The id of rows that are no window of a stream, such as a file that `check` compared.
    pub fn of_comparison(name: &str) -> WindowId {
        WindowId(name.to_owned())
    }

    /// The model and the start in microseconds that an id names; `None` where it names no window.
    pub fn parse(text: &str) -> Option<(String, i64)> {
        // From the right: a model's name may hold an `@` too.
        let (model, rest) = text.rsplit_once('@')?;
        let start = rest.split_once('Z').map(|(start, _)| start)?;
        let digits = |range: std::ops::Range<usize>| start.get(range);
        let instant = format!(
            "{}-{}-{}T{}:{}:{}Z",
            digits(0..4)?,
            digits(4..6)?,
            digits(6..8)?,
            digits(9..11)?,
            digits(11..13)?,
            start.get(13..)?,
        );
        parse_instant_us(&instant).ok().map(|start_us| (model.to_owned(), start_us))
    }

    /// The zone that an id names, by whose clocks its window begins and ends.
    pub fn timezone(text: &str) -> Option<TimeZone> {
        let (_, rest) = text.rsplit_once('@')?;
        let (_, zone) = rest.split_once('Z')?.1.strip_prefix('.')?.split_once('.')?;
        TimeZone::named(&zone.replace('~', "/"))
    }

    /// As reports and addresses write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An id as it was written before.
impl From<String> for WindowId {
    fn from(text: String) -> WindowId {
        WindowId(text)
    }
}

impl From<&str> for WindowId {
    fn from(text: &str) -> WindowId {
        WindowId(text.to_owned())
    }
}

impl fmt::Display for WindowId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Deref for WindowId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for WindowId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for WindowId {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for WindowId {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY_US, SECOND_US};

    #[test]
    fn window_ids_name_their_model_start_and_zone() {
        let table = [
            (
                "flight-delay",
                "2026-11-09T00:00:00Z",
                DAY_US,
                "",
                "flight-delay@20261109T000000Z.1d",
            ),
            ("a@b.c", "2026-11-09T01:02:03Z", SECOND_US, "", "a@b.c@20261109T010203Z.1s"),
            (
                "m.Zulu",
                "2026-11-08T23:00:00Z",
                DAY_US,
                "Europe/Paris",
                "m.Zulu@20261108T230000Z.1d.Europe~Paris",
            ),
            (
                "m",
                "2026-11-09T05:00:00Z",
                7 * DAY_US,
                "Etc/GMT+5",
                "m@20261109T050000Z.7d.Etc~GMT+5",
            ),
            (
                "m",
                "2026-11-09T03:00:00Z",
                DAY_US,
                "America/Argentina/Buenos_Aires",
                "m@20261109T030000Z.1d.America~Argentina~Buenos_Aires",
            ),
            ("m", "2026-11-09T00:00:00Z", DAY_US, "Zulu", "m@20261109T000000Z.1d.Zulu"),
        ];
        for (model, start, every_us, zone, id) in table {
            let start_us = parse_instant_us(start).unwrap();
            let zone = TimeZone::named(zone);
            let grid = WindowGrid::new(every_us, zone.clone());
            assert_eq!(WindowId::new(model, start_us, &grid), id);
            assert_eq!(WindowId::parse(id), Some((model.to_owned(), start_us)), "{id}");
            assert_eq!(WindowId::timezone(id), zone, "{id}");
        }
        for id in ["", "flight-delay", "flight-delay@2026Z", "x@yesterdayZ.1d", "x@äöüäöüäöüZ.1d"]
        {
            assert_eq!(WindowId::parse(id), None, "{id}");
            assert_eq!(WindowId::timezone(id), None, "{id}");
        }
    }
}
