//! Three hundred models of one template on shared partitions, from two requests a day to two hundred a second,
//! by a clock that is told: a flood of one, a tenth of it broken, is in nobody's way.

use std::collections::BTreeMap;

use driftline_config::TopicPartition;
use driftline_config::time::{ClockReading, DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use driftline_pipeline::{Event, Read};
use driftline_world::{Log, T0, at, capture};

use super::{Maker, Service, parsed};
use crate::simulation::store::MemoryStore;

const PARTITIONS: i32 = 3;
const MODELS: usize = 300;
const BUSY: &str = "fraud-busy";
/// Records that are read in a second, all partitions together: a tenth of what one core decodes and counts.
const CAPACITY: usize = 20_000;
/// Records of one chunk.
const CHUNK: usize = 4096;
/// Around the end of the second window the busy one asks two hundred times a second, and in the middle of that
/// for half a minute ten times as often.
const BUSY_FROM: i64 = T0 + 12 * HOUR_US - 2 * MINUTE_US;
const BUSY_TO: i64 = T0 + 12 * HOUR_US + 3 * MINUTE_US;
const FLOOD_FROM: i64 = T0 + 12 * HOUR_US + 30 * SECOND_US;
const FLOOD_TO: i64 = T0 + 12 * HOUR_US + 60 * SECOND_US;

const TEMPLATE: &str = r#"
kafka: {bootstrap: "localhost:1"}
models:
  - match: "fraud-.*"
    captures: {topic: scores, max_ahead: 36500d}
    baseline: "baselines/{model}.json"
    window: {every: 6h, lateness: 30s, idle: 10s, at_least: 1, at_most: 1d}
    operations: {every: 1h, lateness: 1m}
limits: {models: 300}
"#;

/// The records of a day, by time.
fn log(flood: bool) -> Log {
    let mut records: Vec<(i64, String)> = Vec::new();
    for number in 1..MODELS {
        // From two a day to one a minute.
        let a_day = 2.0 * 720_f64.powf((number - 1) as f64 / (MODELS - 2) as f64);
        let name = format!("fraud-{number:03}");
        let every_us = (DAY_US as f64 / a_day) as i64;
        // Each at times of its own.
        let first_us = T0 + (number as i64 * 7919 * SECOND_US) % every_us;
        for index in 0.. {
            let time_us = first_us + index * every_us;
            if time_us >= T0 + DAY_US {
                break;
            }
            records.push((time_us, capture(&name, time_us, index, 0)));
        }
    }
    for minute in 0..24 * 60 {
        let time_us = T0 + minute * MINUTE_US;
        records.push((time_us, capture(BUSY, time_us, minute, 0)));
    }
    if flood {
        let (mut time_us, mut index) = (BUSY_FROM, 0);
        while time_us < BUSY_TO {
            let value = match index % 20 {
                3 => "{\"v\":1,\"model\":\"fraud-busy\"".to_owned(),
                // A clock that is a year ahead.
                7 => capture(BUSY, time_us + 365 * DAY_US, index, 0),
                _ => capture(BUSY, time_us, index, 0),
            };
            records.push((time_us, value));
            index += 1;
            let flooded = (FLOOD_FROM..FLOOD_TO).contains(&time_us);
            time_us += SECOND_US / if flooded { 2000 } else { 200 };
        }
    }
    records.sort_by_key(|(time_us, _)| *time_us);
    let mut log = Log::new(PARTITIONS);
    for (number, (time_us, value)) in (0..).zip(records) {
        log.push(number % PARTITIONS, value, time_us);
    }
    log
}

/// When each report was there, by model and window, in the order of a day by the clock.
fn day<'a>(maker: &'a Maker, log: &Log) -> (BTreeMap<String, i64>, Service<'a>) {
    let mut service = Service::start(maker, PARTITIONS, MemoryStore::default());
    let places: Vec<TopicPartition> = log.partitions().iter().map(|of| at(0, *of)).collect();
    let mut seen = 0;
    let mut reported = BTreeMap::new();
    let mut now_us = T0;
    while now_us < T0 + DAY_US + 10 * MINUTE_US {
        let closely = (BUSY_FROM..BUSY_TO + MINUTE_US).contains(&now_us);
        now_us += if closely { SECOND_US } else { MINUTE_US };
        let mut left = CAPACITY;
        let mut more = true;
        while more && left > 0 {
            more = false;
            for place in &places {
                let there = log.entries(place.partition.0, 0, log.len(place.partition.0));
                let there = there.partition_point(|entry| entry.time_us.unwrap() <= now_us);
                let behind = there - service.position(*place);
                let read = service.read(log, *place, behind.min(CHUNK).min(left), now_us);
                left -= read;
                more |= read > 0;
            }
        }
        for place in &places {
            let entries = log.entries(place.partition.0, 0, log.len(place.partition.0));
            let there = entries.partition_point(|entry| entry.time_us.unwrap() <= now_us);
            if service.position(*place) == there {
                let (at, offset) = (*place, there as i64);
                let sampled = Some(ClockReading::from(now_us));
                service.feed(Event::Read(Read::EndOfPartition { at, offset, sampled }), now_us);
            }
        }
        service.feed(Event::Tick, now_us);
        for (report, _) in &service.pipeline.reports[seen..] {
            reported.insert(report.window.id.as_str().to_owned(), now_us);
        }
        seen = service.pipeline.reports.len();
    }
    (reported, service)
}

#[test]
fn a_flood_of_one_model_of_a_template_delays_no_report_of_the_others() {
    let maker = Maker::new(parsed(TEMPLATE));
    let (calm, _) = day(&maker, &log(false));
    let (flooded, service) = day(&maker, &log(true));
    let models: Vec<_> = service.pipeline.pipeline.models().collect();
    assert_eq!(models.len(), MODELS, "all are listed");
    for model in &models {
        let windows =
            calm.keys().filter(|id| id.starts_with(&format!("{}@", model.name()))).count();
        assert!(windows >= 1, "{} was judged in {windows} windows", model.name());
    }
    let busy = service.pipeline.pipeline.model(BUSY).unwrap();
    assert!(busy.counted().counted > 60_000, "{:?}", busy.counted());
    let apart = busy.counted().by_partition.values().map(|rows| rows.clock.apart);
    assert!(apart.sum::<u64>() > 4000, "{:?}", busy.counted());
    let mut compared = 0;
    let mut most_us = 0;
    for (id, &calm_us) in calm.iter().filter(|(id, _)| !id.starts_with(BUSY)) {
        let Some(flooded_us) = flooded.get(id) else { panic!("{id} was not reported") };
        most_us = most_us.max(flooded_us - calm_us);
        compared += 1;
    }
    assert!(compared > 2 * MODELS, "{compared}");
    assert!(most_us <= 2 * SECOND_US, "a report came {most_us} us later");
    println!("{compared} reports, the most delayed by {most_us} us");
}
