//! The figures of quality: their names, which direction is harmful, and a value with its intervals.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::intervals::Interval;
use crate::report::rounded;

/// A figure of quality, by the name under which it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    LogLoss,
    Brier,
    Auc,
    PrAuc,
    /// Largest distance between the scores of the classes.
    Ks,
    /// Expected calibration error over tenths, debiased.
    Ece,
    SpiegelhalterZ,
    /// Share of the positives among the labels.
    PositiveShare,
    Accuracy,
    Precision,
    Recall,
    F1,
    Mcc,
    BalancedAccuracy,
    MacroF1,
    WeightedF1,
    Kappa,
    /// Share of the labels among the three most likely classes.
    Top3,
    /// Share of the labels among the five most likely classes.
    Top5,
    /// Mean of prediction less label.
    Bias,
    Mae,
    Rmse,
    RSquared,
    Wmape,
    Mape,
    Rmsle,
    MedianAbsoluteError,
    P90AbsoluteError,
}

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Higher,
    Lower,
    /// Away from zero is worse on either side.
    NearZero,
    /// It describes, and is neither good nor bad.
    Neither,
}

/// A value with what is certain and what is likely of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    pub value: f64,
    /// With the confidence that was asked for, certified error included; where a formula gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Between which the figure of the very same rows lies, where counts at cut points leave it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified: Option<Interval>,
}

/// Figures by name.
pub type Figures = BTreeMap<Metric, Figure>;

impl Metric {
    /// Whether more of it is better, or less.
    pub fn direction(self) -> Direction {
        match self {
            Metric::LogLoss
            | Metric::Brier
            | Metric::Ece
            | Metric::Mae
            | Metric::Rmse
            | Metric::Wmape
            | Metric::Mape
            | Metric::Rmsle
            | Metric::MedianAbsoluteError
            | Metric::P90AbsoluteError => Direction::Lower,
            Metric::SpiegelhalterZ | Metric::Bias => Direction::NearZero,
            Metric::PositiveShare => Direction::Neither,
            _ => Direction::Higher,
        }
    }

    /// How much worse `value` is than `reference`: above zero where it is worse; 0 where the metric is
    /// neither good nor bad.
    pub fn harm(self, value: f64, reference: f64) -> f64 {
        match self.direction() {
            Direction::Higher => reference - value,
            Direction::Lower => value - reference,
            Direction::NearZero => value.abs() - reference.abs(),
            Direction::Neither => 0.0,
        }
    }

    /// As a sentence names it.
    pub fn words(self) -> &'static str {
        match self {
            Metric::LogLoss => "log-loss",
            Metric::Brier => "Brier score",
            Metric::Auc => "AUC",
            Metric::PrAuc => "PR-AUC",
            Metric::Ks => "KS of the classes",
            Metric::Ece => "calibration error",
            Metric::SpiegelhalterZ => "Spiegelhalter's Z",
            Metric::PositiveShare => "share of positives",
            Metric::Accuracy => "accuracy",
            Metric::Precision => "precision",
            Metric::Recall => "recall",
            Metric::F1 => "F1",
            Metric::Mcc => "Matthews correlation",
            Metric::BalancedAccuracy => "balanced accuracy",
            Metric::MacroF1 => "macro F1",
            Metric::WeightedF1 => "weighted F1",
            Metric::Kappa => "kappa",
            Metric::Top3 => "top-3 accuracy",
            Metric::Top5 => "top-5 accuracy",
            Metric::Bias => "bias",
            Metric::Mae => "mean absolute error",
            Metric::Rmse => "root mean squared error",
            Metric::RSquared => "R²",
            Metric::Wmape => "weighted absolute percentage error",
            Metric::Mape => "mean absolute percentage error",
            Metric::Rmsle => "root mean squared logarithmic error",
            Metric::MedianAbsoluteError => "median absolute error",
            Metric::P90AbsoluteError => "90th percentile of the absolute error",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.words())
    }
}

impl Figure {
    /// A value alone.
    pub fn plain(value: f64) -> Figure {
        Figure { value, interval: None, certified: None }
    }

    /// A value that is exact, with the interval of what it estimates.
    pub fn within(value: f64, interval: Option<Interval>) -> Figure {
        Figure { value, interval, certified: None }
    }

    /// As it is published: 12 significant digits.
    pub fn rounded(self) -> Figure {
        Figure {
            value: rounded(self.value),
            interval: self.interval.map(Interval::rounded),
            certified: self.certified.map(Interval::rounded),
        }
    }
}
