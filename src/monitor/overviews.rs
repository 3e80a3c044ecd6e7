//! The models as they were last shown: only those of which something changed are put together anew.

use std::cmp::Reverse;
use std::sync::Arc;

use driftline_pipeline::{ModelView, Pipeline};
use driftline_web::metrics::Metrics;
use driftline_web::{IncidentStatus, ModelStatus, PaneStatus, RecentWindow, Step};

use super::candidates::ModelCandidates;

const STEPS: usize = 200;

/// What was last shown of every model, in their order.
#[derive(Debug, Default)]
pub(super) struct Overviews {
    models: Vec<Overview>,
    history: Arc<[Step]>,
    /// Whether a model was put together anew since the history was.
    is_history_old: bool,
}

#[derive(Debug)]
struct Overview {
    /// The model's count of changes when it was put together.
    revision: u64,
    status: Arc<ModelStatus>,
    incidents: Vec<Arc<IncidentStatus>>,
}

impl Overviews {
    /// Brings a model up to date: what is known of it, of its candidates, and how far its topic is behind.
    pub(super) fn update(&mut self, model: ModelView<'_>, around: Around<'_>, metrics: &Metrics) {
        // Models are shown in their order: one that is not there yet is the next.
        let known = self.models.get_mut(model.id().0);
        let is_known = known.as_ref().is_some_and(|known| {
            known.revision == model.revision()
                && known.status.lag == around.lag
                && known.status.candidates == around.candidates.statuses
                && known.status.shadow_records == around.candidates.records
        });
        if is_known {
            return;
        }
        self.is_history_old = true;
        let status = status(model, around);
        let alerts = &model.decided().alerts;
        metrics.alerts(&status.name, alerts);
        if let Some((counts, waiting)) = model.pairs() {
            metrics.pairs(&status.name, counts, waiting);
        }
        if let Some(time_us) = status.last_event_us {
            metrics.last_event(&status.name, time_us);
        }
        if let Some(time_us) = status.watermark_us {
            metrics.watermark(&status.name, time_us);
        }
        let incidents = alerts.incidents();
        let incidents =
            incidents.map(|incident| Arc::new(IncidentStatus::new(&status.name, incident)));
        let overview = Overview {
            revision: model.revision(),
            incidents: incidents.collect(),
            status: Arc::new(status),
        };
        match known {
            Some(known) => *known = overview,
            None => self.models.push(overview),
        }
    }

    pub(super) fn models(&self) -> Vec<Arc<ModelStatus>> {
        self.models.iter().map(|model| Arc::clone(&model.status)).collect()
    }

    pub(super) fn incidents(&self) -> Vec<Arc<IncidentStatus>> {
        self.models.iter().flat_map(|model| &model.incidents).cloned().collect()
    }

    /// The last steps of all incidents, newest first.
    pub(super) fn history(&mut self, pipeline: &Pipeline) -> Arc<[Step]> {
        if !std::mem::take(&mut self.is_history_old) {
            return Arc::clone(&self.history);
        }
        let last = pipeline
            .models()
            .flat_map(|model| model.decided().transitions.iter().rev().take(STEPS));
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

#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) topic: &'a str,
    pub(super) candidates: ModelCandidates,
    /// Records of the topic that wait to be read.
    pub(super) lag: Option<u64>,
}

fn status(model: ModelView<'_>, around: Around<'_>) -> ModelStatus {
    let (counted, decided) = (model.counted(), model.decided());
    let declared = &model.setup().model;
    let pane_us = declared.operations.every_us;
    ModelStatus {
        name: model.name().to_owned(),
        owner: declared.owner.clone(),
        topic: around.topic.to_owned(),
        last_window: decided.last_window.clone(),
        watermark_us: model.newest_us(),
        last_event_us: counted.last_event_us,
        open_incidents: decided.alerts.incidents().count(),
        open_windows: model.lanes().drift.open_windows(),
        counted: counted.counted,
        late: counted.late,
        last_pane: decided.last_pane.as_ref().map(|pane| PaneStatus::new(pane, pane_us)),
        lag: around.lag,
        recent: decided.sparks.iter().map(RecentWindow::new).collect(),
        candidates: around.candidates.statuses,
        pane_us,
        latency_under_us: declared.latency.as_ref().map(|latency| latency.under_us),
        shadow_records: around.candidates.records,
    }
}
