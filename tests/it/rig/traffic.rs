//! Made-up traffic of two models and a stranger, the same in every run, and what must become of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::Path;

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, format_instant};
use driftline_ingest::{Capture, CaptureProducer, Connection};
use serde_json::{Value, json};

use super::PATIENCE;
use super::kafka::Kafka;

/// A Monday, the first day of all traffic.
pub(crate) const FIRST_DAY_US: i64 = 1_767_571_200_000_000;
/// The models that are configured.
pub(crate) const MODELS: [&str; 2] = ["credit", "fraud"];
/// The model that is not.
pub(crate) const STRANGER: &str = "ghost";
/// As configured: rows may be this late.
pub(crate) const LATENESS_US: i64 = HOUR_US;
/// As configured: a larger record is rejected.
const HALF_MINUTE_US: i64 = 30 * SECOND_US;
/// Heartbeats at the end of each partition.
const BEATS: u64 = 96;
pub(crate) const RECORD_BYTES: usize = 32 << 10;
/// Days before the traffic, and rows of each, from which the baseline is made.
const BASELINE_DAYS: i64 = 20;
const BASELINE_ROWS: u64 = 1500;

/// What traffic is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Without the heartbeats at the end.
    pub(crate) records: u64,
    /// Kafka partitions.
    pub(crate) partitions: u64,
    /// Days of event time, one window each.
    pub(crate) days: i64,
    /// Broken envelopes among a thousand records.
    pub(crate) broken: u64,
    /// Late rows among a thousand records, from the third day on.
    pub(crate) late: u64,
    /// The day from which everybody is older, and by how many years.
    pub(crate) older: Option<(i64, u64)>,
    /// After how many days they are young again, and older once more, and so on; never by default.
    pub(crate) older_days: Option<i64>,
    /// The day from which `amount` is sent as text.
    pub(crate) text_from: Option<i64>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            records: 12_000,
            partitions: 3,
            days: 6,
            broken: 10,
            late: 5,
            older: None,
            older_days: None,
            text_from: None,
        }
    }
}

/// A record, and what is meant to become of it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    /// Kafka timestamp.
    pub(crate) timestamp_us: i64,
    pub(crate) meaning: Meaning,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A row of one of [`MODELS`].
    Row { model: usize, time_us: i64 },
    /// Rejected for this reason.
    Broken(&'static str),
    /// A row of the stranger.
    Skipped,
    /// A heartbeat of all models.
    Heartbeat { time_us: i64 },
}

/// What became of a record: the columns of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// In this window of this model.
    Counted {
        model: usize,
        start_us: i64,
    },
    Late,
    Rejected,
    Skipped,
    Control,
}

/// All records in the order in which they are sent; heartbeats that end every window are the last.
pub(crate) fn log(plan: &Plan) -> Vec<Record> {
    Log::new(plan).collect()
}

/// The same, one at a time: for logs that are too long to be held.
pub(crate) struct Log<'a> {
    plan: &'a Plan,
    number: u64,
    /// The next of each partition.
    offsets: Vec<i64>,
}

impl<'a> Log<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Log<'a> {
        Log { plan, number: 0, offsets: vec![0; plan.partitions as usize] }
    }

    fn captured(&self) -> Record {
        let (plan, number) = (self.plan, self.number);
        let span_us = plan.days * DAY_US - 2 * HOUR_US;
        let elapsed_us = i128::from(span_us) * i128::from(number) / i128::from(plan.records);
        let base_us = FIRST_DAY_US + HOUR_US + elapsed_us as i64;
        let kind = mix(number, 2) % 1000;
        let (value, meaning) = if kind < plan.broken {
            let (value, reason) = broken(mix(number, 9), number, base_us);
            (value, Meaning::Broken(reason))
        } else if mix(number, 3).is_multiple_of(5) {
            (row(plan, STRANGER, number, base_us), Meaning::Skipped)
        } else {
            // Out of order by less than the lateness; the late ones by a window and more than that.
            let third_day = base_us >= FIRST_DAY_US + 2 * DAY_US;
            let behind_us = match kind < plan.broken + plan.late && third_day {
                true => DAY_US + 3 * LATENESS_US,
                false => (unit(number, 4) * 45.0 * MINUTE_US as f64) as i64,
            };
            let (model, time_us) = ((mix(number, 5) % 2) as usize, base_us - behind_us);
            (row(plan, MODELS[model], number, time_us), Meaning::Row { model, time_us })
        };
        let partition = (mix(number, 1) % plan.partitions) as i32;
        let key = format!("k{number}");
        Record { partition, offset: 0, key, value, timestamp_us: base_us, meaning }
    }

    /// The heartbeats of all partitions in turns.
    fn heartbeat(&self, number: u64) -> Record {
        let (partition, nth) = (number % self.plan.partitions, number / self.plan.partitions);
        let end_us = FIRST_DAY_US + self.plan.days * DAY_US + LATENESS_US;
        let time_us = end_us + nth as i64 * HALF_MINUTE_US;
        let value = format!(r#"{{"v":1,"ts":"{}","heartbeat":true}}"#, format_instant(time_us));
        Record {
            partition: partition as i32,
            offset: 0,
            key: "h".to_owned(),
            value: value.into_bytes(),
            timestamp_us: time_us,
            meaning: Meaning::Heartbeat { time_us },
        }
    }
}

impl Iterator for Log<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut record = match self.number.checked_sub(self.plan.records) {
            None => self.captured(),
            Some(number) if number < BEATS * self.plan.partitions => self.heartbeat(number),
            Some(_) => return None,
        };
        self.number += 1;
        let offset = &mut self.offsets[record.partition as usize];
        (record.offset, *offset) = (*offset, *offset + 1);
        Some(record)
    }
}

/// Numbers the records of each partition again, after some were taken out.
pub(crate) fn number_again(log: &mut [Record]) {
    let mut offsets: BTreeMap<i32, i64> = BTreeMap::new();
    for record in log {
        let next = offsets.entry(record.partition).or_default();
        record.offset = *next;
        *next += 1;
    }
}

/// One more row, behind `log` in the first partition.
pub(crate) fn further_row(log: &[Record], model: usize, time_us: i64) -> Record {
    let number = 2_000_000_000 + log.len() as u64;
    Record {
        partition: 0,
        offset: log.iter().filter(|record| record.partition == 0).count() as i64,
        key: format!("k{number}"),
        value: row(&Plan::default(), MODELS[model], number, time_us),
        timestamp_us: time_us,
        meaning: Meaning::Row { model, time_us },
    }
}

/// RULES §1 a second time, for a log that closes by itself: a row is late if its partition had passed its
/// window's end and lateness before it.
pub(crate) fn outcomes(log: &[Record]) -> Vec<Outcome> {
    let mut clocks: BTreeMap<(i32, usize), PlainClock> = BTreeMap::new();
    let mut hear = |partition: i32, model: usize, time_us: i64, is_row: bool| -> i64 {
        clocks.entry((partition, model)).or_default().hear(time_us, is_row)
    };
    let outcome = |record: &Record| match record.meaning {
        Meaning::Row { model, time_us } => {
            let said_us = time_us.min(record.timestamp_us);
            let before_us = hear(record.partition, model, said_us, true);
            let start_us = time_us - (time_us - FIRST_DAY_US).rem_euclid(DAY_US);
            match before_us >= start_us + DAY_US + LATENESS_US {
                true => Outcome::Late,
                false => Outcome::Counted { model, start_us },
            }
        }
        Meaning::Broken(_) => Outcome::Rejected,
        Meaning::Skipped => Outcome::Skipped,
        Meaning::Heartbeat { time_us } => {
            for model in 0..MODELS.len() {
                hear(record.partition, model, time_us, false);
            }
            Outcome::Control
        }
    };
    log.iter().map(outcome).collect()
}

/// What one partition says of time to one model, whose lanes both wait for [`LATENESS_US`].
#[derive(Default)]
struct PlainClock {
    /// Least time, rows, whether it began with a jump, and its first time.
    stretches: VecDeque<(i64, u32, bool, i64)>,
    previous_us: Option<i64>,
    passed_us: Option<i64>,
}

impl PlainClock {
    /// What was passed before this row.
    fn hear(&mut self, time_us: i64, is_row: bool) -> i64 {
        let before = self.passed_us;
        let way_us = self.previous_us.map_or(i64::MAX, |us| (time_us - us).abs());
        let jumped = way_us > LATENESS_US;
        self.previous_us = Some(time_us);
        if jumped && self.stretches.iter().all(|stretch| !stretch.2) {
            self.stretches.clear();
        }
        let longest_us = match self.stretches.iter().filter(|stretch| stretch.2).count() {
            0 => 0,
            1..4 => HALF_MINUTE_US,
            _ => 2 * HALF_MINUTE_US,
        };
        let goes_on = |first_us: i64| {
            !jumped && way_us < HALF_MINUTE_US && (time_us - first_us).abs() < longest_us
        };
        match self.stretches.back_mut() {
            Some(last) if goes_on(last.3) => {
                (last.0, last.1) = (last.0.min(time_us), (last.1 + u32::from(is_row)).min(16));
            }
            _ => self.stretches.push_back((time_us, u32::from(is_row), jumped, time_us)),
        }
        if self.stretches.len() > 96 {
            self.stretches.pop_front();
        }
        let disagree = self.stretches.iter().filter(|stretch| stretch.2).count() >= 4;
        let needed = if disagree { 96 } else { 32 };
        if let Some(first) = self.stretches.len().checked_sub(needed) {
            let mut last: Vec<_> = self.stretches.range(first..).copied().collect();
            last.sort_unstable();
            // Heartbeats alone weigh a quarter of a row.
            let weight = |stretch: &(i64, u32, bool, i64)| (4 * stretch.1).max(1);
            let all: u32 = last.iter().map(weight).sum();
            let mut sum = 0;
            let passes = |stretch: &&(i64, u32, bool, i64)| {
                sum += weight(stretch);
                4 * sum > all
            };
            self.passed_us = self.passed_us.max(last.iter().find(passes).map(|s| s.0));
        }
        before.unwrap_or(i64::MIN)
    }
}

/// The columns of the ledger over these records, with their names in order.
pub(crate) fn sums<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Value {
    let mut sums: BTreeMap<&str, u64> =
        ["read", "counted", "late", "ahead", "rejected", "skipped", "control"]
            .map(|name| (name, 0))
            .into();
    for outcome in outcomes {
        let name = match outcome {
            Outcome::Counted { .. } => "counted",
            Outcome::Late => "late",
            Outcome::Rejected => "rejected",
            Outcome::Skipped => "skipped",
            Outcome::Control => "control",
        };
        *sums.entry("read").or_default() += 1;
        *sums.entry(name).or_default() += 1;
    }
    json!(sums)
}

/// The same object with its keys in order.
pub(crate) fn sorted(object: &Value) -> Value {
    let object = object.as_object().unwrap_or_else(|| panic!("{object} is no object"));
    json!(object.iter().collect::<BTreeMap<_, _>>())
}

/// Sends records in their order and waits until the broker has them.
pub(crate) fn produce(kafka: &Kafka, topic: &str, records: &[Record]) {
    let producer = producer(kafka);
    for record in records {
        send(&producer, topic, record);
    }
    producer.flush(PATIENCE).expect("the broker has every record");
}

/// A producer for [`send`].
pub(crate) fn producer(kafka: &Kafka) -> CaptureProducer {
    let connection = Connection {
        bootstrap: kafka.bootstrap.clone(),
        group: "tests".to_owned(),
        properties: BTreeMap::new(),
        login: None,
        registry: None,
    };
    CaptureProducer::start(&connection).expect("a producer")
}

/// Sends one record, and waits for nothing but a place in the producer's queue.
pub(crate) fn send(producer: &CaptureProducer, topic: &str, record: &Record) {
    let capture = Capture {
        topic,
        partition: Some(record.partition),
        key: Some(record.key.as_bytes()),
        value: &record.value,
        timestamp_us: Some(record.timestamp_us),
    };
    producer.send(&capture).expect("the broker takes every record");
}

/// Writes the rows of which the baseline is made, as JSON Lines.
pub(crate) fn write_baseline_rows(file: &Path) {
    let mut text = String::new();
    for day in 0..BASELINE_DAYS {
        for number in 0..BASELINE_ROWS {
            let number = 1_000_000_000 + day as u64 * BASELINE_ROWS + number;
            let elapsed_us = (unit(number, 6) * DAY_US as f64) as i64;
            let ts = format_instant(FIRST_DAY_US + (day - BASELINE_DAYS) * DAY_US + elapsed_us);
            let Values { amount, age, country, premium, score } = Values::of(number);
            let label = label(score);
            writeln!(
                text,
                r#"{{"ts":"{ts}","amount":{amount:.2},"age":{age},"country":"{country}","premium":{premium},"label":"{label}","score":{score:.4}}}"#
            )
            .unwrap();
        }
    }
    std::fs::write(file, text).expect("the folder is writable");
}

struct Values {
    amount: f64,
    age: u64,
    country: &'static str,
    premium: bool,
    score: f64,
}

impl Values {
    fn of(number: u64) -> Values {
        Values {
            amount: -50.0 * (1.0 - unit(number, 11)).ln(),
            age: 18 + mix(number, 12) % 50,
            country: ["DE", "DE", "DE", "FR", "FR", "IT", "AT"][(mix(number, 13) % 7) as usize],
            premium: mix(number, 14).is_multiple_of(4),
            score: unit(number, 15).powi(2),
        }
    }
}

fn label(score: f64) -> &'static str {
    if score > 0.5 { "yes" } else { "no" }
}

/// A capture of a model as [`log`] has it.
pub(crate) fn row(plan: &Plan, model: &str, number: u64, time_us: i64) -> Vec<u8> {
    let reached = |day: i64| time_us >= FIRST_DAY_US + day * DAY_US;
    let older = |day: i64| {
        let since = (time_us - FIRST_DAY_US) / DAY_US - day;
        plan.older_days.is_none_or(|days| (since / days) % 2 == 0)
    };
    let Values { amount, mut age, country, premium, score } = Values::of(number);
    age += plan.older.filter(|(day, _)| reached(*day) && older(*day)).map_or(0, |(_, years)| years);
    let amount = match plan.text_from.is_some_and(reached) {
        true => format!("\"{amount:.2} EUR\""),
        false => format!("{amount:.2}"),
    };
    // Both forms of a timestamp.
    let ts = match number % 2 {
        0 => format!("\"{}\"", format_instant(time_us)),
        _ => (time_us / 1000).to_string(),
    };
    let latency_us = 2000 + mix(number, 16) % 30_000;
    let label = label(score);
    format!(
        r#"{{"v":1,"model":"{model}","version":"7","id":"r{number}","ts":{ts},"latency_us":{latency_us},"status":200,"features":{{"amount":{amount},"age":{age},"country":"{country}","premium":{premium}}},"prediction":{{"label":"{label}","score":{score:.4}}}}}"#
    )
    .into_bytes()
}

/// An envelope that cannot be read, and the reason that must be given for it.
fn broken(which: u64, number: u64, base_us: i64) -> (Vec<u8>, &'static str) {
    let ts = base_us / 1000;
    let text = |text: String| text.into_bytes();
    match which % 13 {
        0 => (Vec::new(), "empty"),
        1 => (b"{\"v\":1,\"model\":\"cr\xff\xfedit\"}".to_vec(), "invalid_utf8"),
        2 => {
            let mut value = row(&Plan::default(), MODELS[0], number, base_us);
            value.truncate(value.len() / 2);
            (value, "invalid_json")
        }
        3 => (text(format!("[{number}]")), "not_an_object"),
        4 => (text(format!("{{\"model\":\"credit\",\"ts\":{ts}}} {{}}")), "not_an_object"),
        5 => (text(format!("{{\"v\":1,\"model\":\"credit\",\"id\":\"b{number}\"}}")), "missing_ts"),
        6 => (text(format!("{{\"v\":1,\"ts\":{ts},\"id\":\"b{number}\"}}")), "missing_model"),
        7 => (row_at("credit", &(ts / 1000).to_string()), "bad_timestamp"),
        8 => (row_at("fraud", "\"yesterday\""), "bad_timestamp"),
        9 => (row_at("fraud", &(ts + 100 * 86_400_000).to_string()), "future"),
        10 => {
            let filling = "x".repeat(RECORD_BYTES);
            let value =
                format!("{{\"v\":1,\"model\":\"credit\",\"ts\":{ts},\"note\":\"{filling}\"}}");
            (text(value), "too_large")
        }
        11 => (text("null".to_owned()), "not_an_object"),
        _ => (text(format!("<capture number={number}/>")), "invalid_json"),
    }
}

fn row_at(model: &str, ts: &str) -> Vec<u8> {
    format!("{{\"v\":1,\"model\":\"{model}\",\"ts\":{ts},\"features\":{{\"age\":30}}}}")
        .into_bytes()
}

/// A number that looks random and depends on nothing but its arguments (splitmix64).
fn mix(number: u64, stream: u64) -> u64 {
    let mut z = (number << 8 | stream).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same between 0 and 1.
fn unit(number: u64, stream: u64) -> f64 {
    (mix(number, stream) >> 11) as f64 / (1_u64 << 53) as f64
}
