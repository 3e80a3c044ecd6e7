//! The walls of the house: which package may know which, from what Cargo says of the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::source::{Source, sources};
use super::{found, none, relative, root};

const ROOT: &str = "driftline";
/// What the operator declared, and the words that all share: everybody may know it.
const CONFIG: &str = "driftline-config";
/// Measures the packages, and what they are built on, side by side. Nothing depends on it.
const BENCHES: &str = "driftline-benches";
/// The one world of tests, fuzz targets and benchmarks. Nothing that is shipped depends on it.
const WORLD: &str = "driftline-world";

/// What each package knows beside the configuration. These edges and no other; but the root may know all.
const EDGES: [(&str, &[&str]); 16] = [
    (CONFIG, &[]),
    ("driftline-capture", &[]),
    ("driftline-formats", &["capture"]),
    ("driftline-ingest", &["capture", "formats"]),
    ("driftline-analytics", &["capture"]),
    ("driftline-shadow", &["capture"]),
    ("driftline-alerting", &[]),
    ("driftline-join", &[]),
    ("driftline-pipeline", &["capture", "analytics", "alerting"]),
    ("driftline-store", &["join", "pipeline"]),
    ("driftline-files", &["capture", "formats"]),
    ("driftline-plots", &["analytics"]),
    ("driftline-batch", &["analytics", "alerting", "files", "pipeline"]),
    ("driftline-web", &["analytics", "alerting", "pipeline", "store", "plots"]),
    (WORLD, &["analytics", "capture", "formats", "pipeline"]),
    (BENCHES, &[]),
];

/// Dependencies that one package alone may have, whatever for: what they bring stays behind it.
const ONLY_IN: [(&str, &str); 15] = [
    ("rdkafka", "driftline-ingest"),
    ("protox", "driftline-formats"),
    ("prost-reflect", "driftline-formats"),
    ("apache-avro", "driftline-formats"),
    ("ort", "driftline-shadow"),
    ("landlock", "driftline-shadow"),
    ("seccompiler", "driftline-shadow"),
    ("lettre", "driftline-alerting"),
    ("datafusion", "driftline-files"),
    ("object_store", "driftline-files"),
    ("redb", "driftline-store"),
    ("axum", "driftline-web"),
    ("maud", "driftline-web"),
    ("resvg", "driftline-plots"),
    ("anyhow", ROOT),
];

/// Packages in which everything follows from the arguments: nothing waits there.
const WITHOUT_TOKIO: [&str; 6] = [
    CONFIG,
    "driftline-capture",
    "driftline-formats",
    "driftline-analytics",
    "driftline-join",
    "driftline-pipeline",
];

/// Everything that analytics may know: arithmetic, columns, and how its state is written.
const OF_ANALYTICS: [&str; 10] = [
    CONFIG,
    "driftline-capture",
    "arrow",
    "base64",
    "hdrhistogram",
    "libm",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

/// A package of the workspace, by what its manifest declares.
#[derive(Debug)]
struct Package {
    name: String,
    manifest: String,
    dependencies: Vec<Dependency>,
}

/// A dependency by the name under which the code of its package knows it.
#[derive(Debug)]
struct Dependency {
    name: String,
    /// Whether it is part of what is built for users, not of tests.
    shipped: bool,
}

impl Package {
    /// Its folder with the slash, empty for the root.
    fn folder(&self) -> &str {
        self.manifest.strip_suffix("Cargo.toml").unwrap_or_default()
    }

    fn shipped(&self) -> BTreeSet<&str> {
        let shipped = self.dependencies.iter().filter(|dependency| dependency.shipped);
        shipped.map(|dependency| dependency.name.as_str()).collect()
    }
}

fn edges(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages.iter().filter(|package| package.name != ROOT) {
        let Package { name, manifest, .. } = package;
        let Some((_, known)) = EDGES.iter().find(|(edge, _)| edge == name) else {
            faults.push(format!(
                "{manifest}: {name} has no place in the house: give it one in tests/it/house/dependencies.rs"
            ));
            continue;
        };
        let known: BTreeSet<String> = known.iter().map(|it| format!("driftline-{it}")).collect();
        let ours = package.shipped().into_iter().filter(|it| it.starts_with(ROOT));
        let ours: BTreeSet<String> = ours.filter(|it| *it != CONFIG).map(str::to_owned).collect();
        for extra in ours.difference(&known) {
            faults.push(format!(
                "{manifest}: remove {extra}: {name} may not know it; translate where both are known: in driftline-pipeline or driftline-batch"
            ));
        }
        for missing in known.difference(&ours) {
            faults.push(format!(
                "{manifest}: {missing} is gone: if {name} does without it now, say so in tests/it/house/dependencies.rs"
            ));
        }
    }
    for (name, _) in EDGES.iter().filter(|(name, _)| packages.iter().all(|it| it.name != *name)) {
        faults.push(format!("Cargo.toml: the workspace has no package {name}: if it is gone, say so in tests/it/house/dependencies.rs"));
    }
    faults
}

fn never_shipped(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages.iter().filter(|package| package.name != WORLD) {
        for tool in [WORLD, BENCHES].iter().filter(|tool| package.shipped().contains(**tool)) {
            faults.push(format!("{}: {tool} is for tests alone", package.manifest));
        }
    }
    faults
}

fn hidden(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for (dependency, owner) in ONLY_IN {
        let knows =
            |package: &&Package| package.dependencies.iter().any(|found| found.name == dependency);
        let found: Vec<&Package> = packages.iter().filter(knows).collect();
        for package in found.iter().filter(|package| ![owner, BENCHES].contains(&&*package.name)) {
            let manifest = &package.manifest;
            faults.push(format!("{manifest}: remove {dependency}: only {owner} may know it"));
        }
        if !found.iter().any(|package| package.name == owner) {
            faults.push(format!(
                "tests/it/house/dependencies.rs: {owner} has no {dependency} any more: remove its line"
            ));
        }
    }
    for package in packages {
        let Package { name, manifest, .. } = package;
        let shipped = package.shipped();
        if WITHOUT_TOKIO.contains(&name.as_str()) && shipped.contains("tokio") {
            faults.push(format!("{manifest}: remove tokio: nothing waits in {name}"));
        }
        let extra = shipped.iter().filter(|it| !OF_ANALYTICS.contains(it));
        for dependency in extra.filter(|_| name == "driftline-analytics") {
            faults.push(format!(
                "{manifest}: remove {dependency}: analytics computes, whatever does more belongs elsewhere"
            ));
        }
    }
    faults
}

/// Dependencies that no source of their package names: `use serde::…`, `serde::…`.
fn idle(packages: &[Package], sources: &[Source]) -> Vec<String> {
    let folders: Vec<&str> = packages.iter().map(Package::folder).collect();
    let mut code: BTreeMap<&str, String> = BTreeMap::new();
    // What lies in no member's folder is the root's; fuzz/ is a workspace of its own.
    for source in sources.iter().filter(|source| !source.path.starts_with("fuzz/")) {
        let around = folders.iter().filter(|folder| source.path.starts_with(**folder));
        let folder = around.max_by_key(|folder| folder.len()).copied().unwrap_or_default();
        let lines = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.entry(folder).or_default().extend(lines.flat_map(|line| [line, "\n"]));
    }
    let mut faults = Vec::new();
    for package in packages {
        let code = code.get(package.folder()).map_or("", String::as_str);
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        for dependency in &package.dependencies {
            let path = format!("{}::", dependency.name.replace('-', "_"));
            let named = code.match_indices(&path).any(|(at, _)| !code[..at].ends_with(is_part));
            if !named {
                faults.push(format!(
                    "{}: remove {}: nothing in {} names it",
                    package.manifest, dependency.name, package.name
                ));
            }
        }
    }
    faults
}

/// The packages of the workspace.
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
    packages.iter().map(package).collect()
}

fn package(metadata: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependencies = metadata["dependencies"].as_array().expect("a package has dependencies");
    let dependencies = dependencies.iter().map(|dependency| Dependency {
        name: text(&dependency["name"]),
        shipped: dependency["kind"] != "dev",
    });
    Package {
        name: text(&metadata["name"]),
        manifest: relative(Path::new(&text(&metadata["manifest_path"]))),
        dependencies: dependencies.collect(),
    }
}

/// The house as it should be, with these dependencies more.
fn planted(more: &[(&str, &str)]) -> Vec<Package> {
    let owned = |it: &str| format!("driftline-{it}");
    let mut known: BTreeMap<&str, Vec<String>> = [(ROOT, Vec::new())].into();
    for (name, edges) in EDGES {
        known.insert(name, edges.iter().map(|it| owned(it)).collect());
    }
    for (dependency, owner) in ONLY_IN {
        known.entry(owner).or_default().push(dependency.to_owned());
    }
    for (name, dependency) in more {
        known.entry(name).or_default().push((*dependency).to_owned());
    }
    let packages = known.into_iter().map(|(name, dependencies)| {
        let dependencies = dependencies.into_iter();
        Package {
            name: name.to_owned(),
            manifest: format!("{name}/Cargo.toml"),
            dependencies: dependencies.map(|name| Dependency { name, shipped: true }).collect(),
        }
    });
    packages.collect()
}

#[test]
fn packages_know_those_that_the_house_lets_them_know() {
    none(&edges(&packages()));
    none(&never_shipped(&packages()));
    none(&edges(&planted(&[])));
    found(&edges(&planted(&[("driftline-store", "driftline-analytics")])), "may not know it");
    found(&edges(&planted(&[("driftline-pipeline", "driftline-store")])), "remove driftline-store");
    let mut gone = planted(&[]);
    gone.retain_mut(|package| {
        package.dependencies.retain(|dependency| dependency.name != "driftline-plots");
        true
    });
    assert_eq!(edges(&gone).len(), 1, "web does without plots");
    found(&edges(&planted(&[("driftline-cellar", "serde")])), "has no place in the house");
    found(&never_shipped(&planted(&[(ROOT, WORLD)])), "for tests alone");
}

#[test]
fn what_a_package_hides_no_other_package_knows() {
    none(&hidden(&packages()));
    none(&hidden(&planted(&[])));
    found(&hidden(&planted(&[("driftline-web", "redb")])), "only driftline-store may know it");
    found(&hidden(&planted(&[("driftline-formats", "tokio")])), "nothing waits in");
    found(&hidden(&planted(&[("driftline-analytics", "rand")])), "analytics computes");
}

#[test]
fn every_dependency_is_named_by_its_package() {
    none(&idle(&packages(), &sources()));
    let dependency = Dependency { name: "arrow-json".to_owned(), shipped: false };
    let cellar = Package {
        name: "driftline-cellar".to_owned(),
        manifest: "cellar/Cargo.toml".to_owned(),
        dependencies: vec![dependency],
    };
    let packages = [cellar];
    none(&idle(&packages, &[Source::new("cellar/src/a.rs", "use arrow_json::Reader;")]));
    for text in ["// arrow_json::Reader", "use narrow_json::Reader;", "let arrow_json = 1;"] {
        found(&idle(&packages, &[Source::new("cellar/src/a.rs", text)]), "remove arrow-json");
    }
    let elsewhere = Source::new("src/a.rs", "use arrow_json::Reader;");
    found(&idle(&packages, &[elsewhere]), "nothing in driftline-cellar names it");
}
