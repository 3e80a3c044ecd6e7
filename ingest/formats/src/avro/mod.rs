//! Avro (specification 1.12) behind a registry's frame: the bytes of a record followed by its writer's schema
//! and by the model's map at once.
//!
//! ```text
//! schema (JSON) ─► types ─┐
//! map ────────────────────┴─► read: value after value, into the slots of the rows
//! ```

mod read;
mod schema;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use read::AvroReader;
pub(crate) use schema::AvroSchema;
