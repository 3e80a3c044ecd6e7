//! What the windows of one model are counted by: its columns, cut points, categories and versions,
//! shared by every window that opened under them.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_capture::columns::{CaptureSchema, Column, Kind};
use driftline_config::{Limits, Model, Subject};

use crate::baseline::{Baseline, BaselineColumn};
use crate::cells::Reference;
use crate::names::keyed_hash;

/// The baselines of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Baselines {
    /// For features, and for the predictions of versions without one of their own.
    pub default: Arc<Baseline>,
    pub by_version: BTreeMap<String, Arc<Baseline>>,
}

/// What the windows of one model are counted by.
#[derive(Debug, Clone)]
pub struct Layout {
    schema: CaptureSchema,
    baselines: Baselines,
    references: Vec<Reference>,
    /// Per named version with a baseline of its own: per prediction column.
    by_version: BTreeMap<String, Vec<Reference>>,
    features: usize,
    versions: usize,
    under_us: Option<i64>,
}

/// Why a model cannot be counted by its baselines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The configuration names a feature that the baseline does not have.
    #[error(
        "model {model}: feature {feature} is configured, but its baseline has no such feature: correct the name or build the baseline anew"
    )]
    UnknownFeature { model: String, feature: String },
    /// More columns than `limits.columns`.
    #[error("model {model}: its baseline has {columns} columns, limits.columns is {limit}")]
    TooManyColumns { model: String, columns: usize, limit: usize },
    /// A version's baseline has a prediction of another kind than the default one.
    #[error(
        "model {model}: {subject} is numeric in one of the baselines default and {version}, categorical in the other: build them from columns of one kind"
    )]
    KindsDiffer { model: String, version: String, subject: Subject },
}

/// How a version of the model is counted. Smaller ones are kept when there are too many: the named
/// ones, then by keyed hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey {
    /// False for versions named in the configuration, which therefore stand first.
    pub(crate) unnamed: bool,
    pub(crate) hash: u64,
    /// The version; empty where the captures name none.
    pub version: Box<str>,
}

impl Layout {
    /// Lays out the windows of `model`.
    ///
    /// # Errors
    /// A configured feature that the baseline does not know, too many columns, or baselines that
    /// disagree about a column's kind.
    pub fn new(
        model: &Model,
        baselines: &Baselines,
        limits: &Limits,
    ) -> Result<Layout, LayoutError> {
        let (layout, problems) = Layout::examine(model, baselines, limits);
        problems.into_iter().next().map_or(Ok(layout), Err)
    }

    /// Everything for which [`Layout::new`] would refuse the baselines.
    pub fn problems(model: &Model, baselines: &Baselines, limits: &Limits) -> Vec<LayoutError> {
        Layout::examine(model, baselines, limits).1
    }

    fn examine(
        model: &Model,
        baselines: &Baselines,
        limits: &Limits,
    ) -> (Layout, Vec<LayoutError>) {
        let name = || model.name.clone();
        let unknown =
            |feature: &&String| baselines.default.column(&format!("feature:{feature}")).is_none();
        let unknown = model.features.keys().filter(unknown);
        let mut problems: Vec<LayoutError> = unknown
            .map(|feature| LayoutError::UnknownFeature { model: name(), feature: feature.clone() })
            .collect();
        let columns = baselines.default.columns.len();
        if columns > limits.columns {
            let limit = limits.columns;
            problems.push(LayoutError::TooManyColumns { model: name(), columns, limit });
        }
        let mut layout = Layout::of_baseline(&baselines.default, limits);
        layout.under_us = model.latency.as_ref().map(|latency| latency.under_us);
        for column in &mut layout.schema.columns {
            let feature = (!column.is_prediction()).then(|| model.features.get(column.name()));
            column.coerce = feature.flatten().is_some_and(|feature| feature.coerce);
        }
        for (version, baseline) in &baselines.by_version {
            match layout.version_references(baseline) {
                Ok(references) => {
                    layout.by_version.insert(version.clone(), references);
                }
                Err(subject) => {
                    let version = version.clone();
                    problems.push(LayoutError::KindsDiffer { model: name(), version, subject });
                }
            }
        }
        // A configuration with more is refused; kept settings may be older than the limit, and what was
        // counted by baselines of their own cannot be added to anything else.
        layout.versions = layout.versions.max(layout.by_version.len());
        layout.baselines = baselines.clone();
        (layout, problems)
    }

    /// A layout of one baseline alone: no versions of their own, no objective, nothing coerced.
    pub fn of_baseline(baseline: &Arc<Baseline>, limits: &Limits) -> Layout {
        let indexed = baseline.columns.iter().zip(baseline.references());
        let (features, predictions): (Vec<_>, Vec<_>) =
            indexed.partition(|(column, _)| !column.subject().is_prediction());
        let count = features.len();
        let columns: Vec<(&BaselineColumn, &Reference)> =
            features.into_iter().chain(predictions).collect();
        let monitored = |subject: &Subject| columns.iter().any(|(c, _)| c.subject() == subject);
        let mut ignored: Vec<Subject> =
            baseline.columns_seen.iter().filter(|&seen| !monitored(seen)).cloned().collect();
        ignored.sort_unstable();
        let schema = CaptureSchema {
            columns: columns
                .iter()
                .map(|(column, _)| Column {
                    subject: column.subject().clone(),
                    kind: column.kind(),
                    coerce: false,
                })
                .collect(),
            ignored,
        };
        Layout {
            schema,
            baselines: Baselines { default: Arc::clone(baseline), by_version: BTreeMap::new() },
            references: columns.into_iter().map(|(_, reference)| reference.clone()).collect(),
            by_version: BTreeMap::new(),
            features: count,
            versions: limits.versions,
            under_us: None,
        }
    }

    /// References of the prediction columns for a version's baseline; the subject of a column of
    /// another kind otherwise.
    fn version_references(&self, baseline: &Baseline) -> Result<Vec<Reference>, Subject> {
        let predictions = self.schema.columns.iter().zip(&self.references).skip(self.features);
        predictions
            .map(|(column, default)| match baseline.column(&column.subject) {
                None => Ok(default.clone()),
                Some(own) if own.kind() == column.kind => Ok(own.reference()),
                Some(_) => Err(column.subject.clone()),
            })
            .collect()
    }

    /// The value columns of batches: features first, then predictions.
    pub fn schema(&self) -> &CaptureSchema {
        &self.schema
    }

    /// The baselines it was made of.
    pub fn baselines(&self) -> &Baselines {
        &self.baselines
    }

    /// How many of the schema's columns, from the front, are features.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Per feature column: what its values are counted by.
    pub fn feature_references(&self) -> &[Reference] {
        &self.references[..self.features]
    }

    /// Per prediction column: what the values of a version are counted by. `None` stands for
    /// `other`.
    pub fn prediction_references(&self, version: Option<&str>) -> &[Reference] {
        version
            .and_then(|version| self.by_version.get(version))
            .map_or(&self.references[self.features..], Vec::as_slice)
    }

    /// The baseline column of a prediction of a version, and whether it is the version's own.
    /// `None` as version stands for `other`.
    pub fn prediction_baseline(
        &self,
        version: Option<&str>,
        subject: &str,
    ) -> Option<(&BaselineColumn, bool)> {
        let own = version
            .filter(|version| self.by_version.contains_key(*version))
            .and_then(|version| self.baselines.by_version.get(version))
            .and_then(|baseline| baseline.column(subject));
        match own {
            Some(column) => Some((column, true)),
            None => self.baselines.default.column(subject).map(|column| (column, false)),
        }
    }

    /// Versions that are told apart.
    pub fn versions(&self) -> usize {
        self.versions
    }

    /// The latency objective's threshold in microseconds.
    pub fn under_us(&self) -> Option<i64> {
        self.under_us
    }

    /// How `version` ranks among the versions of a window. Versions with a baseline of their own
    /// come first and are never more than are kept, so their cut points are never mixed with those
    /// of `other`.
    pub(crate) fn version_key(&self, version: &str) -> VersionKey {
        VersionKey {
            unnamed: !self.by_version.contains_key(version),
            hash: keyed_hash(version),
            version: version.into(),
        }
    }
}

impl Reference {
    /// What its values are.
    pub fn kind(&self) -> Kind {
        match self {
            Reference::Numeric(_) => Kind::Numeric,
            Reference::Categorical(_) => Kind::Categorical,
        }
    }
}

#[cfg(test)]
mod tests;
