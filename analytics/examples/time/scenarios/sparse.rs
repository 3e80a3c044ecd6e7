//! Few rows: one an hour or less, and models of a whole fleet.

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

use super::{Scenario, Size, T0, of_size};
use crate::drive::Reading;
use crate::producers::{Logs, Producers, Record};

/// Rows a day of some of three hundred models that share six partitions.
const FLEET: [f64; 6] = [2.0, 5.0, 20.0, 100.0, 500.0, 2000.0];

pub(super) fn scenarios(size: Size) -> Vec<Scenario> {
    let days = |full: i64, short: i64| T0 + of_size(size, full, short) * DAY_US;
    let hourly = Producers::new(1.0 / 3600.0, T0, days(30, 7));
    let often = Producers::new(1.0 / 600.0, T0, days(3, 1));
    let minutes = Producers::new(1.0 / 60.0, T0, days(2, 1));
    let tick_us = of_size(size, 10, 60) * SECOND_US;
    let patient =
        |scenario: Scenario| Scenario { patience_us: 3 * DAY_US, ..scenario }.tick(tick_us);
    let silent = |logs: Logs| -> Logs {
        logs.into_iter().map(|log| log.into_iter().take(20).collect()).collect()
    };
    let four_hourly = Producers::new(1.0 / 14_400.0, T0, T0 + 10 * DAY_US);
    let mut all = vec![
        Scenario::new("a row an hour, windows of a day", DAY_US, HOUR_US).of_producers(hourly),
        Scenario::new("a row an hour, windows of an hour", HOUR_US, 5 * MINUTE_US)
            .of_producers(hourly),
        Scenario::usual("a row in ten minutes").of_producers(often),
        Scenario::usual("a row a minute").of_producers(minutes),
        Scenario::new("20 rows and then silence, windows of a day", DAY_US, HOUR_US)
            .of(move || silent(four_hourly.write())),
    ];
    for quiet_days in [false, true] {
        let name = if quiet_days {
            "gaps of three days"
        } else {
            "gaps of three days, a row in ten minutes"
        };
        let rows_per_s = if quiet_days { of_size(size, 1.0, 0.1) } else { 1.0 / 600.0 };
        all.push(Scenario::new(name, HOUR_US, 5 * MINUTE_US).of(move || {
            let part = |from_us, hours| {
                Producers::new(rows_per_s, from_us, from_us + hours * HOUR_US).write()
            };
            joined([part(T0, 6), part(T0 + 3 * DAY_US, 12), part(T0 + 7 * DAY_US, 6)])
        }));
    }
    all.push(unlike(size));
    all.push(fleet(size));
    all.into_iter().map(patient).chain(idle_off(size)).collect()
}

/// Logs of the same partitions, one after the other.
fn joined(parts: [Logs; 3]) -> Logs {
    let mut logs: Logs = Vec::new();
    for part in parts {
        logs.resize(part.len(), Vec::new());
        for (log, more) in logs.iter_mut().zip(part) {
            log.extend(more);
        }
    }
    logs
}

/// A partition with a row an hour beside one with a row a second.
fn unlike(size: Size) -> Scenario {
    let days = of_size(size, 3, 1);
    Scenario::new("a row an hour beside one a second", HOUR_US, 5 * MINUTE_US).of(move || {
        let until_us = T0 + days * DAY_US;
        let sparse = Producers { partitions: 1, ..Producers::new(1.0 / 3600.0, T0, until_us) };
        let busy =
            Producers { partitions: 1, ..Producers::new(of_size(size, 1.0, 0.1), T0, until_us) };
        sparse.write().into_iter().chain(busy.write()).collect()
    })
}

/// Sixty days with a silent week.
fn fleet(size: Size) -> Scenario {
    let name = "300 models, two requests a day and more, a silent week (six of them run)";
    let mut scenario = Scenario::new(name, DAY_US, HOUR_US);
    let (days, models) = of_size(size, (60, 6), (21, 4));
    for (seed, rows_a_day) in (20..).zip(FLEET.into_iter().take(models)) {
        let until_us = T0 + days * DAY_US;
        let rows_per_s = rows_a_day / 6.0 / 86_400.0;
        scenario = scenario.of(move || {
            let rows = Producers { seed, ..Producers::new(rows_per_s, T0, until_us) };
            let silent = T0 + 10 * DAY_US..T0 + 17 * DAY_US;
            let heard = |record: &Record| !silent.contains(&record.time_us);
            rows.write().into_iter().map(|log| log.into_iter().filter(heard).collect()).collect()
        });
    }
    scenario
}

/// Only the log decides: windows of the last days wait for rows that nobody wrote.
fn idle_off(size: Size) -> [Scenario; 3] {
    let sparse = Producers::new(1.0 / 3600.0, T0, T0 + 30 * DAY_US);
    let hourly = Scenario {
        counted_until_us: T0 + 22 * DAY_US,
        patience_us: 0,
        ..Scenario::new("idle off, a row an hour, windows of a day", DAY_US, HOUR_US)
    };
    let busy = Producers::new(of_size(size, 1.0, 0.5), T0, T0 + 2 * HOUR_US);
    let usual = Scenario {
        counted_until_us: T0 + 100 * MINUTE_US,
        patience_us: 0,
        ..Scenario::usual("idle off")
    };
    // A replay of old data: the heartbeats behind it close what is left.
    let ended =
        Scenario::usual("idle off, ended by 32 heartbeats half a minute apart").of(move || {
            let mut logs = busy.write();
            for log in &mut logs {
                let end_us = T0 + 2 * HOUR_US + SECOND_US;
                log.extend((0..32).map(|nth| {
                    Record::heartbeat(end_us, end_us + 9 * DAY_US + nth * MINUTE_US / 2)
                }));
            }
            logs
        });
    let ended = Scenario { readings: vec![Reading::OldBacklog], ..ended };
    [
        hourly.tick(of_size(size, 10, 60) * SECOND_US).of_producers(sparse).idle(None),
        usual.of_producers(busy).idle(None),
        ended.idle(None),
    ]
}
