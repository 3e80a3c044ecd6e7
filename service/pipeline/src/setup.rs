//! A model ready to be monitored: its settings, its baselines and what its windows count.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use driftline_analytics::baseline::{Baseline, BaselineError};
use driftline_analytics::budget::Budget;
use driftline_analytics::lane::{LaneSettings, PerLane};
use driftline_analytics::layout::{Baselines, Layout, LayoutError};
use driftline_config::time::{DAY_US, format_duration};
use driftline_config::{Limits, Model, Tolerance, WindowGrid, sha256_hex};
use serde::{Deserialize, Serialize};

pub use files::{BaselineFile, BaselineFiles};

/// The name under which `baseline` lists the one for all versions without their own.
pub const DEFAULT_BASELINE: &str = "default";

/// Everything about one model that is fixed while a window is open.
#[derive(Debug)]
pub struct Setup {
    pub model: Model,
    pub baselines: Baselines,
    pub layout: Layout,
    /// The ranks by which its windows are judged.
    pub budget: Budget,
    pub config_sha256: String,
    files: Files,
    /// sha256 of settings and files together.
    sha256: String,
}

type Files = BTreeMap<String, Arc<BaselineFile>>;

/// A [`Setup`] as it is kept in the checkpoint, so that a window is judged as it was opened.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    model: Model,
    /// sha256 of the baseline file by version.
    baselines: BTreeMap<String, String>,
}

/// Why a model cannot be monitored.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("model {model}: baseline {}: {source}", path.display())]
    Baseline { model: String, path: PathBuf, source: BaselineError },
    /// There is no baseline for versions without one of their own.
    #[error("model {model}: baseline {DEFAULT_BASELINE} is missing")]
    NoDefault { model: String },
    /// The settings do not fit the baseline; the sentence names the model.
    #[error("{source}")]
    Layout { model: String, source: LayoutError },
    /// Windows of hours are compared with a baseline of all hours.
    #[error(
        "model {model}: windows of {every} are compared with a baseline {hours}, so every night \
         would look like drift; build the baseline with --time, which measures own windows of \
         {every}, or set window.every to 1d or more, or a fixed tolerance"
    )]
    MixedHours {
        model: String,
        every: String,
        /// What is known of the baseline's hours.
        hours: &'static str,
    },
    /// A kept set-up cannot be read back.
    #[error("kept settings {sha256}: {why}")]
    Kept { sha256: String, why: String },
}

impl Setup {
    /// A model with its baseline files by version; [`DEFAULT_BASELINE`] is required.
    ///
    /// # Errors
    /// [`SetupError`]: the default is missing, or the settings do not fit the baselines.
    pub fn new(
        model: Model,
        files: BTreeMap<String, Arc<BaselineFile>>,
        limits: &Limits,
    ) -> Result<Setup, SetupError> {
        let each = files.iter().map(|(version, file)| (version, &file.baseline));
        let mut by_version: BTreeMap<String, Arc<Baseline>> =
            each.map(|(version, baseline)| (version.clone(), Arc::clone(baseline))).collect();
        let default = by_version
            .remove(DEFAULT_BASELINE)
            .ok_or_else(|| SetupError::NoDefault { model: model.name.clone() })?;
        let baselines = Baselines { default, by_version };
        let layout = Layout::new(&model, &baselines, limits)
            .map_err(|source| SetupError::Layout { model: model.name.clone(), source })?;
        let budget = Budget::new(&model, &baselines.default);
        let config_sha256 = model.fingerprint_sha256();
        let together: String = files.values().map(|file| file.baseline.sha256.as_str()).collect();
        let sha256 = sha256_hex(format!("{config_sha256}{together}").as_bytes());
        Ok(Setup { model, baselines, layout, budget, config_sha256, files, sha256 })
    }

    /// The name under which windows remember it: settings and baselines together.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether another one is compared with the same files.
    pub fn has_baselines_of(&self, other: &Setup) -> bool {
        self.file_sha256() == other.file_sha256()
    }

    /// What the checkpoint must keep beside what it has, to build it again: sha256 and bytes.
    ///
    /// # Errors
    /// [`SetupError::Kept`] where the settings cannot be written as JSON, or the bytes of a file are gone.
    pub fn keep(&self, kept: &BTreeSet<String>) -> Result<Vec<(String, Vec<u8>)>, SetupError> {
        let broken = |why: String| SetupError::Kept { sha256: self.sha256.clone(), why };
        let mut parts = Vec::new();
        for file in self.files.values().filter(|file| !kept.contains(&file.baseline.sha256)) {
            let name = file.baseline.sha256.clone();
            let bytes = file.bytes().ok_or_else(|| broken(format!("baseline {name} is gone")))?;
            parts.push((name, bytes));
        }
        let document = Kept { model: self.model.clone(), baselines: self.file_sha256() };
        let json = serde_json::to_vec(&document).map_err(|error| broken(error.to_string()))?;
        parts.push((self.sha256.clone(), json));
        Ok(parts)
    }

    /// Lets go of the bytes of files that the store has: they are never asked for again while these are
    /// in use, which keeps them in the store.
    pub fn let_go_of_files(&self, stored: &BTreeSet<String>) {
        for file in self.files.values().filter(|file| stored.contains(&file.baseline.sha256)) {
            file.let_go();
        }
    }

    /// Everything that [`Setup::keep`] names.
    pub fn kept_names(&self) -> Vec<String> {
        self.file_sha256().into_values().chain([self.sha256.clone()]).collect()
    }

    /// sha256 of each file, by version.
    fn file_sha256(&self) -> BTreeMap<String, String> {
        let each = self.files.iter();
        each.map(|(version, file)| (version.clone(), file.baseline.sha256.clone())).collect()
    }

    /// The model that kept bytes are the settings of, and the names of its baselines; `None` where they
    /// are no settings.
    pub fn describe_kept(bytes: &[u8]) -> Option<(String, Vec<String>)> {
        let kept: Kept = serde_json::from_slice(bytes).ok()?;
        Some((kept.model.name, kept.baselines.into_values().collect()))
    }

    /// Builds a set-up from what [`Setup::keep`] gave; `named` finds bytes by sha256.
    ///
    /// # Errors
    /// [`SetupError`]: a part is missing or cannot be read.
    pub fn restore(
        name: &str,
        named: &dyn Fn(&str) -> Option<Vec<u8>>,
        known: &mut BaselineFiles,
        limits: &Limits,
    ) -> Result<Setup, SetupError> {
        let broken = |why: String| SetupError::Kept { sha256: name.to_owned(), why };
        let json = named(name).ok_or_else(|| broken("not in the checkpoint".to_owned()))?;
        let kept: Kept =
            serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))?;
        let mut files = Files::new();
        for (version, sha256) in kept.baselines {
            let file = match known.named(&sha256) {
                Some(file) => file,
                None => {
                    let bytes = named(&sha256)
                        .ok_or_else(|| broken(format!("baseline {sha256} is missing")))?;
                    known.of(bytes).map_err(|source| SetupError::Baseline {
                        model: kept.model.name.clone(),
                        // The error's words do without it.
                        path: kept.model.baseline.get(&version).cloned().unwrap_or_default(),
                        source,
                    })?
                }
            };
            files.insert(version, file);
        }
        Setup::new(kept.model, files, limits)
    }

    /// Lets those who restore set-ups find its files.
    pub fn share_files(&self, known: &mut BaselineFiles) {
        self.files.values().for_each(|file| known.take_up(file));
    }

    /// What is to be known of each baseline whose own windows are of other days than the model's.
    pub fn other_days(&self) -> Vec<String> {
        let each = self.files.iter();
        each.filter_map(|(version, file)| other_days(&self.model, version, &file.baseline))
            .collect()
    }

    /// What is to be known of a baseline through which columns move.
    pub fn trend(&self) -> Option<String> {
        self.budget.trend_told(&self.model, &self.baselines.default)
    }

    /// The figures of both lanes; panes are never carried.
    pub fn lanes(&self) -> PerLane<LaneSettings> {
        let (window, operations) = (&self.model.window, &self.model.operations);
        let drift = LaneSettings {
            grid: window.grid(),
            lateness_us: window.lateness_us,
            at_least: window.at_least,
            at_most_us: window.at_most_us,
            idle_us: window.idle_us,
        };
        let operations = LaneSettings {
            grid: WindowGrid::every(operations.every_us),
            lateness_us: operations.lateness_us,
            at_least: 1,
            at_most_us: operations.every_us,
            idle_us: window.idle_us,
        };
        PerLane { drift, operations }
    }
}

/// Days from other midnights are other rows: what own windows of such days say of a model's is near the
/// truth, and not the truth. `None` where the days are the same, or none of the baseline's are asked for.
pub fn other_days(model: &Model, version: &str, baseline: &Baseline) -> Option<String> {
    let (own, wanted) = (baseline.windows.as_ref()?.grid(), model.window.grid());
    let asked = matches!(model.tolerance, Tolerance::Auto);
    (asked && own.timezone() != wanted.timezone()).then(|| {
        format!(
            "model {}: the own windows of baseline {version} are of {}, those of the model of {}: its \
             tolerances are of other days; build it again with `driftline baseline`, which takes \
             window.timezone from the configuration",
            model.name,
            own.told_from(&wanted),
            wanted.told_from(&own)
        )
    })
}

/// Windows under a day need tolerances that were measured on windows of their length, unless the
/// operator fixed them or the baseline itself is no longer than a window (RULES §4).
///
/// # Errors
/// [`SetupError::MixedHours`].
pub fn check_hours(model: &Model, baseline: &Baseline) -> Result<(), SetupError> {
    let every_us = model.window.every_us;
    // Without times nobody knows which hours the rows are from.
    let span_us = match (baseline.provenance.first_us, baseline.provenance.last_us) {
        (Some(first_us), Some(last_us)) => Some(last_us.saturating_sub(first_us)),
        _ => None,
    };
    let measured = baseline.windows.as_ref().is_some_and(|windows| windows.every_us == every_us);
    let fixed = matches!(model.tolerance, Tolerance::Fixed(_));
    let short = span_us.is_some_and(|span_us| span_us <= every_us);
    if every_us >= DAY_US || short || measured || fixed {
        return Ok(());
    }
    let hours = if span_us.is_some() { "of mixed hours" } else { "of unknown hours" };
    let every = format_duration(every_us);
    Err(SetupError::MixedHours { model: model.name.clone(), every, hours })
}
