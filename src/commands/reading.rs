//! Reading whole tables for the commands.

use arrow::record_batch::RecordBatch;
use driftline_config::Limits;
use driftline_config::capture::CaptureSchema;

use super::progress::Progress;
use crate::files::{FileError, Mapping, Table};

/// Gives every capture batch of a table to `each`, with a bar on stderr.
pub(crate) fn read_all(
    table: &Table,
    schema: &CaptureSchema,
    mapping: &Mapping,
    limits: &Limits,
    mut each: impl FnMut(&RecordBatch),
) -> Result<(), FileError> {
    let progress = Progress::of(&format!("reading {}", table.name()), table.rows());
    for batch in table.captures(schema, mapping, &limits.into())? {
        let batch = batch?;
        each(&batch);
        progress.add(batch.num_rows() as u64);
    }
    Ok(())
}

/// Says which lines of a file of captures are no rows.
pub(crate) fn say_passed_over(table: &Table, note: &mut dyn FnMut(&str)) {
    let passed_over = table.passed_over();
    if let Some(first) = &passed_over.first_rejection {
        note(&format!("{} lines rejected; the first: {first}", passed_over.rejected));
    }
    if passed_over.skipped > 0 {
        note(&format!(
            "{}: {} lines of other models than the first line's skipped",
            table.name(),
            passed_over.skipped
        ));
    }
}
