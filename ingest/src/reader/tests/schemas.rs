//! Partitions whose schemas come late, never, or not at all: none loses a record, and none waits for another.

use driftline_capture::CaptureSchema;
use driftline_config::Config;
use serde_json::json;

use super::*;
use crate::registry::tests::{Server, schema_answer};

/// A topic in Avro whose registry is this one.
struct Avro {
    rig: Rig,
    server: Server,
    _cache: tempfile::TempDir,
}

impl Avro {
    fn new(partitions: i32) -> Avro {
        let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
        let mut rig = Rig::new(&[("a", partitions)]);
        rig.connection.registry = Some(server.settings(cache.path()));
        Avro { rig, server, _cache: cache }
    }

    /// Sends records by the schema of this number.
    fn send(&self, partition: i32, id: u8, count: usize) {
        // A long in zigzag, seven bits a byte.
        let ts = [0xdc, 0xbc, 0xcc, 0xca, 0xef, 0x66];
        let value: Vec<u8> = [0, 0, 0, 0, id].into_iter().chain(ts).collect();
        for _ in 0..count {
            let capture = Capture {
                topic: "a",
                partition: Some(partition),
                key: None,
                value: &value,
                timestamp_us: Some(TS_US),
            };
            self.rig.producer.send(&capture).unwrap();
        }
        self.rig.producer.flush(PATIENCE).unwrap();
    }

    fn knows(&self, id: u8) {
        self.server.answer(&route(id), 200, good_answer());
    }

    fn plan(&self) -> TopicPlan {
        let yaml = "kafka: {bootstrap: b, schema_registry: {url: 'http://r'}}\nmodels:\n  - {name: m, baseline: b, captures: {topic: a, format: avro, map: {features: ''}}}\n";
        let config = Config::parse(yaml, std::path::Path::new("c.yaml"), &|_| None).unwrap();
        let schema = CaptureSchema { columns: Vec::new(), ignored: Vec::new() };
        let models = vec![ModelPlan::new(&config.models[0], schema)];
        TopicPlan { topic: "a".to_owned(), models, start: Start::Earliest }
    }

    fn read(&self) -> Heard {
        let dead_letters = DeadLetters::start(&self.rig.connection, &Mode::Off, 1 << 20).unwrap();
        let plan = ReadPlan {
            connection: self.rig.connection.clone(),
            topics: vec![self.plan()],
            positions: BTreeMap::new(),
            threads: Some(1),
            limits: ReadLimits::default(),
            newcomers: crate::plan::Newcomers::default(),
            clock: self.rig.clock.clone(),
        };
        let (sender, events) = sync_channel(4);
        let readers = Readers::start(plan, dead_letters, sender).unwrap();
        Heard { readers, events, seen: Seen::default() }
    }
}

fn route(id: u8) -> String {
    format!("/schemas/ids/{id}")
}

fn good_answer() -> String {
    let fields = json!([{"name": "ts", "type": "long"}]);
    schema_answer(&json!({"type": "record", "name": "r", "fields": fields}))
}

fn troubles(seen: &Seen) -> Vec<String> {
    let told = seen.others.iter().filter_map(|event| match event {
        Event::Trouble { message, fatal: false, .. } => Some(message.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_partition_waits_for_its_schema_alone_and_loses_nothing() {
    let avro = Avro::new(2);
    avro.knows(1);
    avro.server.answer(&route(2), 200, "<html>nonsense</html>");
    avro.send(0, 1, 50);
    avro.send(1, 1, 20);
    avro.send(1, 2, 30);
    avro.send(1, 1, 10);
    let mut reading = avro.read();
    reading.until(|seen| {
        let at = |partition| seen.positions.get(&log(0, partition)).map(|it| it.offset);
        at(0) == Some(50) && at(1) == Some(20) && !troubles(seen).is_empty()
    });
    let told = troubles(&reading.seen);
    assert!(told[0].contains("partition 1 waits for schema 2"), "{told:?}");
    assert!(told[0].contains("is no schema"), "{told:?}");
    // The other partition reads on.
    avro.send(0, 1, 5);
    reading.until(|seen| seen.positions.get(&log(0, 0)).is_some_and(|it| it.offset == 55));
    avro.knows(2);
    reading.until_ends(&[(log(0, 0), 55), (log(0, 1), 60)]);
    assert_eq!(reading.seen.offsets[&log(0, 1)], (0..60).collect::<Vec<i64>>());
    assert!(reading.seen.marks.values().all(Vec::is_empty));
    let recovered = |event: &Event| matches!(event, Event::Recovered { topic: Some(TopicId(0)) });
    reading.until(|seen| seen.others.iter().any(recovered));
    reading.readers.stop();
}

#[test]
fn records_of_an_unknown_schema_are_dead_letters_among_their_neighbours() {
    let avro = Avro::new(1);
    avro.knows(1);
    avro.send(0, 1, 5);
    avro.send(0, 9, 3);
    avro.send(0, 1, 5);
    let mut reading = avro.read();
    reading.until_ends(&[(log(0, 0), 13)]);
    assert_eq!(reading.seen.marks[&log(0, 0)], [5, 6, 7]);
    let rows: Vec<i64> = (0..5).chain(8..13).collect();
    assert_eq!(reading.seen.offsets[&log(0, 0)], rows);
    assert_eq!(avro.server.asked(&route(9)), 3, "not for each record");
    reading.readers.stop();
}

#[test]
fn a_slow_registry_holds_up_nobody_who_knows_his_schema() {
    let avro = Avro::new(2);
    avro.knows(1);
    avro.send(0, 1, 10);
    avro.send(1, 2, 10);
    let slow = Duration::from_secs(3);
    avro.server.answer_after(&route(2), slow, good_answer());
    let mut reading = avro.read();
    reading.until(|seen| seen.positions.get(&log(0, 0)).is_some_and(|it| it.offset == 10));
    assert!(!reading.seen.positions.contains_key(&log(0, 1)));
    reading.until_ends(&[(log(0, 0), 10), (log(0, 1), 10)]);
    assert_eq!(reading.seen.offsets[&log(0, 1)], (0..10).collect::<Vec<i64>>());
    reading.readers.stop();
}

#[test]
fn ranges_are_read_by_schemas_too() {
    let avro = Avro::new(1);
    avro.knows(1);
    avro.send(0, 1, 5);
    avro.send(0, 9, 1);
    let range = OffsetRange { partition: Partition(0), from: 0, to: 6 };
    let (mut rows, mut marks) = (0, 0);
    let read = read_ranges(
        &avro.rig.connection,
        &avro.plan(),
        &ReadLimits::default(),
        &[range],
        |event| {
            let RangeEvent::Chunk(chunk) = event else { panic!("{event:?}") };
            rows += chunk.rows.iter().map(|rows| rows.rows.rows()).sum::<usize>();
            marks += chunk.marks.len();
            ControlFlow::Continue(())
        },
    );
    read.unwrap();
    assert_eq!((rows, marks), (5, 1));
}
