//! The bytes of one Avro record, value after value, into the places of a map.

use driftline_capture::Reason;

use super::schema::{AvroSchema, Type};
use crate::json::MAX_DEPTH;
use crate::layout::{Part, Target};
use crate::mapped::{FieldTarget, Halt, Micros, Targets, Typed, Walk, too_many};
use crate::record::Rejection;

/// Elements of no bytes that a list may have: nothing in the record bounds them.
const MOST_EMPTY: usize = 65_536;

/// A record that is being read.
pub(crate) struct AvroReader<'w, 'r, 'b> {
    pub(crate) walk: Walk<'r>,
    pub(crate) schema: &'w AvroSchema,
    /// Where the fields of each record go.
    pub(crate) targets: &'w mut Targets,
    pub(crate) bytes: &'b [u8],
    pub(crate) at: usize,
}

impl<'b> AvroReader<'_, '_, 'b> {
    /// Reads all of the record.
    pub(crate) fn whole(&mut self) -> Result<(), Halt> {
        self.value(self.schema.root, Target::Node(0), 0)?;
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(self.invalid(format!("{left} bytes are left behind the record"))),
        }
    }

    fn value(&mut self, index: u32, target: Target, depth: u32) -> Result<(), Halt> {
        if depth > MAX_DEPTH {
            return Err(self.invalid(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        match self.schema.get(index) {
            Type::Union(branches) => {
                let branch = self.long()?;
                let branch = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
                let branch = *branch.ok_or_else(|| self.invalid("a union without this branch"))?;
                self.value(branch, target, depth + 1)
            }
            Type::Record(_) => self.record(index, target, depth),
            Type::Array(items) => self.array(*items, target, depth),
            Type::Map(values) => self.map(*values, target, depth),
            scalar => {
                let value = self.scalar(scalar)?;
                match value {
                    Scalar::Typed(value) => self.walk.put(target, value),
                    Scalar::Owned(text) => self.walk.put(target, Typed::Text(&text)),
                }
            }
        }
    }

    fn record(&mut self, index: u32, target: Target, depth: u32) -> Result<(), Halt> {
        let schema = self.schema;
        let Type::Record(fields) = schema.get(index) else { return Ok(()) };
        match target {
            Target::Node(node) => {
                let follows = self.walk.enter(node, Typed::Opaque("a record"))?;
                if !follows {
                    return self.record(index, Target::Ignored, depth);
                }
                let walk = &self.walk;
                let names = fields.iter().map(|field| &*field.name);
                let targets = self.targets.of(index, node, || walk.field_targets(node, names));
                for (field, target) in fields.iter().zip(targets.iter()) {
                    match target {
                        // Most columns are this, and need no look at anything else.
                        FieldTarget::Known(Target::Column(column))
                            if matches!(schema.get(field.index), Type::Double) =>
                        {
                            let number = f64::from_le_bytes(self.take_array()?);
                            self.walk.put_number(*column, number);
                        }
                        FieldTarget::Known(target) => {
                            self.value(field.index, *target, depth + 1)?;
                        }
                        FieldTarget::New(part) => {
                            self.unknown(*part, &field.name, field.index, depth)?;
                        }
                    }
                }
            }
            Target::Nested(nested) => {
                for field in fields {
                    let name = self.walk.nested_name(nested, |name| {
                        name.push('.');
                        name.push_str(&field.name);
                    });
                    self.member(nested, &name, field.index, depth)?;
                }
            }
            target => {
                self.walk.put(target, Typed::Opaque("a record"))?;
                for field in fields {
                    self.value(field.index, Target::Ignored, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Notes a column that nobody knows, and passes its value.
    fn unknown(&mut self, part: Part, name: &str, index: u32, depth: u32) -> Result<(), Halt> {
        let mut index = index;
        while let Type::Union(branches) = self.schema.get(index) {
            let branch = self.long()?;
            let branch = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
            index = *branch.ok_or_else(|| self.invalid("a union without this branch"))?;
        }
        let is_null = *self.schema.get(index) == Type::Null;
        self.walk.put_unknown(part, name, is_null);
        self.value(index, Target::Ignored, depth + 1)
    }

    /// A value inside an object that is no column itself.
    fn member(&mut self, nested: u32, name: &str, index: u32, depth: u32) -> Result<(), Halt> {
        match self.walk.nested_target(nested, name) {
            FieldTarget::Known(target) => self.value(index, target, depth + 1),
            FieldTarget::New(part) => self.unknown(part, name, index, depth),
        }
    }

    /// The next block of a list or map: how many elements it has.
    fn block(&mut self) -> Result<usize, Halt> {
        let count = self.long()?;
        if count < 0 {
            // The size in bytes, for readers that pass the whole block.
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if count > (self.bytes.len() - self.at).saturating_add(MOST_EMPTY) {
            return Err(self.invalid("a list of more elements than there are bytes"));
        }
        Ok(count)
    }

    fn array(&mut self, items: u32, target: Target, depth: u32) -> Result<(), Halt> {
        match target {
            Target::Node(node) => return self.list(items, node, depth),
            Target::Nested(_) => {}
            target => self.walk.put(target, Typed::Opaque("a list"))?,
        }
        let mut count = 0_usize;
        loop {
            let block = self.block()?;
            if block == 0 {
                return Ok(());
            }
            for _ in 0..block {
                match target {
                    Target::Nested(nested) => {
                        let name = self.walk.nested_name(nested, |name| {
                            name.push_str(&format!("[{count}]"));
                        });
                        self.member(nested, &name, items, depth)?;
                    }
                    _ => self.value(items, Target::Ignored, depth + 1)?,
                }
                count += 1;
            }
        }
    }

    fn list(&mut self, items: u32, node: u32, depth: u32) -> Result<(), Halt> {
        let map = self.walk.map;
        let Some(node) = map.nodes.get(node as usize) else { return Ok(()) };
        if !self.walk.begin_list(node)? {
            return self.array(items, Target::Ignored, depth);
        }
        let row = self.walk.row.current() as usize;
        let mut count = 0_usize;
        loop {
            let block = self.block()?;
            if block == 0 {
                break;
            }
            for _ in 0..block {
                let start = self.at;
                let item = node.items.get(count).copied().flatten();
                if let Some(target) = item {
                    self.value(items, target, depth + 1)?;
                }
                if let Some(each) = node.each {
                    self.at = start;
                    // Row 0 is what belongs to all of them.
                    if !self.walk.row.go_to(count + 1) {
                        return Err(too_many());
                    }
                    self.value(items, each.target, depth + 1)?;
                    self.walk.row.go_to(row);
                } else if item.is_none() {
                    match self.walk.element_target(node, count) {
                        Some(FieldTarget::New(part)) => {
                            self.unknown(part, &format!("[{count}]"), items, depth)?;
                        }
                        Some(FieldTarget::Known(target)) => self.value(items, target, depth + 1)?,
                        None => self.value(items, Target::Ignored, depth + 1)?,
                    }
                }
                count += 1;
            }
        }
        self.walk.end_list(node, count)
    }

    fn map(&mut self, values: u32, target: Target, depth: u32) -> Result<(), Halt> {
        let follows = match target {
            Target::Node(node) => self.walk.enter(node, Typed::Opaque("a map"))?,
            Target::Nested(_) => true,
            target => {
                self.walk.put(target, Typed::Opaque("a map"))?;
                false
            }
        };
        loop {
            let block = self.block()?;
            if block == 0 {
                return Ok(());
            }
            for _ in 0..block {
                let key = self.text()?;
                match target {
                    Target::Node(node) if follows => match self.walk.key_target(node, key) {
                        FieldTarget::Known(target) => self.value(values, target, depth + 1)?,
                        FieldTarget::New(part) => self.unknown(part, key, values, depth)?,
                    },
                    Target::Nested(nested) => {
                        let name = self.walk.nested_name(nested, |name| {
                            name.push('.');
                            name.push_str(key);
                        });
                        self.member(nested, &name, values, depth)?;
                    }
                    _ => self.value(values, Target::Ignored, depth + 1)?,
                }
            }
        }
    }

    #[inline]
    fn scalar(&mut self, kind: &Type) -> Result<Scalar<'b>, Halt> {
        Ok(Scalar::Typed(match kind {
            Type::Double => Typed::Number(f64::from_le_bytes(self.take_array()?)),
            Type::Float => Typed::Number(f64::from(f32::from_le_bytes(self.take_array()?))),
            Type::Long => Typed::Whole(self.long()?),
            Type::Int => Typed::Whole(i64::from(self.int()?)),
            Type::Text => Typed::Text(self.text()?),
            Type::Boolean => match self.take(1)? {
                [0] => Typed::Bool(false),
                [1] => Typed::Bool(true),
                _ => return Err(self.invalid("a boolean that is neither 0 nor 1")),
            },
            Type::Enum(symbols) => {
                let symbol = self.int()?;
                let symbol = usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol));
                let symbol = symbol.ok_or_else(|| self.invalid("an enum without this symbol"))?;
                return Ok(Scalar::Owned(symbol.to_string()));
            }
            Type::Instant { per_second } => instant(self.long()?, *per_second),
            Type::Date => Typed::Date(self.int()?),
            Type::Bytes => {
                let bytes = self.sized()?;
                std::str::from_utf8(bytes).map_or(Typed::Opaque("bytes"), Typed::Text)
            }
            Type::Fixed(size) => {
                self.take(*size)?;
                Typed::Opaque("fixed bytes")
            }
            Type::Uuid => {
                let bytes: [u8; 16] = self.take_array()?;
                return Ok(Scalar::Owned(crate::schemas::SchemaId::Guid(bytes).to_string()));
            }
            Type::Decimal { fixed, scale } => {
                let bytes = match fixed {
                    Some(size) => self.take(*size)?,
                    None => self.sized()?,
                };
                decimal(bytes, *scale).map_or(Typed::Opaque("a decimal"), Typed::Number)
            }
            Type::Null | Type::Array(_) | Type::Map(_) | Type::Union(_) | Type::Record(_) => {
                Typed::Null
            }
        }))
    }

    fn text(&mut self) -> Result<&'b str, Halt> {
        let bytes = self.sized()?;
        simdutf8::basic::from_utf8(bytes).map_err(|_| self.invalid("a string is not UTF-8"))
    }

    fn sized(&mut self) -> Result<&'b [u8], Halt> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| self.invalid("a negative length"))?;
        self.take(length)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'b [u8], Halt> {
        let taken = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.invalid("the record is cut"))?;
        self.at += length;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.first_chunk::<N>().ok_or_else(|| self.invalid("the record is cut"))?;
        self.at += N;
        Ok(*taken)
    }

    fn int(&mut self) -> Result<i32, Halt> {
        i32::try_from(self.long()?).map_err(|_| self.invalid("an int beyond 32 bits"))
    }

    /// A whole number in zigzag, seven bits a byte, the lowest first.
    #[inline]
    fn long(&mut self) -> Result<i64, Halt> {
        let mut bits = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.invalid("the record is cut"))?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            bits |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        Err(self.invalid("a whole number beyond 64 bits"))
    }

    #[cold]
    fn invalid(&self, what: impl Into<String>) -> Halt {
        let what: String = what.into();
        Halt::Rejected(Rejection::new(Reason::InvalidRecord, format!("byte {}: {what}", self.at)))
    }
}

/// A value, or the text of one that stands in no record.
enum Scalar<'b> {
    Typed(Typed<'b>),
    Owned(String),
}

fn instant(count: i64, per_second: i64) -> Typed<'static> {
    let us = match per_second {
        1_000_000_000 => count.div_euclid(1000) + i64::from(count.rem_euclid(1000) >= 500),
        per_second => count.saturating_mul(1_000_000 / per_second.max(1)),
    };
    Typed::Micros(Micros { us, raw: count as f64 })
}

/// The value of a decimal: two's complement, the highest byte first. Beyond sixteen bytes nothing is exact
/// any more, and nobody writes them.
fn decimal(bytes: &[u8], scale: u32) -> Option<f64> {
    if bytes.len() > 16 {
        return None;
    }
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let unscaled = bytes
        .iter()
        .fold(if negative { -1_i128 } else { 0 }, |sum, byte| (sum << 8) | i128::from(*byte));
    format!("{unscaled}e-{scale}").parse().ok()
}
