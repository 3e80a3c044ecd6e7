//! The rules of `deploy/prometheus`, by promtool: sound, each tested both ways, each with its place in the
//! runbook.

use std::collections::BTreeMap;
use std::fs;

use driftline_alerting::Class;
use driftline_alerting::alertmanager::alert_name;

use crate::rig::{self, prometheus};

pub(crate) const RULE_FILES: [&str; 3] =
    ["driftline.rules.yml", "driftline.alerts.yml", "driftline-drift.alerts.yml"];
const TEST_FILES: [&str; 4] =
    ["days.test.yml", "drift.test.yml", "itself.test.yml", "requests.test.yml"];
/// It has no other way to be.
const ALWAYS_FIRES: &str = "DriftlineWatchdog";

#[test]
fn promtool_finds_the_rules_sound_and_their_tests_hold() {
    let folder = rig::repository("deploy/prometheus");
    let run = |folder: &str, arguments: &[&str], files: &[&str]| {
        let arguments = [arguments, files].concat();
        let Some((content, printed)) = prometheus::promtool(folder, &arguments) else {
            return false;
        };
        assert!(content, "promtool {arguments:?}:\n{printed}");
        true
    };
    if run(&folder, &["check", "rules"], &RULE_FILES) {
        run(&folder, &["check", "config", "prometheus.yml"], &[]);
        run(&format!("{folder}/tests"), &["test", "rules"], &TEST_FILES);
    }
}

#[test]
fn every_rule_is_tested_both_ways() {
    let tests = TEST_FILES.map(|file| read(&format!("deploy/prometheus/tests/{file}"))).concat();
    for record in named("record") {
        let asked = [format!("'{record}"), format!("({record}")];
        let expressions = tests.lines().filter(|line| line.trim().starts_with("- expr: "));
        let tested = expressions.clone().any(|line| asked.iter().any(|it| line.contains(it)));
        assert!(tested, "nothing asks for {record}");
    }
    for alert in named("alert") {
        let asks = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
        let samples: Vec<&str> =
            tests.split("- expr: ").filter(|part| part.contains(&asks)).collect();
        let silent = |part: &&&str| part.contains("exp_samples: []");
        let fires = samples.iter().filter(|part| !silent(part)).count();
        assert!(fires > 0, "no test in which {alert} fires");
        let is_silent = samples.iter().any(|part| silent(&part));
        assert_eq!(is_silent, alert != ALWAYS_FIRES, "no test in which {alert} does not fire");
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let runbook = read("docs/runbook.md");
    let mut sections: BTreeMap<String, &str> = BTreeMap::new();
    for section in runbook.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').expect("a section has a text");
        sections.insert(title.to_lowercase(), text);
    }
    let mut alerts = named("alert");
    for file in RULE_FILES {
        for alert in read(&format!("deploy/prometheus/{file}")).split("- alert: ").skip(1) {
            let name = alert.lines().next().expect("a name");
            let anchor = format!("/runbook.md#{}\n", name.to_lowercase());
            for part in ["severity: ", "summary: \"", "description: >-\n", "runbook_url: ", &anchor]
            {
                assert!(alert.contains(part), "{name} without {part}");
            }
        }
    }
    alerts.extend(Class::ALL.map(|class| alert_name(class).to_owned()));
    for alert in alerts {
        let section = sections.get(&alert.to_lowercase());
        let section = section.unwrap_or_else(|| panic!("docs/runbook.md says nothing of {alert}"));
        for part in ["**Means.**", "**Look at.**", "**Do.**"] {
            assert!(section.contains(part), "{alert} without {part}");
        }
    }
    let first = read("deploy/prometheus/driftline-drift.alerts.yml");
    assert!(first.starts_with("# Notify by one or the other: "), "{first}");
}

fn read(path: &str) -> String {
    fs::read_to_string(rig::repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the rules of this kind in all files.
fn named(kind: &str) -> Vec<String> {
    let start = format!("- {kind}: ");
    let files = RULE_FILES.map(|file| read(&format!("deploy/prometheus/{file}"))).concat();
    let names = files.lines().filter_map(|line| line.trim().strip_prefix(&start));
    names.map(str::to_owned).collect()
}
