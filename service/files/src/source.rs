//! What a data argument names: a file of a known format, or a query over such files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::FileError;

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `*.parquet`, `*.parq` or `*.pq`.
    Parquet(PathBuf),
    /// `*.csv`: comma separated, with a header.
    Csv(PathBuf),
    /// `*.jsonl` or `*.ndjson`: one object per line.
    JsonLines(PathBuf),
    /// `SELECT …` or `WITH … SELECT …` over files named in quotes.
    Query(String),
}

impl Source {
    /// Reads a data argument: a query where it starts with SELECT or WITH, else the path of a
    /// file that exists and is not empty.
    ///
    /// # Errors
    /// No such file, an empty one, or a name that does not say its format.
    pub fn parse(argument: &str) -> Result<Source, FileError> {
        if is_query(argument) {
            return Ok(Source::Query(argument.trim().trim_end_matches(';').to_owned()));
        }
        let path = Path::new(argument);
        let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
            _ => FileError::Io { path: path.to_owned(), source },
        })?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile { path: path.to_owned() });
        }
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        let source = match extension.as_deref().and_then(std::ffi::OsStr::to_str) {
            Some("parquet" | "parq" | "pq") => Source::Parquet(path.to_owned()),
            Some("csv") => Source::Csv(path.to_owned()),
            Some("jsonl" | "ndjson") => Source::JsonLines(path.to_owned()),
            _ => return Err(FileError::Extension { path: path.to_owned() }),
        };
        if metadata.len() == 0 {
            return Err(FileError::Empty { name: argument.to_owned(), what: "rows: 0 bytes" });
        }
        Ok(source)
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::Parquet(path) | Source::Csv(path) | Source::JsonLines(path) => Some(path),
            Source::Query(_) => None,
        }
    }

    /// Whether the values of all columns are text without a type.
    pub(crate) fn is_untyped(&self) -> bool {
        matches!(self, Source::Csv(_))
    }

    pub(crate) fn unreadable(&self, detail: impl fmt::Display) -> FileError {
        let detail = one_line(&detail.to_string());
        let name = self.to_string();
        match self {
            Source::Query(query) => {
                // A name in quotes is a table to DataFusion, and a file to whoever wrote it.
                let detail = match detail.split_once("table 'datafusion.public.") {
                    Some((_, table)) => {
                        format!("no readable file '{}", table.trim_end_matches(" not found"))
                    }
                    None => detail,
                };
                FileError::Query { query: query.clone(), detail }
            }
            Source::Parquet(_) => FileError::Format { name, format: "Parquet", detail },
            Source::Csv(_) => FileError::Format { name, format: "CSV", detail },
            Source::JsonLines(_) => FileError::Format { name, format: "JSON Lines", detail },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Query(query) => formatter.write_str(query),
            Source::Parquet(path) | Source::Csv(path) | Source::JsonLines(path) => {
                write!(formatter, "{}", path.display())
            }
        }
    }
}

fn is_query(argument: &str) -> bool {
    let first = argument.split_whitespace().next().unwrap_or_default();
    let more = argument.trim().len() > first.len();
    more && (first.eq_ignore_ascii_case("select") || first.eq_ignore_ascii_case("with"))
}

/// The first sentence or two of what a reader said: its further lines are backtraces and hints for
/// programmers.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.parquet", "b.CSV", "c.jsonl", "d.ndjson", "e.txt"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::fs::write(at("empty.csv"), "").unwrap();
        let parse = |name: &str| Source::parse(at(name).to_str().unwrap());
        assert_eq!(parse("a.parquet").unwrap(), Source::Parquet(at("a.parquet")));
        assert_eq!(parse("b.CSV").unwrap(), Source::Csv(at("b.CSV")));
        assert_eq!(parse("c.jsonl").unwrap(), Source::JsonLines(at("c.jsonl")));
        assert_eq!(parse("d.ndjson").unwrap(), Source::JsonLines(at("d.ndjson")));
        assert!(matches!(parse("e.txt"), Err(FileError::Extension { .. })));
        assert!(matches!(parse("f.csv"), Err(FileError::Missing { .. })));
        assert!(matches!(parse("empty.csv"), Err(FileError::Empty { .. })));
        assert!(matches!(parse(""), Err(FileError::NotAFile { .. })));
        for query in ["SELECT 1", " select * from 'x.csv';", "WITH a AS (SELECT 1) SELECT *"] {
            assert!(matches!(Source::parse(query), Ok(Source::Query(_))), "{query}");
        }
        assert!(matches!(Source::parse("select.csv"), Err(FileError::Missing { .. })));
    }
}
