//! Where windows begin and end: every so often from one Monday on.

use driftline_config::time::ALIGNMENT_US;
use serde::{Deserialize, Serialize};

/// Half-open windows that follow one another without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowGrid {
    every_us: i64,
}

impl WindowGrid {
    /// Windows of a fixed length.
    pub fn every(every_us: i64) -> WindowGrid {
        WindowGrid { every_us: every_us.max(1) }
    }

    /// The length of a window, in microseconds.
    pub fn every_us(&self) -> i64 {
        self.every_us
    }

    /// The start of the window that holds `time_us`.
    pub fn start_us(&self, time_us: i64) -> i64 {
        window_start_us(time_us, self.every_us)
    }

    /// The end of the window that starts at `start_us`.
    pub fn end_us(&self, start_us: i64) -> i64 {
        start_us.saturating_add(self.every_us)
    }

    /// The end of the longest that a window from `start_us` may be, where it may grow to `at_most_us`.
    pub fn longest_us(&self, start_us: i64, at_most_us: i64) -> i64 {
        let whole = at_most_us / self.every_us * self.every_us;
        start_us.saturating_add(whole.max(self.every_us))
    }
}

/// The start of the window of length `every_us` that holds `time_us`.
pub fn window_start_us(time_us: i64, every_us: i64) -> i64 {
    let since = time_us.saturating_sub(ALIGNMENT_US);
    time_us.saturating_sub(since.rem_euclid(every_us))
}
