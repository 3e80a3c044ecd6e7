//! Tests of whole configurations: the contract's example, the defaults, and what stays secret.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use crate::{
    Config, DeadLetters, Feature, MaxAge, Problems, ReceiverKind, Start, Tolerance, Tolerances,
    Wants,
};

mod files;
mod problems;

/// The example of CONTRACTS §2, with its shortened values written out.
const CONTRACT: &str = include_str!("tests/contract.yaml");
const EXAMPLE: &str = include_str!("../../example.yaml");
const SMALLEST: &str = "\
kafka: {bootstrap: 'localhost:9092'}
models:
  - {name: m, captures: {topic: t}, baseline: b.json}
";

fn parse(text: &str) -> Result<Config, Problems> {
    let environment = |name: &str| match name {
        "RETRAIN_SECRET" => Some("whsec_planted".to_owned()),
        "PORT" => Some("9000".to_owned()),
        _ => None,
    };
    Config::parse(text, Path::new("/etc/driftline/driftline.yaml"), &environment)
}

fn parse_valid(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The contract's example in a folder that holds the files it names.
fn contract(folder: &Path) -> Config {
    std::fs::create_dir_all(folder.join("models.d")).unwrap();
    std::fs::create_dir_all(folder.join("secrets")).unwrap();
    for name in ["token", "smtp", "job"] {
        std::fs::write(folder.join("secrets").join(name), format!("planted-{name}\n")).unwrap();
    }
    let more = "models:\n  - {name: fares, captures: {topic: fares}, baseline: fares.json}\n";
    std::fs::write(folder.join("models.d/fares.yaml"), more).unwrap();
    let environment = |name: &str| (name == "RETRAIN_SECRET").then(|| "planted-env".to_owned());
    Config::parse(CONTRACT, &folder.join("driftline.yaml"), &environment)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_contracts_example_parses() {
    let folder = tempfile::tempdir().unwrap();
    let config = contract(folder.path());
    assert_eq!(config.state, folder.path().join("state"));
    assert_eq!(config.http.external_url.as_deref(), Some("https://driftline.example.org"));
    assert_eq!(config.http.token.as_ref().unwrap().expose(), "planted-token");
    let names: Vec<_> = config.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["flight-delay", "fares"]);

    let model = &config.models[0];
    assert_eq!(model.notify, ["ops-mail", "retrain"]);
    assert_eq!(model.baseline["default"], folder.path().join("baseline.json"));
    assert_eq!(model.baseline["4"], folder.path().join("baseline-4.json"));
    assert_eq!(model.features["dep_delay"].tolerance, Some(0.08));
    assert_eq!(model.features["temp"], Feature { judge: false, ..Feature::default() });
    assert!(model.features["Email"].private);
    assert_eq!(model.latency.as_ref().unwrap().under_us, 50_000);
    assert_eq!(model.no_data.after_us, 2 * DAY_US);
    assert_eq!(model.shadow[0].inputs, ["dep_delay", "distance"]);
    assert_eq!(model.shadow[0].onnx, folder.path().join("spring.onnx"));
    assert_eq!(config.models[1].baseline["default"], folder.path().join("models.d/fares.json"));

    let ReceiverKind::Webhook(webhook) = &config.receivers[1].kind else { panic!("no webhook") };
    assert_eq!(webhook.secret.as_ref().unwrap().expose(), "planted-env");
    assert_eq!(webhook.headers["Authorization"].expose(), "planted-job");
    assert_eq!(config.receivers[0].on, [Wants::Alerts]);
    assert_eq!(config.receivers[1].on, [Wants::Retrain]);
    let ReceiverKind::Alertmanager(to) = &config.receivers[2].kind else {
        panic!("no Alertmanager")
    };
    assert_eq!(to.headers["Authorization"].expose(), "planted-job");
    assert_eq!(config.alerts.max_age, MaxAge::After(DAY_US));
}

#[test]
fn the_example_of_the_documentation_parses() {
    let config = parse_valid(EXAMPLE);
    assert_eq!(config.models.len(), 1);
    assert_eq!(config.receivers.len(), 1);
}

#[test]
fn an_alertmanager_is_told_alerts_again_every_minute() {
    let receiver = |rest: &str| {
        let receivers = format!(
            "receivers: [{{name: am, alertmanager: {{url: 'http://am:9093/x/'{rest}}}}}]\n"
        );
        parse_valid(&format!("{receivers}{SMALLEST}")).receivers.remove(0)
    };
    let plain = receiver("");
    assert_eq!(plain.on, [Wants::Alerts]);
    let ReceiverKind::Alertmanager(alertmanager) = plain.kind else { panic!("no Alertmanager") };
    assert_eq!(alertmanager.url.expose(), "http://am:9093/x/");
    assert_eq!((alertmanager.resend_us, alertmanager.runbook), (MINUTE_US, None));
    let full =
        receiver(", resend: 5s, headers: {A: b}, ca: ca.pem, runbook: 'https://r.example.org/'");
    let ReceiverKind::Alertmanager(alertmanager) = full.kind else { panic!("no Alertmanager") };
    assert_eq!(alertmanager.resend_us, 5 * SECOND_US);
    assert_eq!(alertmanager.headers["A"].expose(), "b");
    assert_eq!(alertmanager.ca.as_deref(), Some(Path::new("/etc/driftline/ca.pem")));
    assert_eq!(alertmanager.runbook.as_deref(), Some("https://r.example.org/"));
}

#[test]
fn the_smallest_configuration_has_the_defaults_of_the_contract() {
    let config = parse_valid(SMALLEST);
    assert_eq!(config.kafka.group, "driftline");
    assert_eq!(config.kafka.reports.as_deref(), Some("driftline.reports"));
    assert_eq!(config.kafka.dead_letters, DeadLetters::Topic);
    assert_eq!(config.state, Path::new("/etc/driftline/state"));
    assert_eq!(config.http.listen, "127.0.0.1:9464");
    assert_eq!((config.alerts.drift.windows, config.alerts.drift.of), (2, 3));
    assert_eq!(config.alerts.repeat_drift_us, 7 * DAY_US);
    assert_eq!(config.alerts.repeat_operations_us, 4 * HOUR_US);
    assert_eq!(config.alerts.max_age, MaxAge::Default);
    assert_eq!(config.reports.keep_us, 90 * DAY_US);
    assert_eq!(config.limits, crate::Limits::default());
    assert_eq!(config.shadow, contract(tempfile::tempdir().unwrap().path()).shadow);

    let model = &config.models[0];
    assert_eq!(model.captures.start, Start::Earliest);
    assert_eq!(model.captures.max_ahead_us, HOUR_US);
    let window = &model.window;
    assert_eq!((window.every_us, window.lateness_us), (DAY_US, HOUR_US));
    assert_eq!(window.idle_us, Some(30 * SECOND_US));
    assert_eq!((window.at_least, window.at_most_us), (300, 14 * DAY_US));
    assert_eq!(model.operations.every_us, MINUTE_US);
    assert_eq!(model.operations.lateness_us, MINUTE_US);
    assert_eq!(model.tolerance, Tolerance::Auto);
    let budget = model.false_alarms;
    assert_eq!((budget.at_most, budget.per_us), (1.0, 28 * DAY_US));
    assert_eq!((model.min_effect.distribution, model.min_effect.share), (0.03, 0.01));
    assert_eq!((&model.latency, &model.errors), (&None, &None));
    let retrain = &model.retrain;
    assert_eq!((retrain.history_us, retrain.cooldown_us), (90 * DAY_US, DAY_US));
    assert_eq!(retrain.max_per_day, 2);
    assert!(model.notify.is_empty() && model.shadow.is_empty());
}

#[test]
fn the_budget_of_false_alarms_is_read() {
    let model = |settings: &str| {
        parse_valid(&SMALLEST.replace("name: m,", &format!("name: m, {settings},"))).models[0]
            .clone()
    };
    let budget = model("false_alarms: {at_most: 0.5, per: 1w}").false_alarms;
    assert_eq!((budget.at_most, budget.per_us), (0.5, 7 * DAY_US));
    assert_eq!(model("window: {every: 40d}").false_alarms.per_us, 40 * DAY_US);
    let least = model("min_effect: 0").min_effect;
    assert_eq!((least.distribution, least.share), (0.0, 0.0));
    let least = model("min_effect: {distribution: 0.05}").min_effect;
    assert_eq!((least.distribution, least.share), (0.05, 0.01));
}

#[test]
fn silence_is_three_windows_but_a_day_at_most_and_a_quarter_of_an_hour_at_least() {
    let table = [("1s", 15 * MINUTE_US), ("1h", 3 * HOUR_US), ("8h", DAY_US), ("7d", DAY_US)];
    for (every, expected_us) in table {
        let text = SMALLEST.replace("name: m,", &format!("name: m, window: {{every: {every}}},"));
        assert_eq!(parse_valid(&text).models[0].no_data.after_us, expected_us, "{every}");
    }
}

#[test]
fn the_models_own_key_wins_over_the_default_and_maps_are_joined() {
    let text = "
kafka: {bootstrap: b}
defaults:
  owner: everybody
  captures: {topic: shared, max_ahead: 2h}
  window: {every: 7d, lateness: 2h, idle: off}
  tolerance: {ks: 0.2}
  errors: {objective: 0.99}
  features: {temp: {judge: false}}
models:
  - {name: own, owner: me, baseline: b.json, window: {every: 1h}, tolerance: auto, errors: null,
     features: {temp: {private: true}, wind: {coerce: true}}}
  - {name: inherits, baseline: b.json}
";
    let config = parse_valid(text);
    let [own, inherits] = config.models.as_slice() else { panic!("two models") };
    assert_eq!((own.owner.as_deref(), inherits.owner.as_deref()), (Some("me"), Some("everybody")));
    assert_eq!((own.window.every_us, inherits.window.every_us), (HOUR_US, 7 * DAY_US));
    assert_eq!((own.window.lateness_us, own.window.idle_us), (2 * HOUR_US, None));
    assert_eq!((own.captures.topic.as_str(), own.captures.max_ahead_us), ("shared", 2 * HOUR_US));
    assert_eq!(own.tolerance, Tolerance::Auto);
    assert_eq!(inherits.tolerance.floor().ks, 0.2);
    assert_eq!(inherits.tolerance.floor().psi, 0.1);
    // A default is taken back with `null`.
    assert_eq!((own.errors.is_none(), inherits.errors.is_some()), (true, true));
    assert!(own.features["temp"].private && !own.features["temp"].judge);
    assert!(own.features["wind"].coerce && own.features["wind"].judge);
}

#[test]
fn a_scalar_is_read_as_it_was_written() {
    let text = "
kafka: {bootstrap: '127.0.0.1:${PORT}', properties: {a: 0.10, b: 007, c: true, d: no, e: 1e3}}
models:
  - {name: 4, owner: '$${PORT}', captures: {topic: t}, baseline: {default: b, 10: c}}
";
    let config = parse_valid(text);
    let properties: Vec<_> =
        config.kafka.properties.iter().map(|(key, value)| (key.as_str(), value.expose())).collect();
    assert_eq!(properties, [("a", "0.10"), ("b", "007"), ("c", "true"), ("d", "no"), ("e", "1e3")]);
    assert_eq!(config.kafka.bootstrap, "127.0.0.1:9000");
    assert_eq!(config.models[0].name, "4");
    assert_eq!(config.models[0].owner.as_deref(), Some("${PORT}"));
    assert_eq!(config.models[0].baseline["10"], PathBuf::from("/etc/driftline/c"));
}

#[test]
fn off_latest_and_instants_are_understood() {
    let text = "
kafka: {bootstrap: b, reports: off, dead_letters: 'folder:dead'}
alerts: {max_age: off, for: {drift: 1 of 1}}
limits: {models: 1, record_bytes: 2MiB}
models:
  - {name: m, captures: {topic: t, start: 2026-11-02T00:00:00Z}, baseline: b, window: {idle: off}}
";
    let config = parse_valid(text);
    assert_eq!(config.kafka.reports, None);
    assert_eq!(
        config.kafka.dead_letters,
        DeadLetters::Folder(PathBuf::from("/etc/driftline/dead"))
    );
    assert_eq!(config.alerts.max_age, MaxAge::Off);
    assert_eq!((config.limits.models, config.limits.record_bytes), (1, 2 << 20));
    assert_eq!(config.models[0].window.idle_us, None);
    assert_eq!(config.models[0].captures.start, Start::At(1_793_577_600_000_000));
}

#[test]
fn aliases_and_merge_keys_of_yaml_work() {
    let text = "
kafka: {bootstrap: b}
models:
  - &first {name: a, captures: {topic: t}, baseline: b.json, window: &w {every: 2d}}
  - {<<: *first, name: b}
  - {name: c, captures: {topic: t}, baseline: b.json, window: *w}
";
    let config = parse_valid(text);
    assert!(config.models.iter().all(|model| model.window.every_us == 2 * DAY_US));
}

#[test]
fn as_many_models_as_the_limit_allows_are_read() {
    let features: String = (0..3).map(|index| format!("f{index}: {{judge: false}}, ")).collect();
    let mut text = format!(
        "kafka: {{bootstrap: b}}\nmodels:\n  - &m {{name: m, captures: {{topic: t}}, baseline: b, features: {{{features}}}}}\n"
    );
    for index in 1..2000 {
        text.push_str(&format!("  - {{<<: *m, name: m{index}, features: {{{features}}}}}\n"));
    }
    let config = parse_valid(&text);
    assert_eq!(config.models.len(), 2000);
    assert!(config.models.iter().all(|model| model.features.len() == 3));
}

#[test]
fn secrets_are_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let config = contract(folder.path());
    for printed in [format!("{config:?}"), format!("{config:#?}"), config.render()] {
        assert!(!printed.contains("planted"), "{printed}");
        assert!(printed.contains("<secret>"), "{printed}");
    }
}

#[test]
fn problems_hold_no_secret_and_no_variable() {
    let text = "
kafka: {bootstrap: 'b c${RETRAIN_SECRET}', properties: {sasl.password: [planted], group.id: planted}}
http: {listen: '${RETRAIN_SECRET}', token: {planted: x}}
receivers:
  - {name: a, webhook: {url: 'planted://x', secret: ['planted'], headers: {A: \"planted\\n\"}}}
  - {name: b, email: {server: 'smtp://u:planted@host', from: a@b, to: [c@d], user: u, password: ''}}
models:
  - {name: '${RETRAIN_SECRET}!', captures: {topic: '/${RETRAIN_SECRET}'}, baseline: b, window: {every: '${RETRAIN_SECRET}'}}
";
    let problems = parse(text).unwrap_err();
    assert_eq!(problems.0.len(), 13, "{problems}");
    assert!(!format!("{problems} {problems:?}").contains("planted"), "{problems}");
}

/// A change here changes `config_sha256` of every report, and belongs in the changelog. The sha256
/// were computed by sha256sum over the JSON that stands in `fingerprints.txt`.
#[test]
fn fingerprints_are_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let models = [parse_valid(SMALLEST), contract(folder.path())]
        .map(|mut config| config.models.swap_remove(0));
    let written: Vec<&str> = include_str!("tests/fingerprints.txt").lines().collect();
    assert_eq!(models.each_ref().map(|model| crate::render::settings(model).to_string()), *written);
    assert_eq!(
        models.each_ref().map(crate::Model::fingerprint_sha256),
        [
            "99f0090d0ea915d0b69d60a8527f8194f1ac0f7d3b3d56a7a1d43615062335e7",
            "c7c9d7614f7f78a20636a2120b7b93eb60ca9185d23aebc7fb489f50199702eb",
        ]
    );
}

#[test]
fn the_fingerprint_covers_what_decides_a_report_and_nothing_else() {
    let fingerprint = |extra: &str| {
        let receivers = "receivers: [{name: r, webhook: {url: 'http://x'}}]\n";
        let text = SMALLEST.replace("name: m,", &format!("name: m, {extra}"));
        parse_valid(&format!("{receivers}{text}")).models[0].fingerprint_sha256()
    };
    let plain = fingerprint("");
    for same in ["owner: x,", "notify: [r],", "window: {every: 1d},", "tolerance: auto,"] {
        assert_eq!(fingerprint(same), plain, "{same}");
    }
    let elsewhere = SMALLEST.replace("b.json", "elsewhere/b.json");
    assert_eq!(parse_valid(&elsewhere).models[0].fingerprint_sha256(), plain);
    for other in [
        "window: {every: 2d},",
        "window: {timezone: UTC},",
        "tolerance: {ks: 0.05},",
        "features: {a: {judge: false}},",
    ] {
        assert_ne!(fingerprint(other), plain, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn text_that_looks_like_yaml_never_panics(text in "[a-z:{}\\[\\], \n\\-&*!|>'\"#%@`$.0-9é\t]{0,120}") {
        let _ = parse(&text);
    }

    /// A damaged example is refused or read, with a place inside it, and never panics.
    #[test]
    fn a_damaged_example_never_panics(at in 0..CONTRACT.len(), text in "[\\PC\n]{0,4}", cut in 0..9usize) {
        let from = CONTRACT.floor_char_boundary(at);
        let to = CONTRACT.floor_char_boundary((from + cut).min(CONTRACT.len()));
        let damaged = format!("{}{text}{}", &CONTRACT[..from], &CONTRACT[to..]);
        let lines = damaged.lines().count() + 1;
        if let Err(problems) = parse(&damaged) {
            prop_assert!(!problems.0.is_empty());
            prop_assert!(problems.0.iter().all(|problem| problem.line <= lines), "{}", problems);
        }
    }
}

#[test]
fn the_command_line_reads_tolerances_as_the_file_does() {
    let mut tolerances = Tolerances::default();
    for (name, text) in [("ks", "0.1"), ("psi", "1.5"), ("missing", "1")] {
        tolerances.set(name, text).unwrap();
    }
    let expected = Tolerances { ks: 0.1, psi: 1.5, missing: 1.0, ..Tolerances::default() };
    assert_eq!(tolerances, expected);
    for (name, text, says) in [
        ("ks", "1.5", "ks: \"1.5\" is not above 0 and at most 1"),
        ("psi", "inf", "psi: \"inf\" is not above 0"),
        ("missing", "0", "missing: \"0\" is not above 0 and at most 1"),
        ("new_category", "much", "new_category: \"much\" is not a number"),
        (
            "kl",
            "1",
            "\"kl\" is not a tolerance: known are ks, psi, missing, wrong_type, new_category",
        ),
    ] {
        assert_eq!(tolerances.set(name, text), Err(says.to_owned()));
    }
    assert_eq!(tolerances, expected, "what is wrong changes nothing");
}

#[test]
fn teams_are_told_where_they_meet() {
    let receiver = |rest: &str| {
        parse_valid(&format!("receivers: [{{name: team, {rest}}}]\n{SMALLEST}")).receivers.remove(0)
    };
    let table = [
        ("slack: {url: 'https://hooks.example.org/x'}", crate::ChannelKind::Slack, None),
        (
            "teams: {url: 'https://flows.example.org/x', ca: ca.pem}",
            crate::ChannelKind::Teams,
            None,
        ),
        ("pagerduty: {routing_key: planted}", crate::ChannelKind::PagerDuty, Some("planted")),
        (
            "ntfy: {url: 'https://ntfy.example.org', topic: models, token: tk}",
            crate::ChannelKind::Ntfy { topic: "models".to_owned() },
            Some("tk"),
        ),
    ];
    for (text, kind, key) in table {
        let receiver = receiver(text);
        assert_eq!(receiver.on, [Wants::Alerts]);
        let ReceiverKind::Channel(channel) = receiver.kind else { panic!("{text}") };
        assert_eq!(channel.kind, kind);
        assert_eq!(channel.key.as_ref().map(crate::Secret::expose), key);
        assert!(channel.url.expose().starts_with("https://"), "{text}");
    }
}

/// What a model of a template is follows from its name alone, and names that match are those of models.
#[test]
fn a_template_makes_a_model_of_each_name_that_matches() {
    let config = parse_valid(
        "
kafka: {bootstrap: 'localhost:9092'}
defaults: {window: {every: 1h}}
models:
  - {name: fraud-eu, captures: {topic: scores}, baseline: eu.json}
  - {match: 'fraud-[a-z]+', owner: risk, captures: {topic: scores}, baseline: 'baselines/{model}.json'}
  - {match: '.*', captures: {topic: rest}, baseline: {default: all.json, '2': '{model}/{model}.json'}}
",
    );
    assert_eq!(config.models.len(), 1);
    let model = config.model("fraud-us").unwrap().into_owned();
    assert_eq!((model.name.as_str(), model.owner.as_deref()), ("fraud-us", Some("risk")));
    assert_eq!(model.baseline["default"], Path::new("/etc/driftline/baselines/fraud-us.json"));
    assert_eq!(model.window.every_us, HOUR_US);
    let rest = config.model("a.b").unwrap().into_owned();
    assert_eq!(rest.baseline["2"], Path::new("/etc/driftline/a.b/a.b.json"));
    assert_eq!(config.topics(), ["rest", "scores"].into());
    // Topic, name, and whether a template makes a model of it there.
    let table = [
        ("scores", "fraud-us", true),
        ("scores", "fraud-eu", false),
        ("scores", "fraud-9", false),
        ("scores", "xfraud-us", false),
        ("rest", "fraud-us", false),
        ("rest", "fraud-9", true),
        ("rest", "../etc", false),
        ("rest", "a/b", false),
        ("rest", "", false),
        ("rest", "a\n", false),
    ];
    for (topic, name, makes) in table {
        assert_eq!(config.model_of_template(topic, name).is_some(), makes, "{topic}: {name}");
    }
    let sections = parse_valid(
        "
kafka: {bootstrap: 'localhost:9092'}
defaults: {window: {every: 1h}}
models: [{name: fraud-us, owner: risk, captures: {topic: scores}, baseline: baselines/fraud-us.json}]
",
    );
    assert_eq!(sections.models[0], model, "as if it had a section of its own");
}
