//! Capture records to Arrow batches (CONTRACTS §3): one pass per record, no allocation per value,
//! and a rejected record leaves no trace.
//!
//! ```text
//! bytes ─► scan (JSON in place) ─► envelope ─┬─► row of slots ─► columns ─► CaptureBatch
//!                                  values ───┘└─► mark: rejected, skipped, heartbeat
//! ```
//!
//! Where a key stands twice in one object the last one counts, as in serde_json and Python. One
//! exception: the first `model` that names an unconfigured model ends the reading of its record.

mod envelope;
mod layout;
mod number;
mod rows;
mod scan;
mod sixteen;
mod values;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::error::ArrowError;

pub use layout::TopicLayout;

use crate::plan::{ModelPlan, RecordLimits};
use driftline_capture::{Ignored, Mark, MarkKind, ModelRows, Reason};
use envelope::{Envelope, EnvelopeKeys, EventTime, Key, ModelField, optional_text, piece_of};
use layout::LastSeen;
use rows::{Row, RowEnvelope, Rows};
use scan::{Fault, Scanner};
use values::{Filling, Part};

/// One Kafka record, as far as decoding needs it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    pub offset: i64,
    /// Kafka timestamp in microseconds, where there is one.
    pub time_us: Option<i64>,
}

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A row of the model with this index.
    Row(usize),
    Heartbeat,
    /// It names a model that this topic is not configured for.
    Skipped,
    Rejected(Rejection),
}

/// Why a record was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason, by its name in dead letters and metrics.
    pub reason: Reason,
    /// What and where, at most 256 bytes, never a value of a feature.
    pub detail: String,
}

impl Rejection {
    fn new(reason: Reason, detail: impl Into<String>) -> Rejection {
        Rejection { reason, detail: detail.into() }
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Rejection {
        Rejection::new(Reason::InvalidJson, format!("byte {}: {}", fault.at, fault.what))
    }
}

/// What was decoded since the last [`Decoder::take`].
#[derive(Debug, Default)]
pub struct Decoded {
    pub rows: Vec<ModelRows>,
    /// Records that are no rows, in the order of decoding.
    pub marks: Vec<Mark>,
    /// Names of the models in `marks` that the topic is not configured for.
    pub skipped_names: Vec<Arc<str>>,
    pub ignored: Ignored,
}

/// Decodes the records of one partition, in offset order.
#[derive(Debug)]
pub struct Decoder {
    layout: Arc<TopicLayout>,
    record_bytes: usize,
    string_bytes: usize,
    models: Vec<ModelState>,
    keys: EnvelopeKeys,
    /// The model of the last row: the best guess while `model` was not read yet.
    last_model: u32,
    row: Row,
    marks: Vec<Mark>,
    skipped_names: Vec<Arc<str>>,
    skipped_index: HashMap<Arc<str>, u32>,
    ignored: Ignored,
    count: usize,
    active: usize,
    bytes: usize,
    last_us: i64,
}

#[derive(Debug, Default)]
struct ModelState {
    rows: Option<Box<Rows>>,
    /// Rows of the last batch.
    last_count: usize,
    features_seen: LastSeen,
    prediction_seen: LastSeen,
}

impl Decoder {
    /// A decoder for one topic.
    pub fn new(models: &[ModelPlan], limits: &RecordLimits) -> Decoder {
        Decoder::with_layout(Arc::new(TopicLayout::new(models)), limits)
    }

    /// A decoder that shares its layout with those of the topic's other partitions.
    pub fn with_layout(layout: Arc<TopicLayout>, limits: &RecordLimits) -> Decoder {
        let models = layout.models.iter().map(|_| ModelState::default()).collect();
        Decoder {
            layout,
            record_bytes: limits.record_bytes.min(u32::MAX as usize),
            string_bytes: limits.string_bytes,
            models,
            keys: EnvelopeKeys::default(),
            last_model: 0,
            row: Row::default(),
            marks: Vec::new(),
            skipped_names: Vec::new(),
            skipped_index: HashMap::new(),
            ignored: Ignored::default(),
            count: 0,
            active: 0,
            bytes: 0,
            last_us: i64::MIN,
        }
    }

    /// Records decoded since the last [`Decoder::take`].
    pub fn count(&self) -> usize {
        self.count
    }

    /// Models that have rows since the last [`Decoder::take`].
    pub fn active(&self) -> usize {
        self.active
    }

    /// What the rows and marks decoded since the last [`Decoder::take`] occupy, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The event time of the last row since the last [`Decoder::take`], in microseconds; `i64::MIN` where
    /// there was none.
    pub fn last_us(&self) -> i64 {
        self.last_us
    }

    /// Decodes the next record.
    pub fn decode(&mut self, record: &Record<'_>) -> Outcome {
        self.count += 1;
        let outcome = self.read(record);
        if let Err(rejection) = &outcome {
            self.mark(record, MarkKind::Rejected(rejection.reason));
        }
        outcome.unwrap_or_else(Outcome::Rejected)
    }

    /// Hands over what was decoded and starts anew.
    ///
    /// # Errors
    /// When Arrow refuses the columns or they are no capture, which would be a mistake of this crate.
    pub fn take(&mut self) -> Result<Decoded, ArrowError> {
        let mut rows = Vec::new();
        for (model, (state, layout)) in self.models.iter_mut().zip(&self.layout.models).enumerate()
        {
            if let Some(columns) = state.rows.take() {
                state.last_count = columns.count;
                let batch = columns.finish(layout, &self.layout.unknown_columns)?;
                rows.push(ModelRows { model, rows: batch });
            }
        }
        // Else every partition would keep what its largest record needed.
        self.row.shrink();
        self.count = 0;
        self.active = 0;
        self.bytes = 0;
        self.last_us = i64::MIN;
        // Marks name models by their place in the names that are handed over with them.
        self.skipped_index.clear();
        Ok(Decoded {
            rows,
            marks: std::mem::take(&mut self.marks),
            skipped_names: std::mem::take(&mut self.skipped_names),
            ignored: std::mem::take(&mut self.ignored),
        })
    }

    fn mark(&mut self, record: &Record<'_>, kind: MarkKind) {
        self.bytes += size_of::<Mark>();
        self.marks.push(Mark { offset: record.offset, record_time_us: record.time_us, kind });
    }

    fn read(&mut self, record: &Record<'_>) -> Result<Outcome, Rejection> {
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
                let name = self.skipped(&optional_text(name));
                self.mark(record, MarkKind::Skipped { name });
                return Ok(Outcome::Skipped);
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

    fn checked_text<'a>(&self, record: &Record<'a>) -> Result<&'a str, Rejection> {
        let bytes = record.value.unwrap_or_default();
        if bytes.len() > self.record_bytes {
            let detail = format!("{} bytes, at most {} are read", bytes.len(), self.record_bytes);
            return Err(Rejection::new(Reason::TooLarge, detail));
        }
        if bytes.is_empty() {
            let detail = if record.value.is_none() { "no value" } else { "a value of no bytes" };
            return Err(Rejection::new(Reason::Empty, detail));
        }
        // The fast check does not say where; that is worth a second look only where it fails.
        simdutf8::basic::from_utf8(bytes).map_err(|_| {
            let valid = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
            Rejection::new(Reason::InvalidUtf8, format!("byte {valid} is not UTF-8"))
        })
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

    fn clear_row(&mut self, model: u32) {
        let layout = self.layout.models.get(model as usize);
        self.row.clear(layout.map_or(0, |layout| layout.columns.len()));
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
        Filling { layout, seen, row: &mut self.row, text, string_bytes }.read(part, scanner)
    }

    fn skipped(&mut self, name: &str) -> u32 {
        let name = crate::category::cut_text(name, self.string_bytes);
        if let Some(index) = self.skipped_index.get(name) {
            return *index;
        }
        let index = u32::try_from(self.skipped_names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.bytes += 2 * name.len() + 64;
        self.skipped_names.push(Arc::clone(&name));
        self.skipped_index.insert(name, index);
        index
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
            ModelField::Absent if self.layout.models.len() == 1 => Ok(Some(0)),
            ModelField::Absent => {
                let detail = format!(
                    "model is missing, and {} models share this topic",
                    self.layout.models.len()
                );
                Err(Rejection::new(Reason::MissingModel, detail))
            }
            ModelField::Unreadable | ModelField::Foreign(_) => {
                Err(Rejection::new(Reason::MissingModel, "model is not a string"))
            }
        }
    }

    fn not_in_the_future(
        &self,
        record: &Record<'_>,
        model: Option<u32>,
        time_us: i64,
    ) -> Result<(), Rejection> {
        let Some(record_time_us) = record.time_us else { return Ok(()) };
        let ahead = |index: u32| self.layout.models.get(index as usize).map(|m| m.max_ahead_us);
        // A heartbeat for all models is refused only where each of them would refuse it.
        let widest = || self.layout.models.iter().map(|model| model.max_ahead_us).max();
        let max_ahead_us = model.map_or_else(widest, ahead).unwrap_or(0);
        if time_us > record_time_us.saturating_add(max_ahead_us) {
            let detail = format!(
                "ts is {} s ahead of the record, at most {} s are allowed",
                time_us.saturating_sub(record_time_us) / 1_000_000,
                max_ahead_us / 1_000_000
            );
            return Err(Rejection::new(Reason::Future, detail));
        }
        Ok(())
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

    /// Adds the row to its model's columns. The model comes from the layout; were it not of this topic, the
    /// record would be rejected rather than lost.
    fn push(
        &mut self,
        model: u32,
        text: &str,
        envelope: &RowEnvelope<'_>,
    ) -> Result<(), Rejection> {
        let index = model as usize;
        let (Some(layout), Some(state)) =
            (self.layout.models.get(index), self.models.get_mut(index))
        else {
            return Err(Rejection::new(Reason::MissingModel, "the model is not of this topic"));
        };
        let last_count = state.last_count;
        self.active += usize::from(state.rows.is_none());
        let rows = state.rows.get_or_insert_with(|| Box::new(Rows::new(layout, last_count)));
        let before = rows.bytes;
        rows.push(envelope, &mut self.row, text);
        self.bytes += rows.bytes - before;
        self.ignored.add(self.row.ignored);
        Ok(())
    }
}

/// Passes every further value, so that invalid JSON is told from too much of it.
fn no_more_values(scanner: &mut Scanner<'_>) -> Result<(), Fault> {
    while scanner.peek().is_some() {
        scanner.skip(0)?;
        scanner.blanks();
    }
    Ok(())
}
