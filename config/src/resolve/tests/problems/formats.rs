//! What can be wrong with a map, and that every map that ships is right.

use super::{check, parse};
use crate::mapping::{Columns, Origin, Place, Unit};
use crate::model::Format;
use crate::presets::PRESETS;

/// A configuration with one model whose captures hold this beside their topic.
fn captures(text: &str) -> String {
    format!(
        "kafka: {{bootstrap: b, schema_registry: {{url: 'http://r'}}}}\nmodels:\n  - {{name: m, baseline: b, captures: {{topic: t, {text}}}}}\n"
    )
}

fn check_map(text: &str, expected: &[&str]) {
    check(&captures(text), expected);
}

#[test]
fn a_map_says_where_everything_stands() {
    check_map(
        "format: json",
        &[
            "3:38: missing key `map` in captures: say where ts, features and predictions stand; `driftline formats` lists maps",
        ],
    );
    check_map("map: {ts: /t}", &["3:54: missing key `features` in map"]);
    check_map("map: {features: /f}", &["3:54: missing key `ts` in map"]);
    check_map(
        "format: driftline-json, map: {ts: /t}",
        &["3:78: driftline-json is read without a map: write `format: json` beside a map"],
    );
    check_map(
        "map: {ts: /t, features: ./x}",
        &[
            "3:73: a place that begins at the row, and `rows` names none: write `rows: /instances/*`, or a place from the top, such as /a/b",
        ],
    );
    check_map(
        "map: {rows: /a, ts: /t, features: /f}",
        &["3:61: `rows` names no list of rows: write /a/* for each element of that list"],
    );
    check_map(
        "map: {ts: 'a[*].b', features: /f}",
        &[
            "3:59: \"a[*].b\" is not a place in an event: a place begins with /, ./, $ or @: write $.a[*].b",
        ],
    );
    check_map(
        "map: {ts: {at: /t, unit: h}, features: /f}",
        &["3:74: \"h\" is not a unit of time: write s, ms, us, ns, rfc3339, utc"],
    );
    check_map(
        "map: {ts: /t, latency: {at: /l, unit: utc}, features: /f}",
        &["3:87: \"utc\" is not a unit of durations: write s, ms, us or ns"],
    );
    check_map(
        "map: {ts: /t, id: {at: /l, header: x}, features: /f}",
        &[
            "3:67: a source has one of at, header, key, record, constant: write a place alone, or {header: NAME}",
        ],
    );
    check_map(
        "map: {ts: /t, features: [{a: /x}, {at: /y, names: [a, b]}]}",
        &["3:73: the column `a` stands twice in features"],
    );
    check_map(
        "map: {ts: /t, features: {at: /x, as: xml}}",
        &[
            "3:86: \"xml\" is not a form of rows: write csv, jsonlines, columns, split, tensors, scoring",
        ],
    );
    check_map(
        "map: {ts: /t, featurs: /f, predictions: /p}",
        &["3:63: unknown key `featurs` in map: did you mean `features`?"],
    );
}

/// One outcome a record: a window would have to count a part of it.
#[test]
fn rows_have_no_times_of_their_own() {
    check_map(
        "map: {rows: /r/*, ts: ./t, features: ./}",
        &[
            "3:71: `ts` of every row (/r/*/t): one record has one outcome: name a value of the whole record, or write one record for each row",
        ],
    );
}

#[test]
fn models_that_share_a_topic_are_told_apart() {
    let models = |second: &str, map: &str| {
        format!(
            "kafka: {{bootstrap: b, schema_registry: {{url: 'http://r'}}}}\nmodels:\n  - {{name: m, baseline: b, captures: {{topic: t, map: {map}}}}}\n  - {{name: n, baseline: b, captures: {{topic: t{second}}}}}\n"
        )
    };
    check(
        &models("", "{ts: /t, features: /f}"),
        &[
            "3:12: `m` and `n` share the topic t and read it differently: give both a map, or each a topic of its own",
            "4:12: `n` and `m` share the topic t and read it differently: give both a map, or each a topic of its own",
        ],
    );
    check(
        &models(", map: {ts: /t, features: /f, model: /m}", "{ts: /t, features: /f}"),
        &[
            "3:12: several models share the topic t: add `model` to the map: where an event says whose it is",
        ],
    );
    check(
        &models(", map: {ts: /t, features: /f, model: /m}", "{model: /m, ts: /t, features: /f}"),
        &[],
    );
}

/// The preset's `{record: time}` beside a constant of one's own was refused as two sources.
#[test]
fn a_source_of_ones_own_replaces_that_of_the_preset() {
    let text = captures("format: oip, map: {ts: {constant: '2026-01-02T03:04:05Z'}}");
    let config = parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let time = &config.models[0].captures.format.mapping().unwrap().time;
    let constant = crate::mapping::Origin::Constant("2026-01-02T03:04:05Z".to_owned());
    assert_eq!(time.iter().map(|source| &source.from).collect::<Vec<_>>(), [&constant]);
}

#[test]
fn every_map_that_ships_is_valid() {
    for preset in &PRESETS {
        let whole = captures(&format!("format: {}", preset.name));
        let shipped = preset.text.replace("captures:\n", "captures:\n  topic: t\n");
        let shipped = shipped.replace("\n  ", "\n      ").replace("captures:", "    captures:");
        let copied = format!(
            "kafka: {{bootstrap: b, schema_registry: {{url: 'http://r'}}}}\nmodels:\n  - name: m\n    baseline: b\n{shipped}"
        );
        let mapping = |text: &str| {
            let config = parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            config.models[0].captures.format.mapping().unwrap().clone()
        };
        let copied = mapping(&copied);
        // A map cannot be guessed for JSON of any shape, so there it is written.
        if preset.name != "json" {
            let whole = mapping(&whole);
            assert_eq!((whole.features, whole.pair), (copied.features, copied.pair));
        }
        assert!(preset.summary().len() > 20, "{}", preset.name);
    }
}

#[test]
fn what_is_written_replaces_what_ships_key_by_key() {
    let text = captures("format: sagemaker, map: {features: {names: [a, b]}, id: {header: x}}");
    let config = parse(&text).unwrap();
    let Format::Mapped(mapping) = &config.models[0].captures.format else { panic!("no map") };
    let [Columns::Body(body)] = mapping.features.as_slice() else { panic!("{mapping:?}") };
    assert_eq!(body.names, ["a", "b"]);
    assert_eq!(body.at.len(), 2);
    assert_eq!(mapping.id[0].from, Origin::Header("x".to_owned()));
    assert_eq!(mapping.time[0].unit, Unit::Utc);
    let place = Place::parse("/eventMetadata/inferenceTime").unwrap().place;
    assert_eq!(mapping.time[0].from, Origin::Place(place));
}

#[test]
fn formats_that_are_read_by_schemas_need_a_registry() {
    let without = |format: &str| {
        captures(&format!("format: {format}")).replace(", schema_registry: {url: 'http://r'}", "")
    };
    for format in ["avro", "protobuf"] {
        let expected = format!(
            "3:12: format {format} is read by schemas, and no registry is named: add `schema_registry: {{url: http://…}}` to `kafka`"
        );
        check(&without(format), &[&expected]);
    }
    parse(&without("json-schema")).unwrap();
    let registry = |text: &str| captures("format: avro").replace("url: 'http://r'", text);
    let whole =
        parse(&registry("url: 'http://r/', user: anna, password: planted, cache: c")).unwrap();
    let registry_of_whole = whole.kafka.schema_registry.unwrap();
    assert_eq!(registry_of_whole.url, "http://r");
    assert!(registry_of_whole.cache.ends_with("c"));
    assert!(!format!("{registry_of_whole:?}").contains("planted"));
    let kept = parse(&registry("url: 'http://r'")).unwrap();
    assert_eq!(kept.kafka.schema_registry.unwrap().cache, kept.state.join("schemas"));
    let table = [
        ("cache: c", "missing key `url` in kafka.schema_registry"),
        ("url: 'http://anna:pw@r'", "an address with a password in it is printed in logs"),
        ("url: 'http://r', user: anna", "`user` and `password` belong together"),
        (
            "url: 'http://r', user: a, password: b, token: t",
            "a registry knows us by a token or by a password",
        ),
    ];
    for (text, expected) in table {
        let problems = parse(&registry(text)).unwrap_err().to_string();
        assert!(problems.contains(expected), "{problems}");
    }
}
