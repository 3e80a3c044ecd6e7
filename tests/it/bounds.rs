//! What must stay small: memory while a long backlog is read, while one partition is far slower than the
//! others, and over hours of a steady load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use driftline_config::time::DAY_US;
use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::kafka::{self, Kafka};
use crate::rig::service::Service;
use crate::rig::webhook::Webhook;
use crate::scene::Scene;
use crate::traffic::{self, Log, MODELS, Meaning, Plan, Record};

/// Records of the short form; `make soak` asks for five million. The ledger is put together twice a second:
/// of fewer, a busy machine has read half before anybody could look.
const BACKLOG: u64 = 1_200_000;
/// Seconds of the short form; `make soak` asks for an hour.
const SOAK_S: u64 = 40;
/// Days of windows of five minutes, 120 000 records each; `make soak` asks for a week.
const SLOW_DAYS: u64 = 2;
/// 64 may be open before partitions wait; what is on its way still opens some.
const OPEN_WINDOWS: u64 = 96;
/// Records a second of the steady load, and how much faster than the clock its event time goes: a day in
/// three seconds.
const RATE: u64 = 2_000;
const SPEED: i64 = 28_800;
/// What memory may differ by without being called growth: what an allocator and a page cache do.
const SLACK_BYTES: u64 = 24 << 20;
/// What readers may have fetched in advance: how full it is, is chance. The short forms send twice as much
/// in each half, or more.
const FETCHED_BYTES: u64 = 64 << 20;
const ASK_EVERY: Duration = Duration::from_millis(100);

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Memory at moments, each with how far things had come.
#[derive(Debug, Default)]
struct Memory(Vec<(u64, u64)>);

impl Memory {
    fn note(&mut self, progress: u64, service: &Service) {
        self.0.push((progress, service.resident_bytes()));
    }

    /// The highest where things had come so far.
    fn highest(&self, within: impl Fn(u64) -> bool) -> u64 {
        let looks = self.0.iter().filter(|(progress, _)| within(*progress));
        let highest = looks.map(|(_, bytes)| *bytes).max();
        highest.unwrap_or_else(|| panic!("memory was not looked at in one half: {self:?}"))
    }

    /// That the second half of the way needs no more than the first did. Says how much.
    fn checked_flat(&self, whole: u64, slack_bytes: u64) -> String {
        let early = self.highest(|progress| 0 < progress && progress <= whole / 2);
        let late = self.highest(|progress| whole / 2 < progress);
        let seen = self.0.iter().step_by(self.0.len() / 50 + 1).collect::<Vec<_>>();
        assert!(
            late <= early + early / 10 + slack_bytes,
            "memory grows from {early} to {late}, of which here and there: {seen:?}"
        );
        format!("{} MiB in the first half, {} MiB in the second", early >> 20, late >> 20)
    }
}

/// The service reads until the ledger shows `records`; calls `look` whenever it has looked at it.
fn read_to_the_end(
    service: &Service,
    topic: &str,
    records: u64,
    mut look: impl FnMut(u64),
) -> Value {
    let mut last = (0, Instant::now());
    loop {
        let ledger = service.ledger(topic);
        let read = ledger["total"]["read"].as_u64().unwrap_or(0);
        look(read);
        if read >= records {
            return ledger;
        }
        if read > last.0 {
            last = (read, Instant::now());
        }
        assert!(last.1.elapsed() < PATIENCE, "nothing more is read: {ledger}");
        thread::sleep(ASK_EVERY);
    }
}

/// Sends a log without holding it: how many records, and how many of them cannot be read.
fn preload(kafka: &Kafka, topic: &str, log: impl Iterator<Item = Record>) -> (u64, u64) {
    let producer = traffic::producer(kafka);
    let (mut sent, mut rejected) = (0, 0);
    for record in log {
        traffic::send(&producer, topic, &record);
        sent += 1;
        rejected += u64::from(matches!(record.meaning, Meaning::Broken(_)));
    }
    producer.flush(PATIENCE).expect("the broker has every record");
    (sent, rejected)
}

/// What the metrics say of the windows of a model that were closed.
fn windows_closed(service: &Service, model: &str) -> u64 {
    let metrics = service.get("/metrics");
    let of_model = metrics.lines().filter(|line| {
        line.starts_with("driftline_windows_total{") && line.contains(&format!("\"{model}\""))
    });
    of_model.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() as u64
}

#[test]
fn a_long_backlog_is_read_in_the_memory_of_a_short_one() {
    let Some(kafka) = kafka::broker() else { return };
    let records = number("DRIFTLINE_BACKLOG_RECORDS").unwrap_or(BACKLOG);
    let plan = Plan { records, partitions: 6, days: 8, ..Plan::default() };
    let scene = Scene::new(kafka, "backlog", plan.partitions, "");
    let (sent, rejected) = preload(kafka, &scene.topic, Log::new(&plan));

    let service = scene.start();
    let (mut memory, begun) = (Memory::default(), Instant::now());
    let ledger = read_to_the_end(&service, &scene.topic, sent, |read| memory.note(read, &service));
    println!("{sent} records in {:.1} s", begun.elapsed().as_secs_f64());
    println!("backlog: {}", memory.checked_flat(sent, FETCHED_BYTES));
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    assert_eq!(ledger["total"]["rejected"], rejected, "{ledger}");
    for model in MODELS {
        service.wait_for_reports(model, plan.days as usize);
    }
}

/// Windows of five minutes, and one of six partitions is far slower: its records are ten times as large.
/// Every window waits for that partition, so the other partitions must wait for it too, or they would
/// open windows without end.
#[test]
fn one_slow_partition_holds_the_others_back_and_memory_too() {
    let Some(kafka) = kafka::broker() else { return };
    let days = number("DRIFTLINE_SLOW_DAYS").unwrap_or(SLOW_DAYS);
    let plan = Plan {
        records: days * 120_000,
        partitions: 6,
        days: days as i64,
        broken: 0,
        late: 0,
        ..Plan::default()
    };
    let scene = Scene::new(kafka, "slow", plan.partitions, "")
        .with("every: 1d, lateness: 1h", "every: 5m, lateness: 1h")
        // Windows of minutes are not compared with the baseline's days.
        .with("defaults:\n", "defaults:\n  tolerance: {ks: 0.9}\n");
    let slow = |record: Record| if record.partition == 5 { padded(record) } else { record };
    let (sent, _) = preload(kafka, &scene.topic, Log::new(&plan).map(slow));

    let service = scene.start();
    let (mut memory, mut open) = (Memory::default(), 0);
    let ledger = read_to_the_end(&service, &scene.topic, sent, |read| {
        memory.note(read, &service);
        open = open.max(most_open_windows(&service));
    });
    println!("at most {open} open windows");
    assert!(open <= OPEN_WINDOWS, "{open} open windows");
    println!("slow partition: {}", memory.checked_flat(sent, FETCHED_BYTES));
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    // The last may wait for a further one to be joined with.
    service.wait_until("to close its windows", |service| {
        (most_open_windows(service) <= 1).then_some(())
    });
}

/// Open windows of the model that has most.
fn most_open_windows(service: &Service) -> u64 {
    let models = service.json("/api/v1/models");
    let of_models = models.as_array().unwrap().iter();
    of_models.filter_map(|model| model["open_windows"].as_u64()).max().unwrap()
}

/// Fills a record up to four kilobytes with a field that nobody reads.
fn padded(mut record: Record) -> Record {
    if record.value.last() == Some(&b'}') {
        record.value.pop();
        record.value.extend(format!(r#","note":"{}"}}"#, "x".repeat(4_000)).into_bytes());
    }
    record
}

/// Traffic at a steady rate, windows that close, incidents that open and resolve, a receiver of messages,
/// and somebody who reads every page all the time.
#[test]
fn hours_of_a_steady_load_need_no_more_memory_than_minutes() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let seconds = number("DRIFTLINE_SOAK_SECONDS").unwrap_or(SOAK_S);
    let days = (seconds as i64 * 1_000_000 * SPEED / DAY_US).max(3);
    let plan = Plan {
        records: seconds * RATE,
        partitions: 4,
        days,
        older: Some((2, 8)),
        older_days: Some(4),
        ..Plan::default()
    };
    let receiver =
        format!("receivers:\n  - {{name: hook, webhook: {{url: \"{}\"}}}}\n", hook.url());
    let scene = Scene::new(kafka, "soak", plan.partitions, &receiver);
    let service = scene.start();
    let (sent, over, begun) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    let mut memory = Memory::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            send_steadily(kafka, &scene.topic, &plan, &sent);
            over.store(true, Ordering::Release);
        });
        while !over.load(Ordering::Acquire) {
            look_at_everything(&service);
            memory.note(begun.elapsed().as_millis() as u64, &service);
            thread::sleep(ASK_EVERY);
        }
    });
    println!("soak: {}", memory.checked_flat(begun.elapsed().as_millis() as u64, SLACK_BYTES));
    let ledger = service.wait_for_ledger(&scene.topic, sent.into_inner());
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    for model in MODELS {
        service.wait_until("to close every window", |service| {
            (windows_closed(service, model) >= days as u64).then_some(())
        });
    }
    service.wait_for_an_empty_outbox();
    let deliveries = hook.deliveries(1, PATIENCE).len();
    println!("{} looks, {deliveries} messages, {days} windows a model", memory.0.len());
}

/// Sends the log at [`RATE`]; the clock is what this load is about.
fn send_steadily(kafka: &Kafka, topic: &str, plan: &Plan, sent: &AtomicU64) {
    let (producer, begun) = (traffic::producer(kafka), Instant::now());
    for (number, record) in (0..).zip(Log::new(plan)) {
        let due = Duration::from_micros(number * 1_000_000 / RATE);
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            thread::sleep(early);
        }
        traffic::send(&producer, topic, &record);
        sent.fetch_add(1, Ordering::Relaxed);
    }
    producer.flush(PATIENCE).expect("the broker has every record");
}

fn look_at_everything(service: &Service) {
    let paths =
        ["/metrics", "/", "/models/credit", "/api/v1/models", "/api/v1/alerts", "/api/v1/ledger"];
    for path in paths {
        service.get(path);
    }
}
