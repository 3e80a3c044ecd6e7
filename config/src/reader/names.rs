//! Names: which are valid, which stand twice, and which was meant.

use std::collections::BTreeMap;

use crate::reader::{Context, Value, wrong};
use crate::tree::{At, Entry, Node, Written};

impl Value<'_> {
    /// A name of ours: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    pub(crate) fn name(self) -> super::Read<String> {
        self.text_where(is_name, || {
            self.not("a name")
                .hint("up to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit")
        })
    }

    pub(crate) fn topic(self) -> super::Read<String> {
        self.text_where(is_topic, || {
            self.not("a topic name")
                .hint("up to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..`")
        })
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(inner)
}

fn is_topic(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&text.len()) && text.chars().all(inner) && text != "." && text != ".."
}

/// The names of a list of maps, also of those with which something else is wrong.
pub(crate) fn names_of<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> Vec<(&'n str, At)> {
    let name_of = |node: &'n Node| {
        let Written::Map(entries) = &node.value else { return None };
        // A template goes by its pattern.
        let named = |entry: &&Entry| entry.key == "name" || entry.key == "match";
        let entry = entries.iter().find(named)?;
        match &entry.value.value {
            Written::Scalar(text) => Some((text.as_str(), entry.value.at)),
            _ => None,
        }
    };
    nodes.into_iter().filter_map(name_of).collect()
}

/// Reports each name that was there before; `what` is whose name it is.
pub(crate) fn check_unique(context: &Context<'_>, what: &str, names: &[(&str, At)]) {
    let mut first: BTreeMap<&str, At> = BTreeMap::new();
    for (name, at) in names {
        let Some(before) = first.get(name) else {
            first.insert(name, *at);
            continue;
        };
        let file = context.file(before.file);
        let place = format!("{}:{}:{}", file.display(), before.line, before.column);
        let name = super::shorten(name);
        let message = format!("a {what} named `{name}` is already at {place}");
        context.report(*at, wrong(message).hint("names must be unique"));
    }
}

/// The known key that was meant, where one is near enough to be a slip.
pub(crate) fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    // Two slips in a long word, one in a short one. Longer texts are no slip of any key.
    if written.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|name| (edits(written, name), *name))
        .filter(|(distance, name)| *distance <= if name.len() > 4 { 2 } else { 1 })
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((other, diagonal), above) in right.iter().zip(&row).zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(character != *other);
            let beside = next.last().copied().unwrap_or_default() + 1;
            next.push(replaced.min(above + 1).min(beside));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
