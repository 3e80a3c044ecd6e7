//! Models that templates make of names as they are met: set up where the name is met, told to the loop before
//! their first row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use driftline_batch::setups::BaselineReader;
use driftline_capture::CaptureSchema;
use driftline_config::{Config, Model, Table, TopicId};
use driftline_formats::ModelPlan;
use driftline_pipeline::setup::Setup;
use driftline_pipeline::snapshot::Saved;
use driftline_pipeline::{Event, Pipeline};
use driftline_web::{CheckState, ReadyCheck};

use super::intake::plan;

/// Names that are shown of those of which no model could be made: people mend one after the other.
const REFUSED: usize = 64;

/// The loop's end.
pub(super) struct Newcomers {
    registry: Arc<Registry>,
    /// Unbounded, since it holds at most `limits.models`.
    inbox: Receiver<Newcomer>,
}

/// A model that was met.
pub(super) struct Newcomer {
    pub(super) topic: TopicId,
    pub(super) setup: Arc<Setup>,
}

/// What the threads that read share: which names are models, and which could not be.
struct Registry {
    config: Config,
    /// Names of topics by their index.
    topics: Table<TopicId, String>,
    state: Mutex<Names>,
    outbox: Sender<Newcomer>,
    /// How often `limits.models` left a name without a model.
    crowded: AtomicU64,
}

#[derive(Default)]
struct Names {
    reader: BaselineReader,
    known: BTreeSet<String>,
    /// Why no model could be made of a name.
    refused: BTreeMap<String, String>,
}

impl Newcomers {
    /// Takes in the models that the checkpoint knows: those whose name a template matches still.
    pub(super) fn begin(config: &Config, pipeline: &mut Pipeline, saved: &Saved) -> Newcomers {
        let topics = pipeline.topics().map(|(_, name, _)| name.to_owned());
        let topics = Table::new(topics.collect());
        let known = config.models.iter().map(|model| model.name.clone()).collect();
        let state = Mutex::new(Names { known, ..Names::default() });
        let (outbox, inbox) = channel();
        let (config, crowded) = (config.clone(), AtomicU64::new(0));
        let registry = Arc::new(Registry { config, topics, state, outbox, crowded });
        if !registry.config.templates.is_empty() {
            for kept in saved.models() {
                registry.make_again(pipeline, &kept.name, &kept.topic);
            }
        }
        Newcomers { registry, inbox }
    }

    /// What the readers ask about names.
    pub(super) fn asked(&self) -> driftline_ingest::Newcomers {
        let registry = Arc::clone(&self.registry);
        let template_of = |(id, topic): (TopicId, &String)| {
            let mut templates = registry.config.templates.iter();
            let template = templates.find(|of| of.common().captures.topic == *topic)?;
            let plan = ModelPlan::new(template.common(), CaptureSchema::default());
            Some((id, plan))
        };
        let templates = registry.topics.iter().filter_map(template_of).collect();
        let registry = Arc::clone(&self.registry);
        driftline_ingest::Newcomers::new(templates, move |topic, name| registry.make(topic, name))
    }

    /// Models that were met since the last call, in the order in which their topics have them.
    pub(super) fn take(&self) -> Vec<Newcomer> {
        self.inbox.try_iter().collect()
    }

    /// How often a name got no model because there are `limits.models`, so far.
    pub(super) fn crowded(&self) -> u64 {
        self.registry.crowded.load(Ordering::Relaxed)
    }

    /// Names that match and are not monitored, with what to do.
    pub(super) fn checks(&self) -> Vec<ReadyCheck> {
        let state = self.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        let check = |(name, says): (&String, &String)| ReadyCheck {
            name: format!("model {name}"),
            state: CheckState::Degraded,
            says: says.clone(),
        };
        state.refused.iter().map(check).collect()
    }
}

impl Registry {
    /// Makes the model of a name that a topic met.
    fn make(&self, topic: TopicId, name: &str) -> Option<ModelPlan> {
        let setup = self.set_up(self.topics.get(topic)?, name)?;
        let plan = plan(&setup);
        // Before anybody can send a row of it. Nobody listens only where the service ends.
        self.outbox.send(Newcomer { topic, setup }).ok()?;
        tracing::info!(model = name, "a template made a model of a name that came");
        Some(plan)
    }

    /// Makes a model that the checkpoint has.
    fn make_again(&self, pipeline: &mut Pipeline, name: &str, topic: &str) {
        let mut topics = self.topics.iter();
        let Some((id, _)) = topics.find(|(_, known)| *known == topic) else { return };
        let Some(setup) = self.set_up(topic, name) else { return };
        let topic = id;
        // It says nothing of what is to be done, and of no time.
        pipeline.handle(Event::Appeared { topic, setup }, driftline_ingest::Clock::new().now());
    }

    fn set_up(&self, topic: &str, name: &str) -> Option<Arc<Setup>> {
        // Most names that are asked about belong to nobody here, and need no lock.
        let model = self.config.model_of_template(topic, name)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Names { reader, known, refused } = &mut *state;
        if known.contains(name) {
            return None;
        }
        let loaded = match known.len() < self.config.limits.models {
            true => {
                reader.load(&model, &self.config.limits).map_err(|error| advice(&model, &error))
            }
            false => {
                self.crowded.fetch_add(1, Ordering::Relaxed);
                let most = self.config.limits.models;
                Err(format!("there are {most} models already: raise limits.models and start again"))
            }
        };
        match loaded {
            Ok(setup) => {
                setup.other_days().iter().for_each(|says| tracing::warn!("{says}"));
                known.insert(name.to_owned());
                Some(Arc::new(setup))
            }
            Err(says) => {
                if !refused.contains_key(name) && refused.len() < REFUSED {
                    tracing::error!(model = name, says, "a name that matches is not monitored");
                    refused.insert(name.to_owned(), says);
                }
                None
            }
        }
    }
}

fn advice(model: &Model, error: &dyn std::fmt::Display) -> String {
    let name = &model.name;
    format!(
        "{error}: build it with `driftline baseline --model {name}` and start again; its records are skipped"
    )
}
