//! Counts of numbers on a grid that no data can move: additive, bounded, order-free.

use std::collections::BTreeMap;

/// Bits of the mantissa that tell grid cells apart: 64 cells per power of two, 1.6 % wide.
const MANTISSA_BITS: u32 = 6;
/// Magnitudes below 2^-24 count as zero, magnitudes from 2^40 on as the last cell; so a grid has at
/// most 2 · 64 · 64 + 1 cells.
const SMALLEST: f64 = 1.0 / 16_777_216.0;
const LARGEST: f64 = 1_099_511_627_776.0;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ScoreGrid {
    cells: BTreeMap<i32, u64>,
    total: u64,
}

impl ScoreGrid {
    pub(super) fn add(&mut self, value: f64) {
        *self.cells.entry(cell(value)).or_default() += 1;
        self.total += 1;
    }

    pub(super) fn merge(&mut self, other: &ScoreGrid) {
        for (cell, count) in &other.cells {
            *self.cells.entry(*cell).or_default() += count;
        }
        self.total += other.total;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The value at a rank: the middle of the cell that holds the nearest-rank quantile, so within
    /// 0.8 % of it. `None` when empty.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (cell, count) in &self.cells {
            below += count;
            if below >= rank {
                return Some(middle(*cell));
            }
        }
        None
    }

    /// Population stability index of `other` against `self`: Σ (q − p)·ln(q/p) over at most `bins`
    /// bins that hold about equal parts of `self`, ½ added to each count (RULES §4). `None` when
    /// either is empty.
    pub(super) fn psi(&self, other: &ScoreGrid, bins: u64) -> Option<f64> {
        if self.total == 0 || other.total == 0 {
            return None;
        }
        let counts = self.binned_with(other, bins);
        let half = counts.len() as f64 / 2.0;
        let terms = counts.iter().map(|(own, others)| {
            let p = (*own as f64 + 0.5) / (self.total as f64 + half);
            let q = (*others as f64 + 0.5) / (other.total as f64 + half);
            (q - p) * libm::log(q / p)
        });
        Some(terms.sum())
    }

    fn binned_with(&self, other: &ScoreGrid, bins: u64) -> Vec<(u64, u64)> {
        let mut keys: Vec<i32> = self.cells.keys().chain(other.cells.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut counts = Vec::new();
        let (mut own, mut others, mut below) = (0, 0, 0);
        for key in keys {
            let here = self.cells.get(&key).copied().unwrap_or(0);
            own += here;
            below += here;
            others += other.cells.get(&key).copied().unwrap_or(0);
            // A bin ends where its share of `self` is reached, and never without a row of `self`.
            if own > 0 && below * bins >= self.total * (counts.len() as u64 + 1) {
                counts.push((own, others));
                (own, others) = (0, 0);
            }
        }
        match counts.last_mut() {
            Some(last) => {
                last.0 += own;
                last.1 += others;
            }
            None => counts.push((own, others)),
        }
        counts
    }
}

/// Ordered like the numbers themselves: negative cells for negative numbers, 0 for zero.
fn cell(value: f64) -> i32 {
    let magnitude = value.abs().min(LARGEST);
    if magnitude < SMALLEST {
        return 0;
    }
    let steps = |number: f64| (number.to_bits() >> (52 - MANTISSA_BITS)) as i32;
    let position = steps(magnitude) - steps(SMALLEST) + 1;
    if value < 0.0 { -position } else { position }
}

fn middle(cell: i32) -> f64 {
    if cell == 0 {
        return 0.0;
    }
    let first = (SMALLEST.to_bits() >> (52 - MANTISSA_BITS)) + u64::from(cell.unsigned_abs()) - 1;
    let bound = |steps: u64| f64::from_bits(steps << (52 - MANTISSA_BITS));
    let magnitude = f64::midpoint(bound(first), bound(first + 1));
    if cell < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grid(values: &[f64]) -> ScoreGrid {
        let mut grid = ScoreGrid::default();
        values.iter().for_each(|value| grid.add(*value));
        grid
    }

    #[test]
    fn psi_of_known_shares() {
        let reference = grid(&[vec![0.2; 50], vec![0.8; 50]].concat());
        let window = grid(&[vec![0.2; 20], vec![0.8; 80]].concat());
        // Shares with ½ added: 50.5/101 against 20.5/101 and 80.5/101.
        let expected = (0.5 - 20.5 / 101.0) * (50.5_f64 / 20.5).ln()
            + (80.5 / 101.0 - 0.5) * (80.5_f64 / 50.5).ln();
        let psi = reference.psi(&window, 10).expect("not empty");
        assert!((psi - expected).abs() < 1e-12, "{psi} {expected}");
        assert_eq!(reference.psi(&reference, 10), Some(0.0));
        assert_eq!(reference.psi(&ScoreGrid::default(), 10), None);
    }

    #[test]
    fn a_shift_of_large_numbers_is_seen_as_well_as_one_of_probabilities() {
        for scale in [1.0, 1e6, 1e-4] {
            let values: Vec<f64> = (1..=1000).map(|i| f64::from(i) / 1000.0 * scale).collect();
            let shifted: Vec<f64> = values.iter().map(|value| value + 0.3 * scale).collect();
            let psi = grid(&values).psi(&grid(&shifted), 10).expect("not empty");
            assert!(psi > 0.5, "{scale}: {psi}");
        }
    }

    proptest! {
        #[test]
        fn any_split_merges_to_the_same_grid(values in proptest::collection::vec(-1e13..1e13_f64, 0..60), split in 0_usize..60) {
            let split = split.min(values.len());
            let mut right = grid(&values[split..]);
            right.merge(&grid(&values[..split]));
            prop_assert_eq!(right, grid(&values));
        }

        #[test]
        fn cells_are_ordered_and_quantiles_near(mut values in proptest::collection::vec(-1e9..1e9_f64, 1..40)) {
            values.sort_by(f64::total_cmp);
            prop_assert!(values.windows(2).all(|pair| cell(pair[0]) <= cell(pair[1])));
            let median = values[values.len().div_ceil(2) - 1];
            let found = grid(&values).quantile(0.5).expect("not empty");
            prop_assert!((found - median).abs() <= 0.008 * median.abs() + SMALLEST, "{found} {median}");
        }
    }
}
