//! What must stay small: memory while a long backlog is read, while one partition is far slower than the
//! others, and over hours of a steady load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use driftline_config::time::DAY_US;
use serde_json::{Value, json};

use crate::rig::PATIENCE;
use crate::rig::kafka::{self, Kafka};
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, Log, MODELS, Meaning, Plan, Record};
use crate::rig::webhook::Webhook;

/// Records of the short form; `make soak` asks for five million. The ledger is put together twice a second:
/// of fewer, a busy machine has read half before anybody could look.
const BACKLOG: u64 = 1_200_000;
/// Seconds of the short form; `make soak` asks for an hour.
const SOAK_S: u64 = 40;
/// Days of windows of five minutes; `make soak` asks for a week.
const SLOW_DAYS: u64 = 2;
/// Records of such a day.
const SLOW_DAY: u64 = 120_000;
/// 64 windows of a thousand rows may be open before partitions wait; what is on its way still opens some.
/// Of so many records, a model has a fifth of a thousand in five minutes.
const OPEN_WINDOWS: u64 = 96 * 1000 / (SLOW_DAY / 2 / 288);
/// How much faster than the clock the event time of the steady load goes: a day in three seconds.
const SPEED: i64 = 28_800;
/// What may be kept of a record for good, bytes.
const KEPT_OF_A_RECORD: u64 = 8;
/// What memory differs by without anything being kept: pages that an allocator has not given back.
const SLACK_BYTES: u64 = 24 << 20;
/// What the readers hold of fetched records at most, all consumers together, and chance decides how much of it
/// they do: those of a slow partition are large, and come in requests of a megabyte.
const FETCHED_BYTES: u64 = 64 << 20;
/// What is held at once of a backlog that is longer by so much is less than this part of it.
const HELD_OF_A_BACKLOG: u64 = 4;
/// A service is at rest when so many looks in a row have not found it smaller.
const LOOKS_AT_REST: usize = 50;
const ASK_EVERY: Duration = Duration::from_millis(100);

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// What a service needs when it has nothing to do: what it fetched in advance, and all that chance had it hold,
/// is gone.
fn bytes_at_rest(service: &Service) -> u64 {
    service.wait_for_an_empty_outbox();
    let (mut lowest, mut looks) = (u64::MAX, 0);
    while looks < LOOKS_AT_REST {
        thread::sleep(ASK_EVERY);
        let bytes = service.resident_bytes();
        looks = if bytes < lowest { 0 } else { looks + 1 };
        lowest = lowest.min(bytes);
    }
    lowest
}

/// That of `records` no more is kept than may be. Says what was found.
fn hold_to_what_is_kept(what: &str, before: u64, after: u64, records: u64) {
    let grown = after.saturating_sub(before);
    let of_each = grown as f64 / records as f64;
    eprintln!(
        "{what}: {} MiB, and {} MiB after {records} records more, {of_each:.1} bytes of each",
        before >> 20,
        after >> 20
    );
    let most = SLACK_BYTES + KEPT_OF_A_RECORD * records;
    assert!(
        grown <= most,
        "{what}: grown by {grown} bytes over {records} records, {of_each:.1} of each"
    );
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

/// What was sent of a log.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    records: u64,
    /// Those that cannot be read.
    rejected: u64,
    bytes: u64,
}

/// Sends a log without holding it.
fn preload(kafka: &Kafka, topic: &str, log: impl Iterator<Item = Record>) -> Sent {
    let producer = traffic::producer(kafka);
    let mut sent = Sent::default();
    for record in log {
        traffic::send(&producer, topic, &record);
        sent.records += 1;
        sent.bytes += record.value.len() as u64;
        sent.rejected += u64::from(matches!(record.meaning, Meaning::Broken(_)));
    }
    producer.flush(PATIENCE).expect("the broker has every record");
    sent
}

/// What the metrics say of the windows of a model that were closed.
fn windows_closed(service: &Service, model: &str) -> u64 {
    let metrics = service.get("/metrics");
    let of_model = metrics.lines().filter(|line| {
        line.starts_with("driftline_windows_total{") && line.contains(&format!("\"{model}\""))
    });
    of_model.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() as u64
}

/// What a service needed for a part of a log.
#[derive(Debug, Clone, Copy)]
struct Needed {
    most_bytes: u64,
    at_rest_bytes: u64,
}

/// Reads until the ledger shows so many records, and rests.
fn read_a_part(service: &Service, topic: &str, upto: u64, mut look: impl FnMut()) -> Needed {
    let mut most_bytes = 0;
    read_to_the_end(service, topic, upto, |_| {
        most_bytes = most_bytes.max(service.resident_bytes());
        look();
    });
    Needed { most_bytes, at_rest_bytes: bytes_at_rest(service) }
}

/// The rest finds the memory that the first quarter left, so that only what is kept, or held at once, differs.
#[test]
fn a_long_backlog_is_read_in_the_memory_of_a_short_one() {
    let Some(kafka) = kafka::broker() else { return };
    let records = number("DRIFTLINE_BACKLOG_RECORDS").unwrap_or(BACKLOG);
    let plan = Plan { records, partitions: 6, days: 8, ..Plan::default() };
    let scene = Scene::new(kafka, "backlog", plan.partitions, "");
    let mut log = Log::new(&plan);
    let short = preload(kafka, &scene.topic, log.by_ref().take(records as usize / 4));
    let service = scene.start();
    let before = read_a_part(&service, &scene.topic, short.records, || ());
    let long = preload(kafka, &scene.topic, log);
    let all = short.records + long.records;
    let after = read_a_part(&service, &scene.topic, all, || ());
    let ledger = service.wait_for_ledger(&scene.topic, all);
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    assert_eq!(ledger["total"]["rejected"], short.rejected + long.rejected, "{ledger}");
    for model in MODELS {
        service.wait_for_reports(model, plan.days as usize);
    }
    eprintln!("backlog: {before:?}, then {after:?} for {long:?}");
    hold_to_what_is_kept("backlog", before.at_rest_bytes, after.at_rest_bytes, long.records);
    let held = after.most_bytes.saturating_sub(before.most_bytes);
    assert!(held < long.bytes / HELD_OF_A_BACKLOG, "{held} bytes more for {long:?}");
}

/// Reads days of windows of five minutes of which one of six partitions is far slower: its records are ten
/// times as large. Every window waits for the slow partition, so the other partitions must wait for it too,
/// or they would open windows without end.
#[test]
fn one_slow_partition_holds_the_others_back_and_memory_too() {
    let Some(kafka) = kafka::broker() else { return };
    let days = number("DRIFTLINE_SLOW_DAYS").unwrap_or(SLOW_DAYS);
    let plan = Plan {
        records: days * SLOW_DAY,
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
    let mut log = Log::new(&plan).map(slow);
    let first = preload(kafka, &scene.topic, log.by_ref().take(SLOW_DAY as usize));
    let service = scene.start();
    let mut open = 0;
    let mut look = || open = open.max(most_open_windows(&service));
    let before = read_a_part(&service, &scene.topic, first.records, &mut look);
    let more = preload(kafka, &scene.topic, log);
    let after = read_a_part(&service, &scene.topic, first.records + more.records, &mut look);
    let ledger = service.wait_for_ledger(&scene.topic, first.records + more.records);
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    // The last may wait for a further one to be joined with.
    service.wait_until("to close its windows", |service| {
        (most_open_windows(service) <= 1).then_some(())
    });
    eprintln!(
        "slow partition: at most {open} open windows; {before:?}, then {after:?} for {more:?}"
    );
    assert!(open <= OPEN_WINDOWS, "{open} open windows");
    // Not the memory at rest, as of a backlog: the allocator keeps more or less of what the large records
    // took, by 5 to 50 MiB from run to run, which is hundreds of bytes of each record here. What is kept of a
    // record must show in the most that was needed, beyond what the readers may hold.
    let most = before.most_bytes + FETCHED_BYTES + SLACK_BYTES + KEPT_OF_A_RECORD * more.records;
    assert!(after.most_bytes <= most, "{before:?}, then {after:?}");
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

/// Memory at moments of a steady load, each with how many records had been sent.
#[derive(Debug, Default)]
struct Memory(Vec<(u64, u64)>);

impl Memory {
    /// The lowest where so many records had been sent: what comes and goes is left out.
    fn lowest(&self, within: impl Fn(u64) -> bool) -> u64 {
        let looks = self.0.iter().filter(|(sent, _)| within(*sent)).map(|(_, bytes)| *bytes);
        looks.min().unwrap_or_else(|| panic!("memory was not looked at in a quarter: {self:?}"))
    }
}

/// Records a second of a steady load. The short form sends so many that 130 bytes kept of each would show;
/// at that rate an hour would fill a disk.
fn rate(seconds: u64) -> u64 {
    if seconds < 600 { 10_000 } else { 2_000 }
}

/// Traffic at a steady rate, windows that close, incidents that open and resolve, a receiver of messages,
/// and somebody who reads every page all the time.
#[test]
fn a_steady_load_needs_no_more_memory_the_longer_it_lasts() {
    let Some(kafka) = kafka::broker() else { return };
    let Some(hook) = Webhook::start(&json!({})) else { return };
    let seconds = number("DRIFTLINE_SOAK_SECONDS").unwrap_or(SOAK_S);
    let days = (seconds as i64 * 1_000_000 * SPEED / DAY_US).max(3);
    let plan = Plan {
        records: seconds * rate(seconds),
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
    let (sent, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut memory = Memory::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            send_steadily(kafka, &scene.topic, &plan, &sent, rate(seconds));
            over.store(true, Ordering::Release);
        });
        while !over.load(Ordering::Acquire) {
            look_at_everything(&service);
            memory.0.push((sent.load(Ordering::Relaxed), service.resident_bytes()));
            thread::sleep(ASK_EVERY);
        }
    });
    let sent = sent.into_inner();
    // The first quarter warms up.
    let early = memory.lowest(|at| (sent / 4..sent / 2).contains(&at));
    let late = memory.lowest(|at| at >= sent / 4 * 3);
    hold_to_what_is_kept("steady load", early, late, sent / 2);
    let ledger = service.wait_for_ledger(&scene.topic, sent);
    assert_eq!(ledger["imbalance"], 0, "{ledger}");
    for model in MODELS {
        service.wait_until("to close every window", |service| {
            (windows_closed(service, model) >= days as u64).then_some(())
        });
    }
    service.wait_for_an_empty_outbox();
    let deliveries = hook.deliveries(1, PATIENCE).len();
    eprintln!("{} looks, {deliveries} messages, {days} windows a model", memory.0.len());
}

/// Sends the log at so many records a second; the clock is what this load is about.
fn send_steadily(kafka: &Kafka, topic: &str, plan: &Plan, sent: &AtomicU64, rate: u64) {
    let (producer, begun) = (traffic::producer(kafka), Instant::now());
    for (number, record) in (0..).zip(Log::new(plan)) {
        let due = Duration::from_micros(number * 1_000_000 / rate);
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
