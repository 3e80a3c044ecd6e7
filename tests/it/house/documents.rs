//! What documents say of the code is true: metrics, links, and the tests that prove a failure mode.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::sources;
use super::{Document, documents, files_with, found, none, read, root};

const METRICS: &str = "service/web/src/metrics/golden/metrics.txt";
const FAILURES: &str = "docs/failures.md";
/// Endings of files that documents may name by their path, if they are there.
const ENDINGS: [&str; 8] = ["rs", "py", "sh", "toml", "md", "yaml", "yml", "html"];
/// Names of crates, which documents spell like metrics.
const CRATES: [&str; 15] = [
    "alerting",
    "analytics",
    "batch",
    "capture",
    "config",
    "files",
    "formats",
    "ingest",
    "join",
    "pipeline",
    "plots",
    "shadow",
    "store",
    "web",
    "world",
];

/// The names that the golden file of metrics knows, with the suffixes of histograms.
fn metric_names(golden: &str) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = CRATES.iter().map(|it| format!("driftline_{it}")).collect();
    // The fixture of pytest, in python/driftline/pytest_plugin.py.
    known.insert("driftline_check".to_owned());
    // The key of the format of baselines.
    known.insert("driftline_baseline".to_owned());
    for line in golden.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        known.insert(name.to_owned());
        if kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    known
}

fn unknown_metrics(documents: &[Document], known: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for Document { path, text } in documents {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
        let names = text.split(|letter| !is_part(letter)).map(|name| name.trim_matches(':'));
        for name in names.filter(|name| name.starts_with("driftline_") && !name.ends_with('_')) {
            // With a colon inside it is recorded by a rule, and none of ours.
            if !known.contains(name) && !name.contains(':') {
                faults.push(format!(
                    "{path}: {name} is no metric of {METRICS}: correct the name, or add the metric"
                ));
            }
        }
    }
    faults
}

fn dead_links(documents: &[Document]) -> Vec<String> {
    let mut faults = Vec::new();
    for Document { path, text } in documents {
        let folder = root().join(path).parent().map_or_else(root, Path::to_path_buf);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !file.is_empty() && !folder.join(file).exists() {
                faults.push(format!(
                    "{path}: the link to {target} leads nowhere: correct or remove it"
                ));
            }
        }
    }
    faults
}

/// Files between backquotes that are not there; a path may leave out its first folders. What was is told in
/// the change log and in decisions, in the words of its time.
fn dead_paths(documents: &[Document]) -> Vec<String> {
    let paths: Vec<String> =
        files_with(&ENDINGS).into_iter().map(|file| format!("/{}", file.path)).collect();
    let of_today = documents
        .iter()
        .filter(|file| file.path != "CHANGELOG.md" && !file.path.starts_with("docs/decisions/"));
    let mut faults = Vec::new();
    for Document { path, text } in of_today {
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
            let known = |(_, ending): (&str, &str)| ENDINGS.contains(&ending);
            let is_file = name.rsplit_once('.').is_some_and(known)
                && name.contains('/')
                && name.chars().all(is_path);
            let ending = format!("/{name}");
            if is_file && !paths.iter().any(|path| path.ends_with(&ending)) {
                faults.push(format!("{path}: there is no {name}: correct or remove it"));
            }
        }
    }
    faults
}

/// Rows of docs/failures.md whose tests are not among the sources, and how many tests it names.
fn unproven(failures: &str, sources: &str) -> (Vec<String>, usize) {
    let is_name = |text: &str| {
        text.contains('_')
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let rows = failures.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|row| !row.starts_with("| fault ") && !row.starts_with("| bug "));
    let mut faults = Vec::new();
    let mut proven = 0;
    for row in rows {
        let proof = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = proof.split('`').filter(|name| is_name(name)).collect();
        proven += names.len();
        if names.is_empty() {
            faults.push(format!("{FAILURES}: name the test that proves: {row}"));
        }
        for name in names.iter().filter(|name| !sources.contains(&format!("fn {name}("))) {
            faults.push(format!(
                "{FAILURES}: there is no test {name}: name the one that proves: {row}"
            ));
        }
    }
    (faults, proven)
}

fn document(text: &str) -> [Document; 1] {
    [Document { path: "docs/a.md".to_owned(), text: text.to_owned() }]
}

#[test]
fn every_metric_that_is_written_about_exists() {
    let known = metric_names(&read(METRICS));
    assert!(known.contains("driftline_records_total"), "{METRICS} lists no metrics");
    none(&unknown_metrics(&documents(), &known));
    found(&unknown_metrics(&document("`driftline_planted_total`"), &known), "is no metric of");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    none(&dead_links(&files_with(&["md"])));
    found(&dead_links(&document("[a](planted.md#b)")), "planted.md#b leads nowhere");
    none(&dead_paths(&files_with(&["md"])));
    found(&dead_paths(&document("see `src/planted.rs`")), "there is no src/planted.rs");
    found(&dead_paths(&document("see `planted/Cargo.toml`")), "there is no planted/Cargo.toml");
}

#[test]
fn every_test_that_proves_a_failure_mode_exists() {
    let text: String = sources().into_iter().map(|source| source.text).collect();
    let (faults, proven) = unproven(&read(FAILURES), &text);
    assert!(proven > 30, "{FAILURES} proves nothing");
    none(&faults);
    found(
        &unproven("| it rains | `nobody_gets_wet` |\n", "").0,
        "there is no test nobody_gets_wet",
    );
    found(&unproven("| it rains | somehow |\n", "").0, "name the test that proves");
}
