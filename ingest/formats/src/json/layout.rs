//! Where each key of a capture belongs: compiled once per topic, shared by its partitions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use driftline_capture::columns::{
    CaptureSchema, Kind, UNKNOWN_COLUMNS, WRONG_TYPE_PREFIX, batch_schema,
};

use super::sixteen::QuotedKey;
use crate::plan::ModelPlan;

/// What a key inside `features` or `prediction` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The value column with this index.
    Column(u32),
    /// Known to the baseline, not monitored.
    Ignored,
}

/// A key and what it stands for.
#[derive(Debug)]
pub(crate) struct Known {
    name: Box<str>,
    pub(crate) quoted: QuotedKey,
    pub(crate) target: Target,
    /// The value column, where it is one of numbers.
    pub(crate) numeric: Option<u32>,
}

/// The keys of `features`, or of `prediction`.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    known: Vec<Known>,
    by_name: HashMap<Box<str>, u32>,
}

/// The order in which known keys came last, each at most once. Producers write theirs in one, and leave
/// out some of them or write one twice.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    order: Vec<u32>,
    /// For each known key, its last place in the order.
    places: Vec<u32>,
}

impl LastSeen {
    /// Where the key with this index has its place, if it still has one.
    fn place_of(&self, index: u32) -> Option<usize> {
        let place = *self.places.get(index as usize)? as usize;
        (self.order.get(place) == Some(&index)).then_some(place)
    }

    /// Gives the key with this index a place, which is at most behind the last.
    fn put(&mut self, index: u32, place: usize) {
        match self.order.get_mut(place) {
            Some(key) => *key = index,
            None => self.order.push(index),
        }
        let (key, place) = (index as usize, u32::try_from(place).unwrap_or(u32::MAX));
        if self.places.len() <= key {
            self.places.resize(key + 1, u32::MAX);
        }
        if let Some(known) = self.places.get_mut(key) {
            *known = place;
        }
    }
}

impl Keys {
    fn insert(&mut self, name: &str, target: Target, kind: Option<Kind>) {
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        if self.by_name.contains_key(name) {
            return;
        }
        self.by_name.insert(name.into(), index);
        let numeric = match (target, kind) {
            (Target::Column(index), Some(Kind::Numeric)) => Some(index),
            _ => None,
        };
        self.known.push(Known { name: name.into(), quoted: QuotedKey::new(name), target, numeric });
    }

    /// The key that stood at `place` last.
    #[inline]
    pub(crate) fn expected(&self, place: usize, seen: &LastSeen) -> Option<&Known> {
        seen.order.get(place).and_then(|index| self.known.get(*index as usize))
    }

    /// What `name` stands for (`None`: a new column), which was read where the key at `place` was
    /// expected, and the place of the key that is expected next. A key that comes early leaves out those
    /// before it, and one that stands twice or is unknown changes nothing: the order holds for what comes
    /// after them. One that comes late shows that there is another order, which is learnt from then on.
    pub(crate) fn find(
        &self,
        name: &str,
        place: usize,
        seen: &mut LastSeen,
    ) -> (Option<Target>, usize) {
        if let Some(known) = self.expected(place, seen)
            && *known.name == *name
        {
            return (Some(known.target), place + 1);
        }
        let Some(index) = self.by_name.get(name).copied() else { return (None, place) };
        let target = self.known.get(index as usize).map(|known| known.target);
        let next = match seen.place_of(index) {
            Some(known) if known >= place => known + 1,
            Some(known) if known + 1 == place => place,
            Some(_) => {
                seen.order.clear();
                seen.put(index, 0);
                1
            }
            None => {
                seen.put(index, place);
                place + 1
            }
        };
        (target, next)
    }
}

#[derive(Debug)]
pub(crate) struct ModelLayout {
    pub(crate) name: Box<str>,
    pub(crate) max_ahead_us: i64,
    pub(crate) columns: Vec<ColumnLayout>,
    pub(crate) features: Keys,
    pub(crate) prediction: Keys,
    /// The envelope and the value columns.
    pub(crate) schema: Arc<Schema>,
}

#[derive(Debug, Clone)]
pub(crate) struct ColumnLayout {
    pub(crate) kind: Kind,
    pub(crate) coerce: bool,
    /// The column of its wrong values, added where there are any.
    pub(crate) wrong_type: Arc<Field>,
}

/// Where each key of a topic's captures belongs.
#[derive(Debug)]
pub struct TopicLayout {
    pub(crate) models: Vec<ModelLayout>,
    pub(crate) by_name: HashMap<Box<str>, u32>,
    pub(crate) unknown_columns: Arc<Field>,
}

impl TopicLayout {
    /// Compiles the plans of a topic's models. Where two models carry one name, the first has the rows.
    pub fn new(models: &[ModelPlan]) -> TopicLayout {
        let models: Vec<ModelLayout> = models
            .iter()
            .map(|model| ModelLayout::new(&model.name, &model.schema, model.max_ahead_us))
            .collect();
        let mut by_name = HashMap::new();
        for (index, model) in (0_u32..).zip(&models) {
            by_name.entry(model.name.clone()).or_insert(index);
        }
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let unknown_columns = Arc::new(Field::new(UNKNOWN_COLUMNS, DataType::List(item), true));
        TopicLayout { models, by_name, unknown_columns }
    }
}

impl ModelLayout {
    fn new(name: &str, schema: &CaptureSchema, max_ahead_us: i64) -> ModelLayout {
        let mut features = Keys::default();
        let mut prediction = Keys::default();
        for (index, column) in (0_u32..).zip(&schema.columns) {
            let keys = if column.is_prediction() { &mut prediction } else { &mut features };
            keys.insert(column.name(), Target::Column(index), Some(column.kind));
        }
        for subject in &schema.ignored {
            let keys = if subject.is_prediction() { &mut prediction } else { &mut features };
            keys.insert(subject.name(), Target::Ignored, None);
        }
        let columns = schema
            .columns
            .iter()
            .map(|column| ColumnLayout {
                kind: column.kind,
                coerce: column.coerce,
                wrong_type: Arc::new(Field::new(
                    format!("{WRONG_TYPE_PREFIX}{}", column.subject),
                    DataType::Utf8,
                    true,
                )),
            })
            .collect();
        ModelLayout {
            name: name.into(),
            max_ahead_us,
            columns,
            features,
            prediction,
            schema: Arc::new(batch_schema(schema)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_learnt_once_and_again_where_it_changes() {
        let mut keys = Keys::default();
        for (index, name) in (0..).zip(["a", "b", "c", "d", "e"]) {
            keys.insert(name, Target::Column(index), Some(Kind::Numeric));
        }
        // What is read, and how many keys were not the expected ones.
        let table = [
            ("abcde", 5),
            ("abcde", 0),
            ("acde", 1),
            ("e", 1),
            ("abbcde", 1),
            ("aabxcde", 2),
            ("abcde", 0),
            // Another order: found out at the second key, known after the next object.
            ("badce", 5),
            ("badce", 5),
            ("badce", 0),
            ("xyz", 3),
            ("badce", 0),
        ];
        let mut seen = LastSeen::default();
        for (round, (object, surprises)) in table.into_iter().enumerate() {
            let (mut place, mut found) = (0, 0);
            for name in object.chars().map(String::from) {
                let expected = keys.expected(place, &seen).is_some_and(|key| *key.name == *name);
                let (target, next) = keys.find(&name, place, &mut seen);
                let index = u32::from(name.as_bytes()[0] - b'a');
                let known = (index < 5).then_some(Target::Column(index));
                assert_eq!(target, known, "{name} of {object}");
                (place, found) = (next, found + usize::from(!expected));
            }
            assert_eq!(found, surprises, "{object} in round {round}");
            assert!(seen.order.len() <= keys.known.len());
        }
    }
}
