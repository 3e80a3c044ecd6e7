//! Requests and responses that are records of their own: whatever the order of reading and whenever the process
//! ends, the same rows, and each half is accounted for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};
use driftline_config::{Partition, TopicId};
use driftline_pipeline::judge::{Job, decide};
use driftline_pipeline::snapshot::Committed;
use driftline_pipeline::{Effect, Event, Pipeline, Read};
use driftline_store::Store;
use driftline_world::{LATER, Log, T0, World, baseline};
use serde_json::Value;

const PARTITIONS: i32 = 6;
const WITHIN_US: i64 = MINUTE_US;
const CONFIG: &str = r#"
state: state
kafka: {bootstrap: "localhost:1"}
models:
  - name: m
    baseline: baseline.json
    window: {every: 1h, lateness: 5m, idle: off, at_least: 1}
    operations: {every: 1m, lateness: 2m}
    captures:
      topic: t
      format: json
      map:
        id: /id
        ts: {at: /time, unit: us}
        status: /status
        features: /in
        predictions: /out
        pair: {key: /id, side: /side, within: 60s}
"#;

/// What the log holds, as whoever wrote it knows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Truth {
    paired: u64,
    response_missing: u64,
    request_missing: u64,
}

struct Written {
    log: Log,
    /// By the start of the window.
    truth: BTreeMap<i64, Truth>,
}

/// So many requests, a few hundred a minute, each half on any partition up to two minutes late; of one in a hundred
/// a half is missing, and one answer in a hundred comes after more than a minute.
fn written(requests: i64, seed: u64) -> Written {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut records: Vec<(i64, i32, String, i64)> = Vec::new();
    let mut truth: BTreeMap<i64, Truth> = BTreeMap::new();
    let window = |time_us: i64| (time_us - T0).div_euclid(HOUR_US) * HOUR_US + T0;
    for index in 0..requests {
        let asked_us = T0 + index * SECOND_US / 5;
        let slow = dice.u32(..100) == 0;
        let answered_us = asked_us
            + if slow { WITHIN_US + dice.i64(1..SECOND_US) } else { dice.i64(0..=WITHIN_US) };
        let missing = dice.u32(..200);
        let request = format!(
            r#"{{"side":"request","id":"r{index}","time":{asked_us},"in":{{"x":{},"kind":"k{}"}}}}"#,
            dice.f64(),
            dice.u32(..4)
        );
        let response = format!(
            r#"{{"side":"response","id":"r{index}","time":{answered_us},"status":200,"out":{{"score":{}}}}}"#,
            dice.f64()
        );
        let mut write = |text: String, time_us: i64| {
            let delay_us = dice.i64(0..2 * MINUTE_US);
            records.push((time_us + delay_us, dice.i32(0..PARTITIONS), text, time_us));
        };
        let has_request = missing != 0;
        let has_response = missing != 1;
        if has_request {
            write(request, asked_us);
        }
        if has_response {
            write(response, answered_us);
        }
        let of = |time_us: i64, truth: &mut BTreeMap<i64, Truth>, add: fn(&mut Truth)| {
            add(truth.entry(window(time_us)).or_default());
        };
        match (has_request, has_response && !slow) {
            (true, true) => of(asked_us, &mut truth, |truth| truth.paired += 1),
            (true, false) => of(asked_us, &mut truth, |truth| truth.response_missing += 1),
            (false, _) => {}
        }
        if has_response && (slow || !has_request) {
            of(answered_us, &mut truth, |truth| truth.request_missing += 1);
        }
    }
    records.sort();
    let mut log = Log::new(PARTITIONS);
    for (at_us, partition, text, _) in records {
        log.push(partition, text, at_us);
    }
    Written { log, truth }
}

/// A process that reads a log in some order, and ends now and then.
struct Life<'a> {
    world: &'a World,
    log: &'a Log,
    pipeline: Pipeline,
    store: Store,
    judging: Vec<Job>,
    reports: BTreeMap<String, String>,
}

impl Life<'_> {
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.pipeline.handle(event, LATER) {
                match effect {
                    Effect::Judge(job) => self.judging.push(*job),
                    Effect::Published(report) => {
                        self.reports.insert(report.window.start.clone(), report.to_json());
                    }
                    _ => {}
                }
            }
        }
    }

    fn settle(&mut self) {
        while !self.judging.is_empty() {
            for job in std::mem::take(&mut self.judging) {
                self.feed(Event::Judged(Box::new(decide(&job))));
            }
        }
    }

    fn commit(&mut self) {
        while let Some(snapshot) = self.pipeline.snapshot() {
            let sizes = self.store.commit(&snapshot).unwrap();
            self.feed(Event::Committed(Committed { epoch: snapshot.epoch, sizes }));
        }
    }

    /// The process ends: what was not committed is lost.
    fn begin_anew(&mut self) {
        self.pipeline = self.world.pipeline_over(PARTITIONS);
        self.judging.clear();
        let saved = self.store.load(&|_| false).unwrap();
        self.pipeline.restore(&saved, &self.world.config.limits).unwrap();
        self.feed(Event::Tick);
    }

    fn position(&self, partition: i32) -> usize {
        let position = self.pipeline.topic(TopicId(0)).unwrap().position(Partition(partition));
        usize::try_from(position).unwrap()
    }
}

/// The reports of a run by the start of their windows, and the ledger in the end.
fn run(world: &World, log: &Log, seed: u64, kills: bool) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Duration::ZERO, false).unwrap();
    let pipeline = world.pipeline_over(PARTITIONS);
    let mut life =
        Life { world, log, pipeline, store, judging: Vec::new(), reports: BTreeMap::new() };
    let mut dice = fastrand::Rng::with_seed(seed);
    loop {
        let open: Vec<i32> = (0..PARTITIONS)
            .filter(|partition| life.position(*partition) < life.log.len(*partition))
            .collect();
        let Some(&partition) = open.get(dice.usize(..open.len().max(1))) else { break };
        let from = life.position(partition);
        let to = (from + dice.usize(1..400)).min(life.log.len(partition));
        let chunk = life.world.chunk(life.log, partition, from, to);
        life.feed(Event::Read(Read::Chunk(chunk)));
        if dice.u32(..3) == 0 {
            life.settle();
        }
        if dice.u32(..20) == 0 {
            life.commit();
        }
        if kills && dice.u32(..40) == 0 {
            life.begin_anew();
        }
    }
    life.settle();
    life.feed(Event::Tick);
    life.settle();
    life.commit();
    let total = life.pipeline.topic(TopicId(0)).unwrap().ledger.total();
    assert_eq!(total.imbalance(), 0);
    assert_eq!(total.read, life.log.total() as u64);
    assert_eq!((total.late, total.ahead, total.rejected, total.skipped), (0, 0, 0, 0));
    life.reports
}

fn check(requests: i64, runs: u64) {
    let world = World::new(CONFIG, &baseline(500, 64));
    for seed in 0..runs {
        let Written { log, truth } = written(requests, seed);
        let expected = run(&world, &log, 1000 + seed, false);
        assert!(expected.len() as i64 >= requests / 18_000 - 1, "{} reports", expected.len());
        for (start, report) in &expected {
            let report: Value = serde_json::from_str(report).unwrap();
            let start_us = driftline_config::time::parse_instant_us(start).unwrap();
            let pairs = &report["window"]["pairs"];
            let found = Truth {
                paired: pairs["paired"].as_u64().unwrap(),
                response_missing: pairs["response_missing"].as_u64().unwrap(),
                request_missing: pairs["request_missing"].as_u64().unwrap(),
            };
            assert_eq!(found, truth[&start_us], "seed {seed}, {start}");
            let rows = report["window"]["rows"].as_u64().unwrap();
            assert_eq!(rows, found.paired + found.response_missing, "seed {seed}, {start}");
            let errors = report["status"]["5xx"].as_u64().unwrap_or(0);
            assert_eq!(errors, found.response_missing, "{}", report["status"]);
        }
        for order in 0..2 {
            let again = run(&world, &log, 7000 + seed * 10 + order, order == 1);
            assert_eq!(again, expected, "seed {seed}, order {order}");
        }
    }
}

/// Two events of one request on any partitions, read in any order, with a `kill -9` now and then.
#[test]
fn pairs_are_the_same_rows_whatever_is_read_first_and_whenever_the_process_ends() {
    let requests = std::env::var("DRIFTLINE_PAIRS").ok().and_then(|text| text.parse().ok());
    check(requests.unwrap_or(36_000), 2);
}
