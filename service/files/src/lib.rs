//! Files of rows: Parquet, Arrow, CSV, JSON Lines, and queries over them, as captures.
//!
//! ```text
//! argument ─► paths ─► Table ─┬─► profile ─► infer (kinds)
//!                             └─► captures: file column ─► Target ─► value of the stream's rules
//! ```
//!
//! The same rows give the same findings from a file as from a topic: JSON Lines go through the
//! decoder of the stream, other formats through the same category texts and the same rules for
//! values of the wrong type.

mod input;
mod objects;
mod paths;
mod source;
mod table;

mod mapping;
mod profile;

mod convert;
mod envelope;
mod flat;
mod instant;
mod lines;
mod values;

mod arrow_file;
mod csv;
mod parquet;
mod parts;
mod query;
mod raw;
mod text;

mod write;

mod error;

pub use error::FileError;
pub use lines::PassedOver;
pub use mapping::{Mapping, Target};
pub use profile::{Choices, ColumnKind, ColumnProfile, Inferred, Profile};
pub use table::{Captures, Table};
pub use write::{write_file, write_parquet};

#[cfg(test)]
mod tests;
