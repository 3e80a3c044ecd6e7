//! Requests and responses of a stretch of the log that is read again, as the rows that they were.

use std::collections::BTreeMap;

use driftline_analytics::lane::{Passage, PerLane};
use driftline_capture::{CaptureBatch, CaptureRow, CaptureSchema, ModelHalves, Side};
use driftline_config::mapping::Pair;
use driftline_config::time::DAY_US;
use driftline_config::{Partition, WindowGrid};

use crate::counting::pairs::{Arrived, PairedRow, Pairs, Settled};

/// Pairs what it is given by the rule of the service. Which records count is up to whoever reads them: all
/// that it is given came in time.
#[derive(Debug)]
pub struct PairedRows {
    pairs: Pairs,
    schema: CaptureSchema,
    lost: u64,
}

impl PairedRows {
    /// Nothing waits. Rows are of this schema.
    pub fn new(pair: &Pair, schema: CaptureSchema) -> PairedRows {
        let grid = WindowGrid::every(DAY_US);
        let grids = PerLane { drift: grid.clone(), operations: grid };
        PairedRows { pairs: Pairs::with_limits(pair.within_us, grids, usize::MAX), schema, lost: 0 }
    }

    /// Takes the halves of a stretch of a partition; returns the rows that are whole now, by the partition of
    /// their requests.
    pub fn take(
        &mut self,
        partition: Partition,
        halves: &[ModelHalves],
        model: usize,
    ) -> BTreeMap<Partition, CaptureBatch> {
        let half = |side| halves.iter().find(|half| half.model == model && half.side == side);
        let (requests, responses) = (half(Side::Request), half(Side::Response));
        let mut passage = Passage::default();
        let times_us = requests.map(|half| half.rows.times_us()).unwrap_or_default();
        for (index, time_us) in (0..).zip(times_us) {
            passage.lanes.drift.place(Some(self.pairs.window_of(*time_us)), index);
        }
        let arrived = Arrived {
            partition,
            requests,
            responses,
            passage: &passage,
            passed: PerLane { drift: i64::MIN, operations: i64::MIN },
            ahead_from_us: i64::MAX,
        };
        let settled = self.pairs.take(arrived, &self.schema);
        self.batches(settled)
    }

    /// The requests that have no response, once everything was given.
    pub fn rest(&mut self) -> BTreeMap<Partition, CaptureBatch> {
        let mut settled = Settled::default();
        self.pairs.close_all(&mut settled);
        self.batches(settled)
    }

    /// Rows that Arrow refused, which would be a defect.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn batches(&mut self, settled: Settled) -> BTreeMap<Partition, CaptureBatch> {
        let mut rows: BTreeMap<Partition, Vec<CaptureRow>> = BTreeMap::new();
        for PairedRow { partition, row, .. } in settled.rows {
            rows.entry(partition).or_default().push(row);
        }
        let mut batches = BTreeMap::new();
        for (partition, mut rows) in rows {
            rows.sort_by_key(|row| row.offset);
            match CaptureBatch::of_rows(&self.schema, &rows) {
                Ok(batch) => {
                    batches.insert(partition, batch);
                }
                Err(error) => {
                    self.lost += rows.len() as u64;
                    tracing::error!(rows = rows.len(), %error, "paired rows are lost, a defect");
                }
            }
        }
        batches
    }
}
