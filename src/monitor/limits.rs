//! Bounds that act where no metric is at hand: counted as they are reached.

use std::collections::BTreeMap;

use driftline_analytics::baseline::BaselineColumn;
use driftline_capture::Reason;
use driftline_pipeline::{OTHER, Pipeline};
use driftline_web::metrics::REPORT_TOO_LARGE;

use super::Monitor;

impl Monitor {
    /// Whether reading waits for windows to be judged and committed; counted when it begins to.
    pub(super) fn is_held_back(&mut self) -> bool {
        let behind = self.pipeline.is_behind(self.held_back);
        if behind && !self.held_back {
            self.metrics.limit_reached("closed_windows", 1);
        }
        self.held_back = behind;
        self.judge.hurry(behind);
        behind
    }

    /// Counts the bounds that were reached since the last look.
    pub(super) fn show_limits(&mut self) {
        let figures = of_records(&self.pipeline)
            .into_iter()
            .chain(self.intake.held_up())
            .chain([("shadow_rows", self.candidates.shed())])
            .chain([("models", self.newcomers.crowded())])
            .chain([(REPORT_TOO_LARGE, self.outgoing.too_large())]);
        let grown = self.limits.grown(figures);
        for (limit, times) in grown.into_iter().chain(self.pipeline.take_limits_reached()) {
            self.metrics.limit_reached(limit, times);
        }
        let of_parts = self.intake.take_defects() + self.candidates.take_defects();
        match self.pipeline.take_defects() + of_parts {
            0 => {}
            times => self.metrics.defects(times),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<&'static str, u64>);

impl Counted {
    pub(super) fn begin(pipeline: &Pipeline) -> Counted {
        Counted(of_records(pipeline).into())
    }

    /// By how much each of these figures grew since it was last seen.
    pub(super) fn grown(
        &mut self,
        figures: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Vec<(&'static str, u64)> {
        let mut grown = Vec::new();
        for (limit, total) in figures {
            let counted = self.0.entry(limit).or_default();
            if total > *counted {
                grown.push((limit, total - *counted));
            }
            *counted = total;
        }
        grown
    }
}

/// Records and values that were too large, and records whose models were not told apart, so far.
pub(super) fn of_records(pipeline: &Pipeline) -> [(&'static str, u64); 3] {
    let too_large = Reason::TooLarge.as_str();
    let (mut records, mut strings, mut skipped) = (0, 0, 0);
    // What has not happened yet is not counted yet.
    let count = |of: &BTreeMap<String, u64>, name: &str| of.get(name).copied().unwrap_or_default();
    for (_, _, facts) in pipeline.topics() {
        records += count(&facts.ledger.reasons, too_large);
        strings += facts.cut_strings;
        skipped += count(&facts.ledger.skipped_names, OTHER);
    }
    [("record_bytes", records), ("string_bytes", strings), ("skipped_names", skipped)]
}

/// Columns that have too many values to be judged.
pub(super) fn columns_of_too_many_values(pipeline: &Pipeline) -> u64 {
    let baselines = pipeline.models().map(|model| &model.setup().baselines.default);
    let columns = baselines.flat_map(|baseline| &baseline.columns);
    let unjudged = columns.filter(
        |column| matches!(column, BaselineColumn::Categorical(column) if column.too_many_values),
    );
    unjudged.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_counted_once_and_never_backwards() {
        let mut counted = Counted::default();
        assert_eq!(counted.grown([("outbox", 0), ("series", 3)]), [("series", 3)]);
        assert_eq!(counted.grown([("outbox", 2), ("series", 3)]), [("outbox", 2)]);
        // Readers that start again count from zero.
        assert_eq!(counted.grown([("series", 1)]), []);
        assert_eq!(counted.grown([("series", 2)]), [("series", 1)]);
    }
}
