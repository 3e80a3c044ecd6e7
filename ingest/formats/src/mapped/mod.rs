//! Events that somebody else designed, read by a map (CONTRACTS §10): one pass over the bytes, into the same
//! rows, and with the same reasons, as our own.
//!
//! ```text
//!                    ┌─ sources ─► envelope ─────────────┐
//! bytes ─► walk ─────┼─ columns, rows of lists ─► slots ─┼─► rows, or one half of a request
//! (JSON, by a tree)  └─ places of bodies ─► body ─► slots┘
//! ```
//!
//! A record has one outcome, however many rows it has: all of its lists have the same length, or it is
//! rejected as a whole.

mod binary;
mod body;
mod cloud_event;
mod csv;
mod found;
mod gathered;
mod members;
mod plan;
mod targets;
mod tensors;
mod typed;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;

use driftline_capture::{Reason, Side};
use driftline_config::mapping::Encoding;

pub(crate) use body::{ColumnOf, Table};
pub(crate) use plan::MapPlan;
pub(crate) use targets::{FieldTarget, Targets};
pub(crate) use tensors::{Extent, disagrees};
pub(crate) use typed::{Micros, Typed};
pub(crate) use walk::{Halt, Walk, too_many, wrong_shape};

use crate::decoder::Decoder;
use crate::frame::Framed;
use crate::json::{EventTime, Filling, Scanner};
use crate::layout::{LastSeen, ModelLayout, Part, Target, TopicLayout};
use crate::oip::{self, Inference, TensorColumns};
use crate::record::{Carried, Outcome, Record, Rejection};
use crate::rows::{RowEnvelope, RowText, UnknownKey};
use crate::schemas::SchemaId;
use binary::KnownSchemas;
use body::BodyReader;
use cloud_event::Event;
use found::{Fields, FoundValue, Texts, find_carried, identifier, text_of, time_of};
use gathered::Gathered;
use plan::{NamedColumn, NewColumn};

/// What reading by maps keeps between two records.
#[derive(Debug, Default)]
pub(crate) struct MapState {
    gathered: Gathered,
    /// For each model and node, the order in which keys came last.
    seen: Vec<Vec<LastSeen>>,
    /// For each model, the columns of the tensors of its last record.
    tensors: Vec<TensorColumns>,
    /// Schemas that records were written by.
    schemas: KnownSchemas,
}

impl MapState {
    /// Gives back what one record needed and others do not.
    pub(crate) fn shrink(&mut self) {
        self.gathered.shrink();
    }

    /// What stood for this model and those behind it was another's.
    pub(crate) fn forget_from(&mut self, model: usize) {
        self.seen.truncate(model);
        self.tensors.truncate(model);
        self.schemas.forget_from(model);
    }

    fn make_room(&mut self, model: usize) {
        if self.seen.len() <= model {
            self.seen.resize_with(model + 1, Vec::new);
            self.tensors.resize_with(model + 1, TensorColumns::default);
        }
    }
}

/// What reading a record by one model's map came to.
enum Turn {
    Done(Outcome),
    /// The record is to come again with the schema that it was written by.
    NeedsSchema(SchemaId),
    /// The event says that it is of another model of the topic.
    Of(u32),
}

/// What of a record is told from its envelope.
struct Whose {
    model: u32,
    side: Option<Side>,
}

impl Decoder {
    /// Reads a record of a topic whose models have maps.
    pub(crate) fn read_mapped(
        &mut self,
        record: &Record<'_>,
        carried: &Carried<'_>,
    ) -> Result<Outcome, Rejection> {
        let topic = std::sync::Arc::clone(&self.layout);
        let mut model = self.last_model;
        // A second turn where the guess was wrong.
        for _ in 0..2 {
            match self.read_as(&topic, model, record, carried)? {
                Turn::Done(outcome) => return Ok(outcome),
                Turn::NeedsSchema(id) => return Ok(Outcome::NeedsSchema(id)),
                Turn::Of(other) => model = other,
            }
        }
        let detail = "the map of the model that the event names finds another name in it";
        Err(Rejection::new(Reason::MissingModel, detail))
    }

    fn read_as(
        &mut self,
        topic: &TopicLayout,
        model: u32,
        record: &Record<'_>,
        carried: &Carried<'_>,
    ) -> Result<Turn, Rejection> {
        let Some(layout) = topic.model(model) else { return Err(no_map()) };
        let Some(map) = &layout.map else { return Err(no_map()) };
        let value = record.value.filter(|value| self.is_readable(value));
        let record = &match (map.encoding, value) {
            (Encoding::JsonSchema, Some(value)) => {
                Record { value: Some(Framed::of(value, carried)?.payload()), ..*record }
            }
            (Encoding::Avro | Encoding::Protobuf, Some(value)) => {
                let framed = Framed::of(value, carried)?;
                return self.read_by_schema(Turned { topic, model, record, carried }, framed);
            }
            (Encoding::Inference, Some(value)) => {
                let value = binary::unframed(value);
                let record = Record { value: Some(value), ..*record };
                if oip::is_binary(value) {
                    let record = &record;
                    return self.read_inference(Turned { topic, model, record, carried }, value);
                }
                record
            }
            _ => *record,
        };
        let whole = self.checked_text(record)?;
        let event = match map.cloud_events {
            true => Event::unwrap(whole, carried)?,
            false => Event::plain(whole),
        };
        let headers = event.headers(carried);
        let carried = Carried { key: carried.key, headers: &headers };
        if let Err(halt) = self.walk(topic, model, map, &event) {
            return self.halted(halt, record, &event.text).map(Turn::Done);
        }
        let (text, start) = (&*event.text, event.start);
        let inference = None;
        let reading = Reading { layout, map, record, carried: &carried, text, start, inference };
        self.finish(topic, model, &reading)
    }

    /// What ends a record whose reading ended early.
    fn halted(
        &mut self,
        halt: Halt,
        record: &Record<'_>,
        text: &str,
    ) -> Result<Outcome, Rejection> {
        match halt {
            Halt::Foreign(name) => {
                let name = name.of(text, &self.row.scratch).to_owned();
                Ok(self.skip(record, &name))
            }
            Halt::Rejected(rejection) => Err(rejection),
            // With care no key is met twice.
            Halt::Repeated => Err(no_map()),
        }
    }

    /// Follows the map, with care where a key stands twice.
    fn walk(
        &mut self,
        topic: &TopicLayout,
        model: u32,
        map: &MapPlan,
        event: &Event<'_>,
    ) -> Result<(), Halt> {
        let Some(layout) = topic.model(model) else { return Err(no_map().into()) };
        let model = model as usize;
        self.map.make_room(model);
        let mut halt = Ok(());
        for careful in [false, true] {
            self.row.clear(layout.columns.len());
            self.map.gathered.begin(map);
            let Some(seen) = self.map.seen.get_mut(model) else { break };
            seen.resize_with(map.nodes.len(), LastSeen::default);
            let mut walk = Walk {
                topic,
                layout,
                map,
                seen,
                gathered: &mut self.map.gathered,
                row: &mut self.row,
                text: &event.text,
                string_bytes: self.string_bytes,
                copied: false,
                careful,
            };
            let mut scanner = Scanner::new(&event.text, event.start);
            halt = walk.whole(&mut scanner, event.is_whole);
            // A list that does not fit may stand again further on, and then does not count.
            let may_change = match &halt {
                Err(Halt::Repeated) => true,
                Err(Halt::Rejected(rejection)) => {
                    matches!(rejection.reason, Reason::WrongShape | Reason::TooLarge)
                }
                _ => false,
            };
            if !may_change {
                break;
            }
        }
        halt
    }

    /// Judges what was gathered, and adds the rows.
    fn finish(
        &mut self,
        topic: &TopicLayout,
        guess: u32,
        reading: &Reading<'_>,
    ) -> Result<Turn, Rejection> {
        let Reading { map, record, carried, text, .. } = *reading;
        find_carried(map, &mut self.map.gathered.found, &mut self.row, record, carried);
        self.put_carried(reading);
        let whose = match self.whose(topic, guess, reading)? {
            Named::Ours(whose) => whose,
            Named::Other(model) => return Ok(Turn::Of(model)),
            Named::Foreign(name) => return Ok(Turn::Done(self.skip(record, &name))),
        };
        let texts = Texts { text, scratch: &self.row.scratch };
        let time_us = match time_of(map, &self.map.gathered.found, texts) {
            EventTime::Read(time_us) => time_us,
            EventTime::Absent => return Err(Rejection::new(Reason::MissingTs, "ts is missing")),
            EventTime::Bad(why) => return Err(Rejection::new(Reason::BadTimestamp, why)),
        };
        self.not_in_the_future(record, Some(whose.model), time_us)?;
        let failed = Fields::failed(map, &self.map.gathered.found, texts);
        let rows = match failed {
            // The request failed: what it holds is no row of anything.
            true => {
                self.row.forget_values();
                0
            }
            false => self.fill_rows(reading, &whose)?,
        };
        self.add_rows(&whose, time_us, rows, reading)?;
        self.last_us = time_us;
        self.last_model = whose.model;
        let model = whose.model as usize;
        Ok(Turn::Done(match whose.side {
            Some(side) => Outcome::Half(model, side),
            None => Outcome::Row(model),
        }))
    }

    /// Fills the columns that stand beside the event.
    fn put_carried(&mut self, reading: &Reading<'_>) {
        let Reading { layout, map, text, .. } = *reading;
        for carried in &map.carried {
            let found = self.map.gathered.found.get(carried.source as usize);
            let Some(FoundValue::Text(span)) = found.map(|found| found.value) else { continue };
            let column = match carried.column {
                NamedColumn::Known(Target::Column(column)) => column,
                NamedColumn::Known(_) => continue,
                NamedColumn::New(new) => {
                    let Some(NewColumn { part, name }) = map.new.get(new as usize) else {
                        continue;
                    };
                    let (part, name) = (*part, self.row.keep(name));
                    self.row.unknown.push(UnknownKey { row: 0, part, name, is_null: false });
                    continue;
                }
            };
            let mut seen = LastSeen::default();
            let mut filling = Filling {
                layout,
                seen: &mut seen,
                row: &mut self.row,
                text,
                string_bytes: self.string_bytes,
                copied: true,
            };
            let slot = filling.span_slot(column, span);
            if let Some(place) = self.row.slot(column) {
                *place = slot;
            }
        }
    }

    /// Whose event it is, and which side of the request.
    fn whose(
        &mut self,
        topic: &TopicLayout,
        guess: u32,
        reading: &Reading<'_>,
    ) -> Result<Named, Rejection> {
        let Reading { map, text, .. } = *reading;
        let texts = Texts { text, scratch: &self.row.scratch };
        let found = &self.map.gathered.found;
        let unreadable = || Rejection::new(Reason::MissingModel, "model is not a string");
        let model = match text_of(&map.fields.model, found, texts).map_err(|_| unreadable())? {
            Some(name) if *name == *reading.layout.name => guess,
            Some(name) => match topic.by_name.get(name) {
                Some(model) => *model,
                None => return Ok(Named::Foreign(name.to_owned())),
            },
            None => topic.only_model().ok_or_else(|| {
                let models = topic.models.len();
                let detail = format!("model is missing, and {models} models share this topic");
                Rejection::new(Reason::MissingModel, detail)
            })?,
        };
        if model != guess {
            return Ok(Named::Other(model));
        }
        let Some(pair) = &map.pair else { return Ok(Named::Ours(Whose { model, side: None })) };
        let said = text_of(&pair.side, found, texts).ok().flatten();
        let side = match said.map(str::to_ascii_lowercase) {
            Some(said) if said.ends_with(&*pair.request) => Some(Side::Request),
            Some(said) if said.ends_with(&*pair.response) => Some(Side::Response),
            Some(_) => None,
            None => match reading.inference {
                Some(inference) => inference.side(),
                None => body::side_of(text, reading.start),
            },
        };
        match side {
            Some(side) => Ok(Named::Ours(Whose { model, side: Some(side) })),
            None => {
                let detail = "neither a request nor a response by what the map calls side";
                Err(Rejection::new(Reason::InvalidBody, detail))
            }
        }
    }

    /// Reads the bodies, and makes every row whole; how many there are, 0 where the record is one row.
    fn fill_rows(&mut self, reading: &Reading<'_>, whose: &Whose) -> Result<u32, Rejection> {
        let Reading { layout, map, text, inference, .. } = *reading;
        let side = whose.side;
        let Some(tensors) = self.map.tensors.get_mut(whose.model as usize) else {
            return Err(no_map());
        };
        let mut bodies = BodyReader {
            layout,
            map,
            gathered: &mut self.map.gathered,
            row: &mut self.row,
            string_bytes: self.string_bytes,
            text,
            inference,
            tensors,
        };
        for (index, body) in map.bodies.iter().enumerate() {
            if side.is_none_or(|side| part_of(side) == body.part) {
                bodies.read(index, body).map_err(rejection)?;
            }
        }
        if let Some(side) = side {
            let kept = part_of(side);
            self.row.keep_part(kept, |column| layout.is_of(kept, column));
        }
        if !map.has_rows() {
            return Ok(0);
        }
        let rows = self.map.gathered.rows(map)?;
        if !self.row.go_to(rows as usize) {
            return Err(rejection(walk::too_many()));
        }
        self.row.share(&map.shared);
        Ok(rows)
    }

    fn add_rows(
        &mut self,
        whose: &Whose,
        time_us: i64,
        rows: u32,
        reading: &Reading<'_>,
    ) -> Result<(), Rejection> {
        let Reading { map, record, text, .. } = *reading;
        let Some(state) = self.models.get_mut(whose.model as usize) else { return Err(no_map()) };
        let before = state.is_active();
        self.row.sort_unknown(text);
        let row = &self.row;
        let found = &self.map.gathered.found;
        let texts = Texts { text, scratch: &row.scratch };
        let fields = Fields::of(map, found, texts);
        let key = map.pair.as_ref().map(|pair| text_of(&pair.key, found, texts).ok().flatten());
        let key = key.and_then(|key| identifier(key).ok().flatten());
        let (columns, mut keys) = state.columns(reading.layout, whose.side);
        let bytes = columns.bytes;
        for number in if rows == 0 { 0..=0 } else { 1..=rows } {
            let id = row_id(&self.map.gathered, &fields, texts, number, rows);
            let envelope = RowEnvelope {
                offset: record.offset,
                time_us,
                record_time_us: record.time_us.unwrap_or(time_us),
                id: id.as_deref(),
                version: fields.version.as_deref(),
                latency_us: fields.latency_us,
                status: fields.status,
                sample_rate: fields.sample_rate.unwrap_or(1.0),
            };
            columns.push_one_of(&envelope, row, RowText { number, text });
            if let Some(keys) = &mut keys {
                keys.append_option(key);
            }
        }
        self.bytes += columns.bytes - bytes;
        self.active += usize::from(!before);
        self.ignored.unusable_fields += fields.unusable;
        self.ignored.add(row.ignored);
        Ok(())
    }
}

/// Whose an event is.
enum Named {
    Ours(Whose),
    Other(u32),
    Foreign(String),
}

/// A record that was walked through.
#[derive(Clone, Copy)]
struct Reading<'a> {
    layout: &'a ModelLayout,
    map: &'a MapPlan,
    record: &'a Record<'a>,
    carried: &'a Carried<'a>,
    text: &'a str,
    /// Where the event's own value begins in the text.
    start: usize,
    /// The event, where it is tensors in Protobuf.
    inference: Option<&'a Inference<'a>>,
}

/// A record at its turn to be read by the map of one model.
#[derive(Clone, Copy)]
struct Turned<'a> {
    topic: &'a TopicLayout,
    model: u32,
    record: &'a Record<'a>,
    carried: &'a Carried<'a>,
}

impl Walk<'_> {
    /// Reads the event, behind which nothing may stand where it is the whole text.
    fn whole(&mut self, scanner: &mut Scanner<'_>, is_whole: bool) -> Result<(), Halt> {
        scanner.blanks();
        let Some(first) = scanner.peek() else {
            let detail = "nothing but blanks";
            return Err(Rejection::new(Reason::InvalidJson, detail).into());
        };
        let top = self.map.nodes.first();
        let takes_all = top.is_some_and(|top| {
            !top.leaves.is_empty()
                || top.open.is_some()
                || top.each.is_some()
                || first == b'{'
                || (first == b'[' && !top.items.is_empty())
        });
        if !takes_all {
            crate::json::no_more_values(scanner)?;
            let detail = "the value is not an object";
            return Err(Rejection::new(Reason::NotAnObject, detail).into());
        }
        self.value(Target::Node(0), scanner, 0)?;
        scanner.blanks();
        if is_whole && scanner.peek().is_some() {
            crate::json::no_more_values(scanner)?;
            return Err(Rejection::new(Reason::NotAnObject, "more than one value").into());
        }
        Ok(())
    }
}

/// The identifier of a row: its own, or the record's with its number where there are several.
fn row_id<'t>(
    gathered: &Gathered,
    fields: &Fields<'t>,
    texts: Texts<'t>,
    number: u32,
    rows: u32,
) -> Option<Cow<'t, str>> {
    let own = match gathered.row_id(number) {
        Some(FoundValue::Text(span)) => identifier(Some(texts.of(span))).ok().flatten(),
        Some(FoundValue::Number(number)) if number.value.is_finite() => {
            identifier(Some(texts.of(number.raw))).ok().flatten()
        }
        _ => None,
    };
    if let Some(own) = own {
        return Some(Cow::Borrowed(own));
    }
    let id = fields.id.clone()?;
    if rows <= 1 {
        return Some(id);
    }
    Some(Cow::Owned(format!("{id}#{}", number - 1)))
}

fn part_of(side: Side) -> Part {
    match side {
        Side::Request => Part::Features,
        Side::Response => Part::Prediction,
    }
}

fn rejection(halt: Halt) -> Rejection {
    match halt {
        Halt::Rejected(rejection) => rejection,
        // Bodies name no models, and are read in one way only.
        Halt::Foreign(_) | Halt::Repeated => no_map(),
    }
}

/// A topic with maps has one for each of its models; were it not so, its records would be rejected and not
/// lost.
fn no_map() -> Rejection {
    Rejection::new(Reason::MissingModel, "the model has no map")
}
