//! Broken input pane after pane: a pane's share is not that of all requests, and one that is too small to
//! show what went before does not end it.

use std::collections::{BTreeMap, VecDeque};

use driftline_config::Level;
use serde::{Deserialize, Serialize};

use super::{BrokenInput, PaneHealth, PaneShare};
use crate::judgement::ALPHA;
use crate::statistics::at_least;

/// Panes that a share is of, and calm ones after which a run is forgotten: as many as the rule looks at.
const PANES: usize = 10;

/// The shares that were at alarm in the last panes, by subject and check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokenRuns {
    by_share: BTreeMap<String, Run>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Run {
    since_us: i64,
    /// What its share is at least, with 99 % confidence.
    bound: f64,
    /// Those at alarm, the latest.
    panes: VecDeque<PaneShare>,
    /// Since the last of them.
    calm: PaneShare,
    calm_panes: usize,
}

impl BrokenRuns {
    /// Whether this share was at alarm in the last panes.
    pub(super) fn know(&self, share: &BrokenInput) -> bool {
        self.by_share.contains_key(&key(share))
    }

    /// What a pane that starts at `start_us` says together with those before it: a share at alarm is of all
    /// panes of its run, and one that is not at alarm is in order only once the calm panes together would
    /// have shown the run's.
    pub fn take(&mut self, start_us: i64, health: PaneHealth) -> PaneHealth {
        let level = health.level;
        let shares = health.shares.into_iter().filter_map(|share| match (share.level, share.of) {
            (Level::Alarm, Some(of)) => {
                let run = self.by_share.entry(key(&share));
                Some(run.or_insert_with(|| Run::begin(start_us, &share)).grow(of, &share))
            }
            (Level::Alarm, None) => Some(BrokenInput { since_us: start_us, ..share }),
            (Level::NotComputable, _) => Some(share),
            // What is in order and was never at alarm has no run.
            (_, of) => self.by_share.get_mut(&key(&share)).zip(of).and_then(|(run, of)| {
                let is_over = run.is_over_after(of);
                (!is_over).then_some(BrokenInput { level: Level::NotComputable, ..share })
            }),
        });
        let shares = shares.collect();
        self.by_share.retain(|_, run| run.calm_panes <= PANES);
        PaneHealth { level, shares }
    }
}

impl Run {
    fn begin(since_us: i64, share: &BrokenInput) -> Run {
        let bound = share.bound;
        let (panes, calm) = (VecDeque::new(), PaneShare { count: 0, rows: 0, reference: 0.0 });
        Run { since_us, bound, panes, calm, calm_panes: 0 }
    }

    /// One more pane at alarm: the share of the run.
    fn grow(&mut self, of: PaneShare, share: &BrokenInput) -> BrokenInput {
        (self.calm.count, self.calm.rows, self.calm_panes) = (0, 0, 0);
        self.panes.push_back(of);
        if self.panes.len() > PANES {
            self.panes.pop_front();
        }
        let mut all = PaneShare { count: 0, rows: 0, ..of };
        for pane in &self.panes {
            all.count += pane.count;
            all.rows += pane.rows;
        }
        let whole = share.over(all);
        self.bound = whole.bound + of.reference;
        BrokenInput { since_us: self.since_us, ..whole }
    }

    /// One more pane that is not at alarm: whether so few bad rows since would be chance under the run's
    /// share.
    fn is_over_after(&mut self, of: PaneShare) -> bool {
        self.calm.count += of.count;
        self.calm.rows += of.rows;
        let at_most = 1.0 - at_least(self.calm.count + 1, self.calm.rows, self.bound);
        let is_over = at_most <= ALPHA;
        self.calm_panes += usize::from(is_over);
        is_over
    }
}

fn key(share: &BrokenInput) -> String {
    format!("{} {}", share.subject, share.check.name())
}
