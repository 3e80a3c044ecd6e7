//! The decoder of a topic: records in offset order to rows, halves and marks, whatever format they are in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::StringBuilder;
use arrow::error::ArrowError;
use driftline_capture::{Ignored, Mark, MarkKind, ModelHalves, ModelRows, Reason, Side};

use crate::json::EnvelopeKeys;
use crate::layout::{LastSeen, ModelLayout, TopicLayout};
use crate::mapped::MapState;
use crate::plan::{ModelPlan, RecordLimits};
use crate::record::{Carried, Decoded, Outcome, Record, Rejection};
use crate::rows::{Row, RowEnvelope, Rows};

/// Names without a model that are remembered; where there are more, they are asked about again.
const MOST_REFUSED: usize = 4096;

/// Decodes the records of one partition, in offset order.
#[derive(Debug)]
pub struct Decoder {
    pub(crate) layout: Arc<TopicLayout>,
    record_bytes: usize,
    pub(crate) string_bytes: usize,
    pub(crate) models: Vec<ModelState>,
    pub(crate) keys: EnvelopeKeys,
    /// The model of the last row: the best guess while `model` was not read yet.
    pub(crate) last_model: u32,
    pub(crate) row: Row,
    marks: Vec<Mark>,
    skipped_names: Vec<Arc<str>>,
    skipped_index: HashMap<Arc<str>, u32>,
    /// Names of which no model is made.
    refused: HashSet<Box<str>>,
    pub(crate) ignored: Ignored,
    count: usize,
    pub(crate) active: usize,
    pub(crate) bytes: usize,
    pub(crate) last_us: i64,
    /// What the maps gather of a record.
    pub(crate) map: MapState,
}

/// What is kept of one model between two records.
#[derive(Debug, Default)]
pub(crate) struct ModelState {
    rows: Option<Box<Rows>>,
    /// Requests and responses that were events of their own.
    halves: [Option<Box<HalfRows>>; 2],
    /// Rows of the last batch.
    last_count: usize,
    pub(crate) features_seen: LastSeen,
    pub(crate) prediction_seen: LastSeen,
}

#[derive(Debug)]
struct HalfRows {
    rows: Rows,
    keys: StringBuilder,
}

impl ModelState {
    /// Whether it has rows that were not handed over.
    pub(crate) fn is_active(&self) -> bool {
        self.rows.is_some() || self.halves.iter().any(Option::is_some)
    }

    /// Where rows go, and the keys of halves beside them.
    pub(crate) fn columns(
        &mut self,
        layout: &ModelLayout,
        side: Option<Side>,
    ) -> (&mut Rows, Option<&mut StringBuilder>) {
        let last_count = self.last_count;
        let [requests, responses] = &mut self.halves;
        let half = match side {
            None => {
                let new = || Box::new(Rows::new(layout, last_count));
                return (self.rows.get_or_insert_with(new), None);
            }
            Some(Side::Request) => requests,
            Some(Side::Response) => responses,
        };
        let new = || Box::new(HalfRows { rows: Rows::new(layout, 0), keys: StringBuilder::new() });
        let half = half.get_or_insert_with(new);
        (&mut half.rows, Some(&mut half.keys))
    }
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
            refused: HashSet::new(),
            ignored: Ignored::default(),
            count: 0,
            active: 0,
            bytes: 0,
            last_us: i64::MIN,
            map: MapState::default(),
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

    /// Whether records are to be decoded with what they carry: maps may name headers and the key.
    pub fn wants_carried(&self) -> bool {
        self.layout.wants_carried
    }

    /// Decodes the next record, with nothing beside its value.
    pub fn decode(&mut self, record: &Record<'_>) -> Outcome {
        self.decode_carried(record, &Carried::default())
    }

    /// Decodes the next record with its key and headers.
    pub fn decode_carried(&mut self, record: &Record<'_>, carried: &Carried<'_>) -> Outcome {
        self.count += 1;
        let outcome = match self.layout.is_mapped {
            true => self.read_mapped(record, carried),
            false => self.read_own(record),
        };
        match &outcome {
            Err(rejection) => self.mark(record, MarkKind::Rejected(rejection.reason)),
            Ok(Outcome::NeedsSchema(_) | Outcome::NeedsModel(_)) => self.count -= 1,
            Ok(_) => {}
        }
        outcome.unwrap_or_else(Outcome::Rejected)
    }

    /// Goes on with a layout that has further models behind those of the one before.
    pub fn take_up(&mut self, layout: Arc<TopicLayout>) {
        self.map.forget_from(self.models.len());
        self.models.resize_with(layout.models.len(), ModelState::default);
        self.layout = layout;
    }

    /// No model is made of this name: its records are skipped from now on.
    pub fn refuse(&mut self, name: &str) {
        if self.refused.len() >= MOST_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(name.into());
    }

    /// Hands over what was decoded and starts anew.
    ///
    /// # Errors
    /// When Arrow refuses the columns or they are no capture, which would be a mistake of this crate.
    pub fn take(&mut self) -> Result<Decoded, ArrowError> {
        let (mut rows, mut halves) = (Vec::new(), Vec::new());
        for (model, (state, layout)) in self.models.iter_mut().zip(&self.layout.models).enumerate()
        {
            if let Some(columns) = state.rows.take() {
                state.last_count = columns.count;
                let batch = columns.finish(layout, &self.layout.unknown_columns)?;
                rows.push(ModelRows { model, rows: batch });
            }
            for (side, half) in [Side::Request, Side::Response].into_iter().zip(&mut state.halves) {
                let Some(half) = half.take() else { continue };
                let HalfRows { rows, mut keys } = *half;
                let rows = rows.finish(layout, &self.layout.unknown_columns)?;
                halves.push(ModelHalves { model, side, rows, keys: keys.finish() });
            }
        }
        // Else every partition would keep what its largest record needed.
        self.row.shrink();
        self.map.shrink();
        self.count = 0;
        self.active = 0;
        self.bytes = 0;
        self.last_us = i64::MIN;
        // Marks name models by their place in the names that are handed over with them.
        self.skipped_index.clear();
        Ok(Decoded {
            rows,
            halves,
            marks: std::mem::take(&mut self.marks),
            skipped_names: std::mem::take(&mut self.skipped_names),
            ignored: std::mem::take(&mut self.ignored),
        })
    }

    pub(crate) fn mark(&mut self, record: &Record<'_>, kind: MarkKind) {
        self.bytes += size_of::<Mark>();
        self.marks.push(Mark { offset: record.offset, record_time_us: record.time_us, kind });
    }

    /// Whether a value has any bytes and not too many; else it is rejected for that.
    pub(crate) fn is_readable(&self, value: &[u8]) -> bool {
        (1..=self.record_bytes).contains(&value.len())
    }

    pub(crate) fn checked_text<'a>(&self, record: &Record<'a>) -> Result<&'a str, Rejection> {
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

    pub(crate) fn clear_row(&mut self, model: u32) {
        let layout = self.layout.model(model);
        self.row.clear(layout.map_or(0, |layout| layout.columns.len()));
    }

    /// What becomes of a record of a model that the topic does not have.
    pub(crate) fn skip(&mut self, record: &Record<'_>, name: &str) -> Outcome {
        if self.layout.asks_for_models() && !self.refused.contains(name) {
            return Outcome::NeedsModel(name.into());
        }
        let name = self.skipped(name);
        self.mark(record, MarkKind::Skipped { name });
        Outcome::Skipped
    }

    pub(crate) fn skipped(&mut self, name: &str) -> u32 {
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

    pub(crate) fn not_in_the_future(
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

    /// Adds the row to its model's columns. The model comes from the layout; were it not of this topic, the
    /// record would be rejected rather than lost.
    pub(crate) fn push(
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
