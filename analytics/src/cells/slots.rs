//! Counters of a fixed number of slots: a sorted list while few are used, an array afterwards.

use crate::encoding::{DecodeError, Reader, put_varint};

/// Below this many new indices they are inserted one by one, above it they are sorted and merged.
const FEW: usize = 24;
/// From one new index for so many slots on, they are counted in an array first.
const DENSE: usize = 8;

/// Exact counters. How they are stored depends on the order of what was counted; what they hold,
/// compare as and encode to does not.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    store: Store,
}

#[derive(Debug, Clone)]
enum Store {
    /// Used slots, ascending, none zero.
    Sparse(Vec<(u32, u32)>),
    Narrow {
        counts: Box<[u32]>,
        /// Their sum, so that one look tells that none of them leaves 32 bits.
        total: u64,
    },
    /// As soon as a counter might leave 32 bits.
    Wide(Box<[u64]>),
}

impl Default for Store {
    fn default() -> Store {
        Store::Sparse(Vec::new())
    }
}

impl Slots {
    /// Counts each index once; `slots` is how many slots there are. Sorts `indices`.
    pub fn count(&mut self, slots: usize, indices: &mut [u32]) {
        if let Store::Sparse(used) = &mut self.store {
            if indices.len() < FEW {
                // What does not fit 32 bits any more goes the other way.
                let mut left: Vec<u32> =
                    indices.iter().copied().filter(|&index| !insert(used, index)).collect();
                if !left.is_empty() {
                    left.sort_unstable();
                    self.add_runs(slots, runs_of(&left));
                }
            } else if indices.len() < slots / DENSE {
                indices.sort_unstable();
                self.add_runs(slots, runs_of(indices));
            } else {
                let mut counts = vec![0_u32; slots];
                indices.iter().for_each(|&i| counts[i as usize] += 1);
                if self.become_array(&mut counts, indices.len() as u64) {
                    return;
                }
                self.add_runs(slots, used_of(&counts));
            }
            self.settle(slots);
            return;
        }
        self.make_room(slots, indices.len() as u64);
        match &mut self.store {
            Store::Narrow { counts, .. } => {
                indices.iter().for_each(|&i| counts[i as usize] += 1);
            }
            Store::Wide(counts) => indices.iter().for_each(|&i| counts[i as usize] += 1),
            Store::Sparse(_) => {}
        }
    }

    /// Adds everything `other` counted over the same `slots`.
    pub fn merge(&mut self, slots: usize, other: &Slots) {
        self.add_runs(slots, other.used());
        self.settle(slots);
    }

    /// The used slots with their counts, ascending.
    pub fn used(&self) -> impl Iterator<Item = (u32, u64)> + Clone + '_ {
        let (sparse, narrow, wide): (&[(u32, u32)], &[u32], &[u64]) = match &self.store {
            Store::Sparse(used) => (used, &[], &[]),
            Store::Narrow { counts, .. } => (&[], counts, &[]),
            Store::Wide(counts) => (&[], &[], counts),
        };
        let sparse = sparse.iter().map(|&(slot, count)| (slot, u64::from(count)));
        let wide = wide.iter().enumerate().map(|(i, &count)| (i as u32, count));
        sparse.chain(used_of(narrow)).chain(wide.filter(|&(_, count)| count != 0))
    }

    /// All counts as one array of `slots` numbers.
    pub fn to_vec(&self, slots: usize) -> Vec<u64> {
        let counts = match &self.store {
            Store::Narrow { counts, .. } => counts.iter().map(|&count| u64::from(count)).collect(),
            Store::Wide(counts) => counts.to_vec(),
            Store::Sparse(used) => {
                let mut all = vec![0; slots];
                for &(slot, count) in used {
                    if let Some(place) = all.get_mut(slot as usize) {
                        *place = u64::from(count);
                    }
                }
                all
            }
        };
        debug_assert_eq!(counts.len(), slots);
        counts
    }

    /// Sum of all counts.
    pub fn total(&self) -> u64 {
        self.used().map(|(_, count)| count).sum()
    }

    /// As `total`, for counts that were read; `None` beyond 64 bits.
    pub(crate) fn checked_total(&self) -> Option<u64> {
        self.used().try_fold(0_u64, |total, (_, count)| total.checked_add(count))
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Sparse(used) => used.capacity() * 8,
            Store::Narrow { counts, .. } => counts.len() * 4,
            Store::Wide(counts) => counts.len() * 8,
        }
    }

    fn add_runs(&mut self, slots: usize, runs: impl Iterator<Item = (u32, u64)> + Clone) {
        if let Store::Narrow { .. } = &self.store {
            let added = runs.clone().fold(0_u64, |sum, (_, count)| sum.saturating_add(count));
            self.make_room(slots, added);
        }
        match &mut self.store {
            Store::Sparse(used) => {
                let merged = merge_runs(used, runs);
                match merged.iter().map(|&(slot, n)| Some((slot, u32::try_from(n).ok()?))).collect()
                {
                    Some(narrow) => *used = narrow,
                    None => self.store = wide_of(slots, merged.into_iter()),
                }
            }
            Store::Narrow { counts, .. } => {
                runs.for_each(|(slot, count)| counts[slot as usize] += count as u32);
            }
            Store::Wide(counts) => runs.for_each(|(slot, count)| counts[slot as usize] += count),
        }
    }

    /// Before `added` more are counted: widens the counters that might leave 32 bits.
    fn make_room(&mut self, slots: usize, added: u64) {
        if let Store::Narrow { total, .. } = &mut self.store {
            *total = total.saturating_add(added);
            if *total > u64::from(u32::MAX) {
                self.store = wide_of(slots, self.used().collect::<Vec<_>>().into_iter());
            }
        }
    }

    /// Where `counts`, whose sum is `added`, use a quarter of the slots, takes them for its own and adds
    /// its list to them: a list of so many would cost more than all the counting.
    fn become_array(&mut self, counts: &mut Vec<u32>, added: u64) -> bool {
        let Store::Sparse(used) = &self.store else { return false };
        let listed: u64 = used.iter().map(|&(_, count)| u64::from(count)).sum();
        let total = listed.saturating_add(added);
        let in_use = counts.iter().filter(|&&count| count != 0).count();
        if !is_array(in_use, counts.len()) || total > u64::from(u32::MAX) {
            return false;
        }
        used.iter().for_each(|&(slot, count)| counts[slot as usize] += count);
        self.store = Store::Narrow { counts: std::mem::take(counts).into(), total };
        true
    }

    /// Turns a list that uses a quarter of the slots into an array.
    fn settle(&mut self, slots: usize) {
        if let Store::Sparse(used) = &mut self.store {
            if is_array(used.len(), slots) {
                let mut counts = vec![0_u32; slots].into_boxed_slice();
                used.iter().for_each(|&(slot, count)| counts[slot as usize] = count);
                let total = used.iter().map(|&(_, count)| u64::from(count)).sum();
                self.store = Store::Narrow { counts, total };
            } else if used.capacity() > used.len() + used.len() / 4 + 8 {
                used.shrink_to(used.len() + used.len() / 4);
            }
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.used().count() as u64);
        let mut next = 0;
        for (slot, count) in self.used() {
            put_varint(out, u64::from(slot - next));
            put_varint(out, count);
            next = slot + 1;
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, slots: usize) -> Result<Slots, DecodeError> {
        const WHAT: &str = "counters";
        let length = reader.length(slots, WHAT)?;
        // Two bytes a counter at least: what the bytes cannot hold is not reserved.
        let mut runs = Vec::with_capacity(length.min(reader.left() / 2));
        let mut next = 0_usize;
        for _ in 0..length {
            let slot = next + reader.length(slots - next, WHAT)?;
            let count = reader.count(WHAT)?;
            if slot >= slots || count == 0 {
                return Err(DecodeError::Invalid { what: WHAT });
            }
            runs.push((slot as u32, count));
            next = slot + 1;
        }
        let mut counters = Slots::default();
        counters.add_runs(slots, runs.iter().copied());
        counters.settle(slots);
        Ok(counters)
    }
}

impl PartialEq for Slots {
    fn eq(&self, other: &Slots) -> bool {
        self.used().eq(other.used())
    }
}

/// Whether so many slots in use are kept as an array.
fn is_array(used: usize, slots: usize) -> bool {
    used * 4 >= slots.max(8)
}

fn runs_of(sorted: &[u32]) -> impl Iterator<Item = (u32, u64)> + Clone + '_ {
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.filter_map(|run| Some((*run.first()?, run.len() as u64)))
}

fn used_of(counts: &[u32]) -> impl Iterator<Item = (u32, u64)> + Clone + '_ {
    let all = counts.iter().enumerate().map(|(i, &count)| (i as u32, u64::from(count)));
    all.filter(|&(_, count)| count != 0)
}

/// Counts one index in a sorted list; false where its counter is full.
fn insert(used: &mut Vec<(u32, u32)>, index: u32) -> bool {
    match used.binary_search_by_key(&index, |&(slot, _)| slot) {
        Ok(at) => used[at].1.checked_add(1).map(|count| used[at].1 = count).is_some(),
        Err(at) => {
            used.insert(at, (index, 1));
            true
        }
    }
}

/// Merges two ascending lists.
fn merge_runs(used: &[(u32, u32)], runs: impl Iterator<Item = (u32, u64)>) -> Vec<(u32, u64)> {
    let mut merged: Vec<(u32, u64)> = Vec::with_capacity(used.len());
    let mut left = used.iter().map(|&(slot, count)| (slot, u64::from(count))).peekable();
    for (slot, count) in runs {
        while let Some(before) = left.next_if(|&(other, _)| other < slot) {
            merged.push(before);
        }
        let same = left.next_if(|&(other, _)| other == slot).map_or(0, |(_, count)| count);
        merged.push((slot, same + count));
    }
    merged.extend(left);
    merged
}

fn wide_of(slots: usize, runs: impl Iterator<Item = (u32, u64)>) -> Store {
    let mut counts = vec![0_u64; slots].into_boxed_slice();
    runs.for_each(|(slot, count)| counts[slot as usize] = count);
    Store::Wide(counts)
}
