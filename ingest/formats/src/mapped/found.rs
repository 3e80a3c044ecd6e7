//! What the sources of an envelope held, and what their fields make of it.

use std::borrow::Cow;

use driftline_config::mapping::{Origin, Unit};

use super::plan::{FieldSource, MapPlan};
use crate::instant::{InstantText, read_instant};
use crate::json::{EventTime, IDENTIFIER_BYTES, in_calendar};
use crate::record::{Carried, Record};
use crate::rows::{Row, Span};

/// What a source held.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    /// Where its value begins in the text.
    pub(crate) start: u32,
    pub(crate) value: FoundValue,
}

/// A value of a source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum FoundValue {
    /// Not there, or null.
    #[default]
    Absent,
    Text(Span),
    Number(FoundNumber),
    /// A time or a duration whose type says what it counts.
    Micros(i64),
    Bool,
    Container,
}

/// A number as it was written, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundNumber {
    pub(crate) raw: Span,
    pub(crate) value: f64,
}

/// The envelope of a record that was read by a map.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) version: Option<Cow<'a, str>>,
    pub(crate) latency_us: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) sample_rate: Option<f64>,
    /// Optional fields whose value cannot be used.
    pub(crate) unusable: u64,
}

/// Puts what the record carries beside its value where sources name it.
pub(crate) fn find_carried(
    map: &MapPlan,
    found: &mut [Found],
    row: &mut Row,
    record: &Record<'_>,
    carried: &Carried<'_>,
) {
    for (origin, found) in map.origins.iter().zip(found) {
        let text: Option<Cow<'_, [u8]>> = match origin {
            Origin::Place(_) => continue,
            Origin::Header(name) => carried.header(name).map(Cow::Borrowed),
            Origin::Key => carried.key.map(Cow::Borrowed),
            Origin::Constant(text) => Some(Cow::Borrowed(text.as_bytes())),
            Origin::RecordTime => {
                record.time_us.map(|time_us| Cow::Owned(time_us.to_string().into_bytes()))
            }
        };
        found.value = match text.as_deref().map(std::str::from_utf8) {
            // Loggers write headers of what they do not know, too.
            Some(Ok("")) | None => FoundValue::Absent,
            Some(Ok(text)) => FoundValue::Text(row.keep(text)),
            Some(Err(_)) => FoundValue::Container,
        };
    }
}

/// The text of the first source that has any; what is not a text or a number is not usable.
pub(crate) fn text_of<'t>(
    sources: &[FieldSource],
    found: &[Found],
    texts: Texts<'t>,
) -> Result<Option<&'t str>, Unusable> {
    match first(sources, found) {
        None => Ok(None),
        Some((_, FoundValue::Text(span))) => Ok(Some(texts.of(span))),
        Some((_, FoundValue::Number(number))) if number.value.is_finite() => {
            Ok(Some(texts.of(number.raw)))
        }
        Some(_) => Err(Unusable),
    }
}

/// A value of a field that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusable;

/// Where spans lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts<'t> {
    pub(crate) text: &'t str,
    pub(crate) scratch: &'t str,
}

impl<'t> Texts<'t> {
    pub(crate) fn of(self, span: Span) -> &'t str {
        span.of(self.text, self.scratch)
    }
}

fn first<'f>(sources: &'f [FieldSource], found: &[Found]) -> Option<(&'f FieldSource, FoundValue)> {
    sources.iter().find_map(|source| {
        let found = found.get(source.source as usize)?;
        match found.value {
            FoundValue::Absent => None,
            value => Some((source, value)),
        }
    })
}

impl<'t> Fields<'t> {
    /// Whether the request failed: what else the record holds is no row of anything.
    pub(crate) fn failed(map: &MapPlan, found: &[Found], texts: Texts<'_>) -> bool {
        let status = number_of(&map.fields.status, found, texts).ok().flatten();
        status.and_then(|status| status_of(status).ok()).is_some_and(|status| status >= 400)
    }

    /// Reads every field but model and time.
    pub(crate) fn of(map: &MapPlan, found: &[Found], texts: Texts<'t>) -> Fields<'t> {
        let sources = &map.fields;
        let mut fields = Fields::default();
        let id = text_of(&sources.id, found, texts);
        fields.id = fields.usable(id.and_then(identifier)).map(Cow::Borrowed);
        let version = text_of(&sources.version, found, texts);
        fields.version = fields.usable(version.and_then(identifier)).map(Cow::Borrowed);
        let latency = first(&sources.latency, found);
        let latency = latency.map(|(source, value)| latency_us(value, source.unit, texts));
        fields.latency_us = fields.usable(latency.transpose());
        let status = number_of(&sources.status, found, texts);
        fields.status = fields.usable(status.and_then(|number| number.map(status_of).transpose()));
        let rate = number_of(&sources.sample_rate, found, texts);
        let in_range =
            |rate: f64| if (0.0..=1.0).contains(&rate) { Ok(rate) } else { Err(Unusable) };
        fields.sample_rate =
            fields.usable(rate.and_then(|number| number.map(in_range).transpose()));
        fields
    }

    fn usable<T>(&mut self, value: Result<Option<T>, Unusable>) -> Option<T> {
        self.unusable += u64::from(value.is_err());
        value.ok().flatten()
    }
}

/// An identifier beyond the bound would name another request if it were cut.
pub(crate) fn identifier(text: Option<&str>) -> Result<Option<&str>, Unusable> {
    match text {
        Some(text) if text.len() > IDENTIFIER_BYTES => Err(Unusable),
        text => Ok(text),
    }
}

fn number_of(
    sources: &[FieldSource],
    found: &[Found],
    texts: Texts<'_>,
) -> Result<Option<f64>, Unusable> {
    match first(sources, found) {
        None => Ok(None),
        Some((_, FoundValue::Number(number))) => Ok(Some(number.value)),
        // Headers are texts always.
        Some((_, FoundValue::Text(span))) => {
            texts.of(span).trim().parse().map(Some).map_err(|_| Unusable)
        }
        Some(_) => Err(Unusable),
    }
}

fn status_of(status: f64) -> Result<i32, Unusable> {
    let range = f64::from(i32::MIN)..=f64::from(i32::MAX);
    let fits = status.fract() == 0.0 && range.contains(&status);
    if fits { Ok(status as i32) } else { Err(Unusable) }
}

/// Microseconds in one unit, as a fraction: nanoseconds are fewer than one.
fn unit_us(unit: Unit) -> (i64, i64) {
    match unit {
        Unit::Seconds => (1_000_000, 1),
        Unit::Milliseconds | Unit::Own => (1000, 1),
        Unit::Nanoseconds => (1, 1000),
        Unit::Microseconds | Unit::Rfc3339 | Unit::Utc => (1, 1),
    }
}

/// A count of units as microseconds, rounded to the nearest.
fn microseconds(raw: &str, value: f64, unit: Unit) -> Option<i64> {
    let (multiply, divide) = unit_us(unit);
    if let Ok(whole) = raw.parse::<i64>() {
        let half = divide / 2;
        return Some(whole.checked_mul(multiply)?.checked_add(half)?.div_euclid(divide));
    }
    let time_us = (value * multiply as f64 / divide as f64).round();
    // Beyond the calendar anyway; also where the number is not finite.
    (time_us.abs() < 1e18).then_some(time_us as i64)
}

fn latency_us(value: FoundValue, unit: Unit, texts: Texts<'_>) -> Result<i64, Unusable> {
    let unit = if unit == Unit::Own { Unit::Microseconds } else { unit };
    let (raw, value) = match value {
        FoundValue::Number(number) => (texts.of(number.raw), number.value),
        FoundValue::Text(span) => {
            let text = texts.of(span).trim();
            (text, text.parse().map_err(|_| Unusable)?)
        }
        FoundValue::Micros(us) if us >= 0 => return Ok(us),
        _ => return Err(Unusable),
    };
    let latency_us = microseconds(raw, value, unit).filter(|_| value >= 0.0);
    latency_us.ok_or(Unusable)
}

/// When the event happened, by the first source that says anything.
pub(crate) fn time_of(map: &MapPlan, found: &[Found], texts: Texts<'_>) -> EventTime {
    let Some((source, value)) = first(&map.fields.time, found) else { return EventTime::Absent };
    let is_record_time =
        map.origins.get(source.source as usize).is_some_and(|from| *from == Origin::RecordTime);
    let unit = if is_record_time { Unit::Microseconds } else { source.unit };
    let time_us = match (value, unit) {
        (FoundValue::Micros(us), _) => Ok(us),
        (FoundValue::Text(span), Unit::Own | Unit::Rfc3339) => {
            match read_instant(texts.of(span).as_bytes()) {
                Some(InstantText::At(time_us)) => Ok(time_us),
                Some(InstantText::Local(_) | InstantText::Zoned) => {
                    Err("ts says no offset from UTC: write RFC 3339, or map it with unit: utc")
                }
                None => Err("ts is a string but not RFC 3339"),
            }
        }
        (FoundValue::Text(span), Unit::Utc) => match read_instant(texts.of(span).as_bytes()) {
            Some(InstantText::At(time_us) | InstantText::Local(time_us)) => Ok(time_us),
            Some(InstantText::Zoned) => Err("ts names a zone instead of an offset from UTC"),
            None => Err("ts is a string but no date and time, with an offset or without"),
        },
        (FoundValue::Text(span), unit) => {
            let text = texts.of(span).trim();
            let number = text.parse().ok().and_then(|value| microseconds(text, value, unit));
            number.ok_or("ts is a string and no number of units")
        }
        (FoundValue::Number(_), Unit::Rfc3339 | Unit::Utc) => {
            Err("ts is a number where a text is expected: give it a unit of s, ms, us or ns")
        }
        (FoundValue::Number(number), unit) => {
            microseconds(texts.of(number.raw), number.value, unit)
                .ok_or("ts is beyond any calendar")
        }
        _ => Err("ts is neither a text nor a number"),
    };
    match time_us {
        Ok(time_us) => in_calendar(time_us, unit),
        Err(why) => EventTime::Bad(why),
    }
}
