//! Models that a template makes of names as they come: the same as models with a section each, whenever they
//! are met, and none in the way of another.

mod flood;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use driftline_config::time::{HOUR_US, MINUTE_US, SECOND_US};
use driftline_config::{Config, TopicId, TopicPartition};
use driftline_formats::{Decoder, ModelPlan, Outcome, RecordLimits, TopicLayout};
use driftline_pipeline::inline::Inline;
use driftline_pipeline::setup::{BaselineFile, DEFAULT_BASELINE, Setup};
use driftline_pipeline::{Event, Pipeline, Read, Settings};
use driftline_world::{LATER, Log, Stretch, T0, at, baseline, capture, heartbeat};
use fastrand::Rng;

use crate::simulation::store::MemoryStore;

const PARTITIONS: i32 = 3;
const MODELS: usize = 12;
const TEMPLATE: &str = r#"
kafka: {bootstrap: "localhost:1"}
models:
  - match: "fraud-.*"
    captures: {topic: scores, max_ahead: 36500d}
    baseline: "baselines/{model}.json"
    window: {every: 1h, lateness: 5m, idle: off, at_least: 20, at_most: 4h}
    operations: {every: 10m, lateness: 1m}
"#;

fn parsed(yaml: &str) -> Config {
    Config::parse(yaml, Path::new("/etc/driftline.yaml"), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The configuration of the template, with each of these names in a section of its own.
fn with_sections(names: &[String]) -> Config {
    let (head, common) = TEMPLATE.split_once("  - match: \"fraud-.*\"\n").unwrap();
    let section = |name: &String| format!("  - name: {name}\n{}", common.replace("{model}", name));
    parsed(&format!("{head}{}", names.iter().map(section).collect::<String>()))
}

/// What makes models of names, as the service has it: which file is a model's follows from its name.
struct Maker {
    config: Config,
    file: Arc<BaselineFile>,
}

impl Maker {
    fn new(config: Config) -> Maker {
        let file = BaselineFile::parse(baseline(500, 64)).unwrap();
        Maker { config, file: Arc::new(file) }
    }

    fn setup(&self, name: &str) -> Option<Arc<Setup>> {
        let model = self.config.model(name)?.into_owned();
        assert!(model.baseline[DEFAULT_BASELINE].ends_with(format!("baselines/{name}.json")));
        let files = [(DEFAULT_BASELINE.to_owned(), Arc::clone(&self.file))].into();
        Some(Arc::new(Setup::new(model, files, &self.config.limits).unwrap()))
    }
}

fn plan(setup: &Setup) -> ModelPlan {
    ModelPlan::new(&setup.model, setup.layout.schema().clone())
}

/// A process that reads the log: decoders, and the pipeline over them.
struct Service<'a> {
    maker: &'a Maker,
    layout: Arc<TopicLayout>,
    pipeline: Inline,
    store: MemoryStore,
}

impl<'a> Service<'a> {
    /// A process that goes on from what the store has.
    fn start(maker: &'a Maker, partitions: i32, store: MemoryStore) -> Service<'a> {
        let sections: Vec<Arc<Setup>> =
            maker.config.models.iter().map(|model| maker.setup(&model.name).unwrap()).collect();
        let plans: Vec<ModelPlan> = sections.iter().map(|setup| plan(setup)).collect();
        let mut layout = TopicLayout::new(&plans);
        for template in &maker.config.templates {
            layout = layout.with_template(&ModelPlan::new(template.common(), Default::default()));
        }
        let settings = Settings::new(&maker.config, BTreeMap::new(), T0);
        let pipeline = Inline::new(Pipeline::new(settings, sections));
        let mut service = Service { maker, layout: Arc::new(layout), pipeline, store };
        let saved = service.store.load();
        for kept in saved.models() {
            if !service.layout.knows(&kept.name) {
                service.meet(&kept.name, LATER);
            }
        }
        service.pipeline.pipeline.restore(&saved, &maker.config.limits).unwrap();
        let told = Read::Partitions { topic: TopicId(0), count: partitions };
        service.feed(Event::Read(told), LATER);
        service
    }

    /// A name that no model has: the template makes one of it, or none.
    fn meet(&mut self, name: &str, now_us: i64) -> bool {
        let Some(setup) = self.maker.setup(name) else { return false };
        self.layout = Arc::new(self.layout.with_model(&plan(&setup)));
        self.feed(Event::Appeared { topic: TopicId(0), setup }, now_us);
        true
    }

    fn feed(&mut self, event: Event, now_us: i64) {
        let store = &mut self.store;
        self.pipeline.feed_keeping(event, now_us, &mut |snapshot| _ = store.commit(snapshot));
    }

    fn commit(&mut self, now_us: i64) {
        let store = &mut self.store;
        self.pipeline.commit(now_us, &mut |snapshot| _ = store.commit(snapshot));
    }

    fn position(&self, at: TopicPartition) -> usize {
        let facts = self.pipeline.pipeline.topic(at.topic).unwrap();
        facts.position(at.partition) as usize
    }

    /// Reads so many records on in a partition; how many there were.
    fn read(&mut self, log: &Log, at: TopicPartition, records: usize, now_us: i64) -> usize {
        let from = self.position(at);
        let to = log.len(at.partition.0).min(from + records);
        if from == to {
            return 0;
        }
        let entries = log.entries(at.partition.0, from, to);
        let mut decoder = Decoder::with_layout(Arc::clone(&self.layout), &RecordLimits::default());
        let mut refused = Vec::new();
        for entry in entries {
            while let Outcome::NeedsModel(name) = decoder.decode(&entry.record()) {
                if self.meet(&name, now_us) {
                    decoder.take_up(Arc::clone(&self.layout));
                } else {
                    decoder.refuse(&name);
                    refused.push(name);
                }
            }
        }
        decoder.take().unwrap();
        refused.iter().for_each(|name| decoder.refuse(name));
        let (from, to) = (from as i64, to as i64);
        let stretch = Stretch { at, from, to, producer_timestamps: true };
        let chunk = stretch.decode(&mut decoder, entries);
        self.feed(Event::Read(Read::Chunk(chunk)), now_us);
        entries.len()
    }

    /// The reports so far, by window.
    fn reports(&self) -> BTreeMap<String, String> {
        let reports = self.pipeline.reports.iter();
        reports.map(|(report, json)| (report.window.id.as_str().to_owned(), json.clone())).collect()
    }
}

/// Eight hours of a dozen models, the first of which come at once and the last in the fourth hour; names that
/// match nothing, records that are none, and heartbeats for one and for all.
fn log() -> (Log, Vec<String>) {
    let mut log = Log::new(PARTITIONS);
    let names: Vec<String> = (0..MODELS).map(|number| format!("fraud-{number:02}")).collect();
    for step in 0..2400_i64 {
        let time_us = T0 + step * 12 * SECOND_US;
        let number = (step * 7) as usize % MODELS;
        let partition = ((step * 5) % i64::from(PARTITIONS)) as i32;
        if step as usize >= number * 100 {
            let shift = if step > 1200 { 600 } else { 0 };
            log.push(partition, capture(&names[number], time_us, step, shift), time_us);
        }
        match step % 40 {
            3 => log.push(partition, capture("churn", time_us, step, 0), time_us),
            11 => log.push(partition, "{", time_us),
            19 => log.push(partition, heartbeat(None, time_us), time_us),
            27 => log.push(partition, heartbeat(Some(&names[number]), time_us), time_us),
            _ => {}
        }
    }
    for beat_us in driftline_world::closing_times_us(T0 + 12 * HOUR_US) {
        for name in &names {
            log.push_everywhere(&heartbeat(Some(name), beat_us), beat_us);
        }
    }
    (log, names)
}

/// The log read to its end in stretches that `rng` chooses, by processes that end where it says so; everything
/// that was reported, and the last process.
fn run<'a>(
    maker: &'a Maker,
    log: &Log,
    mut rng: Option<Rng>,
) -> (BTreeMap<String, String>, Service<'a>) {
    let mut reports = BTreeMap::new();
    let mut service = Service::start(maker, PARTITIONS, MemoryStore::default());
    let places: Vec<TopicPartition> = log.partitions().iter().map(|of| at(0, *of)).collect();
    loop {
        let open: Vec<TopicPartition> = places
            .iter()
            .copied()
            .filter(|at| service.position(*at) < log.len(at.partition.0))
            .collect();
        let (Some(first), true) = (open.first(), !open.is_empty()) else { break };
        match &mut rng {
            None => _ = service.read(log, *first, 50, LATER),
            Some(rng) => {
                let place = open[rng.usize(..open.len())];
                service.read(log, place, rng.usize(1..120), LATER);
                if rng.u8(..12) == 0 {
                    service.commit(LATER);
                }
                if rng.u8(..40) == 0 {
                    reports.extend(service.reports());
                    service = Service::start(maker, PARTITIONS, service.store);
                }
            }
        }
    }
    service.feed(Event::Tick, LATER);
    reports.extend(service.reports());
    (reports, service)
}

/// A model that appeared had windows, ledgers and cuts that depended on when it was met: another order of
/// reading, or a restart, gave another report.
#[test]
fn a_model_that_appears_is_as_if_it_had_been_there_since_the_beginning() {
    let (log, names) = log();
    // What heartbeats for all say to models with sections, those of a template hear once they are met.
    let maker = Maker::new(parsed(TEMPLATE));
    let (expected, service) = run(&maker, &log, None);
    let found: Vec<&str> = service.pipeline.pipeline.models().map(|model| model.name()).collect();
    assert_eq!(found.len(), MODELS, "all are listed: {found:?}");
    for name in &names {
        let windows = expected.keys().filter(|id| id.starts_with(&format!("{name}@"))).count();
        assert!(windows >= 2, "{name} has {windows} reports");
    }
    assert!(expected.values().any(|report| report.contains(r#""level":"alarm""#)));
    let skipped = &service.pipeline.pipeline.topic(TopicId(0)).unwrap().ledger.skipped_names;
    assert_eq!(skipped.keys().collect::<Vec<_>>(), ["churn"], "as before");
    let seeds = std::env::var("DRIFTLINE_TEMPLATE_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 0..seeds.unwrap_or(40) {
        let (reports, _) = run(&maker, &log, Some(Rng::with_seed(seed)));
        assert_eq!(reports.len(), expected.len(), "seed {seed}");
        for (id, report) in &expected {
            assert_eq!(reports.get(id), Some(report), "seed {seed}: {id}");
        }
    }
}

/// The same models with a section each say the same, where no heartbeat is for all.
#[test]
fn a_model_of_a_template_reports_what_one_with_a_section_does() {
    let (mixed, names) = log();
    let mut log = Log::new(PARTITIONS);
    for partition in mixed.partitions() {
        for entry in mixed.entries(partition, 0, mixed.len(partition)) {
            let value = entry.value.clone().unwrap();
            let for_all = value.ends_with(br#""heartbeat":true}"#)
                && !value.windows(7).any(|part| part == br#""model""#);
            if !for_all {
                log.push(partition, value, entry.time_us.unwrap());
            }
        }
    }
    let (template, sections) = (Maker::new(parsed(TEMPLATE)), Maker::new(with_sections(&names)));
    let (of_template, _) = run(&template, &log, Some(Rng::with_seed(7)));
    let (of_sections, _) = run(&sections, &log, None);
    assert!(of_sections.len() > 2 * MODELS);
    assert_eq!(of_template, of_sections);
}

/// Records of a name were skipped because its baseline was missing. Once there is one, windows that lack them
/// say so.
#[test]
fn what_was_skipped_before_a_model_could_be_made_is_told() {
    let mut log = Log::new(1);
    for index in 0..400 {
        let time_us = T0 + index * MINUTE_US;
        log.push(0, capture("fraud-late", time_us, index, 0), time_us);
    }
    for beat_us in driftline_world::closing_times_us(T0 + 12 * HOUR_US) {
        log.push(0, heartbeat(Some("fraud-late"), beat_us), beat_us);
    }
    let (without, with) =
        (Maker::new(parsed(&TEMPLATE.replace("fraud-", "churn-"))), Maker::new(parsed(TEMPLATE)));
    let mut service = Service::start(&without, 1, MemoryStore::default());
    service.read(&log, at(0, 0), 150, LATER);
    service.commit(LATER);
    let mut service = Service::start(&with, 1, service.store);
    while service.read(&log, at(0, 0), 50, LATER) > 0 {}
    let complete: Vec<(bool, u64)> = service
        .pipeline
        .reports
        .iter()
        .map(|(report, _)| (report.window.complete, report.window.rows))
        .collect();
    assert_eq!(complete[0], (false, 30), "half of its third hour was skipped: {complete:?}");
    assert!(complete[1..].iter().all(|(complete, _)| *complete), "{complete:?}");
}
