//! Our own format (CONTRACTS §3): one pass per record, no allocation per value, and a rejected record leaves
//! no trace.
//!
//! ```text
//! bytes ─► scan (JSON in place) ─► envelope ─┬─► row of slots ─► columns ─► CaptureBatch
//!                                  values ───┘└─► mark: rejected, skipped, heartbeat
//! ```
//!
//! Where a key stands twice in one object the last one counts, as in serde_json and Python. One
//! exception: the first `model` that names an unconfigured model ends the reading of its record.

mod envelope;
mod number;
mod scan;
mod sixteen;
mod values;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use envelope::{EnvelopeKeys, EventTime, IDENTIFIER_BYTES, in_calendar};
pub(crate) use scan::{Fault, MAX_DEPTH, Scanner, Text, Value, unescape};
pub(crate) use sixteen::QuotedKey;
pub(crate) use values::{Filling, SCALAR};

use driftline_capture::{MarkKind, Reason};

use crate::decoder::Decoder;
use crate::layout::Part;
use crate::record::{Outcome, Record, Rejection};
use crate::rows::RowEnvelope;
use envelope::{Envelope, Key, ModelField, optional_text, piece_of};

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Rejection {
        Rejection::new(Reason::InvalidJson, format!("byte {}: {}", fault.at, fault.what))
    }
}

impl Decoder {
    /// Reads a record of our own format.
    pub(crate) fn read_own(&mut self, record: &Record<'_>) -> Result<Outcome, Rejection> {
        let text = self.checked_text(record)?;
        let mut scanner = Scanner::new(text, 0);
        scanner.blanks();
        match scanner.peek() {
            Some(b'{') => {}
            Some(_) => {
                no_more_values(&mut scanner)?;
                return Err(Rejection::new(Reason::NotAnObject, "the value is not an object"));
            }
            None => return Err(Rejection::new(Reason::InvalidJson, "nothing but blanks")),
        }
        let mut envelope = Envelope::default();
        let mut place = 0;
        let mut more = scanner.enter_object();
        while more {
            let key = self.keys.read(place, &mut scanner)?;
            place += 1;
            match key {
                Key::Part(part) => self.part(part, text, &mut scanner, &mut envelope)?,
                other => envelope.field(other, &self.layout, self.last_model, &mut scanner)?,
            }
            // What follows is not even looked at: on a topic of many models, most records are not ours.
            if let ModelField::Foreign(name) = envelope.model {
                return Ok(self.skip(record, &optional_text(name)));
            }
            more = scanner.more_keys()?;
        }
        scanner.blanks();
        if scanner.peek().is_some() {
            no_more_values(&mut scanner)?;
            return Err(Rejection::new(Reason::NotAnObject, "more than one value"));
        }
        self.accept(record, text, &envelope)
    }

    /// Reads `features` or `prediction` at once where the model is known or can be guessed, and
    /// remembers where it stands in case the guess turns out wrong.
    fn part(
        &mut self,
        part: Part,
        text: &str,
        scanner: &mut Scanner<'_>,
        envelope: &mut Envelope<'_>,
    ) -> Result<(), Fault> {
        let start = scanner.at();
        // Neighbours mostly have one model, so that the guess saves a second reading of the values.
        let model = envelope.model.known().unwrap_or(self.last_model);
        let fresh = envelope.place_of(part).is_none();
        if fresh && envelope.row_model.is_none_or(|row_model| row_model == model) {
            if envelope.row_model.is_none() {
                self.clear_row(model);
                envelope.row_model = Some(model);
            }
            self.fill(part, model, text, scanner)?;
        } else {
            // The row is being filled for another model, or the key stood before: only the end of the
            // record tells which values count.
            envelope.read_again = true;
            scanner.skip(1)?;
        }
        *envelope.place_of(part) = Some(start);
        Ok(())
    }

    fn fill(
        &mut self,
        part: Part,
        model: u32,
        text: &str,
        scanner: &mut Scanner<'_>,
    ) -> Result<(), Fault> {
        let index = model as usize;
        let (Some(layout), Some(state)) =
            (self.layout.models.get(index), self.models.get_mut(index))
        else {
            return scanner.skip(1);
        };
        let seen = match part {
            Part::Features => &mut state.features_seen,
            Part::Prediction => &mut state.prediction_seen,
        };
        let string_bytes = self.string_bytes;
        Filling { layout, seen, row: &mut self.row, text, string_bytes, copied: false }
            .read(part, scanner)
    }

    /// Judges the envelope of a record that is one whole JSON object.
    fn accept(
        &mut self,
        record: &Record<'_>,
        text: &str,
        envelope: &Envelope<'_>,
    ) -> Result<Outcome, Rejection> {
        if envelope.other_format {
            let detail = "v is not 1: this release reads captures of version 1";
            return Err(Rejection::new(Reason::UnknownVersion, detail));
        }
        let model = self.model_of(envelope)?;
        let time_us = match envelope.time {
            EventTime::Read(time_us) => time_us,
            EventTime::Absent => return Err(Rejection::new(Reason::MissingTs, "ts is missing")),
            EventTime::Bad(why) => return Err(Rejection::new(Reason::BadTimestamp, why)),
        };
        self.not_in_the_future(record, model, time_us)?;
        let record_time_us = record.time_us.unwrap_or(time_us);
        if envelope.heartbeat {
            self.mark(record, MarkKind::Heartbeat { model, time_us, record_time_us });
            return Ok(Outcome::Heartbeat);
        }
        let Some(model) = model else {
            return Err(Rejection::new(Reason::MissingModel, "model is missing"));
        };
        self.complete_row(model, text, envelope)?;
        self.last_us = time_us;
        let id = envelope.id.map(|id| piece_of(text, id));
        let version = envelope.version.map(|version| piece_of(text, version));
        self.push(
            model,
            text,
            &RowEnvelope {
                offset: record.offset,
                time_us,
                record_time_us,
                id: id.as_deref(),
                version: version.as_deref(),
                latency_us: envelope.latency_us,
                status: envelope.status,
                sample_rate: envelope.sample_rate.unwrap_or(1.0),
            },
        )?;
        self.ignored.add(envelope.ignored);
        self.last_model = model;
        Ok(Outcome::Row(model as usize))
    }

    /// The model; `None` only for heartbeats that concern all models.
    fn model_of(&self, envelope: &Envelope<'_>) -> Result<Option<u32>, Rejection> {
        match envelope.model {
            ModelField::Known(model) => Ok(Some(model)),
            ModelField::Absent if envelope.heartbeat => Ok(None),
            ModelField::Absent => self.layout.only_model().map(Some).ok_or_else(|| {
                let detail = format!(
                    "model is missing, and {} models share this topic",
                    self.layout.models.len()
                );
                Rejection::new(Reason::MissingModel, detail)
            }),
            ModelField::Unreadable | ModelField::Foreign(_) => {
                Err(Rejection::new(Reason::MissingModel, "model is not a string"))
            }
        }
    }

    /// Makes the row what the record says: reads the values again where the guess of the model was
    /// wrong or a key stood twice, and drops them where the request failed.
    fn complete_row(
        &mut self,
        model: u32,
        text: &str,
        envelope: &Envelope<'_>,
    ) -> Result<(), Fault> {
        if envelope.status.is_some_and(|status| status >= 400) {
            self.clear_row(model);
        } else if envelope.row_model != Some(model) || envelope.read_again {
            self.clear_row(model);
            let places =
                [(Part::Features, envelope.features), (Part::Prediction, envelope.prediction)];
            for (part, place) in places {
                if let Some(start) = place {
                    self.fill(part, model, text, &mut Scanner::new(text, start))?;
                }
            }
        }
        Ok(())
    }
}

/// Passes every further value, so that invalid JSON is told from too much of it.
pub(crate) fn no_more_values(scanner: &mut Scanner<'_>) -> Result<(), Fault> {
    while scanner.peek().is_some() {
        scanner.skip(0)?;
        scanner.blanks();
    }
    Ok(())
}
