//! What `driftline check` says, against scipy and against the judgement rules written a second time.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{FLIGHTS, FLIGHTS_BASELINE_ROWS};
use crate::rig::{python, service};

/// Derived numbers have 12 significant digits: two that agree are this close.
const DIGITS: f64 = 1e-12;
/// How far apart two implementations of a tail probability may be, relative to its size.
const TAIL: f64 = 1e-8;
/// The figures of a finding that both sides know.
const FIGURES: [&str; 8] = [
    "value",
    "debiased",
    "bound",
    "tolerance",
    "baseline_error",
    "p_tolerance",
    "p_adjusted",
    "detectable",
];

/// A reference and a current file.
type Pair = (String, String);

/// Has Python write files: pairs of them, or `None` where there is no Python.
pub(crate) fn files(request: &Value) -> Option<Vec<Pair>> {
    let pairs = python::run("oracle_files.py", request)?;
    Some(serde_json::from_value(pairs).expect("pairs of paths"))
}

/// Runs `driftline check --json` and returns its report.
fn check(arguments: &[&str]) -> Value {
    let mut command = service::driftline();
    let (code, stdout, stderr) = service::run(command.arg("check").args(arguments).arg("--json"));
    assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("one JSON document and nothing else");
    let alarm = report["level"] == "alarm";
    assert_eq!(code, Some(i32::from(alarm)), "{arguments:?}: the level is {}", report["level"]);
    report
}

/// The findings by column and check.
fn findings(report: &Value) -> BTreeMap<(&str, &str), &Value> {
    let findings = report["findings"].as_array().expect("a report has findings");
    findings.iter().map(|finding| (place(finding), finding)).collect()
}

/// `feature:x` and `prediction:x@none` are both the column `x` of a file.
fn place(finding: &Value) -> (&str, &str) {
    let subject = finding["subject"].as_str().expect("a finding has a subject");
    let column = subject.split_once(':').map_or(subject, |(_, column)| column);
    let column = column.strip_suffix("@none").unwrap_or(column);
    (column, finding["check"].as_str().expect("a finding has a check"))
}

/// What was compared, so that no test passes for want of anything to compare.
#[derive(Debug, Default)]
struct Compared {
    distances: usize,
    figures: usize,
    levels: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Compared {
    /// Compares the KS distances of numeric columns with scipy's, which must be exact.
    fn distances(&mut self, pair: &Pair, report: &Value, oracle: &Value) {
        let found = findings(report);
        for (column, expected) in oracle.as_object().expect("columns") {
            let finding = found.get(&(column.as_str(), "distribution")).copied();
            let finding = finding.unwrap_or_else(|| panic!("{pair:?}: no finding of {column}"));
            assert_eq!(
                (&finding["n"], &finding["m"]),
                (&expected["n"], &expected["m"]),
                "{column}"
            );
            let Some(distance) = expected["ks"].as_f64() else {
                assert!(finding["ks"].is_null(), "{column}: a distance of nothing");
                continue;
            };
            let ks = &finding["ks"];
            let exact = ks["certified"] == json!([ks["value"], ks["value"]]);
            let value = ks["value"].as_f64().unwrap_or(f64::NAN);
            if !exact || (value - distance).abs() > DIGITS {
                self.wrong.push(format!("{} {column}: {ks} is not {distance}", pair.1));
            }
            self.distances += 1;
        }
    }

    /// Compares every finding with the rules' second implementation.
    fn judgement(&mut self, pair: &Pair, report: &Value, oracle: &Value) {
        let found = findings(report);
        for expected in oracle["findings"].as_array().expect("findings") {
            let key = place(expected);
            let finding = found.get(&key).unwrap_or_else(|| panic!("{pair:?}: no finding {key:?}"));
            let level = expected["level"].as_str().expect("a level");
            if finding["level"] != level {
                self.wrong.push(format!("{} {key:?}: {finding} is not {expected}", pair.1));
            }
            *self.levels.entry(level.to_owned()).or_default() += 1;
            let figures = &finding[expected["statistic"].as_str().unwrap_or("ks")];
            for figure in FIGURES {
                let Some(wanted) = expected[figure].as_f64() else { continue };
                let agrees = figures[figure].as_f64().is_some_and(|found| {
                    (found - wanted).abs() <= (TAIL * wanted.abs()).max(10.0 * DIGITS)
                });
                if !agrees {
                    let found = &figures[figure];
                    self.wrong
                        .push(format!("{} {key:?} {figure}: {found} is not {wanted}", pair.1));
                }
                self.figures += 1;
            }
        }
        assert_eq!(report["level"], oracle["level"], "{pair:?}");
    }

    /// Fails with what is wrong, or where less was compared than the test is about.
    fn end(&self, distances: usize, figures: usize) {
        let shown: Vec<&String> = self.wrong.iter().take(20).collect();
        assert!(self.wrong.is_empty(), "{} differ: {shown:#?}", self.wrong.len());
        assert!(self.distances >= distances, "only {} distances were compared", self.distances);
        assert!(self.figures >= figures, "only {} figures were compared", self.figures);
    }
}

/// Checks the pairs and compares everything with the oracles.
fn compare(pairs: &[Pair]) -> Compared {
    let oracle = python::run("oracle_files.py", &json!({"do": "compare", "pairs": pairs}));
    let oracle = oracle.expect("the files come from the same Python");
    let mut compared = Compared::default();
    for (pair, expected) in pairs.iter().zip(oracle.as_array().expect("one answer per pair")) {
        let report = check(&["--reference", &pair.0, "--current", &pair.1]);
        compared.distances(pair, &report, &expected["ks"]);
        compared.judgement(pair, &report, &expected["judgement"]);
    }
    compared
}

#[test]
fn every_month_of_the_flights_is_as_far_from_january_as_scipy_says() {
    let folder = tempfile::tempdir().unwrap();
    let request = json!({"do": "months", "flights": FLIGHTS, "folder": folder.path()});
    let Some(pairs) = files(&request) else { return };
    let compared = compare(&pairs);
    compared.end(110, 2000);
    assert!(compared.levels["alarm"] > 30 && compared.levels["ok"] > 200, "{:?}", compared.levels);
}

#[test]
fn thousands_of_awkward_columns_are_as_far_apart_as_scipy_says() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [
        (11, 600, 400, 250),
        (12, 600, 30, 45),
        (13, 600, 7, 3),
        (14, 600, 1, 40),
        (15, 60, 5000, 3000),
    ];
    let mut pairs = Vec::new();
    for (seed, columns, reference, window) in sizes {
        let request = json!({"do": "generate", "folder": folder.path(), "seed": seed,
                             "columns": columns, "reference": reference, "window": window});
        let Some(made) = files(&request) else { return };
        pairs.extend(made);
    }
    compare(&pairs).end(2400, 30_000);
}

#[test]
fn every_check_judges_as_the_rules_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = Vec::new();
    for seed in 21..25 {
        let request = json!({"do": "kinds", "folder": folder.path(), "seed": seed});
        let Some(made) = files(&request) else { return };
        pairs.extend(made);
    }
    let compared = compare(&pairs);
    compared.end(40, 1500);
    for level in ["ok", "warn", "alarm", "not_computable"] {
        let count = compared.levels.get(level).copied().unwrap_or(0);
        assert!(count >= 10, "{level}: {count} findings");
    }
}

/// A configuration for building baselines of `model`: windows of a week.
fn configuration(folder: &Path) -> String {
    let text = "kafka: {bootstrap: \"127.0.0.1:9\"}\nstate: state\nmodels:\n  - name: model\n    \
                captures: {topic: captures}\n    baseline: baseline.json\n    \
                window: {every: 7d, lateness: 1h, idle: off, at_least: 1}\n";
    let path = folder.join("driftline.yaml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Builds a baseline and returns its path.
fn baseline(folder: &Path, arguments: &[&str]) -> String {
    let (config, out) = (configuration(folder), folder.join("baseline.json"));
    let out = out.to_str().unwrap();
    let mut command = service::driftline();
    command.args(["baseline", "--config", &config, "--out", out]).args(arguments);
    let (code, _, stderr) = service::run(&mut command);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    out.to_owned()
}

#[test]
fn a_thinned_baseline_brackets_what_scipy_says() {
    let folder = tempfile::tempdir().unwrap();
    let request = json!({"do": "months", "flights": FLIGHTS, "folder": folder.path()});
    let Some(mut pairs) = files(&request) else { return };
    pairs.truncate(6);
    let request = json!({"do": "generate", "folder": folder.path(), "seed": 31, "columns": 200,
                         "reference": 3000, "window": 1500});
    pairs.extend(files(&request).expect("as before"));
    let request = json!({"do": "compare", "pairs": pairs});
    let oracle = python::run("oracle_files.py", &request).expect("as before");
    for (points, width) in [("64", 1.0 / 60.0), ("1024", 1.0 / 1000.0)] {
        let (mut distances, mut open, mut last) = (0, 0, ("", String::new()));
        for (pair, expected) in pairs.iter().zip(oracle.as_array().unwrap()) {
            if last.0 != pair.0 {
                let built = baseline(folder.path(), &["--data", &pair.0, "--cut-points", points]);
                last = (&pair.0, built);
            }
            let report = check(&["--baseline", &last.1, "--current", &pair.1]);
            let found = findings(&report);
            for (column, expected) in expected["ks"].as_object().unwrap() {
                let Some(distance) = expected["ks"].as_f64() else { continue };
                let ks = &found[&(column.as_str(), "distribution")]["ks"];
                let end = |at: usize| ks["certified"][at].as_f64().unwrap();
                let inside = end(0) - DIGITS <= distance && distance <= end(1) + DIGITS;
                assert!(inside, "{points} cut points, {pair:?} {column}: {distance} and {ks}");
                // Between two cut points the baseline has at most its share, so no more is in doubt.
                assert!(end(1) - end(0) <= width, "{points} cut points, {column}: {ks}");
                assert_eq!(ks["value"], ks["certified"][0], "{column}");
                distances += 1;
                open += usize::from(end(0) < end(1));
            }
        }
        assert!(distances >= 250, "{distances} distances");
        assert!(open >= 20, "{points} cut points: {open} of {distances} brackets are open");
    }
}

#[test]
fn tolerances_come_from_the_own_windows_that_the_rules_name() {
    let folder = tempfile::tempdir().unwrap();
    let july = folder.path().join("july.parquet");
    let request = json!({"do": "own_windows", "baseline": FLIGHTS_BASELINE_ROWS, "flights": FLIGHTS,
                         "current": july, "time": "departed", "month": 7});
    let Some(expected) = python::run("oracle_files.py", &request) else { return };
    let arguments = ["--data", FLIGHTS_BASELINE_ROWS, "--time", "departed", "--cut-points", "all"];
    let built = baseline(folder.path(), &arguments);
    // The file of July has neither a label nor a score: both are the model's.
    let ignored = ["--time", "departed", "--ignore", "label,score,arr_delay,id"];
    let mut arguments = vec!["--baseline", &built, "--current", july.to_str().unwrap()];
    arguments.extend(ignored);
    let mut compared = Compared::default();
    let pair = (built.clone(), "July".to_owned());
    compared.judgement(&pair, &check(&arguments), &expected);
    compared.end(0, 150);
}
