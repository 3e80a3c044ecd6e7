//! What a worker is told, kept as what is to be done rather than as a queue: however long it does not
//! listen, there is no more of it than there are partitions, and who tells it never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use driftline_config::{TopicId, TopicPartition};

use super::worker::Assignment;

/// Everything that a worker has not heard yet.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Partitions that their topics have no longer: read them no more. Obeyed before all else.
    pub(crate) leave: BTreeSet<TopicPartition>,
    /// Partitions to read from now on.
    pub(crate) read: Vec<Assignment>,
    /// The last word on each partition: hand out no more of it (`true`), or go on.
    pub(crate) pauses: BTreeMap<TopicPartition, bool>,
    /// Topics that were away: make sure that they are the same.
    pub(crate) verify: BTreeSet<TopicId>,
    /// The consumer is silent although there is something to read.
    pub(crate) rebuild: bool,
}

/// Where the orders of one worker lie until it takes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Orders>>);

impl Inbox {
    /// The orders that lie here, to add to them.
    pub(crate) fn orders(&self) -> MutexGuard<'_, Orders> {
        // Each order is one write, so a poisoned lock is as good as another.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Orders {
        std::mem::take(&mut *self.orders())
    }
}

/// Offsets that are to be committed to the group: the newest of each partition.
#[derive(Debug, Default)]
pub(crate) struct Commits(Mutex<BTreeMap<TopicPartition, i64>>);

impl Commits {
    pub(crate) fn add(&self, positions: &BTreeMap<TopicPartition, i64>) {
        self.offsets().extend(positions);
    }

    pub(crate) fn take(&self) -> BTreeMap<TopicPartition, i64> {
        std::mem::take(&mut *self.offsets())
    }

    fn offsets(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use driftline_config::Partition;

    use super::*;

    fn log(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicId(0), partition: Partition(partition) }
    }

    #[test]
    fn who_does_not_listen_hears_the_last_word_on_each_partition() {
        let inbox = Inbox::default();
        for round in 0..10_000 {
            for partition in 0..3 {
                let pause = (round + partition) % 2 == 0;
                inbox.orders().pauses.insert(log(partition), pause);
            }
            inbox.orders().verify.insert(TopicId(0));
            inbox.orders().rebuild = true;
        }
        let orders = inbox.take();
        let words: Vec<_> = orders.pauses.into_iter().collect();
        assert_eq!(words, [(log(0), false), (log(1), true), (log(2), false)]);
        assert_eq!((orders.verify.len(), orders.rebuild), (1, true));
        let nothing = inbox.take();
        assert!(nothing.pauses.is_empty() && nothing.verify.is_empty() && !nothing.rebuild);
    }

    #[test]
    fn of_many_commits_the_newest_offset_of_each_partition_is_left() {
        let commits = Commits::default();
        for offset in 0..10_000 {
            commits.add(&BTreeMap::from([(log(0), offset), (log(1), 2 * offset)]));
        }
        commits.add(&BTreeMap::from([(log(1), 7)]));
        assert_eq!(commits.take(), BTreeMap::from([(log(0), 9_999), (log(1), 7)]));
        assert!(commits.take().is_empty());
    }
}
