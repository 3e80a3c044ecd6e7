//! When a candidate that cannot keep up stands back for those with whom it shares the cores.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Who stands back rests so many times as long as its slice took.
const REST: u32 = 10;
/// The longest rest, however long a slice took.
const LONGEST: Duration = Duration::from_secs(10);

/// A stretch of work: how long it took, and how long of it those who worked had a core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    took: Duration,
    ran: Duration,
}

/// Measures an [`Effort`] that begins now.
pub(super) struct Stopwatch {
    begun: Instant,
    ran_before: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Stopwatch {
        Stopwatch { begun: Instant::now(), ran_before: ran() }
    }

    /// Of the calling thread and of somebody who worked for it meanwhile.
    pub(super) fn effort(&self, helper_ran: Duration) -> Effort {
        let ran = ran().saturating_sub(self.ran_before) + helper_ran;
        Effort { took: self.begun.elapsed(), ran }
    }
}

impl Effort {
    /// How long to rest after it. Who `sheds` rows cannot score them all anyway, so that a few more do no
    /// harm, and rests where it had to wait for a core, since others want them: even a thread that all
    /// others may push aside was measured to slow them down.
    pub(super) fn rest(self, sheds: bool) -> Duration {
        let waited = self.took.saturating_sub(self.ran);
        if sheds && waited > self.took / 10 {
            (self.took * REST).min(LONGEST)
        } else {
            Duration::ZERO
        }
    }
}

/// What ends a rest: the end of the lane. It has a lock of its own, so that rows that come wake nobody who
/// rests, and nobody who brings them waits for one who wakes.
#[derive(Debug, Default)]
pub(super) struct Halt {
    called: Mutex<bool>,
    told: Condvar,
}

impl Halt {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn call(&self) {
        *self.lock() = true;
        self.told.notify_all();
    }

    pub(super) fn is_called(&self) -> bool {
        *self.lock()
    }

    /// Waits for so long, or until it is called.
    pub(super) fn rest(&self, pause: Duration) {
        if !pause.is_zero() {
            drop(self.told.wait_timeout_while(self.lock(), pause, |called| !*called));
        }
    }
}

/// How long the calling thread has had a core so far.
fn ran() -> Duration {
    let ran = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(ran.tv_sec), u32::try_from(ran.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_sheds_and_has_to_wait_rests() {
        let ms = Duration::from_millis;
        let table = [
            ((10, 10), true, 0),
            ((10, 9), true, 0),
            ((10, 5), true, 100),
            ((10, 5), false, 0),
            ((10, 0), true, 100),
            ((10, 12), true, 0),
            ((20_000, 100), true, 10_000),
        ];
        for ((took, ran), sheds, rests) in table {
            let effort = Effort { took: ms(took), ran: ms(ran) };
            assert_eq!(effort.rest(sheds), ms(rests), "{effort:?} {sheds}");
        }
    }

    #[test]
    fn a_stopwatch_tells_running_from_waiting() {
        let stopwatch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(20));
        let waited = stopwatch.effort(Duration::ZERO);
        assert!(waited.ran < waited.took / 2, "{waited:?}");
        let helped = stopwatch.effort(Duration::from_millis(20));
        assert!(helped.ran >= Duration::from_millis(20), "{helped:?}");
        let mut sum = 0_u64;
        while stopwatch.effort(Duration::ZERO).ran < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(stopwatch.effort(Duration::ZERO).took >= Duration::from_millis(40));
    }
}
