//! A disk that is full and a file that is torn: the process says so and ends, and nothing is lost.

use std::fs;

use crate::rig::kafka;
use crate::rig::scene::Scene;
use crate::rig::service::Service;
use crate::rig::traffic::{self, Plan};

#[test]
fn a_full_disk_ends_the_process_with_a_sentence_and_the_next_one_goes_on() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { records: 6000, ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(kafka, "full-disk", plan.partitions, "");
    traffic::produce(kafka, &scene.topic, &log);

    // No file may grow beyond 512 blocks of 1024 bytes; ignored, the signal is an error of the write.
    let full = "trap '' XFSZ; ulimit -f 512;";
    let said = Service::spawn_after(&scene.config, scene.port, full).wait_for_last_words();
    assert!(said.contains("checkpoint") && said.contains("free or mend the disk"), "{said}");

    let service = scene.start();
    let ledger = service.wait_for_ledger(&scene.topic, log.len() as u64);
    assert_eq!(ledger["imbalance"], 0);
    let wanted = traffic::sums(&traffic::outcomes(&log));
    assert_eq!(traffic::sorted(&ledger["total"]), traffic::sorted(&wanted));
}

#[test]
fn a_torn_checkpoint_is_refused_with_a_sentence() {
    let Some(kafka) = kafka::broker() else { return };
    let plan = Plan { records: 2000, ..Plan::default() };
    let log = traffic::log(&plan);
    let scene = Scene::new(kafka, "torn", plan.partitions, "");
    traffic::produce(kafka, &scene.topic, &log);
    let service = scene.start();
    service.wait_for_ledger(&scene.topic, log.len() as u64);
    service.stop();

    let file = scene.folder.path().join("state/checkpoint.redb");
    let whole = fs::read(&file).unwrap();
    for (what, torn) in [
        ("its tail is missing", whole[..whole.len() / 2].to_vec()),
        ("only its head is there", whole[..100].to_vec()),
        ("it is something else", b"not a database".repeat(1000)),
    ] {
        fs::write(&file, torn).unwrap();
        let (code, stdout, stderr) = scene.run("run", &[]);
        assert_eq!(code, Some(2), "{what}: {stdout}{stderr}");
        assert!(stderr.contains("checkpoint") && stderr.contains("--rebuild"), "{what}: {stderr}");
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    }
}
