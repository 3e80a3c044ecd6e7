//! Walks what was written key by key, and collects every problem on the way instead of stopping at
//! the first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::problem::{Problem, Problems};
use crate::tree::{At, Entry, Node, Written};

mod names;
mod value;

pub(crate) use names::{check_unique, is_name, names_of, nearest};
pub(crate) use value::{Read, Value, Wrong, shorten, wrong};

/// Problems of a kind that are told one by one: of a file that is something else there would be thousands.
const MOST_OF_A_KIND: usize = 20;
/// Keys that the contract names and that a coming version reads.
const NOT_BUILT_YET: [&str; 3] = ["budget", "labels", "segments"];

/// What one reading shares: the files, the environment, and the problems so far.
pub(crate) struct Context<'a> {
    files: RefCell<Vec<PathBuf>>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: RefCell<BTreeSet<(At, String, Option<String>)>>,
    reported: Cell<usize>,
    partial: Cell<bool>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Context<'a> {
        Context {
            files: RefCell::default(),
            environment,
            problems: RefCell::default(),
            reported: Cell::new(0),
            partial: Cell::new(false),
        }
    }

    pub(crate) fn add_file(&self, path: PathBuf) -> usize {
        let mut files = self.files.borrow_mut();
        files.push(path);
        files.len() - 1
    }

    /// The path of a file that was added.
    pub(crate) fn file(&self, number: usize) -> PathBuf {
        self.files.borrow().get(number).cloned().unwrap_or_default()
    }

    /// Remembers a problem. The same one again (a default that many models inherit) counts once.
    pub(crate) fn report(&self, at: At, problem: Wrong) {
        self.reported.set(self.reported.get() + 1);
        self.problems.borrow_mut().insert((at, problem.message, problem.hint));
    }

    /// Remembers that something is missing, where it must be there.
    pub(crate) fn report_unless_partial(&self, at: At, problem: Wrong) {
        if !self.partial.get() {
            self.report(at, problem);
        }
    }

    /// Runs `read` on something that need not be whole, such as `defaults`: keys may be missing, and
    /// keys are not compared with one another.
    pub(crate) fn partially<T>(&self, read: impl FnOnce() -> T) -> T {
        self.partial.set(true);
        let result = read();
        self.partial.set(false);
        result
    }

    /// Whether what is read need not be whole.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial.get()
    }

    /// `config`, where nothing was wrong with it.
    pub(crate) fn finish<T>(self, config: Option<T>) -> Result<T, Problems> {
        let files = self.files.into_inner();
        let problems: Vec<Problem> = self
            .problems
            .into_inner()
            .into_iter()
            .map(|(at, message, hint)| Problem {
                file: files.get(at.file).cloned().unwrap_or_default(),
                line: at.line,
                column: at.column,
                message,
                hint,
            })
            .collect();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Problems(problems)),
        }
    }
}

/// A map whose keys are fixed. Every key is asked for once; [`Section::finish`] then reports those
/// that nobody asked for.
pub(crate) struct Section<'n> {
    pub(crate) context: &'n Context<'n>,
    pub(crate) at: At,
    what: &'static str,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    reported_before: usize,
}

impl<'n> Section<'n> {
    /// Reads `node` as the section that messages call `what`; nothing written is an empty section.
    pub(crate) fn of(
        context: &'n Context<'n>,
        node: &'n Node,
        what: &'static str,
    ) -> Option<Section<'n>> {
        let section = Section {
            context,
            at: node.at,
            what,
            entries: &[],
            known: Vec::new(),
            reported_before: context.reported.get(),
        };
        match &node.value {
            Written::Null => Some(section),
            Written::Map(entries) => Some(Section { entries, ..section }),
            other => {
                let message = format!("{what} must be a map, found {}", value::kind(other));
                context.report(node.at, wrong(message));
                None
            }
        }
    }

    /// What stands at `key`, unless that is nothing.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Value<'n>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let node = &entry.value;
        (!matches!(node.value, Written::Null)).then_some(Value { context: self.context, node })
    }

    /// Whether `key` was written, be it as nothing.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Reads an optional key. `None` where it is absent or where a problem was reported.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(Value<'n>) -> Read<T>,
    ) -> Option<T> {
        self.value(key)?.get(parse)
    }

    /// Reads a key that must be there.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(Value<'n>) -> Read<T>,
    ) -> Option<T> {
        match self.value(key) {
            Some(value) => value.get(parse),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// Reports that `key` is not there.
    pub(crate) fn missing(&self, key: &str) {
        let problem = wrong(format!("missing key `{key}` in {}", self.what));
        self.context.report_unless_partial(self.at, problem);
    }

    /// Reads a part whose keys all have defaults: empty where it is absent, `None` where it is no
    /// map.
    pub(crate) fn part(&mut self, key: &'static str, what: &'static str) -> Option<Section<'n>> {
        match self.value(key) {
            Some(value) => Section::of(self.context, value.node, what),
            None => Some(Section {
                context: self.context,
                at: self.at,
                what,
                entries: &[],
                known: Vec::new(),
                reported_before: self.context.reported.get(),
            }),
        }
    }

    /// The elements of the list at `key`; none where it is absent.
    pub(crate) fn list(&mut self, key: &'static str) -> Vec<Value<'n>> {
        self.value(key).and_then(|value| value.get(Value::list)).unwrap_or_default()
    }

    /// The keys and values of the free map at `key`, duplicates reported; none where it is absent.
    pub(crate) fn map(&mut self, key: &'static str) -> Vec<(&'n Entry, Value<'n>)> {
        let Some(entries) = self.value(key).and_then(|value| value.get(Value::map)) else {
            return Vec::new();
        };
        report_duplicates(self.context, entries);
        entries
            .iter()
            .map(|entry| (entry, Value { context: self.context, node: &entry.value }))
            .collect()
    }

    /// Reports a problem of the section as a whole.
    pub(crate) fn report(&self, problem: Wrong) {
        self.context.report(self.at, problem);
    }

    /// Reports a problem of what stands at `key`, or of the section where `key` is not written.
    pub(crate) fn report_at(&self, key: &str, problem: Wrong) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        self.context.report(entry.map_or(self.at, |entry| entry.value.at), problem);
    }

    /// Compares keys with one another: reports `problem` at `key` if `broken`. Says nothing
    /// while a key of the section is wrong, because the comparison would be with a default.
    pub(crate) fn check(&self, key: &str, broken: bool, problem: impl FnOnce() -> Wrong) {
        let sound = self.context.reported.get() == self.reported_before;
        if broken && sound && !self.context.partial.get() {
            self.report_at(key, problem());
        }
    }

    /// Reports keys that nobody asked for and keys that stand twice.
    pub(crate) fn finish(self) {
        report_duplicates(self.context, self.entries);
        let unknown = self.entries.iter().filter(|entry| !self.knows(entry));
        for entry in unknown.clone().take(MOST_OF_A_KIND) {
            self.context.report(entry.key_at, self.unknown(&entry.key));
        }
        if let Some(next) = unknown.clone().nth(MOST_OF_A_KIND) {
            let more = unknown.count() - MOST_OF_A_KIND;
            let message = format!("and {more} more unknown keys in {}", self.what);
            self.context.report(next.key_at, wrong(message));
        }
    }

    /// The same for a file that may be none of ours: what stands in it may be somebody's secret, so that of its
    /// keys only those are named that `are_words` of ours.
    pub(crate) fn finish_unquoted(self, are_words: &[&str]) {
        let mut unknown = self.entries.iter().filter(|entry| !self.knows(entry));
        match unknown.find(|entry| !are_words.contains(&entry.key.as_str())) {
            Some(foreign) => {
                let message = format!("unknown keys in {}", self.what);
                let known = format!("known are {}", self.known.join(", "));
                self.context.report(foreign.key_at, wrong(message).hint(known));
            }
            None => self.finish(),
        }
    }

    fn knows(&self, entry: &Entry) -> bool {
        self.known.contains(&entry.key.as_str())
    }

    fn unknown(&self, key: &str) -> Wrong {
        let message = format!("unknown key `{}` in {}", shorten(key), self.what);
        if NOT_BUILT_YET.contains(&key) {
            return wrong(format!("{message} (not built yet)"));
        }
        match names::nearest(key, &self.known) {
            Some(name) => wrong(message).hint(format!("did you mean `{name}`?")),
            None => wrong(message).hint(format!("known are {}", self.known.join(", "))),
        }
    }
}

/// Reports keys that stand twice.
pub(crate) fn report_duplicates(context: &Context<'_>, entries: &[Entry]) {
    let mut first_lines = BTreeMap::new();
    let mut told = 0;
    for entry in entries {
        if let Some(line) = first_lines.get(entry.key.as_str()) {
            let message =
                format!("key `{}` stands twice, first in line {line}", shorten(&entry.key));
            context.report(entry.key_at, wrong(message));
            told += 1;
            if told == MOST_OF_A_KIND {
                return;
            }
        } else {
            first_lines.insert(entry.key.as_str(), entry.key_at.line);
        }
    }
}
