//! What was written: a YAML document as a tree in which every key and value knows its place.
//!
//! Scalars stay text, because the reader knows better than YAML which of them is a number:
//! `version: 4` and `version: "4"` are the same to it, and `no` is a word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options};
use serde_saphyr::{Location, Spanned};

/// Deeper nesting is refused: no key of ours lies deeper than seven levels, and the tree is walked
/// recursively.
const DEPTH: usize = 32;
/// More nodes are refused, aliases included: 2000 models of 500 keys fit.
const NODES: usize = 2_000_000;

/// A place in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) file: usize,
    /// Counted from 1; 0 stands for the whole file.
    pub(crate) line: usize,
    /// Counted from 1.
    pub(crate) column: usize,
}

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Written,
}

/// What a value is. Deliberately without `Debug`: the texts may be secrets.
#[derive(Clone)]
pub(crate) enum Written {
    /// Nothing, `~` or `null`: read as if the key were not there.
    Null,
    /// Text, number or boolean, as written.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file, duplicates included.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: At,
    pub(crate) value: Node,
}

/// Why a document could not be read at all.
pub(crate) struct SyntaxError {
    pub(crate) at: At,
    pub(crate) message: String,
}

/// Reads the text of file number `file`.
pub(crate) fn parse(text: &str, file: usize) -> Result<Node, SyntaxError> {
    let whole_file = At { file, line: 0, column: 0 };
    if text.trim().is_empty() {
        return Ok(Node { at: whole_file, value: Written::Null });
    }
    let raw: Raw =
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| SyntaxError {
            at: error.location().map_or(whole_file, |location| place(file, location)),
            message: sentence(&error),
        })?;
    Source { text, file }.node(raw)
}

/// `own` with what it does not say taken from `defaults`; maps are joined key by key.
pub(crate) fn merge(own: &Node, defaults: &Node) -> Node {
    let (Written::Map(own_entries), Written::Map(default_entries)) = (&own.value, &defaults.value)
    else {
        return own.clone();
    };
    let defaults: BTreeMap<&str, &Entry> =
        default_entries.iter().rev().map(|entry| (entry.key.as_str(), entry)).collect();
    let own_keys: BTreeSet<&str> = own_entries.iter().map(|entry| entry.key.as_str()).collect();
    let mut entries: Vec<Entry> = own_entries
        .iter()
        .map(|entry| match defaults.get(entry.key.as_str()) {
            Some(other) => Entry {
                key: entry.key.clone(),
                key_at: entry.key_at,
                value: merge(&entry.value, &other.value),
            },
            None => entry.clone(),
        })
        .collect();
    let missing = |entry: &&Entry| !own_keys.contains(entry.key.as_str());
    entries.extend(default_entries.iter().filter(missing).cloned());
    Node { at: own.at, value: Written::Map(entries) }
}

fn options() -> Options {
    let mut options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    if let Some(budget) = &mut options.budget {
        budget.max_depth = DEPTH;
        budget.max_nodes = NODES;
        budget.max_events = 2 * NODES;
        // Two thousand models may share one anchor: what aliases may cost is bounded by what they
        // replay, below.
        budget.enforce_alias_anchor_ratio = false;
    }
    options.alias_limits.max_total_replayed_events = NODES;
    options
}

/// What is wrong, without the place, which [`crate::Problem`] prints, and without advice to
/// programmers.
fn sentence(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::Budget { .. } = error.without_snippet() {
        return "too large, or nested too deeply".to_owned();
    }
    let message = error.without_snippet().to_string();
    let line = message.lines().next().unwrap_or_default();
    let line = line.split(" at line ").next().unwrap_or_default();
    line.split(';').next().unwrap_or_default().trim().to_owned()
}

fn place(file: usize, location: Location) -> At {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    At { file, line: number(location.line()), column: number(location.column()) }
}

/// A value as the deserializer gives it, before numbers get their spelling back.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Null,
    Text(String),
    /// A plain scalar that YAML takes for a number or boolean, in canonical spelling.
    Typed(String),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawValue, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Typed(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}

struct Source<'a> {
    text: &'a str,
    file: usize,
}

impl Source<'_> {
    fn node(&self, Raw(raw): Raw) -> Result<Node, SyntaxError> {
        let at = place(self.file, raw.defined);
        let value = match raw.value {
            RawValue::Null => Written::Null,
            RawValue::Text(text) => Written::Scalar(text),
            RawValue::Typed(canonical) => Written::Scalar(self.spelling(raw.defined, canonical)),
            RawValue::List(items) => Written::List(
                items.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?,
            ),
            RawValue::Map(entries) => Written::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| self.entry(key, value))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Node { at, value })
    }

    fn entry(&self, key: Raw, value: Raw) -> Result<Entry, SyntaxError> {
        let key = self.node(key)?;
        let Written::Scalar(name) = key.value else {
            return Err(SyntaxError { at: key.at, message: "a key must be a text".to_owned() });
        };
        Ok(Entry { key: name, key_at: key.at, value: self.node(value)? })
    }

    /// The scalar as written (`0.10`, `007`), where that is its plain spelling; else `canonical`.
    fn spelling(&self, location: Location, canonical: String) -> String {
        let span = location.span();
        let written = span.byte_offset().zip(span.byte_len()).and_then(|(from, bytes)| {
            let from = usize::try_from(from).ok()?;
            let to = from.checked_add(usize::try_from(bytes).ok()?)?;
            self.text.get(from..to)
        });
        match written {
            Some(written)
                if written.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c)) =>
            {
                written.to_owned()
            }
            _ => canonical,
        }
    }
}
