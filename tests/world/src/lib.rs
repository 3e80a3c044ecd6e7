//! The one world that all tests, fuzz targets and benchmarks build: a baseline, captures, what a decoder
//! is told, and a pipeline over them. Everything in it is the same in every run.
//!
//! ```text
//! captures (JSON) ─► baseline ─► World: settings + set-ups ─► pipeline
//!        └────────────────────────► chunk (by the real decoder) ─┘
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod baseline;
mod captures;
mod log;
mod pipeline;
mod table;
mod world;

pub use baseline::{
    Answers, BASELINE_ROWS, baseline, baseline_of, baseline_with, decode_all, numeric_batch,
    schema, timed_baseline,
};
pub use captures::{capture, closing_times_us, heartbeat};
pub use log::{Entry, Log, Stretch, at};
pub use table::{TABLE_CONFIG, TABLE_ROWS, TableRow, table_row};
pub use world::World;

use driftline_config::time::DAY_US;

/// What the wall clock says where a log is read that was written long ago: nothing of it lies beyond.
pub const LATER: i64 = T0 + 1000 * DAY_US;
/// 2026-01-05T00:00:00Z, a Monday: the first event of every log.
pub const T0: i64 = 1_767_571_200_000_000;
