//! Everything that is known about one operations pane: requests, latency and broken input, without
//! any distribution.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use driftline_capture::CaptureBatch;

use crate::cells::{Chosen, LatencyCell, RequestCell};
use crate::encoding::{DecodeError, Reader, put_varint};
use crate::layout::Layout;
use crate::window::Part;

/// The newest encoding; older ones are read.
const VERSION: u8 = 2;

/// What is counted of the rows of one pane.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PaneState {
    requests: RequestCell,
    latency: LatencyCell,
    /// Per column of the layout's schema; none before the first row that did not fail.
    columns: Vec<ColumnHealth>,
    /// Records of the pane's stretch of the log, of all models of the topic.
    read: u64,
    rejected: u64,
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

    /// Notes how many records the pane's stretch of the log had, and how many of them were rejected. A
    /// rejected record need not name its model, so both are of all models of the topic.
    pub fn add_records(&mut self, read: u64, rejected: u64) {
        self.read += read;
        self.rejected += rejected;
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
        self.add_records(other.read, other.rejected);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.requests.requests() == 0 && self.read == 0
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

    /// Records of the pane's stretch of the log, and those of them that were rejected.
    pub fn records(&self) -> (u64, u64) {
        (self.read, self.rejected)
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
        put_varint(out, self.read);
        put_varint(out, self.rejected);
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
            // The first version counted rejected records against the rows of the model alone.
            read: if version == 1 { 0 } else { reader.count(WHAT)? },
            rejected: reader.count(WHAT)?,
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
