//! The files that a path, a folder or a pattern names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, glob_with};

use super::error::FileError;
use super::objects;

/// `*` stays within its folder, and what begins with a dot is hidden, as in a shell.
pub(crate) const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What a file holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Parquet,
    /// Arrow IPC, as a file or a stream.
    Arrow,
    Csv,
    JsonLines,
}

impl FileFormat {
    pub(crate) fn of(path: &Path) -> Option<FileFormat> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let (plain, packed) = match name.strip_suffix(".gz") {
            Some(plain) => (plain, true),
            None => (name.as_str(), false),
        };
        match plain.rsplit_once('.')?.1 {
            "parquet" | "parq" | "pq" if !packed => Some(FileFormat::Parquet),
            "arrow" | "arrows" | "feather" | "ipc" if !packed => Some(FileFormat::Arrow),
            "csv" | "tsv" => Some(FileFormat::Csv),
            "jsonl" | "ndjson" | "json" => Some(FileFormat::JsonLines),
            _ => None,
        }
    }
}

/// A folder of copies, gone when nobody needs them any more.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    pub(crate) folder: Arc<tempfile::TempDir>,
}

/// Files of one format.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) format: FileFormat,
    /// At least one, sorted.
    pub(crate) paths: Vec<PathBuf>,
    /// Folders named `key=value` that the files of a folder stand in.
    pub(crate) partitions: Vec<String>,
    /// The folder that holds the files, where they are copies of something else.
    pub(crate) copies: Option<Copies>,
}

/// The files that are meant: what exists is meant literally, whatever signs its name has; a folder
/// stands for the data files in it; everything else with `*`, `?` or `[…]` is a pattern. Objects of a
/// store are copied first.
pub(crate) fn files(argument: &str) -> Result<Files, FileError> {
    if objects::is_url(argument) {
        let copies = objects::fetch(argument)?;
        let files = of_folder(copies.folder.path())?;
        return Ok(Files { copies: Some(copies), ..files });
    }
    let path = Path::new(argument);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => of_folder(path),
        Ok(metadata) if metadata.is_file() => {
            let format = FileFormat::of(path);
            let format = format.ok_or_else(|| FileError::Extension { path: path.to_owned() })?;
            if metadata.len() == 0 {
                let name = argument.to_owned();
                return Err(FileError::Empty { name, what: "rows: 0 bytes" });
            }
            Ok(Files { format, paths: vec![path.to_owned()], partitions: Vec::new(), copies: None })
        }
        Ok(_) => Err(FileError::NotAFile { path: path.to_owned() }),
        Err(_) if argument.contains(['*', '?', '[']) => of_pattern(argument),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(FileError::Missing { path: path.to_owned() })
        }
        Err(source) => Err(FileError::Io { path: path.to_owned(), source }),
    }
}

fn of_pattern(pattern: &str) -> Result<Files, FileError> {
    let no_match = || FileError::NoMatch { pattern: pattern.to_owned() };
    let found = glob_with(pattern, OPTIONS).map_err(|_| no_match())?;
    let paths: Vec<PathBuf> = found.flatten().filter(|path| path.is_file()).collect();
    if paths.is_empty() {
        return Err(no_match());
    }
    let known = |path: PathBuf| match FileFormat::of(&path) {
        Some(format) => Ok((format, path)),
        None => Err(FileError::Extension { path }),
    };
    let paths = paths.into_iter().map(known).collect::<Result<Vec<_>, _>>()?;
    of_one_format(Path::new(pattern), paths)
}

/// The data files in a folder, however deep. What begins with a dot or an underscore belongs to the
/// program that wrote it.
fn of_folder(folder: &Path) -> Result<Files, FileError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let io = |source| FileError::Io { path: inner.clone(), source };
        for entry in std::fs::read_dir(&inner).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(['.', '_']) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Some(format) = FileFormat::of(&path) {
                found.push((format, path));
            }
        }
    }
    if found.is_empty() {
        let detail = "a folder without .parquet, .arrow, .csv or .jsonl files".to_owned();
        return Err(FileError::Folder { path: folder.to_owned(), detail });
    }
    of_one_format(folder, found)
}

fn of_one_format(place: &Path, mut found: Vec<(FileFormat, PathBuf)>) -> Result<Files, FileError> {
    found.sort_by(|left, right| left.1.cmp(&right.1));
    let format = found.first().map_or(FileFormat::Parquet, |(format, _)| *format);
    if found.iter().any(|(other, _)| *other != format) {
        let detail = "files of several formats: name those of one by a pattern, such as *.parquet";
        return Err(FileError::Folder { path: place.to_owned(), detail: detail.to_owned() });
    }
    let paths: Vec<PathBuf> = found.into_iter().map(|(_, path)| path).collect();
    let mut partitions = Vec::new();
    for path in &paths {
        for folder in path.strip_prefix(place).unwrap_or(path).parent().into_iter().flatten() {
            let key = folder.to_string_lossy().split_once('=').map(|(key, _)| key.to_owned());
            partitions.extend(key.filter(|key| !partitions.contains(key)));
        }
    }
    Ok(Files { format, paths, partitions, copies: None })
}
