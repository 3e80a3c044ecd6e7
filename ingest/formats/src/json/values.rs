//! Reads `features` and `prediction` into the slots of a row.

use driftline_capture::columns::Kind;

use super::layout::{ColumnLayout, Keys, LastSeen, ModelLayout, Target};
use super::rows::{Row, Slot, Span, UnknownKey};
use super::scan::{Fault, Number, Scanner, Text, Value, unescape};
use crate::category::{category_of_f64, coerce_number, cut_text};

/// Which part of a capture holds the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Features,
    Prediction,
}

impl Part {
    /// What stands before the names of its columns.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Part::Features => "feature:",
            Part::Prediction => "prediction:",
        }
    }
}

/// The key under which a prediction that is one value stands.
const SCALAR: &str = "value";

/// What reading values needs beside the scanner: the model's layout and the row to fill.
pub(crate) struct Filling<'r> {
    pub(crate) layout: &'r ModelLayout,
    pub(crate) seen: &'r mut LastSeen,
    pub(crate) row: &'r mut Row,
    pub(crate) text: &'r str,
    /// Bytes that a string may have.
    pub(crate) string_bytes: usize,
}

impl Filling<'_> {
    /// Reads the part that the scanner stands on.
    pub(crate) fn read(&mut self, part: Part, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let layout = self.layout;
        match (part, scanner.peek()) {
            (Part::Features, Some(b'{')) => self.object(part, &layout.features, scanner),
            (Part::Prediction, Some(b'{')) => self.object(part, &layout.prediction, scanner),
            (_, Some(b'n')) => scanner.skip(1),
            (Part::Features, _) => {
                self.row.ignored.unusable_fields += 1;
                scanner.skip(1)
            }
            (Part::Prediction, _) => {
                if let (Some(target), _) = layout.prediction.find(SCALAR, 0, self.seen) {
                    return self.value(target, scanner, 1);
                }
                let start = self.row.scratch.len();
                self.row.scratch.push_str(SCALAR);
                let name = scratch(start, self.row.scratch.len());
                self.unknown(part, name, scanner, 1)
            }
        }
    }

    fn object(&mut self, part: Part, keys: &Keys, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let mut place = 0;
        let mut more = scanner.enter_object();
        while more {
            let (numbers, ended) = self.expected_numbers(keys, place, scanner);
            if ended {
                return Ok(());
            }
            place += numbers;
            if let Some(known) = keys.expected(place, self.seen)
                && scanner.pass_key(&known.quoted)
            {
                self.value(known.target, scanner, 2)?;
                place += 1;
                more = scanner.more_keys()?;
                continue;
            }
            let key = scanner.key()?;
            let name = self.span(key);
            let (target, next) = keys.find(name.of(self.text, &self.row.scratch), place, self.seen);
            match target {
                Some(target) => self.value(target, scanner, 2)?,
                None => self.unknown(part, name, scanner, 2)?,
            }
            place = next;
            more = scanner.more_keys()?;
        }
        Ok(())
    }

    /// Reads keys in the order in which they stood last, as long as each has a short number; how many
    /// these were, and whether the object ended with the last of them.
    #[inline]
    fn expected_numbers(
        &mut self,
        keys: &Keys,
        from: usize,
        scanner: &mut Scanner<'_>,
    ) -> (usize, bool) {
        let mut ahead = scanner.clone();
        let mut place = from;
        let mut ended = false;
        while !ended
            && let Some(known) = keys.expected(place, self.seen)
            && let Some(index) = known.numeric
            && let Some(slot) = self.row.slots.get_mut(index as usize)
            && let Some(member) = ahead.pass_short_member(&known.quoted)
        {
            *slot = Slot::Number(member.value);
            ended = member.last;
            place += 1;
        }
        if !ended {
            ahead.blanks();
        }
        *scanner = ahead;
        (place - from, ended)
    }

    #[inline]
    fn value(&mut self, target: Target, scanner: &mut Scanner<'_>, open: u32) -> Result<(), Fault> {
        match target {
            Target::Column(index) => {
                let layout = self.layout;
                let Some(column) = layout.columns.get(index as usize) else {
                    return scanner.skip(open);
                };
                let value = self.slot(column, scanner, open)?;
                if let Some(slot) = self.row.slots.get_mut(index as usize) {
                    *slot = value;
                }
                Ok(())
            }
            Target::Ignored => scanner.skip(open),
        }
    }

    /// Notes a key that nobody knows. Whether it stood there before is asked once for the whole row: a
    /// record may hold a hundred thousand of them.
    fn unknown(
        &mut self,
        part: Part,
        name: Span,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Fault> {
        let is_null = scanner.peek() == Some(b'n');
        scanner.skip(open)?;
        let name = self.cut_span(name);
        self.row.unknown.push(UnknownKey { part, name, is_null });
        Ok(())
    }

    fn slot(
        &mut self,
        column: &ColumnLayout,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<Slot, Fault> {
        if let (Kind::Numeric, Some(b'-' | b'0'..=b'9')) = (column.kind, scanner.peek()) {
            return Ok(Slot::Number(scanner.number_value()?.0));
        }
        let start = scanner.at();
        Ok(match (scanner.value()?, column.kind) {
            (Value::Null, _) => Slot::Missing,
            (Value::Number(number), Kind::Numeric) => Slot::Number(number.value),
            (Value::Number(number), Kind::Categorical) => self.number_category(number),
            (Value::Text(text), Kind::Categorical) => {
                let span = self.span(text);
                match text.broken {
                    true => Slot::Wrong(span),
                    false => Slot::Text(self.cut_span(span)),
                }
            }
            (Value::Text(text), Kind::Numeric) => {
                let span = self.span(text);
                let number = match column.coerce {
                    true => coerce_number(span.of(self.text, &self.row.scratch)),
                    false => None,
                };
                number.map_or(Slot::Wrong(span), Slot::Number)
            }
            (Value::Bool(_), Kind::Categorical) => Slot::Text(plain(start, scanner.at())),
            (Value::Bool(_), Kind::Numeric) => Slot::Wrong(plain(start, scanner.at())),
            (Value::Object | Value::Array, _) => {
                scanner.skip(open)?;
                Slot::Wrong(plain(start, scanner.at()))
            }
        })
    }

    fn number_category(&mut self, number: Number<'_>) -> Slot {
        if number.whole && number.raw != b"-0" {
            return Slot::Text(self.cut_span(plain(number.start, number.start + number.raw.len())));
        }
        match category_of_f64(number.value) {
            Some(text) => {
                let start = self.row.scratch.len();
                self.row.scratch.push_str(&text);
                Slot::Text(self.cut_span(scratch(start, self.row.scratch.len())))
            }
            None => Slot::Missing,
        }
    }

    /// The characters of a string: in the record where they stand there as they are.
    fn span(&mut self, text: Text<'_>) -> Span {
        if text.escaped {
            let start = self.row.scratch.len();
            unescape(text, &mut self.row.scratch);
            scratch(start, self.row.scratch.len())
        } else {
            plain(text.start, text.start + text.raw.len())
        }
    }

    #[inline]
    fn cut_span(&mut self, span: Span) -> Span {
        if (span.end - span.start) as usize <= self.string_bytes {
            return span;
        }
        self.row.ignored.cut_strings += 1;
        let length = cut_text(span.of(self.text, &self.row.scratch), self.string_bytes).len();
        Span { end: span.start + u32::try_from(length).unwrap_or(0), ..span }
    }
}

// Records are refused above `record_bytes`, which fits a u32, so these never saturate.
fn plain(start: usize, end: usize) -> Span {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: place(start), end: place(end), scratch: false }
}

fn scratch(start: usize, end: usize) -> Span {
    Span { scratch: true, ..plain(start, end) }
}
