//! What befalls a topic on a real broker while it is read: partitions that are added, a topic made again,
//! retention, a stranger in the group, a transaction that nobody ends.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use driftline_config::time::{DAY_US, HOUR_US};
use serde_json::{Value, json};

use crate::rig::kafka::{self, Kafka};
use crate::rig::outcome::Outcome;
use crate::rig::scene::Scene;
use crate::rig::traffic::{self, MODELS, Meaning, Plan, Record};
use crate::rig::{self, PATIENCE, Supervised, python};

const DAYS: i64 = 6;
/// Parts in which a log is written while it is read.
const PARTS: usize = 4;
/// How long a transaction stays open that nobody ends: it must be named by then, on a busy machine too.
const HUNG: Duration = Duration::from_secs(60);
/// After this no answer to a fetch of the time before is on its way from the broker, which holds one back
/// for half a second and may be slow to notice.
const FETCHES_ARE_OVER: Duration = Duration::from_secs(3);

#[test]
fn a_stranger_in_the_group_changes_no_report() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { days: DAYS, late: 9, older: Some((3, 8)), ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(kafka, "stranger", plan.partitions, "");
    // Scenes name their group after their topic of reports.
    let Some(stranger) = stranger(kafka, &scene.topic, &scene.reports) else { return };
    let mut service = scene.start();
    let (mut sent, mut joined) = (0, 0);
    for (number, part) in log.chunks(log.len().div_ceil(PARTS)).enumerate() {
        traffic::produce(kafka, &scene.topic, part);
        sent += part.len() as u64;
        service.wait_for_ledger(&scene.topic, sent);
        joined = joined_more_than(&stranger, joined);
        if number == 1 {
            // What the stranger committed is not where reading goes on.
            service.kill();
            service = scene.start();
        }
    }
    let found = Outcome::of(&service, &scene.topic, sent, DAYS);
    found.equals(&Outcome::undisturbed(kafka, &scene.topic, sent, DAYS));
    found.was_published(kafka, &scene.reports);
}

/// Joins and leaves a group every two seconds.
fn stranger(kafka: &Kafka, topic: &str, group: &str) -> Option<Supervised> {
    let python = python::interpreter()?;
    let script = rig::rig_folder().join("group_stranger.py").to_string_lossy().into_owned();
    let arguments = [script.as_str(), &kafka.bootstrap, topic, group, "2"];
    Some(Supervised::start(&rig::server_folder("stranger"), &python, &arguments))
}

fn joined_more_than(stranger: &Supervised, joined: usize) -> usize {
    stranger.wait_for(PATIENCE, "stranger in the group", |lines| {
        (lines.len() > joined).then_some(lines.len())
    })
}

#[test]
fn partitions_that_are_added_are_read_from_their_first_record() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { days: DAYS, late: 0, ..Plan::default() };
    let half_us = traffic::FIRST_DAY_US + DAYS * DAY_US / 2;
    let mut log = traffic::log(&plan);
    let added = plan.partitions as i32 - 1;
    // Its first row comes last before the topic has it, and no row of a day that may be over by then.
    log.retain(|record| record.partition != added || record.timestamp_us > half_us + HOUR_US);
    traffic::number_again(&mut log);
    let first = log.iter().position(|record| record.partition == added).unwrap();

    let scene = Scene::new(kafka, "added", plan.partitions - 1, "");
    let service = scene.start();
    traffic::produce(kafka, &scene.topic, &log[..first]);
    service.wait_for_ledger(&scene.topic, first as u64);
    kafka.grow_topic(&scene.topic, plan.partitions as u32);
    traffic::produce(kafka, &scene.topic, &log[first..=first]);
    service.wait_for_ledger(&scene.topic, first as u64 + 1);
    traffic::produce(kafka, &scene.topic, &log[first + 1..]);

    let found = Outcome::of(&service, &scene.topic, log.len() as u64, DAYS);
    let wanted = traffic::sums(&traffic::outcomes(&log));
    assert_eq!(traffic::sorted(&found.ledger["total"]), wanted);
    assert_eq!(found.ledger["imbalance"], 0);
    every_report_replays(&scene, found.reports.keys().map(String::as_str));
}

fn every_report_replays<'a>(scene: &Scene, ids: impl Iterator<Item = &'a str>) {
    for id in ids {
        let (code, stdout, stderr) = scene.run("replay", &["--window", id]);
        assert_eq!(code, Some(0), "{id}: {stdout}{stderr}");
    }
}

/// When a topic is made again after it was deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Again {
    /// Once it was seen that the topic is away.
    WhenMissed,
    /// Before anybody asks.
    AtOnce,
    /// While the service is frozen, and the new log is already longer than it has read when it goes on.
    Unseen,
}

#[test]
fn a_topic_that_is_made_again_is_read_from_its_beginning() {
    let Some(kafka) = kafka::broker() else { return };
    for again in [Again::WhenMissed, Again::AtOnce, Again::Unseen] {
        let plan = Plan { days: DAYS, late: 0, ..Plan::default() };
        let log = traffic::log(&plan);
        let (old, new) = log.split_at(log.len() / 3);
        let mut new = new.to_vec();
        traffic::number_again(&mut new);
        let scene = Scene::new(kafka, "again", plan.partitions, "");
        let service = scene.start();
        traffic::produce(kafka, &scene.topic, old);
        service.wait_for_ledger(&scene.topic, old.len() as u64);

        if again == Again::Unseen {
            service.signal("-STOP");
        }
        kafka.delete_topic(&scene.topic);
        if again == Again::WhenMissed {
            let says = service.wait_for_trouble(&format!("topic {}", scene.topic));
            assert!(says.contains("does not exist: create it"), "{says}");
        }
        kafka.create_named_topic(&scene.topic, plan.partitions as u32, &[]);
        traffic::produce(kafka, &scene.topic, &new);
        if again == Again::Unseen {
            service.signal("-CONT");
        }
        let ledger = service.wait_for_ledger(&scene.topic, log.len() as u64);
        assert_eq!(ledger["imbalance"], 0, "{ledger}");
        let wanted = traffic::sums(&traffic::outcomes(&log));
        assert_eq!(traffic::sorted(&ledger["total"]), wanted, "{again:?}");
        service.wait_for_calm();
        assert!(
            service.said().contains("the log is another one than before"),
            "{}",
            service.said()
        );
        // What was lost between the two logs nobody knows, and the first reports say so.
        let reports = service.wait_for_reports(MODELS[0], DAYS as usize);
        let complete = |day: usize| reports[day]["window"]["complete"] == true;
        assert!(complete(0) && !complete(1), "{:?}", reports[1]["window"]);
        // Of the second day some rows were in the old log and some in the new one.
        let id = |day: usize| reports[day]["window"]["id"].as_str().unwrap();
        let (code, stdout, stderr) = scene.run("replay", &["--window", id(1)]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("or the topic was made again while it was open"), "{stderr}");
        every_report_replays(&scene, (3..DAYS as usize).map(id));
    }
}

#[test]
fn a_topic_that_is_made_late_is_read_from_its_beginning_on_a_real_broker() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { days: DAYS, ..Plan::default() };
    let log = traffic::log(&plan);
    let topic = kafka.fresh_name("late");
    let scene = Scene::on(kafka, &topic, "late", "");
    let service = scene.start();
    let says = service.wait_for_trouble(&format!("topic {topic}"));
    assert!(says.contains(&format!("topic {topic} does not exist: create it")), "{says}");
    kafka.create_named_topic(&topic, plan.partitions as u32, &[]);
    traffic::produce(kafka, &topic, &log);
    let found = Outcome::of(&service, &topic, log.len() as u64, DAYS);
    service.wait_for_calm();
    found.equals(&Outcome::undisturbed(kafka, &topic, log.len() as u64, DAYS));
}

#[test]
fn retention_that_passes_the_position_is_a_gap_in_ledger_and_reports() {
    let Some(kafka) = kafka::broker() else { return };
    // The partition is at its end after the gap, or rows follow.
    for kept in [0, 100] {
        let plan = Plan { days: DAYS, late: 0, ..Plan::default() };
        let log = traffic::log(&plan);
        let (first, rest) = log.split_at(log.len() / 3);
        let (second, third) = rest.split_at(rest.len() / 4);
        let scene = Scene::new(kafka, "retention", plan.partitions, "");
        let service = scene.start();
        traffic::produce(kafka, &scene.topic, first);
        service.wait_for_ledger(&scene.topic, first.len() as u64);
        service.signal("-STOP");
        // It would bring what is sent now and is to be gone.
        thread::sleep(FETCHES_ARE_OVER);
        traffic::produce(kafka, &scene.topic, second);
        let end = second.iter().filter(|record| record.partition == 0).map(|record| record.offset);
        let end = end.max().unwrap() + 1 - kept;
        kafka.delete_records(&scene.topic, 0, end as u64);
        service.signal("-CONT");
        let gone = |record: &Record| record.partition == 0 && record.offset < end;
        let left: Vec<Record> =
            second.iter().filter(|record| !gone(record)).chain(third).cloned().collect();
        let all: Vec<Record> = first.iter().cloned().chain(left.clone()).collect();
        service.wait_for_ledger(&scene.topic, (all.len() - third.len()) as u64);
        service.wait_until("to go on behind the gap", |service| {
            let position = service.ledger(&scene.topic)["partitions"]["0"]["position"].as_i64();
            (position >= Some(end)).then_some(())
        });
        if kept == 0 {
            // That nothing follows is heard with the next fetch. Nothing shows it, so it gets the time of
            // several: rows that come sooner follow.
            service.wait_for_gauges(10);
        }
        traffic::produce(kafka, &scene.topic, third);

        let ledger = service.wait_for_ledger(&scene.topic, all.len() as u64);
        let wanted = traffic::sums(&traffic::outcomes(&all));
        assert_eq!(traffic::sorted(&ledger["total"]), wanted, "{kept} kept");
        assert_eq!(ledger["imbalance"], 0);
        for model in MODELS {
            let reports = service.wait_for_reports(model, DAYS as usize);
            a_gap_is_named(&scene, &reports, kept > 0);
        }
    }
}

/// In the reports, whose strips still tile the log, and by `replay`.
fn a_gap_is_named(scene: &Scene, reports: &[Value], rows_follow: bool) {
    let mut next = json!(0);
    for report in reports {
        let window = &report["window"];
        let cut = &window["cuts"][&scene.topic]["0"];
        assert_eq!(cut["from"], next, "{window}");
        next = cut["to"].clone();
        let wanted =
            if window["complete"] == true { Value::Null } else { json!(["retention_gap"]) };
        assert_eq!(window["incomplete"], wanted, "{window}");
    }
    let incomplete: Vec<&str> = reports
        .iter()
        .filter(|report| report["window"]["complete"] == false)
        .map(|report| report["window"]["id"].as_str().unwrap())
        .collect();
    // Where nothing follows, rows of any time up to now may have been lost.
    let windows = if rows_follow { 1..=2 } else { 5..=5 };
    assert!(windows.contains(&incomplete.len()), "{incomplete:?}");
    let (code, stdout, stderr) =
        scene.run("replay", &["--window", incomplete[0], "--threads", "4"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    let says = format!("the log of topic {} does not hold offsets", scene.topic);
    assert!(stderr.contains(&says), "{stderr}");
    assert!(stderr.contains("of partition 0 (any more)"), "{stderr}");
}

#[test]
fn any_number_of_threads_replays_the_same_bytes_until_the_log_is_gone() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { days: DAYS, late: 9, older: Some((3, 8)), ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(kafka, "threads", plan.partitions, "");
    traffic::produce(kafka, &scene.topic, &log);
    let service = scene.start();
    let found = Outcome::of(&service, &scene.topic, log.len() as u64, DAYS);
    let of_credit = found.reports.iter().filter(|(id, _)| id.starts_with(MODELS[0]));
    for (id, report) in of_credit.clone() {
        for threads in ["1", "4"] {
            let (code, stdout, stderr) =
                scene.run("replay", &["--window", id, "--threads", threads]);
            assert_eq!(code, Some(0), "{id} in {threads} threads: {stdout}{stderr}");
            assert_eq!(stdout.trim_end(), report, "{id} in {threads} threads");
        }
    }
    let id = of_credit.map(|(id, _)| id).next().unwrap();
    kafka.delete_records(&scene.topic, 1, 40);
    for threads in ["1", "4"] {
        let (code, stdout, stderr) = scene.run("replay", &["--window", id, "--threads", threads]);
        let says = format!(
            "{id}: the log of topic {} does not hold offsets 0 to 39 of partition 1 (any more)",
            scene.topic
        );
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(&says), "{stderr}");
    }
}

/// Others go on, the partition behind the transaction is not taken for idle, and its rows are counted as
/// soon as the broker ends the transaction.
#[test]
fn a_transaction_that_nobody_ends_is_named_and_costs_no_row() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { days: DAYS, late: 0, ..Plan::default() };
    let day_us = traffic::FIRST_DAY_US + 2 * DAY_US;
    let mut log = traffic::log(&plan);
    // Everything is idle between the parts, so the days of the first part end there.
    log.retain(|record| match record.meaning {
        Meaning::Row { time_us, .. } => (time_us < day_us) == (record.timestamp_us < day_us),
        _ => true,
    });
    traffic::number_again(&mut log);
    let parts = log.partition_point(|record| record.timestamp_us < day_us);
    let (before, after) = log.split_at(parts);
    let scene = Scene::new(kafka, "transaction", plan.partitions, "").with_idle_partitions();
    // Ahead of the service: over an empty topic every partition is idle a second later, and rows of one
    // that came after those of another were late.
    traffic::produce(kafka, &scene.topic, before);
    let service = scene.start();
    service.wait_for_ledger(&scene.topic, before.len() as u64);
    let check = format!("topic {}", scene.topic);
    assert_eq!(service.trouble(&check), None);

    let hung = traffic::further_row(&log, 0, day_us);
    let value = String::from_utf8(hung.value).unwrap();
    kafka.hang(
        &scene.topic,
        vec![json!({"partition": 0, "value": value, "timestamp_ms": day_us / 1000})],
        HUNG,
    );
    let lag = format!("driftline_consumer_lag{{topic=\"{}\",partition=\"0\"}}", scene.topic);
    service.wait_until("to lag", |service| (service.metric(&lag)? > 0.0).then_some(()));
    traffic::produce(kafka, &scene.topic, after);
    let of_others = |record: &&Record| record.partition != 0;
    let others = before.len() + after.iter().filter(of_others).count();
    service.wait_for_ledger(&scene.topic, others as u64);
    let says = service.wait_for_trouble(&check);
    let offset = before.iter().filter(|record| record.partition == 0).count();
    let place = format!("still open at offset {offset} of partition 0");
    assert!(says.contains(&place) && says.contains("find-hanging"), "{says}");
    assert_eq!(service.ledger(&scene.topic)["total"]["read"], others, "nothing behind it is read");

    let found = Outcome::of(&service, &scene.topic, log.len() as u64, DAYS);
    assert_eq!(
        traffic::sorted(&found.ledger["total"]),
        traffic::sums(&traffic::outcomes(&log)),
        "a transaction that was aborted is nobody's row, and nothing came late"
    );
    assert_eq!(found.ledger["imbalance"], 0);
    service.wait_for_calm();
    every_report_replays(&scene, found.reports.keys().map(String::as_str));
    let ids: BTreeSet<&String> = found.reports.keys().collect();
    assert_eq!(ids.len(), MODELS.len() * DAYS as usize);
}
