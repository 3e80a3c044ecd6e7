//! What reading yields, whatever it was read from: rows in the columns of a capture batch, and marks
//! for the records that are none. No clock, no file, no network; only types.

mod batch;
mod chunk;
pub mod columns;
mod half;
mod mark;
mod row;

pub use batch::{CaptureBatch, NotACapture};
pub use chunk::{Chunk, Fingerprint, Ignored, ModelRows};
pub use columns::{CaptureSchema, Column, Kind};
pub use half::{ModelHalves, Side};
pub use mark::{Mark, MarkKind, Reason};
pub use row::{CaptureRow, Cell};
