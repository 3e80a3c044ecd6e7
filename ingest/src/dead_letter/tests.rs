//! Tests of dead letters that need no broker.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn letter(offset: i64, value: &[u8]) -> DeadLetter {
    DeadLetter {
        topic: "captures".to_owned(),
        partition: Partition(1),
        offset,
        timestamp_us: Some(5_000),
        key: None,
        value: Some(value.to_vec()),
        headers: vec![("trace".to_owned(), Some(b"x".to_vec()))],
        reason: Reason::InvalidJson,
        detail: "byte 3: expected a colon".to_owned(),
    }
}

#[test]
fn a_folder_holds_the_raw_bytes_before_the_letter_counts_as_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::Folder(folder.path().join("dead"));
    let letters = DeadLetters::start(&Connection::default(), &mode, 1000).unwrap();
    letters.send(letter(7, b"\xffraw"));
    letters.send(letter(3, b"{"));
    assert_eq!(letters.unacknowledged_below("captures", Partition(1)), Some(3));
    assert_eq!(letters.unacknowledged_below("captures", Partition(0)), None);
    letters.flush(Duration::ZERO).unwrap();
    assert_eq!(
        (letters.unacknowledged_below("captures", Partition(1)), letters.bytes_in_flight()),
        (None, 0)
    );
    let text = std::fs::read_to_string(folder.path().join("dead/captures.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["value"], STANDARD.encode(b"\xffraw"));
    assert_eq!(lines[0]["reason"], "invalid_json");
    assert_eq!(lines[1]["offset"], 3);
}

/// The first letter after the death of a process was glued to the line that it had not finished, and neither
/// could be read.
#[test]
fn a_torn_line_at_the_end_spoils_no_later_letter() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("captures.jsonl");
    for (before, unreadable) in [("", 0), ("{\"offset\":1}\n", 0), ("{\"offset\":1}\n{\"off", 1)] {
        std::fs::write(&file, before).unwrap();
        let mode = Mode::Folder(folder.path().to_owned());
        let letters = DeadLetters::start(&Connection::default(), &mode, 1000).unwrap();
        letters.send(letter(7, b"{"));
        letters.settle().unwrap();
        letters.send(letter(8, b"{"));
        letters.settle().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let read = text.lines().map(serde_json::from_str::<serde_json::Value>);
        let (good, torn): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        let offsets: Vec<_> =
            good.into_iter().flatten().map(|line| line["offset"].as_i64().unwrap()).collect();
        assert_eq!((&offsets[offsets.len() - 2..], torn.len()), (&[7, 8][..], unreadable));
    }
}

#[test]
fn a_folder_that_cannot_be_written_keeps_its_letters_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead");
    let letters =
        DeadLetters::start(&Connection::default(), &Mode::Folder(path.clone()), 1000).unwrap();
    std::fs::create_dir(path.join("captures.jsonl")).unwrap();
    letters.send(letter(7, b"{"));
    assert!(letters.settle().is_err());
    assert_eq!(letters.unacknowledged_below("captures", Partition(1)), Some(7));
    assert!(letters.trouble().is_some());
    std::fs::remove_dir(path.join("captures.jsonl")).unwrap();
    letters.settle().unwrap();
    assert_eq!(
        (letters.unacknowledged_below("captures", Partition(1)), letters.trouble()),
        (None, None)
    );
}

#[test]
fn letters_above_the_limit_hold_up_their_topic_until_half_of_them_arrived() {
    let pending = Pending::new(1000);
    let letters: Vec<_> = (0..3).map(|offset| letter(offset, &[b'x'; 300])).collect();
    for letter in &letters {
        pending.add(letter);
    }
    assert!(pending.is_full_for("captures") && !pending.has_room());
    assert!(!pending.is_full_for("another"));
    pending.arrived(&letters[0]);
    assert!(!pending.is_full_for("captures") || !pending.has_room());
    pending.arrived(&letters[1]);
    pending.arrived(&letters[2]);
    assert!(pending.has_room() && pending.wait_until_empty(Duration::ZERO));
    assert_eq!(pending.smallest("captures", Partition(1)), None);
}

#[test]
fn off_counts_nothing_as_waiting_but_shows_the_last_hundred() {
    let letters = DeadLetters::start(&Connection::default(), &Mode::Off, 10).unwrap();
    for offset in 0..150 {
        letters.send(letter(offset, b"{"));
    }
    let recent = letters.recent();
    assert_eq!((recent.len(), recent[0].offset, recent[99].offset), (100, 149, 50));
    assert_eq!(letters.bytes_in_flight(), 0);
}
