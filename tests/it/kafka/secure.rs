//! A broker that wants TLS and a password: what is configured in `kafka.properties`, and what is said
//! when it is wrong.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::rig::kafka::Kafka;
use crate::rig::outcome::Outcome;
use crate::rig::scene::Scene;
use crate::rig::traffic::{self, Plan};
use crate::rig::{self, free_port, python};

const DAYS: i64 = 3;
const USER: &str = "driftline";
const PASSWORD: &str = "correct horse: battery, staple";

#[test]
fn a_broker_with_tls_and_scram_is_read_and_what_is_wrong_is_said() {
    let Some((data, kafka, address)) = secured() else { return };
    let plan = Plan { days: DAYS, records: 3000, ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(&kafka, "secure", plan.partitions, "");
    traffic::produce(&kafka, &scene.topic, &log);
    fs::write(data.path().join("password"), PASSWORD).unwrap();
    fs::write(data.path().join("wrong"), "hunter2").unwrap();
    let records = log.len() as u64;
    let wanted = Outcome::undisturbed(&kafka, &scene.topic, records, DAYS);
    let scene = scene.reaching(&kafka, &address, &properties(data.path(), "ca.pem", "password"));

    let (code, stdout, stderr) = scene.run("doctor", &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains(&format!("{address} answers")), "{stdout}");
    let service = scene.start();
    let found = Outcome::of(&service, &scene.topic, records, DAYS);
    service.wait_for_calm();
    assert_eq!(found.ledger, wanted.ledger);
    found.was_published(&kafka, &scene.reports);
    let id = found.reports.keys().next().unwrap();
    let (code, stdout, stderr) = scene.run("replay", &["--window", id, "--threads", "4"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");

    for (authority, password, says) in [
        ("ca.pem", "wrong", "invalid credentials with SASL mechanism SCRAM-SHA-512"),
        ("stranger.pem", "password", "broker certificate could not be verified"),
    ] {
        let properties = properties(data.path(), authority, password);
        let wrong = Scene::on(&kafka, &scene.topic, "wrong", "");
        let wrong = wrong.reaching(&kafka, &address, &properties);
        let (code, stdout, stderr) = wrong.run("doctor", &[]);
        assert_eq!(code, Some(2), "{stdout}{stderr}");
        assert!(stdout.contains(says) && stdout.contains("kafka.properties"), "{stdout}{stderr}");
        let service = wrong.start();
        service.wait_until("to say what is wrong", |service| {
            service.trouble("broker")?.contains(says).then_some(())
        });
        let shown = service.get("/readyz") + &stdout + &stderr;
        assert!(!shown.contains("hunter2") && !shown.contains(PASSWORD), "{shown}");
    }
}

/// The folder of a broker, the broker with a listener of TLS and SCRAM beside the usual one, and that
/// listener's address; dropped from the right, the broker goes before its folder.
fn secured() -> Option<(TempDir, Kafka, String)> {
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let certificates = rig::rig_folder().join("certificates.py");
    let made = Command::new(python::interpreter()?).arg(certificates).arg(data.path()).status();
    assert!(made.expect("the test environment's Python runs").success());
    let (ports, secure) = ((free_port(), free_port()), free_port());
    let properties = format!(
        "listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\
         SECURE://127.0.0.1:{secure}\n\
         advertised.listeners=BROKER://127.0.0.1:{port},SECURE://127.0.0.1:{secure}\n\
         listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL\n\
         listener.name.secure.ssl.keystore.type=PEM\n\
         listener.name.secure.ssl.keystore.location={folder}/server.pem\n\
         listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.secure.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n",
        port = ports.0,
        controller = ports.1,
        folder = data.path().display()
    );
    let kafka = Kafka::start_with(data.path(), ports, &properties)?;
    kafka.create_user(USER, PASSWORD);
    Some((data, kafka, format!("127.0.0.1:{secure}")))
}

/// As an operator writes them, with the password in a file of its own.
fn properties(folder: &Path, authority: &str, password: &str) -> String {
    let folder = folder.display();
    format!(
        "security.protocol: SASL_SSL, ssl.ca.location: {folder}/{authority}, \
         sasl.mechanism: SCRAM-SHA-512, sasl.username: {USER}, \
         sasl.password: \"file:{folder}/{password}\""
    )
}
