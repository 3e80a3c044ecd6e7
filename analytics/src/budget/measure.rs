//! What is measured of a column: its distribution, its parts, and the shares of what it should not have.

use serde::{Deserialize, Serialize};

use super::coarse::{CellRule, CoarseColumn, CoarseGrid, ColumnGrid};
use super::effect::{self, Tally};
use crate::baseline::Baseline;

/// Numeric predictions with at most so many values are classes.
const CLASSES: usize = 20;
/// The median of the Kolmogorov distribution: what √n times the distance is where nothing changed.
const KOLMOGOROV_MEDIAN: f64 = 0.8276;

/// What is measured of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Measured {
    /// The whole of it: Kolmogorov-Smirnov for numbers, total variation for categories.
    Distribution,
    /// The same without the one value that over half of the rows have.
    OtherPart,
    /// The share of one class of a prediction: the place of its cell.
    Class(u32),
    Missing,
    WrongType,
    /// Values that the baseline does not have.
    NewValues,
}

/// What is measured of which column of the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Place of the column in the baseline.
    pub(crate) column: usize,
    pub(crate) what: Measured,
}

impl Measured {
    /// Whether it is a share of rows that ought not to be there.
    pub fn is_broken_input(self) -> bool {
        matches!(self, Measured::Missing | Measured::WrongType | Measured::NewValues)
    }

    /// Whether it is one share, and not a distribution.
    pub(crate) fn is_share(self) -> bool {
        self.is_broken_input() || matches!(self, Measured::Class(_))
    }
}

impl From<Measured> for String {
    fn from(what: Measured) -> String {
        match what {
            Measured::Distribution => "distribution".to_owned(),
            Measured::OtherPart => "other_part".to_owned(),
            Measured::Class(cell) => format!("class:{cell}"),
            Measured::Missing => "missing".to_owned(),
            Measured::WrongType => "wrong_type".to_owned(),
            Measured::NewValues => "new_values".to_owned(),
        }
    }
}

impl TryFrom<String> for Measured {
    type Error = String;

    fn try_from(text: String) -> Result<Measured, String> {
        Ok(match text.as_str() {
            "distribution" => Measured::Distribution,
            "other_part" => Measured::OtherPart,
            "missing" => Measured::Missing,
            "wrong_type" => Measured::WrongType,
            "new_values" => Measured::NewValues,
            _ => {
                let cell = text.strip_prefix("class:").and_then(|cell| cell.parse().ok());
                Measured::Class(cell.ok_or_else(|| format!("\"{text}\" is not measured"))?)
            }
        })
    }
}

impl CoarseGrid {
    /// Everything that is measured of the columns of the baseline it was made of.
    pub(crate) fn measures(&self, baseline: &Baseline) -> Vec<Measure> {
        let columns = self.columns().iter().zip(&baseline.columns).enumerate();
        columns
            .flat_map(|(index, (grid, column))| {
                let whats = grid.measured(column.subject().is_prediction());
                whats.into_iter().map(move |what| Measure { column: index, what })
            })
            .collect()
    }
}

impl ColumnGrid {
    fn measured(&self, prediction: bool) -> Vec<Measured> {
        let mut measured = Vec::new();
        if self.reference.values() > 0 && self.shape != CellRule::Unjudged {
            measured.push(Measured::Distribution);
            if self.has_other_part() {
                measured.push(Measured::OtherPart);
            }
            if prediction {
                measured.extend(self.classes().map(Measured::Class));
            }
        }
        if self.reference.rows() > 0 {
            measured.extend([Measured::Missing, Measured::WrongType]);
        }
        let new = match &self.shape {
            CellRule::Numeric { gaps_are_new, .. } => *gaps_are_new,
            CellRule::Categorical { .. } => self.reference.values() > 0,
            CellRule::Unjudged => false,
        };
        measured.extend(new.then_some(Measured::NewValues));
        measured
    }

    /// Whether over half of the values are one, and the rest are of several kinds.
    fn has_other_part(&self) -> bool {
        let kinds = |cells: &[u64]| cells.iter().filter(|&&count| count > 0).count();
        match &self.shape {
            CellRule::Numeric { apart, .. } => apart.is_some() && kinds(&self.reference.apart) > 1,
            CellRule::Categorical { .. } => {
                let (first, rest) = self.reference.cells.split_first().unwrap_or((&0, &[]));
                first * 2 > self.reference.values() && kinds(rest) > 1
            }
            CellRule::Unjudged => false,
        }
    }

    /// The cells that are one class of a prediction each. A class with over half of the rows is what
    /// the others leave.
    fn classes(&self) -> impl Iterator<Item = u32> {
        let cells = match &self.shape {
            CellRule::Categorical { judged } => (0..*judged as u32).step_by(1),
            CellRule::Numeric { ends, gaps_are_new: true, .. } if ends.len() <= 2 * CLASSES + 1 => {
                (1..ends.len() as u32).step_by(2)
            }
            _ => (0..0).step_by(1),
        };
        let (counts, values) = (&self.reference.cells, self.reference.values());
        cells.filter(move |&cell| {
            counts.get(cell as usize).is_some_and(|&count| count * 2 <= values)
        })
    }

    /// How far `window` is from `reference`, in millionths, and from how many rows; `None` where one
    /// of them has nothing. `expected` are the new values of own windows left out.
    pub(crate) fn effect(
        &self,
        what: Measured,
        window: &CoarseColumn,
        reference: &CoarseColumn,
        expected: Tally,
    ) -> Option<u32> {
        if what.is_share() {
            let against = match what {
                Measured::NewValues => expected,
                _ => self.counted(what, reference),
            };
            let counted = self.counted(what, window);
            return if what.is_broken_input() {
                effect::excess(counted, against)
            } else {
                effect::difference(counted, against)
            };
        }
        let (window, reference) = (self.cells(what, window), self.cells(what, reference));
        match &self.shape {
            CellRule::Numeric { .. } => {
                effect::kolmogorov_smirnov(window, reference).map(|(effect, _)| effect)
            }
            _ => effect::total_variation(window, reference),
        }
    }

    /// The cells that a distribution is compared over.
    pub(crate) fn cells<'a>(&self, what: Measured, column: &'a CoarseColumn) -> &'a [u64] {
        match (what, &self.shape) {
            (Measured::OtherPart, CellRule::Numeric { .. }) => &column.apart,
            (Measured::OtherPart, _) => column.cells.get(1..).unwrap_or_default(),
            _ => &column.cells,
        }
    }

    /// A share: how many, of how many.
    pub(crate) fn counted(&self, what: Measured, column: &CoarseColumn) -> Tally {
        let count = match what {
            Measured::Missing => column.missing,
            Measured::WrongType => column.wrong_type,
            Measured::NewValues => column.new_values,
            Measured::Class(cell) => column.cells.get(cell as usize).copied().unwrap_or(0),
            Measured::Distribution | Measured::OtherPart => 0,
        };
        Tally { count, of: self.rows(what, column) }
    }

    /// The rows that it is measured from.
    pub(crate) fn rows(&self, what: Measured, column: &CoarseColumn) -> u64 {
        match what {
            Measured::Missing | Measured::WrongType => column.rows(),
            Measured::OtherPart => self.cells(what, column).iter().sum(),
            Measured::Distribution | Measured::Class(_) | Measured::NewValues => column.values(),
        }
    }

    /// What a share is in the baseline, or of new values what is expected.
    pub(crate) fn share(&self, what: Measured, expected: Tally) -> Tally {
        match what {
            Measured::NewValues => expected,
            _ => self.counted(what, &self.reference),
        }
    }

    /// ν: what √n times the effect is by chance alone, by the baseline's shares.
    pub(crate) fn noise(&self, what: Measured, expected: Tally) -> f64 {
        if what.is_share() {
            let Tally { count, of } = self.share(what, expected);
            return share_noise(count as f64, of as f64);
        }
        let cells = self.cells(what, &self.reference);
        match &self.shape {
            CellRule::Numeric { .. } => KOLMOGOROV_MEDIAN,
            _ => total_variation_noise(cells),
        }
    }
}

/// √(p̃(1 − p̃)) with p̃ = (x + 1)/(N + 2): the deviation of one row's share, x of N.
pub(super) fn share_noise(count: f64, of: f64) -> f64 {
    let share = (count + 1.0) / (of + 2.0);
    libm::sqrt(share * (1.0 - share))
}

/// ½ Σ √(2p(1 − p)/π): the mean of √n times the total variation, cell by cell. Where all is one
/// category, that of a share that never came.
fn total_variation_noise(cells: &[u64]) -> f64 {
    let total = cells.iter().sum::<u64>() as f64;
    let of = |share: f64| libm::sqrt(2.0 * share * (1.0 - share) / std::f64::consts::PI);
    let noise = 0.5 * cells.iter().map(|&count| of(count as f64 / total)).sum::<f64>();
    if noise > 0.0 { noise } else { of(1.0 / (total + 2.0)) }
}
