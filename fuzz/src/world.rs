//! A model with everything around it, small enough to be run from its first row to its report.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use driftline::checkpoint::{Saved, Snapshot};
use driftline::inline::Inline;
use driftline::messages::Messages;
use driftline::pipeline::unit::Unit;
use driftline::pipeline::{Event, Pipeline, Settings};
use driftline::setup::{Setup, SetupError};
use driftline_alerting::Rules;
use driftline_alerting::repeat::RepeatRules;
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints};
use driftline_analytics::report::Report;
use driftline_config::capture::{CaptureSchema, Column, Kind};
use driftline_config::{Config, Limits, Start};
use driftline_ingest::{Chunk, Decoder, Event as Read, Fingerprint, ModelPlan, Record, TopicPlan};

/// A Monday.
const START_US: i64 = 1_767_571_200_000_000;
const MINUTE_US: i64 = 60_000_000;
const ROWS: i64 = 150;

const CONFIG: &str = r#"
kafka: {bootstrap: "localhost:1"}
alerts: {max_age: off}
models:
  - name: one
    captures: {topic: shared}
    baseline: one.json
    window: {every: 1h, lateness: 5m, idle: off, at_least: 20, at_most: 4h}
    operations: {every: 10m, lateness: 5m}
    tolerance: {ks: 0.05, psi: 0.1}
    errors: {objective: 0.99}
receivers:
  - {name: mail, email: {folder: mails, from: a@example.org, to: [b@example.org]}}
  - {name: hook, webhook: {url: "http://127.0.0.1:1/"}}
"#;

/// One model with its settings and its baseline.
pub(crate) struct World {
    config: Config,
    setup: Arc<Setup>,
}

impl World {
    /// The world whose model is compared with this baseline file.
    pub(crate) fn of(baseline: &[u8]) -> Result<World, SetupError> {
        let config = Config::parse(CONFIG, Path::new("driftline.yaml"), &|_| None)
            .expect("the configuration is valid");
        let model = config.models.first().expect("it has a model").clone();
        let files = [("default".to_owned(), baseline.to_vec())].into();
        let setup = Arc::new(Setup::new(model, files, &config.limits)?);
        Ok(World { config, setup })
    }

    /// The bounds that are configured.
    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// A pipeline that has seen nothing.
    pub(crate) fn pipeline(&self) -> Pipeline {
        let settings = Settings {
            rules: Rules::new(&self.config.alerts),
            repeats: RepeatRules::new(&self.config.alerts),
            messages: Messages::new(&self.config, BTreeMap::new()),
            open_windows_limit: self.config.limits.open_windows,
            outbox_limit: self.config.limits.outbox,
        };
        let unit = Unit::new(Arc::clone(&self.setup), 0, START_US);
        let mut pipeline = Pipeline::new(settings, vec!["shared".to_owned()], vec![unit]);
        pipeline.handle(Event::Read(Read::Partitions { topic: 0, count: 1 }), START_US);
        pipeline
    }

    /// Rows of more than two hours, and what ends every window.
    pub(crate) fn run(&self) -> Vec<(Arc<Report>, String)> {
        let mut inline = Inline::new(self.pipeline());
        inline.feed(Event::Read(Read::Chunk(self.chunk(0))), START_US);
        let end_us = START_US + 24 * 60 * MINUTE_US;
        let heartbeat = format!(r#"{{"ts":{},"heartbeat":true}}"#, end_us / 1000);
        let chunk = decoded(&plan(self.setup.layout.schema()), &[(ROWS, heartbeat, end_us)]);
        inline.feed(Event::Read(Read::Chunk(chunk)), end_us);
        inline.reports
    }

    /// What the store would hold in the middle of a window, after one that was judged.
    pub(crate) fn saved(&self) -> Saved {
        let mut saved = Saved::default();
        let mut keep = |snapshot: &Snapshot| {
            for (key, document) in &snapshot.documents {
                saved.documents.insert(key.clone(), document.clone());
            }
            for increment in &snapshot.increments {
                let mut bytes = Vec::new();
                (increment.encode)(&mut bytes);
                let stored = saved.windows.entry(increment.window.clone()).or_default();
                if increment.replaces {
                    stored.clear();
                }
                stored.push(bytes);
            }
            saved.named.extend(snapshot.named.iter().cloned());
            saved.outbox.extend(snapshot.outbox.iter().cloned());
            for key in &snapshot.dropped {
                saved.windows.remove(key);
            }
        };
        let mut inline = Inline::new(self.pipeline());
        let chunk = Event::Read(Read::Chunk(self.chunk(400)));
        inline.feed_keeping(chunk, START_US, &mut keep);
        inline.commit(START_US, &mut keep);
        saved
    }

    fn chunk(&self, shift: i64) -> Chunk {
        let rows: Vec<(i64, String, i64)> = (0..ROWS)
            .map(|row| {
                let time_us = START_US + row * MINUTE_US;
                (row, capture(row, time_us, shift), time_us)
            })
            .collect();
        decoded(&plan(self.setup.layout.schema()), &rows)
    }
}

/// A baseline file of the rows that [`World`] sends.
pub(crate) fn baseline() -> Vec<u8> {
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    let schema = CaptureSchema {
        columns: vec![
            column("feature:x", Kind::Numeric),
            column("feature:kind", Kind::Categorical),
            column("prediction:score", Kind::Numeric),
        ],
        ignored: Vec::new(),
    };
    let mut decoder = Decoder::new(&plan(&schema), &driftline_ingest::Limits::default());
    for row in 0..200 {
        let value = capture(row, START_US, 0);
        let record = Record { value: Some(value.as_bytes()), offset: row, time_us: Some(START_US) };
        decoder.decode(&record);
    }
    let batch = decoder.take().expect("Arrow takes the columns").rows.remove(0).rows;
    let options = BuildOptions {
        cut_points: CutPoints::AtMost(8),
        own_windows: None,
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let mut builder = Builder::new(schema, options).expect("the schema is sound");
    builder.observe(&batch);
    let mut counting = builder.choose();
    counting.count(&batch);
    counting.finish("fuzz").expect("there are rows").baseline.to_json()
}

fn capture(row: i64, time_us: i64, shift: i64) -> String {
    let x = (row * 7919) % 1000 + shift;
    let kind = ["a", "b", "c"][(row % 3) as usize];
    let score = ((row * 104_729) % 997) as f64 / 997.0;
    let status = if row % 50 == 7 { 500 } else { 200 };
    format!(
        r#"{{"model":"one","version":"1","ts":{},"latency_us":{},"status":{status},"features":{{"x":{x},"kind":"{kind}"}},"prediction":{{"score":{score}}}}}"#,
        time_us / 1000,
        1000 + row % 100
    )
}

fn plan(schema: &CaptureSchema) -> TopicPlan {
    let model =
        ModelPlan { name: "one".into(), schema: schema.clone(), max_ahead_us: 60 * MINUTE_US };
    TopicPlan { topic: "shared".into(), models: vec![model], start: Start::Earliest }
}

/// The records, with their offsets and timestamps, as the readers would give them.
fn decoded(plan: &TopicPlan, records: &[(i64, String, i64)]) -> Chunk {
    let mut decoder = Decoder::new(plan, &driftline_ingest::Limits::default());
    for (offset, value, time_us) in records {
        let value = Some(value.as_bytes());
        decoder.decode(&Record { value, offset: *offset, time_us: Some(*time_us) });
    }
    let decoded = decoder.take().expect("Arrow takes the columns");
    let (first, last) = (&records[0], &records[records.len() - 1]);
    Chunk {
        topic: 0,
        partition: 0,
        from: first.0,
        to: last.0 + 1,
        records: records.len() as u64,
        rows: decoded.rows,
        marks: decoded.marks,
        skipped_names: decoded.skipped_names,
        fingerprint: Some(Fingerprint { offset: last.0, hash: 1 }),
        last_record_us: Some(last.2),
        producer_timestamps: true,
        ..Chunk::default()
    }
}
