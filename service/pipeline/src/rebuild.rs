//! Counting again: an empty store that begins where the oldest open windows of a lost one began.

use std::collections::BTreeMap;

use driftline_analytics::lane::ClosingLane;
use driftline_config::{ModelId, Partition, TopicId};

use crate::counting::model::RowCounts;
use crate::counting::topic::{Position, TopicFacts};
use crate::deciding::lanes::Counts;
use crate::persist::{DecidingDocument, read};
use crate::snapshot::{DocumentKey, Saved};
use crate::{Pipeline, RestoreError};

impl Pipeline {
    /// Reads on from the first rows of the windows that were open in `lost`, which is given up: of it
    /// only positions are believed, and that closed windows are closed. A topic that `lost` does not
    /// know is read from its configured start.
    ///
    /// # Errors
    /// [`RestoreError::Document`]: a document is damaged; nothing was taken over then.
    pub fn begin_again(&mut self, lost: &Saved) -> Result<(), RestoreError> {
        let counting = &mut self.counting;
        let mut documents: BTreeMap<ModelId, DecidingDocument> = BTreeMap::new();
        for (id, model) in counting.models.iter() {
            let key = DocumentKey::Model(model.name().to_owned());
            let topic = counting.topics.get(model.topic).map(|topic| &topic.name);
            let document = read::<DecidingDocument>(lost, &key)?;
            documents.extend(document.filter(|known| Some(&known.topic) == topic).map(|d| (id, d)));
        }
        let mut readings = Vec::new();
        for (id, topic) in counting.topics.iter() {
            let facts = read::<TopicFacts>(lost, &DocumentKey::Topic(topic.name.clone()))?;
            readings.push((id, facts.map(|facts| facts.partitions).unwrap_or_default()));
        }
        for (id, readings) in readings {
            self.read_again(id, readings, &documents);
        }
        Ok(())
    }

    /// Partitions of a topic are read again from the first rows of the windows that were open.
    fn read_again(
        &mut self,
        id: TopicId,
        readings: BTreeMap<Partition, Position>,
        documents: &BTreeMap<ModelId, DecidingDocument>,
    ) {
        let Some(topic) = self.counting.topics.get_mut(id) else { return };
        topic.dirty = true;
        let of_topic = topic.members.iter().filter_map(|id| documents.get_key_value(id));
        let of_topic: Vec<(&ModelId, &DecidingDocument)> = of_topic.collect();
        for (partition, reached) in readings {
            let first = of_topic.iter().filter_map(|(_, document)| {
                // Where no open window has a row it goes on as it was.
                document.drift.open_rows_from().get(&partition).copied()
            });
            let position = first.chain([reached.position]).min().unwrap_or(0);
            let begun = Position::beginning(position, topic.facts.ledger_of(partition));
            topic.facts.partitions.insert(partition, begun);
            let counts =
                Counts { ledger: topic.facts.ledger_of(partition), rows: RowCounts::default() };
            for (id, _) in &of_topic {
                if let Some(model) = self.deciding.models.get_mut(**id) {
                    model.begin(partition, position, counts);
                }
            }
        }
        for (id, document) in of_topic {
            let models = (self.counting.models.get_mut(*id), self.deciding.models.get_mut(*id));
            if let (Some(counter), Some(decider)) = models {
                decider.lanes.drift.follow(&document.drift);
                let lanes = decider.lanes.as_ref();
                counter.clock.close_through(lanes.map(ClosingLane::closed_through_us));
            }
        }
    }
}
