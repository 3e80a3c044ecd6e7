//! Protobuf schemas: the text of their files, compiled, to tables of fields.

use std::collections::HashMap;
use std::path::Path;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use protox::file::{File, FileResolver, GoogleFileResolver};
use protox::{Compiler, Error};

use super::wire::Varints;
use crate::schemas::SchemaText;

/// The path of the file itself, which no import of it can name.
const MAIN: &str = "driftline/main.proto";
/// Steps to a message inside of messages, and what a serializer refuses, too.
const MOST_STEPS: i64 = 100;

/// The messages of a file and of those that it imports.
#[derive(Debug)]
pub(crate) struct ProtobufSchema {
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<HashMap<i32, Box<str>>>,
    /// Messages of the file itself, each with those inside it.
    roots: Vec<Nest>,
}

#[derive(Debug)]
struct Nest {
    message: u32,
    inside: Vec<Nest>,
}

/// A message's fields, by their number.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) fields: Vec<Field>,
    pub(crate) known_as: KnownAs,
}

/// What a message stands for, where it is one that everybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownAs {
    Plain,
    /// Seconds and nanoseconds: a time or a duration.
    Time,
    /// One value, so that it may be absent.
    Wrapper,
    /// An object of JSON.
    Struct,
    /// A value of JSON.
    Value,
    /// A list of JSON.
    ListValue,
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: Box<str>,
    /// As JSON names it, which a map may do, too.
    pub(crate) json_name: Box<str>,
    pub(crate) kind: FieldKind,
    pub(crate) shape: Shape,
    /// Fields of which the last one alone is there.
    pub(crate) oneof: Option<u32>,
}

/// How often a field stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Absent is missing.
    Optional,
    /// Absent is zero, or the empty text.
    Implicit,
    List,
    Map,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Text,
    Bytes,
    Message(u32),
    Enum(u32),
}

/// Which message of a file a record is: the way to it, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessagePath<'a> {
    pub(crate) message: u32,
    pub(crate) rest: &'a [u8],
}

impl ProtobufSchema {
    /// Compiles a file with those that it imports.
    ///
    /// # Errors
    /// A sentence: what is no Protobuf in it.
    pub(crate) fn new(schema: &SchemaText) -> Result<ProtobufSchema, String> {
        let mut files: HashMap<String, String> = HashMap::new();
        for reference in &schema.references {
            files.insert(reference.name.clone(), reference.text.clone());
        }
        files.insert(MAIN.to_owned(), schema.text.clone());
        let mut compiler = Compiler::with_file_resolver(Files(files));
        compiler.include_source_info(false).include_imports(true);
        compiler.open_file(Path::new(MAIN)).map_err(|error| error.to_string())?;
        let pool = compiler.descriptor_pool();
        let main = pool.get_file_by_name(MAIN).ok_or("the file is not among its own")?;
        Ok(Tables::of(&pool).schema(main.messages()))
    }

    /// The message at the way that a serializer writes before it: a count of steps and the place of each
    /// among the messages there, in zigzag; no steps are the first message.
    ///
    /// # Errors
    /// A sentence: the way is cut, or leads to no message.
    pub(crate) fn message_at<'a>(&self, bytes: &'a [u8]) -> Result<MessagePath<'a>, String> {
        let mut varints = Varints { bytes, at: 0 };
        let mut next = || -> Result<i64, String> {
            let bits = varints.next().ok_or("the way to the message is cut")?;
            Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
        };
        let count = next()?;
        if !(0..=MOST_STEPS).contains(&count) {
            return Err(format!("{count} steps to a message"));
        }
        let steps = match count {
            0 => vec![0],
            count => (0..count).map(|_| next()).collect::<Result<Vec<i64>, String>>()?,
        };
        let mut nests = &self.roots;
        let mut message = None;
        for step in steps {
            let nest = usize::try_from(step).ok().and_then(|step| nests.get(step));
            let nest = nest.ok_or_else(|| format!("the schema has no message {step} there"))?;
            (message, nests) = (Some(nest.message), &nest.inside);
        }
        let message = message.ok_or("no way to a message")?;
        Ok(MessagePath { message, rest: bytes.get(varints.at..).unwrap_or_default() })
    }

    pub(crate) fn message(&self, index: u32) -> Option<&Message> {
        self.messages.get(index as usize)
    }
}

/// The files of one schema, in memory.
struct Files(HashMap<String, String>);

impl FileResolver for Files {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => GoogleFileResolver::new().open_file(name),
        }
    }
}

/// Indices of everything that a pool declares.
struct Tables<'p> {
    pool: &'p DescriptorPool,
    messages: HashMap<String, u32>,
    enums: HashMap<String, u32>,
}

impl<'p> Tables<'p> {
    fn of(pool: &'p DescriptorPool) -> Tables<'p> {
        let messages = pool.all_messages().map(|message| message.full_name().to_owned());
        let enums = pool.all_enums().map(|it| it.full_name().to_owned());
        Tables { pool, messages: messages.zip(0..).collect(), enums: enums.zip(0..).collect() }
    }

    fn schema(&self, roots: impl Iterator<Item = MessageDescriptor>) -> ProtobufSchema {
        ProtobufSchema {
            messages: self.pool.all_messages().map(|message| self.message(&message)).collect(),
            enums: self.pool.all_enums().map(|it| names_of(&it)).collect(),
            roots: roots.map(|root| self.nest(&root)).collect(),
        }
    }

    fn nest(&self, message: &MessageDescriptor) -> Nest {
        Nest {
            message: self.index_of(message),
            inside: message.child_messages().map(|child| self.nest(&child)).collect(),
        }
    }

    fn index_of(&self, message: &MessageDescriptor) -> u32 {
        // The pool has each of its own.
        self.messages.get(message.full_name()).copied().unwrap_or(u32::MAX)
    }

    fn message(&self, message: &MessageDescriptor) -> Message {
        let mut fields: Vec<Field> = message.fields().map(|field| self.field(&field)).collect();
        fields.sort_by_key(|field| field.number);
        Message { fields, known_as: known_as(message.full_name()) }
    }

    fn field(&self, field: &FieldDescriptor) -> Field {
        let shape = match field {
            field if field.is_map() => Shape::Map,
            field if field.is_list() => Shape::List,
            field if field.supports_presence() => Shape::Optional,
            _ => Shape::Implicit,
        };
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        Field {
            number: field.number(),
            name: field.name().into(),
            json_name: field.json_name().into(),
            kind: self.kind(&field.kind()),
            shape,
            oneof: oneof.and_then(|oneof| oneof.path().last().copied()).map(i32::unsigned_abs),
        }
    }

    fn kind(&self, kind: &Kind) -> FieldKind {
        match kind {
            Kind::Double => FieldKind::Double,
            Kind::Float => FieldKind::Float,
            Kind::Int32 => FieldKind::Int32,
            Kind::Int64 => FieldKind::Int64,
            Kind::Uint32 => FieldKind::Uint32,
            Kind::Uint64 => FieldKind::Uint64,
            Kind::Sint32 => FieldKind::Sint32,
            Kind::Sint64 => FieldKind::Sint64,
            Kind::Fixed32 => FieldKind::Fixed32,
            Kind::Fixed64 => FieldKind::Fixed64,
            Kind::Sfixed32 => FieldKind::Sfixed32,
            Kind::Sfixed64 => FieldKind::Sfixed64,
            Kind::Bool => FieldKind::Bool,
            Kind::String => FieldKind::Text,
            Kind::Bytes => FieldKind::Bytes,
            Kind::Message(message) => FieldKind::Message(self.index_of(message)),
            Kind::Enum(it) => {
                FieldKind::Enum(self.enums.get(it.full_name()).copied().unwrap_or(u32::MAX))
            }
        }
    }
}

fn names_of(it: &EnumDescriptor) -> HashMap<i32, Box<str>> {
    let mut names = HashMap::new();
    for value in it.values() {
        // Of two names for one number the first counts.
        names.entry(value.number()).or_insert_with(|| value.name().into());
    }
    names
}

fn known_as(name: &str) -> KnownAs {
    match name {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => KnownAs::Time,
        "google.protobuf.Struct" => KnownAs::Struct,
        "google.protobuf.Value" => KnownAs::Value,
        "google.protobuf.ListValue" => KnownAs::ListValue,
        name if name.starts_with("google.protobuf.") && name.ends_with("Value") => KnownAs::Wrapper,
        _ => KnownAs::Plain,
    }
}
