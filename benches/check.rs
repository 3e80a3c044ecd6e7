//! What `driftline check` computes on two Parquet files of numeric columns, without reading them:
//! baseline, window and judgement. Prints the processor seconds of one comparison; `bench.py` runs it.
//!
//! ```text
//! check REFERENCE CURRENT
//! ```

mod cases;
mod interleave;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use cases::BATCH_ROWS;
use cases::judge::{judge_once, model};
use driftline_analytics::baseline::build::CutPoints;
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::report::Report;
use driftline_analytics::window::WindowState;
use driftline_capture::CaptureBatch;
use driftline_capture::columns::{CaptureSchema, Column, ENVELOPE_COLUMNS, Kind};
use driftline_config::Limits;
use driftline_world::{Answers, baseline_of, numeric_batch};
use interleave::thread_seconds;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tikv_jemallocator::Jemalloc;

/// Batches that are counted together, as `driftline check` does with 20 columns.
const BATCHES: usize = 25;

/// The binary's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // Without arguments it is one of `cargo bench`'s benchmarks, and has nothing to do.
    let [reference, current] = &arguments[..] else { return Ok(()) };
    let (reference, current) = (captures(reference)?, captures(current)?);
    // As the peers are: what a first comparison makes once is there.
    compare(&head(&reference), &head(&current))?;
    let begun = thread_seconds();
    let report = compare(&reference, &current)?;
    let seconds = thread_seconds() - begun;
    let mut out = std::io::stdout().lock();
    let findings = report.findings.len();
    writeln!(out, "{{\"seconds\":{seconds},\"findings\":{findings}}}")?;
    Ok(())
}

/// The first rows, as many as warm the peers up.
fn head(batches: &[CaptureBatch]) -> Vec<CaptureBatch> {
    batches.iter().take(1).map(|batch| batch.slice(0, batch.rows().min(2000))).collect()
}

/// As `driftline check --reference`: every distinct value of the reference is a cut point.
fn compare(reference: &[CaptureBatch], current: &[CaptureBatch]) -> Outcome<Report> {
    let fields = reference.first().ok_or("no rows")?.record_batch().schema();
    let names = fields.fields().iter().skip(ENVELOPE_COLUMNS).map(|field| field.name().clone());
    let column = |name: String| Column { subject: name.into(), kind: Kind::Numeric, coerce: false };
    let schema = CaptureSchema { columns: names.map(column).collect(), ignored: Vec::new() };
    let baseline = Arc::new(baseline_of(schema, reference, CutPoints::All));
    let baselines = Baselines { default: baseline, by_version: BTreeMap::new() };
    let model = model();
    let layout = Layout::new(&model, &baselines, &Limits::default())?;
    let mut state = WindowState::default();
    for batches in current.chunks(BATCHES) {
        state.absorb_all(&layout, batches);
    }
    Ok(judge_once(&model, &layout, &baselines, &state))
}

/// The rows of a file as batches of captures without anything but features.
fn captures(path: &str) -> Outcome<Vec<CaptureBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    reader.with_batch_size(BATCH_ROWS).build()?.map(|batch| Ok(capture_batch(&batch?))).collect()
}

fn capture_batch(batch: &RecordBatch) -> CaptureBatch {
    let latencies_us = Int64Array::new_null(batch.num_rows());
    let answers = Answers { version: None, status: None, latencies_us };
    let fields = batch.schema();
    let names = fields.fields().iter().map(|field| format!("feature:{}", field.name()));
    numeric_batch(answers, names.zip(batch.columns().iter().map(Arc::clone)).collect())
}
