//! The log decides: whatever the batches, the interleaving and the crashes, the same log gives the
//! same reports, the same ledger and the same decisions.

mod damage;
mod hostile;
mod stories;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftline_analytics::baseline::build::{BuildOptions, Builder, CutPoints};
use driftline_config::capture::{CaptureSchema, Column, Kind};
use driftline_config::time::{HOUR_US, MINUTE_US};
use driftline_config::{Config, Limits};
use driftline_ingest::{
    Chunk, Decoder, Event as Read, Fingerprint, ModelPlan, ModelRows, Record, TopicPlan,
};
use proptest::prelude::*;

use super::ledger::Counts;
use super::*;
use crate::checkpoint::Store;
use crate::inline::Inline;
use crate::setup::Setup;

const T0: i64 = 1_767_571_200_000_000; // 2026-01-05T00:00:00Z, a Monday
const PARTITIONS: i32 = 3;

const CONFIG: &str = r#"
state: state
kafka: {bootstrap: "localhost:1"}
alerts: {max_age: off}
models:
  - name: one
    captures: {topic: shared}
    baseline: one.json
    window: {every: 1h, lateness: 5m, idle: off, at_least: 20, at_most: 4h}
    errors: {objective: 0.99}
  - name: two
    captures: {topic: shared}
    baseline: two.json
    window: {every: 2h, lateness: 10m, idle: off, at_least: 1}
receivers:
  - {name: mail, email: {folder: mails, from: a@example.org, to: [b@example.org]}}
"#;

/// One record of the log: its value and its Kafka timestamp.
type Entry = (String, i64);
type Log = BTreeMap<i32, Vec<Entry>>;

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
    let plan = plan_of(&[("any", schema.clone())]);
    let mut decoder = Decoder::new(&plan, &driftline_ingest::Limits::default());
    for index in 0..2000i64 {
        let value = capture("any", T0, index, 0);
        let record = Record { value: Some(value.as_bytes()), offset: index, time_us: Some(T0) };
        decoder.decode(&record);
    }
    let batch = decoder.take().unwrap().rows.remove(0).rows;
    let options = BuildOptions {
        cut_points: CutPoints::AtMost(64),
        own_windows: None,
        held_out_predictions: true,
        limits: Limits::default(),
    };
    let mut builder = Builder::new(schema, options).unwrap();
    builder.observe(&batch);
    let mut counting = builder.choose();
    counting.count(&batch);
    counting.finish("test").unwrap().baseline.to_json()
}

fn capture(model: &str, time_us: i64, index: i64, shift: i64) -> String {
    let x = (index * 7919) % 1000 + shift;
    let kind = ["a", "b", "c"][(index % 3) as usize];
    let score = ((index * 104_729) % 997) as f64 / 997.0;
    let status = if index % 50 == 7 { 500 } else { 200 };
    format!(
        r#"{{"v":1,"model":"{model}","version":"1","id":"{model}-{index}","ts":{},"latency_us":{},"status":{status},"features":{{"x":{x},"kind":"{kind}"}},"prediction":{{"score":{score}}}}}"#,
        time_us / 1000,
        1000 + index % 100
    )
}

fn plan_of(models: &[(&str, CaptureSchema)]) -> TopicPlan {
    let models = models.iter().map(|(name, schema)| ModelPlan {
        name: (*name).to_owned(),
        schema: schema.clone(),
        max_ahead_us: HOUR_US,
    });
    let start = driftline_config::Start::Earliest;
    TopicPlan { topic: "shared".into(), models: models.collect(), start }
}

/// A log with two models, an unconfigured one, broken envelopes, late rows and disorder; ended by
/// heartbeats that close everything.
fn log(rows: i64, seed: i64) -> Log {
    let mut log = Log::new();
    let mut put = |partition: i32, value: String, time_us: i64| {
        log.entry(partition).or_default().push((value, time_us));
    };
    for index in 0..rows {
        let partition = ((index * 31 + seed) % i64::from(PARTITIONS)) as i32;
        let now_us = T0 + index * MINUTE_US;
        let disorder_us = ((index * 17 + seed) % 4) * MINUTE_US;
        let model = if (index + seed) % 3 == 0 { "two" } else { "one" };
        let shift = if index > rows / 2 { 400 } else { 0 };
        match (index + seed) % 41 {
            7 => put(partition, "{\"v\":1,\"model\":\"one\"".into(), now_us),
            11 => put(partition, capture("nobody", now_us, index, 0), now_us),
            13 => put(partition, capture(model, now_us - 5 * HOUR_US, index, 0), now_us),
            _ => put(partition, capture(model, now_us - disorder_us, index, shift), now_us),
        }
    }
    let end_us = T0 + rows * MINUTE_US + 24 * HOUR_US;
    for partition in 0..PARTITIONS {
        let beat = format!(r#"{{"v":1,"ts":{},"heartbeat":true}}"#, end_us / 1000);
        put(partition, beat, end_us);
    }
    log
}

/// Everything that a run decides.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    reports: BTreeMap<String, String>,
    transitions: Vec<String>,
    ledger: Counts,
    per_model: Vec<(u64, u64)>,
}

struct Bench {
    config: Config,
    setups: Vec<Arc<Setup>>,
    plan: TopicPlan,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(CONFIG)
    }

    fn of(text: &str) -> Bench {
        let path = std::path::Path::new("driftline.yaml");
        let config = Config::parse(text, path, &|_| None).unwrap();
        let file = baseline();
        let setups: Vec<Arc<Setup>> = config
            .models
            .iter()
            .map(|model| {
                let files = [("default".to_owned(), file.clone())].into();
                Arc::new(Setup::new(model.clone(), files, &config.limits).unwrap())
            })
            .collect();
        let models: Vec<(&str, CaptureSchema)> = setups
            .iter()
            .map(|setup| (setup.model.name.as_str(), setup.layout.schema().clone()))
            .collect();
        let plan = plan_of(&models);
        Bench { config, setups, plan }
    }

    fn pipeline(&self) -> Pipeline {
        let settings = Settings {
            rules: Rules::new(&self.config.alerts),
            repeats: RepeatRules::new(&self.config.alerts),
            messages: Messages::new(&self.config, BTreeMap::new()),
            open_windows_limit: 64,
            outbox_limit: 100_000,
        };
        let units = self.setups.iter().map(|setup| Unit::new(Arc::clone(setup), 0, T0));
        let mut pipeline = Pipeline::new(settings, vec!["shared".to_owned()], units.collect());
        pipeline.handle(Event::Read(Read::Partitions { topic: 0, count: PARTITIONS }), T0);
        pipeline
    }

    /// The records `[from, to)` of a partition, as the readers would give them.
    fn chunk(&self, log: &Log, partition: i32, from: usize, to: usize) -> Chunk {
        let mut decoder = Decoder::new(&self.plan, &driftline_ingest::Limits::default());
        for (offset, (value, time_us)) in log[&partition].iter().enumerate().take(to).skip(from) {
            decoder.decode(&Record {
                value: Some(value.as_bytes()),
                offset: offset as i64,
                time_us: Some(*time_us),
            });
        }
        let decoded = decoder.take().unwrap();
        let rows: Vec<ModelRows> = decoded.rows;
        Chunk {
            topic: 0,
            partition,
            from: from as i64,
            to: to as i64,
            records: (to - from) as u64,
            rows,
            marks: decoded.marks,
            skipped_names: decoded.skipped_names,
            fingerprint: Some(Fingerprint { offset: to as i64 - 1, hash: 1 }),
            last_record_us: Some(log[&partition][to - 1].1),
            producer_timestamps: true,
            ..Chunk::default()
        }
    }

    /// Feeds the log in stretches of random length from random partitions; where `crashes` says so,
    /// the process is lost and another one continues from what was committed.
    fn run(&self, log: &Log, choices: &[(u8, u16)], crashes: &[bool]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Duration::ZERO, false).unwrap();
        let mut inline = Inline::new(self.pipeline());
        let mut outcome = Outcome::default();
        let mut at: BTreeMap<i32, usize> =
            (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        let mut steps = 0;
        let choices = choices.iter().cycle();
        let mut crashes = crashes.iter().cycle();
        for &(choice, length) in choices {
            let open: Vec<i32> =
                at.iter().filter(|(p, at)| **at < log[*p].len()).map(|(p, _)| *p).collect();
            let Some(&partition) = open.get(choice as usize % open.len().max(1)) else { break };
            let from = at[&partition];
            let to = (from + 1 + length as usize).min(log[&partition].len());
            let chunk = self.chunk(log, partition, from, to);
            let mut keep = |snapshot: &Snapshot| {
                store.commit(snapshot).unwrap();
            };
            inline.feed_keeping(Event::Read(Read::Chunk(chunk)), T0, &mut keep);
            at.insert(partition, to);
            // The clock asks for a snapshot now and then: without one a restart would stand still.
            steps += 1;
            if steps % 3 == 0 {
                inline.commit(T0, &mut keep);
            }
            if *crashes.next().unwrap_or(&false) {
                collect(&inline, &mut outcome);
                inline = Inline::new(self.pipeline());
                let saved = store.load(&|_| false).unwrap();
                let effects = inline.pipeline.restore(&saved, &self.config.limits).unwrap();
                assert!(effects.iter().all(|effect| matches!(effect, Effect::Deliver(_))));
                inline.feed_keeping(Event::Tick, T0, &mut |snapshot| {
                    store.commit(snapshot).unwrap();
                });
                // The readers continue at the committed positions: some records come again.
                for (partition, at) in &mut at {
                    let facts = inline.pipeline.topics().next().unwrap().1;
                    *at = facts.position(*partition) as usize;
                }
            }
        }
        collect(&inline, &mut outcome);
        let (_, facts) = inline.pipeline.topics().next().unwrap();
        outcome.ledger = facts.ledger.total();
        for unit in inline.pipeline.units() {
            outcome.per_model.push((unit.facts.counted, unit.facts.late));
            let logged = unit.facts.transitions.iter();
            outcome.transitions.extend(logged.map(|logged| logged.transition.id.clone()));
        }
        outcome
    }
}

fn collect(inline: &Inline, outcome: &mut Outcome) {
    for (report, json) in &inline.reports {
        let before = outcome.reports.insert(report.window.id.clone(), json.clone());
        assert!(
            before.is_none_or(|before| before == *json),
            "a report was published twice, differently"
        );
    }
}

#[test]
fn the_ledger_balances_to_zero_and_knows_every_record() {
    let bench = Bench::new();
    let log = log(900, 5);
    let records: usize = log.values().map(Vec::len).sum();
    let outcome = bench.run(&log, &[(0, 40), (1, 7), (2, 90)], &[false]);
    assert_eq!(outcome.ledger.imbalance(), 0);
    assert_eq!(outcome.ledger.read, records as u64);
    assert_eq!(outcome.ledger.control, PARTITIONS as u64);
    for (outcome, what) in [
        (outcome.ledger.rejected, "rejected"),
        (outcome.ledger.skipped, "skipped"),
        (outcome.ledger.late, "late"),
    ] {
        assert!(outcome > 10, "{what}: {outcome}");
    }
    let (counted, late) =
        outcome.per_model.iter().fold((0, 0), |sum, model| (sum.0 + model.0, sum.1 + model.1));
    assert_eq!((counted, late), (outcome.ledger.counted, outcome.ledger.late));
}

#[test]
fn strips_of_consecutive_windows_tile_the_log() {
    let bench = Bench::new();
    let outcome = bench.run(&log(900, 1), &[(0, 13), (2, 5), (1, 60)], &[false]);
    let mut cuts: BTreeMap<(String, i32), i64> = BTreeMap::new();
    for json in outcome.reports.values() {
        let report = driftline_analytics::report::Report::from_json(json).unwrap();
        let ledger = report.window.ledger;
        let parts =
            ledger.counted + ledger.late + ledger.rejected + ledger.skipped + ledger.control;
        assert_eq!(ledger.read, parts, "{}", report.window.id);
        for (&partition, cut) in &report.window.cuts["shared"] {
            let before = cuts.insert((report.model.clone(), partition), cut.to).unwrap_or(0);
            assert_eq!(cut.from, before, "{} partition {partition}", report.window.id);
        }
    }
}

#[test]
fn the_shift_is_found_and_told() {
    let bench = Bench::new();
    let outcome = bench.run(&log(900, 0), &[(0, 100), (1, 100), (2, 100)], &[false]);
    assert!(!outcome.transitions.is_empty());
    assert!(outcome.reports.values().any(|json| json.contains("\"level\":\"alarm\"")));
}

/// The checkpoint is lost in the middle of several windows; all but positions is counted again.
#[test]
fn a_rebuild_counts_the_open_windows_again_and_leaves_closed_ones_closed() {
    let bench = Bench::new();
    let log = log(900, 3);
    let plain = bench.run(&log, &[(0, 50), (1, 50), (2, 50)], &[false]);
    let feed = |inline: &mut Inline, partition: i32, from: usize, to: usize| {
        let chunk = bench.chunk(&log, partition, from, to);
        inline.feed(Event::Read(Read::Chunk(chunk)), T0);
    };
    let folder = tempfile::tempdir().unwrap();
    let open = |rebuild| Store::open(folder.path(), Duration::ZERO, rebuild).unwrap();
    let store = open(false);
    let mut before = Inline::new(bench.pipeline());
    for partition in 0..PARTITIONS {
        let half = log[&partition].len() / 2 + 7 * partition as usize;
        feed(&mut before, partition, 0, half);
    }
    let mut last = None;
    before.commit(T0, &mut |snapshot| last = Some(store.commit(snapshot).unwrap()));
    assert!(last.is_some(), "something was open");
    let reported: Vec<String> =
        before.reports.iter().map(|(report, _)| report.window.id.clone()).collect();
    drop(store);

    let store = open(true);
    let mut again = Inline::new(bench.pipeline());
    again.pipeline.begin_again(&store.load_aside().unwrap().unwrap()).unwrap();
    for partition in 0..PARTITIONS {
        let from = again.pipeline.topics().next().unwrap().1.position(partition);
        let behind = before.pipeline.topics().next().unwrap().1.position(partition) - from;
        assert!(behind > 0, "partition {partition} is read from the windows' first rows again");
        feed(&mut again, partition, from as usize, log[&partition].len());
    }
    let mut found = Outcome::default();
    collect(&again, &mut found);
    let known: std::collections::BTreeSet<&String> =
        reported.iter().chain(found.reports.keys()).collect();
    assert_eq!(known, plain.reports.keys().collect(), "no window is missing");
    for (id, json) in &found.reports {
        assert!(!reported.contains(id), "{id} is reported a second time");
        let counted = |json: &str| {
            let report = driftline_analytics::report::Report::from_json(json).unwrap();
            (report.window.rows, report.window.complete, report.versions, report.status)
        };
        assert_eq!(counted(json), counted(&plain.reports[id]), "{id}");
    }
}

/// Classes and states of what was decided, by model.
fn told(inline: &Inline) -> Vec<(String, &'static str, &'static str)> {
    let mut told = Vec::new();
    for unit in inline.pipeline.units() {
        told.extend(unit.facts.transitions.iter().map(|logged| {
            let transition = &logged.transition;
            (unit.name().to_owned(), transition.class.name(), transition.state.name())
        }));
    }
    told
}

#[test]
fn trouble_that_lasts_is_told_once_by_the_first_model_of_the_topic() {
    let bench = Bench::new();
    let mut inline = Inline::new(bench.pipeline());
    let trouble =
        || Read::Trouble { topic: Some(0), message: "no such topic".into(), fatal: false };
    let at = |minutes: i64| T0 + minutes * MINUTE_US;
    inline.feed(Event::Read(trouble()), at(0));
    inline.feed(Event::Tick, at(4));
    assert_eq!(told(&inline), [], "a broker that restarts is back by now");
    // Said again, it is still the same trouble.
    inline.feed(Event::Read(trouble()), at(4));
    inline.feed(Event::Tick, at(5));
    inline.feed(Event::Tick, at(6));
    let firing = ("one".to_owned(), "driftline", "firing");
    assert_eq!(told(&inline), std::slice::from_ref(&firing));
    let because = &inline.pipeline.units()[0].facts.transitions[0].transition.subjects[0].because;
    assert_eq!(because, "shared has not been read for 5m: no such topic");
    inline.feed(Event::Read(Read::Recovered { topic: Some(0) }), at(7));
    inline.feed(Event::Tick, at(7));
    assert_eq!(told(&inline), [firing, ("one".to_owned(), "driftline", "resolved")]);

    let refused =
        |trouble: Option<&str>| Event::DeadLetters { trouble: trouble.map(str::to_owned) };
    inline.feed(refused(Some("topic authorization failed")), at(10));
    inline.feed(Event::Tick, at(15));
    inline.feed(refused(None), at(16));
    inline.feed(Event::Tick, at(16));
    assert_eq!(told(&inline).len(), 4, "{:?}", told(&inline));
}

#[test]
fn a_candidate_that_cannot_be_scored_is_an_incident_of_its_model() {
    let candidates = "window: {every: 2h, lateness: 10m, idle: off, at_least: 1}\n    shadow:\n      \
                      - {name: next, onnx: next.onnx, sha256: \"SHA\", inputs: [x]}\n      \
                      - {name: other, onnx: next.onnx, sha256: \"SHA\", inputs: [x]}";
    let candidates = candidates.replace("SHA", &"0".repeat(64));
    let shadow =
        CONFIG.replace("window: {every: 2h, lateness: 10m, idle: off, at_least: 1}", &candidates);
    let bench = Bench::of(&shadow);
    let mut inline = Inline::new(bench.pipeline());
    let mut loaded = |name: &str, problem: Option<&str>, now_us: i64| {
        let problem = problem.map(str::to_owned);
        inline.feed(Event::Candidate { unit: 1, candidate: name.to_owned(), problem }, now_us);
        inline.feed(Event::Tick, now_us);
        told(&inline)
    };
    assert_eq!(loaded("next", Some("another sha256"), T0), [], "the other is being loaded");
    let firing = ("two".to_owned(), "candidate", "firing");
    assert_eq!(loaded("other", None, T0 + 1), std::slice::from_ref(&firing));
    let resolved = ("two".to_owned(), "candidate", "resolved");
    assert_eq!(loaded("next", None, T0 + 2), [firing, resolved]);
}

/// A candidate of `two` that cannot be scored, told to an Alertmanager.
fn alerting(receiver: &str) -> Bench {
    let shadow = format!(
        "baseline: two.json\n    shadow: [{{name: next, onnx: n.onnx, sha256: \"{}\", inputs: [x]}}]",
        "0".repeat(64)
    );
    let text = CONFIG.replace("baseline: two.json", &shadow);
    Bench::of(&format!("{text}  - {{name: {receiver}, alertmanager: {{url: \"http://a:1\"}}}}\n"))
}

fn cannot_be_scored(inline: &mut Inline, keep: &mut dyn FnMut(&Snapshot)) {
    let problem = Some("another sha256".to_owned());
    let event = Event::Candidate { unit: 1, candidate: "next".to_owned(), problem };
    inline.feed_keeping(event, T0, keep);
    inline.feed_keeping(Event::Tick, T0, keep);
    inline.commit(T0, keep);
}

#[test]
fn an_alert_ends_once_it_is_accepted_even_where_the_outbox_is_full() {
    let mut inline = Inline::new(alerting("am").pipeline());
    cannot_be_scored(&mut inline, &mut |_| {});
    inline.pipeline.outbox_limit = 0;
    let incident = inline.pipeline.units()[1].facts.alerts.incidents().next().unwrap().id.clone();
    let (by, reason) = ("on-call".to_owned(), "known".to_owned());
    let acceptance = driftline_alerting::Acceptance { by, reason, at_us: T0 };
    inline.feed(Event::Accept { incident, acceptance }, T0);
    inline.commit(T0, &mut |_| {});
    let alerts = inline.messages.iter().filter(|row| row.receiver == "am");
    let ends: Vec<bool> = alerts.map(|row| row.kind.ends_an_alert()).collect();
    assert_eq!(ends, [false, true]);
}

#[test]
fn an_alert_that_nothing_would_end_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Duration::ZERO, false).unwrap();
    let mut inline = Inline::new(alerting("am").pipeline());
    // As if the process had ended before the alert was taken.
    let mut was_last = false;
    cannot_be_scored(&mut inline, &mut |snapshot| {
        if !was_last {
            store.commit(snapshot).unwrap();
        }
        was_last |= !snapshot.outbox.is_empty();
    });
    let saved = store.load(&|_| false).unwrap();
    let sent_again = |bench: &Bench| {
        let effects = bench.pipeline().restore(&saved, &bench.config.limits).unwrap();
        let delivered = effects.iter().filter_map(|effect| match effect {
            Effect::Deliver(item) => serde_json::from_str(&item.body).ok(),
            _ => None,
        });
        let alert = |body: &crate::messages::OutboxBody| match body {
            crate::messages::OutboxBody::Message(row) => row.kind.alert().is_some(),
            crate::messages::OutboxBody::Report { .. } => false,
        };
        delivered.filter(alert).count()
    };
    assert_eq!(sent_again(&alerting("am")), 1);
    assert_eq!(sent_again(&alerting("other")), 0, "its receiver is not told any more");
    let mut without = alerting("am");
    without.setups.truncate(1);
    assert_eq!(sent_again(&without), 0, "its model is not watched any more");
}

fn forget_unnamed(store: &Store, pipeline: &mut Pipeline) {
    let names = crate::monitor::prune::forget_unnamed(store, pipeline.unused_names()).unwrap();
    pipeline.forget_names(&names);
}

/// They once stayed for ever.
#[test]
fn settings_are_kept_while_a_report_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Duration::ZERO, false).unwrap();
    let log = log(900, 3);
    let run = |bench: &Bench| {
        let mut inline = Inline::new(bench.pipeline());
        let saved = store.load(&|_| false).unwrap();
        inline.pipeline.restore(&saved, &bench.config.limits).unwrap();
        let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
        for partition in 0..PARTITIONS {
            let from = inline.pipeline.topics().next().unwrap().1.position(partition) as usize;
            let to = (from + 200).min(log[&partition].len());
            let chunk = bench.chunk(&log, partition, from, to);
            inline.feed_keeping(Event::Read(Read::Chunk(chunk)), T0, &mut keep);
        }
        inline.commit(T0, &mut keep);
        inline.pipeline
    };
    let names = || store.load(&|_| false).unwrap().named.into_keys().collect::<BTreeSet<String>>();
    drop(run(&Bench::new()));
    let first = names();
    let mut pipeline = run(&Bench::of(&CONFIG.replace("at_least: 20", "at_least: 21")));
    let both = names();
    assert!(both.len() == first.len() + 1 && both.is_superset(&first), "{both:?}");

    forget_unnamed(&store, &mut pipeline);
    assert_eq!(names(), both, "reports name both");
    store.prune_reports(i64::MAX, 0, 0).unwrap();
    forget_unnamed(&store, &mut pipeline);
    assert_eq!(names().len(), both.len() - 1, "the settings of before are gone");
    let bench = Bench::of(&CONFIG.replace("at_least: 20", "at_least: 21"));
    bench.pipeline().restore(&store.load(&|_| false).unwrap(), &bench.config.limits).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Batches, partitions and their order are accidents of reading.
    #[test]
    fn any_interleaving_gives_the_same_reports(
        seed in 0i64..50,
        choices in prop::collection::vec((0u8..3, 0u16..120), 1..40),
    ) {
        let bench = Bench::new();
        let log = log(400, seed);
        let plain = bench.run(&log, &[(0, u16::MAX)], &[false]);
        let other = bench.run(&log, &choices, &[false]);
        prop_assert_eq!(plain, other);
    }

    /// A crash at any point and a restart from what was committed change nothing.
    #[test]
    fn a_crash_changes_nothing(
        seed in 0i64..50,
        choices in prop::collection::vec((0u8..3, 20u16..120), 1..40),
        crashes in prop::collection::vec(prop::bool::weighted(0.3), 1..20),
    ) {
        let bench = Bench::new();
        let log = log(400, seed);
        let plain = bench.run(&log, &[(0, u16::MAX)], &[false]);
        let crashed = bench.run(&log, &choices, &crashes);
        prop_assert_eq!(plain, crashed);
    }
}
