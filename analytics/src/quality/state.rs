//! Quality of one window and version, of whichever kind: add, subtract, merge, bytes.

use super::QualityError;
use super::binary::{BinaryLayout, BinaryPair, BinaryState};
use super::classes::{ClassPair, ClassesLayout, ClassesState};
use super::figure::{Figures, Metric};
use super::fixed::Change;
use super::intervals::MeanOf;
use super::number::{NumberPair, NumberState};
use super::weight::{SampleWeight, Weighing};
use crate::encoding::{DecodeError, Reader};

/// The bytes of a state begin with this.
const ENCODING: u8 = 1;

/// By what the quality of a model is counted; it follows from its baseline and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum QualityLayout {
    Binary(BinaryLayout),
    Classes(ClassesLayout),
    Number,
}

/// A prediction with its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Graded {
    Binary(BinaryPair),
    Classes(ClassPair),
    Number(NumberPair),
}

/// Sums that a label is added to, and taken from when it is corrected or retracted. Whatever the order and
/// the split, the same labels give the same bytes; none left gives those of the zero state.
#[derive(Debug, Clone, PartialEq)]
pub enum QualityState {
    Binary(Box<BinaryState>),
    Classes(Box<ClassesState>),
    Number(Box<NumberState>),
}

impl QualityLayout {
    /// The zero state.
    pub fn zero(&self) -> QualityState {
        match self {
            QualityLayout::Binary(_) => QualityState::Binary(Box::default()),
            QualityLayout::Classes(_) => QualityState::Classes(Box::default()),
            QualityLayout::Number => QualityState::Number(Box::default()),
        }
    }

    /// What is judged where the operator names nothing: log-loss, accuracy, mean absolute error.
    pub fn default_primary(&self) -> Metric {
        match self {
            QualityLayout::Binary(_) => Metric::LogLoss,
            QualityLayout::Classes(_) => Metric::Accuracy,
            QualityLayout::Number => Metric::Mae,
        }
    }

    fn tag(&self) -> u8 {
        match self {
            QualityLayout::Binary(_) => 1,
            QualityLayout::Classes(_) => 2,
            QualityLayout::Number => 3,
        }
    }
}

impl Graded {
    /// What the row adds to the loss that a fall is explained by: log-loss, for classes without
    /// probabilities the error, for numbers the absolute error.
    pub fn loss(&self) -> f64 {
        match self {
            Graded::Binary(pair) => pair.log_loss(),
            Graded::Classes(pair) => pair.log_loss().unwrap_or_else(|| pair.error()),
            Graded::Number(pair) => pair.error().abs(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Graded::Binary(_) => "a probability",
            Graded::Classes(_) => "one of several classes",
            Graded::Number(_) => "a number",
        }
    }
}

impl QualityState {
    /// Counts a label with the weight of its prediction.
    ///
    /// # Errors
    /// [`QualityError::Kind`] where `graded` is of another kind than layout and state.
    pub fn add(
        &mut self,
        layout: &QualityLayout,
        graded: Graded,
        weight: SampleWeight,
    ) -> Result<(), QualityError> {
        self.apply(layout, graded, weight, Change::Add)
    }

    /// Takes away what [`QualityState::add`] of the same counted: a correction subtracts what was said
    /// and adds what is said now, a retraction subtracts alone.
    ///
    /// # Errors
    /// As of [`QualityState::add`].
    pub fn subtract(
        &mut self,
        layout: &QualityLayout,
        graded: Graded,
        weight: SampleWeight,
    ) -> Result<(), QualityError> {
        self.apply(layout, graded, weight, Change::Subtract)
    }

    fn apply(
        &mut self,
        layout: &QualityLayout,
        graded: Graded,
        weight: SampleWeight,
        change: Change,
    ) -> Result<(), QualityError> {
        match (self, layout, graded) {
            (QualityState::Binary(state), QualityLayout::Binary(layout), Graded::Binary(pair)) => {
                state.apply(layout, pair, weight, change);
            }
            (
                QualityState::Classes(state),
                QualityLayout::Classes(layout),
                Graded::Classes(pair),
            ) => state.apply(layout, pair, weight, change),
            (QualityState::Number(state), QualityLayout::Number, Graded::Number(pair)) => {
                state.apply(pair, weight, change);
            }
            (state, ..) => return Err(state.refused(graded.kind())),
        }
        Ok(())
    }

    /// Adds everything `other` counted by the same layout.
    ///
    /// # Errors
    /// [`QualityError::Kind`] where it is of another kind.
    pub fn merge(&mut self, other: &QualityState) -> Result<(), QualityError> {
        match (self, other) {
            (QualityState::Binary(state), QualityState::Binary(other)) => state.merge(other),
            (QualityState::Classes(state), QualityState::Classes(other)) => state.merge(other),
            (QualityState::Number(state), QualityState::Number(other)) => state.merge(other),
            (state, other) => return Err(state.refused(other.kind())),
        }
        Ok(())
    }

    /// Labels counted; below zero in an increment that takes more away than it brings.
    pub fn rows(&self) -> i64 {
        match self {
            QualityState::Binary(state) => state.rows(),
            QualityState::Classes(state) => state.rows(),
            QualityState::Number(state) => state.rows(),
        }
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        match self {
            QualityState::Binary(state) => size_of::<BinaryState>() + state.bytes(),
            QualityState::Classes(state) => size_of::<ClassesState>() + state.bytes(),
            QualityState::Number(state) => size_of::<NumberState>() + state.bytes(),
        }
    }

    /// All figures in one map: for probabilities those at the first threshold among them. `None` without
    /// rows, for an increment, and where the layout is of another kind.
    pub fn figures(&self, layout: &QualityLayout, weighing: &Weighing, z: f64) -> Option<Figures> {
        match (self, layout) {
            (QualityState::Binary(state), QualityLayout::Binary(layout)) => {
                let found = state.figures(layout, weighing, z)?;
                let mut figures = found.figures;
                figures.extend(
                    found.at_thresholds.into_iter().next().into_iter().flat_map(|at| at.figures),
                );
                Some(figures)
            }
            (QualityState::Classes(state), QualityLayout::Classes(layout)) => {
                Some(state.figures(layout, weighing, z)?.figures)
            }
            (QualityState::Number(state), QualityLayout::Number) => {
                Some(state.figures(weighing, z)?.figures)
            }
            _ => None,
        }
    }

    /// Mean and variance of a metric that is a mean over rows: log-loss, Brier score, mean absolute error;
    /// `None` for others.
    pub fn mean_of(&self, metric: Metric, weighing: &Weighing) -> Option<MeanOf> {
        match (self, metric) {
            (QualityState::Binary(state), Metric::LogLoss) => state.log_loss(weighing),
            (QualityState::Binary(state), Metric::Brier) => state.brier(weighing),
            (QualityState::Classes(state), Metric::LogLoss) => state.log_loss(weighing),
            (QualityState::Number(state), Metric::Mae) => state.absolute_error(weighing),
            _ => None,
        }
    }

    /// The bytes of the state, which are those of every state that counted the same.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![ENCODING, self.tag()];
        match self {
            QualityState::Binary(state) => state.encode(&mut out),
            QualityState::Classes(state) => state.encode(&mut out),
            QualityState::Number(state) => state.encode(&mut out),
        }
        out
    }

    /// The state that [`QualityState::to_bytes`] of this layout wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_bytes(layout: &QualityLayout, bytes: &[u8]) -> Result<QualityState, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(ENCODING)?;
        if reader.byte("the kind of quality")? != layout.tag() {
            return Err(DecodeError::Invalid { what: "the kind of quality" });
        }
        let state = match layout {
            QualityLayout::Binary(layout) => {
                QualityState::Binary(Box::new(BinaryState::decode(&mut reader, layout)?))
            }
            QualityLayout::Classes(layout) => {
                QualityState::Classes(Box::new(ClassesState::decode(&mut reader, layout)?))
            }
            QualityLayout::Number => {
                QualityState::Number(Box::new(NumberState::decode(&mut reader)?))
            }
        };
        reader.finish()?;
        Ok(state)
    }

    fn tag(&self) -> u8 {
        match self {
            QualityState::Binary(_) => 1,
            QualityState::Classes(_) => 2,
            QualityState::Number(_) => 3,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            QualityState::Binary(_) => "a probability",
            QualityState::Classes(_) => "one of several classes",
            QualityState::Number(_) => "a number",
        }
    }

    fn refused(&self, found: &'static str) -> QualityError {
        QualityError::Kind { found, wanted: self.kind() }
    }
}
