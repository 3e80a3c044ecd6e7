//! When each of the loop's regular duties was last done, and how long a turn may wait.

use std::time::{Duration, Instant};

/// How long the loop waits for the next read event before it looks at everything else.
pub(super) const TURN: Duration = Duration::from_millis(20);
/// How long it waits at rest: waking up is most of what a service costs that has nothing to do.
const TURN_AT_REST: Duration = Duration::from_millis(100);
/// How long after the last event it is at rest.
const RESTS_AFTER: Duration = Duration::from_secs(2);
/// How often a snapshot is taken at least, while anything changes.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(5);
/// How long a decision waits for its neighbours, while many windows are still to be judged.
const SNAPSHOT_OF_MANY: Duration = Duration::from_millis(500);

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

    /// Whether a snapshot is due: at once where one is `wanted`, but one serves many windows where these
    /// close together and the judge is `crowded`.
    pub(super) fn snapshot_is_due(&self, now: Instant, wanted: bool, crowded: bool) -> bool {
        let since = now.duration_since(self.snapshot);
        let soon = !crowded || since >= SNAPSHOT_OF_MANY;
        since >= SNAPSHOT_EVERY || (wanted && soon)
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

    #[test]
    fn a_snapshot_that_is_wanted_waits_only_for_many_windows_that_close_together() {
        let begun = Instant::now();
        let clocks = Clocks::begin(begun);
        let ms = Duration::from_millis;
        let table = [
            (ms(0), (true, false), true),
            (ms(0), (true, true), false),
            (ms(499), (true, true), false),
            (ms(500), (true, true), true),
            (ms(4999), (false, false), false),
            (ms(5000), (false, false), true),
            (ms(5000), (false, true), true),
        ];
        for (after, (wanted, crowded), due) in table {
            let found = clocks.snapshot_is_due(begun + after, wanted, crowded);
            assert_eq!(found, due, "{after:?} wanted {wanted} crowded {crowded}");
        }
    }
}
