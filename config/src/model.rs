//! One monitored model, as the operator declared it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::grid::WindowGrid;
use crate::mapping::Mapping;
use crate::time::DAY_US;
use crate::time_zone::TimeZone;

/// A model and everything Driftline was told about it. Durations are microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Unique; `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    pub name: String,
    /// Who answers for it; shown, never interpreted.
    pub owner: Option<String>,
    /// Names of the receivers that are told, already resolved: all receivers where the operator left
    /// the key out, nobody where the list is empty.
    pub notify: Vec<String>,
    pub captures: Captures,
    /// Baseline file per model version; the key `default` is always there.
    pub baseline: BTreeMap<String, PathBuf>,
    /// What differs from the baseline, by feature name.
    pub features: BTreeMap<String, Feature>,
    pub window: Window,
    pub operations: Operations,
    pub tolerance: Tolerance,
    #[serde(default)]
    pub false_alarms: FalseAlarms,
    #[serde(default)]
    pub min_effect: MinEffect,
    /// The latency objective, where there is one.
    pub latency: Option<Latency>,
    /// The error objective, where there is one.
    pub errors: Option<Errors>,
    pub no_data: NoData,
    pub shadow: Vec<Candidate>,
    pub retrain: Retrain,
}

/// Where the captures of a model are and how they are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captures {
    /// Kafka topic; several models may share one. Where one model owns it, its captures need not
    /// name the model.
    pub topic: String,
    pub format: Format,
    /// Where reading starts when there is no checkpoint.
    pub start: Start,
    /// How far `ts` may lie beyond the record timestamp.
    pub max_ahead_us: i64,
}

/// The encodings of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// One JSON object per Kafka value: CONTRACTS §3.
    DriftlineJson,
    /// Events that somebody else designed: CONTRACTS §10.
    Mapped(Box<Mapping>),
}

impl Format {
    /// As the configuration and retraining requests write it.
    pub fn name(&self) -> &str {
        match self {
            Format::DriftlineJson => "driftline-json",
            Format::Mapped(mapping) => &mapping.name,
        }
    }

    /// The map by which events are read, where they are not our own.
    pub fn mapping(&self) -> Option<&Mapping> {
        match self {
            Format::DriftlineJson => None,
            Format::Mapped(mapping) => Some(mapping),
        }
    }
}

/// Where reading starts when there is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// The first offset that the log still holds.
    Earliest,
    Latest,
    /// The first offset with a record timestamp at or after this instant, in microseconds.
    At(i64),
}

/// What differs from the baseline for one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Tolerance of the deciding statistic, instead of the model's.
    pub tolerance: Option<f64>,
    /// Whether it may alarm. Columns with `judge: false` are shown.
    pub judge: bool,
    /// Whether its values never leave as text.
    pub private: bool,
    /// Whether a string that holds a number is read as that number.
    pub coerce: bool,
}

impl Default for Feature {
    fn default() -> Feature {
        Feature { tolerance: None, judge: true, private: false, coerce: false }
    }
}

/// The drift window: RULES §1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Length; at least a second.
    pub every_us: i64,
    /// By whose midnights windows of whole days begin; `None` in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    /// How long after its end a window waits for rows, in event time.
    pub lateness_us: i64,
    /// How long a caught-up partition must be silent to be idle; `None` waits for the log alone.
    pub idle_us: Option<i64>,
    /// Counted rows below which a due window is carried into the next.
    pub at_least: u64,
    /// How long a window may grow by being carried.
    pub at_most_us: i64,
}

impl Window {
    /// Where windows begin and end.
    pub fn grid(&self) -> WindowGrid {
        WindowGrid::new(self.every_us, self.timezone.clone())
    }
}

/// The operations panes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// Length; at least a second.
    pub every_us: i64,
    /// How long after its end a pane waits for rows, in event time.
    pub lateness_us: i64,
}

/// When a difference matters: RULES §4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Tolerance {
    /// The larger of the floor and what the baseline's own windows show.
    Auto,
    /// The declared values, own windows or not.
    Fixed(Tolerances),
}

/// Tolerances per statistic, as values of the statistic or as shares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerances {
    /// Kolmogorov-Smirnov distance of numeric columns.
    pub ks: f64,
    /// Debiased PSI of categorical columns.
    pub psi: f64,
    /// Share of missing values above the baseline's.
    pub missing: f64,
    /// Share of values of the wrong type above the baseline's.
    pub wrong_type: f64,
    /// Share of values outside the baseline's categories above the baseline's.
    pub new_category: f64,
}

impl Default for Tolerances {
    fn default() -> Tolerances {
        Tolerances { ks: 0.05, psi: 0.1, missing: 0.01, wrong_type: 0.01, new_category: 0.01 }
    }
}

impl Tolerances {
    /// The names under which the operator writes them.
    pub const NAMES: [&str; 5] = ["ks", "psi", "missing", "wrong_type", "new_category"];

    /// Sets one of them by its name, as the configuration and the command line do.
    ///
    /// # Errors
    /// A sentence that says what was expected: no tolerance has that name, or the text is no number
    /// above 0. A distance or a share is at most 1; PSI has no upper end.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let place = self.place(name).ok_or_else(|| {
            format!("\"{name}\" is not a tolerance: known are {}", Tolerances::NAMES.join(", "))
        })?;
        *place = Tolerances::number(name, text)
            .map_err(|expected| format!("{name}: \"{text}\" is not {expected}"))?;
        Ok(())
    }

    pub(crate) fn place(&mut self, name: &str) -> Option<&mut f64> {
        match name {
            "ks" => Some(&mut self.ks),
            "psi" => Some(&mut self.psi),
            "missing" => Some(&mut self.missing),
            "wrong_type" => Some(&mut self.wrong_type),
            "new_category" => Some(&mut self.new_category),
            _ => None,
        }
    }

    /// The number that a text gives the tolerance of this name, or what was expected instead.
    pub(crate) fn number(name: &str, text: &str) -> Result<f64, &'static str> {
        let number: f64 = text.trim().parse().map_err(|_| "a number")?;
        let (most, expected) = match name {
            "psi" => (f64::MAX, "above 0"),
            _ => (1.0, "above 0 and at most 1"),
        };
        if number > 0.0 && number <= most { Ok(number) } else { Err(expected) }
    }
}

impl Tolerance {
    /// The floors: the declared values, or the defaults under `auto`.
    pub fn floor(&self) -> Tolerances {
        match self {
            Tolerance::Auto => Tolerances::default(),
            Tolerance::Fixed(values) => *values,
        }
    }
}

/// How many false openings of drift and broken input the operator accepts: RULES §4.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FalseAlarms {
    /// Above 0.
    pub at_most: f64,
    /// The period for which that holds; at least a window.
    pub per_us: i64,
}

impl Default for FalseAlarms {
    /// One in four weeks.
    fn default() -> FalseAlarms {
        FalseAlarms { at_most: 1.0, per_us: 28 * DAY_US }
    }
}

/// Effects below which nothing counts as moved, be it ever so certain. Shares of requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MinEffect {
    /// Of distributions: at least so many of the requests moved.
    pub distribution: f64,
    /// Of missing, wrong and new values, and of the classes of a prediction.
    pub share: f64,
}

impl Default for MinEffect {
    fn default() -> MinEffect {
        MinEffect { distribution: 0.03, share: 0.01 }
    }
}

/// A latency objective: `objective` of the requests answer within `under_us`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Threshold in microseconds.
    pub under_us: i64,
    /// Share of requests, between 0 and 1.
    pub objective: f64,
}

/// An error objective: `objective` of the requests succeed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Share of requests, between 0 and 1.
    pub objective: f64,
}

/// When silence is worth a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoData {
    /// Wall time without an accepted row; already defaulted by RULES §5.
    pub after_us: i64,
    /// The same of one partition while the others flow.
    #[serde(default)]
    pub partition_after: PartitionAfter,
}

/// When the silence of one partition is worth a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionAfter {
    /// After ten minutes, or half as long again as its longest silence of the last seven days.
    #[default]
    Auto,
    Off,
    /// After so many microseconds.
    Us(i64),
}

/// A candidate model, scored in the shadow of live traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Unique within its model; the same alphabet as model names.
    pub name: String,
    pub onnx: PathBuf,
    /// Lower-case hex sha256 of the file's bytes; required.
    pub sha256: String,
    /// Feature names in the order of the model's input, or of its inputs.
    pub inputs: Vec<String>,
    /// Which outputs of the model are its prediction.
    pub output: CandidateOutput,
    pub purpose: Purpose,
    /// Rows before this instant (microseconds) were training data and are not scored.
    pub trained_until_us: Option<i64>,
    /// Share of requests that are scored, chosen by a hash of the id.
    pub sample: f64,
}

/// Which outputs of a candidate are compared with which columns of the champion's prediction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CandidateOutput {
    /// Name of the output that holds the label; `None` takes the first integer or string output.
    pub label: Option<String>,
    /// Name of the output that holds scores; `None` takes the first float output.
    pub score: Option<String>,
    /// Column of a `[n, classes]` score output that holds the compared score; the last by default.
    pub score_column: Option<usize>,
    /// Texts of the classes 0, 1, … of an integer label output, so that it compares with the
    /// champion's label texts.
    pub classes: Vec<String>,
    /// Prediction column of the champion that holds its label; `label` by default.
    pub champion_label: Option<String>,
    /// Prediction column of the champion that holds its score; `score` by default.
    pub champion_score: Option<String>,
}

/// What a candidate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// It is meant to predict better than the champion.
    Better,
    /// It is meant to predict the same, cheaper or elsewhere.
    Same,
}

impl Purpose {
    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Better => "better",
            Purpose::Same => "same",
        }
    }
}

/// The limits of retraining requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrain {
    /// How far `history` reaches back before the first window of the request.
    pub history_us: i64,
    /// Least time between two requests, in event time.
    pub cooldown_us: i64,
    /// Most requests of a day, in event time.
    pub max_per_day: u32,
    /// Rows that a request waits for; `None` is ten times `window.at_least`.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Windows of an incident after which it waits no longer.
    #[serde(default = "Retrain::usual_wait")]
    pub wait_windows: u32,
}

impl Retrain {
    /// Windows that a request waits for its rows where nothing else is written.
    pub fn usual_wait() -> u32 {
        7
    }

    /// Rows that a request waits for, for windows that close with `at_least` rows.
    pub fn rows_wanted(&self, at_least: u64) -> u64 {
        self.rows.unwrap_or(at_least.saturating_mul(10))
    }
}
