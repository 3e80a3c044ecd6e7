//! Event time: stretches, cuts, and which window closes when (RULES §1).
//!
//! ```text
//! rows ─► PlacingClock (counting): which window? passed by the log? ─► Passage ─► ClosingLane (deciding):
//!              ▲                                                              quiet? due? carried? closed
//!              └──────────────────── closed through ◄──────────────────────────────────────┘
//! ```
//!
//! Both see nothing of a row but its partition, its offset and its two timestamps. A model has one
//! [`PlacingClock`] and two [`ClosingLane`]s: drift windows, and operations panes. What is counted inside a
//! window is none of their business.

mod carrying;
mod closing;
mod cuts;
mod open;
mod placing;
mod quiet;
mod stretches;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use driftline_capture::CaptureBatch;
use driftline_config::{Partition, WindowGrid};
use serde::{Deserialize, Serialize};

pub use closing::{ClosingLane, ReadStretch};
pub use placing::{LanePassage, Newest, PartitionClock, Passage, PlacingClock, Stray, StrayKind};

/// The fixed figures of a lane, in microseconds and rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneSettings {
    /// Where windows begin and end.
    #[serde(flatten)]
    pub grid: WindowGrid,
    /// How long after its end a window waits for rows.
    pub lateness_us: i64,
    /// Rows below which a due window is carried into the next; 1 or less never carries.
    pub at_least: u64,
    /// How long a window may grow by being carried.
    pub at_most_us: i64,
    /// How long a partition must have had nothing more to say; `None` waits for the log alone.
    #[serde(skip)]
    pub idle_us: Option<i64>,
}

/// One of each for the two lanes of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerLane<T> {
    pub drift: T,
    pub operations: T,
}

impl<T> PerLane<T> {
    /// References to both.
    pub fn as_ref(&self) -> PerLane<&T> {
        PerLane { drift: &self.drift, operations: &self.operations }
    }

    /// The same function of both.
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> PerLane<U> {
        PerLane { drift: of(self.drift), operations: of(self.operations) }
    }
}

/// The rows of one partition in offset order, as three columns of one length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows<'a> {
    pub offsets: &'a [i64],
    pub times_us: &'a [i64],
    pub record_times_us: &'a [i64],
}

impl<'a> From<&'a CaptureBatch> for Rows<'a> {
    fn from(batch: &'a CaptureBatch) -> Rows<'a> {
        let (offsets, times_us) = (batch.offsets(), batch.times_us());
        Rows { offsets, times_us, record_times_us: batch.record_times_us() }
    }
}

/// A record that only says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    pub offset: i64,
    pub time_us: i64,
    pub record_time_us: i64,
}

/// All windows that end at or before `through_us` are cut at `offset` in this partition, unless an
/// earlier crossing cut them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// The last window end that was passed.
    pub through_us: i64,
    /// The first offset behind the record that passed it.
    pub offset: i64,
}

/// Why rows of a window may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incomplete {
    Started,
    /// Retention removed records before they were read.
    RetentionGap,
    /// The model was added to a topic that was already being read.
    ModelAdded,
}

/// How a cut came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutBy {
    /// The log passed the end of the window.
    Log,
    /// The partition had nothing more to say, and the wall clock decided.
    Idle,
}

/// The stretch of one partition between the previous window's cut and this window's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The previous cut, or the first offset read.
    pub from: i64,
    /// The first offset that no longer belongs to the window.
    pub to: i64,
    pub by: CutBy,
    /// Offset of the first row that the window counted here, where it counted one. It may lie
    /// before `from`, since rows may arrive before the previous window was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_from: Option<i64>,
}

/// A window that has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub start_us: i64,
    pub end_us: i64,
    pub rows: u64,
    /// How many windows of the declared length it holds.
    pub parts: u32,
    /// Why rows may be missing; empty where none can be.
    pub incomplete: Vec<Incomplete>,
    /// The cut of each partition of the topic.
    pub cuts: BTreeMap<Partition, Cut>,
    /// Offsets before the cuts of rows of its time that lay too far beyond our clock when they were read:
    /// they were not counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ahead: BTreeMap<Partition, Vec<i64>>,
    /// Whether some such rows were too many to be remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead_forgotten: bool,
}

/// What [`ClosingLane::advance`] decided, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The window that starts at `from_us` was too small and becomes part of the one that starts at
    /// `into_us`.
    Carry {
        /// Start of the window that ends here.
        from_us: i64,
        /// Start of the window that goes on.
        into_us: i64,
    },
    Close(Closed),
}
