//! Rust sources as the rules look at them: without comments, texts and tests where these do not matter.

use super::files_with;

/// A Rust source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    /// The text with blanks for comments, for what stands between quotes, and for tests; of the same lines.
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Source {
        let code = if is_test(path) { String::new() } else { without_tests(&blanked(text)) };
        Source { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// The number of the line in which a byte of the code stands.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }
}

/// All Rust sources, tests included.
pub(super) fn sources() -> Vec<Source> {
    let files = files_with(&["rs"]);
    let sources: Vec<Source> =
        files.iter().map(|file| Source::new(&file.path, &file.text)).collect();
    let journey = |source: &Source| source.path == "service/pipeline/src/lib.rs";
    assert!(sources.iter().any(journey), "no sources were found");
    sources
}

/// Whether a file holds nothing but tests and what they need.
pub(super) fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folders = path.split('/').any(|folder| matches!(folder, "tests" | "benches" | "fuzz"));
    folders || name.ends_with("tests.rs") || matches!(name, "fixture.rs" | "fixtures.rs")
}

/// The text with blanks where comments are, and between quotes.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = blank_length(rest).unwrap_or(0);
        let kept = if length == 0 { first.len_utf8() } else { length };
        let (piece, behind) = rest.split_at(kept);
        match length {
            0 => code.push_str(piece),
            // Bytes for bytes, so that places in the code are places in the text.
            _ => code.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })),
        }
        // The r of r"…" is no end of a name.
        rest = behind;
    }
    code
}

/// How long the comment, text or character is that begins here; `None` where none does.
fn blank_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = 1 + hashes + 1;
            return Some(rest[from..].find(&end).map_or(rest.len(), |at| from + at + end.len()));
        }
        return None;
    }
    if rest.starts_with('"') {
        return Some(quoted_length(rest, '"'));
    }
    // A character, and no lifetime: those have no second quote behind their first letter.
    let mut inside = rest.strip_prefix('\'')?.chars();
    match (inside.next()?, inside.next()) {
        ('\\', _) | (_, Some('\'')) => Some(quoted_length(rest, '\'')),
        _ => None,
    }
}

/// The length of what stands between quotes, with them.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The code with blanks where `#[cfg(test)]` items are.
fn without_tests(code: &str) -> String {
    const TESTS: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    while let Some(from) = kept.find(TESTS) {
        let behind = &kept[from..];
        let ends = behind.find(['{', ';']).map_or(behind.len(), |at| match behind.as_bytes()[at] {
            b'{' => at + block_length(&behind[at..]),
            _ => at + 1,
        });
        let blanks: String =
            behind[..ends].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        kept.replace_range(from..from + ends, &blanks);
    }
    kept
}

/// The length of a block that begins with its bracket, of any kind.
pub(super) fn block_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The pieces between commas that stand in no bracket, blanks trimmed.
pub(super) fn split_at_commas(code: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    let mut before = ' ';
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            // The arrow of a function's type closes nothing.
            '>' if before == '-' || before == '=' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(code[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
        before = letter;
    }
    pieces.push(code[from..].trim());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[test]
fn comments_texts_and_tests_are_blank() {
    let text = "fn a<'l>() { b(\"x\\\"y\", r#\"z\"#, '\\'', '{'); } // c\n#[cfg(test)]\nmod tests { fn d() {} }\nfn e() {}\n";
    let source = Source::new("src/a.rs", text);
    let code: String = source.code.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, "fn a<'l>() { b( , , , ); } fn e() {}");
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.line(source.code.find("fn e").unwrap()), 4);
    assert_eq!(split_at_commas("a: (b, c), d: impl Fn(e) -> f, g: h<i, j>").len(), 3);
}
