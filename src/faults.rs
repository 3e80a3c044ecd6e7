//! Named places at which a test can let the process die, as a power failure would end it.
//!
//! Built into every build, so that the binary that is shipped is the one that is killed (decision 050).
//! Whoever may set the environment of a process may end it anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `PLACE` or `PLACE:N`: the process dies when it passes the place for the N-th time.
const VARIABLE: &str = "DRIFTLINE_FAULT";

/// A place between two steps of a record's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The checkpoint was read, nothing else was done.
    Restart,
    /// A stretch of the log was read and not counted.
    AfterPoll,
    /// A snapshot waits to be written.
    BeforeCommit,
    /// A snapshot is in the store and nobody knows.
    AfterCommit,
    /// A message is in the store and was not handed to its receiver.
    BeforeSend,
    /// A message was settled and is not marked so.
    AfterSend,
}

impl Place {
    /// Every place, in the order of a record's way.
    pub(crate) const ALL: [Place; 6] = [
        Place::Restart,
        Place::AfterPoll,
        Place::BeforeCommit,
        Place::AfterCommit,
        Place::BeforeSend,
        Place::AfterSend,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Place::Restart => "restart",
            Place::AfterPoll => "after-poll",
            Place::BeforeCommit => "before-commit",
            Place::AfterCommit => "after-commit",
            Place::BeforeSend => "before-send",
            Place::AfterSend => "after-send",
        }
    }
}

/// Where the process dies; nowhere by default. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    wanted: Option<(Place, Arc<AtomicU64>)>,
}

impl Faults {
    pub(crate) fn from_environment() -> Faults {
        std::env::var(VARIABLE).map_or_else(|_| Faults::default(), |text| Faults::parse(&text))
    }

    fn parse(text: &str) -> Faults {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        let place = Place::ALL.into_iter().find(|place| place.name() == name);
        let times = times.parse().ok().filter(|times| *times > 0);
        let wanted = place.zip(times);
        match wanted {
            Some((place, times)) => {
                let place = place.name();
                tracing::warn!(place, times, "{VARIABLE} is set: the process will die there");
            }
            None => tracing::error!(text, "{VARIABLE} names no place; nothing will fail"),
        }
        Faults { wanted: wanted.map(|(place, times)| (place, Arc::new(AtomicU64::new(times)))) }
    }

    /// The process is at `place`. It ends here where this is the one: without a word to anybody.
    pub(crate) fn pass(&self, place: Place) {
        if self.is_due(place) {
            std::process::abort();
        }
    }

    fn is_due(&self, place: Place) -> bool {
        match &self.wanted {
            Some((wanted, left)) if *wanted == place => left.fetch_sub(1, Ordering::Relaxed) == 1,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_dies_at_the_named_place_and_time_only() {
        let faults = Faults::parse("after-commit:3");
        let due = |place| faults.clone().is_due(place);
        assert!(!due(Place::BeforeCommit));
        assert_eq!([(); 4].map(|()| due(Place::AfterCommit)), [false, false, true, false]);
        for text in ["", "nowhere", "after-poll:0", "after-poll:x"] {
            assert!(Faults::parse(text).wanted.is_none(), "{text}");
        }
    }
}
