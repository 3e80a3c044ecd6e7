//! The settings of the model that is judged.

use std::collections::BTreeMap;

use driftline_config::time::DAY_US;
use driftline_config::{
    Captures, FalseAlarms, Format, MinEffect, Model, NoData, Operations, PartitionAfter, Retrain,
    Start, Tolerance, Window,
};

/// A model with windows of a day and the settings by default.
pub(crate) fn model() -> Model {
    Model {
        name: "drawn".to_owned(),
        owner: None,
        notify: Vec::new(),
        captures: Captures {
            topic: String::new(),
            format: Format::DriftlineJson,
            start: Start::Earliest,
            max_ahead_us: 0,
        },
        baseline: BTreeMap::new(),
        features: BTreeMap::new(),
        window: Window {
            every_us: DAY_US,
            lateness_us: 0,
            idle_us: None,
            at_least: 1,
            at_most_us: DAY_US,
            timezone: None,
        },
        operations: Operations { every_us: DAY_US, lateness_us: 0 },
        tolerance: Tolerance::Auto,
        false_alarms: FalseAlarms::default(),
        min_effect: MinEffect::default(),
        latency: None,
        errors: None,
        no_data: NoData { after_us: DAY_US, partition_after: PartitionAfter::Off },
        shadow: Vec::new(),
        retrain: Retrain { history_us: 0, cooldown_us: 0, max_per_day: 0 },
    }
}
