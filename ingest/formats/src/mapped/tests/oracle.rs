//! Maps beside serde_json and jsonpath-rust: generated and mutated events are accepted alike, and give the
//! same rows. And no bytes whatever make a decoder panic, or its neighbours suffer.

use driftline_capture::columns::Column;
use driftline_config::mapping::{Columns, Mapping, Origin, Place, Step};
use jsonpath_rust::JsonPath;
use proptest::prelude::*;
use serde_json::Value;

use super::{plan, rows};
use crate::json::tests::TS_US;
use crate::json::tests::oracle::{cell, sorted_words};
use crate::{Carried, Decoder, Header, ModelPlan, Outcome, Record, RecordLimits};

const COLUMNS: [&str; 4] = ["feature:a", "feature:b", "feature:c!", "prediction:score"];

/// Rows of one event, each with its cells; `None` where it is rejected.
type Rows = Option<Vec<Vec<String>>>;

fn plans() -> Vec<ModelPlan> {
    let maps = [
        "map: {ts: /ts, id: [/meta/id, /id], features: /in, predictions: {score: '/out/0'}}",
        "map: {rows: '/in/*', id: /id, ts: $.ts, features: [./, {c: /meta/id}], predictions: {score: '/out/*/p'}}",
        "map: {rows: '$.in[*]', ts: /ts, id: '@[0]', features: {at: '@[1]', names: [a, b, c]}, predictions: {score: \"$['out'][*]\"}}",
        "map: {ts: /ts, id: /id, features: '', predictions: {score: /out}}",
    ];
    maps.iter().map(|map| plan("m", map, &COLUMNS)).collect()
}

/// The value at a place, null being none.
fn at(event: &Value, steps: &[Step]) -> Option<Value> {
    let mut value = event.clone();
    for step in steps {
        let paths = match step {
            Step::Key(key) => vec![format!("$['{key}']")],
            Step::Index(index) => vec![format!("$[{index}]")],
            Step::Either(index) => vec![format!("$['{index}']"), format!("$[{index}]")],
            Step::Each => panic!("rows have no one value"),
        };
        value = paths.iter().find_map(|path| {
            let found = value.query(path).unwrap();
            assert!(found.len() <= 1, "a place is one value");
            found.first().map(|value| (*value).clone())
        })?;
    }
    Some(value)
}

fn present(event: &Value, steps: &[Step]) -> Option<Value> {
    at(event, steps).filter(|value| !value.is_null())
}

/// The places of a map that name columns, and so may name lists of rows.
fn places(mapping: &Mapping) -> Vec<&Place> {
    let columns = mapping.features.iter().chain(&mapping.prediction);
    let columns = columns.filter_map(|columns| match columns {
        Columns::Object(place) | Columns::List { at: place, .. } => Some(place),
        Columns::One { from: Origin::Place(place), .. } => Some(place),
        _ => None,
    });
    let ids = mapping.id.iter().filter_map(|source| match &source.from {
        Origin::Place(place) => Some(place),
        _ => None,
    });
    columns.chain(ids).collect()
}

/// How many rows the lists of an event have; 0 where the map has none, `None` where they disagree.
fn row_count(mapping: &Mapping, event: &Value) -> Option<usize> {
    let axes: Vec<_> = places(mapping).into_iter().filter_map(Place::split_at_rows).collect();
    let mut known = None;
    for (list, _) in &axes {
        let Some(list) = present(event, list) else { continue };
        let length = list.as_array()?.len();
        if *known.get_or_insert(length) != length {
            return None;
        }
    }
    match (axes.is_empty(), known) {
        (true, _) => Some(0),
        (false, known) => known.filter(|rows| *rows > 0),
    }
}

/// The value at a place in one row, or of the whole record.
fn of_row(event: &Value, place: &Place, row: usize) -> Option<Value> {
    match place.split_at_rows() {
        None => at(event, &place.0),
        Some((list, inner)) => {
            let list = present(event, list)?;
            at(list.as_array()?.get(row)?, inner)
        }
    }
}

/// Values by their names, and the names of an object, which may be new.
type NamedValues = (Vec<(String, Value)>, Vec<String>);

/// What stands at the names of one part in a row; `Err` where a list has another length than its names.
fn named(
    columns: &[Columns],
    taken: &[&Place],
    event: &Value,
    row: usize,
) -> Result<NamedValues, ()> {
    let (mut values, mut new) = (Vec::new(), Vec::new());
    for columns in columns {
        match columns {
            Columns::One { name, from: Origin::Place(place) } => {
                if let Some(value) = of_row(event, place, row) {
                    values.push((name.clone(), value));
                }
            }
            Columns::List { at, names } => match of_row(event, at, row) {
                None | Some(Value::Null) => {}
                Some(Value::Array(list)) if list.len() == names.len() => {
                    values.extend(names.iter().cloned().zip(list));
                }
                Some(_) => return Err(()),
            },
            Columns::Object(place) => {
                let object = match of_row(event, place, row) {
                    Some(Value::Object(object)) => object,
                    Some(Value::Array(list)) => {
                        let names = (0..list.len()).map(|index| format!("[{index}]"));
                        names.zip(list).collect()
                    }
                    _ => continue,
                };
                let is_taken = |key: &str| {
                    let inner = place.then(&Place(vec![Step::Key(key.to_owned())]));
                    taken.iter().any(|place| place.0.starts_with(&inner.0))
                };
                for (key, value) in object.into_iter().filter(|(key, _)| !is_taken(key)) {
                    values.push((key.clone(), value));
                    new.push(key);
                }
            }
            _ => panic!("no map of these has it"),
        }
    }
    Ok((values, new))
}

fn cells_of(
    plan: &ModelPlan,
    mapping: &Mapping,
    event: &Value,
    row: usize,
) -> Result<Vec<String>, ()> {
    let mut taken = places(mapping);
    taken.extend(mapping.time.iter().filter_map(|source| match &source.from {
        Origin::Place(place) => Some(place),
        _ => None,
    }));
    let (mut found, mut wrong, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    // Columns with a place of their own are not taken from an object as well.
    let own: Vec<&String> = mapping
        .features
        .iter()
        .filter_map(|columns| match columns {
            Columns::One { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    let parts = [("feature", &mapping.features), ("prediction", &mapping.prediction)];
    let mut by_part = Vec::new();
    for (prefix, columns) in parts {
        let (values, new) = named(columns, &taken, event, row)?;
        by_part.push((prefix, values));
        unknown.extend(new.iter().map(|name| format!("{prefix}:{name}")));
    }
    for column in &plan.schema.columns {
        let Column { subject, .. } = column;
        let is_open = |name: &str| {
            let declared = own.iter().any(|own| *own == name);
            declared && !column.is_prediction()
        };
        let (_, values) = &by_part[usize::from(column.is_prediction())];
        let mut named = values.iter().filter(|(name, _)| name == column.name());
        // The declared one stands last in the map.
        let value = if is_open(column.name()) {
            let declared = mapping.features.iter().find_map(|columns| match columns {
                Columns::One { name, from: Origin::Place(place) } if name == column.name() => {
                    Some(of_row(event, place, row))
                }
                _ => None,
            });
            declared.flatten()
        } else {
            named.next_back().map(|(_, value)| value.clone())
        };
        let cell = value.and_then(|value| cell(column, &value, "{"));
        match cell {
            Some(text) if text.starts_with("wrong_type:") => wrong.push(text),
            Some(text) => found.push(text),
            None => {}
        }
        unknown.retain(|name| name != subject.as_str());
    }
    let (_, features) = &by_part[0];
    unknown.retain(|name| {
        let name = name.strip_prefix("feature:").unwrap_or(name);
        features
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .is_some_and(|(_, value)| !value.is_null())
    });
    unknown.sort();
    unknown.dedup();
    found.extend(wrong);
    if !unknown.is_empty() {
        found.push(format!("unknown_columns={}", sorted_words(&unknown.join(" "))));
    }
    Ok(found)
}

fn identifier(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn judge(plan: &ModelPlan, event: &Value) -> Rows {
    let mapping = plan.mapping.as_ref().unwrap();
    if !event.is_object()
        && !matches!(mapping.features[0], Columns::Object(Place(ref steps)) if steps.is_empty())
    {
        return None;
    }
    let time_us = match present(event, &[Step::Key("ts".into())])? {
        Value::Number(number) => match number.as_i64() {
            Some(milliseconds) => milliseconds.checked_mul(1000)?,
            None => (number.as_f64()? * 1000.0).round() as i64,
        },
        Value::String(text) => match crate::read_instant(text.as_bytes())? {
            crate::InstantText::At(time_us) => time_us,
            _ => return None,
        },
        _ => return None,
    };
    if !(946_684_800_000_000..=TS_US + 3_600_000_000).contains(&time_us) {
        return None;
    }
    let count = row_count(mapping, event)?;
    let mut all = Vec::new();
    for row in 0..count.max(1) {
        let mut cells = cells_of(plan, mapping, event, row).ok()?;
        let sources = mapping.id.iter().filter_map(|source| match &source.from {
            Origin::Place(place) => Some(place),
            _ => None,
        });
        let mut id = None;
        for place in sources {
            let value = of_row(event, place, row).filter(|value| !value.is_null());
            if value.is_some() {
                id = identifier(value).map(|id| match place.is_of_rows() || count <= 1 {
                    true => id,
                    false => format!("{id}#{row}"),
                });
                break;
            }
        }
        if let Some(id) = id {
            cells.insert(0, format!("id={}", plain(&id)));
        }
        cells.iter_mut().for_each(nested_alike);
        all.push(cells);
    }
    Some(all)
}

/// A number is an identifier as it was written, which the oracle cannot know.
fn plain(id: &str) -> String {
    let (number, row) = id.split_once('#').map_or((id, None), |(number, row)| (number, Some(row)));
    let number = number.parse::<f64>().map_or(number.to_owned(), |number| format!("{number:?}"));
    row.map_or(number.clone(), |row| format!("{number}#{row}"))
}

/// What is nested has another spelling for the oracle, and what a text says after a bracket cannot be told from
/// it: a text that a change gave a bracket was once another value here than there.
fn nested_alike(cell: &mut String) {
    if cell.starts_with("wrong_type:")
        && let Some(at) = cell.find(['[', '{'])
    {
        cell.truncate(at + 1);
        *cell = cell.replace('[', "{");
    }
}

/// The decoder's rows in the oracle's terms: what is nested has another spelling.
fn decoded(decoder: &mut Decoder, text: &str) -> Rows {
    let mut all = rows(decoder, text).ok()?;
    for cell in all.iter_mut().flatten() {
        if let Some(id) = cell.strip_prefix("id=") {
            *cell = format!("id={}", plain(id));
        }
        nested_alike(cell);
        if let Some(names) = cell.strip_prefix("unknown_columns=") {
            *cell = format!("unknown_columns={}", sorted_words(names));
        }
    }
    Some(all)
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-1000_i64..1000).prop_map(|x| x.to_string()),
        2 => "-?[1-9][0-9]{0,15}\\.[0-9]{1,17}",
        2 => "\"[a-z]{0,3}\"",
        1 => Just(r#""\u00e4\n""#.to_owned()),
        1 => prop::sample::select(vec!["null", "true", "-0", "0.0", "{}", "[]", "{\"a\":1}"]).prop_map(str::to_owned),
    ]
}

fn object(
    keys: Vec<&'static str>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (prop::collection::vec((prop::sample::select(keys), value), 0..5), any::<bool>()).prop_map(
        |(entries, spaced)| {
            let (colon, comma) = if spaced { (" :\t", " ,\n") } else { (":", ",") };
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("\"{key}\"{colon}{value}")).collect();
            format!("{{{}}}", entries.join(comma))
        },
    )
}

fn list(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(value, 0..4).prop_map(|items| format!("[{}]", items.join(", ")))
}

/// Entries of an event; keys may stand twice.
fn event() -> impl Strategy<Value = String> {
    let columns = || object(vec!["a", "b", "c", "new", "\\u0061"], leaf());
    let inputs = prop_oneof![
        3 => columns(),
        4 => list(columns()),
        4 => list((leaf(), prop::collection::vec(leaf(), 2..4))
            .prop_map(|(id, row)| format!("[{id},[{}]]", row.join(",")))),
        1 => leaf(),
    ];
    let outputs = prop_oneof![
        4 => list(object(vec!["p", "q"], leaf())),
        4 => list(leaf()),
        1 => object(vec!["0", "p"], leaf()),
        1 => leaf(),
    ];
    let entry = prop_oneof![
        6 => Just("\"ts\":1767323045678".to_owned()),
        1 => leaf().prop_map(|value| format!("\"ts\":{value}")),
        4 => inputs.prop_map(|value| format!("\"in\":{value}")),
        3 => outputs.prop_map(|value| format!("\"out\":{value}")),
        2 => leaf().prop_map(|value| format!("\"id\":{value}")),
        2 => object(vec!["id", "x"], leaf()).prop_map(|value| format!("\"meta\":{value}")),
        1 => leaf().prop_map(|value| format!("\"a\":{value}")),
    ];
    prop::collection::vec(entry, 1..7).prop_map(|entries| format!("{{{}}}", entries.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn generated_events_give_what_serde_json_and_jsonpath_give(events in prop::collection::vec(event(), 1..4)) {
        for plan in plans() {
            let mut known = Decoder::new(std::slice::from_ref(&plan), &RecordLimits::default());
            for text in &events {
                let value: Value = serde_json::from_str(text).unwrap();
                let expected = judge(&plan, &value);
                let mut fresh = Decoder::new(std::slice::from_ref(&plan), &RecordLimits::default());
                prop_assert_eq!(&decoded(&mut fresh, text), &expected, "{} by {:?}", text, plan.mapping);
                // However sure the decoder is of what comes, it sees what is there.
                prop_assert_eq!(&decoded(&mut known, text), &expected, "{} by {:?}", text, plan.mapping);
            }
        }
    }

    #[test]
    fn mutated_events_are_accepted_alike(
        text in event(),
        at in any::<prop::sample::Index>(),
        change in prop::sample::select(vec!["", "{", "}", "[", "]", "\"", "\\", ",", ":", "0", "-", ".", "e", " ", "n"]),
        insert in any::<bool>(),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        characters.splice(at..at + usize::from(!insert), change.chars());
        let mutated: String = characters.into_iter().collect();
        for plan in plans() {
            let mut decoder = Decoder::new(std::slice::from_ref(&plan), &RecordLimits::default());
            decoded(&mut decoder, &text);
            let got = decoded(&mut decoder, &mutated);
            match serde_json::from_str::<Value>(&mutated) {
                Ok(value) => prop_assert_eq!(got, judge(&plan, &value), "{}", mutated),
                Err(error) if error.to_string().starts_with("number out of range") => {}
                Err(_) => prop_assert_eq!(got, None, "{}", mutated),
            }
        }
    }

    /// A reader of a topic meets anything; it says no, and reads what comes next.
    #[test]
    fn no_bytes_do_harm(
        name in prop::sample::select(vec!["sagemaker", "mlflow", "databricks", "bentoml", "debezium", "kserve", "seldon", "seldon2", "oip", "azureml"]),
        junk in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            mutated_body().prop_map(String::into_bytes),
        ],
        header in prop::sample::select(vec!["request", "response", "application/cloudevents+json", "\u{0}"]),
    ) {
        let plan = plan("m", &format!("format: {name}"), &COLUMNS);
        let mut decoder = Decoder::new(&[plan], &RecordLimits::default());
        let headers = [
            Header { name: "ce_type", value: header.as_bytes() },
            Header { name: "content-type", value: header.as_bytes() },
            Header { name: "ce_time", value: b"2026-01-02T03:04:05Z" },
        ];
        let carried = Carried { key: Some(&junk), headers: &headers };
        let mut rows = 0;
        for offset in 0..3 {
            let record = Record { value: Some(&junk), offset, time_us: Some(TS_US) };
            let outcome = decoder.decode_carried(&record, &carried);
            rows += i64::from(matches!(outcome, Outcome::Row(_) | Outcome::Half(..)));
        }
        let decoded = decoder.take().unwrap();
        let batches = decoded.rows.iter().map(|rows| &rows.rows);
        let batches = batches.chain(decoded.halves.iter().map(|half| &half.rows));
        let mut offsets: Vec<i64> = batches.flat_map(|batch| batch.offsets().to_vec()).collect();
        offsets.dedup();
        prop_assert_eq!(offsets.len() as i64, rows);
        prop_assert_eq!(rows + decoded.marks.len() as i64, 3, "one record, one outcome");
    }
}

/// Bodies of every form, bitten.
fn mutated_body() -> impl Strategy<Value = String> {
    let bodies = vec![
        r#"{"captureData":{"endpointInput":{"data":"1,2\n3,4","encoding":"CSV"},"endpointOutput":{"data":"eyJhIjoxfQ==","encoding":"BASE64"}},"eventMetadata":{"eventId":"x","inferenceTime":"2026-01-02T03:04:05Z"}}"#,
        r#"{"specversion":"1.0","id":"i","type":"request","time":"2026-01-02T03:04:05Z","data":{"instances":[[1,2],[3,4]]}}"#,
        r#"{"inputs":[{"name":"a","shape":[2,2],"datatype":"FP32","data":[[1,2],[3,4]]}],"outputs":[]}"#,
        r#"{"ts":1767323045678,"request":{"dataframe_split":{"columns":["a","b"],"data":[[1,2]]}},"response":{"predictions":[{"score":1}]}}"#,
        r#"{"payload":{"after":{"id":1,"a":2,"prediction":3},"ts_ms":1767323045678}}"#,
        r#"{"data":{"names":["a"],"tensor":{"shape":[1,1],"values":[1]}}}"#,
        r#"{"timestamp":"2026-01-02T03:04:05","request_id":"r","a":1,"prediction":2}"#,
    ];
    let bite = ("[\\]\\[{}\",:0-9a-z\\\\ -]{0,2}", any::<prop::sample::Index>(), 0_usize..4);
    (prop::sample::select(bodies), prop::collection::vec(bite, 0..3)).prop_map(|(body, bites)| {
        let mut characters: Vec<char> = body.chars().collect();
        for (text, at, length) in bites {
            let at = at.index(characters.len().max(1)).min(characters.len());
            let end = (at + length).min(characters.len());
            characters.splice(at..end, text.chars());
        }
        characters.into_iter().collect()
    })
}
