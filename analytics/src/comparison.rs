//! Candidate and champion on the same rows, as sums: any split of the rows merges to the same state.

mod grid;
mod report;
mod table;
#[cfg(test)]
mod tests;

use driftline_config::Candidate;

use crate::report::rounded;
use grid::ScoreGrid;
pub use report::{CandidateReport, ScoreDifference, SingleLatency};
use table::LabelTable;

/// Bins of the PSI between two score distributions.
const PSI_BINS: u64 = 10;
/// Fixed-point unit of summed differences: sums of up to 2^77 in magnitude without rounding error
/// beyond 2^-51 per row, so that the order of rows cannot change them.
const UNIT: f64 = 1_125_899_906_842_624.0;

/// What was seen of a candidate beside its champion in one window. Latencies aside, it depends on
/// the set of paired rows alone.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelComparison {
    table: LabelTable,
    sum: i128,
    largest: Option<Largest>,
    champion: ScoreGrid,
    candidate: ScoreGrid,
    batch_rows: u64,
    batch_ns: u64,
    single: ScoreGrid,
}

#[derive(Debug, Clone, PartialEq)]
struct Largest {
    difference: f64,
    at: String,
}

/// One row that both models answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<'a> {
    /// Champion's and candidate's label.
    pub labels: Option<(&'a str, &'a str)>,
    /// Champion's and candidate's score; finite.
    pub scores: Option<(f64, f64)>,
    pub id: Option<&'a str>,
    pub offset: i64,
}

impl ModelComparison {
    /// An empty comparison. `classes` come first in the table, in this order.
    pub fn new(classes: &[String]) -> ModelComparison {
        ModelComparison {
            table: LabelTable::new(classes),
            sum: 0,
            largest: None,
            champion: ScoreGrid::default(),
            candidate: ScoreGrid::default(),
            batch_rows: 0,
            batch_ns: 0,
            single: ScoreGrid::default(),
        }
    }

    /// Adds a row.
    pub fn add(&mut self, pair: &Pair<'_>) {
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
    pub fn add_batch_time(&mut self, rows: u64, took_ns: u64) {
        self.batch_rows += rows;
        self.batch_ns = self.batch_ns.saturating_add(took_ns);
    }

    /// Adds the time of a row that was scored alone.
    pub fn add_single_time(&mut self, took_ns: u64) {
        self.single.add(took_ns as f64 / 1000.0);
    }

    /// Adds another part of the same window.
    pub fn merge(&mut self, other: &ModelComparison) {
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

    /// What a shadow record says of a candidate; the rows that were sampled, shed or failed are counted
    /// elsewhere, and stand at zero.
    pub fn report(&self, candidate: &Candidate) -> CandidateReport {
        let (classes, table) = self.table.report();
        CandidateReport {
            candidate: candidate.name.clone(),
            purpose: candidate.purpose.as_str().to_owned(),
            sampled: 0,
            paired: 0,
            shed: 0,
            failed: 0,
            agreement: self.table.agreement(),
            kappa: self.table.kappa(),
            classes,
            table,
            score: self.score(),
            batch_us_per_row: self.batch_us_per_row(),
            single_us: self.single_us(),
            problem: None,
        }
    }

    fn score(&self) -> Option<ScoreDifference> {
        let largest = self.largest.as_ref()?;
        let rows = self.champion.total() as f64;
        Some(ScoreDifference {
            mean_difference: rounded(self.sum as f64 / UNIT / rows),
            psi: rounded(self.champion.psi(&self.candidate, PSI_BINS)?),
            largest_difference: rounded(largest.difference),
            largest_at: largest.at.clone(),
        })
    }

    fn batch_us_per_row(&self) -> Option<f64> {
        (self.batch_rows > 0)
            .then(|| rounded(self.batch_ns as f64 / 1000.0 / self.batch_rows as f64))
    }

    fn single_us(&self) -> Option<SingleLatency> {
        Some(SingleLatency {
            n: self.single.total(),
            p50: rounded(self.single.quantile(0.5)?),
            p99: rounded(self.single.quantile(0.99)?),
        })
    }
}
