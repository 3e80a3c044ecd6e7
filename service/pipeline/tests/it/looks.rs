//! What tests ask of a pipeline again and again.

use driftline_pipeline::snapshot::OutboxBody;
use driftline_pipeline::{Effect, ModelView, Pipeline, TopicFacts};

/// The model at this place of the configuration.
pub(crate) fn model(pipeline: &Pipeline, place: usize) -> ModelView<'_> {
    pipeline.models().nth(place).unwrap()
}

/// What is known of the first topic.
pub(crate) fn topic(pipeline: &Pipeline) -> &TopicFacts {
    pipeline.topics().next().unwrap().2
}

/// Where reading of a partition of the first topic stands.
pub(crate) fn position(pipeline: &Pipeline, partition: i32) -> usize {
    topic(pipeline).position(partition.into()) as usize
}

/// Whether an alert that stands is to be delivered.
pub(crate) fn is_standing_alert(effect: &Effect) -> bool {
    match effect {
        Effect::Deliver(item) => match &item.body {
            OutboxBody::Message(row) => row.kind.alert().is_some(),
            OutboxBody::Report { .. } => false,
        },
        _ => false,
    }
}
