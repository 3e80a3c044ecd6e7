//! Rows that come in time are counted, whoever's clock is wrong and however they come, and a mail names the
//! clock.

use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use driftline_config::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, format_instant};
use serde_json::{Value, json};

use crate::rig::kafka::{self, Kafka};
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, MODELS, Plan};

const PARTITIONS: i32 = 6;
/// Longer than `idle` of these scenes and than ends of logs take to be looked up.
const PAUSE: Duration = Duration::from_secs(5);
const RECEIVERS: &str = "receivers:\n  - {name: mail, email: {folder: mails, from: a@example.org, to: [b@example.org]}}\n";

fn now_us() -> i64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64)
}

fn record(partition: i32, stamp_us: i64, value: &str) -> Value {
    json!({"partition": partition, "timestamp_ms": stamp_us / 1000, "value": value})
}

/// A row that says it is of `time_us`, in a record that says it was made at `stamp_us`.
fn row(number: i64, time_us: i64, stamp_us: i64) -> Value {
    let value = traffic::row(&Plan::default(), MODELS[0], number.unsigned_abs(), time_us);
    let partition = (number % i64::from(PARTITIONS)) as i32;
    record(partition, stamp_us, &String::from_utf8(value).unwrap())
}

fn beat(time_us: i64) -> Value {
    let value = json!({"v": 1, "ts": format_instant(time_us), "heartbeat": true});
    record(0, time_us, &value.to_string())
}

/// Windows of ten minutes and panes of one, and partitions that are quiet after two seconds.
fn serve(kafka: &Kafka, stem: &str) -> (Scene, Service) {
    let topic = kafka.create_topic(stem, PARTITIONS as u32, &[]);
    let scene = Scene::on(kafka, &topic, stem, RECEIVERS)
        .with("every: 1d, lateness: 1h, idle: off", "every: 10m, lateness: 1m, idle: 2s")
        .with("operations: {every: 3h, lateness: 1h}", "operations: {every: 1m, lateness: 1m}")
        .with("defaults:\n", "defaults:\n  tolerance: {ks: 0.9}\n");
    let service = scene.start();
    (scene, service)
}

/// The first burst was counted; of every later one 69 % was late.
#[test]
fn of_bursts_with_pauses_between_no_row_is_late() {
    let Some(kafka) = kafka::broker() else { return };
    let (scene, service) = serve(kafka, "bursts");
    let (mut sent, bursts, rows) = (0, 3, 360);
    let begin_us = now_us() - 6 * HOUR_US;
    for burst in 0..bursts {
        let time_us = |number: i64| begin_us + burst * HOUR_US + number * 10 * SECOND_US;
        kafka.produce(
            &scene.topic,
            (0..rows).map(|number| row(number, time_us(number), now_us())).collect(),
        );
        sent += rows as u64;
        service.wait_for_ledger(&scene.topic, sent);
        // The pause is what is tried.
        thread::sleep(PAUSE);
    }
    let ledger = service.wait_for_ledger(&scene.topic, sent);
    assert_eq!((&ledger["total"]["late"], &ledger["total"]["ahead"]), (&0.into(), &0.into()));
    service.wait_for_reports(MODELS[0], 3);
}

/// Essentially every good row was late, levels were ok, no mail was sent.
#[test]
fn a_producer_whose_clock_is_wrong_makes_no_good_row_late_and_is_named() {
    let Some(kafka) = kafka::broker() else { return };
    let year_us = 365 * DAY_US;
    let table = [
        ("half-an-hour", 30 * MINUTE_US, 0, "lie in the future and end up in windows"),
        ("a-year", year_us, 600, "lie so far in the future that no window took them"),
    ];
    for (stem, off_us, ahead, says) in table {
        let (scene, service) = serve(kafka, stem);
        let rows = 2400;
        let begin_us = now_us() - rows * SECOND_US;
        // Runs of fifty, of four producers in turns; one more heartbeat from the future.
        let row_of = |number: i64| {
            let is_fast = number / 50 % 4 == 3;
            let time_us = begin_us + number * SECOND_US + if is_fast { off_us } else { 0 };
            row(number, time_us, time_us)
        };
        let mut records: Vec<Value> = (0..rows).map(row_of).collect();
        records.insert(100, beat(now_us() + 55 * MINUTE_US));
        kafka.produce(&scene.topic, records);
        let ledger = service.wait_for_ledger(&scene.topic, rows as u64 + 1);
        let total = &ledger["total"];
        assert_eq!(
            (&total["late"], &total["ahead"]),
            (&0.into(), &ahead.into()),
            "{stem}: {total}"
        );
        let says_so = |service: &Service| {
            let mails = std::fs::read_dir(scene.folder.path().join("mails")).ok()?;
            let texts = mails.filter_map(|mail| std::fs::read_to_string(mail.ok()?.path()).ok());
            let text =
                texts.map(|text| text.replace("=\r\n", "").replace("=\n", "")).collect::<String>();
            let clock = "so a producer's clock is fast";
            let ready = service.get("/readyz");
            (text.contains(says) && text.contains(clock) && ready.contains("clocks of "))
                .then_some(())
        };
        service.wait_until("to send a mail that names the clock", says_so);
    }
}
