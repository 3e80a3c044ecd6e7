//! Candidate ONNX models, scored beside live traffic on a lane that may shed and holds nobody up.
//!
//! ```text
//! library_paths ─► Runtime ─► Model ─► CandidateLane ─► CandidateReport (one per window)
//!                               bytes, sha256,  own thread,
//!                               size, operators  bounded queue
//! ```
//!
//! A missing library or a bad model degrades its candidate with a reason and stops nothing else.

mod comparison;
mod elf;
mod error;
mod grid;
mod lane;
mod model;
mod onnx;
mod report;
mod runtime;
mod sample;

pub use error::ShadowError;
pub use lane::{CandidateLane, Health, LaneCounters};
pub use model::{Model, Scores};
pub use report::{CandidateReport, ScoreDifference, SingleLatency};
pub use runtime::{Runtime, library_paths};
