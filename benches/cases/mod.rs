//! What is measured: seeded data, our own code, and what it is measured against.
#![allow(dead_code, reason = "each benchmark measures some of it")]

pub(crate) mod absorb;
pub(crate) mod binary;
pub(crate) mod decode;
pub(crate) mod floor;
pub(crate) mod judge;
pub(crate) mod reader;

/// Rows of a batch, as the readers hand them over.
pub(crate) const BATCH_ROWS: usize = 8192;
/// Numeric features of a record.
pub(crate) const FEATURES: usize = 20;
