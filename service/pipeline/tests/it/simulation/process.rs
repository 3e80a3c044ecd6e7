//! One life of the process: the pipeline, what is on its way around it, and what it left outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use driftline_capture::{Chunk, MarkKind};
use driftline_config::time::{ClockReading, parse_instant_us};
use driftline_config::{TopicId, TopicPartition, WindowId};
use driftline_formats::Decoder;
use driftline_pipeline::gate::Gate;
use driftline_pipeline::judge::{Job, decide};
use driftline_pipeline::snapshot::{Committed, DocumentKey, OutboxBody, OutboxItem, Snapshot};
use driftline_pipeline::{Effect, Event, ModelView, Pipeline, Read};
use driftline_store::Store;
use driftline_world::{Stretch, World};

use super::scenario::{Log, Milestone, Scenario, WALL_US};
use super::store::MemoryStore;
use super::variants::IDLE_US;

/// Everything that outlives a process.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) store: MemoryStore,
    /// A real store that gets every snapshot as well, and must then hold the same.
    pub(super) beside: Option<Store>,
    /// Dead letters that have arrived, with their reasons.
    pub(super) letters: BTreeMap<(TopicPartition, i64), &'static str>,
    /// Messages that have arrived, by their id and receiver.
    pub(super) messages: BTreeSet<String>,
    /// Offsets that lag tools were told.
    pub(super) told: BTreeMap<TopicPartition, i64>,
}

impl Outside {
    /// A snapshot becomes durable.
    pub(super) fn commit(&mut self, snapshot: &Snapshot) -> Committed {
        let committed = self.store.commit(snapshot);
        if let Some(real) = &self.beside {
            assert_eq!(real.commit(snapshot).unwrap(), committed.sizes);
            let (found, wanted) = (self.store.load(), real.load(&|_| false).unwrap());
            assert_eq!(found.documents, wanted.documents);
            assert_eq!(found.windows, wanted.windows);
            assert_eq!(found.named, wanted.named);
            assert_eq!(found.outbox, wanted.outbox);
            for ((model, start_us), report) in self.store.reports() {
                assert_eq!(real.report(model, *start_us).unwrap().as_ref(), Some(report));
            }
        }
        committed
    }
}

/// How much of a partition is read at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Records before the position that come again.
    pub(super) back: usize,
    /// Records behind it, at most.
    pub(super) records: usize,
}

/// A running process.
pub(super) struct Process<'a> {
    world: &'a World,
    scenario: &'a Scenario,
    pub(super) pipeline: Pipeline,
    pub(super) gate: Gate,
    pub(super) writing: Option<Snapshot>,
    pub(super) judging: VecDeque<Box<Job>>,
    /// Messages that are on their way and not done.
    pub(super) delivering: VecDeque<OutboxItem>,
    /// Dead letters that are on their way.
    pub(super) letters: BTreeMap<(TopicPartition, i64), &'static str>,
    decoders: BTreeMap<TopicPartition, Decoder>,
    /// Milestones that this life has left behind.
    passed: usize,
    /// What would be shown of each model.
    shown: Vec<Figures>,
    /// What its steady clock says: it goes on only where partitions are to be quiet.
    steady_us: i64,
}

/// What overviews show of a model, in numbers, and how often it counted a change.
#[derive(Debug, PartialEq)]
struct Figures {
    revision: u64,
    open_windows: usize,
    newest_us: Option<i64>,
    rows: [u64; 3],
    last_event_us: Option<i64>,
    incidents: [usize; 2],
    transitions: usize,
    window: Option<WindowId>,
    pane_us: Option<i64>,
}

impl Figures {
    fn of(model: ModelView<'_>) -> Figures {
        let (lanes, counted, decided) = (model.lanes(), model.counted(), model.decided());
        let accepted = decided.alerts.incidents().filter(|open| open.accepted.is_some());
        Figures {
            revision: model.revision(),
            open_windows: lanes.drift.open_windows(),
            newest_us: model.newest_us(),
            rows: [counted.counted, counted.late, counted.ahead],
            last_event_us: counted.last_event_us,
            incidents: [decided.alerts.incidents().count(), accepted.count()],
            transitions: decided.transitions.len(),
            window: decided.last_window.as_ref().map(|window| window.id.clone()),
            pane_us: decided.last_pane.as_ref().map(|pane| pane.start_us),
        }
    }
}

impl<'a> Process<'a> {
    /// Starts from what the store holds.
    pub(super) fn start(
        world: &'a World,
        scenario: &'a Scenario,
        outside: &Outside,
    ) -> Process<'a> {
        let mut process = Process {
            world,
            scenario,
            pipeline: world.pipeline(),
            gate: Gate::default(),
            writing: None,
            judging: VecDeque::new(),
            delivering: VecDeque::new(),
            letters: BTreeMap::new(),
            decoders: BTreeMap::new(),
            passed: 0,
            shown: Vec::new(),
            steady_us: 0,
        };
        let saved = outside.store.load();
        let effects = process.pipeline.restore(&saved, &world.config.limits).unwrap();
        for (place, told) in &outside.told {
            assert!(*told <= process.position(*place), "others were told of more than is stored");
        }
        process.carry_out(effects, outside);
        process.passed = process.stage();
        process.partitions(outside);
        // What waits is looked at from the start on: silence counts from then.
        process.feed(Event::Tick, outside);
        process
    }

    /// The process that would follow this one.
    pub(super) fn again(&self, outside: &Outside) -> Process<'a> {
        Process::start(self.world, self.scenario, outside)
    }

    /// The wall clock lies beyond the whole log: the log alone decides what is passed.
    fn now(&self) -> ClockReading {
        ClockReading { steady_us: self.steady_us, wall_us: WALL_US }
    }

    /// The readers tell how many partitions there are.
    fn partitions(&mut self, outside: &Outside) {
        for (topic, count) in (0..).map(TopicId).zip(&self.milestone().partitions) {
            let event = Read::Partitions { topic, count: *count };
            self.feed(Event::Read(event), outside);
        }
    }

    /// Handles an event and carries out what follows from it.
    pub(super) fn feed(&mut self, event: Event, outside: &Outside) {
        let effects = self.pipeline.handle(event, self.now());
        self.hold_to_counts_of_changes();
        let (counted, anew) = self.pipeline.unreported();
        assert_eq!(self.pipeline.take_defects(), 0, "something named what is not there");
        assert_eq!(counted, anew, "windows that closed and are not in the store");
        self.carry_out(effects, outside);
    }

    /// A model that has not counted a change is not shown anew, so nothing of it may have changed.
    fn hold_to_counts_of_changes(&mut self) {
        let now: Vec<Figures> = self.pipeline.models().map(Figures::of).collect();
        for (before, now) in self.shown.iter().zip(&now) {
            assert!(
                before.revision != now.revision || before == now,
                "a change that was not counted"
            );
        }
        self.shown = now;
    }

    /// Nothing may be seen outside that the store does not hold.
    fn carry_out(&mut self, effects: Vec<Effect>, outside: &Outside) {
        for effect in effects {
            match effect {
                Effect::Judge(job) => self.judging.push_back(job),
                Effect::Deliver(item) => {
                    let stored = outside.store.message(item.sequence);
                    assert_eq!(stored, Some(&item), "a message leaves before it is stored");
                    self.delivering.push_back(item);
                }
                Effect::Published(report) => {
                    let start_us = parse_instant_us(&report.window.start);
                    let key = (report.model.clone(), start_us.unwrap());
                    let stored = outside.store.reports().get(&key);
                    let stored = stored.map(|stored| stored.report.as_str());
                    let json = report.to_json();
                    assert_eq!(stored, Some(&*json), "a report is shown before it is stored");
                }
                Effect::Requested(request) => {
                    let key = DocumentKey::Retrain(request.data.retrain_id.clone()).to_string();
                    let stored = outside.store.documents(&key);
                    assert!(!stored.is_empty(), "{key} is shown before it is stored");
                }
                // Nobody scores here, and readers are never too far ahead.
                _ => {}
            }
        }
    }

    /// Where reading of a partition stands.
    pub(super) fn position(&self, place: TopicPartition) -> i64 {
        let facts = self.pipeline.topic(place.topic).unwrap();
        let reached = facts.partitions.get(&place.partition);
        reached.map_or(self.log(place).first, |reached| reached.position)
    }

    /// The first milestone that the restored positions have not left behind: one that they stand at may
    /// not have been told to anybody, so it comes again.
    fn stage(&self) -> usize {
        let not_passed = self.scenario.milestones.iter().position(|milestone| {
            let all = milestone.ends.iter().all(|(place, end)| self.position(*place) >= *end);
            let mut places = self.scenario.logs.iter();
            let beyond = places.any(|(place, log)| {
                // A partition that came later has not been read at all at this milestone.
                self.position(*place) > milestone.ends.get(place).copied().unwrap_or(log.first)
            });
            !(all && beyond)
        });
        not_passed.unwrap_or(self.scenario.milestones.len() - 1)
    }

    /// The milestone that is being read to.
    pub(super) fn milestone(&self) -> &'a Milestone {
        &self.scenario.milestones[self.passed.min(self.scenario.milestones.len() - 1)]
    }

    /// Whether the last milestone is behind.
    pub(super) fn is_through(&self) -> bool {
        self.passed == self.scenario.milestones.len()
    }

    /// Partitions that have not been read to the milestone.
    pub(super) fn open_places(&self) -> Vec<TopicPartition> {
        let ends = self.milestone().ends.iter();
        ends.filter(|(place, end)| self.position(**place) < **end)
            .map(|(place, _)| *place)
            .collect()
    }

    /// Everything has been read up to the milestone: the ends are told in this order, the clock speaks
    /// where it does, and reading goes on.
    pub(super) fn pass(&mut self, order: &[TopicPartition], outside: &Outside) {
        // A window that is carried on waits anew from then on.
        for _ in 0..2 {
            if self.milestone().quiet {
                self.steady_us += 2 * IDLE_US;
            }
            self.ends(order, outside);
            self.feed(Event::Tick, outside);
        }
        self.passed += 1;
        if !self.is_through() {
            self.partitions(outside);
        }
    }

    fn log(&self, place: TopicPartition) -> &'a Log {
        &self.scenario.logs[&place]
    }

    /// Reads on in a partition, not beyond `end`. Dead letters leave as the readers send them.
    pub(super) fn read(
        &mut self,
        place: TopicPartition,
        extent: Extent,
        end: i64,
    ) -> Option<Chunk> {
        let log = self.log(place);
        let position = self.position(place);
        let at = log.entries.partition_point(|(entry, _)| entry.offset < position);
        let first = at.saturating_sub(extent.back);
        let from = if first < at { log.entries[first].0.offset } else { position };
        let last = log.entries.len().min(at.saturating_add(extent.records));
        let to = log.entries.get(last).map_or(end, |(entry, _)| entry.offset.min(end));
        let world = self.world;
        let decoder = self.decoders.entry(place).or_insert_with(|| world.decoder(place.topic));
        let producer_timestamps = self.scenario.producers[place.topic.0];
        let entries = log.entries[first..last].iter().map(|(entry, _)| entry);
        let chunk = Stretch { at: place, from, to, producer_timestamps }
            .decode(decoder, entries.take_while(|entry| entry.offset < end));
        for mark in &chunk.marks {
            if let MarkKind::Rejected(reason) = mark.kind {
                self.letters.insert((place, mark.offset), reason.as_str());
            }
        }
        (chunk.from < chunk.to).then_some(chunk)
    }

    /// Takes a snapshot where none is on its way.
    pub(super) fn snapshot(&mut self) {
        if !self.gate.is_empty() || self.writing.is_some() {
            return;
        }
        if let Some(snapshot) = self.pipeline.snapshot() {
            self.gate.hold(snapshot, self.pipeline.positions());
        }
    }

    /// Writes the snapshot that waits, where its dead letters have arrived.
    pub(super) fn release(&mut self) {
        if self.writing.is_none() {
            let letters = &self.letters;
            let lowest = |place| {
                let of_place = letters.range((place, i64::MIN)..=(place, i64::MAX)).next();
                of_place.map(|((_, offset), _)| *offset)
            };
            self.writing = self.gate.release(&lowest);
        }
    }

    /// The commit on its way ends well.
    pub(super) fn committed(&mut self, outside: &mut Outside) {
        if let Some(snapshot) = self.writing.take() {
            let committed = outside.commit(&snapshot);
            for (place, position) in self.gate.released() {
                outside.told.insert(*place, *position);
            }
            self.feed(Event::Committed(committed), outside);
        }
    }

    /// The judge is done with the window that has waited longest.
    pub(super) fn judged(&mut self, outside: &Outside) {
        if let Some(job) = self.judging.pop_front() {
            self.feed(Event::Judged(Box::new(decide(&job))), outside);
        }
    }

    /// The message that has waited longest arrives; `heard` says whether we learn of it.
    pub(super) fn delivered(&mut self, outside: &mut Outside, heard: bool) {
        let Some(item) = self.delivering.front() else { return };
        outside.messages.insert(match &item.body {
            OutboxBody::Message(row) => format!("{} to {}", row.id, row.receiver),
            OutboxBody::Report { key, value } => format!("report of {key}: {value}"),
        });
        if heard && let Some(OutboxItem { sequence, .. }) = self.delivering.pop_front() {
            self.feed(Event::Done { sequence }, outside);
        }
    }

    /// The dead letter that was sent first in some partition arrives; `heard` as for messages.
    pub(super) fn letter_arrives(&mut self, outside: &mut Outside, nth: usize, heard: bool) {
        let Some((key, reason)) = self.letters.iter().nth(nth).map(|(key, r)| (*key, *r)) else {
            return;
        };
        let before = outside.letters.insert(key, reason);
        assert!(before.is_none_or(|before| before == reason), "a dead letter changed its reason");
        if heard {
            self.letters.remove(&key);
        }
    }

    /// The end of every partition is reached.
    pub(super) fn ends(&mut self, places: &[TopicPartition], outside: &Outside) {
        for &at in places {
            let offset = self.position(at);
            let end = Read::EndOfPartition { at, offset, sampled: Some(self.now()) };
            self.feed(Event::Read(end), outside);
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.gate.is_empty()
            && self.writing.is_none()
            && self.pipeline.is_settled()
            && self.delivering.is_empty()
            && self.letters.is_empty()
    }
}
