//! A configuration with its models ready, and how their topics are read.

use std::path::Path;
use std::sync::Arc;

use driftline_capture::Chunk;
use driftline_config::{Config, Model, TopicId};
use driftline_formats::{Decoder, ModelPlan, RecordLimits, TopicLayout};
use driftline_pipeline::setup::{BaselineFile, DEFAULT_BASELINE, Setup, SetupError};

use crate::{Log, Stretch, at};

/// Everything from which a pipeline is made.
#[derive(Debug, Clone)]
pub struct World {
    pub config: Config,
    /// In the order of the configuration.
    pub setups: Vec<Arc<Setup>>,
    /// Each topic once, in the order in which models name them.
    pub topics: Vec<String>,
    pub(crate) layouts: Vec<Arc<TopicLayout>>,
    /// The bounds of a record, as configured.
    pub limits: RecordLimits,
}

impl World {
    /// The world of a configuration whose models all have this baseline file.
    pub fn new(yaml: &str, baseline: &[u8]) -> World {
        World::try_new(yaml, baseline).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
    }

    /// The same, where the baseline may not fit.
    ///
    /// # Errors
    /// [`SetupError`]: it is none, or the settings do not fit it.
    pub fn try_new(yaml: &str, baseline: &[u8]) -> Result<World, SetupError> {
        World::with(yaml, &|_| baseline.to_vec())
    }

    /// The same, where each model has a baseline file of its own.
    ///
    /// # Errors
    /// As [`World::try_new`].
    pub fn with(yaml: &str, baseline: &dyn Fn(&Model) -> Vec<u8>) -> Result<World, SetupError> {
        let config = Config::parse(yaml, Path::new("driftline.yaml"), &|_| None)
            .unwrap_or_else(|problems| panic!("{yaml}\n{problems}"));
        let setups = config.models.iter().map(|model| {
            let file = BaselineFile::parse(baseline(model)).map_err(|source| {
                let path = Path::new("baseline.json").to_path_buf();
                SetupError::Baseline { model: model.name.clone(), path, source }
            })?;
            let files = [(DEFAULT_BASELINE.to_owned(), Arc::new(file))].into();
            Ok(Arc::new(Setup::new(model.clone(), files, &config.limits)?))
        });
        let setups = setups.collect::<Result<Vec<Arc<Setup>>, SetupError>>()?;
        Ok(World::of(config, setups))
    }

    /// The world of models that were set up elsewhere.
    pub fn of(config: Config, setups: Vec<Arc<Setup>>) -> World {
        let mut topics: Vec<String> = Vec::new();
        for setup in &setups {
            if !topics.contains(&setup.model.captures.topic) {
                topics.push(setup.model.captures.topic.clone());
            }
        }
        let layouts = topics.iter().map(|topic| Arc::new(TopicLayout::new(&plans(topic, &setups))));
        let (layouts, limits) = (layouts.collect(), RecordLimits::from(&config.limits));
        World { config, setups, topics, layouts, limits }
    }

    /// How the captures on a topic are read.
    pub fn plans(&self, topic: TopicId) -> Vec<ModelPlan> {
        plans(&self.topics[topic.0], &self.setups)
    }

    /// What decodes the records of a partition of this topic.
    pub fn decoder(&self, topic: TopicId) -> Decoder {
        Decoder::with_layout(Arc::clone(&self.layouts[topic.0]), &self.limits)
    }

    /// The records `[from, to)` of a partition of the first topic, as the readers would give them.
    pub fn chunk(&self, log: &Log, partition: i32, from: usize, to: usize) -> Chunk {
        let stretch = Stretch {
            at: at(0, partition),
            from: from as i64,
            to: to as i64,
            producer_timestamps: true,
        };
        stretch.decode(&mut self.decoder(TopicId(0)), log.entries(partition, from, to))
    }
}

fn plans(topic: &str, setups: &[Arc<Setup>]) -> Vec<ModelPlan> {
    let of_topic = setups.iter().filter(|setup| setup.model.captures.topic == topic);
    let plan = |setup: &Arc<Setup>| ModelPlan::new(&setup.model, setup.layout.schema().clone());
    of_topic.map(plan).collect()
}
