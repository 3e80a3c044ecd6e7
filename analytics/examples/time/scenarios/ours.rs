//! What befalls the service itself: its machine's clock is set, its process is stopped.

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};

use super::{Scenario, Size, T0, of_size, steady};
use crate::drive::{Mishaps, WrongClock};
use crate::producers::Producers;

pub(super) fn scenarios(size: Size) -> Vec<Scenario> {
    let steady = steady(size);
    let minutes = Producers::new(1.0 / 60.0, T0, T0 + of_size(size, 12, 4) * HOUR_US);
    let mut all = Vec::new();
    for (often, producers) in [("", steady), (", a row a minute", minutes)] {
        let scenario = |name: &str, mishaps: Mishaps| {
            let name = format!("{name}{often}");
            Scenario { mishaps, ..Scenario::usual(&name) }.live_only().of_producers(producers)
        };
        all.push(scenario("our clock steps an hour ahead, back 50 min later", clock(HOUR_US)));
        all.push(scenario("our clock steps an hour back, ahead 50 min later", clock(-HOUR_US)));
        all.push(scenario("SIGSTOP for a minute in a window's end", stop(60, 30)));
        all.push(scenario("SIGSTOP for 90 s, CONT when a window is over", stop(90, 70)));
    }
    all
}

fn clock(ahead_us: i64) -> Mishaps {
    let begun_us = T0 + 34 * MINUTE_US;
    let clock = WrongClock { during_us: begun_us..begun_us + 50 * MINUTE_US, ahead_us };
    Mishaps { clock: Some(clock), stop: None }
}

/// For so long, and on again so many seconds after a window's end.
fn stop(seconds: i64, after_s: i64) -> Mishaps {
    let end_us = T0 + HOUR_US + after_s * SECOND_US;
    Mishaps { clock: None, stop: Some(end_us - seconds * SECOND_US..end_us) }
}
