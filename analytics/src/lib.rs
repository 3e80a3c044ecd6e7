//! Windows, counters, baselines, tests and reports: everything Driftline computes, pure.
//!
//! ```text
//! CaptureBatch ─► lane (which window?) ─► window / pane (sums) ─► judgement ─► report
//!                       baseline ─► layout ┘   statistics, budget ┘
//! ```
//!
//! There is no I/O, clock, channel or metric in here: time is an argument in microseconds, and the
//! same rows give the same bytes.

pub mod lane;

pub mod baseline;

pub mod layout;

pub mod window;

pub mod pane;

pub mod names;

pub mod quality;

pub mod exact;

pub mod cells;

mod encoding;

pub mod statistics;

pub mod budget;

pub mod judgement;

pub mod burn;

pub mod comparison;

pub mod report;

pub mod shape;

pub use encoding::DecodeError;
