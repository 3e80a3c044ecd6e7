//! Bounded sets of names that no order of rows and no merge can change: the 64 smallest keyed
//! hashes, each with its exact count.

use std::collections::BTreeMap;

use crate::encoding::{DecodeError, Reader, put_text, put_varint};

/// How many names RULES §4 keeps.
pub const NAMES_KEPT: usize = 64;
/// Key of the hash: part of the stored state's meaning, so it never changes.
const KEY: u64 = 0x9e37_79b9_7f4a_7c15;

/// The names with the smallest keyed hashes, each with its exact count.
///
/// A name among the `LIMIT` smallest of all names is among the `LIMIT` smallest of any part of
/// them, so it is never dropped anywhere and its count is exact. A name that was dropped has
/// `LIMIT` smaller ones before it, which only still smaller ones can displace, so it never comes
/// back with a partial count. Hence any split and any order of merges gives the same set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BottomK<const LIMIT: usize = NAMES_KEPT> {
    kept: BTreeMap<(u64, Box<str>), u64>,
    truncated: bool,
}

/// The keyed hash by which names are chosen, and by which further known categories are counted.
/// The same on every machine, in every version.
pub fn keyed_hash(name: &str) -> u64 {
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let mut hash = KEY ^ (name.len() as u64);
    for chunk in name.as_bytes().chunks(8) {
        let mut word = [0_u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // The added key keeps a zero word from swallowing what came before it.
        hash = fold(hash ^ u64::from_le_bytes(word), KEY | 1)
            .wrapping_add(hash.rotate_left(23))
            .wrapping_add(KEY);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

impl<const LIMIT: usize> BottomK<LIMIT> {
    /// Counts `name` once.
    pub fn add(&mut self, name: &str) {
        self.add_hashed(keyed_hash(name), name, 1);
    }

    fn add_hashed(&mut self, hash: u64, name: &str, count: u64) {
        if self.kept.len() >= LIMIT
            && self
                .kept
                .last_key_value()
                .is_none_or(|((largest, last), _)| (hash, name) > (*largest, last))
        {
            self.truncated = true;
            return;
        }
        *self.kept.entry((hash, name.into())).or_insert(0) += count;
        if self.kept.len() > LIMIT {
            self.kept.pop_last();
            self.truncated = true;
        }
    }

    /// Adds everything `other` counted.
    pub fn merge(&mut self, other: &BottomK<LIMIT>) {
        self.truncated |= other.truncated;
        for ((hash, name), &count) in &other.kept {
            self.add_hashed(*hash, name, count);
        }
    }

    /// The kept names with their exact counts, sorted by name.
    pub fn names(&self) -> Vec<(&str, u64)> {
        let mut names: Vec<(&str, u64)> =
            self.kept.iter().map(|((_, name), &count)| (&**name, count)).collect();
        names.sort_unstable();
        names
    }

    /// Whether there were more names than are kept (`names_truncated`).
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Whether no name was counted.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Heap bytes, about.
    pub fn bytes(&self) -> usize {
        self.kept.keys().map(|(_, name)| name.len() + 64).sum()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, (self.kept.len() as u64) << 1 | u64::from(self.truncated));
        for ((_, name), &count) in &self.kept {
            put_text(out, name);
            put_varint(out, count);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<BottomK<LIMIT>, DecodeError> {
        let head = reader.length(2 * LIMIT + 1, "the number of names")?;
        let mut names = BottomK { kept: BTreeMap::new(), truncated: head & 1 == 1 };
        for _ in 0..head >> 1 {
            let name = reader.text(reader.left(), "a name")?;
            let count = reader.count("the count of a name")?;
            let key = (keyed_hash(name), name.into());
            if count == 0 || names.kept.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::Invalid { what: "names out of order" });
            }
            names.kept.insert(key, count);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
