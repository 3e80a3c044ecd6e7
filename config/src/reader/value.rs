//! One value: as text, number, path, duration or secret, with `${VAR}` replaced.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::reader::Context;
use crate::secret::Secret;
use crate::time::{DAY_US, parse_duration_us};
use crate::tree::{Entry, Node, Written};

/// A secret file is a line, not a disk.
const SECRET_BYTES: u64 = 64 << 10;
/// Stands for a secret that nobody needs and nobody could read: an address as well as a token.
const NO_SECRET: &str = "https://not-read.invalid";
/// A century: sums of an instant and a few durations stay far from the end of the 64 bits.
const LONGEST_US: i64 = 36_500 * DAY_US;
/// How much of a wrong value a message quotes.
const QUOTED_CHARACTERS: usize = 64;

/// What is wrong with a value, before its place is known.
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn hint(self, hint: impl Into<String>) -> Wrong {
        Wrong { hint: Some(hint.into()), ..self }
    }
}

/// Something wrong, with nothing to suggest.
pub(crate) fn wrong(message: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), hint: None }
}

/// A value that could be read, or why not.
pub(crate) type Read<T> = Result<T, Wrong>;

/// A value in a tree.
#[derive(Clone, Copy)]
pub(crate) struct Value<'n> {
    pub(crate) context: &'n Context<'n>,
    pub(crate) node: &'n Node,
}

impl<'n> Value<'n> {
    /// Parses, and reports at this place what was wrong.
    pub(crate) fn get<T>(self, parse: impl FnOnce(Value<'n>) -> Read<T>) -> Option<T> {
        parse(self).map_err(|problem| self.context.report(self.node.at, problem)).ok()
    }

    /// The text as it stands in the file: the only form that messages may quote, since an
    /// environment variable may be a secret.
    pub(crate) fn written(self) -> Read<&'n str> {
        match &self.node.value {
            Written::Scalar(text) => Ok(text),
            other => Err(wrong(format!("expected a text, found {}", kind(other)))),
        }
    }

    /// The text, `${VAR}` replaced.
    pub(crate) fn text(self) -> Read<String> {
        self.expand(self.written()?)
    }

    /// A text of at least one character.
    pub(crate) fn filled(self) -> Read<String> {
        let text = self.text()?;
        if text.trim().is_empty() { Err(wrong("must not be empty")) } else { Ok(text) }
    }

    /// The text, where `valid` holds; otherwise the problem that `invalid` makes.
    pub(crate) fn text_where(
        self,
        valid: impl Fn(&str) -> bool,
        invalid: impl FnOnce() -> Wrong,
    ) -> Read<String> {
        let text = self.text()?;
        if valid(&text) { Ok(text) } else { Err(invalid()) }
    }

    /// The problem `"TEXT" is not EXPECTED`.
    pub(crate) fn not(self, expected: &str) -> Wrong {
        match &self.node.value {
            Written::Scalar(text) => wrong(format!("\"{}\" is not {expected}", shorten(text))),
            other => wrong(format!("{} is not {expected}", kind(other))),
        }
    }

    /// A duration in microseconds that is at least `least_us` and at most a century.
    pub(crate) fn duration(self, least_us: i64, least: &'static str) -> Read<i64> {
        let text = self.text()?;
        let duration_us = parse_duration_us(&text)
            .map_err(|_| self.not("a duration").hint("write 30s, 5m, 4h, 1d or 50ms"))?;
        if duration_us < least_us {
            return Err(wrong(format!(
                "\"{}\" is too short: at least {least}",
                shorten(self.written()?)
            )));
        }
        if duration_us > LONGEST_US {
            return Err(wrong(format!(
                "\"{}\" is too long: at most 36500d",
                shorten(self.written()?)
            )));
        }
        Ok(duration_us)
    }

    /// A duration, or `None` for `off`.
    pub(crate) fn duration_or_off(self, least_us: i64, least: &'static str) -> Read<Option<i64>> {
        if self.text()? == "off" { Ok(None) } else { self.duration(least_us, least).map(Some) }
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole(self, least: u64) -> Read<u64> {
        let number: u64 = self.text()?.trim().parse().map_err(|_| self.not("a whole number"))?;
        if number < least {
            return Err(wrong(format!("{number} is too small: at least {least}")));
        }
        Ok(number)
    }

    /// A number for which `valid` holds; `range` says which those are.
    pub(crate) fn number(self, valid: impl Fn(f64) -> bool, range: &str) -> Read<f64> {
        let number: f64 = self.text()?.trim().parse().map_err(|_| self.not("a number"))?;
        if valid(number) { Ok(number) } else { Err(self.not(range)) }
    }

    pub(crate) fn boolean(self) -> Read<bool> {
        match self.text()?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.not("true or false")),
        }
    }

    /// A path; a relative one starts at the folder of the file it stands in.
    pub(crate) fn path(self) -> Read<PathBuf> {
        let text = self.filled()?;
        Ok(self.resolve(&text))
    }

    /// `path` as seen from the file this value stands in.
    pub(crate) fn resolve(self, path: &str) -> PathBuf {
        let file = self.context.file(self.node.at.file);
        let folder = file.parent().unwrap_or(Path::new(""));
        folder.join(path).components().collect()
    }

    /// A text that is never printed: as written, by `${VAR}`, or out of `file:PATH` without the
    /// newline at its end.
    pub(crate) fn secret(self) -> Read<Secret> {
        let read = self.secret_as_it_is();
        if read.is_ok() || self.context.needs_secrets.get() {
            return read;
        }
        Ok(Secret::new(NO_SECRET))
    }

    fn secret_as_it_is(self) -> Read<Secret> {
        let text = self.text()?;
        let Some(path) = text.strip_prefix("file:") else {
            return if text.is_empty() {
                Err(wrong("must not be empty"))
            } else {
                Ok(Secret::new(text))
            };
        };
        let path = self.resolve(path);
        let unreadable = |reason: &dyn std::fmt::Display| {
            // The path is quoted as written: a variable in it may hold anything.
            let written = self.written().unwrap_or_default();
            wrong(format!("cannot read \"{}\": {reason}", shorten(written)))
        };
        let content = match crate::read_file(&path, SECRET_BYTES) {
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                return Err(unreadable(&"larger than 64 KiB, so no secret"));
            }
            content => content.map_err(|error| unreadable(&error))?,
        };
        let content = String::from_utf8(content).map_err(|_| unreadable(&"it is not UTF-8"))?;
        let line = content.strip_suffix('\n').unwrap_or(&content);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() { Err(unreadable(&"it is empty")) } else { Ok(Secret::new(line)) }
    }

    /// A secret that stands in a header: one line of visible characters.
    pub(crate) fn token(self) -> Read<Secret> {
        let token = self.secret()?;
        let text = token.expose();
        if text.trim().is_empty() {
            return Err(wrong("a token must not be blank"));
        }
        if text.trim() != text || text.contains(char::is_control) {
            return Err(wrong("a token must be one line, without blanks around it")
                .hint("a file with several lines holds more than a token"));
        }
        Ok(token)
    }

    pub(crate) fn list(self) -> Read<Vec<Value<'n>>> {
        match &self.node.value {
            Written::List(items) => {
                Ok(items.iter().map(|node| Value { context: self.context, node }).collect())
            }
            other => Err(wrong(format!("expected a list, found {}", kind(other)))),
        }
    }

    pub(crate) fn map(self) -> Read<&'n [Entry]> {
        match &self.node.value {
            Written::Map(entries) => Ok(entries),
            other => Err(wrong(format!("expected a map, found {}", kind(other)))),
        }
    }

    /// Replaces each `${VAR}`; `$${` stands for a literal `${`.
    fn expand(self, written: &str) -> Read<String> {
        let mut expanded = String::with_capacity(written.len());
        let mut rest = written;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                expanded.push_str(escaped);
                expanded.push_str("${");
                rest = &from[2..];
                continue;
            }
            expanded.push_str(before);
            let end = from.find('}').ok_or_else(|| {
                wrong("`${` without `}`")
                    .hint("write ${NAME}, or $${ for the characters themselves")
            })?;
            expanded.push_str(&self.variable(&from[2..end])?);
            rest = &from[end + 1..];
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn variable(self, name: &str) -> Read<String> {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || !name.chars().all(letter)
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(wrong("`${…}` must hold the name of an environment variable")
                .hint("letters, digits and _"));
        }
        (self.context.environment)(name)
            .ok_or_else(|| wrong(format!("environment variable `{}` is not set", shorten(name))))
    }
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Written) -> &'static str {
    match value {
        Written::Null => "nothing",
        Written::Scalar(_) => "a single value",
        Written::List(_) => "a list",
        Written::Map(_) => "a map",
    }
}

/// At most 64 characters of a text, on one line.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(QUOTED_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(QUOTED_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}
