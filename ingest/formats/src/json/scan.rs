//! A scanner over the bytes of one JSON text: values are read or skipped in place, and everything
//! that is passed over is checked as strictly as what is read.
//!
//! It accepts what RFC 8259 does, plus the bare tokens `NaN`, `Infinity` and `-Infinity` that
//! Python writes. Nesting is bounded, and skipping never recurses.

use super::number::{Mantissa, leading_digits, parse_f64};
use super::sixteen::{QuotedKey, ShortNumber, first_stop, short_number};

/// Open containers above which a text is refused; serde_json has the same bound.
pub(crate) const MAX_DEPTH: u32 = 127;

/// Where a text stops being JSON and what was expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Byte of the text, from 0.
    pub(crate) at: usize,
    /// What was expected, or what is wrong.
    pub(crate) what: &'static str,
}

/// A string as it stands in the text, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// The bytes between the quotes; checked.
    pub(crate) raw: &'a [u8],
    pub(crate) start: usize,
    /// Whether some of them are escapes.
    pub(crate) escaped: bool,
    /// Whether one of these is half a pair of surrogates, as Python writes them: it is no character.
    pub(crate) broken: bool,
}

/// A number as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) start: usize,
    /// The nearest double; infinite where it is beyond their range.
    pub(crate) value: f64,
    /// Whether it has neither a point nor an exponent.
    pub(crate) whole: bool,
}

/// One value: read where it is small, announced where it is a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Text(Text<'a>),
    /// The scanner stands on `{`.
    Object,
    /// The scanner stands on `[`.
    Array,
}

/// The scanner: a text that is known to be UTF-8, and a place in it.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Stands at `at` in `text`.
    pub(crate) fn new(text: &'a str, at: usize) -> Scanner<'a> {
        Scanner { bytes: text.as_bytes(), at }
    }

    /// The place of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// A fault at the next byte.
    #[cold]
    pub(crate) fn fault<T>(&self, what: &'static str) -> Result<T, Fault> {
        let what = if self.at >= self.bytes.len() { "the text ends too early" } else { what };
        Err(Fault { at: self.at, what })
    }

    #[inline]
    pub(crate) fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes `byte` and the blanks behind it; says whether it was there.
    #[inline]
    pub(crate) fn pass(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
            self.blanks();
        }
        there
    }

    /// Passes `key` where exactly this key comes next, and stands on the value.
    #[inline]
    pub(crate) fn pass_key(&mut self, key: &QuotedKey) -> bool {
        let there = self.bytes.get(self.at..).is_some_and(|rest| key.begins(rest));
        if there {
            self.at += key.length();
            self.blanks();
        }
        there
    }

    /// Passes `key`, a short number and the comma or the brace behind it, where exactly these come
    /// next, without blanks. Otherwise nothing is passed: whatever else is valid is read the general
    /// way.
    #[inline]
    pub(crate) fn pass_short_member(&mut self, key: &QuotedKey) -> Option<ShortNumber> {
        let rest = self.bytes.get(self.at..)?;
        if !key.begins(rest) {
            return None;
        }
        let number = short_number(rest.get(key.length()..)?.first_chunk()?)?;
        self.at += key.length() + number.length + 1;
        Some(number)
    }

    /// Reads a key and its colon, and stands on the value.
    pub(crate) fn key(&mut self) -> Result<Text<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return self.fault("expected a key in quotes");
        }
        let key = self.text()?;
        self.blanks();
        if !self.pass(b':') {
            return self.fault("expected a colon");
        }
        Ok(key)
    }

    /// After a value in an object: passes the comma (`true`) or the closing brace (`false`). Blanks
    /// behind a closing brace stay.
    #[inline]
    pub(crate) fn more_keys(&mut self) -> Result<bool, Fault> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blanks();
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(false)
            }
            _ => self.fault("expected a comma or a closing brace"),
        }
    }

    /// Enters the object that the scanner stands on: `true` where it has keys; an empty one is
    /// passed.
    pub(crate) fn enter_object(&mut self) -> bool {
        self.at += 1;
        self.blanks();
        let empty = self.peek() == Some(b'}');
        if empty {
            self.at += 1;
        }
        !empty
    }

    /// Enters the array that the scanner stands on: `true` where it has elements; an empty one is passed.
    pub(crate) fn enter_array(&mut self) -> bool {
        self.at += 1;
        self.blanks();
        let empty = self.peek() == Some(b']');
        if empty {
            self.at += 1;
        }
        !empty
    }

    /// After an element of an array: passes the comma (`true`) or the closing bracket (`false`). Blanks
    /// behind a closing bracket stay.
    #[inline]
    pub(crate) fn more_elements(&mut self) -> Result<bool, Fault> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blanks();
                Ok(true)
            }
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            _ => self.fault("expected a comma or a closing bracket"),
        }
    }

    /// Reads the value that the scanner stands on, except that containers are not entered.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Value<'a>, Fault> {
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.text()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(self.number()?)),
            Some(b'{') => Ok(Value::Object),
            Some(b'[') => Ok(Value::Array),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(b'N') => self.special(b"NaN", f64::NAN),
            Some(b'I') => self.special(b"Infinity", f64::INFINITY),
            _ => self.fault("expected a value"),
        }
    }

    fn word(&mut self, word: &'static [u8], value: Value<'a>) -> Result<Value<'a>, Fault> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(Fault { at: self.at, what: "expected a value" })
        }
    }

    fn special(&mut self, word: &'static [u8], value: f64) -> Result<Value<'a>, Fault> {
        let start = self.at;
        let number = Number { raw: word, start, value, whole: false };
        self.word(word, Value::Number(number))
    }

    fn number(&mut self) -> Result<Number<'a>, Fault> {
        let start = self.at;
        let (value, whole) = self.number_value()?;
        Ok(Number { raw: self.since(start), start, value, whole })
    }

    /// Reads a number by the grammar of JSON, correctly rounded; says whether it is written without
    /// point and exponent.
    #[inline]
    pub(crate) fn number_value(&mut self) -> Result<(f64, bool), Fault> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
            if self.peek() == Some(b'I') {
                self.special(b"Infinity", f64::NEG_INFINITY)?;
                return Ok((f64::NEG_INFINITY, false));
            }
        }
        let mut mantissa = Mantissa::default();
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(&mut mantissa),
            _ => return self.fault("expected a digit"),
        }
        let mut whole = true;
        let mut scale = 0_i32;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            let before = self.at;
            self.digits(&mut mantissa);
            let places = self.at - before;
            if places == 0 {
                return self.fault("expected a digit after the point");
            }
            scale = -i32::try_from(places).unwrap_or(i32::MAX);
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            scale = scale.saturating_add(self.exponent()?);
        }
        let value = match mantissa.exact(scale) {
            Some(value) if negative => -value,
            Some(value) => value,
            None => parse_f64(self.since(start)),
        };
        Ok((value, whole))
    }

    /// Passes digits, eight at a time while the text has eight more bytes.
    #[inline]
    fn digits(&mut self, mantissa: &mut Mantissa) {
        while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let (value, count) = leading_digits(u64::from_le_bytes(*eight));
            mantissa.push(value, count);
            self.at += count as usize;
            if count < 8 {
                return;
            }
        }
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            mantissa.push(u64::from(byte - b'0'), 1);
            self.at += 1;
        }
    }

    fn exponent(&mut self) -> Result<i32, Fault> {
        self.at += 1;
        let negative = self.peek() == Some(b'-');
        if let Some(b'+' | b'-') = self.peek() {
            self.at += 1;
        }
        let before = self.at;
        let mut exponent = 0_i32;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            exponent = exponent.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
            self.at += 1;
        }
        if self.at == before {
            return self.fault("expected a digit of the exponent");
        }
        Ok(if negative { -exponent } else { exponent })
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Reads the string that the scanner stands on.
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Fault> {
        self.at += 1;
        let start = self.at;
        let (mut escaped, mut broken) = (false, false);
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    let raw = self.since(start);
                    self.at += 1;
                    return Ok(Text { raw, start, escaped, broken });
                }
                Some(b'\\') => {
                    escaped = true;
                    broken |= !self.escape()?;
                }
                Some(_) => return self.fault("control characters must be escaped"),
                None => return self.fault("expected a closing quote"),
            }
        }
    }

    /// Passes bytes of a string up to a quote, a backslash or a control character; sixteen at a time
    /// while none of them is one.
    #[inline]
    fn plain(&mut self) {
        while let Some(sixteen) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            if let Some(stop) = first_stop(sixteen) {
                self.at += stop;
                return;
            }
            self.at += 16;
        }
        while let Some(byte) = self.peek() {
            if byte == b'"' || byte == b'\\' || byte < 0x20 {
                return;
            }
            self.at += 1;
        }
    }

    /// Passes an escape; says whether it is a character.
    fn escape(&mut self) -> Result<bool, Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'u') => {
                self.at += 1;
                let first = self.hex()?;
                Ok(match first {
                    0xD800..=0xDBFF => self.low_surrogate(),
                    0xDC00..=0xDFFF => false,
                    _ => true,
                })
            }
            _ => self.fault("unknown escape"),
        }
    }

    /// Passes the second half of a pair, where it comes next.
    fn low_surrogate(&mut self) -> bool {
        let second = self.bytes.get(self.at..self.at + 6);
        let is_low = second.is_some_and(|six| low_code(six).is_some());
        if is_low {
            self.at += 6;
        }
        is_low
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let Some(four) = self.bytes.get(self.at..self.at + 4) else {
            return self.fault("expected four hexadecimal digits");
        };
        let Some(code) = hex_code(four) else {
            return self.fault("expected four hexadecimal digits");
        };
        self.at += 4;
        Ok(code)
    }

    /// Passes the value that the scanner stands on, inside `open` containers.
    pub(crate) fn skip(&mut self, open: u32) -> Result<(), Fault> {
        let mut containers = Containers { bits: 0, depth: 0, room: MAX_DEPTH.saturating_sub(open) };
        loop {
            match self.value()? {
                Value::Object => {
                    containers.open(true, self)?;
                    if self.enter_object() {
                        self.key()?;
                        continue;
                    }
                    containers.close();
                }
                Value::Array => {
                    containers.open(false, self)?;
                    self.at += 1;
                    self.blanks();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                    self.at += 1;
                    containers.close();
                }
                _ => {}
            }
            if !self.next_in(&mut containers)? {
                return Ok(());
            }
        }
    }

    /// After a value: stands on the next value of the innermost container that has one (`true`), or
    /// behind the outermost (`false`).
    fn next_in(&mut self, containers: &mut Containers) -> Result<bool, Fault> {
        while containers.depth > 0 {
            if containers.in_object() {
                if self.more_keys()? {
                    self.key()?;
                    return Ok(true);
                }
            } else {
                self.blanks();
                if self.pass(b',') {
                    return Ok(true);
                }
                if self.peek() != Some(b']') {
                    return self.fault("expected a comma or a closing bracket");
                }
                self.at += 1;
            }
            containers.close();
        }
        Ok(false)
    }
}

/// Which of the open containers are objects, the innermost in the lowest bit.
struct Containers {
    bits: u128,
    depth: u32,
    room: u32,
}

impl Containers {
    fn open(&mut self, object: bool, scanner: &Scanner<'_>) -> Result<(), Fault> {
        if self.depth >= self.room {
            return scanner.fault("nested deeper than 127 levels");
        }
        self.bits = (self.bits << 1) | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }

    fn close(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }
}

fn hex_code(four: &[u8]) -> Option<u32> {
    four.iter().try_fold(0, |code, byte| Some(code * 16 + char::from(*byte).to_digit(16)?))
}

/// The second half of a pair that `text` begins with.
fn low_code(text: &[u8]) -> Option<u32> {
    let code = text.strip_prefix(b"\\u").and_then(|hex| hex_code(hex.get(..4)?))?;
    (0xDC00..=0xDFFF).contains(&code).then_some(code)
}

/// Appends the characters of a checked string to `out`; half a pair of surrogates is the character that stands
/// for what is none.
pub(crate) fn unescape(text: Text<'_>, out: &mut String) {
    let mut rest = std::str::from_utf8(text.raw).unwrap_or_default();
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = escape.chars();
        let first = characters.next();
        rest = characters.as_str();
        out.push(match first {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let code = rest.as_bytes().get(..4).and_then(hex_code).unwrap_or(0);
                rest = rest.get(4..).unwrap_or_default();
                let code = match (code, low_code(rest.as_bytes())) {
                    (0xD800..=0xDBFF, Some(low)) => {
                        rest = rest.get(6..).unwrap_or_default();
                        0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                    }
                    (code, _) => code,
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some(other) => other,
            // The scanner has seen what follows each of them.
            None => break,
        });
    }
    out.push_str(rest);
}
