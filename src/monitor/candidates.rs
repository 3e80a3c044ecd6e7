//! The candidates of all models: their lanes, and the shadow record of each closed window.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftline_analytics::comparison::{self, CandidateReport, ModelComparison};
use driftline_capture::CaptureBatch;
use driftline_config::{Candidate, ModelId, WindowId};
use driftline_pipeline::Pipeline;
use driftline_shadow::{CandidateLane, FinishedWindow, Health, Launch, Pair, Sums};
use driftline_web::metrics::{Metrics, ShadowRows};
use driftline_web::{CandidateStatus, CheckState, ReadyCheck};
use serde::Serialize;

use crate::priority::give_way;

/// How long after the close of a window its shadow record is final (`shadow.grace`).
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Candidates {
    models: BTreeMap<ModelId, OfModel>,
    /// Windows whose record is not final, by model and start.
    open: BTreeMap<(ModelId, i64), OpenRecord>,
    /// Windows that a lane finished and of which no record is due, since it was last asked for.
    defects: u64,
}

#[derive(Debug)]
struct OfModel {
    name: String,
    /// In the order of the configuration, with what was last told of each: why it is not scored.
    lanes: Vec<(CandidateLane<Compared>, Option<Option<String>>)>,
    /// Records that were taken.
    records: u64,
}

/// The comparison of a candidate with the champion, as a lane keeps it: neither package knows the other.
#[derive(Debug, Clone)]
struct Compared(ModelComparison);

impl Sums for Compared {
    fn add(&mut self, pair: &Pair<'_>) {
        let Pair { labels, scores, id, offset } = *pair;
        self.0.add(&comparison::Pair { labels, scores, id, offset });
    }

    fn add_batch_time(&mut self, rows: u64, took_ns: u64) {
        self.0.add_batch_time(rows, took_ns);
    }

    fn add_single_time(&mut self, took_ns: u64) {
        self.0.add_single_time(took_ns);
    }

    fn merge(&mut self, other: &Compared) {
        self.0.merge(&other.0);
    }
}

#[derive(Debug)]
struct OpenRecord {
    id: WindowId,
    /// By the position of the candidate in the configuration: who is done first depends on the machine, and
    /// the bytes of a record must not.
    reports: BTreeMap<usize, CandidateReport>,
}

#[derive(Debug, Default)]
pub(super) struct ModelCandidates {
    pub(super) statuses: Vec<CandidateStatus>,
    pub(super) records: u64,
}

/// The shadow record of a window: CONTRACTS §5.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShadowRecord {
    driftline: u32,
    pub(crate) model: String,
    pub(crate) window: ShadowWindow,
    /// One entry per candidate, in the order of the configuration.
    pub(crate) shadow: Vec<CandidateReport>,
    #[serde(skip)]
    pub(super) of: (ModelId, i64),
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShadowWindow {
    pub(crate) id: WindowId,
}

#[derive(Debug)]
pub(super) struct Changed {
    pub(super) model: ModelId,
    pub(super) candidate: String,
    /// Why it is not scored.
    pub(super) problem: Option<String>,
}

impl ShadowRecord {
    /// As it is published; `None` where that cannot be, which is logged.
    pub(super) fn to_json(&self) -> Option<String> {
        let json = serde_json::to_string(self);
        let lost =
            |error: &_| tracing::error!(model = self.model, %error, "a shadow record is lost");
        json.inspect_err(lost).ok()
    }
}

impl Candidates {
    /// Starts a lane for each candidate, with a queue of so many rows. A missing library or a bad model
    /// degrades its candidate.
    pub(super) fn start(pipeline: &Pipeline, launch: &Launch, queue_rows: usize) -> Candidates {
        let mut models = BTreeMap::new();
        for model in pipeline.models() {
            let declared = &model.setup().model;
            let lanes = declared.shadow.iter().map(|candidate| {
                let launch = launch.clone();
                // What a candidate takes of cores that are all busy is taken from the main way. One that
                // gets too little time sheds rows and says how many. Its process stands back as its thread.
                let prepare = move |_: &Candidate| {
                    give_way();
                    Ok(launch)
                };
                let nothing = Compared(ModelComparison::new(&candidate.output.classes));
                (CandidateLane::spawn(candidate.clone(), queue_rows, nothing, prepare), None)
            });
            let lanes: Vec<_> = lanes.collect();
            if !lanes.is_empty() {
                let name = model.name().to_owned();
                models.insert(model.id(), OfModel { name, lanes, records: 0 });
            }
        }
        Candidates { models, ..Candidates::default() }
    }

    /// Shows the rows of windows to the candidates of a model; never waits.
    pub(super) fn offer(&self, model: ModelId, rows: &CaptureBatch, windows: &[(i64, Vec<u32>)]) {
        for lane in self.lanes(model) {
            for (start_us, indices) in windows {
                lane.offer(*start_us, rows, indices);
            }
        }
    }

    /// A window became part of an earlier one, and so do its rows: the two have one report, and one record.
    pub(super) fn carry(&self, model: ModelId, from_us: i64, into_us: i64) {
        for lane in self.lanes(model) {
            lane.carry(from_us, into_us);
        }
    }

    /// No more rows of a window come: its record is due.
    pub(super) fn close(&mut self, model: ModelId, start_us: i64, id: WindowId) {
        if self.models.contains_key(&model) {
            let record = OpenRecord { id, reports: BTreeMap::new() };
            self.open.insert((model, start_us), record);
            let deadline = Instant::now() + GRACE;
            self.lanes(model).for_each(|lane| lane.close(start_us, deadline));
        }
    }

    /// The records that are final by now.
    pub(super) fn take_records(&mut self, metrics: &Metrics) -> Vec<ShadowRecord> {
        let now = Instant::now();
        let mut records = Vec::new();
        for (&id, model) in &mut self.models {
            let (wanted, mut taken) = (model.lanes.len(), 0);
            for (position, (lane, _)) in model.lanes.iter().enumerate() {
                let counters = lane.counters();
                let rows = ShadowRows {
                    paired: counters.paired,
                    shed: counters.shed,
                    failed: counters.failed,
                };
                metrics.shadow_rows(&model.name, lane.name(), rows);
                for finished in lane.take_finished(now) {
                    let of = (id, finished.start_us);
                    let report = report(lane.candidate(), finished);
                    metrics.shadow_agreement(&model.name, lane.name(), report.agreement);
                    let Some(open) = self.open.get_mut(&of) else {
                        self.defects += 1;
                        tracing::error!(
                            model = model.name,
                            candidate = lane.name(),
                            start_us = of.1,
                            "a candidate finished a window that is not due, a defect: it is lost"
                        );
                        continue;
                    };
                    open.reports.insert(position, report);
                    if open.reports.len() == wanted
                        && let Some(OpenRecord { id, reports }) = self.open.remove(&of)
                    {
                        let (window, model) = (ShadowWindow { id }, model.name.clone());
                        let shadow = reports.into_values().collect();
                        records.push(ShadowRecord { driftline: 1, model, window, shadow, of });
                        taken += 1;
                    }
                }
            }
            model.records += taken;
        }
        records
    }

    /// How often a lane finished what was not due, since the last call: each is a defect and in the log.
    pub(super) fn take_defects(&mut self) -> u64 {
        std::mem::take(&mut self.defects)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn paired(&self) -> u64 {
        self.all_lanes().map(|lane| lane.counters().paired).sum()
    }

    /// Rows that found a candidate's queue full, over all candidates.
    pub(super) fn shed(&self) -> u64 {
        self.all_lanes().map(|lane| lane.counters().shed).sum()
    }

    /// The largest number of rows that wait for a candidate.
    pub(super) fn queued(&self) -> u64 {
        self.all_lanes().map(|lane| lane.counters().queued).max().unwrap_or(0)
    }

    /// Candidates that were loaded or degraded since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Changed> {
        let mut changes = Vec::new();
        for (&model, of_model) in &mut self.models {
            for (lane, told) in &mut of_model.lanes {
                let problem = match lane.health() {
                    // One that died is started again before anybody is called.
                    Health::Loading | Health::Restarting(_) => continue,
                    Health::Ready => None,
                    Health::Degraded(why) => Some(why),
                };
                if told.replace(problem.clone()).as_ref() != Some(&problem) {
                    changes.push(Changed { model, candidate: lane.name().to_owned(), problem });
                }
            }
        }
        changes
    }

    pub(super) fn statuses(&self) -> BTreeMap<ModelId, ModelCandidates> {
        let of_model = |(id, model): (&ModelId, &OfModel)| {
            let statuses = model.lanes.iter().map(|(lane, _)| status(lane)).collect();
            (*id, ModelCandidates { statuses, records: model.records })
        };
        self.models.iter().map(of_model).collect()
    }

    fn lanes(&self, model: ModelId) -> impl Iterator<Item = &CandidateLane<Compared>> {
        // Most models have no candidates.
        let of_model = self.models.get(&model).into_iter();
        of_model.flat_map(|model| model.lanes.iter().map(|(lane, _)| lane))
    }

    fn all_lanes(&self) -> impl Iterator<Item = &CandidateLane<Compared>> {
        self.models.values().flat_map(|model| model.lanes.iter().map(|(lane, _)| lane))
    }
}

fn status(lane: &CandidateLane<Compared>) -> CandidateStatus {
    let (state, says) = match lane.health() {
        Health::Loading => (CheckState::Ok, "the model is being loaded".to_owned()),
        Health::Ready => (CheckState::Ok, "it scores".to_owned()),
        Health::Degraded(why) | Health::Restarting(why) => (CheckState::Degraded, why),
    };
    let purpose = lane.candidate().purpose.as_str();
    CandidateStatus { name: lane.name().to_owned(), purpose, state, says }
}

pub(super) fn check(candidate: &CandidateStatus, model: &str) -> ReadyCheck {
    let name = format!("candidate {} of {model}", candidate.name);
    ReadyCheck { name, state: candidate.state, says: candidate.says.clone() }
}

fn report(candidate: &Candidate, finished: FinishedWindow<Compared>) -> CandidateReport {
    let FinishedWindow { sampled, paired, shed, failed, sums, problem, .. } = finished;
    CandidateReport { sampled, paired, shed, failed, problem, ..sums.0.report(candidate) }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use driftline_capture::CaptureSchema;
    use driftline_config::{CandidateOutput, Config, Purpose};
    use driftline_formats::{Decoder, ModelPlan, Record, RecordLimits};
    use driftline_shadow::ShadowError;

    use super::*;

    const M: ModelId = ModelId(0);
    const PATIENCE: Duration = Duration::from_secs(30);

    fn candidate(name: &str, classes: &[&str]) -> Candidate {
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        Candidate {
            name: name.to_owned(),
            onnx: PathBuf::from("next.onnx"),
            sha256: String::new(),
            inputs: Vec::new(),
            output: CandidateOutput { classes, ..CandidateOutput::default() },
            purpose: Purpose::Better,
            trained_until_us: None,
            sample: 1.0,
        }
    }

    /// A lane whose candidate turns out to be none once it is told so: its rows fail, and are counted.
    fn lane(name: &str, told: Receiver<()>) -> CandidateLane<Compared> {
        let candidate = candidate(name, &[]);
        CandidateLane::spawn(candidate, 1000, Compared(ModelComparison::new(&[])), move |_| {
            let _ = told.recv();
            Err(ShadowError::ExternalData)
        })
    }

    fn candidates(lanes: Vec<CandidateLane<Compared>>) -> Candidates {
        let lanes = lanes.into_iter().map(|lane| (lane, None)).collect();
        let model = OfModel { name: "fraud".to_owned(), lanes, records: 0 };
        Candidates { models: [(M, model)].into(), ..Candidates::default() }
    }

    fn offer(candidates: &Candidates, start_us: i64, rows: u32) {
        let records: Vec<String> =
            (0..rows).map(|row| format!(r#"{{"id":"{row}","ts":1767571200000}}"#)).collect();
        let plan = ModelPlan {
            name: "fraud".to_owned(),
            schema: CaptureSchema::default(),
            max_ahead_us: i64::MAX,
            mapping: None,
        };
        let mut decoder = Decoder::new(&[plan], &RecordLimits::default());
        for (offset, record) in (0..).zip(&records) {
            decoder.decode(&Record { value: Some(record.as_bytes()), offset, time_us: None });
        }
        let batch = decoder.take().unwrap().rows.remove(0).rows;
        candidates.offer(M, &batch, &[(start_us, Vec::from_iter(0..rows))]);
    }

    fn records(candidates: &mut Candidates, metrics: &Metrics) -> Vec<ShadowRecord> {
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

    /// What a lane pairs reaches the comparison with nothing exchanged: champion's and candidate's answers,
    /// ids, offsets, counts and times.
    #[test]
    fn what_a_lane_pairs_is_what_is_compared() {
        let candidate = candidate("next", &["late", "on-time"]);
        let nothing = Compared(ModelComparison::new(&candidate.output.classes));
        let (mut sums, mut rest) = (nothing.clone(), nothing);
        for row in 0..1000 {
            let champion = if row < 500 { "on-time" } else { "late" };
            let of = if row % 2 == 0 { &mut sums } else { &mut rest };
            of.add(&Pair {
                labels: Some((champion, "late")),
                scores: Some((row as f64 / 1000.0, 0.75)),
                id: Some(&format!("id-{row}")),
                offset: row,
            });
        }
        sums.add_batch_time(1000, 5_000_000);
        rest.add_single_time(9_000);
        sums.merge(&rest);
        let (sampled, paired, shed, failed) = (1006, 1000, 1, 5);
        let (sums, problem) = (Arc::new(sums), Some("five failed".to_owned()));
        let finished = FinishedWindow { start_us: 0, sampled, paired, shed, failed, sums, problem };
        let report = report(&candidate, finished);
        assert_eq!(
            (report.sampled, report.paired, report.shed, report.failed, report.problem.as_deref()),
            (1006, 1000, 1, 5, Some("five failed"))
        );
        assert_eq!(report.agreement, Some(0.5));
        assert_eq!(
            (report.classes, report.table),
            (vec!["late".into(), "on-time".into()], vec![vec![500, 0], vec![500, 0]])
        );
        let score = report.score.unwrap();
        // Mean of 0.75 - row/1000 over the rows 0..1000.
        assert!((score.mean_difference - 0.2505).abs() < 1e-11, "{score:?}");
        assert_eq!((score.largest_difference, score.largest_at.as_str()), (0.75, "id-0"));
        assert_eq!(report.single_us.unwrap().n, 1);
        assert_eq!(report.batch_us_per_row, Some(5.0));
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
            candidates.close(M, 0, "window".into());
            let mut tell: Vec<_> = tell.into_iter().map(Some).collect();
            let last = tell[late].take();
            drop(tell);
            let reports_of = |candidates: &Candidates| candidates.open[&(M, 0)].reports.len();
            let until = Instant::now() + PATIENCE;
            while reports_of(&candidates) < 2 {
                assert_eq!(candidates.take_records(&metrics).len(), 0, "one is missing");
                assert!(Instant::now() < until, "two are done");
                thread::yield_now();
            }
            drop(last);
            let record = records(&mut candidates, &metrics).remove(0);
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
        candidates.carry(M, 10, 0);
        candidates.carry(M, 20, 0);
        candidates.close(M, 0, "first".into());
        candidates.close(M, 30, "second".into());
        drop(tell);
        let mut found = Vec::new();
        while !candidates.is_settled() {
            for record in records(&mut candidates, &metrics) {
                let sampled = record.shadow.iter().map(|report| report.sampled).sum::<u64>();
                found.push((record.of.1, record.window.id, sampled));
            }
        }
        assert_eq!(found, [(0, "first".into(), 321), (30, "second".into(), 4000)]);
        assert!(candidates.take_records(&metrics).is_empty());
    }
}
