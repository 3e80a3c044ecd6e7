//! Candidate ONNX models, scored beside live traffic on a lane that may shed and holds nobody up.
//!
//! ```text
//! library_paths ─► Runtime ─► Model ─► CandidateLane ─► FinishedWindow (one per window)
//!                               bytes, sha256,  own thread,
//!                               size, operators  bounded queue
//! ```
//!
//! What is kept of the rows that candidate and champion both answered is the caller's ([`Sums`]).
//! A missing library or a bad model degrades its candidate with a reason and stops nothing else.

mod elf;
mod error;
mod lane;
mod model;
mod onnx;
mod runtime;
mod sample;
mod sums;

pub use error::ShadowError;
pub use lane::{CandidateLane, FinishedWindow, Health, LaneCounters};
pub use model::{Model, Scores};
pub use runtime::{Runtime, library_paths};
pub use sums::{Pair, Sums};
