//! Where the fields of binary records go: found once for a schema and a map, and by name where names stand in
//! the record.

use std::collections::HashMap;
use std::sync::Arc;

use super::plan::Node;
use super::typed::{Typed, no_list};
use super::walk::{Halt, Walk, shown, wrong_shape};
use crate::layout::{Part, Target};

/// Where a field goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldTarget {
    Known(Target),
    /// It is a column that nobody knows.
    New(Part),
}

/// The fields of the types of one schema at the nodes of one map.
#[derive(Debug, Default)]
pub(crate) struct Targets(HashMap<TypeAtNode, Arc<[FieldTarget]>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct TypeAtNode {
    kind: u32,
    node: u32,
}

impl Targets {
    /// The targets of a type's fields at a node.
    pub(crate) fn of(
        &mut self,
        kind: u32,
        node: u32,
        find: impl FnOnce() -> Arc<[FieldTarget]>,
    ) -> Arc<[FieldTarget]> {
        let at = TypeAtNode { kind, node };
        Arc::clone(self.0.entry(at).or_insert_with(find))
    }
}

impl Walk<'_> {
    /// Where fields of these names go at a node.
    pub(crate) fn field_targets<'n>(
        &self,
        node: u32,
        names: impl Iterator<Item = &'n str>,
    ) -> Arc<[FieldTarget]> {
        names.map(|name| self.key_target(node, name)).collect()
    }

    /// Where a key goes at a node.
    pub(crate) fn key_target(&self, node: u32, name: &str) -> FieldTarget {
        let Some(node) = self.map.nodes.get(node as usize) else {
            return FieldTarget::Known(Target::Ignored);
        };
        match (node.keys.get(name), node.open) {
            (Some(target), _) => FieldTarget::Known(target),
            (None, Some(part)) => FieldTarget::New(part),
            (None, None) => FieldTarget::Known(Target::Ignored),
        }
    }

    /// Where an element goes of a list that stands where an object of columns is expected: its columns are
    /// `[0]`, `[1]`, …. Nothing where no such object is expected.
    pub(crate) fn element_target(&self, node: &Node, index: usize) -> Option<FieldTarget> {
        let is_plain = node.items.is_empty() && node.exact.is_none();
        let part = node.open.filter(|part| is_plain && *part == Part::Features)?;
        let target = node.keys.get(&format!("[{index}]"));
        Some(target.map_or(FieldTarget::New(part), FieldTarget::Known))
    }

    /// The whole name of a value inside an object or a list that is no column itself.
    pub(crate) fn nested_name(&self, nested: u32, add: impl FnOnce(&mut String)) -> String {
        let nested = self.layout.nested.get(nested as usize);
        let mut name = nested.map_or_else(String::new, |nested| nested.name.to_string());
        add(&mut name);
        name
    }

    /// Where such a value goes.
    pub(crate) fn nested_target(&self, nested: u32, name: &str) -> FieldTarget {
        let Some(nested) = self.layout.nested.get(nested as usize) else {
            return FieldTarget::Known(Target::Ignored);
        };
        let known = nested.values.get(name).copied();
        known.map_or(FieldTarget::New(nested.part), FieldTarget::Known)
    }

    /// Begins a list at a node; whether its elements are looked at.
    pub(crate) fn begin_list(&mut self, node: &Node) -> Result<bool, Halt> {
        self.put_leaves(node, Typed::Opaque("a list"))?;
        let lists = !node.items.is_empty() || node.each.is_some() || node.exact.is_some();
        let looked_at = lists || node.open == Some(Part::Features);
        if !looked_at {
            self.put_beside_leaves(node, Typed::Opaque("a list"))?;
        }
        Ok(looked_at)
    }

    /// Judges a list of so many elements, and notes how many rows it has.
    pub(crate) fn end_list(&mut self, node: &Node, count: usize) -> Result<(), Halt> {
        if let Some(exact) = node.exact.filter(|exact| *exact != count) {
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

    /// Gives the leaves of a node a container; whether anything of it is looked at inside.
    pub(crate) fn enter(&mut self, node: u32, value: Typed<'_>) -> Result<bool, Halt> {
        let map = self.map;
        let Some(node) = map.nodes.get(node as usize) else { return Ok(false) };
        self.put_leaves(node, value)?;
        let keys = node.open.is_some() || !node.keys.is_empty();
        if !keys && (node.each.is_some() || node.exact.is_some()) {
            return Err(no_list(node));
        }
        Ok(keys)
    }
}
