//! Nothing but rejected records: no row opens a window or pane that would say so, so the clock does.

use std::collections::BTreeMap;

use driftline_alerting::{Class, Evidence};
use driftline_analytics::judgement::test_share;
use driftline_config::time::{MINUTE_US, duration_words};

use super::Desk;
use super::clock::Look;
use super::model::ModelDecider;
use crate::signals;

/// How long only rejects must come before somebody is told.
const AFTER_US: i64 = 2 * MINUTE_US;
/// Rejected records below which nothing is said, and their share of all, as in panes: RULES §3.
const AT_LEAST: u64 = 5;
const TOLERATED: f64 = 0.05;
/// Reasons that a message names.
const REASONS: usize = 3;

/// What became of a topic's records since its first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) read: u64,
    pub(crate) rejected: u64,
    /// Rejected records by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
}

/// Where a topic stood when a model's last row had come.
#[derive(Debug)]
pub(crate) struct RejectMark {
    /// Wall time.
    at_us: i64,
    last_row_us: Option<i64>,
    outcomes: Outcomes,
}

impl ModelDecider {
    /// Opens broken input where records come and not one of them is a row of the model, and ends it with the
    /// next row: across a restart as well.
    pub(crate) fn look_for_rejects(&mut self, look: &Look<'_>, desk: &mut Desk<'_>) {
        let (now_us, all) = (desk.now_us, &look.reach.outcomes);
        let is_known = |mark: &&RejectMark| {
            mark.last_row_us == self.last_row_wall_us && mark.outcomes.read <= all.read
        };
        if self.reject_mark.as_ref().filter(is_known).is_none() {
            let last_row_us = self.last_row_wall_us;
            let outcomes = Outcomes::clone(all);
            self.reject_mark = Some(RejectMark { at_us: now_us, last_row_us, outcomes });
        }
        let raised_us = self.facts.alerts.seen_by_the_clock_us(Class::BrokenInput);
        let has_row_since = |raised_us: i64| self.last_row_wall_us.is_some_and(|us| us > raised_us);
        let found = match raised_us {
            Some(raised_us) if has_row_since(raised_us) => Vec::new(),
            Some(_) => return,
            None if !self.is_caught_up() => return,
            None => match self.reject_mark.as_ref().and_then(|mark| mark.evidence(all, now_us)) {
                Some(evidence) => vec![evidence],
                None => return,
            },
        };
        let observation = signals::of_a_look(self.name(), Class::BrokenInput, found, now_us);
        self.decide(&observation, None, desk);
    }
}

impl RejectMark {
    /// What was rejected since, where it is too much.
    fn evidence(&self, all: &Outcomes, now_us: i64) -> Option<Evidence> {
        let rejected = all.rejected.saturating_sub(self.outcomes.rejected);
        let read = all.read.saturating_sub(self.outcomes.read);
        let lasted_us = now_us.saturating_sub(self.at_us);
        let test = test_share(rejected.min(read), read, TOLERATED);
        if lasted_us < AFTER_US || rejected < AT_LEAST || test.bound <= TOLERATED {
            return None;
        }
        let because = format!(
            "{rejected} of {read} records were rejected in {} and none was a row of this model: {}",
            duration_words(lasted_us),
            self.reasons(all),
        );
        let evidence = signals::of_the_clock("model", "rejected", because, self.at_us);
        Some(evidence)
    }

    /// The most frequent reasons since, with how often.
    fn reasons(&self, all: &Outcomes) -> String {
        // A reason that is new since has no count before.
        let before = |reason: &String| self.outcomes.reasons.get(reason).copied().unwrap_or(0);
        let since =
            all.reasons.iter().map(|(reason, &count)| (count - before(reason).min(count), reason));
        let mut since: Vec<(u64, &String)> = since.filter(|(count, _)| *count > 0).collect();
        since.sort_by(|a, b| b.cmp(a));
        let named = since.iter().take(REASONS).map(|(count, reason)| format!("{count} {reason}"));
        named.collect::<Vec<String>>().join(", ")
    }
}
