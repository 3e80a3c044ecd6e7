//! Avro schemas: their JSON to a table of types, in which names are indices.

use std::collections::HashMap;

use serde_json::Value;

use crate::schemas::SchemaText;

/// Types of one schema. Each takes part of what every decoder keeps.
const MOST_TYPES: usize = 65_536;
/// Levels of a schema's own JSON.
const MOST_LEVELS: u32 = 127;

/// A schema, its types by index.
#[derive(Debug)]
pub(crate) struct AvroSchema {
    pub(crate) types: Vec<Type>,
    pub(crate) root: u32,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<Box<str>>),
    Array(u32),
    Map(u32),
    Union(Vec<u32>),
    Record(Vec<AvroField>),
    /// A long that counts parts of a second, so many of them.
    Instant {
        per_second: i64,
    },
    /// An int that counts days.
    Date,
    /// An unscaled whole number, of so many bytes where they are fixed.
    Decimal {
        fixed: Option<usize>,
        scale: u32,
    },
    /// Sixteen bytes.
    Uuid,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AvroField {
    pub(crate) name: Box<str>,
    pub(crate) index: u32,
}

impl AvroSchema {
    /// Reads a schema, those that it refers to before it.
    ///
    /// # Errors
    /// A sentence: what is no Avro in it.
    pub(crate) fn new(schema: &SchemaText) -> Result<AvroSchema, String> {
        let mut builder = TypeBuilder::default();
        for reference in &schema.references {
            builder
                .document(&reference.text)
                .map_err(|why| format!("{}: {why}", reference.name))?;
        }
        let root = builder.document(&schema.text)?;
        Ok(AvroSchema { types: builder.types, root })
    }

    pub(crate) fn get(&self, index: u32) -> &Type {
        self.types.get(index as usize).unwrap_or(&Type::Null)
    }
}

#[derive(Default)]
struct TypeBuilder {
    types: Vec<Type>,
    named: HashMap<String, u32>,
}

impl TypeBuilder {
    fn document(&mut self, text: &str) -> Result<u32, String> {
        // A schema may be the bare name of a type.
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        self.read(&value, "", 0)
    }

    fn add(&mut self, kind: Type) -> Result<u32, String> {
        let index = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
        if self.types.len() >= MOST_TYPES {
            return Err(format!("more than {MOST_TYPES} types"));
        }
        self.types.push(kind);
        Ok(index)
    }

    fn read(&mut self, value: &Value, space: &str, level: u32) -> Result<u32, String> {
        if level > MOST_LEVELS {
            return Err(format!("nested deeper than {MOST_LEVELS} levels"));
        }
        match value {
            Value::String(name) => self.by_name(name, space),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.read(branch, space, level + 1));
                let branches = branches.collect::<Result<Vec<u32>, String>>()?;
                self.add(Type::Union(branches))
            }
            Value::Object(_) => match value.get("type") {
                Some(Value::String(kind)) => self.complex(kind, value, space, level),
                // `{"type": {…}}` is what it holds.
                Some(inner) => self.read(inner, space, level + 1),
                None => Err("a type without `type`".to_owned()),
            },
            _ => Err("a type that is neither a name, an object nor a list".to_owned()),
        }
    }

    fn by_name(&mut self, name: &str, space: &str) -> Result<u32, String> {
        if let Some(primitive) = primitive(name) {
            return self.add(primitive);
        }
        let full = full_name(name, space);
        let found = self.named.get(&full).or_else(|| self.named.get(name));
        found.copied().ok_or_else(|| format!("the type {full} is not declared"))
    }

    fn complex(
        &mut self,
        kind: &str,
        value: &Value,
        space: &str,
        level: u32,
    ) -> Result<u32, String> {
        let inner = |key: &str| value.get(key).ok_or_else(|| format!("{kind} without `{key}`"));
        match kind {
            "array" => {
                let items = self.read(inner("items")?, space, level + 1)?;
                self.add(Type::Array(items))
            }
            "map" => {
                let values = self.read(inner("values")?, space, level + 1)?;
                self.add(Type::Map(values))
            }
            "record" | "error" => {
                let (index, space) = self.declare(value, space, Type::Record(Vec::new()))?;
                let fields = inner("fields")?.as_array().ok_or("`fields` is no list")?;
                let fields = fields.iter().map(|field| {
                    let name = field.get("name").and_then(Value::as_str);
                    let name = name.ok_or("a field without a name")?.into();
                    let kind = field.get("type").ok_or("a field without a type")?;
                    Ok(AvroField { name, index: self.read(kind, &space, level + 1)? })
                });
                let fields = fields.collect::<Result<Vec<AvroField>, String>>()?;
                if let Some(place) = self.types.get_mut(index as usize) {
                    *place = Type::Record(fields);
                }
                Ok(index)
            }
            "enum" => {
                let symbols = inner("symbols")?.as_array().ok_or("`symbols` is no list")?;
                let symbols = symbols.iter().filter_map(Value::as_str).map(Into::into).collect();
                Ok(self.declare(value, space, Type::Enum(symbols))?.0)
            }
            "fixed" => {
                let size = inner("size")?.as_u64().ok_or("`size` is no number")?;
                let size = usize::try_from(size).map_err(|_| "`size` is no size")?;
                let fixed = logical(value, &Type::Fixed(size)).unwrap_or(Type::Fixed(size));
                Ok(self.declare(value, space, fixed)?.0)
            }
            name => match primitive(name) {
                Some(primitive) => {
                    let logical = logical(value, &primitive);
                    self.add(logical.unwrap_or(primitive))
                }
                None => self.by_name(name, space),
            },
        }
    }

    /// Declares a type by its name before what it holds is read, which may name it; also the namespace that
    /// holds inside.
    fn declare(&mut self, value: &Value, space: &str, kind: Type) -> Result<(u32, String), String> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let name = text("name").ok_or("a record, an enum or a fixed without a name")?;
        let full = full_name(name, text("namespace").unwrap_or(space));
        let space = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        let index = self.add(kind)?;
        if self.named.insert(full.clone(), index).is_some() {
            return Err(format!("the type {full} is declared twice"));
        }
        Ok((index, space))
    }
}

fn full_name(name: &str, space: &str) -> String {
    match (name.contains('.'), space) {
        (true, _) | (_, "") => name.to_owned(),
        (false, space) => format!("{space}.{name}"),
    }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::Text,
        _ => return None,
    })
}

/// What a logical type makes of a type; nothing where it is unknown or of another type, which then is what
/// it is.
fn logical(value: &Value, plain: &Type) -> Option<Type> {
    let name = value.get("logicalType")?.as_str()?;
    Some(match (name, plain) {
        ("timestamp-millis" | "local-timestamp-millis", Type::Long) => {
            Type::Instant { per_second: 1000 }
        }
        ("timestamp-micros" | "local-timestamp-micros", Type::Long) => {
            Type::Instant { per_second: 1_000_000 }
        }
        ("timestamp-nanos" | "local-timestamp-nanos", Type::Long) => {
            Type::Instant { per_second: 1_000_000_000 }
        }
        ("date", Type::Int) => Type::Date,
        ("uuid", Type::Fixed(16)) => Type::Uuid,
        ("decimal", Type::Bytes | Type::Fixed(_)) => {
            let scale = value.get("scale").map_or(Some(0), Value::as_u64)?;
            let fixed = match plain {
                Type::Fixed(size) => Some(*size),
                _ => None,
            };
            Type::Decimal { fixed, scale: u32::try_from(scale).ok()? }
        }
        _ => return None,
    })
}
