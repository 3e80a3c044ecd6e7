//! SageMaker Model Monitor's `statistics.json`, with the `constraints.json` that goes with it, as a baseline.
//!
//! Numbers are known by a KLL sketch (Karnin, Lang, Liberty: Optimal quantile approximation in streams, 2016):
//! a value on level i stands for 2^i of those that were there. Where a file has none, by counts of ranges.

use std::collections::BTreeMap;
use std::path::Path;

use driftline_analytics::baseline::{
    Baseline, Provenance, SketchedColumn, SketchedValues, Summary,
};
use driftline_config::{Subject, read_file};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::BatchError;
use crate::setups::BASELINE_BYTES;

/// Which files, and what their columns are.
#[derive(Debug)]
pub struct SageMakerOptions<'a> {
    pub statistics: &'a Path,
    pub constraints: Option<&'a Path>,
    /// Subjects of columns by their names in the file; the others are features of that name.
    pub renames: BTreeMap<String, Subject>,
    pub ignore: &'a [String],
    /// Whether the operator declared the predictions held-out or out-of-fold.
    pub held_out_predictions: bool,
}

/// The baseline, and what is to be known of it, in sentences.
#[derive(Debug)]
pub struct Imported {
    pub baseline: Baseline,
    pub notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Statistics {
    dataset: Dataset,
    features: Vec<Feature>,
}

#[derive(Debug, Deserialize)]
struct Dataset {
    item_count: u64,
}

#[derive(Debug, Deserialize)]
struct Feature {
    name: String,
    inferred_type: String,
    numerical_statistics: Option<Numerical>,
    string_statistics: Option<Texts>,
}

#[derive(Debug, Deserialize)]
struct Common {
    num_present: u64,
    num_missing: u64,
}

#[derive(Debug, Deserialize)]
struct Numerical {
    common: Common,
    mean: Option<f64>,
    std_dev: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    distribution: Option<Distribution>,
}

#[derive(Debug, Deserialize)]
struct Distribution {
    kll: Option<Kll>,
    categorical: Option<Categorical>,
}

#[derive(Debug, Deserialize)]
struct Kll {
    #[serde(default)]
    buckets: Vec<Range>,
    sketch: Option<Sketch>,
}

#[derive(Debug, Deserialize)]
struct Range {
    lower_bound: f64,
    upper_bound: f64,
    count: f64,
}

#[derive(Debug, Deserialize)]
struct Sketch {
    parameters: Parameters,
    data: Vec<Vec<f64>>,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    k: f64,
}

#[derive(Debug, Deserialize)]
struct Texts {
    common: Common,
    distinct_count: Option<f64>,
    distribution: Option<Distribution>,
}

#[derive(Debug, Deserialize)]
struct Categorical {
    buckets: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    value: String,
    count: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Constraints {
    #[serde(default)]
    features: Vec<Constraint>,
    #[serde(default)]
    monitoring_config: MonitoringConfig,
}

#[derive(Debug, Deserialize)]
struct Constraint {
    name: String,
    completeness: Option<f64>,
    num_constraints: Option<NumberConstraints>,
    string_constraints: Option<TextConstraints>,
}

#[derive(Debug, Deserialize)]
struct NumberConstraints {
    #[serde(default)]
    is_non_negative: bool,
}

#[derive(Debug, Deserialize)]
struct TextConstraints {
    #[serde(default)]
    domains: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct MonitoringConfig {
    #[serde(default)]
    distribution_constraints: DistributionConstraints,
}

#[derive(Debug, Default, Deserialize)]
struct DistributionConstraints {
    comparison_threshold: Option<f64>,
}

/// Makes a baseline of the files.
///
/// # Errors
/// [`BatchError`]: a file cannot be read or is another one, or its figures contradict one another.
pub fn import(options: &SageMakerOptions<'_>) -> Result<Imported, BatchError> {
    let statistics: Statistics = read(options.statistics)?;
    let constraints: Constraints = match options.constraints {
        Some(path) => read(path)?,
        None => Constraints::default(),
    };
    let of_column: BTreeMap<&str, &Constraint> =
        constraints.features.iter().map(|of| (of.name.as_str(), of)).collect();
    let (mut columns, mut notes) = (Vec::new(), Vec::new());
    let mut least_k = f64::INFINITY;
    let wanted = statistics.features.into_iter();
    for feature in wanted.filter(|feature| !options.ignore.contains(&feature.name)) {
        let named = options.renames.get(&feature.name).cloned();
        let subject = named.unwrap_or_else(|| Subject::of_column(&feature.name));
        // Most columns have no constraint worth a word.
        let constraint = of_column.get(feature.name.as_str()).copied();
        match column(subject, feature, constraint) {
            Ok(known) => {
                least_k = least_k.min(known.k);
                notes.extend(known.notes);
                columns.push(known.column);
            }
            Err(why) => notes.push(why),
        }
    }
    if let Some(prediction) = columns.iter().find(|of| of.subject.is_prediction())
        && !options.held_out_predictions
    {
        let subject = prediction.subject.clone();
        return Err(driftline_analytics::baseline::build::BuildError::TrainingPredictions {
            subject,
        }
        .into());
    }
    notes.extend(settings(&constraints, least_k));
    let source = format!("{} (a sketch of SageMaker Model Monitor)", options.statistics.display());
    let held_out_predictions = options.held_out_predictions;
    let provenance = Provenance { source, first_us: None, last_us: None, held_out_predictions };
    let baseline = Baseline::from_sketches(statistics.dataset.item_count, columns, provenance);
    let path = options.statistics.to_owned();
    let baseline = baseline.map_err(|source| BatchError::NotABaseline { path, source })?;
    Ok(Imported { baseline, notes })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, BatchError> {
    let bytes = read_file(path, BASELINE_BYTES)
        .map_err(|source| BatchError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|error| BatchError::NotOfSageMaker {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

/// A column that could be made, with how large its sketch is (infinite where there is none).
struct Known {
    column: SketchedColumn,
    k: f64,
    notes: Vec<String>,
}

/// Makes a column, or says why it is left out.
fn column(
    subject: Subject,
    feature: Feature,
    constraint: Option<&Constraint>,
) -> Result<Known, String> {
    let Feature { name, inferred_type, numerical_statistics, string_statistics } = feature;
    match (numerical_statistics, string_statistics) {
        (Some(of), _) => number(subject, &name, of, inferred_type == "Integral"),
        (None, Some(of)) => text(subject, &name, of, constraint),
        (None, None) => Err(format!(
            "{name}: left out, of type {inferred_type}: nothing is known of its values"
        )),
    }
}

fn number(subject: Subject, name: &str, of: Numerical, whole: bool) -> Result<Known, String> {
    let Numerical { common, mean, std_dev: sd, min, max, distribution } = of;
    let summary = Summary { mean, sd, min, max, whole };
    let kll = distribution.and_then(|distribution| distribution.kll);
    let nothing = || format!("{name}: left out: the file has neither its sketch nor its buckets");
    let kll = kll.ok_or_else(nothing)?;
    let (values, k, note) = match kll.sketch {
        Some(Sketch { parameters, data }) if data.iter().any(|level| !level.is_empty()) => {
            let levels = data.into_iter().enumerate();
            let items = levels.flat_map(|(level, items)| {
                let weight = 1_u64.checked_shl(u32::try_from(level).unwrap_or(u32::MAX));
                items.into_iter().map(move |item| (item, weight.unwrap_or(1 << 63)))
            });
            let items: Vec<(f64, u64)> = items.filter(|(item, _)| item.is_finite()).collect();
            (SketchedValues::Weighted { items, summary }, parameters.k, None)
        }
        _ if kll.buckets.is_empty() && common.num_present > 0 => return Err(nothing()),
        _ => {
            let from = kll.buckets.first().map_or(0.0, |range| range.lower_bound);
            let ranges: Vec<(f64, u64)> =
                kll.buckets.iter().map(|range| (range.upper_bound, range.count as u64)).collect();
            let note = format!(
                "{name}: known by {} buckets alone; its KS is a bracket as wide as they are",
                ranges.len()
            );
            (SketchedValues::Ranges { from, ranges, summary }, f64::INFINITY, Some(note))
        }
    };
    let Common { num_present: present, num_missing: missing } = common;
    let column = SketchedColumn { subject, present, missing, values };
    Ok(Known { column, k, notes: note.into_iter().collect() })
}

fn text(
    subject: Subject,
    name: &str,
    of: Texts,
    constraint: Option<&Constraint>,
) -> Result<Known, String> {
    let Common { num_present: present, num_missing: missing } = of.common;
    let buckets = of.distribution.and_then(|distribution| distribution.categorical);
    let buckets = buckets.map(|categorical| categorical.buckets).unwrap_or_default();
    let mut counts: Vec<(String, u64)> =
        buckets.into_iter().map(|bucket| (bucket.value, bucket.count)).collect();
    let named: u64 = counts.iter().map(|(_, count)| *count).sum();
    let distinct = of.distinct_count.unwrap_or(counts.len() as f64);
    // What is left without a name would be new in every window.
    let more = named != present || distinct > counts.len() as f64 + 0.5;
    let domains = constraint.and_then(|of| of.string_constraints.as_ref());
    for domain in domains.map(|of| of.domains.as_slice()).unwrap_or_default() {
        if !counts.iter().any(|(known, _)| known == domain) {
            counts.push((domain.clone(), 0));
        }
    }
    let note = more.then(|| {
        format!(
            "{name}: {} values of about {distinct:.0} have a name in the file, {named} of {present} \
             rows: shown and not judged",
            counts.iter().filter(|(_, count)| *count > 0).count()
        )
    });
    let values = SketchedValues::Categories { counts, more };
    let column = SketchedColumn { subject, present, missing, values };
    Ok(Known { column, k: f64::INFINITY, notes: note.into_iter().collect() })
}

/// What the constraints ask for beyond the baseline, and how near the sketches are.
fn settings(constraints: &Constraints, least_k: f64) -> Vec<String> {
    let mut notes = Vec::new();
    if least_k.is_finite() && least_k >= 1.0 {
        // Normalized rank error at 99 %, as the makers of KLL sketches measured it.
        let rank_error = 2.296 / least_k.powf(0.9021);
        notes.push(format!(
            "numbers are known by sketches of k {least_k}: ranks, and KS, are near the rows' within about {:.2} %; what a report calls certified is so of the sketch",
            100.0 * rank_error
        ));
    }
    let threshold = constraints.monitoring_config.distribution_constraints.comparison_threshold;
    if let Some(threshold) = threshold {
        notes.push(format!(
            "comparison_threshold {threshold}: write `tolerance: {{ks: {threshold}}}` for numbers; categories are judged by PSI and not by the largest difference"
        ));
    }
    let unchecked = |what: &str, names: Vec<&str>| {
        (!names.is_empty()).then(|| format!("{what} is not checked: {}", names.join(", ")))
    };
    let positive = constraints
        .features
        .iter()
        .filter(|of| of.num_constraints.as_ref().is_some_and(|numbers| numbers.is_non_negative));
    notes.extend(unchecked("is_non_negative", positive.map(|of| of.name.as_str()).collect()));
    let incomplete =
        constraints.features.iter().filter(|of| of.completeness.is_some_and(|share| share < 1.0));
    let names: Vec<&str> = incomplete.map(|of| of.name.as_str()).collect();
    if !names.is_empty() {
        notes.push(format!(
            "completeness of {}: missing values are compared with the share in the baseline (`tolerance: {{missing: 0.01}}`)",
            names.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
