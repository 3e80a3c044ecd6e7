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
    /// Windows whose record is not final, by unit and start.
    open: BTreeMap<(usize, i64), OpenRecord>,
    /// What was last told of each candidate, by unit and name: why it is not scored.
    told: BTreeMap<(usize, String), Option<String>>,
}

/// A record that waits for candidates.
#[derive(Debug)]
struct OpenRecord {
    /// Of its window.
    id: String,
    /// By the position of the candidate in the configuration: who is done first depends on the machine, and
    /// the bytes of a record must not.
    reports: BTreeMap<usize, CandidateReport>,
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
    /// One entry per candidate, in the order of the configuration.
    pub shadow: Vec<CandidateReport>,
}

impl ShadowRecord {
    /// As it is published; `None` where that cannot be, which is logged.
    pub fn to_json(&self) -> Option<String> {
        let json = serde_json::to_string(self);
        let lost =
            |error: &_| tracing::error!(model = self.model, %error, "a shadow record is lost");
        json.inspect_err(lost).ok()
    }
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
        let (open, told) = Default::default();
        Candidates { lanes, names, purposes, records, open, told }
    }

    /// Shows rows to the candidates of a unit; never waits.
    pub(super) fn offer(&self, unit: usize, start_us: i64, rows: &RecordBatch, indices: &[u32]) {
        for lane in self.lanes.get(&unit).into_iter().flatten() {
            lane.offer(start_us, rows, indices);
        }
    }

    /// A window became part of an earlier one, and so do its rows: the two have one report, and one record.
    pub(super) fn carry(&self, unit: usize, from_us: i64, into_us: i64) {
        for lane in self.lanes.get(&unit).into_iter().flatten() {
            lane.carry(from_us, into_us);
        }
    }

    /// No more rows of a window come: its record is due.
    pub(super) fn close(&mut self, unit: usize, start_us: i64, id: &str) {
        let Some(lanes) = self.lanes.get(&unit) else { return };
        let record = OpenRecord { id: id.to_owned(), reports: BTreeMap::new() };
        self.open.insert((unit, start_us), record);
        let deadline = Instant::now() + GRACE;
        for lane in lanes {
            lane.close(start_us, deadline);
        }
    }

    /// The records that are final by now, with the start of their windows.
    pub(super) fn take_records(&mut self, metrics: &Metrics) -> Vec<(i64, ShadowRecord)> {
        let now = Instant::now();
        let mut records = Vec::new();
        for (&unit, lanes) in &self.lanes {
            let Some(model) = self.names.get(&unit) else { continue };
            for (position, lane) in lanes.iter().enumerate() {
                let counters = lane.counters();
                let rows = ShadowRows {
                    paired: counters.paired,
                    shed: counters.shed,
                    failed: counters.failed,
                };
                metrics.shadow_rows(model, lane.name(), rows);
                for (start_us, report) in lane.take_finished(now) {
                    metrics.shadow_agreement(model, lane.name(), report.agreement);
                    let Some(open) = self.open.get_mut(&(unit, start_us)) else { continue };
                    open.reports.insert(position, report);
                    if open.reports.len() == lanes.len()
                        && let Some(OpenRecord { id, reports }) =
                            self.open.remove(&(unit, start_us))
                    {
                        let (window, model) = (ShadowWindow { id }, model.clone());
                        let shadow = reports.into_values().collect();
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use arrow::array::{ArrayRef, StringArray};
    use driftline_config::{CandidateOutput, Config};
    use driftline_shadow::ShadowError;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A lane whose candidate turns out to be none once it is told so: its rows fail, and are counted.
    fn lane(name: &str, told: Receiver<()>) -> CandidateLane {
        let candidate = Candidate {
            name: name.to_owned(),
            onnx: PathBuf::from("next.onnx"),
            sha256: String::new(),
            inputs: Vec::new(),
            output: CandidateOutput::default(),
            purpose: Purpose::Better,
            trained_until_us: None,
            sample: 1.0,
        };
        CandidateLane::spawn(candidate, 1000, move |_| {
            let _ = told.recv();
            Err(ShadowError::ExternalData)
        })
    }

    fn candidates(lanes: Vec<CandidateLane>) -> Candidates {
        let (purposes, records, open, told) = Default::default();
        let names = BTreeMap::from([(0, "fraud".to_owned())]);
        let lanes = BTreeMap::from([(0, lanes)]);
        Candidates { lanes, names, purposes, records, open, told }
    }

    fn offer(candidates: &Candidates, start_us: i64, rows: u32) {
        let ids = StringArray::from_iter_values((0..rows).map(|row| row.to_string()));
        let ids = (driftline_config::capture::ID, Arc::new(ids) as ArrayRef);
        let batch = RecordBatch::try_from_iter([ids]).unwrap();
        candidates.offer(0, start_us, &batch, &Vec::from_iter(0..rows));
    }

    /// The next records.
    fn records(candidates: &mut Candidates, metrics: &Metrics) -> Vec<(i64, ShadowRecord)> {
        let until = Instant::now() + PATIENCE;
        loop {
            let records = candidates.take_records(metrics);
            if !records.is_empty() {
                return records;
            }
            assert!(Instant::now() < until, "no record came");
            thread::yield_now();
        }
    }

    fn metrics() -> Metrics {
        let text = "models: [{name: fraud, captures: {topic: t}, baseline: b.json}]\n\
                    kafka: {bootstrap: \"localhost:9092\"}";
        let config = Config::parse(text, Path::new("/etc/driftline.yaml"), &|_| None);
        Metrics::new(&config.unwrap(), &[])
    }

    /// Candidates stood in the order in which they were done, so the bytes depended on the machine.
    #[test]
    fn candidates_stand_in_a_record_as_in_the_configuration() {
        let metrics = metrics();
        for late in 0..3 {
            let (tell, told): (Vec<_>, Vec<_>) = (0..3).map(|_| channel()).unzip();
            let lanes = ["c", "a", "b"].into_iter().zip(told).map(|(name, told)| lane(name, told));
            let mut candidates = candidates(lanes.collect());
            offer(&candidates, 0, 5);
            candidates.close(0, 0, "window");
            let mut tell: Vec<_> = tell.into_iter().map(Some).collect();
            let last = tell[late].take();
            drop(tell);
            let reports_of = |candidates: &Candidates| candidates.open[&(0, 0)].reports.len();
            let until = Instant::now() + PATIENCE;
            while reports_of(&candidates) < 2 {
                assert_eq!(candidates.take_records(&metrics).len(), 0, "one is missing");
                assert!(Instant::now() < until, "two are done");
                thread::yield_now();
            }
            drop(last);
            let (_, record) = records(&mut candidates, &metrics).remove(0);
            let names: Vec<&str> =
                record.shadow.iter().map(|report| report.candidate.as_str()).collect();
            assert_eq!(names, ["c", "a", "b"], "{late} is done last");
        }
    }

    /// Each part of a window had a record of its own, all under one id.
    #[test]
    fn a_window_and_what_it_took_in_have_one_record() {
        let (metrics, (tell, told)) = (metrics(), channel());
        let mut candidates = candidates(vec![lane("next", told)]);
        for (start_us, rows) in [(0, 1), (10, 20), (20, 300), (30, 4000)] {
            offer(&candidates, start_us, rows);
        }
        candidates.carry(0, 10, 0);
        candidates.carry(0, 20, 0);
        candidates.close(0, 0, "first");
        candidates.close(0, 30, "second");
        drop(tell);
        let mut found = Vec::new();
        while !candidates.is_settled() {
            for (start_us, record) in records(&mut candidates, &metrics) {
                let sampled = record.shadow.iter().map(|report| report.sampled).sum::<u64>();
                found.push((start_us, record.window.id, sampled));
            }
        }
        assert_eq!(found, [(0, "first".to_owned(), 321), (30, "second".to_owned(), 4000)]);
        assert!(candidates.take_records(&metrics).is_empty());
    }
}
