//! How often a candidate may die before it is given up, and how long its lane waits in between.

use std::time::{Duration, Instant};

use crate::process::Death;

/// So many deaths are the end.
const LAST: usize = 3;
/// Within this time: a candidate that dies once a week of a full machine goes on.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// How long the lane waits after the first death, and after each further one ten times as long.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The deaths of one candidate that are not forgotten.
#[derive(Debug, Default)]
pub(super) struct Deaths(Vec<Instant>);

/// What is done after a death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    Rest(Duration),
    /// And why.
    GiveUp(String),
}

impl Deaths {
    pub(super) fn mourn(&mut self, death: &Death, now: Instant) -> Then {
        self.0.retain(|then| now.saturating_duration_since(*then) < MEMORY);
        self.0.push(now);
        if death.is_for_good() {
            return Then::GiveUp(death.to_string());
        }
        match self.0.len() {
            LAST.. => Then::GiveUp(format!("it was disabled after {LAST} deaths, {death}")),
            deaths => Then::Rest(FIRST_REST * 10_u32.pow(deaths as u32 - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::tests::died;

    #[test]
    fn three_deaths_of_a_day_are_the_end() {
        let begin = Instant::now();
        // After how many hours it dies, and for how many seconds the lane rests then.
        let table: [&[(u64, Option<u64>)]; 3] = [
            &[(0, Some(1)), (0, Some(10)), (0, None)],
            &[(0, Some(1)), (23, Some(10)), (25, Some(10)), (26, None)],
            &[(0, Some(1)), (24, Some(1)), (48, Some(1))],
        ];
        for (case, lives) in table.into_iter().enumerate() {
            let mut deaths = Deaths::default();
            for (hours, expected) in lives {
                let now = begin + Duration::from_secs(hours * 3600);
                let rest = match deaths.mourn(&died(libc::SIGFPE), now) {
                    Then::Rest(pause) => Some(pause.as_secs()),
                    Then::GiveUp(why) => {
                        assert!(why.contains("disabled after 3 deaths, its process died"), "{why}");
                        assert!(why.contains("SIGFPE"), "{why}");
                        None
                    }
                };
                assert_eq!(rest, *expected, "case {case}, hour {hours}");
            }
        }
    }
}
