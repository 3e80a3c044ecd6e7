//! Clocks that are right: in order and out of order, in bursts, by key, many at one instant.

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

use super::{Scenario, Size, T0, of_size, steady};
use crate::draw::Draw;
use crate::producers::{Logs, Producers, Record};

pub(super) fn scenarios(size: Size) -> Vec<Scenario> {
    let per_s = of_size(size, 50.0, 10.0);
    let minutes = Producers {
        delay_us: SECOND_US / 20,
        ..Producers::new(of_size(size, 1.0, 0.05), T0, T0 + 2 * DAY_US)
    };
    vec![
        Scenario::usual("in order").of_producers(steady(size)),
        Scenario::usual("out of order by up to a minute")
            .of_producers(Producers { disorder_us: 10 * SECOND_US, ..steady(size) }),
        late_ones(size),
        bursts("bursts 11 s apart, each an hour, stamped when sent; idle 5 s", true, size),
        bursts("bursts 11 s apart, each an hour, stamped by event; idle 5 s", false, size),
        by_key("nightly batches by key, windows of a day", DAY_US, HOUR_US, size),
        by_key(
            "nightly batches by key, windows of an hour that wait 25",
            HOUR_US,
            25 * HOUR_US,
            size,
        ),
        Scenario::new("windows of a second", SECOND_US, SECOND_US)
            .idle(Some(5 * SECOND_US))
            .tick(SECOND_US / 10)
            .of_producers(Producers::new(per_s, T0, T0 + 2 * MINUTE_US)),
        Scenario {
            panes: true,
            ..Scenario::new("panes of a minute under windows of a day", DAY_US, MINUTE_US)
        }
        .tick(5 * SECOND_US)
        .of_producers(minutes),
        same_instant(size),
        Scenario {
            stamps: true,
            ..Scenario::usual("LogAppendTime, a quarter 30 min ahead in runs of 50")
        }
        .of(move || {
            let wrong = Producers { wrong: 1, off_us: 30 * MINUTE_US, run: 50, ..steady(size) };
            let stamped = |record: Record| Record { record_time_us: record.appended_us, ..record };
            let logs = wrong.write().into_iter();
            logs.map(|log| log.into_iter().map(stamped).collect()).collect()
        }),
        backfill(size),
    ]
}

/// One row of a hundred comes five minutes late, and is no good one.
fn late_ones(size: Size) -> Scenario {
    Scenario::usual("1 % come five minutes late").of(move || {
        let mut draw = Draw::new(3);
        let mut logs = steady(size).write();
        for log in &mut logs {
            for record in log.iter_mut() {
                if draw.unit() < 0.01 {
                    record.appended_us += 5 * MINUTE_US;
                    record.good = false;
                }
            }
            log.sort_by_key(|record| record.appended_us);
        }
        logs
    })
}

/// Six partitions, each with an hour of rows every eleven seconds.
fn bursts(name: &str, stamped_when_sent: bool, size: Size) -> Scenario {
    let rows = of_size(size, 200, 60);
    let scenario = Scenario::usual(name).idle(Some(5 * SECOND_US)).tick(SECOND_US / 10);
    scenario.of(move || {
        let partition = |partition: i64| {
            let burst = |burst: i64| {
                let sent_us = T0 + 30 * DAY_US + burst * 11 * SECOND_US + partition * SECOND_US / 3;
                (0..rows).map(move |row| {
                    let time_us = T0 + burst * HOUR_US + row * HOUR_US / rows;
                    let record = Record::good(sent_us + row * 1000, time_us);
                    let record_time_us = if stamped_when_sent { sent_us } else { time_us };
                    Record { record_time_us, ..record }
                })
            };
            (0..12).flat_map(burst).collect()
        };
        (0..6).map(partition).collect()
    })
}

/// At twenty past midnight the rows of the day before, in the order of their keys.
fn by_key(name: &str, every_us: i64, lateness_us: i64, size: Size) -> Scenario {
    let (days, rows) = of_size(size, (10, 3000), (3, 400));
    let scenario = Scenario::new(name, every_us, lateness_us).tick(10 * SECOND_US);
    let mut scenario = Scenario { patience_us: 3 * DAY_US, ..scenario };
    // A pane of a minute would not wait until the batch comes.
    scenario.lanes.operations = scenario.lanes.drift.clone();
    scenario.of(move || {
        let mut draw = Draw::new(5);
        let mut partition = || {
            let mut log = Vec::new();
            for day in 0..days {
                for row in 0..rows {
                    let sent_us = T0 + (day + 1) * DAY_US + 20 * MINUTE_US + row * SECOND_US / 100;
                    let time_us = T0 + day * DAY_US + (draw.unit() * DAY_US as f64) as i64;
                    log.push(Record { record_time_us: sent_us, ..Record::good(sent_us, time_us) });
                }
            }
            log
        };
        (0..6).map(|_| partition()).collect()
    })
}

/// Forty rows at each whole minute, and no lateness.
fn same_instant(size: Size) -> Scenario {
    let minutes = of_size(size, 180, 100);
    Scenario::new("40 rows at each whole minute, no lateness", 10 * MINUTE_US, 0).of(move || {
        let partition = |_| {
            let rows = (0..minutes).flat_map(|minute| (0..40).map(move |row| (minute, row)));
            let rows = rows.map(|(minute, row)| {
                let time_us = T0 + minute * MINUTE_US;
                Record::good(time_us + SECOND_US / 20 + row * 1000, time_us)
            });
            rows.collect()
        };
        (0..6).map(partition).collect()
    })
}

/// For half an hour ten days of old rows come beside those of now; they are late, and no good ones.
fn backfill(size: Size) -> Scenario {
    Scenario::usual("a backfill of old rows beside live ones").of(move || {
        let mut logs: Logs = steady(size).write();
        let rows = of_size(size, 20_000, 2000);
        for log in &mut logs {
            log.extend((0..rows).map(|row| {
                let sent_us = T0 + 40 * MINUTE_US + 30 * MINUTE_US * row / rows;
                let time_us = T0 - 20 * DAY_US + 10 * DAY_US * row / rows;
                Record { good: false, ..Record::good(sent_us, time_us) }
            }));
            log.sort_by_key(|record| record.appended_us);
        }
        logs
    })
}
