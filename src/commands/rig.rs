//! For tests of commands: an embedded broker, a model with its baseline, and the service's pipeline
//! over what the broker holds.

use std::fmt::Write as _;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser};
use driftline_batch::setups::load_setup;
use driftline_capture::Chunk;
use driftline_config::time::{DAY_US, format_instant, parse_instant_us};
use driftline_config::{Config, Partition, Start, TopicId};
use driftline_formats::ModelPlan;
use driftline_ingest::{
    Capture, CaptureProducer, Connection, EmbeddedBroker, OffsetRange, RangeEvent, ReadLimits,
    TopicPlan, read_ranges, topic_offsets,
};
use driftline_pipeline::inline::Inline;
use driftline_pipeline::setup::Setup;
use driftline_pipeline::{Event, Read};
use driftline_store::Store;
use driftline_world::{LATER, World, closing_times_us};

use super::screen::Color;
use super::{baseline, configured, produce};

pub(super) const TOPIC: &str = "captures";
/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 3;
pub(super) const ROWS_A_DAY: i64 = 240;
const FIRST_DAY: &str = "2026-11-02T00:00:00Z";
/// No acknowledgement is awaited longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration of two models on one topic, a baseline, and a broker.
pub(crate) struct Rig {
    pub(super) folder: tempfile::TempDir,
    pub(super) config: PathBuf,
    pub(super) connection: Connection,
    pub(super) producer: CaptureProducer,
    _broker: EmbeddedBroker,
}

#[derive(Parser)]
struct Line<T: Args> {
    #[command(flatten)]
    args: T,
}

/// Arguments of a command as they are written.
pub(super) fn arguments<T: Args>(words: &[&str]) -> T {
    let words = std::iter::once("driftline").chain(words.iter().copied());
    Line::<T>::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args
}

impl Rig {
    /// Windows of a day that wait for `at_least` rows.
    pub(crate) fn new(at_least: u64) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let broker = EmbeddedBroker::start().unwrap();
        broker.create_topic(TOPIC, PARTITIONS).unwrap();
        let config = folder.path().join("driftline.yaml");
        let text = format!(
            "kafka: {{bootstrap: \"{}\", reports: off, dead_letters: off}}\n\
             state: state\n\
             alerts: {{for: {{drift: 1 of 1}}, max_age: off}}\n\
             defaults:\n  window: {{every: 1d, lateness: 1h, idle: off, at_least: {at_least}, at_most: 4d}}\n  operations: {{every: 1h, lateness: 1h}}\n\
             models:\n  - {{name: m, captures: {{topic: {TOPIC}}}, baseline: baseline.json}}\n  - {{name: other, captures: {{topic: {TOPIC}}}, baseline: baseline.json}}\n\
             receivers:\n  - {{name: mail, email: {{folder: mails, from: a@example.org, to: [b@example.org]}}}}\n  - {{name: retrain, on: [retrain], webhook: {{url: \"http://127.0.0.1:1/\"}}}}\n",
            broker.bootstrap()
        );
        std::fs::write(&config, text).unwrap();
        let connection = Connection {
            bootstrap: broker.bootstrap().to_owned(),
            group: "test".to_owned(),
            ..Connection::default()
        };
        let producer = CaptureProducer::start(&connection).unwrap();
        let rig = Rig { folder, config, connection, producer, _broker: broker };
        let data = rig.days("before.csv", -20..0);
        let out = rig.path("baseline.json");
        let out = out.to_str().unwrap();
        let config = rig.config.to_str().unwrap();
        let words = [
            "--config",
            config,
            "--model",
            "m",
            "--data",
            &data,
            "--time",
            "at",
            "--rename",
            "score=prediction:score",
            "--predictions",
            "held-out",
            "--out",
            out,
        ];
        baseline::run(&arguments(&words), Color::Never).unwrap();
        rig
    }

    pub(super) fn bootstrap(&self) -> &str {
        &self.connection.bootstrap
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        configured::load(&self.config).unwrap()
    }

    /// Writes the rows of these days to a CSV file; `x` moves by one from day 2 on.
    pub(super) fn days(&self, name: &str, days: Range<i64>) -> String {
        let mut text = String::from("at,id,x,carrier,score,version,latency_us\n");
        for day in days {
            for row in 0..ROWS_A_DAY {
                let at = format_instant(day_us(day) + row * (DAY_US / ROWS_A_DAY));
                let x = f64::from(u32::try_from((row * 37) % 100).unwrap()) / 100.0;
                let x = x + if day >= 2 { 1.0 } else { 0.0 };
                let carrier = ["UA", "AA", "B6"][usize::try_from(row % 3).unwrap()];
                let score = (row * 53) % 97;
                writeln!(text, "{at},{day}-{row},{x},{carrier},0.{score:02},3,1{row}").unwrap();
            }
        }
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(super) fn produce(&self, model: &str, data: &str) -> produce::Produced {
        let config = self.config();
        let model = &*configured::model(&config, Some(model)).unwrap();
        let args =
            arguments(&["--config", self.config.to_str().unwrap(), "--data", data, "--time", "at"]);
        produce::produce(&args, &config, model, &mut |_| {}).unwrap()
    }

    pub(crate) fn send(&self, partition: i32, values: &[String]) {
        for value in values {
            let value = value.as_bytes();
            let partition = Some(partition);
            let capture = Capture { topic: TOPIC, partition, key: None, value, timestamp_us: None };
            self.producer.send(&capture).unwrap();
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    /// Closes every window of a day before this one.
    pub(crate) fn close(&self, day: i64) {
        let beat = |time_us: i64| {
            format!(r#"{{"v":1,"ts":"{}","heartbeat":true}}"#, format_instant(time_us))
        };
        let beats: Vec<String> = closing_times_us(day_us(day)).map(beat).collect();
        for partition in 0..PARTITIONS {
            self.send(partition, &beats);
        }
    }

    /// Everything that the broker holds through the pipeline of the service, into the state folder.
    pub(crate) fn serve(&self) -> Inline {
        let config = self.config();
        let store = Store::open(&config.state, Duration::ZERO, false).unwrap();
        let setups = config.models.iter();
        let setups: Vec<Arc<Setup>> =
            setups.map(|model| Arc::new(load_setup(model, &config.limits).unwrap())).collect();
        let world = World::of(config, setups);
        let mut inline = Inline::new(world.pipeline_over(PARTITIONS));
        let mut keep = |snapshot: &_| {
            store.commit(snapshot).unwrap();
        };
        self.read(world.plans(TopicId(0)), &mut |chunk| {
            inline.feed_keeping(Event::Read(Read::Chunk(chunk)), LATER, &mut keep);
        });
        let last = inline.pipeline.snapshot();
        if let Some(snapshot) = last {
            keep(&snapshot);
        }
        inline
    }

    pub(crate) fn read(&self, models: Vec<ModelPlan>, each: &mut dyn FnMut(Chunk)) {
        let plan = TopicPlan { topic: TOPIC.to_owned(), models, start: Start::Earliest };
        let ends = topic_offsets(&self.connection, TOPIC).unwrap();
        let ranges = (0i32..).map(Partition).zip(&ends);
        let ranges = ranges.map(|(partition, &(from, to))| OffsetRange { partition, from, to });
        let ranges: Vec<OffsetRange> = ranges.filter(|range| range.from < range.to).collect();
        read_ranges(&self.connection, &plan, &ReadLimits::default(), &ranges, |event| {
            if let RangeEvent::Chunk(chunk) = event {
                each(chunk);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    }
}

pub(crate) fn day_us(day: i64) -> i64 {
    parse_instant_us(FIRST_DAY).unwrap() + day * DAY_US
}

pub(crate) fn capture(model: &str, id: &str, time_us: i64) -> String {
    let ts = format_instant(time_us);
    format!(
        r#"{{"v":1,"model":"{model}","version":"3","id":"{id}","ts":"{ts}","features":{{"x":0.5,"carrier":"UA"}},"prediction":{{"score":0.5}}}}"#
    )
}

/// A topic as the rig fills it: two days of `m`, then late rows, rows of other models and what is
/// none, then three days more, and heartbeats that close all of it.
pub(crate) fn filled(at_least: u64) -> Rig {
    let rig = Rig::new(at_least);
    let first = rig.days("first.csv", 0..2);
    rig.produce("m", &first);
    rig.produce("other", &rig.days("other.csv", 0..1));
    for partition in 0..PARTITIONS {
        let late = capture("m", &format!("late-{partition}"), day_us(0) + 5);
        let early = capture("m", &format!("early-{partition}"), day_us(3) - 5);
        let foreign = capture("foreign", "f", day_us(1));
        rig.send(partition, &[late, early, foreign, "no json".to_owned()]);
    }
    rig.produce("m", &rig.days("second.csv", 2..5));
    rig.close(12);
    rig
}

/// The rows of a Parquet file as text, in its order: the columns that are named.
pub(super) fn parquet_rows(path: &Path, columns: &[&str]) -> Vec<Vec<String>> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let file = std::fs::File::open(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let mut rows = Vec::new();
    for batch in reader.unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let options = FormatOptions::default();
        let of =
            |name: &&str| ArrayFormatter::try_new(batch.column_by_name(name).unwrap(), &options);
        let columns: Vec<_> = columns.iter().map(|name| of(name).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    rows
}
