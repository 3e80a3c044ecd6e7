//! A map compiled for the columns of a model: a tree of keys and elements, in which every leaf knows where
//! its value goes.

use std::collections::BTreeMap;

use driftline_capture::CaptureSchema;
use driftline_config::mapping::{
    Body, BodyShape, Columns, Encoding, Mapping, Origin, PASSED_OVER, Pair, Place, Step, Unit,
    ValueSource,
};

use crate::layout::{Keys, Part, Target};

/// A compiled map.
#[derive(Debug)]
pub(crate) struct MapPlan {
    pub(crate) encoding: Encoding,
    pub(crate) cloud_events: bool,
    /// The first is the top of the event.
    pub(crate) nodes: Vec<Node>,
    /// Where each source comes from, by its index.
    pub(crate) origins: Vec<Origin>,
    pub(crate) fields: FieldSources,
    /// Columns of the record that stand in no event.
    pub(crate) carried: Vec<CarriedColumn>,
    pub(crate) bodies: Vec<BodyPlan>,
    /// Lists of rows, by the number of their axis.
    pub(crate) axes: Vec<Box<str>>,
    /// Columns that the map names and the model does not know.
    pub(crate) new: Vec<NewColumn>,
    /// Columns that belong to all rows of a record, where it has several.
    pub(crate) shared: Vec<u32>,
    /// How halves find each other.
    pub(crate) pair: Option<PairPlan>,
}

/// What stands at one place of an event.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// As messages name it.
    pub(crate) place: Box<str>,
    pub(crate) keys: Keys,
    /// The part whose columns the keys are that nothing else reads.
    pub(crate) open: Option<Part>,
    pub(crate) items: Vec<Option<Target>>,
    /// How many elements a list must have.
    pub(crate) exact: Option<usize>,
    /// What every element is, and the axis whose rows they are.
    pub(crate) each: Option<Each>,
    pub(crate) leaves: Vec<Leaf>,
}

/// The elements of a list that are rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Each {
    pub(crate) axis: u32,
    pub(crate) target: Target,
}

/// What the value of a node itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// The value column with this index.
    Column(u32),
    /// A column that the map names and the model does not know, by its place in the plan.
    New(u32),
    /// A source of the record.
    Source(u32),
    /// A source of the identifiers of rows, the lower the better.
    RowId(u8),
}

/// A source with the unit of its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldSource {
    pub(crate) source: u32,
    pub(crate) unit: Unit,
}

/// The sources of each field of the envelope, in the order in which they are tried.
#[derive(Debug, Default)]
pub(crate) struct FieldSources {
    pub(crate) model: Vec<FieldSource>,
    pub(crate) id: Vec<FieldSource>,
    pub(crate) time: Vec<FieldSource>,
    pub(crate) version: Vec<FieldSource>,
    pub(crate) latency: Vec<FieldSource>,
    pub(crate) status: Vec<FieldSource>,
    pub(crate) sample_rate: Vec<FieldSource>,
}

/// A column whose value is a header, the key or a constant.
#[derive(Debug)]
pub(crate) struct CarriedColumn {
    pub(crate) column: NamedColumn,
    pub(crate) source: u32,
}

/// A column that the map names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NamedColumn {
    Known(Target),
    /// By its place in the plan.
    New(u32),
}

/// A column that the model does not know: it is told of, as one of our own format is.
#[derive(Debug)]
pub(crate) struct NewColumn {
    pub(crate) part: Part,
    pub(crate) name: Box<str>,
}

/// A compiled body.
#[derive(Debug)]
pub(crate) struct BodyPlan {
    pub(crate) part: Part,
    pub(crate) shape: BodyShape,
    /// Sources of the places at which it may stand.
    pub(crate) at: Vec<u32>,
    /// What stands at each position; empty where positions have no names.
    pub(crate) positions: Vec<NamedColumn>,
    pub(crate) encoding: Vec<u32>,
    pub(crate) content_type: Vec<u32>,
}

/// Compiled pairing.
#[derive(Debug)]
pub(crate) struct PairPlan {
    pub(crate) key: Vec<FieldSource>,
    pub(crate) side: Vec<FieldSource>,
    pub(crate) request: Box<str>,
    pub(crate) response: Box<str>,
}

impl BodyPlan {
    /// What messages call it.
    pub(crate) fn name(&self) -> &'static str {
        match self.part {
            Part::Features => "the body of the features",
            Part::Prediction => "the body of the predictions",
        }
    }
}

impl MapPlan {
    /// Whether a record may have several rows.
    pub(crate) fn has_rows(&self) -> bool {
        !self.axes.is_empty() || !self.bodies.is_empty()
    }

    /// Whether it names headers or the key.
    pub(crate) fn wants_carried(&self) -> bool {
        let is_carried = |origin: &Origin| matches!(origin, Origin::Header(_) | Origin::Key);
        self.cloud_events || self.encoding != Encoding::Json || self.origins.iter().any(is_carried)
    }

    /// Compiles a map; `keys` are those of the features and of the prediction.
    pub(crate) fn new(mapping: &Mapping, schema: &CaptureSchema, keys: [&Keys; 2]) -> MapPlan {
        let mut builder = Builder::new(keys);
        let fields = FieldSources {
            model: builder.sources(&mapping.model),
            id: builder.ids(&mapping.id),
            time: builder.sources(&mapping.time),
            version: builder.sources(&mapping.version),
            latency: builder.sources(&mapping.latency),
            status: builder.sources(&mapping.status),
            sample_rate: builder.sources(&mapping.sample_rate),
        };
        for columns in &mapping.features {
            builder.columns(Part::Features, columns);
        }
        for columns in &mapping.prediction {
            builder.columns(Part::Prediction, columns);
        }
        let pair = mapping.pair.as_ref().map(|pair| builder.pair(pair));
        let (encoding, cloud_events) = (mapping.encoding, mapping.cloud_events);
        builder.finish(schema, |built| MapPlan {
            encoding,
            cloud_events,
            nodes: built.nodes,
            origins: built.origins,
            fields,
            carried: built.carried,
            bodies: built.bodies,
            axes: built.axes,
            new: built.new,
            shared: built.shared,
            pair,
        })
    }
}

/// A tree under construction, in which every target is a node still.
struct Builder<'a> {
    keys: [&'a Keys; 2],
    drafts: Vec<Draft>,
    origins: Vec<Origin>,
    carried: Vec<CarriedColumn>,
    bodies: Vec<BodyPlan>,
    axes: Vec<Box<str>>,
    new: Vec<NewColumn>,
    /// Columns with a place of their own.
    named: Vec<u32>,
    /// Columns of lists of rows.
    of_rows: Vec<u32>,
}

#[derive(Default)]
struct Draft {
    place: Place,
    keys: Vec<(String, u32)>,
    items: BTreeMap<u32, u32>,
    exact: Option<usize>,
    each: Option<(u32, u32)>,
    open: Option<Part>,
    leaves: Vec<Leaf>,
    of_rows: bool,
}

struct Built {
    nodes: Vec<Node>,
    origins: Vec<Origin>,
    carried: Vec<CarriedColumn>,
    bodies: Vec<BodyPlan>,
    axes: Vec<Box<str>>,
    new: Vec<NewColumn>,
    shared: Vec<u32>,
}

impl<'a> Builder<'a> {
    fn new(keys: [&'a Keys; 2]) -> Builder<'a> {
        Builder {
            keys,
            drafts: vec![Draft::default()],
            origins: Vec::new(),
            carried: Vec::new(),
            bodies: Vec::new(),
            axes: Vec::new(),
            new: Vec::new(),
            named: Vec::new(),
            of_rows: Vec::new(),
        }
    }

    fn sources(&mut self, sources: &[ValueSource]) -> Vec<FieldSource> {
        sources
            .iter()
            .map(|source| FieldSource { source: self.source(&source.from), unit: source.unit })
            .collect()
    }

    fn source(&mut self, origin: &Origin) -> u32 {
        let index = number(self.origins.len());
        self.origins.push(origin.clone());
        if let Origin::Place(place) = origin {
            self.leaf(place, Leaf::Source(index));
        }
        index
    }

    /// Those of the whole record; those of rows are leaves of their own.
    fn ids(&mut self, sources: &[ValueSource]) -> Vec<FieldSource> {
        let mut of_record = Vec::new();
        for (rank, source) in (0_u8..).zip(sources) {
            match &source.from {
                Origin::Place(place) if place.is_of_rows() => {
                    self.leaf(place, Leaf::RowId(rank));
                }
                from => {
                    let source = FieldSource { source: self.source(from), unit: source.unit };
                    of_record.push(source);
                }
            }
        }
        of_record
    }

    fn pair(&mut self, pair: &Pair) -> PairPlan {
        PairPlan {
            key: self.sources(&pair.key),
            side: self.sources(&pair.side),
            request: pair.request.to_ascii_lowercase().into(),
            response: pair.response.to_ascii_lowercase().into(),
        }
    }

    fn target(&mut self, part: Part, name: &str) -> NamedColumn {
        if name == PASSED_OVER {
            return NamedColumn::Known(Target::Ignored);
        }
        if let Some(target) = self.keys_of(part).get(name) {
            return NamedColumn::Known(target);
        }
        self.new.push(NewColumn { part, name: name.into() });
        NamedColumn::New(number(self.new.len() - 1))
    }

    /// The leaf of a column; none where the model ignores it.
    fn column_leaf(&mut self, part: Part, name: &str) -> Option<Leaf> {
        match self.target(part, name) {
            NamedColumn::Known(Target::Column(column)) => {
                self.named.push(column);
                Some(Leaf::Column(column))
            }
            NamedColumn::Known(_) => None,
            NamedColumn::New(new) => Some(Leaf::New(new)),
        }
    }

    fn keys_of(&self, part: Part) -> &'a Keys {
        let [features, prediction] = self.keys;
        match part {
            Part::Features => features,
            Part::Prediction => prediction,
        }
    }

    fn columns(&mut self, part: Part, columns: &Columns) {
        match columns {
            Columns::Object(place) => {
                let node = self.node(place);
                if let Some(draft) = self.drafts.get_mut(node as usize) {
                    draft.open.get_or_insert(part);
                }
            }
            Columns::One { name, from } => {
                let Some(leaf) = self.column_leaf(part, name) else { return };
                match (from, leaf) {
                    (Origin::Place(place), leaf) => self.leaf(place, leaf),
                    (origin, leaf) => {
                        let column = match leaf {
                            Leaf::New(new) => NamedColumn::New(new),
                            Leaf::Column(column) => NamedColumn::Known(Target::Column(column)),
                            Leaf::Source(_) | Leaf::RowId(_) => return,
                        };
                        let source = self.source(origin);
                        self.carried.push(CarriedColumn { column, source });
                    }
                }
            }
            Columns::List { at, names } => {
                let list = self.node(at);
                if let Some(draft) = self.drafts.get_mut(list as usize) {
                    draft.exact = Some(names.len());
                }
                for (index, name) in (0_u32..).zip(names) {
                    let Some(leaf) = self.column_leaf(part, name) else { continue };
                    let place = at.then(&Place(vec![Step::Index(index)]));
                    self.leaf(&place, leaf);
                }
            }
            Columns::Body(body) => self.body(part, body),
        }
    }

    fn body(&mut self, part: Part, body: &Body) {
        let mut places = |places: &[Place]| -> Vec<u32> {
            places.iter().map(|place| self.source(&Origin::Place(place.clone()))).collect()
        };
        let (at, encoding) = (places(&body.at), places(&body.encoding));
        let content_type = body.content_type.iter().map(|origin| self.source(origin)).collect();
        let positions = body.names.iter().map(|name| self.target(part, name)).collect();
        let shape = body.shape;
        self.bodies.push(BodyPlan { part, shape, at, positions, encoding, content_type });
    }

    fn leaf(&mut self, place: &Place, leaf: Leaf) {
        let node = self.node(place);
        let Some(draft) = self.drafts.get_mut(node as usize) else { return };
        draft.leaves.push(leaf);
        if let (Leaf::Column(column), true) = (leaf, draft.of_rows) {
            self.of_rows.push(column);
        }
    }

    /// The node at a place, made with all above it where they are not there.
    fn node(&mut self, place: &Place) -> u32 {
        place.0.iter().fold(0, |node, step| self.child(node, step))
    }

    fn child(&mut self, node: u32, step: &Step) -> u32 {
        let next = number(self.drafts.len());
        let axis = number(self.axes.len());
        let Some(draft) = self.drafts.get_mut(node as usize) else { return 0 };
        let by_key = |key: &str| draft.keys.iter().find(|(name, _)| name == key).map(|key| key.1);
        let known = match step {
            Step::Key(key) => by_key(key),
            Step::Index(index) => draft.items.get(index).copied(),
            Step::Either(index) => {
                by_key(&index.to_string()).or_else(|| draft.items.get(index).copied())
            }
            Step::Each => draft.each.map(|(_, node)| node),
        };
        let child = known.unwrap_or(next);
        match step {
            Step::Key(key) if known.is_none() => draft.keys.push((key.clone(), child)),
            Step::Index(index) => {
                draft.items.insert(*index, child);
            }
            Step::Either(index) => {
                draft.items.entry(*index).or_insert(child);
                if by_key(&index.to_string()).is_none() {
                    draft.keys.push((index.to_string(), child));
                }
            }
            Step::Each if known.is_none() => draft.each = Some((axis, child)),
            Step::Key(_) | Step::Each => {}
        }
        if known.is_none() {
            let of_rows = draft.of_rows || *step == Step::Each;
            let place = draft.place.then(&Place(vec![step.clone()]));
            if *step == Step::Each {
                self.axes.push(place.to_string().into());
            }
            self.drafts.push(Draft { place, of_rows, ..Draft::default() });
        }
        child
    }

    fn finish(mut self, schema: &CaptureSchema, make: impl FnOnce(Built) -> MapPlan) -> MapPlan {
        // Every column of a part may come with a row that names its columns itself.
        let open = self.drafts.iter().filter(|draft| draft.of_rows).filter_map(|draft| draft.open);
        let parts: Vec<Part> = open.chain(self.bodies.iter().map(|body| body.part)).collect();
        for part in parts {
            let columns = self.keys_of(part).targets().filter_map(|(_, target)| match target {
                Target::Column(column) => Some(column),
                _ => None,
            });
            self.of_rows
                .extend(columns.filter(|column| !self.named.contains(column)).collect::<Vec<_>>());
        }
        let of_rows = &self.of_rows;
        let columns = 0..number(schema.columns.len());
        let shared: Vec<u32> = columns.filter(|column| !of_rows.contains(column)).collect();
        let nodes = self.drafts.iter().map(|draft| self.finished(draft, schema)).collect();
        make(Built {
            nodes,
            origins: self.origins,
            carried: self.carried,
            bodies: self.bodies,
            axes: self.axes,
            new: self.new,
            shared,
        })
    }

    fn finished(&self, draft: &Draft, schema: &CaptureSchema) -> Node {
        let mut keys = Keys::default();
        for (name, child) in &draft.keys {
            let target = self.simplest(*child);
            let kind = match target {
                Target::Column(column) => {
                    schema.columns.get(column as usize).map(|column| column.kind)
                }
                _ => None,
            };
            keys.insert(name, target, kind);
        }
        if let Some(part) = draft.open {
            for (name, target) in self.keys_of(part).targets() {
                let elsewhere =
                    matches!(target, Target::Column(column) if self.named.contains(&column));
                let target = if elsewhere { Target::Ignored } else { target };
                let kind = match target {
                    Target::Column(column) => {
                        schema.columns.get(column as usize).map(|column| column.kind)
                    }
                    _ => None,
                };
                keys.insert(name, target, kind);
            }
        }
        let length = draft.items.keys().next_back().map_or(0, |last| *last as usize + 1);
        let mut items = vec![None; length];
        for (index, child) in &draft.items {
            if let Some(item) = items.get_mut(*index as usize) {
                *item = Some(self.simplest(*child));
            }
        }
        Node {
            place: draft.place.to_string().into(),
            keys,
            open: draft.open,
            items,
            exact: draft.exact,
            each: draft.each.map(|(axis, child)| Each { axis, target: self.simplest(child) }),
            leaves: draft.leaves.clone(),
        }
    }

    /// A node that is one column and nothing else is that column.
    fn simplest(&self, node: u32) -> Target {
        let Some(draft) = self.drafts.get(node as usize) else { return Target::Ignored };
        let alone = draft.keys.is_empty()
            && draft.items.is_empty()
            && draft.each.is_none()
            && draft.open.is_none();
        match draft.leaves.as_slice() {
            [Leaf::Column(column)] if alone => Target::Column(*column),
            _ => Target::Node(node),
        }
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
