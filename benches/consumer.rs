//! Fills a topic with captures and reads it again in ways that Driftline is held against;
//! `end_to_end.py` runs it.
//!
//! ```text
//! consumer sample ROWS                          prints captures, a line each
//! consumer preload BOOTSTRAP TOPIC ROWS         sends captures a millisecond apart to partition 0
//! consumer read HOW BOOTSTRAP TOPIC ROWS        HOW: bare, floor, arrow-json or readers
//! ```

mod cases;

use std::io::Write;
use std::time::{Duration, Instant};

use cases::BATCH_ROWS;
use cases::{decode, floor, reader};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        // Without arguments it is one of `cargo bench`'s benchmarks, and has nothing to do.
        [] => Ok(()),
        ["sample", rows] => sample(rows.parse()?),
        ["preload", bootstrap, topic, rows] => preload(bootstrap, topic, rows.parse()?),
        ["read", "readers", bootstrap, topic, rows] => readers(bootstrap, topic, rows.parse()?),
        ["read", how, bootstrap, topic, rows] => read(how, bootstrap, topic, rows.parse()?),
        _ => Err("see the first lines of benches/consumer.rs".into()),
    }
}

fn sample(rows: usize) -> Outcome {
    let mut out = std::io::stdout().lock();
    for row in 0..rows {
        writeln!(out, "{}", decode::capture_at(row))?;
    }
    Ok(())
}

fn preload(bootstrap: &str, topic: &str, rows: usize) -> Outcome {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.kbytes", "200000")
        .create()?;
    for row in 0..rows {
        let capture = decode::capture_at(row);
        let mut record = BaseRecord::<(), str>::to(topic).partition(0).payload(&capture);
        while let Err((error, refused)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(20));
            record = refused;
        }
        if row % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

fn read(how: &str, bootstrap: &str, topic: &str, rows: usize) -> Outcome {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "benchmark")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // As our readers have it: with the default of a second a full queue makes every reader wait.
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.wait.max.ms", "100")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let mut reader = Reader::new(how)?;
    let (mut begun, mut cpu_before, mut left) = (None, 0.0, rows);
    while left > 0 {
        let message = consumer.poll(PATIENCE).ok_or("the topic has fewer rows")??;
        if begun.is_none() {
            begun = Some(Instant::now());
            cpu_before = cpu_seconds()?;
        }
        reader.take(message.payload().unwrap_or_default());
        left -= 1;
    }
    let seconds = begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
    let cpu_seconds = cpu_seconds()? - cpu_before;
    println_json(rows, seconds, cpu_seconds, reader.checksum)
}

/// Our own readers, with a window and a pane behind them.
fn readers(bootstrap: &str, topic: &str, rows: usize) -> Outcome {
    let mut begun = None;
    reader::read(bootstrap, topic, rows, || begun = Some((Instant::now(), cpu_seconds())))?;
    let (begun, cpu_before) = begun.ok_or("no rows")?;
    let seconds = begun.elapsed().as_secs_f64();
    println_json(rows, seconds, cpu_seconds()? - cpu_before?, 0.0)
}

#[derive(Clone, Copy)]
enum How {
    Bare,
    Floor,
    ArrowJson,
}

/// What is done with each payload.
struct Reader {
    how: How,
    arrow_json: arrow_json::reader::Decoder,
    waiting: usize,
    checksum: f64,
}

impl Reader {
    fn new(how: &str) -> Result<Reader, String> {
        let how = match how {
            "bare" => How::Bare,
            "floor" => How::Floor,
            "arrow-json" => How::ArrowJson,
            _ => return Err(format!("{how}: write bare, floor or arrow-json")),
        };
        Ok(Reader { how, arrow_json: decode::arrow_json(), waiting: 0, checksum: 0.0 })
    }

    fn take(&mut self, payload: &[u8]) {
        match self.how {
            How::Bare => self.checksum += payload.len() as f64,
            How::Floor => self.checksum += floor::sum_of_numbers(payload),
            How::ArrowJson => {
                let read = self.arrow_json.decode(payload);
                self.waiting += usize::from(read.is_ok());
                if self.waiting == BATCH_ROWS {
                    self.waiting = 0;
                    let batch = self.arrow_json.flush().ok().flatten();
                    self.checksum += batch.map_or(0.0, |batch| batch.num_rows() as f64);
                }
            }
        }
    }
}

/// What this process and its threads have used; Linux alone tells it this way.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

fn println_json(rows: usize, seconds: f64, cpu_seconds: f64, checksum: f64) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{{\"rows\":{rows},\"seconds\":{seconds},\"cpu_seconds\":{cpu_seconds},\"checksum\":{checksum}}}"
    )?;
    Ok(())
}
