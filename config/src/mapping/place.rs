//! A place in an event: a JSON Pointer (RFC 6901) or, as another spelling of the same, a singular query
//! of JSONPath (RFC 9535), either with at most one `*` for the elements of a list.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Steps of one place. Events nest no deeper than this by design of anybody, and each step is a level of
/// the decoder.
const MOST_STEPS: usize = 32;
/// Places in lists that a step may name: what is compiled holds one entry for each.
const MOST_ELEMENTS: u32 = 65_536;

/// The way from the top of an event to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Place(pub Vec<Step>);

/// One level further into an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// A key of an object.
    Key(String),
    /// An element of a list, from 0.
    Index(u32),
    /// What a JSON Pointer leaves open: the element of a list, or the key of an object.
    Either(u32),
    /// Every element of a list: each is a row.
    Each,
}

/// A place as it was written: from the top, or from the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPlace {
    pub place: Place,
    /// Whether it begins at the row that `rows` names.
    pub relative: bool,
}

/// Why a text names no place, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlaceError {
    pub message: String,
    /// The nearest supported spelling.
    pub hint: String,
}

impl PlaceError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> PlaceError {
        PlaceError { message: message.into(), hint: hint.into() }
    }
}

impl Place {
    /// Reads either spelling.
    ///
    /// # Errors
    /// What is not supported, with the nearest spelling that is.
    pub fn parse(text: &str) -> Result<WrittenPlace, PlaceError> {
        let (steps, relative) = match text.chars().next() {
            None => (Vec::new(), false),
            Some('/') => (pointer(text, text)?, false),
            Some('.') if text == "." || text == "./" => (Vec::new(), true),
            Some('.') if text.starts_with("./") => {
                (pointer(text.get(1..).unwrap_or_default(), text)?, true)
            }
            Some('$') => (Query::new(text).steps()?, false),
            Some('@') => (Query::new(text).steps()?, true),
            Some(_) => return Err(other_language(text)),
        };
        if steps.len() > MOST_STEPS {
            let message = format!("{} steps, at most {MOST_STEPS} are read", steps.len());
            return Err(PlaceError::new(message, "move the value further up in the event"));
        }
        let axes = steps.iter().filter(|step| **step == Step::Each).count();
        if axes > 1 {
            return Err(PlaceError::new(
                "two lists of rows in one place",
                "keep one `*`, and name an element of the other list, such as `0`",
            ));
        }
        Ok(WrittenPlace { place: Place(steps), relative })
    }

    /// The steps before and behind the list of rows, where there is one.
    pub fn split_at_rows(&self) -> Option<(&[Step], &[Step])> {
        let at = self.0.iter().position(|step| *step == Step::Each)?;
        Some((self.0.get(..at)?, self.0.get(at + 1..)?))
    }

    /// Whether it names a value of every row.
    pub fn is_of_rows(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// This place, and from there on `other`.
    #[must_use]
    pub fn then(&self, other: &Place) -> Place {
        Place(self.0.iter().chain(&other.0).cloned().collect())
    }
}

impl fmt::Display for Place {
    /// As a JSON Pointer; a key `*` has no spelling there, so it is written as `['*']` behind a `$`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(&Step::Key("*".to_owned())) {
            formatter.write_str("$")?;
            for step in &self.0 {
                match step {
                    Step::Key(key) => write!(formatter, "['{}']", key.replace('\'', "\\'"))?,
                    Step::Index(index) | Step::Either(index) => write!(formatter, "[{index}]")?,
                    Step::Each => formatter.write_str("[*]")?,
                }
            }
            return Ok(());
        }
        for step in &self.0 {
            match step {
                Step::Key(key) => {
                    write!(formatter, "/{}", key.replace('~', "~0").replace('/', "~1"))?;
                }
                Step::Index(index) | Step::Either(index) => write!(formatter, "/{index}")?,
                Step::Each => formatter.write_str("/*")?,
            }
        }
        Ok(())
    }
}

/// The steps of a JSON Pointer that begins with a slash.
fn pointer(text: &str, whole: &str) -> Result<Vec<Step>, PlaceError> {
    text.split('/').skip(1).map(|token| token_step(token, whole)).collect()
}

fn token_step(token: &str, whole: &str) -> Result<Step, PlaceError> {
    if token == "*" {
        return Ok(Step::Each);
    }
    if let Some(index) = index_of(token) {
        return Ok(Step::Either(element(index)?));
    }
    let mut key = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '~' => match rest.next() {
                Some('0') => key.push('~'),
                Some('1') => key.push('/'),
                _ => {
                    let hint = format!("write {}", whole.replace('~', "~0"));
                    return Err(PlaceError::new(
                        "`~` stands before 0 or 1 in a JSON Pointer",
                        hint,
                    ));
                }
            },
            letter => key.push(letter),
        }
    }
    Ok(Step::Key(key))
}

/// A whole number as both spellings write it: decimal, without zeros in front.
fn index_of(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}

fn element(index: u64) -> Result<u32, PlaceError> {
    u32::try_from(index).ok().filter(|index| *index < MOST_ELEMENTS).ok_or_else(|| {
        let message = format!("element {index} of a list, at most {} are read", MOST_ELEMENTS - 1);
        PlaceError::new(message, "name a place nearer to the beginning of the list")
    })
}

/// A JSONPath that is being read.
struct Query<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Query<'a> {
    fn new(text: &'a str) -> Query<'a> {
        Query { text, at: 1 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn read(&self) -> &'a str {
        self.text.get(..self.at).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn steps(mut self) -> Result<Vec<Step>, PlaceError> {
        let mut steps = Vec::new();
        loop {
            self.blanks();
            match self.rest().as_bytes() {
                [] => return Ok(steps),
                [b'.', b'.', ..] => {
                    return Err(PlaceError::new(
                        "`..` looks everywhere",
                        format!("write the whole way, such as {}.a.b", self.read()),
                    ));
                }
                [b'.', ..] => steps.push(self.shorthand()?),
                [b'[', ..] => steps.push(self.bracket()?),
                _ => {
                    let hint = format!("write {}.{}", self.read(), self.rest());
                    return Err(PlaceError::new("expected `.` or `[`", hint));
                }
            }
        }
    }

    /// `.name`
    fn shorthand(&mut self) -> Result<Step, PlaceError> {
        let before = self.read();
        self.at += 1;
        let rest = self.rest();
        let end = rest.find(['.', '[', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        let plain =
            name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
        if plain {
            self.at += end;
            return Ok(Step::Key(name.to_owned()));
        }
        let instead = match name {
            "" => format!("{before}.name"),
            "*" | "#" => format!("{before}[*]{behind}"),
            name if index_of(name).is_some() => format!("{before}[{name}]{behind}"),
            name => format!("{before}['{}']{behind}", name.replace('\'', "\\'")),
        };
        let message = format!("`.{name}` is not a key that can stand behind a point");
        Err(PlaceError::new(message, format!("write {instead}")))
    }

    /// `['name']`, `["name"]`, `[0]` or `[*]`
    fn bracket(&mut self) -> Result<Step, PlaceError> {
        let before = self.read();
        self.at += 1;
        self.blanks();
        let step = match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => Step::Key(self.quoted(quote)?),
            Some('*') => {
                self.at += 1;
                Step::Each
            }
            _ => {
                let rest = self.rest();
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let Some(index) = rest.get(..digits).and_then(index_of) else {
                    return Err(self.refusal(before));
                };
                self.at += digits;
                Step::Index(element(index)?)
            }
        };
        self.blanks();
        if self.rest().starts_with(']') {
            self.at += 1;
            return Ok(step);
        }
        Err(self.refusal(before))
    }

    /// What stands in a bracket and is no single place: a slice, a filter, several, one from the end.
    fn refusal(&self, before: &str) -> PlaceError {
        let from = before.len() + 1;
        let inside = self.text.get(from..).unwrap_or_default();
        let Some(end) = inside.find(']') else {
            return PlaceError::new("`[` without `]`", format!("write {before}[0]"));
        };
        let (inside, behind) = inside.split_at(end);
        let behind = behind.get(1..).unwrap_or_default();
        let inside = inside.trim();
        let (message, instead) = match inside {
            inside if inside.starts_with('?') => ("a filter is a question, not a place", "*"),
            inside if inside.starts_with('-') => ("a place is counted from the beginning", "0"),
            inside if inside.contains(':') => ("a slice is several places", "*"),
            inside if inside.contains(',') => {
                ("a list of places", inside.split(',').next().unwrap_or("0").trim())
            }
            inside if inside.starts_with('0') => {
                ("a place has no zeros in front", inside.trim_start_matches('0'))
            }
            _ => ("what stands in the bracket is no place", "0"),
        };
        PlaceError::new(message, format!("write {before}[{instead}]{behind}"))
    }

    fn quoted(&mut self, quote: char) -> Result<String, PlaceError> {
        self.at += 1;
        let mut name = String::new();
        let mut letters = self.rest().char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                letter if letter == quote => {
                    self.at += at + 1;
                    return Ok(name);
                }
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some('b') => name.push('\u{8}'),
                    Some('f') => name.push('\u{c}'),
                    Some('n') => name.push('\n'),
                    Some('r') => name.push('\r'),
                    Some('t') => name.push('\t'),
                    Some('u') => match escaped_character(&mut letters) {
                        Some(letter) => name.push(letter),
                        None => return Err(no_escape()),
                    },
                    Some(escaped @ ('/' | '\\')) => name.push(escaped),
                    Some(escaped) if escaped == quote => name.push(escaped),
                    _ => return Err(no_escape()),
                },
                letter if letter < ' ' => return Err(no_escape()),
                letter => name.push(letter),
            }
        }
        Err(PlaceError::new("a quote is open", format!("write {quote} behind the name")))
    }
}

fn no_escape() -> PlaceError {
    PlaceError::new(
        "not an escape of JSON",
        "write the character itself, or \\n, \\t, \\u0041, and \\\\ for a backslash",
    )
}

/// The character of `\u` and four digits, or of two that are a pair.
fn escaped_character(letters: &mut std::str::CharIndices<'_>) -> Option<char> {
    let first = four_digits(letters)?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first);
    }
    let pair = letters.next()?.1 == '\\' && letters.next()?.1 == 'u';
    let second = four_digits(letters)?;
    let low = pair && (0xDC00..0xE000).contains(&second);
    low.then(|| char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)))?
}

fn four_digits(letters: &mut std::str::CharIndices<'_>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code * 16 + letters.next()?.1.to_digit(16)?))
}

/// JMESPath, GJSON, jq and kubectl name places too; what they mean is mostly clear.
fn other_language(text: &str) -> PlaceError {
    let bare = text.trim_start_matches('{').trim_end_matches('}');
    let query = match bare.chars().next() {
        Some('$' | '@') => bare.to_owned(),
        Some('.' | '[') => format!("${bare}"),
        _ => format!("$.{bare}"),
    };
    let query = query.replace(".#", "[*]");
    let hint = match Place::parse(&query) {
        Ok(_) => format!("write {query}"),
        // Functions have no place at all.
        Err(error) if error.hint.starts_with("write $") && !text.contains('(') => error.hint,
        Err(_) => "write a JSON Pointer such as /a/b, or a JSONPath such as $.a.b".to_owned(),
    };
    PlaceError::new("a place begins with /, ./, $ or @", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn both_spellings_name_the_same_places() {
        let table: &[(&[&str], &[Step], bool)] = &[
            (&["", "$"], &[], false),
            (&[".", "./", "@"], &[], true),
            (&["/a/b", "$.a.b", "$['a'][\"b\"]", "$ .a ['b']"], &[key("a"), key("b")], false),
            (&["./a", "@.a", "@[ 'a' ]"], &[key("a")], true),
            (&["/a/*/b", "$.a[*].b"], &[key("a"), Step::Each, key("b")], false),
            (&["$['*']"], &[key("*")], false),
            (&["/0"], &[Step::Either(0)], false),
            (&["$[0]"], &[Step::Index(0)], false),
            (&["/00", "$['00']"], &[key("00")], false),
            (&["/", "$['']"], &[key("")], false),
            (&["/a~1b~0", "$['a/b~']"], &[key("a/b~")], false),
            (&["/-", "$['-']"], &[key("-")], false),
            (&["/ä'\"", r#"$['ä\'"']"#, r"$['\u00e4\u0027\u0022']"], &[key("ä'\"")], false),
            (&["$['\\ud83d\\ude00\\n']"], &[key("😀\n")], false),
        ];
        for (spellings, steps, relative) in table {
            for spelling in *spellings {
                let expected = WrittenPlace { place: Place(steps.to_vec()), relative: *relative };
                assert_eq!(Place::parse(spelling), Ok(expected), "{spelling}");
            }
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_nearest_one() {
        let table = [
            ("instances[*].x", "write $.instances[*].x"),
            ("a.b", "write $.a.b"),
            (".a.b", "write $.a.b"),
            ("{$.a.b}", "write $.a.b"),
            ("a.#.b", "write $.a[*].b"),
            ("length($.a)", "write a JSON Pointer such as /a/b, or a JSONPath such as $.a.b"),
            ("$..a", "write the whole way, such as $.a.b"),
            ("$.a.*", "write $.a[*]"),
            ("$.a.0.b", "write $.a[0].b"),
            ("$.a-b", "write $['a-b']"),
            ("$a", "write $.a"),
            ("$.", "write $.name"),
            ("$.a[1:3].b", "write $.a[*].b"),
            ("$.a[?@.x>1]", "write $.a[*]"),
            ("$.a[-1]", "write $.a[0]"),
            ("$.a[3,4]", "write $.a[3]"),
            ("$['a','b']", "write $['a']"),
            ("$.a[01]", "write $.a[1]"),
            ("$.a[x]", "write $.a[0]"),
            ("$.a[0", "write $.a[0]"),
            ("$['a", "write ' behind the name"),
            ("/a~b", "write /a~0b"),
            ("/*/*", "keep one `*`, and name an element of the other list, such as `0`"),
            ("/99999999999999999999", "name a place nearer to the beginning of the list"),
            (
                "$['\\ud800']",
                "write the character itself, or \\n, \\t, \\u0041, and \\\\ for a backslash",
            ),
        ];
        for (text, hint) in table {
            assert_eq!(Place::parse(text).unwrap_err().hint, hint, "{text}");
        }
        assert!(Place::parse(&"/a".repeat(33)).is_err());
    }

    #[test]
    fn a_place_is_read_back_as_it_is_written() {
        for text in ["", "/a/b", "/a/*/b", "/~0~1", "/0/x", "$['*']['it\\'s'][3][*]"] {
            let place = Place::parse(text).unwrap().place;
            assert_eq!(place.to_string(), text);
        }
    }
}
