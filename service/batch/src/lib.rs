//! Comparisons, baselines and backtests over files, as a library: what the commands print is theirs.

pub mod backtest;
pub mod baseline;
pub mod check;
pub mod prospect;
pub mod sagemaker;
pub mod setups;

mod audience;
mod error;
mod reading;
mod stream;

pub use audience::{Audience, Progress};
pub use error::BatchError;
pub use reading::{FileRows, RowSource, Surveyed, coerced, say_passed_over};
