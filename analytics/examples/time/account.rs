//! What became of the good rows under a rule, and when windows closed.

use std::collections::BTreeMap;

/// Of one lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) good: u64,
    pub(crate) late: u64,
    pub(crate) ahead: u64,
    /// Good rows of each open window, by its start.
    pub(crate) open: BTreeMap<i64, u64>,
    /// When each window with good rows closed, in true time, by its start.
    pub(crate) closed_us: BTreeMap<i64, i64>,
}

impl Account {
    /// A row went into a window.
    pub(crate) fn place(&mut self, start_us: i64, good: bool) {
        *self.open.entry(start_us).or_default() += u64::from(good);
    }

    /// A window closed.
    pub(crate) fn close(&mut self, start_us: i64, now_us: i64) {
        if self.open.remove(&start_us).is_some_and(|good| good > 0) {
            self.closed_us.insert(start_us, now_us);
        }
    }

    /// Open windows with good rows that start before this instant.
    pub(crate) fn waiting(&self, before_us: i64) -> usize {
        self.open.range(..before_us).filter(|(_, good)| **good > 0).count()
    }

    /// How much later than in another account windows closed, sorted, in microseconds.
    pub(crate) fn later_than_us(&self, other: &Account) -> Vec<i64> {
        let both = self.closed_us.iter();
        let both = both.filter_map(|(start_us, us)| Some(us - other.closed_us.get(start_us)?));
        let mut later_us: Vec<i64> = both.collect();
        later_us.sort_unstable();
        later_us
    }
}
