//! Each kind of label has its column.

use driftline_join::{
    BadId, Column, ID_BYTES, IdHasher, Join, Label, MemoryPages, Order, Passed, Prediction, Said,
    Value, drive,
};

use super::world::{SECOND_US, id, label, prediction, settings};

const YES: Said = Said::Value(Value::Code(1));
const NO: Said = Said::Value(Value::Code(0));

/// Where the last of some labels stands, that come when both logs have passed 500 s and a prediction of 490 s waits.
fn check(column: Column, labels: &[Label]) {
    let mut join = Join::new(settings(false));
    let pages = MemoryPages::default();
    join.predict(prediction(id("a"), 490));
    let late = Prediction { window: None, ..prediction(id("late"), 490) };
    join.predict(late);
    join.passed(passed(500));
    let (last, before) = labels.split_last().unwrap();
    before.iter().for_each(|label| join.label(*label));
    drive(&mut join, &pages).unwrap();
    let stood = *join.ledger();
    join.label(*last);
    drive(&mut join, &pages).unwrap();
    assert_eq!(join.ledger().count(column), stood.count(column) + 1, "{column:?} {labels:?}");
    assert!(join.ledger().is_balanced());
}

fn passed(s: i64) -> Passed {
    Passed { captures_us: s * SECOND_US, labels_us: s * SECOND_US }
}

#[test]
fn labels_stand_where_they_belong() {
    let a = id("a");
    let of = |capture_s: i64, label: Label| Label {
        capture_ts_us: Some(capture_s * SECOND_US),
        ..label
    };
    check(Column::Joined, &[label(a, 500, 0, YES)]);
    check(Column::Joined, &[of(490, label(a, 500, 0, YES))]);
    check(Column::Corrected, &[label(a, 500, 0, YES), label(a, 501, 1, NO)]);
    check(Column::Corrected, &[label(a, 501, 0, YES), label(a, 500, 1, NO)]);
    check(Column::Repeated, &[label(a, 500, 0, YES), label(a, 500, 1, YES)]);
    check(Column::Repeated, &[label(a, 500, 0, YES), label(a, 500, 0, YES)]);
    check(Column::LateCapture, &[label(id("late"), 500, 0, YES)]);
    check(Column::Waiting, &[label(id("b"), 500, 0, YES)]);
    // A retraction of nothing, and of something.
    check(Column::Unmatched, &[label(a, 500, 0, Said::Retracted)]);
    check(Column::Corrected, &[label(a, 500, 0, YES), label(a, 501, 1, Said::Retracted)]);
    // The far past and the far future.
    check(Column::Expired, &[label(a, -10_000, 0, YES)]);
    check(Column::Expired, &[of(490, label(a, 820, 0, YES))]);
    check(Column::Waiting, &[label(a, 100_000, 0, YES)]);
    check(Column::Unmatched, &[of(700, label(a, 500, 0, YES))]);
    check(Column::Unmatched, &[label(id("b"), 440, 0, YES)]);
}

/// A label is unmatched only when both logs have passed: a stalled capture topic must not lose labels whose
/// captures are still to be read.
#[test]
fn a_label_waits_until_both_logs_have_passed() {
    let mut join = Join::new(settings(false));
    let pages = MemoryPages::default();
    join.label(label(id("a"), 100, 0, YES));
    let at = |captures_s: i64, labels_s: i64| Passed {
        captures_us: captures_s * SECOND_US,
        labels_us: labels_s * SECOND_US,
    };
    for (passed, waiting) in [(at(1000, 144), 1), (at(1000, 144), 1), (at(1000, 145), 0)] {
        join.passed(passed);
        drive(&mut join, &pages).unwrap();
        assert_eq!(join.ledger().count(Column::Waiting), waiting, "{passed:?}");
    }
    assert_eq!(join.ledger().count(Column::Unmatched), 1);
}

#[test]
fn records_that_are_no_labels_are_counted_too() {
    let mut join = Join::new(settings(false));
    for column in [Column::Rejected, Column::Skipped, Column::Control] {
        join.count(column);
        assert_eq!(join.ledger().count(column), 1, "{}", column.name());
    }
    assert_eq!(join.ledger().read, 3);
    assert!(join.ledger().is_balanced());
}

/// A 300-byte id would be kept as any other, though nothing sends one on purpose.
#[test]
fn ids_that_cannot_be_joined_are_refused() {
    let hasher = IdHasher::new([1; 16]);
    assert_eq!(hasher.hash("m", &[b'x'; 300]), Err(BadId::Long { bytes: 300 }));
    assert_eq!(hasher.hash("m", b""), Err(BadId::Empty));
    assert!(hasher.hash("m", &[b'x'; ID_BYTES]).is_ok());
    // A model's name and an id are not one text.
    assert_ne!(hasher.hash("ab", b"c"), hasher.hash("a", b"bc"));
}

/// Nobody knows a label later than it was sent: a clock in the future must not win over all corrections.
#[test]
fn labels_observed_after_they_were_sent_have_the_time_of_the_record() {
    let order = Order::new(Some(20), 10, 1, 2);
    assert_eq!(order, Order { ts_us: 10, partition: 1, offset: 2 });
    assert_eq!(Order::new(None, 10, 1, 2), order);
    assert_eq!(Order::new(Some(5), 10, 1, 2).ts_us, 5);
}
