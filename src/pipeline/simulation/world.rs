//! What every scenario shares: models with their baselines, built once, in a few variants of settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use driftline_alerting::Rules;
use driftline_alerting::repeat::RepeatRules;
use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints};
use driftline_config::capture::{CaptureSchema, Column, Kind};
use driftline_config::time::HOUR_US;
use driftline_config::{Config, Limits, Start};
use driftline_ingest::{Decoder, ModelPlan, Record, TopicLayout, TopicPlan};

use crate::messages::Messages;
use crate::pipeline::unit::Unit;
use crate::pipeline::{Pipeline, Settings};
use crate::setup::Setup;

/// 2026-01-05T00:00:00Z, a Monday: the first event of every log.
pub(super) const T0: i64 = 1_767_571_200_000_000;
/// Silence after which a partition is idle, in the variants that have idling.
pub(super) const IDLE_US: i64 = 60_000_000;

/// The topics and the models on them. The third model has a topic of its own.
pub(super) const TOPICS: [(&str, &[&str]); 2] = [("shared", &["one", "two"]), ("own", &["three"])];

/// Windows and panes of a model: `every`, `lateness`, `at_least`, `at_most`, then of panes `every`
/// and `lateness`.
type Grid = (&'static str, &'static str, u64, &'static str, &'static str, &'static str);

/// The grids of the three models.
const VARIANTS: [[Grid; 3]; 4] = [
    [
        ("1h", "5m", 8, "4h", "10m", "5m"),
        ("2h", "10m", 1, "2h", "5m", "1m"),
        ("1h", "1m", 1, "1h", "30m", "1m"),
    ],
    [
        ("30m", "30m", 20, "3h", "15m", "30m"),
        ("4h", "1m", 4, "8h", "1h", "1m"),
        ("1h", "2h", 12, "6h", "20m", "10m"),
    ],
    [
        ("1d", "1h", 1, "1d", "1h", "1h"),
        ("1h", "5m", 5, "2h", "10m", "5m"),
        ("3h", "5m", 30, "1d", "1h", "10m"),
    ],
    [
        ("10m", "1m", 3, "1h", "10m", "1m"),
        ("15m", "5m", 1, "15m", "5m", "1m"),
        ("20m", "1m", 2, "40m", "10m", "5m"),
    ],
];

/// One variant of settings: everything from which a pipeline is made.
pub(super) struct World {
    pub(super) config: Config,
    setups: Vec<Arc<Setup>>,
    pub(super) layouts: Vec<Arc<TopicLayout>>,
    pub(super) limits: driftline_ingest::Limits,
}

/// The world of a variant; odd ones let partitions be idle.
pub(super) fn world(variant: usize) -> &'static World {
    static WORLDS: OnceLock<Vec<World>> = OnceLock::new();
    let worlds = WORLDS.get_or_init(|| {
        let baseline = baseline();
        (0..2 * VARIANTS.len()).map(|variant| World::new(variant, &baseline)).collect()
    });
    &worlds[variant % worlds.len()]
}

/// Whether partitions may be idle in a variant.
pub(super) fn idles(variant: usize) -> bool {
    variant % 2 == 1
}

impl World {
    fn new(variant: usize, baseline: &[u8]) -> World {
        let text = yaml(variant);
        let config = Config::parse(&text, Path::new("driftline.yaml"), &|_| None);
        let config = config.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        let setups: Vec<Arc<Setup>> = config
            .models
            .iter()
            .map(|model| {
                let files = [("default".to_owned(), baseline.to_vec())].into();
                Arc::new(Setup::new(model.clone(), files, &config.limits).unwrap())
            })
            .collect();
        let layouts = TOPICS.iter().map(|(topic, _)| {
            let of_topic = setups.iter().filter(|setup| setup.model.captures.topic == *topic);
            let models: Vec<(&str, CaptureSchema)> = of_topic
                .map(|setup| (setup.model.name.as_str(), setup.layout.schema().clone()))
                .collect();
            Arc::new(TopicLayout::new(&plan(topic, &models)))
        });
        let layouts = layouts.collect();
        let limits = driftline_ingest::Limits { record_bytes: 4096, ..Default::default() };
        World { config, setups, layouts, limits }
    }

    /// A pipeline that has seen nothing.
    pub(super) fn pipeline(&self) -> Pipeline {
        let settings = Settings {
            rules: Rules::new(&self.config.alerts),
            repeats: RepeatRules::new(&self.config.alerts),
            messages: Messages::new(&self.config, BTreeMap::new()),
            open_windows_limit: self.config.limits.open_windows,
            outbox_limit: self.config.limits.outbox,
        };
        let topics: Vec<String> = TOPICS.iter().map(|(topic, _)| (*topic).to_owned()).collect();
        let units = self.setups.iter().map(|setup| {
            let topic = topics.iter().position(|topic| *topic == setup.model.captures.topic);
            Unit::new(Arc::clone(setup), topic.unwrap(), T0)
        });
        let units = units.collect();
        Pipeline::new(settings, topics, units)
    }

    /// The models, ready, in the order of their units.
    pub(super) fn setups(&self) -> &[Arc<Setup>] {
        &self.setups
    }
}

fn yaml(variant: usize) -> String {
    let grids = VARIANTS[variant / 2];
    let idle = if idles(variant) { "60s" } else { "off" };
    let names = TOPICS.iter().flat_map(|(topic, models)| models.iter().map(move |m| (*topic, *m)));
    let models = names.zip(grids).map(|((topic, model), grid)| {
        let (every, lateness, at_least, at_most, pane, pane_lateness) = grid;
        format!(
            "  - name: {model}\n    captures: {{topic: {topic}}}\n    baseline: b.json\n    \
             window: {{every: {every}, lateness: {lateness}, idle: {idle}, at_least: {at_least}, \
             at_most: {at_most}}}\n    operations: {{every: {pane}, lateness: {pane_lateness}}}\n    \
             latency: {{under: 5ms, objective: 0.9}}\n    errors: {{objective: 0.9}}\n    \
             no_data: {{after: 3650d}}\n"
        )
    });
    let models: String = models.collect();
    format!(
        "state: state\nkafka: {{bootstrap: \"localhost:1\"}}\n\
         alerts: {{max_age: off, for: {{drift: 1 of 2}}, repeat: {{drift: 3650d, operations: 3650d}}}}\nmodels:\n{models}receivers:\n  \
         - {{name: hook, webhook: {{url: \"http://127.0.0.1:9/hook\"}}}}\n"
    )
}

fn plan(topic: &str, models: &[(&str, CaptureSchema)]) -> TopicPlan {
    let models = models.iter().map(|(name, schema)| ModelPlan {
        name: (*name).to_owned(),
        schema: schema.clone(),
        max_ahead_us: HOUR_US,
    });
    TopicPlan { topic: topic.to_owned(), models: models.collect(), start: Start::Earliest }
}

/// A baseline over 400 rows of calm traffic.
fn baseline() -> Vec<u8> {
    let column = |subject: &str, kind| Column { subject: subject.into(), kind, coerce: false };
    let schema = CaptureSchema {
        columns: vec![
            column("feature:x", Kind::Numeric),
            column("feature:kind", Kind::Categorical),
            column("prediction:score", Kind::Numeric),
        ],
        ignored: Vec::new(),
    };
    let plan = plan("any", &[("any", schema.clone())]);
    let mut decoder = Decoder::new(&plan, &driftline_ingest::Limits::default());
    for index in 0..400i64 {
        let (x, kind) = ((index * 7919) % 1000, ["a", "b", "c"][(index % 3) as usize]);
        let score = ((index * 104_729) % 997) as f64 / 997.0;
        let value = format!(
            r#"{{"v":1,"ts":{},"features":{{"x":{x},"kind":"{kind}"}},"prediction":{{"score":{score}}}}}"#,
            T0 / 1000
        );
        decoder.decode(&Record { value: Some(value.as_bytes()), offset: index, time_us: Some(T0) });
    }
    let batch = decoder.take().unwrap().rows.remove(0).rows;
    let options = BuildOptions {
        cut_points: CutPoints::AtMost(16),
        own_windows: None,
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let mut builder = Builder::new(schema, options).unwrap();
    builder.observe(&batch);
    let mut counting = builder.choose();
    counting.count(&batch);
    counting.finish("simulation").unwrap().baseline.to_json()
}
