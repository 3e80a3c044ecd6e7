//! The champion's predictions of a batch, and how a candidate's are laid beside them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use driftline_capture::columns;
use driftline_config::{Candidate, CandidateOutput};

use super::Ids;
use crate::error::ShadowError;
use crate::model::{Scores, text_at, values_of};
use crate::sums::{Pair, Sums};

#[derive(Debug)]
pub(super) struct Scored<S> {
    pub(super) paired: u64,
    pub(super) failed: u64,
    /// Rows that nobody looked at.
    pub(super) shed: u64,
    pub(super) sums: S,
}

/// The champion's prediction columns, as far as the batch has them.
#[derive(Debug)]
pub(super) struct Champion {
    labels: Option<ArrayRef>,
    scores: Option<ArrayRef>,
    label_name: String,
    score_name: String,
}

impl Champion {
    pub(super) fn of(
        batch: &RecordBatch,
        output: &CandidateOutput,
    ) -> Result<Champion, ShadowError> {
        let (label_name, score_name) = prediction_names(output);
        let labels = values_of(batch, &format!("prediction:{label_name}"));
        // Scores that were read as categories are no numbers to compare.
        let scores = values_of(batch, &format!("prediction:{score_name}"))
            .filter(|values| *values.data_type() == DataType::Float64);
        Ok(Champion { labels, scores, label_name, score_name })
    }

    /// Pairs the scored rows; `rows` were to be scored. A row is paired when both models gave
    /// every prediction that the two have in common, and failed otherwise.
    pub(super) fn pair<S: Sums>(
        &self,
        ids: &Ids<'_>,
        scored: &Scores,
        rows: usize,
        into: &mut Scored<S>,
    ) -> Result<(), ShadowError> {
        let labels = self.labels.as_ref().zip(scored.labels.as_ref());
        let scores = self.scores.as_ref().zip(scored.scores.as_ref());
        if labels.is_none() && scores.is_none() {
            let (label, score) = (self.label_name.clone(), self.score_name.clone());
            return Err(ShadowError::Champion { label, score });
        }
        let before = into.paired;
        for (position, row) in scored.rows.iter().enumerate() {
            let row = *row as usize;
            let label = labels.map(|(champion, candidate)| {
                Some((text_at(champion, row)?, candidate.get(position)?.as_str()))
            });
            let score = scores.map(|(champion, candidate)| {
                finite_pair(number_at(champion, row)?, *candidate.get(position)?)
            });
            if label.as_ref().is_some_and(Option::is_none)
                || score.is_some_and(|pair| pair.is_none())
            {
                continue;
            }
            let label = label.flatten();
            let (id, offset) = ids.get(row);
            into.paired += 1;
            into.sums.add(&Pair {
                labels: label.as_ref().map(|(champion, candidate)| (champion.as_ref(), *candidate)),
                scores: score.flatten(),
                id,
                offset,
            });
        }
        into.failed += rows as u64 - (into.paired - before);
        Ok(())
    }
}

/// The columns that a candidate's lane reads.
pub(super) fn needed_columns(candidate: &Candidate) -> Vec<String> {
    let (label, score) = prediction_names(&candidate.output);
    let mut names = vec![columns::ID.to_owned(), columns::OFFSET.to_owned()];
    names.extend([format!("prediction:{label}"), format!("prediction:{score}")]);
    for input in &candidate.inputs {
        names.push(format!("feature:{input}"));
        names.push(format!("{}feature:{input}", columns::WRONG_TYPE_PREFIX));
    }
    names
}

fn prediction_names(output: &CandidateOutput) -> (String, String) {
    let name = |configured: &Option<String>, default: &str| {
        configured.clone().unwrap_or_else(|| default.to_owned())
    };
    (name(&output.champion_label, "label"), name(&output.champion_score, "score"))
}

fn number_at(values: &ArrayRef, row: usize) -> Option<f64> {
    let values = values.as_primitive_opt::<Float64Type>()?;
    values.is_valid(row).then(|| values.value(row))
}

fn finite_pair(champion: f64, candidate: f64) -> Option<(f64, f64)> {
    (champion.is_finite() && candidate.is_finite()).then_some((champion, candidate))
}
