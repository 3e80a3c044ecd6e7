//! What is measured: seeded data, our own code, and what it is measured against.

pub mod absorb;
pub mod decode;
pub mod floor;
pub mod judge;

/// Rows of a batch, as the readers hand them over.
pub const BATCH_ROWS: usize = 8192;
/// Numeric features of a record.
pub const FEATURES: usize = 20;
