//! Three brokers of which one after the other goes and comes back, by request and by force, while the log
//! is written and read; then all of them at once.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::PATIENCE;
use crate::rig::cluster::Cluster;
use crate::rig::kafka::Kafka;
use crate::rig::outcome::Outcome;
use crate::rig::scene::Scene;
use crate::rig::traffic::{self, Plan};

const DAYS: i64 = 6;
/// How long all brokers are away in the short form.
const AWAY: Duration = Duration::from_secs(8);
const BROKERS: [i32; 3] = [1, 2, 3];

#[test]
fn leaders_may_change_and_all_brokers_go_away() {
    let Some(mut cluster) = Cluster::start() else { return };
    let plan = Plan { days: DAYS, late: 9, older: Some((3, 8)), ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(&cluster.kafka, "leaders", plan.partitions, "");
    let service = scene.start();
    let mut parts = log.chunks(log.len().div_ceil(4));
    let mut sent = 0;
    let mut send = |kafka: &Kafka| {
        let part = parts.next().unwrap();
        traffic::produce(kafka, &scene.topic, part);
        sent += part.len() as u64;
        sent
    };
    service.wait_for_ledger(&scene.topic, send(&cluster.kafka));

    for signal in ["-TERM", "-KILL"] {
        let leader = leader(&cluster.kafka, &scene.topic);
        cluster.end(leader, signal);
        let others: Vec<i32> = BROKERS.into_iter().filter(|id| *id != leader).collect();
        led_by(&cluster.kafka, &scene.topic, &others, 2);
        let ledger = service.wait_for_ledger(&scene.topic, send(&cluster.kafka));
        assert_eq!(ledger["imbalance"], 0, "{signal}: {ledger}");
        // Two of three brokers are there.
        service.wait_until("to be in no trouble", |service| {
            service.trouble("broker").is_none().then_some(())
        });
        cluster.start_again(leader);
        led_by(&cluster.kafka, &scene.topic, &BROKERS, BROKERS.len());
    }

    for id in BROKERS {
        cluster.end(id, "-KILL");
    }
    let says = service.wait_for_trouble("broker");
    assert!(says.contains("kafka"), "{says}");
    thread::sleep(away());
    cluster.start_all_again();
    led_by(&cluster.kafka, &scene.topic, &BROKERS, BROKERS.len());
    let all = send(&cluster.kafka);
    let began = Instant::now();
    let found = Outcome::of(&service, &scene.topic, all, DAYS);
    eprintln!("all brokers were away for {:?}; read on after {:?}", away(), began.elapsed());
    service.wait_for_calm();
    found.equals(&Outcome::undisturbed(&cluster.kafka, &scene.topic, all, DAYS));
    found.was_published(&cluster.kafka, &scene.reports);
}

/// `DRIFTLINE_BROKERS_AWAY_S=60` for the long form.
fn away() -> Duration {
    let wanted = env::var("DRIFTLINE_BROKERS_AWAY_S").ok().and_then(|text| text.parse().ok());
    wanted.map_or(AWAY, Duration::from_secs)
}

/// Waits until the first partition has a leader, and names it: while a broker that was slow to say that it
/// lives is shut out there is none, and its number is -1.
fn leader(kafka: &Kafka, topic: &str) -> i32 {
    led_by(kafka, topic, &BROKERS, 1)[0].0
}

/// Waits until every partition has one of these leaders, and as many replicas in sync: returns them.
fn led_by(kafka: &Kafka, topic: &str, leaders: &[i32], replicas: usize) -> Vec<(i32, Vec<i32>)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = kafka.leaders(topic);
        if now.iter().all(|(leader, in_sync)| leaders.contains(leader) && in_sync.len() >= replicas)
        {
            return now;
        }
        assert!(Instant::now() < deadline, "leaders and replicas: {now:?}");
    }
}
