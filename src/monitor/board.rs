//! What readers of the API and of `/readyz` are shown.

use std::collections::BTreeMap;

use driftline_analytics::report::Report;
use driftline_config::time::parse_instant_us;
use driftline_ingest::{Event, RecentDeadLetter};

use crate::http::{
    CheckState, DeadLetter, IncidentStatus, LastWindow, Live, ModelStatus, ReadyCheck, Step,
    TopicStatus,
};
use crate::metrics::{Gauge, Metrics};
use crate::pipeline::{Pipeline, TopicFacts};

/// Steps of incidents that are shown.
const STEPS: usize = 200;

/// What the loop remembers for those who ask.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// Trouble of readers, by topic; the empty name is the broker's.
    troubles: BTreeMap<String, (String, bool)>,
    /// The broker has told something of a topic.
    answered: bool,
    last_windows: BTreeMap<String, LastWindow>,
    report_delay_us: Option<i64>,
}

impl Readiness {
    /// Remembers trouble, and forgets it when it is over.
    pub(super) fn note<'a>(
        &mut self,
        event: &Event,
        topics: impl Iterator<Item = (&'a str, &'a TopicFacts)>,
    ) {
        let name = |topic: Option<usize>, mut topics: Vec<&str>| match topic {
            Some(index) if index < topics.len() => topics.swap_remove(index).to_owned(),
            _ => String::new(),
        };
        match event {
            Event::Trouble { topic, message, fatal } => {
                let name = name(*topic, topics.map(|(name, _)| name).collect());
                let known = self.troubles.insert(name.clone(), (message.clone(), *fatal));
                if known.is_none_or(|(before, _)| before != *message) {
                    tracing::warn!(topic = name, message, "reading is in trouble");
                }
            }
            Event::Recovered { topic } => {
                let name = name(*topic, topics.map(|(name, _)| name).collect());
                if self.troubles.remove(&name).is_some() {
                    tracing::info!(topic = name, "reading goes on");
                }
            }
            Event::Gap { partition, from, to, why, .. } => {
                tracing::error!(
                    partition,
                    from,
                    to,
                    why,
                    "records were lost before they were read"
                );
            }
            Event::Recreated { partition, why, .. } => {
                tracing::error!(partition, why, "the log is another one than before");
            }
            Event::Chunk(_) | Event::EndOfPartition { .. } | Event::Partitions { .. } => {
                self.answered = true;
            }
        }
    }

    /// Remembers the last window of a model, whose rows may come `lateness_us` after it.
    pub(super) fn reported(&mut self, report: &Report, lateness_us: i64, now_us: i64) {
        if let Ok(end_us) = parse_instant_us(&report.window.end) {
            let due_us = end_us.saturating_add(lateness_us);
            self.report_delay_us = Some(now_us.saturating_sub(due_us));
        }
        self.last_windows.insert(report.model.clone(), LastWindow::new(report));
    }

    /// Time from when the last window was due to its report.
    pub(super) fn report_delay_us(&self) -> Option<i64> {
        self.report_delay_us
    }

    /// Remembers the last window before the start; not where the model has had another one since.
    pub(super) fn remembered(&mut self, report: &Report) -> bool {
        let is_newest = !self.last_windows.contains_key(&report.model);
        if is_newest {
            self.last_windows.insert(report.model.clone(), LastWindow::new(report));
        }
        is_newest
    }

    /// Everything that is shown, as of now.
    pub(super) fn live(
        &self,
        pipeline: &Pipeline,
        metrics: &Metrics,
        candidates: Vec<ReadyCheck>,
        (dead_letters, trouble): (Vec<RecentDeadLetter>, Option<String>),
    ) -> Live {
        if let Some(delay_us) = self.report_delay_us() {
            metrics.set(Gauge::ReportDelay { delay_us });
        }
        let topics: Vec<&str> = pipeline.topics().map(|(name, _)| name).collect();
        let mut live = Live {
            silences: pipeline.silences().to_vec(),
            topics: pipeline
                .topics()
                .map(|(name, facts)| (name.to_owned(), TopicStatus::new(facts)))
                .collect(),
            checks: self.checks(trouble),
            dead_letters: dead_letters.into_iter().map(dead_letter).collect(),
            ..Live::default()
        };
        live.checks.extend(candidates);
        for unit in pipeline.units() {
            let facts = &unit.facts;
            let lane = unit.drift();
            let watermarks = lane.partitions().filter_map(|partition| lane.watermark_us(partition));
            let watermark_us = watermarks.min();
            let name = unit.name();
            metrics.alerts(name, &facts.alerts);
            if let Some(time_us) = facts.last_event_us {
                metrics.set(Gauge::LastEvent { model: name, time_us });
            }
            if let Some(time_us) = watermark_us {
                metrics.set(Gauge::Watermark { model: name, time_us });
            }
            live.models.push(ModelStatus {
                name: name.to_owned(),
                owner: unit.setup.model.owner.clone(),
                topic: topics.get(unit.topic).copied().unwrap_or_default().to_owned(),
                last_window: self.last_windows.get(name).cloned(),
                watermark_us,
                last_event_us: facts.last_event_us,
                open_incidents: facts.alerts.incidents().count(),
                counted: facts.counted,
                late: facts.late,
            });
            let incidents = facts.alerts.incidents();
            live.incidents.extend(incidents.map(|incident| IncidentStatus::new(name, incident)));
            let steps = facts.transitions.iter().rev().take(STEPS);
            live.history.extend(steps.map(|step| Step::new(&step.transition, step.wall_us)));
        }
        live.history.sort_by_key(|step| std::cmp::Reverse(step.decided_us));
        live.history.truncate(STEPS);
        live
    }

    fn checks(&self, dead_letter_trouble: Option<String>) -> Vec<ReadyCheck> {
        let mut checks = Vec::new();
        let ok = |name: &str, says: &str| ReadyCheck {
            name: name.to_owned(),
            state: CheckState::Ok,
            says: says.to_owned(),
        };
        checks.push(ok("store", "the checkpoint is written"));
        if self.troubles.is_empty() && self.answered {
            checks.push(ok("broker", "captures are read"));
        } else if self.troubles.is_empty() {
            let says = "no broker has answered yet".to_owned();
            let name = "broker".to_owned();
            checks.push(ReadyCheck { name, state: CheckState::Degraded, says });
        }
        for (topic, (message, fatal)) in &self.troubles {
            let name =
                if topic.is_empty() { "broker".to_owned() } else { format!("topic {topic}") };
            let state = if *fatal { CheckState::Failed } else { CheckState::Degraded };
            checks.push(ReadyCheck { name, state, says: message.clone() });
        }
        if let Some(says) = dead_letter_trouble {
            let name = "dead letters".to_owned();
            checks.push(ReadyCheck { name, state: CheckState::Degraded, says });
        }
        checks
    }
}

fn dead_letter(letter: RecentDeadLetter) -> DeadLetter {
    DeadLetter {
        topic: letter.topic,
        partition: letter.partition,
        offset: letter.offset,
        reason: letter.reason.as_str().to_owned(),
        detail: letter.detail,
    }
}
