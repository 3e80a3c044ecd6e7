//! How many rows of a window are the same few over and over: counts by the hash of a row's features.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Float64Type;
use serde::{Deserialize, Serialize};

use super::Part;
use crate::encoding::{DecodeError, Reader, put_varint};

/// Counters, a power of two: some hundred rows that repeat still have nearly each its own.
const BUCKETS: usize = 1024;
/// Rows from which on anything is said.
const ROWS: u64 = 500;
/// How often a row must come on average to be called repeated.
const TIMES: f64 = 4.0;
/// Shares of all rows between which repeated ones are told of: fewer are nothing, and where they are
/// nearly all the columns have few values.
const SHARES: (f64, f64) = (0.05, 0.95);
/// Deviations above the others from which on a counter holds a row that repeats.
const DEVIATIONS: f64 = 4.0;
/// How much more than chance the other counters may vary where their rows are all different.
const UNEVEN: f64 = 2.0;
/// An odd number whose product spreads the bits of its factor: the golden ratio of 2^64.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// Stands for a value that is not there.
const NOTHING: u64 = 0x5851_F42D_4C95_7F2D;

/// Rows counted by a hash of all their features: sums, so that no order of rows or parts matters. Empty, it
/// owns no memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RowHashes {
    counts: Vec<u32>,
}

/// A few distinct rows that are many of a window's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// How many different ones, about.
    pub distinct: u64,
    /// Their share of the rows that were measured.
    pub share: f64,
}

impl RowHashes {
    /// Counts rows by these columns of them.
    pub(crate) fn absorb(&mut self, part: Part<'_>, features: usize) {
        if part.rows.is_empty() || features == 0 {
            return;
        }
        let mut hashes = vec![SPREAD; part.rows.len()];
        for index in 0..features {
            // A batch has all columns of its layout.
            let Some(values) = part.batch.value(index) else { continue };
            mix_column(&mut hashes, values, part.rows);
        }
        self.counts.resize(BUCKETS, 0);
        for hash in hashes {
            if let Some(count) = self.counts.get_mut((hash >> 54) as usize) {
                *count = count.saturating_add(1);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &RowHashes) {
        if other.counts.is_empty() {
            return;
        }
        self.counts.resize(BUCKETS, 0);
        for (count, added) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*added);
        }
    }

    /// The rows that repeat, where they stand out of others that do not.
    pub(crate) fn repeated(&self) -> Option<Repeated> {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        if total < ROWS {
            return None;
        }
        let mut sorted = self.counts.clone();
        sorted.sort_unstable();
        let usual = f64::from(*sorted.get(BUCKETS / 2)?);
        let least = usual + DEVIATIONS * libm::sqrt(usual + 1.0);
        let is_high = |count: &&u32| f64::from(**count) > least;
        let high: Vec<f64> = sorted.iter().filter(is_high).map(|&count| f64::from(count)).collect();
        let others = sorted.iter().filter(|count| !is_high(count)).map(|&count| f64::from(count));
        let others: Vec<f64> = others.collect();
        let mean = others.iter().sum::<f64>() / others.len() as f64;
        let spread = others.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>();
        // Rows of a few categories fill some counters more than others.
        if mean == 0.0 || spread / others.len() as f64 > UNEVEN * mean {
            return None;
        }
        let excess: f64 = high.iter().map(|count| count - mean).sum();
        // Two that repeat may share a counter.
        let empty = 1.0 - high.len() as f64 / BUCKETS as f64;
        let distinct = -(BUCKETS as f64) * libm::log(empty);
        let share = excess / total as f64;
        let tells = (SHARES.0..=SHARES.1).contains(&share) && excess >= TIMES * distinct;
        let distinct = libm::round(distinct).max(1.0) as u64;
        tells.then(|| Repeated { distinct, share: crate::report::rounded(share) })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u32>()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        put_varint(out, used.clone().count() as u64);
        let mut next = 0;
        for (place, &count) in used {
            put_varint(out, (place - next) as u64);
            put_varint(out, u64::from(count));
            next = place + 1;
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<RowHashes, DecodeError> {
        const WHAT: &str = "hashes of rows";
        let invalid = || DecodeError::Invalid { what: WHAT };
        let used = reader.length(BUCKETS, WHAT)?;
        let mut hashes = RowHashes::default();
        if used == 0 {
            return Ok(hashes);
        }
        hashes.counts.resize(BUCKETS, 0);
        let mut next = 0_usize;
        for _ in 0..used {
            let skipped = reader.length(BUCKETS, WHAT)?;
            let count = u32::try_from(reader.varint(WHAT)?).map_err(|_| invalid())?;
            let place = next.checked_add(skipped).filter(|_| count > 0).ok_or_else(invalid)?;
            *hashes.counts.get_mut(place).ok_or_else(invalid)? = count;
            next = place + 1;
        }
        Ok(hashes)
    }
}

fn mix_column(hashes: &mut [u64], values: &ArrayRef, rows: &[u32]) {
    if let Some(numbers) = values.as_primitive_opt::<Float64Type>() {
        for (hash, &row) in hashes.iter_mut().zip(rows) {
            let row = row as usize;
            // Adding zero makes -0.0 the 0.0 it equals.
            let bits =
                if numbers.is_null(row) { NOTHING } else { (numbers.value(row) + 0.0).to_bits() };
            *hash = mixed(*hash, bits);
        }
    } else if let Some(texts) = values.as_string_opt::<i32>() {
        for (hash, &row) in hashes.iter_mut().zip(rows) {
            let row = row as usize;
            let bits = if texts.is_null(row) { NOTHING } else { ends(texts.value(row).as_bytes()) };
            *hash = mixed(*hash, bits);
        }
    }
}

fn mixed(hash: u64, bits: u64) -> u64 {
    (hash ^ bits).wrapping_mul(SPREAD).rotate_left(29).wrapping_mul(SPREAD)
}

/// A text by its length and its first and last eight bytes: enough to tell rows apart by all columns.
fn ends(bytes: &[u8]) -> u64 {
    let word =
        |bytes: &[u8]| bytes.iter().take(8).fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
    let last = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or(bytes);
    mixed(word(bytes) ^ bytes.len() as u64, word(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: impl Iterator<Item = u64>) -> RowHashes {
        let mut hashes = RowHashes { counts: vec![0; BUCKETS] };
        for row in rows {
            hashes.counts[(mixed(SPREAD, row) >> 54) as usize] += 1;
        }
        hashes
    }

    /// A client that sent the same two hundred rows again and again moved every column, and nothing said why.
    #[test]
    fn rows_that_repeat_are_counted_among_those_that_do_not() {
        let client = |rows: u64| (0..rows).map(|row| 1_000_000 + row % 200);
        let found = counted((0..6_200).chain(client(3_800))).repeated().unwrap();
        assert!((180..=240).contains(&found.distinct), "{found:?}");
        assert!((0.36..=0.40).contains(&found.share), "{found:?}");
        assert_eq!(counted(0..10_000).repeated(), None, "all different");
        assert_eq!(counted((0..10_000).map(|row| row % 60)).repeated(), None, "few values");
        let skewed = (0..10_000_u64).map(|row| (row * row) % 7_919 / 40);
        assert_eq!(counted(skewed).repeated(), None, "categories of any share");
        assert_eq!(counted((0..300).map(|row| row % 3)).repeated(), None, "too few");
    }

    #[test]
    fn no_order_of_parts_changes_them_and_bytes_bring_them_back() {
        let parts = [counted(0..700), counted(500..900), counted((0..400).map(|row| row % 7))];
        let merged = |order: [usize; 3]| {
            let mut all = RowHashes::default();
            order.into_iter().for_each(|part| all.merge(&parts[part]));
            all
        };
        assert_eq!(merged([0, 1, 2]), merged([2, 0, 1]));
        let mut bytes = Vec::new();
        merged([0, 1, 2]).encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(RowHashes::decode(&mut reader).unwrap(), merged([1, 2, 0]));
        reader.finish().unwrap();
    }
}
