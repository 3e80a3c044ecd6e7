//! Halves as they come, and what becomes of two.

use driftline_analytics::lane::PerLane;
use driftline_capture::{CaptureRow, CaptureSchema, Cell, ModelHalves};
use driftline_config::Partition;

use super::{Arrived, Place};

/// A half with its key.
pub(super) struct Half {
    pub(super) key: Option<Box<str>>,
    pub(super) half: CaptureRow,
}

pub(super) fn rows_of<'a>(
    halves: Option<&'a ModelHalves>,
    schema: &'a CaptureSchema,
) -> impl Iterator<Item = Half> + 'a {
    halves.into_iter().flat_map(move |halves| {
        (0..halves.rows.rows()).filter_map(move |row| {
            let half = CaptureRow::of(&halves.rows, schema, row)?;
            Some(Half { key: halves.key(row).map(Box::from), half })
        })
    })
}

/// Where each request is counted, by its row.
pub(super) fn starts_of(arrived: &Arrived<'_>) -> Vec<PerLane<Option<i64>>> {
    let rows = arrived.requests.map_or(0, |requests| requests.rows.rows());
    let mut starts = vec![PerLane::default(); rows];
    let lanes = &arrived.passage.lanes;
    for (start_us, indices) in &lanes.drift.windows {
        for index in indices {
            // An index is that of a request.
            if let Some(starts) = starts.get_mut(*index as usize) {
                starts.drift = Some(*start_us);
            }
        }
    }
    for (start_us, indices) in &lanes.operations.windows {
        for index in indices {
            // An index is that of a request.
            if let Some(starts) = starts.get_mut(*index as usize) {
                starts.operations = Some(*start_us);
            }
        }
    }
    starts
}

/// The last window ends that a partition had passed before a record.
pub(super) fn passed_at(arrived: &Arrived<'_>, offset: i64) -> PerLane<i64> {
    let lanes = arrived.passage.lanes.as_ref();
    let mut passed = arrived.passed;
    for crossing in lanes.drift.crossed.iter().filter(|crossing| crossing.offset <= offset) {
        passed.drift = passed.drift.max(crossing.through_us);
    }
    for crossing in lanes.operations.crossed.iter().filter(|crossing| crossing.offset <= offset) {
        passed.operations = passed.operations.max(crossing.through_us);
    }
    passed
}

/// Numbers the rows of a record.
#[derive(Default)]
pub(super) struct RowNumber {
    last: Option<i64>,
    row: u32,
}

impl RowNumber {
    pub(super) fn place(&mut self, partition: Partition, offset: i64) -> Place {
        self.row = if self.last == Some(offset) { self.row + 1 } else { 0 };
        self.last = Some(offset);
        Place { partition, offset, row: self.row }
    }
}

/// The row of a request with what its response says.
pub(super) fn joined(request: &CaptureRow, response: CaptureRow) -> CaptureRow {
    let after_us = response.time_us.saturating_sub(request.time_us);
    let mut row = request.clone();
    row.id = row.id.or(response.id);
    row.version = response.version.or(row.version);
    row.latency_us = response.latency_us.or(row.latency_us).or(Some(after_us));
    row.status = response.status.or(row.status);
    for (cell, said) in row.cells.iter_mut().zip(response.cells) {
        if *cell == Cell::Missing {
            *cell = said;
        }
    }
    row.wrong.extend(response.wrong);
    row.unknown.extend(response.unknown);
    row
}

pub(super) fn weight(half: &CaptureRow, key: Option<&str>) -> usize {
    // Once in its entry, once in the index, and what the maps add.
    half.bytes() + 2 * key.map_or(0, str::len) + 256
}
