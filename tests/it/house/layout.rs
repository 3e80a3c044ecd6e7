//! What a file looks like: its opening, its length, nothing unfinished.

use super::source::{Source, is_test, sources};
use super::{Document, documents, files_with, found, none};

/// A file longer than this holds two things. Tests are lists and may be longer.
const LINES: usize = 600;
/// The map is read before anything else, in one go.
const LINES_OF_THE_MAP: usize = 200;

/// What nobody may leave behind, and what to do instead. Taken apart, since this file is searched too.
const LEFT_OVER: [(&str, &str); 5] = [
    (concat!("todo", "!("), "write it, or leave it out"),
    (concat!("unimplemented", "!("), "write it, or leave it out"),
    (concat!("FIX", "ME"), "do it, or open an issue"),
    (concat!("XX", "X"), "do it, or open an issue"),
    (concat!("#[", "ignore"), "make it pass, or remove the test"),
];

fn openings(sources: &[Source]) -> Vec<String> {
    let faults = sources.iter().filter_map(|Source { path, text, .. }| {
        let opening: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        match opening.last() {
            None => Some(format!(
                "{path}: begin the first line with `//! ` and say what the file is for"
            )),
            Some(last) if last.ends_with(['.', ':']) => None,
            Some(_) => Some(format!("{path}: end the opening `//!` sentence with a full stop")),
        }
    });
    faults.collect()
}

fn lengths(sources: &[Source], documents: &[Document]) -> Vec<String> {
    let sources = sources.iter().filter(|source| !is_test(&source.path));
    let sources = sources.map(|source| (&source.path, &source.text, LINES));
    let map = documents.iter().filter(|file| file.path == "ARCHITECTURE.md");
    let map = map.map(|file| (&file.path, &file.text, LINES_OF_THE_MAP));
    let faults = sources.chain(map).filter_map(|(path, text, most)| {
        let lines = text.lines().count();
        (lines > most)
            .then(|| format!("{path}: {lines} lines, at most {most}: split it by what it says"))
    });
    faults.collect()
}

fn left_overs(files: &[Document]) -> Vec<String> {
    let mut faults = Vec::new();
    for Document { path, text } in files {
        for (number, line) in (1..).zip(text.lines()) {
            for (word, instead) in LEFT_OVER.iter().filter(|(word, _)| line.contains(word)) {
                faults.push(format!("{path}:{number}: {word}: {instead}"));
            }
        }
    }
    faults
}

#[test]
fn every_source_file_opens_with_a_sentence_that_says_what_it_is_for() {
    none(&openings(&sources()));
    found(&openings(&[Source::new("a.rs", "fn a() {}\n")]), "say what the file is for");
    found(&openings(&[Source::new("a.rs", "//! A thing\n")]), "with a full stop");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    none(&lengths(&sources(), &documents()));
    let long = Source::new("src/a.rs", &"\n".repeat(601));
    found(&lengths(&[long], &[]), "601 lines, at most 600");
    let map = Document { path: "ARCHITECTURE.md".to_owned(), text: "\n".repeat(201) };
    found(&lengths(&[], &[map]), "201 lines, at most 200");
}

#[test]
fn nothing_is_left_unfinished() {
    none(&left_overs(&files_with(&["rs", "py"])));
    let text = format!("fn a() {{\n    {});\n}}\n", LEFT_OVER[0].0);
    let file = Document { path: "src/a.rs".to_owned(), text };
    found(&left_overs(&[file]), "src/a.rs:2: ");
}
