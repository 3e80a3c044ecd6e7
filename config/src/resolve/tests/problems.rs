//! Every kind of problem, with its place and its hint: here those that any section can have.

use super::parse;

mod formats;
mod models;
mod service;

fn check(text: &str, expected: &[&str]) {
    // The line break after the opening quote is layout of these tables.
    let text = text.strip_prefix('\n').unwrap_or(text);
    let problems = parse(text).err().map(|problems| problems.0).unwrap_or_default();
    let printed: Vec<String> = problems
        .iter()
        .map(|problem| problem.to_string().replace("/etc/driftline/driftline.yaml:", ""))
        .collect();
    assert_eq!(printed, expected, "\n{text}");
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check(
        "
kafka: {bootstrap: b, grup: x}
kafkaa: 1
alerts: {for: {ops: 1 of 1}}
models:
  - {name: m, captures: {topic: t}, baseline: b, window: {lateness_: 1h}, tolerance: {foo: 1}}
",
        &[
            "1:23: unknown key `grup` in kafka: did you mean `group`?",
            "2:1: unknown key `kafkaa` in the configuration: did you mean `kafka`?",
            "3:16: unknown key `ops` in alerts.for: known are drift",
            "5:59: unknown key `lateness_` in window: did you mean `lateness`?",
            "5:87: unknown key `foo` in tolerance: known are ks, psi, missing, wrong_type, new_category",
        ],
    );
}

#[test]
fn keys_of_a_coming_version_are_not_built_yet() {
    check(
        "
kafka: {bootstrap: b}
budget: 1
models:
  - {name: m, captures: {topic: t, format: thrift}, baseline: b, segments: [x], labels: {}, budget: 1}
",
        &[
            "2:1: unknown key `budget` in the configuration (not built yet)",
            "4:44: \"thrift\" is not a format: known are driftline-json, json, json-schema, avro, protobuf, sagemaker, mlflow, databricks, bentoml, debezium, kserve, seldon, seldon2, oip, azureml",
            "4:66: unknown key `segments` in model (not built yet)",
            "4:81: unknown key `labels` in model (not built yet)",
            "4:93: unknown key `budget` in model (not built yet)",
        ],
    );
}

#[test]
fn missing_keys_are_named() {
    check(
        "
state: x
models:
  - {window: {}}
  - {name: m, captures: {topic: t}, baseline: {'4': b}, errors: {}, latency: {}, shadow: [{}]}
receivers:
  - {}
  - {name: a, email: {}}
  - {name: b, webhook: {}}
  - {name: c, alertmanager: {}}
",
        &[
            "1:1: missing key `bootstrap` in kafka",
            "3:5: missing key `baseline` in model",
            "3:5: missing key `name` in model",
            "3:5: missing key `topic` in captures",
            "4:47: missing key `default` in baseline",
            "4:65: missing key `objective` in errors",
            "4:78: missing key `objective` in latency",
            "4:78: missing key `under` in latency",
            "4:91: missing key `inputs` in candidate",
            "4:91: missing key `name` in candidate",
            "4:91: missing key `onnx` in candidate",
            "4:91: missing key `sha256` in candidate",
            "6:5: a receiver needs one of `email`, `webhook`, `alertmanager`, `slack`, `teams`, `pagerduty` and `ntfy`",
            "6:5: missing key `name` in receiver",
            "7:22: email needs either `server` or `folder`",
            "7:22: missing key `from` in email",
            "7:22: missing key `to` in email",
            "8:24: missing key `url` in webhook",
            "9:29: missing key `url` in alertmanager",
        ],
    );
}

#[test]
fn an_empty_file_lacks_everything() {
    check(
        "
# nothing
",
        &[
            "2:1: missing key `bootstrap` in kafka",
            "2:1: no model is declared: list at least one under `models`",
        ],
    );
}

#[test]
fn templates_say_what_they_cannot_be() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {match: 'a(', captures: {topic: t}, baseline: b.json}
  - {match: 'a.*', name: a, captures: {topic: t}, baseline: b.json}
  - {match: 'b.*', captures: {topic: t}, baseline: learn}
  - {match: 'c.*', captures: {topic: t}, baseline: b.json, shadow: [{name: n, onnx: n.onnx, sha256: '0000000000000000000000000000000000000000000000000000000000000000', inputs: [x]}]}
  - {match: 'd.*', captures: {topic: u, format: json, map: {ts: /t, features: /f}}, baseline: b.json}
defaults: {match: x}
",
        &[
            "3:13: \"a(\" is not a pattern of names: found open group without closing ')'",
            "4:26: a section has either `name` or `match`: `match` is for all names of a pattern",
            "5:52: baselines that are learnt from captures are not built yet: build one with `driftline baseline --captures`; a file of that name is `./learn`",
            "6:68: candidates are of one model, and `match` is for many: give the model that has a candidate a section of its own, with its `name`",
            "7:13: several models share the topic u: add `model` to the map: where an event says whose it is",
            "8:12: `defaults` cannot hold a name",
        ],
    );
}

#[test]
fn wrong_types_are_named() {
    check(
        "
kafka: {bootstrap: [a, b], properties: {ssl: {ca: x}}}
http: off
include: more.yaml
onnxruntime: {path: x}
models:
  - {name: m, captures: t, baseline: [b], features: {a: 1}, notify: ops, shadow: {}, tolerance: [1]}
  - m
receivers: {name: x}
",
        &[
            "1:20: expected a text, found a list",
            "1:46: expected a text, found a map",
            "2:7: http must be a map, found a single value",
            "3:10: expected a list, found a single value",
            "4:14: expected a text, found a map",
            "6:25: captures must be a map, found a single value",
            "6:38: a list is not a baseline: write a path, or {default: PATH, \"4\": PATH}",
            "6:57: feature must be a map, found a single value",
            "6:69: expected a list, found a single value",
            "6:82: expected a list, found a map",
            "6:97: tolerance must be a map, found a list",
            "7:5: model must be a map, found a single value",
            "8:12: expected a list, found a map",
        ],
    );
}

#[test]
fn a_key_that_stands_twice_is_named_with_its_first_line() {
    check(
        "
kafka: {bootstrap: b}
kafka: {bootstrap: c}
models:
  - name: m
    captures: {topic: t}
    baseline: {default: b, default: c}
    features: {a: {}, a: {}}
    name: n
",
        &[
            "2:1: key `kafka` stands twice, first in line 1",
            "6:28: key `default` stands twice, first in line 6",
            "7:23: key `a` stands twice, first in line 7",
            "8:5: key `name` stands twice, first in line 4",
        ],
    );
}

#[test]
fn variables_and_secret_files_are_checked() {
    check(
        "
kafka:
  bootstrap: b
  properties: {a: '${NOPE}', b: 'x${', c: '${a b}', d: 'file:nowhere/x', e: '${PORT}'}
models:
  - {name: m, captures: {topic: '${NOPE}'}, baseline: b}
",
        &[
            "3:19: environment variable `NOPE` is not set",
            "3:33: `${` without `}`: write ${NAME}, or $${ for the characters themselves",
            "3:43: `${…}` must hold the name of an environment variable: letters, digits and _",
            "3:56: cannot read \"file:nowhere/x\": No such file or directory (os error 2)",
            "5:33: environment variable `NOPE` is not set",
        ],
    );
}

#[test]
fn text_that_is_no_yaml_is_placed() {
    check(
        "
kafka: {bootstrap: b
models: x
",
        &["2:7: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'"],
    );
}

#[test]
fn an_unknown_alias_is_placed_and_not_quoted() {
    check(
        "
kafka: {bootstrap: *planted}
",
        &["1:20: not valid YAML: alias references unknown anchor"],
    );
}

#[test]
fn an_unclosed_quote_is_placed() {
    check(
        "
kafka: {bootstrap: \"a
",
        &["1:20: not valid YAML: unclosed quote"],
    );
}

#[test]
fn a_tab_is_placed() {
    check(
        "
kafka: {bootstrap: b}
models:
\t- x
",
        &["3:2: not valid YAML: tabs disallowed within this context (block indentation)"],
    );
}

#[test]
fn a_second_document_is_refused() {
    check(
        "
kafka: {bootstrap: b}
---
kafka: {bootstrap: b}
",
        &["3:1: not valid YAML: multiple YAML documents detected"],
    );
}

#[test]
fn a_key_that_is_no_text_is_refused() {
    check(
        "
? [a, b]
: c
",
        &["1:3: not valid YAML: a key must be a text"],
    );
}

#[test]
fn a_list_is_no_configuration() {
    check(
        "
- a
",
        &["1:1: the configuration must be a map, found a list"],
    );
}
