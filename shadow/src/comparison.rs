//! Two models on the same rows, as sums: any split of the rows merges to the same state.

mod table;
#[cfg(test)]
mod tests;

use crate::grid::Grid;
use crate::report::{ScoreDifference, SingleLatency, rounded};
pub(crate) use table::Table;

/// Bins of the PSI between two score distributions.
const PSI_BINS: u64 = 10;
/// Fixed-point unit of summed differences: sums of up to 2^77 in magnitude without rounding error
/// beyond 2^-51 per row, so that the order of rows cannot change them.
const UNIT: f64 = 1_125_899_906_842_624.0;

/// What was seen of a candidate beside its champion in one window. Latencies aside, it depends on
/// the set of paired rows alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) paired: u64,
    pub(crate) failed: u64,
    table: Table,
    sum: i128,
    largest: Option<Largest>,
    champion: Grid,
    candidate: Grid,
    batch_rows: u64,
    batch_ns: u64,
    single: Grid,
}

#[derive(Debug, Clone, PartialEq)]
struct Largest {
    difference: f64,
    at: String,
}

/// One row that both models answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair<'a> {
    /// Champion's and candidate's label.
    pub(crate) labels: Option<(&'a str, &'a str)>,
    /// Champion's and candidate's score; finite.
    pub(crate) scores: Option<(f64, f64)>,
    pub(crate) id: Option<&'a str>,
    pub(crate) offset: i64,
}

impl Comparison {
    /// An empty comparison. `classes` come first in the table, in this order.
    pub(crate) fn new(classes: &[String]) -> Comparison {
        Comparison {
            paired: 0,
            failed: 0,
            table: Table::new(classes),
            sum: 0,
            largest: None,
            champion: Grid::default(),
            candidate: Grid::default(),
            batch_rows: 0,
            batch_ns: 0,
            single: Grid::default(),
        }
    }

    pub(crate) fn add(&mut self, pair: &Pair<'_>) {
        self.paired += 1;
        if let Some((champion, candidate)) = pair.labels {
            self.table.add(champion, candidate);
        }
        let Some((champion, candidate)) = pair.scores else { return };
        let difference = candidate - champion;
        // A float beyond the fixed point's range saturates.
        self.sum = self.sum.saturating_add((difference * UNIT) as i128);
        self.champion.add(champion);
        self.candidate.add(candidate);
        if self.largest.as_ref().is_none_or(|known| difference.abs() >= known.difference.abs()) {
            let at = match pair.id {
                Some(id) => id.to_owned(),
                None => format!("offset {}", pair.offset),
            };
            self.keep_larger(Largest { difference, at });
        }
    }

    /// Adds the time of a batch that was scored at once.
    pub(crate) fn add_batch_time(&mut self, rows: u64, nanoseconds: u64) {
        self.batch_rows += rows;
        self.batch_ns = self.batch_ns.saturating_add(nanoseconds);
    }

    /// Adds the time of a row that was scored alone.
    pub(crate) fn add_single_time(&mut self, nanoseconds: u64) {
        self.single.add(nanoseconds as f64 / 1000.0);
    }

    /// Adds another part of the same window.
    pub(crate) fn merge(&mut self, other: &Comparison) {
        self.paired += other.paired;
        self.failed += other.failed;
        self.table.merge(&other.table);
        self.sum = self.sum.saturating_add(other.sum);
        if let Some(largest) = &other.largest {
            self.keep_larger(largest.clone());
        }
        self.champion.merge(&other.champion);
        self.candidate.merge(&other.candidate);
        self.batch_rows += other.batch_rows;
        self.batch_ns = self.batch_ns.saturating_add(other.batch_ns);
        self.single.merge(&other.single);
    }

    /// Larger magnitude wins; among equals the positive one, then the smaller id.
    fn keep_larger(&mut self, other: Largest) {
        let wins = self.largest.as_ref().is_none_or(|known| {
            let order = other
                .difference
                .abs()
                .total_cmp(&known.difference.abs())
                .then(other.difference.total_cmp(&known.difference))
                .then(known.at.cmp(&other.at));
            order.is_gt()
        });
        if wins {
            self.largest = Some(other);
        }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn score(&self) -> Option<ScoreDifference> {
        let largest = self.largest.as_ref()?;
        let rows = self.champion.total() as f64;
        Some(ScoreDifference {
            mean_difference: rounded(self.sum as f64 / UNIT / rows),
            psi: rounded(self.champion.psi(&self.candidate, PSI_BINS)?),
            largest_difference: rounded(largest.difference),
            largest_at: largest.at.clone(),
        })
    }

    pub(crate) fn batch_us_per_row(&self) -> Option<f64> {
        (self.batch_rows > 0)
            .then(|| rounded(self.batch_ns as f64 / 1000.0 / self.batch_rows as f64))
    }

    pub(crate) fn single_us(&self) -> Option<SingleLatency> {
        Some(SingleLatency {
            n: self.single.total(),
            p50: rounded(self.single.quantile(0.5)?),
            p99: rounded(self.single.quantile(0.99)?),
        })
    }
}
