//! The models as they were last shown: only those of which something changed are put together anew.

use std::cmp::Reverse;
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
    /// Whether a model was put together anew since the history was.
    is_history_old: bool,
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
        self.is_history_old = true;
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
        if !std::mem::take(&mut self.is_history_old) {
            return Arc::clone(&self.history);
        }
        let units = pipeline.units().iter();
        let last = units.flat_map(|unit| unit.facts.transitions.iter().rev().take(STEPS));
        // Of one moment, the order of the models decides.
        let mut ranked: Vec<_> =
            last.enumerate().map(|(rank, step)| (Reverse(step.wall_us), rank, step)).collect();
        let rank = |&(wall_us, rank, _): &(Reverse<i64>, usize, _)| (wall_us, rank);
        if ranked.len() > STEPS {
            // A thousand models have a thousand times as many as are shown.
            ranked.select_nth_unstable_by_key(STEPS, rank);
            ranked.truncate(STEPS);
        }
        ranked.sort_unstable_by_key(rank);
        let steps: Vec<_> = ranked.into_iter().map(|(_, _, step)| step).collect();
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
