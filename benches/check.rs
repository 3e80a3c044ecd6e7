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

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use cases::BATCH_ROWS;
use cases::judge::{judge_once, model};
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints};
use driftline_analytics::layout::{Baselines, Layout};
use driftline_analytics::window::WindowState;
use driftline_config::Limits;
use driftline_config::capture::{self, CaptureSchema, Column, ENVELOPE_COLUMNS, Kind};
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
fn head(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    batches.iter().take(1).map(|batch| batch.slice(0, batch.num_rows().min(2000))).collect()
}

/// As `driftline check --reference`: every distinct value of the reference is a cut point.
fn compare(
    reference: &[RecordBatch],
    current: &[RecordBatch],
) -> Outcome<driftline_analytics::report::Report> {
    let fields = reference.first().map(RecordBatch::schema).ok_or("no rows")?;
    let names = fields.fields().iter().skip(ENVELOPE_COLUMNS).map(|field| field.name().clone());
    let column = |subject| Column { subject, kind: Kind::Numeric, coerce: false };
    let schema = CaptureSchema { columns: names.map(column).collect(), ignored: Vec::new() };
    let options = BuildOptions {
        cut_points: CutPoints::All,
        own_windows: None,
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let mut builder = Builder::new(schema, options)?;
    reference.iter().for_each(|batch| builder.observe(batch));
    let mut counting = builder.choose();
    reference.iter().for_each(|batch| counting.count(batch));
    let baseline = Arc::new(counting.finish("the reference")?.baseline);
    let baselines = Baselines { default: baseline, by_version: BTreeMap::new() };
    let model = model();
    let layout = Layout::new(&model, &baselines, &Limits::default())?;
    let mut state = WindowState::new(&layout);
    for batches in current.chunks(BATCHES) {
        state.absorb_all(&layout, batches);
    }
    Ok(judge_once(&model, &layout, &baselines, &state))
}

/// The rows of a file as batches of captures without anything but features.
fn captures(path: &str) -> Outcome<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    reader.with_batch_size(BATCH_ROWS).build()?.map(|batch| capture_batch(&batch?)).collect()
}

fn capture_batch(batch: &RecordBatch) -> Outcome<RecordBatch> {
    let rows = batch.num_rows();
    let zeros = || -> ArrayRef { Arc::new(Int64Array::from_value(0, rows)) };
    let none = |kind| new_null_array(&kind, rows);
    let envelope: [(&str, ArrayRef); ENVELOPE_COLUMNS] = [
        (capture::OFFSET, zeros()),
        (capture::TIME_US, zeros()),
        (capture::RECORD_TIME_US, zeros()),
        (capture::ID, Arc::new(StringArray::new_null(rows))),
        (capture::VERSION, Arc::new(StringArray::new_null(rows))),
        (capture::LATENCY_US, none(DataType::Int64)),
        (capture::STATUS, Arc::new(Int32Array::new_null(rows))),
        (capture::SAMPLE_RATE, Arc::new(Float64Array::from_value(1.0, rows))),
    ];
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (name, column) in envelope {
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        fields.push(Field::new(format!("feature:{}", field.name()), DataType::Float64, true));
        columns.push(Arc::clone(column));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
