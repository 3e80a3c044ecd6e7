//! Drives a pipeline on one thread, without broker, store or receivers: for `backtest` and
//! tests.

use std::collections::VecDeque;
use std::sync::Arc;

use driftline_alerting::outbox::OutboxRow;
use driftline_alerting::retrain::RetrainRequest;
use driftline_analytics::report::Report;
use driftline_config::time::ClockReading;

use crate::judge;
use crate::snapshot::{Committed, OutboxBody, Snapshot};
use crate::{Effect, Event, Pipeline};

/// A pipeline whose effects happen at once: windows are judged on the spot, every snapshot is
/// committed as it is taken.
#[derive(Debug)]
pub struct Inline {
    pub pipeline: Pipeline,
    /// Reports in the order of decision, with their bytes.
    pub reports: Vec<(Arc<Report>, String)>,
    /// Messages in the order of decision.
    pub messages: Vec<OutboxRow>,
    /// Retraining requests in the order of decision.
    pub requests: Vec<Arc<RetrainRequest>>,
}

impl Inline {
    /// Drives `pipeline`.
    pub fn new(pipeline: Pipeline) -> Inline {
        Inline { pipeline, reports: Vec::new(), messages: Vec::new(), requests: Vec::new() }
    }

    /// Handles an event, at the time that the clock says, and everything that follows from it.
    pub fn feed(&mut self, event: Event, now: impl Into<ClockReading>) {
        self.feed_keeping(event, now, &mut |_| {});
    }

    /// The same, showing every snapshot to `keep`.
    pub fn feed_keeping(
        &mut self,
        event: Event,
        now: impl Into<ClockReading>,
        keep: &mut dyn FnMut(&Snapshot),
    ) {
        let now = now.into();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.pipeline.handle(event, now) {
                self.carry_out(effect, &mut events);
            }
            if self.pipeline.wants_snapshot() {
                events.extend(self.snapshot(keep));
            }
        }
    }

    /// Takes a snapshot now, as the clock would, shows it to `keep`, and goes on from its commit.
    pub fn commit(&mut self, now: impl Into<ClockReading>, keep: &mut dyn FnMut(&Snapshot)) {
        if let Some(committed) = self.snapshot(keep) {
            self.feed_keeping(committed, now, keep);
        }
    }

    fn snapshot(&mut self, keep: &mut dyn FnMut(&Snapshot)) -> Option<Event> {
        let snapshot = self.pipeline.snapshot()?;
        keep(&snapshot);
        let sizes = snapshot.increments.iter().map(|increment| {
            let mut bytes = Vec::new();
            (increment.encode)(&mut bytes);
            (increment.window.clone(), bytes.len())
        });
        let committed = Committed { epoch: snapshot.epoch, sizes: sizes.collect() };
        Some(Event::Committed(committed))
    }

    fn carry_out(&mut self, effect: Effect, events: &mut VecDeque<Event>) {
        match effect {
            Effect::Judge(job) => {
                let verdict = judge::decide(&job);
                events.push_back(Event::Judged(Box::new(verdict)));
            }
            Effect::Deliver(item) => {
                events.push_back(Event::Done { sequence: item.sequence });
                if let OutboxBody::Message(row) = item.body {
                    self.messages.push(*row);
                }
            }
            Effect::Published(report) => {
                let json = report.to_json();
                self.reports.push((report, json));
            }
            Effect::Requested(request) => self.requests.push(request),
            // Nobody reads, scores or waits here.
            Effect::Counted { .. }
            | Effect::CloseShadow { .. }
            | Effect::CarryShadow { .. }
            | Effect::Align(_)
            | Effect::Horizon { .. } => {}
        }
    }
}
