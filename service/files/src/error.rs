//! What can be wrong with a file of rows, or with what was said about it.

use std::path::PathBuf;

use driftline_config::Subject;

/// Why rows cannot be read from a file or a query, or written to one. Every text says what and
/// where, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: no such file", path.display())]
    Missing { path: PathBuf },
    /// A folder or something else that is no file.
    #[error("{}: not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error(
        "{}: unknown format: the name must end in .parquet, .csv or .jsonl, or write a SELECT",
        path.display()
    )]
    Extension { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{name}: not readable as {format}: {detail}")]
    Format {
        name: String,
        /// `Parquet`, `CSV` or `JSON Lines`.
        format: &'static str,
        detail: String,
    },
    #[error("{name}:{line}: not one JSON object: {detail}")]
    Line {
        name: String,
        /// Counted from 1.
        line: u64,
        detail: String,
    },
    #[error("query {query:?}: {detail}")]
    Query {
        /// As it was written.
        query: String,
        detail: String,
    },
    #[error("{name}: no {what}")]
    Empty {
        /// File name or query, here and below.
        name: String,
        /// `columns` or `rows`.
        what: &'static str,
    },
    #[error("{name}: no column {column} ({option}); it has {columns}")]
    NoSuchColumn { name: String, column: String, option: &'static str, columns: String },
    #[error("{name}: columns {first} and {second} both are {subject}: rename or drop one of them")]
    Twice { name: String, first: String, second: String, subject: Subject },
    /// An option that says something impossible.
    #[error("{option}: {detail}")]
    Option {
        option: &'static str,
        /// What is wrong and what would be right.
        detail: String,
    },
    /// A value that must be read and cannot.
    #[error("{name}: row {row}: column {column} holds {value:?}: {detail}")]
    Value {
        name: String,
        /// Counted from 1.
        row: u64,
        column: String,
        value: String,
        /// What would be right.
        detail: String,
    },
    /// Arrow refuses, which would be a mistake of this program.
    #[error("{name}: {source}")]
    Arrow { name: String, source: arrow::error::ArrowError },
    /// A Parquet file cannot be written.
    #[error("{}: cannot be written: {detail}", path.display())]
    Write { path: PathBuf, detail: String },
}
