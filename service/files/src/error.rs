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
        "{}: unknown format: the name must end in .parquet, .arrow, .feather, .csv, .tsv, .jsonl (these three also with .gz), or write a SELECT",
        path.display()
    )]
    Extension { path: PathBuf },
    #[error(
        "{pattern}: no file matches; * stands for anything within one folder, ** for folders of any depth"
    )]
    NoMatch { pattern: String },
    #[error("{}: {detail}", path.display())]
    Folder { path: PathBuf, detail: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{name}: not readable as {format}: {detail}")]
    Format {
        name: String,
        /// `Parquet`, `Arrow`, `CSV` or `JSON Lines`.
        format: &'static str,
        detail: String,
    },
    /// Objects of a store that cannot be listed or read.
    #[error("{url}: {detail}")]
    Objects {
        url: String,
        /// What the store says, and what to do where that is known.
        detail: String,
    },
    #[error("{name}:{line}: not one JSON object: {detail}")]
    Line {
        name: String,
        /// Counted from 1.
        line: u64,
        detail: String,
    },
    /// A row of a file that has no types of its own.
    #[error("{name}: row {row} (line {line}): {detail}")]
    Row {
        name: String,
        /// Counted from 1, without the header; 0 is the header.
        row: u64,
        /// Where the row begins, counted from 1.
        line: u64,
        /// What is wrong, and in which column.
        detail: String,
    },
    /// JSON that is not one object per line.
    #[error("{name}: {what}: write one object per line{how}")]
    Shape {
        name: String,
        /// What it is.
        what: &'static str,
        /// Which call writes it, where that is known.
        how: &'static str,
    },
    #[error("{name}: no rows: {why}")]
    NoRows {
        name: String,
        /// What the lines are instead.
        why: String,
    },
    #[error("{name}: two columns are named {column:?}: rename or drop one of them in the file")]
    Duplicate { name: String, column: String },
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
    #[error(
        "{name}: no columns to compare: all were skipped; --categorical takes one in ({skipped})"
    )]
    NothingLeft {
        name: String,
        /// Which, and why.
        skipped: String,
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
