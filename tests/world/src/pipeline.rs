//! The pipeline of a world.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_config::TopicId;
use driftline_pipeline::{Event, Pipeline, Read, Settings};

use crate::{T0, World};

impl World {
    /// A pipeline that has seen nothing, not even how many partitions there are.
    pub fn pipeline(&self) -> Pipeline {
        let settings = Settings::new(&self.config, BTreeMap::new(), T0);
        Pipeline::new(settings, self.setups.iter().map(Arc::clone).collect())
    }

    /// The same, told of so many partitions of the first topic.
    pub fn pipeline_over(&self, partitions: i32) -> Pipeline {
        let mut pipeline = self.pipeline();
        let told = Read::Partitions { topic: TopicId(0), count: partitions };
        pipeline.handle(Event::Read(told), T0);
        pipeline
    }

    /// The same, of topics that keep records for so long.
    pub fn pipeline_keeping(&self, partitions: i32, retention_us: i64) -> Pipeline {
        let topics = self.config.models.iter().map(|model| model.captures.topic.clone());
        let retention = topics.map(|topic| (topic, retention_us)).collect();
        let settings = Settings::new(&self.config, retention, T0);
        let mut pipeline = Pipeline::new(settings, self.setups.clone());
        let told = Read::Partitions { topic: TopicId(0), count: partitions };
        pipeline.handle(Event::Read(told), T0);
        pipeline
    }
}
