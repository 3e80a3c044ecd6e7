//! A model that appears: a template made it of a name that came for the first time.
//!
//! Which record is the first depends on how partitions are read beside one another, and what becomes of the
//! model must not. So it is as if it had been there since reading began and had no rows: it knows of each
//! partition what the others knew then.

use std::sync::Arc;

use driftline_analytics::lane::Incomplete;
use driftline_config::{Partition, TopicId};

use crate::Pipeline;
use crate::counting::model::{ModelCounter, RowCounts};
use crate::counting::topic::Position;
use crate::deciding::lanes::Counts;
use crate::deciding::model::ModelDecider;
use crate::setup::Setup;

impl Pipeline {
    /// Takes in a model of a topic that is read already, or before a restart was.
    pub(crate) fn take_in(&mut self, id: TopicId, setup: Arc<Setup>, now_us: i64) {
        let Some(topic) = self.counting.topics.get(id) else { return };
        let (name, facts, count) =
            (Arc::from(topic.name.as_str()), topic.facts.clone(), topic.count);
        let mut counter = ModelCounter::new(Arc::clone(&setup), id);
        counter.is_of_template = true;
        let model = self.counting.add(counter);
        let mut decider = ModelDecider::new(model, setup, name, now_us);
        // Of more names than the ledger tells apart nobody knows, and it must not depend on when they came.
        let was_skipped = facts.ledger.skipped_names.contains_key(decider.name());
        for partition in (0..count).map(Partition) {
            match facts.partitions.get(&partition) {
                Some(reached) => {
                    let counts =
                        Counts { ledger: facts.ledger_of(partition), rows: RowCounts::default() };
                    begin(&mut decider, partition, *reached, counts, was_skipped);
                }
                // It has not been read.
                None => decider.add_partition(partition, 0),
            }
        }
        self.deciding.add(id, decider);
    }
}

/// A partition begins for a model where it began for the others; or, where records of its name were skipped
/// before, at what is read next.
fn begin(
    decider: &mut ModelDecider,
    partition: Partition,
    reached: Position,
    now: Counts,
    was_skipped: bool,
) {
    match reached.began.filter(|_| !was_skipped) {
        Some(began) => {
            let counts = Counts { ledger: began.ledger, rows: RowCounts::default() };
            decider.begin(partition, began.offset, counts);
            if let Some(why) = began.incomplete {
                decider.mark_until_a_row(partition, why);
            }
        }
        None => {
            decider.begin(partition, reached.position, now);
            decider.mark_until_a_row(partition, Incomplete::ModelAdded);
        }
    }
}
