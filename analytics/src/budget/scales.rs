//! The newest windows of a model in coarse cells: merged they are its scales, and since when a column
//! moved is read from them one by one.

use std::collections::VecDeque;
use std::sync::Arc;

use super::coarse::{CoarseColumn, CoarseGrid, CoarseWindow};
use crate::encoding::{DecodeError, Reader, put_signed, put_text, put_varint};

/// Windows that are kept: as far back as the answer to since when may reach.
pub const KEPT: usize = 64;
/// The newest encoding; older ones are read.
const VERSION: u8 = 1;
/// More bytes than any name or window of a model has.
const MOST_BYTES: usize = 1 << 26;

/// The last complete windows of a model, oldest first. A clone shares them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScaleHistory {
    /// By whose cells they were counted: the sha256 of the default baseline.
    baseline_sha256: Arc<str>,
    windows: VecDeque<KeptWindow>,
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptWindow {
    pub start_us: i64,
    /// Its coarse cells, encoded.
    pub bytes: Arc<[u8]>,
}

impl ScaleHistory {
    /// Nothing yet, by the cells of this baseline.
    pub fn new(baseline_sha256: &str) -> ScaleHistory {
        ScaleHistory { baseline_sha256: baseline_sha256.into(), windows: VecDeque::new() }
    }

    /// These windows, oldest first, by the cells of this baseline.
    pub fn of(
        baseline_sha256: &str,
        windows: impl IntoIterator<Item = KeptWindow>,
    ) -> ScaleHistory {
        let windows = windows.into_iter().collect();
        ScaleHistory { baseline_sha256: baseline_sha256.into(), windows }
    }

    /// The sha256 of the baseline by whose cells its windows were counted.
    pub fn baseline_sha256(&self) -> &str {
        &self.baseline_sha256
    }

    /// The windows, oldest first.
    pub fn windows(&self) -> impl Iterator<Item = &KeptWindow> {
        self.windows.iter()
    }

    /// What of this history counts by a baseline: all of it, or nothing where it was made by another.
    pub fn under(&self, baseline_sha256: &str) -> ScaleHistory {
        if *self.baseline_sha256 == *baseline_sha256 {
            self.clone()
        } else {
            ScaleHistory::new(baseline_sha256)
        }
    }

    /// Forgets all windows: the scales fill afresh, as after an incident cleared.
    pub fn restart(&mut self) {
        self.windows.clear();
    }

    /// Adds a complete window; beyond [`KEPT`] the oldest goes.
    pub fn push(&mut self, start_us: i64, window: &CoarseWindow) {
        self.windows.push_back(KeptWindow { start_us, bytes: window.encode().into() });
        while self.windows.len() > KEPT {
            self.windows.pop_front();
        }
    }

    /// How many windows there are.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        let windows = self.windows.iter().map(|window| window.bytes.len());
        windows.sum::<usize>() + self.windows.len() * (size_of::<KeptWindow>() + 16)
    }

    /// Per scale, the newest windows together; `None` where there are not so many.
    pub(crate) fn merged(&self, grid: &CoarseGrid, scales: &[u32]) -> Vec<Option<CoarseWindow>> {
        let mut sum = grid.empty();
        let mut merged = vec![None; scales.len()];
        let longest = scales.iter().max().map_or(0, |&scale| scale as usize);
        for (window, count) in self.windows.iter().rev().take(longest).zip(1..) {
            // Windows of this grid alone come in, so that what is kept can be read.
            if sum.add_encoded(grid, &window.bytes).is_err() {
                break;
            }
            for (merged, _) in merged.iter_mut().zip(scales).filter(|(_, scale)| **scale == count) {
                *merged = Some(sum.clone());
            }
        }
        merged
    }

    /// Some columns (by index, ascending) of all windows, newest first, each with its start.
    pub(crate) fn columns(
        &self,
        grid: &CoarseGrid,
        wanted: &[usize],
    ) -> Vec<(i64, Vec<CoarseColumn>)> {
        let windows = self.windows.iter().rev();
        let read = windows.map_while(|window| {
            let columns = CoarseWindow::decode_some(grid, &window.bytes, wanted).ok()?;
            Some((window.start_us, columns))
        });
        read.collect()
    }

    /// The bytes for the checkpoint: equal histories give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_text(&mut out, &self.baseline_sha256);
        put_varint(&mut out, self.windows.len() as u64);
        for window in &self.windows {
            put_signed(&mut out, window.start_us);
            put_varint(&mut out, window.bytes.len() as u64);
            out.extend_from_slice(&window.bytes);
        }
        out
    }

    /// Reads what [`ScaleHistory::encode`] wrote. `grid` is that of the baseline it names; windows of
    /// another baseline are to be dropped by [`ScaleHistory::under`].
    ///
    /// # Errors
    /// Bytes of a newer program, or bytes that no history has.
    pub fn decode(bytes: &[u8]) -> Result<ScaleHistory, DecodeError> {
        const WHAT: &str = "the newest windows";
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let mut history = ScaleHistory::new(reader.text(reader.left(), WHAT)?);
        for _ in 0..reader.length(KEPT, WHAT)? {
            let start_us = reader.signed(WHAT)?;
            let length = reader.length(reader.left().min(MOST_BYTES), WHAT)?;
            let bytes = reader.take(length, WHAT)?.into();
            history.windows.push_back(KeptWindow { start_us, bytes });
        }
        reader.finish()?;
        Ok(history)
    }
}
