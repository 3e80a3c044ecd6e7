//! Problems of models, candidates and defaults.

use super::check;

#[test]
fn names_are_checked_and_unique() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: -m, captures: {topic: a/b}, baseline: b}
  - {name: m, captures: {topic: driftline.reports}, baseline: b}
  - {name: m, captures: {topic: a.driftline.dead-letter}, baseline: b, notify: [ops, nobody]}
  - {name: n, captures: {topic: ..}, baseline: b, notify: [ops, ops]}
receivers:
  - {name: ops, webhook: {url: 'http://x'}}
  - {name: ops, webhook: {url: 'http://x'}}
",
        &[
            "3:12: \"-m\" is not a name: up to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit",
            "3:34: \"a/b\" is not a topic name: up to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..`",
            "4:33: Driftline writes to this topic itself",
            "5:12: a model named `m` is already at 4:12: names must be unique",
            "5:33: Driftline writes to this topic itself",
            "5:86: \"nobody\" is not the name of a receiver: declared are ops, ops",
            "6:33: \"..\" is not a topic name: up to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..`",
            "9:12: a receiver named `ops` is already at 8:12: names must be unique",
        ],
    );
}

#[test]
fn windows_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: a, captures: {topic: t}, baseline: b, window: {every: 0s, lateness: -5s, idle: never, at_least: 0, at_most: 1}}
  - {name: b, captures: {topic: t}, baseline: b, window: {every: 2d, at_most: 1d}}
  - {name: c, captures: {topic: t}, baseline: b, window: {every: 40000d}, operations: {every: 500ms, lateness: x}}
",
        &[
            "3:66: \"0s\" is too short: at least 1s",
            "3:80: \"-5s\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "3:91: \"never\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "3:108: 0 is too small: at least 1",
            "3:120: \"1\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "4:79: `at_most` is shorter than `every`: a window grows from `every` to `at_most`",
            "5:66: \"40000d\" is too long: at most 36500d",
            "5:95: \"500ms\" is too short: at least 1s",
            "5:112: \"x\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
        ],
    );
}

#[test]
fn time_zones_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: a, captures: {topic: t}, baseline: b, window: {timezone: Europe/Pariss}}
  - {name: b, captures: {topic: t}, baseline: b, window: {every: 7d, timezone: Mars/Olympus}}
  - {name: c, captures: {topic: t}, baseline: b, window: {every: 36h, timezone: Europe/Paris}}
  - {name: d, captures: {topic: t}, baseline: b, window: {every: 7d, timezone: America/New_York}}
  - {name: e, captures: {topic: t}, baseline: b, window: {timezone: [UTC]}}
",
        &[
            "3:69: \"Europe/Pariss\" is not the name of a time zone: did you mean Europe/Paris?",
            "4:80: \"Mars/Olympus\" is not the name of a time zone: write one of the IANA database, such as Europe/Paris",
            "5:81: `timezone` says where days begin, and `every` is not a whole number of days: set `every` to 1d, 7d or the like, or leave `timezone` out",
            "7:69: expected a text, found a list",
        ],
    );
}

/// A tolerance that is written as a learnt baseline would be was told that baselines cannot be learnt yet.
#[test]
fn each_key_that_cannot_be_learnt_is_told_of_itself() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: a, captures: {topic: t}, baseline: learn}
  - {name: b, captures: {topic: t}, baseline: b, tolerance: learn}
",
        &[
            "3:47: baselines that are learnt from captures are not built yet: build one with `driftline baseline --captures`; a file of that name is `./learn`",
            "4:61: \"learn\" is not a tolerance: write auto, or {ks: 0.05, psi: 0.1}",
        ],
    );
}

#[test]
fn shares_and_objectives_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: a, captures: {topic: t}, baseline: b, tolerance: {ks: 0, psi: 0.0, missing: -1, wrong_type: .nan, new_category: x}}
  - {name: b, captures: {topic: t}, baseline: b, tolerance: low, features: {a: {tolerance: 2, judge: maybe}}}
  - {name: c, captures: {topic: t}, baseline: b, errors: {objective: 1}, latency: {under: 0s, objective: 99%}}
  - {name: d, captures: {topic: t, start: soon, max_ahead: x}, baseline: '', no_data: {after: 0s}, retrain: {max_per_day: 0, cooldown: x}}
",
        &[
            "3:66: \"0\" is not above 0 and at most 1",
            "3:74: \"0.0\" is not above 0",
            "3:88: \"-1\" is not above 0 and at most 1",
            "3:104: \".nan\" is not a number",
            "3:124: \"x\" is not a number",
            "4:61: \"low\" is not a tolerance: write auto, or {ks: 0.05, psi: 0.1}",
            "4:92: \"2\" is not above 0 and at most 1",
            "4:102: \"maybe\" is not true or false",
            "5:70: \"1\" is not between 0 and 1, both excluded",
            "5:91: \"0s\" is too short: at least 1us",
            "5:106: \"99%\" is not a number",
            "6:43: \"soon\" is not a place to start: write earliest, latest or 2026-11-02T00:00:00Z",
            "6:60: \"x\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "6:74: must not be empty",
            "6:95: \"0s\" is too short: at least 1s",
            "6:123: 0 is too small: at least 1",
            "6:136: \"x\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
        ],
    );
}

#[test]
fn candidates_are_checked() {
    check(
        "
kafka: {bootstrap: b}
models:
  - name: m
    captures: {topic: t}
    baseline: b
    shadow:
      - {name: c, onnx: c.onnx, sha256: ABC, inputs: [], purpose: worse, trained_until: x, sample: 0}
      - {name: c, onnx: c.onnx, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, inputs: [a, a], sample: 1.1}
      - {name: d, onnx: '', sha256: 9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, inputs: [a], output: {score_column: -1, labell: x, classes: [[]]}}
",
        &[
            "7:41: \"ABC\" is not a sha256: write the 64 lower-case digits that sha256sum prints",
            "7:54: `inputs` names no feature",
            "7:67: \"worse\" is not a purpose: write better or same",
            "7:89: \"x\" is not an instant: write 2026-11-02T00:00:00Z",
            "7:100: \"0\" is not above 0 and at most 1",
            "8:16: a candidate named `c` is already at 7:16: names must be unique",
            "8:119: \"a\" stands twice in `inputs`",
            "8:131: \"1.1\" is not above 0 and at most 1",
            "9:25: must not be empty",
            "9:37: \"9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" is not a sha256: write the 64 lower-case digits that sha256sum prints",
            "9:139: \"-1\" is not a whole number",
            "9:143: unknown key `labell` in output: did you mean `label`?",
            "9:164: expected a text, found a list",
        ],
    );
}

#[test]
fn more_models_than_the_limit_are_refused() {
    check(
        "
kafka: {bootstrap: b}
limits: {models: 1}
models:
  - {name: a, captures: {topic: t}, baseline: b}
  - {name: b, captures: {topic: t}, baseline: b}
",
        &["4:3: 2 models are more than limits.models (1)"],
    );
}

#[test]
fn problems_of_the_defaults_are_reported_once() {
    check(
        "
kafka: {bootstrap: b}
defaults: {name: x, captures: {format: thrift}, latency: {under: x}, owner_: 1, window: {every: 0s}}
models:
  - {name: a, captures: {topic: t}, baseline: b}
  - {name: b, captures: {topic: t, format: driftline-json}, baseline: b, window: {every: 1d}}
",
        &[
            "2:12: `defaults` cannot hold a name",
            "2:40: \"thrift\" is not a format: known are driftline-json, json, json-schema, avro, protobuf, sagemaker, mlflow, databricks, bentoml, debezium, kserve, seldon, seldon2, oip, azureml",
            "2:58: missing key `objective` in latency",
            "2:66: \"x\" is not a duration: write 30s, 5m, 4h, 1d or 50ms",
            "2:70: unknown key `owner_` in model: did you mean `owner`?",
            "2:97: \"0s\" is too short: at least 1s",
        ],
    );
}

#[test]
fn defaults_need_not_be_whole() {
    check(
        "
kafka: {bootstrap: b}
defaults: {captures: {start: latest}, latency: {objective: 0.9}, baseline: {'4': b}, window: {at_most: 1h}}
models:
  - {name: a, captures: {topic: t}, baseline: {default: b}, latency: {under: 1s}, window: {every: 1h}}
  - {name: b, captures: {topic: t}, baseline: b, latency: {under: 1s}}
",
        &[
            "2:104: `at_most` is shorter than `every`: a window grows from `every` to `at_most`",
        ],
    );
}

#[test]
fn problems_inside_an_alias_stand_where_the_text_stands() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: a, captures: &c {topic: a/b}, baseline: b}
  - {name: b, captures: *c, baseline: b}
",
        &[
            "3:36: \"a/b\" is not a topic name: up to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..`",
        ],
    );
}

/// All but the first few were ignored without a word.
#[test]
fn more_baselines_of_versions_than_the_limit_are_refused() {
    check(
        "
kafka: {bootstrap: b}
limits: {versions: 2}
models:
  - {name: m, captures: {topic: t}, baseline: {default: b, '1': b, '2': b, '3': b}}
  - {name: n, captures: {topic: t}, baseline: {default: b, '1': b, '2': b}}
",
        &[
            "4:47: baselines of 3 versions are more than limits.versions (2): raise it, or leave the versions to `default` that nobody serves any more",
        ],
    );
}

#[test]
fn a_budget_that_cannot_be_is_refused() {
    check(
        "
kafka: {bootstrap: b}
models:
  - {name: m, captures: {topic: t}, baseline: b, false_alarms: {at_most: 0}}
  - {name: l, captures: {topic: t}, baseline: b, false_alarms: {per: 12h}}
  - {name: n, captures: {topic: t}, baseline: b, min_effect: 1}
  - {name: o, captures: {topic: t}, baseline: b, min_effect: {share: lots}}
",
        &[
            "3:74: \"0\" is not above 0 and at most 1000",
            "4:70: `per` is shorter than a window: false alarms are counted in windows",
            "5:62: \"1\" is not at least 0 and below 1",
            "6:70: \"lots\" is not a number",
        ],
    );
}
