//! The serving system of the demo: scores each departure and puts the capture on the broker.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use arrow::array::Array;
use driftline_config::time::{DAY_US, SECOND_US};
use driftline_config::{Candidate, CandidateOutput, Limits, Purpose, sha256_hex};
use driftline_ingest::{Capture, CaptureProducer, Connection};
use driftline_shadow::{Model, Runtime};

use super::flights::{Departures, Flights, NUMBERS, TEXTS};
use super::quality::Quality;
use super::{CHAMPION, PARTITIONS, RECENT, ReadSoFar, SPRING, TOPIC};

/// Requests that the server answers at once, as a server under load does.
const TOGETHER: usize = 8;
/// Captures that may lie between producer and reader: a small part of what the broker keeps.
const AHEAD: u64 = 16_384;
/// Rows that may wait for a candidate: the replay is faster than life, and must not make it shed.
const CANDIDATE_ROWS: u64 = 16_384;
/// Heartbeats that pass a window wherever clocks disagree, as flights by night do, and the time between two.
const CLOSING_BEATS: i64 = 96;
const CLOSING_STEP_US: i64 = 30 * SECOND_US;
/// Rest while reader or candidates are behind.
const REST: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// As fast as the service reads.
    Max,
    /// So many times as fast as it happened.
    Times(f64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) speed: Speed,
    pub(super) until_us: i64,
}

pub(super) fn parse_speed(text: &str) -> Result<Speed, String> {
    let expected = || format!("\"{text}\" is no speed: write 1x, 100000x or max");
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times: f64 = text.strip_suffix('x').unwrap_or(text).parse().map_err(|_| expected())?;
    if times > 0.0 && times.is_finite() { Ok(Speed::Times(times)) } else { Err(expected()) }
}

#[derive(Debug)]
pub(super) struct Traffic {
    shared: Arc<SharedTraffic>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct SharedTraffic {
    records: AtomicU64,
    stop: AtomicBool,
    quality: Mutex<Quality>,
}

impl Traffic {
    pub(super) fn start(
        bootstrap: &str,
        runtime: &Runtime,
        Pace { speed, until_us }: Pace,
        read: Arc<ReadSoFar>,
    ) -> anyhow::Result<Traffic> {
        let connection = Connection { bootstrap: bootstrap.to_owned(), ..Connection::default() };
        let shared = Arc::new(SharedTraffic::default());
        let server = Server {
            champion: load("champion", CHAMPION, runtime)?,
            others: vec![
                ("spring", load("spring", SPRING, runtime)?),
                ("recent", load("recent", RECENT, runtime)?),
            ],
            producer: CaptureProducer::start(&connection)?,
            shared: Arc::clone(&shared),
            read,
            until_us,
            pace: match speed {
                Speed::Max => None,
                Speed::Times(times) => Some((times, None)),
            },
        };
        let thread = std::thread::Builder::new()
            .name("flights".to_owned())
            .spawn(move || server.run())
            .context("the operating system refuses a thread")?;
        Ok(Traffic { shared, thread: Some(thread) })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn produced(&self) -> u64 {
        self.shared.records.load(Ordering::Relaxed)
    }

    /// How good the models were on the flights that were produced.
    pub(super) fn quality(&self) -> Quality {
        self.shared.quality.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(anyhow::anyhow!("the producer of flights broke down")),
            None => Ok(()),
        }
    }
}

fn load(name: &str, bytes: &[u8], runtime: &Runtime) -> anyhow::Result<Model> {
    let inputs = ["dep_delay", "distance", "hour", "day_of_week", "wind_speed", "precip", "visib"];
    let candidate = Candidate {
        name: name.to_owned(),
        onnx: format!("{name}.onnx").into(),
        sha256: sha256_hex(bytes),
        inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
        output: CandidateOutput {
            classes: vec!["on-time".to_owned(), "late".to_owned()],
            ..CandidateOutput::default()
        },
        purpose: Purpose::Better,
        trained_until_us: None,
        sample: 1.0,
    };
    Model::load(bytes, &candidate, Limits::default().onnx_bytes, runtime)
        .with_context(|| format!("the embedded model {name}"))
}

struct Server {
    champion: Model,
    others: Vec<(&'static str, Model)>,
    producer: CaptureProducer,
    shared: Arc<SharedTraffic>,
    read: Arc<ReadSoFar>,
    /// Flights that depart from here on are left out.
    until_us: i64,
    /// Factor, and the wall and event time of the first flight.
    pace: Option<(f64, Option<(Instant, i64)>)>,
}

impl Server {
    fn run(mut self) -> anyhow::Result<()> {
        let mut flights = Flights::open()?;
        let mut last_us = 0;
        while let Some(departures) = flights.next()? {
            last_us = departures.departed_us.last().copied().unwrap_or(last_us);
            self.serve(&departures)?;
            if self.shared.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if last_us >= self.until_us {
                // The week goes on, only not here: nothing closes its window.
                return Ok(self.producer.flush(Duration::from_secs(60))?);
            }
        }
        self.close_windows(last_us)?;
        self.producer.flush(Duration::from_secs(60))?;
        Ok(())
    }

    /// Answers the requests of a batch and puts them on the broker.
    fn serve(&mut self, departures: &Departures) -> anyhow::Result<()> {
        let in_time = departures.departed_us.iter().take_while(|at_us| **at_us < self.until_us);
        let rows: Vec<u32> = (0u32..).zip(in_time).map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut scores = Vec::with_capacity(rows.len());
        let mut value = String::new();
        for together in rows.chunks(TOGETHER) {
            let asked = Instant::now();
            let answers = self.champion.score(&departures.features, together)?;
            let latency_us = asked.elapsed().as_micros();
            let labels = answers.labels.context("the champion gives no label")?;
            let of_these = answers.scores.context("the champion gives no score")?;
            for ((&row, label), score) in together.iter().zip(&labels).zip(&of_these) {
                let row = row as usize;
                self.keep_pace(departures.departed_us.get(row).copied().unwrap_or(0));
                let answer = Answer { latency_us, label, score: *score };
                write_capture(&mut value, departures, row, &answer)?;
                self.send(departures, row, &value)?;
            }
            scores.extend(of_these);
        }
        self.judge(departures, &rows, &scores)
    }

    fn send(&self, departures: &Departures, row: usize, value: &str) -> anyhow::Result<()> {
        let number = self.shared.records.load(Ordering::Relaxed);
        while !self.shared.stop.load(Ordering::Relaxed)
            && (number >= self.read.records.load(Ordering::Relaxed) + AHEAD
                || self.read.waiting_for_candidates.load(Ordering::Relaxed) > CANDIDATE_ROWS)
        {
            std::thread::sleep(REST);
        }
        let partition = i32::try_from(number % u64::from(PARTITIONS.unsigned_abs())).unwrap_or(0);
        self.producer.send(&Capture {
            topic: TOPIC,
            partition: Some(partition),
            key: Some(departures.ids.value(row).as_bytes()),
            value: value.as_bytes(),
            timestamp_us: departures.departed_us.get(row).copied(),
        })?;
        self.shared.records.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn keep_pace(&mut self, departed_us: i64) {
        let Some((times, since)) = &mut self.pace else { return };
        let (began, first_us) = *since.get_or_insert((Instant::now(), departed_us));
        let due = Duration::from_micros(u64::try_from(departed_us - first_us).unwrap_or(0));
        let due = due.div_f64(*times);
        while began.elapsed() < due && !self.shared.stop.load(Ordering::Relaxed) {
            std::thread::sleep((due - began.elapsed().min(due)).min(Duration::from_millis(50)));
        }
    }

    /// What the arrivals say later of each model's scores.
    fn judge(
        &mut self,
        departures: &Departures,
        rows: &[u32],
        champion: &[f64],
    ) -> anyhow::Result<()> {
        let mut all = vec![("champion", champion.to_vec())];
        for (name, model) in &mut self.others {
            let scores = model.score(&departures.features, rows)?.scores;
            all.push((*name, scores.context("a candidate gives no score")?));
        }
        let mut quality = self.shared.quality.lock().unwrap_or_else(PoisonError::into_inner);
        for row in 0..rows.len() {
            if departures.arrival_delay.is_null(row) {
                continue;
            }
            let late = departures.arrival_delay.value(row) > 15.0;
            let Some(&departed_us) = departures.departed_us.get(row) else { continue };
            let month = jiff::Timestamp::from_microsecond(departed_us)?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .month();
            let scores: Vec<(&'static str, f64)> = all
                .iter()
                .filter_map(|(name, scores)| scores.get(row).map(|score| (*name, *score)))
                .collect();
            quality.add(month.unsigned_abs(), late, &scores);
        }
        Ok(())
    }

    /// The replay ends for good: heartbeats carry every partition past its last windows.
    fn close_windows(&self, last_us: i64) -> anyhow::Result<()> {
        for nth in 0..CLOSING_BEATS {
            let time_us = last_us + 9 * DAY_US + nth * CLOSING_STEP_US;
            let value = format!(
                "{{\"v\":1,\"model\":\"flight-delay\",\"ts\":{},\"heartbeat\":true}}",
                time_us / 1000
            );
            for partition in 0..PARTITIONS {
                self.producer.send(&Capture {
                    topic: TOPIC,
                    partition: Some(partition),
                    key: None,
                    value: value.as_bytes(),
                    timestamp_us: Some(time_us),
                })?;
                self.shared.records.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// What the champion answered a request, and how long that took.
struct Answer<'a> {
    latency_us: u128,
    label: &'a str,
    score: f64,
}

/// One capture in `driftline-json`. Identifiers, carriers and airports are letters and digits.
fn write_capture(
    value: &mut String,
    departures: &Departures,
    row: usize,
    Answer { latency_us, label, score }: &Answer<'_>,
) -> anyhow::Result<()> {
    value.clear();
    let time_ms = departures.departed_us.get(row).copied().unwrap_or(0) / 1000;
    let id = departures.ids.value(row);
    write!(
        value,
        "{{\"v\":1,\"model\":\"flight-delay\",\"version\":\"1\",\"id\":\"{id}\",\"ts\":{time_ms},\
         \"latency_us\":{latency_us},\"status\":200,\"features\":{{"
    )?;
    for (name, numbers) in NUMBERS.iter().zip(&departures.numbers) {
        if numbers.is_null(row) {
            write!(value, "\"{name}\":null,")?;
        } else {
            write!(value, "\"{name}\":{},", numbers.value(row))?;
        }
    }
    for (index, (name, texts)) in TEXTS.iter().zip(&departures.texts).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(value, "{comma}\"{name}\":\"{}\"", texts.value(row))?;
    }
    write!(value, "}},\"prediction\":{{\"label\":\"{label}\",\"score\":{score}}}}}")?;
    Ok(())
}
