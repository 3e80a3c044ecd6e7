//! What the loop shows of itself, twice a second: the board, the gauges, how full the queues are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftline_analytics::report::Report;

use super::Monitor;
use super::readiness::Surroundings;

/// How often readers of the board see something new.
const BOARD_EVERY: Duration = Duration::from_millis(500);
const PRUNE_EVERY: Duration = Duration::from_secs(600);

impl Monitor {
    pub(super) fn show(&mut self) -> anyhow::Result<()> {
        if self.clocks.board.elapsed() >= BOARD_EVERY {
            self.clocks.board = Instant::now();
            let age_us = i64::try_from(self.clocks.committed.elapsed().as_micros()).unwrap_or(0);
            self.metrics.checkpoint_age(age_us);
            self.show_queues();
            self.show_pending();
            self.show_limits();
            self.publish();
        }
        if self.clocks.prune.elapsed() >= PRUNE_EVERY {
            self.clocks.prune = Instant::now();
            self.pruner.begin(self.clock.now().wall_us, self.pipeline.unused_names())?;
        }
        if let Some(pruned) = self.pruner.take()? {
            if pruned.reports > 0 {
                self.metrics.limit_reached("report_bytes", pruned.reports);
            }
            self.pipeline.forget_names(&pruned.names);
        }
        Ok(())
    }

    pub(super) fn publish(&mut self) {
        let lag = self.intake.lag(&self.pipeline, &self.metrics);
        let (dead_letters, trouble) = self.intake.dead_letters();
        let candidates = self.candidates.statuses();
        let outgoing = self.outgoing.check();
        let refused = self.newcomers.checks();
        let surroundings =
            Surroundings { candidates, dead_letters, trouble, lag, outgoing, refused };
        self.board.publish(self.readiness.live(&self.pipeline, &self.metrics, surroundings));
    }

    /// Shows a report of before the start, unless its model has had another one since.
    pub(super) fn show_again(&mut self, report: &Report) {
        if !self.readiness.has_reported(&report.model) {
            self.metrics.show(report);
        }
    }

    /// Every bounded queue that somebody may want to see filling up.
    pub(super) fn show_queues(&self) {
        let writing = usize::from(self.writer.is_busy()) + usize::from(!self.gate.is_empty());
        let candidates = usize::try_from(self.candidates.queued()).unwrap_or(usize::MAX);
        let around = [
            ("read", self.intake.waiting()),
            ("judge", self.judge.waiting()),
            ("candidates", candidates),
            ("writer", writing),
        ];
        for (queue, entries) in around.into_iter().chain(self.outgoing.queues()) {
            self.metrics.queue_depth(queue, entries);
        }
    }

    /// Messages that are decided and not delivered, by receiver.
    fn show_pending(&self) {
        let mut pending: BTreeMap<&str, usize> =
            self.receivers.iter().map(|name| (name.as_str(), 0)).collect();
        for receiver in self.outgoing.receivers() {
            // One that is no longer configured has no series.
            if let Some(rows) = pending.get_mut(receiver) {
                *rows += 1;
            }
        }
        for (receiver, rows) in pending {
            self.metrics.outbox_pending(receiver, rows);
        }
    }
}
