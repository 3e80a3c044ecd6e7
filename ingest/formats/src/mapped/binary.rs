//! Records in Avro and Protobuf: found their schema, they are followed by the map as JSON is, and finished
//! as it is.

use std::collections::HashMap;
use std::sync::Arc;

use driftline_capture::Reason;
use driftline_config::mapping::Encoding;

use super::targets::Targets;
use super::walk::{Halt, Walk};
use super::{Reading, Turn, Turned, no_map};
use crate::decoder::Decoder;
use crate::frame::{Framed, Place};
use crate::layout::LastSeen;
use crate::oip::Inference;
use crate::protobuf::MessagePath;
use crate::record::Rejection;
use crate::schemas::{KnownSchema, Schema, SchemaId};
use crate::{avro, protobuf};

/// Schemas of which a decoder keeps where their fields go; those of one topic are few.
const MOST_SCHEMAS: usize = 64;

/// The schemas by which records of a partition were read.
#[derive(Debug, Default)]
pub(super) struct KnownSchemas(HashMap<SchemaId, KnownTargets>);

impl KnownSchemas {
    pub(super) fn forget_from(&mut self, model: usize) {
        self.0.values_mut().for_each(|known| known.targets.truncate(model));
    }
}

#[derive(Debug)]
struct KnownTargets {
    schema: Arc<KnownSchema>,
    /// By model.
    targets: Vec<Targets>,
}

/// The value behind a frame that a registry's Protobuf serializers write, where there is one: which message
/// it is says its topic. JSON begins with a bracket, and a message with the tag of a field.
pub(super) fn unframed(value: &[u8]) -> &[u8] {
    let Some(behind) = value.strip_prefix(&[0]).and_then(|value| value.get(4..)) else {
        return value;
    };
    if matches!(behind.first(), Some(b'{' | b'[')) {
        return behind;
    }
    let mut varints = protobuf::wire::Varints { bytes: behind, at: 0 };
    // Zigzag: twice the count of steps.
    let steps = varints.next().unwrap_or(0) / 2;
    for _ in 0..steps.min(100) {
        varints.next();
    }
    behind.get(varints.at..).unwrap_or_default()
}

impl Decoder {
    /// Reads a record by the schema that its frame names.
    pub(super) fn read_by_schema(
        &mut self,
        turned: Turned<'_>,
        framed: Framed<'_>,
    ) -> Result<Turn, Rejection> {
        let Turned { topic, model, record, carried } = turned;
        let Some(layout) = topic.model(model) else { return Err(no_map()) };
        let Some(map) = &layout.map else { return Err(no_map()) };
        let id = framed.schema;
        let mut known = match self.map.schemas.0.remove(&id) {
            Some(known) => known,
            None => match topic.schemas.get(id) {
                Some(schema) => KnownTargets { schema, targets: Vec::new() },
                None => return Ok(Turn::NeedsSchema(id)),
            },
        };
        if known.targets.len() <= model as usize {
            known.targets.resize_with(model as usize + 1, Targets::default);
        }
        let walked = match known.targets.get_mut(model as usize) {
            Some(targets) => self.walk_by_schema(turned, framed, &known.schema.0, targets),
            None => Err(no_map().into()),
        };
        // Those that cannot be read may be known another time.
        if !matches!(known.schema.0, Schema::Refused(_)) {
            if self.map.schemas.0.len() >= MOST_SCHEMAS {
                self.map.schemas.0.clear();
            }
            self.map.schemas.0.insert(id, known);
        }
        if let Err(halt) = walked {
            return self.halted(halt, record, "").map(Turn::Done);
        }
        let (text, start, inference) = ("", 0, None);
        let reading = Reading { layout, map, record, carried, text, start, inference };
        self.finish(topic, model, &reading)
    }

    fn walk_by_schema(
        &mut self,
        turned: Turned<'_>,
        framed: Framed<'_>,
        schema: &Schema,
        targets: &mut Targets,
    ) -> Result<(), Halt> {
        let walk = self.begin_walk(turned)?;
        let refused = |why: &str| {
            let detail = format!("schema {}: {why}", framed.schema);
            Halt::Rejected(Rejection::new(Reason::UnknownSchema, detail))
        };
        match (schema, walk.map.encoding) {
            (Schema::Avro(schema), Encoding::Avro) => {
                let bytes = framed.payload();
                avro::AvroReader { walk, schema, targets, bytes, at: 0 }.whole()
            }
            (Schema::Protobuf(schema), Encoding::Protobuf) => {
                let unclear = |why: String| Rejection::new(Reason::InvalidFrame, why);
                let (message, bytes) = match framed.value {
                    Place::Behind(value) => {
                        let MessagePath { message, rest } =
                            schema.message_at(value).map_err(unclear)?;
                        (message, rest)
                    }
                    Place::Beside { value, rest } => {
                        (schema.message_at(rest).map_err(unclear)?.message, value)
                    }
                };
                protobuf::Reader { walk, schema, targets }.whole(message, bytes)
            }
            (Schema::Refused(why), _) => Err(refused(why)),
            (Schema::Avro(_), _) => Err(refused("it is one of Avro")),
            (Schema::Protobuf(_), _) => Err(refused("it is one of Protobuf")),
        }
    }

    /// Reads an inference in Protobuf.
    pub(super) fn read_inference(
        &mut self,
        turned: Turned<'_>,
        value: &[u8],
    ) -> Result<Turn, Rejection> {
        let Turned { topic, model, record, carried } = turned;
        let Some(layout) = topic.model(model) else { return Err(no_map()) };
        let Some(map) = &layout.map else { return Err(no_map()) };
        let read = self.begin_walk(turned).and_then(|mut walk| Inference::read(value, &mut walk));
        let inference = match read {
            Ok(inference) => inference,
            Err(halt) => return self.halted(halt, record, "").map(Turn::Done),
        };
        let (text, start, inference) = ("", 0, Some(&inference));
        let reading = Reading { layout, map, record, carried, text, start, inference };
        self.finish(topic, model, &reading)
    }

    /// A walk that values are put into rather than read from a text.
    fn begin_walk<'d>(&'d mut self, turned: Turned<'d>) -> Result<Walk<'d>, Halt> {
        let Turned { topic, model, .. } = turned;
        let Some(layout) = topic.model(model) else { return Err(no_map().into()) };
        let model = model as usize;
        let Some(map) = &layout.map else { return Err(no_map().into()) };
        self.row.clear(layout.columns.len());
        self.map.gathered.begin(map);
        self.map.make_room(model);
        let Some(seen) = self.map.seen.get_mut(model) else { return Err(no_map().into()) };
        seen.resize_with(map.nodes.len(), LastSeen::default);
        Ok(Walk {
            topic,
            layout,
            map,
            seen,
            gathered: &mut self.map.gathered,
            row: &mut self.row,
            text: "",
            string_bytes: self.string_bytes,
            copied: true,
            careful: false,
        })
    }
}
