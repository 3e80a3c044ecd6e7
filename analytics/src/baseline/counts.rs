//! The counts of a numeric column, each in as few bytes as the largest of them needs: a thousand models are
//! mostly counts and cut points.

use crate::statistics::KolmogorovSmirnov;

/// Counts of a baseline, one per slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts(Packed);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Packed {
    Bytes2(Box<[u16]>),
    Bytes4(Box<[u32]>),
    Bytes8(Box<[u64]>),
}

impl Counts {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Packed::Bytes2(counts) => counts.len(),
            Packed::Bytes4(counts) => counts.len(),
            Packed::Bytes8(counts) => counts.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<u64> {
        match &self.0 {
            Packed::Bytes2(counts) => counts.iter().copied().map(u64::from).collect(),
            Packed::Bytes4(counts) => counts.iter().copied().map(u64::from).collect(),
            Packed::Bytes8(counts) => counts.to_vec(),
        }
    }

    /// The baseline beside a window, as [`KolmogorovSmirnov::of`].
    pub fn compare(&self, window: &[u64]) -> Option<KolmogorovSmirnov> {
        match &self.0 {
            Packed::Bytes2(counts) => KolmogorovSmirnov::of(counts, window),
            Packed::Bytes4(counts) => KolmogorovSmirnov::of(counts, window),
            Packed::Bytes8(counts) => KolmogorovSmirnov::of(counts, window),
        }
    }
}

impl From<Vec<u64>> for Counts {
    fn from(counts: Vec<u64>) -> Counts {
        let most = counts.iter().copied().max().unwrap_or(0);
        Counts(if most <= u64::from(u16::MAX) {
            Packed::Bytes2(counts.iter().map(|&count| count as u16).collect())
        } else if most <= u64::from(u32::MAX) {
            Packed::Bytes4(counts.iter().map(|&count| count as u32).collect())
        } else {
            Packed::Bytes8(counts.into())
        })
    }
}

impl FromIterator<u64> for Counts {
    fn from_iter<I: IntoIterator<Item = u64>>(counts: I) -> Counts {
        Counts::from(counts.into_iter().collect::<Vec<u64>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_and_compare_alike_in_any_width() {
        let window = [1, 0, 2, 3, 1];
        for scale in [1, 1 << 16, 1 << 32] {
            let counts = vec![0, 3 * scale, 0, 4 * scale, 2 * scale];
            let packed = Counts::from(counts.clone());
            assert_eq!(packed.to_vec(), counts);
            assert_eq!(packed.len(), counts.len());
            let found = packed.compare(&window);
            assert_eq!(found, KolmogorovSmirnov::of(&counts, &window), "scaled by {scale}");
            assert!(found.is_some());
        }
        for largest in [u64::from(u16::MAX), u64::from(u16::MAX) + 1, u64::from(u32::MAX), u64::MAX]
        {
            assert_eq!(Counts::from(vec![largest, 0]).to_vec(), [largest, 0]);
        }
    }
}
