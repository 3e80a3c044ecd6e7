//! The models as they were last shown: only those of which something changed are put together anew.

use std::sync::Arc;

use crate::http::{IncidentStatus, ModelStatus, PaneStatus, RecentWindow, Step};
use crate::metrics::{Gauge, Metrics};
use crate::pipeline::Pipeline;
use crate::pipeline::unit::Unit;

use super::candidates::UnitCandidates;

/// Steps of incidents that are shown.
const STEPS: usize = 200;

/// What was last shown of every model, in their order.
#[derive(Debug, Default)]
pub(super) struct Shown {
    units: Vec<ShownUnit>,
    history: Arc<[Step]>,
}

#[derive(Debug)]
struct ShownUnit {
    /// The unit's count of changes when it was put together.
    revision: u64,
    status: Arc<ModelStatus>,
    incidents: Vec<Arc<IncidentStatus>>,
}

impl Shown {
    /// Brings the model at `index` up to date: what is known of it, of its candidates, and how far its
    /// topic is behind.
    pub(super) fn update(
        &mut self,
        (index, unit): (usize, &Unit),
        topic: &str,
        candidates: UnitCandidates,
        lag: Option<u64>,
        metrics: &Metrics,
    ) {
        let known = self.units.get(index);
        let is_known = known.is_some_and(|known| {
            known.revision == unit.revision()
                && known.status.lag == lag
                && known.status.candidates == candidates.statuses
                && known.status.shadow_records == candidates.records
        });
        if is_known {
            return;
        }
        let status = status(unit, topic, candidates, lag);
        metrics.alerts(&status.name, &unit.facts.alerts);
        if let Some(time_us) = status.last_event_us {
            metrics.set(Gauge::LastEvent { model: &status.name, time_us });
        }
        if let Some(time_us) = status.watermark_us {
            metrics.set(Gauge::Watermark { model: &status.name, time_us });
        }
        let incidents = unit.facts.alerts.incidents();
        let incidents =
            incidents.map(|incident| Arc::new(IncidentStatus::new(&status.name, incident)));
        let shown = ShownUnit {
            revision: unit.revision(),
            incidents: incidents.collect(),
            status: Arc::new(status),
        };
        match self.units.get_mut(index) {
            Some(known) => *known = shown,
            None => self.units.push(shown),
        }
    }

    /// Every model.
    pub(super) fn models(&self) -> Vec<Arc<ModelStatus>> {
        self.units.iter().map(|unit| Arc::clone(&unit.status)).collect()
    }

    /// Every open incident.
    pub(super) fn incidents(&self) -> Vec<Arc<IncidentStatus>> {
        self.units.iter().flat_map(|unit| &unit.incidents).cloned().collect()
    }

    /// The last steps of all incidents, newest first.
    pub(super) fn history(&mut self, pipeline: &Pipeline) -> Arc<[Step]> {
        let units = pipeline.units().iter();
        let last = units.flat_map(|unit| unit.facts.transitions.iter().rev().take(STEPS));
        let mut steps: Vec<_> = last.collect();
        steps.sort_by_key(|step| std::cmp::Reverse(step.wall_us));
        steps.truncate(STEPS);
        let is_known = steps.len() == self.history.len()
            && steps.iter().zip(&*self.history).all(|(step, known)| {
                step.transition.id == known.id && Some(step.wall_us) == known.decided_us
            });
        if !is_known {
            self.history =
                steps.into_iter().map(|step| Step::new(&step.transition, step.wall_us)).collect();
        }
        Arc::clone(&self.history)
    }
}

fn status(unit: &Unit, topic: &str, candidates: UnitCandidates, lag: Option<u64>) -> ModelStatus {
    let (facts, model, lane) = (&unit.facts, &unit.setup.model, unit.drift());
    let watermarks = lane.partitions().filter_map(|partition| lane.watermark_us(partition));
    let pane_us = model.operations.every_us;
    ModelStatus {
        name: unit.name().to_owned(),
        owner: model.owner.clone(),
        topic: topic.to_owned(),
        last_window: facts.last_window.clone(),
        watermark_us: watermarks.min(),
        last_event_us: facts.last_event_us,
        open_incidents: facts.alerts.incidents().count(),
        open_windows: lane.open_windows(),
        counted: facts.counted,
        late: facts.late,
        last_pane: facts.last_pane.as_ref().map(|pane| PaneStatus::new(pane, pane_us)),
        lag,
        recent: facts.sparks.iter().map(RecentWindow::new).collect(),
        candidates: candidates.statuses,
        pane_us,
        latency_under_us: model.latency.as_ref().map(|latency| latency.under_us),
        shadow_records: candidates.records,
    }
}
