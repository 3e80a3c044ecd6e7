//! Candidate ONNX models, scored beside live traffic on a lane that may shed and holds nobody up.
//!
//! ```text
//! file: bytes, sha256, size, operators ─┐        ┌─► FinishedWindow (one per window)
//!                      CandidateLane: own thread, bounded queue
//!                                  rows │        ▲ scores
//! ─────────────────────── frames over a pair of sockets ───────────────────────────────
//!            a process of its own: limits ─► Runtime ─► locks ─► Model
//! ```
//!
//! What is kept of the rows that candidate and champion both answered is the caller's ([`Sums`]).
//! A missing library or a bad model degrades its candidate with a reason and stops nothing else; a process
//! that dies is started again, and given up when that does not help.

mod child;
mod elf;
mod error;
mod file;
mod lane;
mod model;
mod onnx;
mod process;
mod runtime;
mod sample;
mod sums;
mod wire;

pub use child::score_for_parent;
pub use error::ShadowError;
pub use lane::{CandidateLane, FinishedWindow, Health, LaneCounters};
pub use model::{Model, Scores};
pub use process::{Launch, Process, SCORE_COMMAND, Surroundings};
pub use runtime::{Runtime, library_paths};
pub use sums::{Pair, Sums};
