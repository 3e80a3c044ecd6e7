//! A candidate's rate: scores the rows of a Parquet file by batches, as the lane of a candidate does, and
//! prints the processor seconds of one pass. `bench.py` runs it beside Python's ONNX Runtime.
//!
//! ```text
//! score LIBRARY MODEL SHA256 ROWS            in a process of its own, as the service does: of both together
//! score LIBRARY MODEL SHA256 ROWS here       in this process
//! ```

mod cases;
mod interleave;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use cases::BATCH_ROWS;
use driftline_config::{Candidate, CandidateOutput, Purpose};
use driftline_shadow::{Launch, Model, Runtime, SCORE_COMMAND, Scores, score_for_parent};
use interleave::{median, thread_seconds};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Passes of which the median counts; the first warms up.
const PASSES: usize = 5;

/// What the demo's candidates take, in their order.
const INPUTS: [&str; 7] =
    ["dep_delay", "distance", "hour", "day_of_week", "wind_speed", "precip", "visib"];

/// Rows of a slice of a lane.
const SLICE_ROWS: usize = 512;

fn main() -> Outcome<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).filter(|a| a != "--bench").collect();
    if let Some((_, errand)) = arguments.split_first().filter(|(first, _)| *first == SCORE_COMMAND)
    {
        return Ok(score_for_parent(errand)?);
    }
    let arguments: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    // Without arguments it is one of `cargo bench`'s benchmarks, and has nothing to do.
    let [library, model, sha256, rows, place @ ..] = &arguments[..] else { return Ok(()) };
    let (candidate, batches) = (candidate(model, sha256), batches(rows)?);
    let (seconds, late) = if place.is_empty() {
        let launch = Launch {
            program: std::env::current_exe()?,
            libraries: vec![library.into()],
            model_bytes: u64::MAX,
            memory_bytes: 2 << 30,
            load: Duration::from_secs(60),
            run: Duration::from_secs(60),
            unsandboxed: true,
        };
        let mut process = launch.open(&candidate)?;
        let id = process.id();
        let seconds = || Ok(thread_seconds() + process_seconds(id)?);
        median_pass(&batches, seconds, |batch, rows| Ok(process.scores(batch, rows)?))?
    } else {
        let runtime = Runtime::load(&[PathBuf::from(library)])?;
        let mut model = Model::open(&candidate, u64::MAX, &runtime)?;
        let seconds = || Ok(thread_seconds());
        median_pass(&batches, seconds, |batch, rows| Ok(model.score(batch, rows)?))?
    };
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{{\"seconds\":{seconds},\"rows\":{rows},\"late\":{late}}}")?;
    Ok(())
}

/// Processor seconds of a pass over all batches, and how many rows of it were late.
fn median_pass(
    batches: &[RecordBatch],
    clock: impl Fn() -> Outcome<f64>,
    mut score: impl FnMut(&RecordBatch, &[u32]) -> Outcome<Scores>,
) -> Outcome<(f64, usize)> {
    let (mut seconds, mut late) = (Vec::with_capacity(PASSES), 0);
    for pass in 0..=PASSES {
        let begun = clock()?;
        late = 0;
        for batch in batches {
            let all: Vec<u32> = (0..u32::try_from(batch.num_rows())?).collect();
            for slice in all.chunks(SLICE_ROWS) {
                let labels = score(batch, slice)?.labels.unwrap_or_default();
                late += labels.iter().filter(|label| *label == "late").count();
            }
        }
        if pass > 0 {
            seconds.push(clock()? - begun);
        }
    }
    Ok((median(seconds), late))
}

/// Processor seconds of another process so far.
fn process_seconds(id: u32) -> Outcome<f64> {
    let nanoseconds = std::fs::read_to_string(format!("/proc/{id}/schedstat"))?;
    let ran = nanoseconds.split_whitespace().next().ok_or("the kernel tells no times")?;
    Ok(ran.parse::<f64>()? / 1e9)
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
