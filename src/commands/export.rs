//! `driftline export`: exactly the rows that a window or a retraining request counted, as Parquet.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context, anyhow, bail};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use clap::Args;
use driftline_alerting::retrain::RetrainRequest;
use driftline_batch::setups::load_setup;
use driftline_capture::CaptureBatch;
use driftline_config::{Config, Partition};
use driftline_files::write_parquet;
use driftline_ingest::OffsetRange;
use driftline_pipeline::setup::Setup;

use super::configured;
use super::progress::RowsBar;
use super::recorded::{
    RecordedWindow, Selection, Source, StoredState, requested, rows_of, say_gaps,
};

mod columns;
mod shape;
#[cfg(test)]
mod tests;

use columns::Columns;
use shape::Shape;

const QUEUE: usize = 4;

/// Writes counted rows to a file.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Write exactly the rows that a window or a retraining request counted to Parquet",
    after_help = "Examples:\n  driftline export --window flight-delay@20261109T000000Z.1d --out window.parquet"
)]
pub(crate) struct ExportArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = configured::VARIABLE, default_value = configured::USUAL)]
    pub(crate) config: PathBuf,
    /// Rows of the window of this id
    #[arg(long, value_name = "ID", required_unless_present = "retrain")]
    pub(crate) window: Option<String>,
    /// Rows of the retraining request of this id
    #[arg(long, value_name = "ID", conflicts_with = "window")]
    pub(crate) retrain: Option<String>,
    /// Where the rows are written; must end in .parquet
    #[arg(long, short, value_name = "FILE.parquet")]
    pub(crate) out: PathBuf,
}

struct Wanted {
    setup: Setup,
    selection: Selection,
    ranges: Vec<OffsetRange>,
    rows: u64,
    /// For sentences: the window or the request.
    name: String,
}

/// Runs the command.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let config = configured::load(&args.config)?;
    let rows = export(&config, args)?;
    let text = format!("{}: {rows} rows\n", args.out.display());
    super::write(&mut std::io::stdout().lock(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the file and returns how many rows it has. They are ordered by partition and offset. There
/// is no file where not every row is found.
pub(crate) fn export(config: &Config, args: &ExportArgs) -> anyhow::Result<u64> {
    if args.out.extension().is_none_or(|extension| extension != "parquet") {
        bail!("--out {}: the name must end in .parquet", args.out.display());
    }
    let state = StoredState::open(&config.state)?;
    let wanted = match (&args.window, &args.retrain) {
        (Some(id), _) => of_window(&state, id, config)?,
        (None, Some(id)) => of_request(&state, id, config)?,
        (None, None) => bail!("write --window ID or --retrain ID"),
    };
    // A service that is being started waits for the folder.
    drop(state);
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = tempfile::tempdir_in(folder.unwrap_or(Path::new(".")));
    let folder = folder.with_context(|| format!("{}: cannot be written", args.out.display()))?;
    let unfinished = folder.path().join("rows.parquet");
    let shape = Shape::find(config, &wanted)?;
    let source = Source::with_schema(config, &wanted.setup, shape.schema.clone());
    let (rows, gaps) = write(&wanted, &source, &shape, &unfinished)?;
    if rows != wanted.rows {
        let why = if gaps.is_empty() {
            format!("the log of topic {} is another one than it was", source.topic())
        } else {
            say_gaps(source.topic(), &gaps)
        };
        let says = source.says_of_losses();
        bail!("{}: {rows} of {} rows are left: {why}{says}", wanted.name, wanted.rows);
    }
    std::fs::rename(&unfinished, &args.out)
        .with_context(|| format!("{}: cannot be written", args.out.display()))?;
    Ok(rows)
}

fn of_window(state: &StoredState, id: &str, config: &Config) -> anyhow::Result<Wanted> {
    let recorded = RecordedWindow::find(state, id, config)?;
    Ok(Wanted {
        rows: recorded.report.window.rows,
        setup: recorded.setup,
        selection: recorded.selection,
        ranges: recorded.ranges,
        name: format!("window {id}"),
    })
}

fn of_request(state: &StoredState, id: &str, config: &Config) -> anyhow::Result<Wanted> {
    let request = state.request(id)?;
    let (selection, ranges) = requested(&request);
    let setup = setup(state, &request, config)?;
    let rows = request.data.train_on.rows;
    Ok(Wanted { setup, selection, ranges, rows, name: format!("retraining request {id}") })
}

/// The settings of the request's last window that is kept, else the present ones.
fn setup(state: &StoredState, request: &RetrainRequest, config: &Config) -> anyhow::Result<Setup> {
    for id in request.data.windows.iter().rev() {
        if let Ok(recorded) = RecordedWindow::find(state, id, config) {
            return Ok(recorded.setup);
        }
    }
    let name = &request.data.model;
    let model = config.model(name).ok_or_else(|| {
        anyhow!("{}: no model {name}, and no report of it is kept", config.path.display())
    })?;
    Ok(load_setup(&model, &config.limits)?)
}

fn write(
    wanted: &Wanted,
    source: &Source,
    shape: &Shape,
    file: &Path,
) -> anyhow::Result<(u64, Vec<OffsetRange>)> {
    let columns = Columns::new(source.topic(), shape);
    let progress = RowsBar::new("exporting", Some(wanted.rows));
    let (outbox, inbox) = sync_channel(QUEUE);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(wanted, source, &columns, outbox));
        let rows = inbox.into_iter().inspect(|batch: &RecordBatch| {
            progress.add(batch.num_rows() as u64);
        });
        let written = write_parquet(file, columns.schema(), rows);
        let read = reader.join().map_err(|_| anyhow!("reading the log again failed"))?;
        Ok((written?, read?))
    })
}

fn read(
    wanted: &Wanted,
    source: &Source,
    columns: &Columns,
    outbox: SyncSender<RecordBatch>,
) -> anyhow::Result<Vec<OffsetRange>> {
    wanted.each(source, |partition, rows, chosen| {
        let batch = columns.batch(partition, rows, chosen)?;
        // A writer that is gone says itself why.
        let gone = batch.num_rows() > 0 && outbox.send(batch).is_err();
        Ok(if gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

impl Wanted {
    /// Gives the chosen rows of each batch to `see`, one partition after the other, so that the same
    /// rows give the same file. Returns what the log does not hold.
    fn each(
        &self,
        source: &Source,
        mut see: impl FnMut(Partition, &CaptureBatch, Vec<u32>) -> Result<ControlFlow<()>, ArrowError>,
    ) -> anyhow::Result<Vec<OffsetRange>> {
        let mut partitions: BTreeMap<Partition, Vec<OffsetRange>> = BTreeMap::new();
        for range in &self.ranges {
            partitions.entry(range.partition).or_default().push(*range);
        }
        let mut gaps = Vec::new();
        let mut refused = None;
        for ranges in partitions.values() {
            gaps.extend(source.read(ranges, |chunk| {
                let Some(rows) = rows_of(chunk) else { return ControlFlow::Continue(()) };
                let chosen = self.selection.of(chunk.partition, rows);
                see(chunk.partition, rows, chosen).unwrap_or_else(|error| {
                    refused = Some(error);
                    ControlFlow::Break(())
                })
            })?);
            if let Some(error) = refused.take() {
                return Err(error.into());
            }
        }
        Ok(gaps)
    }
}
