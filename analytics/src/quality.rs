//! What became of the predictions: sums per window and version that any order, split, correction and
//! retraction leave exact, and what is read off them.
//!
//! ```text
//! (prediction, label, weight) ─► QualityState ─► figures with intervals ─► judgement of the primary metric
//!                                     bins of columns ─► mix and rate ┘
//! ```
//!
//! Read [`state`] first. Rules: RULES §8.

pub mod binary;
pub mod calibration;
pub mod calibrator;
pub mod classes;
pub mod columns;
pub mod confusion;
pub mod curves;
pub mod estimate;
pub mod explain;
pub mod figure;
mod fixed;
pub mod intervals;
pub mod lists;
pub mod number;
mod sparse;
pub mod state;
pub mod weight;

pub use figure::{Direction, Figure, Figures, Metric};
pub use state::{Graded, QualityLayout, QualityState};
pub use weight::{SampleWeight, Weighing};

/// Why something cannot be counted or judged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QualityError {
    /// A score that is no probability.
    #[error("the score {score} is no probability: it must lie between 0 and 1")]
    Score {
        /// What was predicted.
        score: f64,
    },
    /// A number that cannot be summed.
    #[error("the {what} {value} cannot be judged: it must be a number of at most {most:e} in size")]
    Number {
        /// `prediction` or `label`.
        what: &'static str,
        value: f64,
        /// The largest that can be.
        most: f64,
    },
    /// A weight that no sample rate gives.
    #[error("the weight {weight} is no 1/sample_rate: it must lie between 1 and {most:e}")]
    Weight {
        weight: f64,
        /// The largest that can be.
        most: f64,
    },
    /// Cut points, thresholds or steps that are not ascending probabilities.
    #[error("{what} must be probabilities, at most {most} of them: {found}")]
    Cuts {
        /// Which of them.
        what: &'static str,
        most: usize,
        /// What was given instead.
        found: String,
    },
    /// Classes that cannot be told apart.
    #[error("classes must be 2 or more, each named once: {found}")]
    Classes {
        /// What was given instead.
        found: String,
    },
    /// A class that the layout does not have.
    #[error("class {class} does not exist: there are {classes}")]
    Class { class: u32, classes: usize },
    /// Something of another kind than the state it should be part of.
    #[error("what was graded is {found}, its state is of {wanted}")]
    Kind { found: &'static str, wanted: &'static str },
    /// A reference that contradicts itself.
    #[error("the reference of quality is unsound: {what}")]
    Reference {
        /// What is wrong, and where.
        what: String,
    },
}

#[cfg(test)]
mod tests;
