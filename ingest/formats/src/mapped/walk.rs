//! Follows a map through the JSON of one record: values go to the slots of its rows, everything else is
//! checked and passed over.

use driftline_capture::Reason;

use super::found::{Found, FoundNumber, FoundValue};
use super::gathered::Gathered;
use super::plan::{Each, Leaf, MapPlan, Node};
use crate::json::{Fault, Filling, MAX_DEPTH, SCALAR, Scanner, Value};
use crate::layout::{LastSeen, ModelLayout, Part, Target, TopicLayout};
use crate::record::Rejection;
use crate::rows::{MOST_VALUES, Row, Span};

/// A record that is being read by a map.
pub(crate) struct Walk<'r> {
    pub(crate) topic: &'r TopicLayout,
    pub(crate) layout: &'r ModelLayout,
    pub(crate) map: &'r MapPlan,
    /// For each node, the order in which its keys came last.
    pub(crate) seen: &'r mut [LastSeen],
    pub(crate) gathered: &'r mut Gathered,
    pub(crate) row: &'r mut Row,
    pub(crate) text: &'r str,
    pub(crate) string_bytes: usize,
    /// Whether `text` is not the record's own.
    pub(crate) copied: bool,
    /// Whether keys that stand twice are looked for before anything is read.
    pub(crate) careful: bool,
}

/// Why following a map ends early.
#[derive(Debug)]
pub(crate) enum Halt {
    Rejected(Rejection),
    /// The event is of a model that the topic is not configured for.
    Foreign(Span),
    /// A key stands twice in one object, and more than one value hangs on it: the record is read again
    /// with care.
    Repeated,
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Rejected(fault.into())
    }
}

impl From<Rejection> for Halt {
    fn from(rejection: Rejection) -> Halt {
        Halt::Rejected(rejection)
    }
}

/// What a list of rows or a body does not fit.
pub(crate) fn wrong_shape(detail: impl Into<String>) -> Halt {
    Halt::Rejected(Rejection::new(Reason::WrongShape, detail))
}

/// A record of more values than are kept of one.
pub(crate) fn too_many() -> Halt {
    let detail = format!("rows by columns are more than {MOST_VALUES} values");
    Halt::Rejected(Rejection::new(Reason::TooLarge, detail))
}

impl Walk<'_> {
    /// Reads the value that the scanner stands on, inside `open` containers.
    #[inline]
    pub(crate) fn value(
        &mut self,
        target: Target,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Halt> {
        match target {
            Target::Node(node) => self.node(node, scanner, open),
            target => Ok(self.filling(0)?.value(target, scanner, open)?),
        }
    }

    /// Reads values in the order of this node's keys.
    #[inline]
    pub(crate) fn filling(&mut self, node: u32) -> Result<Filling<'_>, Fault> {
        let Some(seen) = self.seen.get_mut(node as usize) else {
            return Err(Fault { at: 0, what: "the map has no such node" });
        };
        Ok(Filling {
            layout: self.layout,
            seen,
            row: self.row,
            text: self.text,
            string_bytes: self.string_bytes,
            copied: self.copied,
        })
    }

    fn node(&mut self, index: u32, scanner: &mut Scanner<'_>, open: u32) -> Result<(), Halt> {
        let map = self.map;
        let Some(node) = map.nodes.get(index as usize) else { return Ok(scanner.skip(open)?) };
        let follows = node.open.is_some()
            || !node.keys.is_empty()
            || !node.items.is_empty()
            || node.each.is_some();
        let (last, others) = match (node.leaves.split_last(), follows) {
            (Some((last, others)), false) => (Some(last), others),
            _ => (None, node.leaves.as_slice()),
        };
        for leaf in others {
            self.leaf(*leaf, &mut scanner.clone(), open)?;
        }
        if let Some(last) = last {
            return self.leaf(*last, scanner, open);
        }
        if open >= MAX_DEPTH {
            return Ok(scanner.skip(open)?);
        }
        let lists = !node.items.is_empty() || node.each.is_some() || node.exact.is_some();
        match scanner.peek() {
            Some(b'{') if node.open.is_some() || !node.keys.is_empty() => {
                if self.careful {
                    self.careful_object(index, node, scanner, open)
                } else {
                    self.object(index, node, scanner, open)
                }
            }
            Some(b'[') if lists => self.list(node, scanner, open),
            Some(b'[') if node.open == Some(Part::Features) => {
                self.plain_list(index, node, scanner, open)
            }
            Some(b'n') => Ok(scanner.skip(open)?),
            Some(_) if node.each.is_some() || node.exact.is_some() => {
                scanner.skip(open)?;
                Err(wrong_shape(format!("expected a list at {}", shown(node))))
            }
            _ => self.other(index, node, scanner, open),
        }
    }

    /// A value that is neither an object nor a list of the map.
    fn other(
        &mut self,
        index: u32,
        node: &Node,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Halt> {
        match node.open {
            // As in our own format: a prediction that is one value is the column `value`.
            Some(Part::Prediction) => match node.keys.get(SCALAR) {
                Some(target) => self.value(target, scanner, open),
                None => {
                    let name = self.row.keep(SCALAR);
                    Ok(self.filling(index)?.unknown(Part::Prediction, name, scanner, open)?)
                }
            },
            Some(Part::Features) => {
                self.row.ignored.unusable_fields += 1;
                Ok(scanner.skip(open)?)
            }
            None => Ok(scanner.skip(open)?),
        }
    }

    fn object(
        &mut self,
        index: u32,
        node: &Node,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Halt> {
        let object = self.gathered.enter();
        let mut place = 0;
        let mut more = scanner.enter_object();
        while more {
            let mut filling = self.filling(index)?;
            let (numbers, ended) = filling.expected_numbers(&node.keys, place, scanner);
            if ended {
                return Ok(());
            }
            place += numbers;
            let target = match node.keys.expected(place, filling.seen) {
                Some(known) if scanner.pass_key(&known.quoted) => {
                    place += 1;
                    Some(known.target)
                }
                _ => {
                    let key = scanner.key()?;
                    let name = filling.span(key);
                    let text = name.of(filling.text, &filling.row.scratch);
                    let (target, next) = node.keys.find(text, place, filling.seen);
                    place = next;
                    if let (None, Some(part)) = (target, node.open) {
                        filling.unknown(part, name, scanner, open + 1)?;
                        more = scanner.more_keys()?;
                        continue;
                    }
                    target
                }
            };
            match target {
                Some(Target::Node(child)) => {
                    if self.gathered.met_before(child, object) {
                        return Err(Halt::Repeated);
                    }
                    self.node(child, scanner, open + 1)?;
                }
                Some(target) => filling.value(target, scanner, open + 1)?,
                None => scanner.skip(open + 1)?,
            }
            more = scanner.more_keys()?;
        }
        Ok(())
    }

    /// The same for an object in which some key stands twice: of the nodes, only the last of each is
    /// followed.
    fn careful_object(
        &mut self,
        index: u32,
        node: &Node,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Halt> {
        let mut last: Vec<(u32, Scanner<'_>)> = Vec::new();
        let mut more = scanner.enter_object();
        while more {
            let mut filling = self.filling(index)?;
            let key = scanner.key()?;
            let name = filling.span(key);
            match node.keys.get(name.of(filling.text, &filling.row.scratch)) {
                Some(Target::Node(child)) => {
                    last.retain(|(other, _)| *other != child);
                    last.push((child, scanner.clone()));
                    scanner.skip(open + 1)?;
                }
                Some(target) => filling.value(target, scanner, open + 1)?,
                None => match node.open {
                    Some(part) => filling.unknown(part, name, scanner, open + 1)?,
                    None => scanner.skip(open + 1)?,
                },
            }
            more = scanner.more_keys()?;
        }
        for (child, mut place) in last {
            self.node(child, &mut place, open + 1)?;
        }
        Ok(())
    }

    /// A list of the map: elements by their place, or all of them as rows.
    fn list(&mut self, node: &Node, scanner: &mut Scanner<'_>, open: u32) -> Result<(), Halt> {
        let row = self.row.current() as usize;
        let mut count = 0_usize;
        let mut more = scanner.enter_array();
        while more {
            let item = node.items.get(count).copied().flatten();
            match (item, node.each) {
                (Some(target), None) => self.value(target, scanner, open + 1)?,
                (None, None) => scanner.skip(open + 1)?,
                (item, Some(each)) => {
                    if let Some(target) = item {
                        self.value(target, &mut scanner.clone(), open + 1)?;
                    }
                    self.element(each, count, scanner, open)?;
                    self.row.go_to(row);
                }
            }
            count += 1;
            more = scanner.more_elements()?;
        }
        if node.exact.is_some_and(|exact| exact != count) {
            let exact = node.exact.unwrap_or(0);
            let place = shown(node);
            return Err(wrong_shape(format!(
                "{count} values at {place}, and the map names {exact}"
            )));
        }
        if let Some(each) = node.each {
            self.gathered.set_length(each.axis, u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    #[inline]
    fn element(
        &mut self,
        each: Each,
        index: usize,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Halt> {
        // Row 0 is what belongs to all of them.
        if !self.row.go_to(index + 1) {
            return Err(too_many());
        }
        self.value(each.target, scanner, open + 1)
    }

    /// A list where an object of columns is expected: its columns are `[0]`, `[1]`, ….
    fn plain_list(
        &mut self,
        index: u32,
        node: &Node,
        scanner: &mut Scanner<'_>,
        open: u32,
    ) -> Result<(), Halt> {
        let mut count = 0_usize;
        let mut more = scanner.enter_array();
        while more {
            let name = self.row.keep(&format!("[{count}]"));
            match (node.keys.get(name.of("", &self.row.scratch)), node.open) {
                (Some(target), _) => self.value(target, scanner, open + 1)?,
                (None, Some(part)) => {
                    self.filling(index)?.unknown(part, name, scanner, open + 1)?;
                }
                (None, None) => scanner.skip(open + 1)?,
            }
            count += 1;
            more = scanner.more_elements()?;
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: Leaf, scanner: &mut Scanner<'_>, open: u32) -> Result<(), Halt> {
        match leaf {
            Leaf::Column(column) => {
                Ok(self.filling(0)?.value(Target::Column(column), scanner, open)?)
            }
            Leaf::New(new) => {
                let Some(new) = self.map.new.get(new as usize) else {
                    return Ok(scanner.skip(open)?);
                };
                let name = self.row.keep(&new.name);
                Ok(self.filling(0)?.unknown(new.part, name, scanner, open)?)
            }
            Leaf::Source(source) => {
                let found = self.found(scanner, open)?;
                self.gathered.set(source, found);
                self.not_foreign(source, found)
            }
            Leaf::RowId(rank) => {
                let found = self.found(scanner, open)?;
                self.gathered.set_row_id(self.row.current(), rank, found);
                Ok(())
            }
        }
    }

    fn found(&mut self, scanner: &mut Scanner<'_>, open: u32) -> Result<Found, Halt> {
        let start = u32::try_from(scanner.at()).unwrap_or(u32::MAX);
        let value = match scanner.value()? {
            Value::Null => FoundValue::Absent,
            Value::Bool(_) => FoundValue::Bool,
            Value::Text(text) => FoundValue::Text(self.filling(0)?.span(text)),
            Value::Number(number) => {
                let raw = self.filling(0)?.piece(number.start, number.start + number.raw.len());
                FoundValue::Number(FoundNumber { raw, value: number.value })
            }
            Value::Object | Value::Array => {
                scanner.skip(open)?;
                FoundValue::Container
            }
        };
        Ok(Found { start, value })
    }

    /// Ends the reading of an event that is of somebody else, as soon as it says so.
    pub(crate) fn not_foreign(&self, source: u32, found: Found) -> Result<(), Halt> {
        let [model] = self.map.fields.model.as_slice() else { return Ok(()) };
        let (true, FoundValue::Text(span)) = (model.source == source, found.value) else {
            return Ok(());
        };
        let name = span.of(self.text, &self.row.scratch);
        let known = *self.layout.name == *name || self.topic.by_name.contains_key(name);
        if known { Ok(()) } else { Err(Halt::Foreign(span)) }
    }
}

/// The place of a node, as messages name it.
pub(crate) fn shown(node: &Node) -> &str {
    if node.place.is_empty() { "the top of the event" } else { &node.place }
}
