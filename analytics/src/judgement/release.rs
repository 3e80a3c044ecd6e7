//! The versions of the model that answered, and what changed about them.

use std::collections::BTreeMap;

use super::{History, sentence};
use crate::report::{MovedVersion, Release, rounded};
use crate::window::{VersionState, WindowState};

/// How the versions beyond the limit are shown, together.
const OTHER: &str = "other";
/// How captures without a version are shown.
const UNVERSIONED: &str = "none";
/// A share that moved by more is a release: RULES §4.
const MOVED: f64 = 0.10;

pub(super) struct Version<'a> {
    /// As the report names it.
    pub(super) label: &'a str,
    /// As the layout knows it; `None` for the versions beyond the limit.
    pub(super) key: Option<&'a str>,
    pub(super) state: &'a VersionState,
}

impl Version<'_> {
    pub(super) fn text(&self) -> String {
        match self.key {
            None => "the versions beyond the limit".to_owned(),
            Some("") => "a capture without a version".to_owned(),
            Some(version) => format!("version {}", sentence::plain(version)),
        }
    }
}

/// The versions that are told apart, by name, then all others together.
pub(super) fn by_version(state: &WindowState) -> Vec<Version<'_>> {
    let told_apart = state.versions().into_iter().map(|(name, state)| Version {
        label: if name.is_empty() { UNVERSIONED } else { name },
        key: Some(name),
        state,
    });
    let other = state.other_versions().map(|state| Version { label: OTHER, key: None, state });
    told_apart.chain(other).collect()
}

/// Requests by version, as the report names them.
pub(super) fn versions(state: &WindowState) -> BTreeMap<String, u64> {
    let mut versions = BTreeMap::new();
    for version in by_version(state) {
        *versions.entry(version.label.to_owned()).or_default() += version.state.rows();
    }
    versions
}

pub(super) fn shares(versions: &BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    let total: u64 = versions.values().sum();
    let share = |count: u64| if total == 0 { 0.0 } else { count as f64 / total as f64 };
    versions.iter().map(|(version, &count)| (version.clone(), share(count))).collect()
}

/// A version that no earlier window had, or whose share moved by more than 10 points since the
/// window before. The first window of a model releases nothing.
pub(super) fn detect(versions: &BTreeMap<String, u64>, history: &History) -> Option<Release> {
    if history.shares.is_empty() {
        return None;
    }
    let now = shares(versions);
    let new: Vec<String> = now
        .keys()
        .filter(|version| *version != OTHER && !history.known_versions.contains_key(*version))
        .cloned()
        .collect();
    let mut moved = Vec::new();
    let mut names: Vec<&String> = now.keys().chain(history.shares.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for version in names {
        let share = |shares: &BTreeMap<String, f64>| shares.get(version).copied().unwrap_or(0.0);
        let (from, to) = (share(&history.shares), share(&now));
        if (to - from).abs() > MOVED {
            moved.push(MovedVersion {
                version: version.clone(),
                from: rounded(from),
                to: rounded(to),
            });
        }
    }
    if new.is_empty() && moved.is_empty() {
        return None;
    }
    let because = because(&new, &moved, &now);
    Some(Release { new, moved, because })
}

fn because(new: &[String], moved: &[MovedVersion], now: &BTreeMap<String, f64>) -> String {
    let arrivals = new.iter().map(|version| {
        let share = now.get(version).copied().unwrap_or(0.0);
        format!(
            "version {} is new with {} % of requests",
            sentence::plain(version),
            sentence::percent(share)
        )
    });
    let moves = moved.iter().filter(|moved| !new.contains(&moved.version)).map(|moved| {
        format!(
            "version {} went from {} % to {} % of requests",
            sentence::plain(&moved.version),
            sentence::percent(moved.from),
            sentence::percent(moved.to)
        )
    });
    arrivals.chain(moves).collect::<Vec<String>>().join("; ")
}
