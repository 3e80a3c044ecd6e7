//! A checkpoint that release 0.1.0 wrote in the middle of open windows: whoever goes on from it loses no row
//! and says nothing twice, though the rules of time are others by now.
//!
//! `restore/checkpoint.redb.zst` is kept as that release left it; `restore/expected.json.zst` is what its run
//! that nothing interrupted said from there on. Neither is ever made anew: both are the past.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use driftline_alerting::Acceptance;
use driftline_alerting::outbox::Silence;
use driftline_capture::{Chunk, Fingerprint};
use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use driftline_config::{Config, ModelId, Partition, TopicId, TopicPartition, WindowId, sha256_hex};
use driftline_formats::{Decoder, ModelPlan, Record, RecordLimits};
use driftline_pipeline::judge::{Job, decide};
use driftline_pipeline::setup::{BaselineFile, Setup};
use driftline_pipeline::snapshot::{Committed, OutboxItem};
use driftline_pipeline::{Effect, Event, Pipeline, Read, Settings};
use driftline_store::Store;
use serde_json::{Value, json};

const CHECKPOINT: &str = "checkpoint.redb.zst";
const EXPECTED: &str = "expected.json.zst";

const T0: i64 = 1_767_571_200_000_000; // 2026-01-05T00:00:00Z, a Monday
const PARTITIONS: i32 = 3;
/// The log is read in stretches of twenty minutes and forty records.
const STRETCHES: usize = 48;
const STRETCH_US: i64 = 20 * MINUTE_US;
const RECORDS: i64 = 40;
/// The stretch in which windows of both models close: the process ends before they are judged.
const LAST: usize = 24;

/// Stretches in which everything has moved, and those in which the input is broken as well: until it is
/// mended nobody asks for retraining.
const MOVED: Range<usize> = 9..36;
const BROKEN: Range<usize> = 9..18;

const CONFIG: &str = r#"
state: state
kafka: {bootstrap: "localhost:1"}
alerts: {max_age: off, for: {drift: 1 of 2}, repeat: {drift: 3h, operations: 2h}}
models:
  - name: one
    captures: {topic: shared}
    baseline: baseline.json
    window: {every: 1h, lateness: 5m, idle: off, at_least: 20, at_most: 4h}
    operations: {every: 10m, lateness: 1m}
    latency: {under: 5ms, objective: 0.9}
    errors: {objective: 0.99}
    shadow: [{name: next, onnx: next.onnx, sha256: "0000000000000000000000000000000000000000000000000000000000000000", inputs: [x]}]
  - name: two
    captures: {topic: shared}
    baseline: baseline.json
    window: {every: 2h, lateness: 10m, idle: 30s, at_least: 1}
    features: {kind: {private: true}}
receivers:
  - {name: mail, email: {folder: mails, from: a@example.org, to: [b@example.org]}}
  - {name: retrain, on: [retrain], webhook: {url: "http://127.0.0.1:9/hook"}}
  - {name: on-call, alertmanager: {url: "http://127.0.0.1:9"}}
"#;

#[test]
fn a_checkpoint_of_the_first_release_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(Store::file_in(folder.path()), unpacked(CHECKPOINT)).unwrap();

    let mut life = Life::new(folder.path(), wall_us(LAST));
    life.restore();
    life.go_on();
    let expected: Value = serde_json::from_slice(&unpacked(EXPECTED)).unwrap();
    let facts = life.pipeline.topic(TopicId(0)).unwrap().clone();
    assert_eq!(facts.ledger.total().imbalance(), 0);
    assert_eq!(facts.ledger.total().read, life.world.log.len() as u64, "every record, and once");
    let found = life.end();
    let reports = found["reports"].as_object().unwrap();
    let (mut same, mut rows) = (0, 0);
    for (id, report) in reports {
        let window = |report: &Value| {
            let text = report.as_str().unwrap();
            serde_json::from_str::<Value>(text).unwrap()["window"].clone()
        };
        let found = window(report);
        rows += found["rows"].as_u64().unwrap();
        // Those that had closed, or whose rows had all come, when the process ended.
        if let Some(expected) = expected["reports"].get(id).map(window)
            && expected["end"] == found["end"]
        {
            let rows = |window: &Value| window["rows"].as_u64().unwrap();
            assert!(rows(&found) >= rows(&expected), "{id} has lost rows");
            same += u32::from(rows(&found) == rows(&expected));
        }
    }
    assert!(same >= 4, "windows of before are reported as they would have been: {same}");
    assert!(rows > 500, "and the log is read to its end: {rows} rows in reports");
    for (id, request) in found["requests"].as_object().unwrap() {
        assert!(request["data"]["train_on"]["rows"].as_u64().unwrap_or(1) > 0, "{id}: {request}");
    }
}

/// A process: the pipeline, its store, and what was said outside.
struct Life {
    world: World,
    pipeline: Pipeline,
    store: Store,
    judging: Vec<Job>,
    said: Said,
}

/// What others saw.
#[derive(Default)]
struct Said {
    /// Reports by window, byte for byte.
    reports: BTreeMap<WindowId, String>,
    /// Messages by their place in the order of decisions.
    messages: BTreeMap<u64, Value>,
    /// Retraining requests by id.
    requests: BTreeMap<String, Value>,
}

impl Life {
    fn new(folder: &Path, now_us: i64) -> Life {
        let world = World::new();
        let pipeline = world.pipeline(now_us);
        let store = Store::open(folder, Duration::ZERO, false).unwrap();
        Life { world, pipeline, store, judging: Vec::new(), said: Said::default() }
    }

    /// Goes on from what the store holds.
    fn restore(&mut self) {
        let saved = self.store.load(&|_| false).unwrap();
        let effects = self.pipeline.restore(&saved, &self.world.config.limits).unwrap();
        self.carry_out(effects, &mut VecDeque::new());
        self.start(wall_us(LAST));
    }

    /// From there to the end of the log, and to a silence after it.
    fn go_on(&mut self) {
        self.reach_the_end(wall_us(LAST));
        self.feed(Event::Tick, wall_us(LAST));
        self.settle(LAST);
        for stretch in LAST + 1..STRETCHES {
            self.read(stretch);
            self.settle(stretch);
        }
        self.feed(Event::Tick, wall_us(STRETCHES) + 3 * DAY_US);
        self.commit(STRETCHES);
    }

    /// What a starting process is told.
    fn start(&mut self, now_us: i64) {
        self.feed(Event::Read(Read::Partitions { topic: TopicId(0), count: PARTITIONS }), now_us);
        self.candidate(Some("next.onnx is not there"), now_us);
    }

    fn candidate(&mut self, problem: Option<&str>, now_us: i64) {
        let (candidate, problem) = ("next".to_owned(), problem.map(str::to_owned));
        self.feed(Event::Candidate { model: ModelId(0), candidate, problem }, now_us);
    }

    /// Counts a stretch of the log, and commits.
    fn read(&mut self, stretch: usize) {
        for partition in 0..PARTITIONS {
            let position = self.position(partition);
            if let Some(chunk) = self.world.chunk(stretch, partition, position) {
                self.feed(Event::Read(Read::Chunk(chunk)), wall_us(stretch));
            }
        }
        self.commit(stretch);
    }

    /// Everything that follows from a stretch, and what befalls us after it.
    fn settle(&mut self, stretch: usize) {
        let wall_us = wall_us(stretch);
        while !self.judging.is_empty() {
            // Which of two models is judged first is nobody's business.
            self.judging.sort_by_key(|job| job.model);
            for job in std::mem::take(&mut self.judging) {
                self.feed(Event::Judged(Box::new(decide(&job))), wall_us);
            }
        }
        self.reach_the_end(wall_us);
        match stretch {
            8 | 33 => self.silence(stretch),
            10 | 30 => self.receive(stretch),
            22 | 36 => self.accept(wall_us),
            40 => self.candidate(None, wall_us),
            _ => {}
        }
        self.feed(Event::Tick, wall_us);
        self.commit(stretch);
    }

    /// The log holds no more just now.
    fn reach_the_end(&mut self, wall_us: i64) {
        for partition in 0..PARTITIONS {
            let offset = self.position(partition);
            let at = TopicPartition { topic: TopicId(0), partition: Partition(partition) };
            let end = Read::EndOfPartition { at, offset, sampled: Some(wall_us.into()) };
            self.feed(Event::Read(end), wall_us);
        }
    }

    /// Nobody wants to hear of a model for four hours.
    fn silence(&mut self, stretch: usize) {
        let silence = Silence {
            id: format!("silence-{stretch}"),
            model: Some("two".to_owned()),
            class: None,
            until_us: wall_us(stretch) + 4 * HOUR_US,
            by: "on-call".to_owned(),
            reason: "moving house".to_owned(),
        };
        self.feed(Event::Silence(silence), wall_us(stretch));
    }

    /// A candidate's record and a receipt come in.
    fn receive(&mut self, stretch: usize) {
        let number = stretch as u64;
        let record =
            json!({"driftline": 1, "window": {"id": "one"}, "shadow": [{"paired": number}]});
        let (model, record) = (ModelId(0), record.to_string());
        let scored = Event::Scored { model, start_us: T0 + HOUR_US, record };
        self.feed(scored, wall_us(stretch));
        let receipt = json!({"receiver": "mail", "number": number}).to_string().into_bytes();
        self.feed(Event::Attempted { number, receipt }, wall_us(stretch));
    }

    /// Somebody accepts what is open of the second model.
    fn accept(&mut self, at_us: i64) {
        let open = self.pipeline.model("two").unwrap().decided().alerts.incidents();
        for incident in open.map(|incident| incident.id.clone()).collect::<Vec<_>>() {
            let (by, reason) = ("on-call".to_owned(), "known".to_owned());
            let acceptance = Acceptance { by, reason, at_us };
            self.feed(Event::Accept { incident, acceptance }, at_us);
        }
    }

    fn feed(&mut self, event: Event, now_us: i64) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let effects = self.pipeline.handle(event, now_us);
            self.carry_out(effects, &mut events);
        }
    }

    /// Every other message is delivered at once, the others wait for ever.
    fn carry_out(&mut self, effects: Vec<Effect>, events: &mut VecDeque<Event>) {
        for effect in effects {
            match effect {
                Effect::Judge(job) => self.judging.push(*job),
                Effect::Deliver(item) => {
                    let body = serde_json::to_value(&item.body).unwrap();
                    self.said.messages.insert(item.sequence, body);
                    if item.sequence % 2 == 1 {
                        events.push_back(Event::Done { sequence: item.sequence });
                    }
                }
                Effect::Published(report) => {
                    self.said.reports.insert(report.window.id.clone(), report.to_json());
                }
                Effect::Requested(request) => {
                    let json = serde_json::to_value(&*request).unwrap();
                    self.said.requests.insert(request.data.retrain_id.clone(), json);
                }
                _ => {}
            }
        }
    }

    fn commit(&mut self, stretch: usize) {
        while let Some(snapshot) = self.pipeline.snapshot() {
            let sizes = self.store.commit(&snapshot).unwrap();
            let committed = Committed { epoch: snapshot.epoch, sizes };
            self.feed(Event::Committed(committed), wall_us(stretch));
        }
    }

    fn position(&self, partition: i32) -> i64 {
        self.pipeline.topic(TopicId(0)).unwrap().position(Partition(partition))
    }

    /// What was said, and what the store holds in the end: with the ledger, incidents and open windows.
    fn end(self) -> Value {
        let saved = self.store.load(&|_| false).unwrap();
        // What is no JSON is told apart by its hash.
        let document = |bytes: &Vec<u8>| {
            serde_json::from_slice::<Value>(bytes).unwrap_or_else(|_| json!(sha256_hex(bytes)))
        };
        let documents: BTreeMap<_, _> =
            saved.documents.iter().map(|(key, bytes)| (key, document(bytes))).collect();
        let windows: BTreeMap<_, _> = saved
            .windows
            .iter()
            .map(|(key, increments)| (format!("{key:?}"), sha256_hex(increments.concat())))
            .collect();
        let body = |item: &OutboxItem| sha256_hex(serde_json::to_vec(&item.body).unwrap());
        let waiting: BTreeMap<_, _> =
            saved.outbox.iter().map(|item| (item.sequence, body(item))).collect();
        let named: BTreeMap<_, _> =
            saved.named.iter().map(|(name, bytes)| (name, bytes.len())).collect();
        let Said { reports, messages, requests } = self.said;
        json!({"reports": reports, "messages": messages, "requests": requests, "documents": documents,
               "windows": windows, "waiting": waiting, "named": named})
    }
}

/// The configuration, and the log.
struct World {
    config: Config,
    setups: Vec<Arc<Setup>>,
    plans: Vec<ModelPlan>,
    log: Vec<Entry>,
}

impl World {
    fn new() -> World {
        let config = Config::parse(CONFIG, Path::new("driftline.yaml"), &|_| None).unwrap();
        let baseline = fs::read(file("baseline.json")).unwrap();
        let setup = |model: &driftline_config::Model| {
            let file = Arc::new(BaselineFile::parse(baseline.clone()).unwrap());
            let files = [("default".to_owned(), file)].into();
            Arc::new(Setup::new(model.clone(), files, &config.limits).unwrap())
        };
        let setups: Vec<Arc<Setup>> = config.models.iter().map(setup).collect();
        let models = setups.iter().map(|setup| ModelPlan {
            name: setup.model.name.clone(),
            schema: setup.layout.schema().clone(),
            max_ahead_us: HOUR_US,
            mapping: None,
        });
        let plans = models.collect();
        World { config, setups, plans, log: log() }
    }

    fn pipeline(&self, now_us: i64) -> Pipeline {
        let settings = Settings::new(&self.config, BTreeMap::new(), now_us);
        Pipeline::new(settings, self.setups.clone())
    }

    /// The records of a stretch and a partition, as the readers would give them.
    fn chunk(&self, stretch: usize, partition: i32, from: i64) -> Option<Chunk> {
        let mut decoder = Decoder::new(&self.plans, &RecordLimits::default());
        let (mut to, mut last_us) = (from, 0);
        let of_stretch = |entry: &&Entry| entry.stretch == stretch && entry.partition == partition;
        for entry in self.log.iter().filter(of_stretch) {
            let value = entry.value.as_deref().map(str::as_bytes);
            decoder.decode(&Record { value, offset: to, time_us: Some(entry.time_us) });
            (to, last_us) = (to + 1, entry.time_us);
        }
        let decoded = decoder.take().unwrap();
        (to > from).then(|| Chunk {
            topic: TopicId(0),
            partition: Partition(partition),
            from,
            to,
            records: (to - from) as u64,
            rows: decoded.rows,
            marks: decoded.marks,
            skipped_names: decoded.skipped_names,
            fingerprint: Some(Fingerprint { offset: to - 1, hash: 1 }),
            last_record_us: Some(last_us),
            producer_timestamps: true,
            ..Chunk::default()
        })
    }
}

/// One record.
struct Entry {
    stretch: usize,
    partition: i32,
    value: Option<String>,
    time_us: i64,
}

/// Two models and a stranger, broken envelopes, late rows, heartbeats and disorder; twice nothing comes on
/// the last partition for two hours.
fn log() -> Vec<Entry> {
    let mut dice = Dice(7);
    let record = |index: i64| {
        let stretch = (index / RECORDS) as usize;
        let partitions = if matches!(stretch, 12..18 | 28..34) { 2 } else { PARTITIONS as u64 };
        let partition = dice.below(partitions) as i32;
        let time_us = T0 + index * STRETCH_US / RECORDS;
        let model = ["one", "one", "two"][dice.below(3) as usize];
        let ahead_us = dice.below(240) as i64 * SECOND_US;
        let value = match dice.below(60) {
            0 => None,
            1 => Some(r#"{"v":1,"model":"one""#.to_owned()),
            2 => Some(format!(r#"{{"v":1,"model":"one","ts":{}}}"#, time_us / 1_000_000)),
            3 => Some(capture("nobody", index, time_us, stretch, &mut dice)),
            4 | 5 => Some(capture(model, index, time_us - 5 * HOUR_US, stretch, &mut dice)),
            6 => Some(format!(r#"{{"v":1,"ts":{},"heartbeat":true}}"#, time_us / 1000)),
            _ => Some(capture(model, index, time_us - ahead_us, stretch, &mut dice)),
        };
        Entry { stretch, partition, value, time_us }
    };
    (0..STRETCHES as i64 * RECORDS).map(record).collect()
}

fn capture(model: &str, index: i64, time_us: i64, stretch: usize, dice: &mut Dice) -> String {
    let (version, status) = (1 + index / 900, if dice.below(25) == 0 { 500 } else { 200 });
    let (ts, latency_us) = (time_us / 1000, 1000 + dice.below(5000));
    let features = features(stretch, dice);
    let score = dice.below(1000) as f64 / if MOVED.contains(&stretch) { 4000.0 } else { 1000.0 };
    format!(
        r#"{{"v":1,"model":"{model}","version":"{version}","id":"{index}","ts":{ts},"latency_us":{latency_us},"status":{status},"features":{{{features}}},"prediction":{{"score":{score}}}}}"#
    )
}

fn features(stretch: usize, dice: &mut Dice) -> String {
    let broken = BROKEN.contains(&stretch);
    let x = dice.below(1000) + if MOVED.contains(&stretch) { 600 } else { 0 };
    let kind = ["a", "b", "c", "d"][dice.below(if broken { 4 } else { 3 }) as usize];
    match dice.below(40) * u64::from(broken) {
        1 => r#""x":"wrong","kind":7,"further":1"#.to_owned(),
        2 => r#""x":null"#.to_owned(),
        _ => format!(r#""x":{x},"kind":"{kind}""#),
    }
}

/// Numbers that are the same on every machine and in every release.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Wall time at the end of a stretch.
fn wall_us(stretch: usize) -> i64 {
    T0 + (stretch as i64 + 1) * STRETCH_US
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/restore").join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    zstd::decode_all(&fs::read(file(name)).unwrap()[..]).unwrap()
}
