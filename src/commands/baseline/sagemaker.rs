//! A baseline of the files that SageMaker Model Monitor keeps of one.

use std::fmt::Write;
use std::path::Path;

use driftline_analytics::baseline::BaselineColumn;
use driftline_batch::sagemaker::{Imported, SageMakerOptions, import};
use driftline_files::{Mapping, write_file};

use super::{BaselineArgs, Predictions};

/// Writes the baseline; returns what is to be said about it.
pub(super) fn make(
    args: &BaselineArgs,
    statistics: &Path,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<String> {
    let Imported { baseline, notes } = import(&SageMakerOptions {
        statistics,
        constraints: args.constraints.as_deref(),
        renames: Mapping::parse_renames(&args.rename)?.into_iter().collect(),
        ignore: &args.ignore,
        held_out_predictions: args.predictions == Some(Predictions::HeldOut),
    })?;
    notes.iter().for_each(|says| note(says));
    write_file(&args.out, &baseline.to_json())?;
    let mut text = String::new();
    for column in &baseline.columns {
        let (subject, n) = (column.subject().as_str(), column.n());
        let kind = match column {
            BaselineColumn::Numeric(column) => {
                format!("numeric, {} cut points of a sketch", column.cut_points.len())
            }
            BaselineColumn::Categorical(column) if column.too_many_values => {
                "categorical, not judged".to_owned()
            }
            BaselineColumn::Categorical(column) => {
                format!("categorical, {} values", column.categories.len())
            }
        };
        // Writing into memory does not fail.
        let _ = writeln!(text, "{subject}: {kind}, {n} present, {} missing", column.missing());
    }
    let (out, rows, columns) = (args.out.display(), baseline.rows, baseline.columns.len());
    let _ = writeln!(text, "{out}: {rows} rows, {columns} columns, sha256 {}", baseline.sha256);
    Ok(text)
}
