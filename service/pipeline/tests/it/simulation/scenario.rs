//! What happens in one simulated run, drawn from its seed: the log, and where the clock speaks.
//!
//! Between two [`Milestone`]s partitions are read in any order and nothing is quiet. At a milestone every
//! partition has been read to the same place whatever happened before, and only there the steady clock may
//! go on: so an idle close cuts at the same offsets in every run over the same log. The wall clock lies
//! beyond all of it, as it does when a log is read that was written long ago.

use std::collections::BTreeMap;
use std::fmt::Write;

use driftline_config::TopicPartition;
use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use driftline_world::{Entry, T0, at, closing_times_us, heartbeat};
use fastrand::Rng;

use super::faults::{Befallen, Fault};
use super::variants::{self, TOPICS, idles, is_zoned};

/// What the wall clock says while the log is read.
pub(super) const WALL_US: i64 = driftline_world::LATER;

/// What is meant to become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A row of the topic's model at this index.
    Row {
        member: usize,
        time_us: i64,
    },
    /// A row that lies too far beyond the wall clock.
    Ahead,
    Rejected(&'static str),
    /// A row of a model that is not configured.
    Skipped,
    /// A heartbeat of one model, or of all.
    Heartbeat {
        member: Option<usize>,
        time_us: i64,
    },
}

/// The log of one partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The first offset that the log holds.
    pub(super) first: i64,
    /// The records, and what each is meant to become.
    pub(super) entries: Vec<(Entry, Meaning)>,
}

/// A place in the log where every run comes to rest.
#[derive(Debug)]
pub(super) struct Milestone {
    /// Where each partition has been read to.
    pub(super) ends: BTreeMap<TopicPartition, i64>,
    /// How many partitions each topic has while it is being read up to here.
    pub(super) partitions: Vec<i32>,
    /// Whether all partitions are quiet here.
    pub(super) quiet: bool,
}

/// A log and its milestones.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) variant: usize,
    pub(super) logs: BTreeMap<TopicPartition, Log>,
    pub(super) milestones: Vec<Milestone>,
    /// Whether each topic's records are stamped by their producers.
    pub(super) producers: Vec<bool>,
    /// Whether the last records close every window.
    pub(super) closed: bool,
    /// What its log brings with it.
    pub(super) befallen: Befallen,
}

/// How often each kind of trouble comes in a thousand records.
struct Mix {
    broken: u32,
    skipped: u32,
    late: u32,
    ahead: u32,
    far_ahead: u32,
    beats: u32,
    beat_runs: u32,
    runs: u32,
    holes: u32,
    unstamped: u32,
}

impl Scenario {
    /// The scenario of a seed.
    pub(super) fn draw(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let variant = rng.usize(0..variants::COUNT);
        let records = match rng.u32(0..40) {
            0..3 => rng.usize(100..400),
            3..=30 => rng.usize(0..24),
            _ => rng.usize(24..90),
        };
        let mut writer = Writer::new(variant, records, &mut rng);
        let stops = if idles(variant) { rng.usize(1..5) } else { rng.usize(0..2) };
        let mut stops: Vec<usize> = (0..stops).map(|_| rng.usize(0..=records)).collect();
        stops.sort_unstable();
        let mut milestones = Vec::new();
        for index in 0..records {
            while stops.first() == Some(&index) {
                stops.remove(0);
                milestones.push(writer.milestone(&mut rng));
                writer.grow(&mut rng);
            }
            writer.record(index, &mut rng);
        }
        let closed = rng.u32(0..5) > 0;
        if closed {
            writer.beat_everywhere();
        }
        milestones.push(writer.milestone(&mut rng));
        let Writer { logs, producers, befallen, .. } = writer;
        Scenario { variant, logs, milestones, producers, closed, befallen }
    }
}

/// 2026-03-27T12:00:00Z and 2026-10-23T12:00:00Z: before days of 23 and of 25 hours in Paris and London.
const BEFORE_CHANGES_US: [i64; 2] = [1_774_612_800_000_000, 1_792_756_800_000_000];
/// When rows that are too far ahead say it is.
const AHEAD_US: i64 = WALL_US + 300 * DAY_US;

/// A record that has no offset yet.
struct Unplaced {
    time_us: Option<i64>,
    value: Option<Vec<u8>>,
    meaning: Meaning,
}

/// Whose record is drawn.
#[derive(Clone, Copy)]
struct Of {
    topic: usize,
    member: usize,
    index: usize,
    stamp_us: i64,
}

/// Writes the records of a scenario.
struct Writer {
    idles: bool,
    logs: BTreeMap<TopicPartition, Log>,
    partitions: Vec<i32>,
    producers: Vec<bool>,
    mix: Mix,
    /// How far the clock of each producer is off.
    clocks_us: Vec<i64>,
    /// Whether records come in bursts.
    bursts: bool,
    /// Event time between two records.
    step_us: i64,
    now_us: i64,
    records: usize,
    next: BTreeMap<TopicPartition, i64>,
    befallen: Befallen,
}

impl Writer {
    fn new(variant: usize, records: usize, rng: &mut Rng) -> Writer {
        let partitions = vec![rng.i32(1..=4), rng.i32(1..=2)];
        let span_us = match variant / 2 {
            3 => rng.i64(30..360) * MINUTE_US,
            _ if is_zoned(variant) => rng.i64(24..144) * HOUR_US,
            2 => rng.i64(6..72) * HOUR_US,
            _ => rng.i64(2..36) * HOUR_US,
        };
        let begun_us = if is_zoned(variant) { BEFORE_CHANGES_US[rng.usize(0..2)] } else { T0 };
        let often = |rng: &mut Rng, most: u32| if rng.bool() { rng.u32(0..most) } else { 0 };
        let mix = Mix {
            broken: often(rng, 120),
            skipped: often(rng, 100),
            late: often(rng, 100),
            ahead: often(rng, 30),
            far_ahead: often(rng, 30),
            beats: often(rng, 60),
            beat_runs: often(rng, 30),
            runs: often(rng, 60),
            holes: often(rng, 100),
            unstamped: often(rng, 30),
        };
        // Of four, so that a quarter of them, or half, is wrong.
        let wrong = [0, 0, 1, 2][rng.usize(0..4)];
        let off_us = rng.i64(1..300) * MINUTE_US * if rng.bool() { 1 } else { -1 };
        let clocks_us = (0..4).map(|producer| if producer < wrong { off_us } else { 0 }).collect();
        let mut writer = Writer {
            clocks_us,
            bursts: rng.u32(0..4) == 0,
            idles: idles(variant),
            logs: BTreeMap::new(),
            partitions: vec![0, 0],
            producers: vec![rng.bool(), rng.bool()],
            mix,
            step_us: span_us / records.max(1) as i64,
            now_us: begun_us,
            records,
            next: BTreeMap::new(),
            befallen: Befallen::default(),
        };
        let begun = rng.u32(0..5) == 0;
        for (topic, count) in partitions.into_iter().enumerate() {
            for partition in 0..count {
                let first = if begun { rng.i64(0..1000) } else { 0 };
                writer.open(at(topic, partition), first);
            }
        }
        writer
    }

    fn open(&mut self, place: TopicPartition, first: i64) {
        self.logs.insert(place, Log { first, entries: Vec::new() });
        self.next.insert(place, first);
        let count = &mut self.partitions[place.topic.0];
        *count = (*count).max(place.partition.0 + 1);
    }

    /// Now and then a topic gets a further partition.
    fn grow(&mut self, rng: &mut Rng) {
        if rng.u32(0..4) == 0 {
            let topic = rng.usize(0..2);
            self.open(at(topic, self.partitions[topic]), 0);
            self.befallen.note(Fault::AddedPartition);
        }
    }

    fn milestone(&mut self, rng: &mut Rng) -> Milestone {
        let quiet = self.idles && rng.u32(0..4) > 0;
        Milestone { ends: self.next.clone(), partitions: self.partitions.clone(), quiet }
    }

    /// Appends a record, with so many offsets behind it that the log does not hold.
    fn push(&mut self, place: TopicPartition, record: Unplaced, hole: i64) {
        let Unplaced { time_us, value, meaning } = record;
        let offset = self.next[&place];
        let entry = Entry { offset, time_us, value };
        self.logs.get_mut(&place).unwrap().entries.push((entry, meaning));
        self.next.insert(place, offset + 1 + hole);
        self.befallen.note_if(hole > 0, Fault::Hole);
        self.befallen.note_if(time_us.is_none(), Fault::Unstamped);
        match meaning {
            Meaning::Row { .. } => {}
            Meaning::Ahead => self.befallen.note(Fault::RowAhead),
            Meaning::Rejected(reason) => self.befallen.note(Fault::Rejected(reason)),
            Meaning::Skipped => self.befallen.note(Fault::Stranger),
            Meaning::Heartbeat { .. } => self.befallen.note(Fault::Heartbeat),
        }
    }

    fn record(&mut self, index: usize, rng: &mut Rng) {
        self.go_on(rng);
        let topic = usize::from(rng.u32(0..4) == 0);
        // The square leaves some partitions nearly silent.
        let share = rng.f64() * rng.f64();
        let partition = (share * f64::from(self.partitions[topic])) as i32;
        let members = TOPICS[topic].1.len();
        let member = usize::from(rng.u32(0..5) < 2).min(members - 1);
        let place = at(topic, partition);
        if rng.u32(0..1000) < self.mix.beat_runs {
            self.befallen.note(Fault::BeatRun);
            return self.beats(place, self.now_us, rng);
        }
        let producer = rng.usize(0..self.clocks_us.len());
        let clock_us = if self.producers[topic] { self.clocks_us[producer] } else { 0 };
        self.befallen.note_if(clock_us > 0, Fault::FastClock);
        self.befallen.note_if(clock_us < 0, Fault::SlowClock);
        // One that sends in runs speaks many times in a row.
        let run = if rng.u32(0..1000) < self.mix.runs { rng.usize(5..60) } else { 1 };
        self.befallen.note_if(run > 1, Fault::Run);
        for nth in 0..run {
            let stamp_us = match self.producers[topic] {
                true => self.now_us - rng.i64(0..60) * SECOND_US + clock_us,
                false => self.now_us,
            };
            self.one(place, Of { topic, member, index: index + nth, stamp_us }, rng);
        }
    }

    /// The log goes on: evenly, in bursts, and now and then hours later.
    fn go_on(&mut self, rng: &mut Rng) {
        let step_us = self.step_us / 1000 * 1000;
        if self.bursts {
            let is_pause = rng.u32(0..20) == 0;
            self.now_us += if is_pause { 20 * step_us } else { 0 };
            self.befallen.note_if(is_pause, Fault::Burst);
        } else {
            self.now_us += step_us;
        }
        if rng.u32(0..150) == 0 {
            self.now_us += rng.i64(1..30) * HOUR_US;
            self.befallen.note(Fault::Jump);
        }
    }

    fn one(&mut self, place: TopicPartition, of: Of, rng: &mut Rng) {
        let (value, meaning) = self.value(of, rng);
        // Without a stamp nothing is too far ahead of it.
        let unstamped =
            rng.u32(0..1000) < self.mix.unstamped && meaning != Meaning::Rejected("future");
        let stamp_us = if meaning == Meaning::Ahead { AHEAD_US } else { of.stamp_us };
        let time_us = (!unstamped).then_some(stamp_us);
        let hole = if rng.u32(0..1000) < self.mix.holes { rng.i64(1..4) } else { 0 };
        self.push(place, Unplaced { time_us, value, meaning }, hole);
    }

    /// What the next record holds, and what is meant to become of it.
    fn value(&mut self, of: Of, rng: &mut Rng) -> (Option<Vec<u8>>, Meaning) {
        let Of { topic, member, index, stamp_us } = of;
        let kind = rng.u32(0..1000);
        let mut bound = 0;
        let mut below = |share: u32| {
            bound += share;
            kind < bound
        };
        if below(self.mix.broken) {
            return broken(of, rng);
        }
        if below(self.mix.skipped) {
            let name = ["nobody", "ghost"][rng.usize(0..2)];
            return (Some(self.capture(name, stamp_us, index, rng)), Meaning::Skipped);
        }
        if below(self.mix.beats) {
            let member = rng.bool().then_some(member);
            let beat = heartbeat(member.map(|member| TOPICS[topic].1[member]), stamp_us);
            return (Some(beat.into_bytes()), Meaning::Heartbeat { member, time_us: stamp_us });
        }
        if below(self.mix.far_ahead) {
            return (
                Some(self.capture(TOPICS[topic].1[member], AHEAD_US, index, rng)),
                Meaning::Ahead,
            );
        }
        let time_us = if below(self.mix.late) {
            stamp_us - rng.i64(60..900) * MINUTE_US
        } else if below(self.mix.ahead) {
            stamp_us + rng.i64(1..60) * MINUTE_US
        } else {
            stamp_us - rng.i64(0..(8 * 60)) * SECOND_US * i64::from(rng.bool())
        };
        let value = self.capture(TOPICS[topic].1[member], time_us, index, rng);
        (Some(value), Meaning::Row { member, time_us })
    }

    fn beat_everywhere(&mut self) {
        let places: Vec<TopicPartition> = self.logs.keys().copied().collect();
        for place in places {
            for beat_us in closing_times_us(self.now_us + 10 * DAY_US) {
                self.beat(place, beat_us);
            }
        }
    }

    /// So many heartbeats that what lies before them is passed, or not quite.
    fn beats(&mut self, place: TopicPartition, from_us: i64, rng: &mut Rng) {
        let from_us = from_us + rng.i64(0..4) * HOUR_US;
        for beat_us in closing_times_us(from_us).take(rng.usize(20..100)) {
            self.beat(place, beat_us);
        }
    }

    fn beat(&mut self, place: TopicPartition, beat_us: i64) {
        let meaning = Meaning::Heartbeat { member: None, time_us: beat_us };
        let value = Some(heartbeat(None, beat_us).into_bytes());
        self.push(place, Unplaced { time_us: Some(beat_us), value, meaning }, 0);
    }

    fn capture(&self, model: &str, time_us: i64, index: usize, rng: &mut Rng) -> Vec<u8> {
        let moved = index > self.records / 2;
        let x = rng.i64(0..1000) + if moved { 700 } else { 0 };
        let kind = ["a", "b", "c", "d"][rng.usize(0..if moved { 4 } else { 3 })];
        let score = rng.f64() * if moved { 0.3 } else { 1.0 };
        let status = if rng.u32(0..12) == 0 { 500 } else { 200 };
        let version = rng.u32(1..4) * u32::from(moved) + 1;
        let mut text = format!(
            r#"{{"v":1,"model":"{model}","version":"{version}","id":"{index}","ts":{},"latency_us":{},"status":{status}"#,
            time_us / 1000,
            rng.u32(100..9000),
        );
        // Values of the wrong type and missing ones never cost a row.
        match rng.u32(0..30) {
            0 => text.push_str(r#","features":{"x":"wrong","kind":7}"#),
            1 => text.push_str(r#","features":{"x":null,"further":1}"#),
            2 => text.push_str(r#","features":{"x":NaN,"kind":null}"#),
            3 => {}
            _ => {
                let _ = write!(text, r#","features":{{"x":{x},"kind":"{kind}"}}"#);
            }
        }
        let _ = write!(text, r#","prediction":{{"score":{score}}}}}"#);
        text.into_bytes()
    }
}

/// A record whose envelope cannot be read.
fn broken(of: Of, rng: &mut Rng) -> (Option<Vec<u8>>, Meaning) {
    let (model, index) = (TOPICS[of.topic].1[0], of.index);
    let ts = of.stamp_us / 1000;
    let (value, reason): (Option<Vec<u8>>, _) = match rng.u32(0..9) {
        0 => (None, "empty"),
        1 => (Some(vec![b'{', 0xff, b'}']), "invalid_utf8"),
        2 => (Some(format!(r#"{{"model":"{model}","ts":{ts}"#).into_bytes()), "invalid_json"),
        3 => (Some(b"[1]".to_vec()), "not_an_object"),
        4 => (Some(format!(r#"{{"v":1,"model":7,"ts":{ts}}}"#).into_bytes()), "missing_model"),
        5 => (Some(format!(r#"{{"model":"{model}","id":"{index}"}}"#).into_bytes()), "missing_ts"),
        6 => {
            let seconds = ts / 1000;
            let text = format!(r#"{{"model":"{model}","ts":{seconds}}}"#);
            (Some(text.into_bytes()), "bad_timestamp")
        }
        7 => {
            let text = format!(r#"{{"model":"{model}","ts":{}}}"#, ts + 90 * 60_000);
            (Some(text.into_bytes()), "future")
        }
        _ => (Some(vec![b' '; 5000]), "too_large"),
    };
    (value, Meaning::Rejected(reason))
}
