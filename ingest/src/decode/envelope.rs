//! The top level of a capture: every key of CONTRACTS §3 but `features` and `prediction`.

use std::borrow::Cow;

use super::instant::{BEYOND_US, EARLIEST_US, parse_rfc3339_us};
use super::layout::TopicLayout;
use super::scan::{Fault, Number, Scanner, Text, Value, unescape};
use super::values::Part;
use crate::event::Ignored;

/// Bytes that an `id` or a `version` may have; longer ones count as absent, since a cut identifier
/// would name another request.
const IDENTIFIER_BYTES: usize = 256;

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
    /// Where the value of `features` stands.
    pub(crate) features: Option<usize>,
    /// Where the value of `prediction` stands.
    pub(crate) prediction: Option<usize>,
    /// The model for which the row was filled while reading.
    pub(crate) row_model: Option<u32>,
    /// Whether the row is not what the last `features` and `prediction` say.
    pub(crate) read_again: bool,
    pub(crate) ignored: Ignored,
}

impl<'a> Envelope<'a> {
    /// The part that a key announces.
    #[inline]
    pub(crate) fn part_of(&self, key: Text<'_>) -> Option<Part> {
        if key.escaped {
            return match &*optional_text(key) {
                "features" => Some(Part::Features),
                "prediction" => Some(Part::Prediction),
                _ => None,
            };
        }
        match key.raw {
            b"features" => Some(Part::Features),
            b"prediction" => Some(Part::Prediction),
            _ => None,
        }
    }

    pub(crate) fn place_of(&mut self, part: Part) -> &mut Option<usize> {
        match part {
            Part::Features => &mut self.features,
            Part::Prediction => &mut self.prediction,
        }
    }

    /// Reads the value of any other key. `likely` is the model that is tried before the table.
    pub(crate) fn field(
        &mut self,
        key: Text<'a>,
        layout: &TopicLayout,
        likely: u32,
        scanner: &mut Scanner<'a>,
    ) -> Result<(), Fault> {
        let name = optional_text(key);
        let known = matches!(
            name.as_bytes(),
            b"model"
                | b"ts"
                | b"id"
                | b"version"
                | b"latency_us"
                | b"status"
                | b"sample_rate"
                | b"heartbeat"
        );
        if !known {
            // Reserved for coming formats, or of no meaning to a reader of version 1.
            let reserved = matches!(name.as_bytes(), b"v" | b"segment" | b"attributions" | b"rows");
            self.ignored.unknown_keys += u64::from(!reserved);
            return scanner.skip(1);
        }
        let value = scanner.value()?;
        if let Value::Object | Value::Array = value {
            scanner.skip(1)?;
        }
        match name.as_bytes() {
            b"model" => self.model = model_field(value, layout, likely),
            b"ts" => self.time = event_time(value),
            b"id" => self.id = self.usable(value, identifier),
            b"version" => self.version = self.usable(value, identifier),
            b"latency_us" => self.latency_us = self.usable(value, latency_us),
            b"status" => self.status = self.usable(value, status),
            b"sample_rate" => self.sample_rate = self.usable(value, sample_rate),
            _ => self.heartbeat = self.usable(value, boolean).unwrap_or(false),
        }
        Ok(())
    }

    /// Reads an optional field; `null` is absent, what cannot be read is absent and counted.
    fn usable<T>(&mut self, value: Value<'a>, read: fn(Value<'a>) -> Option<T>) -> Option<T> {
        if value == Value::Null {
            return None;
        }
        let usable = read(value);
        self.ignored.unusable_fields += u64::from(usable.is_none());
        usable
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
            let name = optional_text(text);
            if layout.models.get(likely as usize).is_some_and(|model| *model.name == *name) {
                // The table would say the same: two models of one name share the first index, and
                // the likely model is one that had rows.
                return ModelField::Known(likely);
            }
            let known = layout.by_name.get(&*name);
            known.map_or(ModelField::Foreign(text), |model| ModelField::Known(*model))
        }
        _ => ModelField::Unreadable,
    }
}

fn event_time(value: Value<'_>) -> EventTime {
    let time_us = match value {
        Value::Null => return EventTime::Absent,
        Value::Text(text) => match parse_rfc3339_us(optional_text(text).as_bytes()) {
            Some(time_us) => time_us,
            None => return EventTime::Bad("ts is a string but not RFC 3339"),
        },
        Value::Number(number) => match milliseconds(number) {
            Some(time_us) => time_us,
            None => return EventTime::Bad("ts is beyond any calendar"),
        },
        _ => return EventTime::Bad("ts is neither RFC 3339 nor epoch milliseconds"),
    };
    if time_us < EARLIEST_US {
        EventTime::Bad("ts lies before 2000: were seconds sent where milliseconds are expected?")
    } else if time_us >= BEYOND_US {
        EventTime::Bad(
            "ts lies after 9999: were microseconds sent where milliseconds are expected?",
        )
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
    std::str::from_utf8(number.raw).ok()?.parse().ok()
}

/// A string, or a number as it was written: producers disagree whether identifiers are numbers.
fn identifier(value: Value<'_>) -> Option<Text<'_>> {
    let text = match value {
        Value::Text(text) => text,
        Value::Number(number) if number.value.is_finite() => {
            Text { raw: number.raw, start: number.start, escaped: false }
        }
        _ => return None,
    };
    (optional_text(text).len() <= IDENTIFIER_BYTES).then_some(text)
}

fn latency_us(value: Value<'_>) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    if number.whole {
        return whole(number).filter(|latency| *latency >= 0);
    }
    let rounded = number.value.round();
    (0.0..=9e15).contains(&rounded).then_some(rounded as i64)
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

fn boolean(value: Value<'_>) -> Option<bool> {
    let Value::Bool(value) = value else { return None };
    Some(value)
}
