//! Runs a scenario: once without any fault, once with every fault that its seed draws.

use std::collections::{BTreeMap, BTreeSet};

use driftline_alerting::repeat::Sent;
use driftline_analytics::lane::Lane;
use driftline_ingest::Event as Read;
use fastrand::Rng;

use super::process::{Outside, Process};
use super::scenario::{Place, Scenario};
use super::world::{T0, World, world};
use crate::checkpoint::{LaneKind, Store};
use crate::pipeline::topic::TopicFacts;
use crate::pipeline::{Event, Pipeline};

/// Lives of the process that a run may take.
const CRASHES: u32 = 8;
/// Steps that no run needs.
const STEPS: usize = 200_000;

/// Everything that a run comes to: what must not depend on how it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// Stored reports by model and start: bytes, and what the judgement knew.
    pub(super) reports: BTreeMap<(String, i64), (String, String)>,
    /// Positions, ledger and counts of each topic.
    pub(super) topics: Vec<(String, TopicFacts)>,
    pub(super) models: BTreeMap<String, Model>,
    /// Ids and receivers of messages, and published reports.
    pub(super) messages: BTreeSet<String>,
    /// Retraining requests, as they are stored.
    pub(super) requests: BTreeMap<String, Vec<u8>>,
    /// Dead letters with their reasons.
    pub(super) letters: BTreeMap<(Place, i64), &'static str>,
}

/// One model at the end of a run.
#[derive(Debug, PartialEq)]
pub(super) struct Model {
    pub(super) drift: Lane,
    pub(super) operations: Lane,
    /// Counts, incidents, transitions, history: as JSON.
    pub(super) facts: String,
    /// Open windows and panes as they are encoded.
    pub(super) open: BTreeMap<(LaneKind, i64), Vec<u8>>,
}

/// What befell a run.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Troubles {
    pub(super) crashes: u32,
    pub(super) lost_commits: u32,
    pub(super) failed_commits: u32,
    pub(super) redelivered: u32,
}

/// The run that nothing disturbs: long chunks, partition after partition, everything at once.
pub(super) fn calm(scenario: &Scenario) -> Outcome {
    let world = world(scenario.variant);
    let mut outside = Outside::default();
    let mut process = Process::start(world, scenario, &outside, T0);
    settle(&mut process, &mut outside);
    while !process.is_through() {
        let places: Vec<Place> = process.milestone().ends.keys().copied().collect();
        for place in process.open_places() {
            let end = process.milestone().ends[&place];
            if let Some(chunk) = process.read(place, (0, usize::MAX), end) {
                process.feed(Event::Read(Read::Chunk(chunk)), &outside, T0);
                settle(&mut process, &mut outside);
            }
        }
        process.pass(&places, &outside, T0);
        settle(&mut process, &mut outside);
    }
    finish(process, outside)
}

/// The run of the seed: any order, any size, any crash.
pub(super) fn disturbed(scenario: &Scenario, seed: u64) -> (Outcome, Troubles) {
    disturbed_beside(scenario, seed, None)
}

/// The same, with a real store that must hold the same after every commit.
pub(super) fn disturbed_beside(
    scenario: &Scenario,
    seed: u64,
    beside: Option<Store>,
) -> (Outcome, Troubles) {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let mut run = Run {
        world: world(scenario.variant),
        scenario,
        outside: Outside { beside, ..Outside::default() },
        troubles: Troubles::default(),
        longest: [2, 10, 100][rng.usize(0..3)],
        danger: if rng.u32(0..5) == 0 { 0.0 } else { rng.f64() * 0.08 },
        eager: 1 + rng.u32(0..20),
        rng,
    };
    let mut process = Some(Process::start(run.world, scenario, &run.outside, T0));
    for _ in 0..STEPS {
        let Some(mut living) = process.take() else { break };
        if living.is_through() && living.is_settled() {
            return (finish(living, run.outside), run.troubles);
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
    troubles: Troubles,
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
        if self.troubles.crashes < CRASHES && self.rng.f64() < self.danger {
            self.crash(process);
            return false;
        }
        let eager = self.eager;
        match self.rng.u32(0..40 + 5 * eager) {
            0..30 => self.read(process),
            30..34 => self.redeliver(process),
            34..37 => process.feed(Event::Tick, &self.outside, T0),
            37..40 => process.snapshot(),
            n if n < 40 + eager => process.judged(&self.outside, T0),
            n if n < 40 + 2 * eager => return self.commit(process),
            n if n < 40 + 3 * eager => {
                let heard = self.rng.u32(0..8) > 0;
                process.delivered(&mut self.outside, heard, T0);
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
            let mut places: Vec<Place> = process.milestone().ends.keys().copied().collect();
            self.rng.shuffle(&mut places);
            process.pass(&places, &self.outside, T0);
            return;
        }
        let place = open[self.rng.usize(0..open.len())];
        let records = self.rng.usize(1..=self.longest);
        self.chunk(process, place, (0, records));
    }

    /// Records that were counted come again, with or without some that were not.
    fn redeliver(&mut self, process: &mut Process<'_>) {
        if process.is_through() {
            return;
        }
        let places: Vec<Place> = process.milestone().ends.keys().copied().collect();
        let place = places[self.rng.usize(0..places.len())];
        let (back, records) = (self.rng.usize(1..10), self.rng.usize(0..4));
        self.troubles.redelivered += 1;
        self.chunk(process, place, (back, records));
    }

    fn chunk(&mut self, process: &mut Process<'_>, place: Place, (back, records): (usize, usize)) {
        let end = process.milestone().ends[&place];
        if let Some(chunk) = process.read(place, (back, records), end) {
            process.feed(Event::Read(Read::Chunk(chunk)), &self.outside, T0);
        }
    }

    /// The commit on its way ends: well, or with an error, which ends the process.
    fn commit(&mut self, process: &mut Process<'_>) -> bool {
        let fails = self.troubles.crashes < CRASHES && self.rng.f64() < self.danger;
        if process.writing.is_some() && fails {
            self.troubles.failed_commits += 1;
            process.writing = None;
            self.crash(process);
            return false;
        }
        process.committed(&mut self.outside, T0);
        true
    }

    /// The process dies. What was on its way may have arrived.
    fn crash(&mut self, process: &mut Process<'_>) {
        self.troubles.crashes += 1;
        if let Some(snapshot) = process.writing.take()
            && self.rng.bool()
        {
            self.troubles.lost_commits += 1;
            self.outside.commit(&snapshot);
        }
        for nth in 0..process.letters.len() {
            if self.rng.bool() {
                process.letter_arrives(&mut self.outside, nth, false);
            }
        }
        if self.rng.bool() {
            process.delivered(&mut self.outside, false, T0);
        }
    }

    /// A new process starts, and may die before it has done anything.
    fn next_life(&mut self) -> Process<'a> {
        let mut process = Process::start(self.world, self.scenario, &self.outside, T0);
        while self.troubles.crashes < CRASHES && self.rng.u32(0..6) == 0 {
            self.crash(&mut process);
            process = Process::start(self.world, self.scenario, &self.outside, T0);
        }
        process
    }
}

/// Lets everything that is on its way arrive, and commits.
fn settle(process: &mut Process<'_>, outside: &mut Outside) {
    loop {
        while !process.judging.is_empty() {
            process.judged(outside, T0);
        }
        while !process.letters.is_empty() {
            process.letter_arrives(outside, 0, true);
        }
        while !process.delivering.is_empty() {
            process.delivered(outside, true, T0);
        }
        process.snapshot();
        process.release();
        if process.writing.is_none() {
            return;
        }
        process.committed(outside, T0);
    }
}

/// What the run came to, as a process finds it that starts from the store.
fn finish(process: Process<'_>, outside: Outside) -> Outcome {
    let restored = process.again(&outside, T0);
    let models = models(&restored.pipeline);
    assert_eq!(models, self::models(&process.pipeline), "the store holds what the process held");
    let topics = restored.pipeline.topics();
    let stored = outside.store.reports().iter();
    Outcome {
        reports: stored
            .map(|(key, kept)| (key.clone(), (kept.report.clone(), kept.history.clone())))
            .collect(),
        topics: topics.map(|(name, facts)| (name.to_owned(), facts.clone())).collect(),
        models,
        requests: outside.store.documents("retrain/"),
        messages: outside.messages,
        letters: outside.letters,
    }
}

/// Each model without the wall times at which it decided.
fn models(pipeline: &Pipeline) -> BTreeMap<String, Model> {
    let models = pipeline.units().iter().map(|unit| {
        let mut facts = unit.facts.clone();
        facts.sent = Sent::default();
        // Looked up by partition and offset; their order is that of reading.
        facts.strips.sort_by_key(|strip| (strip.partition, strip.offset));
        facts.strips.dedup();
        // Those older than all that is remembered go at the next decision.
        let oldest_us = facts.past.front().map_or(i64::MIN, |first| first.closed.start_us);
        facts.late_rows.retain(|row| row.time_us >= oldest_us);
        let late_rows = facts.late_rows.make_contiguous();
        late_rows.sort_unstable_by_key(|row| (row.partition, row.offset));
        for logged in &mut facts.transitions {
            logged.wall_us = 0;
        }
        let mut open = BTreeMap::new();
        for (start_us, window) in &unit.windows {
            let mut state = window.counted.clone();
            state.merge(&window.setup.layout, &window.fresh);
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            open.insert((LaneKind::Drift, *start_us), bytes);
        }
        for (start_us, pane) in &unit.panes {
            let mut bytes = Vec::new();
            pane.counted.encode(&mut bytes);
            open.insert((LaneKind::Operations, *start_us), bytes);
        }
        let model = Model {
            drift: unit.drift.clone(),
            operations: unit.operations.clone(),
            facts: serde_json::to_string(&facts).unwrap(),
            open,
        };
        (unit.name().to_owned(), model)
    });
    models.collect()
}
