//! Rows per second of the decoder: 20 numeric features, about 450 bytes a record, one thread, with
//! serde_json reading the same records into its own values beside it.

use std::hint::black_box;
use std::time::Instant;

use driftline_config::Start;
use driftline_config::capture::{CaptureSchema, Column, Kind};
use driftline_ingest::{Decoder, Limits, ModelPlan, Record, TopicPlan};

const RECORDS: usize = 200_000;

fn main() {
    let column = |i: usize| Column {
        subject: format!("feature:feature_{i:02}"),
        kind: Kind::Numeric,
        coerce: false,
    };
    let schema = CaptureSchema { columns: (0..20).map(column).collect(), ignored: Vec::new() };
    let model = ModelPlan { name: "bench".to_owned(), schema, max_ahead_us: 0 };
    let plan = TopicPlan { topic: "t".to_owned(), models: vec![model], start: Start::Earliest };
    let records: Vec<String> = (0..1000).map(record).collect();
    let bytes: usize = records.iter().map(String::len).sum::<usize>() * RECORDS / records.len();
    let report = |name: &str, started: Instant| {
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "{name}: {:.0} rows/s, {:.0} MB/s",
            RECORDS as f64 / seconds,
            bytes as f64 / seconds / 1e6
        );
    };

    let mut decoder = Decoder::new(&plan, &Limits::default());
    let started = Instant::now();
    for offset in 0..RECORDS {
        let value = records.get(offset % records.len()).map(|record| record.as_bytes());
        let record = Record { value, offset: offset as i64, time_us: None };
        black_box(decoder.decode(&record));
        if offset % 8192 == 0 {
            let _ = black_box(decoder.take());
        }
    }
    report("decoder", started);

    let started = Instant::now();
    for offset in 0..RECORDS {
        if let Some(record) = records.get(offset % records.len()) {
            let _ = black_box(serde_json::from_str::<serde_json::Value>(record));
        }
    }
    report("serde_json values", started);
}

fn record(i: usize) -> String {
    let features: Vec<String> = (0..20)
        .map(|j| format!("\"feature_{j:02}\":{}", (i * 7919 + j * 104_729) as f64 / 1000.0))
        .collect();
    format!(
        "{{\"v\":1,\"model\":\"bench\",\"version\":\"3\",\"id\":\"{i:016x}\",\
         \"ts\":\"2026-01-02T03:04:05.678Z\",\"latency_us\":{},\"status\":200,\
         \"features\":{{{}}},\"prediction\":{{\"score\":0.{i}}}}}",
        1000 + i,
        features.join(",")
    )
}
