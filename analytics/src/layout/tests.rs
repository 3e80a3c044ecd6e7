//! Tests of layouts.

use std::path::PathBuf;

use driftline_config::{
    Captures, FalseAlarms, Feature, Format, Latency, MinEffect, NoData, Operations, Retrain, Start,
    Tolerance, Window,
};

use super::*;
use crate::window::fixtures::baseline;

fn model() -> Model {
    Model {
        name: "flight-delay".into(),
        owner: None,
        notify: Vec::new(),
        captures: Captures {
            topic: "flights".into(),
            format: Format::DriftlineJson,
            start: Start::Earliest,
            max_ahead_us: 0,
        },
        baseline: BTreeMap::from([("default".into(), PathBuf::new())]),
        features: BTreeMap::new(),
        window: Window {
            every_us: 1,
            timezone: None,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: 1,
        },
        operations: Operations { every_us: 1, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        false_alarms: FalseAlarms::default(),
        min_effect: MinEffect::default(),
        latency: Some(Latency { under_us: 50_000, objective: 0.99 }),
        errors: None,
        no_data: NoData { after_us: 1, partition_after: driftline_config::PartitionAfter::Off },
        shadow: Vec::new(),
        retrain: Retrain {
            history_us: 1,
            cooldown_us: 1,
            max_per_day: 1,
            rows: None,
            wait_windows: Retrain::usual_wait(),
        },
    }
}

fn baselines(by_version: &[(&str, Baseline)]) -> Baselines {
    Baselines {
        default: baseline(),
        by_version: by_version
            .iter()
            .map(|(version, baseline)| ((*version).to_owned(), Arc::new(baseline.clone())))
            .collect(),
    }
}

#[test]
fn columns_come_from_the_baseline_and_the_configuration_coerces() {
    let mut model = model();
    model.features.insert("delay".into(), Feature { coerce: true, ..Feature::default() });
    let layout = Layout::new(&model, &baselines(&[]), &Limits::default()).unwrap();
    let columns: Vec<_> =
        layout.schema().columns.iter().map(|c| (c.subject.as_str(), c.kind, c.coerce)).collect();
    assert_eq!(
        columns,
        [
            ("feature:delay", Kind::Numeric, true),
            ("feature:carrier", Kind::Categorical, false),
            ("prediction:score", Kind::Numeric, false)
        ]
    );
    assert_eq!(layout.schema().ignored, ["feature:tailnum"]);
    assert_eq!((layout.features(), layout.under_us()), (2, Some(50_000)));
}

#[test]
fn a_version_is_counted_by_its_own_baseline() {
    let mut own = (*baseline()).clone();
    for column in &mut own.columns {
        if let BaselineColumn::Numeric(column) = column {
            column.cut_points = vec![0.5].into();
        }
    }
    let baselines = baselines(&[("4", own)]);
    let layout = Layout::new(&model(), &baselines, &Limits::default()).unwrap();
    let slots = |version| match &layout.prediction_references(version)[0] {
        Reference::Numeric(reference) => reference.slots(),
        Reference::Categorical(_) => 0,
    };
    assert_eq!((slots(Some("4")), slots(Some("3")), slots(None)), (3, 201, 201));
    let owns = |version| layout.prediction_baseline(version, "prediction:score").map(|b| b.1);
    assert_eq!(
        (owns(Some("4")), owns(Some("3")), owns(None)),
        (Some(true), Some(false), Some(false))
    );
    assert!(layout.version_key("4") < layout.version_key("3"), "named versions come first");
}

/// Versions beyond the limit lost their cut points, and what windows had counted at them could not be read.
#[test]
fn more_named_versions_than_the_limit_keep_their_cut_points() {
    let mut own = (*baseline()).clone();
    own.columns.iter_mut().for_each(|column| {
        if let BaselineColumn::Numeric(column) = column {
            column.cut_points = vec![0.5].into();
        }
    });
    let named: Vec<(&str, Baseline)> =
        ["1", "2", "3", "4", "5", "6"].into_iter().map(|v| (v, own.clone())).collect();
    let layout = Layout::new(&model(), &baselines(&named), &Limits::default()).unwrap();
    let named = ["1", "2", "3", "4", "5", "6"].map(|v| !layout.version_key(v).unnamed);
    assert_eq!(named, [true; 6]);
    assert_ne!(layout.prediction_references(Some("5")), layout.prediction_references(None));
    assert_eq!((Limits::default().versions, layout.versions()), (4, 6));
}

#[test]
fn what_does_not_fit_is_refused_in_a_sentence() {
    let check = |model: &Model, baselines: &Baselines, limits: &Limits, expected: &str| {
        let error = Layout::new(model, baselines, limits).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let mut unknown = model();
    unknown.features.insert("dealy".into(), Feature::default());
    check(&unknown, &baselines(&[]), &Limits::default(), "feature dealy is configured");
    let few = Limits { columns: 2, ..Limits::default() };
    check(&model(), &baselines(&[]), &few, "has 3 columns, limits.columns is 2");
    let mut other = (*baseline()).clone();
    if let Some(BaselineColumn::Categorical(column)) = other.columns.get(1).cloned() {
        let subject = "prediction:score".into();
        other.columns = vec![BaselineColumn::Categorical(crate::baseline::CategoricalBaseline {
            subject,
            ..column
        })];
    }
    check(&model(), &baselines(&[("4", other)]), &Limits::default(), "prediction:score is numeric");
}
