//! Ascending cut points, kept once for a baseline and for the index over them.

use std::ops::Deref;
use std::sync::Arc;

/// How many numbers beyond the last may be looked at.
pub(super) const PADDING: usize = 4;

/// Cut points, read as a slice. A clone shares them.
#[derive(Debug, Clone)]
pub struct CutList {
    /// The cut points, then NaN, which is neither below nor at any value.
    padded: Arc<[f64]>,
    length: usize,
}

impl CutList {
    /// The cut points, and [`PADDING`] times NaN.
    #[inline(always)]
    pub(super) fn padded(&self) -> &[f64] {
        &self.padded
    }
}

impl Deref for CutList {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        // The padding was added by `from`.
        self.padded.get(..self.length).unwrap_or_default()
    }
}

impl PartialEq for CutList {
    fn eq(&self, other: &CutList) -> bool {
        **self == **other
    }
}

impl From<&[f64]> for CutList {
    fn from(cut_points: &[f64]) -> CutList {
        let padding = std::iter::repeat_n(f64::NAN, PADDING);
        CutList {
            padded: cut_points.iter().copied().chain(padding).collect(),
            length: cut_points.len(),
        }
    }
}

impl From<Vec<f64>> for CutList {
    fn from(cut_points: Vec<f64>) -> CutList {
        CutList::from(cut_points.as_slice())
    }
}

impl FromIterator<f64> for CutList {
    fn from_iter<I: IntoIterator<Item = f64>>(cut_points: I) -> CutList {
        CutList::from(cut_points.into_iter().collect::<Vec<f64>>())
    }
}
