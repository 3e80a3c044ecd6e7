//! Windows and panes that take rows, and what of them the next snapshot has to hold.

use std::sync::Arc;

use driftline_analytics::DecodeError;
use driftline_analytics::pane::PaneState;
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;

use crate::setup::Setup;
use crate::snapshot::{Increment, WindowKey};

/// Increments are folded into the base value when they are larger than it, and than this.
const FOLD_BYTES: usize = 64 << 10;

/// A drift window that takes rows.
#[derive(Debug)]
pub(crate) struct OpenWindow {
    pub(crate) setup: Arc<Setup>,
    /// What the last snapshot knows.
    counted: WindowState,
    /// What came since.
    fresh: WindowState,
    dirty: bool,
    /// Bytes in the store: of the base value, and of the increments behind it.
    pub(crate) stored: (usize, usize),
}

#[derive(Debug)]
pub(crate) struct OpenPane {
    pub(crate) setup: Arc<Setup>,
    pub(crate) counted: PaneState,
    dirty: bool,
}

impl OpenWindow {
    pub(crate) fn new(setup: Arc<Setup>) -> OpenWindow {
        let (counted, fresh) = (WindowState::default(), WindowState::default());
        OpenWindow { setup, counted, fresh, dirty: false, stored: (0, 0) }
    }

    /// The window that the store holds as these increments.
    pub(crate) fn decode(
        setup: Arc<Setup>,
        increments: &[Vec<u8>],
    ) -> Result<OpenWindow, DecodeError> {
        let counted = decode_window(&setup, increments)?;
        Ok(OpenWindow { counted, ..OpenWindow::new(setup) })
    }

    pub(crate) fn absorb(&mut self, rows: &CaptureBatch, indices: &[u32]) {
        self.fresh.absorb(&self.setup.layout, rows, indices);
        self.dirty = true;
    }

    pub(crate) fn take_in(&mut self, from: &OpenWindow) {
        self.counted.merge(&self.setup.layout, &from.counted);
        self.fresh.merge(&self.setup.layout, &from.fresh);
        self.dirty = true;
    }

    pub(crate) fn into_state(mut self) -> WindowState {
        self.counted.merge(&self.setup.layout, &self.fresh);
        self.counted
    }

    /// All that was counted, as it is encoded.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut state = self.counted.clone();
        state.merge(&self.setup.layout, &self.fresh);
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        bytes
    }

    /// What was counted since the last snapshot, or everything where that is less to keep.
    pub(crate) fn increment(&mut self, key: WindowKey) -> Option<Increment> {
        if !std::mem::replace(&mut self.dirty, false) {
            return None;
        }
        let layout = &self.setup.layout;
        let fresh = std::mem::take(&mut self.fresh);
        self.counted.merge(layout, &fresh);
        let (base, increments) = self.stored;
        let replaces = increments > base.max(FOLD_BYTES);
        if replaces {
            self.stored = (0, 0);
        }
        let state = if replaces { self.counted.clone() } else { fresh };
        let encode = Box::new(move |buffer: &mut Vec<u8>| state.encode(buffer));
        Some(Increment { window: key, replaces, encode })
    }

    /// A commit brought so many bytes of it into the store.
    pub(crate) fn note_stored(&mut self, bytes: usize) {
        match self.stored.0 {
            0 => self.stored.0 = bytes,
            _ => self.stored.1 += bytes,
        }
    }
}

impl OpenPane {
    pub(crate) fn new(setup: Arc<Setup>) -> OpenPane {
        OpenPane { counted: PaneState::default(), setup, dirty: false }
    }

    /// The pane that the store holds as these increments.
    pub(crate) fn decode(
        setup: Arc<Setup>,
        increments: &[Vec<u8>],
    ) -> Result<OpenPane, DecodeError> {
        let counted = decode_pane(&setup, increments)?;
        Ok(OpenPane { setup, counted, dirty: false })
    }

    pub(crate) fn absorb(&mut self, rows: &CaptureBatch, indices: &[u32]) {
        self.counted.absorb(&self.setup.layout, rows, indices);
        self.dirty = true;
    }

    /// All that was counted, as it is encoded.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.counted.encode(&mut bytes);
        bytes
    }

    /// The whole of it, where it changed since the last snapshot.
    pub(crate) fn increment(&mut self, key: WindowKey) -> Option<Increment> {
        let changed = std::mem::replace(&mut self.dirty, false);
        changed.then(|| whole(key, Arc::new(self.counted.clone())))
    }
}

/// A pane as one value that takes the place of what is stored.
pub(crate) fn whole(window: WindowKey, state: Arc<PaneState>) -> Increment {
    let encode = Box::new(move |buffer: &mut Vec<u8>| state.encode(buffer));
    Increment { window, replaces: true, encode }
}

pub(crate) fn decode_window(
    setup: &Setup,
    increments: &[Vec<u8>],
) -> Result<WindowState, DecodeError> {
    let mut sum = WindowState::default();
    for bytes in increments {
        sum.merge(&setup.layout, &WindowState::decode(&setup.layout, bytes)?);
    }
    Ok(sum)
}

pub(crate) fn decode_pane(setup: &Setup, increments: &[Vec<u8>]) -> Result<PaneState, DecodeError> {
    let mut sum = PaneState::default();
    for bytes in increments {
        sum.merge(&setup.layout, &PaneState::decode(&setup.layout, bytes)?);
    }
    Ok(sum)
}
