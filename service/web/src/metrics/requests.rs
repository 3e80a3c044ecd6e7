//! What one batch of rows says about requests and latencies, summed before the series are touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_analytics::cells::{StatusClass, weight};
use driftline_pipeline::capture::CaptureBatch;

use super::table::Latencies;

/// What versions beyond the bound are called together.
const OTHER: &str = "other";
/// What rows without a version are called, as in reports.
const NONE: &str = "none";
/// Upper bounds of latency buckets in microseconds: from models on the same machine to those behind
/// a slow network.
const BOUNDS_US: [i64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

#[derive(Debug)]
pub(super) struct Requests {
    bounds_us: Arc<[i64]>,
    under_us: Option<i64>,
    /// Versions told apart; those that the configuration names come first.
    versions: Vec<String>,
    versions_limit: usize,
}

#[derive(Debug)]
pub(super) struct Counted {
    /// Each weighted by the share of traffic it stands for.
    pub(super) classes: BTreeMap<&'static str, f64>,
    pub(super) latencies: Latencies,
    /// Those with a latency over the objective's; zero where there is none.
    pub(super) slow: u64,
}

impl Requests {
    /// `under_us` is always the bound of a bucket.
    pub(super) fn new(
        under_us: Option<i64>,
        versions: &[String],
        versions_limit: usize,
    ) -> Requests {
        let mut bounds_us: Vec<i64> = BOUNDS_US.into_iter().chain(under_us).collect();
        bounds_us.sort_unstable();
        bounds_us.dedup();
        let versions = versions.iter().take(versions_limit).cloned().collect();
        Requests { bounds_us: bounds_us.into(), under_us, versions, versions_limit }
    }

    pub(super) fn has_objective(&self) -> bool {
        self.under_us.is_some()
    }

    pub(super) fn count(&mut self, rows: &CaptureBatch) -> Vec<(String, Counted)> {
        let mut counted: Vec<(String, Counted)> = Vec::new();
        let mut last = 0;
        for (row, rate) in rows.sample_rates().iter().enumerate() {
            let version = self.name(rows.version(row));
            // Neighbouring rows mostly have the same version.
            if counted.get(last).is_none_or(|(name, _)| name != version) {
                let known = counted.iter().position(|(name, _)| name == version);
                last = known.unwrap_or(counted.len());
                if known.is_none() {
                    counted.push((version.to_owned(), Counted::new(&self.bounds_us)));
                }
            }
            let Some((_, of_version)) = counted.get_mut(last) else { continue };
            let class = StatusClass::of(rows.status(row)).name();
            *of_version.classes.entry(class).or_default() += weight(*rate);
            if let Some(latency_us) = rows.latency_us(row) {
                of_version.latencies.observe(latency_us);
                of_version.slow +=
                    u64::from(self.under_us.is_some_and(|under_us| latency_us > under_us));
            }
        }
        counted
    }

    /// The name of a version among the series: a series lives as long as the process, so whoever
    /// comes first stays.
    fn name<'a>(&mut self, version: Option<&'a str>) -> &'a str {
        let Some(version) = version else { return NONE };
        if self.versions.iter().any(|known| known == version) {
            return version;
        }
        if self.versions.len() < self.versions_limit {
            self.versions.push(version.to_owned());
            return version;
        }
        OTHER
    }
}

impl Counted {
    fn new(bounds_us: &Arc<[i64]>) -> Counted {
        let latencies = Latencies::new(Arc::clone(bounds_us));
        Counted { classes: BTreeMap::new(), latencies, slow: 0 }
    }
}
