//! The service's clock: steady for durations, and wall time that never jumps forward.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use driftline_config::time::ClockReading;

/// How much faster than real time wall time follows a machine's clock that was set forward.
const SLEW: i64 = 2;

/// One clock for a whole service: whoever compares times asks the same one. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<State>);

#[derive(Debug)]
struct State {
    begun: Instant,
    wall: Mutex<SlewedWall>,
}

/// Wall time made of the machine's clock and a steady one: it follows the machine's clock back at once, and
/// forward at most at twice real time.
#[derive(Debug, Default)]
pub struct SlewedWall {
    last: Option<ClockReading>,
}

impl Clock {
    /// A clock that believes the machine's once.
    pub fn new() -> Clock {
        Clock(Arc::new(State { begun: Instant::now(), wall: Mutex::default() }))
    }

    /// Now. Of two readings, be they of two threads, the later has the larger or the same `steady_us`.
    pub fn now(&self) -> ClockReading {
        let State { begun, wall } = &*self.0;
        // Both are read while nobody else reads them: a reading between them would seem to go back.
        let mut wall = wall.lock().unwrap_or_else(PoisonError::into_inner);
        let steady_us = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        let wall_us = wall.next(system_us(), steady_us);
        ClockReading { steady_us, wall_us }
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl SlewedWall {
    /// Wall time, given what both clocks say now: the first time, and whenever that is less than could have
    /// passed at twice real time, what the machine's says. All in microseconds.
    pub fn next(&mut self, system_us: i64, steady_us: i64) -> i64 {
        let wall_us = self.last.map_or(system_us, |last| {
            let elapsed_us = steady_us.saturating_sub(last.steady_us).max(0);
            system_us.min(last.wall_us.saturating_add(elapsed_us.saturating_mul(SLEW)))
        });
        self.last = Some(ClockReading { steady_us, wall_us });
        wall_us
    }
}

fn system_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};
    use proptest::prelude::*;

    use super::*;

    /// A moment of 2026, as the machine's clock tells it.
    const BEGUN_US: i64 = 1_767_323_045_000_000;

    /// What passes on the steady clock, by how much the machine's clock is set meanwhile, and how far wall
    /// time is behind the machine's clock then.
    type Step = (i64, i64, i64);

    #[test]
    fn wall_time_follows_a_clock_that_is_set() {
        let table: &[(&str, &[Step])] = &[
            ("nobody sets it", &[(SECOND_US, 0, 0), (HOUR_US, 0, 0), (0, 0, 0)]),
            (
                "an hour forward",
                &[
                    (SECOND_US, HOUR_US, HOUR_US - SECOND_US),
                    (MINUTE_US, 0, HOUR_US - SECOND_US - MINUTE_US),
                    (58 * MINUTE_US, 0, MINUTE_US - SECOND_US),
                    (MINUTE_US, 0, 0),
                ],
            ),
            ("an hour back", &[(SECOND_US, -HOUR_US, 0), (SECOND_US, 0, 0)]),
            (
                "an hour forward and back at once",
                &[(SECOND_US, HOUR_US, HOUR_US - SECOND_US), (SECOND_US, -HOUR_US, 0)],
            ),
            (
                "an hour back and forward again",
                &[(SECOND_US, -HOUR_US, 0), (SECOND_US, HOUR_US, HOUR_US - SECOND_US)],
            ),
            // The steady clock stands still while the machine sleeps.
            (
                "a machine that slept for an hour",
                &[(0, HOUR_US, HOUR_US), (SECOND_US, 0, HOUR_US - SECOND_US), (HOUR_US, 0, 0)],
            ),
            // It goes on while the process is stopped: nothing is caught up with.
            ("a process that was stopped for an hour", &[(HOUR_US, 0, 0), (SECOND_US, 0, 0)]),
        ];
        for (story, steps) in table {
            let mut wall = SlewedWall::default();
            let (mut system_us, mut steady_us) = (BEGUN_US, 7);
            assert_eq!(wall.next(system_us, steady_us), BEGUN_US, "{story}");
            for (number, (passes_us, set_us, behind_us)) in steps.iter().enumerate() {
                steady_us += passes_us;
                system_us += passes_us + set_us;
                let wall_us = wall.next(system_us, steady_us);
                assert_eq!(system_us - wall_us, *behind_us, "{story}, step {number}");
            }
        }
    }

    #[test]
    fn all_clones_are_one_clock() {
        let clock = Clock::new();
        let other = clock.clone();
        let (first, second, third) = (clock.now(), other.now(), clock.now());
        assert!(first.steady_us <= second.steady_us && second.steady_us <= third.steady_us);
        assert!(first.wall_us > BEGUN_US, "a machine of these days");
    }

    proptest! {
        /// However the machine's clock is set, wall time is never beyond it, and nobody sees more of it pass
        /// than twice what passes.
        #[test]
        fn wall_time_never_jumps_forward(
            steps in prop::collection::vec((0..2 * HOUR_US, -2 * HOUR_US..2 * HOUR_US), 1..60),
        ) {
            let mut wall = SlewedWall::default();
            let (mut system_us, mut steady_us) = (BEGUN_US, 0);
            let mut last_us = wall.next(system_us, steady_us);
            for (passes_us, set_us) in steps {
                steady_us += passes_us;
                system_us += passes_us + set_us;
                let behind_us = system_us - passes_us - set_us - last_us;
                let wall_us = wall.next(system_us, steady_us);
                prop_assert!(wall_us <= system_us);
                prop_assert!(wall_us - last_us <= SLEW * passes_us);
                // As much of a lag is made good as may be.
                let wanted_us = (behind_us + set_us - passes_us).max(0);
                prop_assert_eq!(system_us - wall_us, wanted_us);
                last_us = wall_us;
            }
        }
    }
}
