//! What a reader may rely on: no tuples to be untied, one meaning for each name, a sentence for each public item.

use std::collections::BTreeMap;

use super::source::{Source, block_length, sources, split_at_commas};
use super::{found, none};

/// Functions that take tuples: what is passed together is a type with names.
fn tuples(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (at, name, parameters) in functions(&source.code) {
            for parameter in split_at_commas(parameters).into_iter().filter(|it| is_tuple(it)) {
                let parameter = parameter.split_whitespace().collect::<Vec<_>>().join(" ");
                faults.push(format!(
                    "{}:{}: {name} takes a tuple, `{parameter}`: give it a name, or two parameters",
                    source.path,
                    source.line(at)
                ));
            }
        }
    }
    faults
}

/// Whether a parameter is taken apart, or of a type that would have to be.
fn is_tuple(parameter: &str) -> bool {
    let (pattern, kind) = parameter.split_once(": ").unwrap_or((parameter, ""));
    let kind = kind.trim_start_matches('&');
    let kind = match kind.strip_prefix('\'') {
        Some(lifetime) => lifetime.split_once(' ').map_or("", |(_, kind)| kind),
        None => kind,
    };
    let kind = kind.trim_start().trim_start_matches("mut ");
    let starts_one = |text: &str| text.starts_with('(') && !text.starts_with("()");
    starts_one(pattern.trim_start()) || starts_one(kind)
}

/// The functions of some code: where, name and parameters.
fn functions(code: &str) -> Vec<(usize, &str, &str)> {
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_a_word = at == 0 || !is_name(code.as_bytes()[at - 1] as char);
        let behind = &code[at + "fn ".len()..];
        let name = behind.split(|c| !is_name(c)).next().unwrap_or_default();
        let Some(open) = parameters_at(&behind[name.len()..]).filter(|_| !name.is_empty()) else {
            continue;
        };
        if starts_a_word {
            let from = name.len() + open;
            let length = block_length(&behind[from..]);
            functions.push((at, name, &behind[from + 1..from + length - 1]));
        }
    }
    functions
}

/// Where the parameters begin behind a name, past its generics.
fn parameters_at(behind: &str) -> Option<usize> {
    let (mut depth, mut before) = (0, ' ');
    for (at, letter) in behind.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            '(' if depth == 0 => return Some(at),
            _ => {}
        }
        before = letter;
    }
    None
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// An item at the left margin, as rustfmt leaves those of a module.
struct Item<'s> {
    path: &'s str,
    line: usize,
    /// Whether other packages see it.
    public: bool,
    kind: &'s str,
    name: &'s str,
    documented: bool,
}

const KINDS: [&str; 6] = ["struct", "enum", "trait", "type", "union", "fn"];

/// The items of a source; of `impl` blocks the functions, which stand one step in.
fn items(source: &Source) -> Vec<Item<'_>> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut items = Vec::new();
    for (index, line) in source.code.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let mut words = line.trim_start().split([' ', '<', '(']);
        let mut word = words.next().unwrap_or_default();
        let public = line.trim_start().starts_with("pub ");
        while ["pub", "crate)", "super)", "const", "async", "unsafe"].contains(&word) {
            word = words.next().unwrap_or_default();
        }
        let name = words.next().unwrap_or_default().trim_matches(|c| !is_name(c));
        let stands = indent == 0 || (indent == 4 && word == "fn");
        let Some(kind) = KINDS.iter().find(|kind| **kind == word).filter(|_| stands) else {
            continue;
        };
        let documented = is_documented(&lines[..index]);
        let (path, line) = (source.path.as_str(), index + 1);
        items.push(Item { path, line, public, kind, name, documented });
    }
    items
}

/// Whether the lines end with a doc comment, attributes aside.
fn is_documented(above: &[&str]) -> bool {
    let mut inside_an_attribute = false;
    for line in above.iter().rev().map(|line| line.trim()) {
        match line {
            _ if line.starts_with("///") => return true,
            _ if line.starts_with("#[") => inside_an_attribute = false,
            _ if inside_an_attribute => {}
            _ if line.ends_with(")]") || line == "]" => inside_an_attribute = true,
            _ => return false,
        }
    }
    false
}

/// Public items without a sentence. Fields and variants need one only where their names do not say it all.
fn undocumented(sources: &[Source]) -> Vec<String> {
    let items = sources.iter().flat_map(items);
    let faults = items.filter(|item| item.public && !item.documented).map(|item| {
        let Item { path, line, kind, name, .. } = item;
        format!("{path}:{line}: say in a sentence what {kind} {name} is for")
    });
    faults.collect()
}

/// Types that share their name with another one of the package.
fn twice(sources: &[Source]) -> Vec<String> {
    let mut known: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for source in sources {
        for item in items(source).into_iter().filter(|item| item.kind != "fn") {
            let Item { path, line, name, .. } = item;
            let place = format!("{path}:{line}");
            known.entry((package_of(path), name)).or_default().push(place);
        }
    }
    let faults = known.into_iter().filter(|(_, places)| places.len() > 1);
    let faults = faults.map(|((_, name), places)| {
        format!("{}: {name} is two things: rename one", places.join(", "))
    });
    faults.collect()
}

/// The folder of a source's package.
fn package_of(path: &str) -> &str {
    path.find("src/").map_or(path, |at| &path[..at])
}

#[test]
fn no_function_takes_a_tuple() {
    none(&tuples(&sources()));
    let planted = |text: &str| tuples(&[Source::new("src/a.rs", text)]);
    found(&planted("fn a((b, c): (u8, u8)) {}"), "src/a.rs:1: a takes a tuple, `(b, c): (u8, u8)`");
    found(&planted("fn a<F: Fn(u8) -> u8>(b: u8, c: &mut (u8, u8)) {}"), "`c: &mut (u8, u8)`");
    found(&planted("fn a<'l>(b: &'l (u8, u8)) {}"), "takes a tuple");
    none(&planted("fn a(b: &[(u8, u8)], c: impl Fn((u8, u8))) { d(|(e, f)| e); }"));
}

#[test]
fn no_package_has_two_types_of_one_name() {
    none(&twice(&sources()));
    let source = |path: &str| Source::new(path, "pub(crate) struct Planted {}\n");
    let faults = twice(&[source("web/src/a.rs"), source("web/src/b.rs")]);
    found(&faults, "web/src/a.rs:1, web/src/b.rs:1: Planted is two things");
    none(&twice(&[source("web/src/a.rs"), source("store/src/a.rs")]));
}

#[test]
fn every_public_item_says_what_it_is_for() {
    none(&undocumented(&sources()));
    let planted = |text: &str| undocumented(&[Source::new("src/a.rs", text)]);
    found(
        &planted("#[derive(Debug)]\npub struct A { pub b: u8 }\n"),
        "src/a.rs:2: say in a sentence",
    );
    found(&planted("/// A.\npub struct A;\nimpl A {\n    pub fn b() {}\n}\n"), "what fn b is for");
    none(&planted("/// A.\n#[derive(Debug)]\npub struct A;\nfn b() {}\n"));
}
