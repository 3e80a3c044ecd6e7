//! Counts of one categorical column per category of its baseline, and the names that are new.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, StringArray};

use super::absent::Absent;
use super::{Examples, Scratch, Slots, Values};
use crate::encoding::{DecodeError, Reader, put_varint};
use crate::names::{BottomK, keyed_hash};

/// The categories of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct CategoricalReference {
    index: Arc<HashMap<Box<str>, u32>>,
    other_hashes: Arc<[u64]>,
    too_many_values: bool,
}

/// What is counted of a categorical column. Empty, it owns no memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CategoricalCell {
    slots: Slots,
    n: u64,
    other: u64,
    new: u64,
    new_names: BottomK,
    absent: Absent,
}

impl CategoricalReference {
    /// `categories` are counted by name and slot, in their order; values whose keyed hash is among
    /// `other_hashes` (sorted) are known and counted together; all others are new. With
    /// `too_many_values` nothing is new, all is counted as `other`.
    pub fn new<'a>(
        categories: impl IntoIterator<Item = &'a str>,
        other_hashes: &[u64],
        too_many_values: bool,
    ) -> CategoricalReference {
        let index = categories.into_iter().enumerate().map(|(i, name)| (name.into(), i as u32));
        CategoricalReference {
            index: Arc::new(index.collect()),
            other_hashes: other_hashes.into(),
            too_many_values,
        }
    }

    /// Categories counted by name.
    pub fn slots(&self) -> usize {
        self.index.len()
    }

    /// The slot of a category that is counted by name.
    pub fn slot(&self, category: &str) -> Option<u32> {
        self.index.get(category).copied()
    }

    fn is_other(&self, category: &str) -> bool {
        self.too_many_values || self.other_hashes.binary_search(&keyed_hash(category)).is_ok()
    }
}

impl CategoricalCell {
    /// Counts the given rows of a batch.
    pub fn absorb(
        &mut self,
        reference: &CategoricalReference,
        column: Values<'_, StringArray>,
        scratch: &mut Scratch,
    ) {
        let indices = &mut scratch.slots;
        indices.clear();
        for &row in column.rows.indices() {
            let row = row as usize;
            if column.values.is_null(row) {
                self.absent.count(column.wrong_type, row);
                continue;
            }
            let value = column.values.value(row);
            self.n += 1;
            match reference.slot(value) {
                Some(slot) => indices.push(slot),
                None if reference.is_other(value) => self.other += 1,
                None => {
                    self.new += 1;
                    self.new_names.add(value);
                }
            }
        }
        self.slots.count(reference.slots(), indices);
    }

    /// Adds everything `other` counted over the same categories.
    pub fn merge(&mut self, reference: &CategoricalReference, other: &CategoricalCell) {
        self.slots.merge(reference.slots(), &other.slots);
        self.n += other.n;
        self.other += other.other;
        self.new += other.new;
        self.new_names.merge(&other.new_names);
        self.absent.merge(&other.absent);
    }

    /// Values that are neither missing nor of the wrong type: named, other and new.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Values whose category is known to the baseline by hash alone.
    pub fn other(&self) -> u64 {
        self.other
    }

    /// Values whose category is not in the baseline.
    pub fn new_values(&self) -> u64 {
        self.new
    }

    /// Names of new categories.
    pub fn new_names(&self) -> &BottomK {
        &self.new_names
    }

    /// Null.
    pub fn missing(&self) -> u64 {
        self.absent.missing
    }

    /// Values that are no category.
    pub fn wrong_type(&self) -> u64 {
        self.absent.wrong_type
    }

    /// Examples of values that are no category.
    pub fn examples(&self) -> &Examples {
        &self.absent.examples
    }

    /// Counts of the named categories, in the order of the baseline.
    pub fn counts(&self, reference: &CategoricalReference) -> Vec<u64> {
        self.slots.to_vec(reference.slots())
    }

    /// The named categories in use with their counts, ascending by their place in the baseline.
    pub(crate) fn used(&self) -> impl Iterator<Item = (u32, u64)> + Clone + '_ {
        self.slots.used()
    }

    /// Counts of the first `judged` categories, and last of the pool of all other values. Lines up
    /// with [`crate::baseline::CategoricalBaseline::judged_counts`].
    pub fn judged_counts(&self, judged: usize) -> Vec<u64> {
        let mut counts = vec![0; judged];
        for (slot, count) in self.slots.used() {
            if let Some(place) = counts.get_mut(slot as usize) {
                *place = count;
            }
        }
        counts.push(self.n - counts.iter().sum::<u64>());
        counts
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        self.slots.bytes() + self.new_names.bytes() + self.absent.examples.bytes()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.n);
        put_varint(out, self.absent.missing);
        put_varint(out, self.absent.wrong_type);
        if self.absent.wrong_type > 0 {
            self.absent.examples.encode(out);
        }
        if self.n == 0 {
            return;
        }
        put_varint(out, self.other);
        put_varint(out, self.new);
        if self.new > 0 {
            self.new_names.encode(out);
        }
        self.slots.encode(out);
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        reference: &CategoricalReference,
    ) -> Result<CategoricalCell, DecodeError> {
        const WHAT: &str = "a categorical column";
        let mut cell = CategoricalCell {
            n: reader.count(WHAT)?,
            absent: Absent {
                missing: reader.count(WHAT)?,
                wrong_type: reader.count(WHAT)?,
                ..Absent::default()
            },
            ..CategoricalCell::default()
        };
        if cell.absent.wrong_type > 0 {
            cell.absent.examples = Examples::decode(reader)?;
        }
        if cell.n > 0 {
            cell.other = reader.count(WHAT)?;
            cell.new = reader.count(WHAT)?;
            if cell.new > 0 {
                cell.new_names = BottomK::decode(reader)?;
            }
            cell.slots = Slots::decode(reader, reference.slots())?;
        }
        let total = cell.slots.checked_total().and_then(|t| t.checked_add(cell.other + cell.new));
        if total != Some(cell.n) {
            return Err(DecodeError::Invalid { what: WHAT });
        }
        Ok(cell)
    }
}
