//! What passes from counting to deciding: windows and panes that take no more rows.

use std::sync::Arc;

use driftline_analytics::lane::Closed;
use driftline_analytics::pane::{PaneRecords, PaneState};
use driftline_analytics::report::{Ledger, PairCounts};
use driftline_analytics::window::WindowState;

use crate::setup::Setup;

/// Something that closed. Decisions are made in the order of closing.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "only so many wait, and most are windows")]
pub(crate) enum Closing {
    Window(ClosedWindow),
    Pane(ClosedPane),
}

/// A drift window; its verdict comes from the judge.
#[derive(Debug)]
pub(crate) struct ClosedWindow {
    pub(crate) closed: Closed,
    pub(crate) setup: Arc<Setup>,
    pub(crate) state: Arc<WindowState>,
    /// What became of the records of its strip.
    pub(crate) ledger: Ledger,
    /// What the times of its rows were like.
    pub(crate) records: PaneRecords,
    /// How its requests found their responses, where these are records of their own.
    pub(crate) pairs: Option<PairCounts>,
    pub(crate) judging: bool,
}

/// An operations pane; it is judged on the spot.
#[derive(Debug)]
pub(crate) struct ClosedPane {
    pub(crate) start_us: i64,
    pub(crate) setup: Arc<Setup>,
    pub(crate) state: Arc<PaneState>,
    /// Whether the store has it as it is.
    pub(crate) saved: bool,
}

impl Closing {
    pub(crate) fn setup(&self) -> &Arc<Setup> {
        match self {
            Closing::Window(window) => &window.setup,
            Closing::Pane(pane) => &pane.setup,
        }
    }
}
