//! Each check says what it found and what to do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use driftline_config::time::DAY_US;
use driftline_ingest::TopicDescription;

mod clocks;

use super::*;
use crate::commands::rig::{Rig, TOPIC, arguments};
use driftline_store::Store;

fn facts() -> TopicDescription {
    TopicDescription {
        partitions: vec![(0, 10), (5, 5)],
        retention_ms: None,
        retention_bytes: None,
        broker_timestamps: Some(false),
        timestamp_after_max_ms: None,
        max_message_bytes: Some(1 << 20),
        compacted: None,
        settings_unknown: None,
    }
}

#[test]
fn retention_is_compared_with_windows_and_history() {
    let rig = Rig::new(50);
    let mut config = rig.config();
    config.models.truncate(1);
    config.models[0].retrain.history_us = 30 * DAY_US;
    let day_ms = DAY_US / 1000;
    // A window needs 25 h, one of few rows 97 h, with its history 34 days and an hour.
    let table: &[(Option<i64>, Option<i64>, State, &str)] = &[
        (None, None, State::Ok, "for ever"),
        (None, Some(1 << 30), State::Warn, "cannot be known"),
        (Some(day_ms), None, State::Fail, "a window needs 25h"),
        (Some(2 * day_ms), None, State::Warn, "may grow to 97h"),
        (Some(10 * day_ms), None, State::Warn, "lower retrain.history"),
        (Some(40 * day_ms), Some(99), State::Ok, "40d (and 99 bytes"),
    ];
    for (retention_ms, retention_bytes, state, says) in table {
        let facts = TopicDescription {
            retention_ms: *retention_ms,
            retention_bytes: *retention_bytes,
            ..facts()
        };
        let models: Vec<_> = config.models.iter().collect();
        let findings = kafka::topic_findings("topic t", &facts, &models, &config);
        let found = findings.iter().find(|f| f.check == "topic t: retention for m").unwrap();
        assert_eq!(found.state, *state, "{found:?}");
        assert!(found.says.contains(says), "{found:?}");
    }
    let large = TopicDescription { max_message_bytes: Some(10 << 20), ..facts() };
    let findings = kafka::topic_findings("topic t", &large, &[], &config);
    assert!(
        findings.iter().any(|f| f.state == State::Warn && f.says.contains("limits.record_bytes"))
    );
}

#[test]
fn who_stamps_records_and_what_a_broker_refuses_is_said() {
    let rig = Rig::new(50);
    let config = rig.config();
    let table = [
        (Some(true), None, "stamped by the broker"),
        (Some(false), Some(3_600_000), "refuses what lies more than 1h ahead"),
        (Some(false), Some(i64::MAX), "lets through what lies any time ahead"),
        (Some(false), None, "this broker lets through"),
        (None, None, "not known"),
    ];
    for (broker_timestamps, timestamp_after_max_ms, says) in table {
        let facts = TopicDescription { broker_timestamps, timestamp_after_max_ms, ..facts() };
        let findings = kafka::topic_findings("t", &facts, &[], &config);
        let found = findings.iter().find(|finding| finding.check == "t: timestamps").unwrap();
        assert!(found.says.contains(says), "{found:?}");
    }
}

#[test]
fn the_state_folder_may_be_new_free_or_held() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("a/b");
    let says = |part: &str| {
        let found = machine::state_folder(&state);
        assert!(found.state == State::Ok && found.says.contains(part), "{found:?}");
    };
    says("will be created");
    assert!(!state.exists(), "a look changes nothing");
    let store = Store::open(&state, Duration::ZERO, false).unwrap();
    says("held by a running driftline");
    drop(store);
    says("writable");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(machine::state_folder(&file).state, State::Fail);
}

#[test]
fn a_taken_address_is_told_from_our_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // What is looked at is the answer; a busy core may take longer for it than an operator waits.
    let is_ours = |listen: &str| machine::is_ours(listen, Duration::from_secs(60));
    let answers =
        ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", "HTTP/1.1 404 Not Found\r\n\r\n"];
    for (answer, state) in answers.into_iter().zip([State::Ok, State::Fail]) {
        let found = std::thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).unwrap();
                assert!(request[..read].starts_with(b"GET /livez"));
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let found = machine::listener(&address, is_ours);
            serving.join().unwrap();
            found
        });
        assert_eq!(found.state, state, "{found:?}");
    }
    // The port is kept until here: one that was given back may be somebody else's a moment later.
    assert_eq!(machine::listener("127.0.0.1:0", is_ours).state, State::Ok, "a free port is free");
}

#[test]
fn a_whole_configuration_is_examined() {
    let rig = Rig::new(50);
    rig.produce("m", &rig.days("days.csv", 0..1));
    let args: DoctorArgs = arguments(&["--config", rig.config.to_str().unwrap()]);
    let findings = examine(&args);
    let state_of = |check: &str| {
        let found = findings.iter().find(|finding| finding.check == check);
        found.unwrap_or_else(|| panic!("no {check} in {findings:#?}")).state
    };
    for check in ["configuration", "baseline of m", "broker", "state folder", "receiver mail"] {
        assert_eq!(state_of(check), State::Ok, "{check}");
    }
    assert_eq!(state_of(&format!("topic {TOPIC}")), State::Ok);
    assert_eq!(state_of(&format!("topic {TOPIC}: clocks")), State::Ok);
    // The embedded broker keeps the settings of its topics to itself.
    assert_eq!(state_of(&format!("topic {TOPIC}: settings")), State::Warn);
    assert_eq!(state_of("receiver retrain"), State::Fail, "nobody listens on port 1");
    assert!(
        describe(&findings, Screen::PLAIN).contains("FAIL"),
        "{}",
        describe(&findings, Screen::PLAIN)
    );
}

/// Own windows of UTC's days are no days of Paris: `doctor` had no word for it.
#[test]
fn a_baseline_by_other_days_than_the_windows_is_said() {
    let rig = Rig::new(50);
    let text = std::fs::read_to_string(&rig.config).unwrap();
    let text = text.replace("every: 1d", "every: 1d, timezone: Europe/Paris");
    std::fs::write(&rig.config, text).unwrap();
    let found = baseline(&rig.config().models[0], &rig.config());
    assert_eq!(found.state, State::Warn, "{found:?}");
    let says = "of 1d in UTC, those of the model of 1d in Europe/Paris";
    assert!(found.says.contains(says), "{found:?}");
}

#[test]
fn a_missing_topic_and_a_broken_configuration_fail() {
    let rig = Rig::new(50);
    let text = std::fs::read_to_string(&rig.config).unwrap();
    let args: DoctorArgs = arguments(&["--config", rig.config.to_str().unwrap()]);
    let failed = |text: &str, part: &str| {
        std::fs::write(&rig.config, text).unwrap();
        let findings = examine(&args);
        let fails = |f: &Finding| f.state == State::Fail && f.says.contains(part);
        assert!(findings.iter().any(fails), "{part} is not in {findings:#?}");
    };
    failed(&text.replace("baseline.json", "absent.json"), "driftline baseline");
    failed("models: 3", "models");
    let nowhere = text.replace(&rig.connection.bootstrap, "127.0.0.1:1");
    failed(&nowhere, "correct kafka.bootstrap");
}

/// A candidate ran with all that the service may do, and nobody was told.
#[test]
fn a_kernel_that_cannot_lock_up_a_candidate_is_named() {
    let lacks = ["landlock: it is not enabled".to_owned()];
    let table: [(&[String], bool, State, &str); 3] = [
        (&[], false, State::Ok, "landlock and seccomp hold"),
        (&lacks, false, State::Fail, "lacks landlock: it is not enabled: candidates will not"),
        (&lacks, true, State::Warn, "whoever supplies a model can do what driftline can"),
    ];
    for (lacks, unsandboxed, state, says) in table {
        let finding = machine::sandbox(lacks, unsandboxed);
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.says.contains(says), "{finding:?}");
    }
}
