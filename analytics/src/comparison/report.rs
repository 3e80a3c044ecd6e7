//! The shadow record of one candidate and window: CONTRACTS §5.

use serde::{Deserialize, Serialize};

/// What one candidate did in one window: an element of the shadow record's `shadow`.
/// `sampled = paired + shed + failed`, always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    pub candidate: String,
    /// `better` or `same`.
    pub purpose: String,
    /// Rows that the sample chose: requests that succeeded (status below 400), not older than
    /// `trained_until`.
    pub sampled: u64,
    pub paired: u64,
    /// Rows dropped because the candidate was too slow.
    pub shed: u64,
    /// Rows without a usable prediction of the candidate or of the champion.
    pub failed: u64,
    /// Share of paired rows with the same label; `None` without labels.
    pub agreement: Option<f64>,
    /// Cohen's kappa of the labels; `None` without labels or when chance alone explains all.
    pub kappa: Option<f64>,
    /// Names of the table's rows and columns; the last is `other` when there were more than 32.
    pub classes: Vec<String>,
    /// Rows per label of the champion (outer) and of the candidate (inner).
    pub table: Vec<Vec<u64>>,
    /// Candidate's score against the champion's; `None` without scores.
    pub score: Option<ScoreDifference>,
    /// Mean time per row when scored in batches, in microseconds.
    pub batch_us_per_row: Option<f64>,
    /// Time of rows scored one by one: the model alone, not a request.
    pub single_us: Option<SingleLatency>,
    /// Why the candidate could not score, at the close of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Differences are candidate minus champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreDifference {
    /// Mean over paired rows.
    pub mean_difference: f64,
    /// PSI of the candidate's scores against the champion's, over ten equal parts of the champion's.
    pub psi: f64,
    /// The difference with the largest magnitude.
    pub largest_difference: f64,
    /// Id of the request where it was; `offset N` when it had none.
    pub largest_at: String,
}

/// Latency of rows scored one by one, in microseconds, within 0.8 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SingleLatency {
    pub n: u64,
    pub p50: f64,
    pub p99: f64,
}
