//! One test per rule of RULES §4, on a small model with two features and a score.

mod rules;
mod shapes;
mod shares;
mod whole;

use super::fixture::{self, Case, CaseRow};
