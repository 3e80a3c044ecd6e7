//! Partitions that fall silent.

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};

use super::{Scenario, Size, T0, steady};
use crate::producers::{Producers, Record};

pub(super) fn scenarios(size: Size) -> Vec<Scenario> {
    let steady = steady(size);
    let ends = |name: &str, at_us: i64, delay_us: i64| {
        Scenario::usual(name).of(move || {
            let mut logs = steady.write();
            if let Some(log) = logs.get_mut(1) {
                log.retain(|record| record.time_us < at_us);
                log.iter_mut().for_each(|record| record.appended_us += delay_us);
            }
            logs
        })
    };
    let over_us = T0 + HOUR_US + MINUTE_US;
    let mut all = vec![
        ends("a partition stops 15 s after a window is over", over_us + 15 * SECOND_US, 0),
        ends("a partition stops inside a window", T0 + HOUR_US - 100 * SECOND_US, 0),
        ends(
            "a partition is 40 s behind, and stops",
            T0 + HOUR_US + 59 * SECOND_US,
            40 * SECOND_US,
        ),
    ];
    all.push(Scenario::usual("all pause for 200 s, one alone 30 min ahead").of(move || {
        let pause = T0 + 2000 * SECOND_US..T0 + 2200 * SECOND_US;
        let off_us = 30 * MINUTE_US;
        let wrong = Producers { partitions: 1, wrong: 4, off_us, seed: 8, ..steady };
        let mut logs = Producers { partitions: steady.partitions - 1, ..steady }.write();
        for log in &mut logs {
            log.retain(|record: &Record| !pause.contains(&record.appended_us));
        }
        logs.extend(wrong.write());
        logs
    }));
    all
}
