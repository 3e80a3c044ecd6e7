//! The top level of a capture: every key of CONTRACTS §3 but `features` and `prediction`.

use std::borrow::Cow;

use driftline_capture::Ignored;
use driftline_config::mapping::Unit;

use super::scan::{Fault, Number, Scanner, Text, Value, unescape};
use super::sixteen::QuotedKey;
use crate::instant::{BEYOND_US, EARLIEST_US, InstantText, read_instant};
use crate::layout::{Part, TopicLayout};

/// Bytes that an `id` or a `version` may have; longer ones count as absent, since a cut identifier
/// would name another request.
pub(crate) const IDENTIFIER_BYTES: usize = 256;

/// What `model` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ModelField<'a> {
    #[default]
    Absent,
    Known(u32),
    /// A model that this topic is not configured for.
    Foreign(Text<'a>),
    Unreadable,
}

impl ModelField<'_> {
    pub(crate) fn known(self) -> Option<u32> {
        match self {
            ModelField::Known(model) => Some(model),
            _ => None,
        }
    }
}

/// What `ts` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum EventTime {
    #[default]
    Absent,
    Read(i64),
    Bad(&'static str),
}

/// A key of the top level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Model,
    Time,
    Id,
    Version,
    Latency,
    Status,
    SampleRate,
    Heartbeat,
    /// The version of the format.
    Format,
    Part(Part),
    /// For coming formats, or of no meaning to a reader of version 1.
    Reserved,
    Unknown,
}

impl Key {
    fn of(key: Text<'_>) -> Key {
        if key.escaped {
            Key::of_name(optional_text(key).as_bytes())
        } else {
            Key::of_name(key.raw)
        }
    }

    fn of_name(name: &[u8]) -> Key {
        match name {
            b"model" => Key::Model,
            b"ts" => Key::Time,
            b"id" => Key::Id,
            b"version" => Key::Version,
            b"latency_us" => Key::Latency,
            b"status" => Key::Status,
            b"sample_rate" => Key::SampleRate,
            b"heartbeat" => Key::Heartbeat,
            b"features" => Key::Part(Part::Features),
            b"prediction" => Key::Part(Part::Prediction),
            b"v" => Key::Format,
            b"segment" | b"attributions" | b"rows" => Key::Reserved,
            _ => Key::Unknown,
        }
    }
}

/// The keys of the top level in the order in which they stood last: producers write them in one.
#[derive(Debug, Default)]
pub(crate) struct EnvelopeKeys {
    order: Vec<(QuotedKey, Key)>,
}

impl EnvelopeKeys {
    /// Places that are remembered; CONTRACTS §3 names no more keys.
    const MOST: usize = 16;

    /// Reads the key at `place` of its record and its colon, and stands on the value.
    #[inline]
    pub(crate) fn read(&mut self, place: usize, scanner: &mut Scanner<'_>) -> Result<Key, Fault> {
        if let Some((quoted, key)) = self.order.get(place)
            && scanner.pass_key(quoted)
        {
            return Ok(*key);
        }
        self.learn(place, scanner)
    }

    fn learn(&mut self, place: usize, scanner: &mut Scanner<'_>) -> Result<Key, Fault> {
        let text = scanner.key()?;
        let key = Key::of(text);
        // An unknown key may be as long as a record.
        if place < EnvelopeKeys::MOST && key != Key::Unknown {
            let learnt = (QuotedKey::new(&optional_text(text)), key);
            if let Some(seen) = self.order.get_mut(place) {
                *seen = learnt;
            } else if place == self.order.len() {
                self.order.push(learnt);
            }
        }
        Ok(key)
    }
}

/// The envelope of one record, as far as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) model: ModelField<'a>,
    pub(crate) time: EventTime,
    pub(crate) id: Option<Text<'a>>,
    pub(crate) version: Option<Text<'a>>,
    pub(crate) latency_us: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) sample_rate: Option<f64>,
    pub(crate) heartbeat: bool,
    /// Whether it says that it is of another version than ours.
    pub(crate) other_format: bool,
    pub(crate) features: Option<usize>,
    pub(crate) prediction: Option<usize>,
    /// The model for which the row was filled while reading.
    pub(crate) row_model: Option<u32>,
    /// Whether the row is not what the last `features` and `prediction` say.
    pub(crate) read_again: bool,
    pub(crate) ignored: Ignored,
}

impl<'a> Envelope<'a> {
    pub(crate) fn place_of(&mut self, part: Part) -> &mut Option<usize> {
        match part {
            Part::Features => &mut self.features,
            Part::Prediction => &mut self.prediction,
        }
    }

    /// Reads the value of a key that is no part. `likely` is the model that is tried before the
    /// table.
    pub(crate) fn field(
        &mut self,
        key: Key,
        layout: &TopicLayout,
        likely: u32,
        scanner: &mut Scanner<'a>,
    ) -> Result<(), Fault> {
        if let Key::Reserved | Key::Unknown = key {
            self.ignored.unknown_keys += u64::from(key == Key::Unknown);
        }
        let value = scanner.value()?;
        if let Value::Object | Value::Array = value {
            scanner.skip(1)?;
        }
        match key {
            Key::Model => self.model = model_field(value, layout, likely),
            Key::Time => self.time = event_time(value),
            Key::Id => self.id = self.usable(value, identifier),
            Key::Version => self.version = self.usable(value, identifier),
            Key::Latency => self.latency_us = self.usable(value, latency_us),
            Key::Status => self.status = self.usable(value, status),
            Key::SampleRate => self.sample_rate = self.usable(value, sample_rate),
            Key::Heartbeat => self.heartbeat = self.usable(value, boolean).unwrap_or(false),
            Key::Format => self.other_format = self.usable(value, format).is_some_and(|v| v != 1.0),
            Key::Part(_) | Key::Reserved | Key::Unknown => {}
        }
        Ok(())
    }

    /// Reads an optional field; `null` is absent, what cannot be read is absent and counted.
    fn usable<T>(&mut self, value: Value<'a>, read: fn(Value<'a>) -> Option<T>) -> Option<T> {
        if matches!(value, Value::Null) {
            return None;
        }
        let usable = read(value);
        self.ignored.unusable_fields += u64::from(usable.is_none());
        usable
    }
}

/// The characters of a checked string that stands in `record`.
pub(crate) fn piece_of<'a>(record: &'a str, text: Text<'a>) -> Cow<'a, str> {
    match record.get(text.start..text.start + text.raw.len()) {
        Some(piece) if !text.escaped => Cow::Borrowed(piece),
        _ => optional_text(text),
    }
}

/// The characters of a checked string.
pub(crate) fn optional_text(text: Text<'_>) -> Cow<'_, str> {
    if text.escaped {
        let mut out = String::with_capacity(text.raw.len());
        unescape(text, &mut out);
        Cow::Owned(out)
    } else {
        Cow::Borrowed(std::str::from_utf8(text.raw).unwrap_or_default())
    }
}

fn model_field<'a>(value: Value<'a>, layout: &TopicLayout, likely: u32) -> ModelField<'a> {
    match value {
        Value::Null => ModelField::Absent,
        Value::Text(text) => {
            let likely_name = layout.models.get(likely as usize).map(|model| &*model.name);
            if !text.escaped && likely_name.is_some_and(|name| name.as_bytes() == text.raw) {
                // The table would say the same: two models of one name share the first index, and
                // the likely model is one that had rows.
                return ModelField::Known(likely);
            }
            let name = optional_text(text);
            let known = layout.by_name.get(&*name);
            known.map_or(ModelField::Foreign(text), |model| ModelField::Known(*model))
        }
        _ => ModelField::Unreadable,
    }
}

fn event_time(value: Value<'_>) -> EventTime {
    let time_us = match value {
        Value::Null => return EventTime::Absent,
        Value::Text(text) => {
            let read = match text.escaped {
                true => read_instant(optional_text(text).as_bytes()),
                false => read_instant(text.raw),
            };
            match read {
                Some(InstantText::At(time_us)) => time_us,
                Some(InstantText::Local(_) | InstantText::Zoned) => {
                    return EventTime::Bad("ts says no offset from UTC: write RFC 3339");
                }
                None => return EventTime::Bad("ts is a string but not RFC 3339"),
            }
        }
        Value::Number(number) => match milliseconds(number) {
            Some(time_us) => time_us,
            None => return EventTime::Bad("ts is beyond any calendar"),
        },
        _ => return EventTime::Bad("ts is neither RFC 3339 nor epoch milliseconds"),
    };
    in_calendar(time_us, Unit::Own)
}

/// A time that lies between the years 2000 and 9999; others are mistakes, mostly of the unit.
pub(crate) fn in_calendar(time_us: i64, unit: Unit) -> EventTime {
    let own = unit == Unit::Own;
    if time_us < EARLIEST_US {
        EventTime::Bad(match own {
            true => "ts lies before 2000: were seconds sent where milliseconds are expected?",
            false => "ts lies before 2000: is it counted in a larger unit than the map says?",
        })
    } else if time_us >= BEYOND_US {
        EventTime::Bad(match own {
            true => "ts lies after 9999: were microseconds sent where milliseconds are expected?",
            false => "ts lies after 9999: is it counted in a smaller unit than the map says?",
        })
    } else {
        EventTime::Read(time_us)
    }
}

/// Epoch milliseconds as microseconds. Fractions are kept to the microsecond.
fn milliseconds(number: Number<'_>) -> Option<i64> {
    if number.whole {
        return whole(number)?.checked_mul(1000);
    }
    let time_us = (number.value * 1000.0).round();
    // Beyond the calendar anyway; also where the number is not finite.
    (time_us.abs() < 1e18).then_some(time_us as i64)
}

fn whole(number: Number<'_>) -> Option<i64> {
    /// Whole numbers of fewer digits are exact in a double.
    const EXACT_DIGITS: usize = 15;
    if number.raw.len() <= EXACT_DIGITS {
        return Some(number.value as i64);
    }
    std::str::from_utf8(number.raw).ok()?.parse().ok()
}

/// A string, or a number as it was written: producers disagree whether identifiers are numbers.
fn identifier(value: Value<'_>) -> Option<Text<'_>> {
    let text = match value {
        // Two that differ in what is no character would be one.
        Value::Text(text) if !text.broken => text,
        Value::Number(number) if number.value.is_finite() => {
            Text { raw: number.raw, start: number.start, escaped: false, broken: false }
        }
        _ => return None,
    };
    let length = if text.escaped { optional_text(text).len() } else { text.raw.len() };
    (length <= IDENTIFIER_BYTES).then_some(text)
}

fn latency_us(value: Value<'_>) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    // Beyond it a double knows no whole numbers.
    const MOST: f64 = 9e15;
    let rounded = match number.whole {
        true => whole(number)?,
        false => number.value.round() as i64,
    };
    (0.0..=MOST).contains(&number.value.round()).then_some(rounded)
}

fn status(value: Value<'_>) -> Option<i32> {
    let Value::Number(number) = value else { return None };
    let status = number.value;
    let fits =
        status.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&status);
    fits.then_some(status as i32)
}

fn sample_rate(value: Value<'_>) -> Option<f64> {
    let Value::Number(number) = value else { return None };
    (0.0..=1.0).contains(&number.value).then_some(number.value)
}

fn format(value: Value<'_>) -> Option<f64> {
    let Value::Number(number) = value else { return None };
    Some(number.value)
}

fn boolean(value: Value<'_>) -> Option<bool> {
    let Value::Bool(value) = value else { return None };
    Some(value)
}
