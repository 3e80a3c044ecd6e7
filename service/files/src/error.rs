//! What can be wrong with a file of rows, or with what was said about it.

use std::path::PathBuf;

use driftline_config::Subject;

/// Why rows cannot be read from a file or a query, or written to one. Every text says what and
/// where, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    Missing {
        /// As it was named.
        path: PathBuf,
    },
    /// A folder or something else that is no file.
    #[error("{}: not a file", path.display())]
    NotAFile {
        /// As it was named.
        path: PathBuf,
    },
    /// The name does not say which format it is.
    #[error(
        "{}: unknown format: the name must end in .parquet, .csv or .jsonl, or write a SELECT",
        path.display()
    )]
    Extension {
        /// As it was named.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// As it was named.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The content is not of the format that the name says.
    #[error("{name}: not readable as {format}: {detail}")]
    Format {
        /// File name.
        name: String,
        /// `Parquet`, `CSV` or `JSON Lines`.
        format: &'static str,
        /// What the reader said.
        detail: String,
    },
    /// A line of JSON Lines that is no object.
    #[error("{name}:{line}: not one JSON object: {detail}")]
    Line {
        /// File name.
        name: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// DataFusion refuses the query.
    #[error("query {query:?}: {detail}")]
    Query {
        /// As it was written.
        query: String,
        /// What DataFusion said.
        detail: String,
    },
    /// No columns, or no rows.
    #[error("{name}: no {what}")]
    Empty {
        /// File name or query.
        name: String,
        /// `columns` or `rows`.
        what: &'static str,
    },
    /// A column that was named on the command line is not there.
    #[error("{name}: no column {column} ({option}); it has {columns}")]
    NoSuchColumn {
        /// File name or query.
        name: String,
        /// As it was named.
        column: String,
        /// The option that named it.
        option: &'static str,
        /// The columns there are.
        columns: String,
    },
    /// Two columns of the file are the same column of the model.
    #[error("{name}: columns {first} and {second} both are {subject}: rename or drop one of them")]
    Twice {
        /// File name or query.
        name: String,
        /// One column.
        first: String,
        /// The other.
        second: String,
        /// What both are.
        subject: Subject,
    },
    /// An option that says something impossible.
    #[error("{option}: {detail}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong and what would be right.
        detail: String,
    },
    /// A value that must be read and cannot.
    #[error("{name}: row {row}: column {column} holds {value:?}: {detail}")]
    Value {
        /// File name or query.
        name: String,
        /// Counted from 1.
        row: u64,
        /// Name of the column.
        column: String,
        /// What stands there.
        value: String,
        /// What would be right.
        detail: String,
    },
    /// Arrow refuses, which would be a mistake of this program.
    #[error("{name}: {source}")]
    Arrow {
        /// File name or query.
        name: String,
        /// What it said.
        source: arrow::error::ArrowError,
    },
    /// A Parquet file cannot be written.
    #[error("{}: cannot be written: {detail}", path.display())]
    Write {
        /// As it was named.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
}
