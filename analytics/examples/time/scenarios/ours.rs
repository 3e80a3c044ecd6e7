//! What befalls the service itself: its machine's clock is set, its process is stopped.

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};

use super::{Scenario, Size, T0, of_size, steady};
use crate::drive::{Mishaps, WrongClock};
use crate::producers::Producers;

pub(super) fn scenarios(size: Size) -> Vec<Scenario> {
    let steady = steady(size);
    let minutes = Producers::new(1.0 / 60.0, T0, T0 + of_size(size, 12, 4) * HOUR_US);
    let begun_us = T0 + 34 * MINUTE_US;
    let during_us = begun_us..begun_us + 50 * MINUTE_US;
    let mut all = Vec::new();
    for (name, producers) in [("", steady), (", a row a minute", minutes)] {
        for (how, ahead_us) in [("ahead", HOUR_US), ("back", -HOUR_US)] {
            let clock = Some(WrongClock { during_us: during_us.clone(), ahead_us });
            let name = format!("our clock steps an hour {how} for 50 min{name}");
            all.push((name, producers, Mishaps { clock, stop: None }));
        }
        // It ends just before a window is over, and just after.
        for end_us in [30, 90] {
            let end_us = T0 + HOUR_US + end_us * SECOND_US;
            let stop = Some(end_us - MINUTE_US..end_us);
            let end_s = (end_us - T0 - HOUR_US) / SECOND_US;
            let name = format!("SIGSTOP, CONT a minute later, {end_s} s after a window{name}");
            all.push((name, producers, Mishaps { clock: None, stop }));
        }
    }
    let scenario = |(name, producers, mishaps): (String, Producers, Mishaps)| {
        Scenario { mishaps, ..Scenario::usual(&name) }.live_only().of_producers(producers)
    };
    all.into_iter().map(scenario).collect()
}
