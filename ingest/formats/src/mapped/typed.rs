//! Values of binary formats into the places of a map: they follow the rules by which the same values in JSON
//! are read.

use driftline_capture::columns::Kind;

use super::found::{Found, FoundNumber, FoundValue};
use super::plan::{Leaf, Node};
use super::walk::{Halt, Walk, shown, wrong_shape};
use crate::category::{
    category_of_bool, category_of_date, category_of_f64, category_of_instant, coerce_number,
};
use crate::json::{Filling, SCALAR};
use crate::layout::{LastSeen, Part, Target};
use crate::rows::{Slot, UnknownKey};

/// A value that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Typed<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    Unsigned(u64),
    Number(f64),
    Text(&'a str),
    /// A time or a duration whose type says what it counts.
    Micros(Micros),
    /// Days since 1970.
    Date(i32),
    /// Something that no column can hold, by what it is.
    Opaque(&'static str),
}

/// A time or a duration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Micros {
    pub(crate) us: i64,
    /// As it was written: what a column of numbers holds.
    pub(crate) raw: f64,
}

impl Filling<'_> {
    /// What a value is in a column.
    #[inline]
    pub(crate) fn typed_slot(&mut self, column: u32, value: Typed<'_>) -> Slot {
        let Some(column) = self.layout.columns.get(column as usize) else { return Slot::Missing };
        match (value, column.kind) {
            (Typed::Number(number), Kind::Numeric) => Slot::Number(number),
            (Typed::Whole(whole), Kind::Numeric) => Slot::Number(whole as f64),
            (Typed::Unsigned(whole), Kind::Numeric) => Slot::Number(whole as f64),
            (Typed::Micros(micros), Kind::Numeric) => Slot::Number(micros.raw),
            (Typed::Date(days), Kind::Numeric) => Slot::Number(f64::from(days)),
            (Typed::Text(text), Kind::Numeric) => {
                let number = if column.coerce { coerce_number(text) } else { None };
                number.map_or_else(|| Slot::Wrong(self.row.keep(text)), Slot::Number)
            }
            (Typed::Bool(value), Kind::Numeric) => {
                Slot::Wrong(self.row.keep(category_of_bool(value)))
            }
            (Typed::Opaque(what), _) => Slot::Wrong(self.row.keep(what)),
            (Typed::Null, _) => Slot::Missing,
            (Typed::Text(text), Kind::Categorical) => self.category(text),
            (Typed::Bool(value), Kind::Categorical) => self.category(category_of_bool(value)),
            (Typed::Whole(whole), Kind::Categorical) => self.category(&whole.to_string()),
            (Typed::Unsigned(whole), Kind::Categorical) => self.category(&whole.to_string()),
            (Typed::Micros(micros), Kind::Categorical) => {
                self.category(&category_of_instant(micros.us))
            }
            (Typed::Date(days), Kind::Categorical) => self.category(&category_of_date(days)),
            (Typed::Number(number), Kind::Categorical) => match category_of_f64(number) {
                Some(text) => self.category(&text),
                None => Slot::Missing,
            },
        }
    }

    fn category(&mut self, text: &str) -> Slot {
        let span = self.row.keep(text);
        Slot::Text(self.cut_span(span))
    }
}

impl Walk<'_> {
    /// Puts a value where the map wants it.
    #[inline]
    pub(crate) fn put(&mut self, target: Target, value: Typed<'_>) -> Result<(), Halt> {
        match target {
            Target::Column(column) => {
                self.put_column(column, value);
                Ok(())
            }
            Target::Ignored => Ok(()),
            Target::Node(node) => self.put_node(node, value),
            Target::Nested(nested) => {
                // Not what the baseline knows: the whole is a column that nobody knows.
                if let Some(nested) = self.layout.nested.get(nested as usize) {
                    self.put_unknown(nested.part, &nested.name, matches!(value, Typed::Null));
                }
                Ok(())
            }
        }
    }

    #[inline]
    pub(crate) fn put_column(&mut self, column: u32, value: Typed<'_>) {
        let mut seen = LastSeen::default();
        let mut filling = Filling {
            layout: self.layout,
            seen: &mut seen,
            row: self.row,
            text: self.text,
            string_bytes: self.string_bytes,
            copied: true,
        };
        let slot = filling.typed_slot(column, value);
        if let Some(place) = self.row.slot(column) {
            *place = slot;
        }
    }

    /// Puts a number into a column.
    #[inline]
    pub(crate) fn put_number(&mut self, column: u32, number: f64) {
        let kind = self.layout.columns.get(column as usize).map(|column| column.kind);
        match (kind, self.row.slot(column)) {
            (Some(Kind::Numeric), Some(slot)) => *slot = Slot::Number(number),
            _ => self.put_column(column, Typed::Number(number)),
        }
    }

    /// Notes a column that nobody knows.
    pub(crate) fn put_unknown(&mut self, part: Part, name: &str, is_null: bool) {
        let cut = crate::category::cut_text(name, self.string_bytes);
        self.row.ignored.cut_strings += u64::from(cut.len() < name.len());
        let (row, name) = (self.row.current(), self.row.keep(cut));
        self.row.unknown.push(UnknownKey { row, part, name, is_null });
    }

    fn put_node(&mut self, index: u32, value: Typed<'_>) -> Result<(), Halt> {
        let map = self.map;
        let Some(node) = map.nodes.get(index as usize) else { return Ok(()) };
        self.put_leaves(node, value)?;
        self.put_beside_leaves(node, value)
    }

    /// Does with a value what a node wants that is no list or object of columns.
    pub(crate) fn put_beside_leaves(&mut self, node: &Node, value: Typed<'_>) -> Result<(), Halt> {
        match value {
            Typed::Null => Ok(()),
            _ if node.each.is_some() || node.exact.is_some() => Err(no_list(node)),
            value => match node.open {
                // As in our own format: a prediction that is one value is the column `value`.
                Some(Part::Prediction) => match node.keys.get(SCALAR) {
                    Some(target) => self.put(target, value),
                    None => {
                        self.put_unknown(Part::Prediction, SCALAR, false);
                        Ok(())
                    }
                },
                Some(Part::Features) => {
                    self.row.ignored.unusable_fields += 1;
                    Ok(())
                }
                None => Ok(()),
            },
        }
    }

    /// Gives a value to everything that wants the value of this node itself.
    pub(crate) fn put_leaves(&mut self, node: &Node, value: Typed<'_>) -> Result<(), Halt> {
        for leaf in &node.leaves {
            match *leaf {
                Leaf::Column(column) => self.put_column(column, value),
                Leaf::New(new) => {
                    if let Some(new) = self.map.new.get(new as usize) {
                        self.put_unknown(new.part, &new.name, matches!(value, Typed::Null));
                    }
                }
                Leaf::Source(source) => {
                    let found = self.found_of(value);
                    self.gathered.set(source, found);
                    self.not_foreign(source, found)?;
                }
                Leaf::RowId(rank) => {
                    let found = self.found_of(value);
                    self.gathered.set_row_id(self.row.current(), rank, found);
                }
            }
        }
        Ok(())
    }

    fn found_of(&mut self, value: Typed<'_>) -> Found {
        let value = match value {
            Typed::Null => FoundValue::Absent,
            Typed::Bool(_) => FoundValue::Bool,
            Typed::Whole(whole) => self.found_number(&whole.to_string(), whole as f64),
            Typed::Unsigned(whole) => self.found_number(&whole.to_string(), whole as f64),
            Typed::Number(number) => self.found_number(&number.to_string(), number),
            Typed::Text(text) => FoundValue::Text(self.row.keep(text)),
            Typed::Micros(micros) => FoundValue::Micros(micros.us),
            Typed::Date(days) => FoundValue::Text(self.row.keep(&category_of_date(days))),
            Typed::Opaque(_) => FoundValue::Container,
        };
        Found { start: 0, value }
    }

    fn found_number(&mut self, raw: &str, value: f64) -> FoundValue {
        FoundValue::Number(FoundNumber { raw: self.row.keep(raw), value })
    }
}

/// A place of the map where no list stands and one is expected.
pub(crate) fn no_list(node: &Node) -> Halt {
    wrong_shape(format!("expected a list at {}", shown(node)))
}
