//! Readers, dead letters, ranges and producers against the embedded broker.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use driftline_capture::{CaptureSchema, Chunk, Column, Fingerprint, Kind, MarkKind, Reason};
use driftline_config::time::ClockReading;
use driftline_config::{DeadLetters as Mode, Partition, Start};
use driftline_formats::{ModelPlan, Rejection};

mod ends;
mod schemas;

use super::*;
use crate::embedded::{EMBEDDED_PARTITION_BYTES, EmbeddedBroker};
use crate::plan::Position;
use crate::produce::{Capture, CaptureProducer, ReportProducer};
use crate::range::{OffsetRange, RangeEvent, read_ranges};
use crate::topic::describe_topic;

/// No event is awaited longer: a hang is a failure, not a wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// 2026-01-02T03:04:05.678Z
const TS_US: i64 = 1_767_323_045_678_000;

/// A partition of a topic of the plan.
fn log(topic: usize, partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicId(topic), partition: Partition(partition) }
}

struct Rig {
    broker: EmbeddedBroker,
    connection: Connection,
    producer: CaptureProducer,
    clock: Clock,
}

impl Rig {
    fn new(topics: &[(&str, i32)]) -> Rig {
        let broker = EmbeddedBroker::start().unwrap();
        for (topic, partitions) in topics {
            broker.create_topic(topic, *partitions).unwrap();
        }
        let connection = Connection {
            bootstrap: broker.bootstrap().to_owned(),
            group: "test".to_owned(),
            ..Connection::default()
        };
        let producer = CaptureProducer::start(&connection).unwrap();
        Rig { broker, connection, producer, clock: Clock::new() }
    }

    fn send(&self, topic: &str, partition: i32, values: &[String]) {
        self.send_at(topic, partition, values, TS_US);
    }

    fn send_at(&self, topic: &str, partition: i32, values: &[String], timestamp_us: i64) {
        for value in values {
            let capture = Capture {
                topic,
                partition: Some(partition),
                key: Some(b"key"),
                value: value.as_bytes(),
                timestamp_us: Some(timestamp_us),
            };
            self.producer.send(&capture).unwrap();
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    /// Sends twice what the broker keeps of a partition.
    fn overflow(&self, topic: &str, partition: i32) {
        let rows = 2 * EMBEDDED_PARTITION_BYTES / 100_000;
        self.send_large(topic, partition, (rows, 100_000));
    }

    /// Sends rows of so many bytes and some, uncompressed.
    fn send_large(&self, topic: &str, partition: i32, (rows, bytes): (usize, usize)) {
        let filler = "x".repeat(bytes);
        let value = format!(r#"{{"ts":1767323045678,"id":"{filler}"}}"#);
        let mut connection = self.connection.clone();
        let none = driftline_config::Secret::new("none");
        connection.properties.insert("compression.type".to_owned(), none);
        let producer = CaptureProducer::start(&connection).unwrap();
        for _ in 0..rows {
            let capture = Capture {
                topic,
                partition: Some(partition),
                key: None,
                value: value.as_bytes(),
                timestamp_us: None,
            };
            producer.send(&capture).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn read(&self, topics: &[&str], positions: BTreeMap<TopicPartition, Position>) -> Heard {
        let dead_letters = DeadLetters::start(&self.connection, &Mode::Off, 1 << 20).unwrap();
        self.read_with(topics, positions, &dead_letters)
    }

    fn read_with(
        &self,
        topics: &[&str],
        positions: BTreeMap<TopicPartition, Position>,
        dead_letters: &DeadLetters,
    ) -> Heard {
        let plan = ReadPlan {
            connection: self.connection.clone(),
            topics: topics.iter().map(|topic| plan(topic)).collect(),
            positions,
            threads: Some(2),
            limits: ReadLimits::default(),
            newcomers: crate::plan::Newcomers::default(),
            clock: self.clock.clone(),
        };
        let (sender, events) = sync_channel(4);
        let readers = Readers::start(plan, dead_letters.clone(), sender).unwrap();
        Heard { readers, events, seen: Seen::default() }
    }
}

fn plan(topic: &str) -> TopicPlan {
    let columns = vec![Column { subject: "feature:x".into(), kind: Kind::Numeric, coerce: false }];
    let schema = CaptureSchema { columns, ignored: Vec::new() };
    let model = ModelPlan { name: "m".to_owned(), schema, max_ahead_us: 0, mapping: None };
    TopicPlan { topic: topic.to_owned(), models: vec![model], start: Start::Earliest }
}

fn captures(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|x| format!(r#"{{"ts":1767323045678,"features":{{"x":{x}}}}}"#)).collect()
}

/// What came out, by (topic, partition).
#[derive(Debug, Default)]
struct Seen {
    offsets: BTreeMap<TopicPartition, Vec<i64>>,
    marks: BTreeMap<TopicPartition, Vec<i64>>,
    positions: BTreeMap<TopicPartition, Position>,
    ends: BTreeMap<TopicPartition, i64>,
    /// The newest sample that came with an end, and with which.
    sampled: BTreeMap<TopicPartition, (ClockReading, i64)>,
    first_sampled: BTreeMap<TopicPartition, ClockReading>,
    /// Records that were in the log for certain at these moments.
    acknowledged: Vec<(TopicPartition, i64, ClockReading)>,
    /// Ends of the chunks after which a partition waits.
    stopped: Vec<i64>,
    others: Vec<Event>,
}

struct Heard {
    readers: Readers,
    events: Receiver<Event>,
    seen: Seen,
}

impl Heard {
    /// Takes events until `done`, checking that chunks tile their partitions.
    fn until(&mut self, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Chunk { chunk, lease }) => {
                    assert!(lease.bytes() > 0 || chunk.records == 0);
                    self.seen.chunk(&chunk);
                }
                Ok(Event::EndOfPartition { topic, partition, offset, sampled }) => {
                    let log = TopicPartition { topic, partition };
                    self.seen.end(log, offset, sampled);
                }
                Ok(event) => self.seen.others.push(event),
                Err(_) => panic!("awaited in vain; seen: {:?}", self.seen),
            }
        }
    }

    fn until_ends(&mut self, ends: &[(TopicPartition, i64)]) {
        let ends: BTreeMap<_, _> = ends.iter().copied().collect();
        self.until(|seen| ends.iter().all(|(key, end)| seen.ends.get(key) >= Some(end)));
        assert!(ends.iter().all(|(key, end)| self.seen.ends.get(key) == Some(end)), "{ends:?}");
    }
}

impl Seen {
    fn end(&mut self, log: TopicPartition, offset: i64, sampled: Option<ClockReading>) {
        self.ends.insert(log, offset);
        let Some(sampled) = sampled else { return };
        assert!(sampled.wall_us > TS_US);
        let before = self.sampled.insert(log, (sampled, offset));
        assert!(before.is_none_or(|before| before <= (sampled, offset)), "samples never get older");
        self.first_sampled.entry(log).or_insert(sampled);
        for (of, record, at) in &self.acknowledged {
            let held_it = *of == log && *at <= sampled;
            assert!(!held_it || *record < offset, "{log:?} held {record} at {sampled:?}");
        }
    }

    fn chunk(&mut self, chunk: &Chunk) {
        let key = chunk.log();
        if let Some(position) = self.positions.get(&key) {
            assert_eq!(position.offset, chunk.from, "chunks tile their partition");
        }
        let rows: usize = chunk.rows.iter().map(|rows| rows.rows.rows()).sum();
        assert_eq!(rows + chunk.marks.len(), chunk.records as usize, "a row or a mark each");
        for rows in &chunk.rows {
            let offsets = rows.rows.offsets();
            assert!(offsets.iter().all(|offset| (chunk.from..chunk.to).contains(offset)));
            self.offsets.entry(key).or_default().extend(offsets);
        }
        self.stopped.extend(chunk.stopped.then_some(chunk.to));
        self.marks.entry(key).or_default().extend(chunk.marks.iter().map(|mark| mark.offset));
        let before = self.positions.get(&key).and_then(|position| position.fingerprint);
        let fingerprint = chunk.fingerprint.or(before);
        self.positions.insert(key, Position { offset: chunk.to, fingerprint });
    }
}

#[test]
fn every_record_comes_once_and_a_restart_goes_on_where_it_stopped() {
    let rig = Rig::new(&[("a", 3), ("b", 2)]);
    for partition in 0..3 {
        rig.send("a", partition, &captures(0..1000));
    }
    rig.send("b", 0, &captures(0..10));
    let mut reading = rig.read(&["a", "b"], BTreeMap::new());
    // Both topics have a partition 0, and librdkafka names the partition alone.
    let ends =
        [(log(0, 0), 1000), (log(0, 1), 1000), (log(0, 2), 1000), (log(1, 0), 10), (log(1, 1), 0)];
    reading.until_ends(&ends);
    for (log, end) in ends {
        let expected: Vec<i64> = (0..end).collect();
        let offsets = reading.seen.offsets.remove(&log).unwrap_or_default();
        assert_eq!(offsets, expected, "{log:?}");
    }
    let counts: Vec<_> = reading
        .seen
        .others
        .iter()
        .map(|event| match event {
            Event::Partitions { topic, count } => (topic.0, *count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [(0, 3), (1, 2)]);
    rig.send("a", 1, &captures(1000..1100));
    reading.until_ends(&[(log(0, 1), 1100)]);
    assert_eq!(reading.readers.positions().get(&log(0, 1)), Some(&1100));
    assert_eq!(reading.readers.lag().get(&log(0, 1)), Some(&0));
    let positions = reading.seen.positions;
    reading.readers.stop();

    rig.send("a", 0, &captures(1000..1010));
    let mut reading = rig.read(&["a", "b"], positions);
    let ends =
        [(log(0, 0), 1010), (log(0, 1), 1100), (log(0, 2), 1000), (log(1, 0), 10), (log(1, 1), 0)];
    reading.until_ends(&ends);
    let offsets: Vec<_> = reading.seen.offsets.into_iter().collect();
    assert_eq!(offsets, [(log(0, 0), (1000..1010).collect::<Vec<_>>())]);
    assert!(!reading.seen.others.iter().any(|event| matches!(event, Event::Recreated { .. })));
    reading.readers.stop();
}

/// A topic was made again with fewer partitions while nobody read: as while it is read that has to be so for a
/// while, since a broker may not have heard of the last ones yet.
#[test]
fn fewer_partitions_than_positions_are_told_once_that_is_sure() {
    let rig = Rig::new(&[("a", 2)]);
    rig.send("a", 1, &captures(0..10));
    let position = Position { offset: 7, fingerprint: None };
    let began = Instant::now();
    let mut reading = rig.read(&["a"], BTreeMap::from([(log(0, 4), position)]));
    reading.until_ends(&[(log(0, 0), 0), (log(0, 1), 10)]);
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    let told = &reading.seen.others[..];
    assert!(matches!(told, [Event::Partitions { topic: TopicId(0), count: 2 }]), "{told:?}");
    let lag = reading.readers.lag();
    assert_eq!(lag, BTreeMap::from([(log(0, 0), 0), (log(0, 1), 0)]));
    reading.readers.stop();
}

#[test]
fn a_paused_partition_gives_nothing_until_it_goes_on() {
    let rig = Rig::new(&[("a", 2)]);
    let mut reading = rig.read(&["a"], BTreeMap::new());
    reading.until_ends(&[(log(0, 0), 0), (log(0, 1), 0)]);
    reading.readers.pause(log(0, 0));
    let paused = |readers: &Readers| readers.shared.partitions()[&log(0, 0)].paused;
    while !paused(&reading.readers) {
        std::thread::yield_now();
    }
    rig.send("a", 0, &captures(0..50));
    rig.send("a", 1, &captures(0..50));
    reading.until_ends(&[(log(0, 1), 50)]);
    assert_eq!(reading.seen.offsets.get(&log(0, 0)), None);
    reading.readers.resume(log(0, 0));
    reading.until_ends(&[(log(0, 0), 50)]);
    assert_eq!(reading.seen.offsets[&log(0, 0)], (0..50).collect::<Vec<_>>());
    reading.readers.stop();
}

#[test]
fn a_partition_waits_at_a_row_beyond_the_horizon() {
    let rig = Rig::new(&[("a", 1)]);
    let mut reading = rig.read(&["a"], BTreeMap::new());
    reading.until_ends(&[(log(0, 0), 0)]);
    reading.readers.set_horizon(TopicId(0), 1_767_323_045_000_000);
    let before = r#"{"ts":1767323045000,"features":{"x":1}}"#.to_owned();
    let values = [vec![before; 30], captures(0..21)].concat();
    rig.send("a", 0, &values);
    reading.until(|seen| seen.positions.get(&log(0, 0)).is_some_and(|at| at.offset > 30));
    assert_eq!(reading.seen.stopped, [31], "the row beyond it is handed over, no further one");
    assert!(reading.readers.shared.partitions()[&log(0, 0)].paused);
    reading.readers.set_horizon(TopicId(0), i64::MAX);
    reading.readers.resume(log(0, 0));
    reading.until_ends(&[(log(0, 0), 51)]);
    assert_eq!(reading.seen.offsets[&log(0, 0)], (0..51).collect::<Vec<_>>());
    reading.readers.stop();
}

/// Every resume cost up to a second: librdkafka slept until it had another reason to look at the partition.
/// So many of them would take longer than anything is awaited.
#[test]
fn a_partition_that_may_go_on_is_fetched_at_once() {
    const STOPS: usize = 120;
    let rig = Rig::new(&[("a", 1)]);
    let mut reading = rig.read(&["a"], BTreeMap::new());
    reading.until_ends(&[(log(0, 0), 0)]);
    reading.readers.set_horizon(TopicId(0), i64::MIN);
    // So much that no fetch waits for more to come, whose answer would be such a reason.
    rig.send_large("a", 0, (STOPS + 60, 25_000));
    let stops = |seen: &Seen| seen.stopped.len();
    reading.until(|seen| stops(seen) == 1);
    let begun = Instant::now();
    for stop in 2..=STOPS {
        // The rest of what was fetched arrives, and is dropped.
        std::thread::sleep(Duration::from_millis(20));
        reading.readers.resume(log(0, 0));
        reading.until(|seen| stops(seen) == stop);
        assert!(begun.elapsed() < PATIENCE, "only {stop} stops");
    }
    assert_eq!(reading.seen.stopped, (1..=STOPS as i64).collect::<Vec<_>>());
    reading.readers.stop();
}

#[test]
fn rejected_records_reach_the_dead_letter_topic_with_their_bytes_and_reason() {
    let rig = Rig::new(&[("a", 2), ("a.driftline.dead-letter", 2)]);
    let mut values = captures(0..10);
    values[3] = r#"{"ts":"#.to_owned();
    values[7] = r#"{"ts":1767323045}"#.to_owned();
    rig.send("a", 1, &values);
    let dead_letters = DeadLetters::start(&rig.connection, &Mode::Topic, 1 << 20).unwrap();
    let mut reading = rig.read_with(&["a"], BTreeMap::new(), &dead_letters);
    reading.until_ends(&[(log(0, 1), 10)]);
    assert_eq!(reading.seen.marks[&log(0, 1)], [3, 7]);
    dead_letters.flush(PATIENCE).unwrap();
    assert_eq!(dead_letters.unacknowledged_below("a", Partition(1)), None);
    reading.readers.stop();

    let letters = consumer(&rig.connection, &consumer_settings("8192")).unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("a.driftline.dead-letter", 1, rdkafka::Offset::Beginning).unwrap();
    rdkafka::consumer::Consumer::assign(&letters, &list).unwrap();
    for (offset, reason) in [("3", Reason::InvalidJson), ("7", Reason::BadTimestamp)] {
        let message = letters.poll(PATIENCE).unwrap().unwrap();
        let letter = stretch::dead_letter("", &message, rejection());
        let header = |name: &str| {
            let found = letter.headers.iter().find(|(header, _)| header == name).unwrap();
            String::from_utf8(found.1.clone().unwrap()).unwrap()
        };
        let index: usize = offset.parse().unwrap();
        assert_eq!(letter.value.as_deref(), Some(values[index].as_bytes()));
        assert_eq!((letter.key.as_deref(), letter.timestamp_us), (Some(&b"key"[..]), Some(TS_US)));
        assert_eq!(header("driftline.reason"), reason.as_str());
        assert_eq!(header("driftline.offset"), offset);
        assert_eq!(
            (header("driftline.topic"), header("driftline.partition")),
            ("a".into(), "1".into())
        );
        assert!(!header("driftline.detail").is_empty());
    }
}

fn rejection() -> Rejection {
    Rejection { reason: Reason::Empty, detail: String::new() }
}

/// The whole service ended for it, at every start.
#[test]
fn a_dead_letter_topic_that_cannot_be_created_holds_up_its_topic_with_the_command_to_run() {
    let rig = Rig::new(&[("a", 1)]);
    rig.send("a", 0, &captures(0..1));
    let dead_letters = DeadLetters::start(&rig.connection, &Mode::Topic, 1 << 20).unwrap();
    let mut reading = rig.read_with(&["a"], BTreeMap::new(), &dead_letters);
    reading.until(|seen| !seen.others.is_empty());
    let Event::Trouble { topic: Some(TopicId(0)), message, fatal: false } = &reading.seen.others[0]
    else {
        panic!("{:?}", reading.seen.others)
    };
    assert!(message.contains("--topic a.driftline.dead-letter --partitions 1"), "{message}");
    assert!(message.contains("kafka.dead_letters"), "{message}");
    assert!(reading.seen.offsets.is_empty(), "nothing is read that might have to be handed on");
    rig.broker.create_topic("a.driftline.dead-letter", 1).unwrap();
    reading.until_ends(&[(log(0, 0), 1)]);
    reading.readers.stop();
}

#[test]
fn a_topic_that_is_created_later_is_read_from_its_beginning() {
    let rig = Rig::new(&[("a", 1)]);
    let mut reading = rig.read(&["a", "late"], BTreeMap::new());
    reading.until(|seen| {
        seen.others
            .iter()
            .any(|event| matches!(event, Event::Trouble { topic: Some(TopicId(1)), .. }))
    });
    rig.broker.create_topic("late", 1).unwrap();
    rig.send("late", 0, &captures(0..5));
    reading.until_ends(&[(log(1, 0), 5)]);
    assert_eq!(reading.seen.offsets[&log(1, 0)], [0, 1, 2, 3, 4]);
    reading.until(|seen| {
        seen.others
            .iter()
            .any(|event| matches!(event, Event::Recovered { topic: Some(TopicId(1)) }))
    });
    reading.readers.stop();
}

#[test]
fn no_broker_is_a_trouble_and_no_end() {
    let dead_letters = DeadLetters::start(&Connection::default(), &Mode::Off, 10).unwrap();
    let connection = Connection { bootstrap: "127.0.0.1:1".to_owned(), ..Connection::default() };
    let plan = ReadPlan {
        connection,
        topics: vec![plan("a")],
        positions: BTreeMap::new(),
        threads: None,
        limits: ReadLimits::default(),
        newcomers: crate::plan::Newcomers::default(),
        clock: Clock::new(),
    };
    let (sender, events) = sync_channel(4);
    let readers = Readers::start(plan, dead_letters, sender).unwrap();
    let Ok(Event::Trouble { topic: None, message, fatal: false }) = events.recv_timeout(PATIENCE)
    else {
        panic!("no trouble was told")
    };
    assert!(message.contains("127.0.0.1:1"), "{message}");
    readers.stop();
}

#[test]
fn a_position_beyond_the_log_or_another_record_before_it_is_a_recreated_topic() {
    let rig = Rig::new(&[("a", 2)]);
    rig.send("a", 0, &captures(0..10));
    rig.send("a", 1, &captures(0..10));
    let other = Fingerprint { offset: 4, hash: 1 };
    let positions = BTreeMap::from([
        (log(0, 0), Position { offset: 99, fingerprint: None }),
        (log(0, 1), Position { offset: 5, fingerprint: Some(other) }),
    ]);
    let mut reading = rig.read(&["a"], positions);
    reading.until_ends(&[(log(0, 0), 10), (log(0, 1), 10)]);
    for partition in 0..2 {
        assert_eq!(reading.seen.offsets[&log(0, partition)], (0..10).collect::<Vec<_>>());
        let recreated = reading.seen.others.iter().any(|event| {
            matches!(event, Event::Recreated { partition: p, offset: 0, .. } if p.0 == partition)
        });
        assert!(recreated, "partition {partition}: {:?}", reading.seen.others);
    }
    reading.readers.stop();
}

#[test]
fn records_that_retention_took_are_a_gap() {
    let rig = Rig::new(&[("a", 1)]);
    rig.overflow("a", 0);
    let facts = describe_topic(&rig.connection, "a").unwrap();
    let (low, high) = facts.partitions[0];
    assert!(low > 5, "the broker trims: {low}");
    let positions = BTreeMap::from([(log(0, 0), Position { offset: 5, fingerprint: None })]);
    let mut reading = rig.read(&["a"], positions);
    reading.until_ends(&[(log(0, 0), high)]);
    let gap = reading.seen.others.iter().find_map(|event| match event {
        Event::Gap { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    assert_eq!(gap, Some((5, low)));
    assert_eq!(reading.seen.offsets[&log(0, 0)], (low..high).collect::<Vec<_>>());
    reading.readers.stop();

    let range = OffsetRange { partition: Partition(0), from: 0, to: high + 7 };
    let (found, gaps) = read_again(&rig.connection, &[range]);
    assert_eq!(found[&Partition(0)], (low..high).collect::<Vec<_>>());
    let gap = |from, to| OffsetRange { partition: Partition(0), from, to };
    assert_eq!(gaps, [gap(0, low), gap(high, high + 7)]);
}

#[test]
fn a_reader_that_retention_overtakes_names_the_gap_and_goes_on() {
    let rig = Rig::new(&[("a", 1)]);
    rig.send("a", 0, &captures(0..5));
    let mut reading = rig.read(&["a"], BTreeMap::new());
    reading.until_ends(&[(log(0, 0), 5)]);
    reading.readers.pause(log(0, 0));
    while !reading.readers.shared.partitions()[&log(0, 0)].paused {
        std::thread::yield_now();
    }
    rig.overflow("a", 0);
    let (low, high) = describe_topic(&rig.connection, "a").unwrap().partitions[0];
    assert!(low > 5, "the broker trims: {low}");
    reading.seen.positions.clear();
    reading.readers.resume(log(0, 0));
    reading.until_ends(&[(log(0, 0), high)]);
    let gaps = reading.seen.others.iter().filter_map(|event| match event {
        Event::Gap { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    assert_eq!(gaps.collect::<Vec<_>>(), [(5, low)]);
    let expected: Vec<i64> = (0..5).chain(low..high).collect();
    assert_eq!(reading.seen.offsets[&log(0, 0)], expected);
    reading.readers.stop();
}

/// A thread that panicked was not noticed: the owner of the readers held a way out of its own.
#[test]
fn it_is_heard_that_nobody_reads_any_more() {
    let rig = Rig::new(&[("a", 1)]);
    let mut reading = rig.read(&["a"], BTreeMap::new());
    reading.until_ends(&[(log(0, 0), 0)]);
    reading.readers.shared.stop();
    let heard = loop {
        match reading.events.recv_timeout(PATIENCE) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(heard, RecvTimeoutError::Disconnected);
}

fn read_again(
    connection: &Connection,
    ranges: &[OffsetRange],
) -> (BTreeMap<Partition, Vec<i64>>, Vec<OffsetRange>) {
    let mut found = Seen::default();
    let mut gaps = Vec::new();
    read_ranges(connection, &plan("a"), &ReadLimits::default(), ranges, |event| {
        match event {
            RangeEvent::Chunk(chunk) => {
                found.positions.clear();
                found.chunk(&chunk);
            }
            RangeEvent::Gap(gap) => gaps.push(gap),
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let offsets = found.offsets.into_iter().map(|(log, offsets)| (log.partition, offsets));
    (offsets.collect(), gaps)
}

#[test]
fn ranges_are_read_exactly() {
    let rig = Rig::new(&[("a", 2)]);
    rig.send("a", 0, &captures(0..100));
    rig.send("a", 1, &captures(0..100));
    let range = |partition, from, to| OffsetRange { partition: Partition(partition), from, to };
    let ranges = [range(0, 60, 70), range(1, 99, 100), range(0, 10, 20), range(1, 5, 5)];
    let (found, gaps) = read_again(&rig.connection, &ranges);
    let expected: Vec<i64> = (10..20).chain(60..70).collect();
    assert_eq!(found, BTreeMap::from([(Partition(0), expected), (Partition(1), vec![99])]));
    assert!(gaps.is_empty());
}

#[test]
fn reports_are_acknowledged_or_refused() {
    let rig = Rig::new(&[("reports", 1)]);
    let producer = ReportProducer::start(&rig.connection, "reports").unwrap();
    producer.prepare().unwrap();
    producer.send("m", b"{}", PATIENCE).unwrap();
    assert_eq!(describe_topic(&rig.connection, "reports").unwrap().partitions, [(0, 1)]);
    let nowhere = Connection { bootstrap: "127.0.0.1:1".to_owned(), ..Connection::default() };
    let producer = ReportProducer::start(&nowhere, "reports").unwrap();
    assert!(producer.send("m", b"{}", Duration::from_millis(50)).is_err());
}

#[test]
fn a_refused_property_is_named_without_its_value() {
    let mut connection = Connection { bootstrap: "x:1".to_owned(), ..Connection::default() };
    let secret = driftline_config::Secret::new("hunter2");
    connection.properties.insert("security.protocol".to_owned(), secret);
    let error = CaptureProducer::start(&connection).err().unwrap().to_string();
    assert!(error.contains("security.protocol") && !error.contains("hunter2"), "{error}");
}

#[test]
fn heartbeats_and_foreign_models_are_marks() {
    let rig = Rig::new(&[("a", 1)]);
    let mut values = captures(0..1);
    values.push(r#"{"ts":1767323045678,"heartbeat":true}"#.to_owned());
    values.push(r#"{"ts":1767323045678,"model":"other"}"#.to_owned());
    rig.send("a", 0, &values);
    let mut kinds = Vec::new();
    let range = OffsetRange { partition: Partition(0), from: 0, to: 3 };
    read_ranges(&rig.connection, &plan("a"), &ReadLimits::default(), &[range], |event| {
        if let RangeEvent::Chunk(chunk) = event {
            assert!(chunk.producer_timestamps);
            assert_eq!(chunk.last_record_us, Some(TS_US));
            assert_eq!(
                chunk.skipped_names.iter().map(|name| &**name).collect::<Vec<_>>(),
                ["other"]
            );
            kinds.extend(chunk.marks.iter().map(|mark| mark.kind));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let heartbeat = MarkKind::Heartbeat { model: None, time_us: TS_US, record_time_us: TS_US };
    assert_eq!(kinds, [heartbeat, MarkKind::Skipped { name: 0 }]);
}
