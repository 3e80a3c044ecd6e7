//! Typed places: which model, which topic, which partition, so that none is taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A model's place among the configured models, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub usize);

impl From<usize> for ModelId {
    fn from(place: usize) -> ModelId {
        ModelId(place)
    }
}

impl From<ModelId> for usize {
    fn from(id: ModelId) -> usize {
        id.0
    }
}

/// A topic's place in the reading plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub usize);

impl From<usize> for TopicId {
    fn from(place: usize) -> TopicId {
        TopicId(place)
    }
}

impl From<TopicId> for usize {
    fn from(id: TopicId) -> usize {
        id.0
    }
}

/// Kafka's number of a partition. Also a key of JSON objects, as its digits.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Partition(pub i32);

impl From<i32> for Partition {
    fn from(number: i32) -> Partition {
        Partition(number)
    }
}

impl From<Partition> for i32 {
    fn from(partition: Partition) -> i32 {
        partition.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// One log: a partition of a topic of the reading plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: Partition,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn partitions_are_numbers_and_keys_of_json() {
        let map = BTreeMap::from([(Partition(2), Partition(3)), (Partition(10), Partition(0))]);
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(text, r#"{"2":3,"10":0}"#);
        assert_eq!(serde_json::from_str::<BTreeMap<Partition, Partition>>(&text).unwrap(), map);
    }
}
