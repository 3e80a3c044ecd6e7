//! The schemas of records, by what their frames name: whoever reads asks for what is missing, and whoever may
//! ask a registry puts it here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::{avro, protobuf};

/// What a frame names a schema by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaId {
    /// Of one registry.
    Number(u32),
    /// The same in every registry.
    Guid([u8; 16]),
}

impl fmt::Display for SchemaId {
    /// A GUID as registries write it, with hyphens.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaId::Number(number) => write!(formatter, "{number}"),
            SchemaId::Guid(bytes) => {
                for (index, byte) in bytes.iter().enumerate() {
                    let hyphen = matches!(index, 4 | 6 | 8 | 10);
                    write!(formatter, "{}{byte:02x}", if hyphen { "-" } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    Avro,
    Protobuf,
    JsonSchema,
}

impl SchemaKind {
    /// As registries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            SchemaKind::Avro => "AVRO",
            SchemaKind::Protobuf => "PROTOBUF",
            SchemaKind::JsonSchema => "JSON",
        }
    }

    /// The kind that registries call so.
    pub fn of_name(name: &str) -> Option<SchemaKind> {
        let kinds = [SchemaKind::Avro, SchemaKind::Protobuf, SchemaKind::JsonSchema];
        kinds.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A schema as a registry has it, with all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaText {
    pub kind: SchemaKind,
    pub text: String,
    /// Each before those that refer to it.
    pub references: Vec<SchemaReference>,
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReference {
    /// By which the other knows it: the path of an import, the name of a type.
    pub name: String,
    pub text: String,
}

/// A schema that was read.
#[derive(Debug)]
pub struct KnownSchema(pub(crate) Schema);

#[derive(Debug)]
pub(crate) enum Schema {
    Avro(avro::AvroSchema),
    Protobuf(protobuf::ProtobufSchema),
    /// Records of it are dead letters for this reason.
    Refused(String),
}

impl KnownSchema {
    /// Reads a schema. One that cannot be read is known, too: its records are rejected.
    pub fn new(schema: &SchemaText) -> KnownSchema {
        let read = match schema.kind {
            SchemaKind::Avro => avro::AvroSchema::new(schema).map(Schema::Avro),
            SchemaKind::Protobuf => protobuf::ProtobufSchema::new(schema).map(Schema::Protobuf),
            SchemaKind::JsonSchema => Err("it is a JSON Schema".to_owned()),
        };
        KnownSchema(read.unwrap_or_else(Schema::Refused))
    }

    /// A schema that the registry does not have.
    pub fn absent() -> KnownSchema {
        KnownSchema(Schema::Refused("the registry does not know it".to_owned()))
    }
}

/// The schemas that all decoders of a topic, or of a registry, share.
#[derive(Debug, Default)]
pub struct SchemaShelf(RwLock<HashMap<SchemaId, Arc<KnownSchema>>>);

impl SchemaShelf {
    /// Puts a schema here, instead of one that was here under the same name.
    pub fn put(&self, id: SchemaId, schema: Arc<KnownSchema>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, schema);
    }

    /// Takes a schema away: it will be asked for again.
    pub fn forget(&self, id: SchemaId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Whether it is here, readable or not.
    pub fn holds(&self, id: SchemaId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    pub(crate) fn get(&self, id: SchemaId) -> Option<Arc<KnownSchema>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}
