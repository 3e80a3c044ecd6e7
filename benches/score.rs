//! A candidate's rate: scores the rows of a Parquet file by batches, as the lane of a candidate does, and
//! prints the processor seconds of one pass. `bench.py` runs it beside Python's ONNX Runtime.
//!
//! ```text
//! score LIBRARY MODEL SHA256 ROWS
//! ```

mod cases;
mod interleave;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use cases::BATCH_ROWS;
use driftline_config::{Candidate, CandidateOutput, Purpose};
use driftline_shadow::{Model, Runtime};
use interleave::{median, thread_seconds};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Passes of which the median counts; the first warms up.
const PASSES: usize = 5;

/// What the demo's candidates take, in their order.
const INPUTS: [&str; 7] =
    ["dep_delay", "distance", "hour", "day_of_week", "wind_speed", "precip", "visib"];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // Without arguments it is one of `cargo bench`'s benchmarks, and has nothing to do.
    let [library, model, sha256, rows] = &arguments[..] else { return Ok(()) };
    let runtime = Runtime::load(&[PathBuf::from(library)])?;
    let candidate = candidate(model, sha256);
    let mut model = Model::open(&candidate, u64::MAX, &runtime)?;
    let batches = batches(rows)?;
    let mut seconds = Vec::with_capacity(PASSES);
    let mut late = 0;
    for pass in 0..=PASSES {
        let begun = thread_seconds();
        late = 0;
        for batch in &batches {
            let all: Vec<u32> = (0..u32::try_from(batch.num_rows())?).collect();
            let labels = model.score(batch, &all)?.labels.unwrap_or_default();
            late += labels.iter().filter(|label| *label == "late").count();
        }
        if pass > 0 {
            seconds.push(thread_seconds() - begun);
        }
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{{\"seconds\":{},\"rows\":{rows},\"late\":{late}}}", median(seconds))?;
    Ok(())
}

fn candidate(onnx: &str, sha256: &str) -> Candidate {
    Candidate {
        name: "bench".to_owned(),
        onnx: PathBuf::from(onnx),
        sha256: sha256.to_owned(),
        inputs: INPUTS.map(str::to_owned).to_vec(),
        output: CandidateOutput {
            classes: vec!["on-time".to_owned(), "late".to_owned()],
            ..CandidateOutput::default()
        },
        purpose: Purpose::Better,
        trained_until_us: None,
        sample: 1.0,
    }
}

/// The features of a file as columns of captures.
fn batches(path: &str) -> Outcome<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mut batches = Vec::new();
    for batch in reader.with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for name in INPUTS {
            let column = batch.column_by_name(name).ok_or("a feature is not in the file")?;
            fields.push(Field::new(format!("feature:{name}"), DataType::Float64, true));
            columns.push(cast(column, &DataType::Float64)?);
        }
        batches.push(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?);
    }
    Ok(batches)
}
