//! What one judgement leaves for the next.

use std::collections::{BTreeMap, VecDeque};

use driftline_config::time::format_instant;
use driftline_config::{Level, Subject};
use serde::{Deserialize, Serialize};

use super::{JudgeInput, release};
use crate::report::{Check, Finding};

/// Versions that are remembered; beyond it the ones not seen for longest are forgotten, and would
/// be announced as new once more.
const VERSIONS_KNOWN: usize = 256;
/// Windows whose number of requests is remembered.
pub(super) const VOLUMES_KEPT: usize = 8;

/// What is known of a model's earlier windows. The default knows nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Share of the requests by version, in the window before.
    pub shares: BTreeMap<String, f64>,
    /// Versions that answered before, with the start (microseconds) of the last window in which
    /// they did.
    pub known_versions: BTreeMap<String, i64>,
    /// Start (microseconds) of the first window of the present run over tolerance, by subject and
    /// check.
    pub first_over: BTreeMap<String, i64>,
    /// Requests of the last complete windows of one length that were not at alarm for their volume,
    /// oldest first.
    pub volumes: VecDeque<f64>,
    /// That length in microseconds.
    pub volumes_of_us: i64,
    /// What changed in the settings since the window before: into the next report, then forgotten.
    pub changed: Vec<String>,
    /// What people have accepted and was over in the window before as well: into the next judgement,
    /// then forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedEffect>,
}

/// A column that somebody said needs no more messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptedEffect {
    pub subject: Subject,
    /// The name of the check.
    pub check: String,
    /// The share of requests that had moved when it was accepted.
    pub effect: f64,
}

impl History {
    /// The history after this window; sets `first_over` of its findings.
    pub(super) fn after(
        &self,
        input: &JudgeInput<'_>,
        versions: &BTreeMap<String, u64>,
        findings: &mut [Finding],
    ) -> History {
        let start_us = input.window.start_us;
        let mut next = History {
            known_versions: self.known_versions.clone(),
            volumes: self.volumes.clone(),
            volumes_of_us: self.volumes_of_us,
            shares: release::shares(versions),
            ..History::default()
        };
        for version in versions.keys() {
            let last_us = next.known_versions.entry(version.clone()).or_insert(start_us);
            *last_us = (*last_us).max(start_us);
        }
        while next.known_versions.len() > VERSIONS_KNOWN {
            let oldest = next.known_versions.iter().min_by_key(|&(name, &last_us)| (last_us, name));
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            next.known_versions.remove(&oldest);
        }
        for finding in findings.iter_mut() {
            let key = format!("{} {}", finding.subject, finding.check.name());
            let before = self.first_over.get(&key).copied();
            // A window that says nothing neither begins nor ends a run.
            let first = match finding.level {
                Level::NotComputable => before,
                Level::Ok if finding.judged => None,
                _ if finding.is_over() => Some(before.unwrap_or(start_us)),
                _ => None,
            };
            if let Some(first_us) = first {
                finding.first_over = Some(format_instant(first_us));
                next.first_over.insert(key, first_us);
            }
        }
        let volume = findings.iter().find(|finding| finding.check == Check::Volume);
        if comparable_volume(input) && volume.is_some_and(|found| found.level != Level::Alarm) {
            next.remember_volume(input);
        }
        next
    }

    /// Requests of earlier windows as long as this one.
    pub(super) fn volumes_like(&self, input: &JudgeInput<'_>) -> impl Iterator<Item = f64> + '_ {
        let like = self.volumes_of_us == length_us(input);
        self.volumes.iter().copied().filter(move |_| like)
    }

    fn remember_volume(&mut self, input: &JudgeInput<'_>) {
        if self.volumes_of_us != length_us(input) {
            self.volumes.clear();
            self.volumes_of_us = length_us(input);
        }
        self.volumes.push_back(input.state.requests().weighted_requests());
        if self.volumes.len() > VOLUMES_KEPT {
            self.volumes.pop_front();
        }
    }
}

/// Whether the number of requests of this window can be compared: all its rows can have been read.
pub(super) fn comparable_volume(input: &JudgeInput<'_>) -> bool {
    input.window.incomplete.is_empty()
}

fn length_us(input: &JudgeInput<'_>) -> i64 {
    input.window.end_us.saturating_sub(input.window.start_us)
}
