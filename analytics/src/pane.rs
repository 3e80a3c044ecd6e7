//! Everything that is known about one operations pane: requests, latency and broken input, without
//! any distribution.

use std::cmp::Reverse;
use std::ops::AddAssign;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use driftline_capture::CaptureBatch;
use driftline_config::Partition;
use driftline_config::time::{DAY_US, SECOND_US};
use serde::{Deserialize, Serialize};

use crate::cells::{Chosen, LatencyCell, RequestCell};
use crate::encoding::{DecodeError, Reader, put_signed, put_varint};
use crate::lane::{Stray, StrayKind};
use crate::layout::Layout;
use crate::window::Part;

/// The newest encoding; older ones are read.
const VERSION: u8 = 3;

/// What is counted of the rows of one pane.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PaneState {
    requests: RequestCell,
    latency: LatencyCell,
    /// Per column of the layout's schema; none before the first row that did not fail.
    columns: Vec<ColumnHealth>,
    records: PaneRecords,
}

/// What a stray adds to how far they lay, at most: ten years.
const MOST_OFF_S: u64 = (3650 * DAY_US / SECOND_US).unsigned_abs();
/// Partitions of which a pane tells how their clocks go: those with most strays.
const CLOCKS: usize = 10;

/// What became of the records of a pane's stretch of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaneRecords {
    /// Of all models of the topic: a rejected record need not name its model.
    pub read: u64,
    pub rejected: u64,
    /// Rows of the model, whatever became of them.
    pub rows: u64,
    /// Of partitions that have strays, those with most first; at most ten.
    pub clocks: Vec<(Partition, ClockCounts)>,
}

/// Rows of one model and partition whose time was not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClockCounts {
    /// Beyond their window's cut.
    pub late: u64,
    /// Too far beyond our clock.
    pub ahead: u64,
    /// Beyond our clock, and counted.
    pub fast: u64,
    /// How far they lay from the rows around them, together, in whole seconds.
    pub off_s: u64,
    /// Those whose `ts` and record timestamp are apart.
    pub apart: u64,
}

impl ClockCounts {
    /// Notes a stray.
    pub fn note(&mut self, stray: &Stray) {
        match stray.kind {
            StrayKind::Late => self.late += 1,
            StrayKind::Ahead => self.ahead += 1,
            StrayKind::Fast => self.fast += 1,
        }
        // A clock of the year 2999 would drown all others.
        let off_s = (stray.off_us.unsigned_abs() / SECOND_US.unsigned_abs()).min(MOST_OFF_S);
        self.off_s += off_s;
        self.apart += u64::from(stray.apart);
    }

    /// How many there are.
    pub fn strays(&self) -> u64 {
        self.late + self.ahead + self.fast
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &ClockCounts) -> ClockCounts {
        ClockCounts {
            late: self.late.saturating_sub(earlier.late),
            ahead: self.ahead.saturating_sub(earlier.ahead),
            fast: self.fast.saturating_sub(earlier.fast),
            off_s: self.off_s.saturating_sub(earlier.off_s),
            apart: self.apart.saturating_sub(earlier.apart),
        }
    }
}

impl AddAssign for ClockCounts {
    fn add_assign(&mut self, other: ClockCounts) {
        self.late += other.late;
        self.ahead += other.ahead;
        self.fast += other.fast;
        self.off_s += other.off_s;
        self.apart += other.apart;
    }
}

impl PaneRecords {
    /// Adds what became of the records of one partition.
    pub fn add_clock(&mut self, partition: Partition, counts: ClockCounts) {
        if counts.strays() == 0 {
            return;
        }
        match self.clocks.iter_mut().find(|(known, _)| *known == partition) {
            Some((_, known)) => *known += counts,
            None => self.clocks.push((partition, counts)),
        }
        self.clocks.sort_by_key(|(partition, counts)| (Reverse(counts.strays()), *partition));
        self.clocks.truncate(CLOCKS);
    }

    fn merge(&mut self, other: &PaneRecords) {
        self.read += other.read;
        self.rejected += other.rejected;
        self.rows += other.rows;
        for (partition, counts) in &other.clocks {
            self.add_clock(*partition, *counts);
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.read);
        put_varint(out, self.rejected);
        put_varint(out, self.rows);
        put_varint(out, self.clocks.len() as u64);
        for (partition, counts) in &self.clocks {
            put_signed(out, i64::from(partition.0));
            for count in [counts.late, counts.ahead, counts.fast, counts.off_s, counts.apart] {
                put_varint(out, count);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>, version: u8) -> Result<PaneRecords, DecodeError> {
        const WHAT: &str = "the records of a pane";
        let mut records = PaneRecords {
            // The first version counted rejected records against the rows of the model alone.
            read: if version == 1 { 0 } else { reader.count(WHAT)? },
            rejected: reader.count(WHAT)?,
            ..PaneRecords::default()
        };
        if version < 3 {
            return Ok(records);
        }
        records.rows = reader.count(WHAT)?;
        for _ in 0..reader.length(CLOCKS, WHAT)? {
            let partition = i32::try_from(reader.signed(WHAT)?);
            let partition = partition.map_err(|_| DecodeError::Invalid { what: WHAT })?;
            let counts = ClockCounts {
                late: reader.count(WHAT)?,
                ahead: reader.count(WHAT)?,
                fast: reader.count(WHAT)?,
                off_s: reader.count(WHAT)?,
                apart: reader.count(WHAT)?,
            };
            records.clocks.push((Partition(partition), counts));
        }
        Ok(records)
    }
}

/// How many values of a column were there, were missing, were of the wrong type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnHealth {
    /// Neither missing nor of the wrong type.
    pub n: u64,
    pub missing: u64,
    pub wrong_type: u64,
}

impl PaneState {
    /// Counts the given rows of a batch whose value columns are those of the layout's schema.
    pub fn absorb(&mut self, layout: &Layout, batch: &CaptureBatch, rows: &[u32]) {
        let part = Part { batch, rows };
        part.count(layout.under_us(), &mut self.requests, &mut self.latency);
        let valued = part.without_failure();
        if valued.is_empty() {
            return;
        }
        let valued = Chosen::new(&valued);
        let columns = &layout.schema().columns;
        self.columns.resize(columns.len(), ColumnHealth::default());
        for (index, (health, column)) in self.columns.iter_mut().zip(columns).enumerate() {
            if let Some(values) = batch.value(index) {
                let texts = batch.wrong_type(&column.subject).map(|texts| texts as &dyn Array);
                health.absorb(values, texts, valued);
            }
        }
    }

    /// Notes what became of the records of the pane's stretch of the log.
    pub fn add_records(&mut self, records: &PaneRecords) {
        self.records.merge(records);
    }

    /// Adds everything `other` counted under the same layout.
    pub fn merge(&mut self, _layout: &Layout, other: &PaneState) {
        self.requests.merge(&other.requests);
        self.latency.merge(&other.latency);
        if self.columns.is_empty() {
            self.columns.clone_from(&other.columns);
        } else {
            for (health, added) in self.columns.iter_mut().zip(&other.columns) {
                health.n += added.n;
                health.missing += added.missing;
                health.wrong_type += added.wrong_type;
            }
        }
        self.records.merge(&other.records);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.requests.requests() == 0 && self.records.read == 0
    }

    /// Rows counted, whatever their status.
    pub fn rows(&self) -> u64 {
        self.requests.requests()
    }

    /// Requests by class of status.
    pub fn requests(&self) -> &RequestCell {
        &self.requests
    }

    /// Latencies; `over()` counts those above the objective's threshold.
    pub fn latency(&self) -> &LatencyCell {
        &self.latency
    }

    /// Per column of the layout's schema, in its order; none where every row failed.
    pub fn columns(&self) -> &[ColumnHealth] {
        &self.columns
    }

    /// What became of the records of the pane's stretch of the log.
    pub fn records(&self) -> &PaneRecords {
        &self.records
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<PaneState>()
            + self.requests.bytes()
            + self.latency.bytes()
            + self.columns.capacity() * size_of::<ColumnHealth>()
    }

    /// Appends the bytes of this pane: equal panes give equal bytes, however they were counted.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        self.requests.encode(out);
        self.latency.encode(out);
        self.records.encode(out);
        out.push(u8::from(!self.columns.is_empty()));
        for health in &self.columns {
            put_varint(out, health.n);
            put_varint(out, health.missing);
            put_varint(out, health.wrong_type);
        }
    }

    /// Reads the bytes of a pane of this layout.
    ///
    /// # Errors
    /// Bytes of a newer program, or bytes that no pane of this layout has.
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<PaneState, DecodeError> {
        const WHAT: &str = "a pane";
        let mut reader = Reader::new(bytes);
        let version = reader.version(VERSION)?;
        let mut pane = PaneState {
            requests: RequestCell::decode(&mut reader)?,
            latency: LatencyCell::decode(&mut reader)?,
            columns: Vec::new(),
            records: PaneRecords::decode(&mut reader, version)?,
        };
        if reader.flag(WHAT)? {
            for _ in &layout.schema().columns {
                let (n, missing) = (reader.count(WHAT)?, reader.count(WHAT)?);
                pane.columns.push(ColumnHealth { n, missing, wrong_type: reader.count(WHAT)? });
            }
        }
        reader.finish()?;
        Ok(pane)
    }
}

impl ColumnHealth {
    fn absorb(&mut self, values: &dyn Array, texts: Option<&dyn Array>, rows: Chosen<'_>) {
        let numbers = values.as_primitive_opt::<Float64Type>();
        if let (Some(run), 0) = (rows.run(values.len()), values.null_count()) {
            let run = numbers.and_then(|numbers| numbers.values().get(run)).unwrap_or_default();
            let nan = run.iter().fold(0_u64, |nan, value| nan + u64::from(value.is_nan()));
            self.missing += nan;
            self.n += rows.indices().len() as u64 - nan;
            return;
        }
        for &row in rows.indices() {
            let row = row as usize;
            if values.is_null(row) {
                match texts.is_some_and(|texts| texts.is_valid(row)) {
                    true => self.wrong_type += 1,
                    false => self.missing += 1,
                }
            } else if numbers.is_some_and(|numbers| numbers.value(row).is_nan()) {
                self.missing += 1;
            } else {
                self.n += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
