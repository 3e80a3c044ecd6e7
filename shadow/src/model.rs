//! A loaded ONNX model and how it scores rows of a capture batch.

mod features;
mod inputs;
mod outputs;
#[cfg(test)]
pub(crate) mod tests;

use arrow::array::RecordBatch;
use driftline_config::{Candidate, CandidateOutput};
use ort::ep;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::error::{ShadowError, one_line};
use crate::file;
use crate::runtime::Runtime;
use features::Features;
pub(crate) use features::{text_at, values_of};
use inputs::Binding;
use outputs::Outputs;

/// Sizes to which batches are padded: ONNX Runtime keeps memory per shape it has seen.
const BATCH_SIZES: [usize; 4] = [1, 8, 64, 512];
/// Most rows of one run.
pub(crate) const LARGEST_BATCH: usize = 512;

/// A loaded model. One session, one thread: scoring takes `&mut self`.
pub struct Model {
    session: Session,
    features: Vec<String>,
    bindings: Vec<Binding>,
    outputs: Outputs,
    /// The number of rows that the model insists on, where it does.
    fixed_rows: Option<usize>,
}

/// Predictions of the rows that could be scored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// The scored rows, in the order they were given. Rows are left out when an input does not fit
    /// the model: text in a numeric input, a value of the wrong type, a missing integer.
    pub rows: Vec<u32>,
    /// Label texts, one per scored row, where the model has a label output.
    pub labels: Option<Vec<String>>,
    /// Scores, one per scored row, where the model has a score output. May be NaN.
    pub scores: Option<Vec<f64>>,
}

impl Scores {
    /// Adds what was scored of the same rows by a later run.
    pub(crate) fn append(&mut self, later: Scores) {
        self.rows.extend(later.rows);
        if let Some(labels) = later.labels {
            self.labels.get_or_insert_default().extend(labels);
        }
        if let Some(scores) = later.scores {
            self.scores.get_or_insert_default().extend(scores);
        }
    }
}

impl Model {
    /// Reads and loads the file that the configuration names, in this process. That is for models of one's own;
    /// candidates have a process each ([`CandidateLane`](crate::CandidateLane)).
    ///
    /// # Errors
    /// When the file cannot be read or is refused, and whatever [`Model::load`] refuses.
    pub fn open(
        candidate: &Candidate,
        max_bytes: u64,
        runtime: &Runtime,
    ) -> Result<Model, ShadowError> {
        let bytes = file::read(candidate, max_bytes)?;
        Model::of(&bytes, &candidate.inputs, &candidate.output, runtime)
    }

    /// Loads a model from its bytes, in this process. Of `candidate` the checksum, the inputs and the outputs
    /// count; its path is not read.
    ///
    /// # Errors
    /// Too large, another sha256, external data, custom operators, truncated or refused by ONNX Runtime, inputs
    /// or outputs that do not fit.
    pub fn load(
        bytes: &[u8],
        candidate: &Candidate,
        max_bytes: u64,
        runtime: &Runtime,
    ) -> Result<Model, ShadowError> {
        file::check(bytes, &candidate.sha256, max_bytes)?;
        Model::of(bytes, &candidate.inputs, &candidate.output, runtime)
    }

    /// A model of bytes that were found to be one.
    ///
    /// # Errors
    /// Refused by ONNX Runtime, inputs or outputs that do not fit.
    pub(crate) fn of(
        bytes: &[u8],
        features: &[String],
        output: &CandidateOutput,
        runtime: &Runtime,
    ) -> Result<Model, ShadowError> {
        let session = builder(runtime)
            .and_then(|mut builder| builder.commit_from_memory(bytes))
            .map_err(|error| ShadowError::Refused { reason: one_line(error) })?;
        let bindings = inputs::bind(session.inputs(), features)?;
        let outputs = Outputs::choose(session.outputs(), output)?;
        Ok(Model {
            fixed_rows: inputs::fixed_rows(session.inputs())?,
            features: features.to_vec(),
            bindings,
            outputs,
            session,
        })
    }

    /// Scores rows of a batch whose features are named as in a capture batch; numbers may also be other
    /// Arrow numbers.
    /// Missing numbers are NaN, missing texts empty.
    ///
    /// # Errors
    /// When the batch lacks a feature or a run fails; then no row is scored.
    pub fn score(&mut self, batch: &RecordBatch, rows: &[u32]) -> Result<Scores, ShadowError> {
        let features = Features::of(batch, &self.features)?;
        let usable =
            |row: &u32| self.bindings.iter().all(|binding| binding.takes(&features, *row as usize));
        let mut scores = Scores {
            rows: rows.iter().copied().filter(usable).collect(),
            labels: self.outputs.has_label().then(Vec::new),
            scores: self.outputs.has_score().then(Vec::new),
        };
        let rows = std::mem::take(&mut scores.rows);
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let padded = self.fixed_rows.unwrap_or_else(|| padded_rows(rest.len()));
            let (chunk, later) = rest.split_at(padded.min(rest.len()));
            self.run(&features, chunk, padded, &mut scores)?;
            rest = later;
        }
        scores.rows = rows;
        Ok(scores)
    }

    fn run(
        &mut self,
        features: &Features<'_>,
        rows: &[u32],
        padded: usize,
        scores: &mut Scores,
    ) -> Result<(), ShadowError> {
        let failed = |error: ort::Error| ShadowError::Run { reason: one_line(error) };
        let values = self
            .bindings
            .iter()
            .map(|binding| Ok((binding.input(), binding.tensor(features, rows, padded)?)))
            .collect::<Result<Vec<_>, ort::Error>>()
            .map_err(failed)?;
        let results = self.session.run(values).map_err(failed)?;
        self.outputs.read(&results, rows.len(), padded, scores)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Model")
            .field("bindings", &self.bindings)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

fn builder(runtime: &Runtime) -> Result<SessionBuilder, ort::Error> {
    // One thread that does not spin: the main way needs the cores. No arena and no memory pattern,
    // whose memory grows with every new shape.
    Ok(Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_execution_providers([ep::CPU::default().with_arena_allocator(false).build()])?)
}

/// To how many rows a run of up to `rows` rows is padded: the smallest size that holds them all if
/// at least half of it is used, else the largest that is filled.
fn padded_rows(rows: usize) -> usize {
    BATCH_SIZES
        .into_iter()
        .find(|size| *size >= rows && rows * 2 >= *size)
        .or_else(|| BATCH_SIZES.into_iter().rev().find(|size| *size <= rows))
        .unwrap_or(LARGEST_BATCH)
}
