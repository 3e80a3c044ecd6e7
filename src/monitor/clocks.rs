//! When each of the loop's regular duties was last done, and how long a turn may wait.

use std::time::{Duration, Instant};

/// How long the loop waits for the next read event before it looks at everything else.
pub(super) const TURN: Duration = Duration::from_millis(20);
/// How long it waits at rest: waking up is most of what a service costs that has nothing to do.
const TURN_AT_REST: Duration = Duration::from_millis(100);
/// How long after the last event it is at rest.
const RESTS_AFTER: Duration = Duration::from_secs(2);

/// When each of the loop's regular duties was last done, and when anything else.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) tick: Instant,
    pub(super) snapshot: Instant,
    pub(super) committed: Instant,
    pub(super) board: Instant,
    pub(super) prune: Instant,
    pub(super) stirred: Instant,
}

impl Clocks {
    /// All duties are done, and something has just happened.
    pub(super) fn begin(now: Instant) -> Clocks {
        Clocks { tick: now, snapshot: now, committed: now, board: now, prune: now, stirred: now }
    }

    /// How long the next turn may wait for a read event.
    pub(super) fn turn(&self, now: Instant) -> Duration {
        let rests = now.duration_since(self.stirred) >= RESTS_AFTER;
        if rests { TURN_AT_REST } else { TURN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_short_until_nothing_has_happened_for_a_while() {
        let begun = Instant::now();
        let mut clocks = Clocks::begin(begun);
        assert_eq!(clocks.turn(begun), TURN);
        assert_eq!(clocks.turn(begun + RESTS_AFTER), TURN_AT_REST);
        clocks.stirred = begun + RESTS_AFTER;
        assert_eq!(clocks.turn(begun + RESTS_AFTER), TURN);
    }
}
