//! The wall time that carries the newest row on, where no row comes (RULES §1, rule 3).
//!
//! Where the machine's clock is set forward, nobody knows at first whether it was wrong before or is now.
//! Steady time tells how long ago a row was read, and records tell what their producers' clocks say: who
//! goes by both waits at most as long as windows are, and believes no step that no record confirms.

use driftline_config::time::ClockReading;

/// Wall time that steps forward only where a record says so too.
#[derive(Debug, Clone, Default)]
pub(super) struct CarryingClock {
    last: Option<ClockReading>,
}

impl CarryingClock {
    /// What it says now, never later than our wall clock; the newest record that did not lie beyond that
    /// has this timestamp.
    pub(super) fn wall_us(&mut self, now: ClockReading, record_time_us: i64) -> i64 {
        let wall_us = self.last.map_or(now.wall_us, |last| {
            let passed_us = now.steady_us.saturating_sub(last.steady_us).max(0);
            let carried_us = last.wall_us.saturating_add(passed_us);
            carried_us.max(record_time_us).min(now.wall_us)
        });
        self.last = Some(ClockReading { wall_us, ..now });
        wall_us
    }
}

#[cfg(test)]
mod tests {
    use driftline_config::time::{HOUR_US, MINUTE_US};

    use super::*;

    /// Our clock an hour ahead once closed windows before they were over, where rows came a minute apart:
    /// 171 of 4367 good rows were late.
    #[test]
    fn a_step_forward_is_believed_once_a_record_says_so() {
        let mut clock = CarryingClock::default();
        for (name, steady_min, wall_min, record_min, said_min) in [
            ("begins with ours", 0, 100, 10, 100),
            ("ours is set forward", 1, 161, 100, 101),
            ("so many minutes later", 11, 171, 101, 111),
            ("a record of before", 12, 172, 112, 112),
            ("a record that confirms", 13, 173, 173, 173),
            ("ours is set back", 14, 114, 173, 114),
            ("a record beyond ours", 15, 115, 173, 115),
        ] {
            let now = ClockReading {
                steady_us: steady_min * MINUTE_US,
                wall_us: HOUR_US + wall_min * MINUTE_US,
            };
            let said_us = clock.wall_us(now, HOUR_US + record_min * MINUTE_US);
            assert_eq!(said_us, HOUR_US + said_min * MINUTE_US, "{name}");
        }
    }
}
