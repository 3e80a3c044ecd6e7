//! The log decides: whatever the batches, the interleaving and the crashes, the same log gives the
//! same reports, the same ledger and the same decisions.

mod damage;
mod hostile;
mod mutated;
mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use driftline_alerting::outbox::Silence;
use driftline_analytics::report::{Ledger, Report};
use driftline_capture::Chunk;
use driftline_config::time::{HOUR_US, MINUTE_US};
use driftline_config::{ModelId, Partition, TopicId, WindowId};
use driftline_pipeline::inline::Inline;
use driftline_pipeline::snapshot::{Saved, Snapshot};
use driftline_pipeline::{Effect, Event, Pipeline, Read};
use driftline_store::Store;
use driftline_world::{BASELINE_ROWS, LATER, Log, T0, World, at, capture, heartbeat};
use proptest::prelude::*;

use crate::looks;

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
  - {name: job, on: [retrain], webhook: {url: "http://localhost:9/"}}
"#;

/// A log with two models, an unconfigured one, broken envelopes, late rows and disorder; ended by
/// heartbeats that close everything.
fn log(rows: i64, seed: i64) -> Log {
    let mut log = Log::new(PARTITIONS);
    for index in 0..rows {
        let partition = ((index * 31 + seed) % i64::from(PARTITIONS)) as i32;
        let now_us = T0 + index * MINUTE_US;
        let disorder_us = ((index * 17 + seed) % 4) * MINUTE_US;
        let model = if (index + seed) % 3 == 0 { "two" } else { "one" };
        let shift = if index > rows / 2 { 400 } else { 0 };
        let value = match (index + seed) % 41 {
            7 => r#"{"v":1,"model":"one""#.to_owned(),
            11 => capture("nobody", now_us, index, 0),
            13 => capture(model, now_us - 12 * HOUR_US, index, 0),
            _ => capture(model, now_us - disorder_us, index, shift),
        };
        log.push(partition, value, now_us);
    }
    log.close(T0 + rows * MINUTE_US + 24 * HOUR_US);
    log
}

/// Everything that a run decides.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    reports: BTreeMap<WindowId, String>,
    transitions: Vec<String>,
    ledger: Ledger,
    per_model: Vec<(u64, u64)>,
}

struct Bench {
    world: World,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(CONFIG)
    }

    fn of(text: &str) -> Bench {
        static BASELINE: OnceLock<Vec<u8>> = OnceLock::new();
        let baseline = BASELINE.get_or_init(|| driftline_world::baseline(BASELINE_ROWS, 64));
        Bench { world: World::new(text, baseline) }
    }

    fn pipeline(&self) -> Pipeline {
        self.world.pipeline_over(PARTITIONS)
    }

    /// A pipeline that continues from what a store holds, and what is to be done at once.
    fn continued(&self, saved: &Saved) -> (Pipeline, Vec<Effect>) {
        let mut pipeline = self.pipeline();
        let effects = pipeline.restore(saved, &self.world.config.limits).unwrap();
        (pipeline, effects)
    }

    /// The records `[from, to)` of a partition, as the readers would give them.
    fn chunk(&self, log: &Log, partition: i32, from: usize, to: usize) -> Chunk {
        self.world.chunk(log, partition, from, to)
    }

    /// Feeds the log in stretches of random length from random partitions; where `crashes` says so,
    /// the process is lost and another one continues from what was committed.
    fn run(&self, log: &Log, choices: &[(u8, u16)], crashes: &[bool]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
        let mut inline = Inline::new(self.pipeline());
        let mut outcome = Outcome::default();
        let mut crashes = crashes.iter().cycle();
        for (step, &(choice, length)) in (1..).zip(choices.iter().cycle()) {
            let at = |partition: i32| looks::position(&inline.pipeline, partition);
            let mut unread = log.partitions();
            unread.retain(|partition| at(*partition) < log.len(*partition));
            let Some(&partition) = unread.get(choice as usize % unread.len().max(1)) else { break };
            let from = at(partition);
            let to = (from + 1 + length as usize).min(log.len(partition));
            let chunk = self.chunk(log, partition, from, to);
            inline.feed_keeping(Event::Read(Read::Chunk(chunk)), LATER, &mut keep);
            // The clock asks for a snapshot now and then: without one a restart would stand still.
            if step % 3 == 0 {
                inline.commit(LATER, &mut keep);
            }
            if *crashes.next().unwrap_or(&false) {
                collect(&inline, &mut outcome);
                // The readers continue at the committed positions: some records come again.
                let (pipeline, effects) = self.continued(&store.load(&|_| false).unwrap());
                assert!(effects.iter().all(|effect| matches!(effect, Effect::Deliver(_))));
                inline = Inline::new(pipeline);
                inline.feed_keeping(Event::Tick, LATER, &mut keep);
            }
        }
        collect(&inline, &mut outcome);
        outcome.ledger = looks::topic(&inline.pipeline).ledger.total();
        for model in inline.pipeline.models() {
            outcome.per_model.push((model.counted().counted, model.counted().late));
            let logged = model.decided().transitions.iter();
            outcome.transitions.extend(logged.map(|logged| logged.transition.id.clone()));
        }
        outcome
    }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, Duration::ZERO, false).unwrap()
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

/// Model, class and state of a transition.
type Line = (String, &'static str, &'static str);

fn line(model: &str, class: &'static str, state: &'static str) -> Line {
    (model.to_owned(), class, state)
}

/// What was decided, model after model.
fn told(inline: &Inline) -> Vec<Line> {
    let models = inline.pipeline.models();
    let told = models.flat_map(|model| {
        model.decided().transitions.iter().map(move |logged| {
            let transition = &logged.transition;
            line(model.name(), transition.class.name(), transition.state.name())
        })
    });
    told.collect()
}

#[test]
fn the_ledger_balances_to_zero_and_knows_every_record() {
    let bench = Bench::new();
    let log = log(2000, 5);
    let records = log.total();
    let outcome = bench.run(&log, &[(0, 40), (1, 7), (2, 90)], &[false]);
    assert_eq!(outcome.ledger.imbalance(), 0);
    assert_eq!(outcome.ledger.read, records as u64);
    assert_eq!(outcome.ledger.control, 96 * PARTITIONS as u64);
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
    let mut cuts: BTreeMap<(String, Partition), i64> = BTreeMap::new();
    for json in outcome.reports.values() {
        let report = Report::from_json(json).unwrap();
        let ledger = report.window.ledger;
        let parts = ledger.counted
            + ledger.late
            + ledger.ahead
            + ledger.rejected
            + ledger.skipped
            + ledger.control;
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
        inline.feed(Event::Read(Read::Chunk(chunk)), LATER);
    };
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut before = Inline::new(bench.pipeline());
    for partition in 0..PARTITIONS {
        let half = log.len(partition) / 2 + 7 * partition as usize;
        feed(&mut before, partition, 0, half);
    }
    let mut last = None;
    before.commit(LATER, &mut |snapshot| last = Some(store.commit(snapshot).unwrap()));
    assert!(last.is_some(), "something was open");
    let reported: Vec<WindowId> =
        before.reports.iter().map(|(report, _)| report.window.id.clone()).collect();
    drop(store);

    let store = Store::open(folder.path(), Duration::ZERO, true).unwrap();
    let mut again = Inline::new(bench.pipeline());
    again.pipeline.begin_again(&store.load_aside().unwrap().unwrap()).unwrap();
    for partition in 0..PARTITIONS {
        let from = looks::position(&again.pipeline, partition);
        let behind = looks::position(&before.pipeline, partition) - from;
        assert!(behind > 0, "partition {partition} is read from the windows' first rows again");
        feed(&mut again, partition, from, log.len(partition));
    }
    let mut found = Outcome::default();
    collect(&again, &mut found);
    let known: BTreeSet<&WindowId> = reported.iter().chain(found.reports.keys()).collect();
    assert_eq!(known, plain.reports.keys().collect(), "no window is missing");
    for (id, json) in &found.reports {
        assert!(!reported.contains(id), "{id} is reported a second time");
        let counted = |json: &str| {
            let report = Report::from_json(json).unwrap();
            (report.window.rows, report.window.complete, report.versions, report.status)
        };
        assert_eq!(counted(json), counted(&plain.reports[id]), "{id}");
    }
}

#[test]
fn trouble_that_lasts_is_told_once_by_the_first_model_of_the_topic() {
    let bench = Bench::new();
    let mut inline = Inline::new(bench.pipeline());
    let trouble = || Read::Trouble { topic: Some(TopicId(0)), message: "no such topic".into() };
    let at = |minutes: i64| LATER + minutes * MINUTE_US;
    inline.feed(Event::Read(trouble()), at(0));
    inline.feed(Event::Tick, at(4));
    assert_eq!(told(&inline), [], "a broker that restarts is back by now");
    // Said again, it is still the same trouble.
    inline.feed(Event::Read(trouble()), at(4));
    inline.feed(Event::Tick, at(5));
    inline.feed(Event::Tick, at(6));
    let firing = line("one", "driftline", "firing");
    assert_eq!(told(&inline), std::slice::from_ref(&firing));
    let told_of = &looks::model(&inline.pipeline, 0).decided().transitions[0].transition;
    let because = &told_of.subjects[0].because;
    assert_eq!(because, "shared has not been read for 5 minutes: no such topic");
    inline.feed(Event::Read(Read::Recovered { topic: Some(TopicId(0)) }), at(7));
    inline.feed(Event::Tick, at(7));
    assert_eq!(told(&inline), [firing, line("one", "driftline", "resolved")]);

    let refused =
        |trouble: Option<&str>| Event::DeadLetters { trouble: trouble.map(str::to_owned) };
    inline.feed(refused(Some("topic authorization failed")), at(10));
    inline.feed(Event::Tick, at(15));
    inline.feed(refused(None), at(16));
    inline.feed(Event::Tick, at(16));
    assert_eq!(told(&inline).len(), 4, "{:?}", told(&inline));
}

/// A candidate of `two` was loaded, or could not be.
fn candidate(name: &str, problem: Option<&str>) -> Event {
    let (candidate, problem) = (name.to_owned(), problem.map(str::to_owned));
    Event::Candidate { model: ModelId(1), candidate, problem }
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
        inline.feed(candidate(name, problem), now_us);
        inline.feed(Event::Tick, now_us);
        told(&inline)
    };
    assert!(loaded("next", Some("another sha256"), LATER).is_empty(), "the other is being loaded");
    let firing = line("two", "candidate", "firing");
    assert_eq!(loaded("other", None, LATER + 1), std::slice::from_ref(&firing));
    let resolved = line("two", "candidate", "resolved");
    assert_eq!(loaded("next", None, LATER + 2), [firing, resolved]);
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
    inline.feed_keeping(candidate("next", Some("another sha256")), LATER, keep);
    inline.feed_keeping(Event::Tick, LATER, keep);
    inline.commit(LATER, keep);
}

#[test]
fn an_alert_ends_once_it_is_accepted_even_where_the_outbox_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
    let mut bench = alerting("am");
    cannot_be_scored(&mut Inline::new(bench.pipeline()), &mut keep);
    // Nothing has room in the next life.
    bench.world.config.limits.outbox = 0;
    let (pipeline, _) = bench.continued(&store.load(&|_| false).unwrap());
    let mut inline = Inline::new(pipeline);
    let told_of = looks::model(&inline.pipeline, 1).decided();
    let incident = told_of.alerts.incidents().next().unwrap().id.clone();
    let (by, reason) = ("on-call".to_owned(), "known".to_owned());
    let acceptance = driftline_alerting::Acceptance { by, reason, at_us: LATER };
    inline.feed(Event::Accept { incident, acceptance }, LATER);
    inline.commit(LATER, &mut |_| {});
    let ends: Vec<(&str, bool)> = inline
        .messages
        .iter()
        .map(|row| (row.receiver.as_str(), row.kind.ends_an_alert()))
        .collect();
    assert_eq!(ends, [("am", true)], "nothing but the end of the alert has room");
}

#[test]
fn an_alert_that_nothing_would_end_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
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
        let effects = bench.continued(&saved).1;
        effects.iter().filter(|effect| looks::is_standing_alert(effect)).count()
    };
    assert_eq!(sent_again(&alerting("am")), 1);
    assert_eq!(sent_again(&alerting("other")), 0, "its receiver is not told any more");
    let mut without = alerting("am");
    without.world.setups.truncate(1);
    assert_eq!(sent_again(&without), 0, "its model is not watched any more");
}

fn forget_unnamed(store: &Store, pipeline: &mut Pipeline) {
    let names = store.forget_unnamed(pipeline.unused_names()).unwrap();
    pipeline.forget_names(&names);
}

/// They once stayed for ever.
#[test]
fn settings_are_kept_while_a_report_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let log = log(900, 3);
    let run = |bench: &Bench| {
        let mut inline = Inline::new(bench.continued(&store.load(&|_| false).unwrap()).0);
        let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
        for partition in 0..PARTITIONS {
            let from = looks::position(&inline.pipeline, partition);
            let to = (from + 200).min(log.len(partition));
            let chunk = bench.chunk(&log, partition, from, to);
            inline.feed_keeping(Event::Read(Read::Chunk(chunk)), LATER, &mut keep);
        }
        inline.commit(LATER, &mut keep);
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
    bench.continued(&store.load(&|_| false).unwrap());
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
