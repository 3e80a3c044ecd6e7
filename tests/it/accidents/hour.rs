//! The traffic of eight models that run alike for half an hour of event time; then each has its accident.

use std::fmt::Write as _;
use std::path::Path;

use driftline_config::time::{MINUTE_US, SECOND_US, format_instant};

use crate::rig::traffic::{Meaning, Record};

/// A Monday, ten o'clock: the first minute that is watched.
pub(super) const HOUR_US: i64 = 1_767_607_200_000_000;
/// When everything happens, and when the hour is over.
pub(super) const ACCIDENT_US: i64 = HOUR_US + 30 * MINUTE_US;
const MINUTES: i64 = 60;
/// Requests of a model in a minute.
const ROWS: i64 = 80;
/// Of the model whose client repeats itself: each of its two hundred rows comes some twenty times a window.
const MANY_ROWS: i64 = 1000;
/// Minutes before the hour from which the baseline is made.
const BASELINE_MINUTES: i64 = 24 * 60;
/// Heartbeats at the end, half a minute apart: what many agree on closes the last windows.
const BEATS: i64 = 96;
pub(super) const PARTITIONS: i32 = 2;

/// What happens to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accident {
    /// `amount` becomes text.
    Text,
    /// `amount` is sent in cents.
    Cents,
    /// Two fifths of the requests lack `amount`.
    Nulls,
    /// The country DE is called Germany.
    Renamed,
    /// One request in twenty fails, without a prediction.
    Failing,
    /// One client sends the same two hundred requests again and again.
    Repeating,
    /// Five times as many requests.
    Busy,
    /// No request for ten minutes.
    Paused,
}

impl Accident {
    pub(super) const ALL: [Accident; 8] = [
        Accident::Text,
        Accident::Cents,
        Accident::Nulls,
        Accident::Renamed,
        Accident::Failing,
        Accident::Repeating,
        Accident::Busy,
        Accident::Paused,
    ];

    /// The model that has it.
    pub(super) fn model(self) -> &'static str {
        match self {
            Accident::Text => "text",
            Accident::Cents => "cents",
            Accident::Nulls => "nulls",
            Accident::Renamed => "renamed",
            Accident::Failing => "failing",
            Accident::Repeating => "repeating",
            Accident::Busy => "busy",
            Accident::Paused => "paused",
        }
    }
}

/// What one request is made of.
struct Request {
    amount: f64,
    items: u64,
    country: &'static str,
    channel: &'static str,
}

impl Request {
    /// As people send them.
    fn usual(number: u64) -> Request {
        let spread = |salt: u64| mix(number, salt) as f64 / u64::MAX as f64;
        let country = match mix(number, 3) % 100 {
            0..50 => "FR",
            50..80 => "DE",
            80..95 => "IT",
            _ => "BR",
        };
        Request {
            amount: (10.0 + 90.0 * spread(1) * spread(2) * 100.0).round() / 100.0 + 5.0,
            items: 1 + mix(number, 4) % 12,
            country,
            channel: if mix(number, 5).is_multiple_of(3) { "shop" } else { "web" },
        }
    }

    /// One of the two hundred of a client that sends large orders from one country.
    fn of_the_client(number: u64) -> Request {
        let usual = Request::usual(9_000_000 + number % 200);
        Request { amount: usual.amount + 60.0, country: "BR", ..usual }
    }

    /// The score of the model.
    fn score(&self) -> f64 {
        let raw = self.amount / 250.0 + self.items as f64 / 60.0;
        (raw.min(1.0) * 1e4).round() / 1e4
    }
}

/// All records in the order in which they are sent; heartbeats that close everything are the last.
pub(super) fn log() -> Vec<Record> {
    let mut records = Vec::new();
    for minute in 0..MINUTES {
        for accident in Accident::ALL {
            of_a_minute(accident, minute, &mut records);
        }
    }
    records.sort_by_key(|record| record.timestamp_us);
    for beat in 0..BEATS {
        let time_us = HOUR_US + MINUTES * MINUTE_US + beat * 30 * SECOND_US;
        let value = format!(r#"{{"v":1,"ts":"{}","heartbeat":true}}"#, format_instant(time_us));
        for partition in 0..PARTITIONS {
            records.push(record(partition, value.clone(), Meaning::Heartbeat { time_us }));
        }
    }
    records
}

fn of_a_minute(accident: Accident, minute: i64, records: &mut Vec<Record>) {
    let start_us = HOUR_US + minute * MINUTE_US;
    let now = start_us >= ACCIDENT_US;
    let rows = match accident {
        Accident::Repeating => MANY_ROWS,
        Accident::Busy if now => 5 * ROWS,
        Accident::Paused if now && minute < 40 => 0,
        _ => ROWS,
    };
    for row in 0..rows {
        let number = (minute * 10_000 + row) as u64 + 100_000_000 * (accident as u64 + 1);
        let time_us = start_us + row * MINUTE_US / rows;
        let value = sent(accident, number, time_us);
        let partition = (mix(number, 6) % PARTITIONS as u64) as i32;
        let meaning = Meaning::Row { model: accident as usize, time_us };
        records.push(record(partition, value, meaning));
    }
}

/// A request of a model as it is sent: as it should be before the accident.
fn sent(accident: Accident, number: u64, time_us: i64) -> String {
    let now = time_us >= ACCIDENT_US;
    let client = accident == Accident::Repeating && now && mix(number, 7) % 100 < 38;
    let request = if client { Request::of_the_client(number) } else { Request::usual(number) };
    let fails = accident == Accident::Failing && now && mix(number, 8) % 100 < 5;
    let amount = match accident {
        Accident::Text if now => format!("\"{} EUR\"", request.amount),
        Accident::Cents if now => (request.amount * 100.0).round().to_string(),
        Accident::Nulls if now && mix(number, 9) % 100 < 40 => "null".to_owned(),
        _ => request.amount.to_string(),
    };
    let country = match request.country {
        "DE" if accident == Accident::Renamed && now => "Germany",
        country => country,
    };
    let answer =
        if fails { "null".to_owned() } else { format!(r#"{{"score":{}}}"#, request.score()) };
    let mut text = format!(r#"{{"v":1,"model":"{}","version":"7","#, accident.model());
    let _ = write!(
        text,
        r#""id":"{number}","ts":"{}","latency_ms":12,"status":{},"features":{{"amount":{amount},"items":{},"country":"{country}","channel":"{}"}},"prediction":{answer}}}"#,
        format_instant(time_us),
        if fails { 500 } else { 200 },
        request.items,
        request.channel,
    );
    text
}

/// Writes the day before the hour, as a file of training rows.
pub(super) fn write_baseline_rows(path: &Path) {
    let mut text = String::new();
    for row in 0..BASELINE_MINUTES * ROWS {
        let request = Request::usual(row as u64);
        let time_us = HOUR_US - BASELINE_MINUTES * MINUTE_US + row * MINUTE_US / ROWS;
        let _ = writeln!(
            text,
            r#"{{"ts":"{}","amount":{},"items":{},"country":"{}","channel":"{}","score":{}}}"#,
            format_instant(time_us),
            request.amount,
            request.items,
            request.country,
            request.channel,
            request.score(),
        );
    }
    std::fs::write(path, text).expect("the folder is writable");
}

fn record(partition: i32, value: String, meaning: Meaning) -> Record {
    let timestamp_us = match meaning {
        Meaning::Row { time_us, .. } | Meaning::Heartbeat { time_us } => time_us,
        Meaning::Broken(_) | Meaning::Skipped => HOUR_US,
    };
    let value = value.into_bytes();
    Record { partition, offset: 0, key: "k".to_owned(), value, timestamp_us, meaning }
}

/// The same number for the same number, and another for any other.
fn mix(number: u64, salt: u64) -> u64 {
    let mut mixed = number.wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB_u64)] {
        mixed = (mixed ^ (mixed >> shift)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 31)
}
