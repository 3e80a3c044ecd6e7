//! What a data argument names: files of a known format, or a query over such files.

use std::fmt;

use super::error::FileError;
use super::input;
use super::paths::{Files, files};

/// Where rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Files of one format, with what they were named by.
    Files { argument: String, files: Files },
    /// `SELECT …` or `WITH … SELECT …` over files named in quotes.
    Query(String),
}

impl Source {
    /// Reads a data argument: a query where it starts with SELECT or WITH, the standard input for `-`, else
    /// a file, a folder, a pattern, or the same of an object store.
    ///
    /// # Errors
    /// No such file, an empty one, or a name that does not say its format.
    pub(crate) fn parse(argument: &str) -> Result<Source, FileError> {
        if is_query(argument) {
            return Ok(Source::Query(argument.trim().trim_end_matches(';').to_owned()));
        }
        let files = match argument {
            "-" => input::spool(std::io::stdin().lock())?,
            _ => files(argument)?,
        };
        Ok(Source::Files { argument: argument.to_owned(), files })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Query(query) => formatter.write_str(query),
            Source::Files { argument, .. } if argument == "-" => {
                formatter.write_str("standard input")
            }
            Source::Files { argument, .. } => formatter.write_str(argument),
        }
    }
}

fn is_query(argument: &str) -> bool {
    let first = argument.split_whitespace().next().unwrap_or_default();
    let more = argument.trim().len() > first.len();
    more && (first.eq_ignore_ascii_case("select") || first.eq_ignore_ascii_case("with"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::FileFormat;

    #[test]
    fn the_argument_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.parquet", "b.CSV", "c.jsonl", "d.ndjson", "e.txt", "f.csv.gz", "g.tsv"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::fs::write(at("empty.csv"), "").unwrap();
        let parse = |name: &str| Source::parse(at(name).to_str().unwrap());
        let format = |name: &str| match parse(name).unwrap() {
            Source::Files { files, .. } => {
                assert_eq!(files.paths, [at(name)]);
                files.format
            }
            Source::Query(query) => panic!("{query}"),
        };
        assert_eq!(format("a.parquet"), FileFormat::Parquet);
        for name in ["b.CSV", "f.csv.gz", "g.tsv"] {
            assert_eq!(format(name), FileFormat::Csv, "{name}");
        }
        for name in ["c.jsonl", "d.ndjson"] {
            assert_eq!(format(name), FileFormat::JsonLines, "{name}");
        }
        assert!(matches!(parse("e.txt"), Err(FileError::Extension { .. })));
        assert!(matches!(parse("f.csv"), Err(FileError::Missing { .. })));
        assert!(matches!(parse("empty.csv"), Err(FileError::Empty { .. })));
        assert!(matches!(Source::parse(""), Err(FileError::Missing { .. })));
        for query in ["SELECT 1", " select * from 'x.csv';", "WITH a AS (SELECT 1) SELECT *"] {
            assert!(matches!(Source::parse(query), Ok(Source::Query(_))), "{query}");
        }
        assert!(matches!(Source::parse("select.csv"), Err(FileError::Missing { .. })));
    }
}
