//! What share of positives a score stands for, by isotonic regression on counts.

use serde::{Deserialize, Serialize};

use super::QualityError;
use super::calibration::{CalibrationBin, debiased_error};
use super::curves::ScoreBin;

/// More steps than cut points and gaps between them cannot be.
const MOST_STEPS: usize = 8192;

/// From this score on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibratorStep {
    pub from: f64,
    /// Whether `from` itself belongs to it, or to the step before.
    pub closed: bool,
    /// Probability of the positive class.
    pub value: f64,
}

/// A function of the score that never falls and is constant between its break points: where those are cut
/// points, what it says of a histogram of scores is exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<CalibratorStep>", into = "Vec<CalibratorStep>")]
pub struct Calibrator {
    steps: Vec<CalibratorStep>,
}

impl Calibrator {
    /// Steps in ascending order, of which the first takes what lies below it too.
    ///
    /// # Errors
    /// [`QualityError::Cuts`] for none, for scores or values that are no probabilities, or that fall.
    pub fn new(steps: Vec<CalibratorStep>) -> Result<Calibrator, QualityError> {
        let refused = |found: String| QualityError::Cuts {
            what: "steps of a calibrator",
            most: MOST_STEPS,
            found,
        };
        let is_probability = |value: f64| (0.0..=1.0).contains(&value);
        if let Some(step) =
            steps.iter().find(|step| !is_probability(step.from) || !is_probability(step.value))
        {
            return Err(refused(format!("{step:?}")));
        }
        let falls = steps.array_windows::<2>().find(|[one, two]| {
            let is_later =
                one.from < two.from || (one.from == two.from && one.closed && !two.closed);
            !is_later || two.value < one.value
        });
        if let Some(pair) = falls {
            return Err(refused(format!("{pair:?} falls")));
        }
        if steps.is_empty() || steps.len() > MOST_STEPS {
            return Err(refused(format!("{} steps", steps.len())));
        }
        Ok(Calibrator { steps })
    }

    /// Isotonic regression by pooling adjacent violators (Ayer et al. 1955) of ascending bins; `None`
    /// without rows.
    pub fn fit(bins: &[ScoreBin]) -> Option<Calibrator> {
        struct Block {
            from: f64,
            closed: bool,
            positives: f64,
            rows: f64,
        }
        let mut blocks: Vec<Block> = Vec::new();
        for bin in bins.iter().filter(|bin| bin.positives + bin.negatives > 0.0) {
            let mut block = Block {
                from: bin.low,
                closed: bin.is_tie(),
                positives: bin.positives,
                rows: bin.positives + bin.negatives,
            };
            // What falls, and what is equal, is one step.
            while let Some(last) =
                blocks.pop_if(|last| last.positives * block.rows >= block.positives * last.rows)
            {
                block = Block {
                    positives: last.positives + block.positives,
                    rows: last.rows + block.rows,
                    ..last
                };
            }
            blocks.push(block);
        }
        if let Some(first) = blocks.first_mut() {
            (first.from, first.closed) = (0.0, true);
        }
        let step = |block: Block| CalibratorStep {
            from: block.from,
            closed: block.closed,
            value: block.positives / block.rows,
        };
        let steps: Vec<CalibratorStep> = blocks.into_iter().map(step).collect();
        (!steps.is_empty()).then_some(Calibrator { steps })
    }

    /// Its steps, by score.
    pub fn steps(&self) -> &[CalibratorStep] {
        &self.steps
    }

    /// The scores at which it rises: cut points of every histogram that it is asked about.
    pub fn breaks(&self) -> Vec<f64> {
        let mut breaks: Vec<f64> = self.steps.iter().map(|step| step.from).collect();
        breaks.dedup();
        breaks
    }

    /// The share of positives that a score stands for.
    pub fn value(&self, score: f64) -> f64 {
        self.after(|step| step.from < score || (step.from == score && step.closed))
    }

    /// That of the scores between two neighbouring cut points, or at one where both are the same.
    pub fn value_between(&self, low: f64, high: f64) -> f64 {
        if low == high { self.value(low) } else { self.after(|step| step.from <= low) }
    }

    /// How far shares of positives lie from what it says, over its steps and without bias: held against
    /// rows that it was not fitted on.
    pub fn error_on(&self, bins: &[ScoreBin]) -> f64 {
        let mut by_step: Vec<(f64, CalibrationBin)> = Vec::new();
        for bin in bins {
            let value = self.value_between(bin.low, bin.high);
            if by_step.last().is_none_or(|&(last, _)| last != value) {
                by_step.push((value, CalibrationBin::default()));
            }
            if let Some((_, step)) = by_step.last_mut() {
                let rows = bin.positives + bin.negatives;
                step.rows += rows;
                step.positives += bin.positives;
                step.probability_sum += value * rows;
            }
        }
        let steps: Vec<CalibrationBin> = by_step.into_iter().map(|(_, step)| step).collect();
        debiased_error(&steps)
    }

    fn after(&self, is_reached: impl Fn(&CalibratorStep) -> bool) -> f64 {
        let reached = self.steps.partition_point(is_reached);
        let step = self.steps.get(reached.saturating_sub(1));
        step.map_or(0.0, |step| step.value)
    }
}

impl TryFrom<Vec<CalibratorStep>> for Calibrator {
    type Error = QualityError;

    fn try_from(steps: Vec<CalibratorStep>) -> Result<Calibrator, QualityError> {
        Calibrator::new(steps)
    }
}

impl From<Calibrator> for Vec<CalibratorStep> {
    fn from(calibrator: Calibrator) -> Vec<CalibratorStep> {
        calibrator.steps
    }
}
