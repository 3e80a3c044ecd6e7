//! Problems of the files that a configuration names stand at their places, all of them at once.

use super::*;
use crate::commands::baseline;
use crate::commands::rig::{Rig, arguments};

/// What is wrong with the rig's configuration where `text` follows it, without the path.
fn problems(rig: &Rig, models: &str) -> Vec<String> {
    let path = rig.path("changed.yaml");
    let text = std::fs::read_to_string(&rig.config).unwrap();
    let before = text.split_once("models:").unwrap().0;
    std::fs::write(&path, format!("{before}{models}")).unwrap();
    let problems =
        configured::load_examined(&path, &|model, limits| examine(model, limits).complaints)
            .err()
            .map(|problems| problems.0);
    let problems = problems.unwrap_or_default();
    problems
        .iter()
        .map(|problem| {
            let lines = before.lines().count();
            let place = format!("{}:{}", problem.line - lines, problem.column);
            format!("{place}: {}", problem.message.replace(&*rig.path("").to_string_lossy(), ""))
        })
        .collect()
}

/// They had no place, only the first of a model was named, and none where anything else was wrong.
#[test]
fn problems_of_baselines_and_features_are_named_at_once_with_their_places() {
    let rig = Rig::new(50);
    std::fs::write(rig.path("broken.json"), "{}").unwrap();
    let found = problems(
        &rig,
        "models:\n  - name: m\n    captures: {topic: captures}\n    owner_: me\n    \
         baseline: {default: baseline.json, \"4\": gone.json, \"5\": broken.json}\n    \
         features: {x: {judge: false}, dep_delay: {judge: false}, y: {private: true}}\n  \
         - {name: n, captures: {topic: captures}, baseline: nowhere.json, tolerance: low}\n",
    );
    let expected = [
        "4:5: unknown key `owner_` in model",
        "5:45: model m: baseline gone.json: No such file",
        "5:61: model m: baseline broken.json: ",
        "6:35: model m: feature dep_delay is configured, but its baseline has no such feature",
        "6:62: model m: feature y is configured, but its baseline has no such feature",
        "7:54: model n: baseline nowhere.json: No such file",
        "7:79: \"low\" is not a tolerance",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

/// RULES §4: `check_hours` took a baseline without times for one that is no longer than a window.
#[test]
fn windows_under_a_day_against_a_baseline_of_unknown_hours_are_refused() {
    let rig = Rig::new(50);
    let data = rig.days("untimed.csv", -20..0);
    let (config, out) = (rig.config.to_str().unwrap().to_owned(), rig.path("untimed.json"));
    let out = out.to_str().unwrap();
    let words = ["--config", &config, "--model", "m", "--data", &data, "--out", out];
    let more = ["--rename", "score=prediction:score", "--predictions", "held-out"];
    baseline::run(&arguments(&[&words[..], &more].concat())).unwrap();

    let hours = "windows of 1h are compared with a baseline of unknown hours";
    for (baseline, every, tolerance, expected) in [
        ("untimed.json", "1h", "auto", Some(hours)),
        (
            "baseline.json",
            "1h",
            "auto",
            Some("windows of 1h are compared with a baseline of mixed"),
        ),
        ("untimed.json", "1d", "auto", None),
        ("untimed.json", "1h", "{ks: 0.1}", None),
    ] {
        let found = problems(
            &rig,
            &format!(
                "models:\n  - {{name: m, captures: {{topic: captures}}, baseline: {baseline}, \
                 window: {{every: {every}}}, tolerance: {tolerance}}}\n"
            ),
        );
        assert_eq!(found.len(), usize::from(expected.is_some()), "{baseline} {every}: {found:?}");
        let named = expected.is_none_or(|expected| found[0].contains(expected));
        assert!(named && found.iter().all(|found| found.starts_with("2:")), "{found:?}");
    }
}

/// The embedded broker tells nothing of retention, and is not waited for.
#[test]
fn a_configuration_is_valid_without_its_retention() {
    assert_eq!(retention_warnings(Rig::new(50).config()), Vec::<String>::new());
}

/// What `validate` called valid `run` refused to start with.
#[test]
fn receivers_that_run_refuses_are_refused() {
    let receiver = |name: &str, rest: &str| format!("  - {{name: {name}, webhook: {{{rest}}}}}\n");
    let receivers = [
        receiver("inside", "url: \"http://[64:ff9b::a9fe:a9fe]/\""),
        receiver("private", "url: \"http://10.0.0.1/\""),
        receiver("authority", "url: \"https://example.org/\", ca: nowhere.pem"),
    ];
    let text = format!(
        "kafka: {{bootstrap: b}}\nmodels: [{{name: m, captures: {{topic: t}}, baseline: b}}]\n\
         receivers:\n{}",
        receivers.concat()
    );
    let config = Config::parse(&text, "/etc/driftline.yaml".as_ref(), &|_| None).unwrap();
    let refused: Vec<String> = refused_receivers(&config).iter().map(ToString::to_string).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].contains("inside") && refused[0].contains("link-local"), "{refused:?}");
    assert!(refused[1].contains("authority") && refused[1].contains("nowhere.pem"), "{refused:?}");
}
