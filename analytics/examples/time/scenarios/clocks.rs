//! Producers whose clocks are wrong, and heartbeats of such clocks.

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US};

use super::{Scenario, Size, T0, of_size, steady};
use crate::drive::Reading;
use crate::producers::{Producers, Record};

const YEAR_US: i64 = 365 * DAY_US;

/// From live to long after: what lies beyond our clock differs.
const ALL: [Reading; 3] = [Reading::Live, Reading::Backlog, Reading::OldBacklog];

pub(super) fn scenarios(size: Size) -> Vec<Scenario> {
    let mut all = Vec::new();
    for (share, wrong) in [("a quarter", 1), ("half", 2)] {
        for (off, off_us) in [
            ("30 min ahead", 30 * MINUTE_US),
            ("a year ahead", YEAR_US),
            ("30 min behind", -30 * MINUTE_US),
            ("a year behind", -YEAR_US),
        ] {
            let producers = Producers { wrong, off_us, ..steady(size) };
            let fast = Producers { rows_per_s: of_size(size, 20.0, 2.0), ..producers };
            for (how, producers) in [
                ("one by one", producers),
                ("in runs of 50", Producers { run: 50, ..producers }),
                ("with broker pauses", Producers { pauses: true, ..fast }),
            ] {
                all.push(clocks(&format!("{share} {off}, {how}"), producers));
            }
        }
    }
    all.push(draws(size));
    for (off, off_us) in [("30 min", 30 * MINUTE_US), ("a year", YEAR_US)] {
        let minutes = Producers::new(1.0 / 60.0, T0, T0 + of_size(size, 12, 4) * HOUR_US);
        let name = format!("a quarter {off} ahead, a row a minute");
        all.push(clocks(&name, Producers { wrong: 1, off_us, ..minutes }));
        all.push(alone(&format!("a partition alone {off} ahead, a row a minute"), minutes, off_us));
        all.push(alone(&format!("a partition alone {off} ahead"), steady(size), off_us));
    }
    for (name, beats, off_us) in [
        ("one heartbeat 55 min ahead, a row a minute", 1, 55 * MINUTE_US),
        ("one heartbeat a thousand years ahead, a row a minute", 1, 1000 * YEAR_US),
        ("heartbeats 55 min ahead, as many as rows", 60, 55 * MINUTE_US),
        ("heartbeats 55 min ahead, twice as many as rows", 120, 55 * MINUTE_US),
        ("heartbeats 55 min ahead, eight times as many as rows", 480, 55 * MINUTE_US),
    ] {
        all.push(Scenario { readings: ALL.to_vec(), ..heartbeats(name, beats, off_us, size) });
    }
    all
}

fn clocks(name: &str, producers: Producers) -> Scenario {
    Scenario { readings: ALL.to_vec(), ..Scenario::usual(name) }.of_producers(producers)
}

/// Half of the clocks, by other chances each time: more than three quarters of what a partition says last is
/// wrong now and then, the more often the fewer runs that is.
fn draws(size: Size) -> Scenario {
    let (draws, name) = of_size(size, (35, "35 draws"), (8, "8 draws"));
    let name = format!("half a year ahead, in runs of 50, a row a second: {name}");
    let mut scenario = Scenario { readings: ALL.to_vec(), ..Scenario::usual(&name) };
    for seed in 0..draws {
        let half = Producers { wrong: 2, off_us: YEAR_US, run: 50, seed, ..steady(Size::Short) };
        scenario = scenario.of_producers(half);
    }
    scenario
}

/// All producers of the last partition are wrong, and nobody else.
fn alone(name: &str, right: Producers, off_us: i64) -> Scenario {
    let wrong = Producers { partitions: 1, wrong: 4, off_us, seed: 8, ..right };
    let right = Producers { partitions: right.partitions - 1, ..right };
    let scenario = Scenario { readings: ALL.to_vec(), ..Scenario::usual(name) };
    scenario.of(move || right.write().into_iter().chain(wrong.write()).collect())
}

/// A row a minute, and so many heartbeats an hour of a clock that is ahead; one is one in all.
fn heartbeats(name: &str, per_hour: i64, off_us: i64, size: Size) -> Scenario {
    let hours = of_size(size, 6, 3);
    Scenario::usual(name).of(move || {
        let mut logs = Producers::new(1.0 / 60.0, T0, T0 + hours * HOUR_US).write();
        for log in &mut logs {
            let beats = if per_hour == 1 { 1 } else { hours * per_hour };
            log.extend((0..beats).map(|beat| {
                let sent_us = T0 + 7 * MINUTE_US + beat * HOUR_US / per_hour;
                Record::heartbeat(sent_us, sent_us + off_us)
            }));
            log.sort_by_key(|record| record.appended_us);
        }
        logs
    })
}
