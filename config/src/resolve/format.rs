//! `format` and `map` of a model's captures: how somebody else's events become rows.

use std::collections::BTreeSet;

use crate::mapping::PASSED_OVER;
use crate::mapping::{Body, BodyShape, Columns, Mapping, Origin, Pair, Place, Unit, ValueSource};
use crate::model::Format;
use crate::presets::{self, Preset};
use crate::reader::{Context, Read, Section, Value, wrong};
use crate::template::Template;
use crate::time::MINUTE_US;
use crate::tree::{Node, Written, merge, parse};

/// Sources of one field. More are a program.
const MOST_SOURCES: usize = 8;

/// What `format` and `map` say together; `None` where a problem was reported.
pub(super) fn format(section: &mut Section<'_>) -> Option<Format> {
    let context = section.context;
    let named = section.value("format");
    let map = section.value("map").map(|value| value.node);
    let name = match named {
        Some(value) => value.get(known_name)?,
        None if map.is_some() => "json".to_owned(),
        None => "driftline-json".to_owned(),
    };
    if name == "driftline-json" {
        if map.is_some() {
            let problem = wrong("driftline-json is read without a map");
            section.report_at("map", problem.hint("write `format: json` beside a map"));
        }
        return Some(Format::DriftlineJson);
    }
    let Some(preset) = presets::named(&name) else {
        // Every other name that is known has a file.
        return None;
    };
    if map.is_none() && name == "json" {
        let problem = wrong("missing key `map` in captures");
        let hint = "say where ts, features and predictions stand; `driftline formats` lists maps";
        context.report_unless_partial(section.at, problem.hint(hint));
        return None;
    }
    let whole = whole_map(context, preset, map)?;
    let mapping = mapping(context, &whole, preset)?;
    Some(Format::Mapped(Box::new(mapping)))
}

fn known_name(value: Value<'_>) -> Read<String> {
    let names = || {
        let names = presets::PRESETS.iter().map(|preset| preset.name);
        std::iter::once("driftline-json").chain(names).collect::<Vec<_>>().join(", ")
    };
    let is_known = |name: &str| name == "driftline-json" || presets::named(name).is_some();
    value.text_where(is_known, || value.not("a format").hint(format!("known are {}", names())))
}

/// The keys by which a source says where it is.
const ORIGINS: [&str; 5] = ["at", "header", "key", "record", "constant"];
/// The keys of a map that are sources.
const OF_RECORD: [&str; 7] = ["id", "ts", "model", "version", "latency", "status", "sample_rate"];

/// The map of the preset with what the operator wrote over it.
fn whole_map(context: &Context<'_>, preset: &Preset, own: Option<&Node>) -> Option<Node> {
    let file = context.add_file(format!("format {}", preset.name).into());
    let tree = parse(preset.text, file)
        .map_err(|error| context.report(error.at, wrong(error.message)))
        .ok()?;
    // That of JSON is an example: nothing of it holds for events that nobody has seen.
    let shipped = inside(&tree, &["captures", "map"]).filter(|_| preset.name != "json");
    match (own, shipped) {
        (Some(own), Some(shipped)) => Some(merge(own, &without_replaced(own, shipped))),
        (Some(own), None) => Some(own.clone()),
        (None, Some(shipped)) => Some(shipped.clone()),
        (None, None) => None,
    }
}

/// The preset's map without the sources in whose place the operator names others: one that is half of each
/// would be none.
fn without_replaced(own: &Node, shipped: &Node) -> Node {
    let Written::Map(entries) = &shipped.value else { return shipped.clone() };
    let is_replaced = |key: &str| {
        let names_origin = |origin: &str| inside(own, &[key, origin]).is_some();
        OF_RECORD.contains(&key) && ORIGINS.iter().any(|origin| names_origin(origin))
    };
    let kept = entries.iter().filter(|entry| !is_replaced(&entry.key)).cloned().collect();
    Node { at: shipped.at, value: Written::Map(kept) }
}

fn inside<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter().try_fold(node, |node, key| match &node.value {
        Written::Map(entries) => {
            entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value)
        }
        _ => None,
    })
}

fn mapping(context: &Context<'_>, node: &Node, preset: &Preset) -> Option<Mapping> {
    let mut section = Section::of(context, node, "map")?;
    let cloud_events = section.read("envelope", |value| match value.text()?.as_str() {
        "cloudevents" => Ok(true),
        "plain" => Ok(false),
        _ => Err(value.not("an envelope").hint("write cloudevents or plain")),
    });
    let rows = section.read("rows", rows);
    let reading = Reading { rows };
    let model = reading.field(&mut section, "model", Meaning::Text);
    let id = reading.field(&mut section, "id", Meaning::Text);
    let time = reading.field(&mut section, "ts", Meaning::Time);
    if time.is_empty() && !section.has("ts") {
        section.missing("ts");
    }
    let version = reading.field(&mut section, "version", Meaning::Text);
    let latency = reading.field(&mut section, "latency", Meaning::Duration);
    let status = reading.field(&mut section, "status", Meaning::Text);
    let sample_rate = reading.field(&mut section, "sample_rate", Meaning::Text);
    let features = section.value("features").map(|value| reading.columns(value));
    let prediction = section.value("predictions").map(|value| reading.columns(value));
    if features.is_none() && prediction.is_none() {
        section.missing("features");
    }
    let pair = section.value("pair").and_then(|value| reading.pair(value));
    section.finish();
    let mapping = Mapping {
        name: preset.name.to_owned(),
        encoding: preset.encoding,
        cloud_events: cloud_events.unwrap_or(false),
        model,
        id,
        time,
        version,
        latency,
        status,
        sample_rate,
        features: features.unwrap_or_default(),
        prediction: prediction.unwrap_or_default(),
        pair,
    };
    check(context, node, &mapping);
    Some(mapping)
}

/// What no key alone can be wrong about.
fn check(context: &Context<'_>, node: &Node, mapping: &Mapping) {
    for (key, sources) in mapping.of_record() {
        let of_rows = sources.iter().find_map(|source| match &source.from {
            Origin::Place(place) if place.is_of_rows() => Some(place),
            _ => None,
        });
        let Some(place) = of_rows else { continue };
        let at = inside(node, &[key]).map_or(node.at, |node| node.at);
        let problem = wrong(format!("`{key}` of every row ({place}): one record has one outcome"));
        let hint = "name a value of the whole record, or write one record for each row";
        context.report(at, problem.hint(hint));
    }
    for (key, columns) in [("features", &mapping.features), ("predictions", &mapping.prediction)] {
        let at = inside(node, &[key]).map_or(node.at, |node| node.at);
        let mut seen = BTreeSet::new();
        for name in columns.iter().flat_map(names_of) {
            if name != PASSED_OVER && !seen.insert(name) {
                context.report(at, wrong(format!("the column `{name}` stands twice in {key}")));
            }
        }
    }
}

fn names_of(columns: &Columns) -> Vec<&str> {
    match columns {
        Columns::Object(_) => Vec::new(),
        Columns::One { name, .. } => vec![name],
        Columns::List { names, .. } | Columns::Body(Body { names, .. }) => {
            names.iter().map(String::as_str).collect()
        }
    }
}

/// What a field's number or text means, and so which units it may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Text,
    Time,
    Duration,
}

/// The list of rows that relative places begin at.
struct Reading {
    rows: Option<Place>,
}

fn rows(value: Value<'_>) -> Read<Place> {
    let written = place_of(value)?;
    let (place, relative) = (written.place, written.relative);
    if relative {
        return Err(wrong("`rows` begins at the top of the event").hint("write /instances/*"));
    }
    if !place.is_of_rows() {
        let hint = format!("write {place}/* for each element of that list");
        return Err(wrong("`rows` names no list of rows").hint(hint));
    }
    Ok(place)
}

fn place_of(value: Value<'_>) -> Read<crate::mapping::WrittenPlace> {
    let text = value.text()?;
    Place::parse(&text).map_err(|error| {
        let quoted = crate::reader::shorten(value.written().unwrap_or_default());
        wrong(format!("\"{quoted}\" is not a place in an event: {}", error.message))
            .hint(error.hint)
    })
}

impl Reading {
    fn place(&self, value: Value<'_>) -> Read<Place> {
        let written = place_of(value)?;
        if !written.relative {
            return Ok(written.place);
        }
        match &self.rows {
            Some(_) if written.place.is_of_rows() => {
                let hint = "name an element of the inner list, such as ./0";
                Err(wrong("two lists of rows in one place").hint(hint))
            }
            Some(rows) => Ok(rows.then(&written.place)),
            None => Err(wrong("a place that begins at the row, and `rows` names none")
                .hint("write `rows: /instances/*`, or a place from the top, such as /a/b")),
        }
    }

    fn field(
        &self,
        section: &mut Section<'_>,
        key: &'static str,
        meaning: Meaning,
    ) -> Vec<ValueSource> {
        section.value(key).map(|value| self.sources(value, meaning)).unwrap_or_default()
    }

    /// One source, or a list of them.
    fn sources(&self, value: Value<'_>, meaning: Meaning) -> Vec<ValueSource> {
        let Ok(items) = value.list() else {
            return self.source(value, meaning).into_iter().collect();
        };
        if items.len() > MOST_SOURCES {
            let problem = wrong(format!("{} sources, at most {MOST_SOURCES}", items.len()));
            value.context.report(value.node.at, problem);
        }
        items.into_iter().filter_map(|item| self.source(item, meaning)).collect()
    }

    fn source(&self, value: Value<'_>, meaning: Meaning) -> Option<ValueSource> {
        if value.written().is_ok() {
            let place = value.get(|value| self.place(value))?;
            return Some(ValueSource { from: Origin::Place(place), unit: Unit::Own });
        }
        let mut section = Section::of(value.context, value.node, "a source")?;
        let from = self.origin(&mut section);
        let unit = section.read("unit", |value| unit(value, meaning));
        section.finish();
        Some(ValueSource { from: from?, unit: unit.unwrap_or(Unit::Own) })
    }

    /// Exactly one of `at`, `header`, `key`, `record` and `constant`.
    fn origin(&self, section: &mut Section<'_>) -> Option<Origin> {
        let only = |word: &'static str| {
            move |value: Value<'_>| match value.text()?.as_str() {
                text if text == word => Ok(()),
                _ => Err(value.not("known here").hint(format!("write {word}"))),
            }
        };
        let place = section.read("at", |value| self.place(value)).map(Origin::Place);
        let header = section.read("header", Value::filled).map(Origin::Header);
        let key = section.read("key", only("text")).map(|()| Origin::Key);
        let record = section.read("record", only("time")).map(|()| Origin::RecordTime);
        let constant = section.read("constant", Value::text).map(Origin::Constant);
        let keys = ORIGINS;
        let written = keys.iter().filter(|key| section.has(key)).count();
        if written != 1 {
            let problem = wrong(format!("a source has one of {}", keys.join(", ")));
            section.report(problem.hint("write a place alone, or {header: NAME}"));
            return None;
        }
        place.or(header).or(key).or(record).or(constant)
    }

    /// An object of columns, a list or a body of them, columns each with its own source, or several of
    /// these.
    fn columns(&self, value: Value<'_>) -> Vec<Columns> {
        if let Ok(items) = value.list() {
            return items.into_iter().flat_map(|item| self.columns(item)).collect();
        }
        if value.written().is_ok() {
            let place = value.get(|value| self.place(value));
            return place.map(Columns::Object).into_iter().collect();
        }
        let Ok(entries) = value.map() else {
            let problem = value.not("a set of columns");
            let hint = "write a place, {name: PLACE}, or {at: PLACE, names: [a, b]}";
            value.context.report(value.node.at, problem.hint(hint));
            return Vec::new();
        };
        if ["at", "as"].iter().any(|key| entries.iter().any(|entry| entry.key == *key)) {
            return self.table(value).into_iter().collect();
        }
        crate::reader::report_duplicates(value.context, entries);
        let column = |entry: &crate::tree::Entry| {
            let value = Value { context: value.context, node: &entry.value };
            let source = self.source(value, Meaning::Text)?;
            Some(Columns::One { name: entry.key.clone(), from: source.from })
        };
        entries.iter().filter_map(column).collect()
    }

    /// `{at, names}` or `{at, as, names, encoding, type}`.
    fn table(&self, value: Value<'_>) -> Option<Columns> {
        let mut section = Section::of(value.context, value.node, "columns")?;
        let at = section.value("at").map(|value| self.places(value)).unwrap_or_default();
        let shape = section.read("as", |value| {
            BodyShape::of_name(&value.text()?).ok_or_else(|| {
                let hint = format!("write {}", BodyShape::NAMES.join(", "));
                value.not("a form of rows").hint(hint)
            })
        });
        let names = section.list("names");
        let names: Vec<String> =
            names.into_iter().filter_map(|value| value.get(Value::filled)).collect();
        let encoding = section.value("encoding").map(|value| self.places(value));
        let content_type = section.value("type").map(|value| self.sources(value, Meaning::Text));
        if at.is_empty() && !section.has("at") {
            section.missing("at");
        }
        section.finish();
        let Some(shape) = shape else {
            let at = at.into_iter().next()?;
            return Some(match names.is_empty() {
                true => Columns::Object(at),
                false => Columns::List { at, names },
            });
        };
        if let Some(place) = at.iter().find(|place| place.is_of_rows()) {
            let problem = wrong(format!("a body holds the rows itself, and {place} is of one row"));
            value.context.report(value.node.at, problem.hint("name the list without `*`"));
            return None;
        }
        let content_type = content_type.unwrap_or_default();
        let content_type = content_type.into_iter().map(|source| source.from).collect();
        let encoding = encoding.unwrap_or_default();
        Some(Columns::Body(Body { at, shape, names, encoding, content_type }))
    }

    fn places(&self, value: Value<'_>) -> Vec<Place> {
        let items = value.list().unwrap_or_else(|_| vec![value]);
        items.into_iter().filter_map(|item| item.get(|item| self.place(item))).collect()
    }

    fn pair(&self, value: Value<'_>) -> Option<Pair> {
        let mut section = Section::of(value.context, value.node, "pair")?;
        let key = self.field(&mut section, "key", Meaning::Text);
        let side = self.field(&mut section, "side", Meaning::Text);
        let request = section.read("request", Value::filled);
        let response = section.read("response", Value::filled);
        let within_us = section.read("within", |value| value.duration(1, "1us"));
        if key.is_empty() && !section.has("key") {
            section.missing("key");
        }
        section.finish();
        Some(Pair {
            key,
            side,
            request: request.unwrap_or_else(|| "request".to_owned()),
            response: response.unwrap_or_else(|| "response".to_owned()),
            within_us: within_us.unwrap_or(MINUTE_US),
        })
    }
}

fn unit(value: Value<'_>, meaning: Meaning) -> Read<Unit> {
    let unit = Unit::of_name(&value.text()?).filter(|unit| match meaning {
        Meaning::Text => false,
        Meaning::Time => true,
        Meaning::Duration => !unit.is_text(),
    });
    unit.ok_or_else(|| match meaning {
        Meaning::Text => wrong("only `ts` and `latency` have a unit").hint("remove it"),
        Meaning::Time => {
            value.not("a unit of time").hint(format!("write {}", Unit::NAMES.join(", ")))
        }
        Meaning::Duration => value.not("a unit of durations").hint("write s, ms, us or ns"),
    })
}

/// Models that share a topic: each event must say whose it is, in a form that all of them read.
pub(super) fn check_topics(
    context: &Context<'_>,
    nodes: &[Node],
    models: &[crate::Model],
    templates: &[Template],
) {
    let each = || models.iter().chain(templates.iter().map(Template::common));
    for model in each() {
        let topic = &model.captures.topic;
        let mut others =
            each().filter(|other| other.captures.topic == *topic && other.name != model.name);
        // A template alone shares its topic with itself.
        let own = templates.iter().map(Template::common).find(|of| std::ptr::eq(*of, model));
        let Some(other) = others.next().or(own) else { continue };
        let at = place_of_model(nodes, &model.name);
        match (&model.captures.format, &other.captures.format) {
            (Format::DriftlineJson, Format::DriftlineJson) => {}
            (Format::Mapped(own), Format::Mapped(_)) if !own.model.is_empty() => {}
            (Format::Mapped(_), Format::Mapped(_)) => {
                let problem = wrong(format!("several models share the topic {topic}"));
                let hint = "add `model` to the map: where an event says whose it is";
                context.report(at, problem.hint(hint));
            }
            _ => {
                let problem = wrong(format!(
                    "`{}` and `{}` share the topic {topic} and read it differently",
                    model.name, other.name
                ));
                context.report(at, problem.hint("give both a map, or each a topic of its own"));
            }
        }
    }
}

/// Records that are read by their schemas need somebody who has these.
pub(super) fn check_schemas<'m>(
    context: &Context<'_>,
    nodes: &[Node],
    models: impl Iterator<Item = &'m crate::Model>,
    kafka: &crate::Kafka,
) {
    for model in models {
        let mapping = model.captures.format.mapping();
        let needed = mapping.is_some_and(|mapping| mapping.encoding.needs_schemas());
        if needed && kafka.schema_registry.is_none() {
            let name = model.captures.format.name();
            let problem =
                wrong(format!("format {name} is read by schemas, and no registry is named"));
            let hint = "add `schema_registry: {url: http://…}` to `kafka`";
            context.report(place_of_model(nodes, &model.name), problem.hint(hint));
        }
    }
}

fn place_of_model(nodes: &[Node], name: &str) -> crate::tree::At {
    let names = crate::reader::names_of(nodes.iter());
    let named = names.into_iter().find(|(other, _)| *other == name);
    let whole = crate::tree::At { file: 0, line: 0, column: 0 };
    named.map_or(whole, |(_, at)| at)
}
