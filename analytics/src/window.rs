//! Everything that is known about one open window: sums alone, so that any split of its rows, in
//! any order, merges to the same bytes.

use std::collections::BTreeMap;

use driftline_capture::CaptureBatch;

use crate::cells::{Cell, LatencyCell, RequestCell};
use crate::layout::{Layout, VersionKey};
use crate::names::BottomK;

mod absorb;
mod part;
mod repeats;
mod stored;

pub(crate) use part::Part;
pub use repeats::Repeated;
use repeats::RowHashes;

/// What is counted of the rows of one window. Empty, it owns next to no memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowState {
    rows: u64,
    /// First and last event time in microseconds.
    span_us: Option<(i64, i64)>,
    requests: RequestCell,
    latency: LatencyCell,
    /// Per feature column of the layout; no cells before the first row that did not fail.
    features: Vec<Cell>,
    versions: BTreeMap<VersionKey, VersionState>,
    other: Option<VersionState>,
    unknown_columns: BottomK,
    hashes: RowHashes,
}

/// What is counted of one version of the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VersionState {
    rows: u64,
    /// Per prediction column of the layout; no cells before the first row that did not fail.
    predictions: Vec<Cell>,
}

impl WindowState {
    /// Counts the given rows of a batch whose value columns are those of the layout's schema.
    pub fn absorb(&mut self, layout: &Layout, batch: &CaptureBatch, rows: &[u32]) {
        absorb::absorb(self, layout, &[Part { batch, rows }]);
    }

    /// Counts all rows of several batches. With thousands of cut points a column this is faster than
    /// batch by batch, and nothing else.
    pub fn absorb_all(&mut self, layout: &Layout, batches: &[CaptureBatch]) {
        let most = batches.iter().map(CaptureBatch::rows).max().unwrap_or(0);
        let rows: Vec<u32> = (0..most as u32).collect();
        let parts: Vec<Part<'_>> = batches
            .iter()
            .filter_map(|batch| Some(Part { batch, rows: rows.get(..batch.rows())? }))
            .collect();
        absorb::absorb(self, layout, &parts);
    }

    /// Adds everything `other` counted under the same layout.
    pub fn merge(&mut self, layout: &Layout, other: &WindowState) {
        self.rows += other.rows;
        self.span_us = joined(self.span_us, other.span_us);
        self.requests.merge(&other.requests);
        self.latency.merge(&other.latency);
        merge_cells(&mut self.features, layout.feature_references(), &other.features);
        for (key, version) in &other.versions {
            let named = (!key.unnamed).then_some(&*key.version);
            let references = layout.prediction_references(named);
            self.versions.entry(key.clone()).or_default().merge(references, version);
        }
        if let Some(version) = &other.other {
            let references = layout.prediction_references(None);
            self.other.get_or_insert_default().merge(references, version);
        }
        self.displace(layout);
        self.unknown_columns.merge(&other.unknown_columns);
        self.hashes.merge(&other.hashes);
    }

    /// Moves the versions beyond the limit into `other`. As with [`BottomK`], a version that has to
    /// go has enough smaller ones before it for ever, so it never comes back.
    fn displace(&mut self, layout: &Layout) {
        while self.versions.len() > layout.versions() {
            let Some((_, version)) = self.versions.pop_last() else { return };
            let references = layout.prediction_references(None);
            self.other.get_or_insert_default().merge(references, &version);
        }
    }

    /// Rows counted, whatever their status.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether no row was counted.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// First and last event time, in microseconds.
    pub fn span_us(&self) -> Option<(i64, i64)> {
        self.span_us
    }

    /// Requests by class of status.
    pub fn requests(&self) -> &RequestCell {
        &self.requests
    }

    /// Latencies.
    pub fn latency(&self) -> &LatencyCell {
        &self.latency
    }

    /// One cell per feature of the layout, in its order; none where every row failed.
    pub fn features(&self) -> &[Cell] {
        &self.features
    }

    /// The versions told apart, sorted by name. The empty name stands for captures without a
    /// version.
    pub fn versions(&self) -> Vec<(&str, &VersionState)> {
        let mut versions: Vec<_> =
            self.versions.iter().map(|(key, version)| (&*key.version, version)).collect();
        versions.sort_unstable_by_key(|&(name, _)| name);
        versions
    }

    /// The versions beyond the limit, together.
    pub fn other_versions(&self) -> Option<&VersionState> {
        self.other.as_ref()
    }

    /// Subjects that are neither monitored nor known to the baseline.
    pub fn unknown_columns(&self) -> &BottomK {
        &self.unknown_columns
    }

    /// Rows that came again and again among others that did not.
    pub fn repeated(&self) -> Option<Repeated> {
        self.hashes.repeated()
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        let cells = |cells: &[Cell]| {
            cells.iter().map(|cell| cell.bytes() + size_of::<Cell>()).sum::<usize>()
        };
        let versions = self.versions.values().chain(&self.other);
        size_of::<WindowState>()
            + cells(&self.features)
            + versions.map(|version| cells(&version.predictions) + 128).sum::<usize>()
            + self.requests.bytes()
            + self.latency.bytes()
            + self.unknown_columns.bytes()
            + self.hashes.bytes()
    }
}

impl VersionState {
    /// Rows of this version, whatever their status.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// One cell per prediction of the layout, in its order; none where every row failed.
    pub fn predictions(&self) -> &[Cell] {
        &self.predictions
    }

    fn merge(&mut self, references: &[crate::cells::Reference], other: &VersionState) {
        self.rows += other.rows;
        merge_cells(&mut self.predictions, references, &other.predictions);
    }
}

/// What two spans of time lie in.
fn joined(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some((first, last)), Some((begin, end))) => Some((first.min(begin), last.max(end))),
        (one, other) => one.or(other),
    }
}

/// Adds cells column by column; no cells are as good as empty ones.
fn merge_cells(cells: &mut Vec<Cell>, references: &[crate::cells::Reference], other: &[Cell]) {
    if cells.is_empty() {
        cells.extend_from_slice(other);
        return;
    }
    for ((cell, reference), added) in cells.iter_mut().zip(references).zip(other) {
        cell.merge(reference, added);
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
