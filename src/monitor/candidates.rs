//! The candidates of all models: their lanes, and the shadow record of each closed window.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use driftline_config::{Candidate, Limits, Purpose};
use driftline_shadow::{CandidateLane, CandidateReport, Health, Model, Runtime};
use serde::Serialize;

use crate::http::{CandidateStatus, CheckState, ReadyCheck};
use crate::metrics::{Metrics, ShadowRows};
use crate::pipeline::unit::Unit;
use crate::priority::give_way;

/// How long after the close of a window its shadow record is final (`shadow.grace`).
const GRACE: Duration = Duration::from_secs(60);

/// The lanes of every model.
#[derive(Debug)]
pub(super) struct Candidates {
    lanes: BTreeMap<usize, Vec<CandidateLane>>,
    names: BTreeMap<usize, String>,
    /// What each candidate is for, in the order of its lanes.
    purposes: BTreeMap<usize, Vec<&'static str>>,
    /// Records that were taken, by unit.
    records: BTreeMap<usize, u64>,
    /// Windows whose record is not final, by unit and start: id, and the reports so far.
    open: BTreeMap<(usize, i64), (String, Vec<CandidateReport>)>,
    /// Windows that became part of an earlier one.
    carried: BTreeMap<(usize, i64), i64>,
    /// What was last told of each candidate, by unit and name: why it is not scored.
    told: BTreeMap<(usize, String), Option<String>>,
}

/// The candidates of one unit.
#[derive(Debug, Default)]
pub(super) struct UnitCandidates {
    /// In the order of the configuration.
    pub(super) statuses: Vec<CandidateStatus>,
    /// Records that were taken.
    pub(super) records: u64,
}

/// The shadow record of a window: CONTRACTS §5.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowRecord {
    driftline: u32,
    /// Name of the model.
    pub model: String,
    /// Which window.
    pub window: ShadowWindow,
    /// One entry per candidate.
    pub shadow: Vec<CandidateReport>,
}

/// Names a window.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowWindow {
    /// As in its report.
    pub id: String,
}

impl Candidates {
    /// Starts a lane for each candidate. A missing library or a bad model degrades its candidate.
    pub(super) fn start(units: &[Unit], libraries: Vec<PathBuf>, limits: &Limits) -> Candidates {
        let libraries = Arc::new(libraries);
        let mut lanes: BTreeMap<usize, Vec<CandidateLane>> = BTreeMap::new();
        let mut names = BTreeMap::new();
        let mut purposes: BTreeMap<usize, Vec<&'static str>> = BTreeMap::new();
        for (index, unit) in units.iter().enumerate() {
            for candidate in &unit.setup.model.shadow {
                let (libraries, bytes) = (Arc::clone(&libraries), limits.onnx_bytes);
                // What a candidate takes of cores that are all busy is taken from the main way. One that
                // gets too little time sheds rows and says how many.
                let load = move |candidate: &Candidate| {
                    give_way();
                    let runtime = Runtime::load(&libraries)?;
                    Model::open(candidate, bytes, &runtime)
                };
                let lane = CandidateLane::spawn(candidate.clone(), limits.shadow_rows, load);
                lanes.entry(index).or_default().push(lane);
                purposes.entry(index).or_default().push(match candidate.purpose {
                    Purpose::Better => "better",
                    Purpose::Same => "same",
                });
                names.insert(index, unit.name().to_owned());
            }
        }
        let records = BTreeMap::new();
        let (open, carried, told) = Default::default();
        Candidates { lanes, names, purposes, records, open, carried, told }
    }

    /// Shows rows to the candidates of a unit; never waits.
    pub(super) fn offer(&self, unit: usize, start_us: i64, rows: &RecordBatch, indices: &[u32]) {
        for lane in self.lanes.get(&unit).into_iter().flatten() {
            lane.offer(start_us, rows, indices);
        }
    }

    /// A window became part of an earlier one.
    pub(super) fn carry(&mut self, unit: usize, from_us: i64, into_us: i64) {
        if self.lanes.contains_key(&unit) {
            self.carried.insert((unit, from_us), into_us);
        }
    }

    /// No more rows of a window come: its record, and those of the windows it took in, are due.
    pub(super) fn close(&mut self, unit: usize, start_us: i64, id: &str) {
        let Some(lanes) = self.lanes.get(&unit) else { return };
        let belongs = |(of, from): &(usize, i64), into: &i64| {
            *of == unit && (*into == start_us || *from == start_us)
        };
        let taken_in = self.carried.iter().filter(|(key, into)| belongs(key, into));
        let mut starts: Vec<i64> = taken_in.map(|((_, from), _)| *from).collect();
        self.carried.retain(|key, into| !belongs(key, into));
        starts.push(start_us);
        let deadline = Instant::now() + GRACE;
        for start_us in starts {
            self.open.insert((unit, start_us), (id.to_owned(), Vec::new()));
            for lane in lanes {
                lane.close(start_us, deadline);
            }
        }
    }

    /// The records that are final by now, with the start of their windows.
    pub(super) fn take_records(&mut self, metrics: &Metrics) -> Vec<(i64, ShadowRecord)> {
        let now = Instant::now();
        let mut records = Vec::new();
        for (&unit, lanes) in &self.lanes {
            let Some(model) = self.names.get(&unit) else { continue };
            for lane in lanes {
                let counters = lane.counters();
                let rows = ShadowRows {
                    paired: counters.paired,
                    shed: counters.shed,
                    failed: counters.failed,
                };
                metrics.shadow_rows(model, lane.name(), rows);
                for (start_us, report) in lane.take_finished(now) {
                    metrics.shadow_agreement(model, lane.name(), report.agreement);
                    let Some((_, reports)) = self.open.get_mut(&(unit, start_us)) else { continue };
                    reports.push(report);
                    if reports.len() == lanes.len()
                        && let Some((id, shadow)) = self.open.remove(&(unit, start_us))
                    {
                        let window = ShadowWindow { id };
                        let model = model.clone();
                        let record = ShadowRecord { driftline: 1, model, window, shadow };
                        records.push((start_us, record));
                        *self.records.entry(unit).or_default() += 1;
                    }
                }
            }
        }
        records
    }

    /// Whether every record has been taken.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Rows that were paired, over all candidates.
    pub(super) fn paired(&self) -> u64 {
        self.lanes.values().flatten().map(|lane| lane.counters().paired).sum()
    }

    /// Rows that found a candidate's queue full, over all candidates.
    pub(super) fn shed(&self) -> u64 {
        self.lanes.values().flatten().map(|lane| lane.counters().shed).sum()
    }

    /// The largest number of rows that wait for a candidate.
    pub(super) fn queued(&self) -> u64 {
        self.lanes.values().flatten().map(|lane| lane.counters().queued).max().unwrap_or(0)
    }

    /// Candidates that were loaded or degraded since the last call: unit, name, and why they are not
    /// scored.
    pub(super) fn take_changes(&mut self) -> Vec<(usize, String, Option<String>)> {
        let mut changes = Vec::new();
        for (&unit, lanes) in &self.lanes {
            for lane in lanes {
                let problem = match lane.health() {
                    Health::Loading => continue,
                    Health::Ready => None,
                    Health::Degraded(why) => Some(why),
                };
                let name = lane.name().to_owned();
                if self.told.get(&(unit, name.clone())) != Some(&problem) {
                    self.told.insert((unit, name.clone()), problem.clone());
                    changes.push((unit, name, problem));
                }
            }
        }
        changes
    }

    /// What is shown of the candidates, by unit.
    pub(super) fn statuses(&self) -> BTreeMap<usize, UnitCandidates> {
        let status = |lane: &CandidateLane, purpose: &'static str| {
            let (state, says) = match lane.health() {
                Health::Loading => (CheckState::Ok, "the model is being loaded".to_owned()),
                Health::Ready => (CheckState::Ok, "it scores".to_owned()),
                Health::Degraded(why) => (CheckState::Degraded, why),
            };
            CandidateStatus { name: lane.name().to_owned(), purpose, state, says }
        };
        let of_unit = |(unit, lanes): (&usize, &Vec<CandidateLane>)| {
            let purposes = self.purposes.get(unit).into_iter().flatten();
            let statuses = lanes.iter().zip(purposes).map(|(lane, purpose)| status(lane, purpose));
            let records = self.records.get(unit).copied().unwrap_or(0);
            (*unit, UnitCandidates { statuses: statuses.collect(), records })
        };
        self.lanes.iter().map(of_unit).collect()
    }
}

impl CandidateStatus {
    /// What `/readyz` says of it.
    pub(super) fn check(&self, model: &str) -> ReadyCheck {
        let name = format!("candidate {} of {model}", self.name);
        ReadyCheck { name, state: self.state, says: self.says.clone() }
    }
}
