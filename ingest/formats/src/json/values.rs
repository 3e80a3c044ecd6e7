//! Reads `features` and `prediction` into the slots of a row.

use std::fmt::Write as _;

use driftline_capture::columns::Kind;

use super::scan::{Fault, MAX_DEPTH, Number, Scanner, Text, Value, unescape};
use crate::category::{category_of_f64, coerce_number, cut_text};
use crate::layout::{ColumnLayout, Keys, LastSeen, ModelLayout, Nested, Part, Target};
use crate::rows::{Row, Slot, Span, UnknownKey};

/// The key under which a prediction that is one value stands.
pub(crate) const SCALAR: &str = "value";

/// What reading values needs beside the scanner: the model's layout and the row to fill.
pub(crate) struct Filling<'r> {
    pub(crate) layout: &'r ModelLayout,
    pub(crate) seen: &'r mut LastSeen,
    pub(crate) row: &'r mut Row,
    pub(crate) text: &'r str,
    /// Bytes that a string may have.
    pub(crate) string_bytes: usize,
    /// Whether `text` is not the record's: what is kept of it is copied.
    pub(crate) copied: bool,
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
    pub(crate) fn expected_numbers(
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
            && let Some(slot) = self.row.slot(index)
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
    pub(crate) fn value(
        &mut self,
        target: Target,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Fault> {
        match target {
            Target::Column(index) => {
                let layout = self.layout;
                let Some(column) = layout.columns.get(index as usize) else {
                    return scanner.skip(open);
                };
                let value = self.slot(column, scanner, open)?;
                if let Some(slot) = self.row.slot(index) {
                    *slot = value;
                }
                Ok(())
            }
            Target::Nested(index) => self.nested(index, scanner, open),
            // Those of a map are followed by whoever reads by a map.
            Target::Ignored | Target::Node(_) => scanner.skip(open),
        }
    }

    /// Reads an object or a list whose values are columns of their own, `a.b` and `a[0]`.
    fn nested(&mut self, index: u32, scanner: &mut Scanner<'_>, open: u32) -> Result<(), Fault> {
        let layout = self.layout;
        let Some(nested) = layout.nested.get(index as usize) else { return scanner.skip(open) };
        let is_object = match scanner.peek() {
            Some(b'{') => true,
            Some(b'[') => false,
            // Not what the baseline knows: the whole is a column that nobody knows.
            _ => {
                let start = self.row.scratch.len();
                self.row.scratch.push_str(&nested.name);
                let name = scratch(start, self.row.scratch.len());
                return self.unknown(nested.part, name, scanner, open);
            }
        };
        if open >= MAX_DEPTH {
            return scanner.fault("nested deeper than 127 levels");
        }
        // The last of two objects counts, and not both together.
        self.forget(nested, 0);
        let mut element = 0_usize;
        let mut more = if is_object { scanner.enter_object() } else { scanner.enter_array() };
        while more {
            let start = self.row.scratch.len();
            self.row.scratch.push_str(&nested.name);
            if is_object {
                let key = scanner.key()?;
                self.row.scratch.push('.');
                unescape(key, &mut self.row.scratch);
            } else {
                // Writing into memory does not fail.
                let _ = write!(self.row.scratch, "[{element}]");
            }
            let name = scratch(start, self.row.scratch.len());
            match nested.values.get(name.of("", &self.row.scratch)).copied() {
                Some(target) => {
                    self.row.scratch.truncate(start);
                    self.value(target, scanner, open + 1)?;
                }
                None => self.unknown(nested.part, name, scanner, open + 1)?,
            }
            element += 1;
            more = if is_object { scanner.more_keys()? } else { scanner.more_elements()? };
        }
        Ok(())
    }

    /// Forgets the values of all columns of a nested object, `depth` levels into it.
    fn forget(&mut self, nested: &Nested, depth: usize) {
        for target in nested.values.values() {
            match target {
                Target::Column(column) => {
                    if let Some(slot) = self.row.slot(*column) {
                        *slot = Slot::Missing;
                    }
                }
                Target::Nested(inner) if depth < MAX_DEPTH as usize => {
                    let layout = self.layout;
                    if let Some(inner) = layout.nested.get(*inner as usize) {
                        self.forget(inner, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes a key that nobody knows. Whether it stood there before is asked once for the whole row: a
    /// record may hold a hundred thousand of them.
    pub(crate) fn unknown(
        &mut self,
        part: Part,
        name: Span,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Fault> {
        let is_null = scanner.peek() == Some(b'n');
        scanner.skip(open)?;
        let name = self.cut_span(name);
        let row = self.row.current();
        self.row.unknown.push(UnknownKey { row, part, name, is_null });
        Ok(())
    }

    pub(crate) fn slot(
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
            (Value::Bool(_), Kind::Categorical) => Slot::Text(self.piece(start, scanner.at())),
            (Value::Bool(_), Kind::Numeric) => Slot::Wrong(self.piece(start, scanner.at())),
            (Value::Object | Value::Array, _) => {
                scanner.skip(open)?;
                Slot::Wrong(self.piece(start, scanner.at()))
            }
        })
    }

    /// The same of a text that is kept.
    pub(crate) fn span_slot(&mut self, column: u32, span: Span) -> Slot {
        let text = span.of(self.text, &self.row.scratch).to_owned();
        self.text_slot(column, &text)
    }

    /// What the text of a cell is in a column; an empty one is missing.
    pub(crate) fn text_slot(&mut self, column: u32, cell: &str) -> Slot {
        let Some(column) = self.layout.columns.get(column as usize) else { return Slot::Missing };
        let number = match (cell.trim().is_empty(), column.kind) {
            (true, Kind::Numeric) => return Slot::Missing,
            (_, Kind::Numeric) => coerce_number(cell),
            (_, Kind::Categorical) if cell.is_empty() => return Slot::Missing,
            (_, Kind::Categorical) => {
                let span = self.row.keep(cell);
                return Slot::Text(self.cut_span(span));
            }
        };
        number.map_or_else(|| Slot::Wrong(self.row.keep(cell)), Slot::Number)
    }

    fn number_category(&mut self, number: Number<'_>) -> Slot {
        if number.whole && number.raw != b"-0" {
            let span = self.piece(number.start, number.start + number.raw.len());
            return Slot::Text(self.cut_span(span));
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
    pub(crate) fn span(&mut self, text: Text<'_>) -> Span {
        if text.escaped {
            let start = self.row.scratch.len();
            unescape(text, &mut self.row.scratch);
            scratch(start, self.row.scratch.len())
        } else {
            self.piece(text.start, text.start + text.raw.len())
        }
    }

    /// Bytes of the text as they stand.
    pub(crate) fn piece(&mut self, start: usize, end: usize) -> Span {
        if !self.copied {
            return plain(start, end);
        }
        let from = self.row.scratch.len();
        self.row.scratch.push_str(self.text.get(start..end).unwrap_or_default());
        scratch(from, self.row.scratch.len())
    }

    #[inline]
    pub(crate) fn cut_span(&mut self, span: Span) -> Span {
        if (span.end - span.start) as usize <= self.string_bytes {
            return span;
        }
        self.row.ignored.cut_strings += 1;
        let length = cut_text(span.of(self.text, &self.row.scratch), self.string_bytes).len();
        Span { end: span.start + u32::try_from(length).unwrap_or(0), ..span }
    }
}

// Records are refused above `record_bytes`, which fits a u32, so these never saturate.
pub(crate) fn plain(start: usize, end: usize) -> Span {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: place(start), end: place(end), scratch: false }
}

pub(crate) fn scratch(start: usize, end: usize) -> Span {
    Span { scratch: true, ..plain(start, end) }
}
