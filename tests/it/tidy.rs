//! House rules that no compiler checks: opening sentences, the star of crates, sizes, left-overs, metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A file longer than this holds two things. Tests are lists and may be longer.
const LINES: usize = 600;
/// The map is read before anything else, in one go.
const LINES_OF_THE_MAP: usize = 200;

const ROOT: &str = "driftline";
const CONFIG: &str = "driftline-config";
const LEAVES: [&str; 4] =
    ["driftline-ingest", "driftline-analytics", "driftline-shadow", "driftline-alerting"];

/// Measures the crates, and what they are built on, side by side. Nothing depends on it.
const BENCHES: &str = "driftline-benches";

/// Dependencies that one package alone may have, whatever for: what they bring stays behind it.
const ONLY_IN: [(&str, &str); 6] = [
    ("rdkafka", "driftline-ingest"),
    ("ort", "driftline-shadow"),
    ("lettre", "driftline-alerting"),
    ("datafusion", ROOT),
    ("axum", ROOT),
    ("anyhow", ROOT),
];

/// Everything that analytics may know: arithmetic, columns, and how its state is written.
const OF_ANALYTICS: [&str; 10] = [
    CONFIG,
    "arrow",
    "hdrhistogram",
    "jiff",
    "libm",
    "serde",
    "serde_json",
    "sha2",
    "statrs",
    "thiserror",
];

/// What nobody may leave behind, and what to do instead. Taken apart, since this file is searched too.
const LEFT_OVER: [(&str, &str); 5] = [
    (concat!("todo", "!("), "write it, or leave it out"),
    (concat!("unimplemented", "!("), "write it, or leave it out"),
    (concat!("FIX", "ME"), "do it, or open an issue"),
    (concat!("XX", "X"), "do it, or open an issue"),
    (concat!("#[", "ignore"), "make it pass, or remove the test"),
];

#[test]
fn every_source_file_opens_with_a_sentence_that_says_what_it_is_for() {
    let faults = sources().into_iter().filter_map(|(path, text)| {
        let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
        let opening: Vec<&str> = lines.collect();
        match opening.last() {
            None => Some(format!(
                "{path}: begin the first line with `//! ` and say what the file is for"
            )),
            Some(last) if last.ends_with(['.', ':']) => None,
            Some(_) => Some(format!("{path}: end the opening `//!` sentence with a full stop")),
        }
    });
    none(faults);
}

#[test]
fn the_crates_form_a_star() {
    let packages = packages();
    let mut allowed: BTreeMap<&str, Vec<&str>> =
        LEAVES.iter().map(|&leaf| (leaf, vec![CONFIG])).collect();
    allowed.insert(CONFIG, Vec::new());
    let measured = vec![CONFIG, "driftline-ingest", "driftline-analytics", "driftline-shadow"];
    allowed.insert(BENCHES, measured);
    allowed.insert(ROOT, LEAVES.iter().copied().chain([CONFIG]).collect());
    let mut faults = Vec::new();
    for Package { name, manifest, dependencies } in &packages {
        let Some(allowed) = allowed.get(name.as_str()) else {
            faults.push(format!(
                "{manifest}: {name} has no place in the star: give it one in tests/it/tidy.rs"
            ));
            continue;
        };
        let ours = |dependency: &&Dependency| dependency.name.starts_with(ROOT);
        let found: BTreeSet<&str> =
            dependencies.iter().filter(ours).map(|dependency| dependency.name.as_str()).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        for extra in found.difference(&allowed) {
            faults.push(format!(
                "{manifest}: remove {extra}: {name} may not know it; translate in the root package"
            ));
        }
        for missing in allowed.difference(&found) {
            faults.push(format!("{manifest}: {missing} is gone: if {name} does without it now, say so in tests/it/tidy.rs"));
        }
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for expected in allowed.keys().filter(|name| !names.contains(name)) {
        faults.push(format!("Cargo.toml: the workspace has no package {expected}: if it is gone, say so in tests/it/tidy.rs"));
    }
    none(faults);
}

#[test]
fn what_a_crate_hides_no_other_crate_knows() {
    let packages = packages();
    let mut faults = Vec::new();
    for (dependency, owner) in ONLY_IN {
        let knows =
            |package: &&Package| package.dependencies.iter().any(|found| found.name == dependency);
        let found: Vec<&Package> = packages.iter().filter(knows).collect();
        for package in found.iter().filter(|package| ![owner, BENCHES].contains(&&*package.name)) {
            faults.push(format!(
                "{}: remove {dependency}: only {owner} may know it",
                package.manifest
            ));
        }
        if !found.iter().any(|package| package.name == owner) {
            faults.push(format!(
                "tests/it/tidy.rs: {owner} has no {dependency} any more: remove its line"
            ));
        }
    }
    for Package { name, manifest, dependencies } in &packages {
        let extra = dependencies.iter().filter(|dependency| {
            dependency.shipped && !OF_ANALYTICS.contains(&dependency.name.as_str())
        });
        for dependency in extra.filter(|_| name == "driftline-analytics") {
            faults.push(format!(
                "{manifest}: remove {}: analytics computes, whatever does more belongs elsewhere",
                dependency.name
            ));
        }
    }
    none(faults);
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let mut limits: Vec<(String, String, usize)> = sources()
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, text, LINES))
        .collect();
    limits.extend(
        documents()
            .into_iter()
            .filter(|(path, _)| path == "ARCHITECTURE.md")
            .map(|(path, text)| (path, text, LINES_OF_THE_MAP)),
    );
    none(limits.into_iter().filter_map(|(path, text, most)| {
        let lines = text.lines().count();
        (lines > most)
            .then(|| format!("{path}: {lines} lines, at most {most}: split it by what it says"))
    }));
}

#[test]
fn nothing_is_left_unfinished() {
    let mut faults = Vec::new();
    for (path, text) in sources().into_iter().chain(files_with(&["py"])) {
        for (number, line) in (1..).zip(text.lines()) {
            for (word, instead) in LEFT_OVER.iter().filter(|(word, _)| line.contains(word)) {
                faults.push(format!("{path}:{number}: {word}: {instead}"));
            }
        }
    }
    none(faults);
}

#[test]
fn every_metric_that_is_written_about_exists() {
    const GOLDEN: &str = "src/metrics/golden/metrics.txt";
    let golden = read(GOLDEN);
    let mut known: BTreeSet<String> =
        LEAVES.iter().chain([&CONFIG]).map(|package| package.replace('-', "_")).collect();
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
    assert!(known.contains("driftline_records_total"), "{GOLDEN} lists no metrics");
    let mut faults = Vec::new();
    for (path, text) in documents() {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
        let names = text.split(|letter| !is_part(letter)).map(|name| name.trim_matches(':'));
        for name in names.filter(|name| name.starts_with("driftline_") && !name.ends_with('_')) {
            // With a colon inside it is recorded by a rule, and none of ours.
            if !known.contains(name) && !name.contains(':') {
                faults.push(format!(
                    "{path}: {name} is no metric of {GOLDEN}: correct the name, or add the metric"
                ));
            }
        }
    }
    none(faults);
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut faults = Vec::new();
    for (path, text) in files_with(&["md"]) {
        let folder = root().join(&path).parent().map_or_else(root, Path::to_path_buf);
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
    none(faults);
}

#[test]
fn every_test_that_proves_a_failure_mode_exists() {
    const FAILURES: &str = "docs/failures.md";
    let text = read(FAILURES);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    let is_name = |text: &str| {
        text.contains('_')
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let sources: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut faults = Vec::new();
    let mut proven = 0;
    for row in rows.iter().filter(|row| !row.starts_with("| fault ") && !row.starts_with("| bug "))
    {
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
    assert!(proven > 30, "{FAILURES} proves nothing");
    none(faults);
}

/// Fails with every fault at once; each names its file and what to do.
fn none(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

struct Package {
    name: String,
    manifest: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// Whether it is part of what is built for users, not of tests or build scripts.
    shipped: bool,
}

/// The packages of the workspace, by what their manifests declare.
fn packages() -> Vec<Package> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs, it has built this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a workspace has packages");
    packages
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            manifest: relative(Path::new(&text(&package["manifest_path"]))),
            dependencies: package["dependencies"]
                .as_array()
                .expect("a package has dependencies")
                .iter()
                .map(|dependency| Dependency {
                    name: text(&dependency["name"]),
                    shipped: dependency["kind"].is_null(),
                })
                .collect(),
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether a file holds nothing but tests and what they need.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folders = path.split('/').any(|folder| matches!(folder, "tests" | "benches"));
    folders || name.ends_with("tests.rs") || matches!(name, "fixture.rs" | "fixtures.rs")
}

/// The Rust sources, tests included.
fn sources() -> Vec<(String, String)> {
    let sources = files_with(&["rs"]);
    assert!(sources.iter().any(|(path, _)| path == "src/pipeline.rs"), "no sources were found");
    sources
}

/// What is written for operators: documents, and what is deployed.
fn documents() -> Vec<(String, String)> {
    let mut documents = files_with(&["md", "yaml", "yml", "json", "html"]);
    documents.retain(|(path, _)| {
        let beside_the_sources = !path.contains('/') && path.ends_with(".md");
        beside_the_sources || path.starts_with("docs/") || path.starts_with("deploy/")
    });
    assert!(documents.iter().any(|(path, _)| path == "README.md"), "README.md was not found");
    documents
}

/// The files of the repository with one of these endings: path from the root, and text.
fn files_with(endings: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    let wanted = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    let mut files: Vec<(String, String)> = paths
        .into_iter()
        .filter(wanted)
        .map(|path| (relative(&path), read(&relative(&path))))
        .collect();
    files.sort();
    files
}

/// Everything below a folder but hidden folders and what tools build and mark as theirs.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !path.is_dir() {
            paths.push(path);
        } else if !name.starts_with('.') && name != "target" && !path.join("CACHEDIR.TAG").exists()
        {
            walk(&path, paths);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}
