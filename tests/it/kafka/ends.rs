//! What readers say of the ends of logs on a real broker: since when there was no more, what they take for lag,
//! and which partitions there are.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use driftline_capture::CaptureSchema;
use driftline_config::time::{ClockReading, SECOND_US};
use driftline_config::{DeadLetters as Mode, Partition, Start, TopicId, TopicPartition};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Clock, Connection, DeadLetters, Event, ReadLimits, ReadPlan, Readers, TopicPlan,
};
use serde_json::{Value, json};

use super::network::proxied;
use crate::rig::PATIENCE;
use crate::rig::kafka::{self, Kafka};

/// Events that wait for a test.
const WAITING: usize = 64;
/// How long what the broker sends is on its way, and when a further question is on its way for certain.
const DELAY_MS: u64 = 1500;
const ASKED_AFTER_US: i64 = 1_100_000;
/// How long the broker stands still.
const PAUSE_US: i64 = 6 * SECOND_US;
/// A question that was asked while the broker stood still may wait so long for its answer.
const ANSWERED_WITHIN_US: i64 = 2 * SECOND_US;

/// Readers of one topic, and what they told.
struct Heard {
    clock: Clock,
    readers: Readers,
    events: Receiver<Event>,
    ends: Vec<End>,
    counts: Vec<i32>,
    rows: BTreeMap<i32, usize>,
    in_trouble: bool,
}

#[derive(Debug, Clone, Copy)]
struct End {
    partition: i32,
    offset: i64,
    sampled: Option<ClockReading>,
    told: ClockReading,
}

impl Heard {
    fn start(kafka: &Kafka, topic: &str) -> Heard {
        Heard::start_at(&kafka.bootstrap, topic)
    }

    fn start_at(bootstrap: &str, topic: &str) -> Heard {
        let connection = Connection {
            bootstrap: bootstrap.to_owned(),
            group: topic.to_owned(),
            ..Connection::default()
        };
        let schema = CaptureSchema { columns: Vec::new(), ignored: Vec::new() };
        let model =
            ModelPlan { name: "m".to_owned(), schema, max_ahead_us: i64::MAX, mapping: None };
        let topic =
            TopicPlan { topic: topic.to_owned(), models: vec![model], start: Start::Earliest };
        let clock = Clock::new();
        let letters = DeadLetters::start(&connection, &Mode::Off, 1 << 20).unwrap();
        let plan = ReadPlan {
            connection,
            topics: vec![topic],
            positions: BTreeMap::new(),
            threads: Some(2),
            limits: ReadLimits::default(),
            newcomers: driftline_ingest::Newcomers::default(),
            clock: clock.clone(),
        };
        let (sender, events) = sync_channel(WAITING);
        let readers = Readers::start(plan, letters, sender).unwrap();
        let (ends, counts, rows) = (Vec::new(), Vec::new(), BTreeMap::new());
        Heard { clock, readers, events, ends, counts, rows, in_trouble: false }
    }

    /// Takes events until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Heard) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}; {:?}", self.ends);
            let Ok(event) = self.events.recv_timeout(Duration::from_millis(100)) else { continue };
            match event {
                Event::Chunk { chunk, .. } => {
                    let rows: usize = chunk.rows.iter().map(|rows| rows.rows.rows()).sum();
                    *self.rows.entry(chunk.partition.0).or_default() += rows;
                }
                Event::EndOfPartition { partition, offset, sampled, .. } => {
                    let told = self.clock.now();
                    self.ends.push(End { partition: partition.0, offset, sampled, told });
                }
                Event::Partitions { count, .. } => self.counts.push(count),
                Event::Trouble { fatal, message, .. } => {
                    assert!(!fatal, "{message}");
                    self.in_trouble = true;
                }
                Event::Recovered { .. } => self.in_trouble = false,
                _ => {}
            }
        }
    }

    /// The newest moment at which a partition is known to have ended at `offset`.
    fn sampled(&self, partition: i32, offset: i64) -> Option<ClockReading> {
        let of = self.ends.iter().filter(|end| (end.partition, end.offset) == (partition, offset));
        of.filter_map(|end| end.sampled).max()
    }

    fn lag(&self) -> Vec<(i32, i64)> {
        self.readers.lag().into_iter().map(|(log, lag)| (log.partition.0, lag)).collect()
    }
}

fn rows(partition: i32, count: usize) -> Vec<Value> {
    vec![json!({"partition": partition, "value": r#"{"ts":1767323045678}"#}); count]
}

/// Six producers' partitions were closed as quiet while the broker stood still: that an end was reached long
/// ago says nothing of now.
#[test]
fn no_log_is_known_to_be_quiet_while_its_broker_stands_still() {
    let Some(kafka) = Kafka::start() else { return };
    let topic = kafka.create_topic("still", 2, &[]);
    kafka.produce(&topic, rows(0, 5));
    let mut heard = Heard::start(&kafka, &topic);
    heard.until("samples of both", |heard| {
        heard.sampled(0, 5).is_some() && heard.sampled(1, 0).is_some()
    });
    kafka.signal("-STOP");
    let stopped = heard.clock.now();
    heard.until("a pause", |heard| heard.clock.now().steady_us - stopped.steady_us >= PAUSE_US);
    let ends_before = heard.ends.len();
    let going_on = heard.clock.now();
    kafka.signal("-CONT");
    kafka.produce(&topic, rows(0, 1));
    let acknowledged = heard.clock.now();
    heard.until("samples of after the pause", |heard| {
        let after = |sampled: Option<ClockReading>| sampled >= Some(acknowledged);
        after(heard.sampled(0, 6)) && after(heard.sampled(1, 0))
    });
    for (number, end) in heard.ends.iter().enumerate() {
        let Some(sampled) = end.sampled else { continue };
        assert!(sampled <= end.told, "{end:?}");
        // What was asked just before is answered just before, or not at all.
        let answered = number >= ends_before || sampled <= stopped;
        assert!(answered, "{end:?} of the pause, told in it");
        let last_us = going_on.steady_us - ANSWERED_WITHIN_US;
        let in_pause = sampled > stopped && sampled.steady_us < last_us;
        assert!(!in_pause, "{end:?} of the pause from {stopped:?} to {going_on:?}");
        let held_it = end.partition == 0 && sampled >= acknowledged;
        assert!(
            !held_it || end.offset == 6,
            "{end:?}: the sixth row was there at {acknowledged:?}"
        );
    }
    heard.readers.stop();
}

/// An answer that took a second claimed that nothing had come in that second.
#[test]
fn an_answer_that_is_long_on_its_way_says_nothing_of_the_time_since() {
    let Some(proxied) = proxied() else { return };
    let (kafka, proxy) = (&proxied.kafka, &proxied.proxy);
    let topic = kafka.create_topic("slow", 1, &[]);
    let mut heard = Heard::start_at(&proxied.address, &topic);
    heard.until("a sample", |heard| heard.sampled(0, 0).is_some());
    proxy.add("latency", "downstream", &json!({"latency": DELAY_MS}));
    let mut acknowledged = Vec::new();
    for offset in 0..6 {
        heard.until("a sample", |heard| heard.sampled(0, offset).is_some());
        let last_us = heard.ends.last().map_or(0, |end| end.told.steady_us);
        heard.until("a question", |heard| heard.clock.now().steady_us - last_us >= ASKED_AFTER_US);
        kafka.produce(&topic, rows(0, 1));
        acknowledged.push((offset, heard.clock.now()));
    }
    heard.until("the last sample", |heard| heard.sampled(0, 6).is_some());
    for end in &heard.ends {
        for (offset, at) in &acknowledged {
            let held_it = end.sampled >= Some(*at);
            assert!(!held_it || end.offset > *offset, "{end:?}: {offset} was there at {at:?}");
        }
    }
    heard.readers.stop();
}

/// A partition whose last record was a transaction's showed a lag of one for ever, and was never known to
/// have ended.
#[test]
fn markers_of_transactions_are_no_lag() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("markers", 2, &[]);
    // Five rows and a marker; in the other, rows that nobody reads and a marker.
    kafka.transact(&topic, rows(0, 5), true);
    kafka.transact(&topic, rows(1, 3), false);
    let mut heard = Heard::start(kafka, &topic);
    let ended = |ends: [i64; 2]| {
        move |heard: &Heard| {
            (0..).zip(ends).all(|(partition, end)| heard.sampled(partition, end).is_some())
        }
    };
    heard.until("ends behind the markers", ended([6, 4]));
    assert_eq!(heard.lag(), [(0, 0), (1, 0)]);
    assert_eq!(heard.rows, BTreeMap::from([(0, 5), (1, 0)]));
    // Once it is at its end, nothing but markers follow.
    kafka.transact(&topic, rows(0, 1), false);
    kafka.transact(&topic, rows(1, 2), true);
    heard.until("ends behind further markers", ended([8, 7]));
    assert_eq!(heard.lag(), [(0, 0), (1, 0)]);
    assert_eq!(heard.rows, BTreeMap::from([(0, 5), (1, 2)]));
    let at = |partition| TopicPartition { topic: TopicId(0), partition: Partition(partition) };
    assert_eq!(heard.readers.positions(), BTreeMap::from([(at(0), 8), (at(1), 7)]));
    heard.readers.stop();
}

/// Of a topic that was made again with two partitions instead of four, the two others were waited for.
#[test]
fn partitions_that_a_topic_has_no_longer_leave_nothing_behind() {
    let Some(kafka) = kafka::broker() else { return };
    let topic = kafka.create_topic("fewer", 4, &[]);
    kafka.produce(&topic, (0..4).flat_map(|partition| rows(partition, 10)).collect());
    let mut heard = Heard::start(kafka, &topic);
    heard
        .until("four ends", |heard| (0..4).all(|partition| heard.sampled(partition, 10).is_some()));
    kafka.delete_topic(&topic);
    kafka.create_named_topic(&topic, 2, &[]);
    kafka.produce(&topic, (0..2).flat_map(|partition| rows(partition, 3)).collect());
    heard.until("fewer partitions", |heard| heard.counts == [4, 2]);
    heard.until("the new rows, and calm", |heard| {
        (0..2).all(|partition| heard.sampled(partition, 3).is_some()) && !heard.in_trouble
    });
    assert_eq!(heard.rows, BTreeMap::from([(0, 13), (1, 13), (2, 10), (3, 10)]));
    heard.until("nothing of the others", |heard| heard.lag() == [(0, 0), (1, 0)]);
    // It grows again: what is in the new partitions is read from their beginning.
    kafka.grow_topic(&topic, 3);
    kafka.produce(&topic, rows(2, 4));
    heard.until("a partition that is back", |heard| heard.sampled(2, 4).is_some());
    assert_eq!(heard.counts, [4, 2, 3]);
    assert_eq!(heard.rows[&2], 14);
    heard.readers.stop();
}
