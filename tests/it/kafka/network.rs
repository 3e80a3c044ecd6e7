//! A network that delays, breaks, hangs and crawls between the service and its broker, by Toxiproxy.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::rig::free_port;
use crate::rig::kafka::Kafka;
use crate::rig::outcome::Outcome;
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::toxiproxy::Toxiproxy;
use crate::rig::traffic::{self, Meaning, Plan, Record};

const DAYS: i64 = 6;

/// What a network can do.
enum Fault {
    /// Reading goes on, however slowly, and nothing is in trouble in the end.
    Slows(&'static str, Value),
    /// Reading stops, and `/readyz` says that the broker is missing.
    Stops(&'static str, Value),
    /// The broker is started again meanwhile, and reading goes on.
    Restarts(&'static str, Value),
    /// Nobody listens.
    Down,
}

/// Each with the direction in which it acts.
fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("downstream", Fault::Slows("latency", json!({"latency": 300, "jitter": 250}))),
        ("upstream", Fault::Slows("latency", json!({"latency": 200, "jitter": 100}))),
        // KiB a second: a part of the log takes some seconds.
        ("downstream", Fault::Slows("bandwidth", json!({"rate": 200}))),
        ("downstream", Fault::Stops("reset_peer", json!({"timeout": 0}))),
        // The connection stays open and nothing comes.
        ("downstream", Fault::Stops("timeout", json!({"timeout": 0}))),
        // It is closed after a moment of that.
        ("upstream", Fault::Stops("timeout", json!({"timeout": 300}))),
        // What the broker closed stays open on our side.
        ("downstream", Fault::Restarts("slow_close", json!({"delay": 2000}))),
        ("both", Fault::Down),
    ]
}

#[test]
fn whatever_the_network_does_nothing_is_lost_and_no_report_changes() {
    // Dropped from the right: the broker before its folder.
    let Some(Proxied { start_again, mut kafka, address, proxy }) = proxied() else { return };
    let plan = Plan { days: DAYS, late: 9, older: Some((3, 8)), ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(&kafka, "network", plan.partitions, "").reaching(&kafka, &address, "");
    let service = scene.start();
    let faults = faults();
    let mut sent = 0;
    for ((stream, fault), part) in faults.iter().zip(log.chunks(log.len().div_ceil(faults.len()))) {
        let name = begin(&proxy, stream, fault);
        if matches!(fault, Fault::Restarts(..)) {
            kafka.end("-TERM");
            kafka = start_again();
        }
        traffic::produce(&kafka, &scene.topic, part);
        sent += part.len() as u64;
        suffer(&service, &scene.topic, fault, sent);
        proxy.heal();
        proxy.let_through(true);
        let ledger = service.wait_for_ledger(&scene.topic, sent);
        assert_eq!(ledger["imbalance"], 0, "{name}: {ledger}");
        service.wait_for_calm();
    }
    let found = Outcome::of(&service, &scene.topic, log.len() as u64, DAYS);
    found.equals(&Outcome::undisturbed(&kafka, &scene.topic, log.len() as u64, DAYS));
    found.was_published(&kafka, &scene.reports);
    letters_name_each_broken_record(&kafka, &scene.topic, &log);
}

/// A broker that sends its clients through a proxy.
pub(super) struct Proxied<F> {
    pub(super) kafka: Kafka,
    /// Starts it on what it had.
    start_again: F,
    /// Of the proxy.
    pub(super) address: String,
    pub(super) proxy: Toxiproxy,
}

pub(super) fn proxied() -> Option<Proxied<impl Fn() -> Kafka>> {
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let (ports, behind, before) = ((free_port(), free_port()), free_port(), free_port());
    let properties = format!(
        "listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\
         PROXIED://127.0.0.1:{behind}\n\
         advertised.listeners=BROKER://127.0.0.1:{port},PROXIED://127.0.0.1:{before}\n\
         listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT\n",
        port = ports.0,
        controller = ports.1
    );
    let proxy = Toxiproxy::start(before, &format!("127.0.0.1:{behind}"))?;
    let kafka = Kafka::start_with(data.path(), ports, &properties)?;
    let start_again =
        move || Kafka::start_with(data.path(), ports, &properties).expect("it was there before");
    Some(Proxied { kafka, start_again, address: format!("127.0.0.1:{before}"), proxy })
}

fn begin(proxy: &Toxiproxy, stream: &str, fault: &Fault) -> String {
    match fault {
        Fault::Slows(kind, attributes)
        | Fault::Stops(kind, attributes)
        | Fault::Restarts(kind, attributes) => {
            proxy.add(kind, stream, attributes);
            format!("{kind} {stream}")
        }
        Fault::Down => {
            proxy.let_through(false);
            "down".to_owned()
        }
    }
}

fn suffer(service: &Service, topic: &str, fault: &Fault, sent: u64) {
    match fault {
        Fault::Slows(..) | Fault::Restarts(..) => drop(service.wait_for_ledger(topic, sent)),
        Fault::Stops(..) | Fault::Down => {
            let says = service.wait_for_trouble("broker");
            eprintln!("the network stops: {says}");
            assert!(service.ledger(topic)["total"]["read"].as_u64() < Some(sent), "it is read");
        }
    }
}

/// Each is there, once or more, and no other record is.
fn letters_name_each_broken_record(kafka: &Kafka, topic: &str, log: &[Record]) {
    let letters = kafka.records(&format!("{topic}.driftline.dead-letter"));
    let place = |letter: &Value| {
        let headers = letter["headers"].as_array().unwrap().iter();
        let wanted = ["driftline.partition", "driftline.offset"];
        let values = headers.filter(|header| wanted.iter().any(|name| header[0] == *name));
        values.map(|header| header[1].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let found: BTreeSet<Vec<String>> = letters.iter().map(place).collect();
    let broken = log.iter().filter(|record| matches!(record.meaning, Meaning::Broken(_)));
    let broken = broken.map(|record| vec![record.partition.to_string(), record.offset.to_string()]);
    assert_eq!(found, broken.collect::<BTreeSet<_>>());
}
