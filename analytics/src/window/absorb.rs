//! Counting rows of a batch into a window: the envelope row by row, the values column by column.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::Float64Type;
use driftline_capture::CaptureBatch;

use super::{Part, VersionState, WindowState, joined};
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

/// Counts the parts column by column: with many cut points a column's counters fill the processor's
/// cache, and are loaded once for all parts.
pub(super) fn absorb(window: &mut WindowState, layout: &Layout, parts: &[Part<'_>]) {
    let sorted: Vec<Sorted<'_>> =
        parts.iter().map(|&part| count_envelope(window, layout, part)).collect();
    let features = layout.feature_references();
    let valued: Vec<Part<'_>> = sorted
        .iter()
        .map(|sorted| Part { batch: sorted.batch, rows: &sorted.valued })
        .filter(|part| !part.rows.is_empty())
        .collect();
    Columns { layout, parts: &valued }.absorb(&mut window.features, features, 0);
    for Sorted { batch, versions, .. } in &sorted {
        for (version, rows) in versions {
            absorb_version(window, layout, batch, version, rows);
        }
    }
    for &part in &valued {
        absorb_unknown_columns(window, part);
        window.hashes.absorb(part, features.len());
    }
}

struct Sorted<'a> {
    batch: &'a CaptureBatch,
    /// Those that did not fail.
    valued: Vec<u32>,
    versions: BTreeMap<&'a str, VersionRows>,
}

fn count_envelope<'a>(window: &mut WindowState, layout: &Layout, part: Part<'a>) -> Sorted<'a> {
    let Part { batch, rows } = part;
    part.count(layout.under_us(), &mut window.requests, &mut window.latency);
    window.span_us = joined(window.span_us, part.span_us());
    window.rows += rows.len() as u64;
    let valued = part.without_failure();
    let versions = match part.same_version() {
        _ if rows.is_empty() => BTreeMap::new(),
        Some(version) => {
            let rows = VersionRows { rows: rows.len() as u64, valued: valued.clone() };
            BTreeMap::from([(version, rows)])
        }
        None => by_version(part),
    };
    Sorted { batch, valued, versions }
}

fn by_version(part: Part<'_>) -> BTreeMap<&str, VersionRows> {
    let mut versions: BTreeMap<&str, VersionRows> = BTreeMap::new();
    // Neighbours most often answer for the same version.
    let mut last = ("", VersionRows::default());
    for &row in part.rows {
        let version = part.version(row);
        if !is_same(version, last.0) {
            let before = std::mem::replace(&mut last, (version, VersionRows::default()));
            versions.entry(before.0).or_default().append(before.1);
        }
        last.1.rows += 1;
        if !part.class(row).is_failure() {
            last.1.valued.push(row);
        }
    }
    versions.entry(last.0).or_default().append(last.1);
    versions.retain(|_, rows| rows.rows > 0);
    versions
}

/// Without comparing nothing with nothing: a text of no bytes may lie where no memory is, and there the
/// C library's masked load takes a hundred nanoseconds.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

fn absorb_version(
    window: &mut WindowState,
    layout: &Layout,
    batch: &CaptureBatch,
    version: &str,
    rows: &VersionRows,
) {
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
    if !rows.valued.is_empty() {
        let parts = [Part { batch, rows: &rows.valued }];
        let columns = Columns { layout, parts: &parts };
        columns.absorb(&mut state.predictions, references, layout.features());
    }
    window.displace(layout);
}

fn absorb_unknown_columns(window: &mut WindowState, part: Part<'_>) {
    let Some(unknown) = part.batch.unknown_columns() else { return };
    for &row in part.rows {
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

struct Columns<'a> {
    layout: &'a Layout,
    parts: &'a [Part<'a>],
}

impl Columns<'_> {
    /// Counts the columns from `first` of the schema on, one per reference.
    fn absorb(&self, cells: &mut Vec<Cell>, references: &[Reference], first: usize) {
        if self.parts.is_empty() {
            return;
        }
        if cells.is_empty() {
            cells.reserve_exact(references.len());
            cells.extend(references.iter().map(Reference::empty_cell));
        }
        let chosen: Vec<(&CaptureBatch, Chosen<'_>)> =
            self.parts.iter().map(|part| (part.batch, Chosen::new(part.rows))).collect();
        let mut scratch = Scratch::default();
        let schema = &self.layout.schema().columns;
        for (index, (cell, reference)) in (first..).zip(cells.iter_mut().zip(references)) {
            let subject = schema.get(index).map_or("", |column| &column.subject);
            for &(batch, rows) in &chosen {
                let Some(values) = batch.value(index) else { continue };
                let column = ColumnPart { values, wrong_type: batch.wrong_type(subject), rows };
                column.absorb(cell, reference, &mut scratch);
            }
        }
    }
}

struct ColumnPart<'a> {
    values: &'a ArrayRef,
    wrong_type: Option<&'a StringArray>,
    rows: Chosen<'a>,
}

impl ColumnPart<'_> {
    fn absorb(self, cell: &mut Cell, reference: &Reference, scratch: &mut Scratch) {
        let ColumnPart { values, wrong_type, rows } = self;
        match (cell, reference) {
            (Cell::Numeric(cell), Reference::Numeric(reference)) => {
                if let Some(values) = values.as_primitive_opt::<Float64Type>() {
                    cell.absorb(reference, Values { values, wrong_type, rows }, scratch);
                }
            }
            (Cell::Categorical(cell), Reference::Categorical(reference)) => {
                if let Some(values) = values.as_string_opt::<i32>() {
                    cell.absorb(reference, Values { values, wrong_type, rows }, scratch);
                }
            }
            _ => {}
        }
    }
}
