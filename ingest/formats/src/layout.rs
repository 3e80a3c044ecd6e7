//! Where each key of a capture belongs: compiled once per topic, shared by its partitions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use driftline_capture::columns::{Kind, UNKNOWN_COLUMNS, WRONG_TYPE_PREFIX, batch_schema};

use crate::json::QuotedKey;
use crate::mapped::MapPlan;
use crate::plan::ModelPlan;
use crate::schemas::SchemaShelf;

/// Which part of a capture holds the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Features,
    Prediction,
}

impl Part {
    /// What stands before the names of its columns.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Part::Features => "feature:",
            Part::Prediction => "prediction:",
        }
    }
}

/// What a key inside `features` or `prediction` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The value column with this index.
    Column(u32),
    /// Known to the baseline, not monitored.
    Ignored,
    /// An object or a list, the values of which are columns of their own.
    Nested(u32),
    /// A node of the model's map.
    Node(u32),
}

/// A key that is no column, while its values are: `a` where the baseline knows `a.b` or `a[0]`.
#[derive(Debug)]
pub(crate) struct Nested {
    pub(crate) part: Part,
    pub(crate) name: Box<str>,
    /// By the whole name of the column.
    pub(crate) values: HashMap<Box<str>, Target>,
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
    pub(crate) fn insert(&mut self, name: &str, target: Target, kind: Option<Kind>) {
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

    /// What `name` stands for, wherever it stands.
    pub(crate) fn get(&self, name: &str) -> Option<Target> {
        let index = *self.by_name.get(name)?;
        self.known.get(index as usize).map(|known| known.target)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Every key with what it stands for, in the order in which they were put in.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&str, Target)> {
        self.known.iter().map(|known| (&*known.name, known.target))
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
    pub(crate) nested: Vec<Nested>,
    /// How events are read that are not our own.
    pub(crate) map: Option<MapPlan>,
    /// The envelope and the value columns.
    pub(crate) schema: Arc<Schema>,
}

#[derive(Debug, Clone)]
pub(crate) struct ColumnLayout {
    pub(crate) part: Part,
    pub(crate) kind: Kind,
    pub(crate) coerce: bool,
    /// The column of its wrong values, added where there are any.
    pub(crate) wrong_type: Arc<Field>,
}

/// Where each key of a topic's captures belongs.
#[derive(Debug)]
pub struct TopicLayout {
    pub(crate) models: Vec<Arc<ModelLayout>>,
    pub(crate) by_name: HashMap<Box<str>, u32>,
    pub(crate) unknown_columns: Arc<Field>,
    /// Whether its events are read by maps.
    pub(crate) is_mapped: bool,
    pub(crate) wants_carried: bool,
    pub(crate) schemas: Arc<SchemaShelf>,
    /// How the first event is read of a topic whose models are made of templates as their names come: far
    /// enough to find the name. Where there is one, names are asked about.
    template: Option<Arc<ModelLayout>>,
}

impl TopicLayout {
    /// The schemas by which its records are read: whoever can ask a registry puts them here.
    pub fn schemas(&self) -> &Arc<SchemaShelf> {
        &self.schemas
    }

    /// Whether records are to be decoded with their key and headers.
    pub fn wants_carried(&self) -> bool {
        self.wants_carried
    }

    /// Compiles the plans of a topic's models. Where two models carry one name, the first has the rows.
    pub fn new(models: &[ModelPlan]) -> TopicLayout {
        TopicLayout::with_schemas(models, Arc::default())
    }

    /// The same with the schemas of a registry, which many topics share.
    pub fn with_schemas(models: &[ModelPlan], schemas: Arc<SchemaShelf>) -> TopicLayout {
        let models = models.iter().map(|plan| Arc::new(ModelLayout::new(plan))).collect();
        TopicLayout::of(models, None, schemas)
    }

    /// The same of a topic whose further models are made of a template as their names come:
    /// [`Outcome::NeedsModel`](crate::Outcome::NeedsModel).
    #[must_use]
    pub fn with_template(self, template: &ModelPlan) -> TopicLayout {
        // No model has this name, so that no event is the template's.
        let nobody = ModelPlan { name: "\0".to_owned(), ..template.clone() };
        let template = Arc::new(ModelLayout::new(&nobody));
        TopicLayout::of(self.models, Some(template), self.schemas)
    }

    /// The same with one model more, behind the others.
    #[must_use]
    pub fn with_model(&self, plan: &ModelPlan) -> TopicLayout {
        let mut models = self.models.clone();
        models.push(Arc::new(ModelLayout::new(plan)));
        TopicLayout::of(models, self.template.clone(), Arc::clone(&self.schemas))
    }

    fn of(
        models: Vec<Arc<ModelLayout>>,
        template: Option<Arc<ModelLayout>>,
        schemas: Arc<SchemaShelf>,
    ) -> TopicLayout {
        let mut by_name = HashMap::new();
        for (index, model) in (0_u32..).zip(&models) {
            by_name.entry(model.name.clone()).or_insert(index);
        }
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let unknown_columns = Arc::new(Field::new(UNKNOWN_COLUMNS, DataType::List(item), true));
        let maps = models.iter().chain(&template).filter_map(|model| model.map.as_ref());
        let is_mapped = maps.clone().next().is_some();
        let wants_carried = maps.clone().any(MapPlan::wants_carried);
        TopicLayout {
            models,
            by_name,
            unknown_columns,
            is_mapped,
            wants_carried,
            schemas,
            template,
        }
    }

    /// The model with this index. One behind the last is the template: so the first event is read of a topic
    /// without models, and no row is ever its.
    pub(crate) fn model(&self, index: u32) -> Option<&ModelLayout> {
        let index = index as usize;
        let template = self.template.as_ref().filter(|_| index == self.models.len());
        self.models.get(index).or(template).map(AsRef::as_ref)
    }

    /// The only model that captures without a name can be of.
    pub(crate) fn only_model(&self) -> Option<u32> {
        (self.models.len() == 1 && self.template.is_none()).then_some(0)
    }

    /// Whether it has a model of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether names that it does not have are asked about.
    pub(crate) fn asks_for_models(&self) -> bool {
        self.template.is_some()
    }
}

impl ModelLayout {
    fn new(plan: &ModelPlan) -> ModelLayout {
        let schema = &plan.schema;
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
        let mut nested = Vec::new();
        for (part, keys) in [(Part::Features, &mut features), (Part::Prediction, &mut prediction)] {
            nest(part, keys, &mut nested);
        }
        let columns: Vec<ColumnLayout> = schema
            .columns
            .iter()
            .map(|column| ColumnLayout {
                part: if column.is_prediction() { Part::Prediction } else { Part::Features },
                kind: column.kind,
                coerce: column.coerce,
                wrong_type: Arc::new(Field::new(
                    format!("{WRONG_TYPE_PREFIX}{}", column.subject),
                    DataType::Utf8,
                    true,
                )),
            })
            .collect();
        let map = plan.mapping.as_ref();
        let map = map.map(|mapping| MapPlan::new(mapping, schema, [&features, &prediction]));
        ModelLayout {
            name: plan.name.as_str().into(),
            max_ahead_us: plan.max_ahead_us,
            columns,
            features,
            prediction,
            nested,
            map,
            schema: Arc::new(batch_schema(schema)),
        }
    }
}

impl ModelLayout {
    /// Whether a column is of a part.
    pub(crate) fn is_of(&self, part: Part, column: usize) -> bool {
        self.columns.get(column).is_some_and(|column| column.part == part)
    }

    pub(crate) fn keys(&self, part: Part) -> &Keys {
        match part {
            Part::Features => &self.features,
            Part::Prediction => &self.prediction,
        }
    }
}

/// Finds the objects and lists that columns are named after, as far as they are no columns themselves.
fn nest(part: Part, keys: &mut Keys, nested: &mut Vec<Nested>) {
    let names: Vec<(Box<str>, Target)> =
        keys.targets().map(|(name, target)| (name.into(), target)).collect();
    let mut places: HashMap<Box<str>, u32> = HashMap::new();
    for (name, target) in names {
        let mut inner = target;
        let mut whole: &str = &name;
        // From the inside out: `a.b[0]` is a value of `a.b`, which is one of `a`.
        while let Some(outer) = outer_name(whole) {
            let known = keys.get(outer).is_some_and(|target| !matches!(target, Target::Nested(_)));
            if known {
                break;
            }
            let next = u32::try_from(nested.len()).unwrap_or(u32::MAX);
            let index = *places.entry(outer.into()).or_insert(next);
            if index == next {
                nested.push(Nested { part, name: outer.into(), values: HashMap::new() });
            }
            if let Some(place) = nested.get_mut(index as usize) {
                place.values.entry(whole.into()).or_insert(inner);
            }
            (inner, whole) = (Target::Nested(index), outer);
        }
        if whole.len() < name.len() {
            keys.insert(whole, inner, None);
        }
    }
}

/// The name of what a column stands in: `a` of `a.b` and of `a[0]`.
fn outer_name(name: &str) -> Option<&str> {
    let outer = match name.strip_suffix(']') {
        Some(list) => {
            let (outer, index) = list.rsplit_once('[')?;
            let plain = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
            plain.then_some(outer)?
        }
        None => name.rsplit_once('.')?.0,
    };
    (!outer.is_empty()).then_some(outer)
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
