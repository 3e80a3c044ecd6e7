//! Packages in which everything follows from the arguments name nothing that looks around or waits.

use super::source::{Source, block_length, sources};
use super::{Document, found, none, read};

/// The folders of the packages whose results follow from their arguments.
const PURE: [&str; 6] =
    ["config", "capture", "ingest/formats", "analytics", "service/join", "service/pipeline"];
/// What none of them may name.
const OUTSIDE: [&str; 4] = ["fs", "net", "thread", "env"];
/// Files that may name some of it, and why.
const EXCEPT: [(&str, &str, &str); 4] = [
    ("config/src/file.rs", "fs", "the configuration, its secrets and what it names are files"),
    ("config/src/resolve/files.rs", "fs", "folders of included files are listed"),
    ("config/src/service.rs", "net", "addresses of proxies are compared, not looked up"),
    (
        "config/src/resolve/service.rs",
        "net",
        "an address is checked as it is written, not looked up",
    ),
];

fn outside(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let pure = PURE.iter().find(|folder| source.path.starts_with(&format!("{folder}/src/")));
        let Some(package) = pure else { continue };
        for (at, module) in named_modules(&source.code) {
            let except =
                |except: &(&str, &str, &str)| (except.0, except.1) == (&*source.path, module);
            if OUTSIDE.contains(&module) && !EXCEPT.iter().any(except) {
                faults.push(format!(
                    "{}:{}: std::{module}: everything in {package} follows from its arguments: take it as one",
                    source.path,
                    source.line(at)
                ));
            }
        }
    }
    faults
}

/// The modules of the standard library that code names, with their places: `std::fs` and those of
/// `use std::{fs, net::IpAddr}`.
fn named_modules(code: &str) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("std::") {
        let behind = &code[at + "std::".len()..];
        if behind.starts_with('{') {
            let group = &behind[1..block_length(behind) - 1];
            named
                .extend(super::source::split_at_commas(group).into_iter().map(|it| (at, word(it))));
        } else {
            named.push((at, word(behind)));
        }
    }
    named
}

/// The name that a text begins with.
fn word(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// Exceptions that nobody needs any more.
fn idle_exceptions(sources: &[Source]) -> Vec<String> {
    let needed = |(path, module, _): &&(&str, &str, &str)| {
        let source = sources.iter().find(|source| source.path == *path);
        source.is_some_and(|it| named_modules(&it.code).iter().any(|(_, found)| found == module))
    };
    let idle = EXCEPT.iter().filter(|except| !needed(except));
    idle.map(|(path, module, _)| format!("{path}: names no std::{module}: remove its line"))
        .collect()
}

/// Clippy reads the nearest file alone: those of the packages must say what the workspace's says, and forbid
/// the same calls.
fn out_of_step(workspace: &str, of_packages: &[Document]) -> Vec<String> {
    let keys = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(" = "));
        lines.filter(|line| !line.starts_with("disallowed-methods")).map(str::to_owned).collect()
    };
    let forbidden = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.trim().starts_with("{ path = "));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let all = of_packages.iter().flat_map(|file| forbidden(&file.text));
    let all: std::collections::BTreeSet<String> = all.collect();
    let mut faults = Vec::new();
    for Document { path, text } in of_packages {
        let (own, calls) = (keys(text), forbidden(text));
        for line in keys(workspace).iter().filter(|line| !own.contains(line)) {
            faults.push(format!("{path}: write `{line}`, as in the workspace's clippy.toml"));
        }
        for call in all.iter().filter(|call| !calls.contains(call)) {
            faults.push(format!("{path}: forbid {call}, as the other packages do"));
        }
    }
    faults
}

#[test]
fn what_follows_from_arguments_looks_at_nothing_else() {
    let sources = sources();
    none(&outside(&sources));
    none(&idle_exceptions(&sources));
    let planted = |text: &str| outside(&[Source::new("service/pipeline/src/a.rs", text)]);
    found(&planted("fn a() { std::thread::yield_now(); }"), "std::thread: everything in");
    found(&planted("use std::{collections::BTreeMap, env};"), "a.rs:1: std::env");
    none(&planted("#[cfg(test)]\nmod tests { use std::fs; }"));
    none(&outside(&[Source::new("src/a.rs", "use std::net;")]));
}

#[test]
fn packages_forbid_the_same_calls_under_the_same_limits() {
    let of_packages = PURE.iter().filter(|folder| **folder != "config").map(|folder| {
        let path = format!("{folder}/clippy.toml");
        Document { text: read(&path), path }
    });
    let mut of_packages: Vec<Document> = of_packages.collect();
    let workspace = read("clippy.toml");
    none(&out_of_step(&workspace, &of_packages));
    let threshold = "too-many-lines-threshold = 70\n";
    of_packages[0].text = of_packages[0].text.replace(threshold, "");
    found(&out_of_step(&workspace, &of_packages), "write `too-many-lines-threshold = 70`");
}
