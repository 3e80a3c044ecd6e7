//! The files: the one that was named, and those that it includes.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::reader::{Context, Read, Section, Value, wrong};
use crate::tree::{self, At, Node};

/// A pattern of `include` may match a log or a pipe without end; what is read is kept while it is parsed.
const FILE_BYTES: u64 = 16 << 20;

/// What stands at the top of the file itself, and may have been written into an included one.
const WORDS: [&str; 11] = [
    "alerts",
    "defaults",
    "http",
    "include",
    "kafka",
    "limits",
    "onnxruntime",
    "receivers",
    "reports",
    "shadow",
    "state",
];

/// Reads a file of the configuration; a failure is reported.
pub(super) fn read(context: &Context<'_>, path: &Path) -> Option<Node> {
    let problem = match text_of(path) {
        Ok(text) => return parse(context, path, &text),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            wrong(format!("the file is larger than {} MiB", FILE_BYTES >> 20))
                .hint("a configuration of thousands of models is smaller: is it one?")
        }
        Err(error) => wrong(format!("cannot read the file: {error}")),
    };
    let file = context.add_file(path.to_owned());
    context.report(At { file, line: 0, column: 0 }, problem);
    None
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let bytes = crate::read_file(path, FILE_BYTES)?;
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads the text of a file; a failure is reported.
pub(super) fn parse(context: &Context<'_>, path: &Path, text: &str) -> Option<Node> {
    let file = context.add_file(path.to_owned());
    match tree::parse(text, file) {
        Ok(node) => Some(node),
        Err(error) => {
            context.report(error.at, wrong(format!("not valid YAML: {}", error.message)));
            None
        }
    }
}

/// The documents that the `include` patterns match, each once, in order of their paths.
pub(super) fn included(context: &Context<'_>, path: &Path, patterns: &[Value<'_>]) -> Vec<Node> {
    let mut seen = BTreeSet::from([identity(path)]);
    let mut documents = Vec::new();
    for pattern in patterns {
        for file in pattern.get(matching).unwrap_or_default() {
            if seen.insert(identity(&file)) {
                documents.extend(read(context, &file));
            }
        }
    }
    documents
}

/// The models of included documents, which hold nothing else.
pub(super) fn models<'n>(context: &'n Context<'n>, documents: &'n [Node]) -> Vec<&'n Node> {
    let mut models = Vec::new();
    for document in documents {
        if let Some(mut section) = Section::of(context, document, "an included file") {
            models.extend(section.list("models").iter().map(|value| value.node));
            section.finish_unquoted(&WORDS);
        }
    }
    models
}

/// The same file under two spellings is one file.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The files that a pattern matches, sorted. A pattern that matches none is a problem: a model that
/// nobody watches must not go unnoticed.
fn matching(value: Value<'_>) -> Read<Vec<PathBuf>> {
    let pattern = value.path()?;
    let written = value.written()?;
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains('*') {
        return Err(wrong(format!("\"{written}\" has a `*` in the name of a folder"))
            .hint("`*` may stand in the name of the file only"));
    }
    if !name.contains('*') {
        return match std::fs::metadata(&pattern) {
            Ok(_) => Ok(vec![pattern]),
            Err(error) => Err(wrong(format!("cannot include \"{written}\": {error}"))),
        };
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(folder)
        .map_err(|error| wrong(format!("cannot list the folder of \"{written}\": {error}")))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|file| matches(name, file)))
        .map(|entry| pattern.with_file_name(entry.file_name()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    if files.is_empty() { Err(wrong(format!("\"{written}\" matches no file"))) } else { Ok(files) }
}

/// Whether `name` fits `pattern`, in which each `*` stands for any characters. Hidden files fit only
/// a pattern that starts with a dot.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters_of_a_file_name() {
        let table = [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("*.yaml", ".hidden.yaml", false),
            ("team-*.yaml", "team-ops.yaml", true),
            ("team-*.yaml", "ops.yaml", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("*", "anything", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
