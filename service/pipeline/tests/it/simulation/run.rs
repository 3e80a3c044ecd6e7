//! Runs a scenario: once without any fault, once with every fault that its seed draws.

use std::collections::{BTreeMap, BTreeSet};

use driftline_alerting::repeat::Sent;
use driftline_config::TopicPartition;
use driftline_pipeline::judge::Told;
use driftline_pipeline::snapshot::StoredReport;
use driftline_pipeline::{Event, ModelBytes, Pipeline, Read, Silences, TopicFacts};
use driftline_store::Store;
use driftline_world::World;
use fastrand::Rng;

use super::faults::{Befallen, Fault};
use super::process::{Extent, Outside, Process};
use super::scenario::Scenario;
use super::variants::world;

/// Lives of the process that a run may take.
const CRASHES: u32 = 8;
/// Steps that no run needs.
const STEPS: usize = 200_000;

/// Everything that a run comes to: what must not depend on how it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) reports: Reports,
    /// Positions, ledger and counts of each topic.
    pub(super) topics: Vec<(String, TopicFacts)>,
    /// Each model with its name, without the wall times at which it decided.
    pub(super) models: Vec<(String, ModelBytes)>,
    /// Ids and receivers of messages, and published reports.
    pub(super) messages: BTreeSet<String>,
    /// Retraining requests, as they are stored.
    pub(super) requests: BTreeMap<String, Vec<u8>>,
    /// Dead letters with their reasons.
    pub(super) letters: BTreeMap<(TopicPartition, i64), &'static str>,
}

/// The run that nothing disturbs: long chunks, partition after partition, everything at once.
pub(super) fn calm(scenario: &Scenario) -> Outcome {
    let world = world(scenario.variant);
    let mut outside = Outside::default();
    let mut process = Process::start(world, scenario, &outside);
    settle(&mut process, &mut outside);
    read_all(&mut process, &mut outside, &settle);
    finish(process, outside)
}

/// Reads everything, partition after partition, and does this after each step.
fn read_all<'a>(
    process: &mut Process<'a>,
    outside: &mut Outside,
    then: &dyn Fn(&mut Process<'a>, &mut Outside),
) {
    while !process.is_through() {
        let places: Vec<TopicPartition> = process.milestone().ends.keys().copied().collect();
        for place in process.open_places() {
            let end = process.milestone().ends[&place];
            if let Some(chunk) = process.read(place, Extent { back: 0, records: usize::MAX }, end) {
                process.feed(Event::Read(Read::Chunk(chunk)), outside);
                then(process, outside);
            }
        }
        process.pass(&places, outside);
        then(process, outside);
    }
}

/// Stored reports by model and start: bytes, and what the judgement knew.
pub(super) type Reports = BTreeMap<(String, i64), (String, String)>;

/// The calm run of which nothing is judged before every log was replaced and the process died. The windows had
/// closed: their reports are those of the calm run, and of the new logs nothing is read.
pub(super) fn replaced(scenario: &Scenario) -> (Reports, Befallen) {
    let world = world(scenario.variant);
    let mut outside = Outside::default();
    let mut process = Process::start(world, scenario, &outside);
    read_all(&mut process, &mut outside, &|_, _| {});
    for &at in scenario.logs.keys() {
        process.feed(Event::Read(Read::Recreated { at, offset: 0 }), &outside);
    }
    while !process.letters.is_empty() {
        process.letter_arrives(&mut outside, 0, true);
    }
    process.snapshot();
    process.release();
    process.committed(&mut outside);
    let mut befallen = Befallen::default();
    for document in outside.store.documents("model/").values() {
        let document: serde_json::Value = serde_json::from_slice(document).unwrap();
        let closing = document["closing"].as_array().unwrap().iter();
        let kept = closing.filter(|closing| closing["Window"]["ledger"].is_object());
        befallen.add(Fault::ReplacedLog, kept.count() as u64);
    }
    let mut process = process.again(&outside);
    process.feed(Event::Tick, &outside);
    settle(&mut process, &mut outside);
    (reports(&outside), befallen)
}

/// The run of the seed: any order, any size, any crash. A real store `beside` must hold the same after every
/// commit.
pub(super) fn disturbed(
    scenario: &Scenario,
    seed: u64,
    beside: Option<Store>,
) -> (Outcome, Befallen) {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let mut run = Run {
        world: world(scenario.variant),
        scenario,
        outside: Outside { beside, ..Outside::default() },
        crashes: 0,
        befallen: Befallen::default(),
        longest: [2, 10, 100][rng.usize(0..3)],
        danger: if rng.u32(0..5) == 0 { 0.0 } else { rng.f64() * 0.08 },
        eager: 1 + rng.u32(0..20),
        rng,
    };
    let mut process = Some(Process::start(run.world, scenario, &run.outside));
    for _ in 0..STEPS {
        let Some(mut living) = process.take() else { break };
        if living.is_through() && living.is_settled() {
            return (finish(living, run.outside), run.befallen);
        }
        let lives = run.step(&mut living);
        process = Some(if lives { living } else { run.next_life() });
    }
    panic!("the run comes to no end");
}

struct Run<'a> {
    world: &'static World,
    scenario: &'a Scenario,
    outside: Outside,
    crashes: u32,
    befallen: Befallen,
    rng: Rng,
    /// Records of the longest chunk.
    longest: usize,
    /// Chance of a crash at each step.
    danger: f64,
    /// How soon whatever is on its way arrives, against reading on.
    eager: u32,
}

impl<'a> Run<'a> {
    /// One thing happens, whatever it is. False where the process is dead.
    fn step(&mut self, process: &mut Process<'_>) -> bool {
        if process.pipeline.wants_snapshot() {
            process.snapshot();
        }
        process.release();
        self.befallen
            .note_if(!process.gate.is_empty() && process.writing.is_none(), Fault::AwaitedLetter);
        if self.crashes < CRASHES && self.rng.f64() < self.danger {
            self.crash(process);
            return false;
        }
        let eager = self.eager;
        match self.rng.u32(0..40 + 5 * eager) {
            0..30 => self.read(process),
            30..34 => self.redeliver(process),
            34..37 => process.feed(Event::Tick, &self.outside),
            37..40 => process.snapshot(),
            n if n < 40 + eager => process.judged(&self.outside),
            n if n < 40 + 2 * eager => return self.commit(process),
            n if n < 40 + 3 * eager => {
                let heard = self.rng.u32(0..8) > 0;
                let arrives = !process.delivering.is_empty();
                self.befallen.note_if(arrives && !heard, Fault::UnheardArrival);
                process.delivered(&mut self.outside, heard);
            }
            _ => {
                let nth = self.rng.usize(0..process.letters.len().max(1));
                let heard = self.rng.u32(0..8) > 0;
                process.letter_arrives(&mut self.outside, nth, heard);
            }
        }
        true
    }

    /// A chunk of some partition, or the next milestone where all have been read.
    fn read(&mut self, process: &mut Process<'_>) {
        if process.is_through() {
            // Nobody reads on: the regular snapshot takes the rest along.
            process.snapshot();
            return;
        }
        let open = process.open_places();
        if open.is_empty() {
            let mut places: Vec<TopicPartition> =
                process.milestone().ends.keys().copied().collect();
            self.rng.shuffle(&mut places);
            process.pass(&places, &self.outside);
            return;
        }
        let place = open[self.rng.usize(0..open.len())];
        let records = self.rng.usize(1..=self.longest);
        self.chunk(process, place, Extent { back: 0, records });
    }

    /// Records that were counted come again, with or without some that were not.
    fn redeliver(&mut self, process: &mut Process<'_>) {
        if process.is_through() {
            return;
        }
        let places: Vec<TopicPartition> = process.milestone().ends.keys().copied().collect();
        let place = places[self.rng.usize(0..places.len())];
        let extent = Extent { back: self.rng.usize(1..10), records: self.rng.usize(0..4) };
        self.chunk(process, place, extent);
    }

    fn chunk(&mut self, process: &mut Process<'_>, place: TopicPartition, extent: Extent) {
        let end = process.milestone().ends[&place];
        let position = process.position(place);
        if let Some(chunk) = process.read(place, extent, end) {
            self.befallen.note_if(chunk.from < position, Fault::Redelivery);
            process.feed(Event::Read(Read::Chunk(chunk)), &self.outside);
        }
    }

    /// The commit on its way ends: well, or with an error, which ends the process.
    fn commit(&mut self, process: &mut Process<'_>) -> bool {
        let fails = self.crashes < CRASHES && self.rng.f64() < self.danger;
        if process.writing.is_some() && fails {
            self.befallen.note(Fault::FailedCommit);
            process.writing = None;
            self.crash(process);
            return false;
        }
        process.committed(&mut self.outside);
        true
    }

    /// The process dies. What was on its way may have arrived.
    fn crash(&mut self, process: &mut Process<'_>) {
        self.crashes += 1;
        self.befallen.note(Fault::Crash);
        self.befallen.note_if(!process.judging.is_empty(), Fault::DeathBeforeJudgement);
        if let Some(snapshot) = process.writing.take()
            && self.rng.bool()
        {
            self.befallen.note(Fault::LostCommit);
            self.outside.commit(&snapshot);
        }
        for nth in 0..process.letters.len() {
            if self.rng.bool() {
                process.letter_arrives(&mut self.outside, nth, false);
            }
        }
        if self.rng.bool() {
            process.delivered(&mut self.outside, false);
        }
    }

    /// Something in the store changes while nobody runs: a start notices it, or finds what was written. What was
    /// written is put back.
    fn damage(&mut self) {
        if self.rng.u32(0..4) > 0 {
            return;
        }
        match self.outside.store.load_damaged(&mut self.rng) {
            None => self.befallen.note(Fault::DamagedStore),
            Some(found) => {
                let written = self.outside.store.load();
                assert!(
                    (&found.documents, &found.windows, &found.named)
                        == (&written.documents, &written.windows, &written.named),
                    "a damaged store is believed"
                );
            }
        }
    }

    /// A new process starts, and may die before it has done anything.
    fn next_life(&mut self) -> Process<'a> {
        self.damage();
        let mut process = Process::start(self.world, self.scenario, &self.outside);
        while self.crashes < CRASHES && self.rng.u32(0..6) == 0 {
            self.crash(&mut process);
            process = Process::start(self.world, self.scenario, &self.outside);
        }
        process
    }
}

/// Lets everything that is on its way arrive, and commits.
fn settle(process: &mut Process<'_>, outside: &mut Outside) {
    loop {
        while !process.judging.is_empty() {
            process.judged(outside);
        }
        while !process.letters.is_empty() {
            process.letter_arrives(outside, 0, true);
        }
        while !process.delivering.is_empty() {
            process.delivered(outside, true);
        }
        process.snapshot();
        process.release();
        if process.writing.is_none() {
            return;
        }
        process.committed(outside);
    }
}

/// What the run came to, as a process finds it that starts from the store.
fn finish(process: Process<'_>, outside: Outside) -> Outcome {
    let restored = process.again(&outside);
    let models = models(&restored.pipeline);
    let held = self::models(&process.pipeline);
    assert!(models == held, "the store holds {models:?}, the process held {held:?}");
    let topics = restored.pipeline.topics();
    Outcome {
        reports: reports(&outside),
        topics: topics.map(|(_, name, facts)| (name.to_owned(), facts.clone())).collect(),
        models,
        requests: outside.store.documents("retrain/"),
        messages: outside.messages,
        letters: outside.letters,
    }
}

fn reports(outside: &Outside) -> Reports {
    let stored = outside.store.reports();
    for ((model, start_us), kept) in stored {
        let told: Told = serde_json::from_str(&kept.history).unwrap();
        let merged = told.newest.starts_us.iter().map(|start| stored.get(&(model.clone(), *start)));
        let missing = merged.filter(|of| of.and_then(StoredReport::coarse_bytes).is_none()).count();
        assert_eq!(missing, 0, "{model} {start_us}: windows it was merged with cannot be read");
    }
    let known = |kept: &StoredReport| format!("{} {}", kept.history, kept.coarse);
    stored.iter().map(|(key, kept)| (key.clone(), (kept.report.clone(), known(kept)))).collect()
}

/// Each model without what may depend on how it was read: wall times, and the order of what is looked up.
fn models(pipeline: &Pipeline) -> Vec<(String, ModelBytes)> {
    let models = pipeline.models().map(|model| {
        let mut bytes = model.bytes();
        // Looked up by partition and offset; their order is that of reading.
        let strips = &mut bytes.decided.strips;
        strips.sort_by_key(|strip| (strip.partition, strip.offset));
        strips.dedup();
        let decided = &mut bytes.decided;
        decided.sent = Sent::default();
        decided.silences = Silences::default();
        // Those older than all that is remembered go at the next decision.
        let oldest_us = decided.past.front().map_or(i64::MIN, |first| first.closed.start_us);
        decided.late_rows.retain(|row| row.time_us >= oldest_us);
        let late_rows = decided.late_rows.make_contiguous();
        late_rows.sort_unstable_by_key(|row| (row.partition, row.offset));
        for logged in &mut decided.transitions {
            logged.wall_us = 0;
        }
        (model.name().to_owned(), bytes)
    });
    models.collect()
}
