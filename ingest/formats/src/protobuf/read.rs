//! The wire of one message, field after field, into the places of a map.

use std::borrow::Cow;

use driftline_capture::Reason;

use super::schema::{Field, FieldKind, KnownAs, Message, ProtobufSchema, Shape};
use super::wire::{Piece, Varints, WireType};
use crate::json::MAX_DEPTH;
use crate::layout::{Part, Target};
use crate::mapped::{FieldTarget, Halt, Micros, Targets, Typed, Walk, too_many};
use crate::record::Rejection;

/// No place.
const NONE: u32 = u32::MAX;

/// A message that is being read.
pub(crate) struct Reader<'w, 'r> {
    pub(crate) walk: Walk<'r>,
    pub(crate) schema: &'w ProtobufSchema,
    /// Where the fields of each message go.
    pub(crate) targets: &'w mut Targets,
}

/// Where the pieces of a message stand, by field.
struct Pieces<'b> {
    pieces: Vec<Link<'b>>,
    /// The first and the last piece of each field.
    of_field: Vec<Ends>,
}

#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

struct Link<'b> {
    piece: Piece<'b>,
    /// The next piece of the same field.
    next: u32,
}

impl<'b> Pieces<'b> {
    /// Sorts the wire of a message by its fields; of a choice, only the last is left.
    fn of(message: &Message, bytes: &'b [u8]) -> Result<Pieces<'b>, &'static str> {
        let ends = Ends { first: NONE, last: NONE };
        let mut pieces = Pieces { pieces: Vec::new(), of_field: vec![ends; message.fields.len()] };
        let mut varints = Varints { bytes, at: 0 };
        let mut hint = 0;
        while let Some(piece) = varints.piece()? {
            let expected = message.fields.get(hint);
            let index = match expected.is_some_and(|field| field.number == piece.number) {
                true => hint,
                false => {
                    let by_number = |field: &Field| field.number;
                    match message.fields.binary_search_by_key(&piece.number, by_number) {
                        Ok(index) => index,
                        // Of a newer schema.
                        Err(_) => continue,
                    }
                }
            };
            hint = index + 1;
            let Some(field) = message.fields.get(index) else { continue };
            pieces.add(message, index, field, piece)?;
        }
        Ok(pieces)
    }

    fn add(
        &mut self,
        message: &Message,
        index: usize,
        field: &Field,
        piece: Piece<'b>,
    ) -> Result<(), &'static str> {
        let expected = wire_of(field.kind);
        if piece.wire == WireType::Sized
            && expected != WireType::Sized
            && field.shape == Shape::List
        {
            let mut packed = Varints { bytes: piece.bytes, at: 0 };
            while packed.at < packed.bytes.len() {
                let bits = match expected {
                    WireType::Varint => packed.next(),
                    WireType::Eight => packed.fixed::<8>().map(u64::from_le_bytes),
                    _ => packed.fixed::<4>().map(|bytes| u64::from(u32::from_le_bytes(bytes))),
                };
                let bits = bits.ok_or("packed values are cut")?;
                self.push(index, Piece { wire: expected, bits, ..piece });
            }
            return Ok(());
        }
        let is_message = matches!(field.kind, FieldKind::Message(_));
        if piece.wire != expected && !(is_message && piece.wire == WireType::Group) {
            return Err("a value is not of its field's kind");
        }
        if let Some(oneof) = field.oneof {
            let others = message.fields.iter().zip(&mut self.of_field).enumerate();
            for (other, (sibling, ends)) in others {
                if other != index && sibling.oneof == Some(oneof) {
                    *ends = Ends { first: NONE, last: NONE };
                }
            }
        }
        self.push(index, piece);
        Ok(())
    }

    fn push(&mut self, field: usize, piece: Piece<'b>) {
        let place = u32::try_from(self.pieces.len()).unwrap_or(NONE);
        self.pieces.push(Link { piece, next: NONE });
        let Some(ends) = self.of_field.get_mut(field) else { return };
        match self.pieces.get_mut(ends.last as usize) {
            Some(last) if ends.last != NONE => last.next = place,
            _ => ends.first = place,
        }
        ends.last = place;
    }

    fn first(&self, field: usize) -> u32 {
        self.of_field.get(field).map_or(NONE, |ends| ends.first)
    }

    fn last(&self, field: usize) -> Option<Piece<'b>> {
        let ends = self.of_field.get(field)?;
        self.pieces.get(ends.last as usize).map(|link| link.piece)
    }

    /// Every piece of a field, in order.
    fn all(&self, field: usize) -> impl Iterator<Item = Piece<'b>> {
        let mut place = self.first(field);
        std::iter::from_fn(move || {
            let link = self.pieces.get(place as usize)?;
            place = link.next;
            Some(link.piece)
        })
    }
}

impl<'w> Reader<'w, '_> {
    /// Reads a record that is a message of the schema.
    pub(crate) fn whole(&mut self, message: u32, bytes: &[u8]) -> Result<(), Halt> {
        self.message(message, bytes, Target::Node(0), 0)
    }

    fn message(
        &mut self,
        index: u32,
        bytes: &[u8],
        target: Target,
        depth: u32,
    ) -> Result<(), Halt> {
        let schema: &'w ProtobufSchema = self.schema;
        let Some(message) = schema.message(index) else {
            return Err(invalid("the schema has no such message"));
        };
        if depth > MAX_DEPTH {
            return Err(invalid(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let pieces = Pieces::of(message, bytes).map_err(invalid)?;
        if message.known_as != KnownAs::Plain {
            return self.known_message(message, &pieces, Going { target, depth });
        }
        match target {
            Target::Node(node) if self.walk.enter(node, Typed::Opaque("a message"))? => {
                let walk = &self.walk;
                let find = || message.fields.iter().map(|field| field_target(walk, node, field));
                let targets = self.targets.of(index, node, || find().collect());
                for (place, (field, target)) in
                    message.fields.iter().zip(targets.iter()).enumerate()
                {
                    match target {
                        FieldTarget::Known(target) => {
                            self.field(field, &pieces, place, Going { target: *target, depth })?;
                        }
                        FieldTarget::New(part) => {
                            self.unknown(field, &pieces, place, Column { part: *part, depth })?;
                        }
                    }
                }
                Ok(())
            }
            Target::Nested(nested) => self.nested_message(message, &pieces, nested, depth),
            target => {
                if !matches!(target, Target::Node(_)) {
                    self.walk.put(target, Typed::Opaque("a message"))?;
                }
                for (place, field) in message.fields.iter().enumerate() {
                    let target = Target::Ignored;
                    self.field(field, &pieces, place, Going { target, depth })?;
                }
                Ok(())
            }
        }
    }

    /// Reads a message that stands for something else.
    fn known_message(
        &mut self,
        message: &Message,
        pieces: &Pieces<'_>,
        going: Going,
    ) -> Result<(), Halt> {
        let Going { target, depth } = going;
        let Some(field) = message.fields.first() else { return Ok(()) };
        match message.known_as {
            KnownAs::Plain => Ok(()),
            KnownAs::Time => self.walk.put(target, time(pieces)),
            KnownAs::Wrapper => self.single(field, pieces.last(0), target, depth),
            KnownAs::Value => self.json_value(message, pieces, target, depth),
            KnownAs::Struct => self.entries(field, &mut pieces.all(0), target, depth),
            KnownAs::ListValue => self.list(field, &mut pieces.all(0), target, depth),
        }
    }

    /// Reads a message whose fields are columns `a.b`.
    fn nested_message(
        &mut self,
        message: &Message,
        pieces: &Pieces<'_>,
        nested: u32,
        depth: u32,
    ) -> Result<(), Halt> {
        for (place, field) in message.fields.iter().enumerate() {
            let name = self.walk.nested_name(nested, |name| {
                name.push('.');
                name.push_str(&field.name);
            });
            let target = match self.walk.nested_target(nested, &name) {
                FieldTarget::Known(target) => target,
                FieldTarget::New(part) => {
                    if is_there(field, pieces, place) {
                        self.walk.put_unknown(part, &name, false);
                    }
                    Target::Ignored
                }
            };
            self.field(field, pieces, place, Going { target, depth })?;
        }
        Ok(())
    }

    /// Reads what a field holds, where anything is there.
    fn field(
        &mut self,
        field: &Field,
        pieces: &Pieces<'_>,
        place: usize,
        going: Going,
    ) -> Result<(), Halt> {
        let Going { target, depth } = going;
        match (field.shape, field.kind) {
            (Shape::List, _) => self.list(field, &mut pieces.all(place), target, depth),
            (Shape::Map, _) => self.entries(field, &mut pieces.all(place), target, depth),
            (_, FieldKind::Message(message)) => {
                let Some(last) = pieces.last(place) else { return Ok(()) };
                // A message that stands twice is both, one behind the other.
                let first = pieces.first(place);
                let alone = pieces.pieces.get(first as usize).is_some_and(|link| link.next == NONE);
                let bytes: Cow<'_, [u8]> = match alone {
                    true => Cow::Borrowed(last.bytes),
                    false => {
                        Cow::Owned(pieces.all(place).flat_map(|it| it.bytes).copied().collect())
                    }
                };
                self.message(message, &bytes, target, depth + 1)
            }
            (Shape::Implicit, _) => self.single(field, pieces.last(place), target, depth),
            _ => match pieces.last(place) {
                Some(piece) => self.single(field, Some(piece), target, depth),
                None => Ok(()),
            },
        }
    }

    /// Notes a column that nobody knows, where it is there, and passes its value.
    fn unknown(
        &mut self,
        field: &Field,
        pieces: &Pieces<'_>,
        place: usize,
        column: Column,
    ) -> Result<(), Halt> {
        if is_there(field, pieces, place) {
            self.walk.put_unknown(column.part, &field.name, false);
        }
        let going = Going { target: Target::Ignored, depth: column.depth };
        self.field(field, pieces, place, going)
    }

    /// One value, the default where there is none.
    fn single(
        &mut self,
        field: &Field,
        piece: Option<Piece<'_>>,
        target: Target,
        depth: u32,
    ) -> Result<(), Halt> {
        match (field.kind, piece) {
            (FieldKind::Message(message), Some(piece)) => {
                self.message(message, piece.bytes, target, depth + 1)
            }
            (FieldKind::Message(message), None) => self.message(message, &[], target, depth + 1),
            (kind, piece) => {
                let none = Piece { number: 0, wire: WireType::Varint, bits: 0, bytes: &[] };
                let value = self.typed(kind, piece.unwrap_or(none))?;
                self.walk.put(target, value)
            }
        }
    }

    fn typed<'b>(&self, kind: FieldKind, piece: Piece<'b>) -> Result<Typed<'b>, Halt>
    where
        'w: 'b,
    {
        let bits = piece.bits;
        let zigzag = |bits: u64| (bits >> 1) as i64 ^ -((bits & 1) as i64);
        Ok(match kind {
            FieldKind::Double => Typed::Number(f64::from_bits(bits)),
            FieldKind::Float => Typed::Number(f64::from(f32::from_bits(bits as u32))),
            FieldKind::Int32 | FieldKind::Sfixed32 => Typed::Whole(i64::from(bits as i32)),
            FieldKind::Int64 | FieldKind::Sfixed64 => Typed::Whole(bits as i64),
            FieldKind::Uint32 | FieldKind::Fixed32 => Typed::Unsigned(u64::from(bits as u32)),
            FieldKind::Uint64 | FieldKind::Fixed64 => Typed::Unsigned(bits),
            FieldKind::Sint32 => Typed::Whole(zigzag(u64::from(bits as u32))),
            FieldKind::Sint64 => Typed::Whole(zigzag(bits)),
            FieldKind::Bool => Typed::Bool(bits != 0),
            FieldKind::Text => {
                let text = simdutf8::basic::from_utf8(piece.bytes);
                Typed::Text(text.map_err(|_| invalid("a string is not UTF-8"))?)
            }
            FieldKind::Bytes => {
                std::str::from_utf8(piece.bytes).map_or(Typed::Opaque("bytes"), Typed::Text)
            }
            FieldKind::Enum(index) => {
                let number = bits as i32;
                let schema: &'w ProtobufSchema = self.schema;
                let names = schema.enums.get(index as usize);
                let name = names.and_then(|names| names.get(&number));
                name.map_or(Typed::Whole(i64::from(number)), |name| Typed::Text(name))
            }
            FieldKind::Message(_) => Typed::Null,
        })
    }

    fn list(
        &mut self,
        field: &Field,
        pieces: &mut dyn Iterator<Item = Piece<'_>>,
        target: Target,
        depth: u32,
    ) -> Result<(), Halt> {
        let map = self.walk.map;
        let node = match target {
            Target::Node(node) => map.nodes.get(node as usize),
            _ => None,
        };
        let looked_at = match node {
            Some(node) => self.walk.begin_list(node)?,
            None if matches!(target, Target::Nested(_)) => true,
            None => {
                self.walk.put(target, Typed::Opaque("a list"))?;
                false
            }
        };
        let row = self.walk.row.current() as usize;
        let mut count = 0_usize;
        for piece in pieces {
            let piece = Some(piece);
            if !looked_at {
                self.single(field, piece, Target::Ignored, depth)?;
                continue;
            }
            let found = match node {
                Some(node) => {
                    if let Some(Some(item)) = node.items.get(count) {
                        self.single(field, piece, *item, depth)?;
                    }
                    match node.each {
                        Some(each) => {
                            // Row 0 is what belongs to all of them.
                            if !self.walk.row.go_to(count + 1) {
                                return Err(too_many());
                            }
                            self.single(field, piece, each.target, depth)?;
                            self.walk.row.go_to(row);
                            None
                        }
                        None => self.walk.element_target(node, count),
                    }
                }
                None => Some(self.nested_element(target, count)),
            };
            match found {
                Some(FieldTarget::Known(target)) => self.single(field, piece, target, depth)?,
                Some(FieldTarget::New(part)) => {
                    self.walk.put_unknown(part, &format!("[{count}]"), false);
                    self.single(field, piece, Target::Ignored, depth)?;
                }
                None => {}
            }
            count += 1;
        }
        match node.filter(|_| looked_at) {
            Some(node) => self.walk.end_list(node, count),
            None => Ok(()),
        }
    }

    /// Where an element of a list goes whose elements are columns `a[0]`; noted where nobody knows it.
    fn nested_element(&mut self, target: Target, count: usize) -> FieldTarget {
        let Target::Nested(nested) = target else { return FieldTarget::Known(Target::Ignored) };
        let name = self.walk.nested_name(nested, |name| name.push_str(&format!("[{count}]")));
        match self.walk.nested_target(nested, &name) {
            FieldTarget::New(part) => {
                self.walk.put_unknown(part, &name, false);
                FieldTarget::Known(Target::Ignored)
            }
            known => known,
        }
    }

    /// A map: its keys are those of an object.
    fn entries(
        &mut self,
        field: &Field,
        pieces: &mut dyn Iterator<Item = Piece<'_>>,
        target: Target,
        depth: u32,
    ) -> Result<(), Halt> {
        let schema: &'w ProtobufSchema = self.schema;
        let FieldKind::Message(entry) = field.kind else { return Ok(()) };
        let Some([key_field, value_field]) =
            schema.message(entry).map(|entry| entry.fields.as_slice())
        else {
            return Err(invalid("an entry of a map is no key with a value"));
        };
        let follows = match target {
            Target::Node(node) => self.walk.enter(node, Typed::Opaque("a map"))?,
            Target::Nested(_) => true,
            target => {
                self.walk.put(target, Typed::Opaque("a map"))?;
                false
            }
        };
        for piece in pieces {
            let Some(message) = schema.message(entry) else { continue };
            let inside = Pieces::of(message, piece.bytes).map_err(invalid)?;
            let none = Piece { number: 1, wire: WireType::Varint, bits: 0, bytes: &[] };
            let key = key_of(self.typed(key_field.kind, inside.last(0).unwrap_or(none))?);
            let found = match target {
                Target::Node(node) if follows => match self.walk.key_target(node, &key) {
                    FieldTarget::New(part) => {
                        self.walk.put_unknown(part, &key, false);
                        Target::Ignored
                    }
                    FieldTarget::Known(target) => target,
                },
                Target::Nested(nested) => {
                    let name = self.walk.nested_name(nested, |name| {
                        name.push('.');
                        name.push_str(&key);
                    });
                    match self.walk.nested_target(nested, &name) {
                        FieldTarget::New(part) => {
                            self.walk.put_unknown(part, &name, false);
                            Target::Ignored
                        }
                        FieldTarget::Known(target) => target,
                    }
                }
                _ => Target::Ignored,
            };
            self.single(value_field, inside.last(1), found, depth + 1)?;
        }
        Ok(())
    }

    /// A value of JSON: whichever of its fields is there.
    fn json_value(
        &mut self,
        message: &Message,
        pieces: &Pieces<'_>,
        target: Target,
        depth: u32,
    ) -> Result<(), Halt> {
        for (place, field) in message.fields.iter().enumerate() {
            if let Some(piece) = pieces.last(place) {
                return match field.kind {
                    FieldKind::Enum(_) => self.walk.put(target, Typed::Null),
                    _ => self.single(field, Some(piece), target, depth),
                };
            }
        }
        self.walk.put(target, Typed::Null)
    }
}

/// Where a value goes, and how deep in the record it stands.
#[derive(Clone, Copy)]
struct Going {
    target: Target,
    depth: u32,
}

/// A column that nobody knows.
#[derive(Clone, Copy)]
struct Column {
    part: Part,
    depth: u32,
}

/// Maps may name a field as its file does, or as JSON does.
fn field_target(walk: &Walk<'_>, node: u32, field: &Field) -> FieldTarget {
    let knows = |name: &str| {
        let node = walk.map.nodes.get(node as usize);
        node.is_some_and(|node| node.keys.get(name).is_some())
    };
    match knows(&field.json_name) && !knows(&field.name) {
        true => walk.key_target(node, &field.json_name),
        false => walk.key_target(node, &field.name),
    }
}

/// Whether a message in JSON would show the field.
fn is_there(field: &Field, pieces: &Pieces<'_>, place: usize) -> bool {
    field.shape != Shape::Optional || pieces.last(place).is_some()
}

fn key_of(key: Typed<'_>) -> Cow<'_, str> {
    match key {
        Typed::Text(text) => Cow::Borrowed(text),
        Typed::Whole(whole) => Cow::Owned(whole.to_string()),
        Typed::Unsigned(whole) => Cow::Owned(whole.to_string()),
        Typed::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        _ => Cow::Borrowed(""),
    }
}

/// Seconds and nanoseconds.
fn time(pieces: &Pieces<'_>) -> Typed<'static> {
    let part = |place: usize| pieces.last(place).map_or(0, |piece| piece.bits as i64);
    let (seconds, nanoseconds) = (part(0), i64::from(part(1) as i32));
    let us = seconds.saturating_mul(1_000_000).saturating_add((nanoseconds + 500).div_euclid(1000));
    Typed::Micros(Micros { us, raw: seconds as f64 + nanoseconds as f64 / 1e9 })
}

fn wire_of(kind: FieldKind) -> WireType {
    match kind {
        FieldKind::Double | FieldKind::Fixed64 | FieldKind::Sfixed64 => WireType::Eight,
        FieldKind::Float | FieldKind::Fixed32 | FieldKind::Sfixed32 => WireType::Four,
        FieldKind::Text | FieldKind::Bytes | FieldKind::Message(_) => WireType::Sized,
        _ => WireType::Varint,
    }
}

#[cold]
fn invalid(what: impl Into<String>) -> Halt {
    Halt::Rejected(Rejection::new(Reason::InvalidRecord, what))
}
