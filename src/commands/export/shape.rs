//! Which columns the exported rows have: all of them, be they monitored or not.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::bail;
use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use driftline_capture::{CaptureBatch, CaptureSchema, Column, Kind};
use driftline_config::{Config, Subject};
use driftline_files::Profile;

use super::Wanted;
use crate::commands::recorded::Source;

/// The columns of an exported file.
#[derive(Debug)]
pub(super) struct Shape {
    /// The monitored columns as the window knew them, and every other one by what stands in it.
    pub(super) schema: CaptureSchema,
    /// Columns of which some values are not of their kind.
    pub(super) misfits: BTreeSet<Subject>,
}

impl Shape {
    /// Reads the rows once for the names of their columns and, where some are not monitored, once more
    /// for their kinds.
    pub(super) fn find(config: &Config, wanted: &Wanted) -> anyhow::Result<Shape> {
        let monitored = wanted.setup.layout.schema().columns.clone();
        let schema = CaptureSchema { columns: monitored, ignored: Vec::new() };
        let mut shape = Shape { schema, misfits: BTreeSet::new() };
        let mut others = BTreeSet::new();
        let limit = config.limits.columns;
        let source = Source::with_schema(config, &wanted.setup, shape.schema.clone());
        wanted.each(&source, |_, rows, chosen| {
            let rows = taken(rows, chosen)?;
            shape.note_misfits(&rows);
            names_of(&rows, &mut others);
            let over = others.len() > limit;
            Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if others.len() > limit {
            bail!("{}: over {limit} columns, the bound limits.columns", wanted.name);
        }
        if !others.is_empty() {
            shape.add(config, wanted, others)?;
        }
        Ok(shape)
    }

    fn add(
        &mut self,
        config: &Config,
        wanted: &Wanted,
        others: BTreeSet<Subject>,
    ) -> anyhow::Result<()> {
        let column = |subject| Column { subject, kind: Kind::Numeric, coerce: false };
        let columns = others.into_iter().map(column).collect();
        let mut schema = CaptureSchema { columns, ignored: Vec::new() };
        let mut profile = Profile::of_captures(&schema);
        let source = Source::with_schema(config, &wanted.setup, schema.clone());
        wanted.each(&source, |_, rows, chosen| {
            profile.look_at_captures(&taken(rows, chosen)?);
            Ok(ControlFlow::Continue(()))
        })?;
        for (column, profile) in schema.columns.iter_mut().zip(&profile.columns) {
            column.kind = profile.kind().unwrap_or(Kind::Categorical);
            let fit = match column.kind {
                Kind::Numeric => profile.numbers,
                Kind::Categorical => profile.values() - profile.nested,
            };
            if fit < profile.values() {
                self.misfits.insert(column.subject.clone());
            }
        }
        self.schema.columns.extend(schema.columns);
        self.schema.columns.sort_by_key(Column::is_prediction);
        Ok(())
    }

    fn note_misfits(&mut self, rows: &CaptureBatch) {
        for column in &self.schema.columns {
            let texts = rows.wrong_type(&column.subject);
            if texts.is_some_and(|texts| texts.null_count() < texts.len()) {
                self.misfits.insert(column.subject.clone());
            }
        }
    }
}

fn taken(rows: &CaptureBatch, chosen: Vec<u32>) -> Result<CaptureBatch, arrow::error::ArrowError> {
    let chosen = UInt32Array::from(chosen);
    Ok(CaptureBatch::new(take_record_batch(rows.record_batch(), &chosen)?)?)
}

/// What is not in the schema stands beside it by name.
fn names_of(batch: &CaptureBatch, names: &mut BTreeSet<Subject>) {
    for row in batch.unknown_columns().into_iter().flat_map(|unknown| unknown.iter()).flatten() {
        for name in row.as_string_opt::<i32>().into_iter().flatten().flatten() {
            if !names.contains(name) {
                names.insert(Subject::from(name));
            }
        }
    }
}
