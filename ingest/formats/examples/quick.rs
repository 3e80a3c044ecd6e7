//! Quick measure.
use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_config::Config;
use driftline_formats::{Decoder, ModelPlan, Record, RecordLimits};
use std::path::Path;
use std::time::Instant;
const NAMES: [&str; 20] = [
    "age", "fare", "hour", "temp", "wind", "rain", "dist", "load", "gate", "seats", "delay",
    "speed", "stops", "carry", "humid", "press", "visib", "month", "prior", "loyal",
];
fn main() {
    let column = |subject: String| Column {
        subject: subject.as_str().into(),
        kind: Kind::Numeric,
        coerce: false,
    };
    let schema = CaptureSchema {
        columns: NAMES
            .iter()
            .map(|n| column(format!("feature:{n}")))
            .chain([column("prediction:score".into())])
            .collect(),
        ignored: Vec::new(),
    };
    let mut seed = 7_u64;
    let mut rnd = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    for full in [false, true] {
        let captures: Vec<String> = (0..8192).map(|row| {
        let f: Vec<String> = NAMES.iter().enumerate().map(|(c, n)| { let v = (rnd() - 0.25) * 10_f64.powi((c % 4) as i32); if full { format!("\"{n}\":{v:?}") } else if c % 4 == 3 { format!("\"{n}\":{}", v as i64) } else { format!("\"{n}\":{v:.3}") } }).collect();
        format!("{{\"v\":1,\"model\":\"flight-delay\",\"version\":\"3\",\"id\":\"{row:016x}\",\"ts\":\"2026-01-02T03:04:05.678Z\",\"latency_us\":1234,\"status\":200,\"features\":{{{}}},\"prediction\":{{\"score\":0.5}}}}", f.join(","))
    }).collect();
        let own = ModelPlan {
            name: "flight-delay".into(),
            schema: schema.clone(),
            max_ahead_us: 0,
            mapping: None,
        };
        let yaml = "kafka: {bootstrap: b}\nmodels:\n  - {name: flight-delay, baseline: b, captures: {topic: t, map: {model: /model, version: /version, id: /id, ts: /ts, latency: /latency_us, status: /status, features: /features, predictions: /prediction}}}\n";
        let config = Config::parse(yaml, Path::new("b"), &|_| None).unwrap();
        let mapped = ModelPlan::new(&config.models[0], schema.clone());
        let mut d = [
            Decoder::new(&[own], &RecordLimits::default()),
            Decoder::new(&[mapped], &RecordLimits::default()),
        ];
        let mut best = [f64::MAX; 2];
        for _ in 0..60 {
            for (i, d) in d.iter_mut().enumerate() {
                let t = Instant::now();
                for (offset, c) in (0..).zip(&captures) {
                    d.decode(&Record { value: Some(c.as_bytes()), offset, time_us: None });
                }
                let rows: usize = d.take().unwrap().rows.iter().map(|r| r.rows.rows()).sum();
                assert_eq!(rows, 8192);
                best[i] = best[i].min(t.elapsed().as_secs_f64() / 8192.0 * 1e9);
            }
        }
        println!(
            "full {full}: own {:.0} ns, mapped {:.0} ns, ratio {:.2}",
            best[0],
            best[1],
            best[0] / best[1]
        );
    }
}
