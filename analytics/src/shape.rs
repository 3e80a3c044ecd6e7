//! The two distributions behind a finding, small enough to keep and to draw.

use serde::{Deserialize, Serialize};

use crate::report::Ordered;

/// How the values of one subject are spread in the baseline and in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// Of numbers.
    Numeric {
        /// Ascending in all three.
        points: Vec<NumericPoint>,
    },
    /// Of texts.
    Categorical {
        /// The baseline's largest first, and last all others together.
        categories: Vec<CategoryPoint>,
    },
}

/// A value, and how much lies at or below it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumericPoint {
    /// The value: a cut point of the baseline, or an end.
    pub x: Ordered,
    /// Share of the baseline's values at or below it.
    pub reference: f64,
    /// Share of the window's values at or below it.
    pub window: f64,
}

/// A category, and how much of both sides it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryPoint {
    /// Its text; `None` for all others together, and for private columns.
    pub category: Option<String>,
    /// Share of the baseline's values.
    pub reference: f64,
    /// Share of the window's values.
    pub window: f64,
}
