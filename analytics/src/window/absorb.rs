//! Counting rows of a batch into a window: the envelope row by row, the values column by column.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use driftline_config::capture;

use super::{Envelope, VersionState, WindowState, text_column, value_column};
use crate::cells::{Cell, Chosen, Reference, Scratch, Values};
use crate::layout::Layout;

/// The rows of one version, of which only those that did not fail have values.
#[derive(Default)]
struct VersionRows {
    rows: u64,
    valued: Vec<u32>,
}

impl VersionRows {
    fn append(&mut self, mut more: VersionRows) {
        self.rows += more.rows;
        if self.valued.is_empty() {
            self.valued = more.valued;
        } else {
            self.valued.append(&mut more.valued);
        }
    }
}

pub(super) fn absorb(window: &mut WindowState, layout: &Layout, batch: &RecordBatch, rows: &[u32]) {
    let envelope = Envelope::of(batch);
    envelope.count(rows, layout.under_us(), &mut window.requests, &mut window.latency);
    let mut valued = Vec::with_capacity(rows.len());
    let mut versions: BTreeMap<&str, VersionRows> = BTreeMap::new();
    // Neighbours most often answer for the same version.
    let mut last = ("", VersionRows::default());
    for &row in rows {
        if let Some(time_us) = envelope.time_us(row) {
            let (first, last) = window.span_us.unwrap_or((time_us, time_us));
            window.span_us = Some((first.min(time_us), last.max(time_us)));
        }
        let version = envelope.version(row);
        if version != last.0 {
            let before = std::mem::replace(&mut last, (version, VersionRows::default()));
            versions.entry(before.0).or_default().append(before.1);
        }
        last.1.rows += 1;
        if !envelope.class(row).is_failure() {
            last.1.valued.push(row);
            valued.push(row);
        }
    }
    versions.entry(last.0).or_default().append(last.1);
    versions.retain(|_, rows| rows.rows > 0);
    window.rows += rows.len() as u64;
    let columns = Columns { layout, batch };
    columns.absorb(&mut window.features, layout.feature_references(), 0, &valued);
    for (version, rows) in versions {
        absorb_version(window, &columns, version, &rows);
    }
    absorb_unknown_columns(window, batch, &valued);
}

fn absorb_version(
    window: &mut WindowState,
    columns: &Columns<'_>,
    version: &str,
    rows: &VersionRows,
) {
    let layout = columns.layout;
    let key = layout.version_key(version);
    let full = window.versions.len() >= layout.versions();
    let beyond = full && window.versions.last_key_value().is_none_or(|(last, _)| key > *last);
    let references = layout.prediction_references((!beyond).then_some(version));
    let state: &mut VersionState = if beyond {
        window.other.get_or_insert_default()
    } else {
        window.versions.entry(key).or_default()
    };
    state.rows += rows.rows;
    columns.absorb(&mut state.predictions, references, layout.features(), &rows.valued);
    window.displace(layout);
}

fn absorb_unknown_columns(window: &mut WindowState, batch: &RecordBatch, valued: &[u32]) {
    let unknown =
        batch.column_by_name(capture::UNKNOWN_COLUMNS).and_then(|c| c.as_list_opt::<i32>());
    let Some(unknown) = unknown else { return };
    for &row in valued {
        let row = row as usize;
        if unknown.is_null(row) {
            continue;
        }
        let names = unknown.value(row);
        for name in names.as_string_opt::<i32>().into_iter().flatten().flatten() {
            window.unknown_columns.add(name);
        }
    }
}

/// The value columns of one batch.
struct Columns<'a> {
    layout: &'a Layout,
    batch: &'a RecordBatch,
}

impl Columns<'_> {
    /// Counts rows of the columns from `first` of the schema on, one per reference.
    fn absorb(&self, cells: &mut Vec<Cell>, references: &[Reference], first: usize, rows: &[u32]) {
        if rows.is_empty() {
            return;
        }
        if cells.is_empty() {
            cells.reserve_exact(references.len());
            cells.extend(references.iter().map(Reference::empty_cell));
        }
        let rows = Chosen::new(rows);
        let mut scratch = Scratch::default();
        for (offset, (cell, reference)) in cells.iter_mut().zip(references).enumerate() {
            let index = first + offset;
            let Some(values) = value_column(self.batch, index) else { continue };
            let schema = &self.layout.schema().columns;
            let subject = schema.get(index).map_or("", |column| &column.subject);
            let wrong_type = text_column(self.batch, schema.len(), subject);
            match (cell, reference) {
                (Cell::Numeric(cell), Reference::Numeric(reference)) => {
                    if let Some(values) = values.as_primitive_opt::<Float64Type>() {
                        let column = Values { values, wrong_type, rows };
                        cell.absorb(reference, column, &mut scratch);
                    }
                }
                (Cell::Categorical(cell), Reference::Categorical(reference)) => {
                    if let Some(values) = values.as_string_opt::<i32>() {
                        let column = Values { values, wrong_type, rows };
                        cell.absorb(reference, column, &mut scratch);
                    }
                }
                _ => {}
            }
        }
    }
}
