//! Why files cannot be compared, become a baseline or be run through a model's windows.

use std::path::PathBuf;

use arrow::error::ArrowError;
use driftline_analytics::baseline::BaselineError;
use driftline_analytics::baseline::build::BuildError;
use driftline_analytics::layout::LayoutError;
use driftline_files::FileError;

use crate::setups::LoadError;

/// What stands in the way of a result.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model's settings do not fit its baseline.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The rows do not become a baseline.
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("{}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}", path.display())]
    NotABaseline { path: PathBuf, source: BaselineError },
    #[error("{}: not as SageMaker Model Monitor writes it: {why}", path.display())]
    NotOfSageMaker { path: PathBuf, why: String },
    /// Windows need the event time of every row.
    #[error("{name}: write --time COLUMN: windows need the event time of every row")]
    NoTime { name: String },
    /// Rows cannot be put in order, which would be a mistake of this program.
    #[error("{name}: its rows cannot be put in order of time: {source}")]
    Order {
        /// What the rows are called, as by their file.
        name: String,
        source: ArrowError,
    },
    /// Rows that do not come from a file cannot be read.
    #[error(transparent)]
    Source(Box<dyn std::error::Error + Send + Sync>),
}
