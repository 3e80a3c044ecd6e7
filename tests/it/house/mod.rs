//! House rules that no compiler checks. Each is a function over packages or texts that names every fault with
//! what to do, so that it is tried on a planted one as well as on the repository.

mod dependencies;
mod documents;
mod layout;
mod lookups;
mod purity;
mod source;
mod style;

use std::fs;
use std::path::{Path, PathBuf};

/// Fails with every fault at once; each names its file and what to do.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// That a planted fault, and it alone, is found in these words.
fn found(faults: &[String], words: &str) {
    assert!(faults.len() == 1 && faults[0].contains(words), "{words}:\n{}", faults.join("\n"));
}

/// A file: path from the root, and text.
#[derive(Debug, Clone)]
struct Document {
    path: String,
    text: String,
}

/// What is written for operators: documents, and what is deployed.
fn documents() -> Vec<Document> {
    let mut documents = files_with(&["md", "yaml", "yml", "json", "html"]);
    documents.retain(|Document { path, .. }| {
        let beside_the_sources = !path.contains('/') && path.ends_with(".md");
        beside_the_sources || path.starts_with("docs/") || path.starts_with("deploy/")
    });
    assert!(documents.iter().any(|file| file.path == "README.md"), "README.md was not found");
    documents
}

/// The files of the repository with one of these endings.
fn files_with(endings: &[&str]) -> Vec<Document> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    let wanted = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    let paths = paths.into_iter().filter(wanted).map(|path| relative(&path));
    let mut files: Vec<Document> = paths.map(|path| Document { text: read(&path), path }).collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// Everything below a folder but hidden folders and what tools build and mark as theirs.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !path.is_dir() {
            paths.push(path);
        } else if !name.starts_with('.') && name != "target" && !path.join("CACHEDIR.TAG").exists()
        {
            walk(&path, paths);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}
