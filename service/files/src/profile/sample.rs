//! How often two rows have the same value: what tells categories from identifiers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Values that are kept: enough to see that two of a thousand agree.
const MOST: usize = 8192;
/// Where two rows have the same text less often than this, it names a row rather than a kind of row.
const SAME_TEXT: f64 = 0.001;
/// A text that at least so many rows and at least this share of them have is a category whatever the
/// others are.
const FREQUENT_ROWS: u32 = 10;
const FREQUENT_SHARE: f64 = 0.01;
/// Too few rows for pairs to say much.
const FEW_ROWS: usize = 20;

/// Hashes of a share of a column's values. Which ones follows from their number in the column alone, so
/// that the same rows give the same sample in every format.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    seen: u64,
    /// Values whose key is at most this are kept.
    most_key: u64,
    /// Key and hash of each.
    kept: Vec<(u64, u64)>,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample { seen: 0, most_key: u64::MAX, kept: Vec::new() }
    }
}

impl Sample {
    /// Offers the next value, whose text is made only where it is kept.
    pub(super) fn offer<T: Hash>(&mut self, text: impl FnOnce() -> T) {
        let key = scattered(self.seen);
        self.seen += 1;
        if key > self.most_key {
            return;
        }
        let mut hasher = DefaultHasher::new();
        text().hash(&mut hasher);
        self.kept.push((key, hasher.finish()));
        while self.kept.len() > MOST {
            self.most_key /= 2;
            self.kept.retain(|(key, _)| *key <= self.most_key);
        }
    }

    /// What makes the values identifiers, where they are: among the texts that are not frequent, and
    /// that more than half of the values have, two hardly ever agree. The estimate of that chance,
    /// pairs that agree among all pairs, does not depend on how many rows there are. Source: E. H.
    /// Simpson, "Measurement of Diversity", Nature 163, 1949.
    pub(super) fn identifier(&self) -> Option<String> {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for (_, hash) in &self.kept {
            *counts.entry(*hash).or_default() += 1;
        }
        let kept = self.kept.len() as f64;
        let frequent =
            |count: u32| count >= FREQUENT_ROWS && f64::from(count) >= FREQUENT_SHARE * kept;
        let others = counts.values().filter(|&&count| !frequent(count)).map(|&c| f64::from(c));
        let (rows, pairs) =
            others.fold((0.0, 0.0), |(rows, pairs), c| (rows + c, pairs + c * (c - 1.0)));
        // One pair among few rows is chance; of very few rows, half must be alike.
        let agree = pairs >= (SAME_TEXT * rows * (rows - 1.0)).max(4.0);
        let few = self.kept.len() < FEW_ROWS && 2 * counts.len() <= self.kept.len();
        if 2.0 * rows <= kept || agree || few {
            return None;
        }
        let of = if self.kept.len() as u64 == self.seen {
            format!("{} values", self.seen)
        } else {
            format!("a sample of {} of {} values", self.kept.len(), self.seen)
        };
        Some(format!("{} distinct texts in {of}", counts.len()))
    }
}

/// A bijection that scatters consecutive numbers. Source: S. Vigna, `splitmix64`.
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifier(rows: u64, text: impl Fn(u64) -> String) -> bool {
        let mut sample = Sample::default();
        (0..rows).for_each(|row| sample.offer(|| text(row)));
        assert!(sample.kept.len() <= MOST);
        sample.identifier().is_some()
    }

    /// 300 shops were an identifier in 500 rows and categories in 5000; a city that a million rows share
    /// was one because there were over a thousand others.
    #[test]
    fn what_is_an_identifier_does_not_depend_on_how_many_rows_there_are() {
        let random = |row: u64, most: u64| scattered(row ^ 0x5eed) % most;
        for rows in [40, 400, 4000, 40_000, 400_000] {
            assert!(identifier(rows, |row| format!("u{row}")), "{rows}: every row its own");
            assert!(
                !identifier(rows, |row| random(row, 300).to_string()) || rows < 100,
                "{rows}: shops"
            );
            let tail = |row: u64| {
                let share = random(row, 1 << 20) as f64 / f64::from(1 << 20);
                // As frequent as the inverse of its rank.
                5000_f64.powf(share).floor().to_string()
            };
            assert!(!identifier(rows, tail), "{rows}: a long tail");
            let mostly = |row: u64| match row % 10 {
                0..3 => "unknown".to_owned(),
                _ => format!("u{row}"),
            };
            assert!(identifier(rows, mostly), "{rows}: identifiers with gaps");
            assert!(!identifier(rows, |row| random(row, 3).to_string()), "{rows}: three colours");
        }
    }
}
