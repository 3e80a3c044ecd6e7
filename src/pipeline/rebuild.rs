//! Counting again: an empty store that begins where the oldest open windows of a lost one began.

use std::collections::BTreeMap;

use super::persist::{UnitDocument, read};
use super::topic::{Reading, TopicFacts};
use super::{Pipeline, RestoreError, begin_unit};
use crate::checkpoint::Saved;

impl Pipeline {
    /// Reads on from the first rows of the windows that were open in `lost`, which is given up: of it
    /// only positions are believed, and that closed windows are closed. A topic that `lost` does not
    /// know is read from its configured start.
    ///
    /// # Errors
    /// [`RestoreError::Document`]: a document is damaged; nothing was taken over then.
    pub fn begin_again(&mut self, lost: &Saved) -> Result<(), RestoreError> {
        let mut documents: BTreeMap<usize, UnitDocument> = BTreeMap::new();
        for (index, unit) in self.units.iter().enumerate() {
            let topic = self.topics.get(unit.topic).map_or("", |topic| topic.name.as_str());
            let document = read::<UnitDocument>(lost, &format!("model/{}", unit.name()))?;
            documents.extend(document.filter(|known| known.topic == topic).map(|d| (index, d)));
        }
        let mut readings = Vec::new();
        for topic in &self.topics {
            let facts = read::<TopicFacts>(lost, &format!("topic/{}", topic.name))?;
            readings.push(facts.map(|facts| facts.partitions).unwrap_or_default());
        }
        for (topic, readings) in self.topics.iter_mut().zip(readings) {
            topic.dirty = true;
            let units = topic.units.iter().filter_map(|unit| documents.get_key_value(unit));
            let units: Vec<(&usize, &UnitDocument)> = units.collect();
            for (partition, reading) in readings {
                let first = units.iter().filter_map(|(_, document)| {
                    document.drift.open_rows_from().get(&partition).copied()
                });
                let position = first.chain([reading.position]).min().unwrap_or(0);
                let begun = Reading { position, fingerprint: None, gap: false };
                topic.facts.partitions.insert(partition, begun);
                for (unit, _) in &units {
                    let Some(unit) = self.units.get_mut(**unit) else { continue };
                    begin_unit(unit, partition, position, topic.facts.counts(partition));
                }
            }
            for (unit, document) in units {
                if let Some(unit) = self.units.get_mut(*unit) {
                    unit.drift.follow(&document.drift);
                }
            }
        }
        Ok(())
    }
}
