//! Protobuf behind a registry's frame: the wire of a message followed by its descriptor and by the model's map
//! at once.
//!
//! ```text
//! .proto text ─► protox ─► descriptors ─► fields by number ─┐
//! map ──────────────────────────────────────────────────────┴─► read: last of each field, into the slots
//! ```

mod read;
mod schema;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

pub(crate) use read::Reader;
pub(crate) use schema::{MessagePath, ProtobufSchema};
