//! How many windows and panes it takes: the numbers of RULES §5.

use driftline_config::time::DAY_US;
use driftline_config::{AlertRules, DriftRule};
use serde::{Deserialize, Serialize};

/// When incidents open, change and clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Drift opens after this many windows at alarm …
    pub drift_windows: u32,
    pub drift_of: u32,
    /// A drift whose bound is over this many tolerances opens at once.
    pub at_once: f64,
    /// Broken input opens after this many panes at alarm (or one window) …
    pub broken_panes: u32,
    pub broken_of: u32,
    /// An incident raised by windows clears after this many under tolerance.
    pub clear_windows: u32,
    /// An incident raised by panes clears after this many under tolerance in a row: the span that
    /// opens it, so that half-broken input does not flap.
    pub clear_panes: u32,
    /// An effect this many times the one last reported is worth a message.
    pub grown: f64,
    /// Least time between two `changed` of an incident, in event time.
    pub change_every_us: i64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            drift_windows: 2,
            drift_of: 3,
            at_once: 3.0,
            broken_panes: 5,
            broken_of: 10,
            clear_windows: 2,
            clear_panes: 10,
            grown: 1.5,
            change_every_us: DAY_US,
        }
    }
}

impl Rules {
    /// The rules with the operator's `alerts.for`.
    pub fn new(declared: &AlertRules) -> Rules {
        let DriftRule { windows, of } = declared.drift;
        Rules { drift_windows: windows, drift_of: of, ..Rules::default() }
    }
}
