//! Lines that are records of another format: what a model's map reads of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use arrow::array::AsArray;
use driftline_capture::{CaptureBatch, CaptureSchema, Column, Kind};
use driftline_config::Subject;
use driftline_formats::{Decoder, ModelPlan, Outcome, Record, RecordLimits};

use super::{Lines, PassedOver, Shape, Survey, captures_decoder};
use crate::error::FileError;
use crate::profile::Profile;

/// Names of columns that are kept of a file; a file with more has names that are values.
const COLUMNS: usize = 10_000;
/// Records of a batch.
const BATCH: usize = 1024;

/// Reads whole files twice, for the names of their columns and for what stands in these. `None` where the
/// first line is no record of the model: then it is a table, or captures of our own.
pub(crate) fn survey(
    name: &str,
    paths: &[PathBuf],
    plan: &ModelPlan,
    progress: &dyn Fn(u64),
) -> Result<Option<Survey>, FileError> {
    if !begins_with_a_record(paths, plan)? {
        return Ok(None);
    }
    let records = Records { name, paths, plan };
    let mut names = BTreeSet::new();
    let mut passed_over = PassedOver::default();
    records.each(&CaptureSchema::default(), &mut passed_over, &mut |batch| {
        names_of(batch, &mut names);
        progress(batch.rows() as u64);
    })?;
    if names.len() > COLUMNS {
        let why = format!("its records name over {COLUMNS} columns");
        return Err(FileError::NoRows { name: name.to_owned(), why });
    }
    let column =
        |subject: &Subject| Column { subject: subject.clone(), kind: Kind::Numeric, coerce: false };
    let schema = CaptureSchema { columns: names.iter().map(column).collect(), ignored: Vec::new() };
    let mut profile = Profile::of_captures(&schema);
    let mut again = PassedOver::default();
    records.each(&schema, &mut again, &mut |batch| profile.look_at_captures(batch))?;
    if profile.rows == 0 {
        let why = passed_over.why_no_rows();
        return Err(FileError::NoRows { name: name.to_owned(), why });
    }
    let shape =
        Shape::Captures { model: plan.name.clone(), mapping: plan.mapping.clone().map(Box::new) };
    Ok(Some(Survey { profile, shape, passed_over }))
}

fn begins_with_a_record(paths: &[PathBuf], plan: &ModelPlan) -> Result<bool, FileError> {
    let mut lines = Lines::open(paths);
    let mut decoder = Decoder::new(std::slice::from_ref(plan), &RecordLimits::default());
    let Some(line) = lines.next()? else { return Ok(false) };
    let outcome = decoder.decode(&Record { value: Some(line), offset: 0, time_us: None });
    Ok(matches!(outcome, Outcome::Row(_)))
}

/// Files of records, by what they were named by.
#[derive(Clone, Copy)]
struct Records<'a> {
    name: &'a str,
    paths: &'a [PathBuf],
    plan: &'a ModelPlan,
}

impl Records<'_> {
    /// Gives all rows to `see`, in batches of this schema.
    fn each(
        self,
        schema: &CaptureSchema,
        passed_over: &mut PassedOver,
        see: &mut dyn FnMut(&CaptureBatch),
    ) -> Result<(), FileError> {
        let Records { name, paths, plan } = self;
        let mut lines = Lines::open(paths);
        let limits = RecordLimits::default();
        let mut decoder = captures_decoder(&plan.name, plan.mapping.as_ref(), schema, &limits);
        let refused = |source| FileError::Arrow { name: name.to_owned(), source };
        let mut offset = 0;
        loop {
            let line = lines.next()?;
            let is_end = line.is_none();
            if let Some(line) = line {
                let outcome = decoder.decode(&Record { value: Some(line), offset, time_us: None });
                offset += 1;
                passed_over.is_row(&outcome, lines.path(), lines.number);
            }
            if is_end || decoder.count() >= BATCH {
                for rows in decoder.take().map_err(refused)?.rows {
                    see(&rows.rows);
                }
            }
            if is_end {
                return Ok(());
            }
        }
    }
}

/// Without a schema every column of a record is unknown.
fn names_of(batch: &CaptureBatch, names: &mut BTreeSet<Subject>) {
    for row in batch.unknown_columns().into_iter().flat_map(|unknown| unknown.iter()).flatten() {
        for name in row.as_string::<i32>().iter().flatten() {
            if names.len() <= COLUMNS && !names.contains(name) {
                names.insert(Subject::from(name));
            }
        }
    }
}
